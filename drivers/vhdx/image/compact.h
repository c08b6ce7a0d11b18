/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Making the file of an image as short as it can be.
 */
#ifndef VHDX_IMAGE_COMPACT_H
#define VHDX_IMAGE_COMPACT_H

#include "image.h"

/**
 * enum vhdx_compact_phase - what a compaction is at
 * @VHDX_COMPACT_FREE: looking for blocks that hold nothing
 * @VHDX_COMPACT_MOVE: moving the others down
 */
enum vhdx_compact_phase {
	VHDX_COMPACT_FREE,
	VHDX_COMPACT_MOVE,
};

/**
 * struct vhdx_compact - a compaction
 * @progress: so much of a phase is done, bytes; or NULL
 * @stop: asked between two blocks, true ends it; or NULL
 * @ctx: for these
 * @batch: what one edit moves ends with the block that makes it so many bytes; 0
 *	for 64 MiB
 * @size_before: of the file, bytes (out)
 * @size: of the file, bytes (out)
 * @freed: blocks that lost their place, sector bitmap blocks among them (out)
 * @moved: blocks that got another (out)
 */
struct vhdx_compact {
	void (*progress)(struct vhdx_compact *compact,
			 enum vhdx_compact_phase phase, u64 done, u64 total);
	bool (*stop)(struct vhdx_compact *compact);
	void *ctx;
	u64 batch;
	u64 size_before;
	u64 size;
	u64 freed;
	u64 moved;
};

int vhdx_image_compact(struct vhdx_image *img, struct vhdx_compact *compact);

#endif
