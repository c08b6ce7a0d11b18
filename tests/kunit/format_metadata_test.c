// SPDX-License-Identifier: GPL-2.0
/*
 * The metadata table and the items of fixed size.
 */
#include "format_test.h"

#define MIB		VHDX_MIB
#define ENTRY(i)	(32 + 32 * (i))
#define AT(i, field)	(ENTRY(i) + offsetof(struct vhdx_disk_metadata_table_entry, field))

#define REGION_OFFSET	(3 * MIB)
#define REGION_LENGTH	MIB

#define SYSTEM		0
#define USER		1
#define DISK		2
#define REQUIRED	4

/* The first entry behind the five that every image has. */
#define EXTRA		5

struct fixture {
	u8 buf[VHDX_METADATA_TABLE_SIZE];
	struct vhdx_metadata_table table;
	struct vhdx_error err;
};

static void put_item(u8 *buf, u32 i, const guid_t *id, u32 offset, u32 length, u32 flags)
{
	memcpy(buf + AT(i, item_id), id, 16);
	poke(buf, AT(i, offset), 4, offset);
	poke(buf, AT(i, length), 4, length);
	poke(buf, AT(i, flags), 4, flags);
}

static void put_table(u8 *buf)
{
	static const u32 length[EXTRA] = { 8, 8, 16, 4, 4 };
	u32 i, offset = 0x10000;

	memset(buf, 0, VHDX_METADATA_TABLE_SIZE);
	memcpy(buf, "metadata", 8);
	poke(buf, 10, 2, EXTRA);
	for (i = 0; i < EXTRA; i++) {
		put_item(buf, i, &builder_guid_item[i], offset, length[i],
			 i ? DISK | REQUIRED : REQUIRED);
		offset += length[i];
	}
}

static struct fixture *setup(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	put_table(f->buf);
	return f;
}

static int decode(struct fixture *f)
{
	return vhdx_metadata_table_decode(f->buf, REGION_OFFSET, REGION_LENGTH,
					  &f->table, &f->err);
}

static void fields(struct kunit *test)
{
	struct fixture *f = setup(test);
	const struct vhdx_metadata_item *item;

	expect_accepted(test, "plain", decode(f), &f->err);
	KUNIT_EXPECT_EQ(test, f->table.count, EXTRA);
	item = vhdx_metadata_find(&f->table, &vhdx_guid_virtual_disk_id);
	KUNIT_ASSERT_PTR_EQ(test, item, &f->table.item[BUILDER_VIRTUAL_DISK_ID]);
	KUNIT_EXPECT_EQ(test, item->offset, 0x10010);
	KUNIT_EXPECT_EQ(test, item->length, 16);
	KUNIT_EXPECT_FALSE(test, item->is_user);
	KUNIT_EXPECT_TRUE(test, item->is_virtual_disk);
	KUNIT_EXPECT_TRUE(test, item->is_required);
	KUNIT_EXPECT_FALSE(test, f->table.item[0].is_virtual_disk);
	KUNIT_EXPECT_NULL(test, vhdx_metadata_find(&f->table, &vhdx_guid_parent_locator));
}

