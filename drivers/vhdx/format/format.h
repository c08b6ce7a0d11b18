/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The format layer: bytes to structures and their rules (MS-VHDX chapter 2).
 *
 * Pure functions over the caller's buffers: no I/O, no locks, no allocation,
 * callable in any context where their own comment says nothing else. Every
 * function that can refuse its input returns 0 or a negative errno and, in the
 * latter case, has filled in *err with the structure, the field and the byte
 * offset in the file.
 *
 * Buffers of on-disk structures are aligned to 8 bytes, as memory from an
 * allocator is; only metadata items may lie anywhere.
 */
#ifndef VHDX_FORMAT_H
#define VHDX_FORMAT_H

#include "../port.h"
#include "error.h"
#include "ondisk.h"

/* guid.c ------------------------------------------------------------------ */

#define VHDX_GUID_CHARS		36

extern const guid_t vhdx_guid_bat_region;
extern const guid_t vhdx_guid_metadata_region;
extern const guid_t vhdx_guid_file_parameters;
extern const guid_t vhdx_guid_virtual_disk_size;
extern const guid_t vhdx_guid_virtual_disk_id;
extern const guid_t vhdx_guid_logical_sector_size;
extern const guid_t vhdx_guid_physical_sector_size;
extern const guid_t vhdx_guid_parent_locator;
extern const guid_t vhdx_guid_vhdx_parent_locator;

void vhdx_guid_print(char buf[VHDX_GUID_CHARS + 1], const guid_t *guid);
int vhdx_guid_parse(const char *text, size_t length, guid_t *guid);

/* utf16.c ----------------------------------------------------------------- */

int vhdx_utf16_to_utf8(char *buf, size_t size, const void *utf16,
		       size_t chars, bool lossy);
size_t vhdx_utf8_decode(const char *s, u32 *value);
int vhdx_utf8_to_utf16(void *utf16, size_t chars, const char *utf8);

/* header.c: MS-VHDX 2.2.1, 2.2.2 ------------------------------------------ */

/**
 * struct vhdx_header - a decoded header (MS-VHDX 2.2.2)
 * @sequence_number: SequenceNumber
 * @file_write_guid: FileWriteGuid
 * @data_write_guid: DataWriteGuid
 * @log_guid: LogGuid, zero when the log is empty
 * @log_version: LogVersion
 * @version: Version
 * @log_length: LogLength, bytes
 * @log_offset: LogOffset, bytes from the start of the file
 */
struct vhdx_header {
	u64 sequence_number;
	guid_t file_write_guid;
	guid_t data_write_guid;
	guid_t log_guid;
	u16 log_version;
	u16 version;
	u32 log_length;
	u64 log_offset;
};

/**
 * struct vhdx_headers - both header slots
 * @slot: what each holds; counts where @valid
 * @valid: signature and checksum are right
 * @current_slot: 0 or 1, the one whose content counts
 */
struct vhdx_headers {
	struct vhdx_header slot[2];
	bool valid[2];
	unsigned int current_slot;
};

int vhdx_file_id_check(const void *buf, struct vhdx_error *err);
void vhdx_file_id_encode(const char *creator, void *buf);
u64 vhdx_header_offset(unsigned int slot);
void vhdx_header_encode(const struct vhdx_header *header, void *buf);
bool vhdx_header_decode(const void *buf, struct vhdx_header *header);
int vhdx_headers_decode(const void *buf1, const void *buf2,
			struct vhdx_headers *headers, struct vhdx_error *err);
int vhdx_header_check_slot(const struct vhdx_headers *headers,
			   unsigned int slot, struct vhdx_error *err);
int vhdx_header_check_version(const struct vhdx_header *header,
			      u64 header_offset, struct vhdx_error *err);
int vhdx_header_check_log(const struct vhdx_header *header, u64 header_offset,
			  u64 file_size, struct vhdx_error *err);
int vhdx_header_check(const struct vhdx_header *header, u64 header_offset,
		      u64 file_size, struct vhdx_error *err);

/* region.c: MS-VHDX 2.2.3 ------------------------------------------------- */

/**
 * struct vhdx_region - an entry of the region table
 * @guid: which region it is
 * @file_offset: bytes from the start of the file
 * @length: bytes
 * @required: an implementation that does not know the region must not go on
 */
struct vhdx_region {
	guid_t guid;
	u64 file_offset;
	u32 length;
	bool required;
};

/**
 * struct vhdx_region_table - a decoded region table
 * @count: entries in @region
 * @table: 1 or 2, the copy this came from
 * @table_valid: signature and checksum of table 1 and 2 are right
 * @offset: of that copy, bytes from the start of the file
 * @region: in the order of the table
 */
