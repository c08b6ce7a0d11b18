// SPDX-License-Identifier: GPL-2.0
/*
 * Another size for the virtual disk (MS-VHDX 2.5, 2.6.2.2).
 *
 * The size changes by one edit (see edit.c), and that is when everything else
 * counts. What is written before it lies where an image of the old size looks for
 * nothing: in the part of its last block that is past its end, in entries of the BAT
 * behind its last one, in space that is free, in a new place for the BAT. So these
 * need no order of their own, and a cut before the edit leaves the old disk.
 *
 * A page of the BAT that has entries of the old disk too is not written in place
 * but by the edit, for a torn page would lose those.
 *
 * The other way round, the entries of blocks that a smaller disk does not have are
 * cleared by the edit that makes it smaller, and their space is free only after it:
 * never are they there and their blocks not, nor the disk's size and not they.
 *
 * What was behind the end of the disk must not come back when it grows: the end of
 * the last block is zeroed, and all entries behind the last one are written, each
 * time. Of a parent that is larger nothing may show through either; such a child
 * does not grow.
 */
#include "block_map.h"
#include "edit.h"
#include "internal.h"
#include "items.h"
#include "journal.h"
#include "resize.h"

#define PAGE_BYTES	VHDX_LOG_SECTOR_SIZE
#define PAGE_ENTRIES	(PAGE_BYTES / sizeof(__le64))

/**
 * struct resize - a change of size under way
 * @img: the image
 * @edit: what changes at once
 * @err: why it failed
 * @metadata: of the new disk
 * @geometry: likewise
 * @fresh: offset of the new blocks of a fixed image, bytes
 * @freed: bytes of the payload blocks with data that a smaller disk has not
 * @page: PAGE_BYTES, to put entries together in
 */
struct resize {
	struct vhdx_image *img;
	struct vhdx_edit *edit;
	struct vhdx_error *err;
	struct vhdx_metadata metadata;
	struct vhdx_geometry geometry;
	u64 fresh;
	u64 freed;
	__le64 *page;
};

static int fail(struct resize *r, int ret, const char *structure, u64 offset,
		const char *reason)
{
	return vhdx_fail(r->err, ret, structure, NULL, offset, reason);
}

static u64 bat_bytes(const struct vhdx_geometry *geo)
{
	return geo->bat_entries * sizeof(__le64);
}

/* --- the size ----------------------------------------------------------------------- */

/* By the rules that an image is opened by. */
static int check_size(struct resize *r, u64 size)
{
	u8 buf[VHDX_METADATA_FIXED_ITEM_SIZE];
	u64 offset = r->img->metadata_region->file_offset;
	const struct vhdx_metadata_item *item =
		vhdx_metadata_find(r->img->metadata_table,
				   &vhdx_guid_virtual_disk_size);
	struct vhdx_metadata decoded;
	int ret;

	r->metadata = r->img->metadata;
	r->metadata.virtual_disk_size = size;
	vhdx_metadata_item_encode(&vhdx_guid_virtual_disk_size, &r->metadata,
				  buf);
	ret = vhdx_metadata_item_decode(item, buf, offset, &decoded, r->err);
	if (!ret)
		ret = vhdx_metadata_check(&r->metadata, r->img->metadata_table,
					  offset, r->err);
	if (!ret)
		vhdx_geometry_init(&r->geometry, &r->metadata);
	return ret;
}

static int edit_size(struct resize *r)
{
	return vhdx_items_replace_value(r->img, r->edit,
					&vhdx_guid_virtual_disk_size,
					&r->metadata);
}

/* --- entries that a disk has no blocks for ------------------------------------------- */

