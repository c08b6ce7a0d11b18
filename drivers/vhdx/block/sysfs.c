// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/block/vhdxN/vhdx/: what losetup shows of a loop device, and what there is
 * to say of an image. The attributes come and go with the disk, so its image
 * and file are there whenever one is read.
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

/*
 * A line each, the image's own parent first. Where a page ends before they do,
 * the last line is "...", which is no path.
 */
static ssize_t parents_show(struct device *dev, struct device_attribute *attr,
			    char *buf)
{
	const size_t room = PAGE_SIZE - sizeof("...\n");
	const struct vhdx_image *image;
	size_t at = 0, length;
	const char *path;

	for (image = to_device(dev)->image->parent; image;
	     image = image->parent) {
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
static DEVICE_ATTR_RO(parents);

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

static ssize_t type_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	return sysfs_emit(buf, "%s\n", vhdx_image_type(to_device(dev)->image));
}
static DEVICE_ATTR_RO(type);

static ssize_t disk_id_show(struct device *dev, struct device_attribute *attr,
			    char *buf)
{
	char guid[VHDX_GUID_CHARS + 1];

	vhdx_guid_print(guid, &to_device(dev)->image->metadata.virtual_disk_id);
	return sysfs_emit(buf, "%s\n", guid);
}
static DEVICE_ATTR_RO(disk_id);

static ssize_t block_size_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n",
			  to_device(dev)->image->metadata.block_size);
}
static DEVICE_ATTR_RO(block_size);

static ssize_t log_state_show(struct device *dev,
			      struct device_attribute *attr, char *buf)
{
	static const char * const name[] = {
		[VHDX_LOG_CLEAN] = "clean",
		[VHDX_LOG_DIRTY] = "dirty",
		[VHDX_LOG_REPLAYED] = "replayed in memory",
		[VHDX_LOG_FAILED] = "failed",
	};

	return sysfs_emit(buf, "%s\n",
			  name[vhdx_image_log_state(to_device(dev)->image)]);
}
static DEVICE_ATTR_RO(log_state);

static ssize_t allocated_show(struct device *dev,
			      struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n",
			  vhdx_image_allocated(to_device(dev)->image));
}
static DEVICE_ATTR_RO(allocated);

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
