// SPDX-License-Identifier: GPL-2.0
/*
 * New images: what is written opens, and says what was asked for.
 */
#include "format_test.h"
#include "guest.h"

#define MIB	VHDX_MIB
#define TIB	(1024 * 1024 * MIB)

static const struct vhdx_create plain = {
	.creator = "new",
	.block_size = MIB,
	.disk_size = 16 * MIB,
	.logical_sector_size = 512,
	.physical_sector_size = 4096,
};

static struct memfile *create(struct kunit *test,
			      const struct vhdx_create *params)
{
	struct memfile *mf = guest_file(test);
	struct vhdx_error err;

	expect_accepted(test, "create",
			vhdx_image_create(&mf->file, params, &err), &err);
	return mf;
}

/* --- without a parent -------------------------------------------------------- */

/* A shape is a number: block size, sector sizes, fixed. */
#define SHAPES	(9 * 2 * 2 * 2)

static void shape_params(struct vhdx_create *params, u32 shape)
{
	*params = plain;
	params->block_size = MIB << (shape >> 3);
	params->logical_sector_size = shape & 4 ? 4096 : 512;
	params->physical_sector_size = shape & 2 ? 512 : 4096;
	params->fixed = shape & 1;
	/* The last block is not whole. */
	params->disk_size = 5ULL * params->block_size + MIB / 2;
}

static const void *shape_gen_params(const void *prev, char *desc)
{
	/* NULL stands for "before the first", so shapes count from one. */
	unsigned long next = (unsigned long)prev + 1;
	struct vhdx_create params;

	if (next > SHAPES)
		return NULL;
	shape_params(&params, next - 1);
	scnprintf(desc, KUNIT_PARAM_DESC_SIZE,
		  "block %u MiB, sectors %u and %u, %s",
		  (u32)(params.block_size / MIB), params.logical_sector_size,
		  params.physical_sector_size,
		  params.fixed ? "fixed" : "dynamic");
	return (void *)next;
}

static void create_shape(struct kunit *test)
{
	const struct vhdx_header *slot;
	struct vhdx_create params;
	struct vhdx_image *img;
	struct memfile *mf;

	shape_params(&params, (unsigned long)test->param_value - 1);
	mf = create(test, &params);
	img = guest_open(test, mf);

	KUNIT_EXPECT_EQ(test, img->metadata.virtual_disk_size,
			params.disk_size);
	KUNIT_EXPECT_EQ(test, img->metadata.block_size, params.block_size);
	KUNIT_EXPECT_EQ(test, img->metadata.logical_sector_size,
			params.logical_sector_size);
	KUNIT_EXPECT_EQ(test, img->metadata.physical_sector_size,
			params.physical_sector_size);
	KUNIT_EXPECT_EQ(test, img->metadata.leave_blocks_allocated,
			params.fixed);
	KUNIT_EXPECT_FALSE(test, img->metadata.has_parent);
	KUNIT_EXPECT_FALSE(test, guid_is_null(&img->metadata.virtual_disk_id));
	KUNIT_EXPECT_EQ(test, img->metadata_table->count, 5);
	KUNIT_EXPECT_TRUE(test, img->bat_region->required);
	KUNIT_EXPECT_TRUE(test, img->metadata_region->required);
	KUNIT_EXPECT_TRUE(test, img->regions->table_valid[0]);
	KUNIT_EXPECT_TRUE(test, img->regions->table_valid[1]);
	KUNIT_EXPECT_EQ(test, img->counts.payload[0], params.fixed ? 0 : 6);
	KUNIT_EXPECT_EQ(test, img->counts.payload[6], params.fixed ? 6 : 0);
	KUNIT_EXPECT_EQ(test, img->file_size,
			4 * MIB + (params.fixed ? 6ULL * params.block_size : 0));

	slot = img->headers.slot;
	KUNIT_EXPECT_TRUE(test, img->headers.valid[0]);
	KUNIT_EXPECT_TRUE(test, img->headers.valid[1]);
	KUNIT_EXPECT_NE(test, slot[0].sequence_number, slot[1].sequence_number);
	KUNIT_EXPECT_TRUE(test, guid_is_null(&slot[0].log_guid));
	KUNIT_EXPECT_TRUE(test, guid_is_null(&slot[1].log_guid));
	KUNIT_EXPECT_EQ(test, slot[0].log_length, MIB);
	KUNIT_EXPECT_FALSE(test, guid_is_null(&slot[0].data_write_guid));
	KUNIT_EXPECT_FALSE(test, guid_is_null(&slot[0].file_write_guid));

	guest_check_byte(test, img, 0, 65536, 0);
	guest_check_byte(test, img, params.disk_size - 65536, 65536, 0);
}

