// SPDX-License-Identifier: GPL-2.0
/*
 * Writing into a child: what hides the parent, when, and in which order that
 * reaches the disk.
 */
#include <kunit/test.h>

#include "guest.h"
#include "image/journal.h"
#include "image/resize.h"
#include "writer_test.h"

#define MIB	VHDX_MIB

/* A child whose parent has data everywhere; the caller may change it. */
static struct writer *child_init(struct kunit *test)
{
	struct builder *parent = kunit_kzalloc(test, sizeof(*parent), GFP_KERNEL);
	struct writer *w = writer_init(test);

	KUNIT_ASSERT_NOT_NULL(test, parent);
	builder_init(parent);
	parent->seed = 31;
	parent->disk_size = 64 * MIB;
	parent->default_state = 6;
	parent->data_bytes = 65536;
	w->b.seed = 32;
	w->b.disk_size = 64 * MIB;
	w->b.data_write_guid = builder_guid(2);
	builder_set_parent(&w->b, parent);
	return w;
}

static void child_open(struct kunit *test, struct writer *w)
{
	struct builder_layout layout;

	if (!w->parent)
		w->parent = guest_open(test, guest_build(test, w->b.parent,
							 &layout));
	writer_open(test, w);
}

static void child_build(struct kunit *test, struct writer *w)
{
	writer_build(test, w);
	child_open(test, w);
}

static const struct builder_run some_runs[] = {
	{ 2 * 2048 + 16, 16 }, { 2 * 2048 + 64, 1 }, { 2 * 2048 + 2047, 1 },
};

/* Block 2 of it is there in part. */
static struct writer *partial_init(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 2, 7, BUILDER_PLACE }, { 3, 6, BUILDER_PLACE },
	};
	struct writer *w = child_init(test);

	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	w->b.run = some_runs;
	w->b.runs = ARRAY_SIZE(some_runs);
	child_build(test, w);
	return w;
}

/* As after a crash, or after a detach: what the file says. */
static void child_reopen(struct kunit *test, struct writer *w)
{
	guest_close(test, w->img);
	w->img = guest_open_child(test, w->mf, w->parent);
}

static void expect_headers(struct kunit *test, struct writer *w)
{
	expect_write(test, w, VHDX_HEADER_1_OFFSET, 4096);
	expect_flush(test, w);
	expect_write(test, w, VHDX_HEADER_2_OFFSET, 4096);
	expect_flush(test, w);
}

static u64 count(const struct writer *w, u32 state)
{
	return w->img->counts.payload[state];
}

/* LeaveBlocksAllocated says nothing where there is a parent. */
static void child_is_not_fixed(struct kunit *test)
{
	struct writer *w = child_init(test);
	struct vhdx_error err;

	w->b.fixed = true;
	child_build(test, w);
	KUNIT_EXPECT_FALSE(test, w->img->metadata.leave_blocks_allocated);
	guest_close(test, w->img);
	w->img = guest_open_writable(test, w->mf, w->parent);
	KUNIT_ASSERT_EQ(test, 0, vhdx_image_resize(w->img, 65 * MIB, &err));
	guest_finish(test, w->img);
	child_reopen(test, w);
	KUNIT_EXPECT_EQ(test, 0, vhdx_image_allocated(w->img));
}

/* Nothing but the sectors that were written hides the parent, stale bits or not. */
static void child_small_write(struct kunit *test)
{
	static const struct builder_block blocks[] = { { 5, 0, 0 } };
	struct writer *w = child_init(test);
	struct guest_write gw;
	u32 pass;

	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	w->b.stale_bits = true;
	child_build(test, w);
	guest_check_built(test, w->img, &w->b, 5 * MIB, MIB);
	KUNIT_ASSERT_EQ(test, 0, guest_begin_at(w->img, &gw, 5 * MIB + 4096,
						1024));
	KUNIT_ASSERT_EQ(test, 0, guest_fill(w->img, &gw, 0xA5));
	guest_check_built(test, w->img, &w->b, 5 * MIB, MIB);
	guest_end(w->img, &gw, 0);
	KUNIT_EXPECT_EQ(test, count(w, 7), 1);

	/* The data before the bit, and both bit and entry in one log entry. */
	writer_forget(w);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	expect_flush(test, w);
	expect_write(test, w, w->layout.log_offset, 3 * 4096);
	expect_flush(test, w);
	expect_headers(test, w);
	for (pass = 0; pass < 2; pass++) {
		guest_check_built(test, w->img, &w->b, 4 * MIB, MIB + 4096);
		guest_check_byte(test, w->img, 5 * MIB + 4096, 1024, 0xA5);
		guest_check_built(test, w->img, &w->b, 5 * MIB + 5120,
				  2 * MIB - 5120);
		if (!pass)
			child_reopen(test, w);
	}
	KUNIT_EXPECT_TRUE(test, w->img->log.dirty);
}

