/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data. A read's bytes go from the device mapping to the kernel: through the ring's payload area on io_uring (one copy), without
 * any copy of ours on the classic channel (one writev from the extents). A write's bytes go from the request to the device.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/util.h"
#include "transport/fuse/fuse_ops.h"

/* What a hole reads as; longer holes take several pieces. */
#define ZEROS_LEN 65536u
static const uint8_t zeros[ZEROS_LEN];

/* Pieces of one gathered answer: the header, extents, and some for long holes. */
#define GATHER_N_IOV (VFS_N_EXTENTS + 64u)
/* Below this the copy is cheaper than the longer way through the kernel's iovec. */
#define GATHER_MIN_BYTES 1024u
#define TOUCH_BYTES 4096u

static int gather_add_zeros(struct iovec *iov, int n, uint64_t len)
{
	while (len) {
		uint64_t part = u64_min(len, ZEROS_LEN);

		if (n == (int)GATHER_N_IOV)
			return -E2BIG;
		iov[n].iov_base = (void *)zeros;
		iov[n].iov_len = part;
		n++;
		len -= part;
	}
	return n;
}

/* iov[0] is the channel's. Number of pieces, or -E2BIG. */
static int gather_build(const struct zus_fs *fs, const struct zus_io *io, struct iovec *iov)
{
	int n = 1;

	for (uint32_t i = 0; i < io->n_ext && n > 0; i++) {
		const struct zus_extent *e = &io->ext[i];

		if (e->flags & ZUS_EXT_HOLE) {
			n = gather_add_zeros(iov, n, e->len);
			continue;
		}
		if (n == (int)GATHER_N_IOV)
			return -E2BIG;
		iov[n].iov_base = (uint8_t *)fs->base + e->dev_off;
		iov[n].iov_len = e->len;
		n++;
	}
	return n;
}

/*
 * The kernel could not copy out of the mapping, and has failed the request. A load of ours tells the plug-in which page it is: it
 * catches the fault (the transfer is still open), and logs it.
 */
static void gather_touch(const struct iovec *iov, int n)
{
	for (int i = 1; i < n; i++)
		for (size_t at = 0; at < iov[i].iov_len; at += TOUCH_BYTES - ((uintptr_t)iov[i].iov_base + at) % TOUCH_BYTES)
			(void)__atomic_load_n((const uint8_t *)iov[i].iov_base + at, __ATOMIC_RELAXED);
}

/* -E2BIG: may need more than one transfer, or too many pieces; nothing was sent. */
static int read_gather(struct fuse_task *task, const struct vfs_range *range)
{
	struct zus_extent ext[VFS_N_EXTENTS];
	struct zus_io io = { .ext = ext, .ext_cap = VFS_N_EXTENTS };
	struct iovec iov[GATHER_N_IOV];
	int err, n;

	err = vfs_read_begin(task->conn->vfs, range, &io);
	if (err)
		return err;
	n = gather_build(task->conn->fs, &io, iov);
	/* The kernel takes a short answer for the end of the file; a plug-in may have stopped for reasons of its own. */
	if (n > 0 && io.mapped && io.mapped < range->len)
		n = -E2BIG;
	if (n > 0) {
		task->n_bytes = io.mapped;
		task->sent = true;
		err = task->send_gather(task, iov, n);
		if (err == -EFAULT) {
			gather_touch(iov, n);
			err = -EIO;
		}
	} else {
		err = n;
	}
	vfs_read_end(task->conn->vfs, &io);
	return err;
}

int fuse_op_read(struct fuse_task *task)
{
	const struct fuse_read_in *in = task->req.arg;
	struct vfs_range range = { .node = task->req.node, .off = in->offset };
	ssize_t n;

	range.len = u64_min(in->size, task->out_cap);
	if (in->flags & O_NOATIME)
		range.flags |= ZUS_IO_NOATIME;
	if (task->send_gather && range.len >= GATHER_MIN_BYTES) {
		int err = read_gather(task, &range);

		if (err != -E2BIG || task->sent)
			return err;
	}
	n = vfs_read(task->conn->vfs, &range, task->out);
	if (n < 0)
		return (int)n;
	task->out_len = (uint32_t)n;
	task->n_bytes = (uint64_t)n;
	return 0;
}

