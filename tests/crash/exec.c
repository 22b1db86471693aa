/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steps, one by one: paths, descriptors, markers, results. What an operation calls is in exec_ops.c, threads are in
 * exec_threads.c.
 *
 * References: a walk gives back what it took but for the last node, which its user gives back. A descriptor holds one.
 */
#include "crash/exec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "crash/clock.h"
#include "crash/exec_private.h"
#include "pmem/sim.h"

int exec_new(const struct workload *w, struct zus_fs *fs, struct pmem *sim, struct exec **out)
{
	struct exec *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	x->w = w;
	x->fs = fs;
	x->sim = sim;
	x->done = calloc(w->n_steps + 1, sizeof(*x->done));
	if (!x->done) {
		free(x);
		return -ENOMEM;
	}
	*out = x;
	return 0;
}

void exec_drop(struct exec *x)
{
	if (!x)
		return;
	free(x->done);
	free(x);
}

void exec_free(struct exec *x)
{
	for (uint32_t fd = 0; x && fd < WORKLOAD_FDS_MAX; fd++)
		if (x->fds[fd])
			x->fs->ops->forget(x->fs, x->fds[fd], 1);
	exec_drop(x);
}

/* --- walking ------------------------------------------------------------------------------------------------------------- */

static void node_put(struct exec *x, uint64_t node)
{
	if (node != ZUS_NODE_ROOT)
		x->fs->ops->forget(x->fs, node, 1);
}

/* A component with its number behind it, filled up to the N of "%N". */
static void component_expand(const char *from, size_t len, const char *number, struct exec_place *out)
{
	const char *percent = memchr(from, '%', len);
	size_t plain = percent ? (size_t)(percent - from) : len, want = percent ? strtoul(percent + 1, NULL, 10) : 0;
	int n = snprintf(out->buf, sizeof(out->buf), "%.*s%s", (int)plain, from, number);

	while ((size_t)n < want && n < (int)sizeof(out->buf) - 1)
		out->buf[n++] = 'x';
	out->name = (struct zus_name){ out->buf, (uint32_t)n };
}

int exec_walk(struct exec *x, const char *path, const char *number, struct exec_place *out)
{
	uint64_t node = ZUS_NODE_ROOT;

	for (;;) {
		size_t len = strcspn(path, "/");
		struct zus_attr attr;
		int err;

		component_expand(path, len, path[len] ? "" : number, out);
		if (!path[len])
			break;
		err = x->fs->ops->lookup(x->fs, node, out->name, &attr);
		node_put(x, node);
		if (err)
			return err;
		node = attr.node;
		path += len + 1;
	}
	out->dir = node;
	return 0;
}

void exec_place_put(struct exec *x, const struct exec_place *place)
{
	node_put(x, place->dir);
}

int exec_lookup(struct exec *x, const char *path, struct zus_attr *out)
{
	struct exec_place place;
	int err;

	if (!strcmp(path, ".")) {
		out->node = ZUS_NODE_ROOT;
		return x->fs->ops->getattr(x->fs, ZUS_NODE_ROOT, out);
	}
	err = exec_walk(x, path, "", &place);
	if (err)
		return err;
	err = x->fs->ops->lookup(x->fs, place.dir, place.name, out);
	exec_place_put(x, &place);
	return err;
}

int exec_target_get(struct exec *x, const struct workload_target *t, uint64_t *out_node)
{
	struct zus_attr attr;
	int err = 0;

	if (t->fd >= 0) {
		*out_node = x->fds[t->fd];
		return *out_node ? 0 : -EBADF;
	}
	err = exec_lookup(x, t->path, &attr);
	if (!err)
		*out_node = attr.node;
	return err;
}

void exec_target_put(struct exec *x, const struct workload_target *t, uint64_t node)
{
	if (t->fd < 0)
		node_put(x, node);
}

/* --- steps --------------------------------------------------------------------------------------------------------------- */

int exec_step(struct exec *x, uint32_t step)
{
	const struct workload_step *s = &x->w->steps[step];
	struct exec_done *done = &x->done[step];

	crash_thread_set(s->thread + 1);
	crash_clock_set(step / x->w->tick + 1);
	if (x->sim)
		pmem_sim_begin(x->sim, s->name);
	__atomic_store_n(&done->begin, __atomic_add_fetch(&x->stamp, 1, __ATOMIC_SEQ_CST), __ATOMIC_SEQ_CST);
	done->result = exec_op(x, &x->w->ops[s->op], step);
	__atomic_store_n(&done->end, __atomic_add_fetch(&x->stamp, 1, __ATOMIC_SEQ_CST), __ATOMIC_SEQ_CST);
	if (x->sim)
		pmem_sim_end(x->sim);
	crash_clock_set(0);
	return done->result;
}

int exec_setup(struct exec *x, uint32_t *out_step)
{
	for (uint32_t step = 0; step < x->w->n_setup_steps; step++) {
		int err = exec_step(x, step);

		if (err) {
			*out_step = step;
			return err;
		}
	}
	return 0;
}

int exec_result(const struct exec *x, uint32_t step)
{
	return x->done[step].result;
}

void exec_stamps(const struct exec *x, uint32_t step, uint64_t *out_begin, uint64_t *out_end)
{
	*out_begin = x->done[step].begin;
	*out_end = x->done[step].end;
}

void exec_orphans(const struct exec *x, uint64_t *out_blocks, uint64_t *out_inodes)
{
	*out_blocks = 0;
	*out_inodes = 0;
	for (uint32_t fd = 0; fd < WORKLOAD_FDS_MAX; fd++) {
		struct zus_attr attr;
		int seen = !x->fds[fd];

		for (uint32_t i = 0; i < fd && !seen; i++)
			seen = x->fds[i] == x->fds[fd];
		if (seen || x->fs->ops->getattr(x->fs, x->fds[fd], &attr) || attr.nlink)
			continue;
		*out_blocks += attr.blocks / 8;
		*out_inodes += 1;
	}
}
