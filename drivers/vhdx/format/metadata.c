// SPDX-License-Identifier: GPL-2.0
/*
 * The metadata table and the items of fixed size (MS-VHDX 2.6).
 */
#include "format.h"
#include "internal.h"

#define TABLE_NAME	"metadata table"

enum known_id {
	FILE_PARAMETERS,
	VIRTUAL_DISK_SIZE,
	VIRTUAL_DISK_ID,
	LOGICAL_SECTOR_SIZE,
	PHYSICAL_SECTOR_SIZE,
	PARENT_LOCATOR,
	KNOWN_ITEMS
};

/* @length in bytes; 0 for an item of variable length, which may be missing. */
static const struct known_item {
	const guid_t *id;
	const char *name;
	u32 length;
} known_items[KNOWN_ITEMS] = {
	[FILE_PARAMETERS] = { &vhdx_guid_file_parameters, "file parameters", 8 },
	[VIRTUAL_DISK_SIZE] = { &vhdx_guid_virtual_disk_size, "virtual disk size", 8 },
	[VIRTUAL_DISK_ID] = { &vhdx_guid_virtual_disk_id, "virtual disk id", 16 },
	[LOGICAL_SECTOR_SIZE] = { &vhdx_guid_logical_sector_size, "logical sector size", 4 },
	[PHYSICAL_SECTOR_SIZE] = { &vhdx_guid_physical_sector_size, "physical sector size", 4 },
	[PARENT_LOCATOR] = { &vhdx_guid_parent_locator, "parent locator", 0 },
};

/* KNOWN_ITEMS for a user item and for one that is not known. */
static enum known_id known_id(const struct vhdx_metadata_item *item)
{
	enum known_id id = FILE_PARAMETERS;

	while (id < KNOWN_ITEMS &&
	       (item->is_user || !guid_equal(&item->item_id, known_items[id].id)))
		id++;
	return id;
}

#define ENTRY_FIELD(i, field)							\
	(region_offset + sizeof(struct vhdx_disk_metadata_table_header) +	\
	 (u64)(i) * sizeof(struct vhdx_disk_metadata_table_entry) +		\
	 offsetof(struct vhdx_disk_metadata_table_entry, field))

/**
 * vhdx_metadata_item_check - the rules for one item's place by itself
 * @table: from vhdx_metadata_table_read()
 * @i: which of its entries
 * @region_offset: of the metadata region, bytes from the start of the file
 * @region_length: of the metadata region, bytes
 * @err: filled in on failure
 *
 * Context: any.
 * Return: 0 or -EUCLEAN. MS-VHDX 2.6.1.2.
 */
int vhdx_metadata_item_check(const struct vhdx_metadata_table *table, u32 i,
			     u64 region_offset, u32 region_length,
			     struct vhdx_error *err)
{
	const struct vhdx_metadata_item *item = &table->item[i];

	if (!item->length) {
		if (item->offset)
			return vhdx_fail_value(err, -EUCLEAN, TABLE_NAME, "Offset",
					       ENTRY_FIELD(i, offset), item->offset,
					       "not zero for an item of length zero");
		return 0;
	}
	if (item->length > VHDX_MAX_METADATA_ITEM_SIZE)
		return vhdx_fail_value(err, -EUCLEAN, TABLE_NAME, "Length",
				       ENTRY_FIELD(i, length), item->length,
				       "longer than 1 MiB");
	if (item->offset < VHDX_METADATA_TABLE_SIZE)
		return vhdx_fail_value(err, -EUCLEAN, TABLE_NAME, "Offset",
				       ENTRY_FIELD(i, offset), item->offset,
				       "the item overlaps the metadata table");
	if ((u64)item->offset + item->length > region_length)
		return vhdx_fail_value(err, -EUCLEAN, TABLE_NAME, "Offset",
				       ENTRY_FIELD(i, offset), item->offset,
				       "the item ends past the end of the metadata region");
	return 0;
}

static bool items_overlap(const struct vhdx_metadata_item *a,
			  const struct vhdx_metadata_item *b)
{
	return a->length && b->length &&
	       vhdx_overlap(a->offset, a->length, b->offset, b->length);
}

/**
 * vhdx_metadata_item_check_pairs - the rules for one item and those before it
 * @table: from vhdx_metadata_table_read()
 * @i: which of its entries
 * @region_offset: of the metadata region, bytes from the start of the file
 * @err: filled in on failure
 *
 * Context: any; two million pairs for all entries at worst.
 * Return: 0 or -EUCLEAN. MS-VHDX 2.6.1.2.
 */
