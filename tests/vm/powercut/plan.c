// SPDX-License-Identifier: GPL-2.0
/*
 * What the load writes, and what a disk may show of it.
 *
 * All requests of a round are under way at once and none touches a sector of
 * another, so a sector has one content for each round that touches it, and the
 * number of the round is the generation of its content.
 */
#include <err.h>

#include "powercut.h"

#define MAGIC		0x7665726966796d65ULL
#define WORDS		(SECTOR / sizeof(u64))
#define NOTHING		U32_MAX

/* The end of the area is written first and then only overwritten. */
#define KEPT		(2 * BLOCK)
#define KEPT_SECTORS	(KEPT / SECTOR)
#define DRAWN		(AREA - KEPT)
#define DRAWN_SECTORS	(DRAWN / SECTOR)

/**
 * struct touch - a round that touches a sector
 * @round: its number
 * @kind: of the request
 * @before: index of the touch before, or NOTHING
 */
struct touch {
	u32 round;
	enum op_kind kind;
	u32 before;
};

static u32 pick(u64 *random, u32 n)
{
	return builder_random(random) % n;
}

/*
 * Small ones, large ones, over the edge of a block, whole blocks; the first
 * blocks more often, so that there is something to overwrite.
 */
static void draw_op(struct op *op, u64 *random)
{
	const u32 block_sectors = BLOCK / SECTOR;
	u32 blocks = pick(random, 2) ? DRAWN / BLOCK / 4 : DRAWN / BLOCK;
	u32 start = pick(random, blocks) * block_sectors;

	switch (pick(random, 10)) {
	case 0:
		op->kind = OP_ZERO + pick(random, OP_KINDS - OP_ZERO);
		op->sector = start;
		op->count = block_sectors * (1 + pick(random, 2));
		break;
	case 1:
		op->kind = OP_ZERO + pick(random, OP_KINDS - OP_ZERO);
		op->sector = start + pick(random, block_sectors);
		op->count = 1 + pick(random, block_sectors * 3 / 2);
		break;
	case 2:
		op->kind = OP_WRITE;
		op->count = 2 + pick(random, 126);
		op->sector = start + block_sectors - 1 -
			     pick(random, op->count - 1);
		break;
	case 3:
		op->kind = pick(random, 2) ? OP_FUA : OP_WRITE;
		op->sector = start + pick(random, block_sectors / 8) * 8;
		op->count = 8 * (1 + pick(random, 32));
		break;
	default:
		op->kind = pick(random, 4) ? OP_WRITE : OP_FUA;
		op->sector = start + pick(random, block_sectors);
		op->count = 1 + pick(random, 8);
		break;
	}
	if (op->sector + op->count > DRAWN_SECTORS)
		op->count = DRAWN_SECTORS - op->sector;
}

/*
 * After a flush nothing is dirty: the one time that a FUA write needs no commit,
 * if nothing else of its round does.
 */
static void draw_overwrite(struct op *op, u64 *random)
{
	op->kind = pick(random, 4) ? OP_FUA : OP_WRITE;
	op->count = 1 + pick(random, 8);
	op->sector = DRAWN_SECTORS + pick(random, KEPT_SECTORS - op->count);
}

/*
 * In the log a FUA write comes before the writes that have completed and were
 * not flushed yet. One over such a write would be replayed in the wrong order.
 */
static bool is_possible(const struct plan *plan, const struct op *op,
			u32 round, u32 stable)
{
	u32 i;

	for (i = op->sector; i < op->sector + op->count; i++) {
		const struct touch *touch = &plan->touch[plan->last[i]];

		if (plan->last[i] == NOTHING)
			continue;
		if (touch->round == round ||
		    (op->kind == OP_FUA && touch->round > stable))
			return false;
	}
	return true;
}

static void note(struct plan *plan, const struct op *op, u32 round)
{
	u32 i;

	for (i = op->sector; i < op->sector + op->count; i++) {
		plan->touch[plan->touches] = (struct touch){
			round, op->kind, plan->last[i]
		};
		plan->last[i] = plan->touches++;
	}
}

/**
 * plan_make() - make a load
 * @plan: receives it
 * @seed: the same one makes the same load
 * @rounds: how long it is
 */
