/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The file operations of image/ on a file descriptor.
 */
#ifndef VHDXCTL_POSIX_FILE_H
#define VHDXCTL_POSIX_FILE_H

#include <sys/stat.h>

#include "image/file.h"

/**
 * struct posix_file - an open image file
 * @file: what image/ sees
 * @fd: its descriptor
 * @stat: as it was when opened
 * @never_sparse: the file system is one that no holes are made on
 * @whole_mib: what a device has behind its last whole MiB is not used
 */
struct posix_file {
	struct vhdx_file file;
	int fd;
	struct stat stat;
	bool never_sparse;
	bool whole_mib;
};

int posix_file_open(struct posix_file *pf, const char *path, bool writable);
void posix_file_allow_writes(struct posix_file *pf);
bool posix_file_takes_holes(const struct posix_file *pf);
bool posix_file_has_others(const struct posix_file *pf, bool writers);
int posix_file_resolve(const char *path, char **real);
int posix_file_open_named(struct posix_file *pf, const char *real);
int posix_file_next_extent(struct posix_file *pf, u64 offset, u64 *length,
			   bool *data);
int posix_file_create(struct posix_file *pf, const char *path, mode_t mode);
int posix_file_open_device(struct posix_file *pf, const char *path);
void posix_file_push(const struct posix_file *pf);
void posix_file_close(struct posix_file *pf);

#endif
