// SPDX-License-Identifier: GPL-2.0
/*
 * The state machine of a write (design: image/ decides, the caller moves data).
 *
 * begin hands out where the data goes; the caller writes it and reports to end,
 * which publishes a new block or takes its run back. So nothing is mapped
 * before its data has been written, and a failed write maps nothing.
 *
 * An overwrite takes no lock: it enters the I/O tracker, then looks its entry
 * up, so that a run freed after the lookup is not reused before the overwrite
 * has ended. What changes an entry holds map_sem for reading and the lock of
 * the page's shard.
 *
 * Writers of one block that is not there yet share one fresh run and each fill
 * their part; the first that succeeds publishes it, the others' parts still
 * read as zeros then, like any write that was not acknowledged. When none
 * succeeds the run is no longer known to be zero and goes the way of a freed
 * one. A discard ends the sharing: who comes later gets another run, and a run
 * that was not published yet never is.
 */
#include "block_map.h"
#include "internal.h"
#include "journal.h"

#define PAGE_BYTES	VHDX_LOG_SECTOR_SIZE
#define PAGE_ENTRIES	(PAGE_BYTES / sizeof(__le64))

static u64 block_size(const struct vhdx_image *img)
{
	return 1ULL << img->geometry.block_shift;
}

static int park(struct vhdx_journal *j, struct vhdx_write *write,
		enum vhdx_write_want want)
{
	write->want = want;
	spin_lock(&j->lock);
	list_add_tail(&write->link, &j->parked);
	spin_unlock(&j->lock);
	vhdx_journal_kick(j);
	return -EINPROGRESS;
}

static void file_extent(const struct vhdx_image *img, struct vhdx_write *write,
			u64 run)
{
	u64 in_block = write->pos & (block_size(img) - 1);

	write->extent.type = VHDX_EXTENT_FILE;
	write->extent.offset = run + in_block;
	write->extent.length = min(write->length, block_size(img) - in_block);
}

static struct vhdx_allocation *find_allocation(struct vhdx_shard *shard,
					       u64 block)
{
	struct vhdx_allocation *a;

	list_for_each_entry(a, &shard->allocations, link)
		if (a->block == block)
			return a;
	return NULL;
}

/* The page may become dirty: true when the log has room for one more. */
static bool reserve_page(struct vhdx_journal *j, u64 index,
			 struct vhdx_page **spare)
{
	struct vhdx_page *page = j->page[index];
	bool ok = true;

	spin_lock(&j->lock);
	if (!page || !vhdx_page_is_active(page)) {
		ok = j->active_pages < j->max_pages;
		j->active_pages += ok;
	}
	if (ok && !page) {
		page = *spare;
		*spare = NULL;
		page->index = index;
		j->page[index] = page;
		list_add_tail(&page->link, &j->pages);
	}
	spin_unlock(&j->lock);
	if (ok)
		page->reserved++;
	return ok;
}

static void unreserve_page(struct vhdx_journal *j, u64 index)
{
	struct vhdx_page *page = j->page[index];

	page->reserved--;
	if (vhdx_page_is_active(page))
		return;
	spin_lock(&j->lock);
	j->active_pages--;
	spin_unlock(&j->lock);
}

static void count_entry(struct vhdx_journal *j, u64 old, u64 entry)
{
	u64 *payload = j->img->counts.payload;

	spin_lock(&j->lock);
	WRITE_ONCE(payload[vhdx_bat_state(old)],
		   payload[vhdx_bat_state(old)] - 1);
	WRITE_ONCE(payload[vhdx_bat_state(entry)],
		   payload[vhdx_bat_state(entry)] + 1);
	spin_unlock(&j->lock);
}

static void set_entry(struct vhdx_journal *j, u64 index, u64 entry)
{
	count_entry(j, vhdx_block_map_entry(j->img->map, index), entry);
	vhdx_block_map_set(j->img->map, index, entry);
	j->page[index / PAGE_ENTRIES]->dirty = true;
}

static void free_run(struct vhdx_journal *j, struct vhdx_run *run, u64 offset,
		     struct list_head *list)
{
	run->offset = offset;
	run->length = block_size(j->img);
	spin_lock(&j->lock);
	list_add_tail(&run->link, list);
	spin_unlock(&j->lock);
}

/**
 * struct change - a place in the BAT that is about to change
 * @block: payload block
 * @index: of its entry
 * @shard: whose lock guards it
 * @page: memory for what may be needed under the lock
 * @allocation: likewise
 * @run: likewise
 */
