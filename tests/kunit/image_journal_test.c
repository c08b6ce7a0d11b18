// SPDX-License-Identifier: GPL-2.0
/*
 * The journal: what a commit, a checkpoint, a replay and a detach leave in the
 * file, and what comes of failures. tests/image/crash.c has the power cuts.
 */
#include <kunit/test.h>

#include "builder_log.h"
#include "guest.h"
#include "writer_test.h"

#define MIB		VHDX_MIB
#define HALF		0x80000U
/* An entry with one page: the descriptors' sector and the data's. */
#define ONE_PAGE	8192U

static const struct builder_block one_block[] = { { 3, 6, 0 } };

/* A block that is there, and 256 others. */
static struct writer *one_init(struct kunit *test)
{
	struct writer *w = writer_init(test);

	w->b.disk_size = 257 * MIB;
	w->b.block = one_block;
	w->b.blocks = ARRAY_SIZE(one_block);
	return w;
}

static struct writer *one_open(struct kunit *test)
{
	struct writer *w = one_init(test);

	writer_build(test, w);
	writer_open(test, w);
	return w;
}

static bool log_is_clean(struct writer *w)
{
	struct vhdx_header header[2];

	writer_header(w, 0, &header[0]);
	writer_header(w, 1, &header[1]);
	return guid_is_null(&header[0].log_guid) &&
	       guid_is_null(&header[1].log_guid);
}

/* LogVersion means nothing while there is no log. Then there is one, of ours. */
static void journal_log_version(struct kunit *test)
{
	struct writer *w = one_open(test);
	struct vhdx_header header;
	u32 i;

	for (i = 0; i < 2; i++)
		w->img->headers.slot[i].log_version = 7;
	KUNIT_ASSERT_EQ(test, 0, guest_write(w->img, 0, 4096, 1));
	KUNIT_ASSERT_EQ(test, 0, guest_flush(w->img));
	KUNIT_EXPECT_FALSE(test, log_is_clean(w));
	for (i = 0; i < 2; i++) {
		writer_header(w, i, &header);
		KUNIT_EXPECT_EQ(test, header.log_version, VHDX_LOG_VERSION);
	}
	guest_finish(test, w->img);
}

/* --- generations --------------------------------------------------------------- */

#define COMMITS	200

/*
 * Entries lie one after the other in a half and never wrap; the next generation
 * takes the other half.
 */
static void journal_generations(struct kunit *test)
{
	u32 generations = 0, half = 1, entries = 0, i;
	struct writer *w = one_open(test);
	u64 sequence_number = 0;
	guid_t known = {};

	for (i = 0; i < COMMITS; i++) {
		const struct vhdx_log_sequence *sequence;
		struct vhdx_image *img;

		KUNIT_ASSERT_EQ(test, guest_write(w->img, (i + 4) * MIB, 512,
						  i | 1), 0);
		KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
		img = guest_open(test, w->mf);
		KUNIT_ASSERT_TRUE(test, img->log.dirty);
		sequence = &img->log.sequence;
		if (!guid_equal(&known, &vhdx_image_header(img)->log_guid)) {
			known = vhdx_image_header(img)->log_guid;
			generations++;
			half = !half;
			entries = 0;
		}
		entries++;
		KUNIT_ASSERT_EQ(test, sequence->tail.offset, half * HALF);
		KUNIT_ASSERT_EQ(test, sequence->head.tail, half * HALF);
		KUNIT_ASSERT_EQ(test, sequence->head.offset,
				half * HALF + (entries - 1) * ONE_PAGE);
		KUNIT_ASSERT_EQ(test, sequence->head.entry_length, ONE_PAGE);
		KUNIT_ASSERT_EQ(test, sequence->count, entries);
		KUNIT_ASSERT_EQ(test, sequence->head.sequence_number,
				++sequence_number);
		KUNIT_ASSERT_EQ(test, sequence->head.flushed_file_offset,
				w->mf->size);
		KUNIT_ASSERT_EQ(test, sequence->head.last_file_offset,
				w->mf->size);
		guest_check_byte(test, img, (i + 4) * MIB, 512, i | 1);
		guest_close(test, img);
	}
	/* 64 entries in half a MiB. */
	KUNIT_EXPECT_EQ(test, generations, (COMMITS + 63) / 64);
	guest_finish(test, w->img);
	KUNIT_EXPECT_TRUE(test, log_is_clean(w));
	for (i = 0; i < COMMITS; i++)
		KUNIT_ASSERT_NE(test, writer_entry(w, i + 4), 0);
}

