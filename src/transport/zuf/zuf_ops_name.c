/* SPDX-License-Identifier: BSD-3-Clause */
/* Names, directories, references. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/util.h"
#include "transport/zuf/zuf_task.h"

static bool name_is_dots(struct zus_name name)
{
	return (name.len == 1 && name.str[0] == '.') || (name.len == 2 && name.str[0] == '.' && name.str[1] == '.');
}

int zuf_op_lookup(struct zuf_task *task)
{
	struct zus_fs *fs = task->mount->fs;
	struct zus_attr attr;
	int err;

	if (!name_is_dots(task->name) && !vfs_name_ok(task->name))
		return -EINVAL;
	err = fs->ops->lookup(fs, task->req->node, task->name, &attr);
	if (err)
		return err;
	zuf_task_attr(task, &attr);
	task->rep->attr.hints = zuf_hints(task, attr.node);
	return 0;
}

int zuf_op_create(struct zuf_task *task)
{
	const struct zuf_request *req = task->req;
	struct vfs_create args = {
		.dir = req->node,
		.name = task->name,
		.mode = req->mode,
		.umask = req->umask,
		.uid = req->uid,
		.gid = req->gid,
		.rdev = makedev((unsigned int)(req->rdev >> 32), (unsigned int)req->rdev),
	};
	struct zus_attr attr;
	int err;

	if (task->name.len && !vfs_name_ok(task->name))
		return -EINVAL;
	if (S_ISLNK(req->mode))
		args.symlink = (struct zus_blob){ .data = task->name2.str, .len = task->name2.len };
	err = vfs_create(task->mount->vfs, &args, &attr);
	if (err)
		return err;
	zuf_task_attr(task, &attr);
	task->rep->attr.hints = zuf_hints(task, attr.node);
	if (task->name.len)
		zuf_task_out_attr(task, req->node);
	return 0;
}

int zuf_op_link(struct zuf_task *task)
{
	struct zus_fs *fs = task->mount->fs;
	struct zus_attr attr;
	int err;

	if (!vfs_name_ok(task->name))
		return -EINVAL;
	err = vfs_link(task->mount->vfs, task->req->node, task->req->node2, task->name, &attr);
	if (err)
		return err;
	/* The kernel has its reference already. */
	fs->ops->forget(fs, attr.node, 1);
	zuf_task_attr(task, &attr);
	zuf_task_out_attr(task, task->req->node2);
	return 0;
}

/*
 * Where nobody knows the inode any more, it is forgotten first: then it is freed with its name, in one step.
 */
int zuf_op_unlink(struct zuf_task *task)
{
	const struct zuf_request *req = task->req;
	struct zus_fs *fs = task->mount->fs;
	int last = req->flags & ZUF_UNLINK_LAST, err;
	struct zus_attr attr;

	if (!vfs_name_ok(task->name))
		return -EINVAL;
	if (last && req->len)
		fs->ops->forget(fs, req->node2, req->len);
	err = req->op == ZUF_OP_UNLINK ? fs->ops->unlink(fs, req->node, task->name) : fs->ops->rmdir(fs, req->node, task->name);
	if (err) {
		if (last)
			fs->ops->lookup(fs, req->node2, (struct zus_name){ .str = ".", .len = 1 }, &attr);
		return err;
	}
	if (!last)
		zuf_task_attr_of(task, req->node2);
	zuf_task_out_attr(task, req->node);
	return 0;
}

int zuf_op_rename(struct zuf_task *task)
{
	const struct zuf_request *req = task->req;
	const struct zus_rename ren = {
		.old_dir = req->node,
		.new_dir = req->node2,
		.old_name = task->name,
		.new_name = task->name2,
		.flags = req->flags,
		.whiteout_uid = req->uid,
		.whiteout_gid = req->gid,
	};
	int err;

	if (!vfs_name_ok(task->name) || !vfs_name_ok(task->name2))
		return -EINVAL;
	err = vfs_rename(task->mount->vfs, &ren);
	if (err)
		return err;
	zuf_task_out_attr(task, req->node);
	if (req->node2 != req->node)
		zuf_task_out_attr(task, req->node2);
	zuf_task_out_attr(task, req->off);
	if (req->off2 && req->off2 != req->off)
		zuf_task_out_attr(task, req->off2);
	return 0;
}

int zuf_op_readlink(struct zuf_task *task)
{
	struct zus_fs *fs = task->mount->fs;
	int len = fs->ops->readlink(fs, task->req->node, (char *)task->out, 4095);

	if (len < 0)
		return len;
	task->rep->out_len = (uint32_t)u64_min((uint64_t)len, 4095);
	return 0;
}

struct fill {
	uint8_t *at;
	uint32_t left; /* bytes */
};

static int fill_entry(void *ctx, const struct zus_dirent *entry, const struct zus_attr *attr)
{
	struct fill *fill = ctx;
	struct zuf_dirent *out = (struct zuf_dirent *)fill->at;
	uint32_t len = (uint32_t)round_up_to(sizeof(*out) + entry->name.len, 8);

	(void)attr;
	if (len > fill->left || !entry->name.len || entry->name.len > ZUS_NAME_MAX)
		return 0;
	memset(out, 0, len);
	out->ino = entry->ino;
	out->next = entry->next_cookie;
	out->name_len = (uint16_t)entry->name.len;
	out->type = (uint8_t)entry->type;
	memcpy(out->name, entry->name.str, entry->name.len);
	fill->at += len;
	fill->left -= len;
	return 1;
}

/* An error behind the first entry waits for the next call, which will meet it first. */
int zuf_op_readdir(struct zuf_task *task)
{
	struct fill fill = { .at = task->out, .left = (uint32_t)u64_min(task->req->len, ZUF_OUT_LEN) };
	struct zus_fs *fs = task->mount->fs;
	int err = fs->ops->readdir(fs, task->req->node, task->req->off, 0, fill_entry, &fill);

	task->rep->out_len = (uint32_t)(fill.at - task->out);
	return task->rep->out_len ? 0 : err;
}

int zuf_op_forget(struct zuf_task *task)
{
	const uint64_t *nodes = (const uint64_t *)(const void *)task->in;
	struct zus_fs *fs = task->mount->fs;

	for (uint64_t i = 0; i < task->req->len && i < ZUF_FORGETS_MAX; i++)
		fs->ops->forget(fs, nodes[i], 1);
	return 0;
}

/* One that cannot be had is as good as gone; for want of memory all are, for now. */
int zuf_op_hold(struct zuf_task *task)
{
	const uint64_t *nodes = (const uint64_t *)(const void *)task->in;
	struct zuf_attr *out = (struct zuf_attr *)task->out;
	struct zus_fs *fs = task->mount->fs;
	const uint64_t n = task->req->len;
	struct zus_attr attr;

	if (n > ZUF_HOLDS_MAX)
		return -EINVAL;
	for (uint64_t i = 0; i < n; i++) {
		int err = fs->ops->lookup(fs, nodes[i], (struct zus_name){ .str = ".", .len = 1 }, &attr);

		if (err == -ENOMEM) {
			while (i--)
				if (out[i].node)
					fs->ops->forget(fs, nodes[i], 1);
			return err;
		}
		if (err)
			memset(&out[i], 0, sizeof(out[i]));
		else
			zuf_attr_fill(&out[i], &attr);
	}
	task->rep->out_len = (uint32_t)(n * sizeof(*out));
	return 0;
}
