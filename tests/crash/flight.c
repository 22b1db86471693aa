/* SPDX-License-Identifier: BSD-3-Clause */
/* The words in flight. See flight.h for the model. */
#include "crash/flight.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define PART_MIN_BYTES 256u /* larger copies are cut into parts */
#define LINE_WORDS (PMEM_LINE / 8)

/* Finds the newest store of a word. */
struct index_slot {
	uint64_t key; /* off + 1; 0: free */
	uint32_t store;
};

struct flight {
	struct canvas *canvas;
	uint64_t fine_from, fine_to;
	struct flight_store *stores;
	uint32_t n_stores, cap_stores;
	struct flight_unit *units;
	uint32_t n_units, cap_units;
	struct index_slot *index;
	uint64_t index_size, index_cap; /* powers of two; in use, allocated */
	/* what the last event was, for joining */
	struct pmem_event last;
	size_t last_index;
};

int flight_new(struct canvas *c, uint64_t fine_from, uint64_t fine_to, struct flight **out)
{
	struct flight *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->canvas = c;
	f->fine_from = fine_from;
	f->fine_to = fine_to;
	f->last.kind = PMEM_EVENT_FENCE;
	*out = f;
	return 0;
}

void flight_free(struct flight *f)
{
	if (!f)
		return;
	free(f->stores);
	free(f->units);
	free(f->index);
	free(f);
}

static struct index_slot *index_probe(const struct flight *f, uint64_t off)
{
	uint64_t i = (off / 8 * 0x9e3779b97f4a7c15ull >> 20) & (f->index_size - 1);

	while (f->index[i].key && f->index[i].key != off + 1)
		i = (i + 1) & (f->index_size - 1);
	return &f->index[i];
}

