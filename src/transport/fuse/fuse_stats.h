/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Statistics per operation, always on: counts, bytes, errors, and latencies in powers of two.
 *
 * One block per thread, written by that thread only with relaxed stores; readers add the blocks up.
 */
#ifndef FUSE_STATS_H
#define FUSE_STATS_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define FUSE_STATS_N_OPS 64u
#define FUSE_STATS_N_BUCKETS 40u /* bucket i: [2^i, 2^(i+1)) ns */

struct fuse_op_stats {
	uint64_t count;
	uint64_t errors;
	uint64_t bytes;
	uint64_t total_ns;
	uint64_t buckets[FUSE_STATS_N_BUCKETS];
};

struct fuse_stats {
	struct fuse_op_stats ops[FUSE_STATS_N_OPS];
} __attribute__((aligned(64)));

static inline uint64_t fuse_stats_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline void fuse_stats_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline void fuse_stats_note(struct fuse_stats *stats, uint32_t opcode, uint64_t ns, uint64_t bytes, int failed)
{
	struct fuse_op_stats *op = &stats->ops[opcode < FUSE_STATS_N_OPS ? opcode : 0];
	uint32_t bucket = 63u - (uint32_t)__builtin_clzll(ns | 1);

	fuse_stats_add(&op->count, 1);
	fuse_stats_add(&op->total_ns, ns);
	fuse_stats_add(&op->buckets[bucket < FUSE_STATS_N_BUCKETS ? bucket : FUSE_STATS_N_BUCKETS - 1], 1);
	if (bytes)
		fuse_stats_add(&op->bytes, bytes);
	if (failed)
		fuse_stats_add(&op->errors, 1);
}

/* Adds from to sum. */
void fuse_stats_sum(struct fuse_stats *sum, const struct fuse_stats *from);
/* One line per operation that occurred, after a line of headings. Returns the length as snprintf does. */
size_t fuse_stats_print(const struct fuse_stats *sum, char *buf, size_t cap);

#endif
