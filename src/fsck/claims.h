/* SPDX-License-Identifier: BSD-3-Clause */
/* Who uses which block: a bit for each block that something points to, and one for those that are metadata. */
#ifndef FSCK_CLAIMS_H
#define FSCK_CLAIMS_H

#include <stdint.h>

struct claims {
	uint64_t *used;
	uint64_t *meta;
	uint64_t n_blocks;
};

/* 0 or -ENOMEM. Bits cost memory only where they are set. */
int claims_init(struct claims *c, uint64_t n_blocks);
void claims_fini(struct claims *c);

/*
 * Claims n blocks of one word of 64 (block % 64 + n <= 64). Returns the bits of those that were claimed before, bit 0 for
 * `block`; claims_take_meta: for metadata, *out_meta tells which of them were claimed as metadata. Of two claims of one block,
 * exactly one sees the other, whatever the threads.
 */
uint64_t claims_take(struct claims *c, uint64_t block, uint32_t n);
uint64_t claims_take_meta(struct claims *c, uint64_t block, uint32_t n, uint64_t *out_meta);
static inline int claims_is_used(const struct claims *c, uint64_t block)
{
	return __atomic_load_n(&c->used[block / 64], __ATOMIC_RELAXED) >> (block % 64) & 1;
}
static inline int claims_is_meta(const struct claims *c, uint64_t block)
{
	return __atomic_load_n(&c->meta[block / 64], __ATOMIC_RELAXED) >> (block % 64) & 1;
}
/* Sets bits [from, to) of used. */
void claims_fill(struct claims *c, uint64_t from, uint64_t to);

#endif