static void create_creator(struct kunit *test)
{
	struct vhdx_create params = plain;
	char creator[3 * VHDX_CREATOR_CHARS + 1];
	struct vhdx_image *img;

	params.creator = "M\xC3\xBCller";
	img = guest_open(test, create(test, &params));
	vhdx_utf16_to_utf8(creator, sizeof(creator), img->creator,
			   VHDX_CREATOR_CHARS, false);
	KUNIT_EXPECT_STREQ(test, creator, params.creator);
}

static void create_is_writable(struct kunit *test)
{
	struct vhdx_create params = plain;
	struct vhdx_image *img;
	struct memfile *mf;
	int fixed;

	for (fixed = 0; fixed < 2; fixed++) {
		params.fixed = fixed;
		mf = create(test, &params);
		img = guest_open_writable(test, mf, NULL);
		KUNIT_EXPECT_EQ(test, 0, guest_write(img, 3 * MIB - 4096, 8192,
						     0x5C));
		guest_finish(test, img);
		img = guest_open(test, mf);
		guest_check_byte(test, img, 3 * MIB - 4096, 8192, 0x5C);
		guest_check_byte(test, img, 0, 3 * MIB - 4096, 0);
	}
}

/* Two that are made alike are not the same. */
static void create_identity(struct kunit *test)
{
	const struct vhdx_image *a = guest_open(test, create(test, &plain));
	const struct vhdx_image *b = guest_open(test, create(test, &plain));

	KUNIT_EXPECT_FALSE(test, guid_equal(&a->metadata.virtual_disk_id,
					    &b->metadata.virtual_disk_id));
	KUNIT_EXPECT_FALSE(test,
			   guid_equal(&vhdx_image_header(a)->data_write_guid,
				      &vhdx_image_header(b)->data_write_guid));
}

static void create_64t(struct kunit *test)
{
	struct vhdx_create params = plain;
	struct vhdx_image *img;
	struct memfile *mf;

	params.disk_size = 64 * TIB;
	mf = create(test, &params);
	/* What is written does not go by the size of the disk. */
	KUNIT_EXPECT_LE(test, mf->pages, 200);
	img = guest_open(test, mf);
	KUNIT_EXPECT_EQ(test, img->counts.payload[0], 1ULL << 26);
}

/* A fixed image's file is as long before a host that cannot allocate is asked. */
static void create_fixed_unsupported(struct kunit *test)
{
	struct memfile *mf = guest_file(test);
	struct vhdx_create params = plain;
	struct vhdx_error err;
	struct vhdx_image *img;

	params.fixed = true;
	params.disk_size = 2 * MIB;
	mf->fault = (struct memfile_fault){
		.ops = MEMFILE_ALLOCATE,
		.times = U64_MAX,
		.errnum = -EOPNOTSUPP,
	};
	expect_accepted(test, "written out",
			vhdx_image_create(&mf->file, &params, &err), &err);
	img = guest_open(test, mf);
	KUNIT_EXPECT_EQ(test, img->file_size, 6 * MIB);
	KUNIT_EXPECT_EQ(test, memfile_next_data(mf, 4 * MIB), 4 * MIB);
	KUNIT_EXPECT_EQ(test, memfile_next_data(mf, 6 * MIB - 4096),
			6 * MIB - 4096);
}

