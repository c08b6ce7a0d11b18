/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Waiting for the I/O that may still be on its way to a place in the file,
 * without a lock that all I/O shares.
 *
 * I/O enters before it looks up where to go and exits when it has completed.
 * After an entry has changed, flip() and then quiet() on the old side tell that
 * nobody goes by the old entry any more. enter() looks at the side again after
 * it has counted itself: either flip() comes later and quiet() sees the count,
 * or enter() sees the flip and counts again on the new side.
 */
#ifndef VHDX_IMAGE_IO_TRACK_H
#define VHDX_IMAGE_IO_TRACK_H

#include "../port.h"

#define VHDX_IO_SLOTS	8

struct vhdx_io_slot {
	atomic_t count[2];
} ____cacheline_aligned_in_smp;

/**
 * struct vhdx_io_track - counts of I/O
 * @side: where I/O that begins now is counted
 * @slot: by CPU
 */
struct vhdx_io_track {
	unsigned int side;
	struct vhdx_io_slot slot[VHDX_IO_SLOTS];
};

static inline unsigned int vhdx_io_enter(struct vhdx_io_track *track)
{
	unsigned int cpu = raw_smp_processor_id() % VHDX_IO_SLOTS;
	unsigned int side;

	for (;;) {
		side = READ_ONCE(track->side);
		atomic_inc(&track->slot[cpu].count[side]);
		/* counted before the side is looked at; pairs with flip() */
		smp_mb__after_atomic();
		if (READ_ONCE(track->side) == side)
			return cpu << 1 | side;
		atomic_dec(&track->slot[cpu].count[side]);
	}
}

static inline void vhdx_io_exit(struct vhdx_io_track *track, unsigned int ref)
{
	/* the I/O is over before it is not counted; pairs with quiet() */
	smp_mb__before_atomic();
	atomic_dec(&track->slot[ref >> 1].count[ref & 1]);
}

/* Only when the other side is quiet. */
static inline void vhdx_io_flip(struct vhdx_io_track *track)
{
	/* the entry has changed before the side does */
	smp_mb();
	WRITE_ONCE(track->side, !track->side);
	/* ... and the side before counts are looked at; pairs with enter() */
	smp_mb();
}

/* No I/O that entered before the last flip is left. */
static inline bool vhdx_io_quiet(const struct vhdx_io_track *track)
{
	unsigned int side = !READ_ONCE(track->side), i;

	for (i = 0; i < VHDX_IO_SLOTS; i++)
		if (atomic_read(&track->slot[i].count[side]))
			return false;
	/* what follows comes after the I/O; pairs with exit() */
	smp_mb();
	return true;
}

#endif
