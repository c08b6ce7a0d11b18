// SPDX-License-Identifier: GPL-2.0
/*
 * Compaction (MS-VHDX 2.5.1): blocks that hold nothing lose their place in the
 * file, those at its end move down into gaps, and it is cut. A guest reads the
 * same before, after and in between, and so it does after a power cut at any
 * moment. Why each order of writes holds that:
 *
 * Entries of the BAT change by edits, see edit.c: all of an edit or nothing.
 *
 * A block that moves is copied first, to where no durable entry points; the commit
 * of the edit flushes it before the log names it. The old place stays as it is.
 *
 * A place that was freed is not written to before the edit that freed it is
 * durable: freeing is committed before the first block moves, and the moves of
 * payload blocks before those of sector bitmap blocks, which are smaller and fit
 * what is left. Each kind moves from the end of the file down, a block into a gap
 * below itself: what it leaves lies above all of its kind that have yet to move.
 *
 * Between the two the regions move, into what payload blocks have left free. A region
 * is copied like a block, and an edit of its own names the new place in both region
 * tables. The log is empty then: it has nothing to copy, and both headers name the
 * new place before anything else may get the old one.
 *
 * The file is cut after each commit, when the log is empty.
 */
#include "block_map.h"
#include "compact.h"
#include "edit.h"
#include "internal.h"

#define PIECE		0x20000U
#define PAGE_BYTES	4096U

/* So much is moved by one edit: who stops it waits for no more. */
#define BATCH_BYTES	0x4000000ULL		/* 64 MiB */

#define NO_CHUNK	U64_MAX

/**
 * struct structure - a region, or the log
 * @offset: bytes from the start of the file
 * @length: bytes
 * @region: which; NULL: the log
 * @moves: where it lies is ours to say
 */
struct structure {
	u64 offset;
	u64 length;
	struct vhdx_region *region;
	bool moves;
};

/**
 * struct compaction - a compaction that runs
 * @img: the image
 * @compact: who wants it
 * @space: the image's, or one to play it through with
 * @edit: NULL: it is only played through
 * @buf: PIECE bytes
 * @structure: where they are, or would be
 * @structures: how many
 * @pending: bytes that moved since the last commit
 * @done: bytes of the phase
 * @total: likewise
 */
struct compaction {
	struct vhdx_image *img;
	struct vhdx_compact *compact;
	struct vhdx_space *space;
	struct vhdx_edit *edit;
	u8 *buf;
	struct structure *structure;
	u32 structures;
	u64 pending;
	u64 done;
	u64 total;
};

/**
 * struct block - a block that may have to move
 * @offset: bytes from the start of the file
 * @index: of its entry
 */
struct block {
	u64 offset;
	u64 index;
};

static bool is_bitmap(const struct compaction *c, u64 index)
{
	return vhdx_bat_index_is_bitmap(&c->img->geometry, index);
}

static u64 block_length(const struct compaction *c, u64 index)
{
	return is_bitmap(c, index) ? VHDX_BITMAP_BLOCK_SIZE :
				     1ULL << c->img->geometry.block_shift;
}

static bool is_stopped(const struct compaction *c)
{
	return c->compact->stop && c->compact->stop(c->compact);
}

static void begin_phase(struct compaction *c, u64 total)
{
	c->done = 0;
	c->total = total;
}

static void report(struct compaction *c, enum vhdx_compact_phase phase,
		   u64 bytes)
{
	c->done += bytes;
	if (c->compact->progress)
		c->compact->progress(c->compact, phase, c->done, c->total);
}

/* And the file gets shorter at once, rather than all of it at the end. */
static int commit(struct compaction *c)
{
	int ret;

	if (!c->edit)
		return 0;
	c->pending = 0;
	ret = vhdx_edit_commit(c->edit);
	return ret ? : vhdx_image_finish(c->img);
}

static int set_entry(struct compaction *c, u64 index, u64 entry)
{
	int ret;

	if (!c->edit)
		return 0;
	if (!vhdx_edit_room(c->edit)) {
		ret = commit(c);
		if (ret)
			return ret;
	}
	return vhdx_edit_bat(c->edit, index, entry);
}

/* --- blocks that hold nothing ------------------------------------------------- */

