/* SPDX-License-Identifier: BSD-3-Clause */
/* fallocate(2) in all its modes. Ranges are multiples of 64 KiB where a file system wants whole blocks. */
#include "posix.h"

#include <linux/falloc.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#define UNIT 65536
#define N_UNITS 32
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

/* Linux' FUSE refuses these two modes itself: no server sees them. That is accepted everywhere. */
static bool shifts_are_possible(int fd)
{
	struct statfs sfs;

	CHECK_EQ(fstatfs(fd, &sfs), 0);
	CHECK_EQ(ftruncate(fd, UNIT), 0);
	return sfs.f_type != FUSE_SUPER_MAGIC || !fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, UNIT) || errno != EOPNOTSUPP;
}

static void need_shifts(int fd)
{
	if (!shifts_are_possible(fd))
		tap_skip("FUSE does not pass on COLLAPSE_RANGE and INSERT_RANGE");
	close(fd);
}

static void do_falloc(int fd, int mode, off_t off, off_t len)
{
	if (fallocate(fd, mode, off, len)) {
		if (errno == EOPNOTSUPP)
			posix_unsupported("fallocate mode 0x%x", (unsigned int)mode);
		printf("# fallocate mode 0x%x at %lld length %lld\n", (unsigned int)mode, (long long)off, (long long)len);
		CHECK(!"fallocate");
	}
}

static void falloc_plain_extends_with_zeros(void)
{
	struct stat st;
	int fd;

	ENTER();
	posix_make("f", 5000, 1);
	fd = posix_open("f", O_RDWR, 0);
	do_falloc(fd, 0, 1000, 200000);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_size, 201000);
	CHECK(st.st_blocks * 512 >= 201000);
	posix_expect(fd, 0, 5000, 1, 0);
	posix_expect_zeros(fd, 5000, 196000);
	CHECK_EQ(pwrite(fd, "abc", 3, 100000), 3);
	posix_expect_zeros(fd, 90000, 10000);
	posix_expect_zeros(fd, 100003, 10000);
}

static void falloc_keep_size_keeps_it(void)
{
	struct stat st;
	char c;
	int fd;

	ENTER();
	posix_make("f", 5000, 1);
	fd = posix_open("f", O_RDWR, 0);
	do_falloc(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_size, 5000);
	CHECK(st.st_blocks * 512 >= 1 << 20);
	CHECK_EQ(pread(fd, &c, 1, 5000), 0);
	CHECK_EQ(pwrite(fd, "end", 3, 500000), 3);
	posix_expect_zeros(fd, 5000, 495000);
	CHECK_EQ(ftruncate(fd, 100), 0);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK(st.st_blocks * 512 < 1 << 20);
}

static void falloc_punch_hole_zeroes_and_frees(void)
{
	struct stat before, after;
	int fd;

	ENTER();
	posix_make("f", 10 * UNIT, 1);
	fd = posix_open("f", O_RDWR, 0);
	CHECK_EQ(fstat(fd, &before), 0);
	do_falloc(fd, PUNCH, 2 * UNIT + 100, 4 * UNIT);
	CHECK_EQ(fstat(fd, &after), 0);
	CHECK_EQ(after.st_size, 10 * UNIT);
	CHECK((before.st_blocks - after.st_blocks) * 512 >= 3 * UNIT);
	posix_expect(fd, 0, 2 * UNIT + 100, 1, 0);
	posix_expect_zeros(fd, 2 * UNIT + 100, 4 * UNIT);
	posix_expect(fd, 6 * UNIT + 100, 4 * UNIT - 100, 1, 6 * UNIT + 100);
	do_falloc(fd, PUNCH, 10, 20);
	posix_expect_zeros(fd, 10, 20);
	posix_expect(fd, 30, 1000, 1, 30);
	do_falloc(fd, PUNCH, 9 * UNIT, 100 * UNIT);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 10 * UNIT);
	posix_expect_zeros(fd, 9 * UNIT, UNIT);
}

static void falloc_zero_range_zeroes(void)
{
	int fd;

	ENTER();
	posix_make("f", 10 * UNIT, 1);
	fd = posix_open("f", O_RDWR, 0);
	do_falloc(fd, FALLOC_FL_ZERO_RANGE, UNIT + 5, 3 * UNIT);
	posix_expect(fd, 0, UNIT + 5, 1, 0);
	posix_expect_zeros(fd, UNIT + 5, 3 * UNIT);
	posix_expect(fd, 4 * UNIT + 5, 6 * UNIT - 5, 1, 4 * UNIT + 5);
	do_falloc(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 9 * UNIT, 5 * UNIT);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 10 * UNIT);
	do_falloc(fd, FALLOC_FL_ZERO_RANGE, 9 * UNIT, 5 * UNIT);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 14 * UNIT);
	posix_expect_zeros(fd, 9 * UNIT, 5 * UNIT);
}

