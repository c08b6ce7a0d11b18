// SPDX-License-Identifier: GPL-2.0
/*
 * The journal: how a change of the BAT becomes durable (MS-VHDX 2.2.2, 2.3).
 *
 * The file lies behind a cache that loses, on a power cut, any part of what was
 * written since the last flush. What must never be lost is an image that opens,
 * and everything written before a flush that was acknowledged. Why each order
 * of writes below holds that:
 *
 * Headers. A header is overwritten only while the other slot is whole and
 * stable: between any two writes of slots lies a flush, and the slot that is
 * not current goes first. So a cut in the middle of a slot leaves the other.
 * Before the first slot of a pair lies a flush as well: what an earlier holder
 * of the file left in the cache may be a header.
 *
 * First change. Nothing else is written, punched or resized before a new
 * FileWriteGuid is stable in both slots: a copy of the file that was made
 * before can then be told from it, and so can a child's parent.
 *
 * Generations. A generation is the life of one LogGuid. LogGuid may be in a
 * header only while a durable entry carries it, for a reader refuses the image
 * otherwise. So the first entry of a generation is written and flushed first,
 * then the headers name it. It is written to the half of the log that the
 * generation before does not use, and that one stays whole until both slots
 * name the new: whatever slot a cut leaves, its log is complete. Entries are
 * laid from the start of a half towards its end and never wrap, because there
 * are readers that lose a run that does.
 *
 * Commit. All dirty pages are copied at one moment, written as one entry, and
 * flushed: a torn entry ends the run before it, so the change is there whole or
 * not at all. The same flush makes the data stable that the entry maps: in an
 * image without a parent the fresh run read as zeros before, which is what an
 * unflushed write may read as, so entry and data need no order between them. In a
 * child that is not so: what hides the parent, a bit or an entry that was
 * NOT_PRESENT or PARTIALLY_PRESENT, would show zeros where the parent's data was
 * a moment ago. So the data that a snapshot hides the parent for is flushed before
 * its entry is written.
 *
 * Checkpoint. Pages go to their place in the BAT or a bitmap block only as they
 * were logged, never newer: a page in place that no entry repeats must not name
 * what is not durable. It happens when a half is full. All pages of the old
 * generation are in place and flushed, or repeated in the new one's first entry,
 * before a header forgets the old one.
 *
 * Space. A fresh run is inside the stable size of the file and reads as zeros,
 * both flushed. The size grows between commits and never beside one, so
 * FlushedFileOffset of an entry is what the disk has. A run that was freed is
 * used again only after the entry that freed it is durable (else the old
 * mapping might come back with new data behind it), all I/O to it has ended
 * (else an old write would land in a new block), and it was zeroed and that was
 * flushed (else a cut would show one block's data in another).
 *
 * Detach. The last pages are put in place and flushed before LogGuid becomes
 * zero, in one slot and then the other; the file is cut only after that, since
 * an entry says that the file is longer.
 *
 * Replay. New FileWriteGuid first, then the pages, a flush, then LogGuid zero:
 * a cut leaves a log that is replayed again with the same result.
 *
 * Failure. An entry that could not be written for want of space is not durable,
 * but may be on the disk all the same: it is written again in the same place
 * with the same number, never behind it. Any other failure of a write or flush
 * here leaves nobody knowing what the disk holds: nothing is written any more,
 * LogGuid stays, and no flush is acknowledged.
 *
 * One worker does all of this, one thing after the other; it takes no lock
 * while it writes. The lock order is map_sem, shard, journal, and inside of that
 * space or the bitmaps.
 */
#include "block_map.h"
#include "internal.h"
#include "journal.h"

#define PAGE_BYTES	VHDX_LOG_SECTOR_SIZE
#define MIB_PAGES	(VHDX_MIB / PAGE_BYTES)

/* Half of the log that QEMU and Windows make; more gains nothing. */
#define MAX_HALF_LENGTH	0x80000U

static struct vhdx_file *file_of(const struct vhdx_journal *j)
{
	return j->img->file;
}

