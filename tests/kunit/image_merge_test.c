// SPDX-License-Identifier: GPL-2.0
/*
 * Merging: what becomes of the image below, and that who reads the chain reads the
 * same, whatever fails. What a power cut leaves of one is build/crash's to show.
 */
#include <kunit/test.h>

#include "builder_chain.h"
#include "builder_log.h"
#include "guest.h"
#include "image/edit.h"
#include "image/internal.h"
#include "image/items.h"
#include "image/merge.h"
#include "image/resize.h"
#include "image/sync.h"

#define MIB	VHDX_MIB
#define LEVELS	4U

/**
 * struct family - a chain, and a level of it that the others above go into
 * @chain: what was built
 * @b: of each level
 * @mf: likewise
 * @layout: likewise
 * @top: the highest level
 * @into: that one
 * @ends: of blocks are looked at, not all of them
 * @img: while they are open, else NULL
 */
struct family {
	struct builder_chain chain;
	const struct builder *b[LEVELS];
	struct memfile *mf[LEVELS];
	struct builder_layout layout[LEVELS];
	u32 top;
	u32 into;
	bool ends;
	struct vhdx_image *img[LEVELS];
};

static void free_chain(void *ctx)
{
	builder_chain_free(ctx);
}

static struct family *new_family(struct kunit *test)
{
	struct family *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	return f;
}

/* With @plain all disks have one size. */
static struct family *draw(struct kunit *test, u64 seed, u32 parents, u32 into,
			   bool plain)
{
	struct family *f = new_family(test);
	u32 i;

	KUNIT_ASSERT_EQ(test, 0, builder_chain_init(&f->chain, seed, parents,
						    24 * MIB, 512, plain));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_chain,
							   &f->chain));
	f->top = parents;
	f->into = into;
	for (i = 0; i <= parents; i++) {
		f->b[i] = &f->chain.level[i].b;
		f->mf[i] = guest_build(test, f->b[i], &f->layout[i]);
	}
	return f;
}

static void close_all(struct family *f)
{
	u32 i;

	for (i = f->top + 1; i-- > 0; ) {
		vhdx_image_close(f->img[i]);
		f->img[i] = NULL;
	}
}

/* The one that is written to with @write; 0 or what opening said. */
static int open_all(struct family *f, bool write)
{
	struct vhdx_error err;
	int ret = 0;
	u32 i;

	for (i = 0; !ret && i <= f->top; i++)
		ret = vhdx_image_open_child(&f->mf[i]->file,
					    i ? f->img[i - 1] : NULL,
					    write && i == f->into ?
					    VHDX_OPEN_WRITE : 0, &f->img[i],
					    &err);
	if (ret)
		close_all(f);
	return ret;
}

/* All of it, or both ends of each block where many are looked at in turn. */
static void check_view(struct kunit *test, const struct vhdx_image *img,
		       const struct family *f)
{
	const struct builder *b = f->b[f->top];
	u64 block;

	if (!f->ends) {
		guest_check_built(test, img, b, 0, b->disk_size);
		return;
	}
	for (block = 0; block * b->block_size < b->disk_size; block++)
		guest_check_block_ends(test, img, b, block);
}

/* And no log is dirty with @clean. */
static void check_chain(struct kunit *test, struct family *f, bool clean)
{
	KUNIT_ASSERT_EQ(test, 0, open_all(f, false));
	check_view(test, f->img[f->top], f);
	if (clean)
		KUNIT_EXPECT_FALSE(test, f->img[f->into]->log.dirty);
	close_all(f);
}

static void check_merged(struct kunit *test, struct family *f)
{
	KUNIT_ASSERT_EQ(test, 0, open_all(f, false));
	check_view(test, f->img[f->into], f);
	KUNIT_EXPECT_EQ(test, f->img[f->into]->metadata.virtual_disk_size,
			f->b[f->top]->disk_size);
	KUNIT_EXPECT_FALSE(test, f->img[f->into + 1]->locator.has_parent_linkage2);
	close_all(f);
}

