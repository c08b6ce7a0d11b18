/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Images that break a rule, and those beside them that must open all the same:
 * one table for userspace, KUnit and the VM tests.
 */
#ifndef TESTS_KUNIT_BAD_INPUTS_H
#define TESTS_KUNIT_BAD_INPUTS_H

#include "builder.h"
#include "memfile.h"

/* Places in an image that the table counts offsets from. */
enum bad_area {
	BAD_FILE,		/* its start */
	BAD_HEADERS,		/* both; errors name header 2, the current one */
	BAD_HEADER_1,
	BAD_HEADER_2,
	BAD_TABLES,		/* both region tables; errors name the first */
	BAD_TABLE_1,
	BAD_TABLE_2,
	BAD_METADATA,		/* the region */
	BAD_BAT,
	BAD_LOG,		/* the entry at the start of the log */
	BAD_PARAMETERS,		/* metadata items, in enum builder_item's order */
	BAD_DISK_SIZE,
	BAD_DISK_ID,
	BAD_LOGICAL,
	BAD_PHYSICAL,
	BAD_LOCATOR,
};

/* Checksums are made right again after a change unless this is in @offset. */
#define BAD_UNSEALED	0x80000000U

/**
 * struct bad_poke - a number to be written
 * @area: where
 * @offset: bytes from there
 * @bytes: how wide; 0 for no poke
 * @value: what
 */
struct bad_poke {
	enum bad_area area;
	u32 offset;
	u32 bytes;
	u64 value;
};

/**
 * struct bad_image - an image being made bad
 * @b: what was built
 * @layout: where things are
 * @mf: the file
 * @zero_from: bytes on the virtual disk; what follows reads as zeros
 * @block: @b's blocks
 * @page: the first 4 KiB of the BAT, for a log
 */
struct bad_image {
	struct builder b;
	struct builder_layout layout;
	struct memfile *mf;
	u64 zero_from;
	struct builder_block block[8];
	u8 page[4096];
};

/**
 * struct bad_input - a row
 * @name: unique
 * @prepare: changes what is built; may be NULL
 * @dirty: with a log whose one entry holds the BAT, which is not in its place
 * @poke: numbers to be changed in it, in this order
 * @change: what a poke cannot do; may be NULL; 0 or a negative errno
 * @errnum: what opening answers; 0: it opens and reads right
 * @structure: what the error names
 * @field: of it, or NULL
 * @area: where that lies
 * @offset: bytes from there
 * @finding: what a check of it finds, there where it is refused; NULL: nothing
 *	that the row is about
 */
struct bad_input {
	const char *name;
	void (*prepare)(struct bad_image *image);
	bool dirty;
	struct bad_poke poke[3];
	int (*change)(struct bad_image *image);
	int errnum;
	const char *structure;
	const char *field;
	enum bad_area area;
	u32 offset;
	const char *finding;
};

const struct bad_input *bad_input_next(const struct bad_input *row);
const struct bad_input *bad_input_find(const char *name);
int bad_input_make(const struct bad_input *row, struct bad_image *image,
		   struct memfile *mf);
int bad_input_poke(struct bad_image *image, const struct bad_poke *poke);
u64 bad_input_offset(const struct bad_input *row,
		     const struct bad_image *image);
void bad_input_expect(const struct bad_image *image, void *buf, size_t len,
		      u64 pos);

/* bad_logs.c */
extern const struct bad_input bad_logs[];
extern const u32 bad_logs_count;

void bad_log_prepare(struct bad_image *image);
int bad_log_make(struct bad_image *image);

#endif
