/* SPDX-License-Identifier: BSD-3-Clause */
/* pmfs2 as a plug-in of zusd: the table of operations. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "pmfs2/alloc.h"
#include "pmfs2/attr.h"
#include "pmfs2/file.h"
#include "pmfs2/inode.h"
#include "pmfs2/intent.h"
#include "pmfs2/journal.h"
#include "pmfs2/media_error.h"
#include "pmfs2/mount.h"
#include "pmfs2/namei.h"
#include "pmfs2/ops.h"
#include "zus/plugin.h"

static void op_unmount(struct zus_fs *zus)
{
	fs_close(fs_of(zus));
}

static int op_remount(struct zus_fs *zus, uint32_t flags)
{
	struct fs *fs = fs_of(zus);
	int err;

	if (!(flags & ZUS_MOUNT_RDONLY)) {
		if (fs->pm->rdonly || (le64_get(fs->sb->ro_compat) & ~PMFS2_RO_COMPAT_KNOWN))
			return -EROFS;
		if (atomic_load(&fs->damaged))
			return -EUCLEAN;
	}
	/* As in fs_open: where nothing may be committed, orphans stay. */
	if (atomic_load(&fs->mount_flags) & ZUS_MOUNT_KEEP_ORPHANS && !fs->pm->rdonly && !atomic_load(&fs->damaged) &&
	    !media_is_lost(fs)) {
		err = intents_finish(fs);
		if (err)
			return err;
	}
	atomic_store(&fs->mount_flags, flags);
	fs->zus.flags = flags;
	return 0;
}

/* Operations that free, and the one that counts, see to what could not be freed before. */
static void orphans_retry(struct fs *fs)
{
	if (unlikely(atomic_load_explicit(&fs->orphans_left, memory_order_relaxed)))
		intents_retry(fs);
}

static void statfs_fill(struct fs *fs, struct zus_statfs *out)
{
	uint64_t used = journal_used_inodes(fs), free_blocks = alloc_free_blocks(fs);
	/* The inode table grows into free space: 16 inodes a block. */
	uint64_t room = free_blocks * (PMFS2_BLOCK_SIZE / PMFS2_INODE_SIZE);
	uint64_t chunks = le64_load(&fs->state->itable_chunks) * (PMFS2_CHUNK_INODES - 1);

	room += chunks > used ? chunks - used : 0;
	*out = (struct zus_statfs){
		.blocks = fs->n_blocks - 1 - fs->data_block,
		.bfree = free_blocks,
		.bavail = alloc_avail_blocks(fs),
		.files = used + room,
		.ffree = room,
		.bsize = PMFS2_BLOCK_SIZE,
		.namelen = ZUS_NAME_MAX,
	};
	memcpy(&out->fsid, fs->sb->uuid, sizeof(out->fsid));
}

static int statfs_read(struct fs *fs, struct zus_statfs *out)
{
	if (unlikely(pmem_is_bad(fs->pm, fs->state, sizeof(*fs->state))))
		return media_lost(fs, fs->state);
	orphans_retry(fs);
	statfs_fill(fs, out);
	return 0;
}

static int op_sync(struct zus_fs *zus)
{
	return fs_sync(fs_of(zus));
}

static int op_show(struct zus_fs *zus, char *buf, size_t cap)
{
	struct fs *fs = fs_of(zus);
	uint64_t n_bad = pmem_n_bad(fs->pm);
	char bad[64] = "";

	if (n_bad)
		snprintf(bad, sizeof(bad), ", MEDIA ERRORS: %llu bytes", (unsigned long long)(n_bad * PMEM_BAD_PAGE));
	snprintf(buf, cap, "%s, %s%s%s", pmem_kind_name(fs->pm->kind), pmem_isa_name(fs->pm), bad,
		 atomic_load(&fs->damaged) ? ", DAMAGED: read-only" : "");
	return 0;
}

/*
 * An operation that only reads. Once metadata were lost it is done again until no bad page was met meanwhile, here or in another
 * thread: the bytes that were read may have been substitutes, and this time they are known as such. Bound: the number of bad
 * pages.
 */
#define READ_OP(mount, node, call)                                                                                               \
	({                                                                                                                       \
		struct fs *fs_ = (mount);                                                                                        \
		int result_ = (call);                                                                                            \
                                                                                                                                 \
		for (uint64_t epoch_ = 0; media_is_lost(fs_) && media_read_again(fs_, node, &epoch_, &result_);)                 \
			result_ = (call);                                                                                        \
		result_;                                                                                                         \
	})
/* One that changes something: whatever was committed was so before. */
#define WRITE_OP(mount, node, call)                                                                                              \
	({                                                                                                                       \
		struct fs *fs_ = (mount);                                                                                        \
		int result_ = (call);                                                                                            \
                                                                                                                                 \
		media_is_lost(fs_) ? media_op_end(fs_, node, result_) : result_;                                                 \
	})

