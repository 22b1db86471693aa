/* SPDX-License-Identifier: BSD-3-Clause */
/* mkdir, rmdir, link, unlink, symlink, readlink, mknod: results, link counts, times, every errno. */
#include "posix.h"

#include <limits.h>
#include <sys/sysmacros.h>

static void mkdir_link_counts_and_modes(void)
{
	ENTER();
	CHECK_EQ(mkdir("d", 0755), 0);
	CHECK_EQ(posix_stat("d").st_mode, S_IFDIR | 0755);
	umask(077);
	CHECK_EQ(mkdir("d/a", 01777), 0);
	CHECK_EQ(posix_stat("d/a").st_mode, S_IFDIR | 01700);
	CHECK_EQ(mkdir("d/b", 0755), 0);
	posix_make("d/f", 1, 1);
	CHECK_EQ(posix_stat("d").st_nlink, 4);
	CHECK_EQ(posix_stat("d/a/..").st_ino, posix_stat("d").st_ino);
	CHECK_EQ(posix_stat("d/.").st_ino, posix_stat("d").st_ino);
	CHECK_EQ(rmdir("d/a"), 0);
	CHECK_EQ(posix_stat("d").st_nlink, 3);
}

static void mkdir_errors(void)
{
	ENTER();
	posix_make("f", 1, 1);
	CHECK_EQ(symlink("nowhere", "l"), 0);
	CHECK_EQ(mkdir("d", 0755), 0);
	CHECK_ERRNO(mkdir("d", 0755), EEXIST);
	CHECK_ERRNO(mkdir("f", 0755), EEXIST);
	CHECK_ERRNO(mkdir("l", 0755), EEXIST);
	CHECK_ERRNO(mkdir("no/x", 0755), ENOENT);
	CHECK_ERRNO(mkdir("f/x", 0755), ENOTDIR);
	CHECK_ERRNO(mkdir("", 0755), ENOENT);
	CHECK_ERRNO(mkdir(".", 0755), EEXIST);
	CHECK_EQ(mkdir("slash/", 0755), 0);
}

static void rmdir_errors(void)
{
	ENTER();
	posix_make("f", 1, 1);
	CHECK_EQ(mkdir("d", 0755), 0);
	posix_make("d/x", 1, 1);
	CHECK_ERRNO(rmdir("d"), ENOTEMPTY);
	CHECK_ERRNO(rmdir("f"), ENOTDIR);
	CHECK_ERRNO(rmdir("no"), ENOENT);
	CHECK_ERRNO(rmdir("d/."), EINVAL);
	CHECK_ERRNO(rmdir("d/.."), ENOTEMPTY);
	CHECK_EQ(symlink("d", "l"), 0);
	CHECK_ERRNO(rmdir("l"), ENOTDIR);
	CHECK_EQ(unlink("d/x"), 0);
	CHECK_EQ(rmdir("d"), 0);
	CHECK_ERRNO(rmdir("d"), ENOENT);
}

static void rmdir_of_open_directory(void)
{
	struct stat st;
	int fd;

	ENTER();
	CHECK_EQ(mkdir("d", 0755), 0);
	fd = posix_open("d", O_RDONLY | O_DIRECTORY, 0);
	CHECK_EQ(rmdir("d"), 0);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_nlink, 0);
	CHECK_ERRNO(openat(fd, "new", O_CREAT | O_RDWR, 0644), ENOENT);
	CHECK_ERRNO(mkdirat(fd, "new", 0755), ENOENT);
	CHECK_EQ(mkdir("d", 0755), 0);
	CHECK(posix_stat("d").st_ino != st.st_ino || !fstat(fd, &st));
}

static void unlink_errors(void)
{
	ENTER();
	posix_make("f", 1, 1);
	CHECK_EQ(mkdir("d", 0755), 0);
	CHECK_ERRNO(unlink("d"), EISDIR);
	CHECK_ERRNO(unlink("no"), ENOENT);
	CHECK_ERRNO(unlink("f/x"), ENOTDIR);
	CHECK_ERRNO(unlink("f/"), ENOTDIR);
	CHECK_EQ(symlink("f", "l"), 0);
	CHECK_EQ(unlink("l"), 0);
	CHECK(posix_exists("f"));
	CHECK_EQ(unlink("f"), 0);
	CHECK_ERRNO(unlink("f"), ENOENT);
}

