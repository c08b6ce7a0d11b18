/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Changes of an image by the driver, under the disk that it is attached as.
 */
#ifndef VHDXCTL_ATTACHED_H
#define VHDXCTL_ATTACHED_H

#include "port.h"

int attached_compact(const char *arg, unsigned int index, u64 *freed);
int attached_resize(const char *arg, unsigned int index, u64 size);

#endif
