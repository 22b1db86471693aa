/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "make bench-fences": store fences and cache lines per operation, counted by the simulated device. Each operation is done
 * N_RUNS times on names and files of its own; what it needs is made outside the count. The verdict is on the median; mean and
 * maximum show what the rarer events (a directory that splits, a journal ring that goes round) cost. Rows without a bar are
 * information.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "engine_ops.h"
#include "pmem/sim.h"
#include "sim_mount.h"
#include "zus/plugin.h"

#define N_RUNS 200u

struct ctx {
	struct zus_fs *fs;
	struct pmem *pm;
	uint64_t dir_a, dir_b; /* two directories that all rows share */
	uint64_t node; /* what prepare made */
	uint32_t run; /* of all rows: makes names unique */
	char name[32], other[32];
	uint8_t data[65536];
};

/* prepare may be NULL. bar 0 with has_bar: no fence at all. */
struct row {
	const char *what;
	int has_bar;
	uint32_t bar;
	int (*prepare)(struct ctx *c);
	int (*run)(struct ctx *c);
};

static int prepare_file(struct ctx *c)
{
	return engine_make(c->fs, c->dir_a, c->name, S_IFREG | 0644, &c->node);
}

static int prepare_dir(struct ctx *c)
{
	return engine_make(c->fs, c->dir_a, c->name, S_IFDIR | 0755, &c->node);
}

static int prepare_pair(struct ctx *c)
{
	int err = engine_make(c->fs, c->dir_b, c->other, S_IFREG | 0644, NULL);

	return err ? err : prepare_file(c);
}

static int prepare_pair_same_dir(struct ctx *c)
{
	int err = engine_make(c->fs, c->dir_a, c->other, S_IFREG | 0644, NULL);

	return err ? err : prepare_file(c);
}

static int prepare_dir_pair(struct ctx *c)
{
	int err = engine_make(c->fs, c->dir_b, c->other, S_IFDIR | 0755, NULL);

	return err ? err : prepare_dir(c);
}

static int prepare_full(struct ctx *c)
{
	int err = prepare_file(c);

	return err ? err : engine_write(c->fs, c->node, 0, c->data, sizeof(c->data));
}

static int prepare_small(struct ctx *c)
{
	int err = prepare_file(c);

	return err ? err : engine_write(c->fs, c->node, 0, c->data, 10000);
}

/* A file that somebody holds: its removal and the giving back of the last reference are two calls. */
static int prepare_held(struct ctx *c)
{
	struct zus_attr attr;
	int err = prepare_file(c);

	return err ? err : c->fs->ops->lookup(c->fs, c->dir_a, bench_name(c->name), &attr);
}

static int run_create(struct ctx *c)
{
	return engine_make(c->fs, c->dir_a, c->name, S_IFREG | 0644, NULL);
}

static int run_mkdir(struct ctx *c)
{
	return engine_make(c->fs, c->dir_a, c->name, S_IFDIR | 0755, NULL);
}

static int run_symlink(struct ctx *c)
{
	return engine_make(c->fs, c->dir_a, c->name, S_IFLNK | 0777, NULL);
}

static int run_unlink(struct ctx *c)
{
	return c->fs->ops->unlink(c->fs, c->dir_a, bench_name(c->name));
}

static int run_unlink_forget(struct ctx *c)
{
	int err = run_unlink(c);

	c->fs->ops->forget(c->fs, c->node, 1);
	return err;
}

static int run_rmdir(struct ctx *c)
{
	return c->fs->ops->rmdir(c->fs, c->dir_a, bench_name(c->name));
}

static int run_link(struct ctx *c)
{
	struct zus_attr attr;
	int err = c->fs->ops->link(c->fs, c->node, c->dir_b, bench_name(c->name), &attr);

	if (!err)
		c->fs->ops->forget(c->fs, attr.node, 1);
	return err;
}

static int run_chmod(struct ctx *c)
{
	const struct zus_setattr set = { .valid = ZUS_SET_MODE, .mode = 0600 };
	struct zus_attr attr;

	return c->fs->ops->setattr(c->fs, c->node, &set, &attr);
}

