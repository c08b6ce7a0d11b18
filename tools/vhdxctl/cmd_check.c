// SPDX-License-Identifier: GPL-2.0
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "checking.h"
#include "edit_image.h"
#include "message.h"
#include "open_image.h"
#include "text.h"
#include "vhdxctl.h"

#define CANNOT_REPAIR	"cannot be repaired"

const char *const checking_kinds[VHDX_KINDS] = {
	[VHDX_KIND_CORRUPT] = "corrupt",
	[VHDX_KIND_UNSUPPORTED] = "unsupported",
	[VHDX_KIND_LOG] = "log",
	[VHDX_KIND_LEAK] = "leak",
	[VHDX_KIND_NOTE] = "note",
};

/**
 * struct request - what the user wants
 * @path: of the image
 * @json: as JSON
 * @quiet: only the exit code
 * @chain: its parents too
 * @repairs: it is to be repaired first, @repair says what
 * @repair: see there
 * @options: where the parents are
 */
struct request {
	const char *path;
	bool json;
	bool quiet;
	bool chain;
	bool repairs;
	struct vhdx_repair repair;
	struct chain_options options;
};

/**
 * checking_code - the exit code that belongs to an image
 * @checking: what came out of its check
 *
 * Return: the code; of several the one that matters most.
 */
enum checking_code checking_code(const struct checking *checking)
{
	const u64 *count = checking->check.kind_count;

	if (count[VHDX_KIND_CORRUPT])
		return CHECKING_CORRUPT;
	if (count[VHDX_KIND_UNSUPPORTED])
		return CHECKING_FAILED;
	if (checking->linked && checking->verdict != CHAIN_BASE &&
	    checking->verdict != CHAIN_OK)
		return CHECKING_CHAIN;
	if (count[VHDX_KIND_LOG])
		return CHECKING_LOG;
	return count[VHDX_KIND_LEAK] ? CHECKING_LEAKS : CHECKING_CLEAN;
}

/**
 * checking_result - an exit code in a word
 * @code: of the check
 *
 * Return: a constant string.
 */
const char *checking_result(enum checking_code code)
{
	static const char *const results[] = {
		[CHECKING_CLEAN] = "clean",
		[CHECKING_FAILED] = "unsupported",
		[CHECKING_CORRUPT] = "corrupt",
		[CHECKING_LEAKS] = "leaks",
		[CHECKING_LOG] = "log-pending",
		[CHECKING_CHAIN] = "chain-broken",
	};

	return results[code];
}

/* Which of two codes matters more. */
static enum checking_code worse(enum checking_code a, enum checking_code b)
{
	static const enum checking_code order[] = {
		CHECKING_CORRUPT, CHECKING_FAILED, CHECKING_CHAIN, CHECKING_LOG,
		CHECKING_LEAKS,
	};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (a == order[i] || b == order[i])
			return order[i];
	return CHECKING_CLEAN;
}

static void add_finding(struct vhdx_check *check, enum vhdx_finding_name name,
			enum vhdx_finding_kind kind,
			const struct vhdx_error *err)
{
	struct checking *checking = check->ctx;
	const size_t size = (checking->findings + 1) *
			    sizeof(*checking->finding);

	checking->finding = text_memory(realloc(checking->finding, size));
	checking->finding[checking->findings++] =
		(struct checking_finding){ name, kind, *err };
}

/**
 * checking_run - check an image, once or again
 * @checking: zero, with its path, or from an earlier run; to be freed by
 *	checking_free()
 * @file: the image
 * @st: what the host says of the file
 * @err: filled in on failure
 *
 * Return: 0: it was checked, whatever was found; or a negative errno.
 */
int checking_run(struct checking *checking, struct vhdx_file *file,
		 const struct stat *st, struct vhdx_error *err)
{
	struct vhdx_check *check = &checking->check;

	memset(check, 0, sizeof(*check));
	checking->findings = 0;
	check->found = add_finding;
	check->ctx = checking;
	if (S_ISBLK(st->st_mode))
		check->flags = VHDX_CHECK_FIXED_SIZE;
	else
		check->host_bytes = (u64)st->st_blocks * 512;
	return vhdx_image_check(file, check, err);
}

