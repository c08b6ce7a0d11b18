// SPDX-License-Identifier: GPL-2.0
/*
 * The state machine of a write: what is published when, and what the file gets
 * for it.
 */
#include <kunit/test.h>

#include "guest.h"
#include "image/journal.h"
#include "writer_test.h"

#define MIB	VHDX_MIB
#define GIB	(1024 * MIB)

/* --- the first change ------------------------------------------------------- */

/* An attach without a write leaves every byte as it was. */
static void write_nothing(struct kunit *test)
{
	static const struct builder_block blocks[] = { { 3, 6, 0 } };
	struct writer *w = writer_init(test);
	u32 before;

	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	writer_build(test, w);
	before = memfile_checksum(w->mf);
	writer_open(test, w);
	guest_check_built(test, w->img, &w->b, 0, w->b.disk_size);
	vhdx_image_commit(w->img);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, w->mf->records, 0);
	KUNIT_EXPECT_EQ(test, memfile_checksum(w->mf), before);
}

/* A flush then makes stable what an earlier holder of the file wrote. */
static void write_only_flush(struct kunit *test)
{
	struct writer *w = writer_init(test);
	u32 before;

	writer_build(test, w);
	before = memfile_checksum(w->mf);
	writer_open(test, w);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	expect_flush(test, w);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, w->mf->records, 1);
	KUNIT_EXPECT_EQ(test, memfile_checksum(w->mf), before);
}

/* The slot that is not current goes first, a flush before and between. */
static void write_first_change(struct kunit *test)
{
	static const struct builder_block blocks[] = { { 3, 6, 0 } };
	struct vhdx_header old, header[2];
	struct writer *w = writer_init(test);
	struct guest_write gw;

	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	writer_build(test, w);
	writer_header(w, 1, &old);
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &gw, 3 * MIB, 512), 0);
	expect_flush(test, w);
	expect_write(test, w, VHDX_HEADER_1_OFFSET, 4096);
	expect_flush(test, w);
	expect_write(test, w, VHDX_HEADER_2_OFFSET, 4096);
	expect_flush(test, w);
	expect_allocate(test, w, w->layout.log_offset, MIB);
	writer_header(w, 0, &header[0]);
	writer_header(w, 1, &header[1]);
	KUNIT_EXPECT_EQ(test, header[0].sequence_number, 9);
	KUNIT_EXPECT_EQ(test, header[1].sequence_number, 10);
	KUNIT_EXPECT_TRUE(test, guid_equal(&header[0].file_write_guid,
					   &header[1].file_write_guid));
	KUNIT_EXPECT_TRUE(test, guid_equal(&header[0].data_write_guid,
					   &header[1].data_write_guid));
	KUNIT_EXPECT_FALSE(test, guid_equal(&header[0].file_write_guid,
					    &old.file_write_guid));
	KUNIT_EXPECT_FALSE(test, guid_equal(&header[0].data_write_guid,
					    &old.data_write_guid));
	KUNIT_EXPECT_TRUE(test, guid_is_null(&header[0].log_guid));
	KUNIT_EXPECT_TRUE(test, guid_is_null(&header[1].log_guid));
	guest_end(w->img, &gw, 0);

	/* Once for an attach. */
	writer_forget(w);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 3 * MIB, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, w->mf->records, 0);
}

/*
 * The first change may end between a write's look and its parking. One thread
 * cannot make that happen, so the look is made to see what was.
 */
static void write_first_change_race(struct kunit *test)
{
	struct guest_write gw = { .write.length = 512 };
	struct writer *w = writer_init(test);

	writer_build(test, w);
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, MIB, 512, 1), 0);
	w->img->journal->changed = false;
	gw.write.resume = guest_resume;
	KUNIT_ASSERT_EQ(test, vhdx_write_begin(w->img, &gw.write), -EINPROGRESS);
	gw.waits = true;
	w->img->journal->changed = true;
	guest_work(w->img);
	KUNIT_EXPECT_FALSE(test, gw.waits);
	KUNIT_ASSERT_EQ(test, guest_begin(w->img, &gw), 0);
	guest_end(w->img, &gw, 0);
}

/* --- one write --------------------------------------------------------------- */

