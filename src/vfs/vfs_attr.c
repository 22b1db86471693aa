/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attributes and xattrs: mode and access ACL change together.
 *
 * The permission bits of a mode and an access ACL are two forms of one fact. chmod rewrites owner, mask and other of the ACL;
 * setting an ACL rewrites the permission bits; an ACL that says no more than a mode is stored as a mode. Each is one call of the
 * plug-in, so that no crash and no reader sees one without the other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vfs/acl.h"
#include "vfs/vfs.h"
#include "vfs/vfs_private.h"

/* What a directory hands down depends on these. */
#define SET_DIR_INFO (ZUS_SET_MODE | ZUS_SET_GID | ZUS_SET_FLAGS | ZUS_SET_PROJID | ZUS_SET_KILL_PRIV)

static bool name_is(struct zus_name name, const char *literal)
{
	return name.len == strlen(literal) && !memcmp(name.str, literal, name.len);
}

static bool name_is_acl(struct zus_name name)
{
	return name_is(name, ACL_XATTR_ACCESS) || name_is(name, ACL_XATTR_DEFAULT);
}

/* chmod of an inode that may have an access ACL. */
static int setattr_mode(struct vfs *vfs, uint64_t node, const struct zus_setattr *set, struct zus_attr *out_attr)
{
	pthread_mutex_t *lock = vfs_acl_lock(vfs, node);
	struct zus_setattr with_acl = *set;
	void *blob = NULL;
	struct acl acl;
	uint32_t len;
	int err;

	pthread_mutex_lock(lock);
	err = vfs_get_blob(vfs, node, VFS_NAME(ACL_XATTR_ACCESS), &blob, &len);
	if (!err)
		err = acl_parse(blob, len, &acl) ? -EUCLEAN : 0;
	else if (err == -ENODATA)
		acl.n_entries = err = 0;
	if (!err && acl.n_entries) {
		acl_chmod(&acl, set->mode);
		with_acl.acl = (struct zus_blob){ .data = blob, .len = len };
		with_acl.valid |= ZUS_SET_ACL;
	}
	if (!err)
		err = vfs->fs->ops->setattr(vfs->fs, node, &with_acl, out_attr);
	pthread_mutex_unlock(lock);
	free(blob);
	return err;
}

int vfs_setattr(struct vfs *vfs, uint64_t node, const struct zus_setattr *set, struct zus_attr *out_attr)
{
	struct zus_fs *fs = vfs->fs;
	int err = 0;

	/* Before the change, as in a write: a new owner must never find a capability that was given under the old one. */
	if (set->valid & ZUS_SET_KILL_PRIV) {
		err = fs->ops->getattr(fs, node, out_attr);
		if (!err && S_ISREG(out_attr->mode))
			err = vfs_drop_capability(vfs, node);
	}
	if (err)
		return err;
	if ((set->valid & ZUS_SET_MODE) && fs->ops->getxattr)
		err = setattr_mode(vfs, node, set, out_attr);
	else
		err = fs->ops->setattr(fs, node, set, out_attr);
	if (set->valid & SET_DIR_INFO)
		dir_cache_invalidate(&vfs->dirs, node);
	return err;
}

/* An access ACL: stored with its mode, or as a mode alone. acl.n_entries 0: back to the mode as it is. */
static int set_acl_access(struct vfs *vfs, uint64_t node, const struct zus_setxattr *set, struct acl *acl, uint32_t vfs_flags)
{
	struct zus_fs *fs = vfs->fs;
	struct zus_setattr sa = { .valid = ZUS_SET_ACL };
	struct zus_setxattr sx = *set;
	struct zus_attr attr;
	uint32_t mode;
	int err;

	err = fs->ops->getattr(fs, node, &attr);
	if (err)
		return err;
	if (S_ISLNK(attr.mode))
		return -EOPNOTSUPP;
	mode = attr.mode & 07777;
	if (acl->n_entries)
		mode = (mode & ~0777u) | acl_mode(acl);
	if (acl->n_entries && (vfs_flags & VFS_XATTR_KILL_SGID))
		mode &= ~(uint32_t)S_ISGID;
	if (acl->n_entries && !acl_is_equivalent(acl)) {
		sx.set_mode = 1;
		sx.mode = mode;
		return fs->ops->setxattr(fs, node, &sx);
	}
	if (mode != (attr.mode & 07777))
		sa.valid |= ZUS_SET_MODE;
	sa.mode = mode;
	return fs->ops->setattr(fs, node, &sa, &attr);
}

