/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes: from the device mapping to a buffer, from a buffer to the device, from file to file.
 *
 * The plug-in says where (io_begin), this copies, the plug-in makes it so (io_end). Extents are the plug-in's word, and plug-ins
 * read damaged media: they are checked against the mapping before a byte moves.
 *
 * Order (write): dev_write() of every extent, then io_end(), whose fence covers them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#include "vfs/vfs.h"
#include "vfs/vfs_private.h"

/* One step of a copy between files, and the most that one call does. */
#define COPY_CHUNK_BYTES (1u << 20)
#define COPY_MAX_BYTES (64u << 20)
#define COPY_RETRY_BYTES 4096u

/* True if the extents lie inside the device and add up to what they should. */
static bool extents_ok(const struct zus_fs *fs, const struct zus_io *io, bool may_hole)
{
	uint64_t sum = 0;

	if (io->n_ext > io->ext_cap || io->mapped > io->len)
		return false;
	for (uint32_t i = 0; i < io->n_ext; i++) {
		const struct zus_extent *e = &io->ext[i];

		if (!e->len || e->len > io->len - sum)
			return false;
		sum += e->len;
		if (e->flags & ZUS_EXT_HOLE) {
			if (!may_hole)
				return false;
		} else if (e->dev_off > fs->size || e->len > fs->size - e->dev_off) {
			return false;
		}
	}
	return sum == io->mapped;
}

static int io_begin_checked(struct vfs *vfs, struct zus_io *io, const struct vfs_range *range, uint64_t done, uint32_t flags)
{
	int err;

	io->node = range->node;
	io->off = range->off + done;
	io->len = range->len - done;
	io->flags = range->flags | flags;
	io->n_ext = 0;
	io->pad = 0;
	io->mapped = 0;
	err = vfs->fs->ops->io_begin(vfs->fs, io);
	if (err)
		return err;
	if (extents_ok(vfs->fs, io, !(flags & ZUS_IO_WRITE)))
		return 0;
	vfs->fs->ops->io_end(vfs->fs, io, 0);
	return -EUCLEAN;
}

static bool range_ok(const struct vfs_range *range)
{
	return range->off <= INT64_MAX && range->len <= INT64_MAX - range->off;
}

int vfs_read_begin(struct vfs *vfs, const struct vfs_range *range, struct zus_io *io)
{
	return range_ok(range) ? io_begin_checked(vfs, io, range, 0, 0) : -EINVAL;
}

int vfs_read_end(struct vfs *vfs, struct zus_io *io)
{
	return vfs->fs->ops->io_end(vfs->fs, io, io->mapped);
}

static void read_extents(const struct zus_fs *fs, const struct zus_io *io, uint8_t *to)
{
	for (uint32_t i = 0; i < io->n_ext; i++) {
		const struct zus_extent *e = &io->ext[i];

		if (e->flags & ZUS_EXT_HOLE)
			memset(to, 0, e->len);
		else
			memcpy(to, (const uint8_t *)fs->base + e->dev_off, e->len);
		to += e->len;
	}
}

ssize_t vfs_read(struct vfs *vfs, const struct vfs_range *range, void *buf)
{
	struct zus_extent ext[VFS_N_EXTENTS];
	struct zus_io io = { .ext = ext, .ext_cap = VFS_N_EXTENTS };
	uint64_t done = 0;
	int err = 0;

	if (!range_ok(range))
		return -EINVAL;
	while (done < range->len) {
		err = io_begin_checked(vfs, &io, range, done, 0);
		if (err)
			break;
		read_extents(vfs->fs, &io, (uint8_t *)buf + done);
		err = vfs->fs->ops->io_end(vfs->fs, &io, io.mapped);
		if (err || !io.mapped)
			break;
		done += io.mapped;
	}
	/* Never fewer bytes because of an error: the kernel takes a short read for the end of the file, and asks page by page. */
	return err ? err : (ssize_t)done;
}

static void write_extents(struct zus_fs *fs, const struct zus_io *io, const uint8_t *from)
{
	for (uint32_t i = 0; i < io->n_ext; i++) {
		fs->ops->dev_write(fs, io->ext[i].dev_off, from, io->ext[i].len);
		from += io->ext[i].len;
	}
}

