/* SPDX-License-Identifier: BSD-3-Clause */
/* The state behind struct vfs, shared by the files of this folder. */
#ifndef VFS_VFS_PRIVATE_H
#define VFS_VFS_PRIVATE_H

#include <pthread.h>

#include "vfs/dir_cache.h"
#include "vfs/vfs.h"

#define VFS_N_ACL_LOCKS 64u

struct vfs {
	struct zus_fs *fs;
	pthread_mutex_t acl_locks[VFS_N_ACL_LOCKS]; /* by node: read-modify-write of its ACL and mode */
	struct dir_cache dirs;
};

static inline struct zus_name vfs_name_of(const char *str, uint32_t len)
{
	return (struct zus_name){ .str = str, .len = len };
}
#define VFS_NAME(literal) vfs_name_of(literal, sizeof(literal) - 1)

static inline pthread_mutex_t *vfs_acl_lock(struct vfs *vfs, uint64_t node)
{
	return &vfs->acl_locks[(node * 0x9e3779b97f4a7c15ull) >> 58];
}
_Static_assert(VFS_N_ACL_LOCKS == 1u << (64 - 58), "the hash's shift and the table's size belong together");

/*
 * The whole value of an xattr in memory of its own. -ENODATA, also where the plug-in has no xattrs at all.
 * *out_buf is free()d by the caller.
 */
int vfs_get_blob(struct vfs *vfs, uint64_t node, struct zus_name name, void **out_buf, uint32_t *out_len);

#endif
