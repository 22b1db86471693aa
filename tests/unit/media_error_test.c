/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Media errors under file data: that read alone fails, other files and the rest of the file go on, nothing becomes read-only. And
 * what must hold for all of them: nothing is made of substituted bytes, other threads are not disturbed. Pages go bad by
 * pmem_poison.
 */
#include <linux/falloc.h>
#include <pthread.h>
#include <sys/mman.h>

#include "pmfs2/alloc.h"

#include "media_rig.h"

/* --- data ----------------------------------------------------------------------------------------------------------------- */

static void bad_data_page_fails_that_read_alone(void)
{
	struct rig rig = media_rig();
	uint64_t a = file_new(&rig, "a", 16 * BLOCK, 1), b = file_new(&rig, "b", 16 * BLOCK, 2),
		 bad = data_off(&rig, a, 5 * BLOCK);
	char show[200];

	CHECK_EQ(pmem_poison(rig.pm, bad, 1), 0);
	CHECK_EQ(read_check(&rig, a, 0, 16 * BLOCK, 1), -EIO);
	CHECK_EQ(messages.n_errors, 1);
	said("byte 20480");
	CHECK_EQ(read_check(&rig, a, 0, 5 * BLOCK, 1), 0);
	CHECK_EQ(read_check(&rig, a, 6 * BLOCK, 10 * BLOCK, 1), 0);
	CHECK_EQ(read_check(&rig, a, 5 * BLOCK + 100, 10, 1), -EIO);
	CHECK_EQ(read_check(&rig, a, 6 * BLOCK - 1, 10, 1), -EIO);
	CHECK_EQ(read_check(&rig, b, 0, 16 * BLOCK, 2), 0);
	CHECK_EQ(messages.n_errors, 1);
	CHECK_EQ(pmem_n_bad(rig.pm), 1);
	CHECK(!is_damaged(&rig));
	rig_mknod(&rig, ZUS_NODE_ROOT, "c", S_IFREG | 0644);
	CHECK_EQ(rig.fs->ops->show(rig.fs, show, sizeof(show)), 0);
	CHECK(strstr(show, "MEDIA ERRORS: 4096 bytes"));
	rig.fs->ops->unmount(rig.fs);
}

static void bad_data_page_cannot_be_written_but_replaced(void)
{
	struct rig rig = media_rig();
	uint64_t a = file_new(&rig, "a", 16 * BLOCK, 1), bad = data_off(&rig, a, 5 * BLOCK), before,
		 leaked = rig_free_blocks(&rig);
	uint8_t buf[2 * BLOCK];
	const le64 *word;
	uint32_t bit;

	fill(buf, sizeof(buf), 9);
	CHECK_EQ(pmem_poison(rig.pm, bad, 1), 0);
	CHECK_EQ(rig_write(&rig, a, 5 * BLOCK, buf, BLOCK), -EIO);
	CHECK_EQ(rig_write(&rig, a, 5 * BLOCK + 1, buf, 1), -EIO);
	CHECK_EQ(rig_write(&rig, a, 6 * BLOCK, buf, BLOCK), (int64_t)BLOCK);
	CHECK_EQ(messages.n_errors, 1);
	/* A part of the page cannot be punched, the whole can. Its block is not used again. */
	CHECK_EQ(rig.fs->ops->fallocate(rig.fs, a, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5 * BLOCK, 10), -EIO);
	CHECK_EQ(rig.fs->ops->fallocate(rig.fs, a, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5 * BLOCK, BLOCK), 0);
	CHECK_EQ(rig_write(&rig, a, 5 * BLOCK, buf, BLOCK), (int64_t)BLOCK);
	CHECK(data_off(&rig, a, 5 * BLOCK) != bad);
	CHECK_EQ(rig_read(&rig, a, 5 * BLOCK, buf + BLOCK, BLOCK), (int64_t)BLOCK);
	CHECK(!memcmp(buf, buf + BLOCK, BLOCK));
	CHECK_EQ(rig_free_blocks(&rig), leaked - 1);
	before = rig_free_blocks(&rig);
	CHECK_EQ(rig.fs->ops->unlink(rig.fs, ZUS_NODE_ROOT, rig_name("a")), 0);
	CHECK(rig_free_blocks(&rig) > before);
	CHECK(!is_damaged(&rig));
	/* On media the block stays used. */
	mprotect(rig.pm->base + bad, BLOCK, PROT_READ | PROT_WRITE);
	again(&rig);
	word = alloc_bitmap_word(fs_of(rig.fs), bad >> PMFS2_BLOCK_SHIFT, &bit);
	CHECK(le64_load(word) >> bit & 1);
	rig.fs->ops->unmount(rig.fs);
}

