// SPDX-License-Identifier: GPL-2.0
/*
 * Guest data from one thread: what is asked for is done when a call returns, or
 * has failed, and nothing ever waits for a worker that is not there.
 */
#include <kunit/test.h>

#include "guest.h"
#include "image/sync.h"
#include "writer_test.h"

#define MIB	VHDX_MIB
#define DISK	(8 * MIB)
#define SECTOR	512U

/* --- against a copy in memory ------------------------------------------------ */

/**
 * struct sync_case - an image that is written to at random
 * @name: of the case
 * @block_size: bytes
 * @sector: logical sector size, bytes
 * @fixed: LeaveBlocksAllocated, all blocks there
 * @child: with a parent that has data everywhere
 */
struct sync_case {
	const char *name;
	u32 block_size;
	u32 sector;
	bool fixed;
	bool child;
};

static const struct sync_case sync_cases[] = {
	{ "dynamic", MIB, 512, false, false },
	{ "dynamic, blocks of 4 MiB", 4 * MIB, 512, false, false },
	{ "dynamic, sectors of 4096 bytes", 2 * MIB, 4096, false, false },
	{ "fixed", MIB, 512, true, false },
	{ "child", 2 * MIB, 512, false, true },
	{ "child, sectors of 4096 bytes", MIB, 4096, false, true },
};

static void describe_sync_case(const struct sync_case *c, char *desc)
{
	scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s", c->name);
}

KUNIT_ARRAY_PARAM(sync_case, sync_cases, describe_sync_case);

static void build(struct kunit *test, struct writer *w,
		  const struct sync_case *c)
{
	struct builder *parent = kunit_kzalloc(test, sizeof(*parent), GFP_KERNEL);
	struct builder_layout layout;

	KUNIT_ASSERT_NOT_NULL(test, parent);
	w->b.disk_size = DISK - 4096;
	w->b.block_size = c->block_size;
	w->b.logical_sector_size = c->sector;
	w->b.fixed = c->fixed;
	w->b.default_state = c->fixed ? 6 : 0;
	if (c->child) {
		builder_init(parent);
		parent->disk_size = w->b.disk_size;
		parent->logical_sector_size = c->sector;
		parent->seed = 77;
		parent->default_state = 6;
		w->b.data_write_guid = builder_guid(2);
		builder_set_parent(&w->b, parent);
		w->parent = guest_open(test, guest_build(test, parent, &layout));
	}
	writer_build(test, w);
}

/* A place and a length of the disk, often at the ends of blocks. */
static void draw(u64 *seed, const struct writer *w, u64 *pos, u64 *length)
{
	u32 sector = w->b.logical_sector_size;
	u64 size = w->b.disk_size;

	*pos = builder_random(seed) % (size / sector) * sector;
	if (builder_random(seed) & 1)
		*pos = ALIGN_DOWN(*pos, w->b.block_size);
	*length = (builder_random(seed) % (MIB / sector) + 1) * sector;
	if (!(builder_random(seed) & 3))
		*length = w->b.block_size * (builder_random(seed) % 3 + 1);
	*length = min(*length, size - *pos);
}

static void compare(struct kunit *test, const struct writer *w,
		    const u8 *copy, u8 *seen)
{
	u64 i;

	KUNIT_ASSERT_EQ(test, vhdx_sync_read(w->img, seen, w->b.disk_size, 0), 0);
	if (!memcmp(seen, copy, w->b.disk_size))
		return;
	for (i = 0; seen[i] == copy[i]; i++)
		;
	KUNIT_FAIL(test, "byte 0x%llx of the disk is %02x, not %02x", i,
		   seen[i], copy[i]);
}

/* Every sector is another one. */
static void fill(u8 *buf, u64 length, u64 value)
{
	u64 i;

	memset(buf, value | 1, length);
	for (i = 0; i < length; i += SECTOR, value++)
		memcpy(buf + i, &value, sizeof(value));
}

