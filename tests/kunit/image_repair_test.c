// SPDX-License-Identifier: GPL-2.0
/*
 * Repairs: what can be repaired is, and a guest reads the same before and after;
 * what cannot be is left as it was to the byte. What a power cut leaves of one is
 * build/crash's to show.
 */
#include <kunit/test.h>

#include "../../drivers/vhdx/image/repair.h"
#include "bad_inputs.h"
#include "builder_log.h"
#include "guest.h"

#define MIB		VHDX_MIB
#define BLOCK		MIB	/* of every image of the table that opens */

#define HEADER_LOG_GUID	48

static struct memfile *make_row(struct kunit *test, const struct bad_input *row,
				struct bad_image **imagep)
{
	struct memfile *mf = guest_file(test);
	struct bad_image *image;

	image = kunit_kzalloc(test, sizeof(*image), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, image);
	KUNIT_ASSERT_EQ(test, 0, bad_input_make(row, image, mf));
	*imagep = image;
	return mf;
}

static struct memfile *make(struct kunit *test, const char *name,
			    struct bad_image **imagep)
{
	return make_row(test, bad_input_find(name), imagep);
}

static void poke(struct kunit *test, struct bad_image *image,
		 enum bad_area area, u32 offset, u32 bytes, u64 value)
{
	const struct bad_poke number = { area, offset, bytes, value };

	KUNIT_ASSERT_EQ(test, 0, bad_input_poke(image, &number));
}

static int try(struct memfile *mf, unsigned int wanted,
	       struct vhdx_repair *repair)
{
	struct vhdx_error err;

	*repair = (struct vhdx_repair){ .wanted = wanted, .punch = true };
	return vhdx_image_repair(&mf->file, repair, &err);
}

/* Says what it would do, does it, and finds nothing more to do. */
static struct vhdx_repair repair(struct kunit *test, struct memfile *mf,
				 unsigned int wanted)
{
	struct vhdx_repair show = {
		.wanted = wanted, .punch = true, .only_show = true,
	};
	u32 checksum = memfile_checksum(mf);
	struct vhdx_repair done, again;
	struct vhdx_error err;

	KUNIT_ASSERT_EQ(test, 0, vhdx_image_repair(&mf->file, &show, &err));
	KUNIT_ASSERT_EQ(test, checksum, memfile_checksum(mf));
	KUNIT_ASSERT_EQ(test, 0, try(mf, wanted, &done));
	KUNIT_EXPECT_EQ(test, done.done & show.done, show.done);
	KUNIT_EXPECT_EQ(test, !done.done, !show.done);
	KUNIT_EXPECT_EQ(test, !done.done, checksum == memfile_checksum(mf));
	KUNIT_EXPECT_EQ(test, done.freed, show.freed);
	if (done.done & 1U << VHDX_REPAIR_LOG_EMPTY)
		return done;
	checksum = memfile_checksum(mf);
	KUNIT_ASSERT_EQ(test, 0, try(mf, wanted, &again));
	KUNIT_EXPECT_EQ(test, again.done, 0);
	KUNIT_EXPECT_EQ(test, checksum, memfile_checksum(mf));
	return done;
}

static struct vhdx_check check(struct kunit *test, struct memfile *mf)
{
	struct vhdx_check check = { };
	struct vhdx_error err;

	KUNIT_ASSERT_EQ(test, 0, vhdx_image_check(&mf->file, &check, &err));
	return check;
}

/* There is nothing to say of it, but for what is odd and no damage. */
static void expect_well(struct kunit *test, struct memfile *mf)
{
	struct vhdx_check well = check(test, mf);

	KUNIT_EXPECT_EQ(test, well.kind_count[VHDX_KIND_CORRUPT], 0);
	KUNIT_EXPECT_EQ(test, well.kind_count[VHDX_KIND_UNSUPPORTED], 0);
	KUNIT_EXPECT_EQ(test, well.kind_count[VHDX_KIND_LOG], 0);
	KUNIT_EXPECT_EQ(test, well.kind_count[VHDX_KIND_LEAK], 0);
	KUNIT_EXPECT_EQ(test, well.name_count[VHDX_FINDING_HEADER_DAMAGED], 0);
	KUNIT_EXPECT_EQ(test, well.name_count[VHDX_FINDING_REGION_TABLE], 0);
}

static void expect_bytes(const void *ctx, void *buf, size_t len, u64 pos)
{
	bad_input_expect(ctx, buf, len, pos);
}

