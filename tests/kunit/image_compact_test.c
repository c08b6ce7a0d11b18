// SPDX-License-Identifier: GPL-2.0
/*
 * Compaction: what loses its place, what moves where, and that a guest sees none
 * of it, whatever fails. What a power cut leaves of one is build/crash's to show.
 */
#include <kunit/test.h>

#include "guest.h"
#include "image/compact.h"
#include "image/resize.h"
#include "writer_test.h"

#define MIB	VHDX_MIB

static struct writer *compact_init(struct kunit *test,
				   const struct builder_block *blocks, u32 n)
{
	struct writer *w = writer_init(test);

	w->b.disk_size = 64 * MIB;
	w->b.block = blocks;
	w->b.blocks = n;
	return w;
}

static void open_edit(struct kunit *test, struct writer *w)
{
	struct vhdx_error err;

	KUNIT_ASSERT_EQ(test, 0, vhdx_image_open(&w->mf->file, VHDX_OPEN_EDIT,
						 &w->img, &err));
	writer_forget(w);
}

static int compact(struct writer *w, struct vhdx_compact *compact)
{
	int ret = vhdx_image_compact(w->img, compact);

	return ret ? : vhdx_image_finish(w->img);
}

static void close_edit(struct writer *w)
{
	vhdx_image_close(w->img);
	w->img = NULL;
}

/* All of the disk is as it was built, and the file is clean. */
static void check_same(struct kunit *test, struct writer *w,
		       const struct builder *b)
{
	struct vhdx_image *img = guest_open(test, w->mf);

	KUNIT_EXPECT_FALSE(test, img->log.dirty);
	guest_check_built(test, img, b, 0, b->disk_size);
	guest_close(test, img);
}

static u64 place_of(const struct writer *w, u64 block)
{
	return writer_entry(w, block) & ~(MIB - 1);
}

/* In its place in the file, so that its entry stays as it is. */
static void zero_block(struct kunit *test, struct writer *w, u64 block)
{
	KUNIT_ASSERT_EQ(test, 0, memfile_write_zeros(w->mf, w->b.block_size,
						     place_of(w, block)));
}

static const struct builder_block mixed[] = {
	{ 0, 6, BUILDER_PLACE }, { 1, 3, BUILDER_PLACE }, { 2, 6, BUILDER_PLACE },
	{ 3, 1, BUILDER_PLACE }, { 4, 5, BUILDER_PLACE }, { 5, 6, BUILDER_PLACE },
	{ 6, 2, 0 }, { 40, 6, BUILDER_PLACE }, { 63, 6, BUILDER_PLACE },
};

/* Those without data give up their place, the last ones take the first of these. */
static void compact_mixed(struct kunit *test)
{
	struct writer *w = compact_init(test, mixed, ARRAY_SIZE(mixed));
	struct vhdx_compact c = { };
	struct vhdx_header old, new;
	u64 first;

	writer_build(test, w);
	first = w->layout.blocks_offset;
	writer_header(w, 0, &old);
	open_edit(test, w);
	KUNIT_ASSERT_EQ(test, 0, compact(w, &c));
	close_edit(w);
	KUNIT_EXPECT_EQ(test, c.freed, 3);
	KUNIT_EXPECT_EQ(test, c.moved, 3);
	KUNIT_EXPECT_EQ(test, c.size_before, first + 8 * MIB);
	KUNIT_EXPECT_EQ(test, c.size, first + 5 * MIB);
	KUNIT_EXPECT_EQ(test, w->mf->size, c.size);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 0), first | 6);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 1), 3);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 2), (first + 2 * MIB) | 6);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 3), 1);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 4), 3);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 5), (first + 4 * MIB) | 6);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 6), 2);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 40), (first + 3 * MIB) | 6);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 63), (first + MIB) | 6);
	check_same(test, w, &w->b);
	/* A guest saw nothing, who has a copy of the file can tell. */
	writer_header(w, 0, &new);
	KUNIT_EXPECT_TRUE(test, guid_equal(&old.data_write_guid,
					   &new.data_write_guid));
	KUNIT_EXPECT_FALSE(test, guid_equal(&old.file_write_guid,
					    &new.file_write_guid));
}

