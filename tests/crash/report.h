/* SPDX-License-Identifier: BSD-3-Clause */
/* The table at the end: a row for each figure, with its bar and whether it is met. */
#ifndef CRASH_REPORT_H
#define CRASH_REPORT_H

#include "crash/jobs.h"

struct report_options {
	const char *title;
	uint64_t planned; /* workloads */
	uint32_t seconds_max; /* 0: no bar */
	int rates; /* judge recoveries per minute */
	int no_caps; /* points where choices were left out are short */
	int tap; /* rows as comments, one TAP line for each bar */
};

/* Prints; 0 if every bar is met. */
int report_print(const struct report_options *opt, const struct jobs_result *result, FILE *out);

#endif
