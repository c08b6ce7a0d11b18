// SPDX-License-Identifier: GPL-2.0
/*
 * Dirty logs, replayed in memory. The rows "log-" of the table of bad inputs
 * have the rules of single entries; here is what replay makes of the file.
 */
#include <kunit/test.h>

#include "bad_inputs.h"
#include "builder_log.h"
#include "guest.h"

#define MIB		VHDX_MIB
#define TIB		(1024 * 1024 * MIB)
#define PAGE_ENTRIES	512

static struct vhdx_image *open_row(struct kunit *test, const char *name)
{
	struct memfile *mf = guest_file(test);
	struct bad_image *image;

	image = kunit_kzalloc(test, sizeof(*image), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, image);
	KUNIT_ASSERT_EQ(test, 0, bad_input_make(bad_input_find(name), image,
						mf));
	return guest_open(test, mf);
}

/* --- what is told about a log ---------------------------------------------- */

static void log_info_clean(struct kunit *test)
{
	struct vhdx_image *img = open_row(test, "log-version-1-clean");

	KUNIT_EXPECT_FALSE(test, img->log.dirty);
}

static void log_info_wraps(struct kunit *test)
{
	struct vhdx_image *img = open_row(test, "log-wraps");
	const struct vhdx_log_sequence *sequence = &img->log.sequence;

	KUNIT_EXPECT_TRUE(test, img->log.dirty);
	KUNIT_EXPECT_EQ(test, sequence->count, 2);
	KUNIT_EXPECT_EQ(test, sequence->tail.sequence_number, 6);
	KUNIT_EXPECT_EQ(test, sequence->tail.offset, MIB - 3 * 4096);
	KUNIT_EXPECT_EQ(test, sequence->head.sequence_number, 7);
	KUNIT_EXPECT_EQ(test, sequence->head.offset, MIB - 4096);
	KUNIT_EXPECT_EQ(test, sequence->head.tail, MIB - 3 * 4096);
	KUNIT_EXPECT_EQ(test, img->log.descriptors, 2);
}

/* What lies before the Tail is no part of the sequence. */
static void log_info_before_tail(struct kunit *test)
{
	struct vhdx_image *img = open_row(test, "log-before-tail");

	KUNIT_EXPECT_EQ(test, img->log.sequence.count, 1);
	KUNIT_EXPECT_EQ(test, img->log.sequence.tail.offset, 8192);
	KUNIT_EXPECT_EQ(test, img->log.sequence.head.offset, 8192);
	KUNIT_EXPECT_EQ(test, img->log.descriptors, 1);
}

static void log_info_sizes(struct kunit *test)
{
	struct vhdx_image *img = open_row(test, "log-last-128t");

	KUNIT_EXPECT_EQ(test, img->file_size, 8 * MIB);
	KUNIT_EXPECT_EQ(test, img->size, 128 * TIB);
}

/* --- images with a log of their own ----------------------------------------- */

/**
 * struct dirty - an image whose log is made by a test
 * @b: to be built
 * @layout: of it
 * @mf: it
 * @sink: to write to it
 * @spec: of the entry to be written next
 */
struct dirty {
	struct builder b;
	struct builder_layout layout;
	struct memfile *mf;
	struct builder_sink sink;
	struct log_spec spec;
};

/* To be built: a dirty log, and nothing in the BAT. */
static struct dirty *dirty_init(struct kunit *test)
{
	struct dirty *d = kunit_kzalloc(test, sizeof(*d), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, d);
	builder_init(&d->b);
	d->b.log_guid = builder_log_guid;
	return d;
}

static void dirty_build(struct kunit *test, struct dirty *d)
{
	d->mf = guest_build(test, &d->b, &d->layout);
	d->sink = memfile_sink(d->mf);
	d->spec.guid = builder_log_guid;
	d->spec.sequence_number = 1;
	d->spec.flushed_file_offset = d->layout.file_size;
	d->spec.last_file_offset = d->layout.file_size;
}

