// SPDX-License-Identifier: GPL-2.0
/*
 * Chains of images, read: which image of a chain a place of the disk is in, and
 * which images make a chain.
 */
#include <kunit/test.h>

#include "bad_inputs.h"
#include "builder_chain.h"
#include "builder_log.h"
#include "guest.h"

#define MIB	VHDX_MIB
#define GIB	(1024 * MIB)

/**
 * struct pair - a child and its parent
 * @parent: to be built
 * @child: to be built
 * @parent_mf: built
 * @child_mf: built
 * @base: @parent, open
 * @img: @child, open above it
 */
struct pair {
	struct builder parent;
	struct builder child;
	struct builder_layout parent_layout;
	struct builder_layout child_layout;
	struct memfile *parent_mf;
	struct memfile *child_mf;
	struct vhdx_image *base;
	struct vhdx_image *img;
};

/* Two images of which the second is the first one's child, but for the size. */
static struct pair *make_pair(struct kunit *test)
{
	struct pair *p = kunit_kzalloc(test, sizeof(*p), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, p);
	builder_init(&p->parent);
	p->parent.seed = 21;
	p->parent.data_bytes = 8192;
	builder_init(&p->child);
	builder_set_parent(&p->child, &p->parent);
	p->child.seed = 22;
	p->child.data_bytes = 8192;
	p->child.data_write_guid = builder_guid(2);
	return p;
}

static void build_pair(struct kunit *test, struct pair *p)
{
	p->parent_mf = guest_build(test, &p->parent, &p->parent_layout);
	p->child_mf = guest_build(test, &p->child, &p->child_layout);
}

static void open_pair(struct kunit *test, struct pair *p)
{
	p->base = guest_open(test, p->parent_mf);
	p->img = guest_open_child(test, p->child_mf, p->base);
}

static u64 place_of(struct memfile *mf, const struct builder_layout *layout,
		    u64 block)
{
	__le64 entry;

	memfile_read(mf, &entry, sizeof(entry), layout->bat_offset +
		     8 * builder_bat_index(layout, block));
	return le64_to_cpu(entry) & ~(MIB - 1);
}

/* @image: NULL for zeros; @place: in its file */
static void check_extent(struct kunit *test, const struct vhdx_image *img,
			 u64 pos, u64 length, const struct vhdx_image *image,
			 u64 place, u64 result)
{
	struct vhdx_extent extent;

	KUNIT_ASSERT_EQ_MSG(test, 0, guest_map(img, pos, length, &extent),
			    "at 0x%llx", pos);
	KUNIT_EXPECT_EQ_MSG(test, extent.type, image ? VHDX_EXTENT_FILE :
			    VHDX_EXTENT_ZERO, "at 0x%llx", pos);
	KUNIT_EXPECT_EQ_MSG(test, extent.length, result, "at 0x%llx", pos);
	if (!image)
		return;
	KUNIT_EXPECT_PTR_EQ_MSG(test, extent.image, image, "at 0x%llx", pos);
	KUNIT_EXPECT_EQ_MSG(test, extent.offset, place, "at 0x%llx", pos);
}

/* --- states ---------------------------------------------------------------- */

#define STATES		7
#define PAIRS		(STATES * STATES)

static const u32 states[STATES] = { 0, 1, 2, 3, 5, 6, 7 };

/* Every state over every state, and below both a block that has data. */
static void chain_states(struct kunit *test)
{
	struct builder_block *blocks[2];
	struct builder_layout layout;
	struct pair *p = make_pair(test);
	struct vhdx_image *bottom;
	struct builder b;
	u32 i, k;

	for (i = 0; i < 2; i++) {
		blocks[i] = kunit_kzalloc(test, PAIRS * sizeof(*blocks[i]),
					  GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, blocks[i]);
		for (k = 0; k < PAIRS; k++) {
			blocks[i][k].block = k;
			blocks[i][k].state = states[i ? k / STATES : k % STATES];
			/* Data that means nothing, where the state says so. */
			blocks[i][k].offset = k % 2 ? BUILDER_PLACE : 0;
		}
	}
	builder_init(&b);
	b.seed = 20;
	b.disk_size = PAIRS * MIB;
	b.default_state = 6;
	b.data_bytes = 65536;
	b.data_write_guid = builder_guid(3);
	builder_set_parent(&p->parent, &b);
	p->parent.disk_size = b.disk_size;
	p->parent.block = blocks[0];
	p->parent.blocks = PAIRS;
	p->parent.data_bytes = 65536;
	p->parent.stale_bits = true;
	p->child.disk_size = b.disk_size;
	p->child.block = blocks[1];
	p->child.blocks = PAIRS;
	p->child.data_bytes = 65536;
	p->child.stale_bits = true;

	bottom = guest_open(test, guest_build(test, &b, &layout));
	build_pair(test, p);
	p->base = guest_open_child(test, p->parent_mf, bottom);
	p->img = guest_open_child(test, p->child_mf, p->base);
	guest_check_built(test, p->img, &p->child, 0, p->child.disk_size);
	guest_check_built(test, p->base, &p->parent, 0, p->child.disk_size);
}

