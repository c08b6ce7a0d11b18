// SPDX-License-Identifier: GPL-2.0
/*
 * The overlay of a dirty log (MS-VHDX 2.3.3 and its note <5>).
 *
 * Descriptors are replayed in order, so where two of them touch the same bytes
 * the later one counts. A hostile log may hold hundreds of thousands of
 * overlapping ranges of any length; applying them one after the other would
 * cost whatever the image asks for. So the ranges are cut at every start and
 * end into elementary intervals, and these are given away from the newest
 * descriptor to the oldest, each interval once: n log n for n descriptors,
 * whatever their lengths are.
 *
 * Pages are not copied out of the log: a piece names its data sector, and the
 * 4 KiB are rebuilt when they are read.
 */
#include "internal.h"

/*
 * Ours, not the specification's: a log of 1 GiB that is full of data sectors
 * has a quarter of it. It bounds time and memory of a replay.
 */
#define VHDX_MAX_LOG_UPDATES	0x100000U

/**
 * struct vhdx_overlay - see vhdx_overlay_create()
 * @log: the log, its buffer the overlay's own
 * @count: pieces
 * @piece: sorted by start, without overlap
 */
struct vhdx_overlay {
	struct vhdx_log log;
	u32 count;
	struct vhdx_overlay_piece *piece;
};

#define UNCLAIMED	U32_MAX