/* All of it or an error: of a mapping's pages the kernel looks at the error alone, and counts a short write as a whole one. */
static ssize_t write_whole(struct vfs *vfs, const struct vfs_range *range, const uint8_t *data)
{
	struct vfs_range rest = *range;
	ssize_t n;

	while (rest.len) {
		n = vfs_write(vfs, &rest, data + (range->len - rest.len));
		if (n <= 0)
			return n ? n : -EIO;
		rest.off += (uint64_t)n;
		rest.len -= (uint64_t)n;
	}
	return (ssize_t)range->len;
}

int fuse_op_write(struct fuse_task *task)
{
	const struct fuse_write_in *in = task->req.arg;
	struct vfs_range range = { .node = task->req.node, .off = in->offset, .len = in->size };
	struct fuse_write_out *out;
	ssize_t n;

	if (in->write_flags & FUSE_WRITE_KILL_SUIDGID) {
		range.flags |= ZUS_IO_KILL_PRIV;
	} else if (task->conn->cache == FUSE_CACHE_NONE && !(in->write_flags & FUSE_WRITE_CACHE)) {
		/* Of a direct write by root the kernel leaves them to us. */
		n = vfs_drop_capability(task->conn->vfs, task->req.node);
		if (n)
			return (int)n;
	}
	if (in->flags & (O_SYNC | O_DSYNC))
		range.flags |= ZUS_IO_SYNC;
	if (in->write_flags & FUSE_WRITE_CACHE)
		n = write_whole(task->conn->vfs, &range, task->req.data);
	else
		n = vfs_write(task->conn->vfs, &range, task->req.data);
	if (n < 0)
		return (int)n;
	out = fuse_task_answer(task, sizeof(*out));
	out->size = (uint32_t)n;
	task->n_bytes = (uint64_t)n;
	return 0;
}

int fuse_op_fallocate(struct fuse_task *task)
{
	const struct fuse_fallocate_in *in = task->req.arg;
	struct zus_fs *fs = task->conn->fs;

	if (!fs->ops->fallocate)
		return -EOPNOTSUPP;
	return fs->ops->fallocate(fs, task->req.node, in->mode, in->offset, in->length);
}

int fuse_op_lseek(struct fuse_task *task)
{
	const struct fuse_lseek_in *in = task->req.arg;
	struct zus_fs *fs = task->conn->fs;
	struct fuse_lseek_out *out;
	uint64_t found;
	int err;

	if (!fs->ops->seek)
		return -ENOSYS;
	if (in->whence != ZUS_SEEK_DATA && in->whence != ZUS_SEEK_HOLE)
		return -EINVAL;
	if (in->offset > INT64_MAX)
		return -ENXIO;
	err = fs->ops->seek(fs, task->req.node, in->offset, (int)in->whence, &found);
	if (err)
		return err;
	out = fuse_task_answer(task, sizeof(*out));
	out->offset = found;
	return 0;
}

static ssize_t copy_range(struct fuse_task *task)
{
	const struct fuse_copy_file_range_in *in = task->req.arg;
	struct vfs_range src = { .node = task->req.node, .off = in->off_in };
	ssize_t n;

	if (in->flags)
		return -EINVAL;
	src.len = u64_min(in->len, 1u << 30); /* the answer's 32 bits hold it */
	n = vfs_copy_range(task->conn->vfs, &src, in->nodeid_out, in->off_out);
	if (n > 0)
		task->n_bytes = (uint64_t)n;
	return n;
}

int fuse_op_copy_file_range(struct fuse_task *task)
{
	ssize_t n = copy_range(task);
	struct fuse_write_out *out;

	if (n < 0)
		return (int)n;
	out = fuse_task_answer(task, sizeof(*out));
	out->size = (uint32_t)n;
	return 0;
}

int fuse_op_copy_file_range_64(struct fuse_task *task)
{
	struct fusex_copy_file_range_out *out;
	ssize_t n = copy_range(task);

	if (n < 0)
		return (int)n;
	out = fuse_task_answer(task, sizeof(*out));
	out->bytes_copied = (uint64_t)n;
	return 0;
}

/* Where a plug-in has nothing to do, the kernel need not ask again. */
int fuse_op_fsync(struct fuse_task *task)
{
	const struct fuse_fsync_in *in = task->req.arg;
	struct zus_fs *fs = task->conn->fs;

	if (!fs->ops->fsync)
		return -ENOSYS;
	return fs->ops->fsync(fs, task->req.node, !!(in->fsync_flags & FUSE_FSYNC_FDATASYNC));
}

int fuse_op_syncfs(struct fuse_task *task)
{
	struct zus_fs *fs = task->conn->fs;

	return fs->ops->sync ? fs->ops->sync(fs) : 0;
}
