// SPDX-License-Identifier: GPL-2.0
#include "builder_chain.h"

#define MIB	0x100000ULL

static u32 draw(u64 *random, u32 n)
{
	return (builder_random(random) >> 32) % n;
}

static void draw_blocks(struct builder_level *level, bool plain, u64 *random)
{
	/* The first seven are those of an image without a parent. */
	static const u32 states[] = {
		6, 6, 0, 2, 1, 3, 6, 7, 7, 7, 7, 0, 0, 5,
	};
	const u32 choice = level->b.differencing ? ARRAY_SIZE(states) - plain : 7;
	struct builder *b = &level->b;
	u64 count = (b->disk_size + b->block_size - 1) >> ilog2(b->block_size);
	u64 share;
	u32 i;

	b->blocks = min_t(u64, BUILDER_CHAIN_BLOCKS, count);
	b->block = level->block;
	share = count / b->blocks;
	for (i = 0; i < b->blocks; i++) {
		struct builder_block *block = &level->block[i];

		/* One from each share of the disk, so that none comes twice. */
		block->block = i * share + draw(random, share);
		block->state = states[draw(random, choice)];
		if (!draw(random, 4))
			block->offset = BUILDER_PLACE;
	}
}

static void draw_level(struct builder_chain *chain, u32 i, u64 disk_size,
		       u32 sector_size, bool plain, u64 *random)
{
	struct builder_level *level = &chain->level[i];
	struct builder *b = &level->b;

	builder_init(b);
	b->seed = builder_random(random);
	b->shuffle = true;
	b->data_bytes = 65536;
	b->data_write_guid = builder_guid(i + 1);
	b->logical_sector_size = sector_size;
	b->block_size = MIB << draw(random, 4);
	b->disk_size = disk_size;
	b->stale_bits = draw(random, 2);
	if (i) {
		builder_set_parent(b, &chain->level[i - 1].b);
		scnprintf(level->path, sizeof(level->path), ".\\%u.vhdx",
			  i - 1);
		b->relative_path = level->path;
	}
	if (i < chain->parents && !plain) {
		b->disk_size = disk_size / 4 * (2 + draw(random, 4)) +
			       4096ULL * draw(random, 600);
		b->disk_size -= b->disk_size % 4096;
	}
	draw_blocks(level, plain, random);
}

/**
 * builder_chain_init() - draw a chain
 * @chain: filled in; the images' names are 0.vhdx and so on
 * @seed: what to draw from
 * @parents: of the top
 * @disk_size: of the top, bytes; those below are shorter or longer
 * @sector_size: logical, bytes
 * @plain: all disks have that size, and no block has a state of older files
 *
 * Return: 0 or -ENOMEM.
 */
int builder_chain_init(struct builder_chain *chain, u64 seed, u32 parents,
		       u64 disk_size, u32 sector_size, bool plain)
{
	u64 random = seed;
	u32 i;

	chain->parents = parents;
	chain->level = kvcalloc(parents + 1, sizeof(*chain->level),
				GFP_KERNEL);
	if (!chain->level)
		return -ENOMEM;
	for (i = 0; i <= parents; i++)
		draw_level(chain, i, disk_size, sector_size, plain, &random);
	return 0;
}

/**
 * builder_chain_free() - give the memory of a chain back
 * @chain: of builder_chain_init()
 */
void builder_chain_free(struct builder_chain *chain)
{
	kvfree(chain->level);
}