static void write_allocates(struct kunit *test)
{
	struct writer *w = writer_init(test);
	const u64 pos = 3 * MIB + 8192;
	struct guest_write gw;
	u64 run;

	writer_build(test, w);
	writer_open(test, w);
	run = w->layout.file_size;
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &gw, pos, 2 * MIB), 0);
	KUNIT_EXPECT_FALSE(test, vhdx_write_is_overwrite(&gw.write));
	KUNIT_EXPECT_EQ(test, gw.write.extent.type, VHDX_EXTENT_FILE);
	KUNIT_EXPECT_EQ(test, gw.write.extent.offset, run + 8192);
	KUNIT_EXPECT_EQ(test, gw.write.extent.length, MIB - 8192);
	KUNIT_EXPECT_FALSE(test, gw.write.durable);
	/* Behind the first change: room for the page, and a stable size. */
	KUNIT_ASSERT_EQ(test, w->mf->records, 9);
	writer_skip(w, 6);
	expect_allocate(test, w, w->layout.bat_offset, MIB);
	expect_allocate(test, w, run, 64 * MIB);
	expect_flush(test, w);
	KUNIT_ASSERT_EQ(test, guest_fill(w->img, &gw, 0xA5), 0);
	/* Nothing is mapped before its data is there. */
	guest_check_byte(test, w->img, 3 * MIB, MIB, 0);
	guest_end(w->img, &gw, 0);
	guest_check_byte(test, w->img, 3 * MIB, 8192, 0);
	guest_check_byte(test, w->img, pos, MIB - 8192, 0xA5);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 3), 0);

	/* The entry, and then the headers that name it. */
	writer_forget(w);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	expect_write(test, w, w->layout.log_offset, 8192);
	expect_flush(test, w);
	expect_write(test, w, VHDX_HEADER_1_OFFSET, 4096);
	expect_flush(test, w);
	expect_write(test, w, VHDX_HEADER_2_OFFSET, 4096);
	expect_flush(test, w);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 3), 0);

	/* As after a crash. */
	guest_close(test, w->img);
	w->img = guest_open(test, w->mf);
	KUNIT_EXPECT_TRUE(test, w->img->log.dirty);
	guest_check_byte(test, w->img, 3 * MIB, 8192, 0);
	guest_check_byte(test, w->img, pos, MIB - 8192, 0xA5);
	guest_check_byte(test, w->img, 4 * MIB, MIB, 0);
}

/* In a generation that runs, a flush is one write and one flush. */
static void write_appends(struct kunit *test)
{
	struct writer *w = writer_init(test);

	writer_build(test, w);
	writer_open(test, w);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, MIB, 512, 2), 0);
	writer_forget(w);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	expect_write(test, w, w->layout.log_offset + 8192, 8192);
	expect_flush(test, w);
	/* With nothing dirty, one flush and nothing else. */
	writer_forget(w);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	expect_flush(test, w);
}

static void write_over(struct kunit *test)
{
	static const struct builder_block blocks[] = { { 3, 6, 0 } };
	struct writer *w = writer_init(test);
	struct guest_write gw;

	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	writer_build(test, w);
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 3 * MIB, 512, 1), 0);
	writer_forget(w);
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &gw, 3 * MIB + 512, 512), 0);
	KUNIT_EXPECT_TRUE(test, vhdx_write_is_overwrite(&gw.write));
	KUNIT_EXPECT_EQ(test, gw.write.extent.offset,
			w->layout.blocks_offset + 512);
	KUNIT_EXPECT_EQ(test, gw.write.extent.length, 512);
	KUNIT_ASSERT_EQ(test, guest_fill(w->img, &gw, 2), 0);
	guest_end(w->img, &gw, 0);
	KUNIT_EXPECT_EQ(test, w->mf->records, 0);
	guest_check_byte(test, w->img, 3 * MIB, 512, 1);
	guest_check_byte(test, w->img, 3 * MIB + 512, 512, 2);
	guest_check_built(test, w->img, &w->b, 3 * MIB + 1024, MIB - 1024);
	/* Nothing of it is metadata. */
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	expect_flush(test, w);
}

