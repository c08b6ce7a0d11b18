/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the image layer share and nobody else sees.
 */
#ifndef VHDX_IMAGE_INTERNAL_H
#define VHDX_IMAGE_INTERNAL_H

#include "image.h"
#include "overlay.h"

/*
 * For memory whose size an image dictates: whoever opens it is told that there is
 * none, rather than everybody pressed for it, or the kernel log filled.
 */
#define VHDX_GFP_SIZED	(GFP_KERNEL | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

int vhdx_image_read(const struct vhdx_image *img, void *buf, size_t len,
		    u64 offset);
int vhdx_image_next_data(const struct vhdx_image *img, u64 offset, u64 *data);
int vhdx_no_memory(struct vhdx_error *err, const char *structure, u64 offset);

int vhdx_update_fail(const struct vhdx_image *img,
		     const struct vhdx_overlay_piece *piece,
		     struct vhdx_error *err, const char *reason);
int vhdx_replay_in_memory(struct vhdx_image *img, struct vhdx_error *err);
int vhdx_metadata_read_item(const struct vhdx_image *img,
			    const struct vhdx_metadata_item *item, void *buf,
			    u32 length, struct vhdx_error *err);
int vhdx_metadata_load(struct vhdx_image *img, struct vhdx_error *err);
int vhdx_chain_link(struct vhdx_image *img, struct vhdx_image *parent,
		    unsigned int flags, struct vhdx_error *err);
int vhdx_chain_look(const struct vhdx_image *img, u64 pos, u64 length,
		    struct vhdx_extent *extent);

#endif
