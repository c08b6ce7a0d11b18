// SPDX-License-Identifier: GPL-2.0
/*
 * VHD, after Microsoft's "Virtual Hard Disk Image Format Specification" 1.0. All
 * integers are big-endian.
 *
 * A fixed VHD is a raw disk with a footer of one sector behind it. A dynamic one
 * has a copy of the footer at its start, a header, a table with the place of each
 * block, and before each block's data a bitmap of the sectors that were written.
 */
#include <endian.h>
#include <time.h>

#include "vhd.h"

#define FOOTER_COOKIE	"conectix"
#define HEADER_COOKIE	"cxsparse"
#define COOKIE_SIZE	8

#define VERSION		0x00010000U
#define FEATURES	0x00000002U	/* a reserved bit that is always set */
#define NO_OFFSET	U64_MAX
#define UNUSED_BLOCK	U32_MAX
#define EPOCH		946684800	/* the first second of 2000 */

/* How far from its end a file is looked through for a footer, in bytes. */
#define PADDING		0x10000U

#define MIN_BLOCK_SIZE	0x1000U
#define MAX_BLOCK_SIZE	0x10000000U

enum disk_type {
	TYPE_FIXED = 2,
	TYPE_DYNAMIC = 3,
	TYPE_DIFFERENCING = 4,
};

struct footer {
	char cookie[COOKIE_SIZE];
	u32 features;
	u32 version;
	u64 data_offset;
	u32 timestamp;
	char creator[4];
	u32 creator_version;
	char creator_host[4];
	u64 original_size;
	u64 current_size;
	u16 cylinders;
	u8 heads;
	u8 sectors;
	u32 type;
	u32 checksum;
	guid_t uuid;
	u8 saved_state;
	u8 reserved[427];
};

struct header {
	char cookie[COOKIE_SIZE];
	u64 data_offset;
	u64 table_offset;
	u32 version;
	u32 max_entries;
	u32 block_size;
	u32 checksum;
	u8 rest[984];
};

/* The one's complement of the sum of all bytes, the checksum's own left out. */
static u32 checksum(const void *buf, size_t length, size_t at)
{
	const u8 *p = buf;
	u32 sum = 0;

	for (size_t i = 0; i < length; i++)
		if (i < at || i >= at + sizeof(u32))
			sum += p[i];
	return ~sum;
}

static bool has_cookie(const struct footer *footer)
{
	return !memcmp(footer->cookie, FOOTER_COOKIE, COOKIE_SIZE);
}

static bool is_whole(const struct footer *footer)
{
	return has_cookie(footer) &&
	       be32toh(footer->checksum) ==
		       checksum(footer, sizeof(*footer),
				offsetof(struct footer, checksum));
}

/* Whether the copy at the start is one: there a fixed disk has its own data. */
static bool is_copy(const struct footer *footer)
{
	u32 type = be32toh(footer->type);

	return is_whole(footer) &&
	       (type == TYPE_DYNAMIC || type == TYPE_DIFFERENCING);
}

/* Before 2004 Virtual PC left out the last byte, which is reserved. */
static u64 footer_offset(u64 file_size)
{
	return file_size - VHD_FOOTER_SIZE +
	       (file_size % VHD_SECTOR_SIZE == VHD_SECTOR_SIZE - 1);
}

static int read_at(struct vhdx_file *file, void *buf, size_t length, u64 offset,
		   const char *structure, struct vhdx_error *err)
{
	int ret = file->ops->read(file, buf, length, offset);

	return ret ? vhdx_fail(err, ret, structure, NULL, offset,
			       "cannot be read") : 0;
}

/* --- opening ----------------------------------------------------------------- */

/**
 * vhd_probe - whether a file looks like a VHD
 * @file: open
 * @file_size: bytes
 * @is_vhd: receives it: the footer, or the copy of it that a dynamic one begins
 *	with, has its cookie
 *
 * Return: 0, or what reading answered.
 */
int vhd_probe(struct vhdx_file *file, u64 file_size, bool *is_vhd)
{
	struct footer footer;
	int ret;

	*is_vhd = false;
	if (file_size < VHD_FOOTER_SIZE)
		return 0;
	ret = file->ops->read(file, &footer, sizeof(footer),
			      footer_offset(file_size));
	if (!ret && !has_cookie(&footer)) {
		ret = file->ops->read(file, &footer, sizeof(footer), 0);
		*is_vhd = !ret && is_copy(&footer);
		return ret;
	}
	*is_vhd = !ret;
	return ret;
}

