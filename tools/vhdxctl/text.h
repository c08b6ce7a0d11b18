/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Strings: formatted into memory, made safe to show, sizes for people.
 */
#ifndef VHDXCTL_TEXT_H
#define VHDXCTL_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "port.h"

/* Enough for every result of text_size(). */
#define TEXT_SIZE_LENGTH	32

/**
 * enum text_size_style - how text_size() writes a size
 * @TEXT_SIZE_SHORT: as lsblk does: 1.5G
 * @TEXT_SIZE_LONG: as qemu-img does: 1.5 GiB
 */
enum text_size_style {
	TEXT_SIZE_SHORT,
	TEXT_SIZE_LONG,
};

void *text_memory(void *p);
__printf(1, 0) char *text_vprintf(const char *fmt, va_list args);
__printf(1, 2) char *text_printf(const char *fmt, ...);
char *text_for_terminal(const char *s);
char *text_utf8(const char *s);
char *text_utf16(const void *utf16, u32 chars);
bool text_same_name(const char *a, const char *b);
bool text_parse_size(const char *text, u64 *bytes);
void text_size(char buf[TEXT_SIZE_LENGTH], u64 bytes,
	       enum text_size_style style);

#endif
