/* SPDX-License-Identifier: BSD-3-Clause */
/* A hash map from 64-bit keys (not 0, already well mixed) to 64-bit values. Grows; nothing is ever removed. */
#ifndef CRASH_WORD_MAP_H
#define CRASH_WORD_MAP_H

#include <stdint.h>
#include <stdlib.h>

struct word_map {
	struct word_map_slot {
		uint64_t key; /* 0: free */
		uint64_t value;
	} * slots;
	uint64_t size; /* power of two, or 0 */
	uint64_t n;
};

static inline void word_map_fini(struct word_map *m)
{
	free(m->slots);
	*m = (struct word_map){ 0 };
}

static inline struct word_map_slot *word_map_probe(const struct word_map *m, uint64_t key)
{
	uint64_t i = key & (m->size - 1);

	while (m->slots[i].key && m->slots[i].key != key)
		i = (i + 1) & (m->size - 1);
	return &m->slots[i];
}

static inline int word_map_grow(struct word_map *m)
{
	struct word_map bigger = { .size = m->size ? m->size * 2 : 1024, .n = m->n };

	bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -1;
	for (uint64_t i = 0; i < m->size; i++)
		if (m->slots[i].key)
			*word_map_probe(&bigger, m->slots[i].key) = m->slots[i];
	free(m->slots);
	*m = bigger;
	return 0;
}

/* The value's place; *out_new: 1 if the key was not there (its value is 0 then). NULL: no memory. Valid until the next call. */
static inline uint64_t *word_map_put(struct word_map *m, uint64_t key, int *out_new)
{
	struct word_map_slot *slot;

	key = key ? key : 1;
	if (m->n * 2 >= m->size && word_map_grow(m))
		return NULL;
	slot = word_map_probe(m, key);
	*out_new = !slot->key;
	m->n += !slot->key;
	slot->key = key;
	return &slot->value;
}

/* The value's place, or NULL. */
static inline uint64_t *word_map_get(const struct word_map *m, uint64_t key)
{
	struct word_map_slot *slot;

	if (!m->size)
		return NULL;
	slot = word_map_probe(m, key ? key : 1);
	return slot->key ? &slot->value : NULL;
}

/* For keys made of several numbers. */
static inline uint64_t word_mix(uint64_t a, uint64_t b)
{
	uint64_t x = (a + 0x9e3779b97f4a7c15ull) * 0xd6e8feb86659fd93ull ^ b;

	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9ull;
	return x ^ x >> 32;
}

#endif