/* Interleaved with the sector bitmaps' entries. */
static void create_fixed_chunks(struct kunit *test)
{
	struct vhdx_create params = plain;
	struct vhdx_image *img;

	params.fixed = true;
	params.block_size = 256 * MIB;
	params.disk_size = 40 * 256 * MIB;
	img = guest_open(test, create(test, &params));
	KUNIT_EXPECT_EQ(test, img->geometry.chunks, 3);
	KUNIT_EXPECT_EQ(test, img->counts.payload[6], 40);
	KUNIT_EXPECT_EQ(test, img->counts.bitmap, 0);
}

static void create_refused(struct kunit *test)
{
	static const struct {
		const char *name;
		u32 block_size, logical, physical;
		u64 disk_size;
		const char *field;
	} rows[] = {
		{ "block of 0", 0, 512, 512, MIB, "BlockSize" },
		{ "block of 512 KiB", MIB / 2, 512, 512, MIB, "BlockSize" },
		{ "block of 3 MiB", 3 * MIB, 512, 512, MIB, "BlockSize" },
		{ "block of 512 MiB", 512 * MIB, 512, 512, MIB, "BlockSize" },
		{ "no disk", MIB, 512, 512, 0, "VirtualDiskSize" },
		{ "over 64 TiB", MIB, 512, 512, 64 * TIB + 512,
		  "VirtualDiskSize" },
		{ "part of a sector", MIB, 4096, 4096, 4096 + 512,
		  "VirtualDiskSize" },
		{ "sector of 1024", MIB, 1024, 512, MIB, "LogicalSectorSize" },
		{ "physical of 0", MIB, 512, 0, MIB, "PhysicalSectorSize" },
	};
	struct memfile *mf = guest_file(test);
	struct vhdx_error err;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct vhdx_create params = {
			.creator = "",
			.block_size = rows[i].block_size,
			.disk_size = rows[i].disk_size,
			.logical_sector_size = rows[i].logical,
			.physical_sector_size = rows[i].physical,
		};

		KUNIT_EXPECT_EQ_MSG(test, -EUCLEAN,
				    vhdx_image_create(&mf->file, &params, &err),
				    "%s", rows[i].name);
		KUNIT_EXPECT_STREQ_MSG(test, err.field ?: "", rows[i].field,
				       "%s", rows[i].name);
	}
	KUNIT_EXPECT_EQ(test, mf->records, 0);
}

/* What follows the log moves up, of a fixed image too. */
static void create_log_length(struct kunit *test)
{
	static const u32 lengths[] = { MIB, 3 * MIB, 1024 * MIB };
	struct vhdx_create params = plain;
	struct vhdx_image *img;
	struct memfile *mf;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		params.log_length = lengths[i];
		params.fixed = i & 1;
		mf = create(test, &params);
		img = guest_open_writable(test, mf, NULL);
		KUNIT_EXPECT_EQ(test, vhdx_image_header(img)->log_length,
				lengths[i]);
		KUNIT_EXPECT_EQ(test, img->metadata_region->file_offset,
				MIB + lengths[i]);
		KUNIT_EXPECT_EQ(test, guest_write(img, 3 * MIB, 4096, 7), 0);
		KUNIT_EXPECT_EQ(test, guest_flush(img), 0);
		guest_finish(test, img);
		img = guest_open(test, mf);
		guest_check_byte(test, img, 3 * MIB, 4096, 7);
	}
}

static void create_log_length_refused(struct kunit *test)
{
	static const u32 lengths[] = { 1, MIB + 4096, 1025 * MIB };
	struct memfile *mf = guest_file(test);
	struct vhdx_create params = plain;
	struct vhdx_error err;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		params.log_length = lengths[i];
		KUNIT_EXPECT_EQ(test, -EUCLEAN,
				vhdx_image_create(&mf->file, &params, &err));
		KUNIT_EXPECT_STREQ(test, err.field ?: "", "LogLength");
	}
	KUNIT_EXPECT_EQ(test, mf->records, 0);
}

/* --- above a parent ------------------------------------------------------------ */

static void expect_value(struct kunit *test, const struct vhdx_image *img,
			 const char *key, const char *value)
{
	struct vhdx_locator_entry entry;
	char text[128];

	KUNIT_ASSERT_TRUE_MSG(test,
			      vhdx_locator_find(&img->locator, key, &entry),
			      "%s", key);
	vhdx_utf16_to_utf8(text, sizeof(text), entry.value, entry.value_chars,
			   false);
	KUNIT_EXPECT_STREQ(test, text, value);
}

