// SPDX-License-Identifier: GPL-2.0
/*
 * The way of a request.
 *
 * queue_rq looks the request's place up, which takes no lock. Where the image
 * has nothing, the request is answered right there. Otherwise it goes onto the
 * list of its hardware queue, and a work submits what is on the list to the
 * file, as asynchronous direct reads into the request's own pages. The work is
 * kicked once for each batch, at bd->last or in commit_rqs, whatever became of
 * the batch's last request.
 *
 * Why a work: a file system called from queue_rq would run inside of whatever
 * submitted the request, which may itself be a file system in the middle of a
 * transaction, deep in the stack and with locks held. Why no plug around the
 * submission: the file system has its own around each read, which an outer one
 * would turn into a no-op, and would hold each read back until the last.
 *
 * Buffered reads block until the data is there, so then each request is a work
 * of its own, or one slow read would hold up all others.
 *
 * Forward progress: a work waits for the backing file and never for another
 * work of this queue. Nothing of what it does for a request can fail for want
 * of memory: the only thing it allocates is an array for the pages of a request
 * of several bios, and without one the bios are read one by one. The file
 * system and the block layer below have their own reserves. WQ_MEM_RECLAIM
 * gives a thread when none can be created, since whoever reclaims memory may be
 * waiting for a page of this disk. All allocations below are GFP_NOIO for the
 * same reason. The workqueue is not freezable: a read changes nothing on the
 * backing file, and a task waiting for one must get it to reach the place where
 * it can be frozen itself.
 *
 * A read may be answered in part. What is missing is asked for again by a work
 * of the request, since completion may come in interrupt context. Behind the
 * end of the file there are zeros (the last block of a file may be cut short);
 * but a file that ends sooner than it did at attach has lost data, and the read
 * fails.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "block.h"

/* Merged requests up to this many pieces of memory need no allocation. */
#define VHDX_INLINE_BVECS	8

/**
 * struct vhdx_cmd - what is ours of a request
 * @iocb: of the read under way
 * @node: on the list of its queue
 * @work: submits this request alone
 * @ref: one for who submits the read, one for its completion
 * @done: bytes of the request that are answered
 * @left: bytes of the extent at @done that are not
 * @asked: bytes of them that the read under way is for
 * @offset: where the extent goes on in the file, in bytes
 * @zero: the extent reads as zeros
 * @buffered: not as direct I/O
 * @status: of the request, when it is complete
 * @ret: bytes read, or a negative errno
 * @nr_bvecs: in @bvec
 * @bvec: the request's memory when it is of several bios: @inline_bvec, or
 *	allocated; or NULL
 * @inline_bvec: see there
 */
struct vhdx_cmd {
	struct kiocb iocb;
	struct llist_node node;
	struct work_struct work;
	atomic_t ref;
	unsigned int done;
	unsigned int left;
	unsigned int asked;
	u64 offset;
	bool zero;
	bool buffered;
	blk_status_t status;
	long ret;
	unsigned int nr_bvecs;
	struct bio_vec *bvec;
	struct bio_vec inline_bvec[VHDX_INLINE_BVECS];
};

static struct vhdx_device *cmd_device(struct vhdx_cmd *cmd)
{
	return blk_mq_rq_from_pdu(cmd)->q->queuedata;
}

/* Finds the extent at cmd->done. */
static void vhdx_cmd_map(struct vhdx_cmd *cmd)
{
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	const struct vhdx_image *image = cmd_device(cmd)->image;
	struct vhdx_extent extent;

	vhdx_image_map(image, ((u64)blk_rq_pos(rq) << SECTOR_SHIFT) + cmd->done,
		       blk_rq_bytes(rq) - cmd->done, &extent);
	cmd->left = extent.length;
	cmd->offset = extent.offset;
	cmd->zero = extent.type == VHDX_EXTENT_ZERO ||
		    extent.offset >= image->file_size;
}

