/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A disk behind a volatile cache, for the crash enumerator: every sector keeps
 * all values that a power cut may leave there.
 */
#ifndef TESTS_IMAGE_CRASH_DISK_H
#define TESTS_IMAGE_CRASH_DISK_H

#include "image/file.h"

#define SECTOR		512U
#define MAX_VERSIONS	24U
#define MAX_MIB		512U

/* Content of a sector, by number; equal content has equal numbers. */
#define CONTENT_ZERO	0U

u32 content_intern(const void *sector);
const u8 *content_bytes(u32 id);
u64 content_hash(u32 id);
u32 content_torn(u32 old, u32 new);

u64 hash_mix(u64 x);
u64 hash_sector(u64 sector, u32 id);

/**
 * struct version - what a sector may hold after a power cut
 * @id: content
 * @time: disk.time of the operation that wrote it
 */
struct version {
	u32 id;
	u32 time;
};

/**
 * struct cell - a sector that was ever written
 * @sector: its number
 * @n: versions; the last one is what a reader sees
 */
struct cell {
	u64 sector;
	u32 n;
	struct version v[MAX_VERSIONS];
};

/**
 * struct size_version - a size that the file may have after a power cut
 * @size: bytes
 * @time: as in struct version
 */
struct size_version {
	u64 size;
	u32 time;
};

enum disk_op {
	DISK_WRITE,
	DISK_ZERO,
	DISK_RESIZE,
	DISK_ALLOCATE,
	DISK_FLUSH,
};

extern const char *const disk_op_name[];

struct disk;

/**
 * struct disk_hooks - who watches what image/ does to the file
 * @before: 0 to let it happen, or what the operation answers instead
 * @after: it has happened
 */
struct disk_hooks {
	int (*before)(struct disk *disk, enum disk_op op, const void *buf,
		      u64 offset, u64 length);
	void (*after)(struct disk *disk, enum disk_op op, u64 offset,
		      u64 length);
};

/**
 * struct disk - see above
 * @file: for image/
 * @hooks: or NULL
 * @cell: sorted by sector
 * @size: versions, the last one is what a reader sees
 * @time: counts operations
 * @written: each MiB that was ever written to by @file's operations
 */
struct disk {
	struct vhdx_file file;
	const struct disk_hooks *hooks;
	struct cell *cell;
	u32 cells;
	u32 room;
	struct size_version size[MAX_VERSIONS];
	u32 sizes;
	u32 time;
	u64 written[MAX_MIB / 64];
};

void disk_mark_written(struct disk *disk, u64 offset);
bool disk_was_written(const struct disk *disk, u64 sector);
void disk_init(struct disk *disk);
void disk_free(struct disk *disk);
void disk_copy(struct disk *to, const struct disk *from);
u64 disk_size(const struct disk *disk);
struct cell *disk_find(const struct disk *disk, u64 sector);
u32 disk_lower_bound(const struct disk *disk, u64 sector);
u32 disk_value(const struct disk *disk, u64 sector);
void disk_set(struct disk *disk, u64 sector, u32 id);
void disk_write(struct disk *disk, const void *buf, u64 length, u64 offset);
void disk_zero(struct disk *disk, u64 offset, u64 length);
void disk_resize(struct disk *disk, u64 size);
void disk_flush(struct disk *disk);
void disk_flush_range(struct disk *disk, u64 offset, u64 length);
int disk_dump(const struct disk *disk, const char *path);

#endif
