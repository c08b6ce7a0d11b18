/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One disk, and none that has its name later: names are given again.
 */
#ifndef VHDXCTL_DISK_ID_H
#define VHDXCTL_DISK_ID_H

#include <stdbool.h>

#include "port.h"

/**
 * struct disk_id - a disk, as long as it is attached
 * @index: N of its vhdxN
 * @sequence: its diskseq, which no other disk has before the machine starts anew; 0:
 *	it is not known, as where it was gone already
 */
struct disk_id {
	unsigned int index;
	u64 sequence;
};

struct disk_id disk_id_get(unsigned int index);
bool disk_id_is_attached(const struct disk_id *id);
bool disk_id_wait_gone(const struct disk_id *id, const char *image);

#endif
