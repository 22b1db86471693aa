/* SPDX-License-Identifier: BSD-3-Clause */
/* SEEK_DATA and SEEK_HOLE, copy_file_range, sendfile, splice. Data and holes in units of 64 KiB. */
#include "posix.h"

#include <sys/sendfile.h>

#define UNIT 65536ll
#define TIB (1ll << 40)

static void put_unit(int fd, off_t unit)
{
	char buf[UNIT];

	posix_fill(buf, sizeof(buf), (unsigned int)unit, 0);
	CHECK_EQ(pwrite(fd, buf, sizeof(buf), unit * UNIT), UNIT);
}

/* Data in units 2, 3 and 7, size 10 units. */
static int make_sparse(void)
{
	int fd = posix_open("f", O_CREAT | O_RDWR, 0644);

	CHECK_EQ(ftruncate(fd, 10 * UNIT), 0);
	put_unit(fd, 2);
	put_unit(fd, 3);
	put_unit(fd, 7);
	if (lseek(fd, 0, SEEK_DATA) == 0)
		posix_unsupported("SEEK_DATA");
	return fd;
}

static void seek_finds_data_and_holes(void)
{
	int fd;

	ENTER();
	fd = make_sparse();
	CHECK_EQ(lseek(fd, 0, SEEK_DATA), 2 * UNIT);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 2 * UNIT);
	CHECK_EQ(lseek(fd, 2 * UNIT + 5, SEEK_DATA), 2 * UNIT + 5);
	CHECK_EQ(lseek(fd, 2 * UNIT, SEEK_HOLE), 4 * UNIT);
	CHECK_EQ(lseek(fd, 4 * UNIT, SEEK_DATA), 7 * UNIT);
	CHECK_EQ(lseek(fd, 0, SEEK_HOLE), 0);
	CHECK_EQ(lseek(fd, 100, SEEK_HOLE), 100);
	CHECK_EQ(lseek(fd, 7 * UNIT, SEEK_HOLE), 8 * UNIT);
	CHECK_ERRNO(lseek(fd, 8 * UNIT, SEEK_DATA), ENXIO);
	CHECK_EQ(lseek(fd, 9 * UNIT, SEEK_HOLE), 9 * UNIT);
	CHECK_ERRNO(lseek(fd, 10 * UNIT, SEEK_HOLE), ENXIO);
	CHECK_ERRNO(lseek(fd, 10 * UNIT, SEEK_DATA), ENXIO);
	CHECK_ERRNO(lseek(fd, -1, SEEK_DATA), ENXIO);
}

static void seek_hole_at_end_of_full_file(void)
{
	int fd;

	ENTER();
	posix_make("f", 12345, 1);
	fd = posix_open("f", O_RDONLY, 0);
	CHECK_EQ(lseek(fd, 0, SEEK_DATA), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_HOLE), 12345);
	CHECK_EQ(lseek(fd, 12344, SEEK_DATA), 12344);
	CHECK_ERRNO(lseek(fd, 12345, SEEK_DATA), ENXIO);
}

static void seek_empty_file_enxio(void)
{
	int fd;

	ENTER();
	fd = posix_open("f", O_CREAT | O_RDWR, 0644);
	CHECK_ERRNO(lseek(fd, 0, SEEK_DATA), ENXIO);
	CHECK_ERRNO(lseek(fd, 0, SEEK_HOLE), ENXIO);
	CHECK_EQ(ftruncate(fd, 100000), 0);
	CHECK_ERRNO(lseek(fd, 0, SEEK_DATA), ENXIO);
	CHECK_EQ(lseek(fd, 0, SEEK_HOLE), 0);
}

static void seek_in_16_tib(void)
{
	off_t size = 16 * TIB - 4096, at = size - 2 * UNIT, found;
	int fd;

	ENTER();
	fd = posix_open("f", O_CREAT | O_RDWR, 0644);
	if (ftruncate(fd, size))
		posix_unsupported("files of 16 TiB: %s", strerror(errno));
	at -= at % UNIT;
	put_unit(fd, at / UNIT);
	put_unit(fd, 5 * TIB / UNIT);
	found = lseek(fd, 0, SEEK_DATA);
	if (!found)
		posix_unsupported("SEEK_DATA");
	CHECK_EQ(found, 5 * TIB);
	CHECK_EQ(lseek(fd, found, SEEK_HOLE), 5 * TIB + UNIT);
	CHECK_EQ(lseek(fd, 5 * TIB + UNIT, SEEK_DATA), at);
	CHECK_EQ(lseek(fd, at, SEEK_HOLE), at + UNIT);
	CHECK_EQ(ftruncate(fd, 5 * TIB + 10), 0);
	CHECK_EQ(lseek(fd, 1, SEEK_DATA), 5 * TIB);
	CHECK_EQ(lseek(fd, 5 * TIB, SEEK_HOLE), 5 * TIB + 10);
}

