/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Looking at the structures of an image as they lie in the file, right or wrong.
 */
#ifndef VHDX_IMAGE_LOOK_H
#define VHDX_IMAGE_LOOK_H

#include "image.h"

/**
 * struct vhdx_look - the structures of an image
 * @file: the caller's
 * @file_size: bytes
 * @creator: of the file identifier, UTF-16LE as it lies there
 * @id_err: what is wrong with the file identifier; errnum 0: nothing
 * @headers: both slots as they lie there, whether they are valid, and which is
 *	current where @headers_err says that there is such a one
 * @headers_err: likewise
 * @table: both copies of the region table as they lie there
 * @table_err: likewise, of each as a whole
 * @used: the copy whose regions are gone by, 0 or 1
 * @bat_region: in that copy; NULL: there is none
 * @metadata_region: likewise
 * @items: the metadata table, empty where it cannot be read
 * @items_err: likewise
 * @metadata: the values that could be decoded
 * @geometry: what follows from them, where @has_geometry
 * @has_geometry: sizes of the disk, its blocks and sectors are right
 */
struct vhdx_look {
	struct vhdx_file *file;
	u64 file_size;
	__le16 creator[VHDX_CREATOR_CHARS];
	struct vhdx_error id_err;
	struct vhdx_headers headers;
	struct vhdx_error headers_err;
	struct vhdx_region_table *table[2];
	struct vhdx_error table_err[2];
	unsigned int used;
	const struct vhdx_region *bat_region;
	const struct vhdx_region *metadata_region;
	struct vhdx_metadata_table *items;
	struct vhdx_error items_err;
	struct vhdx_metadata metadata;
	struct vhdx_geometry geometry;
	bool has_geometry;
};

/**
 * struct vhdx_look_bat - who sees the BAT entry by entry
 * @entry: called for each entry that is not zero; @err: what is wrong with it by
 *	itself, errnum 0 for nothing. Without a geometry nothing is known of it.
 * @ctx: the caller's
 */
struct vhdx_look_bat {
	void (*entry)(struct vhdx_look_bat *bat, u64 index, u64 entry,
		      const struct vhdx_error *err);
	void *ctx;
};

/**
 * struct vhdx_look_log - who sees the log entry by entry
 * @entry: called for each entry found
 * @update: called for each descriptor of an entry that is valid, behind it; @err:
 *	why a replay would refuse it, errnum 0: it would not
 * @ctx: the caller's
 * @log: the log (out)
 * @sequence: its active sequence, count 0: there is none (out)
 */
struct vhdx_look_log {
	void (*entry)(struct vhdx_look_log *look_log,
		      const struct vhdx_log_entry *entry, const guid_t *guid,
		      bool valid, bool active);
	void (*update)(struct vhdx_look_log *look_log,
		       const struct vhdx_log_update *update,
		       const struct vhdx_error *err);
	void *ctx;
	struct vhdx_log log;
	struct vhdx_log_sequence sequence;
};

int vhdx_look_open(struct vhdx_file *file, struct vhdx_look **lookp,
		   struct vhdx_error *err);
void vhdx_look_close(struct vhdx_look *look);
u64 vhdx_look_item_offset(const struct vhdx_look *look, u32 i);
int vhdx_look_item(const struct vhdx_look *look, u32 i, void *buf, u32 length,
		   struct vhdx_error *err);
int vhdx_look_at_bat(const struct vhdx_look *look, struct vhdx_look_bat *bat,
		     struct vhdx_error *err);
int vhdx_look_at_log(const struct vhdx_look *look,
		     struct vhdx_look_log *look_log, struct vhdx_error *err);

#endif