/* Pages that the new generation does not repeat go in place before it. */
static void journal_checkpoint(struct kunit *test)
{
	struct writer *w = writer_init(test);
	u64 i;

	w->b.disk_size = 1024 * MIB;
	writer_build(test, w);
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 600 * MIB, 512, 9), 0);
	KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
	for (i = 0; i < 63; i++) {
		KUNIT_ASSERT_EQ(test, guest_write(w->img, i * MIB, 512, 1), 0);
		KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
	}
	KUNIT_EXPECT_EQ(test, writer_entry(w, 600), 0);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 100 * MIB, 512, 1), 0);
	guest_work(w->img);
	writer_forget(w);
	KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
	expect_write(test, w, w->layout.bat_offset + 4096, 4096);
	expect_write(test, w, w->layout.log_offset + HALF, ONE_PAGE);
	expect_flush(test, w);
	expect_write(test, w, VHDX_HEADER_1_OFFSET, 4096);
	expect_flush(test, w);
	expect_write(test, w, VHDX_HEADER_2_OFFSET, 4096);
	expect_flush(test, w);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 600), writer_offset(w, 600 * MIB) | 6);
	/* That one is in the log, and not in place. */
	KUNIT_EXPECT_EQ(test, writer_entry(w, 0), 0);
}

/**
 * struct hook - what happens while a commit writes its entry
 * @w: whose
 * @gw: a write that ends then
 * @gf: a flush that comes behind it
 * @done: it has happened
 * @answered: the flush was answered before the commit was over
 */
struct hook {
	struct writer *w;
	struct guest_write gw;
	struct guest_flush gf;
	bool done;
	bool answered;
};

static void end_in_commit(struct memfile *mf,
			  const struct memfile_record *record)
{
	struct hook *hook = mf->ctx;

	if (hook->done) {
		hook->answered |= hook->gf.answers;
		return;
	}
	if (record->op != MEMFILE_WRITE)
		return;
	hook->done = true;
	guest_end(hook->w->img, &hook->gw, 0);
	guest_begin_flush(hook->w->img, &hook->gf);
}

/* What comes while a commit runs is the next one's, and one is enough for all. */
static void journal_joins(struct kunit *test)
{
	struct writer *w = one_open(test);
	struct guest_flush gf[3];
	struct hook hook = { .w = w };
	u32 i;

	KUNIT_ASSERT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, MIB, 512, 1), 0);
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &hook.gw, 2 * MIB, 512), 0);
	KUNIT_ASSERT_EQ(test, guest_fill(w->img, &hook.gw, 2), 0);
	guest_work(w->img);
	writer_forget(w);
	w->mf->ctx = &hook;
	w->mf->before = end_in_commit;
	for (i = 0; i < ARRAY_SIZE(gf); i++)
		guest_begin_flush(w->img, &gf[i]);
	KUNIT_EXPECT_EQ(test, w->mf->records, 0);
	guest_work(w->img);
	w->mf->before = NULL;
	for (i = 0; i < ARRAY_SIZE(gf); i++) {
		KUNIT_EXPECT_EQ(test, gf[i].answers, 1);
		KUNIT_EXPECT_EQ(test, gf[i].ret, 0);
	}
	KUNIT_EXPECT_TRUE(test, hook.done);
	KUNIT_EXPECT_FALSE(test, hook.answered);
	KUNIT_EXPECT_EQ(test, hook.gf.answers, 1);
	KUNIT_EXPECT_EQ(test, hook.gf.ret, 0);
	expect_write(test, w, w->layout.log_offset + ONE_PAGE, ONE_PAGE);
	expect_flush(test, w);
	expect_write(test, w, w->layout.log_offset + 2 * ONE_PAGE, ONE_PAGE);
	expect_flush(test, w);
	KUNIT_EXPECT_EQ(test, w->mf->records, 4);
}

/* --- failures ------------------------------------------------------------------- */

/* A full host fails the waiters; the retry goes to the same place. */
static void check_no_space(struct kunit *test, struct writer *w, u64 at,
			   u64 sequence_number)
{
	const struct memfile_record *first;
	struct vhdx_image *img;

	writer_forget(w);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_WRITE,
		.from = w->layout.log_offset,
		.to = w->layout.log_offset + MIB,
		.times = 1,
		.errnum = -ENOSPC,
	};
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), -ENOSPC);
	KUNIT_EXPECT_EQ(test, vhdx_image_failed(w->img), 0);
	first = memfile_find(w->mf, 0, MEMFILE_WRITE, at);
	KUNIT_ASSERT_NOT_NULL(test, first);
	KUNIT_EXPECT_EQ(test, first->ret, -ENOSPC);
	writer_forget(w);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	KUNIT_EXPECT_NOT_NULL(test, memfile_find(w->mf, 0, MEMFILE_WRITE, at));
	img = guest_open(test, w->mf);
	KUNIT_EXPECT_EQ(test, img->log.sequence.head.sequence_number,
			sequence_number);
	guest_close(test, img);
}