static int set_link(struct family *f, const guid_t *linkage,
		    const guid_t *linkage2)
{
	struct vhdx_image *img;
	struct vhdx_error err;
	int ret;

	ret = vhdx_image_open(&f->mf[f->into + 1]->file, VHDX_OPEN_EDIT, &img,
			      &err);
	if (ret)
		return ret;
	ret = vhdx_merge_link(img, linkage, linkage2, &err);
	if (!ret)
		ret = vhdx_image_finish(img);
	vhdx_image_close(img);
	return ret;
}

static int identity(struct family *f, guid_t *guid)
{
	struct vhdx_image *img;
	struct vhdx_error err;
	int ret;

	ret = vhdx_image_open(&f->mf[f->into]->file, 0, &img, &err);
	if (ret)
		return ret;
	ret = vhdx_items_identity(img, guid);
	vhdx_image_close(img);
	return ret;
}

static int open_into(struct family *f, const guid_t *next)
{
	int ret = open_all(f, true);

	if (ret)
		return ret;
	f->img[f->into]->next_data_write_guid = *next;
	f->img[f->into]->growth_step = 4 * MIB;
	vhdx_sync_init(f->img[f->into]);
	return 0;
}

/* It does not know its new size, and is opened again. */
static int resize_into(struct family *f, const guid_t *next)
{
	struct vhdx_image *into = f->img[f->into];
	struct vhdx_error err;
	int ret, last;

	ret = vhdx_image_resize(into, f->img[f->top]->metadata.virtual_disk_size,
				&err);
	last = vhdx_image_finish(into);
	close_all(f);
	if (!ret)
		ret = last;
	return ret ? : open_into(f, next);
}

static int blocks_into(struct family *f, struct vhdx_merge *merge)
{
	struct vhdx_image *into = f->img[f->into];
	int ret, last;

	ret = vhdx_merge_blocks(f->img[f->top], into, merge);
	last = vhdx_image_finish(into);
	return ret ? : last;
}

static int items_into(struct family *f)
{
	struct vhdx_image *into = f->img[f->into];
	struct vhdx_error err;

	return vhdx_merge_items(f->img[f->top], into, &err) ? :
	       vhdx_image_finish(into);
}

static int merge_open(struct family *f, struct vhdx_merge *merge,
		      const guid_t *next)
{
	u64 size = f->img[f->top]->metadata.virtual_disk_size;
	u64 below = f->img[f->into]->metadata.virtual_disk_size;
	int ret = 0;

	if (size > below)
		ret = resize_into(f, next);
	if (!ret)
		ret = blocks_into(f, merge);
	if (!ret && size < below)
		ret = resize_into(f, next);
	return ret ? : items_into(f);
}

static int merge_all(struct family *f, struct vhdx_merge *merge)
{
	guid_t old, next;
	int ret;

	ret = identity(f, &old);
	guid_gen(&next);
	if (!ret)
		ret = set_link(f, &old, &next);
	if (!ret)
		ret = open_into(f, &next);
	if (ret)
		return ret;
	ret = merge_open(f, merge, &next);
	close_all(f);
	return ret ? : set_link(f, &next, NULL);
}

/* Drawn chains, into each of their images. */
static void merge_chains(struct kunit *test)
{
	struct vhdx_merge merge = { };
	u32 parents, into;
	u64 seed = 1;

	for (parents = 1; parents < LEVELS; parents++)
		for (into = 0; into < parents; into++, seed++) {
			struct family *f = draw(test, seed, parents, into,
						true);

			kunit_info(test, "seed %llu: %u parents, into %u",
				   seed, parents, into);
			check_chain(test, f, true);
			KUNIT_ASSERT_EQ(test, 0, merge_all(f, &merge));
			check_chain(test, f, true);
			check_merged(test, f);
		}
}

