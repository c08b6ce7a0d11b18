/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of format/ share with each other and with no one else.
 */
#ifndef VHDX_FORMAT_INTERNAL_H
#define VHDX_FORMAT_INTERNAL_H

#include "../port.h"
#include "ondisk.h"

/* Headers, region tables and log entries alike: behind a 4-byte signature. */
#define VHDX_CHECKSUM_OFFSET	4

/*
 * CRC-32C of a structure in two pieces (a log entry may wrap), its Checksum
 * field taken as zero. The field is in the first piece.
 */
static inline u32 vhdx_checksum2(const void *buf, size_t length,
				 const void *rest, size_t rest_length)
{
	const __le32 zero = 0;
	const u8 *bytes = buf;
	const size_t behind = VHDX_CHECKSUM_OFFSET + sizeof(zero);
	u32 crc = ~0U;

	crc = crc32c(crc, bytes, VHDX_CHECKSUM_OFFSET);
	crc = crc32c(crc, &zero, sizeof(zero));
	crc = crc32c(crc, bytes + behind, length - behind);
	if (rest_length)
		crc = crc32c(crc, rest, rest_length);
	return ~crc;
}

static inline u32 vhdx_checksum(const void *buf, size_t length)
{
	return vhdx_checksum2(buf, length, NULL, 0);
}

/* Offsets and lengths whose sums do not wrap. */
static inline bool vhdx_overlap(u64 a, u64 a_length, u64 b, u64 b_length)
{
	return a < b + b_length && b < a + a_length;
}

/* UTF-16LE unit number i of a string that may lie at an odd address */
static inline u32 vhdx_utf16_unit(const void *utf16, size_t i)
{
	const u8 *bytes = utf16;

	return bytes[2 * i] | bytes[2 * i + 1] << 8;
}

#endif