static void journal_no_space(struct kunit *test)
{
	struct writer *w = one_open(test);
	u64 i;

	/* The first of a generation, one behind it, the first of the next. */
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	check_no_space(test, w, w->layout.log_offset, 1);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, MIB, 512, 2), 0);
	check_no_space(test, w, w->layout.log_offset + ONE_PAGE, 2);
	for (i = 2; i < 64; i++) {
		KUNIT_ASSERT_EQ(test, guest_write(w->img, (i + 2) * MIB, 512,
						  3), 0);
		KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
	}
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 100 * MIB, 512, 4), 0);
	check_no_space(test, w, w->layout.log_offset + HALF, 65);
	guest_close(test, w->img);
	w->img = guest_open(test, w->mf);
	guest_check_byte(test, w->img, 0, 512, 1);
	guest_check_byte(test, w->img, MIB, 512, 2);
	guest_check_byte(test, w->img, 65 * MIB, 512, 3);
	guest_check_byte(test, w->img, 100 * MIB, 512, 4);
}

/* A run whose release is not durable is not used, however often that fails. */
static void journal_no_space_frees(struct kunit *test)
{
	struct writer *w = one_open(test);

	KUNIT_ASSERT_EQ(test, guest_clear(w->img, 3), 0);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_WRITE, .times = 2, .errnum = -ENOSPC,
	};
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), -ENOSPC);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), -ENOSPC);
	KUNIT_EXPECT_EQ(test, memfile_count(w->mf, MEMFILE_ZERO), 0);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	KUNIT_EXPECT_NOT_NULL(test, memfile_find(w->mf, 0, MEMFILE_ZERO,
						 w->layout.blocks_offset));
}

/* What nobody asks a flush for is tried again when the owner finds that it must. */
static void journal_no_space_again(struct kunit *test)
{
	struct writer *w = one_open(test);

	KUNIT_ASSERT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	KUNIT_EXPECT_FALSE(test, vhdx_image_wants_commit(w->img));
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_WRITE, .times = 1, .errnum = -ENOSPC,
	};
	vhdx_image_commit(w->img);
	guest_work(w->img);
	KUNIT_EXPECT_EQ(test, w->img->stats.commits, 0);
	KUNIT_EXPECT_TRUE(test, vhdx_image_wants_commit(w->img));
	vhdx_image_commit(w->img);
	guest_work(w->img);
	KUNIT_EXPECT_EQ(test, w->img->stats.commits, 1);
	KUNIT_EXPECT_EQ(test, w->img->stats.generations, 1);
	KUNIT_EXPECT_FALSE(test, vhdx_image_wants_commit(w->img));
}

/* At detach nobody can be told later: the log stays. */
static void journal_no_space_finish(struct kunit *test)
{
	struct writer *w = one_open(test);

	KUNIT_ASSERT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, MIB, 512, 2), 0);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_WRITE, .times = 1, .errnum = -ENOSPC,
	};
	KUNIT_EXPECT_EQ(test, vhdx_image_finish(w->img), -ENOSPC);
	KUNIT_EXPECT_FALSE(test, log_is_clean(w));
	/* With room it goes. */
	KUNIT_EXPECT_EQ(test, vhdx_image_finish(w->img), 0);
	KUNIT_EXPECT_TRUE(test, log_is_clean(w));
	KUNIT_EXPECT_NE(test, writer_entry(w, 1), 0);
}

/**
 * struct latch_case - an operation that fails at a flush
 * @name: for people
 * @commits: done before
 * @op: fails
 * @skip: of these first
 */
struct latch_case {
	const char *name;
	u32 commits;
	enum memfile_op op;
	u32 skip;
};

static const struct latch_case latch_cases[] = {
	{ "the first entry", 0, MEMFILE_WRITE, 0 },
	{ "its flush", 0, MEMFILE_FLUSH, 0 },
	{ "the first header that names it", 0, MEMFILE_WRITE, 1 },
	{ "its flush", 0, MEMFILE_FLUSH, 1 },
	{ "the second header", 0, MEMFILE_WRITE, 2 },
	{ "its flush", 0, MEMFILE_FLUSH, 2 },
	{ "an entry behind it", 1, MEMFILE_WRITE, 0 },
	{ "its flush", 1, MEMFILE_FLUSH, 0 },
	{ "a page in place", 64, MEMFILE_WRITE, 0 },
	{ "the next generation's entry", 64, MEMFILE_WRITE, 1 },
	{ "its flush", 64, MEMFILE_FLUSH, 0 },
	{ "its second header", 64, MEMFILE_WRITE, 3 },
};

