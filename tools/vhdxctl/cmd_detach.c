// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <getopt.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <linux/vhdx.h>

#include "control.h"
#include "device.h"
#include "holders.h"
#include "id_file.h"
#include "message.h"
#include "text.h"
#include "vhdxctl.h"

/* udev and blkid look into a disk and let go of it. */
#define DEFAULT_WAIT_MS	2000
/* A device on a disk may go when what is mounted from it has gone just now. */
#define DEVICE_WAIT_MS	5000
#define TRY_AGAIN_MS	100
#define MAX_WAIT_S	1000000

/**
 * enum patience - who is waited for
 * @WAIT_MOMENT: who does not look as if he would keep the disk
 * @WAIT_UNMOUNT: those, and who has it mounted; other devices on it not for long
 * @WAIT_ANY: all who use it
 */
enum patience {
	WAIT_MOMENT,
	WAIT_UNMOUNT,
	WAIT_ANY,
};

/**
 * struct request - a detach as the user wants it
 * @control: the control device
 * @all: every disk that is attached
 * @id: this disk alone, or NULL
 * @lazy: by the last user's close
 * @patience: who is waited for
 * @wait_ms: how long to try again
 */
struct request {
	int control;
	bool all;
	const struct disk_id *id;
	bool lazy;
	enum patience patience;
	u64 wait_ms;
};

static int detach_once(const struct request *request, unsigned int index,
		       int *unclean)
{
	struct vhdx_ctl_detach arg = {
		.size = sizeof(arg),
		.flags = request->lazy ? VHDX_DETACH_LAZY : 0,
		.index = (__s32)index,
	};
	bool gone = request->id && !disk_id_is_attached(request->id);
	int errnum = gone ? ENXIO : 0;

	if (!gone && ioctl(request->control, VHDX_CTL_DETACH, &arg))
		errnum = errno;
	if (!errnum)
		*unclean = (int)arg.unclean;
	return errnum;
}

static bool has_device(const struct holders *holders)
{
	for (size_t i = 0; i < holders->count; i++)
		if (holders->of_disk[i].kind == HOLDER_DEVICE)
			return true;
	return false;
}

/* Whether somebody keeps it who is not waited for, after so long: holders has him. */
static bool is_kept(const struct request *request, unsigned int index,
		    u64 waited_ms, struct holders *holders)
{
	if (request->patience == WAIT_ANY ||
	    !holders_find_lasting(holders, index))
		return false;
	if (request->patience == WAIT_MOMENT ||
	    (waited_ms >= DEVICE_WAIT_MS && has_device(holders)))
		return true;
	holders_free(holders);
	*holders = (struct holders){ };
	return false;
}

/* The same until it is not busy any more; 0 or an errno. */
static int detach_patiently(const struct request *request, unsigned int index,
			    int *unclean, struct holders *holders)
{
	int errnum = detach_once(request, index, unclean);
	u64 left = request->wait_ms;

	while (errnum == EBUSY && left) {
		u64 ms = min(left, TRY_AGAIN_MS);
		const struct timespec pause = {
			.tv_nsec = (long)ms * 1000000,
		};

		if (is_kept(request, index, request->wait_ms - left, holders))
			break;
		nanosleep(&pause, NULL);
		left -= ms;
		errnum = detach_once(request, index, unclean);
	}
	return errnum;
}

static int fail_busy(const char *arg, const char *what, unsigned int index,
		     struct holders *holders)
{
	if (!holders->text)
		holders_find_lasting(holders, index);
	holders_find_processes(holders, index);
	message_fail(EX_TEMPFAIL, arg, "%s: busy: %s", what,
		     holders_text(holders));
	if (holders->command)
		message_hint("'%s' comes first", holders->command);
	return EX_TEMPFAIL;
}

