// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a device: everything is built before the disk is added, and
 * nothing exists that is not attached.
 *
 * vhdx_devices_mutex guards the table of devices and their states and is held
 * for that alone, never across I/O. Who moves a device out of ATTACHED owns it
 * from there on: only one detach can. Whether somebody has the disk open is
 * known under the disk's open_mutex, which is never taken inside of it: a
 * partition scan reads from the disk with open_mutex held.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/idr.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "block.h"

static DEFINE_IDR(vhdx_devices);
static DEFINE_MUTEX(vhdx_devices_mutex);

static int vhdx_disk_open(COMPAT_OPEN_ARG *arg, blk_mode_t mode)
{
	struct gendisk *disk = compat_open_disk(arg);
	struct vhdx_device *device = disk->private_data;

	lockdep_assert_held(&disk->open_mutex);

	if (device->dying)
		return -ENXIO;
	/* As for any write-protected medium, so that mount falls back to ro. */
	if ((mode & BLK_OPEN_WRITE) && get_disk_ro(disk))
		return -EROFS;
	return 0;
}

/* An image attached read-only stays so: blockdev --setrw cannot change it. */
static int vhdx_disk_set_read_only(struct block_device *bdev, bool ro)
{
	return ro ? 0 : -EROFS;
}

static const struct block_device_operations vhdx_disk_fops = {
	.owner = THIS_MODULE,
	.open = vhdx_disk_open,
	.set_read_only = vhdx_disk_set_read_only,
};

/* Direct I/O needs the file to take what the disk's own sectors allow. */
static bool vhdx_device_can_dio(const struct vhdx_backing *backing,
				const struct vhdx_image *image)
{
	return backing->dio_offset_align &&
	       backing->dio_offset_align <= image->metadata.logical_sector_size &&
	       backing->dio_mem_align <= PAGE_SIZE;
}

static void vhdx_device_limits(const struct vhdx_device *device,
			       struct queue_limits *lim)
{
	const struct vhdx_metadata *metadata = &device->image->metadata;

	lim->logical_block_size = metadata->logical_sector_size;
	/* Images with a smaller physical than logical sector exist. */
	lim->physical_block_size = max(metadata->physical_sector_size,
				       metadata->logical_sector_size);
	lim->io_min = lim->physical_block_size;
	/*
	 * Blocks lie in the file at multiples of 1 MiB whatever their size, and
	 * read-ahead and file systems' alignment follow from this value.
	 */
	lim->io_opt = SZ_1M;
	/* A request stays in one block, so it has one place in the file. */
	lim->chunk_sectors = metadata->block_size >> SECTOR_SHIFT;
	lim->max_hw_sectors = SZ_4M >> SECTOR_SHIFT;
	/* A page each, and one more for a start inside of a page. */
	lim->max_segments = SZ_4M / PAGE_SIZE + 1;
	lim->max_segment_size = UINT_MAX;
	/*
	 * The memory of a request is handed to the file as it is, so the file's
	 * needs are the disk's. A mask of 0 would mean a whole sector.
	 */
	lim->dma_alignment =
		max(device->dio ? device->backing->dio_mem_align : 0, 4U) - 1;
}

static int vhdx_device_get_index(struct vhdx_device *device, int index,
				 char *error)
{
	int ret;

	mutex_lock(&vhdx_devices_mutex);
	if (index < 0)
		ret = idr_alloc(&vhdx_devices, device, 0, 0, GFP_KERNEL);
	else
		ret = idr_alloc(&vhdx_devices, device, index, index + 1,
				GFP_KERNEL);
	mutex_unlock(&vhdx_devices_mutex);

	if (ret == -ENOSPC)
		ret = vhdx_refuse(error, -EBUSY, "vhdx%d is in use", index);
	if (ret < 0)
		return ret;
	device->index = ret;
	return 0;
}

static void vhdx_device_put_index(struct vhdx_device *device)
{
	mutex_lock(&vhdx_devices_mutex);
	idr_remove(&vhdx_devices, device->index);
	mutex_unlock(&vhdx_devices_mutex);
}

/**
 * vhdx_device_create() - build a device that nobody can see yet
 * @index: N of /dev/vhdxN, or -1 for the first free one
 * @backing: the file; the device's from here on when this succeeds
 * @image: in it; likewise
 * @error: VHDX_ERROR_SIZE bytes, for a text that says what is wrong
 *
 * Context: process context, may sleep. The caller holds a reference to the
 * module.
 * Return: the device, to be given to vhdx_device_add() or
 * vhdx_device_destroy(); or an ERR_PTR: -EBUSY when @index is taken, -ENOMEM.
 */
struct vhdx_device *vhdx_device_create(int index, struct vhdx_backing *backing,
				       struct vhdx_image *image, char *error)
{
	struct queue_limits lim = {};
	struct vhdx_device *device;
	int ret;

	device = kzalloc(sizeof(*device), GFP_KERNEL);
	if (!device)
		return ERR_PTR(-ENOMEM);
	device->state = VHDX_DEVICE_ATTACHING;
	device->backing = backing;
	device->image = image;
	device->dio = vhdx_device_can_dio(backing, image);

