// SPDX-License-Identifier: GPL-2.0
/*
 * Log entries, the active sequence, and what replay would write.
 */
#include "format_test.h"
#include "builder_log.h"

#define MIB		VHDX_MIB
#define SECTOR		VHDX_LOG_SECTOR_SIZE
#define LOG_LENGTH	0x100000
#define LOG_SECTORS	(LOG_LENGTH / SECTOR)
#define LOG_OFFSET	(2 * MIB)
#define MAX_UPDATES	300
#define PAGES		3
#define SEED		20

/* Where data goes unless a test says otherwise. */
#define TARGET		(8 * MIB)

struct fixture {
	u8 *buf;
	struct vhdx_log log;
	struct vhdx_log_entry scratch[LOG_SECTORS];
	struct vhdx_log_sequence sequence;
	struct log_update update[MAX_UPDATES];
	u8 page[PAGES][SECTOR];
	u8 rebuilt[SECTOR];
	struct vhdx_error err;
};

static void clear(struct fixture *f)
{
	memset(f->buf, 0, LOG_LENGTH);
}

static struct fixture *setup(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->buf = kunit_kzalloc(test, LOG_LENGTH, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f->buf);
	f->log.buf = f->buf;
	f->log.length = LOG_LENGTH;
	f->log.file_offset = LOG_OFFSET;
	f->log.log_guid = builder_log_guid;
	for (i = 0; i < PAGES; i++)
		builder_pattern(f->page[i], SECTOR, SEED, (u64)i * SECTOR);
	for (i = 0; i < MAX_UPDATES; i++) {
		f->update[i].file_offset = TARGET + (u64)i * SECTOR;
		f->update[i].data = f->page[i % PAGES];
	}
	return f;
}

/* An entry with the first @updates of f->update; offsets in sectors. */
static void put(struct kunit *test, struct fixture *f, u32 sector, u64 sequence_number,
		u32 tail_sector, u32 updates)
{
	const struct log_spec spec = {
		.guid = f->log.log_guid,
		.sequence_number = sequence_number,
		.tail = tail_sector * SECTOR,
		.flushed_file_offset = 16 * MIB,
		.last_file_offset = 12 * MIB,
		.update = f->update,
		.updates = updates,
	};
	u32 pos, length = log_spec_length(&spec);
	u8 *entry = log_spec_encode(&spec);

	KUNIT_ASSERT_NOT_NULL(test, entry);
	for (pos = 0; pos < length; pos += SECTOR)
		memcpy(f->buf + (sector * SECTOR + pos) % LOG_LENGTH, entry + pos, SECTOR);
	kvfree(entry);
}

static void entry_fields(struct kunit *test)
{
	struct fixture *f = setup(test);
	struct vhdx_log_entry entry;

	put(test, f, 5, 0x0102030405060708, 3, 2);
	KUNIT_ASSERT_TRUE(test, vhdx_log_entry_decode(&f->log, 5 * SECTOR, &entry));
	KUNIT_EXPECT_EQ(test, entry.offset, 5 * SECTOR);
	KUNIT_EXPECT_EQ(test, entry.entry_length, 3 * SECTOR);
	KUNIT_EXPECT_EQ(test, entry.tail, 3 * SECTOR);
	KUNIT_EXPECT_EQ(test, entry.descriptor_count, 2);
	KUNIT_EXPECT_EQ(test, entry.sequence_number, 0x0102030405060708);
	KUNIT_EXPECT_EQ(test, entry.flushed_file_offset, 16 * MIB);
	KUNIT_EXPECT_EQ(test, entry.last_file_offset, 12 * MIB);
	KUNIT_EXPECT_FALSE(test, vhdx_log_entry_decode(&f->log, 4 * SECTOR, &entry));
	KUNIT_EXPECT_FALSE(test, vhdx_log_entry_decode(&f->log, 6 * SECTOR, &entry));
}

#define HEADER(field)	offsetof(struct vhdx_disk_log_entry_header, field)
#define DESC(i, field)	(64 + 32 * (i) + offsetof(struct vhdx_disk_log_descriptor, field))
#define DATA(i, field)	(SECTOR * (1 + (i)) + \
			 offsetof(struct vhdx_disk_log_data_sector, field))

