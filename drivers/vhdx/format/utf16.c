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
