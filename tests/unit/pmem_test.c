/* SPDX-License-Identifier: BSD-3-Clause */
/* pmem: copy, zero and flush of every instruction set against memcpy, guard bytes, words never torn; kinds, sizes and locks. */
#include "pmem/pmem.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/util.h"
#include "lib/tap.h"
#include "pmem/isa.h"

#define GUARD 64u
#define AREA (GUARD + 64 + 8192 + GUARD)
#define MIB (1ull << 20)

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#define UNDER_TSAN __has_feature(thread_sanitizer)
#else
#define UNDER_TSAN 0
#endif

static char test_path[128];

/* A new file of size bytes (sparse) in the directory for temporary files. */
static const char *file_new(uint64_t size)
{
	const char *dir = getenv("TMPDIR");
	int fd;

	snprintf(test_path, sizeof(test_path), "%s/pmem-test-XXXXXX", dir ? dir : "/tmp");
	fd = mkstemp(test_path);
	CHECK(fd >= 0);
	CHECK(!ftruncate(fd, (off_t)size));
	close(fd);
	return test_path;
}

static struct pmem *anon_new(uint64_t size)
{
	struct pmem *pm;

	CHECK_EQ(pmem_open_anon(size, &pm), 0);
	return pm;
}

static void fill_random(uint8_t *p, size_t len, uint64_t *state)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(tap_rand(state) >> 32);
}

/* Copies and zeroes len bytes at the alignments, and compares the whole area. */
static void check_one(struct pmem *pm, uint8_t *want, const uint8_t *src, size_t dst_off, size_t len)
{
	pmem_copy(pm, pm->base + GUARD + dst_off, src, len);
	memcpy(want + GUARD + dst_off, src, len);
	pmem_fence(pm);
	CHECK(!memcmp(pm->base, want, AREA));
	pmem_zero(pm, pm->base + GUARD + dst_off, len);
	memset(want + GUARD + dst_off, 0, len);
	pmem_flush(pm, pm->base + GUARD + dst_off, len);
	pmem_fence(pm);
	CHECK(!memcmp(pm->base, want, AREA));
	CHECK(pmem_is_zero(pm->base + GUARD + dst_off, len));
	memcpy(pm->base + GUARD + dst_off, src, len);
	memcpy(want + GUARD + dst_off, src, len);
}

static void check_isa(struct pmem *pm, uint64_t *state)
{
	static const size_t lens[] = { 255, 256, 257, 320, 511, 512, 513, 1024, 4095, 4096, 4097, 8192 };
	uint8_t want[AREA], src[8192 + 64];

	fill_random(src, sizeof(src), state);
	fill_random(want, sizeof(want), state);
	memcpy(pm->base, want, AREA);
	for (size_t off = 0; off < 64; off++) {
		for (size_t len = 0; len <= 140; len++)
			check_one(pm, want, src + tap_rand(state) % 64, off, len);
		for (size_t i = 0; i < ARRAY_SIZE(lens); i++)
			check_one(pm, want, src + tap_rand(state) % 64, off, lens[i]);
	}
	for (int i = 0; i < 3000; i++)
		check_one(pm, want, src + tap_rand(state) % 64, tap_rand(state) % 64, tap_rand(state) % 8192);
}

static void pmem_copy_and_zero_with_every_isa_equal_memcpy_and_keep_guards(void)
{
	const struct pmem_isa *list[PMEM_ISA_MAX];
	size_t n = pmem_isa_usable(list, PMEM_ISA_MAX);
	struct pmem *pm = anon_new(2 * MIB);
	uint64_t state = tap_seed();

	CHECK(n > 0);
	CHECK(list[0] == pmem_isa_best());
	for (size_t i = 0; i < n; i++) {
		printf("# %s\n", list[i]->name);
		pm->isa = list[i];
		CHECK(!strcmp(pmem_isa_name(pm), list[i]->name));
		check_isa(pm, &state);
	}
	pmem_close(pm);
}

struct torn_reader {
	const uint64_t *words;
	size_t n_words;
	int stop;
	int torn;
};

