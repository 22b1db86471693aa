/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs one case of metabench (an operation, a directory, a number of clients) for a short time, and the statistics over
 * rounds.
 */
#ifndef BENCH_RUNNER_H
#define BENCH_RUNNER_H

#include <stddef.h>
#include <stdint.h>

struct bench_op;

#define BENCH_MAX_CLIENTS 64u
#define BENCH_MAX_ROUNDS 101u

struct bench_case {
	char name[128];
	const struct bench_op *op;
	const char *dir;
	uint32_t clients;
	int same_file; /* clients share one data file */
	int not_pinned; /* the scheduler chooses the CPUs */
	int err; /* -errno of the first run that failed; no further runs then */
	double rates[BENCH_MAX_ROUNDS]; /* operations per second, by round */
};

struct bench_run_args {
	uint32_t run_ms; /* timed part of a run */
	uint32_t round;
	uint64_t file_size; /* bytes */
	int direct;
};

/* By name, or by index for a walk; NULL when there is none. */
const struct bench_op *bench_op_find(const char *name);
const struct bench_op *bench_op_at(size_t i);

/* Runs the case once and stores rates[args->round], or err. */
void bench_case_run(struct bench_case *c, const struct bench_run_args *args);

double bench_median(const double *v, uint32_t n);
/* Median over i of a[i] / b[i]. */
double bench_median_ratio(const double *a, const double *b, uint32_t n);

#endif
