/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Call sites of stores, flushes, fences and journal entries, for the crash explorer.
 *
 * In a build with -DPMEM_SITES=1 (never the product: meson makes separate libraries, *_sites) every call of a function of pmem.h
 * or tx.h that changes media has a struct pmem_site of its own, so that an event says where it came from, so that all of them can
 * be listed whether they ran or not, and so that one can be mutated at run time: left out, or done at the wrong moment. A
 * mutation that no crash test notices is either a hole in the tests or a flush, fence or entry that the product does not need.
 *
 * Sites live in a linker section of their own; only `mutation` and `hits` change.
 */
#ifndef PMEM_SITE_H
#define PMEM_SITE_H

#include <stdint.h>

#ifndef PMEM_SITES
#define PMEM_SITES 0
#endif

enum pmem_mutation {
	PMEM_MUT_NONE,
	PMEM_MUT_DROP, /* not done at all */
	PMEM_MUT_NOFLUSH, /* copy, zero: cached stores that nobody writes back */
	PMEM_MUT_UNLOGGED, /* tx: stored in place by the commit as ever, but not part of the record */
	PMEM_MUT_EARLY, /* tx: stored in place and flushed before the record, and not part of it */
};

struct pmem_site {
	const char *call; /* "pmem_fence" */
	const char *file; /* as given to the compiler */
	const char *func;
	uint32_t line;
	uint32_t mutation; /* enum pmem_mutation; relaxed atomics */
	uint64_t hits; /* calls so far; relaxed atomics */
} __attribute__((aligned(64)));

#if PMEM_SITES

extern struct pmem_site __start_pmem_sites[], __stop_pmem_sites[];

/* Says which site the next call of this thread belongs to. */
void pmem_site_enter(struct pmem_site *site);
/* That site; NULL if there was none since the last take. */
struct pmem_site *pmem_site_take(void);
/* What is to be done wrong at a site. NULL: nothing. */
enum pmem_mutation pmem_site_mutation(const struct pmem_site *site);

#define PMEM_SITE_HERE(name)                                                                                                     \
	({                                                                                                                       \
		static struct pmem_site site_here_                                                                               \
			__attribute__((section("pmem_sites"), used)) = { name, __FILE__, __func__, __LINE__, 0, 0 };             \
		&site_here_;                                                                                                     \
	})
/* A call with its site: #define f(...) PMEM_SITE_CALL(f, __VA_ARGS__) */
#define PMEM_SITE_CALL(f, ...) (pmem_site_enter(PMEM_SITE_HERE(#f)), f(__VA_ARGS__))
/* True where a step that is not a call of pmem.h or tx.h shall be left out. */
#define PMEM_SITE_SKIPS(name)                                                                                                    \
	({                                                                                                                       \
		pmem_site_enter(PMEM_SITE_HERE(name));                                                                           \
		pmem_site_mutation(pmem_site_take()) != PMEM_MUT_NONE;                                                           \
	})

#else

#define PMEM_SITE_SKIPS(name) 0

#endif

#endif
