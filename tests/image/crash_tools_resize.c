// SPDX-License-Identifier: GPL-2.0
/*
 * Other sizes, for the crash enumerator: the disk has its old one or its new one, and
 * all blocks of that.
 */
#include "crash_tools.h"
#include "image/resize.h"
#include "image/sync.h"

/**
 * resize_look() - what a user sees of a small disk
 * @files: with the image
 */
u64 resize_look(struct files *files)
{
	struct vhdx_image *img = open_file(&files->disk[0], NULL, 0);
	u64 hash = look_at_image(img);

	vhdx_image_close(img);
	return hash;
}

static int resize_to(struct files *files, u64 size)
{
	struct vhdx_image *img = open_file(&files->disk[0], NULL, VHDX_OPEN_EDIT);
	struct vhdx_error error;
	int ret;

	ret = vhdx_image_resize(img, size, &error);
	if (!ret)
		ret = vhdx_image_finish(img);
	if (!ret)
		ret = vhdx_image_give_back(img, true);
	vhdx_image_close(img);
	return ret;
}

/**
 * resize_build() - an image with blocks on two pages of the BAT
 * @files: receives it
 *
 * The last block is there, and holds what lies past the disk's end.
 */
void resize_build(struct files *files)
{
	static const struct builder_block blocks[] = {
		{ .block = 0, .state = 6, .offset = BUILDER_PLACE },
		{ .block = 516, .state = 6, .offset = BUILDER_PLACE },
		{ .block = 519, .state = 6, .offset = BUILDER_PLACE },
	};
	struct builder builder;

	builder_init(&builder);
	builder.disk_size = 519 * MIB + 3 * SECTOR;
	builder.block = blocks;
	builder.blocks = ARRAY_SIZE(blocks);
	builder.data_bytes = 4 * SECTOR;
	files->n = 0;
	build_image(files, &builder);
}

/**
 * grow_run() - make the disk larger, the BAT has room
 * @files: from resize_build()
 */
int grow_run(struct files *files)
{
	return resize_to(files, 1100 * MIB);
}

/**
 * shrink_run() - cut off all of its blocks but one
 * @files: from resize_build()
 */
int shrink_run(struct files *files)
{
	return resize_to(files, 100 * MIB + SECTOR);
}

/**
 * resize_full_bat_build() - an image whose BAT has no room left
 * @files: receives it
 */
void resize_full_bat_build(struct files *files)
{
	static const struct builder_block blocks[] = {
		{ .block = 1, .state = 6, .offset = BUILDER_PLACE },
		{ .block = 508, .state = 6, .offset = BUILDER_PLACE },
	};
	struct builder builder;

	builder_init(&builder);
	/* 131072 entries are a MiB */
	builder.disk_size = 131040 * MIB;
	builder.block = blocks;
	builder.blocks = ARRAY_SIZE(blocks);
	builder.data_bytes = 4 * SECTOR;
	files->n = 0;
	build_image(files, &builder);
}

/**
 * resize_large_look() - what a user sees of a disk that is too large to be read whole
 * @files: from resize_full_bat_build()
 */
u64 resize_large_look(struct files *files)
{
	struct vhdx_image *img = open_file(&files->disk[0], NULL, 0);
	u64 hash = hash_mix(img->metadata.virtual_disk_size);
	static const u64 block[] = { 0, 1, 508, 131039 };
	u8 buf[SECTOR];
	u32 i;

	for (i = 0; i < ARRAY_SIZE(block); i++) {
		if (vhdx_sync_read(img, buf, SECTOR, block[i] * MIB))
			violation("block %llu cannot be read", block[i]);
		hash = hash_bytes(hash, buf, SECTOR);
	}
	hash = hash_mix(hash + vhdx_image_allocated(img));
	vhdx_image_close(img);
	return hash;
}

/**
 * grow_move_bat_run() - make the disk larger than its BAT can be where it is
 * @files: from resize_full_bat_build()
 */
int grow_move_bat_run(struct files *files)
{
	return resize_to(files, 140000 * MIB);
}

/**
 * resize_fixed_build() - a fixed image
 * @files: receives it
 */
void resize_fixed_build(struct files *files)
{
	struct builder builder;

	builder_init(&builder);
	builder.disk_size = 4 * MIB;
	builder.fixed = true;
	builder.default_state = 6;
	builder.data_bytes = SECTOR;
	files->n = 0;
	build_image(files, &builder);
}

/**
 * grow_fixed_run() - make the disk larger, the new blocks are there at once
 * @files: from resize_fixed_build()
 */
int grow_fixed_run(struct files *files)
{
	return resize_to(files, 7 * MIB);
}

/**
 * shrink_fixed_run() - make the disk and the file smaller
 * @files: from resize_fixed_build()
 */
int shrink_fixed_run(struct files *files)
{
	return resize_to(files, 2 * MIB - SECTOR);
}