static int is_zero(const struct compaction *c, u64 offset, u64 length,
		   bool *zero)
{
	u64 end = offset + length, data;
	size_t n;
	int ret;

	*zero = false;
	for (; offset < end; offset += n) {
		ret = vhdx_image_next_data(c->img, offset, &data);
		if (ret)
			return ret;
		if (data >= end)
			break;
		offset = max(offset, data);
		n = min_t(u64, end - offset, PIECE);
		ret = c->img->file->ops->read(c->img->file, c->buf, n, offset);
		if (ret)
			return ret;
		if (memchr_inv(c->buf, 0, n))
			return 0;
	}
	*zero = true;
	return 0;
}

/* What is behind the end of the disk nobody sees. */
static int is_zero_block(const struct compaction *c, u64 index, u64 entry,
			 bool *zero)
{
	const struct vhdx_geometry *geo = &c->img->geometry;
	u64 pos = vhdx_bat_payload_block(geo, index) << geo->block_shift;

	return is_zero(c, vhdx_bat_offset(entry),
		       min(1ULL << geo->block_shift, geo->disk_size - pos),
		       zero);
}

/*
 * What a payload block's entry is to be. An offset may stand where it means
 * nothing, and another block may get that place.
 */
static int choose_payload(const struct compaction *c, u64 index, u64 entry,
			  u64 *new)
{
	bool zero;
	int ret;

	*new = entry;
	switch (vhdx_bat_state(entry)) {
	case VHDX_PAYLOAD_FULLY_PRESENT:
		ret = is_zero_block(c, index, entry, &zero);
		if (ret)
			return ret;
		if (zero)
			*new = VHDX_PAYLOAD_ZERO;
		break;
	case VHDX_PAYLOAD_PARTIALLY_PRESENT:
		break;
	case VHDX_PAYLOAD_UNMAPPED_V095:
		if (vhdx_bat_offset(entry))
			*new = VHDX_PAYLOAD_UNMAPPED;
		break;
	default:
		*new = vhdx_bat_state(entry);
		break;
	}
	return 0;
}

/* Nobody looks at the bitmap of a chunk without a PARTIALLY_PRESENT block. */
static u64 choose_bitmap(const struct compaction *c, u64 index, u64 entry,
			 u64 partial_chunk)
{
	if (vhdx_bat_state(entry) == VHDX_BITMAP_PRESENT &&
	    vhdx_bat_chunk(&c->img->geometry, index) == partial_chunk)
		return entry;
	return 0;
}

static int free_block(struct compaction *c, u64 index, u64 entry, u64 new)
{
	int ret = set_entry(c, index, new);

	if (ret || !vhdx_bat_entry_has_space(entry))
		return ret;
	vhdx_space_unclaim(c->space, vhdx_bat_offset(entry),
			   block_length(c, index));
	c->compact->freed++;
	return 0;
}

/* A chunk's bitmap block has its entry behind those of its payload blocks. */
static int free_blocks(struct compaction *c)
{
	const struct vhdx_image *img = c->img;
	u64 partial_chunk = NO_CHUNK;
	u64 index, entry, new;
	int ret = 0;

	begin_phase(c, vhdx_image_allocated(img));
	for (index = vhdx_block_map_next(img->map, 0); index != U64_MAX;
	     index = vhdx_block_map_next(img->map, index + 1)) {
		if (is_stopped(c))
			return -EINTR;
		entry = vhdx_block_map_entry(img->map, index);
		if (is_bitmap(c, index))
			new = choose_bitmap(c, index, entry, partial_chunk);
		else
			ret = choose_payload(c, index, entry, &new);
		if (!ret && new != entry)
			ret = free_block(c, index, entry, new);
		if (ret)
			return ret;
		if (vhdx_bat_state(entry) == VHDX_PAYLOAD_PARTIALLY_PRESENT)
			partial_chunk = vhdx_bat_chunk(&img->geometry, index);
		if (!is_bitmap(c, index) &&
		    vhdx_bat_state(entry) >= VHDX_PAYLOAD_FULLY_PRESENT)
			report(c, VHDX_COMPACT_FREE, block_length(c, index));
		cond_resched();
	}
	return commit(c);
}

/* --- blocks that move ----------------------------------------------------------- */

