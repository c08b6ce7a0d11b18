// SPDX-License-Identifier: GPL-2.0
/*
 * The space of the file: one bit for each MiB, the unit that every object is
 * aligned to (MS-VHDX 2.1).
 *
 * An image is hostile until it is checked, and its entries may point anywhere
 * in a sparse file of any size. The bits are kept in leaves of 4 KiB (32 GiB of
 * file each) that exist once something lies there; with structures bounded by
 * VHDX_MAX_FILE_OFFSET that is 32 MiB of leaves at worst.
 */
#include "space.h"

#define LEAF_BYTES	4096U
#define LEAF_SHIFT	15	/* bits, so MiB, of a leaf */
#define LEAF_BITS	(8 * LEAF_BYTES)

struct vhdx_space {
	u64 leaves;
	unsigned long **leaf;
};

/**
 * vhdx_space_create() - a map of a file with nothing in use
 * @size: bytes; no claim may go past it
 *
 * Context: process context, may sleep.
 * Return: the map, or NULL without memory.
 */
struct vhdx_space *vhdx_space_create(u64 size)
{
	struct vhdx_space *space;

	space = kzalloc(sizeof(*space), GFP_KERNEL);
	if (!space)
		return NULL;
	space->leaves = DIV_ROUND_UP(size, VHDX_MIB << LEAF_SHIFT);
	space->leaf = kvcalloc(space->leaves, sizeof(*space->leaf), GFP_KERNEL);
	if (!space->leaf) {
		kfree(space);
		return NULL;
	}
	return space;
}

/**
 * vhdx_space_free() - give a map back
 * @space: may be NULL
 */
void vhdx_space_free(struct vhdx_space *space)
{
	u64 i;

	if (!space)
		return;
	for (i = 0; i < space->leaves; i++)
		kfree(space->leaf[i]);
	kvfree(space->leaf);
	kfree(space);
}

/**
 * vhdx_space_claim() - mark a range as used
 * @space: the map
 * @offset: bytes, a multiple of 1 MiB
 * @length: bytes, rounded up to 1 MiB
 *
 * Context: process context, may sleep.
 * Return: 0; -EEXIST when any of it is in use already; -ENOMEM. On failure part
 * of the range may be marked: the map is of no more use.
 */
int vhdx_space_claim(struct vhdx_space *space, u64 offset, u64 length)
{
	u64 bit = offset / VHDX_MIB;
	u64 end = bit + DIV_ROUND_UP(length, VHDX_MIB);

	for (; bit < end; bit++) {
		unsigned long **leaf = &space->leaf[bit >> LEAF_SHIFT];
		u32 i = bit & (LEAF_BITS - 1);

		if (!*leaf) {
			*leaf = kzalloc(LEAF_BYTES, GFP_KERNEL);
			if (!*leaf)
				return -ENOMEM;
		}
		if ((*leaf)[BIT_WORD(i)] & BIT_MASK(i))
			return -EEXIST;
		(*leaf)[BIT_WORD(i)] |= BIT_MASK(i);
	}
	return 0;
}
