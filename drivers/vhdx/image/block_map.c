// SPDX-License-Identifier: GPL-2.0
/*
 * The block map: the BAT (MS-VHDX 2.5) in memory, as the 4 KiB pages of
 * little-endian entries that it is on disk.
 *
 * A page that is all zero has no memory, and what SEEK_DATA calls a hole is not
 * even read: the empty BAT of a disk of 64 TiB has 512 MiB.
 */
#include "block_map.h"
#include "check.h"
#include "internal.h"

#define PAGE_BYTES	4096U
#define PAGE_ENTRIES	(PAGE_BYTES / sizeof(__le64))
#define READ_BYTES	0x100000U

/**
 * struct vhdx_block_map - see above
 * @pages: how many
 * @page: NULL stands for a page of zeros
 */
struct vhdx_block_map {
	u64 pages;
	__le64 *page[];
};

/**
 * struct load - the state of loading a BAT
 * @img: being opened
 * @report: who wants to hear of every problem; NULL: the first one ends it
 * @space: what is used so far
 * @present: payload entries seen that are not of state 0
 * @partial: where the first PARTIALLY_PRESENT entry of @partial_chunk lies in
 *	the file, 0 when no such entry waits for its chunk's bitmap block
 * @partial_chunk: see @partial
 */
struct load {
	struct vhdx_image *img;
	struct vhdx_report *report;
	struct vhdx_space *space;
	u64 present;
	u64 partial;
	u64 partial_chunk;
};

/* 0: go on. */
static int problem(const struct load *load, enum vhdx_finding_name name,
		   const struct vhdx_error *err)
{
	return load->report ? load->report->problem(load->report, name, err) :
			      err->errnum;
}

static int no_bitmap(struct load *load, struct vhdx_error *err)
{
	vhdx_fail(err, -EUCLEAN, "payload BAT entry", "State", load->partial,
		  "a partially present block in a chunk without sector bitmap block");
	load->partial = 0;
	return problem(load, VHDX_FINDING_BAT_NO_BITMAP, err);
}

/* What MS-VHDX 2.5.1.2 demands of a chunk's bitmap entry, holes included. */
static int check_partial(struct load *load, u64 index, u64 entry,
			 u64 entry_offset, struct vhdx_error *err)
{
	const struct vhdx_geometry *geo = &load->img->geometry;
	u64 chunk = vhdx_bat_chunk(geo, index);
	int ret = 0;

	if (load->partial && chunk != load->partial_chunk)
		ret = no_bitmap(load, err);
	if (ret)
		return ret;
	if (vhdx_bat_index_is_bitmap(geo, index)) {
		if (load->partial && vhdx_bat_state(entry) != VHDX_BITMAP_PRESENT)
			return no_bitmap(load, err);
		load->partial = 0;
	} else if (vhdx_bat_state(entry) == VHDX_PAYLOAD_PARTIALLY_PRESENT &&
		   !load->partial) {
		load->partial = entry_offset;
		load->partial_chunk = chunk;
	}
	return 0;
}

static int claim_block(struct load *load, u64 index, u64 entry,
		       u64 entry_offset, struct vhdx_error *err)
{
	const struct vhdx_image *img = load->img;
	const struct vhdx_overlay_piece *piece;
	u64 offset = vhdx_bat_offset(entry);
	bool bitmap = vhdx_bat_index_is_bitmap(&img->geometry, index);
	u64 length = bitmap ? VHDX_BITMAP_BLOCK_SIZE :
			      1ULL << img->geometry.block_shift;
	int ret;

	ret = vhdx_space_claim(load->space, offset, length, VHDX_GFP_SIZED);
	if (ret == -EEXIST) {
		vhdx_fail_value(err, -EUCLEAN, bitmap ?
				"sector bitmap BAT entry" : "payload BAT entry",
				"FileOffsetMB", entry_offset, entry,
				"the block overlaps another block or structure");
		ret = problem(load, VHDX_FINDING_BAT_OVERLAP, err);
	} else if (ret) {
		vhdx_no_memory(err, "BAT", entry_offset);
	}
	if (ret)
		return ret;

	/* Replay would change guest data behind the guest's back. */
	if (!bitmap && vhdx_bat_state(entry) >= VHDX_PAYLOAD_FULLY_PRESENT) {
		piece = vhdx_overlay_next(img->overlay, offset);
		if (piece && piece->start < offset + length) {
			vhdx_update_fail(img, piece, err,
					 "the target is in a payload block");
			return problem(load, VHDX_FINDING_LOG_TARGET, err);
		}
	}
	return 0;
}

/* No rule of its own, and no one is kept from what is left. */
static int check_cut(struct load *load, u64 index, u64 entry, u64 entry_offset,
		     struct vhdx_error *err)
{
	struct vhdx_image *img = load->img;

	if (!vhdx_bat_entry_is_cut(&img->geometry, index, entry, img->size))
		return 0;
	img->counts.cut++;
	if (!load->report)
		return 0;
	vhdx_fail_value(err, -EUCLEAN,
			vhdx_bat_index_is_bitmap(&img->geometry, index) ?
			"sector bitmap BAT entry" : "payload BAT entry",
			"FileOffsetMB", entry_offset, entry,
			"the file ends before the data of the block does");
	return problem(load, VHDX_FINDING_BAT_CUT, err);
}

