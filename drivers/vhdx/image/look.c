// SPDX-License-Identifier: GPL-2.0
/*
 * The structures of an image as they lie in the file, for who wants to see what is
 * there and not what it means. Nothing is refused for being wrong: each structure
 * comes with the error that an open would have for it, and what another one says
 * of its place is believed as far as it can be read.
 */
#include "internal.h"
#include "look.h"

#define READ_BYTES	0x100000U

static int read_file(const struct vhdx_look *look, void *buf, size_t len,
		     u64 offset, const char *structure, struct vhdx_error *err)
{
	int ret = look->file->ops->read(look->file, buf, len, offset);

	return ret ? vhdx_fail(err, ret, structure, NULL, offset,
			       "cannot be read") : 0;
}

static int look_at_headers(struct vhdx_look *look, u8 *buf,
			   struct vhdx_error *err)
{
	const struct vhdx_disk_file_id *id = (const void *)buf;
	int ret;

	ret = read_file(look, buf, VHDX_HEADER_SIZE, VHDX_FILE_ID_OFFSET,
			"file identifier", err);
	if (ret)
		return ret;
	vhdx_file_id_check(buf, &look->id_err);
	memcpy(look->creator, id->creator, sizeof(look->creator));

	ret = read_file(look, buf, VHDX_HEADER_SIZE, VHDX_HEADER_1_OFFSET,
			"header 1", err);
	if (!ret)
		ret = read_file(look, buf + VHDX_HEADER_SIZE, VHDX_HEADER_SIZE,
				VHDX_HEADER_2_OFFSET, "header 2", err);
	if (!ret)
		vhdx_headers_decode(buf, buf + VHDX_HEADER_SIZE, &look->headers,
				    &look->headers_err);
	return ret;
}

/* Of two copies the first that is whole is gone by, or the first. */
static int look_at_regions(struct vhdx_look *look, u8 *buf,
			   struct vhdx_error *err)
{
	const struct vhdx_region_table *table;
	unsigned int i;
	int ret;

	ret = read_file(look, buf, 2 * VHDX_REGION_TABLE_SIZE,
			VHDX_REGION_TABLE_1_OFFSET, "region table", err);
	if (ret)
		return ret;
	for (i = 0; i < 2; i++)
		vhdx_region_table_read(buf + i * VHDX_REGION_TABLE_SIZE, i,
				       look->table[i], &look->table_err[i]);
	look->used = look->table_err[0].errnum && !look->table_err[1].errnum;
	table = look->table[look->used];
	look->bat_region = vhdx_region_find(table, &vhdx_guid_bat_region);
	look->metadata_region = vhdx_region_find(table,
						 &vhdx_guid_metadata_region);
	return 0;
}

static int look_at_values(struct vhdx_look *look, struct vhdx_error *err)
{
	const u64 region = look->metadata_region->file_offset;
	u8 buf[VHDX_METADATA_FIXED_ITEM_SIZE];
	bool decoded[VHDX_FIXED_ITEMS] = { false };
	struct vhdx_error ignored;
	int ret;
	u32 i;

	for (i = 0; i < VHDX_FIXED_ITEMS; i++) {
		const struct vhdx_metadata_item *item =
			vhdx_metadata_find(look->items, vhdx_fixed_items[i]);

		if (!item)
			continue;
		memset(buf, 0, sizeof(buf));
		ret = vhdx_look_item(look, item - look->items->item, buf,
				     sizeof(buf), err);
		if (ret)
			return ret;
		decoded[i] = !vhdx_metadata_item_decode(item, buf, region,
							&look->metadata,
							&ignored);
	}
	look->has_geometry = decoded[VHDX_ITEM_PARAMETERS] &&
			     decoded[VHDX_ITEM_DISK_SIZE] &&
			     decoded[VHDX_ITEM_LOGICAL];
	if (look->has_geometry)
		vhdx_geometry_init(&look->geometry, &look->metadata);
	return 0;
}

static int look_at_metadata(struct vhdx_look *look, u8 *buf,
			    struct vhdx_error *err)
{
	const struct vhdx_region *region = look->metadata_region;
	int ret;

	if (!region)
		return 0;
	ret = read_file(look, buf, VHDX_METADATA_TABLE_SIZE,
			region->file_offset, "metadata table", err);
	if (ret)
		return ret;
	ret = vhdx_metadata_table_read(buf, region->file_offset, look->items,
				       &look->items_err);
	/* Without a signature it is no table. */
	if (ret && !look->items_err.has_value)
		look->items->count = 0;
	return look_at_values(look, err);
}

