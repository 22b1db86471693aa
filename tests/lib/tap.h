/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Test Anything Protocol in one header: a process per case, an alarm, a printed seed, skips with a reason.
 *
 *	static void journal_append_when_full_checkpoints(void) { ... CHECK(x == y); ... }
 *	int main(int argc, char **argv)
 *	{
 *		static const struct tap_case cases[] = { TAP_CASE(journal_append_when_full_checkpoints), ... };
 *		return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
 *	}
 *
 * Arguments of the program: names of cases to run (default all). TAP_SEED replays a seed. TAP_NOFORK=1 runs in process (gdb).
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct tap_case {
	const char *name;
	void (*run)(void);
};
#define TAP_CASE(fn) { #fn, fn }
#define TAP_EXIT_SKIP 77
#define TAP_ALARM_S 300

static uint64_t tap_seed_value;

static inline uint64_t tap_seed(void)
{
	return tap_seed_value;
}

/* xorshift64*: *state must not be 0 */
static inline uint64_t tap_rand(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1dull;
}

#define CHECK(cond)                                                                                                                \
	do {                                                                                                                       \
		if (!(cond)) {                                                                                                     \
			printf("# %s:%d: failed: %s (errno %d: %s)\n", __FILE__, __LINE__, #cond, errno, strerror(errno));         \
			fflush(stdout);                                                                                            \
			_exit(1);                                                                                                  \
		}                                                                                                                  \
	} while (0)
#define CHECK_EQ(a, b)                                                                                                             \
	do {                                                                                                                       \
		long long tap_a = (long long)(a), tap_b = (long long)(b);                                                          \
		if (tap_a != tap_b) {                                                                                              \
			printf("# %s:%d: %s is %lld, not %s = %lld (errno %d: %s)\n", __FILE__, __LINE__, #a, tap_a, #b, tap_b,    \
			       errno, strerror(errno));                                                                            \
			fflush(stdout);                                                                                            \
			_exit(1);                                                                                                  \
		}                                                                                                                  \
	} while (0)
#define CHECK_ERRNO(call, err)                                                                                                     \
	do {                                                                                                                       \
		errno = 0;                                                                                                         \
		long long tap_r = (long long)(call);                                                                               \
		if (tap_r != -1 || errno != (err)) {                                                                               \
			printf("# %s:%d: %s gave %lld, errno %d (%s), not %s\n", __FILE__, __LINE__, #call, tap_r, errno,          \
			       strerror(errno), #err);                                                                             \
			fflush(stdout);                                                                                            \
			_exit(1);                                                                                                  \
		}                                                                                                                  \
	} while (0)

static inline void __attribute__((format(printf, 1, 2), noreturn)) tap_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("#SKIP ");
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
	fflush(stdout);
	_exit(TAP_EXIT_SKIP);
}

static inline int tap_wanted(const char *name, int argc, char **argv)
{
	if (argc < 2)
		return 1;
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return 1;
	return 0;
}

/* Reads the child's comment lines through a pipe, so that a skip's reason can stand in the result line. */
static inline int tap_run_forked(const struct tap_case *c, char *reason, size_t cap)
{
	int pipefd[2], status;
	char line[1024];
	pid_t pid;
	FILE *f;

	reason[0] = '\0';
	if (pipe(pipefd))
		return -1;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		dup2(pipefd[1], 1);
		close(pipefd[0]);
		close(pipefd[1]);
		alarm(TAP_ALARM_S);
		c->run();
		fflush(stdout);
		_exit(0);
	}
	close(pipefd[1]);
	f = fdopen(pipefd[0], "r");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "#SKIP ", 6))
			snprintf(reason, cap, "%.500s", line + 6);
		else
			printf("%s%s\n", line[0] == '#' ? "" : "# ", line);
	}
	if (f)
		fclose(f);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	if (WIFSIGNALED(status))
		printf("# killed by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline int tap_main(int argc, char **argv, const struct tap_case *cases, size_t n_cases)
{
	const char *seed = getenv("TAP_SEED");
	struct timespec now;
	int failed = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	tap_seed_value = seed ? strtoull(seed, NULL, 0) : ((uint64_t)now.tv_sec << 20 ^ (uint64_t)now.tv_nsec ^ (uint64_t)getpid());
	if (!tap_seed_value)
		tap_seed_value = 1;
	printf("1..%zu\n# TAP_SEED=%llu\n", n_cases, (unsigned long long)tap_seed_value);
	for (size_t i = 0; i < n_cases; i++) {
		char reason[512] = "";
		int rc = TAP_EXIT_SKIP;

		if (!tap_wanted(cases[i].name, argc, argv)) {
			snprintf(reason, sizeof(reason), "not asked for");
		} else if (getenv("TAP_NOFORK")) {
			cases[i].run();
			rc = 0;
		} else {
			rc = tap_run_forked(&cases[i], reason, sizeof(reason));
		}
		if (rc == TAP_EXIT_SKIP) {
			printf("ok %zu - %s # SKIP %s\n", i + 1, cases[i].name, reason);
		} else {
			printf("%sok %zu - %s\n", rc ? "not " : "", i + 1, cases[i].name);
			failed += rc != 0;
		}
		fflush(stdout);
	}
	return failed ? 1 : 0;
}

#endif
