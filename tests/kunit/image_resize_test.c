// SPDX-License-Identifier: GPL-2.0
/*
 * Another size for the disk: what a guest reads afterwards, against a copy in
 * memory; and that what fails leaves the old disk.
 */
#include <kunit/test.h>

#include "image/resize.h"
#include "image/sync.h"
#include "writer_test.h"

#define MIB	VHDX_MIB
#define LARGEST	(12 * MIB)
#define PIECE	32768U	/* 8 sectors of 4096 bytes */
#define STEP	(MIB / 4)
#define ROUNDS	12

/**
 * struct resize_case - an image that is resized at random
 * @name: of the case
 * @block_size: bytes
 * @sector: logical sector size, bytes
 * @fixed: LeaveBlocksAllocated, all blocks there
 * @child: with a parent of @parent_size that has data everywhere
 * @parent_size: bytes
 */
struct resize_case {
	const char *name;
	u32 block_size;
	u32 sector;
	bool fixed;
	bool child;
	u64 parent_size;
};

static const struct resize_case resize_cases[] = {
	{ "dynamic", MIB, 512, false, false, 0 },
	{ "dynamic, blocks of 4 MiB, sectors of 4096 bytes", 4 * MIB, 4096, false, false, 0 },
	{ "fixed", MIB, 512, true, false, 0 },
	{ "fixed, blocks of 2 MiB", 2 * MIB, 512, true, false, 0 },
	{ "child", MIB, 512, false, true, MIB + 512 },
};

static void describe_resize_case(const struct resize_case *c, char *desc)
{
	scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s", c->name);
}

KUNIT_ARRAY_PARAM(resize_case, resize_cases, describe_resize_case);

/* Of those, where each operation fails once. */
static const struct resize_case failing_cases[] = {
	{ "dynamic", MIB, 512, false, false, 0 },
	{ "fixed", MIB, 512, true, false, 0 },
};

KUNIT_ARRAY_PARAM(failing_case, failing_cases, describe_resize_case);

static void free_memory(void *ctx)
{
	kvfree(ctx);
}

static u8 *allocate(struct kunit *test, size_t size)
{
	u8 *buf = kvzalloc(size, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_memory, buf));
	return buf;
}

static struct writer *resize_init(struct kunit *test, const struct resize_case *c,
				  u64 size)
{
	struct builder *parent = kunit_kzalloc(test, sizeof(*parent), GFP_KERNEL);
	struct writer *w = writer_init(test);
	struct builder_layout layout;

	KUNIT_ASSERT_NOT_NULL(test, parent);
	w->b.disk_size = size;
	w->b.block_size = c->block_size;
	w->b.logical_sector_size = c->sector;
	w->b.fixed = c->fixed;
	w->b.default_state = c->fixed ? 6 : 0;
	w->b.data_bytes = PIECE;
	if (c->child) {
		builder_init(parent);
		parent->disk_size = c->parent_size;
		parent->seed = 77;
		parent->default_state = 6;
		parent->data_bytes = PIECE;
		w->b.data_write_guid = builder_guid(2);
		builder_set_parent(&w->b, parent);
		w->b.disk_size = size;
		w->parent = guest_open(test, guest_build(test, parent, &layout));
	}
	writer_build(test, w);
	return w;
}

static struct vhdx_image *open_again(struct kunit *test, struct writer *w)
{
	struct vhdx_image *img = guest_open_writable(test, w->mf, w->parent);

	vhdx_sync_init(img);
	return img;
}

static void compare_piece(struct kunit *test, struct vhdx_image *img,
			  const u8 *copy, u8 *buf, u64 pos)
{
	u64 size = img->metadata.virtual_disk_size;
	u64 n = pos < size ? min(size - pos, (u64)PIECE) : 0;

	if (!n)
		return;
	KUNIT_ASSERT_EQ(test, 0, vhdx_sync_read(img, buf, n, pos));
	KUNIT_ASSERT_EQ_MSG(test, 0, memcmp(buf, copy + pos, n), "at 0x%llx", pos);
}

