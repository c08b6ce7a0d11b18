/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Changing what an image says of itself.
 */
#ifndef VHDX_IMAGE_SET_H
#define VHDX_IMAGE_SET_H

#include "image.h"

/**
 * struct vhdx_set - what is to change
 * @parent: of a differencing image, open; NULL: it keeps the one that it has
 * @relative_path: see struct vhdx_create
 * @flags: 0 or VHDX_OPEN_IGNORE_ID_MISMATCH: @parent need not be the one that the
 *	image was made from
 * @physical_sector_size: bytes, 512 or 4096; 0: as it is
 * @reset_disk_id: the disk gets a new id
 * @disk_id: the disk's, when all is done (out)
 * @visible: a guest could see a change, so children of the image are of no use any
 *	more (out)
 */
struct vhdx_set {
	const struct vhdx_image *parent;
	const char *relative_path;
	unsigned int flags;
	u32 physical_sector_size;
	bool reset_disk_id;
	guid_t disk_id;
	bool visible;
};

int vhdx_set_check(const struct vhdx_image *img, struct vhdx_set *set,
		   struct vhdx_error *err);
int vhdx_image_set(struct vhdx_image *img, struct vhdx_set *set,
		   struct vhdx_error *err);

#endif
