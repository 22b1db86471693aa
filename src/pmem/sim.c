/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The simulated device.
 *
 * Invariants:
 *  1. Every store to the memory happens under sim->lock, together with its event: the order of events is the order of stores.
 *  2. base image + events = memory, unless somebody stored without src/pmem (pmem_sim_verify tells).
 *  3. Bytes of an event are copied once, into the arena, and from there to the memory: a source that changes meanwhile cannot
 *     make the two differ.
 *
 * A copy is recorded as the real one is made: whole lines non-temporal, edge lines that are not whole as store and flush.
 */
#define PMEM_SITES_INSIDE
#include "pmem/sim.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/util.h"
#include "pmem/badpages.h"
#include "pmem/isa.h"
#include "pmem/map.h"
#include "pmem/sim_record.h"

#define PAGE_BYTES 4096u
#define CHUNK_BYTES (1u << 20)

/* Bytes of events. Chunks never move. */
struct chunk {
	struct chunk *next;
	size_t used, cap; /* bytes */
	uint8_t bytes[];
};

struct pmem_sim {
	pthread_mutex_t lock;
	int recording;
	int lost; /* out of memory while recording: the record is useless */
	uint8_t *base_image; /* NULL if not recording */
	uint64_t size; /* bytes */
	struct pmem_event *events;
	size_t n_events, cap_events;
	struct chunk *chunks; /* newest first */
	uint32_t *thread_number; /* by thread_self(); 0: not seen yet */
	size_t cap_threads;
	uint32_t n_threads;
	struct pmem_counts counts;
	void (*hook)(void *ctx); /* pmem_sim_set_hook; NULL: none */
	void *hook_ctx;
};

/* A small number of its own for each thread of the process, the same on every device. */
static size_t thread_self(void)
{
	static size_t n_known;
	static _Thread_local size_t self;

	if (!self)
		self = __atomic_add_fetch(&n_known, 1, __ATOMIC_RELAXED);
	return self - 1;
}

/* This thread's number on this device, in order of first use. */
static uint32_t thread_number_locked(struct pmem_sim *sim)
{
	size_t self = thread_self();

	if (self >= sim->cap_threads) {
		size_t cap = u64_max(64, 2 * (self + 1));
		uint32_t *grown = realloc(sim->thread_number, cap * sizeof(*grown));

		if (!grown) {
			sim->lost = 1;
			return 0;
		}
		memset(grown + sim->cap_threads, 0, (cap - sim->cap_threads) * sizeof(*grown));
		sim->thread_number = grown;
		sim->cap_threads = cap;
	}
	if (!sim->thread_number[self])
		sim->thread_number[self] = ++sim->n_threads;
	return sim->thread_number[self] - 1;
}

/* Room for len bytes in the arena, or NULL. */
static uint8_t *arena_alloc_locked(struct pmem_sim *sim, size_t len)
{
	struct chunk *c = sim->chunks;

	if (!c || c->cap - c->used < len) {
		size_t cap = u64_max(CHUNK_BYTES, len);

		c = malloc(sizeof(*c) + cap);
		if (!c)
			return NULL;
		c->used = 0;
		c->cap = cap;
		c->next = sim->chunks;
		sim->chunks = c;
	}
	c->used += len;
	return c->bytes + c->used - len;
}

/* Empties the arena; a chunk of the usual size is kept for what comes. */
static void arena_reset_locked(struct pmem_sim *sim)
{
	struct chunk *kept = NULL;

	while (sim->chunks) {
		struct chunk *next = sim->chunks->next;

		if (!kept && sim->chunks->cap == CHUNK_BYTES)
			kept = sim->chunks;
		else
			free(sim->chunks);
		sim->chunks = next;
	}
	if (kept) {
		kept->used = 0;
		kept->next = NULL;
		sim->chunks = kept;
	}
}

static void arena_free_locked(struct pmem_sim *sim)
{
	while (sim->chunks) {
		struct chunk *next = sim->chunks->next;

		free(sim->chunks);
		sim->chunks = next;
	}
}

/* Appends an event; its thread is filled in here. */
static void event_append_locked(struct pmem_sim *sim, struct pmem_event event)
{
	if (!sim->recording || sim->lost)
		return;
	if (sim->n_events == sim->cap_events) {
		size_t cap = u64_max(1024, 2 * sim->cap_events);
		struct pmem_event *grown = realloc(sim->events, cap * sizeof(*grown));

		if (!grown) {
			sim->lost = 1;
			return;
		}
		sim->events = grown;
		sim->cap_events = cap;
	}
	event.thread = thread_number_locked(sim);
	sim->events[sim->n_events++] = event;
}

