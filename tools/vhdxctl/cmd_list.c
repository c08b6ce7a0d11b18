// SPDX-License-Identifier: GPL-2.0
#include <getopt.h>
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>

#include "column.h"
#include "device.h"
#include "document.h"
#include "message.h"
#include "text.h"
#include "vhdxctl.h"

#define SCHEMA	1

/**
 * struct view - how to show the list
 * @column: the columns, indices into columns[]
 * @count: how many
 */
struct view {
	size_t column[2 * COLUMN_COUNT];
	size_t count;
	bool json;
	bool raw;
	bool noheadings;
	bool bytes;
};

static int unknown_column(const char *name, size_t length)
{
	char *list = text_printf("%s", columns[0].name);

	for (size_t i = 1; i < COLUMN_COUNT; i++) {
		char *longer = text_printf("%s, %s", list, columns[i].name);

		free(list);
		list = longer;
	}
	message_fail(EX_USAGE, NULL, "%.*s: unknown column", (int)length, name);
	message_hint("the columns are %s", list);
	free(list);
	return EX_USAGE;
}

static int add_column(struct view *view, const char *name, size_t length)
{
	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		if (strlen(columns[i].name) != length ||
		    strncasecmp(columns[i].name, name, length))
			continue;
		if (view->count == ARRAY_SIZE(view->column))
			return message_fail(EX_USAGE, NULL,
					    "list: too many columns");
		view->column[view->count++] = i;
		return 0;
	}
	return unknown_column(name, length);
}

static void default_columns(struct view *view)
{
	view->count = 0;
	for (size_t i = 0; i < COLUMN_COUNT; i++)
		if (columns[i].is_default)
			view->column[view->count++] = i;
}

/* "COL,COL" instead of the default ones, "+COL,COL" behind them */
static int choose_columns(struct view *view, const char *list)
{
	if (*list == '+') {
		default_columns(view);
		list++;
	} else {
		view->count = 0;
	}
	for (;;) {
		size_t length = strcspn(list, ",");
		int code = add_column(view, list, length);

		if (code || !list[length])
			return code;
		list += length + 1;
	}
}

static void list_json(const struct view *view, const struct device_list *list)
{
	struct json_object *root = document_new(SCHEMA);
	struct json_object *array = document_array(root, "vhdxdevices");

	for (size_t i = 0; i < list->count; i++) {
		struct json_object *disk = document_element(array);

		for (size_t j = 0; j < view->count; j++)
			column_document(&columns[view->column[j]],
					list->index[i], disk);
	}
	document_print(root);
}

static char *shown_value(const struct view *view, const struct column *column,
			 unsigned int index)
{
	char *value = column_value(column, index);
	char size[TEXT_SIZE_LENGTH];
	u64 bytes;

	if (!value || !column_is_size(column))
		return value;
	bytes = column_number(column, value);
	if (view->bytes)
		snprintf(size, sizeof(size), "%llu", (unsigned long long)bytes);
	else
		text_size(size, bytes, TEXT_SIZE_SHORT);
	free(value);
	return text_memory(strdup(size));
}

static void list_table(const struct view *view, const struct device_list *list)
{
	struct libscols_table *table = text_memory(scols_new_table());

	scols_table_enable_raw(table, view->raw);
	scols_table_enable_noheadings(table, view->noheadings);
	for (size_t j = 0; j < view->count; j++) {
		const struct column *column = &columns[view->column[j]];
		int flags = column->kind == COLUMN_TEXT ? 0 :
			    column->kind == COLUMN_LINES ? SCOLS_FL_WRAP :
							 SCOLS_FL_RIGHT;
		struct libscols_column *shown;

		shown = text_memory(scols_table_new_column(table, column->name,
							   0, flags));
		if (column->kind == COLUMN_LINES)
			scols_column_set_wrapfunc(shown,
						  scols_wrapnl_chunksize,
						  scols_wrapnl_nextchunk, NULL);
	}
	for (size_t i = 0; i < list->count; i++) {
		struct libscols_line *line =
			text_memory(scols_table_new_line(table, NULL));

		for (size_t j = 0; j < view->count; j++) {
			char *value = shown_value(view,
						  &columns[view->column[j]],
						  list->index[i]);

			if (value && scols_line_refer_data(line, j, value))
				text_memory(NULL);
		}
	}
	scols_print_table(table);
	scols_unref_table(table);
}