static struct vhdx_create child_params(const struct vhdx_image *parent)
{
	return (struct vhdx_create){
		.creator = "new",
		.block_size = 2 * MIB,
		.parent = parent,
		.relative_path = ".\\..\\b\xC3\xA4se\\parent.vhdx",
		.absolute_path = "C:\\parent.vhdx",
	};
}

/* All that it shows is its parent's. */
static void expect_parents(struct kunit *test, const struct vhdx_image *child,
			   u64 pos, enum vhdx_extent_type type)
{
	struct vhdx_extent extent;

	KUNIT_EXPECT_EQ(test, 0, vhdx_image_map(child, pos, 4096, &extent));
	KUNIT_EXPECT_EQ_MSG(test, extent.type, type, "at 0x%llx", pos);
	if (type == VHDX_EXTENT_FILE)
		KUNIT_EXPECT_PTR_EQ(test, extent.image, child->parent);
}

static void create_child(struct kunit *test)
{
	static const struct builder_block blocks[] = { { 2, 6, 0 }, { 9, 6, 0 } };
	struct vhdx_image *parent, *child = NULL;
	struct builder_layout layout;
	struct vhdx_create params;
	struct vhdx_error err;
	struct memfile *mf;
	char linkage[VHDX_GUID_CHARS + 3] = "{";
	struct builder b;
	u32 sector;

	for (sector = 512; sector <= 4096; sector *= 8) {
		builder_init(&b);
		b.disk_size = 16 * MIB + 4096;
		b.logical_sector_size = sector;
		b.physical_sector_size = 4096 + 512 - sector;
		b.block = blocks;
		b.blocks = ARRAY_SIZE(blocks);
		parent = guest_open(test, guest_build(test, &b, &layout));
		params = child_params(parent);
		mf = create(test, &params);
		expect_accepted(test, "chain",
				vhdx_image_open_child(&mf->file, parent, 0,
						      &child, &err), &err);
		KUNIT_ASSERT_NOT_NULL(test, child);

		KUNIT_EXPECT_TRUE(test, child->metadata.has_parent);
		KUNIT_EXPECT_FALSE(test, child->metadata.leave_blocks_allocated);
		KUNIT_EXPECT_EQ(test, child->metadata.virtual_disk_size,
				b.disk_size);
		KUNIT_EXPECT_EQ(test, child->metadata.block_size, 2 * MIB);
		KUNIT_EXPECT_EQ(test, child->metadata.logical_sector_size,
				sector);
		KUNIT_EXPECT_EQ(test, child->metadata.physical_sector_size,
				b.physical_sector_size);
		KUNIT_EXPECT_TRUE(test,
				  guid_equal(&child->metadata.virtual_disk_id,
					     &builder_disk_id));
		KUNIT_EXPECT_EQ(test, child->locator.count, 3);
		/* In lower case, with braces. */
		vhdx_guid_print(linkage + 1, &builder_data_write_guid);
		memcpy(linkage + 1 + VHDX_GUID_CHARS, "}", 2);
		expect_value(test, child, "parent_linkage", linkage);
		expect_value(test, child, "relative_path",
			     params.relative_path);
		expect_value(test, child, "absolute_win32_path",
			     params.absolute_path);
		expect_parents(test, child, 0, VHDX_EXTENT_ZERO);
		expect_parents(test, child, 2 * MIB, VHDX_EXTENT_FILE);
		expect_parents(test, child, 9 * MIB, VHDX_EXTENT_FILE);
		expect_parents(test, child, 16 * MIB, VHDX_EXTENT_ZERO);
		vhdx_image_close(child);
	}
}

static void create_child_without_absolute_path(struct kunit *test)
{
	const struct vhdx_image *parent = guest_open(test, create(test, &plain));
	struct vhdx_create params = child_params(parent);
	struct vhdx_image *child;

	params.absolute_path = NULL;
	child = guest_open(test, create(test, &params));
	KUNIT_EXPECT_EQ(test, child->locator.count, 2);
}

