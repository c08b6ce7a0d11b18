/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The file that is to be the parent of an image.
 */
#ifndef VHDXCTL_PARENT_H
#define VHDXCTL_PARENT_H

#include "chain.h"

char *parent_relative_path(const char *folder, const char *file);
int parent_check(struct chain_image *parent, const char *real);

#endif
