/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What lies on a disk, as far as another size of it matters.
 */
#ifndef VHDXCTL_LAYOUT_H
#define VHDXCTL_LAYOUT_H

#include "source.h"

/**
 * enum layout_kind - what a disk begins with
 * @LAYOUT_EMPTY: nothing that is known
 * @LAYOUT_PARTITIONS: a partition table, and no GPT
 * @LAYOUT_GPT: a GPT, which has a backup at the disk's end
 * @LAYOUT_DAMAGED_GPT: one without a valid primary header; what it has is not known,
 *	or only from the backup
 * @LAYOUT_WHOLE: a file system or the like on the disk itself
 */
enum layout_kind {
	LAYOUT_EMPTY,
	LAYOUT_PARTITIONS,
	LAYOUT_GPT,
	LAYOUT_DAMAGED_GPT,
	LAYOUT_WHOLE,
};

/**
 * struct layout_gpt - what a GPT asks of the disk
 * @sector: bytes that its sectors have; the disk's may be others
 * @usable: bytes; others find it only on a disk that reaches to there
 * @room: bytes behind the last partition where sgdisk can make a backup
 */
struct layout_gpt {
	u32 sector;
	u64 usable;
	u64 room;
};

/**
 * enum layout_repair - what makes a GPT fit the disk's new size
 * @LAYOUT_REPAIR_MOVE: its backup has to move
 * @LAYOUT_REPAIR_FIT: it itself says that the disk is larger
 * @LAYOUT_REPAIR_NONE: the disk is too small for that
 */
enum layout_repair {
	LAYOUT_REPAIR_MOVE,
	LAYOUT_REPAIR_FIT,
	LAYOUT_REPAIR_NONE,
};

/**
 * struct layout - see above
 * @kind: what is there
 * @gpt: of LAYOUT_GPT
 * @end: where the last partition ends, bytes; 0: there is none
 * @type: of what is on the whole disk, as libblkid calls it; freed by
 *	layout_free()
 */
struct layout {
	enum layout_kind kind;
	struct layout_gpt gpt;
	u64 end;
	char *type;
};

int layout_of_source(struct layout *layout, struct source *source);
int layout_of_device(struct layout *layout, const char *path);
int layout_warn_sectors(struct source *source, const char *copy, u32 sector);
enum layout_repair layout_repair(const struct layout *layout, u64 size);
void layout_free(struct layout *layout);

#endif
