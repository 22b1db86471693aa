/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads of a connection (see fuse_crew.h). */
#include "transport/fuse/fuse_crew.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
		crew->workers[i].cpu = THREAD_ANY_CPU;
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

static void worker_main(void *arg)
{
	struct fuse_worker *worker = arg;
	struct fuse_crew *crew = worker->crew;

	worker->run(worker);
	pthread_mutex_lock(&crew->lock);
	crew->n_running--;
	pthread_cond_broadcast(&crew->changed);
	pthread_mutex_unlock(&crew->lock);
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

int fuse_crew_start(struct fuse_crew *crew)
{
	int err = 0;

	for (uint32_t i = 0; i < crew->n_workers && !err; i++) {
		struct fuse_worker *worker = &crew->workers[i];
		char name[16];

		pthread_mutex_lock(&crew->lock);
		crew->n_running++;
		crew->n_not_ready++;
		pthread_mutex_unlock(&crew->lock);
		snprintf(name, sizeof(name), "fuse-%u", worker->index);
		err = thread_start(&worker->thread, name, worker->cpu, worker_main, worker);
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
	for (uint32_t i = 0; i < crew->n_workers; i++)
		__atomic_store_n(&crew->workers[i].conn->stopping, 1, __ATOMIC_RELEASE);
	fuse_crew_go(crew);
	for (uint32_t i = 0; i < crew->n_workers; i++)
		thread_stop(&crew->workers[i].thread);
}