/* A write that failed maps nothing; its run is zeroed before it is used. */
static void write_fails(struct kunit *test)
{
	struct writer *w = writer_init(test);
	struct guest_write gw;
	u64 run, block;

	writer_build(test, w);
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &gw, 3 * MIB, MIB), 0);
	run = gw.write.extent.offset;
	KUNIT_ASSERT_EQ(test, guest_fill(w->img, &gw, 0xEE), 0);
	writer_forget(w);
	guest_end(w->img, &gw, -EIO);
	guest_check_byte(test, w->img, 3 * MIB, MIB, 0);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	expect_flush(test, w);
	expect_punch(test, w, run, MIB);
	expect_flush(test, w);
	w->mf->room = w->mf->size;
	for (block = 0; block < 100; block++) {
		KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &gw, block * MIB,
						     512), 0);
		guest_end(w->img, &gw, 0);
		if (gw.write.extent.offset == run)
			break;
	}
	KUNIT_EXPECT_LT(test, block, 64);
	guest_check_byte(test, w->img, block * MIB, MIB, 0);
}

/* --- two writers of one block ------------------------------------------------ */

/**
 * struct pair_case - two writers of one block that is not there
 * @name: for people
 * @status: of the first and the second
 * @second_ends_first: for the order of their ends
 */
struct pair_case {
	const char *name;
	int status[2];
	bool second_ends_first;
};

static const struct pair_case pair_cases[] = {
	{ "both succeed", { 0, 0 }, false },
	{ "both succeed, the second first", { 0, 0 }, true },
	{ "the first fails", { -EIO, 0 }, false },
	{ "the first fails, later", { -EIO, 0 }, true },
	{ "the second fails", { 0, -EIO }, false },
	{ "the second fails, earlier", { 0, -EIO }, true },
	{ "both fail", { -EIO, -EIO }, false },
	{ "both fail, the second first", { -EIO, -EIO }, true },
};

static void describe_pair_case(const struct pair_case *c, char *desc)
{
	scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s", c->name);
}

KUNIT_ARRAY_PARAM(pair_case, pair_cases, describe_pair_case);

static void write_pair(struct kunit *test)
{
	const struct pair_case *c = test->param_value;
	struct writer *w = writer_init(test);
	struct guest_write gw[2];
	bool mapped = false;
	u32 i, k;
	u64 run;

	writer_build(test, w);
	writer_open(test, w);
	for (i = 0; i < 2; i++) {
		KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &gw[i], 5 * MIB +
						     i * 8192, 4096), 0);
		KUNIT_ASSERT_EQ(test, guest_fill(w->img, &gw[i], 1 + i), 0);
	}
	run = gw[0].write.extent.offset;
	KUNIT_EXPECT_EQ(test, gw[1].write.extent.offset, run + 8192);
	writer_forget(w);
	for (k = 0; k < 2; k++) {
		i = k ^ c->second_ends_first;
		guest_end(w->img, &gw[i], c->status[i]);
		mapped |= !c->status[i];
		KUNIT_EXPECT_EQ(test, writer_is_mapped(w, 5 * MIB), mapped);
	}
	for (i = 0; i < 2; i++)
		if (!mapped || !c->status[i])
			guest_check_byte(test, w->img, 5 * MIB + i * 8192, 4096,
					 mapped ? 1 + i : 0);
	guest_check_byte(test, w->img, 5 * MIB + 4096, 4096, 0);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 5), mapped ? run | 6 : 0);
	KUNIT_EXPECT_EQ(test, w->mf->size, mapped ? run + MIB : run);
}

/* A discard comes after the write that it met, and sharing ends. */
static void write_discarded(struct kunit *test)
{
	struct writer *w = writer_init(test);
	struct guest_write gw[2];

	writer_build(test, w);
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &gw[0], 5 * MIB, 4096), 0);
	KUNIT_ASSERT_EQ(test, guest_clear(w->img, 5), 0);
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &gw[1], 5 * MIB, 512), 0);
	KUNIT_EXPECT_NE(test, gw[0].write.extent.offset,
			gw[1].write.extent.offset);
	KUNIT_ASSERT_EQ(test, guest_fill(w->img, &gw[0], 1), 0);
	guest_end(w->img, &gw[0], 0);
	KUNIT_EXPECT_FALSE(test, writer_is_mapped(w, 5 * MIB));
	KUNIT_ASSERT_EQ(test, guest_fill(w->img, &gw[1], 2), 0);
	guest_end(w->img, &gw[1], 0);
	guest_check_byte(test, w->img, 5 * MIB, 512, 2);
	guest_check_byte(test, w->img, 5 * MIB + 512, MIB - 512, 0);
	writer_forget(w);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 5),
			gw[1].write.extent.offset | 6);
}

