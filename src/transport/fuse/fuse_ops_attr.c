/* SPDX-License-Identifier: BSD-3-Clause */
/* Attributes of inodes and of the whole file system. */
#include <errno.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "transport/fuse/fuse_ops.h"

#define NSEC_PER_SEC 1000000000u

static int answer_attr(struct fuse_task *task, const struct zus_attr *attr)
{
	struct fuse_attr_out *out = fuse_task_answer(task, sizeof(*out));

	out->attr_valid = fuse_attr_valid_s(attr->mode);
	fuse_attr_fill(&out->attr, attr);
	return 0;
}

int fuse_op_getattr(struct fuse_task *task)
{
	struct zus_fs *fs = task->conn->fs;
	struct zus_attr attr;
	int err = fs->ops->getattr(fs, task->req.node, &attr);

	return err ? err : answer_attr(task, &attr);
}

/* "Now" comes with both bits set. */
static uint32_t setattr_valid(uint32_t fattr)
{
	static const struct {
		uint32_t fattr;
		uint32_t set;
	} map[] = {
		{ FATTR_MODE, ZUS_SET_MODE },
		{ FATTR_UID, ZUS_SET_UID },
		{ FATTR_GID, ZUS_SET_GID },
		{ FATTR_SIZE, ZUS_SET_SIZE },
		{ FATTR_ATIME, ZUS_SET_ATIME },
		{ FATTR_MTIME, ZUS_SET_MTIME },
		{ FATTR_ATIME_NOW, ZUS_SET_ATIME_NOW },
		{ FATTR_MTIME_NOW, ZUS_SET_MTIME_NOW },
		{ FATTR_KILL_SUIDGID, ZUS_SET_KILL_PRIV },
	};
	uint32_t valid = 0;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (fattr & map[i].fattr)
			valid |= map[i].set;
	if (valid & ZUS_SET_ATIME_NOW)
		valid &= ~ZUS_SET_ATIME;
	if (valid & ZUS_SET_MTIME_NOW)
		valid &= ~ZUS_SET_MTIME;
	return valid;
}

int fuse_op_setattr(struct fuse_task *task)
{
	const struct fuse_setattr_in *in = task->req.arg;
	struct zus_setattr set = {
		.valid = setattr_valid(in->valid),
		.mode = in->mode & 07777,
		.uid = in->uid,
		.gid = in->gid,
		.size = in->size,
		.atime = { .sec = (int64_t)in->atime, .nsec = in->atimensec },
		.mtime = { .sec = (int64_t)in->mtime, .nsec = in->mtimensec },
	};
	struct zus_attr attr;
	int err;

	if ((set.valid & ZUS_SET_ATIME) && in->atimensec >= NSEC_PER_SEC)
		return -EINVAL;
	if ((set.valid & ZUS_SET_MTIME) && in->mtimensec >= NSEC_PER_SEC)
		return -EINVAL;
	/* Nothing named: chown(2) with -1 twice, which still clears suid and sgid. */
	if (!set.valid)
		set.valid = ZUS_SET_KILL_PRIV;
	err = vfs_setattr(task->conn->vfs, task->req.node, &set, &attr);
	return err ? err : answer_attr(task, &attr);
}

static struct fusex_sx_time sx_time(struct zus_time t)
{
	return (struct fusex_sx_time){ .tv_sec = t.sec, .tv_nsec = t.nsec };
}

int fuse_op_statx(struct fuse_task *task)
{
	struct zus_fs *fs = task->conn->fs;
	struct fusex_statx_out *out;
	struct zus_attr attr;
	int err;

	err = fs->ops->getattr(fs, task->req.node, &attr);
	if (err)
		return err;
	out = fuse_task_answer(task, sizeof(*out));
	out->attr_valid = fuse_attr_valid_s(attr.mode);
	out->stat.mask = STATX_BASIC_STATS | STATX_BTIME;
	out->stat.blksize = attr.blksize;
	out->stat.nlink = attr.nlink;
	out->stat.uid = attr.uid;
	out->stat.gid = attr.gid;
	out->stat.mode = (uint16_t)attr.mode;
	out->stat.ino = attr.ino;
	out->stat.size = attr.size;
	out->stat.blocks = attr.blocks;
	out->stat.atime = sx_time(attr.atime);
	out->stat.btime = sx_time(attr.btime);
	out->stat.ctime = sx_time(attr.ctime);
	out->stat.mtime = sx_time(attr.mtime);
	out->stat.rdev_major = major(attr.rdev);
	out->stat.rdev_minor = minor(attr.rdev);
	return 0;
}

int fuse_op_statfs(struct fuse_task *task)
{
	struct zus_fs *fs = task->conn->fs;
	struct fuse_statfs_out *out;
	struct zus_statfs st;
	int err;

	fuse_task_settle(task);
	err = fs->ops->statfs(fs, &st);
	if (err)
		return err;
	out = fuse_task_answer(task, sizeof(*out));
	out->st.blocks = st.blocks;
	out->st.bfree = st.bfree;
	out->st.bavail = st.bavail;
	out->st.files = st.files;
	out->st.ffree = st.ffree;
	out->st.bsize = st.bsize;
	out->st.frsize = st.bsize;
	out->st.namelen = st.namelen;
	return 0;
}
