/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Running a workload once, with all that is needed to judge images later; see run.h. What is legal is in run_check.c and
 * run_orders.c.
 *
 * The cross-check: a workload of one thread runs on memfs too, step by step, and both must give the same results and show the
 * same (but for space). So a mistake that a run without a crash makes as well is not taken for the truth.
 */
#include "crash/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "crash/clock.h"
#include "crash/check.h"
#include "crash/run_private.h"
#include "pmfs2/fs.h"
#include "pmfs2/mount.h"
#include "pmfs2/ops.h"

/* memfs, compiled with another name for its symbol. */
extern const struct zus_plugin memfs_zus_plugin;

#define MEMFS_OPTIONS "size=256M,inodes=8192"

int run_capture(struct zus_fs *fs, const struct exec *x, const struct state *prev, struct state **out, char *why, size_t why_size)
{
	uint64_t blocks, inodes;
	struct state *s;
	int err = state_capture(fs, 0, &s, why, why_size);

	if (err)
		return err;
	exec_orphans(x, &blocks, &inodes);
	if (blocks || inodes)
		state_add_free(s, blocks, inodes);
	err = state_own_data(s, prev);
	if (err) {
		state_free(s);
		snprintf(why, why_size, "no memory");
		return err;
	}
	*out = s;
	return 0;
}

/* --- the other file system ----------------------------------------------------------------------------------------------- */

struct model {
	struct zus_fs *fs; /* NULL: not compared, or no more */
	struct exec *exec;
};

static void model_end(struct model *m)
{
	if (!m->fs)
		return;
	exec_free(m->exec);
	m->fs->ops->unmount(m->fs);
	m->fs = NULL;
}

/* A full device or a bad page is a matter of each file system's own. */
static int model_fits(const struct workload *w)
{
	for (uint32_t i = 0; i < w->n_ops; i++)
		if (w->ops[i].kind == OP_FILL)
			return 0;
	return w->n_threads == 1;
}

static int model_begin(struct model *m, const struct workload *w, unsigned int flags)
{
	struct zus_mount_args args = { .options = MEMFS_OPTIONS };
	int err;

	*m = (struct model){ NULL, NULL };
	if (flags & RUN_NO_MODEL || !model_fits(w))
		return 0;
	crash_clock_set(0);
	err = memfs_zus_plugin.mount(&args, &m->fs);
	if (err)
		return err;
	err = exec_new(w, m->fs, NULL, &m->exec);
	if (err) {
		m->fs->ops->unmount(m->fs);
		m->fs = NULL;
	}
	return err;
}

static int has_two_names(const struct workload_op *op)
{
	return op->kind == OP_RENAME || op->kind == OP_LINK;
}

/* The step on the other one. What differs goes to run->why. */
static void model_step(struct model *m, struct run *run, uint32_t step)
{
	int want, got = exec_result(run->exec, step);

	if (!m->fs || run->failed)
		return;
	if (got == -ENOSPC || got == -EIO) {
		model_end(m);
		return;
	}
	want = exec_step(m->exec, step);
	/* Where several errors are right, each picks its own. */
	if (want == got || (want && got && has_two_names(&run->w->ops[run->w->steps[step].op])))
		return;
	run->failed = 1;
	snprintf(run->why, sizeof(run->why), "no crash, step %s: gives %d (%s), memfs gives %d (%s)", run->w->steps[step].name,
		 got, got ? strerror(-got) : "done", want, want ? strerror(-want) : "done");
}

static void model_compare(struct model *m, struct run *run, uint32_t step)
{
	struct state *want = NULL, *got = NULL;
	char words[600] = "";
	int err;

	if (!m->fs || run->failed)
		return;
	/* Looking must not change times: memfs has atimes of directories and links. */
	(void)m->fs->ops->remount(m->fs, ZUS_MOUNT_NOATIME);
	err = state_capture(m->fs, STATE_FOREIGN, &want, words, sizeof(words));
	(void)m->fs->ops->remount(m->fs, 0);
	if (!err)
		err = state_capture(run->fs, STATE_FOREIGN, &got, words, sizeof(words));
	if (!err && want->visible != got->visible)
		state_diff(want, got, words, sizeof(words));
	if (err || want->visible != got->visible) {
		run->failed = 1;
		snprintf(run->why, sizeof(run->why), "no crash, behind step %s: not as on memfs: %s",
			 step < run->w->n_steps ? run->w->steps[step].name : "0", words);
	}
	state_free(want);
	state_free(got);
}

/* --- the run ------------------------------------------------------------------------------------------------------------- */

