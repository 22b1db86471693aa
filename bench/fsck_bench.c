/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "make bench-fsck": how long fsck.pmfs2 takes for an image of many files, and how much memory, against the bars. The image is
 * made by the engine: directories of 1,000 and of 10,000 files, each eighth file with a block of data. It is checked as a clean
 * unmount leaves it, and as a crash does, with a journal to be replayed.
 *
 * Usage: fsck_bench [-n FILES] [-d DIRECTORY] FSCK
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine_ops.h"
#include "pmem/pmem.h"
#include "pmfs2/fs.h"
#include "pmfs2/mkfs.h"
#include "pmfs2/mount.h"
#include "pmfs2/ops.h"

#define BAR_SECONDS 10.0
#define BAR_MIB 256.0
#define CORES 2
#define RUNS 3
#define IMAGE_BYTES_A_FILE 2048ull /* of the sparse file: inodes, names, data, and room */
#define LARGE_DIRS 10u /* directories of LARGE_FILES files; the others have SMALL_FILES */
#define LARGE_FILES 10000u
#define SMALL_FILES 1000u

struct bench {
	const char *fsck;
	char image[256];
	uint64_t n_files;
	int n_short;
};

struct run {
	double seconds;
	double mib;
	int rc;
};

static int fill_dir(struct zus_fs *fs, uint64_t *io_next, uint64_t end, uint32_t n)
{
	static const char data[4096] = "data";
	uint64_t dir, node;
	char name[48];
	int err;

	snprintf(name, sizeof(name), "directory-%llu", (unsigned long long)*io_next);
	err = engine_make(fs, ZUS_NODE_ROOT, name, S_IFDIR | 0755, &dir);
	for (uint32_t i = 0; !err && i < n && *io_next < end; i++, ++*io_next) {
		snprintf(name, sizeof(name), "file-%llu", (unsigned long long)*io_next);
		err = engine_make(fs, dir, name, S_IFREG | 0644, &node);
		if (!err && *io_next % 8 == 0)
			err = engine_write(fs, node, 0, data, sizeof(data));
	}
	return err;
}

static int fill(const struct bench *b)
{
	const struct mkfs_params params = { .label = "bench" };
	uint64_t next = 0, large = b->n_files / 10;
	struct zus_fs *fs;
	struct pmem *pm;
	int err = pmem_open(b->image, 0, &pm);

	if (!err)
		err = mkfs_format(pm, &params, NULL);
	if (!err)
		err = pmfs2_mount_pmem(pm, NULL, 0, &fs);
	if (err)
		return err;
	while (!err && next < large)
		err = fill_dir(fs, &next, large, LARGE_FILES);
	while (!err && next < b->n_files)
		err = fill_dir(fs, &next, b->n_files, SMALL_FILES);
	fs->ops->unmount(fs);
	return err;
}

/* A server that dies: some hundred records stay in the journal. */
static int crash(const struct bench *b)
{
	struct zus_fs *fs;
	struct pmem *pm;
	char name[32];
	int err = pmem_open(b->image, 0, &pm);

	if (!err)
		err = pmfs2_mount_pmem(pm, NULL, 0, &fs);
	for (int i = 0; !err && i < 400; i++) {
		snprintf(name, sizeof(name), "late-%d", i);
		err = engine_make(fs, ZUS_NODE_ROOT, name, S_IFREG | 0644, NULL);
	}
	if (!err)
		fs_abandon(fs_of(fs));
	return err;
}

/* In a process of its own, so that its memory is not ours. */
static int forked(int (*fn)(const struct bench *b), const struct bench *b)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(-fn(b) & 0xff);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

static void run_child(const struct bench *b, const char *mode)
{
	cpu_set_t all, two;
	int n = 0;

	CPU_ZERO(&two);
	if (!sched_getaffinity(0, sizeof(all), &all)) {
		for (int cpu = 0; cpu < CPU_SETSIZE && n < CORES; cpu++)
			if (CPU_ISSET(cpu, &all)) {
				CPU_SET(cpu, &two);
				n++;
			}
		sched_setaffinity(0, sizeof(two), &two);
	}
	if (dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO) < 0)
		_exit(127);
	execl(b->fsck, b->fsck, mode, "-f", b->image, (char *)NULL);
	_exit(127);
}