/* Where anything was written: at every step, and at an end that the disk once had. */
static void compare(struct kunit *test, struct vhdx_image *img, const u8 *copy,
		    u8 *buf, u64 size, const u64 *end, u32 ends)
{
	u64 pos;
	u32 i;

	KUNIT_ASSERT_EQ(test, img->metadata.virtual_disk_size, size);
	for (pos = 0; pos < size; pos += STEP)
		compare_piece(test, img, copy, buf, pos);
	for (i = 0; i < ends; i++) {
		compare_piece(test, img, copy, buf, end[i]);
		if (end[i] > PIECE)
			compare_piece(test, img, copy, buf, end[i] - PIECE);
	}
}

/* Often at the ends of blocks, and seldom where it was. */
static u64 draw_size(u64 *seed, const struct resize_case *c)
{
	u64 size = builder_random(seed) % LARGEST;

	if (builder_random(seed) % 2)
		size = ALIGN_DOWN(size, c->block_size);
	size = max_t(u64, ALIGN_DOWN(size, c->sector), c->sector);
	return c->child ? max(size, ALIGN(c->parent_size, c->sector)) : size;
}

static void write_somewhere(struct kunit *test, struct vhdx_image *img, u8 *copy,
			    u64 *seed)
{
	u64 size = img->metadata.virtual_disk_size;
	u32 sector = img->metadata.logical_sector_size;
	u64 pos = ALIGN_DOWN(builder_random(seed) % size, STEP);
	u64 length = min(size - pos, (u64)8 * sector);

	/* The end of the disk, as often as not. */
	if (builder_random(seed) % 2)
		pos = size - length;
	memset(copy + pos, 1 + builder_random(seed) % 255, length);
	KUNIT_ASSERT_EQ(test, 0, vhdx_sync_write(img, copy + pos, length, pos));
}

static void resize_at_random(struct kunit *test)
{
	const struct resize_case *c = test->param_value;
	u8 *copy = allocate(test, LARGEST);
	u8 *buf = allocate(test, PIECE);
	u64 seed = 20260711, size = 2 * MIB + c->block_size, next;
	struct writer *w = resize_init(test, c, size);
	u64 end[ROUNDS + 1] = { size };
	struct vhdx_image *img;
	struct vhdx_error err;
	u32 i, k;

	img = guest_open_child(test, w->mf, w->parent);
	KUNIT_ASSERT_EQ(test, 0, vhdx_sync_read(img, copy, size, 0));
	guest_close(test, img);
	for (i = 0; i < ROUNDS; i++) {
		img = open_again(test, w);
		for (k = 0; k < 4; k++)
			write_somewhere(test, img, copy, &seed);
		KUNIT_ASSERT_EQ(test, 0, vhdx_image_finish(img));
		next = draw_size(&seed, c);
		KUNIT_ASSERT_EQ_MSG(test, 0, vhdx_image_resize(img, next, &err),
				    "seed 20260711, round %u, %llu to %llu: %s",
				    i, size, next, err.reason);
		KUNIT_ASSERT_EQ(test, 0, vhdx_image_finish(img));
		KUNIT_ASSERT_EQ(test, 0, vhdx_image_give_back(img, true));
		guest_close(test, img);
		if (next < size)
			memset(copy + next, 0, size - next);
		size = next;
		guest_check_file(test, w->mf);
		img = guest_open_child(test, w->mf, w->parent);
		end[i + 1] = size;
		compare(test, img, copy, buf, size, end, i + 2);
		if (c->fixed)
			KUNIT_ASSERT_EQ(test, vhdx_image_allocated(img),
					ALIGN(size, c->block_size));
		guest_close(test, img);
	}
}