/* One more item in a table that was built, with some bytes of its own. */
static void add_item(struct kunit *test, struct memfile *mf,
		     const struct builder_layout *layout, u8 id, u32 length,
		     u32 flags)
{
	struct vhdx_disk_metadata_table_entry entry = {
		.length = cpu_to_le32(length),
		.flags = cpu_to_le32(flags),
	};
	__le16 count;
	u32 n, offset;
	u8 *data = kunit_kzalloc(test, length + 1, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, data);
	memfile_read(mf, &count, sizeof(count), layout->metadata_offset + 10);
	n = le16_to_cpu(count);
	offset = length ? 0x20000 + 0x10000 * n : 0;
	memset(&entry.item_id, id, sizeof(entry.item_id));
	entry.offset = cpu_to_le32(offset);
	count = cpu_to_le16(n + 1);
	memset(data, id, length);
	KUNIT_ASSERT_EQ(test, 0, memfile_write(mf, &count, sizeof(count),
					       layout->metadata_offset + 10));
	KUNIT_ASSERT_EQ(test, 0, memfile_write(mf, &entry, sizeof(entry),
					       layout->metadata_offset + 32 +
					       32 * n));
	if (length)
		KUNIT_ASSERT_EQ(test, 0,
				memfile_write(mf, data, length,
					      layout->metadata_offset + offset));
}

static const struct vhdx_metadata_item *
find_item(const struct vhdx_image *img, u8 id, bool is_user)
{
	u32 i;

	for (i = 0; i < img->metadata_table->count; i++) {
		const struct vhdx_metadata_item *item =
			&img->metadata_table->item[i];

		if (((const u8 *)&item->item_id)[3] == id &&
		    ((const u8 *)&item->item_id)[9] == id &&
		    item->is_user == is_user)
			return item;
	}
	return NULL;
}

static void create_child_inherits(struct kunit *test)
{
	const struct vhdx_metadata_item *item;
	struct builder_layout layout;
	struct vhdx_create params;
	struct vhdx_image *child;
	struct memfile *mf;
	struct builder b;
	u8 data[301], other[sizeof(data)];

	builder_init(&b);
	mf = guest_build(test, &b, &layout);
	add_item(test, mf, &layout, 0xA1, sizeof(data),
		 VHDX_METADATA_IS_USER | VHDX_METADATA_IS_VIRTUAL_DISK);
	add_item(test, mf, &layout, 0xA2, 5, VHDX_METADATA_IS_VIRTUAL_DISK);
	add_item(test, mf, &layout, 0xA3, 0, VHDX_METADATA_IS_VIRTUAL_DISK);
	add_item(test, mf, &layout, 0xA4, 7, VHDX_METADATA_IS_USER);
	add_item(test, mf, &layout, 0xA5, 7, 0);
	params = child_params(guest_open(test, mf));
	mf = create(test, &params);
	child = guest_open(test, mf);

	KUNIT_EXPECT_EQ(test, child->metadata_table->count, 9);
	item = find_item(child, 0xA1, true);
	KUNIT_ASSERT_NOT_NULL(test, item);
	KUNIT_EXPECT_TRUE(test, item->is_virtual_disk);
	KUNIT_EXPECT_FALSE(test, item->is_required);
	KUNIT_ASSERT_EQ(test, item->length, sizeof(data));
	memfile_read(mf, data, sizeof(data),
		     child->metadata_region->file_offset + item->offset);
	memset(other, 0xA1, sizeof(other));
	KUNIT_EXPECT_EQ(test, 0, memcmp(data, other, sizeof(data)));
	item = find_item(child, 0xA2, false);
	KUNIT_ASSERT_NOT_NULL(test, item);
	KUNIT_EXPECT_EQ(test, item->length, 5);
	item = find_item(child, 0xA3, false);
	KUNIT_ASSERT_NOT_NULL(test, item);
	KUNIT_EXPECT_EQ(test, item->length, 0);
	KUNIT_EXPECT_NULL(test, find_item(child, 0xA4, true));
	KUNIT_EXPECT_NULL(test, find_item(child, 0xA5, false));
}