/* What an image by itself has, and zeros where its parent would have been. */
static void chain_without_parent(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ 0, 0, 0 }, { 1, 6, 0 }, { 2, 7, 0 }, { 3, 2, 0 },
	};
	struct pair *p = make_pair(test);
	struct vhdx_image *img;

	p->parent.default_state = 6;
	p->child.parent = NULL;
	p->child.block = blocks;
	p->child.blocks = ARRAY_SIZE(blocks);
	build_pair(test, p);
	img = guest_open(test, p->child_mf);
	KUNIT_EXPECT_NULL(test, img->parent);
	guest_check_built(test, img, &p->child, 0, p->child.disk_size);
}

/* --- borders of pages and chunks --------------------------------------------- */

/**
 * struct border_case - a run of sectors across a border
 * @name: for people
 * @sector_size: logical, bytes
 * @block_size: of the child, bytes
 * @border: bytes
 */
struct border_case {
	const char *name;
	u32 sector_size;
	u32 block_size;
	u64 border;
};

static const struct border_case border_cases[] = {
	{ "page in a block", 512, 32 << 20, 16 * MIB },
	{ "page in a block, in another chunk", 512, 256 << 20, 4112 * MIB },
	{ "page at a block's end", 512, 16 << 20, 16 * MIB },
	{ "page at a small block's end", 512, 1 << 20, 32 * MIB },
	{ "chunk", 512, 1 << 20, 4 * GIB },
	{ "chunk, blocks of 256 MiB", 512, 256 << 20, 8 * GIB },
	{ "page in a block, sectors of 4096", 4096, 256 << 20, 128 * MIB },
	{ "page at a block's end, sectors of 4096", 4096, 1 << 20, 128 * MIB },
	{ "chunk, sectors of 4096", 4096, 1 << 20, 32 * GIB },
	{ "chunk, sectors of 4096, blocks of 256 MiB", 4096, 256 << 20,
	  32 * GIB },
};

static void describe_border_case(const struct border_case *c, char *desc)
{
	scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s", c->name);
}

KUNIT_ARRAY_PARAM(border_case, border_cases, describe_border_case);

#define BEFORE	3U	/* sectors that are in the child, before and */
#define BEHIND	5U	/* behind the border */
#define AROUND	16U	/* that are looked at, to each side */

static void chain_border(struct kunit *test)
{
	const struct border_case *c = test->param_value;
	const u64 sector = c->sector_size, border = c->border;
	const u64 first = border - AROUND * sector;
	const u64 child = border - BEFORE * sector;
	const u64 second = border + BEHIND * sector;
	const u64 last = (AROUND - BEHIND) * sector;
	const struct builder_run run = {
		border / sector - BEFORE, BEFORE + BEHIND
	};
	struct builder_block blocks[2], parent_block;
	const u64 mask = c->block_size - 1ULL;
	struct pair *p = make_pair(test);
	u64 place, behind, below;

	blocks[0] = (struct builder_block){ (border - 1) / c->block_size, 7, 0 };
	blocks[1] = (struct builder_block){ border / c->block_size, 7, 0 };
	p->child.block = blocks;
	p->child.blocks = 1 + (blocks[0].block != blocks[1].block);
	p->child.block_size = c->block_size;
	p->child.run = &run;
	p->child.runs = 1;
	/* One block of the parent's lies on both sides. */
	p->parent.block_size = 256 << 20;
	p->parent.disk_size = 2 * border;
	parent_block = (struct builder_block){
		(border - 1) / p->parent.block_size, 6, 0
	};
	p->parent.block = &parent_block;
	p->parent.blocks = 1;
	p->parent.logical_sector_size = sector;
	p->child.logical_sector_size = sector;
	p->child.disk_size = 2 * border;
	build_pair(test, p);
	open_pair(test, p);

	place = place_of(p->child_mf, &p->child_layout, blocks[0].block);
	below = place_of(p->parent_mf, &p->parent_layout, parent_block.block);
	check_extent(test, p->img, first, child - first, p->base,
		     below + (first & (p->parent.block_size - 1)),
		     child - first);
	check_extent(test, p->img, child - 1, 2, p->base,
		     below + ((child - 1) & (p->parent.block_size - 1)), 1);
	if (p->child.blocks == 1) {
		check_extent(test, p->img, first, child - first + 1, p->base,
			     below + (first & (p->parent.block_size - 1)),
			     child - first);
		check_extent(test, p->img, child, MIB, p->img,
			     place + (child & mask), second - child);
		check_extent(test, p->img, border, MIB, p->img,
			     place + (border & mask), second - border);
		check_extent(test, p->img, second, last, p->base,
			     below + (second & (p->parent.block_size - 1)),
			     last);
		return;
	}
	behind = place_of(p->child_mf, &p->child_layout, blocks[1].block);
	check_extent(test, p->img, child, MIB, p->img, place + (child & mask),
		     border - child);
	check_extent(test, p->img, child + 1, MIB, p->img,
		     place + (child & mask) + 1, border - child - 1);
	check_extent(test, p->img, border, MIB, p->img, behind,
		     second - border);
	check_extent(test, p->img, second - 1, MIB, p->img,
		     behind + (second - border) - 1, 1);
	if (border % p->parent.block_size)
		check_extent(test, p->img, second, last, p->base,
			     below + (second & (p->parent.block_size - 1)),
			     last);
	else
		check_extent(test, p->img, second, last, NULL, 0, last);
}

