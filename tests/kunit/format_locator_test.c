// SPDX-License-Identifier: GPL-2.0
/*
 * The parent locator.
 */
#include "format_test.h"

#define ITEM_OFFSET	0x310028ULL
#define ENTRY(i)	(20 + 12 * (i))
#define AT(i, field)	(ENTRY(i) + offsetof(struct vhdx_disk_parent_locator_entry, field))
#define MAX_PAIRS	66
#define BUF_SIZE	8192

#define LINKAGE		"{83ed0ec3-24c8-49a6-a959-5e4bf1288bfb}"
#define LINKAGE2	"{1C1C1A09-8F5E-4C05-97A8-10CD7C7CC5D2}"

struct pair {
	const char *key;
	const char *value;
};

struct fixture {
	u8 buf[BUF_SIZE];
	struct pair pair[MAX_PAIRS];
	char key[MAX_PAIRS][8];
	u32 pairs;
	u32 length;
	struct vhdx_locator locator;
	struct vhdx_error err;
};

/* Strings follow the entries from an odd place on. */
static u32 put_string(u8 *buf, u32 at, const char *text)
{
	for (; *text; text++, at += 2)
		poke(buf, at, 2, (u8)*text);
	return at;
}

static void build(struct fixture *f)
{
	u32 i, end, at = ENTRY(f->pairs) + 1;

	memset(f->buf, 0, sizeof(f->buf));
	memcpy(f->buf, &builder_guid_locator, 16);
	poke(f->buf, 18, 2, f->pairs);
	for (i = 0; i < f->pairs; i++) {
		end = put_string(f->buf, at, f->pair[i].key);
		poke(f->buf, AT(i, key_offset), 4, at);
		poke(f->buf, AT(i, key_length), 2, end - at);
		at = end;
		end = put_string(f->buf, at, f->pair[i].value);
		poke(f->buf, AT(i, value_offset), 4, at);
		poke(f->buf, AT(i, value_length), 2, end - at);
		at = end;
	}
	f->length = at;
}

/* What Windows writes: five keys, linkage2 all zero, odd paths. */
static struct fixture *setup(struct kunit *test)
{
	static const struct pair windows[] = {
		{ "parent_linkage", LINKAGE },
		{ "parent_linkage2", "{00000000-0000-0000-0000-000000000000}" },
		{ "relative_path", ".\\parent.vhdx" },
		{ "volume_path",
		  "\\\\?\\Volume{26A21BDA-A627-11D7-9931-806E6F6E6963}\\parent.vhdx" },
		{ "absolute_win32_path", "C:\\parent.vhdx" },
	};
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	memcpy(f->pair, windows, sizeof(windows));
	f->pairs = ARRAY_SIZE(windows);
	build(f);
	return f;
}

/* From a copy of just the item's length, so that a sanitizer sees a read past it. */
static int decode(struct kunit *test, struct fixture *f)
{
	u8 *item = kunit_kzalloc(test, f->length ?: 1, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, item);
	memcpy(item, f->buf, f->length);
	return vhdx_locator_decode(item, f->length, ITEM_OFFSET, &f->locator, &f->err);
}

static void expect_value(struct kunit *test, const struct fixture *f, const char *key,
			 const char *value)
{
	struct vhdx_locator_entry entry;
	char text[128];

	KUNIT_ASSERT_TRUE_MSG(test, vhdx_locator_find(&f->locator, key, &entry), "%s", key);
	vhdx_utf16_to_utf8(text, sizeof(text), entry.value, entry.value_chars, false);
	KUNIT_EXPECT_STREQ(test, text, value);
}

static void windows_locator(struct kunit *test)
{
	struct fixture *f = setup(test);
	struct vhdx_locator_entry entry;
	char text[64];
	guid_t linkage;
	u32 i;

	expect_accepted(test, "windows", decode(test, f), &f->err);
	KUNIT_EXPECT_EQ(test, f->locator.count, 5);
	KUNIT_ASSERT_EQ(test, 0, vhdx_guid_parse(LINKAGE, strlen(LINKAGE), &linkage));
	KUNIT_EXPECT_TRUE(test, guid_equal(&f->locator.parent_linkage, &linkage));
	KUNIT_EXPECT_TRUE(test, f->locator.has_parent_linkage2);
	KUNIT_EXPECT_TRUE(test, guid_is_null(&f->locator.parent_linkage2));
	for (i = 0; i < 5; i++) {
		vhdx_locator_entry(&f->locator, i, &entry);
		vhdx_utf16_to_utf8(text, sizeof(text), entry.key, entry.key_chars, false);
		KUNIT_EXPECT_STREQ(test, text, f->pair[i].key);
		expect_value(test, f, f->pair[i].key, f->pair[i].value);
	}
}