/**
 * vhd_find_footer - whether a file is a VHD with something behind its end
 * @file: open
 * @file_size: bytes
 * @found: receives it: a footer, with the checksum that it says, where a sector near
 *	the end begins
 *
 * Return: 0, or what reading answered.
 */
int vhd_find_footer(struct vhdx_file *file, u64 file_size, bool *found)
{
	u64 pos = ALIGN_DOWN(file_size, VHD_SECTOR_SIZE);
	u64 last = pos - min_t(u64, pos, PADDING);
	struct footer footer;
	int ret = 0;

	for (*found = false; !ret && !*found && pos > last; ) {
		pos -= VHD_SECTOR_SIZE;
		ret = file->ops->read(file, &footer, sizeof(footer), pos);
		*found = !ret && is_whole(&footer);
	}
	return ret;
}

static int read_footer(const struct vhd *vhd, struct footer *footer,
		       u64 *offset, struct vhdx_error *err)
{
	bool cookie;
	int ret;

	*offset = 0;
	if (vhd->file_size < VHD_FOOTER_SIZE)
		return vhdx_fail_value(err, -EUCLEAN, "file", NULL, 0,
				       vhd->file_size, "too short for a footer");
	*offset = footer_offset(vhd->file_size);
	ret = read_at(vhd->file, footer, sizeof(*footer), *offset, "footer",
		      err);
	if (ret || is_whole(footer))
		return ret;
	cookie = has_cookie(footer);
	ret = read_at(vhd->file, footer, sizeof(*footer), 0, "footer", err);
	if (ret)
		return ret;
	if (is_copy(footer)) {
		*offset = 0;
		return 0;
	}
	return cookie ? vhdx_fail(err, -EUCLEAN, "footer", "Checksum", *offset,
				  "wrong") :
			vhdx_fail(err, -EMEDIUMTYPE, "footer", "Cookie",
				  *offset, "no VHD");
}

static int check_footer(struct vhd *vhd, const struct footer *footer,
			u64 offset, struct vhdx_error *err)
{
	u32 type = be32toh(footer->type);

	vhd->size = be64toh(footer->current_size);
	if (be32toh(footer->version) >> 16 != VERSION >> 16)
		return vhdx_fail_value(err, -EOPNOTSUPP, "footer",
				       "File Format Version", offset,
				       be32toh(footer->version),
				       "not a version that is known");
	if (type == TYPE_DIFFERENCING)
		return vhdx_fail(err, -EOPNOTSUPP, "footer", "Disk Type",
				 offset, "a differencing VHD, which is not supported");
	if (type != TYPE_FIXED && type != TYPE_DYNAMIC)
		return vhdx_fail_value(err, -EUCLEAN, "footer", "Disk Type",
				       offset, type, "unknown");
	if (!vhd->size || vhd->size > VHD_MAX_SIZE ||
	    vhd->size % VHD_SECTOR_SIZE)
		return vhdx_fail_value(err, -EUCLEAN, "footer", "Current Size",
				       offset, vhd->size, "not the size of a disk");
	vhd->dynamic = type == TYPE_DYNAMIC;
	if (!vhd->dynamic && vhd->size > footer_offset(vhd->file_size))
		return vhdx_fail_value(err, -EUCLEAN, "footer", "Current Size",
				       offset, vhd->size,
				       "the file is shorter");
	return 0;
}

static int check_header(struct vhd *vhd, const struct header *header,
			u64 offset, struct vhdx_error *err)
{
	u64 entries = be32toh(header->max_entries);

	if (memcmp(header->cookie, HEADER_COOKIE, COOKIE_SIZE))
		return vhdx_fail(err, -EUCLEAN, "header", "Cookie", offset,
				 "wrong");
	if (be32toh(header->checksum) !=
	    checksum(header, sizeof(*header), offsetof(struct header, checksum)))
		return vhdx_fail(err, -EUCLEAN, "header", "Checksum", offset,
				 "wrong");
	if (be32toh(header->version) >> 16 != VERSION >> 16)
		return vhdx_fail_value(err, -EOPNOTSUPP, "header",
				       "Header Version", offset,
				       be32toh(header->version),
				       "not a version that is known");
	vhd->block_size = be32toh(header->block_size);
	if (!is_power_of_2(vhd->block_size) ||
	    vhd->block_size < MIN_BLOCK_SIZE ||
	    vhd->block_size > MAX_BLOCK_SIZE)
		return vhdx_fail_value(err, -EUCLEAN, "header", "Block Size",
				       offset, vhd->block_size,
				       "not a power of two from 4 KiB to 256 MiB");
	if (entries * vhd->block_size < vhd->size)
		return vhdx_fail_value(err, -EUCLEAN, "header",
				       "Max Table Entries", offset, entries,
				       "too few for the disk");
	vhd->table_offset = be64toh(header->table_offset);
	if (vhd->table_offset > vhd->file_size ||
	    entries * sizeof(u32) > vhd->file_size - vhd->table_offset)
		return vhdx_fail_value(err, -EUCLEAN, "header", "Table Offset",
				       offset, vhd->table_offset,
				       "the table ends past the end of the file");
	return 0;
}

