// SPDX-License-Identifier: GPL-2.0
/*
 * Changes of an image's metadata, for the crash enumerator: see crash_tools.c.
 */
#include "crash_tools.h"
#include "image/set.h"

/**
 * set_build() - a child, whose parent is the second file
 * @files: receives both
 */
void set_build(struct files *files)
{
	static const struct builder_block blocks[] = {
		{ .block = 2, .state = 6, .offset = BUILDER_PLACE },
		{ .block = 9, .state = 7, .offset = BUILDER_PLACE },
	};
	static const struct builder_block parent_blocks[] = {
		{ .block = 5, .state = 6, .offset = BUILDER_PLACE },
		{ .block = 9, .state = 6, .offset = BUILDER_PLACE },
	};
	struct builder child, parent;

	builder_init(&parent);
	parent.block = parent_blocks;
	parent.blocks = ARRAY_SIZE(parent_blocks);
	parent.data_bytes = 2 * SECTOR;
	parent.seed = 2;
	builder_init(&child);
	builder_set_parent(&child, &parent);
	child.block = blocks;
	child.blocks = ARRAY_SIZE(blocks);
	child.data_bytes = 2 * SECTOR;
	files->n = 0;
	build_image(files, &child);
	build_image(files, &parent);
}

/**
 * set_run() - another parent's path, and other physical sectors
 * @files: from set_build()
 *
 * The locator gets another place.
 *
 * Return: 0 or a negative errno.
 */
int set_run(struct files *files)
{
	struct vhdx_image *parent = open_file(&files->disk[1], NULL, 0);
	struct vhdx_image *img = open_file(&files->disk[0], NULL, VHDX_OPEN_EDIT);
	struct vhdx_set set = {
		.parent = parent,
		.relative_path = ".\\..\\another folder\\and another name.vhdx",
		.physical_sector_size = 512,
	};
	struct vhdx_error error;
	int ret;

	ret = vhdx_image_set(img, &set, &error);
	if (!ret)
		ret = vhdx_image_finish(img);
	vhdx_image_close(img);
	vhdx_image_close(parent);
	return ret;
}

/**
 * set_look() - what a guest sees, and what the child says of its parent
 * @files: from set_build()
 */
u64 set_look(struct files *files)
{
	struct vhdx_image *parent = open_file(&files->disk[1], NULL, 0);
	struct vhdx_image *img = open_file(&files->disk[0], parent, 0);
	u64 hash = look_at_image(img);

	hash = hash_bytes(hash, img->locator.buf, img->locator.length);
	vhdx_image_close(img);
	vhdx_image_close(parent);
	return hash;
}