static void expect_view(struct kunit *test, struct memfile *mf,
			const struct bad_image *image)
{
	struct vhdx_image *img = guest_open(test, mf);
	u64 pos;

	for (pos = 0; pos < image->b.disk_size; pos += BLOCK) {
		guest_check(test, img, expect_bytes, image, pos, 16384);
		guest_check(test, img, expect_bytes, image, pos + BLOCK - 16384,
			    16384);
	}
	guest_close(test, img);
}

/* Of the current header; zero where there is none. */
static guid_t data_write_guid(struct memfile *mf)
{
	struct vhdx_headers headers;
	struct vhdx_error err;
	guid_t guid = { };
	u8 *buf;

	buf = kmalloc(2 * VHDX_HEADER_SIZE, GFP_KERNEL);
	if (!buf)
		return guid;
	memfile_read(mf, buf, VHDX_HEADER_SIZE, VHDX_HEADER_1_OFFSET);
	memfile_read(mf, buf + VHDX_HEADER_SIZE, VHDX_HEADER_SIZE,
		     VHDX_HEADER_2_OFFSET);
	if (!vhdx_headers_decode(buf, buf + VHDX_HEADER_SIZE, &headers, &err))
		guid = headers.slot[headers.current_slot].data_write_guid;
	kfree(buf);
	return guid;
}

/* --- the table of bad inputs ------------------------------------------------ */

static const void *row_gen_params(const void *prev, char *desc)
{
	const struct bad_input *row = bad_input_next(prev);

	if (row)
		scnprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s", row->name);
	return row;
}

static unsigned int repairs_of(const struct bad_input *row)
{
	static const struct {
		const char *finding;
		enum vhdx_repair_name name;
	} repairs[] = {
		{ "header-damaged", VHDX_REPAIR_HEADER },
		{ "header-version", VHDX_REPAIR_HEADER },
		{ "region-table", VHDX_REPAIR_REGION_TABLE },
		{ "region-conflict", VHDX_REPAIR_REGION_TABLE },
		{ "log-pending", VHDX_REPAIR_LOG_PENDING },
	};
	u32 i;

	if (!strcmp(row->name, "log-none"))
		return 1U << VHDX_REPAIR_LOG_EMPTY;
	for (i = 0; !row->errnum && row->finding && i < ARRAY_SIZE(repairs); i++)
		if (!strcmp(row->finding, repairs[i].finding))
			return 1U << repairs[i].name;
	return 0;
}

static void repair_row(struct kunit *test)
{
	const struct bad_input *row = test->param_value;
	struct bad_image *image;
	struct memfile *mf = make_row(test, row, &image);
	struct vhdx_repair done;
	guid_t before, after;

	if (row->errnum && !row->finding) {
		KUNIT_EXPECT_EQ(test, row->errnum,
				try(mf, VHDX_REPAIR_ALL, &done));
		KUNIT_EXPECT_EQ(test, mf->records, 0);
		return;
	}
	before = data_write_guid(mf);
	memfile_count_from_zero(mf);
	done = repair(test, mf, VHDX_REPAIR_ALL);
	after = data_write_guid(mf);
	KUNIT_EXPECT_TRUE(test, guid_equal(&before, &after));
	KUNIT_EXPECT_EQ(test, done.done, repairs_of(row));
	KUNIT_EXPECT_EQ(test, !done.done, !mf->records);
	if (row->errnum && !done.done)
		return;
	expect_view(test, mf, image);
	if (done.done)
		expect_well(test, mf);
}

/* --- more than one thing at once ------------------------------------------------ */

static void repair_all_at_once(struct kunit *test)
{
	struct bad_image *image;
	struct memfile *mf = make(test, "log-one-entry", &image);
	struct vhdx_repair done;

	poke(test, image, BAD_HEADER_1, 4000 | BAD_UNSEALED, 1, 1);
	poke(test, image, BAD_TABLE_1, 100 | BAD_UNSEALED, 1, 1);
	KUNIT_ASSERT_EQ(test, 0, memfile_write_zeros(mf, 4096, 10 * MIB));
	done = repair(test, mf, VHDX_REPAIR_ALL);
	KUNIT_EXPECT_EQ(test, done.done, 1U << VHDX_REPAIR_LOG_PENDING |
					 1U << VHDX_REPAIR_HEADER |
					 1U << VHDX_REPAIR_REGION_TABLE |
					 1U << VHDX_REPAIR_LEAKS);
	KUNIT_EXPECT_EQ(test, mf->size, 8 * MIB);
	expect_view(test, mf, image);
	expect_well(test, mf);
}

