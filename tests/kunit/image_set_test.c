// SPDX-License-Identifier: GPL-2.0
/*
 * Changes of an image's metadata: the items at their old places or at new ones,
 * the GUIDs that go with them, and that one which fails leaves the image as it was
 * or as it is to be. What a power cut leaves of one is build/crash's to show.
 */
#include <kunit/test.h>

#include "../../drivers/vhdx/image/set.h"
#include "guest.h"
#include "writer_test.h"

#define MIB	VHDX_MIB

static const char long_path[] =
	".\\..\\a folder with a long name\\another one\\\xC3\xA4 parent.vhdx";

static struct vhdx_image *open_edit(struct kunit *test, struct memfile *mf)
{
	struct vhdx_image *img = NULL;
	struct vhdx_error err;

	KUNIT_ASSERT_EQ(test, 0, vhdx_image_open(&mf->file, VHDX_OPEN_EDIT, &img,
						 &err));
	return img;
}

static int set_it(struct kunit *test, struct memfile *mf, struct vhdx_set *set)
{
	struct vhdx_image *img = open_edit(test, mf);
	struct vhdx_error err;
	int ret = vhdx_image_set(img, set, &err);

	if (ret)
		KUNIT_EXPECT_EQ(test, ret, err.errnum);
	else
		KUNIT_EXPECT_EQ(test, 0, vhdx_image_finish(img));
	vhdx_image_close(img);
	return ret;
}

/**
 * struct pair - a child and what is to be its parent
 * @w: the child, which is made for that parent
 * @parent_b: the parent as it was built
 * @parent: likewise, open
 */
struct pair {
	struct writer *w;
	struct builder parent_b;
	struct vhdx_image *parent;
};

static struct pair *make_pair(struct kunit *test, u64 seed)
{
	struct pair *pair = kunit_kzalloc(test, sizeof(*pair), GFP_KERNEL);
	struct builder_layout layout;

	KUNIT_ASSERT_NOT_NULL(test, pair);
	builder_init(&pair->parent_b);
	pair->parent = guest_open(test, guest_build(test, &pair->parent_b,
						    &layout));
	pair->w = writer_init(test);
	pair->w->b.differencing = true;
	pair->w->b.parent_linkage = builder_data_write_guid;
	pair->w->b.seed = seed;
	pair->w->b.shuffle = seed > 1;
	writer_build(test, pair->w);
	return pair;
}

static void expect_path(struct kunit *test, const struct vhdx_image *img,
			const char *path)
{
	struct vhdx_locator_entry entry;
	char text[256] = "";

	KUNIT_ASSERT_TRUE(test, vhdx_locator_find(&img->locator, "relative_path",
						  &entry));
	vhdx_utf16_to_utf8(text, sizeof(text), entry.value, entry.value_chars,
			   true);
	KUNIT_EXPECT_STREQ(test, text, path);
}

static const struct vhdx_metadata_item *
item_of(const struct vhdx_image *img, const guid_t *id)
{
	return vhdx_metadata_find(img->metadata_table, id);
}

/* A path that fits the item's place, and one that does not. */
static void set_parent(struct kunit *test)
{
	static const char *const paths[] = { ".\\p", long_path };
	u64 seed;
	u32 i;

	for (seed = 1; seed <= 8; seed++) {
		struct pair *pair = make_pair(test, seed);
		struct vhdx_header before, after;
		struct vhdx_image *img;

		for (i = 0; i < ARRAY_SIZE(paths); i++) {
			struct vhdx_set set = {
				.parent = pair->parent,
				.relative_path = paths[i],
			};

			writer_header(pair->w, 0, &before);
			KUNIT_ASSERT_EQ(test, 0, set_it(test, pair->w->mf, &set));
			KUNIT_EXPECT_FALSE(test, set.visible);
			img = guest_open(test, pair->w->mf);
			expect_path(test, img, paths[i]);
			KUNIT_EXPECT_EQ(test, 2, img->locator.count);
			guest_close(test, img);
			img = guest_open_child(test, pair->w->mf, pair->parent);
			writer_header(pair->w, 0, &after);
			KUNIT_EXPECT_TRUE(test, guid_equal(&before.data_write_guid,
							   &after.data_write_guid));
			KUNIT_EXPECT_FALSE(test, guid_equal(&before.file_write_guid,
							    &after.file_write_guid));
			guest_close(test, img);
		}
	}
}

/* A link to what is in a cache only would be broken by a power cut. */
static void set_parent_flushes_it(struct kunit *test)
{
	struct pair *pair = make_pair(test, 1);
	struct memfile *mf = container_of(pair->parent->file, struct memfile,
					  file);
	struct vhdx_set set = {
		.parent = pair->parent, .relative_path = long_path,
	};
	u32 checksum = memfile_checksum(pair->w->mf);

	memfile_count_from_zero(mf);
	mf->fault = (struct memfile_fault){
		.ops = MEMFILE_FLUSH, .times = 1, .errnum = -EIO,
	};
	KUNIT_EXPECT_EQ(test, -EIO, set_it(test, pair->w->mf, &set));
	KUNIT_EXPECT_EQ(test, checksum, memfile_checksum(pair->w->mf));
	KUNIT_EXPECT_EQ(test, 0, set_it(test, pair->w->mf, &set));
	KUNIT_EXPECT_EQ(test, 2, memfile_count(mf, MEMFILE_FLUSH));
	KUNIT_EXPECT_EQ(test, 2, mf->records);
}

