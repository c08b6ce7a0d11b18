// SPDX-License-Identifier: GPL-2.0
/*
 * The region tables, and which of the two is used.
 */
#include "format_test.h"

#define MIB		VHDX_MIB
#define ENTRY(i)	(16 + 32 * (i))
#define AT(i, field)	(ENTRY(i) + offsetof(struct vhdx_disk_region_table_entry, field))

/* The log, BAT and metadata lie at 1, 2 and 4 MiB in a file of 16 MiB. */
#define LOG_OFFSET	MIB
#define LOG_LENGTH	MIB
#define FILE_SIZE	(16 * MIB)

struct fixture {
	u8 copy[2][VHDX_REGION_TABLE_SIZE];
	struct vhdx_region_table table;
	struct vhdx_error err;
};

static void put_region(u8 *buf, u32 i, const guid_t *guid, u64 offset, u32 length,
		       u32 required)
{
	memcpy(buf + AT(i, guid), guid, 16);
	poke(buf, AT(i, file_offset), 8, offset);
	poke(buf, AT(i, length), 4, length);
	poke(buf, AT(i, required), 4, required);
}

static void put_table(u8 *buf)
{
	memset(buf, 0, VHDX_REGION_TABLE_SIZE);
	memcpy(buf, "regi", 4);
	poke(buf, 8, 4, 2);
	put_region(buf, 0, &builder_guid_bat, 2 * MIB, 2 * MIB, 1);
	put_region(buf, 1, &builder_guid_metadata, 4 * MIB, MIB, 1);
	builder_seal(buf, VHDX_REGION_TABLE_SIZE);
}

static struct fixture *setup(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	put_table(f->copy[0]);
	put_table(f->copy[1]);
	return f;
}

static int decode(struct fixture *f)
{
	return vhdx_region_tables_decode(f->copy[0], f->copy[1], LOG_OFFSET, LOG_LENGTH,
					 FILE_SIZE, &f->table, &f->err);
}

static void expect_table(struct kunit *test, const struct fixture *f, u32 which,
			 bool valid1, bool valid2)
{
	KUNIT_EXPECT_EQ(test, f->table.table, which);
	KUNIT_EXPECT_EQ(test, f->table.offset, which == 1 ? 192 << 10 : 256 << 10);
	KUNIT_EXPECT_EQ(test, f->table.table_valid[0], valid1);
	KUNIT_EXPECT_EQ(test, f->table.table_valid[1], valid2);
}

static void fields(struct kunit *test)
{
	struct fixture *f = setup(test);
	const struct vhdx_region *bat, *metadata;

	expect_accepted(test, "plain", decode(f), &f->err);
	expect_table(test, f, 1, true, true);
	KUNIT_EXPECT_EQ(test, f->table.count, 2);

	bat = vhdx_region_find(&f->table, &builder_guid_bat);
	metadata = vhdx_region_find(&f->table, &builder_guid_metadata);
	KUNIT_ASSERT_PTR_EQ(test, bat, &f->table.region[0]);
	KUNIT_ASSERT_PTR_EQ(test, metadata, &f->table.region[1]);
	KUNIT_EXPECT_EQ(test, bat->file_offset, 2 * MIB);
	KUNIT_EXPECT_EQ(test, bat->length, 2 * MIB);
	KUNIT_EXPECT_TRUE(test, bat->required);
	KUNIT_EXPECT_EQ(test, metadata->file_offset, 4 * MIB);
	KUNIT_EXPECT_EQ(test, metadata->length, MIB);
	KUNIT_EXPECT_NULL(test, vhdx_region_find(&f->table, &builder_disk_id));
}

