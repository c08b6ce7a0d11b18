// SPDX-License-Identifier: GPL-2.0
#include <getopt.h>
#include <stdio.h>

#include "column.h"
#include "device.h"
#include "document.h"
#include "holders.h"
#include "message.h"
#include "text.h"
#include "vhdxctl.h"

#define SCHEMA		1

/* Where the values begin. */
#define LABEL_WIDTH	24

/**
 * struct counter - one of the block layer's counts of requests
 * @key: its key in JSON
 * @label: what its line begins with
 * @field: which number of the disk's "stat" it is, from 0
 * @is_sectors: it counts units of 512 bytes
 */
struct counter {
	const char *key;
	const char *label;
	unsigned int field;
	bool is_sectors;
};

static const struct counter counters[] = {
	{ "reads", "Reads:", 0, false },
	{ "read-bytes", "Read:", 2, true },
	{ "writes", "Writes:", 4, false },
	{ "written-bytes", "Written:", 6, true },
	{ "discards", "Discards:", 11, false },
	{ "discarded-bytes", "Discarded:", 13, true },
	{ "flushes", "Flushes:", 15, false },
	{ "in-flight", "In flight:", 8, false },
};

/* Numbers of the disk's "stat", as many as there are and fit. */
static size_t read_stat(unsigned int index, u64 *number, size_t count)
{
	char *text = device_attr(index, "stat");
	char *next = text;
	char *end = text;
	size_t n = 0;

	while (next && n < count) {
		number[n] = strtoull(next, &end, 10);
		if (end == next)
			break;
		next = end;
		n++;
	}
	free(text);
	return n;
}

static u64 counter_value(const struct counter *counter, const u64 *number)
{
	return counter->is_sectors ? number[counter->field] << 9 :
				     number[counter->field];
}

/* --- JSON ------------------------------------------------------------------ */

static void add_holders(struct json_object *root, const struct holders *holders)
{
	struct json_object *mounts = document_array(root, "mounts");
	struct json_object *devices = document_array(root, "holders");
	struct json_object *processes = document_array(root, "processes");

	for (size_t i = 0; i < holders->count; i++) {
		const struct holder *holder = &holders->of_disk[i];
		struct json_object *element;

		switch (holder->kind) {
		case HOLDER_MOUNT:
			element = document_element(mounts);
			document_text(element, "target", holder->user);
			break;
		case HOLDER_DEVICE:
			element = document_element(devices);
			document_text(element, "name", holder->user);
			break;
		default:
			element = document_element(processes);
			document_number(element, "pid", (u64)holder->pid);
			document_text(element, "command", holder->user);
			break;
		}
		document_text(element, "device", holder->device);
	}
}

static void status_json(unsigned int index, const struct holders *holders,
			const u64 *number, size_t count)
{
	struct json_object *root = document_new(SCHEMA);
	struct json_object *requests;

	for (size_t i = 0; i < COLUMN_COUNT; i++)
		column_document(&columns[i], index, root);
	add_holders(root, holders);
	requests = document_object(root, "requests");
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		if (counters[i].field < count)
			document_number(requests, counters[i].key,
					counter_value(&counters[i], number));
	document_print(root);
}

/* --- text ------------------------------------------------------------------ */

static void show(const char *label, const char *value)
{
	char *safe = text_for_terminal(value);

	printf("%-*s %s\n", LABEL_WIDTH, label, safe);
	free(safe);
}

static void show_size(const char *label, u64 bytes)
{
	char size[TEXT_SIZE_LENGTH];

	text_size(size, bytes, TEXT_SIZE_LONG);
	if (bytes < 1024)
		show(label, size);
	else
		printf("%-*s %s (%llu bytes)\n", LABEL_WIDTH, label, size,
		       (unsigned long long)bytes);
}

static void show_lines(const char *label, char *value)
{
	char *line;

	while ((line = strsep(&value, "\n"))) {
		if (!*line)
			continue;
		show(label, line);
		label = "";
	}
}

/* What a disk does not have has no line. */
static void show_column(const struct column *column, unsigned int index)
{
	char *value = column_value(column, index);

	if (!value)
		return;
	if (column_is_size(column))
		show_size(column->label, column_number(column, value));
	else if (column->kind == COLUMN_FLAG)
		show(column->label, column_number(column, value) ? "yes" : "no");
	else if (column->kind == COLUMN_LINES)
		show_lines(column->label, value);
	else
		show(column->label, value);
	free(value);
}

static void show_holders(const struct holders *holders)
{
	for (size_t i = 0; i < holders->count; i++)
		show(i ? "" : "In use:", holders->of_disk[i].text);
}

static void status_text(unsigned int index, const struct holders *holders,
			const u64 *number, size_t count)
{
	for (size_t i = 0; i < COLUMN_COUNT; i++)
		show_column(&columns[i], index);
	show_holders(holders);
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		u64 value;

		if (counters[i].field >= count)
			continue;
		value = counter_value(&counters[i], number);
		if (counters[i].is_sectors)
			show_size(counters[i].label, value);
		else
			printf("%-*s %llu\n", LABEL_WIDTH, counters[i].label,
			       (unsigned long long)value);
	}
}

/* --- command line ---------------------------------------------------------- */

static int show_disk(const char *arg, unsigned int index, bool json)
{
	u64 number[17];
	size_t count = read_stat(index, number, ARRAY_SIZE(number));
	struct holders holders;

	if (!device_is_attached(index))
		return message_fail(EX_NOINPUT, arg, "not attached");
	holders_find_lasting(&holders, index);
	holders_find_processes(&holders, index);
	if (json)
		status_json(index, &holders, number, count);
	else
		status_text(index, &holders, number, count);
	holders_free(&holders);
	return 0;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'J' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct device_list list;
	bool json = false;
	int code;
	int c;

	while ((c = getopt_long(argc, argv, "Jh", options, NULL)) != -1) {
		switch (c) {
		case 'J':
			json = true;
			break;
		case 'h':
			return vhdxctl_help(&vhdxctl_status);
		default:
			return vhdxctl_usage(&vhdxctl_status);
		}
	}
	if (argc != optind + 1) {
		message_fail(EX_USAGE, NULL, argc == optind ?
			     "status: no device or image given" :
			     "status: more than one device or image");
		return vhdxctl_usage(&vhdxctl_status);
	}
	code = device_find_one(argv[optind], &list);
	if (!code)
		code = show_disk(argv[optind], list.index[0], json);
	device_list_free(&list);
	return code;
}

const struct vhdxctl_command vhdxctl_status = {
	.name = "status",
	.synopsis = "[OPTION]... DEV|IMAGE",
	.summary = "Show all there is to say of an attached disk",
	.help = "  -J, --json             JSON output; sizes are in bytes\n",
	.run = run,
};
