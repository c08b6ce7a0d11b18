// SPDX-License-Identifier: GPL-2.0
/* struct queue_limits: features of the queue, the write cache among them */
#include <linux/blkdev.h>

#ifdef PROBE_OLD
void probe(struct gendisk *disk);

void probe(struct gendisk *disk)
{
	blk_queue_write_cache(disk->queue, true, true);
}
#else
struct queue_limits probe = { .features = BLK_FEAT_WRITE_CACHE };
#endif
