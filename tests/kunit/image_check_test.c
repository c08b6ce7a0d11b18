// SPDX-License-Identifier: GPL-2.0
/*
 * Checking images: every row of the table of bad inputs yields the finding it
 * names, several problems are all found, and what opens is not called damaged.
 */
#include <kunit/test.h>

#include "../../drivers/vhdx/image/check.h"
#include "bad_inputs.h"
#include "guest.h"

#define MIB		VHDX_MIB
#define TIB		(1024 * 1024 * MIB)

/* An image of 8 MiB gives no reason for more, whatever it claims. */
#define MAX_READ_BYTES	(16 * MIB)
#define MAX_OPS		128
#define MAX_SEEN	256

struct seen {
	enum vhdx_finding_name name;
	enum vhdx_finding_kind kind;
	struct vhdx_error err;
};

/**
 * struct run - a check that was run
 * @check: its result
 * @err: why it could not be
 * @ret: what it answered
 * @count: of findings
 * @seen: the findings
 */
struct run {
	struct vhdx_check check;
	struct vhdx_error err;
	int ret;
	u32 count;
	struct seen seen[MAX_SEEN];
};

static void found(struct vhdx_check *check, enum vhdx_finding_name name,
		  enum vhdx_finding_kind kind, const struct vhdx_error *err)
{
	struct run *run = check->ctx;

	if (run->count < MAX_SEEN)
		run->seen[run->count] = (struct seen){ name, kind, *err };
	run->count++;
}

static struct run *check_host(struct kunit *test, struct memfile *mf,
			      unsigned int flags, u64 host_bytes)
{
	struct run *run = kunit_kzalloc(test, sizeof(*run), GFP_KERNEL);
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, run);
	run->check.flags = flags;
	run->check.host_bytes = host_bytes;
	run->check.found = found;
	run->check.ctx = run;
	run->ret = vhdx_image_check(&mf->file, &run->check, &run->err);
	KUNIT_ASSERT_LE(test, run->count, MAX_SEEN);
	for (i = 0; i < run->count; i++) {
		KUNIT_EXPECT_NOT_NULL(test, run->seen[i].err.structure);
		KUNIT_EXPECT_NOT_NULL(test, run->seen[i].err.reason);
	}
	return run;
}

static struct run *check_file(struct kunit *test, struct memfile *mf,
			      unsigned int flags)
{
	return check_host(test, mf, flags, 0);
}

static const struct seen *find(const struct run *run, const char *name)
{
	u32 i;

	for (i = 0; i < run->count; i++)
		if (!strcmp(vhdx_finding_text(run->seen[i].name), name))
			return &run->seen[i];
	return NULL;
}

static u64 count_of(const struct run *run, enum vhdx_finding_kind kind)
{
	return run->check.kind_count[kind];
}

/* It opens, and there is no more to say of it than notes. */
static void expect_clean(struct kunit *test, const struct run *run)
{
	KUNIT_EXPECT_EQ(test, run->ret, 0);
	KUNIT_EXPECT_EQ(test, count_of(run, VHDX_KIND_CORRUPT), 0);
	KUNIT_EXPECT_EQ(test, count_of(run, VHDX_KIND_UNSUPPORTED), 0);
	KUNIT_EXPECT_EQ(test, count_of(run, VHDX_KIND_LOG), 0);
	KUNIT_EXPECT_EQ(test, count_of(run, VHDX_KIND_LEAK), 0);
}

/* --- the table of bad inputs ------------------------------------------------ */

static const void *row_gen_params(const void *prev, char *desc)
{
	const struct bad_input *row = bad_input_next(prev);

	if (row)
		scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s", row->name);
	return row;
}

/* Among the findings is what an open says, by the name that the row has for it. */
static void expect_refused(struct kunit *test, const struct bad_input *row,
			   const struct bad_image *image, const struct run *run)
{
	const enum vhdx_finding_kind kind = row->errnum == -EOPNOTSUPP ?
		VHDX_KIND_UNSUPPORTED : VHDX_KIND_CORRUPT;
	const u64 offset = bad_input_offset(row, image);
	u32 i;

	for (i = 0; i < run->count; i++) {
		const struct seen *seen = &run->seen[i];

		if (seen->kind == kind && seen->err.offset == offset &&
		    !strcmp(vhdx_finding_text(seen->name), row->finding) &&
		    !strcmp(seen->err.structure, row->structure) &&
		    !seen->err.field == !row->field &&
		    (!row->field || !strcmp(seen->err.field, row->field)))
			return;
	}
	for (i = 0; i < run->count; i++) {
		char text[VHDX_ERROR_LENGTH];

		vhdx_error_print(text, sizeof(text), &run->seen[i].err);
		kunit_info(test, "%s: %s (%s)", row->name, text,
			   vhdx_finding_text(run->seen[i].name));
	}
	KUNIT_FAIL(test, "%s: no finding %s of kind %d at 0x%llx", row->name,
		   row->finding, kind, offset);
}

