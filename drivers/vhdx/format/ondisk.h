/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The structures of a VHDX file as they lie on disk (MS-VHDX 2.2 to 2.6).
 *
 * All integers are little-endian. Field names are the specification's, in the
 * kernel's spelling. Every structure is naturally aligned at its place in the
 * file, so none of them needs to be packed.
 */
#ifndef VHDX_FORMAT_ONDISK_H
#define VHDX_FORMAT_ONDISK_H

#include "../port.h"

#define VHDX_MIB			0x100000ULL

/* MS-VHDX 2.2: the header section, 1 MiB of five items of 64 KiB */
#define VHDX_HEADER_SECTION_SIZE	0x100000U
#define VHDX_FILE_ID_OFFSET		0x0U
#define VHDX_HEADER_1_OFFSET		0x10000U
#define VHDX_HEADER_2_OFFSET		0x20000U
#define VHDX_REGION_TABLE_1_OFFSET	0x30000U
#define VHDX_REGION_TABLE_2_OFFSET	0x40000U

#define VHDX_FILE_ID_SIZE		520U
#define VHDX_CREATOR_CHARS		256U
#define VHDX_HEADER_SIZE		4096U
#define VHDX_REGION_TABLE_SIZE		65536U
#define VHDX_MAX_REGIONS		2047U

#define VHDX_FILE_ID_SIGNATURE		0x656C696678646876ULL	/* vhdxfile */
#define VHDX_HEADER_SIGNATURE		0x64616568U		/* head */
#define VHDX_REGION_TABLE_SIGNATURE	0x69676572U		/* regi */

#define VHDX_VERSION			1U
#define VHDX_LOG_VERSION		0U

/* Ours, not the specification's: no writer makes a log of this size. */
#define VHDX_MAX_LOG_LENGTH		0x40000000U

struct vhdx_disk_file_id {
	__le64 signature;
	__le16 creator[VHDX_CREATOR_CHARS];
};

struct vhdx_disk_header {
	__le32 signature;
	__le32 checksum;
	__le64 sequence_number;
	guid_t file_write_guid;
	guid_t data_write_guid;
	guid_t log_guid;
	__le16 log_version;
	__le16 version;
	__le32 log_length;
	__le64 log_offset;
	u8 reserved[4016];
};

struct vhdx_disk_region_table_header {
	__le32 signature;
	__le32 checksum;
	__le32 entry_count;
	__le32 reserved;
};

#define VHDX_REGION_REQUIRED		0x1U

struct vhdx_disk_region_table_entry {
	guid_t guid;
	__le64 file_offset;
	__le32 length;
	__le32 required;
};

/* MS-VHDX 2.3: the log */
#define VHDX_LOG_SECTOR_SIZE		4096U
#define VHDX_LOG_ENTRY_SIGNATURE	0x65676F6CU		/* loge */
#define VHDX_ZERO_DESCRIPTOR_SIGNATURE	0x6F72657AU		/* zero */
#define VHDX_DATA_DESCRIPTOR_SIGNATURE	0x63736564U		/* desc */
#define VHDX_DATA_SECTOR_SIGNATURE	0x61746164U		/* data */

struct vhdx_disk_log_entry_header {
	__le32 signature;
	__le32 checksum;
	__le32 entry_length;
	__le32 tail;
	__le64 sequence_number;
	__le32 descriptor_count;
	__le32 reserved;
	guid_t log_guid;
	__le64 flushed_file_offset;
	__le64 last_file_offset;
};

/* Both kinds of descriptor; MS-VHDX 2.3.1.2 and 2.3.1.3. */
struct vhdx_disk_log_descriptor {
	__le32 signature;
	__le32 trailing_bytes;		/* reserved in a zero descriptor */
	__le64 leading_bytes;		/* ZeroLength in a zero descriptor */
	__le64 file_offset;
	__le64 sequence_number;
};

#define VHDX_LOG_DATA_SIZE		4084U

struct vhdx_disk_log_data_sector {
	__le32 signature;
	__le32 sequence_high;
	u8 data[VHDX_LOG_DATA_SIZE];
	__le32 sequence_low;
};

#define VHDX_LOG_DESCRIPTOR_SIZE	32U
#define VHDX_LOG_DESCRIPTORS_FIRST	126U	/* in the sector of the entry header */
#define VHDX_LOG_DESCRIPTORS_PER_SECTOR	128U

/* MS-VHDX 2.5: the BAT */
#define VHDX_BAT_STATE_MASK		0x7ULL
#define VHDX_BAT_RESERVED_MASK		0xFFFF8ULL
#define VHDX_BAT_OFFSET_MASK		0xFFFFFFFFFFF00000ULL

#define VHDX_BITMAP_BLOCK_SIZE		0x100000U
#define VHDX_SECTORS_PER_CHUNK_SHIFT	23

/* MS-VHDX 2.6: the metadata region */
#define VHDX_METADATA_TABLE_SIZE	65536U
#define VHDX_METADATA_SIGNATURE		0x617461646174656DULL	/* metadata */
#define VHDX_MAX_METADATA_ITEMS		2047U
#define VHDX_MAX_USER_ITEMS		1024U
#define VHDX_MAX_METADATA_ITEM_SIZE	0x100000U

struct vhdx_disk_metadata_table_header {
	__le64 signature;
	__le16 reserved;
	__le16 entry_count;
	__le32 reserved2[5];
};

#define VHDX_METADATA_IS_USER		0x1U
#define VHDX_METADATA_IS_VIRTUAL_DISK	0x2U
#define VHDX_METADATA_IS_REQUIRED	0x4U

struct vhdx_disk_metadata_table_entry {
	guid_t item_id;
	__le32 offset;
	__le32 length;
	__le32 flags;
	__le32 reserved2;
};

#define VHDX_LEAVE_BLOCKS_ALLOCATED	0x1U
#define VHDX_HAS_PARENT			0x2U

struct vhdx_disk_file_parameters {
	__le32 block_size;
	__le32 flags;
};

#define VHDX_MIN_BLOCK_SIZE		0x100000U
#define VHDX_MAX_BLOCK_SIZE		0x10000000U
#define VHDX_MAX_DISK_SIZE		0x400000000000ULL	/* 64 TiB */

/* Ours, not the specification's, which knows five keys. */
#define VHDX_MAX_LOCATOR_KEYS		64U

struct vhdx_disk_parent_locator_header {
	guid_t locator_type;
	__le16 reserved;
	__le16 key_value_count;
};

struct vhdx_disk_parent_locator_entry {
	__le32 key_offset;
	__le32 value_offset;
	__le16 key_length;
	__le16 value_length;
};

#endif
