/* SPDX-License-Identifier: BSD-3-Clause */
/* Workloads by chance, and those of threads; see gen.c, concurrent.c. */
#ifndef CRASH_GEN_H
#define CRASH_GEN_H

#include <stdint.h>

/* For struct workload_class: text on the heap; NULL: no memory, or i is too large. */
char *gen_text(uint64_t i, uint64_t seed);
char *concurrent_text(uint64_t i, uint64_t seed);

#define CONCURRENT_PAIRS 56u
#define CONCURRENT_SCHEDULES 48u /* for each pair */
#define CONCURRENT_COUNT (CONCURRENT_PAIRS * CONCURRENT_SCHEDULES)

/* xorshift64*: state must not be 0. Uniform below limit, near enough. */
static inline uint64_t gen_rand(uint64_t *state, uint64_t limit)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * 0x2545f4914f6cdd1dull >> 24) % limit;
}

static inline uint64_t gen_rand_begin(uint64_t i, uint64_t seed)
{
	uint64_t state = (i + 1) * 0x9e3779b97f4a7c15ull ^ seed * 0xbf58476d1ce4e5b9ull;

	state |= !state;
	for (int warm = 0; warm < 8; warm++)
		(void)gen_rand(&state, 2);
	return state;
}

/* rare.c */
#define RARE_WORKLOADS 35u
char *rare_text(uint64_t i, uint64_t seed);

#endif
