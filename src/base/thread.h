/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread that serves requests: pinned to a CPU, and deaf to every signal (those of the process are its main thread's) but those
 * of its own faults and one that thread_stop() uses to get it out of a system call it waits in. What it runs has to look at a
 * flag of its owner's behind each such call.
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#define THREAD_ANY_CPU (-1)

struct thread {
	pthread_t id;
	bool started; /* thread_stop() has to be called */
	int running; /* atomic */
	int cpu;
	void (*run)(void *arg);
	void *arg;
};

/*
 * Starts run(arg) on cpu, or on any (also where that one is offline or not ours). name: at most 15 bytes. 0, or -errno, and
 * nothing was started. *t has to stay where it is until thread_stop().
 */
int thread_start(struct thread *t, const char *name, int cpu, void (*run)(void *arg), void *arg);
/* Interrupts its system calls, again and again, until it has ended by itself. Nothing where it was not started. */
void thread_stop(struct thread *t);

#endif
