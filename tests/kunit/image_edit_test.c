// SPDX-License-Identifier: GPL-2.0
/*
 * Edits: what they put where, and that one which fails leaves the image as it was
 * or as it is to be. What a power cut leaves of one is build/crash's to show.
 */
#include <kunit/test.h>

#include "guest.h"
#include "image/edit.h"
#include "image/internal.h"
#include "image/space.h"
#include "writer_test.h"

#define MIB	VHDX_MIB
#define PAGE	4096U

static void free_edit(void *ctx)
{
	vhdx_edit_free(ctx);
}

static struct vhdx_edit *begin(struct kunit *test, struct vhdx_image *img)
{
	struct vhdx_edit *edit = NULL;

	KUNIT_ASSERT_EQ(test, 0, vhdx_edit_begin(img, &edit));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_edit, edit));
	return edit;
}

static struct writer *edit_init(struct kunit *test)
{
	static const struct builder_block blocks[] = {
		{ .block = 1, .state = 6, .offset = BUILDER_PLACE },
	};
	struct writer *w = writer_init(test);

	w->b.block = blocks;
	w->b.blocks = ARRAY_SIZE(blocks);
	writer_build(test, w);
	writer_open(test, w);
	return w;
}

/* Behind the items: nothing reads it. */
static u64 spare_page(const struct writer *w, u32 i)
{
	return w->layout.metadata_offset + (32 + i) * (u64)PAGE;
}

static u64 word_at(const struct writer *w, u64 offset)
{
	__le64 word;

	memfile_read(w->mf, &word, sizeof(word), offset);
	return le64_to_cpu(word);
}

/* An edit that is given up leaves every byte as it was. */
static void edit_nothing(struct kunit *test)
{
	struct writer *w = edit_init(test);
	struct vhdx_edit *edit = begin(test, w->img);
	u32 checksum = memfile_checksum(w->mf);
	u64 word = 1;

	KUNIT_ASSERT_EQ(test, 0, vhdx_edit_write(edit, spare_page(w, 0), &word, 8));
	KUNIT_EXPECT_EQ(test, checksum, memfile_checksum(w->mf));
	kunit_release_action(test, free_edit, edit);
	edit = begin(test, w->img);
	KUNIT_EXPECT_EQ(test, 0, vhdx_edit_commit(edit));
	KUNIT_EXPECT_EQ(test, 0, vhdx_image_finish(w->img));
	KUNIT_EXPECT_EQ(test, checksum, memfile_checksum(w->mf));
}

/* Bytes across pages, and later ones over earlier ones. */
static void edit_bytes(struct kunit *test)
{
	struct writer *w = edit_init(test);
	struct vhdx_edit *edit = begin(test, w->img);
	u64 at = spare_page(w, 0);
	const size_t length = 3 * PAGE / 2;
	u8 *bytes = kunit_kzalloc(test, length, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, bytes);
	memset(bytes, 0x11, length);
	KUNIT_ASSERT_EQ(test, 0, memfile_write(w->mf, bytes, 8, at));
	memset(bytes, 0x22, length);
	KUNIT_ASSERT_EQ(test, 0, vhdx_edit_write(edit, at + 8, bytes, length));
	memset(bytes, 0x33, length);
	KUNIT_ASSERT_EQ(test, 0, vhdx_edit_write(edit, at + PAGE - 8, bytes, 16));
	KUNIT_ASSERT_EQ(test, 0, vhdx_edit_commit(edit));
	KUNIT_EXPECT_EQ(test, word_at(w, at), 0x1111111111111111ULL);
	KUNIT_EXPECT_EQ(test, word_at(w, at + 8), 0x2222222222222222ULL);
	KUNIT_EXPECT_EQ(test, word_at(w, at + PAGE - 8), 0x3333333333333333ULL);
	KUNIT_EXPECT_EQ(test, word_at(w, at + PAGE), 0x3333333333333333ULL);
	KUNIT_EXPECT_EQ(test, word_at(w, at + PAGE + 8), 0x2222222222222222ULL);
	KUNIT_EXPECT_EQ(test, word_at(w, at + 8 + length), 0);
}

