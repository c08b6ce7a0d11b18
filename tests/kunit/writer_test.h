/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the suites of image/'s writing half share.
 */
#ifndef TESTS_KUNIT_WRITER_TEST_H
#define TESTS_KUNIT_WRITER_TEST_H

#include "guest.h"

/**
 * struct writer - an image that a suite writes to
 * @b: to be built
 * @layout: of it
 * @mf: it
 * @img: open
 * @seen: records that a suite has dealt with
 */
struct writer {
	struct builder b;
	struct builder_layout layout;
	struct memfile *mf;
	struct vhdx_image *img;
	u32 seen;
};

struct writer *writer_init(struct kunit *test);
void writer_build(struct kunit *test, struct writer *w);
void writer_open(struct kunit *test, struct writer *w);
u64 writer_entry(const struct writer *w, u64 block);
u64 writer_offset(const struct writer *w, u64 pos);
bool writer_is_mapped(const struct writer *w, u64 pos);
void writer_skip(struct writer *w, u32 records);
void writer_until(struct writer *w, unsigned int ops);
void writer_forget(struct writer *w);
void check_records(struct kunit *test, struct writer *w,
		   const struct memfile_record *expected, u32 n);

/* What must come next of the operations of the file. */
#define CHECK_RECORDS(test, w, ...) do {				\
	const struct memfile_record expected_[] = { __VA_ARGS__ };	\
									\
	check_records(test, w, expected_, ARRAY_SIZE(expected_));	\
} while (0)

#define RECORD(kind, at, len, answer, punch)				\
	((struct memfile_record){					\
		.op = (kind), .offset = (at), .length = (len),		\
		.ret = (answer), .unmap = (punch) })
#define WRITES(at, len)		RECORD(MEMFILE_WRITE, at, len, 0, false)
#define FLUSHES			RECORD(MEMFILE_FLUSH, 0, 0, 0, false)
#define RESIZES(size)		RECORD(MEMFILE_RESIZE, size, 0, 0, false)
#define ALLOCATES(at, len)	RECORD(MEMFILE_ALLOCATE, at, len, 0, false)
#define ZEROES(at, len)		RECORD(MEMFILE_ZERO, at, len, 0, false)
#define PUNCHES(at, len)	RECORD(MEMFILE_ZERO, at, len, 0, true)

#endif
