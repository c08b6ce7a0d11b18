// SPDX-License-Identifier: GPL-2.0
/*
 * The file identifier, the headers, and which of them is current.
 */
#include "format_test.h"

#define AT(field)	offsetof(struct vhdx_disk_header, field)
#define MIB		VHDX_MIB

/* Two headers like those of a clean image; slot 1 is the newer. */
struct fixture {
	u8 slot[2][VHDX_HEADER_SIZE];
	struct vhdx_headers headers;
	struct vhdx_error err;
};

static void fill(u8 *buf, u64 sequence_number)
{
	memset(buf, 0, VHDX_HEADER_SIZE);
	memcpy(buf, "head", 4);
	poke(buf, AT(sequence_number), 8, sequence_number);
	memset(buf + AT(file_write_guid), 0xF1, 16);
	memset(buf + AT(data_write_guid), 0xD2, 16);
	poke(buf, AT(version), 2, 1);
	poke(buf, AT(log_length), 4, MIB);
	poke(buf, AT(log_offset), 8, 2 * MIB);
	builder_seal(buf, VHDX_HEADER_SIZE);
}

static struct fixture *setup(struct kunit *test, u64 sequence1, u64 sequence2)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	fill(f->slot[0], sequence1);
	fill(f->slot[1], sequence2);
	return f;
}

static int decode(struct fixture *f)
{
	return vhdx_headers_decode(f->slot[0], f->slot[1], &f->headers, &f->err);
}

static void file_id(struct kunit *test)
{
	static const struct refusal refusal = {
		-EMEDIUMTYPE, "file identifier", "Signature", 0
	};
	struct vhdx_error err;
	u8 *buf = kunit_kzalloc(test, VHDX_FILE_ID_SIZE, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	expect_refusal(test, "zeros", vhdx_file_id_check(buf, &err), &err, &refusal);
	memcpy(buf, "conectix", 8);
	expect_refusal(test, "a VHD", vhdx_file_id_check(buf, &err), &err, &refusal);
	memcpy(buf, "vhdxfile", 8);
	expect_accepted(test, "a VHDX", vhdx_file_id_check(buf, &err), &err);
}

static void offsets(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, vhdx_header_offset(0), 64 << 10);
	KUNIT_EXPECT_EQ(test, vhdx_header_offset(1), 128 << 10);
}

/* A byte of each field comes out where it belongs. */
static void fields(struct kunit *test)
{
	struct fixture *f = setup(test, 0x0102030405060708, 0);
	struct vhdx_header *h = &f->headers.slot[0];

	memset(f->slot[0] + AT(log_guid), 0xA3, 16);
	poke(f->slot[0], AT(log_version), 2, 0x1122);
	poke(f->slot[0], AT(version), 2, 0x3344);
	poke(f->slot[0], AT(log_length), 4, 0x55667788);
	poke(f->slot[0], AT(log_offset), 8, 0x99AABBCCDDEEFF01);
	builder_seal(f->slot[0], VHDX_HEADER_SIZE);
	KUNIT_ASSERT_TRUE(test, vhdx_header_decode(f->slot[0], h));

	KUNIT_EXPECT_EQ(test, h->sequence_number, 0x0102030405060708);
	KUNIT_EXPECT_NULL(test, memchr_inv(&h->file_write_guid, 0xF1, 16));
	KUNIT_EXPECT_NULL(test, memchr_inv(&h->data_write_guid, 0xD2, 16));
	KUNIT_EXPECT_NULL(test, memchr_inv(&h->log_guid, 0xA3, 16));
	KUNIT_EXPECT_EQ(test, h->log_version, 0x1122);
	KUNIT_EXPECT_EQ(test, h->version, 0x3344);
	KUNIT_EXPECT_EQ(test, h->log_length, 0x55667788);
	KUNIT_EXPECT_EQ(test, h->log_offset, 0x99AABBCCDDEEFF01);
}

/* Reserved is covered by the checksum, and beyond that ignored. */
static void checksum_covers_all(struct kunit *test)
{
	struct fixture *f = setup(test, 1, 2);
	size_t i;

	for (i = 0; i < VHDX_HEADER_SIZE; i++) {
		f->slot[0][i] ^= 0x10;
		KUNIT_EXPECT_FALSE_MSG(test, vhdx_header_decode(f->slot[0], &f->headers.slot[0]),
				       "byte %zu", i);
		f->slot[0][i] ^= 0x10;
	}
	f->slot[0][4095] = 1;
	builder_seal(f->slot[0], VHDX_HEADER_SIZE);
	KUNIT_EXPECT_TRUE(test, vhdx_header_decode(f->slot[0], &f->headers.slot[0]));
}