/* The chunk gets a bitmap block, in the same entry, and no sector is copied up. */
static void child_first_bitmap(struct kunit *test)
{
	struct writer *w = child_init(test);
	u64 reads;

	child_build(test, w);
	reads = w->mf->read_bytes;
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 7 * MIB, 4096, 1), 0);
	KUNIT_EXPECT_EQ(test, w->mf->read_bytes, reads);
	KUNIT_EXPECT_EQ(test, w->img->counts.bitmap, 1);
	writer_forget(w);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	expect_flush(test, w);
	/* A page of bits, one of entries, and one with the bitmap block's. */
	expect_write(test, w, w->layout.log_offset, 4 * 4096);
	expect_flush(test, w);
	expect_headers(test, w);
	guest_finish(test, w->img);
	child_reopen(test, w);
	KUNIT_EXPECT_FALSE(test, w->img->log.dirty);
	KUNIT_EXPECT_EQ(test, w->img->counts.bitmap, 1);
	guest_check_byte(test, w->img, 7 * MIB, 4096, 1);
	guest_check_built(test, w->img, &w->b, 7 * MIB + 4096, MIB - 4096);
}

static void child_whole_block(struct kunit *test)
{
	struct writer *w = child_init(test);

	child_build(test, w);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 3 * MIB, MIB, 1), 0);
	KUNIT_EXPECT_EQ(test, count(w, 6), 1);
	writer_forget(w);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	expect_flush(test, w);
	writer_until(w, MEMFILE_FLUSH);
	expect_flush(test, w);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 3) & 7, 6);
	child_reopen(test, w);
	guest_check_byte(test, w->img, 3 * MIB, MIB, 1);
	guest_check_built(test, w->img, &w->b, 4 * MIB, MIB);
}

/* All bits set: the bitmap need not be looked at any more. */
static void child_fills_up(struct kunit *test)
{
	static const u32 order[] = { 2, 0, 3, 1 };
	struct writer *w = child_init(test);
	u32 i;

	/* The disk ends inside its last block. */
	w->b.disk_size = 64 * MIB - MIB / 2;
	child_build(test, w);
	for (i = 0; i < 4; i++) {
		KUNIT_EXPECT_EQ(test, count(w, 6), 0);
		KUNIT_EXPECT_EQ(test, 0, guest_write(w->img, 63 * MIB +
						     order[i] * MIB / 8,
						     MIB / 8, 1 + i));
		KUNIT_EXPECT_EQ(test, count(w, 7), i < 3 ? 1 : 0);
	}
	KUNIT_EXPECT_EQ(test, count(w, 6), 1);
	/* Whole blocks need no bits either. */
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	writer_forget(w);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 63 * MIB, 512, 9), 0);
	KUNIT_EXPECT_EQ(test, w->mf->records, 0);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 63) & 7, 6);
	child_reopen(test, w);
	guest_check_byte(test, w->img, 63 * MIB, 512, 9);
	for (i = 0; i < 4; i++)
		guest_check_byte(test, w->img, 63 * MIB + order[i] * MIB / 8 + 512,
				 MIB / 8 - 512, 1 + i);
}

/* Over sectors that are there and sectors that are not. */
static void child_partial_block(struct kunit *test)
{
	struct writer *w = partial_init(test);
	u64 pos = 2 * MIB, offset;

	guest_check_built(test, w->img, &w->b, pos, MIB);
	offset = writer_entry(w, 2) & ~(MIB - 1);

	/* All of it is there: nothing else is due. */
	KUNIT_EXPECT_EQ(test, guest_write(w->img, pos + 16 * 512, 8192, 1), 0);
	writer_forget(w);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	expect_flush(test, w);
	KUNIT_EXPECT_EQ(test, w->mf->records, 1);

	KUNIT_EXPECT_EQ(test, guest_write(w->img, pos + 24 * 512, 8192, 2), 0);
	writer_forget(w);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	expect_flush(test, w);
	/* Only the page of bits has changed. */
	expect_write(test, w, w->layout.log_offset, 2 * 4096);
	expect_flush(test, w);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 2), offset | 7);
	child_reopen(test, w);
	guest_check_built(test, w->img, &w->b, pos, 16 * 512);
	guest_check_byte(test, w->img, pos + 16 * 512, 8 * 512, 1);
	guest_check_byte(test, w->img, pos + 24 * 512, 16 * 512, 2);
	guest_check_built(test, w->img, &w->b, pos + 40 * 512, MIB - 40 * 512);
}

/* Those never show the parent, before a write and after it. */
static void child_hiding_states(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 1, 1, 0 }, { 2, 2, 0 }, { 3, 3, 0 }, { 4, 3, BUILDER_PLACE },
		{ 5, 5, 0 },
	};
	struct writer *w = child_init(test);
	u32 i;

	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	w->b.stale_bits = true;
	child_build(test, w);
	for (i = 1; i <= 5; i++)
		KUNIT_EXPECT_EQ(test, 0, guest_write(w->img, i * MIB + 8192, 512,
						     i));
	KUNIT_EXPECT_EQ(test, count(w, 6), 5);
	/* Zeros were seen there before: nothing to flush first. */
	writer_forget(w);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	expect_write(test, w, w->layout.log_offset, 2 * 4096);
	guest_finish(test, w->img);
	child_reopen(test, w);
	for (i = 1; i <= 5; i++) {
		guest_check_byte(test, w->img, i * MIB, 8192, 0);
		guest_check_byte(test, w->img, i * MIB + 8192, 512, i);
		guest_check_byte(test, w->img, i * MIB + 8704, MIB - 8704, 0);
	}
}

