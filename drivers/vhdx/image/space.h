/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which MiB of the file are in use, and which are free and known to be zero.
 */
#ifndef VHDX_IMAGE_SPACE_H
#define VHDX_IMAGE_SPACE_H

#include "../format/format.h"

/**
 * struct vhdx_run - a run of the file between two uses
 * @offset: bytes from the start of the file, a multiple of 1 MiB
 * @length: bytes, a multiple of 1 MiB
 * @hole: the host has its space back, and may have none when it is written to
 * @link: in one of the lists of its life
 */
struct vhdx_run {
	u64 offset;
	u64 length;
	bool hole;
	struct list_head link;
};

struct vhdx_space;

struct vhdx_space *vhdx_space_create(u64 size);
void vhdx_space_free(struct vhdx_space *space);
int vhdx_space_claim(struct vhdx_space *space, u64 offset, u64 length,
		     gfp_t gfp);
void vhdx_space_claim_free(struct vhdx_space *space, u64 offset, u64 length);
void vhdx_space_unclaim(struct vhdx_space *space, u64 offset, u64 length);
u64 vhdx_space_find_gap(const struct vhdx_space *space, u64 from, u64 end,
			u64 length);
u64 vhdx_space_next_gap(const struct vhdx_space *space, u64 from, u64 end,
			u64 *length);
u64 vhdx_space_end(const struct vhdx_space *space);

void vhdx_space_add_fresh(struct vhdx_space *space, struct vhdx_run *run);
void vhdx_space_add_part(struct vhdx_space *space, struct vhdx_run *run);
bool vhdx_space_take(struct vhdx_space *space, u64 length, u64 *offset);
bool vhdx_space_take_part(struct vhdx_space *space, u64 length, u64 part,
			  u64 *offset);
bool vhdx_space_has_part(struct vhdx_space *space);
void vhdx_space_expect_gaps(struct vhdx_space *space, bool expect);
u64 vhdx_space_fresh(const struct vhdx_space *space);
void vhdx_space_drop_fresh(struct vhdx_space *space);

#endif
