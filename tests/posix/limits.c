/* SPDX-License-Identifier: BSD-3-Clause */
/* Lengths and numbers at their limits: names, paths, links, symlink chains, depths, file sizes. */
#include "posix.h"

#include <limits.h>
#include <sys/statvfs.h>

static void limits_name_of_255_bytes(void)
{
	char name[300];
	struct statvfs sv;

	ENTER();
	memset(name, 'n', 256);
	name[255] = '\0';
	posix_make(name, 1, 1);
	CHECK_EQ(posix_stat(name).st_size, 1);
	CHECK_EQ(rename(name, "f"), 0);
	CHECK_EQ(rename("f", name), 0);
	CHECK_EQ(link(name, "g"), 0);
	CHECK_EQ(unlink(name), 0);
	CHECK_EQ(symlink("x", name), 0);
	CHECK_EQ(unlink(name), 0);
	CHECK_EQ(mkdir(name, 0755), 0);
	CHECK_EQ(rmdir(name), 0);
	CHECK_EQ(statvfs(".", &sv), 0);
	CHECK_EQ(sv.f_namemax, 255);
	CHECK_EQ(pathconf(".", _PC_NAME_MAX), 255);
}

static void limits_name_of_256_bytes_enametoolong(void)
{
	char name[300];

	ENTER();
	posix_make("f", 1, 1);
	memset(name, 'n', 256);
	name[256] = '\0';
	CHECK_ERRNO(open(name, O_CREAT | O_RDWR, 0644), ENAMETOOLONG);
	CHECK_ERRNO(open(name, O_RDONLY), ENAMETOOLONG);
	CHECK_ERRNO(mkdir(name, 0755), ENAMETOOLONG);
	CHECK_ERRNO(rmdir(name), ENAMETOOLONG);
	CHECK_ERRNO(unlink(name), ENAMETOOLONG);
	CHECK_ERRNO(link("f", name), ENAMETOOLONG);
	CHECK_ERRNO(symlink("f", name), ENAMETOOLONG);
	CHECK_ERRNO(rename("f", name), ENAMETOOLONG);
	CHECK_ERRNO(rename(name, "f"), ENAMETOOLONG);
	CHECK_ERRNO(mkfifo(name, 0644), ENAMETOOLONG);
	CHECK_ERRNO(access(name, F_OK), ENAMETOOLONG);
}

/* n directories of `len` letters below one another, from the working directory; goes down into the last. */
static void go_down(int n, int len)
{
	char name[256];

	memset(name, 'd', (size_t)len);
	name[len] = '\0';
	for (int i = 0; i < n; i++) {
		CHECK_EQ(mkdir(name, 0755), 0);
		CHECK_EQ(chdir(name), 0);
	}
}

static void go_up(int n, int len)
{
	char name[256];

	memset(name, 'd', (size_t)len);
	name[len] = '\0';
	for (int i = 0; i < n; i++) {
		CHECK_EQ(chdir(".."), 0);
		CHECK_EQ(rmdir(name), 0);
	}
}

static void limits_path_of_path_max(void)
{
	char path[PATH_MAX + 10];
	int at = 0;

	ENTER();
	while (PATH_MAX - 1 - at > 255) {
		memset(path + at, 'd', 200);
		path[at + 200] = '\0';
		CHECK_EQ(mkdir(path, 0755), 0);
		path[at + 200] = '/';
		at += 201;
	}
	memset(path + at, 'f', (size_t)(PATH_MAX - 1 - at));
	path[PATH_MAX - 1] = '\0';
	posix_make(path, 10, 1);
	CHECK_EQ(posix_stat(path).st_size, 10);
	path[PATH_MAX - 1] = 'f';
	path[PATH_MAX] = '\0';
	CHECK_ERRNO(open(path, O_RDONLY), ENAMETOOLONG);
	CHECK_ERRNO(access(path, F_OK), ENAMETOOLONG);
}

static void limits_depth_beyond_path_max(void)
{
	ENTER();
	go_down(40, 250);
	posix_make("deep", 5, 1);
	CHECK_EQ(posix_stat("deep").st_size, 5);
	CHECK_EQ(unlink("deep"), 0);
	go_up(40, 250);
}

static void limits_depth_of_a_thousand(void)
{
	ENTER();
	go_down(1000, 1);
	posix_make("deep", 5, 1);
	CHECK_EQ(unlink("deep"), 0);
	go_up(1000, 1);
}

