// SPDX-License-Identifier: GPL-2.0
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dump.h"
#include "message.h"
#include "open_image.h"
#include "text.h"
#include "vhdxctl.h"

static const char *const section_names[DUMP_SECTIONS] = {
	[DUMP_HEADERS] = "headers",
	[DUMP_REGIONS] = "regions",
	[DUMP_METADATA] = "metadata",
	[DUMP_LOCATOR] = "locator",
	[DUMP_BAT] = "bat",
	[DUMP_LOG] = "log",
};

#define DEFAULT_SECTIONS						\
	(1U << DUMP_HEADERS | 1U << DUMP_REGIONS | 1U << DUMP_METADATA |	\
	 1U << DUMP_LOCATOR)

/**
 * dump_hex - bytes as hexadecimal digits
 * @buf: the bytes
 * @length: how many
 *
 * Return: the text, which the caller frees.
 */
char *dump_hex(const void *buf, size_t length)
{
	char *text = text_memory(malloc(2 * length + 1));
	const u8 *bytes = buf;

	for (size_t i = 0; i < length; i++)
		sprintf(text + 2 * i, "%02x", bytes[i]);
	text[2 * length] = '\0';
	return text;
}

/**
 * dump_problem - what is wrong with a structure, in words
 * @err: likewise; errnum 0: nothing
 *
 * Return: the text, which the caller frees; NULL: nothing is wrong.
 */
char *dump_problem(const struct vhdx_error *err)
{
	char text[VHDX_ERROR_LENGTH];

	if (!err->errnum)
		return NULL;
	vhdx_error_print(text, sizeof(text), err);
	return text_memory(strdup(text));
}

/**
 * dump_read_item - read a metadata item and decode it
 * @dump: the dump
 * @i: which of the metadata table's
 * @buf: receives its first bytes
 * @value: receives what is known of it
 * @rule: what is wrong with its place or its value, errnum 0: nothing
 * @err: filled in on failure
 *
 * Return: 0 or a negative errno.
 */
int dump_read_item(const struct dump *dump, u32 i, u8 buf[DUMP_RAW_BYTES],
		   struct vhdx_metadata *value, struct vhdx_error *rule,
		   struct vhdx_error *err)
{
	const struct vhdx_look *look = dump->look;
	const struct vhdx_region *region = look->metadata_region;
	int ret;

	memset(buf, 0, DUMP_RAW_BYTES);
	memset(rule, 0, sizeof(*rule));
	memset(value, 0, sizeof(*value));
	ret = vhdx_look_item(look, i, buf, DUMP_RAW_BYTES, err);
	if (ret)
		return ret;
	if (!vhdx_metadata_item_check(look->items, i, region->file_offset,
				      region->length, rule))
		vhdx_metadata_item_decode(&look->items->item[i], buf,
					  region->file_offset, value, rule);
	return 0;
}

/* An item of any length that it claims is not read: no rule allows a longer one. */
static int read_locator(struct dump *dump, struct vhdx_error *err)
{
	const struct vhdx_look *look = dump->look;
	const struct vhdx_metadata_item *item =
		vhdx_metadata_find(look->items, &vhdx_guid_parent_locator);
	u32 i;

	if (!item)
		return 0;
	i = (u32)(item - look->items->item);
	dump->locator_length = min(item->length, VHDX_MAX_METADATA_ITEM_SIZE);
	dump->locator_offset = vhdx_look_item_offset(look, i);
	dump->locator_item = text_memory(calloc(1, dump->locator_length + 1));
	return vhdx_look_item(look, i, dump->locator_item, dump->locator_length,
			      err);
}

/**
 * dump_show - look at an image and show what there is
 * @file: the image
 * @path: its name
 * @sections: what to show, a mask of enum dump_section
 * @json: as JSON
 * @err: filled in on failure
 *
 * Return: 0, or the negative errno of what the file answered.
 */
int dump_show(struct vhdx_file *file, const char *path, unsigned int sections,
	      bool json, struct vhdx_error *err)
{
	struct dump dump = { .path = path, .sections = sections };
	int ret;

	ret = vhdx_look_open(file, &dump.look, err);
	if (!ret)
		ret = read_locator(&dump, err);
	if (!ret)
		ret = json ? dump_print_json(&dump, err) :
			     dump_print_text(&dump, err);
	free(dump.locator_item);
	vhdx_look_close(dump.look);
	return ret;
}

static int dump_image(const char *path, unsigned int sections, bool json)
{
	struct posix_file file;
	struct vhdx_error err;
	int code, ret;
	char *text;

	code = open_image_file(&file, path, OPEN_IMAGE_READ);
	if (code)
		return code;
	ret = dump_show(&file.file, path, sections, json, &err);
	if (ret) {
		text = open_image_error(&err);
		code = message_fail(message_exit_code(-ret), path, "%s", text);
		free(text);
	}
	posix_file_close(&file);
	return code;
}

static int add_section(unsigned int *sections, const char *name)
{
	for (size_t i = 0; i < DUMP_SECTIONS; i++) {
		if (!strcmp(name, section_names[i])) {
			*sections |= 1U << i;
			return 0;
		}
	}
	return message_fail(EX_USAGE, name,
			    "dump: not headers, regions, metadata, bat, log or locator");
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'J' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	unsigned int sections = 0;
	bool json = false;
	int c;

	while ((c = getopt_long(argc, argv, "Jh", options, NULL)) != -1) {
		switch (c) {
		case 'J':
			json = true;
			break;
		case 'h':
			return vhdxctl_help(&vhdxctl_dump);
		default:
			return vhdxctl_usage(&vhdxctl_dump);
		}
	}
	if (optind == argc) {
		message_fail(EX_USAGE, NULL, "dump: no image given");
		return vhdxctl_usage(&vhdxctl_dump);
	}
	for (; optind < argc - 1; optind++)
		if (add_section(&sections, argv[optind]))
			return vhdxctl_usage(&vhdxctl_dump);
	return dump_image(argv[optind], sections ? : DEFAULT_SECTIONS, json);
}

const struct vhdxctl_command vhdxctl_dump = {
	.name = "dump",
	.synopsis = "[OPTION]... [SECTION]... IMAGE",
	.summary = "Show the structures of an image as they lie in its file",
	.help = "Needs neither root nor the driver. Damaged structures are shown too, with what\n"
		"is wrong with them; a dirty log is not replayed. SECTION is headers, regions,\n"
		"metadata, bat, log or locator; without one: all but bat and log.\n"
		"\n"
		"  -J, --json             JSON output; sizes are in bytes\n",
	.run = run,
};