static int flush_file(struct vhdx_journal *j)
{
	return vhdx_journal_flush(j);
}

static int write_file(struct vhdx_journal *j, const void *buf, size_t len,
		      u64 offset)
{
	return file_of(j)->ops->write(file_of(j), buf, len, offset);
}

/**
 * vhdx_journal_latch() - stop writing for good
 * @j: the journal
 * @ret: why
 *
 * Context: any that may take a spinlock.
 */
void vhdx_journal_latch(struct vhdx_journal *j, int ret)
{
	spin_lock(&j->lock);
	if (!j->failed)
		WRITE_ONCE(j->failed, ret);
	spin_unlock(&j->lock);
}

/**
 * vhdx_image_give_up() - write nothing to an image any more
 * @img: open for writing; nothing is under way
 * @ret: why, a negative errno
 *
 * As if writing had failed; what there is can be read on.
 *
 * Context: the worker's place.
 */
void vhdx_image_give_up(struct vhdx_image *img, int ret)
{
	vhdx_journal_latch(img->journal, ret);
}

/**
 * vhdx_image_log_state() - how the log stands now
 * @img: open
 *
 * Context: any, takes no lock.
 */
enum vhdx_log_state vhdx_image_log_state(const struct vhdx_image *img)
{
	const struct vhdx_journal *j = img->journal;

	if (!j)
		return img->overlay ? VHDX_LOG_REPLAYED : VHDX_LOG_CLEAN;
	if (READ_ONCE(j->failed))
		return VHDX_LOG_FAILED;
	return READ_ONCE(j->generation.active) ? VHDX_LOG_DIRTY : VHDX_LOG_CLEAN;
}

/* --- pages --- */

static void *pool_get(struct vhdx_journal *j)
{
	return j->pool[--j->pooled];
}

static void pool_put(struct vhdx_journal *j, void *copy)
{
	if (copy)
		j->pool[j->pooled++] = copy;
}

/*
 * Copies every dirty page at one moment and takes what belongs to that moment:
 * the runs that it frees and the flushes that it will answer.
 */
static u32 take_snapshot(struct vhdx_journal *j, struct list_head *freed,
			 struct list_head *flushes, bool *hides)
{
	struct vhdx_page *page;
	u32 n = 0;

	down_write(&j->map_sem);
	list_for_each_entry(page, &j->pages, link) {
		if (!page->dirty)
			continue;
		j->snapshot[n].page = page;
		j->snapshot[n].copy = pool_get(j);
		memcpy(j->snapshot[n].copy, vhdx_page_bytes(j, page),
		       PAGE_BYTES);
		n++;
		page->dirty = false;
		page->committing = true;
	}
	spin_lock(&j->lock);
	list_splice_tail_init(&j->freed_new, freed);
	list_splice_tail_init(&j->flushes, flushes);
	j->want_commit = false;
	*hides = j->hides;
	j->hides = false;
	spin_unlock(&j->lock);
	up_write(&j->map_sem);
	return n;
}

static void observe_commit(const struct vhdx_journal *j, u32 n, bool durable)
{
	if (j->img->observer)
		j->img->observer->commit(j->img, n, durable);
}

/* The entry is not durable: all of it is dirty again. */
static void undo_snapshot(struct vhdx_journal *j, u32 n,
			  struct list_head *freed, bool hides)
{
	u32 i;

	down_write(&j->map_sem);
	for (i = 0; i < n; i++) {
		struct vhdx_page *page = j->snapshot[i].page;

		page->committing = false;
		page->dirty = true;
		pool_put(j, j->snapshot[i].copy);
	}
	spin_lock(&j->lock);
	list_splice_tail_init(freed, &j->freed_new);
	j->hides |= hides;
	spin_unlock(&j->lock);
	up_write(&j->map_sem);
	j->commit_failed = true;
	observe_commit(j, n, false);
}

static void keep_snapshot(struct vhdx_journal *j, u32 n,
			  struct list_head *freed)
{
	u32 i;