static struct run run_fsck(const struct bench *b, const char *mode)
{
	struct run run = { .rc = -1 };
	struct timespec start, end;
	struct rusage use;
	int status;
	pid_t pid;

	clock_gettime(CLOCK_MONOTONIC, &start);
	pid = fork();
	if (!pid)
		run_child(b, mode);
	if (pid < 0 || wait4(pid, &status, 0, &use) != pid)
		return run;
	clock_gettime(CLOCK_MONOTONIC, &end);
	run.seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
	run.mib = (double)use.ru_maxrss / 1024;
	run.rc = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
	return run;
}

static int run_cmp(const void *a, const void *b)
{
	const struct run *ra = a, *rb = b;

	return (ra->seconds > rb->seconds) - (ra->seconds < rb->seconds);
}

static void print_row(struct bench *b, const char *what, double value, double bar, const char *unit, int rc)
{
	int ok = !rc && value < bar;

	printf("%-58s %10.2f %8.0f %-4s %s", what, value, bar, unit, ok ? "ok" : "short");
	if (rc)
		printf(" (fsck.pmfs2 exits with %d)", rc);
	putchar('\n');
	fflush(stdout);
	b->n_short += !ok;
}

/* Median of three runs, the largest memory of them. */
static void rows(struct bench *b, const char *what, const char *mode)
{
	struct run runs[RUNS];
	double mib = 0;
	char text[80];
	int rc = 0;

	for (int i = 0; i < RUNS; i++) {
		runs[i] = run_fsck(b, mode);
		mib = runs[i].mib > mib ? runs[i].mib : mib;
		rc = runs[i].rc ? runs[i].rc : rc;
	}
	qsort(runs, RUNS, sizeof(runs[0]), run_cmp);
	snprintf(text, sizeof(text), "fsck %s, %llu files, %s: median of %d", mode, (unsigned long long)b->n_files, what, RUNS);
	print_row(b, text, runs[RUNS / 2].seconds, BAR_SECONDS, "s", rc);
	snprintf(text, sizeof(text), "fsck %s, %llu files, %s: peak resident set", mode, (unsigned long long)b->n_files, what);
	print_row(b, text, mib, BAR_MIB, "MiB", rc);
}

static int bench_run(struct bench *b)
{
	struct run one;
	int err = forked(fill, b);

	if (err) {
		fprintf(stderr, "bench-fsck: %s cannot be filled: %s\n", b->image, strerror(-err));
		return 1;
	}
	printf("%-58s %10s %8s\n", "row", "value", "bar");
	rows(b, "clean", "-n");
	err = forked(crash, b);
	if (err) {
		fprintf(stderr, "bench-fsck: crash: %s\n", strerror(-err));
		return 1;
	}
	rows(b, "crashed", "-n");
	one = run_fsck(b, "-p");
	print_row(b, "fsck -p, crashed: journal replayed, all checked", one.seconds, BAR_SECONDS, "s", one.rc);
	print_row(b, "fsck -p, crashed: peak resident set", one.mib, BAR_MIB, "MiB", one.rc);
	if (b->n_short)
		printf("bench-fsck: %d rows are short\n", b->n_short);
	return b->n_short != 0;
}

int main(int argc, char **argv)
{
	struct bench b = { .n_files = 1000000 };
	const char *dir = "/dev/shm";
	int opt, fd, rc;

	while ((opt = getopt(argc, argv, "n:d:")) != -1) {
		if (opt == 'n')
			b.n_files = strtoull(optarg, NULL, 10);
		else if (opt == 'd')
			dir = optarg;
	}
	if (optind + 1 != argc || !b.n_files) {
		fprintf(stderr, "Usage: fsck_bench [-n FILES] [-d DIRECTORY] FSCK\n");
		return 2;
	}
	b.fsck = argv[optind];
	snprintf(b.image, sizeof(b.image), "%s/pmfs2-bench-fsck.XXXXXX", dir);
	fd = mkostemp(b.image, O_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)(b.n_files * IMAGE_BYTES_A_FILE + (64ull << 20)))) {
		perror(b.image);
		return 1;
	}
	close(fd);
	rc = bench_run(&b);
	unlink(b.image);
	return rc;
}