/* More than an entry holds; and what does not fit at all is refused. */
static void edit_many_pages(struct kunit *test)
{
	struct writer *w = edit_init(test);
	struct vhdx_edit *edit = begin(test, w->img);
	u32 room = vhdx_edit_room(edit), i;
	u64 word;

	/* In two halves: as many as have their descriptors in one sector. */
	KUNIT_ASSERT_EQ(test, room, 2 * 126);
	KUNIT_ASSERT_EQ(test, 0, vhdx_edit_zero(edit, w->layout.bat_offset + PAGE,
						MIB - PAGE));
	for (i = 0; i < 200; i++) {
		word = i + 1;
		KUNIT_ASSERT_EQ(test, 0, vhdx_edit_write(edit, spare_page(w, i),
							 &word, 8));
	}
	KUNIT_EXPECT_EQ(test, vhdx_edit_room(edit), room - 201);
	for (i = 1; vhdx_edit_room(edit); i++)
		KUNIT_ASSERT_EQ(test, 0, vhdx_edit_write(edit, 16 * MIB + i * (u64)PAGE,
							 &word, 8));
	KUNIT_EXPECT_EQ(test, -E2BIG, vhdx_edit_write(edit, 16 * MIB, &word, 8));
	KUNIT_EXPECT_EQ(test, -E2BIG, vhdx_edit_zero(edit, 16 * MIB, PAGE));
	KUNIT_ASSERT_EQ(test, 0, vhdx_edit_write(edit, spare_page(w, 0), &word, 8));
	kunit_release_action(test, free_edit, edit);

	edit = begin(test, w->img);
	for (i = 200; i--;) {
		word = i + 1;
		KUNIT_ASSERT_EQ(test, 0, vhdx_edit_write(edit, spare_page(w, i),
							 &word, 8));
	}
	KUNIT_ASSERT_EQ(test, 0, vhdx_edit_commit(edit));
	for (i = 0; i < 200; i++)
		KUNIT_ASSERT_EQ(test, word_at(w, spare_page(w, i)), i + 1);
}

static void edit_zeros(struct kunit *test)
{
	struct writer *w = edit_init(test);
	struct vhdx_edit *edit = begin(test, w->img);
	u64 word = 7;
	u32 i;

	for (i = 0; i < 5; i++)
		KUNIT_ASSERT_EQ(test, 0, memfile_write(w->mf, &word, 8,
						       spare_page(w, i)));
	KUNIT_ASSERT_EQ(test, 0, vhdx_edit_write(edit, spare_page(w, 3), &word, 8));
	KUNIT_EXPECT_EQ(test, -EINVAL, vhdx_edit_zero(edit, spare_page(w, 2),
						      2 * PAGE));
	KUNIT_ASSERT_EQ(test, 0, vhdx_edit_zero(edit, spare_page(w, 1), 2 * PAGE));
	KUNIT_EXPECT_EQ(test, -EINVAL, vhdx_edit_write(edit, spare_page(w, 2),
						       &word, 8));
	KUNIT_EXPECT_EQ(test, -EINVAL, vhdx_edit_zero(edit, spare_page(w, 2), PAGE));
	KUNIT_ASSERT_EQ(test, 0, vhdx_edit_commit(edit));
	KUNIT_EXPECT_EQ(test, word_at(w, spare_page(w, 0)), 7);
	KUNIT_EXPECT_EQ(test, word_at(w, spare_page(w, 1)), 0);
	KUNIT_EXPECT_EQ(test, word_at(w, spare_page(w, 2)), 0);
	KUNIT_EXPECT_EQ(test, word_at(w, spare_page(w, 3)), 7);
	KUNIT_EXPECT_EQ(test, word_at(w, spare_page(w, 4)), 7);
}