/* A block that was discarded does not become the parent's again. */
static void child_discards(struct kunit *test)
{
	struct writer *w = partial_init(test);

	KUNIT_EXPECT_EQ(test, guest_clear(w->img, 1), 0);
	KUNIT_EXPECT_EQ(test, guest_clear(w->img, 2), 0);
	KUNIT_EXPECT_EQ(test, guest_clear(w->img, 3), 0);
	KUNIT_EXPECT_EQ(test, count(w, 2), 3);
	guest_check_byte(test, w->img, MIB, 3 * MIB, 0);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	/* Rewritten, its old bits mean nothing. */
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 2 * MIB + 512, 512, 1), 0);
	guest_check_byte(test, w->img, 2 * MIB, 512, 0);
	guest_check_byte(test, w->img, 2 * MIB + 1024, MIB - 1024, 0);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 1), 2);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 2) & 7, 6);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 3), 2);
	child_reopen(test, w);
	guest_check_built(test, w->img, &w->b, 0, MIB);
	guest_check_byte(test, w->img, MIB, MIB + 512, 0);
	guest_check_byte(test, w->img, 2 * MIB + 512, 512, 1);
	guest_check_byte(test, w->img, 2 * MIB + 1024, 2 * MIB - 1024, 0);
	guest_check_built(test, w->img, &w->b, 4 * MIB, MIB);
}

/* Zeros are written where the parent would be seen; a discard leaves it alone. */
static void child_zeroes(struct kunit *test)
{
	struct writer *w = partial_init(test);

	KUNIT_EXPECT_EQ(test, guest_discard(w->img, MIB + 512, 1024), 0);
	KUNIT_EXPECT_EQ(test, count(w, 7), 1);
	guest_check_built(test, w->img, &w->b, MIB, MIB);
	KUNIT_EXPECT_EQ(test, guest_discard(w->img, 2 * MIB, MIB - 512), 0);
	guest_check_built(test, w->img, &w->b, 2 * MIB, 16 * 512);
	guest_check_byte(test, w->img, 2 * MIB + 16 * 512, 16 * 512, 0);
	guest_check_built(test, w->img, &w->b, 2 * MIB + 32 * 512, 32 * 512);
	guest_check_byte(test, w->img, 2 * MIB + 64 * 512, 512, 0);
	guest_check_built(test, w->img, &w->b, 2 * MIB + 65 * 512,
			  MIB - 65 * 512);

	KUNIT_EXPECT_EQ(test, guest_zero(w->img, MIB + 512, 1024), 0);
	KUNIT_EXPECT_EQ(test, guest_zero(w->img, 2 * MIB, 65 * 512), 0);
	KUNIT_EXPECT_EQ(test, count(w, 7), 2);
	guest_finish(test, w->img);
	child_reopen(test, w);
	guest_check_built(test, w->img, &w->b, MIB, 512);
	guest_check_byte(test, w->img, MIB + 512, 1024, 0);
	guest_check_built(test, w->img, &w->b, MIB + 1536, MIB - 1536);
	guest_check_byte(test, w->img, 2 * MIB, 65 * 512, 0);
	guest_check_built(test, w->img, &w->b, 2 * MIB + 65 * 512,
			  MIB - 65 * 512);
}

/* A write that fails hides nothing, not even what it left in the run. */
static void child_write_fails(struct kunit *test)
{
	struct writer *w = child_init(test);
	struct guest_write first, second;

	child_build(test, w);
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &first, MIB, 4096), 0);
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &second, MIB + 8192, 4096),
			0);
	KUNIT_EXPECT_EQ(test, guest_fill(w->img, &first, 1), 0);
	KUNIT_EXPECT_EQ(test, guest_fill(w->img, &second, 2), 0);
	guest_end(w->img, &first, -EIO);
	guest_check_built(test, w->img, &w->b, MIB, MIB);
	guest_end(w->img, &second, 0);
	guest_check_built(test, w->img, &w->b, MIB, 8192);
	guest_check_byte(test, w->img, MIB + 8192, 4096, 2);
	guest_check_built(test, w->img, &w->b, MIB + 12288, MIB - 12288);

	/* The only one: the block stays as it was, and nothing leaks. */
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &first, 2 * MIB, 4096), 0);
	KUNIT_EXPECT_EQ(test, guest_fill(w->img, &first, 1), 0);
	guest_end(w->img, &first, -EIO);
	guest_work(w->img);
	KUNIT_EXPECT_EQ(test, count(w, 7), 1);
	guest_check_built(test, w->img, &w->b, 2 * MIB, MIB);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 2 * MIB + 512, 512, 3), 0);
	guest_check_built(test, w->img, &w->b, 2 * MIB, 512);
	guest_finish(test, w->img);
	KUNIT_EXPECT_EQ(test, w->mf->size, (writer_entry(w, 2) & ~(MIB - 1)) +
			MIB);
}