	down_write(&j->map_sem);
	for (i = 0; i < n; i++) {
		struct vhdx_page *page = j->snapshot[i].page;

		pool_put(j, page->logged);
		page->logged = j->snapshot[i].copy;
		page->committing = false;
		if (!vhdx_page_is_active(page))
			j->active_pages--;
	}
	spin_lock(&j->lock);
	list_splice_tail_init(freed, &j->freed_durable);
	spin_unlock(&j->lock);
	up_write(&j->map_sem);
	j->commit_failed = false;
	observe_commit(j, n, true);
}

static bool in_snapshot(const struct vhdx_journal *j, u32 n,
			const struct vhdx_page *page)
{
	u32 i;

	for (i = 0; i < n; i++)
		if (j->snapshot[i].page == page)
			return true;
	return false;
}

/* Puts in place what the first @n pages of the snapshot do not repeat. */
static int write_in_place(struct vhdx_journal *j, u32 n)
{
	struct vhdx_page *page;
	u32 count = 0, i;
	int ret;

	spin_lock(&j->lock);
	list_for_each_entry(page, &j->pages, link)
		if (page->logged && !in_snapshot(j, n, page))
			j->in_place[count++] = page;
	spin_unlock(&j->lock);
	for (i = 0; i < count; i++) {
		page = j->in_place[i];
		ret = write_file(j, page->logged, PAGE_BYTES,
				 vhdx_page_offset(j, page->index));
		if (ret)
			return ret;
	}
	return 0;
}

/* Those pages are in place and stable: the log need not keep them. */
static void forget_in_place(struct vhdx_journal *j, u32 n)
{
	struct vhdx_page *page, *next;
	u32 count = 0;

	down_write(&j->map_sem);
	list_for_each_entry_safe(page, next, &j->pages, link) {
		if (in_snapshot(j, n, page))
			continue;
		count += !!page->logged;
		pool_put(j, page->logged);
		page->logged = NULL;
		if (!vhdx_page_is_active(page))
			vhdx_page_forget(j, page);
	}
	up_write(&j->map_sem);
	if (j->img->observer && count)
		j->img->observer->checkpoint(j->img, count);
}

/* --- commit --- */

static int write_entry(struct vhdx_journal *j, u32 n, const guid_t *log_guid,
		       u32 half, u32 used, u32 *length)
{
	struct vhdx_log_entry entry = {
		.offset = half * j->half_length + used,
		.tail = half * j->half_length,
		.entry_length = vhdx_log_entry_length(n),
		.descriptor_count = n,
		.sequence_number = j->sequence_number + 1,
		.flushed_file_offset = j->img->file_size,
		.last_file_offset = j->img->file_size,
	};
	u32 i;

	for (i = 0; i < n; i++) {
		j->log_page[i].file_offset =
			vhdx_page_offset(j, j->snapshot[i].page->index);
		j->log_page[i].data = j->snapshot[i].copy;
	}
	vhdx_log_entry_encode(&entry, log_guid, j->log_page, j->entry);
	*length = entry.entry_length;
	return write_file(j, j->entry, entry.entry_length,
			  vhdx_image_header(j->img)->log_offset + entry.offset);
}

/* Behind the last entry of the running generation. */
static int append_entry(struct vhdx_journal *j, u32 n)
{
	struct vhdx_generation *gen = &j->generation;
	u32 length;
	int ret;

	ret = write_entry(j, n, &gen->log_guid, gen->half, gen->used, &length);
	if (vhdx_is_no_space(ret))
		return ret;
	if (!ret)
		ret = flush_file(j);
	if (ret) {
		vhdx_journal_latch(j, ret);
		return ret;
	}
	gen->used += length;
	j->sequence_number++;
	vhdx_count(&j->img->stats.commits);
	return 0;
}