	ret = vhdx_device_get_index(device, index, error);
	if (ret)
		goto out_free;

	ret = vhdx_requests_init(device);
	if (ret)
		goto out_put_index;

	vhdx_device_limits(device, &lim);
	device->disk = blk_mq_alloc_disk(&device->tag_set, &lim, device);
	if (IS_ERR(device->disk)) {
		ret = PTR_ERR(device->disk);
		goto out_requests_exit;
	}
	device->disk->fops = &vhdx_disk_fops;
	device->disk->private_data = device;
	snprintf(device->disk->disk_name, sizeof(device->disk->disk_name),
		 "vhdx%d", device->index);
	set_capacity(device->disk,
		     image->metadata.virtual_disk_size >> SECTOR_SHIFT);
	set_disk_ro(device->disk, true);

	__module_get(THIS_MODULE);
	return device;

out_requests_exit:
	vhdx_requests_exit(device);
out_put_index:
	vhdx_device_put_index(device);
out_free:
	kfree(device);
	return ERR_PTR(ret);
}

/**
 * vhdx_device_destroy() - release a device, its image and its file
 * @device: from vhdx_device_create(); its disk was never added, or has been
 *	deleted
 *
 * Context: process context of a user's task, may sleep. The caller holds a
 * reference to the module of its own.
 */
void vhdx_device_destroy(struct vhdx_device *device)
{
	put_disk(device->disk);
	vhdx_requests_exit(device);
	vhdx_image_close(device->image);
	vhdx_backing_close(device->backing);
	/* Last, so that who finds the number free finds all of it gone. */
	vhdx_device_put_index(device);
	kfree(device);
	module_put(THIS_MODULE);
}

static void vhdx_device_announce(const struct vhdx_device *device)
{
	const struct vhdx_image *image = device->image;

	pr_info("vhdx%d: attached %pD4 read-only, %s I/O\n", device->index,
		device->backing->io, device->dio ? "direct" : "buffered");
	if (image->log.dirty)
		pr_info("vhdx%d: log replayed in memory: %u entries, %llu descriptors\n",
			device->index, image->log.sequence.count,
			image->log.descriptors);
}

/**
 * vhdx_device_add() - make the disk of a device appear
 * @device: from vhdx_device_create()
 * @error: VHDX_ERROR_SIZE bytes, for a text that says what is wrong
 *
 * Its partitions are there when this returns. A task that is being killed would
 * have them missing, and nobody is left to detach the disk: it is deleted again.
 *
 * Context: process context, may sleep.
 * Return: 0, or a negative errno (-EINTR: killed) and @device is as before.
 */
int vhdx_device_add(struct vhdx_device *device, char *error)
{
	int ret;

	ret = device_add_disk(NULL, device->disk, vhdx_device_groups);
	if (ret == -ENOMEM)
		return ret;
	if (ret)
		return vhdx_refuse(error, ret, "the disk could not be added: %pe",
				   ERR_PTR(ret));
	if (fatal_signal_pending(current)) {
		del_gendisk(device->disk);
		return -EINTR;
	}
	vhdx_device_announce(device);

	mutex_lock(&vhdx_devices_mutex);
	device->state = VHDX_DEVICE_ATTACHED;
	mutex_unlock(&vhdx_devices_mutex);
	return 0;
}

/* Lets no opener in any more, unless there is one already. */
static int vhdx_device_mark_dying(struct vhdx_device *device)
{
	int ret;

	ret = mutex_lock_killable(&device->disk->open_mutex);
	if (ret)
		return ret;
	if (disk_openers(device->disk))
		ret = -EBUSY;
	else
		device->dying = true;
	mutex_unlock(&device->disk->open_mutex);
	return ret;
}

/**
 * vhdx_device_detach() - remove a disk and everything behind it
 * @index: N of /dev/vhdxN
 *
 * The file is released when the system call that asked for this returns.
 *
 * Context: process context of a user's task, may sleep.
 * Return: 0; -ENXIO: there is no such disk; -EBUSY: it is open, mounted or in
 * use by another device, or still being attached or detached by somebody else;
 * -EINTR: killed.
 */
int vhdx_device_detach(int index)
{
	struct vhdx_device *device;
	int ret = 0;

	mutex_lock(&vhdx_devices_mutex);
	device = idr_find(&vhdx_devices, index);
	if (!device)
		ret = -ENXIO;
	else if (device->state != VHDX_DEVICE_ATTACHED)
		ret = -EBUSY;
	else
		device->state = VHDX_DEVICE_DETACHING;
	mutex_unlock(&vhdx_devices_mutex);
	if (ret)
		return ret;

	ret = vhdx_device_mark_dying(device);
	if (ret) {
		mutex_lock(&vhdx_devices_mutex);
		device->state = VHDX_DEVICE_ATTACHED;
		mutex_unlock(&vhdx_devices_mutex);
		return ret;
	}

	/* Waits for the requests in flight. */
	del_gendisk(device->disk);
	vhdx_device_destroy(device);
	pr_info("vhdx%d: detached\n", index);
	return 0;
}
