/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What format/ and image/ are written against: the kernel's own names.
 *
 * This header alone knows whether they are being compiled for the kernel or
 * for userspace; there it gives the same names the same meaning.
 */
#ifndef VHDX_PORT_H
#define VHDX_PORT_H

#ifdef __KERNEL__

#include <linux/align.h>
#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/container_of.h>
#include <linux/crc32c.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/rcupdate.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/sort.h>
#include <linux/spinlock.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/uuid.h>

#else /* userspace */

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/types.h>

#include <isa-l/crc.h>
#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;

typedef struct {
	u8 b[16];
} guid_t;

#define GUID_INIT(a, b, c, d0, d1, d2, d3, d4, d5, d6, d7)		\
	((guid_t){ { (a) & 0xff, ((a) >> 8) & 0xff, ((a) >> 16) & 0xff,	\
		     ((a) >> 24) & 0xff, (b) & 0xff, ((b) >> 8) & 0xff,	\
		     (c) & 0xff, ((c) >> 8) & 0xff,			\
		     (d0), (d1), (d2), (d3), (d4), (d5), (d6), (d7) } })

static inline bool guid_equal(const guid_t *a, const guid_t *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static inline bool guid_is_null(const guid_t *guid)
{
	static const guid_t null;

	return guid_equal(guid, &null);
}

#define le16_to_cpu(x)		le16toh(x)
#define le32_to_cpu(x)		le32toh(x)
#define le64_to_cpu(x)		le64toh(x)
#define cpu_to_le16(x)		htole16(x)
#define cpu_to_le32(x)		htole32(x)
#define cpu_to_le64(x)		htole64(x)

/* The kernel's crc32c(): no inversion before or after. */
static inline u32 crc32c(u32 crc, const void *buf, size_t len)
{
	return crc32_iscsi((unsigned char *)buf, len, crc);
}

#define __force
#define __acquires(lock)
#define __releases(lock)
#define __aligned(n)		__attribute__((__aligned__(n)))
#define __printf(fmt, args)	__attribute__((__format__(__printf__, fmt, args)))
#define __noreturn		__attribute__((__noreturn__))
#define fallthrough		__attribute__((__fallthrough__))
#define __maybe_unused		__attribute__((__unused__))

#define U16_MAX			UINT16_MAX
#define U32_MAX			UINT32_MAX
#define U64_MAX			UINT64_MAX
#define S64_MAX			INT64_MAX

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define BUILD_BUG_ON(cond)	_Static_assert(!(cond), #cond)
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))
#define IS_ALIGNED(x, a)	(((x) & ((typeof(x))(a) - 1)) == 0)
#define ALIGN(x, a)		(((x) + (typeof(x))(a) - 1) & ~((typeof(x))(a) - 1))
#define ALIGN_DOWN(x, a)	((x) & ~((typeof(x))(a) - 1))
#define DIV_ROUND_UP(n, d)	(((n) + (d) - 1) / (d))
#define min(a, b)		((a) < (b) ? (a) : (b))
#define max(a, b)		((a) > (b) ? (a) : (b))
#define min_t(type, a, b)	min((type)(a), (type)(b))
#define max_t(type, a, b)	max((type)(a), (type)(b))
#define check_add_overflow(a, b, d)	__builtin_add_overflow(a, b, d)
#define READ_ONCE(x)		(*(const volatile typeof(x) *)&(x))
#define is_power_of_2(n)	((n) && !((n) & ((n) - 1)))
#define ilog2(n)		(63 - __builtin_clzll(n))
#define BITS_PER_LONG		((int)(8 * sizeof(long)))
#define BIT_WORD(n)		((n) / BITS_PER_LONG)
#define BIT_MASK(n)		(1UL << ((n) % BITS_PER_LONG))
#define __fls(word)		(BITS_PER_LONG - 1 - __builtin_clzl(word))

static inline int scnprintf(char *buf, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#include <stdarg.h>

static inline int scnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(buf, size, fmt, args);
	va_end(args);
	if (n < 0 || !size)
		return 0;
	return (size_t)n < size ? n : (int)(size - 1);
}

static inline void *memchr_inv(const void *buf, int c, size_t len)
{
	const u8 *p = buf;

	if (len && p[0] == (u8)c && !memcmp(p, p + 1, len - 1))
		return NULL;
	while (len-- && *p == (u8)c)
		p++;
	return (void *)p;
}

typedef int gfp_t;

#define GFP_KERNEL		0
#define GFP_NOIO		0
#define __GFP_NOFAIL		0
#define __GFP_RETRY_MAYFAIL	0
#define __GFP_NOWARN		0

static inline void *kmalloc(size_t size, int gfp)
{
	(void)gfp;
	return malloc(size);
}

static inline void *kzalloc(size_t size, int gfp)
{
	(void)gfp;
	return calloc(1, size);
}

static inline void *kmemdup(const void *src, size_t size, int gfp)
{
	void *p = kmalloc(size, gfp);

	return p ? memcpy(p, src, size) : NULL;
}

static inline void *kvcalloc(size_t n, size_t size, int gfp)
{
	(void)gfp;
	return calloc(n, size);
}

#define kvmalloc(size, gfp)		kmalloc(size, gfp)
#define kvzalloc(size, gfp)		kzalloc(size, gfp)
#define kvmalloc_array(n, size, gfp)	kvcalloc(n, size, gfp)
#define kfree(p)			free((void *)(p))
#define kvfree(p)			free((void *)(p))

static inline void sort(void *base, size_t n, size_t size,
			int (*cmp)(const void *a, const void *b),
			void (*swap)(void *a, void *b, int size))
{
	(void)swap;
	if (n)
		qsort(base, n, size, cmp);
}

