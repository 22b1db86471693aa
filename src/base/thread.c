/* SPDX-License-Identifier: BSD-3-Clause */
/* See thread.h. */
#include "base/thread.h"

#include <sched.h>
#include <signal.h>
#include <time.h>

/* Its handler does nothing. */
#define WAKE_SIGNAL (SIGRTMIN + 3)
#define WAKE_INTERVAL_NS 5000000

static void wake_handler(int sig)
{
	(void)sig;
}

static void wake_handler_install(void)
{
	struct sigaction sa = { .sa_handler = wake_handler };

	sigemptyset(&sa.sa_mask);
	sigaction(WAKE_SIGNAL, &sa, NULL);
}

static void pin(int cpu)
{
	cpu_set_t *set;
	size_t len;

	if (cpu == THREAD_ANY_CPU)
		return;
	set = CPU_ALLOC((size_t)cpu + 1);
	if (!set)
		return;
	len = CPU_ALLOC_SIZE((size_t)cpu + 1);
	CPU_ZERO_S(len, set);
	CPU_SET_S((size_t)cpu, len, set);
	/* A CPU that is offline, or not ours, is served from elsewhere. */
	sched_setaffinity(0, len, set);
	CPU_FREE(set);
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	pin(t->cpu);
	t->run(t->arg);
	__atomic_store_n(&t->running, 0, __ATOMIC_RELEASE);
	return NULL;
}

int thread_start(struct thread *t, const char *name, int cpu, void (*run)(void *arg), void *arg)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	sigset_t all, old;
	int err;

	pthread_once(&once, wake_handler_install);
	*t = (struct thread){ .running = 1, .cpu = cpu, .run = run, .arg = arg };
	sigfillset(&all);
	sigdelset(&all, WAKE_SIGNAL);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&t->id, NULL, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return -err;
	t->started = true;
	pthread_setname_np(t->id, name);
	return 0;
}

void thread_stop(struct thread *t)
{
	struct timespec interval = { .tv_nsec = WAKE_INTERVAL_NS };

	if (!t->started)
		return;
	while (__atomic_load_n(&t->running, __ATOMIC_ACQUIRE)) {
		pthread_kill(t->id, WAKE_SIGNAL);
		nanosleep(&interval, NULL);
	}
	pthread_join(t->id, NULL);
	t->started = false;
}
