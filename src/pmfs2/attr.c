/* SPDX-License-Identifier: BSD-3-Clause */
/* Attributes and xattrs: each change is one record of the inode's image (a larger truncation has steps of its own, file_size.c). */
#include "pmfs2/attr.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "pmfs2/file.h"
#include "pmfs2/inode.h"
#include "pmfs2/xattr.h"

int attr_get(struct fs *fs, uint64_t node, struct zus_attr *out)
{
	struct inode *ip;
	int err = inode_get(fs, node, &ip);

	if (err)
		return err;
	err = file_attend(fs, ip);
	if (err)
		goto put;
	mutex_lock(&ip->meta);
	if (ip->dead)
		err = -ESTALE;
	else
		inode_attr(ip, out);
	mutex_unlock(&ip->meta);
put:
	inode_put(fs, ip);
	return err;
}

/* What immutable and append-only forbid; the flags themselves can always be changed. */
static int set_allowed(const struct inode *ip, const struct zus_setattr *set)
{
	const uint32_t owner = ZUS_SET_MODE | ZUS_SET_UID | ZUS_SET_GID | ZUS_SET_SIZE | ZUS_SET_ATIME | ZUS_SET_MTIME |
			       ZUS_SET_ACL;
	uint32_t flags = le32_get(ip->media->flags);

	if ((flags & ZUS_FL_IMMUTABLE) && (set->valid & (owner | ZUS_SET_ATIME_NOW | ZUS_SET_MTIME_NOW)))
		return -EPERM;
	if ((flags & ZUS_FL_APPEND) && (set->valid & owner))
		return -EPERM;
	if ((set->valid & ZUS_SET_SIZE) && !inode_is_reg(ip))
		return inode_is_dir(ip) ? -EISDIR : -EINVAL;
	return 0;
}

static void image_set(struct pmfs2_inode *image, const struct zus_setattr *set)
{
	uint32_t mode = le32_get(image->mode), valid = set->valid;
	le64 now = le64_of(fs_now());

	if (valid & ZUS_SET_KILL_PRIV) {
		if (!S_ISDIR(mode))
			mode &= ~(uint32_t)(S_ISUID | (mode & S_IXGRP ? S_ISGID : 0));
	}
	if (valid & ZUS_SET_MODE)
		mode = (mode & S_IFMT) | (set->mode & 07777);
	image->mode = le32_of(mode);
	if (valid & ZUS_SET_UID)
		image->uid = le32_of(set->uid);
	if (valid & ZUS_SET_GID)
		image->gid = le32_of(set->gid);
	if (valid & ZUS_SET_FLAGS)
		image->flags = le32_of((le32_get(image->flags) & ~ZUS_FL_USER) | (set->flags & ZUS_FL_USER));
	if (valid & ZUS_SET_PROJID)
		image->projid = le32_of(set->projid);
	if (valid & ZUS_SET_ATIME_NOW)
		image->atime = now;
	else if (valid & ZUS_SET_ATIME)
		image->atime = le64_of(fs_time_encode(set->atime));
	if (valid & ZUS_SET_MTIME_NOW)
		image->mtime = now;
	else if (valid & ZUS_SET_MTIME)
		image->mtime = le64_of(fs_time_encode(set->mtime));
	image->ctime = now;
}

/* Everything but the size, with meta held. */
static int set_commit(struct fs *fs, struct inode *ip, const struct zus_setattr *set)
{
	static const struct zus_name acl = { "system.posix_acl_access", 23 };
	struct inode_edit edit;
	struct tx tx;
	int fence = 0, err = 0;

	tx_begin(&tx, fs);
	inode_edit_begin(&edit, ip);
	if (set->valid & ZUS_SET_ACL) {
		err = xattr_change(&tx, &edit, acl, set->acl.len ? &set->acl : NULL, 0, &fence);
		if (err == -ENODATA)
			err = 0;
	}
	if (err) {
		tx_drop(&tx);
		return err;
	}
	image_set(&edit.image, set);
	if (fence)
		pmem_fence(fs->pm);
	inode_edit_log(&tx, &edit);
	return tx_commit(&tx);
}

