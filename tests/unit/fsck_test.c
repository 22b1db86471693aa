/* SPDX-License-Identifier: BSD-3-Clause */
/* The checker on what the engine makes: it finds nothing there, stores nothing in check mode, and is quick. */
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "fsck/bits.h"
#include "fsck/fsck.h"
#include "base/crc32c.h"
#include "lib/rig.h"
#include "pmem/badpages.h"

static void print_report(void *ctx, const struct fsck_report *report)
{
	printf("# %s: %s\n", fsck_problem(report->code)->name, report->text);
}

static struct fsck_result check(struct pmem *pm, enum fsck_mode mode, uint32_t threads)
{
	const struct fsck_options opt = { .mode = mode, .force = 1, .threads = threads, .report = print_report };
	struct fsck_result res;
	int err = fsck_run(pm, &opt, &res);

	if (err)
		printf("# error %d: %s\n", err, res.error);
	CHECK_EQ(err, 0);
	return res;
}

/* Checks a copy of what is on media now, the journal not replayed yet, and that the check stores nothing. */
static void check_crashed(struct rig *rig)
{
	struct pmem *pm = rig_copy(rig->pm->base, rig->pm->size);
	struct fsck_result res = check(pm, FSCK_CHECK, 1);

	CHECK_EQ(res.n_found, 0);
	CHECK_EQ(memcmp(pm->base, rig->pm->base, pm->size), 0);
	res = check(pm, FSCK_CHECK, 3);
	CHECK_EQ(res.n_found, 0);
	res = check(pm, FSCK_YES, 1);
	CHECK_EQ(res.n_found, 0);
	CHECK_EQ(res.exit_bits, 0);
	res = check(pm, FSCK_CHECK, 1);
	CHECK_EQ(res.n_found, 0);
	CHECK_EQ(res.records, 0);
	CHECK_EQ(res.intents, 0);
	pmem_close(pm);
}

static void fill(struct rig *rig)
{
	static char buf[3 << 20];
	struct zus_setxattr small = { .name = rig_name("user.a"), .value = { "value", 5 } };
	struct zus_setxattr large = { .name = rig_name("user.b"), .value = { buf, 9000 } };
	uint64_t dir = rig_mknod(rig, ZUS_NODE_ROOT, "dir", S_IFDIR | 0755), node;
	struct zus_attr attr;
	char name[32];

	for (int i = 0; i < 700; i++) {
		snprintf(name, sizeof(name), "file-%d", i);
		node = rig_mknod(rig, dir, name, i % 7 ? S_IFREG | 0644 : S_IFDIR | 0755);
		if (i % 7)
			CHECK_EQ(rig_write(rig, node, (uint64_t)i * 100, buf, 5000), 5000);
	}
	node = rig_mknod(rig, ZUS_NODE_ROOT, "large", S_IFREG | 0644);
	CHECK_EQ(rig_write(rig, node, 0, buf, sizeof(buf)), (int64_t)sizeof(buf));
	CHECK_EQ(rig->fs->ops->fallocate(rig->fs, node, 1, 4 << 20, 1 << 20), 0);
	CHECK_EQ(rig->fs->ops->setxattr(rig->fs, node, &small), 0);
	CHECK_EQ(rig->fs->ops->setxattr(rig->fs, node, &large), 0);
	rig_mknod(rig, dir, "link", S_IFLNK | 0777);
	CHECK_EQ(rig->fs->ops->link(rig->fs, node, dir, rig_name("second"), &attr), 0);
	CHECK_EQ(rig_create(rig, ZUS_NODE_ROOT, "orphan", S_IFREG | 0600, &attr), 0);
	CHECK_EQ(rig_write(rig, attr.node, 0, buf, 20000), 20000);
	CHECK_EQ(rig->fs->ops->unlink(rig->fs, ZUS_NODE_ROOT, rig_name("orphan")), 0);
}

static void fsck_of_a_fresh_fs_finds_nothing(void)
{
	struct rig rig = rig_new(16 << 20, 0);

	check_crashed(&rig);
	rig.fs->ops->unmount(rig.fs);
}

static void fsck_of_a_filled_fs_finds_nothing(void)
{
	struct rig rig = rig_new(64 << 20, 0);

	fill(&rig);
	check_crashed(&rig);
	journal_checkpoint(fs_of(rig.fs));
	check_crashed(&rig);
	rig.fs->ops->unmount(rig.fs);
}

