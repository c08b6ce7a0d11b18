// SPDX-License-Identifier: GPL-2.0
#include <getopt.h>
#include <stdio.h>

#include "attached.h"
#include "device.h"
#include "edit_image.h"
#include "image/compact.h"
#include "interrupt.h"
#include "message.h"
#include "open_image.h"
#include "progress.h"
#include "text.h"
#include "vhdxctl.h"

#define WHAT	"cannot be compacted"

/**
 * struct request - a compaction as the user wants it
 * @arg: the disk or image
 * @dry_run: only say what it would give back
 * @quiet: no progress, and not a word of what was done
 */
struct request {
	const char *arg;
	bool dry_run;
	bool quiet;
};

static void say_given_back(const struct request *request, u64 bytes)
{
	char size[TEXT_SIZE_LENGTH];

	text_size(size, bytes, TEXT_SIZE_LONG);
	if (request->dry_run)
		printf("%s would be given back\n", size);
	else if (!request->quiet)
		printf("%s given back\n", size);
}

/* --- an attached disk ----------------------------------------------------------- */

static int compact_attached(const struct request *request)
{
	struct device_list list;
	int code = device_find_one(request->arg, &list);
	u64 freed;

	if (!code && request->dry_run)
		code = message_fail(EX_USAGE, request->arg,
				    "compact: --dry-run is for images that are not attached");
	if (!code)
		code = attached_compact(request->arg, list.index[0], &freed);
	if (!code)
		say_given_back(request, freed);
	device_list_free(&list);
	return code;
}

/* --- an image -------------------------------------------------------------------- */

/**
 * struct view - what the user sees of a compaction
 * @request: what is wanted
 * @phase: the last one shown
 * @begun: one was shown
 * @done: of that, bytes
 */
struct view {
	const struct request *request;
	enum vhdx_compact_phase phase;
	bool begun;
	u64 done;
};

static void show(struct vhdx_compact *compact, enum vhdx_compact_phase phase,
		 u64 done, u64 total)
{
	struct view *view = compact->ctx;

	if (!view->begun || view->phase != phase) {
		progress_end();
		progress_begin(phase == VHDX_COMPACT_FREE ?
			       "looking for zeros" : "moving blocks", total,
			       view->request->quiet || view->request->dry_run);
		view->begun = true;
		view->phase = phase;
		view->done = 0;
	}
	progress_add(done - view->done);
	view->done = done;
}

static bool stop(struct vhdx_compact *compact)
{
	(void)compact;
	return interrupt_came();
}

/* A file may end inside its last block; with any change it gets all of that. */
static u64 given_back(const struct vhdx_compact *compact)
{
	return compact->size_before -
	       min(compact->size, compact->size_before);
}

static int fail(const struct request *request,
		const struct vhdx_compact *compact, int ret)
{
	char size[TEXT_SIZE_LENGTH];

	if (ret == -EOPNOTSUPP) {
		message_fail(EXIT_FAILURE, request->arg,
			     WHAT ": it is a fixed image, which keeps all of its blocks");
		message_hint("'vhdxctl convert' makes a dynamic one of it");
		return EXIT_FAILURE;
	}
	if (ret != -EINTR)
		return edit_image_fail(request->arg, WHAT, -ret);
	text_size(size, given_back(compact), TEXT_SIZE_LONG);
	return message_fail(interrupt_code(), request->arg,
			    "interrupted: %s given back so far, and the image is whole",
			    size);
}

static int compact(const struct request *request, struct vhdx_image *img)
{
	struct view view = { .request = request };
	struct vhdx_compact compact = {
		.progress = show,
		.stop = stop,
		.ctx = &view,
	};
	int ret;

	interrupt_watch();
	ret = vhdx_image_compact(img, &compact);
	progress_end();
	if (ret)
		return fail(request, &compact, ret);
	say_given_back(request, given_back(&compact));
	return 0;
}

static int compact_image(const struct request *request)
{
	struct vhdx_image *img;
	struct posix_file pf;
	int code;

	code = edit_image_open(&pf, request->arg, WHAT, &img);
	if (code)
		return code;
	code = compact(request, img);
	return edit_image_finish(&pf, request->arg, img, code);
}

static int play_through(const struct request *request)
{
	struct vhdx_image *img;
	struct posix_file pf;
	int code;

	code = open_image(&pf, request->arg, &img);
	if (code)
		return code;
	code = open_image_lock(request->arg, &pf, WHAT);
	if (!code)
		code = edit_image_refuse_cut(request->arg, img);
	if (!code)
		code = compact(request, img);
	vhdx_image_close(img);
	posix_file_close(&pf);
	return code;
}

/* --- the command line --------------------------------------------------------------- */

static int parse_and_compact(int argc, char **argv)
{
	static const struct option options[] = {
		{ "dry-run", no_argument, NULL, 'n' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct request request = { };
	int c;

	while ((c = getopt_long(argc, argv, "nqh", options, NULL)) != -1) {
		switch (c) {
		case 'n':
			request.dry_run = true;
			break;
		case 'q':
			request.quiet = true;
			break;
		case 'h':
			return vhdxctl_help(&vhdxctl_compact);
		default:
			return vhdxctl_usage(&vhdxctl_compact);
		}
	}
	if (argc != optind + 1) {
		message_fail(EX_USAGE, NULL, argc == optind ?
			     "compact: no device or image given" :
			     "compact: more than one device or image");
		return vhdxctl_usage(&vhdxctl_compact);
	}
	request.arg = argv[optind];
	if (device_is_meant(request.arg))
		return compact_attached(&request);
	return request.dry_run ? play_through(&request) :
				 compact_image(&request);
}

const struct vhdxctl_command vhdxctl_compact = {
	.name = "compact",
	.synopsis = "[OPTION]... DEV|IMAGE",
	.summary = "Give back what an image takes and does not use",
	.help = "Blocks of an image that hold nothing but zeros lose their place, those at its\n"
		"end move into gaps, and its file gets shorter. Of an attached disk only gaps\n"
		"and the end go back.\n"
		"\n"
		"  -n, --dry-run          only say how much that would give back\n"
		"  -q, --quiet            no progress, and not a word of what was given back\n",
	.run = parse_and_compact,
};
