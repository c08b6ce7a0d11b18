// SPDX-License-Identifier: GPL-2.0
/* ->open takes the disk and a blk_mode_t; it took a block device. */
#include <linux/blkdev.h>

#ifdef PROBE_OLD
static int probe_open(struct block_device *bdev, fmode_t mode)
#else
static int probe_open(struct gendisk *disk, blk_mode_t mode)
#endif
{
	return 0;
}

const struct block_device_operations probe = { .open = probe_open };