static int clear_range(struct resize *r, u64 from, u64 to)
{
	static const __le64 zeros[PAGE_ENTRIES];
	u64 bat = r->img->bat_region->file_offset;
	u64 first = ALIGN(from, PAGE_ENTRIES);
	u64 last = ALIGN_DOWN(to, PAGE_ENTRIES);
	u64 head = min(first, to);
	int ret = 0;

	if (from < head)
		ret = vhdx_edit_write(r->edit, bat + from * sizeof(*zeros),
				      zeros, (head - from) * sizeof(*zeros));
	if (!ret && first < last)
		ret = vhdx_edit_zero(r->edit, bat + first * sizeof(*zeros),
				     (last - first) * sizeof(*zeros));
	if (!ret && first <= last && last < to)
		ret = vhdx_edit_write(r->edit, bat + last * sizeof(*zeros),
				      zeros, (to - last) * sizeof(*zeros));
	return ret;
}

/* Calls @fn for the entries of the BAT that a disk of @geo has not. */
static int for_lost_entries(struct resize *r, const struct vhdx_geometry *geo,
			    int (*fn)(struct resize *r, u64 from, u64 to))
{
	u64 from = vhdx_bat_payload_index(geo, geo->payload_blocks - 1) + 1;
	u64 bitmap = vhdx_bat_bitmap_index(geo, geo->chunks - 1);
	u64 to = r->img->geometry.bat_entries;
	int ret;

	/* The chunk that the disk ends in keeps its bitmap block. */
	ret = from < min(bitmap, to) ? fn(r, from, min(bitmap, to)) : 0;
	if (!ret && bitmap + 1 < to)
		ret = fn(r, bitmap + 1, to);
	return ret;
}

static int free_range(struct resize *r, u64 from, u64 to)
{
	struct vhdx_image *img = r->img;
	u64 index = from;

	while ((index = vhdx_block_map_next(img->map, index)) < to) {
		u64 entry = vhdx_block_map_entry(img->map, index);
		bool bitmap = vhdx_bat_index_is_bitmap(&img->geometry, index);
		u64 length = bitmap ? VHDX_MIB : 1ULL << img->geometry.block_shift;

		if (vhdx_bat_entry_has_space(entry)) {
			vhdx_space_unclaim(img->space, vhdx_bat_offset(entry),
					   length);
			if (!bitmap && vhdx_bat_state(entry) >=
				       VHDX_PAYLOAD_FULLY_PRESENT)
				r->freed += length;
		}
		index++;
	}
	return 0;
}

/* --- growing ------------------------------------------------------------------------ */

static int check_parent(struct resize *r)
{
	const struct vhdx_image *parent = r->img->parent;

	if (!r->img->metadata.has_parent)
		return 0;
	if (!parent)
		return fail(r, -ENOLINK, "file", 0,
			    "a differencing image cannot grow without its parent");
	if (parent->metadata.virtual_disk_size >
	    r->img->metadata.virtual_disk_size)
		return fail(r, -EOPNOTSUPP, "file", 0,
			    "its parent is larger, and what that has past the end of this one would appear");
	return 0;
}

static int zero_past_end(struct resize *r)
{
	const struct vhdx_image *img = r->img;
	const struct vhdx_geometry *geo = &img->geometry;
	u32 used = geo->disk_size & ((1ULL << geo->block_shift) - 1);
	u64 entry, offset;
	int ret;

	entry = vhdx_block_map_entry(img->map,
				     vhdx_bat_payload_index(geo, geo->payload_blocks - 1));
	if (!used || !vhdx_bat_entry_has_space(entry))
		return 0;
	offset = vhdx_bat_offset(entry) + used;
	ret = img->file->ops->zero(img->file, offset,
				   (1ULL << geo->block_shift) - used,
				   !img->metadata.leave_blocks_allocated);
	return ret ? fail(r, ret, "payload block", offset,
			  "cannot be zeroed past the end of the disk") : 0;
}

/* A fixed image has all its blocks in the file, and zeros in the new ones. */
static int place_blocks(struct resize *r)
{
	struct vhdx_image *img = r->img;
	u64 blocks = r->geometry.payload_blocks - img->geometry.payload_blocks;
	u64 length = blocks << img->geometry.block_shift;
	int ret;

	if (!img->metadata.leave_blocks_allocated || !blocks)
		return 0;
	ret = vhdx_edit_place(r->edit, length, &r->fresh);
	if (!ret)
		ret = img->file->ops->zero(img->file, r->fresh, length, false);
	return ret ? fail(r, ret, "file", img->file_size,
			  "there is no room for its new blocks") : 0;
}

