// SPDX-License-Identifier: GPL-2.0
/*
 * Where fresh runs come from: the journal's worker makes room before it is
 * needed. A run is offered only when it reads as zeros and that is stable
 * (the argument is at the head of journal.c).
 */
#include "block_map.h"
#include "internal.h"
#include "journal.h"

/* Runs that one step zeroes before it flushes. */
#define BATCH	64

static int flush(struct vhdx_journal *j)
{
	int ret = j->img->file->ops->flush(j->img->file);

	if (ret)
		vhdx_journal_latch(j, ret);
	return ret;
}

static void offer(struct vhdx_journal *j, u64 offset, u64 length)
{
	struct vhdx_run *run = kmalloc(sizeof(*run), GFP_NOIO | __GFP_NOFAIL);

	run->offset = offset;
	run->length = length;
	vhdx_space_add_fresh(j->img->space, run);
}

/**
 * vhdx_journal_grow() - make the file longer
 * @j: the journal
 * @length: bytes to add; the new size is a multiple of 1 MiB
 *
 * The new size is stable when this returns, and counts only then.
 *
 * Context: the worker.
 * Return: 0 or a negative errno; a failed flush is latched.
 */
int vhdx_journal_grow(struct vhdx_journal *j, u64 length)
{
	struct vhdx_image *img = j->img;
	u64 size = img->file_size + length;
	int ret;

	ret = img->file->ops->allocate(img->file, img->file_size, length);
	if (ret == -EOPNOTSUPP)
		ret = img->file->ops->resize(img->file, size);
	if (!ret)
		ret = flush(j);
	if (ret)
		return ret;
	WRITE_ONCE(img->file_size, size);
	img->size = max(img->size, size);
	return 0;
}

/* Gaps between the structures of the file. Returns how many bytes became fresh. */
static u64 fill_gaps(struct vhdx_journal *j)
{
	struct vhdx_image *img = j->img;
	u64 length = 1ULL << img->geometry.block_shift;
	u64 gap[BATCH];
	u32 n = 0, i;
	u64 offset;

	while (n < BATCH && n * length < vhdx_journal_step(j)) {
		offset = vhdx_space_find_gap(img->space, j->gap_cursor,
					     img->file_size, length);
		if (offset == U64_MAX)
			break;
		j->gap_cursor = offset + length;
		if (img->file->ops->zero(img->file, offset, length, false) ||
		    vhdx_space_claim(img->space, offset, length))
			break;
		gap[n++] = offset;
	}
	if (!n || flush(j))
		return 0;
	for (i = 0; i < n; i++)
		offer(j, gap[i], length);
	return n * length;
}

/**
 * vhdx_journal_refill() - get fresh runs
 * @j: the journal
 *
 * Gaps first, then the end of the file: a step of it, or as much as the host
 * has room for.
 *
 * Context: the worker.
 * Return: 0 when there is at least one run; else -ENOSPC or what growing
 * answered.
 */
int vhdx_journal_refill(struct vhdx_journal *j)
{
	struct vhdx_image *img = j->img;
	u64 block = 1ULL << img->geometry.block_shift;
	u64 step = max(vhdx_journal_step(j), block);
	u64 offset;
	int ret;

	if (vhdx_space_fresh(img->space) >= step || fill_gaps(j))
		return 0;
	if (READ_ONCE(j->failed))
		return -EIO;
	for (;; step = max(step / 2, block)) {
		offset = img->file_size;
		step = min(step, VHDX_MAX_FILE_OFFSET - offset);
		if (step < block)
			return -EFBIG;
		step = ALIGN_DOWN(step, block);
		ret = vhdx_journal_grow(j, step);
		if (!ret)
			ret = vhdx_space_claim(img->space, offset, step);
		if (!ret)
			break;
		if (step == block || READ_ONCE(j->failed))
			return vhdx_space_fresh(img->space) ? 0 : ret;
	}
	offer(j, offset, step);
	return 0;
}

/**
 * vhdx_journal_recycle() - make fresh runs of those that were freed
 * @j: the journal
 *
 * Their release is durable. Once no I/O is on its way to them any more they are
 * punched, and offered when that is stable.
 *
 * Context: the worker.
 * Return: true when it did anything; false also while I/O has yet to end,
 * whose end kicks the worker.
 */
bool vhdx_journal_recycle(struct vhdx_journal *j)
{
	struct vhdx_run *run, *next;
	LIST_HEAD(punched);
	u32 n = 0;

	if (list_empty(&j->draining)) {
		spin_lock(&j->lock);
		list_splice_tail_init(&j->freed_durable, &j->draining);
		spin_unlock(&j->lock);
		if (list_empty(&j->draining))
			return false;
		vhdx_io_flip(&j->io);
	}
	WRITE_ONCE(j->drain_wanted, true);
	/* asked for before the look: the last to exit sees it, or we its exit */
	smp_mb();
	if (!vhdx_io_quiet(&j->io))
		return false;
	WRITE_ONCE(j->drain_wanted, false);

	list_for_each_entry_safe(run, next, &j->draining, link) {
		if (n++ == BATCH)
			break;
		list_move_tail(&run->link, &punched);
		/* Not zero, so not fresh: it is a gap from the next attach on. */
		if (j->img->file->ops->zero(j->img->file, run->offset,
					    run->length, true)) {
			list_del(&run->link);
			kfree(run);
		}
	}
	if (flush(j)) {
		list_splice_tail_init(&punched, &j->draining);
		return true;
	}
	list_for_each_entry_safe(run, next, &punched, link) {
		list_del(&run->link);
		vhdx_space_add_fresh(j->img->space, run);
	}
	return true;
}

/* Runs that were freed and not used again lie in the file for nothing. */
static void release_runs(struct vhdx_space *space, struct list_head *runs)
{
	struct vhdx_run *run, *next;

	list_for_each_entry_safe(run, next, runs, link) {
		vhdx_space_unclaim(space, run->offset, run->length);
		list_del(&run->link);
		kfree(run);
	}
}

/**
 * vhdx_journal_cut() - give back the tail of the file that nothing uses
 * @j: the journal; LogGuid is zero and that is stable
 *
 * The file is whole without this.
 *
 * Context: the worker's place at detach: nobody writes any more.
 */
void vhdx_journal_cut(struct vhdx_journal *j)
{
	struct vhdx_image *img = j->img;
	u64 end;

	release_runs(img->space, &j->freed_durable);
	release_runs(img->space, &j->draining);
	vhdx_space_drop_fresh(img->space);
	end = vhdx_space_end(img->space);
	if (img->metadata.leave_blocks_allocated || end >= img->file_size)
		return;
	if (!img->file->ops->resize(img->file, end))
		img->file_size = end;
}
