// SPDX-License-Identifier: GPL-2.0
/*
 * Zeros around small writes to fresh space.
 *
 * A file system below pays for the first write to each place that was allocated and
 * not written, some three times what the write itself costs, and a child gets many
 * small ones. So such a write may have its piece of VHDX_PAD_SIZE zeroed by the same
 * I/O, which pays for the piece once. Nobody sees the zeros: they go to sectors whose
 * bits are clear, and stay clear. They must not go over another write's data: a
 * write pads only when no bit of the piece is set and no other write to it is in
 * flight, and those that come before its end wait for that. Bits of a
 * PARTIALLY_PRESENT block are set and never cleared, and what overwrites sectors
 * finds their bits set; so none gets there unseen. I/O that has failed is taken to be
 * over: the caller does not pad where it may land later. What the host has in space
 * that came with the file is not known; a block's first write may stay its only one;
 * and who goes on where the last write stopped, or begins a block, fills the piece
 * himself. These pay for themselves.
 */
#include "block_map.h"
#include "journal.h"

/* What is zeroed at once, in bytes. */
#define VHDX_PAD_SIZE		0x20000U
#define VHDX_PAD_MAX_WRITE	(VHDX_PAD_SIZE / 8)

/* From where the padding of a write begins to where it ends. */
static bool overlap(const struct vhdx_write *write, u64 start, u64 end)
{
	return write->pos - write->pad_before < end &&
	       write->pos + write->extent.length + write->pad_after > start;
}

/**
 * vhdx_pad_find() - find who zeroes what a write is about to fill
 * @a: the run it is to join
 * @write: with its extent, not one of @a->writes yet
 *
 * Context: under map_sem and the lock of the shard of the block.
 * Return: a write that is in flight, whose end must be waited for; or NULL.
 */
struct vhdx_write *vhdx_pad_find(const struct vhdx_allocation *a,
				 const struct vhdx_write *write)
{
	struct vhdx_write *other;

	if (!a->partial)
		return NULL;
	list_for_each_entry(other, &a->writes, link)
		if (vhdx_write_is_padded(other) &&
		    overlap(other, write->pos,
			    write->pos + write->extent.length))
			return other;
	return NULL;
}

static bool is_being_written(const struct vhdx_allocation *a, u64 start,
			     u64 length)
{
	struct vhdx_write *other;

	list_for_each_entry(other, &a->writes, link)
		if (overlap(other, start, start + length))
			return true;
	return false;
}

/* Of the block's, whose bits are pinned. */
static bool has_data(const struct vhdx_journal *j,
		     const struct vhdx_allocation *a, u64 start, u64 length)
{
	const struct vhdx_geometry *geo = &j->img->geometry;
	u32 i;

	for (i = 0; i < vhdx_block_bits_pages(geo); i++)
		if (!vhdx_bitmap_page_is_empty(a->bits[i],
					       start >> geo->sector_shift,
					       length >> geo->sector_shift))
			return true;
	return false;
}

/* It goes on where others have stopped, or it is the block's first place. */
static bool is_sequential(const struct vhdx_journal *j,
			  const struct vhdx_allocation *a,
			  const struct vhdx_write *write)
{
	u64 sector = 1ULL << j->img->geometry.sector_shift;

	return !(write->pos & ((1ULL << j->img->geometry.block_shift) - 1)) ||
	       has_data(j, a, write->pos - sector, sector) ||
	       is_being_written(a, write->pos - sector, sector);
}

/*
 * A small write to space that the host is likely to have unwritten. One that has
 * waited for padding need not: that has failed, or has left nothing to do.
 */
static bool may_pad(const struct vhdx_journal *j,
		    const struct vhdx_allocation *a,
		    const struct vhdx_write *write)
{
	u64 index = vhdx_bat_payload_index(&j->img->geometry, a->block);
	u64 entry = vhdx_block_map_entry(j->img->map, index);

	return write->may_pad && write->want != VHDX_WANT_PAD &&
	       write->length <= VHDX_PAD_MAX_WRITE &&
	       a->partial && a->offset >= READ_ONCE(j->fresh_from) &&
	       vhdx_bat_state(entry) == VHDX_PAYLOAD_PARTIALLY_PRESENT;
}

/**
 * vhdx_pad() - say what a write is to zero around itself, if anything
 * @j: the journal
 * @a: the run it joins, in which vhdx_pad_find() has found nobody
 * @write: gets its @pad_before and @pad_after, in bytes, and who waits for it;
 *	not one of @a->writes yet
 *
 * Context: under map_sem and the lock of the shard of the block.
 */
void vhdx_pad(const struct vhdx_journal *j, const struct vhdx_allocation *a,
	      struct vhdx_write *write)
{
	u64 piece = ALIGN_DOWN(write->pos, VHDX_PAD_SIZE);
	u64 end = write->pos + write->length;

	if (!may_pad(j, a, write) || end > piece + VHDX_PAD_SIZE ||
	    is_sequential(j, a, write) ||
	    has_data(j, a, piece, VHDX_PAD_SIZE) ||
	    is_being_written(a, piece, VHDX_PAD_SIZE))
		return;
	write->pad_before = write->pos - piece;
	write->pad_after = piece + VHDX_PAD_SIZE - end;
	INIT_LIST_HEAD(&write->waiting);
}