static void falloc_collapse_removes_range(void)
{
	int fd;

	ENTER();
	need_shifts(posix_open("probe", O_CREAT | O_RDWR, 0644));
	posix_make("f", 10 * UNIT + 777, 1);
	fd = posix_open("f", O_RDWR, 0);
	do_falloc(fd, FALLOC_FL_COLLAPSE_RANGE, 2 * UNIT, 3 * UNIT);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 7 * UNIT + 777);
	posix_expect(fd, 0, 2 * UNIT, 1, 0);
	posix_expect(fd, 2 * UNIT, 5 * UNIT + 777, 1, 5 * UNIT);
	CHECK_EQ(ftruncate(fd, 10 * UNIT), 0);
	posix_expect_zeros(fd, 7 * UNIT + 777, 3 * UNIT - 777);
}

static void falloc_insert_makes_room(void)
{
	int fd;

	ENTER();
	need_shifts(posix_open("probe", O_CREAT | O_RDWR, 0644));
	posix_make("f", 5 * UNIT + 777, 1);
	fd = posix_open("f", O_RDWR, 0);
	do_falloc(fd, FALLOC_FL_INSERT_RANGE, UNIT, 2 * UNIT);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 7 * UNIT + 777);
	posix_expect(fd, 0, UNIT, 1, 0);
	posix_expect_zeros(fd, UNIT, 2 * UNIT);
	posix_expect(fd, 3 * UNIT, 4 * UNIT + 777, 1, UNIT);
}

static void falloc_shift_errors(void)
{
	int fd;

	ENTER();
	need_shifts(posix_open("probe", O_CREAT | O_RDWR, 0644));
	posix_make("f", 10 * UNIT, 1);
	fd = posix_open("f", O_RDWR, 0);
	do_falloc(fd, FALLOC_FL_INSERT_RANGE, 0, UNIT);
	do_falloc(fd, FALLOC_FL_COLLAPSE_RANGE, 0, UNIT);
	CHECK_ERRNO(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 1, UNIT), EINVAL);
	CHECK_ERRNO(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, UNIT + 1), EINVAL);
	CHECK_ERRNO(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 9 * UNIT, UNIT), EINVAL);
	/* The kernel's own answer: EINVAL on 6.1, EOPNOTSUPP later. */
	CHECK_EQ(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_KEEP_SIZE, 0, UNIT), -1);
	CHECK(errno == EOPNOTSUPP || errno == EINVAL);
	CHECK_ERRNO(fallocate(fd, FALLOC_FL_INSERT_RANGE, 10 * UNIT, UNIT), EINVAL);
	CHECK_ERRNO(fallocate(fd, FALLOC_FL_INSERT_RANGE, 1, UNIT), EINVAL);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 10 * UNIT);
	posix_expect(fd, 0, 10 * UNIT, 1, 0);
}

static void falloc_errors(void)
{
	int fd, rd, p[2];

	ENTER();
	posix_make("f", 100, 1);
	fd = posix_open("f", O_RDWR, 0);
	rd = posix_open("f", O_RDONLY, 0);
	do_falloc(fd, 0, 0, 100);
	CHECK_ERRNO(fallocate(fd, 0, 0, 0), EINVAL);
	CHECK_ERRNO(fallocate(fd, 0, -1, 10), EINVAL);
	CHECK_ERRNO(fallocate(fd, 0, 0, -1), EINVAL);
	CHECK_ERRNO(fallocate(rd, 0, 0, 10), EBADF);
	CHECK_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10), EOPNOTSUPP);
	CHECK_ERRNO(fallocate(fd, 0, INT64_MAX - 10, 100), EFBIG);
	CHECK_EQ(pipe(p), 0);
	CHECK_ERRNO(fallocate(p[1], 0, 0, 10), ESPIPE);
	CHECK_EQ(posix_stat("f").st_size, 100);
}

