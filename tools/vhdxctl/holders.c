// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "holders.h"
#include "image_lock.h"
#include "text.h"

#define GOING_TRIES	50
#define GOING_TRY_MS	100

static void add(struct holders *holders, char *text)
{
	char *old = holders->text;

	if (old) {
		holders->text = text_printf("%s, %s", old, text);
		free(old);
		free(text);
	} else {
		holders->text = text;
	}
}

/* Who uses a disk, by the name of what is used. user and text are given away. */
static void add_holder(struct holders *holders, enum holder_kind kind,
		       const char *name, char *user, int pid, char *text)
{
	holders->of_disk = text_memory(realloc(holders->of_disk,
					       (holders->count + 1) *
					       sizeof(*holders->of_disk)));
	holders->of_disk[holders->count++] = (struct holder){
		.kind = kind,
		.device = text_printf("/dev/%s", name),
		.user = user,
		.pid = pid,
		.text = text,
	};
	add(holders, text_printf("%s", text));
}

/* Whether a path is a node of this block device. */
static bool is_node(const char *path, dev_t dev)
{
	struct stat st;

	return path && path[0] == '/' && !stat(path, &st) &&
	       S_ISBLK(st.st_mode) && st.st_rdev == dev;
}

static void find_mounts(struct holders *holders, const char *name, dev_t dev)
{
	struct libmnt_table *table =
		mnt_new_table_from_file("/proc/self/mountinfo");
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;

	while (table && iter && !mnt_table_next_fs(table, iter, &fs)) {
		/* btrfs has a device number of its own, but says its source */
		if (mnt_fs_get_devno(fs) != dev &&
		    !is_node(mnt_fs_get_srcpath(fs), dev))
			continue;
		add_holder(holders, HOLDER_MOUNT, name,
			   text_printf("%s", mnt_fs_get_target(fs)), 0,
			   text_printf("/dev/%s is mounted on %s", name,
				       mnt_fs_get_target(fs)));
		if (!holders->command)
			holders->command = text_printf("umount %s",
						       mnt_fs_get_target(fs));
	}
	mnt_free_iter(iter);
	mnt_unref_table(table);
}

/* Device mapper, MD and the like, by what sysfs says. */
static void find_stacked(struct holders *holders, const char *name,
			 const char *sysfs)
{
	char *path = text_printf("%s/holders", sysfs);
	DIR *dir = opendir(path);
	const struct dirent *entry;

	free(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		add_holder(holders, HOLDER_DEVICE, name,
			   text_printf("/dev/%s", entry->d_name), 0,
			   text_printf("/dev/%s is part of /dev/%s", name,
				       entry->d_name));
	}
	if (dir)
		closedir(dir);
}

/* The same block device, by whatever node, or the same file. */
static bool is_same(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode))
		return S_ISBLK(b->st_mode) && a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool is_for_writing(const char *pid, const char *fd)
{
	char *path = text_printf("/proc/%s/fdinfo/%s", pid, fd);
	FILE *file = fopen(path, "re");
	unsigned int flags = 0;

	free(path);
	if (!file)
		return false;
	if (fscanf(file, "pos: %*u flags: %o", &flags) != 1)
		flags = 0;
	fclose(file);
	return (flags & O_ACCMODE) != O_RDONLY;
}

static bool process_has_open(const char *pid, const struct stat *what,
			     bool writers)
{
	char *path = text_printf("/proc/%s/fd", pid);
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool found = false;
	struct stat st;

	free(path);
	while (dir && !found && (entry = readdir(dir)))
		found = !fstatat(dirfd(dir), entry->d_name, &st, 0) &&
			is_same(what, &st) &&
			(!writers || is_for_writing(pid, entry->d_name));
	if (dir)
		closedir(dir);
	return found;
}

