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
 * @parent: open, when the image is a differencing one
 * @seen: records that a suite has dealt with
 */
struct writer {
	struct builder b;
	struct builder_layout layout;
	struct memfile *mf;
	struct vhdx_image *img;
	struct vhdx_image *parent;
	u32 seen;
};

struct writer *writer_init(struct kunit *test);
void writer_build(struct kunit *test, struct writer *w);
void writer_open(struct kunit *test, struct writer *w);
void writer_header(const struct writer *w, u32 slot,
		   struct vhdx_header *header);
u64 writer_entry(const struct writer *w, u64 block);
u64 writer_offset(const struct writer *w, u64 pos);
bool writer_is_mapped(const struct writer *w, u64 pos);
void writer_skip(struct writer *w, u32 records);
void writer_until(struct writer *w, unsigned int ops);
void writer_forget(struct writer *w);
void check_record(struct kunit *test, struct writer *w, enum memfile_op op,
		  u64 offset, u64 length, bool unmap, int ret);

/* What must come next of the operations of the file. */

static inline void expect_write(struct kunit *test, struct writer *w,
				u64 offset, u64 length)
{
	check_record(test, w, MEMFILE_WRITE, offset, length, false, 0);
}

static inline void expect_flush(struct kunit *test, struct writer *w)
{
	check_record(test, w, MEMFILE_FLUSH, 0, 0, false, 0);
}

static inline void expect_resize(struct kunit *test, struct writer *w, u64 size)
{
	check_record(test, w, MEMFILE_RESIZE, size, 0, false, 0);
}

static inline void expect_allocate(struct kunit *test, struct writer *w,
				   u64 offset, u64 length)
{
	check_record(test, w, MEMFILE_ALLOCATE, offset, length, false, 0);
}

static inline void expect_no_space(struct kunit *test, struct writer *w,
				   u64 offset, u64 length)
{
	check_record(test, w, MEMFILE_ALLOCATE, offset, length, false, -ENOSPC);
}

static inline void expect_zero(struct kunit *test, struct writer *w, u64 offset,
			       u64 length)
{
	check_record(test, w, MEMFILE_ZERO, offset, length, false, 0);
}

static inline void expect_punch(struct kunit *test, struct writer *w,
				u64 offset, u64 length)
{
	check_record(test, w, MEMFILE_ZERO, offset, length, true, 0);
}

#endif