/*
 * One value into the entry at 0 that has descriptors for data, zeros, data and
 * zeros; its checksum is made right again afterwards.
 */
static const struct row {
	const char *name;
	u32 at;
	u32 bytes;
	u64 value;
	bool valid;
} rows[] = {
	{ "as it was", HEADER(reserved), 4, 0, true },
	{ "Reserved", HEADER(reserved), 4, 0xFFFFFFFF, true },
	{ "Reserved of a zero descriptor", DESC(1, trailing_bytes), 4, 0xFFFFFFFF, true },
	{ "FlushedFileOffset no multiple", HEADER(flushed_file_offset), 8, 12345, true },
	{ "LastFileOffset 0", HEADER(last_file_offset), 8, 0, true },
	{ "Tail at the last sector", HEADER(tail), 4, LOG_LENGTH - SECTOR, true },
	{ "signature", HEADER(signature), 4, 0, false },
	{ "another LogGuid", HEADER(log_guid), 1, 0, false },
	{ "LogGuid zero", HEADER(log_guid) + 15, 1, 0, false },
	{ "SequenceNumber 0", HEADER(sequence_number), 8, 0, false },
	{ "SequenceNumber of none", HEADER(sequence_number), 8, 8, false },
	{ "EntryLength 0", HEADER(entry_length), 4, 0, false },
	{ "EntryLength unaligned", HEADER(entry_length), 4, 3 * SECTOR + 512, false },
	{ "EntryLength a sector short", HEADER(entry_length), 4, 2 * SECTOR, false },
	{ "EntryLength only descriptors", HEADER(entry_length), 4, SECTOR, false },
	{ "EntryLength a sector long", HEADER(entry_length), 4, 4 * SECTOR, false },
	{ "EntryLength all the log", HEADER(entry_length), 4, LOG_LENGTH, false },
	{ "EntryLength over the log", HEADER(entry_length), 4, LOG_LENGTH + SECTOR, false },
	{ "EntryLength near 2^32", HEADER(entry_length), 4, 0xFFFFF000, false },
	{ "Tail unaligned", HEADER(tail), 4, 512, false },
	{ "Tail behind the log", HEADER(tail), 4, LOG_LENGTH, false },
	{ "Tail near 2^32", HEADER(tail), 4, 0xFFFFF000, false },
	{ "DescriptorCount without a data sector's", HEADER(descriptor_count), 4, 2, false },
	{ "DescriptorCount one more", HEADER(descriptor_count), 4, 5, false },
	{ "DescriptorCount 0", HEADER(descriptor_count), 4, 0, false },
	{ "DescriptorCount of two sectors", HEADER(descriptor_count), 4, 127, false },
	{ "DescriptorCount that overflows", HEADER(descriptor_count), 4, 0x08000003, false },
	{ "DescriptorCount 2^32 - 1", HEADER(descriptor_count), 4, 0xFFFFFFFF, false },
	{ "descriptor signature", DESC(0, signature), 4, VHDX_DATA_SECTOR_SIGNATURE, false },
	{ "zero instead of data", DESC(0, signature), 4, VHDX_ZERO_DESCRIPTOR_SIGNATURE, false },
	{ "data instead of zero", DESC(1, signature), 4, VHDX_DATA_DESCRIPTOR_SIGNATURE, false },
	{ "descriptor number", DESC(0, sequence_number), 8, 6, false },
	{ "zero descriptor number", DESC(1, sequence_number), 8, 0, false },
	{ "last descriptor signature", DESC(3, signature), 4, 0, false },
	{ "last descriptor number", DESC(3, sequence_number) + 7, 1, 1, false },
	{ "data sector signature", DATA(0, signature), 4, 0, false },
	{ "data sector number, high", DATA(1, sequence_high), 4, 1, false },
	{ "data sector number, low", DATA(1, sequence_low), 4, 6, false },
	/* replay refuses these, out loud; the entry as such is whole */
	{ "target unaligned", DESC(0, file_offset), 8, 12345, true },
	{ "target in the header section", DESC(2, file_offset), 8, 0, true },
	{ "ZeroLength unaligned", DESC(1, leading_bytes), 8, 1, true },
};

