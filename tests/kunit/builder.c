// SPDX-License-Identifier: GPL-2.0
#include "builder.h"

#define MIB		0x100000ULL
#define PIECE		0x10000U
#define ITEMS_OFFSET	0x10000U

/* Bits are drawn for so many sectors together, or for some of these groups. */
#define GROUP_SECTORS	64U
#define LONG_SECTORS	40000U

const guid_t builder_guid_bat =
	GUID_INIT(0x2DC27766, 0xF623, 0x4200,
		  0x9D, 0x64, 0x11, 0x5E, 0x9B, 0xFD, 0x4A, 0x08);
const guid_t builder_guid_metadata =
	GUID_INIT(0x8B7CA206, 0x4790, 0x4B9A,
		  0xB8, 0xFE, 0x57, 0x5F, 0x05, 0x0F, 0x88, 0x6E);
const guid_t builder_guid_locator =
	GUID_INIT(0xB04AEFB7, 0xD19E, 0x4A81,
		  0xB7, 0x89, 0x25, 0xB8, 0xE9, 0x44, 0x59, 0x13);
const guid_t builder_guid_item[BUILDER_ITEMS] = {
	[BUILDER_FILE_PARAMETERS] =
		GUID_INIT(0xCAA16737, 0xFA36, 0x4D43,
			  0xB3, 0xB6, 0x33, 0xF0, 0xAA, 0x44, 0xE7, 0x6B),
	[BUILDER_VIRTUAL_DISK_SIZE] =
		GUID_INIT(0x2FA54224, 0xCD1B, 0x4876,
			  0xB2, 0x11, 0x5D, 0xBE, 0xD8, 0x3B, 0xF4, 0xB8),
	[BUILDER_VIRTUAL_DISK_ID] =
		GUID_INIT(0xBECA12AB, 0xB2E6, 0x4523,
			  0x93, 0xEF, 0xC3, 0x09, 0xE0, 0x00, 0xC7, 0x46),
	[BUILDER_LOGICAL_SECTOR_SIZE] =
		GUID_INIT(0x8141BF1D, 0xA96F, 0x4709,
			  0xBA, 0x47, 0xF2, 0x33, 0xA8, 0xFA, 0xAB, 0x5F),
	[BUILDER_PHYSICAL_SECTOR_SIZE] =
		GUID_INIT(0xCDA348C7, 0x445D, 0x4471,
			  0x9C, 0xC9, 0xE9, 0x88, 0x52, 0x51, 0xC5, 0x56),
	[BUILDER_PARENT_LOCATOR] =
		GUID_INIT(0xA8D35F2D, 0xB30B, 0x454D,
			  0xAB, 0xF7, 0xD3, 0xD8, 0x48, 0x34, 0xAB, 0x0C),
};

/* Any values will do for these. */
const guid_t builder_disk_id =
	GUID_INIT(0x12345678, 0x9ABC, 0x4DEF,
		  0x81, 0x02, 0x83, 0x04, 0x85, 0x06, 0x87, 0x08);
const guid_t builder_data_write_guid =
	GUID_INIT(0xDA7A0001, 0x1111, 0x4222,
		  0x83, 0x33, 0x44, 0x44, 0x55, 0x55, 0x66, 0x66);
static const guid_t file_write_guid =
	GUID_INIT(0xF11E0001, 0x1111, 0x4222,
		  0x83, 0x33, 0x44, 0x44, 0x55, 0x55, 0x66, 0x66);

/* What placing needs; b and layout are the caller's. */
struct state {
	const struct builder *b;
	const struct builder_sink *sink;
	struct builder_layout *layout;
	u64 random;
	u64 place;
	u32 *slot;		/* of the n-th block, when shuffled */
	u64 next;		/* n */
	u64 *bitmap;		/* by chunk, 0: none yet */
	u8 *piece;
};

/**
 * builder_random() - draw a number (splitmix64)
 * @state: the seed, moved on
 */
