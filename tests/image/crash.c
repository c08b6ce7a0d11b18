// SPDX-License-Identifier: GPL-2.0
/*
 * The crash enumerator: does any power cut lose what must not be lost?
 *
 * Runs short sequences of what a guest and an administrator do, on the very
 * image/ that the driver runs, with a disk in memory that knows what its cache
 * has not written yet. After every operation on the file, every landing of data
 * and every answer it builds the states that a power cut may leave and
 * checks each; crash_check.c says how. crash_world.c is the guest.
 *
 * What a sequence is made of is in the table of letters below. The image is one
 * without a parent, or with --child one that has one; crash_image.c has them. With
 * --tools there is no guest: crash_tools.c.
 */
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "builder.h"
#include "crash.h"
#include "crash_mutants.h"

/* --- trace and violations --- */

static char *trace_text;
static size_t trace_length, trace_room;
static jmp_buf escape;
static bool show_trace;
static int tell_parent = -1;	/* a mutant's */
static u32 *progress;		/* workloads, of a mutant */

void trace(const struct world *w, const char *format, ...)
{
	va_list args;

	if (trace_room - trace_length < 512) {
		trace_room += 1 << 16;
		trace_text = realloc(trace_text, trace_room);
		if (!trace_text)
			err(1, "trace");
	}
	trace_length += sprintf(trace_text + trace_length, "#   %s",
				w->level ? "      | " : "");
	va_start(args, format);
	trace_length += vsnprintf(trace_text + trace_length, 300, format, args);
	va_end(args);
	trace_text[trace_length++] = '\n';
	trace_text[trace_length] = 0;
}

size_t trace_mark(void)
{
	return trace_length;
}

void trace_rewind(size_t mark)
{
	trace_length = mark;
}

/* --- workloads --- */

struct letter {
	char name;
	const char *text;
};

static const struct letter letters[] = {
	{ 'o', "overwrite" },
	{ 'n', "write to a block that is not there" },
	{ 'p', "write another part of it" },
	{ 'm', "write to a block that is not there, another page of the BAT" },
	{ 'e', "write over the edge of those blocks" },
	{ 'd', "discard a block that was there" },
	{ 'D', "discard the new block" },
	{ 'x', "discard a block of the other page" },
	{ 'z', "write zeroes to a part of a block that was there" },
	{ 'Z', "write zeroes to a part of the new block" },
	{ 'f', "flush" },
	{ 'u', "overwrite with FUA" },
	{ 'N', "write to a block that is not there, with FUA" },
	{ 'M', "the same in the other page" },
	{ 't', "two writes to one block at once, ending in order" },
	{ 'T', "ending in reverse" },
	{ 'g', "the first one fails" },
	{ 'h', "the second one fails" },
	{ 'b', "both fail" },
	{ 'w', "two writes to two blocks at once" },
	{ 'F', "two flushes around the end of a write" },
	{ 's', "give back to the host what is not used, and go on" },
	{ 'q', "detach and attach" },
	{ 'k', "the driver dies, attach" },
	{ 'c', "the power goes, attach" },
	/* of a child; what is not there in the file is in the parent */
	{ 'P', "write the only sector that a block lacks" },
	{ 'W', "write over all of a block that is not there" },
	{ 'v', "write zeroes to the sector that a block lacks" },
	{ 'y', "discard a part of a block that is not there" },
	{ 'Y', "discard sectors of which a block lacks one" },
	{ 'l', "write the last sector of a block that is not there" },
	{ 'r', "two writes to it at once, the later part first" },
};

#define CHILD_LETTERS	7U
#define LETTERS		(ARRAY_SIZE(letters) - (parent_image ? 0 : CHILD_LETTERS))
#define MAX_SEQUENCE	10U

struct run {
	char sequence[MAX_SEQUENCE + 1];
	u32 half_length;
	u64 step;
	u32 window;
	bool lazy;
	u32 stall;
	enum fault fault;
	u32 fault_at;
	u64 seed;
};

static const char *const fault_name[FAULTS] = {
	[FAULT_NONE] = "none",
	[FAULT_EIO] = "eio",
	[FAULT_ENOSPC] = "enospc",
	[FAULT_ENOSPC_TORN] = "enospc-torn",
	[FAULT_ENOSPC_WHOLE] = "enospc-whole",
	[FAULT_FULL] = "full",
	[FAULT_DIE] = "die",
	[FAULT_CUT] = "cut",
};

static struct run current_run;
static u64 max_violations = 5;
static const char *current_operation;	/* NULL: a workload of the guest's */