static void link_counts_and_times(void)
{
	struct stat before;
	int fd;

	ENTER();
	posix_make("f", 100, 1);
	before = posix_stat("f");
	fd = posix_open("f", O_RDWR, 0);
	posix_tick();
	CHECK_EQ(link("f", "g"), 0);
	CHECK_EQ(posix_stat("g").st_ino, before.st_ino);
	CHECK_EQ(posix_stat("f").st_nlink, 2);
	CHECK(posix_time_cmp(posix_stat("f").st_ctim, before.st_ctim) > 0);
	CHECK(!posix_time_cmp(posix_stat("f").st_mtim, before.st_mtim));
	CHECK_EQ(pwrite(fd, "shared", 6, 0), 6);
	CHECK_EQ(unlink("f"), 0);
	CHECK_EQ(posix_stat("g").st_nlink, 1);
	CHECK_EQ(posix_stat("g").st_size, 100);
}

static void link_errors(void)
{
	ENTER();
	posix_make("f", 1, 1);
	posix_make("g", 1, 1);
	CHECK_EQ(mkdir("d", 0755), 0);
	CHECK_ERRNO(link("f", "g"), EEXIST);
	CHECK_ERRNO(link("d", "x"), EPERM);
	CHECK_ERRNO(link("no", "x"), ENOENT);
	CHECK_ERRNO(link("f", "no/x"), ENOENT);
	CHECK_ERRNO(link("f", "g/x"), ENOTDIR);
	if (posix_stat("/dev").st_dev != posix_stat("f").st_dev)
		CHECK_ERRNO(link("f", "/dev/posix-names-x"), EXDEV);
	CHECK_EQ(symlink("f", "l"), 0);
	CHECK_EQ(link("l", "l2"), 0);
	CHECK(S_ISLNK(posix_stat("l2").st_mode));
	CHECK_EQ(linkat(AT_FDCWD, "l", AT_FDCWD, "f2", AT_SYMLINK_FOLLOW), 0);
	CHECK(S_ISREG(posix_stat("f2").st_mode));
}

static void symlink_keeps_its_target(void)
{
	char target[PATH_MAX + 1], buf[PATH_MAX + 1];
	struct stat st;

	ENTER();
	for (int len = 1; len < 4096; len += len < 100 ? 1 : 333) {
		memset(target, 'a', (size_t)len);
		target[len] = '\0';
		CHECK_EQ(symlink(target, "l"), 0);
		st = posix_stat("l");
		CHECK(S_ISLNK(st.st_mode));
		CHECK_EQ(st.st_size, len);
		CHECK_EQ(readlink("l", buf, sizeof(buf)), len);
		CHECK(!memcmp(target, buf, (size_t)len));
		CHECK_EQ(readlink("l", buf, 1), 1);
		CHECK_EQ(unlink("l"), 0);
	}
	memset(target, 'a', 4095);
	target[4095] = '\0';
	CHECK_EQ(symlink(target, "longest"), 0);
	CHECK_EQ(readlink("longest", buf, sizeof(buf)), 4095);
	memset(target, 'a', PATH_MAX);
	target[PATH_MAX] = '\0';
	CHECK_ERRNO(symlink(target, "l"), ENAMETOOLONG);
}

static void symlink_errors(void)
{
	char buf[10];

	ENTER();
	posix_make("f", 1, 1);
	CHECK_ERRNO(symlink("x", "f"), EEXIST);
	CHECK_ERRNO(symlink("", "l"), ENOENT);
	CHECK_ERRNO(symlink("x", "no/l"), ENOENT);
	CHECK_ERRNO(readlink("f", buf, sizeof(buf)), EINVAL);
	CHECK_ERRNO(readlink("no", buf, sizeof(buf)), ENOENT);
	CHECK_EQ(symlink("gone", "l"), 0);
	CHECK_ERRNO(open("l", O_RDONLY), ENOENT);
	CHECK_ERRNO(chdir("l"), ENOENT);
}

static void mknod_all_kinds(void)
{
	dev_t dev = makedev(0x123, 0x45678);

	ENTER();
	posix_need_root();
	CHECK_EQ(mknod("reg", S_IFREG | 0640, 0), 0);
	CHECK_EQ(mknod("fifo", S_IFIFO | 0600, 0), 0);
	CHECK_EQ(mknod("sock", S_IFSOCK | 0600, 0), 0);
	CHECK_EQ(mknod("chr", S_IFCHR | 0600, dev), 0);
	CHECK_EQ(mknod("blk", S_IFBLK | 0660, makedev(7, 3)), 0);
	CHECK_EQ(posix_stat("reg").st_mode, S_IFREG | 0640);
	CHECK_EQ(posix_stat("fifo").st_mode, S_IFIFO | 0600);
	CHECK_EQ(posix_stat("sock").st_mode, S_IFSOCK | 0600);
	CHECK_EQ(posix_stat("chr").st_mode, S_IFCHR | 0600);
	CHECK_EQ(posix_stat("chr").st_rdev, dev);
	CHECK_EQ(posix_stat("blk").st_rdev, makedev(7, 3));
	CHECK_ERRNO(mknod("reg", S_IFREG | 0640, 0), EEXIST);
	CHECK_ERRNO(mknod("dir", S_IFDIR | 0755, 0), EPERM);
	CHECK_ERRNO(mknod("no/x", S_IFIFO | 0600, 0), ENOENT);
	CHECK_EQ(link("chr", "chr2"), 0);
	CHECK_EQ(posix_stat("chr2").st_rdev, dev);
	for (const char *const *n = (const char *const[]){ "reg", "fifo", "sock", "chr", "blk", "chr2", NULL }; *n; n++)
		CHECK_EQ(unlink(*n), 0);
}

