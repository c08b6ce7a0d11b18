// SPDX-License-Identifier: GPL-2.0
/*
 * vhdx_image_map(): which place of the file a place of the disk is.
 */
#include <kunit/test.h>

#include "guest.h"

#define MIB	VHDX_MIB
#define GIB	(1024 * MIB)

/* --- chunks ---------------------------------------------------------------- */

/**
 * struct chunk_case - blocks around the first two ends of chunks
 * @name: for people
 * @sector_size: logical, bytes
 * @block_size: bytes
 * @ratio: payload blocks of a chunk, as the specification has it
 */
struct chunk_case {
	const char *name;
	u32 sector_size;
	u32 block_size;
	u32 ratio;
};

static const struct chunk_case chunk_cases[] = {
	{ "sector 512, block 1 MiB", 512, 1 << 20, 4096 },
	{ "sector 512, block 32 MiB", 512, 32 << 20, 128 },
	{ "sector 512, block 256 MiB", 512, 256 << 20, 16 },
	{ "sector 4096, block 1 MiB", 4096, 1 << 20, 32768 },
	{ "sector 4096, block 32 MiB", 4096, 32 << 20, 1024 },
	{ "sector 4096, block 256 MiB", 4096, 256 << 20, 128 },
};

static void describe_chunk_case(const struct chunk_case *c, char *desc)
{
	scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s", c->name);
}

KUNIT_ARRAY_PARAM(chunk_case, chunk_cases, describe_chunk_case);

static void map_chunks(struct kunit *test)
{
	const struct chunk_case *c = test->param_value;
	struct builder_block blocks[6];
	struct builder_layout layout;
	struct vhdx_image *img;
	struct memfile *mf;
	struct builder b;
	__le64 entry;
	u32 i;

	builder_init(&b);
	b.logical_sector_size = c->sector_size;
	b.block_size = c->block_size;
	b.disk_size = (2ULL * c->ratio + 2) * c->block_size;
	b.data_bytes = 8192;
	for (i = 0; i < ARRAY_SIZE(blocks); i++)
		blocks[i] = (struct builder_block){
			(i / 3 + 1ULL) * c->ratio + i % 3 - 1, 6, 0
		};
	b.block = blocks;
	b.blocks = ARRAY_SIZE(blocks);
	mf = guest_build(test, &b, &layout);
	img = guest_open(test, mf);
	for (i = 0; i < ARRAY_SIZE(blocks); i++) {
		struct vhdx_extent extent;
		u64 block = blocks[i].block;

		guest_check_block_ends(test, img, &b, block);
		/* The last of a chunk lies before its bitmap entry. */
		memfile_read(mf, &entry, sizeof(entry), layout.bat_offset +
			     8 * (block + block / c->ratio));
		vhdx_image_map(img, block * c->block_size, 512, &extent);
		KUNIT_EXPECT_EQ(test, extent.type, VHDX_EXTENT_FILE);
		KUNIT_EXPECT_EQ(test, extent.offset, le64_to_cpu(entry) - 6);
	}
}

/* --- extents --------------------------------------------------------------- */

static void check_extent(struct kunit *test, const struct vhdx_image *img,
			 u64 pos, u64 length, enum vhdx_extent_type type,
			 u64 offset, u64 result)
{
	struct vhdx_extent extent;

	vhdx_image_map(img, pos, length, &extent);
	KUNIT_EXPECT_EQ_MSG(test, extent.type, type, "at 0x%llx", pos);
	KUNIT_EXPECT_EQ_MSG(test, extent.length, result, "at 0x%llx", pos);
	if (type == VHDX_EXTENT_FILE)
		KUNIT_EXPECT_EQ_MSG(test, extent.offset, offset, "at 0x%llx",
				    pos);
}

/* An extent ends where the request or the block does. */
static void map_lengths(struct kunit *test)
{
	const u64 block = 4 * MIB, at = 100 * MIB;
	const struct builder_block blocks[] = { { 1, 6, at } };
	struct builder_layout layout;
	struct vhdx_image *img;
	struct memfile *mf;
	struct builder b;

	builder_init(&b);
	b.block_size = block;
	b.disk_size = 2 * block + 512;
	b.block = blocks;
	b.blocks = 1;
	mf = guest_build(test, &b, &layout);
	memfile_resize(mf, at + block);
	img = guest_open(test, mf);

	check_extent(test, img, 0, 512, VHDX_EXTENT_ZERO, 0, 512);
	check_extent(test, img, 0, b.disk_size, VHDX_EXTENT_ZERO, 0, block);
	check_extent(test, img, block - 1, 2, VHDX_EXTENT_ZERO, 0, 1);
	check_extent(test, img, block, 1, VHDX_EXTENT_FILE, at, 1);
	check_extent(test, img, block, block, VHDX_EXTENT_FILE, at, block);
	check_extent(test, img, block, block + 512, VHDX_EXTENT_FILE, at, block);
	check_extent(test, img, block + 4096, block, VHDX_EXTENT_FILE,
		     at + 4096, block - 4096);
	check_extent(test, img, 2 * block - 512, 1024, VHDX_EXTENT_FILE,
		     at + block - 512, 512);
	check_extent(test, img, 2 * block, 512, VHDX_EXTENT_ZERO, 0, 512);
	check_extent(test, img, 2 * block + 511, 1, VHDX_EXTENT_ZERO, 0, 1);
}

