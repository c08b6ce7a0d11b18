// SPDX-License-Identifier: GPL-2.0
/*
 * No two structures share space of the file, wherever in it they are.
 */
#include <kunit/test.h>

#include "guest.h"

#define MIB	VHDX_MIB
#define GIB	(1024 * MIB)
#define TIB	(1024 * 1024 * MIB)

/* Opens an image of two blocks at chosen places. */
static void check_pair(struct kunit *test, u32 block_size, u64 first,
		       u64 second, u64 file_size, int result)
{
	struct builder_block blocks[] = { { 3, 6, first }, { 7, 6, second } };
	struct vhdx_image *img = NULL;
	struct builder_layout layout;
	struct vhdx_error err;
	struct memfile *mf;
	struct builder b;
	int ret;

	builder_init(&b);
	b.block_size = block_size;
	b.disk_size = 16ULL * block_size;
	b.block = blocks;
	b.blocks = ARRAY_SIZE(blocks);
	mf = guest_build(test, &b, &layout);
	memfile_resize(mf, file_size);
	ret = vhdx_image_open(&mf->file, 0, &img, &err);
	vhdx_image_close(img);
	KUNIT_EXPECT_EQ_MSG(test, ret, result, "at 0x%llx and 0x%llx", first,
			    second);
	if (ret)
		KUNIT_EXPECT_EQ(test, err.offset, layout.bat_offset + 8 * 7);
}

/* By one MiB too near, and just far enough, at places that could be special. */
static void space_neighbours(struct kunit *test)
{
	static const u64 places[] = {
		8 * MIB, 4 * GIB, 32 * GIB, TIB, 255 * TIB,
	};
	static const u32 sizes[] = { 2, 32, 256 };
	u32 i, j;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		for (j = 0; j < ARRAY_SIZE(sizes); j++) {
			u32 size = sizes[j] * MIB;
			u64 at = places[i] + 300 * MIB;
			u64 end = at + GIB;

			check_pair(test, size, at, at + size, end, 0);
			check_pair(test, size, at, at + size - MIB, end,
				   -EUCLEAN);
			check_pair(test, size, at, at, end, -EUCLEAN);
			check_pair(test, size, at, at - size, end, 0);
			check_pair(test, size, at, at - size + MIB, end,
				   -EUCLEAN);
			at = places[i] + 300 * MIB - size / 2;
			check_pair(test, size, at, at + size, end, 0);
			check_pair(test, size, at, at + size / 2, end,
				   -EUCLEAN);
		}
	}
}

/* Nothing lies at or past 256 TiB, however long the file says it is. */
static void space_end_of_all(struct kunit *test)
{
	const u64 end = 256 * TIB;

	check_pair(test, MIB, 8 * MIB, end - MIB, end, 0);
	check_pair(test, MIB, 8 * MIB, end - MIB, 2 * end, 0);
	check_pair(test, 256 * MIB, 8 * MIB, end - MIB, end, 0);
	check_pair(test, MIB, 8 * MIB, end, end, -EUCLEAN);
	check_pair(test, MIB, 8 * MIB, end, 2 * end, -EUCLEAN);
	check_pair(test, MIB, 8 * MIB, end + GIB, 1ULL << 62, -EUCLEAN);
}

/* The second of two blocks in a file begins at its very end, or just before. */
static void space_end_of_file(struct kunit *test)
{
	check_pair(test, 2 * MIB, 8 * MIB, 10 * MIB, 12 * MIB, 0);
	check_pair(test, 2 * MIB, 8 * MIB, 10 * MIB, 10 * MIB + 1, 0);
	check_pair(test, 2 * MIB, 8 * MIB, 10 * MIB, 10 * MIB, -EUCLEAN);
	/* Also where another one would fill the gap. */
	check_pair(test, 32 * MIB, 40 * MIB, 8 * MIB, 40 * MIB + 1, 0);
	check_pair(test, 32 * MIB, 40 * MIB, 9 * MIB, 40 * MIB + 1, -EUCLEAN);
}

#define MANY	500

/* Five hundred blocks in any order; then each tenth moved onto another. */
static void space_shuffled(struct kunit *test)
{
	struct vhdx_image *img = NULL;
	struct builder_layout layout;
	struct vhdx_error err;
	struct memfile *mf;
	struct builder b;
	u64 random = 5, i;

	builder_init(&b);
	b.fixed = true;
	b.default_state = 6;
	b.disk_size = MANY * MIB;
	b.data_bytes = 512;
	b.shuffle = true;
	b.seed = 77;
	mf = guest_build(test, &b, &layout);
	img = guest_open(test, mf);
	KUNIT_EXPECT_EQ(test, img->counts.payload[6], MANY);
	for (i = 0; i < MANY; i++)
		guest_check_built(test, img, &b, i * MIB, 512);

	for (i = 0; i < MANY; i += 10) {
		u64 other = builder_random(&random) % MANY;
		u64 at = layout.bat_offset + 8 * i;
		__le64 old, entry;

		if (other == i)
			continue;
		memfile_read(mf, &old, sizeof(old), at);
		memfile_read(mf, &entry, sizeof(entry),
			     layout.bat_offset + 8 * other);
		KUNIT_ASSERT_EQ(test, 0, memfile_write(mf, &entry, 8, at));
		KUNIT_EXPECT_EQ(test, vhdx_image_open(&mf->file, 0, &img, &err),
				-EUCLEAN);
		KUNIT_EXPECT_EQ(test, err.offset,
				layout.bat_offset + 8 * max(i, other));
		KUNIT_ASSERT_EQ(test, 0, memfile_write(mf, &old, 8, at));
	}
}

static struct kunit_case image_space_cases[] = {
	KUNIT_CASE_SLOW(space_neighbours),
	KUNIT_CASE(space_end_of_all),
	KUNIT_CASE(space_end_of_file),
	KUNIT_CASE_SLOW(space_shuffled),
	{}
};

static struct kunit_suite image_space_suite = {
	.name = "vhdx_image_space",
	.test_cases = image_space_cases,
};

kunit_test_suite(image_space_suite);
