// SPDX-License-Identifier: GPL-2.0
/*
 * The BAT and the log may have millions of entries: they are printed as they come.
 */
#include "document.h"
#include "dump.h"
#include "info.h"
#include "text.h"

#define SCHEMA	1

static void add_problem(struct json_object *parent, const struct vhdx_error *err)
{
	char *text = dump_problem(err);

	if (text)
		document_text(parent, "problem", text);
	else
		document_null(parent, "problem");
	free(text);
}

static void add_header(struct json_object *object,
		       const struct vhdx_headers *headers, unsigned int slot)
{
	const struct vhdx_header *header = &headers->slot[slot];

	document_number(object, "offset", vhdx_header_offset(slot));
	document_boolean(object, "valid", headers->valid[slot]);
	document_boolean(object, "current", headers->valid[slot] &&
			 headers->current_slot == slot);
	document_number(object, "sequence-number", header->sequence_number);
	document_guid(object, "file-write-guid", &header->file_write_guid);
	document_guid(object, "data-write-guid", &header->data_write_guid);
	document_guid(object, "log-guid", &header->log_guid);
	document_number(object, "log-version", header->log_version);
	document_number(object, "version", header->version);
	document_number(object, "log-length", header->log_length);
	document_number(object, "log-offset", header->log_offset);
}

static void add_headers(struct json_object *root, const struct vhdx_look *look)
{
	struct json_object *object = document_object(root, "file-identifier");
	struct json_object *array;

	document_utf16(object, "creator", look->creator, VHDX_CREATOR_CHARS);
	add_problem(object, &look->id_err);
	object = document_object(root, "headers");
	array = document_array(object, "slots");
	for (unsigned int i = 0; i < 2; i++)
		add_header(document_element(array), &look->headers, i);
	add_problem(object, &look->headers_err);
}

static void add_table(struct json_object *object, const struct vhdx_look *look,
		      unsigned int copy)
{
	const struct vhdx_region_table *table = look->table[copy];
	struct json_object *array;

	document_number(object, "offset", table->offset);
	document_boolean(object, "used", look->used == copy);
	add_problem(object, &look->table_err[copy]);
	array = document_array(object, "entries");
	for (u32 i = 0; i < table->count; i++) {
		const struct vhdx_region *region = &table->region[i];

		object = document_element(array);
		document_text(object, "name", info_region_name(&region->guid));
		document_guid(object, "guid", &region->guid);
		document_number(object, "file-offset", region->file_offset);
		document_number(object, "length", region->length);
		document_boolean(object, "required", region->required);
	}
}

/* Of one item: the fields of the others are zero. */
static void add_value(struct json_object *object,
		      const struct vhdx_metadata *value)
{
	if (value->block_size) {
		document_number(object, "block-size", value->block_size);
		document_boolean(object, "leave-blocks-allocated",
				 value->leave_blocks_allocated);
		document_boolean(object, "has-parent", value->has_parent);
	} else if (value->virtual_disk_size) {
		document_number(object, "virtual-disk-size",
				value->virtual_disk_size);
	} else if (value->logical_sector_size) {
		document_number(object, "logical-sector-size",
				value->logical_sector_size);
	} else if (value->physical_sector_size) {
		document_number(object, "physical-sector-size",
				value->physical_sector_size);
	} else if (!guid_is_null(&value->virtual_disk_id)) {
		document_guid(object, "virtual-disk-id", &value->virtual_disk_id);
	}
}

static int add_item(struct json_object *object, const struct dump *dump, u32 i,
		    struct vhdx_error *err)
{
	const struct vhdx_metadata_item *item = &dump->look->items->item[i];
	struct vhdx_metadata value;
	struct vhdx_error rule;
	u8 buf[DUMP_RAW_BYTES];
	char *hex;
	int ret;

	ret = dump_read_item(dump, i, buf, &value, &rule, err);
	if (ret)
		return ret;
	document_text(object, "name", info_item_name(item));
	document_guid(object, "item-id", &item->item_id);
	document_number(object, "offset", item->offset);
	document_number(object, "length", item->length);
	document_boolean(object, "user", item->is_user);
	document_boolean(object, "virtual-disk", item->is_virtual_disk);
	document_boolean(object, "required", item->is_required);
	add_problem(object, &rule);
	if (!rule.errnum)
		add_value(object, &value);
	hex = dump_hex(buf, min(item->length, DUMP_RAW_BYTES));
	document_text(object, "raw", hex);
	free(hex);
	return 0;
}

static int add_metadata(struct json_object *root, const struct dump *dump,
			struct vhdx_error *err)
{
	const struct vhdx_look *look = dump->look;
	struct json_object *array;
	int ret = 0;

	if (!look->metadata_region) {
		document_null(root, "metadata");
		return 0;
	}
	root = document_object(root, "metadata");
	document_number(root, "offset", look->metadata_region->file_offset);
	add_problem(root, &look->items_err);
	array = document_array(root, "entries");
	for (u32 i = 0; !ret && i < look->items->count; i++)
		ret = add_item(document_element(array), dump, i, err);
	return ret;
}

