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

/**
 * struct vhdx_space - see above
 * @leaves: how many
 * @leaf: a bit for each MiB in use, or promised to be; NULL: none
 * @lock: guards what follows
 * @fresh: runs that are claimed, in the file, stable, and read as zeros; a block
 *	fits each, and the last one is behind all others
 * @holes: such runs that are holes: a host that is full has no space for them,
 *	so they are used when nothing else is left
 * @fresh_bytes: in @fresh
 * @hole_bytes: in @holes
 * @gaps: the file may have gaps, which come before @holes
 * @parts: such runs that are too short for a block
 */
struct vhdx_space {
	u64 leaves;
	unsigned long **leaf;
	spinlock_t lock;	/* what follows */
	struct list_head fresh;
	struct list_head holes;
	u64 fresh_bytes;
	u64 hole_bytes;
	bool gaps;
	struct list_head parts;
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
	spin_lock_init(&space->lock);
	INIT_LIST_HEAD(&space->fresh);
	INIT_LIST_HEAD(&space->holes);
	INIT_LIST_HEAD(&space->parts);
	space->gaps = true;
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
	vhdx_space_drop_fresh(space);
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
 * @gfp: for the map's own memory
 *
 * Context: process context, may sleep.
 * Return: 0; -EEXIST when any of it was in use already, and all of it is now;
 * -ENOMEM, and the map is of no more use.
 */
int vhdx_space_claim(struct vhdx_space *space, u64 offset, u64 length,
		     gfp_t gfp)
{
	u64 bit = offset / VHDX_MIB;
	u64 end = bit + DIV_ROUND_UP(length, VHDX_MIB);
	int ret = 0;

	for (; bit < end; bit++) {
		unsigned long **leaf = &space->leaf[bit >> LEAF_SHIFT];
		u32 i = bit & (LEAF_BITS - 1);

		if (!*leaf) {
			*leaf = kzalloc(LEAF_BYTES, gfp);
			if (!*leaf)
				return -ENOMEM;
		}
		if ((*leaf)[BIT_WORD(i)] & BIT_MASK(i))
			ret = -EEXIST;
		(*leaf)[BIT_WORD(i)] |= BIT_MASK(i);
	}
	return ret;
}

static bool in_use(const struct vhdx_space *space, u64 bit)
{
	const unsigned long *leaf = space->leaf[bit >> LEAF_SHIFT];
	u32 i = bit & (LEAF_BITS - 1);

	return leaf && leaf[BIT_WORD(i)] & BIT_MASK(i);
}

/**
 * vhdx_space_claim_free() - mark a range as used that is not
 * @space: the map
 * @offset: bytes, a multiple of 1 MiB
 * @length: bytes, a multiple of 1 MiB
 *
 * Context: the journal's worker; memory for the map is waited for.
 */
void vhdx_space_claim_free(struct vhdx_space *space, u64 offset, u64 length)
{
	vhdx_space_claim(space, offset, length, GFP_NOIO | __GFP_NOFAIL);
}

/**
 * vhdx_space_unclaim() - mark a range as not used
 * @space: the map
 * @offset: bytes, a multiple of 1 MiB
 * @length: bytes, a multiple of 1 MiB; all of it is claimed
 *
 * Context: the journal's worker, like every change of claims after open.
 */
void vhdx_space_unclaim(struct vhdx_space *space, u64 offset, u64 length)
{
	u64 bit = offset / VHDX_MIB;
	u64 end = bit + length / VHDX_MIB;

	for (; bit < end; bit++) {
		u32 i = bit & (LEAF_BITS - 1);

		space->leaf[bit >> LEAF_SHIFT][BIT_WORD(i)] &= ~BIT_MASK(i);
	}
}

/**
 * vhdx_space_find_gap() - find room between what is used
 * @space: the map
 * @from: bytes, a multiple of 1 MiB: where to begin
 * @end: bytes: the gap ends here or before
 * @length: bytes, a multiple of 1 MiB
 *
 * Context: the journal's worker.
 * Return: the first offset of such a gap, or U64_MAX.
 */
u64 vhdx_space_find_gap(const struct vhdx_space *space, u64 from, u64 end,
			u64 length)
{
	u64 bit = from / VHDX_MIB, stop = end / VHDX_MIB;
	u64 need = length / VHDX_MIB, start = bit;

	for (; bit < stop; bit++) {
		if (in_use(space, bit))
			start = bit + 1;
		else if (bit + 1 - start == need)
			return start * VHDX_MIB;
	}
	return U64_MAX;
}

/**
 * vhdx_space_next_gap() - find what is not used, all of it
 * @space: the map
 * @from: bytes, a multiple of 1 MiB: where to begin
 * @end: bytes, a multiple of 1 MiB: where to end
 * @length: receives the bytes of the gap, up to @end
 *
 * Context: the journal's worker.
 * Return: the first offset that is not used, or U64_MAX.
 */
u64 vhdx_space_next_gap(const struct vhdx_space *space, u64 from, u64 end,
			u64 *length)
{
	u64 bit = from / VHDX_MIB, stop = end / VHDX_MIB, start;

	while (bit < stop && in_use(space, bit))
		bit++;
	if (bit >= stop)
		return U64_MAX;
	start = bit;
	while (bit < stop && !in_use(space, bit))
		bit++;
	*length = (bit - start) * VHDX_MIB;
	return start * VHDX_MIB;
}

/**
 * vhdx_space_end() - where the last claim ends
 * @space: the map
 *
 * Context: the journal's worker.
 * Return: bytes from the start of the file, a multiple of 1 MiB.
 */
u64 vhdx_space_end(const struct vhdx_space *space)
{
	u64 leaf;

	for (leaf = space->leaves; leaf-- > 0; ) {
		const unsigned long *words = space->leaf[leaf];
		u32 i = words ? LEAF_BITS / BITS_PER_LONG : 0;

		while (i-- > 0)
			if (words[i])
				return ((leaf << LEAF_SHIFT) +
					i * BITS_PER_LONG +
					__fls(words[i]) + 1) * VHDX_MIB;
	}
	return 0;
}

/* Of a list the run that ends where another begins; or NULL. */
static struct vhdx_run *find_before(struct list_head *runs, u64 offset)
{
	struct vhdx_run *run;

