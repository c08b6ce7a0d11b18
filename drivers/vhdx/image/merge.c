// SPDX-License-Identifier: GPL-2.0
/*
 * Merging: what the images of a chain hold is written into one that is below them
 * (MS-VHDX 2.6.1.2, 2.6.2.6.3). Whoever reads the chain reads the same before,
 * after and in between, and after a power cut at any moment. Why that is so:
 *
 * The chain opens. The image that is written to gets a new DataWriteGuid, and its
 * child names its parent by that. So the new one is chosen first, and the child
 * says, in one edit, that its parent has either that or the old one; it is durable
 * before the first change of the image below, whose headers have one or the
 * other from then on. Who goes on after a cut does the same again, with what is
 * the old one then; after a merge that was killed too, whose last header may lie in
 * a cache still: it is flushed before the child forgets the one before.
 *
 * The data is there. Only such sectors are written to that an image above has, and
 * that one hides them. What of these writes has become durable, and in which order,
 * makes no difference to the chain; that they leave the image below whole is
 * journal.c's business.
 *
 * The disk of the image below gets the size of the chain's by vhdx_image_resize().
 * Where it is smaller it grows first: until there is something in what it has got,
 * that reads as zeros, as what is past the end of a parent does. Where it is larger
 * it shrinks last: no child sees what is past its own end, and when the end of the
 * larger disk goes, all of the other is there.
 *
 * The items that belong to the disk are taken from the top of the chain, which
 * keeps them: nobody asks those of an image below. One edit changes all of them.
 *
 * An image between the top and the one that is written to shows something else
 * when that is changed: it is part of this chain, and of no use by itself any more.
 * Other children that it may have, whom nobody knows, must not take it for what it
 * was: it gets a new DataWriteGuid before the image below changes. The image above
 * it in the chain goes along, as above: the old one or the new, then the new alone.
 */
#include "edit.h"
#include "internal.h"
#include "items.h"
#include "merge.h"
#include "sync.h"

#define PIECE		0x100000U	/* whole sectors */

/* --- who the parent is ---------------------------------------------------------- */

static int set_locator(struct vhdx_image *child, const void *buf, u32 length)
{
	struct vhdx_edit *edit = NULL;
	int ret;

	ret = vhdx_edit_begin(child, &edit);
	if (!ret)
		ret = vhdx_items_replace(child, edit, &vhdx_guid_parent_locator,
					 buf, length);
	if (!ret)
		ret = vhdx_edit_commit(edit);
	vhdx_edit_free(edit);
	return ret;
}

/**
 * vhdx_merge_link() - say which DataWriteGuid the parent of an image has
 * @child: a differencing image, with VHDX_OPEN_EDIT
 * @linkage: it has this, as vhdx_items_identity() says
 * @linkage2: or this; NULL: nothing else
 * @err: filled in on failure
 *
 * A guest sees none of it: DataWriteGuid of @child stays. What the image had of
 * linkages is forgotten; the open one does not know of it.
 *
 * Context: process context, may sleep; writes and flushes the file.
 * Return: 0 and it is durable; -E2BIG, -ENAMETOOLONG: too many keys, too long;
 * -ENOSPC: the metadata region is full; -ENOMEM or what the file's operations
 * answered. MS-VHDX 2.6.2.6.3 and its note.
 */
int vhdx_merge_link(struct vhdx_image *child, const guid_t *linkage,
		    const guid_t *linkage2, struct vhdx_error *err)
{
	void *buf = kvmalloc(VHDX_MAX_METADATA_ITEM_SIZE, GFP_KERNEL);
	int ret = -ENOMEM;

	if (buf)
		ret = vhdx_items_relink(child, linkage, linkage2, buf);
	if (ret > 0)
		ret = set_locator(child, buf, ret);
	kvfree(buf);
	return ret ? vhdx_fail(err, ret, "parent locator", NULL,
			       child->metadata_region->file_offset,
			       "cannot be changed") : 0;
}