/* One more item, of an id of our own unless @known; @errnum 0: accepted. */
static const struct extra {
	const char *name;
	const guid_t *known;
	u32 offset;
	u32 length;
	u32 flags;
	int errnum;
	const char *field;
	u32 at;
} extras[] = {
	{ "optional system item", NULL, 0x20000, 100, SYSTEM, 0, NULL, 0 },
	{ "optional user item", NULL, 0x20000, 100, USER | DISK, 0, NULL, 0 },
	{ "up to the end", NULL, MIB - 100, 100, SYSTEM, 0, NULL, 0 },
	{ "as long as can be", NULL, 0x20000, 0xE0000, SYSTEM, 0, NULL, 0 },
	{ "touches the one before", NULL, 0x10028, 1, SYSTEM, 0, NULL, 0 },
	{ "empty", NULL, 0, 0, SYSTEM, 0, NULL, 0 },
	{ "reserved flags", NULL, 0x20000, 100, 0xFFFFFFF8, 0, NULL, 0 },
	{ "parent locator", &vhdx_guid_parent_locator, 0x20000, 100, REQUIRED, 0, NULL, 0 },
	{ "user item of a known id", &vhdx_guid_virtual_disk_id, 0x20000, 16, USER, 0, NULL, 0 },
	{ "empty with an offset", NULL, 0x20000, 0, SYSTEM, -EUCLEAN, "Offset",
	  AT(EXTRA, offset) },
	{ "in the table", NULL, 0xFFFF, 100, SYSTEM, -EUCLEAN, "Offset", AT(EXTRA, offset) },
	{ "at 0", NULL, 0, 100, SYSTEM, -EUCLEAN, "Offset", AT(EXTRA, offset) },
	{ "a byte past the end", NULL, MIB - 100, 101, SYSTEM, -EUCLEAN, "Offset",
	  AT(EXTRA, offset) },
	{ "offset past the end", NULL, MIB, 1, SYSTEM, -EUCLEAN, "Offset", AT(EXTRA, offset) },
	{ "wraps", NULL, 0xFFFFFFFF, 0x100000, SYSTEM, -EUCLEAN, "Offset", AT(EXTRA, offset) },
	{ "longer than 1 MiB", NULL, 0x20000, 0x100001, SYSTEM, -EUCLEAN, "Length",
	  AT(EXTRA, length) },
	{ "length 2^32 - 1", NULL, 0x20000, 0xFFFFFFFF, SYSTEM, -EUCLEAN, "Length",
	  AT(EXTRA, length) },
	{ "overlaps by a byte", NULL, 0x10027, 100, SYSTEM, -EUCLEAN, "Offset",
	  AT(EXTRA, offset) },
	{ "the same item", NULL, 0x10000, 8, SYSTEM, -EUCLEAN, "Offset", AT(EXTRA, offset) },
	{ "the same id", &vhdx_guid_virtual_disk_id, 0x20000, 16, SYSTEM, -EUCLEAN, "ItemId",
	  AT(EXTRA, item_id) },
	{ "unknown and required", NULL, 0x20000, 100, REQUIRED, -EOPNOTSUPP, "ItemId",
	  AT(EXTRA, item_id) },
	{ "unknown user item, required", NULL, 0x20000, 100, USER | REQUIRED, -EOPNOTSUPP,
	  "ItemId", AT(EXTRA, item_id) },
	{ "known id, but a user item, required", &vhdx_guid_virtual_disk_id, 0x20000, 16,
	  USER | REQUIRED, -EOPNOTSUPP, "ItemId", AT(EXTRA, item_id) },
};

static void extra_items(struct kunit *test)
{
	struct fixture *f = setup(test);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(extras); i++) {
		const struct extra *extra = &extras[i];
		const struct refusal refusal = {
			extra->errnum, "metadata table", extra->field, REGION_OFFSET + extra->at
		};

		put_table(f->buf);
		poke(f->buf, 10, 2, EXTRA + 1);
		put_item(f->buf, EXTRA, extra->known ?: &builder_disk_id, extra->offset,
			 extra->length, extra->flags);
		if (extra->errnum)
			expect_refusal(test, extra->name, decode(f), &f->err, &refusal);
		else
			expect_accepted(test, extra->name, decode(f), &f->err);
	}
}

/* A user item of the same id is another item, and not the one that is found. */
static void user_item_is_another(struct kunit *test)
{
	struct fixture *f = setup(test);

	poke(f->buf, 10, 2, EXTRA + 1);
	put_item(f->buf, EXTRA, &vhdx_guid_parent_locator, 0x20000, 100, USER);
	expect_accepted(test, "user item", decode(f), &f->err);
	KUNIT_EXPECT_NULL(test, vhdx_metadata_find(&f->table, &vhdx_guid_parent_locator));
}

