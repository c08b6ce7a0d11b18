// SPDX-License-Identifier: GPL-2.0
/*
 * A host without room: whom it fails, what is possible all the same, and that it
 * takes no memory with it.
 */
#include <kunit/test.h>

#include "image/block_map.h"
#include "image/journal.h"
#include "writer_test.h"

#define MIB	VHDX_MIB
#define GIB	(1024 * MIB)
#define CHUNK	(4 * GIB)

/* Builds and opens it above a parent without data. */
static void open_child(struct kunit *test, struct writer *w)
{
	struct builder *parent = kunit_kzalloc(test, sizeof(*parent), GFP_KERNEL);
	struct builder_layout layout;

	KUNIT_ASSERT_NOT_NULL(test, parent);
	builder_init(parent);
	parent->disk_size = w->b.disk_size;
	w->b.data_write_guid = builder_guid(2);
	builder_set_parent(&w->b, parent);
	w->parent = guest_open(test, guest_build(test, parent, &layout));
	writer_build(test, w);
	writer_open(test, w);
}

/* Of two chunks, with a bitmap block each. */
static struct writer *child_init(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 2, 7, BUILDER_PLACE }, { 4096 + 2, 7, BUILDER_PLACE },
	};
	static const struct builder_run runs[] = {
		{ 2 * 2048, 8 }, { (4096 + 2) * 2048, 8 },
	};
	struct writer *w = writer_init(test);

	w->b.seed = 41;
	w->b.disk_size = 2 * CHUNK;
	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	w->b.run = runs;
	w->b.runs = ARRAY_SIZE(runs);
	open_child(test, w);
	return w;
}

static u64 bitmap_block(const struct writer *w, u64 chunk)
{
	u64 index = vhdx_bat_bitmap_index(&w->img->geometry, chunk);

	return vhdx_bat_offset(vhdx_block_map_entry(w->img->map, index));
}

/* A write that is parked, and for which the worker has not run. */
static void park(struct kunit *test, struct writer *w, struct guest_write *gw,
		 u64 pos)
{
	memset(gw, 0, sizeof(*gw));
	gw->write.pos = pos;
	gw->write.length = 512;
	gw->write.wait = true;
	gw->write.resume = guest_resume;
	gw->waits = true;
	KUNIT_ASSERT_EQ(test, -EINPROGRESS,
			vhdx_write_begin(w->img, &gw->write));
}

/* Whose page has room is not failed for one that has none, in either order. */
static void full_fails_its_own(struct kunit *test)
{
	struct guest_write gw[2];
	u32 first, i;

	for (first = 0; first < 2; first++) {
		struct writer *w = child_init(test);

		/* The BAT's pages are not what they wait for. */
		KUNIT_ASSERT_EQ(test, 0, guest_clear(w->img, 9));
		w->mf->fault = (struct memfile_fault){
			.ops = MEMFILE_ALLOCATE, .times = U64_MAX,
			.errnum = -ENOSPC, .from = bitmap_block(w, 1),
			.to = bitmap_block(w, 1) + MIB,
		};
		for (i = 0; i < 2; i++)
			park(test, w, &gw[first ^ i],
			     (first ^ i) * CHUNK + 2 * MIB + 65536);
		guest_work(w->img);
		KUNIT_EXPECT_EQ(test, -ENOSPC, guest_begin(w->img, &gw[1]));
		KUNIT_ASSERT_EQ(test, 0, guest_begin(w->img, &gw[0]));
		KUNIT_EXPECT_EQ(test, 0, guest_fill(w->img, &gw[0], 1));
		guest_end(w->img, &gw[0], 0);
		guest_check_byte(test, w->img, 2 * MIB + 65536, 512, 1);
		guest_finish(test, w->img);
	}
}

/* The bits of a large block fill several pages: one that has room is not all of them. */
static void full_large_block(struct kunit *test)
{
	static const struct builder_block blocks[] = { { 2, 7, BUILDER_PLACE } };
	static const struct builder_run runs[] = { { 2 * 131072, 8 } };
	const u64 pos = 128 * MIB + 65536;
	struct writer *w = writer_init(test);
	u64 bits;

	w->b.block_size = 64 * MIB;
	w->b.disk_size = GIB;
	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	w->b.run = runs;
	w->b.runs = ARRAY_SIZE(runs);
	open_child(test, w);
	bits = bitmap_block(w, 0) + 2 * (64 * MIB / 512 / 8);
	KUNIT_ASSERT_EQ(test, 0, guest_clear(w->img, 9));
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_ALLOCATE, .times = U64_MAX, .errnum = -ENOSPC,
		.from = bits + 4096, .to = bits + 16384,
	};
	KUNIT_EXPECT_EQ(test, -ENOSPC, guest_write(w->img, pos, 512, 1));
	memset(&w->mf->fault, 0, sizeof(w->mf->fault));
	KUNIT_EXPECT_EQ(test, 0, guest_write(w->img, pos, 512, 1));
	guest_finish(test, w->img);
}