u64 builder_random(u64 *state)
{
	u64 x = *state += 0x9E3779B97F4A7C15ULL;

	x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
	x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
	return x ^ (x >> 31);
}

/**
 * builder_pattern() - what the virtual disk holds where it was written
 * @buf: receives it
 * @len: bytes, a multiple of 512
 * @seed: the image's
 * @pos: bytes on the virtual disk, a multiple of 512
 *
 * Each sector of 512 bytes starts with its own position and no two are alike.
 */
void builder_pattern(void *buf, size_t len, u64 seed, u64 pos)
{
	__le64 *word = buf;

	for (; len; len -= 512, pos += 512) {
		u64 state = seed ^ (pos << 8);
		int i;

		*word++ = cpu_to_le64(pos);
		for (i = 1; i < 64; i++)
			*word++ = cpu_to_le64(builder_random(&state));
	}
}

/**
 * builder_block_state() - the state a payload block was built with
 * @b: the image
 * @block: its number
 */
u32 builder_block_state(const struct builder *b, u64 block)
{
	u32 i;

	for (i = 0; i < b->blocks; i++)
		if (b->block[i].block == block)
			return b->block[i].state;
	return b->default_state;
}

static bool has_pattern(const struct builder *b, u64 in_block)
{
	return !b->data_bytes || in_block < b->data_bytes ||
	       in_block >= b->block_size - b->data_bytes;
}

/**
 * builder_has_sector() - the bit of a sector of a PARTIALLY_PRESENT block
 * @b: the image
 * @sector: of the virtual disk
 *
 * Return: whether it is in this file.
 */
bool builder_has_sector(const struct builder *b, u64 sector)
{
	u64 state = b->seed * 0xD1342543DE82EF95ULL, draw;
	u32 at = sector % GROUP_SECTORS, i;

	for (i = 0; i < b->runs; i++)
		if (sector - b->run[i].first < b->run[i].count)
			return true;
	if (b->run)
		return false;

	state += sector / GROUP_SECTORS;
	draw = builder_random(&state);
	switch (draw & 7) {
	case 0:
		return sector & 1;
	case 1:
	case 2:
		return (at < (draw >> 8) % GROUP_SECTORS) == (draw >> 4 & 1);
	case 3:
		return at - (draw >> 8) % GROUP_SECTORS <
		       1 + (draw >> 16) % GROUP_SECTORS;
	default:
		state = b->seed ^ sector / LONG_SECTORS << 20;
		return builder_random(&state) & 1;
	}
}

/* What @b itself says of the bytes at @pos, for at most @len of them. */
static u64 look_at_level(const struct builder *b, u64 pos, u64 len, u32 *state)
{
	u32 shift = ilog2(b->logical_sector_size);
	u64 sector = pos >> shift, n;
	bool present;

	if (pos >= b->disk_size) {
		*state = 2;
		return len;
	}
	len = min(len, b->disk_size - pos);
	len = min(len, b->block_size - (pos & (b->block_size - 1)));
	*state = builder_block_state(b, pos >> ilog2(b->block_size));
	if (*state != 7)
		return len;
	present = builder_has_sector(b, sector);
	*state = present ? 6 : 0;
	do {
		sector++;
		n = (sector << shift) - pos;
	} while (n < len && builder_has_sector(b, sector) == present);
	return min(n, len);
}

static void expect_data(const struct builder *b, void *buf, u64 len, u64 pos)
{
	for (; len; len -= 512, pos += 512, buf += 512)
		if (has_pattern(b, pos & (b->block_size - 1)))
			builder_pattern(buf, 512, b->seed, pos);
		else
			memset(buf, 0, 512);
}

/**
 * builder_expect() - what a guest must read from an image
 * @b: the image, with its parents
 * @buf: receives it
 * @len: bytes, a multiple of 512
 * @pos: bytes on the virtual disk, a multiple of 512
 */