static void table_header(struct kunit *test)
{
	static const struct refusal signature = {
		-EUCLEAN, "metadata table", "Signature", REGION_OFFSET
	};
	static const struct refusal count = {
		-EUCLEAN, "metadata table", "EntryCount", REGION_OFFSET + 10
	};
	struct fixture *f = setup(test);

	poke(f->buf, 8, 2, 0xFFFF);
	memset(f->buf + 12, 0xFF, 20);
	expect_accepted(test, "reserved fields", decode(f), &f->err);

	poke(f->buf, 10, 2, 2048);
	expect_refusal(test, "2048 entries", decode(f), &f->err, &count);
	poke(f->buf, 10, 2, 65535);
	expect_refusal(test, "65535 entries", decode(f), &f->err, &count);
	poke(f->buf, 10, 2, EXTRA);
	f->buf[7] = 'A';
	expect_refusal(test, "signature", decode(f), &f->err, &signature);
}

static void missing_items(struct kunit *test)
{
	static const char * const names[EXTRA] = {
		"file parameters", "virtual disk size", "virtual disk id",
		"logical sector size", "physical sector size",
	};
	struct fixture *f = setup(test);
	u32 i;

	for (i = 0; i < EXTRA; i++) {
		const struct refusal refusal = {
			-EUCLEAN, "metadata table", names[i], REGION_OFFSET
		};

		put_table(f->buf);
		put_item(f->buf, i, &builder_disk_id, 0x20000, 4, SYSTEM);
		expect_refusal(test, names[i], decode(f), &f->err, &refusal);
	}
}

static void user_item_count(struct kunit *test)
{
	static const struct refusal refusal = {
		-EUCLEAN, "metadata table", NULL, REGION_OFFSET
	};
	struct fixture *f = setup(test);
	guid_t id = { };
	u32 i;

	for (i = 0; i < 2042; i++) {
		poke(&id, 0, 4, i + 1);
		put_item(f->buf, EXTRA + i, &id, 0x20000 + 8 * i, 8, i < 1024 ? USER : SYSTEM);
	}
	poke(f->buf, 10, 2, 2047);
	expect_accepted(test, "1024 user items of 2047", decode(f), &f->err);

	poke(f->buf, AT(EXTRA + 1024, flags), 4, USER);
	expect_refusal(test, "1025 user items", decode(f), &f->err, &refusal);
}