/* The mapping is there, and goes while another writer of the run is under way. */
static void write_discarded_published(struct kunit *test)
{
	struct writer *w = writer_init(test);
	struct guest_write gw[2];
	u64 run;

	writer_build(test, w);
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &gw[0], 5 * MIB, 4096), 0);
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &gw[1], 5 * MIB, 512), 0);
	run = gw[0].write.extent.offset;
	guest_end(w->img, &gw[0], 0);
	KUNIT_EXPECT_TRUE(test, writer_is_mapped(w, 5 * MIB));
	KUNIT_ASSERT_EQ(test, guest_clear(w->img, 5), 0);
	KUNIT_EXPECT_FALSE(test, writer_is_mapped(w, 5 * MIB));
	writer_forget(w);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	/* Not while the other may still write there. */
	KUNIT_EXPECT_NULL(test, memfile_find(w->mf, 0, MEMFILE_ZERO, run));
	KUNIT_ASSERT_EQ(test, guest_fill(w->img, &gw[1], 2), 0);
	guest_end(w->img, &gw[1], 0);
	KUNIT_EXPECT_FALSE(test, writer_is_mapped(w, 5 * MIB));
	guest_work(w->img);
	KUNIT_EXPECT_NOT_NULL(test, memfile_find(w->mf, 0, MEMFILE_ZERO, run));
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 5), 2);
}

/* Nobody has to come by for a run that nobody got. */
static void write_fails_kicks(struct kunit *test)
{
	struct writer *w = writer_init(test);
	struct guest_write gw;
	u64 run;

	writer_build(test, w);
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &gw, 5 * MIB, 512), 0);
	run = gw.write.extent.offset;
	guest_work(w->img);
	writer_forget(w);
	guest_end(w->img, &gw, -EIO);
	guest_work(w->img);
	expect_punch(test, w, run, MIB);
	expect_flush(test, w);
}

/* --- FUA ---------------------------------------------------------------------- */

static bool fua_is_durable(struct kunit *test, struct writer *w, u64 pos)
{
	struct guest_write gw = {
		.write.pos = pos,
		.write.length = 512,
		.write.fua = true,
	};

	KUNIT_ASSERT_EQ(test, guest_begin(w->img, &gw), 0);
	guest_end(w->img, &gw, 0);
	return gw.write.durable;
}

static void write_fua(struct kunit *test)
{
	static const struct builder_block blocks[] = { { 3, 6, 0 } };
	struct writer *w = writer_init(test);

	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	writer_build(test, w);
	writer_open(test, w);
	KUNIT_EXPECT_TRUE(test, fua_is_durable(test, w, 3 * MIB));
	KUNIT_EXPECT_FALSE(test, fua_is_durable(test, w, 4 * MIB));
	KUNIT_EXPECT_FALSE(test, fua_is_durable(test, w, 4 * MIB));
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	KUNIT_EXPECT_TRUE(test, fua_is_durable(test, w, 4 * MIB));
	KUNIT_EXPECT_TRUE(test, fua_is_durable(test, w, 3 * MIB));
}

struct fua_hook {
	struct kunit *test;
	struct writer *w;
	u32 asked;
};

static void ask_in_commit(struct memfile *mf,
			  const struct memfile_record *record)
{
	struct fua_hook *hook = mf->ctx;

	(void)record;
	hook->asked++;
	KUNIT_EXPECT_FALSE(hook->test, fua_is_durable(hook->test, hook->w,
						      4 * MIB));
}

/* Not durable until the commit is over, whatever of it has been written. */
static void write_fua_in_commit(struct kunit *test)
{
	struct fua_hook hook = { .test = test };
	struct writer *w = writer_init(test);

	writer_build(test, w);
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 4 * MIB, 512, 1), 0);
	hook.w = w;
	w->mf->ctx = &hook;
	w->mf->before = ask_in_commit;
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	w->mf->before = NULL;
	KUNIT_EXPECT_EQ(test, hook.asked, 6);
	KUNIT_EXPECT_TRUE(test, fua_is_durable(test, w, 4 * MIB));
}

