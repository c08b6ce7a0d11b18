/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Changes of an image's structures that happen whole or not at all.
 */
#ifndef VHDX_IMAGE_EDIT_H
#define VHDX_IMAGE_EDIT_H

#include "image.h"

struct vhdx_edit;

int vhdx_edit_begin(struct vhdx_image *img, struct vhdx_edit **editp);
void vhdx_edit_free(struct vhdx_edit *edit);
void vhdx_edit_set_visible(struct vhdx_edit *edit);
int vhdx_edit_first_change(struct vhdx_edit *edit, bool visible);
int vhdx_edit_place(struct vhdx_edit *edit, u64 length, u64 *offset);
int vhdx_edit_write(struct vhdx_edit *edit, u64 offset, const void *buf,
		    size_t length);
int vhdx_edit_zero(struct vhdx_edit *edit, u64 offset, u64 length);
int vhdx_edit_bat(struct vhdx_edit *edit, u64 index, u64 entry);
int vhdx_edit_region(struct vhdx_edit *edit, const struct vhdx_region *region,
		     u64 offset, u32 length);
int vhdx_edit_move_log(struct vhdx_edit *edit, u64 offset);
u32 vhdx_edit_room(const struct vhdx_edit *edit);
int vhdx_edit_commit(struct vhdx_edit *edit);

#endif
