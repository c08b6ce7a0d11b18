/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Checking an image: all that is wrong with it, and not only the first.
 */
#ifndef VHDX_IMAGE_CHECK_H
#define VHDX_IMAGE_CHECK_H

#include "image.h"

/* What a finding is of; vhdx_finding_text() has the names for users. */
enum vhdx_finding_name {
	VHDX_FINDING_FILE_ID,
	VHDX_FINDING_FILE_SHORT,
	VHDX_FINDING_HEADER_DAMAGED,
	VHDX_FINDING_HEADER_SEQUENCE,
	VHDX_FINDING_HEADER_VERSION,
	VHDX_FINDING_HEADER_LOG,
	VHDX_FINDING_HEADER_IDENTICAL,
	VHDX_FINDING_HEADER_DATA_GUID,
	VHDX_FINDING_LOG_PENDING,
	VHDX_FINDING_LOG_EMPTY,
	VHDX_FINDING_LOG_SEQUENCE,
	VHDX_FINDING_LOG_SIZE,
	VHDX_FINDING_LOG_TARGET,
	VHDX_FINDING_LOG_MISSING,
	VHDX_FINDING_REGION_TABLE,
	VHDX_FINDING_REGION_TABLES_DIFFER,
	VHDX_FINDING_REGION,
	VHDX_FINDING_REGION_CONFLICT,
	VHDX_FINDING_REGION_MISSING,
	VHDX_FINDING_REGION_UNKNOWN,
	VHDX_FINDING_METADATA_TABLE,
	VHDX_FINDING_ITEM,
	VHDX_FINDING_ITEM_CONFLICT,
	VHDX_FINDING_ITEM_MISSING,
	VHDX_FINDING_ITEM_UNKNOWN,
	VHDX_FINDING_ITEM_VALUE,
	VHDX_FINDING_SECTOR_SIZES,
	VHDX_FINDING_LOCATOR,
	VHDX_FINDING_LOCATOR_ENTRY,
	VHDX_FINDING_BAT_SHORT,
	VHDX_FINDING_BAT_ENTRY,
	VHDX_FINDING_BAT_OVERLAP,
	VHDX_FINDING_BAT_NO_BITMAP,
	VHDX_FINDING_BAT_CUT,
	VHDX_FINDING_BAT_OLD_STATE,
	VHDX_FINDING_BAT_UNUSED_OFFSET,
	VHDX_FINDING_BITMAP_PAST_END,
	VHDX_FINDING_LEAK_GAP,
	VHDX_FINDING_LEAK_TAIL,
	VHDX_FINDINGS
};

/**
 * enum vhdx_finding_kind - what a finding means
 * @VHDX_KIND_CORRUPT: the image is damaged or breaks a rule: it does not open; but
 *	with nothing else than VHDX_FINDING_BAT_CUT it does
 * @VHDX_KIND_UNSUPPORTED: valid, but needs what this code lacks
 * @VHDX_KIND_LOG: the log is to be replayed
 * @VHDX_KIND_LEAK: space that nothing uses
 * @VHDX_KIND_NOTE: odd, and no harm: the image opens
 */
enum vhdx_finding_kind {
	VHDX_KIND_CORRUPT,
	VHDX_KIND_UNSUPPORTED,
	VHDX_KIND_LOG,
	VHDX_KIND_LEAK,
	VHDX_KIND_NOTE,
	VHDX_KINDS
};

/**
 * struct vhdx_report - who is told of problems where the first would end it
 * @problem: told of one; 0 to go on, or the negative errno to end with
 */
struct vhdx_report {
	int (*problem)(struct vhdx_report *report, enum vhdx_finding_name name,
		       const struct vhdx_error *err);
};

/* So many findings of one name are handed out, the others are only counted. */
#define VHDX_CHECK_SHOWN	16U

#define VHDX_CHECK_FIXED_SIZE	0x1U

/**
 * struct vhdx_check - a check: what is asked, and what came out
 * @flags: VHDX_CHECK_FIXED_SIZE: the file's size is not the image's to choose, as
 *	that of a block device: what lies behind its last structure is no leak
 * @host_bytes: that the host has allocated for the file, where it tells; or 0
 * @found: called for each finding, but for no more than VHDX_CHECK_SHOWN of a name;
 *	or NULL
 * @ctx: the caller's
 * The rest is filled in.
 * @name_count: findings by name
 * @kind_count: by kind
 * @has_blocks: the BAT could be read, and what follows means something
 * @payload_blocks: of the disk
 * @present_blocks: of those, FULLY_PRESENT or PARTIALLY_PRESENT
 * @block_size: bytes
 * @end: where the last structure or block ends, bytes; of a block that counts whole,
 *	and so can be more than @file_size
 * @leaked: bytes
 * @file_size: bytes
 * @has_parent: a differencing image
 */
struct vhdx_check {
	unsigned int flags;
	u64 host_bytes;
	void (*found)(struct vhdx_check *check, enum vhdx_finding_name name,
		      enum vhdx_finding_kind kind,
		      const struct vhdx_error *err);
	void *ctx;
	u64 name_count[VHDX_FINDINGS];
	u64 kind_count[VHDX_KINDS];
	bool has_blocks;
	u64 payload_blocks;
	u64 present_blocks;
	u64 block_size;
	u64 end;
	u64 leaked;
	u64 file_size;
	bool has_parent;
};

const char *vhdx_finding_text(enum vhdx_finding_name name);
int vhdx_image_check(struct vhdx_file *file, struct vhdx_check *check,
		     struct vhdx_error *err);

#endif
