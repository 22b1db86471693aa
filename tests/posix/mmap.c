/* SPDX-License-Identifier: BSD-3-Clause */
/* mmap shared and private, with holes, with msync, against read and write. */
#include "posix.h"

#include <linux/magic.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#define LEN 65536

static char *map(int fd, int prot, int flags, size_t len)
{
	char *p = mmap(NULL, len, prot, flags, fd, 0);

	if (p == MAP_FAILED && errno == ENODEV)
		posix_unsupported("mmap: %s", strerror(errno));
	CHECK(p != MAP_FAILED);
	return p;
}

static void mmap_shared_shows_file_and_stores(void)
{
	int fd;
	char *p;

	ENTER();
	posix_make("f", LEN, 1);
	fd = posix_open("f", O_RDWR, 0);
	p = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED, LEN);
	for (size_t i = 0; i < LEN; i++)
		CHECK_EQ((unsigned char)p[i], posix_pattern(1, i));
	memset(p + 5000, 0, 5000);
	CHECK_EQ(msync(p, LEN, MS_SYNC), 0);
	posix_expect(fd, 0, 5000, 1, 0);
	posix_expect_zeros(fd, 5000, 5000);
	posix_expect(fd, 10000, LEN - 10000, 1, 10000);
	CHECK_EQ(munmap(p, LEN), 0);
}

static void mmap_shared_of_hole_takes_stores(void)
{
	int fd;
	char *p;

	ENTER();
	fd = posix_open("f", O_CREAT | O_RDWR, 0644);
	CHECK_EQ(ftruncate(fd, 1 << 20), 0);
	p = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED, 1 << 20);
	CHECK_EQ(p[500000], 0);
	posix_fill(p + 300000, 1000, 2, 0);
	CHECK_EQ(msync(p, 1 << 20, MS_SYNC), 0);
	CHECK_EQ(munmap(p, 1 << 20), 0);
	close(fd);
	fd = posix_open("f", O_RDONLY, 0);
	posix_expect_zeros(fd, 0, 300000);
	posix_expect(fd, 300000, 1000, 2, 0);
	posix_expect_zeros(fd, 301000, 1000);
}

static void mmap_private_stays_private(void)
{
	int fd;
	char *p;

	ENTER();
	posix_make("f", LEN, 1);
	fd = posix_open("f", O_RDONLY, 0);
	p = map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE, LEN);
	memset(p, 0, LEN / 2);
	CHECK_EQ(p[0], 0);
	CHECK_EQ((unsigned char)p[LEN - 1], posix_pattern(1, LEN - 1));
	posix_expect(fd, 0, LEN, 1, 0);
}

static void mmap_shared_sees_write(void)
{
	int fd;
	char *p;

	ENTER();
	posix_make("f", LEN, 1);
	fd = posix_open("f", O_RDWR, 0);
	p = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED, LEN);
	CHECK_EQ((unsigned char)p[100], posix_pattern(1, 100));
	CHECK_EQ(pwrite(fd, "seen", 4, 100), 4);
	CHECK(!memcmp(p + 100, "seen", 4));
	p[200] = 'Q';
	CHECK_EQ(msync(p, LEN, MS_SYNC), 0);
	CHECK_EQ(pread(fd, p + 300, 1, 200), 1);
	CHECK_EQ(p[300], 'Q');
}

static void mmap_two_processes_share(void)
{
	int fd, status;
	char *p;

	ENTER();
	posix_make("f", 4096, 1);
	fd = posix_open("f", O_RDWR, 0);
	p = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED, 4096);
	if (!fork()) {
		memcpy(p + 10, "child", 5);
		_exit(0);
	}
	wait(&status);
	CHECK(!memcmp(p + 10, "child", 5));
}

static void mmap_stays_after_close_and_unlink(void)
{
	int fd;
	char *p;

	ENTER();
	posix_make("f", LEN, 1);
	fd = posix_open("f", O_RDWR, 0);
	p = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED, LEN);
	CHECK_EQ(unlink("f"), 0);
	close(fd);
	p[LEN - 1] = 'x';
	CHECK_EQ((unsigned char)p[LEN / 2], posix_pattern(1, LEN / 2));
	CHECK_EQ(msync(p, LEN, MS_SYNC), 0);
}

