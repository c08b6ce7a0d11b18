// SPDX-License-Identifier: GPL-2.0
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "layout.h"
#include "message.h"
#include "new_image.h"
#include "sink.h"
#include "source.h"
#include "text.h"
#include "vhd.h"
#include "vhdxctl.h"

#define VHD_UNIT	VHDX_MIB	/* Azure takes no other sizes */

/**
 * struct request - a conversion as the user wants it
 * @from: the disk to read
 * @to: where to; "-" for stdout
 * @source: how to open @from
 * @format: to make; SOURCE_PROBE: not said
 * @want: of a new image
 * @force: write over what is there
 * @no_sync: do not wait for the disk that a new file is on
 * @quiet: no progress, and no remarks
 * @verbose: say what was done
 */
struct request {
	const char *from;
	const char *to;
	struct source_options source;
	enum source_format format;
	struct new_image want;
	bool force;
	bool no_sync;
	bool quiet;
	bool verbose;
};

static bool is_pipe(const struct request *request)
{
	return !strcmp(request->to, "-");
}

/* The size of the new disk: not every format can have every one. */
static int choose_size(const struct request *request,
		       const struct source *source, u64 *size)
{
	u64 unit = request->format == SOURCE_VHD ? VHD_UNIT :
		   request->format == SOURCE_VHDX ? request->want.logical_sector :
						    1;

	*size = ALIGN(source->size, unit);
	if (!source->size)
		return message_fail(EXIT_FAILURE, request->from,
				    "cannot convert: it is empty");
	if (request->format == SOURCE_VHD && *size > VHD_MAX_SIZE)
		return message_fail(EXIT_FAILURE, request->from,
				    "cannot convert: a VHD has at most 2040 GiB");
	if (request->format == SOURCE_VHDX && *size > VHDX_MAX_DISK_SIZE)
		return message_fail(EXIT_FAILURE, request->from,
				    "cannot convert: a VHDX image has at most 64 TiB");
	if (*size != source->size && !request->quiet)
		message_warn(request->to,
			     "the disk gets zeros at its end, up to %llu bytes",
			     (unsigned long long)*size);
	return 0;
}

static int open_file(const struct request *request, struct place *place,
		     struct sink *sink, u64 size)
{
	struct vhdx_create params;
	int code;

	code = place_find(place, "convert", request->to, request->force);
	if (code)
		return code;
	switch (request->format) {
	case SOURCE_RAW:
		return sink_open_raw(sink, place, size,
				     new_image_is_fixed(&request->want));
	case SOURCE_VHD:
		return sink_open_vhd(sink, place, size);
	default:
		new_image_params(&request->want, size, &params);
		return sink_open_vhdx(sink, place, &params);
	}
}

static int open_device(const struct request *request, struct sink *sink,
		       u64 size)
{
	if (request->format != SOURCE_RAW)
		return message_fail(EX_USAGE, request->to,
				    "convert: only --output-format raw goes to a block device");
	if (request->force)
		return sink_open_device(sink, request->to, size);
	message_fail(EX_CANTCREAT, request->to,
		     "cannot write: it is a block device, all of which would be overwritten");
	message_hint("--force overwrites it");
	return EX_CANTCREAT;
}

static int open_sink(const struct request *request, struct place *place,
		     struct sink *sink, u64 size)
{
	struct stat st;

	if (is_pipe(request))
		return sink_open_pipe(sink, size);
	if (!stat(request->to, &st) && S_ISBLK(st.st_mode))
		return open_device(request, sink, size);
	return open_file(request, place, sink, size);
}

static void report(const struct request *request, const struct source *source)
{
	char size[TEXT_SIZE_LENGTH];

	text_size(size, source->size, TEXT_SIZE_LONG);
	fprintf(is_pipe(request) ? stderr : stdout, "%s to %s: %s\n",
		source_formats[source->format],
		source_formats[request->format], size);
}

static int convert(struct request *request, struct source *source)
{
	struct sink sink = { .file.fd = -1, .cached = request->no_sync };
	struct place place = { };
	u64 size = 0;
	int code = 0;

	if (request->format == SOURCE_VHDX)
		code = new_image_take_sectors(&request->want, "convert", source);
	if (!code)
		code = choose_size(request, source, &size);
	if (!code && !request->quiet && request->format != SOURCE_RAW)
		code = layout_warn_sectors(source, request->to,
					   request->format == SOURCE_VHD ?
					   VHD_SECTOR_SIZE :
					   (u32)request->want.logical_sector);
	if (!code)
		code = open_sink(request, &place, &sink, size);
	if (!code)
		code = sink_copy(&sink, source, request->quiet);
	code = sink_close(&sink, code);
	place_free(&place);
	if (!code && request->verbose)
		report(request, source);
	return code;
}

/* --- the command line ----------------------------------------------------------- */

