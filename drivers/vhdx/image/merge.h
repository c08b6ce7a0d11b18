/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Merging the images of a chain into one that is below them.
 */
#ifndef VHDX_IMAGE_MERGE_H
#define VHDX_IMAGE_MERGE_H

#include "image.h"

/**
 * struct vhdx_merge - a merge
 * @progress: so much of the data is there, bytes; or NULL
 * @stop: asked now and then, true ends it; or NULL
 * @ctx: for these
 */
struct vhdx_merge {
	void (*progress)(struct vhdx_merge *merge, u64 bytes);
	bool (*stop)(struct vhdx_merge *merge);
	void *ctx;
};

int vhdx_merge_link(struct vhdx_image *child, const guid_t *linkage,
		    const guid_t *linkage2, struct vhdx_error *err);
int vhdx_merge_renew(struct vhdx_image *img, struct vhdx_error *err);
int vhdx_merge_measure(const struct vhdx_image *top,
		       const struct vhdx_image *into, u64 *bytes);
int vhdx_merge_blocks(const struct vhdx_image *top, struct vhdx_image *into,
		      struct vhdx_merge *merge);
int vhdx_merge_check_items(const struct vhdx_image *top,
			   struct vhdx_image *into, struct vhdx_error *err);
int vhdx_merge_items(const struct vhdx_image *top, struct vhdx_image *into,
		     struct vhdx_error *err);

#endif
