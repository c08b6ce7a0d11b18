// SPDX-License-Identifier: GPL-2.0
/*
 * How an error reads.
 */
#include "format_test.h"

static void forms(struct kunit *test)
{
	char text[VHDX_ERROR_LENGTH];
	struct vhdx_error err;

	KUNIT_EXPECT_EQ(test, -EUCLEAN,
			vhdx_fail(&err, -EUCLEAN, "header 1", NULL, 0x10000, "it is bad"));
	vhdx_error_print(text, sizeof(text), &err);
	KUNIT_EXPECT_STREQ(test, text, "header 1 at offset 0x10000: it is bad");

	vhdx_fail(&err, -EUCLEAN, "header 1", "LogGuid", 0x10030, "it is bad");
	vhdx_error_print(text, sizeof(text), &err);
	KUNIT_EXPECT_STREQ(test, text, "header 1, LogGuid at offset 0x10030: it is bad");

	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
			vhdx_fail_value(&err, -EOPNOTSUPP, "header 1", "Version", 0x10042,
					U64_MAX, "it is bad"));
	KUNIT_EXPECT_EQ(test, err.errnum, -EOPNOTSUPP);
	vhdx_error_print(text, sizeof(text), &err);
	KUNIT_EXPECT_STREQ(test, text,
			   "header 1, Version 0xffffffffffffffff at offset 0x10042: it is bad");
}

/* What an earlier error held must not show in the next one. */
static void reused(struct kunit *test)
{
	char text[VHDX_ERROR_LENGTH];
	struct vhdx_error err;

	vhdx_fail_value(&err, -EUCLEAN, "header 1", "Version", 1, 2, "first");
	vhdx_fail(&err, -EUCLEAN, "log", "Tail", 3, "second");
	KUNIT_EXPECT_FALSE(test, err.has_value);
	vhdx_error_print(text, sizeof(text), &err);
	KUNIT_EXPECT_STREQ(test, text, "log, Tail at offset 0x3: second");
}

static void short_buffer(struct kunit *test)
{
	char text[8] = "xxxxxxx";
	struct vhdx_error err;

	vhdx_fail(&err, -EUCLEAN, "header 1", NULL, 0, "it is bad");
	KUNIT_EXPECT_EQ(test, vhdx_error_print(text, 5, &err), 4);
	KUNIT_EXPECT_STREQ(test, text, "head");
	KUNIT_EXPECT_EQ(test, text[5], 'x');
}

static struct kunit_case format_error_cases[] = {
	KUNIT_CASE(forms),
	KUNIT_CASE(reused),
	KUNIT_CASE(short_buffer),
	{}
};

static struct kunit_suite format_error_suite = {
	.name = "vhdx_format_error",
	.test_cases = format_error_cases,
};

kunit_test_suite(format_error_suite);
