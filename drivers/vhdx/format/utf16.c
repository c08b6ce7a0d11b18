// SPDX-License-Identifier: GPL-2.0
/*
 * UTF-16LE, the encoding of every text in a VHDX file.
 */
#include "format.h"
#include "internal.h"

#define REPLACEMENT_CHARACTER	0xFFFD

/* The UTF-8 bytes of a code point; returns how many, at most 4. */
static unsigned int utf8_encode(u8 bytes[4], u32 c)
{
	if (c < 0x80) {
		bytes[0] = c;
		return 1;
	}
	if (c < 0x800) {
		bytes[0] = 0xC0 | c >> 6;
		bytes[1] = 0x80 | (c & 0x3F);
		return 2;
	}
	if (c < 0x10000) {
		bytes[0] = 0xE0 | c >> 12;
		bytes[1] = 0x80 | (c >> 6 & 0x3F);
		bytes[2] = 0x80 | (c & 0x3F);
		return 3;
	}
	bytes[0] = 0xF0 | c >> 18;
	bytes[1] = 0x80 | (c >> 12 & 0x3F);
	bytes[2] = 0x80 | (c >> 6 & 0x3F);
	bytes[3] = 0x80 | (c & 0x3F);
	return 4;
}

/**
 * vhdx_utf16_to_utf8 - convert UTF-16LE to UTF-8
 * @buf: where to; may be NULL when @size is 0
 * @size: bytes of @buf. When not 0, @buf ends in a NUL and never in half a
 *	character, whatever is returned; 3 * @chars + 1 is always enough.
 * @utf16: of any alignment
 * @chars: UTF-16 units of @utf16, at most INT_MAX / 3; a NUL among them ends
 *	the text before
 * @lossy: turn an unpaired surrogate into U+FFFD instead of failing
 *
 * Context: any.
 * Return: bytes of the whole result without its NUL, like snprintf(), or
 * -EILSEQ on an unpaired surrogate.
 */
int vhdx_utf16_to_utf8(char *buf, size_t size, const void *utf16,
		       size_t chars, bool lossy)
{
	size_t written = 0, total = 0, i = 0;
	u32 c, low;
	int ret;

	while (i < chars) {
		unsigned int n;
		u8 bytes[4];

		c = vhdx_utf16_unit(utf16, i++);
		if (!c)
			break;
		if ((c & 0xF800) == 0xD800) {
			low = i < chars ? vhdx_utf16_unit(utf16, i) : 0;
			if (c < 0xDC00 && (low & 0xFC00) == 0xDC00) {
				c = 0x10000 + ((c & 0x3FF) << 10 | (low & 0x3FF));
				i++;
			} else if (lossy) {
				c = REPLACEMENT_CHARACTER;
			} else {
				ret = -EILSEQ;
				goto out;
			}
		}
		n = utf8_encode(bytes, c);
		if (written == total && total + n < size) {
			memcpy(buf + written, bytes, n);
			written += n;
		}
		total += n;
	}
	ret = total;
out:
	if (size)
		buf[written] = '\0';
	return ret;
}

/**
 * vhdx_utf8_decode - decode the first character of a UTF-8 text
 * @s: ends in a NUL, which is a character too
 * @value: receives the code point
 *
 * Context: any.
 * Return: its bytes; 0: not UTF-8.
 */
size_t vhdx_utf8_decode(const char *s, u32 *value)
{
	static const u32 least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const u8 *p = (const u8 *)s;
	size_t length, i;
	u32 v;

	if (p[0] < 0x80) {
		*value = p[0];
		return 1;
	}
	if ((p[0] & 0xE0) == 0xC0) {
		length = 2;
		v = p[0] & 0x1F;
	} else if ((p[0] & 0xF0) == 0xE0) {
		length = 3;
		v = p[0] & 0x0F;
	} else if ((p[0] & 0xF8) == 0xF0) {
		length = 4;
		v = p[0] & 0x07;
	} else {
		return 0;
	}
	for (i = 1; i < length; i++) {
		if ((p[i] & 0xC0) != 0x80)
			return 0;
		v = v << 6 | (p[i] & 0x3F);
	}
	if (v < least[length] || v > 0x10FFFF || (v >= 0xD800 && v < 0xE000))
		return 0;
	*value = v;
	return length;
}

static void put_unit(void *utf16, size_t chars, size_t i, u32 unit)
{
	u8 *bytes = utf16;

	if (i >= chars)
		return;
	bytes[2 * i] = unit;
	bytes[2 * i + 1] = unit >> 8;
}

/**
 * vhdx_utf8_to_utf16 - convert UTF-8 to UTF-16LE
 * @utf16: where to, of any alignment; gets no NUL at its end
 * @chars: UTF-16 units that it has room for; may be 0
 * @utf8: the text, of less than INT_MAX bytes
 *
 * Context: any.
 * Return: UTF-16 units of the whole result, like snprintf(), or -EILSEQ where
 * @utf8 is not UTF-8.
 */
int vhdx_utf8_to_utf16(void *utf16, size_t chars, const char *utf8)
{
	size_t length, n = 0;
	u32 c;

	for (; *utf8; utf8 += length) {
		length = vhdx_utf8_decode(utf8, &c);
		if (!length)
			return -EILSEQ;
		if (c >= 0x10000) {
			c -= 0x10000;
			put_unit(utf16, chars, n++, 0xD800 | c >> 10);
			c = 0xDC00 | (c & 0x3FF);
		}
		put_unit(utf16, chars, n++, c);
	}
	return n;
}
