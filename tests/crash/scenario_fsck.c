/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A crash in a repair: whatever it leaves, the next repair finishes, and a check behind that finds nothing. One scenario for each
 * problem that fsck knows, on the golden image with that defect.
 */
#include <stdio.h>

#include "crash/scenario.h"
#include "fsck/fsck.h"
#include "fsck/golden.h"
#include "pmfs2/mount.h"

/* In the directory of the golden image that has a node: a repair that gives each of them back goes by a few fences a name. */
#define NAMES 12u

static int run_fsck(struct pmem *pm, enum fsck_mode mode, struct fsck_result *res)
{
	const struct fsck_options opt = { .mode = mode, .force = 1, .threads = 1 };

	return fsck_run(pm, &opt, res);
}

static int prepare(void *ctx, struct pmem *pm)
{
	const enum fsck_code *code = ctx;
	struct golden g;

	golden_make(pm, NAMES, &g);
	golden_recipe_find (*code)(&g);
	return 0;
}

static int act(void *ctx, struct pmem *pm)
{
	struct fsck_result res;

	return run_fsck(pm, FSCK_YES, &res);
}

/* Nothing is found any more, and it mounts. */
static int check_clean(struct pmem *pm, char *why, size_t why_size)
{
	struct fsck_result res;
	struct fs *fs;
	int err = run_fsck(pm, FSCK_CHECK, &res);

	if (err || res.n_found || res.records || res.intents) {
		snprintf(why, why_size, "a check finds %u problems (%d)", res.n_found, err);
		return 1;
	}
	err = fs_open(pm, NULL, 0, &fs);
	if (err) {
		snprintf(why, why_size, "no mount: %d", err);
		return 1;
	}
	(void)fs_detach(fs);
	return 0;
}

static int check(void *ctx, struct pmem *pm, int finished, char *why, size_t why_size)
{
	struct fsck_result res;

	if (!finished && (run_fsck(pm, FSCK_YES, &res) || res.n_left)) {
		snprintf(why, why_size, "the next repair leaves %u problems", res.n_left);
		return 1;
	}
	return check_clean(pm, why, why_size);
}

int scenario_fsck(uint32_t code, struct scenario *out, const char **out_name)
{
	static enum fsck_code codes[FSCK_N_CODES];

	if (code >= FSCK_N_CODES || code == FSCK_MEDIA_ERROR)
		return code >= FSCK_N_CODES ? -1 : 0;
	codes[code] = (enum fsck_code)code;
	*out_name = fsck_problem((enum fsck_code)code)->name;
	*out = (struct scenario){
		.mib = GOLDEN_BYTES >> 20,
		.k = 1,
		.cap = 60,
		.ctx = &codes[code],
		.prepare = prepare,
		.act = act,
		.check = check,
	};
	return 1;
}
