// SPDX-License-Identifier: GPL-2.0
/*
 * Where fresh runs come from: the end of the file, its gaps, what was freed;
 * and what a full host makes of that.
 */
#include <kunit/test.h>

#include "guest.h"
#include "writer_test.h"

#define MIB	VHDX_MIB
#define GIB	(1024 * MIB)
#define TIB	(1024 * GIB)

/* --- the end of the file -------------------------------------------------------- */

/* In steps ahead of need: the next is there before the last is used up. */
static void growth_steps(struct kunit *test)
{
	struct writer *w = writer_init(test);
	u64 i;

	writer_build(test, w);
	writer_open(test, w);
	for (i = 0; i < 200; i++) {
		KUNIT_ASSERT_EQ(test, guest_write(w->img, i * MIB, 512, 1), 0);
		guest_work(w->img);
		KUNIT_ASSERT_EQ(test, writer_offset(w, i * MIB),
				w->layout.file_size + i * MIB);
		KUNIT_ASSERT_GE(test, w->mf->size,
				w->layout.file_size + (i + 32) * MIB);
		KUNIT_ASSERT_LE(test, w->mf->size,
				w->layout.file_size + (i + 97) * MIB);
		KUNIT_ASSERT_EQ(test, w->img->file_size, w->mf->size);
	}
	/* One for the log, one for the BAT. */
	KUNIT_EXPECT_EQ(test, memfile_count(w->mf, MEMFILE_ALLOCATE), 2 + 4);
	KUNIT_EXPECT_EQ(test, memfile_count(w->mf, MEMFILE_RESIZE), 0);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, w->mf->size, w->layout.file_size + 200 * MIB);
}

/* Every entry says that the file is as long as it was when it was flushed. */
static void growth_is_stable(struct kunit *test)
{
	const struct memfile_record *record;
	struct writer *w = writer_init(test);
	u32 i;

	writer_build(test, w);
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	for (i = 0; i < w->mf->records; i++) {
		record = &w->mf->record[i];
		if (record->op == MEMFILE_ALLOCATE &&
		    record->offset == w->layout.file_size)
			break;
	}
	KUNIT_ASSERT_LT(test, i + 1, w->mf->records);
	KUNIT_EXPECT_EQ(test, w->mf->record[i + 1].op, MEMFILE_FLUSH);
}

static void growth_big_blocks(struct kunit *test)
{
	struct writer *w = writer_init(test);

	w->b.block_size = 256 * MIB;
	w->b.disk_size = 2 * GIB;
	writer_build(test, w);
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, GIB, 512, 1), 0);
	KUNIT_EXPECT_NOT_NULL(test, memfile_find(w->mf, 0, MEMFILE_ALLOCATE,
						 w->layout.file_size + 255 * MIB));
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, w->mf->size, w->layout.file_size + 256 * MIB);
}

/* The owner says how far ahead; a block is the least. */
static void growth_step_chosen(struct kunit *test)
{
	static const u64 steps[] = { 1, 3 * MIB, 16 * MIB + 4096, 128 * MIB };
	static const u64 grown[] = { 2 * MIB, 2 * MIB, 16 * MIB, 128 * MIB };
	struct writer *w;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		w = writer_init(test);
		w->b.block_size = 2 * MIB;
		writer_build(test, w);
		writer_open(test, w);
		w->img->growth_step = steps[i];
		KUNIT_ASSERT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
		writer_skip(w, 7);
		expect_allocate(test, w, w->layout.file_size, grown[i]);
		expect_flush(test, w);
		guest_finish(test, w->img);
	}
}

/* A host that cannot promise room gets a longer file. */
static void growth_without_allocate(struct kunit *test)
{
	struct writer *w = writer_init(test);

	writer_build(test, w);
	writer_open(test, w);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_ALLOCATE, .times = U64_MAX,
		.errnum = -EOPNOTSUPP,
	};
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, w->mf->size, w->layout.file_size + 64 * MIB);
	KUNIT_EXPECT_NOT_NULL(test, memfile_find(w->mf, 0, MEMFILE_RESIZE,
						 w->layout.file_size + 64 * MIB));
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, w->mf->size, w->layout.file_size + MIB);
}

/* --- a full host ----------------------------------------------------------------- */

