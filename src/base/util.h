/* SPDX-License-Identifier: BSD-3-Clause */
/* Small helpers without a home of their own. */
#ifndef BASE_UTIL_H
#define BASE_UTIL_H

#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

static inline uint64_t u64_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}
static inline uint64_t u64_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}
/* align: a power of two */
static inline uint64_t round_down_to(uint64_t v, uint64_t align)
{
	return v & ~(align - 1);
}
static inline uint64_t round_up_to(uint64_t v, uint64_t align)
{
	return (v + align - 1) & ~(align - 1);
}

#endif
