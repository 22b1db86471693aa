/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs the steps of a workload through the plug-in interface.
 *
 * A step walks its paths with lookup and gives each reference back; descriptors keep theirs until "close" or exec_free(). Between
 * pmem_sim_begin() and pmem_sim_end() lies the operation proper and the walk.
 *
 * Time: while a step runs, the clock of the engine stands at a time of the step's own (see clock.c), so that times are the same
 *in each run and in each order of the threads' steps.
 *
 * Threads: with sched = 0 they run freely. Otherwise one of them has the turn, and loses it
 *	- thread 1 before its Nth event of the record (store, flush, fence), N = sched % 1000;
 *	- thread 2 before its Mth event, M = sched / 1000 (0: never);
 *	- each when it is done, or sleeps because of a lock that another holds.
 * So a run is the same each time as far as threads do not wait for locks.
 */
#ifndef CRASH_EXEC_H
#define CRASH_EXEC_H

#include "crash/workload.h"
#include "pmem/pmem.h"
#include "zus/plugin.h"

struct exec;

/* sim: the recorded device below fs, for the markers; NULL: none. */
int exec_new(const struct workload *w, struct zus_fs *fs, struct pmem *sim, struct exec **out);
/* Gives all references back. Not after the mount is gone. */
void exec_free(struct exec *x);
/* Forgets without touching fs: for a mount that was abandoned. */
void exec_drop(struct exec *x);
/* Runs step number step on this thread, marked. What the operation gave: 0 or -errno. */
int exec_step(struct exec *x, uint32_t step);
/* The steps that prepare. 0, or the error of the first that failed, its number in out_step. */
int exec_setup(struct exec *x, uint32_t *out_step);
/* What the step gave, for one that has run. */
int exec_result(const struct exec *x, uint32_t step);
/* Order of begin and end over all threads: numbers that grow; 0: not yet. */
void exec_stamps(const struct exec *x, uint32_t step, uint64_t *out_begin, uint64_t *out_end);
/* Blocks and inodes of files without a name that descriptors hold: recovery will free them. */
void exec_orphans(const struct exec *x, uint64_t *out_blocks, uint64_t *out_inodes);
/* All tested steps, each thread's on a thread of its own (one thread: on the caller's). 0, or -errno if a thread cannot start. */
int exec_threads(struct exec *x);

#endif