static void huge_leaf_with_a_bad_page(void)
{
	struct rig rig = media_rig();
	uint64_t a = file_new(&rig, "a", 4 * MIB, 1), bad = data_off(&rig, a, MIB);

	CHECK_EQ(pmem_poison(rig.pm, bad, 1), 0);
	CHECK_EQ(read_check(&rig, a, 0, MIB, 1), 0);
	CHECK_EQ(read_check(&rig, a, MIB, 1, 1), -EIO);
	CHECK_EQ(read_check(&rig, a, MIB + BLOCK, 2 * MIB, 1), 0);
	CHECK_EQ(rig.fs->ops->fallocate(rig.fs, a, FALLOC_FL_ZERO_RANGE, MIB / 2, MIB), -EIO);
	CHECK_EQ(truncate_to(&rig, a, 0), 0);
	CHECK(!is_damaged(&rig));
	CHECK_EQ(read_check(&rig, file_new(&rig, "b", 4 * MIB, 5), 0, 4 * MIB, 5), 0);
	rig.fs->ops->unmount(rig.fs);
}

static void bad_tail_fails_growing(void)
{
	struct rig rig = media_rig();
	uint64_t a = file_new(&rig, "a", 2 * BLOCK, 1);
	uint8_t byte = 1;

	CHECK_EQ(truncate_to(&rig, a, BLOCK + 10), 0);
	CHECK_EQ(pmem_poison(rig.pm, data_off(&rig, a, BLOCK), 1), 0);
	CHECK_EQ(truncate_to(&rig, a, 3 * BLOCK), -EIO);
	CHECK_EQ(rig_write(&rig, a, 3 * BLOCK, &byte, 1), -EIO);
	CHECK_EQ(truncate_to(&rig, a, BLOCK), 0);
	CHECK_EQ(truncate_to(&rig, a, 3 * BLOCK), 0);
	CHECK_EQ(read_check(&rig, a, 0, BLOCK, 1), 0);
	CHECK(!is_damaged(&rig));
	rig.fs->ops->unmount(rig.fs);
}

static void bad_symlink_body(void)
{
	struct rig rig = media_rig();
	char target[400], buf[400];
	struct zus_new new = { .mode = S_IFLNK | 0777, .symlink = { target, sizeof(target) } };
	struct zus_attr attr;

	memset(target, 't', sizeof(target));
	CHECK_EQ(rig.fs->ops->create(rig.fs, ZUS_NODE_ROOT, rig_name("link"), &new, &attr), 0);
	CHECK_EQ(rig.fs->ops->readlink(rig.fs, attr.node, buf, sizeof(buf)), 400);
	CHECK_EQ(pmem_poison(rig.pm, pointed_off(&rig, attr.node, 0), 1), 0);
	CHECK_EQ(rig.fs->ops->readlink(rig.fs, attr.node, buf, sizeof(buf)), -EIO);
	CHECK(!is_damaged(&rig));
	CHECK_EQ(rig.fs->ops->unlink(rig.fs, ZUS_NODE_ROOT, rig_name("link")), 0);
	rig.fs->ops->unmount(rig.fs);
}

