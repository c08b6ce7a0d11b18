// SPDX-License-Identifier: GPL-2.0
/*
 * The region tables (MS-VHDX 2.2.3).
 */
#include "format.h"
#include "internal.h"

/* Where things are that regions have to keep clear of, all in bytes. */
struct bounds {
	u64 log_offset;
	u64 log_length;
	u64 file_size;
};

static const u32 table_offset[2] = {
	VHDX_REGION_TABLE_1_OFFSET, VHDX_REGION_TABLE_2_OFFSET
};

static const char * const table_name[2] = { "region table 1", "region table 2" };

static u64 entry_offset(u64 table, u32 i)
{
	return table + sizeof(struct vhdx_disk_region_table_header) +
	       (u64)i * sizeof(struct vhdx_disk_region_table_entry);
}

#define ENTRY_FIELD(i, field) \
	(entry_offset(table->offset, i) + \
	 offsetof(struct vhdx_disk_region_table_entry, field))

static bool is_known(const struct vhdx_region *region)
{
	return guid_equal(&region->guid, &vhdx_guid_bat_region) ||
	       guid_equal(&region->guid, &vhdx_guid_metadata_region);
}

/* Entry i by itself. */
static int check_region(const struct vhdx_region_table *table, u32 i,
			const struct bounds *bounds, const char *name,
			struct vhdx_error *err)
{
	const struct vhdx_region *region = &table->region[i];
	const u64 offset_field = ENTRY_FIELD(i, file_offset);
	const u64 length_field = ENTRY_FIELD(i, length);
	u64 end;

	if (!IS_ALIGNED(region->file_offset, VHDX_MIB))
		return vhdx_fail_value(err, -EUCLEAN, name, "FileOffset", offset_field,
				       region->file_offset, "not a multiple of 1 MiB");
	if (region->file_offset < VHDX_HEADER_SECTION_SIZE)
		return vhdx_fail_value(err, -EUCLEAN, name, "FileOffset", offset_field,
				       region->file_offset,
				       "the region overlaps the header section");
	if (!region->length || !IS_ALIGNED(region->length, VHDX_MIB))
		return vhdx_fail_value(err, -EUCLEAN, name, "Length", length_field,
				       region->length, "zero or not a multiple of 1 MiB");
	if (check_add_overflow(region->file_offset, (u64)region->length, &end) ||
	    end > bounds->file_size)
		return vhdx_fail_value(err, -EUCLEAN, name, "FileOffset", offset_field,
				       region->file_offset,
				       "the region ends past the end of the file");
	if (bounds->log_length &&
	    vhdx_overlap(region->file_offset, region->length,
			 bounds->log_offset, bounds->log_length))
		return vhdx_fail_value(err, -EUCLEAN, name, "FileOffset", offset_field,
				       region->file_offset, "the region overlaps the log");
	return 0;
}

/* Entry i against those before it: two million pairs at worst. */
static int check_region_pairs(const struct vhdx_region_table *table, u32 i,
			      const char *name, struct vhdx_error *err)
{
	const struct vhdx_region *region = &table->region[i];
	u32 j;

	for (j = 0; j < i; j++) {
		const struct vhdx_region *other = &table->region[j];

		if (guid_equal(&region->guid, &other->guid))
			return vhdx_fail(err, -EUCLEAN, name, "Guid", ENTRY_FIELD(i, guid),
					 "the same as that of an entry before");
		if (vhdx_overlap(region->file_offset, region->length,
				 other->file_offset, other->length))
			return vhdx_fail_value(err, -EUCLEAN, name, "FileOffset",
					       ENTRY_FIELD(i, file_offset),
					       region->file_offset,
					       "the region overlaps another region");
	}
	return 0;
}

static int check_signature(const void *buf, unsigned int which, struct vhdx_error *err)
{
	const struct vhdx_disk_region_table_header *disk = buf;

	if (le32_to_cpu(disk->signature) != VHDX_REGION_TABLE_SIGNATURE)
		return vhdx_fail(err, -EUCLEAN, table_name[which], "Signature",
				 table_offset[which], "signature is wrong");
	if (le32_to_cpu(disk->checksum) != vhdx_checksum(buf, VHDX_REGION_TABLE_SIZE))
		return vhdx_fail(err, -EUCLEAN, table_name[which], "Checksum",
				 table_offset[which] + VHDX_CHECKSUM_OFFSET,
				 "checksum is wrong");
	return 0;
}

/* A table whose checksum is right. */
static int decode_table(const void *buf, unsigned int which,
			const struct bounds *bounds,
			struct vhdx_region_table *table, struct vhdx_error *err)
{
	const struct vhdx_disk_region_table_header *header = buf;
	const struct vhdx_disk_region_table_entry *disk = (const void *)(header + 1);
	const char *name = table_name[which];
	u32 i;
	int ret;

	table->count = le32_to_cpu(header->entry_count);
	table->table = which + 1;
	table->offset = table_offset[which];
	if (table->count > VHDX_MAX_REGIONS)
		return vhdx_fail_value(err, -EUCLEAN, name, "EntryCount",
				       table->offset + offsetof(typeof(*header), entry_count),
				       table->count, "more than 2047 entries");