/* Smaller steps first, then the write fails, and works again when it can. */
static void growth_full_host(struct kunit *test)
{
	struct writer *w = writer_init(test);
	struct guest_write gw;
	u64 end, i;

	writer_build(test, w);
	writer_open(test, w);
	end = w->layout.file_size;
	w->mf->room = end + 10 * MIB;
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &gw, 0, 512), 0);
	guest_end(w->img, &gw, 0);
	/* What the first write made of it: the first change and the BAT's page. */
	writer_skip(w, 7);
	expect_no_space(test, w, end, 64 * MIB);
	expect_no_space(test, w, end, 32 * MIB);
	expect_no_space(test, w, end, 16 * MIB);
	expect_allocate(test, w, end, 8 * MIB);
	expect_flush(test, w);
	for (i = 1; i < 10; i++)
		KUNIT_ASSERT_EQ(test, guest_write(w->img, i * MIB, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, w->mf->size, end + 10 * MIB);
	KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, i * MIB, 512), -ENOSPC);
	KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, 99 * MIB, 512),
			-ENOSPC);
	/* Nothing else breaks. */
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 2 * MIB, 512, 2), 0);
	KUNIT_EXPECT_EQ(test, guest_zero(w->img, 99 * MIB, 512), 0);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	guest_check_byte(test, w->img, 9 * MIB, 512, 1);
	guest_check_byte(test, w->img, 10 * MIB, MIB, 0);

	w->mf->room = U64_MAX;
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 10 * MIB, 512, 3), 0);
	guest_finish(test, w->img);
	w->img = guest_open(test, w->mf);
	guest_check_byte(test, w->img, 2 * MIB, 512, 2);
	guest_check_byte(test, w->img, 10 * MIB, 512, 3);
	KUNIT_EXPECT_EQ(test, w->mf->size, end + 11 * MIB);
}

/**
 * struct full_case - why the file cannot grow
 * @name: for people
 * @errnum: what the host answers
 */
struct full_case {
	const char *name;
	int errnum;
};

static const struct full_case full_cases[] = {
	{ "the file system is full", -ENOSPC },
	{ "the quota is used up", -EDQUOT },
	{ "the file is as long as it may be", -EFBIG },
};

static void describe_full_case(const struct full_case *c, char *desc)
{
	scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s", c->name);
}

KUNIT_ARRAY_PARAM(full_case, full_cases, describe_full_case);

/* Before a full host fails a write, what the guest gave back is used. */
static void growth_full_host_clears(struct kunit *test)
{
	const struct full_case *c = test->param_value;
	struct writer *w = writer_init(test);
	struct guest_write gw;
	unsigned int io;
	u64 i;

	writer_build(test, w);
	writer_open(test, w);
	w->img->growth_step = 10 * MIB;
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 0, MIB, 1), 0);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_ALLOCATE, .times = U64_MAX,
		.errnum = c->errnum,
	};
	for (i = 0; i < 10; i++)
		KUNIT_ASSERT_EQ(test, guest_write(w->img, i * MIB, MIB, 1), 0);
	KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, 20 * MIB, 512),
			c->errnum);
	KUNIT_ASSERT_EQ(test, guest_clear(w->img, 4), 0);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 20 * MIB, 512, 2), 0);
	KUNIT_EXPECT_EQ(test, writer_offset(w, 20 * MIB),
			w->layout.file_size + 4 * MIB);
	guest_check_byte(test, w->img, 20 * MIB, 512, 2);
	guest_check_byte(test, w->img, 20 * MIB + 512, MIB - 512, 0);

	/* Somebody may still read it: the write waits for that. */
	io = vhdx_read_begin(w->img);
	KUNIT_ASSERT_EQ(test, guest_clear(w->img, 5), 0);
	KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, 21 * MIB, 512),
			-EINPROGRESS);
	guest_work(w->img);
	KUNIT_EXPECT_TRUE(test, gw.waits);
	vhdx_read_end(w->img, io);
	guest_work(w->img);
	KUNIT_EXPECT_FALSE(test, gw.waits);
	KUNIT_ASSERT_EQ(test, guest_begin(w->img, &gw), 0);
	guest_end(w->img, &gw, 0);
	KUNIT_EXPECT_EQ(test, writer_offset(w, 21 * MIB),
			w->layout.file_size + 5 * MIB);

	/* When that cannot be made durable, there is no space. */
	KUNIT_ASSERT_EQ(test, guest_clear(w->img, 6), 0);
	w->mf->room = 0;
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_WRITE, .times = 1, .errnum = -ENOSPC,
	};
	KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, 22 * MIB, 512),
			-ENOSPC);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 22 * MIB, 512, 2), 0);
	guest_finish(test, w->img);
}

/* The room for the log, and for a page of the BAT, is asked for beforehand. */
static void growth_full_host_metadata(struct kunit *test)
{
	struct writer *w = writer_init(test);
	struct guest_write gw;
	u64 place[2];
	u32 i;

	writer_build(test, w);
	place[0] = w->layout.log_offset;
	place[1] = w->layout.bat_offset;
	for (i = 0; i < 2; i++) {
		writer_open(test, w);
		/* of the BAT a MiB, and then the page alone */
		w->mf->fault = (struct memfile_fault){
			.ops = MEMFILE_ALLOCATE, .times = 1 + i,
			.errnum = -ENOSPC,
			.from = place[i], .to = place[i] + 1,
		};
		KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, 0, 512),
				-ENOSPC);
		KUNIT_EXPECT_EQ(test, w->mf->fault.times, 0);
		KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
		KUNIT_EXPECT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
		guest_finish(test, w->img);
		memfile_resize(w->mf, w->layout.file_size);
		memfile_punch(w->mf, w->layout.bat_offset, 4096);
	}
}

