/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * aarch64: plain stores, then "dc cvap" (clean to the point of persistence) where the CPU has it, "dc cvac" (to the point of
 * coherency) where not, and "dsb sy". There is no non-temporal store that is durable by itself, so copies clean what they wrote.
 *
 * The CPU's own line length is used as the step: it may be shorter than PMEM_LINE.
 */
#include "pmem/isa.h"

#if defined(__aarch64__)

#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>

#include "pmem/pmem.h"

#define ARM64_HWCAP_DCPOP (1ul << 16)

/* Bytes; CTR_EL0.DminLine is the logarithm of the number of 4-byte words. */
static inline uint64_t cpu_line_bytes(void)
{
	uint64_t ctr;

	__asm__("mrs %0, ctr_el0" : "=r"(ctr));
	return 4ull << (ctr >> 16 & 15);
}

static void flush_lines_cvap(const void *first, size_t n_lines)
{
	uint64_t step = cpu_line_bytes(), end = (uint64_t)first + n_lines * PMEM_LINE;

	for (uint64_t p = (uint64_t)first & ~(step - 1); p < end; p += step)
		__asm__ volatile("sys #3, c7, c12, #1, %0" : : "r"(p) : "memory"); /* dc cvap: old assemblers lack the name */
}

static void flush_lines_cvac(const void *first, size_t n_lines)
{
	uint64_t step = cpu_line_bytes(), end = (uint64_t)first + n_lines * PMEM_LINE;

	for (uint64_t p = (uint64_t)first & ~(step - 1); p < end; p += step)
		__asm__ volatile("dc cvac, %0" : : "r"(p) : "memory");
}

static inline void store_lines(void *dst, const void *src, size_t n_lines)
{
	uint64_t *to = dst;
	const uint8_t *from = src;

	for (; n_lines; n_lines--, to += 8, from += PMEM_LINE) {
		uint64_t w[8];

		memcpy(w, from, sizeof(w));
		for (int i = 0; i < 8; i += 2)
			__asm__ volatile("stnp %1, %2, %0" : "=Q"(*(uint64_t(*)[2])(to + i)) : "r"(w[i]), "r"(w[i + 1]));
	}
}

static inline void store_zero_lines(void *dst, size_t n_lines)
{
	uint64_t *to = dst;

	for (; n_lines; n_lines--, to += 8)
		for (int i = 0; i < 8; i += 2)
			__asm__ volatile("stnp xzr, xzr, %0" : "=Q"(*(uint64_t(*)[2])(to + i)));
}

static void copy_lines_cvap(void *dst, const void *src, size_t n_lines)
{
	store_lines(dst, src, n_lines);
	flush_lines_cvap(dst, n_lines);
}

static void zero_lines_cvap(void *dst, size_t n_lines)
{
	store_zero_lines(dst, n_lines);
	flush_lines_cvap(dst, n_lines);
}

static void copy_lines_cvac(void *dst, const void *src, size_t n_lines)
{
	store_lines(dst, src, n_lines);
	flush_lines_cvac(dst, n_lines);
}

static void zero_lines_cvac(void *dst, size_t n_lines)
{
	store_zero_lines(dst, n_lines);
	flush_lines_cvac(dst, n_lines);
}

static void fence_dsb(void)
{
	__asm__ volatile("dsb sy" : : : "memory");
}

static const struct pmem_isa isa_cvap = {
	.name = "stnp+cvap",
	.writes_back = 1,
	.copy_lines = copy_lines_cvap,
	.zero_lines = zero_lines_cvap,
	.flush_lines = flush_lines_cvap,
	.fence = fence_dsb,
};
static const struct pmem_isa isa_cvac = {
	.name = "stnp+cvac",
	.writes_back = 1,
	.copy_lines = copy_lines_cvac,
	.zero_lines = zero_lines_cvac,
	.flush_lines = flush_lines_cvac,
	.fence = fence_dsb,
};

size_t pmem_isa_usable_aarch64(const struct pmem_isa **out_list, size_t cap)
{
	size_t n = 0;

	if ((getauxval(AT_HWCAP) & ARM64_HWCAP_DCPOP) && n < cap)
		out_list[n++] = &isa_cvap;
	if (n < cap)
		out_list[n++] = &isa_cvac;
	return n;
}

#endif
