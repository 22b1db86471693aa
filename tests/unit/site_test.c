/* SPDX-License-Identifier: BSD-3-Clause */
/* Call sites and their mutations (pmem/site.h): what the crash explorer's mutation score stands on. */
#include "pmem/site.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "lib/tap.h"
#include "pmem/sim.h"
#include "pmfs2/mkfs.h"
#include "pmfs2/mount.h"
#include "pmfs2/tx.h"

#define MIB (1ull << 20)

static struct pmem *sim_new(void)
{
	struct pmem *pm;

	CHECK_EQ(pmem_sim_new(16 * MIB, PMEM_SIM_RECORD, &pm), 0);
	return pm;
}

static void sites_of_the_engine_are_all_listed(void)
{
	size_t n_fences = 0, n_tx = 0;

	for (const struct pmem_site *s = __start_pmem_sites; s < __stop_pmem_sites; s++) {
		CHECK(s->call && s->file && s->func && s->line);
		n_fences += !strcmp(s->call, "pmem_fence") && strstr(s->file, "src/pmfs2/");
		n_tx += !strncmp(s->call, "tx_", 3);
	}
	CHECK(n_fences >= 20);
	CHECK(n_tx >= 40);
}

static void event_names_its_site(void)
{
	struct pmem *pm = sim_new();
	const struct pmem_event *ev;
	const struct pmem_site *site;

	pmem_store64(pm, pmem_at(pm, 4096), 1);
	CHECK_EQ(pmem_sim_events(pm, &ev), 1);
	site = ev[0].site;
	CHECK(site && !strcmp(site->call, "pmem_store64") && !strcmp(site->func, __func__));
	CHECK_EQ(site->hits, 1);
	pmem_close(pm);
}

/* One copy of 100 bytes at an unaligned place, and a fence, with a mutation of each. */
static size_t copy_and_fence(struct pmem *pm, enum pmem_mutation copy, enum pmem_mutation fence)
{
	static const uint8_t bytes[100] = { 1, 2, 3 };
	const struct pmem_event *ev;

	for (struct pmem_site *s = __start_pmem_sites; s < __stop_pmem_sites; s++)
		if (!strcmp(s->func, __func__))
			s->mutation = (uint32_t)(!strcmp(s->call, "pmem_fence") ? fence : copy);
	pmem_sim_reset_events(pm);
	pmem_copy(pm, pmem_at(pm, 4000), bytes, sizeof(bytes));
	pmem_fence(pm);
	return pmem_sim_events(pm, &ev);
}

static void mutation_of_a_copy_or_fence_is_what_it_says(void)
{
	struct pmem *pm = sim_new();
	const struct pmem_event *ev;

	CHECK_EQ(copy_and_fence(pm, PMEM_MUT_NONE, PMEM_MUT_NONE), 6); /* two edges with their flushes, a line, the fence */
	CHECK_EQ(copy_and_fence(pm, PMEM_MUT_NONE, PMEM_MUT_DROP), 5);
	CHECK_EQ(copy_and_fence(pm, PMEM_MUT_DROP, PMEM_MUT_NONE), 1);
	CHECK_EQ(copy_and_fence(pm, PMEM_MUT_NOFLUSH, PMEM_MUT_NONE), 2);
	CHECK_EQ(pmem_sim_events(pm, &ev), 2);
	CHECK_EQ(ev[0].kind, PMEM_EVENT_STORE);
	CHECK_EQ(ev[0].len, 100);
	CHECK_EQ(copy_and_fence(pm, PMEM_MUT_NONE, PMEM_MUT_NONE), 6);
	pmem_close(pm);
}

/* Commits one word through a transaction. */
static void commit_word(struct fs *fs, const le64 *addr, uint64_t value, enum pmem_mutation mutation)
{
	struct tx *tx = malloc(sizeof(*tx));

	for (struct pmem_site *s = __start_pmem_sites; s < __stop_pmem_sites; s++)
		if (!strcmp(s->func, __func__))
			s->mutation = (uint32_t)mutation;
	CHECK(tx != NULL);
	tx_begin(tx, fs);
	tx_put(tx, addr, value);
	CHECK_EQ(tx_get(tx, addr), mutation == PMEM_MUT_DROP ? le64_load(addr) : value);
	CHECK_EQ(tx_commit(tx), 0);
	free(tx);
}

static void mutation_of_a_journal_entry_is_what_it_says(void)
{
	static const struct {
		enum pmem_mutation mutation;
		int stored, fenced;
	} cases[] = {
		{ PMEM_MUT_NONE, 1, 1 },
		{ PMEM_MUT_DROP, 0, 0 },
		{ PMEM_MUT_UNLOGGED, 1, 0 },
		{ PMEM_MUT_EARLY, 1, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct pmem_event *ev;
		struct pmem *pm = sim_new();
		struct fs *fs;
		const le64 *word;
		size_t n, n_fences = 0;

		CHECK_EQ(mkfs_format(pm, &(struct mkfs_params){ 0 }, NULL), 0);
		CHECK_EQ(fs_open(pm, NULL, 0, &fs), 0);
		word = pmem_at(pm, 8 * MIB);
		pmem_sim_reset_events(pm);
		commit_word(fs, word, 77, cases[i].mutation);
		CHECK_EQ(le64_load(word), cases[i].stored ? 77 : 0);
		n = pmem_sim_events(pm, &ev);
		for (size_t k = 0; k < n; k++)
			n_fences += ev[k].kind == PMEM_EVENT_FENCE;
		CHECK_EQ(n_fences, cases[i].fenced);
		commit_word(fs, word, 0, PMEM_MUT_NONE);
		fs_abandon(fs);
	}
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(sites_of_the_engine_are_all_listed),
		TAP_CASE(event_names_its_site),
		TAP_CASE(mutation_of_a_copy_or_fence_is_what_it_says),
		TAP_CASE(mutation_of_a_journal_entry_is_what_it_says),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
