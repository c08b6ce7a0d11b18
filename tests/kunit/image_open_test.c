// SPDX-License-Identifier: GPL-2.0
/*
 * Opening images: what is found in them, what it costs, what happens when the
 * file fails.
 */
#include <kunit/test.h>

#include "bad_inputs.h"
#include "guest.h"

#define MIB	VHDX_MIB
#define TIB	(1024 * 1024 * MIB)

/* --- shapes --------------------------------------------------------------- */

/* A shape is a number: block size, sector size, fixed, shuffled. */
#define SHAPES	(9 * 2 * 2 * 2)

static void shape_builder(struct builder *b, u32 shape)
{
	builder_init(b);
	b->block_size = MIB << (shape >> 3);
	b->logical_sector_size = shape & 4 ? 4096 : 512;
	b->physical_sector_size = shape & 1 ? 512 : 4096;
	b->fixed = shape & 2;
	b->shuffle = shape & 1;
	b->default_state = b->fixed ? 6 : 0;
	/* The last block is not whole. */
	b->disk_size = 5ULL * b->block_size + MIB / 2;
	b->data_bytes = 8192;
	b->seed = 1000 + shape;
}

static const void *shape_gen_params(const void *prev, char *desc)
{
	/* NULL stands for "before the first", so shapes count from one. */
	unsigned long next = (unsigned long)prev + 1;
	struct builder b;

	if (next > SHAPES)
		return NULL;
	shape_builder(&b, next - 1);
	scnprintf(desc, KUNIT_PARAM_DESC_SIZE,
		  "block %u MiB, sector %u, %s, %s, seed %llu",
		  (u32)(b.block_size / MIB), b.logical_sector_size,
		  b.fixed ? "fixed" : "dynamic",
		  b.shuffle ? "shuffled" : "in order", b.seed);
	return (void *)next;
}

static void open_shape(struct kunit *test)
{
	static const struct builder_block dynamic[] = {
		{ 5, 6, 0 }, { 0, 6, 0 }, { 3, 2, 0 }, { 2, 3, 0 },
	};
	u32 shape = (unsigned long)test->param_value - 1;
	struct builder_layout layout;
	struct vhdx_image *img;
	struct memfile *mf;
	struct builder b;
	u64 block;

	shape_builder(&b, shape);
	if (!b.fixed) {
		b.block = dynamic;
		b.blocks = ARRAY_SIZE(dynamic);
	}
	mf = guest_build(test, &b, &layout);
	img = guest_open(test, mf);

	KUNIT_EXPECT_EQ(test, img->metadata.virtual_disk_size, b.disk_size);
	KUNIT_EXPECT_EQ(test, img->metadata.block_size, b.block_size);
	KUNIT_EXPECT_EQ(test, img->metadata.logical_sector_size,
			b.logical_sector_size);
	KUNIT_EXPECT_EQ(test, img->metadata.physical_sector_size,
			b.physical_sector_size);
	KUNIT_EXPECT_EQ(test, img->metadata.leave_blocks_allocated, b.fixed);
	KUNIT_EXPECT_FALSE(test, img->metadata.has_parent);
	KUNIT_EXPECT_TRUE(test, guid_equal(&img->metadata.virtual_disk_id,
					   &builder_disk_id));
	KUNIT_EXPECT_EQ(test, img->file_size, layout.file_size);
	KUNIT_EXPECT_EQ(test, img->size, layout.file_size);
	KUNIT_EXPECT_EQ(test, img->bat_region->file_offset, layout.bat_offset);
	KUNIT_EXPECT_EQ(test, img->metadata_region->file_offset,
			layout.metadata_offset);
	KUNIT_EXPECT_EQ(test, vhdx_image_header(img)->log_offset,
			layout.log_offset);
	KUNIT_EXPECT_EQ(test, vhdx_image_header(img)->sequence_number,
			b.sequence_number + 1);
	KUNIT_EXPECT_FALSE(test, img->log.dirty);
	KUNIT_EXPECT_EQ(test, img->geometry.payload_blocks, 6);
	KUNIT_EXPECT_EQ(test, img->counts.payload[6], b.fixed ? 6 : 2);
	KUNIT_EXPECT_EQ(test, img->counts.payload[3], b.fixed ? 0 : 1);
	KUNIT_EXPECT_EQ(test, img->counts.payload[2], b.fixed ? 0 : 1);
	KUNIT_EXPECT_EQ(test, img->counts.payload[0], b.fixed ? 0 : 2);
	KUNIT_EXPECT_EQ(test, img->counts.bitmap, 0);

	for (block = 0; block < 6; block++)
		guest_check_block_ends(test, img, &b, block);
}

/* --- what is found --------------------------------------------------------- */

static void open_creator(struct kunit *test)
{
	static const char creator[] = "Some writer 1.0";
	struct builder_layout layout;
	struct vhdx_image *img;
	struct builder b;
	u32 i;

	builder_init(&b);
	b.creator = creator;
	img = guest_open(test, guest_build(test, &b, &layout));
	for (i = 0; i < sizeof(creator); i++)
		KUNIT_EXPECT_EQ(test, le16_to_cpu(img->creator[i]), creator[i]);
}

