/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What pmem.c calls on a simulated device instead of instructions. Addresses were checked. site: as in struct pmem_event.
 */
#ifndef PMEM_SIM_RECORD_H
#define PMEM_SIM_RECORD_H

#include "pmem/sim.h"

void sim_store64(struct pmem *pm, uint64_t *addr, uint64_t raw, const void *site);
/* Replaces the word by (word & and_mask) | or_mask; masks as the word lies in memory. */
void sim_modify64(struct pmem *pm, uint64_t *addr, uint64_t and_mask, uint64_t or_mask, const void *site);
/* src NULL: zeroes. */
void sim_copy(struct pmem *pm, uint8_t *dst, const uint8_t *src, size_t len, const void *site);
void sim_flush(struct pmem *pm, const uint8_t *addr, size_t len, const void *site);
void sim_fence(struct pmem *pm, const void *site);
/* Frees the record, not the memory. NULL is fine. */
void sim_free(struct pmem_sim *sim);

#endif
