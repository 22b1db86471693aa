/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Failures on demand in the calls of a program that is linked with fault.c and -Wl,--wrap=NAME for each of them: the N-th call of
 * the armed kinds fails, or all from the N-th on. The product's code is as it ships; only the linker points its calls here.
 *
 * One state for the process (any thread may make the call that fails).
 */
#ifndef TESTS_FAULTS_FAULT_H
#define TESTS_FAULTS_FAULT_H

#include <stdint.h>

#define FAULT_MEMORY 1u /* malloc, calloc, realloc, aligned_alloc, posix_memalign, strdup: no memory */
#define FAULT_MMAP 2u /* mmap: ENOMEM */
#define FAULT_THREAD 4u /* pthread_create: EAGAIN */
#define FAULT_BLOCKS 8u /* alloc_run: -ENOSPC */
#define FAULT_INODES 16u /* itable_take: -ENOSPC */
#define FAULT_INTENTS 32u /* intent_reserve: -ENOSPC */
#define FAULT_COMMIT 64u /* tx_commit: -ENOMEM, with the transaction dropped */

/* From now on call number at (1: the next one) of the kinds fails; forever: and all that follow. */
void fault_arm(uint32_t kinds, uint64_t at, int forever);
/* Nothing fails any more. Returns the number of calls that failed since fault_arm(). */
unsigned int fault_disarm(void);
/* Counts one call of a kind. True if it shall fail. site: the return address of the call. */
int fault_due(uint32_t kind, const void *site);
/* Blocks of memory that the program's own calls have got and not freed. */
int64_t fault_live(void);
/* Prints "# site OFFSET" for each call that ever failed, once each: addr2line -e PROGRAM OFFSET names it. */
void fault_sites_print(void);

#endif
