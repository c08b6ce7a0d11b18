// SPDX-License-Identifier: GPL-2.0
/*
 * UTF-16LE to UTF-8 and back.
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

/* Behind the size nothing is written, and the result is as long all the same. */
static void back(struct kunit *test)
{
	u8 buf[2 * UNITS + 2], there[sizeof(buf)];
	size_t i, units;

	for (i = 0; i < ARRAY_SIZE(samples); i++) {
		const struct sample *sample = &samples[i];
		/* A NUL ends the text. */
		const int length = strlen(sample->lossy) == 1 ? 1 :
				   (int)sample->chars;

		if (!sample->strict)
			continue;
		encode(there, sample);
		for (units = 0; units <= UNITS; units++) {
			size_t bytes = 2 * min_t(size_t, units, length);

			memset(buf, 0xEE, sizeof(buf));
			KUNIT_EXPECT_EQ(test, length,
					vhdx_utf8_to_utf16(buf + 1, units,
							   sample->strict));
			KUNIT_EXPECT_EQ(test, 0, memcmp(buf + 1, there + 1, bytes));
			KUNIT_EXPECT_EQ(test, buf[1 + bytes], 0xEE);
		}
	}
}

/* Alone, cut, too long for what they say, surrogates, past U+10FFFF. */
static void not_utf8(struct kunit *test)
{
	static const char * const bad[] = {
		"\x80", "a\xBF", "\xC2", "\xC2z", "\xC0\x80", "\xC1\xBF",
		"\xE0\xA0", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xED\xBF\xBF",
		"\xF0\x90\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
		"\xF8\x88\x80\x80\x80", "\xFE", "\xFF",
	};
	size_t i;
	u32 value;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		KUNIT_EXPECT_EQ_MSG(test, -EILSEQ,
				    vhdx_utf8_to_utf16(NULL, 0, bad[i]), "%zu", i);
		KUNIT_EXPECT_EQ_MSG(test, 0,
				    vhdx_utf8_decode(bad[i] + (bad[i][0] == 'a'),
						     &value), "%zu", i);
	}
	KUNIT_EXPECT_EQ(test, 1, vhdx_utf8_decode("", &value));
	KUNIT_EXPECT_EQ(test, 0, value);
}

static struct kunit_case format_utf16_cases[] = {
	KUNIT_CASE(convert),
	KUNIT_CASE(truncate),
	KUNIT_CASE(back),
	KUNIT_CASE(not_utf8),
	{}
};

static struct kunit_suite format_utf16_suite = {
	.name = "vhdx_format_utf16",
	.test_cases = format_utf16_cases,
};

kunit_test_suite(format_utf16_suite);
