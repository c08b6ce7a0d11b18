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

int guest_read(const struct vhdx_image *img, void *buf, size_t len, u64 pos);

/* For suites; all of it goes away with the test. */

typedef void guest_expect_fn(const void *ctx, void *buf, size_t len, u64 pos);

struct memfile *guest_file(struct kunit *test);
struct memfile *guest_build(struct kunit *test, const struct builder *b,
			    struct builder_layout *layout);
struct vhdx_image *guest_open(struct kunit *test, struct memfile *mf);
void guest_check(struct kunit *test, const struct vhdx_image *img,
		 guest_expect_fn *expect, const void *ctx, u64 pos, u64 len);
void guest_check_built(struct kunit *test, const struct vhdx_image *img,
		       const struct builder *b, u64 pos, u64 len);
void guest_check_block_ends(struct kunit *test, const struct vhdx_image *img,
			    const struct builder *b, u64 block);

#endif
