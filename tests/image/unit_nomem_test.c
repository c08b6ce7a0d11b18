// SPDX-License-Identifier: GPL-2.0
/*
 * Opening images when memory runs out, and how much it takes. In userspace
 * only: the kernel's allocations fail by fault injection in the VM tests.
 */
#include <kunit/test.h>

#include "../../drivers/vhdx/image/check.h"
#include "../../drivers/vhdx/image/look.h"
#include "../../drivers/vhdx/image/repair.h"
#include "../../drivers/vhdx/image/set.h"
#include "bad_inputs.h"
#include "guest.h"
#include "unit_alloc.h"
#include "writer_test.h"

#define MIB	VHDX_MIB
#define TIB	(1024 * 1024 * MIB)

static void fail_each(struct kunit *test, struct memfile *mf,
		      struct vhdx_image *parent, unsigned int flags)
{
	struct vhdx_image *img = NULL;
	const long before = alloc_outstanding();
	struct vhdx_error err;
	long n, count;
	int ret;

	alloc_fail_at(0);
	KUNIT_ASSERT_EQ(test, 0, vhdx_image_open_child(&mf->file, parent,
						       flags, &img, &err));
	count = alloc_count();
	vhdx_image_close(img);
	KUNIT_EXPECT_GE(test, count, 8);

	for (n = 1; n <= count; n++) {
		img = NULL;
		alloc_fail_at(n);
		ret = vhdx_image_open_child(&mf->file, parent, flags, &img,
					    &err);
		alloc_fail_at(0);
		KUNIT_ASSERT_EQ_MSG(test, ret, -ENOMEM, "allocation %ld", n);
		KUNIT_EXPECT_NULL(test, img);
		KUNIT_EXPECT_EQ(test, err.errnum, -ENOMEM);
		KUNIT_EXPECT_NOT_NULL(test, err.structure);
		KUNIT_EXPECT_NOT_NULL(test, err.reason);
		KUNIT_EXPECT_EQ_MSG(test, alloc_outstanding(), before,
				    "allocation %ld", n);
	}
	KUNIT_EXPECT_EQ(test, mf->records, 0);
}

static void nomem_dynamic(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 0, 6, 0 }, { 1000, 6, 0 }, { 500000, 6, 0 },
	};
	struct builder_layout layout;
	struct builder b;

	builder_init(&b);
	b.disk_size = TIB;
	b.block = blocks;
	b.blocks = ARRAY_SIZE(blocks);
	b.data_bytes = 512;
	fail_each(test, guest_build(test, &b, &layout), NULL, 0);
}

/* Everything that a commit needs is there before the first write. */
static void nomem_writable(struct kunit *test)
{
	static const struct builder_block blocks[] = { { 3, 6, 0 } };
	struct builder_layout layout;
	struct builder b;

	builder_init(&b);
	b.block = blocks;
	b.blocks = ARRAY_SIZE(blocks);
	fail_each(test, guest_build(test, &b, &layout), NULL,
		  VHDX_OPEN_WRITE);
}

static void nomem_differencing(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 0, 6, 0 }, { 1, 7, 0 },
	};
	struct builder_layout layout;
	struct vhdx_image *parent;
	struct builder b, child;

	builder_init(&b);
	b.block = blocks;
	b.blocks = 1;
	b.data_bytes = 512;
	parent = guest_open(test, guest_build(test, &b, &layout));
	builder_init(&child);
	builder_set_parent(&child, &b);
	child.block = blocks;
	child.blocks = ARRAY_SIZE(blocks);
	child.data_bytes = 512;
	fail_each(test, guest_build(test, &child, &layout), NULL, 0);
	fail_each(test, guest_build(test, &child, &layout), parent, 0);
}

static void nomem_dirty(struct kunit *test)
{
	struct memfile *mf = guest_file(test);
	struct bad_image *image;

	image = kunit_kzalloc(test, sizeof(*image), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, image);
	KUNIT_ASSERT_EQ(test, 0, bad_input_make(bad_input_find("log-wraps"),
						image, mf));
	fail_each(test, mf, NULL, 0);
}

static void ignore(struct vhdx_check *check, enum vhdx_finding_name name,
		   enum vhdx_finding_kind kind, const struct vhdx_error *err)
{
	(void)check;
	(void)name;
	(void)kind;
	(void)err;
}

