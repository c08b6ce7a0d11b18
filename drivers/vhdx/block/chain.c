// SPDX-License-Identifier: GPL-2.0
/*
 * The files of a chain and the images in them: opened from the one that has no
 * parent up to the image to be attached, closed the other way round.
 *
 * Only that image may be written to. All files below are open for reading, and
 * nobody can write to them for as long as the chain is there: what a differencing
 * image does not hold itself is what its parent held when it was made.
 */
#include <linux/vhdx.h>

#include "block.h"

/* The image itself goes without saying. A long name leaves room for the reason. */
static void say_which(char *error, u32 parent, const struct file *file,
		      int errnum)
{
	char which[64];
	size_t n;

	if (!parent)
		return;
	if (!*error) {
		/* Says all, and whose fault it is does not matter. */
		if (errnum == -ENOMEM)
			return;
		vhdx_refuse(error, errnum, "%pe", ERR_PTR(errnum));
	}
	n = scnprintf(which, sizeof(which) - 2, "parent %u, %pD", parent, file);
	which[n++] = ':';
	which[n++] = ' ';
	memmove(error + n, error, VHDX_ERROR_SIZE - n);
	memcpy(error, which, n);
	error[VHDX_ERROR_SIZE - 1] = '\0';
}

/* Files that are only read may be attached twice, but not as their own parents. */
static int refuse_loops(struct file **files, u32 count, char *error)
{
	u32 i, j;

	for (i = 1; i < count; i++) {
		for (j = 0; j < i; j++) {
			if (files[i]->f_mapping->host !=
			    files[j]->f_mapping->host)
				continue;
			vhdx_refuse(error, -ELOOP, "in the chain twice");
			say_which(error, i, files[i], -ELOOP);
			return -ELOOP;
		}
	}
	return 0;
}

static int check_image(const struct vhdx_image *image, char *error)
{
	const struct vhdx_backing *backing = vhdx_backing_of(image);

	if (image->metadata.has_parent && !image->parent)
		return vhdx_refuse(error, -ENOLINK,
				   "a differencing image, and its parent is missing");
	/* A file grows when it is first written to. */
	if (backing->writable &&
	    S_ISBLK(backing->io->f_mapping->host->i_mode) &&
	    vhdx_image_end(image) > image->file_size)
		return vhdx_refuse(error, -ENOSPC,
				   "the device is shorter than the image");
	return 0;
}

static struct vhdx_image *open_image(struct vhdx_backing *backing,
				     struct vhdx_image *parent,
				     unsigned int flags, char *error)
{
	struct vhdx_error image_error = {};
	unsigned int open_flags = 0;
	struct vhdx_image *image;
	int ret;

	if (backing->writable)
		open_flags |= VHDX_OPEN_WRITE;
	if (flags & VHDX_ATTACH_NO_REPLAY)
		open_flags |= VHDX_OPEN_NO_REPLAY;
	if (flags & VHDX_ATTACH_IGNORE_ID_MISMATCH)
		open_flags |= VHDX_OPEN_IGNORE_ID_MISMATCH;
	ret = vhdx_image_open_child(&backing->file, parent, open_flags, &image,
				    &image_error);
	if (ret) {
		if (image_error.errnum)
			vhdx_error_print(error, VHDX_ERROR_SIZE, &image_error);
		return ERR_PTR(ret);
	}
	ret = check_image(image, error);
	if (ret) {
		vhdx_image_close(image);
		return ERR_PTR(ret);
	}
	return image;
}

static struct vhdx_image *open_file(struct file *file,
				    struct vhdx_image *parent, bool writable,
				    unsigned int flags, char *error)
{
	struct vhdx_backing *backing;
	struct vhdx_image *image;

	backing = vhdx_backing_open(file, writable, error);
	if (IS_ERR(backing))
		return ERR_CAST(backing);
	image = open_image(backing, parent, flags, error);
	if (IS_ERR(image))
		vhdx_backing_close(backing);
	return image;
}

/**
 * vhdx_chain_open() - open an image and all of its parents
 * @files: handed over: the image, its parent, that one's parent and so on; a
 *	reference to each is taken
 * @count: of @files, at least 1
 * @flags: VHDX_ATTACH_*
 * @error: VHDX_ERROR_SIZE bytes, for a text that says what is wrong, and with
 *	which of @files
 *
 * Context: process context, may sleep.
 * Return: the image, to be given to vhdx_chain_close(); or an ERR_PTR: -ELOOP: a
 * file comes twice; -ENOLINK: a parent is missing; or what vhdx_backing_open()
 * and vhdx_image_open_child() say.
 */
struct vhdx_image *vhdx_chain_open(struct file **files, u32 count,
				   unsigned int flags, char *error)
{
	struct vhdx_image *image = NULL, *child;
	u32 i;
	int ret;

	ret = refuse_loops(files, count, error);
	if (ret)
		return ERR_PTR(ret);
	for (i = count; i-- > 0; image = child) {
		child = open_file(files[i], image,
				  !i && !(flags & VHDX_ATTACH_READ_ONLY),
				  flags, error);
		if (IS_ERR(child)) {
			say_which(error, i, files[i], PTR_ERR(child));
			vhdx_chain_close(image);
			return child;
		}
	}
	return image;
}

/**
 * vhdx_chain_close() - close an image and all of its parents, and their files
 * @image: from vhdx_chain_open(), or NULL; no I/O is in flight
 *
 * Context: process context, may sleep.
 */
void vhdx_chain_close(struct vhdx_image *image)
{
	struct vhdx_backing *backing;
	struct vhdx_image *parent;

	for (; image; image = parent) {
		parent = image->parent;
		backing = vhdx_backing_of(image);
		vhdx_image_close(image);
		vhdx_backing_close(backing);
	}
}