/* A user item may have the id of one that every image has. */
static void create_child_user_twin(struct kunit *test)
{
	struct vhdx_disk_metadata_table_entry entry;
	struct builder_layout layout;
	struct vhdx_create params;
	struct vhdx_image *child;
	struct memfile *mf;
	struct builder b;

	builder_init(&b);
	mf = guest_build(test, &b, &layout);
	add_item(test, mf, &layout, 0xA1, 8,
		 VHDX_METADATA_IS_USER | VHDX_METADATA_IS_VIRTUAL_DISK);
	memfile_read(mf, &entry, sizeof(entry),
		     layout.metadata_offset + 32 + 32 * 5);
	entry.item_id = vhdx_guid_virtual_disk_size;
	KUNIT_ASSERT_EQ(test, 0, memfile_write(mf, &entry, sizeof(entry),
					       layout.metadata_offset + 32 +
					       32 * 5));
	params = child_params(guest_open(test, mf));
	child = guest_open(test, create(test, &params));
	KUNIT_EXPECT_EQ(test, child->metadata_table->count, 7);
	KUNIT_EXPECT_EQ(test, child->metadata.virtual_disk_size, b.disk_size);
}

/* A child of a child: the locator is its own. */
static void create_grandchild(struct kunit *test)
{
	struct vhdx_image *parent = guest_open(test, create(test, &plain));
	struct vhdx_create params = child_params(parent);
	struct vhdx_image *child = guest_open(test, create(test, &params));
	struct vhdx_image *grandchild;
	struct vhdx_error err;

	params.parent = child;
	params.relative_path = ".\\child.avhdx";
	grandchild = guest_open(test, create(test, &params));
	KUNIT_EXPECT_EQ(test, grandchild->metadata_table->count, 6);
	expect_value(test, grandchild, "relative_path", ".\\child.avhdx");
	expect_accepted(test, "its parent",
			vhdx_image_check_parent(grandchild, child, 0, &err),
			&err);
	KUNIT_EXPECT_EQ(test, -ESTALE,
			vhdx_image_check_parent(grandchild, parent, 0, &err));
	KUNIT_EXPECT_EQ(test, 0,
			vhdx_image_check_parent(grandchild, parent,
						VHDX_OPEN_IGNORE_ID_MISMATCH,
						&err));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			vhdx_image_check_parent(parent, child, 0, &err));
}

static void create_child_refused(struct kunit *test)
{
	const u32 length = 40000;
	const struct vhdx_image *parent = guest_open(test, create(test, &plain));
	struct vhdx_create params = child_params(parent);
	struct memfile *mf = guest_file(test);
	struct vhdx_error err;
	char *path;

	params.relative_path = ".\\b\xE4se.vhdx";
	KUNIT_EXPECT_EQ(test, -EILSEQ,
			vhdx_image_create(&mf->file, &params, &err));
	KUNIT_EXPECT_STREQ(test, err.structure, "parent locator");

	path = kunit_kzalloc(test, length, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, path);
	memset(path, 'x', length - 1);
	params.relative_path = path;
	KUNIT_EXPECT_EQ(test, -ENAMETOOLONG,
			vhdx_image_create(&mf->file, &params, &err));
	KUNIT_EXPECT_STREQ(test, err.structure, "parent locator");
	KUNIT_EXPECT_EQ(test, mf->records, 0);
}

/* A link to what is in a cache only would be broken by a power cut. */
static void create_child_flushes_parent(struct kunit *test)
{
	struct memfile *mf, *parent_mf = create(test, &plain);
	const struct vhdx_image *parent = guest_open(test, parent_mf);
	struct vhdx_create params = child_params(parent);
	struct vhdx_error err;

	memfile_count_from_zero(parent_mf);
	create(test, &params);
	KUNIT_EXPECT_EQ(test, 1, memfile_count(parent_mf, MEMFILE_FLUSH));
	KUNIT_EXPECT_EQ(test, 1, parent_mf->records);

	parent_mf->fault = (struct memfile_fault){
		.ops = MEMFILE_FLUSH, .times = 1, .errnum = -EIO,
	};
	mf = guest_file(test);
	KUNIT_EXPECT_EQ(test, -EIO, vhdx_image_create(&mf->file, &params, &err));
	KUNIT_EXPECT_EQ(test, mf->records, 0);
}

