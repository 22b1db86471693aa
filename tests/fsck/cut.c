/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A repair that is cut: for each problem, the golden image is repaired on a simulated device until a store, flush or fence chosen
 *by the seed; what stands there then is repaired again by another process. Nothing may be left, and a check finds nothing.
 *
 *	cut [N]		N cuts for each problem (default 3); TAP_SEED replays
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "golden.h"
#include "pmem/sim.h"

/* What the child leaves. */
struct shared {
	uint64_t n_events;
	uint64_t cut_at; /* event before which the child ends; 0: never */
	uint64_t seed;
};

struct child {
	struct shared *shared;
	uint8_t *image;
	struct pmem *pm;
};

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return *seed >> 33;
}

/* A fence covers the store: one behind it (non-temporal), or behind a flush of its line that is behind it. */
static int is_durable(const struct pmem_event *events, size_t n, size_t at)
{
	int flushed = events[at].kind == PMEM_EVENT_NT;

	for (size_t i = at + 1; i < n; i++) {
		const struct pmem_event *e = &events[i];

		if (e->kind == PMEM_EVENT_FLUSH && e->off <= events[at].off && events[at].off + events[at].len <= e->off + e->len)
			flushed = 1;
		if (e->kind == PMEM_EVENT_FENCE && flushed)
			return 1;
	}
	return 0;
}

/* Onto the image from before the repair, what is on media now. */
static void image_cut(const struct child *c)
{
	const struct pmem_event *events;
	size_t n = pmem_sim_events(c->pm, &events);

	for (size_t i = 0; i < n; i++) {
		const struct pmem_event *e = &events[i];
		int durable;

		if (e->kind != PMEM_EVENT_STORE && e->kind != PMEM_EVENT_NT)
			continue;
		durable = is_durable(events, n, i);
		for (uint64_t at = 0; at < e->len; at += 8)
			if (durable || next_random(&c->shared->seed) & 1)
				memcpy(c->image + e->off + at, e->data + at, e->len - at < 8 ? e->len - at : 8);
	}
}

static void count_event(void *ctx)
{
	struct child *c = ctx;

	if (++c->shared->n_events != c->shared->cut_at)
		return;
	image_cut(c);
	_exit(0);
}

/* Makes, damages and repairs, up to the cut. */
static void child_run(struct child *c, enum fsck_code code)
{
	const struct fsck_options opt = { .mode = FSCK_YES, .force = 1, .threads = 1 };
	struct fsck_result res;
	struct golden g;

	if (pmem_sim_new(GOLDEN_BYTES, PMEM_SIM_RECORD | PMEM_SIM_NO_BASE, &c->pm))
		_exit(2);
	golden_make(c->pm, GOLDEN_MANY, &g);
	golden_recipe_find(code)(&g);
	pmem_sim_reset_events(c->pm);
	memcpy(c->image, c->pm->base, GOLDEN_BYTES);
	pmem_sim_set_hook(c->pm, count_event, c);
	if (fsck_run(c->pm, &opt, &res) || res.n_left)
		_exit(3);
	_exit(0);
}

static int child_fork(struct child *c, enum fsck_code code, uint64_t cut_at)
{
	int status;
	pid_t pid;

	c->shared->n_events = 0;
	c->shared->cut_at = cut_at;
	pid = fork();
	if (!pid)
		child_run(c, code);
	return pid < 0 || waitpid(pid, &status, 0) != pid || status;
}

static int mend(struct child *c, enum fsck_mode mode, struct fsck_result *res)
{
	const struct fsck_options opt = { .mode = mode, .force = 1, .threads = 1 };
	struct pmem *pm;
	int err;

	if (pmem_open_external(c->image, GOLDEN_BYTES, &pm))
		return -1;
	err = fsck_run(pm, &opt, res);
	pmem_close(pm);
	return err;
}

/* 0, or 1: what was cut at this event is not repaired. */
static int cut_once(struct child *c, enum fsck_code code, uint64_t cut_at)
{
	struct fsck_result res;
	const char *bad = NULL;

	if (child_fork(c, code, cut_at))
		bad = "the repair that is cut fails before";
	else if (mend(c, FSCK_YES, &res) || res.n_left)
		bad = "the second repair fails, or leaves something";
	else if (mend(c, FSCK_CHECK, &res) || res.n_found || res.records || res.intents)
		bad = "a check behind the second repair finds something";
	if (bad)
		printf("# %s: cut before event %llu: %s\n", fsck_problem(code)->name, (unsigned long long)cut_at, bad);
	return bad != NULL;
}

static int test_code(struct child *c, enum fsck_code code, uint64_t *seed, int n_cuts)
{
	int n_bad = child_fork(c, code, 0);
	uint64_t n_events = c->shared->n_events;

	if (n_bad || !n_events) {
		printf("# %s: the repair fails, or stores nothing\n", fsck_problem(code)->name);
		return 1;
	}
	c->shared->seed = next_random(seed);
	for (int i = 0; i < n_cuts; i++)
		n_bad += cut_once(c, code, 1 + next_random(seed) % n_events);
	return n_bad;
}

int main(int argc, char **argv)
{
	struct child c = { 0 };
	const char *text = getenv("TAP_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
	int n_cuts = argc > 1 ? atoi(argv[1]) : 3, n = 0, failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	c.shared = mmap(NULL, sizeof(*c.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	c.image = mmap(NULL, GOLDEN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (c.shared == MAP_FAILED || c.image == MAP_FAILED)
		return 1;
	printf("# TAP_SEED=%llu\n1..%d\n", (unsigned long long)seed, FSCK_N_CODES - 1);
	for (enum fsck_code code = 0; code < FSCK_N_CODES; code++) {
		int bad;

		if (code == FSCK_MEDIA_ERROR)
			continue;
		fflush(stdout);
		bad = test_code(&c, code, &seed, n_cuts);
		printf("%sok %d - cut_repair_of_%s_is_finished_by_the_next\n", bad ? "not " : "", ++n, fsck_problem(code)->name);
		failed += bad != 0;
	}
	return failed != 0;
}