/* Writes in flight when their block is discarded came before that. */
static void child_discarded(struct kunit *test)
{
	struct writer *w = partial_init(test);
	struct guest_write gw[2], late;
	u32 i;

	for (i = 0; i < 2; i++) {
		KUNIT_ASSERT_EQ(test, 0, guest_begin_at(w->img, &gw[i],
							(1 + i) * MIB, 512));
		KUNIT_EXPECT_EQ(test, guest_fill(w->img, &gw[i], 1), 0);
		KUNIT_EXPECT_EQ(test, guest_clear(w->img, 1 + i), 0);
		KUNIT_ASSERT_EQ(test, 0, guest_begin_at(w->img, &late,
							(1 + i) * MIB + 512, 512));
		KUNIT_EXPECT_EQ(test, guest_fill(w->img, &late, 2), 0);
		guest_end(w->img, &late, 0);
		guest_end(w->img, &gw[i], 0);
		guest_check_byte(test, w->img, (1 + i) * MIB, 512, 0);
		guest_check_byte(test, w->img, (1 + i) * MIB + 512, 512, 2);
		guest_check_byte(test, w->img, (1 + i) * MIB + 1024, MIB - 1024,
				 0);
	}
	KUNIT_EXPECT_EQ(test, count(w, 7), 0);
	KUNIT_EXPECT_EQ(test, count(w, 6), 3);
}

/* Bits that have to be read are not read by who may not wait. */
static void child_waits(struct kunit *test)
{
	struct writer *w = partial_init(test);
	struct guest_write gw;

	/* Past the first change. */
	KUNIT_ASSERT_EQ(test, guest_clear(w->img, 9), 0);
	memset(&gw, 0, sizeof(gw));
	gw.write.pos = 2 * MIB;
	gw.write.length = 512;
	KUNIT_EXPECT_EQ(test, guest_begin(w->img, &gw), -EAGAIN);
	gw.write.wait = true;
	w->mf->fail_op = w->mf->ops + 1;
	w->mf->fail_errnum = -EIO;
	KUNIT_EXPECT_EQ(test, guest_begin(w->img, &gw), -EIO);
	w->mf->fail_op = 0;
	KUNIT_EXPECT_EQ(test, guest_begin(w->img, &gw), 0);
	guest_end(w->img, &gw, 0);
	/* Now they are in memory, and stay while they are not in place. */
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 2 * MIB + 4096, 8192, 1), 0);
	vhdx_image_shrink(w->img, U64_MAX);
	gw.write.wait = false;
	KUNIT_EXPECT_EQ(test, guest_begin(w->img, &gw), 0);
	guest_end(w->img, &gw, 0);
}

/* On a durable mapping a FUA write needs no commit; a bit that is new does. */
static void child_fua(struct kunit *test)
{
	struct writer *w = partial_init(test);
	struct guest_write gw = {
		.write.pos = 2 * MIB + 16 * 512,
		.write.length = 4096,
		.write.fua = true,
		.write.wait = true,
	};

	KUNIT_ASSERT_EQ(test, guest_begin(w->img, &gw), 0);
	KUNIT_EXPECT_TRUE(test, gw.write.durable);
	guest_end(w->img, &gw, 0);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 2 * MIB + 48 * 512, 512, 1), 0);
	KUNIT_ASSERT_EQ(test, guest_begin(w->img, &gw), 0);
	KUNIT_EXPECT_FALSE(test, gw.write.durable);
	guest_end(w->img, &gw, 0);
	KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
	KUNIT_ASSERT_EQ(test, guest_begin(w->img, &gw), 0);
	KUNIT_EXPECT_TRUE(test, gw.write.durable);
	guest_end(w->img, &gw, 0);
	gw.write.pos = 2 * MIB;
	KUNIT_ASSERT_EQ(test, guest_begin(w->img, &gw), 0);
	KUNIT_EXPECT_FALSE(test, gw.write.durable);
	guest_end(w->img, &gw, 0);
}

#define PIECE	131072ULL

static int begin_padded(struct writer *w, struct guest_write *gw, u64 pos,
			u64 length)
{
	memset(gw, 0, sizeof(*gw));
	gw->write.pos = pos;
	gw->write.length = length;
	gw->write.wait = true;
	gw->write.may_pad = true;
	return guest_begin(w->img, gw);
}

static void expect_plain(struct kunit *test, struct writer *w, u64 pos,
			 u64 length)
{
	struct guest_write gw;

	KUNIT_ASSERT_EQ(test, begin_padded(w, &gw, pos, length), 0);
	KUNIT_EXPECT_EQ(test, gw.write.pad_before, 0);
	KUNIT_EXPECT_EQ(test, gw.write.pad_after, 0);
	KUNIT_EXPECT_EQ(test, guest_fill(w->img, &gw, 0x11), 0);
	guest_end(w->img, &gw, 0);
}

/* The padding too, with what nobody may see. */
static void fill_padded(struct kunit *test, struct writer *w,
			const struct guest_write *gw, u8 byte)
{
	const struct vhdx_write *write = &gw->write;
	u8 *junk = kunit_kzalloc(test, PIECE, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, junk);
	memset(junk, 0xEE, PIECE);
	KUNIT_EXPECT_EQ(test, memfile_write(w->mf, junk, write->pad_before,
					    write->extent.offset -
					    write->pad_before), 0);
	KUNIT_EXPECT_EQ(test, guest_fill(w->img, gw, byte), 0);
	KUNIT_EXPECT_EQ(test, memfile_write(w->mf, junk, write->pad_after,
					    write->extent.offset +
					    write->extent.length), 0);
}

