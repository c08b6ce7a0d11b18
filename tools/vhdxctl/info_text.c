// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>

#include "info.h"
#include "text.h"

/* Where the values begin. */
#define LABEL_WIDTH	24

static void show(const char *label, const char *value)
{
	printf("%-*s %s\n", LABEL_WIDTH, label, value);
}

static void show_size(const char *label, u64 bytes)
{
	char size[TEXT_SIZE_LENGTH];

	text_size(size, bytes, TEXT_SIZE_LONG);
	if (bytes < 1024)
		show(label, size);
	else
		printf("%-*s %s (%llu bytes)\n", LABEL_WIDTH, label, size,
		       bytes);
}

static void show_number(const char *label, u64 number)
{
	printf("%-*s %llu\n", LABEL_WIDTH, label, number);
}

static void show_guid(const char *label, const guid_t *guid)
{
	char text[VHDX_GUID_CHARS + 1];

	vhdx_guid_print(text, guid);
	show(label, text);
}

/* A string out of the image, which may hold anything. */
static char *safe_utf16(const void *utf16, u32 chars)
{
	char *utf8 = text_utf16(utf16, chars);
	char *safe = text_for_terminal(utf8);

	free(utf8);
	return safe;
}

static void show_disks(const struct device_list *disks)
{
	for (size_t i = 0; i < disks->count; i++) {
		char *path = device_path(disks->index[i]);

		show(i ? "" : "Attached as:", path);
		free(path);
	}
}

static void show_summary(const struct info *info)
{
	const struct vhdx_metadata *metadata = &info->img->metadata;
	const struct vhdx_header *header = vhdx_image_header(info->img);
	char *path = text_for_terminal(info->path);
	char *creator = safe_utf16(info->img->creator, VHDX_CREATOR_CHARS);

	show("File:", path);
	show_disks(&info->disks);
	show("Type:", vhdx_image_type(info->img));
	show_size("Virtual size:", metadata->virtual_disk_size);
	show_size("File size:", info->img->file_size);
	if (S_ISREG(info->file->stat.st_mode))
		show_size("Allocated on host:",
			  (u64)info->file->stat.st_blocks * 512);
	show_size("Block size:", metadata->block_size);
	show_size("Logical sector size:", metadata->logical_sector_size);
	show_size("Physical sector size:", metadata->physical_sector_size);
	show_guid("Disk id:", &metadata->virtual_disk_id);
	show("Creator:", creator);
	show_guid("FileWriteGuid:", &header->file_write_guid);
	show_guid("DataWriteGuid:", &header->data_write_guid);
	free(creator);
	free(path);
}

static void show_headers(const struct vhdx_image *img)
{
	puts("\nHeaders:");
	for (unsigned int i = 0; i < 2; i++) {
		printf("  %u at 0x%-10llx", i + 1, vhdx_header_offset(i));
		if (!img->headers.valid[i])
			puts(" damaged");
		else
			printf(" sequence number %llu%s\n",
			       img->headers.slot[i].sequence_number,
			       img->headers.current_slot == i ? ", current" : "");
	}
}

/* While a disk is there the log is at work. */
static const char *log_state(const struct info *info)
{
	if (!info->img->log.dirty)
		return "clean";
	return info->disks.count ?
		       "dirty, and the disk is attached" :
		       "dirty: to be replayed when the disk is attached";
}

static void show_log(const struct info *info)
{
	const struct vhdx_image *img = info->img;
	const struct vhdx_log_sequence *sequence = &img->log.sequence;
	const struct vhdx_header *header = vhdx_image_header(img);
	char size[TEXT_SIZE_LENGTH];

	puts("\nLog:");
	text_size(size, header->log_length, TEXT_SIZE_LONG);
	printf("%-*s %s at 0x%llx\n", LABEL_WIDTH, "  Size:", size,
	       header->log_offset);
	show("  State:", log_state(info));
	show_guid("  LogGuid:", &header->log_guid);
	if (!img->log.dirty)
		return;
	show_number("  Entries:", sequence->count);
	printf("%-*s %llu to %llu\n", LABEL_WIDTH, "  Sequence numbers:",
	       sequence->tail.sequence_number, sequence->head.sequence_number);
	show_number("  Descriptors:", img->log.descriptors);
	show_size("  FlushedFileOffset:", sequence->head.flushed_file_offset);
	show_size("  LastFileOffset:", sequence->head.last_file_offset);
}

