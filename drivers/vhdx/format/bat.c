// SPDX-License-Identifier: GPL-2.0
/*
 * The block allocation table: where its entries are and what one may hold
 * (MS-VHDX 2.4, 2.5).
 */
#include "format.h"

/**
 * vhdx_geometry_init - what follows from the sizes of an image
 * @geo: filled in
 * @metadata: decoded and checked
 *
 * MS-VHDX 2.4, 2.5. A fixed or dynamic image needs no entry behind its last
 * payload block, a differencing one has whole chunks.
 *
 * Context: any.
 */
void vhdx_geometry_init(struct vhdx_geometry *geo,
			const struct vhdx_metadata *metadata)
{
	u64 last_block;

	geo->disk_size = metadata->virtual_disk_size;
	geo->has_parent = metadata->has_parent;
	geo->block_shift = ilog2(metadata->block_size);
	geo->sector_shift = ilog2(metadata->logical_sector_size);
	geo->chunk_ratio_shift = VHDX_SECTORS_PER_CHUNK_SHIFT + geo->sector_shift -
				 geo->block_shift;

	last_block = (geo->disk_size - 1) >> geo->block_shift;
	geo->payload_blocks = last_block + 1;
	geo->chunks = (last_block >> geo->chunk_ratio_shift) + 1;
	if (geo->has_parent)
		geo->bat_entries = vhdx_bat_bitmap_index(geo, geo->chunks - 1) + 1;
	else
		geo->bat_entries = vhdx_bat_payload_index(geo, last_block) + 1;
}

/**
 * vhdx_bat_payload_index - where a payload block's entry is
 * @geo: of the image
 * @block: payload block, less than @geo->payload_blocks
 *
 * Context: any.
 * Return: index into the BAT.
 */
u64 vhdx_bat_payload_index(const struct vhdx_geometry *geo, u64 block)
{
	return block + (block >> geo->chunk_ratio_shift);
}

/**
 * vhdx_bat_payload_block - whose entry a payload block's is
 * @geo: of the image
 * @index: into the BAT, less than 2^32; a payload entry
 *
 * Context: any.
 * Return: the payload block.
 */
u64 vhdx_bat_payload_block(const struct vhdx_geometry *geo, u64 index)
{
	return index - vhdx_bat_chunk(geo, index);
}

/**
 * vhdx_bat_bitmap_index - where a sector bitmap block's entry is
 * @geo: of the image
 * @chunk: less than @geo->chunks
 *
 * Context: any.
 * Return: index into the BAT; in a fixed or dynamic image the last one may be
 * past the end of it.
 */
u64 vhdx_bat_bitmap_index(const struct vhdx_geometry *geo, u64 chunk)
{
	return ((chunk + 1) << geo->chunk_ratio_shift) + chunk;
}

/**
 * vhdx_bat_index_is_bitmap - whose entry is it
 * @geo: of the image
 * @index: into the BAT, less than 2^32: no region is longer than 4 GiB
 *
 * Context: any.
 * Return: true when it is a sector bitmap block's, false when a payload
 * block's.
 */
bool vhdx_bat_index_is_bitmap(const struct vhdx_geometry *geo, u64 index)
{
	const u32 chunk_ratio = 1U << geo->chunk_ratio_shift;

	return (u32)index % (chunk_ratio + 1) == chunk_ratio;
}

/**
 * vhdx_bat_chunk - which chunk an entry belongs to
 * @geo: of the image
 * @index: into the BAT, less than 2^32; a payload or a sector bitmap entry
 *
 * Context: any.
 * Return: the chunk.
 */
u64 vhdx_bat_chunk(const struct vhdx_geometry *geo, u64 index)
{
	return (u32)index / ((1U << geo->chunk_ratio_shift) + 1);
}

/**
 * vhdx_bat_entry_has_space - does an entry own space in the file
 * @entry: a payload or sector bitmap entry that vhdx_bat_entry_check() passed
 *
 * The offset is reserved in states NOT_PRESENT and ZERO; in UNDEFINED and
 * UNMAPPED it may still be there (MS-VHDX 2.5.1.1).
 *
 * Context: any.
 * Return: true when it does: the space at vhdx_bat_offset() is in use.
 */
bool vhdx_bat_entry_has_space(u64 entry)
{
	switch (vhdx_bat_state(entry)) {
	case VHDX_PAYLOAD_UNDEFINED:
	case VHDX_PAYLOAD_UNMAPPED:
	case VHDX_PAYLOAD_UNMAPPED_V095:
		return vhdx_bat_offset(entry) != 0;
	case VHDX_PAYLOAD_FULLY_PRESENT:	/* a bitmap's PRESENT too */
	case VHDX_PAYLOAD_PARTIALLY_PRESENT:
		return true;
	default:
		return false;
	}
}

