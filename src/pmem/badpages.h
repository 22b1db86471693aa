/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Media errors: a load or store of a mapped page that the hardware has given up (SIGBUS), that its file no longer reaches, or
 * that the full disk under it has no room for, costs that page, not the process.
 *
 * A signal handler notes the page in the device's map of bad pages, puts a page of 0xff bytes in its place (memory of this
 * process; the media is left alone), and returns: the instruction is done again, with bytes that are known to be wrong. No lock
 * is lost, no stack is jumped over. Whoever has touched media asks afterwards whether a bad page was among it. 0xff fails every
 * check of the format: no entry, no checksum, no magic is made of it, and a bitmap of it says that nothing is free.
 *
 * What was being done when the page was met decides who has to ask:
 *  - bytes that the caller has said it will check (pmem_expect_begin: file data), and the destination of a pmem_copy or pmem_zero
 *    (blocks that nothing reaches yet): the caller asks pmem_bad_find. Not on a device that loses more than a page at once
 *    (device DAX): metadata of others may go with it;
 *  - all else is metadata: n_bad_meta rises before anybody can see a substituted byte, and nothing may be committed from then on.
 *
 * On a device without bad pages all of this is one load of n_bad.
 */
#ifndef PMEM_BADPAGES_H
#define PMEM_BADPAGES_H

#include <stddef.h>
#include <stdint.h>

#include "pmem/pmem.h"

#define PMEM_BAD_PAGE 4096u /* bytes: what is told good from bad */

/*
 * From here on the process survives media errors of all its devices, those that it opens later included. Once is enough; any
 * thread. Handlers of SIGBUS and SIGSEGV that were there before get the faults that are none of ours. -errno.
 */
int pmem_faults_catch(void);

/* What the handler tells this thread, and is told by it. */
struct pmem_thread {
	volatile uint32_t expecting; /* faults of any address are the caller's to check */
	volatile uint32_t n_expected; /* pages met so while expecting, or as the destination of a copy */
	volatile uint32_t n_meta; /* pages met otherwise */
	volatile uint64_t off; /* bytes from the device's start: the last one met */
	volatile uintptr_t store_lo, store_hi; /* destination of the pmem_copy or pmem_zero under way */
};
extern _Thread_local struct pmem_thread pmem_thread_self __attribute__((tls_model("initial-exec")));

/* Around loads of file data. Not nested. */
static inline void pmem_expect_begin(void)
{
	pmem_thread_self.expecting = 1;
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* the compiler keeps the loads between the two */
}
static inline void pmem_expect_end(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	pmem_thread_self.expecting = 0;
}

static inline uint64_t pmem_n_bad(const struct pmem *pm)
{
	return __atomic_load_n(&pm->n_bad, __ATOMIC_ACQUIRE);
}
static inline uint64_t pmem_n_bad_meta(const struct pmem *pm)
{
	return __atomic_load_n(&pm->n_bad_meta, __ATOMIC_ACQUIRE);
}

/* 1 and the offset of the first byte of [off, off + len) that lies in a bad page, or 0. Bytes from the device's start. */
int pmem_bad_find(const struct pmem *pm, uint64_t off, uint64_t len, uint64_t *out_off);
/* True if a bad page is among the bytes. */
int pmem_is_bad_slow(const struct pmem *pm, const void *addr, uint64_t len) __attribute__((cold));
static inline int pmem_is_bad(const struct pmem *pm, const void *addr, uint64_t len)
{
	return __builtin_expect(pmem_n_bad(pm) != 0, 0) && pmem_is_bad_slow(pm, addr, len);
}
/* Loads a byte of each page of the range, then answers as pmem_bad_find: how a check finds errors that nobody has met yet. */
int pmem_probe(const struct pmem *pm, uint64_t off, uint64_t len, uint64_t *out_off);
/* A bad page that the caller has found under metadata it had checked for itself: counts as met by everybody. */
void pmem_bad_is_meta(struct pmem *pm);

/* Tests: the pages that [off, off + len) touches are bad from now on, whatever the device is. */
int pmem_poison(struct pmem *pm, uint64_t off, uint64_t len);

/* The handler's list of devices; pmem_open and pmem_close keep it. -ENOMEM. */
int pmem_faults_add(struct pmem *pm);
void pmem_faults_remove(struct pmem *pm);

#endif
