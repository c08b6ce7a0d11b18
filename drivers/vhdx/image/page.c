// SPDX-License-Identifier: GPL-2.0
/*
 * The 4 KiB pages that the journal carries: of the BAT, and of sector bitmap
 * blocks.
 *
 * One that is in place and clean has no struct vhdx_page. One that may become
 * dirty is reserved before: an entry of the log holds so many pages and no more,
 * and what belongs together is in one entry. So a change reserves all that it
 * may touch, or waits.
 */
#include "bitmap.h"
#include "block_map.h"
#include "internal.h"
#include "journal.h"

#define PAGE_BYTES	VHDX_LOG_SECTOR_SIZE

static struct vhdx_page **slot(const struct vhdx_journal *j,
			       const struct vhdx_page_ref *ref)
{
	return ref->bits ? &ref->bits->page : &j->page[ref->index];
}

/**
 * vhdx_page_find() - what the journal knows of a page
 * @j: the journal
 * @ref: which page
 *
 * Context: under map_sem and @j->lock.
 * Return: NULL when it is in place and clean.
 */
struct vhdx_page *vhdx_page_find(const struct vhdx_journal *j,
				 const struct vhdx_page_ref *ref)
{
	return *slot(j, ref);
}

/* Also says how many of them have no struct vhdx_page yet. */
static u32 count_idle(const struct vhdx_journal *j,
		      const struct vhdx_page_ref *ref, u32 n, u32 *unknown)
{
	const struct vhdx_page *page;
	u32 i, idle = 0;

	*unknown = 0;
	for (i = 0; i < n; i++) {
		page = *slot(j, &ref[i]);
		*unknown += !page;
		idle += !page || !vhdx_page_is_active(page);
	}
	return idle;
}

/**
 * vhdx_pages_reserve() - promise pages room in the next log entry
 * @j: the journal
 * @ref: which pages, none twice
 * @n: how many
 * @spare: of struct vhdx_page to take from: at least @n, or none
 *
 * Context: under map_sem held for reading.
 * Return: VHDX_WANT_NOTHING; VHDX_WANT_COMMIT when there is no room for all of
 * them before a commit; VHDX_WANT_MEMORY when @spare would have been needed.
 */
enum vhdx_write_want vhdx_pages_reserve(struct vhdx_journal *j,
					const struct vhdx_page_ref *ref, u32 n,
					struct list_head *spare)
{
	enum vhdx_write_want want = VHDX_WANT_NOTHING;
	struct vhdx_page *page;
	u32 idle, unknown, i;

	spin_lock(&j->lock);
	idle = count_idle(j, ref, n, &unknown);
	if (unknown && list_empty(spare))
		want = VHDX_WANT_MEMORY;
	else if (j->active_pages + idle > j->max_pages)
		want = VHDX_WANT_COMMIT;
	else
		j->active_pages += idle;
	for (i = 0; !want && i < n; i++) {
		page = *slot(j, &ref[i]);
		if (!page) {
			page = list_first_entry(spare, struct vhdx_page, link);
			list_move_tail(&page->link, &j->pages);
			page->index = ref[i].index;
			page->bits = ref[i].bits;
			if (page->bits)
				vhdx_bitmap_page_pin(j->img, page->bits);
			*slot(j, &ref[i]) = page;
		}
		page->reserved++;
	}
	spin_unlock(&j->lock);
	return want;
}

/**
 * vhdx_page_forget() - a page is in place and clean
 * @j: the journal
 * @page: not active, with nothing logged; given back
 *
 * Context: map_sem held for writing, or for reading and under @j->lock.
 */
void vhdx_page_forget(struct vhdx_journal *j, struct vhdx_page *page)
{
	const struct vhdx_page_ref ref = {
		.index = page->index,
		.bits = page->bits,
	};

	*slot(j, &ref) = NULL;
	list_del(&page->link);
	if (page->bits)
		vhdx_bitmaps_unpin(j->img, &page->bits, 1);
	kfree(page);
}

/**
 * vhdx_pages_unreserve() - undo vhdx_pages_reserve()
 * @j: the journal
 * @ref: as there
 * @n: as there
 *
 * Context: under map_sem held for reading.
 */
void vhdx_pages_unreserve(struct vhdx_journal *j,
			  const struct vhdx_page_ref *ref, u32 n)
{
	struct vhdx_page *page;
	u32 i;

	spin_lock(&j->lock);
	for (i = 0; i < n; i++) {
		page = *slot(j, &ref[i]);
		page->reserved--;
		if (vhdx_page_is_active(page))
			continue;
		j->active_pages--;
		/* Nothing came of it: it keeps no bits in memory. */
		if (!page->logged)
			vhdx_page_forget(j, page);
	}
	spin_unlock(&j->lock);
}

/**
 * vhdx_pages_durable() - is what pages hold safe from a power cut
 * @j: the journal
 * @ref: which pages
 * @n: how many
 *
 * Context: under map_sem held for reading.
 */
bool vhdx_pages_durable(struct vhdx_journal *j,
			const struct vhdx_page_ref *ref, u32 n)
{
	const struct vhdx_page *page;
	bool durable = true;
	u32 i;

	spin_lock(&j->lock);
	for (i = 0; i < n; i++) {
		page = *slot(j, &ref[i]);
		durable &= !page || (!page->dirty && !page->committing);
	}
	spin_unlock(&j->lock);
	return durable;
}

/**
 * vhdx_page_bytes() - what is in a page now
 * @j: the journal
 * @page: reserved or dirty
 *
 * Context: map_sem held for writing.
 * Return: 4 KiB.
 */
const void *vhdx_page_bytes(const struct vhdx_journal *j,
			    const struct vhdx_page *page)
{
	return page->bits ? page->bits->bits :
			    vhdx_block_map_page(j->img->map, page->index);
}

/**
 * vhdx_page_offset() - where a page is in the file
 * @j: the journal
 * @index: of struct vhdx_page_ref; of the BAT, or of a bitmap block that has its
 *	place
 *
 * Context: any; such a block stays where it is.
 * Return: bytes from the start of the file.
 */
u64 vhdx_page_offset(const struct vhdx_journal *j, u64 index)
{
	const struct vhdx_image *img = j->img;
	u64 chunk, entry;

	if (index < j->bat_pages)
		return img->bat_region->file_offset + index * PAGE_BYTES;
	index -= j->bat_pages;
	chunk = index >> VHDX_CHUNK_PAGES_SHIFT;
	entry = vhdx_block_map_entry(img->map,
				     vhdx_bat_bitmap_index(&img->geometry,
							   chunk));
	return vhdx_bat_offset(entry) +
	       (index & (VHDX_CHUNK_PAGES - 1)) * PAGE_BYTES;
}
