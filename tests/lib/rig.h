/* SPDX-License-Identifier: BSD-3-Clause */
/* A mounted pmfs2 in memory for unit tests, and short forms of the operations. */
#ifndef TESTS_RIG_H
#define TESTS_RIG_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "pmem/pmem.h"
#include "pmem/sim.h"
#include "pmfs2/fs.h"
#include "pmfs2/journal.h"
#include "pmfs2/mkfs.h"
#include "pmfs2/mount.h"
#include "pmfs2/ops.h"
#include "zus/plugin.h"

#include "lib/tap.h"

struct rig {
	struct pmem *pm;
	struct zus_fs *fs;
};

static inline struct rig rig_new(uint64_t size, int sim)
{
	struct mkfs_params params = { .label = "test" };
	struct rig rig;

	CHECK_EQ(sim ? pmem_sim_new(size, 0, &rig.pm) : pmem_open_anon(size, &rig.pm), 0);
	CHECK_EQ(mkfs_format(rig.pm, &params, NULL), 0);
	CHECK_EQ(pmfs2_mount_pmem(rig.pm, NULL, 0, &rig.fs), 0);
	return rig;
}

/* A device of its own with the contents of another one: the image that a crash leaves. */
static inline struct pmem *rig_copy(const void *image, uint64_t size)
{
	struct pmem *pm;

	CHECK_EQ(pmem_open_anon(size, &pm), 0);
	memcpy(pm->base, image, size);
	return pm;
}

/* Crash without power loss: mounts a copy of the memory as it is. The old mount is abandoned. */
static inline void rig_crash(struct rig *rig)
{
	struct pmem *pm = rig_copy(rig->pm->base, rig->pm->size);

	fs_abandon(fs_of(rig->fs));
	rig->pm = pm;
	CHECK_EQ(pmfs2_mount_pmem(pm, NULL, 0, &rig->fs), 0);
}

/* As a clean unmount and mount: a checkpoint first. */
static inline void rig_remount(struct rig *rig)
{
	journal_checkpoint(fs_of(rig->fs));
	rig_crash(rig);
}

static inline struct zus_name rig_name(const char *s)
{
	return (struct zus_name){ s, (uint32_t)strlen(s) };
}

static inline int rig_create(struct rig *rig, uint64_t dir, const char *name, uint32_t mode, struct zus_attr *out)
{
	struct zus_new new = { .mode = mode };

	if (S_ISLNK(mode))
		new.symlink = (struct zus_blob){ "target", 6 };
	return rig->fs->ops->create(rig->fs, dir, rig_name(name), &new, out);
}

/* Creates and gives the reference back. */
static inline uint64_t rig_mknod(struct rig *rig, uint64_t dir, const char *name, uint32_t mode)
{
	struct zus_attr attr;

	CHECK_EQ(rig_create(rig, dir, name, mode, &attr), 0);
	rig->fs->ops->forget(rig->fs, attr.node, 1);
	return attr.node;
}

/* Looks up and gives the reference back. 0 and the node, or -errno. */
static inline int rig_lookup(struct rig *rig, uint64_t dir, const char *name, struct zus_attr *out)
{
	int err = rig->fs->ops->lookup(rig->fs, dir, rig_name(name), out);

	if (!err)
		rig->fs->ops->forget(rig->fs, out->node, 1);
	return err;
}

static inline int rig_rename(struct rig *rig, uint64_t from, const char *a, uint64_t to, const char *b, uint32_t flags)
{
	struct zus_rename ren = {
		.old_dir = from, .new_dir = to, .old_name = rig_name(a), .new_name = rig_name(b), .flags = flags
	};

	return rig->fs->ops->rename(rig->fs, &ren);
}

/* Writes through io_begin, dev_write, io_end. Bytes written, or -errno. */
static inline int64_t rig_write(struct rig *rig, uint64_t node, uint64_t off, const void *buf, uint64_t len)
{
	uint64_t total = 0;

	while (total < len) {
		struct zus_extent ext[16];
		struct zus_io io = { .node = node, .off = off + total, .len = len - total, .flags = ZUS_IO_WRITE, .ext = ext };
		uint64_t done = 0;
		int err;

		io.ext_cap = 16;
		err = rig->fs->ops->io_begin(rig->fs, &io);
		if (err)
			return total ? (int64_t)total : err;
		for (uint32_t i = 0; i < io.n_ext; i++) {
			rig->fs->ops->dev_write(rig->fs, ext[i].dev_off, (const char *)buf + total + done, ext[i].len);
			done += ext[i].len;
		}
		err = rig->fs->ops->io_end(rig->fs, &io, done);
		if (err)
			return total ? (int64_t)total : err;
		total += done;
	}
	return (int64_t)total;
}

static inline int64_t rig_read(struct rig *rig, uint64_t node, uint64_t off, void *buf, uint64_t len)
{
	uint64_t total = 0;

	while (total < len) {
		struct zus_extent ext[16];
		struct zus_io io = { .node = node, .off = off + total, .len = len - total, .ext = ext, .ext_cap = 16 };
		uint64_t done = 0;
		int err = rig->fs->ops->io_begin(rig->fs, &io);

		if (err)
			return err;
		for (uint32_t i = 0; i < io.n_ext; i++) {
			char *to = (char *)buf + total + done;

			if (ext[i].flags & ZUS_EXT_HOLE)
				memset(to, 0, ext[i].len);
			else
				memcpy(to, (char *)rig->fs->base + ext[i].dev_off, ext[i].len);
			done += ext[i].len;
		}
		err = rig->fs->ops->io_end(rig->fs, &io, done);
		if (err)
			return err;
		if (!done)
			break;
		total += done;
	}
	return (int64_t)total;
}

static inline uint64_t rig_free_blocks(struct rig *rig)
{
	struct zus_statfs st;

	CHECK_EQ(rig->fs->ops->statfs(rig->fs, &st), 0);
	return st.bfree;
}

#endif