/* QEMU writes Required 0; Reserved is ignored. */
static void lenient(struct kunit *test)
{
	struct fixture *f = setup(test);

	poke(f->copy[0], AT(0, required), 4, 0);
	poke(f->copy[0], AT(1, required), 4, 0xFFFFFFFE);
	poke(f->copy[0], 12, 4, 0xFFFFFFFF);
	builder_seal(f->copy[0], VHDX_REGION_TABLE_SIZE);
	expect_accepted(test, "not required", decode(f), &f->err);
	expect_table(test, f, 1, true, true);
	KUNIT_EXPECT_FALSE(test, f->table.region[0].required);
	KUNIT_EXPECT_FALSE(test, f->table.region[1].required);
}

/* The regions may touch each other, the log, the header section and the end. */
static void tight(struct kunit *test)
{
	struct fixture *f = setup(test);
	int ret;

	put_region(f->copy[0], 0, &builder_guid_bat, MIB, MIB, 1);
	put_region(f->copy[0], 1, &builder_guid_metadata, 3 * MIB, MIB, 1);
	builder_seal(f->copy[0], VHDX_REGION_TABLE_SIZE);
	ret = vhdx_region_tables_decode(f->copy[0], f->copy[1], 2 * MIB, MIB, 4 * MIB,
					&f->table, &f->err);
	expect_accepted(test, "tight", ret, &f->err);
	expect_table(test, f, 1, true, true);
}

/* Without a log LogOffset means nothing. */
static void no_log(struct kunit *test)
{
	struct fixture *f = setup(test);
	int ret;

	ret = vhdx_region_tables_decode(f->copy[0], f->copy[1], 3 * MIB, 0, FILE_SIZE,
					&f->table, &f->err);
	expect_accepted(test, "no log", ret, &f->err);
	ret = vhdx_region_tables_decode(f->copy[0], f->copy[1], U64_MAX, 0, FILE_SIZE,
					&f->table, &f->err);
	expect_accepted(test, "no log", ret, &f->err);
}

/* Pokes into a whole table; the checksum is made right again after them. */
static const struct rule {
	const char *name;
	struct {
		u32 at;
		u32 bytes;
		u64 value;
	} pokes[2];
	const char *field;
	u32 at;
} rules[] = {
	{ "signature", { { 0, 1, 'R' } }, "Signature", 0 },
	{ "count 2048", { { 8, 4, 2048 } }, "EntryCount", 8 },
	{ "count 2^32 - 1", { { 8, 4, 0xFFFFFFFF } }, "EntryCount", 8 },
	{ "count 0", { { 8, 4, 0 } }, NULL, 0 },
	{ "no metadata region", { { 8, 4, 1 } }, NULL, 0 },
	{ "no BAT region", { { AT(0, guid), 1, 0 }, { AT(0, required), 4, 0 } }, NULL, 0 },
	{ "offset 0", { { AT(0, file_offset), 8, 0 } }, "FileOffset", AT(0, file_offset) },
	{ "unaligned offset", { { AT(1, file_offset), 8, 6 * MIB + 4096 } }, "FileOffset",
	  AT(1, file_offset) },
	{ "length 0", { { AT(0, length), 4, 0 } }, "Length", AT(0, length) },
	{ "unaligned length", { { AT(1, length), 4, MIB + 1 } }, "Length", AT(1, length) },
	{ "one MiB past the end", { { AT(1, file_offset), 8, 15 * MIB },
				    { AT(1, length), 4, 2 * MIB } },
	  "FileOffset", AT(1, file_offset) },
	{ "all past the end", { { AT(1, file_offset), 8, 16 * MIB } }, "FileOffset",
	  AT(1, file_offset) },
	{ "wraps", { { AT(1, file_offset), 8, 0ULL - MIB } }, "FileOffset",
	  AT(1, file_offset) },
	{ "wraps to inside", { { AT(1, file_offset), 8, 0ULL - MIB },
			       { AT(1, length), 4, 8 * MIB } },
	  "FileOffset", AT(1, file_offset) },
	{ "on the log", { { AT(0, file_offset), 8, MIB } }, "FileOffset",
	  AT(0, file_offset) },
	{ "into the other", { { AT(1, file_offset), 8, 3 * MIB } }, "FileOffset",
	  AT(1, file_offset) },
	{ "over the other", { { AT(0, file_offset), 8, 4 * MIB } }, "FileOffset",
	  AT(1, file_offset) },
	{ "the same twice", { { AT(1, guid), 8, 0x4200F6232DC27766 },
			      { AT(1, guid) + 8, 8, 0x084AFD9B5E11649D } },
	  "Guid", AT(1, guid) },
};

