/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * System calls under signals, on a mounted directory. A child makes one kind of call in a loop; its parent sends it SIGUSR1 as
 * fast as it can (a handler without SA_RESTART), and in a second part kills it in the middle of calls. Each call that succeeds
 * has made its new state; each that gives EINTR the old one or the new one; a killed one likewise.
 *
 * Usage: sigload DIR MILLISECONDS KILLS SEED	milliseconds of signals and number of kills for each kind of call
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "faults/sig_ops.h"
#include "lib/tap.h"

/* What the child tells its parent, who may outlive it. */
struct shared {
	uint32_t started; /* steps */
	uint32_t done; /* steps that have succeeded */
	uint32_t n_eintr;
	uint32_t n_signals; /* that the handler saw */
	uint32_t n_steps; /* under signals */
	int ready;
	int stop;
	char why[200];
};

static struct shared *sh;

static void on_signal(int sig)
{
	(void)sig;
	__atomic_add_fetch(&sh->n_signals, 1, __ATOMIC_RELAXED);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* State after step number i, or before it. */
static int state_after(uint32_t i)
{
	return !(i % 2);
}

/* Steps until told to stop. 0, or 1 and sh->why. */
static int steps_run(const struct sig_op *op)
{
	while (!__atomic_load_n(&sh->stop, __ATOMIC_ACQUIRE)) {
		uint32_t i = sh->done;
		int err, state;

		__atomic_store_n(&sh->started, i + 1, __ATOMIC_RELEASE);
		err = op->step(i);
		state = op->state ? op->state() : state_after(i);
		if (err == -EINTR) {
			sh->n_eintr++;
			if (state < 0) {
				snprintf(sh->why, sizeof(sh->why), "step %u: EINTR, and something half-done", i);
				return 1;
			}
			/* Done all the same, or to be done again. A call without state is done again. */
			if (!op->state || state != state_after(i))
				continue;
		} else if (err) {
			snprintf(sh->why, sizeof(sh->why), "step %u: %s", i, strerror(-err));
			return 1;
		} else if (state != state_after(i)) {
			snprintf(sh->why, sizeof(sh->why), "step %u: succeeded, state is %d", i, state);
			return 1;
		}
		__atomic_store_n(&sh->done, i + 1, __ATOMIC_RELEASE);
	}
	return 0;
}

static pid_t child_start(const struct sig_op *op, int first)
{
	struct sigaction sa = { .sa_handler = on_signal };
	pid_t pid;

	sh->ready = sh->stop = 0;
	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	sigaction(SIGUSR1, &sa, NULL);
	if (first && op->prepare) {
		int err = op->prepare();

		if (err) {
			snprintf(sh->why, sizeof(sh->why), "prepare: %s", strerror(-err));
			_exit(1);
		}
	}
	__atomic_store_n(&sh->ready, 1, __ATOMIC_RELEASE);
	_exit(steps_run(op));
}

static int child_is_ready(pid_t pid)
{
	while (!__atomic_load_n(&sh->ready, __ATOMIC_ACQUIRE)) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return 0;
		usleep(50);
	}
	return 1;
}

/* Ends within ten seconds, or it hangs in a call whose answer was lost. */
static int child_end(pid_t pid)
{
	uint64_t end = now_us() + 10000000;
	int status;

	__atomic_store_n(&sh->stop, 1, __ATOMIC_RELEASE);
	while (now_us() < end) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
		usleep(200);
	}
	snprintf(sh->why, sizeof(sh->why), "hangs in step %u", sh->started);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return 2;
}

static int signals_part(const struct sig_op *op, uint32_t ms)
{
	uint64_t end = now_us() + ms * 1000ull;
	pid_t pid = child_start(op, 1);

	if (!child_is_ready(pid))
		return 1;
	while (now_us() < end && !kill(pid, SIGUSR1))
		usleep(20);
	return child_end(pid);
}

/*
 * Steps of a child that is killed: the state is that before or behind its last step. (A call without a state of its own: there is
 * only that the next child gets on.)
 */
static int kill_once(const struct sig_op *op, uint32_t delay_us)
{
	pid_t pid = child_start(op, op->prepare != NULL && !op->state);
	int state, status;

	if (!child_is_ready(pid))
		return 1;
	usleep(delay_us);
	kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid || (WIFEXITED(status) && WEXITSTATUS(status)))
		return 1;
	state = op->state ? op->state() : 0;
	if (state < 0 && op->torn)
		return 0;
	if (state < 0 || (op->state && sh->started == sh->done && state != state_after(sh->done - 1))) {
		snprintf(sh->why, sizeof(sh->why), "killed in step %u (%u done): state %d", sh->started, sh->done, state);
		return 1;
	}
	if (op->state && state == state_after(sh->done))
		sh->done++;
	return 0;
}

static int kills_part(const struct sig_op *op, uint32_t n, uint64_t *rand)
{
	int bad = 0;

	for (uint32_t i = 0; i < n && !bad; i++)
		bad = kill_once(op, (uint32_t)(tap_rand(rand) % 3000));
	return bad;
}

static int op_run(const struct sig_op *op, const char *dir, uint32_t ms, uint32_t n_kills, uint64_t *rand)
{
	int bad;

	memset(sh, 0, sizeof(*sh));
	if (mkdir(dir, 0755) || chdir(dir)) {
		snprintf(sh->why, sizeof(sh->why), "%s: %s", dir, strerror(errno));
		return 1;
	}
	bad = signals_part(op, ms);
	/* The kills begin anew, with descriptors of the parent's. */
	sh->n_steps = sh->done;
	sh->started = sh->done = 0;
	if (!bad && (mkdir("killed", 0755) || chdir("killed") || (op->prepare && op->prepare()))) {
		snprintf(sh->why, sizeof(sh->why), "prepare: %s", strerror(errno));
		bad = 1;
	}
	if (!bad)
		bad = kills_part(op, n_kills, rand);
	return bad;
}

int main(int argc, char **argv)
{
	uint32_t ms = argc == 5 ? (uint32_t)atoi(argv[2]) : 0, n_kills = argc == 5 ? (uint32_t)atoi(argv[3]) : 0;
	uint64_t rand = argc == 5 ? strtoull(argv[4], NULL, 0) | 1 : 1;
	int n_bad = 0;
	char dir[4096];

	if (!ms) {
		fprintf(stderr, "Usage: sigload DIR MILLISECONDS KILLS SEED\n");
		return 2;
	}
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sh == MAP_FAILED)
		return 2;
	umask(022);
	printf("1..%u\n", sig_n_ops);
	for (uint32_t i = 0; i < sig_n_ops; i++) {
		int bad;

		snprintf(dir, sizeof(dir), "%s/op%u", argv[1], i);
		bad = op_run(&sig_ops[i], dir, ms, n_kills, &rand);
		if (bad)
			printf("# %s\n", sh->why);
		printf("%sok %u - %s (%u steps, %u signals, %u EINTR; %u steps, %u kills)\n", bad ? "not " : "", i + 1,
		       sig_ops[i].name, sh->n_steps, sh->n_signals, sh->n_eintr, sh->done, n_kills);
		fflush(stdout);
		n_bad += bad != 0;
	}
	return n_bad ? 1 : 0;
}
