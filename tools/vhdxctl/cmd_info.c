// SPDX-License-Identifier: GPL-2.0
#include <getopt.h>

#include "info.h"
#include "message.h"
#include "open_image.h"
#include "text.h"
#include "vhdxctl.h"

const char *const info_payload_states[8] = {
	[VHDX_PAYLOAD_NOT_PRESENT] = "not-present",
	[VHDX_PAYLOAD_UNDEFINED] = "undefined",
	[VHDX_PAYLOAD_ZERO] = "zero",
	[VHDX_PAYLOAD_UNMAPPED] = "unmapped",
	[VHDX_PAYLOAD_UNMAPPED_V095] = "unmapped-v0.95",
	[VHDX_PAYLOAD_FULLY_PRESENT] = "fully-present",
	[VHDX_PAYLOAD_PARTIALLY_PRESENT] = "partially-present",
};

/**
 * info_region_name - the name of a region
 * @guid: of the region
 *
 * Return: its name in the specification, or "unknown".
 */
const char *info_region_name(const guid_t *guid)
{
	if (guid_equal(guid, &vhdx_guid_bat_region))
		return "BAT";
	if (guid_equal(guid, &vhdx_guid_metadata_region))
		return "metadata";
	return "unknown";
}

/**
 * info_item_name - the name of a metadata item
 * @item: the item
 *
 * Return: its name in the specification, "user" for one that is a user's, or
 * "unknown".
 */
const char *info_item_name(const struct vhdx_metadata_item *item)
{
	static const struct {
		const guid_t *id;
		const char *name;
	} names[] = {
		{ &vhdx_guid_file_parameters, "file parameters" },
		{ &vhdx_guid_virtual_disk_size, "virtual disk size" },
		{ &vhdx_guid_virtual_disk_id, "virtual disk id" },
		{ &vhdx_guid_logical_sector_size, "logical sector size" },
		{ &vhdx_guid_physical_sector_size, "physical sector size" },
		{ &vhdx_guid_parent_locator, "parent locator" },
	};

	if (item->is_user)
		return "user";
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (guid_equal(&item->item_id, names[i].id))
			return names[i].name;
	return "unknown";
}

/**
 * info_item_offset - where a metadata item lies
 * @img: the image
 * @item: one of its items
 *
 * Return: bytes from the start of the file; 0 where the item is empty.
 */
u64 info_item_offset(const struct vhdx_image *img,
		     const struct vhdx_metadata_item *item)
{
	return item->length ? img->metadata_region->file_offset + item->offset :
			      0;
}

/**
 * info_utf8 - a string of the image as UTF-8
 * @utf16: UTF-16LE
 * @chars: its units; it may end before, in a NUL
 *
 * Return: the string, which the caller frees. It is what the image says: not
 * safe for a terminal.
 */
char *info_utf8(const void *utf16, u32 chars)
{
	size_t size = 3 * (size_t)chars + 1;
	char *s = text_memory(malloc(size));

	vhdx_utf16_to_utf8(s, size, utf16, chars, true);
	return s;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'J' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct vhdx_image *img;
	struct posix_file pf;
	struct info info;
	bool json = false;
	int code;
	int c;

	while ((c = getopt_long(argc, argv, "Jh", options, NULL)) != -1) {
		switch (c) {
		case 'J':
			json = true;
			break;
		case 'h':
			return vhdxctl_help(&vhdxctl_info);
		default:
			return vhdxctl_usage(&vhdxctl_info);
		}
	}
	if (argc - optind != 1) {
		message_fail(EX_USAGE, NULL, argc == optind ?
			     "info: no image given" :
			     "info: one image at a time");
		return vhdxctl_usage(&vhdxctl_info);
	}
	code = open_image(&pf, argv[optind], &img);
	if (code)
		return code;
	info = (struct info){ argv[optind], &pf, img, { } };
	device_list_of_image(&info.disks, &pf.stat);
	if (json)
		info_print_json(&info);
	else
		info_print_text(&info);
	device_list_free(&info.disks);
	vhdx_image_close(img);
	posix_file_close(&pf);
	return 0;
}

const struct vhdxctl_command vhdxctl_info = {
	.name = "info",
	.synopsis = "[--json] IMAGE",
	.summary = "Show what an image is and everything it holds",
	.help = "Needs neither root nor the driver. Every structure but the payload is checked;\n"
		"the exit code is 1 for an image that is damaged.\n"
		"\n"
		"  -J, --json             JSON output; sizes are in bytes\n",
	.run = run,
};
