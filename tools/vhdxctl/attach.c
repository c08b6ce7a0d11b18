// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/vhdx.h>

#include "attach.h"
#include "control.h"
#include "device.h"
#include "holders.h"
#include "image_lock.h"
#include "interrupt.h"
#include "message.h"
#include "open_image.h"
#include "text.h"
#include "udev.h"

const struct option attach_options[] = {
	{ "read-only", no_argument, NULL, 'r' },
	{ "allow-parent-write", no_argument, NULL, ATTACH_OPTION },
	{ "autoclear", no_argument, NULL, ATTACH_OPTION },
	{ "direct-io", required_argument, NULL, ATTACH_OPTION },
	{ "discard", required_argument, NULL, ATTACH_OPTION },
	{ "id-file", required_argument, NULL, 'i' },
	{ "ignore-id-mismatch", no_argument, NULL, ATTACH_OPTION },
	{ "no-partscan", no_argument, NULL, ATTACH_OPTION },
	{ "no-replay", no_argument, NULL, ATTACH_OPTION },
	{ "parent", required_argument, NULL, ATTACH_OPTION },
	{ "parent-dir", required_argument, NULL, ATTACH_OPTION },
	{ "help", no_argument, NULL, 'h' },
	{ }
};

static bool is_writable(const struct attach_request *request)
{
	return !(request->flags & VHDX_ATTACH_READ_ONLY);
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

/* Options that are a flag each. */
static u32 flag_of(const char *name)
{
	static const struct {
		const char *name;
		u32 flag;
	} flags[] = {
		{ "read-only", VHDX_ATTACH_READ_ONLY },
		{ "autoclear", VHDX_ATTACH_AUTOCLEAR },
		{ "ignore-id-mismatch", VHDX_ATTACH_IGNORE_ID_MISMATCH },
		{ "no-partscan", VHDX_ATTACH_NO_PART_SCAN },
		{ "no-replay", VHDX_ATTACH_NO_REPLAY },
	};

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (!strcmp(flags[i].name, name))
			return flags[i].flag;
	return 0;
}

static int bad_value(const char *where, const char *name, const char *value,
		     const char *expected)
{
	return message_fail(EX_USAGE, NULL, "%s%s=%s: not %s", where, name,
			    value, expected);
}

/* Those that are not about how an image is attached. */
static bool is_of_command(const struct option *option)
{
	return option->val == 'h' || option->val == 'i';
}

/**
 * attach_take_option - take one of attach_options, but --help and --id-file
 * @request: it goes there; @value is kept
 * @where: what stands before the name where the user writes it, for messages
 * @name: of the option
 * @value: of those that have one
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int attach_take_option(struct attach_request *request, const char *where,
		       const char *name, const char *value)
{
	if (!strcmp(name, "direct-io")) {
		if (!parse_direct_io(value, &request->flags))
			return bad_value(where, name, value,
					 "on, off or auto");
	} else if (!strcmp(name, "discard")) {
		if (!parse_discard(value, &request->flags))
			return bad_value(where, name, value,
					 "unmap or ignore");
	} else if (!strcmp(name, "allow-parent-write")) {
		request->allow_parent_write = true;
	} else if (!strcmp(name, "parent")) {
		return chain_option_parent(&request->chain, value);
	} else if (!strcmp(name, "parent-dir")) {
		chain_option_folder(&request->chain, value);
	} else {
		request->flags |= flag_of(name);
	}
	return 0;
}

/**
 * attach_take_words - take an option out of a table or of mount's options
 * @request: it goes there; @value is kept
 * @where: what stands before the name where the user writes it, for messages
 * @name: what may be the name of an option
 * @value: what follows its =, or NULL
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int attach_take_words(struct attach_request *request, const char *where,
		      const char *name, const char *value)
{
	const struct option *option = attach_options;

	while (option->name && (is_of_command(option) ||
				strcmp(option->name, name)))
		option++;
	if (!option->name)
		return message_fail(EX_USAGE, NULL, "%s%s: unknown option",
				    where, name);
	if (option->has_arg && !value)
		return message_fail(EX_USAGE, NULL, "%s%s: needs a value",
				    where, name);
	if (!option->has_arg && value)
		return message_fail(EX_USAGE, NULL, "%s%s: takes no value",
				    where, name);
	return attach_take_option(request, where, name, value);
}

/**
 * attach_check_options - whether what was asked for goes together
 * @request: it
 * @where: what stands before the names of options, for messages
 * @read_only: how that one is written there
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int attach_check_options(const struct attach_request *request,
			 const char *where, const char *read_only)
{
	if (request->flags & VHDX_ATTACH_IGNORE_ID_MISMATCH &&
	    is_writable(request))
		return message_fail(EX_USAGE, NULL,
				    "%signore-id-mismatch only with %s",
				    where, read_only);
	return 0;
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
static void hint(int errnum, const struct attach_request *request,
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
static int lock_image(const struct attach_request *request,
		      const struct posix_file *pf)
{
	struct holders holders;
	int ret;

	ret = holders_lock_image(&holders, pf->fd, &pf->stat,
				 is_writable(request));
	if (!ret)
		return 0;
	if (ret != -EAGAIN)
		return message_fail_errno(request->path, "cannot lock", -ret);
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
static int lock_parent(const struct attach_request *request,
		       const struct chain_image *parent)
{
	struct holders holders;
	int ret;

	ret = holders_lock_image(&holders, parent->file.fd, &parent->file.stat,
				 false);
	if (!ret)
		return 0;
	if (ret != -EAGAIN)
		return message_fail_errno(parent->path, "cannot lock", -ret);
	message_fail(EX_TEMPFAIL, request->path,
		     "cannot attach: its parent %s is locked by QEMU's image lock: %s",
		     parent->path, holders_text(&holders));
	if (holders.command)
		message_hint("'%s' comes first", holders.command);
	holders_free(&holders);
	return EX_TEMPFAIL;
}

/* Writing to a parent makes its children useless. */
static int refuse_parent_write(const struct attach_request *request,
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
static int complete_chain(const struct attach_request *request, struct chain *chain)
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

/*
 * Opens a disk and makes it go with its last user, from now on. A mount would do
 * that, but older kernels tell the driver of nobody who claims a partition that
 * others have open already. -1: who looks into it next says why.
 */
static int hold(unsigned int index)
{
	char *device = device_path(index);
	int fd = open(device, O_RDONLY | O_CLOEXEC);
	int claim = open(device, O_RDONLY | O_EXCL | O_CLOEXEC);

	if (claim >= 0)
		close(claim);
	free(device);
	return fd;
}

static int attach_chain(const struct attach_request *request,
			const struct chain *chain, int control,
			struct disk_id *id, int *fd)
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
	u64 cut;
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

	/* The driver undoes it for who is killed before this. */
	if (!fd)
		interrupt_watch();
	*id = disk_id_get((unsigned int)arg.index);
	/* Before all that takes time: who is killed meanwhile leaves no disk. */
	if (fd)
		*fd = hold(id->index);
	if (device_attr_u64(id->index, "vhdx/cut_blocks", &cut) && cut)
		message_warn(request->path,
			     "data of %llu blocks is missing, as the file, or a parent's, ends before it does: it reads as zeros",
			     cut);
	if (!udev_wait(id->index, since) && !interrupt_came())
		message_warn(request->path,
			     "attached, but udev is slow: links below /dev/disk will come later");
	return 0;
}

/**
 * attach_image - attach an image and the parents that it names
 * @request: what is wanted
 * @id: receives which disk it is
 * @fd: NULL: from then on signals do not end the program, see interrupt_watch(); or,
 *	with VHDX_ATTACH_AUTOCLEAR, receives the disk, open, which goes with its last
 *	user from then on, whatever ends the program; -1: it cannot be opened
 *
 * Return: 0, or the exit code; then the error was printed, and nothing is attached.
 */
int attach_image(const struct attach_request *request, struct disk_id *id,
		 int *fd)
{
	struct chain_image *image;
	struct chain chain;
	int control;
	int code;

	image = chain_begin(&chain, request->path);
	code = open_image_file(&image->file, request->path,
			       is_writable(request) ? OPEN_IMAGE_ATTACH :
						      OPEN_IMAGE_READ);
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
		code = attach_chain(request, &chain, control, id, fd);
	close(control);
out:
	chain_end(&chain);
	return code;
}

/**
 * attach_undo - detach a disk that was attached in vain
 * @id: the disk
 *
 * Who looks into it just now, as udev does, is the last to use it.
 *
 * Return: whether it is gone already.
 */
bool attach_undo(const struct disk_id *id)
{
	struct vhdx_ctl_detach arg = {
		.size = sizeof(arg),
		.flags = VHDX_DETACH_LAZY,
		.index = (__s32)id->index,
	};
	int control;

	/* With autoclear it may have gone by itself. Where no sysfs is nobody knows. */
	if (id->sequence && !disk_id_is_attached(id))
		return true;
	if (control_open(NULL, false, &control))
		return false;
	if (ioctl(control, VHDX_CTL_DETACH, &arg) && errno != ENXIO &&
	    errno != EBUSY)
		message_warn(NULL, "cannot detach it again: %s",
			     strerror(errno));
	close(control);
	return !disk_id_is_attached(id);
}