static int set_size(struct fs *fs, struct inode *ip, const struct zus_setattr *set, struct zus_attr *out)
{
	struct inode_edit edit;
	int err;

	rwlock_write(&ip->lock);
	mutex_lock(&ip->meta);
	err = ip->dead ? -ESTALE : set_allowed(ip, set);
	if (!err) {
		inode_edit_begin(&edit, ip);
		image_set(&edit.image, set);
		if (!(set->valid & (ZUS_SET_MTIME | ZUS_SET_MTIME_NOW)) && set->size != le64_get(ip->media->size))
			edit.image.mtime = le64_of(fs_now());
		err = file_resize(fs, &edit, set->size);
	}
	if (!err)
		inode_attr(ip, out);
	mutex_unlock(&ip->meta);
	rwlock_unlock(&ip->lock);
	return err;
}

int attr_set(struct fs *fs, uint64_t node, const struct zus_setattr *set, struct zus_attr *out)
{
	struct zus_setattr rest = *set;
	struct inode *ip;
	int err = fs_check_writable(fs);

	if (!err)
		err = inode_get(fs, node, &ip);
	if (err)
		return err;
	if (set->valid & ZUS_SET_SIZE) {
		/* An ACL never comes together with a size; if it does, it is a second step. */
		rest.valid &= ~ZUS_SET_ACL;
		err = set_size(fs, ip, &rest, out);
		rest.valid = set->valid & ZUS_SET_ACL;
		if (err || !rest.valid)
			goto put;
	}
	err = file_attend(fs, ip);
	if (err)
		goto put;
	mutex_lock(&ip->meta);
	err = ip->dead ? -ESTALE : set_allowed(ip, &rest);
	if (!err && rest.valid)
		err = set_commit(fs, ip, &rest);
	if (!err)
		inode_attr(ip, out);
	mutex_unlock(&ip->meta);
put:
	inode_put(fs, ip);
	return err;
}

int attr_getxattr(struct fs *fs, uint64_t node, struct zus_name name, void *buf, size_t cap)
{
	struct inode *ip;
	int r = inode_get(fs, node, &ip);

	if (r)
		return r;
	mutex_lock(&ip->meta);
	r = xattr_get(fs, ip, name, buf, cap);
	mutex_unlock(&ip->meta);
	inode_put(fs, ip);
	return r;
}

int attr_listxattr(struct fs *fs, uint64_t node, char *buf, size_t cap)
{
	struct inode *ip;
	int r = inode_get(fs, node, &ip);

	if (r)
		return r;
	mutex_lock(&ip->meta);
	r = xattr_list(fs, ip, buf, cap);
	mutex_unlock(&ip->meta);
	inode_put(fs, ip);
	return r;
}

static int xattr_commit(struct fs *fs, uint64_t node, const struct zus_setxattr *set, const struct zus_blob *value)
{
	struct inode_edit edit;
	struct inode *ip;
	struct tx tx;
	int fence = 0, err = fs_check_writable(fs);

	if (!err)
		err = inode_get(fs, node, &ip);
	if (err)
		return err;
	mutex_lock(&ip->meta);
	tx_begin(&tx, fs);
	inode_edit_begin(&edit, ip);
	if (ip->dead)
		err = -ESTALE;
	else if (le32_get(ip->media->flags) & (ZUS_FL_IMMUTABLE | ZUS_FL_APPEND))
		err = -EPERM;
	else
		err = xattr_change(&tx, &edit, set->name, value, set->flags, &fence);
	/* A plain mode may come with the removal of an ACL that is not there. */
	if (err == -ENODATA && !value && set->set_mode)
		err = 0;
	if (err) {
		tx_drop(&tx);
	} else {
		if (set->set_mode)
			edit.image.mode = le32_of((le32_get(edit.image.mode) & S_IFMT) | (set->mode & 07777));
		inode_edit_touch(&edit, 0, 1);
		if (fence)
			pmem_fence(fs->pm);
		inode_edit_log(&tx, &edit);
		err = tx_commit(&tx);
	}
	mutex_unlock(&ip->meta);
	inode_put(fs, ip);
	return err;
}

int attr_setxattr(struct fs *fs, uint64_t node, const struct zus_setxattr *set)
{
	return xattr_commit(fs, node, set, &set->value);
}

int attr_removexattr(struct fs *fs, uint64_t node, struct zus_name name)
{
	struct zus_setxattr set = { .name = name };

	return xattr_commit(fs, node, &set, NULL);
}
