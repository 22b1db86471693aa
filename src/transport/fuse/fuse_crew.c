/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads of a connection (see fuse_crew.h). */
#include "transport/fuse/fuse_crew.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Interrupts a waiting thread; its handler does nothing. */
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

int fuse_crew_new(struct fuse_conn *conn, uint32_t n_workers, struct fuse_crew **out_crew)
{
	struct fuse_crew *crew = calloc(1, sizeof(*crew));

	if (!crew)
		return -ENOMEM;
	if (posix_memalign((void **)&crew->workers, 64, n_workers * sizeof(*crew->workers))) {
		free(crew);
		return -ENOMEM;
	}
	memset(crew->workers, 0, n_workers * sizeof(*crew->workers));
	crew->n_workers = n_workers;
	for (uint32_t i = 0; i < n_workers; i++) {
		crew->workers[i].crew = crew;
		crew->workers[i].conn = conn;
		crew->workers[i].cpu = FUSE_ANY_CPU;
	}
	pthread_mutex_init(&crew->lock, NULL);
	pthread_cond_init(&crew->changed, NULL);
	*out_crew = crew;
	return 0;
}

void fuse_crew_free(struct fuse_crew *crew)
{
	if (!crew)
		return;
	pthread_cond_destroy(&crew->changed);
	pthread_mutex_destroy(&crew->lock);
	free(crew->workers);
	free(crew);
}

static void worker_pin(const struct fuse_worker *worker)
{
	cpu_set_t *set;
	size_t len;

	if (worker->cpu == FUSE_ANY_CPU)
		return;
	set = CPU_ALLOC((size_t)worker->cpu + 1);
	if (!set)
		return;
	len = CPU_ALLOC_SIZE((size_t)worker->cpu + 1);
	CPU_ZERO_S(len, set);
	CPU_SET_S((size_t)worker->cpu, len, set);
	/* A CPU that is offline, or not ours, is served from elsewhere. */
	sched_setaffinity(0, len, set);
	CPU_FREE(set);
}

static void *worker_main(void *arg)
{
	struct fuse_worker *worker = arg;
	struct fuse_crew *crew = worker->crew;

	worker_pin(worker);
	worker->run(worker);
	pthread_mutex_lock(&crew->lock);
	crew->n_running--;
	pthread_cond_broadcast(&crew->changed);
	pthread_mutex_unlock(&crew->lock);
	__atomic_store_n(&worker->running, 0, __ATOMIC_RELEASE);
	return NULL;
}

bool fuse_worker_ready(struct fuse_worker *worker, int err)
{
	struct fuse_crew *crew = worker->crew;

	pthread_mutex_lock(&crew->lock);
	worker->start_err = err;
	crew->n_not_ready--;
	pthread_cond_broadcast(&crew->changed);
	while (!err && !crew->go && !fuse_conn_stopping(worker->conn))
		pthread_cond_wait(&crew->changed, &crew->lock);
	pthread_mutex_unlock(&crew->lock);
	return !err && !fuse_conn_stopping(worker->conn);
}

/* The server's signals are its main thread's; a worker takes only the one that wakes it. */
static int worker_start(struct fuse_worker *worker)
{
	sigset_t all, old;
	char name[16];
	int err;

	sigfillset(&all);
	sigdelset(&all, WAKE_SIGNAL);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	worker->running = 1;
	err = pthread_create(&worker->thread, NULL, worker_main, worker);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err) {
		worker->running = 0;
		return -err;
	}
	worker->started = true;
	snprintf(name, sizeof(name), "fuse-%u", worker->index);
	pthread_setname_np(worker->thread, name);
	return 0;
}

int fuse_crew_start(struct fuse_crew *crew)
{
	int err = 0;

	wake_handler_install();
	for (uint32_t i = 0; i < crew->n_workers && !err; i++) {
		pthread_mutex_lock(&crew->lock);
		crew->n_running++;
		crew->n_not_ready++;
		pthread_mutex_unlock(&crew->lock);
		err = worker_start(&crew->workers[i]);
		if (err) {
			pthread_mutex_lock(&crew->lock);
			crew->n_running--;
			crew->n_not_ready--;
			pthread_mutex_unlock(&crew->lock);
		}
	}
	pthread_mutex_lock(&crew->lock);
	while (crew->n_not_ready)
		pthread_cond_wait(&crew->changed, &crew->lock);
	pthread_mutex_unlock(&crew->lock);
	for (uint32_t i = 0; i < crew->n_workers && !err; i++)
		err = crew->workers[i].start_err;
	return err;
}

void fuse_crew_go(struct fuse_crew *crew)
{
	pthread_mutex_lock(&crew->lock);
	crew->go = true;
	pthread_cond_broadcast(&crew->changed);
	pthread_mutex_unlock(&crew->lock);
}

void fuse_crew_wait(struct fuse_crew *crew)
{
	pthread_mutex_lock(&crew->lock);
	while (crew->n_running && !__atomic_load_n(&crew->workers[0].conn->broken, __ATOMIC_ACQUIRE))
		pthread_cond_wait(&crew->changed, &crew->lock);
	pthread_mutex_unlock(&crew->lock);
}

void fuse_crew_stop(struct fuse_crew *crew)
{
	struct timespec interval = { .tv_nsec = WAKE_INTERVAL_NS };

	for (uint32_t i = 0; i < crew->n_workers; i++)
		__atomic_store_n(&crew->workers[i].conn->stopping, 1, __ATOMIC_RELEASE);
	fuse_crew_go(crew);
	for (uint32_t i = 0; i < crew->n_workers; i++) {
		struct fuse_worker *worker = &crew->workers[i];

		if (!worker->started)
			continue;
		while (__atomic_load_n(&worker->running, __ATOMIC_ACQUIRE)) {
			pthread_kill(worker->thread, WAKE_SIGNAL);
			nanosleep(&interval, NULL);
		}
		pthread_join(worker->thread, NULL);
		worker->started = false;
	}
}
