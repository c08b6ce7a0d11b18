/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A dirty log replayed in memory: the 4 KiB pages of the file that replay
 * would write, laid over every read of metadata.
 */
#ifndef VHDX_IMAGE_OVERLAY_H
#define VHDX_IMAGE_OVERLAY_H

#include "../format/format.h"

struct vhdx_overlay;

/**
 * struct vhdx_overlay_piece - a range of the file that the log rewrites
 * @start: bytes from the start of the file
 * @end: the first byte past it
 * @update: what is there now
 */
struct vhdx_overlay_piece {
	u64 start;
	u64 end;
	struct vhdx_log_update update;
};

int vhdx_overlay_create(const struct vhdx_log *log,
			const struct vhdx_log_sequence *sequence,
			struct vhdx_overlay **overlayp, u64 *descriptors,
			struct vhdx_error *err);
void vhdx_overlay_free(struct vhdx_overlay *overlay);
const struct vhdx_overlay_piece *
vhdx_overlay_next(const struct vhdx_overlay *overlay, u64 offset);
u64 vhdx_overlay_end(const struct vhdx_overlay *overlay);
void vhdx_overlay_apply(const struct vhdx_overlay *overlay, void *buf,
			size_t len, u64 offset);

#endif
