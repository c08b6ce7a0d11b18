// SPDX-License-Identifier: GPL-2.0
/*
 * Where BAT entries are and what one may hold.
 */
#include "format_test.h"

#define MIB		VHDX_MIB
#define GIB		(1024 * MIB)
#define TIB		(1024 * GIB)

/* @entries, @entries_differencing: worked out by hand from MS-VHDX 2.5 */
static const struct sizes {
	u64 disk_size;
	u32 block_size;
	u32 sector_size;
	u32 chunk_ratio;
	u64 blocks;
	u64 chunks;
	u64 entries;
	u64 entries_differencing;
} sizes[] = {
	{ 512, MIB, 512, 4096, 1, 1, 1, 4097 },
	{ MIB + 512, MIB, 512, 4096, 2, 1, 2, 4097 },
	{ GIB, 32 * MIB, 512, 128, 32, 1, 32, 129 },
	/* one chunk to the sector, and one sector more */
	{ 4 * GIB, MIB, 512, 4096, 4096, 1, 4096, 4097 },
	{ 4 * GIB + 512, MIB, 512, 4096, 4097, 2, 4098, 8194 },
	{ 10 * GIB, MIB, 512, 4096, 10240, 3, 10242, 12291 },
	{ 10 * GIB, 32 * MIB, 512, 128, 320, 3, 322, 387 },
	{ 40 * GIB, 256 * MIB, 512, 16, 160, 10, 169, 170 },
	/* a chunk of 4096-byte sectors is 32 GiB */
	{ 32 * GIB, MIB, 4096, 32768, 32768, 1, 32768, 32769 },
	{ 32 * GIB + 4096, MIB, 4096, 32768, 32769, 2, 32770, 65538 },
	{ 64 * TIB, 256 * MIB, 4096, 128, 262144, 2048, 264191, 264192 },
	{ 64 * TIB, MIB, 512, 4096, 67108864, 16384, 67125247, 67125248 },
};

static void init(struct vhdx_geometry *geo, const struct sizes *s, bool has_parent)
{
	const struct vhdx_metadata metadata = {
		.block_size = s->block_size,
		.virtual_disk_size = s->disk_size,
		.logical_sector_size = s->sector_size,
		.physical_sector_size = 4096,
		.has_parent = has_parent,
	};

	memset(geo, 0xFF, sizeof(*geo));
	vhdx_geometry_init(geo, &metadata);
}

static void geometry(struct kunit *test)
{
	struct vhdx_geometry geo;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		const struct sizes *s = &sizes[i];

		init(&geo, s, true);
		KUNIT_EXPECT_TRUE(test, geo.has_parent);
		KUNIT_EXPECT_EQ(test, geo.bat_entries, s->entries_differencing);
		init(&geo, s, false);
		KUNIT_EXPECT_FALSE(test, geo.has_parent);
		KUNIT_EXPECT_EQ(test, geo.bat_entries, s->entries);
		KUNIT_EXPECT_EQ(test, geo.disk_size, s->disk_size);
		KUNIT_EXPECT_EQ(test, 1U << geo.block_shift, s->block_size);
		KUNIT_EXPECT_EQ(test, 1U << geo.sector_shift, s->sector_size);
		KUNIT_EXPECT_EQ(test, 1U << geo.chunk_ratio_shift, s->chunk_ratio);
		KUNIT_EXPECT_EQ(test, geo.payload_blocks, s->blocks);
		KUNIT_EXPECT_EQ(test, geo.chunks, s->chunks);
	}
}

/*
 * Walks the layout as MS-VHDX 2.5 draws it: the payload entries of a chunk,
 * then its bitmap's. Counts disagreements: there are many entries.
 */
static void walk(struct kunit *test, const struct sizes *s)
{
	struct vhdx_geometry geo;
	u64 index = 0, block = 0, chunk, wrong = 0;
	u32 i;

	init(&geo, s, true);
	for (chunk = 0; chunk < min_t(u64, geo.chunks, 5); chunk++) {
		for (i = 0; i < s->chunk_ratio; i++, index++, block++)
			wrong += vhdx_bat_payload_index(&geo, block) != index ||
				 vhdx_bat_index_is_bitmap(&geo, index) ||
				 vhdx_bat_chunk(&geo, index) != chunk;
		wrong += vhdx_bat_bitmap_index(&geo, chunk) != index ||
			 !vhdx_bat_index_is_bitmap(&geo, index) ||
			 vhdx_bat_chunk(&geo, index) != chunk;
		index++;
	}
	KUNIT_EXPECT_EQ_MSG(test, wrong, 0, "disk of %llu, blocks of %u", s->disk_size,
			    s->block_size);
}

static void indices(struct kunit *test)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		walk(test, &sizes[i]);
}