/*
 * Disks of other sizes: the one below gets that of the top. It cannot grow above one
 * that is larger, and the chain stays as it is.
 */
static void merge_sizes(struct kunit *test)
{
	u32 grown = 0, shrunk = 0, refused = 0;
	struct vhdx_merge merge = { };
	u32 parents, into;
	u64 seed;

	for (seed = 100; seed < 113; seed++) {
		struct family *f;
		u64 size, below;
		bool refuse;

		parents = 1 + seed % (LEVELS - 1);
		into = seed / (LEVELS - 1) % parents;
		f = draw(test, seed, parents, into, false);
		size = f->b[parents]->disk_size;
		below = f->b[into]->disk_size;
		refuse = size > below && into &&
			 f->b[into - 1]->disk_size > below;
		grown += size > below && !refuse;
		shrunk += size < below;
		refused += refuse;
		kunit_info(test, "seed %llu: %u parents, into %u, %llu to %llu",
			   seed, parents, into, below, size);
		check_chain(test, f, true);
		KUNIT_ASSERT_EQ(test, refuse ? -EOPNOTSUPP : 0,
				merge_all(f, &merge));
		check_chain(test, f, true);
		if (!refuse)
			check_merged(test, f);
	}
	KUNIT_EXPECT_GT(test, grown, 2);
	KUNIT_EXPECT_GT(test, shrunk, 2);
	KUNIT_EXPECT_GT(test, refused, 0);
}

static void count_bytes(struct vhdx_merge *merge, u64 bytes)
{
	*(u64 *)merge->ctx += bytes;
}

/* What it says beforehand is what it copies, and measuring changes nothing. */
static void merge_measured(struct kunit *test)
{
	struct family *f = draw(test, 20, 2, 0, true);
	u64 said = 0, copied = 0;
	struct vhdx_merge merge = { .progress = count_bytes, .ctx = &copied };
	u32 checksum = memfile_checksum(f->mf[0]);

	KUNIT_ASSERT_EQ(test, 0, open_all(f, false));
	KUNIT_ASSERT_EQ(test, 0, vhdx_merge_measure(f->img[2], f->img[0], &said));
	close_all(f);
	KUNIT_EXPECT_EQ(test, checksum, memfile_checksum(f->mf[0]));
	KUNIT_ASSERT_EQ(test, 0, merge_all(f, &merge));
	KUNIT_EXPECT_GT(test, said, 0);
	KUNIT_EXPECT_EQ(test, said, copied);
}

/* Two levels without a drawing. */
static struct family *pair(struct kunit *test, struct builder *b)
{
	struct family *f = new_family(test);
	u32 i;

	for (i = 0; i < 2; i++) {
		f->b[i] = &b[i];
		f->mf[i] = guest_build(test, f->b[i], &f->layout[i]);
	}
	f->top = 1;
	return f;
}

static void pair_init(struct builder *b)
{
	builder_init(&b[0]);
	b[0].disk_size = 24 * MIB;
	b[0].data_write_guid = builder_guid(1);
	builder_init(&b[1]);
	b[1].disk_size = 24 * MIB;
	b[1].seed = 3;
	b[1].data_write_guid = builder_guid(2);
	builder_set_parent(&b[1], &b[0]);
}

static u64 entry_of(const struct family *f, u32 level, u64 block)
{
	__le64 entry;

	memfile_read(f->mf[level], &entry, sizeof(entry),
		     f->layout[level].bat_offset +
		     8 * builder_bat_index(&f->layout[level], block));
	return le64_to_cpu(entry);
}