/* A page that is not in memory is asked for, so that the extent is whole. */
static void chain_page_missing(struct kunit *test)
{
	const struct builder_run run = { 0, 65536 };
	const struct builder_block block = { 0, 7, 0 };
	struct pair *p = make_pair(test);
	struct vhdx_extent extent;
	u64 place;

	p->child.disk_size = 32 * MIB;
	p->child.block_size = 32 * MIB;
	p->child.block = &block;
	p->child.blocks = 1;
	p->child.run = &run;
	p->child.runs = 1;
	build_pair(test, p);
	open_pair(test, p);
	place = place_of(p->child_mf, &p->child_layout, 0);

	KUNIT_EXPECT_EQ(test, -EAGAIN,
			vhdx_image_map(p->img, 16 * MIB, MIB, &extent));
	KUNIT_EXPECT_PTR_EQ(test, extent.image, p->img);
	KUNIT_EXPECT_EQ(test, 0, vhdx_image_load(p->img, 0, 512));
	KUNIT_EXPECT_EQ(test, vhdx_image_cached(p->img), 1);
	KUNIT_EXPECT_EQ(test, 0, vhdx_image_map(p->img, 0, 16 * MIB, &extent));
	KUNIT_EXPECT_EQ(test, extent.length, 16 * MIB);
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			vhdx_image_map(p->img, 0, 32 * MIB, &extent));
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			vhdx_image_map(p->img, 16 * MIB, MIB, &extent));
	KUNIT_EXPECT_EQ(test, 0, vhdx_image_load(p->img, 0, 32 * MIB));
	KUNIT_EXPECT_EQ(test, vhdx_image_cached(p->img), 2);
	check_extent(test, p->img, 0, 32 * MIB, p->img, place, 32 * MIB);
	check_extent(test, p->img, 5, 32 * MIB, p->img, place + 5,
		     32 * MIB - 5);
}

/* --- pieces ----------------------------------------------------------------- */

/* Smaller blocks below: what goes on in one place is one extent. */
static void chain_neighbours(struct kunit *test)
{
	static const struct builder_block below[] = {
		/* side by side in the file */
		{ 0, 6, 100 * MIB }, { 1, 6, 101 * MIB },
		{ 2, 6, 102 * MIB }, { 3, 6, 103 * MIB },
		/* in another order */
		{ 4, 6, 105 * MIB }, { 5, 6, 104 * MIB },
		{ 6, 2, 0 }, { 7, 6, 106 * MIB },
		/* all of these are zeros */
		{ 8, 2, 0 }, { 9, 1, 0 }, { 10, 0, 0 }, { 11, 3, 107 * MIB },
	};
	struct pair *p = make_pair(test);

	p->parent.block = below;
	p->parent.blocks = ARRAY_SIZE(below);
	p->child.block_size = 4 * MIB;
	build_pair(test, p);
	memfile_resize(p->parent_mf, 108 * MIB);
	open_pair(test, p);

	check_extent(test, p->img, 0, 4 * MIB, p->base, 100 * MIB, 4 * MIB);
	check_extent(test, p->img, 0, 8 * MIB, p->base, 100 * MIB, 4 * MIB);
	check_extent(test, p->img, MIB / 2, 3 * MIB, p->base,
		     100 * MIB + MIB / 2, 3 * MIB);
	check_extent(test, p->img, 4 * MIB, 4 * MIB, p->base, 105 * MIB, MIB);
	check_extent(test, p->img, 5 * MIB, 3 * MIB, p->base, 104 * MIB, MIB);
	check_extent(test, p->img, 6 * MIB, 2 * MIB, NULL, 0, MIB);
	check_extent(test, p->img, 7 * MIB, MIB, p->base, 106 * MIB, MIB);
	check_extent(test, p->img, 8 * MIB, 4 * MIB, NULL, 0, 4 * MIB);
}