/* At the end of the largest disk. */
static void last_indices(struct kunit *test)
{
	const struct sizes *s = &sizes[ARRAY_SIZE(sizes) - 1];
	struct vhdx_geometry geo;

	init(&geo, s, true);
	KUNIT_EXPECT_EQ(test, vhdx_bat_payload_index(&geo, 67108863), 67125246);
	KUNIT_EXPECT_EQ(test, vhdx_bat_bitmap_index(&geo, 16383), 67125247);
	KUNIT_EXPECT_EQ(test, vhdx_bat_chunk(&geo, 67125247), 16383);
}

static void state_and_offset(struct kunit *test)
{
	const u64 entry = 0xFEDCBA9876500000ULL | 6;

	KUNIT_EXPECT_EQ(test, vhdx_bat_state(entry), 6);
	KUNIT_EXPECT_EQ(test, vhdx_bat_offset(entry), 0xFEDCBA9876500000ULL);
}

static void has_space(struct kunit *test)
{
	static const bool with_offset[8] = { 0, 1, 0, 1, 0, 1, 1, 1 };
	static const bool without[8] = { 0, 0, 0, 0, 0, 0, 1, 1 };
	u64 state;

	for (state = 0; state < 8; state++) {
		KUNIT_EXPECT_EQ_MSG(test, with_offset[state],
				    vhdx_bat_entry_has_space(5 * MIB | state),
				    "state %llu", state);
		KUNIT_EXPECT_EQ_MSG(test, without[state], vhdx_bat_entry_has_space(state),
				    "state %llu without an offset", state);
	}
}

#define FILE_SIZE	(20 * MIB)
#define DYNAMIC		1
#define DIFFERENCING	2
#define BOTH		3
#define PAYLOAD		0
#define BITMAP		4096

/* @valid: in which kind of image; @field: what is wrong in the others */
static const struct {
	u64 index;
	u64 entry;
	int valid;
	const char *field;
} entries[] = {
	{ PAYLOAD, 0, BOTH, NULL },
	{ PAYLOAD, 1, BOTH, NULL },
	{ PAYLOAD, 2, BOTH, NULL },
	{ PAYLOAD, 3, BOTH, NULL },
	{ PAYLOAD, 4, 0, "State" },
	{ PAYLOAD, 5, BOTH, NULL },
	/* the offset is reserved in these, and ignored */
	{ PAYLOAD, MIB * 5 | 0, BOTH, NULL },
	{ PAYLOAD, MIB * 999 | 0, BOTH, NULL },
	{ PAYLOAD, (0ULL - MIB) | 2, BOTH, NULL },
	/* and in these it is space in use */
	{ PAYLOAD, MIB * 5 | 1, BOTH, NULL },
	{ PAYLOAD, MIB * 5 | 3, BOTH, NULL },
	{ PAYLOAD, MIB * 5 | 5, BOTH, NULL },
	{ PAYLOAD, MIB * 20 | 1, 0, "FileOffsetMB" },
	{ PAYLOAD, MIB * 20 | 3, 0, "FileOffsetMB" },
	{ PAYLOAD, (0ULL - MIB) | 5, 0, "FileOffsetMB" },
	{ PAYLOAD, MIB * 5 | 4, 0, "State" },
	{ PAYLOAD, MIB * 1 | 6, BOTH, NULL },
	{ PAYLOAD, MIB * 5 | 6, BOTH, NULL },
	{ PAYLOAD, MIB * 19 | 6, BOTH, NULL },
	{ PAYLOAD, MIB * 20 | 6, 0, "FileOffsetMB" },
	{ PAYLOAD, 6, 0, "FileOffsetMB" },
	{ PAYLOAD, (0ULL - MIB) | 6, 0, "FileOffsetMB" },
	{ PAYLOAD, MIB * 5 | 7, DIFFERENCING, "State" },
	{ PAYLOAD, 7 | MIB * 20, 0, NULL },
	{ PAYLOAD, 8, 0, "Reserved" },
	{ PAYLOAD, MIB * 5 | 0x80000 | 6, 0, "Reserved" },
	{ PAYLOAD, MIB * 5 | 0x8 | 2, 0, "Reserved" },
	{ BITMAP, 0, BOTH, NULL },
	{ BITMAP, MIB * 999, BOTH, NULL },
	{ BITMAP, MIB * 5 | 6, DIFFERENCING, "State" },
	{ BITMAP, MIB * 5 | 1, 0, "State" },
	{ BITMAP, 2, 0, "State" },
	{ BITMAP, MIB * 5 | 3, 0, "State" },
	{ BITMAP, MIB * 5 | 4, 0, "State" },
	{ BITMAP, MIB * 5 | 5, 0, "State" },
	{ BITMAP, MIB * 5 | 7, 0, "State" },
	{ BITMAP, 0x100, 0, "Reserved" },
	{ BITMAP, MIB * 20 | 6, 0, NULL },
};