/* What the guest gives back needs no more than the page that says so. */
static void full_takes_back(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 2, 6, BUILDER_PLACE }, { 3, 6, BUILDER_PLACE },
		{ 600, 6, BUILDER_PLACE },
	};
	struct writer *w = writer_init(test);
	u64 bat;

	w->b.disk_size = GIB;
	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	writer_build(test, w);
	writer_open(test, w);
	bat = w->layout.bat_offset;
	/* All of the BAT's MiB but its first page has no room. */
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_ALLOCATE, .times = U64_MAX, .errnum = -ENOSPC,
		.from = bat + 4096, .to = bat + MIB,
	};
	w->mf->room = w->mf->size;
	KUNIT_EXPECT_EQ(test, 0, guest_clear(w->img, 2));
	KUNIT_EXPECT_EQ(test, 0, guest_clear(w->img, 3));
	KUNIT_EXPECT_EQ(test, -ENOSPC, guest_clear(w->img, 600));
	KUNIT_EXPECT_EQ(test, 0, guest_flush(w->img));
	/* And it is there for what is written. */
	KUNIT_EXPECT_EQ(test, 0, guest_write(w->img, 5 * MIB, 4096, 1));
	memset(&w->mf->fault, 0, sizeof(w->mf->fault));
	KUNIT_EXPECT_EQ(test, 0, guest_clear(w->img, 600));
	guest_finish(test, w->img);
	guest_close(test, w->img);
	w->img = guest_open(test, w->mf);
	guest_check_byte(test, w->img, 2 * MIB, 3 * MIB, 0);
	guest_check_byte(test, w->img, 5 * MIB, 4096, 1);
	guest_check_byte(test, w->img, 600 * MIB, MIB, 0);
}

static u64 count_pages(struct vhdx_journal *j)
{
	struct vhdx_page *page;
	u64 n = 0;

	list_for_each_entry(page, &j->pages, link)
		n++;
	return n;
}

/* Writes that failed keep no pages of bits in memory. */
static void full_keeps_no_pages(struct kunit *test)
{
	struct writer *w = child_init(test);
	u64 pos, before;

	/* The first writes make the pages' MiB ready, and use what there is. */
	KUNIT_ASSERT_EQ(test, 0, guest_write(w->img, 3 * MIB, 512, 1));
	KUNIT_ASSERT_EQ(test, 0, guest_flush(w->img));
	w->mf->fault = (struct memfile_fault){
		.ops = MEMFILE_ALLOCATE, .times = U64_MAX, .errnum = -ENOSPC,
	};
	for (pos = 4 * MIB; !guest_write(w->img, pos, 512, 1);)
		pos += MIB;
	KUNIT_ASSERT_EQ(test, 0, guest_flush(w->img));
	before = count_pages(w->img->journal);
	for (pos = GIB; pos < CHUNK; pos += 16 * MIB)
		KUNIT_ASSERT_EQ(test, -ENOSPC,
				guest_write(w->img, pos, 512, 1));
	KUNIT_EXPECT_EQ(test, before, count_pages(w->img->journal));
	memset(&w->mf->fault, 0, sizeof(w->mf->fault));
	KUNIT_EXPECT_EQ(test, 0, guest_write(w->img, GIB, 512, 2));
	guest_finish(test, w->img);
}

/* Zeros where there is nothing: a whole disk of them takes no memory. */
static void full_of_nothing(struct kunit *test)
{
	struct writer *w = writer_init(test);
	u64 pos;

	w->b.disk_size = CHUNK;
	writer_build(test, w);
	writer_open(test, w);
	for (pos = 0; pos < CHUNK; pos += 256 * MIB) {
		KUNIT_EXPECT_EQ(test, 0, guest_clear(w->img, pos / MIB));
		KUNIT_EXPECT_EQ(test, 0, guest_zero(w->img, pos + MIB, 4096));
		KUNIT_EXPECT_EQ(test, 0, guest_discard(w->img, pos + 2 * MIB,
						       4096));
	}
	for (pos = 0; pos < CHUNK / MIB / 512; pos++)
		KUNIT_EXPECT_NULL(test, vhdx_block_map_page(w->img->map, pos));
}

static struct kunit_case image_full_cases[] = {
	KUNIT_CASE(full_fails_its_own),
	KUNIT_CASE(full_large_block),
	KUNIT_CASE(full_takes_back),
	KUNIT_CASE(full_keeps_no_pages),
	KUNIT_CASE(full_of_nothing),
	{}
};

static struct kunit_suite image_full_suite = {
	.name = "vhdx_image_full",
	.test_cases = image_full_cases,
};

kunit_test_suite(image_full_suite);