static void put_row_entry(struct kunit *test, struct fixture *f)
{
	clear(f);
	f->update[1].zero_length = MIB;
	f->update[3].zero_length = MIB;
	put(test, f, 0, 7, 0, 4);
}

static void entry_rules(struct kunit *test)
{
	struct fixture *f = setup(test);
	struct vhdx_log_entry entry;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		u32 length = 3 * SECTOR;

		put_row_entry(test, f);
		poke(f->buf, rows[i].at, rows[i].bytes, rows[i].value);
		if (rows[i].at == HEADER(entry_length) && rows[i].value <= LOG_LENGTH)
			length = rows[i].value ?: SECTOR;
		builder_seal(f->buf, length);
		KUNIT_EXPECT_EQ_MSG(test, rows[i].valid,
				    vhdx_log_entry_decode(&f->log, 0, &entry), "%s", rows[i].name);
	}
}

/* Wherever an entry is damaged it is not valid any more. */
static void entry_damage(struct kunit *test)
{
	struct fixture *f = setup(test);
	struct vhdx_log_entry entry;
	u32 i, missed = 0;

	put_row_entry(test, f);
	for (i = 0; i < 3 * SECTOR; i += 5) {
		f->buf[i] ^= 0x20;
		missed += vhdx_log_entry_decode(&f->log, 0, &entry);
		f->buf[i] ^= 0x20;
	}
	KUNIT_EXPECT_EQ(test, missed, 0);
	KUNIT_EXPECT_TRUE(test, vhdx_log_entry_decode(&f->log, 0, &entry));
}

/* All updates of an entry come out as they went in. */
static void expect_updates(struct kunit *test, struct fixture *f, u32 sector, u32 updates)
{
	struct vhdx_log_update update;
	struct vhdx_log_entry entry;
	u32 i, wrong = 0;

	KUNIT_ASSERT_TRUE_MSG(test, vhdx_log_entry_decode(&f->log, sector * SECTOR, &entry),
			      "%u updates at %u", updates, sector);
	KUNIT_ASSERT_EQ(test, entry.descriptor_count, updates);
	for (i = 0; i < updates; i++) {
		const struct log_update *in = &f->update[i];

		KUNIT_ASSERT_EQ_MSG(test, 0, vhdx_log_update(&f->log, &entry, i, &update, &f->err),
				    "update %u", i);
		wrong += update.file_offset != in->file_offset ||
			 update.is_zero != !!in->zero_length ||
			 update.length != (in->zero_length ?: SECTOR);
		if (update.is_zero)
			continue;
		vhdx_log_update_data(&f->log, &update, f->rebuilt);
		wrong += !!memcmp(f->rebuilt, in->data, SECTOR);
	}
	KUNIT_EXPECT_EQ_MSG(test, wrong, 0, "%u updates at %u", updates, sector);
}

/* Around where a sector of descriptors is full, and at each place of the ring. */
static void updates_of_an_entry(struct kunit *test)
{
	static const u32 counts[] = { 0, 1, 2, 125, 126, 127, 253, 254 };
	static const u32 sectors[] = { 0, 1, 100, 254, 255 };
	struct fixture *f = setup(test);
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(counts); i++)
		for (j = 0; j < ARRAY_SIZE(sectors); j++) {
			clear(f);
			put(test, f, sectors[j], 1, sectors[j], counts[i]);
			expect_updates(test, f, sectors[j], counts[i]);
		}
}

/* Zero descriptors have no data sector and must not use one up. */
static void zeros_between_data(struct kunit *test)
{
	struct fixture *f = setup(test);
	u32 i;

	for (i = 0; i < MAX_UPDATES; i++)
		if (i % 7 < 3)
			f->update[i].zero_length = (i + 1) * SECTOR;
	put(test, f, 200, 1, 200, MAX_UPDATES);
	expect_updates(test, f, 200, MAX_UPDATES);

	for (i = 0; i < MAX_UPDATES; i++)
		f->update[i].zero_length = SECTOR;
	clear(f);
	put(test, f, 254, 1, 254, MAX_UPDATES);
	expect_updates(test, f, 254, MAX_UPDATES);
}

#define ENTRY(sector, number, tail_sector, updates) \
	{ sector, number, tail_sector, updates, false, false }