/* Another one only when that is meant, and then a guest sees it. */
static void set_other_parent(struct kunit *test)
{
	struct pair *pair = make_pair(test, 1);
	struct vhdx_set set = { .relative_path = ".\\other" };
	struct vhdx_header before, after;
	struct builder_layout layout;
	struct vhdx_image *other, *img;
	struct builder b;
	u32 checksum;

	builder_init(&b);
	b.data_write_guid = builder_guid(77);
	other = guest_open(test, guest_build(test, &b, &layout));
	set.parent = other;
	checksum = memfile_checksum(pair->w->mf);
	KUNIT_EXPECT_EQ(test, -ESTALE, set_it(test, pair->w->mf, &set));
	KUNIT_EXPECT_EQ(test, checksum, memfile_checksum(pair->w->mf));

	set.flags = VHDX_OPEN_IGNORE_ID_MISMATCH;
	writer_header(pair->w, 0, &before);
	KUNIT_ASSERT_EQ(test, 0, set_it(test, pair->w->mf, &set));
	KUNIT_EXPECT_TRUE(test, set.visible);
	writer_header(pair->w, 0, &after);
	KUNIT_EXPECT_FALSE(test, guid_equal(&before.data_write_guid,
					    &after.data_write_guid));
	img = guest_open_child(test, pair->w->mf, other);
	expect_path(test, img, ".\\other");

	b.logical_sector_size = 4096;
	set.parent = guest_open(test, guest_build(test, &b, &layout));
	checksum = memfile_checksum(pair->w->mf);
	KUNIT_EXPECT_EQ(test, -EUCLEAN, set_it(test, pair->w->mf, &set));
	KUNIT_EXPECT_EQ(test, checksum, memfile_checksum(pair->w->mf));
}

static void set_values(struct kunit *test)
{
	struct writer *w = writer_init(test);
	struct vhdx_set set = {
		.reset_disk_id = true, .physical_sector_size = 512,
	};
	struct vhdx_header before, after;
	struct vhdx_image *img;

	writer_build(test, w);
	writer_header(w, 0, &before);
	KUNIT_ASSERT_EQ(test, 0, set_it(test, w->mf, &set));
	KUNIT_EXPECT_TRUE(test, set.visible);
	img = guest_open(test, w->mf);
	KUNIT_EXPECT_EQ(test, 512, img->metadata.physical_sector_size);
	KUNIT_EXPECT_TRUE(test, guid_equal(&set.disk_id,
					   &img->metadata.virtual_disk_id));
	KUNIT_EXPECT_FALSE(test, guid_equal(&set.disk_id, &builder_disk_id));
	writer_header(w, 0, &after);
	KUNIT_EXPECT_FALSE(test, guid_equal(&before.data_write_guid,
					    &after.data_write_guid));
}

/* What is as it is to be already is not written again. */
static void set_nothing(struct kunit *test)
{
	struct writer *w = writer_init(test);
	struct vhdx_set set = { .physical_sector_size = 4096 };
	u32 checksum;

	writer_build(test, w);
	checksum = memfile_checksum(w->mf);
	KUNIT_EXPECT_EQ(test, 0, set_it(test, w->mf, &set));
	KUNIT_EXPECT_FALSE(test, set.visible);
	KUNIT_EXPECT_EQ(test, checksum, memfile_checksum(w->mf));
}

static void set_refused(struct kunit *test)
{
	struct pair *pair = make_pair(test, 1);
	struct vhdx_set set = {
		.parent = pair->parent, .relative_path = "\xFF",
	};
	struct writer *w = writer_init(test);
	u32 checksum = memfile_checksum(pair->w->mf);
	char *path;

	KUNIT_EXPECT_EQ(test, -EILSEQ, set_it(test, pair->w->mf, &set));
	path = kunit_kzalloc(test, 70000, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, path);
	memset(path, 'a', 69999);
	set.relative_path = path;
	KUNIT_EXPECT_EQ(test, -ENAMETOOLONG, set_it(test, pair->w->mf, &set));
	KUNIT_EXPECT_EQ(test, checksum, memfile_checksum(pair->w->mf));

	w->b.logical_sector_size = 4096;
	writer_build(test, w);
	checksum = memfile_checksum(w->mf);
	set.relative_path = ".\\p";
	KUNIT_EXPECT_EQ(test, -EINVAL, set_it(test, w->mf, &set));
	set.parent = NULL;
	set.physical_sector_size = 512;
	KUNIT_EXPECT_EQ(test, -EINVAL, set_it(test, w->mf, &set));
	KUNIT_EXPECT_EQ(test, checksum, memfile_checksum(w->mf));
}

