/* SPDX-License-Identifier: BSD-3-Clause */
/* Workloads of the ACE vocabulary, see ace.c. */
#ifndef CRASH_ACE_H
#define CRASH_ACE_H

#include <stdint.h>

#define ACE_OPS 56u

/* Of n operations (numbers below ACE_OPS), with their preparation. Heap; NULL: no memory. */
char *ace_text(const uint32_t *sequence, uint32_t n);
/* For struct workload_class. */
char *ace1_text(uint64_t i, uint64_t seed);
char *ace2_text(uint64_t i, uint64_t seed);
char *ace3_text(uint64_t i, uint64_t seed);

#endif