#define TORN(sector, number, tail_sector, updates) \
	{ sector, number, tail_sector, updates, true, false }
#define FOREIGN(sector, number, tail_sector, updates) \
	{ sector, number, tail_sector, updates, false, true }

/*
 * Logs, and the sequence in them. Each entry has @updates data sectors, so it
 * takes one sector more. @torn: damaged afterwards; @foreign: another LogGuid.
 * @tail, @head: SequenceNumbers of the active sequence, 0 when there is none.
 */
static const struct layout {
	const char *name;
	struct {
		u32 sector;
		u64 number;
		u32 tail_sector;
		u32 updates;
		bool torn;
		bool foreign;
	} entry[6];
	u64 tail;
	u64 head;
} layouts[] = {
	{ "empty log", { }, 0, 0 },
	{ "one entry", { ENTRY(0, 1, 0, 0) }, 1, 1 },
	{ "one entry anywhere", { ENTRY(77, 5, 77, 3) }, 5, 5 },
	{ "one entry at the end", { ENTRY(255, 5, 255, 0) }, 5, 5 },
	{ "one entry that wraps", { ENTRY(250, 5, 250, 9) }, 5, 5 },
	{ "a run", { ENTRY(0, 1, 0, 1), ENTRY(2, 2, 0, 2), ENTRY(5, 3, 0, 1) }, 1, 3 },
	{ "a run with Tail moved on",
	  { ENTRY(0, 1, 0, 1), ENTRY(2, 2, 0, 2), ENTRY(5, 3, 2, 1) }, 2, 3 },
	{ "a run of which only the last counts",
	  { ENTRY(0, 1, 0, 0), ENTRY(1, 2, 1, 0), ENTRY(2, 3, 2, 0) }, 3, 3 },
	{ "an empty entry first", { ENTRY(9, 4, 9, 0), ENTRY(10, 5, 9, 4) }, 4, 5 },
	{ "a run that wraps between entries",
	  { ENTRY(252, 8, 252, 1), ENTRY(254, 9, 252, 1), ENTRY(0, 10, 252, 1),
	    ENTRY(2, 11, 254, 1) },
	  9, 11 },
	{ "a run that wraps in an entry",
	  { ENTRY(250, 8, 250, 2), ENTRY(253, 9, 250, 6), ENTRY(4, 10, 250, 1) }, 8, 10 },
	{ "a run that wraps in its last entry",
	  { ENTRY(250, 8, 250, 2), ENTRY(253, 9, 250, 6) }, 8, 9 },
	{ "a run that wraps, moved on past the wrap",
	  { ENTRY(250, 8, 250, 2), ENTRY(253, 9, 250, 6), ENTRY(4, 10, 4, 1) }, 10, 10 },
	{ "torn last entry", { ENTRY(0, 1, 0, 1), ENTRY(2, 2, 0, 1), TORN(4, 3, 0, 1) }, 1, 2 },
	{ "torn entry in the middle",
	  { ENTRY(0, 1, 0, 1), ENTRY(2, 2, 0, 1), TORN(4, 3, 0, 1), ENTRY(6, 4, 0, 1) }, 1, 2 },
	{ "torn only entry", { TORN(0, 1, 0, 1) }, 0, 0 },
	{ "torn Tail", { TORN(0, 1, 0, 1), ENTRY(2, 2, 0, 1) }, 0, 0 },
	{ "another LogGuid", { FOREIGN(0, 1, 0, 1) }, 0, 0 },
	{ "a stale follower", { ENTRY(0, 5, 0, 1), ENTRY(2, 6, 0, 1), ENTRY(4, 3, 4, 1) }, 5, 6 },
	{ "a stale follower with the same number",
	  { ENTRY(0, 5, 0, 1), ENTRY(2, 6, 0, 1), ENTRY(4, 6, 0, 1) }, 5, 6 },
	{ "a follower of another LogGuid",
	  { ENTRY(0, 5, 0, 1), ENTRY(2, 6, 0, 1), FOREIGN(4, 7, 0, 1) }, 5, 6 },
	{ "a number left out", { ENTRY(0, 5, 0, 1), ENTRY(2, 6, 0, 1), ENTRY(4, 8, 0, 1) }, 5, 6 },
	{ "a hole between", { ENTRY(0, 5, 0, 1), ENTRY(2, 6, 0, 1), ENTRY(5, 7, 0, 1) }, 5, 6 },
	{ "newer over older", { ENTRY(0, 9, 0, 1), ENTRY(2, 10, 0, 1), ENTRY(4, 7, 4, 1),
	    ENTRY(6, 8, 4, 1) },
	  9, 10 },
	{ "older before newer", { ENTRY(0, 7, 0, 1), ENTRY(2, 8, 0, 1), ENTRY(9, 9, 9, 1) }, 9, 9 },
	{ "newer before older",
	  { ENTRY(0, 9, 0, 1), ENTRY(20, 7, 20, 1), ENTRY(22, 8, 20, 1) }, 9, 9 },
	/* no writer makes such; the specification takes the first it finds */
	{ "the same number twice", { ENTRY(0, 5, 0, 1), ENTRY(2, 6, 0, 1), ENTRY(9, 6, 9, 1) },
	  5, 6 },
	{ "newer that wraps, older inside",
	  { ENTRY(254, 20, 254, 3), ENTRY(2, 21, 254, 1), ENTRY(100, 12, 100, 1),
	    ENTRY(102, 13, 100, 1) },
	  20, 21 },
	{ "newer with Tail in the older",
	  { ENTRY(0, 1, 0, 1), ENTRY(2, 2, 0, 1), ENTRY(9, 7, 9, 1), ENTRY(11, 8, 0, 1) }, 1, 2 },
	{ "Tail at no entry", { ENTRY(0, 1, 100, 1) }, 0, 0 },
	{ "Tail inside an entry", { ENTRY(0, 1, 0, 3), ENTRY(4, 2, 2, 1) }, 0, 0 },
	/* acknowledged perhaps, so not to be left out */
	{ "last Tail outside, the one before inside",
	  { ENTRY(0, 1, 0, 1), ENTRY(2, 2, 0, 1), ENTRY(4, 3, 50, 1) }, 0, 0 },
	{ "Tail ahead", { ENTRY(0, 1, 2, 1), ENTRY(2, 2, 2, 1) }, 2, 2 },
	{ "highest number", { ENTRY(0, U64_MAX - 1, 0, 1), ENTRY(2, U64_MAX, 0, 1) },
	  U64_MAX - 1, U64_MAX },
	{ "numbers do not wrap", { ENTRY(0, U64_MAX, 0, 1), ENTRY(2, 1, 0, 1) }, U64_MAX, U64_MAX },
	{ "no number 0 after the highest", { ENTRY(0, U64_MAX, 0, 1), ENTRY(2, 0, 0, 1) },
	  U64_MAX, U64_MAX },
};

