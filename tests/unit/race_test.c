/* SPDX-License-Identifier: BSD-3-Clause */
/* Interleavings and leftovers that once went wrong: stale handles, removed parents, hostile intents, bytes behind the end. */
#include "lib/rig.h"

#include <pthread.h>

#include "base/util.h"
#include "pmfs2/inode.h"
#include "pmfs2/itable.h"

#define MIB (1024ull * 1024)
#define ROOT ZUS_NODE_ROOT

static struct rig rig;
static _Atomic int stop;
static _Atomic uint64_t stale;
static _Atomic long rounds[2];

static int damaged(void)
{
	return atomic_load(&fs_of(rig.fs)->damaged);
}

static void *stale_getter(void *arg)
{
	struct zus_attr attr;

	(void)arg;
	while (!stop)
		(void)rig.fs->ops->getattr(rig.fs, stale, &attr);
	return NULL;
}

static void stale_handles_do_not_disturb_a_number_that_is_reborn(void)
{
	pthread_t threads[2];
	struct zus_attr attr, got;
	char name[32];

	rig = rig_new(64 * MIB, 0);
	stale = rig_mknod(&rig, ROOT, "f", S_IFREG | 0644);
	CHECK_EQ(rig.fs->ops->unlink(rig.fs, ROOT, rig_name("f")), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, stale_getter, NULL), 0);
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		CHECK_EQ(rig_create(&rig, ROOT, name, S_IFREG | 0644, &attr), 0);
		CHECK_EQ(rig.fs->ops->getattr(rig.fs, attr.node, &got), 0);
		rig.fs->ops->forget(rig.fs, attr.node, 1);
		CHECK_EQ(rig.fs->ops->unlink(rig.fs, ROOT, rig_name(name)), 0);
	}
	stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(damaged(), 0);
}

static void bytes_of_a_failed_write_never_show_behind_a_growth(void)
{
	struct zus_extent ext[16];
	struct zus_io io = { .off = 8192, .len = 4096, .flags = ZUS_IO_WRITE, .ext = ext, .ext_cap = 16 };
	struct zus_setattr grow = { .valid = ZUS_SET_SIZE, .size = 16384 };
	static char buf[4096], zero[4096];
	struct rig both[2];
	struct zus_attr attr;

	rig = rig_new(64 * MIB, 0);
	io.node = rig_mknod(&rig, ROOT, "f", S_IFREG | 0644);
	CHECK_EQ(rig.fs->ops->fallocate(rig.fs, io.node, FALLOC_FL_KEEP_SIZE, 0, 2 * MIB), 0);
	memset(buf, 'A', sizeof(buf));
	CHECK_EQ(rig_write(&rig, io.node, 0, buf, 4096), 4096);
	memset(buf, 'S', sizeof(buf));
	CHECK_EQ(rig.fs->ops->io_begin(rig.fs, &io), 0);
	rig.fs->ops->dev_write(rig.fs, ext[0].dev_off, buf, 4096);
	both[0].pm = rig_copy(rig.pm->base, rig.pm->size); /* the power fails here */
	CHECK_EQ(rig.fs->ops->io_end(rig.fs, &io, 0), 0);
	CHECK_EQ(pmfs2_mount_pmem(both[0].pm, NULL, 0, &both[0].fs), 0);
	both[1] = rig;
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(both[i].fs->ops->setattr(both[i].fs, io.node, &grow, &attr), 0);
		CHECK_EQ(rig_read(&both[i], io.node, 8192, buf, 4096), 4096);
		CHECK(!memcmp(buf, zero, 4096));
	}
}

static void dotdot_of_a_removed_directory_is_no_damage(void)
{
	struct zus_attr x, y, attr;

	rig = rig_new(64 * MIB, 0);
	CHECK_EQ(rig_create(&rig, ROOT, "x", S_IFDIR | 0755, &x), 0);
	CHECK_EQ(rig_create(&rig, x.node, "y", S_IFDIR | 0755, &y), 0);
	CHECK_EQ(rig.fs->ops->rmdir(rig.fs, x.node, rig_name("y")), 0);
	CHECK_EQ(rig.fs->ops->rmdir(rig.fs, ROOT, rig_name("x")), 0);
	rig.fs->ops->forget(rig.fs, x.node, 1);
	CHECK_EQ(rig.fs->ops->lookup(rig.fs, y.node, rig_name(".."), &attr), -ENOENT);
	CHECK_EQ(damaged(), 0);
}