static void open_older_header(struct kunit *test)
{
	const struct bad_poke damage = {
		BAD_HEADER_2, 4000 | BAD_UNSEALED, 1, 1
	};
	struct bad_image *image;
	struct vhdx_image *img;

	image = kunit_kzalloc(test, sizeof(*image), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, image);
	builder_init(&image->b);
	image->mf = guest_build(test, &image->b, &image->layout);
	KUNIT_ASSERT_EQ(test, 0, bad_input_poke(image, &damage));
	img = guest_open(test, image->mf);
	KUNIT_EXPECT_EQ(test, img->headers.current_slot, 0);
	KUNIT_EXPECT_TRUE(test, img->headers.valid[0]);
	KUNIT_EXPECT_FALSE(test, img->headers.valid[1]);
	KUNIT_EXPECT_EQ(test, vhdx_image_header(img)->sequence_number,
			image->b.sequence_number);
}

static void open_unknown_region(struct kunit *test)
{
	const guid_t guid = GUID_INIT(0x01020304, 0x0506, 0x0708,
				      9, 10, 11, 12, 13, 14, 15, 16);
	struct builder_layout layout;
	struct vhdx_image *img;
	struct builder b;

	builder_init(&b);
	b.region.guid = guid;
	b.region.length = 3 * MIB;
	img = guest_open(test, guest_build(test, &b, &layout));
	KUNIT_ASSERT_EQ(test, img->regions->count, 3);
	KUNIT_EXPECT_TRUE(test, guid_equal(&img->regions->region[2].guid,
					   &guid));
	KUNIT_EXPECT_EQ(test, img->regions->region[2].file_offset,
			layout.region_offset);
	KUNIT_EXPECT_EQ(test, img->regions->region[2].length, 3 * MIB);
	KUNIT_EXPECT_FALSE(test, img->regions->region[2].required);
}

static const struct builder_block child_blocks[] = {
	{ 0, 6, 0 }, { 1, 7, 0 }, { 2, 2, 0 }, { 9000, 7, 0 },
};

/* Two chunks with a sector bitmap, one between them without. */
static void child_builder(struct builder *b)
{
	builder_init(b);
	b->differencing = true;
	b->parent_linkage = builder_data_write_guid;
	b->disk_size = 10000 * MIB;
	b->block = child_blocks;
	b->blocks = ARRAY_SIZE(child_blocks);
	b->data_bytes = 4096;
	b->relative_path = "..\\over there\\parent.vhdx";
}

static void open_differencing(struct kunit *test)
{
	struct vhdx_locator_entry entry;
	struct builder_layout layout;
	struct vhdx_image *img;
	struct builder b;
	char path[64];

	child_builder(&b);
	img = guest_open(test, guest_build(test, &b, &layout));
	KUNIT_EXPECT_TRUE(test, img->metadata.has_parent);
	KUNIT_EXPECT_EQ(test, img->counts.payload[6], 1);
	KUNIT_EXPECT_EQ(test, img->counts.payload[7], 2);
	KUNIT_EXPECT_EQ(test, img->counts.bitmap, 2);
	KUNIT_EXPECT_EQ(test, img->locator.count, 2);
	KUNIT_EXPECT_TRUE(test, guid_equal(&img->locator.parent_linkage,
					   &builder_data_write_guid));
	KUNIT_EXPECT_FALSE(test, img->locator.has_parent_linkage2);
	KUNIT_ASSERT_TRUE(test, vhdx_locator_find(&img->locator,
						  "relative_path", &entry));
	vhdx_utf16_to_utf8(path, sizeof(path), entry.value, entry.value_chars,
			   false);
	KUNIT_EXPECT_STREQ(test, path, b.relative_path);
}

/* --- what it costs --------------------------------------------------------- */

static void huge_builder(struct builder *b)
{
	static const struct builder_block blocks[] = {
		{ 0, 6, 0 }, { 4095, 6, 0 }, { 4096, 6, 0 },
		{ 64 * 1024 * 1024 - 1, 6, 0 },
	};

	builder_init(b);
	b->disk_size = 64 * TIB;
	b->block = blocks;
	b->blocks = ARRAY_SIZE(blocks);
	b->data_bytes = 4096;
}

static void check_huge(struct kunit *test, const struct vhdx_image *img,
		       const struct builder *b)
{
	u32 i;

	KUNIT_EXPECT_EQ(test, img->geometry.payload_blocks, 1ULL << 26);
	KUNIT_EXPECT_EQ(test, img->counts.payload[0],
			(1ULL << 26) - b->blocks);
	for (i = 0; i < b->blocks; i++)
		guest_check_block_ends(test, img, b, b->block[i].block);
	guest_check_built(test, img, b, 32 * TIB, MIB);
}

/* The BAT of 512 MiB is a hole but for three pages: the hole is not read. */
static void open_64t_hole(struct kunit *test)
{
	struct builder_layout layout;
	struct vhdx_image *img;
	struct memfile *mf;
	struct builder b;

	huge_builder(&b);
	mf = guest_build(test, &b, &layout);
	KUNIT_EXPECT_GT(test, layout.bat_length, 512 * MIB);
	memfile_count_from_zero(mf);
	img = guest_open(test, mf);
	KUNIT_EXPECT_LE(test, mf->read_bytes, 8 * MIB);
	KUNIT_EXPECT_LE(test, mf->ops, 64);
	check_huge(test, img, &b);
}

