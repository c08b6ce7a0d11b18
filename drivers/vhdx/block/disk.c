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
 *
 * A disk may also go by itself, when its last user closes it (autoclear, and
 * detach --lazy). That close holds open_mutex, so a work does the rest; each disk
 * has its own, since it waits for as long as the file below takes. It is queued
 * under open_mutex of a disk that may be opened, or under vhdx_devices_mutex of a
 * device in ATTACHED, so whoever marks a disk as dying has seen the last of it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/idr.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vhdx.h>

#include "block.h"
#include "trace.h"

static DEFINE_IDR(vhdx_devices);
static DEFINE_MUTEX(vhdx_devices_mutex);

static struct workqueue_struct *vhdx_autoclear_wq;
static void vhdx_autoclear_work(struct work_struct *work);

static unsigned int growth_mib = 64;
module_param(growth_mib, uint, 0644);
MODULE_PARM_DESC(growth_mib, "MiB by which a file grows ahead of need (1 to 65536, for the next attach)");

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
	if ((mode & BLK_OPEN_EXCL) &&
	    device->autoclear == VHDX_AUTOCLEAR_UNCLAIMED)
		device->autoclear = VHDX_AUTOCLEAR_ARMED;
	return 0;
}

static bool vhdx_device_may_clear(const struct vhdx_device *device)
{
	return READ_ONCE(device->autoclear) == VHDX_AUTOCLEAR_ARMED &&
	       !disk_openers(device->disk);
}

static void vhdx_disk_release(COMPAT_RELEASE_ARGS)
{
	struct vhdx_device *device = disk->private_data;

	if (vhdx_device_may_clear(device))
		queue_work(vhdx_autoclear_wq, &device->autoclear_work);
}

/*
 * An image attached read-only stays so, and one that nothing more is written to:
 * blockdev --setrw cannot change it.
 */
static int vhdx_disk_set_read_only(struct block_device *bdev, bool ro)
{
	struct vhdx_device *device = bdev->bd_disk->private_data;

	if (ro || (device->writable && !READ_ONCE(device->failed)))
		return 0;
	return -EROFS;
}

static const struct block_device_operations vhdx_disk_fops = {
	.owner = THIS_MODULE,
	.open = vhdx_disk_open,
	.release = vhdx_disk_release,
	.set_read_only = vhdx_disk_set_read_only,
};

/* Direct I/O needs the file to take what the disk's own sectors allow. */
static bool vhdx_backing_can_dio(const struct vhdx_backing *backing,
				 u32 sector_size)
{
	return backing->dio_offset_align &&
	       backing->dio_offset_align <= sector_size &&
	       backing->dio_mem_align <= PAGE_SIZE;
}

/*
 * The memory of a request is handed to any file of the chain as it is, in pieces that
 * may end at any page. None may end inside of what the file takes: refused, it goes
 * through the page cache, which knows nothing of direct writes to the same page.
 */
static u32 vhdx_device_mem_align(const struct vhdx_device *device)
{
	const struct vhdx_backing *backing;
	const struct vhdx_image *image;
	u32 align = 4;

	for (image = device->image; image; image = image->parent) {
		backing = vhdx_backing_of(image);
		if (backing->dio)
			align = max3(align, backing->dio_mem_align,
				     backing->dio_offset_align);
	}
	return align;
}

/* The file gets the pages of those who write, and not copies of them. */
static bool vhdx_device_wants_stable_pages(const struct vhdx_device *device)
{
	return device->writable && device->backing->dio &&
	       device->backing->stable_pages;
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
	if (device->writable) {
		compat_lim_write_cache(lim);
		if (vhdx_device_wants_stable_pages(device))
			compat_lim_stable_writes(lim);
		lim->max_write_zeroes_sectors = SZ_1G >> SECTOR_SHIFT;
	}
	if (device->discard) {
		lim->max_hw_discard_sectors = SZ_1G >> SECTOR_SHIFT;
		lim->discard_granularity =
			max(vhdx_backing_granularity(device->backing) ? :
			    metadata->block_size, metadata->logical_sector_size);
	}
	/* What the files need is what the disk needs. 0 would be a whole sector. */
	lim->dma_alignment = vhdx_device_mem_align(device) - 1;
}

