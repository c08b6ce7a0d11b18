// SPDX-License-Identifier: GPL-2.0
/*
 * Moving the data of a request between its own pages and the files of a chain.
 *
 * A request goes extent by extent; a read asks the block map where the next one
 * is, a write asks vhdx_write_begin(), and each tells image/ when the extent's
 * I/O is over. So what image/ proves of an order of writes holds here: this file
 * publishes nothing, it only moves data between begin and end. A read's extent
 * may be in any file of the chain, a write's is in the image's own.
 *
 * Completion may come in interrupt context. What ends there is what changes no
 * state: reads, and overwrites that need no commit. All else ends in a work of
 * the queue, and what is not through goes on in a work of the request.
 *
 * I/O may be done in part. What is missing is asked for again by the latter.
 * Behind the end of the file a read finds zeros (the last block of a file may be
 * cut short); but a file that ends sooner than it did at attach has lost data,
 * and the read fails.
 *
 * Zeros around the data that image/ asks for are written by the same I/O. What fails
 * with them, or is done in part, is done once more without, and nothing is padded any
 * more: a host that is full, broken or picky is not asked for more than it must.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/uio.h>

#include "cmd.h"

static bool is_write(struct vhdx_cmd *cmd)
{
	return op_is_write(req_op(blk_mq_rq_from_pdu(cmd)));
}

/* Bytes of the request that are not through. */
static unsigned int rest_of(struct vhdx_cmd *cmd)
{
	return blk_rq_bytes(blk_mq_rq_from_pdu(cmd)) - cmd->done;
}

/* As vhdx_image_map(), and reads what that needs when there is time. */
static int find_extent(struct vhdx_cmd *cmd, struct vhdx_extent *extent)
{
	struct vhdx_device *device = vhdx_cmd_device(cmd);
	u64 pos = vhdx_cmd_pos(cmd);
	int ret;

	for (;;) {
		ret = vhdx_image_map(device->image, pos, rest_of(cmd), extent);
		if (!ret || !cmd->wait)
			return ret;
		ret = vhdx_image_load(device->image, pos, rest_of(cmd));
		if (ret) {
			pr_err_ratelimited("vhdx%d: a sector bitmap cannot be read: %pe\n",
					   device->index, ERR_PTR(ret));
			return -EIO;
		}
	}
}

/**
 * vhdx_cmd_map_read() - begin the extent at cmd->done of a read
 * @cmd: a read
 *
 * Context: any; a work of the request, under vhdx_io_save(), with cmd->wait.
 * Return: 0, and the extent has begun; -EAGAIN: only a work of the request can
 * find it, and never with cmd->wait; -EIO.
 */
int vhdx_cmd_map_read(struct vhdx_cmd *cmd)
{
	struct vhdx_extent extent;
	int ret;

	cmd->read = vhdx_read_begin(vhdx_cmd_device(cmd)->image);
	cmd->begun = true;
	ret = find_extent(cmd, &extent);
	if (ret) {
		vhdx_cmd_end_extent(cmd, ret);
		return ret;
	}
	cmd->left = extent.length;
	cmd->image = extent.image;
	cmd->offset = extent.offset;
	cmd->zero = extent.type == VHDX_EXTENT_ZERO ||
		    extent.offset >= READ_ONCE(extent.image->file_size);
	cmd->buffered = !vhdx_backing_of(extent.image)->dio;
	return 0;
}

/**
 * vhdx_cmd_reads_zeros() - is there nothing to be read from a file?
 * @cmd: a read, with an extent begun
 *
 * Context: any.
 * Return: true when all that is left of the request reads as zeros.
 */
bool vhdx_cmd_reads_zeros(struct vhdx_cmd *cmd)
{
	return cmd->zero && cmd->left == rest_of(cmd);
}

/* False: the request goes on elsewhere, or has failed and is complete. */
static bool map_read(struct vhdx_cmd *cmd)
{
	int ret = vhdx_cmd_map_read(cmd);

	if (ret == -EAGAIN)
		vhdx_cmd_queue_work(cmd);
	else if (ret)
		vhdx_cmd_complete(cmd, ret);
	return !ret;
}