static int run_utimes(struct ctx *c)
{
	const struct zus_setattr set = {
		.valid = ZUS_SET_ATIME | ZUS_SET_MTIME,
		.atime = { 1000000, 1 },
		.mtime = { 2000000, 2 },
	};
	struct zus_attr attr;

	return c->fs->ops->setattr(c->fs, c->node, &set, &attr);
}

static int run_truncate_down(struct ctx *c)
{
	return engine_set_size(c->fs, c->node, 10000);
}

static int run_truncate_up(struct ctx *c)
{
	return engine_set_size(c->fs, c->node, 100000);
}

static int run_truncate_zero(struct ctx *c)
{
	return engine_set_size(c->fs, c->node, 0);
}

static struct engine_place name_place(const struct ctx *c)
{
	return (struct engine_place){ c->dir_a, c->name };
}

static struct engine_place other_place(const struct ctx *c)
{
	return (struct engine_place){ c->dir_b, c->other };
}

static int run_rename_same(struct ctx *c)
{
	return engine_rename(c->fs, name_place(c), (struct engine_place){ c->dir_a, c->other }, 0);
}

static int run_rename_across(struct ctx *c)
{
	return engine_rename(c->fs, name_place(c), other_place(c), 0);
}

static int run_exchange(struct ctx *c)
{
	return engine_rename(c->fs, name_place(c), other_place(c), ZUS_RENAME_EXCHANGE);
}

static int run_append(struct ctx *c)
{
	return engine_write(c->fs, c->node, sizeof(c->data), c->data, 4096);
}

static int run_append_first(struct ctx *c)
{
	return engine_write(c->fs, c->node, 0, c->data, 4096);
}

static int run_overwrite(struct ctx *c)
{
	return engine_write(c->fs, c->node, 8192, c->data, 4096);
}

static int run_fsync(struct ctx *c)
{
	return c->fs->ops->fsync ? c->fs->ops->fsync(c->fs, c->node, 0) : 0;
}

static int run_setxattr(struct ctx *c)
{
	const struct zus_setxattr set = { .name = bench_name("user.bench"), .value = { "0123456789abcdef", 16 } };

	return c->fs->ops->setxattr(c->fs, c->node, &set);
}

static const struct row rows[] = {
	{ "create", 1, 1, NULL, run_create },
	{ "mkdir", 1, 1, NULL, run_mkdir },
	{ "symlink", 1, 1, NULL, run_symlink },
	{ "unlink, empty file", 1, 1, prepare_file, run_unlink },
	{ "unlink, 64 KiB file", 1, 1, prepare_full, run_unlink },
	{ "unlink of a held file, then forget", 0, 0, prepare_held, run_unlink_forget },
	{ "rmdir", 1, 1, prepare_dir, run_rmdir },
	{ "link", 1, 1, prepare_file, run_link },
	{ "chmod", 1, 1, prepare_file, run_chmod },
	{ "utimes", 1, 1, prepare_file, run_utimes },
	{ "truncate down, 64 KiB to 10000", 1, 1, prepare_full, run_truncate_down },
	{ "truncate up, 10000 to 100000", 1, 1, prepare_small, run_truncate_up },
	{ "truncate to 0", 1, 1, prepare_full, run_truncate_zero },
	{ "rename in one directory", 1, 2, prepare_file, run_rename_same },
	{ "rename in one directory over a file", 1, 2, prepare_pair_same_dir, run_rename_same },
	{ "rename across directories", 1, 2, prepare_file, run_rename_across },
	{ "rename across, over a file", 1, 2, prepare_pair, run_rename_across },
	{ "rename of a directory, one parent", 1, 2, prepare_dir, run_rename_same },
	{ "rename of a directory, across", 1, 2, prepare_dir, run_rename_across },
	{ "rename of a directory over an empty one", 1, 2, prepare_dir_pair, run_rename_across },
	{ "exchange of files across", 1, 2, prepare_pair, run_exchange },
	{ "exchange of directories across", 1, 2, prepare_dir_pair, run_exchange },
	{ "4 KiB append", 1, 2, prepare_full, run_append },
	{ "4 KiB append to an empty file", 1, 2, prepare_file, run_append_first },
	{ "4 KiB overwrite", 1, 1, prepare_full, run_overwrite },
	{ "fsync", 1, 0, prepare_full, run_fsync },
	{ "setxattr, 16 bytes", 0, 0, prepare_file, run_setxattr },
};

