/* SPDX-License-Identifier: BSD-3-Clause */
/* readdir, seekdir, telldir: complete, without doubles, with stable positions while the directory changes. */
#include "posix.h"

#include <dirent.h>
#include <sys/syscall.h>

#define N_STAY 5000

/* Names that come and go: $TEST_CHURN. */
static int n_churn(void)
{
	const char *text = getenv("TEST_CHURN");
	int n = text ? atoi(text) : 0;

	return n > 0 ? n : 10000;
}

static void make_numbered(const char *prefix, int n)
{
	char name[64];
	int fd;

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%s%d", prefix, i);
		fd = posix_open(name, O_CREAT | O_WRONLY, 0644);
		close(fd);
	}
}

static void remove_numbered(const char *prefix, int n)
{
	char name[64];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%s%d", prefix, i);
		CHECK_EQ(unlink(name), 0);
	}
}

static void readdir_lists_everything_once(void)
{
	bool seen[1000] = { false };
	struct dirent *e;
	int dots = 0, n = 0;
	DIR *d;

	ENTER();
	CHECK_EQ(mkdir("d", 0755), 0);
	make_numbered("d/f", 1000);
	d = opendir("d");
	CHECK(d);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.') {
			CHECK_EQ(e->d_ino, posix_stat(e->d_name[1] ? "." : "d").st_ino);
			CHECK(e->d_type == DT_DIR || e->d_type == DT_UNKNOWN);
			dots++;
			continue;
		}
		CHECK_EQ(e->d_name[0], 'f');
		CHECK(!seen[atoi(e->d_name + 1)]);
		seen[atoi(e->d_name + 1)] = true;
		n++;
	}
	CHECK_EQ(dots, 2);
	CHECK_EQ(n, 1000);
}

static void readdir_types_and_inodes(void)
{
	struct dirent *e;
	char path[300];
	int n = 0;
	DIR *d;

	ENTER();
	CHECK_EQ(mkdir("d", 0755), 0);
	CHECK_EQ(mkdir("d/dir", 0755), 0);
	posix_make("d/reg", 1, 1);
	CHECK_EQ(symlink("x", "d/lnk"), 0);
	CHECK_EQ(mkfifo("d/fifo", 0644), 0);
	d = opendir("d");
	while ((e = readdir(d))) {
		snprintf(path, sizeof(path), "d/%s", e->d_name);
		CHECK_EQ(posix_stat(path).st_ino, e->d_ino);
		if (e->d_type != DT_UNKNOWN)
			CHECK_EQ(DTTOIF(e->d_type), posix_stat(path).st_mode & S_IFMT);
		n++;
	}
	CHECK_EQ(n, 6);
}

static void readdir_seekdir_returns_to_telldir(void)
{
	char names[300][256];
	long pos[300];
	struct dirent *e;
	DIR *d;

	ENTER();
	CHECK_EQ(mkdir("d", 0755), 0);
	make_numbered("d/entry", 298);
	d = opendir("d");
	for (int i = 0; i < 300; i++) {
		pos[i] = telldir(d);
		e = readdir(d);
		CHECK(e);
		snprintf(names[i], sizeof(names[i]), "%s", e->d_name);
	}
	CHECK(!readdir(d));
	for (int i = 299; i >= 0; i -= 7) {
		seekdir(d, pos[i]);
		e = readdir(d);
		CHECK(e);
		CHECK(!strcmp(e->d_name, names[i]));
	}
	rewinddir(d);
	e = readdir(d);
	CHECK(!strcmp(e->d_name, names[0]));
	/* Another descriptor understands the same positions. */
	d = opendir("d");
	seekdir(d, pos[150]);
	e = readdir(d);
	CHECK(e);
	CHECK(!strcmp(e->d_name, names[150]));
}

static void readdir_positions_survive_removals(void)
{
	static char names[1000][256];
	char path[300];
	long pos[1000];
	struct dirent *e;
	DIR *d;

	ENTER();
	CHECK_EQ(mkdir("d", 0755), 0);
	make_numbered("d/entry", 998);
	d = opendir("d");
	for (int i = 0; i < 1000; i++) {
		pos[i] = telldir(d);
		e = readdir(d);
		CHECK(e);
		snprintf(names[i], sizeof(names[i]), "%s", e->d_name);
	}
	for (int i = 0; i < 1000; i++) {
		if (i % 100 == 50 || names[i][0] == '.')
			continue;
		snprintf(path, sizeof(path), "d/%.255s", names[i]);
		CHECK_EQ(unlink(path), 0);
	}
	for (int i = 50; i < 1000; i += 100) {
		if (names[i][0] == '.')
			continue;
		d = opendir("d");
		seekdir(d, pos[i]);
		e = readdir(d);
		CHECK(e);
		CHECK(!strcmp(e->d_name, names[i]));
	}
}

