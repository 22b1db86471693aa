/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "make bench-scale": what grows with the number of entries, files and blocks, and what must not. The engine is called
 * through the plug-in interface, as the server calls it, on an image in /dev/shm; each mount is made in a process of its own,
 * so that memory and caches of one row do not help the next.
 *
 * Usage: scale [-n FILES] [-d DIRECTORY]
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine_ops.h"
#include "sim_mount.h"
#include "zus/plugin.h"

#define N_SMALL 1000u
#define N_BATCH 200u
#define N_ROUNDS 101u
#define TIB (1ull << 40)
#define GIB (1ull << 30)

/*
 * What is compared: one big directory with as many small ones as hold the same number of files, so that both work on the same
 * amount of memory and the difference is the directory's structure. One small directory alone stays in the CPU's caches:
 * information.
 */
enum variant { MANY_SMALL, ONE_BIG, ONE_SMALL, N_VARIANTS };

struct dirs {
	uint64_t *nodes;
	uint32_t n_dirs;
	uint32_t n_entries; /* of each */
};

struct results {
	double create_ns[N_VARIANTS], lookup_ns[N_VARIANTS];
	double mount_clean_s, mount_killed_s, mount_huge_s;
	double first_lookup_s;
	double anon_kib[2]; /* a quarter of the files, all */
};

