// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mounting, attaching to a server (again), the operations of the super block.
 *
 * A mount belongs to the server of epoch zsb->epoch. A call that gets a slot of another server attaches first: MOUNT (with
 * REATTACH, so that orphans are kept), HOLD for every inode in memory, REMOUNT. Others that call meanwhile wait for attach_lock.
 * What fails behind MOUNT (epoch mount_epoch) is gone on with by the next call: a second MOUNT would be refused, and an UMOUNT
 * would free the orphans that are not held yet.
 */
#include <linux/blkdev.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include <linux/wait_bit.h>

#include "zuf.h"

#define ZUF_BLOCK_BITS 12

static u32 mount_flags(const struct zuf_sb *zsb)
{
	/* Which atime is due is decided here, not by the plug-in. */
	return (READ_ONCE(zsb->want_rdonly) ? ZUF_MOUNT_RDONLY : 0) | ZUF_MOUNT_STRICTATIME;
}

static int attach_check(struct zuf_sb *zsb, struct zuf_call *call, struct zuf_mount_info *info)
{
	if (call->out.out_len != sizeof(*info) || !call->out.has_attr)
		return -EIO;
	memcpy(info, zuf_call_out(call), sizeof(*info));
	if (info->max_file_size > MAX_LFS_FILESIZE || !info->max_file_size)
		info->max_file_size = MAX_LFS_FILESIZE;
	info->notice[sizeof(info->notice) - 1] = 0;
	/* There is no way of reading and writing a device but by extents that are kept. */
	if (zuf_has_dax(zsb) && !(info->flags & ZUF_INFO_KEEP_EXTENTS)) {
		pr_err("zuf: %s: the plug-in does not let extents be kept: mount it through FUSE\n", zsb->sb->s_id);
		return -EOPNOTSUPP;
	}
	/* Another file system under the mount: not this one any more. */
	if (zsb->attached_once && memcmp(info->uuid, zsb->info.uuid, sizeof(info->uuid)))
		return -ESTALE;
	return S_ISDIR(call->out.attr.mode) && call->out.attr.node == ZUF_NODE_ROOT ? 0 : -EIO;
}

/* Tells the server that knows this mount, if it lives. Does not give up before: the server would go on with what is not there. */
static void attach_undo(struct zuf_sb *zsb)
{
	struct zuf_call call;

	if (!zsb->mount_epoch || zsb->mount_epoch != zuf_server_epoch())
		return;
	if (!zuf_call_begin_sure(&call, zsb, ZUF_OP_UMOUNT, ZUF_NODE_ROOT)) {
		if (call.slot->epoch == zsb->mount_epoch)
			zuf_call_send_once(&call);
		zuf_call_end(&call);
	}
	WRITE_ONCE(zsb->mount_epoch, 0);
}

static int attach_mount(struct zuf_sb *zsb, struct zuf_call *call)
{
	const char *source = zsb->source ? zsb->source : "", *options = zsb->options ? zsb->options : "";
	struct zuf_mount_info info;
	int err;

	/* Who still stores to what the dead server had set aside comes to an end; nobody begins. */
	if (zsb->attached_once) {
		percpu_down_write(&zsb->store_lock);
		percpu_up_write(&zsb->store_lock);
	}
	err = zuf_call_begin_attach(call, zsb, ZUF_OP_MOUNT, ZUF_NODE_ROOT);
	if (err)
		return err;
	zuf_call_name(call, source, min_t(size_t, strlen(source), PATH_MAX));
	zuf_call_name2(call, options, strlen(options));
	call->in->len = zsb->dev_size;
	call->in->rdev = zsb->sb->s_dev;
	call->in->flags = mount_flags(zsb) | (zsb->attached_once ? ZUF_MOUNT_REATTACH : 0);
	err = zuf_call_data(call, zsb->type->name, ZUF_TYPE_MAX);
	if (!err)
		err = zuf_call_send_once(call);
	if (!err) {
		/* Before any inode is held: see zuf_iget(). */
		WRITE_ONCE(zsb->mount_epoch, call->slot->epoch);
		err = attach_check(zsb, call, &info);
	}
	if (!err)
		zsb->info = info;
	zuf_call_end(call);
	if (err)
		attach_undo(zsb);
	return err;
}