/* A block that is there in part, in space that came after the file was opened. */
static struct writer *fresh_init(struct kunit *test)
{
	struct writer *w = child_init(test);

	child_build(test, w);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 5 * MIB, 4096, 1), 0);
	return w;
}

/* The rest of the piece, for which others wait, and which nobody sees. */
static void child_pads(struct kunit *test)
{
	struct writer *w = fresh_init(test);
	const u64 piece = 5 * MIB + 3 * PIECE;
	struct guest_write gw, next, inside, across;

	KUNIT_ASSERT_EQ(test, begin_padded(w, &gw, piece + 8192, 4096), 0);
	KUNIT_EXPECT_EQ(test, gw.write.pad_before, 8192);
	KUNIT_EXPECT_EQ(test, gw.write.pad_after, PIECE - 3 * 4096);
	KUNIT_ASSERT_EQ(test, begin_padded(w, &next, piece + PIECE + 512,
					   512), 0);
	KUNIT_EXPECT_EQ(test, next.write.pad_before, 512);
	KUNIT_EXPECT_EQ(test, next.write.pad_after, PIECE - 1024);
	KUNIT_ASSERT_EQ(test, begin_padded(w, &inside, piece + PIECE - 512,
					   512), -EINPROGRESS);
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &across, piece - 4096,
					     8192), -EINPROGRESS);
	fill_padded(test, w, &next, 3);
	guest_end(w->img, &next, 0);
	KUNIT_EXPECT_TRUE(test, inside.waits);
	fill_padded(test, w, &gw, 2);
	guest_end(w->img, &gw, 0);

	KUNIT_EXPECT_FALSE(test, inside.waits);
	KUNIT_EXPECT_FALSE(test, across.waits);
	KUNIT_ASSERT_EQ(test, guest_begin(w->img, &across), 0);
	KUNIT_ASSERT_EQ(test, guest_begin(w->img, &inside), 0);
	KUNIT_EXPECT_EQ(test, inside.write.pad_before, 0);
	KUNIT_EXPECT_EQ(test, inside.write.pad_after, 0);
	KUNIT_EXPECT_EQ(test, guest_fill(w->img, &across, 4), 0);
	KUNIT_EXPECT_EQ(test, guest_fill(w->img, &inside, 5), 0);
	guest_end(w->img, &across, 0);
	guest_end(w->img, &inside, 0);
	KUNIT_EXPECT_EQ(test, count(w, 7), 1);

	guest_check_byte(test, w->img, piece - 4096, 8192, 4);
	guest_check_built(test, w->img, &w->b, piece + 4096, 4096);
	guest_check_byte(test, w->img, piece + 8192, 4096, 2);
	guest_check_built(test, w->img, &w->b, piece + 12288,
			  PIECE - 12288 - 512);
	guest_check_byte(test, w->img, piece + PIECE - 512, 512, 5);
	guest_check_built(test, w->img, &w->b, piece + PIECE, 512);
	guest_check_byte(test, w->img, piece + PIECE + 512, 512, 3);
	guest_check_built(test, w->img, &w->b, piece + PIECE + 1024,
			  PIECE - 1024);
}

/* It takes one that goes on from no other, where nothing is and nothing comes. */
static void child_pads_no_more(struct kunit *test)
{
	struct writer *w = fresh_init(test);
	const u64 piece = 5 * MIB + 3 * PIECE;
	struct guest_write gw;

	/* the first of a block; the first place of it; right after another */
	expect_plain(test, w, 6 * MIB + 4 * PIECE + 4096, 512);
	expect_plain(test, w, 6 * MIB, 512);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, piece - 512, 512, 1), 0);
	expect_plain(test, w, piece, 4096);
	/* something is there */
	expect_plain(test, w, piece + PIECE - 512, 512);
	/* in two pieces; not small; who cannot */
	expect_plain(test, w, 5 * MIB + 5 * PIECE - 512, 1024);
	expect_plain(test, w, 5 * MIB + 6 * PIECE + 512, PIECE / 8 + 512);
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 9 * MIB, 4096, 1), 0);
	KUNIT_ASSERT_EQ(test, guest_begin_at(w->img, &gw,
					     9 * MIB + 2 * PIECE + 512, 512), 0);
	KUNIT_EXPECT_EQ(test, gw.write.pad_before, 0);
	KUNIT_EXPECT_EQ(test, gw.write.pad_after, 0);
	/* something is on its way there */
	expect_plain(test, w, 9 * MIB + 2 * PIECE + 4096, 512);
	guest_end(w->img, &gw, -EIO);
	/* the counter-check */
	KUNIT_ASSERT_EQ(test, begin_padded(w, &gw, 5 * MIB + PIECE, 512), 0);
	KUNIT_EXPECT_EQ(test, gw.write.pad_before, 0);
	KUNIT_EXPECT_EQ(test, gw.write.pad_after, PIECE - 512);
	guest_end(w->img, &gw, -EIO);
}