/* Of the new disk. */
static u64 entry_of(const struct resize *r, u64 index)
{
	const struct vhdx_geometry *old = &r->img->geometry;
	const struct vhdx_geometry *geo = &r->geometry;
	bool bitmap = vhdx_bat_index_is_bitmap(geo, index);
	u64 block = vhdx_bat_payload_block(geo, index);

	if (index < old->bat_entries && (bitmap || block < old->payload_blocks))
		return vhdx_block_map_entry(r->img->map, index);
	if (index >= geo->bat_entries || !r->fresh || bitmap)
		return 0;
	return (r->fresh + ((block - old->payload_blocks) << geo->block_shift)) |
	       VHDX_PAYLOAD_FULLY_PRESENT;
}

/* Returns whether there is anything but zeros in it. */
static bool fill_page(struct resize *r, u64 page)
{
	bool any = false;
	u32 i;

	for (i = 0; i < PAGE_ENTRIES; i++) {
		u64 entry = entry_of(r, page * PAGE_ENTRIES + i);

		r->page[i] = cpu_to_le64(entry);
		any |= entry;
	}
	return any;
}

/* Pages that no entry of the old disk is in, or a whole new BAT. */
static int write_pages(struct resize *r, u64 bat, u64 first, bool zeroed)
{
	u64 end = DIV_ROUND_UP(r->geometry.bat_entries, PAGE_ENTRIES);
	struct vhdx_file *file = r->img->file;
	u64 page;
	int ret;

	for (page = first; page < end; page++) {
		if (!fill_page(r, page) && zeroed)
			continue;
		ret = file->ops->write(file, r->page, PAGE_BYTES,
				       bat + page * PAGE_BYTES);
		if (ret)
			return fail(r, ret, "BAT", bat, "cannot be written");
		cond_resched();
	}
	return 0;
}

/* Behind the old entries there is room. */
static int extend_bat(struct resize *r)
{
	u64 bat = r->img->bat_region->file_offset;
	u64 entries = r->img->geometry.bat_entries;
	u64 first = DIV_ROUND_UP(entries, PAGE_ENTRIES);
	u64 data;
	int ret;

	if (entries % PAGE_ENTRIES) {
		fill_page(r, first - 1);
		ret = vhdx_edit_write(r->edit, bat + (first - 1) * PAGE_BYTES,
				      r->page, PAGE_BYTES);
		if (ret)
			return fail(r, ret, "BAT", bat, "cannot be read");
	}
	ret = vhdx_image_next_data(r->img, bat + first * PAGE_BYTES, &data);
	if (ret)
		return fail(r, ret, "BAT", bat, "cannot be read");
	return write_pages(r, bat, first,
			   data >= bat + ALIGN(bat_bytes(&r->geometry), PAGE_BYTES));
}

/* Who made the disk smaller may have left them where the new one has blocks. */
static int clear_stale(struct resize *r, u64 from, u64 to)
{
	return vhdx_block_map_next(r->img->map, from) < to ?
	       clear_range(r, from, to) : 0;
}

/* With room for a quarter more: the next time it need not move again. */
static int move_bat(struct resize *r)
{
	struct vhdx_file *file = r->img->file;
	u64 needed = bat_bytes(&r->geometry), bat;
	u64 length = ALIGN(needed + needed / 4, VHDX_MIB);
	int ret;

	ret = vhdx_edit_place(r->edit, length, &bat);
	if (!ret)
		ret = file->ops->zero(file, bat, length, false);
	if (ret)
		return fail(r, ret, "BAT", r->img->bat_region->file_offset,
			    "there is no room for a longer one");
	ret = write_pages(r, bat, 0, true);
	if (ret)
		return ret;
	ret = vhdx_edit_region(r->edit, r->img->bat_region, bat, length);
	return ret ? fail(r, ret, "region table", r->img->regions->offset,
			  "cannot be changed") : 0;
}