static void *torn_reader_run(void *arg)
{
	struct torn_reader *r = arg;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED))
		for (size_t i = 0; i < r->n_words; i++) {
			uint64_t v = __atomic_load_n(&r->words[i], __ATOMIC_RELAXED);

			/* every byte of a word is the same in all versions */
			r->torn |= v != (v & 255) * 0x0101010101010101ull;
		}
	return NULL;
}

/* Any alignment of source and length; the destination's words are whole ones. */
static void pmem_copy_seen_by_another_thread_never_tears_words(void)
{
	struct pmem *pm = anon_new(2 * MIB);
	struct torn_reader reader = { .words = (const uint64_t *)(const void *)pm->base, .n_words = 128 };
	uint64_t state = tap_seed();
	uint8_t src[1024 + 8];
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, torn_reader_run, &reader));
	for (int i = 0; i < 20000; i++) {
		size_t first = tap_rand(&state) % 128, n = 1 + tap_rand(&state) % (128 - first), shift = tap_rand(&state) % 8;

		memset(src, i, sizeof(src));
		if (i % 8)
			pmem_copy(pm, pm->base + first * 8, src + shift, n * 8);
		else
			pmem_zero(pm, pm->base + first * 8, n * 8);
	}
	__atomic_store_n(&reader.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CHECK(!reader.torn);
	pmem_close(pm);
}

static void pmem_store64_or64_andnot64_change_one_word(void)
{
	struct pmem *pm = anon_new(1);
	const le64 *words = pmem_at(pm, 0);

	CHECK_EQ(pm->size, 2 * MIB);
	pmem_store64(pm, &words[1], 0x0123456789abcdefull);
	CHECK_EQ(pm->base[8], 0xef);
	CHECK_EQ(pm->base[15], 0x01);
	pmem_or64(pm, &words[1], 0xf000000000000010ull);
	CHECK_EQ(le64_load(&words[1]), 0xf123456789abcdffull);
	pmem_andnot64(pm, &words[1], 0xff000000000000ffull);
	CHECK_EQ(le64_load(&words[1]), 0x0023456789abcd00ull);
	CHECK_EQ(le64_load(&words[0]), 0);
	CHECK_EQ(le64_load(&words[2]), 0);
	CHECK_EQ(pmem_off(pm, &words[2]), 16);
	pmem_close(pm);
}

static void *or_bits_run(void *arg)
{
	struct pmem *pm = arg;
	static uint64_t next_thread;
	uint64_t me = __atomic_fetch_add(&next_thread, 1, __ATOMIC_RELAXED);

	for (uint64_t bit = me; bit < 64 * 64; bit += 4)
		pmem_or64(pm, (const le64 *)pmem_at(pm, bit / 64 * 8), 1ull << bit % 64);
	return NULL;
}

static void pmem_or64_from_four_threads_loses_no_bit(void)
{
	struct pmem *pm = anon_new(1);
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		CHECK(!pthread_create(&threads[i], NULL, or_bits_run, pm));
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 64; i++)
		CHECK_EQ(le64_load((const le64 *)pmem_at(pm, (uint64_t)i * 8)), -1);
	pmem_close(pm);
}

static void pmem_is_zero_with_one_bit_anywhere_is_false(void)
{
	uint8_t buf[200] = { 0 };

	for (size_t align = 0; align < 8; align++)
		for (size_t len = 0; len <= 150; len++) {
			CHECK(pmem_is_zero(buf + align, len));
			for (size_t i = 0; i < len; i++) {
				buf[align + i] = 0x10;
				CHECK(!pmem_is_zero(buf + align, len));
				buf[align + i] = 0;
			}
			buf[align + len] = 1;
			CHECK(pmem_is_zero(buf + align, len));
			buf[align + len] = 0;
		}
}