/* --- zeroing ------------------------------------------------------------------ */

static void write_zero_in_place(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 3, 6, 0 }, { 6, 2, 0 }, { 7, 3, BUILDER_PLACE },
	};
	static const u64 holes[] = { 5, 6, 7 };
	struct writer *w = writer_init(test);
	struct guest_write gw, other;
	u32 i;

	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	writer_build(test, w);
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_zero(w->img, 3 * MIB + 512, 512), 0);
	guest_check_built(test, w->img, &w->b, 3 * MIB, 512);
	guest_check_byte(test, w->img, 3 * MIB + 512, 512, 0);
	guest_check_built(test, w->img, &w->b, 3 * MIB + 1024, MIB - 1024);

	writer_forget(w);
	for (i = 0; i < ARRAY_SIZE(holes); i++) {
		memset(&gw, 0, sizeof(gw));
		gw.write.pos = holes[i] * MIB + 512;
		gw.write.length = MIB;
		gw.write.in_place = true;
		KUNIT_ASSERT_EQ(test, guest_begin(w->img, &gw), 0);
		KUNIT_EXPECT_EQ(test, gw.write.extent.type, VHDX_EXTENT_ZERO);
		KUNIT_EXPECT_EQ(test, gw.write.extent.length, MIB - 512);
		guest_end(w->img, &gw, 0);
	}
	KUNIT_EXPECT_EQ(test, w->mf->records, 0);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	KUNIT_EXPECT_EQ(test, w->mf->records, 1);

	/* Where somebody is filling the block there is something to zero. */
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &other, 5 * MIB, MIB), 0);
	memset(&gw, 0, sizeof(gw));
	gw.write.pos = 5 * MIB;
	gw.write.length = 512;
	gw.write.in_place = true;
	KUNIT_ASSERT_EQ(test, guest_begin(w->img, &gw), 0);
	KUNIT_EXPECT_EQ(test, gw.write.extent.type, VHDX_EXTENT_FILE);
	KUNIT_EXPECT_EQ(test, gw.write.extent.offset,
			other.write.extent.offset);
	guest_end(w->img, &other, -EIO);
	KUNIT_EXPECT_FALSE(test, writer_is_mapped(w, 5 * MIB));
	guest_end(w->img, &gw, 0);
	KUNIT_EXPECT_TRUE(test, writer_is_mapped(w, 5 * MIB));
}

/* --- clearing ----------------------------------------------------------------- */

/* A run is used again after its release is durable and nobody reads it. */
static void clear_recycles(struct kunit *test)
{
	static const struct builder_block blocks[] = { { 3, 6, 0 } };
	struct writer *w = writer_init(test);
	struct guest_flush gf;
	unsigned int io;
	u64 run;

	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	writer_build(test, w);
	writer_open(test, w);
	run = w->layout.blocks_offset;
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 4 * MIB, 512, 1), 0);
	io = vhdx_read_begin(w->img);
	writer_forget(w);
	KUNIT_ASSERT_EQ(test, guest_clear(w->img, 3), 0);
	guest_check_byte(test, w->img, 3 * MIB, MIB, 0);
	guest_work(w->img);
	KUNIT_EXPECT_EQ(test, w->mf->records, 0);

	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	KUNIT_EXPECT_EQ(test, memfile_count(w->mf, MEMFILE_ZERO), 0);
	/* Later reads change nothing. */
	vhdx_read_end(w->img, vhdx_read_begin(w->img));
	guest_work(w->img);
	KUNIT_EXPECT_EQ(test, memfile_count(w->mf, MEMFILE_ZERO), 0);

	writer_forget(w);
	vhdx_read_end(w->img, io);
	guest_work(w->img);
	expect_punch(test, w, run, MIB);
	expect_flush(test, w);
	guest_begin_flush(w->img, &gf);
	guest_work(w->img);
	KUNIT_EXPECT_EQ(test, gf.answers, 1);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 3), 2);
	/* The tail is block 4's; what lay before is a gap. */
	KUNIT_EXPECT_EQ(test, writer_entry(w, 4), (run + MIB) | 6);
	KUNIT_EXPECT_EQ(test, w->mf->size, run + 2 * MIB);
}