struct change {
	u64 block;
	u64 index;
	struct vhdx_shard *shard;
	struct vhdx_page *page;
	struct vhdx_allocation *allocation;
	struct vhdx_run *run;
};

static void lock_change(struct vhdx_journal *j, struct change *change, u64 pos)
	__acquires(&change->shard->lock)
{
	const gfp_t gfp = GFP_NOIO | __GFP_NOFAIL;

	change->block = pos >> j->img->geometry.block_shift;
	change->index = vhdx_bat_payload_index(&j->img->geometry,
					       change->block);
	change->shard = vhdx_journal_shard(j, change->index / PAGE_ENTRIES);
	change->page = kzalloc(sizeof(*change->page), gfp);
	change->allocation = kzalloc(sizeof(*change->allocation), gfp);
	change->run = kzalloc(sizeof(*change->run), gfp);
	vhdx_block_map_reserve(j->img->map, change->index / PAGE_ENTRIES);
	down_read(&j->map_sem);
	spin_lock(&change->shard->lock);
}

/*
 * After a page has become dirty, or has not: the worker may have found nothing
 * to commit because of that. It says so before it takes map_sem for writing.
 */
static void page_settled(struct vhdx_journal *j)
{
	if (READ_ONCE(j->room_wanted))
		vhdx_journal_kick(j);
}

static void unlock_change(struct vhdx_journal *j, struct change *change)
	__releases(&change->shard->lock)
{
	spin_unlock(&change->shard->lock);
	up_read(&j->map_sem);
	page_settled(j);
	kfree(change->page);
	kfree(change->allocation);
	kfree(change->run);
}

/* 0 with the page reserved, or what has to be waited for. */
static enum vhdx_write_want prepare_change(struct vhdx_journal *j,
					   struct change *change)
{
	u64 page = change->index / PAGE_ENTRIES;

	if (!vhdx_journal_prepared(j, page))
		return VHDX_WANT_PAGE;
	if (!reserve_page(j, page, &change->page))
		return VHDX_WANT_COMMIT;
	return VHDX_WANT_NOTHING;
}

static enum vhdx_write_want allocate(struct vhdx_journal *j,
				     struct vhdx_write *write,
				     struct change *change)
{
	struct vhdx_allocation *a = change->allocation;
	enum vhdx_write_want want;

	want = prepare_change(j, change);
	if (want)
		return want;
	if (!vhdx_space_take(j->img->space, block_size(j->img), &a->offset)) {
		unreserve_page(j, change->index / PAGE_ENTRIES);
		return VHDX_WANT_SPACE;
	}
	a->block = change->block;
	a->users = 1;
	a->run = change->run;
	list_add_tail(&a->link, &change->shard->allocations);
	change->allocation = NULL;
	change->run = NULL;
	write->allocation = a;
	file_extent(j->img, write, a->offset);
	return VHDX_WANT_NOTHING;
}

static bool mapping_is_durable(const struct vhdx_journal *j, u64 index)
{
	const struct vhdx_page *page = j->page[index / PAGE_ENTRIES];

	return !page || (!page->dirty && !page->committing);
}

static enum vhdx_write_want begin_locked(struct vhdx_journal *j,
					 struct vhdx_write *write,
					 struct change *change)
{
	u64 entry = vhdx_block_map_entry(j->img->map, change->index);
	struct vhdx_allocation *a;

	if (vhdx_bat_state(entry) == VHDX_PAYLOAD_FULLY_PRESENT) {
		file_extent(j->img, write, vhdx_bat_offset(entry));
		write->durable = mapping_is_durable(j, change->index);
		return VHDX_WANT_NOTHING;
	}
	a = find_allocation(change->shard, change->block);
	if (!a && write->in_place) {
		/* Zeros over zeros. */
		file_extent(j->img, write, 0);
		write->extent.type = VHDX_EXTENT_ZERO;
		return VHDX_WANT_NOTHING;
	}
	if (!a)
		return allocate(j, write, change);
	/* Zeros too: a write that failed may have left data there. */
	a->users++;
	write->allocation = a;
	file_extent(j->img, write, a->offset);
	return VHDX_WANT_NOTHING;
}

/* What every change has to pass; 1 when it may go on. */
static int enter(struct vhdx_journal *j, struct vhdx_write *write)
{
	int ret = write->error;

	write->error = 0;
	write->allocation = NULL;
	write->durable = false;
	if (READ_ONCE(j->failed))
		return -EIO;
	if (ret)
		return ret;
	/* pairs with the end of first_change() */
	if (!smp_load_acquire(&j->changed))
		return park(j, write, VHDX_WANT_FIRST);
	write->io = vhdx_io_enter(&j->io);
	return 1;
}

