/* SPDX-License-Identifier: BSD-3-Clause */
/* rename and renameat2: files and directories, NOREPLACE, EXCHANGE, WHITEOUT, link counts, "..", times, every errno. */
#include "posix.h"

#include <linux/fs.h>
#include <sys/sysmacros.h>

static void do_rename2(const char *from, const char *to, unsigned int flags)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, flags)) {
		if (errno == EINVAL || errno == ENOSYS)
			posix_unsupported("renameat2 flags %u: %s", flags, strerror(errno));
		printf("# renameat2 %s %s %u\n", from, to, flags);
		CHECK(!"renameat2");
	}
}

/* Directory, the inode number of its "..", link count. */
static void expect_dir(const char *path, ino_t ino, const char *parent, nlink_t nlink)
{
	char up[256];

	snprintf(up, sizeof(up), "%s/..", path);
	CHECK_EQ(posix_stat(path).st_ino, ino);
	CHECK_EQ(posix_stat(up).st_ino, posix_stat(parent).st_ino);
	CHECK_EQ(posix_stat(path).st_nlink, nlink);
}

static void rename_file_keeps_inode(void)
{
	struct stat before;
	int fd;

	ENTER();
	posix_make("a", 100, 1);
	before = posix_stat("a");
	fd = posix_open("a", O_RDWR, 0);
	CHECK_EQ(rename("a", "b"), 0);
	CHECK(!posix_exists("a"));
	CHECK_EQ(posix_stat("b").st_ino, before.st_ino);
	CHECK_EQ(pwrite(fd, "x", 1, 100), 1);
	CHECK_EQ(posix_stat("b").st_size, 101);
	CHECK(!posix_time_cmp(before.st_mtim, before.st_mtim));
}

static void rename_over_file_replaces_it(void)
{
	struct stat st;
	int fd;

	ENTER();
	posix_make("a", 100, 1);
	posix_make("b", 5000, 2);
	fd = posix_open("b", O_RDWR, 0);
	CHECK_EQ(rename("a", "b"), 0);
	CHECK_EQ(posix_stat("b").st_size, 100);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_nlink, 0);
	posix_expect(fd, 0, 5000, 2, 0);
	CHECK_EQ(symlink("b", "l"), 0);
	CHECK_EQ(mkfifo("p", 0644), 0);
	CHECK_EQ(rename("l", "p"), 0);
	CHECK(S_ISLNK(posix_stat("p").st_mode));
	CHECK_EQ(rename("b", "p"), 0);
	CHECK(S_ISREG(posix_stat("p").st_mode));
}

static void rename_of_hard_links_to_each_other_does_nothing(void)
{
	ENTER();
	posix_make("a", 1, 1);
	CHECK_EQ(link("a", "b"), 0);
	CHECK_EQ(rename("a", "b"), 0);
	CHECK(posix_exists("a") && posix_exists("b"));
	CHECK_EQ(rename("a", "a"), 0);
	CHECK_EQ(posix_stat("a").st_nlink, 2);
}

static void rename_directory_across_directories(void)
{
	ino_t ino;

	ENTER();
	CHECK_EQ(mkdir("p", 0755), 0);
	CHECK_EQ(mkdir("q", 0755), 0);
	CHECK_EQ(mkdir("p/d", 0755), 0);
	CHECK_EQ(mkdir("p/d/sub", 0755), 0);
	posix_make("p/d/f", 10, 1);
	ino = posix_stat("p/d").st_ino;
	CHECK_EQ(rename("p/d", "q/e"), 0);
	CHECK(!posix_exists("p/d"));
	expect_dir("q/e", ino, "q", 3);
	CHECK_EQ(posix_stat("p").st_nlink, 2);
	CHECK_EQ(posix_stat("q").st_nlink, 3);
	CHECK_EQ(posix_stat("q/e/f").st_size, 10);
	CHECK_EQ(posix_stat("q/e/sub/..").st_ino, ino);
}

