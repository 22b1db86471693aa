/* SPDX-License-Identifier: BSD-3-Clause */
/* truncate and ftruncate: both ways, tails, times, sparse giants, errors. */
#include "posix.h"

#include <sys/resource.h>

#define TIB (1ll << 40)

static void truncate_down_zeroes_what_comes_back(void)
{
	int fd;

	ENTER();
	for (off_t cut = 1; cut < 20000; cut += 1237) {
		posix_make("f", 20000, 3);
		fd = posix_open("f", O_RDWR, 0);
		CHECK_EQ(ftruncate(fd, cut), 0);
		CHECK_EQ(posix_stat("f").st_size, cut);
		CHECK_EQ(ftruncate(fd, 20000), 0);
		posix_expect(fd, 0, (size_t)cut, 3, 0);
		posix_expect_zeros(fd, cut, (size_t)(20000 - cut));
		close(fd);
	}
}

static void truncate_down_then_write_beyond_leaves_zeros(void)
{
	int fd;

	ENTER();
	posix_make("f", 8000, 3);
	fd = posix_open("f", O_RDWR, 0);
	CHECK_EQ(ftruncate(fd, 4100), 0);
	CHECK_EQ(pwrite(fd, "x", 1, 8100), 1);
	posix_expect(fd, 0, 4100, 3, 0);
	posix_expect_zeros(fd, 4100, 4000);
}

static void truncate_up_takes_no_space(void)
{
	ENTER();
	posix_make("f", 100, 1);
	CHECK_EQ(truncate("f", 1 << 30), 0);
	CHECK_EQ(posix_stat("f").st_size, 1 << 30);
	CHECK(posix_stat("f").st_blocks < 100);
}

static void truncate_gives_space_back(void)
{
	ENTER();
	posix_make("f", 4 << 20, 1);
	CHECK(posix_stat("f").st_blocks >= 8192);
	CHECK_EQ(truncate("f", 4096), 0);
	CHECK(posix_stat("f").st_blocks <= 64);
	CHECK_EQ(truncate("f", 0), 0);
	CHECK_EQ(posix_stat("f").st_blocks, 0);
}

static void truncate_updates_times(void)
{
	struct stat before, after;

	ENTER();
	posix_make("f", 100, 1);
	before = posix_stat("f");
	posix_tick();
	CHECK_EQ(truncate("f", 50), 0);
	after = posix_stat("f");
	CHECK(posix_time_cmp(after.st_mtim, before.st_mtim) > 0);
	CHECK(posix_time_cmp(after.st_ctim, before.st_ctim) > 0);
	posix_tick();
	CHECK_EQ(truncate("f", 500), 0);
	CHECK(posix_time_cmp(posix_stat("f").st_mtim, after.st_mtim) > 0);
}

static void truncate_errors(void)
{
	int fd;

	ENTER();
	posix_make("f", 100, 1);
	CHECK_EQ(mkdir("d", 0755), 0);
	CHECK_ERRNO(truncate("d", 0), EISDIR);
	CHECK_ERRNO(truncate("no", 0), ENOENT);
	CHECK_ERRNO(truncate("f/x", 0), ENOTDIR);
	CHECK_ERRNO(truncate("f", -1), EINVAL);
	fd = posix_open("f", O_RDONLY, 0);
	CHECK_ERRNO(ftruncate(fd, 0), EINVAL);
	CHECK_EQ(mkfifo("p", 0644), 0);
	CHECK_ERRNO(truncate("p", 0), EINVAL);
	CHECK_EQ(posix_stat("f").st_size, 100);
}

static void user_truncates(void)
{
	CHECK_ERRNO(truncate("f", 0), EACCES);
	CHECK_EQ(truncate("open", 0), 0);
}

static void truncate_without_permission_eacces(void)
{
	ENTER();
	posix_need_root();
	posix_make("f", 100, 1);
	posix_make("open", 100, 1);
	CHECK_EQ(chmod("open", 0666), 0);
	posix_as_user(user_truncates);
	CHECK_EQ(posix_stat("f").st_size, 100);
	CHECK_EQ(posix_stat("open").st_size, 0);
}

static void truncate_beyond_limit_efbig(void)
{
	struct rlimit limit = { 10000, 10000 };
	int fd;

	ENTER();
	posix_make("f", 100, 1);
	fd = posix_open("f", O_RDWR, 0);
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	CHECK_ERRNO(ftruncate(fd, 10001), EFBIG);
	CHECK_EQ(ftruncate(fd, 10000), 0);
	CHECK_ERRNO(pwrite(fd, "x", 1, 10000), EFBIG);
	CHECK_EQ(pwrite(fd, "xyz", 3, 9998), 2);
	CHECK_EQ(posix_stat("f").st_size, 10000);
}

/* A file of the largest size wanted; ext4 with 4 KiB blocks ends 4 KiB below 16 TiB. */
static void truncate_sparse_16_tib(void)
{
	off_t size = 16 * TIB - 4096;
	int fd;

	ENTER();
	fd = posix_open("f", O_CREAT | O_RDWR, 0644);
	if (ftruncate(fd, size))
		posix_unsupported("files of 16 TiB: %s", strerror(errno));
	CHECK_EQ(pwrite(fd, "end", 3, size - 3), 3);
	CHECK_EQ(pwrite(fd, "mid", 3, 8 * TIB), 3);
	CHECK_EQ(posix_stat("f").st_size, size);
	CHECK(posix_stat("f").st_blocks < 1000);
	posix_expect_zeros(fd, 0, 100000);
	posix_expect_zeros(fd, size - 100003, 100000);
	CHECK_EQ(ftruncate(fd, 8 * TIB + 1), 0);
	CHECK_EQ(ftruncate(fd, size), 0);
	posix_expect_zeros(fd, size - 3, 3);
	posix_expect_zeros(fd, 8 * TIB + 1, 10000);
	CHECK_EQ(pread(fd, &size, 1, 8 * TIB), 1);
	CHECK_EQ(*(char *)&size, 'm');
	CHECK_EQ(ftruncate(fd, 0), 0);
	CHECK_EQ(posix_stat("f").st_blocks, 0);
}

static void truncate_beyond_16_tib(void)
{
	int fd;

	ENTER();
	fd = posix_open("f", O_CREAT | O_RDWR, 0644);
	if (ftruncate(fd, 16 * TIB + 123)) {
		CHECK_EQ(errno, EFBIG);
		tap_skip("no files above 16 TiB here");
	}
	CHECK_EQ(pwrite(fd, "end", 3, 16 * TIB + 120), 3);
	posix_expect_zeros(fd, 16 * TIB - 1000, 1120);
}

POSIX_MAIN(TAP_CASE(truncate_down_zeroes_what_comes_back), TAP_CASE(truncate_down_then_write_beyond_leaves_zeros),
	   TAP_CASE(truncate_up_takes_no_space), TAP_CASE(truncate_gives_space_back), TAP_CASE(truncate_updates_times),
	   TAP_CASE(truncate_errors), TAP_CASE(truncate_without_permission_eacces), TAP_CASE(truncate_beyond_limit_efbig),
	   TAP_CASE(truncate_sparse_16_tib), TAP_CASE(truncate_beyond_16_tib))
