/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The image layer: an open VHDX image.
 */
#ifndef VHDX_IMAGE_H
#define VHDX_IMAGE_H

#include "../format/format.h"
#include "file.h"

struct vhdx_overlay;
struct vhdx_block_map;
struct vhdx_bitmaps;
struct vhdx_journal;
struct vhdx_space;
struct vhdx_allocation;
struct vhdx_image;

/*
 * Ours, not the specification's: no structure lies at or past this offset. It
 * bounds what checking an image costs; a disk of 64 TiB with every block moved
 * fits four times.
 */
#define VHDX_MAX_FILE_OFFSET	0x1000000000000ULL	/* 256 TiB */

#define VHDX_GROWTH_STEP	0x4000000ULL		/* 64 MiB */

#define VHDX_MAX_PARENTS	64U	/* ours as well */

/**
 * struct vhdx_log_info - what the log held at open
 * @dirty: LogGuid was set, and the active sequence is replayed in memory
 * @sequence: the active sequence, when @dirty
 * @descriptors: updates in it
 */
struct vhdx_log_info {
	bool dirty;
	struct vhdx_log_sequence sequence;
	u64 descriptors;
};

/**
 * struct vhdx_bat_counts - BAT entries by state
 * @payload: index is the state (enum vhdx_payload_state)
 * @bitmap: sector bitmap blocks present
 * @cut: blocks of both kinds that the file was too short for at open: what it lacks
 *	of them reads as zeros
 */
struct vhdx_bat_counts {
	u64 payload[8];
	u64 bitmap;
	u64 cut;
};

/**
 * struct vhdx_image_stats - what was done while an image was open for writing
 * @new_blocks: payload blocks that got a place in the file
 * @commits: entries written to the log
 * @generations: of the log, begun
 * @flushes: of the file, by the journal
 */
struct vhdx_image_stats {
	u64 new_blocks;
	u64 commits;
	u64 generations;
	u64 flushes;
};

/**
 * struct vhdx_observer - who hears of the changes of an image; none of its calls
 *	may sleep
 * @map: an entry of the BAT has changed, in memory
 * @commit: that many pages were written as one log entry, and are durable or not
 * @checkpoint: that many pages are in place, and no entry of the log is needed
 *	for them any more
 */
struct vhdx_observer {
	void (*map)(const struct vhdx_image *img, u64 index, u64 old,
		    u64 entry);
	void (*commit)(const struct vhdx_image *img, u32 pages, bool durable);
	void (*checkpoint)(const struct vhdx_image *img, u32 pages);
};

/**
 * struct vhdx_image - an open image
 * What is not said to change is fixed when vhdx_image_open() returns; callers
 * read it without a lock and never write it.
 * @file: the caller's
 * @file_size: bytes; grows while the image is written to, and whoever goes by
 *	it then reads it after vhdx_image_map(), with READ_ONCE()
 * @size: bytes, max of @file_size and LastFileOffset of a replayed log: what
 *	structures are judged by
 * @creator: of the file identifier, UTF-16LE as it lies there
 * @headers: both slots, the current one chosen; the worker's while the image
 *	is written to
 * @regions: the region table in use
 * @metadata_table: all metadata items
 * @metadata: the values of the known ones
 * @locator: the parent locator, when @metadata.has_parent
 * @locator_item: its bytes
 * @geometry: what follows from the sizes
 * @bat_region, @metadata_region: point into @regions
 * @parent: the next image of the chain, the caller's; NULL without one, and
 *	where a differencing image was opened by itself
 * @counts: of the BAT as it is in memory; may be read at any time, each by
 *	READ_ONCE()
 * @stats: may be read at any time, each by READ_ONCE()
 * @log: what the log held
 * @kick: the owner's, set before the first change: have vhdx_image_work()
 *	called soon; from any context
 * @observer: the owner's, set before the first change; or NULL
 * @growth_step: the owner's, set before the first change: the file grows by so
 *	many bytes at a time; 0 for VHDX_GROWTH_STEP
 * @next_data_write_guid: the owner's, set before the first change: the first one
 *	that a guest can see gives the image this DataWriteGuid; null for any
 * @owner: the owner's own
 */