/* What repeats the run. */
void run_options(char *text, size_t size)
{
	const struct run *r = &current_run;

	if (current_operation) {
		snprintf(text, size, "--tools=%s", current_operation);
		return;
	}
	snprintf(text, size,
		 "%s--run %s --half %u --step %llu --window %u%s --stall %u --fault %s@%u --run-seed %llu",
		 shape_option(), r->sequence, r->half_length, r->step, r->window,
		 r->lazy ? " --lazy" : "", r->stall, fault_name[r->fault],
		 r->fault_at, r->seed);
}

void violation(const char *format, ...)
{
	char options[200];
	va_list args;

	explain_violation();
	statistics.violations++;
	va_start(args, format);
	run_options(options, sizeof(options));
	if (tell_parent >= 0) {
		vdprintf(tell_parent, format, args);
		dprintf(tell_parent, "; %s", options);
		exit(0);
	}
	printf("# VIOLATION: ");
	vprintf(format, args);
	va_end(args);
	printf("\n#  %s\n", options);
	printf("%.*s", (int)trace_length, trace_text);
	fflush(stdout);
	longjmp(escape, 1);
}

/* --- running one --- */

static struct change *add_write(struct world *w, u32 block, u64 sector,
				u32 sectors)
{
	return world_add(w, CHANGE_WRITE, sector_pos(block, sector),
			 sectors * sector_bytes);
}

static void add_pair(struct world *w, char name)
{
	struct change *first = add_write(w, 1, 0, 1);
	struct change *second = name == 'w' ? add_write(w, 2, 0, 1) :
					      add_write(w, 1, 1, 1);

	first->fails = name == 'g' || name == 'b';
	second->fails = name == 'h' || name == 'b';
	if (w->window > 1)
		return;
	change_reach(first, STATE_BEGUN);
	change_reach(second, STATE_BEGUN);
	if (name != 'T')
		change_reach(first, STATE_DONE);
	change_reach(second, STATE_DONE);
	change_reach(first, STATE_DONE);
}

static void add_last(struct world *w)
{
	struct change *last = add_write(w, 1, block_sectors() - 1, 1);

	if (w->window == 1)
		change_reach(last, STATE_DONE);
}

static void add_pair_in_reverse(struct world *w)
{
	struct change *second = add_write(w, 1, 1, 1);
	struct change *first = add_write(w, 1, 0, 1);

	if (w->window > 1)
		return;
	change_reach(second, STATE_BEGUN);
	change_reach(first, STATE_DONE);
	change_reach(second, STATE_DONE);
	change_reach(first, STATE_DONE);
}

static void add_flushes(struct world *w)
{
	struct change *write = add_write(w, 1, 1, 1);

	if (w->window == 1)
		change_reach(write, STATE_LANDED);
	world_add(w, CHANGE_FLUSH, 0, 0);
	if (w->window == 1) {
		change_advance(&w->change[w->changes - 1]);
		change_advance(write);
	}
	world_add(w, CHANGE_FLUSH, 0, 0);
}

static void add_letter(struct world *w, char name)
{
	switch (name) {
	case 'o':
		add_write(w, 0, 1, 1);
		break;
	case 'n':
		add_write(w, 1, 0, 1);
		break;
	case 'p':
		add_write(w, 1, 1, 1);
		break;
	case 'm':
		add_write(w, 2, 0, 2);
		break;
	case 'e':
		add_write(w, parent_image ? 0 : 1, block_sectors() - 1, 2);
		break;
	case 'd':
		world_add(w, CHANGE_DISCARD, sector_pos(0, 0), block_bytes);
		break;
	case 'D':
		world_add(w, CHANGE_DISCARD, sector_pos(1, 0), block_bytes);
		break;
	case 'x':
		world_add(w, CHANGE_DISCARD, sector_pos(3, 0), block_bytes);
		break;
	case 'z':
		world_add(w, CHANGE_ZERO, sector_pos(0, 1), sector_bytes);
		break;
	case 'Z':
		world_add(w, CHANGE_ZERO, sector_pos(1, 0), sector_bytes);
		break;
	case 'f':
		world_add(w, CHANGE_FLUSH, 0, 0);
		break;
	case 'u':
		add_write(w, 0, 0, 1)->fua = true;
		break;
	case 'N':
		add_write(w, 1, 0, 1)->fua = true;
		break;
	case 'M':
		add_write(w, 2, 0, 1)->fua = true;
		break;
	case 'F':
		add_flushes(w);
		break;
	case 'P':
		add_write(w, 3, 1, 1);
		break;
	case 'W':
		add_write(w, 1, 0, block_sectors());
		break;
	case 'v':
		world_add(w, CHANGE_ZERO, sector_pos(3, 1), sector_bytes);
		break;
	case 'y':
		world_add(w, CHANGE_TRIM, sector_pos(1, 0), 2 * sector_bytes);
		break;
	case 'Y':
		world_add(w, CHANGE_TRIM, sector_pos(3, 0), 4 * sector_bytes);
		break;
	case 'l':
		add_last(w);
		break;
	case 'r':
		add_pair_in_reverse(w);
		break;
	default:
		add_pair(w, name);
	}
}

