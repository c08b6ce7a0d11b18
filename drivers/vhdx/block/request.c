// SPDX-License-Identifier: GPL-2.0
/*
 * The way of a request.
 *
 * queue_rq looks a read's place up, which takes no lock. Where the image has
 * nothing, the request is answered right there. Otherwise it goes onto the list
 * of its hardware queue, with the writes, and a work carries out what is on the
 * list: asynchronous direct I/O between a file and the request's own pages
 * (transfer.c). The work is kicked once for each batch, at bd->last or in
 * commit_rqs, whatever became of the batch's last request.
 *
 * Why a work: a file system called from queue_rq would run inside of whatever
 * submitted the request, which may itself be a file system in the middle of a
 * transaction, deep in the stack and with locks held. Why no plug around the
 * submission: the file system has its own around each read or write, which an
 * outer one would turn into a no-op, and would hold each back until the last.
 *
 * What cannot end in the context of its completion goes onto a second list of
 * the queue, for a work that ends all that has come there: a work for each would
 * cost more than what is left to do. Nothing of that waits for a file. The work is
 * one of the CPU's own, as those are in which file systems end direct writes: the
 * same thread goes on with it, and no other has to be woken up.
 *
 * What blocks until it is done is a work of its own, or one slow request would
 * hold up all others: buffered I/O, discard and write zeroes (clear.c), what
 * needs a sector bitmap that is not in memory, and writes while the file system
 * is frozen. A request that waits for image/ is parked there and holds no thread;
 * it goes on in a work of its own.
 *
 * A FLUSH is handed to the journal, which answers it from its worker. A FUA
 * write whose mapping is durable is a write with IOCB_DSYNC; any other ends with
 * a commit, that begins after the data was written.
 *
 * Forward progress: a work waits for the files of the chain and never for another
 * work of this queue; the journal's worker is one of them and waits for the file
 * alone. Nothing of what is done for a request can fail for want of memory: what
 * image/ needs for one is small and allocated until it is there, and without an
 * array for the pages of a request of several bios these are carried out one by
 * one. The file systems and the block layer below have their own reserves.
 * All works run under vhdx_io_save(), since whoever reclaims memory may be waiting
 * for a page of this disk. WQ_MEM_RECLAIM would give a thread when none can be
 * created; but XFS without space flushes a workqueue of its own that lacks it, and
 * the one must not wait for the other.
 *
 * The workqueue is not freezable: a file system's own threads are frozen at the
 * same time as workqueues, and a work that waits for them, as every flush may,
 * would keep the machine from being suspended. What the journal does of its own
 * accord is asked for by a freezable work, so after a snapshot for hibernation
 * was made only what was under way goes on.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/sched/mm.h>

#include "cmd.h"
#include "trace.h"

/*
 * Each request, each queue's own and the journal: were all requests to wait for a
 * file system, reads that need not would still have a thread.
 */
#define VHDX_MAX_WORKS	((VHDX_QUEUE_DEPTH + 1) * VHDX_MAX_QUEUES + 1)

/* So many requests in a row that were alone, and the queue is used at depth 1. */
#define VHDX_ALONE		4U

/* When a change is committed that nobody has asked a flush for. */
#define VHDX_COMMIT_DELAY	(2 * HZ)

/*
 * Around everything that is done for a request. Writing back for the sake of
 * free memory must not end here again, nor must this wait for dirty pages that
 * may be those of this disk.
 */
static unsigned int vhdx_io_save(void)
{
	unsigned int flags = current->flags & PF_LOCAL_THROTTLE;

	current->flags |= PF_LOCAL_THROTTLE;
	return flags | memalloc_noio_save();
}

static void vhdx_io_restore(unsigned int flags)
{
	memalloc_noio_restore(flags & PF_MEMALLOC_NOIO);
	current->flags &= ~PF_LOCAL_THROTTLE | (flags & PF_LOCAL_THROTTLE);
}

static void vhdx_cmd_count(struct vhdx_cmd *cmd,
			   enum vhdx_request_kind kind)
{
	atomic64_inc(&vhdx_cmd_queue(cmd)->count[kind]);
}

static void vhdx_cmd_error(struct vhdx_cmd *cmd, int ret)
{
	struct request *rq = blk_mq_rq_from_pdu(cmd);

	vhdx_cmd_count(cmd, VHDX_COUNT_ERROR);
	trace_vhdx_request_error(vhdx_cmd_device(cmd)->index,
				 (__force unsigned int)req_op(rq),
				 blk_rq_pos(rq), blk_rq_bytes(rq), ret);
}

