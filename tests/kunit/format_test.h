/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the suites of format/ share.
 */
#ifndef TESTS_KUNIT_FORMAT_TEST_H
#define TESTS_KUNIT_FORMAT_TEST_H

#include <kunit/test.h>

#include "format/format.h"
#include "builder.h"

/**
 * struct refusal - what a function must say of bad input
 * @errnum: negative errno
 * @structure: in its error
 * @field: in its error, or NULL
 * @offset: in its error, bytes
 */
struct refusal {
	int errnum;
	const char *structure;
	const char *field;
	u64 offset;
};

/* The little-endian value in so many bytes, of any alignment. */
static inline void poke(void *buf, size_t offset, unsigned int bytes, u64 value)
{
	u8 *p = buf;

	for (p += offset; bytes; bytes--, value >>= 8)
		*p++ = value;
}

static inline void expect_refusal(struct kunit *test, const char *name, int ret,
				  const struct vhdx_error *err,
				  const struct refusal *refusal)
{
	char text[VHDX_ERROR_LENGTH];

	KUNIT_EXPECT_EQ_MSG(test, ret, refusal->errnum, "%s", name);
	if (ret != refusal->errnum)
		return;
	KUNIT_EXPECT_EQ_MSG(test, err->errnum, ret, "%s", name);
	KUNIT_EXPECT_STREQ_MSG(test, err->structure, refusal->structure, "%s", name);
	KUNIT_EXPECT_STREQ_MSG(test, err->field ?: "", refusal->field ?: "", "%s", name);
	KUNIT_EXPECT_EQ_MSG(test, err->offset, refusal->offset, "%s", name);
	KUNIT_EXPECT_LT_MSG(test, vhdx_error_print(text, sizeof(text), err),
			    VHDX_ERROR_LENGTH - 1, "%s", name);
}

static inline void expect_accepted(struct kunit *test, const char *name, int ret,
				   const struct vhdx_error *err)
{
	char text[VHDX_ERROR_LENGTH] = "";

	if (ret)
		vhdx_error_print(text, sizeof(text), err);
	KUNIT_EXPECT_EQ_MSG(test, ret, 0, "%s: %s", name, text);
}

#endif