static int setup_run(struct run *run, struct model *m, char *why, size_t why_size)
{
	for (uint32_t step = 0; step < run->w->n_setup_steps; step++) {
		int err = exec_step(run->exec, step);

		if (err) {
			snprintf(why, why_size, "preparation, step %s: %s", run->w->steps[step].name, strerror(-err));
			return err;
		}
		model_step(m, run, step);
	}
	model_compare(m, run, run->w->n_setup_steps ? run->w->n_setup_steps - 1 : 0);
	return 0;
}

static int state_keep(struct run *run, uint32_t i)
{
	char words[600];
	int err = run_capture(run->fs, run->exec, i ? run->oracle->states[i - 1] : NULL, &run->oracle->states[i], words,
			      sizeof(words));

	if (!err)
		return 0;
	run->failed = 1;
	snprintf(run->why, sizeof(run->why), "no crash, behind step %s: %s",
		 i ? run->w->steps[run->w->n_setup_steps + i - 1].name : "of the preparation", words);
	return err;
}

static void steps_run(struct run *run, struct model *m)
{
	const struct workload *w = run->w;

	for (uint32_t step = w->n_setup_steps; step < w->n_steps; step++) {
		(void)exec_step(run->exec, step);
		if (state_keep(run, step - w->n_setup_steps + 1))
			return;
		model_step(m, run, step);
		model_compare(m, run, step);
	}
}

/* Several threads: the end must be one that some order gives. */
static int threads_run(struct run *run)
{
	struct run_point end = { { 0 } };
	char words[800];
	int err = exec_threads(run->exec);

	if (err)
		return err;
	for (uint32_t t = 0; t < WORKLOAD_THREADS_MAX; t++)
		end.returned[t] = run->oracle->n_of_thread[t];
	err = run_check(run, &end, run->fs, words, sizeof(words));
	if (err) {
		run->failed = 1;
		snprintf(run->why, sizeof(run->why), "no crash, at the end: %s", words);
	}
	return err < 0 && err != -EUCLEAN ? err : 0;
}

static int oracle_new(struct run *run)
{
	const struct workload *w = run->w;
	uint32_t n = w->n_steps - w->n_setup_steps;

	run->oracle = calloc(1, sizeof(*run->oracle));
	if (!run->oracle)
		return -ENOMEM;
	run->oracle->n_states = n + 1;
	run->oracle->states = calloc(n + 1, sizeof(*run->oracle->states));
	for (uint32_t step = w->n_setup_steps; step < w->n_steps; step++)
		run->oracle->n_of_thread[w->steps[step].thread]++;
	if (!run->oracle->states)
		return -ENOMEM;
	return w->n_threads > 1 && n > RUN_STEPS_CONCURRENT ? -E2BIG : 0;
}

static int device_new(struct run *run)
{
	struct zus_statfs st;
	int err = pmem_sim_new((uint64_t)run->w->geo.mib << 20, PMEM_SIM_RECORD, &run->pm);

	if (!err)
		err = run_mount(run->w, run->pm, &run->fs);
	if (!err)
		err = run->fs->ops->statfs(run->fs, &st);
	if (!err)
		run->empty_free = st.bfree + check_kept_blocks(fs_of(run->fs));
	if (!err)
		err = exec_new(run->w, run->fs, run->pm, &run->exec);
	return err;
}

static int run_steps(struct run *run, struct model *m, char *why, size_t why_size)
{
	uint64_t off;
	int err = setup_run(run, m, why, why_size);

	if (err)
		return err;
	run_prepared(run->w, run->fs);
	pmem_sim_reset_events(run->pm);
	if (run->failed || state_keep(run, 0))
		return 0;
	if (run->w->n_threads == 1)
		steps_run(run, m);
	else
		err = threads_run(run);
	if (!err && !run->failed && pmem_sim_verify(run->pm, &off)) {
		run->failed = 1;
		snprintf(run->why, sizeof(run->why), "something stored past src/pmem at offset %llu", (unsigned long long)off);
	}
	return err;
}

int run_new(const struct workload *w, unsigned int flags, struct run **out, char *why, size_t why_size)
{
	struct run *run = calloc(1, sizeof(*run));
	struct model m = { NULL, NULL };
	int err;

	why[0] = '\0';
	if (!run)
		return -ENOMEM;
	run->w = w;
	err = oracle_new(run);
	if (!err)
		err = device_new(run);
	if (!err)
		err = model_begin(&m, w, flags);
	if (!err)
		err = run_steps(run, &m, why, why_size);
	model_end(&m);
	if (err) {
		if (!why[0])
			snprintf(why, why_size, "cannot be run: %s", strerror(-err));
		run_free(run);
		return err;
	}
	*out = run;
	return 0;
}

void run_free(struct run *run)
{
	if (!run)
		return;
	exec_drop(run->exec);
	if (run->fs)
		fs_abandon(fs_of(run->fs));
	else
		pmem_close(run->pm);
	run_oracle_free(run->oracle);
	free(run);
}