static uint64_t lines_touched(uint64_t off, uint64_t len)
{
	return (off + len - 1) / PMEM_LINE - off / PMEM_LINE + 1;
}

/* Stores the bytes (src NULL: zeros) and their event. event: kind, off, len, site. */
static void store_locked(struct pmem *pm, struct pmem_event event, const uint8_t *src)
{
	struct pmem_sim *sim = pm->sim;
	uint8_t *dst = pm->base + event.off;
	uint8_t *copy = NULL;

	if (sim->recording && !sim->lost) {
		copy = arena_alloc_locked(sim, event.len);
		if (!copy)
			sim->lost = 1;
	}
	if (copy && src)
		memcpy(copy, src, event.len);
	else if (copy)
		memset(copy, 0, event.len);
	event.data = copy;
	event_append_locked(sim, event);
	if (event.len == 8 && event.off % 8 == 0) {
		uint64_t word = 0;

		if (src)
			memcpy(&word, copy ? copy : src, 8);
		__atomic_store_n((uint64_t *)(void *)dst, word, __ATOMIC_RELEASE);
	} else if (src) {
		memcpy(dst, copy ? copy : src, event.len);
	} else {
		memset(dst, 0, event.len);
	}
	sim->counts.bytes += event.len;
	if (event.kind == PMEM_EVENT_NT)
		sim->counts.lines_nt += lines_touched(event.off, event.len);
}

static void flush_locked(struct pmem_sim *sim, uint64_t off, uint64_t len, const void *site)
{
	uint64_t n_lines = lines_touched(off, len);

	sim->counts.lines_flushed += n_lines;
	event_append_locked(sim, (struct pmem_event){
					 .kind = PMEM_EVENT_FLUSH,
					 .off = round_down_to(off, PMEM_LINE),
					 .len = n_lines * PMEM_LINE,
					 .site = site,
				 });
}

/* What the crash explorer wants done wrong at a call site (site.h). */
static enum pmem_mutation mutation_of(const void *site)
{
#if PMEM_SITES
	return pmem_site_mutation(site);
#else
	return PMEM_MUT_NONE;
#endif
}

static void hook_call(struct pmem_sim *sim)
{
	if (sim->hook)
		sim->hook(sim->hook_ctx);
}

void sim_store64(struct pmem *pm, uint64_t *addr, uint64_t raw, const void *site)
{
	struct pmem_event event = { .kind = PMEM_EVENT_STORE, .off = pmem_off(pm, addr), .len = 8, .site = site };

	if (mutation_of(site) == PMEM_MUT_DROP)
		return;
	hook_call(pm->sim);
	pthread_mutex_lock(&pm->sim->lock);
	pm->sim->counts.stores++;
	store_locked(pm, event, (const uint8_t *)&raw);
	pthread_mutex_unlock(&pm->sim->lock);
}

void sim_modify64(struct pmem *pm, uint64_t *addr, uint64_t and_mask, uint64_t or_mask, const void *site)
{
	struct pmem_event event = { .kind = PMEM_EVENT_STORE, .off = pmem_off(pm, addr), .len = 8, .site = site };
	uint64_t raw;

	if (mutation_of(site) == PMEM_MUT_DROP)
		return;
	hook_call(pm->sim);
	pthread_mutex_lock(&pm->sim->lock);
	pm->sim->counts.stores++;
	raw = (__atomic_load_n(addr, __ATOMIC_RELAXED) & and_mask) | or_mask;
	store_locked(pm, event, (const uint8_t *)&raw);
	pthread_mutex_unlock(&pm->sim->lock);
}

/* The copy as cached stores that are not written back: what a forgotten flush leaves. */
static void copy_unflushed(struct pmem *pm, uint64_t off, const uint8_t *src, size_t len, const void *site)
{
	hook_call(pm->sim);
	pthread_mutex_lock(&pm->sim->lock);
	pm->sim->counts.stores++;
	store_locked(pm, (struct pmem_event){ .kind = PMEM_EVENT_STORE, .off = off, .len = len, .site = site }, src);
	pthread_mutex_unlock(&pm->sim->lock);
}