static int look_at_all(struct vhdx_look *look, struct vhdx_error *err)
{
	u8 *buf = kvmalloc(2 * VHDX_REGION_TABLE_SIZE, GFP_KERNEL);
	int ret;

	look->table[0] = kvzalloc(sizeof(*look->table[0]), GFP_KERNEL);
	look->table[1] = kvzalloc(sizeof(*look->table[1]), GFP_KERNEL);
	look->items = kvzalloc(sizeof(*look->items), GFP_KERNEL);
	if (!buf || !look->table[0] || !look->table[1] || !look->items) {
		ret = vhdx_no_memory(err, "header section", 0);
		goto out;
	}
	ret = look->file->ops->size(look->file, &look->file_size);
	if (ret) {
		vhdx_fail(err, ret, "file", NULL, 0, "its size cannot be found");
		goto out;
	}
	ret = look_at_headers(look, buf, err);
	if (!ret)
		ret = look_at_regions(look, buf, err);
	if (!ret)
		ret = look_at_metadata(look, buf, err);
out:
	kvfree(buf);
	return ret;
}

/**
 * vhdx_look_open() - look at an image
 * @file: the image; only read; stays the caller's, who keeps it until
 *	vhdx_look_close()
 * @lookp: receives what there is
 * @err: filled in on failure
 *
 * A dirty log is not replayed: what it would rewrite is as it was before.
 *
 * Context: process context, may sleep.
 * Return: 0, however wrong the image is; -ENOMEM or what the file's operations
 * answered.
 */
int vhdx_look_open(struct vhdx_file *file, struct vhdx_look **lookp,
		   struct vhdx_error *err)
{
	struct vhdx_look *look = kzalloc(sizeof(*look), GFP_KERNEL);
	int ret;

	memset(err, 0, sizeof(*err));
	if (!look)
		return vhdx_no_memory(err, "file", 0);
	look->file = file;
	ret = look_at_all(look, err);
	if (ret)
		vhdx_look_close(look);
	else
		*lookp = look;
	return ret;
}

/**
 * vhdx_look_close() - give a look back
 * @look: may be NULL
 *
 * Context: process context.
 */
void vhdx_look_close(struct vhdx_look *look)
{
	if (!look)
		return;
	kvfree(look->items);
	kvfree(look->table[0]);
	kvfree(look->table[1]);
	kfree(look);
}

/**
 * vhdx_look_item_offset() - where a metadata item is said to lie
 * @look: the look
 * @i: which of @look->items
 *
 * Context: any.
 * Return: bytes from the start of the file; 0 where the item is empty.
 */
u64 vhdx_look_item_offset(const struct vhdx_look *look, u32 i)
{
	const struct vhdx_metadata_item *item = &look->items->item[i];

	return item->length ? look->metadata_region->file_offset + item->offset :
			      0;
}

/**
 * vhdx_look_item() - read a metadata item
 * @look: the look
 * @i: which of @look->items
 * @buf: receives its first bytes
 * @length: of those, bytes; an item that is shorter leaves the rest as it is
 * @err: filled in on failure
 *
 * Context: process context, may sleep.
 * Return: 0 or what the file's read answered.
 */
int vhdx_look_item(const struct vhdx_look *look, u32 i, void *buf, u32 length,
		   struct vhdx_error *err)
{
	length = min(length, look->items->item[i].length);
	return length ? read_file(look, buf, length,
				  vhdx_look_item_offset(look, i),
				  "metadata item", err) : 0;
}

static void show_entries(const struct vhdx_look *look,
			 struct vhdx_look_bat *bat, const __le64 *entries,
			 u64 index, u32 count)
{
	const u64 base = look->bat_region->file_offset;
	u32 i;

	for (i = 0; i < count; i++, index++) {
		struct vhdx_error err = { .errnum = 0 };
		u64 entry = le64_to_cpu(entries[i]);

		if (!entry)
			continue;
		/* What follows the last one means nothing. */
		if (look->has_geometry && index < look->geometry.bat_entries)
			vhdx_bat_entry_check(&look->geometry, index, entry,
					     base + index * sizeof(*entries),
					     look->file_size, &err);
		bat->entry(bat, index, entry, &err);
	}
}

/**
 * vhdx_look_at_bat() - go through the BAT
 * @look: the look, with a BAT region
 * @bat: sees the entries that are not zero
 * @err: filled in on failure
 *
 * Holes of the file are not read; memory is the same for a BAT of any length.
 *
 * Context: process context, may sleep.
 * Return: 0, -ENOMEM or what the file's operations answered.
 */
