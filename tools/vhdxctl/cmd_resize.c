// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <getopt.h>
#include <stdio.h>

#include "attached.h"
#include "device.h"
#include "edit_image.h"
#include "image/resize.h"
#include "layout.h"
#include "message.h"
#include "open_image.h"
#include "text.h"
#include "vhdxctl.h"

#define CANNOT	"cannot be resized"

/**
 * struct request - what the user asked for
 * @arg: a device, or an image
 * @size: bytes; to be added or taken away where @sign says so
 * @sign: '+', '-', or 0 for a size as such
 * @minimum: as small as what is on the disk allows, instead of @size
 * @shrink: the disk may become smaller
 * @force: what is on it may be cut off
 * @dry_run: only say what would be done
 * @quiet: say nothing
 * @allow_parent_write: also when other images have it as their parent
 * @help: show it, and nothing else counts
 * @parents: where those of a differencing image are
 */
struct request {
	const char *arg;
	u64 size;
	char sign;
	bool minimum;
	bool shrink;
	bool force;
	bool dry_run;
	bool quiet;
	bool allow_parent_write;
	bool help;
	struct chain_options parents;
};

/* --- what size -------------------------------------------------------------------- */

static int choose_minimum(const char *arg, const struct layout *layout, u64 old,
			  u64 *size)
{
	u64 end = layout->end;

	switch (layout->kind) {
	case LAYOUT_GPT:
		end += layout->gpt.room;
		break;
	case LAYOUT_PARTITIONS:
		break;
	case LAYOUT_DAMAGED_GPT:
		return message_fail(EXIT_FAILURE, arg,
				    "has no known minimum: its GPT is damaged");
	default:
		return message_fail(EXIT_FAILURE, arg,
				    "has no known minimum: there are no partitions on it");
	}
	/* It may be that small already that it has not even that. */
	*size = min(max(ALIGN(end, VHDX_MIB), VHDX_MIB), old);
	return 0;
}

static int choose_size(const struct request *request, const struct layout *layout,
		       u64 old, u64 *size)
{
	*size = request->size;
	if (request->minimum)
		return choose_minimum(request->arg, layout, old, size);
	if (request->sign == '+' && check_add_overflow(old, request->size, size))
		*size = U64_MAX;
	if (request->sign == '-') {
		if (request->size >= old)
			return message_fail(EX_USAGE, request->arg,
					    CANNOT ": nothing would be left of it");
		*size = old - request->size;
	}
	return 0;
}

static int check_shrink(const struct request *request, const struct layout *layout,
			u64 size)
{
	char text[TEXT_SIZE_LENGTH];

	if (!request->shrink && !request->minimum) {
		message_fail(EX_USAGE, request->arg,
			     CANNOT ": it would become smaller, and lose what is at its end");
		message_hint("--shrink allows that");
		return EX_USAGE;
	}
	if (request->force)
		return 0;
	if (layout->kind == LAYOUT_WHOLE) {
		message_fail(EXIT_FAILURE, request->arg,
			     CANNOT ": of what has the whole disk (%s) the end is not known",
			     layout->type);
		message_hint("once that has been made smaller, --force does it");
		return EXIT_FAILURE;
	}
	if (layout->kind == LAYOUT_DAMAGED_GPT) {
		message_fail(EXIT_FAILURE, request->arg,
			     CANNOT ": its GPT is damaged, and its last partition not known");
		message_hint("once that has been repaired, it can; --force does it all the same");
		return EXIT_FAILURE;
	}
	if (size >= layout->end) {
		if (layout->kind != LAYOUT_GPT ||
		    layout_repair(layout, size) != LAYOUT_REPAIR_NONE)
			return 0;
		message_fail(EXIT_FAILURE, request->arg,
			     CANNOT ": its GPT's backup has no room behind its last partition");
		message_hint("--minimum leaves that room, --force does without");
		return EXIT_FAILURE;
	}
	text_size(text, layout->end, TEXT_SIZE_LONG);
	message_fail(EXIT_FAILURE, request->arg,
		     CANNOT ": its last partition ends at %s (%llu bytes)",
		     text, (unsigned long long)layout->end);
	message_hint("--minimum makes it as small as its partitions allow, --force cuts them off");
	return EXIT_FAILURE;
}

/* --- what to say ------------------------------------------------------------------ */

static void say_gpt(const struct layout *layout, u32 sector, u64 size,
		    const char *device)
{
	u64 needed = layout->end + layout->gpt.room;
	char text[TEXT_SIZE_LENGTH];

	if (layout->gpt.sector != sector) {
		printf("its GPT is for sectors of %u bytes: 'vhdxctl convert -S %u' makes those\n",
		       layout->gpt.sector, layout->gpt.sector);
		/* What follows is to be done there. */
		device = "DEVICE";
	}
	switch (layout_repair(layout, size)) {
	case LAYOUT_REPAIR_MOVE:
		printf("its GPT's backup has to move: 'sfdisk --relocate gpt-bak-std %s'\n",
		       device);
		break;
	case LAYOUT_REPAIR_FIT:
		printf("its GPT is not found until it fits the disk: 'sgdisk -e %s'\n",
		       device);
		break;
	case LAYOUT_REPAIR_NONE:
		text_size(text, needed, TEXT_SIZE_LONG);
		printf("its GPT's backup has no room: that needs a disk of %s (%llu bytes)\n",
		       text, (unsigned long long)needed);
		break;
	}
}