/* The item behind the locator grows over all that is left of the region. */
static void set_no_room(struct kunit *test)
{
	struct pair *pair = make_pair(test, 1);
	struct vhdx_set set = {
		.parent = pair->parent, .relative_path = long_path,
	};
	u64 table = pair->w->layout.metadata_offset;
	const struct vhdx_metadata_item *locator;
	struct vhdx_image *img;
	__le32 field[3];
	u32 end, checksum;
	__le16 count = cpu_to_le16(7);
	guid_t id = builder_guid(9);
	char *path = kunit_kzalloc(test, 4001, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, path);
	img = guest_open(test, pair->w->mf);
	locator = item_of(img, &vhdx_guid_parent_locator);
	end = ALIGN(locator->offset + locator->length, 4096);
	guest_close(test, img);
	field[0] = cpu_to_le32(end);
	field[1] = cpu_to_le32(MIB - end);
	field[2] = 0;
	KUNIT_ASSERT_EQ(test, 0, memfile_write(pair->w->mf, &count, sizeof(count),
					       table + 10));
	KUNIT_ASSERT_EQ(test, 0, memfile_write(pair->w->mf, &id, sizeof(id),
					       table + 32 + 6 * 32));
	KUNIT_ASSERT_EQ(test, 0, memfile_write(pair->w->mf, field, sizeof(field),
					       table + 32 + 6 * 32 + 16));
	/* In the gap before it there is room for this one, and not for that. */
	KUNIT_ASSERT_EQ(test, 0, set_it(test, pair->w->mf, &set));
	checksum = memfile_checksum(pair->w->mf);
	memset(path, 'a', 4000);
	set.relative_path = path;
	KUNIT_EXPECT_EQ(test, -ENOSPC, set_it(test, pair->w->mf, &set));
	KUNIT_EXPECT_EQ(test, checksum, memfile_checksum(pair->w->mf));
}

/* What did not change is no other disk to its children. */
static void set_full_host(struct kunit *test)
{
	struct writer *w = writer_init(test);
	struct vhdx_set set = { .physical_sector_size = 512 };
	struct vhdx_header before, after;
	u32 n, slot;

	writer_build(test, w);
	writer_header(w, 0, &before);
	/* first the log, then what is to change */
	for (n = 0; n < 2; n++) {
		w->mf->fault = (struct memfile_fault){
			.ops = MEMFILE_ALLOCATE, .skip = n, .times = 1,
			.errnum = -ENOSPC,
		};
		KUNIT_ASSERT_EQ(test, -ENOSPC, set_it(test, w->mf, &set));
		KUNIT_EXPECT_TRUE(test, set.visible);
		for (slot = 0; slot < 2; slot++) {
			writer_header(w, slot, &after);
			KUNIT_EXPECT_TRUE(test, guid_equal(&before.data_write_guid,
							   &after.data_write_guid));
		}
	}
	KUNIT_EXPECT_EQ(test, 0, set_it(test, w->mf, &set));
	writer_header(w, 0, &after);
	KUNIT_EXPECT_FALSE(test, guid_equal(&before.data_write_guid,
					    &after.data_write_guid));
}

/* Each operation of the file fails once: old or new, and never a mixture. */
static void set_fail_each_op(struct kunit *test)
{
	int ret = -EIO;
	u64 n;

	for (n = 1; ret; n++) {
		struct pair *pair = make_pair(test, 1);
		struct vhdx_set set = {
			.parent = pair->parent, .relative_path = long_path,
			.reset_disk_id = true, .physical_sector_size = 512,
		};
		struct vhdx_image *img = open_edit(test, pair->w->mf);
		struct vhdx_error err;
		bool is_new;

		memfile_count_from_zero(pair->w->mf);
		pair->w->mf->fail_op = n;
		pair->w->mf->fail_errnum = -EIO;
		ret = vhdx_image_set(img, &set, &err);
		pair->w->mf->fail_op = 0;
		vhdx_image_close(img);
		KUNIT_ASSERT_TRUE(test, !ret || ret == -EIO);

		img = guest_open_child(test, pair->w->mf, pair->parent);
		is_new = img->metadata.physical_sector_size == 512;
		expect_path(test, img, is_new ? long_path : ".\\parent.vhdx");
		KUNIT_EXPECT_EQ(test, !is_new, guid_equal(&builder_disk_id,
							  &img->metadata.virtual_disk_id));
		if (!ret)
			KUNIT_EXPECT_TRUE(test, is_new);
		guest_close(test, img);
	}
	KUNIT_EXPECT_GT(test, n, 20);
}

static struct kunit_case image_set_cases[] = {
	KUNIT_CASE_SLOW(set_parent),
	KUNIT_CASE(set_parent_flushes_it),
	KUNIT_CASE(set_other_parent),
	KUNIT_CASE(set_values),
	KUNIT_CASE(set_nothing),
	KUNIT_CASE(set_refused),
	KUNIT_CASE(set_no_room),
	KUNIT_CASE(set_full_host),
	KUNIT_CASE_SLOW(set_fail_each_op),
	{}
};

static struct kunit_suite image_set_suite = {
	.name = "vhdx_image_set",
	.test_cases = image_set_cases,
};

kunit_test_suite(image_set_suite);
