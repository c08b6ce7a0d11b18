// SPDX-License-Identifier: GPL-2.0
#include <getopt.h>
#include <stdio.h>

#include "attached.h"
#include "device.h"
#include "message.h"
#include "text.h"
#include "vhdxctl.h"

static int compact_attached(const char *arg)
{
	char size[TEXT_SIZE_LENGTH];
	struct device_list list;
	int code = device_find_one(arg, &list);
	u64 freed;

	if (!code)
		code = attached_compact(arg, list.index[0], &freed);
	if (!code) {
		text_size(size, freed, TEXT_SIZE_LONG);
		printf("%s given back\n", size);
	}
	device_list_free(&list);
	return code;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'h':
			return vhdxctl_help(&vhdxctl_compact);
		default:
			return vhdxctl_usage(&vhdxctl_compact);
		}
	}
	if (argc != optind + 1) {
		message_fail(EX_USAGE, NULL, argc == optind ?
			     "compact: no device or image given" :
			     "compact: more than one device or image");
		return vhdxctl_usage(&vhdxctl_compact);
	}
	return compact_attached(argv[optind]);
}

const struct vhdxctl_command vhdxctl_compact = {
	.name = "compact",
	.synopsis = "DEV|IMAGE",
	.summary = "Give back what the image of an attached disk does not use",
	.help = "",
	.run = run,
};