/* Where the file would end were there no gap in it. */
static u64 least_end(const struct compaction *c)
{
	u64 end = vhdx_space_end(c->space), least = end;
	u64 offset, length, from;

	for (from = 0;; from = offset + length) {
		offset = vhdx_space_next_gap(c->space, from, end, &length);
		if (offset == U64_MAX)
			return least;
		least -= length;
	}
}

/* Where the last structure ends that stays where it is. */
static u64 structures_end(const struct compaction *c, bool all)
{
	u64 end = VHDX_HEADER_SECTION_SIZE;
	const struct structure *s;
	u32 i;

	for (i = 0; i < c->structures; i++) {
		s = &c->structure[i];
		if (all || !s->moves)
			end = max(end, s->offset + s->length);
	}
	return end;
}

/*
 * What blocks have to end before: they make room for the structures that are behind
 * all of them, too.
 */
static u64 blocks_end(const struct compaction *c, bool bitmaps)
{
	u64 least = least_end(c), end = least;
	const struct structure *s;
	u32 i;

	for (i = 0; !bitmaps && i < c->structures; i++) {
		s = &c->structure[i];
		if (s->moves && s->offset + s->length > least)
			end -= min(end, s->length);
	}
	return end;
}

/* Those that were freed when all is only played through are in the map still. */
static bool is_free(const struct compaction *c, u64 offset)
{
	u64 length;

	return vhdx_space_next_gap(c->space, offset, offset + VHDX_MIB,
				   &length) != U64_MAX;
}

/*
 * Blocks of a kind that end behind @end: how many, and which where @block is not
 * NULL.
 */
static u64 find_blocks(const struct compaction *c, bool bitmaps, u64 end,
		       struct block *block, u64 *bytes)
{
	const struct vhdx_block_map *map = c->img->map;
	u64 index, entry, offset, n = 0;

	*bytes = 0;
	for (index = vhdx_block_map_next(map, 0); index != U64_MAX;
	     index = vhdx_block_map_next(map, index + 1)) {
		entry = vhdx_block_map_entry(map, index);
		offset = vhdx_bat_offset(entry);
		if (is_bitmap(c, index) != bitmaps ||
		    !vhdx_bat_entry_has_space(entry) ||
		    offset + block_length(c, index) <= end ||
		    is_free(c, offset))
			continue;
		if (block) {
			block[n].offset = offset;
			block[n].index = index;
		}
		n++;
		*bytes += block_length(c, index);
	}
	return n;
}

static int compare_blocks(const void *a, const void *b)
{
	const struct block *x = a, *y = b;

	return x->offset < y->offset ? 1 : x->offset > y->offset ? -1 : 0;
}

/* The pieces of 4 KiB from @at on that are all zero, or of which none is; bytes. */
static u32 run_of_pages(const struct compaction *c, u32 at, u32 length,
			bool *zero)
{
	u32 end;

	*zero = !memchr_inv(c->buf + at, 0, PAGE_BYTES);
	for (end = at + PAGE_BYTES; end < length; end += PAGE_BYTES)
		if (!memchr_inv(c->buf + end, 0, PAGE_BYTES) != *zero)
			break;
	return end - at;
}

/* What is zero takes no space; what is in the gap may be anything. */
static int write_piece(const struct compaction *c, u64 to, u32 length)
{
	struct vhdx_file *file = c->img->file;
	bool zero;
	u32 at, n;
	int ret = 0;

	for (at = 0; !ret && at < length; at += n) {
		n = run_of_pages(c, at, length, &zero);
		if (zero)
			ret = file->ops->zero(file, to + at, n, true);
		else
			ret = file->ops->write(file, c->buf + at, n, to + at);
	}
	return ret;
}

/* Holes are not read, as far as they are whole pages. */
static int copy_piece(const struct compaction *c, u64 from, u64 to, u64 length,
		      u64 *done)
{
	struct vhdx_file *file = c->img->file;
	u64 data;
	int ret;

	ret = vhdx_image_next_data(c->img, from, &data);
	if (ret)
		return ret;
	*done = ALIGN_DOWN(min(length, data - from), PAGE_BYTES);
	if (*done)
		return file->ops->zero(file, to, *done, true);
	*done = min_t(u64, length, PIECE);
	ret = file->ops->read(file, c->buf, *done, from);
	return ret ? : write_piece(c, to, *done);
}

