/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way through the record of one workload. Images are made before each fence, and behind the end of each operation. Those
 * before a fence cover every instant since the fence before it, since what is in flight only grows until then; the end of an
 * operation has its own, as from there on the new state is promised.
 */
#include "crash/explore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crash/explorer.h"
#include "crash/state.h"
#include "pmfs2/media/format.h"

void explore_stats_add(struct explore_stats *sum, const struct explore_stats *more)
{
	sum->workloads += more->workloads;
	sum->operations += more->operations;
	sum->events += more->events;
	sum->points += more->points;
	sum->images += more->images;
	sum->unique += more->unique;
	sum->second_images += more->second_images;
	sum->second_unique += more->second_unique;
	sum->recovered += more->recovered;
	sum->states += more->states;
	sum->used += more->used;
	sum->capped += more->capped;
	sum->failures += more->failures;
}

int explorer_stopped(const struct explorer *ex)
{
	return ex->error || ex->stats.failures >= ex->opt->failures_max;
}

void explorer_fail(struct explorer *ex, int level, const char *why)
{
	char image[EXPLORE_IMAGE_MAX] = "", point[1024];
	struct explore_failure failure = { .workload = ex->text, .image = image, .point = point, .why = why };

	ex->stats.failures++;
	replay_name(ex, level, image);
	run_point_print(ex->run, &ex->pt, point, sizeof(point));
	if (ex->opt->failed)
		ex->opt->failed(ex->opt->ctx, &failure);
}

/* One pick: counted, dropped if it was there, looked at. */
static void pick_try(struct explorer *ex, const struct image_set *set, int level, const struct legal *legal)
{
	uint64_t hash = image_hash(set, &ex->pick[level]);
	uint64_t states = legal ? word_mix(legal->before->digest, legal->after->digest) : run_point_id(ex->run, &ex->pt);
	size_t mark = canvas_mark(ex->canvas);
	int is_new = 0;

	*(level ? &ex->stats.second_images : &ex->stats.images) += 1;
	if (!word_map_put(&ex->seen, word_mix(hash, states + (uint64_t)level), &is_new))
		ex->error = -ENOMEM;
	if (!is_new)
		return;
	*(level ? &ex->stats.second_unique : &ex->stats.unique) += 1;
	if (ex->list) {
		char name[EXPLORE_IMAGE_MAX];

		replay_name(ex, level, name);
		if (ex->list > 1)
			fprintf(ex->out, "    %s\n", name);
		return;
	}
	image_apply(set, &ex->pick[level]);
	visit_image(ex, legal);
	canvas_undo(ex->canvas, mark);
}

/* The one image that is wanted, if it is of this point. */
static void wanted_try(struct explorer *ex, const struct flight *f, const struct image_set *set, int level,
		       const struct legal *legal)
{
	struct wanted *w = ex->wanted;
	size_t mark = canvas_mark(ex->canvas);

	if (level >= w->levels || w->point[level] != ex->point[level])
		return;
	if (image_pick_parse(w->pick[level], set, &ex->pick[level])) {
		ex->error = -EINVAL;
		return;
	}
	w->met = level + 1;
	replay_image(ex, f, set, level);
	image_apply(set, &ex->pick[level]);
	visit_image(ex, legal);
	canvas_undo(ex->canvas, mark);
}

void explorer_point(struct explorer *ex, const struct flight *f, int level, const struct legal *legal)
{
	struct image_set *set;
	struct image_iter it;

	if (explorer_stopped(ex))
		return;
	if (image_set_new(f, &set)) {
		ex->error = -ENOMEM;
		return;
	}
	ex->stats.points += level == 0;
	if (ex->wanted) {
		wanted_try(ex, f, set, level, legal);
		image_set_free(set);
		return;
	}
	if (ex->list)
		replay_point(ex, f, set, level);
	image_iter_init(&it, set, level ? ex->opt->k2 : ex->opt->k, ex->opt->cap);
	it.few_tears = level && ex->opt->k2 < 2;
	while (!explorer_stopped(ex) && image_iter_next(&it, &ex->pick[level]))
		pick_try(ex, set, level, legal);
	ex->stats.capped += (uint64_t)it.capped;
	image_set_free(set);
}