static int open_dynamic(struct vhd *vhd, u64 offset, struct vhdx_error *err)
{
	struct header header;
	int ret;

	if (offset > vhd->file_size || vhd->file_size - offset < sizeof(header))
		return vhdx_fail_value(err, -EUCLEAN, "footer", "Data Offset",
				       0, offset, "past the end of the file");
	ret = read_at(vhd->file, &header, sizeof(header), offset, "header", err);
	if (!ret)
		ret = check_header(vhd, &header, offset, err);
	if (ret)
		return ret;
	vhd->bitmap_size = ALIGN(vhd->block_size / VHD_SECTOR_SIZE / 8,
				 VHD_SECTOR_SIZE);
	vhd->window_first = U32_MAX;
	vhd->bitmap_block = U32_MAX;
	vhd->bitmap = malloc(vhd->bitmap_size);
	return vhd->bitmap ? 0 : vhdx_fail(err, -ENOMEM, "bitmap", NULL, 0,
					   "no memory to read it");
}

/**
 * vhd_open - open a VHD
 * @vhd: filled in; closed by vhd_close()
 * @file: open; stays the caller's, who keeps it until then
 * @file_size: bytes
 * @err: filled in on failure
 *
 * Return: 0; -EMEDIUMTYPE: no VHD; -EUCLEAN: damaged; -EOPNOTSUPP: a differencing
 * one, or one of another version; or what reading answered.
 */
int vhd_open(struct vhd *vhd, struct vhdx_file *file, u64 file_size,
	     struct vhdx_error *err)
{
	struct footer footer;
	u64 offset;
	int ret;

	memset(vhd, 0, sizeof(*vhd));
	memset(err, 0, sizeof(*err));
	vhd->file = file;
	vhd->file_size = file_size;
	ret = read_footer(vhd, &footer, &offset, err);
	if (!ret)
		ret = check_footer(vhd, &footer, offset, err);
	if (!ret && vhd->dynamic)
		ret = open_dynamic(vhd, be64toh(footer.data_offset), err);
	return ret;
}

/**
 * vhd_close - close a VHD
 * @vhd: from vhd_open(), or zeroed
 */
void vhd_close(struct vhd *vhd)
{
	free(vhd->bitmap);
	vhd->bitmap = NULL;
}

/* --- the blocks ------------------------------------------------------------------ */

/* The table of a large disk is not kept in memory. */
static int read_entry(struct vhd *vhd, u32 block, u32 *entry,
		      struct vhdx_error *err)
{
	u32 first = ALIGN_DOWN(block, VHD_TABLE_WINDOW);
	int ret;

	if (vhd->window_first != first) {
		vhd->window_first = U32_MAX;
		/* What it reads past the table it does not look at. */
		ret = read_at(vhd->file, vhd->window, sizeof(vhd->window),
			      vhd->table_offset + first * sizeof(u32), "table",
			      err);
		if (ret)
			return ret;
		vhd->window_first = first;
	}
	*entry = be32toh(vhd->window[block - first]);
	return 0;
}

static int read_bitmap(struct vhd *vhd, u32 block, u64 offset,
		       struct vhdx_error *err)
{
	int ret;

	if (vhd->bitmap_block == block)
		return 0;
	vhd->bitmap_block = U32_MAX;
	ret = read_at(vhd->file, vhd->bitmap, vhd->bitmap_size, offset,
		      "bitmap", err);
	if (!ret)
		vhd->bitmap_block = block;
	return ret;
}

static bool is_written(const struct vhd *vhd, u64 sector)
{
	return vhd->bitmap[sector / 8] & 0x80 >> sector % 8;
}

/* Goes on for as long as the bitmap says the same. */
static void look_at_bitmap(const struct vhd *vhd, u64 in_block, u64 length,
			   struct vhd_extent *extent)
{
	u64 first = in_block / VHD_SECTOR_SIZE;
	u64 end = DIV_ROUND_UP(in_block + length, VHD_SECTOR_SIZE);
	u64 sector = first + 1;