void sim_copy(struct pmem *pm, uint8_t *dst, const uint8_t *src, size_t len, const void *site)
{
	uint64_t off = pmem_off(pm, dst), end = off + len, next;
	enum pmem_mutation mutation = mutation_of(site);

	if (mutation == PMEM_MUT_DROP)
		return;
	if (mutation == PMEM_MUT_NOFLUSH) {
		copy_unflushed(pm, off, src, len, site);
		return;
	}
	hook_call(pm->sim);
	pthread_mutex_lock(&pm->sim->lock);
	pm->sim->counts.stores++;
	for (; off < end; src += src ? next - off : 0, off = next) {
		struct pmem_event event = { .off = off, .site = site };
		uint64_t line_end = round_down_to(off, PMEM_LINE) + PMEM_LINE;
		int whole = off % PMEM_LINE == 0 && end - off >= PMEM_LINE;

		next = whole ? round_down_to(end, PMEM_LINE) : u64_min(line_end, end);
		event.kind = whole ? PMEM_EVENT_NT : PMEM_EVENT_STORE;
		event.len = next - off;
		store_locked(pm, event, src);
		if (!whole)
			flush_locked(pm->sim, off, next - off, site);
	}
	pthread_mutex_unlock(&pm->sim->lock);
}

void sim_flush(struct pmem *pm, const uint8_t *addr, size_t len, const void *site)
{
	if (mutation_of(site) == PMEM_MUT_DROP)
		return;
	hook_call(pm->sim);
	pthread_mutex_lock(&pm->sim->lock);
	flush_locked(pm->sim, pmem_off(pm, addr), len, site);
	pthread_mutex_unlock(&pm->sim->lock);
}

void sim_fence(struct pmem *pm, const void *site)
{
	if (mutation_of(site) == PMEM_MUT_DROP)
		return;
	hook_call(pm->sim);
	pthread_mutex_lock(&pm->sim->lock);
	pm->sim->counts.fences++;
	event_append_locked(pm->sim, (struct pmem_event){ .kind = PMEM_EVENT_FENCE, .site = site });
	pthread_mutex_unlock(&pm->sim->lock);
}

void sim_free(struct pmem_sim *sim)
{
	if (!sim)
		return;
	arena_free_locked(sim);
	if (sim->base_image)
		munmap(sim->base_image, sim->size);
	free(sim->events);
	free(sim->thread_number);
	pthread_mutex_destroy(&sim->lock);
	free(sim);
}

static int zeroed_map(uint64_t size, uint8_t **out_base)
{
	struct pmem_map_request req = {
		.len = size,
		.align = PMEM_MAP_ALIGN,
		.prot = PROT_READ | PROT_WRITE,
		.flags = MAP_PRIVATE | MAP_ANONYMOUS,
		.fd = -1,
	};

	return pmem_map(&req, out_base);
}

int pmem_sim_new(uint64_t size, unsigned int flags, struct pmem **out_pm)
{
	struct pmem_sim *sim;
	struct pmem *pm;
	int err;

	err = pmem_open_anon(size, &pm);
	if (err)
		return err;
	sim = calloc(1, sizeof(*sim));
	if (!sim) {
		err = -ENOMEM;
		goto close_pm;
	}
	sim->size = pm->size;
	sim->recording = (flags & PMEM_SIM_RECORD) != 0;
	if (sim->recording && !(flags & PMEM_SIM_NO_BASE)) {
		err = zeroed_map(sim->size, &sim->base_image);
		if (err)
			goto free_sim;
	}
	pthread_mutex_init(&sim->lock, NULL);
	pm->kind = PMEM_KIND_SIM;
	pm->sim = sim;
	*out_pm = pm;
	return 0;
free_sim:
	free(sim);
close_pm:
	pmem_close(pm);
	return err;
}

void pmem_sim_begin(struct pmem *pm, const char *name)
{
	struct pmem_event event = {
		.kind = PMEM_EVENT_BEGIN,
		.len = strlen(name) + 1,
		.site = __builtin_return_address(0),
		.data = (const uint8_t *)name,
	};

	pthread_mutex_lock(&pm->sim->lock);
	event_append_locked(pm->sim, event);
	pthread_mutex_unlock(&pm->sim->lock);
}

void pmem_sim_end(struct pmem *pm)
{
	struct pmem_event event = { .kind = PMEM_EVENT_END, .site = __builtin_return_address(0) };

	pthread_mutex_lock(&pm->sim->lock);
	event_append_locked(pm->sim, event);
	pthread_mutex_unlock(&pm->sim->lock);
}

