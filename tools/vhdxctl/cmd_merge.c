// SPDX-License-Identifier: GPL-2.0
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "chain.h"
#include "edit_image.h"
#include "image/items.h"
#include "image/merge.h"
#include "image/resize.h"
#include "image/sync.h"
#include "interrupt.h"
#include "message.h"
#include "open_image.h"
#include "progress.h"
#include "text.h"
#include "vhdxctl.h"

#define WHAT	"cannot be merged"

enum {
	OPTION_ALLOW_PARENT_WRITE = 256,
	OPTION_DELETE,
	OPTION_INTO,
	OPTION_PARENT,
	OPTION_PARENT_DIR,
};

/**
 * struct request - a merge as the user wants it
 * @path: of the image at the top
 * @into: of the one that all goes into; NULL: its parent
 * @parents: where these are
 * @allow_parent_write: also when other images have one of them as their parent
 * @remove: the merged images
 * @dry_run: only say what there is to do
 * @quiet: no progress, and not a word of what was done
 * @chain: of @path
 * @target: which of it @into is
 * @size: of the disk at the top, bytes
 * @old_size: of that of @into, before anything is done
 */
struct request {
	const char *path;
	const char *into;
	struct chain_options parents;
	bool allow_parent_write;
	bool remove;
	bool dry_run;
	bool quiet;
	struct chain chain;
	size_t target;
	u64 size;
	u64 old_size;
};

static struct chain_image *image_at(const struct request *request, size_t i)
{
	return request->chain.image[i];
}

static struct chain_image *target(const struct request *request)
{
	return image_at(request, request->target);
}

/* --- which images ------------------------------------------------------------------- */

static int find_target(struct request *request)
{
	struct stat st;

	request->target = 1;
	if (request->chain.count == 1)
		return message_fail(EXIT_FAILURE, request->path,
				    WHAT ": it has no parent");
	if (!request->into)
		return 0;
	if (stat(request->into, &st))
		return message_fail_errno(request->into, "cannot open", errno);
	for (size_t i = 1; i < request->chain.count; i++) {
		const struct stat *own = &image_at(request, i)->file.stat;

		request->target = i;
		if (own->st_dev == st.st_dev && own->st_ino == st.st_ino)
			return 0;
	}
	message_fail(EXIT_FAILURE, request->into,
		     "cannot be merged into: it is no parent of %s, nor one of its parents",
		     request->path);
	message_hint("'vhdxctl info --chain' shows the chain");
	return EXIT_FAILURE;
}

/* It is not the image that would be removed. */
static int refuse_devices(const struct request *request)
{
	for (size_t i = 0; i < request->target; i++) {
		const struct chain_image *image = image_at(request, i);

		if (!S_ISREG(image->file.stat.st_mode))
			return message_fail(EX_USAGE, image->path,
					    "merge: --delete is for files");
	}
	return 0;
}

static int find_images(struct request *request)
{
	struct chain_image *image = chain_begin(&request->chain, request->path);
	struct vhdx_error err;
	int code;

	code = open_image_file(&image->file, request->path, OPEN_IMAGE_READ);
	if (code)
		return code;
	if (vhdx_image_open(&image->file.file, 0, &image->img, &err))
		return open_image_fail(request->path, &image->file.stat, &err);
	chain_find(&request->chain, &request->parents, 0);
	code = chain_check(&request->chain, &request->parents, WHAT, false);
	if (!code)
		code = find_target(request);
	if (!code && request->remove)
		code = refuse_devices(request);
	for (size_t i = 0; !code && i <= request->target; i++)
		code = edit_image_refuse_cut(image_at(request, i)->path,
					     image_at(request, i)->img);
	if (!code)
		chain_warn(&request->chain);
	return code;
}

/* --- having them for oneself ---------------------------------------------------------- */

/* What was found by a name is the same file still, and it is open for writing then. */
static int own_image(struct chain_image *image)
{
	const struct stat *old = &image->file.stat;
	struct posix_file pf;
	int code;

	code = edit_image_file(&pf, image->path, WHAT);
	if (code)
		return code;
	if (pf.stat.st_dev != old->st_dev || pf.stat.st_ino != old->st_ino) {
		posix_file_close(&pf);
		return message_fail(EX_TEMPFAIL, image->path,
				    WHAT ": it has just become another file");
	}
	vhdx_image_close(image->img);
	image->img = NULL;
	posix_file_close(&image->file);
	image->file = pf;
	return 0;
}

/* Those below are only read. What they were before they were locked is forgotten. */
static int lock_images(const struct request *request)
{
	int code = 0;

	for (size_t i = 0; !code && i < request->chain.count; i++) {
		struct chain_image *image = image_at(request, i);

		if (!request->dry_run && i <= request->target)
			code = own_image(image);
		else
			code = open_image_lock(image->path, &image->file, WHAT);
	}
	return code;
}