/**
 * vhdx_cmd_complete() - end a request
 * @cmd: the request; not ours any more after this
 * @ret: 0 or a negative errno
 *
 * Context: any.
 */
void vhdx_cmd_complete(struct vhdx_cmd *cmd, int ret)
{
	vhdx_cmd_free_bvecs(cmd);
	/* A quota or the file system's limit is a full disk to a guest. */
	if (ret == -EDQUOT || ret == -EFBIG)
		ret = -ENOSPC;
	if (ret)
		vhdx_cmd_error(cmd, ret);
	cmd->status = errno_to_blk_status(ret);
	/* through with the image; pairs with vhdx_requests_under_way() */
	smp_mb__before_atomic();
	atomic_dec(&vhdx_cmd_queue(cmd)->busy);
	blk_mq_complete_request(blk_mq_rq_from_pdu(cmd));
}

static void vhdx_complete_rq(struct request *rq)
{
	struct vhdx_cmd *cmd = blk_mq_rq_to_pdu(rq);

	blk_mq_end_request(rq, cmd->status);
}

static void vhdx_flush_done(struct vhdx_flush *flush, int ret)
{
	vhdx_cmd_complete(container_of(flush, struct vhdx_cmd, flush), ret);
}

/**
 * vhdx_cmd_flush() - end a request with what has ended so far being durable
 * @cmd: a FLUSH, or a write whose I/O is over
 *
 * Context: process context.
 */
void vhdx_cmd_flush(struct vhdx_cmd *cmd)
{
	vhdx_cmd_count(cmd, VHDX_COUNT_COMMIT_WAIT);
	cmd->flush.done = vhdx_flush_done;
	vhdx_flush(vhdx_cmd_device(cmd)->image, &cmd->flush);
}

static void vhdx_cmd_run(struct vhdx_cmd *cmd)
{
	switch (req_op(blk_mq_rq_from_pdu(cmd))) {
	case REQ_OP_DISCARD:
	case REQ_OP_WRITE_ZEROES:
		vhdx_cmd_clear(cmd);
		break;
	default:
		vhdx_cmd_transfer(cmd);
		break;
	}
}

static void vhdx_cmd_work(struct work_struct *work)
{
	struct vhdx_cmd *cmd = container_of(work, struct vhdx_cmd, work);
	unsigned int flags = vhdx_io_save();

	cmd->wait = true;
	vhdx_cmd_run(cmd);
	vhdx_io_restore(flags);
}

/**
 * vhdx_cmd_queue_work() - go on with a request in a work of its own
 * @cmd: the request
 *
 * Context: any.
 */
void vhdx_cmd_queue_work(struct vhdx_cmd *cmd)
{
	/* Nobody touches a work once it runs, so it can queue itself again. */
	INIT_WORK(&cmd->work, vhdx_cmd_work);
	queue_work(vhdx_cmd_device(cmd)->workqueue, &cmd->work);
}

/**
 * vhdx_cmd_resume() - go on with a request that was parked
 * @write: of the request; image/ calls this
 *
 * Context: any.
 */
void vhdx_cmd_resume(struct vhdx_write *write)
{
	vhdx_cmd_queue_work(container_of(write, struct vhdx_cmd, write));
}

/**
 * vhdx_cmd_queue_end() - have a work end a request, with others
 * @cmd: a read or a write whose I/O is over
 *
 * Context: any.
 */
void vhdx_cmd_queue_end(struct vhdx_cmd *cmd)
{
	struct vhdx_queue *queue = vhdx_cmd_queue(cmd);

	if (llist_add(&cmd->node, &queue->ended))
		queue_work(queue->device->local_wq, &queue->ended_work);
}

static void vhdx_queue_run(struct llist_head *head)
{
	unsigned int flags = vhdx_io_save();
	struct vhdx_cmd *cmd, *next;
	struct llist_node *list;

	list = llist_reverse_order(llist_del_all(head));
	llist_for_each_entry_safe(cmd, next, list, node)
		vhdx_cmd_run(cmd);
	vhdx_io_restore(flags);
}