static void seek_preallocated_reads_zeros(void)
{
	off_t data;
	int fd;

	ENTER();
	fd = posix_open("f", O_CREAT | O_RDWR, 0644);
	if (fallocate(fd, 0, 0, 8 * UNIT))
		posix_unsupported("fallocate: %s", strerror(errno));
	put_unit(fd, 4);
	data = lseek(fd, 0, SEEK_DATA);
	CHECK(data >= 0 && data <= 4 * UNIT);
	posix_expect_zeros(fd, 0, 4 * UNIT);
	posix_expect(fd, 4 * UNIT, UNIT, 4, 0);
	posix_expect_zeros(fd, 5 * UNIT, 3 * UNIT);
}

static void copy_all(int from, off_t from_off, int to, off_t to_off, size_t len)
{
	while (len) {
		ssize_t n = copy_file_range(from, &from_off, to, &to_off, len, 0);

		if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
			posix_unsupported("copy_file_range: %s", strerror(errno));
		CHECK(n > 0);
		len -= (size_t)n;
	}
}

static void copy_range_between_files(void)
{
	int from, to;

	ENTER();
	posix_make("a", 500000, 1);
	posix_make("b", 1000, 2);
	from = posix_open("a", O_RDONLY, 0);
	to = posix_open("b", O_RDWR, 0);
	copy_all(from, 1234, to, 500, 300000);
	CHECK_EQ(posix_stat("b").st_size, 300500);
	posix_expect(to, 0, 500, 2, 0);
	posix_expect(to, 500, 300000, 1, 1234);
	posix_expect(from, 0, 500000, 1, 0);
}

static void copy_range_within_a_file(void)
{
	off_t in = 0, out = 50;
	int fd;

	ENTER();
	posix_make("a", 300000, 1);
	fd = posix_open("a", O_RDWR, 0);
	copy_all(fd, 0, fd, 200000, 150000);
	CHECK_EQ(posix_stat("a").st_size, 350000);
	posix_expect(fd, 0, 200000, 1, 0);
	posix_expect(fd, 200000, 150000, 1, 0);
	CHECK_ERRNO(copy_file_range(fd, &in, fd, &out, 100, 0), EINVAL);
}

static void copy_range_at_and_behind_end(void)
{
	off_t in = 1000, out = 0;
	int from, to;

	ENTER();
	posix_make("a", 1000, 1);
	from = posix_open("a", O_RDONLY, 0);
	to = posix_open("b", O_CREAT | O_RDWR, 0644);
	CHECK_EQ(copy_file_range(from, &in, to, &out, 100, 0), 0);
	in = 5000;
	CHECK_EQ(copy_file_range(from, &in, to, &out, 100, 0), 0);
	in = 900;
	CHECK_EQ(copy_file_range(from, &in, to, &out, 1000, 0), 100);
	CHECK_EQ(in, 1000);
	CHECK_EQ(out, 100);
	posix_expect(to, 0, 100, 1, 900);
	CHECK_ERRNO(copy_file_range(to, &in, from, &out, 10, 0), EBADF);
	CHECK_ERRNO(copy_file_range(from, &in, to, &out, 10, 1), EINVAL);
}

static void copy_range_of_holes_is_zeros(void)
{
	int from, to;

	ENTER();
	from = make_sparse();
	posix_make("b", 10 * UNIT, 9);
	to = posix_open("b", O_RDWR, 0);
	copy_all(from, 0, to, 0, 10 * UNIT);
	posix_expect_zeros(to, 0, 2 * UNIT);
	posix_expect(to, 2 * UNIT, UNIT, 2, 0);
	posix_expect(to, 3 * UNIT, UNIT, 3, 0);
	posix_expect_zeros(to, 4 * UNIT, 3 * UNIT);
	posix_expect(to, 7 * UNIT, UNIT, 7, 0);
	posix_expect_zeros(to, 8 * UNIT, 2 * UNIT);
}

static void copy_by_sendfile_and_splice(void)
{
	int from, to, p[2], n;
	off_t off = 100;

	ENTER();
	posix_make("a", 50000, 1);
	from = posix_open("a", O_RDONLY, 0);
	to = posix_open("b", O_CREAT | O_RDWR, 0644);
	for (size_t done = 0; done < 49900; done += (size_t)n) {
		n = (int)sendfile(to, from, &off, 49900 - done);
		CHECK(n > 0);
	}
	posix_expect(to, 0, 49900, 1, 100);
	CHECK_EQ(pipe(p), 0);
	off = 0;
	CHECK_EQ(splice(from, &off, p[1], NULL, 4096, 0), 4096);
	off = 60000;
	CHECK_EQ(splice(p[0], NULL, to, &off, 4096, 0), 4096);
	posix_expect(to, 60000, 4096, 1, 0);
	posix_expect_zeros(to, 49900, 10100);
}

POSIX_MAIN(TAP_CASE(seek_finds_data_and_holes), TAP_CASE(seek_hole_at_end_of_full_file), TAP_CASE(seek_empty_file_enxio),
	   TAP_CASE(seek_in_16_tib), TAP_CASE(seek_preallocated_reads_zeros), TAP_CASE(copy_range_between_files),
	   TAP_CASE(copy_range_within_a_file), TAP_CASE(copy_range_at_and_behind_end),
	   TAP_CASE(copy_range_of_holes_is_zeros), TAP_CASE(copy_by_sendfile_and_splice))