int vhdx_metadata_item_check_pairs(const struct vhdx_metadata_table *table,
				   u32 i, u64 region_offset,
				   struct vhdx_error *err)
{
	const struct vhdx_metadata_item *item = &table->item[i];
	u32 j;

	for (j = 0; j < i; j++) {
		const struct vhdx_metadata_item *other = &table->item[j];

		if (item->is_user == other->is_user &&
		    guid_equal(&item->item_id, &other->item_id))
			return vhdx_fail(err, -EUCLEAN, TABLE_NAME, "ItemId",
					 ENTRY_FIELD(i, item_id),
					 "the same as that of an entry before");
		if (items_overlap(item, other))
			return vhdx_fail_value(err, -EUCLEAN, TABLE_NAME, "Offset",
					       ENTRY_FIELD(i, offset), item->offset,
					       "the item overlaps another item");
	}
	return 0;
}

/**
 * vhdx_metadata_item_check_known - may an image be opened without an item
 * @table: from vhdx_metadata_table_read()
 * @i: which of its entries
 * @region_offset: of the metadata region, bytes from the start of the file
 * @err: filled in on failure
 *
 * Context: any.
 * Return: 0, or -EOPNOTSUPP: it is not known, and required.
 */
int vhdx_metadata_item_check_known(const struct vhdx_metadata_table *table,
				   u32 i, u64 region_offset,
				   struct vhdx_error *err)
{
	const struct vhdx_metadata_item *item = &table->item[i];

	if (!item->is_required || known_id(item) != KNOWN_ITEMS)
		return 0;
	return vhdx_fail(err, -EOPNOTSUPP, TABLE_NAME, "ItemId",
			 ENTRY_FIELD(i, item_id),
			 "an unknown item that is required");
}

/**
 * vhdx_metadata_check_present - is an item there that every image has
 * @table: from vhdx_metadata_table_read()
 * @id: the ItemId of a known item
 * @region_offset: of the metadata region, bytes from the start of the file
 * @err: filled in on failure
 *
 * Context: any.
 * Return: 0 or -EUCLEAN. MS-VHDX 2.6.2.
 */
int vhdx_metadata_check_present(const struct vhdx_metadata_table *table,
				const guid_t *id, u64 region_offset,
				struct vhdx_error *err)
{
	const struct vhdx_metadata_item item = { .item_id = *id };

	if (vhdx_metadata_find(table, id))
		return 0;
	return vhdx_fail(err, -EUCLEAN, TABLE_NAME,
			 known_items[known_id(&item)].name, region_offset,
			 "the item is missing");
}

/**
 * vhdx_metadata_table_read - read the metadata table (MS-VHDX 2.6.1)
 * @buf: VHDX_METADATA_TABLE_SIZE bytes
 * @region_offset: of the metadata region, bytes from the start of the file
 * @table: filled in with what lies there, wrong or not
 * @err: filled in on failure
 *
 * Reserved fields and flags are ignored: an item that an implementation must
 * understand has a flag to say so. The rules on the entries are
 * vhdx_metadata_item_check()'s and its like.
 *
 * Context: any.
 * Return: 0; -EUCLEAN: its signature is wrong, or it has too many entries.
 */
int vhdx_metadata_table_read(const void *buf, u64 region_offset,
			     struct vhdx_metadata_table *table,
			     struct vhdx_error *err)
{
	const struct vhdx_disk_metadata_table_header *header = buf;
	const struct vhdx_disk_metadata_table_entry *disk = (const void *)(header + 1);
	const u32 count = le16_to_cpu(header->entry_count);
	u32 i, users = 0;

	table->count = min(count, VHDX_MAX_METADATA_ITEMS);
	for (i = 0; i < table->count; i++) {
		struct vhdx_metadata_item *item = &table->item[i];
		u32 flags = le32_to_cpu(disk[i].flags);

		item->item_id = disk[i].item_id;
		item->offset = le32_to_cpu(disk[i].offset);
		item->length = le32_to_cpu(disk[i].length);
		item->is_user = flags & VHDX_METADATA_IS_USER;
		item->is_virtual_disk = flags & VHDX_METADATA_IS_VIRTUAL_DISK;
		item->is_required = flags & VHDX_METADATA_IS_REQUIRED;
		users += item->is_user;
	}

