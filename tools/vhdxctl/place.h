/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where a new file goes: it has its name only once it is whole.
 */
#ifndef VHDXCTL_PLACE_H
#define VHDXCTL_PLACE_H

#include "format/format.h"
#include "posix_file.h"

/**
 * struct place - where a new file goes
 * @name: as the user gave it
 * @folder: without symbolic links
 * @path: in it
 * @unfinished: its name until it is whole
 * @replaces: there is such a file, which goes then
 * @old: that one, open and locked where there is one
 */
struct place {
	const char *name;
	char *folder;
	char *path;
	char *unfinished;
	bool replaces;
	struct posix_file old;
};

int place_find(struct place *place, const char *command, const char *name,
	       bool replace);
int place_create(struct place *place, struct posix_file *pf);
int place_finish(struct place *place, bool sync);
int place_fail(const struct place *place, int errnum);
int place_fail_image(const struct place *place, const struct vhdx_error *err);
void place_abandon(struct place *place);
void place_free(struct place *place);

#endif