/**
 * vhdx_merge_renew() - give an image another DataWriteGuid, since it will show other data
 * @img: with VHDX_OPEN_EDIT, and the new one in its next_data_write_guid; not changed
 *	since it was opened
 * @err: filled in on failure
 *
 * Context: process context, may sleep; writes and flushes the file.
 * Return: 0 and it is durable; -ENOMEM or what the file's operations answered.
 * MS-VHDX 2.2.2.
 */
int vhdx_merge_renew(struct vhdx_image *img, struct vhdx_error *err)
{
	struct vhdx_edit *edit = NULL;
	int ret;

	ret = vhdx_edit_begin(img, &edit);
	if (!ret)
		ret = vhdx_edit_first_change(edit, true);
	vhdx_edit_free(edit);
	return ret ? vhdx_fail(err, ret, "header", "DataWriteGuid",
			       vhdx_header_offset(img->headers.current_slot),
			       "cannot be changed") : 0;
}

/* --- what is written --------------------------------------------------------------- */

/**
 * struct merging - a merge that runs
 * @top: of the chain
 * @into: the image below
 * @merge: who wants it
 * @buf: PIECE bytes
 * @zero: zeros begin here, bytes on the disk
 * @zero_end: and end here; all that was found so far of them
 */
struct merging {
	const struct vhdx_image *top;
	struct vhdx_image *into;
	struct vhdx_merge *merge;
	u8 *buf;
	u64 zero;
	u64 zero_end;
};

/* Does an image above @into say what is there? */
static bool is_above(const struct vhdx_image *top, const struct vhdx_image *into,
		     const struct vhdx_image *img)
{
	for (; top != into; top = top->parent)
		if (top == img)
			return true;
	return false;
}

static int find_piece(const struct vhdx_image *top,
		      const struct vhdx_image *into, u64 pos,
		      struct vhdx_extent *extent, bool *above)
{
	u32 state;
	int ret;

	ret = vhdx_sync_locate(top, pos, top->geometry.disk_size - pos, extent,
			       &state);
	if (!ret)
		*above = is_above(top, into, extent->image);
	return ret;
}

/**
 * vhdx_merge_measure() - how much a merge has to copy
 * @top: of the chain
 * @into: an image below
 * @bytes: receives it
 *
 * Context: process context, may sleep; reads the sector bitmaps of the chain.
 * Return: 0 or what reading answered.
 */
int vhdx_merge_measure(const struct vhdx_image *top,
		       const struct vhdx_image *into, u64 *bytes)
{
	u64 pos, size = top->geometry.disk_size;
	struct vhdx_extent extent;
	bool above;
	int ret;

	*bytes = 0;
	for (pos = 0; pos < size; pos += extent.length) {
		ret = find_piece(top, into, pos, &extent, &above);
		if (ret)
			return ret;
		if (above && extent.type == VHDX_EXTENT_FILE)
			*bytes += extent.length;
		cond_resched();
	}
	return 0;
}

/* Blocks are cleared as a whole, so zeros are written when all of them are known. */
static int write_zeros(struct merging *m)
{
	u64 pos = m->zero, length = m->zero_end - pos;

	m->zero = m->zero_end;
	return length ? vhdx_sync_zero(m->into, pos, length) : 0;
}

static int add_zeros(struct merging *m, u64 pos, u64 length)
{
	int ret = 0;

	if (pos != m->zero_end) {
		ret = write_zeros(m);
		m->zero = pos;
	}
	m->zero_end = pos + length;
	return ret;
}

static int write_data(struct merging *m, u64 length, u64 pos)
{
	int ret = write_zeros(m);

	return ret ? : vhdx_sync_write(m->into, m->buf, length, pos);
}