static int start_generation(struct vhdx_journal *j, u32 n)
{
	struct vhdx_generation next = {
		.half = j->generation.active ? !j->generation.half : 0,
	};
	int ret;

	guid_gen(&next.log_guid);
	ret = write_in_place(j, n);
	if (!ret)
		ret = write_entry(j, n, &next.log_guid, next.half, 0,
				  &next.used);
	if (vhdx_is_no_space(ret))
		return ret;
	if (!ret)
		ret = flush_file(j);
	if (!ret)
		ret = vhdx_journal_set_log_guid(j, &next.log_guid);
	if (ret) {
		vhdx_journal_latch(j, ret);
		return ret;
	}
	forget_in_place(j, n);
	j->generation.log_guid = next.log_guid;
	j->generation.half = next.half;
	j->generation.used = next.used;
	WRITE_ONCE(j->generation.active, true);
	j->sequence_number++;
	vhdx_count(&j->img->stats.commits);
	vhdx_count(&j->img->stats.generations);
	return 0;
}

static int log_snapshot(struct vhdx_journal *j, u32 n, bool hides)
{
	const struct vhdx_generation *gen = &j->generation;
	int ret;

	if (hides) {
		ret = flush_file(j);
		if (ret) {
			vhdx_journal_latch(j, ret);
			return ret;
		}
	}
	if (gen->active &&
	    gen->used + vhdx_log_entry_length(n) <= j->half_length)
		return append_entry(j, n);
	return start_generation(j, n);
}

static void answer_flushes(struct list_head *flushes, int ret)
{
	struct vhdx_flush *flush, *next;

	list_for_each_entry_safe(flush, next, flushes, link) {
		list_del(&flush->link);
		flush->done(flush, ret);
	}
}

/* Does nothing when there is nothing to do; *@didp says so. */
static int commit(struct vhdx_journal *j, bool *didp)
{
	LIST_HEAD(flushes);
	LIST_HEAD(freed);
	int ret = 0;
	bool hides;
	u32 n;

	n = take_snapshot(j, &freed, &flushes, &hides);
	*didp = n || !list_empty(&flushes);
	if (n) {
		ret = log_snapshot(j, n, hides);
		if (ret)
			undo_snapshot(j, n, &freed, hides);
		else
			keep_snapshot(j, n, &freed);
	} else if (!list_empty(&flushes)) {
		ret = flush_file(j);
		if (ret)
			vhdx_journal_latch(j, ret);
	}
	answer_flushes(&flushes, ret);
	return ret;
}

/* --- the worker --- */

static void fail_parked(struct vhdx_journal *j, enum vhdx_write_want want,
			int ret)
{
	struct vhdx_write *write;

	spin_lock(&j->lock);
	list_for_each_entry(write, &j->parked, link)
		if (want == VHDX_WANT_ANY || write->want == want)
			write->error = ret;
	spin_unlock(&j->lock);
}

static void fail_parked_for_page(struct vhdx_journal *j, u64 page, int ret)
{
	struct vhdx_write *write;

	spin_lock(&j->lock);
	list_for_each_entry(write, &j->parked, link)
		if (write->want == VHDX_WANT_PAGE && write->want_page == page)
			write->error = ret;
	spin_unlock(&j->lock);
}

static void resume_parked(struct vhdx_journal *j)
{
	struct vhdx_write *write, *next;
	LIST_HEAD(parked);

	spin_lock(&j->lock);
	list_splice_tail_init(&j->parked, &parked);
	spin_unlock(&j->lock);
	list_for_each_entry_safe(write, next, &parked, link) {
		list_del_init(&write->link);
		write->resume(write);
	}
}

static void fail_everything(struct vhdx_journal *j)
{
	LIST_HEAD(flushes);

	fail_parked(j, VHDX_WANT_ANY, -EIO);
	spin_lock(&j->lock);
	list_splice_tail_init(&j->flushes, &flushes);
	spin_unlock(&j->lock);
	answer_flushes(&flushes, -EIO);
	resume_parked(j);
}

/*
 * A full host has the page, if it was written once, and may have no more: what the
 * guest gives back there is all that makes room again.
 */