/* The same, written with zeros: read once, in pieces that are not small. */
static void open_64t_written(struct kunit *test)
{
	struct builder_layout layout;
	struct vhdx_image *img;
	struct memfile *mf;
	struct builder b;

	huge_builder(&b);
	b.bat_written = true;
	mf = guest_build(test, &b, &layout);
	memfile_count_from_zero(mf);
	img = guest_open(test, mf);
	KUNIT_EXPECT_LE(test, mf->read_bytes, layout.bat_length + 8 * MIB);
	KUNIT_EXPECT_LE(test, mf->reads, layout.bat_length / 65536);
	check_huge(test, img, &b);
}

/* What lies in the BAT region behind the last entry means nothing. */
static void open_bat_slack(struct kunit *test)
{
	const u64 slack = U64_MAX;
	struct builder_layout layout;
	struct vhdx_image *img;
	struct memfile *mf;
	struct builder b;

	builder_init(&b);
	mf = guest_build(test, &b, &layout);
	KUNIT_ASSERT_EQ(test, 0, memfile_write(mf, &slack, sizeof(slack),
					       layout.bat_offset +
					       8 * layout.bat_entries));
	KUNIT_ASSERT_EQ(test, 0, memfile_write(mf, &slack, sizeof(slack),
					       layout.bat_offset +
					       layout.bat_length - 8));
	img = guest_open(test, mf);
	KUNIT_EXPECT_EQ(test, img->counts.payload[0], 16);
}

/* --- what fails ------------------------------------------------------------ */

static void fail_each_op(struct kunit *test, struct memfile *mf)
{
	struct vhdx_image *img = NULL;
	struct vhdx_error err;
	u64 n, ops;
	u32 checksum = memfile_checksum(mf);
	int ret;

	memfile_count_from_zero(mf);
	KUNIT_ASSERT_EQ(test, 0, vhdx_image_open(&mf->file, 0, &img, &err));
	vhdx_image_close(img);
	ops = mf->ops;
	KUNIT_EXPECT_GE(test, ops, 8);

	for (n = 1; n <= ops; n++) {
		memfile_count_from_zero(mf);
		mf->fail_op = n;
		mf->fail_errnum = n % 2 ? -EIO : -ESTALE;
		img = NULL;
		ret = vhdx_image_open(&mf->file, 0, &img, &err);
		vhdx_image_close(img);
		KUNIT_ASSERT_EQ_MSG(test, ret, mf->fail_errnum,
				    "operation %llu", n);
		KUNIT_EXPECT_NULL(test, img);
		KUNIT_EXPECT_EQ(test, err.errnum, ret);
		KUNIT_EXPECT_NOT_NULL(test, err.structure);
		KUNIT_EXPECT_NOT_NULL(test, err.reason);
		/* Nothing is tried again behind the back of the caller. */
		KUNIT_EXPECT_EQ(test, mf->ops, n);
	}
	memfile_count_from_zero(mf);
	KUNIT_EXPECT_EQ(test, memfile_checksum(mf), checksum);
}

static void fail_clean(struct kunit *test)
{
	struct builder_layout layout;
	struct builder b;

	huge_builder(&b);
	fail_each_op(test, guest_build(test, &b, &layout));
}

static void fail_differencing(struct kunit *test)
{
	struct builder_layout layout;
	struct builder b;

	child_builder(&b);
	fail_each_op(test, guest_build(test, &b, &layout));
}

static void fail_dirty(struct kunit *test)
{
	struct memfile *mf = guest_file(test);
	struct bad_image *image;

	image = kunit_kzalloc(test, sizeof(*image), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, image);
	KUNIT_ASSERT_EQ(test, 0, bad_input_make(bad_input_find("log-wraps"),
						image, mf));
	fail_each_op(test, mf);
}

static void close_nothing(struct kunit *test)
{
	vhdx_image_close(NULL);
	KUNIT_SUCCEED(test);
}

static struct kunit_case image_open_cases[] = {
	KUNIT_CASE_PARAM_ATTR(open_shape, shape_gen_params,
			      {KUNIT_SPEED_SLOW}),
	KUNIT_CASE(open_creator),
	KUNIT_CASE(open_older_header),
	KUNIT_CASE(open_unknown_region),
	KUNIT_CASE(open_differencing),
	KUNIT_CASE(open_64t_hole),
	KUNIT_CASE_SLOW(open_64t_written),
	KUNIT_CASE(open_bat_slack),
	KUNIT_CASE(fail_clean),
	KUNIT_CASE(fail_differencing),
	KUNIT_CASE(fail_dirty),
	KUNIT_CASE(close_nothing),
	{}
};

static struct kunit_suite image_open_suite = {
	.name = "vhdx_image_open",
	.test_cases = image_open_cases,
};

kunit_test_suite(image_open_suite);
