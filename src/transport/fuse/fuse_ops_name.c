/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names: lookup, everything that creates, link, unlink, rename, readlink, forget.
 *
 * Every answer that carries an entry carries one reference on its node (task->ref_node), which the channel gives back if the
 * answer is not delivered.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/util.h"
#include "transport/fuse/fuse_ops.h"

static int answer_entry(struct fuse_task *task, const struct zus_attr *attr)
{
	task->ref_node = attr->node;
	fuse_entry_fill(fuse_task_answer(task, sizeof(struct fuse_entry_out)), attr);
	return 0;
}

/* "There is no such name", to be remembered. */
static int answer_no_entry(struct fuse_task *task)
{
	struct fuse_entry_out *out = fuse_task_answer(task, sizeof(*out));

	out->entry_valid = FUSE_VALID_S;
	return 0;
}

int fuse_op_lookup(struct fuse_task *task)
{
	struct zus_fs *fs = task->conn->fs;
	struct zus_attr attr;
	int err = fs->ops->lookup(fs, task->req.node, task->req.name, &attr);

	if (err == -ENOENT)
		return answer_no_entry(task);
	return err ? err : answer_entry(task, &attr);
}

/* What all creating operations fill alike. */
static struct vfs_create create_args(const struct fuse_request *req, uint32_t mode, uint32_t umask)
{
	return (struct vfs_create){
		.dir = req->node,
		.name = req->name,
		.mode = mode,
		.umask = umask,
		.uid = req->uid,
		.gid = req->gid,
	};
}

static int create_and_answer(struct fuse_task *task, const struct vfs_create *args)
{
	struct zus_attr attr;
	int err = vfs_create(task->conn->vfs, args, &attr);

	return err ? err : answer_entry(task, &attr);
}

static uint64_t rdev_decode(uint32_t dev)
{
	return makedev((dev & 0xfff00) >> 8, (dev & 0xff) | ((dev >> 12) & 0xfff00));
}

int fuse_op_mknod(struct fuse_task *task)
{
	const struct fuse_mknod_in *in = task->req.arg;
	struct vfs_create args = create_args(&task->req, in->mode, in->umask);

	if (!(in->mode & S_IFMT))
		args.mode |= S_IFREG;
	if (S_ISDIR(args.mode) || S_ISLNK(args.mode))
		return -EINVAL;
	if (S_ISBLK(args.mode) || S_ISCHR(args.mode))
		args.rdev = rdev_decode(in->rdev);
	return create_and_answer(task, &args);
}

int fuse_op_mkdir(struct fuse_task *task)
{
	const struct fuse_mkdir_in *in = task->req.arg;
	struct vfs_create args = create_args(&task->req, (in->mode & 07777) | S_IFDIR, in->umask);

	return create_and_answer(task, &args);
}

int fuse_op_symlink(struct fuse_task *task)
{
	struct vfs_create args = create_args(&task->req, S_IFLNK | 0777, 0);

	args.symlink = (struct zus_blob){ .data = task->req.name2.str, .len = task->req.name2.len };
	return create_and_answer(task, &args);
}

/* Data of a created file are cached, or not, as of an opened one. */
static uint32_t open_flags(const struct fuse_conn *conn)
{
	if (conn->cache == FUSE_CACHE_NONE)
		return FOPEN_DIRECT_IO | FUSEX_FOPEN_PARALLEL_DIRECT_WRITES | FOPEN_KEEP_CACHE | FOPEN_NOFLUSH;
	return FOPEN_KEEP_CACHE | FOPEN_NOFLUSH;
}

static int create_and_open(struct fuse_task *task, const struct vfs_create *args)
{
	struct fuse_open_out *open;
	uint32_t flags = open_flags(task->conn);
	struct zus_attr attr;
	uint8_t *out;
	int err;

	err = vfs_create(task->conn->vfs, args, &attr);
	if (err)
		return err;
	task->ref_node = attr.node;
	out = fuse_task_answer(task, sizeof(struct fuse_entry_out) + sizeof(*open));
	fuse_entry_fill((struct fuse_entry_out *)out, &attr);
	open = (struct fuse_open_out *)(out + sizeof(struct fuse_entry_out));
	open->open_flags = flags;
	return 0;
}

/*
 * The kernel holds the directory and knows that the name is not there. If it is there all the same, ESTALE makes it look again,
 * and then check the permissions of what it finds, which nobody else would.
 */