/* Zeros of small blocks free a large one below; holes and zeros stay without. */
static void merge_zeros(struct kunit *test)
{
	static const struct builder_block below[] = {
		{ 0, 6, BUILDER_PLACE }, { 1, 6, BUILDER_PLACE },
	};
	static const struct builder_block above[] = {
		{ 0, 2, 0 }, { 1, 3, 0 }, { 2, 2, 0 }, { 3, 1, 0 },
		{ 4, 2, 0 }, { 9, 6, BUILDER_PLACE }, { 12, 6, BUILDER_PLACE },
	};
	struct builder *b = kunit_kzalloc(test, 2 * sizeof(*b), GFP_KERNEL);
	struct vhdx_merge merge = { };
	struct family *f;

	KUNIT_ASSERT_NOT_NULL(test, b);
	pair_init(b);
	b[0].block_size = 4 * MIB;
	b[0].block = below;
	b[0].blocks = ARRAY_SIZE(below);
	b[1].block = above;
	b[1].blocks = ARRAY_SIZE(above);
	f = pair(test, b);
	memfile_punch(f->mf[1], entry_of(f, 1, 9) & ~(MIB - 1), MIB);
	KUNIT_ASSERT_EQ(test, 0, memfile_write_zeros(f->mf[1], MIB,
						     entry_of(f, 1, 12) & ~(MIB - 1)));
	KUNIT_ASSERT_EQ(test, 0, merge_all(f, &merge));
	KUNIT_EXPECT_EQ(test, entry_of(f, 0, 0), 2);
	KUNIT_EXPECT_EQ(test, entry_of(f, 0, 1) & 7, 6);
	KUNIT_EXPECT_EQ(test, entry_of(f, 0, 2), 0);
	KUNIT_EXPECT_EQ(test, entry_of(f, 0, 3), 0);
	KUNIT_ASSERT_EQ(test, 0, open_all(f, false));
	guest_check_byte(test, f->img[0], 0, 5 * MIB, 0);
	guest_check_built(test, f->img[0], &b[0], 5 * MIB, 3 * MIB);
	guest_check_byte(test, f->img[0], 8 * MIB, 16 * MIB, 0);
	close_all(f);
}

/* While it is under way the parent may have either GUID, and no third one. */
static void merge_links(struct kunit *test)
{
	struct builder *b = kunit_kzalloc(test, 2 * sizeof(*b), GFP_KERNEL);
	const guid_t null = { };
	guid_t next = builder_guid(77), old;
	struct vhdx_locator_entry entry;
	struct vhdx_header before;
	struct family *f;

	KUNIT_ASSERT_NOT_NULL(test, b);
	pair_init(b);
	b[0].default_state = 6;
	b[0].data_bytes = 4096;
	/* As Windows has it. */
	b[1].parent_linkage2 = &null;
	f = pair(test, b);
	KUNIT_ASSERT_EQ(test, 0, identity(f, &old));
	KUNIT_ASSERT_EQ(test, 0, open_all(f, false));
	before = *vhdx_image_header(f->img[1]);
	close_all(f);
	KUNIT_ASSERT_EQ(test, 0, set_link(f, &old, &next));
	KUNIT_ASSERT_EQ(test, 0, open_all(f, true));
	KUNIT_EXPECT_TRUE(test, guid_equal(&old, &f->img[1]->locator.parent_linkage));
	KUNIT_EXPECT_TRUE(test, guid_equal(&next, &f->img[1]->locator.parent_linkage2));
	KUNIT_EXPECT_TRUE(test, vhdx_locator_find(&f->img[1]->locator,
						  "relative_path", &entry));
	KUNIT_EXPECT_TRUE(test, guid_equal(&before.data_write_guid,
					   &vhdx_image_header(f->img[1])->data_write_guid));
	f->img[0]->next_data_write_guid = next;
	vhdx_sync_init(f->img[0]);
	KUNIT_ASSERT_EQ(test, 0, vhdx_sync_zero(f->img[0], 0, 24 * MIB));
	KUNIT_ASSERT_EQ(test, 0, vhdx_image_finish(f->img[0]));
	close_all(f);
	KUNIT_ASSERT_EQ(test, 0, identity(f, &old));
	KUNIT_EXPECT_TRUE(test, guid_equal(&old, &next));
	KUNIT_EXPECT_EQ(test, 0, open_all(f, false));
	close_all(f);
	/* The next one forgets the first. */
	KUNIT_ASSERT_EQ(test, 0, set_link(f, &builder_data_write_guid, NULL));
	KUNIT_EXPECT_EQ(test, -ESTALE, open_all(f, false));
	KUNIT_ASSERT_EQ(test, 0, set_link(f, &next, NULL));
	KUNIT_ASSERT_EQ(test, 0, open_all(f, false));
	KUNIT_EXPECT_FALSE(test, f->img[1]->locator.has_parent_linkage2);
	close_all(f);
}

