/* SPDX-License-Identifier: BSD-3-Clause */
/* Life of a struct vfs, and helpers of its operations (see vfs.h). */
#include "vfs/vfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vfs/vfs_private.h"

/* A value may grow between the call that asks for its size and the one that gets it. */
#define GET_BLOB_TRIES 8

int vfs_new(struct zus_fs *fs, struct vfs **out_vfs)
{
	struct vfs *vfs;

	if (posix_memalign((void **)&vfs, 64, sizeof(*vfs)))
		return -ENOMEM;
	memset(vfs, 0, sizeof(*vfs));
	vfs->fs = fs;
	for (size_t i = 0; i < VFS_N_ACL_LOCKS; i++)
		pthread_mutex_init(&vfs->acl_locks[i], NULL);
	*out_vfs = vfs;
	return 0;
}

void vfs_free(struct vfs *vfs)
{
	if (!vfs)
		return;
	for (size_t i = 0; i < VFS_N_ACL_LOCKS; i++)
		pthread_mutex_destroy(&vfs->acl_locks[i]);
	free(vfs);
}

struct zus_fs *vfs_fs(const struct vfs *vfs)
{
	return vfs->fs;
}

bool vfs_name_ok(struct zus_name name)
{
	if (!name.len || name.len > ZUS_NAME_MAX)
		return false;
	if (name.str[0] == '.' && (name.len == 1 || (name.len == 2 && name.str[1] == '.')))
		return false;
	return !memchr(name.str, '/', name.len) && !memchr(name.str, '\0', name.len);
}

int vfs_get_blob(struct vfs *vfs, uint64_t node, struct zus_name name, void **out_buf, uint32_t *out_len)
{
	struct zus_fs *fs = vfs->fs;
	void *buf;
	int len;

	if (!fs->ops->getxattr)
		return -ENODATA;
	for (int i = 0; i < GET_BLOB_TRIES; i++) {
		len = fs->ops->getxattr(fs, node, name, NULL, 0);
		if (len < 0)
			return len == -EOPNOTSUPP ? -ENODATA : len;
		if ((uint32_t)len > ZUS_XATTR_SIZE_MAX)
			return -EUCLEAN;
		buf = malloc((size_t)len + 1);
		if (!buf)
			return -ENOMEM;
		len = len ? fs->ops->getxattr(fs, node, name, buf, (size_t)len) : 0;
		if (len >= 0) {
			*out_buf = buf;
			*out_len = (uint32_t)len;
			return 0;
		}
		free(buf);
		if (len != -ERANGE)
			return len;
	}
	return -EBUSY;
}

int vfs_drop_capability(struct vfs *vfs, uint64_t node)
{
	const struct zus_ops *ops = vfs->fs->ops;
	struct zus_name name = VFS_NAME("security.capability");
	int err;

	if (!ops->getxattr || !ops->removexattr)
		return 0;
	err = ops->getxattr(vfs->fs, node, name, NULL, 0);
	if (err >= 0)
		err = ops->removexattr(vfs->fs, node, name);
	return err == -ENODATA || err == -EOPNOTSUPP ? 0 : err;
}