/* The same offset in two files is not one place. */
static void chain_same_offsets(struct kunit *test)
{
	static const struct builder_run run = { 8, 8 };
	static const struct builder_block below = { 0, 6, 100 * MIB };
	static const struct builder_block above = { 0, 7, 100 * MIB };
	struct pair *p = make_pair(test);

	p->parent.block = &below;
	p->parent.blocks = 1;
	p->child.block = &above;
	p->child.blocks = 1;
	p->child.run = &run;
	p->child.runs = 1;
	build_pair(test, p);
	memfile_resize(p->parent_mf, 101 * MIB);
	memfile_resize(p->child_mf, 101 * MIB);
	open_pair(test, p);
	check_extent(test, p->img, 0, MIB, p->base, 100 * MIB, 4096);
	check_extent(test, p->img, 4096, MIB, p->img, 100 * MIB + 4096, 4096);
	check_extent(test, p->img, 8192, MIB, p->base, 100 * MIB + 8192,
		     MIB - 8192);
}

/**
 * struct size_case - a child and a parent of different sizes
 * @parent: bytes
 * @parent_block: bytes
 * @child: bytes
 * @child_block: bytes
 */
struct size_case {
	u64 parent;
	u32 parent_block;
	u64 child;
	u32 child_block;
};

static const struct size_case size_cases[] = {
	{ 10 * MIB + 512, 4 << 20, 24 * MIB, 1 << 20 },
	{ 10 * MIB + 512, 1 << 20, 24 * MIB, 8 << 20 },
	{ 512, 1 << 20, 4 * MIB + 512, 2 << 20 },
	{ 24 * MIB, 8 << 20, 10 * MIB + 512, 1 << 20 },
	{ 24 * MIB, 1 << 20, 10 * MIB + 512, 4 << 20 },
};

static void describe_size_case(const struct size_case *c, char *desc)
{
	scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "%llu above %llu", c->child,
		  c->parent);
}

KUNIT_ARRAY_PARAM(size_case, size_cases, describe_size_case);

/* Past the end of the parent are zeros, though its last block goes on. */
static void chain_sizes(struct kunit *test)
{
	const struct size_case *c = test->param_value;
	static const struct builder_block blocks[] = { { 0, 7, 0 } };
	struct pair *p = make_pair(test);

	p->parent.disk_size = c->parent;
	p->parent.block_size = c->parent_block;
	p->parent.default_state = 6;
	p->parent.data_bytes = 0;
	p->child.disk_size = c->child;
	p->child.block_size = c->child_block;
	p->child.block = blocks;
	p->child.blocks = ARRAY_SIZE(blocks);
	build_pair(test, p);
	open_pair(test, p);
	guest_check_built(test, p->img, &p->child, 0, p->child.disk_size);
	if (c->child > c->parent + 8 * MIB)
		check_extent(test, p->img, ALIGN_DOWN(c->parent + 8 * MIB,
						      c->child_block),
			     MIB, NULL, 0, MIB);
}

/* --- random ------------------------------------------------------------------ */

static const u64 seeds[] = { 11, 12, 13, 14, 15, 16, 17, 18 };

static void describe_seed(const u64 *seed, char *desc)
{
	scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "seed %llu", *seed);
}

KUNIT_ARRAY_PARAM(seed, seeds, describe_seed);

static void free_chain(void *ctx)
{
	builder_chain_free(ctx);
}

static void chain_random(struct kunit *test)
{
	const u64 seed = *(const u64 *)test->param_value;
	struct builder_layout layout;
	struct vhdx_image *img = NULL;
	struct builder_chain *chain;
	u32 i;

	chain = kunit_kzalloc(test, sizeof(*chain), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, chain);
	KUNIT_ASSERT_EQ(test, 0, builder_chain_init(chain, seed, 1 + seed % 5,
						    24 * MIB, seed % 2 ?
						    512 : 4096, false));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_chain,
							   chain));
	for (i = 0; i <= chain->parents; i++) {
		const struct builder *b = &chain->level[i].b;

		img = guest_open_child(test, guest_build(test, b, &layout),
				       img);
		guest_check_built(test, img, b, 0, b->disk_size);
	}
}

/* --- links ------------------------------------------------------------------- */

static void expect_refused(struct kunit *test, struct memfile *mf,
			   struct vhdx_image *parent, unsigned int flags,
			   int errnum, struct vhdx_error *err)
{
	const u32 checksum = memfile_checksum(mf);
	struct vhdx_image *img = NULL;
	int ret;

	ret = vhdx_image_open_child(&mf->file, parent, flags, &img, err);
	vhdx_image_close(img);
	KUNIT_EXPECT_EQ(test, ret, errnum);
	KUNIT_EXPECT_NULL(test, img);
	KUNIT_EXPECT_EQ(test, err->errnum, errnum);
	KUNIT_EXPECT_NOT_NULL(test, err->structure);
	KUNIT_EXPECT_NOT_NULL(test, err->reason);
	KUNIT_EXPECT_EQ(test, memfile_checksum(mf), checksum);
}

static void expect_text(struct kunit *test, const struct vhdx_error *err,
			const char *part)
{
	char text[VHDX_ERROR_LENGTH];

	vhdx_error_print(text, sizeof(text), err);
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(text, part), "%s in: %s", part,
				  text);
}

