// SPDX-License-Identifier: GPL-2.0
/*
 * What metadata items hold, and where, when an image is made or changed
 * (MS-VHDX 2.6).
 */
#include "edit.h"
#include "internal.h"
#include "items.h"

/**
 * vhdx_items_locator() - the parent locator of an image
 * @parent: its parent, open
 * @relative_path: from the image's folder to @parent's file, as Windows writes it,
 *	UTF-8
 * @absolute_path: likewise, with its drive; NULL for none
 * @buf: receives VHDX_MAX_NEW_LOCATOR bytes at most
 *
 * Context: any.
 * Return: bytes of the item; -EILSEQ: a path is not UTF-8; -ENAMETOOLONG.
 * MS-VHDX 2.6.2.6.
 */
int vhdx_items_locator(const struct vhdx_image *parent,
		       const char *relative_path, const char *absolute_path,
		       void *buf)
{
	char linkage[VHDX_GUID_CHARS + 3] = "{";
	const struct vhdx_locator_pair pair[3] = {
		{ "parent_linkage", linkage },
		{ "relative_path", relative_path },
		{ "absolute_win32_path", absolute_path },
	};

	vhdx_guid_print(linkage + 1,
			&vhdx_image_header(parent)->data_write_guid);
	linkage[VHDX_GUID_CHARS + 1] = '}';
	linkage[VHDX_GUID_CHARS + 2] = '\0';
	return vhdx_locator_encode(pair, absolute_path ? 3 : 2, buf,
				   VHDX_MAX_NEW_LOCATOR);
}

/*
 * The first place in the region that is long enough; what @item has now is free.
 * U32_MAX: there is none. A place moves up past one item after the other.
 */
static u32 find_room(const struct vhdx_image *img,
		     const struct vhdx_metadata_item *item, u32 length)
{
	const struct vhdx_metadata_table *table = img->metadata_table;
	u64 place = VHDX_METADATA_TABLE_SIZE;
	u32 i;

	for (i = 0; i < table->count; i++) {
		const struct vhdx_metadata_item *other = &table->item[i];
		const u64 end = (u64)other->offset + other->length;

		if (other == item || !other->length || end <= place ||
		    other->offset >= place + length)
			continue;
		place = ALIGN(end, VHDX_ITEM_ALIGNMENT);
		if (place + length > img->metadata_region->length)
			return U32_MAX;
		/* One before may be in the way now. */
		i = U32_MAX;
	}
	return place + length > img->metadata_region->length ? U32_MAX : place;
}

static int write_entry(const struct vhdx_image *img, struct vhdx_edit *edit,
		       u32 i)
{
	const u32 at = sizeof(struct vhdx_disk_metadata_table_header) +
		       i * sizeof(struct vhdx_disk_metadata_table_entry);
	u8 *buf = kvmalloc(VHDX_METADATA_TABLE_SIZE, GFP_KERNEL);
	int ret;

	if (!buf)
		return -ENOMEM;
	vhdx_metadata_table_encode(img->metadata_table, buf);
	ret = vhdx_edit_write(edit, img->metadata_region->file_offset + at,
			      buf + at,
			      sizeof(struct vhdx_disk_metadata_table_entry));
	kvfree(buf);
	return ret;
}

/**
 * vhdx_items_replace() - put another content of a system item into an edit
 * @img: open; its table has the item's new place from now on, whatever becomes of
 *	the edit
 * @edit: of it
 * @id: of the item
 * @buf: the content
 * @length: bytes, more than 0
 *
 * Where the item is too short it gets another place in the metadata region.
 *
 * Context: process context, may sleep.
 * Return: 0; -ENOENT: there is no such item; -ENOSPC: no place in the region is
 * long enough; or as vhdx_edit_write(). MS-VHDX 2.6.1.
 */
int vhdx_items_replace(struct vhdx_image *img, struct vhdx_edit *edit,
		       const guid_t *id, const void *buf, u32 length)
{
	struct vhdx_metadata_table *table = img->metadata_table;
	const struct vhdx_metadata_item *found = vhdx_metadata_find(table, id);
	struct vhdx_metadata_item *item;
	u32 offset;
	int ret;

	if (!found)
		return -ENOENT;
	item = &table->item[found - table->item];
	offset = length <= item->length ? item->offset :
					  find_room(img, item, length);
	if (offset == U32_MAX)
		return -ENOSPC;
	ret = vhdx_edit_write(edit, img->metadata_region->file_offset + offset,
			      buf, length);
	if (ret || (item->offset == offset && item->length == length))
		return ret;
	item->offset = offset;
	item->length = length;
	return write_entry(img, edit, item - table->item);
}
