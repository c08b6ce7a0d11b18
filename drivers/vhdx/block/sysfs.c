// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/block/vhdxN/vhdx/: what losetup shows of a loop device, and what there is
 * to say of an image. The attributes come and go with the disk, so it has an image
 * and a file whenever one is read.
 */
#include <linux/sysfs.h>

#include "block.h"

static struct vhdx_device *to_device(struct device *dev)
{
	return dev_to_disk(dev)->private_data;
}

static ssize_t backing_file_show(struct device *dev,
				 struct device_attribute *attr, char *buf)
{
	/* One byte for the newline. */
	char *path = file_path(to_device(dev)->backing->io, buf, PAGE_SIZE - 1);
	size_t length;

	if (IS_ERR(path))
		return PTR_ERR(path);
	length = strlen(path);
	memmove(buf, path, length);
	buf[length++] = '\n';
	return length;
}
static DEVICE_ATTR_RO(backing_file);

static ssize_t backing_dev_show(struct device *dev,
				struct device_attribute *attr, char *buf)
{
	dev_t devt = to_device(dev)->backing->dev;

	return sysfs_emit(buf, "%u:%u\n", MAJOR(devt), MINOR(devt));
}
static DEVICE_ATTR_RO(backing_dev);

static ssize_t backing_ino_show(struct device *dev,
				struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", to_device(dev)->backing->ino);
}
static DEVICE_ATTR_RO(backing_ino);

static ssize_t ro_show(struct device *dev, struct device_attribute *attr,
		       char *buf)
{
	return sysfs_emit(buf, "%d\n", get_disk_ro(dev_to_disk(dev)));
}
static DEVICE_ATTR_RO(ro);

static ssize_t autoclear_show(struct device *dev,
			      struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", READ_ONCE(to_device(dev)->autoclear) !=
			  VHDX_AUTOCLEAR_OFF);
}
static DEVICE_ATTR_RO(autoclear);

static ssize_t discard_show(struct device *dev, struct device_attribute *attr,
			    char *buf)
{
	return sysfs_emit(buf, "%d\n", to_device(dev)->discard);
}
static DEVICE_ATTR_RO(discard);

static ssize_t dio_show(struct device *dev, struct device_attribute *attr,
			char *buf)
{
	return sysfs_emit(buf, "%d\n", to_device(dev)->backing->dio);
}
static DEVICE_ATTR_RO(dio);

/* --- what the image says; it may be another one from one look to the next --- */

static ssize_t show_image(struct device *dev, char *buf,
			  ssize_t (*emit)(const struct vhdx_image *image,
					  char *buf))
{
	struct vhdx_device *device = to_device(dev);
	ssize_t length;

	mutex_lock(&device->image_lock);
	length = emit(device->image, buf);
	mutex_unlock(&device->image_lock);
	return length;
}

#define VHDX_IMAGE_ATTR(name)						\
static ssize_t name##_show(struct device *dev,				\
			   struct device_attribute *attr, char *buf)	\
{									\
	return show_image(dev, buf, name##_emit);			\
}									\
static DEVICE_ATTR_RO(name)

/*
 * A line each, the image's own parent first. Where a page ends before they do,
 * the last line is "...", which is no path.
 */
static ssize_t parents_emit(const struct vhdx_image *image, char *buf)
{
	const size_t room = PAGE_SIZE - sizeof("...\n");
	size_t at = 0, length;
	const char *path;

	for (image = image->parent; image; image = image->parent) {
		/* The newline takes the place of the NUL. */
		path = file_path(vhdx_backing_of(image)->io, buf + at,
				 room - at);
		if (IS_ERR(path))
			return at + sysfs_emit_at(buf, at, "...\n");
		length = strlen(path);
		memmove(buf + at, path, length);
		at += length;
		buf[at++] = '\n';
	}
	return at;
}
VHDX_IMAGE_ATTR(parents);

static ssize_t type_emit(const struct vhdx_image *image, char *buf)
{
	return sysfs_emit(buf, "%s\n", vhdx_image_type(image));
}
VHDX_IMAGE_ATTR(type);

static ssize_t disk_id_emit(const struct vhdx_image *image, char *buf)
{
	char guid[VHDX_GUID_CHARS + 1];

	vhdx_guid_print(guid, &image->metadata.virtual_disk_id);
	return sysfs_emit(buf, "%s\n", guid);
}
VHDX_IMAGE_ATTR(disk_id);

static ssize_t block_size_emit(const struct vhdx_image *image, char *buf)
{
	return sysfs_emit(buf, "%u\n", image->metadata.block_size);
}
VHDX_IMAGE_ATTR(block_size);

static ssize_t log_state_emit(const struct vhdx_image *image, char *buf)
{
	static const char * const name[] = {
		[VHDX_LOG_CLEAN] = "clean",
		[VHDX_LOG_DIRTY] = "dirty",
		[VHDX_LOG_REPLAYED] = "replayed in memory",
		[VHDX_LOG_FAILED] = "failed",
	};

	return sysfs_emit(buf, "%s\n", name[vhdx_image_log_state(image)]);
}
VHDX_IMAGE_ATTR(log_state);

static ssize_t allocated_emit(const struct vhdx_image *image, char *buf)
{
	return sysfs_emit(buf, "%llu\n", vhdx_image_allocated(image));
}
VHDX_IMAGE_ATTR(allocated);

static ssize_t file_size_emit(const struct vhdx_image *image, char *buf)
{
	return sysfs_emit(buf, "%llu\n", READ_ONCE(image->file_size));
}
VHDX_IMAGE_ATTR(file_size);

static ssize_t cut_blocks_emit(const struct vhdx_image *image, char *buf)
{
	u64 count = 0;

	for (; image; image = image->parent)
		count += image->counts.cut;
	return sysfs_emit(buf, "%llu\n", count);
}
VHDX_IMAGE_ATTR(cut_blocks);

static ssize_t new_blocks_emit(const struct vhdx_image *image, char *buf)
{
	return sysfs_emit(buf, "%llu\n", READ_ONCE(image->stats.new_blocks));
}
VHDX_IMAGE_ATTR(new_blocks);

static ssize_t commits_emit(const struct vhdx_image *image, char *buf)
{
	return sysfs_emit(buf, "%llu\n", READ_ONCE(image->stats.commits));
}
VHDX_IMAGE_ATTR(commits);

static ssize_t generations_emit(const struct vhdx_image *image, char *buf)
{
	return sysfs_emit(buf, "%llu\n", READ_ONCE(image->stats.generations));
}
VHDX_IMAGE_ATTR(generations);

static ssize_t flushes_emit(const struct vhdx_image *image, char *buf)
{
	return sysfs_emit(buf, "%llu\n", READ_ONCE(image->stats.flushes));
}
VHDX_IMAGE_ATTR(flushes);

static ssize_t replayed_show(struct device *dev, struct device_attribute *attr,
			     char *buf)
{
	return sysfs_emit(buf, "%llu\n", to_device(dev)->replayed);
}
static DEVICE_ATTR_RO(replayed);

/* --- requests, by kind --- */

static ssize_t show_count(struct device *dev, char *buf,
			  enum vhdx_request_kind kind)
{
	struct vhdx_device *device = to_device(dev);
	u64 count = 0;
	int i;

