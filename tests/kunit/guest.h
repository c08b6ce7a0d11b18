/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a guest reads from an open image, and helpers around that for suites.
 */
#ifndef TESTS_KUNIT_GUEST_H
#define TESTS_KUNIT_GUEST_H

#include "../../drivers/vhdx/image/image.h"
#include "builder.h"
#include "memfile.h"

struct kunit;

/*
 * What goes through all operations of a file goes on by so many. A kernel that
 * looks at each access, emulated, is a hundred times slower than userspace, where
 * it is each of them, but for build/unit -q. Odd, for those that do one thing and
 * another in turn.
 */
#define GUEST_FAIL_QUICK	13U
#ifdef __KERNEL__
#define GUEST_FAIL_STEP		GUEST_FAIL_QUICK
#else
extern unsigned int guest_fail_step;
#define GUEST_FAIL_STEP		guest_fail_step
#endif

/**
 * struct guest_write - a write, or a clear, that a suite takes step by step
 * @write: of image/; the suite fills in pos, length and what it wants
 * @waits: parked and not resumed yet
 */
struct guest_write {
	struct vhdx_write write;
	bool waits;
};

/**
 * struct guest_flush - a flush
 * @flush: of image/
 * @answers: how often it was answered; once is right
 * @ret: with what
 */
struct guest_flush {
	struct vhdx_flush flush;
	u32 answers;
	int ret;
};

int guest_map(const struct vhdx_image *img, u64 pos, u64 length,
	      struct vhdx_extent *extent);
int guest_read(const struct vhdx_image *img, void *buf, size_t len, u64 pos);

/* For suites; all of it goes away with the test. */

typedef void guest_expect_fn(const void *ctx, void *buf, size_t len, u64 pos);

struct memfile *guest_file(struct kunit *test);
struct memfile *guest_build(struct kunit *test, const struct builder *b,
			    struct builder_layout *layout);
struct vhdx_image *guest_open(struct kunit *test, struct memfile *mf);
struct vhdx_image *guest_open_child(struct kunit *test, struct memfile *mf,
				    struct vhdx_image *parent);
struct vhdx_image *guest_open_writable(struct kunit *test, struct memfile *mf,
				       struct vhdx_image *parent);
void guest_close(struct kunit *test, struct vhdx_image *img);
void guest_finish(struct kunit *test, struct vhdx_image *img);
void guest_check(struct kunit *test, const struct vhdx_image *img,
		 guest_expect_fn *expect, const void *ctx, u64 pos, u64 len);
void guest_check_built(struct kunit *test, const struct vhdx_image *img,
		       const struct builder *b, u64 pos, u64 len);
void guest_check_file(struct kunit *test, struct memfile *mf);
void guest_check_block_ends(struct kunit *test, const struct vhdx_image *img,
			    const struct builder *b, u64 block);

/* Writing; the worker runs when these call guest_work(), and at no other time. */

void guest_resume(struct vhdx_write *write);
void guest_work(struct vhdx_image *img);
int guest_begin(struct vhdx_image *img, struct guest_write *gw);
int guest_begin_at(struct vhdx_image *img, struct guest_write *gw, u64 pos,
		   u64 length);
int guest_fill(struct vhdx_image *img, const struct guest_write *gw, u8 byte);
void guest_end(struct vhdx_image *img, struct guest_write *gw, int status);
int guest_write(struct vhdx_image *img, u64 pos, u64 length, u8 byte);
int guest_zero(struct vhdx_image *img, u64 pos, u64 length);
int guest_discard(struct vhdx_image *img, u64 pos, u64 length);
int guest_clear(struct vhdx_image *img, u64 block);
void guest_begin_flush(struct vhdx_image *img, struct guest_flush *gf);
int guest_flush(struct vhdx_image *img);
void guest_check_byte(struct kunit *test, const struct vhdx_image *img, u64 pos,
		      u64 len, u8 byte);

#endif