static void limits_symlink_loop_eloop(void)
{
	char name[16], target[16];

	ENTER();
	CHECK_EQ(symlink("a", "b"), 0);
	CHECK_EQ(symlink("b", "a"), 0);
	CHECK_EQ(symlink("self", "self"), 0);
	CHECK_ERRNO(open("a", O_RDONLY), ELOOP);
	CHECK_ERRNO(open("self", O_RDWR | O_CREAT, 0644), ELOOP);
	CHECK_ERRNO(chdir("a/x"), ELOOP);
	CHECK_ERRNO(truncate("a", 0), ELOOP);
	posix_make("s0", 3, 1);
	for (int i = 1; i <= 41; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		snprintf(target, sizeof(target), "s%d", i - 1);
		CHECK_EQ(symlink(target, name), 0);
	}
	close(posix_open("s40", O_RDONLY, 0));
	CHECK_ERRNO(open("s41", O_RDONLY), ELOOP);
}

static void limits_many_links(void)
{
	char name[32];
	int n;

	ENTER();
	posix_make("f", 1, 1);
	for (n = 1; n < 3000; n++) {
		snprintf(name, sizeof(name), "l%d", n);
		if (link("f", name))
			break;
	}
	if (n < 3000)
		CHECK_EQ(errno, EMLINK);
	CHECK(n >= 1000);
	CHECK_EQ(posix_stat("f").st_nlink, n);
	while (--n) {
		snprintf(name, sizeof(name), "l%d", n);
		CHECK_EQ(unlink(name), 0);
	}
	CHECK_EQ(posix_stat("f").st_nlink, 1);
}

static void limits_many_subdirectories(void)
{
	nlink_t nlink;
	char name[32];

	ENTER();
	CHECK_EQ(mkdir("d", 0755), 0);
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "d/%d", i);
		CHECK_EQ(mkdir(name, 0755), 0);
	}
	nlink = posix_stat("d").st_nlink;
	/* 1 says "too many to count", as ext4 does above 65000. */
	CHECK(nlink == 2002 || nlink == 1);
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "d/%d", i);
		CHECK_EQ(rmdir(name), 0);
	}
	CHECK_EQ(posix_stat("d").st_nlink, 2);
}

static void limits_file_too_large_efbig(void)
{
	off_t max = INT64_MAX;
	char c = 'c';
	ssize_t n;
	int fd;

	ENTER();
	fd = posix_open("f", O_CREAT | O_RDWR, 0644);
	n = pwrite(fd, &c, 1, max);
	CHECK(n == -1 && (errno == EFBIG || errno == EINVAL || errno == EOVERFLOW));
	n = pwrite(fd, &c, 1, max - 1);
	CHECK((n == -1 && errno == EFBIG) || n == 1);
	if (n == 1)
		return;
	CHECK_ERRNO(ftruncate(fd, max), EFBIG);
	CHECK_ERRNO(truncate("f", max), EFBIG);
	CHECK_EQ(posix_stat("f").st_size, 0);
	CHECK_EQ(pread(fd, &c, 1, 1ll << 60), 0);
	CHECK_EQ(pwrite(fd, &c, 1, 0), 1);
	CHECK_EQ(posix_stat("f").st_size, 1);
}

static void limits_many_files_in_a_directory(void)
{
	char name[64];

	ENTER();
	CHECK_EQ(mkdir("d", 0755), 0);
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "d/a rather ordinary file name %d", i);
		close(posix_open(name, O_CREAT | O_EXCL | O_WRONLY, 0644));
	}
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "d/a rather ordinary file name %d", i);
		CHECK_EQ(access(name, F_OK), 0);
	}
	CHECK_ERRNO(rmdir("d"), ENOTEMPTY);
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "d/a rather ordinary file name %d", i);
		CHECK_EQ(unlink(name), 0);
	}
	CHECK_EQ(rmdir("d"), 0);
}

POSIX_MAIN(TAP_CASE(limits_name_of_255_bytes), TAP_CASE(limits_name_of_256_bytes_enametoolong),
	   TAP_CASE(limits_path_of_path_max), TAP_CASE(limits_depth_beyond_path_max), TAP_CASE(limits_depth_of_a_thousand),
	   TAP_CASE(limits_symlink_loop_eloop), TAP_CASE(limits_many_links), TAP_CASE(limits_many_subdirectories),
	   TAP_CASE(limits_file_too_large_efbig), TAP_CASE(limits_many_files_in_a_directory))
