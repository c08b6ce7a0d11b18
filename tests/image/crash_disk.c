// SPDX-License-Identifier: GPL-2.0
/*
 * The disk of the crash enumerator, see crash_disk.h.
 */
#include <err.h>
#include <fcntl.h>
#include <unistd.h>

#include "crash_disk.h"

/* --- contents --- */

static u8 (*contents)[SECTOR];
static u64 *content_hashes;
static u32 content_count, content_room;
static u32 *content_table;
static u32 content_slots;

const char *const disk_op_name[] = {
	[DISK_WRITE] = "write",
	[DISK_ZERO] = "zero",
	[DISK_RESIZE] = "resize",
	[DISK_ALLOCATE] = "allocate",
	[DISK_FLUSH] = "flush",
};

u64 hash_mix(u64 x)
{
	x ^= x >> 30;
	x *= 0xBF58476D1CE4E5B9ULL;
	x ^= x >> 27;
	x *= 0x94D049BB133111EBULL;
	return x ^ (x >> 31);
}

static u64 hash_bytes(const void *sector)
{
	const u64 *word = sector;
	u64 hash = 0x9E3779B97F4A7C15ULL;
	u32 i;

	for (i = 0; i < SECTOR / 8; i++)
		hash = (hash ^ word[i]) * 0x9FB21C651E98DF25ULL + (hash >> 29);
	return hash_mix(hash);
}

static void content_rehash(void)
{
	u32 i, slot;

	content_slots = content_slots ? 2 * content_slots : 4096;
	free(content_table);
	content_table = calloc(content_slots, sizeof(*content_table));
	if (!content_table)
		err(1, "contents");
	for (i = 0; i < content_count; i++) {
		slot = content_hashes[i] & (content_slots - 1);
		while (content_table[slot])
			slot = (slot + 1) & (content_slots - 1);
		content_table[slot] = i + 1;
	}
}

static u32 content_add(const void *sector, u64 hash)
{
	if (content_count == content_room) {
		content_room = content_room ? 2 * content_room : 4096;
		contents = realloc(contents, (size_t)content_room * SECTOR);
		content_hashes = realloc(content_hashes,
					 content_room * sizeof(u64));
		if (!contents || !content_hashes)
			err(1, "contents");
	}
	memcpy(contents[content_count], sector, SECTOR);
	content_hashes[content_count] = hash;
	return content_count++;
}

/**
 * content_intern() - the number of a content
 * @sector: SECTOR bytes, aligned to 8
 */
u32 content_intern(const void *sector)
{
	static const u8 zero[SECTOR] __aligned(8);
	u64 hash = hash_bytes(sector);
	u32 slot;

	if (!content_count) {
		content_add(zero, hash_bytes(zero));
		content_rehash();
	}
	if (2 * content_count >= content_slots)
		content_rehash();
	slot = hash & (content_slots - 1);
	for (; content_table[slot]; slot = (slot + 1) & (content_slots - 1)) {
		u32 id = content_table[slot] - 1;

		if (content_hashes[id] == hash &&
		    !memcmp(contents[id], sector, SECTOR))
			return id;
	}
	content_table[slot] = content_count + 1;
	return content_add(sector, hash);
}

const u8 *content_bytes(u32 id)
{
	return contents[id];
}

u64 content_hash(u32 id)
{
	return content_hashes[id];
}

/**
 * content_torn() - a write that stopped inside a sector
 * @old: what was there
 * @new: what was written
 *
 * Return: the first part of @new before the rest of @old, different from both;
 * @new when they differ in one byte only.
 */
u32 content_torn(u32 old, u32 new)
{
	u8 mixed[SECTOR] __aligned(8);
	const u8 *a = contents[old], *b = contents[new];
	u32 first = 0, last = SECTOR - 1;

	if (old == new)
		return new;
	while (a[first] == b[first])
		first++;
	while (a[last] == b[last])
		last--;
	if (first == last)
		return new;
	first += (last - first + 1) / 2;
	memcpy(mixed, b, first);
	memcpy(mixed + first, a + first, SECTOR - first);
	return content_intern(mixed);
}

/* Zeros weigh nothing, so a sector of zeros and none at all are the same. */
u64 hash_sector(u64 sector, u32 id)
{
	return id == CONTENT_ZERO ? 0 :
		hash_mix(content_hashes[id] + sector * 0x9E3779B97F4A7C15ULL);
}

/* --- cells --- */

