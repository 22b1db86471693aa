/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One image: recovery, the oracle, fsck, use to the end, a crash inside recovery.
 *
 * Most images lead to one of a few outcomes: the record under way is there or not, the rest is replayed. Outcomes are known by
 * the hash of the media behind recovery, and what a file system does with the same media is the same; so each image is recovered,
 * but each outcome is looked at once (the oracle: once for each set of legal states). Of blocks that the bitmaps say are free the
 * hash tells only whether there is something in them, and roughly how much: for what must be zeroed before it is used, that
 * suffices, and that they are not in use is what fsck finds out.
 *
 * Crashes inside recovery are made once for each sequence of stores that a recovery made (their places and their bytes), and each
 * state that it led to, whatever the contents of files: the engine does not read those.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "crash/check.h"
#include "crash/explorer.h"
#include "crash/state.h"

#define WHY_MAX 4096u

static int has_bytes(const struct pmem_event *e)
{
	return e->kind == PMEM_EVENT_STORE || e->kind == PMEM_EVENT_NT;
}

static uint64_t record_hash(const struct pmem_event *ev, size_t n)
{
	uint64_t hash = n;

	for (size_t i = 0; i < n; i++) {
		hash = word_mix(hash ^ ev[i].kind, ev[i].off * 0x10001 + ev[i].len);
		for (uint64_t at = 0; has_bytes(&ev[i]) && at < ev[i].len; at += 8) {
			uint64_t word = 0;

			memcpy(&word, ev[i].data + at, u64_min(8, ev[i].len - at));
			hash = word_mix(hash, word);
		}
	}
	return hash;
}

/* The outcome with this hash; a new one if there is none. NULL: no memory. */
static struct outcome *outcome_of(struct explorer *ex, uint64_t hash)
{
	int is_new;
	uint64_t *slot = word_map_put(&ex->media, hash, &is_new);

	if (!slot)
		return NULL;
	if (!is_new)
		return &ex->outcomes[*slot - 1];
	if (ex->n_outcomes == ex->cap_outcomes) {
		uint32_t cap = ex->cap_outcomes ? 2 * ex->cap_outcomes : 64;
		struct outcome *grown = realloc(ex->outcomes, cap * sizeof(*grown));

		if (!grown)
			return NULL;
		ex->outcomes = grown;
		ex->cap_outcomes = cap;
	}
	ex->outcomes[ex->n_outcomes] = (struct outcome){ .hash = hash };
	ex->stats.states++;
	*slot = ++ex->n_outcomes;
	return &ex->outcomes[*slot - 1];
}

/* The key was not in the map before. */
static int first_time(struct explorer *ex, struct word_map *map, uint64_t key)
{
	int is_new = 0;

	if (!word_map_put(map, key, &is_new))
		ex->error = -ENOMEM;
	return is_new;
}

static int is_legal(const struct legal *legal, uint64_t digest)
{
	return digest == legal->before->digest || digest == legal->after->digest;
}

/* Is the state legal? 1: no. */
static int state_check(struct explorer *ex, const struct legal *legal, struct zus_fs *fs, const struct outcome *oc,
		       struct check_text why)
{
	struct state *now;
	int at;

	if (!legal)
		return run_check(ex->run, &ex->pt, fs, why.buf, why.cap) != 0;
	if (is_legal(legal, oc->digest))
		return 0;
	if (state_capture(fs, 0, &now, why.buf, why.cap))
		return 1;
	/* In front of a new name's record there may be one of its own that gives room: a chunk of inodes, a split bucket. */
	if (legal->before != legal->after && now->visible == legal->before->visible) {
		state_free(now);
		return 0;
	}
	at = snprintf(why.buf, why.cap, "cut in %s: not the state behind the first recovery%s: ", legal->what,
		      legal->before == legal->after ? "" : ", nor the one with what was done next");
	state_diff(legal->before, now, why.buf + at, why.cap - (size_t)at);
	state_free(now);
	return 1;
}