	for (i = 0; i < table->count; i++) {
		struct vhdx_region *region = &table->region[i];

		region->guid = disk[i].guid;
		region->file_offset = le64_to_cpu(disk[i].file_offset);
		region->length = le32_to_cpu(disk[i].length);
		region->required = le32_to_cpu(disk[i].required) & VHDX_REGION_REQUIRED;

		ret = check_region(table, i, bounds, name, err);
		if (!ret)
			ret = check_region_pairs(table, i, name, err);
		if (ret)
			return ret;
	}

	if (!vhdx_region_find(table, &vhdx_guid_bat_region))
		return vhdx_fail(err, -EUCLEAN, name, NULL, table->offset,
				 "there is no BAT region");
	if (!vhdx_region_find(table, &vhdx_guid_metadata_region))
		return vhdx_fail(err, -EUCLEAN, name, NULL, table->offset,
				 "there is no metadata region");

	/*
	 * Last, when nothing else is wrong with this table: a region that is
	 * not known is no damage, the other table would not help.
	 */
	for (i = 0; i < table->count; i++)
		if (table->region[i].required && !is_known(&table->region[i]))
			return vhdx_fail(err, -EOPNOTSUPP, name, "Guid", ENTRY_FIELD(i, guid),
					 "an unknown region that is required");
	return 0;
}

/**
 * vhdx_region_tables_decode - decode the region table (MS-VHDX 2.2.3)
 * @buf1: VHDX_REGION_TABLE_SIZE bytes of the first copy
 * @buf2: VHDX_REGION_TABLE_SIZE bytes of the second copy
 * @log_offset: of the log, bytes from the start of the file
 * @log_length: of the log, bytes; 0 when there is none
 * @file_size: bytes; regions must lie inside
 * @table: filled in
 * @err: filled in on failure
 *
 * Table 1 is used, or table 2 where the signature, the checksum or a rule of
 * table 1 is broken and table 2 is whole. An unknown region that is required is
 * no reason to try table 2, one that is optional is kept: its space is used.
 * That the BAT region is large enough for the disk is the caller's to check.
 *
 * Context: any; takes milliseconds when there are thousands of regions.
 * Return: 0, -EOPNOTSUPP for an unknown required region, or -EUCLEAN: then
 * both tables are broken, and @err is about table 1.
 */
int vhdx_region_tables_decode(const void *buf1, const void *buf2,
			      u64 log_offset, u64 log_length, u64 file_size,
			      struct vhdx_region_table *table,
			      struct vhdx_error *err)
{
	const struct bounds bounds = { log_offset, log_length, file_size };
	struct vhdx_error err2;
	int ret, ret2;

	ret = check_signature(buf1, 0, err);
	ret2 = check_signature(buf2, 1, &err2);
	table->table_valid[0] = !ret;
	table->table_valid[1] = !ret2;

	if (!ret)
		ret = decode_table(buf1, 0, &bounds, table, err);
	if (ret != -EUCLEAN)
		return ret;

	if (!ret2)
		ret2 = decode_table(buf2, 1, &bounds, table, &err2);
	if (ret2 == -EUCLEAN)
		return ret;
	if (ret2)
		*err = err2;
	return ret2;
}

/**
 * vhdx_region_find - find a region by its GUID
 * @table: a decoded region table
 * @guid: which
 *
 * Context: any.
 * Return: the region inside @table, or NULL.
 */
const struct vhdx_region *
vhdx_region_find(const struct vhdx_region_table *table, const guid_t *guid)
{
	u32 i;

	for (i = 0; i < table->count; i++)
		if (guid_equal(&table->region[i].guid, guid))
			return &table->region[i];
	return NULL;
}

/**
 * vhdx_region_table_encode - a region table as it lies on disk (MS-VHDX 2.2.3)
 * @region: the regions
 * @count: how many, at most VHDX_MAX_REGIONS
 * @buf: receives VHDX_REGION_TABLE_SIZE bytes, checksum included
 *
 * Context: any.
 */
void vhdx_region_table_encode(const struct vhdx_region *region, u32 count,
			      void *buf)
{
	struct vhdx_disk_region_table_header *header = buf;
	struct vhdx_disk_region_table_entry *disk = (void *)(header + 1);
	u32 i;

	memset(buf, 0, VHDX_REGION_TABLE_SIZE);
	header->signature = cpu_to_le32(VHDX_REGION_TABLE_SIGNATURE);
	header->entry_count = cpu_to_le32(count);
	for (i = 0; i < count; i++) {
		disk[i].guid = region[i].guid;
		disk[i].file_offset = cpu_to_le64(region[i].file_offset);
		disk[i].length = cpu_to_le32(region[i].length);
		disk[i].required = cpu_to_le32(region[i].required ?
					       VHDX_REGION_REQUIRED : 0);
	}
	header->checksum = cpu_to_le32(vhdx_checksum(buf, VHDX_REGION_TABLE_SIZE));
}
