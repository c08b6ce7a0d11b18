// SPDX-License-Identifier: GPL-2.0
/*
 * Repairs, for the crash enumerator: see crash_tools.c. A guest sees the same in
 * every state, but for the image that does not open before.
 */
#include <err.h>

#include "builder_log.h"
#include "crash_tools.h"
#include "image/internal.h"
#include "image/repair.h"

#define PAGE	4096U

/* What is wrong with an image. */
enum damage {
	DAMAGED_HEADER_1	= 1U << 0,
	DAMAGED_HEADER_2	= 1U << 1,	/* the newer one */
	DAMAGED_TABLE_1		= 1U << 2,
	DAMAGED_TABLE_2		= 1U << 3,
	DAMAGED_GAP		= 1U << 4,
	DAMAGED_TAIL		= 1U << 5,
	DAMAGED_LOG		= 1U << 6,	/* dirty */
	DAMAGED_LOG_GUID	= 1U << 7,	/* without an entry */
};

/* In a page of the file. */
static void spoil(struct disk *disk, u64 offset)
{
	u8 page[PAGE] __aligned(8);

	disk->file.ops->read(&disk->file, page, PAGE, offset);
	page[100] ^= 0xFF;
	disk_write(disk, page, PAGE, offset);
}

/* What it held stays where it is. */
static void forget_block(struct disk *disk, const struct vhdx_image *img,
			 u32 block)
{
	u64 bat = img->bat_region->file_offset;
	u8 page[PAGE] __aligned(8);

	disk->file.ops->read(&disk->file, page, PAGE, bat);
	memset(page + block * sizeof(__le64), 0, sizeof(__le64));
	disk_write(disk, page, PAGE, bat);
}

/* The page of the BAT that has entries moves into the log. */
static void log_bat(struct disk *disk, const struct vhdx_image *img)
{
	u64 bat = img->bat_region->file_offset;
	u8 page[PAGE] __aligned(8);
	const struct log_update update = { bat, 0, page };
	const struct log_spec spec = {
		.guid = builder_log_guid,
		.sequence_number = 5,
		.flushed_file_offset = img->file_size,
		.last_file_offset = img->file_size,
		.update = &update,
		.updates = 1,
	};
	void *entry;

	disk->file.ops->read(&disk->file, page, PAGE, bat);
	entry = log_spec_encode(&spec);
	if (!entry)
		err(1, "log entry");
	disk_write(disk, entry, log_spec_length(&spec),
		   vhdx_image_header(img)->log_offset);
	kvfree(entry);
	memset(page, 0xFF, PAGE);
	disk_write(disk, page, PAGE, bat);
}

static void damage(struct disk *disk, u32 how)
{
	struct vhdx_image *img = open_file(disk, NULL, VHDX_OPEN_FORGET_LOG);
	u64 end = img->file_size;
	u32 i;

	if (how & DAMAGED_GAP)
		forget_block(disk, img, 5);
	if (how & DAMAGED_LOG)
		log_bat(disk, img);
	vhdx_image_close(img);
	for (i = 0; i < 2; i++) {
		if (how & DAMAGED_HEADER_1 << i)
			spoil(disk, vhdx_header_offset(i));
		if (how & DAMAGED_TABLE_1 << i)
			spoil(disk, VHDX_REGION_TABLE_1_OFFSET +
				    i * VHDX_REGION_TABLE_SIZE);
	}
	if (how & DAMAGED_TAIL) {
		disk_resize(disk, end + 3 * MIB);
		spoil(disk, end + MIB);
	}
	disk_flush(disk);
}

static void build(struct files *files, u32 how)
{
	const struct builder_block blocks[] = {
		{ .block = 2, .state = 6, .offset = BUILDER_PLACE },
		{ .block = 5, .state = 6, .offset = BUILDER_PLACE },
		{ .block = 9, .state = 6, .offset = BUILDER_PLACE },
	};
	struct builder builder;

	builder_init(&builder);
	builder.block = blocks;
	builder.blocks = ARRAY_SIZE(blocks);
	builder.data_bytes = 2 * SECTOR;
	if (how & (DAMAGED_LOG | DAMAGED_LOG_GUID))
		builder.log_guid = builder_log_guid;
	files->n = 0;
	build_image(files, &builder);
	damage(&files->disk[0], how);
}