static int prepare_one_page(struct vhdx_journal *j, u64 page)
{
	int ret;

	ret = vhdx_journal_allocate(j, vhdx_page_offset(j, page), PAGE_BYTES);
	if (!ret)
		j->prepared_page[BIT_WORD(page)] |= BIT_MASK(page);
	return ret;
}

static int prepare_page(struct vhdx_journal *j, u64 page)
{
	u64 mib = page / MIB_PAGES;
	int ret;

	ret = vhdx_journal_allocate(j, vhdx_page_offset(j, mib * MIB_PAGES),
				    VHDX_MIB);
	if (vhdx_is_no_space(ret))
		return prepare_one_page(j, page);
	if (!ret)
		j->prepared[BIT_WORD(mib)] |= BIT_MASK(mib);
	return ret;
}

/* A write must not fail later, in a commit, because the host is full. */
static void prepare_pages(struct vhdx_journal *j)
{
	struct vhdx_write *write;
	u64 page;
	int ret;

	for (;;) {
		page = U64_MAX;
		spin_lock(&j->lock);
		list_for_each_entry(write, &j->parked, link)
			if (write->want == VHDX_WANT_PAGE && !write->error &&
			    !vhdx_journal_prepared(j, write->want_page))
				page = write->want_page;
		spin_unlock(&j->lock);
		if (page == U64_MAX)
			return;
		ret = prepare_page(j, page);
		if (ret)
			fail_parked_for_page(j, page, ret);
	}
}

/*
 * Commits, so that the next entry has room. When all of it is promised to
 * writes in flight there is nothing to commit yet: their end kicks the worker,
 * which has said before it looked that it waits for that.
 */
static bool make_room(struct vhdx_journal *j)
{
	bool did, room;
	int ret;

	ret = commit(j, &did);
	if (ret)
		fail_parked(j, VHDX_WANT_COMMIT, ret);
	spin_lock(&j->lock);
	room = j->room_wanted &&
	       j->active_pages + j->room_wanted <= j->max_pages;
	spin_unlock(&j->lock);
	return did || room;
}

/*
 * What the guest gave back is used before a full host fails a write. False
 * while I/O to it has yet to end, whose end kicks the worker.
 */
static bool reclaim(struct vhdx_journal *j, int ret)
{
	bool freed, did;

	spin_lock(&j->lock);
	freed = !list_empty(&j->freed_new);
	spin_unlock(&j->lock);
	if (freed)
		ret = commit(j, &did) ? : ret;
	if (vhdx_journal_recycle(j))
		return true;
	if (!list_empty(&j->draining))
		return false;
	fail_parked(j, VHDX_WANT_SPACE, ret);
	return true;
}

/* False when the writes that want it have to wait. */
static bool make_space(struct vhdx_journal *j)
{
	int ret;

	spin_lock(&j->lock);
	j->want_space = false;
	spin_unlock(&j->lock);
	ret = vhdx_journal_refill(j);
	return !ret || READ_ONCE(j->failed) || reclaim(j, ret);
}

/* True when there was something to do. */
static bool work_once(struct vhdx_journal *j)
{
	bool first = false, page = false;
	bool changed, space, want_commit, did;
	u32 room_wanted = 0;
	struct vhdx_write *write;
	int ret;

	spin_lock(&j->lock);
	changed = j->changed;
	list_for_each_entry(write, &j->parked, link) {
		first |= write->want == VHDX_WANT_FIRST;
		page |= write->want == VHDX_WANT_PAGE;
		if (write->want == VHDX_WANT_COMMIT)
			room_wanted = room_wanted ?
				min(room_wanted, write->want_room) :
				write->want_room;
		j->want_space |= write->want == VHDX_WANT_SPACE;
	}
	WRITE_ONCE(j->room_wanted, room_wanted);
	space = j->want_space;
	want_commit = j->want_commit || room_wanted || !list_empty(&j->flushes);
	spin_unlock(&j->lock);

	if (first) {
		/* It may have parked for this just when it was done. */
		ret = changed ? 0 : vhdx_journal_first_change(j, true);
		if (ret)
			fail_parked(j, VHDX_WANT_FIRST, ret);
		return true;
	}
	if (page) {
		prepare_pages(j);
		return true;
	}
	if (space && make_space(j))
		return true;
	/* Both: a guest that never stops to flush gives space back too. */
	did = want_commit && make_room(j);
	return vhdx_journal_recycle(j) || did;
}

