/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Being stopped by the user where what was begun has to be ended first.
 */
#ifndef VHDXCTL_INTERRUPT_H
#define VHDXCTL_INTERRUPT_H

#include <stdbool.h>

void interrupt_watch(void);
bool interrupt_came(void);
int interrupt_code(void);

#endif