/* The worker may be waiting for the last one. */
static void io_exit(struct vhdx_journal *j, unsigned int io)
{
	vhdx_io_exit(&j->io, io);
	/* exited before the look: pairs with vhdx_journal_recycle() */
	smp_mb();
	if (READ_ONCE(j->drain_wanted))
		vhdx_journal_kick(j);
}

static void leave(struct vhdx_journal *j, struct vhdx_write *write)
{
	io_exit(j, write->io);
}

/**
 * vhdx_read_begin() - announce a read of the file
 * @img: an open image
 *
 * Before vhdx_image_map(): until vhdx_read_end() nothing that was freed in the
 * meantime is used for another block. Costs nothing where nobody writes.
 *
 * Context: any.
 * Return: for vhdx_read_end().
 */
unsigned int vhdx_read_begin(struct vhdx_image *img)
{
	return img->journal ? vhdx_io_enter(&img->journal->io) : 0;
}

/**
 * vhdx_read_end() - the read that was announced is over
 * @img: an open image
 * @io: from vhdx_read_begin()
 *
 * Context: any, interrupts included.
 */
void vhdx_read_end(struct vhdx_image *img, unsigned int io)
{
	if (img->journal)
		io_exit(img->journal, io);
}

static void want_room(struct vhdx_journal *j)
{
	if (vhdx_space_fresh(j->img->space) >= vhdx_journal_step(j) / 2)
		return;
	spin_lock(&j->lock);
	j->want_space = true;
	spin_unlock(&j->lock);
	vhdx_journal_kick(j);
}

/**
 * vhdx_write_begin() - find where the data of a write goes
 * @img: open for writing
 * @write: with @pos, @length, @in_place, @fua and @resume filled in and the rest
 *	zero before its first use; kept by the caller until vhdx_write_end()
 *
 * Return: 0: @write->extent says where, and vhdx_write_end() must follow. It
 * may be shorter than @write->length; with @in_place it may be of type ZERO:
 * there is nothing to zero. -EINPROGRESS: the write is parked, @write->resume
 * is called when it may try again. Otherwise the write has failed: -ENOSPC,
 * -EIO after a failure of the journal.
 * Context: process context, may sleep, under memalloc_noio_save().
 */
int vhdx_write_begin(struct vhdx_image *img, struct vhdx_write *write)
{
	struct vhdx_journal *j = img->journal;
	enum vhdx_write_want want;
	struct change change;
	int ret;

	ret = enter(j, write);
	if (ret <= 0)
		return ret;
	if (!write->fua) {
		vhdx_image_map(img, write->pos, write->length, &write->extent);
		if (write->extent.type == VHDX_EXTENT_FILE)
			return 0;
	}
	lock_change(j, &change, write->pos);
	want = begin_locked(j, write, &change);
	unlock_change(j, &change);
	if (!want) {
		if (write->allocation)
			want_room(j);
		return 0;
	}
	leave(j, write);
	write->want_page = change.index / PAGE_ENTRIES;
	return park(j, write, want);
}

static void publish(struct vhdx_journal *j, struct vhdx_allocation *a,
		    u64 index)
{
	u64 old = vhdx_block_map_entry(j->img->map, index);

	a->published = true;
	set_entry(j, index, a->offset | VHDX_PAYLOAD_FULLY_PRESENT);
	if (vhdx_bat_entry_has_space(old)) {
		free_run(j, a->run, vhdx_bat_offset(old), &j->freed_new);
		a->run = NULL;
	}
}

static void end_allocation(struct vhdx_journal *j, struct vhdx_allocation *a,
			   int status)
{
	u64 index = vhdx_bat_payload_index(&j->img->geometry, a->block);
	struct vhdx_shard *shard = vhdx_journal_shard(j, index / PAGE_ENTRIES);
	bool last, freed = false;

	down_read(&j->map_sem);
	spin_lock(&shard->lock);
	if (!status && !a->published && !a->dropped)
		publish(j, a, index);
	last = !--a->users;
	if (last) {
		list_del(&a->link);
		/* What failed may have left data in it: zero it first. */
		if (!a->published) {
			free_run(j, a->run, a->offset, &j->freed_durable);
			a->run = NULL;
			freed = true;
		}
		unreserve_page(j, index / PAGE_ENTRIES);
	}
	spin_unlock(&shard->lock);
	up_read(&j->map_sem);
	page_settled(j);
	if (freed)
		vhdx_journal_kick(j);
	if (last) {
		kfree(a->run);
		kfree(a);
	}
}