static void churn_forever(void)
{
	make_numbered("d/churn", n_churn());
	remove_numbered("d/churn", n_churn());
	_exit(0);
}

/* Every entry that is there all the time is seen exactly once, in passes with small buffers and seeks to and fro. */
static void readdir_while_thousands_come_and_go(void)
{
	unsigned char *seen = malloc(N_STAY);
	int status, passes = 0, i;
	struct dirent *e;
	pid_t churn;
	long pos;
	DIR *d;

	ENTER();
	CHECK_EQ(mkdir("d", 0755), 0);
	make_numbered("d/stay", N_STAY);
	churn = fork();
	if (!churn)
		churn_forever();
	do {
		memset(seen, 0, N_STAY);
		d = opendir("d");
		for (i = 0; (e = readdir(d)); i++) {
			if (!strncmp(e->d_name, "stay", 4))
				CHECK_EQ(++seen[atoi(e->d_name + 4)], 1);
			if (i % 1000 == 999) {
				pos = telldir(d);
				rewinddir(d);
				CHECK(readdir(d));
				seekdir(d, pos);
			}
		}
		closedir(d);
		for (i = 0; i < N_STAY; i++)
			CHECK_EQ(seen[i], 1);
		passes++;
	} while (!waitpid(churn, &status, WNOHANG));
	CHECK_EQ(status, 0);
	printf("# %d passes\n", passes);
	remove_numbered("d/stay", N_STAY);
	CHECK_EQ(rmdir("d"), 0);
}

static void readdir_remove_while_reading(void)
{
	char path[300];
	struct dirent *e;
	int n = 0;
	DIR *d;

	ENTER();
	CHECK_EQ(mkdir("d", 0755), 0);
	make_numbered("d/f", 3000);
	d = opendir("d");
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "d/%s", e->d_name);
		CHECK_EQ(unlink(path), 0);
		n++;
	}
	CHECK_EQ(n, 3000);
	CHECK_EQ(rmdir("d"), 0);
}

static void readdir_small_buffers_and_long_names(void)
{
	char name[300], buf[512];
	int fd, n = 0;
	long got;

	ENTER();
	CHECK_EQ(mkdir("d", 0755), 0);
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "d/%0255d", i);
		close(posix_open(name, O_CREAT | O_WRONLY, 0644));
	}
	fd = posix_open("d", O_RDONLY | O_DIRECTORY, 0);
	CHECK_ERRNO(syscall(SYS_getdents64, fd, buf, 8), EINVAL);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	while ((got = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < got; n++) {
			uint16_t len;

			memcpy(&len, buf + at + 16, sizeof(len));
			at += len;
		}
	}
	CHECK_EQ(got, 0);
	CHECK_EQ(n, 52);
}

static void readdir_of_removed_directory_is_empty(void)
{
	DIR *d;

	ENTER();
	CHECK_EQ(mkdir("d", 0755), 0);
	d = opendir("d");
	CHECK_EQ(rmdir("d"), 0);
	CHECK(!readdir(d));
}

static void user_lists(void)
{
	CHECK(!opendir("closed") && errno == EACCES);
	CHECK_EQ(access("search/f", F_OK), 0);
	CHECK(!opendir("search") && errno == EACCES);
	CHECK(opendir("list"));
	CHECK_ERRNO(access("list/f", F_OK), EACCES);
}

static void readdir_without_permission(void)
{
	ENTER();
	posix_need_root();
	CHECK_EQ(mkdir("closed", 0700), 0);
	CHECK_EQ(mkdir("search", 0711), 0);
	CHECK_EQ(mkdir("list", 0744), 0);
	posix_make("search/f", 1, 1);
	posix_make("list/f", 1, 1);
	posix_as_user(user_lists);
}

POSIX_MAIN(TAP_CASE(readdir_lists_everything_once), TAP_CASE(readdir_types_and_inodes),
	   TAP_CASE(readdir_seekdir_returns_to_telldir), TAP_CASE(readdir_positions_survive_removals),
	   TAP_CASE(readdir_while_thousands_come_and_go), TAP_CASE(readdir_remove_while_reading),
	   TAP_CASE(readdir_small_buffers_and_long_names), TAP_CASE(readdir_of_removed_directory_is_empty),
	   TAP_CASE(readdir_without_permission))