static void count_entry(struct load *load, u64 index, u64 entry)
{
	const struct vhdx_geometry *geo = &load->img->geometry;
	struct vhdx_bat_counts *counts = &load->img->counts;

	if (vhdx_bat_index_is_bitmap(geo, index)) {
		counts->bitmap += vhdx_bat_state(entry) == VHDX_BITMAP_PRESENT;
	} else if (vhdx_bat_state(entry) &&
		   vhdx_bat_payload_block(geo, index) < geo->payload_blocks) {
		counts->payload[vhdx_bat_state(entry)]++;
		load->present++;
	}
}

/* One that breaks a rule by itself has no part in the rest. */
static int check_entry(struct load *load, u64 index, u64 entry,
		       u64 entry_offset, struct vhdx_error *err)
{
	const struct vhdx_geometry *geo = &load->img->geometry;
	int ret;

	if (vhdx_bat_entry_check(geo, index, entry, entry_offset,
				 load->img->size, err)) {
		if (vhdx_bat_index_is_bitmap(geo, index))
			load->partial = 0;
		return problem(load, VHDX_FINDING_BAT_ENTRY, err);
	}
	ret = check_partial(load, index, entry, entry_offset, err);
	if (!ret && vhdx_bat_entry_has_space(entry))
		ret = claim_block(load, index, entry, entry_offset, err);
	if (!ret)
		ret = check_cut(load, index, entry, entry_offset, err);
	if (!ret)
		count_entry(load, index, entry);
	return ret;
}

static int check_page(struct load *load, const __le64 *page, u64 index,
		      struct vhdx_error *err)
{
	u64 entry_offset = load->img->bat_region->file_offset +
			   index * sizeof(__le64);
	u32 i;
	int ret;

	for (i = 0; i < PAGE_ENTRIES; i++, index++, entry_offset += 8) {
		u64 entry = le64_to_cpu(page[i]);

		if (!entry && !load->partial)
			continue;
		ret = check_entry(load, index, entry, entry_offset, err);
		if (ret)
			return ret;
	}
	return 0;
}

static int load_pages(struct load *load, __le64 *buf, u64 pos, u64 length,
		      struct vhdx_error *err)
{
	struct vhdx_image *img = load->img;
	struct vhdx_block_map *map = img->map;
	u64 used = img->geometry.bat_entries * sizeof(__le64);
	u64 offset = img->bat_region->file_offset + pos;
	u64 i;
	int ret;

	ret = vhdx_image_read(img, buf, length, offset);
	if (ret)
		return vhdx_fail(err, ret, "BAT", NULL, offset,
				 "cannot be read");
	/* What follows the last entry means nothing. */
	if (pos + length > used)
		memset((u8 *)buf + (used - pos), 0, pos + length - used);

	for (i = 0; i < length; i += PAGE_BYTES) {
		__le64 *page = buf + i / sizeof(__le64);

		if (!memchr_inv(page, 0, PAGE_BYTES))
			continue;
		ret = check_page(load, page, (pos + i) / sizeof(__le64), err);
		if (ret)
			return ret;
		map->page[(pos + i) / PAGE_BYTES] =
			kmemdup(page, PAGE_BYTES, VHDX_GFP_SIZED);
		if (!map->page[(pos + i) / PAGE_BYTES])
			return vhdx_no_memory(err, "BAT", offset + i);
	}
	return 0;
}

/*
 * An image, and each of a chain, may want hundreds of MiB. Nobody is to be killed
 * to make room for them, so this ends before there is none.
 */
static bool memory_is_short(void)
{
	return si_mem_available() < (long)(totalram_pages() / 16);
}

static int load_bat(struct load *load, __le64 *buf, struct vhdx_error *err)
{
	struct vhdx_image *img = load->img;
	u64 base = img->bat_region->file_offset;
	u64 length = img->map->pages * PAGE_BYTES;
	u64 pos = 0, data, n;
	int ret;

	while (pos < length) {
		ret = vhdx_image_next_data(img, base + pos, &data);
		if (ret)
			return vhdx_fail(err, ret, "BAT", NULL, base + pos,
					 "cannot be searched for data");
		if (data >= base + length)
			break;
		pos = ALIGN_DOWN(data - base, PAGE_BYTES);
		n = min_t(u64, length - pos, READ_BYTES);
		ret = load_pages(load, buf, pos, n, err);
		if (ret)
			return ret;
		pos += n;
		if (fatal_signal_pending(current))
			return vhdx_fail(err, -EINTR, "BAT", NULL, base + pos,
					 "interrupted while it was read");
		if (pos < length && memory_is_short())
			return vhdx_no_memory(err, "BAT", base + pos);
		cond_resched();
	}
	if (load->partial)
		return no_bitmap(load, err);
	return 0;
}

