/* SPDX-License-Identifier: BSD-3-Clause */
/* Explores the workloads of a plan in several processes, so that one that dies or hangs costs no more than its workload. */
#ifndef CRASH_JOBS_H
#define CRASH_JOBS_H

#include <stdio.h>

#include "crash/plan.h"

struct jobs_options {
	uint32_t jobs; /* processes */
	uint32_t seconds; /* no workload is begun after so many; 0: no limit */
	int stop; /* at the first failure */
	int minimise; /* workloads that fail */
	int progress; /* a line on stderr that moves */
};

struct jobs_result {
	struct explore_stats stats;
	uint64_t traces; /* different records of operations */
	double seconds;
	char *failures; /* text for a person, heap, or NULL */
	char first[4096]; /* the first failure: its workload and image */
};

/* 0 or -errno. The caller frees out->failures. */
int jobs_run(const struct plan *plan, const struct jobs_options *opt, struct jobs_result *out);

#endif