static void check_entries(struct kunit *test, bool has_parent)
{
	const int kind = has_parent ? DIFFERENCING : DYNAMIC;
	struct vhdx_geometry geo;
	struct vhdx_error err;
	char name[64];
	size_t i;
	int ret;

	init(&geo, &sizes[4], has_parent);
	for (i = 0; i < ARRAY_SIZE(entries); i++) {
		const bool bitmap = entries[i].index == BITMAP;
		struct refusal refusal = {
			-EUCLEAN, bitmap ? "sector bitmap BAT entry" : "payload BAT entry",
			entries[i].field, 0x300000 + i
		};

		/* where nothing else is said, first of all the kind is wrong */
		if (!refusal.field)
			refusal.field = has_parent ? "FileOffsetMB" : "State";
		scnprintf(name, sizeof(name), "entry %llx at %llu", entries[i].entry,
			  entries[i].index);
		ret = vhdx_bat_entry_check(&geo, entries[i].index, entries[i].entry,
					   0x300000 + i, FILE_SIZE, &err);
		if (entries[i].valid & kind) {
			expect_accepted(test, name, ret, &err);
			continue;
		}
		expect_refusal(test, name, ret, &err, &refusal);
		KUNIT_EXPECT_EQ(test, err.value, entries[i].entry);
	}
}

static void dynamic_entries(struct kunit *test)
{
	check_entries(test, false);
}

static void differencing_entries(struct kunit *test)
{
	check_entries(test, true);
}

/* A block may end past the end of the file, but not start there. */
static void straddles_end(struct kunit *test)
{
	struct vhdx_geometry geo;
	struct vhdx_error err;

	init(&geo, &sizes[4], false);
	expect_accepted(test, "one byte inside",
			vhdx_bat_entry_check(&geo, 0, 5 * MIB | 6, 0, 5 * MIB + 1, &err), &err);
	KUNIT_EXPECT_EQ(test, -EUCLEAN,
			vhdx_bat_entry_check(&geo, 0, 5 * MIB | 6, 0, 5 * MIB, &err));
}

/* What the disk has in a block must lie in the file, and the rest of it need not. */
static void cut_blocks(struct kunit *test)
{
	const struct vhdx_metadata metadata = {
		.block_size = 2 * MIB,
		.has_parent = true,
		.virtual_disk_size = 5 * MIB + 4096,
		.logical_sector_size = 512,
	};
	const u64 bitmap_bytes = (5 * MIB + 4096) / 512 / 8;
	struct vhdx_geometry geo;
	u64 bitmap;

	vhdx_geometry_init(&geo, &metadata);
	bitmap = vhdx_bat_bitmap_index(&geo, 0);
	KUNIT_EXPECT_FALSE(test, vhdx_bat_entry_is_cut(&geo, 1, 5 * MIB | 6, 7 * MIB));
	KUNIT_EXPECT_TRUE(test, vhdx_bat_entry_is_cut(&geo, 1, 5 * MIB | 6, 7 * MIB - 1));
	KUNIT_EXPECT_TRUE(test, vhdx_bat_entry_is_cut(&geo, 1, 5 * MIB | 7, 7 * MIB - 1));
	KUNIT_EXPECT_FALSE(test, vhdx_bat_entry_is_cut(&geo, 1, 5 * MIB | 3, 6 * MIB));
	KUNIT_EXPECT_FALSE(test, vhdx_bat_entry_is_cut(&geo, 2, 5 * MIB | 6,
						       6 * MIB + 4096));
	KUNIT_EXPECT_TRUE(test, vhdx_bat_entry_is_cut(&geo, 2, 5 * MIB | 6,
						      6 * MIB + 4095));
	KUNIT_EXPECT_FALSE(test, vhdx_bat_entry_is_cut(&geo, 3, 5 * MIB | 6, 5 * MIB + 1));
	KUNIT_EXPECT_FALSE(test, vhdx_bat_entry_is_cut(&geo, bitmap, 5 * MIB | 6,
						       5 * MIB + bitmap_bytes));
	KUNIT_EXPECT_TRUE(test, vhdx_bat_entry_is_cut(&geo, bitmap, 5 * MIB | 6,
						      5 * MIB + bitmap_bytes - 1));
}

static struct kunit_case format_bat_cases[] = {
	KUNIT_CASE(geometry),
	KUNIT_CASE(indices),
	KUNIT_CASE(last_indices),
	KUNIT_CASE(state_and_offset),
	KUNIT_CASE(has_space),
	KUNIT_CASE(dynamic_entries),
	KUNIT_CASE(differencing_entries),
	KUNIT_CASE(straddles_end),
	KUNIT_CASE(cut_blocks),
	{}
};

static struct kunit_suite format_bat_suite = {
	.name = "vhdx_format_bat",
	.test_cases = format_bat_cases,
};

kunit_test_suite(format_bat_suite);