/* --- gaps -------------------------------------------------------------------------- */

/* An image with room for so many MiB before its only block. */
static struct writer *gap_init(struct kunit *test, u64 gap)
{
	struct builder_block *block = kunit_kzalloc(test, sizeof(*block),
						    GFP_KERNEL);
	struct writer *w = writer_init(test);

	KUNIT_ASSERT_NOT_NULL(test, block);
	block->block = 100;
	block->state = 6;
	block->offset = 4 * MIB + gap;
	w->b.block = block;
	w->b.blocks = 1;
	writer_build(test, w);
	/* What a crash left: nobody knows what lies there. */
	KUNIT_ASSERT_EQ(test, w->layout.blocks_offset, 4 * MIB);
	memfile_resize(w->mf, block->offset + w->b.block_size);
	for (; gap; gap -= MIB)
		KUNIT_ASSERT_EQ(test, 0, memfile_write(w->mf, "garbage", 7,
						       block->offset - gap));
	return w;
}

static void growth_gaps(struct kunit *test)
{
	struct writer *w = gap_init(test, 3 * MIB);
	u64 i, at = 4 * MIB;

	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 512, 512, 1), 0);
	writer_skip(w, 7);
	expect_zero(test, w, at, MIB);
	expect_zero(test, w, at + MIB, MIB);
	expect_zero(test, w, at + 2 * MIB, MIB);
	expect_flush(test, w);
	for (i = 0; i < 5; i++)
		KUNIT_ASSERT_EQ(test, guest_write(w->img, i * MIB + 512, 512,
						  1), 0);
	for (i = 0; i < 5; i++) {
		KUNIT_EXPECT_EQ(test, writer_offset(w, i * MIB),
				at + (i + (i >= 3)) * MIB);
		guest_check_byte(test, w->img, i * MIB, 512, 0);
	}
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, w->mf->size, at + 6 * MIB);
}

/* A host that is full for a moment does not cost the gap for good. */
static void growth_gap_no_space(struct kunit *test)
{
	struct writer *w = gap_init(test, MIB);
	struct guest_write gw;

	w->mf->room = w->mf->size;
	writer_open(test, w);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_ZERO, .times = 1, .errnum = -ENOSPC,
	};
	KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, 0, 512), -ENOSPC);
	KUNIT_EXPECT_EQ(test, w->mf->fault.times, 0);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, writer_offset(w, 0), 4 * MIB);
	KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, MIB, 512), -ENOSPC);
	guest_finish(test, w->img);
}

/* A gap that cannot be zeroed is passed over; those behind it are not. */
static void growth_gap_bad(struct kunit *test)
{
	struct writer *w = gap_init(test, 3 * MIB);
	struct guest_write gw;

	w->mf->room = w->mf->size;
	writer_open(test, w);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_ZERO, .times = U64_MAX, .errnum = -EIO,
		.from = 5 * MIB, .to = 6 * MIB,
	};
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, MIB, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, writer_offset(w, 0), 4 * MIB);
	KUNIT_EXPECT_EQ(test, writer_offset(w, MIB), 6 * MIB);
	KUNIT_EXPECT_EQ(test, vhdx_image_failed(w->img), 0);
	KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, 2 * MIB, 512),
			-ENOSPC);
	guest_finish(test, w->img);
}

/* Too short for a block: growth at the end begins where the last claim ends. */
static void growth_gap_at_end(struct kunit *test)
{
	static const struct builder_block blocks[] = { { 3, 6, 0 } };
	struct writer *w = writer_init(test);
	u64 end;

	w->b.block_size = 32 * MIB;
	w->b.disk_size = 512 * MIB;
	w->b.data_bytes = 4096;
	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	writer_build(test, w);
	end = w->layout.file_size;
	KUNIT_ASSERT_EQ(test, 0, memfile_write(w->mf, "garbage", 7, end + MIB));
	memfile_resize(w->mf, end + 5 * MIB);
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	writer_skip(w, 7);
	expect_zero(test, w, end, 5 * MIB);
	expect_allocate(test, w, end + 5 * MIB, 59 * MIB);
	expect_flush(test, w);
	KUNIT_EXPECT_EQ(test, writer_offset(w, 0), end);
	guest_check_byte(test, w->img, 512, 32 * MIB - 512, 0);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, w->mf->size, end + 32 * MIB);
}

/* --- the end of all ------------------------------------------------------------------ */

