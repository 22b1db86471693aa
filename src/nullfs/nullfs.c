/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nullfs: a plug-in that does nothing, as fast as it can. It measures the channel in front of a plug-in.
 *
 * The root holds eight files "big0" to "big7" of 1 TiB. Every transfer is answered with a piece of one 2 MiB buffer that no store
 * ever reaches; attributes are constant. A regular file may be "created": it gets a fresh node id and the same attributes, and
 * is found by no later lookup. There is no state but that counter, hence no lock.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/util.h"
#include "zus/plugin.h"

#define SCRATCH_SIZE (2ull << 20)
#define FILE_SIZE (1ull << 40)
#define FILE_SIZE_MAX (1ull << 48)
#define N_FILES 8u
#define NODE_FIRST_FILE 2ull
#define NODE_FIRST_CREATED (NODE_FIRST_FILE + N_FILES)

struct nullfs {
	struct zus_fs zus;
	_Atomic uint64_t next_node;
};

static void null_fill_attr(uint64_t node, struct zus_attr *out_attr)
{
	bool root = node == ZUS_NODE_ROOT;
	struct zus_time epoch = { 1, 0 };

	*out_attr = (struct zus_attr){
		.node = node,
		.ino = node,
		.size = root ? 0 : FILE_SIZE,
		.blocks = root ? 0 : FILE_SIZE >> 9,
		.mode = root ? S_IFDIR | 01777 : S_IFREG | 0666,
		.nlink = root ? 2 : 1,
		.blksize = 4096,
		.atime = epoch,
		.mtime = epoch,
		.ctime = epoch,
		.btime = epoch,
	};
}

static int null_lookup(struct zus_fs *zus, uint64_t dir, struct zus_name name, struct zus_attr *out_attr)
{
	(void)zus;
	if (dir != ZUS_NODE_ROOT)
		return -ENOTDIR;
	if (name.str[0] == '.' && (name.len == 1 || (name.len == 2 && name.str[1] == '.'))) {
		null_fill_attr(ZUS_NODE_ROOT, out_attr);
		return 0;
	}
	if (name.len != 4 || memcmp(name.str, "big", 3) || name.str[3] < '0' || name.str[3] >= (char)('0' + N_FILES))
		return -ENOENT;
	null_fill_attr(NODE_FIRST_FILE + (uint64_t)(name.str[3] - '0'), out_attr);
	return 0;
}

static int null_getattr(struct zus_fs *zus, uint64_t node, struct zus_attr *out_attr)
{
	(void)zus;
	null_fill_attr(node, out_attr);
	return 0;
}

static int null_setattr(struct zus_fs *zus, uint64_t node, const struct zus_setattr *set, struct zus_attr *out_attr)
{
	(void)zus;
	(void)set;
	null_fill_attr(node, out_attr);
	return 0;
}

static int null_create(struct zus_fs *zus, uint64_t dir, struct zus_name name, const struct zus_new *new,
		       struct zus_attr *out_attr)
{
	struct nullfs *fs = (struct nullfs *)zus;

	(void)name;
	if (dir != ZUS_NODE_ROOT)
		return -ENOTDIR;
	if (!S_ISREG(new->mode))
		return -EOPNOTSUPP;
	null_fill_attr(atomic_fetch_add_explicit(&fs->next_node, 1, memory_order_relaxed), out_attr);
	return 0;
}

static int null_unlink(struct zus_fs *zus, uint64_t dir, struct zus_name name)
{
	(void)zus;
	(void)dir;
	(void)name;
	return 0;
}

static int null_rmdir(struct zus_fs *zus, uint64_t dir, struct zus_name name)
{
	(void)zus;
	(void)dir;
	(void)name;
	return -ENOTDIR;
}

static int null_rename(struct zus_fs *zus, const struct zus_rename *ren)
{
	(void)zus;
	return ren->flags ? -EINVAL : 0;
}

/* Entry 0 is ".", 1 is "..", then the files; the cookie is the number of the next entry. */
static int null_readdir(struct zus_fs *zus, uint64_t dir, uint64_t cookie, int with_attr, zus_emit_fn emit, void *ctx)
{
	struct zus_attr attr;
	char name[8] = "..";

	(void)zus;
	if (dir != ZUS_NODE_ROOT)
		return -ENOTDIR;
	for (; cookie < 2 + N_FILES; cookie++) {
		uint64_t node = cookie < 2 ? ZUS_NODE_ROOT : NODE_FIRST_FILE + cookie - 2;
		uint32_t type = (cookie < 2 ? S_IFDIR : S_IFREG) >> 12;
		struct zus_dirent entry = { { name, cookie < 2 ? (uint32_t)cookie + 1 : 4 }, node, node, cookie + 1, type };

		if (cookie >= 2)
			snprintf(name, sizeof(name), "big%u", (unsigned int)(cookie - 2) % N_FILES);
		null_fill_attr(node, &attr);
		if (!emit(ctx, &entry, with_attr ? &attr : NULL))
			break;
	}
	return 0;
}

