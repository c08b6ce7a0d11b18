/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Images to fuzz with: each number is one image.
 */
#ifndef TESTS_FUZZ_MUTATE_H
#define TESTS_FUZZ_MUTATE_H

#include "../kunit/bad_inputs.h"

int mutate(u64 number, struct bad_image *image, struct memfile *mf);

#endif