/* Whoever made it may have written to it. */
static void child_pads_fresh_space(struct kunit *test)
{
	struct writer *w = partial_init(test);

	expect_plain(test, w, 2 * MIB + 4 * PIECE + 4096, 4096);
}

/* The end of the padding is told of, whatever became of it and of the block. */
static void child_padding_fails(struct kunit *test)
{
	struct writer *w = fresh_init(test);
	const u64 piece = 5 * MIB + 3 * PIECE;
	struct guest_write gw, later;

	KUNIT_ASSERT_EQ(test, begin_padded(w, &gw, piece + 4096, 4096), 0);
	KUNIT_ASSERT_EQ(test, begin_padded(w, &later, piece + 512, 512),
			-EINPROGRESS);
	guest_end(w->img, &gw, -EIO);
	KUNIT_EXPECT_FALSE(test, later.waits);
	KUNIT_ASSERT_EQ(test, guest_begin(w->img, &later), 0);
	KUNIT_EXPECT_EQ(test, later.write.pad_before, 0);
	guest_end(w->img, &later, -EIO);

	KUNIT_ASSERT_EQ(test, begin_padded(w, &later, piece + 512, 512), 0);
	KUNIT_EXPECT_EQ(test, later.write.pad_before, 512);
	KUNIT_ASSERT_EQ(test, begin_padded(w, &gw, piece + 4096, 4096),
			-EINPROGRESS);
	KUNIT_ASSERT_EQ(test, guest_clear(w->img, 5), 0);
	fill_padded(test, w, &later, 1);
	guest_end(w->img, &later, 0);
	KUNIT_EXPECT_FALSE(test, gw.waits);
	KUNIT_ASSERT_EQ(test, guest_begin(w->img, &gw), 0);
	KUNIT_EXPECT_EQ(test, gw.write.pad_before, 0);
	KUNIT_EXPECT_EQ(test, guest_fill(w->img, &gw, 2), 0);
	guest_end(w->img, &gw, 0);
	guest_check_byte(test, w->img, 5 * MIB, 3 * PIECE + 4096, 0);
	guest_check_byte(test, w->img, piece + 4096, 4096, 2);
	guest_check_byte(test, w->img, piece + 8192, MIB - 3 * PIECE - 8192, 0);
}

/* Where the file has become longer by a hole there is nothing to convert. */
static void child_pads_no_hole(struct kunit *test)
{
	struct writer *w = child_init(test);

	child_build(test, w);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_ALLOCATE, .times = U64_MAX,
		.errnum = -EOPNOTSUPP,
	};
	KUNIT_ASSERT_EQ(test, guest_write(w->img, 5 * MIB, 4096, 1), 0);
	expect_plain(test, w, 5 * MIB + 3 * PIECE + 4096, 4096);
}

/* Data that cannot be made stable hides nothing. */
static void child_flush_fails(struct kunit *test)
{
	struct writer *w = child_init(test);

	child_build(test, w);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, MIB, 512, 1), 0);
	writer_forget(w);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_FLUSH, .times = 1, .errnum = -EIO,
	};
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), -EIO);
	KUNIT_EXPECT_EQ(test, w->mf->records, 1);
	KUNIT_EXPECT_EQ(test, vhdx_image_failed(w->img), -EIO);
	child_reopen(test, w);
	guest_check_built(test, w->img, &w->b, 0, 4 * MIB);
}

/* An entry that finds no room is written again, its data flushed once more. */
static void child_log_is_full(struct kunit *test)
{
	struct writer *w = child_init(test);

	child_build(test, w);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, MIB, 512, 1), 0);
	writer_forget(w);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_WRITE, .times = 1, .errnum = -ENOSPC,
	};
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), -ENOSPC);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	expect_flush(test, w);
	check_record(test, w, MEMFILE_WRITE, w->layout.log_offset, 4 * 4096,
		     false, -ENOSPC);
	expect_flush(test, w);
	expect_write(test, w, w->layout.log_offset, 4 * 4096);
	expect_flush(test, w);
}

/* A full host fails the write that wants a bitmap block, and works again. */
static void child_host_is_full(struct kunit *test)
{
	struct writer *w = child_init(test);

	child_build(test, w);
	KUNIT_EXPECT_EQ(test, guest_clear(w->img, 9), 0);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_ALLOCATE, .times = U64_MAX, .errnum = -ENOSPC,
	};
	KUNIT_EXPECT_EQ(test, guest_write(w->img, MIB, 512, 1), -ENOSPC);
	guest_check_built(test, w->img, &w->b, 0, 4 * MIB);
	memset(&w->mf->fault, 0, sizeof(w->mf->fault));
	KUNIT_EXPECT_EQ(test, guest_write(w->img, MIB, 512, 1), 0);
	guest_finish(test, w->img);
	child_reopen(test, w);
	guest_check_byte(test, w->img, MIB, 512, 1);
	guest_check_built(test, w->img, &w->b, MIB + 512, MIB);
}

