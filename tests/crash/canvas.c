/* SPDX-License-Identifier: BSD-3-Clause */
/* Images by patching and undoing. See canvas.h. */
#include "crash/canvas.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/util.h"
#include "crash/word_map.h"

#define PAGE_BYTES 4096u

struct undo {
	uint64_t off, raw;
};

/* A block of PAGE_BYTES against the image that was loaded. */
struct block_sum {
	uint64_t hash; /* XOR of the changes of its words */
	int32_t more; /* words that are not 0, more than there were */
	uint32_t touched; /* is in the list */
};

/* A word that a mount stored, as long as it is in the sums. */
struct stored {
	uint64_t block, delta;
	int32_t more;
};

struct canvas {
	struct pmem *pm;
	uint8_t *shadow;
	uint64_t *seen; /* a bit for each word, all 0 between calls */
	uint64_t hash; /* of the shadow */
	struct block_sum *sums; /* of the shadow, for each block */
	uint64_t *touched; /* blocks that ever changed */
	size_t n_touched;
	uint64_t skip_from, skip_to;
	struct stored *stored;
	size_t n_stored, cap_stored;
	struct undo *log;
	size_t n_log, cap_log;
};

int canvas_new(uint64_t size, struct canvas **out)
{
	struct canvas *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	err = pmem_sim_new(size, PMEM_SIM_RECORD | PMEM_SIM_NO_BASE, &c->pm);
	if (err)
		goto fail;
	err = -ENOMEM;
	c->shadow = mmap(NULL, c->pm->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c->shadow == MAP_FAILED)
		c->shadow = NULL;
	c->seen = calloc(c->pm->size / 8 / 64, 8);
	c->sums = calloc(c->pm->size / PAGE_BYTES, sizeof(*c->sums));
	c->touched = malloc(c->pm->size / PAGE_BYTES * sizeof(*c->touched));
	if (!c->shadow || !c->seen || !c->sums || !c->touched)
		goto fail;
	*out = c;
	return 0;
fail:
	canvas_free(c);
	return err;
}

void canvas_free(struct canvas *c)
{
	if (!c)
		return;
	if (c->shadow)
		munmap(c->shadow, c->pm->size);
	pmem_close(c->pm);
	free(c->seen);
	free(c->sums);
	free(c->touched);
	free(c->stored);
	free(c->log);
	free(c);
}

struct pmem *canvas_pm(struct canvas *c)
{
	return c->pm;
}

void canvas_load(struct canvas *c, const uint8_t *image)
{
	for (uint64_t off = 0; off < c->pm->size; off += PAGE_BYTES) {
		if (memcmp(c->shadow + off, image + off, PAGE_BYTES))
			memcpy(c->shadow + off, image + off, PAGE_BYTES);
		if (memcmp(c->pm->base + off, image + off, PAGE_BYTES))
			memcpy(c->pm->base + off, image + off, PAGE_BYTES);
	}
	pmem_sim_reset_events(c->pm);
	c->n_log = 0;
	c->hash = 0;
	while (c->n_touched)
		c->sums[c->touched[--c->n_touched]] = (struct block_sum){ 0 };
	c->skip_from = c->skip_to = 0;
}

void canvas_skip(struct canvas *c, uint64_t from, uint64_t to)
{
	c->skip_from = from;
	c->skip_to = to;
}

static uint64_t raw_at(const uint8_t *bytes, uint64_t off)
{
	uint64_t raw;

	memcpy(&raw, bytes + off, 8);
	return raw;
}

uint64_t canvas_get(const struct canvas *c, uint64_t off)
{
	return raw_at(c->shadow, off);
}

const uint8_t *canvas_bytes(const struct canvas *c)
{
	return c->shadow;
}

uint64_t canvas_hash_delta(uint64_t off, uint64_t from, uint64_t to)
{
	return from == to ? 0 : word_mix(off, from) ^ word_mix(off, to);
}

static void sum_add(struct canvas *c, uint64_t block, uint64_t delta, int32_t more)
{
	struct block_sum *sum = &c->sums[block];

	if (!sum->touched) {
		sum->touched = 1;
		c->touched[c->n_touched++] = block;
	}
	sum->hash ^= delta;
	sum->more += more;
}

static void raw_put(struct canvas *c, uint64_t off, uint64_t raw)
{
	uint64_t old = raw_at(c->shadow, off), delta = canvas_hash_delta(off, old, raw);

	c->hash ^= delta;
	sum_add(c, off / PAGE_BYTES, delta, (raw != 0) - (old != 0));
	memcpy(c->shadow + off, &raw, 8);
	memcpy(c->pm->base + off, &raw, 8);
}

