/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A file that says which disk an attach has made, so that no other one is taken for
 * it later: names are given again.
 */
#ifndef VHDXCTL_ID_FILE_H
#define VHDXCTL_ID_FILE_H

#include <stdbool.h>

#include "port.h"

/**
 * struct disk_id - a disk, as long as it is attached
 * @index: N of its vhdxN
 * @sequence: its diskseq, which no other disk has before the machine starts anew
 */
struct disk_id {
	unsigned int index;
	u64 sequence;
};

int id_file_write(const char *path, unsigned int index);
int id_file_read(const char *path, struct disk_id *id);
bool disk_id_is_attached(const struct disk_id *id);

#endif
