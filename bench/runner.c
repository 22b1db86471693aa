/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One run of a case: clients are forked, pinned to a CPU each, prepare what they need, wait for each other, work for the
 * given time in batches of which only the operations themselves are timed, and put their rate into shared memory.
 */
#include "runner.h"
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUF_SIZE (1u << 20)
#define WALL_FACTOR 8u /* a run ends after this many times run_ms, prepared parts included */

struct shared_client {
	double rate;
	int err;
	uint32_t ready; /* atomic */
};

struct shared {
	uint32_t go; /* atomic */
	struct shared_client clients[BENCH_MAX_CLIENTS];
};

const struct bench_op *bench_op_at(size_t i)
{
	if (i < bench_n_meta_ops)
		return &bench_meta_ops[i];
	i -= bench_n_meta_ops;
	return i < bench_n_io_ops ? &bench_io_ops[i] : NULL;
}

const struct bench_op *bench_op_find(const char *name)
{
	const struct bench_op *op;

	for (size_t i = 0; (op = bench_op_at(i)); i++)
		if (!strcmp(op->name, name))
			return op;
	return NULL;
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* The n-th CPU that this process may run on, counted round and round. */
static void pin_to(uint32_t n)
{
	cpu_set_t allowed, one;
	int n_cpus;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return;
	n_cpus = CPU_COUNT(&allowed);
	n %= (uint32_t)n_cpus;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || n--)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		return;
	}
}

/* The data file has its full size, all of it written. */
static int fill_file(struct bench_client *c)
{
	struct stat st;

	if (fstat(c->fd, &st))
		return -errno;
	if ((uint64_t)st.st_size == c->file_size)
		return 0;
	for (uint64_t off = 0; off < c->file_size; off += BUF_SIZE)
		if (pwrite(c->fd, c->buf, BUF_SIZE, (off_t)off) != (ssize_t)BUF_SIZE)
			return errno ? -errno : -EIO;
	return 0;
}

static int client_init(struct bench_client *c, const struct bench_case *bc, const struct bench_run_args *args)
{
	int err;

	c->fd = -1;
	c->file_size = args->file_size;
	c->direct = args->direct;
	c->op = bc->op;
	c->serial = ((uint64_t)getpid() << 24) + args->round;
	c->rand = c->serial * 0x9e3779b97f4a7c15ull | 1;
	c->buf = mmap(NULL, BUF_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (c->buf == MAP_FAILED)
		return -ENOMEM;
	memset(c->buf, 0x5a, BUF_SIZE);
	if (!bc->op->need_file) {
		if (mkdir(c->dir, 0755) && errno != EEXIST)
			return -errno;
		return 0;
	}
	c->fd = open(c->file, O_RDWR | O_CREAT | O_CLOEXEC | (args->direct ? O_DIRECT : 0), 0644);
	if (c->fd < 0)
		return -errno;
	err = bc->op->prepare ? 0 : fill_file(c);
	return err;
}

/* Operations until the time is over; the rate counts the timed parts only. */
static int client_work(struct bench_client *c, uint32_t run_ms, double *out_rate)
{
	double timed = 0, want = run_ms * 1e-3, end = now_s() + want * WALL_FACTOR, start, now = 0;
	uint64_t done = 0;
	int err = 0;

	do {
		uint32_t i = 0;

		err = c->op->prepare ? c->op->prepare(c, BENCH_BATCH) : 0;
		start = now_s();
		while (!err && (i < BENCH_BATCH || (c->op->repeat && timed + now - start < want))) {
			for (uint32_t k = 0; k < 32 && !err; k++)
				err = c->op->run(c, i++);
			now = now_s();
		}
		timed += now - start;
		done += i;
		if (c->op->finish)
			c->op->finish(c, BENCH_BATCH);
	} while (!err && timed < want && now_s() < end);
	if (!err)
		*out_rate = (double)done / timed;
	return err;
}

static void client_main(const struct bench_case *bc, const struct bench_run_args *args, uint32_t n, struct shared *sh)
{
	struct shared_client *me = &sh->clients[n];
	struct bench_client c = { 0 };
	char dir[PATH_MAX], file[PATH_MAX];

	if (!bc->not_pinned)
		pin_to(n + (bc->clients == 1 ? args->round / 2 : 0));
	snprintf(dir, sizeof(dir), "%s/bench-%u", bc->dir, n);
	snprintf(file, sizeof(file), "%s/bench-data-%u", bc->dir, bc->same_file ? 0 : n);
	c.dir = dir;
	c.file = file;
	me->err = client_init(&c, bc, args);
	__atomic_store_n(&me->ready, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&sh->go, __ATOMIC_ACQUIRE))
		usleep(200);
	if (!me->err)
		me->err = client_work(&c, args->run_ms, &me->rate);
	if (!bc->op->need_file)
		rmdir(dir);
	if (c.fd >= 0)
		close(c.fd);
	_exit(0);
}

static void wait_ready(const struct bench_case *c, struct shared *sh)
{
	for (uint32_t i = 0; i < c->clients; i++)
		while (!__atomic_load_n(&sh->clients[i].ready, __ATOMIC_ACQUIRE))
			usleep(200);
}

static void sum_up(struct bench_case *c, const struct shared *sh, uint32_t round)
{
	double rate = 0;

	for (uint32_t i = 0; i < c->clients; i++) {
		if (sh->clients[i].err && !c->err)
			c->err = sh->clients[i].err;
		rate += sh->clients[i].rate;
	}
	c->rates[round] = rate;
	if (!c->err && !(rate > 0))
		c->err = -EIO;
}

void bench_case_run(struct bench_case *c, const struct bench_run_args *args)
{
	struct shared *sh;
	pid_t pids[BENCH_MAX_CLIENTS];
	uint32_t n = 0;

	if (c->err)
		return;
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sh == MAP_FAILED) {
		c->err = -ENOMEM;
		return;
	}
	for (; n < c->clients; n++) {
		pids[n] = fork();
		if (pids[n] == 0)
			client_main(c, args, n, sh);
		if (pids[n] < 0) {
			c->err = -errno;
			break;
		}
	}
	if (!c->err)
		wait_ready(c, sh);
	__atomic_store_n(&sh->go, 1, __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < n; i++)
		waitpid(pids[i], NULL, 0);
	if (!c->err)
		sum_up(c, sh, args->round);
	munmap(sh, sizeof(*sh));
}

static int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(const double *v, uint32_t n)
{
	double sorted[BENCH_MAX_ROUNDS];

	memcpy(sorted, v, n * sizeof(*v));
	qsort(sorted, n, sizeof(*sorted), compare_double);
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

double bench_median_ratio(const double *a, const double *b, uint32_t n)
{
	double ratios[BENCH_MAX_ROUNDS];

	for (uint32_t i = 0; i < n; i++)
		ratios[i] = a[i] / b[i];
	return bench_median(ratios, n);
}