static void falloc_of_more_than_there_is_enospc(void)
{
	struct stat st;
	int fd;

	ENTER();
	posix_make("f", 100, 1);
	fd = posix_open("f", O_RDWR, 0);
	do_falloc(fd, FALLOC_FL_KEEP_SIZE, 0, 4096);
	CHECK_EQ(fallocate(fd, 0, 0, 15ll << 40), -1);
	CHECK(errno == ENOSPC || errno == EFBIG);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(ftruncate(fd, 0), 0);
}

static void falloc_updates_times(void)
{
	struct stat before, after;
	int fd;

	ENTER();
	posix_make("f", 100000, 1);
	fd = posix_open("f", O_RDWR, 0);
	CHECK_EQ(fstat(fd, &before), 0);
	posix_tick();
	do_falloc(fd, PUNCH, 0, 65536);
	CHECK_EQ(fstat(fd, &after), 0);
	CHECK(posix_time_cmp(after.st_mtim, before.st_mtim) > 0);
	CHECK(posix_time_cmp(after.st_ctim, before.st_ctim) > 0);
}

struct falloc_model {
	int fd;
	bool shifts;
	off_t size;
	unsigned char bytes[4 * N_UNITS * UNIT];
};

static void model_step(struct falloc_model *m, uint64_t r)
{
	off_t off = (off_t)(r >> 8) % N_UNITS * UNIT, len = (1 + (off_t)(r >> 24) % 6) * UNIT, end;
	off_t odd = (off_t)(r >> 40) % 5000;
	unsigned char buf[9000];

	switch (r % 6) {
	case 0:
		if (!m->shifts || off + len >= m->size)
			return;
		do_falloc(m->fd, FALLOC_FL_COLLAPSE_RANGE, off, len);
		memmove(m->bytes + off, m->bytes + off + len, sizeof(m->bytes) - (size_t)(off + len));
		m->size -= len;
		return;
	case 1:
		if (!m->shifts || off >= m->size || m->size > N_UNITS * UNIT)
			return;
		do_falloc(m->fd, FALLOC_FL_INSERT_RANGE, off, len);
		memmove(m->bytes + off + len, m->bytes + off, sizeof(m->bytes) - (size_t)(off + len));
		memset(m->bytes + off, 0, (size_t)len);
		m->size += len;
		return;
	case 2:
	case 3:
		off += odd;
		do_falloc(m->fd, r % 6 == 2 ? PUNCH : FALLOC_FL_ZERO_RANGE, off, len);
		memset(m->bytes + off, 0, (size_t)len);
		end = r % 6 == 2 ? m->size : off + len;
		break;
	default:
		off += odd;
		posix_fill(buf, sizeof(buf), (unsigned int)r, 0);
		CHECK_EQ(pwrite(m->fd, buf, sizeof(buf), off), sizeof(buf));
		memcpy(m->bytes + off, buf, sizeof(buf));
		end = off + (off_t)sizeof(buf);
	}
	if (end > m->size)
		m->size = end;
}

static void falloc_random_matches_model(void)
{
	struct falloc_model *m = calloc(1, sizeof(*m));
	unsigned char *got = malloc(sizeof(m->bytes));
	uint64_t rng = tap_seed();

	ENTER();
	m->size = 20 * UNIT + 100;
	posix_make("f", (size_t)m->size, 1);
	posix_fill(m->bytes, (size_t)m->size, 1, 0);
	m->fd = posix_open("f", O_RDWR, 0);
	m->shifts = shifts_are_possible(posix_open("probe", O_CREAT | O_RDWR, 0644));
	for (int i = 0; i < 300; i++) {
		model_step(m, tap_rand(&rng));
		CHECK_EQ(lseek(m->fd, 0, SEEK_END), m->size);
		if (i % 4)
			continue;
		CHECK_EQ(pread(m->fd, got, sizeof(m->bytes), 0), m->size);
		CHECK(!memcmp(got, m->bytes, (size_t)m->size));
	}
}

POSIX_MAIN(TAP_CASE(falloc_plain_extends_with_zeros), TAP_CASE(falloc_keep_size_keeps_it),
	   TAP_CASE(falloc_punch_hole_zeroes_and_frees), TAP_CASE(falloc_zero_range_zeroes),
	   TAP_CASE(falloc_collapse_removes_range), TAP_CASE(falloc_insert_makes_room), TAP_CASE(falloc_shift_errors),
	   TAP_CASE(falloc_errors), TAP_CASE(falloc_of_more_than_there_is_enospc), TAP_CASE(falloc_updates_times),
	   TAP_CASE(falloc_random_matches_model))