/* As many entries as the region has; one more, and it moves. */
static void resize_moves_bat(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ .block = 1, .state = 6, .offset = BUILDER_PLACE },
	};
	struct writer *w = writer_init(test);
	/* and an entry behind each 4096 of them */
	const u64 full = 131072 - 31;
	struct vhdx_image *img;
	struct vhdx_error err;
	u64 bat, before, blocks_now;
	u8 sector[512];

	w->b.disk_size = 100 * MIB;
	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	w->b.region = (struct builder_region){
		.guid = builder_guid(9), .length = MIB,
	};
	writer_build(test, w);
	memfile_read(w->mf, sector, sizeof(sector), w->layout.blocks_offset);
	for (blocks_now = full - 1; blocks_now <= full + 1; blocks_now++) {
		img = open_again(test, w);
		bat = img->bat_region->file_offset;
		before = w->mf->size;
		KUNIT_ASSERT_EQ(test, 0, vhdx_image_resize(img, blocks_now * MIB, &err));
		KUNIT_ASSERT_EQ(test, 0, vhdx_image_finish(img));
		KUNIT_ASSERT_EQ(test, 0, vhdx_image_give_back(img, true));
		guest_close(test, img);
		img = guest_open(test, w->mf);
		KUNIT_EXPECT_EQ(test, img->metadata.virtual_disk_size, blocks_now * MIB);
		KUNIT_EXPECT_EQ(test, img->regions->count, 3);
		KUNIT_EXPECT_TRUE(test, img->regions->table_valid[0]);
		KUNIT_EXPECT_TRUE(test, img->regions->table_valid[1]);
		KUNIT_EXPECT_EQ(test, blocks_now > full,
				img->bat_region->file_offset != bat);
		if (blocks_now > full) {
			KUNIT_EXPECT_EQ(test, img->bat_region->file_offset, before);
			KUNIT_EXPECT_EQ(test, img->bat_region->length, 2 * MIB);
		}
		guest_check_built(test, img, &w->b, MIB, MIB);
		guest_close(test, img);
	}
	guest_check_file(test, w->mf);
}

/* What kept its size is no other disk to its children. */
static void resize_full_host(struct kunit *test)
{
	static const u64 sizes[] = { 200 * MIB, 50 * MIB };
	struct writer *w = writer_init(test);
	struct vhdx_header before, after;
	struct vhdx_image *img;
	struct vhdx_error err;
	u32 i, slot;

	w->b.disk_size = 100 * MIB;
	writer_build(test, w);
	writer_header(w, 0, &before);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		w->mf->fault = (struct memfile_fault){
			.ops = MEMFILE_ALLOCATE, .times = U64_MAX,
			.errnum = -ENOSPC, .from = w->layout.bat_offset,
			.to = w->layout.bat_offset + MIB,
		};
		img = open_again(test, w);
		KUNIT_EXPECT_EQ(test, -ENOSPC, vhdx_image_resize(img, sizes[i], &err));
		guest_close(test, img);
		for (slot = 0; slot < 2; slot++) {
			writer_header(w, slot, &after);
			KUNIT_EXPECT_TRUE(test, guid_equal(&before.data_write_guid,
							   &after.data_write_guid));
		}
		memset(&w->mf->fault, 0, sizeof(w->mf->fault));
		img = guest_open(test, w->mf);
		KUNIT_EXPECT_EQ(test, img->metadata.virtual_disk_size, 100 * MIB);
		guest_close(test, img);
	}
	guest_check_file(test, w->mf);
}

static const struct resize_case fixed_case = {
	.block_size = MIB, .sector = 512, .fixed = true,
};

/* A fixed image of 3 MiB grows to 5: what it had it has, and zeros behind that. */
static void grow_fixed(struct kunit *test, struct writer *w)
{
	u8 *copy = allocate(test, LARGEST);
	u8 *buf = allocate(test, PIECE);
	struct vhdx_image *img = open_again(test, w);
	struct vhdx_error err;

	KUNIT_ASSERT_EQ(test, 0, vhdx_sync_read(img, copy, 3 * MIB, 0));
	KUNIT_ASSERT_EQ(test, 0, vhdx_image_resize(img, 5 * MIB, &err));
	KUNIT_ASSERT_EQ(test, 0, vhdx_image_finish(img));
	guest_close(test, img);
	guest_check_file(test, w->mf);
	img = guest_open(test, w->mf);
	compare(test, img, copy, buf, 5 * MIB, NULL, 0);
	guest_close(test, img);
}

/* What is behind the last block need not be whole MiB. */
static void resize_ragged_end(struct kunit *test)
{
	struct writer *w = resize_init(test, &fixed_case, 3 * MIB);

	memfile_resize(w->mf, w->mf->size + 4608);
	grow_fixed(test, w);
}