static int refuse_children(const struct request *request, size_t i)
{
	struct chain_image *image = image_at(request, i);
	char *child;
	int code;

	code = chain_reopen(image, 0);
	if (code)
		return code;
	child = chain_find_other_child(image, i ? image_at(request, i - 1) :
						  NULL);
	if (!child)
		return 0;
	message_fail(EXIT_FAILURE, image->path,
		     WHAT ": it is the parent of %s, which would be of no use then",
		     child);
	free(child);
	if (i)
		message_hint("--allow-parent-write does it all the same");
	else
		message_hint("without --delete it stays, and that image with it");
	return EXIT_FAILURE;
}

/*
 * All but the top show something else afterwards, or nothing where they are removed;
 * the top stays as it is, or is removed.
 */
static int refuse_all_children(const struct request *request)
{
	int code = 0;

	for (size_t i = 0; !code && i <= request->target; i++)
		if (i ? !request->allow_parent_write : request->remove)
			code = refuse_children(request, i);
	return code;
}

static u64 size_at(const struct request *request, size_t i)
{
	return image_at(request, i)->img->metadata.virtual_disk_size;
}

/* What the one below has past the end of the target would appear as that grows. */
static int check_below(const struct request *request)
{
	size_t below = request->target + 1;
	int code;

	if (below == request->chain.count)
		return 0;
	code = chain_reopen(image_at(request, below), 0);
	if (code || size_at(request, below) <= request->old_size)
		return code;
	return message_fail(EXIT_FAILURE, target(request)->path,
			    "cannot be merged into: its disk would have to grow, and that of its parent %s is larger",
			    image_at(request, below)->path);
}

/* That there is no room for them is not to be found out when all else is done. */
static int check_items(const struct request *request)
{
	struct chain_image *image = target(request);
	struct vhdx_error err;

	if (vhdx_merge_check_items(image_at(request, 0)->img, image->img, &err))
		return open_image_fail(image->path, &image->file.stat, &err);
	return chain_reopen(image, 0);
}

static int check_sizes_and_items(struct request *request)
{
	int code;

	code = chain_reopen(image_at(request, 0), 0);
	if (!code)
		code = chain_reopen(target(request), 0);
	if (code)
		return code;
	request->size = size_at(request, 0);
	request->old_size = size_at(request, request->target);
	code = check_items(request);
	if (!code && request->size > request->old_size)
		code = check_below(request);
	return code;
}

/* --- the merge ------------------------------------------------------------------------- */

/*
 * From the bottom up; @next: the one that is merged into is written to, and gets this
 * DataWriteGuid.
 */
static int link_images(const struct request *request, const guid_t *next)
{
	struct vhdx_image *parent = NULL;

	for (size_t i = request->chain.count; i-- > 0; ) {
		struct chain_image *image = image_at(request, i);
		unsigned int flags = next && i == request->target ?
				     VHDX_OPEN_WRITE : 0;
		struct vhdx_error err;

		vhdx_image_close(image->img);
		image->img = NULL;
		if (vhdx_image_open_child(&image->file.file, parent, flags,
					  &image->img, &err))
			return open_image_fail(image->path, &image->file.stat,
					       &err);
		parent = image->img;
	}
	if (next) {
		target(request)->img->next_data_write_guid = *next;
		vhdx_sync_init(target(request)->img);
	}
	return 0;
}

static int measure(const struct request *request, u64 *bytes)
{
	int ret = vhdx_merge_measure(image_at(request, 0)->img,
				     target(request)->img, bytes);

	return ret ? message_fail_errno(request->path, WHAT, -ret) : 0;
}

/* Who the parent of the one above @i is: what @i is now, or what it is to be. */
static int announce(const struct request *request, size_t i,
		    const guid_t *linkage, const guid_t *linkage2)
{
	struct chain_image *child = image_at(request, i - 1);
	struct vhdx_error err;
	int code, ret;

	code = chain_reopen(child, VHDX_OPEN_EDIT);
	if (code)
		return code;
	if (vhdx_merge_link(child->img, linkage, linkage2, &err))
		return open_image_fail(child->path, &child->file.stat, &err);
	ret = vhdx_image_finish(child->img);
	return ret ? edit_image_fail(child->path, WHAT, -ret) : 0;
}

static void show(struct vhdx_merge *merge, u64 bytes)
{
	(void)merge;
	progress_add(bytes);
}

static bool stop(struct vhdx_merge *merge)
{
	(void)merge;
	return interrupt_came();
}