static void change(struct kunit *test, struct writer *w, u64 *seed, u8 *copy,
		   u8 *buf)
{
	u64 pos, length;

	draw(seed, w, &pos, &length);
	switch (builder_random(seed) % 8) {
	case 0:
		KUNIT_ASSERT_EQ(test, vhdx_sync_flush(w->img), 0);
		break;
	case 1:
	case 2:
	case 3:
		KUNIT_ASSERT_EQ(test, vhdx_sync_zero(w->img, pos, length), 0);
		memset(copy + pos, 0, length);
		break;
	default:
		fill(buf, length, *seed);
		KUNIT_ASSERT_EQ(test, vhdx_sync_write(w->img, buf, length, pos),
				0);
		memcpy(copy + pos, buf, length);
		break;
	}
}

static void free_disk(void *disk)
{
	kvfree(disk);
}

static u8 *get_disk(struct kunit *test)
{
	u8 *disk = kvzalloc(DISK, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, disk);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, free_disk, disk),
			0);
	return disk;
}

static void sync_random(struct kunit *test)
{
	u8 *copy = get_disk(test), *seen = get_disk(test), *buf = get_disk(test);
	struct writer *w = writer_init(test);
	u64 seed = 2026;
	u32 i;

	build(test, w, test->param_value);
	writer_open(test, w);
	vhdx_sync_init(w->img);
	KUNIT_ASSERT_EQ(test, vhdx_sync_read(w->img, copy, w->b.disk_size, 0), 0);
	for (i = 0; i < 40; i++) {
		change(test, w, &seed, copy, buf);
		if (i % 8 == 7)
			compare(test, w, copy, seen);
	}
	KUNIT_EXPECT_EQ(test, vhdx_image_finish(w->img), 0);
	guest_close(test, w->img);
	w->img = guest_open_child(test, w->mf, w->parent);
	KUNIT_EXPECT_FALSE(test, w->img->log.dirty);
	compare(test, w, copy, seen);
}

/* --- one thing at a time ------------------------------------------------------- */

static struct writer *open_plain(struct kunit *test)
{
	struct writer *w = writer_init(test);

	writer_build(test, w);
	writer_open(test, w);
	vhdx_sync_init(w->img);
	return w;
}

/* A sequential copy lies in the file in the order of the disk. */
static void sync_in_order(struct kunit *test)
{
	struct writer *w = open_plain(test);
	u8 *buf = get_disk(test);
	u64 i;

	memset(buf, 1, SECTOR);
	for (i = 0; i < 160; i++)
		KUNIT_ASSERT_EQ(test, vhdx_sync_write(w->img, buf, SECTOR,
						      i * MIB), 0);
	for (i = 0; i < 160; i++)
		KUNIT_ASSERT_EQ(test, writer_offset(w, i * MIB),
				w->layout.file_size + i * MIB);
	KUNIT_EXPECT_EQ(test, vhdx_image_finish(w->img), 0);
	KUNIT_EXPECT_EQ(test, w->mf->size, w->layout.file_size + 160 * MIB);
}

/* Without a flush it is gone with the power, with one it is there. */
static void sync_flush_is_durable(struct kunit *test)
{
	struct writer *w = open_plain(test);
	u8 *buf = get_disk(test);

	memset(buf, 7, MIB);
	KUNIT_ASSERT_EQ(test, vhdx_sync_write(w->img, buf, MIB, 3 * MIB), 0);
	KUNIT_EXPECT_EQ(test, vhdx_sync_flush(w->img), 0);
	KUNIT_ASSERT_EQ(test, vhdx_sync_write(w->img, buf, MIB, 5 * MIB), 0);
	guest_close(test, w->img);
	w->img = guest_open(test, w->mf);
	KUNIT_EXPECT_TRUE(test, w->img->log.dirty);
	guest_check_byte(test, w->img, 3 * MIB, MIB, 7);
	guest_check_byte(test, w->img, 5 * MIB, MIB, 0);
}