/* Each by itself, and the log before anything else. */
static void repair_what_is_wanted(struct kunit *test)
{
	struct bad_image *image;
	struct memfile *mf = make(test, "header-1-checksum", &image);

	KUNIT_EXPECT_EQ(test, 0, repair(test, mf, VHDX_REPAIR_LOG).done);
	KUNIT_EXPECT_EQ(test, 0, repair(test, mf,
					1U << VHDX_REPAIR_LEAKS).done);
	mf = make(test, "log-none", &image);
	KUNIT_EXPECT_EQ(test, 0, repair(test, mf,
					1U << VHDX_REPAIR_LEAKS).done);
	mf = make(test, "log-one-entry", &image);
	KUNIT_EXPECT_EQ(test, 0, repair(test, mf,
					1U << VHDX_REPAIR_LEAKS).done);
	KUNIT_ASSERT_EQ(test, 0, memfile_write_zeros(mf, 4096, 10 * MIB));
	KUNIT_EXPECT_EQ(test, repair(test, mf, 1U << VHDX_REPAIR_LEAKS).done,
			1U << VHDX_REPAIR_LOG_PENDING |
			1U << VHDX_REPAIR_LEAKS);
	expect_view(test, mf, image);
	expect_well(test, mf);
}

/* Beside damage that cannot be repaired nothing is touched. */
static void repair_nothing_beside_damage(struct kunit *test)
{
	struct bad_image *image;
	struct memfile *mf = make(test, "log-one-entry", &image);

	poke(test, image, BAD_HEADER_1, 4000 | BAD_UNSEALED, 1, 1);
	poke(test, image, BAD_PHYSICAL, 0, 4, 777);
	KUNIT_EXPECT_EQ(test, 0, repair(test, mf, VHDX_REPAIR_ALL).done);
	mf = make(test, "header-1-checksum", &image);
	poke(test, image, BAD_HEADER_2, 8, 8, U64_MAX);
	KUNIT_EXPECT_EQ(test, 0, repair(test, mf, VHDX_REPAIR_ALL).done);
	mf = make(test, "log-none", &image);
	poke(test, image, BAD_TABLE_1, 100 | BAD_UNSEALED, 1, 1);
	poke(test, image, BAD_BAT, 8 * 2, 8, 4);
	KUNIT_EXPECT_EQ(test, 0, repair(test, mf, VHDX_REPAIR_ALL).done);
}

/* Two tables that are whole and do not say the same: who knows which is right. */
static void repair_no_table_that_differs(struct kunit *test)
{
	struct bad_image *image;
	struct memfile *mf = make(test, "region-table-1-checksum", &image);

	repair(test, mf, VHDX_REPAIR_ALL);
	poke(test, image, BAD_TABLE_2, 16 + 28, 4, 0);
	KUNIT_EXPECT_EQ(test, 0, repair(test, mf, VHDX_REPAIR_ALL).done);
}

/* --- leaks -------------------------------------------------------------------- */

static void repair_gaps(struct kunit *test)
{
	struct vhdx_repair done = {
		.wanted = VHDX_REPAIR_ALL, .flags = VHDX_CHECK_FIXED_SIZE,
	};
	struct bad_image *image;
	struct memfile *mf = make(test, "headers-identical", &image);
	struct vhdx_error err;
	u32 checksum;

	poke(test, image, BAD_BAT, 8 * 1, 8, 0);
	poke(test, image, BAD_BAT, 8 * 3, 8, 2);
	KUNIT_ASSERT_EQ(test, 0, memfile_write_zeros(mf, 4096, 10 * MIB));
	checksum = memfile_checksum(mf);
	KUNIT_ASSERT_EQ(test, 0, vhdx_image_repair(&mf->file, &done, &err));
	KUNIT_EXPECT_EQ(test, 0, done.done);
	KUNIT_EXPECT_EQ(test, checksum, memfile_checksum(mf));

	/* Only the tail where holes are not welcome. */
	done.flags = 0;
	KUNIT_ASSERT_EQ(test, 0, vhdx_image_repair(&mf->file, &done, &err));
	KUNIT_EXPECT_EQ(test, done.done, 1U << VHDX_REPAIR_LEAKS);
	KUNIT_EXPECT_EQ(test, done.freed, mf->size - 8 * MIB + 2 * MIB + 4096);
	KUNIT_EXPECT_EQ(test, mf->size, 8 * MIB);
	KUNIT_EXPECT_EQ(test, check(test, mf).leaked, 2 * MIB);

	done = repair(test, mf, VHDX_REPAIR_ALL);
	KUNIT_EXPECT_EQ(test, done.done, 1U << VHDX_REPAIR_LEAKS);
	KUNIT_EXPECT_EQ(test, done.freed, 2 * MIB);
	expect_well(test, mf);
}

