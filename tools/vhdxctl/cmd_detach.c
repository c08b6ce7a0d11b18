// SPDX-License-Identifier: GPL-2.0
#include <getopt.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <linux/vhdx.h>

#include "control.h"
#include "device.h"
#include "holders.h"
#include "message.h"
#include "text.h"
#include "vhdxctl.h"

/* udev and blkid look into a disk and let go of it; together 2 s. */
#define TRIES		20
#define TRY_AGAIN_NS	100000000L

static int detach_once(int control, unsigned int index)
{
	struct vhdx_ctl_detach arg = {
		.size = sizeof(arg),
		.index = (__s32)index,
	};

	return ioctl(control, VHDX_CTL_DETACH, &arg) ? errno : 0;
}

/* arg: what the user named, when that was not the disk itself */
static int detach_disk(int control, const char *arg, unsigned int index)
{
	const struct timespec pause = { .tv_nsec = TRY_AGAIN_NS };
	struct holders holders = { };
	char *device = device_path(index);
	unsigned int number;
	char *what;
	int errnum;
	int code;

	errnum = detach_once(control, index);
	for (int i = 1; errnum == EBUSY && i < TRIES; i++) {
		if (holders_find_lasting(&holders, index))
			break;
		nanosleep(&pause, NULL);
		errnum = detach_once(control, index);
	}
	if (errnum == EBUSY)
		holders_find_processes(&holders, index);

	what = device_parse(arg, &number) ?
		       text_printf("cannot detach") :
		       text_printf("cannot detach %s", device);
	switch (errnum) {
	case 0:
		code = 0;
		break;
	case EBUSY:
		code = message_fail(EX_TEMPFAIL, arg, "%s: busy: %s", what,
				    holders_text(&holders));
		if (holders.command)
			message_hint("'%s' comes first", holders.command);
		break;
	case ENODEV:
	case ENXIO:
	case ENOENT:
		code = message_fail(EX_NOINPUT, arg, "%s: not attached", what);
		message_hint("'vhdxctl list' shows the attached disks");
		break;
	case EPERM:
	case EACCES:
		code = message_fail_errno(arg, what, errnum);
		message_hint("run it as root");
		break;
	default:
		code = message_fail_errno(arg, what, errnum);
		break;
	}
	free(what);
	holders_free(&holders);
	free(device);
	return code;
}

static int detach_all(int control, const char *arg)
{
	struct device_list list;
	int worst = device_find(arg, &list);

	for (size_t i = 0; i < list.count; i++) {
		int code = detach_disk(control, arg, list.index[i]);

		worst = max(worst, code);
	}
	device_list_free(&list);
	return worst;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int control;
	int worst;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'h':
			return vhdxctl_help(&vhdxctl_detach);
		default:
			return vhdxctl_usage(&vhdxctl_detach);
		}
	}
	if (argc == optind) {
		message_fail(EX_USAGE, NULL, "detach: no device or image given");
		return vhdxctl_usage(&vhdxctl_detach);
	}
	worst = control_open(argv[optind], false, &control);
	if (worst)
		return worst;
	worst = control_check(control, argv[optind], 0);
	if (worst)
		goto close_control;
	for (int i = optind; i < argc; i++) {
		int code = detach_all(control, argv[i]);

		worst = max(worst, code);
	}

close_control:
	close(control);
	return worst;
}

const struct vhdxctl_command vhdxctl_detach = {
	.name = "detach",
	.synopsis = "DEV|IMAGE...",
	.summary = "Detach disks, by device or by image",
	.help = "DEV is a disk such as /dev/vhdx0. An IMAGE means every disk it is attached as.\n"
		"What can be detached is; the exit code is the highest of all.\n"
		"\n",
	.run = run,
};