static void check_row(struct kunit *test)
{
	const struct bad_input *row = test->param_value;
	struct memfile *mf = guest_file(test);
	struct bad_image *image;
	struct run *run;
	u32 checksum;

	image = kunit_kzalloc(test, sizeof(*image), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, image);
	KUNIT_ASSERT_EQ(test, 0, bad_input_make(row, image, mf));
	checksum = memfile_checksum(mf);
	memfile_count_from_zero(mf);

	run = check_file(test, mf, 0);
	KUNIT_EXPECT_LE(test, mf->read_bytes, MAX_READ_BYTES);
	KUNIT_EXPECT_LE(test, mf->ops, MAX_OPS);
	KUNIT_EXPECT_EQ(test, memfile_checksum(mf), checksum);
	if (row->errnum && !row->finding) {
		KUNIT_EXPECT_EQ(test, run->ret, row->errnum);
		return;
	}
	KUNIT_ASSERT_EQ(test, run->ret, 0);
	if (row->errnum) {
		expect_refused(test, row, image, run);
		return;
	}
	/* The one damage that keeps no image from being opened. */
	KUNIT_EXPECT_EQ(test, count_of(run, VHDX_KIND_CORRUPT),
			run->check.name_count[VHDX_FINDING_BAT_CUT]);
	KUNIT_EXPECT_EQ(test, count_of(run, VHDX_KIND_UNSUPPORTED), 0);
	if (row->finding)
		KUNIT_EXPECT_NOT_NULL_MSG(test, find(run, row->finding), "%s",
					  row->finding);
}

/* --- more than one problem --------------------------------------------------- */

static struct memfile *make_row(struct kunit *test, const char *name,
				struct bad_image **imagep)
{
	struct memfile *mf = guest_file(test);
	struct bad_image *image;

	image = kunit_kzalloc(test, sizeof(*image), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, image);
	KUNIT_ASSERT_EQ(test, 0, bad_input_make(bad_input_find(name), image,
						mf));
	*imagep = image;
	return mf;
}

static void poke(struct kunit *test, struct bad_image *image,
		 enum bad_area area, u32 offset, u32 bytes, u64 value)
{
	const struct bad_poke number = { area, offset, bytes, value };

	KUNIT_ASSERT_EQ(test, 0, bad_input_poke(image, &number));
}

/* Each in another structure; none hides another. */
static void check_all_at_once(struct kunit *test)
{
	static const char *const expected[] = {
		"file-id", "header-log", "region-table", "item-value",
		"bat-entry", "bat-overlap",
	};
	struct bad_image *image;
	struct memfile *mf = make_row(test, "signature", &image);
	struct run *run;
	u32 i;

	poke(test, image, BAD_HEADERS, 72, 8, 64 * MIB);
	poke(test, image, BAD_TABLE_1, 100 | BAD_UNSEALED, 1, 1);
	poke(test, image, BAD_PHYSICAL, 0, 4, 777);
	poke(test, image, BAD_BAT, 8 * 2, 8, 4);
	poke(test, image, BAD_BAT, 8 * 5, 8, (4 * MIB) | 6);
	run = check_file(test, mf, 0);
	KUNIT_EXPECT_EQ(test, run->ret, 0);
	for (i = 0; i < ARRAY_SIZE(expected); i++)
		KUNIT_EXPECT_NOT_NULL_MSG(test, find(run, expected[i]), "%s",
					  expected[i]);
	KUNIT_EXPECT_TRUE(test, run->check.has_blocks);
	/* What is lost is not called unused. */
	KUNIT_EXPECT_EQ(test, count_of(run, VHDX_KIND_LEAK), 0);
	KUNIT_EXPECT_EQ(test, run->check.leaked, 0);
}

/* A hostile BAT is counted, and told of in part. */
static void check_many(struct kunit *test)
{
	struct bad_image *image;
	struct memfile *mf = make_row(test, "header-1-checksum", &image);
	struct run *run;
	u32 i;

	poke(test, image, BAD_DISK_SIZE, 0, 8, 4000 * MIB);
	for (i = 0; i < 4000; i++)
		poke(test, image, BAD_BAT, 8 * i, 8, i % 2 ? 4 : (4 * MIB) | 6);
	run = check_file(test, mf, 0);
	KUNIT_EXPECT_EQ(test, run->ret, 0);
	KUNIT_EXPECT_EQ(test, run->check.name_count[VHDX_FINDING_BAT_ENTRY],
			2000);
	KUNIT_EXPECT_EQ(test, run->check.name_count[VHDX_FINDING_BAT_OVERLAP],
			1999);
	KUNIT_EXPECT_EQ(test, count_of(run, VHDX_KIND_CORRUPT), 3999);
	KUNIT_EXPECT_EQ(test, run->count, 2 * VHDX_CHECK_SHOWN + 1);
}

