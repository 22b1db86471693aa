/* SPDX-License-Identifier: BSD-3-Clause */
/* What the POSIX cases share: see posix.h. */
#include "posix.h"

#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <sys/ioctl.h>

static void clear_flags(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC), flags = 0;

	if (fd < 0)
		return;
	if (!ioctl(fd, FS_IOC_GETFLAGS, &flags) && flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)) {
		flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
		ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
	close(fd);
}

static int unflag_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)type;
	(void)ftw;
	if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))
		clear_flags(path);
	return 0;
}

/* rm goes deeper than paths can say, which nftw cannot. */
static void remove_tree(const char *base)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		execlp("rm", "rm", "-rf", "--", base, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		printf("# cannot remove %s\n", base);
}

int posix_main(int argc, char **argv, const struct tap_case *cases, size_t n_cases)
{
	const char *dir = getenv("TEST_DIR"), *prog = strrchr(argv[0], '/');
	char base[PATH_MAX];
	int failed;

	if (!dir || !*dir) {
		printf("1..0 # SKIP TEST_DIR is not set\n");
		return 0;
	}
	snprintf(base, sizeof(base), "%s/posix-%s-%d", dir, prog ? prog + 1 : argv[0], (int)getpid());
	if (mkdir(base, 0755) || chmod(base, 0755) || chdir(base)) {
		printf("Bail out! %s: %s\n", base, strerror(errno));
		return 1;
	}
	failed = tap_main(argc, argv, cases, n_cases);
	if (chdir("/"))
		return 1;
	nftw(base, unflag_one, 32, FTW_PHYS);
	remove_tree(base);
	return failed;
}

void posix_enter(const char *name)
{
	umask(0);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	CHECK_EQ(mkdir(name, 0777), 0);
	CHECK_EQ(chdir(name), 0);
	umask(022);
}

void posix_unsupported(const char *fmt, ...)
{
	const char *require = getenv("TEST_REQUIRE");
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (require && !strcmp(require, "1")) {
		printf("# required, but: %s\n", text);
		fflush(stdout);
		_exit(1);
	}
	tap_skip("%s", text);
}

void posix_need_root(void)
{
	if (geteuid())
		tap_skip("needs root");
}

void posix_as(uid_t uid, gid_t gid, void (*fn)(void))
{
	int status;
	pid_t pid;

	posix_need_root();
	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		CHECK_EQ(setgroups(0, NULL), 0);
		CHECK_EQ(setresgid(gid, gid, gid), 0);
		CHECK_EQ(setresuid(uid, uid, uid), 0);
		fn();
		fflush(stdout);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	if (WEXITSTATUS(status))
		_exit(WEXITSTATUS(status));
}

void posix_as_user(void (*fn)(void))
{
	posix_as(USER_ID, USER_ID, fn);
}

void posix_fill(void *buf, size_t len, unsigned int seed, uint64_t from)
{
	unsigned char *bytes = buf;

	for (size_t i = 0; i < len; i++)
		bytes[i] = posix_pattern(seed, from + i);
}

int posix_open(const char *path, int flags, mode_t mode)
{
	int fd = open(path, flags | O_CLOEXEC, mode);

	if (fd < 0)
		printf("# open %.60s: %s\n", path, strerror(errno));
	CHECK(fd >= 0);
	return fd;
}

void posix_make(const char *path, size_t len, unsigned int seed)
{
	int fd = posix_open(path, O_CREAT | O_TRUNC | O_RDWR, 0644);
	char *buf = malloc(len + 1);

	CHECK(buf);
	posix_fill(buf, len, seed, 0);
	CHECK_EQ(pwrite(fd, buf, len, 0), len);
	free(buf);
	close(fd);
}

static void expect(int fd, off_t off, size_t len, const unsigned char *want)
{
	unsigned char *got = malloc(len + 1);

	CHECK(got);
	CHECK_EQ(pread(fd, got, len, off), len);
	for (size_t i = 0; i < len; i++) {
		if (got[i] != want[i]) {
			printf("# byte %lld is %u, not %u\n", (long long)off + (long long)i, got[i], want[i]);
			CHECK(!"contents");
		}
	}
	free(got);
}

void posix_expect(int fd, off_t off, size_t len, unsigned int seed, uint64_t from)
{
	unsigned char *want = malloc(len + 1);

	CHECK(want);
	posix_fill(want, len, seed, from);
	expect(fd, off, len, want);
	free(want);
}

void posix_expect_zeros(int fd, off_t off, size_t len)
{
	unsigned char *want = calloc(1, len + 1);

	CHECK(want);
	expect(fd, off, len, want);
	free(want);
}

struct stat posix_stat(const char *path)
{
	struct stat st;

	if (lstat(path, &st)) {
		printf("# lstat %.60s: %s\n", path, strerror(errno));
		CHECK(!"lstat");
	}
	return st;
}

bool posix_exists(const char *path)
{
	struct stat st;

	return !lstat(path, &st);
}

int posix_time_cmp(struct timespec a, struct timespec b)
{
	if (a.tv_sec != b.tv_sec)
		return a.tv_sec < b.tv_sec ? -1 : 1;
	return a.tv_nsec == b.tv_nsec ? 0 : a.tv_nsec < b.tv_nsec ? -1 : 1;
}

void posix_tick(void)
{
	usleep(20000);
}