static int find(struct fixture *f)
{
	return vhdx_log_find_active_sequence(&f->log, f->scratch, &f->sequence, &f->err);
}

static void put_layout(struct kunit *test, struct fixture *f, const struct layout *layout)
{
	size_t i;

	clear(f);
	for (i = 0; i < ARRAY_SIZE(layout->entry); i++) {
		u32 length = (1 + layout->entry[i].updates) * SECTOR;
		u32 start = layout->entry[i].sector * SECTOR;

		if (!layout->entry[i].number && !layout->entry[i].sector)
			return;
		f->log.log_guid = layout->entry[i].foreign ? builder_disk_id : builder_log_guid;
		put(test, f, layout->entry[i].sector, layout->entry[i].number,
		    layout->entry[i].tail_sector, layout->entry[i].updates);
		f->log.log_guid = builder_log_guid;
		if (layout->entry[i].torn)
			memset(f->buf + (start + length - SECTOR / 2) % LOG_LENGTH, 0, 512);
	}
}

/* From tail to head, one number after the other. */
static void expect_sequence(struct kunit *test, struct fixture *f, const char *name,
			    u64 tail, u64 head)
{
	struct vhdx_log_entry entry = f->sequence.tail;
	u64 number = tail;

	KUNIT_EXPECT_EQ_MSG(test, f->sequence.count, head - tail + 1, "%s", name);
	KUNIT_EXPECT_EQ_MSG(test, f->sequence.head.tail, entry.offset, "%s", name);
	while (number != head && entry.sequence_number == number) {
		vhdx_log_next_entry(&f->log, &entry, &entry);
		number++;
	}
	KUNIT_EXPECT_EQ_MSG(test, entry.sequence_number, head, "%s", name);
	KUNIT_EXPECT_EQ_MSG(test, 0, memcmp(&entry, &f->sequence.head, sizeof(entry)),
			    "%s", name);
}

