/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A disk to read, whatever it is stored in: a raw file or a block device, a VHD,
 * a VHDX with all of its parents.
 */
#ifndef VHDXCTL_SOURCE_H
#define VHDXCTL_SOURCE_H

#include "chain.h"
#include "vhd.h"

enum source_format {
	SOURCE_PROBE,
	SOURCE_RAW,
	SOURCE_VHD,
	SOURCE_VHDX,
};

/* "raw" and so on */
extern const char *const source_formats[];

/**
 * struct source_options - how a disk is to be opened
 * @format: what it is in; SOURCE_PROBE: to be found out
 * @format_option: the option for that, where it is not -f; or NULL
 * @only_raw: an image of a known format is refused, too, where that is found out
 * @parents: where a VHDX image's parents are
 * @alone: open a VHDX image without its parents
 * @unlocked: others may write to it meanwhile
 */
struct source_options {
	enum source_format format;
	const char *format_option;
	bool only_raw;
	struct chain_options parents;
	bool alone;
	bool unlocked;
};

/**
 * struct source_span - what was last found out about a file of a disk
 * @start: bytes
 * @end: bytes; what is between is alike
 * @data: it may hold data; else it is a hole
 */
struct source_span {
	u64 start;
	u64 end;
	bool data;
};

/**
 * struct source - a disk to read
 * @path: as the user gave it
 * @format: what it is in
 * @size: bytes
 * @logical_sector: bytes
 * @physical_sector: bytes; 0: nothing says
 * @chain: of VHDX, all above their parents; else the file alone, with no image
 * @vhd: of SOURCE_VHD
 * @span: of each file of @chain
 */
struct source {
	const char *path;
	enum source_format format;
	u64 size;
	u32 logical_sector;
	u32 physical_sector;
	struct chain chain;
	struct vhd vhd;
	struct source_span span[CHAIN_MAX_IMAGES];
};

/**
 * struct source_piece - a piece of the disk
 * @length: bytes
 * @data: it has to be read; else it is zeros
 * @file: it has a place in this one; NULL: it has none
 * @offset: there, bytes
 * @depth: of the image in the chain that says so, from 0
 * @present: that one says so itself; else it is what a parent would say
 * @state: of a VHDX image's block, enum vhdx_payload_state
 */
struct source_piece {
	u64 length;
	bool data;
	struct posix_file *file;
	u64 offset;
	u32 depth;
	bool present;
	u32 state;
};

int source_parse_format(const char *command, const char *name,
			enum source_format *format);
int source_open(struct source *source, const char *path,
		const struct source_options *options);
int source_next(struct source *source, u64 pos, u64 length,
		struct source_piece *piece);
int source_read(const struct source *source, const struct source_piece *piece,
		void *buf, u64 skip, size_t length);
int source_sum(struct source *source, u64 *bytes);
void source_close(struct source *source);

#endif