static void break_table(u8 *buf, const struct rule *rule)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rule->pokes); i++)
		poke(buf, rule->pokes[i].at, rule->pokes[i].bytes, rule->pokes[i].value);
	builder_seal(buf, VHDX_REGION_TABLE_SIZE);
}

/* Broken in both: refused for what is wrong in table 1. */
static void both_broken(struct kunit *test)
{
	struct fixture *f = setup(test);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct refusal refusal = {
			-EUCLEAN, "region table 1", rules[i].field, 0x30000 + rules[i].at
		};

		put_table(f->copy[0]);
		break_table(f->copy[0], &rules[i]);
		put_table(f->copy[1]);
		f->copy[1][40] ^= 1;
		expect_refusal(test, rules[i].name, decode(f), &f->err, &refusal);

		/* a table 2 that breaks a rule does not help either */
		put_table(f->copy[1]);
		break_table(f->copy[1], &rules[ARRAY_SIZE(rules) - 1 - i]);
		expect_refusal(test, rules[i].name, decode(f), &f->err, &refusal);
	}
}

/* Broken in one: opens from the other. */
static void one_broken(struct kunit *test)
{
	struct fixture *f = setup(test);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rules); i++) {
		bool signature = rules[i].at == 0 && rules[i].field;

		put_table(f->copy[0]);
		put_table(f->copy[1]);
		break_table(f->copy[0], &rules[i]);
		expect_accepted(test, rules[i].name, decode(f), &f->err);
		expect_table(test, f, 2, !signature, true);

		put_table(f->copy[0]);
		break_table(f->copy[1], &rules[i]);
		expect_accepted(test, rules[i].name, decode(f), &f->err);
		expect_table(test, f, 1, true, !signature);
	}
}

static void checksums(struct kunit *test)
{
	static const struct refusal refusal = {
		-EUCLEAN, "region table 1", "Checksum", 0x30004
	};
	struct fixture *f = setup(test);

	f->copy[0][VHDX_REGION_TABLE_SIZE - 1] ^= 1;
	expect_accepted(test, "table 1 bad", decode(f), &f->err);
	expect_table(test, f, 2, false, true);

	f->copy[1][VHDX_REGION_TABLE_SIZE / 2] ^= 1;
	expect_refusal(test, "both bad", decode(f), &f->err, &refusal);

	f->copy[0][VHDX_REGION_TABLE_SIZE - 1] ^= 1;
	expect_accepted(test, "table 2 bad", decode(f), &f->err);
	expect_table(test, f, 1, true, false);
}

static void put_unknown(u8 *buf, u32 required)
{
	poke(buf, 8, 4, 3);
	put_region(buf, 2, &builder_disk_id, 8 * MIB, MIB, required);
	builder_seal(buf, VHDX_REGION_TABLE_SIZE);
}