static void vhdx_cmd_complete(struct vhdx_cmd *cmd, blk_status_t status)
{
	if (cmd->bvec != cmd->inline_bvec)
		kfree(cmd->bvec);
	cmd->bvec = NULL;
	cmd->status = status;
	blk_mq_complete_request(blk_mq_rq_from_pdu(cmd));
}

static void vhdx_complete_rq(struct request *rq)
{
	struct vhdx_cmd *cmd = blk_mq_rq_to_pdu(rq);

	blk_mq_end_request(rq, cmd->status);
}

/* Accounts for bytes that are answered. True: that was the whole request. */
static bool vhdx_cmd_advance(struct vhdx_cmd *cmd, unsigned int bytes)
{
	cmd->done += bytes;
	cmd->left -= bytes;
	cmd->offset += bytes;
	if (cmd->done < blk_rq_bytes(blk_mq_rq_from_pdu(cmd)))
		return false;
	vhdx_cmd_complete(cmd, BLK_STS_OK);
	return true;
}

static void vhdx_cmd_work(struct work_struct *work);

static void vhdx_cmd_queue_work(struct vhdx_cmd *cmd)
{
	/* Nobody touches a work once it runs, so it can queue itself again. */
	INIT_WORK(&cmd->work, vhdx_cmd_work);
	queue_work(cmd_device(cmd)->workqueue, &cmd->work);
}

/* One list of all the memory of a request of several bios, if there can be. */
static void vhdx_cmd_gather_bvecs(struct vhdx_cmd *cmd)
{
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	struct req_iterator iter;
	struct bio_vec bv;
	unsigned int i = 0;

	cmd->nr_bvecs = 0;
	rq_for_each_bvec(bv, rq, iter)
		cmd->nr_bvecs++;

	if (cmd->nr_bvecs <= VHDX_INLINE_BVECS)
		cmd->bvec = cmd->inline_bvec;
	else
		cmd->bvec = kmalloc_array(cmd->nr_bvecs, sizeof(*cmd->bvec),
					  GFP_NOIO | __GFP_NORETRY |
					  __GFP_NOWARN);
	if (!cmd->bvec)
		return;

	rq_for_each_bvec(bv, rq, iter)
		cmd->bvec[i++] = bv;
}

/*
 * Makes an iterator over the memory for the next bytes of the request, as many
 * of cmd->left as can be had at once, and leaves their number in cmd->asked.
 */
static void vhdx_cmd_iter(struct vhdx_cmd *cmd, struct iov_iter *iter)
{
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	struct bio *bio = rq->bio;
	const struct bio_vec *first;
	unsigned int nr_bvecs = 0;
	struct bvec_iter bi;
	struct bio_vec bv;
	size_t skip;

	if (bio != rq->biotail && !cmd->bvec)
		vhdx_cmd_gather_bvecs(cmd);

	cmd->asked = cmd->left;
	skip = cmd->done;
	if (cmd->bvec) {
		iov_iter_bvec(iter, ITER_DEST, cmd->bvec, cmd->nr_bvecs,
			      blk_rq_bytes(rq));
	} else {
		for (; skip >= bio->bi_iter.bi_size; bio = bio->bi_next)
			skip -= bio->bi_iter.bi_size;
		bio_for_each_bvec(bv, bio, bi)
			nr_bvecs++;
		first = __bvec_iter_bvec(bio->bi_io_vec, bio->bi_iter);
		iov_iter_bvec(iter, ITER_DEST, first, nr_bvecs,
			      bio->bi_iter.bi_size);
		/* A bio that was split may begin inside of a bvec. */
		iter->iov_offset = mp_bvec_iter_offset(bio->bi_io_vec,
						       bio->bi_iter) -
				   first->bv_offset;
		cmd->asked = min_t(size_t, cmd->left,
				   bio->bi_iter.bi_size - skip);
	}
	iov_iter_advance(iter, skip);
	iov_iter_truncate(iter, cmd->asked);
}