static void describe_latch_case(const struct latch_case *c, char *desc)
{
	scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s, %u commits before", c->name,
		  c->commits);
}

KUNIT_ARRAY_PARAM(latch_case, latch_cases, describe_latch_case);

/* Nobody knows what the file holds: it is not touched any more. */
static void check_latched(struct kunit *test, struct writer *w)
{
	struct guest_write gw;

	KUNIT_EXPECT_EQ(test, vhdx_image_failed(w->img), -EIO);
	writer_forget(w);
	KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, 3 * MIB, 512), -EIO);
	KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, 9 * MIB, 512), -EIO);
	KUNIT_EXPECT_EQ(test, guest_zero(w->img, 3 * MIB, 512), -EIO);
	KUNIT_EXPECT_EQ(test, guest_clear(w->img, 3), -EIO);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), -EIO);
	vhdx_image_commit(w->img);
	guest_work(w->img);
	KUNIT_EXPECT_EQ(test, vhdx_image_finish(w->img), -EIO);
	KUNIT_EXPECT_EQ(test, w->mf->records, 0);
}

static void journal_latches(struct kunit *test)
{
	const struct latch_case *c = test->param_value;
	struct writer *w = one_init(test);
	struct guest_flush late;
	u32 i;

	w->b.disk_size = 1024 * MIB;
	writer_build(test, w);
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 600 * MIB, 512, 1), 0);
	for (i = 0; i < c->commits; i++) {
		KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
		KUNIT_ASSERT_EQ(test, guest_write(w->img, (i + 4) * MIB, 512,
						  1), 0);
	}
	guest_work(w->img);
	writer_forget(w);
	w->mf->fault = (struct memfile_fault){
		.ops = c->op, .skip = c->skip, .times = 1, .errnum = -EIO,
	};
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), -EIO);
	KUNIT_EXPECT_EQ(test, w->mf->fault.times, 0);
	KUNIT_EXPECT_EQ(test, w->mf->record[w->mf->records - 1].ret, -EIO);
	guest_begin_flush(w->img, &late);
	KUNIT_EXPECT_EQ(test, late.answers, 1);
	KUNIT_EXPECT_EQ(test, late.ret, -EIO);
	check_latched(test, w);
	/* What was flushed is there all the same. */
	guest_close(test, w->img);
	w->img = guest_open(test, w->mf);
	if (c->commits)
		guest_check_byte(test, w->img, 600 * MIB, 512, 1);
	for (i = 0; i + 1 < c->commits; i++)
		guest_check_byte(test, w->img, (i + 4) * MIB, 512, 1);
}

/* A flush of data alone, and one for a new size, are no different. */
static void journal_latches_data(struct kunit *test)
{
	struct writer *w = one_open(test);
	struct guest_write gw;

	KUNIT_ASSERT_EQ(test, guest_write(w->img, 3 * MIB, 512, 1), 0);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_FLUSH, .times = 1, .errnum = -EIO,
	};
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), -EIO);
	check_latched(test, w);
	guest_close(test, w->img);

	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 3 * MIB, 512, 1), 0);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_FLUSH, .times = 1, .errnum = -EIO,
	};
	KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, 9 * MIB, 512), -EIO);
	check_latched(test, w);
}

/* A write in flight when it happens ends; its block is not logged. */
static void journal_latches_others(struct kunit *test)
{
	struct writer *w = one_open(test);
	struct guest_write over, fresh;

	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &over, 3 * MIB, 512), 0);
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &fresh, 9 * MIB, 512), 0);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_FLUSH, .times = 1, .errnum = -EIO,
	};
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), -EIO);
	writer_forget(w);
	guest_end(w->img, &over, 0);
	guest_end(w->img, &fresh, 0);
	guest_work(w->img);
	KUNIT_EXPECT_EQ(test, w->mf->records, 0);
	check_latched(test, w);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 9), 0);
}

/* A run that waits to be punched is left alone. */
static void journal_latches_freed(struct kunit *test)
{
	struct writer *w = one_open(test);
	unsigned int io = vhdx_read_begin(w->img);

	KUNIT_ASSERT_EQ(test, guest_clear(w->img, 3), 0);
	KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	guest_work(w->img);
	vhdx_read_end(w->img, io);
	writer_forget(w);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_FLUSH, .times = 1, .errnum = -EIO,
	};
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), -EIO);
	KUNIT_EXPECT_EQ(test, w->mf->record[w->mf->records - 1].ret, -EIO);
	KUNIT_EXPECT_EQ(test, memfile_count(w->mf, MEMFILE_ZERO), 0);
	check_latched(test, w);
}

