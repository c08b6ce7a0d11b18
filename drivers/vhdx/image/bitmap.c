// SPDX-License-Identifier: GPL-2.0
/*
 * Sector bitmaps (MS-VHDX 2.4): which sectors of a PARTIALLY_PRESENT block are in
 * this file, and which are the parent's.
 *
 * A chunk's bitmap block has 1 MiB; 4 KiB of it are read when a sector is asked
 * for, and kept up to a bound. Readers take no lock: a page is found through
 * RCU, and one that goes is freed when nobody looks at it any more. A page that
 * is not in place and clean in the file is pinned, and stays.
 *
 * Who reads a page from the file may be overtaken by one that reads it too,
 * changes it, puts it in place and lets it go. So a page is only kept when it has
 * not gone since the reading began. Pages share counters for that, but not all of
 * them one, or of many that read at once all but the first would read again.
 */
#include "bitmap.h"
#include "block_map.h"
#include "internal.h"

#define PAGE_BYTES	4096U

/* 16 MiB of memory, for 64 GiB of disk at 512 bytes a sector. */
#define MAX_PAGES	4096U

#define COUNTERS	64U

struct chunk {
	struct vhdx_bitmap_page __rcu *page[VHDX_CHUNK_PAGES];
};

/**
 * struct vhdx_bitmaps - see above
 * @lock: guards what follows, and changes of the pages' places
 * @pages: that can go, in the order of @list
 * @gone: pages that have gone since the image was opened, by index
 * @list: see struct vhdx_bitmap_page
 * @chunks: how many
 * @chunk: by chunk, NULL until a page of it was read
 */
struct vhdx_bitmaps {
	spinlock_t lock;	/* @pages, @gone, @list, the places of pages */
	u64 pages;
	u64 gone[COUNTERS];
	struct list_head list;
	u64 chunks;
	struct chunk *chunk[];
};

/**
 * vhdx_bitmaps_create() - before the first look at a sector bitmap
 * @img: a differencing image, with its geometry; receives @img->bitmaps
 * @err: filled in on failure
 *
 * Context: process context, may sleep.
 * Return: 0 or -ENOMEM.
 */
int vhdx_bitmaps_create(struct vhdx_image *img, struct vhdx_error *err)
{
	u64 chunks = img->geometry.chunks;
	struct vhdx_bitmaps *bitmaps;

	bitmaps = kvzalloc(struct_size(bitmaps, chunk, chunks),
			   VHDX_GFP_SIZED);
	if (!bitmaps)
		return vhdx_no_memory(err, "sector bitmap block",
				      img->bat_region->file_offset);
	spin_lock_init(&bitmaps->lock);
	INIT_LIST_HEAD(&bitmaps->list);
	bitmaps->chunks = chunks;
	img->bitmaps = bitmaps;
	return 0;
}

static void free_page_now(struct vhdx_bitmap_page *page)
{
	kfree(page->bits);
	kfree(page);
}

static void free_page_rcu(struct rcu_head *rcu)
{
	free_page_now(container_of(rcu, struct vhdx_bitmap_page, rcu));
}

/**
 * vhdx_bitmaps_free() - give the bitmaps back
 * @bitmaps: may be NULL; nobody looks at them any more
 *
 * Context: process context.
 */
void vhdx_bitmaps_free(struct vhdx_bitmaps *bitmaps)
{
	struct vhdx_bitmap_page *page;
	u64 i;
	u32 j;

	if (!bitmaps)
		return;
	for (i = 0; i < bitmaps->chunks; i++) {
		if (!bitmaps->chunk[i])
			continue;
		for (j = 0; j < VHDX_CHUNK_PAGES; j++) {
			page = rcu_dereference_raw(bitmaps->chunk[i]->page[j]);
			if (page)
				free_page_now(page);
		}
		kfree(bitmaps->chunk[i]);
	}
	kvfree(bitmaps);
}

/* NULL while no page of the chunk was read. */
static struct chunk *find_chunk(const struct vhdx_bitmaps *bitmaps, u64 index)
{
	/* pairs with the cmpxchg() of make_chunk() */
	return smp_load_acquire(&bitmaps->chunk[index >> VHDX_CHUNK_PAGES_SHIFT]);
}

static struct chunk *make_chunk(struct vhdx_bitmaps *bitmaps, u64 index)
{
	struct chunk *chunk = find_chunk(bitmaps, index);
	struct chunk *fresh;

