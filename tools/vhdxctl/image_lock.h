/* SPDX-License-Identifier: GPL-2.0 */
/*
 * QEMU's image locks.
 */
#ifndef VHDXCTL_IMAGE_LOCK_H
#define VHDXCTL_IMAGE_LOCK_H

#include <stdbool.h>

int image_lock(int fd, bool writable);
bool image_is_locked(int fd);

#endif