	extent->present = is_written(vhd, first);
	while (sector < end && is_written(vhd, sector) == extent->present)
		sector++;
	extent->length = min(length, sector * VHD_SECTOR_SIZE - in_block);
}

static int map_dynamic(struct vhd *vhd, u64 pos, u64 length,
		       struct vhd_extent *extent, struct vhdx_error *err)
{
	u32 block = (u32)(pos / vhd->block_size);
	u64 in_block = pos % vhd->block_size;
	u64 offset;
	u32 entry;
	int ret;

	length = min(length, vhd->block_size - in_block);
	ret = read_entry(vhd, block, &entry, err);
	if (ret)
		return ret;
	if (entry == UNUSED_BLOCK) {
		extent->present = false;
		extent->length = length;
		return 0;
	}
	offset = (u64)entry * VHD_SECTOR_SIZE;
	extent->offset = offset + vhd->bitmap_size + in_block;
	if (extent->offset + length > vhd->file_size)
		return vhdx_fail_value(err, -EUCLEAN, "table", NULL,
				       vhd->table_offset + block * sizeof(u32),
				       entry, "the block ends past the end of the file");
	ret = read_bitmap(vhd, block, offset, err);
	if (!ret)
		look_at_bitmap(vhd, in_block, length, extent);
	return ret;
}

/**
 * vhd_map - find where a piece of the disk is
 * @vhd: open
 * @pos: bytes from the start of the disk
 * @length: bytes, more than 0; @pos + @length lies inside the disk
 * @extent: receives the piece at @pos, at most @length bytes
 * @err: filled in on failure
 *
 * Return: 0; -EUCLEAN: the table is damaged; or what reading answered.
 */
int vhd_map(struct vhd *vhd, u64 pos, u64 length, struct vhd_extent *extent,
	    struct vhdx_error *err)
{
	memset(extent, 0, sizeof(*extent));
	if (vhd->dynamic)
		return map_dynamic(vhd, pos, length, extent, err);
	extent->present = true;
	extent->offset = pos;
	extent->length = length;
	return 0;
}

/* --- the footer ---------------------------------------------------------------------- */

/* The specification's own arithmetic, on which other programs count. */
static void set_geometry(struct footer *footer, u64 size)
{
	u64 sectors = min(size / VHD_SECTOR_SIZE, 65535ULL * 16 * 255);
	u64 per_track, heads, tracks;

	if (sectors >= 65535ULL * 16 * 63) {
		per_track = 255;
		heads = 16;
		tracks = sectors / per_track;
	} else {
		per_track = 17;
		tracks = sectors / per_track;
		heads = max((tracks + 1023) / 1024, 4ULL);
		if (tracks >= heads * 1024 || heads > 16) {
			per_track = 31;
			heads = 16;
			tracks = sectors / per_track;
		}
		if (tracks >= heads * 1024) {
			per_track = 63;
			tracks = sectors / per_track;
		}
	}
	footer->cylinders = htobe16((u16)(tracks / heads));
	footer->heads = (u8)heads;
	footer->sectors = (u8)per_track;
}

/**
 * vhd_footer - the footer of a fixed VHD
 * @buf: receives it
 * @size: of the disk, bytes
 *
 * QEMU takes the size from the geometry, which most sizes are not a multiple of,
 * unless it knows the creator; so it is signed as Hyper-V does.
 */
void vhd_footer(u8 buf[VHD_FOOTER_SIZE], u64 size)
{
	struct footer footer = {
		.cookie = { 'c', 'o', 'n', 'e', 'c', 't', 'i', 'x' },
		.features = htobe32(FEATURES),
		.version = htobe32(VERSION),
		.data_offset = htobe64(NO_OFFSET),
		.timestamp = htobe32((u32)(time(NULL) - EPOCH)),
		.creator = { 'w', 'i', 'n', ' ' },
		.creator_version = htobe32(0x000A0000),
		.creator_host = { 'W', 'i', '2', 'k' },
		.original_size = htobe64(size),
		.current_size = htobe64(size),
		.type = htobe32(TYPE_FIXED),
	};

	BUILD_BUG_ON(sizeof(struct footer) != VHD_FOOTER_SIZE);
	BUILD_BUG_ON(sizeof(struct header) != 1024);
	guid_gen(&footer.uuid);
	set_geometry(&footer, size);
	footer.checksum = htobe32(checksum(&footer, sizeof(footer),
					   offsetof(struct footer, checksum)));
	memcpy(buf, &footer, sizeof(footer));
}
