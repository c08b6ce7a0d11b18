// SPDX-License-Identifier: GPL-2.0
/*
 * libblkid looks into a file descriptor, and an image's disk has none. It gets a
 * copy of both ends of the disk, with a hole between: there is all that it reads.
 */
#include <blkid/blkid.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "layout.h"
#include "message.h"

/* Of each end. */
#define COPIED	(4 * VHDX_MIB)

static int copy_range(struct source *source, int fd, u64 from, u64 to)
{
	struct source_piece piece;
	int code = 0;
	void *buf = text_memory(malloc(COPIED));

	for (u64 pos = from; !code && pos < to; pos += piece.length) {
		code = source_next(source, pos, to - pos, &piece);
		if (code || !piece.data)
			continue;
		code = source_read(source, &piece, buf, 0, piece.length);
		if (!code && pwrite(fd, buf, piece.length, (off_t)pos) !=
			     (ssize_t)piece.length)
			code = message_fail_errno(source->path,
						  "cannot copy its ends", errno);
	}
	free(buf);
	return code;
}

static int copy_ends(struct source *source, int *fd)
{
	u64 head = min(source->size, COPIED);
	u64 tail = max(head, source->size - min(source->size, COPIED));
	int code;

	*fd = memfd_create("vhdxctl", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, (off_t)source->size))
		return message_fail_errno(source->path, "cannot copy its ends",
					  errno);
	code = copy_range(source, *fd, 0, head);
	if (!code)
		code = copy_range(source, *fd, tail, source->size);
	return code;
}

static void find_end(struct layout *layout, blkid_partlist list)
{
	int count = blkid_partlist_numof_partitions(list);

	for (int i = 0; i < count; i++) {
		blkid_partition part = blkid_partlist_get_partition(list, i);
		/* In units of 512 bytes, whatever the disk's sectors are. */
		u64 end = ((u64)blkid_partition_get_start(part) +
			   (u64)blkid_partition_get_size(part)) * 512;

		layout->end = max(layout->end, end);
	}
}

static int probe(struct layout *layout, blkid_probe probe)
{
	blkid_parttable table;
	blkid_partlist list;
	const char *type;

	blkid_probe_enable_partitions(probe, 1);
	list = blkid_probe_get_partitions(probe);
	table = list ? blkid_partlist_get_table(list) : NULL;
	if (table) {
		layout->kind = strcmp(blkid_parttable_get_type(table), "gpt") ?
			       LAYOUT_PARTITIONS : LAYOUT_GPT;
		find_end(layout, list);
		return 0;
	}
	blkid_probe_enable_superblocks(probe, 1);
	blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE);
	if (blkid_do_safeprobe(probe) < 0)
		return -EIO;
	if (!blkid_probe_lookup_value(probe, "TYPE", &type, NULL)) {
		layout->kind = LAYOUT_WHOLE;
		layout->type = text_printf("%s", type);
	}
	return 0;
}

static int probe_fd(struct layout *layout, const char *path, int fd, u64 size,
		    u32 sector)
{
	blkid_probe pr = blkid_new_probe();
	int ret;

	*layout = (struct layout){ };
	if (!pr || blkid_probe_set_device(pr, fd, 0, (blkid_loff_t)size) ||
	    blkid_probe_set_sectorsize(pr, sector))
		ret = -EIO;
	else
		ret = probe(layout, pr);
	blkid_free_probe(pr);
	return ret ? message_fail(EXIT_FAILURE, path,
				  "cannot find out what is on the disk") : 0;
}

/**
 * layout_of_source - find out what lies on a disk
 * @layout: receives it; to be freed by layout_free()
 * @source: open
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int layout_of_source(struct layout *layout, struct source *source)
{
	int fd = -1;
	int code;

	*layout = (struct layout){ };
	code = copy_ends(source, &fd);
	if (!code)
		code = probe_fd(layout, source->path, fd, source->size,
				source->logical_sector);
	if (fd >= 0)
		close(fd);
	return code;
}

/**
 * layout_of_device - find out what lies on a block device
 * @layout: receives it; to be freed by layout_free()
 * @path: of the device
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int layout_of_device(struct layout *layout, const char *path)
{
	struct source source;
	const struct source_options options = {
		.format = SOURCE_RAW,
		.unlocked = true,
	};
	int code;

	*layout = (struct layout){ };
	code = source_open(&source, path, &options);
	if (!code)
		code = probe_fd(layout, path, source.chain.image[0]->file.fd,
				source.size, source.logical_sector);
	source_close(&source);
	return code;
}

/**
 * layout_free - free what was found out
 * @layout: zeroed, or filled in
 */
void layout_free(struct layout *layout)
{
	free(layout->type);
	layout->type = NULL;
}
