// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <wctype.h>

#include "format/format.h"
#include "text.h"

/**
 * text_memory - make sure that an allocation succeeded
 * @p: what an allocator answered
 *
 * The tool's own small strings and tables are not worth an error path each:
 * without memory for them the program ends with EX_TEMPFAIL. Nothing is half
 * done at such a point that the kernel does not take back.
 *
 * Return: @p, which is not NULL.
 */
void *text_memory(void *p)
{
	if (!p) {
		fputs("vhdxctl: out of memory\n", stderr);
		exit(EX_TEMPFAIL);
	}
	return p;
}

/**
 * text_vprintf - vprintf() into memory of its own
 * @fmt: format
 * @args: its arguments
 *
 * Return: the string, which the caller frees.
 */
char *text_vprintf(const char *fmt, va_list args)
{
	char *s = NULL;

	if (vasprintf(&s, fmt, args) < 0)
		s = NULL;
	return text_memory(s);
}

/**
 * text_printf - printf() into memory of its own
 * @fmt: format
 *
 * Return: the string, which the caller frees.
 */
char *text_printf(const char *fmt, ...)
{
	va_list args;
	char *s;

	va_start(args, fmt);
	s = text_vprintf(fmt, args);
	va_end(args);
	return s;
}

/*
 * Control characters, and those that turn the direction of what follows, so
 * that a name could show as another one.
 */
static bool is_unsafe(u32 v)
{
	return v < 0x20 || (v >= 0x7f && v < 0xa0) || v == 0x61c ||
	       v == 0x200e || v == 0x200f || (v >= 0x2028 && v <= 0x202e) ||
	       (v >= 0x2066 && v <= 0x2069) || v == 0xfeff;
}

/**
 * text_for_terminal - an untrusted string as it may go to a terminal
 * @s: what an image, a file name or the kernel says; UTF-8, or anything
 *
 * Control characters and bytes that are not UTF-8 show as \xNN, characters
 * that would reorder the text (and, where the locale is not UTF-8, all beyond
 * ASCII) as \u{NNNN}.
 *
 * Return: the string, which the caller frees.
 */
char *text_for_terminal(const char *s)
{
	bool utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	/* The longest result: four characters for a byte, ten for four. */
	char *out = text_memory(malloc(4 * strlen(s) + 1));
	char *p = out;

	while (*s) {
		u32 v;
		size_t length = vhdx_utf8_decode(s, &v);

		if (!length) {
			p += sprintf(p, "\\x%02x", (unsigned char)*s);
			length = 1;
		} else if (v < 0x80 && is_unsafe(v)) {
			p += sprintf(p, "\\x%02x", v);
		} else if (is_unsafe(v) || (v >= 0x80 && !utf8)) {
			p += sprintf(p, "\\u{%x}", v);
		} else {
			memcpy(p, s, length);
			p += length;
		}
		s += length;
	}
	*p = '\0';
	return out;
}

/**
 * text_utf8 - a string of any bytes as valid UTF-8
 * @s: what an image or a file name says
 *
 * Return: the string, each byte that is not UTF-8 replaced by U+FFFD; the
 * caller frees it.
 */
char *text_utf8(const char *s)
{
	char *out = text_memory(malloc(3 * strlen(s) + 1));
	char *p = out;

	while (*s) {
		u32 v;
		size_t length = vhdx_utf8_decode(s, &v);

		if (length) {
			memcpy(p, s, length);
			p += length;
			s += length;
		} else {
			memcpy(p, "\xef\xbf\xbd", 3);
			p += 3;
			s++;
		}
	}
	*p = '\0';
	return out;
}

/**
 * text_utf16 - a string of an image as UTF-8
 * @utf16: UTF-16LE
 * @chars: its units; it may end before, in a NUL
 *
 * Return: the string, which the caller frees. It is what the image says: not
 * safe for a terminal.
 */
