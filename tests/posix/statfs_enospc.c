/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * statfs counts, and a full device: it stays consistent, deletes still work, space comes back. The cases that fill the device run
 * only with TEST_SMALL=1 and at most 2 GiB, as they take all of it.
 */
#include "posix.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <sys/statvfs.h>

#define CHUNK (1u << 20)
#define SMALL_MAX (2ull << 30)

static struct statvfs space(void)
{
	struct statvfs sv;

	sync();
	CHECK_EQ(statvfs(".", &sv), 0);
	return sv;
}

static uint64_t free_bytes(void)
{
	struct statvfs sv = space();

	return (uint64_t)sv.f_bavail * sv.f_frsize;
}

/* Waits up to 10 s for want free bytes: over FUSE the server learns a little later that nobody uses an inode any more. */
static bool gets_free(uint64_t want)
{
	for (int i = 0; i < 100 && free_bytes() < want; i++)
		usleep(100000);
	return free_bytes() >= want;
}

/* Free bytes once nothing comes back any more from before. */
static uint64_t settled_free_bytes(void)
{
	uint64_t now = free_bytes(), last;

	do {
		last = now;
		usleep(300000);
		now = free_bytes();
	} while (now != last);
	return now;
}

static void need_small(void)
{
	struct statvfs sv = space();
	const char *small = getenv("TEST_SMALL");

	if (!small || strcmp(small, "1") != 0)
		tap_skip("fills the device: only with TEST_SMALL=1");
	if ((uint64_t)sv.f_blocks * sv.f_frsize > SMALL_MAX)
		tap_skip("the device is larger than 2 GiB");
}

static void statfs_is_plausible(void)
{
	struct statvfs sv;

	ENTER();
	sv = space();
	CHECK(sv.f_bsize >= 512 && sv.f_frsize >= 512);
	CHECK(sv.f_blocks >= sv.f_bfree && sv.f_bfree >= sv.f_bavail);
	CHECK(sv.f_files >= sv.f_ffree);
	CHECK_EQ(sv.f_namemax, 255);
}

static void statfs_counts_blocks_and_files(void)
{
	uint64_t before, with_file;
	struct statvfs sv;
	int64_t used;

	ENTER();
	before = settled_free_bytes();
	posix_make("f", 16 * CHUNK, 1);
	with_file = free_bytes();
	CHECK_EQ(unlink("f"), 0);
	used = (int64_t)(before - with_file);
	/* Others may use the file system too: only the order of magnitude counts. */
	CHECK(used >= 12 * (int64_t)CHUNK && used <= 24 * (int64_t)CHUNK);
	CHECK(gets_free(before - 4 * CHUNK));
	sv = space();
	if (sv.f_files) {
		posix_make("g", 0, 1);
		CHECK(space().f_ffree <= sv.f_ffree);
	}
}

/* Writes until nothing fits; returns bytes written. */
static uint64_t fill(const char *path)
{
	int fd = posix_open(path, O_CREAT | O_WRONLY | O_APPEND, 0644);
	char *buf = malloc(CHUNK);
	uint64_t total = 0;
	size_t step = CHUNK;

	posix_fill(buf, CHUNK, 3, 0);
	while (step >= 512 && total <= SMALL_MAX) {
		ssize_t n = write(fd, buf, step);

		if (n > 0) {
			total += (uint64_t)n;
			continue;
		}
		CHECK_EQ(errno, ENOSPC);
		step /= 2;
	}
	CHECK_EQ(posix_stat(path).st_size, total);
	close(fd);
	free(buf);
	return total;
}

static void enospc_fill_delete_fill_again(void)
{
	uint64_t first, second, before;
	int fd;

	ENTER();
	need_small();
	before = settled_free_bytes();
	posix_make("old", 100000, 1);
	CHECK_EQ(mkdir("d", 0755), 0);
	first = fill("big");
	fd = posix_open("old", O_RDWR, 0);
	CHECK_EQ(pwrite(fd, "in place", 8, 5000), 8);
	posix_expect(fd, 0, 5000, 1, 0);
	CHECK_EQ(rename("d", "e"), 0);
	CHECK_EQ(rmdir("e"), 0);
	CHECK_EQ(unlink("big"), 0);
	CHECK(gets_free(before - 8 * CHUNK));
	second = fill("big");
	CHECK(second + 8 * CHUNK >= first && first + 8 * CHUNK >= second);
	CHECK_EQ(truncate("big", 0), 0);
	CHECK(gets_free(before - 8 * CHUNK));
	CHECK_EQ(pwrite(fd, "room", 4, 1 << 20), 4);
}

