/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Range locks of one file. All ranges, granted or waiting, stand in one list in order of arrival; a range may go when no earlier
 * one in the list conflicts with it. So nobody is overtaken by somebody who conflicts with him, and nobody waits for somebody who
 * does not. An unlock wakes the waiters only if the range that goes conflicts with one that waits.
 */
#include "pmfs2/range_lock.h"

#include <stddef.h>

#if DEBUG_CHECKS
#include <assert.h>
#endif

void range_lock_init(struct range_lock *rl)
{
	mutex_init(&rl->mu, LOCK_RANK_RANGE, 0);
	pthread_cond_init(&rl->freed, NULL);
	rl->held = NULL;
	rl->waiters = 0;
}

void range_lock_fini(struct range_lock *rl)
{
#if DEBUG_CHECKS
	assert(!rl->held);
#endif
	pthread_cond_destroy(&rl->freed);
	mutex_fini(&rl->mu);
}

static int conflict(const struct range *a, const struct range *b)
{
	return (a->write || b->write) && a->start < b->end && b->start < a->end;
}

/* Under mu: no earlier range conflicts. */
static int may_go(const struct range_lock *rl, const struct range *r)
{
	for (const struct range *other = rl->held; other != r; other = other->next)
		if (conflict(other, r))
			return 0;
	return 1;
}

void range_lock(struct range_lock *rl, struct range *r, uint64_t start, uint64_t end, int write)
{
	struct range **tail;

	r->start = start;
	r->end = end;
	r->write = write;
	r->next = NULL;
	r->ticket = 0;
	mutex_lock(&rl->mu);
	for (tail = &rl->held; *tail; tail = &(*tail)->next)
		r->ticket = (*tail)->ticket + 1;
	*tail = r;
	while (!may_go(rl, r)) {
		rl->waiters++;
		pthread_cond_wait(&rl->freed, &rl->mu.m);
		rl->waiters--;
	}
	mutex_unlock(&rl->mu);
}

void range_unlock(struct range_lock *rl, struct range *r)
{
	struct range **at;
	int wake = 0;

	mutex_lock(&rl->mu);
	for (at = &rl->held; *at != r; at = &(*at)->next)
		;
	*at = r->next;
	/* Only later ranges can have waited for this one. */
	for (const struct range *later = r->next; later && rl->waiters && !wake; later = later->next)
		wake = conflict(later, r);
	if (wake)
		pthread_cond_broadcast(&rl->freed);
	mutex_unlock(&rl->mu);
}
