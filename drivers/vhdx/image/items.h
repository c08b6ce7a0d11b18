/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Writing metadata items: new ones' content, and another content of those there.
 */
#ifndef VHDX_IMAGE_ITEMS_H
#define VHDX_IMAGE_ITEMS_H

#include "image.h"

/* Two paths, and much more than any host has. */
#define VHDX_MAX_NEW_LOCATOR	0x20000U

/* Where items begin is a multiple of this. */
#define VHDX_ITEM_ALIGNMENT	8U

struct vhdx_edit;

int vhdx_items_identity(const struct vhdx_image *img, guid_t *guid);
int vhdx_items_locator(const struct vhdx_image *parent,
		       const char *relative_path, const char *absolute_path,
		       void *buf);
const char *vhdx_items_reason(int ret, const char *other);
int vhdx_items_relink(const struct vhdx_image *img, const guid_t *linkage,
		      const guid_t *linkage2, void *buf);
int vhdx_items_put(struct vhdx_image *img, struct vhdx_edit *edit,
		   const struct vhdx_metadata_item *item, const void *buf);
int vhdx_items_drop(struct vhdx_image *img, struct vhdx_edit *edit, u32 i);
int vhdx_items_replace(struct vhdx_image *img, struct vhdx_edit *edit,
		       const guid_t *id, const void *buf, u32 length);
int vhdx_items_replace_value(struct vhdx_image *img, struct vhdx_edit *edit,
			     const guid_t *id,
			     const struct vhdx_metadata *metadata);

#endif
