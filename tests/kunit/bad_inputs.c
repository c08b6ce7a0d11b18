// SPDX-License-Identifier: GPL-2.0
/*
 * The image that is made bad has a disk of 16 MiB in blocks of 1 MiB, of which
 * 0, 1, 3 and 15 are there. The log lies at 1 MiB of the file, the BAT at 2,
 * the metadata region at 3 and the blocks at 4 to 7 MiB, where the file ends.
 */
#include "bad_inputs.h"

#define MIB		0x100000ULL
#define TIB		0x10000000000ULL

#define LOG_AT		MIB
#define BAT_AT		(2 * MIB)
#define METADATA_AT	(3 * MIB)
#define BLOCK_0_AT	(4 * MIB)

/* Fields, in bytes from the start of their structure. */
#define SEQUENCE_NUMBER	8
#define DATA_WRITE_GUID	32
#define LOG_GUID	48
#define LOG_VERSION	64
#define VERSION		66
#define LOG_LENGTH	68
#define LOG_OFFSET	72

#define REGION(i)		(16 + 32 * (i))
#define REGION_OFFSET(i)	(REGION(i) + 16)
#define REGION_LENGTH(i)	(REGION(i) + 24)
#define REGION_REQUIRED(i)	(REGION(i) + 28)

#define ITEM(i)			(32 + 32 * (i))
#define ITEM_OFFSET(i)		(ITEM(i) + 16)
#define ITEM_LENGTH(i)		(ITEM(i) + 20)
#define ITEM_FLAGS(i)		(ITEM(i) + 24)

/* Of the locator that builder_locator() makes. */
#define KEY(i)			(20 + 12 * (i))
#define KEY_OFFSET(i)		KEY(i)
#define VALUE_OFFSET(i)		(KEY(i) + 4)
#define KEY_LENGTH(i)		(KEY(i) + 8)
#define VALUE_LENGTH(i)		(KEY(i) + 10)
#define LINKAGE_KEY		44
#define LINKAGE_VALUE		(LINKAGE_KEY + 2 * 14)
#define PATH_KEY		(LINKAGE_VALUE + 2 * 38)
#define PATH_VALUE		(PATH_KEY + 2 * 13)
/* With a third key, behind the others. */
#define LINKAGE2_KEY		(PATH_VALUE + 2 * 14 + 12)
#define LINKAGE2_VALUE		(LINKAGE2_KEY + 2 * 15)

#define BLOCK_ENTRY(block)	(8 * (block))

static const guid_t unknown_guid =
	GUID_INIT(0x0BADCAFE, 0x1111, 0x4222,
		  0x83, 0x33, 0x44, 0x44, 0x55, 0x55, 0x66, 0x66);
/* What writers leave in a file that they have not finished. */
static const guid_t incomplete_file_guid =
	GUID_INIT(0x71CC85F0, 0x1B69, 0x4E28,
		  0x95, 0x58, 0xC3, 0xBF, 0x83, 0xAE, 0x75, 0xD3);

/* --- before the image is built ------------------------------------------- */

static void differencing(struct bad_image *image)
{
	image->b.differencing = true;
	image->b.parent_linkage = builder_data_write_guid;
}

static void second_linkage(struct bad_image *image)
{
	differencing(image);
	image->b.parent_linkage2 = &builder_data_write_guid;
}

static void partial_block(struct bad_image *image)
{
	differencing(image);
	image->block[1].state = 7;
}

static void two_chunks(struct bad_image *image)
{
	image->b.disk_size = 4096 * MIB + 16 * MIB;
}

static void large_blocks(struct bad_image *image)
{
	image->b.block_size = 2 * MIB;
	image->b.disk_size = 32 * MIB;
}

static void cut_last_block(struct bad_image *image)
{
	image->b.cut = MIB / 2;
	image->zero_from = 15 * MIB + MIB / 2;
}

static void unknown_region(struct bad_image *image)
{
	image->b.region.guid = unknown_guid;
	image->b.region.length = MIB;
}

static void unknown_required_region(struct bad_image *image)
{
	unknown_region(image);
	image->b.region.required = true;
}

static void required_bit_missing(struct bad_image *image)
{
	image->b.regions_optional = true;
}

static void without_log(struct bad_image *image)
{
	image->b.log_length = 0;
}

/* Block 0 reads as zeros, whatever its old place holds. */
static void block_0_gone(struct bad_image *image)
{
	image->block[0].state = 2;
	image->block[0].offset = BUILDER_PLACE;
}

/* --- after it ------------------------------------------------------------ */

static int resize_0(struct bad_image *image)
{
	memfile_resize(image->mf, 0);
	return 0;
}

static int resize_64k(struct bad_image *image)
{
	memfile_resize(image->mf, 0x10000);
	return 0;
}

static int resize_1m(struct bad_image *image)
{
	memfile_resize(image->mf, MIB);
	return 0;
}

static int identical_headers(struct bad_image *image)
{
	u8 *buf = kmalloc(4096, GFP_KERNEL);
	int ret;

	if (!buf)
		return -ENOMEM;
	memfile_read(image->mf, buf, 4096, 0x20000);
	ret = memfile_write(image->mf, buf, 4096, 0x10000);
	kfree(buf);
	return ret;
}

static int write_guid(struct bad_image *image, const guid_t *guid, u64 offset)
{
	return memfile_write(image->mf, guid, sizeof(*guid),
			     image->layout.metadata_offset + offset);
}

static int unknown_item(struct bad_image *image)
{
	return write_guid(image, &unknown_guid, ITEM(5));
}

static int incomplete_file_item(struct bad_image *image)
{
	return write_guid(image, &incomplete_file_guid, ITEM(5));
}

static int duplicate_item(struct bad_image *image)
{
	return write_guid(image, &builder_guid_item[BUILDER_LOGICAL_SECTOR_SIZE],
			  ITEM(4));
}

/* A user item may have the GUID of a system item. */
static int same_guid_user_item(struct bad_image *image)
{
	return write_guid(image, &builder_guid_item[BUILDER_LOGICAL_SECTOR_SIZE],
			  ITEM(5));
}

