// SPDX-License-Identifier: GPL-2.0
/*
 * The rows of the table whose logs are dirty. The page of the BAT that has
 * entries is taken out of its place, which is filled with what no BAT may hold,
 * and put into the log: an image whose log is not replayed, or replayed wrongly,
 * does not open or does not read right.
 */
#include "bad_inputs.h"
#include "builder_log.h"

#define MIB		0x100000ULL
#define BLOCK_0_AT	(4 * MIB)

/* Fields of an entry, in bytes from its start; of the one at the log's start. */
#define SIGNATURE		0
#define ENTRY_LENGTH		8
#define TAIL			12
#define SEQUENCE_NUMBER		16
#define DESCRIPTOR_COUNT	24
#define GUID			32
#define FLUSHED_FILE_OFFSET	48
#define LAST_FILE_OFFSET	56
#define DESCRIPTOR		64
#define ZERO_LENGTH		(DESCRIPTOR + 8)
#define FILE_OFFSET		(DESCRIPTOR + 16)
#define DESCRIPTOR_SEQUENCE	(DESCRIPTOR + 24)
#define DATA_SECTOR		4096

#define FIRST_SEQUENCE		5
#define ENTRY_BYTES		8192	/* of an entry with one data sector */

/* What no BAT, no metadata table and no region table may hold. */
static const u8 garbage[4096] = { [0 ... 4095] = 0xFF };

/**
 * bad_log_prepare() - let an image be built with a LogGuid
 * @image: before it is built
 */
void bad_log_prepare(struct bad_image *image)
{
	image->b.log_guid = builder_log_guid;
}

/* A page moves from the file to @page. */
static int unfile_page(struct bad_image *image, void *page, u64 offset)
{
	memfile_read(image->mf, page, 4096, offset);
	return memfile_write(image->mf, garbage, 4096, offset);
}

static int log_entry(struct bad_image *image, u64 sequence_number, u32 offset,
		     u32 tail, const struct log_update *update, u32 updates)
{
	struct builder_sink sink = memfile_sink(image->mf);
	struct log_spec spec = {
		.guid = builder_log_guid,
		.sequence_number = sequence_number,
		.offset = offset,
		.tail = tail,
		.flushed_file_offset = image->layout.file_size,
		.last_file_offset = image->layout.file_size,
		.update = update,
		.updates = updates,
	};

	return log_spec_write(&sink, &image->layout, &spec);
}

static int log_page(struct bad_image *image, u64 sequence_number, u32 offset,
		    u32 tail, const void *page, u64 file_offset)
{
	struct log_update update = { file_offset, 0, page };

	return log_entry(image, sequence_number, offset, tail, &update, 1);
}

static int log_bat(struct bad_image *image, u64 sequence_number, u32 offset,
		   u32 tail)
{
	return log_page(image, sequence_number, offset, tail, image->page,
			image->layout.bat_offset);
}

static int log_garbage(struct bad_image *image, u64 sequence_number, u32 offset,
		       u32 tail)
{
	return log_page(image, sequence_number, offset, tail, garbage,
			image->layout.bat_offset);
}

/* Flips a bit of what is in the log. */
static int damage(struct bad_image *image, u32 offset)
{
	u64 at = image->layout.log_offset + offset;
	u8 byte;

	memfile_read(image->mf, &byte, 1, at);
	byte ^= 1;
	return memfile_write(image->mf, &byte, 1, at);
}

/**
 * bad_log_make() - move the BAT into the one entry of the log
 * @image: built with a LogGuid
 *
 * Return: 0 or -ENOMEM.
 */
int bad_log_make(struct bad_image *image)
{
	int ret = unfile_page(image, image->page, image->layout.bat_offset);

	return ret ? ret : log_bat(image, FIRST_SEQUENCE, 0, 0);
}

/* --- logs that must be replayed ------------------------------------------- */

/* Two entries; the second begins in the last sector of the log. */
static int wrapping(struct bad_image *image)
{
	u32 first = image->layout.log_length - 3 * 4096;
	u8 *table = kmalloc(4096, GFP_KERNEL);
	int ret;

	if (!table)
		return -ENOMEM;
	ret = unfile_page(image, table, image->layout.metadata_offset);
	if (!ret)
		ret = log_page(image, 6, first, first, table,
			       image->layout.metadata_offset);
	if (!ret)
		ret = unfile_page(image, image->page, image->layout.bat_offset);
	if (!ret)
		ret = log_bat(image, 7, first + ENTRY_BYTES, first);
	kfree(table);
	return ret;
}