static int compare_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* Index of the last bound that is not above offset; bound[0] is not. */
static u32 find_bound(const u64 *bound, u32 count, u64 offset)
{
	u32 low = 0, high = count;

	while (high - low > 1) {
		u32 middle = low + (high - low) / 2;

		if (bound[middle] <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* The first interval >= i that no descriptor has claimed; shortens the path. */
static u32 find_unclaimed(u32 *next, u32 i)
{
	while (next[i] != i) {
		next[i] = next[next[i]];
		i = next[i];
	}
	return i;
}

static int collect_updates(const struct vhdx_log *log,
			   const struct vhdx_log_sequence *sequence,
			   struct vhdx_log_update *update, u64 *bound,
			   struct vhdx_error *err)
{
	struct vhdx_log_entry entry = sequence->tail;
	struct vhdx_log_update next;
	u32 i, j;
	int ret;

	for (i = 0; ; i++) {
		for (j = 0; j < entry.descriptor_count; j++) {
			ret = vhdx_log_update(log, &entry, j, &next, err);
			if (ret)
				return ret;
			*update++ = next;
			*bound++ = next.file_offset;
			*bound++ = next.file_offset + next.length;
		}
		if (i + 1 == sequence->count)
			return 0;
		vhdx_log_next_entry(log, &entry, &entry);
		cond_resched();
	}
}

static u64 count_updates(const struct vhdx_log *log,
			 const struct vhdx_log_sequence *sequence)
{
	struct vhdx_log_entry entry = sequence->tail;
	u64 n = entry.descriptor_count;
	u32 i;

	for (i = 1; i < sequence->count; i++) {
		vhdx_log_next_entry(log, &entry, &entry);
		n += entry.descriptor_count;
	}
	return n;
}

/*
 * Cuts the n updates into pieces. bound holds their 2n ends; next and owner are
 * scratch of 2n each.
 */
static int cut_pieces(struct vhdx_overlay *overlay,
		      const struct vhdx_log_update *update, u32 n, u64 *bound,
		      u32 *next, u32 *owner)
{
	u32 bounds = 0, count = 0, i;

	sort(bound, 2 * n, sizeof(*bound), compare_u64, NULL);
	for (i = 0; i < 2 * n; i++)
		if (!i || bound[i] != bound[bounds - 1])
			bound[bounds++] = bound[i];
	for (i = 0; i < bounds; i++) {
		next[i] = i;
		owner[i] = UNCLAIMED;
	}

	for (i = n; i-- > 0; ) {
		u64 end = update[i].file_offset + update[i].length;
		u32 b = find_bound(bound, bounds, update[i].file_offset);

		for (b = find_unclaimed(next, b); bound[b] < end;
		     b = find_unclaimed(next, b + 1)) {
			owner[b] = i;
			next[b] = b + 1;
			count++;
		}
	}

	overlay->piece = kvcalloc(count, sizeof(*overlay->piece), VHDX_GFP_SIZED);
	if (!overlay->piece)
		return -ENOMEM;
	for (i = 0; i < bounds; i++) {
		struct vhdx_overlay_piece *piece;

		if (owner[i] == UNCLAIMED)
			continue;
		piece = &overlay->piece[overlay->count++];
		piece->start = bound[i];
		piece->end = bound[i + 1];
		piece->update = update[owner[i]];
	}
	return 0;
}

/**
 * vhdx_overlay_create() - replay an active sequence in memory
 * @log: the log; its buffer (from kvmalloc()) belongs to the overlay when this
 *	succeeds and stays the caller's otherwise
 * @sequence: its active sequence
 * @overlayp: receives the overlay
 * @descriptors: receives the number of descriptors in the sequence
 * @err: filled in on failure
 *
 * Context: process context, may sleep.
 * Return: 0; -EUCLEAN for a descriptor that replay must refuse; -E2BIG for more
 * descriptors than any writer makes; -ENOMEM. MS-VHDX 2.3.3.
 */
int vhdx_overlay_create(const struct vhdx_log *log,
			const struct vhdx_log_sequence *sequence,
			struct vhdx_overlay **overlayp, u64 *descriptors,
			struct vhdx_error *err)
{
	struct vhdx_log_update *update = NULL;
	struct vhdx_overlay *overlay;
	u32 *next = NULL, *owner = NULL;
	u64 *bound = NULL;
	u64 n;
	int ret;

	n = count_updates(log, sequence);
	*descriptors = n;
	if (n > VHDX_MAX_LOG_UPDATES)
		return vhdx_fail_value(err, -E2BIG, "log", "DescriptorCount",
				       log->file_offset, n,
				       "more descriptors in the active sequence than can be replayed");

	overlay = kzalloc(sizeof(*overlay), GFP_KERNEL);
	if (!overlay)
		goto no_memory;
	if (n) {
		update = kvcalloc(n, sizeof(*update), VHDX_GFP_SIZED);
		bound = kvcalloc(2 * n, sizeof(*bound), VHDX_GFP_SIZED);
		next = kvcalloc(2 * n, sizeof(*next), VHDX_GFP_SIZED);
		owner = kvcalloc(2 * n, sizeof(*owner), VHDX_GFP_SIZED);
		if (!update || !bound || !next || !owner)
			goto no_memory;
		ret = collect_updates(log, sequence, update, bound, err);
		if (ret)
			goto out;
		if (cut_pieces(overlay, update, n, bound, next, owner))
			goto no_memory;
	}
	overlay->log = *log;
	*overlayp = overlay;
	overlay = NULL;
	ret = 0;
	goto out;

no_memory:
	ret = vhdx_fail(err, -ENOMEM, "log", NULL, log->file_offset,
			"no memory to replay it");
out:
	kvfree(owner);
	kvfree(next);
	kvfree(bound);
	kvfree(update);
	kfree(overlay);
	return ret;
}

/**
 * vhdx_overlay_free() - give an overlay and its log buffer back
 * @overlay: may be NULL
 */
void vhdx_overlay_free(struct vhdx_overlay *overlay)
{
	if (!overlay)
		return;
	kvfree(overlay->piece);
	kvfree(overlay->log.buf);
	kfree(overlay);
}

/**
 * vhdx_overlay_next() - find what the log rewrites at or after an offset
 * @overlay: may be NULL
 * @offset: bytes from the start of the file
 *
 * Context: any; the overlay never changes.
 * Return: the first piece that ends past @offset, or NULL.
 */
const struct vhdx_overlay_piece *
vhdx_overlay_next(const struct vhdx_overlay *overlay, u64 offset)
{
	u32 low = 0, high;

	if (!overlay)
		return NULL;
	high = overlay->count;
	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (overlay->piece[middle].end > offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low < overlay->count ? &overlay->piece[low] : NULL;
}

/**
 * vhdx_overlay_end() - where the last rewritten byte is
 * @overlay: may be NULL
 *
 * Return: the first byte past the last piece, 0 when there is none.
 */
u64 vhdx_overlay_end(const struct vhdx_overlay *overlay)
{
	if (!overlay || !overlay->count)
		return 0;
	return overlay->piece[overlay->count - 1].end;
}

/**
 * vhdx_overlay_apply() - lay the overlay over what was read from the file
 * @overlay: may be NULL
 * @buf: the bytes of the file at @offset
 * @len: bytes, a multiple of 4 KiB
 * @offset: bytes from the start of the file, a multiple of 4 KiB
 *
 * Context: any; the overlay never changes.
 */
void vhdx_overlay_apply(const struct vhdx_overlay *overlay, void *buf,
			size_t len, u64 offset)
{
	const struct vhdx_overlay_piece *piece;
	u64 end = offset + len, pos = offset;

	while ((piece = vhdx_overlay_next(overlay, pos)) && piece->start < end) {
		u64 from = max(piece->start, offset);
		u64 to = min(piece->end, end);

		/* Both ends are multiples of 4 KiB, so a data piece is whole. */
		if (piece->update.is_zero)
			memset(buf + (from - offset), 0, to - from);
		else
			vhdx_log_update_data(&overlay->log, &piece->update,
					     buf + (from - offset));
		pos = to;
		if (pos >= end)
			break;
	}
}
