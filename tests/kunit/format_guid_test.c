// SPDX-License-Identifier: GPL-2.0
/*
 * GUIDs: their bytes on disk and their text.
 */
#include "format_test.h"

/* The tables of MS-VHDX 2.2.3, 2.6.2 and 2.6.2.6.3, in lower case. */
static const struct {
	const guid_t *guid;
	const char *text;
} known[] = {
	{ &vhdx_guid_bat_region, "2dc27766-f623-4200-9d64-115e9bfd4a08" },
	{ &vhdx_guid_metadata_region, "8b7ca206-4790-4b9a-b8fe-575f050f886e" },
	{ &vhdx_guid_file_parameters, "caa16737-fa36-4d43-b3b6-33f0aa44e76b" },
	{ &vhdx_guid_virtual_disk_size, "2fa54224-cd1b-4876-b211-5dbed83bf4b8" },
	{ &vhdx_guid_virtual_disk_id, "beca12ab-b2e6-4523-93ef-c309e000c746" },
	{ &vhdx_guid_logical_sector_size, "8141bf1d-a96f-4709-ba47-f233a8faab5f" },
	{ &vhdx_guid_physical_sector_size, "cda348c7-445d-4471-9cc9-e9885251c556" },
	{ &vhdx_guid_parent_locator, "a8d35f2d-b30b-454d-abf7-d3d84834ab0c" },
	{ &vhdx_guid_vhdx_parent_locator, "b04aefb7-d19e-4a81-b789-25b8e9445913" },
};

static void known_guids(struct kunit *test)
{
	char text[VHDX_GUID_CHARS + 1];
	guid_t guid;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(known); i++) {
		vhdx_guid_print(text, known[i].guid);
		KUNIT_EXPECT_STREQ(test, text, known[i].text);
		KUNIT_EXPECT_EQ(test, 0, vhdx_guid_parse(text, VHDX_GUID_CHARS, &guid));
		KUNIT_EXPECT_TRUE(test, guid_equal(&guid, known[i].guid));
	}
}

/* The first three fields are little-endian on disk, the rest is in order. */
static void byte_order(struct kunit *test)
{
	static const u8 bytes[16] = {
		0x66, 0x77, 0xC2, 0x2D, 0x23, 0xF6, 0x00, 0x42,
		0x9D, 0x64, 0x11, 0x5E, 0x9B, 0xFD, 0x4A, 0x08
	};

	KUNIT_EXPECT_EQ(test, 0, memcmp(bytes, &vhdx_guid_bat_region, sizeof(bytes)));
}

static void parse_forms(struct kunit *test)
{
	static const char * const forms[] = {
		"83ed0ec3-24c8-49a6-a959-5e4bf1288bfb",
		"{83ed0ec3-24c8-49a6-a959-5e4bf1288bfb}",
		"83ED0EC3-24C8-49A6-A959-5E4BF1288BFB",
		"{83ED0EC3-24c8-49A6-a959-5e4Bf1288bFb}",
	};
	char text[VHDX_GUID_CHARS + 1];
	guid_t guid;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(forms); i++) {
		memset(&guid, 0xFF, sizeof(guid));
		KUNIT_EXPECT_EQ(test, 0, vhdx_guid_parse(forms[i], strlen(forms[i]), &guid));
		vhdx_guid_print(text, &guid);
		KUNIT_EXPECT_STREQ(test, text, forms[0]);
	}
}

static void parse_refuses(struct kunit *test)
{
	static const char * const texts[] = {
		"",
		"{}",
		"83ed0ec3-24c8-49a6-a959-5e4bf1288bf",
		"83ed0ec3-24c8-49a6-a959-5e4bf1288bfb0",
		"83ed0ec3024c8049a60a95905e4bf1288bfb",
		"83ed0ec324c8-49a6-a959-5e4bf1288bfb-",
		"83ed0ec3-24c8-49a6-a959-5e4bf1288bfg",
		"83ed0ec3-24c8-49a6-a959-5e4bf1288b b",
		"+3ed0ec3-24c8-49a6-a959-5e4bf1288bfb",
		"{83ed0ec3-24c8-49a6-a959-5e4bf1288bfb",
		"83ed0ec3-24c8-49a6-a959-5e4bf1288bfb}",
		"[83ed0ec3-24c8-49a6-a959-5e4bf1288bfb]",
		"{83ed0ec3-24c8-49a6-a959-5e4bf1288bfb)",
		" 83ed0ec3-24c8-49a6-a959-5e4bf1288bfb ",
		"{{83ed0ec3-24c8-49a6-a959-5e4bf1288bfb}}",
		"83ed0ec3-24c8-49a6-a959-5e4bf1288b\xC3\xA4",
	};
	guid_t guid = vhdx_guid_bat_region;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		KUNIT_EXPECT_EQ_MSG(test, -EINVAL,
				    vhdx_guid_parse(texts[i], strlen(texts[i]), &guid),
				    "%s", texts[i]);
		KUNIT_EXPECT_TRUE(test, guid_equal(&guid, &vhdx_guid_bat_region));
	}
}

static struct kunit_case format_guid_cases[] = {
	KUNIT_CASE(known_guids),
	KUNIT_CASE(byte_order),
	KUNIT_CASE(parse_forms),
	KUNIT_CASE(parse_refuses),
	{}
};

static struct kunit_suite format_guid_suite = {
	.name = "vhdx_format_guid",
	.test_cases = format_guid_cases,
};

kunit_test_suite(format_guid_suite);