	if (chunk)
		return chunk;
	fresh = kzalloc(sizeof(*fresh), GFP_NOIO | __GFP_NOFAIL);
	chunk = cmpxchg(&bitmaps->chunk[index >> VHDX_CHUNK_PAGES_SHIFT], NULL,
			fresh);
	/* Another may have been faster. */
	if (chunk)
		kfree(fresh);
	return chunk ? : fresh;
}

static u32 place_in_chunk(u64 index)
{
	return index & (VHDX_CHUNK_PAGES - 1);
}

/* Under rcu_read_lock(). */
static struct vhdx_bitmap_page *find_page(const struct vhdx_bitmaps *bitmaps,
					  u64 index)
{
	struct chunk *chunk = find_chunk(bitmaps, index);

	return chunk ? rcu_dereference(chunk->page[place_in_chunk(index)]) : NULL;
}

/*
 * How many sectors from @first on are as that one; up to the end of the page. Its
 * own bit may be set meanwhile: it is as it was seen, and the run has one at least.
 */
static u32 run_in_page(const __le64 *bits, u32 first, bool *present)
{
	*present = le64_to_cpu(READ_ONCE(bits[first / 64])) >> (first % 64) & 1;
	if (*present)
		return find_next_zero_bit_le(bits, VHDX_BITMAP_PAGE_SECTORS,
					     first + 1) - first;
	return find_next_bit_le(bits, VHDX_BITMAP_PAGE_SECTORS, first + 1) -
	       first;
}

/**
 * vhdx_bitmaps_run() - is a sector in this file, and how many from there on
 * @img: a differencing image
 * @sector: in a PARTIALLY_PRESENT block
 * @limit: sectors, more than 0, from @sector on in the same block
 * @present: receives whether @sector is in this file
 * @run: receives for how many sectors that is so, at most @limit; where they end
 *	at the end of a page of the bitmap, there may be more
 *
 * Context: any, takes no lock. MS-VHDX 2.4.
 * Return: 0, or -EAGAIN when vhdx_bitmaps_load() has to read the bitmap first.
 */
int vhdx_bitmaps_run(const struct vhdx_image *img, u64 sector, u64 limit,
		     bool *present, u64 *run)
{
	struct vhdx_bitmap_page *page;
	int ret = -EAGAIN;

	rcu_read_lock();
	page = find_page(img->bitmaps, sector >> VHDX_BITMAP_PAGE_SHIFT);
	if (page) {
		*run = min_t(u64, limit,
			     run_in_page(page->bits, sector &
					 (VHDX_BITMAP_PAGE_SECTORS - 1),
					 present));
		/* Most often it is so already, and the line stays shared. */
		if (!READ_ONCE(page->used))
			WRITE_ONCE(page->used, true);
		ret = 0;
	}
	rcu_read_unlock();
	return ret;
}

static struct vhdx_bitmap_page *make_page(u64 index)
{
	const gfp_t gfp = GFP_NOIO | __GFP_NOFAIL;
	struct vhdx_bitmap_page *page = kzalloc(sizeof(*page), gfp);

	page->index = index;
	page->bits = kmalloc(PAGE_BYTES, gfp);
	return page;
}

/* A block that the chunk gets from now on is zero as well. */
static int read_page(const struct vhdx_image *img, u64 index, void *bits)
{
	u64 entry = vhdx_block_map_entry(img->map,
			vhdx_bat_bitmap_index(&img->geometry,
					      index >> VHDX_CHUNK_PAGES_SHIFT));

	if (vhdx_bat_state(entry) != VHDX_BITMAP_PRESENT) {
		memset(bits, 0, PAGE_BYTES);
		return 0;
	}
	return vhdx_image_read(img, bits, PAGE_BYTES, vhdx_bat_offset(entry) +
			       place_in_chunk(index) * PAGE_BYTES);
}

/* Lets the oldest pages go until @keep are left or @max have gone. */
static u64 let_go(struct vhdx_bitmaps *bitmaps, u64 keep, u64 max)
{
	struct vhdx_bitmap_page *page;
	struct chunk *chunk;
	u64 looks, gone = 0;

	spin_lock(&bitmaps->lock);
	/* Twice round: what was used gets another turn once. */
	for (looks = 2 * bitmaps->pages; looks; looks--) {
		if (bitmaps->pages <= keep || gone == max)
			break;
		page = list_first_entry(&bitmaps->list,
					struct vhdx_bitmap_page, link);
		if (READ_ONCE(page->used)) {
			WRITE_ONCE(page->used, false);
			list_move_tail(&page->link, &bitmaps->list);
			continue;
		}
		list_del(&page->link);
		bitmaps->pages--;
		bitmaps->gone[page->index % COUNTERS]++;
		gone++;
		chunk = find_chunk(bitmaps, page->index);
		rcu_assign_pointer(chunk->page[place_in_chunk(page->index)],
				   NULL);
		call_rcu(&page->rcu, free_page_rcu);
	}
	spin_unlock(&bitmaps->lock);
	return gone;
}

