/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Media errors under metadata, every kind of them: the operation fails, the mount is read-only from then on and says so,
 * everything else can still be read, and it unmounts. And while mounting. Pages go bad by pmem_poison.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "media_rig.h"

static void lost_inode_page(void)
{
	struct scene sc = scene_new();
	struct rig *rig = &sc.rig;
	struct zus_attr attr;
	int n;

	CHECK_EQ(pmem_poison(rig->pm, inode_off(rig, sc.file), 1), 0);
	CHECK_EQ(rig->fs->ops->getattr(rig->fs, sc.file, &attr), -EIO);
	CHECK_EQ(rig->fs->ops->getattr(rig->fs, sc.file, &attr), -EIO);
	CHECK_EQ(rig_lookup(rig, ZUS_NODE_ROOT, "file", &attr), -EIO);
	CHECK_EQ(read_check(rig, sc.file, 0, BLOCK, 8), -EIO);
	CHECK_EQ(rig_lookup(rig, ZUS_NODE_ROOT, "good", &attr), 0);
	CHECK_EQ(dir_read(rig, sc.dir, &n), 0);
	CHECK_EQ(n, 602);
	CHECK_EQ(messages.n_errors, 1);
	said("inode ");
	scene_end(&sc);
}

/* Never loaded into the cache before. */
static void lost_inode_page_when_not_cached(void)
{
	struct scene sc = scene_new();
	struct zus_attr attr;
	uint64_t off;
	int n;

	again(&sc.rig);
	off = inode_off(&sc.rig, sc.many_node);
	again(&sc.rig);
	CHECK_EQ(pmem_poison(sc.rig.pm, off, 1), 0);
	CHECK_EQ(rig_lookup(&sc.rig, sc.dir, "name-number-599", &attr), -EIO);
	CHECK_EQ(rig_lookup(&sc.rig, sc.dir, "name-number-0", &attr), 0);
	/* Its name is listed all the same, without its attributes. */
	n = 0;
	CHECK_EQ(sc.rig.fs->ops->readdir(sc.rig.fs, sc.dir, 0, 1, emit_all, &n), 0);
	CHECK_EQ(n, 602);
	scene_end(&sc);
}

static void lost_map_node(void)
{
	struct scene sc = scene_new();
	struct rig *rig = &sc.rig;
	struct zus_attr attr;
	uint64_t found;

	CHECK_EQ(pmem_poison(rig->pm, pointed_off(rig, sc.file, 0), 1), 0);
	CHECK_EQ(read_check(rig, sc.file, 0, BLOCK, 8), -EIO);
	CHECK_EQ(read_check(rig, sc.file, 0, BLOCK, 8), -EIO);
	CHECK_EQ(rig->fs->ops->seek(rig->fs, sc.file, 0, ZUS_SEEK_HOLE, &found), -EIO);
	CHECK_EQ(rig->fs->ops->getattr(rig->fs, sc.file, &attr), 0);
	CHECK_EQ(messages.n_errors, 1);
	said("inode ");
	scene_end(&sc);
}

static void lost_map_node_met_by_a_write(void)
{
	struct scene sc = scene_new();
	struct rig *rig = &sc.rig;

	CHECK_EQ(pmem_poison(rig->pm, pointed_off(rig, sc.file, 0), 1), 0);
	CHECK_EQ(rig_write(rig, sc.file, 20 * BLOCK, "x", 1), -EIO);
	scene_end(&sc);
}

static void lost_directory_root(void)
{
	struct scene sc = scene_new();
	struct rig *rig = &sc.rig;
	struct zus_attr attr;
	int n;

	CHECK_EQ(pmem_poison(rig->pm, pointed_off(rig, sc.dir, 0), 1), 0);
	CHECK_EQ(rig_lookup(rig, sc.dir, "name-number-1", &attr), -EIO);
	CHECK_EQ(rig_lookup(rig, sc.dir, "not-there", &attr), -EIO);
	CHECK_EQ(dir_read(rig, sc.dir, &n), -EIO);
	CHECK_EQ(n, 2);
	CHECK_EQ(rig_lookup(rig, ZUS_NODE_ROOT, "file", &attr), 0);
	scene_end(&sc);
}