/* The read is over, and both who submitted it and its completion are through. */
static void vhdx_cmd_end_read(struct vhdx_cmd *cmd)
{
	struct vhdx_device *device = cmd_device(cmd);

	if (cmd->ret == -EINVAL && !cmd->buffered) {
		/* A file system may be pickier than it says. */
		cmd->buffered = true;
		vhdx_cmd_queue_work(cmd);
		return;
	}
	if (cmd->ret < 0) {
		vhdx_cmd_complete(cmd, errno_to_blk_status(cmd->ret));
		return;
	}
	if (vhdx_cmd_advance(cmd, cmd->ret))
		return;
	if (cmd->ret < cmd->asked) {
		if (cmd->offset >= device->image->file_size) {
			cmd->zero = true;
		} else if (!cmd->ret) {
			pr_err_ratelimited("vhdx%d: %pD4 ends before offset %llu, it was %llu bytes long at attach\n",
					   device->index, device->backing->io,
					   cmd->offset,
					   device->image->file_size);
			vhdx_cmd_complete(cmd, BLK_STS_IOERR);
			return;
		}
	}
	vhdx_cmd_queue_work(cmd);
}

static void vhdx_cmd_put(struct vhdx_cmd *cmd)
{
	if (atomic_dec_and_test(&cmd->ref))
		vhdx_cmd_end_read(cmd);
}

/* ->ki_complete; in any context. */
static void vhdx_read_complete(struct kiocb *iocb, long ret)
{
	struct vhdx_cmd *cmd = container_of(iocb, struct vhdx_cmd, iocb);

	cmd->ret = ret;
	vhdx_cmd_put(cmd);
}

static void vhdx_cmd_read(struct vhdx_cmd *cmd, struct iov_iter *iter)
{
	struct file *file = cmd_device(cmd)->backing->io;
	ssize_t ret;

	/* The flags are our own; the file's are the business of its users. */
	cmd->iocb = (struct kiocb) {
		.ki_filp = file,
		.ki_pos = cmd->offset,
		.ki_ioprio = req_get_ioprio(blk_mq_rq_from_pdu(cmd)),
	};
	if (!cmd->buffered) {
		cmd->iocb.ki_flags = IOCB_DIRECT;
		cmd->iocb.ki_complete = vhdx_read_complete;
	}

	/*
	 * The file system may look at the iterator's memory after the read has
	 * completed: the request must not end before it has let go.
	 */
	atomic_set(&cmd->ref, 2);
	ret = file->f_op->read_iter(&cmd->iocb, iter);
	if (ret != -EIOCBQUEUED)
		vhdx_read_complete(&cmd->iocb, ret);
	vhdx_cmd_put(cmd);
}

/* Goes on with a request where it is; returns when a read of it is under way. */
static void vhdx_cmd_run(struct vhdx_cmd *cmd)
{
	struct iov_iter iter;

	for (;;) {
		if (!cmd->left)
			vhdx_cmd_map(cmd);
		vhdx_cmd_iter(cmd, &iter);
		if (!cmd->zero) {
			vhdx_cmd_read(cmd, &iter);
			return;
		}
		iov_iter_zero(cmd->asked, &iter);
		if (vhdx_cmd_advance(cmd, cmd->asked))
			return;
	}
}

static void vhdx_cmd_work(struct work_struct *work)
{
	unsigned int noio = memalloc_noio_save();

	vhdx_cmd_run(container_of(work, struct vhdx_cmd, work));
	memalloc_noio_restore(noio);
}

static void vhdx_queue_work(struct work_struct *work)
{
	struct vhdx_queue *queue = container_of(work, struct vhdx_queue, work);
	unsigned int noio = memalloc_noio_save();
	struct vhdx_cmd *cmd, *next;
	struct llist_node *list;

	list = llist_reverse_order(llist_del_all(&queue->list));
	llist_for_each_entry_safe(cmd, next, list, node)
		vhdx_cmd_run(cmd);
	memalloc_noio_restore(noio);
}

static void vhdx_kick(struct vhdx_queue *queue)
{
	if (!llist_empty(&queue->list))
		queue_work(queue->device->workqueue, &queue->work);
}

