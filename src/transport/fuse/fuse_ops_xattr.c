/* SPDX-License-Identifier: BSD-3-Clause */
/* Extended attributes. A plug-in without them answers ENOSYS, which the kernel remembers. */
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "transport/fuse/fuse_ops.h"

int fuse_op_setxattr(struct fuse_task *task)
{
	const struct fuse_setxattr_in *in = task->req.arg;
	struct zus_setxattr set = {
		.name = task->req.name,
		.value = { .data = task->req.data, .len = task->req.data_len },
		.flags = in->flags,
	};
	uint32_t vfs_flags = 0;

	if (!task->conn->fs->ops->setxattr)
		return -ENOSYS;
	if (in->flags & ~(ZUS_XATTR_CREATE | ZUS_XATTR_REPLACE))
		return -EINVAL;
	if (task->conn->dialect.setxattr_ext && (in->setxattr_flags & FUSEX_SETXATTR_ACL_KILL_SGID))
		vfs_flags |= VFS_XATTR_KILL_SGID;
	return vfs_setxattr(task->conn->vfs, task->req.node, &set, vfs_flags);
}

/* asked: the caller's room; 0: only the size. len: what the plug-in returned. */
static int answer_size_or_value(struct fuse_task *task, uint32_t asked, int len)
{
	struct fuse_getxattr_out *out;

	if (len < 0)
		return len;
	if (!asked) {
		out = fuse_task_answer(task, sizeof(*out));
		out->size = (uint32_t)len;
		return 0;
	}
	if ((uint32_t)len > asked)
		return -EUCLEAN;
	task->out_len = (uint32_t)len;
	return 0;
}

static uint32_t room(const struct fuse_task *task, uint32_t asked)
{
	return (uint32_t)u64_min(asked, u64_min(task->out_cap, ZUS_XATTR_SIZE_MAX));
}

int fuse_op_getxattr(struct fuse_task *task)
{
	const struct fuse_getxattr_in *in = task->req.arg;
	struct zus_fs *fs = task->conn->fs;
	struct zus_name name = { .len = task->req.name.len };
	char copy[ZUS_NAME_MAX];
	uint32_t asked = room(task, in->size);

	if (!fs->ops->getxattr)
		return -ENOSYS;
	/* The value is written to where the name may be. */
	name.str = memcpy(copy, task->req.name.str, name.len);
	return answer_size_or_value(task, asked, fs->ops->getxattr(fs, task->req.node, name, asked ? task->out : NULL, asked));
}

int fuse_op_listxattr(struct fuse_task *task)
{
	const struct fuse_getxattr_in *in = task->req.arg;
	struct zus_fs *fs = task->conn->fs;
	uint32_t asked = room(task, in->size);

	if (!fs->ops->listxattr)
		return -ENOSYS;
	return answer_size_or_value(task, asked,
				    vfs_listxattr(task->conn->vfs, task->req.node, asked ? (char *)task->out : NULL, asked,
						  task->req.uid != 0));
}

int fuse_op_removexattr(struct fuse_task *task)
{
	if (!task->conn->fs->ops->removexattr)
		return -ENOSYS;
	return vfs_removexattr(task->conn->vfs, task->req.node, task->req.name);
}
