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

#define GPT_SIGNATURE	0x5452415020494645ULL	/* "EFI PART" */
/* The usual 128 of them. */
#define GPT_ENTRIES	16384U
/* A disk of more is none, and sums of less do not overflow. */
#define MAX_SIZE	(U64_MAX / 4)

/* The start of it; the other fields are libblkid's to judge. */
struct gpt_header {
	__le64 signature;
	u8 other[32];
	__le64 first_usable_lba;
	__le64 last_usable_lba;
} __packed;

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

/* Of the disk's start; what lies behind it reads as zeros, up to size. */
static int copy_start(struct source *source, u64 length, u64 size, int *fd)
{
	*fd = memfd_create("vhdxctl", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, (off_t)size))
		return message_fail_errno(source->path, "cannot copy its ends",
					  errno);
	return copy_range(source, *fd, 0, min(source->size, length));
}

static int copy_ends(struct source *source, int *fd)
{
	u64 end = min(source->size, COPIED);
	int code = copy_start(source, end, source->size, fd);

	if (!code)
		code = copy_range(source, *fd,
				  max(end, source->size - end), source->size);
	return code;
}

static bool read_gpt_header(int fd, u32 sector, struct gpt_header *header)
{
	return pread(fd, header, sizeof(*header), sector) == sizeof(*header) &&
	       le64_to_cpu(header->signature) == GPT_SIGNATURE;
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

static blkid_probe new_probe(int fd, u32 sector)
{
	blkid_probe pr = blkid_new_probe();

	if (pr && !blkid_probe_set_device(pr, fd, 0, 0) &&
	    !blkid_probe_set_sectorsize(pr, sector) &&
	    !blkid_probe_enable_partitions(pr, 1))
		return pr;
	blkid_free_probe(pr);
	return NULL;
}

static int probe(struct layout *layout, blkid_probe probe)
{
	blkid_parttable table;
	blkid_partlist list;
	const char *type;

	list = blkid_probe_get_partitions(probe);
	table = list ? blkid_partlist_get_table(list) : NULL;
	if (table) {
		/* Of a GPT it may have read only the backup. */
		layout->kind = strcmp(blkid_parttable_get_type(table), "gpt") ?
			       LAYOUT_PARTITIONS : LAYOUT_DAMAGED_GPT;
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
	} else if (!blkid_probe_lookup_value(probe, "PTTYPE", &type, NULL)) {
		/* A protective MBR, which is no table to libblkid. */
		layout->kind = LAYOUT_DAMAGED_GPT;
	}
	return 0;
}

static u64 backup_size(u32 sector)
{
	return GPT_ENTRIES + sector;
}

/*
 * libblkid does not find a GPT that says that it can use more than the disk has, as
 * after a shrink, so it sees a disk that ends where the GPT says. A backup is not
 * there, so what it finds is the primary one.
 */
static int probe_primary(struct layout *layout, int fd, u32 sector)
{
	struct gpt_header header;
	blkid_parttable table;
	blkid_partlist list;
	blkid_probe pr;
	u64 first, last;

	if (!read_gpt_header(fd, sector, &header))
		return 0;
	layout->kind = LAYOUT_DAMAGED_GPT;
	first = le64_to_cpu(header.first_usable_lba);
	last = le64_to_cpu(header.last_usable_lba);
	if (!first || first > last || last >= MAX_SIZE / sector)
		return 0;
	if (ftruncate(fd, (off_t)((last + 1) * sector)))
		return -EIO;
	pr = new_probe(fd, sector);
	if (!pr)
		return -EIO;
	blkid_probe_set_partitions_flags(pr, BLKID_PARTS_FORCE_GPT);
	list = blkid_probe_get_partitions(pr);
	table = list ? blkid_partlist_get_table(list) : NULL;
	if (table && !strcmp(blkid_parttable_get_type(table), "gpt")) {
		layout->kind = LAYOUT_GPT;
		layout->gpt.sector = sector;
		layout->gpt.usable = (last + 1) * sector;
		/* It leaves as much behind as there is before. */
		layout->gpt.room = max((first - 1) * sector, backup_size(sector));
		find_end(layout, list);
	}
	blkid_free_probe(pr);
	return 0;
}

static u32 other_sector(u32 sector)
{
	return sector == 512 ? 4096 : 512;
}

/* The disk may have been copied to one with other sectors. */
static int find_gpt(struct layout *layout, int fd, u32 sector)
{
	int ret;

	if (layout->kind != LAYOUT_EMPTY && layout->kind != LAYOUT_DAMAGED_GPT)
		return 0;
	ret = probe_primary(layout, fd, sector);
	if (!ret && !layout->gpt.sector)
		ret = probe_primary(layout, fd, other_sector(sector));
	return ret;
}

static int probe_fd(struct layout *layout, const char *path, int fd, u32 sector)
{
	blkid_probe pr = new_probe(fd, sector);
	int ret = pr ? probe(layout, pr) : -EIO;

	blkid_free_probe(pr);
	if (!ret)
		ret = find_gpt(layout, fd, sector);
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
		code = probe_fd(layout, source->path, fd, source->logical_sector);
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
		code = layout_of_source(layout, &source);
	source_close(&source);
	return code;
}

/**
 * layout_warn_sectors - say that a copy of a disk has not the sectors its GPT counts
 * @source: open
 * @copy: the name of the copy
 * @sector: bytes that its sectors will have
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int layout_warn_sectors(struct source *source, const char *copy, u32 sector)
{
	const u32 other = other_sector(sector);
	const u64 length = 2 * max(sector, other);
	struct gpt_header header;
	int fd = -1;
	int code = copy_start(source, length, length, &fd);

	if (!code && !read_gpt_header(fd, sector, &header) &&
	    read_gpt_header(fd, other, &header))
		message_warn(copy,
			     "the disk has a GPT for sectors of %u bytes, and gets ones of %u: its partitions will not be found",
			     other, sector);
	if (fd >= 0)
		close(fd);
	return code;
}

/**
 * layout_repair - find out what makes a GPT fit another size of the disk
 * @layout: of LAYOUT_GPT
 * @size: bytes
 *
 * Return: that.
 */
enum layout_repair layout_repair(const struct layout *layout, u64 size)
{
	const struct layout_gpt *gpt = &layout->gpt;

	if (size >= gpt->usable && size >= layout->end + backup_size(gpt->sector))
		return LAYOUT_REPAIR_MOVE;
	return size < layout->end + gpt->room ? LAYOUT_REPAIR_NONE :
						LAYOUT_REPAIR_FIT;
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
