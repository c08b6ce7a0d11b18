// SPDX-License-Identifier: GPL-2.0
/*
 * The power-cut test's program: see help(), and tests/vm/t_powercut.sh.
 */
#include <err.h>
#include <getopt.h>

#include "powercut.h"

static void help(FILE *out)
{
	fputs("usage: powercut load SEED ROUNDS FROM TO DISK DM\n"
	      "                  writes rounds of the load to DISK and marks the log of\n"
	      "                  the dm device DM\n"
	      "       powercut cuts [-i IMAGE] [-o CUT] SEED ROUNDS POINTS BASE LOG\n"
	      "                  the disk BASE, LOG of the load: cuts at each flush and at\n"
	      "                  POINTS between\n"
	      "       powercut size      bytes of a disk for the load; where fio may write\n"
	      "\n"
	      "  -i IMAGE   BASE has an ext4 with this image; else BASE is the image\n"
	      "  -o CUT     this cut alone, and all that it left out\n", out);
}

static u64 parse_number(const char *text)
{
	char *end;
	u64 value = strtoull(text, &end, 0);

	if (end == text || *end)
		errx(64, "%s: not a number", text);
	return value;
}

static int cmd_load(char **argv)
{
	struct plan plan;

	plan_make(&plan, parse_number(argv[0]), parse_number(argv[1]));
	load_run(&plan, argv[4], argv[5], parse_number(argv[2]),
		 parse_number(argv[3]));
	return 0;
}

static int cmd_cuts(int argc, char **argv)
{
	struct cuts cuts = { .only = -1 };
	struct plan plan;
	int opt;

	while ((opt = getopt(argc, argv, "i:o:")) != -1) {
		if (opt == 'i')
			cuts.image = optarg;
		else if (opt == 'o')
			cuts.only = parse_number(optarg);
		else
			return 64;
	}
	argv += optind;
	if (argc - optind != 5) {
		help(stderr);
		return 64;
	}
	plan_make(&plan, parse_number(argv[0]), parse_number(argv[1]));
	cuts.plan = &plan;
	cuts.points = parse_number(argv[2]);
	cuts.base = argv[3];
	cuts.log = argv[4];
	return cuts_run(&cuts);
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 8 && !strcmp(command, "load"))
		return cmd_load(argv + 2);
	if (!strcmp(command, "cuts"))
		return cmd_cuts(argc - 1, argv + 1);
	if (argc == 2 && !strcmp(command, "size")) {
		printf("%u %u %u\n", DISK, AREA, OTHERS);
		return 0;
	}
	help(stderr);
	return 64;
}