/* The message has what the child wants and what the parent is. */
static void link_mismatch(struct kunit *test)
{
	struct pair *p = make_pair(test);
	struct vhdx_image *img;
	struct vhdx_error err;

	p->parent.default_state = 6;
	p->child.parent_linkage = builder_guid(7);
	build_pair(test, p);
	p->base = guest_open(test, p->parent_mf);
	expect_refused(test, p->child_mf, p->base, 0, -ESTALE, &err);
	KUNIT_EXPECT_STREQ(test, err.structure, "parent locator");
	KUNIT_EXPECT_STREQ(test, err.field, "parent_linkage");
	KUNIT_EXPECT_EQ(test, err.offset, p->child_layout.metadata_offset +
			p->child_layout.item[BUILDER_PARENT_LOCATOR]);
	expect_text(test, &err, "da7a0007-1111-4222-8333-444455556666");
	expect_text(test, &err, "da7a0001-1111-4222-8333-444455556666");
	/* Nor is it written to. */
	expect_refused(test, p->child_mf, p->base, VHDX_OPEN_WRITE, -ESTALE,
		       &err);

	KUNIT_ASSERT_EQ(test, 0,
			vhdx_image_open_child(&p->child_mf->file, p->base,
					      VHDX_OPEN_IGNORE_ID_MISMATCH,
					      &img, &err));
	guest_check_built(test, img, &p->child, 0, p->child.disk_size);
	vhdx_image_close(img);
	expect_refused(test, p->child_mf, p->base,
		       VHDX_OPEN_IGNORE_ID_MISMATCH | VHDX_OPEN_WRITE, -EINVAL,
		       &err);
}

static void link_second(struct kunit *test)
{
	const guid_t right = builder_guid(1), wrong = builder_guid(8);
	struct pair *p = make_pair(test);
	struct vhdx_error err;

	p->parent.default_state = 6;
	p->child.parent_linkage = builder_guid(7);
	p->child.parent_linkage2 = &right;
	build_pair(test, p);
	open_pair(test, p);
	guest_check_built(test, p->img, &p->child, 0, p->child.disk_size);

	p->child.parent_linkage2 = &wrong;
	build_pair(test, p);
	expect_refused(test, p->child_mf, p->base, 0, -ESTALE, &err);

	/* One of the two is enough. */
	p->child.parent_linkage = right;
	build_pair(test, p);
	open_pair(test, p);
	KUNIT_EXPECT_PTR_EQ(test, p->img->parent, p->base);
}

/* A file that nobody gave an identity is nobody's parent. */
static void link_zero(struct kunit *test)
{
	const guid_t zero = { };
	struct pair *p = make_pair(test);
	struct vhdx_error err;

	p->parent.data_write_guid = zero;
	p->child.parent_linkage = zero;
	build_pair(test, p);
	p->base = guest_open(test, p->parent_mf);
	expect_refused(test, p->child_mf, p->base, 0, -ESTALE, &err);

	p->child.parent_linkage = builder_guid(7);
	p->child.parent_linkage2 = &zero;
	build_pair(test, p);
	expect_refused(test, p->child_mf, p->base, 0, -ESTALE, &err);
}

static void link_sector_sizes(struct kunit *test)
{
	struct pair *p = make_pair(test);
	struct vhdx_error err;
	u64 item;

	p->child.logical_sector_size = 4096;
	build_pair(test, p);
	item = p->child_layout.metadata_offset +
	       p->child_layout.item[BUILDER_LOGICAL_SECTOR_SIZE];
	p->base = guest_open(test, p->parent_mf);
	expect_refused(test, p->child_mf, p->base, 0, -EUCLEAN, &err);
	KUNIT_EXPECT_STREQ(test, err.structure, "metadata item");
	KUNIT_EXPECT_STREQ(test, err.field, "LogicalSectorSize");
	KUNIT_EXPECT_EQ(test, err.offset, item);
	expect_refused(test, p->child_mf, p->base,
		       VHDX_OPEN_IGNORE_ID_MISMATCH, -EUCLEAN, &err);
}

static void link_no_child(struct kunit *test)
{
	struct pair *p = make_pair(test);
	struct vhdx_error err;

	build_pair(test, p);
	p->base = guest_open(test, p->parent_mf);
	expect_refused(test, guest_build(test, &p->parent, &p->parent_layout),
		       p->base, 0, -EINVAL, &err);
}

/* A chain ends with an image that has no parent. */
static void link_no_end(struct kunit *test)
{
	struct pair *p = make_pair(test);
	struct builder_layout layout;
	struct vhdx_image *middle;
	struct vhdx_error err;
	struct builder b;

	build_pair(test, p);
	builder_init(&b);
	builder_set_parent(&b, &p->child);
	middle = guest_open(test, p->child_mf);
	expect_refused(test, guest_build(test, &b, &layout), middle, 0,
		       -ENOLINK, &err);
}