struct sample {
	uint64_t v[N_RUNS];
};

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Sorts the sample; median (the upper one of two) and maximum are then in place. */
static double sample_mean(struct sample *s)
{
	double sum = 0;

	qsort(s->v, N_RUNS, sizeof(s->v[0]), compare_u64);
	for (uint32_t i = 0; i < N_RUNS; i++)
		sum += (double)s->v[i];
	return sum / N_RUNS;
}

static int row_measure(struct ctx *c, const struct row *row, struct sample *fences, struct sample *lines)
{
	struct pmem_counts counts;
	int err = 0;

	for (uint32_t i = 0; i < N_RUNS && !err; i++) {
		c->run++;
		snprintf(c->name, sizeof(c->name), "a%u", c->run);
		snprintf(c->other, sizeof(c->other), "b%u", c->run);
		err = row->prepare ? row->prepare(c) : 0;
		if (err)
			break;
		pmem_sim_reset_counts(c->pm);
		err = row->run(c);
		counts = pmem_sim_counts(c->pm);
		fences->v[i] = counts.fences;
		lines->v[i] = counts.lines_flushed + counts.lines_nt;
	}
	return err;
}

/* Prints the row; 1 if it is short. */
static int row_print(struct ctx *c, const struct row *row)
{
	static struct sample fences, lines;
	int err = row_measure(c, row, &fences, &lines), is_short;
	double mean_fences, mean_lines;
	char bar[16] = "-";

	if (err) {
		printf("%-42s short: %s\n", row->what, strerror(-err));
		return 1;
	}
	mean_fences = sample_mean(&fences);
	mean_lines = sample_mean(&lines);
	is_short = row->has_bar && fences.v[N_RUNS / 2] > row->bar;
	if (row->has_bar)
		snprintf(bar, sizeof(bar), "%u", row->bar);
	printf("%-42s %6llu %7.2f %5llu %8llu %7.1f %5llu %5s  %s\n", row->what, (unsigned long long)fences.v[N_RUNS / 2],
	       mean_fences, (unsigned long long)fences.v[N_RUNS - 1], (unsigned long long)lines.v[N_RUNS / 2], mean_lines,
	       (unsigned long long)lines.v[N_RUNS - 1], bar, !row->has_bar ? "" : is_short ? "short" : "ok");
	return is_short;
}

static int fences_table(struct ctx *c)
{
	int n_short = 0;

	printf("%-42s %6s %7s %5s %8s %7s %5s %5s\n", "", "fences", "", "", "lines", "", "", "");
	printf("%-42s %6s %7s %5s %8s %7s %5s %5s\n", "operation", "median", "mean", "max", "median", "mean", "max", "bar");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		n_short += row_print(c, &rows[i]);
	if (n_short)
		printf("bench-fences: %d rows are short\n", n_short);
	else
		printf("bench-fences: every row is ok\n");
	return n_short ? 1 : 0;
}

int main(void)
{
	static struct ctx c;
	int err = bench_mount_sim(&c.pm, &c.fs);

	if (err) {
		fprintf(stderr, "fences: the simulated device could not be mounted: %s\n", strerror(-err));
		return 1;
	}
	memset(c.data, 0x5a, sizeof(c.data));
	err = engine_make(c.fs, ZUS_NODE_ROOT, "dir-a", S_IFDIR | 0755, &c.dir_a);
	if (!err)
		err = engine_make(c.fs, ZUS_NODE_ROOT, "dir-b", S_IFDIR | 0755, &c.dir_b);
	if (err)
		fprintf(stderr, "fences: %s\n", strerror(-err));
	else
		err = fences_table(&c);
	c.fs->ops->unmount(c.fs);
	return err ? 1 : 0;
}
