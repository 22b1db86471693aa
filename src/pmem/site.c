/* SPDX-License-Identifier: BSD-3-Clause */
/* Which call site a thread is at. Part of the *_sites libraries only. */
#include "pmem/site.h"

#include <stddef.h>

#if PMEM_SITES

static _Thread_local struct pmem_site *site_now;

void pmem_site_enter(struct pmem_site *site)
{
	__atomic_fetch_add(&site->hits, 1, __ATOMIC_RELAXED);
	site_now = site;
}

struct pmem_site *pmem_site_take(void)
{
	struct pmem_site *site = site_now;

	site_now = NULL;
	return site;
}

enum pmem_mutation pmem_site_mutation(const struct pmem_site *site)
{
	return site ? (enum pmem_mutation)__atomic_load_n(&site->mutation, __ATOMIC_RELAXED) : PMEM_MUT_NONE;
}

#endif