	list_for_each_entry(run, runs, link)
		if (run->offset + run->length == offset)
			return run;
	return NULL;
}

static struct vhdx_run *first_run(struct list_head *runs)
{
	return list_empty(runs) ? NULL :
				  list_first_entry(runs, struct vhdx_run, link);
}

static struct vhdx_run *last_run(struct list_head *runs)
{
	return list_empty(runs) ? NULL :
				  list_last_entry(runs, struct vhdx_run, link);
}

static void count(struct vhdx_space *space, const struct vhdx_run *run,
		  s64 bytes)
{
	u64 *sum = run->hole ? &space->hole_bytes : &space->fresh_bytes;

	WRITE_ONCE(*sum, *sum + bytes);
}

/* The last one stays the last, wherever the others come from. */
static void add_run(struct vhdx_space *space, struct vhdx_run *run)
{
	struct vhdx_run *last = last_run(&space->fresh);

	if (run->hole)
		list_add_tail(&run->link, &space->holes);
	else
		list_add_tail(&run->link, last && last->offset > run->offset ?
					  &last->link : &space->fresh);
	count(space, run, run->length);
}

/* What is left of a run may be too short for a block; returns one that is used up. */
static struct vhdx_run *take_from(struct vhdx_space *space, struct vhdx_run *run,
				  u64 block, u64 length, u64 *offset)
{
	bool fresh = run->length >= block;

	*offset = run->offset;
	run->offset += length;
	run->length -= length;
	if (fresh)
		count(space, run, -(s64)length);
	if (!run->length) {
		list_del(&run->link);
		return run;
	}
	if (fresh && run->length < block) {
		count(space, run, -(s64)run->length);
		list_move_tail(&run->link, &space->parts);
	}
	return NULL;
}

/**
 * vhdx_space_add_fresh() - offer a run to allocations
 * @space: the map, where it is claimed
 * @run: reads as zeros, inside the stable size of the file, and a block fits; the
 *	map's from now
 *
 * It takes up what is too short for a block and ends where this begins: the end of
 * a file that grows.
 *
 * Context: any.
 */
void vhdx_space_add_fresh(struct vhdx_space *space, struct vhdx_run *run)
{
	struct vhdx_run *before;

	spin_lock(&space->lock);
	before = find_before(&space->parts, run->offset);
	if (before) {
		run->offset = before->offset;
		run->length += before->length;
		list_del(&before->link);
	}
	add_run(space, run);
	spin_unlock(&space->lock);
	kfree(before);
}

/**
 * vhdx_space_add_part() - offer a run that is too short for a block
 * @space: the map, where it is claimed
 * @run: as for vhdx_space_add_fresh() besides
 *
 * Context: any.
 */
void vhdx_space_add_part(struct vhdx_space *space, struct vhdx_run *run)
{
	spin_lock(&space->lock);
	list_add_tail(&run->link, &space->parts);
	spin_unlock(&space->lock);
}

/**
 * vhdx_space_take() - allocate from the fresh runs
 * @space: the map
 * @length: of a block, bytes; the same in every call
 * @offset: receives where, bytes from the start of the file
 *
 * Context: any.
 * Return: false when there is none.
 */
bool vhdx_space_take(struct vhdx_space *space, u64 length, u64 *offset)
{
	struct vhdx_run *used = NULL, *run;

	spin_lock(&space->lock);
	run = first_run(&space->fresh);
	if (!run && !space->gaps)
		run = first_run(&space->holes);
	if (run)
		used = take_from(space, run, length, length, offset);
	spin_unlock(&space->lock);
	kfree(used);
	return run;
}

/**
 * vhdx_space_take_part() - allocate less than a block
 * @space: the map
 * @length: as for vhdx_space_take()
 * @part: bytes, a multiple of 1 MiB, at most @length
 * @offset: receives where, bytes from the start of the file
 *
 * Of what is too short for a block; else of the run behind all others, since that
 * one goes on when the file grows, and what it has too little for a block then is
 * not lost.
 *
 * Context: any.
 * Return: false when there is none.
 */
bool vhdx_space_take_part(struct vhdx_space *space, u64 length, u64 part,
			  u64 *offset)
{
	struct vhdx_run *used = NULL, *run;

	spin_lock(&space->lock);
	run = last_run(&space->parts) ? : last_run(&space->fresh);
	if (!run && !space->gaps)
		run = last_run(&space->holes);
	if (run)
		used = take_from(space, run, length, part, offset);
	spin_unlock(&space->lock);
	kfree(used);
	return run;
}

/**
 * vhdx_space_has_part() - is there a run that is too short for a block
 * @space: the map
 *
 * Context: any.
 */
bool vhdx_space_has_part(struct vhdx_space *space)
{
	bool found;

	spin_lock(&space->lock);
	found = !list_empty(&space->parts);
	spin_unlock(&space->lock);
	return found;
}

/**
 * vhdx_space_expect_gaps() - say whether the file may have gaps
 * @space: the map; a new one may
 * @expect: allocations take no holes until somebody has looked
 *
 * Context: the journal's worker.
 */
void vhdx_space_expect_gaps(struct vhdx_space *space, bool expect)
{
	spin_lock(&space->lock);
	WRITE_ONCE(space->gaps, expect);
	spin_unlock(&space->lock);
}

/**
 * vhdx_space_fresh() - what vhdx_space_take() has left
 * @space: the map
 *
 * Context: any.
 * Return: bytes; 0: no block fits.
 */
u64 vhdx_space_fresh(const struct vhdx_space *space)
{
	u64 holes = READ_ONCE(space->gaps) ? 0 : READ_ONCE(space->hole_bytes);

	return READ_ONCE(space->fresh_bytes) + holes;
}

static void drop_runs(struct vhdx_space *space, struct list_head *runs)
{
	struct vhdx_run *run, *next;

	list_for_each_entry_safe(run, next, runs, link) {
		vhdx_space_unclaim(space, run->offset, run->length);
		list_del(&run->link);
		kfree(run);
	}
}

/**
 * vhdx_space_drop_fresh() - turn the fresh runs back into gaps
 * @space: the map
 *
 * Context: nobody allocates any more.
 */
void vhdx_space_drop_fresh(struct vhdx_space *space)
{
	drop_runs(space, &space->fresh);
	drop_runs(space, &space->holes);
	drop_runs(space, &space->parts);
	space->fresh_bytes = 0;
	space->hole_bytes = 0;
	space->gaps = true;
}
