/* SPDX-License-Identifier: BSD-3-Clause */
/* read and write in all their forms, at any size and offset, by one and by several processes. */
#include "posix.h"

#include <sys/mman.h>
#include <sys/uio.h>

#define MODEL_SIZE (3u << 20)

static void rw_random_matches_model(void)
{
	unsigned char *model = calloc(1, MODEL_SIZE), *buf = malloc(MODEL_SIZE);
	uint64_t rng = tap_seed(), size = 0;
	int fd;

	ENTER();
	fd = posix_open("f", O_CREAT | O_RDWR, 0644);
	for (int i = 0; i < 1500; i++) {
		uint64_t off = tap_rand(&rng) % (MODEL_SIZE - 1), max = i % 8 ? 20000 : 600000;
		uint64_t len = 1 + tap_rand(&rng) % u64_min(max, MODEL_SIZE - off);

		if (tap_rand(&rng) & 1) {
			posix_fill(buf, len, (unsigned int)i, 0);
			CHECK_EQ(pwrite(fd, buf, len, (off_t)off), len);
			memcpy(model + off, buf, len);
			size = u64_max(size, off + len);
		} else {
			uint64_t want = off >= size ? 0 : u64_min(len, size - off);

			CHECK_EQ(pread(fd, buf, len, (off_t)off), want);
			CHECK(!memcmp(buf, model + off, want));
		}
	}
	CHECK_EQ(posix_stat("f").st_size, size);
	CHECK_EQ(pread(fd, buf, MODEL_SIZE, 0), size);
	CHECK(!memcmp(buf, model, size));
}

static void rw_every_small_size_and_offset(void)
{
	char buf[64];
	int fd;

	ENTER();
	fd = posix_open("f", O_CREAT | O_RDWR, 0644);
	for (int off = 4080; off < 4112; off++) {
		for (int len = 1; len < 32; len++) {
			CHECK_EQ(ftruncate(fd, 0), 0);
			posix_fill(buf, (size_t)len, (unsigned int)off, 0);
			CHECK_EQ(pwrite(fd, buf, (size_t)len, off), len);
			posix_expect(fd, off, (size_t)len, (unsigned int)off, 0);
			posix_expect_zeros(fd, 4000, (size_t)off - 4000);
			CHECK_EQ(pread(fd, buf, sizeof(buf), off), len);
		}
	}
}

static void rw_at_end_of_file(void)
{
	char buf[100];
	int fd;

	ENTER();
	posix_make("f", 10, 1);
	fd = posix_open("f", O_RDWR, 0);
	CHECK_EQ(pread(fd, buf, 100, 0), 10);
	CHECK_EQ(pread(fd, buf, 100, 7), 3);
	CHECK_EQ(pread(fd, buf, 100, 10), 0);
	CHECK_EQ(pread(fd, buf, 100, 1ll << 40), 0);
	CHECK_EQ(pread(fd, buf, 0, 0), 0);
	CHECK_EQ(pwrite(fd, buf, 0, 1000), 0);
	CHECK_EQ(posix_stat("f").st_size, 10);
	CHECK_EQ(pwrite(fd, "z", 1, 12345), 1);
	posix_expect_zeros(fd, 10, 12335);
	CHECK_EQ(posix_stat("f").st_size, 12346);
}

static void rw_bad_arguments(void)
{
	volatile int minus_one = -1; /* hidden from the compiler, which would warn */
	char c = 'c';
	struct iovec one = { &c, 1 };
	int fd, dir;

	ENTER();
	posix_make("f", 10, 1);
	fd = posix_open("f", O_RDWR, 0);
	dir = posix_open(".", O_RDONLY | O_DIRECTORY, 0);
	CHECK_ERRNO(pread(fd, &c, 1, -1), EINVAL);
	CHECK_ERRNO(pwrite(fd, &c, 1, -1), EINVAL);
	CHECK_ERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
	CHECK_ERRNO(lseek(fd, 0, 99), EINVAL);
	CHECK_ERRNO(read(dir, &c, 1), EISDIR);
	CHECK_ERRNO(writev(fd, &one, minus_one), EINVAL);
	CHECK_EQ(posix_stat("f").st_size, 10);
}

