// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attributes: the inode in memory is the kernel's cache of what the server keeps, and the kernel is the only one who changes it.
 * Each change is a call whose reply has the attributes as they are then. stat() never calls.
 *
 * Replies are applied in the order in which the server made them: alloc_lock is held from the call until then. A name's coming and
 * going (namei.c) does not have it, and applies no more than that changes.
 */
#include <linux/dax.h>
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/posix_acl.h>
#include <linux/xattr.h>

#include "zuf.h"

#define ZUF_FL_ALL                                                                                                               \
	(FS_SYNC_FL | FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_DIRSYNC_FL | FS_PROJINHERIT_FL)

static struct timespec64 time_of(const struct zuf_time *t)
{
	struct timespec64 ts = { .tv_sec = t->sec, .tv_nsec = t->nsec < NSEC_PER_SEC ? t->nsec : 0 };

	return ts;
}

static unsigned int vfs_flags(u32 fl)
{
	unsigned int flags = 0;

	if (fl & FS_SYNC_FL)
		flags |= S_SYNC;
	if (fl & FS_IMMUTABLE_FL)
		flags |= S_IMMUTABLE;
	if (fl & FS_APPEND_FL)
		flags |= S_APPEND;
	if (fl & FS_NOATIME_FL)
		flags |= S_NOATIME;
	if (fl & FS_DIRSYNC_FL)
		flags |= S_DIRSYNC;
	return flags;
}

static void attr_apply_times(struct inode *inode, const struct zuf_attr *attr)
{
	spin_lock(&zuf_i(inode)->lock);
	inode_set_atime_to_ts(inode, time_of(&attr->atime));
	inode_set_mtime_to_ts(inode, time_of(&attr->mtime));
	inode_set_ctime_to_ts(inode, time_of(&attr->ctime));
	spin_unlock(&zuf_i(inode)->lock);
	zuf_i(inode)->btime = time_of(&attr->btime);
}

void zuf_attr_apply(struct inode *inode, const struct zuf_attr *attr)
{
	struct zuf_inode *zi = zuf_i(inode);

	if (attr->node != zi->node || attr->size > MAX_LFS_FILESIZE)
		return;
	inode->i_mode = (inode->i_mode & S_IFMT) | (attr->mode & 07777);
	inode->i_uid = make_kuid(&init_user_ns, attr->uid);
	inode->i_gid = make_kgid(&init_user_ns, attr->gid);
	if (inode->i_nlink != attr->nlink)
		set_nlink(inode, attr->nlink);
	inode->i_blocks = attr->blocks;
	attr_apply_times(inode, attr);
	zi->fl_flags = attr->flags & ZUF_FL_ALL;
	zi->projid = attr->projid;
	inode_set_flags(inode, vfs_flags(attr->flags), S_SYNC | S_IMMUTABLE | S_APPEND | S_NOATIME | S_DIRSYNC);
	if (i_size_read(inode) != attr->size) {
		zuf_tail_moved(zi);
		i_size_write(inode, attr->size);
	}
}

void zuf_attr_apply_links(struct inode *inode, const struct zuf_attr *attr)
{
	struct timespec64 ctime = time_of(&attr->ctime), old;

	if (attr->node != zuf_i(inode)->node)
		return;
	/* A directory that stays, and only moves, has no lock: somebody may be making a directory in it. */
	if (inode->i_nlink != attr->nlink && (!S_ISDIR(inode->i_mode) || !attr->nlink))
		set_nlink(inode, attr->nlink);
	spin_lock(&zuf_i(inode)->lock);
	old = inode_get_ctime(inode);
	if (timespec64_compare(&ctime, &old) > 0)
		inode_set_ctime_to_ts(inode, ctime);
	spin_unlock(&zuf_i(inode)->lock);
}

int zuf_attr_reload(struct inode *inode)
{
	struct zuf_reply out;
	int err;

	err = zuf_call_simple(zuf_sb_of(inode->i_sb), ZUF_OP_GETATTR, zuf_i(inode)->node, &out);
	if (!err && !out.has_attr)
		err = -EIO;
	if (!err)
		zuf_attr_apply(inode, &out.attr);
	return err;
}