struct vhdx_image {
	struct vhdx_file *file;
	u64 file_size;
	u64 size;
	__le16 creator[VHDX_CREATOR_CHARS];
	struct vhdx_headers headers;
	struct vhdx_region_table *regions;
	struct vhdx_metadata_table *metadata_table;
	struct vhdx_metadata metadata;
	struct vhdx_locator locator;
	void *locator_item;
	struct vhdx_geometry geometry;
	const struct vhdx_region *bat_region;
	const struct vhdx_region *metadata_region;
	struct vhdx_image *parent;
	struct vhdx_bat_counts counts;
	struct vhdx_image_stats stats;
	struct vhdx_log_info log;
	void (*kick)(struct vhdx_image *img);
	const struct vhdx_observer *observer;
	u64 growth_step;
	guid_t next_data_write_guid;
	void *owner;
	/* private to image/ */
	struct vhdx_overlay *overlay;		/* NULL when the log is clean */
	struct vhdx_block_map *map;
	struct vhdx_bitmaps *bitmaps;		/* NULL without HasParent */
	struct vhdx_space *space;		/* NULL when read-only */
	struct vhdx_journal *journal;		/* NULL when read-only */
};

static inline const struct vhdx_header *
vhdx_image_header(const struct vhdx_image *img)
{
	return &img->headers.slot[img->headers.current_slot];
}

/* the word for what kind of image it is */
static inline const char *vhdx_image_type(const struct vhdx_image *img)
{
	if (img->metadata.has_parent)
		return "differencing";
	return img->metadata.leave_blocks_allocated ? "fixed" : "dynamic";
}

/* bytes of the payload blocks that hold data */
static inline u64 vhdx_image_allocated(const struct vhdx_image *img)
{
	const u64 *payload = img->counts.payload;

	return (READ_ONCE(payload[VHDX_PAYLOAD_FULLY_PRESENT]) +
		READ_ONCE(payload[VHDX_PAYLOAD_PARTIALLY_PRESENT]))
		<< img->geometry.block_shift;
}

#define VHDX_OPEN_WRITE		0x1U
#define VHDX_OPEN_NO_REPLAY	0x2U
#define VHDX_OPEN_IGNORE_ID_MISMATCH 0x4U
#define VHDX_OPEN_NO_BLOCKS	0x8U
#define VHDX_OPEN_EDIT		0x10U
#define VHDX_OPEN_FORGET_LOG	0x20U

int vhdx_image_open(struct vhdx_file *file, unsigned int flags,
		    struct vhdx_image **imgp, struct vhdx_error *err);
int vhdx_image_open_child(struct vhdx_file *file, struct vhdx_image *parent,
			  unsigned int flags, struct vhdx_image **imgp,
			  struct vhdx_error *err);
void vhdx_image_close(struct vhdx_image *img);
int vhdx_image_check_parent(const struct vhdx_image *img,
			    const struct vhdx_image *parent,
			    unsigned int flags, struct vhdx_error *err);

/**
 * struct vhdx_create - what image to make
 * @creator: who makes it, UTF-8
 * @block_size: bytes, a power of two from 1 to 256 MiB
 * @log_length: bytes, a multiple of 1 MiB up to VHDX_MAX_LOG_LENGTH; 0 for 1 MiB
 * @fixed: every block gets its place in the file; not with @parent
 * @disk_size: bytes, a multiple of @logical_sector_size, up to 64 TiB
 * @logical_sector_size: bytes, 512 or 4096
 * @physical_sector_size: likewise
 * @parent: an open image, to make a differencing one above it, which has its
 *	size, sectors and disk id: the three fields before this mean nothing then
 * @relative_path: from the new image's folder to @parent's file, as Windows
 *	writes it (".\name"), UTF-8
 * @absolute_path: likewise, with its drive; NULL for none
 */
struct vhdx_create {
	const char *creator;
	u32 block_size;
	u32 log_length;
	bool fixed;
	u64 disk_size;
	u32 logical_sector_size;
	u32 physical_sector_size;
	const struct vhdx_image *parent;
	const char *relative_path;
	const char *absolute_path;
};

int vhdx_image_create(struct vhdx_file *file, const struct vhdx_create *params,
		      struct vhdx_error *err);

enum vhdx_extent_type {
	VHDX_EXTENT_ZERO,	/* reads as zeros */
	VHDX_EXTENT_FILE,	/* lies in the file */
	VHDX_EXTENT_PARENT,	/* not in this image (inside image/ only) */
};

/**
 * struct vhdx_extent - where a piece of the virtual disk is
 * @type: see above
 * @image: of the chain, whose file it lies in; meaningful for VHDX_EXTENT_FILE
 * @offset: in that file, bytes; likewise. What lies past @image->file_size reads
 *	as zeros: the last block may end past the file's end.
 * @length: bytes
 */
struct vhdx_extent {
	enum vhdx_extent_type type;
	const struct vhdx_image *image;
	u64 offset;
	u64 length;
};