/* Case counts, and so does the length. */
static void find_is_exact(struct kunit *test)
{
	static const char * const keys[] = {
		"", "Relative_path", "relative_pat", "relative_path2", "path"
	};
	struct fixture *f = setup(test);
	struct vhdx_locator_entry entry;
	size_t i;

	expect_accepted(test, "windows", decode(test, f), &f->err);
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		KUNIT_EXPECT_FALSE_MSG(test, vhdx_locator_find(&f->locator, keys[i], &entry),
				       "%s", keys[i]);
}

/* The pairs of a locator: up to four, then what becomes of it. */
static const struct keys {
	const char *name;
	struct pair pair[4];
	const char *field;
	int errnum;
	u32 at;
} keys[] = {
	{ "least", { { "parent_linkage", LINKAGE }, { "relative_path", "p" } }, NULL, 0, 0 },
	{ "volume path only", { { "volume_path", "p" }, { "parent_linkage", LINKAGE } },
	  NULL, 0, 0 },
	{ "absolute path only", { { "absolute_win32_path", "p" },
				  { "parent_linkage", LINKAGE } }, NULL, 0, 0 },
	{ "second linkage", { { "parent_linkage", LINKAGE }, { "relative_path", "p" },
			      { "parent_linkage2", LINKAGE2 } }, NULL, 0, 0 },
	{ "a key of someone else's", { { "parent_linkage", LINKAGE }, { "relative_path", "p" },
				       { "colour", "blue" } }, NULL, 0, 0 },
	{ "keys that differ in case", { { "parent_linkage", LINKAGE },
					{ "relative_path", "p" },
					{ "Relative_Path", "q" } }, NULL, 0, 0 },
	{ "no braces, upper case", { { "parent_linkage", "83ED0EC3-24C8-49A6-A959-5E4BF1288BFB" },
				     { "relative_path", "p" } }, NULL, 0, 0 },
	{ "no linkage", { { "parent_linkage2", LINKAGE }, { "relative_path", "p" } },
	  "parent_linkage", -EUCLEAN, 0 },
	{ "linkage of another case", { { "Parent_Linkage", LINKAGE }, { "relative_path", "p" } },
	  "parent_linkage", -EUCLEAN, 0 },
	{ "linkage is no GUID", { { "parent_linkage", "the parent" }, { "relative_path", "p" } },
	  "parent_linkage", -EUCLEAN, 0 },
	{ "linkage and more", { { "parent_linkage", LINKAGE "0" }, { "relative_path", "p" } },
	  "parent_linkage", -EUCLEAN, 0 },
	{ "linkage and much more", { { "parent_linkage", LINKAGE LINKAGE LINKAGE },
				     { "relative_path", "p" } },
	  "parent_linkage", -EUCLEAN, 0 },
	{ "linkage2 is no GUID", { { "parent_linkage", LINKAGE }, { "parent_linkage2", "{}" },
				   { "relative_path", "p" } },
	  "parent_linkage2", -EUCLEAN, 0 },
	{ "no path", { { "parent_linkage", LINKAGE }, { "parent_linkage2", LINKAGE } },
	  NULL, -EUCLEAN, 0 },
	{ "the same key twice", { { "parent_linkage", LINKAGE }, { "relative_path", "p" },
				  { "colour", "blue" }, { "relative_path", "q" } },
	  "entry", -EUCLEAN, ENTRY(3) },
};

static void key_rules(struct kunit *test)
{
	struct fixture *f = setup(test);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		const bool entry = keys[i].at;
		const struct refusal refusal = {
			keys[i].errnum, entry ? "parent locator entry" : "parent locator",
			entry ? NULL : keys[i].field, ITEM_OFFSET + keys[i].at
		};

		memcpy(f->pair, keys[i].pair, sizeof(keys[i].pair));
		for (f->pairs = 0; f->pairs < 4 && f->pair[f->pairs].key; f->pairs++)
			;
		build(f);
		if (keys[i].errnum)
			expect_refusal(test, keys[i].name, decode(test, f), &f->err, &refusal);
		else
			expect_accepted(test, keys[i].name, decode(test, f), &f->err);
	}
}