static void attr_init_ops(struct inode *inode, const struct zuf_attr *attr)
{
	struct zuf_sb *zsb = zuf_sb_of(inode->i_sb);

	switch (inode->i_mode & S_IFMT) {
	case S_IFREG:
		inode->i_op = &zuf_file_iops;
		inode->i_fop = &zuf_file_fops;
		inode->i_mapping->a_ops = zuf_has_dax(zsb) ? &zuf_dax_aops : &zuf_plain_aops;
		if (zuf_has_dax(zsb))
			inode->i_flags |= S_DAX;
		break;
	case S_IFDIR:
		inode->i_op = &zuf_dir_iops;
		inode->i_fop = &zuf_dir_fops;
		break;
	case S_IFLNK:
		inode->i_op = &zuf_symlink_iops;
		inode->i_link = NULL;
		break;
	default:
		inode->i_op = &zuf_special_iops;
		init_special_inode(inode, inode->i_mode, MKDEV(attr->rdev >> 32 & 0xfff, attr->rdev & MINORMASK));
		break;
	}
}

void zuf_attr_init(struct inode *inode, const struct zuf_attr *attr)
{
	inode->i_ino = attr->ino;
	inode->i_generation = attr->generation;
	inode->i_mode = attr->mode & (S_IFMT | 07777);
	attr_init_ops(inode, attr);
	zuf_attr_apply(inode, attr);
	/* What the server has looked for already is not asked for. */
	if (attr->hints & ZUF_HINT_NO_ACL)
		inode->i_acl = NULL;
	if (attr->hints & ZUF_HINT_NO_DEFAULT_ACL || !S_ISDIR(inode->i_mode))
		inode->i_default_acl = NULL;
	if ((attr->hints & ZUF_HINT_NO_CAPABILITY) && !(inode->i_mode & (S_ISUID | S_ISGID)))
		inode->i_flags |= S_NOSEC;
}

/* --- the size --------------------------------------------------------------------------------- */

static long wait_unlocked(struct inode *inode, long timeout)
{
	filemap_invalidate_unlock(inode->i_mapping);
	timeout = schedule_timeout(timeout);
	filemap_invalidate_lock(inode->i_mapping);
	return timeout;
}

#define PAGES_WAIT (HZ / 10)

/*
 * Page tables let go of [start, end]. Pages that are under I/O elsewhere (O_DIRECT into a mapping of the file): when that has
 * ended. Who maps them meanwhile uses them too, from 6.15 on: so they are unmapped again, now and then.
 */
static int pages_unmap(struct inode *inode, loff_t start, loff_t end)
{
	struct page *page;
	long left;

	do {
		page = dax_layout_busy_page_range(inode->i_mapping, start, end);
		/* Which finds none in a file that is mapped no longer. */
		if (!page)
			page = zuf_dax_busy_page(inode->i_mapping, start >> PAGE_SHIFT, end >> PAGE_SHIFT);
		if (!page)
			return 0;
		left = ___wait_var_event(zuf_page_wait_var(page), ___wait_cond_timeout(dax_page_is_idle(page)), TASK_INTERRUPTIBLE,
					 0, PAGES_WAIT, __ret = wait_unlocked(inode, __ret));
	} while (left >= 0);
	return left;
}

/*
 * The dax core's entries go whole: one may stand for 2 MiB, which another mapping shows page by page, and which is dirty as a
 * whole. So all that lies in one is unmapped, and flushed: what the caller's range does not have, or what he fails to change,
 * survives, and nothing else knows that it was stored to.
 */
int zuf_break_layouts(struct inode *inode, loff_t start, loff_t end)
{
	struct address_space *mapping = inode->i_mapping;
	int err;

	start = round_down(start, PMD_SIZE);
	end |= PMD_SIZE - 1;
	if (!IS_DAX(inode)) {
		unmap_mapping_pages(mapping, start >> PAGE_SHIFT, (end >> PAGE_SHIFT) - (start >> PAGE_SHIFT) + 1, false);
		truncate_inode_pages_range(mapping, start, end == LLONG_MAX ? -1 : end);
		return 0;
	}
	err = pages_unmap(inode, start, end);
	if (!err)
		err = filemap_write_and_wait_range(mapping, start, end);
	/* Before the server's record is there, in which the bytes may have another place. */
	wmb();
	if (!err)
		dax_delete_mapping_range(mapping, start, end);
	return err;
}