/**
 * vhdx_write_end() - report how the data of a write went
 * @img: open for writing
 * @write: that vhdx_write_begin() returned 0 for
 * @status: 0 when all of @write->extent was written; a negative errno
 *
 * The block is mapped when this returns, if @status is 0.
 *
 * Context: process context, may sleep; any, where vhdx_write_is_overwrite().
 */
void vhdx_write_end(struct vhdx_image *img, struct vhdx_write *write,
		    int status)
{
	struct vhdx_journal *j = img->journal;

	if (write->allocation)
		end_allocation(j, write->allocation, status);
	leave(j, write);
}

/**
 * vhdx_image_commit() - have what is dirty made durable soon
 * @img: open for writing
 *
 * Context: any that may take a spinlock.
 */
void vhdx_image_commit(struct vhdx_image *img)
{
	struct vhdx_journal *j = img->journal;

	spin_lock(&j->lock);
	j->want_commit = true;
	spin_unlock(&j->lock);
	vhdx_journal_kick(j);
}

/**
 * vhdx_image_failed() - has writing been given up
 * @img: open for writing
 *
 * Context: any.
 * Return: 0, or the negative errno of what failed.
 */
int vhdx_image_failed(const struct vhdx_image *img)
{
	return READ_ONCE(img->journal->failed);
}

/*
 * The writes that are in flight count as having come before. Their run may hold
 * data of one that failed before this, so it must not be published any more,
 * and whoever comes later gets another.
 */
static void drop_allocation(struct vhdx_allocation *a)
{
	if (!a)
		return;
	a->dropped = true;
	list_del_init(&a->link);
}

static enum vhdx_write_want clear_locked(struct vhdx_journal *j,
					 struct change *change)
{
	u64 entry = vhdx_block_map_entry(j->img->map, change->index);
	struct vhdx_allocation *a;
	enum vhdx_write_want want;

	a = find_allocation(change->shard, change->block);
	if (!vhdx_bat_entry_has_space(entry)) {
		drop_allocation(a);
		return VHDX_WANT_NOTHING;
	}
	want = prepare_change(j, change);
	if (want)
		return want;
	drop_allocation(a);
	set_entry(j, change->index, VHDX_PAYLOAD_ZERO);
	free_run(j, change->run, vhdx_bat_offset(entry), &j->freed_new);
	change->run = NULL;
	unreserve_page(j, change->index / PAGE_ENTRIES);
	return VHDX_WANT_NOTHING;
}

/**
 * vhdx_clear_block() - make a whole block zero and free its space
 * @img: open for writing, not LeaveBlocksAllocated
 * @write: with @pos in the block and @resume filled in, the rest as for
 *	vhdx_write_begin()
 *
 * Return: 0 when done, and no vhdx_write_end() follows; otherwise as
 * vhdx_write_begin(). MS-VHDX 2.5.1.1, PAYLOAD_BLOCK_ZERO.
 * Context: process context, may sleep, under memalloc_noio_save().
 */
int vhdx_clear_block(struct vhdx_image *img, struct vhdx_write *write)
{
	struct vhdx_journal *j = img->journal;
	enum vhdx_write_want want;
	struct change change;
	int ret;

	ret = enter(j, write);
	if (ret <= 0)
		return ret;
	lock_change(j, &change, write->pos);
	want = clear_locked(j, &change);
	unlock_change(j, &change);
	leave(j, write);
	if (!want)
		return 0;
	write->want_page = change.index / PAGE_ENTRIES;
	return park(j, write, want);
}

/**
 * vhdx_flush() - make all that has ended durable
 * @img: open for writing
 * @flush: with @done filled in; called once, perhaps before this returns, with
 *	0 or a negative errno
 *
 * Covers every write that ended before this was called.
 *
 * Context: any that may take a spinlock; @flush->done is called in process
 * context or the caller's.
 */
void vhdx_flush(struct vhdx_image *img, struct vhdx_flush *flush)
{
	struct vhdx_journal *j = img->journal;
	int failed;

	spin_lock(&j->lock);
	failed = j->failed;
	if (!failed)
		list_add_tail(&flush->link, &j->flushes);
	spin_unlock(&j->lock);
	if (failed)
		flush->done(flush, -EIO);
	else
		vhdx_journal_kick(j);
}
