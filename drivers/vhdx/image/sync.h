/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guest data from one thread: what it asks for is done when the call returns.
 */
#ifndef VHDX_IMAGE_SYNC_H
#define VHDX_IMAGE_SYNC_H

#include "image.h"

int vhdx_sync_locate(const struct vhdx_image *img, u64 pos, u64 length,
		     struct vhdx_extent *extent, u32 *state);
int vhdx_sync_read(const struct vhdx_image *img, void *buf, u64 length,
		   u64 pos);
void vhdx_sync_init(struct vhdx_image *img);
int vhdx_sync_write(struct vhdx_image *img, const void *buf, u64 length,
		    u64 pos);
int vhdx_sync_zero(struct vhdx_image *img, u64 pos, u64 length);
int vhdx_sync_flush(struct vhdx_image *img);

#endif