/* Reads that begin after a side has been given up do not hold the next one. */
static void clear_sides(struct kunit *test)
{
	struct writer *w = writer_init(test);
	unsigned int io[4];
	u64 run[4];
	u32 i;

	writer_build(test, w);
	writer_open(test, w);
	for (i = 0; i < 4; i++) {
		KUNIT_ASSERT_EQ(test, guest_write(w->img, i * MIB, 512, 1), 0);
		run[i] = writer_offset(w, i * MIB);
	}
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	for (i = 0; i < 4; i++) {
		io[i] = vhdx_read_begin(w->img);
		KUNIT_ASSERT_EQ(test, guest_clear(w->img, i), 0);
		writer_forget(w);
		KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
		KUNIT_EXPECT_EQ(test, memfile_count(w->mf, MEMFILE_ZERO), 0);
		if (!i)
			continue;
		/* This one began before both were cleared. */
		vhdx_read_end(w->img, io[i - 1]);
		guest_work(w->img);
		KUNIT_EXPECT_NOT_NULL(test, memfile_find(w->mf, 0, MEMFILE_ZERO,
							 run[i - 1]));
		KUNIT_EXPECT_NULL(test, memfile_find(w->mf, 0, MEMFILE_ZERO,
						     run[i]));
	}
	vhdx_read_end(w->img, io[3]);
	guest_work(w->img);
	KUNIT_EXPECT_NOT_NULL(test, memfile_find(w->mf, 0, MEMFILE_ZERO,
						 run[3]));
}

/* To clear what is not there changes nothing. */
static void clear_nothing(struct kunit *test)
{
	static const struct builder_block blocks[] = { { 3, 2, 0 }, { 4, 3, 0 } };
	struct writer *w = writer_init(test);
	u64 block;

	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	writer_build(test, w);
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_clear(w->img, 0), 0);
	writer_forget(w);
	for (block = 0; block < 16; block++)
		KUNIT_EXPECT_EQ(test, guest_clear(w->img, block), 0);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	expect_flush(test, w);
}

/* States that may name space and have no data (MS-VHDX 2.5.1.1). */
static void write_states_with_space(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 3, 1, BUILDER_PLACE }, { 4, 3, BUILDER_PLACE },
		{ 5, 3, BUILDER_PLACE },
	};
	struct writer *w = writer_init(test);
	u64 old, block;

	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	writer_build(test, w);
	writer_open(test, w);
	old = w->layout.blocks_offset;
	guest_check_byte(test, w->img, 3 * MIB, 3 * MIB, 0);
	for (block = 3; block < 5; block++) {
		KUNIT_ASSERT_EQ(test, guest_write(w->img, block * MIB + 4096,
						  512, block), 0);
		guest_check_byte(test, w->img, block * MIB, 4096, 0);
		guest_check_byte(test, w->img, block * MIB + 4096, 512, block);
		guest_check_byte(test, w->img, block * MIB + 4608, MIB - 4608, 0);
		KUNIT_EXPECT_EQ(test, writer_offset(w, block * MIB),
				w->layout.file_size + (block - 3) * MIB);
	}
	KUNIT_ASSERT_EQ(test, guest_clear(w->img, 5), 0);
	KUNIT_EXPECT_EQ(test, memfile_count(w->mf, MEMFILE_ZERO), 0);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	for (block = 0; block < 3; block++)
		KUNIT_EXPECT_NOT_NULL(test, memfile_find(w->mf, 0, MEMFILE_ZERO,
							 old + block * MIB));
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 3), w->layout.file_size | 6);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 5), 2);
}

/* --- what is told meanwhile ----------------------------------------------------- */

static void check_counts(struct kunit *test, struct writer *w, u64 absent,
			 u64 zero, u64 unmapped, u64 present)
{
	const u64 *payload = w->img->counts.payload;

	KUNIT_EXPECT_EQ(test, payload[0], absent);
	KUNIT_EXPECT_EQ(test, payload[2], zero);
	KUNIT_EXPECT_EQ(test, payload[3], unmapped);
	KUNIT_EXPECT_EQ(test, payload[6], present);
	KUNIT_EXPECT_EQ(test, vhdx_image_allocated(w->img), present * MIB);
}