#define struct_size(p, member, n) \
	(sizeof(*(p)) + (n) * sizeof((p)->member[0]))

/* It is the process alone that runs short. */
#define si_mem_available()		LONG_MAX
#define totalram_pages()		0UL

/* A process is killed without its help. */
#define fatal_signal_pending(task)	false

static inline void cond_resched(void)
{
}

/*
 * Userspace has one thread in here: what takes a lock twice, or sleeps with a
 * spinlock held, would hang in the kernel, and aborts.
 */
typedef struct {
	bool held;
} spinlock_t;

struct rw_semaphore {
	int count;		/* readers, or -1 */
};

static inline void spin_lock_init(spinlock_t *lock)
{
	lock->held = false;
}

static inline void spin_lock(spinlock_t *lock)
{
	if (lock->held)
		abort();
	lock->held = true;
}

static inline void spin_unlock(spinlock_t *lock)
{
	if (!lock->held)
		abort();
	lock->held = false;
}

static inline void init_rwsem(struct rw_semaphore *sem)
{
	sem->count = 0;
}

static inline void down_read(struct rw_semaphore *sem)
{
	if (sem->count)
		abort();
	sem->count = 1;
}

static inline void up_read(struct rw_semaphore *sem)
{
	sem->count = 0;
}

static inline void down_write(struct rw_semaphore *sem)
{
	if (sem->count)
		abort();
	sem->count = -1;
}

static inline void up_write(struct rw_semaphore *sem)
{
	sem->count = 0;
}

typedef struct {
	int value;
} atomic_t;

#define atomic_inc(a)			((void)(a)->value++)
#define atomic_dec(a)			((void)(a)->value--)
#define atomic_read(a)			((a)->value)
/* One thread sees its own accesses in order. */
#define smp_mb()			((void)0)
#define smp_wmb()			((void)0)
#define smp_mb__before_atomic()		((void)0)
#define smp_mb__after_atomic()		((void)0)
#define raw_smp_processor_id()		0U
#define ____cacheline_aligned_in_smp
#define WRITE_ONCE(x, v)		(*(volatile typeof(x) *)&(x) = (v))
#define smp_load_acquire(p)		READ_ONCE(*(p))
#define smp_store_release(p, v)		WRITE_ONCE(*(p), v)
#define cmpxchg(p, old, new)		__sync_val_compare_and_swap(p, old, new)

/* ... and nobody else looks on. */
struct rcu_head {
	char unused;
};

#define __rcu
#define rcu_read_lock()			((void)0)
#define rcu_read_unlock()		((void)0)
#define rcu_dereference(p)		READ_ONCE(p)
#define rcu_dereference_raw(p)		READ_ONCE(p)
#define rcu_access_pointer(p)		READ_ONCE(p)
#define rcu_dereference_protected(p, c)	READ_ONCE(p)
#define rcu_assign_pointer(p, v)	WRITE_ONCE(p, v)
#define call_rcu(head, func)		func(head)

static inline unsigned long find_next_le(const void *addr, unsigned long size,
					 unsigned long offset, u8 skip)
{
	const u8 *byte = addr;

	for (; offset < size; offset++) {
		if (!(offset % 8) && byte[offset / 8] == skip)
			offset += 7;
		else if ((byte[offset / 8] ^ skip) >> (offset % 8) & 1)
			return offset;
	}
	return size;
}

#define find_next_bit_le(addr, size, offset) \
	find_next_le(addr, size, offset, 0)
#define find_next_zero_bit_le(addr, size, offset) \
	find_next_le(addr, size, offset, 0xFF)

static inline void guid_gen(guid_t *guid)
{
	if (getrandom(guid, sizeof(*guid), 0) != sizeof(*guid))
		abort();
	guid->b[7] = (guid->b[7] & 0x0F) | 0x40;
	guid->b[8] = (guid->b[8] & 0x3F) | 0x80;
}

struct list_head {
	struct list_head *next, *prev;
};

#define LIST_HEAD(name)		struct list_head name = { &(name), &(name) }
#define list_entry(p, type, member)	container_of(p, type, member)
#define list_first_entry(head, type, member) \
	list_entry((head)->next, type, member)
#define list_last_entry(head, type, member) \
	list_entry((head)->prev, type, member)
#define list_for_each_entry(pos, head, member)				\
	for (pos = list_first_entry(head, typeof(*pos), member);	\
	     &pos->member != (head);					\
	     pos = list_entry(pos->member.next, typeof(*pos), member))
#define list_for_each_entry_safe(pos, n, head, member)			\
	for (pos = list_first_entry(head, typeof(*pos), member),	\
	     n = list_entry(pos->member.next, typeof(*pos), member);	\
	     &pos->member != (head);					\
	     pos = n, n = list_entry(n->member.next, typeof(*n), member))

static inline void INIT_LIST_HEAD(struct list_head *list)
{
	list->next = list;
	list->prev = list;
}

static inline bool list_empty(const struct list_head *list)
{
	return list->next == list;
}

static inline void list_add_tail(struct list_head *entry, struct list_head *list)
{
	entry->prev = list->prev;
	entry->next = list;
	list->prev->next = entry;
	list->prev = entry;
}

static inline void list_del(struct list_head *entry)
{
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
}

static inline void list_del_init(struct list_head *entry)
{
	list_del(entry);
	INIT_LIST_HEAD(entry);
}

static inline void list_move_tail(struct list_head *entry, struct list_head *list)
{
	list_del(entry);
	list_add_tail(entry, list);
}

static inline void list_splice_tail_init(struct list_head *from, struct list_head *to)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	INIT_LIST_HEAD(from);
}

#endif /* __KERNEL__ */

#endif