struct vhdx_region_table {
	u32 count;
	u32 table;
	bool table_valid[2];
	u64 offset;
	struct vhdx_region region[VHDX_MAX_REGIONS];
};

int vhdx_region_tables_decode(const void *buf1, const void *buf2,
			      u64 log_offset, u64 log_length, u64 file_size,
			      struct vhdx_region_table *table,
			      struct vhdx_error *err);
int vhdx_region_table_read(const void *buf, unsigned int which,
			   struct vhdx_region_table *table,
			   struct vhdx_error *err);
int vhdx_region_check(const struct vhdx_region_table *table, u32 i,
		      u64 log_offset, u64 log_length, u64 file_size,
		      struct vhdx_error *err);
int vhdx_region_check_pairs(const struct vhdx_region_table *table, u32 i,
			    struct vhdx_error *err);
int vhdx_region_check_known(const struct vhdx_region_table *table, u32 i,
			    struct vhdx_error *err);
int vhdx_region_check_present(const struct vhdx_region_table *table,
			      const guid_t *guid, struct vhdx_error *err);
const struct vhdx_region *
vhdx_region_find(const struct vhdx_region_table *table, const guid_t *guid);
void vhdx_region_table_encode(const struct vhdx_region *region, u32 count,
			      void *buf);

/* metadata.c: MS-VHDX 2.6 ------------------------------------------------- */

/**
 * struct vhdx_metadata_item - an entry of the metadata table
 * @item_id: which item it is, together with @is_user
 * @offset: bytes from the start of the region; 0 when empty
 * @length: bytes; 0 when empty
 * @is_user: user metadata, not system metadata
 * @is_virtual_disk: belongs to the disk, not to the file
 * @is_required: an implementation that does not know the item must not go on
 */
struct vhdx_metadata_item {
	guid_t item_id;
	u32 offset;
	u32 length;
	bool is_user;
	bool is_virtual_disk;
	bool is_required;
};

/**
 * struct vhdx_metadata_table - a decoded metadata table
 * @count: entries in @item
 * @item: in the order of the table
 */
struct vhdx_metadata_table {
	u32 count;
	struct vhdx_metadata_item item[VHDX_MAX_METADATA_ITEMS];
};

/**
 * struct vhdx_metadata - the known system items of an image
 * @block_size: bytes of a payload block
 * @leave_blocks_allocated: a fixed image
 * @has_parent: a differencing image
 * @virtual_disk_size: bytes
 * @logical_sector_size: bytes, 512 or 4096
 * @physical_sector_size: bytes, 512 or 4096
 * @virtual_disk_id: page 83 id
 */
struct vhdx_metadata {
	u32 block_size;
	bool leave_blocks_allocated;
	bool has_parent;
	u64 virtual_disk_size;
	u32 logical_sector_size;
	u32 physical_sector_size;
	guid_t virtual_disk_id;
};

/* Longest of the items that vhdx_metadata_item_decode() knows, in bytes. */
#define VHDX_METADATA_FIXED_ITEM_SIZE	16U

int vhdx_metadata_table_decode(const void *buf, u64 region_offset,
			       u32 region_length,
			       struct vhdx_metadata_table *table,
			       struct vhdx_error *err);
int vhdx_metadata_table_read(const void *buf, u64 region_offset,
			     struct vhdx_metadata_table *table,
			     struct vhdx_error *err);
int vhdx_metadata_item_check(const struct vhdx_metadata_table *table, u32 i,
			     u64 region_offset, u32 region_length,
			     struct vhdx_error *err);
int vhdx_metadata_item_check_pairs(const struct vhdx_metadata_table *table,
				   u32 i, u64 region_offset,
				   struct vhdx_error *err);
int vhdx_metadata_item_check_known(const struct vhdx_metadata_table *table,
				   u32 i, u64 region_offset,
				   struct vhdx_error *err);
int vhdx_metadata_check_present(const struct vhdx_metadata_table *table,
				const guid_t *id, u64 region_offset,
				struct vhdx_error *err);
const struct vhdx_metadata_item *
vhdx_metadata_find(const struct vhdx_metadata_table *table, const guid_t *id);
int vhdx_metadata_item_decode(const struct vhdx_metadata_item *item,
			      const void *buf, u64 region_offset,
			      struct vhdx_metadata *metadata,
			      struct vhdx_error *err);
int vhdx_metadata_check_size(const struct vhdx_metadata *metadata,
			     const struct vhdx_metadata_table *table,
			     u64 region_offset, struct vhdx_error *err);
int vhdx_metadata_check_parent(const struct vhdx_metadata *metadata,
			       const struct vhdx_metadata_table *table,
			       u64 region_offset, struct vhdx_error *err);