static int renew(struct family *f, const guid_t *next)
{
	struct vhdx_image *img;
	struct vhdx_error err;
	int ret;

	ret = vhdx_image_open(&f->mf[0]->file, VHDX_OPEN_EDIT, &img, &err);
	if (ret)
		return ret;
	img->next_data_write_guid = *next;
	ret = vhdx_merge_renew(img, &err);
	if (!ret)
		ret = vhdx_image_finish(img);
	vhdx_image_close(img);
	return ret;
}

/* Who is not told of the new one does not take the image for its parent any more. */
static void merge_renews(struct kunit *test)
{
	struct builder *b = kunit_kzalloc(test, 2 * sizeof(*b), GFP_KERNEL);
	guid_t next = builder_guid(77), old, now;
	struct family *f;

	KUNIT_ASSERT_NOT_NULL(test, b);
	pair_init(b);
	b[0].default_state = 6;
	b[0].data_bytes = 4096;
	f = pair(test, b);
	KUNIT_ASSERT_EQ(test, 0, identity(f, &old));
	KUNIT_ASSERT_EQ(test, 0, renew(f, &next));
	KUNIT_ASSERT_EQ(test, 0, identity(f, &now));
	KUNIT_EXPECT_TRUE(test, guid_equal(&now, &next));
	KUNIT_EXPECT_EQ(test, -ESTALE, open_all(f, false));
	KUNIT_ASSERT_EQ(test, 0, set_link(f, &next, NULL));
	KUNIT_ASSERT_EQ(test, 0, open_all(f, false));
	guest_check_built(test, f->img[0], &b[0], 0, 8 * MIB);
	close_all(f);
}

/* Replay changes the headers too. */
static void merge_renews_dirty(struct kunit *test)
{
	struct builder *b = kunit_kzalloc(test, 2 * sizeof(*b), GFP_KERNEL);
	u8 *page = kunit_kzalloc(test, 4096, GFP_KERNEL);
	struct log_update update;
	struct log_spec spec = {
		.guid = builder_log_guid,
		.sequence_number = 5,
		.update = &update,
		.updates = 1,
	};
	guid_t next = builder_guid(77), now;
	struct builder_sink sink;
	struct family *f;

	KUNIT_ASSERT_NOT_NULL(test, b);
	KUNIT_ASSERT_NOT_NULL(test, page);
	pair_init(b);
	b[0].log_guid = builder_log_guid;
	f = pair(test, b);
	memfile_read(f->mf[0], page, 4096, f->layout[0].bat_offset);
	update = (struct log_update){ f->layout[0].bat_offset, 0, page };
	spec.flushed_file_offset = f->layout[0].file_size;
	spec.last_file_offset = f->layout[0].file_size;
	sink = memfile_sink(f->mf[0]);
	KUNIT_ASSERT_EQ(test, 0, log_spec_write(&sink, &f->layout[0], &spec));
	KUNIT_ASSERT_EQ(test, 0, open_all(f, false));
	KUNIT_EXPECT_TRUE(test, f->img[0]->log.dirty);
	close_all(f);
	KUNIT_ASSERT_EQ(test, 0, renew(f, &next));
	KUNIT_ASSERT_EQ(test, 0, identity(f, &now));
	KUNIT_EXPECT_TRUE(test, guid_equal(&now, &next));
}