void builder_expect(const struct builder *b, void *buf, size_t len, u64 pos)
{
	while (len) {
		const struct builder *level = b;
		u64 n = len;
		u32 state = 0;

		for (; level; level = level->parent) {
			n = look_at_level(level, pos, n, &state);
			if (state || !level->differencing)
				break;
		}
		if (level && state == 6)
			expect_data(level, buf, n, pos);
		else
			memset(buf, 0, n);
		buf += n;
		pos += n;
		len -= n;
	}
}

/**
 * builder_guid() - a DataWriteGuid
 * @number: 1 for builder_data_write_guid
 */
guid_t builder_guid(u32 number)
{
	guid_t guid = builder_data_write_guid;
	__le32 *first = (__le32 *)&guid;

	*first = cpu_to_le32(le32_to_cpu(*first) + number - 1);
	return guid;
}

/**
 * builder_set_parent() - make an image a differencing one
 * @b: the image
 * @parent: what it was made from
 */
void builder_set_parent(struct builder *b, const struct builder *parent)
{
	b->differencing = true;
	b->parent = parent;
	b->parent_linkage = parent->data_write_guid;
	b->logical_sector_size = parent->logical_sector_size;
}

/**
 * builder_init() - a dynamic image of 16 MiB that holds nothing
 * @b: filled in, to be changed by the caller
 */
void builder_init(struct builder *b)
{
	memset(b, 0, sizeof(*b));
	b->disk_size = 16 * MIB;
	b->block_size = MIB;
	b->logical_sector_size = 512;
	b->physical_sector_size = 4096;
	b->relative_path = ".\\parent.vhdx";
	b->data_write_guid = builder_data_write_guid;
	b->log_length = MIB;
	b->sequence_number = 7;
	b->seed = 1;
	b->creator = "vhdx tests";
}

/**
 * builder_bat_index() - the BAT index of a payload block (MS-VHDX 2.5)
 * @layout: of the image
 * @block: its number
 */
u64 builder_bat_index(const struct builder_layout *layout, u64 block)
{
	return block + block / layout->chunk_ratio;
}

/**
 * builder_bitmap_index() - the BAT index of a chunk's sector bitmap block
 * @layout: of the image
 * @chunk: its number
 */
u64 builder_bitmap_index(const struct builder_layout *layout, u64 chunk)
{
	return (chunk + 1) * layout->chunk_ratio + chunk;
}

/**
 * builder_seal() - put the checksum of a header or region table into it
 * @buf: the structure, the checksum at its fourth byte
 * @len: bytes that it covers
 */
void builder_seal(void *buf, size_t len)
{
	__le32 *checksum = buf + 4;

	*checksum = 0;
	*checksum = cpu_to_le32(~crc32c(~0U, buf, len));
}

static int write_file_id(struct state *s)
{
	struct vhdx_disk_file_id *id = (void *)s->piece;
	u32 i;

	memset(id, 0, sizeof(*id));
	memcpy(id, "vhdxfile", 8);
	for (i = 0; s->b->creator[i] && i < VHDX_CREATOR_CHARS; i++)
		id->creator[i] = cpu_to_le16(s->b->creator[i]);
	return s->sink->write(s->sink->ctx, id, sizeof(*id), 0);
}

/* Another one for each DataWriteGuid, by which some tell images apart. */
static guid_t own_file_write_guid(const struct builder *b)
{
	guid_t guid = file_write_guid;

	memcpy(&guid, &b->data_write_guid, 4);
	return guid;
}

static int write_header(struct state *s, u64 offset, u64 sequence_number)
{
	struct vhdx_disk_header *header = (void *)s->piece;

	memset(header, 0, sizeof(*header));
	memcpy(header, "head", 4);
	header->sequence_number = cpu_to_le64(sequence_number);
	header->file_write_guid = own_file_write_guid(s->b);
	header->data_write_guid = s->b->data_write_guid;
	header->log_guid = s->b->log_guid;
	header->version = cpu_to_le16(1);
	header->log_length = cpu_to_le32(s->layout->log_length);
	header->log_offset = cpu_to_le64(s->layout->log_offset);
	builder_seal(header, 4096);
	return s->sink->write(s->sink->ctx, header, 4096, offset);
}

