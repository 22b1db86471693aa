/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Range locks of one file: overlapping writes exclude each other and overlapping reads, everything else runs in parallel.
 * The holders stand in a list (its length is the number of transfers under way in this file).
 */
#ifndef PMFS2_RANGE_LOCK_H
#define PMFS2_RANGE_LOCK_H

#include <pthread.h>
#include <stdint.h>

#include "base/lock.h"

struct range {
	uint64_t start; /* bytes */
	uint64_t end; /* exclusive */
	uint64_t ticket; /* order of arrival: who came first goes first */
	struct range *next;
	int write;
};

struct range_lock {
	struct mutex mu; /* LOCK_RANK_RANGE */
	pthread_cond_t freed;
	struct range *held; /* granted and waiting, in order of arrival */
	uint32_t waiters;
};

void range_lock_init(struct range_lock *rl);
void range_lock_fini(struct range_lock *rl);
/* r stays the caller's and must live until range_unlock. Blocks. */
void range_lock(struct range_lock *rl, struct range *r, uint64_t start, uint64_t end, int write);
void range_unlock(struct range_lock *rl, struct range *r);

#endif
