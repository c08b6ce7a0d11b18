/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counts the program's memory allocations and makes chosen ones fail. The
 * program is linked with --wrap for malloc, calloc, realloc and free.
 */
#ifndef TESTS_IMAGE_UNIT_ALLOC_H
#define TESTS_IMAGE_UNIT_ALLOC_H

#include <stddef.h>

void alloc_fail_at(long n);
long alloc_count(void);
long alloc_outstanding(void);
size_t alloc_peak(void);

/* What the linker's --wrap makes of the C library's, and of calls to them. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *ptr, size_t size);
void __real_free(void *ptr);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
void __wrap_free(void *ptr);

#endif
