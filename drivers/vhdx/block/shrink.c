// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that images can do without: the pages of sector bitmaps that
 * differencing images keep. The kernel asks for it when it has little.
 *
 * Reclaim comes here from any allocation, those of an attach, a detach or a
 * request included. So there is but a spinlock, that nobody allocates or sleeps
 * under, and a device whose chain is about to be closed is off the list.
 */
#include <linux/list.h>
#include <linux/spinlock.h>

#include "block.h"

static LIST_HEAD(vhdx_shrinkable);
static DEFINE_SPINLOCK(vhdx_shrink_lock);
static struct shrinker *vhdx_shrinker;

static unsigned long vhdx_shrink_count(struct shrinker *shrinker,
				       struct shrink_control *sc)
{
	const struct vhdx_device *device;
	const struct vhdx_image *image;
	u64 pages = 0;

	spin_lock(&vhdx_shrink_lock);
	list_for_each_entry(device, &vhdx_shrinkable, shrink_link)
		for (image = device->image; image; image = image->parent)
			pages += vhdx_image_cached(image);
	spin_unlock(&vhdx_shrink_lock);
	return pages ? : SHRINK_EMPTY;
}

static unsigned long vhdx_shrink_scan(struct shrinker *shrinker,
				      struct shrink_control *sc)
{
	const struct vhdx_device *device;
	struct vhdx_image *image;
	u64 gone = 0;

	spin_lock(&vhdx_shrink_lock);
	/* Each time another one gives first. */
	list_rotate_left(&vhdx_shrinkable);
	list_for_each_entry(device, &vhdx_shrinkable, shrink_link)
		for (image = device->image; image && gone < sc->nr_to_scan;
		     image = image->parent)
			gone += vhdx_image_shrink(image, sc->nr_to_scan - gone);
	spin_unlock(&vhdx_shrink_lock);
	return gone ? : SHRINK_STOP;
}

/**
 * vhdx_shrink_add() - let the memory of a device's images be taken away
 * @device: has its image
 *
 * Context: process context.
 */
void vhdx_shrink_add(struct vhdx_device *device)
{
	spin_lock(&vhdx_shrink_lock);
	list_add_tail(&device->shrink_link, &vhdx_shrinkable);
	spin_unlock(&vhdx_shrink_lock);
}

/**
 * vhdx_shrink_remove() - undo vhdx_shrink_add()
 * @device: its images are only touched by the caller after this
 *
 * Context: process context.
 */
void vhdx_shrink_remove(struct vhdx_device *device)
{
	spin_lock(&vhdx_shrink_lock);
	list_del(&device->shrink_link);
	spin_unlock(&vhdx_shrink_lock);
}

/**
 * vhdx_shrink_init() - before there can be a device
 *
 * Context: process context, once, when the module is loaded.
 * Return: 0 or -ENOMEM.
 */
int __init vhdx_shrink_init(void)
{
	vhdx_shrinker = shrinker_alloc(0, "vhdx");
	if (!vhdx_shrinker)
		return -ENOMEM;
	vhdx_shrinker->count_objects = vhdx_shrink_count;
	vhdx_shrinker->scan_objects = vhdx_shrink_scan;
	vhdx_shrinker->seeks = DEFAULT_SEEKS;
	return compat_shrinker_register(vhdx_shrinker);
}

/**
 * vhdx_shrink_exit() - undo vhdx_shrink_init()
 *
 * Context: process context, when the module is unloaded: no device is left.
 */
void vhdx_shrink_exit(void)
{
	shrinker_free(vhdx_shrinker);
}
