// SPDX-License-Identifier: GPL-2.0
/*
 * A chain of images: a differencing image, its parent, that one's parent and so
 * on to one that has none (MS-VHDX 2.4, 2.6.2.6).
 */
#include "bitmap.h"
#include "block_map.h"
#include "internal.h"

static int no_such_parent(const struct vhdx_image *img,
			  const struct vhdx_image *parent,
			  struct vhdx_error *err)
{
	const struct vhdx_metadata_item *item =
		vhdx_metadata_find(img->metadata_table,
				   &vhdx_guid_parent_locator);

	return vhdx_fail_guids(err, -ESTALE, "parent locator", "parent_linkage",
			       img->metadata_region->file_offset + item->offset,
			       &img->locator.parent_linkage,
			       "the parent is another image or was changed, its DataWriteGuid is",
			       &vhdx_image_header(parent)->data_write_guid);
}

static bool is_linked(const struct vhdx_image *img,
		      const struct vhdx_image *parent)
{
	const guid_t *guid = &vhdx_image_header(parent)->data_write_guid;

	/* Windows fills parent_linkage2 with zeros. */
	if (guid_is_null(guid))
		return false;
	return guid_equal(guid, &img->locator.parent_linkage) ||
	       (img->locator.has_parent_linkage2 &&
		guid_equal(guid, &img->locator.parent_linkage2));
}

/**
 * vhdx_image_check_parent() - may an image be the parent of another
 * @img: open, with or without a parent
 * @parent: open, with or without its own
 * @flags: 0 or VHDX_OPEN_IGNORE_ID_MISMATCH
 * @err: filled in on failure
 *
 * Context: any.
 * Return: 0; -ESTALE: not the one that @img was made from; -EUCLEAN: it has
 * sectors of another size; -EINVAL: @img has no parent. MS-VHDX 2.6.2.6.3.
 */
int vhdx_image_check_parent(const struct vhdx_image *img,
			    const struct vhdx_image *parent,
			    unsigned int flags, struct vhdx_error *err)
{
	if (!img->metadata.has_parent)
		return vhdx_fail(err, -EINVAL, "file", NULL, 0,
				 "the image has no parent, and was given one");
	if (parent->metadata.logical_sector_size !=
	    img->metadata.logical_sector_size)
		return vhdx_fail_value(err, -EUCLEAN, "metadata item",
				       "LogicalSectorSize",
				       img->metadata_region->file_offset +
				       vhdx_metadata_find(img->metadata_table,
							  &vhdx_guid_logical_sector_size)->offset,
				       img->metadata.logical_sector_size,
				       "the parent has another");
	if (!is_linked(img, parent) && !(flags & VHDX_OPEN_IGNORE_ID_MISMATCH))
		return no_such_parent(img, parent, err);
	return 0;
}

/**
 * vhdx_chain_link() - give an image its parent
 * @img: with its headers, metadata and geometry; receives @img->parent
 * @parent: open; has all of its own parents
 * @flags: of vhdx_image_open_child()
 * @err: filled in on failure
 *
 * Context: process context.
 * Return: 0; -ESTALE: not the parent that @img was made from; -ELOOP; -EUCLEAN;
 * -EINVAL: @img has no parent. MS-VHDX 2.6.2.6.3.
 */
int vhdx_chain_link(struct vhdx_image *img, struct vhdx_image *parent,
		    unsigned int flags, struct vhdx_error *err)
{
	const struct vhdx_image *ancestor;
	u32 depth = 0;
	int ret;

	for (ancestor = parent; ancestor; ancestor = ancestor->parent) {
		if (ancestor->file == img->file)
			return vhdx_fail(err, -ELOOP, "file", NULL, 0,
					 "the image is its own parent");
		if (++depth > VHDX_MAX_PARENTS)
			return vhdx_fail(err, -ELOOP, "file", NULL, 0,
					 "more than 64 parents");
	}
	if (parent->metadata.has_parent && !parent->parent)
		return vhdx_fail(err, -ENOLINK, "file", NULL, 0,
				 "the parent is a differencing image, and its own parent is missing");
	ret = vhdx_image_check_parent(img, parent, flags, err);
	if (ret)
		return ret;
	img->parent = parent;
	return 0;
}

