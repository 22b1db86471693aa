/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads: which states are legal at a point. Every order of the steps that returned, and of any choice of those that run, counts
 *if
 *	- each thread's steps stand in the order of the text,
 *	- a step that had returned before another began comes before it,
 *	- done one after the other, the steps that returned give the results that they gave.
 * Each order is replayed on a fresh engine, once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash/run_private.h"
#include "pmfs2/fs.h"
#include "pmfs2/mount.h"

uint32_t run_step_of(const struct run *run, uint32_t thread, uint32_t nth)
{
	for (uint32_t step = run->w->n_setup_steps; step < run->w->n_steps; step++)
		if (run->w->steps[step].thread == thread && !nth--)
			return step;
	return run->w->n_steps;
}

void run_oracle_free(struct oracle *o)
{
	if (!o)
		return;
	for (uint32_t i = 0; o->states && i < o->n_states; i++)
		state_free(o->states[i]);
	free(o->states);
	while (o->replays) {
		struct replay *next = o->replays->next;

		state_free(o->replays->state);
		free(o->replays);
		o->replays = next;
	}
	while (o->legals) {
		struct legal *next = o->legals->next;

		free(o->legals->states);
		free(o->legals);
		o->legals = next;
	}
	free(o);
}

static int replay_steps(struct run *run, struct replay *r, struct zus_fs *fs, char *why, size_t why_size)
{
	struct exec *x;
	uint32_t step;
	int err = exec_new(run->w, fs, NULL, &x);

	if (err)
		return err;
	err = exec_setup(x, &step);
	run_prepared(run->w, fs);
	for (uint32_t i = 0; !err && i < r->n; i++)
		r->result[i] = exec_step(x, run->w->n_setup_steps + r->seq[i]);
	if (!err)
		err = run_capture(fs, x, run->oracle->states[0], &r->state, why, why_size);
	exec_drop(x);
	return err;
}

static struct replay *replay_find(struct run *run, const uint16_t *seq, uint32_t n)
{
	struct replay *r = run->oracle->replays;

	while (r && (r->n != n || memcmp(r->seq, seq, n * sizeof(*seq))))
		r = r->next;
	return r;
}

/* The order done on a fresh engine, or as it was remembered. */
static int replay_get(struct run *run, const uint16_t *seq, uint32_t n, struct replay **out, char *why, size_t why_size)
{
	struct replay *r = replay_find(run, seq, n);
	struct zus_fs *fs;
	struct pmem *pm;
	int err;

	*out = r;
	if (r)
		return 0;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	memcpy(r->seq, seq, n * sizeof(*seq));
	r->n = n;
	err = pmem_open_anon((uint64_t)run->w->geo.mib << 20, &pm);
	if (err)
		goto free_replay;
	err = run_mount(run->w, pm, &fs);
	if (err) {
		pmem_close(pm);
		goto free_replay;
	}
	err = replay_steps(run, r, fs, why, why_size);
	fs_abandon(fs_of(fs));
	if (err)
		goto free_replay;
	r->next = run->oracle->replays;
	run->oracle->replays = r;
	*out = r;
	return 0;
free_replay:
	free(r);
	return err;
}

static int legal_add(struct legal *l, const struct state *s)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (l->states[i]->visible == s->visible)
			return 0;
	if (l->n == l->cap) {
		uint32_t cap = l->cap ? 2 * l->cap : 8;
		const struct state **grown = realloc(l->states, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		l->states = grown;
		l->cap = cap;
	}
	l->states[l->n++] = s;
	return 0;
}

/* One order being built: depth first over the choice of the next thread. */
struct order {
	struct run *run;
	const struct run_point *pt;
	struct legal *legal;
	uint16_t seq[RUN_STEPS_CONCURRENT];
	uint32_t n;
	uint32_t taken[WORKLOAD_THREADS_MAX];
	char *why;
	size_t why_size;
};

/* How many of a thread's steps took place at most. */
static uint32_t may_take(const struct order *o, uint32_t thread)
{
	return o->pt->returned[thread] + (o->pt->running[thread] ? 1 : 0);
}

/* No step that is still to come returned before this one began. */
static int may_be_next(const struct order *o, uint32_t thread)
{
	uint64_t begin, end, other;

	exec_stamps(o->run->exec, run_step_of(o->run, thread, o->taken[thread]), &begin, &other);
	for (uint32_t t = 0; t < o->run->w->n_threads; t++) {
		if (t == thread || o->taken[t] >= o->pt->returned[t])
			continue;
		exec_stamps(o->run->exec, run_step_of(o->run, t, o->taken[t]), &other, &end);
		if (end < begin)
			return 0;
	}
	return 1;
}

/* An order with everything that returned in it. */
static int order_take(struct order *o)
{
	struct replay *r;
	uint32_t seen[WORKLOAD_THREADS_MAX] = { 0 };
	int err = replay_get(o->run, o->seq, o->n, &r, o->why, o->why_size);

	if (err)
		return err;
	for (uint32_t i = 0; i < o->n; i++) {
		uint32_t step = o->run->w->n_setup_steps + o->seq[i], thread = o->run->w->steps[step].thread;

		if (seen[thread]++ < o->pt->returned[thread] && r->result[i] != exec_result(o->run->exec, step))
			return 0;
	}
	return legal_add(o->legal, r->state);
}

/* The depth is bounded by RUN_STEPS_CONCURRENT. */
static int orders_walk(struct order *o)
{
	uint32_t missing = 0;
	int err = 0;

	for (uint32_t t = 0; t < o->run->w->n_threads; t++)
		missing += o->taken[t] < o->pt->returned[t];
	if (!missing)
		err = order_take(o);
	for (uint32_t t = 0; !err && t < o->run->w->n_threads; t++) {
		if (o->taken[t] == may_take(o, t) || !may_be_next(o, t))
			continue;
		o->seq[o->n++] = (uint16_t)(run_step_of(o->run, t, o->taken[t]) - o->run->w->n_setup_steps);
		o->taken[t]++;
		err = orders_walk(o);
		o->taken[t]--;
		o->n--;
	}
	return err;
}

int run_legal(struct run *run, const struct run_point *pt, const struct legal **out, char *why, size_t why_size)
{
	uint64_t id = run_point_id(run, pt);
	struct legal *l = run->oracle->legals;
	struct order order = { .run = run, .pt = pt, .why = why, .why_size = why_size };
	int err;

	while (l && l->id != id)
		l = l->next;
	*out = l;
	if (l)
		return 0;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->id = id;
	order.legal = l;
	err = orders_walk(&order);
	if (err) {
		free(l->states);
		free(l);
		return err;
	}
	l->next = run->oracle->legals;
	run->oracle->legals = l;
	*out = l;
	return 0;
}