static void vhdx_queue_work(struct work_struct *work)
{
	vhdx_queue_run(&container_of(work, struct vhdx_queue, work)->list);
}

static void vhdx_queue_local_work(struct work_struct *work)
{
	vhdx_queue_run(&container_of(work, struct vhdx_queue, local_work)->list);
}

static void vhdx_queue_ended_work(struct work_struct *work)
{
	vhdx_queue_run(&container_of(work, struct vhdx_queue, ended_work)->ended);
}

/*
 * Requests that come one at a time: whoever waits for each leaves its CPU, which
 * is nearer than another that has to be woken up. The first of a batch looks the
 * same, so a few in a row have to be alone. A work of its own, since one that is
 * running stays where it runs.
 */
static void vhdx_kick(struct vhdx_queue *queue)
{
	struct vhdx_device *device = queue->device;
	unsigned int alone;

	if (llist_empty(&queue->list))
		return;
	/* Racing requests are not alone: a count that gets lost does no harm. */
	alone = atomic_read(&queue->busy) == 1 ? READ_ONCE(queue->alone) + 1 : 0;
	WRITE_ONCE(queue->alone, min(alone, VHDX_ALONE));
	if (alone >= VHDX_ALONE)
		queue_work(device->local_wq, &queue->local_work);
	else
		queue_work(device->workqueue, &queue->work);
}

static void vhdx_queue_transfer(struct vhdx_queue *queue, struct vhdx_cmd *cmd)
{
	if (cmd->buffered)
		vhdx_cmd_queue_work(cmd);
	else
		llist_add(&cmd->node, &queue->list);
}

static void vhdx_queue_read(struct vhdx_queue *queue, struct request *rq)
{
	struct vhdx_cmd *cmd = blk_mq_rq_to_pdu(rq);
	struct bio *bio;

	if (vhdx_cmd_map_read(cmd)) {
		vhdx_cmd_queue_work(cmd);
		return;
	}
	if (!vhdx_cmd_reads_zeros(cmd)) {
		vhdx_queue_transfer(queue, cmd);
		return;
	}
	vhdx_cmd_count(cmd, VHDX_COUNT_READ_ZEROS);
	vhdx_cmd_end_extent(cmd, 0);
	/* as in vhdx_cmd_complete() */
	smp_mb__before_atomic();
	atomic_dec(&queue->busy);
	__rq_for_each_bio(bio, rq)
		zero_fill_bio(bio);
	blk_mq_end_request(rq, BLK_STS_OK);
}

static void vhdx_count_request(struct vhdx_cmd *cmd, const struct request *rq)
{
	switch (req_op(rq)) {
	case REQ_OP_READ:
		vhdx_cmd_count(cmd, VHDX_COUNT_READ);
		break;
	case REQ_OP_WRITE:
		vhdx_cmd_count(cmd, VHDX_COUNT_WRITE);
		if (rq->cmd_flags & REQ_FUA)
			vhdx_cmd_count(cmd, VHDX_COUNT_FUA);
		break;
	case REQ_OP_FLUSH:
		vhdx_cmd_count(cmd, VHDX_COUNT_FLUSH);
		break;
	case REQ_OP_DISCARD:
		vhdx_cmd_count(cmd, VHDX_COUNT_DISCARD);
		break;
	default:
		vhdx_cmd_count(cmd, VHDX_COUNT_WRITE_ZEROES);
		break;
	}
}

static void vhdx_queue_request(struct vhdx_queue *queue, struct request *rq)
{
	struct vhdx_cmd *cmd = blk_mq_rq_to_pdu(rq);

	blk_mq_start_request(rq);
	vhdx_count_request(cmd, rq);
	atomic_inc(&queue->busy);
	cmd->done = 0;
	cmd->left = 0;
	cmd->ret = 0;
	cmd->begun = false;
	cmd->wait = false;
	cmd->commit = false;
	cmd->pad = false;
	cmd->buffered = !queue->device->backing->dio;
	switch (req_op(rq)) {
	case REQ_OP_READ:
		vhdx_queue_read(queue, rq);
		break;
	case REQ_OP_FLUSH:
		vhdx_cmd_flush(cmd);
		break;
	case REQ_OP_WRITE:
		cmd->write = (struct vhdx_write){};
		vhdx_queue_transfer(queue, cmd);
		break;
	default:
		cmd->write = (struct vhdx_write){};
		vhdx_cmd_queue_work(cmd);
		break;
	}
}

