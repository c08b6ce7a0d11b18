/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Opening an image, with the errors said.
 */
#ifndef VHDXCTL_OPEN_IMAGE_H
#define VHDXCTL_OPEN_IMAGE_H

#include "image/image.h"
#include "posix_file.h"

int open_image_file(struct posix_file *pf, const char *path, bool writable);
int open_image(struct posix_file *pf, const char *path,
	       struct vhdx_image **imgp);

#endif
