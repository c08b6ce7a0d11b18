/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who uses a disk, or the file of an image.
 */
#ifndef VHDXCTL_HOLDERS_H
#define VHDXCTL_HOLDERS_H

#include <stdbool.h>
#include <sys/stat.h>

#include "port.h"
#include "posix_file.h"

/**
 * enum holder_kind - how a disk is used
 * @HOLDER_MOUNT: mounted on a folder
 * @HOLDER_DEVICE: part of another block device
 * @HOLDER_PROCESS: open in a process
 */
enum holder_kind {
	HOLDER_MOUNT,
	HOLDER_DEVICE,
	HOLDER_PROCESS,
};

/**
 * struct holder - one who uses a disk
 * @kind: how
 * @device: what is used: path of the disk or of a partition of it
 * @user: the folder, the path of the other device, or the process's name
 * @pid: of the process
 * @text: all of that in words
 */
struct holder {
	enum holder_kind kind;
	char *device;
	char *user;
	int pid;
	char *text;
};

/**
 * struct holders - who uses a disk and its partitions, or an image
 * @of_disk: each of those who use a disk
 * @count: how many
 * @text: all of them in words, NULL where none was found
 * @command: a command that makes one of them let go, NULL where there is none
 */
struct holders {
	struct holder *of_disk;
	size_t count;
	char *text;
	char *command;
};

bool holders_find_lasting(struct holders *holders, unsigned int index);
void holders_find_processes(struct holders *holders, unsigned int index);
void holders_find_of_image(struct holders *holders, const struct stat *st);
int holders_lock_image(struct holders *holders, int fd, const struct stat *st,
		       bool writable);
bool holders_find_writers(struct holders *holders, const struct posix_file *pf);
const char *holders_text(const struct holders *holders);
void holders_free(struct holders *holders);

#endif