/* Behind the holds: what nobody holds may go. */
static int attach_finish(struct zuf_sb *zsb, u64 epoch)
{
	struct zuf_call call;
	int err;

	err = zuf_hold_inodes(zsb, epoch);
	if (err)
		return err;
	err = zuf_call_begin_attach(&call, zsb, ZUF_OP_REMOUNT, ZUF_NODE_ROOT);
	if (err)
		return err;
	call.in->flags = mount_flags(zsb);
	err = call.slot->epoch == epoch ? zuf_call_send_once(&call) : -ENOTCONN;
	zuf_call_end(&call);
	return err;
}

/* The server that is ready has answered MOUNT. */
static bool attach_is_mounted(struct zuf_sb *zsb)
{
	return zsb->mount_epoch && zsb->mount_epoch == zuf_server_epoch();
}

int zuf_attach(struct zuf_call *waiting)
{
	struct zuf_sb *zsb = waiting->zsb;
	struct zuf_call call;
	int err = 0;

	if (mutex_lock_killable(&zsb->attach_lock))
		return -EINTR;
	if (zsb->epoch && zsb->epoch == zuf_server_epoch())
		goto unlock;
	if (!attach_is_mounted(zsb)) {
		err = attach_mount(zsb, &call);
		if (!err)
			waiting->out = call.out;
	}
	if (!err && zsb->attached_once)
		err = attach_finish(zsb, zsb->mount_epoch);
	if (err)
		goto unlock;
	WRITE_ONCE(zsb->epoch, zsb->mount_epoch);
	if (zsb->attached_once)
		pr_info("zuf: %s: attached to a new server\n", zsb->sb->s_id);
unlock:
	mutex_unlock(&zsb->attach_lock);
	return err;
}

/* --- mount ------------------------------------------------------------------------------------ */

/*
 * Memory that a hypervisor keeps in its page cache (virtio-pmem): a fence does not make it durable. The dax core's mark alone
 * does not tell: the object of a device that has gone serves the next one, its mark included (seen on Linux 6.12).
 */
static bool device_must_flush(struct zuf_sb *zsb)
{
	struct device *dev;

	for (dev = disk_to_dev(zsb->sb->s_bdev->bd_disk); dev; dev = dev->parent) {
		if (dev->bus && !strcmp(dev->bus->name, "virtio"))
			return true;
	}
	return !dax_synchronous(zsb->dax_dev);
}

static int sb_open_device(struct zuf_sb *zsb, struct fs_context *fc)
{
	struct block_device *bdev = zsb->sb->s_bdev;

	if (zuf_dax_get(zsb)) {
		errorf(fc, "%s: no direct access (DAX) to this device", zsb->source);
		return -EOPNOTSUPP;
	}
	if (device_must_flush(zsb)) {
		errorf(fc, "%s: its memory must be flushed by the device: mount it through FUSE", zsb->source);
		return -EOPNOTSUPP;
	}
	zsb->dev_size = bdev_nr_bytes(bdev) & PAGE_MASK;
	return 0;
}

static struct zuf_sb *sb_new(struct super_block *sb, struct fs_context *fc)
{
	struct zuf_context *ctx = fc->fs_private;
	struct zuf_sb *zsb = kzalloc(sizeof(*zsb), GFP_KERNEL);

	if (!zsb)
		return NULL;
	if (percpu_init_rwsem(&zsb->store_lock)) {
		kfree(zsb);
		return NULL;
	}
	zsb->sb = sb;
	zsb->want_rdonly = sb_rdonly(sb);
	zsb->type = container_of(sb->s_type, struct zuf_type, fst);
	zsb->wait_s = ctx->wait_s;
	zsb->options = ctx->options;
	ctx->options = NULL;
	zsb->source = kstrdup(fc->source ? fc->source : "none", GFP_KERNEL);
	INIT_LIST_HEAD(&zsb->devmaps);
	mutex_init(&zsb->attach_lock);
	init_llist_head(&zsb->forgets);
	zuf_pinned_init(zsb);
	return zsb;
}