static void intent_number_of_a_hostile_inode_is_refused(void)
{
	static const uint32_t numbers[] = { 1, 2, 127 * 4, 127 * 4 + 1, 200000, 300000, UINT32_MAX };
	const struct pmfs2_inode *media;
	struct pmfs2_inode image;
	char before[4096];
	uint64_t node;

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		rig = rig_new(64 * MIB, 0);
		node = rig_mknod(&rig, ROOT, "f", S_IFREG | 0644);
		journal_checkpoint(fs_of(rig.fs));
		CHECK_EQ(itable_find(fs_of(rig.fs), node & 0xffffffffffull, &media), 0);
		image = *media;
		image.intent = le32_of(numbers[i]);
		inode_image_seal(&image);
		memcpy((void *)(uintptr_t)media, &image, sizeof(image));
		rig_crash(&rig);
		memcpy(before, rig.pm->base, sizeof(before));
		CHECK_EQ(rig.fs->ops->unlink(rig.fs, ROOT, rig_name("f")), -EUCLEAN);
		CHECK(!memcmp(before, rig.pm->base, sizeof(before)));
		rig_crash(&rig);
	}
}

static void *forget_one(void *arg)
{
	(void)arg;
	rig.fs->ops->forget(rig.fs, stale, 1);
	return NULL;
}

static void forget_that_races_with_the_last_unlink_frees_the_inode(void)
{
	struct zus_statfs st;
	struct zus_attr attr;
	uint64_t used;
	char name[32];

	rig = rig_new(64 * MIB, 0);
	rig_mknod(&rig, ROOT, "stays", S_IFREG);
	CHECK_EQ(rig.fs->ops->statfs(rig.fs, &st), 0);
	used = st.files - st.ffree;
	for (int i = 0; i < 3000; i++) {
		pthread_t thread;

		snprintf(name, sizeof(name), "f%d", i);
		CHECK_EQ(rig_create(&rig, ROOT, name, S_IFREG | 0644, &attr), 0);
		stale = attr.node;
		CHECK_EQ(pthread_create(&thread, NULL, forget_one, NULL), 0);
		CHECK_EQ(rig.fs->ops->unlink(rig.fs, ROOT, rig_name(name)), 0);
		pthread_join(thread, NULL);
	}
	CHECK_EQ(rig.fs->ops->statfs(rig.fs, &st), 0);
	CHECK_EQ(st.files - st.ffree, used);
}

static uint64_t dir_v, dir_d;

static void *rename_over_ancestor(void *arg)
{
	(void)arg;
	while (!stop) {
		CHECK_EQ(rig_rename(&rig, dir_d, "x", ROOT, "v", 0), -ENOTEMPTY);
		rounds[0]++;
	}
	return NULL;
}

static void *rmdir_below(void *arg)
{
	(void)arg;
	while (!stop) {
		CHECK_EQ(rig.fs->ops->rmdir(rig.fs, dir_v, rig_name("d")), -ENOTEMPTY);
		rounds[1]++;
	}
	return NULL;
}

static void rename_over_an_ancestor_does_not_deadlock_with_rmdir(void)
{
	pthread_t a, b;

	alarm(30);
	rig = rig_new(64 * MIB, 0);
	dir_v = rig_mknod(&rig, ROOT, "v", S_IFDIR | 0755);
	dir_d = rig_mknod(&rig, dir_v, "d", S_IFDIR | 0755);
	rig_mknod(&rig, dir_d, "x", S_IFDIR | 0755);
	CHECK_EQ(pthread_create(&a, NULL, rename_over_ancestor, NULL), 0);
	CHECK_EQ(pthread_create(&b, NULL, rmdir_below, NULL), 0);
	while (rounds[0] < 20000 || rounds[1] < 20000)
		usleep(1000);
	stop = 1;
	pthread_join(a, NULL);
	pthread_join(b, NULL);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(stale_handles_do_not_disturb_a_number_that_is_reborn),
		TAP_CASE(bytes_of_a_failed_write_never_show_behind_a_growth),
		TAP_CASE(dotdot_of_a_removed_directory_is_no_damage),
		TAP_CASE(intent_number_of_a_hostile_inode_is_refused),
		TAP_CASE(forget_that_races_with_the_last_unlink_frees_the_inode),
		TAP_CASE(rename_over_an_ancestor_does_not_deadlock_with_rmdir),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
