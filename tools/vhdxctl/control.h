/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The driver: its module and its control device.
 */
#ifndef VHDXCTL_CONTROL_H
#define VHDXCTL_CONTROL_H

#include "port.h"

int control_open(const char *file, bool load, int *fd);
int control_check(int fd, const char *file, u32 attach_flags);

#endif