/**
 * vhdx_block_map_load() - read and check the BAT
 * @img: with file, sizes, overlay, regions and geometry in place; receives map
 *	and counts (on failure too: vhdx_image_close() gives them back)
 * @space: where every other structure is claimed already; the blocks are added
 * @report: told of every problem, and may have it go on; then @space has all that
 *	blocks claim rightly. NULL: the first one is an error
 * @err: filled in on failure
 *
 * Context: process context, may sleep.
 * Return: 0 or a negative errno, @report's included. MS-VHDX 2.5.
 */
int vhdx_block_map_load(struct vhdx_image *img, struct vhdx_space *space,
			struct vhdx_report *report, struct vhdx_error *err)
{
	struct load load = { .img = img, .report = report, .space = space };
	struct vhdx_block_map *map;
	__le64 *buf;
	u64 pages;
	int ret;

	pages = DIV_ROUND_UP(img->geometry.bat_entries, PAGE_ENTRIES);
	if (img->bat_region->length / sizeof(__le64) < img->geometry.bat_entries) {
		vhdx_fail_value(err, -EUCLEAN, "BAT region", "Length",
				img->bat_region->file_offset,
				img->bat_region->length,
				"too short for the disk");
		ret = problem(&load, VHDX_FINDING_BAT_SHORT, err);
		if (ret)
			return ret;
		pages = img->bat_region->length / PAGE_BYTES;
	}

	map = kvzalloc(struct_size(map, page, pages), VHDX_GFP_SIZED);
	buf = kvmalloc(READ_BYTES, GFP_KERNEL);
	if (map)
		map->pages = pages;
	img->map = map;
	if (map && buf)
		ret = load_bat(&load, buf, err);
	else
		ret = vhdx_no_memory(err, "BAT", img->bat_region->file_offset);
	kvfree(buf);
	img->counts.payload[VHDX_PAYLOAD_NOT_PRESENT] =
		img->geometry.payload_blocks - load.present;
	return ret;
}

/**
 * vhdx_block_map_free() - give a block map back
 * @map: may be NULL
 */
void vhdx_block_map_free(struct vhdx_block_map *map)
{
	u64 i;

	if (!map)
		return;
	for (i = 0; i < map->pages; i++)
		kfree(map->page[i]);
	kvfree(map);
}

/**
 * vhdx_block_map_entry() - one entry of the BAT as it is now
 * @map: the block map
 * @index: into the BAT
 *
 * Context: any, takes no lock.
 * Return: the entry, in the CPU's byte order.
 */
u64 vhdx_block_map_entry(const struct vhdx_block_map *map, u64 index)
{
	/* pairs with the cmpxchg() that puts a page of zeros there */
	const __le64 *page = smp_load_acquire(&map->page[index / PAGE_ENTRIES]);

	if (!page)
		return 0;
	/* and with vhdx_block_map_set(): the file has grown as far as it names */
	return le64_to_cpu(smp_load_acquire(&page[index % PAGE_ENTRIES]));
}

/**
 * vhdx_block_map_next() - find the next entry that is not zero
 * @map: the block map
 * @index: into the BAT, where to begin
 *
 * Context: nobody changes the map.
 * Return: its index, or U64_MAX.
 */
u64 vhdx_block_map_next(const struct vhdx_block_map *map, u64 index)
{
	u64 page;

	for (page = index / PAGE_ENTRIES; page < map->pages; page++) {
		index = max(index, page * PAGE_ENTRIES);
		for (; map->page[page] && index < (page + 1) * PAGE_ENTRIES;
		     index++)
			if (map->page[page][index % PAGE_ENTRIES])
				return index;
	}
	return U64_MAX;
}

/**
 * vhdx_block_map_reserve() - get memory for a page that an entry goes into
 * @map: the block map
 * @page: index of the page
 *
 * Context: process context, may sleep.
 */
void vhdx_block_map_reserve(struct vhdx_block_map *map, u64 page)
{
	__le64 *fresh;

	if (READ_ONCE(map->page[page]))
		return;
	fresh = kzalloc(PAGE_BYTES, GFP_NOIO | __GFP_NOFAIL);
	/* Another may have been faster. */
	if (cmpxchg(&map->page[page], NULL, fresh))
		kfree(fresh);
}

/**
 * vhdx_block_map_set() - change an entry
 * @map: the block map
 * @index: into the BAT; its page is reserved
 * @entry: in the CPU's byte order
 *
 * Context: under map_sem and the lock of the page's shard.
 */
void vhdx_block_map_set(struct vhdx_block_map *map, u64 index, u64 entry)
{
	/* pairs with vhdx_block_map_entry() */
	smp_store_release(&map->page[index / PAGE_ENTRIES][index % PAGE_ENTRIES],
			  cpu_to_le64(entry));
}

/**
 * vhdx_block_map_page() - the bytes of a page
 * @map: the block map
 * @page: index of the page, which is reserved
 *
 * Context: map_sem held for writing.
 * Return: 4 KiB.
 */
const void *vhdx_block_map_page(const struct vhdx_block_map *map, u64 page)
{
	return map->page[page];
}