/* The driver is dead or gave up: a new one comes. */
static void revive(struct world *w)
{
	do {
		world_die(w);
	} while (world_attach(w));
}

static void settle(struct world *w)
{
	if (!w->dead)
		world_run(w);
	if (w->dead)
		revive(w);
}

static void detach(struct world *w)
{
	settle(w);
	if (world_detach(w))
		world_die(w);
}

/* In a disk that nobody detaches. */
static void compact(struct world *w)
{
	settle(w);
	if (world_compact(w))
		revive(w);
}

static void run_sequence(struct world *w, const char *sequence)
{
	if (world_attach(w))
		revive(w);
	for (; *sequence; sequence++) {
		switch (*sequence) {
		case 's':
			compact(w);
			break;
		case 'q':
			detach(w);
			if (world_attach(w))
				revive(w);
			break;
		case 'k':
		case 'c':
			settle(w);
			w->cut = *sequence == 'c';
			revive(w);
			break;
		default:
			if (w->changes + 4 > MAX_OPS)
				settle(w);
			trace(w, "-- %c", *sequence);
			add_letter(w, *sequence);
			if (w->window == 1 || w->dead)
				settle(w);
		}
	}
	settle(w);
	if (world_detach(w))
		revive(w);
}

/* Returns how many operations on the file there were. */
static u32 run_workload(const struct run *run)
{
	static struct world *w;
	u32 i;

	current_run = *run;
	states_run();
	trace_rewind(0);
	if (!w) {
		w = malloc(sizeof(*w));
		if (!w)
			err(1, "world");
	} else {
		disk_free(&w->disk);
	}
	world_init(w, 0);
	disk_copy(&w->disk, &template_disk);
	w->half_length = run->half_length;
	w->step = run->step;
	w->window = run->window;
	w->lazy = run->lazy;
	w->stall = run->stall;
	w->fault = run->fault;
	w->fault_at = run->fault_at;
	w->random = run->seed;
	for (i = 0; i < PLACES; i++) {
		values_set(&w->live[i], template_id[i]);
		values_set(&w->may[i], template_id[i]);
	}
	statistics.runs++;
	if (!setjmp(escape)) {
		run_sequence(w, run->sequence);
		vhdx_image_close(w->img);
	} else if (statistics.violations >= max_violations) {
		printf("Bail out! %llu violations\n",
		       statistics.violations);
		exit(1);
	}
	if (show_trace)
		printf("%.*s", (int)trace_length, trace_text);
	return w->ops;
}

/* --- all of them --- */

/**
 * struct effort - how much is done
 * @faults: by the length of a sequence, one of so many faults is tried
 * @variants: up to this length, in all variants
 * @sequences: by the length of a sequence, one of so many is run
 * @stalled: one of so many stalled sequences is run
 * @orders: that are drawn for it
 * @random: long sequences that are drawn
 * @own: of what a child alone can get wrong, one of so many is run
 * @deep: one of so many states is opened for writing
 * @states: of one power cut, above which they are sampled
 */
struct effort {
	u32 faults[3];
	u32 variants;
	u32 sequences[3];
	u32 stalled;
	u32 orders;
	u32 random;
	u32 own;
	u32 deep;
	u32 states;
};

static const struct effort plain_effort = {
	{ 1, 40, 200 }, 2, { 1, 1, 1 }, 1, 4, 6000, 1, 16, 1 << 16,
};

/* Its entries have three pages, and so more ways to be torn. */
static const struct effort child_effort = {
	{ 40, 1000, 2000 }, 1, { 1, 2, 200 }, 4, 1, 200, 1, 64, 1 << 9,
};

/* What other sizes of blocks and sectors change is seen in the shortest. */
static const struct effort shape_effort = {
	{ 200, 4000, 8000 }, 1, { 1, 20, 4000 }, 30, 1, 20, 10, 64, 1 << 7,
};

static const struct effort full_effort = {
	{ 1, 1, 200 }, 3, { 1, 1, 1 }, 1, 4, 100000, 1, 16, 1 << 16,
};