	if (le64_to_cpu(header->signature) != VHDX_METADATA_SIGNATURE)
		return vhdx_fail(err, -EUCLEAN, TABLE_NAME, "Signature", region_offset,
				 "signature is wrong");
	if (count > VHDX_MAX_METADATA_ITEMS)
		return vhdx_fail_value(err, -EUCLEAN, TABLE_NAME, "EntryCount",
				       region_offset + offsetof(typeof(*header), entry_count),
				       count, "more than 2047 entries");
	if (users > VHDX_MAX_USER_ITEMS)
		return vhdx_fail(err, -EUCLEAN, TABLE_NAME, NULL, region_offset,
				 "more than 1024 user items");
	return 0;
}

/**
 * vhdx_metadata_table_decode - decode the metadata table (MS-VHDX 2.6.1)
 * @buf: VHDX_METADATA_TABLE_SIZE bytes
 * @region_offset: of the metadata region, bytes from the start of the file
 * @region_length: of the metadata region, bytes
 * @table: filled in
 * @err: filled in on failure
 *
 * Context: any; takes milliseconds when there are thousands of items.
 * Return: 0, -EOPNOTSUPP for an unknown item that is required, -EUCLEAN, also
 * when one of the items every image needs is missing.
 */
int vhdx_metadata_table_decode(const void *buf, u64 region_offset,
			       u32 region_length,
			       struct vhdx_metadata_table *table,
			       struct vhdx_error *err)
{
	enum known_id id;
	u32 i;
	int ret;

	ret = vhdx_metadata_table_read(buf, region_offset, table, err);
	for (i = 0; !ret && i < table->count; i++) {
		ret = vhdx_metadata_item_check(table, i, region_offset,
					       region_length, err);
		if (!ret)
			ret = vhdx_metadata_item_check_pairs(table, i,
							     region_offset, err);
	}
	for (i = 0; !ret && i < table->count; i++)
		ret = vhdx_metadata_item_check_known(table, i, region_offset,
						     err);
	for (id = FILE_PARAMETERS; !ret && id < KNOWN_ITEMS; id++)
		if (known_items[id].length)
			ret = vhdx_metadata_check_present(table,
							  known_items[id].id,
							  region_offset, err);
	return ret;
}

/**
 * vhdx_metadata_find - find a system item
 * @table: a decoded metadata table
 * @id: its ItemId
 *
 * Context: any.
 * Return: the item inside @table, or NULL. A user item of the same ItemId is
 * another item.
 */
const struct vhdx_metadata_item *
vhdx_metadata_find(const struct vhdx_metadata_table *table, const guid_t *id)
{
	u32 i;

	for (i = 0; i < table->count; i++)
		if (!table->item[i].is_user && guid_equal(&table->item[i].item_id, id))
			return &table->item[i];
	return NULL;
}

static int decode_file_parameters(const void *buf, u64 offset,
				  struct vhdx_metadata *metadata,
				  struct vhdx_error *err)
{
	struct vhdx_disk_file_parameters disk;
	u32 flags;

	memcpy(&disk, buf, sizeof(disk));
	metadata->block_size = le32_to_cpu(disk.block_size);
	flags = le32_to_cpu(disk.flags);
	metadata->leave_blocks_allocated = flags & VHDX_LEAVE_BLOCKS_ALLOCATED;
	metadata->has_parent = flags & VHDX_HAS_PARENT;

	if (metadata->block_size < VHDX_MIN_BLOCK_SIZE ||
	    metadata->block_size > VHDX_MAX_BLOCK_SIZE ||
	    !is_power_of_2(metadata->block_size))
		return vhdx_fail_value(err, -EUCLEAN, known_items[FILE_PARAMETERS].name,
				       "BlockSize", offset, metadata->block_size,
				       "not a power of two from 1 to 256 MiB");
	return 0;
}

static int decode_disk_size(const void *buf, u64 offset,
			    struct vhdx_metadata *metadata,
			    struct vhdx_error *err)
{
	__le64 disk;

	memcpy(&disk, buf, sizeof(disk));
	metadata->virtual_disk_size = le64_to_cpu(disk);
	if (!metadata->virtual_disk_size ||
	    metadata->virtual_disk_size > VHDX_MAX_DISK_SIZE)
		return vhdx_fail_value(err, -EUCLEAN, known_items[VIRTUAL_DISK_SIZE].name,
				       "VirtualDiskSize", offset,
				       metadata->virtual_disk_size,
				       "zero or more than 64 TiB");
	return 0;
}

