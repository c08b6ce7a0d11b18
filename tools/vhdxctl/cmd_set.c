// SPDX-License-Identifier: GPL-2.0
#include <getopt.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain.h"
#include "edit_image.h"
#include "image/set.h"
#include "message.h"
#include "open_image.h"
#include "parent.h"
#include "text.h"
#include "vhdxctl.h"

static const char cannot[] = "cannot be set";

/**
 * struct request - what the user wants
 * @path: of the image
 * @options: with the parent as the only one, or none
 * @only_show: change nothing
 * @set: the rest
 */
struct request {
	const char *path;
	struct chain_options options;
	bool only_show;
	struct vhdx_set set;
};

static int fail(const char *path, const struct vhdx_error *err)
{
	char *text = open_image_error(err);
	int code = message_fail(message_exit_code(-err->errnum), path, "%s: %s",
				cannot, text);

	free(text);
	if (err->errnum == -ESTALE)
		message_hint("--ignore-id-mismatch takes it, whatever it holds");
	return code;
}

/* By the way to it from the folder of the image. */
static int take_parent(struct request *request, struct chain_image *parent)
{
	char *image = realpath(request->path, NULL);
	char *real = realpath(parent->path, NULL);
	int code;

	if (!image || !real) {
		code = message_fail_errno(image ? parent->path : request->path,
					  "cannot find", errno);
	} else {
		code = parent_check(parent, real);
		request->set.relative_path =
			parent_relative_path(dirname(image), real);
		request->set.parent = parent->img;
	}
	free(image);
	free(real);
	return code;
}

/* A chain that comes back to where it was; the link to the parent is image/'s. */
static int check_chain(const struct chain *chain)
{
	for (size_t i = 0; i < chain->count; i++) {
		const struct chain_image *image = chain->image[i];

		if (image->errnum == ELOOP || chain->count == 1)
			return message_fail(message_exit_code(image->errnum),
					    chain->image[0]->path, "%s: %s",
					    cannot, image->problem);
	}
	return 0;
}

static int find_parent(struct chain *chain, struct request *request)
{
	int code;

	if (!chain->image[0]->img->metadata.has_parent)
		return message_fail(EXIT_FAILURE, request->path,
				    "%s: it is no differencing image and has no parent",
				    cannot);
	chain_find(chain, &request->options, VHDX_OPEN_NO_BLOCKS);
	code = check_chain(chain);
	return code ? code : take_parent(request, chain->image[1]);
}

static int refuse_children(const struct request *request,
			   const struct chain_image *image)
{
	return request->set.visible ?
	       edit_image_refuse_parent(&image->file, request->path, cannot,
					image->img) : 0;
}

static int write_image(struct request *request)
{
	struct vhdx_image *img;
	struct vhdx_error err;
	struct posix_file pf;
	int code;

	code = edit_image_open(&pf, request->path, cannot, &img);
	if (code)
		return code;
	if (vhdx_image_set(img, &request->set, &err))
		code = fail(request->path, &err);
	return edit_image_finish(&pf, request->path, img, code);
}

static void show(const struct request *request)
{
	const struct vhdx_set *set = &request->set;
	char id[VHDX_GUID_CHARS + 1];

	if (set->parent) {
		char *path = text_for_terminal(set->relative_path);

		printf("parent %s\n", path);
		free(path);
	}
	vhdx_guid_print(id, &set->disk_id);
	if (set->reset_disk_id)
		printf("disk id %s\n", request->only_show ? "a new one" : id);
	if (set->physical_sector_size)
		printf("physical sectors of %u bytes\n",
		       set->physical_sector_size);
}