static void lost_directory_bucket(void)
{
	struct scene sc = scene_new();
	struct rig *rig = &sc.rig;
	const le64 *node = pmem_at(rig->pm, pointed_off(rig, sc.dir, 0));
	int n, n_lost = 0, err;
	struct zus_attr attr;
	char name[32];

	CHECK_EQ(pmem_poison(rig->pm, (le64_load(&node[400]) & PMFS2_ENTRY_BLOCK_MASK) << PMFS2_BLOCK_SHIFT, 1), 0);
	for (int i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "name-number-%d", i);
		err = rig_lookup(rig, sc.dir, name, &attr);
		CHECK(!err || err == -EIO);
		n_lost += err != 0;
	}
	CHECK(n_lost > 0 && n_lost < 300);
	CHECK_EQ(dir_read(rig, sc.dir, &n), -EIO);
	CHECK(n > 2 && n < 602);
	scene_end(&sc);
}

static void lost_directory_bucket_met_by_changes(void)
{
	for (int kind = 0; kind < 4; kind++) {
		struct scene sc = scene_new();
		struct rig *rig = &sc.rig;
		struct zus_attr attr;
		int err = 0;

		messages.text[0] = '\0';
		CHECK_EQ(pmem_poison(rig->pm, pointed_off(rig, ZUS_NODE_ROOT, 0), 1), 0);
		if (kind == 0)
			err = rig_create(rig, ZUS_NODE_ROOT, "new", S_IFREG | 0644, &attr);
		else if (kind == 1)
			err = rig->fs->ops->unlink(rig->fs, ZUS_NODE_ROOT, rig_name("file"));
		else if (kind == 2)
			err = rig_rename(rig, ZUS_NODE_ROOT, "file", sc.dir, "new", 0);
		else
			err = rig->fs->ops->link(rig->fs, sc.good, ZUS_NODE_ROOT, rig_name("new"), &attr);
		CHECK_EQ(err, -EIO);
		scene_end(&sc);
	}
}

static void lost_xattr_block(void)
{
	struct scene sc = scene_new();
	struct rig *rig = &sc.rig;
	char buf[3000];

	CHECK_EQ(pmem_poison(rig->pm, pointed_off(rig, sc.file, 1), 1), 0);
	CHECK_EQ(rig->fs->ops->getxattr(rig->fs, sc.file, rig_name("user.x"), buf, sizeof(buf)), -EIO);
	CHECK_EQ(rig->fs->ops->listxattr(rig->fs, sc.file, buf, sizeof(buf)), -EIO);
	CHECK_EQ(read_check(rig, sc.file, 0, 8 * BLOCK, 8), 0);
	scene_end(&sc);
}

static void lost_bitmap(void)
{
	struct scene sc = scene_new();
	struct rig *rig = &sc.rig;

	again(rig);
	CHECK_EQ(pmem_poison(rig->pm, le64_get(fs_of(rig->fs)->sb->segments[0].bitmap_block) << PMFS2_BLOCK_SHIFT, 1), 0);
	CHECK(rig_write(rig, sc.file, 100 * BLOCK, "x", 1) < 0);
	said("bitmap of group 0");
	CHECK_EQ(read_check(rig, sc.file, 0, 8 * BLOCK, 8), 0);
	scene_end(&sc);
}

static void lost_inode_table_node(void)
{
	struct scene sc = scene_new();
	struct rig *rig = &sc.rig;
	uint64_t word = le64_load(&fs_of(rig->fs)->state->itable_root);
	struct zus_attr attr;

	CHECK(word >> PMFS2_ENTRY_HEIGHT_SHIFT & 15);
	again(rig);
	CHECK_EQ(read_check(rig, sc.good, 0, 8 * BLOCK, 7), 0); /* keeps it in the cache */
	CHECK_EQ(pmem_poison(rig->pm, (word & PMFS2_ENTRY_BLOCK_MASK) << PMFS2_BLOCK_SHIFT, 1), 0);
	CHECK_EQ(rig_lookup(rig, ZUS_NODE_ROOT, "file", &attr), -EIO);
	said("inode table");
	scene_end(&sc);
}