/* A block device that is longer than a fixed image on it: that is what it grows into. */
static void resize_fixed_on_device(struct kunit *test)
{
	struct writer *w = resize_init(test, &fixed_case, 3 * MIB);
	u64 end = w->mf->size;
	struct vhdx_image *img;
	struct vhdx_error err;

	memfile_resize(w->mf, end + 2 * MIB);
	KUNIT_ASSERT_EQ(test, 0, memfile_write(w->mf, "garbage", 7, end + MIB));
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_ALLOCATE | MEMFILE_RESIZE, .times = U64_MAX,
		.errnum = -ENOSPC, .from = w->mf->size,
	};
	grow_fixed(test, w);
	KUNIT_EXPECT_EQ(test, end + 2 * MIB, w->mf->size);
	img = open_again(test, w);
	KUNIT_EXPECT_EQ(test, -ENOSPC, vhdx_image_resize(img, 6 * MIB, &err));
	guest_close(test, img);
}

/* A fixed image keeps room for the blocks that it lacks, and for no more. */
static void resize_fixed_without_blocks(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 0, 6, BUILDER_PLACE }, { 4, 6, BUILDER_PLACE },
		{ 5, 3, BUILDER_PLACE },
	};
	struct writer *w = resize_init(test, &fixed_case, 6 * MIB);
	u64 before = w->layout.blocks_offset;
	struct vhdx_image *img;
	struct vhdx_error err;

	w->b.default_state = VHDX_PAYLOAD_ZERO;
	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	writer_build(test, w);
	KUNIT_ASSERT_EQ(test, before, w->layout.blocks_offset);
	memfile_resize(w->mf, before + 6 * MIB);
	img = open_again(test, w);
	KUNIT_ASSERT_EQ(test, 0, vhdx_image_resize(img, 4 * MIB, &err));
	KUNIT_ASSERT_EQ(test, 0, vhdx_image_finish(img));
	guest_close(test, img);
	KUNIT_EXPECT_EQ(test, before + 4 * MIB, w->mf->size);
	guest_check_file(test, w->mf);
}

/* Nothing of the file changes. */
static void resize_refuses(struct kunit *test)
{
	const struct resize_case larger_parent = {
		.block_size = MIB, .sector = 512, .child = true,
		.parent_size = 8 * MIB,
	};
	struct writer *w = resize_init(test, &larger_parent, 4 * MIB);
	struct vhdx_image *img = open_again(test, w);
	u32 checksum = memfile_checksum(w->mf);
	struct vhdx_error err;

	KUNIT_EXPECT_EQ(test, 0, vhdx_image_resize(img, 4 * MIB, &err));
	KUNIT_EXPECT_EQ(test, -EUCLEAN, vhdx_image_resize(img, 4 * MIB + 1, &err));
	KUNIT_EXPECT_EQ(test, -EUCLEAN, vhdx_image_resize(img, 0, &err));
	KUNIT_EXPECT_EQ(test, -EUCLEAN,
			vhdx_image_resize(img, VHDX_MAX_DISK_SIZE + MIB, &err));
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, vhdx_image_resize(img, 6 * MIB, &err));
	guest_close(test, img);
	KUNIT_ASSERT_EQ(test, 0, vhdx_image_open(&w->mf->file, VHDX_OPEN_EDIT,
						 &img, &err));
	KUNIT_EXPECT_EQ(test, -ENOLINK, vhdx_image_resize(img, 6 * MIB, &err));
	vhdx_image_close(img);
	KUNIT_EXPECT_EQ(test, checksum, memfile_checksum(w->mf));
}

