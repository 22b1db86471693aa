/* SPDX-License-Identifier: BSD-3-Clause */
/* Attributes: getattr, setattr, times, link counts. Everything here is under the inode's lock; sizes under content first. */
#include <errno.h>
#include <time.h>

#include "memfs/memfs.h"

#define RELATIME_S (24 * 3600)
#define LINK_MAX_MEM 0x7fffffffu

/* As in-kernel file systems: the clock of the timer tick, which is cheaper than the exact one. */
struct zus_time mem_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return (struct zus_time){ now.tv_sec, (uint32_t)now.tv_nsec };
}

static void fill_attr_locked(struct mem_inode *inode, struct zus_attr *out_attr)
{
	*out_attr = (struct zus_attr){
		.node = mem_inode_node(inode),
		.ino = inode->ino,
		.size = mem_inode_size(inode),
		.blocks = atomic_load_explicit(&inode->n_blocks, memory_order_relaxed) << (MEM_BLOCK_SHIFT - 9),
		.rdev = inode->rdev,
		.generation = atomic_load_explicit(&inode->generation, memory_order_relaxed),
		.mode = inode->type | inode->perm,
		.nlink = inode->nlink,
		.uid = inode->uid,
		.gid = inode->gid,
		.blksize = MEM_BLOCK_SIZE,
		.flags = mem_inode_flags(inode),
		.projid = inode->projid,
		.atime = inode->atime,
		.mtime = inode->mtime,
		.ctime = inode->ctime,
		.btime = inode->btime,
	};
}

void mem_inode_fill_attr(struct mem_inode *inode, struct zus_attr *out_attr)
{
	pthread_mutex_lock(&inode->lock);
	fill_attr_locked(inode, out_attr);
	pthread_mutex_unlock(&inode->lock);
}

void mem_inode_changed_locked(struct mem_inode *inode, bool modified)
{
	inode->ctime = mem_now();
	if (modified)
		inode->mtime = inode->ctime;
	atomic_store_explicit(&inode->atime_good_until, 0, memory_order_relaxed);
}

void mem_inode_changed(struct mem_inode *inode, bool modified)
{
	pthread_mutex_lock(&inode->lock);
	mem_inode_changed_locked(inode, modified);
	pthread_mutex_unlock(&inode->lock);
}

static bool time_is_after(struct zus_time a, struct zus_time b)
{
	return a.sec > b.sec || (a.sec == b.sec && a.nsec > b.nsec);
}

void mem_inode_accessed(struct memfs *fs, struct mem_inode *inode)
{
	uint32_t mount_flags = memfs_mount_flags(fs);
	struct zus_time now = mem_now();
	bool strict = mount_flags & ZUS_MOUNT_STRICTATIME;

	if (mount_flags & (ZUS_MOUNT_NOATIME | ZUS_MOUNT_RDONLY) || mem_inode_flags(inode) & (ZUS_FL_NOATIME | ZUS_FL_IMMUTABLE))
		return;
	if (mem_inode_is_dir(inode) && mount_flags & ZUS_MOUNT_NODIRATIME)
		return;
	if (!strict && now.sec < atomic_load_explicit(&inode->atime_good_until, memory_order_relaxed))
		return;
	pthread_mutex_lock(&inode->lock);
	if (strict || !time_is_after(inode->atime, inode->mtime) || !time_is_after(inode->atime, inode->ctime) ||
	    now.sec - inode->atime.sec >= RELATIME_S)
		inode->atime = now;
	if (time_is_after(inode->atime, inode->mtime) && time_is_after(inode->atime, inode->ctime))
		atomic_store_explicit(&inode->atime_good_until, inode->atime.sec + RELATIME_S, memory_order_relaxed);
	pthread_mutex_unlock(&inode->lock);
}

void mem_inode_kill_priv_locked(struct mem_inode *inode)
{
	if (inode->type == S_IFDIR)
		return;
	inode->perm &= ~(uint32_t)S_ISUID;
	if (inode->perm & S_IXGRP)
		inode->perm &= ~(uint32_t)S_ISGID;
}

int mem_inode_link(struct mem_inode *inode)
{
	int err = 0;

	pthread_mutex_lock(&inode->lock);
	if (!inode->nlink && !inode->linkable)
		err = -ENOENT;
	else if (inode->nlink >= LINK_MAX_MEM)
		err = -EMLINK;
	if (!err) {
		if (!inode->nlink)
			mem_inode_ref(inode);
		inode->linkable = false;
		inode->nlink++;
		mem_inode_changed_locked(inode, false);
	}
	pthread_mutex_unlock(&inode->lock);
	return err;
}