static void merge_renew_fails(struct kunit *test)
{
	struct builder *b = kunit_kzalloc(test, 2 * sizeof(*b), GFP_KERNEL);
	guid_t next = builder_guid(77);
	struct family *f;

	KUNIT_ASSERT_NOT_NULL(test, b);
	pair_init(b);
	f = pair(test, b);
	f->mf[0]->fault = (struct memfile_fault){
		.ops = MEMFILE_WRITE, .times = U64_MAX, .errnum = -EIO,
	};
	KUNIT_EXPECT_EQ(test, -EIO, renew(f, &next));
}

static void set_item(struct kunit *test, struct memfile *mf, u32 id,
		     bool is_virtual_disk, const char *text)
{
	const struct vhdx_metadata_item item = {
		.item_id = builder_guid(id),
		.length = strlen(text),
		.is_user = true,
		.is_virtual_disk = is_virtual_disk,
	};
	struct vhdx_edit *edit = NULL;
	struct vhdx_image *img;
	struct vhdx_error err;

	KUNIT_ASSERT_EQ(test, 0, vhdx_image_open(&mf->file, VHDX_OPEN_EDIT, &img,
						 &err));
	KUNIT_ASSERT_EQ(test, 0, vhdx_edit_begin(img, &edit));
	KUNIT_EXPECT_EQ(test, 0, vhdx_items_put(img, edit, &item, text));
	KUNIT_EXPECT_EQ(test, 0, vhdx_edit_commit(edit));
	vhdx_edit_free(edit);
	KUNIT_EXPECT_EQ(test, 0, vhdx_image_finish(img));
	vhdx_image_close(img);
}

/* NULL: there must be none. */
static void check_item(struct kunit *test, const struct vhdx_image *img, u32 id,
		       const char *text)
{
	const struct vhdx_metadata_table *table = img->metadata_table;
	const guid_t guid = builder_guid(id);
	struct vhdx_error err;
	char buf[64] = "";
	u32 i;

	for (i = 0; i < table->count; i++)
		if (table->item[i].is_user &&
		    guid_equal(&table->item[i].item_id, &guid))
			break;
	KUNIT_ASSERT_EQ_MSG(test, i < table->count, !!text, "item %u", id);
	if (!text)
		return;
	KUNIT_ASSERT_LT(test, table->item[i].length, sizeof(buf));
	if (table->item[i].length)
		KUNIT_ASSERT_EQ(test, 0, vhdx_metadata_read_item(img, &table->item[i],
								 buf, table->item[i].length,
								 &err));
	KUNIT_EXPECT_STREQ(test, buf, text);
}

/* The disk's are the child's from then on, the file's stay (MS-VHDX 2.6.1.2). */
static void merge_items(struct kunit *test)
{
	struct builder *b = kunit_kzalloc(test, 2 * sizeof(*b), GFP_KERNEL);
	struct vhdx_merge merge = { };
	struct family *f;
	u32 checksum;

	KUNIT_ASSERT_NOT_NULL(test, b);
	pair_init(b);
	b[1].physical_sector_size = 512;
	f = pair(test, b);
	set_item(test, f->mf[0], 1, true, "is lost");
	set_item(test, f->mf[0], 2, true, "short");
	set_item(test, f->mf[0], 3, false, "of the file");
	set_item(test, f->mf[0], 4, true, "the same");
	set_item(test, f->mf[1], 2, true, "longer than it was");
	set_item(test, f->mf[1], 3, false, "of the child");
	set_item(test, f->mf[1], 4, true, "the same");
	set_item(test, f->mf[1], 5, true, "new");
	set_item(test, f->mf[1], 6, true, "");
	KUNIT_ASSERT_EQ(test, 0, merge_all(f, &merge));
	KUNIT_ASSERT_EQ(test, 0, open_all(f, false));
	check_item(test, f->img[0], 1, NULL);
	check_item(test, f->img[0], 2, "longer than it was");
	check_item(test, f->img[0], 3, "of the file");
	check_item(test, f->img[0], 4, "the same");
	check_item(test, f->img[0], 5, "new");
	check_item(test, f->img[0], 6, "");
	KUNIT_EXPECT_EQ(test, f->img[0]->metadata.physical_sector_size, 512);
	KUNIT_EXPECT_EQ(test, f->img[0]->metadata.block_size, b[0].block_size);
	KUNIT_EXPECT_FALSE(test, f->img[0]->metadata.has_parent);
	close_all(f);
	/* A second time there is nothing to write to the image below. */
	checksum = memfile_checksum(f->mf[0]);
	KUNIT_ASSERT_EQ(test, 0, merge_all(f, &merge));
	KUNIT_EXPECT_EQ(test, checksum, memfile_checksum(f->mf[0]));
}

