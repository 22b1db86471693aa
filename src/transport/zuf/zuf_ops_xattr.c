/* SPDX-License-Identifier: BSD-3-Clause */
/* Extended attributes. Values are as long as the plug-in's limit; the in and out areas hold one. */
#include <errno.h>

#include "base/util.h"
#include "transport/zuf/zuf_task.h"

/* len: of what a call found; with room for it, it stands in the out area. */
static int answer_len(struct zuf_task *task, int len)
{
	if (len < 0)
		return len;
	task->rep->value = (uint64_t)len;
	task->rep->out_len = task->req->len ? (uint32_t)u64_min((uint64_t)len, ZUF_OUT_LEN) : 0;
	return 0;
}

int zuf_op_getxattr(struct zuf_task *task)
{
	struct zus_fs *fs = task->mount->fs;

	if (!fs->ops->getxattr)
		return -EOPNOTSUPP;
	return answer_len(task, fs->ops->getxattr(fs, task->req->node, task->name, task->req->len ? task->out : NULL,
						  u64_min(task->req->len, ZUF_OUT_LEN)));
}

int zuf_op_listxattr(struct zuf_task *task)
{
	if (!task->mount->fs->ops->listxattr)
		return 0;
	return answer_len(task, vfs_listxattr(task->mount->vfs, task->req->node, task->req->len ? (char *)task->out : NULL,
					      u64_min(task->req->len, ZUF_OUT_LEN), task->req->flags & ZUF_XATTR_HIDE_TRUSTED));
}

int zuf_op_setxattr(struct zuf_task *task)
{
	const struct zuf_request *req = task->req;
	const struct zus_setxattr set = {
		.name = task->name,
		.value = { .data = task->in, .len = (uint32_t)u64_min(req->len, task->in_len) },
		.flags = req->flags & (ZUS_XATTR_CREATE | ZUS_XATTR_REPLACE),
	};
	int err;

	if (req->len > task->in_len)
		return -EINVAL;
	err = vfs_setxattr(task->mount->vfs, req->node, &set, req->flags & ZUF_XATTR_KILL_SGID ? VFS_XATTR_KILL_SGID : 0);
	if (!err)
		zuf_task_attr_of(task, req->node);
	return err;
}

int zuf_op_removexattr(struct zuf_task *task)
{
	int err = vfs_removexattr(task->mount->vfs, task->req->node, task->name);

	if (!err)
		zuf_task_attr_of(task, task->req->node);
	return err;
}
