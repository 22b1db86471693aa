/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads of a scan: each takes the next piece of a pass until none is left. A repair has one thread, the caller's. */
#include <errno.h>
#include <stdlib.h>

#include "fsck/state.h"

#define THREADS_MAX 64u
#define MEMORY_DEFAULT (128ull << 20)

struct crew {
	struct fsck *fk;
	const struct work *work;
	uint64_t next; /* atomic: first item that nobody has taken */
	uint64_t done; /* atomic */
};

void fsck_progress(struct fsck *fk, enum fsck_pass pass, uint64_t done, uint64_t total)
{
	if (!fk->opt->progress)
		return;
	pthread_mutex_lock(&fk->lock);
	fk->opt->progress(fk->opt->ctx, pass, done, total);
	pthread_mutex_unlock(&fk->lock);
}

static void *crew_member(void *arg)
{
	struct crew *crew = arg;
	const struct work *work = crew->work;
	struct fsck *fk = crew->fk;
	uint64_t bound = fk->opt->memory_bytes ? fk->opt->memory_bytes : MEMORY_DEFAULT;
	void *scratch = work->scratch_bytes ? malloc(work->scratch_bytes) : NULL;

	if (work->scratch_bytes && !scratch) {
		fsck_fail(fk, -ENOMEM);
		return NULL;
	}
	while (!__atomic_load_n(&fk->err, __ATOMIC_RELAXED)) {
		uint64_t first = __atomic_fetch_add(&crew->next, work->step, __ATOMIC_RELAXED), n, done;

		if (first >= work->n)
			break;
		n = u64_min(work->step, work->n - first);
		work->fn(fk, first, n, scratch);
		done = __atomic_add_fetch(&crew->done, n, __ATOMIC_RELAXED);
		fsck_progress(fk, work->pass, done, work->n);
		if (work->n > work->step)
			disk_trim(&fk->disk, bound);
	}
	free(scratch);
	return NULL;
}

void workers_run(struct fsck *fk, const struct work *work)
{
	struct crew crew = { .fk = fk, .work = work };
	uint64_t pieces = (work->n + work->step - 1) / work->step;
	uint32_t n = fk->fixing ? 1 : (uint32_t)u64_min(u64_min(fk->threads, THREADS_MAX), pieces), started = 0;
	pthread_t threads[THREADS_MAX];

	/* One that cannot be started is no loss but time: the caller works too. */
	while (started + 1 < n && !pthread_create(&threads[started], NULL, crew_member, &crew))
		started++;
	crew_member(&crew);
	while (started)
		pthread_join(threads[--started], NULL);
}