/* A second time there is nothing to do, and every byte stays. */
static void compact_twice(struct kunit *test)
{
	struct writer *w = compact_init(test, mixed, ARRAY_SIZE(mixed));
	struct vhdx_compact c = { }, again = { };
	u32 checksum;

	writer_build(test, w);
	open_edit(test, w);
	KUNIT_ASSERT_EQ(test, 0, compact(w, &c));
	close_edit(w);
	checksum = memfile_checksum(w->mf);
	open_edit(test, w);
	KUNIT_ASSERT_EQ(test, 0, compact(w, &again));
	KUNIT_EXPECT_EQ(test, 0, w->mf->records);
	close_edit(w);
	KUNIT_EXPECT_EQ(test, checksum, memfile_checksum(w->mf));
	KUNIT_EXPECT_EQ(test, again.freed + again.moved, 0);
	KUNIT_EXPECT_EQ(test, again.size, again.size_before);
}

/* What it says beforehand is what comes of it, and nothing changes. */
static void compact_played_through(struct kunit *test)
{
	struct writer *w = compact_init(test, mixed, ARRAY_SIZE(mixed));
	struct vhdx_compact said = { }, done = { };
	struct vhdx_image *img;
	u32 checksum;

	w->b.shuffle = true;
	writer_build(test, w);
	zero_block(test, w, 2);
	checksum = memfile_checksum(w->mf);
	img = guest_open(test, w->mf);
	KUNIT_ASSERT_EQ(test, 0, vhdx_image_compact(img, &said));
	guest_close(test, img);
	KUNIT_EXPECT_EQ(test, checksum, memfile_checksum(w->mf));
	open_edit(test, w);
	KUNIT_ASSERT_EQ(test, 0, compact(w, &done));
	close_edit(w);
	KUNIT_EXPECT_LT(test, done.size, done.size_before);
	KUNIT_EXPECT_EQ(test, said.size, done.size);
	KUNIT_EXPECT_EQ(test, said.size_before, done.size_before);
	KUNIT_EXPECT_EQ(test, said.freed, done.freed);
	KUNIT_EXPECT_EQ(test, said.moved, done.moved);
}

/* Zeros, written or a hole; the disk's end inside of a block counts. */
static void compact_zeros(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 0, 6, BUILDER_PLACE }, { 1, 6, BUILDER_PLACE },
		{ 2, 6, BUILDER_PLACE }, { 3, 6, BUILDER_PLACE },
		{ 4, 6, BUILDER_PLACE },
	};
	struct writer *w = compact_init(test, blocks, ARRAY_SIZE(blocks));
	struct vhdx_compact c = { };
	struct vhdx_image *img;
	u8 byte = 1;

	w->b.disk_size = 4 * MIB + 512;
	writer_build(test, w);
	zero_block(test, w, 1);
	memfile_punch(w->mf, place_of(w, 2), MIB);
	zero_block(test, w, 3);
	KUNIT_ASSERT_EQ(test, 0, memfile_write(w->mf, &byte, 1,
					       place_of(w, 3) + MIB - 1));
	zero_block(test, w, 4);
	/* nobody sees this one */
	KUNIT_ASSERT_EQ(test, 0, memfile_write(w->mf, &byte, 1,
					       place_of(w, 4) + 512));
	open_edit(test, w);
	KUNIT_ASSERT_EQ(test, 0, compact(w, &c));
	/* The hole was not read, and neither was more than the first of data. */
	KUNIT_EXPECT_LE(test, w->mf->read_bytes, 4 * MIB);
	close_edit(w);
	KUNIT_EXPECT_EQ(test, c.freed, 3);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 1), 2);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 2), 2);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 3) & 7, 6);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 4), 2);
	KUNIT_EXPECT_EQ(test, w->mf->size, w->layout.blocks_offset + 2 * MIB);
	img = guest_open(test, w->mf);
	guest_check_built(test, img, &w->b, 0, MIB);
	guest_check_byte(test, img, MIB, 3 * MIB - 512, 0);
	guest_check_byte(test, img, 4 * MIB - 1, 1, 1);
	guest_check_byte(test, img, 4 * MIB, 512, 0);
}