/* A block that is bad before anything reaches it: the write fails, the next one takes another block. */
static void bad_free_block(void)
{
	struct rig rig = media_rig();
	uint64_t a = file_new(&rig, "a", 4 * BLOCK, 1), next = data_off(&rig, a, 3 * BLOCK) + BLOCK;
	uint8_t buf[2 * BLOCK];
	int64_t n;

	fill(buf, sizeof(buf), 3);
	CHECK_EQ(pmem_poison(rig.pm, next, BLOCK), 0);
	n = rig_write(&rig, a, 4 * BLOCK, buf, BLOCK);
	CHECK_EQ(n, -EIO);
	CHECK_EQ(rig_write(&rig, a, 4 * BLOCK, buf, BLOCK), (int64_t)BLOCK);
	CHECK(data_off(&rig, a, 4 * BLOCK) != next);
	CHECK_EQ(rig_read(&rig, a, 4 * BLOCK, buf + BLOCK, BLOCK), (int64_t)BLOCK);
	CHECK(!memcmp(buf, buf + BLOCK, BLOCK));
	/* The same for metadata: attributes go to the block behind the last one taken. */
	CHECK_EQ(xattr_set(&rig, a, 2000), 0);
	next = pointed_off(&rig, a, 1) + BLOCK;
	CHECK_EQ(pmem_poison(rig.pm, next, BLOCK), 0);
	CHECK_EQ(xattr_set(&rig, a, 2500), -EIO);
	CHECK_EQ(rig.fs->ops->getxattr(rig.fs, a, rig_name("user.x"), NULL, 0), 2000);
	CHECK_EQ(xattr_set(&rig, a, 2500), 0);
	CHECK(pointed_off(&rig, a, 1) != next);
	CHECK_EQ(rig.fs->ops->getxattr(rig.fs, a, rig_name("user.x"), NULL, 0), 2500);
	CHECK(!is_damaged(&rig));
	rig.fs->ops->unmount(rig.fs);
}

/* --- what is on media afterwards, and threads ----------------------------------------------------------------------------- */

/* Every page of metadata that a set of changes meets: with the page back, the file system is the old one or the new one, and
 * whole. */
static void nothing_is_made_of_substituted_bytes(void)
{
	for (int kind = 0; kind < 5; kind++) {
		struct scene sc = scene_new();
		struct rig *rig = &sc.rig;
		uint64_t off = kind == 0   ? inode_off(rig, sc.file)
			       : kind == 1 ? pointed_off(rig, sc.file, 0)
			       : kind == 2 ? pointed_off(rig, sc.dir, 0)
			       : kind == 3 ? pointed_off(rig, sc.file, 1)
					   : BLOCK;
		struct zus_attr attr;
		uint8_t page[BLOCK];
		struct pmem *pm;
		int n;

		off = round_down_to(off, BLOCK);
		memcpy(page, rig->pm->base + off, BLOCK);
		CHECK_EQ(pmem_poison(rig->pm, off, 1), 0);
		rig_write(rig, sc.file, 30 * BLOCK, "x", 1);
		truncate_to(rig, sc.file, 5 * BLOCK);
		xattr_set(rig, sc.file, 1000);
		rig_rename(rig, sc.dir, "name-number-3", ZUS_NODE_ROOT, "moved", 0);
		rig->fs->ops->unlink(rig->fs, ZUS_NODE_ROOT, rig_name("file"));
		journal_checkpoint(fs_of(rig->fs));
		pm = rig_copy(rig->pm->base, rig->pm->size);
		memcpy(pm->base + off, page, BLOCK);
		rig->fs->ops->unmount(rig->fs);
		rig->pm = pm;
		messages.n_errors = 0;
		mount_it(rig);
		CHECK_EQ(dir_read(rig, sc.dir, &n), 0);
		CHECK(n == 602 || n == 601);
		if (!rig_lookup(rig, ZUS_NODE_ROOT, "file", &attr)) {
			CHECK(attr.size == 8 * BLOCK || attr.size == 30 * BLOCK + 1 || attr.size == 5 * BLOCK);
			CHECK_EQ(read_check(rig, sc.file, 0, 5 * BLOCK, 8), 0);
		}
		CHECK_EQ(read_check(rig, sc.good, 0, 8 * BLOCK, 7), 0);
		CHECK_EQ(messages.n_errors, 0);
		rig->fs->ops->unmount(rig->fs);
	}
}

