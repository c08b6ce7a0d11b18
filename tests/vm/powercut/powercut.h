/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The power-cut test: a load whose every sector says what it is, and the states
 * that a cut of the power can leave of it.
 */
#ifndef TESTS_VM_POWERCUT_H
#define TESTS_VM_POWERCUT_H

#include "../../kunit/builder.h"

#define SECTOR		512U
#define BLOCK		(1024U * 1024U)
#define PAGE		4096U

/* The load's part of the disk; behind it is fio's, then the probe's block. */
#define AREA		(24 * BLOCK)
#define AREA_SECTORS	(AREA / SECTOR)
#define OTHERS		(8 * BLOCK)
#define PROBE		(AREA + OTHERS)
#define DISK		(PROBE + BLOCK)

/* What fio fills its part with: see the script. */
#define OTHERS_BYTE	0xa5

/* --- plan.c: what is written ------------------------------------------------- */

enum op_kind {
	OP_WRITE,
	OP_FUA,
	OP_ZERO,		/* write zeroes, the space is kept */
	OP_PUNCH,		/* write zeroes */
	OP_DISCARD,
	OP_KINDS,
};

/**
 * struct op - one request of the load
 * @kind: what it does
 * @sector: where it begins
 * @count: sectors
 */
struct op {
	enum op_kind kind;
	u32 sector;
	u32 count;
};

#define ROUND_OPS	12

/**
 * struct round - requests that are under way at the same time
 * @op: none touches a sector of another
 * @count: of them
 * @races: a flush goes beside them
 * @flushes: a flush follows
 */
struct round {
	struct op op[ROUND_OPS];
	u32 count;
	bool races;
	bool flushes;
};

/**
 * struct claims - what a cut at a place in the log owes and may show
 * @begun: the last round that can have left anything
 * @stable: the last round before which, itself included, all must be there
 * @fua: for each round, whether its FUA writes must be
 */
struct claims {
	u32 begun;
	u32 stable;
	bool *fua;
};

/**
 * struct plan - the whole load
 * @seed: all follows from it
 * @rounds: how many there are
 * @round: from 1
 */
struct plan {
	u64 seed;
	u32 rounds;
	struct round *round;
	/* private to plan.c */
	struct touch *touch;
	u32 touches;
	u32 *last;
};

void plan_make(struct plan *plan, u64 seed, u32 rounds);
void plan_fill(const struct plan *plan, u64 *words, u32 round, u32 sector);
bool plan_allows(const struct plan *plan, const struct claims *claims,
		 const u64 *words, u32 sector, char *why, size_t size);

/* --- load.c: writing it ---------------------------------------------------------- */

void load_run(const struct plan *plan, const char *disk, const char *name,
	      u32 from, u32 to);

/* --- write_log.c: what dm-log-writes saw ------------------------------------------ */

#define ENTRY_FLUSH	1U
#define ENTRY_FUA	2U
#define ENTRY_DISCARD	4U
#define ENTRY_MARK	8U
#define ENTRY_METADATA	16U

/**
 * struct entry - one entry of the log
 * @sector: on the disk
 * @count: sectors
 * @flags: ENTRY_*
 * @data: bytes in the log, or the text of a mark
 */
struct entry {
	u64 sector;
	u32 count;
	u32 flags;
	const u8 *data;
};

/**
 * struct write_log - a log
 * @entry: all of them, in the order in which the disk had them
 * @count: of them
 * @flushes: FLUSH among them
 */
struct write_log {
	struct entry *entry;
	u32 count;
	u32 flushes;
};

void write_log_read(struct write_log *log, const char *path);

/* --- target.c: a disk that shows a state -------------------------------------- */

/**
 * struct target - a loop device on memory of this process
 * @path: of the device
 * @size: bytes
 */
struct target {
	char path[32];
	size_t size;
	/* private to target.c */
	int memory;
	u8 *shown;
};

void target_init(struct target *target, size_t size);
void target_show(struct target *target, const u8 *state);
void target_exit(struct target *target);

/* --- cuts.c: cutting the power ---------------------------------------------------- */

/**
 * struct cuts - what is cut where
 * @plan: of the load that was logged
 * @base: a file, the disk before
 * @log: a device or file, what happened since
 * @image: a file in the disk's ext4; NULL: the disk is the image
 * @points: how many between the flushes
 * @only: one cut, by its number; or -1
 */
struct cuts {
	const struct plan *plan;
	const char *base;
	const char *log;
	const char *image;
	u32 points;
	long only;
};

int cuts_run(const struct cuts *cuts);

#endif
