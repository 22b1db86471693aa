/* SPDX-License-Identifier: BSD-3-Clause */
/* Reference counts by node: shards of open-addressing tables (linear probing, deletion by moving back). */
#include "pmfs2/refs.h"

#include <errno.h>
#include <stdlib.h>

#define SHARDS 64u
#define SIZE_MIN 64u

struct ref {
	uint64_t node; /* 0: free */
	uint64_t count;
};

struct ref_shard {
	struct mutex mu; /* LOCK_RANK_CACHE */
	struct ref *table;
	uint64_t size; /* power of two */
	uint64_t used;
} __attribute__((aligned(64)));

struct refs {
	struct ref_shard shards[SHARDS];
};

int refs_new(struct refs **out)
{
	struct refs *refs = aligned_alloc(64, sizeof(*refs));

	if (!refs)
		return -ENOMEM;
	for (uint32_t i = 0; i < SHARDS; i++) {
		mutex_init(&refs->shards[i].mu, LOCK_RANK_CACHE, 0);
		refs->shards[i].table = NULL;
		refs->shards[i].size = refs->shards[i].used = 0;
	}
	*out = refs;
	return 0;
}

void refs_free(struct refs *refs)
{
	if (!refs)
		return;
	for (uint32_t i = 0; i < SHARDS; i++) {
		mutex_fini(&refs->shards[i].mu);
		free(refs->shards[i].table);
	}
	free(refs);
}

static uint64_t node_hash(uint64_t node)
{
	node *= 0x9e3779b97f4a7c15ull;
	return node ^ node >> 29;
}

static struct ref_shard *shard_of(struct refs *refs, uint64_t node)
{
	return &refs->shards[node_hash(node) >> 58];
}

/* The node's place, or the free place where it would stand. The table has free places. */
static struct ref *ref_find(const struct ref_shard *sh, uint64_t node)
{
	uint64_t i = node_hash(node) & (sh->size - 1);

	while (sh->table[i].node && sh->table[i].node != node)
		i = (i + 1) & (sh->size - 1);
	return &sh->table[i];
}

static int shard_resize(struct ref_shard *sh, uint64_t size)
{
	struct ref_shard bigger = { .size = size, .table = calloc(size, sizeof(struct ref)) };

	if (!bigger.table)
		return -ENOMEM;
	for (uint64_t i = 0; i < sh->size; i++)
		if (sh->table[i].node)
			*ref_find(&bigger, sh->table[i].node) = sh->table[i];
	free(sh->table);
	sh->table = bigger.table;
	sh->size = size;
	return 0;
}

int refs_get(struct refs *refs, uint64_t node)
{
	struct ref_shard *sh = shard_of(refs, node);
	struct ref *ref;
	int err = 0;

	mutex_lock(&sh->mu);
	if (sh->used * 4 >= sh->size * 3)
		err = shard_resize(sh, sh->size ? sh->size * 2 : SIZE_MIN);
	if (!err) {
		ref = ref_find(sh, node);
		sh->used += !ref->node;
		ref->node = node;
		ref->count++;
	}
	mutex_unlock(&sh->mu);
	return err;
}

/* Closes the gap at place i: moves back what probing would no longer find. */
static void gap_close(struct ref_shard *sh, uint64_t i)
{
	uint64_t mask = sh->size - 1, j = i;

	for (;;) {
		uint64_t home;

		j = (j + 1) & mask;
		if (!sh->table[j].node)
			break;
		home = node_hash(sh->table[j].node) & mask;
		if (((j - home) & mask) >= ((j - i) & mask)) {
			sh->table[i] = sh->table[j];
			i = j;
		}
	}
	sh->table[i] = (struct ref){ 0 };
}

int refs_put(struct refs *refs, uint64_t node, uint64_t n)
{
	struct ref_shard *sh = shard_of(refs, node);
	struct ref *ref;
	int last = 1;

	mutex_lock(&sh->mu);
	if (sh->size) {
		ref = ref_find(sh, node);
		if (ref->node && ref->count > n) {
			ref->count -= n;
			last = 0;
		} else if (ref->node) {
			gap_close(sh, (uint64_t)(ref - sh->table));
			sh->used--;
			if (sh->size > SIZE_MIN && sh->used * 8 < sh->size)
				(void)shard_resize(sh, sh->size / 2);
		}
	}
	mutex_unlock(&sh->mu);
	return last;
}

void refs_clear(struct refs *refs)
{
	for (uint32_t i = 0; i < SHARDS; i++) {
		struct ref_shard *sh = &refs->shards[i];

		mutex_lock(&sh->mu);
		free(sh->table);
		sh->table = NULL;
		sh->size = sh->used = 0;
		mutex_unlock(&sh->mu);
	}
}

uint64_t refs_count(struct refs *refs, uint64_t node)
{
	struct ref_shard *sh = shard_of(refs, node);
	uint64_t n = 0;

	mutex_lock(&sh->mu);
	if (sh->size)
		n = ref_find(sh, node)->count;
	mutex_unlock(&sh->mu);
	return n;
}