enum kind {
	KIND_FAULTS,		/* undisturbed, then with one of so many faults */
	KIND_ORDERS,		/* in so many orders */
	KIND_LAZY_ORDERS,	/* the same, every other one lazy */
	KIND_RANDOM,		/* undisturbed, then with two faults */
};

/**
 * struct workload - some runs that differ little
 * @run: the first
 * @kind: what the others are
 * @count: of what @kind counts
 * @random: draws them
 */
struct workload {
	struct run run;
	enum kind kind;
	u32 count;
	u64 random;
};

/**
 * struct plan - what is run
 * @full: more of it
 * @seed: all else follows from it
 * @random: draws what comes next
 * @workload: what was planned: first those that were thought of, then all others,
 *	those that are alike side by side
 * @chosen: how many were thought of
 */
struct plan {
	bool full;
	u64 seed;
	u64 random;
	const struct effort *effort;
	struct workload *workload;
	u32 workloads;
	u32 chosen;
	u32 room;
};

static u32 plan_draw(struct plan *plan, u32 n)
{
	plan->random += 0x9E3779B97F4A7C15ULL;
	return hash_mix(plan->random) % n;
}

/*
 * One to three entries in a half, of one to five pages; growth ahead of need and
 * at need. What a child changes at once has three pages.
 */
static const u32 half_lengths[] = { 8192, 12288, 16384, 24576 };
static const u32 child_half_lengths[] = { 16384, 28672, 32768, 45056 };
#define STEPS		2U

static u32 half_length(u32 i)
{
	return parent_image ? child_half_lengths[i] : half_lengths[i];
}

/* Two blocks, or the one that is missing. */
static u64 step(u32 i)
{
	return i ? 1 : 2 * block_bytes;
}

static void plan_add(struct plan *plan, const struct run *run, enum kind kind,
		     u32 count)
{
	if (plan->workloads == plan->room) {
		plan->room = max(2 * plan->room, 4096U);
		plan->workload = realloc(plan->workload,
					 plan->room * sizeof(*plan->workload));
		if (!plan->workload)
			err(1, "plan");
	}
	plan->workload[plan->workloads++] = (struct workload){
		.run = *run, .kind = kind, .count = count,
		.random = plan_draw(plan, U32_MAX),
	};
}

static void plan_variants(struct plan *plan, const char *sequence, u32 length)
{
	struct run run = { .window = 1, .seed = plan->seed };
	const u32 variants = ARRAY_SIZE(half_lengths) * STEPS;
	/* Long ones are many: one variant is enough. */
	bool one = length > plan->effort->variants;
	u32 first = one ? plan_draw(plan, variants) : 0;
	u32 i;

	snprintf(run.sequence, sizeof(run.sequence), "%s", sequence);
	for (i = first; i < (one ? first + 1 : variants); i++) {
		run.half_length = half_length(i / STEPS);
		run.step = step(i % STEPS);
		plan_add(plan, &run, KIND_FAULTS, plan->effort->faults[length - 1]);
	}
}

static void plan_exhaustive(struct plan *plan, u32 length)
{
	char sequence[MAX_SEQUENCE + 1] = { 0 };
	u32 index[MAX_SEQUENCE] = { 0 }, i;

	for (;;) {
		for (i = 0; i < length; i++)
			sequence[i] = letters[index[i]].name;
		if (!plan_draw(plan, plan->effort->sequences[length - 1]))
			plan_variants(plan, sequence, length);
		for (i = 0; i < length; i++) {
			if (++index[i] < LETTERS)
				break;
			index[i] = 0;
		}
		if (i == length)
			return;
	}
}

/* Several at once, in an order that is drawn. */
static void plan_at_random(struct plan *plan, u32 count)
{
	u32 i, n;

	for (n = 0; n < count; n++) {
		u32 length = 2 + plan_draw(plan, MAX_SEQUENCE - 2);
		struct run run = {
			.half_length = half_length(plan_draw(plan, ARRAY_SIZE(half_lengths))),
			.step = step(plan_draw(plan, STEPS)),
			.window = 1 + plan_draw(plan, 4),
			.lazy = plan_draw(plan, 2),
			.stall = plan_draw(plan, 6),
			.seed = plan_draw(plan, U32_MAX),
		};

		for (i = 0; i < length; i++)
			run.sequence[i] =
				letters[plan_draw(plan, LETTERS)].name;
		plan_add(plan, &run, KIND_RANDOM, 2);
	}
}