static void active_sequence(struct kunit *test)
{
	static const struct refusal refusal = { -EUCLEAN, "log", NULL, LOG_OFFSET };
	struct fixture *f = setup(test);
	size_t i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(layouts); i++) {
		const struct layout *layout = &layouts[i];

		put_layout(test, f, layout);
		ret = find(f);
		if (!layout->head) {
			expect_refusal(test, layout->name, ret, &f->err, &refusal);
			continue;
		}
		expect_accepted(test, layout->name, ret, &f->err);
		if (!ret)
			expect_sequence(test, f, layout->name, layout->tail, layout->head);
	}
}

/* The ring is full to the last sector, and its run begins anywhere. */
static void full_ring(struct kunit *test)
{
	struct fixture *f = setup(test);
	u32 i, start;

	for (start = 0; start < LOG_SECTORS; start += 51) {
		clear(f);
		for (i = 0; i < LOG_SECTORS; i++)
			put(test, f, (start + i) % LOG_SECTORS, 100 + i, start, 0);
		expect_accepted(test, "full", find(f), &f->err);
		expect_sequence(test, f, "full", 100, 100 + LOG_SECTORS - 1);
	}
}

/* One entry is all the log; nothing can be behind it but itself. */
static void longest_entry(struct kunit *test)
{
	struct fixture *f = setup(test);

	put(test, f, 100, 7, 100, 254);
	expect_accepted(test, "longest", find(f), &f->err);
	expect_sequence(test, f, "longest", 7, 7);
	KUNIT_EXPECT_EQ(test, f->sequence.head.entry_length, LOG_LENGTH);
}

/* @zero_length 0: a data descriptor */
static const struct target {
	const char *name;
	u64 file_offset;
	u64 zero_length;
	int errnum;
	const char *field;
} targets[] = {
	{ "first allowed", 192 << 10, 0, 0, NULL },
	{ "before the log", LOG_OFFSET - SECTOR, 0, 0, NULL },
	{ "behind the log", LOG_OFFSET + LOG_LENGTH, 0, 0, NULL },
	{ "last below 2^63", (1ULL << 63) - SECTOR - SECTOR, 0, 0, NULL },
	{ "file identifier", 0, 0, -EUCLEAN, "FileOffset" },
	{ "header 1", 0x10000, 0, -EUCLEAN, "FileOffset" },
	{ "last of header 2", (192 << 10) - SECTOR, 0, -EUCLEAN, "FileOffset" },
	{ "log, first sector", LOG_OFFSET, 0, -EUCLEAN, "FileOffset" },
	{ "log, last sector", LOG_OFFSET + LOG_LENGTH - SECTOR, 0, -EUCLEAN, "FileOffset" },
	{ "unaligned", TARGET + 512, 0, -EUCLEAN, "FileOffset" },
	{ "2^63", 1ULL << 63, 0, -EUCLEAN, "FileOffset" },
	{ "near 2^64", 0ULL - SECTOR, 0, -EUCLEAN, "FileOffset" },
	{ "zeros before the log", MIB, MIB, 0, NULL },
	{ "zeros behind the log", LOG_OFFSET + LOG_LENGTH, 1ULL << 60, 0, NULL },
	{ "zeros into the log", MIB, MIB + SECTOR, -EUCLEAN, "FileOffset" },
	{ "zeros over the log", MIB, 5 * MIB, -EUCLEAN, "FileOffset" },
	{ "zeros in the log", LOG_OFFSET + SECTOR, SECTOR, -EUCLEAN, "FileOffset" },
	{ "zeros over header 2", 0x20000, MIB, -EUCLEAN, "FileOffset" },
	{ "zeros, unaligned", TARGET + 1, SECTOR, -EUCLEAN, "FileOffset" },
	{ "zeros, unaligned length", TARGET, SECTOR + 512, -EUCLEAN, "ZeroLength" },
	{ "zeros past 2^63", TARGET, 1ULL << 63, -EUCLEAN, "FileOffset" },
	{ "zeros that wrap", TARGET, 0ULL - TARGET, -EUCLEAN, "FileOffset" },
	{ "zeros that wrap to inside", TARGET, 0ULL - SECTOR, -EUCLEAN, "FileOffset" },
};