/* The first change fails at each of its operations: no header is lost. */
static void journal_first_change_fails(struct kunit *test)
{
	struct writer *w = one_init(test);
	struct guest_write gw;
	u32 n;
	int ret;

	w->b.log_length = 0;
	for (n = 0; ; n++) {
		writer_build(test, w);
		writer_open(test, w);
		w->mf->fault = (struct memfile_fault){
			.ops = ~0U, .skip = n, .times = 1, .errnum = -EIO,
		};
		ret = guest_begin_at(w->img, &gw, 3 * MIB, 512);
		if (!ret)
			break;
		KUNIT_EXPECT_EQ_MSG(test, ret, -EIO, "operation %u", n);
		KUNIT_EXPECT_EQ(test, w->mf->fault.times, 0);
		guest_work(w->img);
		guest_close(test, w->img);
		writer_open(test, w);
		guest_check_built(test, w->img, &w->b, 3 * MIB, MIB);
		KUNIT_EXPECT_EQ(test, guest_write(w->img, 3 * MIB, 512, 1), 0);
		guest_finish(test, w->img);
		memfile_destroy(w->mf);
	}
	guest_end(w->img, &gw, 0);
	/* guids: 5; the log's room, its flush, its headers 4; allocate 1 */
	KUNIT_EXPECT_EQ(test, n, 12);
}

/* --- no log, and a file that ends too early ---------------------------------------- */

static void journal_makes_log(struct kunit *test)
{
	struct writer *w = one_init(test);
	struct vhdx_header header;
	u64 at;

	w->b.log_length = 0;
	writer_build(test, w);
	writer_open(test, w);
	at = w->layout.file_size;
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 3 * MIB, 512, 1), 0);
	writer_skip(w, 5);
	expect_allocate(test, w, at, MIB);
	expect_flush(test, w);
	expect_write(test, w, VHDX_HEADER_1_OFFSET, 4096);
	expect_flush(test, w);
	expect_write(test, w, VHDX_HEADER_2_OFFSET, 4096);
	expect_flush(test, w);
	expect_allocate(test, w, at, MIB);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 9 * MIB, 512, 2), 0);
	KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
	KUNIT_EXPECT_EQ(test, writer_offset(w, 9 * MIB), at + MIB);
	guest_close(test, w->img);
	w->img = guest_open(test, w->mf);
	KUNIT_EXPECT_TRUE(test, w->img->log.dirty);
	guest_check_byte(test, w->img, 9 * MIB, 512, 2);
	guest_close(test, w->img);
	writer_open(test, w);
	guest_finish(test, w->img);
	writer_header(w, 0, &header);
	KUNIT_EXPECT_EQ(test, header.log_offset, at);
	KUNIT_EXPECT_EQ(test, header.log_length, MIB);
	KUNIT_EXPECT_TRUE(test, log_is_clean(w));
}

/* The last block may end past the end of a file; ours has it all. */
static void journal_covers_last_block(struct kunit *test)
{
	struct writer *w = one_init(test);
	u64 end;

	w->b.block_size = 32 * MIB;
	w->b.disk_size = 128 * MIB;
	w->b.data_bytes = 4096;
	w->b.cut = 20 * MIB + 512;
	writer_build(test, w);
	writer_open(test, w);
	end = w->layout.blocks_offset + 32 * MIB;
	KUNIT_EXPECT_EQ(test, w->img->file_size, end - w->b.cut);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 127 * MIB, MIB, 5), 0);
	writer_skip(w, 5);
	expect_allocate(test, w, end - w->b.cut, w->b.cut);
	expect_flush(test, w);
	expect_allocate(test, w, w->layout.log_offset, MIB);
	KUNIT_EXPECT_EQ(test, w->img->file_size, end);
	KUNIT_EXPECT_EQ(test, w->mf->size, end);
	guest_check_byte(test, w->img, 127 * MIB, MIB, 5);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, w->mf->size, end);
}

/* --- what is told of it ----------------------------------------------------------------- */

static void journal_log_state(struct kunit *test)
{
	struct writer *w = one_open(test);

	KUNIT_EXPECT_EQ(test, vhdx_image_log_state(w->img), VHDX_LOG_CLEAN);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, vhdx_image_log_state(w->img), VHDX_LOG_CLEAN);
	KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
	KUNIT_EXPECT_EQ(test, vhdx_image_log_state(w->img), VHDX_LOG_DIRTY);
	KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
	KUNIT_EXPECT_EQ(test, vhdx_image_log_state(w->img), VHDX_LOG_DIRTY);
	guest_close(test, w->img);

	w->img = guest_open(test, w->mf);
	KUNIT_EXPECT_EQ(test, vhdx_image_log_state(w->img), VHDX_LOG_REPLAYED);
	guest_close(test, w->img);
	writer_open(test, w);
	KUNIT_EXPECT_EQ(test, vhdx_image_log_state(w->img), VHDX_LOG_CLEAN);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, MIB, 512, 1), 0);
	KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
	KUNIT_EXPECT_EQ(test, vhdx_image_finish(w->img), 0);
	KUNIT_EXPECT_EQ(test, vhdx_image_log_state(w->img), VHDX_LOG_CLEAN);
	guest_close(test, w->img);
	w->img = guest_open(test, w->mf);
	KUNIT_EXPECT_EQ(test, vhdx_image_log_state(w->img), VHDX_LOG_CLEAN);
	guest_close(test, w->img);

	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_FLUSH, .times = 1, .errnum = -EIO,
	};
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), -EIO);
	KUNIT_EXPECT_EQ(test, vhdx_image_log_state(w->img), VHDX_LOG_FAILED);
}