int vhdx_image_map(const struct vhdx_image *img, u64 pos, u64 length,
		   struct vhdx_extent *extent);
int vhdx_image_locate(const struct vhdx_image *img, u64 pos, u64 length,
		      struct vhdx_extent *extent, u32 *state);
int vhdx_image_load(const struct vhdx_image *img, u64 pos, u64 length);
u64 vhdx_image_cached(const struct vhdx_image *img);
u64 vhdx_image_shrink(struct vhdx_image *img, u64 pages);

/**
 * enum vhdx_log_state - how the log of an open image stands
 * @VHDX_LOG_CLEAN: LogGuid is zero
 * @VHDX_LOG_DIRTY: a generation is active: what the log holds is to be replayed
 *	when this goes no further
 * @VHDX_LOG_REPLAYED: dirty in the file, and replayed in memory
 * @VHDX_LOG_FAILED: writing has been given up, LogGuid stays as it is
 */
enum vhdx_log_state {
	VHDX_LOG_CLEAN,
	VHDX_LOG_DIRTY,
	VHDX_LOG_REPLAYED,
	VHDX_LOG_FAILED,
};

/* what a parked write waits for */
enum vhdx_write_want {
	VHDX_WANT_NOTHING,
	VHDX_WANT_FIRST,	/* the first change of the headers */
	VHDX_WANT_PAGE,		/* room on the host for a page of the BAT */
	VHDX_WANT_COMMIT,	/* room in the next log entry */
	VHDX_WANT_SPACE,	/* a fresh run */
	VHDX_WANT_MEMORY,	/* nothing: it goes on at once, with more memory */
	VHDX_WANT_PAD,		/* the end of a write that pads the same place */
	VHDX_WANT_ANY,
};

/**
 * struct vhdx_write - a change of one piece of the virtual disk
 * @pos: bytes from the start of the virtual disk
 * @length: bytes
 * @in_place: zero what is there, allocate only where the parent would be seen
 * @hint: with @in_place, a discard: the parent may stay where it is seen
 * @fua: say in @durable whether the mapping is
 * @wait: the file may be read for it
 * @may_pad: the caller could write zeros on both sides of the data
 * @resume: called when a parked write may try again, from the worker or from the
 *	end of another write
 * @extent: where the data goes (out)
 * @durable: the data's own flush is all that is missing (out, with @fua)
 * @pad_before: bytes in front of the extent that the I/O which writes the data had
 *	better zero, and need not (out, with @may_pad)
 * @pad_after: likewise, behind it
 */
struct vhdx_write {
	u64 pos;
	u64 length;
	bool in_place;
	bool hint;
	bool fua;
	bool wait;
	bool may_pad;
	void (*resume)(struct vhdx_write *write);
	struct vhdx_extent extent;
	bool durable;
	u32 pad_before;
	u32 pad_after;
	/* private to image/ */
	enum vhdx_write_want want;
	int error;
	u64 want_page;
	u32 want_room;
	unsigned int io;
	struct vhdx_allocation *allocation;
	struct list_head link;		/* parked, waiting, or of the allocation */
	struct list_head waiting;	/* for the end of the padding */
};

/**
 * struct vhdx_flush - somebody who waits for a commit
 * @done: called once with 0 or a negative errno
 */
struct vhdx_flush {
	void (*done)(struct vhdx_flush *flush, int ret);
	/* private to image/ */
	struct list_head link;
};

/* The block was there: ending the write changes nothing. */
static inline bool vhdx_write_is_overwrite(const struct vhdx_write *write)
{
	return !write->allocation;
}

unsigned int vhdx_read_begin(struct vhdx_image *img);
void vhdx_read_end(struct vhdx_image *img, unsigned int io);
int vhdx_write_begin(struct vhdx_image *img, struct vhdx_write *write);
void vhdx_write_end(struct vhdx_image *img, struct vhdx_write *write,
		    int status);
int vhdx_clear_block(struct vhdx_image *img, struct vhdx_write *write);
void vhdx_flush(struct vhdx_image *img, struct vhdx_flush *flush);
void vhdx_image_commit(struct vhdx_image *img);
bool vhdx_image_wants_commit(const struct vhdx_image *img);
void vhdx_image_give_up(struct vhdx_image *img, int ret);
int vhdx_image_failed(const struct vhdx_image *img);
enum vhdx_log_state vhdx_image_log_state(const struct vhdx_image *img);
u64 vhdx_image_end(const struct vhdx_image *img);
void vhdx_image_work(struct vhdx_image *img);
int vhdx_image_finish(struct vhdx_image *img);
int vhdx_image_give_back(struct vhdx_image *img, bool punch);

#endif
