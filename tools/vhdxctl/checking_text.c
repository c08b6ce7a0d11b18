// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>

#include "checking.h"
#include "info.h"
#include "text.h"

static void show_repairs(const struct vhdx_repair *repair)
{
	static const char *const texts[VHDX_REPAIRS] = {
		[VHDX_REPAIR_LOG_PENDING] = "a dirty log, by replaying it into the file",
		[VHDX_REPAIR_LOG_EMPTY] =
			"a LogGuid that no entry was ever written for, by clearing it",
		[VHDX_REPAIR_HEADER] = "a damaged header, from the other one",
		[VHDX_REPAIR_REGION_TABLE] =
			"a damaged copy of the region table, from the other one",
		[VHDX_REPAIR_LEAKS] = "leaked space, by giving it back",
	};
	char freed[TEXT_SIZE_LENGTH];

	text_size(freed, repair->freed, TEXT_SIZE_LONG);
	for (size_t i = 0; i < VHDX_REPAIRS; i++)
		if (repair->done & 1U << i)
			printf("%s: %s%s%s (%s)\n",
			       repair->only_show ? "can be repaired" : "repaired",
			       texts[i], i == VHDX_REPAIR_LEAKS ? ": " : "",
			       i == VHDX_REPAIR_LEAKS ? freed : "",
			       vhdx_repair_text(i));
}

static void show_findings(const struct checking *checking)
{
	const struct vhdx_check *check = &checking->check;

	for (size_t i = 0; i < checking->findings; i++) {
		const struct checking_finding *finding = &checking->finding[i];
		char text[VHDX_ERROR_LENGTH];

		vhdx_error_print(text, sizeof(text), &finding->err);
		printf("%s: %s (%s)\n", checking_kinds[finding->kind], text,
		       vhdx_finding_text(finding->name));
	}
	for (size_t i = 0; i < VHDX_FINDINGS; i++)
		if (check->name_count[i] > VHDX_CHECK_SHOWN)
			printf("and %llu more of %s\n",
			       check->name_count[i] - VHDX_CHECK_SHOWN,
			       vhdx_finding_text(i));
}

static void show_link(const struct checking *checking)
{
	const char *link = info_links[checking->verdict];
	char *problem;

	if (!checking->linked || !link)
		return;
	problem = text_for_terminal(checking->problem ? : "");
	printf("Parent: %s%s%s\n", link, *problem ? ": " : "", problem);
	free(problem);
}

static void show_verdict(const struct vhdx_check *check)
{
	const u64 *count = check->kind_count;

	if (count[VHDX_KIND_CORRUPT])
		printf("%llu errors were found on the image.\n"
		       "Data may be damaged, and writing to it may damage more.\n",
		       count[VHDX_KIND_CORRUPT]);
	else if (count[VHDX_KIND_UNSUPPORTED])
		puts("The image needs what is not supported, and could not be checked to the end.");
	else
		puts("No errors were found on the image.");
	if (count[VHDX_KIND_LOG])
		puts("Its log is dirty: the next attach for writing replays it.");
	if (count[VHDX_KIND_LEAK])
		puts("It has leaked space: a waste, but no harm to data.");
}

static void show_rest(const struct checking *checking)
{
	const struct vhdx_repair *repair = checking->repair;
	const u64 *count = checking->check.kind_count;

	if (repair->only_show)
		return;
	if (count[VHDX_KIND_CORRUPT] || count[VHDX_KIND_UNSUPPORTED])
		puts("It cannot be repaired, and is as it was.");
	else if (checking->check.name_count[VHDX_FINDING_HEADER_SEQUENCE])
		puts("Its headers cannot be written anew: nothing of it can be repaired.");
	else if (count[VHDX_KIND_LOG] && repair->wanted & VHDX_REPAIR_LOG)
		puts("The log cannot be replayed into the file, which is as it was.");
	else if (!count[VHDX_KIND_LEAK] ||
		 !(repair->wanted & 1U << VHDX_REPAIR_LEAKS))
		return;
	else if (repair->done & 1U << VHDX_REPAIR_LOG_EMPTY)
		puts("The leaked space was kept: it may be of a block that the log was to name.\n"
		     "--repair=leaks gives it back.");
	else
		puts("The leaked space cannot be given back.");
}

static void show_blocks(const struct vhdx_check *check)
{
	char allocated[TEXT_SIZE_LENGTH], leaked[TEXT_SIZE_LENGTH];
	u64 hundredths;

	if (!check->has_blocks)
		return;
	text_size(allocated, check->present_blocks * check->block_size,
		  TEXT_SIZE_LONG);
	text_size(leaked, check->leaked, TEXT_SIZE_LONG);
	hundredths = check->present_blocks * 10000 / check->payload_blocks;
	printf("%llu/%llu = %llu.%02llu%% blocks allocated, %s; %s leaked\n",
	       check->present_blocks, check->payload_blocks, hundredths / 100,
	       hundredths % 100, allocated, leaked);
	printf("Image end offset: %llu\n", check->end);
}

/**
 * checking_print_text - show what was checked to people
 * @checking: an image
 * @with_path: it is one of several
 */
void checking_print_text(const struct checking *checking, bool with_path)
{
	if (with_path) {
		char *path = text_for_terminal(checking->path);

		printf("%s:\n", path);
		free(path);
	}
	if (checking->repair)
		show_repairs(checking->repair);
	show_findings(checking);
	show_link(checking);
	show_verdict(&checking->check);
	if (checking->repair)
		show_rest(checking);
	show_blocks(&checking->check);
}
