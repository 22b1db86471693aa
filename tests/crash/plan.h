/* SPDX-License-Identifier: BSD-3-Clause */
/* Which workloads are explored, and how thoroughly: the levels. */
#ifndef CRASH_PLAN_H
#define CRASH_PLAN_H

#include <stdint.h>

#include "crash/explore.h"

#define PLAN_PARTS_MAX 16u

struct plan_part {
	const struct workload_class *class; /* NULL: the text */
	const char *text;
	uint64_t count;
	uint64_t stride; /* number i of the part is number i * stride + offset of the class, modulo its count */
	uint64_t offset;
	uint32_t k, k2;
	uint64_t cap;
	int second;
};

struct plan {
	struct plan_part parts[PLAN_PARTS_MAX];
	uint32_t n_parts;
	uint64_t seed;
	uint64_t total; /* workloads */
};

/* What the command line says beyond the level. */
struct plan_wish {
	uint64_t count; /* 0: as the level says */
	uint32_t k, k2; /* UINT32_MAX: as the level says */
	uint64_t cap; /* UINT64_MAX: as the level says */
	int no_second;
};

/* level: "quick", "long". 0 or -EINVAL. */
int plan_level(const char *level, const struct plan_wish *wish, struct plan *out);
/* All of one class, or wish->count of it. 0 or -EINVAL: no such class. */
int plan_class(const char *name, const struct plan_wish *wish, struct plan *out);
/* One workload by its text. */
void plan_text(const char *text, const struct plan_wish *wish, struct plan *out);
/* Workload number i as text, heap, with its options. NULL: no memory. */
char *plan_workload(const struct plan *plan, uint64_t i, struct explore_options *out_opt);

/* The class of workload number i; "" where the plan has none. */
const char *plan_class_name(const struct plan *plan, uint64_t i);

#endif
