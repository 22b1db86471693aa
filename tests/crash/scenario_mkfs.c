/* SPDX-License-Identifier: BSD-3-Clause */
/* A crash in mkfs leaves the old file system, none, or the new one: never half of one. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "crash/scenario.h"
#include "fsck/fsck.h"
#include "pmfs2/mkfs.h"
#include "pmfs2/mount.h"
#include "pmfs2/ops.h"

static const struct mkfs_params old_params = { .uuid = { 1 }, .n_rings = 2, .ring_blocks = 8 };
static const struct mkfs_params new_params = { .uuid = { 2 }, .n_rings = 4, .ring_blocks = 8 };
static const struct zus_name old_name = { "old", 3 };

static int old_file(struct zus_fs *fs)
{
	struct zus_attr attr;
	int err = fs->ops->lookup(fs, ZUS_NODE_ROOT, old_name, &attr);

	if (!err)
		fs->ops->forget(fs, attr.node, 1);
	return err;
}

/* A device has had another life: what is not written is not zero. */
static int prepare_nothing(void *ctx, struct pmem *pm)
{
	memset(pm->base, 0xd7, pm->size);
	return 0;
}

static int prepare_old(void *ctx, struct pmem *pm)
{
	const struct zus_new new = { .mode = S_IFREG | 0644 };
	struct zus_attr attr;
	struct zus_fs *fs;
	int err;

	memset(pm->base, 0xd7, pm->size);
	err = mkfs_format(pm, &old_params, NULL);

	if (!err)
		err = pmfs2_mount_pmem(pm, NULL, 0, &fs);
	if (err)
		return err;
	err = fs->ops->create(fs, ZUS_NODE_ROOT, old_name, &new, &attr);
	if (!err)
		fs->ops->forget(fs, attr.node, 1);
	(void)fs_detach(fs_of(fs));
	return err;
}

static int act_mkfs(void *ctx, struct pmem *pm)
{
	return mkfs_format(pm, &new_params, NULL);
}

/* What mkfs leaves behind when it has returned is in order to the last bit. */
static int check_finished(struct pmem *pm, char *why, size_t why_size)
{
	const struct fsck_options opt = { .mode = FSCK_CHECK, .force = 1, .threads = 1 };
	struct fsck_result res;
	int err = fsck_run(pm, &opt, &res);

	if (!err && !res.n_found)
		return 0;
	snprintf(why, why_size, "mkfs had returned, and fsck finds %u problems (%d)", res.n_found, err);
	return 1;
}

/* A file system that mounts is the old one with its file, or the new one, empty and of use. */
static int check_whole(void *ctx, struct pmem *pm, int finished, char *why, size_t why_size)
{
	const struct zus_new new = { .mode = S_IFREG | 0644 };
	struct zus_attr attr;
	struct zus_fs *fs;
	int is_new, err;

	if (finished && check_finished(pm, why, why_size))
		return 1;
	err = pmfs2_mount_pmem(pm, NULL, 0, &fs);
	if (err) {
		snprintf(why, why_size, "mount: %s", strerror(-err));
		return finished || (err != -EINVAL && err != -EUCLEAN);
	}
	is_new = fs_of(fs)->sb->uuid[0] == new_params.uuid[0];
	err = old_file(fs);
	if (finished && !is_new) {
		snprintf(why, why_size, "mkfs had returned, and the old file system is there");
		err = 1;
	} else if (err != (is_new ? -ENOENT : 0)) {
		snprintf(why, why_size, "%s file system, and its old file: %s", is_new ? "new" : "old", strerror(-err));
		err = 1;
	} else {
		err = fs->ops->create(fs, ZUS_NODE_ROOT, (struct zus_name){ "x", 1 }, &new, &attr);
		snprintf(why, why_size, "create: %s", strerror(-err));
		if (!err)
			fs->ops->forget(fs, attr.node, 1);
	}
	(void)fs_detach(fs_of(fs));
	return err != 0;
}

const struct scenario scenario_mkfs_empty = {
	.mib = 4,
	.k = 2,
	.fine_bytes = 4096, /* a superblock */
	.cap = 3000,
	.prepare = prepare_nothing,
	.act = act_mkfs,
	.check = check_whole,
};

const struct scenario scenario_mkfs_over = {
	.mib = 4,
	.k = 2,
	.fine_bytes = 4096, /* a superblock */
	.cap = 3000,
	.prepare = prepare_old,
	.act = act_mkfs,
	.check = check_whole,
};
