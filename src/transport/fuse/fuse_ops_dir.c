/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading directories, with and without the attributes of what is in them. */
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "transport/fuse/fuse_ops.h"

struct fill {
	uint8_t *at;
	uint32_t left; /* bytes */
	int plus;
};

int fuse_op_opendir(struct fuse_task *task)
{
	struct fuse_open_out *out;

	if (task->conn->no_opendir)
		return -ENOSYS;
	out = fuse_task_answer(task, sizeof(*out));
	out->open_flags = FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR;
	return 0;
}

static void fill_dirent(struct fuse_dirent *out, const struct zus_dirent *entry)
{
	out->ino = entry->ino;
	out->off = entry->next_cookie;
	out->namelen = entry->name.len;
	out->type = entry->type;
	memcpy(out->name, entry->name.str, entry->name.len);
}

/* "." and ".." come without attributes and references; node id 0 says so to the kernel. */
static int is_dots(struct zus_name name)
{
	return name.str[0] == '.' && (name.len == 1 || (name.len == 2 && name.str[1] == '.'));
}

static int fill_entry(void *ctx, const struct zus_dirent *entry, const struct zus_attr *attr)
{
	struct fill *fill = ctx;
	struct fuse_entry_out *plus = (struct fuse_entry_out *)fill->at;
	uint32_t head = fill->plus ? sizeof(*plus) : 0;
	uint32_t len = (uint32_t)FUSE_DIRENT_ALIGN(head + FUSE_NAME_OFFSET + (size_t)entry->name.len);

	if (len > fill->left || !entry->name.len || entry->name.len > ZUS_NAME_MAX)
		return 0;
	memset(fill->at, 0, len);
	if (fill->plus && attr && !is_dots(entry->name))
		fuse_entry_fill(plus, attr);
	fill_dirent((struct fuse_dirent *)(fill->at + head), entry);
	fill->at += len;
	fill->left -= len;
	return 1;
}

/* An error behind the first entry waits for the next call, which will meet it first. */
static int read_entries(struct fuse_task *task, int plus)
{
	const struct fuse_read_in *in = task->req.arg;
	struct zus_fs *fs = task->conn->fs;
	struct fill fill = {
		.at = task->out,
		.left = (uint32_t)u64_min(in->size, task->out_cap),
		.plus = plus,
	};
	int err = fs->ops->readdir(fs, task->req.node, in->offset, plus, fill_entry, &fill);

	task->out_len = (uint32_t)(fill.at - task->out);
	return task->out_len ? 0 : err;
}

int fuse_op_readdir(struct fuse_task *task)
{
	return read_entries(task, 0);
}

int fuse_op_readdirplus(struct fuse_task *task)
{
	return read_entries(task, 1);
}

void fuse_readdirplus_undeliver(struct fuse_task *task)
{
	struct zus_fs *fs = task->conn->fs;
	uint32_t at = 0;

	while (task->out_len - at >= FUSE_NAME_OFFSET_DIRENTPLUS) {
		const struct fuse_direntplus *entry = (const struct fuse_direntplus *)(task->out + at);
		size_t len = FUSE_DIRENTPLUS_SIZE(entry);

		if (len > task->out_len - at)
			break;
		if (entry->entry_out.nodeid)
			fs->ops->forget(fs, entry->entry_out.nodeid, 1);
		at += (uint32_t)len;
	}
}