static void rw_bad_address_efault(void)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *volatile nowhere = (char *)1; /* hidden from the compiler, which would warn */
	ssize_t n;
	int fd;

	ENTER();
	posix_make("f", 10000, 1);
	fd = posix_open("f", O_RDWR, 0);
	CHECK_ERRNO(pwrite(fd, nowhere, 5000, 0), EFAULT);
	CHECK_ERRNO(pread(fd, nowhere, 5000, 0), EFAULT);
	CHECK_EQ(munmap(pages + 4096, 4096), 0);
	posix_fill(pages, 4096, 2, 0);
	n = pwrite(fd, pages, 8192, 20000);
	CHECK(n == 4096 || (n == -1 && errno == EFAULT) || (n > 0 && n < 4096));
	posix_expect(fd, 0, 10000, 1, 0);
	CHECK_EQ(posix_stat("f").st_size, n > 0 ? 20000 + n : 10000);
	if (n > 0)
		posix_expect(fd, 20000, (size_t)n, 2, 0);
}

static void rw_vectors(void)
{
	char a[3], b[5000], c[100], all[5103];
	struct iovec out[3] = { { a, sizeof(a) }, { b, sizeof(b) }, { c, sizeof(c) } };
	int fd;

	ENTER();
	posix_fill(all, sizeof(all), 4, 0);
	memcpy(a, all, 3);
	memcpy(b, all + 3, 5000);
	memcpy(c, all + 5003, 100);
	fd = posix_open("f", O_CREAT | O_RDWR, 0644);
	CHECK_EQ(writev(fd, out, 3), 5103);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 5103);
	posix_expect(fd, 0, 5103, 4, 0);
	CHECK_EQ(pwritev(fd, out, 3, 100000), 5103);
	memset(b, 0, sizeof(b));
	CHECK_EQ(preadv(fd, out, 3, 100000), 5103);
	CHECK(!memcmp(b, all + 3, 5000));
	CHECK_EQ(pwritev2(fd, out, 3, 0, RWF_DSYNC), 5103);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(readv(fd, out, 3), 5103);
	CHECK_EQ(readv(fd, out, 0), 0);
}

static void rw_large_unaligned(void)
{
	size_t len = (8u << 20) + 12345;
	char *buf = malloc(len);
	int fd;

	ENTER();
	fd = posix_open("f", O_CREAT | O_RDWR, 0644);
	posix_fill(buf, len, 7, 0);
	CHECK_EQ(pwrite(fd, buf, len, 777), len);
	posix_expect_zeros(fd, 0, 777);
	posix_expect(fd, 777, len, 7, 0);
	CHECK(posix_stat("f").st_blocks * 512 >= (off_t)len);
}

static void rw_seek_positions(void)
{
	char c;
	int fd;

	ENTER();
	posix_make("f", 1000, 1);
	fd = posix_open("f", O_RDWR, 0);
	CHECK_EQ(lseek(fd, -10, SEEK_END), 990);
	CHECK_EQ(read(fd, &c, 1), 1);
	CHECK_EQ((unsigned char)c, posix_pattern(1, 990));
	CHECK_EQ(lseek(fd, 9, SEEK_CUR), 1000);
	CHECK_EQ(read(fd, &c, 1), 0);
	CHECK_EQ(lseek(fd, 1ll << 40, SEEK_SET), 1ll << 40);
	CHECK_EQ(posix_stat("f").st_size, 1000);
	CHECK_EQ(write(fd, "e", 1), 1);
	CHECK_EQ(posix_stat("f").st_size, (1ll << 40) + 1);
}

static void rw_two_descriptors_see_each_other(void)
{
	int a, b;

	ENTER();
	posix_make("f", 8192, 1);
	a = posix_open("f", O_RDWR, 0);
	b = posix_open("f", O_RDWR, 0);
	posix_expect(b, 0, 8192, 1, 0);
	CHECK_EQ(pwrite(a, "\0\0\0\0", 4, 100), 4);
	posix_expect_zeros(b, 100, 4);
	CHECK_EQ(ftruncate(a, 50), 0);
	CHECK_EQ(pread(b, &a, 4, 50), 0);
	CHECK_EQ(lseek(b, 0, SEEK_END), 50);
}

