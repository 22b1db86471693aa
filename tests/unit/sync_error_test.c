/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A backing file that its storage does not take: the linker points fdatasync() here. The kernel tells such an error once, and
 * drops what it could not write: every fsync from then on fails, and the image is not marked clean.
 */
#include <pthread.h>

#include "fsck/fsck.h"
#include "media_rig.h"

#define N_THREADS 8

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

static atomic_int fail_at; /* the sync, counted from 1, that fails; 0: none */
static atomic_int n_syncs;
static void (*before_sync)(int n);

int __wrap_fdatasync(int fd)
{
	int n = atomic_fetch_add(&n_syncs, 1) + 1;

	if (before_sync)
		before_sync(n);
	if (n != atomic_load(&fail_at))
		return __real_fdatasync(fd);
	errno = EIO;
	return -1;
}

static void fail_next(int from_now)
{
	atomic_store(&fail_at, atomic_load(&n_syncs) + from_now);
}

static char image[64];

static void image_open(struct rig *rig)
{
	CHECK_EQ(pmem_open(image, 0, &rig->pm), 0);
	CHECK_EQ(rig->pm->kind, PMEM_KIND_FILE);
}

static struct rig file_rig(void)
{
	struct mkfs_params params = { .label = "test", .n_rings = 2 };
	struct rig rig;
	int fd;

	strcpy(image, "/tmp/pmfs2-sync.XXXXXX");
	fd = mkstemp(image);
	CHECK(fd >= 0 && !ftruncate(fd, SIZE));
	close(fd);
	CHECK_EQ(pmem_faults_catch(), 0);
	image_open(&rig);
	CHECK_EQ(mkfs_format(rig.pm, &params, NULL), 0);
	mount_it(&rig);
	return rig;
}

/* The mount is over. For writing it can be mounted again only if it was clean. */
static void check_mark(int clean)
{
	struct rig rig;

	image_open(&rig);
	CHECK_EQ(pmfs2_mount_pmem(rig.pm, &host, 0, &rig.fs), clean ? 0 : -EUCLEAN);
	if (clean)
		rig.fs->ops->unmount(rig.fs);
	else
		pmem_close(rig.pm);
	unlink(image);
}

static void error_is_told_to_every_fsync(void)
{
	struct rig rig = file_rig();
	uint64_t a = file_new(&rig, "a", 8 * BLOCK, 1), b = file_new(&rig, "b", 8 * BLOCK, 2);

	CHECK_EQ(rig.fs->ops->fsync(rig.fs, a, 0), 0);
	CHECK(!is_damaged(&rig));
	fail_next(1);
	CHECK_EQ(rig.fs->ops->fsync(rig.fs, b, 1), -EIO);
	CHECK_EQ(rig.fs->ops->fsync(rig.fs, a, 0), -EIO);
	CHECK_EQ(rig.fs->ops->fsync(rig.fs, b, 0), -EIO);
	CHECK_EQ(rig.fs->ops->sync(rig.fs), -EIO);
	CHECK_EQ(messages.n_errors, 1);
	said("cannot be written to its storage: Input/output error");
	said("fsck.pmfs2 /tmp/pmfs2-sync.");
	CHECK(is_damaged(&rig));
	CHECK_EQ(rig_write(&rig, a, 0, "x", 1), -EROFS);
	CHECK_EQ(read_check(&rig, a, 0, 8 * BLOCK, 1), 0);
	rig.fs->ops->unmount(rig.fs);
	check_mark(0);
}

static void *fsync_thread(void *ctx)
{
	struct rig *rig = ctx;

	return (void *)(intptr_t)rig->fs->ops->fsync(rig->fs, ZUS_NODE_ROOT, 0);
}

static void let_others_come(int n)
{
	(void)n;
	usleep(100000);
}

