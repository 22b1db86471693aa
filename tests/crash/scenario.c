/* SPDX-License-Identifier: BSD-3-Clause */
/* Crashes in what is done to a device that is not mounted. */
#include "crash/scenario.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "crash/canvas.h"
#include "crash/flight.h"
#include "crash/images.h"
#include "crash/word_map.h"

struct walk {
	const struct scenario *sc;
	struct scenario_result *out;
	struct canvas *canvas;
	struct word_map seen;
	uint64_t point;
	int finished;
	int error;
};

static void pick_try(struct walk *w, const struct image_set *set, const struct image_pick *pick)
{
	size_t mark = canvas_mark(w->canvas);
	int is_new = 0;

	w->out->images++;
	if (!word_map_put(&w->seen, word_mix(image_hash(set, pick), (uint64_t)w->finished), &is_new))
		w->error = -ENOMEM;
	if (!is_new)
		return;
	w->out->unique++;
	image_apply(set, pick);
	if (w->sc->check(w->sc->ctx, canvas_pm(w->canvas), w->finished, w->out->why, sizeof(w->out->why))) {
		char text[PICK_TEXT_MAX];

		image_pick_print(pick, text);
		snprintf(w->out->image, sizeof(w->out->image), "%llu:%s", (unsigned long long)w->point, text);
		w->out->failures++;
	}
	canvas_revert(w->canvas);
	canvas_undo(w->canvas, mark);
}

/* All images of what is in flight. */
static void point_try(struct walk *w, const struct flight *f)
{
	struct image_set *set;
	struct image_iter it;
	struct image_pick pick;

	if (image_set_new(f, &set)) {
		w->error = -ENOMEM;
		return;
	}
	image_iter_init(&it, set, w->sc->k, w->sc->cap);
	while (!w->error && !w->out->failures && image_iter_next(&it, &pick))
		pick_try(w, set, &pick);
	w->out->capped += (uint64_t)it.capped;
	w->out->points++;
	w->point++;
	image_set_free(set);
}

static int events_walk(struct walk *w, struct pmem *pm)
{
	const struct pmem_event *ev;
	size_t n = pmem_sim_events(pm, &ev);
	struct flight *f;
	int err = flight_new(w->canvas, 0, w->sc->fine_bytes, &f);

	for (size_t i = 0; i < n && !err && !w->error && !w->out->failures; i++) {
		if (ev[i].kind == PMEM_EVENT_FENCE)
			point_try(w, f);
		err = flight_event(f, &ev[i], i);
		if (ev[i].kind == PMEM_EVENT_FENCE)
			canvas_keep(w->canvas);
	}
	w->finished = 1;
	if (!err && !w->error && !w->out->failures)
		point_try(w, f);
	flight_free(f);
	return err ? err : w->error;
}

/* What it leaves when nothing cuts it: if that is wrong, the rest need not be tried. */
static void end_try(struct walk *w, const struct pmem *pm)
{
	canvas_load(w->canvas, pm->base);
	if (!w->sc->check(w->sc->ctx, canvas_pm(w->canvas), 1, w->out->why, sizeof(w->out->why)))
		return;
	snprintf(w->out->image, sizeof(w->out->image), "end");
	w->out->failures++;
}

int scenario_run(const struct scenario *sc, struct scenario_result *out)
{
	struct walk w = { .sc = sc, .out = out };
	struct pmem *pm;
	int err = pmem_sim_new(sc->mib << 20, PMEM_SIM_RECORD, &pm);

	memset(out, 0, sizeof(*out));
	if (err)
		return err;
	err = sc->prepare(sc->ctx, pm);
	pmem_sim_reset_events(pm);
	if (!err)
		err = sc->act(sc->ctx, pm);
	if (err)
		snprintf(out->why, sizeof(out->why), "cannot be run without a crash: %s", strerror(-err));
	else
		err = canvas_new(pm->size, &w.canvas);
	if (!err) {
		end_try(&w, pm);
		canvas_load(w.canvas, pmem_sim_base_image(pm));
		err = events_walk(&w, pm);
		canvas_free(w.canvas);
		word_map_fini(&w.seen);
	}
	pmem_close(pm);
	return err;
}
