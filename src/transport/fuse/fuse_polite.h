/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keeping a client and the thread that serves it on one core.
 *
 * When a server thread wakes its client, the scheduler looks for an idle core for it, and on a quiet machine finds one: the
 * client moves, another core has to be woken from its sleep, and a request takes three times as long (in virtual machines; less
 * elsewhere).
 * A core that runs nothing but SCHED_IDLE threads counts as idle, so a server thread with that policy keeps its client. But when
 * others want the same core, such a thread starves. So each thread watches, and has that policy only while
 *  1. some core is free (fewer threads want to run than there are cores), and
 *  2. it has not had to wait for its core since it was last looked at.
 * It takes a privilege to leave the policy again (CAP_SYS_NICE); a thread without it never enters it.
 *
 * A thread that is not bound to a core from the start (the classic channel) also goes to its client's core for as long as it has
 * the policy: the kernel would wake it on another one, too.
 */
#ifndef FUSE_POLITE_H
#define FUSE_POLITE_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

struct fuse_polite {
	int schedstat_fd; /* of the thread; -1: never polite */
	int loadavg_fd;
	uint32_t n_cpus;
	bool follows; /* goes to the client's core */
	bool polite; /* SCHED_IDLE now */
	cpu_set_t allowed; /* cores that this thread may run on, as it was when it started */
	int bound_cpu; /* follows: where it is bound to now, or -1 */
	uint32_t n_quiet; /* looks in a row that found a free core */
	uint64_t last_delay_ns; /* time spent waiting for the core, as of the last look */
	uint64_t look_at_ns; /* next look */
	uint64_t since_ns; /* polite: since when; else: not before */
	uint64_t hold_ns; /* how long to stay away after starving */
};

/* By the thread itself. Never fails: without what it needs, nothing is ever changed. */
void fuse_polite_init(struct fuse_polite *polite, bool follows);
void fuse_polite_fini(struct fuse_polite *polite);
/* The slow part of fuse_polite_tick(). */
void fuse_polite_look(struct fuse_polite *polite, uint64_t now_ns, uint32_t client);

/* To be called after requests, with the time (fuse_stats_now_ns()) and the thread id of the last client; cheap. */
static inline void fuse_polite_tick(struct fuse_polite *polite, uint64_t now_ns, uint32_t client)
{
	if (now_ns >= polite->look_at_ns)
		fuse_polite_look(polite, now_ns, client);
}

#endif
