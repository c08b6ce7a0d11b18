// SPDX-License-Identifier: GPL-2.0
/* A queue is rotational when that is among its features; a flag cleared it. */
#include <linux/blkdev.h>

#ifdef PROBE_OLD
int probe = QUEUE_FLAG_NONROT;
#else
blk_features_t probe = BLK_FEAT_ROTATIONAL;
#endif
