/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who uses a disk, or the file of an image.
 */
#ifndef VHDXCTL_HOLDERS_H
#define VHDXCTL_HOLDERS_H

#include <stdbool.h>
#include <sys/stat.h>

#include "port.h"

/**
 * struct holders - who uses a disk and its partitions, or an image
 * @text: all of them in words, NULL where none was found
 * @command: a command that makes one of them let go, NULL where there is none
 */
struct holders {
	char *text;
	char *command;
};

bool holders_find_lasting(struct holders *holders, unsigned int index);
void holders_find_processes(struct holders *holders, unsigned int index);
void holders_find_of_image(struct holders *holders, const struct stat *st);
const char *holders_text(const struct holders *holders);
void holders_free(struct holders *holders);

#endif