/* Nothing is put at or past 256 TiB: no reader would take it. */
static void growth_too_big(struct kunit *test)
{
	struct vhdx_image *img = NULL;
	struct vhdx_error err;
	struct guest_write gw;
	struct writer *w;

	w = writer_init(test);
	writer_build(test, w);
	memfile_resize(w->mf, 256 * TIB);
	writer_open(test, w);
	/* Its gaps are no help. */
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_ZERO, .times = U64_MAX, .errnum = -EIO,
	};
	KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, 0, 512), -EFBIG);
	writer_forget(w);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	guest_finish(test, w->img);

	/* One MiB longer can be read. */
	memfile_resize(w->mf, 256 * TIB + MIB);
	guest_close(test, guest_open(test, w->mf));
	KUNIT_EXPECT_EQ(test, -EFBIG,
			vhdx_image_open(&w->mf->file, VHDX_OPEN_WRITE, &img,
					&err));
	KUNIT_EXPECT_STREQ(test, err.structure, "file");
	KUNIT_EXPECT_EQ(test, err.value, 256 * TIB + MIB);
	memfile_resize(w->mf, 1ULL << 62);
	KUNIT_EXPECT_EQ(test, -EFBIG,
			vhdx_image_open(&w->mf->file, VHDX_OPEN_WRITE, &img,
					&err));
}

static void growth_too_big_block(struct kunit *test)
{
	static const struct builder_block block = { 3, 6, 256 * TIB - MIB };
	struct writer *w = writer_init(test);
	struct vhdx_image *img = NULL;
	struct vhdx_error err;

	w->b.block_size = 2 * MIB;
	w->b.block = &block;
	w->b.blocks = 1;
	writer_build(test, w);
	memfile_resize(w->mf, 256 * TIB);
	guest_close(test, guest_open(test, w->mf));
	KUNIT_EXPECT_EQ(test, -EFBIG,
			vhdx_image_open(&w->mf->file, VHDX_OPEN_WRITE, &img,
					&err));
}

/* There is no place for a log either. */
static void growth_too_big_log(struct kunit *test)
{
	struct writer *w = writer_init(test);
	struct guest_write gw;

	w->b.log_length = 0;
	writer_build(test, w);
	memfile_resize(w->mf, 256 * TIB);
	writer_open(test, w);
	KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, 0, 512), -EFBIG);
	KUNIT_EXPECT_EQ(test, w->mf->size, 256 * TIB);
}

/* --- freed runs ------------------------------------------------------------------------ */

/* With two blocks, 3 and 4, that are given up and durably so. */
static struct writer *freed_init(struct kunit *test,
				 const struct memfile_fault *fault)
{
	static const struct builder_block blocks[] = { { 3, 6, 0 }, { 4, 6, 0 } };
	struct writer *w = writer_init(test);

	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	writer_build(test, w);
	w->mf->room = w->layout.file_size;
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_clear(w->img, 3), 0);
	KUNIT_ASSERT_EQ(test, guest_clear(w->img, 4), 0);
	w->mf->fault = *fault;
	w->mf->fault.from += w->layout.blocks_offset;
	w->mf->fault.to += w->layout.blocks_offset;
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	return w;
}

/* A run that can be neither punched nor zeroed is not used, and no harm comes of it. */
static void growth_punch_fails(struct kunit *test)
{
	struct writer *w = freed_init(test, &(struct memfile_fault){
		.ops = MEMFILE_ZERO, .times = 3, .errnum = -EIO, .to = MIB,
	});
	struct guest_write gw;

	KUNIT_EXPECT_EQ(test, w->mf->fault.times, 1);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, w->mf->fault.times, 0);
	KUNIT_EXPECT_EQ(test, writer_offset(w, 0), w->layout.blocks_offset + MIB);
	KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, MIB, 512), -ENOSPC);
	guest_finish(test, w->img);
}

/* One that a full host can do neither with is used as soon as it can. */
static void growth_clear_no_space(struct kunit *test)
{
	const struct memfile_fault fault = {
		.ops = MEMFILE_ZERO, .times = 4, .errnum = -ENOSPC,
		.to = 2 * MIB,
	};
	struct writer *w = freed_init(test, &fault);
	u64 blocks = w->layout.blocks_offset;
	struct guest_write gw;

	KUNIT_EXPECT_EQ(test, w->mf->fault.times, 0);
	w->mf->fault.times = 2;
	KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, 0, 512), -ENOSPC);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, MIB, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, writer_offset(w, 0), blocks);
	KUNIT_EXPECT_EQ(test, writer_offset(w, MIB), blocks + MIB);
	guest_check_byte(test, w->img, 512, MIB - 512, 0);
	KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, 2 * MIB, 512),
			-ENOSPC);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, w->mf->size, blocks + 2 * MIB);

	w = freed_init(test, &fault);
	KUNIT_EXPECT_EQ(test, w->mf->fault.times, 0);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, w->mf->size, w->layout.blocks_offset);
}