/* Makes the index anew, with room for as many stores as n. */
static int index_build(struct flight *f, uint64_t n)
{
	uint64_t size = 64;

	while (size < 2 * n)
		size *= 2;
	if (size > f->index_cap) {
		struct index_slot *grown = realloc(f->index, size * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		f->index = grown;
		f->index_cap = size;
	}
	f->index_size = size;
	memset(f->index, 0, size * sizeof(*f->index));
	for (uint32_t i = 0; i < f->n_stores; i++) {
		struct index_slot *slot = index_probe(f, f->stores[i].off);

		f->stores[i].prev = slot->key ? slot->store : FLIGHT_NONE;
		*slot = (struct index_slot){ f->stores[i].off + 1, i };
	}
	return 0;
}

/* Room for n more stores and their index. */
static int stores_reserve(struct flight *f, uint64_t n)
{
	uint64_t want = f->n_stores + n;

	if (want > FLIGHT_NONE - 1)
		return -ENOMEM;
	if (want > f->cap_stores) {
		uint64_t cap = u64_max(1024, 2 * want);
		struct flight_store *grown = realloc(f->stores, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		f->stores = grown;
		f->cap_stores = (uint32_t)cap;
	}
	return 2 * want > f->index_size ? index_build(f, 2 * want) : 0;
}

static int unit_add(struct flight *f, size_t event, uint32_t part)
{
	if (f->n_units == f->cap_units) {
		uint32_t cap = f->cap_units ? f->cap_units * 2 : 1024;
		struct flight_unit *grown = realloc(f->units, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		f->units = grown;
		f->cap_units = cap;
	}
	f->units[f->n_units++] = (struct flight_unit){ event, part };
	return 0;
}

int flight_is_fine(const struct flight *f, uint64_t off)
{
	return off >= f->fine_from && off < f->fine_to;
}

/* Word by word one behind the other at one call site: as one store of several words. */
static int joins_last(const struct flight *f, const struct pmem_event *e, size_t index)
{
	return f->last.kind == PMEM_EVENT_STORE && e->kind == PMEM_EVENT_STORE && index == f->last_index + 1 &&
	       e->site == f->last.site && e->thread == f->last.thread && e->off == f->last.off + f->last.len && e->len == 8 &&
	       f->last.len == 8 && e->off % 8 == 0;
}

/* Which part of a large copy of n words the word w belongs to: 0 first line, 2 the middle one, 4 the last one. */
static uint32_t part_of(uint64_t w, uint64_t n)
{
	uint64_t middle = round_down_to(n / 2, LINE_WORDS);

	if (w < LINE_WORDS)
		return 0;
	if (w >= n - LINE_WORDS)
		return 4;
	return w < middle ? 1 : w < middle + LINE_WORDS ? 2 : 3;
}

static int store_event(struct flight *f, const struct pmem_event *e, size_t index)
{
	uint64_t first = round_down_to(e->off, 8), end = e->off + e->len, n = (end - first + 7) / 8;
	int cut = e->len > PART_MIN_BYTES && !flight_is_fine(f, e->off), err = stores_reserve(f, n);
	uint32_t part = FLIGHT_NONE;

	if (!err && !joins_last(f, e, index) && !cut)
		err = unit_add(f, index, 0);
	for (uint64_t w = 0; !err && w < n; w++) {
		uint64_t off = first + w * 8, from = u64_max(off, e->off), to = u64_min(off + 8, end);
		struct index_slot *slot = index_probe(f, off);
		struct flight_store st = { .off = off, .thread = (uint8_t)(e->thread & 63), .nt = e->kind == PMEM_EVENT_NT };

		if (cut && part_of(w, n) != part) {
			part = part_of(w, n);
			err = unit_add(f, index, part);
		}
		st.prev = slot->key ? slot->store : FLIGHT_NONE;
		st.raw = slot->key ? f->stores[slot->store].raw : canvas_get(f->canvas, off);
		memcpy((uint8_t *)&st.raw + (from - off), e->data + (from - e->off), to - from);
		st.unit = f->n_units - 1;
		*slot = (struct index_slot){ off + 1, f->n_stores };
		f->stores[f->n_stores++] = st;
	}
	return err;
}

/* A non-temporal store may still be in the buffers of the core that made it: no other thread can flush it. */
static void flush_event(struct flight *f, const struct pmem_event *e)
{
	for (uint32_t i = 0; i < f->n_stores; i++)
		if (f->stores[i].off - e->off < e->len && !f->stores[i].nt)
			f->stores[i].flushers |= 1ull << (e->thread & 63);
}

/* Durable now: the word, and no older value of it. */
static void store_cover(struct flight *f, uint32_t i)
{
	canvas_set(f->canvas, f->stores[i].off, f->stores[i].raw);
	for (; i != FLIGHT_NONE && !f->stores[i].gone; i = f->stores[i].prev)
		f->stores[i].gone = 1;
}

static int fence_event(struct flight *f, const struct pmem_event *e)
{
	uint32_t thread = e->thread & 63, kept = 0;

	for (uint32_t i = 0; i < f->n_stores; i++)
		if ((f->stores[i].nt && f->stores[i].thread == thread) || f->stores[i].flushers >> thread & 1)
			store_cover(f, i);
	for (uint32_t i = 0; i < f->n_stores; i++)
		if (!f->stores[i].gone)
			f->stores[kept++] = f->stores[i];
	f->n_stores = kept;
	return index_build(f, kept);
}

int flight_event(struct flight *f, const struct pmem_event *e, size_t index)
{
	int err = 0;

	if (e->kind == PMEM_EVENT_STORE || e->kind == PMEM_EVENT_NT)
		err = store_event(f, e, index);
	else if (e->kind == PMEM_EVENT_FLUSH)
		flush_event(f, e);
	else if (e->kind == PMEM_EVENT_FENCE)
		err = fence_event(f, e);
	f->last = *e;
	f->last_index = index;
	return err;
}

uint32_t flight_stores(const struct flight *f, const struct flight_store **out)
{
	*out = f->stores;
	return f->n_stores;
}

const struct flight_unit *flight_unit_at(const struct flight *f, uint32_t unit)
{
	return &f->units[unit];
}

struct canvas *flight_canvas(const struct flight *f)
{
	return f->canvas;
}