static int write_region_tables(struct state *s)
{
	struct vhdx_disk_region_table_header *table = (void *)s->piece;
	struct vhdx_disk_region_table_entry *entry = (void *)(table + 1);
	u32 required = !s->b->regions_optional;
	u32 count = 2;
	int ret;

	memset(s->piece, 0, PIECE);
	memcpy(table, "regi", 4);
	entry[0].guid = builder_guid_bat;
	entry[0].file_offset = cpu_to_le64(s->layout->bat_offset);
	entry[0].length = cpu_to_le32(s->layout->bat_length);
	entry[0].required = cpu_to_le32(required);
	entry[1].guid = builder_guid_metadata;
	entry[1].file_offset = cpu_to_le64(s->layout->metadata_offset);
	entry[1].length = cpu_to_le32(s->layout->metadata_length);
	entry[1].required = cpu_to_le32(required);
	if (s->b->region.length) {
		entry[2].guid = s->b->region.guid;
		entry[2].file_offset = cpu_to_le64(s->layout->region_offset);
		entry[2].length = cpu_to_le32(s->b->region.length);
		entry[2].required = cpu_to_le32(s->b->region.required);
		count = 3;
	}
	table->entry_count = cpu_to_le32(count);
	builder_seal(table, 65536);
	ret = s->sink->write(s->sink->ctx, table, 65536, 0x30000);
	if (!ret)
		ret = s->sink->write(s->sink->ctx, table, 65536, 0x40000);
	return ret;
}

static u8 *append_utf16(u8 *p, const char *text)
{
	for (; *text; text++) {
		*p++ = *text;
		*p++ = 0;
	}
	return p;
}

static void print_guid(char *buf, size_t size, const guid_t *guid)
{
	const u8 *g = (const u8 *)guid;

	scnprintf(buf, size,
		  "{%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x}",
		  g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9],
		  g[10], g[11], g[12], g[13], g[14], g[15]);
}

/**
 * builder_locator() - make a parent locator (MS-VHDX 2.6.2.6)
 * @b: the image
 * @buf: receives it, has 4 KiB
 *
 * Return: its length in bytes.
 */
size_t builder_locator(const struct builder *b, u8 *buf)
{
	struct vhdx_disk_parent_locator_header *header = (void *)buf;
	struct vhdx_disk_parent_locator_entry *entry = (void *)(header + 1);
	char linkage[40], linkage2[40];
	const char * const text[] = {
		"parent_linkage", linkage, "relative_path", b->relative_path,
		"parent_linkage2", linkage2,
	};
	const u32 count = b->parent_linkage2 ? 3 : 2;
	u8 *p = (u8 *)(entry + count), *start;
	u32 i;

	print_guid(linkage, sizeof(linkage), &b->parent_linkage);
	if (b->parent_linkage2)
		print_guid(linkage2, sizeof(linkage2), b->parent_linkage2);
	memset(buf, 0, 4096);
	header->locator_type = builder_guid_locator;
	header->key_value_count = cpu_to_le16(count);
	for (i = 0; i < count; i++) {
		start = p;
		p = append_utf16(p, text[2 * i]);
		entry[i].key_offset = cpu_to_le32(start - buf);
		entry[i].key_length = cpu_to_le16(p - start);
		start = p;
		p = append_utf16(p, text[2 * i + 1]);
		entry[i].value_offset = cpu_to_le32(start - buf);
		entry[i].value_length = cpu_to_le16(p - start);
	}
	return p - buf;
}

