// SPDX-License-Identifier: GPL-2.0
#include <kunit/test.h>

#include "guest.h"
#include "image/check.h"

#define PIECE	0x10000U

static void destroy_file(void *ctx)
{
	memfile_destroy(ctx);
}

static void close_image(void *ctx)
{
	vhdx_image_close(ctx);
}

static void kick(struct vhdx_image *img)
{
	img->owner = img;
}

/**
 * guest_file() - an empty file in memory
 * @test: that it goes away with
 */
struct memfile *guest_file(struct kunit *test)
{
	struct memfile *mf = kunit_kzalloc(test, sizeof(*mf), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, mf);
	memfile_init(mf);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, destroy_file,
							   mf));
	return mf;
}

/**
 * guest_build() - an image in memory
 * @test: that it goes away with
 * @b: which
 * @layout: receives where things are
 */
struct memfile *guest_build(struct kunit *test, const struct builder *b,
			    struct builder_layout *layout)
{
	struct memfile *mf = guest_file(test);
	struct builder_sink sink = memfile_sink(mf);

	KUNIT_ASSERT_EQ(test, 0, builder_build(b, &sink, layout));
	return mf;
}

static struct vhdx_image *open_with(struct kunit *test, struct memfile *mf,
				    struct vhdx_image *parent,
				    unsigned int flags)
{
	char text[VHDX_ERROR_LENGTH] = "";
	struct vhdx_image *img = NULL;
	struct vhdx_error err;
	int ret;

	ret = vhdx_image_open_child(&mf->file, parent, flags, &img, &err);
	if (ret)
		vhdx_error_print(text, sizeof(text), &err);
	KUNIT_ASSERT_EQ_MSG(test, ret, 0, "%s", text);
	KUNIT_ASSERT_NOT_NULL(test, img);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, close_image,
							   img));
	return img;
}

/**
 * guest_open() - open an image that must open
 * @test: that it is closed with
 * @mf: the image
 */
struct vhdx_image *guest_open(struct kunit *test, struct memfile *mf)
{
	return open_with(test, mf, NULL, 0);
}

/**
 * guest_open_child() - open an image that must open above its parent
 * @test: that it is closed with
 * @mf: the image
 * @parent: opened before; NULL for none
 */
struct vhdx_image *guest_open_child(struct kunit *test, struct memfile *mf,
				    struct vhdx_image *parent)
{
	return open_with(test, mf, parent, 0);
}

/**
 * guest_open_writable() - open an image that must open for writing
 * @test: that it is closed with
 * @mf: the image
 * @parent: opened before; NULL for none
 */
struct vhdx_image *guest_open_writable(struct kunit *test, struct memfile *mf,
				       struct vhdx_image *parent)
{
	struct vhdx_image *img = open_with(test, mf, parent, VHDX_OPEN_WRITE);

	img->kick = kick;
	return img;
}

/**
 * guest_close() - close an image before the test ends, as if the driver died
 * @test: running
 * @img: open
 */
void guest_close(struct kunit *test, struct vhdx_image *img)
{
	kunit_release_action(test, close_image, img);
}

/**
 * guest_finish() - end writing, which must go well, and close
 * @test: running
 * @img: open for writing
 */
void guest_finish(struct kunit *test, struct vhdx_image *img)
{
	guest_work(img);
	KUNIT_EXPECT_EQ(test, 0, vhdx_image_finish(img));
	guest_close(test, img);
}

/**
 * guest_check() - a guest must read what is expected
 * @test: running
 * @img: the image
 * @expect: says what is expected
 * @ctx: for it
 * @pos: bytes on the virtual disk, a multiple of 512
 * @len: bytes, a multiple of 512
 */
void guest_check(struct kunit *test, const struct vhdx_image *img,
		 guest_expect_fn *expect, const void *ctx, u64 pos, u64 len)
{
	u8 *seen = kunit_kmalloc(test, PIECE, GFP_KERNEL);
	u8 *wanted = kunit_kmalloc(test, PIECE, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, seen);
	KUNIT_ASSERT_NOT_NULL(test, wanted);
	while (len) {
		size_t n = min_t(u64, len, PIECE);

		memset(seen, 0x5A, n);
		KUNIT_ASSERT_EQ(test, 0, guest_read(img, seen, n, pos));
		expect(ctx, wanted, n, pos);
		/* Not by MEMEQ, which prints all of it on failure. */
		if (memcmp(seen, wanted, n)) {
			size_t i = 0;

			while (seen[i] == wanted[i])
				i++;
			KUNIT_FAIL(test,
				   "byte 0x%llx of the disk is %02x, not %02x",
				   pos + i, seen[i], wanted[i]);
			break;
		}
		pos += n;
		len -= n;
	}
	kunit_kfree(test, wanted);
	kunit_kfree(test, seen);
}

static void expect_built(const void *ctx, void *buf, size_t len, u64 pos)
{
	builder_expect(ctx, buf, len, pos);
}

/**
 * guest_check_built() - a guest must read what was built
 * @test: running
 * @img: the image
 * @b: what was built
 * @pos: bytes on the virtual disk, a multiple of 512
 * @len: bytes, a multiple of 512
 */
void guest_check_built(struct kunit *test, const struct vhdx_image *img,
		       const struct builder *b, u64 pos, u64 len)
{
	guest_check(test, img, expect_built, b, pos, len);
}

/**
 * guest_check_block_ends() - the same for 16 KiB across both ends of a block
 * @test: running
 * @img: the image
 * @b: what was built
 * @block: the payload block
 */
void guest_check_block_ends(struct kunit *test, const struct vhdx_image *img,
			    const struct builder *b, u64 block)
{
	u64 start = block * b->block_size;
	u64 end = min(start + b->block_size, b->disk_size);
	u64 from = start >= 8192 ? start - 8192 : 0;

	guest_check_built(test, img, b, from, min(from + 16384, end) - from);
	from = end >= 8192 ? end - 8192 : 0;
	guest_check_built(test, img, b, from,
			  min(from + 16384, b->disk_size) - from);
}

static void expect_byte(const void *ctx, void *buf, size_t len, u64 pos)
{
	(void)pos;
	memset(buf, *(const u8 *)ctx, len);
}

/**
 * guest_check_byte() - a guest must read one byte all over
 * @test: running
 * @img: the image
 * @pos: bytes on the virtual disk
 * @len: bytes
 * @byte: that one
 */
void guest_check_byte(struct kunit *test, const struct vhdx_image *img, u64 pos,
		      u64 len, u8 byte)
{
	guest_check(test, img, expect_byte, &byte, pos, len);
}

/**
 * guest_check_file() - that nothing is wrong with an image, and none of its space lost
 * @test: running
 * @mf: the image, that nobody has open
 */
void guest_check_file(struct kunit *test, struct memfile *mf)
{
	struct vhdx_check check = { };
	struct vhdx_error err;

	KUNIT_ASSERT_EQ(test, 0, vhdx_image_check(&mf->file, &check, &err));
	KUNIT_EXPECT_EQ(test, check.kind_count[VHDX_KIND_CORRUPT], 0);
	KUNIT_EXPECT_EQ(test, check.kind_count[VHDX_KIND_LOG], 0);
	KUNIT_EXPECT_EQ(test, check.kind_count[VHDX_KIND_LEAK], 0);
}
