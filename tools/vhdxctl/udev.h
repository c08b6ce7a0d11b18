/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What udev makes of the disks: the links below /dev/disk.
 */
#ifndef VHDXCTL_UDEV_H
#define VHDXCTL_UDEV_H

#include <stdbool.h>

#include "port.h"

u64 udev_now(void);
bool udev_wait(unsigned int index, u64 since);

#endif