#define POKE(...)	.poke = { { __VA_ARGS__ } }
#define POKES(...)	.poke = { __VA_ARGS__ }
#define PREPARE(func)	.prepare = (func)
#define CHANGE(func)	.change = (func)
/* errno, structure, field, area and offset of the place */
#define REFUSED(e, s, f, a, o) \
	.errnum = (e), .structure = (s), .field = (f), .area = (a), .offset = (o)
#define OPENS		.errnum = 0
/* by vhdx_image_check() */
#define FINDS(name)	.finding = (name)

static const struct bad_input inputs[] = {
	/* File and headers */
	{ "empty-file", CHANGE(resize_0),
	  REFUSED(-EMEDIUMTYPE, "file identifier", "Signature", BAD_FILE, 0) },
	{ "file-of-64k", CHANGE(resize_64k),
	  REFUSED(-EUCLEAN, "file", NULL, BAD_FILE, 0x10000),
	  FINDS("file-short") },
	{ "cut-at-1m", CHANGE(resize_1m),
	  REFUSED(-EUCLEAN, "header 2", "LogOffset", BAD_HEADERS, LOG_OFFSET),
	  FINDS("header-log") },
	{ "signature", POKE(BAD_FILE, 0, 1, 'V'),
	  REFUSED(-EMEDIUMTYPE, "file identifier", "Signature", BAD_FILE, 0),
	  FINDS("file-id") },
	{ "header-checksums", POKE(BAD_HEADERS, 4000 | BAD_UNSEALED, 1, 1),
	  REFUSED(-EUCLEAN, "header 1", NULL, BAD_HEADER_1, 0),
	  FINDS("header-damaged") },
	{ "header-signatures", POKE(BAD_HEADERS, 0, 1, 'H'),
	  REFUSED(-EUCLEAN, "header 1", NULL, BAD_HEADER_1, 0),
	  FINDS("header-damaged") },
	{ "header-1-checksum", POKE(BAD_HEADER_1, 4000 | BAD_UNSEALED, 1, 1),
	  OPENS,
	  FINDS("header-damaged") },
	{ "header-2-checksum", POKE(BAD_HEADER_2, 4000 | BAD_UNSEALED, 1, 1),
	  OPENS,
	  FINDS("header-damaged") },
	{ "header-1-version-but-older", POKE(BAD_HEADER_1, VERSION, 2, 9),
	  OPENS,
	  FINDS("header-version") },
	{ "header-sequence-equal",
	  POKES({ BAD_HEADERS, SEQUENCE_NUMBER, 8, 9 },
		{ BAD_HEADER_1, DATA_WRITE_GUID, 8, 1 }),
	  REFUSED(-EUCLEAN, "header 2", "SequenceNumber", BAD_HEADER_2,
		  SEQUENCE_NUMBER),
	  FINDS("header-sequence") },
	{ "headers-identical", CHANGE(identical_headers), OPENS,
	  FINDS("header-identical") },
	{ "header-sequence-highest",
	  POKE(BAD_HEADER_2, SEQUENCE_NUMBER, 8, U64_MAX), OPENS,
	  FINDS("header-sequence") },
	{ "version-0", POKE(BAD_HEADERS, VERSION, 2, 0),
	  REFUSED(-EOPNOTSUPP, "header 2", "Version", BAD_HEADERS, VERSION),
	  FINDS("header-version") },
	{ "version-2", POKE(BAD_HEADERS, VERSION, 2, 2),
	  REFUSED(-EOPNOTSUPP, "header 2", "Version", BAD_HEADERS, VERSION),
	  FINDS("header-version") },
	{ "log-version-1", .dirty = true, POKE(BAD_HEADERS, LOG_VERSION, 2, 1),
	  REFUSED(-EOPNOTSUPP, "header 2", "LogVersion", BAD_HEADERS,
		  LOG_VERSION),
	  FINDS("header-version") },
	{ "log-version-1-clean", POKE(BAD_HEADERS, LOG_VERSION, 2, 1), OPENS },

	/* Log placement */
	{ "log-offset-unaligned",
	  POKE(BAD_HEADERS, LOG_OFFSET, 8, LOG_AT + 4096),
	  REFUSED(-EUCLEAN, "header 2", "LogOffset", BAD_HEADERS, LOG_OFFSET),
	  FINDS("header-log") },
	{ "log-offset-past-end", POKE(BAD_HEADERS, LOG_OFFSET, 8, 64 * MIB),
	  REFUSED(-EUCLEAN, "header 2", "LogOffset", BAD_HEADERS, LOG_OFFSET),
	  FINDS("header-log") },
	{ "log-offset-wraps", POKE(BAD_HEADERS, LOG_OFFSET, 8, -MIB),
	  REFUSED(-EUCLEAN, "header 2", "LogOffset", BAD_HEADERS, LOG_OFFSET),
	  FINDS("header-log") },
	{ "log-offset-0", POKE(BAD_HEADERS, LOG_OFFSET, 8, 0),
	  REFUSED(-EUCLEAN, "header 2", "LogOffset", BAD_HEADERS, LOG_OFFSET),
	  FINDS("header-log") },
	{ "log-over-bat", POKE(BAD_HEADERS, LOG_OFFSET, 8, BAT_AT),
	  REFUSED(-EUCLEAN, "region table 1", "FileOffset", BAD_TABLES,
		  REGION_OFFSET(0)),
	  FINDS("region") },
	{ "log-over-metadata", POKE(BAD_HEADERS, LOG_OFFSET, 8, METADATA_AT),
	  REFUSED(-EUCLEAN, "region table 1", "FileOffset", BAD_TABLES,
		  REGION_OFFSET(1)),
	  FINDS("region") },
	{ "log-over-block", POKE(BAD_HEADERS, LOG_OFFSET, 8, BLOCK_0_AT),
	  REFUSED(-EUCLEAN, "payload BAT entry", "FileOffsetMB", BAD_BAT, 0),
	  FINDS("bat-overlap") },
	{ "log-length-0", .dirty = true, POKE(BAD_HEADERS, LOG_LENGTH, 4, 0),
	  REFUSED(-EUCLEAN, "header 2", "LogLength", BAD_HEADERS, LOG_LENGTH),
	  FINDS("header-log") },
	{ "log-length-0-clean", PREPARE(without_log), OPENS,
	  FINDS("log-missing") },
	{ "log-length-unaligned",
	  POKE(BAD_HEADERS, LOG_LENGTH, 4, MIB + 4096),
	  REFUSED(-EUCLEAN, "header 2", "LogLength", BAD_HEADERS, LOG_LENGTH),
	  FINDS("header-log") },
	{ "log-length-4g", POKE(BAD_HEADERS, LOG_LENGTH, 4, 4096 * MIB - MIB),
	  REFUSED(-EUCLEAN, "header 2", "LogLength", BAD_HEADERS, LOG_LENGTH),
	  FINDS("header-log") },

	/* Region tables */
	{ "region-table-1-checksum", POKE(BAD_TABLE_1, 100 | BAD_UNSEALED, 1, 1),
	  OPENS,
	  FINDS("region-table") },
	{ "region-table-1-signature", POKE(BAD_TABLE_1, 0, 1, 'R'), OPENS,
	  FINDS("region-table") },
	{ "region-table-1-count", POKE(BAD_TABLE_1, 8, 4, 2048), OPENS,
	  FINDS("region-table") },
	{ "region-table-1-overlap",
	  POKE(BAD_TABLE_1, REGION_OFFSET(1), 8, BAT_AT), OPENS,
	  FINDS("region-conflict") },
	{ "region-table-2-checksum", POKE(BAD_TABLE_2, 100 | BAD_UNSEALED, 1, 1),
	  OPENS,
	  FINDS("region-table") },
	{ "region-table-checksums", POKE(BAD_TABLES, 100 | BAD_UNSEALED, 1, 1),
	  REFUSED(-EUCLEAN, "region table 1", "Checksum", BAD_TABLES, 4),
	  FINDS("region-table") },
	{ "region-table-signatures", POKE(BAD_TABLES, 0, 1, 'R'),
	  REFUSED(-EUCLEAN, "region table 1", "Signature", BAD_TABLES, 0),
	  FINDS("region-table") },
	{ "region-count-2048", POKE(BAD_TABLES, 8, 4, 2048),
	  REFUSED(-EUCLEAN, "region table 1", "EntryCount", BAD_TABLES, 8),
	  FINDS("region-table") },
	{ "region-count-highest", POKE(BAD_TABLES, 8, 4, U32_MAX),
	  REFUSED(-EUCLEAN, "region table 1", "EntryCount", BAD_TABLES, 8),
	  FINDS("region-table") },
	{ "region-count-0", POKE(BAD_TABLES, 8, 4, 0),
	  REFUSED(-EUCLEAN, "region table 1", NULL, BAD_TABLES, 0),
	  FINDS("region-missing") },
	{ "region-twice",
	  POKES({ BAD_TABLES, REGION(1), 8, 0x4200F6232DC27766ULL },
		{ BAD_TABLES, REGION(1) + 8, 8, 0x084AFD9B5E11649DULL }),
	  REFUSED(-EUCLEAN, "region table 1", "Guid", BAD_TABLES, REGION(1)),
	  FINDS("region-conflict") },
	{ "region-overlap", POKE(BAD_TABLES, REGION_OFFSET(1), 8, BAT_AT),
	  REFUSED(-EUCLEAN, "region table 1", "FileOffset", BAD_TABLES,
		  REGION_OFFSET(1)),
	  FINDS("region-conflict") },
	{ "region-over-log", POKE(BAD_TABLES, REGION_OFFSET(1), 8, LOG_AT),
	  REFUSED(-EUCLEAN, "region table 1", "FileOffset", BAD_TABLES,
		  REGION_OFFSET(1)),
	  FINDS("region") },
	{ "region-unaligned",
	  POKE(BAD_TABLES, REGION_OFFSET(0), 8, BAT_AT + 0x10000),
	  REFUSED(-EUCLEAN, "region table 1", "FileOffset", BAD_TABLES,
		  REGION_OFFSET(0)),
	  FINDS("region") },
	{ "region-offset-0", POKE(BAD_TABLES, REGION_OFFSET(0), 8, 0),
	  REFUSED(-EUCLEAN, "region table 1", "FileOffset", BAD_TABLES,
		  REGION_OFFSET(0)),
	  FINDS("region") },
	{ "region-wraps", POKE(BAD_TABLES, REGION_OFFSET(1), 8, -MIB),
	  REFUSED(-EUCLEAN, "region table 1", "FileOffset", BAD_TABLES,
		  REGION_OFFSET(1)),
	  FINDS("region") },
	{ "region-past-end", POKE(BAD_TABLES, REGION_OFFSET(1), 8, TIB),
	  REFUSED(-EUCLEAN, "region table 1", "FileOffset", BAD_TABLES,
		  REGION_OFFSET(1)),
	  FINDS("region") },
	{ "region-length-0", POKE(BAD_TABLES, REGION_LENGTH(1), 4, 0),
	  REFUSED(-EUCLEAN, "region table 1", "Length", BAD_TABLES,
		  REGION_LENGTH(1)),
	  FINDS("region") },
	{ "region-length-unaligned", POKE(BAD_TABLES, REGION_LENGTH(1), 4, 65536),
	  REFUSED(-EUCLEAN, "region table 1", "Length", BAD_TABLES,
		  REGION_LENGTH(1)),
	  FINDS("region") },
	{ "bat-region-short", POKE(BAD_DISK_SIZE, 0, 8, TIB),
	  REFUSED(-EUCLEAN, "BAT region", "Length", BAD_BAT, 0),
	  FINDS("bat-short") },
	{ "bat-region-missing",
	  POKES({ BAD_TABLES, REGION(0), 8, 1 },
		{ BAD_TABLES, REGION_REQUIRED(0), 4, 0 }),
	  REFUSED(-EUCLEAN, "region table 1", NULL, BAD_TABLES, 0),
	  FINDS("region-missing") },
	{ "metadata-region-missing",
	  POKES({ BAD_TABLES, REGION(1), 8, 1 },
		{ BAD_TABLES, REGION_REQUIRED(1), 4, 0 }),
	  REFUSED(-EUCLEAN, "region table 1", NULL, BAD_TABLES, 0),
	  FINDS("region-missing") },
	{ "region-unknown-required", PREPARE(unknown_required_region),
	  REFUSED(-EOPNOTSUPP, "region table 1", "Guid", BAD_TABLES, REGION(2)),
	  FINDS("region-unknown") },
	{ "region-unknown-optional", PREPARE(unknown_region), OPENS },
	{ "regions-without-required-bit", PREPARE(required_bit_missing), OPENS },

	/* Metadata */
	{ "metadata-signature", POKE(BAD_METADATA, 0, 1, 'M'),
	  REFUSED(-EUCLEAN, "metadata table", "Signature", BAD_METADATA, 0),
	  FINDS("metadata-table") },
	{ "metadata-count", POKE(BAD_METADATA, 10, 2, 65535),
	  REFUSED(-EUCLEAN, "metadata table", "EntryCount", BAD_METADATA, 10),
	  FINDS("metadata-table") },
	{ "item-in-table", POKE(BAD_METADATA, ITEM_OFFSET(0), 4, 0x8000),
	  REFUSED(-EUCLEAN, "metadata table", "Offset", BAD_METADATA,
		  ITEM_OFFSET(0)),
	  FINDS("item") },
	{ "item-past-region", POKE(BAD_METADATA, ITEM_OFFSET(4), 4, MIB - 2),
	  REFUSED(-EUCLEAN, "metadata table", "Offset", BAD_METADATA,
		  ITEM_OFFSET(4)),
	  FINDS("item") },
	{ "item-wraps", POKE(BAD_METADATA, ITEM_OFFSET(0), 4, 0xFFFFFFFC),
	  REFUSED(-EUCLEAN, "metadata table", "Offset", BAD_METADATA,
		  ITEM_OFFSET(0)),
	  FINDS("item") },
	{ "item-long", POKE(BAD_METADATA, ITEM_LENGTH(0), 4, MIB + 8),
	  REFUSED(-EUCLEAN, "metadata table", "Length", BAD_METADATA,
		  ITEM_LENGTH(0)),
	  FINDS("item") },
	{ "item-empty",
	  POKES({ BAD_METADATA, ITEM_OFFSET(1), 4, 0 },
		{ BAD_METADATA, ITEM_LENGTH(1), 4, 0 }),
	  REFUSED(-EUCLEAN, "virtual disk size", "Length", BAD_METADATA, 0),
	  FINDS("item-value") },
	{ "item-empty-with-offset", POKE(BAD_METADATA, ITEM_LENGTH(1), 4, 0),
	  REFUSED(-EUCLEAN, "metadata table", "Offset", BAD_METADATA,
		  ITEM_OFFSET(1)),
	  FINDS("item") },
	{ "item-short", POKE(BAD_METADATA, ITEM_LENGTH(1), 4, 4),
	  REFUSED(-EUCLEAN, "virtual disk size", "Length", BAD_DISK_SIZE, 0),
	  FINDS("item-value") },
	{ "items-overlap", POKE(BAD_METADATA, ITEM_OFFSET(1), 4, 0x10004),
	  REFUSED(-EUCLEAN, "metadata table", "Offset", BAD_METADATA,
		  ITEM_OFFSET(1)),
	  FINDS("item-conflict") },
	{ "item-twice", CHANGE(duplicate_item),
	  REFUSED(-EUCLEAN, "metadata table", "ItemId", BAD_METADATA, ITEM(4)),
	  FINDS("item-conflict") },
	{ "item-missing", POKE(BAD_METADATA, 10, 2, 4),
	  REFUSED(-EUCLEAN, "metadata table", "physical sector size",
		  BAD_METADATA, 0),
	  FINDS("item-missing") },
	{ "item-unknown-required",
	  POKES({ BAD_METADATA, 10, 2, 6 },
		{ BAD_METADATA, ITEM_FLAGS(5), 4, 4 }),
	  CHANGE(unknown_item),
	  REFUSED(-EOPNOTSUPP, "metadata table", "ItemId", BAD_METADATA,
		  ITEM(5)),
	  FINDS("item-unknown") },
	{ "item-incomplete-file",
	  POKES({ BAD_METADATA, 10, 2, 6 },
		{ BAD_METADATA, ITEM_FLAGS(5), 4, 4 }),
	  CHANGE(incomplete_file_item),
	  REFUSED(-EOPNOTSUPP, "metadata table", "ItemId", BAD_METADATA,
		  ITEM(5)),
	  FINDS("item-unknown") },
	{ "item-unknown-optional", POKE(BAD_METADATA, 10, 2, 6),
	  CHANGE(unknown_item), OPENS },
	{ "item-user-with-known-id",
	  POKES({ BAD_METADATA, 10, 2, 6 },
		{ BAD_METADATA, ITEM_FLAGS(5), 4, 1 }),
	  CHANGE(same_guid_user_item), OPENS },
	{ "block-size-0", POKE(BAD_PARAMETERS, 0, 4, 0),
	  REFUSED(-EUCLEAN, "file parameters", "BlockSize", BAD_PARAMETERS, 0),
	  FINDS("item-value") },
	{ "block-size-3m", POKE(BAD_PARAMETERS, 0, 4, 3 * MIB),
	  REFUSED(-EUCLEAN, "file parameters", "BlockSize", BAD_PARAMETERS, 0),
	  FINDS("item-value") },
	{ "block-size-512k", POKE(BAD_PARAMETERS, 0, 4, MIB / 2),
	  REFUSED(-EUCLEAN, "file parameters", "BlockSize", BAD_PARAMETERS, 0),
	  FINDS("item-value") },
	{ "block-size-512m", POKE(BAD_PARAMETERS, 0, 4, 512 * MIB),
	  REFUSED(-EUCLEAN, "file parameters", "BlockSize", BAD_PARAMETERS, 0),
	  FINDS("item-value") },
	{ "logical-sector-0", POKE(BAD_LOGICAL, 0, 4, 0),
	  REFUSED(-EUCLEAN, "logical sector size", "LogicalSectorSize",
		  BAD_LOGICAL, 0),
	  FINDS("item-value") },
	{ "logical-sector-513", POKE(BAD_LOGICAL, 0, 4, 513),
	  REFUSED(-EUCLEAN, "logical sector size", "LogicalSectorSize",
		  BAD_LOGICAL, 0),
	  FINDS("item-value") },
	{ "logical-sector-8192", POKE(BAD_LOGICAL, 0, 4, 8192),
	  REFUSED(-EUCLEAN, "logical sector size", "LogicalSectorSize",
		  BAD_LOGICAL, 0),
	  FINDS("item-value") },
	{ "physical-sector-0", POKE(BAD_PHYSICAL, 0, 4, 0),
	  REFUSED(-EUCLEAN, "physical sector size", "PhysicalSectorSize",
		  BAD_PHYSICAL, 0),
	  FINDS("item-value") },
	{ "physical-sector-777", POKE(BAD_PHYSICAL, 0, 4, 777),
	  REFUSED(-EUCLEAN, "physical sector size", "PhysicalSectorSize",
		  BAD_PHYSICAL, 0),
	  FINDS("item-value") },
	{ "physical-sector-under-logical",
	  POKES({ BAD_LOGICAL, 0, 4, 4096 }, { BAD_PHYSICAL, 0, 4, 512 }), OPENS,
	  FINDS("sector-sizes") },
	{ "disk-size-0", POKE(BAD_DISK_SIZE, 0, 8, 0),
	  REFUSED(-EUCLEAN, "virtual disk size", "VirtualDiskSize",
		  BAD_DISK_SIZE, 0),
	  FINDS("item-value") },
	{ "disk-size-1", POKE(BAD_DISK_SIZE, 0, 8, 1),
	  REFUSED(-EUCLEAN, "virtual disk size", "VirtualDiskSize",
		  BAD_DISK_SIZE, 0),
	  FINDS("item-value") },
	{ "disk-size-unaligned", POKE(BAD_DISK_SIZE, 0, 8, 16 * MIB + 256),
	  REFUSED(-EUCLEAN, "virtual disk size", "VirtualDiskSize",
		  BAD_DISK_SIZE, 0),
	  FINDS("item-value") },
	{ "disk-size-unaligned-4k",
	  POKES({ BAD_LOGICAL, 0, 4, 4096 },
		{ BAD_DISK_SIZE, 0, 8, 16 * MIB + 512 }),
	  REFUSED(-EUCLEAN, "virtual disk size", "VirtualDiskSize",
		  BAD_DISK_SIZE, 0),
	  FINDS("item-value") },
	{ "disk-size-65t", POKE(BAD_DISK_SIZE, 0, 8, 65 * TIB),
	  REFUSED(-EUCLEAN, "virtual disk size", "VirtualDiskSize",
		  BAD_DISK_SIZE, 0),
	  FINDS("item-value") },
	{ "disk-size-wraps", POKE(BAD_DISK_SIZE, 0, 8, (1ULL << 52) + 64 * MIB),
	  REFUSED(-EUCLEAN, "virtual disk size", "VirtualDiskSize",
		  BAD_DISK_SIZE, 0),
	  FINDS("item-value") },
	{ "parent-without-locator", POKE(BAD_PARAMETERS, 4, 4, 2),
	  REFUSED(-EUCLEAN, "metadata table", "parent locator", BAD_METADATA,
		  0),
	  FINDS("item-missing") },

	/* BAT */
	{ "block-twice", POKE(BAD_BAT, BLOCK_ENTRY(1), 8, BLOCK_0_AT | 6),
	  REFUSED(-EUCLEAN, "payload BAT entry", "FileOffsetMB", BAD_BAT, BLOCK_ENTRY(1)),
	  FINDS("bat-overlap") },
	{ "blocks-overlap", PREPARE(large_blocks),
	  POKE(BAD_BAT, BLOCK_ENTRY(1), 8, (BLOCK_0_AT + MIB) | 6),
	  REFUSED(-EUCLEAN, "payload BAT entry", "FileOffsetMB", BAD_BAT, BLOCK_ENTRY(1)),
	  FINDS("bat-overlap") },
	{ "block-in-metadata", POKE(BAD_BAT, BLOCK_ENTRY(1), 8, METADATA_AT | 6),
	  REFUSED(-EUCLEAN, "payload BAT entry", "FileOffsetMB", BAD_BAT, BLOCK_ENTRY(1)),
	  FINDS("bat-overlap") },
	{ "block-in-log", POKE(BAD_BAT, BLOCK_ENTRY(1), 8, LOG_AT | 6),
	  REFUSED(-EUCLEAN, "payload BAT entry", "FileOffsetMB", BAD_BAT, BLOCK_ENTRY(1)),
	  FINDS("bat-overlap") },
	{ "block-in-bat", POKE(BAD_BAT, BLOCK_ENTRY(1), 8, BAT_AT | 6),
	  REFUSED(-EUCLEAN, "payload BAT entry", "FileOffsetMB", BAD_BAT, BLOCK_ENTRY(1)),
	  FINDS("bat-overlap") },
	{ "block-in-unknown-region", PREPARE(unknown_region),
	  POKE(BAD_BAT, BLOCK_ENTRY(1), 8, BLOCK_0_AT | 6),
	  REFUSED(-EUCLEAN, "payload BAT entry", "FileOffsetMB", BAD_BAT, BLOCK_ENTRY(1)),
	  FINDS("bat-overlap") },
	{ "block-in-headers", POKE(BAD_BAT, BLOCK_ENTRY(1), 8, 6),
	  REFUSED(-EUCLEAN, "payload BAT entry", "FileOffsetMB", BAD_BAT,
		  BLOCK_ENTRY(1)),
	  FINDS("bat-entry") },
	{ "block-past-end", POKE(BAD_BAT, BLOCK_ENTRY(1), 8, 1024 * MIB | 6),
	  REFUSED(-EUCLEAN, "payload BAT entry", "FileOffsetMB", BAD_BAT,
		  BLOCK_ENTRY(1)),
	  FINDS("bat-entry") },
	{ "block-at-end", POKE(BAD_BAT, BLOCK_ENTRY(1), 8, 8 * MIB | 6),
	  REFUSED(-EUCLEAN, "payload BAT entry", "FileOffsetMB", BAD_BAT,
		  BLOCK_ENTRY(1)),
	  FINDS("bat-entry") },
	{ "block-near-2-64", POKE(BAD_BAT, BLOCK_ENTRY(1), 8, -MIB | 6),
	  REFUSED(-EUCLEAN, "payload BAT entry", "FileOffsetMB", BAD_BAT,
		  BLOCK_ENTRY(1)),
	  FINDS("bat-entry") },
	{ "block-straddles-end", PREPARE(cut_last_block), OPENS, FINDS("bat-cut") },
	{ "block-state-4", POKE(BAD_BAT, BLOCK_ENTRY(2), 8, 4),
	  REFUSED(-EUCLEAN, "payload BAT entry", "State", BAD_BAT,
		  BLOCK_ENTRY(2)),
	  FINDS("bat-entry") },
	{ "block-state-5", POKE(BAD_BAT, BLOCK_ENTRY(2), 8, 5), OPENS,
	  FINDS("bat-old-state") },
	{ "block-state-5-with-space", PREPARE(block_0_gone),
	  POKE(BAD_BAT, BLOCK_ENTRY(0), 8, BLOCK_0_AT | 5), OPENS,
	  FINDS("bat-old-state") },
	{ "block-state-7", POKE(BAD_BAT, BLOCK_ENTRY(1), 1, 7),
	  REFUSED(-EUCLEAN, "payload BAT entry", "State", BAD_BAT,
		  BLOCK_ENTRY(1)),
	  FINDS("bat-entry") },
	{ "block-reserved-bit-3", POKE(BAD_BAT, BLOCK_ENTRY(1), 1, 6 | 8),
	  REFUSED(-EUCLEAN, "payload BAT entry", "Reserved", BAD_BAT,
		  BLOCK_ENTRY(1)),
	  FINDS("bat-entry") },
	{ "block-reserved-bit-19", POKE(BAD_BAT, BLOCK_ENTRY(2), 8, 1 << 19),
	  REFUSED(-EUCLEAN, "payload BAT entry", "Reserved", BAD_BAT,
		  BLOCK_ENTRY(2)),
	  FINDS("bat-entry") },
	{ "block-0-with-offset", POKE(BAD_BAT, BLOCK_ENTRY(2), 8, BLOCK_0_AT),
	  OPENS,
	  FINDS("bat-unused-offset") },
	{ "block-zero-with-offset",
	  POKE(BAD_BAT, BLOCK_ENTRY(2), 8, BLOCK_0_AT | 2), OPENS,
	  FINDS("bat-unused-offset") },
	{ "block-undefined-over-block",
	  POKE(BAD_BAT, BLOCK_ENTRY(2), 8, BLOCK_0_AT | 1),
	  REFUSED(-EUCLEAN, "payload BAT entry", "FileOffsetMB", BAD_BAT, BLOCK_ENTRY(2)),
	  FINDS("bat-overlap") },
	{ "block-unmapped-over-block",
	  POKE(BAD_BAT, BLOCK_ENTRY(2), 8, BLOCK_0_AT | 3),
	  REFUSED(-EUCLEAN, "payload BAT entry", "FileOffsetMB", BAD_BAT, BLOCK_ENTRY(2)),
	  FINDS("bat-overlap") },
	{ "bitmap-present-without-parent", PREPARE(two_chunks),
	  POKE(BAD_BAT, BLOCK_ENTRY(4096), 8, 6 * MIB | 6),
	  REFUSED(-EUCLEAN, "sector bitmap BAT entry", "State", BAD_BAT,
		  BLOCK_ENTRY(4096)),
	  FINDS("bat-entry") },
	{ "bitmap-state-1", PREPARE(differencing),
	  POKE(BAD_BAT, BLOCK_ENTRY(4096), 8, 1),
	  REFUSED(-EUCLEAN, "sector bitmap BAT entry", "State", BAD_BAT,
		  BLOCK_ENTRY(4096)),
	  FINDS("bat-entry") },
	{ "bitmap-over-block", PREPARE(partial_block),
	  POKE(BAD_BAT, BLOCK_ENTRY(4096), 8, BLOCK_0_AT | 6),
	  REFUSED(-EUCLEAN, "sector bitmap BAT entry", "FileOffsetMB", BAD_BAT,
		  BLOCK_ENTRY(4096)),
	  FINDS("bat-overlap") },
	{ "bitmap-in-metadata", PREPARE(partial_block),
	  POKE(BAD_BAT, BLOCK_ENTRY(4096), 8, METADATA_AT | 6),
	  REFUSED(-EUCLEAN, "sector bitmap BAT entry", "FileOffsetMB", BAD_BAT,
		  BLOCK_ENTRY(4096)),
	  FINDS("bat-overlap") },
	{ "bitmap-past-end", PREPARE(partial_block),
	  POKE(BAD_BAT, BLOCK_ENTRY(4096), 8, 1024 * MIB | 6),
	  REFUSED(-EUCLEAN, "sector bitmap BAT entry", "FileOffsetMB", BAD_BAT,
		  BLOCK_ENTRY(4096)),
	  FINDS("bat-entry") },
	{ "bitmap-reserved-bit", PREPARE(partial_block),
	  POKE(BAD_BAT, BLOCK_ENTRY(4096), 1, 6 | 8),
	  REFUSED(-EUCLEAN, "sector bitmap BAT entry", "Reserved", BAD_BAT,
		  BLOCK_ENTRY(4096)),
	  FINDS("bat-entry") },
	{ "bitmap-missing", PREPARE(partial_block),
	  POKE(BAD_BAT, BLOCK_ENTRY(4096), 8, 0),
	  REFUSED(-EUCLEAN, "payload BAT entry", "State", BAD_BAT, BLOCK_ENTRY(1)),
	  FINDS("bat-no-bitmap") },

	/* Parent locator */
	{ "locator-type", PREPARE(differencing), POKE(BAD_LOCATOR, 0, 1, 1),
	  REFUSED(-EOPNOTSUPP, "parent locator", "LocatorType", BAD_LOCATOR,
		  0),
	  FINDS("locator") },
	{ "locator-short", PREPARE(differencing),
	  POKE(BAD_METADATA, ITEM_LENGTH(5), 4, 19),
	  REFUSED(-EUCLEAN, "parent locator", "Length", BAD_LOCATOR, 0),
	  FINDS("locator") },
	{ "locator-count", PREPARE(differencing), POKE(BAD_LOCATOR, 18, 2, 50),
	  REFUSED(-EUCLEAN, "parent locator", "KeyValueCount", BAD_LOCATOR,
		  18),
	  FINDS("locator") },
	{ "locator-key-outside", PREPARE(differencing),
	  POKE(BAD_LOCATOR, KEY_OFFSET(0), 4, 0x10000),
	  REFUSED(-EUCLEAN, "parent locator entry", "KeyOffset", BAD_LOCATOR,
		  KEY_OFFSET(0)),
	  FINDS("locator-entry") },
	{ "locator-key-wraps", PREPARE(differencing),
	  POKE(BAD_LOCATOR, KEY_OFFSET(0), 4, U32_MAX),
	  REFUSED(-EUCLEAN, "parent locator entry", "KeyOffset", BAD_LOCATOR,
		  KEY_OFFSET(0)),
	  FINDS("locator-entry") },
	{ "locator-key-offset-0", PREPARE(differencing),
	  POKE(BAD_LOCATOR, KEY_OFFSET(0), 4, 0),
	  REFUSED(-EUCLEAN, "parent locator entry", "KeyOffset", BAD_LOCATOR,
		  KEY_OFFSET(0)),
	  FINDS("locator-entry") },
	{ "locator-value-outside", PREPARE(differencing),
	  POKE(BAD_LOCATOR, VALUE_OFFSET(1), 4, PATH_VALUE + 2),
	  REFUSED(-EUCLEAN, "parent locator entry", "ValueOffset", BAD_LOCATOR,
		  VALUE_OFFSET(1)),
	  FINDS("locator-entry") },
	{ "locator-key-empty", PREPARE(differencing),
	  POKE(BAD_LOCATOR, KEY_LENGTH(1), 2, 0),
	  REFUSED(-EUCLEAN, "parent locator entry", "KeyLength", BAD_LOCATOR,
		  KEY_LENGTH(1)),
	  FINDS("locator-entry") },
	{ "locator-value-empty", PREPARE(differencing),
	  POKE(BAD_LOCATOR, VALUE_LENGTH(0), 2, 0),
	  REFUSED(-EUCLEAN, "parent locator entry", "ValueLength", BAD_LOCATOR,
		  VALUE_LENGTH(0)),
	  FINDS("locator-entry") },
	{ "locator-value-offset-0", PREPARE(differencing),
	  POKE(BAD_LOCATOR, VALUE_OFFSET(1), 4, 0),
	  REFUSED(-EUCLEAN, "parent locator entry", "ValueOffset", BAD_LOCATOR,
		  VALUE_OFFSET(1)),
	  FINDS("locator-entry") },
	{ "locator-key-odd", PREPARE(differencing),
	  POKE(BAD_LOCATOR, KEY_LENGTH(0), 2, 27),
	  REFUSED(-EUCLEAN, "parent locator entry", "KeyLength", BAD_LOCATOR,
		  KEY_LENGTH(0)),
	  FINDS("locator-entry") },
	{ "locator-value-odd", PREPARE(differencing),
	  POKE(BAD_LOCATOR, VALUE_LENGTH(1), 2, 25),
	  REFUSED(-EUCLEAN, "parent locator entry", "ValueLength", BAD_LOCATOR,
		  VALUE_LENGTH(1)),
	  FINDS("locator-entry") },
	{ "locator-key-surrogate", PREPARE(differencing),
	  POKE(BAD_LOCATOR, LINKAGE_KEY, 2, 0xDC00),
	  REFUSED(-EUCLEAN, "parent locator entry", "KeyOffset", BAD_LOCATOR,
		  KEY_OFFSET(0)),
	  FINDS("locator-entry") },
	{ "locator-value-surrogate", PREPARE(differencing),
	  POKE(BAD_LOCATOR, PATH_VALUE + 24, 2, 0xD800),
	  REFUSED(-EUCLEAN, "parent locator entry", "ValueOffset", BAD_LOCATOR,
		  VALUE_OFFSET(1)),
	  FINDS("locator-entry") },
	{ "locator-value-nul", PREPARE(differencing),
	  POKE(BAD_LOCATOR, PATH_VALUE + 4, 2, 0),
	  REFUSED(-EUCLEAN, "parent locator entry", "ValueOffset", BAD_LOCATOR,
		  VALUE_OFFSET(1)),
	  FINDS("locator-entry") },
	{ "locator-key-twice", PREPARE(differencing),
	  POKES({ BAD_LOCATOR, KEY_OFFSET(1), 4, LINKAGE_KEY },
		{ BAD_LOCATOR, KEY_LENGTH(1), 2, 28 }),
	  REFUSED(-EUCLEAN, "parent locator entry", NULL, BAD_LOCATOR,
		  KEY(1)),
	  FINDS("locator-entry") },
	{ "locator-no-linkage", PREPARE(differencing),
	  POKE(BAD_LOCATOR, LINKAGE_KEY, 2, 'P'),
	  REFUSED(-EUCLEAN, "parent locator", "parent_linkage", BAD_LOCATOR,
		  0),
	  FINDS("locator") },
	{ "locator-linkage-no-guid", PREPARE(differencing),
	  POKE(BAD_LOCATOR, LINKAGE_VALUE + 4, 2, 'x'),
	  REFUSED(-EUCLEAN, "parent locator", "parent_linkage", BAD_LOCATOR,
		  0),
	  FINDS("locator") },
	{ "locator-linkage2-no-guid", PREPARE(second_linkage),
	  POKE(BAD_LOCATOR, LINKAGE2_VALUE + 4, 2, 'x'),
	  REFUSED(-EUCLEAN, "parent locator", "parent_linkage2", BAD_LOCATOR,
		  0),
	  FINDS("locator") },
	{ "locator-no-path", PREPARE(differencing),
	  POKE(BAD_LOCATOR, PATH_KEY, 2, 'R'),
	  REFUSED(-EUCLEAN, "parent locator", NULL, BAD_LOCATOR, 0),
	  FINDS("locator") },
};

