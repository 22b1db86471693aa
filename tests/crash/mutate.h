/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mutation score: at each call site of the engine that stores, flushes, fences or logs, the step is left out or done at the
 * wrong moment (pmem/site.h), and the explorer has to notice. A mutation that passes is a hole in the tests, or a step that the
 * product does not need.
 */
#ifndef CRASH_MUTATE_H
#define CRASH_MUTATE_H

#include <stdint.h>

#include "pmem/site.h"

/* One thing that is done wrong at one site. */
struct mutant {
	uint32_t site; /* index from __start_pmem_sites */
	enum pmem_mutation mutation;
};

enum mutant_fate {
	MUTANT_WAITING,
	MUTANT_RUNNING,
	MUTANT_CAUGHT,
	MUTANT_DIED, /* the engine aborted or hung: noticed, too */
	MUTANT_MISSED,
	MUTANT_UNREACHED, /* no workload comes by */
};

/* Filled in by the process that runs the mutant; in shared memory. */
struct mutant_result {
	enum mutant_fate fate;
	uint32_t workload; /* the one that caught it, or that it died in */
	uint32_t n_tried;
	double seconds;
	char image[64];
	char why[160];
};

struct mutate_options {
	uint32_t jobs; /* processes at a time */
	uint32_t limit_s; /* for each mutation */
	uint64_t seed; /* of sampled workloads */
	int list; /* only list */
	const char *only; /* parts of mutations' names "FILE:LINE:CALL:MUTATION", with commas between, or NULL: all */
	const char *classes; /* classes of workloads ("mkfs" and "fsck": the scenarios), with commas between, or NULL: all */
};

/* File of a site from src/ on. */
const char *site_file(const struct pmem_site *site);
const char *mutation_name(enum pmem_mutation mutation);
/* All mutations of the engine's sites, heap; NULL: no memory. */
struct mutant *mutants_list(uint32_t *out_n);
/* Runs all and prints the table. Exit status of the program: 0 every mutation was noticed; 1 not; 2 it could not be done. */
int mutate_run(const struct mutate_options *opt);

#endif
