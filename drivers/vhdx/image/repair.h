/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Repairing an image: what can be put right without a guess.
 */
#ifndef VHDX_IMAGE_REPAIR_H
#define VHDX_IMAGE_REPAIR_H

#include "check.h"

/**
 * enum vhdx_repair_name - what can be repaired; vhdx_repair_text() has the names
 *	for users
 * @VHDX_REPAIR_LOG_PENDING: a dirty log is replayed into the file
 * @VHDX_REPAIR_LOG_EMPTY: a LogGuid that no entry was ever written for is cleared
 * @VHDX_REPAIR_HEADER: the header that is damaged is written anew, from the other
 * @VHDX_REPAIR_REGION_TABLE: likewise the copy of the region table
 * @VHDX_REPAIR_LEAKS: space that nothing uses goes back to the host
 */
enum vhdx_repair_name {
	VHDX_REPAIR_LOG_PENDING,
	VHDX_REPAIR_LOG_EMPTY,
	VHDX_REPAIR_HEADER,
	VHDX_REPAIR_REGION_TABLE,
	VHDX_REPAIR_LEAKS,
	VHDX_REPAIRS
};

#define VHDX_REPAIR_LOG \
	(1U << VHDX_REPAIR_LOG_PENDING | 1U << VHDX_REPAIR_LOG_EMPTY)
#define VHDX_REPAIR_ALL		((1U << VHDX_REPAIRS) - 1)

/**
 * struct vhdx_repair - a repair: what is asked, and what was done
 * @wanted: a mask of 1U << enum vhdx_repair_name
 * @flags: see struct vhdx_check
 * @host_bytes: likewise
 * @punch: the host can take space out of the middle of the file
 * @only_show: nothing is written: what follows is what would be done
 * The rest is filled in, on failure too.
 * @done: mask as @wanted; what is not wanted, but has to come first, included
 * @freed: bytes of leaked space that were given back
 */
struct vhdx_repair {
	unsigned int wanted;
	unsigned int flags;
	u64 host_bytes;
	bool punch;
	bool only_show;
	unsigned int done;
	u64 freed;
};

const char *vhdx_repair_text(enum vhdx_repair_name name);
int vhdx_image_repair(struct vhdx_file *file, struct vhdx_repair *repair,
		      struct vhdx_error *err);

#endif
