// SPDX-License-Identifier: GPL-2.0
#include <getopt.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/vhdx.h>

#include "control.h"
#include "device.h"
#include "message.h"
#include "open_image.h"
#include "text.h"
#include "vhdxctl.h"

/* What to do about it, where that is not plain from the message. */
static void hint(int errnum, bool numbered)
{
	switch (errnum) {
	case EMEDIUMTYPE:
		message_hint("'qemu-img info FILE' may tell what it is");
		break;
	case EPERM:
	case EACCES:
		message_hint("run it as root");
		break;
	case EUCLEAN:
		message_hint("'vhdxctl info FILE' checks it without the driver");
		break;
	case EBUSY:
	case EEXIST:
		if (numbered)
			message_hint("without a device the first free one is taken");
		break;
	default:
		break;
	}
}

static int attach_image(const char *path, u32 flags, s32 index)
{
	struct vhdx_ctl_attach arg = {
		.size = sizeof(arg),
		.flags = flags,
		.index = index,
		.nr_fds = 1,
	};
	struct posix_file pf;
	char *device;
	__s32 fds[1];
	int control;
	int errnum;
	int code;

	code = open_image_file(&pf, path);
	if (code)
		return code;
	code = control_open(path, true, &control);
	if (code)
		goto close_image;
	code = control_check(control, path, flags);
	if (code)
		goto close_control;

	fds[0] = pf.fd;
	arg.fds = (uintptr_t)fds;
	if (ioctl(control, VHDX_CTL_ATTACH, &arg)) {
		errnum = errno;
		arg.error[sizeof(arg.error) - 1] = '\0';
		code = message_exit_code(errnum);
		if (arg.error[0])
			message_fail(code, path, "cannot attach: %s",
				     arg.error);
		else
			message_fail_errno(path, "cannot attach", errnum);
		hint(errnum, index >= 0);
		goto close_control;
	}

	device = device_path((unsigned int)arg.index);
	puts(device);
	/* devtmpfs had it before the driver answered. */
	if (access(device, F_OK)) {
		message_warn(path, "attached, but there is no %s", device);
		message_hint("mount devtmpfs on /dev");
	}
	free(device);

close_control:
	close(control);
close_image:
	posix_file_close(&pf);
	return code;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "read-only", no_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	unsigned int number;
	s32 index = -1;
	u32 flags = 0;
	int c;

	while ((c = getopt_long(argc, argv, "rh", options, NULL)) != -1) {
		switch (c) {
		case 'r':
			flags |= VHDX_ATTACH_READ_ONLY;
			break;
		case 'h':
			return vhdxctl_help(&vhdxctl_attach);
		default:
			return vhdxctl_usage(&vhdxctl_attach);
		}
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
		index = (s32)number;
	}
	if (!(flags & VHDX_ATTACH_READ_ONLY)) {
		message_fail(EX_UNAVAILABLE, argv[optind],
			     "cannot attach for writing: not supported yet");
		message_hint("'vhdxctl attach -r' attaches it read-only");
		return EX_UNAVAILABLE;
	}
	return attach_image(argv[optind], flags, index);
}

const struct vhdxctl_command vhdxctl_attach = {
	.name = "attach",
	.synopsis = "[-r] IMAGE [DEV]",
	.summary = "Attach an image as a block device and print the device",
	.help = "IMAGE is a VHDX file, or a block device that holds one.\n"
		"DEV, such as /dev/vhdx0, asks for that device; without it the first free one\n"
		"is taken.\n"
		"\n"
		"  -r, --read-only        attach it read-only\n",
	.run = run,
};
