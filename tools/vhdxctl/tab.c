// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <libmount/libmount.h>
#include <string.h>

#include "device.h"
#include "message.h"
#include "tab.h"
#include "text.h"
#include "unit_path.h"

/* A name is part of one of a unit, where each of these stands for itself. */
static bool is_name(const char *name)
{
	for (; *name; name++)
		if (!isalnum((u8)*name) && !strchr("_.:", *name))
			return false;
	return true;
}

static int check_parent(const char *where, const char *name, const char *value)
{
	if (value && *value != '/')
		return message_fail(EX_USAGE, NULL, "%s%s: no absolute path",
				    where, name);
	if (value && !unit_path_is_plain(value))
		return message_fail(EX_USAGE, NULL, "%s%s: no plain path: %s",
				    where, name, value);
	return 0;
}

static int take_option(struct tab_entry *entry, const char *where,
		       const char *name, const char *value)
{
	unsigned int index;
	int code;

	if (!strcmp(name, "defaults"))
		return 0;
	if (!strcmp(name, "parent") || !strcmp(name, "parent-dir")) {
		code = check_parent(where, name, value);
		if (code)
			return code;
	}
	if (!strcmp(name, "noauto"))
		entry->no_auto = true;
	else if (!strcmp(name, "nofail"))
		entry->no_fail = true;
	else if (!strcmp(name, "_netdev"))
		entry->network = true;
	else if (strcmp(name, "device"))
		return attach_take_words(&entry->attach, where, name, value);
	else if (!value || !device_parse(value, &index))
		return message_fail(EX_USAGE, NULL,
				    "%sdevice: not the name of a disk", where);
	else
		entry->attach.index = (s32)index;
	return 0;
}

static int take_options(struct tab_entry *entry, const char *where,
			char *options)
{
	char *name;
	int code;

	while ((name = strsep(&options, ","))) {
		char *value = strchr(name, '=');

		if (value)
			*value++ = '\0';
		code = *name ? take_option(entry, where, name, value) : 0;
		if (code)
			return code;
	}
	return attach_check_options(&entry->attach, where, "read-only");
}

/* A field of fstab's kind: spaces in it are written \040. */
static char *next_field(char **text)
{
	char *field;
	char *plain;

	do
		field = strsep(text, " \t\r\n");
	while (field && !*field);
	if (!field)
		return NULL;
	/* It is no longer than what it was written as. */
	plain = text_memory(mnt_unmangle(field));
	memcpy(field, plain, strlen(plain) + 1);
	free(plain);
	return field;
}

static int parse(struct tab_entry *entry, const char *path)
{
	char *where = text_printf("%s:%u: ", path, entry->line);
	char *text = entry->text;
	char *options;
	int code = 0;

	entry->name = next_field(&text);
	entry->attach.path = next_field(&text);
	options = next_field(&text);
	if (!is_name(entry->name))
		code = message_fail(EX_USAGE, NULL,
				    "%s%s: a name has letters, digits and _ . : only",
				    where, entry->name);
	else if (!entry->attach.path || *entry->attach.path != '/')
		code = message_fail(EX_USAGE, NULL,
				    "%s%s: no absolute path of an image", where,
				    entry->name);
	else if (!unit_path_is_plain(entry->attach.path))
		code = message_fail(EX_USAGE, NULL, "%s%s: no plain path: %s",
				    where, entry->name, entry->attach.path);
	else if (next_field(&text))
		code = message_fail(EX_USAGE, NULL, "%s%s: a field too many",
				    where, entry->name);
	else
		code = take_options(entry, where, options);
	free(where);
	return code;
}

/**
 * tab_next - read the next entry of a table
 * @file: the table
 * @path: of it, for messages
 * @entry: to be freed by tab_free() where there is one
 * @line: counts the lines; 0 in the beginning
 * @code: receives 0, or the exit code of what was bad, whose error was printed: the
 *	entry, or where there is none, the table
 *
 * Return: whether there is one, good or bad.
 */
bool tab_next(FILE *file, const char *path, struct tab_entry *entry,
	      unsigned int *line, int *code)
{
	char *text = NULL;
	size_t space = 0;

	while (getline(&text, &space, file) >= 0) {
		++*line;
		if (strchr("#\r\n", text[strspn(text, " \t")]))
			continue;
		*entry = (struct tab_entry){
			.line = *line,
			.attach.index = -1,
			.text = text,
		};
		*code = parse(entry, path);
		return true;
	}
	*code = ferror(file) ? message_fail_errno(path, "cannot read", errno) : 0;
	free(text);
	return false;
}

/**
 * tab_free - free what an entry holds
 * @entry: from tab_next()
 */
void tab_free(struct tab_entry *entry)
{
	chain_options_free(&entry->attach.chain);
	free(entry->text);
}