static void lost_journal(void)
{
	struct scene sc = scene_new();
	struct rig *rig = &sc.rig;
	const struct pmfs2_super *sb = fs_of(rig->fs)->sb;
	struct zus_attr attr;

	CHECK_EQ(pmem_poison(rig->pm, le64_get(sb->journal_block) << PMFS2_BLOCK_SHIFT,
			     (uint64_t)le32_get(sb->n_rings) * le32_get(sb->ring_blocks) * BLOCK),
		 0);
	CHECK_EQ(rig_create(rig, ZUS_NODE_ROOT, "new", S_IFREG | 0644, &attr), -EIO);
	said("journal, ring");
	CHECK_EQ(rig_lookup(rig, ZUS_NODE_ROOT, "new", &attr), -ENOENT);
	scene_end(&sc);
}

static void lost_state_block(void)
{
	struct scene sc = scene_new();
	struct rig *rig = &sc.rig;
	struct zus_statfs st;

	CHECK_EQ(pmem_poison(rig->pm, BLOCK, 1), 0);
	CHECK_EQ(rig->fs->ops->statfs(rig->fs, &st), -EIO);
	CHECK_EQ(rig->fs->ops->statfs(rig->fs, &st), -EIO);
	said("state block");
	scene_end(&sc);
}

/* Met first by a checkpoint: the horizon cannot be moved, so that nothing may be overwritten in the rings. */
static void lost_state_block_met_by_a_checkpoint(void)
{
	struct scene sc = scene_new();
	struct rig *rig = &sc.rig;

	CHECK_EQ(pmem_poison(rig->pm, BLOCK, 1), 0);
	journal_checkpoint(fs_of(rig->fs));
	said("state block");
	scene_end(&sc);
}

struct racer {
	struct rig rig;
	uint64_t node;
	_Atomic int started;
	int result;
	pthread_t thread;
};

static void *racer_run(void *arg)
{
	struct racer *r = arg;
	struct zus_setattr set = { .valid = ZUS_SET_MODE, .mode = 0600 };
	struct zus_attr attr;

	r->result = r->rig.fs->ops->setattr(r->rig.fs, r->node, &set, &attr);
	return NULL;
}

/* The checkpoint has all locks: the other one gets as far as its ring's. Then the state block goes. */
static void racer_start(void *arg)
{
	struct racer *r = arg;

	if (atomic_exchange(&r->started, 1))
		return;
	CHECK_EQ(pthread_create(&r->thread, NULL, racer_run, r), 0);
	usleep(200000);
	CHECK_EQ(pmem_poison(r->rig.pm, BLOCK, 1), 0);
}

/* The rings are empty behind such a checkpoint, but the old horizon counts: what is in them must not be overwritten. */
static void commit_that_waits_for_a_failing_checkpoint(void)
{
	struct racer r = { .rig = rig_new(SIZE, 1) };

	CHECK_EQ(pmem_faults_catch(), 0);
	r.node = rig_mknod(&r.rig, ZUS_NODE_ROOT, "file", S_IFREG | 0644);
	pmem_sim_set_hook(r.rig.pm, racer_start, &r);
	journal_checkpoint(fs_of(r.rig.fs));
	CHECK(atomic_load(&r.started));
	pthread_join(r.thread, NULL);
	CHECK_EQ(r.result, -EROFS);
	pmem_sim_set_hook(r.rig.pm, NULL, NULL);
	r.rig.fs->ops->unmount(r.rig.fs);
}

static void lost_intents(void)
{
	struct scene sc = scene_new();
	struct rig *rig = &sc.rig;
	struct zus_new new = { .mode = S_IFREG | 0600 };
	struct zus_attr attr;

	const struct pmfs2_super *sb = fs_of(rig->fs)->sb;

	CHECK_EQ(pmem_poison(rig->pm, le64_get(sb->intent_block) * BLOCK, le32_get(sb->n_intent_blocks) * BLOCK), 0);
	CHECK_EQ(rig->fs->ops->tmpfile(rig->fs, ZUS_NODE_ROOT, &new, &attr), -EIO);
	said("intents");
	scene_end(&sc);
}

/* --- mounting ------------------------------------------------------------------------------------------------------------- */

/* The contents of a mount that ended without a last checkpoint. */
static struct pmem *crashed_image(struct scene *sc)
{
	return rig_copy(sc->rig.pm->base, sc->rig.pm->size);
}

static void mount_with_a_lost_superblock_is_read_only(void)
{
	struct scene sc = scene_new();
	struct rig *rig = &sc.rig;

	rig->pm = crashed_image(&sc);
	CHECK_EQ(pmem_poison(rig->pm, 0, 1), 0);
	mount_it(rig);
	CHECK(rig->fs->flags & ZUS_MOUNT_RDONLY);
	said("its copy");
	scene_end(&sc);
}

