/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Chains of differencing images, drawn from a seed.
 */
#ifndef TESTS_KUNIT_BUILDER_CHAIN_H
#define TESTS_KUNIT_BUILDER_CHAIN_H

#include "builder.h"

#define BUILDER_CHAIN_BLOCKS	24

/**
 * struct builder_level - an image of a chain
 * @b: what to make
 * @block: its blocks
 * @path: of its parent, as its locator has it
 */
struct builder_level {
	struct builder b;
	struct builder_block block[BUILDER_CHAIN_BLOCKS];
	char path[16];
};

/**
 * struct builder_chain - a chain
 * @parents: that its top has
 * @level: from the one without a parent, 0, to the top, @parents
 */
struct builder_chain {
	u32 parents;
	struct builder_level *level;
};

int builder_chain_init(struct builder_chain *chain, u64 seed, u32 parents,
		       u64 disk_size, u32 sector_size, bool plain);
void builder_chain_free(struct builder_chain *chain);

#endif
