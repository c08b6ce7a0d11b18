// SPDX-License-Identifier: GPL-2.0
#include <getopt.h>
#include <stdio.h>

#include "doctor.h"
#include "document.h"
#include "message.h"
#include "text.h"
#include "vhdxctl.h"

#define SCHEMA	1

/* by enum finding_kind */
static const char *const kinds[] = { "ok", "note", "problem" };

static void print_json(const struct findings *findings)
{
	struct json_object *root = document_new(SCHEMA);
	struct json_object *array;

	document_text(root, "version", VHDX_TOOL_VERSION);
	document_number(root, "problems", findings->problems);
	array = document_array(root, "findings");
	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->of[i];
		struct json_object *object = document_element(array);

		document_text(object, "name", finding->name);
		document_text(object, "kind", kinds[finding->kind]);
		document_text(object, "text", finding->text);
		if (finding->command)
			document_text(object, "command", finding->command);
		else
			document_null(object, "command");
	}
	document_print(root);
}

static void print_text(const struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->of[i];
		char *text = text_for_terminal(finding->text);
		char *command = finding->command ?
				text_for_terminal(finding->command) : NULL;

		printf("%-8s %-10s %s\n", kinds[finding->kind], finding->name,
		       text);
		if (command)
			printf("%19s -> %s\n", "", command);
		free(command);
		free(text);
	}
}

static int run(int argc, char **argv)
{
	enum {
		OPTION_ROOT = 256,
	};
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'J' },
		{ "root", required_argument, NULL, OPTION_ROOT },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct findings findings;
	const char *root = "";
	bool json = false;
	int code;
	int c;

	while ((c = getopt_long(argc, argv, "Jh", options, NULL)) != -1) {
		switch (c) {
		case 'J':
			json = true;
			break;
		case OPTION_ROOT:
			root = optarg;
			break;
		case 'h':
			return vhdxctl_help(&vhdxctl_doctor);
		default:
			return vhdxctl_usage(&vhdxctl_doctor);
		}
	}
	if (argc > optind) {
		message_fail(EX_USAGE, argv[optind],
			     "doctor: takes no argument");
		return vhdxctl_usage(&vhdxctl_doctor);
	}
	doctor_examine(&findings, root);
	if (json)
		print_json(&findings);
	else
		print_text(&findings);
	code = findings.problems ? EXIT_FAILURE : EXIT_SUCCESS;
	doctor_free(&findings);
	return code;
}

const struct vhdxctl_command vhdxctl_doctor = {
	.name = "doctor",
	.synopsis = "[OPTION]...",
	.summary = "Find out what keeps the driver from working",
	.help = "Looks at the module, its version and signature, the kernel's headers, what else\n"
		"is installed, and the attached disks. The exit code is 1 where there is a\n"
		"problem.\n"
		"\n"
		"  -J, --json             JSON output\n"
		"      --root DIR         look at the system whose files are in DIR\n",
	.run = run,
};