static void rename_over_empty_directory(void)
{
	ino_t ino;

	ENTER();
	CHECK_EQ(mkdir("p", 0755), 0);
	CHECK_EQ(mkdir("q", 0755), 0);
	CHECK_EQ(mkdir("p/d", 0755), 0);
	CHECK_EQ(mkdir("q/e", 0755), 0);
	posix_make("p/d/f", 10, 1);
	ino = posix_stat("p/d").st_ino;
	CHECK_EQ(rename("p/d", "q/e"), 0);
	expect_dir("q/e", ino, "q", 2);
	CHECK_EQ(posix_stat("p").st_nlink, 2);
	CHECK_EQ(posix_stat("q").st_nlink, 3);
	CHECK_EQ(mkdir("q/x", 0755), 0);
	CHECK_EQ(rename("q/e", "q/x"), 0);
	expect_dir("q/x", ino, "q", 2);
	CHECK_EQ(posix_stat("q").st_nlink, 3);
}

static void rename_errors(void)
{
	ENTER();
	posix_make("f", 1, 1);
	CHECK_EQ(mkdir("d", 0755), 0);
	CHECK_EQ(mkdir("d/e", 0755), 0);
	CHECK_EQ(mkdir("full", 0755), 0);
	posix_make("full/f", 1, 1);
	CHECK_EQ(mkdir("empty", 0755), 0);
	CHECK_ERRNO(rename("no", "x"), ENOENT);
	CHECK_ERRNO(rename("f", "no/x"), ENOENT);
	CHECK_ERRNO(rename("f", ""), ENOENT);
	CHECK_ERRNO(rename("f/x", "y"), ENOTDIR);
	CHECK_ERRNO(rename("f", "f/x"), ENOTDIR);
	CHECK_ERRNO(rename("d", "f"), ENOTDIR);
	CHECK_ERRNO(rename("f", "d"), EISDIR);
	CHECK_ERRNO(rename("f", "empty"), EISDIR);
	CHECK_ERRNO(rename("empty", "full"), ENOTEMPTY);
	CHECK_ERRNO(rename("d", "d/e/x"), EINVAL);
	CHECK_ERRNO(rename("d", "d/x"), EINVAL);
	CHECK_ERRNO(rename("d/e", "d"), ENOTEMPTY);
	CHECK_ERRNO(rename("d/.", "x"), EBUSY);
	CHECK_ERRNO(rename("d/..", "x"), EBUSY);
	CHECK_ERRNO(rename("f", "g/"), ENOTDIR);
	CHECK_EQ(rename("d/", "moved/"), 0);
}