static int op_statfs(struct zus_fs *zus, struct zus_statfs *out)
{
	return READ_OP(fs_of(zus), ZUS_NODE_ROOT, statfs_read(fs_, out));
}

/* The reference that a lookup took goes back before it is done again, or fails. */
static int op_lookup(struct zus_fs *zus, uint64_t dir, struct zus_name name, struct zus_attr *out)
{
	struct fs *fs = fs_of(zus);
	uint64_t epoch = 0;
	int err = namei_lookup(fs, dir, name, out);

	while (media_is_lost(fs)) {
		int found = !err;

		if (!media_read_again(fs, dir, &epoch, &err)) {
			if (found && err)
				namei_forget(fs, out->node, 1);
			break;
		}
		if (found)
			namei_forget(fs, out->node, 1);
		err = namei_lookup(fs, dir, name, out);
	}
	return err;
}

static int op_getattr(struct zus_fs *zus, uint64_t node, struct zus_attr *out)
{
	return READ_OP(fs_of(zus), node, attr_get(fs_, node, out));
}

static int op_setattr(struct zus_fs *zus, uint64_t node, const struct zus_setattr *set, struct zus_attr *out)
{
	return WRITE_OP(fs_of(zus), node, attr_set(fs_, node, set, out));
}

static int op_create(struct zus_fs *zus, uint64_t dir, struct zus_name name, const struct zus_new *new, struct zus_attr *out)
{
	return WRITE_OP(fs_of(zus), dir, namei_create(fs_, dir, name, new, out));
}

static int op_tmpfile(struct zus_fs *zus, uint64_t dir, const struct zus_new *new, struct zus_attr *out)
{
	return WRITE_OP(fs_of(zus), dir, namei_tmpfile(fs_, dir, new, out));
}

static int op_link(struct zus_fs *zus, uint64_t node, uint64_t dir, struct zus_name name, struct zus_attr *out)
{
	return WRITE_OP(fs_of(zus), dir, namei_link(fs_, node, dir, name, out));
}

static int op_unlink(struct zus_fs *zus, uint64_t dir, struct zus_name name)
{
	int err = WRITE_OP(fs_of(zus), dir, namei_unlink(fs_, dir, name));

	orphans_retry(fs_of(zus));
	return err;
}

static int op_rmdir(struct zus_fs *zus, uint64_t dir, struct zus_name name)
{
	return WRITE_OP(fs_of(zus), dir, namei_rmdir(fs_, dir, name));
}

static int op_rename(struct zus_fs *zus, const struct zus_rename *ren)
{
	return WRITE_OP(fs_of(zus), ren->old_dir, namei_rename(fs_, ren));
}

static int op_readlink(struct zus_fs *zus, uint64_t node, char *buf, size_t cap)
{
	return READ_OP(fs_of(zus), node, namei_readlink(fs_, node, buf, cap));
}

/* Never done again: entries were given out, each of them true. */
static int op_readdir(struct zus_fs *zus, uint64_t dir, uint64_t cookie, int with_attr, zus_emit_fn emit, void *ctx)
{
	return WRITE_OP(fs_of(zus), dir, namei_readdir(fs_, dir, cookie, with_attr, emit, ctx));
}

static void op_forget(struct zus_fs *zus, uint64_t node, uint64_t n_refs)
{
	struct fs *fs = fs_of(zus);

	namei_forget(fs, node, n_refs);
	orphans_retry(fs);
	if (media_is_lost(fs))
		(void)media_op_end(fs, node, 0);
}

static int op_getxattr(struct zus_fs *zus, uint64_t node, struct zus_name name, void *buf, size_t cap)
{
	return READ_OP(fs_of(zus), node, attr_getxattr(fs_, node, name, buf, cap));
}

static int op_setxattr(struct zus_fs *zus, uint64_t node, const struct zus_setxattr *set)
{
	return WRITE_OP(fs_of(zus), node, attr_setxattr(fs_, node, set));
}

static int op_listxattr(struct zus_fs *zus, uint64_t node, char *buf, size_t cap)
{
	return READ_OP(fs_of(zus), node, attr_listxattr(fs_, node, buf, cap));
}

static int op_removexattr(struct zus_fs *zus, uint64_t node, struct zus_name name)
{
	return WRITE_OP(fs_of(zus), node, attr_removexattr(fs_, node, name));
}

static int op_io_begin(struct zus_fs *zus, struct zus_io *io)
{
	return file_io_begin(fs_of(zus), io);
}

static int op_io_end(struct zus_fs *zus, struct zus_io *io, uint64_t done)
{
	return file_io_end(fs_of(zus), io, done);
}

static void op_dev_write(struct zus_fs *zus, uint64_t dev_off, const void *src, size_t len)
{
	struct pmem *pm = fs_of(zus)->pm;

	pmem_copy(pm, pmem_at(pm, dev_off), src, len);
}

