/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Opening an image that is to be changed without the driver.
 */
#ifndef VHDXCTL_EDIT_IMAGE_H
#define VHDXCTL_EDIT_IMAGE_H

#include "image/image.h"
#include "posix_file.h"

int edit_image_file(struct posix_file *pf, const char *path, const char *what);
int edit_image_open(struct posix_file *pf, const char *path, const char *what,
		    struct vhdx_image **imgp);
int edit_image_load(struct posix_file *pf, const char *path,
		    struct vhdx_image *parent, struct vhdx_image **imgp);
int edit_image_refuse_cut(const char *path, const struct vhdx_image *img);
int edit_image_give_back(const char *path, struct vhdx_image *img);
int edit_image_refuse_parent(const struct posix_file *pf, const char *path,
			     const char *what, struct vhdx_image *img);
int edit_image_fail(const char *path, const char *what, int errnum);
int edit_image_finish(struct posix_file *pf, const char *path,
		      struct vhdx_image *img, int code);

#endif