static blk_status_t vhdx_queue_rq(struct blk_mq_hw_ctx *hctx,
				  const struct blk_mq_queue_data *bd)
{
	struct vhdx_queue *queue = hctx->driver_data;
	blk_status_t status = BLK_STS_OK;

	/* Some kernels only warn of a write to a read-only disk. */
	if (req_op(bd->rq) == REQ_OP_READ || queue->device->writable)
		vhdx_queue_request(queue, bd->rq);
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

/* --- the journal's worker --- */

static void vhdx_journal_work(struct work_struct *work)
{
	struct vhdx_device *device =
		container_of(work, struct vhdx_device, journal_work);
	unsigned int flags = vhdx_io_save();

	vhdx_image_work(device->image);
	if (vhdx_image_failed(device->image))
		vhdx_device_fail(device);
	else if (vhdx_image_wants_commit(device->image))
		vhdx_device_changed(device);
	vhdx_io_restore(flags);
}

static void vhdx_commit_work(struct work_struct *work)
{
	struct vhdx_device *device = container_of(to_delayed_work(work),
						  struct vhdx_device,
						  commit_work);

	vhdx_image_commit(device->image);
}

static void vhdx_image_kick(struct vhdx_image *image)
{
	struct vhdx_device *device = image->owner;

	queue_work(device->workqueue, &device->journal_work);
}

/**
 * vhdx_device_changed() - the mapping has changed: a commit is due in a while
 * @device: attached for writing
 *
 * Context: any.
 */
void vhdx_device_changed(struct vhdx_device *device)
{
	if (READ_ONCE(device->settling))
		return;
	queue_delayed_work(system_freezable_wq, &device->commit_work,
			   VHDX_COMMIT_DELAY);
}

static void vhdx_destroy_workqueues(struct vhdx_device *device)
{
	if (device->local_wq)
		destroy_workqueue(device->local_wq);
	if (device->workqueue)
		destroy_workqueue(device->workqueue);
}

/**
 * vhdx_requests_init() - make what carries the requests of a device
 * @device: has its index and its image
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
		INIT_WORK(&queue->local_work, vhdx_queue_local_work);
		init_llist_head(&queue->ended);
		INIT_WORK(&queue->ended_work, vhdx_queue_ended_work);
	}
	INIT_WORK(&device->journal_work, vhdx_journal_work);
	INIT_DELAYED_WORK(&device->commit_work, vhdx_commit_work);
	vhdx_requests_set_image(device, device->image);

	/*
	 * Unbound: at depth the submitting CPU has enough to do with the
	 * completions, and the scheduler finds a free one.
	 */
	device->workqueue = alloc_workqueue("vhdx%d", WQ_UNBOUND,
					    VHDX_MAX_WORKS, device->index);
	device->local_wq = alloc_workqueue("vhdx%d_local", WQ_PERCPU, 0,
					   device->index);
	if (!device->workqueue || !device->local_wq) {
		ret = -ENOMEM;
		goto out;
	}

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
out:
	if (ret)
		vhdx_destroy_workqueues(device);
	return ret;
}

/**
 * struct vhdx_call - a function on its way through a work
 * @work: calls it
 * @fn: the function
 * @device: for it
 * @data: likewise
 * @ret: what it returned
 */
struct vhdx_call {
	struct work_struct work;
	int (*fn)(struct vhdx_device *device, void *data);
	struct vhdx_device *device;
	void *data;
	int ret;
};

static void vhdx_call_work(struct work_struct *work)
{
	struct vhdx_call *call = container_of(work, struct vhdx_call, work);
	unsigned int flags = vhdx_io_save();

	call->ret = call->fn(call->device, call->data);
	vhdx_io_restore(flags);
}

/**
 * vhdx_requests_call() - have a work do what changes an image
 * @device: no request of it is under way
 * @fn: does it, under vhdx_io_save()
 * @data: for @fn
 *
 * A signal or a limit on file sizes is the affair of the task that asks for it,
 * and must not make a write of the journal fail.
 *
 * Context: process context, may sleep.
 * Return: what @fn returned.
 */
int vhdx_requests_call(struct vhdx_device *device,
		       int (*fn)(struct vhdx_device *device, void *data),
		       void *data)
{
	struct vhdx_call call = { .fn = fn, .device = device, .data = data };

	INIT_WORK_ONSTACK(&call.work, vhdx_call_work);
	queue_work(device->workqueue, &call.work);
	flush_work(&call.work);
	destroy_work_on_stack(&call.work);
	return call.ret;
}