static void run_check(struct disk *disk, struct vhdx_check *check)
{
	struct vhdx_error error;

	memset(check, 0, sizeof(*check));
	if (vhdx_image_check(&disk->file, check, &error))
		violation("cannot be checked: %s", error.reason);
}

static u32 count_damage(const struct vhdx_check *check)
{
	static const enum vhdx_finding_name names[] = {
		VHDX_FINDING_LOG_PENDING, VHDX_FINDING_HEADER_DAMAGED,
		VHDX_FINDING_REGION_TABLE, VHDX_FINDING_LEAK_GAP,
		VHDX_FINDING_LEAK_TAIL,
	};
	u32 n = 0, i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		n += check->name_count[names[i]];
	return n;
}

static u64 repair_look(struct files *files)
{
	struct vhdx_image *img = open_file(&files->disk[0], NULL, 0);
	u64 hash = look_at_image(img);

	hash = hash_bytes(hash, &vhdx_image_header(img)->data_write_guid,
			  sizeof(guid_t));
	vhdx_image_close(img);
	return hash;
}

/* It does not open at first, for that one reason. */
static u64 empty_log_look(struct files *files)
{
	struct vhdx_check check;

	run_check(&files->disk[0], &check);
	if (check.name_count[VHDX_FINDING_LOG_EMPTY] &&
	    check.kind_count[VHDX_KIND_CORRUPT] == 1)
		return 0;
	return repair_look(files);
}

static u64 repair_look_at_end(struct files *files)
{
	struct vhdx_check check;

	run_check(&files->disk[0], &check);
	return count_damage(&check);
}

static int repair_run(struct files *files)
{
	struct vhdx_repair repair = {
		.wanted = VHDX_REPAIR_ALL, .punch = true,
	};
	struct vhdx_check check;
	struct vhdx_error error;
	int ret;

	ret = vhdx_image_repair(&files->disk[0].file, &repair, &error);
	if (ret)
		return ret;
	run_check(&files->disk[0], &check);
	if (count_damage(&check))
		violation("not all is repaired");
	return 0;
}

static void build_header_1(struct files *files)
{
	build(files, DAMAGED_HEADER_1);
}

static void build_header_2(struct files *files)
{
	build(files, DAMAGED_HEADER_2);
}

static void build_table_1(struct files *files)
{
	build(files, DAMAGED_TABLE_1);
}

static void build_table_2(struct files *files)
{
	build(files, DAMAGED_TABLE_2);
}

static void build_leaks(struct files *files)
{
	build(files, DAMAGED_GAP | DAMAGED_TAIL);
}

static void build_log(struct files *files)
{
	build(files, DAMAGED_LOG);
}

static void build_empty_log(struct files *files)
{
	build(files, DAMAGED_LOG_GUID | DAMAGED_TABLE_1);
}

static void build_all(struct files *files)
{
	build(files, DAMAGED_LOG | DAMAGED_HEADER_1 | DAMAGED_TABLE_1 |
		     DAMAGED_GAP | DAMAGED_TAIL);
}

const struct operation repair_operations[REPAIR_OPERATIONS] = {
	{ "repair-header-1", build_header_1, repair_run, repair_look,
	  repair_look_at_end },
	{ "repair-header-2", build_header_2, repair_run, repair_look,
	  repair_look_at_end },
	{ "repair-table-1", build_table_1, repair_run, repair_look,
	  repair_look_at_end },
	{ "repair-table-2", build_table_2, repair_run, repair_look,
	  repair_look_at_end },
	{ "repair-leaks", build_leaks, repair_run, repair_look,
	  repair_look_at_end },
	{ "repair-log", build_log, repair_run, repair_look, repair_look_at_end },
	{ "repair-empty-log", build_empty_log, repair_run, empty_log_look, NULL },
	{ "repair-all", build_all, repair_run, repair_look, repair_look_at_end },
};