struct worker {
	struct rig *rig;
	uint64_t node;
	uint8_t seed;
	int may_be_read_only;
	_Atomic int *stop;
	pthread_t thread;
};

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	struct zus_attr attr;
	char name[32];
	int err;

	for (int i = 0; !atomic_load(w->stop); i++) {
		CHECK_EQ(read_check(w->rig, w->node, 0, 8 * BLOCK, w->seed), 0);
		CHECK_EQ(w->rig->fs->ops->getattr(w->rig->fs, w->node, &attr), 0);
		snprintf(name, sizeof(name), "w%u-%d", w->seed, i);
		err = rig_create(w->rig, ZUS_NODE_ROOT, name, S_IFREG | 0644, &attr);
		CHECK(!err || (w->may_be_read_only && (err == -EROFS || err == -EIO)));
		if (!err) {
			err = w->rig->fs->ops->unlink(w->rig->fs, ZUS_NODE_ROOT, rig_name(name));
			CHECK(!err || (w->may_be_read_only && (err == -EROFS || err == -EIO)));
			w->rig->fs->ops->forget(w->rig->fs, attr.node, 1);
		}
	}
	return NULL;
}

static void workers_while(struct scene *sc, int may_be_read_only, void (*what)(struct scene *sc))
{
	_Atomic int stop = 0;
	struct worker w[2] = {
		{ .rig = &sc->rig, .seed = 7, .node = sc->good },
		{ .rig = &sc->rig, .seed = 9, .node = file_new(&sc->rig, "other", 8 * BLOCK, 9) },
	};

	for (int i = 0; i < 2; i++) {
		w[i].may_be_read_only = may_be_read_only;
		w[i].stop = &stop;
		CHECK_EQ(pthread_create(&w[i].thread, NULL, worker_run, &w[i]), 0);
	}
	usleep(20000);
	what(sc);
	usleep(50000);
	atomic_store(&stop, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(w[i].thread, NULL);
}

static void lose_data(struct scene *sc)
{
	for (uint64_t i = 0; i < 8; i++) {
		CHECK_EQ(pmem_poison(sc->rig.pm, data_off(&sc->rig, sc->file, i * BLOCK), 1), 0);
		CHECK_EQ(read_check(&sc->rig, sc->file, i * BLOCK, BLOCK, 8), -EIO);
		usleep(2000);
	}
}

static void lose_directory(struct scene *sc)
{
	struct zus_attr attr;

	CHECK_EQ(pmem_poison(sc->rig.pm, pointed_off(&sc->rig, sc->dir, 0), 1), 0);
	CHECK_EQ(rig_lookup(&sc->rig, sc->dir, "name-number-1", &attr), -EIO);
}

static void bad_data_while_others_work(void)
{
	struct scene sc = scene_new();

	workers_while(&sc, 0, lose_data);
	CHECK(!is_damaged(&sc.rig));
	sc.rig.fs->ops->unmount(sc.rig.fs);
}

static void lost_metadata_while_others_work(void)
{
	struct scene sc = scene_new();

	workers_while(&sc, 1, lose_directory);
	scene_end(&sc);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(bad_data_page_fails_that_read_alone),
		TAP_CASE(bad_data_page_cannot_be_written_but_replaced),
		TAP_CASE(huge_leaf_with_a_bad_page),
		TAP_CASE(bad_tail_fails_growing),
		TAP_CASE(bad_symlink_body),
		TAP_CASE(bad_free_block),
		TAP_CASE(nothing_is_made_of_substituted_bytes),
		TAP_CASE(bad_data_while_others_work),
		TAP_CASE(lost_metadata_while_others_work),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