/**
 * vhdx_image_wants_commit() - is there something that nobody asks for again
 * @img: open for writing
 *
 * Context: the worker.
 * Return: whether the last commit has failed, and is worth another try in a while
 * where writing goes on at all.
 */
bool vhdx_image_wants_commit(const struct vhdx_image *img)
{
	return img->journal->commit_failed;
}

/**
 * vhdx_image_work() - do what the journal has been asked for
 * @img: open for writing
 *
 * The owner of the image calls this after each kick; calls do not overlap.
 *
 * Context: process context, may sleep; writes and flushes the file.
 */
void vhdx_image_work(struct vhdx_image *img)
{
	struct vhdx_journal *j = img->journal;
	bool more = true;

	while (more && !READ_ONCE(j->failed)) {
		more = work_once(j);
		if (more)
			resume_parked(j);
	}
	if (READ_ONCE(j->failed))
		fail_everything(j);
}

/* --- attach and detach --- */

/**
 * vhdx_image_finish() - end writing: leave a clean file
 * @img: open for writing; all writes have ended, no flush waits
 *
 * Commits what is dirty, puts every page in place, clears LogGuid and cuts the
 * file; what was written before is stable then. Does nothing to a file that was
 * not changed, nor after a failure.
 *
 * It may be written to again after this, as if just opened, but for the GUIDs that
 * it has got. After -ENOSPC it may be as well, with nothing lost.
 *
 * Context: the worker's place, may sleep; no kick comes in the meantime.
 * Return: 0, or why the file is not clean; its log is to be replayed then.
 */
int vhdx_image_finish(struct vhdx_image *img)
{
	static const guid_t null;
	struct vhdx_journal *j = img->journal;
	bool did;
	int ret;

	if (!j->changed || j->failed)
		return j->failed;
	commit(j, &did);
	if (j->failed)
		return j->failed;
	if (j->active_pages)
		return -ENOSPC;
	if (j->generation.active) {
		ret = write_in_place(j, 0);
		if (vhdx_is_no_space(ret))
			return ret;
		if (!ret)
			ret = flush_file(j);
		if (!ret)
			ret = vhdx_journal_set_log_guid(j, &null);
		if (ret) {
			vhdx_journal_latch(j, ret);
			return ret;
		}
		forget_in_place(j, 0);
		WRITE_ONCE(j->generation.active, false);
	} else {
		ret = flush_file(j);
		if (ret) {
			vhdx_journal_latch(j, ret);
			return ret;
		}
	}
	vhdx_journal_cut(j);
	/* The file is as long as it was left, and a log may be in a hole again. */
	j->changed = false;
	return 0;
}

static int make_pool(struct vhdx_journal *j)
{
	/* A snapshot, and what the entries of one half hold. */
	u32 n = j->max_pages + j->half_length / PAGE_BYTES;

	j->pool = kvcalloc(n, sizeof(*j->pool), GFP_KERNEL);
	if (!j->pool)
		return -ENOMEM;
	while (j->pooled < n) {
		j->pool[j->pooled] = kmalloc(PAGE_BYTES, GFP_KERNEL);
		if (!j->pool[j->pooled])
			return -ENOMEM;
		j->pooled++;
	}
	return 0;
}

/**
 * vhdx_journal_create() - make an open image's writing half
 * @img: open, its log not replayed into the file yet; receives @img->journal
 *	(on failure too: vhdx_image_close() gives it back)
 * @err: filled in on failure
 *
 * Everything that a commit needs is allocated here, and what a full host takes, so
 * that neither fails for want of memory.
 *
 * Context: process context, may sleep.
 * Return: 0 or -ENOMEM.
 */
