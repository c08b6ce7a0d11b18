// SPDX-License-Identifier: GPL-2.0
/*
 * The GUIDs of the format, and GUIDs as text.
 */
#include "format.h"

const guid_t vhdx_guid_bat_region =
	GUID_INIT(0x2DC27766, 0xF623, 0x4200,
		  0x9D, 0x64, 0x11, 0x5E, 0x9B, 0xFD, 0x4A, 0x08);
const guid_t vhdx_guid_metadata_region =
	GUID_INIT(0x8B7CA206, 0x4790, 0x4B9A,
		  0xB8, 0xFE, 0x57, 0x5F, 0x05, 0x0F, 0x88, 0x6E);
const guid_t vhdx_guid_file_parameters =
	GUID_INIT(0xCAA16737, 0xFA36, 0x4D43,
		  0xB3, 0xB6, 0x33, 0xF0, 0xAA, 0x44, 0xE7, 0x6B);
const guid_t vhdx_guid_virtual_disk_size =
	GUID_INIT(0x2FA54224, 0xCD1B, 0x4876,
		  0xB2, 0x11, 0x5D, 0xBE, 0xD8, 0x3B, 0xF4, 0xB8);
const guid_t vhdx_guid_virtual_disk_id =
	GUID_INIT(0xBECA12AB, 0xB2E6, 0x4523,
		  0x93, 0xEF, 0xC3, 0x09, 0xE0, 0x00, 0xC7, 0x46);
const guid_t vhdx_guid_logical_sector_size =
	GUID_INIT(0x8141BF1D, 0xA96F, 0x4709,
		  0xBA, 0x47, 0xF2, 0x33, 0xA8, 0xFA, 0xAB, 0x5F);
const guid_t vhdx_guid_physical_sector_size =
	GUID_INIT(0xCDA348C7, 0x445D, 0x4471,
		  0x9C, 0xC9, 0xE9, 0x88, 0x52, 0x51, 0xC5, 0x56);
const guid_t vhdx_guid_parent_locator =
	GUID_INIT(0xA8D35F2D, 0xB30B, 0x454D,
		  0xAB, 0xF7, 0xD3, 0xD8, 0x48, 0x34, 0xAB, 0x0C);
const guid_t vhdx_guid_vhdx_parent_locator =
	GUID_INIT(0xB04AEFB7, 0xD19E, 0x4A81,
		  0xB7, 0x89, 0x25, 0xB8, 0xE9, 0x44, 0x59, 0x13);

/* Which byte on disk is the next one of the text; -1 is a dash. */
static const signed char text_order[] = {
	3, 2, 1, 0, -1, 5, 4, -1, 7, 6, -1, 8, 9, -1, 10, 11, 12, 13, 14, 15
};

/**
 * vhdx_guid_print - a GUID as text, lower case, without braces
 * @buf: VHDX_GUID_CHARS + 1 bytes, NUL included
 * @guid: as it lies on disk
 *
 * Context: any.
 */
void vhdx_guid_print(char buf[VHDX_GUID_CHARS + 1], const guid_t *guid)
{
	static const char hex[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < ARRAY_SIZE(text_order); i++) {
		if (text_order[i] < 0) {
			*buf++ = '-';
			continue;
		}
		*buf++ = hex[guid->b[text_order[i]] >> 4];
		*buf++ = hex[guid->b[text_order[i]] & 15];
	}
	*buf = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/**
 * vhdx_guid_parse - a GUID from text
 * @text: "{83ed0ec3-24c8-49a6-a959-5e4bf1288bfb}" or the same without braces,
 *	in any case; needs no NUL
 * @length: characters of @text, all of which must belong to the GUID
 * @guid: untouched on failure
 *
 * Context: any.
 * Return: 0, or -EINVAL where @text is anything else.
 */
int vhdx_guid_parse(const char *text, size_t length, guid_t *guid)
{
	guid_t result;
	size_t i;

	if (length == VHDX_GUID_CHARS + 2) {
		if (text[0] != '{' || text[length - 1] != '}')
			return -EINVAL;
		text++;
		length -= 2;
	}
	if (length != VHDX_GUID_CHARS)
		return -EINVAL;

	for (i = 0; i < ARRAY_SIZE(text_order); i++) {
		int high, low;

		if (text_order[i] < 0) {
			if (*text++ != '-')
				return -EINVAL;
			continue;
		}
		high = hex_value(*text++);
		low = hex_value(*text++);
		if (high < 0 || low < 0)
			return -EINVAL;
		result.b[text_order[i]] = high << 4 | low;
	}
	*guid = result;
	return 0;
}