void plan_make(struct plan *plan, u64 seed, u32 rounds)
{
	u64 random = seed;
	u32 stable = 0, i, tries;

	plan->seed = seed;
	plan->rounds = rounds;
	plan->round = calloc(rounds + 1, sizeof(*plan->round));
	plan->last = malloc(AREA_SECTORS * sizeof(*plan->last));
	plan->touch = calloc((size_t)rounds * AREA_SECTORS,
			     sizeof(*plan->touch));
	plan->touches = 0;
	if (!plan->round || !plan->last || !plan->touch)
		errx(1, "out of memory");
	for (i = 0; i < AREA_SECTORS; i++)
		plan->last[i] = NOTHING;

	plan->round[1].op[0] = (struct op){
		OP_WRITE, DRAWN_SECTORS, KEPT_SECTORS
	};
	note(plan, &plan->round[1].op[plan->round[1].count++], 1);

	for (i = 1; i <= rounds; i++) {
		struct round *round = &plan->round[i];
		u32 wanted = 1 + pick(&random, ROUND_OPS);
		bool overwrites = stable && stable == i - 1 && pick(&random, 3);

		for (tries = 0; round->count < wanted && tries < 100; tries++) {
			struct op *op = &round->op[round->count];

			if (overwrites)
				draw_overwrite(op, &random);
			else
				draw_op(op, &random);
			if (!is_possible(plan, op, i, stable))
				continue;
			note(plan, op, i);
			round->count++;
		}
		round->races = !pick(&random, 4);
		round->flushes = !pick(&random, 2);
		if (round->flushes)
			stable = i;
	}
}

/**
 * plan_fill() - what a sector holds
 * @plan: the load
 * @words: receives SECTOR bytes
 * @round: that wrote it
 * @sector: its number
 */
void plan_fill(const struct plan *plan, u64 *words, u32 round, u32 sector)
{
	u64 random = plan->seed ^ ((u64)round << 32 | sector);
	u32 i;

	words[0] = MAGIC;
	words[1] = sector;
	words[2] = round;
	for (i = 3; i < WORDS; i++)
		words[i] = builder_random(&random);
}

static bool is_zero(const u64 *words)
{
	u32 i;

	for (i = 0; i < WORDS; i++)
		if (words[i])
			return false;
	return true;
}

/* Is it what that round left? */
static bool matches(const struct plan *plan, const struct touch *touch,
		    const u64 *words, u32 sector, bool zero)
{
	u64 wanted[WORDS];

	if (touch->kind >= OP_ZERO)
		return zero;
	if (zero || words[0] != MAGIC || words[2] != touch->round)
		return false;
	plan_fill(plan, wanted, touch->round, sector);
	return !memcmp(words, wanted, SECTOR);
}

static bool must_be_there(const struct touch *touch,
			  const struct claims *claims)
{
	return touch->round <= claims->stable ||
	       (touch->kind == OP_FUA && claims->fua[touch->round]);
}

/**
 * plan_allows() - may a sector hold this after a cut
 * @plan: the load
 * @claims: what was promised before the cut
 * @words: SECTOR bytes
 * @sector: its number
 * @why: receives what is wrong
 * @size: of @why
 */
bool plan_allows(const struct plan *plan, const struct claims *claims,
		 const u64 *words, u32 sector, char *why, size_t size)
{
	bool zero = is_zero(words);
	u32 i, floor = 0;

	for (i = plan->last[sector]; i != NOTHING; i = plan->touch[i].before) {
		const struct touch *touch = &plan->touch[i];

		if (touch->round > claims->begun)
			continue;
		if (matches(plan, touch, words, sector, zero))
			return true;
		if (must_be_there(touch, claims)) {
			floor = touch->round;
			break;
		}
	}
	if (i == NOTHING && zero)
		return true;

	if (zero)
		snprintf(why, size, "zeros");
	else if (words[0] == MAGIC)
		snprintf(why, size, "what round %llu wrote to sector %llu",
			 words[2], words[1]);
	else
		snprintf(why, size, "0x%016llx...", words[0]);
	i = strlen(why);
	snprintf(why + i, size - i, ", not what rounds %u to %u left there",
		 floor, claims->begun);
	return false;
}
