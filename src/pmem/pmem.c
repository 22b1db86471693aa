/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stores, flushes and fences: each call is cut into pieces that fit the instruction set, or handed to the simulator.
 *
 * Invariants:
 *  1. An aligned 8-byte word is stored by one instruction, so it is never torn by a crash.
 *  2. Nothing outside of [dst, dst + len) is read or written: a neighbour's bytes in the same line or word may change meanwhile.
 *  3. Durability: what copy, zero and flush were given is durable after the next pmem_fence() of the same thread.
 *
 * Whole lines go by non-temporal stores however few they are: one such line and its fence take two thirds of the time of plain
 * stores, write-back and fence, because the line is not fetched first. Records that fill whole lines profit most.
 */
#define PMEM_SITES_INSIDE
#include "pmem/pmem.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "pmem/badpages.h"
#include "pmem/isa.h"
#include "pmem/sim_record.h"

#if defined(DEBUG_CHECKS) && DEBUG_CHECKS
#define CHECK_STORES 1
#else
#define CHECK_STORES 0
#endif

#if PMEM_SITES
#define SITE pmem_site_take()
#else
#define SITE __builtin_return_address(0)
#endif

/* The one place where media pointers lose their const. */
static inline void *media_writable(const void *addr)
{
	return (void *)(uintptr_t)addr;
}

static void __attribute__((noinline, cold, noreturn)) die_of_bad_store(const struct pmem *pm, const void *addr, size_t len)
{
	log_error("pmem: store of %zu bytes at %p: outside of the mapping [%p, +%llu), misaligned, or read-only", len, addr,
		  (void *)pm->base, (unsigned long long)pm->size);
	abort();
}

/* align: a power of two. A simulated device is always checked: its record must stay inside of it. */
static inline void check_store(const struct pmem *pm, const void *addr, size_t len, uintptr_t align)
{
	uintptr_t start = (uintptr_t)addr, base = (uintptr_t)pm->base;

	if (!CHECK_STORES && likely(!pm->sim))
		return;
	if (start < base || start - base > pm->size || len > pm->size - (start - base) || (start & (align - 1)) || pm->rdonly)
		die_of_bad_store(pm, addr, len);
}

void pmem_store64(struct pmem *pm, const le64 *addr, uint64_t value)
{
	uint64_t *word = media_writable(&addr->raw);

	check_store(pm, addr, 8, 8);
	if (unlikely(pm->sim))
		sim_store64(pm, word, htole64(value), SITE);
	else
		__atomic_store_n(word, htole64(value), __ATOMIC_RELEASE);
}

void pmem_or64(struct pmem *pm, const le64 *addr, uint64_t mask)
{
	uint64_t *word = media_writable(&addr->raw);

	check_store(pm, addr, 8, 8);
	if (unlikely(pm->sim))
		sim_modify64(pm, word, ~0ull, htole64(mask), SITE);
	else
		__atomic_fetch_or(word, htole64(mask), __ATOMIC_ACQ_REL);
}

void pmem_andnot64(struct pmem *pm, const le64 *addr, uint64_t mask)
{
	uint64_t *word = media_writable(&addr->raw);

	check_store(pm, addr, 8, 8);
	if (unlikely(pm->sim))
		sim_modify64(pm, word, ~htole64(mask), 0, SITE);
	else
		__atomic_fetch_and(word, ~htole64(mask), __ATOMIC_ACQ_REL);
}

/* Lines that [addr, addr + len) touches; len > 0. */
static inline void flush_range(const struct pmem_isa *isa, const void *addr, size_t len)
{
	uintptr_t first = (uintptr_t)addr & ~(uintptr_t)(PMEM_LINE - 1);

	isa->flush_lines((const void *)first, ((uintptr_t)addr + len - first + PMEM_LINE - 1) / PMEM_LINE);
}

void pmem_flush(struct pmem *pm, const void *addr, size_t len)
{
	if (!len)
		return;
	check_store(pm, addr, len, 1);
	if (unlikely(pm->sim))
		sim_flush(pm, addr, len, SITE);
	else
		flush_range(pm->isa, addr, len);
}