/* Whole blocks go back to the image, parts of them to the host. */
static void sync_zero_gives_back(struct kunit *test)
{
	struct writer *w = open_plain(test);
	u8 *buf = get_disk(test);

	memset(buf, 7, DISK);
	KUNIT_ASSERT_EQ(test, vhdx_sync_write(w->img, buf, 4 * MIB, 0), 0);
	KUNIT_ASSERT_EQ(test, vhdx_sync_zero(w->img, MIB / 2, 2 * MIB), 0);
	KUNIT_EXPECT_FALSE(test, writer_is_mapped(w, MIB));
	guest_check_byte(test, w->img, 0, MIB / 2, 7);
	guest_check_byte(test, w->img, MIB / 2, 2 * MIB, 0);
	guest_check_byte(test, w->img, 5 * MIB / 2, 3 * MIB / 2, 7);
	writer_until(w, MEMFILE_ZERO);
	expect_punch(test, w, w->layout.file_size + MIB / 2, MIB / 2);
	expect_punch(test, w, w->layout.file_size + 2 * MIB, MIB / 2);
	KUNIT_EXPECT_EQ(test, vhdx_image_finish(w->img), 0);
}

/* --- failures -------------------------------------------------------------------- */

/* What was freed is used again on a full host, and then there is no more. */
static void sync_full_host(struct kunit *test)
{
	struct writer *w = open_plain(test);
	u8 *buf = get_disk(test);

	memset(buf, 7, DISK);
	w->mf->room = w->layout.file_size + 4 * MIB;
	KUNIT_ASSERT_EQ(test, vhdx_sync_write(w->img, buf, 4 * MIB, 0), 0);
	KUNIT_EXPECT_EQ(test, vhdx_sync_write(w->img, buf, MIB, 8 * MIB),
			-ENOSPC);
	KUNIT_ASSERT_EQ(test, vhdx_sync_zero(w->img, 0, 2 * MIB), 0);
	KUNIT_EXPECT_EQ(test, vhdx_sync_write(w->img, buf, 2 * MIB, 8 * MIB), 0);
	KUNIT_EXPECT_EQ(test, vhdx_sync_write(w->img, buf, MIB, 10 * MIB),
			-ENOSPC);
	guest_check_byte(test, w->img, 0, 2 * MIB, 0);
	guest_check_byte(test, w->img, 8 * MIB, 2 * MIB, 7);
	KUNIT_EXPECT_EQ(test, vhdx_image_finish(w->img), 0);
}

/* The answer of the first that fails; the rest is not tried. */
static int some_changes(struct writer *w, const u8 *buf)
{
	int ret;

	ret = vhdx_sync_write(w->img, buf, 2 * MIB, MIB / 2);
	if (!ret)
		ret = vhdx_sync_zero(w->img, MIB - SECTOR, MIB + 2 * SECTOR);
	if (!ret)
		ret = vhdx_sync_flush(w->img);
	if (!ret)
		ret = vhdx_sync_write(w->img, buf, MIB, 6 * MIB);
	if (!ret)
		ret = vhdx_image_finish(w->img);
	return ret;
}

/* Each operation of the file fails once: a call says so and the image opens. */
static void sync_fail_each_op(struct kunit *test)
{
	u8 *buf = get_disk(test);
	struct writer *w;
	u64 op, failed = 0;
	int ret;

	memset(buf, 7, DISK);
	for (op = 1; ; op++) {
		w = open_plain(test);
		w->mf->fail_op = w->mf->ops + op;
		w->mf->fail_errnum = -EIO;
		ret = some_changes(w, buf);
		if (w->mf->ops < w->mf->fail_op)
			break;
		failed += ret == -EIO;
		guest_close(test, w->img);
		w->mf->fail_op = 0;
		w->img = guest_open(test, w->mf);
		guest_close(test, w->img);
		memfile_destroy(w->mf);
		memfile_init(w->mf);
	}
	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_GT(test, op, 20);
	/* Two are not needed: punching what was freed, and the cut. */
	KUNIT_EXPECT_GE(test, failed + 3, op - 1);
}

static struct kunit_case image_sync_cases[] = {
	KUNIT_CASE_PARAM(sync_random, sync_case_gen_params),
	KUNIT_CASE(sync_in_order),
	KUNIT_CASE(sync_flush_is_durable),
	KUNIT_CASE(sync_zero_gives_back),
	KUNIT_CASE(sync_full_host),
	KUNIT_CASE_SLOW(sync_fail_each_op),
	{}
};

static struct kunit_suite image_sync_suite = {
	.name = "vhdx_image_sync",
	.test_cases = image_sync_cases,
};

kunit_test_suite(image_sync_suite);
