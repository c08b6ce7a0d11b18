/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The writing half of an open image: what its files share.
 */
#ifndef VHDX_IMAGE_JOURNAL_H
#define VHDX_IMAGE_JOURNAL_H

#include "bitmap.h"
#include "image.h"
#include "io_track.h"
#include "space.h"

#define VHDX_SHARDS		16

/**
 * struct vhdx_page - a 4 KiB page of metadata that is not in place and clean
 * @index: see struct vhdx_page_ref
 * @bits: likewise
 * @reserved: blocks that may yet make it dirty
 * @dirty: changed since the last snapshot
 * @committing: in a snapshot that is not durable yet
 * @logged: the last version that is durable in the log and not in place, or
 *	NULL; 4 KiB
 * @link: in journal->pages
 * Guarded by journal->lock for who holds map_sem for reading, or by map_sem held
 * for writing.
 */
struct vhdx_page {
	u64 index;
	struct vhdx_bitmap_page *bits;
	u32 reserved;
	bool dirty;
	bool committing;
	void *logged;
	struct list_head link;
};

/**
 * struct vhdx_page_ref - which page
 * @index: the pages of the BAT region, then those of the bitmap blocks, chunk by
 *	chunk
 * @bits: of a bitmap block, pinned; NULL for a page of the BAT
 */
struct vhdx_page_ref {
	u64 index;
	struct vhdx_bitmap_page *bits;
};

/* The pages that one change may touch: two of the BAT, and a block's bits. */
#define VHDX_MAX_CHANGE_PAGES	(2 + VHDX_MAX_BLOCK_BITS)

/* It takes, or may take, room in the next entry. */
static inline bool vhdx_page_is_active(const struct vhdx_page *page)
{
	return page->dirty || page->reserved || page->committing;
}

/**
 * struct vhdx_allocation - a run that writers are filling
 * @block: payload block
 * @offset: of the run, bytes from the start of the file
 * @writes: that have begun and not ended, by their link
 * @published: the block's entry names the run
 * @dropped: a discard came in between, the run is not to be published any more
 * @partial: sectors are published one by one, by their bits
 * @borrowed: the run was the block's before, and stays that when nothing is
 *	published
 * @run: memory for a run that the end of this frees
 * @link: in the shard's list while a further writer may join
 * @bits: with @partial, the pages that have the block's bits, pinned and
 *	reserved
 */
struct vhdx_allocation {
	u64 block;
	u64 offset;
	struct list_head writes;
	bool published;
	bool dropped;
	bool partial;
	bool borrowed;
	struct vhdx_run *run;
	struct list_head link;
	struct vhdx_bitmap_page *bits[];
};

/**
 * struct vhdx_shard - a share of the BAT's pages
 * @lock: guards the entries of those pages and what hangs on them
 * @allocations: for blocks of those pages
 */
struct vhdx_shard {
	spinlock_t lock;	/* entries of the pages, @allocations */
	struct list_head allocations;
};

/**
 * struct vhdx_generation - the life of one LogGuid
 * @active: LogGuid in the headers is @log_guid; read without a lock too
 * @log_guid: its identity
 * @half: which half of the log it is in
 * @used: bytes of the half behind the last durable entry
 */
struct vhdx_generation {
	bool active;
	guid_t log_guid;
	u32 half;
	u32 used;
};

/**
 * struct vhdx_journal - see journal.c
 * @img: the image
 * @map_sem: held for reading by who changes entries, for writing by a snapshot;
 *	outside of the locks of the shards
 * @shard: see struct vhdx_shard
 * @page: by index in the BAT, NULL for a page that is in place and clean; those
 *	of the bitmap blocks hang on struct vhdx_bitmap_page
 * @bat_pages: of the BAT region, which is where the index of the others begins
 * @fresh_from: where the file ended when it was opened, in bytes: what is behind
 *	that was allocated since; U64_MAX when the host does not allocate
 * @lock: guards the lists and wishes below, and the image's counts; innermost
 * @parked: writes that wait for the worker
 * @flushes: that wait for a commit
 * @pages: every struct vhdx_page
 * @freed_new: runs freed since the last snapshot
 * @freed_durable: runs whose release is durable, not drained yet
 * @active_pages: that are dirty, reserved or being committed
 * @changed: the first change of this open is stable in both headers
 * @failed: 0, or why nothing is written any more
 * @room_wanted: writes are parked until the next entry has room for so many pages
 * @want_space: a refill was asked for
 * @want_commit: a commit was asked for
 * @hides: what changed since the last snapshot hides the parent
 * The rest belongs to the worker alone.
 * @commit_failed: the last one did
 * @gap_cursor: from where on gaps have not been tried, bytes
 * @gap_again: where the first one is that the host had no room for; U64_MAX: none
 * @prepared: a bit for each MiB of pages that the host has room for; all may look
 * @prepared_page: the same for single pages of a MiB that it has none for
 */
struct vhdx_journal {
	struct vhdx_image *img;
	struct rw_semaphore map_sem;
	struct vhdx_shard shard[VHDX_SHARDS];
	struct vhdx_page **page;
	u64 bat_pages;
	u64 fresh_from;
	struct vhdx_io_track io;

