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

/* Gaps that one step tries in vain: a host that is full takes its time to say so. */
#define MAX_FULL	8

static int flush(struct vhdx_journal *j)
{
	int ret = vhdx_journal_flush(j);

	if (ret)
		vhdx_journal_latch(j, ret);
	return ret;
}

static void offer(struct vhdx_journal *j, u64 offset, u64 length)
{
	struct vhdx_run *run = kmalloc(sizeof(*run), GFP_NOIO | __GFP_NOFAIL);

	run->offset = offset;
	run->length = length;
	run->hole = false;
	if (length < 1ULL << j->img->geometry.block_shift)
		vhdx_space_add_part(j->img->space, run);
	else
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
	if (ret == -EOPNOTSUPP) {
		/* A hole: the host has nothing there that a write converts. */
		WRITE_ONCE(j->fresh_from, U64_MAX);
		ret = img->file->ops->resize(img->file, size);
	}
	if (!ret)
		ret = flush(j);
	if (ret)
		return ret;
	WRITE_ONCE(img->file_size, size);
	img->size = max(img->size, size);
	return 0;
}

/* What is missing of the disk bounds what is worth having ahead. */
static u64 bytes_ahead(const struct vhdx_journal *j)
{
	const struct vhdx_image *img = j->img;
	u64 block = 1ULL << img->geometry.block_shift;
	u64 disk = img->geometry.payload_blocks * block;
	u64 missing = disk - min(disk, vhdx_image_allocated(img));

	return ALIGN_DOWN(max(min(vhdx_journal_step(j), missing), block), block);
}

static int zero_gap(struct vhdx_journal *j, u64 offset, u64 length)
{
	int ret = j->img->file->ops->zero(j->img->file, offset, length, false);

	if (!ret)
		vhdx_space_claim_free(j->img->space, offset, length);
	return ret;
}

/*
 * What gaps have that is too short for a block takes a sector bitmap block, or
 * nothing at all. U64_MAX: there is none, or one is to be used up first.
 */
static u64 find_part(struct vhdx_journal *j)
{
	struct vhdx_image *img = j->img;
	u64 block = 1ULL << img->geometry.block_shift;
	u64 end = vhdx_space_end(img->space);
	u64 offset, length;

	if (!img->geometry.has_parent || vhdx_space_has_part(img->space))
		return U64_MAX;
	do {
		offset = vhdx_space_next_gap(img->space, j->part_cursor, end,
					     &length);
		if (offset == U64_MAX) {
			/* As with gaps for blocks. */
			j->part_cursor = end;
			return U64_MAX;
		}
		j->part_cursor = offset + length;
		length &= block - 1;
	} while (!length);
	j->part_cursor -= length - VHDX_BITMAP_BLOCK_SIZE;
	return j->part_cursor - VHDX_BITMAP_BLOCK_SIZE;
}

/*
 * Gaps between the structures of the file. Returns how many bytes became fresh.
 * What the host has no room for just now is tried again once the rest was, and what
 * is behind it with it; any other gap that cannot be zeroed is left alone.
 */
static u64 fill_gaps(struct vhdx_journal *j, u64 bytes)
{
	struct vhdx_image *img = j->img;
	u64 length = 1ULL << img->geometry.block_shift;
	u64 part = find_part(j), again = j->gap_again;
	u32 n = 0, full = 0, tries, i;
	u64 gap[BATCH];
	u64 offset;
	int ret;

	if (part != U64_MAX) {
		ret = zero_gap(j, part, VHDX_BITMAP_BLOCK_SIZE);
		if (vhdx_is_no_space(ret))
			j->part_cursor = part;
		if (ret)
			part = U64_MAX;
	}
	j->gap_again = U64_MAX;
	for (tries = 0; tries < BATCH && n * length < bytes; tries++) {
		offset = vhdx_space_find_gap(img->space, j->gap_cursor,
					     img->file_size, length);
		if (offset == U64_MAX) {
			/* All that is behind this is claimed as it is made. */
			j->gap_cursor = img->file_size;
			if (again == U64_MAX)
				break;
			j->gap_cursor = again;
			again = U64_MAX;
			continue;
		}
		ret = zero_gap(j, offset, length);
		j->gap_cursor = offset + length;
		if (!ret) {
			gap[n++] = offset;
		} else if (vhdx_is_no_space(ret)) {
			j->gap_again = min(j->gap_again, offset);
			if (++full == MAX_FULL)
				break;
		}
	}
	j->gap_again = min(j->gap_again, again);
	if ((!n && part == U64_MAX) || flush(j))
		return 0;
	if (part != U64_MAX)
		offer(j, part, VHDX_BITMAP_BLOCK_SIZE);
	for (i = 0; i < n; i++)
		offer(j, gap[i], length);
	return n * length;
}

/* Where a run at the end may begin: the last gap may be too short for a block. */
static u64 find_tail(struct vhdx_journal *j)
{
	struct vhdx_image *img = j->img;
	u64 tail = vhdx_space_end(img->space);
	u64 length = img->file_size - tail;

	if (!length)
		return tail;
	if (length >= 1ULL << img->geometry.block_shift ||
	    img->file->ops->zero(img->file, tail, length, false))
		return img->file_size;
	return tail;
}

/* A step, or as much of it as the host has room for. */
static int extend(struct vhdx_journal *j, u64 step)
{
	struct vhdx_image *img = j->img;
	u64 block = 1ULL << img->geometry.block_shift;
	u64 tail = find_tail(j);
	int ret;

	step = min(step, VHDX_MAX_FILE_OFFSET - tail);
	for (;; step = max(step / 2, block)) {
		step = ALIGN_DOWN(step, block);
		if (!step)
			return -EFBIG;
		ret = vhdx_journal_grow(j, tail + step - img->file_size);
		if (!ret)
			break;
		if (step == block || READ_ONCE(j->failed))
			return ret;
	}
	vhdx_space_claim_free(img->space, tail, step);
	offer(j, tail, step);
	return 0;
}