static void pmem_open_of_file_maps_whole_pages_aligned_and_keeps_contents(void)
{
	const char *path = file_new(5 * MIB + 4096 + 100);
	struct pmem *pm;
	char text[6] = "";
	int fd;

	CHECK_EQ(pmem_open(path, 0, &pm), 0);
	CHECK_EQ(pm->size, 5 * MIB + 4096);
	CHECK_EQ((uintptr_t)pm->base % (2 * MIB), 0);
	CHECK(pm->kind == PMEM_KIND_FILE || pm->kind == PMEM_KIND_FSDAX);
	CHECK(pm->kind == PMEM_KIND_FSDAX || strstr(pmem_notice(pm), "not persistent memory"));
	pmem_copy(pm, pm->base + 3 * MIB, "hello", 5);
	pmem_fence(pm);
	CHECK_EQ(pmem_sync(pm), 0);
	pmem_close(pm);
	fd = open(path, O_RDONLY);
	CHECK_EQ(pread(fd, text, 5, 3 * MIB), 5);
	CHECK(!strcmp(text, "hello"));
	close(fd);
	unlink(path);
}

static void pmem_open_of_large_sparse_file_touches_nothing(void)
{
	const char *path;
	struct pmem *pm;
	struct stat st;

	if (UNDER_TSAN)
		tap_skip("ThreadSanitizer's shadow leaves no room for a mapping of 1 TiB");
	path = file_new(1ull << 40);
	CHECK_EQ(pmem_open(path, 0, &pm), 0);
	CHECK_EQ(pm->size, 1ull << 40);
	CHECK(pmem_is_zero(pmem_at(pm, (1ull << 40) - 4096), 4096));
	CHECK(!stat(path, &st));
	CHECK(st.st_blocks < 64);
	pmem_close(pm);
	unlink(path);
}

static void pmem_open_of_held_file_is_busy(void)
{
	const char *path = file_new(4 * MIB);
	struct pmem *a, *b, *c;

	CHECK_EQ(pmem_open(path, 0, &a), 0);
	CHECK_EQ(pmem_open(path, 0, &b), -EBUSY);
	CHECK_EQ(pmem_open(path, PMEM_OPEN_RDONLY, &b), -EBUSY);
	CHECK_EQ(pmem_open(path, PMEM_OPEN_RDONLY | PMEM_OPEN_NOLOCK, &b), 0);
	pmem_close(b);
	pmem_close(a);
	CHECK_EQ(pmem_open(path, PMEM_OPEN_RDONLY, &a), 0);
	CHECK_EQ(pmem_open(path, PMEM_OPEN_RDONLY, &b), 0);
	CHECK_EQ(pmem_open(path, 0, &c), -EBUSY);
	pmem_close(a);
	pmem_close(b);
	CHECK_EQ(pmem_open(path, 0, &a), 0);
	pmem_close(a);
	unlink(path);
}

static void pmem_open_readonly_maps_without_write(void)
{
	const char *path = file_new(2 * MIB);
	struct pmem *pm;
	pid_t pid;
	int status;

	CHECK_EQ(pmem_open(path, PMEM_OPEN_RDONLY, &pm), 0);
	CHECK(pm->rdonly);
	CHECK_EQ(pmem_sync(pm), 0);
	pid = fork();
	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		*(volatile uint8_t *)pm->base = 1;
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	pmem_close(pm);
	unlink(path);
}

static void pmem_open_of_wrong_things_says_why(void)
{
	struct pmem *pm = NULL;
	const char *path;

	CHECK_EQ(pmem_open("/nonexistent/file", 0, &pm), -ENOENT);
	CHECK_EQ(pmem_open("/", 0, &pm), -ENOTBLK);
	CHECK_EQ(pmem_open("/dev/null", 0, &pm), -ENOTBLK);
	path = file_new(0);
	CHECK_EQ(pmem_open(path, 0, &pm), -EINVAL);
	CHECK(!truncate(path, 4095));
	CHECK_EQ(pmem_open(path, 0, &pm), -EINVAL);
	CHECK(!truncate(path, 4096));
	CHECK_EQ(pmem_open(path, 0, &pm), 0);
	pmem_close(pm);
	unlink(path);
	CHECK(!mkfifo(path, 0600));
	pm = NULL;
	CHECK_EQ(pmem_open(path, 0, &pm), -ENOTBLK);
	CHECK(!pm);
	unlink(path);
	pmem_close(NULL);
}

