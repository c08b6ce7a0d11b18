// SPDX-License-Identifier: GPL-2.0
#include <getopt.h>
#include <stdio.h>

#include "chain.h"
#include "layout.h"
#include "message.h"
#include "new_image.h"
#include "open_image.h"
#include "parent.h"
#include "place.h"
#include "sink.h"
#include "text.h"
#include "vhdxctl.h"

#define CHILD_BLOCK_SIZE	(2 * VHDX_MIB)	/* Windows' own */

/**
 * struct request - an image as the user wants it
 * @path: of the new file
 * @parent: of the parent's file, or NULL
 * @absolute_path: --absolute-path, or NULL
 * @from: --from, or NULL
 * @format: of that; SOURCE_PROBE: not said
 * @size: of the disk in bytes; 0: not given
 * @want: the rest
 */
struct request {
	const char *path;
	const char *parent;
	const char *absolute_path;
	const char *from;
	enum source_format format;
	u64 size;
	struct new_image want;
};

static int write_image(struct place *place, const struct vhdx_create *params)
{
	struct vhdx_error err;
	struct posix_file pf;
	int code;
	int ret;

	code = place_create(place, &pf);
	if (code)
		return code;
	ret = vhdx_image_create(&pf.file, params, &err);
	posix_file_close(&pf);
	if (!ret)
		return place_finish(place, true);
	place_abandon(place);
	return place_fail_image(place, &err);
}

/* --- above a parent --------------------------------------------------------------- */

/* Its parents are opened for that; one that is not found now may be found later. */
static int check_depth(struct chain *chain)
{
	static const struct chain_options none = { .no_parent = true };

	chain_find(chain, &none, VHDX_OPEN_NO_BLOCKS);
	if (chain->count <= VHDX_MAX_PARENTS)
		return 0;
	return message_fail(message_exit_code(ELOOP), chain->image[0]->path,
			    "cannot be a parent: it has %u of them itself, as many as a chain can have",
			    VHDX_MAX_PARENTS);
}

static int create_above(const struct request *request, struct place *place,
			struct chain_image *parent)
{
	struct vhdx_create params = {
		.creator = NEW_IMAGE_CREATOR,
		.block_size = (u32)(request->want.block_size ?:
				    CHILD_BLOCK_SIZE),
		.log_length = (u32)request->want.log_size,
		.absolute_path = request->absolute_path,
	};
	char *real = realpath(parent->path, NULL);
	char *path;
	int code;

	if (!real)
		return message_fail_errno(parent->path, "cannot find", errno);
	path = parent_relative_path(place->folder, real);
	params.relative_path = path;
	code = parent_check(parent, real);
	params.parent = parent->img;
	if (!code)
		code = write_image(place, &params);
	free(path);
	free(real);
	return code;
}

static int create_child(const struct request *request, struct place *place)
{
	struct chain_image *parent;
	struct chain chain;
	int code;

	parent = chain_begin(&chain, request->parent);
	code = open_image(&parent->file, request->parent, &parent->img);
	if (!code)
		code = check_depth(&chain);
	if (!code)
		code = create_above(request, place, parent);
	chain_end(&chain);
	return code;
}

/* --- without one --------------------------------------------------------------------- */

static int check_size(const struct request *request, u32 sector)
{
	if (!(request->size & (sector - 1)))
		return 0;
	return message_fail(EX_USAGE, request->path,
			    "create: --size is not a multiple of the sector size, %u bytes",
			    sector);
}

static int create_disk(const struct request *request, struct place *place)
{
	struct vhdx_create params;
	int code;

	code = new_image_check_sectors(&request->want, "create", request->path);
	if (code)
		return code;
	new_image_params(&request->want, request->size, &params);
	code = check_size(request, params.logical_sector_size);
	if (!code)
		code = write_image(place, &params);
	if (!code)
		new_image_print_choice(&request->want, &params);
	return code;
}

static int fill_image(const struct request *request, struct place *place,
		      struct source *source)
{
	struct new_image want = request->want;
	struct sink sink = { .file.fd = -1 };
	struct vhdx_create params;
	u64 size = request->size;
	int code;

	code = new_image_take_sectors(&want, "create", source);
	if (code)
		return code;
	if (size && size < source->size)
		return message_fail(EX_USAGE, request->path,
				    "create: --size is less than that of %s, %llu bytes",
				    request->from,
				    (unsigned long long)source->size);
	if (!size)
		size = ALIGN(source->size, want.logical_sector);
	new_image_params(&want, size, &params);
	code = check_size(request, params.logical_sector_size);
	if (!code)
		code = layout_warn_sectors(source, request->path,
					   params.logical_sector_size);
	if (!code)
		code = sink_open_vhdx(&sink, place, &params);
	if (!code)
		code = sink_copy(&sink, source, false);
	code = sink_close(&sink, code);
	if (!code)
		new_image_print_choice(&want, &params);
	return code;
}

static int create_from(const struct request *request, struct place *place)
{
	const struct source_options options = {
		.format = request->format,
		.only_raw = true,
	};
	struct source source;
	int code;

	code = source_open(&source, request->from, &options);
	if (!code && !source.size)
		code = message_fail(EXIT_FAILURE, request->from,
				    "cannot make a disk of it: it is empty");
	if (!code)
		code = fill_image(request, place, &source);
	source_close(&source);
	return code;
}