ssize_t vfs_write(struct vfs *vfs, const struct vfs_range *range, const void *buf)
{
	struct zus_extent ext[VFS_N_EXTENTS];
	struct zus_io io = { .ext = ext, .ext_cap = VFS_N_EXTENTS };
	uint64_t done = 0;
	int err = 0;

	if (!range_ok(range))
		return -EFBIG;
	/* Before the bytes: they must never stand there with a capability that was given to others. */
	if (range->len && (range->flags & ZUS_IO_KILL_PRIV))
		err = vfs_drop_capability(vfs, range->node);
	if (err)
		return err;
	while (done < range->len) {
		err = io_begin_checked(vfs, &io, range, done, ZUS_IO_WRITE);
		if (!err && !io.mapped) {
			vfs->fs->ops->io_end(vfs->fs, &io, 0);
			err = -EIO;
		}
		if (err)
			break;
		write_extents(vfs->fs, &io, (const uint8_t *)buf + done);
		err = vfs->fs->ops->io_end(vfs->fs, &io, io.mapped);
		if (err)
			break;
		done += io.mapped;
	}
	return done ? (ssize_t)done : err;
}

/*
 * Length of the hole at range's start, at most range->len; 0 if there are data. Uses seek(), so that a hole of any size costs one
 * call.
 */
static uint64_t hole_at(struct vfs *vfs, const struct vfs_range *range)
{
	struct zus_fs *fs = vfs->fs;
	uint64_t data = 0;
	int err;

	if (!fs->ops->seek || !fs->ops->fallocate)
		return 0;
	err = fs->ops->seek(fs, range->node, range->off, ZUS_SEEK_DATA, &data);
	if (err == -ENXIO)
		return range->len;
	if (err || data <= range->off)
		return 0;
	return data - range->off < range->len ? data - range->off : range->len;
}

/* A hole at src's start becomes one of dst, which grows where it has to. Its length, or 0: there are data, or no way to punch. */
static ssize_t hole_copy(struct vfs *vfs, const struct vfs_range *src, uint64_t dst, uint64_t dst_off)
{
	struct zus_fs *fs = vfs->fs;
	uint64_t len = hole_at(vfs, src);
	struct zus_setattr grow = { .valid = ZUS_SET_SIZE, .size = dst_off + len };
	struct zus_attr attr;
	int err;

	if (!len)
		return 0;
	err = fs->ops->fallocate(fs, dst, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, dst_off, len);
	if (err)
		return err == -EOPNOTSUPP ? 0 : err;
	err = fs->ops->getattr(fs, dst, &attr);
	if (!err && attr.size < dst_off + len)
		err = fs->ops->setattr(fs, dst, &grow, &attr);
	return err ? err : (ssize_t)len;
}

/* Data, by way of a buffer: holding the source's extents while the destination allocates could lock up (a to b beside b to a). */
static ssize_t data_copy(struct vfs *vfs, const struct vfs_range *src, uint64_t dst_node, uint64_t dst_off, void *buf)
{
	struct vfs_range dst = { .node = dst_node, .off = dst_off, .flags = src->flags };
	struct vfs_range chunk = *src;
	ssize_t n;

	if (chunk.len > COPY_CHUNK_BYTES)
		chunk.len = COPY_CHUNK_BYTES;
	n = vfs_read(vfs, &chunk, buf);
	if (n == -EIO && chunk.len > COPY_RETRY_BYTES) {
		/* A bad page in it: up to there it can be copied. */
		chunk.len = COPY_RETRY_BYTES - chunk.off % COPY_RETRY_BYTES;
		n = vfs_read(vfs, &chunk, buf);
	}
	if (n <= 0)
		return n;
	dst.len = (uint64_t)n;
	return vfs_write(vfs, &dst, buf);
}

/* The part of src that exists. */
static int copy_clip(struct vfs *vfs, struct vfs_range *src)
{
	struct zus_attr attr;
	int err = vfs->fs->ops->getattr(vfs->fs, src->node, &attr);

	if (err)
		return err;
	if (src->off >= attr.size)
		src->len = 0;
	else if (src->len > attr.size - src->off)
		src->len = attr.size - src->off;
	return 0;
}

ssize_t vfs_copy_range(struct vfs *vfs, const struct vfs_range *src, uint64_t dst_node, uint64_t dst_off)
{
	struct vfs_range todo = *src;
	uint64_t done = 0, copied = 0;
	ssize_t n = 0;
	void *buf;

	if (!range_ok(src) || dst_off > INT64_MAX || src->len > INT64_MAX - dst_off)
		return -EFBIG;
	n = copy_clip(vfs, &todo);
	if (n || !todo.len)
		return n;
	buf = malloc(COPY_CHUNK_BYTES);
	if (!buf)
		return -ENOMEM;
	while (todo.len && copied < COPY_MAX_BYTES) {
		n = hole_copy(vfs, &todo, dst_node, dst_off + done);
		if (!n) {
			n = data_copy(vfs, &todo, dst_node, dst_off + done, buf);
			copied += COPY_CHUNK_BYTES;
		}
		if (n <= 0)
			break;
		done += (uint64_t)n;
		todo.off += (uint64_t)n;
		todo.len -= (uint64_t)n;
	}
	free(buf);
	return done ? (ssize_t)done : n;
}
