/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chattr: immutable and append-only. Over FUSE with cached opens an open for writing may succeed; then the first change fails:
 * both are EPERM, and the file does not change.
 */
#include "posix.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

static void set_flags(const char *path, int flags)
{
	int fd = posix_open(path, O_RDONLY, 0), old = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &old) && (errno == ENOTTY || errno == EOPNOTSUPP))
		posix_unsupported("FS_IOC_GETFLAGS: %s", strerror(errno));
	flags |= old & ~(FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL);
	if (ioctl(fd, FS_IOC_SETFLAGS, &flags)) {
		if (errno == ENOTTY || errno == EOPNOTSUPP)
			posix_unsupported("FS_IOC_SETFLAGS: %s", strerror(errno));
		CHECK(!"FS_IOC_SETFLAGS");
	}
	close(fd);
}

static int get_flags(const char *path)
{
	int fd = posix_open(path, O_RDONLY, 0), flags = 0;

	CHECK_EQ(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
	close(fd);
	return flags;
}

/* Opens with flags and writes one byte at off: one of the two must be EPERM. */
static void expect_no_write(const char *path, int flags, off_t off)
{
	int fd = open(path, flags);

	if (fd < 0) {
		CHECK_EQ(errno, EPERM);
		return;
	}
	CHECK_ERRNO(pwrite(fd, "x", 1, off), EPERM);
	close(fd);
}

static void flags_set_get(void)
{
	ENTER();
	posix_need_root();
	posix_make("f", 1, 1);
	CHECK_EQ(mkdir("d", 0755), 0);
	set_flags("f", FS_NODUMP_FL | FS_NOATIME_FL);
	CHECK_EQ(get_flags("f") & (FS_NODUMP_FL | FS_NOATIME_FL | FS_IMMUTABLE_FL), FS_NODUMP_FL | FS_NOATIME_FL);
	set_flags("d", FS_NODUMP_FL);
	CHECK_EQ(get_flags("d") & FS_NODUMP_FL, FS_NODUMP_FL);
	set_flags("f", 0);
	CHECK_EQ(get_flags("f") & FS_NODUMP_FL, 0);
}

static void flags_immutable_file(void)
{
	int fd;

	ENTER();
	posix_need_root();
	posix_make("f", 100, 1);
	set_flags("f", FS_IMMUTABLE_FL);
	expect_no_write("f", O_RDWR, 0);
	expect_no_write("f", O_RDWR | O_APPEND, 0);
	fd = open("f", O_WRONLY | O_TRUNC);
	CHECK(fd < 0 && errno == EPERM);
	CHECK_ERRNO(truncate("f", 10), EPERM);
	CHECK_ERRNO(unlink("f"), EPERM);
	CHECK_ERRNO(rename("f", "g"), EPERM);
	CHECK_ERRNO(link("f", "g"), EPERM);
	CHECK_ERRNO(chmod("f", 0600), EPERM);
	CHECK_ERRNO(chown("f", 1, 1), EPERM);
	CHECK_ERRNO(utimensat(AT_FDCWD, "f", (struct timespec[]){ { 1, 0 }, { 1, 0 } }, 0), EPERM);
	CHECK_EQ(setxattr("f", "user.a", "x", 1, 0), -1);
	CHECK(errno == EPERM || errno == EOPNOTSUPP);
	posix_make("g", 1, 1);
	CHECK_ERRNO(rename("g", "f"), EPERM);
	fd = posix_open("f", O_RDONLY, 0);
	posix_expect(fd, 0, 100, 1, 0);
	close(fd);
	CHECK_EQ(posix_stat("f").st_mode, S_IFREG | 0644);
	set_flags("f", 0);
	CHECK_EQ(truncate("f", 10), 0);
	CHECK_EQ(unlink("f"), 0);
}

static void flags_immutable_directory(void)
{
	ENTER();
	posix_need_root();
	CHECK_EQ(mkdir("d", 0755), 0);
	posix_make("d/f", 10, 1);
	set_flags("d", FS_IMMUTABLE_FL);
	CHECK_ERRNO(open("d/new", O_CREAT | O_RDWR, 0644), EPERM);
	CHECK_ERRNO(mkdir("d/new", 0755), EPERM);
	CHECK_ERRNO(symlink("x", "d/new"), EPERM);
	CHECK_ERRNO(unlink("d/f"), EPERM);
	CHECK_ERRNO(rename("d/f", "g"), EPERM);
	CHECK_ERRNO(rename("d", "e"), EPERM);
	CHECK_ERRNO(rmdir("d"), EPERM);
	CHECK_EQ(truncate("d/f", 5), 0);
	set_flags("d", 0);
	CHECK_EQ(unlink("d/f"), 0);
	CHECK_EQ(rmdir("d"), 0);
}

static void flags_append_file(void)
{
	int fd;

	ENTER();
	posix_need_root();
	posix_make("f", 100, 1);
	set_flags("f", FS_APPEND_FL);
	expect_no_write("f", O_RDWR, 0);
	fd = posix_open("f", O_WRONLY | O_APPEND, 0);
	CHECK_EQ(write(fd, "more", 4), 4);
	CHECK_EQ(posix_stat("f").st_size, 104);
	CHECK_ERRNO(ftruncate(fd, 10), EPERM);
	CHECK_ERRNO(truncate("f", 10), EPERM);
	CHECK_ERRNO(unlink("f"), EPERM);
	CHECK_ERRNO(rename("f", "g"), EPERM);
	CHECK_ERRNO(link("f", "g"), EPERM);
	CHECK_ERRNO(chmod("f", 0600), EPERM);
	close(fd);
	set_flags("f", 0);
	CHECK_EQ(unlink("f"), 0);
}

static void flags_append_directory(void)
{
	ENTER();
	posix_need_root();
	CHECK_EQ(mkdir("d", 0755), 0);
	posix_make("d/f", 10, 1);
	set_flags("d", FS_APPEND_FL);
	posix_make("d/new", 1, 1);
	CHECK_EQ(mkdir("d/sub", 0755), 0);
	CHECK_ERRNO(unlink("d/f"), EPERM);
	CHECK_ERRNO(rmdir("d/sub"), EPERM);
	CHECK_ERRNO(rename("d/f", "d/g"), EPERM);
	set_flags("d", 0);
	CHECK_EQ(unlink("d/f"), 0);
}

static void user_sets_flags(void)
{
	int fd = posix_open("mine", O_RDONLY, 0), flags = FS_IMMUTABLE_FL, roots = posix_open("roots", O_RDONLY, 0);

	CHECK_ERRNO(ioctl(fd, FS_IOC_SETFLAGS, &flags), EPERM);
	flags = FS_NODUMP_FL;
	CHECK_EQ(ioctl(roots, FS_IOC_SETFLAGS, &flags), -1);
	CHECK(errno == EPERM || errno == EACCES);
}

static void flags_by_user_eperm(void)
{
	ENTER();
	posix_need_root();
	posix_make("mine", 1, 1);
	posix_make("roots", 1, 1);
	CHECK_EQ(chown("mine", USER_ID, USER_ID), 0);
	set_flags("roots", FS_NODUMP_FL);
	posix_as_user(user_sets_flags);
	CHECK_EQ(get_flags("mine") & FS_IMMUTABLE_FL, 0);
}

POSIX_MAIN(TAP_CASE(flags_set_get), TAP_CASE(flags_immutable_file), TAP_CASE(flags_immutable_directory),
	   TAP_CASE(flags_append_file), TAP_CASE(flags_append_directory), TAP_CASE(flags_by_user_eperm))