static int fail_blocks(const struct request *request, int ret)
{
	int code;

	if (ret == -EINTR)
		code = message_fail(interrupt_code(), request->path,
				    "interrupted: it is not merged yet, and reads as before");
	else
		code = message_fail_errno(target(request)->path,
					  "cannot be merged into", -ret);
	message_hint("the same command goes on");
	return code;
}

static int merge_blocks(const struct request *request, u64 bytes)
{
	struct vhdx_image *into = target(request)->img;
	struct vhdx_merge merge = { .progress = show, .stop = stop };
	int ret, last;

	progress_begin(request->path, bytes, request->quiet);
	ret = vhdx_merge_blocks(image_at(request, 0)->img, into, &merge);
	progress_end();
	last = vhdx_image_finish(into);
	if (ret || last)
		return fail_blocks(request, ret ? ret : last);
	return 0;
}

/* What it was opened as is not what it is any more. */
static int resize_target(const struct request *request, const guid_t *next)
{
	struct chain_image *image = target(request);
	struct vhdx_error err;
	int code;

	if (vhdx_image_resize(image->img, request->size, &err)) {
		code = open_image_fail(image->path, &image->file.stat, &err);
		message_hint("%s reads as before; the same command goes on",
			     request->path);
		return code;
	}
	code = edit_image_give_back(image->path, image->img);
	return code ? code : link_images(request, next);
}

static int merge_items(const struct request *request)
{
	struct chain_image *image = target(request);
	struct vhdx_error err;
	int ret;

	if (vhdx_merge_items(image_at(request, 0)->img, image->img, &err))
		return open_image_fail(image->path, &image->file.stat, &err);
	ret = vhdx_image_finish(image->img);
	return ret ? fail_blocks(request, ret) : 0;
}

/* The DataWriteGuid that it has, or had: it may not have changed at all. */
static int identity(const struct request *request, size_t i, guid_t *guid)
{
	const struct chain_image *image = image_at(request, i);
	int ret = vhdx_items_identity(image->img, guid);

	return ret ? message_fail_errno(image->path, "cannot be merged into",
					-ret) : 0;
}

/* It will show something else: other children must not take it for what it was. */
static int renew(const struct request *request, size_t i)
{
	struct chain_image *image = image_at(request, i);
	struct vhdx_error err;
	guid_t old, next;
	int code, ret;

	guid_gen(&next);
	code = chain_reopen(image, VHDX_OPEN_EDIT);
	if (!code)
		code = identity(request, i, &old);
	if (!code)
		code = announce(request, i, &old, &next);
	if (code)
		return code;
	image->img->next_data_write_guid = next;
	if (vhdx_merge_renew(image->img, &err))
		return open_image_fail(image->path, &image->file.stat, &err);
	ret = vhdx_image_finish(image->img);
	if (ret)
		return edit_image_fail(image->path, WHAT, -ret);
	code = identity(request, i, &next);
	return code ? code : announce(request, i, &next, NULL);
}

static int renew_between(const struct request *request)
{
	int code = 0;

	for (size_t i = request->target - 1; !code && i; i--)
		code = renew(request, i);
	return code;
}

static int merge(const struct request *request, u64 *bytes)
{
	guid_t old, next;
	int code;

	guid_gen(&next);
	code = renew_between(request);
	if (!code)
		code = identity(request, request->target, &old);
	if (!code)
		code = announce(request, request->target, &old, &next);
	if (!code)
		code = link_images(request, &next);
	if (!code && request->size > request->old_size)
		code = resize_target(request, &next);
	if (!code)
		code = measure(request, bytes);
	if (!code)
		code = merge_blocks(request, *bytes);
	if (!code && request->size < request->old_size)
		code = resize_target(request, &next);
	if (!code)
		code = merge_items(request);
	if (code || request->remove)
		return code;
	code = identity(request, request->target, &next);
	return code ? code : announce(request, request->target, &next, NULL);
}

/* From the top: what is left, if anything, is a chain still. */
static int remove_images(const struct request *request)
{
	for (size_t i = 0; i < request->target; i++) {
		const struct chain_image *image = image_at(request, i);
		char *real = realpath(image->path, NULL);
		int errnum = 0;
		struct stat st;

		if (!real || lstat(real, &st))
			errnum = errno;
		else if (st.st_dev != image->file.stat.st_dev ||
			 st.st_ino != image->file.stat.st_ino)
			errnum = EBUSY;
		else if (unlink(real))
			errnum = errno;
		free(real);
		if (errnum)
			return message_fail_errno(image->path,
						  "merged, but cannot be removed",
						  errnum);
	}
	return 0;
}

