// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>

#include "dump.h"
#include "info.h"
#include "text.h"

#define GUID_TEXT	(VHDX_GUID_CHARS + 1)

static void show_problem(const struct vhdx_error *err)
{
	char *text = dump_problem(err);

	if (text)
		printf("    ! %s\n", text);
	free(text);
}

static void show_guid(const char *label, const guid_t *guid)
{
	char text[GUID_TEXT];

	vhdx_guid_print(text, guid);
	printf("    %-18s %s\n", label, text);
}

static void show_utf16(const void *utf16, u32 chars)
{
	char *utf8 = text_utf16(utf16, chars);
	char *safe = text_for_terminal(utf8);

	fputs(safe, stdout);
	free(safe);
	free(utf8);
}

static void show_header(const struct vhdx_headers *headers, unsigned int slot)
{
	const struct vhdx_header *header = &headers->slot[slot];

	printf("  header %u at 0x%llx: %s%s\n", slot + 1,
	       vhdx_header_offset(slot),
	       headers->valid[slot] ? "checksum right" :
				      "signature or checksum wrong",
	       headers->valid[slot] && headers->current_slot == slot ?
		       ", current" : "");
	printf("    %-18s %llu\n", "SequenceNumber", header->sequence_number);
	show_guid("FileWriteGuid", &header->file_write_guid);
	show_guid("DataWriteGuid", &header->data_write_guid);
	show_guid("LogGuid", &header->log_guid);
	printf("    %-18s %u\n", "LogVersion", header->log_version);
	printf("    %-18s %u\n", "Version", header->version);
	printf("    %-18s 0x%x\n", "LogLength", header->log_length);
	printf("    %-18s 0x%llx\n", "LogOffset", header->log_offset);
}

static void show_headers(const struct vhdx_look *look)
{
	puts("Headers:");
	printf("  file identifier at 0x0, creator ");
	show_utf16(look->creator, VHDX_CREATOR_CHARS);
	putchar('\n');
	show_problem(&look->id_err);
	for (unsigned int i = 0; i < 2; i++)
		show_header(&look->headers, i);
	show_problem(&look->headers_err);
}

static void show_regions(const struct vhdx_look *look)
{
	char guid[GUID_TEXT];

	puts("Regions:");
	for (unsigned int i = 0; i < 2; i++) {
		const struct vhdx_region_table *table = look->table[i];

		printf("  region table %u at 0x%llx: %u entries%s\n", i + 1,
		       table->offset, table->count,
		       look->used == i ? ", used" : "");
		show_problem(&look->table_err[i]);
		for (u32 j = 0; j < table->count; j++) {
			const struct vhdx_region *region = &table->region[j];

			vhdx_guid_print(guid, &region->guid);
			printf("    %-10s %s  FileOffset 0x%llx, Length 0x%x, %s\n",
			       info_region_name(&region->guid), guid,
			       region->file_offset, region->length,
			       region->required ? "required" : "optional");
		}
	}
}

static void show_raw(const struct vhdx_metadata_item *item, const u8 *buf)
{
	char *hex = dump_hex(buf, min(item->length, DUMP_RAW_BYTES));

	printf("      %s%s\n", hex, item->length > DUMP_RAW_BYTES ? "..." : "");
	free(hex);
}

/* Of one item: the fields of the others are zero. */
static void show_value(const struct vhdx_metadata_item *item, const u8 *buf,
		       const struct vhdx_metadata *value)
{
	char guid[GUID_TEXT];

	if (value->block_size) {
		printf("      BlockSize 0x%x%s%s\n", value->block_size,
		       value->leave_blocks_allocated ?
			       ", LeaveBlocksAllocated" : "",
		       value->has_parent ? ", HasParent" : "");
	} else if (value->virtual_disk_size) {
		printf("      VirtualDiskSize %llu\n", value->virtual_disk_size);
	} else if (value->logical_sector_size) {
		printf("      LogicalSectorSize %u\n",
		       value->logical_sector_size);
	} else if (value->physical_sector_size) {
		printf("      PhysicalSectorSize %u\n",
		       value->physical_sector_size);
	} else if (!guid_is_null(&value->virtual_disk_id)) {
		vhdx_guid_print(guid, &value->virtual_disk_id);
		printf("      VirtualDiskId %s\n", guid);
	} else {
		show_raw(item, buf);
	}
}

static int show_metadata(const struct dump *dump, struct vhdx_error *err)
{
	const struct vhdx_look *look = dump->look;
	struct vhdx_metadata value;
	struct vhdx_error rule;
	u8 buf[DUMP_RAW_BYTES];
	char guid[GUID_TEXT];
	int ret;

	puts("Metadata:");
	if (!look->metadata_region) {
		puts("  there is no metadata region");
		return 0;
	}
	printf("  metadata table at 0x%llx: %u entries\n",
	       look->metadata_region->file_offset, look->items->count);
	show_problem(&look->items_err);
	for (u32 i = 0; i < look->items->count; i++) {
		const struct vhdx_metadata_item *item = &look->items->item[i];

		ret = dump_read_item(dump, i, buf, &value, &rule, err);
		if (ret)
			return ret;
		vhdx_guid_print(guid, &item->item_id);
		printf("    %-20s %s  Offset 0x%x, Length 0x%x, %s%s%s\n",
		       info_item_name(item), guid, item->offset, item->length,
		       item->is_required ? "required" : "optional",
		       item->is_virtual_disk ? ", virtual disk" : "",
		       item->is_user ? ", user" : "");
		show_problem(&rule);
		if (rule.errnum)
			show_raw(item, buf);
		else
			show_value(item, buf, &value);
	}
	return 0;
}