/* --- leaks -------------------------------------------------------------------- */

/* Blocks 1 and 3 of 0, 1, 3, 15 are forgotten: a gap of 2 MiB between the others. */
static void check_gap(struct kunit *test)
{
	struct bad_image *image;
	struct memfile *mf = make_row(test, "region-table-2-checksum", &image);
	const struct seen *seen;
	struct run *run;

	poke(test, image, BAD_BAT, 8 * 1, 8, 0);
	poke(test, image, BAD_BAT, 8 * 3, 8, 2);
	run = check_file(test, mf, 0);
	KUNIT_EXPECT_EQ(test, run->ret, 0);
	KUNIT_EXPECT_EQ(test, count_of(run, VHDX_KIND_CORRUPT), 0);
	KUNIT_EXPECT_EQ(test, count_of(run, VHDX_KIND_LEAK), 1);
	KUNIT_EXPECT_EQ(test, run->check.leaked, 2 * MIB);
	KUNIT_EXPECT_EQ(test, run->check.present_blocks, 2);
	seen = find(run, "leak-gap");
	KUNIT_ASSERT_NOT_NULL(test, seen);
	KUNIT_EXPECT_EQ(test, seen->err.offset, 5 * MIB);
	KUNIT_EXPECT_EQ(test, seen->err.value, 2 * MIB);

	/* A hole is none. */
	memfile_punch(mf, 5 * MIB, 2 * MIB);
	expect_clean(test, check_file(test, mf, 0));
}

static void check_tail(struct kunit *test)
{
	struct bad_image *image;
	struct memfile *mf = make_row(test, "region-table-2-checksum", &image);
	const struct seen *seen;
	struct run *run;

	memfile_resize(mf, 8 * MIB + MIB - 1);
	expect_clean(test, check_file(test, mf, 0));
	memfile_resize(mf, 72 * MIB);
	/* A hole takes no space; one that the host has space for is none. */
	expect_clean(test, check_file(test, mf, 0));
	expect_clean(test, check_host(test, mf, 0, 8 * MIB + 65536));
	run = check_host(test, mf, 0, 72 * MIB);
	KUNIT_EXPECT_NOT_NULL(test, find(run, "leak-tail"));
	memfile_write_zeros(mf, 4096, 71 * MIB);
	expect_clean(test, check_file(test, mf, VHDX_CHECK_FIXED_SIZE));
	run = check_file(test, mf, 0);
	KUNIT_EXPECT_EQ(test, count_of(run, VHDX_KIND_LEAK), 1);
	KUNIT_EXPECT_EQ(test, run->check.leaked, 64 * MIB);
	KUNIT_EXPECT_EQ(test, run->check.end, 8 * MIB);
	seen = find(run, "leak-tail");
	KUNIT_ASSERT_NOT_NULL(test, seen);
	KUNIT_EXPECT_EQ(test, seen->err.offset, 8 * MIB);
}

/* A fixed image keeps its space, whatever its BAT says: as QEMU makes them. */
static void check_fixed(struct kunit *test)
{
	struct builder_layout layout;
	struct memfile *mf;
	struct builder b;

	builder_init(&b);
	b.fixed = true;
	b.default_state = 2;
	mf = guest_build(test, &b, &layout);
	memfile_resize(mf, layout.file_size + b.disk_size);
	expect_clean(test, check_file(test, mf, 0));
}

/* --- differencing images -------------------------------------------------------- */

static void check_bitmap_end(struct kunit *test)
{
	static const struct builder_block blocks[] = { { 1, 7, 0 } };
	const u8 bit = 1;
	struct builder_layout layout;
	const struct seen *seen;
	struct memfile *mf;
	struct builder b;
	struct run *run;
	__le64 entry;
	u64 offset;

	builder_init(&b);
	b.differencing = true;
	b.parent_linkage = builder_data_write_guid;
	b.block = blocks;
	b.blocks = ARRAY_SIZE(blocks);
	mf = guest_build(test, &b, &layout);
	expect_clean(test, check_file(test, mf, 0));

	memfile_read(mf, &entry, sizeof(entry), layout.bat_offset +
		     8 * builder_bitmap_index(&layout, 0));
	offset = (le64_to_cpu(entry) & VHDX_BAT_OFFSET_MASK) +
		 b.disk_size / 512 / 8;
	memfile_write(mf, &bit, 1, offset);
	run = check_file(test, mf, 0);
	expect_clean(test, run);
	KUNIT_EXPECT_TRUE(test, run->check.has_parent);
	seen = find(run, "bitmap-past-end");
	KUNIT_ASSERT_NOT_NULL(test, seen);
	KUNIT_EXPECT_EQ(test, seen->err.offset, offset);
	KUNIT_EXPECT_EQ(test, seen->err.value, b.disk_size / 512);
}