struct scale {
	char image[256]; /* with n_files files */
	char small[256]; /* with a quarter of them */
	char huge[256];
	uint32_t n_files;
	int n_short;
	struct results *res; /* shared with the children */
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void file_name(char *buf, size_t cap, uint32_t i)
{
	snprintf(buf, cap, "file-%07u", i);
}

static int fill_dir(struct zus_fs *fs, uint64_t dir, uint32_t n)
{
	char name[32];
	int err = 0;

	for (uint32_t i = 0; i < n && !err; i++) {
		file_name(name, sizeof(name), i);
		err = engine_make(fs, dir, name, S_IFREG | 0644, NULL);
	}
	return err;
}

static uint64_t next_rand(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* The i-th directory to work on: all of them in turn, not in order. */
static uint64_t pick_dir(const struct dirs *d, uint32_t i)
{
	return d->nodes[(uint64_t)i * 7919 % d->n_dirs];
}

/* One batch of creates of new names, removed again without being timed. */
static int time_creates(struct zus_fs *fs, const struct dirs *d, uint32_t round, double *out_ns)
{
	const uint32_t first = round * N_BATCH;
	char name[32];
	double start = now_s();
	int err = 0;

	for (uint32_t i = first; i < first + N_BATCH && !err; i++) {
		snprintf(name, sizeof(name), "new-%u", i);
		err = engine_make(fs, pick_dir(d, i), name, S_IFREG | 0644, NULL);
	}
	*out_ns = (now_s() - start) / N_BATCH * 1e9;
	for (uint32_t i = first; i < first + N_BATCH && !err; i++) {
		snprintf(name, sizeof(name), "new-%u", i);
		err = fs->ops->unlink(fs, pick_dir(d, i), bench_name(name));
	}
	return err;
}

static int time_lookups(struct zus_fs *fs, const struct dirs *d, uint64_t *rand, double *out_ns)
{
	char name[32];
	double start = now_s();
	int err = 0;

	for (uint32_t i = 0; i < N_BATCH && !err; i++) {
		file_name(name, sizeof(name), (uint32_t)(next_rand(rand) % d->n_entries));
		err = engine_lookup(fs, pick_dir(d, (uint32_t)next_rand(rand)), name, NULL);
	}
	*out_ns = (now_s() - start) / N_BATCH * 1e9;
	return err;
}

static int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, uint32_t n)
{
	qsort(v, n, sizeof(*v), compare_double);
	return v[n / 2];
}

/* All variants in turns, medians over the rounds. */
static int compare_dirs(struct zus_fs *fs, const struct dirs *dirs, struct results *res)
{
	static double create[N_VARIANTS][N_ROUNDS], lookup[N_VARIANTS][N_ROUNDS];
	uint64_t rand = 88172645463325252ull;
	int err = 0;

	for (uint32_t r = 0; r < N_ROUNDS && !err; r++) {
		for (uint32_t k = 0; k < N_VARIANTS && !err; k++) {
			uint32_t v = (k + r) % N_VARIANTS;

			err = time_creates(fs, &dirs[v], r, &create[v][r]);
			if (!err)
				err = time_lookups(fs, &dirs[v], &rand, &lookup[v][r]);
		}
	}
	for (uint32_t v = 0; v < N_VARIANTS && !err; v++) {
		res->create_ns[v] = median(create[v], N_ROUNDS);
		res->lookup_ns[v] = median(lookup[v], N_ROUNDS);
	}
	return err;
}

static int make_dirs(struct zus_fs *fs, const char *prefix, struct dirs *d)
{
	char name[32];
	int err = 0;

	d->nodes = calloc(d->n_dirs, sizeof(*d->nodes));
	if (!d->nodes)
		return -ENOMEM;
	for (uint32_t i = 0; i < d->n_dirs && !err; i++) {
		snprintf(name, sizeof(name), i ? "%s-%u" : "%s", prefix, i);
		err = engine_make(fs, ZUS_NODE_ROOT, name, S_IFDIR | 0755, &d->nodes[i]);
		if (!err)
			err = fill_dir(fs, d->nodes[i], d->n_entries);
	}
	return err;
}

static int stage_fill(struct scale *s)
{
	static const char *const prefix[N_VARIANTS] = { "small", "big", "one" };
	struct dirs dirs[N_VARIANTS] = {
		[MANY_SMALL] = { .n_dirs = s->n_files / N_SMALL + 1, .n_entries = N_SMALL },
		[ONE_BIG] = { .n_dirs = 1, .n_entries = s->n_files },
		[ONE_SMALL] = { .n_dirs = 1, .n_entries = N_SMALL },
	};
	struct zus_fs *fs;
	int err = bench_format_file(s->image, 16 * GIB);

	if (!err)
		err = bench_mount_file(s->image, &fs);
	if (err)
		return err;
	for (uint32_t v = 0; v < N_VARIANTS && !err; v++)
		err = make_dirs(fs, prefix[v], &dirs[v]);
	if (!err)
		err = compare_dirs(fs, dirs, s->res);
	fs->ops->unmount(fs);
	for (uint32_t v = 0; v < N_VARIANTS; v++)
		free(dirs[v].nodes);
	return err;
}

static int stage_fill_small(struct scale *s)
{
	struct zus_fs *fs;
	uint64_t dir;
	int err = bench_format_file(s->small, 16 * GIB);

	if (!err)
		err = bench_mount_file(s->small, &fs);
	if (err)
		return err;
	err = engine_make(fs, ZUS_NODE_ROOT, "big", S_IFDIR | 0755, &dir);
	if (!err)
		err = fill_dir(fs, dir, s->n_files / 4);
	fs->ops->unmount(fs);
	return err;
}

static int stage_mount_clean(struct scale *s)
{
	struct zus_fs *fs;
	char name[32];
	uint64_t dir;
	double start = now_s();
	int err = bench_mount_file(s->image, &fs);

	s->res->mount_clean_s = now_s() - start;
	if (err)
		return err;
	err = engine_lookup(fs, ZUS_NODE_ROOT, "big", &dir);
	file_name(name, sizeof(name), s->n_files / 2);
	start = now_s();
	if (!err)
		err = engine_lookup(fs, dir, name, NULL);
	s->res->first_lookup_s = now_s() - start;
	fs->ops->unmount(fs);
	return err;
}

/* Changes things and dies without a word. */
static int stage_die(struct scale *s)
{
	struct zus_fs *fs;
	uint64_t dir, node;
	char name[32];
	int err = bench_mount_file(s->image, &fs);

	if (!err)
		err = engine_lookup(fs, ZUS_NODE_ROOT, "big", &dir);
	for (uint32_t i = 0; i < 20000 && !err; i++) {
		snprintf(name, sizeof(name), "late-%u", i);
		err = engine_make(fs, dir, name, S_IFREG | 0644, &node);
		if (!err && i % 4 == 0)
			err = engine_write(fs, node, 0, name, sizeof(name));
		if (!err && i % 3 == 0)
			err = fs->ops->unlink(fs, dir, bench_name(name));
	}
	if (!err)
		kill(getpid(), SIGKILL);
	return err;
}

static int stage_mount_killed(struct scale *s)
{
	struct zus_fs *fs;
	double start = now_s();
	int err = bench_mount_file(s->image, &fs);

	s->res->mount_killed_s = now_s() - start;
	if (!err)
		fs->ops->unmount(fs);
	return err;
}

/* Memory of this process that is its own (the mapping of the image is not), in KiB. */
static double anon_kib(void)
{
	char line[256];
	double kib = -1;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "RssAnon: %lf", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

/* Looks every file up once and lets it go, then counts the memory. */
static int walk(const char *image, uint32_t n, double *out_kib)
{
	struct zus_fs *fs;
	uint64_t dir;
	char name[32];
	double before = anon_kib();
	int err = bench_mount_file(image, &fs);

	if (err)
		return err;
	err = engine_lookup(fs, ZUS_NODE_ROOT, "big", &dir);
	for (uint32_t i = 0; i < n && !err; i++) {
		file_name(name, sizeof(name), i);
		err = engine_lookup(fs, dir, name, NULL);
	}
	*out_kib = anon_kib() - before;
	fs->ops->unmount(fs);
	return err;
}

static int stage_walk_small(struct scale *s)
{
	return walk(s->small, s->n_files / 4, &s->res->anon_kib[0]);
}

static int stage_walk_big(struct scale *s)
{
	return walk(s->image, s->n_files, &s->res->anon_kib[1]);
}

static int stage_huge(struct scale *s)
{
	struct zus_fs *fs;
	double start;
	int err = bench_format_file(s->huge, 16 * TIB);

	if (err)
		return err;
	start = now_s();
	err = bench_mount_file(s->huge, &fs);
	s->res->mount_huge_s = now_s() - start;
	if (err)
		return err;
	err = engine_make(fs, ZUS_NODE_ROOT, "works", S_IFREG | 0644, NULL);
	fs->ops->unmount(fs);
	return err;
}

/* Runs a stage in a child. 0, -errno, or -EINTR if it died by a signal other than one it is meant to die by. */
static int run_stage(struct scale *s, int (*stage)(struct scale *s), int dies)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(-stage(s) & 0xff);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -ECHILD;
	if (WIFSIGNALED(status))
		return dies && WTERMSIG(status) == SIGKILL ? 0 : -EINTR;
	return -WEXITSTATUS(status);
}

static void print_row(struct scale *s, const char *what, double value, double bar, const char *unit, int err)
{
	if (err) {
		printf("%-58s %10s %8g %-4s short (%s)\n", what, "-", bar, unit, strerror(-err));
		s->n_short++;
		return;
	}
	printf("%-58s %10.3f %8g %-4s %s\n", what, value, bar, unit, value <= bar ? "ok" : "short");
	s->n_short += !(value <= bar);
}

static void print_dirs(struct scale *s, int err)
{
	const struct results *r = s->res;
	char what[96];

	for (uint32_t v = 0; v < N_VARIANTS && !err; v++) {
		static const char *const names[N_VARIANTS] = { "many small", "one big", "one small, in the CPU's caches" };

		printf("# %s: %.0f ns per create, %.0f ns per lookup\n", names[v], r->create_ns[v], r->lookup_ns[v]);
	}
	snprintf(what, sizeof(what), "create: one directory of %u / directories of %u", s->n_files, N_SMALL);
	print_row(s, what, r->create_ns[ONE_BIG] / r->create_ns[MANY_SMALL], 1.5, "x", err);
	snprintf(what, sizeof(what), "lookup: one directory of %u / directories of %u", s->n_files, N_SMALL);
	print_row(s, what, r->lookup_ns[ONE_BIG] / r->lookup_ns[MANY_SMALL], 1.5, "x", err);
}

static void scale_run(struct scale *s)
{
	const struct results *r = s->res;
	int err = run_stage(s, stage_fill, 0), err_walk;

	printf("%-58s %10s %8s\n", "row", "value", "bar");
	print_dirs(s, err);
	if (!err)
		err = run_stage(s, stage_mount_clean, 0);
	print_row(s, "mount, clean", r->mount_clean_s, 0.1, "s", err);
	print_row(s, "first lookup after mount", r->first_lookup_s * 1e3, 1.0, "ms", err);
	err_walk = err ? err : run_stage(s, stage_fill_small, 0);
	if (!err_walk)
		err_walk = run_stage(s, stage_walk_small, 0);
	if (!err_walk)
		err_walk = run_stage(s, stage_walk_big, 0);
	if (!err_walk)
		printf("# memory after looking up every file: %.0f KiB with %u files, %.0f KiB with %u\n", r->anon_kib[0],
		       s->n_files / 4, r->anon_kib[1], s->n_files);
	/* Caches have a bound, and both walks have filled them: what is left would grow with the device. */
	print_row(s, "memory: growth from a quarter of the files to all", (r->anon_kib[1] - r->anon_kib[0]) / 1024, 1, "MiB",
		  err_walk);
	print_row(s, "memory: after looking up every file", r->anon_kib[1] / 1024, 64, "MiB", err_walk);
	if (!err)
		err = run_stage(s, stage_die, 1);
	if (!err)
		err = run_stage(s, stage_mount_killed, 0);
	print_row(s, "mount after kill -9", r->mount_killed_s, 0.5, "s", err);
	err = run_stage(s, stage_huge, 0);
	print_row(s, "mount of a sparse image of 16 TiB", r->mount_huge_s, 1.0, "s", err);
}

int main(int argc, char **argv)
{
	struct scale s = { .n_files = 1000000 };
	const char *dir = "/dev/shm";
	char work[128];
	int opt;

	while ((opt = getopt(argc, argv, "n:d:")) != -1) {
		if (opt == 'n')
			s.n_files = (uint32_t)strtoul(optarg, NULL, 10);
		else if (opt == 'd')
			dir = optarg;
		else
			return 2;
	}
	snprintf(work, sizeof(work), "%.100s/pmfs2-scale.XXXXXX", dir);
	s.res = mmap(NULL, sizeof(*s.res), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s.res == MAP_FAILED || !s.n_files || !mkdtemp(work)) {
		perror("scale");
		return 1;
	}
	snprintf(s.image, sizeof(s.image), "%s/big.img", work);
	snprintf(s.small, sizeof(s.small), "%s/small.img", work);
	snprintf(s.huge, sizeof(s.huge), "%s/huge.img", work);
	scale_run(&s);
	unlink(s.image);
	unlink(s.small);
	unlink(s.huge);
	rmdir(work);
	if (s.n_short)
		printf("bench-scale: %d rows are short\n", s.n_short);
	else
		printf("bench-scale: every row is ok\n");
	return s.n_short ? 1 : 0;
}