static void mmap_tail_of_last_page_is_zero(void)
{
	struct statfs sfs;
	int fd;
	char *p;

	ENTER();
	posix_make("f", 5000, 1);
	fd = posix_open("f", O_RDWR, 0);
	p = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED, 8192);
	for (int i = 5000; i < 8192; i++)
		CHECK_EQ(p[i], 0);
	p[6000] = 'x';
	CHECK_EQ(msync(p, 8192, MS_SYNC), 0);
	CHECK_EQ(munmap(p, 8192), 0);
	CHECK_EQ(posix_stat("f").st_size, 5000);
	if (!fstatfs(fd, &sfs) && sfs.f_type == TMPFS_MAGIC)
		tap_skip("tmpfs shows such stores when the file grows");
	CHECK_EQ(ftruncate(fd, 8192), 0);
	posix_expect_zeros(fd, 5000, 3192);
}

static sigjmp_buf bus_jump;

static void on_bus(int sig)
{
	siglongjmp(bus_jump, sig);
}

static void mmap_behind_end_sigbus(void)
{
	int fd;
	char *p;

	ENTER();
	posix_make("f", LEN, 1);
	fd = posix_open("f", O_RDWR, 0);
	p = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED, LEN);
	CHECK_EQ((unsigned char)p[LEN - 1], posix_pattern(1, LEN - 1));
	CHECK_EQ(ftruncate(fd, 4096), 0);
	signal(SIGBUS, on_bus);
	if (!sigsetjmp(bus_jump, 1)) {
		*(volatile char *)(p + 8192) = 'x';
		CHECK(!"no SIGBUS");
	}
	CHECK_EQ((unsigned char)p[4095], posix_pattern(1, 4095));
	CHECK_EQ(ftruncate(fd, LEN), 0);
	CHECK_EQ(p[8192], 0);
}

static void mmap_errors(void)
{
	int rd, wr;

	ENTER();
	posix_make("f", LEN, 1);
	rd = posix_open("f", O_RDONLY, 0);
	wr = posix_open("f", O_WRONLY, 0);
	CHECK(mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, rd, 0) == MAP_FAILED && errno == EACCES);
	CHECK(mmap(NULL, LEN, PROT_READ, MAP_PRIVATE, wr, 0) == MAP_FAILED && errno == EACCES);
	CHECK(mmap(NULL, 0, PROT_READ, MAP_PRIVATE, rd, 0) == MAP_FAILED && errno == EINVAL);
	CHECK(mmap(NULL, LEN, PROT_READ, MAP_PRIVATE, rd, 1) == MAP_FAILED && errno == EINVAL);
}

static void mmap_write_from_own_mapping(void)
{
	int fd;
	char *p;

	ENTER();
	posix_make("f", LEN, 1);
	fd = posix_open("f", O_RDWR, 0);
	p = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED, LEN);
	CHECK_EQ(pwrite(fd, p, LEN, LEN), LEN);
	posix_expect(fd, LEN, LEN, 1, 0);
	CHECK_EQ(pread(fd, p, LEN / 2, LEN / 2), LEN / 2);
	for (size_t i = 0; i < LEN / 2; i++)
		CHECK_EQ((unsigned char)p[i], posix_pattern(1, LEN / 2 + i));
}

POSIX_MAIN(TAP_CASE(mmap_shared_shows_file_and_stores), TAP_CASE(mmap_shared_of_hole_takes_stores),
	   TAP_CASE(mmap_private_stays_private), TAP_CASE(mmap_shared_sees_write), TAP_CASE(mmap_two_processes_share),
	   TAP_CASE(mmap_stays_after_close_and_unlink), TAP_CASE(mmap_tail_of_last_page_is_zero),
	   TAP_CASE(mmap_behind_end_sigbus), TAP_CASE(mmap_errors), TAP_CASE(mmap_write_from_own_mapping))