/* --- detach and replay ---------------------------------------------------------------- */

static void journal_finish(struct kunit *test)
{
	struct writer *w = one_open(test);
	u64 run = w->layout.file_size;

	KUNIT_ASSERT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
	guest_work(w->img);
	writer_forget(w);
	KUNIT_EXPECT_EQ(test, vhdx_image_finish(w->img), 0);
	expect_write(test, w, w->layout.bat_offset, 4096);
	expect_flush(test, w);
	expect_write(test, w, VHDX_HEADER_1_OFFSET, 4096);
	expect_flush(test, w);
	expect_write(test, w, VHDX_HEADER_2_OFFSET, 4096);
	expect_flush(test, w);
	expect_resize(test, w, run + MIB);
	KUNIT_EXPECT_EQ(test, w->mf->records, 7);
	KUNIT_EXPECT_TRUE(test, log_is_clean(w));
	KUNIT_EXPECT_EQ(test, w->mf->size, run + MIB);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 0), run | 6);
	guest_close(test, w->img);
	w->img = guest_open(test, w->mf);
	KUNIT_EXPECT_FALSE(test, w->img->log.dirty);
	guest_check_byte(test, w->img, 0, 512, 1);
}

/* With no page to put in place, what was written is flushed all the same. */
static void journal_finish_flushes(struct kunit *test)
{
	struct writer *w = one_open(test);

	KUNIT_ASSERT_EQ(test, guest_write(w->img, 3 * MIB, 512, 1), 0);
	writer_forget(w);
	KUNIT_EXPECT_EQ(test, vhdx_image_finish(w->img), 0);
	expect_flush(test, w);
	guest_close(test, w->img);

	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 3 * MIB, 512, 1), 0);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_FLUSH, .times = 1, .errnum = -EIO,
	};
	KUNIT_EXPECT_EQ(test, vhdx_image_finish(w->img), -EIO);
	KUNIT_EXPECT_EQ(test, vhdx_image_failed(w->img), -EIO);
}

/* Each operation of a detach fails: an error, and a log to replay or a clean file. */
static void journal_finish_fails(struct kunit *test)
{
	struct writer *w;
	u32 n;

	for (n = 0; n < 6; n++) {
		w = one_open(test);
		KUNIT_ASSERT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
		KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
		guest_work(w->img);
		writer_forget(w);
		w->mf->fault = (struct memfile_fault){
			.ops = ~0U, .skip = n, .times = 1, .errnum = -EIO,
		};
		KUNIT_EXPECT_EQ_MSG(test, vhdx_image_finish(w->img), -EIO,
				    "operation %u", n);
		KUNIT_EXPECT_EQ(test, w->mf->records, n + 1);
		guest_close(test, w->img);
		w->img = guest_open(test, w->mf);
		guest_check_byte(test, w->img, 0, 512, 1);
		guest_close(test, w->img);
	}
}

static struct writer *dirty_init(struct kunit *test)
{
	struct writer *w = one_open(test);

	KUNIT_ASSERT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	KUNIT_ASSERT_EQ(test, guest_clear(w->img, 3), 0);
	KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
	guest_close(test, w->img);
	return w;
}

/* A dirty log that is only read stays as it is. */
static void journal_dirty_read_only(struct kunit *test)
{
	struct writer *w = dirty_init(test);
	u32 before = memfile_checksum(w->mf);

	writer_forget(w);
	w->img = guest_open(test, w->mf);
	KUNIT_EXPECT_TRUE(test, w->img->log.dirty);
	guest_check_byte(test, w->img, 0, 512, 1);
	guest_close(test, w->img);
	KUNIT_EXPECT_EQ(test, w->mf->records, 0);
	KUNIT_EXPECT_EQ(test, memfile_checksum(w->mf), before);
}

