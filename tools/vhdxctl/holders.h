/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who uses a disk.
 */
#ifndef VHDXCTL_HOLDERS_H
#define VHDXCTL_HOLDERS_H

#include <stdbool.h>

#include "port.h"

/**
 * struct holders - who uses a disk and its partitions
 * @text: all of them in words, NULL where none was found
 * @mount: a mount point, NULL where there is none
 */
struct holders {
	char *text;
	char *mount;
};

bool holders_find_lasting(struct holders *holders, unsigned int index);
void holders_find_processes(struct holders *holders, unsigned int index);
void holders_free(struct holders *holders);

#endif