/* --- making one ---------------------------------------------------------- */

static u64 area_offset(const struct bad_image *image, enum bad_area area)
{
	const struct builder_layout *layout = &image->layout;

	switch (area) {
	case BAD_FILE:
		return 0;
	case BAD_HEADER_1:
		return 0x10000;
	case BAD_HEADERS:
	case BAD_HEADER_2:
		return 0x20000;
	case BAD_TABLES:
	case BAD_TABLE_1:
		return 0x30000;
	case BAD_TABLE_2:
		return 0x40000;
	case BAD_METADATA:
		return layout->metadata_offset;
	case BAD_BAT:
		return layout->bat_offset;
	case BAD_LOG:
		return layout->log_offset;
	default:
		return layout->metadata_offset +
		       layout->item[area - BAD_PARAMETERS];
	}
}

static int reseal(struct bad_image *image, u64 offset, u32 length)
{
	u8 *buf = kvmalloc(length, GFP_KERNEL);
	int ret;

	if (!buf)
		return -ENOMEM;
	memfile_read(image->mf, buf, length, offset);
	builder_seal(buf, length);
	ret = memfile_write(image->mf, buf, length, offset);
	kvfree(buf);
	return ret;
}

/* The checksum covers what the entry itself calls its length, if it can. */
static u32 log_entry_length(struct bad_image *image)
{
	__le32 length;

	memfile_read(image->mf, &length, sizeof(length),
		     image->layout.log_offset + 8);
	if (le32_to_cpu(length) < 4096 || le32_to_cpu(length) > MIB)
		return 8192;
	return le32_to_cpu(length);
}

