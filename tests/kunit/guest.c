// SPDX-License-Identifier: GPL-2.0
#include "guest.h"

/**
 * guest_read() - read from the virtual disk of an image without a parent
 * @img: open
 * @buf: receives the bytes
 * @len: bytes
 * @pos: bytes on the virtual disk
 *
 * Return: 0, what the file answered, or -EPROTO where vhdx_image_map() does not
 * keep its word.
 */
int guest_read(const struct vhdx_image *img, void *buf, size_t len, u64 pos)
{
	const u64 block_size = img->metadata.block_size;
	struct vhdx_extent extent;
	int ret = 0;

	while (!ret && len) {
		vhdx_image_map(img, pos, len, &extent);
		if (!extent.length || extent.length > len ||
		    (pos & (block_size - 1)) + extent.length > block_size)
			return -EPROTO;
		if (extent.type == VHDX_EXTENT_ZERO)
			memset(buf, 0, extent.length);
		else
			ret = img->file->ops->read(img->file, buf,
						   extent.length,
						   extent.offset);
		buf += extent.length;
		pos += extent.length;
		len -= extent.length;
	}
	return ret;
}