/* A loop device over a file from off on, gone with its last descriptor; its path in out_path. Skipping unlinks the file. */
static int loop_over(const char *file_path, uint64_t off, char *out_path, size_t cap)
{
	struct loop_config config = { .info.lo_flags = LO_FLAGS_AUTOCLEAR, .info.lo_offset = off };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), fd = -1, file;

	file = open(file_path, O_RDWR | O_CLOEXEC);
	CHECK(file >= 0);
	if (control < 0) {
		unlink(file_path);
		tap_skip("no loop devices (/dev/loop-control: %s)", strerror(errno));
	}
	for (int tries = 0; tries < 20 && fd < 0; tries++) {
		int n = ioctl(control, LOOP_CTL_GET_FREE);

		if (n < 0)
			break;
		snprintf(out_path, cap, "/dev/loop%d", n);
		fd = open(out_path, O_RDWR | O_CLOEXEC);
		config.fd = (uint32_t)file;
		if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config)) {
			close(fd); /* somebody else took it */
			fd = -1;
		}
	}
	close(control);
	close(file);
	if (fd < 0) {
		unlink(file_path);
		tap_skip("cannot set up a loop device");
	}
	return fd;
}

static int loop_new(char *out_path, size_t cap)
{
	int fd = loop_over(file_new(4 * MIB), 0, out_path, cap);

	unlink(test_path);
	return fd;
}

static void pmem_open_of_held_block_device_is_busy(void)
{
	char path[64];
	int loop = loop_new(path, sizeof(path)), excl;
	struct pmem *a, *b;

	CHECK_EQ(pmem_open(path, 0, &a), 0);
	CHECK_EQ(a->kind, PMEM_KIND_FILE);
	CHECK_EQ(a->size, 4 * MIB);
	CHECK_EQ(pmem_open(path, 0, &b), -EBUSY);
	CHECK_EQ(pmem_open(path, PMEM_OPEN_RDONLY, &b), -EBUSY);
	pmem_copy(a, a->base + 4096, "block", 5);
	CHECK_EQ(pmem_sync(a), 0);
	pmem_close(a);
	excl = open(path, O_RDWR | O_EXCL | O_CLOEXEC); /* as the kernel does for a mount */
	CHECK(excl >= 0);
	CHECK_EQ(pmem_open(path, 0, &a), -EBUSY);
	CHECK_EQ(pmem_open(path, PMEM_OPEN_RDONLY, &a), 0);
	CHECK(!memcmp(a->base + 4096, "block", 5));
	pmem_close(a);
	close(excl);
	close(loop);
}

/* The same bytes under two names are written by one at a time. */
static void pmem_open_of_file_under_loop_device_is_busy(void)
{
	const char *file = file_new(4 * MIB);
	char path[64], link_path[160];
	int loop = loop_over(file, 0, path, sizeof(path));
	struct pmem *a, *b;

	snprintf(link_path, sizeof(link_path), "%s-link", file);
	CHECK(!link(file, link_path));
	CHECK_EQ(pmem_open(file, 0, &a), -EBUSY);
	CHECK_EQ(pmem_open(link_path, 0, &a), -EBUSY);
	CHECK_EQ(pmem_open(file, PMEM_OPEN_RDONLY, &a), 0);
	CHECK_EQ(pmem_open(path, 0, &b), -EBUSY);
	CHECK_EQ(pmem_open(path, PMEM_OPEN_RDONLY, &b), 0);
	pmem_close(b);
	pmem_close(a);
	CHECK_EQ(pmem_open(path, 0, &a), 0);
	CHECK_EQ(pmem_open(file, PMEM_OPEN_RDONLY, &b), -EBUSY);
	pmem_close(a);
	close(loop);
	unlink(link_path);
	unlink(file);
}

