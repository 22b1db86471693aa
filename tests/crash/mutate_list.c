/* SPDX-License-Identifier: BSD-3-Clause */
/* Which mutations there are, and their names. */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "crash/mutate.h"

/* What can be done wrong with a call, by the beginning of its name. */
static const struct {
	const char *call;
	enum pmem_mutation mutations[3];
} kinds[] = {
	{ "pmem_copy", { PMEM_MUT_NOFLUSH, PMEM_MUT_DROP } },
	{ "pmem_zero", { PMEM_MUT_NOFLUSH, PMEM_MUT_DROP } },
	{ "pmem_", { PMEM_MUT_DROP } },
	{ "tx_", { PMEM_MUT_UNLOGGED, PMEM_MUT_EARLY, PMEM_MUT_DROP } },
	{ "", { PMEM_MUT_DROP } },
};

const char *site_file(const struct pmem_site *site)
{
	const char *src = strstr(site->file, "src/");

	return src ? src : site->file;
}

const char *mutation_name(enum pmem_mutation mutation)
{
	switch (mutation) {
	case PMEM_MUT_NONE:
		return "none";
	case PMEM_MUT_DROP:
		return "drop";
	case PMEM_MUT_NOFLUSH:
		return "noflush";
	case PMEM_MUT_UNLOGGED:
		return "unlogged";
	case PMEM_MUT_EARLY:
		return "early";
	}
	return "?";
}

/* Sites of the test program's own are no part of the product. */
static int site_is_ours(const struct pmem_site *site)
{
	return !strncmp(site_file(site), "src/", 4);
}

static const enum pmem_mutation *mutations_of(const struct pmem_site *site)
{
	size_t i = 0;

	while (strncmp(site->call, kinds[i].call, strlen(kinds[i].call)))
		i++;
	return kinds[i].mutations;
}

struct mutant *mutants_list(uint32_t *out_n)
{
	uint32_t n_sites = (uint32_t)(__stop_pmem_sites - __start_pmem_sites), n = 0;
	struct mutant *list = malloc((n_sites + 1) * ARRAY_SIZE(kinds[0].mutations) * sizeof(*list));

	for (uint32_t s = 0; list && s < n_sites; s++) {
		const enum pmem_mutation *m = mutations_of(&__start_pmem_sites[s]);

		if (!site_is_ours(&__start_pmem_sites[s]))
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(kinds[0].mutations) && m[i] != PMEM_MUT_NONE; i++)
			list[n++] = (struct mutant){ .site = s, .mutation = m[i] };
	}
	*out_n = n;
	return list;
}
