/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Opening an image, with the errors said.
 */
#ifndef VHDXCTL_OPEN_IMAGE_H
#define VHDXCTL_OPEN_IMAGE_H

#include "image/image.h"
#include "posix_file.h"

/* What an image is opened for, which says what may help where that fails. */
enum open_image_mode {
	OPEN_IMAGE_READ,
	OPEN_IMAGE_CHANGE,
	OPEN_IMAGE_ATTACH,
};

int open_image_file(struct posix_file *pf, const char *path,
		    enum open_image_mode mode);
bool open_image_is_written(const struct stat *st);
char *open_image_error(const struct vhdx_error *err);
int open_image_fail(const char *path, const struct stat *st,
		    const struct vhdx_error *err);
int open_image_lock(const char *path, const struct posix_file *pf,
		    const char *what);
int open_image(struct posix_file *pf, const char *path,
	       struct vhdx_image **imgp);

#endif
