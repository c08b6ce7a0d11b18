// SPDX-License-Identifier: GPL-2.0
/*
 * The tracepoints, and what image/ tells for them.
 */
#include "block.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static int vhdx_trace_index(const struct vhdx_image *image)
{
	const struct vhdx_device *device = image->owner;

	return device->index;
}

static void vhdx_observe_map(const struct vhdx_image *image, u64 index, u64 old,
			     u64 entry)
{
	trace_vhdx_map(vhdx_trace_index(image), index, old, entry);
}

static void vhdx_observe_commit(const struct vhdx_image *image, u32 pages,
				bool durable)
{
	trace_vhdx_commit(vhdx_trace_index(image), pages, durable);
}

static void vhdx_observe_checkpoint(const struct vhdx_image *image, u32 pages)
{
	trace_vhdx_checkpoint(vhdx_trace_index(image), pages);
}

/* For the images of devices. */
const struct vhdx_observer vhdx_trace_observer = {
	.map = vhdx_observe_map,
	.commit = vhdx_observe_commit,
	.checkpoint = vhdx_observe_checkpoint,
};