/* A hole in a block that moves is one still, over what lay there before. */
static void compact_holes(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 0, 3, BUILDER_PLACE }, { 1, 6, BUILDER_PLACE },
	};
	struct writer *w = compact_init(test, blocks, ARRAY_SIZE(blocks));
	struct vhdx_compact c = { };
	u64 from, data;
	u32 i;

	w->b.data_bytes = 4096;
	writer_build(test, w);
	from = place_of(w, 0);
	for (i = 0; i < MIB; i += 4096)
		KUNIT_ASSERT_EQ(test, 0, memfile_write(w->mf, "left", 4, from + i));
	open_edit(test, w);
	KUNIT_ASSERT_EQ(test, 0, compact(w, &c));
	close_edit(w);
	KUNIT_EXPECT_EQ(test, place_of(w, 1), from);
	data = memfile_next_data(w->mf, from + 4096);
	KUNIT_EXPECT_EQ(test, data, from + MIB - 4096);
	check_same(test, w, &w->b);
}

/* Bitmap blocks move too; one that no block looks at goes. */
static void compact_child(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 0, 7, BUILDER_PLACE }, { 1, 6, BUILDER_PLACE },
		{ 2, 3, BUILDER_PLACE }, { 3, 2, 0 }, { 4, 7, BUILDER_PLACE },
		/* of the next chunk, which holds 4 GiB */
		{ 1025, 6, BUILDER_PLACE },
	};
	struct writer *w = compact_init(test, blocks, ARRAY_SIZE(blocks));
	struct vhdx_compact c = { };
	struct vhdx_image *img;
	u64 i, pos;

	w->b.disk_size = 5000 * MIB;
	w->b.block_size = 4 * MIB;
	w->b.data_bytes = 65536;
	w->b.differencing = true;
	w->b.stale_bits = true;
	writer_build(test, w);
	zero_block(test, w, 1);
	open_edit(test, w);
	KUNIT_EXPECT_EQ(test, w->img->counts.bitmap, 2);
	KUNIT_ASSERT_EQ(test, 0, compact(w, &c));
	close_edit(w);
	/* Two blocks, and the bitmap of the second chunk. */
	KUNIT_EXPECT_EQ(test, c.freed, 3);
	KUNIT_EXPECT_EQ(test, w->mf->size, w->layout.blocks_offset + 13 * MIB);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 1), 2);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 2), 3);
	img = guest_open(test, w->mf);
	KUNIT_EXPECT_EQ(test, img->counts.bitmap, 1);
	KUNIT_EXPECT_EQ(test, img->counts.payload[7], 2);
	guest_check_byte(test, img, 4 * MIB, 12 * MIB, 0);
	for (i = 0; i < ARRAY_SIZE(blocks); i++) {
		pos = blocks[i].block * w->b.block_size;
		if (blocks[i].block == 1)
			continue;
		guest_check_built(test, img, &w->b, pos, 65536);
		guest_check_built(test, img, &w->b,
				  pos + w->b.block_size - 65536, 65536);
	}
}

static const struct builder_block three[] = {
	{ 0, 6, BUILDER_PLACE }, { 1, 6, BUILDER_PLACE }, { 2, 6, BUILDER_PLACE },
	{ 3, 3, BUILDER_PLACE },
};