static int decode_sector_size(const void *buf, u64 offset, enum known_id id,
			      const char *field, u32 *size, struct vhdx_error *err)
{
	__le32 disk;

	memcpy(&disk, buf, sizeof(disk));
	*size = le32_to_cpu(disk);
	if (*size != 512 && *size != 4096)
		return vhdx_fail_value(err, -EUCLEAN, known_items[id].name, field,
				       offset, *size, "neither 512 nor 4096");
	return 0;
}

/**
 * vhdx_metadata_item_decode - decode one known item (MS-VHDX 2.6.2.1 to 2.6.2.5)
 * @item: from the metadata table
 * @buf: the first VHDX_METADATA_FIXED_ITEM_SIZE bytes of the item, or all
 *	@item->length bytes where that is less; of any alignment
 * @region_offset: of the metadata region, bytes from the start of the file
 * @metadata: what belongs to this item is filled in
 * @err: filled in on failure
 *
 * Checks the length and the value by itself. Does nothing for the parent
 * locator, user items and unknown ones. Reserved flags of the file parameters
 * are ignored.
 *
 * Context: any.
 * Return: 0 or -EUCLEAN.
 */
int vhdx_metadata_item_decode(const struct vhdx_metadata_item *item,
			      const void *buf, u64 region_offset,
			      struct vhdx_metadata *metadata,
			      struct vhdx_error *err)
{
	const u64 offset = region_offset + item->offset;
	const enum known_id id = known_id(item);

	if (id == KNOWN_ITEMS || id == PARENT_LOCATOR)
		return 0;
	if (item->length != known_items[id].length)
		return vhdx_fail_value(err, -EUCLEAN, known_items[id].name, "Length",
				       offset, item->length,
				       "not the length of such an item");
	switch (id) {
	case FILE_PARAMETERS:
		return decode_file_parameters(buf, offset, metadata, err);
	case VIRTUAL_DISK_SIZE:
		return decode_disk_size(buf, offset, metadata, err);
	case LOGICAL_SECTOR_SIZE:
		return decode_sector_size(buf, offset, id, "LogicalSectorSize",
					  &metadata->logical_sector_size, err);
	case PHYSICAL_SECTOR_SIZE:
		return decode_sector_size(buf, offset, id, "PhysicalSectorSize",
					  &metadata->physical_sector_size, err);
	default:
		memcpy(&metadata->virtual_disk_id, buf, sizeof(metadata->virtual_disk_id));
		return 0;
	}
}

/**
 * vhdx_metadata_check_size - the rule on the disk size and the sectors
 * @metadata: with virtual_disk_size and logical_sector_size, decoded
 * @table: the metadata table they came from
 * @region_offset: of the metadata region, bytes from the start of the file
 * @err: filled in on failure
 *
 * MS-VHDX 2.6.2.2: the disk size is a multiple of the logical sector size.
 *
 * Context: any.
 * Return: 0 or -EUCLEAN.
 */
int vhdx_metadata_check_size(const struct vhdx_metadata *metadata,
			     const struct vhdx_metadata_table *table,
			     u64 region_offset, struct vhdx_error *err)
{
	const struct vhdx_metadata_item *item;

	if (IS_ALIGNED(metadata->virtual_disk_size, metadata->logical_sector_size))
		return 0;
	item = vhdx_metadata_find(table, &vhdx_guid_virtual_disk_size);
	return vhdx_fail_value(err, -EUCLEAN, known_items[VIRTUAL_DISK_SIZE].name,
			       "VirtualDiskSize", region_offset + item->offset,
			       metadata->virtual_disk_size,
			       "not a multiple of the logical sector size");
}

/**
 * vhdx_metadata_check_parent - the rule on HasParent and the parent locator
 * @metadata: with the file parameters, decoded
 * @table: the metadata table they came from
 * @region_offset: of the metadata region, bytes from the start of the file
 * @err: filled in on failure
 *
 * MS-VHDX 2.6.2.6: a differencing image has a parent locator. One that lies in
 * an image without HasParent is no fault: nothing refers to it.
 *
 * Context: any.
 * Return: 0 or -EUCLEAN.
 */