/* A hole has no space on a host that is full by then: what has some goes first. */
static void growth_hole_is_last(struct kunit *test)
{
	struct writer *w = freed_init(test, &(struct memfile_fault){});
	u64 blocks = w->layout.blocks_offset;

	w->mf->room += MIB;
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, writer_offset(w, 0), w->layout.file_size);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, MIB, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, writer_offset(w, MIB), blocks);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 2 * MIB, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, writer_offset(w, 2 * MIB), blocks + MIB);
	guest_finish(test, w->img);
}

/* Gaps that came with the file may have theirs, however many holes there are. */
static void growth_gaps_before_holes(struct kunit *test)
{
	struct builder_block blocks[9] = {};
	struct writer *w = writer_init(test);
	struct guest_write gw;
	u64 i;

	for (i = 0; i < ARRAY_SIZE(blocks); i++) {
		blocks[i].block = i < 8 ? i : 100;
		blocks[i].state = 6;
		blocks[i].offset = (i < 8 ? 4 + i : 60) * MIB;
	}
	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	writer_build(test, w);
	memfile_resize(w->mf, 61 * MIB);
	w->mf->room = w->mf->size;
	writer_open(test, w);
	w->img->growth_step = 8 * MIB;
	for (i = 0; i < 8; i++)
		KUNIT_ASSERT_EQ(test, guest_clear(w->img, i), 0);
	KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
	for (i = 10; i < 10 + 48; i++) {
		KUNIT_ASSERT_EQ(test, guest_write(w->img, i * MIB, 512, 1), 0);
		KUNIT_ASSERT_GE(test, writer_offset(w, i * MIB), 12 * MIB);
	}
	for (; i < 10 + 48 + 8; i++) {
		KUNIT_ASSERT_EQ(test, guest_write(w->img, i * MIB, 512, 1), 0);
		KUNIT_ASSERT_LT(test, writer_offset(w, i * MIB), 12 * MIB);
	}
	KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, i * MIB, 512),
			-ENOSPC);
	guest_finish(test, w->img);
}

/* What the host does not take back has its space. */
static void growth_not_punched(struct kunit *test)
{
	struct writer *w = freed_init(test, &(struct memfile_fault){
		.ops = MEMFILE_ZERO, .times = 1, .errnum = -EOPNOTSUPP, .to = MIB,
	});
	u64 blocks = w->layout.blocks_offset;

	KUNIT_EXPECT_EQ(test, w->mf->fault.times, 0);
	w->mf->room += MIB;
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, writer_offset(w, 0), blocks);
	guest_work(w->img);
	guest_check_byte(test, w->img, 512, MIB - 512, 0);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, MIB, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, writer_offset(w, MIB), w->layout.file_size);
	guest_finish(test, w->img);
}

struct chain {
	struct writer *w;
	struct vhdx_flush flush;
	u32 left;
	u32 left_at_punch;
};

static void flush_again(struct vhdx_flush *flush, int ret)
{
	struct chain *chain = container_of(flush, struct chain, flush);

	(void)ret;
	if (chain->left && --chain->left)
		vhdx_flush(chain->w->img, flush);
}

static void note_punch(struct memfile *mf, const struct memfile_record *record)
{
	struct chain *chain = mf->ctx;

	if (record->op == MEMFILE_ZERO)
		chain->left_at_punch = chain->left;
}

/* A guest that flushes without end does not keep runs from being used again. */
static void growth_busy_recycles(struct kunit *test)
{
	static const struct builder_block blocks[] = { { 3, 6, 0 } };
	struct chain chain = { .flush.done = flush_again, .left = 100 };
	struct writer *w = writer_init(test);

	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	writer_build(test, w);
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_clear(w->img, 3), 0);
	chain.w = w;
	w->mf->ctx = &chain;
	w->mf->before = note_punch;
	vhdx_flush(w->img, &chain.flush);
	guest_work(w->img);
	w->mf->before = NULL;
	KUNIT_EXPECT_EQ(test, chain.left, 0);
	KUNIT_EXPECT_GT(test, chain.left_at_punch, 90);
}

/* --- fixed images ------------------------------------------------------------------------ */

/* As qemu-img makes them: all blocks ZERO, and a hole that is long enough. */
static struct writer *fixed_init(struct kunit *test, u64 disk_size)
{
	struct writer *w = writer_init(test);

	w->b.fixed = true;
	w->b.default_state = 2;
	w->b.block_size = 8 * MIB;
	w->b.disk_size = disk_size;
	writer_build(test, w);
	memfile_resize(w->mf, w->layout.blocks_offset + disk_size);
	return w;
}