int vhdx_metadata_check(const struct vhdx_metadata *metadata,
			const struct vhdx_metadata_table *table,
			u64 region_offset, struct vhdx_error *err);
void vhdx_metadata_table_encode(const struct vhdx_metadata_table *table,
				void *buf);
u32 vhdx_metadata_item_encode(const guid_t *id,
			      const struct vhdx_metadata *metadata, void *buf);

/* locator.c: MS-VHDX 2.6.2.6 ---------------------------------------------- */

/**
 * struct vhdx_locator_entry - one key and value of a parent locator
 * @key: UTF-16LE, inside the caller's buffer, without NUL
 * @value: as @key
 * @key_chars: UTF-16 units of @key
 * @value_chars: UTF-16 units of @value
 */
struct vhdx_locator_entry {
	const void *key;
	const void *value;
	u32 key_chars;
	u32 value_chars;
};

/**
 * struct vhdx_locator - a decoded parent locator
 * @buf: the bytes of the item, the caller's
 * @length: of the item, bytes
 * @count: keys
 * @parent_linkage: the parent's DataWriteGuid
 * @parent_linkage2: the other DataWriteGuid the parent may have
 * @has_parent_linkage2: there is one; it may be all zero
 */
struct vhdx_locator {
	const void *buf;
	u32 length;
	u32 count;
	guid_t parent_linkage;
	guid_t parent_linkage2;
	bool has_parent_linkage2;
};

int vhdx_locator_decode(const void *buf, u32 length, u64 item_offset,
			struct vhdx_locator *locator, struct vhdx_error *err);
int vhdx_locator_read(const void *buf, u32 length, u64 item_offset,
		      struct vhdx_locator *locator, struct vhdx_error *err);
int vhdx_locator_check_entry(const struct vhdx_locator *locator, u32 i,
			     u64 item_offset, struct vhdx_error *err);
int vhdx_locator_check_linkage(struct vhdx_locator *locator, u64 item_offset,
			       struct vhdx_error *err);
int vhdx_locator_check_paths(const struct vhdx_locator *locator,
			     u64 item_offset, struct vhdx_error *err);
void vhdx_locator_entry(const struct vhdx_locator *locator, u32 i,
			struct vhdx_locator_entry *entry);
bool vhdx_locator_find(const struct vhdx_locator *locator, const char *key,
		       struct vhdx_locator_entry *entry);

/**
 * struct vhdx_locator_pair - a key and its value, to be written
 * @key: UTF-8, not empty
 * @value: likewise
 */
struct vhdx_locator_pair {
	const char *key;
	const char *value;
};

int vhdx_locator_encode(const struct vhdx_locator_pair *pair, u32 count,
			void *buf, u32 size);

/* bat.c: MS-VHDX 2.5 ------------------------------------------------------ */

enum vhdx_payload_state {
	VHDX_PAYLOAD_NOT_PRESENT	= 0,
	VHDX_PAYLOAD_UNDEFINED		= 1,
	VHDX_PAYLOAD_ZERO		= 2,
	VHDX_PAYLOAD_UNMAPPED		= 3,
	VHDX_PAYLOAD_UNMAPPED_V095	= 5,	/* of format 0.95 */
	VHDX_PAYLOAD_FULLY_PRESENT	= 6,
	VHDX_PAYLOAD_PARTIALLY_PRESENT	= 7,
};

enum vhdx_bitmap_state {
	VHDX_BITMAP_NOT_PRESENT		= 0,
	VHDX_BITMAP_PRESENT		= 6,
};

/**
 * struct vhdx_geometry - what follows from sizes alone (MS-VHDX 2.4, 2.5)
 * @disk_size: bytes
 * @block_shift: log2 of the block size
 * @sector_shift: log2 of the logical sector size
 * @chunk_ratio_shift: log2 of the payload blocks per chunk
 * @payload_blocks: in the disk
 * @chunks: in the disk, the last one counted whole
 * @bat_entries: the BAT must have at least
 * @has_parent: a differencing image
 */
struct vhdx_geometry {
	u64 disk_size;
	u32 block_shift;
	u32 sector_shift;
	u32 chunk_ratio_shift;
	u64 payload_blocks;
	u64 chunks;
	u64 bat_entries;
	bool has_parent;
};

void vhdx_geometry_init(struct vhdx_geometry *geo,
			const struct vhdx_metadata *metadata);