	for (i = 0; i < VHDX_MAX_QUEUES; i++)
		count += (u64)atomic64_read(&device->queue[i].count[kind]);
	return sysfs_emit(buf, "%llu\n", count);
}

#define VHDX_COUNT_ATTR(name, kind)					\
static ssize_t name##_show(struct device *dev,				\
			   struct device_attribute *attr, char *buf)	\
{									\
	return show_count(dev, buf, kind);				\
}									\
static DEVICE_ATTR_RO(name)

VHDX_COUNT_ATTR(reads, VHDX_COUNT_READ);
VHDX_COUNT_ATTR(reads_of_zeros, VHDX_COUNT_READ_ZEROS);
VHDX_COUNT_ATTR(writes, VHDX_COUNT_WRITE);
VHDX_COUNT_ATTR(fua_writes, VHDX_COUNT_FUA);
VHDX_COUNT_ATTR(flush_requests, VHDX_COUNT_FLUSH);
VHDX_COUNT_ATTR(discards, VHDX_COUNT_DISCARD);
VHDX_COUNT_ATTR(write_zeroes, VHDX_COUNT_WRITE_ZEROES);
VHDX_COUNT_ATTR(commit_waits, VHDX_COUNT_COMMIT_WAIT);
VHDX_COUNT_ATTR(errors, VHDX_COUNT_ERROR);

static struct attribute *vhdx_device_attrs[] = {
	&dev_attr_backing_file.attr,
	&dev_attr_backing_dev.attr,
	&dev_attr_backing_ino.attr,
	&dev_attr_parents.attr,
	&dev_attr_ro.attr,
	&dev_attr_autoclear.attr,
	&dev_attr_discard.attr,
	&dev_attr_dio.attr,
	&dev_attr_type.attr,
	&dev_attr_disk_id.attr,
	&dev_attr_block_size.attr,
	&dev_attr_log_state.attr,
	&dev_attr_allocated.attr,
	&dev_attr_file_size.attr,
	&dev_attr_cut_blocks.attr,
	&dev_attr_replayed.attr,
	&dev_attr_new_blocks.attr,
	&dev_attr_commits.attr,
	&dev_attr_generations.attr,
	&dev_attr_flushes.attr,
	&dev_attr_reads.attr,
	&dev_attr_reads_of_zeros.attr,
	&dev_attr_writes.attr,
	&dev_attr_fua_writes.attr,
	&dev_attr_flush_requests.attr,
	&dev_attr_discards.attr,
	&dev_attr_write_zeroes.attr,
	&dev_attr_commit_waits.attr,
	&dev_attr_errors.attr,
	NULL
};

static const struct attribute_group vhdx_device_group = {
	.name = "vhdx",
	.attrs = vhdx_device_attrs,
};

const struct attribute_group *vhdx_device_groups[] = {
	&vhdx_device_group,
	NULL
};
