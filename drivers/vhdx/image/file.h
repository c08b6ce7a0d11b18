/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How image/ reaches the file: a table of operations that block/ fills in for
 * the kernel, vhdxctl for POSIX and the tests for memory.
 */
#ifndef VHDX_IMAGE_FILE_H
#define VHDX_IMAGE_FILE_H

#include "../port.h"

struct vhdx_file;

/**
 * struct vhdx_file_ops - operations on an open file
 * All may sleep. Offsets and lengths are in bytes, without any alignment.
 * Each returns 0 or a negative errno.
 * @read: read @len bytes at @offset into @buf, all of them or an error; what
 *	lies past the end of the file reads as zeros
 * @size: the size of the file
 * @next_data: the first offset >= @offset that may hold data, as SEEK_DATA
 *	finds it; U64_MAX when only a hole follows. A file system without
 *	SEEK_DATA answers @offset itself.
 * @flush: make all that was written, zeroed and resized so far stable, by others
 *	too
 * What follows is for images open for writing, and NULL elsewhere.
 * @write: write @len bytes at @offset, all of them or an error; never past the
 *	end of the file
 * @resize: set the size; what is added reads as zeros and takes no space
 * @allocate: get space for a range, which may end past the end of the file and
 *	then makes it longer; what was there stays, what is new reads as zeros.
 *	-EOPNOTSUPP: the host cannot; -ENOSPC leaves the size as it was.
 * @zero: make a range inside the file read as zeros; with @unmap give its space
 *	back where the host can, without keep it
 * @punch: give the space of a range inside the file back, which then reads as
 *	zeros. -EOPNOTSUPP: the host cannot, or is not to.
 */
struct vhdx_file_ops {
	int (*read)(struct vhdx_file *file, void *buf, size_t len, u64 offset);
	int (*size)(struct vhdx_file *file, u64 *size);
	int (*next_data)(struct vhdx_file *file, u64 offset, u64 *data);
	int (*flush)(struct vhdx_file *file);
	int (*write)(struct vhdx_file *file, const void *buf, size_t len,
		     u64 offset);
	int (*resize)(struct vhdx_file *file, u64 size);
	int (*allocate)(struct vhdx_file *file, u64 offset, u64 len);
	int (*zero)(struct vhdx_file *file, u64 offset, u64 len, bool unmap);
	int (*punch)(struct vhdx_file *file, u64 offset, u64 len);
};

/**
 * struct vhdx_file - an open file; embedded in its owner's own structure
 * @ops: what can be done with it
 */
struct vhdx_file {
	const struct vhdx_file_ops *ops;
};

#endif
