// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "device.h"
#include "message.h"
#include "text.h"

#define PREFIX		"vhdx"
#define SYS_BLOCK	"/sys/block/"
#define SYS_DEV_BLOCK	"/sys/dev/block/"

/* "vhdxN", no other way to write the number, and nothing behind it */
static bool parse_name(const char *name, unsigned int *index)
{
	unsigned int value = 0;
	const char *p = name + strlen(PREFIX);

	if (strncmp(name, PREFIX, strlen(PREFIX)) || !isdigit((u8)*p))
		return false;
	if (*p == '0' && p[1])
		return false;
	for (; isdigit((u8)*p); p++) {
		if (value > (INT_MAX - 9) / 10)
			return false;
		value = 10 * value + (unsigned int)(*p - '0');
	}
	*index = value;
	return !*p;
}

/**
 * device_parse - the number in the name of a disk
 * @text: "/dev/vhdxN" or "vhdxN"; anything else is no name of a disk
 * @index: N
 *
 * Return: whether it is such a name; the disk need not exist.
 */
bool device_parse(const char *text, unsigned int *index)
{
	if (!strncmp(text, "/dev/", 5))
		text += 5;
	return parse_name(text, index);
}

/**
 * device_name - the name of a disk as the kernel says it
 * @name: where to
 * @index: N of vhdxN
 */
void device_name(char name[DEVICE_NAME_LENGTH], unsigned int index)
{
	snprintf(name, DEVICE_NAME_LENGTH, PREFIX "%u", index);
}

/**
 * device_path - the path of a disk's device node
 * @index: N of vhdxN
 *
 * Return: the path, which the caller frees.
 */
char *device_path(unsigned int index)
{
	return text_printf("/dev/" PREFIX "%u", index);
}

/**
 * device_attr - read an attribute of a disk
 * @index: N of vhdxN
 * @attr: below /sys/block/vhdxN: "size", "vhdx/backing_file"
 *
 * Return: its value without the newline that ends it, which the caller frees;
 * NULL: there is none, or the disk is gone.
 */
char *device_attr(unsigned int index, const char *attr)
{
	/* The kernel gives an attribute a page, of which there are 64 KiB. */
	size_t space = 65536;
	char *path = text_printf(SYS_BLOCK PREFIX "%u/%s", index, attr);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;
	char *value;

	free(path);
	if (fd < 0)
		return NULL;
	value = text_memory(malloc(space));
	n = read(fd, value, space - 1);
	close(fd);
	if (n < 0) {
		free(value);
		return NULL;
	}
	if (n && value[n - 1] == '\n')
		n--;
	value[n] = '\0';
	return value;
}

/**
 * device_attr_u64 - read an attribute that is a number
 * @index: N of vhdxN
 * @attr: as for device_attr()
 * @value: the number
 *
 * Return: whether it is there.
 */
bool device_attr_u64(unsigned int index, const char *attr, u64 *value)
{
	char *text = device_attr(index, attr);
	char *end = text;
	bool found;

	if (text)
		*value = strtoull(text, &end, 10);
	found = end != text;
	free(text);
	return found;
}

/**
 * device_attr_dev - read an attribute that is a device number
 * @index: N of vhdxN
 * @attr: as for device_attr()
 * @dev: the number
 *
 * Return: whether it is there.
 */
bool device_attr_dev(unsigned int index, const char *attr, dev_t *dev)
{
	char *text = device_attr(index, attr);
	unsigned int major, minor;
	bool found = text && sscanf(text, "%u:%u", &major, &minor) == 2;

	if (found)
		*dev = makedev(major, minor);
	free(text);
	return found;
}

/**
 * device_is_attached - whether there is such a disk
 * @index: N of vhdxN
 */
bool device_is_attached(unsigned int index)
{
	char *path = text_printf(SYS_BLOCK PREFIX "%u", index);
	bool found = !access(path, F_OK);

	free(path);
	return found;
}

/**
 * device_list_add - add a disk to a list
 * @list: the list
 * @index: N of vhdxN
 */
void device_list_add(struct device_list *list, unsigned int index)
{
	list->index = text_memory(realloc(list->index, (list->count + 1) *
					  sizeof(*list->index)));
	list->index[list->count++] = index;
}