/* Its records were replayed, and will be again: the counts must not have them twice. */
static void counts_stay_where_the_superblock_was_lost(void)
{
	struct scene sc = scene_new();
	struct rig rig = sc.rig;
	struct zus_statfs want, got;
	uint8_t *mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(mem != MAP_FAILED);
	memcpy(mem, sc.rig.pm->base, SIZE);
	CHECK_EQ(sc.rig.fs->ops->statfs(sc.rig.fs, &want), 0);
	CHECK_EQ(pmem_open_external(mem, SIZE, &rig.pm), 0);
	CHECK_EQ(pmem_poison(rig.pm, 0, 1), 0);
	mount_it(&rig);
	rig.fs->ops->unmount(rig.fs);
	memcpy(mem, sc.rig.pm->base, BLOCK);
	CHECK_EQ(pmem_open_external(mem, SIZE, &rig.pm), 0);
	CHECK_EQ(pmfs2_mount_pmem(rig.pm, &host, ZUS_MOUNT_RDONLY, &rig.fs), 0);
	CHECK_EQ(rig.fs->ops->statfs(rig.fs, &got), 0);
	CHECK_EQ(got.bfree, want.bfree);
	CHECK_EQ(got.files - got.ffree, want.files - want.ffree);
	rig.fs->ops->unmount(rig.fs);
	munmap(mem, SIZE);
}

static void mount_with_both_superblocks_lost_fails(void)
{
	struct scene sc = scene_new();
	struct pmem *pm = crashed_image(&sc);
	struct zus_fs *fs;

	CHECK_EQ(pmem_poison(pm, 0, 1), 0);
	CHECK_EQ(pmem_poison(pm, (fs_of(sc.rig.fs)->n_blocks - 1) * BLOCK, 1), 0);
	CHECK_EQ(pmfs2_mount_pmem(pm, &host, 0, &fs), -EIO);
	said("superblock");
	said("fsck.pmfs2");
	pmem_close(pm);
}

static void mount_with_lost_metadata_fails(void)
{
	struct scene sc = scene_new();
	const struct pmfs2_super *sb = fs_of(sc.rig.fs)->sb;
	const uint64_t bad[] = { BLOCK, le64_get(sb->journal_block) * BLOCK, le64_get(sb->intent_block) * BLOCK,
				 inode_off(&sc.rig, ZUS_NODE_ROOT) };
	const char *const area[] = { "state block", "journal, ring 0", "intents", "data area" };

	for (uint32_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct pmem *pm = crashed_image(&sc);
		struct zus_fs *fs;

		messages.text[0] = '\0';
		CHECK_EQ(pmem_poison(pm, bad[i], 1), 0);
		CHECK_EQ(pmfs2_mount_pmem(pm, &host, 0, &fs), -EIO);
		said(area[i]);
		said("fsck.pmfs2");
		CHECK(memcmp(pm->base + 2 * BLOCK, sc.rig.pm->base + 2 * BLOCK, BLOCK) == 0 || bad[i] == 2 * BLOCK);
		pmem_close(pm);
	}
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(lost_inode_page),
		TAP_CASE(lost_inode_page_when_not_cached),
		TAP_CASE(lost_map_node),
		TAP_CASE(lost_map_node_met_by_a_write),
		TAP_CASE(lost_directory_root),
		TAP_CASE(lost_directory_bucket),
		TAP_CASE(lost_directory_bucket_met_by_changes),
		TAP_CASE(lost_xattr_block),
		TAP_CASE(lost_bitmap),
		TAP_CASE(lost_inode_table_node),
		TAP_CASE(lost_journal),
		TAP_CASE(lost_state_block),
		TAP_CASE(lost_state_block_met_by_a_checkpoint),
		TAP_CASE(commit_that_waits_for_a_failing_checkpoint),
		TAP_CASE(lost_intents),
		TAP_CASE(mount_with_a_lost_superblock_is_read_only),
		TAP_CASE(counts_stay_where_the_superblock_was_lost),
		TAP_CASE(mount_with_both_superblocks_lost_fails),
		TAP_CASE(mount_with_lost_metadata_fails),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