static size_t make_item(const struct builder *b, enum builder_item item,
			u8 *buf)
{
	struct vhdx_disk_file_parameters *parameters = (void *)buf;
	__le64 *size64 = (void *)buf;
	__le32 *size32 = (void *)buf;

	switch (item) {
	case BUILDER_FILE_PARAMETERS:
		parameters->block_size = cpu_to_le32(b->block_size);
		parameters->flags = cpu_to_le32(b->fixed | b->differencing << 1);
		return 8;
	case BUILDER_VIRTUAL_DISK_SIZE:
		*size64 = cpu_to_le64(b->disk_size);
		return 8;
	case BUILDER_VIRTUAL_DISK_ID:
		memcpy(buf, &builder_disk_id, 16);
		return 16;
	case BUILDER_LOGICAL_SECTOR_SIZE:
		*size32 = cpu_to_le32(b->logical_sector_size);
		return 4;
	case BUILDER_PHYSICAL_SECTOR_SIZE:
		*size32 = cpu_to_le32(b->physical_sector_size);
		return 4;
	default:
		return b->differencing ? builder_locator(b, buf) : 0;
	}
}

static int write_metadata(struct state *s)
{
	struct vhdx_disk_metadata_table_header *table;
	struct vhdx_disk_metadata_table_entry *entry;
	u32 offset = ITEMS_OFFSET, count = 0, order[BUILDER_ITEMS] = { 0 }, i;
	u8 *items = s->piece + 4096;
	int ret;

	for (i = 0; i < BUILDER_ITEMS; i++) {
		u32 j = s->b->shuffle ? builder_random(&s->random) % (i + 1) : i;

		order[i] = order[j];
		order[j] = i;
	}
	/* The first 4 KiB of the table, and of the items. */
	memset(s->piece, 0, PIECE);
	table = (void *)s->piece;
	entry = (void *)(table + 1);
	memcpy(table, "metadata", 8);
	for (i = 0; i < BUILDER_ITEMS; i++) {
		size_t length = make_item(s->b, order[i],
					  items + (offset - ITEMS_OFFSET));

		if (!length)
			continue;
		s->layout->item[order[i]] = offset;
		entry->item_id = builder_guid_item[order[i]];
		entry->offset = cpu_to_le32(offset);
		entry->length = cpu_to_le32(length);
		/* required, and virtual disk but for the first and last */
		entry->flags = cpu_to_le32(order[i] == BUILDER_FILE_PARAMETERS ||
					   order[i] == BUILDER_PARENT_LOCATOR ?
					   4 : 6);
		entry++;
		count++;
		offset += ALIGN(length, 8);
		if (s->b->shuffle)
			offset += 8 * (builder_random(&s->random) % 9);
	}
	table->entry_count = cpu_to_le16(count);
	ret = s->sink->write(s->sink->ctx, s->piece, 4096,
			     s->layout->metadata_offset);
	if (!ret)
		ret = s->sink->write(s->sink->ctx, items,
				     ALIGN(offset, 4096) - ITEMS_OFFSET,
				     s->layout->metadata_offset + ITEMS_OFFSET);
	return ret;
}

static u64 take(struct state *s, u64 length)
{
	u64 offset;

	if (s->b->shuffle)
		s->place += (builder_random(&s->random) % 3) * MIB;
	offset = s->place;
	s->place += ALIGN(length, MIB);
	return offset;
}

