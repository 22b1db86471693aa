/* SPDX-License-Identifier: BSD-3-Clause */
/* Levels. Classes of workloads are those of workload.h. */
#include "crash/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "crash/workload.h"

/* count 0: the whole class. */
struct level_part {
	const char *level, *class;
	uint64_t count;
	uint32_t k, k2;
	uint64_t cap;
};

static const struct level_part level_parts[] = {
	{ "quick", "rare", 0, 1, 1, 20000 },  { "long", "rare", 0, 2, 1, 20000 },      { "quick", "ace1", 0, 2, 1, 0 },
	{ "quick", "bugs", 0, 1, 1, 50000 },  { "quick", "concurrent", 56, 2, 1, 0 },  { "quick", "ace2", 100, 2, 1, 0 },
	{ "quick", "fuzz", 12, 2, 1, 50000 }, { "long", "ace1", 0, 5, 2, 200000 },     { "long", "bugs", 0, 2, 1, 200000 },
	{ "long", "ace2", 0, 2, 1, 0 },	      { "long", "concurrent", 1500, 2, 1, 0 }, { "long", "ace3", 1500, 2, 1, 0 },
	{ "long", "fuzz", 600, 2, 1, 20000 },
};

static const struct workload_class *class_find(const char *name)
{
	for (const struct workload_class *c = workload_classes; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

static void part_wish(struct plan_part *part, const struct plan_wish *wish)
{
	part->k = wish->k == UINT32_MAX ? part->k : wish->k;
	part->k2 = wish->k2 == UINT32_MAX ? part->k2 : wish->k2;
	part->cap = wish->cap == UINT64_MAX ? part->cap : wish->cap;
	part->second = !wish->no_second;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static int part_add(struct plan *plan, const struct level_part *lp, uint64_t count, const struct plan_wish *wish)
{
	struct plan_part *part = &plan->parts[plan->n_parts];

	*part = (struct plan_part){ .class = class_find(lp->class), .stride = 1, .k = lp->k, .k2 = lp->k2, .cap = lp->cap };
	if (!part->class || plan->n_parts == PLAN_PARTS_MAX)
		return -EINVAL;
	part->count = count ? count : part->class->count;
	if (!part->count)
		part->count = 100;
	part->count = part->class->count ? u64_min(part->count, part->class->count) : part->count;
	if (part->class->count) {
		/* A sample of a class that has an end: spread over it, beginning where the seed says, none twice. */
		part->stride = part->class->count / part->count;
		while (common_divisor(part->stride, part->class->count) > 1)
			part->stride++;
		part->offset = plan->seed % part->class->count;
	}
	part_wish(part, wish);
	plan->total += part->count;
	plan->n_parts++;
	return 0;
}

int plan_level(const char *level, const struct plan_wish *wish, struct plan *out)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(level_parts); i++)
		if (!strcmp(level_parts[i].level, level) && part_add(out, &level_parts[i], level_parts[i].count, wish))
			return -EINVAL;
	return out->n_parts ? 0 : -EINVAL;
}

int plan_class(const char *name, const struct plan_wish *wish, struct plan *out)
{
	struct level_part lp = { "", name, 0, 2, 1, 20000 };

	return part_add(out, &lp, wish->count, wish);
}

void plan_text(const char *text, const struct plan_wish *wish, struct plan *out)
{
	out->parts[0] = (struct plan_part){ .text = text, .count = 1, .k = 2, .k2 = 1 };
	part_wish(&out->parts[0], wish);
	out->n_parts = 1;
	out->total = 1;
}

char *plan_workload(const struct plan *plan, uint64_t i, struct explore_options *out_opt)
{
	const struct plan_part *part = plan->parts;

	for (; i >= part->count; part++)
		i -= part->count;
	*out_opt = (struct explore_options){
		.k = part->k, .k2 = part->k2, .cap = part->cap, .second = part->second, .failures_max = 1
	};
	if (!part->class)
		return strdup(part->text);
	i = i * part->stride + part->offset;
	return part->class->text(part->class->count ? i % part->class->count : i, plan->seed);
}

const char *plan_class_name(const struct plan *plan, uint64_t i)
{
	const struct plan_part *part = plan->parts;

	for (; i >= part->count; part++)
		i -= part->count;
	return part->class ? part->class->name : "";
}