/* Who does not want it replayed hears of it, and the file stays as it is. */
static void journal_no_replay(struct kunit *test)
{
	static const unsigned int how[] = { 0, VHDX_OPEN_WRITE };
	struct writer *w = dirty_init(test);
	u32 before = memfile_checksum(w->mf), i;
	struct vhdx_error err;
	struct vhdx_image *img;

	for (i = 0; i < 2; i++) {
		writer_forget(w);
		img = NULL;
		KUNIT_EXPECT_EQ(test, -EUCLEAN,
				vhdx_image_open(&w->mf->file,
						how[i] | VHDX_OPEN_NO_REPLAY,
						&img, &err));
		KUNIT_EXPECT_NULL(test, img);
		KUNIT_EXPECT_EQ(test, err.errnum, -EUCLEAN);
		KUNIT_EXPECT_STREQ(test, err.structure, "log");
		KUNIT_EXPECT_STREQ(test, err.reason,
				   "dirty: it must be replayed first");
		KUNIT_EXPECT_EQ(test, err.offset, w->layout.log_offset);
		KUNIT_EXPECT_EQ(test, w->mf->records, 0);
		KUNIT_EXPECT_EQ(test, memfile_checksum(w->mf), before);
	}
	/* A clean one is none of that. */
	writer_open(test, w);
	guest_finish(test, w->img);
	for (i = 0; i < 2; i++) {
		KUNIT_ASSERT_EQ(test, 0,
				vhdx_image_open(&w->mf->file,
						how[i] | VHDX_OPEN_NO_REPLAY,
						&img, &err));
		vhdx_image_close(img);
	}
}

static void journal_replays(struct kunit *test)
{
	struct vhdx_header before, header[2];
	struct writer *w = dirty_init(test);
	u64 run = w->layout.file_size;
	u32 i;

	writer_header(w, 1, &before);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 0), 0);
	writer_forget(w);
	w->img = guest_open_writable(test, w->mf, w->parent);
	expect_flush(test, w);
	expect_write(test, w, VHDX_HEADER_1_OFFSET, 4096);
	expect_flush(test, w);
	expect_write(test, w, VHDX_HEADER_2_OFFSET, 4096);
	expect_flush(test, w);
	expect_write(test, w, w->layout.bat_offset, 4096);
	expect_flush(test, w);
	expect_write(test, w, VHDX_HEADER_1_OFFSET, 4096);
	expect_flush(test, w);
	expect_write(test, w, VHDX_HEADER_2_OFFSET, 4096);
	expect_flush(test, w);
	KUNIT_EXPECT_EQ(test, w->mf->records, 11);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 0), run | 6);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 3), 2);
	for (i = 0; i < 2; i++) {
		writer_header(w, i, &header[i]);
		KUNIT_EXPECT_TRUE(test, guid_is_null(&header[i].log_guid));
		/* A guest reads what it would have read: no new DataWriteGuid. */
		KUNIT_EXPECT_TRUE(test, guid_equal(&header[i].data_write_guid,
						   &before.data_write_guid));
		KUNIT_EXPECT_FALSE(test,
				   guid_equal(&header[i].file_write_guid,
					      &before.file_write_guid));
	}
	guest_check_byte(test, w->img, 0, 512, 1);
	guest_check_byte(test, w->img, 3 * MIB, MIB, 0);
	/* The next change is guest-visible, and the numbers go on. */
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 9 * MIB, 512, 4), 0);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	writer_header(w, 0, &header[0]);
	KUNIT_EXPECT_FALSE(test, guid_equal(&header[0].data_write_guid,
					    &before.data_write_guid));
	guest_close(test, w->img);
	w->img = guest_open(test, w->mf);
	KUNIT_EXPECT_EQ(test, w->img->log.sequence.head.sequence_number, 2);
	guest_check_byte(test, w->img, 0, 512, 1);
	guest_check_byte(test, w->img, 9 * MIB, 512, 4);
}

/* Each operation of a replay fails: a clean error, and the next replay is right. */
static void journal_replay_fails(struct kunit *test)
{
	struct vhdx_image *img = NULL;
	struct vhdx_error err;
	struct writer *w;
	u32 n;

	for (n = 0; n < 11; n++) {
		w = dirty_init(test);
		writer_forget(w);
		w->mf->fault = (struct memfile_fault){
			.ops = ~0U, .skip = n, .times = 1, .errnum = -EIO,
		};
		KUNIT_ASSERT_EQ_MSG(test, -EIO,
				    vhdx_image_open(&w->mf->file,
						    VHDX_OPEN_WRITE, &img,
						    &err),
				    "operation %u", n);
		KUNIT_EXPECT_STREQ(test, err.structure, "log");
		KUNIT_EXPECT_EQ(test, err.offset, w->layout.log_offset);
		KUNIT_EXPECT_EQ(test, w->mf->records, n + 1);
		writer_open(test, w);
		guest_check_byte(test, w->img, 0, 512, 1);
		guest_check_byte(test, w->img, 3 * MIB, MIB, 0);
		guest_finish(test, w->img);
		KUNIT_EXPECT_EQ(test, writer_entry(w, 0),
				w->layout.file_size | 6);
		/* The current slot counts; the other may have failed. */
		w->img = guest_open(test, w->mf);
		KUNIT_EXPECT_FALSE(test, w->img->log.dirty);
		guest_close(test, w->img);
	}
}

