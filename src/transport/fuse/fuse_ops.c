/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of operations, and what they share (see fuse_ops.h). */
#include "transport/fuse/fuse_ops.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/util.h"
#include "transport/fuse/fuse_dev.h"

typedef int (*fuse_op_fn)(struct fuse_task *task);

static int op_nothing(struct fuse_task *task)
{
	task->out_len = 0;
	return 0;
}

/* The kernel remembers this answer and does not ask again: FLUSH has nothing to do where every write is synchronous. */
static int op_unneeded(struct fuse_task *task)
{
	(void)task;
	return -ENOSYS;
}

static const fuse_op_fn op_table[] = {
	[FUSE_LOOKUP] = fuse_op_lookup,
	[FUSE_FORGET] = fuse_op_forget,
	[FUSE_GETATTR] = fuse_op_getattr,
	[FUSE_SETATTR] = fuse_op_setattr,
	[FUSE_READLINK] = fuse_op_readlink,
	[FUSE_SYMLINK] = fuse_op_symlink,
	[FUSE_MKNOD] = fuse_op_mknod,
	[FUSE_MKDIR] = fuse_op_mkdir,
	[FUSE_UNLINK] = fuse_op_unlink,
	[FUSE_RMDIR] = fuse_op_rmdir,
	[FUSE_RENAME] = fuse_op_rename,
	[FUSE_LINK] = fuse_op_link,
	[FUSE_OPEN] = fuse_op_open,
	[FUSE_READ] = fuse_op_read,
	[FUSE_WRITE] = fuse_op_write,
	[FUSE_STATFS] = fuse_op_statfs,
	[FUSE_RELEASE] = op_nothing,
	[FUSE_FSYNC] = fuse_op_fsync,
	[FUSE_SETXATTR] = fuse_op_setxattr,
	[FUSE_GETXATTR] = fuse_op_getxattr,
	[FUSE_LISTXATTR] = fuse_op_listxattr,
	[FUSE_REMOVEXATTR] = fuse_op_removexattr,
	[FUSE_FLUSH] = op_unneeded,
	[FUSE_OPENDIR] = fuse_op_opendir,
	[FUSE_READDIR] = fuse_op_readdir,
	[FUSE_RELEASEDIR] = op_nothing,
	[FUSE_FSYNCDIR] = fuse_op_fsync,
	[FUSE_CREATE] = fuse_op_create,
	/* Operations are short; the interrupted caller gets the answer. */
	[FUSE_INTERRUPT] = op_nothing,
	[FUSE_DESTROY] = op_nothing,
	[FUSE_IOCTL] = fuse_op_ioctl,
	[FUSE_BATCH_FORGET] = fuse_op_batch_forget,
	[FUSE_FALLOCATE] = fuse_op_fallocate,
	[FUSE_READDIRPLUS] = fuse_op_readdirplus,
	[FUSE_RENAME2] = fuse_op_rename2,
	[FUSE_LSEEK] = fuse_op_lseek,
	[FUSE_COPY_FILE_RANGE] = fuse_op_copy_file_range,
	[FUSE_SYNCFS] = fuse_op_syncfs,
	[FUSE_TMPFILE] = fuse_op_tmpfile,
	[FUSEX_STATX] = fuse_op_statx,
	[FUSEX_COPY_FILE_RANGE_64] = fuse_op_copy_file_range_64,
};

int fuse_task_serve(struct fuse_task *task)
{
	uint32_t opcode = task->req.opcode;
	int err;

	task->out_len = 0;
	task->ref_node = 0;
	task->n_bytes = 0;
	task->sent = false;
	if (opcode >= ARRAY_SIZE(op_table) || !op_table[opcode])
		return -ENOSYS;
	err = op_table[opcode](task);
	if (unlikely(err == -ENOSPC) && fuse_task_settle(task))
		err = op_table[opcode](task);
	/* What the kernel would not take for an errno would break the request. */
	return err > 0 || err <= -512 ? -EIO : err;
}

bool fuse_task_settle(struct fuse_task *task)
{
	struct fuse_dev *lazy = task->conn->lazy;

	return lazy && !task->draining && fuse_dev_drain(lazy, task->stats);
}

void fuse_task_undeliver(struct fuse_task *task)
{
	struct zus_fs *fs = task->conn->fs;

	if (task->ref_node)
		fs->ops->forget(fs, task->ref_node, 1);
	task->ref_node = 0;
	if (task->req.opcode == FUSE_READDIRPLUS)
		fuse_readdirplus_undeliver(task);
}

void *fuse_task_answer(struct fuse_task *task, uint32_t len)
{
	task->out_len = len;
	return memset(task->out, 0, len);
}

/* The kernel's 32-bit form of a device number. */
static uint32_t rdev_encode(uint64_t rdev)
{
	uint32_t maj = major(rdev), min = minor(rdev);

	return (min & 0xff) | maj << 8 | (min & ~0xffu) << 12;
}

void fuse_attr_fill(struct fuse_attr *out, const struct zus_attr *attr)
{
	out->ino = attr->ino;
	out->size = attr->size;
	out->blocks = attr->blocks;
	out->atime = (uint64_t)attr->atime.sec;
	out->mtime = (uint64_t)attr->mtime.sec;
	out->ctime = (uint64_t)attr->ctime.sec;
	out->atimensec = attr->atime.nsec;
	out->mtimensec = attr->mtime.nsec;
	out->ctimensec = attr->ctime.nsec;
	out->mode = attr->mode;
	out->nlink = attr->nlink;
	out->uid = attr->uid;
	out->gid = attr->gid;
	out->rdev = rdev_encode(attr->rdev);
	out->blksize = attr->blksize;
	out->flags = 0;
}

uint64_t fuse_attr_valid_s(uint32_t mode)
{
	return S_ISREG(mode) && (mode & (S_ISUID | S_ISGID)) ? 0 : FUSE_VALID_S;
}

void fuse_entry_fill(struct fuse_entry_out *out, const struct zus_attr *attr)
{
	out->nodeid = attr->node;
	out->generation = attr->generation;
	out->entry_valid = FUSE_VALID_S;
	out->attr_valid = fuse_attr_valid_s(attr->mode);
	out->entry_valid_nsec = 0;
	out->attr_valid_nsec = 0;
	fuse_attr_fill(&out->attr, attr);
}