/* Where things lie is drawn from @seed. */
static struct writer *draw(struct kunit *test, u64 seed)
{
	struct writer *w = compact_init(test, three, ARRAY_SIZE(three));

	w->b.shuffle = true;
	w->b.data_bytes = 65536;
	w->b.seed = seed;
	return w;
}

/* The log and the regions move, wherever they are, and it is said beforehand. */
static void compact_structures(struct kunit *test)
{
	struct vhdx_image *img;
	u64 seed, end, moved = 0;
	struct writer *w;

	for (seed = 1; seed <= 40; seed++) {
		struct vhdx_compact c = { }, said = { }, again = { };

		w = draw(test, seed);
		writer_build(test, w);
		end = max(w->layout.log_offset + w->layout.log_length,
			  max(w->layout.bat_offset + w->layout.bat_length,
			      w->layout.metadata_offset +
			      w->layout.metadata_length));
		moved += end > 7 * MIB;
		img = guest_open(test, w->mf);
		KUNIT_ASSERT_EQ(test, 0, vhdx_image_compact(img, &said));
		guest_close(test, img);
		open_edit(test, w);
		KUNIT_ASSERT_EQ(test, 0, compact(w, &c));
		close_edit(w);
		/* header section, log, BAT, metadata, three blocks */
		KUNIT_EXPECT_EQ_MSG(test, w->mf->size, 7 * MIB, "seed %llu",
				    seed);
		KUNIT_EXPECT_EQ_MSG(test, said.size, 7 * MIB, "seed %llu", seed);
		check_same(test, w, &w->b);
		guest_check_file(test, w->mf);
		open_edit(test, w);
		KUNIT_ASSERT_EQ(test, 0, compact(w, &again));
		KUNIT_EXPECT_EQ(test, 0, w->mf->records);
		close_edit(w);
	}
	KUNIT_EXPECT_GT(test, moved, 10);
	KUNIT_EXPECT_LT(test, moved, 40);
}

/* A BAT that had to move up for a larger disk comes down, with room made for it. */
static void compact_long_bat(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 0, 6, BUILDER_PLACE }, { 1, 6, BUILDER_PLACE },
		{ 2, 6, BUILDER_PLACE }, { 3, 6, BUILDER_PLACE },
		{ 4, 6, BUILDER_PLACE }, { 5, 6, BUILDER_PLACE },
	};
	struct writer *w = compact_init(test, blocks, ARRAY_SIZE(blocks));
	struct vhdx_compact c = { };
	struct vhdx_image *img;
	struct vhdx_error err;
	u64 first;

	writer_build(test, w);
	first = w->layout.blocks_offset;
	zero_block(test, w, 1);
	zero_block(test, w, 2);
	open_edit(test, w);
	KUNIT_ASSERT_EQ(test, 0, vhdx_image_resize(w->img, 131073 * MIB, &err));
	KUNIT_ASSERT_EQ(test, 0, vhdx_image_finish(w->img));
	KUNIT_ASSERT_EQ(test, w->mf->size, first + 8 * MIB);
	close_edit(w);
	open_edit(test, w);
	KUNIT_ASSERT_EQ(test, 0, compact(w, &c));
	close_edit(w);
	/* Four blocks in six places, one of them the old one's. */
	KUNIT_EXPECT_EQ(test, w->mf->size, first + 5 * MIB);
	img = guest_open(test, w->mf);
	KUNIT_EXPECT_EQ(test, img->bat_region->length, 2 * MIB);
	KUNIT_EXPECT_TRUE(test, img->regions->table_valid[0]);
	KUNIT_EXPECT_TRUE(test, img->regions->table_valid[1]);
	guest_check_built(test, img, &w->b, 0, MIB);
	guest_check_byte(test, img, MIB, 2 * MIB, 0);
	guest_check_built(test, img, &w->b, 3 * MIB, 3 * MIB);
	guest_close(test, img);
	guest_check_file(test, w->mf);
}