static blk_status_t vhdx_queue_read(struct vhdx_queue *queue,
				    struct request *rq)
{
	struct vhdx_cmd *cmd = blk_mq_rq_to_pdu(rq);
	struct bio *bio;

	blk_mq_start_request(rq);
	cmd->done = 0;
	cmd->buffered = !queue->device->dio;
	vhdx_cmd_map(cmd);

	if (cmd->zero && cmd->left == blk_rq_bytes(rq)) {
		__rq_for_each_bio(bio, rq)
			zero_fill_bio(bio);
		blk_mq_end_request(rq, BLK_STS_OK);
	} else if (cmd->buffered) {
		vhdx_cmd_queue_work(cmd);
	} else {
		llist_add(&cmd->node, &queue->list);
	}
	return BLK_STS_OK;
}

static blk_status_t vhdx_queue_rq(struct blk_mq_hw_ctx *hctx,
				  const struct blk_mq_queue_data *bd)
{
	struct vhdx_queue *queue = hctx->driver_data;
	blk_status_t status;

	/* Some kernels only warn of a write to a read-only disk. */
	if (req_op(bd->rq) == REQ_OP_READ)
		status = vhdx_queue_read(queue, bd->rq);
	else
		status = BLK_STS_IOERR;

	if (bd->last)
		vhdx_kick(queue);
	return status;
}

static void vhdx_commit_rqs(struct blk_mq_hw_ctx *hctx)
{
	vhdx_kick(hctx->driver_data);
}

static int vhdx_init_hctx(struct blk_mq_hw_ctx *hctx, void *driver_data,
			  unsigned int hctx_idx)
{
	struct vhdx_device *device = driver_data;

	hctx->driver_data = &device->queue[hctx_idx];
	return 0;
}

static const struct blk_mq_ops vhdx_mq_ops = {
	.queue_rq = vhdx_queue_rq,
	.commit_rqs = vhdx_commit_rqs,
	.complete = vhdx_complete_rq,
	.init_hctx = vhdx_init_hctx,
};

/**
 * vhdx_requests_init() - make what carries the requests of a device
 * @device: has its index
 *
 * Context: process context, may sleep.
 * Return: 0 or a negative errno.
 */
int vhdx_requests_init(struct vhdx_device *device)
{
	struct blk_mq_tag_set *set = &device->tag_set;
	struct vhdx_queue *queue;
	int ret;

	for (queue = device->queue;
	     queue < device->queue + VHDX_MAX_QUEUES; queue++) {
		queue->device = device;
		init_llist_head(&queue->list);
		INIT_WORK(&queue->work, vhdx_queue_work);
	}

	/*
	 * Unbound: at depth the submitting CPU has enough to do with the
	 * completions, and the scheduler finds a free one.
	 */
	device->workqueue = alloc_workqueue("vhdx%d",
					    WQ_UNBOUND | WQ_MEM_RECLAIM, 0,
					    device->index);
	if (!device->workqueue)
		return -ENOMEM;

	set->ops = &vhdx_mq_ops;
	set->nr_hw_queues = min_t(unsigned int, nr_cpu_ids, VHDX_MAX_QUEUES);
	set->queue_depth = VHDX_QUEUE_DEPTH;
	set->numa_node = NUMA_NO_NODE;
	set->cmd_size = sizeof(struct vhdx_cmd);
	/* The file system below schedules, and needs its own queue to run. */
	set->flags = BLK_MQ_F_NO_SCHED_BY_DEFAULT | BLK_MQ_F_STACKING |
		     COMPAT_BLK_MQ_F_SHOULD_MERGE;
	set->driver_data = device;
	ret = blk_mq_alloc_tag_set(set);
	if (ret)
		destroy_workqueue(device->workqueue);
	return ret;
}

/**
 * vhdx_requests_exit() - undo vhdx_requests_init()
 * @device: no request of it is left
 *
 * Context: process context, may sleep.
 */
void vhdx_requests_exit(struct vhdx_device *device)
{
	/* A work may still be returning from its last request. */
	destroy_workqueue(device->workqueue);
	blk_mq_free_tag_set(&device->tag_set);
}