static void add_locator(struct json_object *root, const struct dump *dump)
{
	struct vhdx_locator locator;
	struct vhdx_error err = { .errnum = 0 };
	struct json_object *array;

	if (!dump->locator_item) {
		document_null(root, "parent-locator");
		return;
	}
	vhdx_locator_read(dump->locator_item, dump->locator_length,
			  dump->locator_offset, &locator, &err);
	root = document_object(root, "parent-locator");
	document_number(root, "offset", dump->locator_offset);
	add_problem(root, &err);
	array = document_array(root, "entries");
	for (u32 i = 0; i < locator.count; i++) {
		struct json_object *object = document_element(array);
		struct vhdx_locator_entry entry;

		memset(&err, 0, sizeof(err));
		vhdx_locator_check_entry(&locator, i, dump->locator_offset, &err);
		add_problem(object, &err);
		if (err.errnum)
			continue;
		vhdx_locator_entry(&locator, i, &entry);
		document_utf16(object, "key", entry.key, entry.key_chars);
		document_utf16(object, "value", entry.value, entry.value_chars);
	}
}

/**
 * struct stream - an array that is printed as its elements come
 * @look: the image
 * @first: nothing was printed yet
 */
struct stream {
	const struct vhdx_look *look;
	bool first;
};

static void print_next(struct stream *stream, struct json_object *object)
{
	document_print_element(object, stream->first);
	stream->first = false;
}

static void print_entry(struct vhdx_look_bat *bat, u64 index, u64 entry,
			const struct vhdx_error *err)
{
	struct json_object *object = document_new_element();
	struct stream *stream = bat->ctx;
	const struct vhdx_geometry *geo = &stream->look->geometry;
	const char *name = info_payload_states[vhdx_bat_state(entry)];

	document_number(object, "index", index);
	document_number(object, "raw", entry);
	document_number(object, "state", vhdx_bat_state(entry));
	document_number(object, "file-offset", vhdx_bat_offset(entry));
	if (stream->look->has_geometry && index < geo->bat_entries) {
		if (vhdx_bat_index_is_bitmap(geo, index)) {
			document_number(object, "bitmap-of-chunk",
					vhdx_bat_chunk(geo, index));
		} else {
			document_number(object, "block",
					vhdx_bat_payload_block(geo, index));
			document_text(object, "state-name", name ? : "unknown");
		}
		add_problem(object, err);
	}
	print_next(stream, object);
}

static int print_bat(const struct vhdx_look *look, struct vhdx_error *err)
{
	struct stream stream = { .look = look, .first = true };
	struct vhdx_look_bat bat = { .entry = print_entry, .ctx = &stream };
	int ret = 0;

	document_print_array("bat");
	if (look->bat_region)
		ret = vhdx_look_at_bat(look, &bat, err);
	document_print_array_end();
	return ret;
}

static void print_log_entry(struct vhdx_look_log *look_log,
			    const struct vhdx_log_entry *entry,
			    const guid_t *guid, bool valid, bool active)
{
	struct json_object *object = document_new_element();

	document_number(object, "offset",
			look_log->log.file_offset + entry->offset);
	document_boolean(object, "valid", valid);
	document_boolean(object, "active", active);
	document_number(object, "sequence-number", entry->sequence_number);
	document_guid(object, "log-guid", guid);
	document_number(object, "entry-length", entry->entry_length);
	document_number(object, "tail", entry->tail);
	document_number(object, "descriptor-count", entry->descriptor_count);
	document_number(object, "flushed-file-offset",
			entry->flushed_file_offset);
	document_number(object, "last-file-offset", entry->last_file_offset);
	print_next(look_log->ctx, object);
}

static void print_update(struct vhdx_look_log *look_log,
			 const struct vhdx_log_update *update,
			 const struct vhdx_error *err)
{
	struct json_object *object = document_new_element();

	document_text(object, "descriptor", update->is_zero ? "zero" : "data");
	document_number(object, "offset",
			look_log->log.file_offset + update->descriptor);
	document_number(object, "file-offset", update->file_offset);
	document_number(object, "length", update->length);
	add_problem(object, err);
	print_next(look_log->ctx, object);
}

/* Descriptors follow the entry that they are of. */
static int print_log(const struct vhdx_look *look, struct vhdx_error *err)
{
	struct stream stream = { .look = look, .first = true };
	struct vhdx_look_log look_log = {
		.entry = print_log_entry,
		.update = print_update,
		.ctx = &stream,
	};
	int ret;

	document_print_array("log");
	ret = vhdx_look_at_log(look, &look_log, err);
	if (ret == -EUCLEAN) {
		struct json_object *object = document_new_element();

		add_problem(object, err);
		print_next(&stream, object);
		ret = 0;
	}
	document_print_array_end();
	return ret;
}

/**
 * dump_print_json - show the structures of an image as JSON
 * @dump: what to show
 * @err: filled in on failure
 *
 * Return: 0, or the negative errno of what the file answered; the document is
 * whole then too, but not all is in it.
 */
int dump_print_json(const struct dump *dump, struct vhdx_error *err)
{
	struct json_object *root = document_new(SCHEMA);
	int ret = 0;

	document_text(root, "file", dump->path);
	document_number(root, "file-size", dump->look->file_size);
	if (dump_wants(dump, DUMP_HEADERS))
		add_headers(root, dump->look);
	if (dump_wants(dump, DUMP_REGIONS)) {
		struct json_object *array = document_array(root, "region-tables");

		for (unsigned int i = 0; i < 2; i++)
			add_table(document_element(array), dump->look, i);
	}
	if (dump_wants(dump, DUMP_METADATA))
		ret = add_metadata(root, dump, err);
	if (dump_wants(dump, DUMP_LOCATOR))
		add_locator(root, dump);
	document_print_begin(root);
	if (!ret && dump_wants(dump, DUMP_BAT))
		ret = print_bat(dump->look, err);
	if (!ret && dump_wants(dump, DUMP_LOG))
		ret = print_log(dump->look, err);
	document_print_end();
	return ret;
}
