// SPDX-License-Identifier: GPL-2.0
/*
 * The metadata region of an open image (MS-VHDX 2.6).
 */
#include "internal.h"

const guid_t *const vhdx_fixed_items[VHDX_FIXED_ITEMS] = {
	[VHDX_ITEM_PARAMETERS] = &vhdx_guid_file_parameters,
	[VHDX_ITEM_DISK_SIZE] = &vhdx_guid_virtual_disk_size,
	[VHDX_ITEM_DISK_ID] = &vhdx_guid_virtual_disk_id,
	[VHDX_ITEM_LOGICAL] = &vhdx_guid_logical_sector_size,
	[VHDX_ITEM_PHYSICAL] = &vhdx_guid_physical_sector_size,
};

/**
 * vhdx_metadata_read_item() - read a metadata item as it is after replay
 * @img: with file, overlay and regions in place
 * @item: of its metadata table
 * @buf: receives the first @length bytes of it
 * @length: bytes, at most @item->length
 * @err: filled in on failure
 *
 * An item lies at any offset; the overlay is made of whole 4 KiB pages.
 *
 * Context: process context, may sleep.
 * Return: 0, -ENOMEM or what the file's read answered.
 */
int vhdx_metadata_read_item(const struct vhdx_image *img,
			    const struct vhdx_metadata_item *item, void *buf,
			    u32 length, struct vhdx_error *err)
{
	u64 offset = img->metadata_region->file_offset + item->offset;
	u64 first = ALIGN_DOWN(offset, VHDX_LOG_SECTOR_SIZE);
	u64 span = ALIGN(offset + length, VHDX_LOG_SECTOR_SIZE) - first;
	u8 *pages;
	int ret;

	pages = kvmalloc(span, VHDX_GFP_SIZED);
	if (!pages)
		return vhdx_no_memory(err, "metadata item", offset);
	ret = vhdx_image_read(img, pages, span, first);
	if (ret)
		ret = vhdx_fail(err, ret, "metadata item", NULL, offset,
				"cannot be read");
	else
		memcpy(buf, pages + (offset - first), length);
	kvfree(pages);
	return ret;
}

static int load_item(struct vhdx_image *img,
		     const struct vhdx_metadata_item *item,
		     struct vhdx_error *err)
{
	u8 buf[VHDX_METADATA_FIXED_ITEM_SIZE];
	int ret;

	ret = vhdx_metadata_read_item(img, item, buf,
				      min_t(u32, item->length, sizeof(buf)),
				      err);
	if (ret)
		return ret;
	return vhdx_metadata_item_decode(item, buf,
					 img->metadata_region->file_offset,
					 &img->metadata, err);
}

static int load_locator(struct vhdx_image *img, struct vhdx_error *err)
{
	u64 region = img->metadata_region->file_offset;
	const struct vhdx_metadata_item *item;
	int ret;

	item = vhdx_metadata_find(img->metadata_table,
				  &vhdx_guid_parent_locator);
	img->locator_item = kvmalloc(item->length, VHDX_GFP_SIZED);
	if (!img->locator_item)
		return vhdx_no_memory(err, "parent locator",
				      region + item->offset);
	ret = vhdx_metadata_read_item(img, item, img->locator_item,
				      item->length, err);
	if (ret)
		return ret;
	return vhdx_locator_decode(img->locator_item, item->length,
				   region + item->offset, &img->locator, err);
}

/**
 * vhdx_metadata_load() - read and check the metadata region
 * @img: with file, overlay and regions in place; receives metadata_table,
 *	metadata and locator (also on failure: vhdx_image_close() gives them back)
 * @err: filled in on failure
 *
 * Context: process context, may sleep.
 * Return: 0 or a negative errno. MS-VHDX 2.6.
 */
int vhdx_metadata_load(struct vhdx_image *img, struct vhdx_error *err)
{
	u64 offset = img->metadata_region->file_offset;
	u8 *buf;
	u32 i;
	int ret;

	img->metadata_table = kvzalloc(sizeof(*img->metadata_table), GFP_KERNEL);
	buf = kvmalloc(VHDX_METADATA_TABLE_SIZE, GFP_KERNEL);
	if (!img->metadata_table || !buf) {
		ret = vhdx_no_memory(err, "metadata table", offset);
		goto out;
	}
	ret = vhdx_image_read(img, buf, VHDX_METADATA_TABLE_SIZE, offset);
	if (ret) {
		vhdx_fail(err, ret, "metadata table", NULL, offset,
			  "cannot be read");
		goto out;
	}
	ret = vhdx_metadata_table_decode(buf, offset,
					 img->metadata_region->length,
					 img->metadata_table, err);
	for (i = 0; !ret && i < VHDX_FIXED_ITEMS; i++)
		ret = load_item(img, vhdx_metadata_find(img->metadata_table,
							vhdx_fixed_items[i]),
				err);
	if (!ret)
		ret = vhdx_metadata_check(&img->metadata, img->metadata_table,
					  offset, err);
	/* "Ignored when HasParent is set" (2.6.2.1). */
	if (img->metadata.has_parent)
		img->metadata.leave_blocks_allocated = false;
	if (!ret && img->metadata.has_parent)
		ret = load_locator(img, err);
out:
	kvfree(buf);
	return ret;
}