/* Up to 7 bytes inside one aligned word, by the widest aligned stores. */
static void store_part_of_word(uint8_t *dst, const uint8_t *src, size_t len)
{
	while (len) {
		size_t n = (uintptr_t)dst & 1 || len < 2 ? 1 : (uintptr_t)dst & 2 || len < 4 ? 2 : 4;
		uint32_t v4;
		uint16_t v2;

		if (n == 1) {
			__atomic_store_n(dst, *src, __ATOMIC_RELAXED);
		} else if (n == 2) {
			memcpy(&v2, src, 2);
			__atomic_store_n((uint16_t *)(void *)dst, v2, __ATOMIC_RELAXED);
		} else {
			memcpy(&v4, src, 4);
			__atomic_store_n((uint32_t *)(void *)dst, v4, __ATOMIC_RELAXED);
		}
		dst += n;
		src += n;
		len -= n;
	}
}

/* Plain stores, each aligned word in one. */
static void store_words(uint8_t *dst, const uint8_t *src, size_t len)
{
	size_t head = u64_min(-(uintptr_t)dst & 7, len);

	store_part_of_word(dst, src, head);
	dst += head;
	src += head;
	for (len -= head; len >= 8; len -= 8, dst += 8, src += 8) {
		uint64_t word;

		memcpy(&word, src, 8);
		__atomic_store_n((uint64_t *)(void *)dst, word, __ATOMIC_RELAXED);
	}
	store_part_of_word(dst, src, len);
}

static void store_and_flush(const struct pmem_isa *isa, uint8_t *dst, const uint8_t *src, size_t len)
{
	if (!len)
		return;
	store_words(dst, src, len);
	flush_range(isa, dst, len);
}

/* A bad page met at the destination of a copy is for the caller to find: nothing reaches these bytes yet. */
static inline void store_begin(const void *dst, size_t len)
{
	pmem_thread_self.store_lo = (uintptr_t)dst;
	pmem_thread_self.store_hi = (uintptr_t)dst + len;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}
static inline void store_end(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	pmem_thread_self.store_hi = 0;
}

void pmem_copy(struct pmem *pm, const void *dst, const void *src, size_t len)
{
	const struct pmem_isa *isa = pm->isa;
	const uint8_t *from = src;
	uint8_t *to = media_writable(dst);
	size_t head, lines;

	if (!len)
		return;
	check_store(pm, dst, len, 1);
	store_begin(to, len);
	if (unlikely(pm->sim)) {
		sim_copy(pm, to, from, len, SITE);
		store_end();
		return;
	}
	head = u64_min(-(uintptr_t)to & (PMEM_LINE - 1), len);
	lines = (len - head) / PMEM_LINE;
	store_and_flush(isa, to, from, head);
	if (lines)
		isa->copy_lines(to + head, from + head, lines);
	head += lines * PMEM_LINE;
	store_and_flush(isa, to + head, from + head, len - head);
	store_end();
}

void pmem_zero(struct pmem *pm, const void *dst, size_t len)
{
	static const uint8_t zeros[PMEM_LINE];
	const struct pmem_isa *isa = pm->isa;
	uint8_t *to = media_writable(dst);
	size_t head, lines;

	if (!len)
		return;
	check_store(pm, dst, len, 1);
	store_begin(to, len);
	if (unlikely(pm->sim)) {
		sim_copy(pm, to, NULL, len, SITE);
		store_end();
		return;
	}
	head = u64_min(-(uintptr_t)to & (PMEM_LINE - 1), len);
	lines = (len - head) / PMEM_LINE;
	store_and_flush(isa, to, zeros, head);
	if (lines)
		isa->zero_lines(to + head, lines);
	head += lines * PMEM_LINE;
	store_and_flush(isa, to + head, zeros, len - head);
	store_end();
}

void pmem_fence(struct pmem *pm)
{
	if (unlikely(pm->sim))
		sim_fence(pm, SITE);
	else
		pm->isa->fence();
}

int pmem_is_zero(const void *addr, size_t len)
{
	const uint8_t *p = addr;
	uint64_t w[8];

	for (; len >= sizeof(w); len -= sizeof(w), p += sizeof(w)) {
		memcpy(w, p, sizeof(w));
		if (w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7])
			return 0;
	}
	for (; len; len--, p++)
		if (*p)
			return 0;
	return 1;
}