/**
 * checking_free - free what a check has found
 * @checking: the check, which is the caller's
 */
void checking_free(struct checking *checking)
{
	free(checking->finding);
}

static int fail(const char *path, const char *what,
		const struct vhdx_error *err)
{
	char *text = open_image_error(err);

	message_fail(CHECKING_FAILED, path, "%s: %s", what, text);
	free(text);
	return CHECKING_FAILED;
}

/* False: it could not be checked, and that was said. */
static bool check_file(struct checking *checking, struct posix_file *file)
{
	struct vhdx_error err;

	if (!checking_run(checking, &file->file, &file->stat, &err))
		return true;
	fail(checking->path, "cannot be checked", &err);
	return false;
}

static int repair_file(struct posix_file *file, struct request *request)
{
	struct vhdx_repair *repair = &request->repair;
	struct vhdx_error err;

	if (S_ISBLK(file->stat.st_mode))
		repair->flags = VHDX_CHECK_FIXED_SIZE;
	else
		repair->host_bytes = (u64)file->stat.st_blocks * 512;
	repair->punch = posix_file_takes_holes(file);
	if (vhdx_image_repair(&file->file, repair, &err))
		return fail(request->path, CANNOT_REPAIR, &err);
	if (fstat(file->fd, &file->stat)) {
		message_fail_errno(request->path, "cannot stat", errno);
		return CHECKING_FAILED;
	}
	return 0;
}

/* The image, and the parents that can be found by what it says of itself. */
static void find_chain(struct chain *chain, const struct request *request)
{
	struct chain_image *image = chain->image[0];
	struct vhdx_error err;

	/* One that does not open has findings that say why. */
	if (request->chain &&
	    !vhdx_image_open(&image->file.file, VHDX_OPEN_NO_BLOCKS,
			     &image->img, &err))
		chain_find(chain, &request->options, VHDX_OPEN_NO_BLOCKS);
}

static int check_chain(const struct chain *chain,
		       const struct request *request)
{
	struct checking *checking[CHAIN_MAX_IMAGES];
	enum checking_code code = CHECKING_CLEAN;
	bool checked = true;
	size_t n;

	for (n = 0; checked && n < chain->count; n++) {
		struct chain_image *image = chain->image[n];

		checking[n] = text_memory(calloc(1, sizeof(*checking[n])));
		checking[n]->path = image->path;
		checking[n]->linked = request->chain && image->img;
		checking[n]->verdict = image->verdict;
		checking[n]->problem = image->problem;
		checking[n]->repair = request->repairs ? &request->repair : NULL;
		checked = check_file(checking[n], &image->file);
		code = worse(code, checked ? checking_code(checking[n]) :
					     CHECKING_FAILED);
	}
	if (checked && request->json)
		checking_print_json((const struct checking **)checking, n, code);
	else if (checked && !request->quiet)
		for (size_t i = 0; i < n; i++)
			checking_print_text(checking[i], n > 1);
	while (n) {
		checking_free(checking[--n]);
		free(checking[n]);
	}
	return code;
}

static int check_image(struct request *request)
{
	const bool writable = request->repairs && !request->repair.only_show;
	struct chain_image *image;
	struct chain chain;
	int code;

	image = chain_begin(&chain, request->path);
	if (writable)
		code = edit_image_file(&image->file, request->path,
				       CANNOT_REPAIR);
	else
		code = open_image_file(&image->file, request->path,
				       OPEN_IMAGE_READ);
	if (code) {
		code = CHECKING_FAILED;
		goto out;
	}
	if (!writable && open_image_is_written(&image->file.stat))
		message_warn(request->path,
			     "it is attached for writing, and may just be changing");
	if (request->repairs) {
		code = repair_file(&image->file, request);
		if (code)
			goto out;
	}
	find_chain(&chain, request);
	if (image->img)
		code = chain_check_options(&chain, &request->options);
	if (!code)
		code = check_chain(&chain, request);
out:
	chain_end(&chain);
	return code;
}