void canvas_set(struct canvas *c, uint64_t off, uint64_t raw)
{
	uint64_t old = raw_at(c->shadow, off);

	if (old == raw)
		return;
	if (c->n_log == c->cap_log) {
		size_t cap = c->cap_log ? c->cap_log * 2 : 4096;
		struct undo *log = realloc(c->log, cap * sizeof(*log));

		if (!log)
			abort();
		c->log = log;
		c->cap_log = cap;
	}
	c->log[c->n_log++] = (struct undo){ off, old };
	raw_put(c, off, raw);
}

size_t canvas_mark(const struct canvas *c)
{
	return c->n_log;
}

void canvas_undo(struct canvas *c, size_t mark)
{
	while (c->n_log > mark) {
		struct undo *u = &c->log[--c->n_log];

		raw_put(c, u->off, u->raw);
	}
}

void canvas_keep(struct canvas *c)
{
	c->n_log = 0;
}

uint64_t canvas_hash(const struct canvas *c)
{
	return c->hash;
}

static int is_store(const struct pmem_event *e)
{
	return e->kind == PMEM_EVENT_STORE || e->kind == PMEM_EVENT_NT;
}

/* Adds a word that a mount stored to the sums, for a while. */
static void stored_add(struct canvas *c, uint64_t off)
{
	uint64_t from = raw_at(c->shadow, off), to = raw_at(c->pm->base, off);
	struct stored st = { off / PAGE_BYTES, canvas_hash_delta(off, from, to), (to != 0) - (from != 0) };

	if (from == to)
		return;
	if (c->n_stored == c->cap_stored) {
		size_t cap = c->cap_stored ? 2 * c->cap_stored : 4096;
		struct stored *grown = realloc(c->stored, cap * sizeof(*grown));

		if (!grown)
			abort();
		c->stored = grown;
		c->cap_stored = cap;
	}
	c->stored[c->n_stored++] = st;
	sum_add(c, st.block, st.delta, st.more);
}

/* Each word once, however often it was stored. */
static void stored_collect(struct canvas *c)
{
	const struct pmem_event *ev;
	size_t n = pmem_sim_events(c->pm, &ev);

	for (size_t i = 0; i < n; i++) {
		uint64_t end = is_store(&ev[i]) ? ev[i].off + ev[i].len : 0;

		for (uint64_t off = round_down_to(ev[i].off, 8); off < end; off += 8) {
			uint64_t *bits = &c->seen[off / 512], bit = 1ull << (off / 8 % 64);

			if (!(*bits & bit))
				stored_add(c, off);
			*bits |= bit;
		}
	}
	for (size_t i = 0; i < n; i++)
		if (is_store(&ev[i]))
			for (uint64_t off = round_down_to(ev[i].off, 512); off < ev[i].off + ev[i].len; off += 512)
				c->seen[off / 512] = 0;
}

static void stored_forget(struct canvas *c)
{
	while (c->n_stored) {
		struct stored *st = &c->stored[--c->n_stored];

		sum_add(c, st->block, st->delta, -st->more);
	}
}

/* That a block holds something else than before, and roughly how much: sign and magnitude to a power of two. */
static uint64_t contents_class(uint64_t block, const struct block_sum *sum)
{
	uint32_t size = (uint32_t)(sum->more < 0 ? -sum->more : sum->more);
	uint64_t magnitude = size ? 64 - (uint64_t)__builtin_clzll(size) : 0;

	return sum->hash ? word_mix(block, magnitude << 1 | (sum->more < 0)) : 0;
}

uint64_t canvas_stored_hash(struct canvas *c, int (*is_free)(void *ctx, uint64_t block), void *ctx, uint64_t *out_rest)
{
	uint64_t hash = 0, rest = 0;

	stored_collect(c);
	for (size_t i = 0; i < c->n_touched; i++) {
		uint64_t block = c->touched[i], off = block * PAGE_BYTES, change = c->sums[block].hash;

		if (change && is_free && is_free(ctx, block))
			change = contents_class(block, &c->sums[block]);
		hash ^= change;
		rest ^= off >= c->skip_from && off < c->skip_to ? 0 : change;
	}
	stored_forget(c);
	if (out_rest)
		*out_rest = rest;
	return hash;
}

void canvas_revert(struct canvas *c)
{
	const struct pmem_event *ev;
	size_t n = pmem_sim_events(c->pm, &ev);

	for (size_t i = 0; i < n; i++)
		if (is_store(&ev[i]))
			memcpy(c->pm->base + ev[i].off, c->shadow + ev[i].off, ev[i].len);
	pmem_sim_reset_events(c->pm);
}
