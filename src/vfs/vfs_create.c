/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * New inodes and names: what a directory hands down, and the plug-in's create, tmpfile, link and rename.
 *
 * A directory without a default ACL (nearly all) costs one look into the directory cache and no call of the plug-in.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vfs/acl.h"
#include "vfs/vfs.h"
#include "vfs/vfs_private.h"

/* Flags that go from a directory to what is created in it, by type. */
#define DIR_INHERITED (ZUS_FL_SYNC | ZUS_FL_NODUMP | ZUS_FL_NOATIME | ZUS_FL_DIRSYNC | ZUS_FL_PROJINHERIT)
#define FILE_INHERITED (ZUS_FL_SYNC | ZUS_FL_NODUMP | ZUS_FL_NOATIME)
#define OTHER_INHERITED (ZUS_FL_NODUMP | ZUS_FL_NOATIME)

static int dir_has_default_acl(struct vfs *vfs, uint64_t dir)
{
	struct zus_fs *fs = vfs->fs;
	int len;

	if (!fs->ops->getxattr)
		return 0;
	len = fs->ops->getxattr(fs, dir, VFS_NAME(ACL_XATTR_DEFAULT), NULL, 0);
	if (len == -ENODATA || len == -EOPNOTSUPP)
		return 0;
	return len < 0 ? len : len > 0;
}

static int dir_info_get(struct vfs *vfs, uint64_t dir, struct dir_info *out_info)
{
	struct dir_info info;
	struct zus_attr attr;
	uint64_t ticket;
	int err;

	if (dir_cache_find(&vfs->dirs, dir, out_info, &ticket))
		return 0;
	err = vfs->fs->ops->getattr(vfs->fs, dir, &attr);
	if (err)
		return err;
	if (!S_ISDIR(attr.mode))
		return -ENOTDIR;
	err = dir_has_default_acl(vfs, dir);
	if (err < 0)
		return err;
	info.gid = attr.gid;
	info.projid = attr.projid;
	info.flags = attr.flags;
	info.bits = (attr.mode & S_ISGID ? DIR_SGID : 0) | (err ? DIR_HAS_ACL : 0);
	dir_cache_store(&vfs->dirs, dir, &info, ticket);
	*out_info = info;
	return 0;
}

static uint32_t flags_inherited(const struct dir_info *info, uint32_t mode)
{
	if (S_ISDIR(mode))
		return info->flags & DIR_INHERITED;
	return info->flags & (S_ISREG(mode) ? FILE_INHERITED : OTHER_INHERITED);
}

/* The two blobs of a new inode that a default ACL gives it, in one allocation each. */
struct acl_pair {
	void *access;
	void *dflt;
};

/*
 * Takes dir's default ACL over into new. *out_found: 0 where it has gone since the cache was asked (umask applies).
 * A damaged ACL fails the create: guessing permissions would be worse.
 */
static int acl_from_dir(struct vfs *vfs, uint64_t dir, struct zus_new *new, struct acl_pair *pair, int *out_found)
{
	struct acl acl;
	uint32_t len;
	int err;

	*out_found = 0;
	err = vfs_get_blob(vfs, dir, VFS_NAME(ACL_XATTR_DEFAULT), &pair->dflt, &len);
	if (err)
		return err == -ENODATA ? 0 : err;
	err = acl_parse(pair->dflt, len, &acl);
	if (err)
		return -EUCLEAN;
	if (!acl.n_entries)
		return 0;
	pair->access = malloc(len);
	if (!pair->access)
		return -ENOMEM;
	memcpy(pair->access, pair->dflt, len);
	acl.blob = pair->access;
	new->mode = acl_inherit(&acl, new->mode);
	if (!acl_is_equivalent(&acl))
		new->acl_access = (struct zus_blob){ .data = pair->access, .len = len };
	if (S_ISDIR(new->mode))
		new->acl_default = (struct zus_blob){ .data = pair->dflt, .len = len };
	*out_found = 1;
	return 0;
}

static int create_call(struct vfs *vfs, const struct vfs_create *args, const struct zus_new *new, struct zus_attr *out_attr)
{
	struct zus_fs *fs = vfs->fs;

	if (args->name.len)
		return fs->ops->create(fs, args->dir, args->name, new, out_attr);
	return fs->ops->tmpfile ? fs->ops->tmpfile(fs, args->dir, new, out_attr) : -EOPNOTSUPP;
}

