/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What lies on a disk, as far as another size of it matters.
 */
#ifndef VHDXCTL_LAYOUT_H
#define VHDXCTL_LAYOUT_H

#include "source.h"

/* A GPT has its backup in so many sectors at the end of the disk. */
#define LAYOUT_GPT_SECTORS	33U

/**
 * enum layout_kind - what a disk begins with
 * @LAYOUT_EMPTY: nothing that is known
 * @LAYOUT_PARTITIONS: a partition table, and no GPT
 * @LAYOUT_GPT: a GPT, which has a backup at the disk's end
 * @LAYOUT_WHOLE: a file system or the like on the disk itself
 */
enum layout_kind {
	LAYOUT_EMPTY,
	LAYOUT_PARTITIONS,
	LAYOUT_GPT,
	LAYOUT_WHOLE,
};

/**
 * struct layout - see above
 * @kind: what is there
 * @end: where the last partition ends, bytes; 0: there is none
 * @type: of what is on the whole disk, as libblkid calls it; freed by
 *	layout_free()
 */
struct layout {
	enum layout_kind kind;
	u64 end;
	char *type;
};

int layout_of_source(struct layout *layout, struct source *source);
int layout_of_device(struct layout *layout, const char *path);
void layout_free(struct layout *layout);

#endif