/* Of a PARTIALLY_PRESENT block: as the bits say. */
static int look_at_bits(const struct vhdx_image *img, u64 pos, u64 entry,
			struct vhdx_extent *extent)
{
	const struct vhdx_geometry *geo = &img->geometry;
	u64 in_sector = pos & ((1ULL << geo->sector_shift) - 1);
	u64 sectors = (in_sector + extent->length +
		       (1ULL << geo->sector_shift) - 1) >> geo->sector_shift;
	bool present;
	u64 run;
	int ret;

	ret = vhdx_bitmaps_run(img, pos >> geo->sector_shift, sectors, &present,
			       &run);
	if (ret)
		return ret;
	extent->length = min(extent->length,
			     (run << geo->sector_shift) - in_sector);
	if (present) {
		extent->type = VHDX_EXTENT_FILE;
		extent->offset = vhdx_bat_offset(entry) +
				 (pos & ((1ULL << geo->block_shift) - 1));
	} else {
		extent->type = VHDX_EXTENT_PARENT;
	}
	return 0;
}

/**
 * vhdx_chain_look() - find what an image itself says of a piece of its disk
 * @img: open
 * @pos: bytes from the start of the virtual disk; may lie past its end
 * @length: bytes, more than 0
 * @extent: receives the piece at @pos, at most @length bytes and never past the
 *	end of the block; of type PARENT where it is not in this image
 *
 * Every state but NOT_PRESENT, FULLY_PRESENT and PARTIALLY_PRESENT reads as
 * zeros, and NOT_PRESENT without a parent: of the answers that the specification
 * allows, that is the one that stays the same and leaks nothing. So does what
 * lies past the end of a parent that is shorter than its child.
 *
 * Context: any, takes no lock. MS-VHDX 2.5.1.1.
 * Return: 0, or -EAGAIN: vhdx_image_load() first; @extent->image says whose
 * bitmap is missing.
 */
int vhdx_chain_look(const struct vhdx_image *img, u64 pos, u64 length,
		    struct vhdx_extent *extent)
{
	const struct vhdx_geometry *geo = &img->geometry;
	u64 block_size = 1ULL << geo->block_shift;
	u64 in_block = pos & (block_size - 1);
	u64 entry;

	extent->image = img;
	extent->type = VHDX_EXTENT_ZERO;
	extent->offset = 0;
	if (pos >= geo->disk_size) {
		extent->length = length;
		return 0;
	}
	extent->length = min(length, min(block_size - in_block,
					 geo->disk_size - pos));
	entry = vhdx_block_map_entry(img->map,
				     vhdx_bat_payload_index(geo, pos >> geo->block_shift));
	switch (vhdx_bat_state(entry)) {
	case VHDX_PAYLOAD_FULLY_PRESENT:
		extent->type = VHDX_EXTENT_FILE;
		extent->offset = vhdx_bat_offset(entry) + in_block;
		break;
	case VHDX_PAYLOAD_PARTIALLY_PRESENT:
		return look_at_bits(img, pos, entry, extent);
	case VHDX_PAYLOAD_NOT_PRESENT:
		if (geo->has_parent)
			extent->type = VHDX_EXTENT_PARENT;
		break;
	}
	return 0;
}

/* One piece; neighbours may go on where it ends. */
static int find(const struct vhdx_image *img, u64 pos, u64 length,
		struct vhdx_extent *extent)
{
	int ret;

	for (; img; img = img->parent) {
		ret = vhdx_chain_look(img, pos, length, extent);
		if (ret || extent->type != VHDX_EXTENT_PARENT)
			return ret;
		length = extent->length;
	}
	/* A differencing image that was opened by itself. */
	extent->type = VHDX_EXTENT_ZERO;
	return 0;
}