static int compare(const void *a, const void *b)
{
	const unsigned int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/**
 * device_list_attached - all attached disks
 * @list: the disks, in the order of their numbers; empty where there is none
 */
void device_list_attached(struct device_list *list)
{
	DIR *dir = opendir(SYS_BLOCK);
	const struct dirent *entry;
	unsigned int index;

	*list = (struct device_list){ };
	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (parse_name(entry->d_name, &index))
			device_list_add(list, index);
	closedir(dir);
	if (list->count)
		qsort(list->index, list->count, sizeof(*list->index), compare);
}

/**
 * device_list_free - free what a list holds
 * @list: the list
 */
void device_list_free(struct device_list *list)
{
	free(list->index);
}

/**
 * device_of_node - the disk that a block device is, or is a partition of
 * @dev: of the block device
 * @index: N of vhdxN
 * @partition: whether it is one
 *
 * Return: whether it is one of our disks or of their partitions.
 */
bool device_of_node(dev_t dev, unsigned int *index, bool *partition)
{
	/* .../block/vhdxN or .../block/vhdxN/vhdxNpM */
	char target[PATH_MAX];
	char *link = text_printf(SYS_DEV_BLOCK "%u:%u", major(dev),
				 minor(dev));
	ssize_t n = readlink(link, target, sizeof(target) - 1);
	char *name, *parent;

	free(link);
	if (n < 0)
		return false;
	target[n] = '\0';
	name = strrchr(target, '/');
	if (!name)
		return false;
	*name++ = '\0';
	parent = strrchr(target, '/');
	*partition = parent && parse_name(parent + 1, index);
	return *partition || parse_name(name, index);
}

static bool is_backed_by(unsigned int index, const struct stat *st)
{
	dev_t dev;
	u64 ino;

	return device_attr_dev(index, "vhdx/backing_dev", &dev) &&
	       device_attr_u64(index, "vhdx/backing_ino", &ino) &&
	       dev == st->st_dev && ino == st->st_ino;
}

/**
 * device_list_of_image - all attached disks of an image
 * @list: the disks, in the order of their numbers; empty where there is none
 * @st: the image's file
 */
void device_list_of_image(struct device_list *list, const struct stat *st)
{
	struct device_list all;

	*list = (struct device_list){ };
	device_list_attached(&all);
	for (size_t i = 0; i < all.count; i++)
		if (is_backed_by(all.index[i], st))
			device_list_add(list, all.index[i]);
	device_list_free(&all);
}

static bool has_parent(unsigned int index, const struct stat *st)
{
	char *parents = device_attr(index, "vhdx/parents");
	char *next = parents;
	bool found = false;
	struct stat parent;
	char *path;

	while (!found && (path = strsep(&next, "\n")))
		found = *path == '/' && !stat(path, &parent) &&
			parent.st_dev == st->st_dev &&
			parent.st_ino == st->st_ino;
	free(parents);
	return found;
}

/**
 * device_list_of_parent - all attached disks that an image is a parent of
 * @list: the disks, in the order of their numbers; empty where there is none
 * @st: the image's file
 */
void device_list_of_parent(struct device_list *list, const struct stat *st)
{
	struct device_list all;

	*list = (struct device_list){ };
	device_list_attached(&all);
	for (size_t i = 0; i < all.count; i++)
		if (has_parent(all.index[i], st))
			device_list_add(list, all.index[i]);
	device_list_free(&all);
}

/**
 * device_find - the disks that an argument of the command line means
 * @arg: a disk (/dev/vhdxN, vhdxN or another name of its node) or an image
 * @list: a disk given by its name, attached or not; or all attached disks of
 *	the image. To be freed, in the case of an error too.
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int device_find(const char *arg, struct device_list *list)
{
	unsigned int index;
	bool partition;
	struct stat st;

	*list = (struct device_list){ };
	if (device_parse(arg, &index)) {
		device_list_add(list, index);
		return 0;
	}
	if (stat(arg, &st)) {
		int code = message_fail_errno(arg, "cannot find", errno);

		message_hint("'vhdxctl list' shows the attached disks");
		return code;
	}
	if (S_ISBLK(st.st_mode) && device_of_node(st.st_rdev, &index, &partition)) {
		if (partition) {
			message_fail(EX_USAGE, arg,
				     "not a disk: it is a partition");
			message_hint("its disk is /dev/" PREFIX "%u", index);
			return EX_USAGE;
		}
		device_list_add(list, index);
		return 0;
	}
	device_list_of_image(list, &st);
	if (!list->count)
		return message_fail(EX_NOINPUT, arg,
				    "not attached: no disk has this image");
	return 0;
}

/**
 * device_is_meant - whether an argument means an attached disk, not a file
 * @arg: as for device_find()
 *
 * Return: true when device_find() would find a disk, or say that there is none of
 * that number.
 */
bool device_is_meant(const char *arg)
{
	struct device_list list;
	unsigned int index;
	bool partition, found;
	struct stat st;

	if (device_parse(arg, &index))
		return true;
	if (stat(arg, &st))
		return false;
	if (S_ISBLK(st.st_mode) && device_of_node(st.st_rdev, &index, &partition))
		return true;
	device_list_of_image(&list, &st);
	found = list.count;
	device_list_free(&list);
	return found;
}

/**
 * device_find_one - the one disk that an argument of the command line means
 * @arg: as for device_find()
 * @list: as for device_find(), with one disk
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int device_find_one(const char *arg, struct device_list *list)
{
	int code = device_find(arg, list);

	if (code || list->count == 1)
		return code;
	message_fail(EX_USAGE, arg, "attached as more than one disk");
	message_hint("name one of them, such as /dev/" PREFIX "%u",
		     list->index[0]);
	return EX_USAGE;
}
