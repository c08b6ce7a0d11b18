// SPDX-License-Identifier: GPL-2.0
#include <getopt.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/vhdx.h>

#include "chain.h"
#include "control.h"
#include "device.h"
#include "holders.h"
#include "image_lock.h"
#include "message.h"
#include "open_image.h"
#include "text.h"
#include "udev.h"
#include "vhdxctl.h"

/**
 * struct request - an attach as the user wants it
 * @path: the image
 * @flags: VHDX_ATTACH_*
 * @index: N of the vhdxN wanted, or -1
 * @allow_parent_write: also when other images have it as their parent
 * @chain: where the parents are
 */
struct request {
	const char *path;
	u32 flags;
	s32 index;
	bool allow_parent_write;
	struct chain_options chain;
};

static bool is_writable(const struct request *request)
{
	return !(request->flags & VHDX_ATTACH_READ_ONLY);
}

/* Says who uses the image, or what makes that one let go of it. */
static void hint_holders(const struct stat *st)
{
	struct holders holders;

	holders_find_of_image(&holders, st);
	if (holders.command)
		message_hint("%s; '%s' comes first", holders.text,
			     holders.command);
	else if (holders.text)
		message_hint("%s", holders.text);
	holders_free(&holders);
}

/* What to do about it, where that is not plain from the message. */
static void hint(int errnum, const struct request *request,
		 const struct stat *st)
{
	switch (errnum) {
	case EMEDIUMTYPE:
		message_hint("'qemu-img info FILE' may tell what it is");
		break;
	case EPERM:
	case EACCES:
		message_hint("run it as root");
		break;
	case EROFS:
		message_hint("'vhdxctl attach -r' attaches it read-only");
		break;
	case EUCLEAN:
		if (request->flags & VHDX_ATTACH_NO_REPLAY)
			message_hint("'vhdxctl info FILE' shows what --no-replay left");
		else
			message_hint("'vhdxctl info FILE' checks it without the driver");
		break;
	case EINVAL:
		if (request->flags & VHDX_ATTACH_DIRECT_IO)
			message_hint("--direct-io=auto uses it where it can be had");
		break;
	case EBUSY:
	case EEXIST:
		if (request->index >= 0 &&
		    device_is_attached((unsigned int)request->index)) {
			message_hint("without a device the first free one is taken");
			break;
		}
		fallthrough;
	case ETXTBSY:
		hint_holders(st);
		break;
	default:
		break;
	}
}

/*
 * The locks are for the driver, whose disk keeps them. They are taken before it
 * is asked: who uses the image is known without it.
 */
static int lock_image(const struct request *request,
		      const struct posix_file *pf)
{
	int ret = image_lock(pf->fd, is_writable(request));
	struct holders holders;

	if (!ret)
		return 0;
	if (ret != -EAGAIN)
		return message_fail_errno(request->path, "cannot lock", -ret);
	holders_find_of_image(&holders, &pf->stat);
	message_fail(EX_TEMPFAIL, request->path,
		     "cannot attach: locked by QEMU's image lock: %s",
		     holders_text(&holders));
	/* What others hold may let one more read. */
	if (is_writable(request) && !image_lock(pf->fd, false))
		message_hint("'vhdxctl attach -r' attaches it read-only");
	else if (holders.command)
		message_hint("'%s' comes first", holders.command);
	holders_free(&holders);
	return EX_TEMPFAIL;
}

/* What somebody else writes to is nobody's parent. */
static int lock_parent(const struct request *request,
		       const struct chain_image *parent)
{
	int ret = image_lock(parent->file.fd, false);
	struct holders holders;

	if (!ret)
		return 0;
	if (ret != -EAGAIN)
		return message_fail_errno(parent->path, "cannot lock", -ret);
	holders_find_of_image(&holders, &parent->file.stat);
	message_fail(EX_TEMPFAIL, request->path,
		     "cannot attach: its parent %s is locked by QEMU's image lock: %s",
		     parent->path, holders_text(&holders));
	if (holders.command)
		message_hint("'%s' comes first", holders.command);
	holders_free(&holders);
	return EX_TEMPFAIL;
}

/* Writing to a parent makes its children useless. */
static int refuse_parent_write(const struct request *request,
			       const struct chain_image *image)
{
	char *child;

	if (!is_writable(request) || request->allow_parent_write)
		return 0;
	child = chain_find_child(image);
	if (!child)
		return 0;
	message_fail(EXIT_FAILURE, request->path,
		     "cannot attach for writing: it is the parent of %s, which would be of no use then",
		     child);
	message_hint("'vhdxctl attach -r' attaches it read-only, --allow-parent-write for writing");
	free(child);
	return EXIT_FAILURE;
}

/*
 * Finds the parents of an image that is open and locked. What is wrong with the
 * image itself is the driver's to say.
 */