/* Twenty entries that each take the BAT's page away or put it back. */
static int long_run(struct bad_image *image)
{
	u32 i, first = image->layout.log_length - 16 * 4096, at = first;
	int ret;

	ret = unfile_page(image, image->page, image->layout.bat_offset);
	for (i = 0; !ret && i < 20; i++) {
		if (i % 2)
			ret = log_bat(image, 100 + i, at, first);
		else
			ret = log_garbage(image, 100 + i, at, first);
		at = (at + ENTRY_BYTES) % image->layout.log_length;
	}
	return ret;
}

static int stale_follower(struct bad_image *image)
{
	return log_garbage(image, FIRST_SEQUENCE - 2, ENTRY_BYTES, ENTRY_BYTES);
}

/* The number fits, but a sector lies between them. */
static int apart_follower(struct bad_image *image)
{
	return log_garbage(image, FIRST_SEQUENCE + 1, ENTRY_BYTES + 4096, 0);
}

/* The one that the log of another time left: its number is higher. */
static int follower_of_other_guid(struct bad_image *image)
{
	struct builder_sink sink = memfile_sink(image->mf);
	struct log_update update = { image->layout.bat_offset, 0, garbage };
	struct log_spec spec = {
		.guid = builder_disk_id,
		.sequence_number = FIRST_SEQUENCE + 1,
		.offset = ENTRY_BYTES,
		.tail = ENTRY_BYTES,
		.update = &update,
		.updates = 1,
	};

	return log_spec_write(&sink, &image->layout, &spec);
}

static int torn_follower(struct bad_image *image)
{
	int ret = log_garbage(image, FIRST_SEQUENCE + 1, ENTRY_BYTES, 0);

	return ret ? ret : damage(image, ENTRY_BYTES + 4096 + 100);
}

/* Only the first sector of the entry reached the disk. */
static int short_follower(struct bad_image *image)
{
	int ret = log_garbage(image, FIRST_SEQUENCE + 1, ENTRY_BYTES, 0);

	return ret ? ret : memfile_write_zeros(image->mf, 4096,
					       image->layout.log_offset +
					       ENTRY_BYTES + 4096);
}

static int follower_bad_descriptor(struct bad_image *image)
{
	int ret = log_garbage(image, FIRST_SEQUENCE + 1, ENTRY_BYTES, 0);

	return ret ? ret : damage(image, ENTRY_BYTES + DESCRIPTOR);
}

/* The entry at the start is before the last one's Tail. */
static int before_tail(struct bad_image *image)
{
	int ret;

	ret = log_page(image, FIRST_SEQUENCE, 0, 0, garbage,
		       image->layout.metadata_offset);
	return ret ? ret : log_bat(image, FIRST_SEQUENCE + 1, ENTRY_BYTES,
				   ENTRY_BYTES);
}

static int two_sequences(struct bad_image *image)
{
	int ret = log_garbage(image, FIRST_SEQUENCE, 0, 0);

	return ret ? ret : log_bat(image, 1000, 0x40000, 0x40000);
}

/* As Windows begins a log. */
static int empty_entry(struct bad_image *image)
{
	int ret = log_entry(image, FIRST_SEQUENCE, 0, 0, NULL, 0);

	return ret ? ret : log_bat(image, FIRST_SEQUENCE + 1, 4096, 0);
}

static int empty_entry_alone(struct bad_image *image)
{
	return log_entry(image, FIRST_SEQUENCE, 0, 0, NULL, 0);
}

static int highest_sequence(struct bad_image *image)
{
	int ret = log_garbage(image, U64_MAX - 1, 0, 0);

	return ret ? ret : log_bat(image, U64_MAX, ENTRY_BYTES, 0);
}

static int zero_then_data(struct bad_image *image)
{
	const u64 at = image->layout.bat_offset;
	const struct log_update update[] = {
		{ at, MIB, NULL },
		{ at, 0, garbage },
		{ at, 8192, NULL },
		{ at, 0, image->page },
		{ at + 4096, 4096, NULL },
	};

	return log_entry(image, FIRST_SEQUENCE, 0, 0, update,
			 ARRAY_SIZE(update));
}

