/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which MiB of the file are in use.
 */
#ifndef VHDX_IMAGE_SPACE_H
#define VHDX_IMAGE_SPACE_H

#include "../format/format.h"

struct vhdx_space;

struct vhdx_space *vhdx_space_create(u64 size);
void vhdx_space_free(struct vhdx_space *space);
int vhdx_space_claim(struct vhdx_space *space, u64 offset, u64 length);

#endif