/* When no request is left: nobody calls image/ any more. */
static void vhdx_requests_settle(struct vhdx_device *device)
{
	/*
	 * A commit that fails asks for another one, which must not come from
	 * outside to a queue that is being drained, however long that takes.
	 */
	WRITE_ONCE(device->settling, true);
	cancel_delayed_work_sync(&device->commit_work);
	do {
		/* A work may still be returning from its last request. */
		drain_workqueue(device->local_wq);
		drain_workqueue(device->workqueue);
		/* Who had looked before may have asked all the same. */
	} while (cancel_delayed_work_sync(&device->commit_work) ||
		 work_busy(&device->journal_work));
}

static int vhdx_finish(struct vhdx_device *device, void *data)
{
	return vhdx_image_finish(device->image);
}

/**
 * vhdx_requests_finish() - wait for all that is done for a device, and end it
 * @device: no request of it is left
 *
 * When this returns nobody calls image/ any more.
 *
 * Context: process context, may sleep.
 * Return: 0, or the negative errno of why the image's log is to be replayed.
 */
int vhdx_requests_finish(struct vhdx_device *device)
{
	vhdx_requests_settle(device);
	if (!device->writable)
		return 0;
	return vhdx_requests_call(device, vhdx_finish, NULL);
}

static bool vhdx_requests_under_way(struct vhdx_device *device)
{
	struct vhdx_queue *queue;
	bool any = false;

	for (queue = device->queue;
	     queue < device->queue + VHDX_MAX_QUEUES; queue++) {
		/* Held back in the middle of a batch, its end does not come. */
		if (!llist_empty(&queue->list))
			queue_work(device->workqueue, &queue->work);
		/* pairs with vhdx_cmd_complete(): it is through with the image */
		any |= atomic_read_acquire(&queue->busy);
	}
	return any;
}

/**
 * vhdx_requests_hold() - keep requests from a device for a while
 * @device: claimed by the caller
 *
 * Those that have come are carried out; who sends more waits. Nobody calls image/
 * or touches the file when this succeeds.
 *
 * The queue is quiesced, not frozen: what has to be waited for are the requests
 * that have reached us, and who waits for a dead host can be killed. A freeze
 * would also tie the locks of the file system below to those of the one above,
 * which may be of one type and look like one lock to lockdep.
 *
 * Context: process context, may sleep.
 * Return: 0, and vhdx_requests_release() must follow; or -EINTR: killed.
 */
int vhdx_requests_hold(struct vhdx_device *device)
{
	blk_mq_quiesce_queue(device->disk->queue);
	while (vhdx_requests_under_way(device)) {
		if (fatal_signal_pending(current)) {
			blk_mq_unquiesce_queue(device->disk->queue);
			return -EINTR;
		}
		schedule_timeout_killable(1);
	}
	vhdx_requests_settle(device);
	return 0;
}

/**
 * vhdx_requests_release() - let requests come again
 * @device: after vhdx_requests_hold()
 *
 * Context: process context.
 */
void vhdx_requests_release(struct vhdx_device *device)
{
	WRITE_ONCE(device->settling, false);
	/* Asked for before, or not done for want of space. */
	if (device->writable)
		vhdx_device_changed(device);
	blk_mq_unquiesce_queue(device->disk->queue);
}

/**
 * vhdx_requests_set_image() - have requests carried out on another image
 * @device: its requests are held back, or it has none yet
 * @image: of the same file, with the same parents
 *
 * Context: process context, may sleep.
 */
void vhdx_requests_set_image(struct vhdx_device *device,
			     struct vhdx_image *image)
{
	image->owner = device;
	image->kick = vhdx_image_kick;
	image->observer = &vhdx_trace_observer;
	mutex_lock(&device->image_lock);
	device->image = image;
	mutex_unlock(&device->image_lock);
}

/**
 * vhdx_requests_exit() - undo vhdx_requests_init()
 * @device: finished
 *
 * Context: process context, may sleep.
 */
void vhdx_requests_exit(struct vhdx_device *device)
{
	vhdx_destroy_workqueues(device);
	blk_mq_free_tag_set(&device->tag_set);
}