static int both_region_tables(struct bad_image *image)
{
	struct log_update update[3] = {
		{ image->layout.bat_offset, 0, image->page },
		{ 0x30000, 0, NULL },
		{ 0x40000, 0, NULL },
	};
	u8 *table = kmalloc(8192, GFP_KERNEL);
	int ret;

	if (!table)
		return -ENOMEM;
	update[1].data = table;
	update[2].data = table + 4096;
	ret = unfile_page(image, table, 0x30000);
	if (!ret)
		ret = unfile_page(image, table + 4096, 0x40000);
	if (!ret)
		ret = log_entry(image, FIRST_SEQUENCE, 0, 0, update, 3);
	kfree(table);
	return ret;
}

/* The metadata table, and the items behind it. */
static int metadata_pages(struct bad_image *image)
{
	const u64 at = image->layout.metadata_offset;
	struct log_update update[3] = {
		{ at, 0, NULL },
		{ at + 0x10000, 0, NULL },
		{ image->layout.bat_offset, 0, image->page },
	};
	u8 *pages = kmalloc(8192, GFP_KERNEL);
	int ret;

	if (!pages)
		return -ENOMEM;
	update[0].data = pages;
	update[1].data = pages + 4096;
	ret = unfile_page(image, pages, at);
	if (!ret)
		ret = unfile_page(image, pages + 4096, at + 0x10000);
	if (!ret)
		ret = log_entry(image, FIRST_SEQUENCE, 0, 0, update, 3);
	kfree(pages);
	return ret;
}

/* Three sectors of descriptors, data among them at both ends of the second. */
static int many_descriptors(struct bad_image *image)
{
	const u64 at = image->layout.metadata_offset + 0x20000;
	const u32 count = 300;
	struct log_update *update;
	u32 i;
	int ret;

	update = kvcalloc(count, sizeof(*update), GFP_KERNEL);
	if (!update)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		update[i].file_offset = at + 4096 * (i % 200);
		if (i % 3)
			update[i].zero_length = 4096;
		else
			update[i].data = garbage;
	}
	update[125] = (struct log_update){ image->layout.bat_offset, 0, garbage };
	update[253] = (struct log_update){ image->layout.bat_offset, 0,
					   image->page };
	ret = log_entry(image, FIRST_SEQUENCE, 0, 0, update, count);
	kvfree(update);
	return ret;
}

/* The file was cut; LastFileOffset says how long it was to be. */
static int shorter_than_last(struct bad_image *image)
{
	struct builder_sink sink = memfile_sink(image->mf);
	struct log_update update = { image->layout.bat_offset, 0, image->page };
	struct log_spec spec = {
		.guid = builder_log_guid,
		.sequence_number = FIRST_SEQUENCE,
		.flushed_file_offset = image->layout.file_size - MIB,
		.last_file_offset = image->layout.file_size,
		.update = &update,
		.updates = 1,
	};

	memfile_resize(image->mf, image->layout.file_size - MIB);
	image->zero_from = 15 * MIB;
	return log_spec_write(&sink, &image->layout, &spec);
}

/* --- logs that must be refused -------------------------------------------- */

static int sequence_0(struct bad_image *image)
{
	return log_bat(image, 0, 0, 0);
}

static int log_zeros(struct bad_image *image, u64 offset, u64 length)
{
	const struct log_update update[] = {
		{ offset, length, NULL },
		{ image->layout.bat_offset, 0, image->page },
	};

	return log_entry(image, FIRST_SEQUENCE, 0, 0, update,
			 ARRAY_SIZE(update));
}

static int zeros_unaligned(struct bad_image *image)
{
	return log_zeros(image, image->layout.metadata_offset + 0x20000, 0x1100);
}

static int zeros_of_2_60(struct bad_image *image)
{
	return log_zeros(image, image->layout.file_size, 1ULL << 60);
}

static int zeros_wrap(struct bad_image *image)
{
	return log_zeros(image, image->layout.file_size, -(u64)4096);
}

static int zeros_over_log(struct bad_image *image)
{
	return log_zeros(image, 0x30000, 3 * MIB);
}

static int zeros_over_block(struct bad_image *image)
{
	return log_zeros(image, BLOCK_0_AT + MIB / 2, 4096);
}

