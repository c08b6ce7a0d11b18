/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What there is to say of an attached disk: the columns of list, the lines of
 * status, and the keys of both in JSON.
 */
#ifndef VHDXCTL_COLUMN_H
#define VHDXCTL_COLUMN_H

#include <stdbool.h>

#include "document.h"
#include "port.h"

/**
 * enum column_kind - what the values of a column are
 * @COLUMN_TEXT: strings
 * @COLUMN_NUMBER: numbers
 * @COLUMN_SIZE: bytes, which people see with a unit
 * @COLUMN_SECTORS: units of 512 bytes, shown as @COLUMN_SIZE
 * @COLUMN_FLAG: 0 or 1; true or false in JSON
 * @COLUMN_LINES: strings, one a line; an array in JSON
 */
enum column_kind {
	COLUMN_TEXT,
	COLUMN_NUMBER,
	COLUMN_SIZE,
	COLUMN_SECTORS,
	COLUMN_FLAG,
	COLUMN_LINES,
};

/**
 * struct column - one thing to say
 * @name: the heading in a list; in lower case the key in JSON
 * @label: what a line begins with where one disk is shown
 * @attr: the attribute in sysfs, NULL for the path of the device
 * @kind: what its values are
 * @is_default: in a list when no columns are chosen
 * @summary: what it is, for the help
 */
struct column {
	const char *name;
	const char *label;
	const char *attr;
	enum column_kind kind;
	bool is_default;
	const char *summary;
};

#define COLUMN_COUNT	24

extern const struct column columns[COLUMN_COUNT];

static inline bool column_is_size(const struct column *column)
{
	return column->kind == COLUMN_SIZE || column->kind == COLUMN_SECTORS;
}

char *column_value(const struct column *column, unsigned int index);
u64 column_number(const struct column *column, const char *value);
void column_document(const struct column *column, unsigned int index,
		     struct json_object *disk);

#endif
