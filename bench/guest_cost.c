/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one system call costs, in instructions: run where the TSC counts instructions (QEMU's -icount), on one CPU.
 *
 *   guest_cost DIR      one line for each operation: name, median of N_ROUNDS
 *
 * Everything between two readings of the TSC is counted, the server's thread on the same CPU included.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <x86intrin.h>

#define N_ROUNDS 1000u
#define N_HUGE 32u
#define PAGE 4096u
#define HUGE_PAGE (2u << 20)
#define TSC_PAIR_COST 4u

struct cost {
	const char *dir;
	int fd; /* a file of 4 MiB, written */
	int append_fd;
	uint8_t *buf;
	uint8_t *map;
	size_t map_len; /* bytes */
};

static int cost_cmp(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void die(const char *what)
{
	fprintf(stderr, "guest_cost: %s: %s\n", what, strerror(errno));
	exit(1);
}

static const char *name_of(const struct cost *c, const char *prefix, unsigned int i)
{
	static char path[2][512];
	static int which;

	which = !which;
	snprintf(path[which], sizeof(path[which]), "%s/%s%05u", c->dir, prefix, i);
	return path[which];
}

/* One operation; i counts the rounds. 0, or -1 with errno. */
typedef int (*op_fn)(struct cost *c, unsigned int i);

static int op_pread_4k(struct cost *c, unsigned int i)
{
	return pread(c->fd, c->buf, PAGE, (off_t)(i % 1024) * PAGE) == PAGE ? 0 : -1;
}
static int op_pread_64k(struct cost *c, unsigned int i)
{
	return pread(c->fd, c->buf, 65536, (off_t)(i % 64) * 65536) == 65536 ? 0 : -1;
}
static int op_pwrite_4k(struct cost *c, unsigned int i)
{
	return pwrite(c->fd, c->buf, PAGE, (off_t)(i % 1024) * PAGE) == PAGE ? 0 : -1;
}
static int op_pwrite_64k(struct cost *c, unsigned int i)
{
	return pwrite(c->fd, c->buf, 65536, (off_t)(i % 64) * 65536) == 65536 ? 0 : -1;
}
static int op_append_64(struct cost *c, unsigned int i)
{
	return write(c->append_fd, c->buf, 64) == 64 ? 0 : -1;
}
static int op_append_4k(struct cost *c, unsigned int i)
{
	return write(c->append_fd, c->buf, PAGE) == PAGE ? 0 : -1;
}
static int op_append_4k_sync(struct cost *c, unsigned int i)
{
	return write(c->append_fd, c->buf, PAGE) == PAGE ? fdatasync(c->append_fd) : -1;
}
static int op_fdatasync(struct cost *c, unsigned int i)
{
	return pwrite(c->fd, c->buf, PAGE, (off_t)(i % 1024) * PAGE) == PAGE ? fdatasync(c->fd) : -1;
}
static int op_touch(struct cost *c, unsigned int i)
{
	*(volatile uint8_t *)(c->map + (size_t)i * PAGE) = 1;
	return 0;
}
static int op_touch_huge(struct cost *c, unsigned int i)
{
	*(volatile uint8_t *)(c->map + (size_t)i * HUGE_PAGE) = 1;
	return 0;
}
static int op_create(struct cost *c, unsigned int i)
{
	int fd = open(name_of(c, "f", i), O_CREAT | O_EXCL | O_WRONLY, 0644);

	return fd < 0 ? -1 : close(fd);
}
static int op_stat(struct cost *c, unsigned int i)
{
	struct stat st;

	return stat(name_of(c, "f", i), &st);
}
static int op_open(struct cost *c, unsigned int i)
{
	int fd = open(name_of(c, "f", i), O_RDONLY);

	return fd < 0 ? -1 : close(fd);
}
static int op_rename(struct cost *c, unsigned int i)
{
	return rename(name_of(c, "f", i), name_of(c, "g", i));
}
static int op_unlink(struct cost *c, unsigned int i)
{
	return unlink(name_of(c, "g", i));
}
static int op_mkdir(struct cost *c, unsigned int i)
{
	return mkdir(name_of(c, "d", i), 0755);
}
static int op_rmdir(struct cost *c, unsigned int i)
{
	return rmdir(name_of(c, "d", i));
}

static const struct op {
	const char *name;
	op_fn run;
	unsigned int n;
	int map; /* 1: wants pages, 2: wants huge pages; sparse, mapped shared */
} ops[] = {
	{ "pread_4k", op_pread_4k, N_ROUNDS, 0 },
	{ "pread_64k", op_pread_64k, N_ROUNDS, 0 },
	{ "pwrite_4k", op_pwrite_4k, N_ROUNDS, 0 },
	{ "pwrite_64k", op_pwrite_64k, N_ROUNDS, 0 },
	{ "append_64", op_append_64, N_ROUNDS, 0 },
	{ "append_4k", op_append_4k, N_ROUNDS, 0 },
	{ "append_4k_fdatasync", op_append_4k_sync, N_ROUNDS, 0 },
	{ "pwrite_4k_fdatasync", op_fdatasync, N_ROUNDS, 0 },
	{ "touch_4k", op_touch, N_ROUNDS, 1 },
	{ "touch_2m", op_touch_huge, N_HUGE, 2 },
	{ "create", op_create, N_ROUNDS, 0 },
	{ "stat", op_stat, N_ROUNDS, 0 },
	{ "open", op_open, N_ROUNDS, 0 },
	{ "rename", op_rename, N_ROUNDS, 0 },
	{ "unlink", op_unlink, N_ROUNDS, 0 },
	{ "mkdir", op_mkdir, N_ROUNDS, 0 },
	{ "rmdir", op_rmdir, N_ROUNDS, 0 },
};

/* Pages of a file that is all blocks (written), or a sparse one of 64 MiB. */
static void map_prepare(struct cost *c, int kind)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/map%d", c->dir, kind);
	fd = open(path, O_CREAT | O_RDWR, 0644);
	c->map_len = kind == 2 ? (size_t)N_HUGE * HUGE_PAGE : (size_t)N_ROUNDS * PAGE;
	if (fd < 0)
		die(path);
	for (size_t at = 0; kind == 1 && at < c->map_len; at += PAGE)
		if (pwrite(fd, c->buf, PAGE, (off_t)at) != PAGE)
			die(path);
	if (ftruncate(fd, (off_t)c->map_len))
		die(path);
	c->map = mmap(NULL, c->map_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (c->map == MAP_FAILED)
		die("mmap");
	if (kind == 1)
		madvise(c->map, c->map_len, MADV_NOHUGEPAGE);
	close(fd);
}

static void measure(struct cost *c, const struct op *op)
{
	static uint64_t costs[N_ROUNDS];

	if (op->map)
		map_prepare(c, op->map);
	for (unsigned int i = 0; i < op->n; i++) {
		uint64_t start = __rdtsc(), end;
		int err = op->run(c, i);

		end = __rdtsc();
		if (err)
			die(op->name);
		costs[i] = end - start - TSC_PAIR_COST;
	}
	if (op->map)
		munmap(c->map, c->map_len);
	qsort(costs, op->n, sizeof(costs[0]), cost_cmp);
	printf("%s %llu\n", op->name, (unsigned long long)costs[op->n / 2]);
	fflush(stdout);
}

static void files_prepare(struct cost *c)
{
	char path[512];

	c->buf = aligned_alloc(PAGE, 65536);
	if (!c->buf)
		die("memory");
	memset(c->buf, 'x', 65536);
	snprintf(path, sizeof(path), "%s/data", c->dir);
	c->fd = open(path, O_CREAT | O_RDWR | (getenv("GUEST_COST_DIRECT") ? O_DIRECT : 0), 0644);
	if (c->fd < 0)
		die(path);
	for (unsigned int i = 0; i < 64; i++)
		if (pwrite(c->fd, c->buf, 65536, (off_t)i * 65536) != 65536)
			die(path);
	snprintf(path, sizeof(path), "%s/log", c->dir);
	c->append_fd = open(path, O_CREAT | O_WRONLY | O_APPEND, 0644);
	if (c->append_fd < 0)
		die(path);
}

int main(int argc, char **argv)
{
	struct cost c = { .dir = argc > 1 ? argv[1] : NULL };

	if (argc < 2) {
		fprintf(stderr, "Usage: guest_cost DIR [OPERATION...]\n");
		return 2;
	}
	files_prepare(&c);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		int wanted = argc == 2;

		for (int a = 2; a < argc; a++)
			wanted |= !strcmp(argv[a], ops[i].name);
		if (wanted)
			measure(&c, &ops[i]);
	}
	return 0;
}