/* A fixed image keeps its blocks (MS-VHDX 2.6.2.1). */
static bool vhdx_device_can_discard(const struct vhdx_device *device,
				    unsigned int flags)
{
	return device->writable && !(flags & VHDX_ATTACH_NO_DISCARD) &&
	       !device->image->metadata.leave_blocks_allocated;
}

/* For each file of the chain: what one cannot do the others still may. */
static int vhdx_device_choose_io(struct vhdx_device *device, unsigned int flags,
				 char *error)
{
	u32 sector_size = device->image->metadata.logical_sector_size;
	const struct vhdx_image *image;
	struct vhdx_backing *backing;

	for (image = device->image; image; image = image->parent) {
		backing = vhdx_backing_of(image);
		backing->dio = !(flags & VHDX_ATTACH_BUFFERED_IO) &&
			       vhdx_backing_can_dio(backing, sector_size);
		if (!backing->dio && flags & VHDX_ATTACH_DIRECT_IO)
			return vhdx_refuse(error, -EINVAL,
					   "%s cannot be accessed directly in sectors of %u bytes",
					   image == device->image ?
					   "the file" : "the file of a parent",
					   sector_size);
	}
	return 0;
}

static u64 vhdx_device_replayed(const struct vhdx_device *device)
{
	const struct vhdx_image *image;
	u64 replayed = 0;

	for (image = device->image; image; image = image->parent)
		replayed += image->log.descriptors;
	return replayed;
}