static int data_over_block(struct bad_image *image)
{
	const struct log_update update[] = {
		{ BLOCK_0_AT + MIB - 4096, 0, garbage },
		{ image->layout.bat_offset, 0, image->page },
	};

	return log_entry(image, FIRST_SEQUENCE, 0, 0, update,
			 ARRAY_SIZE(update));
}

static int zeros_none(struct bad_image *image)
{
	const struct bad_poke no_length = { BAD_LOG, ZERO_LENGTH, 8, 0 };
	int ret;

	ret = log_zeros(image, image->layout.metadata_offset + 0x20000, 4096);
	return ret ? ret : bad_input_poke(image, &no_length);
}

/* The first entry's run has no entry at the Tail of its last one. */
static int tail_in_torn_entry(struct bad_image *image)
{
	int ret = log_bat(image, FIRST_SEQUENCE + 1, ENTRY_BYTES, 0);

	return ret ? ret : damage(image, 100);
}

#define POKE(...)	.poke = { { __VA_ARGS__ } }
#define CHANGE(func)	.change = (func)
#define REFUSED(s, f, a, o) \
	.errnum = -EUCLEAN, .structure = (s), .field = (f), .area = (a), .offset = (o)
#define NO_SEQUENCE	REFUSED("log", NULL, BAD_LOG, 0)

#define DIRTY		.dirty = true
/* by vhdx_image_check() */
#define FINDS(name)	.finding = (name)