/* Takes the pages and extents behind size away, before the server frees them. invalidate_lock is held. */
static int size_prepare(struct inode *inode, loff_t size)
{
	loff_t from = round_up(size, PAGE_SIZE);
	int err;

	if (size >= i_size_read(inode))
		return 0;
	err = zuf_break_layouts(inode, size, LLONG_MAX);
	if (err)
		return err;
	/* Private copies too. */
	unmap_mapping_range(inode->i_mapping, from, 0, 1);
	zuf_extents_drop(zuf_i(inode), from, U64_MAX);
	return 0;
}

/* --- setattr ---------------------------------------------------------------------------------- */

static void fill_time(struct zuf_time *out, const struct timespec64 *t)
{
	out->sec = t->tv_sec;
	out->nsec = t->tv_nsec;
}

static void setattr_fill(struct zuf_request *in, const struct iattr *attr)
{
	if (attr->ia_valid & ATTR_MODE) {
		in->valid |= ZUF_SET_MODE;
		in->mode = attr->ia_mode & 07777;
	}
	if (attr->ia_valid & ATTR_UID) {
		in->valid |= ZUF_SET_UID;
		in->uid = from_kuid(&init_user_ns, attr->ia_uid);
	}
	if (attr->ia_valid & ATTR_GID) {
		in->valid |= ZUF_SET_GID;
		in->gid = from_kgid(&init_user_ns, attr->ia_gid);
	}
	if (attr->ia_valid & ATTR_SIZE) {
		in->valid |= ZUF_SET_SIZE;
		in->off = attr->ia_size;
	}
	if (attr->ia_valid & ATTR_ATIME) {
		in->valid |= attr->ia_valid & ATTR_ATIME_SET ? ZUF_SET_ATIME : ZUF_SET_ATIME_NOW;
		fill_time(&in->atime, &attr->ia_atime);
	}
	/* A truncation that changes nothing still sets the times: the plug-in does with the size. */
	if ((attr->ia_valid & ATTR_MTIME) && (!(attr->ia_valid & ATTR_SIZE) || (attr->ia_valid & ATTR_MTIME_SET))) {
		in->valid |= attr->ia_valid & ATTR_MTIME_SET ? ZUF_SET_MTIME : ZUF_SET_MTIME_NOW;
		fill_time(&in->mtime, &attr->ia_mtime);
	}
}

static int setattr_send(struct inode *inode, const struct iattr *attr)
{
	struct zuf_call call;
	int err;

	mutex_lock(&zuf_i(inode)->alloc_lock);
	err = zuf_call_begin(&call, zuf_sb_of(inode->i_sb), ZUF_OP_SETATTR, zuf_i(inode)->node);
	if (err)
		goto unlock;
	setattr_fill(call.in, attr);
	/* chown(2) with -1 twice still clears suid and sgid; the VFS has put that into the mode if it was so. */
	if (!call.in->valid) {
		zuf_call_end(&call);
		goto unlock;
	}
	err = zuf_call_send(&call);
	if (!err)
		zuf_attr_apply(inode, &call.out.attr);
	zuf_call_end(&call);
	if (!err && !call.out.has_attr)
		err = zuf_attr_reload(inode);
unlock:
	mutex_unlock(&zuf_i(inode)->alloc_lock);
	return err;
}

static void acl_forget(struct inode *inode)
{
	struct posix_acl *acl = get_cached_acl(inode, ACL_TYPE_ACCESS);

	if (!acl)
		return;
	/* One that is being read is not kept either. */
	if (!is_uncached_acl(acl))
		posix_acl_release(acl);
	forget_cached_acl(inode, ACL_TYPE_ACCESS);
}

int zuf_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	bool sized = attr->ia_valid & ATTR_SIZE;
	int err;

	err = zuf_setattr_prepare(idmap, dentry, attr);
	if (err)
		return err;
	if (sized) {
		filemap_invalidate_lock(inode->i_mapping);
		err = size_prepare(inode, attr->ia_size);
	}
	if (!err)
		err = setattr_send(inode, attr);
	if (sized)
		filemap_invalidate_unlock(inode->i_mapping);
	if (!err && (attr->ia_valid & ATTR_MODE))
		acl_forget(inode);
	return err;
}

