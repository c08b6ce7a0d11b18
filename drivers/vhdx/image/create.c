// SPDX-License-Identifier: GPL-2.0
/*
 * A new image: the header section, the log, the metadata region, the BAT, and
 * the blocks of a fixed one behind each other (MS-VHDX 2.2 to 2.6).
 */
#include "internal.h"
#include "items.h"

#define LOG_OFFSET	VHDX_MIB
#define LOG_LENGTH	VHDX_MIB

#define PIECE		VHDX_REGION_TABLE_SIZE

/**
 * struct creation - an image in the making
 * @file: where to
 * @params: what is wanted
 * @err: what went wrong
 * @metadata: the known items
 * @table: all items, each at its place
 * @locator: the bytes of the parent locator
 * @geometry: what follows from @metadata
 * @log_length: bytes
 * @metadata_offset: of the region, bytes
 * @metadata_length: of the region, bytes
 * @bat_offset: bytes
 * @bat_length: of the region, bytes
 * @blocks_offset: of a fixed image's first block, bytes; else the file's end
 * @piece: PIECE bytes, to put things together in
 */
struct creation {
	struct vhdx_file *file;
	const struct vhdx_create *params;
	struct vhdx_error *err;
	struct vhdx_metadata metadata;
	struct vhdx_metadata_table *table;
	u8 *locator;
	struct vhdx_geometry geometry;
	u32 log_length;
	u64 metadata_offset;
	u32 metadata_length;
	u64 bat_offset;
	u32 bat_length;
	u64 blocks_offset;
	u8 *piece;
};

static int put(struct creation *c, const void *buf, size_t len, u64 offset,
	       const char *structure)
{
	int ret = c->file->ops->write(c->file, buf, len, offset);

	return ret ? vhdx_fail(c->err, ret, structure, NULL, offset,
			       "cannot be written") : 0;
}

/* --- what goes into the metadata region -------------------------------------- */

static void choose_metadata(struct creation *c)
{
	const struct vhdx_create *params = c->params;
	struct vhdx_metadata *metadata = &c->metadata;

	if (params->parent) {
		*metadata = params->parent->metadata;
		metadata->leave_blocks_allocated = false;
		metadata->has_parent = true;
	} else {
		metadata->leave_blocks_allocated = params->fixed;
		metadata->virtual_disk_size = params->disk_size;
		metadata->logical_sector_size = params->logical_sector_size;
		metadata->physical_sector_size = params->physical_sector_size;
		guid_gen(&metadata->virtual_disk_id);
	}
	metadata->block_size = params->block_size;
}

/* Receives its place; what is empty has none. */
static int add_item(struct creation *c, const struct vhdx_metadata_item *item)
{
	struct vhdx_metadata_item *new;

	if (c->table->count == VHDX_MAX_METADATA_ITEMS)
		return vhdx_fail(c->err, -E2BIG, "metadata table", NULL,
				 c->metadata_offset,
				 "the parent has too many items");
	new = &c->table->item[c->table->count++];
	*new = *item;
	new->offset = item->length ? c->metadata_length : 0;
	c->metadata_length += ALIGN(item->length, VHDX_ITEM_ALIGNMENT);
	return 0;
}

/* The rules are those by which an image is opened. */
static int add_known_items(struct creation *c)
{
	static const struct {
		const guid_t *id;
		bool is_virtual_disk;
	} known[] = {
		{ &vhdx_guid_file_parameters, false },
		{ &vhdx_guid_virtual_disk_size, true },
		{ &vhdx_guid_virtual_disk_id, true },
		{ &vhdx_guid_logical_sector_size, true },
		{ &vhdx_guid_physical_sector_size, true },
	};
	u8 buf[VHDX_METADATA_FIXED_ITEM_SIZE];
	struct vhdx_metadata decoded;
	size_t i;
	int ret = 0;

	for (i = 0; !ret && i < ARRAY_SIZE(known); i++) {
		const struct vhdx_metadata_item item = {
			.item_id = *known[i].id,
			.length = vhdx_metadata_item_encode(known[i].id,
							    &c->metadata, buf),
			.is_virtual_disk = known[i].is_virtual_disk,
			.is_required = true,
		};

		ret = add_item(c, &item);
		if (!ret)
			ret = vhdx_metadata_item_decode(&c->table->item[i], buf,
							c->metadata_offset,
							&decoded, c->err);
	}
	return ret;
}

static int add_locator(struct creation *c)
{
	const struct vhdx_create *params = c->params;
	struct vhdx_metadata_item item = {
		.item_id = vhdx_guid_parent_locator,
		.is_required = true,
	};
	int length;

	length = vhdx_items_locator(params->parent, params->relative_path,
				    params->absolute_path, c->locator);
	if (length < 0)
		return vhdx_fail(c->err, length, "parent locator", NULL,
				 c->metadata_offset + c->metadata_length,
				 vhdx_items_reason(length,
						   "the parent cannot be flushed"));
	item.length = length;
	return add_item(c, &item);
}