/* disk: the name of what they have open, or NULL for an image; writers: these alone */
static void find_processes(struct holders *holders, const char *disk,
			   const struct stat *what, bool writers)
{
	DIR *dir = opendir("/proc");
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char comm[64] = "";
		char *path;
		FILE *file;

		if (!isdigit((u8)entry->d_name[0]) ||
		    atoi(entry->d_name) == getpid() ||
		    !process_has_open(entry->d_name, what, writers))
			continue;
		path = text_printf("/proc/%s/comm", entry->d_name);
		file = fopen(path, "re");
		free(path);
		if (file) {
			if (fgets(comm, sizeof(comm), file))
				comm[strcspn(comm, "\n")] = '\0';
			fclose(file);
		}
		if (disk)
			add_holder(holders, HOLDER_PROCESS, disk,
				   text_printf("%s", comm), atoi(entry->d_name),
				   text_printf("/dev/%s is open in process %s (%s)",
					       disk, entry->d_name, comm));
		else
			add(holders, text_printf("it is open in process %s (%s)",
						 entry->d_name, comm));
	}
	if (dir)
		closedir(dir);
}

/* Of the disk itself or of one partition. */
static void find_of_part(struct holders *holders, const char *name,
			 const char *sysfs, dev_t dev, bool lasting)
{
	struct stat node = { .st_mode = S_IFBLK, .st_rdev = dev };

	if (lasting) {
		find_mounts(holders, name, dev);
		find_stacked(holders, name, sysfs);
		return;
	}
	find_processes(holders, name, &node, false);
}

static void find_of_disk(struct holders *holders, unsigned int index,
			 bool lasting)
{
	char name[DEVICE_NAME_LENGTH];
	const struct dirent *entry;
	char *sysfs;
	dev_t dev;
	DIR *dir;

	device_name(name, index);
	sysfs = text_printf("/sys/block/%s", name);
	if (device_attr_dev(index, "dev", &dev))
		find_of_part(holders, name, sysfs, dev, lasting);
	dir = opendir(sysfs);
	while (dir && (entry = readdir(dir))) {
		char *attr = text_printf("%s/dev", entry->d_name);
		char *path = text_printf("%s/%s", sysfs, entry->d_name);

		/* Its partitions are the directories named after it. */
		if (!strncmp(entry->d_name, name, strlen(name)) &&
		    device_attr_dev(index, attr, &dev))
			find_of_part(holders, entry->d_name, path, dev,
				     lasting);
		free(path);
		free(attr);
	}
	if (dir)
		closedir(dir);
	free(sysfs);
}

/**
 * holders_find_lasting - find what holds a disk until somebody changes that
 * @holders: to be freed by holders_free(). Receives mounts of, and other
 *	block devices on, the disk or one of its partitions; mounts in other
 *	mount namespaces stay unseen.
 * @index: N of vhdxN
 *
 * Return: whether there is one.
 */
bool holders_find_lasting(struct holders *holders, unsigned int index)
{
	*holders = (struct holders){ };
	find_of_disk(holders, index, true);
	return holders->text;
}

/**
 * holders_find_processes - find who has a disk open
 * @holders: initialised; receives the processes that have the disk or one of
 *	its partitions open. Costs a look at every process.
 * @index: N of vhdxN
 */
void holders_find_processes(struct holders *holders, unsigned int index)
{
	find_of_disk(holders, index, false);
}

static void add_disks(struct holders *holders, const char *how,
		      const struct device_list *disks)
{
	for (size_t i = 0; i < disks->count; i++) {
		char *path = device_path(disks->index[i]);

		add(holders, text_printf("%s %s", how, path));
		if (!holders->command)
			holders->command = text_printf("vhdxctl detach %s",
						       path);
		free(path);
	}
}