static void linkage2(struct kunit *test)
{
	struct fixture *f = setup(test);
	guid_t guid;

	f->pair[1].value = LINKAGE2;
	build(f);
	expect_accepted(test, "set", decode(test, f), &f->err);
	KUNIT_ASSERT_EQ(test, 0, vhdx_guid_parse(LINKAGE2, strlen(LINKAGE2), &guid));
	KUNIT_EXPECT_TRUE(test, f->locator.has_parent_linkage2);
	KUNIT_EXPECT_TRUE(test, guid_equal(&f->locator.parent_linkage2, &guid));

	f->pair[1].key = "other";
	build(f);
	expect_accepted(test, "missing", decode(test, f), &f->err);
	KUNIT_EXPECT_FALSE(test, f->locator.has_parent_linkage2);
}

/* One value into the windows locator's bytes; @field_at: what the error points to. */
static const struct poke {
	const char *name;
	u32 at;
	u32 bytes;
	u64 value;
	int errnum;
	const char *structure;
	const char *field;
	u32 field_at;
} pokes[] = {
	{ "type", 0, 1, 0, -EOPNOTSUPP, "parent locator", "LocatorType",
	  0 },
	{ "count past the item", 18, 2, 65535, -EUCLEAN, "parent locator", "KeyValueCount",
	  18 },
	{ "key length 0", AT(2, key_length), 2, 0, -EUCLEAN, NULL, "KeyLength",
	  AT(2, key_length) },
	{ "odd key length", AT(2, key_length), 2, 13, -EUCLEAN, NULL, "KeyLength",
	  AT(2, key_length) },
	{ "key past the item", AT(2, key_length), 2, 65534, -EUCLEAN, NULL, "KeyOffset",
	  AT(2, key_offset) },
	{ "key at 0", AT(2, key_offset), 4, 0, -EUCLEAN, NULL, "KeyOffset",
	  AT(2, key_offset) },
	{ "key far away", AT(2, key_offset), 4, 0x7FFFFFFF, -EUCLEAN, NULL, "KeyOffset",
	  AT(2, key_offset) },
	{ "key wraps", AT(2, key_offset), 4, 0xFFFFFFFF, -EUCLEAN, NULL, "KeyOffset",
	  AT(2, key_offset) },
	{ "value length 0", AT(4, value_length), 2, 0, -EUCLEAN, NULL, "ValueLength",
	  AT(4, value_length) },
	{ "odd value length", AT(4, value_length), 2, 3, -EUCLEAN, NULL, "ValueLength",
	  AT(4, value_length) },
	{ "value past the item", AT(4, value_length), 2, 30, -EUCLEAN, NULL, "ValueOffset",
	  AT(4, value_offset) },
	{ "value at 0", AT(4, value_offset), 4, 0, -EUCLEAN, NULL, "ValueOffset",
	  AT(4, value_offset) },
	{ "value wraps", AT(4, value_offset), 4, 0xFFFFFFFE, -EUCLEAN, NULL, "ValueOffset",
	  AT(4, value_offset) },
};

static void entry_rules(struct kunit *test)
{
	struct fixture *f = setup(test);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(pokes); i++) {
		const struct poke *p = &pokes[i];
		const struct refusal refusal = {
			p->errnum, p->structure ?: "parent locator entry", p->field,
			ITEM_OFFSET + p->field_at
		};

		build(f);
		poke(f->buf, p->at, p->bytes, p->value);
		expect_refusal(test, p->name, decode(test, f), &f->err, &refusal);
	}
}

/* A unit that must not be, in the last key's or value's first place. */
static void bad_text(struct kunit *test)
{
	static const u16 units[] = { 0, 0xD800, 0xDC00 };
	static const struct refusal key = {
		-EUCLEAN, "parent locator entry", "KeyOffset", ITEM_OFFSET + AT(4, key_offset)
	};
	static const struct refusal value = {
		-EUCLEAN, "parent locator entry", "ValueOffset",
		ITEM_OFFSET + AT(4, value_offset)
	};
	struct fixture *f = setup(test);
	u32 value_at = f->length - 2 * strlen(f->pair[4].value);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(units); i++) {
		build(f);
		poke(f->buf, value_at, 2, units[i]);
		expect_refusal(test, "value, first", decode(test, f), &f->err, &value);
		build(f);
		poke(f->buf, f->length - 2, 2, units[i]);
		expect_refusal(test, "value, last", decode(test, f), &f->err, &value);
		build(f);
		poke(f->buf, value_at - 2, 2, units[i]);
		expect_refusal(test, "key, last", decode(test, f), &f->err, &key);
	}
}