void mem_inode_unlink(struct memfs *fs, struct mem_inode *inode, uint32_t n)
{
	bool last;

	pthread_mutex_lock(&inode->lock);
	inode->nlink -= n;
	last = !inode->nlink;
	mem_inode_changed_locked(inode, false);
	pthread_mutex_unlock(&inode->lock);
	if (last)
		mem_inode_put(fs, inode);
}

int memfs_getattr(struct zus_fs *zus, uint64_t node, struct zus_attr *out_attr)
{
	struct memfs *fs = memfs_of(zus);
	struct mem_inode *inode;
	int err = mem_inode_get(fs, node, &inode);

	if (err)
		return err;
	mem_inode_fill_attr(inode, out_attr);
	mem_inode_put(fs, inode);
	return 0;
}

/* chattr alone may change an immutable or append-only inode; the latter's times may also be set to now. */
static int setattr_may(const struct mem_inode *inode, uint32_t valid)
{
	uint32_t flags = mem_inode_flags(inode);
	uint32_t free_for_append = ZUS_SET_ATIME_NOW | ZUS_SET_MTIME_NOW | ZUS_SET_ATIME | ZUS_SET_MTIME;

	valid &= ~(ZUS_SET_FLAGS | ZUS_SET_PROJID);
	if (flags & ZUS_FL_IMMUTABLE && valid)
		return -EPERM;
	if (valid & ZUS_SET_ATIME_NOW || valid & ZUS_SET_MTIME_NOW)
		valid &= ~free_for_append;
	return flags & ZUS_FL_APPEND && valid & ~ZUS_SET_KILL_PRIV ? -EPERM : 0;
}

static void set_times_locked(struct mem_inode *inode, const struct zus_setattr *set)
{
	struct zus_time now = mem_now();

	if (set->valid & ZUS_SET_ATIME)
		inode->atime = set->atime;
	if (set->valid & ZUS_SET_ATIME_NOW)
		inode->atime = now;
	if (set->valid & ZUS_SET_MTIME)
		inode->mtime = set->mtime;
	if (set->valid & ZUS_SET_MTIME_NOW)
		inode->mtime = now;
}

static int set_fields_locked(struct mem_inode *inode, const struct zus_setattr *set)
{
	static const struct zus_name acl_access = { "system.posix_acl_access", 23 };
	int err = 0;

	if (set->valid & ZUS_SET_ACL && set->acl.len)
		err = mem_xattr_set_locked(inode, acl_access, set->acl, 0);
	else if (set->valid & ZUS_SET_ACL)
		mem_xattr_drop_locked(inode, acl_access);
	if (err)
		return err;
	if (set->valid & ZUS_SET_MODE)
		inode->perm = set->mode & 07777;
	if (set->valid & ZUS_SET_UID)
		inode->uid = set->uid;
	if (set->valid & ZUS_SET_GID)
		inode->gid = set->gid;
	if (set->valid & ZUS_SET_KILL_PRIV)
		mem_inode_kill_priv_locked(inode);
	if (set->valid & ZUS_SET_PROJID)
		inode->projid = set->projid;
	if (set->valid & ZUS_SET_FLAGS)
		atomic_store_explicit(&inode->flags, set->flags & ZUS_FL_USER, memory_order_release);
	mem_inode_changed_locked(inode, set->valid & ZUS_SET_SIZE);
	set_times_locked(inode, set);
	return 0;
}

static int setattr_size_locked(struct memfs *fs, struct mem_inode *inode, const struct zus_setattr *set)
{
	if (inode->type != S_IFREG)
		return mem_inode_is_dir(inode) ? -EISDIR : -EINVAL;
	return mem_file_resize_locked(fs, inode, set->size);
}

int memfs_setattr(struct zus_fs *zus, uint64_t node, const struct zus_setattr *set, struct zus_attr *out_attr)
{
	bool resize = set->valid & ZUS_SET_SIZE;
	struct memfs *fs = memfs_of(zus);
	struct mem_inode *inode;
	int err;

	if (memfs_is_rdonly(fs))
		return -EROFS;
	err = mem_inode_get(fs, node, &inode);
	if (err)
		return err;
	if (resize)
		pthread_rwlock_wrlock(&inode->content);
	err = setattr_may(inode, set->valid);
	if (!err && resize)
		err = setattr_size_locked(fs, inode, set);
	if (!err) {
		pthread_mutex_lock(&inode->lock);
		err = set_fields_locked(inode, set);
		fill_attr_locked(inode, out_attr);
		pthread_mutex_unlock(&inode->lock);
	}
	if (resize)
		pthread_rwlock_unlock(&inode->content);
	mem_inode_put(fs, inode);
	return err;
}