/* Of the parent: what belongs to the disk and is not known (MS-VHDX 2.6.1.2). */
static bool is_inherited(const struct creation *c,
			 const struct vhdx_metadata_item *item)
{
	return item->is_virtual_disk &&
	       (item->is_user || !vhdx_metadata_find(c->table, &item->item_id));
}

static int add_items(struct creation *c)
{
	const struct vhdx_image *parent = c->params->parent;
	u32 i, count;
	int ret;

	c->metadata_length = VHDX_METADATA_TABLE_SIZE;
	ret = add_known_items(c);
	if (!ret && parent)
		ret = add_locator(c);
	if (!ret)
		ret = vhdx_metadata_check(&c->metadata, c->table,
					  c->metadata_offset, c->err);
	count = parent ? parent->metadata_table->count : 0;
	for (i = 0; !ret && i < count; i++)
		if (is_inherited(c, &parent->metadata_table->item[i]))
			ret = add_item(c, &parent->metadata_table->item[i]);
	c->metadata_length = ALIGN(c->metadata_length, VHDX_MIB);
	return ret;
}

/* --- writing ------------------------------------------------------------------- */

/* The same item of the parent, with its place there. */
static const struct vhdx_metadata_item *
find_in_parent(const struct creation *c, const struct vhdx_metadata_item *item)
{
	const struct vhdx_metadata_table *table =
		c->params->parent->metadata_table;
	u32 i = 0;

	while (table->item[i].is_user != item->is_user ||
	       !guid_equal(&table->item[i].item_id, &item->item_id))
		i++;
	return &table->item[i];
}

static int copy_item(struct creation *c, const struct vhdx_metadata_item *item)
{
	u64 offset = c->metadata_offset + item->offset;
	u8 *buf;
	int ret;

	buf = kvmalloc(item->length, GFP_KERNEL);
	if (!buf)
		return vhdx_no_memory(c->err, "metadata item", offset);
	ret = vhdx_metadata_read_item(c->params->parent,
				      find_in_parent(c, item), buf,
				      item->length, c->err);
	if (!ret)
		ret = put(c, buf, item->length, offset, "metadata item");
	kvfree(buf);
	return ret;
}

static int write_item(struct creation *c, const struct vhdx_metadata_item *item)
{
	u64 offset = c->metadata_offset + item->offset;
	u8 buf[VHDX_METADATA_FIXED_ITEM_SIZE];

	if (!item->length)
		return 0;
	if (item->is_user)
		return copy_item(c, item);
	if (vhdx_metadata_item_encode(&item->item_id, &c->metadata, buf))
		return put(c, buf, item->length, offset, "metadata item");
	if (guid_equal(&item->item_id, &vhdx_guid_parent_locator))
		return put(c, c->locator, item->length, offset,
			   "parent locator");
	return copy_item(c, item);
}

static int write_metadata(struct creation *c)
{
	u32 i;
	int ret;

	vhdx_metadata_table_encode(c->table, c->piece);
	ret = put(c, c->piece, VHDX_METADATA_TABLE_SIZE, c->metadata_offset,
		  "metadata table");
	for (i = 0; !ret && i < c->table->count; i++)
		ret = write_item(c, &c->table->item[i]);
	return ret;
}

/* A dynamic or differencing image has a BAT of zeros, and no block. */
static int write_fixed_bat(struct creation *c)
{
	const struct vhdx_geometry *geo = &c->geometry;
	const u64 per_piece = PIECE / sizeof(__le64);
	__le64 *entry = (__le64 *)c->piece;
	u64 index, i, block = 0;
	int ret = 0;

	for (index = 0; !ret && index < geo->bat_entries; index += i) {
		memset(entry, 0, PIECE);
		for (i = 0; i < per_piece && index + i < geo->bat_entries; i++) {
			if (vhdx_bat_index_is_bitmap(geo, index + i))
				continue;
			entry[i] = cpu_to_le64((c->blocks_offset +
						(block << geo->block_shift)) |
					       VHDX_PAYLOAD_FULLY_PRESENT);
			block++;
		}
		ret = put(c, entry, i * sizeof(*entry),
			  c->bat_offset + index * sizeof(*entry), "BAT");
		cond_resched();
	}
	return ret;
}

/* A host that cannot allocate does so for what is written. */
static int write_zeros(struct creation *c, u64 offset, u64 end)
{
	int ret = 0;

	memset(c->piece, 0, PIECE);
	for (; !ret && offset < end; offset += PIECE) {
		ret = put(c, c->piece, PIECE, offset, "payload block");
		cond_resched();
	}
	return ret;
}

static int make_room(struct creation *c)
{
	u64 length = c->metadata.leave_blocks_allocated ?
		     c->geometry.payload_blocks << c->geometry.block_shift : 0;
	int ret;

	ret = c->file->ops->resize(c->file, c->blocks_offset + length);
	if (!ret && length)
		ret = c->file->ops->allocate(c->file, c->blocks_offset, length);
	if (ret == -EOPNOTSUPP)
		return write_zeros(c, c->blocks_offset,
				   c->blocks_offset + length);
	return ret ? vhdx_fail_value(c->err, ret, "file", NULL, 0,
				     c->blocks_offset + length,
				     "cannot be made as long as the image is") :
		     0;
}

