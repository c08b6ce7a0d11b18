// SPDX-License-Identifier: GPL-2.0
/*
 * The format that dm-log-writes leaves (the kernel's documentation, device-mapper,
 * log-writes): a sector that describes the log, then for each entry a sector
 * that describes it and its data.
 *
 * A write is in it when it has completed, behind the flush that was sent before
 * that; one with FUA at once. So all that lies before a FLUSH was stable when
 * that ended, and of what lies behind the last one nothing need be but FUA.
 */
#include <err.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "powercut.h"

#define MAGIC		0x6a736677736872ULL
#define VERSION		1

struct log_super {
	__le64 magic;
	__le64 version;
	__le64 entries;
	__le32 sector_size;
};

struct log_entry {
	__le64 sector;
	__le64 count;
	__le64 flags;
	__le64 text_length;	/* of a mark, behind this in the same sector */
};

/**
 * write_log_read() - read a log
 * @log: receives it
 * @path: the log's device, or a copy
 *
 * Ends the program when there is no whole log.
 */
void write_log_read(struct write_log *log, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const struct log_super *super;
	const struct entry *last;
	off_t size, pos = SECTOR;
	const u8 *map;
	u32 i;

	if (fd < 0)
		err(1, "%s", path);
	size = lseek(fd, 0, SEEK_END);
	map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		err(1, "%s", path);
	close(fd);
	super = (const void *)map;
	if (le64_to_cpu(super->magic) != MAGIC ||
	    le64_to_cpu(super->version) != VERSION ||
	    le32_to_cpu(super->sector_size) != SECTOR)
		errx(1, "%s: not a log of sectors of %u bytes", path, SECTOR);
	log->count = le64_to_cpu(super->entries);
	log->flushes = 0;
	log->entry = calloc(log->count, sizeof(*log->entry));
	if (!log->count || !log->entry)
		errx(1, "%s: no entries", path);

	for (i = 0; i < log->count; i++) {
		const struct log_entry *raw = (const void *)(map + pos);
		struct entry *entry = &log->entry[i];

		if (pos + SECTOR > size)
			errx(1, "%s: ends at entry %u", path, i);
		entry->sector = le64_to_cpu(raw->sector);
		entry->count = le64_to_cpu(raw->count);
		entry->flags = le64_to_cpu(raw->flags);
		pos += SECTOR;
		entry->data = map + pos;
		if (entry->flags & ENTRY_MARK)
			entry->data = (const void *)(raw + 1);
		else if (!(entry->flags & ENTRY_DISCARD))
			pos += (off_t)entry->count * SECTOR;
		log->flushes += !!(entry->flags & ENTRY_FLUSH);
	}
	/* The kernel's own mark: without it the log's device was full. */
	last = &log->entry[log->count - 1];
	if (!(last->flags & ENTRY_MARK) ||
	    strcmp((const char *)last->data, "dm-log-writes-end"))
		errx(1, "%s: not complete", path);
}