/* The headers' numbers have to last. */
static void journal_sequence_number(struct kunit *test)
{
	struct vhdx_image *img = NULL;
	struct vhdx_error err;
	struct writer *w;

	w = one_init(test);
	w->b.sequence_number = U64_MAX / 2 - 1;
	writer_build(test, w);
	writer_open(test, w);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	guest_finish(test, w->img);
	w->img = guest_open(test, w->mf);
	guest_check_byte(test, w->img, 0, 512, 1);

	w = one_init(test);
	w->b.sequence_number = U64_MAX / 2;
	writer_build(test, w);
	guest_close(test, guest_open(test, w->mf));
	KUNIT_EXPECT_EQ(test, -EUCLEAN,
			vhdx_image_open(&w->mf->file, VHDX_OPEN_WRITE, &img,
					&err));
	KUNIT_EXPECT_STREQ(test, err.structure, "header");
	KUNIT_EXPECT_STREQ(test, err.field, "SequenceNumber");
	KUNIT_EXPECT_EQ(test, err.offset, VHDX_HEADER_2_OFFSET);
	KUNIT_EXPECT_EQ(test, w->mf->records, 0);
}

/* A log's last number may be the highest there is: the next begins anew. */
static void journal_entry_number(struct kunit *test)
{
	struct writer *w = one_init(test);
	struct log_update update = {};
	struct builder_sink sink;
	struct log_spec spec;
	u8 *page;

	w->b.log_guid = builder_log_guid;
	writer_build(test, w);
	page = kunit_kzalloc(test, 4096, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, page);
	memfile_read(w->mf, page, 4096, w->layout.bat_offset);
	update.file_offset = w->layout.bat_offset;
	update.data = page;
	spec = (struct log_spec){
		.guid = builder_log_guid,
		.sequence_number = U64_MAX,
		.flushed_file_offset = w->layout.file_size,
		.last_file_offset = w->layout.file_size,
		.update = &update,
		.updates = 1,
	};
	sink = memfile_sink(w->mf);
	KUNIT_ASSERT_EQ(test, 0, log_spec_write(&sink, &w->layout, &spec));
	writer_open(test, w);
	guest_check_built(test, w->img, &w->b, 3 * MIB, MIB);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	guest_close(test, w->img);
	w->img = guest_open(test, w->mf);
	KUNIT_EXPECT_EQ(test, w->img->log.sequence.head.sequence_number, 1);
	guest_check_byte(test, w->img, 0, 512, 1);
}

static struct kunit_case image_journal_cases[] = {
	KUNIT_CASE_SLOW(journal_generations),
	KUNIT_CASE(journal_log_version),
	KUNIT_CASE(journal_checkpoint),
	KUNIT_CASE(journal_joins),
	KUNIT_CASE(journal_no_space),
	KUNIT_CASE(journal_no_space_frees),
	KUNIT_CASE(journal_no_space_again),
	KUNIT_CASE(journal_no_space_finish),
	KUNIT_CASE_PARAM_ATTR(journal_latches, latch_case_gen_params,
			      {KUNIT_SPEED_SLOW}),
	KUNIT_CASE(journal_latches_data),
	KUNIT_CASE(journal_latches_others),
	KUNIT_CASE(journal_latches_freed),
	KUNIT_CASE_SLOW(journal_first_change_fails),
	KUNIT_CASE(journal_makes_log),
	KUNIT_CASE(journal_covers_last_block),
	KUNIT_CASE(journal_log_state),
	KUNIT_CASE(journal_finish),
	KUNIT_CASE(journal_finish_flushes),
	KUNIT_CASE(journal_finish_fails),
	KUNIT_CASE(journal_dirty_read_only),
	KUNIT_CASE(journal_no_replay),
	KUNIT_CASE(journal_replays),
	KUNIT_CASE_SLOW(journal_replay_fails),
	KUNIT_CASE(journal_sequence_number),
	KUNIT_CASE(journal_entry_number),
	{}
};

static struct kunit_suite image_journal_suite = {
	.name = "vhdx_image_journal",
	.test_cases = image_journal_cases,
};

kunit_test_suite(image_journal_suite);