/* A check, and a look, that lacks memory says so, and calls nothing damaged. */
static void nomem_check(struct kunit *test)
{
	struct memfile *mf = guest_file(test);
	struct vhdx_check check = { .found = ignore };
	struct vhdx_look *look = NULL;
	struct bad_image *image;
	struct vhdx_error err;
	long n, count, before;

	image = kunit_kzalloc(test, sizeof(*image), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, image);
	KUNIT_ASSERT_EQ(test, 0, bad_input_make(bad_input_find("log-wraps"),
						image, mf));
	before = alloc_outstanding();
	alloc_fail_at(0);
	KUNIT_ASSERT_EQ(test, 0, vhdx_image_check(&mf->file, &check, &err));
	count = alloc_count();
	KUNIT_EXPECT_GE(test, count, 8);
	for (n = 1; n <= count; n++) {
		check = (struct vhdx_check){ .found = ignore };
		alloc_fail_at(n);
		KUNIT_EXPECT_EQ_MSG(test, -ENOMEM,
				    vhdx_image_check(&mf->file, &check, &err),
				    "allocation %ld", n);
		alloc_fail_at(0);
		KUNIT_EXPECT_EQ(test, err.errnum, -ENOMEM);
		KUNIT_EXPECT_EQ(test, check.kind_count[VHDX_KIND_CORRUPT], 0);
		KUNIT_EXPECT_EQ(test, alloc_outstanding(), before);
	}
	for (n = 1; n <= 5; n++) {
		alloc_fail_at(n);
		KUNIT_EXPECT_EQ(test, -ENOMEM,
				vhdx_look_open(&mf->file, &look, &err));
		alloc_fail_at(0);
		KUNIT_EXPECT_EQ(test, alloc_outstanding(), before);
	}
}

/* Making one needs little, and says so when it lacks it. */
static void nomem_create(struct kunit *test)
{
	struct builder_layout layout;
	struct vhdx_create params = {
		.creator = "new",
		.block_size = MIB,
		.relative_path = ".\\parent.vhdx",
	};
	struct vhdx_error err;
	struct memfile *mf;
	struct builder b;
	long n, before;

	builder_init(&b);
	params.parent = guest_open(test, guest_build(test, &b, &layout));
	for (n = 1; n <= 3; n++) {
		mf = guest_file(test);
		before = alloc_outstanding();
		alloc_fail_at(n);
		KUNIT_EXPECT_EQ(test, -ENOMEM,
				vhdx_image_create(&mf->file, &params, &err));
		alloc_fail_at(0);
		KUNIT_EXPECT_EQ(test, err.errnum, -ENOMEM);
		KUNIT_EXPECT_EQ(test, alloc_outstanding(), before);
		KUNIT_EXPECT_EQ(test, mf->records, 0);
	}
}

/* Returns what it answers when allocation @n fails. */
static int repair_once(struct kunit *test, const char *name, long n)
{
	const struct bad_poke spoil = { BAD_TABLE_1, 100 | BAD_UNSEALED, 1, 1 };
	struct vhdx_repair repair = {
		.wanted = VHDX_REPAIR_ALL, .punch = true,
	};
	static struct bad_image image;
	struct vhdx_image *img = NULL;
	struct vhdx_error err;
	struct memfile mf;
	int ret;

	memfile_init(&mf);
	KUNIT_ASSERT_EQ(test, 0, bad_input_make(bad_input_find(name), &image,
						&mf));
	KUNIT_ASSERT_EQ(test, 0, bad_input_poke(&image, &spoil));
	KUNIT_ASSERT_EQ(test, 0, memfile_write_zeros(&mf, 4096, 10 * MIB));
	alloc_fail_at(n);
	ret = vhdx_image_repair(&mf.file, &repair, &err);
	alloc_fail_at(0);
	if (ret)
		KUNIT_EXPECT_EQ(test, err.errnum, ret);
	KUNIT_EXPECT_EQ(test, 0, vhdx_image_repair(&mf.file, &repair, &err));
	KUNIT_EXPECT_EQ(test, 0, vhdx_image_open(&mf.file, 0, &img, &err));
	vhdx_image_close(img);
	memfile_destroy(&mf);
	return ret;
}

/* A repair that lacks memory says so, and the same again ends it. */
static void nomem_repair(struct kunit *test)
{
	static const char *const names[] = { "log-one-entry", "log-none" };
	long before, n;
	size_t i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		before = alloc_outstanding();
		ret = -ENOMEM;
		/* An open for changes takes hundreds of pages alike. */
		for (n = 1; ret; n += n < 64 ? 1 : 7 * GUEST_FAIL_STEP) {
			ret = repair_once(test, names[i], n);
			KUNIT_ASSERT_TRUE(test, !ret || ret == -ENOMEM);
			KUNIT_EXPECT_EQ(test, alloc_outstanding(), before);
		}
		KUNIT_EXPECT_GT(test, n, 100);
	}
}