static void signature_sealed(struct kunit *test)
{
	struct fixture *f = setup(test, 1, 2);

	memcpy(f->slot[0], "heaD", 4);
	builder_seal(f->slot[0], VHDX_HEADER_SIZE);
	KUNIT_EXPECT_FALSE(test, vhdx_header_decode(f->slot[0], &f->headers.slot[0]));
}

static void current_is_higher(struct kunit *test)
{
	static const struct {
		u64 sequence[2];
		unsigned int current_slot;
	} rows[] = {
		{ { 1, 2 }, 1 },
		{ { 2, 1 }, 0 },
		{ { 0, 1 }, 1 },
		{ { 9, 0 }, 0 },
		/* numbers do not wrap */
		{ { U64_MAX, 0 }, 0 },
		{ { U64_MAX - 1, U64_MAX }, 1 },
		{ { 1ULL << 63, (1ULL << 63) - 1 }, 0 },
	};
	struct fixture *f;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		f = setup(test, rows[i].sequence[0], rows[i].sequence[1]);
		expect_accepted(test, "two valid", decode(f), &f->err);
		KUNIT_EXPECT_EQ(test, f->headers.current_slot, rows[i].current_slot);
		KUNIT_EXPECT_TRUE(test, f->headers.valid[0] && f->headers.valid[1]);
	}
}

/* A torn newer header leaves the older one current. */
static void current_is_valid(struct kunit *test)
{
	struct fixture *f;
	unsigned int bad;

	for (bad = 0; bad < 2; bad++) {
		f = setup(test, 1 + (bad == 0), 1 + (bad == 1));
		f->slot[bad][100] ^= 1;
		expect_accepted(test, "one valid", decode(f), &f->err);
		KUNIT_EXPECT_EQ(test, f->headers.current_slot, !bad);
		f = setup(test, 0, 0);
		f->slot[bad][100] ^= 1;
		expect_accepted(test, "one valid, number 0", decode(f), &f->err);
		KUNIT_EXPECT_EQ(test, f->headers.current_slot, !bad);
		KUNIT_EXPECT_FALSE(test, f->headers.valid[bad]);
		KUNIT_EXPECT_TRUE(test, f->headers.valid[!bad]);
	}
}

static void none_valid(struct kunit *test)
{
	static const struct refusal refusal = { -EUCLEAN, "header 1", NULL, 0x10000 };
	struct fixture *f = setup(test, 1, 2);

	f->slot[0][8] ^= 1;
	f->slot[1][0] ^= 1;
	expect_refusal(test, "both bad", decode(f), &f->err, &refusal);
}

static void equal_numbers(struct kunit *test)
{
	static const struct refusal refusal = {
		-EUCLEAN, "header 2", "SequenceNumber", 0x20000 + 8
	};
	struct fixture *f = setup(test, 7, 7);

	expect_accepted(test, "identical", decode(f), &f->err);

	f->slot[1][AT(data_write_guid)] ^= 1;
	builder_seal(f->slot[1], VHDX_HEADER_SIZE);
	expect_refusal(test, "different", decode(f), &f->err, &refusal);

	f->slot[1][AT(data_write_guid)] ^= 2;
	expect_accepted(test, "one of them bad", decode(f), &f->err);
	KUNIT_EXPECT_EQ(test, f->headers.current_slot, 0);
}

/* @log_guid: set; the file has 8 MiB */
static const struct rule {
	const char *name;
	u16 version;
	u16 log_version;
	bool log_guid;
	u32 log_length;
	u64 log_offset;
	int errnum;
	const char *field;
	u32 at;
} rules[] = {
	{ "clean", 1, 0, false, MIB, 2 * MIB, 0, NULL, 0 },
	{ "dirty", 1, 0, true, MIB, 2 * MIB, 0, NULL, 0 },
	{ "up to the end", 1, 0, true, 3 * MIB, 5 * MIB, 0, NULL, 0 },
	{ "at 1 MiB", 1, 0, true, 7 * MIB, MIB, 0, NULL, 0 },
	{ "no log", 1, 0, false, 0, 0, 0, NULL, 0 },
	{ "no log, LogOffset is rubbish", 1, 0, false, 0, U64_MAX, 0, NULL, 0 },
	{ "clean, another LogVersion", 1, 1, false, MIB, 2 * MIB, 0, NULL, 0 },
	{ "Version 2", 2, 0, false, MIB, 2 * MIB, -EOPNOTSUPP, "Version", AT(version) },
	{ "Version 0", 0, 0, false, MIB, 2 * MIB, -EOPNOTSUPP, "Version", AT(version) },
	{ "Version before the rest", 2, 9, true, 1, 1, -EOPNOTSUPP, "Version", AT(version) },
	{ "LogVersion 1", 1, 1, true, MIB, 2 * MIB, -EOPNOTSUPP, "LogVersion",
	  AT(log_version) },
	{ "LogGuid, no log", 1, 0, true, 0, 2 * MIB, -EUCLEAN, "LogLength", AT(log_length) },
	{ "odd length", 1, 0, false, MIB + 4096, 2 * MIB, -EUCLEAN, "LogLength",
	  AT(log_length) },
	{ "length 4 GiB - 1 MiB", 1, 0, false, 0xFFF00000, MIB, -EUCLEAN, "LogLength",
	  AT(log_length) },
	{ "length over 1 GiB", 1, 0, true, 0x40100000, MIB, -EUCLEAN, "LogLength",
	  AT(log_length) },
	{ "odd offset", 1, 0, false, MIB, 2 * MIB + 512, -EUCLEAN, "LogOffset",
	  AT(log_offset) },
	{ "in the header section", 1, 0, false, MIB, 0, -EUCLEAN, "LogOffset",
	  AT(log_offset) },
	{ "one MiB past the end", 1, 0, false, 2 * MIB, 7 * MIB, -EUCLEAN, "LogOffset",
	  AT(log_offset) },
	{ "all past the end", 1, 0, true, MIB, 8 * MIB, -EUCLEAN, "LogOffset",
	  AT(log_offset) },
	{ "near 2^64", 1, 0, true, MIB, 0ULL - MIB, -EUCLEAN, "LogOffset", AT(log_offset) },
};