int vhdx_look_at_bat(const struct vhdx_look *look, struct vhdx_look_bat *bat,
		     struct vhdx_error *err)
{
	const u64 base = look->bat_region->file_offset;
	u64 end, pos, data;
	__le64 *buf;
	int ret = 0;

	if (check_add_overflow(base, (u64)look->bat_region->length, &end))
		end = U64_MAX;
	end = min(end, look->file_size);
	buf = kvmalloc(READ_BYTES, GFP_KERNEL);
	if (!buf)
		return vhdx_no_memory(err, "BAT", base);
	for (pos = base; pos < end; pos += READ_BYTES) {
		ret = look->file->ops->next_data(look->file, pos, &data);
		if (ret) {
			vhdx_fail(err, ret, "BAT", NULL, pos,
				  "cannot be searched for data");
			break;
		}
		if (data >= end)
			break;
		pos += ALIGN_DOWN(data - pos, sizeof(*buf));
		/* Past the file's end there are zeros. */
		ret = read_file(look, buf, READ_BYTES, pos, "BAT", err);
		if (ret)
			break;
		show_entries(look, bat, buf, (pos - base) / sizeof(*buf),
			     DIV_ROUND_UP(min_t(u64, end - pos, READ_BYTES),
					  sizeof(*buf)));
		cond_resched();
	}
	kvfree(buf);
	return ret;
}

static void show_updates(struct vhdx_look_log *look_log,
			 const struct vhdx_log *log,
			 const struct vhdx_log_entry *entry)
{
	struct vhdx_log_update update;
	u32 i;

	for (i = 0; i < entry->descriptor_count; i++) {
		struct vhdx_error err = { .errnum = 0 };

		vhdx_log_update(log, entry, i, &update, &err);
		look_log->update(look_log, &update, &err);
	}
}

/* By its number and place: valid ones with the same LogGuid do not overlap. */
static bool is_active(const struct vhdx_look_log *look_log,
		      const struct vhdx_log_entry *entry, const guid_t *guid)
{
	const struct vhdx_log_sequence *sequence = &look_log->sequence;

	return sequence->count && guid_equal(guid, &look_log->log.log_guid) &&
	       entry->sequence_number >= sequence->tail.sequence_number &&
	       entry->sequence_number <= sequence->head.sequence_number;
}

/* Entries of any LogGuid: old ones tell what happened. */
static void show_log(struct vhdx_look_log *look_log)
{
	struct vhdx_log log = look_log->log;
	struct vhdx_log_entry entry;
	u32 offset, step;
	bool valid;

	for (offset = 0; offset < log.length; offset += step) {
		step = VHDX_LOG_SECTOR_SIZE;
		if (!vhdx_log_entry_guid(&log, offset, &log.log_guid))
			continue;
		valid = vhdx_log_entry_decode(&log, offset, &entry);
		look_log->entry(look_log, &entry, &log.log_guid, valid,
				valid && is_active(look_log, &entry,
						   &log.log_guid));
		if (valid) {
			show_updates(look_log, &log, &entry);
			step = entry.entry_length;
		}
		cond_resched();
	}
}

/**
 * vhdx_look_at_log() - go through the log
 * @look: the look
 * @look_log: sees the entries, and receives the log's place and its sequence
 * @err: filled in on failure
 *
 * Context: process context, may sleep; takes the memory of a replay.
 * Return: 0; -EUCLEAN: there is no log where the header says; -ENOMEM or what the
 * file's read answered.
 */
int vhdx_look_at_log(const struct vhdx_look *look,
		     struct vhdx_look_log *look_log, struct vhdx_error *err)
{
	const unsigned int slot = look->headers.current_slot;
	const struct vhdx_header *header = &look->headers.slot[slot];
	const struct vhdx_image img = {
		.file = look->file, .headers = look->headers
	};
	struct vhdx_log_entry *scratch;
	struct vhdx_error ignored;
	int ret;

	if (!look->headers.valid[slot]) {
		*err = look->headers_err;
		return err->errnum;
	}
	ret = vhdx_header_check_log(header, vhdx_header_offset(slot),
				    look->file_size, err);
	if (ret || !header->log_length)
		return ret;
	ret = vhdx_replay_read_log(&img, &look_log->log, &scratch, err);
	if (ret)
		return ret;
	if (guid_is_null(&header->log_guid) ||
	    vhdx_log_find_active_sequence(&look_log->log, scratch,
					  &look_log->sequence, &ignored))
		look_log->sequence.count = 0;
	show_log(look_log);
	kvfree(scratch);
	kvfree(look_log->log.buf);
	look_log->log.buf = NULL;
	return 0;
}