static void growth_fixed(struct kunit *test)
{
	struct writer *w = fixed_init(test, 64 * MIB);
	u64 end = w->layout.blocks_offset + 64 * MIB;
	u64 i;

	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 3 * 8 * MIB, 512, 1), 0);
	KUNIT_EXPECT_NOT_NULL(test, memfile_find(w->mf, 0, MEMFILE_ZERO,
						 w->layout.blocks_offset));
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, w->mf->size, end);

	writer_open(test, w);
	for (i = 0; i < 8; i++)
		KUNIT_ASSERT_EQ(test, guest_write(w->img, i * 8 * MIB + 512,
						  512, 2), 0);
	/* Room is kept, not given back, and there is enough of it. */
	for (i = 0; i < w->mf->records; i++) {
		KUNIT_EXPECT_FALSE(test, w->mf->record[i].unmap);
		KUNIT_EXPECT_LE(test, w->mf->record[i].offset +
				w->mf->record[i].length, end);
	}
	KUNIT_EXPECT_EQ(test, w->mf->size, end);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, w->mf->size, end);
	w->img = guest_open(test, w->mf);
	KUNIT_EXPECT_EQ(test, w->img->counts.payload[6], 8);
	guest_check_byte(test, w->img, 3 * 8 * MIB, 512, 1);
	for (i = 0; i < 8; i++)
		guest_check_byte(test, w->img, i * 8 * MIB + 512, 512, 2);
}

/* The last block, which is none in full, needs a little more. */
static void growth_fixed_part(struct kunit *test)
{
	struct writer *w = fixed_init(test, 60 * MIB);
	u64 i;

	writer_open(test, w);
	for (i = 0; i < 8; i++)
		KUNIT_ASSERT_EQ(test, guest_write(w->img, i * 8 * MIB, 512, 2),
				0);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, w->mf->size, w->layout.blocks_offset + 64 * MIB);
}

/* A fixed image keeps what it had: parts are zeroed where they are. */
static void growth_fixed_zero(struct kunit *test)
{
	struct writer *w = writer_init(test);
	u64 i, end;

	w->b.fixed = true;
	w->b.default_state = 6;
	writer_build(test, w);
	end = w->layout.file_size;
	writer_open(test, w);
	for (i = 0; i < 16; i++)
		KUNIT_EXPECT_EQ(test, guest_zero(w->img, i * MIB, MIB), 0);
	guest_check_byte(test, w->img, 0, 16 * MIB, 0);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, w->mf->size, end);
	for (i = 0; i < 16; i++)
		KUNIT_EXPECT_EQ(test, writer_entry(w, i),
				(w->layout.blocks_offset + i * MIB) | 6);
}

/* Growth that was not used goes, and what was there at attach stays. */
static void growth_fixed_not_cut(struct kunit *test)
{
	struct writer *w = writer_init(test);
	u64 end;

	/* Nothing is there, and the file is longer than that needs. */
	w->b.fixed = true;
	w->b.disk_size = 64 * MIB;
	writer_build(test, w);
	end = w->layout.file_size;
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, w->mf->size, end + 64 * MIB);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, w->mf->size, end + MIB);

	memfile_resize(w->mf, end + 3 * MIB);
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, w->mf->size, end + 3 * MIB);
}

/* What a fixed image frees is zeroed in place, and its room kept. */
static void growth_fixed_frees(struct kunit *test)
{
	static const struct builder_block blocks[] = { { 3, 3, BUILDER_PLACE } };
	struct writer *w = writer_init(test);
	const struct memfile_record *record;

	w->b.fixed = true;
	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	writer_build(test, w);
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 3 * MIB, 512, 1), 0);
	KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
	record = memfile_find(w->mf, 0, MEMFILE_ZERO, w->layout.blocks_offset);
	KUNIT_ASSERT_NOT_NULL(test, record);
	KUNIT_EXPECT_FALSE(test, record->unmap);
	guest_finish(test, w->img);
}

/* --- giving back while the image is open ------------------------------------------- */

static void expect_header_pair(struct kunit *test, struct writer *w)
{
	expect_write(test, w, VHDX_HEADER_1_OFFSET, 4096);
	expect_flush(test, w);
	expect_write(test, w, VHDX_HEADER_2_OFFSET, 4096);
	expect_flush(test, w);
}

/* Of a file that was not changed before: that it is comes first. */
static void growth_give_back(struct kunit *test)
{
	struct writer *w = gap_init(test, 3 * MIB);
	struct vhdx_header was, is;
	u64 end = w->mf->size;

	memfile_resize(w->mf, end + 5 * MIB);
	writer_open(test, w);
	writer_header(w, 0, &was);
	KUNIT_EXPECT_EQ(test, vhdx_image_finish(w->img), 0);
	KUNIT_EXPECT_EQ(test, w->mf->records, 0);
	KUNIT_EXPECT_EQ(test, vhdx_image_give_back(w->img, true), 0);
	expect_flush(test, w);
	expect_header_pair(test, w);
	expect_resize(test, w, end);
	expect_punch(test, w, 4 * MIB, 3 * MIB);
	KUNIT_EXPECT_EQ(test, w->mf->records, w->seen);
	writer_header(w, 0, &is);
	KUNIT_EXPECT_FALSE(test, guid_equal(&was.file_write_guid,
					    &is.file_write_guid));
	/* A guest has nothing to see. */
	KUNIT_EXPECT_TRUE(test, guid_equal(&was.data_write_guid,
					   &is.data_write_guid));
	/* What it writes afterwards it has, in the gap and not with its data. */
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 512, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, writer_offset(w, 0), 4 * MIB);
	guest_check_byte(test, w->img, 0, 512, 0);
	writer_header(w, 0, &was);
	KUNIT_EXPECT_FALSE(test, guid_equal(&was.data_write_guid,
					    &is.data_write_guid));
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, w->mf->size, end);
}

