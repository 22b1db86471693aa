/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of the oracle share. */
#ifndef CRASH_RUN_PRIVATE_H
#define CRASH_RUN_PRIVATE_H

#include "crash/run.h"
#include "crash/run_device.h"

#define RUN_STEPS_CONCURRENT 400u /* tested steps of a workload with threads */

/* Tested steps (numbers from the first tested one on) in one order, done on a fresh engine. */
struct replay {
	struct replay *next;
	uint16_t seq[RUN_STEPS_CONCURRENT];
	uint32_t n;
	int result[RUN_STEPS_CONCURRENT]; /* by position in seq */
	struct state *state;
};

/* What is legal at a point of a run with threads. */
struct legal {
	struct legal *next;
	uint64_t id; /* of the point */
	const struct state **states; /* of orders, without duplicates */
	uint32_t n, cap;
};

struct oracle {
	struct state **states; /* one thread: before the first and behind each tested step; threads: [0] only */
	uint32_t n_states;
	uint32_t n_of_thread[WORKLOAD_THREADS_MAX]; /* tested steps */
	struct replay *replays;
	struct legal *legals;
};

/* A state with copies of data, as recovery would leave it: what only descriptors hold is free. */
int run_capture(struct zus_fs *fs, const struct exec *x, const struct state *prev, struct state **out, char *why,
		size_t why_size);
void run_oracle_free(struct oracle *o);
/* The nth tested step of a thread, as a step of the workload. */
uint32_t run_step_of(const struct run *run, uint32_t thread, uint32_t nth);
/* All states that orders of the steps of pt give. 0 or -errno, why in words. */
int run_legal(struct run *run, const struct run_point *pt, const struct legal **out, char *why, size_t why_size);

#endif
