/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Block allocator of memfs: groups of 32 MiB with a bitmap each. A CPU stays with one group, so that two CPUs do not contend and
 * the blocks of one write lie side by side. A free makes its group the CPU's current one: warm memory is used again first. A
 * group that was well used and is empty gives its memory back to the system.
 */
#include "memfs/mem_alloc.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "base/util.h"

#define GIVE_BACK_BLOCKS (MEM_GROUP_BLOCKS / 2)

static _Atomic uint32_t *alloc_current(struct mem_alloc *alloc)
{
	int cpu = sched_getcpu();

	return &alloc->current[(cpu < 0 ? 0u : (uint32_t)cpu) % alloc->n_slots];
}

int mem_alloc_init(struct mem_alloc *alloc, void *base, uint64_t n_blocks)
{
	uint64_t n_groups = (n_blocks + MEM_GROUP_BLOCKS - 1) / MEM_GROUP_BLOCKS;
	int n_cpus = get_nprocs_conf();

	if (!n_blocks || n_groups > UINT32_MAX)
		return -EINVAL;
	alloc->groups = calloc(n_groups, sizeof(*alloc->groups));
	if (!alloc->groups)
		return -ENOMEM;
	alloc->base = base;
	alloc->n_blocks = n_blocks;
	alloc->n_groups = (uint32_t)n_groups;
	alloc->n_slots = n_cpus < 1 ? 1u : (uint32_t)u64_min((uint64_t)n_cpus, MEM_ALLOC_SLOTS);
	atomic_init(&alloc->n_free, (int64_t)n_blocks);
	for (uint32_t i = 0; i < alloc->n_slots; i++)
		atomic_init(&alloc->current[i], (uint32_t)((uint64_t)i * n_groups / alloc->n_slots));
	for (uint32_t g = 0; g < alloc->n_groups; g++)
		pthread_mutex_init(&alloc->groups[g].lock, NULL);
	for (uint64_t b = n_blocks; b < n_groups * MEM_GROUP_BLOCKS; b++)
		alloc->groups[n_groups - 1].used[b % MEM_GROUP_BLOCKS / 64] |= 1ull << b % 64;
	return 0;
}

void mem_alloc_fini(struct mem_alloc *alloc)
{
	for (uint32_t g = 0; alloc->groups && g < alloc->n_groups; g++)
		pthread_mutex_destroy(&alloc->groups[g].lock);
	free(alloc->groups);
	alloc->groups = NULL;
}

uint64_t mem_alloc_reserve(struct mem_alloc *alloc, uint64_t want)
{
	int64_t n_free = atomic_load_explicit(&alloc->n_free, memory_order_relaxed);
	int64_t take;

	do {
		take = (int64_t)u64_min(want, n_free > 0 ? (uint64_t)n_free : 0);
		if (!take)
			return 0;
	} while (!atomic_compare_exchange_weak_explicit(&alloc->n_free, &n_free, n_free - take, memory_order_relaxed,
							memory_order_relaxed));
	return (uint64_t)take;
}

void mem_alloc_unreserve(struct mem_alloc *alloc, uint64_t n_blocks)
{
	atomic_fetch_add_explicit(&alloc->n_free, (int64_t)n_blocks, memory_order_relaxed);
}

/* The first run of clear bits, at most want long; 0 if the group is full. */
static uint32_t group_take_locked(struct mem_group *group, uint64_t want, uint32_t *out_first)
{
	uint32_t word = group->hint, first, at, n = 0;

	while (word < MEM_GROUP_WORDS && group->used[word] == ~0ull)
		word++;
	group->hint = word;
	if (word == MEM_GROUP_WORDS)
		return 0;
	first = word * 64 + (uint32_t)__builtin_ctzll(~group->used[word]);
	for (at = first; n < want && at < MEM_GROUP_BLOCKS; at = first + n) {
		if (at % 64 == 0 && want - n >= 64 && !group->used[at / 64]) {
			group->used[at / 64] = ~0ull;
			n += 64;
			continue;
		}
		if (group->used[at / 64] >> at % 64 & 1)
			break;
		group->used[at / 64] |= 1ull << at % 64;
		n++;
	}
	group->n_used += n;
	if (group->n_used > group->n_touched)
		group->n_touched = group->n_used;
	*out_first = first;
	return n;
}

uint64_t mem_alloc_take(struct mem_alloc *alloc, uint64_t want, uint64_t *out_first)
{
	_Atomic uint32_t *current = alloc_current(alloc);
	uint32_t start = atomic_load_explicit(current, memory_order_relaxed), g = start, first, n;

	for (;;) {
		pthread_mutex_lock(&alloc->groups[g].lock);
		n = group_take_locked(&alloc->groups[g], want, &first);
		pthread_mutex_unlock(&alloc->groups[g].lock);
		if (n)
			break;
		g = g + 1 < alloc->n_groups ? g + 1 : 0;
		if (g == start)
			sched_yield(); /* a free that this reservation counts on was behind the search */
	}
	if (g != start)
		atomic_store_explicit(current, g, memory_order_relaxed);
	*out_first = (uint64_t)g * MEM_GROUP_BLOCKS + first;
	return n;
}

static void group_free_locked(struct mem_alloc *alloc, uint32_t g, uint32_t first, uint32_t n)
{
	struct mem_group *group = &alloc->groups[g];

	for (uint32_t at = first; at < first + n; at++)
		group->used[at / 64] &= ~(1ull << at % 64);
	group->n_used -= n;
	if (first / 64 < group->hint)
		group->hint = first / 64;
	if (!group->n_used && group->n_touched >= GIVE_BACK_BLOCKS) {
		uint64_t start = (uint64_t)g * MEM_GROUP_BLOCKS;
		uint64_t len = u64_min(MEM_GROUP_BLOCKS, alloc->n_blocks - start);

		madvise(alloc->base + (start << MEM_BLOCK_SHIFT), len << MEM_BLOCK_SHIFT, MADV_DONTNEED);
		group->n_touched = 0;
	}
}

void mem_alloc_free(struct mem_alloc *alloc, uint64_t first, uint64_t n_blocks)
{
	uint64_t end = first + n_blocks;

	while (first < end) {
		uint32_t g = (uint32_t)(first / MEM_GROUP_BLOCKS), at = (uint32_t)(first % MEM_GROUP_BLOCKS);
		uint32_t n = (uint32_t)u64_min(end - first, MEM_GROUP_BLOCKS - at);

		pthread_mutex_lock(&alloc->groups[g].lock);
		group_free_locked(alloc, g, at, n);
		pthread_mutex_unlock(&alloc->groups[g].lock);
		atomic_store_explicit(alloc_current(alloc), g, memory_order_relaxed);
		first += n;
	}
	mem_alloc_unreserve(alloc, n_blocks);
}
