/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A sparse file in memory behind the table of file operations, for tests.
 */
#ifndef TESTS_KUNIT_MEMFILE_H
#define TESTS_KUNIT_MEMFILE_H

#include "../../drivers/vhdx/image/file.h"
#include "builder.h"

#define MEMFILE_PAGE	4096U

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
	void **root;
};

void memfile_init(struct memfile *mf);
void memfile_destroy(struct memfile *mf);
int memfile_write(struct memfile *mf, const void *buf, size_t len, u64 offset);
int memfile_write_zeros(struct memfile *mf, u64 len, u64 offset);
void memfile_read(struct memfile *mf, void *buf, size_t len, u64 offset);
void memfile_resize(struct memfile *mf, u64 size);
u64 memfile_next_data(struct memfile *mf, u64 offset);
u32 memfile_checksum(struct memfile *mf);
void memfile_count_from_zero(struct memfile *mf);
struct builder_sink memfile_sink(struct memfile *mf);

#endif