/* They change when a block does, and say the same after the next attach. */
static void write_counts(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 3, 6, 0 }, { 4, 3, BUILDER_PLACE }, { 5, 2, 0 }, { 6, 3, 0 },
	};
	struct writer *w = writer_init(test);
	struct guest_write gw[2];

	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	writer_build(test, w);
	writer_open(test, w);
	check_counts(test, w, 252, 1, 2, 1);
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &gw[0], 0, 512), 0);
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &gw[1], 512, 512), 0);
	check_counts(test, w, 252, 1, 2, 1);
	guest_end(w->img, &gw[0], 0);
	check_counts(test, w, 251, 1, 2, 2);
	guest_end(w->img, &gw[1], 0);
	check_counts(test, w, 251, 1, 2, 2);
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &gw[0], MIB, 512), 0);
	guest_end(w->img, &gw[0], -EIO);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 3 * MIB, 512, 1), 0);
	check_counts(test, w, 251, 1, 2, 2);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 4 * MIB, 3 * MIB, 1), 0);
	check_counts(test, w, 251, 0, 0, 5);
	KUNIT_ASSERT_EQ(test, guest_clear(w->img, 0), 0);
	KUNIT_ASSERT_EQ(test, guest_clear(w->img, 1), 0);
	check_counts(test, w, 251, 1, 0, 4);
	guest_finish(test, w->img);
	w->img = guest_open(test, w->mf);
	check_counts(test, w, 251, 1, 0, 4);
}

/* --- the dirty set ------------------------------------------------------------ */

/* What one entry of half a MiB holds; one page has 512 MiB of the disk. */
#define MAX_PAGES	126

static struct writer *many_pages(struct kunit *test)
{
	struct writer *w = writer_init(test);

	w->b.disk_size = (MAX_PAGES + 1) * 513 * MIB;
	writer_build(test, w);
	writer_open(test, w);
	return w;
}

/* A change that does not fit waits for a commit. */
static void write_full_set(struct kunit *test)
{
	struct writer *w = many_pages(test);
	u64 i;

	for (i = 0; i < MAX_PAGES; i++)
		KUNIT_ASSERT_EQ(test, guest_write(w->img, i * 512 * MIB, 512,
						  1), 0);
	KUNIT_EXPECT_NULL(test, memfile_find(w->mf, 0, MEMFILE_WRITE,
					     w->layout.log_offset));
	writer_forget(w);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, i * 512 * MIB, 512, 2), 0);
	writer_until(w, MEMFILE_WRITE);
	expect_write(test, w, w->layout.log_offset, (MAX_PAGES + 1) * 4096);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	guest_close(test, w->img);
	w->img = guest_open(test, w->mf);
	for (i = 0; i <= MAX_PAGES; i++)
		guest_check_byte(test, w->img, i * 512 * MIB, 512,
				 1 + (i == MAX_PAGES));
}

/* When all of it is promised to writes in flight, the end of one makes room. */
static void write_promised_set(struct kunit *test)
{
	struct writer *w = many_pages(test);
	struct guest_write *gw, more;
	u64 i;

	gw = kunit_kcalloc(test, MAX_PAGES, sizeof(*gw), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, gw);
	for (i = 0; i < MAX_PAGES; i++)
		KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &gw[i],
						     i * 512 * MIB, 512), 0);
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &more, i * 512 * MIB, 512),
			-EINPROGRESS);
	KUNIT_EXPECT_TRUE(test, more.waits);
	/* A page that is promised already takes no more room. */
	KUNIT_EXPECT_EQ(test, guest_write(w->img, MIB, 512, 3), 0);
	guest_work(w->img);

	guest_end(w->img, &gw[7], 0);
	guest_work(w->img);
	KUNIT_EXPECT_FALSE(test, more.waits);
	KUNIT_ASSERT_EQ(test, guest_begin(w->img, &more), 0);
	guest_end(w->img, &more, 0);
	for (i = 0; i < MAX_PAGES; i++)
		if (i != 7)
			guest_end(w->img, &gw[i], -EIO);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 0), 0);
	KUNIT_EXPECT_NE(test, writer_entry(w, 7 * 512), 0);
	KUNIT_EXPECT_NE(test, writer_entry(w, MAX_PAGES * 512), 0);
}