/* Only FULLY_PRESENT shows what is in the file. */
static void map_states(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 0, 0, 0 }, { 1, 0, BUILDER_PLACE },
		{ 2, 1, 0 }, { 3, 1, BUILDER_PLACE },
		{ 4, 2, 0 }, { 5, 2, BUILDER_PLACE },
		{ 6, 3, 0 }, { 7, 3, BUILDER_PLACE },
		{ 8, 5, 0 }, { 9, 5, BUILDER_PLACE },
		{ 10, 6, 0 }, { 11, 6, BUILDER_PLACE },
	};
	struct builder_layout layout;
	struct vhdx_image *img;
	struct builder b;

	builder_init(&b);
	b.block = blocks;
	b.blocks = ARRAY_SIZE(blocks);
	b.data_bytes = 65536;
	img = guest_open(test, guest_build(test, &b, &layout));
	guest_check_built(test, img, &b, 0, b.disk_size);
	KUNIT_EXPECT_EQ(test, img->counts.payload[0], 6);
	KUNIT_EXPECT_EQ(test, img->counts.payload[1], 2);
	KUNIT_EXPECT_EQ(test, img->counts.payload[2], 2);
	KUNIT_EXPECT_EQ(test, img->counts.payload[3], 2);
	KUNIT_EXPECT_EQ(test, img->counts.payload[5], 2);
	KUNIT_EXPECT_EQ(test, img->counts.payload[6], 2);
}

/* --- random ---------------------------------------------------------------- */

static const u64 seeds[] = { 11, 12, 13, 14, 15, 16 };

static void describe_seed(const u64 *seed, char *desc)
{
	scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "seed %llu", *seed);
}

KUNIT_ARRAY_PARAM(seed, seeds, describe_seed);

#define RANDOM_BLOCKS	48

/* Blocks of all states in any order, three chunks; reads of any place and length. */
static void map_random(struct kunit *test)
{
	static const u32 states[] = { 6, 6, 6, 6, 1, 2, 3, 5 };
	u64 random = *(const u64 *)test->param_value;
	struct builder_block *blocks;
	struct builder_layout layout;
	struct vhdx_image *img;
	struct builder b;
	u64 share;
	u32 i;

	blocks = kunit_kzalloc(test, RANDOM_BLOCKS * sizeof(*blocks),
			       GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, blocks);
	builder_init(&b);
	b.seed = random;
	b.shuffle = true;
	b.logical_sector_size = random % 2 ? 4096 : 512;
	b.block_size = MIB << (builder_random(&random) % 9);
	b.disk_size = 9 * GIB * (b.logical_sector_size / 512);
	b.data_bytes = 65536;
	b.blocks = min_t(u64, RANDOM_BLOCKS, b.disk_size / b.block_size);
	share = b.disk_size / b.block_size / b.blocks;
	for (i = 0; i < b.blocks; i++) {
		/* One from each share of the disk, so that none comes twice. */
		blocks[i].block = i * share + builder_random(&random) % share;
		blocks[i].state = states[builder_random(&random) %
					 ARRAY_SIZE(states)];
		if (builder_random(&random) % 2)
			blocks[i].offset = BUILDER_PLACE;
	}
	b.block = blocks;
	img = guest_open(test, guest_build(test, &b, &layout));
	for (i = 0; i < 150; i++) {
		u64 block = blocks[builder_random(&random) % b.blocks].block;
		u64 end = (block + builder_random(&random) % 2) * b.block_size;
		u64 back = 512 * (builder_random(&random) % 256);
		u64 pos = end > back ? end - back : 0;
		u64 len = 512 * (1 + builder_random(&random) % 512);

		guest_check_built(test, img, &b, pos,
				  min(len, b.disk_size - pos));
	}
}

static struct kunit_case image_map_cases[] = {
	KUNIT_CASE_PARAM(map_chunks, chunk_case_gen_params),
	KUNIT_CASE(map_lengths),
	KUNIT_CASE(map_states),
	KUNIT_CASE_PARAM_ATTR(map_random, seed_gen_params,
			      {KUNIT_SPEED_SLOW}),
	{}
};

static struct kunit_suite image_map_suite = {
	.name = "vhdx_image_map",
	.test_cases = image_map_cases,
};

kunit_test_suite(image_map_suite);
