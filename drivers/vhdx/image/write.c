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
 *
 * In a child a block that shows its parent is published by the sector: the end of
 * a write sets the bits of what it has written, and when none is missing the
 * block becomes FULLY_PRESENT. So what a write that failed has left in the run is
 * never seen, and no sector is copied up. Only NOT_PRESENT becomes
 * PARTIALLY_PRESENT, its stale bits cleared in the same breath: bits, entry and
 * the bitmap block's own entry are in one snapshot. All other states never show
 * the parent again.
 *
 * Zeros around small writes: pad.c.
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
	write->extent.image = img;
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

static struct vhdx_page_ref bat_page(u64 index)
{
	return (struct vhdx_page_ref){ .index = index / PAGE_ENTRIES };
}

static struct vhdx_page_ref bits_page(const struct vhdx_journal *j,
				      struct vhdx_bitmap_page *bits)
{
	return (struct vhdx_page_ref){
		.index = j->bat_pages + bits->index,
		.bits = bits,
	};
}

static void set_dirty(struct vhdx_journal *j, struct vhdx_page_ref ref,
		      bool hides)
{
	spin_lock(&j->lock);
	vhdx_page_find(j, &ref)->dirty = true;
	j->hides |= hides;
	spin_unlock(&j->lock);
}

static void count_entry(struct vhdx_journal *j, u64 index, u64 old, u64 entry)
{
	const struct vhdx_observer *observer = j->img->observer;
	u64 *payload = j->img->counts.payload;

	spin_lock(&j->lock);
	WRITE_ONCE(payload[vhdx_bat_state(old)],
		   payload[vhdx_bat_state(old)] - 1);
	WRITE_ONCE(payload[vhdx_bat_state(entry)],
		   payload[vhdx_bat_state(entry)] + 1);
	if (vhdx_bat_entry_has_space(entry) && !vhdx_bat_entry_has_space(old))
		vhdx_count(&j->img->stats.new_blocks);
	spin_unlock(&j->lock);
	if (observer)
		observer->map(j->img, index, old, entry);
}

/* The parent, or some of it, can be seen through a block in that state. */
static bool shows_parent(const struct vhdx_image *img, u64 entry)
{
	return img->geometry.has_parent &&
	       (vhdx_bat_state(entry) == VHDX_PAYLOAD_NOT_PRESENT ||
		vhdx_bat_state(entry) == VHDX_PAYLOAD_PARTIALLY_PRESENT);
}