/* False: the request goes on later or elsewhere, or has failed and is complete. */
static bool map_write(struct vhdx_cmd *cmd)
{
	struct vhdx_image *image = vhdx_cmd_device(cmd)->image;
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	struct vhdx_write *write = &cmd->write;
	int ret;

	write->pos = vhdx_cmd_pos(cmd);
	write->length = rest_of(cmd);
	write->wait = cmd->wait;
	write->fua = rq->cmd_flags & REQ_FUA;
	write->may_pad = !cmd->done && !cmd->buffered &&
			 vhdx_backing_may_pad(vhdx_backing_of(image));
	write->resume = vhdx_cmd_resume;
	ret = vhdx_write_begin(image, write);
	/* Parked, it may be under way again by now. */
	if (ret == -EINPROGRESS)
		return false;
	if (ret == -EAGAIN && !cmd->wait) {
		vhdx_cmd_queue_work(cmd);
		return false;
	}
	if (ret) {
		vhdx_cmd_complete(cmd, ret);
		return false;
	}
	cmd->begun = true;
	cmd->zero = false;
	cmd->pad = write->pad_before || write->pad_after;
	cmd->left = write->extent.length;
	cmd->image = image;
	cmd->offset = write->extent.offset;
	cmd->commit |= write->fua && !write->durable;
	return true;
}

/**
 * vhdx_cmd_end_extent() - tell image/ that an extent's I/O is over
 * @cmd: with an extent begun, or not
 * @status: 0 or a negative errno
 *
 * Context: process context; any for reads and overwrites.
 */
void vhdx_cmd_end_extent(struct vhdx_cmd *cmd, int status)
{
	struct vhdx_device *device = vhdx_cmd_device(cmd);
	bool changed;

	if (!cmd->begun)
		return;
	cmd->begun = false;
	if (!is_write(cmd)) {
		vhdx_read_end(device->image, cmd->read);
		return;
	}
	changed = !vhdx_write_is_overwrite(&cmd->write);
	vhdx_write_end(device->image, &cmd->write, status);
	if (changed)
		vhdx_device_changed(device);
}

/* Ends here and now where that is allowed in any context. */
static bool may_end_anywhere(struct vhdx_cmd *cmd)
{
	return !is_write(cmd) ||
	       (vhdx_write_is_overwrite(&cmd->write) && !cmd->commit);
}

static unsigned int add_zeros(struct bio_vec *bvec, unsigned int bytes)
{
	unsigned int i;

	for (i = 0; bytes; i++) {
		bvec[i] = (struct bio_vec){
			.bv_page = ZERO_PAGE(0),
			.bv_len = min_t(unsigned int, bytes, PAGE_SIZE),
		};
		bytes -= bvec[i].bv_len;
	}
	return i;
}

/*
 * One list of all the memory of a request of several bios, with the zeros around
 * it, if there can be.
 */
static void gather_bvecs(struct vhdx_cmd *cmd)
{
	unsigned int before = cmd->pad ? cmd->write.pad_before : 0;
	unsigned int after = cmd->pad ? cmd->write.pad_after : 0;
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	struct req_iterator iter;
	struct bio_vec bv;
	unsigned int i;

	cmd->nr_bvecs = DIV_ROUND_UP(before, PAGE_SIZE) +
			DIV_ROUND_UP(after, PAGE_SIZE);
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

	i = add_zeros(cmd->bvec, before);
	rq_for_each_bvec(bv, rq, iter)
		cmd->bvec[i++] = bv;
	add_zeros(cmd->bvec + i, after);
}

/* Bytes of zeros that the I/O writes besides. */
static unsigned int padding(struct vhdx_cmd *cmd)
{
	return cmd->pad ? cmd->write.pad_before + cmd->write.pad_after : 0;
}

/*
 * Makes an iterator over the memory for the next bytes of the request, as many
 * of cmd->left as can be had at once, and leaves their number in cmd->asked. With
 * cmd->pad that is all of the request, between its zeros.
 */