/* Again and again, with writes between: each time the file is clean and short. */
static void growth_give_back_often(struct kunit *test)
{
	struct writer *w = writer_init(test);
	u64 i, k;

	w->b.disk_size = 32 * MIB;
	writer_build(test, w);
	writer_open(test, w);
	for (i = 0; i < 8; i++) {
		for (k = 0; k < 4; k++)
			KUNIT_ASSERT_EQ(test, guest_write(w->img,
							  (4 * i + k) * MIB,
							  MIB, i + 1), 0);
		if (i) {
			KUNIT_ASSERT_EQ(test, guest_clear(w->img, 4 * i - 3), 0);
			KUNIT_ASSERT_EQ(test, guest_clear(w->img, 4 * i - 2), 0);
		}
		KUNIT_ASSERT_EQ(test, vhdx_image_finish(w->img), 0);
		KUNIT_EXPECT_EQ(test, vhdx_image_log_state(w->img),
				VHDX_LOG_CLEAN);
		KUNIT_ASSERT_EQ(test, vhdx_image_give_back(w->img, true), 0);
		KUNIT_EXPECT_LE(test, w->mf->size, w->layout.file_size +
				4 * (i + 1) * MIB);
	}
	for (i = 0; i < 8; i++) {
		guest_check_byte(test, w->img, 4 * i * MIB, MIB, i + 1);
		guest_check_byte(test, w->img, (4 * i + 1) * MIB, 2 * MIB,
				 i < 7 ? 0 : i + 1);
		guest_check_byte(test, w->img, (4 * i + 3) * MIB, MIB, i + 1);
	}
	KUNIT_EXPECT_EQ(test, w->img->stats.new_blocks, 32);
	guest_finish(test, w->img);
	w->img = guest_open(test, w->mf);
	KUNIT_EXPECT_EQ(test, w->img->counts.payload[6], 18);
	guest_check_byte(test, w->img, 31 * MIB, MIB, 8);
}

/* What cannot be punched stays, and so does all that is in use. */
static void growth_give_back_fails(struct kunit *test)
{
	struct writer *w = gap_init(test, 3 * MIB);

	writer_open(test, w);
	KUNIT_EXPECT_EQ(test, vhdx_image_give_back(w->img, false), 0);
	KUNIT_EXPECT_EQ(test, memfile_count(w->mf, MEMFILE_ZERO), 0);
	/* Zeros in its place would gain nothing. */
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_ZERO, .times = 1, .errnum = -EOPNOTSUPP,
	};
	KUNIT_EXPECT_EQ(test, vhdx_image_give_back(w->img, true), 0);
	KUNIT_EXPECT_EQ(test, w->mf->fault.times, 0);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_ZERO, .times = 1, .errnum = -EIO,
	};
	KUNIT_EXPECT_EQ(test, vhdx_image_give_back(w->img, true), -EIO);
	KUNIT_EXPECT_EQ(test, vhdx_image_failed(w->img), 0);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 0, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, writer_offset(w, 0), 4 * MIB);
	guest_finish(test, w->img);

	writer_open(test, w);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_WRITE, .times = 1, .errnum = -EIO,
	};
	KUNIT_EXPECT_EQ(test, vhdx_image_give_back(w->img, true), -EIO);
	KUNIT_EXPECT_EQ(test, vhdx_image_failed(w->img), -EIO);
	KUNIT_EXPECT_EQ(test, vhdx_image_give_back(w->img, true), -EIO);
}

static void growth_give_back_fixed(struct kunit *test)
{
	struct writer *w = fixed_init(test, 64 * MIB);
	u64 end = w->mf->size;

	writer_open(test, w);
	KUNIT_EXPECT_EQ(test, vhdx_image_give_back(w->img, true), 0);
	KUNIT_EXPECT_EQ(test, w->mf->records, 0);
	KUNIT_EXPECT_EQ(test, w->mf->size, end);
	guest_close(test, w->img);
}

