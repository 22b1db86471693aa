/* SPDX-License-Identifier: BSD-3-Clause */
/* Who uses which block. */
#include "fsck/claims.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/util.h"

#define SMALL_BYTES 65536u /* below, from the heap: a mapping costs more than it saves */

static uint64_t map_bytes(const struct claims *c)
{
	return round_up_to(c->n_blocks / 8 + 8, 4096);
}

static uint64_t *bits_new(const struct claims *c)
{
	uint64_t bytes = map_bytes(c);
	void *bits;

	if (bytes <= SMALL_BYTES)
		return calloc(1, bytes);
	bits = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (bits == MAP_FAILED)
		return NULL;
	madvise(bits, bytes, MADV_NOHUGEPAGE);
	return bits;
}

static void bits_free(const struct claims *c, uint64_t *bits)
{
	if (bits && map_bytes(c) > SMALL_BYTES)
		munmap(bits, map_bytes(c));
	else
		free(bits);
}

int claims_init(struct claims *c, uint64_t n_blocks)
{
	c->n_blocks = n_blocks;
	c->used = bits_new(c);
	c->meta = c->used ? bits_new(c) : NULL;
	if (c->meta)
		return 0;
	claims_fini(c);
	return -ENOMEM;
}

void claims_fini(struct claims *c)
{
	bits_free(c, c->used);
	bits_free(c, c->meta);
	c->used = c->meta = NULL;
}

static uint64_t mask_of(uint64_t block, uint32_t n)
{
	return (n == 64 ? ~0ull : (1ull << n) - 1) << (block % 64);
}

uint64_t claims_take(struct claims *c, uint64_t block, uint32_t n)
{
	uint64_t mask = mask_of(block, n), old = __atomic_fetch_or(&c->used[block / 64], mask, __ATOMIC_SEQ_CST);

	return (old & mask) >> (block % 64);
}

uint64_t claims_take_meta(struct claims *c, uint64_t block, uint32_t n, uint64_t *out_meta)
{
	/* meta before used: whoever claims data and finds the bit in used set finds the other one too */
	uint64_t mask = mask_of(block, n), old = __atomic_fetch_or(&c->meta[block / 64], mask, __ATOMIC_SEQ_CST);

	*out_meta = (old & mask) >> (block % 64);
	return claims_take(c, block, n) | *out_meta;
}

void claims_fill(struct claims *c, uint64_t from, uint64_t to)
{
	while (from < to) {
		uint64_t n = u64_min(to - from, 64 - from % 64);

		c->used[from / 64] |= (n == 64 ? ~0ull : (1ull << n) - 1) << (from % 64);
		from += n;
	}
}