static void make_iter(struct vhdx_cmd *cmd, struct iov_iter *iter)
{
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	unsigned int direction = is_write(cmd) ? ITER_SOURCE : ITER_DEST;
	struct bio *bio = rq->bio;
	const struct bio_vec *first;
	unsigned int nr_bvecs = 0;
	struct bvec_iter bi;
	struct bio_vec bv;
	size_t skip;

	if (!cmd->bvec && (cmd->pad || bio != rq->biotail))
		gather_bvecs(cmd);
	cmd->pad &= !!cmd->bvec;

	cmd->asked = cmd->left;
	skip = cmd->done;
	if (cmd->bvec) {
		iov_iter_bvec(iter, direction, cmd->bvec, cmd->nr_bvecs,
			      blk_rq_bytes(rq) + padding(cmd));
	} else {
		for (; skip >= bio->bi_iter.bi_size; bio = bio->bi_next)
			skip -= bio->bi_iter.bi_size;
		bio_for_each_bvec(bv, bio, bi)
			nr_bvecs++;
		first = __bvec_iter_bvec(bio->bi_io_vec, bio->bi_iter);
		iov_iter_bvec(iter, direction, first, nr_bvecs,
			      bio->bi_iter.bi_size);
		/* A bio that was split may begin inside of a bvec. */
		iter->iov_offset = mp_bvec_iter_offset(bio->bi_io_vec,
						       bio->bi_iter) -
				   first->bv_offset;
		cmd->asked = min_t(size_t, cmd->left,
				   bio->bi_iter.bi_size - skip);
	}
	iov_iter_advance(iter, skip);
	iov_iter_truncate(iter, cmd->asked + padding(cmd));
}

static void advance(struct vhdx_cmd *cmd, unsigned int bytes)
{
	cmd->done += bytes;
	cmd->left -= bytes;
	cmd->offset += bytes;
}

/* The whole request is through. */
static bool is_done(struct vhdx_cmd *cmd)
{
	return cmd->done == blk_rq_bytes(blk_mq_rq_from_pdu(cmd));
}

static void finish(struct vhdx_cmd *cmd)
{
	if (cmd->commit)
		vhdx_cmd_flush(cmd);
	else
		vhdx_cmd_complete(cmd, 0);
}

/* What the I/O that is over amounts to: 0 or a negative errno. */
static int account(struct vhdx_cmd *cmd)
{
	u64 size;

	if (cmd->ret < 0)
		return cmd->ret;
	advance(cmd, cmd->ret);
	if (cmd->ret == cmd->asked)
		return 0;
	if (is_write(cmd))
		return cmd->ret ? 0 : -EIO;
	size = READ_ONCE(cmd->image->file_size);
	if (cmd->offset >= size) {
		cmd->zero = true;
	} else if (!cmd->ret) {
		pr_err_ratelimited("vhdx%d: %pD4 ends before offset %llu, it was %llu bytes long\n",
				   vhdx_cmd_device(cmd)->index,
				   vhdx_backing_of(cmd->image)->io, cmd->offset,
				   size);
		return -EIO;
	}
	return 0;
}

/* False: not all of it was done, and the data is to be written by itself. */
static bool end_padding(struct vhdx_cmd *cmd)
{
	bool done = cmd->ret == cmd->asked + padding(cmd);

	if (!done)
		WRITE_ONCE(vhdx_backing_of(cmd->image)->may_pad, false);
	cmd->ret = done ? cmd->asked : 0;
	cmd->pad = false;
	vhdx_cmd_free_bvecs(cmd);
	return done;
}

/*
 * Both who submitted the I/O and its completion are through. Where the former is the
 * last it may sleep, and needs no work for that.
 */
