/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A sparse file in memory behind the table of file operations, for tests.
 */
#ifndef TESTS_KUNIT_MEMFILE_H
#define TESTS_KUNIT_MEMFILE_H

#include "../../drivers/vhdx/image/file.h"
#include "builder.h"

#define MEMFILE_PAGE	4096U
#define MEMFILE_RECORDS	4096U

/* What image/ may do to a file that changes it, or makes it stable. */
enum memfile_op {
	MEMFILE_WRITE		= 1U << 0,
	MEMFILE_FLUSH		= 1U << 1,
	MEMFILE_RESIZE		= 1U << 2,
	MEMFILE_ALLOCATE	= 1U << 3,
	MEMFILE_ZERO		= 1U << 4,
};

/**
 * struct memfile_record - one of those operations, in the order in which they
 * came; those that failed included
 * @op: which
 * @unmap: of MEMFILE_ZERO
 * @ret: what it answered
 * @offset: bytes; of MEMFILE_RESIZE the new size
 * @length: bytes
 */
struct memfile_record {
	enum memfile_op op;
	bool unmap;
	int ret;
	u64 offset;
	u64 length;
};

/**
 * struct memfile_fault - operations that fail
 * @ops: which, a mask of enum memfile_op; 0 for none
 * @skip: so many of them succeed first
 * @times: so many fail then
 * @errnum: what they answer
 * @from: only those that touch something from here, bytes
 * @to: to here, bytes; 0 for the end of all
 */
struct memfile_fault {
	unsigned int ops;
	u64 skip;
	u64 times;
	int errnum;
	u64 from;
	u64 to;
};

/**
 * struct memfile - a file of 4 KiB pages, of which those never written are holes
 * @file: what image/ gets
 * @size: bytes
 * @pages: pages that have memory
 * @reads: calls of the read operation
 * @read_bytes: that they asked for
 * @ops: calls of any operation, which @fail_op counts
 * @fail_op: the number of the operation that fails, from 1; 0 for none
 * @fail_errnum: what it answers
 * @fault: operations that fail by kind and place
 * @room: the host has room for so many bytes; allocating past that is -ENOSPC
 * @record: what changed the file or made it stable
 * @records: how many; those past MEMFILE_RECORDS are only counted
 * @before: called before each of those operations, which stands in @record
 *	already; or NULL
 * @ctx: for it
 * @root: of the tree of pages
 */
struct memfile {
	struct vhdx_file file;
	u64 size;
	u64 pages;
	u64 reads;
	u64 read_bytes;
	u64 ops;
	u64 fail_op;
	int fail_errnum;
	struct memfile_fault fault;
	u64 room;
	struct memfile_record *record;
	u32 records;
	void (*before)(struct memfile *mf, const struct memfile_record *record);
	void *ctx;
	void **root;
};

void memfile_init(struct memfile *mf);
void memfile_destroy(struct memfile *mf);
int memfile_write(struct memfile *mf, const void *buf, size_t len, u64 offset);
int memfile_write_zeros(struct memfile *mf, u64 len, u64 offset);
void memfile_read(struct memfile *mf, void *buf, size_t len, u64 offset);
void memfile_resize(struct memfile *mf, u64 size);
void memfile_punch(struct memfile *mf, u64 offset, u64 len);
u64 memfile_next_data(struct memfile *mf, u64 offset);
u32 memfile_checksum(struct memfile *mf);
void memfile_count_from_zero(struct memfile *mf);
u32 memfile_count(const struct memfile *mf, unsigned int ops);
const struct memfile_record *memfile_find(const struct memfile *mf, u32 from,
					  unsigned int ops, u64 offset);
struct builder_sink memfile_sink(struct memfile *mf);

#endif