/* A write that is still in flight when its block is gone and reused. */
static void plan_stalled(struct plan *plan)
{
	static const char first[] = "oznutw", discard[] = "dDx",
			  later[] = "nmeNMtw";
	const u32 later_count = sizeof(later) - 1;
	struct run run = {
		.half_length = half_length(2),
		.step = step(1),
		.window = 2,
		.stall = 1,
	};
	u32 i;

	for (i = 0; i < (sizeof(first) - 1) * 3 * later_count * later_count; i++) {
		run.sequence[0] = first[i / later_count / later_count / 3];
		run.sequence[1] = discard[i / later_count / later_count % 3];
		run.sequence[2] = 'f';
		run.sequence[3] = later[i / later_count % later_count];
		run.sequence[4] = later[i % later_count];
		if (!plan_draw(plan, plan->effort->stalled))
			plan_add(plan, &run, KIND_ORDERS, plan->effort->orders);
	}
}

static void plan_sequence(struct plan *plan, struct run *run,
			  const char *sequence, enum kind kind, u32 count)
{
	snprintf(run->sequence, sizeof(run->sequence), "%s", sequence);
	plan_add(plan, run, kind, count);
}

/*
 * What chance seldom finds: a write fails while another to its block is under
 * way, and the block changes in between; an entry fails of which the next half of
 * the log has no more than that.
 */
static void plan_of_failures(struct plan *plan)
{
	struct run run = { .step = step(0), .half_length = half_length(2) };

	run.window = 2;
	run.stall = 2;
	plan_sequence(plan, &run, "gZ", KIND_ORDERS, 8);
	plan_sequence(plan, &run, "gD", KIND_ORDERS, 8);
	run.stall = 1;
	plan_sequence(plan, &run, "hD", KIND_ORDERS, 8);
	run.half_length = half_length(3);
	run.window = 1;
	run.stall = 0;
	plan_sequence(plan, &run, "NM", KIND_FAULTS, 1);
}

/*
 * What a child alone can get wrong and chance seldom finds: an entry that failed
 * comes again, a bit is set where the block's entry is safe, a block's pages
 * change while others are put in place, all of a block is written at once, zeros
 * for a piece of one meet other writes to it.
 */
static void plan_of_child(struct plan *plan)
{
	static const char * const in_order[] = { "nfpff", "nfPff", "pfnN", "NW" };
	static const char * const at_once[] = {
		"dfmfn", "dfxfn", "dfMfp", "Pdfmfn",
	};
	struct run run = { .step = step(0), .window = 1 };
	u32 i;

	run.half_length = half_length(ARRAY_SIZE(child_half_lengths) - 1);
	for (i = 0; i < ARRAY_SIZE(in_order); i++)
		plan_sequence(plan, &run, in_order[i], KIND_FAULTS,
			      2 * plan->effort->own);
	run.half_length = half_length(0);
	run.window = 3;
	for (i = 0; i < ARRAY_SIZE(at_once); i++)
		plan_sequence(plan, &run, at_once[i], KIND_LAZY_ORDERS,
			      100 / plan->effort->own);
	run.window = 1;
	plan_sequence(plan, &run, "mlt", KIND_FAULTS, 2 * plan->effort->own);
	plan_sequence(plan, &run, "mlr", KIND_FAULTS, 2 * plan->effort->own);
}

/* Something happens at an operation: one of @every choices is taken, or all. */
static void run_with_faults(struct plan *plan, struct run *run, u32 every)
{
	u32 ops = run_workload(run), fault;

	for (run->fault_at = 1; run->fault_at <= ops; run->fault_at++)
		for (fault = FAULT_EIO; fault < FAULTS; fault++) {
			if (plan_draw(plan, every))
				continue;
			run->fault = fault;
			run_workload(run);
		}
}

static void run_in_orders(struct plan *plan, struct run *run, u32 orders,
			  bool lazy)
{
	u32 i;

	for (i = 0; i < orders; i++) {
		run->seed = plan_draw(plan, U32_MAX);
		run->lazy = lazy && i % 2;
		run_workload(run);
	}
}

static void run_with_drawn_faults(struct plan *plan, struct run *run, u32 faults)
{
	u32 ops = run_workload(run), i;

	for (i = 0; ops && i < faults; i++) {
		run->fault_at = 1 + plan_draw(plan, ops);
		run->fault = 1 + plan_draw(plan, FAULTS - 1);
		run_workload(run);
	}
}

static void run_planned(struct plan *plan, const struct workload *workload)
{
	struct run run = workload->run;

	statistics.workloads++;
	plan->random = workload->random;
	switch (workload->kind) {
	case KIND_FAULTS:
		run_with_faults(plan, &run, workload->count);
		break;
	case KIND_ORDERS:
	case KIND_LAZY_ORDERS:
		run_in_orders(plan, &run, workload->count,
			      workload->kind == KIND_LAZY_ORDERS);
		break;
	case KIND_RANDOM:
		run_with_drawn_faults(plan, &run, workload->count);
		break;
	}
}