static void check_rules(struct kunit *test)
{
	struct vhdx_error err;
	unsigned int slot;
	size_t i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct rule *rule = &rules[i];
		struct vhdx_header header = {
			.version = rule->version,
			.log_version = rule->log_version,
			.log_length = rule->log_length,
			.log_offset = rule->log_offset,
		};

		if (rule->log_guid)
			header.log_guid = builder_guid_bat;
		for (slot = 0; slot < 2; slot++) {
			const u64 offset = vhdx_header_offset(slot);
			const struct refusal refusal = {
				rule->errnum, slot ? "header 2" : "header 1",
				rule->field, offset + rule->at
			};

			ret = vhdx_header_check(&header, offset, 8 * MIB, &err);
			if (rule->errnum)
				expect_refusal(test, rule->name, ret, &err, &refusal);
			else
				expect_accepted(test, rule->name, ret, &err);
		}
	}
}

/* A log of exactly the cap is one, where the file is long enough for it. */
static void longest_log(struct kunit *test)
{
	struct vhdx_header header = {
		.version = 1,
		.log_length = VHDX_MAX_LOG_LENGTH,
		.log_offset = MIB,
	};
	struct vhdx_error err;

	expect_accepted(test, "1 GiB",
			vhdx_header_check(&header, 0x10000, 1025 * MIB, &err), &err);
}

static void file_id_encoded(struct kunit *test)
{
	struct {
		struct vhdx_disk_file_id id;
		u8 behind;
	} buf;
	char creator[VHDX_CREATOR_CHARS + 10];
	struct vhdx_error err;
	u32 i;

	memset(&buf, 0xEE, sizeof(buf));
	vhdx_file_id_encode("me", &buf.id);
	expect_accepted(test, "encoded", vhdx_file_id_check(&buf.id, &err), &err);
	KUNIT_EXPECT_EQ(test, 0, memcmp(&buf.id, "vhdxfilem\0e\0\0", 14));
	for (i = 2; i < VHDX_CREATOR_CHARS; i++)
		KUNIT_EXPECT_EQ(test, 0, le16_to_cpu(buf.id.creator[i]));
	KUNIT_EXPECT_EQ(test, buf.behind, 0xEE);

	memset(creator, 'x', sizeof(creator));
	creator[sizeof(creator) - 1] = '\0';
	vhdx_file_id_encode(creator, &buf.id);
	KUNIT_EXPECT_EQ(test, 'x',
			le16_to_cpu(buf.id.creator[VHDX_CREATOR_CHARS - 1]));
	KUNIT_EXPECT_EQ(test, buf.behind, 0xEE);
}

static struct kunit_case format_header_cases[] = {
	KUNIT_CASE(file_id),
	KUNIT_CASE(file_id_encoded),
	KUNIT_CASE(offsets),
	KUNIT_CASE(fields),
	KUNIT_CASE(checksum_covers_all),
	KUNIT_CASE(signature_sealed),
	KUNIT_CASE(current_is_higher),
	KUNIT_CASE(current_is_valid),
	KUNIT_CASE(none_valid),
	KUNIT_CASE(equal_numbers),
	KUNIT_CASE(check_rules),
	KUNIT_CASE(longest_log),
	{}
};

static struct kunit_suite format_header_suite = {
	.name = "vhdx_format_header",
	.test_cases = format_header_cases,
};

kunit_test_suite(format_header_suite);
