/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Paths as systemd has to be told of them: to it they are words.
 */
#ifndef VHDXCTL_UNIT_PATH_H
#define VHDXCTL_UNIT_PATH_H

#include <stdbool.h>

bool unit_path_is_plain(const char *path);
bool unit_path_is_device(const char *path);
char *unit_path_follow(const char *path);
char *unit_path_device(const char *path);

#endif