static void report(const struct plan *plan)
{
	const struct statistics *s = &statistics;

	printf("# seed %llu: %llu workloads, %llu runs, %llu operations on the file\n",
	       (u64)plan->seed, s->workloads, s->runs, s->operations);
	printf("# power cut at %llu places (%llu of them sampled), %llu states, %llu unique\n",
	       s->cuts, s->sampled_cuts, s->states, s->unique);
	printf("# %llu states opened for writing and written to; %llu states of cuts during that\n",
	       s->replays, s->nested);
	printf("# %llu violations\n", s->violations);
}

static void plan_all(struct plan *plan)
{
	plan->random = plan->seed;
	plan->effort = plan->full ? &full_effort :
		       template_shape > SHAPE_CHILD ? &shape_effort :
		       template_shape ? &child_effort : &plain_effort;
	plan->workloads = 0;
	if (parent_image)
		plan_of_child(plan);
	else
		plan_of_failures(plan);
	plan->chosen = plan->workloads;
	plan_exhaustive(plan, 1);
	plan_exhaustive(plan, 2);
	plan_stalled(plan);
	plan_at_random(plan, plan->effort->random);
	plan_exhaustive(plan, 3);
}

static u32 greatest_divisor(u32 a, u32 b)
{
	return b ? greatest_divisor(b, a % b) : a;
}

/*
 * All of the plan, or as many workloads of it. The order goes over it in steps of
 * its golden section, so that however few they are they are some of each kind, and
 * among them are those that were thought of: what is to be found is found soon.
 */
static void run_plan(struct plan *plan, u32 workloads)
{
	u32 chosen = 0, at = 0, i, others, step;

	plan_all(plan);
	deep_every = plan->effort->deep;
	limit_exhaustive = plan->effort->states;
	others = plan->workloads - plan->chosen;
	step = (u64)others * 618 / 1000;
	while (greatest_divisor(others, step) > 1)
		step++;
	for (i = 0; i < plan->workloads && i < workloads; i++) {
		if (progress)
			*progress = i + 1;
		if (i % 8 == 7 && chosen < plan->chosen) {
			run_planned(plan, &plan->workload[chosen++]);
			continue;
		}
		run_planned(plan, &plan->workload[plan->chosen + at]);
		at = (at + step) % others;
	}
}

/* --- operations without a guest --- */

/* All of them, or the one that is called so; returns how many went wrong. */
static u32 run_operations(const char *only)
{
	/* static: longjmp() leaves them as they are */
	static u32 failed, run, i;
	static u64 states;

	content_start();
	failed = 0;
	run = 0;
	for (i = 0; i < crash_operation_count; i++) {
		current_operation = crash_operation_name(i);
		if (only && strcmp(only, current_operation))
			continue;
		trace_rewind(0);
		run++;
		states = statistics.states;
		if (setjmp(escape)) {
			failed++;
			printf("not ok %u - %s\n", run, current_operation);
			continue;
		}
		crash_operation_run(i);
		if (tell_parent < 0)
			printf("ok %u - %s: %llu states\n", run, current_operation,
			       statistics.states - states);
	}
	current_operation = NULL;
	if (!run)
		errx(2, "no operation: %s", only);
	if (tell_parent >= 0)
		return failed;
	printf("# power cut at %llu places (%llu of them sampled), %llu states, %llu carried on\n",
	       statistics.cuts, statistics.sampled_cuts, statistics.states,
	       statistics.replays);
	printf("1..%u\n", run);
	return failed;
}

/* --- mutants --- */

enum ground {
	GROUND_PLAIN,
	GROUND_CHILD,
	GROUND_TOOLS,
	GROUNDS,
};

static enum ground ground_of(const struct mutant *mutant)
{
	return mutant_is_childs(mutant) ? GROUND_CHILD :
	       mutant_is_tools(mutant) ? GROUND_TOOLS : GROUND_PLAIN;
}

/* Runs in a process of its own; true when it is caught. */
static bool run_mutant(struct plan *plan, const struct mutant *mutant,
		       enum ground ground, u32 workloads, char *text, size_t size)
{
	int pipe_fd[2], status;
	ssize_t n = 0, got;
	pid_t pid;

