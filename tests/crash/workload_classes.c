/* SPDX-License-Identifier: BSD-3-Clause */
/* All sources of workloads. */
#include <string.h>

#include "crash/ace.h"
#include "crash/gen.h"
#include "crash/workload.h"

static char *bugs_text(uint64_t i, uint64_t seed)
{
	(void)seed;
	for (uint64_t k = 0; workload_bugs[k].name; k++)
		if (k == i)
			return strdup(workload_bugs[k].text);
	return NULL;
}

const struct workload_class workload_classes[] = {
	{ "ace1", "one operation of ACE's vocabulary", ACE_OPS, ace1_text },
	{ "ace2", "two operations", ACE_OPS *ACE_OPS, ace2_text },
	{ "ace3", "three operations, a sample", 0, ace3_text },
	{ "fuzz", "operations by chance", 0, gen_text },
	{ "concurrent", "two threads", CONCURRENT_COUNT, concurrent_text },
	{ "bugs", "named workloads, one or more for each class of known bugs", WORKLOAD_BUGS, bugs_text },
	{ "rare", "ways that the others seldom take", RARE_WORKLOADS, rare_text },
	{ NULL, NULL, 0, NULL },
};