static void events_walk(struct explorer *ex)
{
	const struct pmem_event *ev;
	size_t n = pmem_sim_events(ex->run->pm, &ev);
	struct flight *f;
	int err = flight_new(ex->canvas, ex->fine_from, ex->fine_to, &f);

	for (size_t i = 0; i < n && !err && !explorer_stopped(ex); i++) {
		if (ev[i].kind == PMEM_EVENT_BEGIN || ev[i].kind == PMEM_EVENT_END)
			run_point_event(ex->run, &ex->pt, &ev[i]);
		if (ev[i].kind == PMEM_EVENT_FENCE || ev[i].kind == PMEM_EVENT_END) {
			explorer_point(ex, f, 0, NULL);
			ex->point[0]++;
		}
		err = flight_event(f, &ev[i], i);
		if (ev[i].kind == PMEM_EVENT_FENCE)
			canvas_keep(ex->canvas);
		ex->stats.operations += ev[i].kind == PMEM_EVENT_END;
	}
	ex->stats.events += n;
	if (err)
		ex->error = err;
	flight_free(f);
}

/* The state block and the journal: there every word of a record counts. What is left in the rings does not, behind recovery. */
static void areas_find(struct explorer *ex)
{
	const struct pmfs2_super *sb = (const struct pmfs2_super *)(const void *)ex->run->pm->base;

	ex->fine_from = PMFS2_BLOCK_SIZE;
	ex->fine_to = le64_get(sb->intent_block) << PMFS2_BLOCK_SHIFT;
	canvas_skip(ex->canvas, le64_get(sb->journal_block) << PMFS2_BLOCK_SHIFT, ex->fine_to);
}

static uint64_t trace_of(const struct run *run)
{
	const struct pmem_event *ev;
	size_t n = pmem_sim_events(run->pm, &ev);
	uint64_t hash = n;

	for (size_t i = 0; i < n; i++)
		hash = word_mix(hash ^ ev[i].kind ^ (uint64_t)ev[i].thread << 8,
				(uint64_t)(uintptr_t)ev[i].site ^ ev[i].len << 32);
	return hash;
}

int explorer_run(struct explorer *ex)
{
	char why[1024] = "";
	struct workload *w;
	int err = workload_parse(ex->text, &w, why, sizeof(why));

	if (!err) {
		err = run_new(w, 0, &ex->run, why, sizeof(why));
		if (err)
			workload_free(w);
	}
	if (err) {
		struct explore_failure failure = { .workload = ex->text, .image = "", .point = "before any crash", .why = why };

		ex->stats.failures++;
		if (ex->opt->failed)
			ex->opt->failed(ex->opt->ctx, &failure);
		return err;
	}
	ex->stats.workloads++;
	if (ex->run->failed) {
		struct explore_failure failure = {
			.workload = ex->text, .image = "", .point = "without a crash", .why = ex->run->why
		};

		ex->stats.failures++;
		if (ex->opt->failed)
			ex->opt->failed(ex->opt->ctx, &failure);
	} else {
		err = canvas_new(ex->run->pm->size, &ex->canvas);
		if (!err) {
			canvas_load(ex->canvas, pmem_sim_base_image(ex->run->pm));
			areas_find(ex);
			events_walk(ex);
			err = ex->error;
		}
	}
	return err;
}

void explorer_fini(struct explorer *ex)
{
	const struct workload *w = ex->run ? ex->run->w : NULL;

	run_free(ex->run);
	workload_free((struct workload *)(uintptr_t)w);
	canvas_free(ex->canvas);
	word_map_fini(&ex->images);
	word_map_fini(&ex->media);
	word_map_fini(&ex->seen);
	word_map_fini(&ex->legal);
	word_map_fini(&ex->recoveries);
	word_map_fini(&ex->used);
	word_map_fini(&ex->digests);
	free(ex->outcomes);
}

int explore_workload(const char *text, const struct explore_options *opt, struct explore_stats *stats, uint64_t *out_trace)
{
	struct explorer ex = { .opt = opt, .text = text };
	int err = explorer_run(&ex);

	if (out_trace)
		*out_trace = ex.run ? trace_of(ex.run) : 0;
	if (err && !ex.stats.failures)
		ex.stats.failures++;
	explore_stats_add(stats, &ex.stats);
	explorer_fini(&ex);
	return err ? err : (int)ex.stats.failures;
}

char *explore_minimise(const char *text, const struct explore_options *opt)
{
	struct explore_options quiet = *opt;
	char *best = strdup(text), why[256];
	int shorter = 1;

	quiet.failed = NULL;
	quiet.failures_max = 1;
	while (best && shorter) {
		struct workload *w, *without;

		shorter = 0;
		if (workload_parse(best, &w, why, sizeof(why)))
			break;
		for (uint32_t i = w->n_ops; !shorter && w->n_ops > 1 && i-- > 0;) {
			struct explore_stats stats = { 0 };
			char *try;

			if (workload_without(w, i, &without))
				continue;
			try = workload_print(without);
			workload_free(without);
			if (try && explore_workload(try, &quiet, &stats, NULL) > 0) {
				free(best);
				best = try;
				shorter = 1;
			} else {
				free(try);
			}
		}
		workload_free(w);
	}
	return best;
}
