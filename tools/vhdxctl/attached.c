// SPDX-License-Identifier: GPL-2.0
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/vhdx.h>

#include "attached.h"
#include "control.h"
#include "device.h"
#include "message.h"

static int fail_change(const char *arg, const char *what, int errnum,
		       const char *error)
{
	int code;

	switch (errnum) {
	case ENXIO:
		code = message_fail(EX_NOINPUT, arg, "cannot %s: not attached",
				    what);
		message_hint("'vhdxctl list' shows the attached disks");
		return code;
	case ENOTTY:
		code = message_fail(EX_UNAVAILABLE, arg,
				    "cannot %s: the driver is too old for that while it is attached",
				    what);
		message_hint("detach it first, or install a newer driver");
		return code;
	case EBUSY:
		return message_fail(EX_TEMPFAIL, arg,
				    "cannot %s: it is being changed or detached just now",
				    what);
	default:
		return message_fail(message_exit_code(errnum), arg,
				    "cannot %s: %s", what,
				    *error ? error : strerror(errnum));
	}
}

/* what: is to be done, in a word */
static int change(const char *arg, const char *what, unsigned long request,
		  struct vhdx_ctl_change *change)
{
	int fd;
	int code = control_open(arg, false, &fd);

	if (code)
		return code;
	code = control_check(fd, arg, 0);
	change->size = sizeof(*change);
	if (!code && ioctl(fd, request, change)) {
		int errnum = errno;

		change->error[VHDX_ERROR_SIZE - 1] = '\0';
		code = fail_change(arg, what, errnum, change->error);
	}
	close(fd);
	return code;
}

/**
 * attached_compact - have an attached disk give back what its image does not use
 * @arg: what the user named, for messages
 * @index: N of vhdxN
 * @freed: bytes that the image's file takes less of its file system
 *
 * Blocks stay where they are.
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int attached_compact(const char *arg, unsigned int index, u64 *freed)
{
	struct vhdx_ctl_change arguments = { .index = (__s32)index };
	int code = change(arg, "compact", VHDX_CTL_COMPACT, &arguments);

	*freed = arguments.freed;
	return code;
}

/**
 * attached_resize - make an attached disk larger
 * @arg: what the user named, for messages
 * @index: N of vhdxN
 * @size: of the disk, bytes
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int attached_resize(const char *arg, unsigned int index, u64 size)
{
	struct vhdx_ctl_change arguments = {
		.index = (__s32)index,
		.disk_size = size,
	};

	return change(arg, "resize", VHDX_CTL_RESIZE, &arguments);
}