int vhdx_journal_create(struct vhdx_image *img, struct vhdx_error *err)
{
	u32 log_length = vhdx_image_header(img)->log_length ? : VHDX_MIB;
	struct vhdx_journal *j;
	u64 prepared_mib;
	u32 i;

	j = kvzalloc(sizeof(*j), GFP_KERNEL);
	if (!j)
		return vhdx_no_memory(err, "log", 0);
	img->journal = j;
	j->img = img;
	init_rwsem(&j->map_sem);
	for (i = 0; i < VHDX_SHARDS; i++) {
		spin_lock_init(&j->shard[i].lock);
		INIT_LIST_HEAD(&j->shard[i].allocations);
	}
	spin_lock_init(&j->lock);
	INIT_LIST_HEAD(&j->parked);
	INIT_LIST_HEAD(&j->flushes);
	INIT_LIST_HEAD(&j->pages);
	INIT_LIST_HEAD(&j->freed_new);
	INIT_LIST_HEAD(&j->freed_durable);
	INIT_LIST_HEAD(&j->draining);
	/* The next generation need not go on, and the highest has no next. */
	if (img->log.dirty &&
	    img->log.sequence.head.sequence_number <= U64_MAX / 2)
		j->sequence_number = img->log.sequence.head.sequence_number;
	j->fresh_from = img->size;
	j->gap_again = U64_MAX;
	if (img->metadata.leave_blocks_allocated)
		j->cut_limit = img->size;
	j->half_length = min_t(u32, log_length / 2, MAX_HALF_LENGTH);
	while (vhdx_log_entry_length(j->max_pages + 1) <= j->half_length)
		j->max_pages++;

	j->page = kvcalloc(DIV_ROUND_UP(img->geometry.bat_entries,
					PAGE_BYTES / sizeof(__le64)),
			   sizeof(*j->page), VHDX_GFP_SIZED);
	j->entry = kvmalloc(j->half_length, GFP_KERNEL);
	j->snapshot = kvcalloc(j->max_pages, sizeof(*j->snapshot), GFP_KERNEL);
	j->log_page = kvcalloc(j->max_pages, sizeof(*j->log_page), GFP_KERNEL);
	j->in_place = kvcalloc(j->half_length / PAGE_BYTES,
			       sizeof(*j->in_place), GFP_KERNEL);
	j->bat_pages = img->bat_region->length / PAGE_BYTES;
	prepared_mib = j->bat_pages / MIB_PAGES + img->geometry.chunks;
	j->prepared = kvcalloc(DIV_ROUND_UP(prepared_mib, BITS_PER_LONG),
			       sizeof(*j->prepared), VHDX_GFP_SIZED);
	j->prepared_page = kvcalloc(DIV_ROUND_UP(prepared_mib * MIB_PAGES,
						 BITS_PER_LONG),
				    sizeof(*j->prepared_page), VHDX_GFP_SIZED);
	if (!j->page || !j->entry || !j->snapshot || !j->log_page ||
	    !j->in_place || !j->prepared || !j->prepared_page || make_pool(j))
		return vhdx_no_memory(err, "log", 0);
	return 0;
}

static void free_runs(struct list_head *runs)
{
	struct vhdx_run *run, *next;

	list_for_each_entry_safe(run, next, runs, link)
		kfree(run);
}

/**
 * vhdx_journal_free() - give the writing half back
 * @j: may be NULL
 */
void vhdx_journal_free(struct vhdx_journal *j)
{
	struct vhdx_page *page, *next;

	if (!j)
		return;
	list_for_each_entry_safe(page, next, &j->pages, link) {
		kfree(page->logged);
		kfree(page);
	}
	free_runs(&j->freed_new);
	free_runs(&j->freed_durable);
	free_runs(&j->draining);
	while (j->pooled)
		kfree(j->pool[--j->pooled]);
	kvfree(j->pool);
	kvfree(j->prepared_page);
	kvfree(j->prepared);
	kvfree(j->in_place);
	kvfree(j->log_page);
	kvfree(j->snapshot);
	kvfree(j->entry);
	kvfree(j->page);
	kvfree(j);
}