/* ... and so does another that can be zeroed, behind the one that cannot. */
static void growth_gaps_behind_full(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 0, 6, 4 * MIB }, { 100, 6, 16 * MIB }
	};
	struct writer *w = writer_init(test);
	struct guest_write gw;
	u64 i;

	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	writer_build(test, w);
	memfile_resize(w->mf, 17 * MIB);
	w->mf->room = w->mf->size;
	writer_open(test, w);
	KUNIT_ASSERT_EQ(test, guest_clear(w->img, 0), 0);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_ZERO, .times = U64_MAX, .errnum = -ENOSPC,
		.from = 4 * MIB, .to = 14 * MIB,
	};
	KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
	/* Not all of them are tried for one write. */
	KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, 10 * MIB, 512),
			-ENOSPC);
	for (i = 10; i < 12; i++) {
		KUNIT_EXPECT_EQ(test, guest_write(w->img, i * MIB, 512, 1), 0);
		KUNIT_EXPECT_EQ(test, writer_offset(w, i * MIB), (i + 4) * MIB);
	}
	KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, i * MIB, 512),
			-ENOSPC);
	w->mf->fault.ops = 0;
	for (; i < 22; i++)
		KUNIT_EXPECT_EQ(test, guest_write(w->img, i * MIB, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, guest_begin_at(w->img, &gw, i * MIB, 512),
			-ENOSPC);
	guest_finish(test, w->img);
}

/* Who gives back as much as he writes does not wait for gaps that there are not. */
static void growth_holes_at_once(struct kunit *test)
{
	const u32 n = 64;
	struct builder_block *blocks = kunit_kcalloc(test, n, sizeof(*blocks),
						     GFP_KERNEL);
	struct writer *w = writer_init(test);
	u64 i, size;

	KUNIT_ASSERT_NOT_NULL(test, blocks);
	for (i = 0; i < n; i++) {
		blocks[i].block = i;
		blocks[i].state = 6;
		blocks[i].offset = (4 + i) * MIB;
	}
	w->b.block = blocks;
	w->b.blocks = n;
	writer_build(test, w);
	memfile_resize(w->mf, 68 * MIB);
	writer_open(test, w);
	w->img->growth_step = 16 * MIB;
	for (i = 0; i < 32; i++)
		KUNIT_ASSERT_EQ(test, guest_clear(w->img, i), 0);
	KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 199 * MIB, 512, 1), 0);
	size = w->mf->size;
	for (i = 0; i < 30; i++) {
		struct guest_write gw = {
			.write.pos = (200 + i) * MIB, .write.length = 512,
			.write.wait = true, .write.resume = guest_resume,
		};

		KUNIT_ASSERT_EQ(test, guest_clear(w->img, 32 + i), 0);
		KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
		KUNIT_ASSERT_EQ(test, vhdx_write_begin(w->img, &gw.write), 0);
		guest_end(w->img, &gw, 0);
	}
	KUNIT_EXPECT_EQ(test, size, w->mf->size);
	guest_finish(test, w->img);
}

static struct kunit_case image_growth_cases[] = {
	KUNIT_CASE(growth_steps),
	KUNIT_CASE(growth_is_stable),
	KUNIT_CASE(growth_big_blocks),
	KUNIT_CASE(growth_step_chosen),
	KUNIT_CASE(growth_without_allocate),
	KUNIT_CASE(growth_full_host),
	KUNIT_CASE_PARAM_ATTR(growth_full_host_clears, full_case_gen_params,
			      {KUNIT_SPEED_SLOW}),
	KUNIT_CASE(growth_full_host_metadata),
	KUNIT_CASE(growth_gaps),
	KUNIT_CASE(growth_gap_no_space),
	KUNIT_CASE(growth_gap_bad),
	KUNIT_CASE(growth_gap_at_end),
	KUNIT_CASE(growth_too_big),
	KUNIT_CASE(growth_too_big_block),
	KUNIT_CASE(growth_too_big_log),
	KUNIT_CASE(growth_punch_fails),
	KUNIT_CASE(growth_clear_no_space),
	KUNIT_CASE(growth_hole_is_last),
	KUNIT_CASE(growth_gaps_before_holes),
	KUNIT_CASE(growth_gaps_behind_full),
	KUNIT_CASE(growth_holes_at_once),
	KUNIT_CASE(growth_not_punched),
	KUNIT_CASE(growth_busy_recycles),
	KUNIT_CASE(growth_fixed),
	KUNIT_CASE(growth_fixed_part),
	KUNIT_CASE_SLOW(growth_fixed_zero),
	KUNIT_CASE(growth_fixed_not_cut),
	KUNIT_CASE(growth_fixed_frees),
	KUNIT_CASE(growth_give_back),
	KUNIT_CASE_SLOW(growth_give_back_often),
	KUNIT_CASE(growth_give_back_fails),
	KUNIT_CASE(growth_give_back_fixed),
	{}
};

static struct kunit_suite image_growth_suite = {
	.name = "vhdx_image_growth",
	.test_cases = image_growth_cases,
};

kunit_test_suite(image_growth_suite);
