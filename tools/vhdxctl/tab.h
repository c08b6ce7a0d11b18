/* SPDX-License-Identifier: GPL-2.0 */
/*
 * /etc/vhdxtab: images that are attached when the system starts.
 */
#ifndef VHDXCTL_TAB_H
#define VHDXCTL_TAB_H

#include <stdbool.h>
#include <stdio.h>

#include "attach.h"

/**
 * struct tab_entry - a line of the table
 * @line: its number, for messages
 * @name: what the image is called
 * @attach: how it is attached
 * @no_auto: not when the system starts
 * @no_fail: the system starts without it, too
 * @network: after the network
 * @text: memory that the strings are in
 */
struct tab_entry {
	unsigned int line;
	const char *name;
	struct attach_request attach;
	bool no_auto;
	bool no_fail;
	bool network;
	char *text;
};

bool tab_next(FILE *file, const char *path, struct tab_entry *entry,
	      unsigned int *line, int *code);
void tab_free(struct tab_entry *entry);

#endif
