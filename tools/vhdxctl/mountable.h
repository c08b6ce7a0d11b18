/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is on a disk that could be mounted: its partitions, or all of it.
 */
#ifndef VHDXCTL_MOUNTABLE_H
#define VHDXCTL_MOUNTABLE_H

#include <stdbool.h>

#include "port.h"

/**
 * struct mountable - a partition, or a disk without partitions
 * @number: of the partition; 0: the whole disk
 * @device: path of its node
 * @size: bytes
 * @file_system: it holds a file system
 * @type: what it holds, as blkid names it, or NULL
 * @label: of that, or NULL
 * @uuid: of that, or NULL
 * @part_label: what the table of partitions calls it, or NULL
 * @part_uuid: its UUID there, or NULL
 */
struct mountable {
	int number;
	char *device;
	u64 size;
	bool file_system;
	char *type;
	char *label;
	char *uuid;
	char *part_label;
	char *part_uuid;
};

/**
 * struct mountable_list - all that is on a disk
 * @count: how many
 * @of_disk: each of them
 */
struct mountable_list {
	size_t count;
	struct mountable *of_disk;
};

int mountable_find(struct mountable_list *list, unsigned int index);
int mountable_choose(const struct mountable_list *list, const char *image,
		     const char *wanted, const struct mountable **chosen);
void mountable_free(struct mountable_list *list);

#endif
