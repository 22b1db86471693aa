/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads of a workload, and the turn that one of them has (see exec.h).
 *
 * A thread waits for its turn before each event of the record and before each step. Whoever waits looks now and then whether the
 * one that has the turn sleeps in the kernel without having made progress: then it waits for a lock, and the turn goes on.
 *
 * Lock: turn.mu protects everything but the arguments of threads.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "crash/exec_private.h"
#include "pmem/sim.h"

#define LOOK_EVERY_NS 200000
#define ASLEEP_LOOKS 2 /* in a row */
#define SCHED_RADIX 1000u

struct turn {
	pthread_mutex_t mu;
	pthread_cond_t changed;
	uint32_t n;
	uint32_t holder;
	uint64_t moves; /* events and steps of the holder: progress */
	uint32_t events[WORKLOAD_THREADS_MAX];
	uint32_t yield_at[WORKLOAD_THREADS_MAX]; /* before this event; 0: never */
	uint8_t ended[WORKLOAD_THREADS_MAX];
	pid_t tid[WORKLOAD_THREADS_MAX]; /* 0: not started */
};

struct worker {
	struct exec *x;
	struct turn *turn; /* NULL: runs freely */
	uint32_t thread;
	pthread_t handle;
};

static _Thread_local uint32_t self; /* number of the worker + 1 */

/* To the next one that has not ended. */
static void turn_pass_locked(struct turn *t)
{
	for (uint32_t i = 1; i <= t->n; i++) {
		uint32_t next = (t->holder + i) % t->n;

		if (!t->ended[next]) {
			t->holder = next;
			break;
		}
	}
	t->moves++;
	pthread_cond_broadcast(&t->changed);
}

static int is_asleep(pid_t tid)
{
	char path[64], buf[256] = "", *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (!fgets(buf, sizeof(buf), f))
		buf[0] = '\0';
	fclose(f);
	end = strrchr(buf, ')');
	return end && end[1] == ' ' && end[2] == 'S';
}

static void turn_wait_locked(struct turn *t, uint32_t me)
{
	uint64_t seen = 0;
	int looks = 0;

	while (t->holder != me) {
		struct timespec until;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += LOOK_EVERY_NS;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		if (pthread_cond_timedwait(&t->changed, &t->mu, &until) != ETIMEDOUT || t->holder == me)
			continue;
		if (t->moves != seen || !t->tid[t->holder] || !is_asleep(t->tid[t->holder]))
			looks = 0;
		else
			looks++;
		seen = t->moves;
		if (looks >= ASLEEP_LOOKS) {
			looks = 0;
			turn_pass_locked(t);
		}
	}
}

/* Before each event. */
static void turn_hook(void *ctx)
{
	struct turn *t = ctx;
	uint32_t me = self - 1;

	if (!self)
		return;
	pthread_mutex_lock(&t->mu);
	turn_wait_locked(t, me);
	t->moves++;
	if (++t->events[me] == t->yield_at[me]) {
		turn_pass_locked(t);
		turn_wait_locked(t, me);
	}
	pthread_mutex_unlock(&t->mu);
}

static void *worker_run(void *arg)
{
	struct worker *me = arg;
	const struct workload *w = me->x->w;

	self = me->thread + 1;
	if (me->turn) {
		pthread_mutex_lock(&me->turn->mu);
		me->turn->tid[me->thread] = (pid_t)syscall(SYS_gettid);
		pthread_mutex_unlock(&me->turn->mu);
	}
	for (uint32_t step = w->n_setup_steps; step < w->n_steps; step++) {
		if (w->steps[step].thread != me->thread)
			continue;
		if (me->turn) {
			pthread_mutex_lock(&me->turn->mu);
			turn_wait_locked(me->turn, me->thread);
			me->turn->moves++;
			pthread_mutex_unlock(&me->turn->mu);
		}
		(void)exec_step(me->x, step);
	}
	if (me->turn) {
		pthread_mutex_lock(&me->turn->mu);
		me->turn->ended[me->thread] = 1;
		if (me->turn->holder == me->thread)
			turn_pass_locked(me->turn);
		pthread_mutex_unlock(&me->turn->mu);
	}
	return NULL;
}

static void turn_init(struct turn *t, const struct workload *w)
{
	pthread_condattr_t attr;

	*t = (struct turn){ .n = w->n_threads, .yield_at = { w->sched % SCHED_RADIX, w->sched / SCHED_RADIX } };
	pthread_mutex_init(&t->mu, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->changed, &attr);
	pthread_condattr_destroy(&attr);
}

int exec_threads(struct exec *x)
{
	struct worker workers[WORKLOAD_THREADS_MAX];
	const struct workload *w = x->w;
	struct turn turn;
	uint32_t n = 0;
	int err = 0;

	if (w->n_threads == 1) {
		for (uint32_t step = w->n_setup_steps; step < w->n_steps; step++)
			(void)exec_step(x, step);
		return 0;
	}
	turn_init(&turn, w);
	if (w->sched && x->sim)
		pmem_sim_set_hook(x->sim, turn_hook, &turn);
	for (; n < w->n_threads && !err; n++) {
		workers[n] = (struct worker){ .x = x, .turn = w->sched && x->sim ? &turn : NULL, .thread = n };
		err = -pthread_create(&workers[n].handle, NULL, worker_run, &workers[n]);
	}
	if (err) {
		/* Those that never started must not be waited for. */
		n--;
		pthread_mutex_lock(&turn.mu);
		for (uint32_t i = n; i < w->n_threads; i++)
			turn.ended[i] = 1;
		if (turn.ended[turn.holder])
			turn_pass_locked(&turn);
		pthread_mutex_unlock(&turn.mu);
	}
	for (uint32_t i = 0; i < n; i++)
		pthread_join(workers[i].handle, NULL);
	if (x->sim)
		pmem_sim_set_hook(x->sim, NULL, NULL);
	pthread_cond_destroy(&turn.changed);
	pthread_mutex_destroy(&turn.mu);
	return err;
}
