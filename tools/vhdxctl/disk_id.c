// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "disk_id.h"
#include "holders.h"
#include "image_lock.h"

#define GONE_TRIES	600
#define GONE_TRY_MS	100

/**
 * disk_id_get - which disk has a name now
 * @index: N of vhdxN
 */
struct disk_id disk_id_get(unsigned int index)
{
	struct disk_id id = { .index = index };

	if (!device_attr_u64(index, "diskseq", &id.sequence))
		id.sequence = 0;
	return id;
}

/**
 * disk_id_is_attached - whether that disk is there
 * @id: the disk
 */
bool disk_id_is_attached(const struct disk_id *id)
{
	return id->sequence &&
	       disk_id_get(id->index).sequence == id->sequence;
}

/* The locks are the last thing that the driver gives up. */
static bool is_locked(const char *image)
{
	int fd = open(image, O_RDONLY | O_CLOEXEC);
	bool locked;

	if (fd < 0)
		return false;
	locked = image_is_locked(fd);
	close(fd);
	return locked;
}

/* Is somebody else going to keep it? */
static bool is_in_use(const struct disk_id *id)
{
	struct holders holders;
	bool in_use = holders_find_lasting(&holders, id->index);

	holders_free(&holders);
	return in_use;
}

/**
 * disk_id_wait_gone - wait until a disk that goes by itself has let go of its image
 * @id: the disk
 * @image: path of the image
 *
 * Not for somebody else who keeps it.
 *
 * Return: whether there is nothing left to wait for.
 */
bool disk_id_wait_gone(const struct disk_id *id, const char *image)
{
	const struct timespec pause = { .tv_nsec = GONE_TRY_MS * 1000000 };

	for (int i = 0; i < GONE_TRIES; i++) {
		bool there = disk_id_is_attached(id);

		if (there ? is_in_use(id) : !is_locked(image))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}