static void sb_init(struct super_block *sb)
{
	sb->s_magic = ZUF_SB_MAGIC;
	sb->s_blocksize = 1 << ZUF_BLOCK_BITS;
	sb->s_blocksize_bits = ZUF_BLOCK_BITS;
	sb->s_op = &zuf_sops;
	sb->s_xattr = zuf_xattr_handlers;
	sb->s_export_op = &zuf_export_ops;
	sb->s_time_gran = 1;
	sb->s_flags |= SB_POSIXACL | SB_NOSEC;
}

static int sb_make_root(struct zuf_sb *zsb, const struct zuf_attr *attr, u64 epoch)
{
	struct super_block *sb = zsb->sb;
	struct inode *root = zuf_iget(sb, attr, epoch);

	if (IS_ERR(root))
		return PTR_ERR(root);
	sb->s_root = d_make_root(root);
	return sb->s_root ? 0 : -ENOMEM;
}

static void sb_close(struct zuf_sb *zsb)
{
	zsb->dead = true;
	/* First the number: who has it can make a window. */
	zuf_mount_id_put(zsb);
	zuf_devmaps_kill(zsb);
	zuf_stats_free(zsb);
	zuf_dax_put(zsb);
}

static void sb_free(struct zuf_sb *zsb)
{
	if (!zsb)
		return;
	sb_close(zsb);
	kfree(zsb->options);
	kfree(zsb->source);
	percpu_free_rwsem(&zsb->store_lock);
	kfree(zsb);
}

int zuf_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct zuf_sb *zsb = sb_new(sb, fc);
	struct zuf_call call = { .zsb = zsb };
	int err;

	if (!zsb)
		return -ENOMEM;
	sb->s_fs_info = zsb;
	if (!zsb->source)
		return -ENOMEM;
	sb_init(sb);
	if (zsb->type->has_device) {
		err = sb_open_device(zsb, fc);
		if (err)
			return err;
	}
	err = zuf_mount_id_get(zsb);
	if (err)
		return err;
	err = zuf_attach(&call);
	if (err) {
		errorf(fc, "%s: the server cannot open it; it said why", zsb->source);
		return err == -ENOTCONN ? -EIO : err;
	}
	zsb->attached_once = true;
	sb->s_maxbytes = zsb->info.max_file_size;
	sb->s_time_gran = clamp_t(u32, zsb->info.time_gran_ns, 1, 1000000000);
	if (zsb->info.mount_flags & ZUF_MOUNT_RDONLY)
		sb->s_flags |= SB_RDONLY;
#if ZUF_BEFORE(6, 9)
	memcpy(&sb->s_uuid, zsb->info.uuid, sizeof(sb->s_uuid));
#else
	super_set_uuid(sb, zsb->info.uuid, sizeof(zsb->info.uuid));
#endif
	zsb->rdonly = sb_rdonly(sb);
	zsb->want_rdonly = zsb->rdonly;
	err = zuf_stats_new(zsb);
	if (!err)
		err = sb_make_root(zsb, &call.out.attr, zsb->epoch);
	/* There is no root: nobody else tells the server. */
	if (err)
		attach_undo(zsb);
	return err;
}

/* A server that takes over meanwhile is told what shall be: the VFS says it only when this has returned. */
static int remount_send(struct zuf_sb *zsb, bool rdonly)
{
	struct zuf_call call;
	int err = zuf_call_begin(&call, zsb, ZUF_OP_REMOUNT, ZUF_NODE_ROOT);

	if (err)
		return err;
	WRITE_ONCE(zsb->want_rdonly, rdonly);
	call.in->flags = mount_flags(zsb);
	err = zuf_call_send(&call);
	zuf_call_end(&call);
	if (err)
		WRITE_ONCE(zsb->want_rdonly, sb_rdonly(zsb->sb));
	return err;
}