/* False when what was read may be out of date. */
static bool keep_page(struct vhdx_bitmaps *bitmaps,
		      struct vhdx_bitmap_page *page, u64 gone)
{
	struct chunk *chunk = make_chunk(bitmaps, page->index);
	bool kept = false, fresh;

	spin_lock(&bitmaps->lock);
	fresh = bitmaps->gone[page->index % COUNTERS] == gone;
	if (fresh && !rcu_access_pointer(chunk->page[place_in_chunk(page->index)])) {
		rcu_assign_pointer(chunk->page[place_in_chunk(page->index)],
				   page);
		list_add_tail(&page->link, &bitmaps->list);
		bitmaps->pages++;
		kept = true;
	}
	spin_unlock(&bitmaps->lock);
	if (!kept)
		free_page_now(page);
	return fresh;
}

/**
 * vhdx_bitmaps_load() - read the page of a sector bitmap
 * @img: a differencing image
 * @sector: whose
 *
 * Context: process context, may sleep; reads the file.
 * Return: 0, and vhdx_bitmaps_run() will most likely find the page; or what the
 * file's read answered.
 */
int vhdx_bitmaps_load(const struct vhdx_image *img, u64 sector)
{
	u64 index = sector >> VHDX_BITMAP_PAGE_SHIFT;
	struct vhdx_bitmaps *bitmaps = img->bitmaps;
	struct vhdx_bitmap_page *page;
	u64 gone;
	int ret;

	do {
		spin_lock(&bitmaps->lock);
		gone = bitmaps->gone[index % COUNTERS];
		spin_unlock(&bitmaps->lock);
		page = make_page(index);
		ret = read_page(img, index, page->bits);
		if (ret) {
			free_page_now(page);
			return ret;
		}
	} while (!keep_page(bitmaps, page, gone));
	let_go(bitmaps, MAX_PAGES, U64_MAX);
	return 0;
}

static struct vhdx_bitmap_page *try_pin(struct vhdx_bitmaps *bitmaps, u64 index)
{
	struct chunk *chunk = find_chunk(bitmaps, index);
	struct vhdx_bitmap_page *page = NULL;

	spin_lock(&bitmaps->lock);
	if (chunk)
		page = rcu_dereference_protected(chunk->page[place_in_chunk(index)],
						 lockdep_is_held(&bitmaps->lock));
	if (page && !page->pins++) {
		list_del(&page->link);
		bitmaps->pages--;
	}
	spin_unlock(&bitmaps->lock);
	return page;
}

/**
 * vhdx_bitmaps_pin() - get pages of a sector bitmap, and keep them in memory
 * @img: a differencing image
 * @sector: the first page has it
 * @pages: how many, of one chunk
 * @wait: the file may be read
 * @pinned: receives the pages
 *
 * Context: process context, may sleep.
 * Return: 0; -EAGAIN: the file has to be read; or what reading it answered.
 */
int vhdx_bitmaps_pin(const struct vhdx_image *img, u64 sector, u32 pages,
		     bool wait, struct vhdx_bitmap_page **pinned)
{
	u64 index = sector >> VHDX_BITMAP_PAGE_SHIFT;
	int ret = -EAGAIN;
	u32 n = 0;

	while (n < pages) {
		pinned[n] = try_pin(img->bitmaps, index + n);
		if (pinned[n]) {
			n++;
			continue;
		}
		if (wait)
			ret = vhdx_bitmaps_load(img, (index + n) <<
						VHDX_BITMAP_PAGE_SHIFT);
		if (ret) {
			vhdx_bitmaps_unpin(img, pinned, n);
			return ret;
		}
	}
	return 0;
}

/**
 * vhdx_bitmaps_unpin() - undo vhdx_bitmaps_pin(), and vhdx_bitmap_page_pin()
 * @img: a differencing image
 * @pinned: the pages
 * @pages: how many
 *
 * Context: any that may take a spinlock.
 */
void vhdx_bitmaps_unpin(const struct vhdx_image *img,
			struct vhdx_bitmap_page **pinned, u32 pages)
{
	struct vhdx_bitmaps *bitmaps = img->bitmaps;
	u32 n;

