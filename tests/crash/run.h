/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A workload run once on a recorded simulated device, and what may be found after a crash in it: the oracle.
 *
 *	struct run *run;
 *	run_new(w, 0, &run);			mkfs, mount, preparation, events reset, tested steps, pmem_sim_verify
 *	n = pmem_sim_events(run->pm, &ev);
 *	struct run_point pt = { 0 };
 *	for each event: ..., images before the fence with pt as it is; run_point_event(run, &pt, &ev[i]) at BEGIN and END
 *	mount the image; run_check(run, &pt, fs, why, sizeof(why))
 *
 * One thread: the state is that before or after the running step, and exactly that after the last one that returned if none
 * runs; for steps that are documented as several records, what lies between (run_check.c has the rules). Several threads: the
 *state of some serial order in which every returned step took place, with the result it gave, running ones did or did not, and
 *whatever returned before another began comes before it; each such order is replayed on a fresh engine once.
 */
#ifndef CRASH_RUN_H
#define CRASH_RUN_H

#include "crash/exec.h"
#include "crash/state.h"
#include "pmem/sim.h"

struct oracle;

struct run {
	const struct workload *w; /* the caller's, must outlive the run */
	struct pmem *pm; /* recorded; base image = after the preparation */
	struct zus_fs *fs; /* still mounted */
	struct exec *exec;
	struct oracle *oracle;
	uint64_t empty_free; /* free blocks right after mkfs */
	int failed; /* the live run itself is wrong (without a crash): why says how */
	char why[1024];
};

/* Where in the run: of each thread the tested steps that returned, and whether the next one is running. */
struct run_point {
	uint32_t returned[WORKLOAD_THREADS_MAX];
	uint8_t running[WORKLOAD_THREADS_MAX];
	uint32_t sim_thread[WORKLOAD_THREADS_MAX]; /* number in the events + 1; 0: not seen yet */
};

#define RUN_NO_MODEL 1u /* skip the cross-check of each state against the other file system (memfs) */

/* 0 (look at run->failed), or -errno: it could not be run at all (no memory, the preparation failed); why says what. */
int run_new(const struct workload *w, unsigned int flags, struct run **out, char *why, size_t why_size);
/* Abandons the mount, frees the device. */
void run_free(struct run *run);
/* Moves pt over an event (BEGIN and END matter, others are ignored). */
void run_point_event(const struct run *run, struct run_point *pt, const struct pmem_event *e);
/* A number for the set of states that are legal at pt: equal numbers, equal sets. For dropping duplicates together with the
 * image. */
uint64_t run_point_id(const struct run *run, const struct run_point *pt);
/* In words: "step 12 (rename A/foo bar) running, 11 returned". */
void run_point_print(const struct run *run, const struct run_point *pt, char *out, size_t out_size);
/*
 * Is what fs (a mount of an image) shows legal at pt? 0: yes. 1: no, why says in words what differs from before and after.
 * -errno: it cannot be read, why says where.
 */
int run_check(struct run *run, const struct run_point *pt, struct zus_fs *fs, char *why, size_t why_size);

#endif