static int fallocate_node(struct fs *fs, uint64_t node, uint32_t mode, uint64_t off, uint64_t len)
{
	struct inode *ip;
	int err = fs_check_writable(fs);

	if (!err)
		err = inode_get(fs, node, &ip);
	if (err)
		return err;
	err = file_fallocate(fs, ip, mode, off, len);
	inode_put(fs, ip);
	return err;
}

static int op_fallocate(struct zus_fs *zus, uint64_t node, uint32_t mode, uint64_t off, uint64_t len)
{
	return WRITE_OP(fs_of(zus), node, fallocate_node(fs_, node, mode, off, len));
}

static int seek_node(struct fs *fs, uint64_t node, uint64_t off, int whence, uint64_t *out_off)
{
	struct inode *ip;
	int err = inode_get(fs, node, &ip);

	if (err)
		return err;
	err = file_seek(fs, ip, off, whence, out_off);
	inode_put(fs, ip);
	return err;
}

static int op_seek(struct zus_fs *zus, uint64_t node, uint64_t off, int whence, uint64_t *out_off)
{
	return READ_OP(fs_of(zus), node, seek_node(fs_, node, off, whence, out_off));
}

static int op_fsync(struct zus_fs *zus, uint64_t node, int datasync)
{
	(void)node;
	(void)datasync;
	return fs_sync(fs_of(zus));
}

static const struct zus_ops ops = {
	.unmount = op_unmount,
	.remount = op_remount,
	.statfs = op_statfs,
	.sync = op_sync,
	.show = op_show,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.create = op_create,
	.tmpfile = op_tmpfile,
	.link = op_link,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.rename = op_rename,
	.readlink = op_readlink,
	.readdir = op_readdir,
	.forget = op_forget,
	.getxattr = op_getxattr,
	.setxattr = op_setxattr,
	.listxattr = op_listxattr,
	.removexattr = op_removexattr,
	.io_begin = op_io_begin,
	.io_end = op_io_end,
	.dev_write = op_dev_write,
	.fallocate = op_fallocate,
	.seek = op_seek,
	.fsync = op_fsync,
};

int pmfs2_mount_pmem(struct pmem *pm, const struct zus_host *host, uint32_t flags, struct zus_fs **out_fs)
{
	struct fs *fs;
	int err = fs_open(pm, host, flags, &fs);

	if (err)
		return err;
	fs->ops = ops;
	/* Where a fence makes everything durable there is nothing to sync: the kernel learns it once and asks no more. */
	if (!pmem_notice(pm)[0]) {
		fs->ops.sync = NULL;
		fs->ops.fsync = NULL;
	}
	fs->zus.ops = &fs->ops;
	*out_fs = &fs->zus;
	return 0;
}

static void host_log(const struct zus_host *host, int level, const char *msg)
{
	if (host && host->log)
		host->log(host->ctx, level, msg);
}

static int device_open(const struct zus_mount_args *args, struct pmem **out_pm)
{
	unsigned int flags = args->flags & ZUS_MOUNT_RDONLY ? PMEM_OPEN_RDONLY : 0;
	int err;

	if (args->dev_base)
		return pmem_open_external(args->dev_base, args->dev_size, out_pm);
	if (!args->device) {
		host_log(args->host, LOG_LEVEL_ERROR, "pmfs2 needs a device or an image file");
		return -EINVAL;
	}
	/* A read-only mount recovers too where it can write. */
	err = pmem_open(args->device, 0, out_pm);
	if (flags && (err == -EACCES || err == -EROFS || err == -EPERM))
		err = pmem_open(args->device, flags, out_pm);
	if (err) {
		char msg[300];

		snprintf(msg, sizeof(msg), "%s: %s", args->device,
			 err == -EBUSY	   ? "in use (mounted already, open by a tool, or under a loop device: losetup -l)"
			 : err == -ENOTBLK ? "neither a file nor a block or DAX device"
					   : strerror(-err));
		host_log(args->host, LOG_LEVEL_ERROR, msg);
	}
	return err;
}

static int pmfs2_mount(const struct zus_mount_args *args, struct zus_fs **out_fs)
{
	struct pmem *pm;
	int err;

	if (args->options && args->options[0]) {
		char msg[300];

		snprintf(msg, sizeof(msg), "unknown mount option: %.200s", args->options);
		host_log(args->host, LOG_LEVEL_ERROR, msg);
		return -EINVAL;
	}
	err = pmem_faults_catch();
	if (!err)
		err = device_open(args, &pm);
	if (err)
		return err;
	err = pmfs2_mount_pmem(pm, args->host, args->flags, out_fs);
	if (err)
		pmem_close(pm);
	return err;
}

__attribute__((visibility("default"))) const struct zus_plugin zus_plugin = {
	.abi = ZUS_PLUGIN_ABI,
	.flags = ZUS_PLUGIN_KEEPS_EXTENTS,
	.name = "pmfs2",
	.version = PMFS2_VERSION,
	.mount = pmfs2_mount,
};
