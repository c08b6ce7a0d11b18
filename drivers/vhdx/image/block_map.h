/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The BAT in memory.
 */
#ifndef VHDX_IMAGE_BLOCK_MAP_H
#define VHDX_IMAGE_BLOCK_MAP_H

#include "image.h"
#include "space.h"

struct vhdx_report;

int vhdx_block_map_load(struct vhdx_image *img, struct vhdx_space *space,
			struct vhdx_report *report, struct vhdx_error *err);
void vhdx_block_map_free(struct vhdx_block_map *map);
u64 vhdx_block_map_entry(const struct vhdx_block_map *map, u64 index);
u64 vhdx_block_map_next(const struct vhdx_block_map *map, u64 index);
void vhdx_block_map_reserve(struct vhdx_block_map *map, u64 page);
void vhdx_block_map_set(struct vhdx_block_map *map, u64 index, u64 entry);
const void *vhdx_block_map_page(const struct vhdx_block_map *map, u64 page);

#endif