u64 vhdx_bat_payload_index(const struct vhdx_geometry *geo, u64 block);
u64 vhdx_bat_payload_block(const struct vhdx_geometry *geo, u64 index);
u64 vhdx_bat_bitmap_index(const struct vhdx_geometry *geo, u64 chunk);
bool vhdx_bat_index_is_bitmap(const struct vhdx_geometry *geo, u64 index);
u64 vhdx_bat_chunk(const struct vhdx_geometry *geo, u64 index);

static inline unsigned int vhdx_bat_state(u64 entry)
{
	return entry & VHDX_BAT_STATE_MASK;
}

/* Bytes from the start of the file. */
static inline u64 vhdx_bat_offset(u64 entry)
{
	return entry & VHDX_BAT_OFFSET_MASK;
}

bool vhdx_bat_entry_has_space(u64 entry);
bool vhdx_bat_entry_is_cut(const struct vhdx_geometry *geo, u64 index, u64 entry,
			   u64 file_size);
int vhdx_bat_entry_check(const struct vhdx_geometry *geo, u64 index, u64 entry,
			 u64 entry_offset, u64 file_size,
			 struct vhdx_error *err);

/* log.c: MS-VHDX 2.3 ------------------------------------------------------ */

/**
 * struct vhdx_log_entry - the header of a log entry (MS-VHDX 2.3.1.1)
 * @offset: bytes from the start of the log
 * @entry_length: EntryLength, bytes
 * @tail: Tail, bytes from the start of the log
 * @descriptor_count: DescriptorCount
 * @sequence_number: SequenceNumber
 * @flushed_file_offset: FlushedFileOffset, bytes
 * @last_file_offset: LastFileOffset, bytes
 */
struct vhdx_log_entry {
	u32 offset;
	u32 entry_length;
	u32 tail;
	u32 descriptor_count;
	u64 sequence_number;
	u64 flushed_file_offset;
	u64 last_file_offset;
};

/**
 * struct vhdx_log - a log in memory
 * @buf: all of it
 * @length: bytes, a multiple of 1 MiB, at most VHDX_MAX_LOG_LENGTH
 * @file_offset: of the log, bytes from the start of the file
 * @log_guid: the current header's
 */
struct vhdx_log {
	const void *buf;
	u32 length;
	u64 file_offset;
	guid_t log_guid;
};

/**
 * struct vhdx_log_sequence - the active sequence (MS-VHDX 2.3.3)
 * @tail: the entry to replay first
 * @head: the last entry
 * @count: entries from @tail to @head, both included
 */
struct vhdx_log_sequence {
	struct vhdx_log_entry tail;
	struct vhdx_log_entry head;
	u32 count;
};

/**
 * struct vhdx_log_update - what one descriptor does
 * @file_offset: where in the file, bytes
 * @length: bytes; VHDX_LOG_SECTOR_SIZE for data
 * @is_zero: zero the range; else vhdx_log_update_data() tells the bytes
 * @data_sector: bytes from the start of the log; of this update, or of the
 *	next one that has data
 * @descriptor: bytes from the start of the log
 */
struct vhdx_log_update {
	u64 file_offset;
	u64 length;
	bool is_zero;
	u32 data_sector;
	u32 descriptor;
};

bool vhdx_log_entry_decode(const struct vhdx_log *log, u32 offset,
			   struct vhdx_log_entry *entry);
bool vhdx_log_find_entry(const struct vhdx_log *log, u32 *offset,
			 struct vhdx_log_entry *entry);
bool vhdx_log_entry_guid(const struct vhdx_log *log, u32 offset, guid_t *guid);
int vhdx_log_find_active_sequence(const struct vhdx_log *log,
				  struct vhdx_log_entry *scratch,
				  struct vhdx_log_sequence *sequence,
				  struct vhdx_error *err);
void vhdx_log_next_entry(const struct vhdx_log *log,
			 const struct vhdx_log_entry *entry,
			 struct vhdx_log_entry *next);
int vhdx_log_update(const struct vhdx_log *log,
		    const struct vhdx_log_entry *entry, u32 i,
		    struct vhdx_log_update *update, struct vhdx_error *err);
void vhdx_log_update_data(const struct vhdx_log *log,
			  const struct vhdx_log_update *update, void *buf);

/**
 * struct vhdx_log_page - an update to be logged
 * @file_offset: where it belongs, bytes from the start of the file
 * @data: 4 KiB; NULL: zeros
 * @zero_length: without @data, bytes that become zero, a multiple of 4 KiB
 */
struct vhdx_log_page {
	u64 file_offset;
	const void *data;
	u64 zero_length;
};

u32 vhdx_log_entry_length(u32 count);
void vhdx_log_entry_encode(const struct vhdx_log_entry *entry,
			   const guid_t *log_guid,
			   const struct vhdx_log_page *pages, void *buf);

#endif