static void end_io(struct vhdx_cmd *cmd, bool may_sleep)
{
	if (cmd->pad && !end_padding(cmd)) {
		vhdx_cmd_queue_work(cmd);
		return;
	}
	if (vhdx_backing_refuses_dio(cmd->ret) && !cmd->buffered) {
		cmd->buffered = true;
		cmd->ret = 0;
		vhdx_cmd_queue_work(cmd);
		return;
	}
	cmd->ret = account(cmd);
	if (!cmd->ret && !is_done(cmd)) {
		vhdx_cmd_queue_work(cmd);
		return;
	}
	if (!may_sleep && !may_end_anywhere(cmd)) {
		vhdx_cmd_queue_end(cmd);
		return;
	}
	vhdx_cmd_end_extent(cmd, cmd->ret);
	if (cmd->ret)
		vhdx_cmd_complete(cmd, cmd->ret);
	else
		finish(cmd);
}

static void put(struct vhdx_cmd *cmd, bool may_sleep)
{
	if (atomic_dec_and_test(&cmd->ref))
		end_io(cmd, may_sleep);
}

/* ->ki_complete; in any context. */
static void io_complete(struct kiocb *iocb, long ret)
{
	struct vhdx_cmd *cmd = container_of(iocb, struct vhdx_cmd, iocb);

	if (is_write(cmd))
		vhdx_backing_end_write(iocb);
	cmd->ret = ret;
	put(cmd, false);
}

static void submit(struct vhdx_cmd *cmd, struct iov_iter *iter)
{
	struct file *file = vhdx_backing_of(cmd->image)->io;
	bool write = is_write(cmd);
	ssize_t ret;

	/* The flags are our own; the file's are the business of its users. */
	cmd->iocb = (struct kiocb) {
		.ki_filp = file,
		.ki_pos = cmd->offset - (cmd->pad ? cmd->write.pad_before : 0),
		.ki_ioprio = req_get_ioprio(blk_mq_rq_from_pdu(cmd)),
	};
	if (!cmd->buffered) {
		cmd->iocb.ki_flags = IOCB_DIRECT;
		cmd->iocb.ki_complete = io_complete;
	}

	if (write && !vhdx_backing_start_write(&cmd->iocb, cmd->wait)) {
		vhdx_cmd_queue_work(cmd);
		return;
	}

	/*
	 * The file system may look at the iterator's memory after the I/O has
	 * completed: the request must not end before it has let go.
	 */
	atomic_set(&cmd->ref, 2);
	if (write) {
		cmd->iocb.ki_flags |= IOCB_WRITE;
		if (cmd->write.fua && cmd->write.durable)
			cmd->iocb.ki_flags |= IOCB_DSYNC;
		ret = file->f_op->write_iter(&cmd->iocb, iter);
	} else {
		ret = file->f_op->read_iter(&cmd->iocb, iter);
	}
	if (ret != -EIOCBQUEUED)
		io_complete(&cmd->iocb, ret);
	put(cmd, true);
}

/* Where the last extent has ended, finds the next. False: not now, or never. */
static bool next_extent(struct vhdx_cmd *cmd)
{
	if (cmd->left)
		return true;
	vhdx_cmd_end_extent(cmd, 0);
	if (is_done(cmd)) {
		finish(cmd);
		return false;
	}
	return is_write(cmd) ? map_write(cmd) : map_read(cmd);
}

/**
 * vhdx_cmd_transfer() - go on with a read or a write where it is
 * @cmd: the request
 *
 * Returns when I/O is under way, when the request waits for image/, or when it
 * is complete; nobody touches @cmd after that.
 *
 * Context: a work, under vhdx_io_save().
 */
void vhdx_cmd_transfer(struct vhdx_cmd *cmd)
{
	struct iov_iter iter;

	if (cmd->ret < 0) {
		vhdx_cmd_end_extent(cmd, cmd->ret);
		vhdx_cmd_complete(cmd, cmd->ret);
		return;
	}
	while (next_extent(cmd)) {
		/* The next file may not do direct I/O where the last one did. */
		if (!cmd->zero && cmd->buffered && !cmd->wait) {
			vhdx_cmd_queue_work(cmd);
			return;
		}
		make_iter(cmd, &iter);
		if (!cmd->zero) {
			submit(cmd, &iter);
			return;
		}
		iov_iter_zero(cmd->asked, &iter);
		advance(cmd, cmd->asked);
	}
}
