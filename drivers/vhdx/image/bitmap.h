/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The sector bitmaps of a differencing image, as far as they are in memory.
 */
#ifndef VHDX_IMAGE_BITMAP_H
#define VHDX_IMAGE_BITMAP_H

#include "image.h"

/* A page of a bitmap stands for so many sectors, and a chunk has so many pages. */
#define VHDX_BITMAP_PAGE_SHIFT	15
#define VHDX_BITMAP_PAGE_SECTORS 32768U
#define VHDX_CHUNK_PAGES_SHIFT	8
#define VHDX_CHUNK_PAGES	256U

/* Blocks are aligned to their size, so their bits fill so many pages at most. */
#define VHDX_MAX_BLOCK_BITS	16U

struct vhdx_page;

/**
 * struct vhdx_bitmap_page - 4 KiB of a bitmap block
 * @index: of the page, the bitmaps of all chunks being one
 * @used: somebody has looked since it was last passed over
 * @pins: it must stay; under the lock of the bitmaps
 * @bits: sector by sector, least significant bit of a byte first; changed under
 *	map_sem and the lock of the shard of the block they are for
 * @page: what the journal knows of it; the journal's
 * @link: in the list of those that can go, oldest first
 * @rcu: for its end
 */
struct vhdx_bitmap_page {
	u64 index;
	bool used;
	u32 pins;
	__le64 *bits;
	struct vhdx_page *page;
	struct list_head link;
	struct rcu_head rcu;
};

/* Pages that have the bits of a block; 0 where there are no bitmaps. */
static inline u32 vhdx_block_bits_pages(const struct vhdx_geometry *geo)
{
	u32 shift = geo->block_shift - geo->sector_shift;

	if (!geo->has_parent)
		return 0;
	return shift > VHDX_BITMAP_PAGE_SHIFT ?
		1U << (shift - VHDX_BITMAP_PAGE_SHIFT) : 1;
}

int vhdx_bitmaps_create(struct vhdx_image *img, struct vhdx_error *err);
void vhdx_bitmaps_free(struct vhdx_bitmaps *bitmaps);
int vhdx_bitmaps_run(const struct vhdx_image *img, u64 sector, u64 limit,
		     bool *present, u64 *run);
int vhdx_bitmaps_load(const struct vhdx_image *img, u64 sector);
int vhdx_bitmaps_pin(const struct vhdx_image *img, u64 sector, u32 pages,
		     bool wait, struct vhdx_bitmap_page **pinned);
void vhdx_bitmaps_unpin(const struct vhdx_image *img,
			struct vhdx_bitmap_page **pinned, u32 pages);
void vhdx_bitmap_page_pin(const struct vhdx_image *img,
			  struct vhdx_bitmap_page *page);
bool vhdx_bitmap_page_fill(struct vhdx_bitmap_page *page, u64 sector,
			   u64 sectors, bool present);
bool vhdx_bitmap_page_is_full(const struct vhdx_bitmap_page *page, u64 sector,
			      u64 sectors);
bool vhdx_bitmap_page_is_empty(const struct vhdx_bitmap_page *page, u64 sector,
			       u64 sectors);

#endif