static int poke_at(struct bad_image *image, const struct bad_poke *poke,
		   enum bad_area area)
{
	u64 offset = area_offset(image, area);
	__le64 value = cpu_to_le64(poke->value);
	int ret;

	ret = memfile_write(image->mf, &value, poke->bytes,
			    offset + (poke->offset & ~BAD_UNSEALED));
	if (ret || poke->offset & BAD_UNSEALED)
		return ret;
	switch (area) {
	case BAD_HEADER_1:
	case BAD_HEADER_2:
		return reseal(image, offset, 4096);
	case BAD_TABLE_1:
	case BAD_TABLE_2:
		return reseal(image, offset, 65536);
	case BAD_LOG:
		return reseal(image, offset, log_entry_length(image));
	default:
		return 0;
	}
}

/**
 * bad_input_poke() - change a number in an image
 * @image: built
 * @poke: which
 *
 * Return: 0 or -ENOMEM.
 */
int bad_input_poke(struct bad_image *image, const struct bad_poke *poke)
{
	int ret;

	if (poke->area == BAD_HEADERS) {
		ret = poke_at(image, poke, BAD_HEADER_1);
		return ret ? ret : poke_at(image, poke, BAD_HEADER_2);
	}
	if (poke->area == BAD_TABLES) {
		ret = poke_at(image, poke, BAD_TABLE_1);
		return ret ? ret : poke_at(image, poke, BAD_TABLE_2);
	}
	return poke_at(image, poke, poke->area);
}

