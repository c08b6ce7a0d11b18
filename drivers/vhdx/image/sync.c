// SPDX-License-Identifier: GPL-2.0
/*
 * Guest data from one thread, for who has the image for itself.
 *
 * There is no worker: who would wait for it does its work. So a kick wakes
 * nobody, and the journal gets to work when a write cannot go on without it, at
 * a flush and at the end. Nothing else is in flight then, so whatever a write
 * waits for is there, or has failed, when vhdx_image_work() returns.
 */
#include "sync.h"

static void kick(struct vhdx_image *img)
{
	(void)img;
}

/**
 * vhdx_sync_init() - prepare an image for the functions below
 * @img: open for writing; vhdx_image_finish() ends it
 *
 * Those that do not change the image need no preparation.
 */
void vhdx_sync_init(struct vhdx_image *img)
{
	img->kick = kick;
}

/**
 * vhdx_sync_locate() - find where a piece of the virtual disk is, and who says so
 * @img: an open image
 * @pos: as for vhdx_image_locate()
 * @length: likewise
 * @extent: likewise
 * @state: likewise
 *
 * Context: process context, may sleep; reads sector bitmaps of the chain.
 * Return: 0, or what reading answered.
 */
int vhdx_sync_locate(const struct vhdx_image *img, u64 pos, u64 length,
		     struct vhdx_extent *extent, u32 *state)
{
	int ret;

	do {
		ret = vhdx_image_locate(img, pos, length, extent, state);
		if (ret != -EAGAIN)
			return ret;
		/* The first sector is enough to go on. */
		ret = vhdx_image_load(img, pos, 1);
	} while (!ret);
	return ret;
}

/**
 * vhdx_sync_read() - read from the virtual disk
 * @img: an open image
 * @buf: receives the bytes
 * @length: bytes; @pos + @length lies inside the disk
 * @pos: bytes from the start of the virtual disk
 *
 * Context: process context, may sleep.
 * Return: 0, or what reading answered.
 */
int vhdx_sync_read(const struct vhdx_image *img, void *buf, u64 length,
		   u64 pos)
{
	struct vhdx_extent extent;
	struct vhdx_file *file;
	u32 state;
	int ret = 0;

	for (; length; length -= extent.length) {
		ret = vhdx_sync_locate(img, pos, length, &extent, &state);
		if (ret)
			break;
		file = extent.image->file;
		if (extent.type == VHDX_EXTENT_ZERO)
			memset(buf, 0, extent.length);
		else
			ret = file->ops->read(file, buf, extent.length,
					      extent.offset);
		if (ret)
			break;
		buf = (u8 *)buf + extent.length;
		pos += extent.length;
	}
	return ret;
}

/**
 * struct sync_write - a write that waits for itself
 * @write: with what it wants, and the rest zero before its first use
 * @parked: it is to be resumed
 */
struct sync_write {
	struct vhdx_write write;
	bool parked;
};

static void resume(struct vhdx_write *write)
{
	container_of(write, struct sync_write, write)->parked = false;
}

static void wait_for(struct vhdx_image *img, struct sync_write *sync)
{
	while (sync->parked)
		vhdx_image_work(img);
}

/* As vhdx_write_begin(), whose two answers that ask to wait do not come. */
static int begin(struct vhdx_image *img, struct sync_write *sync)
{
	int ret;

	sync->write.resume = resume;
	sync->write.wait = true;
	do {
		/* Before the call: it may be resumed at once. */
		sync->parked = true;
		ret = vhdx_write_begin(img, &sync->write);
		if (ret == -EINPROGRESS)
			wait_for(img, sync);
	} while (ret == -EINPROGRESS);
	return ret;
}

/**
 * vhdx_sync_write() - write to the virtual disk
 * @img: prepared by vhdx_sync_init()
 * @buf: the bytes
 * @length: bytes, whole sectors; @pos + @length lies inside the disk
 * @pos: bytes from the start of the virtual disk, a multiple of the sector size
 *
 * It may still be in a cache after this.
 *
 * Context: process context, may sleep; writes and flushes the file.
 * Return: 0 or a negative errno, and then any part of it may have been written.
 */
