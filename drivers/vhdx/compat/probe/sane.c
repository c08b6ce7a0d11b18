// SPDX-License-Identifier: GPL-2.0
/* What every probe relies on; the old form must not compile. */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/fs.h>

int probe(const struct block_device_operations *ops);

int probe(const struct block_device_operations *ops)
{
#ifdef PROBE_OLD
	return probe_no_such_function(ops);
#else
	return ops->owner ? 0 : 1;
#endif
}