static void link_cycles(struct kunit *test)
{
	const unsigned int flags = VHDX_OPEN_IGNORE_ID_MISMATCH;
	struct pair *p = make_pair(test);
	struct builder_layout layout;
	struct vhdx_image *alone, *top;
	struct vhdx_error err;
	struct memfile *mf;
	struct builder b;

	build_pair(test, p);
	alone = guest_open(test, p->child_mf);
	expect_refused(test, p->child_mf, alone, flags, -ELOOP, &err);
	expect_text(test, &err, "its own parent");

	/* Of two: the child's parent is its own child. */
	builder_init(&b);
	builder_set_parent(&b, &p->child);
	mf = guest_build(test, &b, &layout);
	open_pair(test, p);
	top = guest_open_child(test, mf, p->img);
	expect_refused(test, p->child_mf, top, flags, -ELOOP, &err);
	expect_text(test, &err, "its own parent");
}

#define DISK_BLOCKS	72

/* As many parents as there may be, each with one block that only it has. */
static void link_depth(struct kunit *test)
{
	struct builder_layout layout;
	struct builder_block *blocks;
	struct vhdx_image *img = NULL;
	struct vhdx_error err;
	struct builder *b;
	u32 i;

	b = kunit_kzalloc(test, (VHDX_MAX_PARENTS + 2) * sizeof(*b),
			  GFP_KERNEL);
	blocks = kunit_kzalloc(test, (VHDX_MAX_PARENTS + 2) * sizeof(*blocks),
			       GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, b);
	KUNIT_ASSERT_NOT_NULL(test, blocks);
	for (i = 0; i < VHDX_MAX_PARENTS + 2; i++) {
		builder_init(&b[i]);
		b[i].seed = i;
		b[i].disk_size = DISK_BLOCKS * MIB;
		b[i].data_bytes = 4096;
		b[i].data_write_guid = builder_guid(i + 1);
		blocks[i] = (struct builder_block){ i, 6, 0 };
		b[i].block = &blocks[i];
		b[i].blocks = 1;
		if (i)
			builder_set_parent(&b[i], &b[i - 1]);
	}
	for (i = 0; i <= VHDX_MAX_PARENTS; i++)
		img = guest_open_child(test, guest_build(test, &b[i], &layout),
				       img);
	guest_check_built(test, img, &b[VHDX_MAX_PARENTS], 0,
			  DISK_BLOCKS * MIB);
	expect_refused(test, guest_build(test, &b[i], &layout), img, 0, -ELOOP,
		       &err);
	expect_text(test, &err, "64 parents");
}

/* --- logs -------------------------------------------------------------------- */

static void expect_row(const void *ctx, void *buf, size_t len, u64 pos)
{
	bad_input_expect(ctx, buf, len, pos);
}

/* A parent is never written to: its log is replayed in memory. */
static void log_of_parent(struct kunit *test)
{
	struct memfile *mf = guest_file(test);
	struct builder_layout layout;
	struct vhdx_image *base, *img;
	struct bad_image *image;
	struct builder b;
	u32 checksum;

	image = kunit_kzalloc(test, sizeof(*image), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, image);
	KUNIT_ASSERT_EQ(test, 0, bad_input_make(bad_input_find("log-wraps"),
						image, mf));
	checksum = memfile_checksum(mf);
	builder_init(&b);
	builder_set_parent(&b, &image->b);
	base = guest_open(test, mf);
	KUNIT_EXPECT_TRUE(test, base->log.dirty);
	img = guest_open_child(test, guest_build(test, &b, &layout), base);
	guest_check(test, img, expect_row, image, 0, b.disk_size);
	KUNIT_EXPECT_EQ(test, memfile_checksum(mf), checksum);
}

/* Bits that are in the log only count. */
static void log_of_bits(struct kunit *test)
{
	static const struct builder_run run = { 0, 4 };
	const struct builder_block block = { 0, 7, 0 };
	struct pair *p = make_pair(test);
	struct log_update update;
	struct log_spec spec = {
		.guid = builder_log_guid,
		.sequence_number = 5,
		.update = &update,
		.updates = 1,
	};
	struct builder_sink sink;
	__le64 entry;
	u64 place;
	u8 *page;

	page = kunit_kzalloc(test, 4096, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, page);
	p->parent.default_state = 6;
	p->child.block = &block;
	p->child.blocks = 1;
	p->child.run = &run;
	p->child.runs = 1;
	p->child.log_guid = builder_log_guid;
	build_pair(test, p);
	memfile_read(p->child_mf, &entry, sizeof(entry),
		     p->child_layout.bat_offset +
		     8 * builder_bitmap_index(&p->child_layout, 0));
	page[0] = 0xF0;
	update = (struct log_update){ le64_to_cpu(entry) & ~(MIB - 1), 0, page };
	spec.flushed_file_offset = p->child_layout.file_size;
	spec.last_file_offset = p->child_layout.file_size;
	sink = memfile_sink(p->child_mf);
	KUNIT_ASSERT_EQ(test, 0, log_spec_write(&sink, &p->child_layout,
						&spec));
	open_pair(test, p);
	place = place_of(p->parent_mf, &p->parent_layout, 0);
	check_extent(test, p->img, 0, MIB, p->base, place, 2048);
	place = place_of(p->child_mf, &p->child_layout, 0);
	check_extent(test, p->img, 2048, MIB, p->img, place + 2048, 2048);
	/* And in memory again, after they went. */
	KUNIT_EXPECT_EQ(test, vhdx_image_shrink(p->img, U64_MAX), 1);
	check_extent(test, p->img, 2048, MIB, p->img, place + 2048, 2048);
}