static int remove_acl(struct vfs *vfs, uint64_t node, struct zus_name name)
{
	int err = vfs->fs->ops->removexattr ? vfs->fs->ops->removexattr(vfs->fs, node, name) : -EOPNOTSUPP;

	return err == -ENODATA ? 0 : err;
}

static int set_acl_default(struct vfs *vfs, uint64_t node, const struct zus_setxattr *set, const struct acl *acl)
{
	struct zus_fs *fs = vfs->fs;
	struct zus_setxattr sx = *set;
	struct zus_attr attr;
	int err;

	err = fs->ops->getattr(fs, node, &attr);
	if (err)
		return err;
	if (!S_ISDIR(attr.mode))
		return acl->n_entries ? -EACCES : 0;
	if (!acl->n_entries)
		return remove_acl(vfs, node, set->name);
	sx.set_mode = 0;
	return fs->ops->setxattr(fs, node, &sx);
}

static int set_acl(struct vfs *vfs, uint64_t node, const struct zus_setxattr *set, uint32_t vfs_flags)
{
	pthread_mutex_t *lock = vfs_acl_lock(vfs, node);
	struct acl acl;
	void *copy;
	int err;

	copy = malloc((size_t)set->value.len + 1);
	if (!copy)
		return -ENOMEM;
	if (set->value.len)
		memcpy(copy, set->value.data, set->value.len);
	err = acl_parse(copy, set->value.len, &acl);
	if (err)
		goto free_copy;
	pthread_mutex_lock(lock);
	if (name_is(set->name, ACL_XATTR_ACCESS))
		err = set_acl_access(vfs, node, set, &acl, vfs_flags);
	else
		err = set_acl_default(vfs, node, set, &acl);
	pthread_mutex_unlock(lock);
	dir_cache_invalidate(&vfs->dirs, node);
free_copy:
	free(copy);
	return err;
}

/* The namespaces that Linux knows; all else is refused, whatever the plug-in would take. */
static bool namespace_known(struct zus_name name)
{
	static const struct zus_name spaces[] = { { "user.", 5 }, { "trusted.", 8 }, { "security.", 9 } };

	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
		if (name.len > spaces[i].len && !memcmp(name.str, spaces[i].str, spaces[i].len))
			return true;
	return name_is_acl(name);
}

int vfs_listxattr(struct vfs *vfs, uint64_t node, char *buf, size_t cap, bool hide_trusted)
{
	int len = vfs->fs->ops->listxattr(vfs->fs, node, buf, cap), kept = 0;

	if (len <= 0 || !cap || !hide_trusted)
		return len;
	for (int at = 0; at < len;) {
		int n = (int)strnlen(buf + at, (size_t)(len - at)) + 1;

		if (n > len - at)
			return -EUCLEAN;
		if (strncmp(buf + at, "trusted.", 8) != 0) {
			memmove(buf + kept, buf + at, (size_t)n);
			kept += n;
		}
		at += n;
	}
	return kept;
}

int vfs_setxattr(struct vfs *vfs, uint64_t node, const struct zus_setxattr *set, uint32_t vfs_flags)
{
	struct zus_setxattr plain = *set;

	if (!vfs->fs->ops->setxattr)
		return -EOPNOTSUPP;
	if (!set->name.len || set->name.len > ZUS_NAME_MAX || memchr(set->name.str, '\0', set->name.len))
		return -ERANGE;
	if (set->value.len > ZUS_XATTR_SIZE_MAX)
		return -E2BIG;
	if (!namespace_known(set->name))
		return -EOPNOTSUPP;
	if (name_is_acl(set->name))
		return set_acl(vfs, node, set, vfs_flags);
	plain.set_mode = 0;
	return vfs->fs->ops->setxattr(vfs->fs, node, &plain);
}

int vfs_removexattr(struct vfs *vfs, uint64_t node, struct zus_name name)
{
	pthread_mutex_t *lock = vfs_acl_lock(vfs, node);
	int err;

	if (!vfs->fs->ops->removexattr)
		return -EOPNOTSUPP;
	if (!name_is_acl(name))
		return vfs->fs->ops->removexattr(vfs->fs, node, name);
	pthread_mutex_lock(lock);
	err = remove_acl(vfs, node, name);
	pthread_mutex_unlock(lock);
	dir_cache_invalidate(&vfs->dirs, node);
	return err;
}