/* The size and the data, whatever has failed. */
static void resize_fail_each_op(struct kunit *test)
{
	const struct resize_case *c = test->param_value;
	const u64 old = c->block_size + 4096;
	const u64 sizes[] = { old + c->block_size, 4096 };
	u8 *copy = allocate(test, LARGEST);
	u8 *buf = allocate(test, PIECE);
	struct vhdx_error err;
	u32 i;
	u64 n;

	for (i = 0; i < ARRAY_SIZE(sizes) * 2; i++) {
		u64 size = max(sizes[i / 2], c->parent_size);
		bool done = false;

		for (n = 1; !done; n += GUEST_FAIL_STEP) {
			struct writer *w = resize_init(test, c, old);
			struct vhdx_image *img = open_again(test, w);
			u64 now;

			memset(copy, 0, LARGEST);
			KUNIT_ASSERT_EQ(test, 0, vhdx_sync_read(img, copy, old, 0));
			memfile_count_from_zero(w->mf);
			w->mf->fail_op = n;
			w->mf->fail_errnum = i % 2 ? -ENOSPC : -EIO;
			done = !vhdx_image_resize(img, size, &err) &&
			       !vhdx_image_finish(img) &&
			       w->mf->ops < n;
			w->mf->fail_op = 0;
			guest_close(test, img);
			img = open_again(test, w);
			now = img->metadata.virtual_disk_size;
			KUNIT_ASSERT_TRUE(test, now == old || now == size);
			if (done)
				KUNIT_ASSERT_EQ(test, now, size);
			if (now < old)
				memset(copy + now, 0, old - now);
			compare(test, img, copy, buf, now, &old, 1);
			guest_close(test, img);
		}
		KUNIT_EXPECT_GT(test, n, 10);
	}
}

/* Who only lowers the size of a disk leaves entries in its last chunk. */
static void resize_stale_entries(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ .block = 2, .state = 6, .offset = BUILDER_PLACE },
	};
	const __le64 size = cpu_to_le64(2 * MIB);
	struct vhdx_image *img;
	struct builder *parent;
	struct writer *w;
	struct vhdx_error err;
	u8 buf[512];

	w = writer_init(test);
	w->b.disk_size = 3 * MIB;
	w->b.block_size = MIB;
	w->b.data_bytes = PIECE;
	w->b.block = blocks;
	w->b.blocks = 1;
	w->b.data_write_guid = builder_guid(2);
	parent = kunit_kzalloc(test, sizeof(*parent), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, parent);
	builder_init(parent);
	parent->disk_size = MIB;
	builder_set_parent(&w->b, parent);
	w->parent = guest_open(test, guest_build(test, parent, &(struct builder_layout){}));
	writer_build(test, w);
	memfile_write(w->mf, &size, sizeof(size), w->layout.metadata_offset +
		      w->layout.item[BUILDER_VIRTUAL_DISK_SIZE]);

	img = open_again(test, w);
	KUNIT_EXPECT_EQ(test, 2, img->counts.payload[VHDX_PAYLOAD_NOT_PRESENT]);
	KUNIT_ASSERT_EQ(test, 0, vhdx_image_resize(img, 3 * MIB, &err));
	KUNIT_ASSERT_EQ(test, 0, vhdx_image_finish(img));
	guest_close(test, img);

	img = open_again(test, w);
	KUNIT_EXPECT_EQ(test, 3, img->counts.payload[VHDX_PAYLOAD_NOT_PRESENT]);
	KUNIT_ASSERT_EQ(test, 0, vhdx_sync_read(img, buf, sizeof(buf), 2 * MIB));
	KUNIT_EXPECT_NULL(test, memchr_inv(buf, 0, sizeof(buf)));
	guest_close(test, img);
}

static struct kunit_case image_resize_cases[] = {
	KUNIT_CASE_PARAM_ATTR(resize_at_random, resize_case_gen_params,
			      {KUNIT_SPEED_SLOW}),
	KUNIT_CASE(resize_moves_bat),
	KUNIT_CASE(resize_full_host),
	KUNIT_CASE(resize_ragged_end),
	KUNIT_CASE(resize_stale_entries),
	KUNIT_CASE(resize_fixed_on_device),
	KUNIT_CASE(resize_fixed_without_blocks),
	KUNIT_CASE(resize_refuses),
	KUNIT_CASE_PARAM_ATTR(resize_fail_each_op, failing_case_gen_params,
			      {KUNIT_SPEED_SLOW}),
	{}
};

static struct kunit_suite image_resize_suite = {
	.name = "vhdx_image_resize",
	.test_cases = image_resize_cases,
};

kunit_test_suite(image_resize_suite);