static void dirty_write(struct kunit *test, struct dirty *d,
			const struct log_update *update, u32 updates)
{
	d->spec.update = update;
	d->spec.updates = updates;
	KUNIT_ASSERT_EQ(test, 0, log_spec_write(&d->sink, &d->layout,
						&d->spec));
	d->spec.sequence_number++;
	d->spec.offset = (d->spec.offset + log_spec_length(&d->spec)) %
			 d->layout.log_length;
}

/* A block that only the log knows, in a BAT that is a hole, past the file's end. */
static void log_grows(struct kunit *test)
{
	struct dirty *d = dirty_init(test);
	__le64 *page = kunit_kzalloc(test, 4096, GFP_KERNEL);
	struct vhdx_extent extent;
	struct log_update update;
	struct vhdx_image *img;
	u32 checksum;
	u64 end;

	KUNIT_ASSERT_NOT_NULL(test, page);
	dirty_build(test, d);
	end = d->layout.file_size;
	page[5] = cpu_to_le64(end | 6);
	update = (struct log_update){ d->layout.bat_offset, 0, page };
	d->spec.last_file_offset = end + MIB;
	dirty_write(test, d, &update, 1);
	checksum = memfile_checksum(d->mf);

	img = guest_open(test, d->mf);
	KUNIT_EXPECT_EQ(test, img->file_size, end);
	KUNIT_EXPECT_EQ(test, img->size, end + MIB);
	KUNIT_EXPECT_EQ(test, img->counts.payload[6], 1);
	vhdx_image_map(img, 5 * MIB + 512, 4096, &extent);
	KUNIT_EXPECT_EQ(test, extent.type, VHDX_EXTENT_FILE);
	KUNIT_EXPECT_EQ(test, extent.offset, end + 512);
	/* Past the end of the file there is nothing but zeros. */
	guest_check_built(test, img, &d->b, 0, d->b.disk_size);
	KUNIT_EXPECT_EQ(test, memfile_checksum(d->mf), checksum);
}

/* A target past LastFileOffset grows the file as well. */
static void log_grows_past_last(struct kunit *test)
{
	struct dirty *d = dirty_init(test);
	struct log_update update;
	struct vhdx_image *img;

	dirty_build(test, d);
	update = (struct log_update){ 20 * MIB, 4096, NULL };
	dirty_write(test, d, &update, 1);
	img = guest_open(test, d->mf);
	KUNIT_EXPECT_EQ(test, img->size, 20 * MIB + 4096);
}

/* A zero descriptor takes blocks out of the BAT that the file still has. */
static void log_zeros_bat(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 0, 6, 0 }, { 600, 6, 0 }, { 1500, 6, 0 },
	};
	struct dirty *d = dirty_init(test);
	struct log_update update;
	struct vhdx_image *img;

	d->b.disk_size = 2000 * MIB;
	d->b.block = blocks;
	d->b.blocks = ARRAY_SIZE(blocks);
	d->b.data_bytes = 8192;
	dirty_build(test, d);
	update = (struct log_update){ d->layout.bat_offset + 4096, 4096, NULL };
	dirty_write(test, d, &update, 1);
	img = guest_open(test, d->mf);

	KUNIT_EXPECT_EQ(test, img->counts.payload[6], 2);
	guest_check_block_ends(test, img, &d->b, 0);
	guest_check_block_ends(test, img, &d->b, 1500);
	d->b.block = &blocks[2];	/* without the one zeroed */
	d->b.blocks = 1;
	guest_check_block_ends(test, img, &d->b, 600);
}

/* Space that belongs to no live block may be written by replay. */
static void log_into_free_space(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 0, 6, 0 }, { 1, 3, BUILDER_PLACE }, { 2, 6, 0 },
	};
	struct dirty *d = dirty_init(test);
	struct log_update update;

	d->b.block = blocks;
	d->b.blocks = ARRAY_SIZE(blocks);
	d->b.data_bytes = 8192;
	dirty_build(test, d);
	update = (struct log_update){ d->layout.blocks_offset + MIB, MIB, NULL };
	dirty_write(test, d, &update, 1);
	guest_check_built(test, guest_open(test, d->mf), &d->b, 0,
			  d->b.disk_size);
}