static void vhdx_device_set_user(const struct vhdx_device *device)
{
	const struct vhdx_image *image;

	for (image = device->image; image; image = image->parent)
		vhdx_backing_set_user(vhdx_backing_of(image), device->index,
				      image != device->image);
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
 * @flags: VHDX_ATTACH_*
 * @image: from vhdx_chain_open(); the device's from here on when this succeeds
 * @error: VHDX_ERROR_SIZE bytes, for a text that says what is wrong
 *
 * Context: process context, may sleep. The caller holds a reference to the
 * module.
 * Return: the device, to be given to vhdx_device_add() or
 * vhdx_device_destroy(); or an ERR_PTR: -EBUSY when @index is taken, -EINVAL
 * when the file cannot do what @flags ask for, -ENOMEM.
 */
struct vhdx_device *vhdx_device_create(int index, unsigned int flags,
				       struct vhdx_image *image, char *error)
{
	struct queue_limits lim = {};
	struct vhdx_device *device;
	int ret;

	device = kzalloc(sizeof(*device), GFP_KERNEL);
	if (!device)
		return ERR_PTR(-ENOMEM);
	device->state = VHDX_DEVICE_ATTACHING;
	device->image = image;
	device->backing = vhdx_backing_of(image);
	device->writable = device->backing->writable;
	device->discard = vhdx_device_can_discard(device, flags);
	if (flags & VHDX_ATTACH_AUTOCLEAR)
		device->autoclear = VHDX_AUTOCLEAR_UNCLAIMED;
	INIT_WORK(&device->autoclear_work, vhdx_autoclear_work);
	mutex_init(&device->image_lock);
	device->replayed = vhdx_device_replayed(device);
	image->growth_step = (u64)clamp(growth_mib, 1U, 65536U) * SZ_1M;
	ret = vhdx_device_choose_io(device, flags, error);
	if (ret)
		goto out_free;

	ret = vhdx_device_get_index(device, index, error);
	if (ret)
		goto out_free;
	vhdx_device_set_user(device);

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
	if (flags & VHDX_ATTACH_NO_PART_SCAN)
		device->disk->flags |= GENHD_FL_NO_PART;
	if (vhdx_device_wants_stable_pages(device))
		compat_disk_stable_writes(device->disk);
	if (device->writable)
		compat_disk_write_cache(device->disk);
	else
		set_disk_ro(device->disk, true);

	vhdx_shrink_add(device);
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
 * vhdx_device_destroy() - release a device, its images and their files
 * @device: from vhdx_device_create(); its disk was never added, or has been
 *	deleted
 *
 * Leaves the image clean where that can be done.
 *
 * Context: process context, may sleep. The caller holds a reference to the
 * module of its own, or the module waits for it before it goes.
 * Return: 0, or the negative errno of why the image's log is to be replayed.
 */
int vhdx_device_destroy(struct vhdx_device *device)
{
	int ret = vhdx_requests_finish(device);

	if (ret)
		pr_err("vhdx%d: %pD4 is left with a dirty log: %pe\n",
		       device->index, device->backing->io, ERR_PTR(ret));
	put_disk(device->disk);
	vhdx_requests_exit(device);
	vhdx_shrink_remove(device);
	vhdx_chain_close(device->image);
	/* Last: who finds the number free finds all of it given up but the file's end. */
	vhdx_device_put_index(device);
	kfree(device);
	module_put(THIS_MODULE);
	return ret;
}

/**
 * vhdx_device_claim() - take a device out of ATTACHED
 * @index: N of /dev/vhdxN
 * @state: to go into
 *
 * Context: process context, may sleep.
 * Return: the device, the caller's until it is detached or given to
 * vhdx_device_unclaim(); or an ERR_PTR: -ENXIO: there is no such disk; -EBUSY:
 * somebody else has it.
 */
struct vhdx_device *vhdx_device_claim(int index, enum vhdx_device_state state)
{
	struct vhdx_device *device;

	mutex_lock(&vhdx_devices_mutex);
	device = idr_find(&vhdx_devices, index);
	if (!device)
		device = ERR_PTR(-ENXIO);
	else if (device->state != VHDX_DEVICE_ATTACHED)
		device = ERR_PTR(-EBUSY);
	else
		device->state = state;
	mutex_unlock(&vhdx_devices_mutex);
	return device;
}

/**
 * vhdx_device_unclaim() - let go of a device
 * @device: the caller's; who wants to detach it may have it from now on
 *
 * Its last user may have gone in the meantime.
 *
 * Context: process context, may sleep.
 */
void vhdx_device_unclaim(struct vhdx_device *device)
{
	mutex_lock(&vhdx_devices_mutex);
	device->state = VHDX_DEVICE_ATTACHED;
	if (vhdx_device_may_clear(device))
		queue_work(vhdx_autoclear_wq, &device->autoclear_work);
	mutex_unlock(&vhdx_devices_mutex);
}

static void vhdx_device_announce(const struct vhdx_device *device)
{
	const struct vhdx_image *image = device->image;
	unsigned int parents = 0;

	while ((image = image->parent))
		parents++;
	pr_info("vhdx%d: attached %pD4 %s, %s I/O, %u parent%s\n",
		device->index, device->backing->io,
		device->writable ? "read-write" : "read-only",
		device->backing->dio ? "direct" : "buffered", parents,
		parents == 1 ? "" : "s");
	trace_vhdx_attach(device->index, device->writable,
			  device->backing->dio, parents, device->replayed);
	for (image = device->image; image; image = image->parent) {
		if (image->counts.cut)
			pr_warn("vhdx%d: %pD4 ends before the data of %llu blocks does: it reads as zeros\n",
				device->index, vhdx_backing_of(image)->io,
				image->counts.cut);
		if (image->log.dirty)
			pr_info("vhdx%d: log of %pD4 replayed%s: %u entries, %llu descriptors\n",
				device->index, vhdx_backing_of(image)->io,
				vhdx_backing_of(image)->writable ?
				"" : " in memory", image->log.sequence.count,
				image->log.descriptors);
	}
}

/**
 * vhdx_device_fail() - nothing more can be written to an image
 * @device: attached for writing, its journal has failed
 *
 * The disk turns read-only, once. What was flushed before is safe.
 *
 * Context: the journal's worker.
 */
void vhdx_device_fail(struct vhdx_device *device)
{
	if (device->failed)
		return;
	WRITE_ONCE(device->failed, true);
	trace_vhdx_failed(device->index, vhdx_image_failed(device->image));
	pr_err("vhdx%d: writing to %pD4 failed: %pe; the disk is read-only now\n",
	       device->index, device->backing->io,
	       ERR_PTR(vhdx_image_failed(device->image)));
	set_disk_ro(device->disk, true);
}

/*
 * Lets no opener in any more, unless there is one already. With @lazy that one
 * is the last.
 */
static int vhdx_device_mark_dying(struct vhdx_device *device, bool lazy)
{
	int ret = 0;

	if (lazy)
		mutex_lock(&device->disk->open_mutex);
	else
		ret = mutex_lock_killable(&device->disk->open_mutex);
	if (ret)
		return ret;
	if (disk_openers(device->disk))
		ret = -EBUSY;
	else
		device->dying = true;
	if (lazy)
		device->autoclear = VHDX_AUTOCLEAR_ARMED;
	mutex_unlock(&device->disk->open_mutex);
	return ret;
}

/* @device is in state ATTACHING or DETACHING, so the caller's. */
static int vhdx_device_remove(struct vhdx_device *device, bool lazy,
			      int *unclean)
{
	int index = device->index;
	int ret;

	ret = vhdx_device_mark_dying(device, lazy);
	if (ret) {
		vhdx_device_unclaim(device);
		return ret == -EBUSY && lazy ? 0 : ret;
	}

	/* Nobody queues it any more; and this may be it. */
	if (current_work() == &device->autoclear_work)
		cancel_work(&device->autoclear_work);
	else
		cancel_work_sync(&device->autoclear_work);

	/* Waits for the requests in flight. */
	del_gendisk(device->disk);
	*unclean = vhdx_device_destroy(device);
	trace_vhdx_detach(index, *unclean);
	pr_info("vhdx%d: detached\n", index);
	return 0;
}

/**
 * vhdx_device_add() - make the disk of a device appear
 * @device: from vhdx_device_create()
 * @error: VHDX_ERROR_SIZE bytes, for a text that says what is wrong
 *
 * Its partitions are there when this returns. A task that is being killed would
 * have them missing, and nobody is left to detach the disk: it goes again, at
 * once or when whoever was quick to open it closes it.
 *
 * Context: process context, may sleep.
 * Return: 0, and @device is not the caller's any more; or a negative errno, and
 * it is as before.
 */
int vhdx_device_add(struct vhdx_device *device, char *error)
{
	int unclean;
	int ret;

	ret = device_add_disk(NULL, device->disk, vhdx_device_groups);
	if (ret == -ENOMEM)
		return ret;
	if (ret)
		return vhdx_refuse(error, ret, "the disk could not be added: %pe",
				   ERR_PTR(ret));
	vhdx_device_announce(device);
	if (fatal_signal_pending(current))
		vhdx_device_remove(device, true, &unclean);
	else
		vhdx_device_unclaim(device);
	return 0;
}

/**
 * vhdx_device_detach() - remove a disk and everything behind it
 * @index: N of /dev/vhdxN
 * @lazy: when it is open: remove it when it is closed, do not wait for that
 * @unclean: receives a negative errno when the disk is gone, but its image is
 *	left with a dirty log
 *
 * The file is released when the system call that asked for this returns.
 *
 * Context: process context of a user's task, may sleep.
 * Return: 0; -ENXIO: there is no such disk; -EBUSY: it is open, mounted or in
 * use by another device, or still being attached or detached by somebody else;
 * -EINTR: killed.
 */
int vhdx_device_detach(int index, bool lazy, int *unclean)
{
	struct vhdx_device *device;

	device = vhdx_device_claim(index, VHDX_DEVICE_DETACHING);
	if (IS_ERR(device))
		return PTR_ERR(device);
	return vhdx_device_remove(device, lazy, unclean);
}

static void vhdx_autoclear_work(struct work_struct *work)
{
	struct vhdx_device *device =
		container_of(work, struct vhdx_device, autoclear_work);
	bool clear;
	int unclean;

	mutex_lock(&vhdx_devices_mutex);
	clear = device->state == VHDX_DEVICE_ATTACHED &&
		vhdx_device_may_clear(device);
	if (clear)
		device->state = VHDX_DEVICE_DETACHING;
	mutex_unlock(&vhdx_devices_mutex);
	/* Opened again in between, it stays, and its next close comes here. */
	if (clear)
		vhdx_device_remove(device, false, &unclean);
}

/**
 * vhdx_devices_init() - before there can be a device
 *
 * Context: process context, once, when the module is loaded.
 * Return: 0 or -ENOMEM.
 */
int __init vhdx_devices_init(void)
{
	vhdx_autoclear_wq = alloc_workqueue("vhdx_autoclear", WQ_UNBOUND, 0);
	return vhdx_autoclear_wq ? 0 : -ENOMEM;
}

/**
 * vhdx_devices_exit() - undo vhdx_devices_init()
 *
 * Context: process context, when the module is unloaded: no device is left, but
 * the work that removed the last one may still be returning.
 */
void vhdx_devices_exit(void)
{
	destroy_workqueue(vhdx_autoclear_wq);
}
