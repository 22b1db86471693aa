/* SPDX-License-Identifier: BSD-3-Clause */
/* A run of fsck: which rounds there are, and what is said at its end (see state.h). */
#include "fsck/fsck.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fsck/fix.h"
#include "fsck/reconnect.h"
#include "fsck/state.h"
#include "pmem/badpages.h"

#define ROUNDS_MAX 16u /* each repairs something; more are needed only by an image made to need them */

static uint32_t cpu_count(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) ? 1 : (uint32_t)CPU_COUNT(&set);
}

/* What one round has gathered. */
static void round_clear(struct fsck *fk)
{
	claims_fini(&fk->now);
	free(fk->chunk_block);
	free(fk->ino_state);
	free(fk->ino_links);
	free(fk->intent_blocks);
	free(fk->odd);
	fk->chunk_block = fk->intent_blocks = NULL;
	fk->ino_state = NULL;
	fk->ino_links = NULL;
	fk->odd = NULL;
	fk->n_chunks = fk->n_inodes = fk->n_dirs = fk->n_intents = fk->n_odd = fk->cap_odd = 0;
	fk->n_intent_blocks = 0;
	fk->round_found = fk->round_fixed = fk->round_structure = fk->round_kept = fk->round_unsafe = 0;
	fk->n_lost = 0;
}

/* All passes behind the journal. 0 or -errno. */
static int round_run(struct fsck *fk)
{
	int err;

	round_clear(fk);
	err = claims_init(&fk->now, fk->disk.n_blocks);
	if (err)
		return err;
	pass_state(fk);
	pass_intent_chain(fk);
	err = fk->err ? fk->err : pass_itable(fk);
	if (err)
		return err;
	pass_inodes(fk);
	if (!fk->err)
		pass_dirs(fk);
	if (!fk->err)
		pass_parents(fk);
	if (!fk->err)
		pass_intents(fk);
	if (!fk->err)
		pass_bitmaps(fk);
	if (!fk->err)
		pass_links(fk);
	if (!fk->err)
		pass_media(fk);
	fk->res->n_files = fk->n_inodes;
	fk->res->n_dirs = fk->n_dirs;
	return fk->err;
}

/* Pages that could not be read, in runs. */
static void say_bad_pages(struct fsck *fk)
{
	const struct pmem *pm = fk->disk.pm;
	uint64_t at, end;

	for (uint64_t off = 0; pmem_bad_find(pm, off, pm->size - off, &at); off = end) {
		at = round_down_to(at, PMEM_BAD_PAGE);
		end = at;
		while (end < pm->size && pmem_is_bad(pm, pmem_at(pm, end), PMEM_BAD_PAGE))
			end += PMEM_BAD_PAGE;
		fsck_found(fk, FSCK_MEDIA_ERROR, "media error: bytes %llu to %llu (blocks %llu to %llu) cannot be read",
			   (unsigned long long)at, (unsigned long long)end - 1, (unsigned long long)at >> PMFS2_BLOCK_SHIFT,
			   (unsigned long long)(end - 1) >> PMFS2_BLOCK_SHIFT);
	}
}

static int scan(struct fsck *fk, int silent)
{
	int err;

	fk->fixing = 0;
	fk->silent = silent;
	err = round_run(fk);
	if (!err && pmem_n_bad(fk->disk.pm))
		say_bad_pages(fk);
	fk->silent = 0;
	return err;
}

/* One round of repairs behind a scan, whose claims say what is in use. 0 or -errno. */
static int repair(struct fsck *fk)
{
	int err;

	fk->before = fk->now;
	fk->now = (struct claims){ 0 };
	fk->alloc_next = 0;
	fk->fixing = 1;
	fix_horizon(fk, PMFS2_CLEAN_DAMAGED);
	err = round_run(fk);
	claims_fini(&fk->before);
	return err;
}

/* Names in lost+found, intents: the engine changes the journal, which is read again then. */
static int engine_run(struct fsck *fk)
{
	uint64_t n = fk->n_lost;
	int err;

	fix_horizon(fk, PMFS2_CLEAN_NO);
	err = engine_session(fk);
	if (err)
		fsck_note(fk, "%s: %s", n ? "names cannot be put into /lost+found" : "intents cannot be finished",
			  strerror(-err));
	fk->silent = 1;
	fk->fixing = 1;
	if (pass_journal(fk))
		return -EUCLEAN;
	fk->silent = 0;
	return err;
}

/* Names in lost+found. What was said to be repaired is not, if that fails: it is said again then. */
static void names_run(struct fsck *fk)
{
	uint32_t n = (uint32_t)fk->n_lost;

	if (!engine_run(fk))
		return;
	fk->engine_failed = 1;
	fk->res->n_found -= n;
	fk->res->n_repaired -= n;
	fk->res->found[FSCK_UNCONNECTED] -= n;
}

/*
 * 0: nothing is left that may be repaired; a scan was the last round. -errno. With pages that cannot be read nothing is repaired:
 * what stands for them here is not what the device may still give to somebody who copies it.
 */
