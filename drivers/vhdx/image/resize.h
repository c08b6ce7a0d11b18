/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Another size for the virtual disk of an image.
 */
#ifndef VHDX_IMAGE_RESIZE_H
#define VHDX_IMAGE_RESIZE_H

#include "image.h"

int vhdx_image_resize(struct vhdx_image *img, u64 size, struct vhdx_error *err);

#endif