/* @errnum 0: the value comes out */
static const struct value {
	enum builder_item item;
	u64 value;
	u32 length;
	int errnum;
	const char *structure;
	const char *field;
} values[] = {
	{ BUILDER_FILE_PARAMETERS, 1 << 20, 8, 0, NULL, NULL },
	{ BUILDER_FILE_PARAMETERS, 32 << 20, 8, 0, NULL, NULL },
	{ BUILDER_FILE_PARAMETERS, 256 << 20, 8, 0, NULL, NULL },
	{ BUILDER_FILE_PARAMETERS, 0, 8, -EUCLEAN, "file parameters", "BlockSize" },
	{ BUILDER_FILE_PARAMETERS, 3 << 20, 8, -EUCLEAN, "file parameters", "BlockSize" },
	{ BUILDER_FILE_PARAMETERS, 512 << 10, 8, -EUCLEAN, "file parameters", "BlockSize" },
	{ BUILDER_FILE_PARAMETERS, 512 << 20, 8, -EUCLEAN, "file parameters", "BlockSize" },
	{ BUILDER_FILE_PARAMETERS, (1 << 20) + 1, 8, -EUCLEAN, "file parameters", "BlockSize" },
	{ BUILDER_FILE_PARAMETERS, 1 << 20, 7, -EUCLEAN, "file parameters", "Length" },
	{ BUILDER_FILE_PARAMETERS, 1 << 20, 9, -EUCLEAN, "file parameters", "Length" },
	{ BUILDER_FILE_PARAMETERS, 1 << 20, 0, -EUCLEAN, "file parameters", "Length" },
	{ BUILDER_VIRTUAL_DISK_SIZE, 512, 8, 0, NULL, NULL },
	{ BUILDER_VIRTUAL_DISK_SIZE, 64ULL << 40, 8, 0, NULL, NULL },
	{ BUILDER_VIRTUAL_DISK_SIZE, 0, 8, -EUCLEAN, "virtual disk size", "VirtualDiskSize" },
	{ BUILDER_VIRTUAL_DISK_SIZE, (64ULL << 40) + 512, 8, -EUCLEAN, "virtual disk size",
	  "VirtualDiskSize" },
	{ BUILDER_VIRTUAL_DISK_SIZE, (1ULL << 52) + (64 << 20), 8, -EUCLEAN,
	  "virtual disk size", "VirtualDiskSize" },
	{ BUILDER_VIRTUAL_DISK_SIZE, U64_MAX, 8, -EUCLEAN, "virtual disk size",
	  "VirtualDiskSize" },
	{ BUILDER_VIRTUAL_DISK_SIZE, 512, 4, -EUCLEAN, "virtual disk size", "Length" },
	{ BUILDER_LOGICAL_SECTOR_SIZE, 512, 4, 0, NULL, NULL },
	{ BUILDER_LOGICAL_SECTOR_SIZE, 4096, 4, 0, NULL, NULL },
	{ BUILDER_LOGICAL_SECTOR_SIZE, 0, 4, -EUCLEAN, "logical sector size",
	  "LogicalSectorSize" },
	{ BUILDER_LOGICAL_SECTOR_SIZE, 513, 4, -EUCLEAN, "logical sector size",
	  "LogicalSectorSize" },
	{ BUILDER_LOGICAL_SECTOR_SIZE, 8192, 4, -EUCLEAN, "logical sector size",
	  "LogicalSectorSize" },
	{ BUILDER_LOGICAL_SECTOR_SIZE, 512, 8, -EUCLEAN, "logical sector size", "Length" },
	{ BUILDER_PHYSICAL_SECTOR_SIZE, 512, 4, 0, NULL, NULL },
	{ BUILDER_PHYSICAL_SECTOR_SIZE, 4096, 4, 0, NULL, NULL },
	{ BUILDER_PHYSICAL_SECTOR_SIZE, 0, 4, -EUCLEAN, "physical sector size",
	  "PhysicalSectorSize" },
	{ BUILDER_PHYSICAL_SECTOR_SIZE, 777, 4, -EUCLEAN, "physical sector size",
	  "PhysicalSectorSize" },
	{ BUILDER_VIRTUAL_DISK_ID, 0, 15, -EUCLEAN, "virtual disk id", "Length" },
	{ BUILDER_VIRTUAL_DISK_ID, 0, 17, -EUCLEAN, "virtual disk id", "Length" },
};

static u64 value_of(const struct vhdx_metadata *metadata, enum builder_item item)
{
	switch (item) {
	case BUILDER_FILE_PARAMETERS:
		return metadata->block_size;
	case BUILDER_VIRTUAL_DISK_SIZE:
		return metadata->virtual_disk_size;
	case BUILDER_LOGICAL_SECTOR_SIZE:
		return metadata->logical_sector_size;
	default:
		return metadata->physical_sector_size;
	}
}

/* At an odd address, and with nothing readable behind @length bytes. */
static void item_values(struct kunit *test)
{
	struct vhdx_metadata metadata = { };
	struct vhdx_error err;
	size_t i;
	u8 *buf;
	int ret;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		const struct value *value = &values[i];
		const struct vhdx_metadata_item item = {
			.item_id = builder_guid_item[value->item],
			.offset = value->length ? 0x12345 : 0,
			.length = value->length,
		};
		const struct refusal refusal = {
			value->errnum, value->structure, value->field,
			REGION_OFFSET + item.offset
		};

		buf = kunit_kzalloc(test, 1 + VHDX_METADATA_FIXED_ITEM_SIZE, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, buf);
		poke(buf, 1, min_t(u32, value->length, 8), value->value);
		ret = vhdx_metadata_item_decode(&item, buf + 1, REGION_OFFSET, &metadata, &err);
		if (value->errnum) {
			expect_refusal(test, value->structure, ret, &err, &refusal);
			continue;
		}
		expect_accepted(test, "value", ret, &err);
		KUNIT_EXPECT_EQ(test, value_of(&metadata, value->item), value->value);
	}
}