static void say(const struct request *request, u64 old, u64 size,
		const struct layout *layout, u32 sector, const char *device)
{
	char from[TEXT_SIZE_LENGTH], to[TEXT_SIZE_LENGTH];

	if (request->quiet)
		return;
	text_size(from, old, TEXT_SIZE_LONG);
	text_size(to, size, TEXT_SIZE_LONG);
	if (old == size) {
		printf("it has that size already: %s (%llu bytes)\n", to,
		       (unsigned long long)size);
		return;
	}
	printf("%s from %s to %s (%llu bytes)\n",
	       request->dry_run ? "would be resized" : "resized", from, to,
	       (unsigned long long)size);
	if (layout->kind == LAYOUT_GPT)
		say_gpt(layout, sector, size, device);
	else if (layout->kind == LAYOUT_DAMAGED_GPT)
		puts("its GPT is damaged: what repairs it may need the size that the disk had");
}

/* --- an image that nobody uses ---------------------------------------------------- */

static int resize_open(const struct request *request, struct posix_file *pf,
		       struct vhdx_image *img, u64 size)
{
	struct vhdx_error err;
	int code = 0;

	if (!request->allow_parent_write)
		code = edit_image_refuse_parent(pf, request->arg, CANNOT, img);
	if (code)
		message_hint("--allow-parent-write does it all the same");
	if (!code && vhdx_image_resize(img, size, &err))
		code = open_image_fail(request->arg, &pf->stat, &err);
	/* What is free now lies between others. */
	if (!code)
		code = edit_image_give_back(request->arg, img);
	return edit_image_finish(pf, request->arg, img, code);
}

static int resize_locked(const struct request *request, struct posix_file *pf,
			 struct source *source, const struct layout *layout)
{
	const struct chain *chain = &source->chain;
	struct vhdx_image *img;
	u64 size;
	int code;

	code = choose_size(request, layout, source->size, &size);
	if (!code && size < source->size)
		code = check_shrink(request, layout, size);
	if (!code && size != source->size)
		code = edit_image_refuse_cut(request->arg,
					     chain->image[0]->img);
	if (!code && size != source->size && !request->dry_run) {
		code = edit_image_load(pf, request->arg, chain->count > 1 ?
				       chain->image[1]->img : NULL, &img);
		if (!code)
			code = resize_open(request, pf, img, size);
	}
	if (!code)
		say(request, source->size, size, layout, source->logical_sector,
		    "DEVICE");
	return code;
}

static int resize_file(const struct request *request)
{
	const struct source_options options = {
		.format = SOURCE_VHDX,
		.parents = request->parents,
		.unlocked = true,
	};
	struct layout layout = { };
	struct source source;
	struct posix_file pf;
	int code;

	code = edit_image_file(&pf, request->arg, CANNOT);
	if (code)
		return code;
	code = source_open(&source, request->arg, &options);
	for (size_t i = 1; !code && i < source.chain.count; i++)
		code = open_image_lock(source.chain.image[i]->path,
				       &source.chain.image[i]->file,
				       "cannot be used");
	if (!code)
		code = layout_of_source(&layout, &source);
	if (!code)
		code = resize_locked(request, &pf, &source, &layout);
	layout_free(&layout);
	source_close(&source);
	posix_file_close(&pf);
	return code;
}

/* --- the image of a disk ---------------------------------------------------------- */

static int resize_disk(const struct request *request, unsigned int index,
		       const char *device)
{
	struct layout layout;
	u64 old, sector, size;
	int code;

	if (!device_attr_u64(index, "size", &old) ||
	    !device_attr_u64(index, "queue/logical_block_size", &sector))
		return message_fail(EX_NOINPUT, request->arg,
				    CANNOT ": not attached");
	old *= 512;
	code = layout_of_device(&layout, device);
	if (!code)
		code = choose_size(request, &layout, old, &size);
	if (!code && size < old) {
		code = message_fail(EXIT_FAILURE, request->arg,
				    CANNOT ": while it is attached it can only grow");
		message_hint("'vhdxctl detach %s' comes first", device);
	}
	if (!code && size != old && !request->dry_run)
		code = attached_resize(request->arg, index, size);
	if (!code)
		say(request, old, size, &layout, (u32)sector, device);
	layout_free(&layout);
	return code;
}

static int resize_attached(const struct request *request)
{
	struct device_list list;
	int code = device_find_one(request->arg, &list);
	char *device;

	if (!code) {
		device = device_path(list.index[0]);
		code = resize_disk(request, list.index[0], device);
		free(device);
	}
	device_list_free(&list);
	return code;
}