static bool is_loop_that_writes(const char *device, const struct stat *what)
{
	struct loop_info64 info;
	bool found;
	int fd = open(device, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	found = !ioctl(fd, LOOP_GET_STATUS64, &info) &&
		!(info.lo_flags & LO_FLAGS_READ_ONLY) &&
		info.lo_device == what->st_dev && info.lo_inode == what->st_ino;
	close(fd);
	return found;
}

static void find_loops(struct holders *holders, const struct stat *what)
{
	DIR *dir = opendir("/sys/block");
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char *device = text_printf("/dev/%s", entry->d_name);

		if (!strncmp(entry->d_name, "loop", 4) &&
		    is_loop_that_writes(device, what)) {
			add(holders, text_printf("it is the file of %s", device));
			if (!holders->command)
				holders->command = text_printf("losetup -d %s",
							       device);
		}
		free(device);
	}
	if (dir)
		closedir(dir);
}

static void find_of_image(struct holders *holders, const struct stat *st,
			  bool writers)
{
	struct device_list disks;

	*holders = (struct holders){ };
	device_list_of_image(&disks, st);
	add_disks(holders, "it is attached as", &disks);
	device_list_free(&disks);
	device_list_of_parent(&disks, st);
	add_disks(holders, "it is a parent of", &disks);
	device_list_free(&disks);
	find_loops(holders, st);
	find_processes(holders, NULL, st, writers);
}

/**
 * holders_find_of_image - find who uses the file of an image
 * @holders: to be freed by holders_free(). Receives the disks that it is
 *	attached as or a parent of, the loop devices that may write to it, and the
 *	processes that have it open, this one left out. Costs a look at every process.
 * @st: the image's file
 */
void holders_find_of_image(struct holders *holders, const struct stat *st)
{
	find_of_image(holders, st, false);
}

/*
 * A disk that goes by itself has its file until a moment after nobody finds it there
 * any more. So whoever is not to be found is waited for, some seconds.
 */
static bool may_be_going(const struct holders *holders, int tries)
{
	const struct timespec pause = { .tv_nsec = GOING_TRY_MS * 1000000 };

	if (holders->text || tries == GOING_TRIES)
		return false;
	nanosleep(&pause, NULL);
	return true;
}

/**
 * holders_lock_image - lock an image as image_lock() does, or find who prevents it
 * @holders: to be freed by holders_free() after -EAGAIN
 * @fd: the image, open for reading at least
 * @st: of it
 * @writable: whether it will be written
 *
 * Return: as image_lock().
 */
int holders_lock_image(struct holders *holders, int fd, const struct stat *st,
		       bool writable)
{
	int tries = 0;
	int ret;

	do {
		ret = image_lock(fd, writable);
		if (ret != -EAGAIN)
			return ret;
		holders_find_of_image(holders, st);
	} while (may_be_going(holders, tries++));
	return ret;
}

/**
 * holders_find_writers - find who has a file open for writing, locked or not
 * @holders: to be freed by holders_free(), whatever is returned
 * @pf: the file, which this process has open for reading only
 *
 * Not everybody who writes to an image knows of QEMU's locks.
 *
 * Return: whether somebody has; false where it cannot be found out, see
 * posix_file_has_others().
 */
bool holders_find_writers(struct holders *holders, const struct posix_file *pf)
{
	int tries = 0;

	*holders = (struct holders){ };
	do {
		if (!posix_file_has_others(pf, true))
			return false;
		find_of_image(holders, &pf->stat, true);
	} while (may_be_going(holders, tries++));
	return true;
}

/**
 * holders_text - who uses it, for a message
 * @holders: what was found
 *
 * Return: all of them in words, or that none was found.
 */
const char *holders_text(const struct holders *holders)
{
	return holders->text ? holders->text :
			       "it is in use, where could not be found out";
}

/**
 * holders_free - free what was found
 * @holders: the holders
 */
void holders_free(struct holders *holders)
{
	for (size_t i = 0; i < holders->count; i++) {
		free(holders->of_disk[i].device);
		free(holders->of_disk[i].user);
		free(holders->of_disk[i].text);
	}
	free(holders->of_disk);
	free(holders->text);
	free(holders->command);
}
