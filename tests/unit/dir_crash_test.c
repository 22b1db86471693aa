/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Directories cut off at any instant: operations run on the simulated device, and from its record images are made as a crash could
 * leave them (what a fence covers, and any subset of the other words). After recovery the directory is as before or as after the
 * operation, its tree is sound, and no block is lost.
 */
#include "dir_rig.h"

#define SIZE (8 * MIB)
#define OPS 700u
#define INOS 512u
#define CRASHES 500u /* at random instants, besides those before each fence, where most is open */
#define TRIES 3u
#define PENDING_MAX (1u << 20)

/* A word stored that no fence covers yet. */
struct pending {
	uint64_t off, value;
	uint64_t store; /* words of one store have one number */
	int ready; /* non-temporal, or flushed: the next fence covers it */
};

/* The device as the events so far leave it. */
struct media {
	uint8_t *durable;
	struct pending *pending;
	size_t n;
	uint64_t stores;
};

static void media_store(struct media *m, const struct pmem_event *e)
{
	uint64_t first = e->off & ~7ull, last = (e->off + e->len + 7) & ~7ull;

	m->stores++;
	for (uint64_t off = first; off < last; off += 8) {
		struct pending p = { .off = off, .store = m->stores, .ready = e->kind == PMEM_EVENT_NT };
		uint64_t from = u64_max(off, e->off), to = u64_min(off + 8, e->off + e->len);

		CHECK(m->n < PENDING_MAX);
		memcpy(&p.value, m->durable + off, 8);
		for (size_t i = m->n; i-- > 0;) {
			if (m->pending[i].off == off) {
				p.value = m->pending[i].value;
				break;
			}
		}
		memcpy((uint8_t *)&p.value + (from - off), e->data + (from - e->off), to - from);
		m->pending[m->n++] = p;
	}
}

static void media_event(struct media *m, const struct pmem_event *e)
{
	size_t kept = 0;

	switch (e->kind) {
	case PMEM_EVENT_STORE:
	case PMEM_EVENT_NT:
		media_store(m, e);
		break;
	case PMEM_EVENT_FLUSH:
		for (size_t i = 0; i < m->n; i++)
			if (m->pending[i].off / PMEM_LINE >= e->off / PMEM_LINE &&
			    m->pending[i].off / PMEM_LINE <= (e->off + e->len - 1) / PMEM_LINE)
				m->pending[i].ready = 1;
		break;
	case PMEM_EVENT_FENCE:
		for (size_t i = 0; i < m->n; i++) {
			if (m->pending[i].ready)
				memcpy(m->durable + m->pending[i].off, &m->pending[i].value, 8);
			else
				m->pending[kept++] = m->pending[i];
		}
		m->n = kept;
		break;
	default:
		break;
	}
}

/* What the directory holds: by inode number, the number of the name + 1. */
struct contents {
	uint16_t name[INOS];
};

static void op_name(char buf[256], uint32_t number)
{
	uint32_t len = 60 + number * 13 % 190;

	memset(buf, 'q', len);
	buf[snprintf(buf, 8, "%05u", number)] = 'q';
	buf[len] = '\0';
}

static int contents_emit(void *ctx, struct zus_name name, uint64_t ino, uint32_t type, uint64_t next_cookie)
{
	struct contents *c = ctx;
	char number[6] = { 0 };

	CHECK(ino < INOS && name.len > 5 && !c->name[ino]);
	memcpy(number, name.str, 5);
	c->name[ino] = (uint16_t)(atoi(number) + 1);
	return 1;
}

/* One operation, by chance; c: what the directory holds behind it. */
static void op_run(struct rig *r, uint32_t op, uint64_t *seed, struct contents *c)
{
	uint32_t ino = 1 + (uint32_t)(tap_rand(seed) % (INOS - 1)), number = op, grow = op / 100 % 3 != 2;
	char name[256], other[256];

	op_name(name, number);
	if (!c->name[ino]) {
		if (!grow)
			return;
		CHECK_EQ(rig_insert(r, name, ino), 0);
		c->name[ino] = (uint16_t)(number + 1);
		return;
	}
	op_name(other, c->name[ino] - 1u);
	if (op % 3) {
		CHECK_EQ(rig_remove(r, other), 0);
		c->name[ino] = 0;
	} else {
		rig_rename(r, other, name, op % 2);
		c->name[ino] = (uint16_t)(number + 1);
	}
}

/* Mounts an image as a crash could leave it now. */
static void crash_check(const struct media *m, const struct rig *live, const struct contents *before, const struct contents *after,
			uint64_t *seed)
{
	uint64_t chance = tap_rand(seed) % 5, salt = tap_rand(seed); /* in quarters: none, some, all */
	int whole = salt & 1; /* whole stores are there or not, as a record without the block that it points to; else words */
	struct contents got = { 0 };
	struct pmem *pm;
	struct rig r;

	CHECK_EQ(pmem_open_anon(SIZE, &pm), 0);
	memcpy(pm->base, m->durable, SIZE);
	for (size_t i = 0; i < m->n; i++)
		if ((whole ? (m->pending[i].store ^ salt) * 0x9e3779b97f4a7c15ull >> 40 : tap_rand(seed)) % 4 < chance)
			memcpy(pm->base + m->pending[i].off, &m->pending[i].value, 8);
	rig_mount(&r, pm);
	r.free_blocks = live->free_blocks;
	rig_check(&r);
	CHECK_EQ(dir_iterate(&r.fs, r.dir, 0, contents_emit, &got), 0);
	CHECK(!memcmp(&got, before, sizeof(got)) || !memcmp(&got, after, sizeof(got)));
	rig_free(&r);
}

static void dir_cut_at_any_instant_is_before_or_after(void)
{
	struct media m = { .durable = malloc(SIZE), .pending = calloc(PENDING_MAX, sizeof(struct pending)) };
	struct contents *states = calloc(OPS + 1, sizeof(*states));
	uint64_t seed = tap_seed();
	const struct pmem_event *ev;
	struct pmem *pm;
	struct rig r;
	size_t n;

	CHECK_EQ(pmem_sim_new(SIZE, PMEM_SIM_RECORD, &pm), 0);
	rig_format(&r, pm, PMFS2_RING_BLOCKS_MIN);
	pmem_sim_reset_events(pm);
	for (uint32_t op = 0; op < OPS; op++) {
		states[op + 1] = states[op];
		pmem_sim_begin(pm, "op");
		op_run(&r, op, &seed, &states[op + 1]);
		pmem_sim_end(pm);
	}
	CHECK(le64_get(r.dir->media->blocks) > 5);
	rig_check(&r);
	n = pmem_sim_events(pm, &ev);
	memcpy(m.durable, pmem_sim_base_image(pm), SIZE);
	for (size_t i = 0, op = 0; i < n; i++) {
		op += ev[i].kind == PMEM_EVENT_BEGIN;
		media_event(&m, &ev[i]);
		/* Behind its end an operation is durable, or the promise is broken. */
		uint32_t tries = i + 1 < n && ev[i + 1].kind == PMEM_EVENT_FENCE ? TRIES : tap_rand(&seed) % n < CRASHES;

		while (op && tries--)
			crash_check(&m, &r, &states[ev[i].kind == PMEM_EVENT_END ? op : op - 1], &states[op], &seed);
	}
	rig_free(&r);
	free(states);
	free(m.pending);
	free(m.durable);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(dir_cut_at_any_instant_is_before_or_after),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