/* One that is optional is kept; one that is required is no damage. */
static void unknown_regions(struct kunit *test)
{
	static const struct refusal refusal1 = {
		-EOPNOTSUPP, "region table 1", "Guid", 0x30000 + AT(2, guid)
	};
	static const struct refusal refusal2 = {
		-EOPNOTSUPP, "region table 2", "Guid", 0x40000 + AT(2, guid)
	};
	struct fixture *f = setup(test);
	const struct vhdx_region *region;

	put_unknown(f->copy[0], 0);
	expect_accepted(test, "optional", decode(f), &f->err);
	region = vhdx_region_find(&f->table, &builder_disk_id);
	KUNIT_ASSERT_NOT_NULL(test, region);
	KUNIT_EXPECT_EQ(test, region->file_offset, 8 * MIB);
	KUNIT_EXPECT_FALSE(test, region->required);

	put_unknown(f->copy[0], 1);
	expect_refusal(test, "required", decode(f), &f->err, &refusal1);

	put_unknown(f->copy[1], 1);
	f->copy[0][100] ^= 1;
	expect_refusal(test, "required in table 2", decode(f), &f->err, &refusal2);

	/* in a table 1 that is broken as well it does not count */
	put_table(f->copy[1]);
	put_unknown(f->copy[0], 1);
	poke(f->copy[0], AT(0, length), 4, 1);
	builder_seal(f->copy[0], VHDX_REGION_TABLE_SIZE);
	expect_accepted(test, "required, but broken", decode(f), &f->err);
	expect_table(test, f, 2, true, true);
}

/* As many regions as there can be, none of which touches another. */
static void most_regions(struct kunit *test)
{
	static const struct refusal refusal = {
		-EUCLEAN, "region table 1", "FileOffset", 0x30000 + AT(2046, file_offset)
	};
	struct fixture *f = setup(test);
	guid_t guid = { };
	u32 i;
	int ret;

	poke(f->copy[0], 8, 4, VHDX_MAX_REGIONS);
	for (i = 2; i < VHDX_MAX_REGIONS; i++) {
		poke(&guid, 0, 4, i);
		put_region(f->copy[0], i, &guid, (i + 5) * MIB, MIB, 0);
	}
	builder_seal(f->copy[0], VHDX_REGION_TABLE_SIZE);
	f->copy[1][0] = 0;
	ret = vhdx_region_tables_decode(f->copy[0], f->copy[1], LOG_OFFSET, LOG_LENGTH,
					2052 * MIB, &f->table, &f->err);
	expect_accepted(test, "2047 regions", ret, &f->err);
	KUNIT_EXPECT_EQ(test, f->table.count, VHDX_MAX_REGIONS);

	poke(f->copy[0], AT(2046, file_offset), 8, 7 * MIB);
	builder_seal(f->copy[0], VHDX_REGION_TABLE_SIZE);
	ret = vhdx_region_tables_decode(f->copy[0], f->copy[1], LOG_OFFSET, LOG_LENGTH,
					2052 * MIB, &f->table, &f->err);
	expect_refusal(test, "the last overlaps", ret, &f->err, &refusal);
}

/* To the byte what the tests' own writer makes. */
static void encoded(struct kunit *test)
{
	const struct vhdx_region region[] = {
		{ builder_guid_bat, 2 * MIB, 2 * MIB, true },
		{ builder_guid_metadata, 4 * MIB, MIB, true },
	};
	struct fixture *f = setup(test);

	memset(f->copy[1], 0xEE, VHDX_REGION_TABLE_SIZE);
	vhdx_region_table_encode(region, ARRAY_SIZE(region), f->copy[1]);
	KUNIT_EXPECT_EQ(test, 0, memcmp(f->copy[0], f->copy[1],
					VHDX_REGION_TABLE_SIZE));
}

static struct kunit_case format_region_cases[] = {
	KUNIT_CASE(encoded),
	KUNIT_CASE(fields),
	KUNIT_CASE(lenient),
	KUNIT_CASE(tight),
	KUNIT_CASE(no_log),
	KUNIT_CASE(both_broken),
	KUNIT_CASE(one_broken),
	KUNIT_CASE(checksums),
	KUNIT_CASE(unknown_regions),
	KUNIT_CASE(most_regions),
	{}
};

static struct kunit_suite format_region_suite = {
	.name = "vhdx_format_region",
	.test_cases = format_region_cases,
};

kunit_test_suite(format_region_suite);
