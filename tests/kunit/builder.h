/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Makes VHDX images for tests. Written from the specification and on purpose
 * without the decoders of format/, so that one misreading cannot hide another.
 */
#ifndef TESTS_KUNIT_BUILDER_H
#define TESTS_KUNIT_BUILDER_H

#include "../../drivers/vhdx/format/ondisk.h"

/**
 * struct builder_sink - where an image is written to
 * @write: writes @len bytes; 0 or a negative errno
 * @zero: writes @len bytes of zeros, multiples of 4 KiB, that are no hole
 * @resize: sets the size in bytes
 * @ctx: for them
 */
struct builder_sink {
	int (*write)(void *ctx, const void *buf, size_t len, u64 offset);
	int (*zero)(void *ctx, u64 len, u64 offset);
	int (*resize)(void *ctx, u64 size);
	void *ctx;
};

/* The builder chooses a place in the file. States 6 and 7 always get one. */
#define BUILDER_PLACE		U64_MAX

/**
 * struct builder_block - one payload block
 * @block: its number
 * @state: for its BAT entry
 * @offset: bytes in the file, or BUILDER_PLACE
 */
struct builder_block {
	u64 block;
	u32 state;
	u64 offset;
};

/**
 * struct builder_region - a region beside the BAT and the metadata
 * @guid: of it
 * @length: bytes
 * @required: the image must not be opened by who does not know it
 */
struct builder_region {
	guid_t guid;
	u32 length;
	bool required;
};

/**
 * struct builder_run - sectors of the disk that are in this file
 * @first: sector
 * @count: sectors
 */
struct builder_run {
	u64 first;
	u64 count;
};

/**
 * struct builder - what image to make
 * @disk_size: bytes
 * @block_size: bytes
 * @logical_sector_size: bytes
 * @physical_sector_size: bytes
 * @fixed: LeaveBlocksAllocated
 * @differencing: HasParent, and a parent locator
 * @parent: a differencing image's, for builder_expect(); NULL: none is there,
 *	and what would be its reads as zeros
 * @parent_linkage: a differencing image's parent's DataWriteGuid
 * @parent_linkage2: another one, or NULL for no such key
 * @relative_path: of the parent, ASCII
 * @run: sectors of PARTIALLY_PRESENT blocks that are in this file; NULL: as
 *	drawn from @seed, in runs of random lengths and in every second sector
 * @runs: how many
 * @stale_bits: every chunk that has a block in @block gets a bitmap block, and
 *	the bits of a block that is not PARTIALLY_PRESENT are drawn too
 * @data_write_guid: of both headers
 * @log_length: bytes
 * @sequence_number: of header 1; header 2, the current one, has one more
 * @log_guid: zero for a clean log
 * @seed: of the pattern and the layout
 * @shuffle: order, gaps and items are drawn from @seed; otherwise the log, the
 *	BAT, the metadata region, other regions and the blocks follow each other
 * @bat_written: the whole BAT region is written; otherwise it is a hole where
 *	no entry is
 * @regions_optional: BAT and metadata region without the Required bit
 * @region: one more region, when its length is not 0
 * @default_state: of blocks not in @block
 * @block: states of chosen blocks, without duplicates
 * @blocks: how many
 * @data_bytes: each block has the pattern in so many bytes from its start and
 *	as many before its end, multiples of 512, and is a hole between; 0: all of it
 * @cut: bytes to cut from the end of the file
 * @creator: ASCII
 */
struct builder {
	u64 disk_size;
	u32 block_size;
	u32 logical_sector_size;
	u32 physical_sector_size;
	bool fixed;
	bool differencing;
	const struct builder *parent;
	guid_t parent_linkage;
	const guid_t *parent_linkage2;
	const char *relative_path;
	const struct builder_run *run;
	u32 runs;
	bool stale_bits;
	guid_t data_write_guid;
	u32 log_length;
	u64 sequence_number;
	guid_t log_guid;
	u64 seed;
	bool shuffle;
	bool bat_written;
	bool regions_optional;
	struct builder_region region;
	u32 default_state;
	const struct builder_block *block;
	u32 blocks;
	u32 data_bytes;
	u64 cut;
	const char *creator;
};

/**
 * struct builder_layout - where things were put; bytes
 * @item: of the metadata items in enum builder_item's order, from the start of
 *	the region; 0 when there is none
 */
struct builder_layout {
	u64 log_offset;
	u32 log_length;
	u64 bat_offset;
	u32 bat_length;
	u64 metadata_offset;
	u32 metadata_length;
	u64 region_offset;
	u64 blocks_offset;
	u64 file_size;
	u64 payload_blocks;
	u64 chunk_ratio;
	u64 bat_entries;
	u32 item[6];
};

enum builder_item {
	BUILDER_FILE_PARAMETERS,
	BUILDER_VIRTUAL_DISK_SIZE,
	BUILDER_VIRTUAL_DISK_ID,
	BUILDER_LOGICAL_SECTOR_SIZE,
	BUILDER_PHYSICAL_SECTOR_SIZE,
	BUILDER_PARENT_LOCATOR,
	BUILDER_ITEMS,
};

#define BUILDER_METADATA_LENGTH	0x100000U

extern const guid_t builder_guid_bat;
extern const guid_t builder_guid_metadata;
extern const guid_t builder_guid_item[BUILDER_ITEMS];
extern const guid_t builder_guid_locator;
extern const guid_t builder_disk_id;
extern const guid_t builder_data_write_guid;

void builder_init(struct builder *b);
guid_t builder_guid(u32 number);
void builder_set_parent(struct builder *b, const struct builder *parent);
int builder_build(const struct builder *b, const struct builder_sink *sink,
		  struct builder_layout *layout);

u64 builder_random(u64 *state);
void builder_pattern(void *buf, size_t len, u64 seed, u64 pos);
void builder_expect(const struct builder *b, void *buf, size_t len, u64 pos);
u32 builder_block_state(const struct builder *b, u64 block);
u64 builder_bat_index(const struct builder_layout *layout, u64 block);
u64 builder_bitmap_index(const struct builder_layout *layout, u64 chunk);
bool builder_has_sector(const struct builder *b, u64 sector);

void builder_seal(void *buf, size_t len);
size_t builder_locator(const struct builder *b, u8 *buf);

#endif
