// SPDX-License-Identifier: GPL-2.0
/*
 * QEMU's image locks.
 *
 * What a user of an image does with it is a set of permissions, and so is what
 * it does not want others to do meanwhile. For each there is a byte of the file
 * on which every such user has a shared lock. Who then finds the lock of another
 * user on the opposite byte has a conflict. Each locks before it looks, so of
 * two that come at once at least one sees the other.
 *
 * The sets are those of QEMU itself where it has a VHDX image open.
 */
#include <fcntl.h>

#include "image_lock.h"
#include "port.h"

/* QEMU's numbers, which are also those in the file. */
enum permission {
	CONSISTENT_READ,
	WRITE,
	WRITE_UNCHANGED,
	RESIZE,
	PERMISSIONS,
};

#define USED_BASE	100
#define UNSHARED_BASE	200

static int answer(int errnum)
{
	switch (errnum) {
	case EAGAIN:
	case EACCES:
		return -EAGAIN;
	/* Such locks are not known here, to the kernel or the file system. */
	case EINVAL:
	case ENOLCK:
	case EOPNOTSUPP:
		return 0;
	default:
		return -errnum;
	}
}

static int lock_byte(int fd, off_t byte)
{
	struct flock lock = {
		.l_type = F_RDLCK,
		.l_whence = SEEK_SET,
		.l_start = byte,
		.l_len = 1,
	};

	return fcntl(fd, F_OFD_SETLK, &lock) ? answer(errno) : 0;
}

/* Only asks, so that the file need not be open for writing. */
static int check_byte(int fd, off_t byte)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = byte,
		.l_len = 1,
	};

	if (fcntl(fd, F_OFD_GETLK, &lock))
		return answer(errno);
	return lock.l_type == F_UNLCK ? 0 : -EAGAIN;
}

/**
 * image_lock - lock an image as QEMU does
 * @fd: the image, open for reading at least
 * @writable: whether it will be written; else it is only read, which others may
 *	do as well
 *
 * The locks belong to the open file description: they last until its last
 * descriptor is closed and the driver has let go of it, after a conflict too.
 *
 * Return: 0, also where there are no such locks; -EAGAIN: somebody uses the
 * image in a way that does not go with this; or what the system call answered.
 */
int image_lock(int fd, bool writable)
{
	const unsigned int unshared = 1U << WRITE | 1U << RESIZE;
	unsigned int used = 1U << CONSISTENT_READ;
	int ret = 0;

	if (writable)
		used |= 1U << WRITE | 1U << RESIZE;
	for (int i = 0; !ret && i < PERMISSIONS; i++) {
		if (used & 1U << i)
			ret = lock_byte(fd, USED_BASE + i);
		if (!ret && (unshared & 1U << i))
			ret = lock_byte(fd, UNSHARED_BASE + i);
	}
	for (int i = 0; !ret && i < PERMISSIONS; i++) {
		if (used & 1U << i)
			ret = check_byte(fd, UNSHARED_BASE + i);
		if (!ret && (unshared & 1U << i))
			ret = check_byte(fd, USED_BASE + i);
	}
	return ret;
}

/**
 * image_is_locked - whether somebody keeps writers off an image
 * @fd: the image, open for reading at least
 *
 * A disk does, one that is attached read-only too, until the driver has let go of
 * the file. Nothing is locked by this.
 */
bool image_is_locked(int fd)
{
	return check_byte(fd, UNSHARED_BASE + WRITE) == -EAGAIN;
}