static void append_records(int id, int n)
{
	int fd = posix_open("log", O_WRONLY | O_APPEND, 0);
	char rec[100];

	for (int i = 0; i < n; i++) {
		memset(rec, 'a' + id, sizeof(rec));
		snprintf(rec, sizeof(rec), "%d %d", id, i);
		CHECK_EQ(write(fd, rec, sizeof(rec)), sizeof(rec));
	}
	_exit(0);
}

static void rw_appends_of_processes_lose_nothing(void)
{
	int fd, status, next[4] = { 0 }, id, number;
	char rec[100];

	ENTER();
	fd = posix_open("log", O_CREAT | O_RDWR, 0644);
	for (id = 0; id < 4; id++)
		if (!fork())
			append_records(id, 250);
	for (id = 0; id < 4; id++) {
		wait(&status);
		CHECK_EQ(status, 0);
	}
	CHECK_EQ(posix_stat("log").st_size, 4 * 250 * 100);
	for (int i = 0; i < 1000; i++) {
		CHECK_EQ(read(fd, rec, sizeof(rec)), sizeof(rec));
		CHECK_EQ(sscanf(rec, "%d %d", &id, &number), 2);
		CHECK(id >= 0 && id < 4 && rec[99] == 'a' + id);
		CHECK_EQ(number, next[id]++);
	}
}

static void rw_parallel_writers_of_one_file(void)
{
	enum { PART = 256 * 1024 };
	int fd, status;

	ENTER();
	fd = posix_open("f", O_CREAT | O_RDWR, 0644);
	for (unsigned int id = 0; id < 4; id++) {
		if (fork())
			continue;
		char *buf = malloc(PART);

		posix_fill(buf, PART, id, 0);
		for (int round = 0; round < 4; round++)
			for (int at = 0; at < PART; at += 1000)
				CHECK(pwrite(fd, buf + at, u64_min((uint64_t)(PART - at), 1000), (off_t)id * PART + at) > 0);
		_exit(0);
	}
	for (int id = 0; id < 4; id++) {
		wait(&status);
		CHECK_EQ(status, 0);
	}
	for (unsigned int id = 0; id < 4; id++)
		posix_expect(fd, (off_t)id * PART, PART, id, 0);
}

static void rw_sync_calls(void)
{
	int fd;

	ENTER();
	posix_make("f", 100000, 1);
	fd = posix_open("f", O_RDWR, 0);
	CHECK_EQ(fsync(fd), 0);
	CHECK_EQ(fdatasync(fd), 0);
	CHECK_EQ(sync_file_range(fd, 0, 4096, SYNC_FILE_RANGE_WRITE), 0);
	CHECK_EQ(syncfs(fd), 0);
	fd = posix_open(".", O_RDONLY | O_DIRECTORY, 0);
	CHECK_EQ(fsync(fd), 0);
}

static void rw_many_small_files(void)
{
	char name[32];
	int fd;

	ENTER();
	for (unsigned int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		posix_make(name, i * 37, i);
	}
	for (unsigned int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		fd = posix_open(name, O_RDONLY, 0);
		CHECK_EQ(posix_stat(name).st_size, i * 37);
		posix_expect(fd, 0, i * 37, i, 0);
		close(fd);
	}
}

POSIX_MAIN(TAP_CASE(rw_random_matches_model), TAP_CASE(rw_every_small_size_and_offset), TAP_CASE(rw_at_end_of_file),
	   TAP_CASE(rw_bad_arguments), TAP_CASE(rw_bad_address_efault), TAP_CASE(rw_vectors), TAP_CASE(rw_large_unaligned),
	   TAP_CASE(rw_seek_positions), TAP_CASE(rw_two_descriptors_see_each_other),
	   TAP_CASE(rw_appends_of_processes_lose_nothing), TAP_CASE(rw_parallel_writers_of_one_file),
	   TAP_CASE(rw_sync_calls), TAP_CASE(rw_many_small_files))