static void check_flushed(struct kunit *test, u64 beyond, int result)
{
	struct dirty *d = dirty_init(test);
	struct vhdx_image *img = NULL;
	struct vhdx_error err;

	dirty_build(test, d);
	d->spec.flushed_file_offset += beyond;
	dirty_write(test, d, NULL, 0);
	KUNIT_EXPECT_EQ(test, vhdx_image_open(&d->mf->file, 0, &img, &err),
			result);
	vhdx_image_close(img);
}

static void log_flushed_file_offset(struct kunit *test)
{
	check_flushed(test, 0, 0);
	check_flushed(test, 1, -EUCLEAN);
}

/* Only the last entry's FlushedFileOffset counts. */
static void log_flushed_of_earlier_entry(struct kunit *test)
{
	struct dirty *d = dirty_init(test);

	dirty_build(test, d);
	d->spec.flushed_file_offset += 100 * MIB;
	dirty_write(test, d, NULL, 0);
	d->spec.flushed_file_offset -= 100 * MIB;
	dirty_write(test, d, NULL, 0);
	guest_open(test, d->mf);
}

/* --- random logs over a large BAT -------------------------------------------- */

/*
 * The model of a BAT of 2048 pages: the number of the update that wrote a page
 * last, 0 for zeros. A page that update n wrote has one block, in the MiB n of
 * the file, so the block map tells which update it holds.
 */
#define BAT_PAGES	2048
#define ENTRIES		120
#define UPDATES		8

static const u64 seeds[] = { 1, 2, 3, 4, 5 };

static void describe_seed(const u64 *seed, char *desc)
{
	scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "seed %llu", *seed);
}

KUNIT_ARRAY_PARAM(seed, seeds, describe_seed);

/* The block of a page, chosen so that its entry is no bitmap block's. */
static u64 index_of_page(u32 page)
{
	u64 index = (u64)page * PAGE_ENTRIES + page % 100;

	return index % 4097 == 4096 ? index + 1 : index;
}

static u64 block_of_index(u64 index)
{
	return index - index / 4097;
}

static void random_updates(struct dirty *d, u64 *random, u32 *model,
			   struct log_update *update, u8 *data, u32 *number)
{
	u32 i, j, page, pages;

	for (i = 0; i < UPDATES; i++) {
		__le64 *buf = (__le64 *)(data + 4096 * i);

		page = builder_random(random) % BAT_PAGES;
		(*number)++;
		update[i].file_offset = d->layout.bat_offset + 4096ULL * page;
		update[i].zero_length = 0;
		update[i].data = buf;
		if (builder_random(random) % 4) {
			memset(buf, 0, 4096);
			buf[index_of_page(page) % PAGE_ENTRIES] =
				cpu_to_le64(100 * MIB + *number * MIB + 6);
			model[page] = *number;
			continue;
		}
		pages = 1 + builder_random(random) % 64;
		pages = min(pages, BAT_PAGES - page);
		update[i].zero_length = 4096ULL * pages;
		for (j = 0; j < pages; j++)
			model[page + j] = 0;
	}
}

static void check_model(struct kunit *test, const struct vhdx_image *img,
			const u32 *model)
{
	struct vhdx_extent extent;
	u32 page;

	for (page = 0; page < BAT_PAGES; page++) {
		u64 block = block_of_index(index_of_page(page));

		vhdx_image_map(img, block * MIB, MIB, &extent);
		KUNIT_EXPECT_EQ_MSG(test, extent.type,
				    model[page] ? VHDX_EXTENT_FILE :
						  VHDX_EXTENT_ZERO,
				    "page %u", page);
		if (model[page])
			KUNIT_EXPECT_EQ_MSG(test, extent.offset,
					    (100 + model[page]) * MIB,
					    "page %u", page);
	}
}