static void say_merged(const struct request *request, u64 bytes)
{
	char merged[TEXT_SIZE_LENGTH], size[TEXT_SIZE_LENGTH];
	char *path = text_for_terminal(target(request)->path);
	bool dry_run = request->dry_run;

	text_size(merged, bytes, TEXT_SIZE_LONG);
	text_size(size, request->size, TEXT_SIZE_LONG);
	if (dry_run || !request->quiet)
		printf("%s %s into %s\n", merged,
		       dry_run ? "would be merged" : "merged", path);
	if ((dry_run || !request->quiet) && request->size != request->old_size)
		printf("its disk %s the size of the other: %s (%llu bytes)\n",
		       dry_run ? "would get" : "has got", size,
		       (unsigned long long)request->size);
	free(path);
}

static int merge_images(struct request *request)
{
	u64 bytes = 0;
	int code;

	code = find_images(request);
	if (!code)
		code = lock_images(request);
	if (!code)
		code = refuse_all_children(request);
	/* Before the locks were had the links may have been broken. */
	if (!code)
		code = link_images(request, NULL);
	if (!code)
		code = check_sizes_and_items(request);
	if (code)
		return code;
	if (request->dry_run) {
		code = link_images(request, NULL);
		if (!code)
			code = measure(request, &bytes);
	} else {
		interrupt_watch();
		code = merge(request, &bytes);
		if (!code && request->remove)
			code = remove_images(request);
	}
	if (!code)
		say_merged(request, bytes);
	return code;
}

/* --- the command line ------------------------------------------------------------------- */

static int take_option(struct request *request, int c)
{
	switch (c) {
	case OPTION_ALLOW_PARENT_WRITE:
		request->allow_parent_write = true;
		return 0;
	case OPTION_DELETE:
		request->remove = true;
		return 0;
	case OPTION_INTO:
		request->into = optarg;
		return 0;
	case OPTION_PARENT:
		return chain_option_parent(&request->parents, optarg);
	case OPTION_PARENT_DIR:
		chain_option_folder(&request->parents, optarg);
		return 0;
	case 'n':
		request->dry_run = true;
		return 0;
	case 'q':
		request->quiet = true;
		return 0;
	default:
		return vhdxctl_usage(&vhdxctl_merge);
	}
}

/* *@path stays NULL when help was shown. */
static int parse(struct request *request, int argc, char **argv)
{
	static const struct option options[] = {
		{ "allow-parent-write", no_argument, NULL,
		  OPTION_ALLOW_PARENT_WRITE },
		{ "delete", no_argument, NULL, OPTION_DELETE },
		{ "dry-run", no_argument, NULL, 'n' },
		{ "into", required_argument, NULL, OPTION_INTO },
		{ "parent", required_argument, NULL, OPTION_PARENT },
		{ "parent-dir", required_argument, NULL, OPTION_PARENT_DIR },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int c, code = 0;

	while (!code && (c = getopt_long(argc, argv, "nqh", options,
					 NULL)) != -1) {
		if (c == 'h')
			return vhdxctl_help(&vhdxctl_merge);
		code = take_option(request, c);
	}
	if (code)
		return code;
	if (argc != optind + 1) {
		message_fail(EX_USAGE, NULL, argc == optind ?
			     "merge: no image given" :
			     "merge: more than one image");
		return vhdxctl_usage(&vhdxctl_merge);
	}
	request->path = argv[optind];
	return 0;
}

static int command(int argc, char **argv)
{
	struct request request = { };
	int code = parse(&request, argc, argv);

	if (!code && request.path) {
		code = merge_images(&request);
		chain_end(&request.chain);
	}
	chain_options_free(&request.parents);
	return code;
}

const struct vhdxctl_command vhdxctl_merge = {
	.name = "merge",
	.synopsis = "[OPTION]... CHILD",
	.summary = "Write what a differencing image holds into its parent",
	.help = "Who reads CHILD reads the same before, after and in between, whatever ends it;\n"
		"the same command goes on then.\n"
		"The disk of its parent gets the size of that of CHILD.\n"
		"\n"
		"      --into ANCESTOR    not into its parent, but with all images between into\n"
		"                         this one, which is a parent of one of them\n"
		"      --delete           remove what was merged, when all of it is on the disk\n"
		"      --parent FILE      this is its parent; once more for that one's parent ...\n"
		"      --parent-dir DIR   look for parents here too; can be given several times\n"
		"      --allow-parent-write\n"
		"                         also when other images, which are of no use then, have\n"
		"                         one of these as their parent\n"
		"  -n, --dry-run          only say how much there is to merge\n"
		"  -q, --quiet            no progress, and not a word of what was done\n",
	.run = command,
};
