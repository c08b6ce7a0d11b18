// SPDX-License-Identifier: GPL-2.0
/*
 * A disk in memory of this process, so that going from one state to the next
 * costs no I/O: a loop device on a memfd.
 */
#include <err.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/loop.h>

#include "powercut.h"

/**
 * target_init() - make a disk
 * @target: receives it
 * @size: bytes, a multiple of PAGE
 */
void target_init(struct target *target, size_t size)
{
	struct loop_config config = { };
	int control, device, n;

	target->size = size;
	target->memory = memfd_create("target", MFD_CLOEXEC);
	if (target->memory < 0 || ftruncate(target->memory, size))
		err(1, "memfd");
	target->shown = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			     target->memory, 0);
	if (target->shown == MAP_FAILED)
		err(1, "memfd");

	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		err(1, "/dev/loop-control");
	config.fd = target->memory;
	do {
		n = ioctl(control, LOOP_CTL_GET_FREE);
		if (n < 0)
			err(1, "/dev/loop-control");
		snprintf(target->path, sizeof(target->path), "/dev/loop%d", n);
		device = open(target->path, O_RDWR | O_CLOEXEC);
		if (device < 0)
			err(1, "%s", target->path);
		n = ioctl(device, LOOP_CONFIGURE, &config);
		if (n && errno != EBUSY)
			err(1, "%s", target->path);
		/* Its page cache goes with its last user. */
		close(device);
	} while (n);
	close(control);
}

/**
 * target_show() - make the disk show a state
 * @target: nobody uses it
 * @state: its bytes
 */
void target_show(struct target *target, const u8 *state)
{
	off_t pos = 0, end = 0;
	size_t i;

	/* What is a hole stays one unless there is something to put in. */
	for (i = 0; i < target->size; i += PAGE) {
		if ((off_t)i >= end) {
			pos = lseek(target->memory, i, SEEK_DATA);
			if (pos < 0)
				pos = target->size;
			end = lseek(target->memory, pos, SEEK_HOLE);
			if (end < 0)
				end = target->size;
		}
		if ((off_t)i < pos ? !!memchr_inv(state + i, 0, PAGE) :
		    memcmp(target->shown + i, state + i, PAGE))
			memcpy(target->shown + i, state + i, PAGE);
	}
}

/**
 * target_exit() - remove the disk
 * @target: nobody uses it
 */
void target_exit(struct target *target)
{
	int device = open(target->path, O_RDWR | O_CLOEXEC);

	if (device < 0 || ioctl(device, LOOP_CLR_FD, 0))
		err(1, "%s", target->path);
	close(device);
	munmap(target->shown, target->size);
	close(target->memory);
}
