// SPDX-License-Identifier: GPL-2.0
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "attach.h"
#include "device.h"
#include "id_file.h"
#include "interrupt.h"
#include "message.h"
#include "text.h"
#include "vhdxctl.h"

static int parse(struct attach_request *request, const char **id_file,
		 int argc, char **argv)
{
	unsigned int number;
	int option;
	int code;
	int c;

	while ((c = getopt_long(argc, argv, "rh", attach_options,
				&option)) != -1) {
		switch (c) {
		case 'r':
			code = attach_take_option(request, "attach: --",
						  "read-only", NULL);
			break;
		case ATTACH_OPTION:
			code = attach_take_option(request, "attach: --",
						  attach_options[option].name,
						  optarg);
			break;
		case 'i':
			*id_file = optarg;
			code = 0;
			break;
		case 'h':
			return vhdxctl_help(&vhdxctl_attach);
		default:
			return vhdxctl_usage(&vhdxctl_attach);
		}
		if (code)
			return vhdxctl_usage(&vhdxctl_attach);
	}
	code = attach_check_options(request, "attach: --", "--read-only");
	if (code)
		return vhdxctl_usage(&vhdxctl_attach);
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

/* Says the name. A disk that stays is one whose user has heard of it. */
static int say(const char *device)
{
	signal(SIGPIPE, SIG_IGN);
	puts(device);
	if (!fflush(stdout))
		return 0;
	message_fail(EXIT_FAILURE, NULL, "write error: %s", strerror(errno));
	/* Once is enough. */
	clearerr(stdout);
	return EXIT_FAILURE;
}

static void give_up(const char *path, const struct disk_id *id)
{
	bool gone = attach_undo(id);

	if (interrupt_came())
		message_fail(interrupt_code(), path, gone ?
			     "interrupted: it is not attached" :
			     "interrupted: it is attached until its last user closes it");
	else if (!gone)
		message_warn(path, "it is attached until its last user closes it");
}

static int attach(const struct attach_request *request, const char *id_file)
{
	struct disk_id id;
	int code = attach_image(request, &id, NULL);
	char *device;

	if (code)
		return code;
	device = device_path(id.index);
	code = id_file ? id_file_write(id_file, &id) : 0;
	if (!code) {
		code = interrupt_came() ? interrupt_code() : say(device);
		if (code && id_file)
			id_file_remove(id_file);
	}
	if (code) {
		give_up(request->path, &id);
		free(device);
		return code;
	}
	/*
	 * devtmpfs had it before the driver answered. With autoclear it may be
	 * gone by now.
	 */
	if (access(device, F_OK) && disk_id_is_attached(&id)) {
		message_warn(request->path, "attached, but there is no %s",
			     device);
		message_hint("mount devtmpfs on /dev");
	}
	free(device);
	return 0;
}

static int run(int argc, char **argv)
{
	struct attach_request request = { .index = -1 };
	const char *id_file = NULL;
	int code = parse(&request, &id_file, argc, argv);

	/* There is none when help was shown. */
	if (request.path)
		code = attach(&request, id_file);
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
		"      --id-file FILE     write to FILE which disk it is, for detach --id-file\n"
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
