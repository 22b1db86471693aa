/* SPDX-License-Identifier: BSD-3-Clause */
/* See engine_ops.h. */
#include "engine_ops.h"

#include <errno.h>
#include <sys/stat.h>

int engine_make(struct zus_fs *fs, uint64_t dir, const char *name, uint32_t mode, uint64_t *out_node)
{
	struct zus_new new = { .mode = mode };
	struct zus_attr attr;
	int err;

	if (S_ISLNK(mode))
		new.symlink = (struct zus_blob){ "where/it/points/to", 18 };
	err = fs->ops->create(fs, dir, bench_name(name), &new, &attr);
	if (err)
		return err;
	fs->ops->forget(fs, attr.node, 1);
	if (out_node)
		*out_node = attr.node;
	return 0;
}

int engine_lookup(struct zus_fs *fs, uint64_t dir, const char *name, uint64_t *out_node)
{
	struct zus_attr attr;
	int err = fs->ops->lookup(fs, dir, bench_name(name), &attr);

	if (err)
		return err;
	fs->ops->forget(fs, attr.node, 1);
	if (out_node)
		*out_node = attr.node;
	return 0;
}

int engine_rename(struct zus_fs *fs, struct engine_place from, struct engine_place to, uint32_t flags)
{
	const struct zus_rename ren = {
		.old_dir = from.dir,
		.new_dir = to.dir,
		.old_name = bench_name(from.name),
		.new_name = bench_name(to.name),
		.flags = flags,
	};

	return fs->ops->rename(fs, &ren);
}

int engine_set_size(struct zus_fs *fs, uint64_t node, uint64_t size_bytes)
{
	const struct zus_setattr set = { .valid = ZUS_SET_SIZE, .size = size_bytes };
	struct zus_attr attr;

	return fs->ops->setattr(fs, node, &set, &attr);
}

int engine_write(struct zus_fs *fs, uint64_t node, uint64_t off, const void *data, uint64_t len)
{
	struct zus_extent ext[8];
	const uint8_t *src = data;
	int err = 0;

	while (len && !err) {
		struct zus_io io = { .node = node, .off = off, .len = len, .flags = ZUS_IO_WRITE, .ext_cap = 8, .ext = ext };
		uint64_t done = 0;

		err = fs->ops->io_begin(fs, &io);
		if (err)
			break;
		for (uint32_t i = 0; i < io.n_ext; i++) {
			fs->ops->dev_write(fs, ext[i].dev_off, src + done, ext[i].len);
			done += ext[i].len;
		}
		err = fs->ops->io_end(fs, &io, done);
		if (!err && !done)
			err = -EIO;
		off += done;
		src += done;
		len -= done;
	}
	return err;
}