int vhdx_metadata_check_parent(const struct vhdx_metadata *metadata,
			       const struct vhdx_metadata_table *table,
			       u64 region_offset, struct vhdx_error *err)
{
	if (!metadata->has_parent ||
	    vhdx_metadata_find(table, &vhdx_guid_parent_locator))
		return 0;
	return vhdx_fail(err, -EUCLEAN, TABLE_NAME, known_items[PARENT_LOCATOR].name,
			 region_offset, "HasParent is set, but the item is missing");
}

/**
 * vhdx_metadata_check - the rules that need more than one item
 * @metadata: all known items, decoded
 * @table: the metadata table they came from
 * @region_offset: of the metadata region, bytes from the start of the file
 * @err: filled in on failure
 *
 * Context: any.
 * Return: 0 or -EUCLEAN.
 */
int vhdx_metadata_check(const struct vhdx_metadata *metadata,
			const struct vhdx_metadata_table *table,
			u64 region_offset, struct vhdx_error *err)
{
	int ret = vhdx_metadata_check_size(metadata, table, region_offset, err);

	return ret ? ret : vhdx_metadata_check_parent(metadata, table,
						      region_offset, err);
}

/**
 * vhdx_metadata_table_encode - a metadata table as it lies on disk (MS-VHDX 2.6.1)
 * @table: the items
 * @buf: receives VHDX_METADATA_TABLE_SIZE bytes
 *
 * Context: any.
 */
void vhdx_metadata_table_encode(const struct vhdx_metadata_table *table,
				void *buf)
{
	struct vhdx_disk_metadata_table_header *header = buf;
	struct vhdx_disk_metadata_table_entry *disk = (void *)(header + 1);
	u32 i;

	memset(buf, 0, VHDX_METADATA_TABLE_SIZE);
	header->signature = cpu_to_le64(VHDX_METADATA_SIGNATURE);
	header->entry_count = cpu_to_le16(table->count);
	for (i = 0; i < table->count; i++) {
		const struct vhdx_metadata_item *item = &table->item[i];

		disk[i].item_id = item->item_id;
		disk[i].offset = cpu_to_le32(item->offset);
		disk[i].length = cpu_to_le32(item->length);
		disk[i].flags = cpu_to_le32((item->is_user ?
					     VHDX_METADATA_IS_USER : 0) |
					    (item->is_virtual_disk ?
					     VHDX_METADATA_IS_VIRTUAL_DISK : 0) |
					    (item->is_required ?
					     VHDX_METADATA_IS_REQUIRED : 0));
	}
}

static void encode_file_parameters(const struct vhdx_metadata *metadata, void *buf)
{
	const struct vhdx_disk_file_parameters disk = {
		.block_size = cpu_to_le32(metadata->block_size),
		.flags = cpu_to_le32((metadata->leave_blocks_allocated ?
				      VHDX_LEAVE_BLOCKS_ALLOCATED : 0) |
				     (metadata->has_parent ? VHDX_HAS_PARENT : 0)),
	};

	memcpy(buf, &disk, sizeof(disk));
}

/**
 * vhdx_metadata_item_encode - one known item as it lies on disk
 * @id: the ItemId of an item of fixed size (MS-VHDX 2.6.2.1 to 2.6.2.5)
 * @metadata: where its value is taken from
 * @buf: receives it, of any alignment; has VHDX_METADATA_FIXED_ITEM_SIZE bytes
 *
 * Context: any.
 * Return: the item's length in bytes; 0: not such an item.
 */
u32 vhdx_metadata_item_encode(const guid_t *id,
			      const struct vhdx_metadata *metadata, void *buf)
{
	const struct vhdx_metadata_item item = { .item_id = *id };
	const enum known_id known = known_id(&item);
	__le64 size64;
	__le32 size32;

	switch (known) {
	case FILE_PARAMETERS:
		encode_file_parameters(metadata, buf);
		break;
	case VIRTUAL_DISK_SIZE:
		size64 = cpu_to_le64(metadata->virtual_disk_size);
		memcpy(buf, &size64, sizeof(size64));
		break;
	case VIRTUAL_DISK_ID:
		memcpy(buf, &metadata->virtual_disk_id,
		       sizeof(metadata->virtual_disk_id));
		break;
	case LOGICAL_SECTOR_SIZE:
	case PHYSICAL_SECTOR_SIZE:
		size32 = cpu_to_le32(known == LOGICAL_SECTOR_SIZE ?
				     metadata->logical_sector_size :
				     metadata->physical_sector_size);
		memcpy(buf, &size32, sizeof(size32));
		break;
	default:
		return 0;
	}
	return known_items[known].length;
}