/* Whoever waited while the error was told to another one gets it too. */
static void error_is_told_to_fsyncs_at_once(void)
{
	struct rig rig = file_rig();
	pthread_t threads[N_THREADS];
	int before = atomic_load(&n_syncs);
	void *ret;

	file_new(&rig, "a", 8 * BLOCK, 1);
	before_sync = let_others_come;
	for (int i = 0; i < N_THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, fsync_thread, &rig), 0);
	for (int i = 0; i < N_THREADS; i++) {
		CHECK_EQ(pthread_join(threads[i], &ret), 0);
		CHECK_EQ((intptr_t)ret, 0);
	}
	/* One for the first, one for all that came meanwhile; some more on a busy machine. */
	CHECK(atomic_load(&n_syncs) - before <= N_THREADS);
	fail_next(1);
	for (int i = 0; i < N_THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, fsync_thread, &rig), 0);
	for (int i = 0; i < N_THREADS; i++) {
		CHECK_EQ(pthread_join(threads[i], &ret), 0);
		CHECK_EQ((intptr_t)ret, -EIO);
	}
	before_sync = NULL;
	rig.fs->ops->unmount(rig.fs);
	check_mark(0);
}

static void unmount_when_sync_fails_is_not_clean(void)
{
	for (int at = 1; at <= 2; at++) {
		struct rig rig = file_rig();

		memset(&messages, 0, sizeof(messages));
		file_new(&rig, "a", 8 * BLOCK, 1);
		fail_next(at);
		rig.fs->ops->unmount(rig.fs);
		CHECK(atomic_load(&n_syncs) >= atomic_load(&fail_at));
		said("cannot be written to its storage");
		check_mark(0);
	}
}

static int n_checked;

/* Of the file as it is now: the newer horizon's. */
static uint64_t mark(void)
{
	int fd = open(image, O_RDONLY | O_CLOEXEC);
	struct pmfs2_state state;
	int newer;

	CHECK(fd >= 0 && pread(fd, &state, sizeof(state), BLOCK) == (ssize_t)sizeof(state));
	close(fd);
	newer = le64_get(state.horizon[1].written) > le64_get(state.horizon[0].written);
	return le64_get(state.horizon[newer].clean);
}

static void look_at_mark(int n)
{
	CHECK_EQ(mark(), n == n_checked + 1 ? PMFS2_CLEAN_NO : PMFS2_CLEAN_YES);
}

static void unmount_syncs_before_the_mark_and_after(void)
{
	struct rig rig = file_rig();

	file_new(&rig, "a", 8 * BLOCK, 1);
	n_checked = atomic_load(&n_syncs);
	before_sync = look_at_mark;
	rig.fs->ops->unmount(rig.fs);
	before_sync = NULL;
	CHECK_EQ(atomic_load(&n_syncs), n_checked + 2);
	check_mark(1);
}

/* The mount was lost to an error of its storage, which goes on: the check says so, and the mark stays. */
static void fsck_when_sync_fails_is_not_clean(void)
{
	const struct fsck_options opt = { .mode = FSCK_YES, .threads = 1 };
	struct rig rig = file_rig();
	struct fsck_result res;

	file_new(&rig, "a", 8 * BLOCK, 1);
	fail_next(1);
	CHECK_EQ(rig.fs->ops->sync(rig.fs), -EIO);
	rig.fs->ops->unmount(rig.fs);
	for (int fails = 1; fails >= 0; fails--) {
		image_open(&rig);
		atomic_store(&fail_at, fails ? atomic_load(&n_syncs) + 1 : 0);
		CHECK_EQ(fsck_run(rig.pm, &opt, &res), fails ? -EIO : 0);
		CHECK_EQ(res.exit_bits & FSCK_EXIT_FAILED, fails ? FSCK_EXIT_FAILED : 0);
		CHECK(!fails || strstr(res.error, "not marked clean"));
		CHECK_EQ(mark(), fails ? PMFS2_CLEAN_DAMAGED : PMFS2_CLEAN_YES);
		pmem_close(rig.pm);
	}
	check_mark(1);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(error_is_told_to_every_fsync),
		TAP_CASE(error_is_told_to_fsyncs_at_once),
		TAP_CASE(unmount_when_sync_fails_is_not_clean),
		TAP_CASE(unmount_syncs_before_the_mark_and_after),
		TAP_CASE(fsck_when_sync_fails_is_not_clean),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