static int complete_chain(const struct request *request, struct chain *chain)
{
	struct chain_image *image = chain->image[0];
	struct vhdx_error err;
	int code;

	if (vhdx_image_open(&image->file.file, VHDX_OPEN_NO_BLOCKS,
			    &image->img, &err))
		return 0;
	code = refuse_parent_write(request, image);
	if (code)
		return code;
	chain_find(chain, &request->chain, VHDX_OPEN_NO_BLOCKS);
	code = chain_check(chain, &request->chain, "cannot attach",
			   request->flags & VHDX_ATTACH_IGNORE_ID_MISMATCH);
	for (size_t i = 1; !code && i < chain->count; i++)
		code = lock_parent(request, chain->image[i]);
	return code;
}

static int attach_chain(const struct request *request,
			const struct chain *chain, int control)
{
	__s32 fds[CHAIN_MAX_IMAGES];
	struct vhdx_ctl_attach arg = {
		.size = sizeof(arg),
		.flags = request->flags,
		.index = request->index,
		.nr_fds = (__u32)chain->count,
		.fds = (uintptr_t)fds,
	};
	u64 since = udev_now();
	char *device;
	int code;

	for (size_t i = 0; i < chain->count; i++)
		fds[i] = chain->image[i]->file.fd;
	if (ioctl(control, VHDX_CTL_ATTACH, &arg)) {
		int errnum = errno;

		arg.error[sizeof(arg.error) - 1] = '\0';
		code = message_exit_code(errnum);
		if (arg.error[0])
			message_fail(code, request->path, "cannot attach: %s",
				     arg.error);
		else
			message_fail_errno(request->path, "cannot attach",
					   errnum);
		hint(errnum, request, &chain->image[0]->file.stat);
		return code;
	}

	if (!udev_wait((unsigned int)arg.index, since))
		message_warn(request->path,
			     "attached, but udev is slow: links below /dev/disk will come later");
	device = device_path((unsigned int)arg.index);
	puts(device);
	/*
	 * devtmpfs had it before the driver answered. With autoclear it may be
	 * gone by now.
	 */
	if (access(device, F_OK) &&
	    device_is_attached((unsigned int)arg.index)) {
		message_warn(request->path, "attached, but there is no %s",
			     device);
		message_hint("mount devtmpfs on /dev");
	}
	free(device);
	return 0;
}

static int attach_image(const struct request *request)
{
	struct chain_image *image;
	struct chain chain;
	int control;
	int code;

	image = chain_begin(&chain, request->path);
	code = open_image_file(&image->file, request->path,
			       is_writable(request));
	if (!code)
		code = lock_image(request, &image->file);
	if (!code)
		code = complete_chain(request, &chain);
	if (!code)
		code = control_open(request->path, true, &control);
	if (code)
		goto out;
	code = control_check(control, request->path, request->flags);
	if (!code)
		code = attach_chain(request, &chain, control);
	close(control);
out:
	chain_end(&chain);
	return code;
}

/* The last of several --direct-io counts, as of all options. */
static bool parse_direct_io(const char *value, u32 *flags)
{
	*flags &= ~(VHDX_ATTACH_DIRECT_IO | VHDX_ATTACH_BUFFERED_IO);
	if (!strcmp(value, "on"))
		*flags |= VHDX_ATTACH_DIRECT_IO;
	else if (!strcmp(value, "off"))
		*flags |= VHDX_ATTACH_BUFFERED_IO;
	else
		return !strcmp(value, "auto");
	return true;
}

static bool parse_discard(const char *value, u32 *flags)
{
	*flags &= ~VHDX_ATTACH_NO_DISCARD;
	if (!strcmp(value, "ignore"))
		*flags |= VHDX_ATTACH_NO_DISCARD;
	else
		return !strcmp(value, "unmap");
	return true;
}

static int bad_value(const char *option, const char *value,
		     const char *expected)
{
	message_fail(EX_USAGE, NULL, "attach: --%s=%s: not %s", option, value,
		     expected);
	return vhdxctl_usage(&vhdxctl_attach);
}