char *text_utf16(const void *utf16, u32 chars)
{
	size_t size = 3 * (size_t)chars + 1;
	char *s = text_memory(malloc(size));

	vhdx_utf16_to_utf8(s, size, utf16, chars, true);
	return s;
}

/* One character without its case; bytes that are not UTF-8 are themselves. */
static size_t fold(const char *s, wint_t *c)
{
	u32 v;
	size_t length = vhdx_utf8_decode(s, &v);

	if (!length) {
		*c = 0x110000 + (u8)*s;
		return 1;
	}
	/* In Turkish I is no other case of i. */
	if (v < 0x80)
		*c = v >= 'A' && v <= 'Z' ? v - 'A' + 'a' : v;
	else
		*c = towlower((wint_t)v);
	return length;
}

/**
 * text_same_name - whether Windows takes two names for the same
 * @a: a name
 * @b: another
 *
 * Return: whether they differ in case alone. What that is depends on the
 * locale, beyond ASCII.
 */
bool text_same_name(const char *a, const char *b)
{
	wint_t x, y;

	while (*a && *b) {
		a += fold(a, &x);
		b += fold(b, &y);
		if (x != y)
			return false;
	}
	return !*a && !*b;
}

/**
 * text_parse_size - a size as people write it
 * @text: a number, with a unit or without: K, M, G, T, P, E or KiB, MiB ... are
 *	powers of 1024, KB, MB ... of 1000
 * @bytes: the size
 *
 * Return: whether it is one.
 */
bool text_parse_size(const char *text, u64 *bytes)
{
	static const char units[] = "KMGTPE";
	const char *unit;
	u64 base = 1024;
	char *end;

	if (!isdigit((u8)*text))
		return false;
	errno = 0;
	*bytes = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (!*end)
		return true;
	unit = strchr(units, toupper((u8)*end));
	if (!unit)
		return false;
	end++;
	if (!strcmp(end, "B"))
		base = 1000;
	else if (*end && strcmp(end, "iB"))
		return false;
	for (const char *p = units; p <= unit; p++)
		if (__builtin_mul_overflow(*bytes, base, bytes))
			return false;
	return true;
}

/**
 * text_size - a size for people
 * @buf: where to
 * @bytes: the size
 * @style: how
 *
 * In the largest binary unit it reaches, rounded to one decimal, which is left
 * out where it is 0.
 */
void text_size(char buf[TEXT_SIZE_LENGTH], u64 bytes,
	       enum text_size_style style)
{
	static const char units[] = "BKMGTPE";
	const char *end = style == TEXT_SIZE_LONG ? "iB" : "";
	const char *space = style == TEXT_SIZE_LONG ? " " : "";
	unsigned int unit = 0;
	u64 tenths = 0;
	u64 whole = bytes;

	while (unit < 6 && bytes >> (10 * (unit + 1)))
		unit++;
	if (unit) {
		/* Of the remainder ten bits count: no overflow, no float. */
		u64 rest = bytes >> (10 * (unit - 1)) & 0x3ff;

		whole = bytes >> (10 * unit);
		tenths = (rest * 10 + 512) >> 10;
	}
	if (tenths == 10) {
		whole++;
		tenths = 0;
	}
	if (whole == 1024 && unit && unit < 6) {
		whole = 1;
		unit++;
	}
	if (!unit)
		snprintf(buf, TEXT_SIZE_LENGTH,
			 style == TEXT_SIZE_LONG ? "%llu bytes" : "%lluB",
			 (unsigned long long)bytes);
	else if (tenths)
		snprintf(buf, TEXT_SIZE_LENGTH, "%llu.%llu%s%c%s",
			 (unsigned long long)whole, (unsigned long long)tenths,
			 space, units[unit], end);
	else
		snprintf(buf, TEXT_SIZE_LENGTH, "%llu%s%c%s",
			 (unsigned long long)whole, space, units[unit], end);
}
