/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What keeps the driver from working, and what is left over.
 */
#ifndef VHDXCTL_DOCTOR_H
#define VHDXCTL_DOCTOR_H

#include <stdbool.h>

#include "port.h"

/**
 * enum finding_kind - what a finding means
 * @FINDING_OK: all is well
 * @FINDING_NOTE: something does not work that may not be wanted
 * @FINDING_PROBLEM: disks cannot be attached, or data is in danger
 */
enum finding_kind {
	FINDING_OK,
	FINDING_NOTE,
	FINDING_PROBLEM,
};

/**
 * struct finding - what was looked at
 * @kind: what it means
 * @name: of what was looked at; the same for scripts
 * @text: what was found
 * @command: what to do about it, or NULL
 */
struct finding {
	enum finding_kind kind;
	const char *name;
	char *text;
	char *command;
};

/**
 * struct findings - all of them
 * @count: how many
 * @of: each
 * @problems: how many are problems
 */
struct findings {
	size_t count;
	struct finding *of;
	size_t problems;
};

void doctor_examine(struct findings *findings, const char *root);
void doctor_free(struct findings *findings);

#endif