static void show_regions(const struct vhdx_image *img)
{
	char guid[VHDX_GUID_CHARS + 1];
	char size[TEXT_SIZE_LENGTH];

	puts("\nRegions:");
	for (unsigned int i = 0; i < 2; i++)
		printf("  table %u: %s%s\n", i + 1,
		       img->regions->table_valid[i] ? "valid" : "damaged",
		       img->regions->table == i + 1 ? ", used" : "");
	for (u32 i = 0; i < img->regions->count; i++) {
		const struct vhdx_region *region = &img->regions->region[i];

		vhdx_guid_print(guid, &region->guid);
		text_size(size, region->length, TEXT_SIZE_LONG);
		printf("  %-10s %s  %9s at 0x%-10llx%s\n",
		       info_region_name(&region->guid), guid, size,
		       region->file_offset,
		       region->required ? " required" : " optional");
	}
}

static void show_items(const struct vhdx_image *img)
{
	char guid[VHDX_GUID_CHARS + 1];

	puts("\nMetadata items:");
	for (u32 i = 0; i < img->metadata_table->count; i++) {
		const struct vhdx_metadata_item *item =
			&img->metadata_table->item[i];

		vhdx_guid_print(guid, &item->item_id);
		printf("  %-20s %s  %5u bytes at 0x%-10llx%s%s\n",
		       info_item_name(item), guid, item->length,
		       info_item_offset(img, item),
		       item->is_required ? " required" : " optional",
		       item->is_virtual_disk ? ", virtual disk" : "");
	}
}

static void show_bat(const struct vhdx_image *img)
{
	puts("\nBAT:");
	show_number("  Entries:", img->geometry.bat_entries);
	show_number("  Chunk ratio:", 1ULL << img->geometry.chunk_ratio_shift);
	show_number("  Payload blocks:", img->geometry.payload_blocks);
	for (size_t i = 0; i < ARRAY_SIZE(info_payload_states); i++) {
		char *label;

		if (!info_payload_states[i] || !img->counts.payload[i])
			continue;
		label = text_printf("    %s:", info_payload_states[i]);
		show_number(label, img->counts.payload[i]);
		free(label);
	}
	show_number("  Sector bitmap blocks:", img->counts.bitmap);
	show_size("  Allocated:", vhdx_image_allocated(img));
}

static void show_locator(const struct vhdx_image *img)
{
	puts("\nParent locator:");
	for (u32 i = 0; i < img->locator.count; i++) {
		struct vhdx_locator_entry entry;
		char *key, *value, *label;

		vhdx_locator_entry(&img->locator, i, &entry);
		key = safe_utf16(entry.key, entry.key_chars);
		value = safe_utf16(entry.value, entry.value_chars);
		label = text_printf("  %s:", key);
		show(label, value);
		free(label);
		free(value);
		free(key);
	}
}

static void show_chain(const struct chain *chain)
{
	puts("\nChain:");
	for (size_t i = 0; i < chain->count; i++) {
		const struct chain_image *image = chain->image[i];
		const struct vhdx_image *img = image->img;
		const char *link = info_links[image->verdict];
		char *safe = text_for_terminal(image->path);

		printf("  %s\n", safe);
		free(safe);
		show("    Type:", vhdx_image_type(img));
		show_size("    Virtual size:", img->metadata.virtual_disk_size);
		show_size("    Block size:", img->metadata.block_size);
		show_size("    Allocated:", vhdx_image_allocated(img));
		show_guid("    DataWriteGuid:",
			  &vhdx_image_header(img)->data_write_guid);
		if (!link)
			continue;
		safe = text_for_terminal(image->problem ? image->problem : "");
		printf("%-*s %s%s%s\n", LABEL_WIDTH, "    Parent:", link,
		       *safe ? ": " : "", safe);
		free(safe);
	}
}

/**
 * info_print_text - show an image to people
 * @info: what to show
 */
void info_print_text(const struct info *info)
{
	show_summary(info);
	show_headers(info->img);
	show_log(info);
	show_regions(info->img);
	show_items(info->img);
	show_bat(info->img);
	if (info->img->metadata.has_parent)
		show_locator(info->img);
	if (info->chain)
		show_chain(info->chain);
}
