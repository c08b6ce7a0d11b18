// SPDX-License-Identifier: GPL-2.0
#include <blkid/blkid.h>
#include <ctype.h>
#include <fcntl.h>
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <unistd.h>

#include "device.h"
#include "message.h"
#include "mountable.h"
#include "text.h"

static const char *const columns[] = {
	"NR", "SIZE", "TYPE", "LABEL", "UUID", "PARTLABEL"
};

static char *copy(const char *text)
{
	return text && *text ? text_memory(strdup(text)) : NULL;
}

static char *value(blkid_probe probe, const char *name)
{
	const char *data;

	if (blkid_probe_lookup_value(probe, name, &data, NULL))
		return NULL;
	return copy(data);
}

/* What is in it. Where two kinds of data contradict each other it is none. */
static void probe_content(struct mountable *mountable, blkid_probe probe)
{
	char *usage;

	blkid_probe_enable_superblocks(probe, 1);
	blkid_probe_set_superblocks_flags(probe,
					  BLKID_SUBLKS_LABEL |
					  BLKID_SUBLKS_UUID |
					  BLKID_SUBLKS_TYPE |
					  BLKID_SUBLKS_USAGE);
	if (blkid_do_safeprobe(probe))
		return;
	usage = value(probe, "USAGE");
	mountable->file_system = usage && !strcmp(usage, "filesystem");
	free(usage);
	mountable->type = value(probe, "TYPE");
	mountable->label = value(probe, "LABEL");
	mountable->uuid = value(probe, "UUID");
}

/* NULL, with errno set, when it cannot be looked into. */
static blkid_probe begin_probe(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	blkid_probe probe;

	if (fd < 0)
		return NULL;
	probe = text_memory(blkid_new_probe());
	if (!blkid_probe_set_device(probe, fd, 0, 0))
		return probe;
	blkid_free_probe(probe);
	close(fd);
	errno = EIO;
	return NULL;
}

static void end_probe(blkid_probe probe)
{
	int fd = blkid_probe_get_fd(probe);

	blkid_free_probe(probe);
	close(fd);
}

static int add(struct mountable_list *list, const struct mountable *mountable)
{
	struct mountable *new;
	blkid_probe probe;

	list->of_disk = text_memory(realloc(list->of_disk,
					    (list->count + 1) *
					    sizeof(*list->of_disk)));
	new = &list->of_disk[list->count++];
	*new = *mountable;
	probe = begin_probe(mountable->device);
	if (!probe)
		return message_fail_errno(mountable->device, "cannot look into it",
					  errno);
	probe_content(new, probe);
	end_probe(probe);
	return 0;
}

static int add_partitions(struct mountable_list *list, const char *device,
			  blkid_partlist partitions)
{
	int count = blkid_partlist_numof_partitions(partitions);
	int code = 0;

	for (int i = 0; !code && i < count; i++) {
		blkid_partition partition =
			blkid_partlist_get_partition(partitions, i);
		int number = blkid_partition_get_partno(partition);
		struct mountable mountable = {
			.number = number,
			.size = (u64)blkid_partition_get_size(partition) * 512,
		};

		/* That one only holds others. */
		if (blkid_partition_is_extended(partition))
			continue;
		mountable.device = text_printf("%sp%d", device, number);
		mountable.part_label = copy(blkid_partition_get_name(partition));
		mountable.part_uuid = copy(blkid_partition_get_uuid(partition));
		code = add(list, &mountable);
	}
	return code;
}

/**
 * mountable_find - find what is on a disk
 * @list: to be freed by mountable_free(), on failure too
 * @index: N of vhdxN
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int mountable_find(struct mountable_list *list, unsigned int index)
{
	char *device = device_path(index);
	blkid_partlist partitions;
	blkid_probe probe;
	int code = 0;

	*list = (struct mountable_list){ };
	probe = begin_probe(device);
	if (!probe) {
		code = message_fail_errno(device, "cannot look into it", errno);
		free(device);
		return code;
	}
	blkid_probe_enable_superblocks(probe, 0);
	blkid_probe_enable_partitions(probe, 1);
	partitions = blkid_probe_get_partitions(probe);
	if (partitions)
		code = add_partitions(list, device, partitions);
	if (!code && !list->count) {
		const struct mountable mountable = {
			.device = text_memory(strdup(device)),
			.size = (u64)blkid_probe_get_size(probe),
		};

		code = add(list, &mountable);
	}
	end_probe(probe);
	free(device);
	return code;
}

/* UUIDs are written in either case. */
static bool is_wanted(const struct mountable *mountable, const char *wanted)
{
	char *end;
	long number = strtol(wanted, &end, 10);

	if (!*end && isdigit((u8)*wanted))
		return mountable->number && mountable->number == number;
	return (mountable->label && !strcmp(mountable->label, wanted)) ||
	       (mountable->part_label &&
		!strcmp(mountable->part_label, wanted)) ||
	       (mountable->uuid && !strcasecmp(mountable->uuid, wanted)) ||
	       (mountable->part_uuid &&
		!strcasecmp(mountable->part_uuid, wanted));
}