/* --- pages of bitmaps --------------------------------------------------------- */

/* It fails who asked, and nothing else. */
static void page_read_error(struct kunit *test)
{
	const struct builder_block block = { 0, 7, 0 };
	struct builder_layout layout;
	struct pair *p = make_pair(test);
	struct vhdx_extent extent;
	struct vhdx_image *top;
	struct builder b;

	p->parent.default_state = 6;
	p->child.block = &block;
	p->child.blocks = 1;
	build_pair(test, p);
	open_pair(test, p);
	builder_init(&b);
	builder_set_parent(&b, &p->child);
	top = guest_open_child(test, guest_build(test, &b, &layout), p->img);

	memfile_count_from_zero(p->child_mf);
	p->child_mf->fail_op = 1;
	p->child_mf->fail_errnum = -EIO;
	KUNIT_EXPECT_EQ(test, -EAGAIN, vhdx_image_map(top, 0, MIB, &extent));
	KUNIT_EXPECT_PTR_EQ(test, extent.image, p->img);
	KUNIT_EXPECT_EQ(test, -EIO, vhdx_image_load(top, 0, MIB));
	KUNIT_EXPECT_EQ(test, -EAGAIN, vhdx_image_map(top, 0, MIB, &extent));
	KUNIT_EXPECT_EQ(test, vhdx_image_cached(p->img), 0);
	/* The next block needs no bits. */
	KUNIT_EXPECT_EQ(test, 0, vhdx_image_map(top, MIB, MIB, &extent));
	guest_check_built(test, top, &b, 0, b.disk_size);
}

/* One block of 1 MiB in each page's 16 MiB. */
#define PAGE_BLOCKS	16U
#define MANY_PAGES	4300U
#define BOUND		4096U

static u64 many_pos(u32 i)
{
	return i * 16 * MIB;
}

static u64 many_place(u32 i)
{
	return 100 * MIB + i * MIB;
}

static void describe_many(struct kunit *test, struct pair *p, u32 pages,
			  const struct builder_run *run)
{
	struct builder_block *blocks;
	u32 i;

	blocks = kunit_kzalloc(test, pages * sizeof(*blocks), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, blocks);
	/* Places of their own, so that no data is written. */
	for (i = 0; i < pages; i++) {
		blocks[i].block = PAGE_BLOCKS * i;
		blocks[i].state = 7;
		blocks[i].offset = many_place(i);
	}
	p->child.disk_size = many_pos(pages);
	p->child.block = blocks;
	p->child.blocks = pages;
	p->child.run = run;
	p->child.runs = 1;
	build_pair(test, p);
	memfile_resize(p->child_mf, 10 * GIB);
}

static void check_page(struct kunit *test, struct pair *p, u32 i)
{
	if (i == 2)
		check_extent(test, p->img, many_pos(i), MIB, p->img,
			     many_place(i), 3 * 512);
	else
		check_extent(test, p->img, many_pos(i), MIB, NULL, 0, MIB);
}

/* As many as the bound says stay, and those that went are read again. */
static void page_bound(struct kunit *test)
{
	static const struct builder_run run = { 2 * 32768, 3 };
	struct pair *p = make_pair(test);
	u64 reads;
	u32 i;

	describe_many(test, p, MANY_PAGES, &run);
	open_pair(test, p);
	KUNIT_EXPECT_EQ(test, vhdx_image_cached(p->img), 0);
	for (i = 0; i < MANY_PAGES; i++) {
		check_page(test, p, i);
		KUNIT_ASSERT_LE(test, vhdx_image_cached(p->img), BOUND);
	}
	KUNIT_EXPECT_EQ(test, vhdx_image_cached(p->img), BOUND);
	/* The last one is there still, and one of the first is not. */
	reads = p->child_mf->reads;
	check_page(test, p, MANY_PAGES - 1);
	KUNIT_EXPECT_EQ(test, p->child_mf->reads, reads);
	for (i = 0; i < MANY_PAGES; i++)
		check_page(test, p, i);
	KUNIT_EXPECT_GT(test, p->child_mf->reads, reads);
	KUNIT_EXPECT_EQ(test, vhdx_image_cached(p->img), BOUND);
}