/* The disks named on the command line, or all. 0 or the exit code. */
static int choose_disks(struct device_list *list, int argc, char **argv)
{
	int worst = 0;

	if (!argc) {
		device_list_attached(list);
		return 0;
	}
	for (int i = 0; i < argc; i++) {
		struct device_list found;
		int code = device_find(argv[i], &found);

		for (size_t j = 0; j < found.count; j++) {
			if (device_is_attached(found.index[j]))
				device_list_add(list, found.index[j]);
			else
				code = message_fail(EX_NOINPUT, argv[i],
						    "not attached");
		}
		device_list_free(&found);
		worst = max(worst, code);
	}
	return worst;
}

static int show_disks(const struct view *view, int argc, char **argv)
{
	struct device_list disks = { };
	int code = choose_disks(&disks, argc, argv);

	if (view->json)
		list_json(view, &disks);
	else if (disks.count)
		list_table(view, &disks);
	device_list_free(&disks);
	return code;
}

static int show_help(void)
{
	vhdxctl_help(&vhdxctl_list);
	puts("\nColumns:");
	for (size_t i = 0; i < COLUMN_COUNT; i++)
		printf("  %-13s %s%s\n", columns[i].name, columns[i].summary,
		       columns[i].is_default ? " *" : "");
	puts("Those with * are the default.");
	return 0;
}

static int run(int argc, char **argv)
{
	enum { OPTION_RAW = 256 };
	static const struct option options[] = {
		{ "bytes", no_argument, NULL, 'b' },
		{ "json", no_argument, NULL, 'J' },
		{ "noheadings", no_argument, NULL, 'n' },
		{ "output", required_argument, NULL, 'o' },
		{ "output-all", no_argument, NULL, 'O' },
		{ "raw", no_argument, NULL, OPTION_RAW },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct view view = { };
	int code;
	int c;

	default_columns(&view);
	while ((c = getopt_long(argc, argv, "bJno:Oh", options, NULL)) != -1) {
		switch (c) {
		case 'b':
			view.bytes = true;
			break;
		case 'J':
			view.json = true;
			break;
		case 'n':
			view.noheadings = true;
			break;
		case 'o':
			code = choose_columns(&view, optarg);
			if (code)
				return code;
			break;
		case 'O':
			view.count = 0;
			for (size_t i = 0; i < COLUMN_COUNT; i++)
				view.column[view.count++] = i;
			break;
		case OPTION_RAW:
			view.raw = true;
			break;
		case 'h':
			return show_help();
		default:
			return vhdxctl_usage(&vhdxctl_list);
		}
	}
	if (view.json && view.raw) {
		message_fail(EX_USAGE, NULL,
			     "list: --json and --raw exclude each other");
		return vhdxctl_usage(&vhdxctl_list);
	}
	return show_disks(&view, argc - optind, argv + optind);
}

const struct vhdxctl_command vhdxctl_list = {
	.name = "list",
	.synopsis = "[OPTION]... [DEV|IMAGE]...",
	.summary = "List attached disks, all or the given ones",
	.help = "  -b, --bytes            sizes in bytes\n"
		"  -J, --json             JSON output; sizes are in bytes\n"
		"  -n, --noheadings       no headings\n"
		"  -o, --output COL,...   these columns; +COL,... adds to the default ones\n"
		"  -O, --output-all       all columns\n"
		"      --raw              no alignment, for other programs\n",
	.run = run,
};
