// SPDX-License-Identifier: GPL-2.0
#include <kunit/test.h>

#include "writer_test.h"

/**
 * writer_init() - to be built: a dynamic image that holds nothing
 * @test: that it goes away with
 */
struct writer *writer_init(struct kunit *test)
{
	struct writer *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, w);
	builder_init(&w->b);
	/* The file grows by 64 MiB; room for that and more. */
	w->b.disk_size = 256 * VHDX_MIB;
	return w;
}

/**
 * writer_build() - build the image
 * @test: running
 * @w: with @b filled in
 */
void writer_build(struct kunit *test, struct writer *w)
{
	w->mf = guest_build(test, &w->b, &w->layout);
}

/**
 * writer_open() - open it for writing, and record from then on
 * @test: running
 * @w: built
 */
void writer_open(struct kunit *test, struct writer *w)
{
	w->img = guest_open_writable(test, w->mf, w->parent);
	writer_forget(w);
}

/**
 * writer_forget() - record from now on; nothing fails any more
 * @w: built
 */
void writer_forget(struct writer *w)
{
	memfile_count_from_zero(w->mf);
	w->seen = 0;
}

/**
 * writer_header() - a header as it is in the file
 * @w: built
 * @slot: 0 or 1
 * @header: receives it
 */
void writer_header(const struct writer *w, u32 slot, struct vhdx_header *header)
{
	u64 at = slot ? VHDX_HEADER_2_OFFSET : VHDX_HEADER_1_OFFSET;
	/* More than a kernel's stack may hold. */
	struct vhdx_disk_header *disk = kmalloc(sizeof(*disk), GFP_KERNEL);

	memset(header, 0, sizeof(*header));
	if (!disk)
		return;
	memfile_read(w->mf, disk, sizeof(*disk), at);
	header->sequence_number = le64_to_cpu(disk->sequence_number);
	header->log_version = le16_to_cpu(disk->log_version);
	header->file_write_guid = disk->file_write_guid;
	header->data_write_guid = disk->data_write_guid;
	header->log_guid = disk->log_guid;
	header->log_length = le32_to_cpu(disk->log_length);
	header->log_offset = le64_to_cpu(disk->log_offset);
	kfree(disk);
}

/**
 * writer_entry() - a payload block's entry as it is in place in the file
 * @w: built
 * @block: its number
 */
u64 writer_entry(const struct writer *w, u64 block)
{
	__le64 entry;

	memfile_read(w->mf, &entry, sizeof(entry), w->layout.bat_offset +
		     8 * builder_bat_index(&w->layout, block));
	return le64_to_cpu(entry);
}

/**
 * writer_offset() - where in the file a place of the disk is now
 * @w: open
 * @pos: bytes on the virtual disk
 *
 * Return: bytes, 0 when nowhere.
 */
u64 writer_offset(const struct writer *w, u64 pos)
{
	struct vhdx_extent extent;

	vhdx_image_map(w->img, pos, 512, &extent);
	return extent.type == VHDX_EXTENT_FILE ? extent.offset : 0;
}

/**
 * writer_is_mapped() - is a place of the disk in the file
 * @w: open
 * @pos: bytes on the virtual disk
 */
bool writer_is_mapped(const struct writer *w, u64 pos)
{
	return writer_offset(w, pos);
}

/**
 * writer_skip() - let check_record() begin later
 * @w: built
 * @records: by so many
 */
void writer_skip(struct writer *w, u32 records)
{
	w->seen += records;
}

/**
 * writer_until() - let check_record() begin at some operation, or find none
 * @w: built
 * @ops: a mask of enum memfile_op
 */
void writer_until(struct writer *w, unsigned int ops)
{
	const struct memfile_record *record;

	record = memfile_find(w->mf, w->seen, ops, U64_MAX);
	w->seen = record ? record - w->mf->record : w->mf->records;
}

/**
 * check_record() - the next operation of the file
 * @test: running
 * @w: built
 * @op: which
 * @offset: bytes
 * @length: bytes
 * @unmap: of MEMFILE_ZERO
 * @ret: what it answered
 */
void check_record(struct kunit *test, struct writer *w, enum memfile_op op,
		  u64 offset, u64 length, bool unmap, int ret)
{
	const struct memfile_record *seen;

	KUNIT_ASSERT_LT(test, w->seen, min(w->mf->records, MEMFILE_RECORDS));
	seen = &w->mf->record[w->seen];
	KUNIT_EXPECT_EQ_MSG(test, seen->op, op, "operation %u", w->seen);
	KUNIT_EXPECT_EQ_MSG(test, seen->offset, offset, "operation %u", w->seen);
	KUNIT_EXPECT_EQ_MSG(test, seen->length, length, "operation %u", w->seen);
	KUNIT_EXPECT_EQ_MSG(test, seen->unmap, unmap, "operation %u", w->seen);
	KUNIT_EXPECT_EQ_MSG(test, seen->ret, ret, "operation %u", w->seen);
	w->seen++;
}