static void update_targets(struct kunit *test)
{
	struct fixture *f = setup(test);
	struct vhdx_log_update update;
	struct vhdx_log_entry entry;
	size_t i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(targets); i++) {
		const struct target *t = &targets[i];
		const bool length = t->field && !strcmp(t->field, "ZeroLength");
		const struct refusal refusal = {
			t->errnum, "log descriptor", t->field,
			LOG_OFFSET + 3 * SECTOR +
			(length ? DESC(0, leading_bytes) : DESC(0, file_offset))
		};

		clear(f);
		f->update[0].file_offset = t->file_offset;
		f->update[0].zero_length = t->zero_length;
		put(test, f, 3, 1, 3, 1);
		KUNIT_ASSERT_TRUE(test, vhdx_log_entry_decode(&f->log, 3 * SECTOR, &entry));
		ret = vhdx_log_update(&f->log, &entry, 0, &update, &f->err);
		if (t->errnum)
			expect_refusal(test, t->name, ret, &f->err, &refusal);
		else
			expect_accepted(test, t->name, ret, &f->err);
	}
}

/* The descriptor is behind the wrap, and the error says where that is. */
static void refused_behind_wrap(struct kunit *test)
{
	static const struct refusal refusal = {
		-EUCLEAN, "log descriptor", "ZeroLength",
		LOG_OFFSET + 8		/* of the first in the sector at 0 */
	};
	struct fixture *f = setup(test);
	struct vhdx_log_update update;
	struct vhdx_log_entry entry;
	u32 i;
	int ret;

	for (i = 0; i < 127; i++)
		f->update[i].zero_length = SECTOR;
	f->update[126].zero_length = 1;
	put(test, f, LOG_SECTORS - 1, 1, LOG_SECTORS - 1, 127);
	KUNIT_ASSERT_TRUE(test, vhdx_log_entry_decode(&f->log, LOG_LENGTH - SECTOR, &entry));
	for (i = 0, ret = 0; i < 127 && !ret; i++)
		ret = vhdx_log_update(&f->log, &entry, i, &update, &f->err);
	KUNIT_EXPECT_EQ(test, i, 127);
	expect_refusal(test, "unaligned length", ret, &f->err, &refusal);
}

/* A ZeroLength of 0 is none that log_spec_encode() would make. */
static void zero_length_zero(struct kunit *test)
{
	static const struct refusal refusal = {
		-EUCLEAN, "log descriptor", "ZeroLength", LOG_OFFSET + DESC(0, leading_bytes)
	};
	struct fixture *f = setup(test);
	struct vhdx_log_update update;
	struct vhdx_log_entry entry;
	int ret;

	f->update[0].zero_length = SECTOR;
	put(test, f, 0, 1, 0, 1);
	poke(f->buf, DESC(0, leading_bytes), 8, 0);
	builder_seal(f->buf, SECTOR);
	KUNIT_ASSERT_TRUE(test, vhdx_log_entry_decode(&f->log, 0, &entry));
	ret = vhdx_log_update(&f->log, &entry, 0, &update, &f->err);
	expect_refusal(test, "length 0", ret, &f->err, &refusal);
}

static struct kunit_case format_log_cases[] = {
	KUNIT_CASE(entry_fields),
	KUNIT_CASE(entry_rules),
	KUNIT_CASE(entry_damage),
	KUNIT_CASE(updates_of_an_entry),
	KUNIT_CASE(zeros_between_data),
	KUNIT_CASE(active_sequence),
	KUNIT_CASE(full_ring),
	KUNIT_CASE(longest_entry),
	KUNIT_CASE(update_targets),
	KUNIT_CASE(refused_behind_wrap),
	KUNIT_CASE(zero_length_zero),
	{}
};

static struct kunit_suite format_log_suite = {
	.name = "vhdx_format_log",
	.test_cases = format_log_cases,
};

kunit_test_suite(format_log_suite);