	spinlock_t lock;	/* what follows, up to the worker's own */
	struct list_head parked;
	struct list_head flushes;
	struct list_head pages;
	struct list_head freed_new;
	struct list_head freed_durable;
	u32 active_pages;
	bool changed;
	int failed;
	u32 room_wanted;
	bool want_space;
	bool want_commit;
	bool hides;

	bool commit_failed;
	struct list_head draining;
	bool drain_wanted;
	u64 gap_cursor;
	u64 gap_again;
	u64 part_cursor;
	u64 cut_limit;
	bool guids_changed;
	bool data_guid_changed;
	struct vhdx_generation generation;
	u64 sequence_number;
	u32 half_length;
	u32 max_pages;
	void *entry;
	struct vhdx_snapshot_page *snapshot;
	struct vhdx_log_page *log_page;
	struct vhdx_page **in_place;
	void **pool;
	u32 pooled;
	unsigned long *prepared;
	unsigned long *prepared_page;
};

/**
 * struct vhdx_snapshot_page - a page on its way to the log
 * @page: whose
 * @copy: 4 KiB from the pool
 */
struct vhdx_snapshot_page {
	struct vhdx_page *page;
	void *copy;
};

/* page.c */
struct vhdx_page *vhdx_page_find(const struct vhdx_journal *j,
				 const struct vhdx_page_ref *ref);
enum vhdx_write_want vhdx_pages_reserve(struct vhdx_journal *j,
					const struct vhdx_page_ref *ref, u32 n,
					struct list_head *spare);
void vhdx_pages_unreserve(struct vhdx_journal *j,
			  const struct vhdx_page_ref *ref, u32 n);
bool vhdx_pages_durable(struct vhdx_journal *j,
			const struct vhdx_page_ref *ref, u32 n);
const void *vhdx_page_bytes(const struct vhdx_journal *j,
			    const struct vhdx_page *page);
u64 vhdx_page_offset(const struct vhdx_journal *j, u64 index);
void vhdx_page_forget(struct vhdx_journal *j, struct vhdx_page *page);

/* pad.c */
struct vhdx_write *vhdx_pad_find(const struct vhdx_allocation *a,
				 const struct vhdx_write *write);
void vhdx_pad(const struct vhdx_journal *j, const struct vhdx_allocation *a,
	      struct vhdx_write *write);

/* It zeroes what is around it. */
static inline bool vhdx_write_is_padded(const struct vhdx_write *write)
{
	return write->pad_before || write->pad_after;
}

/* replay.c */
int vhdx_journal_replay(struct vhdx_image *img, struct vhdx_error *err);

/* header_update.c */
int vhdx_journal_set_log_guid(struct vhdx_journal *j, const guid_t *log_guid);
int vhdx_journal_change_guids(struct vhdx_journal *j, bool visible);
int vhdx_journal_move_log(struct vhdx_journal *j, u64 offset);
int vhdx_journal_first_change(struct vhdx_journal *j, bool visible);

/* journal.c, growth.c */
int vhdx_journal_create(struct vhdx_image *img, struct vhdx_error *err);
void vhdx_journal_free(struct vhdx_journal *j);
void vhdx_journal_latch(struct vhdx_journal *j, int ret);
int vhdx_journal_grow(struct vhdx_journal *j, u64 length);
int vhdx_journal_refill(struct vhdx_journal *j);
bool vhdx_journal_recycle(struct vhdx_journal *j);
void vhdx_journal_cut(struct vhdx_journal *j);

/* Only the worker counts, or holds @lock, but anybody may look. */
static inline void vhdx_count(u64 *counter)
{
	WRITE_ONCE(*counter, *counter + 1);
}

static inline int vhdx_journal_flush(struct vhdx_journal *j)
{
	vhdx_count(&j->img->stats.flushes);
	return j->img->file->ops->flush(j->img->file);
}

/* A host that cannot promise room is taken as it is. */
static inline int vhdx_journal_allocate(struct vhdx_journal *j, u64 offset,
					u64 length)
{
	struct vhdx_file *file = j->img->file;
	int ret = file->ops->allocate(file, offset, length);

	return ret == -EOPNOTSUPP ? 0 : ret;
}

static inline void vhdx_journal_kick(struct vhdx_journal *j)
{
	j->img->kick(j->img);
}

/* Whose lock guards the entries of a page of the BAT. */
static inline struct vhdx_shard *vhdx_journal_shard(struct vhdx_journal *j,
						    u64 page)
{
	return &j->shard[page % VHDX_SHARDS];
}

/* What may be better another time, and harms nothing. */
static inline bool vhdx_is_no_space(int ret)
{
	return ret == -ENOSPC || ret == -EDQUOT;
}

/* The file grows by so many bytes at a time, or by one block. */
static inline u64 vhdx_journal_step(const struct vhdx_journal *j)
{
	return j->img->growth_step ? : VHDX_GROWTH_STEP;
}

/* The host has room for the page where it is in the file. */
static inline bool vhdx_journal_prepared(const struct vhdx_journal *j, u64 page)
{
	u64 mib = page * VHDX_LOG_SECTOR_SIZE / VHDX_MIB;

	return READ_ONCE(j->prepared[BIT_WORD(mib)]) & BIT_MASK(mib) ||
	       READ_ONCE(j->prepared_page[BIT_WORD(page)]) & BIT_MASK(page);
}

#endif