static void set_entry(struct vhdx_journal *j, u64 index, u64 entry)
{
	u64 old = vhdx_block_map_entry(j->img->map, index);

	count_entry(j, index, old, entry);
	vhdx_block_map_set(j->img->map, index, entry);
	set_dirty(j, bat_page(index), shows_parent(j->img, old) &&
		  vhdx_bat_entry_has_space(entry));
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
 * @bitmap_index: of the entry of its chunk's bitmap block, in a child
 * @shard: whose lock guards @index
 * @pinned: pages of bits in @bits
 * @bits: of the block, where it may show its parent
 * @want_page: what has no room on the host, with VHDX_WANT_PAGE
 * @lean: memory for @allocation may be all that is needed
 * @spare: memory for what may be needed under the lock, struct vhdx_page
 * @allocation: likewise
 * @run: likewise
 */
struct change {
	u64 block;
	u64 index;
	u64 bitmap_index;
	struct vhdx_shard *shard;
	u32 pinned;
	struct vhdx_bitmap_page *bits[VHDX_MAX_BLOCK_BITS];
	u64 want_page;
	bool lean;
	struct list_head spare;
	struct vhdx_allocation *allocation;
	struct vhdx_run *run;
};

/* The sectors of a block; the disk may end inside its last one. */
static void block_sectors(const struct vhdx_image *img, u64 block, u64 *first,
			  u64 *count)
{
	const struct vhdx_geometry *geo = &img->geometry;
	u64 start = block << geo->block_shift;

	*first = start >> geo->sector_shift;
	*count = min(1ULL << geo->block_shift, geo->disk_size - start) >>
		 geo->sector_shift;
}

/*
 * Brings the bits of a block that may show its parent into memory. A block never
 * gets such a state once it has another, so those that have none need none.
 */
static int pin_bits(const struct vhdx_image *img, struct change *change,
		    bool wait)
{
	u64 entry = vhdx_block_map_entry(img->map, change->index);
	u32 pages = vhdx_block_bits_pages(&img->geometry);
	u64 first, count;
	int ret;

	if (!shows_parent(img, entry))
		return 0;
	block_sectors(img, change->block, &first, &count);
	ret = vhdx_bitmaps_pin(img, first, pages, wait, change->bits);
	if (!ret)
		change->pinned = pages;
	change->lean = vhdx_bat_state(entry) == VHDX_PAYLOAD_PARTIALLY_PRESENT;
	return ret;
}

static void get_memory(struct change *change)
{
	const gfp_t gfp = GFP_NOIO | __GFP_NOFAIL;
	u32 pages = change->pinned ? 2 + change->pinned : 1;
	struct vhdx_page *page;

	if (!change->allocation)
		change->allocation =
			kzalloc(struct_size(change->allocation, bits,
					    change->pinned), gfp);
	if (change->lean)
		return;
	while (pages--) {
		page = kzalloc(sizeof(*page), gfp);
		list_add_tail(&page->link, &change->spare);
	}
	change->run = kzalloc(sizeof(*change->run), gfp);
}

static void init_change(struct vhdx_journal *j, struct change *change, u64 pos)
{
	const struct vhdx_geometry *geo = &j->img->geometry;

	memset(change, 0, sizeof(*change));
	INIT_LIST_HEAD(&change->spare);
	change->block = pos >> geo->block_shift;
	change->index = vhdx_bat_payload_index(geo, change->block);
	change->bitmap_index = vhdx_bat_bitmap_index(geo, change->block >>
						     geo->chunk_ratio_shift);
	change->shard = vhdx_journal_shard(j, change->index / PAGE_ENTRIES);
}

/* To look: for a change there may be no memory yet. */
static void lock_entry(struct vhdx_journal *j, struct change *change)
	__acquires(&change->shard->lock)
{
	down_read(&j->map_sem);
	spin_lock(&change->shard->lock);
}

static void lock_change(struct vhdx_journal *j, struct change *change)
	__acquires(&change->shard->lock)
{
	struct vhdx_block_map *map = j->img->map;

	get_memory(change);
	vhdx_block_map_reserve(map, change->index / PAGE_ENTRIES);
	if (change->pinned)
		vhdx_block_map_reserve(map, change->bitmap_index / PAGE_ENTRIES);
	lock_entry(j, change);
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
}

static void end_change(struct vhdx_journal *j, struct change *change)
{
	struct vhdx_page *page, *next;

	vhdx_bitmaps_unpin(j->img, change->bits, change->pinned);
	list_for_each_entry_safe(page, next, &change->spare, link)
		kfree(page);
	kfree(change->allocation);
	kfree(change->run);
}

/* The host has room for the page, or @change->want_page says for which not. */
static bool is_prepared(const struct vhdx_journal *j, struct change *change,
			u64 page)
{
	change->want_page = page;
	return vhdx_journal_prepared(j, page);
}

/* 0 with the page reserved, or what has to be waited for. */
static enum vhdx_write_want prepare_change(struct vhdx_journal *j,
					   struct change *change)
{
	struct vhdx_page_ref ref = bat_page(change->index);

	if (!is_prepared(j, change, ref.index))
		return VHDX_WANT_PAGE;
	return vhdx_pages_reserve(j, &ref, 1, &change->spare);
}

/* The block gets a fresh run, and is published as a whole. */
static enum vhdx_write_want allocate(struct vhdx_journal *j,
				     struct change *change)
{
	struct vhdx_allocation *a = change->allocation;
	struct vhdx_page_ref ref = bat_page(change->index);
	enum vhdx_write_want want;

	want = prepare_change(j, change);
	if (want)
		return want;
	if (!vhdx_space_take(j->img->space, block_size(j->img), &a->offset)) {
		vhdx_pages_unreserve(j, &ref, 1);
		return VHDX_WANT_SPACE;
	}
	return VHDX_WANT_NOTHING;
}

/* The pages that a block's change touches, without the bitmap block's entry. */
static u32 block_pages(const struct vhdx_journal *j, u64 index,
		       struct vhdx_bitmap_page **bits, u32 n,
		       struct vhdx_page_ref *ref)
{
	u32 i;

	ref[0] = bat_page(index);
	for (i = 0; i < n; i++)
		ref[1 + i] = bits_page(j, bits[i]);
	return 1 + n;
}

/*
 * Gives the chunk a bitmap block, all zero: it says nothing until a block of the
 * chunk is PARTIALLY_PRESENT. Other blocks' shards may want it at the same time.
 */
static bool make_bitmap_block(struct vhdx_journal *j, struct change *change)
{
	struct vhdx_block_map *map = j->img->map;
	struct vhdx_page_ref ref = bat_page(change->bitmap_index);
	u64 entry, offset;
	bool ok = true;

	spin_lock(&j->lock);
	entry = vhdx_block_map_entry(map, change->bitmap_index);
	if (vhdx_bat_state(entry) != VHDX_BITMAP_PRESENT) {
		ok = vhdx_space_take_part(j->img->space, block_size(j->img),
					  VHDX_BITMAP_BLOCK_SIZE, &offset);
		if (ok) {
			vhdx_block_map_set(map, change->bitmap_index,
					   offset | VHDX_BITMAP_PRESENT);
			vhdx_page_find(j, &ref)->dirty = true;
			WRITE_ONCE(j->img->counts.bitmap,
				   j->img->counts.bitmap + 1);
		}
	}
	spin_unlock(&j->lock);
	return ok;
}

/* The bits of the block have a place in the file that the host has room for. */
static enum vhdx_write_want prepare_bitmap(struct vhdx_journal *j,
					   struct change *change)
{
	struct vhdx_page_ref bitmap = bat_page(change->bitmap_index);
	enum vhdx_write_want want = VHDX_WANT_NOTHING;
	u64 entry = vhdx_block_map_entry(j->img->map, change->bitmap_index);
	u32 i;

	if (vhdx_bat_state(entry) != VHDX_BITMAP_PRESENT) {
		if (!is_prepared(j, change, bitmap.index))
			return VHDX_WANT_PAGE;
		want = vhdx_pages_reserve(j, &bitmap, 1, &change->spare);
		if (want)
			return want;
		if (!make_bitmap_block(j, change))
			want = VHDX_WANT_SPACE;
		vhdx_pages_unreserve(j, &bitmap, 1);
	}
	for (i = 0; !want && i < change->pinned; i++)
		if (!is_prepared(j, change, bits_page(j, change->bits[i]).index))
			want = VHDX_WANT_PAGE;
	return want;
}

/*
 * A block that shows its parent: sectors are published one by one. All of its
 * bits are reserved, since the first of them clears what stale ones there are.
 */
static enum vhdx_write_want allocate_partial(struct vhdx_journal *j,
					     struct change *change, u64 entry)
{
	struct vhdx_page_ref ref[VHDX_MAX_CHANGE_PAGES];
	struct vhdx_allocation *a = change->allocation;
	enum vhdx_write_want want;
	u32 n;

	want = prepare_bitmap(j, change);
	if (want)
		return want;
	n = block_pages(j, change->index, change->bits, change->pinned, ref);
	if (!is_prepared(j, change, ref[0].index))
		return VHDX_WANT_PAGE;
	want = vhdx_pages_reserve(j, ref, n, &change->spare);
	if (want)
		return want;
	a->partial = true;
	a->borrowed = vhdx_bat_entry_has_space(entry);
	a->published = a->borrowed;
	if (a->borrowed) {
		a->offset = vhdx_bat_offset(entry);
	} else if (!vhdx_space_take(j->img->space, block_size(j->img),
				    &a->offset)) {
		vhdx_pages_unreserve(j, ref, n);
		return VHDX_WANT_SPACE;
	}
	memcpy(a->bits, change->bits, change->pinned * sizeof(a->bits[0]));
	return VHDX_WANT_NOTHING;
}

static enum vhdx_write_want join(struct vhdx_journal *j,
				 struct vhdx_write *write,
				 struct vhdx_allocation *a)
{
	struct vhdx_write *padding;

	file_extent(j->img, write, a->offset);
	padding = vhdx_pad_find(a, write);
	if (padding) {
		write->want = VHDX_WANT_PAD;
		list_add_tail(&write->link, &padding->waiting);
		return VHDX_WANT_PAD;
	}
	vhdx_pad(j, a, write);
	list_add_tail(&write->link, &a->writes);
	write->allocation = a;
	return VHDX_WANT_NOTHING;
}

static enum vhdx_write_want begin_allocation(struct vhdx_journal *j,
					     struct vhdx_write *write,
					     struct change *change, u64 entry)
{
	struct vhdx_allocation *a = change->allocation;
	enum vhdx_write_want want;

	/* A discard may have come since, which leaves more to be done. */
	if (change->lean &&
	    vhdx_bat_state(entry) != VHDX_PAYLOAD_PARTIALLY_PRESENT)
		return VHDX_WANT_MEMORY;
	if (shows_parent(j->img, entry))
		want = allocate_partial(j, change, entry);
	else
		want = allocate(j, change);
	if (want)
		return want;
	a->block = change->block;
	a->run = change->run;
	INIT_LIST_HEAD(&a->writes);
	list_add_tail(&a->link, &change->shard->allocations);
	change->allocation = NULL;
	change->run = NULL;
	return join(j, write, a);
}

static void nothing_there(struct vhdx_journal *j, struct vhdx_write *write)
{
	file_extent(j->img, write, 0);
	write->extent.type = VHDX_EXTENT_ZERO;
}

/* What is there, and it stays where it is. True when that is all there is to it. */
static bool begin_in_place(struct vhdx_journal *j, struct vhdx_write *write,
			   struct change *change, u64 entry)
{
	struct vhdx_page_ref ref[VHDX_MAX_CHANGE_PAGES];
	struct vhdx_extent *extent = &write->extent;
	u64 length;
	u32 n;

	switch (vhdx_bat_state(entry)) {
	case VHDX_PAYLOAD_FULLY_PRESENT:
	case VHDX_PAYLOAD_PARTIALLY_PRESENT:
		break;
	case VHDX_PAYLOAD_NOT_PRESENT:
		if (!write->hint && shows_parent(j->img, entry))
			return false;
		fallthrough;
	default:
		/* Zeros over zeros, unless a write that failed has left data. */
		if (!write->in_place ||
		    find_allocation(change->shard, change->block))
			return false;
		nothing_there(j, write);
		return true;
	}

	file_extent(j->img, write, vhdx_bat_offset(entry));
	length = extent->length;
	/* The bits are pinned, and do not change under the lock. */
	vhdx_chain_look(j->img, write->pos, length, extent);
	if (extent->length < length || extent->type != VHDX_EXTENT_FILE) {
		if (!write->hint)
			return false;
		if (extent->type != VHDX_EXTENT_FILE)
			extent->type = VHDX_EXTENT_ZERO;
	}
	n = block_pages(j, change->index, change->bits, change->pinned, ref);
	write->durable = vhdx_pages_durable(j, ref, n);
	return true;
}

/* Zeros alone ask this first: a disk of nothing but zeros is to take no memory. */
static bool begin_lean(struct vhdx_journal *j, struct vhdx_write *write,
		       struct change *change)
{
	bool done;

	lock_entry(j, change);
	done = begin_in_place(j, write, change,
			      vhdx_block_map_entry(j->img->map, change->index));
	unlock_change(j, change);
	return done;
}

static enum vhdx_write_want begin_locked(struct vhdx_journal *j,
					 struct vhdx_write *write,
					 struct change *change)
{
	u64 entry = vhdx_block_map_entry(j->img->map, change->index);
	struct vhdx_allocation *a;

	if (begin_in_place(j, write, change, entry))
		return VHDX_WANT_NOTHING;
	a = find_allocation(change->shard, change->block);
	if (!a)
		return begin_allocation(j, write, change, entry);
	return join(j, write, a);
}

/* What every change has to pass; 1 when it may go on. */
static int enter(struct vhdx_journal *j, struct vhdx_write *write)
{
	int ret = write->error;

	write->error = 0;
	write->allocation = NULL;
	write->durable = false;
	write->pad_before = 0;
	write->pad_after = 0;
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

/* Found without a lock: all of it is in the file, as far as the block goes. */
static bool is_overwrite(const struct vhdx_image *img, struct vhdx_write *write)
{
	u64 in_block = write->pos & (block_size(img) - 1);

	return !vhdx_chain_look(img, write->pos, write->length,
				&write->extent) &&
	       write->extent.type == VHDX_EXTENT_FILE &&
	       write->extent.length == min(write->length,
					   block_size(img) - in_block);
}

/**
 * vhdx_write_begin() - find where the data of a write goes
 * @img: open for writing
 * @write: with @pos, @length, @in_place, @hint, @fua, @wait, @may_pad and @resume
 *	filled in and the rest zero before its first use; kept by the caller until
 *	vhdx_write_end()
 *
 * Return: 0: @write->extent says where, and vhdx_write_end() must follow. It
 * may be shorter than @write->length; with @in_place it may be of type ZERO:
 * there is nothing to zero. -EINPROGRESS: the write is parked, @write->resume
 * is called when it may try again. -EAGAIN: in a child, and it may go on with
 * @wait only. Otherwise the write has failed: -ENOSPC, -EIO after a failure of
 * the journal, or what reading a sector bitmap answered.
 * Context: process context, may sleep, under memalloc_noio_save().
 */
int vhdx_write_begin(struct vhdx_image *img, struct vhdx_write *write)
{
	struct vhdx_journal *j = img->journal;
	enum vhdx_write_want want = VHDX_WANT_NOTHING;
	struct change change;
	unsigned int io;
	bool done;
	int ret;

	ret = enter(j, write);
	if (ret <= 0)
		return ret;
	if (!write->fua && is_overwrite(img, write))
		return 0;
	io = write->io;
	init_change(j, &change, write->pos);
	ret = pin_bits(img, &change, write->wait);
	if (ret) {
		io_exit(j, io);
		return ret;
	}
	done = write->in_place && begin_lean(j, write, &change);
	while (!done) {
		lock_change(j, &change);
		want = begin_locked(j, write, &change);
		unlock_change(j, &change);
		change.lean = false;
		done = want != VHDX_WANT_MEMORY;
	}
	end_change(j, &change);
	if (!want) {
		if (write->allocation && !write->allocation->borrowed)
			want_room(j);
		return 0;
	}
	io_exit(j, io);
	/* It is parked there, and may be under way again by now. */
	if (want == VHDX_WANT_PAD)
		return -EINPROGRESS;
	write->want_page = change.want_page;
	write->want_room = 1 + change.pinned;
	return park(j, write, want);
}

static void publish_block(struct vhdx_journal *j, struct vhdx_allocation *a,
			  u64 index)
{
	u64 old = vhdx_block_map_entry(j->img->map, index);

	if (a->published)
		return;
	a->published = true;
	set_entry(j, index, a->offset | VHDX_PAYLOAD_FULLY_PRESENT);
	if (vhdx_bat_entry_has_space(old)) {
		free_run(j, a->run, vhdx_bat_offset(old), &j->freed_new);
		a->run = NULL;
	}
}

static void fill_bits(struct vhdx_journal *j, struct vhdx_allocation *a,
		      u64 sector, u64 sectors, bool present)
{
	u32 i;

	for (i = 0; i < vhdx_block_bits_pages(&j->img->geometry); i++)
		if (vhdx_bitmap_page_fill(a->bits[i], sector, sectors, present))
			set_dirty(j, bits_page(j, a->bits[i]), present);
}

static bool all_present(const struct vhdx_journal *j,
			const struct vhdx_allocation *a, u64 sector, u64 sectors)
{
	u32 i;

	for (i = 0; i < vhdx_block_bits_pages(&j->img->geometry); i++)
		if (!vhdx_bitmap_page_is_full(a->bits[i], sector, sectors))
			return false;
	return true;
}

/*
 * Those of @write, of a block that showed its parent. The first of them find the
 * bits as they were left when the block had no use for them.
 */
static void publish_sectors(struct vhdx_journal *j, struct vhdx_allocation *a,
			    u64 index, const struct vhdx_write *write)
{
	u32 shift = j->img->geometry.sector_shift;
	u64 state = vhdx_bat_state(vhdx_block_map_entry(j->img->map, index));
	u64 sectors = write->extent.length >> shift;
	u64 sector = write->pos >> shift;
	u64 first, count;
	bool full;

	if (state == VHDX_PAYLOAD_FULLY_PRESENT)
		return;
	block_sectors(j->img, a->block, &first, &count);
	full = sectors == count;
	if (!full) {
		if (!a->published)
			fill_bits(j, a, first, count, false);
		fill_bits(j, a, sector, sectors, true);
		full = all_present(j, a, first, count);
	}
	a->published = true;
	if (full)
		set_entry(j, index, a->offset | VHDX_PAYLOAD_FULLY_PRESENT);
	else if (state != VHDX_PAYLOAD_PARTIALLY_PRESENT)
		set_entry(j, index, a->offset | VHDX_PAYLOAD_PARTIALLY_PRESENT);
}

static void unreserve_allocation(struct vhdx_journal *j,
				 struct vhdx_allocation *a, u64 index)
{
	struct vhdx_page_ref ref[VHDX_MAX_CHANGE_PAGES];
	u32 n = a->partial ? vhdx_block_bits_pages(&j->img->geometry) : 0;

	n = block_pages(j, index, a->bits, n, ref);
	vhdx_pages_unreserve(j, ref, n);
}

static void resume_waiting(struct list_head *waiting)
{
	struct vhdx_write *write, *next;

	list_for_each_entry_safe(write, next, waiting, link) {
		list_del_init(&write->link);
		write->resume(write);
	}
}

static void end_allocation(struct vhdx_journal *j, struct vhdx_write *write,
			   int status)
{
	struct vhdx_allocation *a = write->allocation;
	u64 index = vhdx_bat_payload_index(&j->img->geometry, a->block);
	struct vhdx_shard *shard = vhdx_journal_shard(j, index / PAGE_ENTRIES);
	bool last, freed = false;
	LIST_HEAD(waiting);

	down_read(&j->map_sem);
	spin_lock(&shard->lock);
	if (!status && !a->dropped) {
		if (a->partial)
			publish_sectors(j, a, index, write);
		else
			publish_block(j, a, index);
	}
	list_del(&write->link);
	if (vhdx_write_is_padded(write))
		list_splice_tail_init(&write->waiting, &waiting);
	last = list_empty(&a->writes);
	if (last) {
		list_del(&a->link);
		/* What failed may have left data in it: zero it first. */
		if (!a->published) {
			free_run(j, a->run, a->offset, &j->freed_durable);
			a->run = NULL;
			freed = true;
		}
		unreserve_allocation(j, a, index);
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
	resume_waiting(&waiting);
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
		end_allocation(j, write, status);
	io_exit(j, write->io);
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

static bool is_clear(const struct vhdx_image *img, u64 entry)
{
	return !vhdx_bat_entry_has_space(entry) && !shows_parent(img, entry);
}

/* All that there is to do for most of what a mkfs discards, and without memory. */
static bool clear_lean(struct vhdx_journal *j, struct change *change)
{
	bool done;

	lock_entry(j, change);
	done = is_clear(j->img, vhdx_block_map_entry(j->img->map, change->index));
	if (done)
		drop_allocation(find_allocation(change->shard, change->block));
	unlock_change(j, change);
	return done;
}

static enum vhdx_write_want clear_locked(struct vhdx_journal *j,
					 struct change *change)
{
	u64 entry = vhdx_block_map_entry(j->img->map, change->index);
	struct vhdx_page_ref ref = bat_page(change->index);
	struct vhdx_allocation *a;
	enum vhdx_write_want want;

	a = find_allocation(change->shard, change->block);
	if (is_clear(j->img, entry)) {
		drop_allocation(a);
		return VHDX_WANT_NOTHING;
	}
	want = prepare_change(j, change);
	if (want)
		return want;
	drop_allocation(a);
	set_entry(j, change->index, VHDX_PAYLOAD_ZERO);
	if (vhdx_bat_entry_has_space(entry)) {
		free_run(j, change->run, vhdx_bat_offset(entry), &j->freed_new);
		change->run = NULL;
	}
	vhdx_pages_unreserve(j, &ref, 1);
	return VHDX_WANT_NOTHING;
}

/**
 * vhdx_clear_block() - make a whole block zero and free its space
 * @img: open for writing, not LeaveBlocksAllocated
 * @write: with @pos in the block and @resume filled in, the rest as for
 *	vhdx_write_begin()
 *
 * Of a child too: its parent is not seen there any more.
 *
 * Return: 0 when done, and no vhdx_write_end() follows; otherwise as
 * vhdx_write_begin(), -EAGAIN excepted. MS-VHDX 2.5.1.1, PAYLOAD_BLOCK_ZERO.
 * Context: process context, may sleep, under memalloc_noio_save().
 */
int vhdx_clear_block(struct vhdx_image *img, struct vhdx_write *write)
{
	struct vhdx_journal *j = img->journal;
	enum vhdx_write_want want = VHDX_WANT_NOTHING;
	struct change change;
	int ret;

	ret = enter(j, write);
	if (ret <= 0)
		return ret;
	init_change(j, &change, write->pos);
	if (!clear_lean(j, &change)) {
		lock_change(j, &change);
		want = clear_locked(j, &change);
		unlock_change(j, &change);
	}
	end_change(j, &change);
	io_exit(j, write->io);
	if (!want)
		return 0;
	write->want_page = change.want_page;
	write->want_room = 1 + change.pinned;
	return park(j, write, want);
}
