// SPDX-License-Identifier: GPL-2.0
/*
 * Changes of an image's metadata: which parent it has, the id of its disk, the
 * physical sectors (MS-VHDX 2.6.2). All of them are one edit, see edit.c.
 *
 * What a guest can see changes DataWriteGuid as well. Another path to the same
 * parent does not, nor its DataWriteGuid that the image knew already: every sector
 * reads as before, and an image above this one goes on with it.
 */
#include "edit.h"
#include "internal.h"
#include "items.h"
#include "set.h"

/**
 * vhdx_set_check() - can an image be changed like this
 * @img: open, for reading at least
 * @set: what is to change; receives @set->visible
 * @err: filled in on failure
 *
 * Context: any.
 * Return: 0; -ESTALE: not the parent that @img was made from; -EUCLEAN: it has
 * sectors of another size; -EINVAL: @img has no parent, or its logical sectors are
 * longer than the physical ones were to be.
 */
int vhdx_set_check(const struct vhdx_image *img, struct vhdx_set *set,
		   struct vhdx_error *err)
{
	const struct vhdx_metadata *metadata = &img->metadata;
	struct vhdx_error mismatch;
	int ret;

	memset(err, 0, sizeof(*err));
	set->visible = set->reset_disk_id ||
		       (set->physical_sector_size &&
			set->physical_sector_size !=
			metadata->physical_sector_size);
	if (set->physical_sector_size &&
	    set->physical_sector_size < metadata->logical_sector_size)
		return vhdx_fail_value(err, -EINVAL, "metadata item",
				       "PhysicalSectorSize",
				       img->metadata_region->file_offset +
				       vhdx_metadata_find(img->metadata_table,
							  &vhdx_guid_physical_sector_size)->offset,
				       set->physical_sector_size,
				       "less than the logical one");
	if (!set->parent)
		return 0;
	ret = vhdx_image_check_parent(img, set->parent, set->flags, err);
	if (!ret && vhdx_image_check_parent(img, set->parent, 0, &mismatch))
		set->visible = true;
	return ret;
}

static int put_locator(struct vhdx_image *img, struct vhdx_edit *edit,
		       const struct vhdx_set *set)
{
	void *buf = kvmalloc(VHDX_MAX_NEW_LOCATOR, GFP_KERNEL);
	int ret;

	if (!buf)
		return -ENOMEM;
	ret = vhdx_items_locator(set->parent, set->relative_path, NULL, buf);
	if (ret > 0)
		ret = vhdx_items_replace(img, edit, &vhdx_guid_parent_locator,
					 buf, ret);
	kvfree(buf);
	return ret;
}

static int put_all(struct vhdx_image *img, struct vhdx_edit *edit,
		   const struct vhdx_set *set)
{
	struct vhdx_metadata metadata = img->metadata;
	int ret = 0;

	metadata.virtual_disk_id = set->disk_id;
	metadata.physical_sector_size = set->physical_sector_size;
	if (set->parent)
		ret = put_locator(img, edit, set);
	if (!ret && set->reset_disk_id)
		ret = vhdx_items_replace_value(img, edit,
					       &vhdx_guid_virtual_disk_id,
					       &metadata);
	if (!ret && set->physical_sector_size &&
	    set->physical_sector_size != img->metadata.physical_sector_size)
		ret = vhdx_items_replace_value(img, edit,
					       &vhdx_guid_physical_sector_size,
					       &metadata);
	return ret;
}

/**
 * vhdx_image_set() - change what an image says of itself
 * @img: open with VHDX_OPEN_EDIT; nobody else uses it. It is to be closed after
 *	this: it does not know what has changed.
 * @set: what is to change
 * @err: filled in on failure
 *
 * Context: process context, may sleep; writes and flushes the file.
 * Return: 0 and it is durable; as vhdx_set_check(); -EILSEQ or -ENAMETOOLONG: of
 * the path; -ENOSPC: the metadata region has no room for the parent locator, or
 * the host none for the log; or what the file's operations answered. Of any failure
 * the image is as it was, or all that was to change has.
 */
int vhdx_image_set(struct vhdx_image *img, struct vhdx_set *set,
		   struct vhdx_error *err)
{
	struct vhdx_edit *edit = NULL;
	int ret;

	ret = vhdx_set_check(img, set, err);
	if (ret)
		return ret;
	set->disk_id = img->metadata.virtual_disk_id;
	if (set->reset_disk_id)
		guid_gen(&set->disk_id);
	ret = vhdx_edit_begin(img, &edit);
	if (!ret)
		ret = put_all(img, edit, set);
	if (!ret && set->visible)
		vhdx_edit_set_visible(edit);
	if (!ret)
		ret = vhdx_edit_commit(edit);
	vhdx_edit_free(edit);
	return ret ? vhdx_fail(err, ret, "metadata", NULL,
			       img->metadata_region->file_offset,
			       vhdx_items_reason(ret, "cannot be changed")) :
		     0;
}
