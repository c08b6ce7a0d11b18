// SPDX-License-Identifier: GPL-2.0
#include <malloc.h>
#include <stdbool.h>

#include "unit_alloc.h"

static long count, fail_at, outstanding;
static size_t bytes, bytes_before, bytes_peak;

/**
 * alloc_fail_at() - let one allocation fail
 * @n: which one, counted from this call on, from 1; 0 for none
 */
void alloc_fail_at(long n)
{
	count = 0;
	fail_at = n;
	bytes_before = bytes;
	bytes_peak = bytes;
}

/** alloc_count() - allocations tried since alloc_fail_at() */
long alloc_count(void)
{
	return count;
}

/** alloc_outstanding() - allocations not freed yet */
long alloc_outstanding(void)
{
	return outstanding;
}

/** alloc_peak() - bytes in use at most, beyond those at alloc_fail_at() */
size_t alloc_peak(void)
{
	return bytes_peak - bytes_before;
}

static bool fails(void)
{
	return ++count == fail_at;
}

static void *counted(void *ptr)
{
	if (ptr) {
		outstanding++;
		bytes += malloc_usable_size(ptr);
		if (bytes > bytes_peak)
			bytes_peak = bytes;
	}
	return ptr;
}

static void forget(void *ptr)
{
	if (ptr) {
		outstanding--;
		bytes -= malloc_usable_size(ptr);
	}
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : counted(__real_calloc(n, size));
}

void *__wrap_realloc(void *ptr, size_t size)
{
	void *new;

	if (fails())
		return NULL;
	forget(ptr);
	new = __real_realloc(ptr, size);
	counted(new ? new : ptr);
	return new;
}

void __wrap_free(void *ptr)
{
	forget(ptr);
	__real_free(ptr);
}