static void show_locator(const struct dump *dump)
{
	struct vhdx_locator locator;
	struct vhdx_error err = { .errnum = 0 };

	puts("Parent locator:");
	if (!dump->locator_item) {
		puts("  there is none");
		return;
	}
	vhdx_locator_read(dump->locator_item, dump->locator_length,
			  dump->locator_offset, &locator, &err);
	printf("  at 0x%llx: %u entries\n", dump->locator_offset, locator.count);
	show_problem(&err);
	for (u32 i = 0; i < locator.count; i++) {
		struct vhdx_locator_entry entry;

		memset(&err, 0, sizeof(err));
		if (vhdx_locator_check_entry(&locator, i, dump->locator_offset,
					     &err)) {
			show_problem(&err);
			continue;
		}
		vhdx_locator_entry(&locator, i, &entry);
		fputs("    ", stdout);
		show_utf16(entry.key, entry.key_chars);
		fputs(" = ", stdout);
		show_utf16(entry.value, entry.value_chars);
		putchar('\n');
	}
}

static void show_entry(struct vhdx_look_bat *bat, u64 index, u64 entry,
		       const struct vhdx_error *err)
{
	const struct vhdx_look *look = bat->ctx;
	const struct vhdx_geometry *geo = &look->geometry;
	const unsigned int state = vhdx_bat_state(entry);
	const char *name = info_payload_states[state];

	printf("  [%llu] 0x%016llx", index, entry);
	if (!look->has_geometry) {
		putchar('\n');
		return;
	}
	if (index >= geo->bat_entries) {
		puts(" behind the last entry");
		return;
	}
	if (vhdx_bat_index_is_bitmap(geo, index))
		printf(" sector bitmap of chunk %llu, %s",
		       vhdx_bat_chunk(geo, index),
		       state == VHDX_BITMAP_PRESENT ? "present" :
		       state ? "unknown" : "not-present");
	else
		printf(" block %llu, %s", vhdx_bat_payload_block(geo, index),
		       name ? : "unknown");
	printf(" at 0x%llx\n", vhdx_bat_offset(entry));
	show_problem(err);
}

static int show_bat(const struct vhdx_look *look, struct vhdx_error *err)
{
	struct vhdx_look_bat bat = {
		.entry = show_entry,
		.ctx = (void *)look,
	};

	puts("BAT:");
	if (!look->bat_region) {
		puts("  there is no BAT region");
		return 0;
	}
	printf("  at 0x%llx, 0x%x bytes\n", look->bat_region->file_offset,
	       look->bat_region->length);
	return vhdx_look_at_bat(look, &bat, err);
}

static void show_log_entry(struct vhdx_look_log *look_log,
			   const struct vhdx_log_entry *entry,
			   const guid_t *guid, bool valid, bool active)
{
	char text[GUID_TEXT];

	vhdx_guid_print(text, guid);
	printf("  entry at 0x%llx: %s\n", look_log->log.file_offset + entry->offset,
	       active ? "valid, to be replayed" :
	       valid ? "valid, not in the active sequence" : "torn");
	printf("    SequenceNumber %llu, LogGuid %s\n", entry->sequence_number,
	       text);
	printf("    EntryLength 0x%x, Tail 0x%x, DescriptorCount %u\n",
	       entry->entry_length, entry->tail, entry->descriptor_count);
	printf("    FlushedFileOffset 0x%llx, LastFileOffset 0x%llx\n",
	       entry->flushed_file_offset, entry->last_file_offset);
}

static void show_update(struct vhdx_look_log *look_log,
			const struct vhdx_log_update *update,
			const struct vhdx_error *err)
{
	(void)look_log;
	printf("      %s 0x%llx bytes at 0x%llx\n",
	       update->is_zero ? "zero" : "data", update->length,
	       update->file_offset);
	show_problem(err);
}

static int show_log(const struct vhdx_look *look, struct vhdx_error *err)
{
	struct vhdx_look_log look_log = {
		.entry = show_log_entry,
		.update = show_update,
	};
	int ret;

	puts("Log:");
	ret = vhdx_look_at_log(look, &look_log, err);
	if (ret == -EUCLEAN) {
		show_problem(err);
		return 0;
	}
	if (!ret && !look_log.log.length)
		puts("  there is none");
	return ret;
}

/**
 * dump_print_text - show the structures of an image to people
 * @dump: what to show
 * @err: filled in on failure
 *
 * Return: 0, or the negative errno of what the file answered.
 */
int dump_print_text(const struct dump *dump, struct vhdx_error *err)
{
	int ret = 0;

	if (dump_wants(dump, DUMP_HEADERS))
		show_headers(dump->look);
	if (dump_wants(dump, DUMP_REGIONS))
		show_regions(dump->look);
	if (dump_wants(dump, DUMP_METADATA))
		ret = show_metadata(dump, err);
	if (!ret && dump_wants(dump, DUMP_LOCATOR))
		show_locator(dump);
	if (!ret && dump_wants(dump, DUMP_BAT))
		ret = show_bat(dump->look, err);
	if (!ret && dump_wants(dump, DUMP_LOG))
		ret = show_log(dump->look, err);
	return ret;
}
