/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The threads of one connection: started, waited for, stopped together.
 *
 * A thread ends by itself when the kernel ends the connection. fuse_crew_stop() ends them while it lives: the connection's stop
 * flag is set, and a signal interrupts whatever system call a thread waits in, again and again until it is gone.
 */
#ifndef FUSE_CREW_H
#define FUSE_CREW_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/thread.h"
#include "transport/fuse/fuse_conn.h"
#include "transport/fuse/fuse_stats.h"

struct fuse_crew;

struct fuse_worker {
	struct fuse_crew *crew;
	struct fuse_conn *conn;
	int cpu; /* to run on, or THREAD_ANY_CPU */
	uint32_t index; /* among the threads of its kind */
	/* Returns when the connection has ended or shall end. */
	void (*run)(struct fuse_worker *worker);
	void *priv; /* run's own */
	int start_err; /* what fuse_worker_ready() was told */
	struct thread thread;
	struct fuse_stats stats;
};

struct fuse_crew {
	struct fuse_worker *workers;
	uint32_t n_workers;
	uint32_t n_running; /* under lock */
	uint32_t n_not_ready; /* under lock */
	bool go; /* under lock: ready threads may serve */
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

int fuse_crew_new(struct fuse_conn *conn, uint32_t n_workers, struct fuse_crew **out_crew);
/* All threads have ended. NULL is fine. */
void fuse_crew_free(struct fuse_crew *crew);
/* Starts the threads and waits until each has called fuse_worker_ready(): the first error of those. */
int fuse_crew_start(struct fuse_crew *crew);
/* Lets the threads go on. */
void fuse_crew_go(struct fuse_crew *crew);
/* Returns when all threads have ended. */
void fuse_crew_wait(struct fuse_crew *crew);
/* Ends and joins all threads. */
void fuse_crew_stop(struct fuse_crew *crew);

/* Called by each thread once, when it has what it needs (0) or not (errno): waits for fuse_crew_go(). False: end instead. */
bool fuse_worker_ready(struct fuse_worker *worker, int err);

#endif