/**
 * vhdx_bat_entry_is_cut - does a block lack data that the disk has
 * @geo: of the image
 * @index: into the BAT
 * @entry: a payload or sector bitmap entry that vhdx_bat_entry_check() passed
 * @file_size: bytes
 *
 * What the last block has for behind the end of the disk, writers leave out, and
 * nothing is lost with it. A PARTIALLY_PRESENT block counts as whole.
 *
 * Context: any.
 * Return: true when some of it lies past the end of the file.
 */
bool vhdx_bat_entry_is_cut(const struct vhdx_geometry *geo, u64 index, u64 entry,
			   u64 file_size)
{
	const bool bitmap = vhdx_bat_index_is_bitmap(geo, index);
	const u32 shift = bitmap ?
		VHDX_SECTORS_PER_CHUNK_SHIFT + geo->sector_shift :
		geo->block_shift;
	const u64 start = (bitmap ? vhdx_bat_chunk(geo, index) :
				    vhdx_bat_payload_block(geo, index)) << shift;
	u64 length;

	if (vhdx_bat_state(entry) < VHDX_PAYLOAD_FULLY_PRESENT ||
	    start >= geo->disk_size)
		return false;
	length = min(geo->disk_size - start, 1ULL << shift);
	if (bitmap)
		length = (length + (8ULL << geo->sector_shift) - 1) >>
			 (geo->sector_shift + 3);
	return vhdx_bat_offset(entry) + length > file_size;
}

/* NULL, or what is wrong with the entry's state. */
static const char *check_state(const struct vhdx_geometry *geo, bool bitmap,
			       unsigned int state)
{
	if (bitmap) {
		if (state == VHDX_BITMAP_NOT_PRESENT)
			return NULL;
		if (state != VHDX_BITMAP_PRESENT)
			return "a reserved state";
		return geo->has_parent ? NULL :
			"a sector bitmap block in an image without parent";
	}
	switch (state) {
	case VHDX_PAYLOAD_NOT_PRESENT:
	case VHDX_PAYLOAD_UNDEFINED:
	case VHDX_PAYLOAD_ZERO:
	case VHDX_PAYLOAD_UNMAPPED:
	case VHDX_PAYLOAD_UNMAPPED_V095:
	case VHDX_PAYLOAD_FULLY_PRESENT:
		return NULL;
	case VHDX_PAYLOAD_PARTIALLY_PRESENT:
		return geo->has_parent ? NULL :
			"a partially present block in an image without parent";
	default:
		return "a reserved state";
	}
}

/**
 * vhdx_bat_entry_check - the rules for one entry by itself
 * @geo: of the image
 * @index: into the BAT
 * @entry: its value, in the CPU's byte order
 * @entry_offset: where the entry lies, bytes from the start of the file
 * @file_size: bytes. A block must start inside; the last one of a file may end
 *	past it, as QEMU writes it.
 * @err: filled in on failure
 *
 * MS-VHDX 2.5.1. That blocks overlap nothing is the caller's to check.
 *
 * Context: any.
 * Return: 0 or -EUCLEAN.
 */
int vhdx_bat_entry_check(const struct vhdx_geometry *geo, u64 index, u64 entry,
			 u64 entry_offset, u64 file_size,
			 struct vhdx_error *err)
{
	const bool bitmap = vhdx_bat_index_is_bitmap(geo, index);
	const char *name = bitmap ? "sector bitmap BAT entry" : "payload BAT entry";
	const char *reason;

	if (entry & VHDX_BAT_RESERVED_MASK)
		return vhdx_fail_value(err, -EUCLEAN, name, "Reserved", entry_offset,
				       entry, "reserved bits are set");
	reason = check_state(geo, bitmap, vhdx_bat_state(entry));
	if (reason)
		return vhdx_fail_value(err, -EUCLEAN, name, "State", entry_offset,
				       entry, reason);
	if (!vhdx_bat_entry_has_space(entry))
		return 0;
	if (vhdx_bat_offset(entry) < VHDX_HEADER_SECTION_SIZE)
		return vhdx_fail_value(err, -EUCLEAN, name, "FileOffsetMB", entry_offset,
				       entry, "the block overlaps the header section");
	if (vhdx_bat_offset(entry) >= file_size)
		return vhdx_fail_value(err, -EUCLEAN, name, "FileOffsetMB", entry_offset,
				       entry, "the block lies past the end of the file");
	return 0;
}