/* A region of others lies at the end, does not move and keeps all that is below it. */
static void compact_pinned(struct kunit *test)
{
	struct writer *w;
	u64 seed, pinned = 0;

	for (seed = 1; seed <= 40; seed++) {
		struct vhdx_compact c = { };
		u64 end;

		w = draw(test, seed);
		w->b.region = (struct builder_region){
			.guid = builder_guid(9), .length = MIB,
		};
		writer_build(test, w);
		end = w->layout.region_offset + MIB;
		open_edit(test, w);
		KUNIT_ASSERT_EQ(test, 0, compact(w, &c));
		close_edit(w);
		KUNIT_EXPECT_GE_MSG(test, w->mf->size, end, "seed %llu", seed);
		KUNIT_EXPECT_EQ_MSG(test, w->mf->size, max(end, 8 * MIB),
				    "seed %llu", seed);
		pinned += end > 8 * MIB;
		check_same(test, w, &w->b);
	}
	KUNIT_EXPECT_GT(test, pinned, 0);
	KUNIT_EXPECT_LT(test, pinned, 40);
}

/* Only the end is to be cut. */
static void compact_tail(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 0, 6, BUILDER_PLACE },
	};
	struct writer *w = compact_init(test, blocks, ARRAY_SIZE(blocks));
	struct vhdx_compact c = { };

	writer_build(test, w);
	memfile_resize(w->mf, w->layout.file_size + 5 * MIB);
	open_edit(test, w);
	KUNIT_ASSERT_EQ(test, 0, compact(w, &c));
	close_edit(w);
	KUNIT_EXPECT_EQ(test, w->mf->size, w->layout.file_size);
	KUNIT_EXPECT_EQ(test, c.size_before - c.size, 5 * MIB);
	check_same(test, w, &w->b);
}

static void compact_fixed(struct kunit *test)
{
	struct writer *w = writer_init(test);
	struct vhdx_compact c = { };
	u32 checksum;

	w->b.disk_size = 4 * MIB;
	w->b.fixed = true;
	w->b.default_state = 6;
	w->b.data_bytes = 4096;
	writer_build(test, w);
	checksum = memfile_checksum(w->mf);
	open_edit(test, w);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, compact(w, &c));
	close_edit(w);
	KUNIT_EXPECT_EQ(test, checksum, memfile_checksum(w->mf));
}

/* Stops after so many questions. */
static bool stop_after(struct vhdx_compact *compact)
{
	u32 *left = compact->ctx;

	return !(*left)--;
}

/* Stopped anywhere, the image is whole, and the next one ends where it was to. */
static void compact_stopped(struct kunit *test)
{
	int ret = -EINTR;
	u32 n;

	for (n = 0; ret; n++) {
		struct writer *w = compact_init(test, mixed, ARRAY_SIZE(mixed));
		u32 left = n;
		struct vhdx_compact c = { .stop = stop_after, .ctx = &left };
		struct vhdx_compact rest = { };

		w->b.data_bytes = 4096;
		writer_build(test, w);
		open_edit(test, w);
		ret = compact(w, &c);
		KUNIT_ASSERT_TRUE(test, !ret || ret == -EINTR);
		close_edit(w);
		KUNIT_ASSERT_EQ(test, w->mf->size, c.size);
		check_same(test, w, &w->b);
		open_edit(test, w);
		KUNIT_ASSERT_EQ(test, 0, compact(w, &rest));
		close_edit(w);
		KUNIT_ASSERT_EQ(test, w->mf->size, w->layout.blocks_offset + 5 * MIB);
		check_same(test, w, &w->b);
	}
	KUNIT_EXPECT_GT(test, n, 10);
}

