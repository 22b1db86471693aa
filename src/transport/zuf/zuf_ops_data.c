/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data. The kernel copies; what passes through here are small writes, zeros for holes that a mapping stores to, and all data of
 * file systems that live in the server's memory.
 *
 * Order (WRITE, FILL): dev_write() of every extent, then io_end(), whose fence covers them. MAP_WRITE and COMMIT: the kernel
 * stores and fences in between.
 */
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "transport/zuf/zuf_task.h"

#define ZEROS_LEN 65536u
static const uint8_t zeros[ZEROS_LEN];

static void io_init(struct zus_io *io, const struct zuf_request *req, struct zus_extent *ext, uint32_t flags)
{
	*io = (struct zus_io){
		.node = req->node,
		.off = req->off,
		.len = req->len,
		.flags = flags,
		.ext = ext,
		.ext_cap = ZUF_EXTENTS_MAX,
	};
}

/* The plug-in's extents go to the reply; the kernel checks them against the device. */
static void reply_extents(struct zuf_task *task, const struct zus_io *io, uint64_t len)
{
	uint32_t n = 0;

	for (uint64_t done = 0; n < io->n_ext && n < ZUF_EXTENTS_MAX && done < len; n++) {
		const struct zus_extent *e = &io->ext[n];

		task->extents[n] = (struct zuf_extent){
			.len = u64_min(e->len, len - done),
			.dev_off = e->dev_off,
			.flags = e->flags,
		};
		done += e->len;
	}
	task->rep->n_ext = n;
	task->rep->value = len;
}

static uint32_t io_flags(const struct zuf_request *req)
{
	return (req->flags & ZUF_IO_KILL_PRIV ? ZUS_IO_KILL_PRIV : 0) | (req->flags & ZUF_IO_SYNC ? ZUS_IO_SYNC : 0);
}

static int extents_ok(const struct zus_fs *fs, const struct zus_io *io)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < io->n_ext; i++) {
		const struct zus_extent *e = &io->ext[i];

		if (!e->len || e->len > io->len - sum)
			return 0;
		if ((!(e->flags & ZUS_EXT_HOLE) || (e->flags & ZUS_EXT_UNWRITTEN)) &&
		    (e->dev_off > fs->size || e->len > fs->size - e->dev_off))
			return 0;
		sum += e->len;
	}
	return sum == io->mapped;
}

static int io_begin(struct zus_fs *fs, struct zus_io *io)
{
	int err;

	if (io->off > INT64_MAX || io->len > INT64_MAX - io->off)
		return -EINVAL;
	err = fs->ops->io_begin(fs, io);
	if (!err && !extents_ok(fs, io)) {
		fs->ops->io_end(fs, io, 0);
		err = -EUCLEAN;
	}
	return err;
}

/* Stores src (NULL: zeros) to the extents. */
static void io_store(struct zus_fs *fs, const struct zus_io *io, const uint8_t *src)
{
	for (uint32_t i = 0; i < io->n_ext; i++) {
		const struct zus_extent *e = &io->ext[i];

		for (uint64_t done = 0, n; done < e->len; done += n) {
			n = src ? e->len : u64_min(e->len - done, ZEROS_LEN);
			fs->ops->dev_write(fs, e->dev_off + done, src ? src : zeros, n);
		}
		src = src ? src + e->len : NULL;
	}
}

int zuf_op_read(struct zuf_task *task)
{
	const struct zuf_request *req = task->req;
	struct vfs_range range = {
		.node = req->node, .off = req->off, .len = u64_min(req->len, ZUF_OUT_LEN), .flags = ZUS_IO_NOATIME
	};
	ssize_t n = vfs_read(task->mount->vfs, &range, task->out);

	if (n < 0)
		return (int)n;
	task->rep->out_len = (uint32_t)n;
	task->rep->value = (uint64_t)n;
	return 0;
}

/* One transfer: what it did not cover, the kernel sends again. */
int zuf_op_write(struct zuf_task *task)
{
	struct zus_extent *ext = task->slot->ext;
	struct zus_fs *fs = task->mount->fs;
	struct zus_io io;
	uint64_t mapped;
	int err;

	if (task->req->len > task->in_len || !task->req->len)
		return -EINVAL;
	io_init(&io, task->req, ext, io_flags(task->req) | ZUS_IO_WRITE);
	err = io_begin(fs, &io);
	if (err)
		return err;
	mapped = io.mapped;
	io_store(fs, &io, task->in);
	err = fs->ops->io_end(fs, &io, mapped);
	if (err)
		return err;
	reply_extents(task, &io, mapped);
	zuf_task_attr_of(task, task->req->node);
	return 0;
}

int zuf_op_map(struct zuf_task *task)
{
	struct zus_fs *fs = task->mount->fs;
	struct zus_io io;
	int err;

	io_init(&io, task->req, task->slot->ext, ZUS_IO_NOATIME);
	if (task->slot->zt->features & ZUF_FEATURE_UNWRITTEN)
		io.flags |= ZUS_IO_UNWRITTEN;
	err = io_begin(fs, &io);
	if (err)
		return err;
	reply_extents(task, &io, io.mapped);
	return fs->ops->io_end(fs, &io, io.mapped);
}

/* --- large writes ----------------------------------------------------------------------------- */

void zuf_slot_drop_io(struct zuf_slot *slot)
{
	struct zus_fs *fs = slot->io_open ? slot->io_mount->fs : NULL;

	if (fs)
		fs->ops->io_end(fs, &slot->io, 0);
	slot->io_open = false;
}