/* A replay may be what makes the file long. */
static void repair_leak_of_a_replay(struct kunit *test)
{
	static const u8 page[4096] = { 1 };
	struct bad_image *image;
	struct memfile *mf = make(test, "log-none", &image);
	struct builder_sink sink = memfile_sink(mf);
	const struct log_update update = { 12 * MIB, 0, page };
	const struct log_spec spec = {
		.guid = builder_log_guid,
		.sequence_number = 5,
		.update = &update,
		.updates = 1,
	};
	struct vhdx_repair done;

	KUNIT_ASSERT_EQ(test, 0, log_spec_write(&sink, &image->layout, &spec));
	KUNIT_ASSERT_EQ(test, 0, try(mf, VHDX_REPAIR_ALL, &done));
	KUNIT_EXPECT_EQ(test, done.done, 1U << VHDX_REPAIR_LOG_PENDING |
					 1U << VHDX_REPAIR_LEAKS);
	KUNIT_EXPECT_EQ(test, mf->size, 8 * MIB);
	expect_view(test, mf, image);
	expect_well(test, mf);
}

/* --- a LogGuid without an entry ---------------------------------------------------- */

static struct memfile *make_log_entry(struct kunit *test, const guid_t *guid,
				      struct bad_image **imagep)
{
	static const u8 page[4096] = { 1 };
	struct memfile *mf = make(test, "log-none", imagep);
	struct builder_sink sink = memfile_sink(mf);
	const struct log_update update = {
		(*imagep)->layout.metadata_offset + 0x40000, 0, page,
	};
	const struct log_spec spec = {
		.guid = *guid,
		.sequence_number = 5,
		.offset = 0x40000,
		.tail = 0x40000,
		.update = &update,
		.updates = 1,
	};

	KUNIT_ASSERT_EQ(test, 0, log_spec_write(&sink, &(*imagep)->layout, &spec));
	return mf;
}

/* What an old log has left is no reason, whole or not. */
static void repair_log_of_old_entries(struct kunit *test)
{
	struct bad_image *image;
	struct memfile *mf = make_log_entry(test, &builder_disk_id, &image);

	KUNIT_EXPECT_EQ(test, repair(test, mf, VHDX_REPAIR_LOG).done,
			1U << VHDX_REPAIR_LOG_EMPTY);
	expect_view(test, mf, image);
	expect_well(test, mf);
}

/* An entry that was durable once may have been replayed in part. */
static void repair_no_damaged_entry(struct kunit *test)
{
	struct bad_image *image;
	struct memfile *mf = make_log_entry(test, &builder_log_guid, &image);
	u64 at = image->layout.log_offset + 0x40000 + 4096 + 100;

	KUNIT_ASSERT_EQ(test, 0, memfile_write(mf, "damage", 6, at));
	KUNIT_EXPECT_EQ(test, 1,
			check(test, mf).name_count[VHDX_FINDING_LOG_EMPTY]);
	KUNIT_EXPECT_EQ(test, 0, repair(test, mf, VHDX_REPAIR_ALL).done);
}

/* So may one of the log that the other header has. */
static void repair_no_second_log(struct kunit *test)
{
	struct bad_image *image;
	struct memfile *mf = make(test, "log-none", &image);

	poke(test, image, BAD_HEADER_1, HEADER_LOG_GUID, 1, 0x77);
	KUNIT_EXPECT_EQ(test, 0, repair(test, mf, VHDX_REPAIR_ALL).done);
	/* It has none, or is no header. */
	poke(test, image, BAD_HEADER_1, HEADER_LOG_GUID, 8, 0);
	poke(test, image, BAD_HEADER_1, HEADER_LOG_GUID + 8, 8, 0);
	KUNIT_EXPECT_EQ(test, repair(test, mf, VHDX_REPAIR_ALL).done,
			1U << VHDX_REPAIR_LOG_EMPTY);
	expect_well(test, mf);
	mf = make(test, "log-none", &image);
	poke(test, image, BAD_HEADER_1, HEADER_LOG_GUID, 1, 0x77);
	poke(test, image, BAD_HEADER_1, 4000 | BAD_UNSEALED, 1, 1);
	KUNIT_EXPECT_EQ(test, repair(test, mf, VHDX_REPAIR_ALL).done,
			1U << VHDX_REPAIR_LOG_EMPTY | 1U << VHDX_REPAIR_HEADER);
	expect_well(test, mf);
}

