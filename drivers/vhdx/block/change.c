// SPDX-License-Identifier: GPL-2.0
/*
 * Changes of an image under a disk that is in use.
 *
 * Who changes the device has claimed it, so nobody detaches it or changes it as
 * well. Its requests are held back, and a work does the rest in the place of the
 * journal's worker: it leaves the image clean, as a detach does, and changes it.
 * Whatever has failed, the disk works on as before, unless nobody knows what is in
 * the file: then it turns read-only, as after any such failure of the journal.
 *
 * While requests are held back memory must not be waited for that only they can
 * free: the work runs under memalloc_noio_save(), and the task that waits for it
 * allocates nothing.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "block.h"

/**
 * struct vhdx_change - a change of an image
 * @make: makes it: the image is clean, and in the caller's hands
 * @freed: bytes that the host has got back
 * @error: VHDX_ERROR_SIZE bytes, for a text that says what is wrong
 */
struct vhdx_change {
	int (*make)(struct vhdx_device *device, struct vhdx_change *change);
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