/* Everything that is looked at once for an outcome. rest: hash of its media without the rings. 1: wrong. */
static int outcome_check(struct explorer *ex, struct zus_fs *fs, struct outcome *oc, uint64_t rest, struct check_text why)
{
	oc->checked = 1;
	if (check_fsck(canvas_pm(ex->canvas), why))
		return 1;
	if (!first_time(ex, &ex->used, rest))
		return 0;
	ex->stats.used++;
	return check_usable(fs, ex->run->empty_free, why);
}

/* The digests of the visible state, known by the media without the rings. 1: it cannot be read. */
static int digest_find(struct explorer *ex, struct zus_fs *fs, struct outcome *oc, struct check_text why)
{
	uint64_t *known = word_map_get(&ex->digests, oc->rest);
	struct state *state;
	int is_new;

	if (known) {
		oc->digest = ex->outcomes[*known - 1].digest;
		oc->shape = ex->outcomes[*known - 1].shape;
		return 0;
	}
	if (state_capture(fs, 0, &state, why.buf, why.cap))
		return 1;
	oc->digest = state->digest;
	oc->shape = state->shape;
	state_free(state);
	known = word_map_put(&ex->digests, oc->rest, &is_new);
	if (known)
		*known = (uint64_t)(oc - ex->outcomes) + 1;
	else
		ex->error = -ENOMEM;
	return 0;
}

/*
 * With fs mounted on the image. Looks at what is new about its outcome. 1: wrong. *out_again: the power shall fail again on the
 * way to it.
 */
static int mounted_check(struct explorer *ex, const struct legal *legal, struct zus_fs *fs, int *out_again)
{
	char text[WHY_MAX] = "";
	struct check_text why = { text, sizeof(text) };
	const struct pmem_event *ev;
	size_t n = pmem_sim_events(canvas_pm(ex->canvas), &ev);
	uint64_t rest, hash = canvas_stored_hash(ex->canvas, check_block_is_free, fs, &rest), *slot;
	struct outcome *oc = outcome_of(ex, hash);
	int is_new, bad = 0;

	slot = word_map_put(&ex->images, canvas_hash(ex->canvas), &is_new);
	if (!oc || !slot) {
		ex->error = -ENOMEM;
		return 0;
	}
	*slot = (uint64_t)(oc - ex->outcomes) + 1;
	oc->rest = rest;
	if (!oc->checked)
		bad = digest_find(ex, fs, oc, why);
	if (!bad && !legal && ex->opt->second)
		*out_again = first_time(ex, &ex->recoveries, word_mix(oc->shape, record_hash(ev, n)));
	if (!bad && (legal || first_time(ex, &ex->legal, word_mix(rest, run_point_id(ex->run, &ex->pt)))))
		bad = state_check(ex, legal, fs, oc, why);
	if (!bad && !oc->checked)
		bad = outcome_check(ex, fs, oc, rest, why);
	if (bad)
		explorer_fail(ex, legal != NULL, text);
	return bad;
}

/* What is known already about this image's outcome suffices. */
static int is_known(struct explorer *ex, const struct legal *legal)
{
	uint64_t *slot = word_map_get(&ex->images, canvas_hash(ex->canvas));
	struct outcome *oc;

	if (!slot)
		return 0;
	oc = &ex->outcomes[*slot - 1];
	if (!oc->checked)
		return 0;
	if (legal)
		return is_legal(legal, oc->digest);
	return word_map_get(&ex->legal, word_mix(oc->rest, run_point_id(ex->run, &ex->pt))) != NULL;
}

void visit_image(struct explorer *ex, const struct legal *legal)
{
	char text[WHY_MAX] = "";
	int bad = 1, again = 0;
	struct zus_fs *fs;

	if (is_known(ex, legal))
		return;
	ex->stats.recovered++;
	if (check_mount(canvas_pm(ex->canvas), (struct check_text){ text, sizeof(text) }, &fs)) {
		explorer_fail(ex, legal != NULL, text);
	} else {
		bad = mounted_check(ex, legal, fs, &again);
		check_detach(fs);
	}
	canvas_revert(ex->canvas);
	if (!bad && again && !explorer_stopped(ex))
		again_crash(ex);
}
