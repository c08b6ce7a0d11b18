// SPDX-License-Identifier: GPL-2.0
#include <libudev.h>
#include <poll.h>
#include <time.h>

#include "device.h"
#include "interrupt.h"
#include "udev.h"

/* Microseconds. */
#define PATIENCE	(10 * 1000 * 1000)

/* Milliseconds; news may be for other network namespaces only. */
#define LOOK_AGAIN	50

/**
 * udev_now - the time by udev's clock
 *
 * Return: microseconds, for udev_wait().
 */
u64 udev_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000000 + (u64)now.tv_nsec / 1000;
}

/*
 * What udev knows may be of an earlier disk with this number, whose end it has
 * still to hear of.
 */
static bool is_ready(struct udev *udev, const char *syspath, u64 since)
{
	struct udev_device *device = udev_device_new_from_syspath(udev,
								  syspath);
	bool ready;
	u64 age;

	/* It is gone. */
	if (!device)
		return true;
	age = udev_device_get_usec_since_initialized(device);
	ready = udev_device_get_is_initialized(device) && age &&
		age <= udev_now() - since;
	udev_device_unref(device);
	return ready;
}

/* Whether udev is done with the disk and its partitions. */
static bool all_ready(struct udev *udev, const char *name, u64 since)
{
	struct udev_enumerate *enumerate;
	struct udev_list_entry *entry;
	struct udev_device *disk;
	bool ready = true;

	disk = udev_device_new_from_subsystem_sysname(udev, "block", name);
	if (!disk)
		return true;
	enumerate = udev_enumerate_new(udev);
	udev_enumerate_add_match_parent(enumerate, disk);
	udev_enumerate_add_match_subsystem(enumerate, "block");
	udev_enumerate_scan_devices(enumerate);
	udev_list_entry_foreach(entry, udev_enumerate_get_list_entry(enumerate))
		ready = ready && is_ready(udev, udev_list_entry_get_name(entry),
					  since);
	udev_enumerate_unref(enumerate);
	udev_device_unref(disk);
	return ready;
}

/* Waits for news of block devices, or for a moment. */
static void wait_for_news(struct udev_monitor *monitor)
{
	struct pollfd fd = { .fd = -1, .events = POLLIN };

	if (monitor)
		fd.fd = udev_monitor_get_fd(monitor);
	if (poll(&fd, 1, LOOK_AGAIN) > 0)
		udev_device_unref(udev_monitor_receive_device(monitor));
}

static bool udev_is_running(struct udev *udev)
{
	struct udev_queue *queue = udev_queue_new(udev);
	bool running = udev_queue_get_udev_is_active(queue);

	udev_queue_unref(queue);
	return running;
}

/**
 * udev_wait - wait until udev has made the links to a new disk and its partitions
 * @index: N of vhdxN
 * @since: udev_now() from before the disk was attached
 *
 * It waits for some seconds at most, until interrupt_came(), and not at all where no
 * udevd runs.
 *
 * Return: false when udev takes longer.
 */
bool udev_wait(unsigned int index, u64 since)
{
	struct udev *udev = udev_new();
	struct udev_monitor *monitor = NULL;
	char name[DEVICE_NAME_LENGTH];
	u64 begin = udev_now();
	bool ready = true;

	if (!udev)
		return true;
	if (!udev_is_running(udev))
		goto out;
	device_name(name, index);
	monitor = udev_monitor_new_from_netlink(udev, "udev");
	if (monitor) {
		udev_monitor_filter_add_match_subsystem_devtype(monitor,
								"block", NULL);
		udev_monitor_enable_receiving(monitor);
	}
	for (;;) {
		ready = all_ready(udev, name, since);
		if (ready || interrupt_came() || udev_now() - begin > PATIENCE)
			break;
		wait_for_news(monitor);
	}
	udev_monitor_unref(monitor);
out:
	udev_unref(udev);
	return ready;
}
