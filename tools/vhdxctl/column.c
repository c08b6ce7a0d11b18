// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>

#include "column.h"
#include "device.h"
#include "text.h"

#define SECTOR_SHIFT	9

const struct column columns[COLUMN_COUNT] = {
	{ "NAME", "Device:", NULL, COLUMN_TEXT, true,
	  "device" },
	{ "SIZE", "Size:", "size", COLUMN_SECTORS, true,
	  "size of the disk" },
	{ "TYPE", "Type:", "vhdx/type", COLUMN_TEXT, true,
	  "fixed, dynamic or differencing" },
	{ "RO", "Read-only:", "vhdx/ro", COLUMN_FLAG, true,
	  "read-only" },
	{ "AUTOCLEAR", "Autoclear:", "vhdx/autoclear", COLUMN_FLAG, false,
	  "detached when its last user closes it" },
	{ "DIO", "Direct I/O:", "vhdx/dio", COLUMN_FLAG, true,
	  "the image is accessed with direct I/O" },
	{ "DISCARD", "Discard:", "vhdx/discard", COLUMN_FLAG, false,
	  "discards give space back" },
	{ "LOG-STATE", "Log:", "vhdx/log_state", COLUMN_TEXT, true,
	  "state of the image's log; failed: no more writing" },
	{ "ALLOCATED", "Allocated:", "vhdx/allocated", COLUMN_SIZE, false,
	  "size of the payload blocks in the image" },
	{ "FILE-SIZE", "File size:", "vhdx/file_size", COLUMN_SIZE, false,
	  "size of the image's file" },
	{ "BLOCK-SIZE", "Block size:", "vhdx/block_size", COLUMN_SIZE, false,
	  "size of a block of the image" },
	{ "LOG-SEC", "Logical sector size:", "queue/logical_block_size",
	  COLUMN_NUMBER, true, "logical sector size in bytes" },
	{ "PHY-SEC", "Physical sector size:", "queue/physical_block_size",
	  COLUMN_NUMBER, false, "physical sector size in bytes" },
	{ "DISK-ID", "Disk id:", "vhdx/disk_id", COLUMN_TEXT, false,
	  "virtual disk id" },
	{ "MAJ:MIN", "Device number:", "dev", COLUMN_TEXT, false,
	  "device number" },
	{ "BACK-INO", "Inode of the image:", "vhdx/backing_ino", COLUMN_NUMBER,
	  false, "inode of the image" },
	{ "BACK-MAJ:MIN", "On device number:", "vhdx/backing_dev", COLUMN_TEXT,
	  false, "device number of the image's file system" },
	{ "REPLAYED", "Replayed at attach:", "vhdx/replayed", COLUMN_NUMBER,
	  false, "changes that logs held when it was attached" },
	{ "NEW-BLOCKS", "New blocks:", "vhdx/new_blocks", COLUMN_NUMBER, false,
	  "payload blocks allocated since it was attached" },
	{ "COMMITS", "Commits:", "vhdx/commits", COLUMN_NUMBER, false,
	  "entries written to the log since then" },
	{ "GENERATIONS", "Generations:", "vhdx/generations", COLUMN_NUMBER,
	  false, "times that the log was begun anew since then" },
	{ "FLUSHES", "Flushes of the file:", "vhdx/flushes", COLUMN_NUMBER,
	  false, "flushes of the image's file since then" },
	{ "PARENTS", "Parents:", "vhdx/parents", COLUMN_LINES, false,
	  "parents of the image, its own first" },
	{ "BACK-FILE", "Image:", "vhdx/backing_file", COLUMN_TEXT, true,
	  "image" },
};

/**
 * column_value - what a disk has in a column
 * @column: the column
 * @index: N of vhdxN
 *
 * Return: the value as the kernel says it, which the caller frees; NULL: there is
 * none.
 */
char *column_value(const struct column *column, unsigned int index)
{
	if (!column->attr)
		return device_path(index);
	return device_attr(index, column->attr);
}

/**
 * column_number - a value as a number
 * @column: the column
 * @value: of a disk in it
 *
 * Return: the number; of sizes the bytes.
 */
u64 column_number(const struct column *column, const char *value)
{
	u64 number = strtoull(value, NULL, 10);

	return column->kind == COLUMN_SECTORS ? number << SECTOR_SHIFT : number;
}

/* Without a parent it is empty, or not there. */
static void add_lines(struct json_object *disk, const char *key, char *value)
{
	struct json_object *array = document_array(disk, key);
	char *line;

	while ((line = strsep(&value, "\n")))
		if (*line)
			document_text_element(array, line);
}

/**
 * column_document - add what a disk has in a column to a document
 * @column: the column
 * @index: N of vhdxN
 * @disk: the object it goes into
 */
void column_document(const struct column *column, unsigned int index,
		     struct json_object *disk)
{
	char *value = column_value(column, index);
	char key[32] = "";

	for (size_t i = 0; column->name[i]; i++)
		key[i] = (char)tolower(column->name[i]);
	if (column->kind == COLUMN_LINES)
		add_lines(disk, key, value);
	else if (!value)
		document_null(disk, key);
	else if (column->kind == COLUMN_TEXT)
		document_text(disk, key, value);
	else if (column->kind == COLUMN_FLAG)
		document_boolean(disk, key, column_number(column, value));
	else
		document_number(disk, key, column_number(column, value));
	free(value);
}
