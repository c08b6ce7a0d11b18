// SPDX-License-Identifier: GPL-2.0
/*
 * The images that the crash enumerator starts from, of one shape in each process.
 *
 * A child comes with blocks of 1 MiB; with large ones, whose bits fill two pages
 * of their bitmap block, and of which two that are neighbours lie in two chunks;
 * and with sectors of 4 KiB.
 */
#include <err.h>

#include "builder.h"
#include "crash.h"

struct disk template_disk;
u32 template_id[PLACES];
enum shape template_shape;

u64 tracked_block[BLOCKS];
u64 tracked_sector[SECTORS];
u64 block_bytes = MIB;
u32 sector_bytes = SECTOR;

struct vhdx_image *parent_image;
struct disk parent_disk;

/**
 * struct shape_of - what a shape is made of
 * @option: asks for it
 * @tracked: blocks; of a child in this order: one that is there, one that is the
 *	parent's and has bits left over, one that is the parent's in a chunk without
 *	bitmap block, one that lacks a sector, and one that is zero. The third and
 *	the fourth have their entries in other pages of the BAT than the first.
 * @disk_size: bytes
 * @block_bytes, @sector_bytes: of a block, and of a sector of the guest's
 * @bitmaps: bitmap blocks that are there
 */
static const struct shape_of {
	const char *option;
	u64 tracked[BLOCKS];
	u64 disk_size;
	u64 block_bytes;
	u32 sector_bytes;
	u32 bitmaps;
} shapes[] = {
	[SHAPE_PLAIN] = {
		"", { 510, 511, 512, 513, 5 }, 520 * MIB, MIB, 512, 0,
	},
	[SHAPE_CHILD] = {
		"--child ", { 510, 511, 4100, 513, 5 }, 4104 * MIB, MIB, 512, 1,
	},
	[SHAPE_CHILD_LARGE] = {
		"--child=large ", { 127, 128, 700, 600, 5 }, 704 * 32 * MIB,
		32 * MIB, 512, 3,
	},
	[SHAPE_CHILD_4K] = {
		"--child=4k ", { 510, 511, 32772, 513, 5 }, 32776 * MIB, MIB,
		4096, 1,
	},
};

/* What repeats it. */
const char *shape_option(void)
{
	return shapes[template_shape].option;
}

/**
 * shape_of_child() - a shape by its name
 * @name: NULL for the usual one
 */
enum shape shape_of_child(const char *name)
{
	if (!name)
		return SHAPE_CHILD;
	if (!strcmp(name, "large"))
		return SHAPE_CHILD_LARGE;
	if (!strcmp(name, "4k"))
		return SHAPE_CHILD_4K;
	errx(2, "no such shape: %s", name);
}

/* Where a sector of a tracked block is on the disk. */
u64 sector_pos(u32 block, u64 sector)
{
	return tracked_block[block] * block_bytes + sector * sector_bytes;
}

u32 block_sectors(void)
{
	return block_bytes / sector_bytes;
}

static int sink_write(void *ctx, const void *buf, size_t len, u64 offset)
{
	u8 bytes[SECTOR] __aligned(8);

	while (len) {
		u32 in_sector = offset % SECTOR;
		size_t n = min(len, (size_t)SECTOR - in_sector);

		memcpy(bytes, content_bytes(disk_value(ctx, offset / SECTOR)),
		       SECTOR);
		memcpy(bytes + in_sector, buf, n);
		disk_set(ctx, offset / SECTOR, content_intern(bytes));
		buf = (const u8 *)buf + n;
		offset += n;
		len -= n;
	}
	return 0;
}

static int sink_zero(void *ctx, u64 len, u64 offset)
{
	(void)ctx;
	(void)len;
	(void)offset;
	return 0;
}

static int sink_resize(void *ctx, u64 size)
{
	struct disk *disk = ctx;

	disk->size[0].size = size;
	return 0;
}

static void build_disk(struct disk *disk, const struct builder *builder,
		       struct builder_layout *layout)
{
	const struct builder_sink sink = {
		.write = sink_write,
		.zero = sink_zero,
		.resize = sink_resize,
		.ctx = disk,
	};

	disk_free(disk);
	disk_init(disk);
	if (builder_build(builder, &sink, layout))
		errx(1, "the image cannot be made");
}

/**
 * crash_build() - make an image on a disk
 * @disk: what was there is lost
 * @builder: what image
 */
void crash_build(struct disk *disk, const struct builder *builder)
{
	struct builder_layout layout;

	build_disk(disk, builder, &layout);
}

