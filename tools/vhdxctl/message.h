/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tool says on stderr, and the exit codes that go with it.
 */
#ifndef VHDXCTL_MESSAGE_H
#define VHDXCTL_MESSAGE_H

#include <stdbool.h>
#include <sysexits.h>

#include "text.h"

int message_exit_code(int errnum);
__printf(3, 4) int message_fail(int code, const char *file, const char *fmt,
				...);
int message_fail_errno(const char *file, const char *what, int errnum);
__printf(1, 2) void message_hint(const char *fmt, ...);
__printf(2, 3) void message_warn(const char *file, const char *fmt, ...);
int message_close_stdout(int code, int lost);

#endif