static void set(struct libscols_line *line, size_t column, char *text)
{
	if (text && scols_line_refer_data(line, column, text))
		text_memory(NULL);
}

static void set_safe(struct libscols_line *line, size_t column,
		     const char *text)
{
	set(line, column, text ? text_for_terminal(text) : NULL);
}

/* To stderr, between a message and its hint. */
static void show(const struct mountable_list *list)
{
	struct libscols_table *table = text_memory(scols_new_table());

	scols_table_set_stream(table, stderr);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		text_memory(scols_table_new_column(table, columns[i], 0,
						   i < 2 ? SCOLS_FL_RIGHT : 0));
	for (size_t i = 0; i < list->count; i++) {
		const struct mountable *mountable = &list->of_disk[i];
		struct libscols_line *line =
			text_memory(scols_table_new_line(table, NULL));
		char size[TEXT_SIZE_LENGTH];

		text_size(size, mountable->size, TEXT_SIZE_SHORT);
		if (mountable->number)
			set(line, 0, text_printf("%d", mountable->number));
		set(line, 1, text_memory(strdup(size)));
		set_safe(line, 2, mountable->type);
		set_safe(line, 3, mountable->label);
		set_safe(line, 4, mountable->uuid);
		set_safe(line, 5, mountable->part_label);
	}
	scols_print_table(table);
	scols_unref_table(table);
}

/* What comes between such a thing and a file system. */
static void hint_other(const struct mountable *mountable)
{
	static const struct {
		const char *type;
		const char *command;
	} other[] = {
		{ "crypto_LUKS", "cryptsetup open" },
		{ "BitLocker", "cryptsetup open --type bitlk" },
		{ "LVM2_member", "vgchange -ay" },
		{ "linux_raid_member", "mdadm --assemble" },
	};

	for (size_t i = 0; mountable->type && i < ARRAY_SIZE(other); i++)
		if (!strcmp(mountable->type, other[i].type))
			message_hint("'vhdxctl attach' it, then '%s' gets at what is in it",
				     other[i].command);
}

static int refuse_other(const char *image, const struct mountable *mountable)
{
	char *what = mountable->number ?
		     text_printf("partition %d", mountable->number) :
		     text_printf("the disk, which has no partitions,");
	int code = mountable->type ?
		   message_fail(EX_UNAVAILABLE, image,
				"cannot mount: %s holds no file system but %s",
				what, mountable->type) :
		   message_fail(EX_UNAVAILABLE, image,
				"cannot mount: %s holds nothing that is known",
				what);

	hint_other(mountable);
	free(what);
	return code;
}

static int refuse_none(const struct mountable_list *list, const char *image,
		       const char *wanted)
{
	if (list->count == 1 && !wanted)
		return refuse_other(image, &list->of_disk[0]);
	if (!wanted)
		message_fail(EX_UNAVAILABLE, image,
			     "cannot mount: none of its partitions holds a file system");
	else if (!list->of_disk[0].number)
		message_fail(EX_NOINPUT, image,
			     "cannot mount: no %s: it has no partitions, all of the disk is one file system or other data",
			     wanted);
	else
		message_fail(EX_NOINPUT, image,
			     "cannot mount: no partition is %s, or has it as label or UUID",
			     wanted);
	show(list);
	return wanted ? EX_NOINPUT : EX_UNAVAILABLE;
}

/**
 * mountable_choose - choose what is to be mounted
 * @list: what there is
 * @image: the image, for messages
 * @wanted: number, label or UUID of the partition; NULL: the only one with a file
 *	system
 * @chosen: receives one of @list
 *
 * Return: 0, or the exit code; then the error and the choices were printed.
 */
int mountable_choose(const struct mountable_list *list, const char *image,
		     const char *wanted, const struct mountable **chosen)
{
	size_t count = 0;

	for (size_t i = 0; i < list->count; i++) {
		const struct mountable *mountable = &list->of_disk[i];

		if (wanted ? !is_wanted(mountable, wanted) :
			     !mountable->file_system)
			continue;
		*chosen = mountable;
		count++;
	}
	if (!count)
		return refuse_none(list, image, wanted);
	if (count > 1) {
		message_fail(EX_USAGE, image,
			     "cannot mount: more than one partition %s%s",
			     wanted ? "is " : "holds a file system",
			     wanted ? wanted : "");
		show(list);
		message_hint("choose one with -p NR, or with its label or UUID");
		return EX_USAGE;
	}
	if (!(*chosen)->file_system)
		return refuse_other(image, *chosen);
	return 0;
}

/**
 * mountable_free - free what was found
 * @list: the list
 */
void mountable_free(struct mountable_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		struct mountable *mountable = &list->of_disk[i];

		free(mountable->device);
		free(mountable->type);
		free(mountable->label);
		free(mountable->uuid);
		free(mountable->part_label);
		free(mountable->part_uuid);
	}
	free(list->of_disk);
}