static void place_structures(struct state *s)
{
	struct builder_layout *l = s->layout;
	const struct builder *b = s->b;
	u32 order[4] = { 0, 1, 2, 3 }, i;
	u64 chunks;

	l->chunk_ratio = (b->logical_sector_size * 0x800000ULL) >>
			 ilog2(b->block_size);
	l->payload_blocks = (b->disk_size + b->block_size - 1) >>
			    ilog2(b->block_size);
	chunks = (l->payload_blocks + l->chunk_ratio - 1) >>
		 ilog2(l->chunk_ratio);
	if (b->differencing)
		l->bat_entries = chunks * (l->chunk_ratio + 1);
	else
		l->bat_entries = l->payload_blocks +
				 ((l->payload_blocks - 1) >> ilog2(l->chunk_ratio));
	l->bat_length = ALIGN(l->bat_entries * 8, MIB);
	l->log_length = b->log_length;
	l->metadata_length = BUILDER_METADATA_LENGTH;

	s->place = MIB;
	for (i = 0; b->shuffle && i < ARRAY_SIZE(order); i++) {
		u32 j = builder_random(&s->random) % (i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (i = 0; i < ARRAY_SIZE(order); i++) {
		if (order[i] == 0)
			l->log_offset = b->log_length ?
					take(s, b->log_length) : 0;
		else if (order[i] == 1)
			l->bat_offset = take(s, l->bat_length);
		else if (order[i] == 2)
			l->metadata_offset = take(s, l->metadata_length);
		else if (b->region.length)
			l->region_offset = take(s, b->region.length);
	}
	l->blocks_offset = s->place;
}

/* Where the bit says that it is the parent's, something that nobody may see. */
static void spoil_absent(const struct builder *b, u8 *buf, size_t len, u64 pos)
{
	u32 shift = ilog2(b->logical_sector_size);
	size_t i;

	for (i = 0; i < len; i += 512)
		if (!builder_has_sector(b, (pos + i) >> shift))
			builder_pattern(buf + i, 512, ~b->seed, pos + i);
}

static int write_data(struct state *s, u64 block, u32 state, u64 offset,
		      u64 from, u64 to)
{
	u64 pos = block << ilog2(s->b->block_size);
	int ret = 0;

	for (; !ret && from < to; from += PIECE) {
		size_t n = min_t(u64, to - from, PIECE);

		builder_pattern(s->piece, n, s->b->seed, pos + from);
		if (state == 7)
			spoil_absent(s->b, s->piece, n, pos + from);
		ret = s->sink->write(s->sink->ctx, s->piece, n, offset + from);
	}
	return ret;
}

static int write_bat_entry(struct state *s, u64 index, u64 entry)
{
	__le64 disk = cpu_to_le64(entry);

	return s->sink->write(s->sink->ctx, &disk, sizeof(disk),
			      s->layout->bat_offset + 8 * index);
}

static bool needs_place(u32 state, u64 offset)
{
	return offset == BUILDER_PLACE || (!offset && state >= 6);
}

static u64 place_block(struct state *s)
{
	u64 slot = s->slot ? s->slot[s->next++] : s->next++;
	/* Shuffled blocks stand a MiB apart, so that not all are aligned. */
	u64 apart = s->b->block_size + (s->slot ? MIB : 0);
	u64 offset = s->layout->blocks_offset + slot * apart;

	s->place = max(s->place, offset + s->b->block_size);
	return offset;
}

static int write_block(struct state *s, u64 block, u32 state, u64 offset)
{
	u32 size = s->b->block_size, bytes = s->b->data_bytes;
	int ret;

	if (needs_place(state, offset)) {
		offset = place_block(s);
		if (!bytes || 2 * bytes >= size) {
			ret = write_data(s, block, state, offset, 0, size);
		} else {
			ret = write_data(s, block, state, offset, 0, bytes);
			if (!ret)
				ret = write_data(s, block, state, offset,
						 size - bytes, size);
		}
		if (ret)
			return ret;
	}
	if (!state && !offset)
		return 0;
	return write_bat_entry(s, builder_bat_index(s->layout, block),
			       offset | state);
}

static int place_bitmap(struct state *s, u64 chunk)
{
	s->bitmap[chunk] = take(s, MIB);
	return write_bat_entry(s, builder_bitmap_index(s->layout, chunk),
			       s->bitmap[chunk] | 6);
}

/* The bits of one block (MS-VHDX 2.4), least significant first. */
static int write_bits(struct state *s, u64 block)
{
	u32 sectors = s->b->block_size / s->b->logical_sector_size, i;
	u32 ratio_shift = ilog2(s->layout->chunk_ratio);
	u64 chunk = block >> ratio_shift;
	u64 in_chunk = block - (chunk << ratio_shift);
	int ret = 0;

	if (!s->bitmap[chunk])
		ret = place_bitmap(s, chunk);
	if (ret)
		return ret;
	memset(s->piece, 0, sectors / 8);
	for (i = 0; i < sectors; i++)
		if (builder_has_sector(s->b, block * sectors + i))
			s->piece[i / 8] |= 1 << i % 8;
	return s->sink->write(s->sink->ctx, s->piece, sectors / 8,
			      s->bitmap[chunk] + in_chunk * sectors / 8);
}

static int write_bitmaps(struct state *s)
{
	const struct builder *b = s->b;
	u64 block;
	int ret = 0;
	u32 n;

	s->bitmap = kvcalloc((s->layout->payload_blocks - 1) /
			     s->layout->chunk_ratio + 1,
			     sizeof(*s->bitmap), GFP_KERNEL);
	if (!s->bitmap)
		return -ENOMEM;
	for (n = 0; !ret && n < b->blocks; n++)
		if (b->block[n].state == 7 || b->stale_bits)
			ret = write_bits(s, b->block[n].block);
	if (b->default_state != 7)
		return ret;
	for (block = 0; !ret && block < s->layout->payload_blocks; block++)
		if (builder_block_state(b, block) == 7)
			ret = write_bits(s, block);
	return ret;
}

static int shuffle_slots(struct state *s, u64 count)
{
	u64 i, j;

	s->slot = kvcalloc(count + 1, sizeof(*s->slot), GFP_KERNEL);
	if (!s->slot)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		j = (builder_random(&s->random) >> 32) * (i + 1) >> 32;
		s->slot[i] = s->slot[j];
		s->slot[j] = i;
	}
	return 0;
}

static int write_blocks(struct state *s)
{
	const struct builder *b = s->b;
	u64 count = 0, block;
	int ret = 0;
	u32 n;

	if (b->default_state >= 6)
		count = s->layout->payload_blocks;
	if (b->shuffle) {
		ret = shuffle_slots(s, count + b->blocks);
		if (ret)
			return ret;
	}
	for (n = 0; !ret && n < b->blocks; n++)
		ret = write_block(s, b->block[n].block, b->block[n].state,
				  b->block[n].offset);
	if (!b->default_state)
		return ret;
	for (block = 0; !ret && block < s->layout->payload_blocks; block++) {
		for (n = 0; n < b->blocks; n++)
			if (b->block[n].block == block)
				break;
		if (n == b->blocks)
			ret = write_block(s, block, b->default_state, 0);
	}
	return ret;
}

static int build(struct state *s)
{
	const struct builder_sink *sink = s->sink;
	struct builder_layout *l = s->layout;
	int ret;

	place_structures(s);
	ret = sink->resize(sink->ctx, s->place);
	if (!ret)
		ret = write_file_id(s);
	if (!ret)
		ret = write_header(s, 0x10000, s->b->sequence_number);
	if (!ret)
		ret = write_header(s, 0x20000, s->b->sequence_number + 1);
	if (!ret)
		ret = write_region_tables(s);
	if (!ret)
		ret = write_metadata(s);
	if (!ret && s->b->bat_written)
		ret = sink->zero(sink->ctx, l->bat_length, l->bat_offset);
	if (!ret)
		ret = write_blocks(s);
	if (!ret && s->b->differencing)
		ret = write_bitmaps(s);
	l->file_size = s->place - s->b->cut;
	if (!ret)
		ret = sink->resize(sink->ctx, l->file_size);
	return ret;
}

/**
 * builder_build() - write an image
 * @b: which
 * @sink: where to, empty so far
 * @layout: receives where things are
 *
 * Return: 0, -ENOMEM, or what the sink answered.
 */
int builder_build(const struct builder *b, const struct builder_sink *sink,
		  struct builder_layout *layout)
{
	struct state s = {
		.b = b,
		.sink = sink,
		.layout = layout,
		.random = b->seed,
	};
	int ret;

	memset(layout, 0, sizeof(*layout));
	s.piece = kvmalloc(PIECE, GFP_KERNEL);
	if (!s.piece)
		return -ENOMEM;
	ret = build(&s);
	kvfree(s.bitmap);
	kvfree(s.slot);
	kvfree(s.piece);
	return ret;
}
