/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioctls: inode flags and project ids. The kernel turns chattr's and its own calls into these after its checks of who may
 * (CAP_LINUX_IMMUTABLE, ownership).
 */
#include <errno.h>
#include <linux/fs.h>
#include <string.h>

#include "transport/fuse/fuse_ops.h"

static const struct {
	uint32_t flag;
	uint32_t xflag;
} xflag_map[] = {
	{ ZUS_FL_SYNC, FS_XFLAG_SYNC },
	{ ZUS_FL_IMMUTABLE, FS_XFLAG_IMMUTABLE },
	{ ZUS_FL_APPEND, FS_XFLAG_APPEND },
	{ ZUS_FL_NODUMP, FS_XFLAG_NODUMP },
	{ ZUS_FL_NOATIME, FS_XFLAG_NOATIME },
	{ ZUS_FL_PROJINHERIT, FS_XFLAG_PROJINHERIT },
};
#define MINOR_CHECKS_FILEATTR 34u /* Linux 5.14 */
#define MINOR_ASKS_AGAIN 44u /* Linux 6.16 and 6.17 */
#define N_XFLAGS (sizeof(xflag_map) / sizeof(xflag_map[0]))

static int answer_ioctl(struct fuse_task *task, const void *data, uint32_t len)
{
	uint8_t *out = fuse_task_answer(task, sizeof(struct fuse_ioctl_out) + len);

	if (len)
		memcpy(out + sizeof(struct fuse_ioctl_out), data, len);
	return 0;
}

static int get_flags(struct fuse_task *task, const struct zus_attr *attr)
{
	uint32_t flags = attr->flags & ZUS_FL_USER;

	return answer_ioctl(task, &flags, sizeof(flags));
}

static int get_fsxattr(struct fuse_task *task, const struct zus_attr *attr)
{
	struct fsxattr fsx = { .fsx_projid = attr->projid };

	for (size_t i = 0; i < N_XFLAGS; i++)
		if (attr->flags & xflag_map[i].flag)
			fsx.fsx_xflags |= xflag_map[i].xflag;
	return answer_ioctl(task, &fsx, sizeof(fsx));
}

static int apply(struct fuse_task *task, const struct zus_setattr *set)
{
	struct zus_attr attr;
	int err = vfs_setattr(task->conn->vfs, task->req.node, set, &attr);

	return err ? err : answer_ioctl(task, NULL, 0);
}

static int set_flags(struct fuse_task *task, const struct zus_attr *attr)
{
	struct zus_setattr set = { .valid = ZUS_SET_FLAGS, .projid = attr->projid };

	if (task->req.data_len < sizeof(set.flags))
		return -EINVAL;
	memcpy(&set.flags, task->req.data, sizeof(set.flags));
	if (set.flags & ~ZUS_FL_USER)
		return -EOPNOTSUPP;
	return apply(task, &set);
}

static int set_fsxattr(struct fuse_task *task, const struct zus_attr *attr)
{
	struct zus_setattr set = { .valid = ZUS_SET_FLAGS | ZUS_SET_PROJID };
	uint32_t known = 0;
	struct fsxattr fsx;

	if (task->req.data_len < sizeof(fsx))
		return -EINVAL;
	memcpy(&fsx, task->req.data, sizeof(fsx));
	set.flags = attr->flags & ZUS_FL_DIRSYNC; /* the only one without a bit in fsx_xflags */
	for (size_t i = 0; i < N_XFLAGS; i++) {
		known |= xflag_map[i].xflag;
		if (fsx.fsx_xflags & xflag_map[i].xflag)
			set.flags |= xflag_map[i].flag;
	}
	if ((fsx.fsx_xflags & ~(known | FS_XFLAG_HASATTR)) || fsx.fsx_extsize || fsx.fsx_cowextsize)
		return -EOPNOTSUPP;
	set.projid = fsx.fsx_projid;
	return apply(task, &set);
}

/*
 * Linux 6.17 takes EOPNOTSUPP for "no such operation" and sends the program's ioctl once more as it is, with what stands in the
 * program's memory by then, and without its checks of who may. It must not get that answer to a change.
 */
static int final_answer(const struct fuse_conn *conn, int err)
{
	return err == -EOPNOTSUPP && conn->kernel_minor == MINOR_ASKS_AGAIN ? -EINVAL : err;
}

int fuse_op_ioctl(struct fuse_task *task)
{
	const struct fuse_ioctl_in *in = task->req.arg;
	struct zus_fs *fs = task->conn->fs;
	struct zus_attr attr;
	int err;

	switch (in->cmd) {
	case FS_IOC_GETFLAGS:
	case FS_IOC_SETFLAGS:
	case FS_IOC_FSGETXATTR:
	case FS_IOC_FSSETXATTR:
		break;
	default:
		return -ENOTTY;
	}
	/* Before 7.34 (Linux 5.14) the kernel need not have checked who may. */
	if ((in->cmd == FS_IOC_SETFLAGS || in->cmd == FS_IOC_FSSETXATTR) && task->conn->kernel_minor < MINOR_CHECKS_FILEATTR)
		return -EOPNOTSUPP;
	err = fs->ops->getattr(fs, task->req.node, &attr);
	if (err)
		return err;
	switch (in->cmd) {
	case FS_IOC_GETFLAGS:
		return in->out_size < sizeof(uint32_t) ? -EINVAL : get_flags(task, &attr);
	case FS_IOC_SETFLAGS:
		return final_answer(task->conn, set_flags(task, &attr));
	case FS_IOC_FSGETXATTR:
		return in->out_size < sizeof(struct fsxattr) ? -EINVAL : get_fsxattr(task, &attr);
	default:
		return final_answer(task->conn, set_fsxattr(task, &attr));
	}
}