static int parse_repair(struct request *request, const char *what)
{
	static const struct {
		const char *name;
		unsigned int wanted;
	} names[] = {
		{ "log", VHDX_REPAIR_LOG },
		{ "leaks", 1U << VHDX_REPAIR_LEAKS },
		{ "all", VHDX_REPAIR_ALL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(what, names[i].name))
			continue;
		request->repairs = true;
		request->repair.wanted = names[i].wanted;
		return 0;
	}
	message_fail(EX_USAGE, NULL,
		     "check: --repair is log, leaks or all, not '%s'", what);
	return vhdxctl_usage(&vhdxctl_check);
}

static int check_options(const struct request *request)
{
	if (!request->chain &&
	    (request->options.parents || request->options.folders))
		message_fail(EX_USAGE, NULL,
			     "check: --parent and --parent-dir only with --chain");
	else if (request->chain && request->repairs)
		message_fail(EX_USAGE, NULL,
			     "check: --repair changes one image, and goes not with --chain");
	else if (request->repair.only_show && !request->repairs)
		message_fail(EX_USAGE, NULL,
			     "check: --dry-run only with --repair");
	else
		return 0;
	return vhdxctl_usage(&vhdxctl_check);
}

static int parse(struct request *request, int argc, char **argv)
{
	enum {
		OPTION_CHAIN = 256, OPTION_PARENT, OPTION_PARENT_DIR,
		OPTION_REPAIR,
	};
	static const struct option options[] = {
		{ "chain", no_argument, NULL, OPTION_CHAIN },
		{ "dry-run", no_argument, NULL, 'n' },
		{ "json", no_argument, NULL, 'J' },
		{ "parent", required_argument, NULL, OPTION_PARENT },
		{ "parent-dir", required_argument, NULL, OPTION_PARENT_DIR },
		{ "quiet", no_argument, NULL, 'q' },
		{ "repair", required_argument, NULL, OPTION_REPAIR },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int code;
	int c;

	while ((c = getopt_long(argc, argv, "Jnqh", options, NULL)) != -1) {
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
		case 'n':
			request->repair.only_show = true;
			break;
		case 'q':
			request->quiet = true;
			break;
		case OPTION_REPAIR:
			code = parse_repair(request, optarg);
			if (code)
				return code;
			break;
		case 'h':
			return vhdxctl_help(&vhdxctl_check);
		default:
			return vhdxctl_usage(&vhdxctl_check);
		}
	}
	code = check_options(request);
	if (code)
		return code;
	if (argc - optind != 1) {
		message_fail(EX_USAGE, NULL, argc == optind ?
			     "check: no image given" :
			     "check: one image at a time");
		return vhdxctl_usage(&vhdxctl_check);
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
		code = check_image(&request);
	chain_options_free(&request.options);
	return code;
}

const struct vhdxctl_command vhdxctl_check = {
	.name = "check",
	.synopsis = "[OPTION]... IMAGE",
	.summary = "Find all that is wrong with an image, and repair what is safe to",
	.help = "Needs neither root nor the driver. The exit code is 0 for an image that is well,\n"
		"1 when it could not be checked, 2 when it is damaged, 3 when it only has leaked\n"
		"space, 4 when its log is to be replayed, 5 when a parent is missing or does not\n"
		"match.\n"
		"\n"
		"  -J, --json             JSON output; sizes are in bytes\n"
		"  -q, --quiet            nothing but the exit code, and errors\n"
		"      --repair WHAT      put right what can be without a guess, and check again:\n"
		"                         log: replay it, or clear a LogGuid without any entry;\n"
		"                         leaks: give unused space back; all: both, and damaged\n"
		"                         copies of headers and region tables\n"
		"  -n, --dry-run          with --repair: only say what it would do\n"
		"      --chain            check its parents and how they are linked, too\n"
		"      --parent FILE      this is its parent; once more for that one's parent ...\n"
		"      --parent-dir DIR   look for parents here too; can be given several times\n",
	.run = run,
};