/* --- failures -------------------------------------------------------------------- */

/* Whatever fails is said, and nothing after it is tried. */
static void create_fail_each_op(struct kunit *test)
{
	const struct vhdx_image *parent = guest_open(test, create(test, &plain));
	struct vhdx_create params[2] = { plain, child_params(parent) };
	struct vhdx_error err;
	struct memfile *mf;
	u64 n, count;
	int i, ret;

	params[0].fixed = true;
	for (i = 0; i < 2; i++) {
		mf = create(test, &params[i]);
		count = mf->ops;
		KUNIT_EXPECT_GE(test, count, 12);
		for (n = 1; n <= count; n++) {
			mf = guest_file(test);
			mf->fail_op = n;
			mf->fail_errnum = -EIO;
			ret = vhdx_image_create(&mf->file, &params[i], &err);
			KUNIT_ASSERT_EQ_MSG(test, ret, -EIO, "operation %llu",
					    n);
			KUNIT_EXPECT_EQ(test, err.errnum, -EIO);
			KUNIT_EXPECT_EQ_MSG(test, mf->ops, n, "operation %llu",
					    n);
		}
	}
}

/* It is all on the disk when it is there. */
static void create_ends_in_flush(struct kunit *test)
{
	struct memfile *mf = create(test, &plain);

	KUNIT_ASSERT_GT(test, mf->records, 0);
	KUNIT_EXPECT_EQ(test, mf->record[mf->records - 1].op, MEMFILE_FLUSH);
}

static void open_no_blocks(struct kunit *test)
{
	static const struct builder_block blocks[] = { { 2, 4, MIB } };
	struct builder_layout layout;
	struct vhdx_image *img = NULL;
	struct vhdx_error err;
	struct memfile *mf;
	struct builder b;

	/* What is wrong with the BAT is not seen. */
	builder_init(&b);
	b.block = blocks;
	b.blocks = ARRAY_SIZE(blocks);
	mf = guest_build(test, &b, &layout);
	KUNIT_EXPECT_EQ(test, -EUCLEAN,
			vhdx_image_open(&mf->file, 0, &img, &err));
	expect_accepted(test, "no blocks",
			vhdx_image_open(&mf->file, VHDX_OPEN_NO_BLOCKS, &img,
					&err), &err);
	KUNIT_ASSERT_NOT_NULL(test, img);
	KUNIT_EXPECT_EQ(test, img->metadata.virtual_disk_size, b.disk_size);
	vhdx_image_close(img);
}

static struct kunit_case image_create_cases[] = {
	KUNIT_CASE_PARAM_ATTR(create_shape, shape_gen_params,
			      {KUNIT_SPEED_SLOW}),
	KUNIT_CASE(create_creator),
	KUNIT_CASE(create_is_writable),
	KUNIT_CASE(create_identity),
	KUNIT_CASE(create_64t),
	KUNIT_CASE(create_fixed_unsupported),
	KUNIT_CASE(create_fixed_chunks),
	KUNIT_CASE(create_refused),
	KUNIT_CASE(create_log_length),
	KUNIT_CASE(create_log_length_refused),
	KUNIT_CASE(create_child),
	KUNIT_CASE(create_child_without_absolute_path),
	KUNIT_CASE(create_child_inherits),
	KUNIT_CASE(create_child_user_twin),
	KUNIT_CASE(create_grandchild),
	KUNIT_CASE(create_child_refused),
	KUNIT_CASE(create_child_flushes_parent),
	KUNIT_CASE(create_fail_each_op),
	KUNIT_CASE(create_ends_in_flush),
	KUNIT_CASE(open_no_blocks),
	{}
};

static struct kunit_suite image_create_suite = {
	.name = "vhdx_image_create",
	.test_cases = image_create_cases,
};

kunit_test_suite(image_create_suite);