static int repair_rounds(struct fsck *fk)
{
	int err = scan(fk, 1);

	if (!err && pmem_n_bad(fk->disk.pm))
		return scan(fk, 0);
	for (uint32_t i = 0; !err && fk->round_found && i < ROUNDS_MAX; i++) {
		uint32_t fixed;

		err = repair(fk);
		fixed = fk->round_fixed;
		if (!err && fk->n_lost)
			names_run(fk);
		if (!err)
			err = scan(fk, 1);
		if (!fixed)
			break;
	}
	return err;
}

/* No horizon was valid: what the last scan has counted is what there is. */
static void counts_take(struct fsck *fk)
{
	if (!fk->counts_lost || fk->round_found)
		return;
	fk->free_blocks = fk->disk.n_blocks - fk->res->used_blocks;
	fk->used_inodes = fk->n_inodes;
	fk->counts_lost = 0;
}

/*
 * Everything else is sound: the engine finishes the intents. What it makes of an intent that only looked sound is checked and, if
 * need be, repaired again.
 */
static int intents_run(struct fsck *fk)
{
	int err = 0;

	fk->res->intents = fk->n_intents;
	for (int i = 0; !err && i < 3 && !fk->round_found && fk->n_intents; i++) {
		err = engine_run(fk);
		if (!err)
			err = repair_rounds(fk);
	}
	return err;
}

/* A backing file: what was repaired is on its storage before anything says so. */
static int sync_repairs(struct fsck *fk)
{
	int err = pmem_sync(fk->disk.pm);

	if (err)
		snprintf(fk->res->error, sizeof(fk->res->error),
			 "the repairs cannot be written to the storage: %s; it is not marked clean", strerror(-err));
	return err;
}

/* The horizon that says how the run has ended. */
static int finish(struct fsck *fk)
{
	uint32_t left;
	int err = 0;

	counts_take(fk);
	if (!pmem_n_bad(fk->disk.pm))
		err = intents_run(fk);
	fk->res->n_left = fk->round_found + (fk->round_found && fk->marked);
	if (err || pmem_n_bad(fk->disk.pm))
		return err;
	err = sync_repairs(fk);
	if (err)
		return err;
	counts_take(fk);
	fk->fixing = 1;
	left = fk->round_found;
	fk->hands_off = left != 0;
	if (fk->marked && !fsck_found(fk, FSCK_DAMAGE_MARK, "state block: a mount has found damage and left a mark")) {
		fk->res->n_left += !left;
		fk->round_unsafe++;
	}
	fix_horizon(fk, fk->round_unsafe ? PMFS2_CLEAN_DAMAGED : left ? PMFS2_CLEAN_NO : PMFS2_CLEAN_YES);
	return 0;
}

/* Not looked at: what its journal says. */
static void say_clean(struct fsck *fk)
{
	fk->res->was_clean = 1;
	fk->res->n_files = fk->used_inodes;
	fk->res->used_blocks = fk->disk.n_blocks - fk->free_blocks;
}

/* 0, 1: stopped, since what must be repaired first may not be; -errno. */
static int run(struct fsck *fk)
{
	int err;

	fk->fixing = fk->opt->mode != FSCK_CHECK;
	if (fk->fixing && fk->disk.pm->rdonly)
		return -EROFS;
	err = pass_super(fk);
	if (!err)
		err = pass_journal(fk);
	if (err)
		return err;
	fk->marked = fk->clean == PMFS2_CLEAN_DAMAGED;
	if (fk->clean == PMFS2_CLEAN_YES && !fk->opt->force && !fk->res->n_found) {
		say_clean(fk);
		return 0;
	}
	if (fk->opt->mode == FSCK_CHECK) {
		err = scan(fk, 0);
		fk->res->intents = fk->n_intents;
		fk->res->n_left = fk->res->n_found;
		return err;
	}
	err = repair_rounds(fk);
	return err ? err : finish(fk);
}

static void fk_fini(struct fsck *fk)
{
	round_clear(fk);
	claims_fini(&fk->before);
	disk_fini(&fk->disk);
	free(fk->refused);
	free(fk->lost);
	pthread_mutex_destroy(&fk->lock);
}

int fsck_run(struct pmem *pm, const struct fsck_options *opt, struct fsck_result *out)
{
	struct fsck fk = { .opt = opt, .res = out, .disk.pm = pm, .threads = opt->threads };
	int err;

	memset(out, 0, sizeof(*out));
	if (!fk.threads)
		fk.threads = cpu_count();
	pthread_mutex_init(&fk.lock, NULL);
	err = run(&fk);
	fk_fini(&fk);
	if (err > 0)
		out->n_left = out->n_found;
	out->exit_bits = (out->n_repaired ? FSCK_EXIT_REPAIRED : 0) | (out->n_left ? FSCK_EXIT_LEFT : 0);
	if (err >= 0)
		return 0;
	out->exit_bits |= FSCK_EXIT_FAILED;
	if (!out->error[0])
		snprintf(out->error, sizeof(out->error), "%s", strerror(-err));
	return err;
}