/* At most @length bytes; *@done of them. Holes of the file are not read. */
static int copy_piece(struct merging *m, struct vhdx_file *file, u64 offset,
		      u64 pos, u64 length, u64 *done)
{
	u32 sector_size = m->into->metadata.logical_sector_size;
	u64 data;
	int ret;

	ret = file->ops->next_data(file, offset, &data);
	if (ret)
		return ret;
	*done = ALIGN_DOWN(min(length, data - offset), sector_size);
	if (*done)
		return add_zeros(m, pos, *done);
	*done = min_t(u64, length, PIECE);
	ret = file->ops->read(file, m->buf, *done, offset);
	if (ret)
		return ret;
	if (!memchr_inv(m->buf, 0, *done))
		return add_zeros(m, pos, *done);
	return write_data(m, *done, pos);
}

static int copy_extent(struct merging *m, const struct vhdx_extent *extent,
		       u64 pos)
{
	struct vhdx_file *file = extent->image->file;
	u64 at, done;
	int ret = 0;

	for (at = 0; !ret && at < extent->length; at += done) {
		if (m->merge->stop && m->merge->stop(m->merge))
			return -EINTR;
		ret = copy_piece(m, file, extent->offset + at, pos + at,
				 extent->length - at, &done);
		if (!ret && m->merge->progress)
			m->merge->progress(m->merge, done);
		cond_resched();
	}
	return ret;
}

static int merge_piece(struct merging *m, u64 pos, u64 *length)
{
	struct vhdx_extent extent;
	bool above;
	int ret;

	ret = find_piece(m->top, m->into, pos, &extent, &above);
	if (ret)
		return ret;
	*length = extent.length;
	if (!above)
		return 0;
	if (extent.type == VHDX_EXTENT_FILE)
		return copy_extent(m, &extent, pos);
	return add_zeros(m, pos, extent.length);
}

/**
 * vhdx_merge_blocks() - write what the images of a chain hold into one below them
 * @top: of the chain, open for reading above its parents
 * @into: the one of these that is written to, open for writing above its own, and
 *	prepared by vhdx_sync_init(); its disk is not smaller than that of @top
 * @merge: with its callbacks
 *
 * The child of @into accepts the DataWriteGuid that it gets, see
 * vhdx_merge_link(), and vhdx_image_finish() makes all of it durable.
 *
 * Context: process context, may sleep; writes and flushes the file.
 * Return: 0; -EINTR: @merge->stop said so; -ENOMEM or what the files' operations
 * answered. Whoever reads the chain reads the same after any of them.
 */
int vhdx_merge_blocks(const struct vhdx_image *top, struct vhdx_image *into,
		      struct vhdx_merge *merge)
{
	struct merging m = { .top = top, .into = into, .merge = merge };
	u64 pos, length;
	int ret = 0;

	m.buf = kvmalloc(PIECE, GFP_KERNEL);
	if (!m.buf)
		return -ENOMEM;
	for (pos = 0; !ret && pos < top->geometry.disk_size; pos += length) {
		if (merge->stop && merge->stop(merge))
			ret = -EINTR;
		else
			ret = merge_piece(&m, pos, &length);
		cond_resched();
	}
	if (!ret)
		ret = write_zeros(&m);
	kvfree(m.buf);
	return ret;
}

/* --- the items of the disk ------------------------------------------------------------ */

/* Whatever its flags say: these describe the disk, or the file. */
static bool is_of_disk(const struct vhdx_metadata_item *item)
{
	static const guid_t *const of_file[] = {
		&vhdx_guid_file_parameters, &vhdx_guid_parent_locator,
	};
	static const guid_t *const of_disk[] = {
		&vhdx_guid_virtual_disk_size, &vhdx_guid_virtual_disk_id,
		&vhdx_guid_logical_sector_size, &vhdx_guid_physical_sector_size,
	};
	size_t i;

	for (i = 0; !item->is_user && i < ARRAY_SIZE(of_file); i++)
		if (guid_equal(&item->item_id, of_file[i]))
			return false;
	for (i = 0; !item->is_user && i < ARRAY_SIZE(of_disk); i++)
		if (guid_equal(&item->item_id, of_disk[i]))
			return true;
	return item->is_virtual_disk;
}