/**
 * bad_input_make() - make the image of a row
 * @row: which
 * @image: filled in
 * @mf: an empty file, which receives it
 *
 * Return: 0 or -ENOMEM.
 */
int bad_input_make(const struct bad_input *row, struct bad_image *image,
		   struct memfile *mf)
{
	static const u8 present[] = { 0, 1, 3, 15 };
	struct builder_sink sink = memfile_sink(mf);
	u32 i;
	int ret;

	memset(image, 0, sizeof(*image));
	image->mf = mf;
	image->zero_from = U64_MAX;
	builder_init(&image->b);
	for (i = 0; i < ARRAY_SIZE(present); i++)
		image->block[i] = (struct builder_block){ present[i], 6, 0 };
	image->b.block = image->block;
	image->b.blocks = ARRAY_SIZE(present);
	image->b.data_bytes = 8192;
	if (row->dirty)
		bad_log_prepare(image);
	if (row->prepare)
		row->prepare(image);
	ret = builder_build(&image->b, &sink, &image->layout);
	if (!ret && row->dirty)
		ret = bad_log_make(image);
	for (i = 0; !ret && i < ARRAY_SIZE(row->poke); i++)
		if (row->poke[i].bytes)
			ret = bad_input_poke(image, &row->poke[i]);
	if (!ret && row->change)
		ret = row->change(image);
	return ret;
}