	fflush(stdout);
	states_flush();
	if (pipe(pipe_fd))
		err(1, "pipe");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		close(pipe_fd[0]);
		tell_parent = pipe_fd[1];
		mutant_select(mutant);
		if (ground == GROUND_TOOLS) {
			run_operations(NULL);
			exit(0);
		}
		template_make(ground == GROUND_CHILD ? SHAPE_CHILD : SHAPE_PLAIN);
		run_plan(plan, workloads);
		exit(0);
	}
	close(pipe_fd[1]);
	while (n < (ssize_t)size - 1 &&
	       (got = read(pipe_fd[0], text + n, size - 1 - n)) > 0)
		n += got;
	text[n] = 0;
	close(pipe_fd[0]);
	if (waitpid(pid, &status, 0) != pid)
		err(1, "waitpid");
	/* A lock that is taken twice, for one. */
	if (!n && status)
		snprintf(text, size, "died: wait status 0x%x", status);
	return n || status;
}

static int run_mutants(struct plan *plan, const struct mutant *only)
{
	u32 i, tests = 0, caught = 0, survived = 0, harmless = 0;
	u32 reached[GROUNDS] = { 0 };
	char text[500];

	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (progress == MAP_FAILED)
		err(1, "mmap");
	for (i = 0; i < mutant_count; i++) {
		const struct mutant *mutant = &mutants[i];
		enum ground ground = ground_of(mutant);

		if (only ? mutant != only : !!mutant->harmless) {
			harmless += !only;
			continue;
		}
		tests++;
		*progress = 1;
		if (run_mutant(plan, mutant, ground, U32_MAX, text, sizeof(text))) {
			caught++;
			printf("ok %u - %s: %s\n", tests, mutant->name, text);
		} else {
			survived++;
			printf("not ok %u - %s: %s\n", tests, mutant->name,
			       mutant->rule);
		}
		reached[ground] = max(reached[ground], *progress);
	}
	/* Or whatever was caught says nothing about the mutants. */
	for (i = 0; i < GROUNDS; i++)
		if (reached[i] &&
		    run_mutant(plan, NULL, i, reached[i], text, sizeof(text)))
			errx(1, "without a mutant: %s", text);
	for (i = 0; !only && i < mutant_count; i++)
		if (mutants[i].harmless)
			printf("# not run: %s: %s\n", mutants[i].name,
			       mutants[i].harmless);
	states_end();
	printf("# mutants killed: %u of %u; %u more can do no harm\n",
	       caught, tests, harmless);
	printf("# that took %u workloads, and %u with a parent\n1..%u\n",
	       reached[GROUND_PLAIN], reached[GROUND_CHILD], tests);
	return survived != 0;
}

enum {
	OPT_SEED = 256,
	OPT_FULL,
	OPT_CHILD,
	OPT_TOOLS,
	OPT_RUN,
	OPT_HALF,
	OPT_STEP,
	OPT_WINDOW,
	OPT_LAZY,
	OPT_STALL,
	OPT_FAULT,
	OPT_RUN_SEED,
	OPT_TRACE,
	OPT_LETTERS,
	OPT_MUTANT,
	OPT_MUTANTS,
	OPT_LIST_MUTANTS,
	OPT_STATES,
	OPT_EVERY,
	OPT_REFUSED,
	OPT_HELP,
};

static const struct option options[] = {
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "full", no_argument, NULL, OPT_FULL },
	{ "child", optional_argument, NULL, OPT_CHILD },
	{ "tools", optional_argument, NULL, OPT_TOOLS },
	{ "run", required_argument, NULL, OPT_RUN },
	{ "half", required_argument, NULL, OPT_HALF },
	{ "step", required_argument, NULL, OPT_STEP },
	{ "window", required_argument, NULL, OPT_WINDOW },
	{ "lazy", no_argument, NULL, OPT_LAZY },
	{ "stall", required_argument, NULL, OPT_STALL },
	{ "fault", required_argument, NULL, OPT_FAULT },
	{ "run-seed", required_argument, NULL, OPT_RUN_SEED },
	{ "trace", no_argument, NULL, OPT_TRACE },
	{ "letters", no_argument, NULL, OPT_LETTERS },
	{ "mutant", required_argument, NULL, OPT_MUTANT },
	{ "mutants", no_argument, NULL, OPT_MUTANTS },
	{ "list-mutants", no_argument, NULL, OPT_LIST_MUTANTS },
	{ "states", required_argument, NULL, OPT_STATES },
	{ "every", required_argument, NULL, OPT_EVERY },
	{ "refused", required_argument, NULL, OPT_REFUSED },
	{ "help", no_argument, NULL, OPT_HELP },
	{ }
};