int zuf_op_map_write(struct zuf_task *task)
{
	struct zuf_slot *slot = task->slot;
	struct zus_fs *fs = task->mount->fs;
	int err;

	io_init(&slot->io, task->req, slot->ext, io_flags(task->req) | ZUS_IO_WRITE);
	err = io_begin(fs, &slot->io);
	if (err)
		return err;
	slot->io_open = true;
	slot->io_mount = task->mount;
	reply_extents(task, &slot->io, slot->io.mapped);
	return 0;
}

/*
 * The kernel has stored less than it was given room for. It may have met memory that is bad, and stops there: a load of ours tells
 * the plug-in, which catches the fault (the transfer is still open), fails the transfer, and does not use that block again.
 */
static void touch_behind(const struct zus_fs *fs, const struct zus_io *io, uint64_t done)
{
	for (uint32_t i = 0; i < io->n_ext; i++) {
		if (done < io->ext[i].len) {
			(void)__atomic_load_n((const uint8_t *)fs->base + io->ext[i].dev_off + done, __ATOMIC_RELAXED);
			return;
		}
		done -= io->ext[i].len;
	}
}

int zuf_op_commit(struct zuf_task *task)
{
	struct zuf_slot *slot = task->slot;
	struct zus_fs *fs = task->mount->fs;
	uint64_t done = task->req->len;
	int err;

	if (!slot->io_open || slot->io_mount != task->mount || done > slot->io.mapped)
		return -EINVAL;
	slot->io_open = false;
	if (done < slot->io.mapped)
		touch_behind(fs, &slot->io, done);
	err = fs->ops->io_end(fs, &slot->io, done);
	if (!err)
		zuf_task_attr_of(task, task->req->node);
	return err;
}

/* --- holes ------------------------------------------------------------------------------------ */

/* Zeroed blocks for [off, off + len), a hole inside of the file. The kernel keeps other allocations in this file out. */
static int fill_one(struct zuf_task *task, uint64_t off, uint64_t len)
{
	struct zus_fs *fs = task->mount->fs;
	struct zus_extent ext[ZUF_EXTENTS_MAX];
	struct zus_io io;
	int err = 0;

	while (len && !err) {
		uint64_t mapped;

		io_init(&io, task->req, ext, ZUS_IO_WRITE);
		io.off = off;
		io.len = len;
		err = io_begin(fs, &io);
		if (err)
			return err;
		mapped = io.mapped;
		io_store(fs, &io, NULL);
		err = fs->ops->io_end(fs, &io, mapped);
		off += mapped;
		len -= mapped;
		if (!mapped)
			return -EIO;
	}
	return err;
}

int zuf_op_fill(struct zuf_task *task)
{
	struct zus_extent ext[ZUF_EXTENTS_MAX];
	struct zus_fs *fs = task->mount->fs;
	uint64_t off = task->req->off;
	struct zus_io io;
	int err;

	io_init(&io, task->req, ext, ZUS_IO_NOATIME);
	err = io_begin(fs, &io);
	if (!err)
		err = fs->ops->io_end(fs, &io, io.mapped);
	for (uint32_t i = 0; i < io.n_ext && !err; i++) {
		if (ext[i].flags & ZUS_EXT_HOLE)
			err = fill_one(task, off, ext[i].len);
		off += ext[i].len;
	}
	if (!err)
		err = zuf_op_map(task);
	if (!err)
		zuf_task_attr_of(task, task->req->node);
	return err;
}

/* --- the rest --------------------------------------------------------------------------------- */

int zuf_op_fallocate(struct zuf_task *task)
{
	const struct zuf_request *req = task->req;
	struct zus_fs *fs = task->mount->fs;
	int err;

	if (!fs->ops->fallocate)
		return -EOPNOTSUPP;
	err = fs->ops->fallocate(fs, req->node, req->mode, req->off, req->len);
	if (!err)
		zuf_task_attr_of(task, req->node);
	return err;
}

int zuf_op_seek(struct zuf_task *task)
{
	const struct zuf_request *req = task->req;
	struct zus_fs *fs = task->mount->fs;
	struct zus_attr attr;
	int err;

	if (req->flags != ZUS_SEEK_DATA && req->flags != ZUS_SEEK_HOLE)
		return -EINVAL;
	if (fs->ops->seek) {
		uint64_t found;

		err = fs->ops->seek(fs, req->node, req->off, (int)req->flags, &found);
		if (!err)
			task->rep->value = found;
		return err;
	}
	/* All is data, the end is a hole. */
	err = fs->ops->getattr(fs, req->node, &attr);
	if (!err && req->off >= attr.size)
		err = -ENXIO;
	if (!err)
		task->rep->value = req->flags == ZUS_SEEK_DATA ? req->off : attr.size;
	return err;
}

int zuf_op_fsync(struct zuf_task *task)
{
	struct zus_fs *fs = task->mount->fs;

	return fs->ops->fsync ? fs->ops->fsync(fs, task->req->node, (int)(task->req->flags & 1)) : 0;
}

int zuf_op_copy(struct zuf_task *task)
{
	const struct zuf_request *req = task->req;
	struct vfs_range src = { .node = req->node, .off = req->off, .len = req->len };
	ssize_t n = vfs_copy_range(task->mount->vfs, &src, req->node2, req->off2);

	if (n < 0)
		return (int)n;
	task->rep->value = (uint64_t)n;
	zuf_task_attr_of(task, req->node2);
	return 0;
}