static void items_full(struct kunit *test)
{
	struct builder *b = kunit_kzalloc(test, 2 * sizeof(*b), GFP_KERNEL);
	const struct vhdx_metadata_item item = {
		.item_id = builder_guid(1),
		.length = MIB - VHDX_METADATA_TABLE_SIZE,
		.is_user = true,
	};
	const struct vhdx_metadata_item empty = {
		.item_id = builder_guid(1),
		.is_user = true,
	};
	const struct vhdx_metadata_item of_system = {
		.item_id = builder_guid(1),
	};
	struct vhdx_edit *edit = NULL;
	struct vhdx_image *img;
	struct vhdx_error err;
	struct family *f;
	u32 checksum, i, own;

	KUNIT_ASSERT_NOT_NULL(test, b);
	pair_init(b);
	f = pair(test, b);
	checksum = memfile_checksum(f->mf[0]);
	KUNIT_ASSERT_EQ(test, 0, vhdx_image_open(&f->mf[0]->file, VHDX_OPEN_EDIT,
						 &img, &err));
	KUNIT_ASSERT_EQ(test, 0, vhdx_edit_begin(img, &edit));
	KUNIT_EXPECT_EQ(test, -ENOSPC, vhdx_items_put(img, edit, &item, NULL));
	own = --img->metadata_table->count;
	for (i = own; i < VHDX_MAX_METADATA_ITEMS; i++) {
		img->metadata_table->item[i] = img->metadata_table->item[0];
		img->metadata_table->item[i].item_id = builder_guid(1000 + i);
	}
	img->metadata_table->count = i;
	KUNIT_EXPECT_EQ(test, -E2BIG, vhdx_items_put(img, edit, &item, NULL));
	/* Of those of users there may be fewer. */
	for (i = 0; i < VHDX_MAX_USER_ITEMS; i++)
		img->metadata_table->item[own + i].is_user = true;
	img->metadata_table->count = own + i;
	KUNIT_EXPECT_EQ(test, -E2BIG, vhdx_items_put(img, edit, &empty, NULL));
	KUNIT_EXPECT_EQ(test, 0, vhdx_items_put(img, edit, &of_system, NULL));
	img->metadata_table->count = own + i - 1;
	KUNIT_EXPECT_EQ(test, 0, vhdx_items_put(img, edit, &empty, NULL));
	vhdx_edit_free(edit);
	vhdx_image_close(img);
	KUNIT_EXPECT_EQ(test, checksum, memfile_checksum(f->mf[0]));
}

/* As small as it can be, for what is done many times; the size of the disk below. */
static struct family *small(struct kunit *test, u64 below_size)
{
	static const struct builder_block below[] = {
		{ 0, 6, BUILDER_PLACE }, { 3, 6, BUILDER_PLACE },
	};
	static const struct builder_block above[] = {
		{ 0, 7, BUILDER_PLACE }, { 1, 6, BUILDER_PLACE }, { 3, 2, 0 },
	};
	struct builder *b = kunit_kzalloc(test, 2 * sizeof(*b), GFP_KERNEL);
	struct family *f;
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, b);
	pair_init(b);
	b[0].block = below;
	b[0].blocks = ARRAY_SIZE(below) - (below_size <= 3 * MIB);
	b[1].block = above;
	b[1].blocks = ARRAY_SIZE(above);
	b[1].physical_sector_size = 512;
	for (i = 0; i < 2; i++)
		b[i].data_bytes = 4096;
	b[0].disk_size = below_size;
	b[1].disk_size = 4 * MIB;
	f = pair(test, b);
	f->ends = true;
	return f;
}