/**
 * vhdx_journal_refill() - get fresh runs
 * @j: the journal
 *
 * Gaps first, then the holes that there are, then the end of the file: where the
 * host is full a gap may have its space, and a hole has none.
 *
 * Context: the worker.
 * Return: 0 when there is at least one run; else -ENOSPC, -EFBIG or what growing
 * answered.
 */
int vhdx_journal_refill(struct vhdx_journal *j)
{
	struct vhdx_space *space = j->img->space;
	u64 bytes = bytes_ahead(j);
	/* It is enough: blocks that are being written are missing as well. */
	u64 half = DIV_ROUND_UP(bytes, 2);
	int ret;

	if (vhdx_space_fresh(space) >= half || fill_gaps(j, bytes))
		return 0;
	if (READ_ONCE(j->failed))
		return -EIO;
	vhdx_space_expect_gaps(space, false);
	if (vhdx_space_fresh(space) >= half)
		return 0;
	ret = extend(j, bytes);
	return vhdx_space_fresh(space) ? 0 : ret;
}

/* What the host does not take back is zeroed where it is. */
static int clear_run(struct vhdx_journal *j, struct vhdx_run *run)
{
	struct vhdx_file *file = j->img->file;

	run->hole = !j->img->metadata.leave_blocks_allocated &&
		    !file->ops->punch(file, run->offset, run->length);
	return run->hole ? 0 : file->ops->zero(file, run->offset, run->length,
					       false);
}

/* Not zero, so not fresh; fill_gaps() tries that again. */
static void leave_as_gap(struct vhdx_journal *j, struct vhdx_run *run)
{
	vhdx_space_unclaim(j->img->space, run->offset, run->length);
	if (run->offset < j->gap_cursor)
		j->gap_again = min(j->gap_again, run->offset);
	j->part_cursor = min(j->part_cursor, run->offset);
	list_del(&run->link);
	kfree(run);
}

/**
 * vhdx_journal_recycle() - make fresh runs of those that were freed
 * @j: the journal
 *
 * Their release is durable. Once no I/O is on its way to them any more they are
 * punched (zeroed, where LeaveBlocksAllocated wants the space kept), and offered
 * when that is stable.
 *
 * Context: the worker.
 * Return: true when it did anything; false also while I/O has yet to end,
 * whose end kicks the worker.
 */
bool vhdx_journal_recycle(struct vhdx_journal *j)
{
	struct vhdx_run *run, *next;
	LIST_HEAD(cleared);
	u32 n = 0;

	if (READ_ONCE(j->failed))
		return false;
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
		list_move_tail(&run->link, &cleared);
		if (clear_run(j, run))
			leave_as_gap(j, run);
	}
	if (flush(j)) {
		list_splice_tail_init(&cleared, &j->draining);
		return true;
	}
	list_for_each_entry_safe(run, next, &cleared, link) {
		list_del(&run->link);
		vhdx_space_add_fresh(j->img->space, run);
	}
	/* A host that had no room for gaps may have it now. */
	if (j->gap_again != U64_MAX || j->gap_cursor < j->img->file_size)
		vhdx_space_expect_gaps(j->img->space, true);
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
 * The file is whole without this. With LeaveBlocksAllocated only what this
 * attach has added may go.
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
	/* All of these are gaps now. */
	j->gap_cursor = 0;
	j->gap_again = U64_MAX;
	j->part_cursor = 0;
	end = max(vhdx_space_end(img->space), j->cut_limit);
	if (end >= img->file_size)
		return;
	if (!img->file->ops->resize(img->file, end))
		img->file_size = end;
}

/* Nobody needs it, and no one has to know what is in it. */
static int punch_gaps(struct vhdx_journal *j)
{
	struct vhdx_image *img = j->img;
	u64 end = vhdx_space_end(img->space);
	u64 offset, length, from;
	int ret;

	end = min(end, ALIGN_DOWN(img->file_size, VHDX_MIB));
	for (from = 0;; from = offset + length) {
		offset = vhdx_space_next_gap(img->space, from, end, &length);
		if (offset == U64_MAX)
			return 0;
		ret = img->file->ops->punch(img->file, offset, length);
		if (ret)
			return ret == -EOPNOTSUPP ? 0 : ret;
	}
}

/**
 * vhdx_image_give_back() - give the host what the file has and does not use
 * @img: open for writing; vhdx_image_finish() has left it clean
 * @punch: the host can take space out of the middle of the file
 *
 * Gaps between the blocks, and the tail behind the last one. What is in use stays
 * where it is. An image with LeaveBlocksAllocated keeps all.
 *
 * Context: the worker's place, may sleep; no kick comes in the meantime.
 * Return: 0 or a negative errno; vhdx_image_failed() says whether it may be
 * written to any more.
 */
int vhdx_image_give_back(struct vhdx_image *img, bool punch)
{
	struct vhdx_journal *j = img->journal;
	int ret = j->failed;

	if (ret || img->metadata.leave_blocks_allocated)
		return ret;
	/* The first change: a guest does not see it, but who has a copy does. */
	if (!j->guids_changed) {
		ret = vhdx_journal_change_guids(j, false);
		if (ret) {
			if (!vhdx_is_no_space(ret))
				vhdx_journal_latch(j, ret);
			return ret;
		}
	}
	vhdx_journal_cut(j);
	return punch ? punch_gaps(j) : 0;
}