static void usage(FILE *out)
{
	fputs("Usage:\n"
	      "       crash [--seed N] [--full] [--child[=SHAPE]] [--states FILE [--every N]]\n"
	      "       crash [--child[=SHAPE]] --run LETTERS [--half BYTES] [--step BYTES] [--window N] [--lazy] [--stall N]\n"
	      "             [--fault KIND@N] [--run-seed N] [--trace]     one run again\n"
	      "       crash --tools[=OPERATION]                 what the tool does without a guest\n"
	      "       crash --letters                           what they mean\n"
	      "       crash --list-mutants                      rules that can be broken\n"
	      "       crash-mutants --mutants [--refused FILE]  is each of them caught?\n"
	      "       crash-mutants --mutant NAME [--run ...]   one of them\n"
	      "SHAPE is large (of blocks) or 4k (sectors).\n"
	      "FILE gets what crash_states.c says: all states or one of N, or those that do not open.\n",
	      out);
}

static void parse_fault(struct run *run, const char *text)
{
	const char *at = strchr(text, '@');
	u32 i;

	for (i = 0; at && i < FAULTS; i++)
		if (strlen(fault_name[i]) == (size_t)(at - text) &&
		    !memcmp(fault_name[i], text, at - text)) {
			run->fault = i;
			run->fault_at = strtoul(at + 1, NULL, 10);
			return;
		}
	errx(2, "no fault: %s", text);
}

int main(int argc, char **argv)
{
	struct plan plan = { .seed = 1 };
	struct run run = {
		.half_length = 16384, .step = 2 * MIB, .window = 1,
	};
	const struct mutant *mutant = NULL;
	bool all_mutants = false, tools = false;
	enum shape shape = SHAPE_PLAIN;
	const char *operation = NULL;
	u32 i;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case OPT_SEED:
			plan.seed = strtoull(optarg, NULL, 10);
			break;
		case OPT_FULL:
			plan.full = true;
			break;
		case OPT_CHILD:
			shape = shape_of_child(optarg);
			break;
		case OPT_TOOLS:
			tools = true;
			operation = optarg;
			break;
		case OPT_RUN:
			snprintf(run.sequence, sizeof(run.sequence), "%s",
				 optarg);
			break;
		case OPT_HALF:
			run.half_length = strtoul(optarg, NULL, 10);
			break;
		case OPT_STEP:
			run.step = strtoull(optarg, NULL, 10);
			break;
		case OPT_WINDOW:
			run.window = strtoul(optarg, NULL, 10);
			break;
		case OPT_LAZY:
			run.lazy = true;
			break;
		case OPT_STALL:
			run.stall = min(strtoul(optarg, NULL, 10), (unsigned long)MAX_OPS);
			break;
		case OPT_FAULT:
			parse_fault(&run, optarg);
			break;
		case OPT_RUN_SEED:
			run.seed = strtoull(optarg, NULL, 10);
			break;
		case OPT_TRACE:
			show_trace = true;
			break;
		case OPT_LETTERS:
			for (i = 0; i < ARRAY_SIZE(letters); i++)
				printf("%c  %s\n", letters[i].name,
				       letters[i].text);
			return 0;
		case OPT_MUTANT:
			mutant = mutant_find(optarg);
			if (!mutant)
				errx(2, "no such mutant: %s", optarg);
			break;
		case OPT_MUTANTS:
			all_mutants = true;
			break;
		case OPT_LIST_MUTANTS:
			for (i = 0; i < mutant_count; i++)
				printf("%-30s %s%s\n", mutants[i].name,
				       mutants[i].rule, mutants[i].harmless ?
				       " (not caught: harmless)" : "");
			return 0;
		case OPT_STATES:
		case OPT_REFUSED:
			states_start(optarg, opt == OPT_REFUSED);
			break;
		case OPT_EVERY:
			states_sample(max(strtoull(optarg, NULL, 10), 1ULL));
			break;
		case OPT_HELP:
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	/* Every image that is opened takes buffers of 1 MiB: keep them. */
	mallopt(M_MMAP_THRESHOLD, 1 << 26);
	mallopt(M_TRIM_THRESHOLD, 1 << 28);
	if (!run.sequence[0] && !tools && (mutant || all_mutants))
		return run_mutants(&plan, mutant);
	mutant_select(mutant);
	if (tools)
		return run_operations(operation) != 0;
	template_make(shape);
	if (run.sequence[0]) {
		deep_every = 1;
		nested_every = 1;
		run_workload(&run);
	} else {
		run_plan(&plan, U32_MAX);
	}
	states_end();
	report(&plan);
	printf("%sok 1 - no power cut loses anything\n1..1\n",
	       statistics.violations ? "not " : "");
	return statistics.violations != 0;
}