static void rename_noreplace(void)
{
	ENTER();
	posix_make("a", 1, 1);
	posix_make("b", 2, 1);
	CHECK_EQ(mkdir("d", 0755), 0);
	do_rename2("a", "c", RENAME_NOREPLACE);
	CHECK_ERRNO(renameat2(AT_FDCWD, "c", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST);
	CHECK_ERRNO(renameat2(AT_FDCWD, "c", AT_FDCWD, "d", RENAME_NOREPLACE), EEXIST);
	CHECK_ERRNO(renameat2(AT_FDCWD, "c", AT_FDCWD, "c", RENAME_NOREPLACE), EEXIST);
	CHECK_EQ(posix_stat("b").st_size, 2);
	do_rename2("d", "e", RENAME_NOREPLACE);
}

static void rename_exchange_files(void)
{
	ENTER();
	CHECK_EQ(mkdir("d", 0755), 0);
	posix_make("a", 1, 1);
	posix_make("d/b", 2, 1);
	do_rename2("a", "d/b", RENAME_EXCHANGE);
	CHECK_EQ(posix_stat("a").st_size, 2);
	CHECK_EQ(posix_stat("d/b").st_size, 1);
	CHECK_EQ(posix_stat("a").st_nlink, 1);
	CHECK_ERRNO(renameat2(AT_FDCWD, "a", AT_FDCWD, "no", RENAME_EXCHANGE), ENOENT);
	CHECK_ERRNO(renameat2(AT_FDCWD, "a", AT_FDCWD, "d/b", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL);
}

static void rename_exchange_directory_and_file_across(void)
{
	ino_t dir, file;

	ENTER();
	CHECK_EQ(mkdir("p", 0755), 0);
	CHECK_EQ(mkdir("q", 0755), 0);
	CHECK_EQ(mkdir("p/d", 0755), 0);
	CHECK_EQ(mkdir("p/d/sub", 0755), 0);
	posix_make("q/f", 7, 1);
	dir = posix_stat("p/d").st_ino;
	file = posix_stat("q/f").st_ino;
	do_rename2("p/d", "q/f", RENAME_EXCHANGE);
	expect_dir("q/f", dir, "q", 3);
	CHECK_EQ(posix_stat("p/d").st_ino, file);
	CHECK_EQ(posix_stat("p").st_nlink, 2);
	CHECK_EQ(posix_stat("q").st_nlink, 3);
	do_rename2("p/d", "q/f", RENAME_EXCHANGE);
	expect_dir("p/d", dir, "p", 3);
	CHECK_EQ(posix_stat("q").st_nlink, 2);
	CHECK_EQ(posix_stat("q/f").st_size, 7);
}

static void rename_exchange_directories(void)
{
	ino_t d, e;

	ENTER();
	CHECK_EQ(mkdir("p", 0755), 0);
	CHECK_EQ(mkdir("q", 0755), 0);
	CHECK_EQ(mkdir("p/d", 0755), 0);
	CHECK_EQ(mkdir("q/e", 0755), 0);
	posix_make("q/e/f", 1, 1);
	d = posix_stat("p/d").st_ino;
	e = posix_stat("q/e").st_ino;
	do_rename2("p/d", "q/e", RENAME_EXCHANGE);
	expect_dir("p/d", e, "p", 2);
	expect_dir("q/e", d, "q", 2);
	CHECK(posix_exists("p/d/f"));
	CHECK_ERRNO(renameat2(AT_FDCWD, "p", AT_FDCWD, "p/d", RENAME_EXCHANGE), EINVAL);
	CHECK_ERRNO(renameat2(AT_FDCWD, "p/d", AT_FDCWD, "p", RENAME_EXCHANGE), EINVAL);
}

/* FUSE does not pass it on, so its absence is accepted everywhere. */
static void rename_whiteout_leaves_device(void)
{
	struct stat st;

	ENTER();
	posix_need_root();
	posix_make("a", 5, 1);
	if (renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_WHITEOUT)) {
		CHECK(errno == EINVAL || errno == EOPNOTSUPP);
		tap_skip("RENAME_WHITEOUT does not get to the file system");
	}
	st = posix_stat("a");
	CHECK(S_ISCHR(st.st_mode));
	CHECK_EQ(st.st_rdev, makedev(0, 0));
	CHECK_EQ(posix_stat("b").st_size, 5);
}

static void rename_updates_times(void)
{
	struct stat p, q, f;

	ENTER();
	CHECK_EQ(mkdir("p", 0755), 0);
	CHECK_EQ(mkdir("q", 0755), 0);
	posix_make("p/f", 1, 1);
	p = posix_stat("p");
	q = posix_stat("q");
	f = posix_stat("p/f");
	posix_tick();
	CHECK_EQ(rename("p/f", "q/f"), 0);
	CHECK(posix_time_cmp(posix_stat("p").st_mtim, p.st_mtim) > 0);
	CHECK(posix_time_cmp(posix_stat("q").st_mtim, q.st_mtim) > 0);
	CHECK(posix_time_cmp(posix_stat("q/f").st_ctim, f.st_ctim) > 0);
	CHECK(!posix_time_cmp(posix_stat("q/f").st_mtim, f.st_mtim));
}

static void user_renames(void)
{
	CHECK_ERRNO(rename("ro/f", "g"), EACCES);
	CHECK_ERRNO(rename("mine", "ro/g"), EACCES);
	CHECK_ERRNO(rename("sticky/roots", "sticky/x"), EPERM);
	CHECK_ERRNO(rename("mine", "sticky/roots"), EPERM);
	CHECK_ERRNO(unlink("sticky/roots"), EPERM);
	CHECK_ERRNO(rmdir("sticky/rootdir"), EPERM);
	CHECK_EQ(rename("mine", "sticky/mine"), 0);
	CHECK_EQ(rename("sticky/mine", "sticky/mine2"), 0);
	CHECK_EQ(unlink("sticky/mine2"), 0);
	/* A directory's ".." changes: it must be writable itself. */
	CHECK_ERRNO(rename("rootdir", "to/rootdir"), EACCES);
	CHECK_EQ(rename("rootdir", "rootdir2"), 0);
}

static void rename_without_permission_and_sticky(void)
{
	ENTER();
	posix_need_root();
	CHECK_EQ(mkdir("ro", 0755), 0);
	posix_make("ro/f", 1, 1);
	posix_make("mine", 1, 1);
	CHECK_EQ(chown("mine", USER_ID, USER_ID), 0);
	umask(0);
	CHECK_EQ(mkdir("sticky", 01777), 0);
	CHECK_EQ(mkdir("to", 0777), 0);
	CHECK_EQ(mkdir("rootdir", 0755), 0);
	CHECK_EQ(mkdir("sticky/rootdir", 0755), 0);
	posix_make("sticky/roots", 1, 1);
	CHECK_EQ(chmod("sticky/roots", 0666), 0);
	posix_as_user(user_renames);
}

static void rename_many_back_and_forth(void)
{
	char a[32], b[32];

	ENTER();
	CHECK_EQ(mkdir("p", 0755), 0);
	CHECK_EQ(mkdir("q", 0755), 0);
	for (int i = 0; i < 300; i++) {
		snprintf(a, sizeof(a), "p/%d", i);
		posix_make(a, (size_t)i, 1);
	}
	for (int i = 0; i < 300; i++) {
		snprintf(a, sizeof(a), "p/%d", i);
		snprintf(b, sizeof(b), "q/%d", i % 2 ? i : i / 2);
		CHECK_EQ(rename(a, b), 0);
	}
	for (int i = 0; i < 300; i++) {
		snprintf(b, sizeof(b), "q/%d", i);
		snprintf(a, sizeof(a), "p/%d", i);
		CHECK(!posix_exists(a));
		CHECK_EQ(posix_exists(b), i < 150 || i % 2);
	}
	CHECK_EQ(rmdir("p"), 0);
}

static void rename_race_keeps_one_tree(void)
{
	int status;

	ENTER();
	CHECK_EQ(mkdir("a", 0755), 0);
	CHECK_EQ(mkdir("b", 0755), 0);
	for (int id = 0; id < 3; id++) {
		if (fork())
			continue;
		for (int i = 0; i < 400; i++) {
			rename(id ? "a" : "b", id ? "b/x" : "a/x");
			rename(id ? "b/x" : "a/x", id ? "a" : "b");
		}
		_exit(0);
	}
	for (int id = 0; id < 3; id++) {
		CHECK(wait(&status) > 0);
		CHECK_EQ(status, 0);
	}
	for (int i = 0; i < 3; i++) {
		rmdir("a/x");
		rmdir("b/x");
		rmdir("a");
		rmdir("b");
	}
	CHECK(!posix_exists("a") && !posix_exists("b"));
	CHECK_EQ(posix_stat(".").st_nlink, 2);
}

POSIX_MAIN(TAP_CASE(rename_file_keeps_inode), TAP_CASE(rename_over_file_replaces_it),
	   TAP_CASE(rename_of_hard_links_to_each_other_does_nothing), TAP_CASE(rename_directory_across_directories),
	   TAP_CASE(rename_over_empty_directory), TAP_CASE(rename_errors), TAP_CASE(rename_noreplace),
	   TAP_CASE(rename_exchange_files), TAP_CASE(rename_exchange_directory_and_file_across),
	   TAP_CASE(rename_exchange_directories), TAP_CASE(rename_whiteout_leaves_device), TAP_CASE(rename_updates_times),
	   TAP_CASE(rename_without_permission_and_sticky), TAP_CASE(rename_many_back_and_forth),
	   TAP_CASE(rename_race_keeps_one_tree))
