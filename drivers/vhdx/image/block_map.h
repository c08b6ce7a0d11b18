/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The BAT in memory.
 */
#ifndef VHDX_IMAGE_BLOCK_MAP_H
#define VHDX_IMAGE_BLOCK_MAP_H

#include "image.h"
#include "space.h"

int vhdx_block_map_load(struct vhdx_image *img, struct vhdx_space *space,
			struct vhdx_error *err);
void vhdx_block_map_free(struct vhdx_block_map *map);

#endif