static int write_region_tables(struct creation *c)
{
	const struct vhdx_region region[] = {
		{ vhdx_guid_bat_region, c->bat_offset, c->bat_length, true },
		{ vhdx_guid_metadata_region, c->metadata_offset,
		  c->metadata_length, true },
	};
	int ret;

	vhdx_region_table_encode(region, ARRAY_SIZE(region), c->piece);
	ret = put(c, c->piece, VHDX_REGION_TABLE_SIZE,
		  VHDX_REGION_TABLE_1_OFFSET, "region table 1");
	if (!ret)
		ret = put(c, c->piece, VHDX_REGION_TABLE_SIZE,
			  VHDX_REGION_TABLE_2_OFFSET, "region table 2");
	return ret;
}

static int write_headers(struct creation *c)
{
	struct vhdx_header header = {
		.log_version = VHDX_LOG_VERSION,
		.version = VHDX_VERSION,
		.log_length = c->log_length,
		.log_offset = LOG_OFFSET,
	};
	unsigned int slot;
	int ret = 0;

	guid_gen(&header.file_write_guid);
	guid_gen(&header.data_write_guid);
	for (slot = 0; !ret && slot < 2; slot++) {
		header.sequence_number++;
		vhdx_header_encode(&header, c->piece);
		ret = put(c, c->piece, VHDX_HEADER_SIZE,
			  vhdx_header_offset(slot), "header");
	}
	return ret;
}

static int write_file_id(struct creation *c)
{
	vhdx_file_id_encode(c->params->creator, c->piece);
	return put(c, c->piece, VHDX_FILE_ID_SIZE, VHDX_FILE_ID_OFFSET,
		   "file identifier");
}

static int choose_log(struct creation *c)
{
	c->log_length = c->params->log_length ? : LOG_LENGTH;
	c->metadata_offset = LOG_OFFSET + c->log_length;
	if (IS_ALIGNED(c->log_length, VHDX_MIB) &&
	    c->log_length <= VHDX_MAX_LOG_LENGTH)
		return 0;
	return vhdx_fail_value(c->err, -EUCLEAN, "header", "LogLength",
			       VHDX_HEADER_1_OFFSET, c->log_length,
			       "not a multiple of 1 MiB, or too long");
}

static int create(struct creation *c)
{
	int ret;

	ret = choose_log(c);
	if (ret)
		return ret;
	choose_metadata(c);
	ret = add_items(c);
	if (ret)
		return ret;
	vhdx_geometry_init(&c->geometry, &c->metadata);
	c->bat_offset = c->metadata_offset + c->metadata_length;
	c->bat_length = ALIGN(c->geometry.bat_entries * sizeof(__le64),
			      VHDX_MIB);
	c->blocks_offset = c->bat_offset + c->bat_length;

	ret = make_room(c);
	if (!ret)
		ret = write_metadata(c);
	if (!ret && c->metadata.leave_blocks_allocated)
		ret = write_fixed_bat(c);
	if (!ret)
		ret = write_region_tables(c);
	if (!ret)
		ret = write_headers(c);
	if (!ret)
		ret = write_file_id(c);
	if (ret)
		return ret;
	ret = c->file->ops->flush(c->file);
	return ret ? vhdx_fail(c->err, ret, "file", NULL, 0,
			       "cannot be flushed") : 0;
}

/**
 * vhdx_image_create() - write a new image
 * @file: empty, with all operations; stays the caller's
 * @params: what image
 * @err: filled in on failure
 *
 * The image holds zeros, or what its parent holds. It is stable when this
 * returns; a file where it failed is of no use. A differencing image inherits
 * the parent's items that belong to the disk.
 *
 * Context: process context, may sleep; as long as the host takes to allocate a
 * fixed image.
 * Return: 0; -EUCLEAN: a size breaks a rule, which @err names; -EILSEQ or
 * -ENAMETOOLONG: a path cannot be written; -E2BIG: too many items; -ENOMEM or
 * what the file's operations answered. MS-VHDX 2.2 to 2.6.
 */
int vhdx_image_create(struct vhdx_file *file, const struct vhdx_create *params,
		      struct vhdx_error *err)
{
	struct creation c = { .file = file, .params = params, .err = err };
	int ret;

	memset(err, 0, sizeof(*err));
	c.table = kvzalloc(sizeof(*c.table), GFP_KERNEL);
	c.piece = kvmalloc(PIECE, GFP_KERNEL);
	if (params->parent)
		c.locator = kvmalloc(VHDX_MAX_NEW_LOCATOR, GFP_KERNEL);
	if (!c.table || !c.piece || (params->parent && !c.locator))
		ret = vhdx_fail(err, -ENOMEM, "file", NULL, 0,
				"no memory to write it");
	else
		ret = create(&c);
	kvfree(c.locator);
	kvfree(c.piece);
	kvfree(c.table);
	return ret;
}