/* The two flags, and reserved ones that are ignored. */
static void file_parameter_flags(struct kunit *test)
{
	static const u32 flags[] = { 0, 1, 2, 3, 0xFFFFFFFC, 0xFFFFFFFF };
	const struct vhdx_metadata_item item = {
		.item_id = vhdx_guid_file_parameters,
		.offset = 0x10000,
		.length = 8,
	};
	struct vhdx_metadata metadata;
	struct vhdx_error err;
	u8 buf[8];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		poke(buf, 0, 4, MIB);
		poke(buf, 4, 4, flags[i]);
		expect_accepted(test, "flags",
				vhdx_metadata_item_decode(&item, buf, 0, &metadata, &err), &err);
		KUNIT_EXPECT_EQ(test, metadata.leave_blocks_allocated, flags[i] & 1);
		KUNIT_EXPECT_EQ(test, metadata.has_parent, (flags[i] >> 1) & 1);
	}
}

/* The id comes out; what is no item of fixed size leaves all as it was. */
static void other_items(struct kunit *test)
{
	struct vhdx_metadata_item item = {
		.item_id = vhdx_guid_virtual_disk_id,
		.offset = 0x10000,
		.length = 16,
	};
	struct vhdx_metadata metadata = { };
	struct vhdx_error err;

	expect_accepted(test, "id", vhdx_metadata_item_decode(&item, &builder_disk_id, 0,
							      &metadata, &err), &err);
	KUNIT_EXPECT_TRUE(test, guid_equal(&metadata.virtual_disk_id, &builder_disk_id));

	memset(&metadata, 0, sizeof(metadata));
	item.is_user = true;
	expect_accepted(test, "user item",
			vhdx_metadata_item_decode(&item, &builder_disk_id, 0, &metadata, &err),
			&err);
	item.is_user = false;
	item.item_id = vhdx_guid_parent_locator;
	expect_accepted(test, "locator",
			vhdx_metadata_item_decode(&item, &builder_disk_id, 0, &metadata, &err),
			&err);
	item.item_id = builder_disk_id;
	expect_accepted(test, "unknown",
			vhdx_metadata_item_decode(&item, &builder_disk_id, 0, &metadata, &err),
			&err);
	KUNIT_EXPECT_NULL(test, memchr_inv(&metadata, 0, sizeof(metadata)));
}

static void together(struct kunit *test)
{
	static const struct refusal size = {
		-EUCLEAN, "virtual disk size", "VirtualDiskSize", REGION_OFFSET + 0x10008
	};
	static const struct refusal parent = {
		-EUCLEAN, "metadata table", "parent locator", REGION_OFFSET
	};
	struct vhdx_metadata metadata = {
		.block_size = MIB,
		.virtual_disk_size = 3 * 4096,
		.logical_sector_size = 4096,
		.physical_sector_size = 512,	/* smaller: exists in the wild */
	};
	struct fixture *f = setup(test);
	int ret;

	poke(f->buf, 10, 2, EXTRA + 1);
	put_item(f->buf, EXTRA, &vhdx_guid_parent_locator, 0x20000, 100, REQUIRED);
	expect_accepted(test, "table", decode(f), &f->err);

	ret = vhdx_metadata_check(&metadata, &f->table, REGION_OFFSET, &f->err);
	expect_accepted(test, "a locator that is not asked for", ret, &f->err);
	metadata.has_parent = true;
	ret = vhdx_metadata_check(&metadata, &f->table, REGION_OFFSET, &f->err);
	expect_accepted(test, "a parent", ret, &f->err);
	f->table.count = EXTRA;
	ret = vhdx_metadata_check(&metadata, &f->table, REGION_OFFSET, &f->err);
	expect_refusal(test, "no locator", ret, &f->err, &parent);

	metadata.has_parent = false;
	metadata.virtual_disk_size += 512;
	ret = vhdx_metadata_check(&metadata, &f->table, REGION_OFFSET, &f->err);
	expect_refusal(test, "512 bytes more", ret, &f->err, &size);
	metadata.logical_sector_size = 512;
	ret = vhdx_metadata_check(&metadata, &f->table, REGION_OFFSET, &f->err);
	expect_accepted(test, "a sector more", ret, &f->err);
	metadata.virtual_disk_size += 1;
	ret = vhdx_metadata_check(&metadata, &f->table, REGION_OFFSET, &f->err);
	expect_refusal(test, "a byte more", ret, &f->err, &size);
}