int vhdx_sync_write(struct vhdx_image *img, const void *buf, u64 length,
		    u64 pos)
{
	struct vhdx_file *file = img->file;
	int ret = 0;

	while (!ret && length) {
		struct sync_write sync = {
			.write = { .pos = pos, .length = length },
		};
		const struct vhdx_extent *extent = &sync.write.extent;

		ret = begin(img, &sync);
		if (ret)
			break;
		ret = file->ops->write(file, buf, extent->length,
				       extent->offset);
		vhdx_write_end(img, &sync.write, ret);
		buf = (const u8 *)buf + extent->length;
		pos += extent->length;
		length -= extent->length;
	}
	return ret;
}

/* The disk may end inside its last block. */
static bool covers_block(const struct vhdx_image *img, u64 pos, u64 length)
{
	u64 block_size = img->metadata.block_size;

	return !(pos & (block_size - 1)) &&
	       (length >= block_size ||
		pos + length == img->metadata.virtual_disk_size);
}

static int clear_block(struct vhdx_image *img, struct sync_write *sync)
{
	int ret;

	sync->write.resume = resume;
	do {
		sync->parked = true;
		ret = vhdx_clear_block(img, &sync->write);
		if (ret == -EINPROGRESS)
			wait_for(img, sync);
	} while (ret == -EINPROGRESS);
	return ret;
}

/* Up to the end of the block at most, which @sync->write.extent says. */
static int zero_part(struct vhdx_image *img, struct sync_write *sync)
{
	const struct vhdx_extent *extent = &sync->write.extent;
	bool unmap = !img->metadata.leave_blocks_allocated;
	struct vhdx_file *file = img->file;
	int ret;

	sync->write.in_place = true;
	ret = begin(img, sync);
	if (ret)
		return ret;
	if (extent->type == VHDX_EXTENT_FILE)
		ret = file->ops->zero(file, extent->offset, extent->length,
				      unmap);
	vhdx_write_end(img, &sync->write, ret);
	return ret;
}

/**
 * vhdx_sync_zero() - make a range of the virtual disk read as zeros
 * @img: prepared by vhdx_sync_init()
 * @pos: bytes from the start of the virtual disk, a multiple of the sector size
 * @length: bytes, whole sectors; @pos + @length lies inside the disk
 *
 * Space goes back: that of whole blocks to the image, and that of their parts to
 * the host. With LeaveBlocksAllocated all of it is kept (MS-VHDX 2.6.2.1).
 *
 * Context: process context, may sleep; writes and flushes the file.
 * Return: as vhdx_sync_write().
 */
int vhdx_sync_zero(struct vhdx_image *img, u64 pos, u64 length)
{
	int ret = 0;

	while (!ret && length) {
		struct sync_write sync = {
			.write = { .pos = pos, .length = length },
		};
		u64 done;

		if (covers_block(img, pos, length) &&
		    !img->metadata.leave_blocks_allocated) {
			ret = clear_block(img, &sync);
			done = min_t(u64, length, img->metadata.block_size);
		} else {
			ret = zero_part(img, &sync);
			done = sync.write.extent.length;
		}
		pos += done;
		length -= done;
		cond_resched();
	}
	return ret;
}

/**
 * struct waiting_flush - a flush that is waited for
 * @flush: of image/
 * @answered: it is over
 * @ret: with this
 */
struct waiting_flush {
	struct vhdx_flush flush;
	bool answered;
	int ret;
};

static void flushed(struct vhdx_flush *flush, int ret)
{
	struct waiting_flush *waiting =
		container_of(flush, struct waiting_flush, flush);

	waiting->answered = true;
	waiting->ret = ret;
}

/**
 * vhdx_sync_flush() - make all that was written and zeroed so far durable
 * @img: prepared by vhdx_sync_init()
 *
 * Context: process context, may sleep; writes and flushes the file.
 * Return: 0 or a negative errno.
 */
int vhdx_sync_flush(struct vhdx_image *img)
{
	struct waiting_flush waiting = { .flush.done = flushed };

	vhdx_flush(img, &waiting.flush);
	while (!waiting.answered)
		vhdx_image_work(img);
	return waiting.ret;
}