int fuse_op_create(struct fuse_task *task)
{
	const struct fuse_create_in *in = task->req.arg;
	struct vfs_create args = create_args(&task->req, (in->mode & 07777) | S_IFREG, in->umask);
	uint32_t flags = in->flags;
	int err = create_and_open(task, &args);

	return err == -EEXIST && !(flags & O_EXCL) ? -ESTALE : err;
}

int fuse_op_tmpfile(struct fuse_task *task)
{
	const struct fuse_create_in *in = task->req.arg;
	struct vfs_create args = create_args(&task->req, (in->mode & 07777) | S_IFREG, in->umask);

	args.name = (struct zus_name){ .str = "", .len = 0 };
	return create_and_open(task, &args);
}

int fuse_op_open(struct fuse_task *task)
{
	const struct fuse_open_in *in = task->req.arg;
	struct fuse_conn *conn = task->conn;
	struct fuse_open_out *out;
	struct zus_attr attr;
	int err;

	if (conn->no_open)
		return -ENOSYS;
	if ((in->flags & O_ACCMODE) != O_RDONLY) {
		err = conn->fs->ops->getattr(conn->fs, task->req.node, &attr);
		if (err)
			return err;
		if ((attr.flags & ZUS_FL_IMMUTABLE) || ((attr.flags & ZUS_FL_APPEND) && !(in->flags & O_APPEND)))
			return -EPERM;
	}
	out = fuse_task_answer(task, sizeof(*out));
	out->open_flags = open_flags(conn);
	return 0;
}

int fuse_op_link(struct fuse_task *task)
{
	const struct fuse_link_in *in = task->req.arg;
	struct zus_attr attr;
	int err = vfs_link(task->conn->vfs, in->oldnodeid, task->req.node, task->req.name, &attr);

	return err ? err : answer_entry(task, &attr);
}

int fuse_op_unlink(struct fuse_task *task)
{
	struct zus_fs *fs = task->conn->fs;

	return fs->ops->unlink(fs, task->req.node, task->req.name);
}

int fuse_op_rmdir(struct fuse_task *task)
{
	struct zus_fs *fs = task->conn->fs;

	return fs->ops->rmdir(fs, task->req.node, task->req.name);
}

static int do_rename(struct fuse_task *task, uint64_t new_dir, uint32_t flags)
{
	const struct fuse_request *req = &task->req;
	struct zus_rename ren = {
		.old_dir = req->node,
		.new_dir = new_dir,
		.old_name = req->name,
		.new_name = req->name2,
		.flags = flags,
		.whiteout_uid = req->uid,
		.whiteout_gid = req->gid,
	};

	if (flags & ~(ZUS_RENAME_NOREPLACE | ZUS_RENAME_EXCHANGE | ZUS_RENAME_WHITEOUT))
		return -EINVAL;
	if ((flags & ZUS_RENAME_EXCHANGE) && flags != ZUS_RENAME_EXCHANGE)
		return -EINVAL;
	return vfs_rename(task->conn->vfs, &ren);
}

int fuse_op_rename(struct fuse_task *task)
{
	const struct fuse_rename_in *in = task->req.arg;

	return do_rename(task, in->newdir, 0);
}

int fuse_op_rename2(struct fuse_task *task)
{
	const struct fuse_rename2_in *in = task->req.arg;

	return do_rename(task, in->newdir, in->flags);
}

int fuse_op_readlink(struct fuse_task *task)
{
	struct zus_fs *fs = task->conn->fs;
	int len = fs->ops->readlink(fs, task->req.node, (char *)task->out, PATH_MAX - 1);

	if (len < 0)
		return len;
	if (len >= PATH_MAX)
		return -EUCLEAN;
	task->out_len = (uint32_t)len;
	return 0;
}

int fuse_op_forget(struct fuse_task *task)
{
	const struct fuse_forget_in *in = task->req.arg;
	struct zus_fs *fs = task->conn->fs;

	fs->ops->forget(fs, task->req.node, in->nlookup);
	return 0;
}

int fuse_op_batch_forget(struct fuse_task *task)
{
	const struct fuse_forget_one *one = task->req.data;
	struct zus_fs *fs = task->conn->fs;

	for (uint32_t i = 0; i < task->req.count; i++)
		fs->ops->forget(fs, one[i].nodeid, one[i].nlookup);
	return 0;
}
