/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The sector bitmaps of a differencing image, as far as they are in memory.
 */
#ifndef VHDX_IMAGE_BITMAP_H
#define VHDX_IMAGE_BITMAP_H

#include "image.h"

/* A page of a bitmap stands for so many sectors, and a chunk has so many pages. */
#define VHDX_BITMAP_PAGE_SHIFT	15
#define VHDX_BITMAP_PAGE_SECTORS (1U << VHDX_BITMAP_PAGE_SHIFT)
#define VHDX_CHUNK_PAGES_SHIFT	8
#define VHDX_CHUNK_PAGES	(1U << VHDX_CHUNK_PAGES_SHIFT)

int vhdx_bitmaps_create(struct vhdx_image *img, struct vhdx_error *err);
void vhdx_bitmaps_free(struct vhdx_bitmaps *bitmaps);
int vhdx_bitmaps_run(const struct vhdx_image *img, u64 sector, u64 limit,
		     bool *present, u64 *run);
int vhdx_bitmaps_load(const struct vhdx_image *img, u64 sector);

#endif