	if (!pages)
		return;
	spin_lock(&bitmaps->lock);
	for (n = 0; n < pages; n++) {
		if (--pinned[n]->pins)
			continue;
		list_add_tail(&pinned[n]->link, &bitmaps->list);
		bitmaps->pages++;
	}
	spin_unlock(&bitmaps->lock);
}

/**
 * vhdx_bitmap_page_pin() - keep a page in memory once more
 * @img: a differencing image
 * @page: pinned already
 *
 * Context: any that may take a spinlock.
 */
void vhdx_bitmap_page_pin(const struct vhdx_image *img,
			  struct vhdx_bitmap_page *page)
{
	spin_lock(&img->bitmaps->lock);
	page->pins++;
	spin_unlock(&img->bitmaps->lock);
}

/* Of @sectors from @sector on those that the page has, from its start. */
static bool clip(const struct vhdx_bitmap_page *page, u64 sector, u64 sectors,
		 u32 *first, u32 *end)
{
	u64 start = page->index << VHDX_BITMAP_PAGE_SHIFT;

	if (sector + sectors <= start ||
	    sector >= start + VHDX_BITMAP_PAGE_SECTORS)
		return false;
	*first = sector > start ? sector - start : 0;
	*end = min_t(u64, sector + sectors - start, VHDX_BITMAP_PAGE_SECTORS);
	return true;
}

/**
 * vhdx_bitmap_page_fill() - set or clear the bits of sectors
 * @page: pinned
 * @sector: the first
 * @sectors: how many; those that are not the page's are left out
 * @present: set them
 *
 * Other blocks' bits are in words of their own.
 *
 * Context: under map_sem and the lock of the shard of the block.
 * Return: true when any bit changed. MS-VHDX 2.4.
 */
bool vhdx_bitmap_page_fill(struct vhdx_bitmap_page *page, u64 sector,
			   u64 sectors, bool present)
{
	bool changed = false;
	u32 first, end, i;
	__le64 old, bits;
	u64 mask;

	if (!clip(page, sector, sectors, &first, &end))
		return false;
	/* What a bit promises has been written before it can be seen. */
	smp_wmb();
	for (i = ALIGN_DOWN(first, 64U); i < end; i += 64) {
		mask = U64_MAX;
		if (i < first)
			mask &= U64_MAX << (first - i);
		if (end - i < 64)
			mask &= U64_MAX >> (64 - (end - i));
		old = page->bits[i / 64];
		bits = present ? old | cpu_to_le64(mask) :
				 old & cpu_to_le64(~mask);
		if (bits == old)
			continue;
		WRITE_ONCE(page->bits[i / 64], bits);
		changed = true;
	}
	return changed;
}

/**
 * vhdx_bitmap_page_is_full() - are all of some sectors in this file
 * @page: pinned
 * @sector: the first
 * @sectors: how many; those that are not the page's are left out
 *
 * Context: under map_sem and the lock of the shard of the block.
 */
bool vhdx_bitmap_page_is_full(const struct vhdx_bitmap_page *page, u64 sector,
			      u64 sectors)
{
	u32 first, end;

	return !clip(page, sector, sectors, &first, &end) ||
	       find_next_zero_bit_le(page->bits, end, first) == end;
}

/**
 * vhdx_bitmap_page_is_empty() - are none of some sectors in this file
 * @page: pinned
 * @sector: the first
 * @sectors: how many; those that are not the page's are left out
 *
 * Context: under map_sem and the lock of the shard of the block.
 */
bool vhdx_bitmap_page_is_empty(const struct vhdx_bitmap_page *page, u64 sector,
			       u64 sectors)
{
	u32 first, end;

	return !clip(page, sector, sectors, &first, &end) ||
	       find_next_bit_le(page->bits, end, first) == end;
}

/**
 * vhdx_image_cached() - memory that an image could do without
 * @img: open
 *
 * Context: any.
 * Return: pages of 4 KiB.
 */
u64 vhdx_image_cached(const struct vhdx_image *img)
{
	return img->bitmaps ? READ_ONCE(img->bitmaps->pages) : 0;
}

/**
 * vhdx_image_shrink() - give back memory that an image can do without
 * @img: open
 * @pages: of 4 KiB, at most
 *
 * Context: any that may take a spinlock.
 * Return: pages given back.
 */
u64 vhdx_image_shrink(struct vhdx_image *img, u64 pages)
{
	return img->bitmaps ? let_go(img->bitmaps, 0, pages) : 0;
}
