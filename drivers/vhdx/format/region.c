// SPDX-License-Identifier: GPL-2.0
/*
 * The region tables (MS-VHDX 2.2.3).
 */
#include "format.h"
#include "internal.h"

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

/**
 * vhdx_region_check - the rules for one region by itself (MS-VHDX 2.2.3.2)
 * @table: from vhdx_region_table_read()
 * @i: which of its entries
 * @log_offset: of the log, bytes from the start of the file
 * @log_length: of the log, bytes; 0 when there is none
 * @file_size: bytes
 * @err: filled in on failure
 *
 * Context: any.
 * Return: 0 or -EUCLEAN.
 */
int vhdx_region_check(const struct vhdx_region_table *table, u32 i,
		      u64 log_offset, u64 log_length, u64 file_size,
		      struct vhdx_error *err)
{
	const struct vhdx_region *region = &table->region[i];
	const char *name = table_name[table->table - 1];
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
	    end > file_size)
		return vhdx_fail_value(err, -EUCLEAN, name, "FileOffset", offset_field,
				       region->file_offset,
				       "the region ends past the end of the file");
	if (log_length && vhdx_overlap(region->file_offset, region->length,
				       log_offset, log_length))
		return vhdx_fail_value(err, -EUCLEAN, name, "FileOffset", offset_field,
				       region->file_offset, "the region overlaps the log");
	return 0;
}

/* No wrapping: of two entries that are both wrong each is told of by itself. */
static bool regions_overlap(const struct vhdx_region *a,
			    const struct vhdx_region *b)
{
	if (a->file_offset > S64_MAX || b->file_offset > S64_MAX)
		return false;
	return vhdx_overlap(a->file_offset, a->length, b->file_offset, b->length);
}

/**
 * vhdx_region_check_pairs - the rules for one region and those before it
 * @table: from vhdx_region_table_read()
 * @i: which of its entries
 * @err: filled in on failure
 *
 * Context: any; two million pairs for all entries at worst.
 * Return: 0 or -EUCLEAN. MS-VHDX 2.2.3.2.
 */
int vhdx_region_check_pairs(const struct vhdx_region_table *table, u32 i,
			    struct vhdx_error *err)
{
	const struct vhdx_region *region = &table->region[i];
	const char *name = table_name[table->table - 1];
	u32 j;

	for (j = 0; j < i; j++) {
		const struct vhdx_region *other = &table->region[j];

		if (guid_equal(&region->guid, &other->guid))
			return vhdx_fail(err, -EUCLEAN, name, "Guid", ENTRY_FIELD(i, guid),
					 "the same as that of an entry before");
		if (regions_overlap(region, other))
			return vhdx_fail_value(err, -EUCLEAN, name, "FileOffset",
					       ENTRY_FIELD(i, file_offset),
					       region->file_offset,
					       "the region overlaps another region");
	}
	return 0;
}

/**
 * vhdx_region_check_known - may an image be opened without knowing a region
 * @table: from vhdx_region_table_read()
 * @i: which of its entries
 * @err: filled in on failure
 *
 * Context: any.
 * Return: 0, or -EOPNOTSUPP: it is not known, and required.
 */
int vhdx_region_check_known(const struct vhdx_region_table *table, u32 i,
			    struct vhdx_error *err)
{
	const struct vhdx_region *region = &table->region[i];

	if (!region->required || is_known(region))
		return 0;
	return vhdx_fail(err, -EOPNOTSUPP, table_name[table->table - 1], "Guid",
			 ENTRY_FIELD(i, guid),
			 "an unknown region that is required");
}

/**
 * vhdx_region_check_present - is a region there that every image has
 * @table: from vhdx_region_table_read()
 * @guid: the BAT's or the metadata region's
 * @err: filled in on failure
 *
 * Context: any.
 * Return: 0 or -EUCLEAN. MS-VHDX 2.2.3.2.
 */
int vhdx_region_check_present(const struct vhdx_region_table *table,
			      const guid_t *guid, struct vhdx_error *err)
{
	if (vhdx_region_find(table, guid))
		return 0;
	return vhdx_fail(err, -EUCLEAN, table_name[table->table - 1], NULL,
			 table->offset,
			 guid_equal(guid, &vhdx_guid_bat_region) ?
			 "there is no BAT region" :
			 "there is no metadata region");
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

/**
 * vhdx_region_table_read - read one copy of the region table (MS-VHDX 2.2.3)
 * @buf: VHDX_REGION_TABLE_SIZE bytes of it
 * @which: 0 or 1
 * @table: filled in with what lies there, wrong or not: all of it but
 *	table_valid
 * @err: filled in on failure
 *
 * The rules on the entries are vhdx_region_check()'s and its like.
 *
 * Context: any.
 * Return: 0; -EUCLEAN: its signature, its checksum or its count of entries is
 * wrong.
 */
int vhdx_region_table_read(const void *buf, unsigned int which,
			   struct vhdx_region_table *table,
			   struct vhdx_error *err)
{
	const struct vhdx_disk_region_table_header *header = buf;
	const struct vhdx_disk_region_table_entry *disk = (const void *)(header + 1);
	const u32 count = le32_to_cpu(header->entry_count);
	u32 i;
	int ret;

	table->count = min(count, VHDX_MAX_REGIONS);
	table->table = which + 1;
	table->offset = table_offset[which];
	for (i = 0; i < table->count; i++) {
		struct vhdx_region *region = &table->region[i];

		region->guid = disk[i].guid;
		region->file_offset = le64_to_cpu(disk[i].file_offset);
		region->length = le32_to_cpu(disk[i].length);
		region->required = le32_to_cpu(disk[i].required) & VHDX_REGION_REQUIRED;
	}

	ret = check_signature(buf, which, err);
	if (!ret && count > VHDX_MAX_REGIONS)
		ret = vhdx_fail_value(err, -EUCLEAN, table_name[which], "EntryCount",
				      table->offset +
				      offsetof(typeof(*header), entry_count),
				      count, "more than 2047 entries");
	return ret;
}

/* A table whose checksum is right. */
static int decode_table(const void *buf, unsigned int which, u64 log_offset,
			u64 log_length, u64 file_size,
			struct vhdx_region_table *table, struct vhdx_error *err)
{
	u32 i;
	int ret;

	ret = vhdx_region_table_read(buf, which, table, err);
	for (i = 0; !ret && i < table->count; i++) {
		ret = vhdx_region_check(table, i, log_offset, log_length,
					file_size, err);
		if (!ret)
			ret = vhdx_region_check_pairs(table, i, err);
	}
	if (!ret)
		ret = vhdx_region_check_present(table, &vhdx_guid_bat_region, err);
	if (!ret)
		ret = vhdx_region_check_present(table, &vhdx_guid_metadata_region,
						err);
	/*
	 * Last, when nothing else is wrong with this table: a region that is
	 * not known is no damage, the other table would not help.
	 */
	for (i = 0; !ret && i < table->count; i++)
		ret = vhdx_region_check_known(table, i, err);
	return ret;
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
	struct vhdx_error err2;
	int ret, ret2;

	ret = check_signature(buf1, 0, err);
	ret2 = check_signature(buf2, 1, &err2);
	table->table_valid[0] = !ret;
	table->table_valid[1] = !ret2;

	if (!ret)
		ret = decode_table(buf1, 0, log_offset, log_length, file_size,
				   table, err);
	if (ret != -EUCLEAN)
		return ret;

	if (!ret2)
		ret2 = decode_table(buf2, 1, log_offset, log_length, file_size,
				    table, &err2);
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