/* --- the command line ------------------------------------------------------------------ */

static int parse_disk_size(const char *value, u64 *size)
{
	if (text_parse_size(value, size) && *size && *size <= VHDX_MAX_DISK_SIZE)
		return 0;
	return new_image_bad_value(&vhdxctl_create, "size", value,
				   "a size from 512 to 64T");
}

/* What goes with --parent, and what goes without. NULL: all of it does. */
static const char *find_conflict(const struct request *request)
{
	const struct new_image *want = &request->want;

	if (request->format && !request->from)
		return "--format only with --from";
	if (request->format && request->format != SOURCE_RAW)
		return "--from is of raw disks: convert copies others";
	if (!request->parent)
		return request->absolute_path ?
			       "--absolute-path only with --parent" :
		       !request->size && !request->from ?
			       "no --size given, and no --parent or --from" :
			       NULL;
	if (request->from)
		return "--from and --parent exclude each other";
	if (request->size)
		return "the size is that of the parent";
	if (want->type)
		return "--type and --parent exclude each other";
	if (want->logical_sector || want->physical_sector)
		return "the sector sizes are those of the parent";
	return NULL;
}

static int check_arguments(struct request *request, int argc, char **argv)
{
	const char *conflict = find_conflict(request);

	if (argc == optind)
		conflict = "no image given";
	else if (argc - optind > 1)
		conflict = "one image at a time";
	if (conflict) {
		message_fail(EX_USAGE, NULL, "create: %s", conflict);
		return vhdxctl_usage(&vhdxctl_create);
	}
	request->path = argv[optind];
	return 0;
}

static int create_image(const struct request *request)
{
	struct place place = { };
	int code = place_find(&place, "create", request->path, false);

	if (!code)
		code = request->parent ? create_child(request, &place) :
		       request->from ? create_from(request, &place) :
				       create_disk(request, &place);
	place_free(&place);
	return code;
}

static int run(int argc, char **argv)
{
	enum { OPTION_ABSOLUTE_PATH = 256, OPTION_FROM, OPTION_PARENT };
	static const struct option options[] = {
		{ "absolute-path", required_argument, NULL,
		  OPTION_ABSOLUTE_PATH },
		{ "block-size", required_argument, NULL, 'b' },
		{ "format", required_argument, NULL, 'f' },
		{ "from", required_argument, NULL, OPTION_FROM },
		{ "log-size", required_argument, NULL, NEW_IMAGE_LOG_SIZE },
		{ "parent", required_argument, NULL, OPTION_PARENT },
		{ "physical-sector", required_argument, NULL, 'P' },
		{ "sector", required_argument, NULL, 'S' },
		{ "size", required_argument, NULL, 's' },
		{ "type", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct request request = { };
	int code = 0;
	int c;

	while (!code && (c = getopt_long(argc, argv, NEW_IMAGE_LETTERS "f:s:h",
					 options, NULL)) != -1) {
		switch (c) {
		case OPTION_ABSOLUTE_PATH:
			request.absolute_path = optarg;
			if (!*optarg)
				code = new_image_bad_value(&vhdxctl_create,
							   "absolute-path",
							   optarg, "a path");
			break;
		case OPTION_FROM:
			request.from = optarg;
			break;
		case OPTION_PARENT:
			request.parent = optarg;
			break;
		case 'f':
			code = source_parse_format("create", optarg,
						   &request.format);
			break;
		case 's':
			code = parse_disk_size(optarg, &request.size);
			break;
		case 'h':
			return vhdxctl_help(&vhdxctl_create);
		default:
			code = new_image_is_option(c) ?
			       new_image_take(&request.want, &vhdxctl_create, c,
					      optarg) :
			       vhdxctl_usage(&vhdxctl_create);
			break;
		}
	}
	if (!code)
		code = check_arguments(&request, argc, argv);
	return code ? code : create_image(&request);
}

const struct vhdxctl_command vhdxctl_create = {
	.name = "create",
	.synopsis = "--size SIZE|--from RAW|--parent PARENT [OPTION]... IMAGE",
	.summary = "Make a new image: empty, of a raw disk, or above a parent",
	.help = "An existing file is not overwritten.\n"
		"\n"
		"  -s, --size SIZE        size of the disk, with K, M, G, T (of 1024), KB, MB ...\n"
		"  -t, --type TYPE        dynamic (default): the file grows as it is written to;\n"
		"                         fixed: it gets all of its space now\n"
		"  -b, --block-size SIZE  1M to 256M; default 1M, more for a disk of terabytes,\n"
		"                         and 2M above a parent\n"
		"  -S, --sector SIZE      logical sector size: 512 (default) or 4096\n"
		"  -P, --physical-sector SIZE\n"
		"                         512 or 4096 (default)\n"
		"      --log-size SIZE    1M (default) to 1G, a multiple of 1M\n"
		"      --from RAW         it holds what this raw file or block device does, whose\n"
		"                         size it has; with --size it can be larger\n"
		"  -f, --format raw       RAW is raw, even where it looks like an image\n"
		"\n"
		"      --parent PARENT    a differencing image: it holds what is changed from now\n"
		"                         on, and PARENT must not be written to any more\n"
		"      --absolute-path PATH\n"
		"                         where Windows finds PARENT, as in C:\\vm\\base.vhdx\n",
	.run = run,
};
