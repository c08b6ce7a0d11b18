// SPDX-License-Identifier: GPL-2.0
/* struct block_device_operations: what ->release is given */
#include <linux/blkdev.h>

#ifdef PROBE_OLD
static void release(struct gendisk *disk, fmode_t mode)
#else
static void release(struct gendisk *disk)
#endif
{
}

const struct block_device_operations probe = { .release = release };
