/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Model test: see model.h. Threads work in directories of their own, each with a stream from its own seed, so that one
 * thread's failure is replayed alone.
 *
 * Usage: model [-t SECONDS] [-n OPERATIONS] [-s SEED] [-j THREADS] [-T THREAD] DIR REFERENCE_DIR Prints TAP, a case per
 * thread. On a difference: the last operations, and the command that replays it.
 */
#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 16u
#define COMPARE_EVERY 1000u /* operations */

struct worker {
	struct model m;
	char root[2][PATH_MAX / 4];
	uint64_t max_ops;
	double end_s;
	pthread_t thread;
};

struct args {
	const char *dir[2];
	double seconds;
	uint64_t max_ops;
	uint64_t seed;
	unsigned int threads;
	int only; /* thread to run, -1: all */
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

uint64_t model_rand(struct model *m, uint64_t limit)
{
	m->rand ^= m->rand >> 12;
	m->rand ^= m->rand << 25;
	m->rand ^= m->rand >> 27;
	return (m->rand * 0x2545f4914f6cdd1dull >> 16) % limit;
}

/* One to three names out of few, so that they often meet; now and then a name at the limit of its length, "." or "..". */
void model_path(struct model *m, struct path *out)
{
	unsigned int roll = (unsigned int)model_rand(m, 8), depth = roll < 4 ? 1 : roll < 7 ? 2 : 3;
	char name[300], rel[sizeof(out->rel)];

	rel[0] = '\0';
	for (unsigned int i = 0; i < depth; i++) {
		unsigned int kind = (unsigned int)model_rand(m, 150);

		if (kind < 2) {
			memset(name, 'n', 300);
			name[255 + kind] = '\0';
		} else if (kind == 2) {
			strcpy(name, i ? ".." : ".");
		} else {
			snprintf(name, sizeof(name), "%c", (char)('a' + model_rand(m, 6)));
		}
		snprintf(rel + strlen(rel), sizeof(rel) - strlen(rel), "%s%s", i ? "/" : "", name);
	}
	strcpy(out->rel, rel);
	for (int side = 0; side < 2; side++)
		snprintf(out->abs[side], PATH_MAX, "%.1000s/%.2000s", m->root[side], rel);
}

void model_describe(struct model *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(m->desc, sizeof(m->desc), fmt, ap);
	va_end(ap);
}

int model_fail(struct model *m, const char *fmt, ...)
{
	va_list ap;

	if (m->failed)
		return -1;
	m->failed = 1;
	va_start(ap, fmt);
	vsnprintf(m->why, sizeof(m->why), fmt, ap);
	va_end(ap);
	return -1;
}

int model_same(struct model *m, const long result[2], const int err[2])
{
	size_t len = strlen(m->desc);

	if (err[0] != err[1] || (!err[0] && result[0] != result[1]))
		return model_fail(m, "under test: %ld %s; reference: %ld %s", result[0], err[0] ? strerror(err[0]) : "",
				  result[1], err[1] ? strerror(err[1]) : "");
	if (len + 40 < sizeof(m->desc) && !strchr(m->desc, '='))
		snprintf(m->desc + len, sizeof(m->desc) - len, " = %ld%s%.30s", result[0], err[0] ? " " : "",
			 err[0] ? strerror(err[0]) : "");
	return err[0] ? 0 : 1;
}

/* Inode numbers come back: the time of birth, where the reference has one, tells the files apart. */
static struct shadow_file *shadow_of(struct model *m, int fd, const char *path, int flags)
{
	struct statx stx;

	if (statx(fd, path, flags, STATX_TYPE | STATX_INO | STATX_BTIME, &stx) || !S_ISREG(stx.stx_mode))
		return NULL;
	if (!(stx.stx_mask & STATX_BTIME))
		return shadow_get(&m->shadow, stx.stx_ino);
	return shadow_get(&m->shadow, stx.stx_ino ^ ((uint64_t)stx.stx_btime.tv_sec * 1000000000 + stx.stx_btime.tv_nsec) *
							    0x9e3779b97f4a7c15ull);
}

struct shadow_file *model_shadow_fd(struct model *m, const struct slot *s)
{
	return shadow_of(m, s->fd[1], "", AT_EMPTY_PATH);
}

struct shadow_file *model_shadow_path(struct model *m, const struct path *p)
{
	return shadow_of(m, AT_FDCWD, p->abs[1], 0);
}

struct shadow_file *model_shadow_abs(struct model *m, const char *abs)
{
	return shadow_of(m, AT_FDCWD, abs, AT_SYMLINK_NOFOLLOW);
}

void model_close_slot(struct slot *s)
{
	for (int side = 0; side < 2; side++) {
		if (s->fd[side] >= 0)
			close(s->fd[side]);
		s->fd[side] = -1;
	}
}

static const struct model_op *pick_from(struct model *m, const struct model_op *ops, size_t n)
{
	uint64_t total = 0, at;

	for (size_t i = 0; i < n; i++)
		total += ops[i].weight;
	at = model_rand(m, total);
	for (size_t i = 0; i < n; i++) {
		if (at < ops[i].weight)
			return &ops[i];
		at -= ops[i].weight;
	}
	return ops;
}

static void step(struct model *m)
{
	const struct model_op *op = model_rand(m, 5) < 2 ? pick_from(m, model_path_ops, model_n_path_ops)
							 : pick_from(m, model_fd_ops, model_n_fd_ops);

	m->desc[0] = '\0';
	op->run(m);
	m->n_ops++;
	if (m->desc[0])
		snprintf(m->history[m->n_history++ % MODEL_HISTORY], sizeof(m->history[0]), "%llu %.1000s",
			 (unsigned long long)m->n_ops, m->desc);
	if (!m->failed && m->n_ops % COMPARE_EVERY == 0)
		model_compare_trees(m);
}

/* tmpfs has user xattrs since Linux 6.6. */
static int probe_xattr(const struct model *m)
{
	return !setxattr(m->root[1], "user.model", "1", 1, 0) && !setxattr(m->root[0], "user.model", "1", 1, 0);
}

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	struct model *m = &w->m;

