/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What changes an image without a guest, for the crash enumerator: see crash_tools.c.
 */
#ifndef TESTS_IMAGE_CRASH_TOOLS_H
#define TESTS_IMAGE_CRASH_TOOLS_H

#include "builder.h"
#include "crash.h"

/* Files that an operation writes to. */
#define MAX_FILES	2U

/**
 * struct files - what an operation is carried out on
 * @disk: each of them
 * @n: how many
 */
struct files {
	struct disk disk[MAX_FILES];
	u32 n;
};

/**
 * struct operation - one that must be whole or not at all
 * @name: on the command line
 * @build: make what it starts from
 * @run: carry it out; 0 or a negative errno
 * @look: everything about it that a user can see, as a number; complains of what
 *	does not open
 * @look_at_end: of an operation that no user can see: what it has come to, once it
 *	is over; NULL: @look tells
 */
struct operation {
	const char *name;
	void (*build)(struct files *files);
	int (*run)(struct files *files);
	u64 (*look)(struct files *files);
	u64 (*look_at_end)(struct files *files);
};

/* For the operations; crash_tools.c: */

struct vhdx_image *open_file(struct disk *disk, struct vhdx_image *parent,
			     unsigned int flags);
u64 hash_bytes(u64 hash, const void *buf, size_t length);
u64 look_at_image(const struct vhdx_image *img);
void build_image(struct files *files, const struct builder *builder);

/* crash_tools_compact.c */
void compact_build(struct files *files);
void compact_child_build(struct files *files);
void compact_log_build(struct files *files);
void compact_metadata_build(struct files *files);
int compact_run(struct files *files);
u64 compact_look(struct files *files);
u64 compact_look_at_end(struct files *files);

/* crash_tools_set.c */
void set_build(struct files *files);
int set_run(struct files *files);
u64 set_look(struct files *files);

/* crash_tools_repair.c */
#define REPAIR_OPERATIONS	8U
extern const struct operation repair_operations[REPAIR_OPERATIONS];

/* crash_tools_resize.c */
void resize_build(struct files *files);
void resize_full_bat_build(struct files *files);
void resize_fixed_build(struct files *files);
int grow_run(struct files *files);
int shrink_run(struct files *files);
int grow_move_bat_run(struct files *files);
int grow_fixed_run(struct files *files);
int shrink_fixed_run(struct files *files);
u64 resize_look(struct files *files);
u64 resize_large_look(struct files *files);

/* crash_tools_merge.c */
void merge_build(struct files *files);
void merge_grow_build(struct files *files);
void merge_shrink_build(struct files *files);
int merge_run(struct files *files);
int merge_renew_run(struct files *files);
int merge_again_run(struct files *files);
u64 merge_look(struct files *files);
u64 merge_look_at_end(struct files *files);
u64 merge_renew_look_at_end(struct files *files);

#endif