/* The first place is a gap; then the file grows. An entry names one of them. */
static void edit_places(struct kunit *test)
{
	struct writer *w = edit_init(test);
	struct vhdx_edit *edit = begin(test, w->img);
	u64 size = w->mf->size, first, second;
	u64 old = writer_entry(w, 1) & ~(MIB - 1);
	struct vhdx_image *img;

	KUNIT_ASSERT_EQ(test, 0, vhdx_edit_place(edit, MIB, &first));
	KUNIT_EXPECT_EQ(test, first, size);
	KUNIT_ASSERT_EQ(test, 0, vhdx_edit_place(edit, 2 * MIB, &second));
	KUNIT_EXPECT_EQ(test, second, size + MIB);
	KUNIT_EXPECT_EQ(test, w->mf->size, size + 3 * MIB);
	KUNIT_ASSERT_EQ(test, 0, memfile_write(w->mf, "moved", 5, first));
	KUNIT_ASSERT_EQ(test, 0, vhdx_edit_bat(edit, 1, first | 6));
	vhdx_space_unclaim(w->img->space, old, MIB);
	vhdx_space_unclaim(w->img->space, second, 2 * MIB);
	KUNIT_ASSERT_EQ(test, 0, vhdx_edit_commit(edit));
	KUNIT_ASSERT_EQ(test, 0, vhdx_edit_place(edit, MIB, &second));
	KUNIT_EXPECT_EQ(test, second, old);
	vhdx_space_unclaim(w->img->space, second, MIB);
	KUNIT_ASSERT_EQ(test, 0, vhdx_image_finish(w->img));
	KUNIT_EXPECT_EQ(test, w->mf->size, size + MIB);
	img = guest_open(test, w->mf);
	KUNIT_EXPECT_FALSE(test, img->log.dirty);
	KUNIT_EXPECT_EQ(test, writer_entry(w, 1), first | 6);
}

/* Guests' DataWriteGuid changes only for what they can see. */
static void edit_guids(struct kunit *test)
{
	static const bool visible[] = { false, true };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(visible); i++) {
		struct writer *w = edit_init(test);
		struct vhdx_edit *edit = begin(test, w->img);
		struct vhdx_header old = *vhdx_image_header(w->img), header;

		KUNIT_ASSERT_EQ(test, 0, vhdx_edit_first_change(edit, visible[i]));
		writer_header(w, 0, &header);
		KUNIT_EXPECT_FALSE(test, guid_equal(&header.file_write_guid,
						    &old.file_write_guid));
		KUNIT_EXPECT_EQ(test, visible[i],
				!guid_equal(&header.data_write_guid,
					    &old.data_write_guid));
		kunit_release_action(test, free_edit, edit);
		guest_close(test, w->img);
	}
}

/* What has failed of it is not half in the edit, whoever commits that. */
static void edit_fail_region(struct kunit *test)
{
	u8 *tables = kunit_kzalloc(test, 2 * VHDX_REGION_TABLE_SIZE, GFP_KERNEL);
	bool done = false;
	u64 n;

	KUNIT_ASSERT_NOT_NULL(test, tables);
	for (n = 1; !done; n++) {
		struct writer *w = edit_init(test);
		struct vhdx_edit *edit = begin(test, w->img);

		memfile_count_from_zero(w->mf);
		w->mf->fail_op = n;
		done = !vhdx_edit_region(edit, w->img->metadata_region, 9 * MIB, MIB);
		w->mf->fail_op = 0;
		KUNIT_ASSERT_EQ(test, 0, vhdx_edit_commit(edit));
		kunit_release_action(test, free_edit, edit);
		guest_close(test, w->img);
		memfile_read(w->mf, tables, 2 * VHDX_REGION_TABLE_SIZE,
			     VHDX_REGION_TABLE_1_OFFSET);
		KUNIT_ASSERT_EQ_MSG(test, 0, memcmp(tables, tables + VHDX_REGION_TABLE_SIZE,
						    VHDX_REGION_TABLE_SIZE),
				    "after operation %llu", n);
	}
	KUNIT_EXPECT_GT(test, n, 20);
}

