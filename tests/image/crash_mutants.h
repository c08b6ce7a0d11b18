/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Mutants of image/: crash_mutants.patch puts these questions into a copy of
 * it, so that each of its barriers and checks can be taken away by name.
 */
#ifndef TESTS_IMAGE_CRASH_MUTANTS_H
#define TESTS_IMAGE_CRASH_MUTANTS_H

#include <stdbool.h>

/**
 * struct mutant - a rule that can be broken
 * @name: on the command line and in the patch; "child-" where only an image with
 *	a parent has that rule, "edit-" where only what is done without a guest has
 * @rule: what is done wrong
 * @harmless: why nothing can notice; NULL when the enumerator has to
 */
struct mutant {
	const char *name;
	const char *rule;
	const char *harmless;
};

extern const struct mutant mutants[];
extern const unsigned int mutant_count;

bool mutant_is_childs(const struct mutant *mutant);
bool mutant_is_tools(const struct mutant *mutant);
const struct mutant *mutant_find(const char *name);
void mutant_select(const struct mutant *mutant);
bool crash_mutant(const char *name);
bool crash_mutant_of(const char *who, const char *what);

#endif