/**
 * bad_input_offset() - where the error must be said to lie
 * @row: that is refused
 * @image: made from it
 */
u64 bad_input_offset(const struct bad_input *row, const struct bad_image *image)
{
	return area_offset(image, row->area) + row->offset;
}

/**
 * bad_input_expect() - what a guest must read from an image that opens
 * @image: the image
 * @buf: receives it
 * @len: bytes, a multiple of 512
 * @pos: bytes on the virtual disk, a multiple of 512
 */
void bad_input_expect(const struct bad_image *image, void *buf, size_t len,
		      u64 pos)
{
	builder_expect(&image->b, buf, len, pos);
	if (pos + len > image->zero_from) {
		u64 from = max(pos, image->zero_from);

		memset(buf + (from - pos), 0, pos + len - from);
	}
}

/**
 * bad_input_next() - go through the table
 * @row: NULL for the first
 *
 * Return: the next row, NULL behind the last.
 */
const struct bad_input *bad_input_next(const struct bad_input *row)
{
	if (!row)
		return &inputs[0];
	if (row == &inputs[ARRAY_SIZE(inputs) - 1])
		return &bad_logs[0];
	if (row == &bad_logs[bad_logs_count - 1])
		return NULL;
	return row + 1;
}

/**
 * bad_input_find() - find a row
 * @name: its name
 *
 * Return: NULL when there is none.
 */
const struct bad_input *bad_input_find(const char *name)
{
	const struct bad_input *row = NULL;

	while ((row = bad_input_next(row)))
		if (!strcmp(row->name, name))
			break;
	return row;
}
