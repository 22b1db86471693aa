/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The instruction set of a CPU that we know nothing about: plain stores and a full barrier. Good for memory and for plain files
 * (pmem_sync makes those durable); it cannot promise anything about real persistent memory, and pmem_notice says so.
 */
#include "pmem/isa.h"

#include <stdint.h>
#include <string.h>

#include "pmem/pmem.h"

static void copy_lines_generic(void *dst, const void *src, size_t n_lines)
{
	uint64_t *to = dst;
	const uint8_t *from = src;

	for (size_t i = 0; i < n_lines * (PMEM_LINE / 8); i++) {
		uint64_t word;

		memcpy(&word, from + i * 8, 8);
		__atomic_store_n(&to[i], word, __ATOMIC_RELAXED);
	}
}

static void zero_lines_generic(void *dst, size_t n_lines)
{
	uint64_t *to = dst;

	for (size_t i = 0; i < n_lines * (PMEM_LINE / 8); i++)
		__atomic_store_n(&to[i], 0, __ATOMIC_RELAXED);
}

static void flush_lines_generic(const void *first, size_t n_lines)
{
	(void)first;
	(void)n_lines;
}

static void fence_generic(void)
{
	__sync_synchronize();
}

static const struct pmem_isa isa_generic = {
	.name = "generic",
	.writes_back = 0,
	.copy_lines = copy_lines_generic,
	.zero_lines = zero_lines_generic,
	.flush_lines = flush_lines_generic,
	.fence = fence_generic,
};

size_t pmem_isa_usable(const struct pmem_isa **out_list, size_t cap)
{
	size_t n = 0;

	if (!cap)
		return 0;
#if defined(__x86_64__)
	n = pmem_isa_usable_x86_64(out_list, cap - 1);
#elif defined(__aarch64__)
	n = pmem_isa_usable_aarch64(out_list, cap - 1);
#endif
	out_list[n++] = &isa_generic;
	return n;
}

const struct pmem_isa *pmem_isa_best(void)
{
	const struct pmem_isa *list[PMEM_ISA_MAX];

	pmem_isa_usable(list, PMEM_ISA_MAX);
	return list[0];
}