/* --- sizes ---------------------------------------------------------------------- */

/**
 * struct size_case - blocks and sectors
 * @block_size: MiB
 * @sector_size: bytes, logical
 */
struct size_case {
	u32 block_size;
	u32 sector_size;
};

static const struct size_case size_cases[] = {
	{ 1, 512 }, { 2, 512 }, { 32, 512 }, { 256, 512 },
	{ 1, 4096 }, { 32, 4096 }, { 256, 4096 },
};

static void describe_size_case(const struct size_case *c, char *desc)
{
	scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "blocks of %u MiB, sectors of %u",
		  c->block_size, c->sector_size);
}

KUNIT_ARRAY_PARAM(size_case, size_cases, describe_size_case);

/* Over the edge of a chunk, behind whose last block another entry lies. */
static void write_sizes(struct kunit *test)
{
	const struct size_case *c = test->param_value;
	struct writer *w = writer_init(test);
	u64 size = c->block_size * MIB;
	u64 ratio = 0x800000ULL * c->sector_size / size;
	u64 edge = ratio * size, run, i;
	__le64 bitmap;

	w->b.block_size = size;
	w->b.logical_sector_size = c->sector_size;
	w->b.disk_size = (ratio + 2) * size;
	writer_build(test, w);
	writer_open(test, w);
	run = w->layout.file_size;
	KUNIT_ASSERT_EQ(test, guest_write(w->img, edge - 8192, 16384, 7), 0);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, edge + 2 * size - 4096, 4096,
					  8), 0);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	guest_close(test, w->img);
	for (i = 0; i < 2; i++) {
		/* Once with the log replayed in memory, once into the file. */
		if (i)
			writer_open(test, w);
		else
			w->img = guest_open(test, w->mf);
		guest_check_byte(test, w->img, edge - 16384, 8192, 0);
		guest_check_byte(test, w->img, edge - 8192, 16384, 7);
		guest_check_byte(test, w->img, edge + 8192, 8192, 0);
		guest_check_byte(test, w->img, edge + 2 * size - 8192, 4096, 0);
		guest_check_byte(test, w->img, edge + 2 * size - 4096, 4096, 8);
		if (!i)
			guest_close(test, w->img);
	}
	guest_finish(test, w->img);
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, writer_entry(w, ratio - 1 + i),
				(run + i * size) | 6);
	memfile_read(w->mf, &bitmap, sizeof(bitmap), w->layout.bat_offset +
		     8 * builder_bitmap_index(&w->layout, 0));
	KUNIT_EXPECT_EQ(test, le64_to_cpu(bitmap), 0);
}

static struct kunit_case image_write_cases[] = {
	KUNIT_CASE(write_nothing),
	KUNIT_CASE(write_only_flush),
	KUNIT_CASE(write_first_change),
	KUNIT_CASE(write_first_change_race),
	KUNIT_CASE(write_allocates),
	KUNIT_CASE(write_appends),
	KUNIT_CASE(write_over),
	KUNIT_CASE(write_fails),
	KUNIT_CASE_PARAM(write_pair, pair_case_gen_params),
	KUNIT_CASE(write_discarded),
	KUNIT_CASE(write_discarded_published),
	KUNIT_CASE(write_fails_kicks),
	KUNIT_CASE(write_fua),
	KUNIT_CASE(write_fua_in_commit),
	KUNIT_CASE(write_zero_in_place),
	KUNIT_CASE(clear_recycles),
	KUNIT_CASE(clear_sides),
	KUNIT_CASE(clear_nothing),
	KUNIT_CASE(write_states_with_space),
	KUNIT_CASE(write_counts),
	KUNIT_CASE(write_full_set),
	KUNIT_CASE(write_promised_set),
	KUNIT_CASE_PARAM(write_sizes, size_case_gen_params),
	{}
};

static struct kunit_suite image_write_suite = {
	.name = "vhdx_image_write",
	.test_cases = image_write_cases,
};

kunit_test_suite(image_write_suite);