/* A child by itself may be edited, and not be written to. */
static void edit_child(struct kunit *test)
{
	struct writer *w = writer_init(test);
	struct vhdx_image *img = NULL;
	struct vhdx_edit *edit;
	struct vhdx_error err;
	u64 word = 5;

	w->b.differencing = true;
	writer_build(test, w);
	KUNIT_EXPECT_EQ(test, -ENOLINK, vhdx_image_open(&w->mf->file,
							VHDX_OPEN_WRITE, &img,
							&err));
	KUNIT_ASSERT_EQ(test, 0, vhdx_image_open(&w->mf->file, VHDX_OPEN_EDIT,
						 &img, &err));
	edit = begin(test, img);
	KUNIT_EXPECT_EQ(test, 0, vhdx_edit_write(edit, spare_page(w, 0), &word, 8));
	KUNIT_EXPECT_EQ(test, 0, vhdx_edit_commit(edit));
	KUNIT_EXPECT_EQ(test, 0, vhdx_image_finish(img));
	KUNIT_EXPECT_EQ(test, word_at(w, spare_page(w, 0)), 5);
	vhdx_image_close(img);
}

/* Returns whether it succeeded. */
static bool move_and_mark(struct writer *w, struct vhdx_edit *edit)
{
	u64 word = 9, to;
	int ret;

	ret = vhdx_edit_place(edit, MIB, &to);
	if (!ret)
		ret = vhdx_edit_bat(edit, 1, to | 6);
	if (!ret)
		ret = vhdx_edit_write(edit, spare_page(w, 1), &word, 8);
	if (!ret)
		ret = vhdx_edit_zero(edit, spare_page(w, 2), PAGE);
	if (!ret)
		ret = vhdx_edit_commit(edit);
	return !ret && !vhdx_image_finish(w->img);
}

/* Each operation of the file fails once: old or new, and never a mixture. */
static void edit_fail_each_op(struct kunit *test)
{
	bool done = false;
	u64 n;

	for (n = 1; !done; n++) {
		struct writer *w = edit_init(test);
		struct vhdx_edit *edit = begin(test, w->img);
		struct vhdx_image *img;
		u64 word = 4;

		KUNIT_ASSERT_EQ(test, 0, memfile_write(w->mf, &word, 8,
						       spare_page(w, 2)));
		memfile_count_from_zero(w->mf);
		w->mf->fail_op = n;
		w->mf->fail_errnum = -EIO;
		done = move_and_mark(w, edit);
		w->mf->fail_op = 0;
		kunit_release_action(test, free_edit, edit);
		guest_close(test, w->img);
		/* Replays what is to be replayed. */
		img = guest_open_writable(test, w->mf, NULL);
		word = word_at(w, spare_page(w, 1));
		KUNIT_ASSERT_TRUE(test, word == 0 || word == 9);
		KUNIT_ASSERT_EQ(test, word_at(w, spare_page(w, 2)), word ? 0 : 4);
		KUNIT_ASSERT_EQ(test, word == 9,
				writer_entry(w, 1) != (w->layout.blocks_offset | 6));
		guest_close(test, img);
		if (done)
			KUNIT_ASSERT_EQ(test, word, 9);
	}
	KUNIT_EXPECT_GT(test, n, 20);
}

static struct kunit_case image_edit_cases[] = {
	KUNIT_CASE(edit_nothing),
	KUNIT_CASE(edit_bytes),
	KUNIT_CASE(edit_many_pages),
	KUNIT_CASE(edit_zeros),
	KUNIT_CASE(edit_places),
	KUNIT_CASE(edit_guids),
	KUNIT_CASE(edit_child),
	KUNIT_CASE_SLOW(edit_fail_each_op),
	KUNIT_CASE_SLOW(edit_fail_region),
	{}
};

static struct kunit_suite image_edit_suite = {
	.name = "vhdx_image_edit",
	.test_cases = image_edit_cases,
};

kunit_test_suite(image_edit_suite);