static void page_shrink(struct kunit *test)
{
	static const struct builder_run run = { 2 * 32768, 3 };
	struct pair *p = make_pair(test);
	struct vhdx_extent extent;
	u32 i;

	describe_many(test, p, 10, &run);
	open_pair(test, p);
	KUNIT_EXPECT_EQ(test, vhdx_image_shrink(p->img, 5), 0);
	for (i = 0; i < 10; i++)
		check_page(test, p, i);
	KUNIT_EXPECT_EQ(test, vhdx_image_cached(p->img), 10);
	KUNIT_EXPECT_EQ(test, vhdx_image_shrink(p->img, 1), 1);
	KUNIT_EXPECT_EQ(test, vhdx_image_cached(p->img), 9);
	KUNIT_EXPECT_EQ(test, -EAGAIN, vhdx_image_map(p->img, 0, 1, &extent));

	/* The next to go is not the one that was just looked at. */
	check_page(test, p, 1);
	KUNIT_EXPECT_EQ(test, vhdx_image_shrink(p->img, 1), 1);
	KUNIT_EXPECT_EQ(test, 0,
			vhdx_image_map(p->img, many_pos(1), 1, &extent));
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			vhdx_image_map(p->img, many_pos(2), 1, &extent));
	KUNIT_EXPECT_EQ(test, vhdx_image_shrink(p->img, U64_MAX), 8);
	KUNIT_EXPECT_EQ(test, vhdx_image_cached(p->img), 0);
	for (i = 0; i < 10; i++)
		check_page(test, p, i);
	KUNIT_EXPECT_EQ(test, vhdx_image_cached(p->img), 10);
}

/**
 * struct thief - lets a page of a bitmap go whenever the file is read
 * @ops: of the file, with another read
 * @real: without
 * @img: whose page
 */
struct thief {
	struct vhdx_file_ops ops;
	const struct vhdx_file_ops *real;
	struct vhdx_image *img;
};

static int thief_read(struct vhdx_file *file, void *buf, size_t len, u64 offset)
{
	const struct thief *thief = container_of(file->ops, struct thief, ops);

	vhdx_image_shrink(thief->img, 1);
	return thief->real->read(file, buf, len, offset);
}

/* Who reads one page need not do it again because others go. */
static void page_others_go(struct kunit *test)
{
	static const struct builder_run run = { 2 * 32768, 3 };
	struct pair *p = make_pair(test);
	struct thief thief;
	u64 reads;
	u32 i;

	describe_many(test, p, 10, &run);
	open_pair(test, p);
	for (i = 1; i < 10; i++)
		check_page(test, p, i);
	thief.real = p->child_mf->file.ops;
	thief.ops = *thief.real;
	thief.ops.read = thief_read;
	thief.img = p->img;
	p->child_mf->file.ops = &thief.ops;
	reads = p->child_mf->reads;
	check_page(test, p, 0);
	p->child_mf->file.ops = thief.real;
	KUNIT_EXPECT_EQ(test, p->child_mf->reads, reads + 1);
	KUNIT_EXPECT_EQ(test, vhdx_image_cached(p->img), 9);
}

/* An image without a parent has none of this. */
static void page_none(struct kunit *test)
{
	struct builder_layout layout;
	struct vhdx_image *img;
	struct builder b;

	builder_init(&b);
	img = guest_open(test, guest_build(test, &b, &layout));
	KUNIT_EXPECT_EQ(test, vhdx_image_cached(img), 0);
	KUNIT_EXPECT_EQ(test, vhdx_image_shrink(img, 1), 0);
	KUNIT_EXPECT_EQ(test, 0, vhdx_image_load(img, 0, b.disk_size));
}

static struct kunit_case image_chain_cases[] = {
	KUNIT_CASE(chain_states),
	KUNIT_CASE(chain_without_parent),
	KUNIT_CASE_PARAM(chain_border, border_case_gen_params),
	KUNIT_CASE(chain_page_missing),
	KUNIT_CASE(chain_neighbours),
	KUNIT_CASE(chain_same_offsets),
	KUNIT_CASE_PARAM_ATTR(chain_sizes, size_case_gen_params,
			      {KUNIT_SPEED_SLOW}),
	KUNIT_CASE_PARAM_ATTR(chain_random, seed_gen_params,
			      {KUNIT_SPEED_SLOW}),
	KUNIT_CASE(link_mismatch),
	KUNIT_CASE(link_second),
	KUNIT_CASE(link_zero),
	KUNIT_CASE(link_sector_sizes),
	KUNIT_CASE(link_no_child),
	KUNIT_CASE(link_no_end),
	KUNIT_CASE(link_cycles),
	KUNIT_CASE_SLOW(link_depth),
	KUNIT_CASE(log_of_parent),
	KUNIT_CASE(log_of_bits),
	KUNIT_CASE(page_read_error),
	KUNIT_CASE_SLOW(page_bound),
	KUNIT_CASE(page_shrink),
	KUNIT_CASE(page_others_go),
	KUNIT_CASE(page_none),
	{}
};

static struct kunit_suite image_chain_suite = {
	.name = "vhdx_image_chain",
	.test_cases = image_chain_cases,
};

kunit_test_suite(image_chain_suite);