static void log_random(struct kunit *test)
{
	u64 random = *(const u64 *)test->param_value;
	struct log_update update[UPDATES];
	struct dirty *d = dirty_init(test);
	u32 *model, number = 0, i;
	u8 *data;

	data = kunit_kmalloc(test, 4096 * UPDATES, GFP_KERNEL);
	model = kunit_kzalloc(test, BAT_PAGES * sizeof(*model), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, data);
	KUNIT_ASSERT_NOT_NULL(test, model);
	d->b.log_length = 8 * MIB;
	d->b.disk_size = TIB;
	d->b.seed = random;
	d->b.shuffle = true;
	dirty_build(test, d);
	KUNIT_ASSERT_GE(test, d->layout.bat_length, 4096 * BAT_PAGES);
	/* Every block lies past the end of the file, but not of replay. */
	d->spec.last_file_offset = 4096 * MIB;
	d->spec.offset = builder_random(&random) % (d->layout.log_length / 4096) *
			 4096;
	d->spec.tail = d->spec.offset;
	for (i = 0; i < ENTRIES; i++) {
		random_updates(d, &random, model, update, data, &number);
		dirty_write(test, d, update, UPDATES);
	}
	check_model(test, guest_open(test, d->mf), model);
}

/* --- logs that ask for much ---------------------------------------------------- */

/*
 * 60,000 zero descriptors, each over some 200 TiB: work for all of what they
 * cover, one after the other, would not end.
 */
static void log_huge_zeros(struct kunit *test)
{
	const u32 count = 60000;
	struct dirty *d = dirty_init(test);
	struct log_update *update;
	struct vhdx_image *img;
	u64 random = 1;
	u32 i;

	d->b.log_length = 4 * MIB;
	dirty_build(test, d);
	update = kvcalloc(count, sizeof(*update), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, update);
	for (i = 0; i < count; i++) {
		update[i].file_offset = d->layout.file_size +
			(builder_random(&random) & 0xFFFFFFFF000ULL);
		update[i].zero_length = 200 * TIB +
			(builder_random(&random) & 0xFFFFFFFF000ULL);
	}
	d->spec.update = update;
	d->spec.updates = count;
	i = log_spec_write(&d->sink, &d->layout, &d->spec);
	kvfree(update);
	KUNIT_ASSERT_EQ(test, 0, i);
	img = guest_open(test, d->mf);
	KUNIT_EXPECT_EQ(test, img->log.descriptors, count);
	KUNIT_EXPECT_LT(test, img->size, 256 * TIB);
}

/* More descriptors than any writer leaves. */
static void log_too_many(struct kunit *test)
{
	const u32 count = (1 << 20) + 1;
	struct dirty *d = dirty_init(test);
	struct vhdx_image *img = NULL;
	struct log_update *update;
	struct vhdx_error err;
	int ret;
	u32 i;

	d->b.log_length = 34 * MIB;
	dirty_build(test, d);
	update = kvcalloc(count, sizeof(*update), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, update);
	for (i = 0; i < count; i++)
		update[i] = (struct log_update){
			d->layout.bat_offset, 4096, NULL
		};
	d->spec.update = update;
	d->spec.updates = count;
	ret = log_spec_write(&d->sink, &d->layout, &d->spec);
	kvfree(update);
	KUNIT_ASSERT_EQ(test, 0, ret);
	ret = vhdx_image_open(&d->mf->file, 0, &img, &err);
	vhdx_image_close(img);
	KUNIT_EXPECT_EQ(test, ret, -E2BIG);
	KUNIT_EXPECT_EQ(test, err.errnum, -E2BIG);
	KUNIT_EXPECT_EQ(test, err.offset, d->layout.log_offset);
}

static struct kunit_case image_log_cases[] = {
	KUNIT_CASE(log_info_clean),
	KUNIT_CASE(log_info_wraps),
	KUNIT_CASE(log_info_before_tail),
	KUNIT_CASE(log_info_sizes),
	KUNIT_CASE(log_grows),
	KUNIT_CASE(log_grows_past_last),
	KUNIT_CASE(log_zeros_bat),
	KUNIT_CASE(log_into_free_space),
	KUNIT_CASE(log_flushed_file_offset),
	KUNIT_CASE(log_flushed_of_earlier_entry),
	KUNIT_CASE_PARAM_ATTR(log_random, seed_gen_params,
			      {KUNIT_SPEED_SLOW}),
	KUNIT_CASE_SLOW(log_huge_zeros),
	KUNIT_CASE_SLOW(log_too_many),
	{}
};

static struct kunit_suite image_log_suite = {
	.name = "vhdx_image_log",
	.test_cases = image_log_cases,
};

kunit_test_suite(image_log_suite);