static int copy_block(const struct compaction *c, u64 from, u64 to, u64 length)
{
	u64 pos, done;
	int ret;

	ret = vhdx_edit_first_change(c->edit, false);
	for (pos = 0; !ret && pos < length; pos += done)
		ret = copy_piece(c, from + pos, to + pos, length - pos, &done);
	return ret;
}

static int move_block(struct compaction *c, const struct block *block, u64 to)
{
	u64 length = block_length(c, block->index);
	u64 entry = vhdx_block_map_entry(c->img->map, block->index);
	int ret;

	ret = vhdx_space_claim(c->space, to, length, GFP_KERNEL);
	if (ret)
		return ret;
	if (c->edit)
		ret = copy_block(c, block->offset, to, length);
	if (!ret)
		ret = set_entry(c, block->index, to | vhdx_bat_state(entry));
	if (ret) {
		vhdx_space_unclaim(c->space, to, length);
		return ret;
	}
	vhdx_space_unclaim(c->space, block->offset, length);
	c->compact->moved++;
	c->pending += length;
	return 0;
}

/* Down from the end. The first that stays would keep all others' room. */
static int move_down(struct compaction *c, bool bitmaps,
		     const struct block *block, u64 n)
{
	u64 pinned = structures_end(c, bitmaps);
	u64 length, to, i, from = 0;
	int ret;

	for (i = 0; i < n && block[i].offset >= pinned; i++) {
		if (is_stopped(c))
			return -EINTR;
		length = block_length(c, block[i].index);
		to = vhdx_space_find_gap(c->space, from, block[i].offset,
					 length);
		if (to == U64_MAX)
			break;
		from = to + length;
		ret = move_block(c, &block[i], to);
		if (!ret && c->pending >= (c->compact->batch ? : BATCH_BYTES))
			ret = commit(c);
		if (ret)
			return ret;
		report(c, VHDX_COMPACT_MOVE, length);
		cond_resched();
	}
	return commit(c);
}

static int move_blocks(struct compaction *c, bool bitmaps)
{
	u64 end = blocks_end(c, bitmaps), bytes, n;
	struct block *block;
	int ret;

	n = find_blocks(c, bitmaps, end, NULL, &bytes);
	if (!n)
		return 0;
	block = kvcalloc(n, sizeof(*block), VHDX_GFP_SIZED);
	if (!block)
		return -ENOMEM;
	find_blocks(c, bitmaps, end, block, &bytes);
	sort(block, n, sizeof(*block), compare_blocks, NULL);
	begin_phase(c, bytes);
	ret = move_down(c, bitmaps, block, n);
	kvfree(block);
	return ret;
}

/* --- structures that move ------------------------------------------------------- */

static void find_structures(struct compaction *c)
{
	const struct vhdx_header *header = vhdx_image_header(c->img);
	struct vhdx_region_table *regions = c->img->regions;
	struct structure *s = c->structure;
	u32 i;

	for (i = 0; i < regions->count; i++, s++) {
		s->region = &regions->region[i];
		s->offset = s->region->file_offset;
		s->length = s->region->length;
		s->moves = s->region == c->img->bat_region ||
			   s->region == c->img->metadata_region;
	}
	if (header->log_length) {
		s->offset = header->log_offset;
		s->length = header->log_length;
		s->moves = true;
		s++;
	}
	c->structures = s - c->structure;
}

static int move_region(struct compaction *c, const struct structure *s, u64 to)
{
	int ret;

	ret = copy_block(c, s->offset, to, s->length);
	if (!ret)
		ret = vhdx_edit_region(c->edit, s->region, to, s->length);
	if (!ret)
		ret = commit(c);
	if (!ret)
		s->region->file_offset = to;
	return ret;
}

static int move_structure(struct compaction *c, struct structure *s, u64 to)
{
	int ret;

	ret = vhdx_space_claim(c->space, to, s->length, GFP_KERNEL);
	if (ret)
		return ret;
	if (c->edit)
		ret = s->region ? move_region(c, s, to) :
				  vhdx_edit_move_log(c->edit, to);
	if (ret) {
		vhdx_space_unclaim(c->space, to, s->length);
		return ret;
	}
	vhdx_space_unclaim(c->space, s->offset, s->length);
	s->offset = to;
	return 0;
}

