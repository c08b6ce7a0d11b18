// SPDX-License-Identifier: GPL-2.0
#include "guest.h"

#define MAX_LOADS	8

/**
 * guest_map() - vhdx_image_map(), with what it asks for read
 * @img: open
 * @pos: bytes on the virtual disk
 * @length: bytes
 * @extent: receives the piece at @pos
 *
 * Return: 0, what the file answered, or -EPROTO where vhdx_image_map() and
 * vhdx_image_load() do not keep their word.
 */
int guest_map(const struct vhdx_image *img, u64 pos, u64 length,
	      struct vhdx_extent *extent)
{
	const u64 block_size = img->metadata.block_size;
	u32 loads = 0;
	int ret;

	ret = vhdx_image_map(img, pos, length, extent);
	while (ret == -EAGAIN && loads++ < MAX_LOADS) {
		ret = vhdx_image_load(img, pos, length);
		if (ret)
			return ret == -EAGAIN ? -EPROTO : ret;
		ret = vhdx_image_map(img, pos, length, extent);
	}
	if (ret || !extent->length || extent->length > length ||
	    (pos & (block_size - 1)) + extent->length > block_size)
		return -EPROTO;
	if (extent->type == VHDX_EXTENT_ZERO)
		return 0;
	/* Each below another in one chain. */
	while (img && img != extent->image)
		img = img->parent;
	return img && extent->type == VHDX_EXTENT_FILE ? 0 : -EPROTO;
}

/**
 * guest_read() - read from the virtual disk
 * @img: open
 * @buf: receives the bytes
 * @len: bytes
 * @pos: bytes on the virtual disk
 *
 * Return: 0, what a file answered, or -EPROTO as guest_map().
 */
int guest_read(const struct vhdx_image *img, void *buf, size_t len, u64 pos)
{
	struct vhdx_extent extent;
	int ret = 0;

	while (!ret && len) {
		struct vhdx_file *file;

		ret = guest_map(img, pos, len, &extent);
		if (ret)
			return ret;
		if (extent.type == VHDX_EXTENT_ZERO) {
			memset(buf, 0, extent.length);
		} else {
			file = extent.image->file;
			ret = file->ops->read(file, buf, extent.length,
					      extent.offset);
		}
		buf += extent.length;
		pos += extent.length;
		len -= extent.length;
	}
	return ret;
}