/* It may be of a block that the log was to name. */
static void repair_log_keeps_leaks(struct kunit *test)
{
	struct bad_image *image;
	struct memfile *mf = make(test, "log-none", &image);
	struct vhdx_repair done;

	poke(test, image, BAD_TABLE_2, 100 | BAD_UNSEALED, 1, 1);
	KUNIT_ASSERT_EQ(test, 0, memfile_write_zeros(mf, 4096, 10 * MIB));
	done = repair(test, mf, VHDX_REPAIR_ALL);
	KUNIT_EXPECT_EQ(test, done.done, 1U << VHDX_REPAIR_LOG_EMPTY |
					 1U << VHDX_REPAIR_REGION_TABLE);
	KUNIT_EXPECT_EQ(test, done.freed, 0);
	KUNIT_EXPECT_EQ(test, memfile_next_data(mf, 8 * MIB), 10 * MIB);
	KUNIT_EXPECT_EQ(test, 1,
			check(test, mf).name_count[VHDX_FINDING_LEAK_TAIL]);
	done = repair(test, mf, VHDX_REPAIR_ALL);
	KUNIT_EXPECT_EQ(test, done.done, 1U << VHDX_REPAIR_LEAKS);
	expect_view(test, mf, image);
	expect_well(test, mf);
}

/* --- a host that fails ---------------------------------------------------------------- */

static struct memfile *make_all(struct kunit *test, bool log,
				struct bad_image **imagep)
{
	struct memfile *mf = make(test, log ? "log-one-entry" : "log-none",
				  imagep);

	poke(test, *imagep, BAD_HEADER_1, 4000 | BAD_UNSEALED, 1, 1);
	poke(test, *imagep, BAD_TABLE_1, 100 | BAD_UNSEALED, 1, 1);
	if (log)
		KUNIT_ASSERT_EQ(test, 0, memfile_write_zeros(mf, 4096, 10 * MIB));
	return mf;
}

/* Each operation fails once; the same again, without that, ends well. */
static void fail_each_op(struct kunit *test, bool log)
{
	struct vhdx_repair done;
	struct bad_image *image;
	struct memfile *mf;
	int ret = -EIO;
	u64 n;

	for (n = 1; ret; n += GUEST_FAIL_STEP) {
		mf = make_all(test, log, &image);
		memfile_count_from_zero(mf);
		mf->fail_op = n;
		mf->fail_errnum = -EIO;
		ret = try(mf, VHDX_REPAIR_ALL, &done);
		KUNIT_ASSERT_TRUE(test, !ret || ret == -EIO);
		mf->fail_op = 0;
		if (log)
			expect_view(test, mf, image);
		KUNIT_ASSERT_EQ(test, 0, try(mf, VHDX_REPAIR_ALL, &done));
		expect_view(test, mf, image);
		expect_well(test, mf);
		memfile_destroy(mf);
		memfile_init(mf);
	}
	KUNIT_EXPECT_GT(test, n, 40);
}

static void repair_fail_each_op(struct kunit *test)
{
	fail_each_op(test, true);
}

static void repair_fail_each_op_empty(struct kunit *test)
{
	fail_each_op(test, false);
}

/* Scripts go by the names. */
static void repair_names(struct kunit *test)
{
	u32 i, j;

	for (i = 0; i < VHDX_REPAIRS; i++) {
		KUNIT_ASSERT_NOT_NULL(test, vhdx_repair_text(i));
		for (j = 0; j < i; j++)
			KUNIT_EXPECT_NE(test, 0, strcmp(vhdx_repair_text(i),
							vhdx_repair_text(j)));
	}
}

static struct kunit_case image_repair_cases[] = {
	KUNIT_CASE_PARAM_ATTR(repair_row, row_gen_params,
			      {KUNIT_SPEED_SLOW}),
	KUNIT_CASE(repair_all_at_once),
	KUNIT_CASE_SLOW(repair_what_is_wanted),
	KUNIT_CASE(repair_nothing_beside_damage),
	KUNIT_CASE(repair_no_table_that_differs),
	KUNIT_CASE(repair_gaps),
	KUNIT_CASE(repair_leak_of_a_replay),
	KUNIT_CASE(repair_log_of_old_entries),
	KUNIT_CASE(repair_no_damaged_entry),
	KUNIT_CASE(repair_no_second_log),
	KUNIT_CASE(repair_log_keeps_leaks),
	KUNIT_CASE_SLOW(repair_fail_each_op),
	KUNIT_CASE_SLOW(repair_fail_each_op_empty),
	KUNIT_CASE(repair_names),
	{}
};

static struct kunit_suite image_repair_suite = {
	.name = "vhdx_image_repair",
	.test_cases = image_repair_cases,
};

kunit_test_suite(image_repair_suite);