int zuf_remount(struct super_block *sb, struct fs_context *fc)
{
	struct zuf_context *ctx = fc->fs_private;
	struct zuf_sb *zsb = zuf_sb_of(sb);
	int err;

	sync_filesystem(sb);
	zuf_forgets_flush(zsb);
	if (((fc->sb_flags ^ sb->s_flags) & SB_RDONLY) && (fc->sb_flags_mask & SB_RDONLY)) {
		err = remount_send(zsb, fc->sb_flags & SB_RDONLY);
		if (err)
			return err;
		WRITE_ONCE(zsb->rdonly, fc->sb_flags & SB_RDONLY);
		if (!zsb->rdonly)
			zuf_tails_uncopy(sb);
	}
	zsb->wait_s = ctx->wait_s;
	return 0;
}

/* --- operations ------------------------------------------------------------------------------- */

/* Tells a server that lives; one that is dead is not waited for. */
static void sb_put(struct super_block *sb)
{
	struct zuf_sb *zsb = zuf_sb_of(sb);

	zsb->wait_s = 0;
	zuf_forgets_drop(zsb);
	wait_var_event(&zsb->n_async, !atomic_read(&zsb->n_async));
	attach_undo(zsb);
	sb_close(zsb);
}

/* Before the VFS takes it down. */
static void sb_stop(struct zuf_sb *zsb)
{
	if (!zsb)
		return;
	mutex_lock(&zuf_server_lock);
	zsb->closing = true;
	mutex_unlock(&zuf_server_lock);
	wait_var_event(&zsb->n_invalidates, !atomic_read(&zsb->n_invalidates));
	zuf_pinned_end(zsb);
}

void zuf_kill_block_super(struct super_block *sb)
{
	struct zuf_sb *zsb = zuf_sb_of(sb);

	sb_stop(zsb);
	kill_block_super(sb);
	sb_free(zsb);
}

void zuf_kill_anon_super(struct super_block *sb)
{
	struct zuf_sb *zsb = zuf_sb_of(sb);

	sb_stop(zsb);
	kill_anon_super(sb);
	sb_free(zsb);
}

static int sb_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct zuf_sb *zsb = zuf_sb_of(dentry->d_sb);
	struct zuf_statfs st;
	struct zuf_call call;
	int err;

	/* What was deleted is free space by now. */
	err = zuf_forgets_settle(zsb);
	if (err)
		return err;
	err = zuf_call_begin(&call, zsb, ZUF_OP_STATFS, ZUF_NODE_ROOT);
	if (err)
		return err;
	err = zuf_call_send(&call);
	if (!err && call.out.out_len != sizeof(st))
		err = -EIO;
	if (!err)
		memcpy(&st, zuf_call_out(&call), sizeof(st));
	zuf_call_end(&call);
	if (err)
		return err;
	buf->f_type = ZUF_SB_MAGIC;
	buf->f_bsize = st.bsize;
	buf->f_frsize = st.bsize;
	buf->f_blocks = st.blocks;
	buf->f_bfree = st.bfree;
	buf->f_bavail = st.bavail;
	buf->f_files = st.files;
	buf->f_ffree = st.ffree;
	buf->f_namelen = st.namelen;
	buf->f_fsid = u64_to_fsid(st.fsid);
	return 0;
}

static int sb_sync(struct super_block *sb, int wait)
{
	struct zuf_sb *zsb = zuf_sb_of(sb);

	if (!wait || !(zsb->info.flags & ZUF_INFO_SYNC) || !sb->s_root)
		return 0;
	return zuf_call_simple(zsb, ZUF_OP_SYNC, ZUF_NODE_ROOT, NULL);
}

static int sb_show_options(struct seq_file *m, struct dentry *root)
{
	struct zuf_sb *zsb = zuf_sb_of(root->d_sb);

	if (zsb->wait_s)
		seq_printf(m, ",wait=%u", zsb->wait_s);
	if (zsb->options)
		seq_printf(m, ",%s", zsb->options);
	return 0;
}

const struct super_operations zuf_sops = {
	.alloc_inode = zuf_alloc_inode,
	.free_inode = zuf_free_inode,
	.drop_inode = zuf_drop_inode,
	.evict_inode = zuf_evict_inode,
	.put_super = sb_put,
	.statfs = sb_statfs,
	.sync_fs = sb_sync,
	.show_options = sb_show_options,
};