/* Where nothing is left but what was freed, that has a bitmap block too. */
static void child_uses_holes(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 2, 6, BUILDER_PLACE }, { 3, 6, BUILDER_PLACE },
	};
	struct writer *w = child_init(test);

	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	child_build(test, w);
	w->mf->room = w->mf->size;
	KUNIT_EXPECT_EQ(test, guest_clear(w->img, 2), 0);
	KUNIT_EXPECT_EQ(test, guest_clear(w->img, 3), 0);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, MIB, 512, 1), 0);
	KUNIT_EXPECT_EQ(test, count(w, 7), 1);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, 0, 512, 1), -ENOSPC);
	guest_finish(test, w->img);
	child_reopen(test, w);
	guest_check_byte(test, w->img, MIB, 512, 1);
	guest_check_built(test, w->img, &w->b, MIB + 512, MIB - 512);
}

/* The bits of the largest block fill many pages; all stale ones go at once. */
static void child_large_block(struct kunit *test)
{
	static const struct builder_block blocks[] = { { 1, 0, 0 } };
	struct writer *w = child_init(test);
	u64 size = 256 * MIB, pos = size + 200 * MIB;

	w->b.block_size = size;
	w->b.disk_size = 4 * size;
	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	w->b.stale_bits = true;
	child_build(test, w);
	KUNIT_EXPECT_EQ(test, guest_write(w->img, pos, 4096, 1), 0);
	guest_work(w->img);
	writer_forget(w);
	KUNIT_EXPECT_EQ(test, guest_flush(w->img), 0);
	expect_flush(test, w);
	expect_write(test, w, w->layout.log_offset, (1 + 1 + 16) * 4096);
	guest_finish(test, w->img);
	child_reopen(test, w);
	guest_check_built(test, w->img, &w->b, size, 4 * MIB);
	guest_check_built(test, w->img, &w->b, pos - MIB, MIB);
	guest_check_byte(test, w->img, pos, 4096, 1);
	guest_check_built(test, w->img, &w->b, pos + 4096, MIB);
}

/* Every state of every block, and each of many commits and generations. */
static void child_many_generations(struct kunit *test)
{
	struct writer *w = child_init(test);
	u32 i, block;

	child_build(test, w);
	for (i = 0; i < 300; i++) {
		block = i * 7 % 64;
		KUNIT_ASSERT_EQ(test, 0, guest_write(w->img, block * MIB +
						     i / 64 * 4096, 2048,
						     1 + i % 255));
		KUNIT_ASSERT_EQ(test, guest_flush(w->img), 0);
		if (i % 50 == 49)
			vhdx_image_shrink(w->img, U64_MAX);
	}
	guest_finish(test, w->img);
	child_reopen(test, w);
	for (i = 0; i < 300; i++) {
		block = i * 7 % 64;
		guest_check_byte(test, w->img, block * MIB + i / 64 * 4096, 2048,
				 1 + i % 255);
		guest_check_built(test, w->img, &w->b, block * MIB +
				  i / 64 * 4096 + 2048, 2048);
	}
}

/* Whose blocks are so long that a bitmap block is a part of one. */
static struct writer *long_blocks_init(struct kunit *test, u32 block_size)
{
	struct writer *w = child_init(test);

	w->b.block_size = block_size;
	/* Five chunks. */
	w->b.disk_size = 20ULL << 30;
	return w;
}

static u64 bitmap_offset(const struct writer *w, u64 chunk)
{
	__le64 entry;

	memfile_read(w->mf, &entry, sizeof(entry), w->layout.bat_offset +
		     8 * builder_bitmap_index(&w->layout, chunk));
	return le64_to_cpu(entry) & ~(MIB - 1);
}

/*
 * Bitmap blocks among payload blocks that are longer: nothing stays free between
 * them, however the file grows and when it is opened.
 */
static void child_leaves_no_gaps(struct kunit *test)
{
	static const u32 sizes[] = { 2 * MIB, 8 * MIB, 64 * MIB };
	u64 pos, end;
	u32 i, k;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct writer *w = long_blocks_init(test, sizes[i]);

		writer_build(test, w);
		end = w->layout.file_size;
		for (k = 0; k < 15; k++) {
			if (k % 4 == 0)
				child_open(test, w);
			w->img->growth_step = 3 * sizes[i];
			pos = ((u64)k % 5 << 32) + k / 5 * sizes[i] + 4096;
			KUNIT_ASSERT_EQ(test, 0, guest_write(w->img, pos, 4096,
							     1 + k));
			if (k % 4 != 3 && k != 14)
				continue;
			guest_finish(test, w->img);
			guest_close(test, w->img);
			guest_check_file(test, w->mf);
			KUNIT_EXPECT_EQ(test, w->mf->size, end + min(k + 1, 5U) *
					MIB + (k + 1) * (u64)sizes[i]);
		}
		w->img = guest_open_child(test, w->mf, w->parent);
		for (k = 0; k < 15; k++)
			guest_check_byte(test, w->img, ((u64)k % 5 << 32) + k / 5 *
					 sizes[i] + 4096, 4096, 1 + k);
		guest_close(test, w->img);
	}
}

