/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The image layer: an open VHDX image.
 */
#ifndef VHDX_IMAGE_H
#define VHDX_IMAGE_H

#include "../format/format.h"
#include "file.h"

struct vhdx_overlay;
struct vhdx_block_map;

/*
 * Ours, not the specification's: no structure lies at or past this offset. It
 * bounds what checking an image costs; a disk of 64 TiB with every block moved
 * fits four times.
 */
#define VHDX_MAX_FILE_OFFSET	0x1000000000000ULL	/* 256 TiB */

/**
 * struct vhdx_log_info - what the log held at open
 * @dirty: LogGuid was set, and the active sequence is replayed in memory
 * @sequence: the active sequence, when @dirty
 * @descriptors: updates in it
 */
struct vhdx_log_info {
	bool dirty;
	struct vhdx_log_sequence sequence;
	u64 descriptors;
};

/**
 * struct vhdx_bat_counts - BAT entries by state
 * @payload: index is the state (enum vhdx_payload_state)
 * @bitmap: sector bitmap blocks present
 */
struct vhdx_bat_counts {
	u64 payload[8];
	u64 bitmap;
};

/**
 * struct vhdx_image - an open image
 * Everything here is fixed when vhdx_image_open() returns; callers read it
 * without a lock and never write it.
 * @file: the caller's
 * @file_size: bytes, as found at open
 * @size: bytes, max of @file_size and LastFileOffset of a replayed log: what
 *	structures are judged by
 * @creator: of the file identifier, UTF-16LE as it lies there
 * @headers: both slots, the current one chosen
 * @regions: the region table in use
 * @metadata_table: all metadata items
 * @metadata: the values of the known ones
 * @locator: the parent locator, when @metadata.has_parent
 * @locator_item: its bytes
 * @geometry: what follows from the sizes
 * @bat_region, @metadata_region: point into @regions
 * @counts: of the BAT
 * @log: what the log held
 */
struct vhdx_image {
	struct vhdx_file *file;
	u64 file_size;
	u64 size;
	__le16 creator[VHDX_CREATOR_CHARS];
	struct vhdx_headers headers;
	struct vhdx_region_table *regions;
	struct vhdx_metadata_table *metadata_table;
	struct vhdx_metadata metadata;
	struct vhdx_locator locator;
	void *locator_item;
	struct vhdx_geometry geometry;
	const struct vhdx_region *bat_region;
	const struct vhdx_region *metadata_region;
	struct vhdx_bat_counts counts;
	struct vhdx_log_info log;
	/* private to image/ */
	struct vhdx_overlay *overlay;		/* NULL when the log is clean */
	struct vhdx_block_map *map;
};

static inline const struct vhdx_header *
vhdx_image_header(const struct vhdx_image *img)
{
	return &img->headers.slot[img->headers.current_slot];
}

/* the word for what kind of image it is */
static inline const char *vhdx_image_type(const struct vhdx_image *img)
{
	if (img->metadata.has_parent)
		return "differencing";
	return img->metadata.leave_blocks_allocated ? "fixed" : "dynamic";
}

/* bytes of the payload blocks that hold data */
static inline u64 vhdx_image_allocated(const struct vhdx_image *img)
{
	return (img->counts.payload[VHDX_PAYLOAD_FULLY_PRESENT] +
		img->counts.payload[VHDX_PAYLOAD_PARTIALLY_PRESENT])
		<< img->geometry.block_shift;
}

int vhdx_image_open(struct vhdx_file *file, struct vhdx_image **imgp,
		    struct vhdx_error *err);
void vhdx_image_close(struct vhdx_image *img);

enum vhdx_extent_type {
	VHDX_EXTENT_ZERO,	/* reads as zeros */
	VHDX_EXTENT_FILE,	/* lies in the file */
};

/**
 * struct vhdx_extent - where a piece of the virtual disk is
 * @type: see above
 * @offset: in the file, bytes; meaningful for VHDX_EXTENT_FILE. What lies past
 *	img->file_size reads as zeros: the last block may end past the file's end.
 * @length: bytes
 */
struct vhdx_extent {
	enum vhdx_extent_type type;
	u64 offset;
	u64 length;
};

void vhdx_image_map(const struct vhdx_image *img, u64 pos, u64 length,
		    struct vhdx_extent *extent);

#endif