static void null_forget(struct zus_fs *zus, uint64_t node, uint64_t n_refs)
{
	(void)zus;
	(void)node;
	(void)n_refs;
}

static int null_io_begin(struct zus_fs *zus, struct zus_io *io)
{
	bool write = io->flags & ZUS_IO_WRITE;
	uint64_t limit = write ? FILE_SIZE_MAX : FILE_SIZE, off = io->off, end;

	(void)zus;
	io->n_ext = 0;
	io->mapped = 0;
	if (io->node == ZUS_NODE_ROOT)
		return -EISDIR;
	if (off >= limit)
		return write ? -EFBIG : 0;
	end = off + u64_min(io->len, limit - off);
	while (off < end && io->n_ext < io->ext_cap) {
		uint64_t at = off % SCRATCH_SIZE, len = u64_min(end - off, SCRATCH_SIZE - at);

		io->ext[io->n_ext++] = (struct zus_extent){ .len = len, .dev_off = at };
		io->mapped += len;
		off += len;
	}
	return 0;
}

static int null_io_end(struct zus_fs *zus, struct zus_io *io, uint64_t done)
{
	(void)zus;
	(void)io;
	(void)done;
	return 0;
}

static void null_dev_write(struct zus_fs *zus, uint64_t dev_off, const void *src, size_t len)
{
	(void)zus;
	(void)dev_off;
	(void)src;
	(void)len;
}

static int null_statfs(struct zus_fs *zus, struct zus_statfs *out)
{
	(void)zus;
	*out = (struct zus_statfs){
		.blocks = FILE_SIZE_MAX / 4096,
		.bfree = FILE_SIZE_MAX / 8192,
		.bavail = FILE_SIZE_MAX / 8192,
		.files = 1u << 30,
		.ffree = 1u << 29,
		.bsize = 4096,
		.namelen = ZUS_NAME_MAX,
	};
	return 0;
}

static int null_sync(struct zus_fs *zus)
{
	(void)zus;
	return 0;
}

static int null_remount(struct zus_fs *zus, uint32_t flags)
{
	zus->flags = flags;
	return 0;
}

static void null_unmount(struct zus_fs *zus)
{
	munmap(zus->base, SCRATCH_SIZE);
	free(zus);
}

static const struct zus_ops null_ops = {
	.unmount = null_unmount,
	.remount = null_remount,
	.statfs = null_statfs,
	.sync = null_sync,
	.lookup = null_lookup,
	.getattr = null_getattr,
	.setattr = null_setattr,
	.create = null_create,
	.unlink = null_unlink,
	.rmdir = null_rmdir,
	.rename = null_rename,
	.readdir = null_readdir,
	.forget = null_forget,
	.io_begin = null_io_begin,
	.io_end = null_io_end,
	.dev_write = null_dev_write,
};

static int null_mount(const struct zus_mount_args *args, struct zus_fs **out_fs)
{
	struct nullfs *fs = calloc(1, sizeof(*fs));
	int err;

	if (!fs)
		return -ENOMEM;
	fs->zus = (struct zus_fs){ .ops = &null_ops, .size = SCRATCH_SIZE, .max_file_size = FILE_SIZE_MAX, .flags = args->flags,
				   .time_gran_ns = 1, .notice = "nullfs: stores nothing, reads zeros; for measurements only" };
	memcpy(fs->zus.uuid, "00000000-0000-0000-0000-000000000000", 37);
	atomic_init(&fs->next_node, NODE_FIRST_CREATED);
	fs->zus.base = mmap(NULL, SCRATCH_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (fs->zus.base == MAP_FAILED) {
		err = -errno;
		free(fs);
		return err;
	}
	*out_fs = &fs->zus;
	return 0;
}

__attribute__((visibility("default"))) const struct zus_plugin zus_plugin = {
	.abi = ZUS_PLUGIN_ABI,
	.flags = ZUS_PLUGIN_VOLATILE,
	.name = "nullfs",
	.version = PMFS2_VERSION,
	.mount = null_mount,
};