/* A host without room for a copy: what was done stays, and it is told. */
static void compact_full_host(struct kunit *test)
{
	struct writer *w = compact_init(test, mixed, ARRAY_SIZE(mixed));
	struct vhdx_compact c = { .batch = 1 };

	writer_build(test, w);
	open_edit(test, w);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_WRITE, .times = 1, .errnum = -ENOSPC,
		.from = w->layout.blocks_offset + 3 * MIB,
		.to = w->layout.blocks_offset + 4 * MIB,
	};
	KUNIT_ASSERT_EQ(test, -ENOSPC, vhdx_image_compact(w->img, &c));
	KUNIT_EXPECT_EQ(test, 0, vhdx_image_finish(w->img));
	close_edit(w);
	KUNIT_EXPECT_EQ(test, c.moved, 1);
	KUNIT_EXPECT_EQ(test, w->mf->size, w->layout.blocks_offset + 7 * MIB);
	check_same(test, w, &w->b);
}

/* Its blocks among structures that are in order, or the drawn ones. */
static struct writer *build_for_faults(struct kunit *test, u64 seed, u64 *end)
{
	struct writer *w = seed ? draw(test, seed) :
				  compact_init(test, mixed, ARRAY_SIZE(mixed));

	w->b.data_bytes = 4096;
	writer_build(test, w);
	*end = seed ? 7 * MIB : w->layout.blocks_offset + 5 * MIB;
	return w;
}

/* Each operation of the file fails once, and a guest sees nothing of that. */
static void fail_each_op(struct kunit *test, u64 seed)
{
	bool done = false;
	u64 n;

	for (n = 1; !done; n += GUEST_FAIL_STEP) {
		struct vhdx_compact c = { .batch = 2 * MIB };
		u64 end;
		struct writer *w = build_for_faults(test, seed, &end);

		open_edit(test, w);
		w->mf->fail_op = n;
		w->mf->fail_errnum = n % 2 ? -EIO : -ENOSPC;
		done = !compact(w, &c);
		/* A file that could not be cut is longer, and that is all. */
		done = done && w->mf->ops < n;
		w->mf->fail_op = 0;
		close_edit(w);
		guest_close(test, guest_open_writable(test, w->mf, NULL));
		check_same(test, w, &w->b);
		c = (struct vhdx_compact){ };
		open_edit(test, w);
		KUNIT_ASSERT_EQ(test, 0, compact(w, &c));
		close_edit(w);
		KUNIT_ASSERT_EQ(test, w->mf->size, end);
		check_same(test, w, &w->b);
	}
	KUNIT_EXPECT_GT(test, n, 50);
}

static void compact_fail_each_op(struct kunit *test)
{
	fail_each_op(test, 0);
}

/* The log is the last of them. */
static void compact_fail_log(struct kunit *test)
{
	fail_each_op(test, 23);
}

/* The BAT is. */
static void compact_fail_bat(struct kunit *test)
{
	fail_each_op(test, 21);
}

static struct kunit_case image_compact_cases[] = {
	KUNIT_CASE(compact_mixed),
	KUNIT_CASE(compact_twice),
	KUNIT_CASE(compact_played_through),
	KUNIT_CASE(compact_zeros),
	KUNIT_CASE(compact_holes),
	KUNIT_CASE(compact_child),
	KUNIT_CASE_SLOW(compact_structures),
	KUNIT_CASE(compact_long_bat),
	KUNIT_CASE_SLOW(compact_pinned),
	KUNIT_CASE(compact_tail),
	KUNIT_CASE(compact_fixed),
	KUNIT_CASE_SLOW(compact_stopped),
	KUNIT_CASE(compact_full_host),
	KUNIT_CASE_SLOW(compact_fail_each_op),
	KUNIT_CASE_SLOW(compact_fail_log),
	KUNIT_CASE_SLOW(compact_fail_bat),
	{}
};

static struct kunit_suite image_compact_suite = {
	.name = "vhdx_image_compact",
	.test_cases = image_compact_cases,
};

kunit_test_suite(image_compact_suite);