static void enospc_many_small_files(void)
{
	uint64_t before;
	char name[32];
	int n, fd;

	ENTER();
	need_small();
	before = settled_free_bytes();
	CHECK_EQ(mkdir("d", 0755), 0);
	fill("big");
	for (n = 0; n < 200000; n++) {
		snprintf(name, sizeof(name), "d/%d", n);
		fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);
		if (fd < 0) {
			CHECK_EQ(errno, ENOSPC);
			CHECK(!posix_exists(name));
			break;
		}
		close(fd);
	}
	if (mkdir("newdir", 0755))
		CHECK_EQ(errno, ENOSPC);
	printf("# %d empty files on a full device\n", n);
	while (n--) {
		snprintf(name, sizeof(name), "d/%d", n);
		CHECK_EQ(unlink(name), 0);
	}
	CHECK_EQ(rmdir("d"), 0);
	CHECK_EQ(unlink("big"), 0);
	CHECK(gets_free(before - 16 * CHUNK));
}

static void enospc_leaves_old_data_alone(void)
{
	int fd, hole;

	ENTER();
	need_small();
	posix_make("data", 3 * CHUNK, 7);
	hole = posix_open("hole", O_CREAT | O_RDWR, 0644);
	CHECK_EQ(ftruncate(hole, 64 * CHUNK), 0);
	fill("big");
	fd = posix_open("data", O_RDWR, 0);
	for (int i = 0; i < 64; i++)
		if (pwrite(hole, "filled", 6, (off_t)i * CHUNK) < 0)
			CHECK_EQ(errno, ENOSPC);
	CHECK_EQ(posix_stat("hole").st_size, 64 * CHUNK);
	posix_expect_zeros(hole, 100, 1000);
	posix_expect(fd, 0, 3 * CHUNK, 7, 0);
	CHECK_EQ(ftruncate(fd, CHUNK), 0);
	CHECK_EQ(unlink("big"), 0);
	posix_expect(fd, 0, CHUNK, 7, 0);
}

static void enospc_unlinked_open_file_gives_space_at_close(void)
{
	uint64_t before;
	int fd;

	ENTER();
	need_small();
	before = settled_free_bytes();
	posix_make("f", 32 * CHUNK, 1);
	fd = posix_open("f", O_RDWR, 0);
	CHECK_EQ(unlink("f"), 0);
	CHECK(free_bytes() + 16 * CHUNK < before);
	close(fd);
	CHECK(gets_free(before - 4 * CHUNK));
}

static sigjmp_buf bus_jump;

static void on_bus(int sig)
{
	siglongjmp(bus_jump, sig);
}

/* Whoever stores into a mapped hole that has no room learns it: by SIGBUS at once, or by an error of msync. */
static void enospc_of_mapped_stores_is_told(void)
{
	const size_t len = CHUNK; /* one request, where the kernel makes such */
	uint64_t big;
	char *p;
	int fd;

	ENTER();
	need_small();
	settled_free_bytes();
	fd = posix_open("hole", O_CREAT | O_RDWR, 0644);
	CHECK_EQ(ftruncate(fd, (off_t)len), 0);
	/* Half of it has room. */
	big = fill("big");
	CHECK_EQ(truncate("big", (off_t)(big - CHUNK / 2)), 0);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED && errno == ENODEV)
		posix_unsupported("mmap: %s", strerror(errno));
	CHECK(p != MAP_FAILED);
	signal(SIGBUS, on_bus);
	if (!sigsetjmp(bus_jump, 1)) {
		memset(p, 'x', len);
		CHECK_ERRNO(msync(p, len, MS_SYNC), ENOSPC);
	}
	CHECK_EQ(munmap(p, len), 0);
	CHECK_EQ(unlink("big"), 0);
}

POSIX_MAIN(TAP_CASE(statfs_is_plausible), TAP_CASE(statfs_counts_blocks_and_files), TAP_CASE(enospc_fill_delete_fill_again),
	   TAP_CASE(enospc_many_small_files), TAP_CASE(enospc_leaves_old_data_alone),
	   TAP_CASE(enospc_unlinked_open_file_gives_space_at_close), TAP_CASE(enospc_of_mapped_stores_is_told))
