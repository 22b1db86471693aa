/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "make bench-scale": what grows with the number of entries, files and blocks, and what must not. The engine is called through the
 * plug-in interface, as the server calls it, on an image in /dev/shm; each mount is made in a process of its own, so that memory and
 * caches of one row do not help the next.
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

struct results {
	double create_ns[2], lookup_ns[2]; /* small, big */
	double mount_clean_s, mount_killed_s, mount_huge_s;
	double first_lookup_s;
	double anon_kib[2]; /* small, big */
};

struct scale {
	char image[256]; /* with n_files files */
	char small[256]; /* with N_SMALL files */
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

/* One batch of creates of new names, removed again without being timed. */
static int time_creates(struct zus_fs *fs, uint64_t dir, uint32_t round, double *out_ns)
{
	char name[32];
	double start = now_s();
	int err = 0;

	for (uint32_t i = 0; i < N_BATCH && !err; i++) {
		snprintf(name, sizeof(name), "new-%u-%u", round, i);
		err = engine_make(fs, dir, name, S_IFREG | 0644, NULL);
	}
	*out_ns = (now_s() - start) / N_BATCH * 1e9;
	for (uint32_t i = 0; i < N_BATCH && !err; i++) {
		snprintf(name, sizeof(name), "new-%u-%u", round, i);
		err = fs->ops->unlink(fs, dir, bench_name(name));
	}
	return err;
}

static int time_lookups(struct zus_fs *fs, uint64_t dir, uint32_t n, uint64_t *rand, double *out_ns)
{
	char name[32];
	double start = now_s();
	int err = 0;

	for (uint32_t i = 0; i < N_BATCH && !err; i++) {
		file_name(name, sizeof(name), (uint32_t)(next_rand(rand) % n));
		err = engine_lookup(fs, dir, name, NULL);
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

/* Both directories in turns, medians over the rounds. */
static int compare_dirs(struct zus_fs *fs, const uint64_t dirs[2], uint32_t n_files, struct results *res)
{
	static double create[2][N_ROUNDS], lookup[2][N_ROUNDS];
	const uint32_t n[2] = { N_SMALL, n_files };
	uint64_t rand = 88172645463325252ull;
	int err = 0;

	for (uint32_t r = 0; r < N_ROUNDS && !err; r++) {
		for (uint32_t k = 0; k < 2 && !err; k++) {
			uint32_t d = (k + r) % 2;

			err = time_creates(fs, dirs[d], r, &create[d][r]);
			if (!err)
				err = time_lookups(fs, dirs[d], n[d], &rand, &lookup[d][r]);
		}
	}
	for (uint32_t d = 0; d < 2 && !err; d++) {
		res->create_ns[d] = median(create[d], N_ROUNDS);
		res->lookup_ns[d] = median(lookup[d], N_ROUNDS);
	}
	return err;
}

static int stage_fill(struct scale *s)
{
	uint64_t dirs[2];
	struct zus_fs *fs;
	int err = bench_format_file(s->image, 8 * GIB);

	if (!err)
		err = bench_mount_file(s->image, &fs);
	if (err)
		return err;
	err = engine_make(fs, ZUS_NODE_ROOT, "small", S_IFDIR | 0755, &dirs[0]);
	if (!err)
		err = engine_make(fs, ZUS_NODE_ROOT, "big", S_IFDIR | 0755, &dirs[1]);
	if (!err)
		err = fill_dir(fs, dirs[0], N_SMALL);
	if (!err)
		err = fill_dir(fs, dirs[1], s->n_files);
	if (!err)
		err = compare_dirs(fs, dirs, s->n_files, s->res);
	fs->ops->unmount(fs);
	return err;
}

static int stage_fill_small(struct scale *s)
{
	struct zus_fs *fs;
	uint64_t dir;
	int err = bench_format_file(s->small, 8 * GIB);

	if (!err)
		err = bench_mount_file(s->small, &fs);
	if (err)
		return err;
	err = engine_make(fs, ZUS_NODE_ROOT, "big", S_IFDIR | 0755, &dir);
	if (!err)
		err = fill_dir(fs, dir, N_SMALL);
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
	return walk(s->small, N_SMALL, &s->res->anon_kib[0]);
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

	if (!err)
		printf("# per create %.0f ns with %u entries, %.0f ns with %u; per lookup %.0f ns and %.0f ns\n", r->create_ns[0],
		       N_SMALL, r->create_ns[1], s->n_files, r->lookup_ns[0], r->lookup_ns[1]);
	snprintf(what, sizeof(what), "create: directory of %u entries / of %u", s->n_files, N_SMALL);
	print_row(s, what, r->create_ns[1] / r->create_ns[0], 1.5, "x", err);
	snprintf(what, sizeof(what), "lookup: directory of %u entries / of %u", s->n_files, N_SMALL);
	print_row(s, what, r->lookup_ns[1] / r->lookup_ns[0], 1.5, "x", err);
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
		printf("# memory after looking up every file: %.0f KiB with %u files, %.0f KiB with %u\n", r->anon_kib[0], N_SMALL,
		       r->anon_kib[1], s->n_files);
	print_row(s, "memory: growth with the number of files", (r->anon_kib[1] - r->anon_kib[0]) / 1024, 16, "MiB", err_walk);
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