static int grow(struct resize *r)
{
	struct vhdx_image *img = r->img;
	u64 old = img->bat_region->file_offset;
	u32 old_length = img->bat_region->length;
	bool moves = bat_bytes(&r->geometry) > old_length;
	int ret;

	ret = zero_past_end(r);
	if (!ret)
		ret = place_blocks(r);
	if (!ret && !moves)
		ret = for_lost_entries(r, &img->geometry, clear_stale);
	if (!ret)
		ret = moves ? move_bat(r) : extend_bat(r);
	if (!ret)
		ret = edit_size(r);
	vhdx_edit_set_visible(r->edit);
	if (!ret)
		ret = vhdx_edit_commit(r->edit);
	if (!ret && moves)
		vhdx_space_unclaim(img->space, old, old_length);
	return ret;
}

/* --- shrinking ---------------------------------------------------------------------- */

/* With LeaveBlocksAllocated: all of the smaller disk's blocks have room up to there. */
static u64 new_limit(const struct resize *r)
{
	const struct vhdx_geometry *geo = &r->geometry;
	u64 present = vhdx_image_allocated(r->img) - r->freed;
	u64 end = vhdx_space_end(r->img->space);

	return end + (geo->payload_blocks << geo->block_shift) - present;
}

static int shrink(struct resize *r)
{
	struct vhdx_journal *j = r->img->journal;
	int ret;

	ret = for_lost_entries(r, &r->geometry, clear_range);
	if (!ret)
		ret = edit_size(r);
	vhdx_edit_set_visible(r->edit);
	if (!ret)
		ret = vhdx_edit_commit(r->edit);
	if (ret)
		return fail(r, ret, "BAT", r->img->bat_region->file_offset,
			    "cannot be changed");
	for_lost_entries(r, &r->geometry, free_range);
	j->cut_limit = min(j->cut_limit, new_limit(r));
	return 0;
}

/* ------------------------------------------------------------------------------------- */

/**
 * vhdx_image_resize() - give the virtual disk another size
 * @img: open for writing, or with VHDX_OPEN_EDIT; nobody else uses it, and what
 *	guests have written is finished. A differencing image that is to grow has its
 *	parent.
 * @size: of the disk, bytes
 * @err: filled in on failure
 *
 * What a larger disk gets reads as zeros; of a smaller one what is behind its end is
 * lost. Afterwards @img knows the old disk: vhdx_image_finish() is all that may be
 * called before it is closed, and opened again.
 *
 * Context: process context, may sleep; writes and flushes the file. As long as
 * zeroing the new blocks of a fixed image takes.
 * Return: 0, and the new size is durable; -EUCLEAN: it breaks a rule, which @err
 * names; -ENOLINK, -EOPNOTSUPP: a child that cannot grow; -EFBIG, -ENOMEM, or what
 * the file's operations answered. The disk has its old size after a failure, or has
 * either once the image was opened again where vhdx_image_failed() says so.
 * MS-VHDX 2.5, 2.6.2.2.
 */
int vhdx_image_resize(struct vhdx_image *img, u64 size, struct vhdx_error *err)
{
	struct resize r = { .img = img, .err = err };
	bool grows = size > img->metadata.virtual_disk_size;
	int ret;

	memset(err, 0, sizeof(*err));
	if (size == img->metadata.virtual_disk_size)
		return 0;
	ret = check_size(&r, size);
	if (!ret && grows)
		ret = check_parent(&r);
	if (ret)
		return ret;
	r.page = kmalloc(PAGE_BYTES, GFP_KERNEL);
	if (!r.page || vhdx_edit_begin(img, &r.edit)) {
		kfree(r.page);
		return vhdx_no_memory(err, "BAT", img->bat_region->file_offset);
	}
	ret = vhdx_edit_first_change(r.edit, false);
	if (!ret)
		ret = grows ? grow(&r) : shrink(&r);
	if (ret && !err->errnum)
		fail(&r, ret, "file", 0, "cannot be changed");
	vhdx_edit_free(r.edit);
	kfree(r.page);
	return ret;
}
