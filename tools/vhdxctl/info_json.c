// SPDX-License-Identifier: GPL-2.0
#include "info.h"
#include "document.h"
#include "text.h"

#define SCHEMA	1

static void add_sizes(struct json_object *root, const struct info *info)
{
	const struct vhdx_metadata *metadata = &info->img->metadata;
	const struct stat *st = &info->file->stat;

	document_text(root, "type", vhdx_image_type(info->img));
	document_number(root, "virtual-size", metadata->virtual_disk_size);
	document_number(root, "file-size", info->img->file_size);
	/* A device allocates nothing. */
	if (S_ISREG(st->st_mode))
		document_number(root, "allocated-on-host", (u64)st->st_blocks * 512);
	else
		document_null(root, "allocated-on-host");
	document_number(root, "block-size", metadata->block_size);
	document_number(root, "logical-sector-size", metadata->logical_sector_size);
	document_number(root, "physical-sector-size",
			metadata->physical_sector_size);
}

static void add_identity(struct json_object *root,
			 const struct vhdx_image *img)
{
	const struct vhdx_header *header = vhdx_image_header(img);

	document_guid(root, "disk-id", &img->metadata.virtual_disk_id);
	document_guid(root, "file-write-guid", &header->file_write_guid);
	document_guid(root, "data-write-guid", &header->data_write_guid);
	document_guid(root, "log-guid", &header->log_guid);
	document_utf16(root, "creator", img->creator, VHDX_CREATOR_CHARS);
}

static void add_disks(struct json_object *root, const struct device_list *disks)
{
	struct json_object *array = document_array(root, "attached");

	for (size_t i = 0; i < disks->count; i++) {
		char *path = device_path(disks->index[i]);

		document_text(document_element(array), "name", path);
		free(path);
	}
}

static void add_headers(struct json_object *root, const struct vhdx_image *img)
{
	struct json_object *array = document_array(root, "headers");

	for (unsigned int i = 0; i < 2; i++) {
		const struct vhdx_header *header = &img->headers.slot[i];
		struct json_object *object = document_element(array);

		document_number(object, "number", i + 1);
		document_number(object, "offset", vhdx_header_offset(i));
		document_boolean(object, "valid", img->headers.valid[i]);
		document_boolean(object, "current", img->headers.current_slot == i);
		if (!img->headers.valid[i])
			continue;
		document_number(object, "sequence-number", header->sequence_number);
		document_guid(object, "file-write-guid", &header->file_write_guid);
		document_guid(object, "data-write-guid", &header->data_write_guid);
		document_guid(object, "log-guid", &header->log_guid);
		document_number(object, "version", header->version);
		document_number(object, "log-version", header->log_version);
		document_number(object, "log-offset", header->log_offset);
		document_number(object, "log-length", header->log_length);
	}
}

static void add_log(struct json_object *root, const struct vhdx_image *img)
{
	const struct vhdx_log_sequence *sequence = &img->log.sequence;
	struct json_object *log = document_object(root, "log");

	document_number(log, "offset", vhdx_image_header(img)->log_offset);
	document_number(log, "length", vhdx_image_header(img)->log_length);
	document_text(log, "state", img->log.dirty ? "dirty" : "clean");
	if (!img->log.dirty)
		return;
	document_number(log, "entries", sequence->count);
	document_number(log, "descriptors", img->log.descriptors);
	document_number(log, "first-sequence-number",
			sequence->tail.sequence_number);
	document_number(log, "last-sequence-number",
			sequence->head.sequence_number);
	document_number(log, "flushed-file-offset",
			sequence->head.flushed_file_offset);
	document_number(log, "last-file-offset", sequence->head.last_file_offset);
}

static void add_regions(struct json_object *root, const struct vhdx_image *img)
{
	static const u64 offset[] = {
		VHDX_REGION_TABLE_1_OFFSET, VHDX_REGION_TABLE_2_OFFSET
	};
	struct json_object *array = document_array(root, "region-tables");

	for (unsigned int i = 0; i < 2; i++) {
		struct json_object *object = document_element(array);

		document_number(object, "number", i + 1);
		document_number(object, "offset", offset[i]);
		document_boolean(object, "valid", img->regions->table_valid[i]);
		document_boolean(object, "used", img->regions->table == i + 1);
	}
	array = document_array(root, "regions");
	for (u32 i = 0; i < img->regions->count; i++) {
		const struct vhdx_region *region = &img->regions->region[i];
		struct json_object *object = document_element(array);

		document_text(object, "name", info_region_name(&region->guid));
		document_guid(object, "guid", &region->guid);
		document_number(object, "offset", region->file_offset);
		document_number(object, "length", region->length);
		document_boolean(object, "required", region->required);
	}
}