int zuf_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat, u32 mask, unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	struct zuf_inode *zi = zuf_i(inode);

	zuf_fillattr(idmap, mask, inode, stat);
	stat->btime = zi->btime;
	stat->result_mask |= STATX_BTIME;
	if (zi->fl_flags & FS_APPEND_FL)
		stat->attributes |= STATX_ATTR_APPEND;
	if (zi->fl_flags & FS_IMMUTABLE_FL)
		stat->attributes |= STATX_ATTR_IMMUTABLE;
	if (zi->fl_flags & FS_NODUMP_FL)
		stat->attributes |= STATX_ATTR_NODUMP;
	stat->attributes_mask |= STATX_ATTR_APPEND | STATX_ATTR_IMMUTABLE | STATX_ATTR_NODUMP;
	stat->blksize = 1 << inode->i_blkbits;
	return 0;
}

/*
 * Times of reads and of writes in place, when they are due (relatime; once in a tick of the coarse clock). Synchronous, as
 * everything: what stat() shows is on the device.
 */
static int update_time(struct inode *inode, bool written)
{
	struct zuf_call call;
	int err;

	/* Who read a directory or a symlink when: told by memory alone. */
	if (!written && !S_ISREG(inode->i_mode)) {
		inode_set_atime_to_ts(inode, current_time(inode));
		return 0;
	}
	/* A read and a fault do not have the inode's lock. */
	mutex_lock(&zuf_i(inode)->alloc_lock);
	err = zuf_call_begin(&call, zuf_sb_of(inode->i_sb), written ? ZUF_OP_SETATTR : ZUF_OP_ATIME, zuf_i(inode)->node);
	if (err)
		goto unlock;
	if (written)
		call.in->valid = ZUF_SET_MTIME_NOW;
	err = zuf_call_send(&call);
	if (!err && call.out.has_attr)
		attr_apply_times(inode, &call.out.attr);
	zuf_call_end(&call);
unlock:
	mutex_unlock(&zuf_i(inode)->alloc_lock);
	return err;
}

#if ZUF_BEFORE(6, 6)
int zuf_update_time(struct inode *inode, struct timespec64 *time, int flags)
{
	return flags & (S_ATIME | S_MTIME | S_CTIME) ? update_time(inode, flags & (S_MTIME | S_CTIME)) : 0;
}
#elif ZUF_BEFORE(7, 0)
int zuf_update_time(struct inode *inode, int flags)
{
	return flags & (S_ATIME | S_MTIME | S_CTIME) ? update_time(inode, flags & (S_MTIME | S_CTIME)) : 0;
}
#else
int zuf_update_time(struct inode *inode, enum fs_update_time type, unsigned int flags)
{
	return flags & IOCB_NOWAIT ? -EAGAIN : update_time(inode, type == FS_UPD_CMTIME);
}
#endif

/* --- chattr ----------------------------------------------------------------------------------- */

int zuf_fileattr_get(struct dentry *dentry, struct zuf_fileattr *fa)
{
	struct zuf_inode *zi = zuf_i(d_inode(dentry));

	if (d_is_special(dentry))
		return -ENOTTY;
	fileattr_fill_flags(fa, zi->fl_flags);
	fa->fsx_projid = zi->projid;
	return 0;
}

int zuf_fileattr_set(struct mnt_idmap *idmap, struct dentry *dentry, struct zuf_fileattr *fa)
{
	struct inode *inode = d_inode(dentry);
	struct zuf_call call;
	int err;

	if (d_is_special(dentry))
		return -ENOTTY;
	if ((fa->flags & ~ZUF_FL_ALL) || fa->fsx_extsize || fa->fsx_cowextsize)
		return -EOPNOTSUPP;
	mutex_lock(&zuf_i(inode)->alloc_lock);
	err = zuf_call_begin(&call, zuf_sb_of(inode->i_sb), ZUF_OP_SETATTR, zuf_i(inode)->node);
	if (err)
		goto unlock;
	call.in->valid = ZUF_SET_FLAGS;
	call.in->fl_flags = fa->flags;
	if (fa->fsx_valid) {
		call.in->valid |= ZUF_SET_PROJID;
		call.in->projid = fa->fsx_projid;
	}
	err = zuf_call_send(&call);
	if (!err)
		zuf_attr_apply(inode, &call.out.attr);
	zuf_call_end(&call);
	if (!err && !call.out.has_attr)
		err = zuf_attr_reload(inode);
unlock:
	mutex_unlock(&zuf_i(inode)->alloc_lock);
	return err;
}
