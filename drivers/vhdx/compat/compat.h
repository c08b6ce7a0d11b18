/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The driver is written for the newest kernel; here is what older ones lack.
 *
 * probed.h is made for the kernel at hand by probe.sh: COMPAT_OLD_NAME is
 * defined where probe/name.c compiles in its old form only.
 */
#ifndef VHDX_COMPAT_H
#define VHDX_COMPAT_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "probed.h"

/* Sizes and offsets of images are divided and shared without locks as words. */
#ifndef CONFIG_64BIT
#error vhdx is for 64-bit kernels
#endif

/* What ->open is given as its first argument, and the disk that it means. */
#ifdef COMPAT_OLD_BLOCK_OPEN
#define blk_mode_t		fmode_t
#define BLK_OPEN_WRITE		FMODE_WRITE
#define BLK_OPEN_EXCL		FMODE_EXCL
#define COMPAT_OPEN_ARG		struct block_device

static inline struct gendisk *compat_open_disk(struct block_device *bdev)
{
	return bdev->bd_disk;
}
#else
#define COMPAT_OPEN_ARG		struct gendisk

static inline struct gendisk *compat_open_disk(struct gendisk *disk)
{
	return disk;
}
#endif

/* What ->release is given. */
#ifdef COMPAT_OLD_BLOCK_RELEASE
#define COMPAT_RELEASE_ARGS	struct gendisk *disk, fmode_t mode
#else
#define COMPAT_RELEASE_ARGS	struct gendisk *disk
#endif

/* What a queue is like: said with the limits, or to the queue. */
#ifdef COMPAT_OLD_QUEUE_FEATURES
static inline void compat_lim_write_cache(struct queue_limits *lim)
{
}

static inline void compat_disk_write_cache(struct gendisk *disk)
{
	blk_queue_write_cache(disk->queue, true, true);
}

static inline void compat_lim_stable_writes(struct queue_limits *lim)
{
}

static inline void compat_disk_stable_writes(struct gendisk *disk)
{
	blk_queue_flag_set(QUEUE_FLAG_STABLE_WRITES, disk->queue);
}
#else
static inline void compat_lim_write_cache(struct queue_limits *lim)
{
	lim->features |= BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA;
}

static inline void compat_disk_write_cache(struct gendisk *disk)
{
}

static inline void compat_lim_stable_writes(struct queue_limits *lim)
{
	lim->features |= BLK_FEAT_STABLE_WRITES;
}

static inline void compat_disk_stable_writes(struct gendisk *disk)
{
}
#endif

/* Merging is now a matter of course. */
#ifdef COMPAT_OLD_SHOULD_MERGE
#define COMPAT_BLK_MQ_F_SHOULD_MERGE	BLK_MQ_F_SHOULD_MERGE
#else
#define COMPAT_BLK_MQ_F_SHOULD_MERGE	0
#endif

/* A workqueue was one for each CPU unless said otherwise. */
#ifdef COMPAT_OLD_WQ_PERCPU
#define WQ_PERCPU		0
#endif

/*
 * A shrinker is allocated with its name and then registered, which cannot fail.
 * It was named when it was registered; where that fails it is gone.
 */
#ifdef COMPAT_OLD_SHRINKER
static inline struct shrinker *shrinker_alloc(unsigned int flags,
					      const char *name)
{
	return kzalloc(sizeof(struct shrinker), GFP_KERNEL);
}

static inline int compat_shrinker_register(struct shrinker *shrinker)
{
	int ret = register_shrinker(shrinker, KBUILD_MODNAME);

	if (ret)
		kfree(shrinker);
	return ret;
}

static inline void shrinker_free(struct shrinker *shrinker)
{
	unregister_shrinker(shrinker);
	kfree(shrinker);
}
#else
static inline int compat_shrinker_register(struct shrinker *shrinker)
{
	shrinker_register(shrinker);
	return 0;
}
#endif

static inline struct gendisk *
compat_blk_mq_alloc_disk(struct blk_mq_tag_set *set, struct queue_limits *lim,
			 void *queuedata, struct lock_class_key *lkclass)
{
	struct gendisk *disk;

#ifdef COMPAT_OLD_ALLOC_DISK
	disk = __blk_mq_alloc_disk(set, queuedata, lkclass);
	if (IS_ERR(disk))
		return disk;
	blk_queue_logical_block_size(disk->queue, lim->logical_block_size);
	blk_queue_physical_block_size(disk->queue, lim->physical_block_size);
	blk_queue_io_min(disk->queue, lim->io_min);
	blk_queue_io_opt(disk->queue, lim->io_opt);
	blk_queue_chunk_sectors(disk->queue, lim->chunk_sectors);
	blk_queue_max_hw_sectors(disk->queue, lim->max_hw_sectors);
	blk_queue_max_segments(disk->queue, lim->max_segments);
	blk_queue_max_segment_size(disk->queue, lim->max_segment_size);
	blk_queue_dma_alignment(disk->queue, lim->dma_alignment);
	disk->queue->limits.discard_granularity = lim->discard_granularity;
	blk_queue_max_discard_sectors(disk->queue, lim->max_hw_discard_sectors);
	blk_queue_max_write_zeroes_sectors(disk->queue,
					   lim->max_write_zeroes_sectors);
#else
	disk = __blk_mq_alloc_disk(set, lim, queuedata, lkclass);
	if (IS_ERR(disk))
		return disk;
#endif
#ifdef COMPAT_OLD_ROTATIONAL
	/* Rotational unless said otherwise; now it is the other way round. */
	blk_queue_flag_set(QUEUE_FLAG_NONROT, disk->queue);
#endif
	return disk;
}

#undef blk_mq_alloc_disk
#define blk_mq_alloc_disk(set, lim, queuedata)				\
({									\
	static struct lock_class_key __key;				\
									\
	compat_blk_mq_alloc_disk(set, lim, queuedata, &__key);		\
})

#endif