	m->is_root = geteuid() == 0;
	for (int side = 0; side < 2; side++) {
		m->root[side] = w->root[side];
		if (mkdir(w->root[side], 0755))
			model_fail(m, "mkdir %s: %s", w->root[side], strerror(errno));
	}
	for (size_t i = 0; i < MODEL_SLOTS; i++)
		m->slots[i].fd[0] = m->slots[i].fd[1] = -1;
	m->has_xattr = probe_xattr(m);
	while (!m->failed && m->n_ops < w->max_ops && (m->n_ops % 64 || now_s() < w->end_s))
		step(m);
	if (!m->failed)
		model_compare_trees(m);
	for (size_t i = 0; i < MODEL_SLOTS; i++)
		model_close_slot(&m->slots[i]);
	shadow_free(&m->shadow);
	return NULL;
}

static void report(const struct worker *w, const struct args *args, unsigned int n)
{
	const struct model *m = &w->m;

	if (!m->failed) {
		printf("ok %u - thread %u: %llu operations alike%s\n", n + 1, n, (unsigned long long)m->n_ops,
		       m->has_xattr ? "" : " (the reference has no user xattrs: left out)");
		return;
	}
	for (uint64_t i = m->n_history > MODEL_HISTORY ? m->n_history - MODEL_HISTORY : 0; i < m->n_history; i++)
		printf("# %s\n", m->history[i % MODEL_HISTORY]);
	printf("# %s\n# replay: model -s %llu -j %u -T %u -n %llu DIR REFERENCE\n", m->why, (unsigned long long)args->seed,
	       args->threads, n, (unsigned long long)m->n_ops);
	printf("not ok %u - thread %u: a difference at operation %llu\n", n + 1, n, (unsigned long long)m->n_ops);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int args_parse(struct args *args, int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "t:n:s:j:T:")) != -1) {
		switch (opt) {
		case 't':
			args->seconds = atof(optarg);
			break;
		case 'n':
			args->max_ops = strtoull(optarg, NULL, 0);
			args->seconds = 1e9;
			break;
		case 's':
			args->seed = strtoull(optarg, NULL, 0);
			break;
		case 'j':
			args->threads = (unsigned int)atoi(optarg);
			break;
		case 'T':
			args->only = atoi(optarg);
			break;
		default:
			return -1;
		}
	}
	if (argc - optind != 2 || !args->threads || args->threads > MAX_THREADS || args->only >= (int)args->threads)
		return -1;
	args->dir[0] = argv[optind];
	args->dir[1] = argv[optind + 1];
	return 0;
}

/* Starts, waits, reports. Returns the number of threads that found a difference. */
static int run_workers(struct worker *ws, const struct args *args, char roots[2][PATH_MAX / 8])
{
	int failed = 0;

	for (unsigned int i = 0; i < args->threads; i++) {
		ws[i].m.rand = (args->seed + i * 7919) * 0x9e3779b97f4a7c15ull | 1;
		ws[i].max_ops = args->max_ops;
		ws[i].end_s = now_s() + args->seconds;
		for (int side = 0; side < 2; side++)
			snprintf(ws[i].root[side], sizeof(ws[i].root[side]), "%.500s/t%u", roots[side], i);
		if (args->only < 0 || args->only == (int)i)
			pthread_create(&ws[i].thread, NULL, worker_run, &ws[i]);
	}
	for (unsigned int i = 0; i < args->threads; i++) {
		if (args->only >= 0 && args->only != (int)i) {
			printf("ok %u - thread %u # SKIP not asked for\n", i + 1, i);
			continue;
		}
		pthread_join(ws[i].thread, NULL);
		report(&ws[i], args, i);
		failed += ws[i].m.failed;
	}
	return failed;
}

int main(int argc, char **argv)
{
	struct args args = { .seconds = 10, .max_ops = UINT64_MAX, .threads = 3, .only = -1 };
	struct worker *ws = calloc(MAX_THREADS, sizeof(*ws));
	char roots[2][PATH_MAX / 8];
	int failed;

	args.seed = (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
	if (!ws || args_parse(&args, argc, argv)) {
		fputs("Usage: model [-t SECONDS] [-n OPERATIONS] [-s SEED] [-j THREADS] [-T THREAD] DIR REFERENCE_DIR\n", stderr);
		return 2;
	}
	umask(022);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..%u\n# seed %llu\n", args.threads, (unsigned long long)args.seed);
	for (int side = 0; side < 2; side++) {
		snprintf(roots[side], sizeof(roots[side]), "%.400s/model.XXXXXX", args.dir[side]);
		if (!mkdtemp(roots[side])) {
			printf("Bail out! %s: %s\n", roots[side], strerror(errno));
			return 2;
		}
		chmod(roots[side], 0755);
	}
	failed = run_workers(ws, &args, roots);
	for (int side = 0; side < 2; side++)
		nftw(roots[side], remove_one, 32, FTW_DEPTH | FTW_PHYS);
	free(ws);
	return failed ? 1 : 0;
}