static int parse(struct request *request, int argc, char **argv)
{
	enum {
		OPTION_ALLOW_PARENT_WRITE = 256,
		OPTION_AUTOCLEAR,
		OPTION_DIRECT_IO,
		OPTION_DISCARD,
		OPTION_IGNORE_ID_MISMATCH,
		OPTION_NO_PARTSCAN,
		OPTION_NO_REPLAY,
		OPTION_PARENT,
		OPTION_PARENT_DIR,
	};
	static const struct option options[] = {
		{ "read-only", no_argument, NULL, 'r' },
		{ "allow-parent-write", no_argument, NULL,
		  OPTION_ALLOW_PARENT_WRITE },
		{ "autoclear", no_argument, NULL, OPTION_AUTOCLEAR },
		{ "direct-io", required_argument, NULL, OPTION_DIRECT_IO },
		{ "discard", required_argument, NULL, OPTION_DISCARD },
		{ "ignore-id-mismatch", no_argument, NULL,
		  OPTION_IGNORE_ID_MISMATCH },
		{ "no-partscan", no_argument, NULL, OPTION_NO_PARTSCAN },
		{ "no-replay", no_argument, NULL, OPTION_NO_REPLAY },
		{ "parent", required_argument, NULL, OPTION_PARENT },
		{ "parent-dir", required_argument, NULL, OPTION_PARENT_DIR },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	unsigned int number;
	int code;
	int c;

	while ((c = getopt_long(argc, argv, "rh", options, NULL)) != -1) {
		switch (c) {
		case 'r':
			request->flags |= VHDX_ATTACH_READ_ONLY;
			break;
		case OPTION_ALLOW_PARENT_WRITE:
			request->allow_parent_write = true;
			break;
		case OPTION_AUTOCLEAR:
			request->flags |= VHDX_ATTACH_AUTOCLEAR;
			break;
		case OPTION_DIRECT_IO:
			if (!parse_direct_io(optarg, &request->flags))
				return bad_value("direct-io", optarg,
						 "on, off or auto");
			break;
		case OPTION_DISCARD:
			if (!parse_discard(optarg, &request->flags))
				return bad_value("discard", optarg,
						 "unmap or ignore");
			break;
		case OPTION_IGNORE_ID_MISMATCH:
			request->flags |= VHDX_ATTACH_IGNORE_ID_MISMATCH;
			break;
		case OPTION_NO_PARTSCAN:
			request->flags |= VHDX_ATTACH_NO_PART_SCAN;
			break;
		case OPTION_NO_REPLAY:
			request->flags |= VHDX_ATTACH_NO_REPLAY;
			break;
		case OPTION_PARENT:
			code = chain_option_parent(&request->chain, optarg);
			if (code)
				return code;
			break;
		case OPTION_PARENT_DIR:
			chain_option_folder(&request->chain, optarg);
			break;
		case 'h':
			return vhdxctl_help(&vhdxctl_attach);
		default:
			return vhdxctl_usage(&vhdxctl_attach);
		}
	}
	if (request->flags & VHDX_ATTACH_IGNORE_ID_MISMATCH &&
	    is_writable(request)) {
		message_fail(EX_USAGE, NULL,
			     "attach: --ignore-id-mismatch only with --read-only");
		return vhdxctl_usage(&vhdxctl_attach);
	}
	if (argc == optind) {
		message_fail(EX_USAGE, NULL, "attach: no image given");
		return vhdxctl_usage(&vhdxctl_attach);
	}
	if (argc - optind > 2) {
		message_fail(EX_USAGE, argv[optind + 2],
			     "attach: one argument too many");
		return vhdxctl_usage(&vhdxctl_attach);
	}
	if (argc - optind == 2) {
		if (!device_parse(argv[optind + 1], &number)) {
			message_fail(EX_USAGE, argv[optind + 1],
				     "not the name of a disk");
			message_hint("give one like /dev/vhdx0, or none for the first free one");
			return EX_USAGE;
		}
		request->index = (s32)number;
	}
	request->path = argv[optind];
	return 0;
}

static int run(int argc, char **argv)
{
	struct request request = { .index = -1 };
	int code = parse(&request, argc, argv);

	/* There is none when help was shown. */
	if (request.path)
		code = attach_image(&request);
	chain_options_free(&request.chain);
	return code;
}

const struct vhdxctl_command vhdxctl_attach = {
	.name = "attach",
	.synopsis = "[OPTION]... IMAGE [DEV]",
	.summary = "Attach an image as a block device and print the device",
	.help = "IMAGE is a VHDX file, or a block device that holds one.\n"
		"DEV, such as /dev/vhdx0, asks for that device; without it the first free one\n"
		"is taken.\n"
		"\n"
		"  -r, --read-only        attach it read-only; the image is not changed\n"
		"      --autoclear        detach it when its last user closes it\n"
		"      --direct-io=MODE   direct I/O to the image: on, off or auto (default)\n"
		"      --discard=MODE     what a discard does: unmap (default) or ignore\n"
		"      --no-partscan      do not look for partitions\n"
		"      --no-replay        refuse an image whose log has to be replayed\n"
		"\n"
		"A differencing image is attached with its parents, which it names itself:\n"
		"\n"
		"      --parent FILE      this is its parent; once more for that one's parent ...\n"
		"      --parent-dir DIR   look for parents here too; can be given several times\n"
		"      --ignore-id-mismatch\n"
		"                         take parents that were changed or are others; needs -r\n"
		"      --allow-parent-write\n"
		"                         write to an image that is the parent of another one\n",
	.run = run,
};
