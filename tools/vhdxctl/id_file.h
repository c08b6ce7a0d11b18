/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A file that says which disk an attach has made.
 */
#ifndef VHDXCTL_ID_FILE_H
#define VHDXCTL_ID_FILE_H

#include "disk_id.h"

int id_file_write(const char *path, const struct disk_id *id);
int id_file_read(const char *path, struct disk_id *id);
void id_file_remove(const char *path);

#endif