/* Behind all blocks a gap that holds what no one may ever see. */
static void add_gap(const struct builder_layout *layout)
{
	u64 word[SECTOR / 8];
	u32 i, k;

	for (i = 0; i < SECTORS; i++) {
		u64 sector = (layout->file_size +
			      tracked_sector[i] * sector_bytes) / SECTOR;

		for (k = 0; k < SECTOR / 8; k++)
			word[k] = hash_mix(sector + k) | 1;
		disk_set(&template_disk, sector, content_intern(word));
	}
	template_disk.size[0].size = layout->file_size + block_bytes;
}

static void build_template(const struct builder *builder)
{
	struct builder_layout layout;
	u8 sector[SECTOR] __aligned(8);
	u32 i;

	build_disk(&template_disk, builder, &layout);
	data_start = layout.blocks_offset / SECTOR;
	log_start = layout.log_offset / SECTOR;
	log_end = (layout.log_offset + layout.log_length) / SECTOR;
	/* A child's bitmap blocks follow the others. */
	for (i = 0; i < shapes[template_shape].bitmaps; i++)
		disk_mark_written(&template_disk,
				  layout.file_size - (i + 1) * MIB);
	add_gap(&layout);
	for (i = 0; i < PLACES; i++) {
		builder_expect(builder, sector, SECTOR, place_pos(i));
		template_id[i] = content_intern(sector);
	}
}

static void init_builder(struct builder *builder)
{
	builder_init(builder);
	builder->disk_size = shapes[template_shape].disk_size;
	builder->block_size = block_bytes;
	builder->logical_sector_size = sector_bytes;
	builder->data_bytes = 2 * sector_bytes;
}

/* Two blocks that are there, one in each of two pages of the BAT. */
static void make_plain(void)
{
	const struct builder_block blocks[] = {
		{ tracked_block[0], 6, BUILDER_PLACE },
		{ tracked_block[3], 6, BUILDER_PLACE },
	};
	struct builder builder;

	init_builder(&builder);
	builder.block = blocks;
	builder.blocks = ARRAY_SIZE(blocks);
	build_template(&builder);
}

/* It has data in all of them. */
static void make_parent(struct builder *parent, struct builder_block *blocks)
{
	struct builder_layout layout;
	struct vhdx_error error;
	u32 i;

	init_builder(parent);
	for (i = 0; i < BLOCKS; i++)
		blocks[i] = (struct builder_block){ tracked_block[i], 6,
						    BUILDER_PLACE };
	parent->block = blocks;
	parent->blocks = BLOCKS;
	parent->seed = 2;
	build_disk(&parent_disk, parent, &layout);
	if (vhdx_image_open(&parent_disk.file, 0, &parent_image, &error))
		errx(1, "the parent does not open: %s", error.reason);
}

static void make_child(void)
{
	const struct builder_block blocks[] = {
		{ tracked_block[0], 6, BUILDER_PLACE },
		{ tracked_block[3], 7, BUILDER_PLACE },
		{ tracked_block[1], 0, 0 },
		{ tracked_block[4], 2, 0 },
	};
	const u64 n = block_sectors();
	const struct builder_run runs[] = {
		{ tracked_block[3] * n, 1 },
		{ tracked_block[3] * n + 2, n - 2 },
		{ tracked_block[1] * n, n },
	};
	struct builder_block below[BLOCKS];
	struct builder parent, builder;

	make_parent(&parent, below);
	init_builder(&builder);
	builder_set_parent(&builder, &parent);
	builder.block = blocks;
	builder.blocks = ARRAY_SIZE(blocks);
	builder.run = runs;
	builder.runs = ARRAY_SIZE(runs);
	builder.stale_bits = true;
	build_template(&builder);
}

/* Zeros have the first number. */
void content_start(void)
{
	static const u8 zero[SECTOR] __aligned(8);

	content_intern(zero);
}

/**
 * template_make() - make the image that all workloads start from
 * @shape: of it; another one, made before, is lost
 */
void template_make(enum shape shape)
{
	const struct shape_of *of = &shapes[shape];

	content_start();
	template_shape = shape;
	memcpy(tracked_block, of->tracked, sizeof(tracked_block));
	block_bytes = of->block_bytes;
	sector_bytes = of->sector_bytes;
	tracked_sector[0] = 0;
	tracked_sector[1] = 1;
	tracked_sector[2] = block_sectors() - 1;
	vhdx_image_close(parent_image);
	parent_image = NULL;
	if (shape == SHAPE_PLAIN)
		make_plain();
	else
		make_child();
	states_base(&template_disk, parent_image ? &parent_disk : NULL);
}