static void pmem_open_of_loop_device_over_open_file_is_busy(void)
{
	const char *file = file_new(4 * MIB);
	char path[64], second[64], part[64];
	struct pmem *a, *b;
	int loop, other, half;

	CHECK_EQ(pmem_open(file, 0, &a), 0);
	loop = loop_over(file, 0, path, sizeof(path));
	CHECK_EQ(pmem_open(path, 0, &b), -EBUSY);
	CHECK_EQ(pmem_open(path, PMEM_OPEN_RDONLY, &b), -EBUSY);
	pmem_close(a);
	other = loop_over(file, 0, second, sizeof(second));
	half = loop_over(file, 2 * MIB, part, sizeof(part));
	CHECK_EQ(pmem_open(path, 0, &a), 0);
	CHECK_EQ(pmem_open(second, 0, &b), -EBUSY);
	CHECK_EQ(pmem_open(part, 0, &b), -EBUSY);
	pmem_close(a);
	CHECK_EQ(pmem_open(part, 0, &a), 0);
	pmem_close(a);
	close(half);
	close(other);
	close(loop);
	unlink(file);
}

static void pmem_open_external_keeps_the_mapping(void)
{
	uint8_t *mem = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pmem *pm;

	CHECK(mem != MAP_FAILED);
	CHECK_EQ(pmem_open_external(mem + 1, MIB, &pm), -EINVAL);
	CHECK_EQ(pmem_open_external(mem + 4096, MIB, &pm), 0);
	CHECK_EQ(pm->kind, PMEM_KIND_EXTERNAL);
	pmem_copy(pm, pm->base, "kept", 4);
	pmem_close(pm);
	CHECK(!memcmp(mem + 4096, "kept", 4));
}

static void pmem_kind_names_are_distinct_and_notices_fit(void)
{
	struct pmem *pm = anon_new(1);

	for (int a = PMEM_KIND_DEVDAX; a <= PMEM_KIND_SIM; a++)
		for (int b = PMEM_KIND_DEVDAX; b < a; b++)
			CHECK(strcmp(pmem_kind_name((enum pmem_kind)a), pmem_kind_name((enum pmem_kind)b)));
	for (int kind = PMEM_KIND_DEVDAX; kind <= PMEM_KIND_SIM; kind++) {
		pm->kind = (enum pmem_kind)kind;
		CHECK(strlen(pmem_notice(pm)) < 256); /* zus_fs.notice */
		CHECK(!strchr(pmem_notice(pm), '\n'));
	}
	pm->kind = PMEM_KIND_FILE;
	pm->block_dax = 1;
	CHECK(strlen(pmem_notice(pm)) < 256 && strstr(pmem_notice(pm), "devdax"));
	pm->kind = PMEM_KIND_ANON;
	pmem_close(pm);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(pmem_copy_and_zero_with_every_isa_equal_memcpy_and_keep_guards),
		TAP_CASE(pmem_copy_seen_by_another_thread_never_tears_words),
		TAP_CASE(pmem_store64_or64_andnot64_change_one_word),
		TAP_CASE(pmem_or64_from_four_threads_loses_no_bit),
		TAP_CASE(pmem_is_zero_with_one_bit_anywhere_is_false),
		TAP_CASE(pmem_open_of_file_maps_whole_pages_aligned_and_keeps_contents),
		TAP_CASE(pmem_open_of_large_sparse_file_touches_nothing),
		TAP_CASE(pmem_open_of_held_file_is_busy),
		TAP_CASE(pmem_open_readonly_maps_without_write),
		TAP_CASE(pmem_open_of_wrong_things_says_why),
		TAP_CASE(pmem_open_of_held_block_device_is_busy),
		TAP_CASE(pmem_open_of_file_under_loop_device_is_busy),
		TAP_CASE(pmem_open_of_loop_device_over_open_file_is_busy),
		TAP_CASE(pmem_open_external_keeps_the_mapping),
		TAP_CASE(pmem_kind_names_are_distinct_and_notices_fit),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