u32 disk_lower_bound(const struct disk *disk, u64 sector)
{
	u32 low = 0, high = disk->cells;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (disk->cell[middle].sector < sector)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct cell *disk_find(const struct disk *disk, u64 sector)
{
	u32 i = disk_lower_bound(disk, sector);

	return i < disk->cells && disk->cell[i].sector == sector ?
		&disk->cell[i] : NULL;
}

u32 disk_value(const struct disk *disk, u64 sector)
{
	const struct cell *cell = disk_find(disk, sector);

	return cell ? cell->v[cell->n - 1].id : CONTENT_ZERO;
}

u64 disk_size(const struct disk *disk)
{
	return disk->size[disk->sizes - 1].size;
}

static void add_version(struct disk *disk, struct cell *cell, u32 id)
{
	u32 i, n = 0;

	for (i = 0; i < cell->n; i++)
		if (cell->v[i].id != id)
			cell->v[n++] = cell->v[i];
	if (n == MAX_VERSIONS)
		errx(1, "a sector was written %u times without a flush", n);
	cell->v[n].id = id;
	cell->v[n].time = disk->time;
	cell->n = n + 1;
}

static struct cell *insert_cell(struct disk *disk, u64 sector)
{
	u32 i = disk_lower_bound(disk, sector);
	struct cell *cell;

	if (i < disk->cells && disk->cell[i].sector == sector)
		return &disk->cell[i];
	if (disk->cells == disk->room) {
		disk->room = disk->room ? 2 * disk->room : 128;
		disk->cell = realloc(disk->cell,
				     disk->room * sizeof(*disk->cell));
		if (!disk->cell)
			err(1, "disk");
	}
	cell = &disk->cell[i];
	memmove(cell + 1, cell, (disk->cells - i) * sizeof(*cell));
	disk->cells++;
	cell->sector = sector;
	cell->n = 1;
	cell->v[0].id = CONTENT_ZERO;
	cell->v[0].time = 0;
	return cell;
}

/* A stable value, whatever was there. */
void disk_set(struct disk *disk, u64 sector, u32 id)
{
	struct cell *cell;

	if (id == CONTENT_ZERO && !disk_find(disk, sector))
		return;
	cell = insert_cell(disk, sector);
	cell->n = 1;
	cell->v[0].id = id;
	cell->v[0].time = disk->time;
}

void disk_write(struct disk *disk, const void *buf, u64 length, u64 offset)
{
	u8 bytes[SECTOR] __aligned(8);
	u64 i;

	if (offset % SECTOR || length % SECTOR)
		errx(1, "a write that is not made of sectors");
	for (i = 0; i < length; i += SECTOR) {
		u32 id;

		memcpy(bytes, (const u8 *)buf + i, SECTOR);
		id = content_intern(bytes);
		if (id == CONTENT_ZERO &&
		    !disk_find(disk, (offset + i) / SECTOR))
			continue;
		add_version(disk, insert_cell(disk, (offset + i) / SECTOR), id);
	}
}

void disk_zero(struct disk *disk, u64 offset, u64 length)
{
	u32 i = disk_lower_bound(disk, offset / SECTOR);

	if (offset % SECTOR || length % SECTOR)
		errx(1, "zeroes what is not made of sectors");
	for (; i < disk->cells && disk->cell[i].sector <
	     (offset + length) / SECTOR; i++)
		add_version(disk, &disk->cell[i], CONTENT_ZERO);
}

void disk_resize(struct disk *disk, u64 size)
{
	u64 old = disk_size(disk);

	if (size < old)
		disk_zero(disk, size, old - size);
	if (disk->sizes == MAX_VERSIONS)
		errx(1, "the size was set %u times without a flush",
		     disk->sizes);
	if (size == old)
		return;
	disk->size[disk->sizes].size = size;
	disk->size[disk->sizes++].time = disk->time;
}

void disk_flush_range(struct disk *disk, u64 offset, u64 length)
{
	u32 i = disk_lower_bound(disk, offset / SECTOR);

	for (; i < disk->cells && disk->cell[i].sector <
	     (offset + length) / SECTOR; i++) {
		disk->cell[i].v[0] = disk->cell[i].v[disk->cell[i].n - 1];
		disk->cell[i].n = 1;
	}
}

void disk_flush(struct disk *disk)
{
	u32 i, n = 0;

	for (i = 0; i < disk->cells; i++) {
		struct cell *cell = &disk->cell[i];

		cell->v[0] = cell->v[cell->n - 1];
		cell->n = 1;
		if (cell->v[0].id == CONTENT_ZERO)
			continue;
		if (n != i)
			disk->cell[n] = *cell;
		n++;
	}
	disk->cells = n;
	disk->size[0] = disk->size[disk->sizes - 1];
	disk->sizes = 1;
}

/* --- what image/ calls --- */

static struct disk *disk_of(struct vhdx_file *file)
{
	return container_of(file, struct disk, file);
}

static int op_read(struct vhdx_file *file, void *buf, size_t len, u64 offset)
{
	struct disk *disk = disk_of(file);
	u32 i = disk_lower_bound(disk, offset / SECTOR);

	if (offset % SECTOR || len % SECTOR)
		errx(1, "a read that is not made of sectors");
	memset(buf, 0, len);
	for (; i < disk->cells; i++) {
		const struct cell *cell = &disk->cell[i];

		if (cell->sector >= (offset + len) / SECTOR)
			break;
		memcpy((u8 *)buf + (cell->sector * SECTOR - offset),
		       content_bytes(cell->v[cell->n - 1].id), SECTOR);
	}
	return 0;
}

static int op_size(struct vhdx_file *file, u64 *size)
{
	*size = disk_size(disk_of(file));
	return 0;
}

static int op_next_data(struct vhdx_file *file, u64 offset, u64 *data)
{
	struct disk *disk = disk_of(file);
	u32 i = disk_lower_bound(disk, offset / SECTOR);

	for (; i < disk->cells; i++) {
		const struct cell *cell = &disk->cell[i];

		if (cell->v[cell->n - 1].id == CONTENT_ZERO)
			continue;
		*data = max(offset, cell->sector * SECTOR);
		return 0;
	}
	*data = U64_MAX;
	return 0;
}

void disk_mark_written(struct disk *disk, u64 offset)
{
	u64 mib = offset / 0x100000;

	if (mib >= MAX_MIB)
		errx(1, "the file is too long");
	disk->written[mib / 64] |= 1ULL << mib % 64;
}

bool disk_was_written(const struct disk *disk, u64 sector)
{
	u64 mib = sector * SECTOR / 0x100000;

	return mib < MAX_MIB && disk->written[mib / 64] >> mib % 64 & 1;
}

static int run_op(struct disk *disk, enum disk_op op, const void *buf,
		  u64 offset, u64 length)
{
	int ret = 0;

	if (disk->hooks)
		ret = disk->hooks->before(disk, op, buf, offset, length);
	if (ret)
		return ret;
	disk->time++;
	switch (op) {
	case DISK_WRITE:
		disk_mark_written(disk, offset);
		disk_write(disk, buf, length, offset);
		break;
	case DISK_ZERO:
		disk_zero(disk, offset, length);
		break;
	case DISK_RESIZE:
		disk_resize(disk, offset);
		break;
	case DISK_ALLOCATE:
		if (offset + length > disk_size(disk))
			disk_resize(disk, offset + length);
		break;
	case DISK_FLUSH:
		disk_flush(disk);
		break;
	}
	if (disk->hooks)
		disk->hooks->after(disk, op, offset, length);
	return 0;
}

static int op_write(struct vhdx_file *file, const void *buf, size_t len,
		    u64 offset)
{
	return run_op(disk_of(file), DISK_WRITE, buf, offset, len);
}

static int op_flush(struct vhdx_file *file)
{
	return run_op(disk_of(file), DISK_FLUSH, NULL, 0, 0);
}

static int op_resize(struct vhdx_file *file, u64 size)
{
	return run_op(disk_of(file), DISK_RESIZE, NULL, size, 0);
}

static int op_allocate(struct vhdx_file *file, u64 offset, u64 len)
{
	return run_op(disk_of(file), DISK_ALLOCATE, NULL, offset, len);
}

static int op_zero(struct vhdx_file *file, u64 offset, u64 len, bool unmap)
{
	(void)unmap;
	return run_op(disk_of(file), DISK_ZERO, NULL, offset, len);
}

static int op_punch(struct vhdx_file *file, u64 offset, u64 len)
{
	return op_zero(file, offset, len, true);
}

static const struct vhdx_file_ops disk_ops = {
	.read = op_read,
	.size = op_size,
	.next_data = op_next_data,
	.write = op_write,
	.flush = op_flush,
	.resize = op_resize,
	.allocate = op_allocate,
	.zero = op_zero,
	.punch = op_punch,
};

void disk_init(struct disk *disk)
{
	memset(disk, 0, sizeof(*disk));
	disk->file.ops = &disk_ops;
	disk->sizes = 1;
}

void disk_free(struct disk *disk)
{
	free(disk->cell);
	disk->cell = NULL;
	disk->cells = 0;
	disk->room = 0;
}

/* What is on the disk; @to keeps its hooks. */
void disk_copy(struct disk *to, const struct disk *from)
{
	if (to->room < from->cells) {
		to->room = from->room;
		free(to->cell);
		to->cell = malloc(to->room * sizeof(*to->cell));
		if (!to->cell)
			err(1, "disk");
	}
	to->cells = from->cells;
	memcpy(to->cell, from->cell, from->cells * sizeof(*to->cell));
	to->sizes = from->sizes;
	memcpy(to->size, from->size, sizeof(to->size));
	memcpy(to->written, from->written, sizeof(to->written));
	to->time = from->time;
}

/* What a reader sees, as a sparse file. */
int disk_dump(const struct disk *disk, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	u32 i;

	if (fd < 0)
		return -1;
	if (ftruncate(fd, disk_size(disk)))
		goto fail;
	for (i = 0; i < disk->cells; i++) {
		const struct cell *cell = &disk->cell[i];
		u32 id = cell->v[cell->n - 1].id;

		if (id != CONTENT_ZERO &&
		    pwrite(fd, content_bytes(id), SECTOR,
			   cell->sector * SECTOR) != SECTOR)
			goto fail;
	}
	return close(fd);
fail:
	close(fd);
	return -1;
}
