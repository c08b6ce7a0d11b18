// SPDX-License-Identifier: GPL-2.0
/*
 * Changes of an image under a disk that is in use.
 *
 * Who changes the device has claimed it, so nobody detaches it or changes it as
 * well. Its requests are held back, and a work does the rest in the place of the
 * journal's worker: it leaves the image clean, as a detach does, and changes it.
 * Whatever has failed, the disk works on as before, unless nobody knows what is in
 * the file, or it cannot be opened again as what it has become, for want of memory
 * perhaps: then it turns read-only, as after any such failure of the journal.
 *
 * While requests are held back memory must not be waited for that only they can
 * free: the work runs under memalloc_noio_save(), and the task that waits for it
 * allocates nothing.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "block.h"
#include "image/resize.h"

/**
 * struct vhdx_change - a change of an image
 * @make: makes it: the image is clean, and in the caller's hands
 * @disk_size: of a resize, bytes
 * @freed: bytes that the host has got back
 * @error: VHDX_ERROR_SIZE bytes, for a text that says what is wrong
 */
struct vhdx_change {
	int (*make)(struct vhdx_device *device, struct vhdx_change *change);
	u64 disk_size;
	u64 freed;
	char *error;
};

static int vhdx_change_work(struct vhdx_device *device, void *data)
{
	u64 used = vhdx_backing_used(device->backing), left;
	struct vhdx_change *change = data;
	int ret;

	ret = vhdx_image_finish(device->image);
	if (ret)
		ret = vhdx_refuse(change->error, ret,
				  "what was written cannot be put in place: %pe",
				  ERR_PTR(ret));
	else
		ret = change->make(device, change);
	left = vhdx_backing_used(device->backing);
	change->freed = used > left ? used - left : 0;
	if (vhdx_image_failed(device->image))
		vhdx_device_fail(device);
	return ret;
}

static int vhdx_device_change(int index, struct vhdx_change *change)
{
	struct vhdx_device *device;
	int ret;

	device = vhdx_device_claim(index, VHDX_DEVICE_CHANGING);
	if (IS_ERR(device))
		return PTR_ERR(device);
	if (!device->writable)
		ret = vhdx_refuse(change->error, -EROFS,
				  "it is attached read-only");
	else if (READ_ONCE(device->failed))
		ret = vhdx_refuse(change->error, -EROFS,
				  "writing to it has failed before");
	else
		ret = vhdx_requests_hold(device);
	if (!ret) {
		ret = vhdx_requests_call(device, vhdx_change_work, change);
		vhdx_requests_release(device);
	}
	/* Who is told reads the disk. */
	if (!ret)
		set_capacity_and_notify(device->disk,
					device->image->metadata.virtual_disk_size >>
					SECTOR_SHIFT);
	vhdx_device_unclaim(device);
	return ret;
}

static int vhdx_make_compact(struct vhdx_device *device,
			     struct vhdx_change *change)
{
	int ret;

	ret = vhdx_image_give_back(device->image,
				   vhdx_backing_granularity(device->backing));
	if (ret)
		return vhdx_refuse(change->error, ret,
				   "its file gives no space back: %pe",
				   ERR_PTR(ret));
	return 0;
}

/**
 * vhdx_device_compact() - give the host what an attached image does not use
 * @index: N of /dev/vhdxN
 * @freed: receives how many bytes the file takes less than before
 * @error: VHDX_ERROR_SIZE bytes, for a text that says what is wrong
 *
 * No block moves; the disk is the same.
 *
 * Context: process context of a user's task, may sleep.
 * Return: 0; -ENXIO: there is no such disk; -EBUSY: it is being changed or
 * detached; -EROFS: it is read-only; -EINTR: killed; or what writing the image
 * answered.
 */
int vhdx_device_compact(int index, u64 *freed, char *error)
{
	struct vhdx_change change = {
		.make = vhdx_make_compact,
		.error = error,
	};
	int ret = vhdx_device_change(index, &change);

	*freed = change.freed;
	return ret;
}

/* What an image was opened as is not what it is any more. */
static int vhdx_reopen(struct vhdx_device *device, char *error)
{
	struct vhdx_image *old = device->image, *image;
	char text[VHDX_ERROR_LENGTH];
	struct vhdx_error err;
	int ret;

	ret = vhdx_image_open_child(old->file, old->parent, VHDX_OPEN_WRITE,
				    &image, &err);
	if (ret) {
		/* Its blocks can still be read, and it may not go on writing. */
		vhdx_image_give_up(old, ret);
		vhdx_error_print(text, sizeof(text), &err);
		return vhdx_refuse(error, ret, "%s", text);
	}
	image->growth_step = old->growth_step;
	image->stats = old->stats;
	vhdx_shrink_remove(device);
	vhdx_requests_set_image(device, image);
	vhdx_shrink_add(device);
	vhdx_image_close(old);
	return 0;
}

static int vhdx_make_resize(struct vhdx_device *device,
			    struct vhdx_change *change)
{
	struct vhdx_image *image = device->image;
	char text[VHDX_ERROR_LENGTH];
	struct vhdx_error err;
	int ret;

	if (change->disk_size < image->metadata.virtual_disk_size)
		return vhdx_refuse(change->error, -EINVAL,
				   "a disk that is attached can only grow");
	ret = vhdx_image_resize(image, change->disk_size, &err);
	if (ret) {
		vhdx_error_print(text, sizeof(text), &err);
		vhdx_refuse(change->error, ret, "%s", text);
	}
	/*
	 * After a failure too: what was got for it goes back, but for the end of
	 * a fixed image, which is its own.
	 */
	if (!vhdx_image_finish(image))
		ret = vhdx_reopen(device, change->error) ? : ret;
	else if (!ret)
		ret = vhdx_refuse(change->error, -EIO,
				  "its file cannot be left clean");
	return ret;
}

/**
 * vhdx_device_resize() - make an attached disk larger
 * @index: N of /dev/vhdxN
 * @size: of the disk, bytes, not less than it has
 * @error: VHDX_ERROR_SIZE bytes, for a text that says what is wrong
 *
 * What it gets reads as zeros. Its requests wait for as long as making room for the
 * new blocks of a fixed image takes. Partitions are not looked for again.
 *
 * Context: process context of a user's task, may sleep.
 * Return: 0; -ENXIO: there is no such disk; -EBUSY: it is being changed or
 * detached; -EROFS: it is read-only; -EINVAL: it would shrink; -EINTR: killed; or
 * as vhdx_image_resize().
 */
int vhdx_device_resize(int index, u64 size, char *error)
{
	struct vhdx_change change = {
		.make = vhdx_make_resize,
		.disk_size = size,
		.error = error,
	};

	return vhdx_device_change(index, &change);
}
