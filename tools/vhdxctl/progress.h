/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How far a long work is, on one line of the terminal.
 */
#ifndef VHDXCTL_PROGRESS_H
#define VHDXCTL_PROGRESS_H

#include <stdbool.h>

#include "port.h"

void progress_begin(const char *what, u64 total, bool quiet);
void progress_add(u64 bytes);
void progress_hide(void);
void progress_end(void);

#endif