/* Every length an item can be cut to is refused, without reading past it. */
static void cut(struct kunit *test)
{
	static const struct refusal refusal = {
		-EUCLEAN, "parent locator", "Length", ITEM_OFFSET
	};
	struct fixture *f = setup(test);
	u32 length, full = f->length;

	for (length = 0; length < full; length++) {
		f->length = length;
		if (length < 20)
			expect_refusal(test, "no header", decode(test, f), &f->err, &refusal);
		else
			KUNIT_EXPECT_EQ_MSG(test, -EUCLEAN, decode(test, f), "length %u", length);
	}
}

static void no_pairs(struct kunit *test)
{
	static const struct refusal refusal = {
		-EUCLEAN, "parent locator", "parent_linkage", ITEM_OFFSET
	};
	struct fixture *f = setup(test);

	f->pairs = 0;
	build(f);
	f->length = ENTRY(0);
	expect_refusal(test, "no pairs", decode(test, f), &f->err, &refusal);
}

static void many_keys(struct kunit *test)
{
	static const struct refusal refusal = {
		-EOPNOTSUPP, "parent locator", "KeyValueCount", ITEM_OFFSET + 18
	};
	struct fixture *f = setup(test);
	u32 i;

	for (i = f->pairs; i < VHDX_MAX_LOCATOR_KEYS + 1; i++) {
		scnprintf(f->key[i], sizeof(f->key[i]), "key%u", i);
		f->pair[i].key = f->key[i];
		f->pair[i].value = "value";
	}
	f->pairs = VHDX_MAX_LOCATOR_KEYS;
	build(f);
	expect_accepted(test, "64 keys", decode(test, f), &f->err);
	expect_value(test, f, "key63", "value");
	f->pairs++;
	build(f);
	expect_refusal(test, "65 keys", decode(test, f), &f->err, &refusal);
}

static const struct vhdx_locator_pair pairs[] = {
	{ "parent_linkage", LINKAGE },
	{ "relative_path", ".\\\xC3\xA4\xF0\x9F\x92\xBE.vhdx" },
};

static void encoded(struct kunit *test)
{
	struct fixture *f = setup(test);
	u8 *buf = kunit_kzalloc(test, BUF_SIZE, GFP_KERNEL);
	int length;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	memset(buf, 0xEE, BUF_SIZE);
	length = vhdx_locator_encode(pairs, ARRAY_SIZE(pairs), buf, BUF_SIZE);
	KUNIT_ASSERT_GT(test, length, 0);
	KUNIT_EXPECT_EQ(test, buf[length], 0xEE);
	f->length = length;
	memcpy(f->buf, buf, length);
	expect_accepted(test, "encoded", decode(test, f), &f->err);
	KUNIT_EXPECT_EQ(test, f->locator.count, 2);
	expect_value(test, f, pairs[0].key, pairs[0].value);
	expect_value(test, f, pairs[1].key, pairs[1].value);
}

/* Into every length that is too short, without a byte behind it. */
static void encoded_too_long(struct kunit *test)
{
	u8 *buf = kunit_kzalloc(test, BUF_SIZE, GFP_KERNEL);
	struct vhdx_locator_pair pair[] = { pairs[0], pairs[1] };
	int length, size;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	length = vhdx_locator_encode(pairs, 2, buf, BUF_SIZE);
	for (size = ENTRY(2); size < length; size++) {
		memset(buf + size, 0xEE, 16);
		KUNIT_EXPECT_EQ(test, -ENAMETOOLONG,
				vhdx_locator_encode(pairs, 2, buf, size));
		KUNIT_EXPECT_EQ(test, buf[size], 0xEE);
	}
	KUNIT_EXPECT_EQ(test, length, vhdx_locator_encode(pairs, 2, buf, size));
	pair[1].value = "\xE4";
	KUNIT_EXPECT_EQ(test, -EILSEQ, vhdx_locator_encode(pair, 2, buf, BUF_SIZE));
}

static struct kunit_case format_locator_cases[] = {
	KUNIT_CASE(encoded),
	KUNIT_CASE(encoded_too_long),
	KUNIT_CASE(windows_locator),
	KUNIT_CASE(find_is_exact),
	KUNIT_CASE(key_rules),
	KUNIT_CASE(linkage2),
	KUNIT_CASE(entry_rules),
	KUNIT_CASE(bad_text),
	KUNIT_CASE(cut),
	KUNIT_CASE(no_pairs),
	KUNIT_CASE(many_keys),
	{}
};

static struct kunit_suite format_locator_suite = {
	.name = "vhdx_format_locator",
	.test_cases = format_locator_cases,
};

kunit_test_suite(format_locator_suite);