/* Gaps at 14 MiB and 17 MiB that are too short for a block. */
static struct writer *short_gaps_build(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 100, 6, 10 * MIB }, { 101, 6, 15 * MIB }, { 102, 6, 18 * MIB },
	};
	struct writer *w = long_blocks_init(test, 2 * MIB);

	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	writer_build(test, w);
	KUNIT_ASSERT_EQ(test, w->layout.blocks_offset, 4 * MIB);
	memfile_resize(w->mf, 20 * MIB);
	return w;
}

/* What is too short for a block is long enough for a bitmap block. */
static void child_uses_short_gaps(struct kunit *test)
{
	/* In the end half of a gap for blocks as well. */
	static const u64 bitmap[] = { 14 * MIB, 17 * MIB, 12 * MIB, 13 * MIB };
	struct writer *w = short_gaps_build(test);
	u32 k;

	for (k = 0; k < 4; k++) {
		child_open(test, w);
		KUNIT_ASSERT_EQ(test, 0, guest_write(w->img, ((u64)k << 32) +
						     4096, 4096, 1 + k));
		guest_finish(test, w->img);
		guest_close(test, w->img);
		KUNIT_EXPECT_EQ(test, bitmap_offset(w, k), bitmap[k]);
	}
	guest_check_file(test, w->mf);
	w->img = guest_open_child(test, w->mf, w->parent);
	for (k = 0; k < 4; k++)
		guest_check_byte(test, w->img, ((u64)k << 32) + 4096, 4096,
				 1 + k);
}

/* A gap that the host had no room for is not forgotten. */
static void child_tries_short_gaps_again(struct kunit *test)
{
	u64 n, ops = 1, k;

	for (n = 1; n <= ops; n++) {
		struct writer *w = short_gaps_build(test);
		bool used = false;

		child_open(test, w);
		memfile_count_from_zero(w->mf);
		w->mf->fail_op = n;
		w->mf->fail_errnum = -ENOSPC;
		if (guest_write(w->img, 4096, 4096, 1))
			guest_write(w->img, 4096, 4096, 1);
		ops = w->mf->ops;
		w->mf->fail_op = 0;
		/* Such an answer to a flush, or to a header, is the end. */
		if (vhdx_image_failed(w->img)) {
			guest_close(test, w->img);
			continue;
		}
		for (k = 1; k < 4; k++)
			KUNIT_ASSERT_EQ(test, 0, guest_write(w->img, (k << 32) +
							     4096, 4096, 1 + k));
		guest_finish(test, w->img);
		guest_close(test, w->img);
		for (k = 0; k < 4; k++)
			used |= bitmap_offset(w, k) == 14 * MIB;
		KUNIT_EXPECT_TRUE(test, used);
		guest_check_file(test, w->mf);
	}
	KUNIT_EXPECT_GT(test, n, 4);
}

/* Not without its parent, nor above one that does not match. */
static void child_needs_parent(struct kunit *test)
{
	struct writer *w = child_init(test);
	struct vhdx_image *img;
	struct vhdx_error err;
	u32 before;

	child_build(test, w);
	guest_close(test, w->img);
	before = memfile_checksum(w->mf);
	KUNIT_EXPECT_EQ(test, -ENOLINK, vhdx_image_open(&w->mf->file,
							VHDX_OPEN_WRITE, &img,
							&err));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			vhdx_image_open_child(&w->mf->file, w->parent,
					      VHDX_OPEN_WRITE |
					      VHDX_OPEN_IGNORE_ID_MISMATCH,
					      &img, &err));
	KUNIT_EXPECT_EQ(test, memfile_checksum(w->mf), before);
}

static struct kunit_case image_child_cases[] = {
	KUNIT_CASE(child_is_not_fixed),
	KUNIT_CASE(child_small_write),
	KUNIT_CASE(child_first_bitmap),
	KUNIT_CASE(child_whole_block),
	KUNIT_CASE(child_fills_up),
	KUNIT_CASE(child_partial_block),
	KUNIT_CASE(child_hiding_states),
	KUNIT_CASE(child_discards),
	KUNIT_CASE(child_zeroes),
	KUNIT_CASE(child_write_fails),
	KUNIT_CASE(child_discarded),
	KUNIT_CASE(child_waits),
	KUNIT_CASE(child_fua),
	KUNIT_CASE(child_pads),
	KUNIT_CASE(child_pads_no_more),
	KUNIT_CASE(child_pads_fresh_space),
	KUNIT_CASE(child_padding_fails),
	KUNIT_CASE(child_pads_no_hole),
	KUNIT_CASE(child_flush_fails),
	KUNIT_CASE(child_log_is_full),
	KUNIT_CASE(child_host_is_full),
	KUNIT_CASE(child_uses_holes),
	KUNIT_CASE(child_large_block),
	KUNIT_CASE_SLOW(child_many_generations),
	KUNIT_CASE_SLOW(child_leaves_no_gaps),
	KUNIT_CASE(child_uses_short_gaps),
	KUNIT_CASE_SLOW(child_tries_short_gaps_again),
	KUNIT_CASE(child_needs_parent),
	{}
};

static struct kunit_suite image_child_suite = {
	.name = "vhdx_image_child",
	.test_cases = image_child_cases,
};

kunit_test_suite(image_child_suite);