/* arg: what the user named, when that was not the disk itself */
static int detach_disk(const struct request *request, const char *arg,
		       unsigned int index)
{
	struct holders holders = { };
	char *device = device_path(index);
	unsigned int number;
	bool named = device_parse(arg, &number);
	int unclean = 0;
	char *what;
	int errnum;
	int code;

	errnum = detach_patiently(request, index, &unclean, &holders);
	what = text_printf("cannot detach%s%s", named ? "" : " ",
			   named ? "" : device);
	switch (errnum) {
	case 0:
		code = 0;
		if (!unclean)
			break;
		code = message_fail(EX_IOERR, arg,
				    "detached%s%s, but its log could not be emptied: %s",
				    named ? "" : " ", named ? "" : device,
				    strerror(unclean));
		message_hint("what was flushed is in the log, which the next attach replays");
		break;
	case EBUSY:
		code = fail_busy(arg, what, index, &holders);
		break;
	case ENODEV:
	case ENXIO:
	case ENOENT:
		/* It was there; who else detached it did what is wanted. */
		code = 0;
		if (request->all || request->id)
			break;
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

static int detach_argument(const struct request *request, const char *arg)
{
	struct device_list list;
	int worst = device_find(arg, &list);

	for (size_t i = 0; i < list.count; i++) {
		int code = detach_disk(request, arg, list.index[i]);

		worst = max(worst, code);
	}
	device_list_free(&list);
	return worst;
}

static int detach_arguments(const struct request *request, int argc,
			    char **argv)
{
	int worst = 0;

	for (int i = 0; i < argc; i++) {
		int code = detach_argument(request, argv[i]);

		worst = max(worst, code);
	}
	return worst;
}

/* The last one first: its image may lie on one before it. */
static int detach_all(const struct request *request,
		      const struct device_list *list)
{
	int worst = 0;

	for (size_t i = list->count; i--;) {
		char *device = device_path(list->index[i]);
		int code = detach_disk(request, device, list->index[i]);

		worst = max(worst, code);
		free(device);
	}
	return worst;
}

/* The one that attach has made, and no other that has its name by now. */
static int detach_id_file(struct request *request, const char *path)
{
	struct disk_id id;
	int code = id_file_read(path, &id);
	char *device;

	if (code)
		return code;
	if (disk_id_is_attached(&id)) {
		request->id = &id;
		device = device_path(id.index);
		code = control_open(device, false, &request->control);
		if (!code) {
			code = detach_disk(request, device, id.index);
			close(request->control);
		}
		free(device);
		if (disk_id_is_attached(&id))
			return code;
	}
	unlink(path);
	return code;
}

/* Seconds with or without a fraction; strtod() would go by the locale. */
static bool parse_wait(const char *text, u64 *ms)
{
	unsigned int scale = 100;
	u64 seconds = 0;
	u64 fraction = 0;

	if (!isdigit((u8)*text))
		return false;
	for (; isdigit((u8)*text); text++) {
		seconds = 10 * seconds + (u64)(*text - '0');
		if (seconds > MAX_WAIT_S)
			return false;
	}
	if (*text == '.' && isdigit((u8)text[1]))
		text++;
	for (; isdigit((u8)*text); text++) {
		fraction += scale * (u64)(*text - '0');
		scale /= 10;
	}
	*ms = 1000 * seconds + fraction;
	return !*text;
}

static int bad_usage(const char *text, const char *value)
{
	message_fail(EX_USAGE, value, "detach: %s", text);
	return vhdxctl_usage(&vhdxctl_detach);
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "id-file", required_argument, NULL, 'i' },
		{ "lazy", no_argument, NULL, 'l' },
		{ "wait", required_argument, NULL, 'w' },
		{ "wait-unmount", required_argument, NULL, 'u' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct request request = { .wait_ms = DEFAULT_WAIT_MS };
	struct device_list disks = { };
	const char *id_file = NULL;
	int worst;
	int c;

	while ((c = getopt_long(argc, argv, "alw:h", options, NULL)) != -1) {
		switch (c) {
		case 'a':
			request.all = true;
			break;
		case 'i':
			id_file = optarg;
			break;
		case 'l':
			request.lazy = true;
			break;
		case 'w':
		case 'u':
			if (!parse_wait(optarg, &request.wait_ms))
				return bad_usage("not a number of seconds",
						 optarg);
			request.patience = c == 'w' ? WAIT_ANY : WAIT_UNMOUNT;
			break;
		case 'h':
			return vhdxctl_help(&vhdxctl_detach);
		default:
			return vhdxctl_usage(&vhdxctl_detach);
		}
	}
	if (request.lazy && request.patience != WAIT_MOMENT)
		return bad_usage("--lazy and --wait exclude each other", NULL);
	if (request.all && argc > optind)
		return bad_usage("--all takes no device or image",
				 argv[optind]);
	if (id_file && (request.all || argc > optind))
		return bad_usage("--id-file is for one disk alone", NULL);
	if (id_file)
		return detach_id_file(&request, id_file);
	if (!request.all && argc == optind)
		return bad_usage("no device or image given", NULL);
	if (request.all) {
		device_list_attached(&disks);
		if (!disks.count)
			return 0;
	}
	worst = control_open(argv[optind], false, &request.control);
	if (worst)
		goto free_disks;
	/* Whatever the driver's version: an upgrade must not keep a disk attached. */
	worst = request.all ? detach_all(&request, &disks) :
			      detach_arguments(&request, argc - optind,
					       argv + optind);
	close(request.control);
free_disks:
	device_list_free(&disks);
	return worst;
}

const struct vhdxctl_command vhdxctl_detach = {
	.name = "detach",
	.synopsis = "[OPTION]... DEV|IMAGE...",
	.summary = "Detach disks, by device or by image",
	.help = "DEV is a disk such as /dev/vhdx0. An IMAGE means every disk it is attached as.\n"
		"What can be detached is; the exit code is the highest of all.\n"
		"\n"
		"  -a, --all              every attached disk\n"
		"      --id-file FILE     the disk of attach --id-file, if it is there; FILE goes\n"
		"  -l, --lazy             do not wait: the disk goes when its last user closes it\n"
		"  -w, --wait SEC         wait until it is not busy any more, SEC seconds at most\n"
		"      --wait-unmount SEC the same, but not for long for other devices on it\n",
	.run = run,
};