void pmem_sim_set_hook(struct pmem *pm, void (*hook)(void *ctx), void *ctx)
{
	pm->sim->hook = hook;
	pm->sim->hook_ctx = ctx;
}

struct pmem_counts pmem_sim_counts(const struct pmem *pm)
{
	struct pmem_counts counts;

	pthread_mutex_lock(&pm->sim->lock);
	counts = pm->sim->counts;
	pthread_mutex_unlock(&pm->sim->lock);
	return counts;
}

void pmem_sim_reset_counts(struct pmem *pm)
{
	pthread_mutex_lock(&pm->sim->lock);
	memset(&pm->sim->counts, 0, sizeof(pm->sim->counts));
	pthread_mutex_unlock(&pm->sim->lock);
}

size_t pmem_sim_events(const struct pmem *pm, const struct pmem_event **out_events)
{
	size_t n;

	pthread_mutex_lock(&pm->sim->lock);
	*out_events = pm->sim->events;
	n = pm->sim->n_events;
	pthread_mutex_unlock(&pm->sim->lock);
	return n;
}

void pmem_sim_reset_events(struct pmem *pm)
{
	struct pmem_sim *sim = pm->sim;

	pthread_mutex_lock(&sim->lock);
	sim->n_events = 0;
	sim->lost = 0;
	arena_reset_locked(sim);
	/* Only pages that differ are written: untouched ones of a large device stay unallocated. Bad ones may be among them. */
	pmem_expect_begin();
	for (uint64_t off = 0; sim->base_image && off < sim->size; off += PAGE_BYTES)
		if (memcmp(sim->base_image + off, pm->base + off, PAGE_BYTES))
			memcpy(sim->base_image + off, pm->base + off, PAGE_BYTES);
	pmem_expect_end();
	pthread_mutex_unlock(&sim->lock);
}

const uint8_t *pmem_sim_base_image(const struct pmem *pm)
{
	return pm->sim->base_image;
}

/* Applies the events to copies of the base image's pages; touched has a byte for each page that was copied. */
static void replay_into(const struct pmem_sim *sim, uint8_t *image, uint8_t *touched)
{
	for (size_t i = 0; i < sim->n_events; i++) {
		const struct pmem_event *e = &sim->events[i];

		if (e->kind != PMEM_EVENT_STORE && e->kind != PMEM_EVENT_NT)
			continue;
		for (uint64_t page = e->off / PAGE_BYTES; page <= (e->off + e->len - 1) / PAGE_BYTES; page++) {
			if (!touched[page])
				memcpy(image + page * PAGE_BYTES, sim->base_image + page * PAGE_BYTES, PAGE_BYTES);
			touched[page] = 1;
		}
		memcpy(image + e->off, e->data, e->len);
	}
}

/* Offset of the first difference between the mapping and what it should be; sim->size if none. */
static uint64_t first_difference(const struct pmem *pm, const uint8_t *image, const uint8_t *touched)
{
	for (uint64_t off = 0; off < pm->size; off += PAGE_BYTES) {
		const uint8_t *want = (touched[off / PAGE_BYTES] ? image : pm->sim->base_image) + off;
		uint32_t i = 0;

		if (!memcmp(want, pm->base + off, PAGE_BYTES))
			continue;
		while (want[i] == pm->base[off + i])
			i++;
		return off + i;
	}
	return pm->size;
}

int pmem_sim_verify(const struct pmem *pm, uint64_t *out_off)
{
	struct pmem_sim *sim = pm->sim;
	uint8_t *image, *touched;
	uint64_t off;
	int err;

	if (!sim->base_image)
		return -EOPNOTSUPP;
	touched = calloc(1, sim->size / PAGE_BYTES);
	if (!touched)
		return -ENOMEM;
	err = zeroed_map(sim->size, &image);
	if (err)
		goto free_touched;
	pthread_mutex_lock(&sim->lock);
	if (sim->lost) {
		err = -ENOMEM;
	} else {
		replay_into(sim, image, touched);
		off = first_difference(pm, image, touched);
		if (off < sim->size) {
			*out_off = off;
			err = -EUCLEAN;
		}
	}
	pthread_mutex_unlock(&sim->lock);
	munmap(image, sim->size);
free_touched:
	free(touched);
	return err;
}