/* To the byte what the tests' own writer makes. */
static void encoded(struct kunit *test)
{
	struct fixture *f = setup(test);
	u8 *buf = kunit_kzalloc(test, VHDX_METADATA_TABLE_SIZE, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	put_item(f->buf, EXTRA, &builder_guid_locator, 0x20000, 33, USER | DISK);
	poke(f->buf, 10, 2, EXTRA + 1);
	expect_accepted(test, "plain", decode(f), &f->err);
	memset(buf, 0xEE, VHDX_METADATA_TABLE_SIZE);
	vhdx_metadata_table_encode(&f->table, buf);
	KUNIT_EXPECT_EQ(test, 0, memcmp(f->buf, buf, VHDX_METADATA_TABLE_SIZE));
}

/* What is encoded is decoded again, and no byte behind it is touched. */
static void items_encoded(struct kunit *test)
{
	static const u32 length[EXTRA] = { 8, 8, 16, 4, 4 };
	const struct vhdx_metadata metadata = {
		.block_size = 32 * MIB,
		.leave_blocks_allocated = true,
		.has_parent = true,
		.virtual_disk_size = 0x123456789000,
		.logical_sector_size = 4096,
		.physical_sector_size = 512,
		.virtual_disk_id = builder_disk_id,
	};
	struct vhdx_metadata decoded;
	struct fixture *f = setup(test);
	u8 buf[1 + VHDX_METADATA_FIXED_ITEM_SIZE + 1];
	u32 i;
	int ret;

	memset(&decoded, 0, sizeof(decoded));
	expect_accepted(test, "plain", decode(f), &f->err);
	for (i = 0; i < EXTRA; i++) {
		memset(buf, 0xEE, sizeof(buf));
		KUNIT_EXPECT_EQ(test, length[i],
				vhdx_metadata_item_encode(&builder_guid_item[i],
							  &metadata, buf + 1));
		KUNIT_EXPECT_EQ(test, buf[0], 0xEE);
		KUNIT_EXPECT_EQ(test, buf[1 + length[i]], 0xEE);
		ret = vhdx_metadata_item_decode(&f->table.item[i], buf + 1,
						REGION_OFFSET, &decoded, &f->err);
		expect_accepted(test, "item", ret, &f->err);
	}
	KUNIT_EXPECT_EQ(test, decoded.block_size, metadata.block_size);
	KUNIT_EXPECT_TRUE(test, decoded.leave_blocks_allocated);
	KUNIT_EXPECT_TRUE(test, decoded.has_parent);
	KUNIT_EXPECT_EQ(test, decoded.virtual_disk_size, metadata.virtual_disk_size);
	KUNIT_EXPECT_EQ(test, decoded.logical_sector_size, 4096);
	KUNIT_EXPECT_EQ(test, decoded.physical_sector_size, 512);
	KUNIT_EXPECT_TRUE(test, guid_equal(&decoded.virtual_disk_id, &builder_disk_id));
	KUNIT_EXPECT_EQ(test, 0,
			vhdx_metadata_item_encode(&vhdx_guid_parent_locator,
						  &metadata, buf));
}

static struct kunit_case format_metadata_cases[] = {
	KUNIT_CASE(encoded),
	KUNIT_CASE(items_encoded),
	KUNIT_CASE(fields),
	KUNIT_CASE(extra_items),
	KUNIT_CASE(user_item_is_another),
	KUNIT_CASE(table_header),
	KUNIT_CASE(missing_items),
	KUNIT_CASE(user_item_count),
	KUNIT_CASE(item_values),
	KUNIT_CASE(file_parameter_flags),
	KUNIT_CASE(other_items),
	KUNIT_CASE(together),
	{}
};

static struct kunit_suite format_metadata_suite = {
	.name = "vhdx_format_metadata",
	.test_cases = format_metadata_cases,
};

kunit_test_suite(format_metadata_suite);