/* --- the command line ------------------------------------------------------------- */

static int take_size(struct request *request, const char *text)
{
	const char *number = text;

	if (*text == '+' || *text == '-')
		request->sign = *number++;
	if (!text_parse_size(number, &request->size) || !request->size)
		return message_fail(EX_USAGE, NULL,
				    "resize: bad size '%s': expected a number of bytes, with a suffix such as G",
				    text);
	return 0;
}

/* getopt would take a size that begins with '-' for an option. */
static int take_negative(struct request *request, int *argc, char **argv)
{
	int n = 0, code = 0;

	for (int i = 0; i < *argc; i++) {
		if (i && !request->sign && argv[i][0] == '-' &&
		    isdigit((unsigned char)argv[i][1]))
			code = take_size(request, argv[i]);
		else
			argv[n++] = argv[i];
	}
	argv[n] = NULL;
	*argc = n;
	return code;
}

static int take_arguments(struct request *request, int argc, char **argv)
{
	bool has_size = request->sign;

	if (!argc)
		return message_fail(EX_USAGE, NULL,
				    "resize: no device or image given");
	request->arg = *argv++;
	argc--;
	if (argc && !has_size) {
		if (take_size(request, *argv))
			return EX_USAGE;
		has_size = true;
		argc--;
	}
	if (argc)
		return message_fail(EX_USAGE, NULL, "resize: too many arguments");
	if (has_size == request->minimum)
		return message_fail(EX_USAGE, NULL, has_size ?
				    "resize: both a size and --minimum given" :
				    "resize: no size given");
	return 0;
}

enum {
	OPT_ALLOW_PARENT_WRITE = 256,
	OPT_FORCE,
	OPT_MINIMUM,
	OPT_PARENT,
	OPT_PARENT_DIR,
	OPT_SHRINK,
};

static int take_options(struct request *request, int argc, char **argv)
{
	static const struct option options[] = {
		{ "allow-parent-write", no_argument, NULL, OPT_ALLOW_PARENT_WRITE },
		{ "dry-run", no_argument, NULL, 'n' },
		{ "force", no_argument, NULL, OPT_FORCE },
		{ "help", no_argument, NULL, 'h' },
		{ "minimum", no_argument, NULL, OPT_MINIMUM },
		{ "parent", required_argument, NULL, OPT_PARENT },
		{ "parent-dir", required_argument, NULL, OPT_PARENT_DIR },
		{ "quiet", no_argument, NULL, 'q' },
		{ "shrink", no_argument, NULL, OPT_SHRINK },
		{ }
	};
	int c, code;

	code = take_negative(request, &argc, argv);
	if (code)
		return vhdxctl_usage(&vhdxctl_resize);
	while ((c = getopt_long(argc, argv, "hnq", options, NULL)) != -1) {
		switch (c) {
		case 'h':
			request->help = true;
			return 0;
		case 'n':
			request->dry_run = true;
			break;
		case 'q':
			request->quiet = true;
			break;
		case OPT_ALLOW_PARENT_WRITE:
			request->allow_parent_write = true;
			break;
		case OPT_FORCE:
			request->force = true;
			break;
		case OPT_MINIMUM:
			request->minimum = true;
			break;
		case OPT_SHRINK:
			request->shrink = true;
			break;
		case OPT_PARENT:
			code = chain_option_parent(&request->parents, optarg);
			if (code)
				return code;
			break;
		case OPT_PARENT_DIR:
			chain_option_folder(&request->parents, optarg);
			break;
		default:
			return vhdxctl_usage(&vhdxctl_resize);
		}
	}
	if (take_arguments(request, argc - optind, argv + optind))
		return vhdxctl_usage(&vhdxctl_resize);
	return 0;
}

static int run(int argc, char **argv)
{
	struct request request = { };
	int code = take_options(&request, argc, argv);

	if (!code && request.help)
		code = vhdxctl_help(&vhdxctl_resize);
	else if (!code)
		code = device_is_meant(request.arg) ? resize_attached(&request) :
						      resize_file(&request);
	chain_options_free(&request.parents);
	return code;
}

const struct vhdxctl_command vhdxctl_resize = {
	.name = "resize",
	.synopsis = "[OPTION]... DEV|IMAGE SIZE|+SIZE|-SIZE|--minimum",
	.summary = "Give the disk of an image another size, also while it is attached",
	.help = "SIZE is in bytes, or has a suffix such as G; with + or - it is added or taken\n"
		"away. What is on the disk stays as it is, its partitions and file systems too.\n"
		"\n"
		"      --shrink           the disk may become smaller\n"
		"      --minimum          as small as its partitions allow\n"
		"      --force            cut off what is behind the new end\n"
		"      --allow-parent-write\n"
		"                         also when another image has it as its parent\n"
		"      --parent FILE      this is its parent; once more for that one's parent ...\n"
		"      --parent-dir DIR   look for parents here too; can be given several times\n"
		"  -n, --dry-run          only say what would be done\n"
		"  -q, --quiet            say nothing\n",
	.run = run,
};