static bool stop_after(struct vhdx_merge *merge)
{
	u32 *left = merge->ctx;

	return !(*left)--;
}

/* Stopped anywhere, and done again: that goes on from there. */
static void merge_stopped(struct kunit *test)
{
	int ret = -EINTR;
	u32 n;

	for (n = 0; ret; n += GUEST_FAIL_STEP) {
		struct family *f = small(test, 4 * MIB);
		u32 left = n;
		struct vhdx_merge merge = { .stop = stop_after, .ctx = &left };
		struct vhdx_merge rest = { };

		ret = merge_all(f, &merge);
		KUNIT_ASSERT_TRUE(test, !ret || ret == -EINTR);
		check_chain(test, f, true);
		KUNIT_ASSERT_EQ(test, 0, merge_all(f, &rest));
		check_chain(test, f, true);
		check_merged(test, f);
	}
	KUNIT_EXPECT_GT(test, n, 5);
}

/* Each operation on a file fails once. */
static void fail_each_op(struct kunit *test, u32 level, u64 below_size)
{
	bool done = false;
	u64 n;

	for (n = 1; !done; n += GUEST_FAIL_STEP) {
		struct family *f = small(test, below_size);
		struct vhdx_merge merge = { };

		memfile_count_from_zero(f->mf[level]);
		f->mf[level]->fail_op = n;
		f->mf[level]->fail_errnum = n % 2 ? -EIO : -ENOSPC;
		done = !merge_all(f, &merge) && f->mf[level]->ops < n;
		f->mf[level]->fail_op = 0;
		check_chain(test, f, false);
		KUNIT_ASSERT_EQ(test, 0, merge_all(f, &merge));
		check_chain(test, f, true);
		check_merged(test, f);
	}
	KUNIT_EXPECT_GT(test, n, 60);
}

static void merge_fail_parent(struct kunit *test)
{
	fail_each_op(test, 0, 4 * MIB);
}

static void merge_fail_child(struct kunit *test)
{
	fail_each_op(test, 1, 4 * MIB);
}

static void merge_fail_smaller_parent(struct kunit *test)
{
	fail_each_op(test, 0, MIB - 4096);
}

static void merge_fail_larger_parent(struct kunit *test)
{
	fail_each_op(test, 0, 6 * MIB);
}

static struct kunit_case image_merge_cases[] = {
	KUNIT_CASE_SLOW(merge_chains),
	KUNIT_CASE_SLOW(merge_sizes),
	KUNIT_CASE_SLOW(merge_measured),
	KUNIT_CASE_SLOW(merge_zeros),
	KUNIT_CASE(merge_links),
	KUNIT_CASE(merge_renews),
	KUNIT_CASE(merge_renews_dirty),
	KUNIT_CASE(merge_renew_fails),
	KUNIT_CASE_SLOW(merge_items),
	KUNIT_CASE(items_full),
	KUNIT_CASE_SLOW(merge_stopped),
	KUNIT_CASE_SLOW(merge_fail_parent),
	KUNIT_CASE_SLOW(merge_fail_child),
	KUNIT_CASE_SLOW(merge_fail_smaller_parent),
	KUNIT_CASE_SLOW(merge_fail_larger_parent),
	{}
};

static struct kunit_suite image_merge_suite = {
	.name = "vhdx_image_merge",
	.test_cases = image_merge_cases,
};

kunit_test_suite(image_merge_suite);