static int move_structures(struct compaction *c)
{
	u64 end = least_end(c), to;
	struct structure *s;
	int ret = 0;
	u32 i;

	for (i = 0; !ret && i < c->structures; i++) {
		s = &c->structure[i];
		if (!s->moves || s->offset + s->length <= end)
			continue;
		if (is_stopped(c))
			return -EINTR;
		to = vhdx_space_find_gap(c->space, 0, s->offset, s->length);
		if (to != U64_MAX)
			ret = move_structure(c, s, to);
	}
	return ret;
}

/* --- all of it --------------------------------------------------------------------- */

/* With nothing freed and nothing moved there may still be something to cut. */
static int cut(struct compaction *c)
{
	int ret;

	if (!c->edit || vhdx_space_end(c->space) >= c->img->file_size)
		return 0;
	ret = vhdx_edit_first_change(c->edit, false);
	return ret ? : vhdx_image_finish(c->img);
}

static int claim_blocks(struct compaction *c)
{
	const struct vhdx_block_map *map = c->img->map;
	u64 index, entry;
	int ret = 0;

	for (index = vhdx_block_map_next(map, 0); !ret && index != U64_MAX;
	     index = vhdx_block_map_next(map, index + 1)) {
		entry = vhdx_block_map_entry(map, index);
		if (vhdx_bat_entry_has_space(entry))
			ret = vhdx_space_claim(c->space, vhdx_bat_offset(entry),
					       block_length(c, index),
					       VHDX_GFP_SIZED);
	}
	return ret;
}

/* An image that is open for reading has no map of its space. */
static int begin(struct compaction *c)
{
	c->buf = kvmalloc(PIECE, GFP_KERNEL);
	c->structure = kvcalloc(c->img->regions->count + 1,
				sizeof(*c->structure), GFP_KERNEL);
	if (!c->buf || !c->structure)
		return -ENOMEM;
	find_structures(c);
	if (c->img->space) {
		c->space = c->img->space;
		return vhdx_edit_begin(c->img, &c->edit);
	}
	c->space = vhdx_image_create_space(c->img);
	if (!c->space)
		return -ENOMEM;
	return claim_blocks(c);
}

static void end(struct compaction *c)
{
	if (c->edit)
		c->compact->size = c->img->file_size;
	else if (c->space)
		c->compact->size = min(c->img->file_size,
				       vhdx_space_end(c->space));
	if (c->space != c->img->space)
		vhdx_space_free(c->space);
	vhdx_edit_free(c->edit);
	kvfree(c->structure);
	kvfree(c->buf);
}

/**
 * vhdx_image_compact() - make the file of an image as short as it can be
 * @img: with VHDX_OPEN_EDIT, and nobody else uses it; or open for reading, and it is
 *	played through: @compact says what would come of it, and nothing changes
 * @compact: with the callbacks, and zero besides; the rest is filled in
 *
 * Payload blocks that hold nothing, or zeros, become ZERO, and those of states
 * without data give up the place they may have; sector bitmap blocks that nothing
 * looks at go. Then blocks move from the end of the file into gaps, and so do the
 * BAT, the metadata region and the log. What no gap is long enough for stays, and
 * regions of others do.
 *
 * A guest sees none of it, DataWriteGuid stays.
 *
 * Context: process context, may sleep; reads, writes and flushes the file.
 * Return: 0; -EOPNOTSUPP: LeaveBlocksAllocated, which keeps all blocks (MS-VHDX
 * 2.6.2.1); -EINTR: @compact->stop said so; -ENOMEM or what the file's operations
 * answered. The image is whole, and what was done before stays, after any of
 * them.
 */
int vhdx_image_compact(struct vhdx_image *img, struct vhdx_compact *compact)
{
	struct compaction c = { .img = img, .compact = compact };
	int ret, last;

	compact->size_before = img->file_size;
	compact->size = img->file_size;
	if (img->metadata.leave_blocks_allocated)
		return -EOPNOTSUPP;
	ret = begin(&c);
	if (!ret)
		ret = free_blocks(&c);
	if (!ret)
		ret = move_blocks(&c, false);
	if (!ret)
		ret = move_structures(&c);
	if (!ret)
		ret = move_blocks(&c, true);
	if (!ret)
		ret = cut(&c);
	/* What was stopped in the middle of an edit. */
	last = commit(&c);
	end(&c);
	return ret ? : last;
}
