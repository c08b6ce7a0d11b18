/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The crash enumerator: what its files share. The program is described at the
 * head of crash.c.
 */
#ifndef TESTS_IMAGE_CRASH_H
#define TESTS_IMAGE_CRASH_H

#include <setjmp.h>

#include "image/image.h"
#include "crash_disk.h"

#define MIB		0x100000ULL

/* Blocks and sectors of them that are looked at. */
#define BLOCKS		5U
#define SECTORS		3U
#define PLACES		(BLOCKS * SECTORS)
#define SPARE_BLOCK	4U	/* no workload touches it */

#define MAX_VALUES	32U
#define MAX_OPS		12U

/* Values that a place may hold. */
struct values {
	u32 n;
	u32 id[MAX_VALUES];
};

enum change_kind {
	CHANGE_WRITE,
	CHANGE_ZERO,		/* write zeroes in place */
	CHANGE_TRIM,		/* discard a part of a block: a hint */
	CHANGE_DISCARD,		/* of a whole block */
	CHANGE_FLUSH,
};

enum change_state {
	STATE_NEW,
	STATE_PARKED,
	STATE_READY,		/* resumed, or with another piece to go */
	STATE_BEGUN,
	STATE_LANDED,
	STATE_FLUSHING,
	STATE_DONE,
};

struct world;

/**
 * struct change - something that the guest asked for
 * @pos, @length: bytes, all of it
 * @done: bytes that have ended
 * @fails: its data writes fail, after they have landed
 * @known: what FLUSH or FUA will have made true, where @covered
 * @parked: how often
 * @overlapped: another was in flight at the same time
 */
struct change {
	struct world *world;
	enum change_kind kind;
	enum change_state state;
	u64 pos;
	u64 length;
	u64 done;
	u32 generation;
	bool fua;
	bool fails;
	bool durable;
	bool in_flight;
	int error;
	u32 parked;
	struct vhdx_write write;
	struct vhdx_flush flush;
	struct values known[PLACES];
	bool covered[PLACES];
	bool overlapped[PLACES];
};

enum fault {
	FAULT_NONE,
	FAULT_EIO,
	FAULT_ENOSPC,		/* nothing of it happened */
	FAULT_ENOSPC_TORN,	/* of a write, a part is there */
	FAULT_ENOSPC_WHOLE,	/* of a write, all of it is */
	FAULT_FULL,		/* the host has no room from here on */
	FAULT_DIE,		/* the driver dies, the cache stays */
	FAULT_CUT,		/* the power goes: one of the states */
	FAULTS,
};

/**
 * struct world - a disk, an image open on it, and a guest
 * @level: 0: a workload; 1: what follows a power cut that is being checked
 * @may: values that a power cut may show
 * @live: values that a reader may get
 * @failed_values: of writes that failed, not written over since
 * @check: look at every power cut
 * @half_length, @step: given to the journal
 * @window: changes in flight at once
 * @lazy: the worker comes first more often
 * @stall: the data of the so manieth change, from 1, takes longer than all
 *	else
 * @stalled: that change
 */
struct world {
	struct disk disk;
	struct vhdx_image *img;
	unsigned int level;
	bool check;
	bool kicked;
	bool working;
	bool closing;		/* inside open or finish: no guest */
	bool dead;
	bool cut;		/* died by a power cut */
	bool failed;		/* a write or flush failed for good */
	u32 ops;		/* of the file, by image/, since the start */
	u32 fault_at;
	enum fault fault;
	u32 spins;
	u32 half_length;
	u64 step;
	u32 window;
	bool lazy;
	u32 stall;
	struct change *stalled;
	u64 random;
	u64 guids;
	guid_t old_guid[8];
	u32 old_guids;
	u64 headers_checked;
	struct values may[PLACES];
	struct values live[PLACES];
	struct values failed_values[PLACES];
	struct change change[MAX_OPS];
	u32 changes;
	u32 next_generation;
};

/* crash_disk.c has the disk. */

/* crash_image.c */
enum shape {
	SHAPE_PLAIN,
	SHAPE_CHILD,
	SHAPE_CHILD_LARGE,
	SHAPE_CHILD_4K,
};

struct builder;

extern struct disk template_disk;
extern u32 template_id[PLACES];
extern enum shape template_shape;

extern u64 tracked_block[BLOCKS];
extern u64 tracked_sector[SECTORS];
extern u64 block_bytes;
extern u32 sector_bytes;

/* What the image is a child of; NULL when it has no parent. */
extern struct vhdx_image *parent_image;
extern struct disk parent_disk;

void crash_build(struct disk *disk, const struct builder *builder);
void content_start(void);
void template_make(enum shape shape);
enum shape shape_of_child(const char *name);
const char *shape_option(void);
u64 sector_pos(u32 block, u64 sector);
u32 block_sectors(void);

/* crash_world.c */
extern struct world *guid_world;

void values_set(struct values *values, u32 id);
void values_add(struct values *values, u32 id);
bool values_have(const struct values *values, u32 id);

u32 world_choose(struct world *w, u32 n);
void world_init(struct world *w, unsigned int level);
void world_free(struct world *w);
int world_attach(struct world *w);
int world_detach(struct world *w);
int world_compact(struct world *w);
void world_die(struct world *w);
int image_open(struct disk *disk, unsigned int flags, struct vhdx_image **imgp,
	       struct vhdx_error *err);
void place_map(const struct vhdx_image *img, u32 place,
	       struct vhdx_extent *extent);
u32 parent_value(u32 place);
u32 place_read(const struct world *w, u32 place);
const char *describe(u32 id);
void world_check_live(struct world *w);
struct change *world_add(struct world *w, enum change_kind kind, u64 pos,
			 u64 length);
void change_advance(struct change *change);
void change_reach(struct change *change, enum change_state state);
void world_run(struct world *w);
u64 place_pos(u32 place);

/* crash_check.c */
struct statistics {
	u64 workloads;
	u64 runs;
	u64 operations;
	u64 cuts;
	u64 states;		/* combinations of what survives */
	u64 unique;		/* that differ in more than guest data */
	u64 sampled_cuts;
	u64 replays;		/* states that were opened for writing too */
	u64 nested;		/* states of cuts during those */
	u64 violations;
};

extern struct statistics statistics;
extern u64 limit_exhaustive;
extern u64 limit_samples;
extern u64 deep_every;
extern u64 nested_every;

void power_cut(struct world *w, const char *when);
void check_first_change(struct world *w, u64 offset);
void collapse_to_random_state(struct world *w);
void note_old_guids(struct world *w);
void expect_clean(struct world *w, bool changed);
u64 hash_metadata(const struct disk *disk);
void explain_violation(void);

extern u64 data_start, log_start, log_end;

/* crash_states.c */
void states_start(const char *path, bool only_refused);
void states_base(const struct disk *disk, const struct disk *parent);
void states_run(void);
void states_sample(u64 n);
bool states_wanted(void);
void states_opened(const struct disk *disk, const u32 *map, const u32 *id);
void states_refused(const struct disk *disk, const char *why);
void states_flush(void);
void states_end(void);

/* crash_tools.c */
extern const unsigned int crash_operation_count;

const char *crash_operation_name(unsigned int i);
void crash_operation_run(unsigned int i);

/* crash.c */
void run_options(char *text, size_t size);
void trace(const struct world *w, const char *format, ...)
	__printf(2, 3);
size_t trace_mark(void);
void trace_rewind(size_t mark);
void violation(const char *format, ...)
	__printf(1, 2) __noreturn;

#endif