static void fsck_of_a_clean_fs_is_skipped_unless_forced(void)
{
	const struct fsck_options opt = { .mode = FSCK_PREEN, .threads = 1 };
	struct rig rig = rig_new(16 << 20, 0);
	struct fsck_result res;
	struct pmem *pm;

	fs_abandon(fs_of(rig_new(16 << 20, 0).fs));
	pm = rig_copy(rig.pm->base, rig.pm->size);
	CHECK_EQ(fsck_run(pm, &opt, &res), 0);
	CHECK_EQ(res.was_clean, 0);
	CHECK_EQ(fsck_run(pm, &opt, &res), 0);
	CHECK_EQ(res.was_clean, 1);
	CHECK_EQ(res.n_files, 1);
	pmem_close(pm);
	rig.fs->ops->unmount(rig.fs);
}

/* A lost page under file contents: only a check that reads them meets it. */
static void fsck_reads_contents_when_asked(void)
{
	struct fsck_options opt = { .mode = FSCK_CHECK, .force = 1, .threads = 2 };
	struct rig rig = rig_new(16 << 20, 0);
	uint64_t node = rig_mknod(&rig, ZUS_NODE_ROOT, "file", S_IFREG | 0644);
	struct zus_extent ext;
	struct zus_io io = { .node = node, .off = 3 << 12, .len = 1, .ext = &ext, .ext_cap = 1 };
	static uint8_t buf[16 << 12];
	struct fsck_result res;
	struct pmem *pm;

	memset(buf, 'x', sizeof(buf));
	CHECK_EQ(rig_write(&rig, node, 0, buf, sizeof(buf)), (int64_t)sizeof(buf));
	CHECK_EQ(rig.fs->ops->io_begin(rig.fs, &io), 0);
	CHECK_EQ(rig.fs->ops->io_end(rig.fs, &io, 1), 0);
	CHECK_EQ(pmem_faults_catch(), 0);
	pm = rig_copy(rig.pm->base, rig.pm->size);
	CHECK_EQ(pmem_poison(pm, ext.dev_off, 1), 0);
	CHECK_EQ(fsck_run(pm, &opt, &res), 0);
	CHECK_EQ(res.n_found, 0);
	opt.read_all = 1;
	CHECK_EQ(fsck_run(pm, &opt, &res), 0);
	CHECK_EQ(res.n_found, 1);
	CHECK_EQ(res.found[FSCK_MEDIA_ERROR], 1);
	CHECK_EQ(res.exit_bits, FSCK_EXIT_LEFT);
	pmem_close(pm);
	rig.fs->ops->unmount(rig.fs);
}

static void fsck_of_a_tiny_image_takes_less_than_a_millisecond(void)
{
	const struct fsck_options opt = { .mode = FSCK_CHECK, .force = 1, .threads = 1 };
	struct rig rig = rig_new(8 << 20, 0);
	struct fsck_result res;
	struct timespec a, b;

	for (int i = 0; i < 10; i++) {
		char name[8];

		snprintf(name, sizeof(name), "f%d", i);
		rig_mknod(&rig, ZUS_NODE_ROOT, name, S_IFREG | 0644);
	}
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < 200; i++) {
		CHECK_EQ(fsck_run(rig.pm, &opt, &res), 0);
		CHECK_EQ(res.n_found, 0);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("# %.1f us each\n", ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 200 / 1e3);
	rig.fs->ops->unmount(rig.fs);
}

static void bits_correct_finds_each_flipped_bit(void)
{
	uint8_t buf[64], right[64];
	uint32_t crc;

	for (int i = 0; i < 64; i++)
		right[i] = (uint8_t)(i * 37);
	memset(right + 8, 0, 4);
	crc = htole32(crc32c_of(right, sizeof(right)));
	memcpy(right + 8, &crc, 4);
	for (int bit = 0; bit < 512; bit++) {
		memcpy(buf, right, sizeof(buf));
		CHECK_EQ(bits_correct(buf, sizeof(buf), 8), 0);
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK_EQ(bits_correct(buf, sizeof(buf), 8), 1);
		CHECK_EQ(memcmp(buf, right, sizeof(buf)), 0);
	}
	buf[3] ^= 0x12;
	buf[40] ^= 0x40;
	CHECK_EQ(bits_correct(buf, sizeof(buf), 8), 0);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(bits_correct_finds_each_flipped_bit),
		TAP_CASE(fsck_of_a_fresh_fs_finds_nothing),
		TAP_CASE(fsck_of_a_filled_fs_finds_nothing),
		TAP_CASE(fsck_of_a_clean_fs_is_skipped_unless_forced),
		TAP_CASE(fsck_reads_contents_when_asked),
		TAP_CASE(fsck_of_a_tiny_image_takes_less_than_a_millisecond),
	};

	return tap_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
