/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Attaching an image: what can be asked for, and doing it.
 */
#ifndef VHDXCTL_ATTACH_H
#define VHDXCTL_ATTACH_H

#include <getopt.h>

#include "chain.h"
#include "disk_id.h"
#include "port.h"

/**
 * struct attach_request - an attach as the user wants it
 * @path: the image
 * @flags: VHDX_ATTACH_*
 * @index: N of the vhdxN wanted, or -1
 * @allow_parent_write: also when other images have it as their parent
 * @chain: where the parents are; to be freed by chain_options_free()
 */
struct attach_request {
	const char *path;
	u32 flags;
	s32 index;
	bool allow_parent_write;
	struct chain_options chain;
};

/* What getopt_long() says of those options that have no letter. */
#define ATTACH_OPTION	256

extern const struct option attach_options[];

int attach_take_option(struct attach_request *request, const char *where,
		       const char *name, const char *value);
int attach_take_words(struct attach_request *request, const char *where,
		      const char *name, const char *value);
int attach_check_options(const struct attach_request *request,
			 const char *where, const char *read_only);
int attach_image(const struct attach_request *request, struct disk_id *id,
		 int *fd);
bool attach_undo(const struct disk_id *id);

#endif
