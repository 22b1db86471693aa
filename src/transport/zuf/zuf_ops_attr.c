/* SPDX-License-Identifier: BSD-3-Clause */
/* Attributes. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "transport/zuf/zuf_task.h"

#define NSEC_PER_SEC 1000000000u

_Static_assert(ZUF_SET_MODE == ZUS_SET_MODE && ZUF_SET_PROJID == ZUS_SET_PROJID && ZUF_SET_KILL_PRIV == ZUS_SET_KILL_PRIV &&
		       ZUF_SET_MTIME_NOW == ZUS_SET_MTIME_NOW && ZUF_SET_SIZE == ZUS_SET_SIZE && ZUF_SET_FLAGS == ZUS_SET_FLAGS,
	       "the bits of both interfaces are the same");
#define SET_KNOWN                                                                                                                \
	(ZUF_SET_MODE | ZUF_SET_UID | ZUF_SET_GID | ZUF_SET_SIZE | ZUF_SET_ATIME | ZUF_SET_MTIME | ZUF_SET_ATIME_NOW |           \
	 ZUF_SET_MTIME_NOW | ZUF_SET_FLAGS | ZUF_SET_PROJID | ZUF_SET_KILL_PRIV)

static struct zuf_time time_out(struct zus_time t)
{
	return (struct zuf_time){ .sec = t.sec, .nsec = t.nsec };
}

void zuf_attr_fill(struct zuf_attr *out, const struct zus_attr *attr)
{
	out->node = attr->node;
	out->ino = attr->ino;
	out->size = attr->size;
	out->blocks = attr->blocks;
	out->rdev = (uint64_t)major(attr->rdev) << 32 | minor(attr->rdev);
	out->generation = attr->generation;
	out->mode = attr->mode;
	out->nlink = attr->nlink;
	out->uid = attr->uid;
	out->gid = attr->gid;
	out->flags = attr->flags;
	out->projid = attr->projid;
	out->hints = 0;
	out->atime = time_out(attr->atime);
	out->mtime = time_out(attr->mtime);
	out->ctime = time_out(attr->ctime);
	out->btime = time_out(attr->btime);
}

void zuf_task_attr(struct zuf_task *task, const struct zus_attr *attr)
{
	zuf_attr_fill(&task->rep->attr, attr);
	task->rep->has_attr = 1;
}

void zuf_task_attr_of(struct zuf_task *task, uint64_t node)
{
	struct zus_fs *fs = task->mount->fs;
	struct zus_attr attr;

	if (!fs->ops->getattr(fs, node, &attr))
		zuf_task_attr(task, &attr);
}

void zuf_task_out_attr(struct zuf_task *task, uint64_t node)
{
	struct zuf_attr *out = (struct zuf_attr *)(task->out + task->rep->out_len);
	struct zus_fs *fs = task->mount->fs;
	struct zus_attr attr;

	if (task->rep->out_len + sizeof(*out) > ZUF_OUT_LEN || fs->ops->getattr(fs, node, &attr))
		return;
	zuf_attr_fill(out, &attr);
	task->rep->out_len += sizeof(*out);
}

uint32_t zuf_hints(struct zuf_task *task, uint64_t node)
{
	struct zus_fs *fs = task->mount->fs;

	if (fs->ops->listxattr && fs->ops->listxattr(fs, node, NULL, 0) != 0)
		return 0;
	return ZUF_HINT_NO_ACL | ZUF_HINT_NO_DEFAULT_ACL | ZUF_HINT_NO_CAPABILITY;
}

int zuf_op_getattr(struct zuf_task *task)
{
	struct zus_fs *fs = task->mount->fs;
	struct zus_attr attr;
	int err = fs->ops->getattr(fs, task->req->node, &attr);

	if (!err)
		zuf_task_attr(task, &attr);
	return err;
}

static int time_in(const struct zuf_time *in, struct zus_time *out)
{
	*out = (struct zus_time){ .sec = in->sec, .nsec = in->nsec };
	return in->nsec < NSEC_PER_SEC ? 0 : -EINVAL;
}

int zuf_op_setattr(struct zuf_task *task)
{
	const struct zuf_request *req = task->req;
	struct zus_setattr set = {
		.valid = req->valid,
		.mode = req->mode & 07777,
		.uid = req->uid,
		.gid = req->gid,
		.flags = req->fl_flags,
		.projid = req->projid,
		.size = req->off,
	};
	struct zus_attr attr;
	int err;

	if ((req->valid & ~(uint32_t)SET_KNOWN) || !req->valid)
		return -EINVAL;
	if (time_in(&req->atime, &set.atime) || time_in(&req->mtime, &set.mtime))
		return -EINVAL;
	err = vfs_setattr(task->mount->vfs, req->node, &set, &attr);
	if (!err)
		zuf_task_attr(task, &attr);
	return err;
}

/* The plug-in notes a read as it does where it hands out extents: the mount is strictatime for it, since the kernel decides. */
int zuf_op_atime(struct zuf_task *task)
{
	struct zus_fs *fs = task->mount->fs;
	struct zus_extent ext[1];
	struct zus_io io = { .node = task->req->node, .len = 1, .ext = ext, .ext_cap = 1 };
	int err = fs->ops->io_begin(fs, &io);

	if (!err)
		err = fs->ops->io_end(fs, &io, io.mapped);
	if (!err || err == -EISDIR || err == -EINVAL)
		err = zuf_op_getattr(task);
	return err;
}
