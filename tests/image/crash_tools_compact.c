// SPDX-License-Identifier: GPL-2.0
/*
 * Compaction, for the crash enumerator: a user sees nothing of it but the size of
 * the file.
 */
#include "crash_tools.h"
#include "image/compact.h"

/* As if a guest had written zeros over it. */
static void write_zeros(struct disk *disk, u64 block)
{
	struct vhdx_image *img = open_file(disk, NULL, 0);
	struct vhdx_extent extent;

	if (vhdx_image_map(img, block * MIB, SECTOR, &extent) ||
	    extent.type != VHDX_EXTENT_FILE)
		violation("block %llu is not there", block);
	vhdx_image_close(img);
	disk_zero(disk, extent.offset, MIB);
}

/**
 * compact_build() - an image without a parent
 * @files: receives it
 *
 * Two places are free, a block of zeros is between them: others move into all three.
 */
void compact_build(struct files *files)
{
	static const struct builder_block blocks[] = {
		{ .block = 0, .state = 3, .offset = BUILDER_PLACE },
		{ .block = 1, .state = 6, .offset = BUILDER_PLACE },
		{ .block = 2, .state = 1, .offset = BUILDER_PLACE },
		{ .block = 3, .state = 6, .offset = BUILDER_PLACE },
		{ .block = 8, .state = 6, .offset = BUILDER_PLACE },
		{ .block = 9, .state = 6, .offset = BUILDER_PLACE },
		{ .block = 12, .state = 6, .offset = BUILDER_PLACE },
	};
	struct builder builder;

	builder_init(&builder);
	builder.block = blocks;
	builder.blocks = ARRAY_SIZE(blocks);
	builder.data_bytes = 2 * SECTOR;
	files->n = 0;
	build_image(files, &builder);
	write_zeros(&files->disk[0], 1);
}

/**
 * compact_child_build() - a differencing image
 * @files: receives it; its parent is not there
 *
 * Its sector bitmap block is the last one, and moves.
 */
void compact_child_build(struct files *files)
{
	static const struct builder_block blocks[] = {
		{ .block = 0, .state = 6, .offset = BUILDER_PLACE },
		{ .block = 1, .state = 7, .offset = BUILDER_PLACE },
		{ .block = 2, .state = 3, .offset = BUILDER_PLACE },
		{ .block = 5, .state = 6, .offset = BUILDER_PLACE },
		{ .block = 9, .state = 7, .offset = BUILDER_PLACE },
	};
	static const struct builder_run runs[] = {
		{ .first = 1 * MIB / SECTOR, .count = 1 },
		{ .first = 9 * MIB / SECTOR + 1, .count = 2046 },
	};
	struct builder builder;

	builder_init(&builder);
	builder.differencing = true;
	builder.block = blocks;
	builder.blocks = ARRAY_SIZE(blocks);
	builder.run = runs;
	builder.runs = ARRAY_SIZE(runs);
	builder.data_bytes = 2 * SECTOR;
	files->n = 0;
	build_image(files, &builder);
	write_zeros(&files->disk[0], 5);
}

/* The structures lie apart, as drawn from the seed. */
static void build_drawn(struct files *files, u64 seed)
{
	static const struct builder_block blocks[] = {
		{ .block = 0, .state = 6, .offset = BUILDER_PLACE },
		{ .block = 1, .state = 3, .offset = BUILDER_PLACE },
		{ .block = 5, .state = 6, .offset = BUILDER_PLACE },
	};
	struct builder builder;

	builder_init(&builder);
	builder.seed = seed;
	builder.shuffle = true;
	builder.block = blocks;
	builder.blocks = ARRAY_SIZE(blocks);
	builder.data_bytes = 2 * SECTOR;
	files->n = 0;
	build_image(files, &builder);
}

/**
 * compact_log_build() - an image whose log and BAT lie behind gaps
 * @files: receives it
 */
void compact_log_build(struct files *files)
{
	build_drawn(files, 23);
}

/**
 * compact_metadata_build() - one whose metadata region and BAT do
 * @files: receives it
 */
void compact_metadata_build(struct files *files)
{
	build_drawn(files, 21);
}

/**
 * compact_run() - compact it, two blocks by an edit
 * @files: the image
 */
int compact_run(struct files *files)
{
	struct vhdx_image *img = open_file(&files->disk[0], NULL, VHDX_OPEN_EDIT);
	struct vhdx_compact compact = { .batch = 2 * MIB };
	int ret = vhdx_image_compact(img, &compact);

	if (!ret)
		ret = vhdx_image_finish(img);
	vhdx_image_close(img);
	return ret;
}

/**
 * compact_look() - what a guest sees, and a child of the image
 * @files: the image
 */
u64 compact_look(struct files *files)
{
	struct vhdx_image *img = open_file(&files->disk[0], NULL, 0);
	u64 hash = look_at_image(img);

	hash = hash_bytes(hash, &vhdx_image_header(img)->data_write_guid,
			  sizeof(guid_t));
	vhdx_image_close(img);
	return hash;
}

/**
 * compact_look_at_end() - what it was done for
 * @files: the image
 */
u64 compact_look_at_end(struct files *files)
{
	return hash_mix(disk_size(&files->disk[0]));
}