static void user_mknods(void)
{
	CHECK_ERRNO(mknod("chr", S_IFCHR | 0600, makedev(1, 3)), EPERM);
	CHECK_EQ(mknod("fifo", S_IFIFO | 0600, 0), 0);
	CHECK_ERRNO(mkdir("rodir/x", 0755), EACCES);
	CHECK_ERRNO(rmdir("rodir/d"), EACCES);
	CHECK_ERRNO(unlink("rodir/f"), EACCES);
	CHECK_ERRNO(link("rodir/f", "rodir/g"), EACCES);
	CHECK_ERRNO(symlink("x", "rodir/l"), EACCES);
}

static void names_without_permission(void)
{
	ENTER();
	posix_need_root();
	CHECK_EQ(mkdir("rodir", 0755), 0);
	posix_make("rodir/f", 1, 1);
	CHECK_EQ(chmod("rodir/f", 0666), 0);
	CHECK_EQ(mkdir("rodir/d", 0755), 0);
	posix_as_user(user_mknods);
}

static void names_change_times_of_their_directory(void)
{
	struct stat before, after;

	ENTER();
	CHECK_EQ(mkdir("d", 0755), 0);
	for (int op = 0; op < 6; op++) {
		before = posix_stat("d");
		posix_tick();
		switch (op) {
		case 0:
			posix_make("d/f", 1, 1);
			break;
		case 1:
			CHECK_EQ(mkdir("d/s", 0755), 0);
			break;
		case 2:
			CHECK_EQ(symlink("x", "d/l"), 0);
			break;
		case 3:
			CHECK_EQ(rename("d/f", "d/g"), 0);
			break;
		case 4:
			CHECK_EQ(unlink("d/g"), 0);
			break;
		default:
			CHECK_EQ(rmdir("d/s"), 0);
		}
		after = posix_stat("d");
		CHECK(posix_time_cmp(after.st_mtim, before.st_mtim) > 0);
		CHECK(posix_time_cmp(after.st_ctim, before.st_ctim) > 0);
	}
}

static void names_of_any_bytes(void)
{
	char name[3] = "x";

	ENTER();
	for (int c = 1; c < 256; c++) {
		if (c == '/' || c == '.')
			continue;
		name[0] = (char)c;
		posix_make(name, (size_t)c, 1);
	}
	for (int c = 1; c < 256; c++) {
		if (c == '/' || c == '.')
			continue;
		name[0] = (char)c;
		CHECK_EQ(posix_stat(name).st_size, c);
		CHECK_EQ(unlink(name), 0);
	}
	CHECK_EQ(mkdir("...", 0755), 0);
	CHECK_EQ(mkdir("..a", 0755), 0);
	CHECK_EQ(mkdir("A", 0755), 0);
	CHECK_EQ(mkdir("a", 0755), 0);
}

static void names_negative_lookup_then_create(void)
{
	int fd;

	ENTER();
	for (int i = 0; i < 50; i++) {
		CHECK_ERRNO(access("f", F_OK), ENOENT);
		fd = posix_open("f", O_CREAT | O_EXCL | O_RDWR, 0644);
		close(fd);
		CHECK_EQ(access("f", F_OK), 0);
		CHECK_EQ(unlink("f"), 0);
		CHECK_ERRNO(access("f", F_OK), ENOENT);
		CHECK_EQ(mkdir("f", 0755), 0);
		CHECK(S_ISDIR(posix_stat("f").st_mode));
		CHECK_EQ(rmdir("f"), 0);
	}
}

POSIX_MAIN(TAP_CASE(mkdir_link_counts_and_modes), TAP_CASE(mkdir_errors), TAP_CASE(rmdir_errors),
	   TAP_CASE(rmdir_of_open_directory), TAP_CASE(unlink_errors), TAP_CASE(link_counts_and_times),
	   TAP_CASE(link_errors), TAP_CASE(symlink_keeps_its_target), TAP_CASE(symlink_errors), TAP_CASE(mknod_all_kinds),
	   TAP_CASE(names_without_permission), TAP_CASE(names_change_times_of_their_directory), TAP_CASE(names_of_any_bytes),
	   TAP_CASE(names_negative_lookup_then_create))
