/* SPDX-License-Identifier: GPL-2.0 */
/*
 * VHD, the format that VHDX came after: reading fixed and dynamic images, and
 * the footer that makes a fixed one of a raw disk.
 */
#ifndef VHDXCTL_VHD_H
#define VHDXCTL_VHD_H

#include <stdbool.h>

#include "format/format.h"
#include "image/file.h"

#define VHD_FOOTER_SIZE		512U
#define VHD_SECTOR_SIZE		512U
/* Hyper-V takes none that is larger. */
#define VHD_MAX_SIZE		(2040ULL << 30)

#define VHD_TABLE_WINDOW	1024U

/**
 * struct vhd - an open VHD
 * @file: the caller's
 * @file_size: bytes
 * @size: of the disk, bytes
 * @dynamic: it has blocks; else the disk is the file without its footer
 * @table_offset: of the block allocation table, bytes
 * @block_size: bytes
 * @bitmap_size: of the bitmap before each block's data, bytes
 * @window: entries of the table, as they lie there
 * @window_first: the first of them; U32_MAX: none were read
 * @bitmap: of one block
 * @bitmap_block: that one; U32_MAX: none was read
 */
struct vhd {
	struct vhdx_file *file;
	u64 file_size;
	u64 size;
	bool dynamic;
	u64 table_offset;
	u32 block_size;
	u32 bitmap_size;
	u32 window[VHD_TABLE_WINDOW];
	u32 window_first;
	u8 *bitmap;
	u32 bitmap_block;
};

/**
 * struct vhd_extent - where a piece of the disk is
 * @present: in the file; else it reads as zeros
 * @offset: in the file, bytes; with @present
 * @length: bytes
 */
struct vhd_extent {
	bool present;
	u64 offset;
	u64 length;
};

int vhd_probe(struct vhdx_file *file, u64 file_size, bool *is_vhd);
int vhd_find_footer(struct vhdx_file *file, u64 file_size, bool *found);
int vhd_open(struct vhd *vhd, struct vhdx_file *file, u64 file_size,
	     struct vhdx_error *err);
int vhd_map(struct vhd *vhd, u64 pos, u64 length, struct vhd_extent *extent,
	    struct vhdx_error *err);
void vhd_close(struct vhd *vhd);
void vhd_footer(u8 buf[VHD_FOOTER_SIZE], u64 size);

#endif
