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

const char *const info_links[] = {
	[CHAIN_BASE] = NULL,
	[CHAIN_OK] = "ok",
	[CHAIN_MISMATCH] = "mismatch",
	[CHAIN_MISSING] = "missing",
	[CHAIN_UNUSABLE] = "unusable",
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
 * struct request - what the user wants to see
 * @path: of the image
 * @json: as JSON
 * @chain: with the chain
 * @options: where the parents are
 */
struct request {
	const char *path;
	bool json;
	bool chain;
	struct chain_options options;
};

/* A chain that is not whole is no error, but scripts want to know. */
static int chain_exit_code(const struct chain *chain)
{
	const struct chain_image *last = chain->image[chain->count - 1];
	bool whole = last->verdict == CHAIN_BASE;

	for (size_t i = 0; i + 1 < chain->count; i++)
		whole &= chain->image[i]->verdict == CHAIN_OK;
	return whole ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int show_image(const struct request *request)
{
	struct chain_image *image;
	struct chain chain;
	struct info info;
	int code;

	image = chain_begin(&chain, request->path);
	code = open_image(&image->file, request->path, &image->img);
	if (!code && request->chain) {
		chain_find(&chain, &request->options, 0);
		code = chain_check_options(&chain, &request->options);
	}
	if (code)
		goto out;
	info = (struct info){
		.path = request->path,
		.file = &image->file,
		.img = image->img,
		.chain = request->chain ? &chain : NULL,
	};
	device_list_of_image(&info.disks, &image->file.stat);
	if (request->json)
		info_print_json(&info);
	else
		info_print_text(&info);
	device_list_free(&info.disks);
	if (request->chain)
		code = chain_exit_code(&chain);
out:
	chain_end(&chain);
	return code;
}

static int parse(struct request *request, int argc, char **argv)
{
	enum { OPTION_CHAIN = 256, OPTION_PARENT, OPTION_PARENT_DIR };
	static const struct option options[] = {
		{ "chain", no_argument, NULL, OPTION_CHAIN },
		{ "json", no_argument, NULL, 'J' },
		{ "parent", required_argument, NULL, OPTION_PARENT },
		{ "parent-dir", required_argument, NULL, OPTION_PARENT_DIR },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int code;
	int c;

	while ((c = getopt_long(argc, argv, "Jh", options, NULL)) != -1) {
		switch (c) {
		case OPTION_CHAIN:
			request->chain = true;
			break;
		case 'J':
			request->json = true;
			break;
		case OPTION_PARENT:
			code = chain_option_parent(&request->options, optarg);
			if (code)
				return code;
			break;
		case OPTION_PARENT_DIR:
			chain_option_folder(&request->options, optarg);
			break;
		case 'h':
			return vhdxctl_help(&vhdxctl_info);
		default:
			return vhdxctl_usage(&vhdxctl_info);
		}
	}
	if (!request->chain &&
	    (request->options.parents || request->options.folders)) {
		message_fail(EX_USAGE, NULL,
			     "info: --parent and --parent-dir only with --chain");
		return vhdxctl_usage(&vhdxctl_info);
	}
	if (argc - optind != 1) {
		message_fail(EX_USAGE, NULL, argc == optind ?
			     "info: no image given" :
			     "info: one image at a time");
		return vhdxctl_usage(&vhdxctl_info);
	}
	request->path = argv[optind];
	return 0;
}

static int run(int argc, char **argv)
{
	struct request request = { };
	int code = parse(&request, argc, argv);

	/* There is none when help was shown. */
	if (request.path)
		code = show_image(&request);
	chain_options_free(&request.options);
	return code;
}

const struct vhdxctl_command vhdxctl_info = {
	.name = "info",
	.synopsis = "[OPTION]... IMAGE",
	.summary = "Show what an image is and everything it holds",
	.help = "Needs neither root nor the driver. Every structure but the payload is checked;\n"
		"the exit code is 1 for an image that is damaged.\n"
		"\n"
		"  -J, --json             JSON output; sizes are in bytes\n"
		"      --chain            also its parents and how they are linked; the exit code\n"
		"                         is 1 where one is missing or does not match\n"
		"      --parent FILE      this is its parent; once more for that one's parent ...\n"
		"      --parent-dir DIR   look for parents here too; can be given several times\n",
	.run = run,
};