/* The mode comes from a message: plug-ins and media take what they get. */
static int mode_check(const struct vfs_create *args)
{
	if (args->mode & ~(uint32_t)(S_IFMT | 07777))
		return -EINVAL;
	if (!args->name.len && !S_ISREG(args->mode))
		return -EINVAL;
	switch (args->mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return 0;
	case S_IFLNK:
		return args->symlink.len ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

int vfs_create(struct vfs *vfs, const struct vfs_create *args, struct zus_attr *out_attr)
{
	struct acl_pair pair = { NULL, NULL };
	struct zus_new new = { .mode = args->mode, .uid = args->uid, .gid = args->gid, .rdev = args->rdev };
	struct dir_info info;
	int err, found = 0;

	err = mode_check(args);
	if (!err)
		err = dir_info_get(vfs, args->dir, &info);
	if (err)
		return err;
	new.symlink = args->symlink;
	new.flags = flags_inherited(&info, args->mode);
	new.projid = info.flags & ZUS_FL_PROJINHERIT ? info.projid : 0;
	if (info.bits & DIR_SGID) {
		new.gid = info.gid;
		if (S_ISDIR(new.mode))
			new.mode |= S_ISGID;
		else if ((new.mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && args->uid && args->gid != info.gid)
			new.mode &= ~(uint32_t)S_ISGID; /* a group's program made by one who need not be in it */
	}
	if (!S_ISLNK(args->mode)) {
		if (info.bits & DIR_HAS_ACL)
			err = acl_from_dir(vfs, args->dir, &new, &pair, &found);
		if (!found)
			new.mode &= ~(args->umask & 0777);
	}
	if (!err)
		err = create_call(vfs, args, &new, out_attr);
	free(pair.access);
	free(pair.dflt);
	return err;
}

/* Entries of a directory that hands down its project id all have that id (as quotas by project need). */
static int project_check(struct vfs *vfs, uint64_t node, uint64_t dir)
{
	struct dir_info info;
	struct zus_attr attr;
	int err;

	err = dir_info_get(vfs, dir, &info);
	if (err || !(info.flags & ZUS_FL_PROJINHERIT))
		return err;
	err = vfs->fs->ops->getattr(vfs->fs, node, &attr);
	if (err)
		return err;
	return attr.projid == info.projid ? 0 : -EXDEV;
}

int vfs_link(struct vfs *vfs, uint64_t node, uint64_t dir, struct zus_name name, struct zus_attr *out_attr)
{
	int err = project_check(vfs, node, dir);

	return err ? err : vfs->fs->ops->link(vfs->fs, node, dir, name, out_attr);
}

static int project_check_name(struct vfs *vfs, uint64_t from_dir, struct zus_name name, uint64_t to_dir)
{
	struct zus_fs *fs = vfs->fs;
	struct dir_info info;
	struct zus_attr attr;
	int err;

	err = dir_info_get(vfs, to_dir, &info);
	if (err || !(info.flags & ZUS_FL_PROJINHERIT))
		return err;
	err = fs->ops->lookup(fs, from_dir, name, &attr);
	if (err)
		return err;
	fs->ops->forget(fs, attr.node, 1);
	return attr.projid == info.projid ? 0 : -EXDEV;
}

int vfs_rename(struct vfs *vfs, const struct zus_rename *ren)
{
	struct zus_rename r = *ren;
	struct dir_info info;
	int err = 0;

	if (r.old_dir != r.new_dir) {
		err = project_check_name(vfs, r.old_dir, r.old_name, r.new_dir);
		if (!err && (r.flags & ZUS_RENAME_EXCHANGE))
			err = project_check_name(vfs, r.new_dir, r.new_name, r.old_dir);
	}
	if (!err && (r.flags & ZUS_RENAME_WHITEOUT)) {
		err = dir_info_get(vfs, r.old_dir, &info);
		if (!err && (info.bits & DIR_SGID))
			r.whiteout_gid = info.gid;
	}
	return err ? err : vfs->fs->ops->rename(vfs->fs, &r);
}
