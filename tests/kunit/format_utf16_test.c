// SPDX-License-Identifier: GPL-2.0
/*
 * UTF-16LE to UTF-8.
 */
#include "format_test.h"

#define UNITS	6

/* @strict, @lossy: the result without and with lossy; NULL when refused. */
static const struct sample {
	u16 units[UNITS];
	size_t chars;
	const char *strict;
	const char *lossy;
} samples[] = {
	{ { 0 }, 0, "", "" },
	{ { 'v', 'h', 'd', 'x' }, 4, "vhdx", "vhdx" },
	{ { 0x7F, 0x80, 0x7FF, 0x800 }, 4, "\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80",
	  "\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80" },
	{ { 0xD7FF, 0xE000, 0xFFFD, 0xFFFF }, 4,
	  "\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBD\xEF\xBF\xBF",
	  "\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBD\xEF\xBF\xBF" },
	/* U+10000, U+1F4BE, U+10FFFF */
	{ { 0xD800, 0xDC00, 0xD83D, 0xDCBE, 0xDBFF, 0xDFFF }, 6,
	  "\xF0\x90\x80\x80\xF0\x9F\x92\xBE\xF4\x8F\xBF\xBF",
	  "\xF0\x90\x80\x80\xF0\x9F\x92\xBE\xF4\x8F\xBF\xBF" },
	/* a NUL ends the text, even when rubbish follows */
	{ { 'a', 0, 0xD800, 'b' }, 4, "a", "a" },
	/* unpaired: at the end, before another unit, twice, low alone, reversed */
	{ { 'a', 0xD800 }, 2, NULL, "a\xEF\xBF\xBD" },
	{ { 0xDBFF, 'z' }, 2, NULL, "\xEF\xBF\xBDz" },
	{ { 0xD800, 0xD800, 0xDC00 }, 3, NULL, "\xEF\xBF\xBD\xF0\x90\x80\x80" },
	{ { 'a', 0xDC00, 'z' }, 3, NULL, "a\xEF\xBF\xBDz" },
	{ { 0xDC00, 0xDC00 }, 2, NULL, "\xEF\xBF\xBD\xEF\xBF\xBD" },
	{ { 0xDFFF, 0xD800 }, 2, NULL, "\xEF\xBF\xBD\xEF\xBF\xBD" },
	{ { 0xD800, 0xE000 }, 2, NULL, "\xEF\xBF\xBD\xEE\x80\x80" },
	/* the pair is cut by the length, not by what lies behind */
	{ { 0xD800, 0xDC00 }, 1, NULL, "\xEF\xBF\xBD" },
};

/* At an odd address, since parent locators have such. */
static const void *encode(u8 *buf, const struct sample *sample)
{
	size_t i;

	for (i = 0; i < UNITS; i++)
		poke(buf, 1 + 2 * i, 2, sample->units[i]);
	return buf + 1;
}

static void check_sample(struct kunit *test, const struct sample *sample, bool lossy)
{
	const char *expected = lossy ? sample->lossy : sample->strict;
	const int length = expected ? strlen(expected) : -EILSEQ;
	const void *utf16;
	u8 buf[2 * UNITS + 2];
	char text[3 * UNITS + 1];

	utf16 = encode(buf, sample);
	KUNIT_EXPECT_EQ(test, length, vhdx_utf16_to_utf8(NULL, 0, utf16, sample->chars, lossy));
	memset(text, 'x', sizeof(text));
	KUNIT_EXPECT_EQ(test, length,
			vhdx_utf16_to_utf8(text, sizeof(text), utf16, sample->chars, lossy));
	if (expected)
		KUNIT_EXPECT_STREQ(test, text, expected);
	else
		KUNIT_EXPECT_LT(test, strnlen(text, sizeof(text)), sizeof(text));
}

static void convert(struct kunit *test)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(samples); i++) {
		check_sample(test, &samples[i], false);
		check_sample(test, &samples[i], true);
	}
}

/* At each size the longest row of whole characters that fits, and its NUL. */
static void truncate_at(struct kunit *test, const struct sample *sample, size_t size)
{
	const size_t full = strlen(sample->lossy);
	size_t fits = min(full, size - 1);
	char text[3 * UNITS + 2];
	u8 buf[2 * UNITS + 2];

	while (fits < full && (sample->lossy[fits] & 0xC0) == 0x80)
		fits--;
	memset(text, 'x', sizeof(text));
	KUNIT_EXPECT_EQ(test, full, vhdx_utf16_to_utf8(text, size, encode(buf, sample),
						       sample->chars, true));
	KUNIT_EXPECT_EQ(test, strnlen(text, sizeof(text)), fits);
	KUNIT_EXPECT_EQ(test, 0, memcmp(text, sample->lossy, fits));
	KUNIT_EXPECT_EQ(test, text[size], 'x');
}

static void truncate(struct kunit *test)
{
	size_t i, size;

	for (i = 0; i < ARRAY_SIZE(samples); i++)
		for (size = 1; size <= 3 * UNITS + 1; size++)
			truncate_at(test, &samples[i], size);
}

static struct kunit_case format_utf16_cases[] = {
	KUNIT_CASE(convert),
	KUNIT_CASE(truncate),
	{}
};

static struct kunit_suite format_utf16_suite = {
	.name = "vhdx_format_utf16",
	.test_cases = format_utf16_cases,
};

kunit_test_suite(format_utf16_suite);
