// SPDX-License-Identifier: GPL-2.0
/* The limits of a queue are given at its allocation. */
#include <linux/blk-mq.h>

struct gendisk *probe(struct blk_mq_tag_set *set, struct queue_limits *lim,
		      struct lock_class_key *key);

struct gendisk *probe(struct blk_mq_tag_set *set, struct queue_limits *lim,
		      struct lock_class_key *key)
{
#ifdef PROBE_OLD
	return __blk_mq_alloc_disk(set, NULL, key);
#else
	return __blk_mq_alloc_disk(set, lim, NULL, key);
#endif
}
