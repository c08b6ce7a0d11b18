/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where a disk is written to: a new file in some format, a block device, a pipe.
 */
#ifndef VHDXCTL_SINK_H
#define VHDXCTL_SINK_H

#include "image/sync.h"
#include "place.h"
#include "source.h"

struct sink;

/**
 * struct sink_ops - what the kinds of sinks do differently
 * @write: write @length bytes at @pos of the disk; positions only go up
 * @zero: the same with zeros; NULL: what is not written reads as zeros
 * @finish: all is written: what is behind it, and make it stable
 * Each returns 0 or a negative errno.
 */
struct sink_ops {
	int (*write)(struct sink *sink, const void *buf, u64 length, u64 pos);
	int (*zero)(struct sink *sink, u64 length, u64 pos);
	int (*finish)(struct sink *sink);
};

/**
 * struct sink - where a disk is written to
 * @ops: of its kind
 * @path: for messages
 * @size: of the disk, bytes
 * @fixed: all of it has space already
 * @cached: a new file is done when the host has it in its cache
 * @file: what is written to
 * @place: of a new file; NULL: there was one
 */
struct sink {
	const struct sink_ops *ops;
	const char *path;
	u64 size;
	bool fixed;
	bool cached;
	struct posix_file file;
	struct place *place;
	/* private to the kinds */
	struct vhdx_image *img;
	struct vhdx_file_ops file_ops;
	u64 unpushed;	/* bytes written since posix_file_push() */
};

int sink_open_raw(struct sink *sink, struct place *place, u64 size, bool fixed);
int sink_open_vhd(struct sink *sink, struct place *place, u64 size);
int sink_open_device(struct sink *sink, const char *path, u64 size);
int sink_open_pipe(struct sink *sink, u64 size);
int sink_open_vhdx(struct sink *sink, struct place *place,
		   const struct vhdx_create *params);
int sink_copy(struct sink *sink, struct source *source, bool quiet);
int sink_close(struct sink *sink, int code);

#endif
