/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A load that remembers what it was promised. "run" performs operations in THREADS directories below DIR and logs each one,
 * before the call and after it was acknowledged, in LOG.<thread> on another file system, until a call fails or TIME is over.
 * "check" replays the logs and compares: everything acknowledged must be there; the one operation that was under way may have
 * happened or not (a write in part).
 *
 * Usage: ackload run DIR LOG SEED THREADS SECONDS | ackload check DIR LOG THREADS
 */
#include "ack_state.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 16u

struct worker {
	const char *dir;
	const char *log;
	uint64_t seed;
	uint32_t n;
	uint32_t n_acked;
	time_t end;
	int err;
	int bug; /* the error is not one of a dead server */
	struct ack_op failed;
	pthread_t thread;
};

static int open_dir(const struct worker *w, int make)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/t%u", w->dir, w->n);
	if (make && mkdir(path, 0755) && errno != EEXIST)
		return -errno;
	make = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return make < 0 ? -errno : make;
}

static int open_log(const struct worker *w, int flags)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s.%u", w->log, w->n);
	fd = open(path, flags | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd;
}

static int dead_server(int err)
{
	return err == -ENOTCONN || err == -ECONNABORTED || err == -EIO || err == -EINTR ||
	       err == -ECANCELED; /* what the kernel gives to requests that were on their way to the rings */
}

static int work(struct worker *w, struct ack_state *s, int dirfd, int log)
{
	uint64_t rand = w->seed * 0x9e3779b97f4a7c15ull + w->n + 1;
	struct ack_op op;
	int err = 0;

	for (uint32_t seq = 0; time(NULL) < w->end; seq++) {
		rand ^= rand << 13;
		rand ^= rand >> 7;
		rand ^= rand << 17;
		op = ack_op_pick(s, rand, seq);
		if (write(log, &op, sizeof(op)) != sizeof(op))
			return -ENOSPC;
		err = ack_op_perform(dirfd, &op);
		if (err) {
			w->failed = op;
			w->bug = !dead_server(err);
			return err;
		}
		op.acked = 1;
		if (write(log, &op, sizeof(op)) != sizeof(op))
			return -ENOSPC;
		ack_state_apply(s, &op);
		w->n_acked++;
	}
	return 0;
}

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	struct ack_state *s = malloc(sizeof(*s));
	int log = open_log(w, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND), dirfd = open_dir(w, 1);

	if (!s || log < 0 || dirfd < 0) {
		w->err = dirfd < 0 ? dirfd : -EIO;
	} else {
		ack_state_init(s);
		w->err = work(w, s, dirfd, log);
	}
	if (log >= 0)
		close(log);
	if (dirfd >= 0)
		close(dirfd);
	free(s);
	return NULL;
}

static int run(struct worker *ws, uint32_t n)
{
	uint64_t acked = 0;
	int bug = 0;

	for (uint32_t i = 0; i < n; i++)
		if (pthread_create(&ws[i].thread, NULL, worker_run, &ws[i]))
			return 2;
	for (uint32_t i = 0; i < n; i++) {
		pthread_join(ws[i].thread, NULL);
		acked += ws[i].n_acked;
		if (ws[i].err && ws[i].bug)
			printf("thread %u: operation %u, %s of s%u: %s\n", i, ws[i].failed.seq, ack_op_name(ws[i].failed.kind),
			       ws[i].failed.a, strerror(-ws[i].err));
		bug |= ws[i].bug;
	}
	printf("%llu operations acknowledged\n", (unsigned long long)acked);
	return bug;
}

/*
 * Replays the log into s. Returns 1 and the operation under way if there is one, 0 if there is none, -1 for a log that makes
 * no sense.
 */
static int replay(int log, struct ack_state *s, struct ack_op *out_open, uint32_t *out_acked)
{
	struct ack_op op;
	int is_open = 0;

	*out_acked = 0;
	while (read(log, &op, sizeof(op)) == sizeof(op)) {
		if (op.kind >= ACK_N_OPS || op.a >= ACK_SLOTS || op.b >= ACK_SLOTS || op.acked != (uint32_t)is_open)
			return -1;
		*out_open = op;
		if (op.acked) {
			ack_state_apply(s, &op);
			++*out_acked;
		}
		is_open = !op.acked;
	}
	return is_open;
}

static int check_states(int dirfd, struct ack_state *before, struct ack_state *after, const struct ack_op *open_op, char why[256])
{
	char why_after[256];

	if (!ack_state_compare(dirfd, before, NULL, NULL, why))
		return 0;
	if (!open_op)
		return 1;
	*after = *before;
	ack_state_apply(after, open_op);
	return ack_state_compare(dirfd, after, open_op->kind == ACK_OP_WRITE ? open_op : NULL, before, why_after);
}

static int check_one(struct worker *w, uint64_t *acked)
{
	struct ack_state *s = malloc(sizeof(*s)), *after = malloc(sizeof(*s));
	int log = open_log(w, O_RDONLY), dirfd = open_dir(w, 0), is_open, bad = 1;
	struct ack_op op = { 0 };
	char why[256] = "";
	uint32_t n = 0;

	if (log == -ENOENT && dirfd == -ENOENT) {
		bad = 0; /* died before the first step */
	} else if (s && after && log >= 0 && dirfd >= 0) {
		ack_state_init(s);
		is_open = replay(log, s, &op, &n);
		if (is_open < 0)
			snprintf(why, sizeof(why), "the log makes no sense behind operation %u", n);
		else
			bad = check_states(dirfd, s, after, is_open ? &op : NULL, why);
	} else {
		/* The directory itself was made before the log had an operation. */
		bad = !(dirfd == -ENOENT && log >= 0 && lseek(log, 0, SEEK_END) == 0);
		snprintf(why, sizeof(why), "%s", strerror(dirfd < 0 ? -dirfd : ENOENT));
	}
	if (bad)
		printf("%s/t%u after %u acknowledged operations (last: %u %s s%u s%u, %s): %s\n", w->dir, w->n, n, op.seq,
		       ack_op_name(op.kind), op.a, op.b, op.acked ? "acknowledged" : "under way", why);
	*acked += n;
	if (log >= 0)
		close(log);
	if (dirfd >= 0)
		close(dirfd);
	free(s);
	free(after);
	return bad;
}

int main(int argc, char **argv)
{
	static struct worker ws[MAX_THREADS];
	int is_run = argc == 7 && !strcmp(argv[1], "run"), bad = 0;
	uint32_t n = is_run ? (uint32_t)atoi(argv[5]) : argc == 5 ? (uint32_t)atoi(argv[4]) : 0;
	uint64_t acked = 0;

	if (!n || n > MAX_THREADS || (!is_run && strcmp(argv[1], "check"))) {
		fprintf(stderr, "Usage: ackload run DIR LOG SEED THREADS SECONDS | ackload check DIR LOG THREADS\n");
		return 2;
	}
	umask(022);
	for (uint32_t i = 0; i < n; i++)
		ws[i] = (struct worker){ .dir = argv[2], .log = argv[3], .n = i };
	for (uint32_t i = 0; i < n && is_run; i++) {
		ws[i].seed = strtoull(argv[4], NULL, 0);
		ws[i].end = time(NULL) + atoi(argv[6]);
	}
	if (is_run)
		return run(ws, n);
	for (uint32_t i = 0; i < n; i++)
		bad |= check_one(&ws[i], &acked);
	printf("%llu acknowledged operations checked: %s\n", (unsigned long long)acked, bad ? "DIFFERENT" : "all there");
	return bad;
}
