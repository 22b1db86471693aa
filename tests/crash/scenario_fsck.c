/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A crash in a repair: whatever it leaves, the next repair finishes: a check behind that finds nothing, and a mount shows what it
 * shows behind a repair that nothing cuts. One scenario for each problem that fsck knows, on the golden image with that defect.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "crash/scenario.h"
#include "crash/scenario_damage.h"
#include "fsck/fsck.h"
#include "fsck/golden.h"

/* In the directory of the golden image that has a node: a repair that gives each of them back goes by a few fences a name. */
#define NAMES 12u

struct repair {
	golden_fn damage;
	uint32_t n_found; /* problems that a repair says */
	uint32_t n_unmarked; /* used blocks that it leaves marked as free */
	char *want; /* what a mount shows behind a repair that nothing cuts */
};

static int run_fsck(struct pmem *pm, enum fsck_mode mode, int force, struct fsck_result *res)
{
	const struct fsck_options opt = { .mode = mode, .force = force, .threads = 1 };

	return fsck_run(pm, &opt, res);
}

static void damaged_make(struct pmem *pm, const struct repair *rep)
{
	struct golden g;

	/* A device has had another life: what is not written is not zero. */
	memset(pm->base, 0xd7, pm->size);
	golden_make(pm, NAMES, &g);
	rep->damage(&g);
}

/* The inode that /lost+found gets is any free one. */
static void number_drop(char *text)
{
	static const char before[] = "/lost+found ino ";
	char *at = strstr(text, before);

	if (!at)
		return;
	at += strlen(before);
	memmove(at, at + strspn(at, "0123456789"), strlen(at + strspn(at, "0123456789")) + 1);
}

/* What a mount shows, heap. NULL: it cannot, and why. */
static char *shown(struct pmem *pm, char *why, size_t why_size)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	int err = f ? golden_walk(pm, f) : -ENOMEM;

	if (f && fclose(f) && !err)
		err = -ENOMEM;
	if (!err) {
		number_drop(text);
		return text;
	}
	snprintf(why, why_size, "no mount, or not to be read: %s", strerror(-err));
	free(text);
	return NULL;
}

/* On a device that is not recorded, and where nothing is done wrong (pmem/site.h). */
static int want_find(struct repair *rep)
{
	struct fsck_result res;
	struct pmem *pm;
	char why[100];
	int err = pmem_open_anon(GOLDEN_BYTES, &pm);

	if (err)
		return err;
	damaged_make(pm, rep);
	err = run_fsck(pm, FSCK_CHECK, 1, &res);
	rep->n_unmarked = res.found[FSCK_BITMAP_UNMARKED];
	if (!err)
		err = run_fsck(pm, FSCK_YES, 1, &res);
	rep->n_found = res.n_found;
	if (!err)
		rep->want = shown(pm, why, sizeof(why));
	pmem_close(pm);
	return err ? err : rep->want ? 0 : -EUCLEAN;
}

static int prepare(void *ctx, struct pmem *pm)
{
	struct repair *rep = ctx;
	int err = rep->want ? 0 : want_find(rep);

	damaged_make(pm, rep);
	return err;
}

/* A repair that has to repair itself is none. */
static int act(void *ctx, struct pmem *pm)
{
	const struct repair *rep = ctx;
	struct fsck_result res;
	int err = run_fsck(pm, FSCK_YES, 1, &res);

	return !err && res.n_found != rep->n_found ? -EUCLEAN : err;
}

/* The first line that is not as it should be. */
static void explain(const char *want, const char *got, char *why, size_t why_size)
{
	size_t line = 0, n = 0;

	for (; want[n] && want[n] == got[n]; n++)
		line = want[n] == '\n' ? n + 1 : line;
	snprintf(why, why_size, "not as behind a repair that nothing cuts: '%.*s' instead of '%.*s'",
		 (int)strcspn(got + line, "\n"), got + line, (int)strcspn(want + line, "\n"), want + line);
}

/* Nothing is found any more, and a mount shows what it should. */
static int check_clean(const struct repair *rep, struct pmem *pm, char *why, size_t why_size)
{
	struct fsck_result res;
	int err = run_fsck(pm, FSCK_CHECK, 1, &res);
	char *got;

	if (err || res.n_found || res.records || res.intents) {
		snprintf(why, why_size, "a check finds %u problems (%d)", res.n_found, err);
		return 1;
	}
	got = shown(pm, why, why_size);
	if (!got)
		return 1;
	err = strcmp(rep->want, got);
	if (err)
		explain(rep->want, got, why, why_size);
	free(got);
	return err != 0;
}

/* Nobody may be given a block that a repair has already put to use: a mount does not look, as long as no mark stops it. */
static int check_cut(const struct repair *rep, struct pmem *pm, char *why, size_t why_size)
{
	struct fsck_result res;

	if (!run_fsck(pm, FSCK_CHECK, 1, &res) && res.found[FSCK_BITMAP_UNMARKED] > rep->n_unmarked) {
		snprintf(why, why_size, "cut, it leaves blocks that are used, but marked as free");
		return 1;
	}
	if (run_fsck(pm, FSCK_YES, 0, &res) || res.n_left) {
		snprintf(why, why_size, "the next repair leaves %u problems: %s", res.n_left, res.error);
		return 1;
	}
	return 0;
}

/* The next repair is as at a start of the machine: what says that it is clean is not looked at. */
static int check(void *ctx, struct pmem *pm, int finished, char *why, size_t why_size)
{
	if (!finished && check_cut(ctx, pm, why, why_size))
		return 1;
	return check_clean(ctx, pm, why, why_size);
}

int scenario_fsck(uint32_t code, struct scenario *out, const char **out_name)
{
	static struct repair repairs[FSCK_N_CODES + SCENARIO_DAMAGES];
	const struct scenario_damage *more = code < FSCK_N_CODES ? NULL : &scenario_damages[code - FSCK_N_CODES];

	if (code >= ARRAY_SIZE(repairs) || code == FSCK_MEDIA_ERROR)
		return code >= ARRAY_SIZE(repairs) ? -1 : 0;
	repairs[code].damage = more ? more->damage : golden_recipe_find((enum fsck_code)code);
	*out_name = more ? more->name : fsck_problem((enum fsck_code)code)->name;
	*out = (struct scenario){
		.mib = GOLDEN_BYTES >> 20,
		.k = 1,
		.cap = 60,
		.ctx = &repairs[code],
		.prepare = prepare,
		.act = act,
		.check = check,
	};
	return 1;
}
