/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The power fails again: inside of a recovery, and in what is done right behind it.
 *
 * The image is recovered once more, by a thread that is to the engine another one than that of the workload, and so works on
 * another ring of the journal. Then a file is made, and by the first thread written. From the record of all that images are made
 * as from the record of the workload. Up to the end of the recovery each must lead to the state behind the first recovery; from
 * there on to that before or after what was under way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "crash/check.h"
#include "crash/clock.h"
#include "crash/explorer.h"
#include "crash/state.h"

#define NAME "again-after-a-crash"
#define STEPS 2u

struct again {
	struct state *states[STEPS + 1]; /* behind recovery, and behind each step */
	struct pmem_event *events;
	uint8_t *bytes;
	size_t n;
};

static void again_fini(struct again *a)
{
	for (uint32_t i = 0; i <= STEPS; i++)
		state_free(a->states[i]);
	free(a->events);
	free(a->bytes);
}

static int has_bytes(const struct pmem_event *e)
{
	return e->kind == PMEM_EVENT_STORE || e->kind == PMEM_EVENT_NT;
}

/* The record is kept while others run. */
static int record_copy(const struct pmem_event *ev, size_t n, struct again *out)
{
	size_t total = 0, at = 0;

	for (size_t i = 0; i < n; i++)
		total += has_bytes(&ev[i]) ? ev[i].len : 0;
	out->n = n;
	out->events = malloc((n + 1) * sizeof(*ev));
	out->bytes = malloc(total + 1);
	if (!out->events || !out->bytes)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		out->events[i] = ev[i];
		if (!has_bytes(&ev[i]))
			continue;
		memcpy(out->bytes + at, ev[i].data, ev[i].len);
		out->events[i].data = out->bytes + at;
		at += ev[i].len;
	}
	return 0;
}

/* What a step gives does not matter: on a full device or in an immutable directory there is nothing to see. */
static void step_do(struct zus_fs *fs, uint32_t step)
{
	struct zus_name name = { NAME, sizeof(NAME) - 1 };
	struct zus_new new = { .mode = S_IFREG | 0644 };
	struct zus_attr attr;
	int err;

	if (step == 0)
		err = fs->ops->create(fs, ZUS_NODE_ROOT, name, &new, &attr);
	else
		err = fs->ops->lookup(fs, ZUS_NODE_ROOT, name, &attr);
	if (!err && step == 1)
		(void)check_write(fs, attr.node);
	if (!err)
		fs->ops->forget(fs, attr.node, 1);
}

static int steps_run(struct explorer *ex, struct zus_fs *fs, struct again *a, struct check_text why)
{
	struct pmem *pm = canvas_pm(ex->canvas);
	int err = state_capture(fs, 0, &a->states[0], why.buf, why.cap);

	for (uint32_t i = 0; !err && i <= STEPS; i++) {
		if (i) {
			pmem_sim_begin(pm, i == 1 ? "create of a file behind the recovery" : "write behind the recovery");
			crash_thread_set(i == 1 ? 2 : 1);
			step_do(fs, i - 1);
			pmem_sim_end(pm);
			err = state_capture(fs, 0, &a->states[i], why.buf, why.cap);
		}
		if (!err)
			err = state_own_data(a->states[i], i ? a->states[i - 1] : NULL);
	}
	return err;
}

/* Runs what is to be cut. The canvas holds the image, then as now. 0 or -errno, said in why. */
static int again_record(struct explorer *ex, struct again *a, struct check_text why)
{
	const struct pmem_event *ev;
	struct zus_fs *fs;
	size_t n;
	int err;

	crash_thread_set(2);
	err = check_mount(canvas_pm(ex->canvas), why, &fs);
	if (!err) {
		err = steps_run(ex, fs, a, why);
		n = pmem_sim_events(canvas_pm(ex->canvas), &ev);
		if (!err)
			err = record_copy(ev, n, a);
		check_detach(fs);
	}
	crash_thread_set(1);
	canvas_revert(ex->canvas);
	return err;
}

static void again_walk(struct explorer *ex, const struct again *a)
{
	struct legal legal = { a->states[0], a->states[0], "the recovery" };
	uint32_t step = 0;
	struct flight *f;
	int err = flight_new(ex->canvas, ex->fine_from, ex->fine_to, &f);

	for (size_t i = 0; i < a->n && !err && !explorer_stopped(ex); i++) {
		enum pmem_event_kind kind = a->events[i].kind;

		if (kind == PMEM_EVENT_END)
			legal.before = legal.after;
		if (kind == PMEM_EVENT_FENCE || kind == PMEM_EVENT_BEGIN || kind == PMEM_EVENT_END) {
			explorer_point(ex, f, 1, &legal);
			ex->point[1]++;
		}
		if (kind == PMEM_EVENT_BEGIN) {
			legal.after = a->states[++step];
			legal.what = (const char *)a->events[i].data;
		}
		err = flight_event(f, &a->events[i], i);
	}
	if (err)
		ex->error = err;
	flight_free(f);
}

void again_crash(struct explorer *ex)
{
	char text[1024] = "";
	struct again a = { .n = 0 };
	size_t mark = canvas_mark(ex->canvas);

	ex->point[1] = 0;
	if (again_record(ex, &a, (struct check_text){ text, sizeof(text) })) {
		explorer_fail(ex, 0, text[0] ? text : "no memory");
	} else {
		ex->recovery = a.events;
		ex->n_recovery = a.n;
		again_walk(ex, &a);
		canvas_undo(ex->canvas, mark);
	}
	again_fini(&a);
}