static bool goes_on(const struct vhdx_extent *extent,
		    const struct vhdx_extent *next)
{
	if (next->type != extent->type)
		return false;
	return extent->type == VHDX_EXTENT_ZERO ||
	       (next->image == extent->image &&
		next->offset == extent->offset + extent->length);
}

/**
 * vhdx_image_map() - find where a piece of the virtual disk is
 * @img: an open image
 * @pos: bytes from the start of the virtual disk
 * @length: bytes, more than 0; @pos + @length lies inside the disk
 * @extent: receives the piece at @pos, at most @length bytes and never past the
 *	end of @img's block; as long as it goes on in one place
 *
 * Context: any, takes no lock. MS-VHDX 2.5.1.1.
 * Return: 0; -EAGAIN when a sector bitmap is not in memory, which does not happen
 * to an image without a parent: vhdx_image_load(), and again.
 */
int vhdx_image_map(const struct vhdx_image *img, u64 pos, u64 length,
		   struct vhdx_extent *extent)
{
	u64 block_size = 1ULL << img->geometry.block_shift;
	struct vhdx_extent next;
	int ret;

	length = min(length, block_size - (pos & (block_size - 1)));
	ret = find(img, pos, length, extent);
	while (!ret && extent->length < length) {
		ret = find(img, pos + extent->length, length - extent->length,
			   &next);
		if (ret || !goes_on(extent, &next))
			break;
		extent->length += next.length;
	}
	return ret;
}

/**
 * vhdx_image_locate() - find where a piece of the virtual disk is, and who says so
 * @img: an open image
 * @pos: as for vhdx_image_map()
 * @length: likewise
 * @extent: likewise, but one piece of one block of one image, which is named for
 *	VHDX_EXTENT_ZERO too
 * @state: receives the state of that block, enum vhdx_payload_state;
 *	NOT_PRESENT past the end of a parent that is shorter
 *
 * A differencing image that was opened by itself says NOT_PRESENT or
 * PARTIALLY_PRESENT, and VHDX_EXTENT_ZERO, where its parent would be seen.
 *
 * Context: any, takes no lock. MS-VHDX 2.5.1.1.
 * Return: as vhdx_image_map().
 */
int vhdx_image_locate(const struct vhdx_image *img, u64 pos, u64 length,
		      struct vhdx_extent *extent, u32 *state)
{
	const struct vhdx_geometry *geo;
	u64 index;
	int ret;

	ret = find(img, pos, length, extent);
	if (ret)
		return ret;
	geo = &extent->image->geometry;
	*state = VHDX_PAYLOAD_NOT_PRESENT;
	if (pos >= geo->disk_size)
		return 0;
	index = vhdx_bat_payload_index(geo, pos >> geo->block_shift);
	*state = vhdx_bat_state(vhdx_block_map_entry(extent->image->map, index));
	return 0;
}

/**
 * vhdx_image_load() - read what vhdx_image_map() asks for
 * @img: an open image
 * @pos: bytes from the start of the virtual disk
 * @length: bytes, more than 0; @pos + @length lies inside the disk
 *
 * Context: process context, may sleep; reads files of the chain.
 * Return: 0, and vhdx_image_map() knows all of it, unless memory is so short that
 * it was taken away again; or what reading answered.
 */
int vhdx_image_load(const struct vhdx_image *img, u64 pos, u64 length)
{
	struct vhdx_extent extent;
	int ret;

	while (length) {
		ret = find(img, pos, length, &extent);
		if (!ret) {
			pos += extent.length;
			length -= extent.length;
			continue;
		}
		ret = vhdx_bitmaps_load(extent.image, pos >>
					extent.image->geometry.sector_shift);
		if (ret)
			return ret;
	}
	return 0;
}