/* As QEMU leaves them with a dirty log. */
static void check_data_guids(struct kunit *test)
{
	struct bad_image *image;
	struct memfile *mf = make_row(test, "region-table-2-checksum", &image);
	struct run *run;

	poke(test, image, BAD_HEADER_1, 32, 8, 1);
	run = check_file(test, mf, 0);
	expect_clean(test, run);
	KUNIT_EXPECT_NOT_NULL(test, find(run, "header-data-guid"));
}

/* Two tables that are whole, and do not say the same. */
static void check_tables_differ(struct kunit *test)
{
	struct bad_image *image;
	struct memfile *mf = make_row(test, "header-1-checksum", &image);
	struct run *run;

	poke(test, image, BAD_TABLE_2, 16 + 28, 4, 0);
	run = check_file(test, mf, 0);
	expect_clean(test, run);
	KUNIT_EXPECT_NOT_NULL(test, find(run, "region-tables-differ"));
}

/* --- shapes, and a host that fails ------------------------------------------------ */

static void check_shapes(struct kunit *test)
{
	struct builder_layout layout;
	struct builder b;
	struct run *run;
	u64 seed;

	for (seed = 1; seed <= 24; seed++) {
		builder_init(&b);
		b.block_size = MIB << (seed % 9);
		b.logical_sector_size = seed % 2 ? 512 : 4096;
		b.disk_size = 5ULL * b.block_size;
		b.shuffle = seed % 3;
		b.default_state = seed % 4 ? 6 : 0;
		b.data_bytes = 4096;
		b.seed = seed;
		run = check_file(test, guest_build(test, &b, &layout), 0);
		expect_clean(test, run);
		KUNIT_EXPECT_EQ_MSG(test, run->check.present_blocks,
				    seed % 4 ? 5 : 0, "seed %llu", seed);
	}
}

static void check_large(struct kunit *test)
{
	struct builder_layout layout;
	struct memfile *mf;
	struct builder b;

	builder_init(&b);
	b.disk_size = 64 * TIB;
	mf = guest_build(test, &b, &layout);
	memfile_count_from_zero(mf);
	expect_clean(test, check_file(test, mf, 0));
	KUNIT_EXPECT_LE(test, mf->read_bytes, MAX_READ_BYTES);
}

/* Whichever operation fails, that is the answer, and nothing is called damaged. */
static void check_io_errors(struct kunit *test)
{
	struct bad_image *image;
	struct memfile *mf = make_row(test, "log-metadata", &image);
	struct run *run;
	u64 ops, i;

	memfile_count_from_zero(mf);
	run = check_file(test, mf, 0);
	KUNIT_EXPECT_EQ(test, run->ret, 0);
	ops = mf->ops;
	for (i = 1; i <= ops; i++) {
		memfile_count_from_zero(mf);
		mf->fail_op = i;
		mf->fail_errnum = -EIO;
		run = check_file(test, mf, 0);
		KUNIT_EXPECT_EQ_MSG(test, run->ret, -EIO, "operation %llu", i);
		KUNIT_EXPECT_EQ(test, run->err.errnum, -EIO);
		KUNIT_EXPECT_EQ(test, count_of(run, VHDX_KIND_CORRUPT), 0);
	}
}

/* Scripts go by the names. */
static void check_names(struct kunit *test)
{
	u32 i, j;

	for (i = 0; i < VHDX_FINDINGS; i++) {
		KUNIT_ASSERT_NOT_NULL(test, vhdx_finding_text(i));
		for (j = 0; j < i; j++)
			KUNIT_EXPECT_NE(test, 0, strcmp(vhdx_finding_text(i),
							vhdx_finding_text(j)));
	}
}

static struct kunit_case image_check_cases[] = {
	KUNIT_CASE_PARAM_ATTR(check_row, row_gen_params,
			      {KUNIT_SPEED_SLOW}),
	KUNIT_CASE(check_all_at_once),
	KUNIT_CASE(check_many),
	KUNIT_CASE(check_gap),
	KUNIT_CASE(check_tail),
	KUNIT_CASE(check_fixed),
	KUNIT_CASE(check_bitmap_end),
	KUNIT_CASE(check_data_guids),
	KUNIT_CASE(check_tables_differ),
	KUNIT_CASE(check_shapes),
	KUNIT_CASE(check_large),
	KUNIT_CASE(check_io_errors),
	KUNIT_CASE(check_names),
	{}
};

static struct kunit_suite image_check_suite = {
	.name = "vhdx_image_check",
	.test_cases = image_check_cases,
};

kunit_test_suite(image_check_suite);