static void add_items(struct json_object *root, const struct vhdx_image *img)
{
	struct json_object *array = document_array(root, "metadata-items");

	for (u32 i = 0; i < img->metadata_table->count; i++) {
		const struct vhdx_metadata_item *item =
			&img->metadata_table->item[i];
		struct json_object *object = document_element(array);

		document_text(object, "name", info_item_name(item));
		document_guid(object, "id", &item->item_id);
		document_number(object, "offset", info_item_offset(img, item));
		document_number(object, "length", item->length);
		document_boolean(object, "user", item->is_user);
		document_boolean(object, "virtual-disk", item->is_virtual_disk);
		document_boolean(object, "required", item->is_required);
	}
}

static void add_bat(struct json_object *root, const struct vhdx_image *img)
{
	struct json_object *bat = document_object(root, "bat");
	struct json_object *states;

	document_number(bat, "entries", img->geometry.bat_entries);
	document_number(bat, "chunk-ratio",
			1ULL << img->geometry.chunk_ratio_shift);
	document_number(bat, "payload-blocks", img->geometry.payload_blocks);
	states = document_object(bat, "payload-states");
	for (size_t i = 0; i < ARRAY_SIZE(info_payload_states); i++)
		if (info_payload_states[i])
			document_number(states, info_payload_states[i],
					img->counts.payload[i]);
	document_number(bat, "sector-bitmap-blocks", img->counts.bitmap);
	document_number(bat, "allocated", vhdx_image_allocated(img));
}

static void add_locator(struct json_object *root, const struct vhdx_image *img)
{
	const struct vhdx_locator *locator = &img->locator;
	struct json_object *object, *array;

	if (!img->metadata.has_parent) {
		document_null(root, "parent-locator");
		return;
	}
	object = document_object(root, "parent-locator");
	document_guid(object, "parent-linkage", &locator->parent_linkage);
	if (locator->has_parent_linkage2)
		document_guid(object, "parent-linkage2", &locator->parent_linkage2);
	else
		document_null(object, "parent-linkage2");
	array = document_array(object, "entries");
	for (u32 i = 0; i < locator->count; i++) {
		struct json_object *pair = document_element(array);
		struct vhdx_locator_entry entry;

		vhdx_locator_entry(locator, i, &entry);
		document_utf16(pair, "key", entry.key, entry.key_chars);
		document_utf16(pair, "value", entry.value, entry.value_chars);
	}
}

static void add_link(struct json_object *object, const struct chain_image *image)
{
	const char *link = info_links[image->verdict];

	if (!link) {
		document_null(object, "parent");
		return;
	}
	object = document_object(object, "parent");
	document_text(object, "link", link);
	document_text(object, "wanted-path", image->wanted);
	document_guid(object, "parent-linkage", &image->img->locator.parent_linkage);
	if (image->problem)
		document_text(object, "problem", image->problem);
	else
		document_null(object, "problem");
}

static void add_chain(struct json_object *root, const struct chain *chain)
{
	struct json_object *array = document_array(root, "chain");

	for (size_t i = 0; i < chain->count; i++) {
		const struct vhdx_image *img = chain->image[i]->img;
		struct json_object *object = document_element(array);

		document_text(object, "file", chain->image[i]->path);
		document_text(object, "type", vhdx_image_type(img));
		document_number(object, "virtual-size",
				img->metadata.virtual_disk_size);
		document_number(object, "block-size", img->metadata.block_size);
		document_number(object, "allocated", vhdx_image_allocated(img));
		document_guid(object, "data-write-guid",
			      &vhdx_image_header(img)->data_write_guid);
		add_link(object, chain->image[i]);
	}
}

/**
 * info_print_json - show an image as JSON
 * @info: what to show
 */
void info_print_json(const struct info *info)
{
	struct json_object *root = document_new(SCHEMA);

	document_text(root, "file", info->path);
	add_disks(root, &info->disks);
	add_sizes(root, info);
	add_identity(root, info->img);
	add_headers(root, info->img);
	add_log(root, info->img);
	add_regions(root, info->img);
	add_items(root, info->img);
	add_bat(root, info->img);
	add_locator(root, info->img);
	if (info->chain)
		add_chain(root, info->chain);
	document_print(root);
}
