/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blocks of 4 KiB out of one anonymous mapping.
 *
 * Invariant: n_free never exceeds the number of clear bits, so a reservation always finds its blocks.
 * Locks: one per group of blocks, innermost of all; n_free is atomic.
 */
#ifndef MEM_ALLOC_H
#define MEM_ALLOC_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define MEM_BLOCK_SHIFT 12
#define MEM_BLOCK_SIZE (1ull << MEM_BLOCK_SHIFT)
#define MEM_GROUP_BLOCKS 8192u
#define MEM_GROUP_WORDS (MEM_GROUP_BLOCKS / 64)
#define MEM_ALLOC_SLOTS 64u

struct mem_group {
	pthread_mutex_t lock;
	uint32_t n_used;
	uint32_t n_touched; /* highest n_used since the group's memory was last given back */
	uint32_t hint; /* no clear bit in the words below */
	uint64_t used[MEM_GROUP_WORDS];
};

struct mem_alloc {
	char *base;
	uint64_t n_blocks;
	uint32_t n_groups;
	uint32_t n_slots;
	struct mem_group *groups;
	_Atomic int64_t n_free;
	_Atomic uint32_t current[MEM_ALLOC_SLOTS]; /* group that a CPU allocates from */
};

int mem_alloc_init(struct mem_alloc *alloc, void *base, uint64_t n_blocks);
void mem_alloc_fini(struct mem_alloc *alloc);

/* Reserves up to want blocks; returns how many, 0 when there are none. */
uint64_t mem_alloc_reserve(struct mem_alloc *alloc, uint64_t want);
/* Gives back what was reserved and not taken. */
void mem_alloc_unreserve(struct mem_alloc *alloc, uint64_t n_blocks);
/* Takes up to want (>= 1) adjacent blocks out of a reservation. Contents are arbitrary. Returns how many, at least 1. */
uint64_t mem_alloc_take(struct mem_alloc *alloc, uint64_t want, uint64_t *out_first);
void mem_alloc_free(struct mem_alloc *alloc, uint64_t first, uint64_t n_blocks);

#endif