const struct bad_input bad_logs[] = {
	{ "log-one-entry", DIRTY, FINDS("log-pending") },
	{ "log-wraps", .prepare = bad_log_prepare, CHANGE(wrapping),
	  FINDS("log-pending") },
	{ "log-long-run", .prepare = bad_log_prepare, CHANGE(long_run),
	  FINDS("log-pending") },
	{ "log-stale-follower", DIRTY, CHANGE(stale_follower),
	  FINDS("log-pending") },
	{ "log-apart-follower", DIRTY, CHANGE(apart_follower),
	  FINDS("log-pending") },
	{ "log-follower-of-other-guid", DIRTY, CHANGE(follower_of_other_guid),
	  FINDS("log-pending") },
	{ "log-torn-follower", DIRTY, CHANGE(torn_follower),
	  FINDS("log-pending") },
	{ "log-short-follower", DIRTY, CHANGE(short_follower),
	  FINDS("log-pending") },
	{ "log-follower-bad-descriptor", DIRTY, CHANGE(follower_bad_descriptor),
	  FINDS("log-pending") },
	{ "log-before-tail", DIRTY, CHANGE(before_tail),
	  FINDS("log-pending") },
	{ "log-two-sequences", DIRTY, CHANGE(two_sequences),
	  FINDS("log-pending") },
	{ "log-empty-entry", DIRTY, CHANGE(empty_entry),
	  FINDS("log-pending") },
	{ "log-empty-entry-alone", .prepare = bad_log_prepare,
	  CHANGE(empty_entry_alone),
	  FINDS("log-pending") },
	{ "log-highest-sequence", DIRTY, CHANGE(highest_sequence),
	  FINDS("log-pending") },
	{ "log-zero-then-data", DIRTY, CHANGE(zero_then_data),
	  FINDS("log-pending") },
	{ "log-region-tables", DIRTY, CHANGE(both_region_tables),
	  FINDS("log-pending") },
	{ "log-metadata", DIRTY, CHANGE(metadata_pages),
	  FINDS("log-pending") },
	{ "log-many-descriptors", DIRTY, CHANGE(many_descriptors),
	  FINDS("log-pending") },
	{ "log-flushed-0", DIRTY, POKE(BAD_LOG, FLUSHED_FILE_OFFSET, 8, 0),
	  FINDS("log-pending") },
	{ "log-last-0", DIRTY, POKE(BAD_LOG, LAST_FILE_OFFSET, 8, 0),
	  FINDS("log-pending") },
	{ "log-last-unaligned", DIRTY,
	  POKE(BAD_LOG, LAST_FILE_OFFSET, 8, 8 * MIB - 512),
	  FINDS("log-pending") },
	{ "log-last-128t", DIRTY, POKE(BAD_LOG, LAST_FILE_OFFSET, 8, 1ULL << 47),
	  FINDS("log-pending") },
	{ "log-shorter-than-last", DIRTY, CHANGE(shorter_than_last),
	  FINDS("log-pending") },

	{ "log-none", .prepare = bad_log_prepare, NO_SEQUENCE,
	  FINDS("log-empty") },
	{ "log-checksum", DIRTY, POKE(BAD_LOG, 200 | BAD_UNSEALED, 1, 1),
	  NO_SEQUENCE,
	  FINDS("log-empty") },
	{ "log-signature", DIRTY, POKE(BAD_LOG, SIGNATURE, 1, 'L'),
	  NO_SEQUENCE,
	  FINDS("log-empty") },
	{ "log-other-guid", DIRTY, POKE(BAD_LOG, GUID, 1, 0xFF), NO_SEQUENCE,
	  FINDS("log-empty") },
	{ "log-sequence-0", DIRTY, CHANGE(sequence_0), NO_SEQUENCE,
	  FINDS("log-empty") },
	{ "log-length-of-entry-0", DIRTY, POKE(BAD_LOG, ENTRY_LENGTH, 4, 0),
	  NO_SEQUENCE,
	  FINDS("log-empty") },
	{ "log-length-of-entry-short", DIRTY,
	  POKE(BAD_LOG, ENTRY_LENGTH, 4, 4096), NO_SEQUENCE,
	  FINDS("log-empty") },
	{ "log-length-of-entry-long", DIRTY,
	  POKE(BAD_LOG, ENTRY_LENGTH, 4, 12288), NO_SEQUENCE,
	  FINDS("log-empty") },
	{ "log-length-of-entry-unaligned", DIRTY,
	  POKE(BAD_LOG, ENTRY_LENGTH, 4, 8192 + 512), NO_SEQUENCE,
	  FINDS("log-empty") },
	{ "log-length-of-entry-over-log", DIRTY,
	  POKE(BAD_LOG, ENTRY_LENGTH, 4, 2 * MIB), NO_SEQUENCE,
	  FINDS("log-empty") },
	{ "log-descriptors-2-32", DIRTY,
	  POKE(BAD_LOG, DESCRIPTOR_COUNT, 4, U32_MAX), NO_SEQUENCE,
	  FINDS("log-empty") },
	{ "log-descriptors-wrap", DIRTY,
	  POKE(BAD_LOG, DESCRIPTOR_COUNT, 4, 0x08000001), NO_SEQUENCE,
	  FINDS("log-empty") },
	{ "log-descriptors-0", DIRTY, POKE(BAD_LOG, DESCRIPTOR_COUNT, 4, 0),
	  NO_SEQUENCE,
	  FINDS("log-empty") },
	{ "log-descriptor-signature", DIRTY, POKE(BAD_LOG, DESCRIPTOR, 1, 'D'),
	  NO_SEQUENCE,
	  FINDS("log-empty") },
	{ "log-descriptor-sequence", DIRTY,
	  POKE(BAD_LOG, DESCRIPTOR_SEQUENCE, 8, FIRST_SEQUENCE + 1),
	  NO_SEQUENCE,
	  FINDS("log-empty") },
	{ "log-data-signature", DIRTY, POKE(BAD_LOG, DATA_SECTOR, 1, 'D'),
	  NO_SEQUENCE,
	  FINDS("log-empty") },
	{ "log-data-sequence-high", DIRTY, POKE(BAD_LOG, DATA_SECTOR + 4, 4, 1),
	  NO_SEQUENCE,
	  FINDS("log-empty") },
	{ "log-data-sequence-low", DIRTY,
	  POKE(BAD_LOG, DATA_SECTOR + 4092, 4, FIRST_SEQUENCE + 1),
	  NO_SEQUENCE,
	  FINDS("log-empty") },
	{ "log-tail-outside", DIRTY, POKE(BAD_LOG, TAIL, 4, 0x8000),
	  NO_SEQUENCE,
	  FINDS("log-sequence") },
	{ "log-tail-inside-entry", DIRTY, POKE(BAD_LOG, TAIL, 4, 4096),
	  NO_SEQUENCE,
	  FINDS("log-sequence") },
	{ "log-tail-unaligned", DIRTY, POKE(BAD_LOG, TAIL, 4, 512),
	  NO_SEQUENCE,
	  FINDS("log-empty") },
	{ "log-tail-past-log", DIRTY, POKE(BAD_LOG, TAIL, 4, 0x7FFFF000),
	  NO_SEQUENCE,
	  FINDS("log-empty") },
	{ "log-tail-torn", DIRTY, CHANGE(tail_in_torn_entry), NO_SEQUENCE,
	  FINDS("log-sequence") },
	{ "log-flushed-past-end", DIRTY,
	  POKE(BAD_LOG, FLUSHED_FILE_OFFSET, 8, 9 * MIB),
	  REFUSED("log entry", "FlushedFileOffset", BAD_LOG,
		  FLUSHED_FILE_OFFSET),
	  FINDS("log-size") },
	{ "log-last-2-62", DIRTY, POKE(BAD_LOG, LAST_FILE_OFFSET, 8, 1ULL << 62),
	  REFUSED("log entry", "LastFileOffset", BAD_LOG, LAST_FILE_OFFSET),
	  FINDS("log-size") },
	{ "log-target-file-id", DIRTY, POKE(BAD_LOG, FILE_OFFSET, 8, 0),
	  REFUSED("log descriptor", "FileOffset", BAD_LOG, FILE_OFFSET),
	  FINDS("log-target") },
	{ "log-target-header", DIRTY, POKE(BAD_LOG, FILE_OFFSET, 8, 0x20000),
	  REFUSED("log descriptor", "FileOffset", BAD_LOG, FILE_OFFSET),
	  FINDS("log-target") },
	{ "log-target-log", DIRTY, POKE(BAD_LOG, FILE_OFFSET, 8, 2 * MIB - 4096),
	  REFUSED("log descriptor", "FileOffset", BAD_LOG, FILE_OFFSET),
	  FINDS("log-target") },
	{ "log-target-unaligned", DIRTY,
	  POKE(BAD_LOG, FILE_OFFSET, 8, 2 * MIB + 512),
	  REFUSED("log descriptor", "FileOffset", BAD_LOG, FILE_OFFSET),
	  FINDS("log-target") },
	{ "log-target-2-63", DIRTY, POKE(BAD_LOG, FILE_OFFSET, 8, 1ULL << 63),
	  REFUSED("log descriptor", "FileOffset", BAD_LOG, FILE_OFFSET),
	  FINDS("log-target") },
	{ "log-target-2-62", DIRTY, POKE(BAD_LOG, FILE_OFFSET, 8, 1ULL << 62),
	  REFUSED("log descriptor", "FileOffset", BAD_LOG, FILE_OFFSET),
	  FINDS("log-target") },
	{ "log-target-wraps", DIRTY, POKE(BAD_LOG, FILE_OFFSET, 8, -(u64)4096),
	  REFUSED("log descriptor", "FileOffset", BAD_LOG, FILE_OFFSET),
	  FINDS("log-target") },
	{ "log-target-block", DIRTY, CHANGE(data_over_block),
	  REFUSED("log descriptor", "FileOffset", BAD_LOG, FILE_OFFSET),
	  FINDS("log-target") },
	{ "log-zeros-over-block", DIRTY, CHANGE(zeros_over_block),
	  REFUSED("log descriptor", "FileOffset", BAD_LOG, FILE_OFFSET),
	  FINDS("log-target") },
	{ "log-zeros-0", DIRTY, CHANGE(zeros_none),
	  REFUSED("log descriptor", "ZeroLength", BAD_LOG, ZERO_LENGTH),
	  FINDS("log-target") },
	{ "log-zeros-unaligned", DIRTY, CHANGE(zeros_unaligned),
	  REFUSED("log descriptor", "ZeroLength", BAD_LOG, ZERO_LENGTH),
	  FINDS("log-target") },
	{ "log-zeros-2-60", DIRTY, CHANGE(zeros_of_2_60),
	  REFUSED("log descriptor", "FileOffset", BAD_LOG, FILE_OFFSET),
	  FINDS("log-target") },
	{ "log-zeros-wrap", DIRTY, CHANGE(zeros_wrap),
	  REFUSED("log descriptor", "FileOffset", BAD_LOG, FILE_OFFSET),
	  FINDS("log-target") },
	{ "log-zeros-over-log", DIRTY, CHANGE(zeros_over_log),
	  REFUSED("log descriptor", "FileOffset", BAD_LOG, FILE_OFFSET),
	  FINDS("log-target") },
};

const u32 bad_logs_count = ARRAY_SIZE(bad_logs);