/* So does a change of the metadata, which happens whole or not at all. */
static void nomem_set(struct kunit *test)
{
	struct builder_layout layout;
	struct builder b, child;
	struct vhdx_set set = {
		.relative_path = ".\\a path that is longer than the other\\p.vhdx",
		.physical_sector_size = 512,
	};
	struct builder_sink sink;
	struct vhdx_image *img;
	struct vhdx_error err;
	struct memfile mf;
	int ret = -ENOMEM;
	long before, n;

	builder_init(&b);
	set.parent = guest_open(test, guest_build(test, &b, &layout));
	builder_init(&child);
	builder_set_parent(&child, &b);
	/* The file gets its list of operations at the first one. */
	KUNIT_ASSERT_EQ(test, 0, set.parent->file->ops->flush(set.parent->file));
	before = alloc_outstanding();
	for (n = 1; ret; n++) {
		memfile_init(&mf);
		sink = memfile_sink(&mf);
		KUNIT_ASSERT_EQ(test, 0, builder_build(&child, &sink, &layout));
		img = NULL;
		KUNIT_ASSERT_EQ(test, 0, vhdx_image_open(&mf.file, VHDX_OPEN_EDIT,
							 &img, &err));
		alloc_fail_at(n);
		ret = vhdx_image_set(img, &set, &err);
		alloc_fail_at(0);
		vhdx_image_close(img);
		KUNIT_ASSERT_TRUE(test, !ret || ret == -ENOMEM);
		img = NULL;
		KUNIT_ASSERT_EQ(test, 0, vhdx_image_open(&mf.file, 0, &img, &err));
		if (!ret)
			KUNIT_EXPECT_EQ(test, 512, img->metadata.physical_sector_size);
		vhdx_image_close(img);
		memfile_destroy(&mf);
		KUNIT_EXPECT_EQ(test, alloc_outstanding(), before);
	}
	KUNIT_EXPECT_GT(test, n, 5);
}

/* How many allocations a first write takes, with room for so much of the BAT's MiB. */
static long count_write(struct kunit *test, u64 room)
{
	static const struct builder_block blocks[] = {
		{ 2, 6, BUILDER_PLACE },
	};
	struct writer *w = writer_init(test);

	w->b.disk_size = 1024 * MIB;
	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	writer_build(test, w);
	writer_open(test, w);
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_ALLOCATE, .times = U64_MAX, .errnum = -ENOSPC,
		.from = w->layout.bat_offset + room,
		.to = w->layout.bat_offset + MIB,
	};
	alloc_fail_at(0);
	KUNIT_EXPECT_EQ(test, 0, guest_write(w->img, 5 * MIB, 4096, 1));
	return alloc_count();
}

/*
 * Here no allocation with __GFP_NOFAIL may be made to fail. A full host must not add
 * any of another kind, for which a write would fail.
 */
static void nomem_full_host(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, count_write(test, 4096), count_write(test, MIB));
}

/* The empty BAT of 64 TiB takes a few MiB, whether it is a hole or written. */
static void memory_64t(struct kunit *test)
{
	struct builder_layout layout;
	struct vhdx_image *img;
	struct memfile *mf;
	struct builder b;
	int written;

	for (written = 0; written < 2; written++) {
		builder_init(&b);
		b.disk_size = 64 * TIB;
		b.bat_written = written;
		mf = guest_build(test, &b, &layout);
		alloc_fail_at(0);
		img = guest_open(test, mf);
		KUNIT_EXPECT_LE(test, alloc_peak(), 8 * MIB);
		KUNIT_EXPECT_EQ(test, img->counts.payload[0], 1ULL << 26);
	}
}

/* An image claims the most that it may; opening it stays modest. */
static void memory_hostile(struct kunit *test)
{
	static const char * const names[] = {
		"log-last-128t", "log-length-4g", "disk-size-65t",
		"log-last-2-62", "metadata-count", "region-count-highest",
	};
	struct vhdx_image *img;
	struct bad_image *image;
	struct vhdx_error err;
	size_t i;

	image = kunit_kzalloc(test, sizeof(*image), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, image);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		struct memfile *mf = guest_file(test);
		const struct bad_input *row = bad_input_find(names[i]);

		KUNIT_ASSERT_NOT_NULL(test, row);
		KUNIT_ASSERT_EQ(test, 0, bad_input_make(row, image, mf));
		img = NULL;
		alloc_fail_at(0);
		KUNIT_EXPECT_EQ(test, row->errnum,
				vhdx_image_open(&mf->file, 0, &img, &err));
		KUNIT_EXPECT_LE_MSG(test, alloc_peak(), 8 * MIB, "%s",
				    names[i]);
		vhdx_image_close(img);
	}
}

static struct kunit_case nomem_cases[] = {
	KUNIT_CASE(nomem_dynamic),
	KUNIT_CASE(nomem_writable),
	KUNIT_CASE(nomem_differencing),
	KUNIT_CASE(nomem_dirty),
	KUNIT_CASE(nomem_check),
	KUNIT_CASE(nomem_create),
	KUNIT_CASE(nomem_repair),
	KUNIT_CASE(nomem_set),
	KUNIT_CASE(nomem_full_host),
	KUNIT_CASE(memory_64t),
	KUNIT_CASE(memory_hostile),
	{}
};

static struct kunit_suite nomem_suite = {
	.name = "vhdx_image_nomem",
	.test_cases = nomem_cases,
};

kunit_test_suite(nomem_suite);