static bool has_item(const struct vhdx_metadata_table *table,
		     const struct vhdx_metadata_item *item)
{
	u32 i;

	for (i = 0; i < table->count; i++)
		if (table->item[i].is_user == item->is_user &&
		    guid_equal(&table->item[i].item_id, &item->item_id))
			return true;
	return false;
}

static int take_item(struct vhdx_image *into, struct vhdx_edit *edit,
		     const struct vhdx_image *top,
		     const struct vhdx_metadata_item *item,
		     struct vhdx_error *err)
{
	void *buf = kvmalloc(max(item->length, 1U), GFP_KERNEL);
	int ret = 0;

	if (!buf)
		return -ENOMEM;
	if (item->length)
		ret = vhdx_metadata_read_item(top, item, buf, item->length, err);
	if (!ret)
		ret = vhdx_items_put(into, edit, item, buf);
	kvfree(buf);
	return ret;
}

static int change_items(struct vhdx_image *into, struct vhdx_edit *edit,
			const struct vhdx_image *top, struct vhdx_error *err)
{
	const struct vhdx_metadata_table *table = top->metadata_table;
	u32 i;
	int ret = 0;

	for (i = into->metadata_table->count; !ret && i-- > 0; )
		if (is_of_disk(&into->metadata_table->item[i]) &&
		    !has_item(table, &into->metadata_table->item[i]))
			ret = vhdx_items_drop(into, edit, i);
	for (i = 0; !ret && i < table->count; i++)
		if (is_of_disk(&table->item[i]))
			ret = take_item(into, edit, top, &table->item[i], err);
	return ret;
}

static int fail_items(const struct vhdx_image *into, int ret,
		      struct vhdx_error *err)
{
	return ret ? vhdx_fail(err, ret, "metadata table", NULL,
			       into->metadata_region->file_offset,
			       "the items of the disk cannot be put there") : 0;
}

/**
 * vhdx_merge_check_items() - would vhdx_merge_items() find room for the items?
 * @top: of the chain, open
 * @into: the one of its images that they are for, open; to be closed, since its table
 *	is as it would be
 * @err: filled in on failure
 *
 * Context: process context, may sleep; reads the files.
 * Return: 0 or as vhdx_merge_items(). MS-VHDX 2.6.1.2.
 */
int vhdx_merge_check_items(const struct vhdx_image *top,
			   struct vhdx_image *into, struct vhdx_error *err)
{
	return fail_items(into, change_items(into, NULL, top, err), err);
}

/**
 * vhdx_merge_items() - give an image the metadata items of a disk that is merged
 * @top: of the chain, as for vhdx_merge_blocks()
 * @into: likewise, what was written to it is finished, and its disk has that size
 * @err: filled in on failure
 *
 * The open @into does not know of it: it is to be closed. Nothing is written where
 * it has these items already.
 *
 * Context: process context, may sleep; writes and flushes the file.
 * Return: 0 and it is durable; -ENOSPC, -E2BIG: they do not fit; -ENOMEM or what
 * the files' operations answered. MS-VHDX 2.6.1.2.
 */
int vhdx_merge_items(const struct vhdx_image *top, struct vhdx_image *into,
		     struct vhdx_error *err)
{
	struct vhdx_edit *edit = NULL;
	u32 room;
	int ret;

	ret = vhdx_edit_begin(into, &edit);
	if (!ret) {
		room = vhdx_edit_room(edit);
		ret = change_items(into, edit, top, err);
		vhdx_edit_set_visible(edit);
		if (!ret && vhdx_edit_room(edit) < room)
			ret = vhdx_edit_commit(edit);
	}
	vhdx_edit_free(edit);
	return fail_items(into, ret, err);
}