static int set_image(struct request *request)
{
	/* That what is only said comes true takes what writing it would look at. */
	unsigned int flags = request->only_show ? 0 : VHDX_OPEN_NO_BLOCKS;
	struct chain_image *image;
	struct vhdx_error err;
	struct chain chain;
	int code;

	image = chain_begin(&chain, request->path);
	code = open_image_file(&image->file, request->path, OPEN_IMAGE_READ);
	if (!code && vhdx_image_open(&image->file.file, flags, &image->img,
				     &err))
		code = open_image_fail(request->path, &image->file.stat, &err);
	if (!code && request->options.parents)
		code = find_parent(&chain, request);
	if (!code && vhdx_set_check(image->img, &request->set, &err))
		code = fail(request->path, &err);
	if (!code)
		code = refuse_children(request, image);
	if (!code && request->only_show)
		code = edit_image_refuse_cut(request->path, image->img);
	if (!code && !request->only_show)
		code = write_image(request);
	if (!code)
		show(request);
	free((char *)request->set.relative_path);
	chain_end(&chain);
	return code;
}

static int parse_sector(struct request *request, const char *value)
{
	u64 size;

	if (text_parse_size(value, &size) && (size == 512 || size == 4096)) {
		request->set.physical_sector_size = (u32)size;
		return 0;
	}
	message_fail(EX_USAGE, NULL, "set: --phys-sector %s: not 512 or 4096",
		     value);
	return vhdxctl_usage(&vhdxctl_set);
}

static int check_arguments(struct request *request, int argc, char **argv)
{
	const struct vhdx_set *set = &request->set;
	const char *problem = NULL;

	if (argc != optind + 1)
		problem = argc == optind ? "no image given" :
					   "one image at a time";
	else if (request->options.parents > 1)
		problem = "one --parent: that of the image";
	else if (set->flags && !request->options.parents)
		problem = "--ignore-id-mismatch only with --parent";
	else if (!request->options.parents && !set->reset_disk_id &&
		 !set->physical_sector_size)
		problem = "nothing to set";
	if (problem) {
		message_fail(EX_USAGE, NULL, "set: %s", problem);
		return vhdxctl_usage(&vhdxctl_set);
	}
	request->path = argv[optind];
	return 0;
}

static int parse(struct request *request, int argc, char **argv)
{
	enum { OPTION_IGNORE = 256, OPTION_PARENT, OPTION_RESET, OPTION_SECTOR };
	static const struct option options[] = {
		{ "dry-run", no_argument, NULL, 'n' },
		{ "ignore-id-mismatch", no_argument, NULL, OPTION_IGNORE },
		{ "parent", required_argument, NULL, OPTION_PARENT },
		{ "phys-sector", required_argument, NULL, OPTION_SECTOR },
		{ "reset-disk-id", no_argument, NULL, OPTION_RESET },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int code = 0;
	int c;

	while (!code && (c = getopt_long(argc, argv, "nh", options, NULL)) != -1) {
		switch (c) {
		case 'n':
			request->only_show = true;
			break;
		case OPTION_IGNORE:
			request->set.flags = VHDX_OPEN_IGNORE_ID_MISMATCH;
			break;
		case OPTION_PARENT:
			code = chain_option_parent(&request->options, optarg);
			break;
		case OPTION_RESET:
			request->set.reset_disk_id = true;
			break;
		case OPTION_SECTOR:
			code = parse_sector(request, optarg);
			break;
		case 'h':
			return vhdxctl_help(&vhdxctl_set);
		default:
			return vhdxctl_usage(&vhdxctl_set);
		}
	}
	return code ? code : check_arguments(request, argc, argv);
}

static int run(int argc, char **argv)
{
	struct request request = { };
	int code = parse(&request, argc, argv);

	/* There is none when help was shown. */
	return request.path ? set_image(&request) : code;
}

const struct vhdxctl_command vhdxctl_set = {
	.name = "set",
	.synopsis = "[OPTION]... IMAGE",
	.summary = "Change the parent of an image, its disk id or its physical sectors",
	.help = "Needs neither root nor the driver; the image must not be in use. It is as it\n"
		"was, or changed, whenever the power goes.\n"
		"\n"
		"      --parent FILE      where the parent of a differencing image is now\n"
		"      --ignore-id-mismatch\n"
		"                         even if it is not the one that the image was made from\n"
		"      --reset-disk-id    a new id, as a copy needs it beside its original\n"
		"      --phys-sector SIZE\n"
		"                         physical sectors that the disk tells of: 512 or 4096\n"
		"  -n, --dry-run          change nothing, only say what would be\n",
	.run = run,
};