/* What only some formats have an option for. NULL: all goes together. */
static const char *find_conflict(const struct request *request)
{
	const struct new_image *want = &request->want;

	if (is_pipe(request) && request->format != SOURCE_RAW)
		return "only --output-format raw can be written to a pipe";
	if (is_pipe(request) && want->type)
		return "--type is for files";
	if (request->no_sync && (request->force || is_pipe(request)))
		return "--no-sync is for new files";
	if (request->format == SOURCE_VHD && want->type &&
	    !new_image_is_fixed(want))
		return "only fixed VHDs can be written";
	if (request->format != SOURCE_VHDX &&
	    (want->block_size || want->log_size || want->logical_sector ||
	     want->physical_sector))
		return "block, sector and log sizes are for VHDX";
	return NULL;
}

static int check_arguments(struct request *request, int argc, char **argv)
{
	const char *conflict = NULL;

	if (argc - optind != 2) {
		conflict = argc == optind ? "nothing to convert given" :
			   argc == optind + 1 ? "nowhere to write to given" :
						"one disk at a time";
	} else {
		request->from = argv[optind];
		request->to = argv[optind + 1];
		if (!request->format)
			request->format = is_pipe(request) ? SOURCE_RAW :
							     SOURCE_VHDX;
		conflict = find_conflict(request);
	}
	if (!conflict)
		return 0;
	message_fail(EX_USAGE, NULL, "convert: %s", conflict);
	return vhdxctl_usage(&vhdxctl_convert);
}

static int parse(struct request *request, int argc, char **argv)
{
	enum {
		OPTION_FORCE = 256, OPTION_NO_SYNC, OPTION_PARENT,
		OPTION_PARENT_DIR
	};
	static const struct option options[] = {
		{ "block-size", required_argument, NULL, 'b' },
		{ "force", no_argument, NULL, OPTION_FORCE },
		{ "format", required_argument, NULL, 'f' },
		{ "log-size", required_argument, NULL, NEW_IMAGE_LOG_SIZE },
		{ "no-sync", no_argument, NULL, OPTION_NO_SYNC },
		{ "output-format", required_argument, NULL, 'O' },
		{ "parent", required_argument, NULL, OPTION_PARENT },
		{ "parent-dir", required_argument, NULL, OPTION_PARENT_DIR },
		{ "physical-sector", required_argument, NULL, 'P' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "sector", required_argument, NULL, 'S' },
		{ "type", required_argument, NULL, 't' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct source_options *source = &request->source;
	int code = 0;
	int c;

	while (!code && (c = getopt_long(argc, argv, NEW_IMAGE_LETTERS "f:O:qvh",
					 options, NULL)) != -1) {
		switch (c) {
		case OPTION_FORCE:
			request->force = true;
			break;
		case OPTION_NO_SYNC:
			request->no_sync = true;
			break;
		case OPTION_PARENT:
			code = chain_option_parent(&source->parents, optarg);
			break;
		case OPTION_PARENT_DIR:
			chain_option_folder(&source->parents, optarg);
			break;
		case 'f':
			code = source_parse_format("convert", optarg,
						   &source->format);
			break;
		case 'O':
			code = source_parse_format("convert", optarg,
						   &request->format);
			break;
		case 'q':
			request->quiet = true;
			break;
		case 'v':
			request->verbose = true;
			break;
		case 'h':
			return vhdxctl_help(&vhdxctl_convert);
		default:
			code = new_image_is_option(c) ?
			       new_image_take(&request->want, &vhdxctl_convert,
					      c, optarg) :
			       vhdxctl_usage(&vhdxctl_convert);
			break;
		}
	}
	return code ? code : check_arguments(request, argc, argv);
}

static int run(int argc, char **argv)
{
	struct request request = { };
	struct source source;
	int code = parse(&request, argc, argv);

	/* There is none when help was shown. */
	if (!code && request.from) {
		code = source_open(&source, request.from, &request.source);
		if (!code)
			code = convert(&request, &source);
		source_close(&source);
	}
	chain_options_free(&request.source.parents);
	return code;
}

const struct vhdxctl_command vhdxctl_convert = {
	.name = "convert",
	.synopsis = "[OPTION]... SRC DST|-",
	.summary = "Copy a disk into another format, without what is zero",
	.help = "SRC is a VHDX image with its parents, a VHD, a raw file or a block device. DST\n"
		"appears when it is whole and on the disk; - is stdout, for raw only.\n"
		"\n"
		"  -f, --format FORMAT    of SRC: raw, vhd or vhdx; default: what it looks like\n"
		"  -O, --output-format FORMAT\n"
		"                         of DST: vhdx (default), raw, or vhd, a fixed one of\n"
		"                         whole MiB, as Azure takes it\n"
		"  -t, --type TYPE        dynamic (default) or fixed; raw: with holes or without\n"
		"  -b, --block-size SIZE  of VHDX, as for create\n"
		"  -S, --sector SIZE      likewise; default: that of SRC\n"
		"  -P, --physical-sector SIZE\n"
		"                         likewise\n"
		"      --log-size SIZE    likewise\n"
		"      --parent FILE      the parent of SRC; once more for that one's parent ...\n"
		"      --parent-dir DIR   look for parents here too; can be given several times\n"
		"      --force            replace a file, or overwrite a block device (raw)\n"
		"      --no-sync          do not wait until a new file is on the disk, where a\n"
		"                         power cut soon after may leave but parts of it\n"
		"  -q, --quiet            no progress on the terminal, no remarks\n"
		"  -v, --verbose          say what was converted\n",
	.run = run,
};
