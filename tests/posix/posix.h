/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the POSIX cases share. A program runs in a fresh directory below $TEST_DIR, each case in one of its own, which is the
 * working directory. All is removed at the end.
 *
 * TEST_CHURN: see readdir.c.
 * TEST_REQUIRE=1: a feature that the file system does not have fails the case; otherwise the case is skipped with the reason.
 */
#ifndef TESTS_POSIX_H
#define TESTS_POSIX_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/tap.h"
#include "base/util.h"

#define USER_ID 65534u

/* The program's main: TEST_DIR, the cases, cleaning up. */
int posix_main(int argc, char **argv, const struct tap_case *cases, size_t n_cases);
#define POSIX_MAIN(...) \
	int main(int argc, char **argv) \
	{ \
		static const struct tap_case cases[] = { __VA_ARGS__ }; \
		return posix_main(argc, argv, cases, ARRAY_SIZE(cases)); \
	}

/* Into an empty directory of mode 0777; umask 022. First statement of each case. */
void posix_enter(const char *name);
#define ENTER() posix_enter(__func__)

/* The file system does not have it: skip, or fail under TEST_REQUIRE. */
void posix_unsupported(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void posix_need_root(void);

/* Runs fn as an ordinary user without groups, in a child; fails if it fails. */
void posix_as_user(void (*fn)(void));
/* As posix_as_user, in group gid and nothing else. */
void posix_as(uid_t uid, gid_t gid, void (*fn)(void));

/* A file of len bytes of pattern(seed), mode 0644. */
void posix_make(const char *path, size_t len, unsigned int seed);
/* Byte i of a pattern; never 0. */
static inline unsigned char posix_pattern(unsigned int seed, uint64_t i)
{
	return (unsigned char)(1 + (seed * 131 + i * 7 + i / 253) % 255);
}
void posix_fill(void *buf, size_t len, unsigned int seed, uint64_t from);
/* Checks that [off, off + len) of the file is the pattern from byte `from` on, or zeros. */
void posix_expect(int fd, off_t off, size_t len, unsigned int seed, uint64_t from);
void posix_expect_zeros(int fd, off_t off, size_t len);

struct stat posix_stat(const char *path);
bool posix_exists(const char *path);
/* -1, 0, 1 */
int posix_time_cmp(struct timespec a, struct timespec b);
/* Long enough that coarse file times differ. */
void posix_tick(void);

int posix_open(const char *path, int flags, mode_t mode);

#endif
