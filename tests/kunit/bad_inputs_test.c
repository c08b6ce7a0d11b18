// SPDX-License-Identifier: GPL-2.0
/*
 * Every row of the table of bad inputs: refused with an error that names the
 * structure, the field and the place, or opened and read right; with bounded
 * work, and the file as it was.
 */
#include <kunit/test.h>

#include "bad_inputs.h"
#include "guest.h"

/* An image of 8 MiB gives no reason for more, whatever it claims. */
#define MAX_READ_BYTES	(16 * VHDX_MIB)
#define MAX_OPS		64
/* No image of the table that opens has smaller or larger ones. */
#define BLOCK		VHDX_MIB

static const void *row_gen_params(const void *prev, char *desc)
{
	const struct bad_input *row = bad_input_next(prev);

	if (row)
		scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s", row->name);
	return row;
}

static void check_refused(struct kunit *test, const struct bad_input *row,
			  const struct bad_image *image,
			  const struct vhdx_error *err)
{
	u64 offset = bad_input_offset(row, image);
	char text[VHDX_ERROR_LENGTH], place[32];

	vhdx_error_print(text, sizeof(text), err);
	kunit_info(test, "%s: %s", row->name, text);
	KUNIT_EXPECT_EQ(test, err->errnum, row->errnum);
	KUNIT_EXPECT_STREQ(test, err->structure, row->structure);
	KUNIT_EXPECT_EQ(test, !!err->field, !!row->field);
	if (err->field && row->field)
		KUNIT_EXPECT_STREQ(test, err->field, row->field);
	KUNIT_EXPECT_EQ(test, err->offset, offset);
	KUNIT_EXPECT_NOT_NULL(test, err->reason);

	scnprintf(place, sizeof(place), "0x%llx", offset);
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, row->structure));
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, place));
}

static void expect(const void *ctx, void *buf, size_t len, u64 pos)
{
	bad_input_expect(ctx, buf, len, pos);
}

static void bad_input_row(struct kunit *test)
{
	const struct bad_input *row = test->param_value;
	struct memfile *mf = guest_file(test);
	struct bad_image *image;
	struct vhdx_image *img = NULL;
	struct vhdx_error err;
	u32 checksum;
	u64 pos;
	int ret;

	image = kunit_kzalloc(test, sizeof(*image), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, image);
	KUNIT_ASSERT_EQ(test, 0, bad_input_make(row, image, mf));
	checksum = memfile_checksum(mf);
	memfile_count_from_zero(mf);

	if (row->errnum) {
		ret = vhdx_image_open(&mf->file, 0, &img, &err);
		vhdx_image_close(img);
		KUNIT_ASSERT_EQ(test, ret, row->errnum);
		KUNIT_ASSERT_NULL(test, img);
		check_refused(test, row, image, &err);
	} else {
		img = guest_open(test, mf);
	}
	KUNIT_EXPECT_LE(test, mf->read_bytes, MAX_READ_BYTES);
	KUNIT_EXPECT_LE(test, mf->ops, MAX_OPS);
	/* 16 KiB before and behind each end of a block. */
	for (pos = 0; img && pos < image->b.disk_size; pos += BLOCK) {
		guest_check(test, img, expect, image, pos, 16384);
		guest_check(test, img, expect, image, pos + BLOCK - 16384,
			    16384);
	}
	KUNIT_EXPECT_EQ(test, memfile_checksum(mf), checksum);
}

/* A name stands for one row. */
static void bad_input_names(struct kunit *test)
{
	const struct bad_input *row = NULL;

	while ((row = bad_input_next(row)))
		KUNIT_EXPECT_PTR_EQ_MSG(test, bad_input_find(row->name), row,
					"%s", row->name);
	KUNIT_EXPECT_NULL(test, bad_input_find("no such row"));
}

static struct kunit_case bad_inputs_cases[] = {
	KUNIT_CASE(bad_input_names),
	KUNIT_CASE_PARAM_ATTR(bad_input_row, row_gen_params,
			      {KUNIT_SPEED_SLOW}),
	{}
};

static struct kunit_suite bad_inputs_suite = {
	.name = "vhdx_bad_inputs",
	.test_cases = bad_inputs_cases,
};

kunit_test_suite(bad_inputs_suite);
