/* SPDX-License-Identifier: BSD-3-Clause */
/* Extended attributes: a list per inode, under its lock. All namespaces are just strings here. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "memfs/memfs.h"

#define XATTR_BYTES_MAX (1u << 20) /* names and values of one inode */
#define XATTR_LIST_MAX_BYTES 65536u /* what listxattr(2) can return */

struct mem_xattr {
	struct mem_xattr *next;
	uint32_t name_len;
	uint32_t value_len;
	char bytes[]; /* name, value */
};

static uint32_t xattr_bytes(const struct mem_xattr *xattr)
{
	return xattr->name_len + xattr->value_len;
}

/* The link that points to the attribute of that name, or the last link. */
static struct mem_xattr **xattr_find(struct mem_inode *inode, struct zus_name name)
{
	struct mem_xattr **link = &inode->xattrs;

	while (*link && ((*link)->name_len != name.len || memcmp((*link)->bytes, name.str, name.len)))
		link = &(*link)->next;
	return link;
}

static size_t xattr_list_bytes(const struct mem_inode *inode)
{
	size_t len = 0;

	for (const struct mem_xattr *x = inode->xattrs; x; x = x->next)
		len += x->name_len + 1;
	return len;
}

int mem_xattr_set_locked(struct mem_inode *inode, struct zus_name name, struct zus_blob value, uint32_t flags)
{
	struct mem_xattr **link = xattr_find(inode, name), *old = *link, *xattr;
	uint32_t bytes = inode->xattr_bytes - (old ? xattr_bytes(old) : 0);

	if (old && flags & ZUS_XATTR_CREATE)
		return -EEXIST;
	if (!old && flags & ZUS_XATTR_REPLACE)
		return -ENODATA;
	if (!name.len || name.len > ZUS_NAME_MAX)
		return -ERANGE;
	if (value.len > ZUS_XATTR_SIZE_MAX)
		return -E2BIG;
	if (bytes + name.len + value.len > XATTR_BYTES_MAX)
		return -ENOSPC;
	if (!old && xattr_list_bytes(inode) + name.len + 1 > XATTR_LIST_MAX_BYTES)
		return -ENOSPC;
	xattr = malloc(sizeof(*xattr) + name.len + value.len);
	if (!xattr)
		return -ENOMEM;
	xattr->name_len = name.len;
	xattr->value_len = value.len;
	memcpy(xattr->bytes, name.str, name.len);
	if (value.len)
		memcpy(xattr->bytes + name.len, value.data, value.len);
	xattr->next = old ? old->next : NULL;
	*link = xattr;
	inode->xattr_bytes = bytes + xattr_bytes(xattr);
	free(old);
	return 0;
}

static int xattr_remove_locked(struct mem_inode *inode, struct zus_name name)
{
	struct mem_xattr **link = xattr_find(inode, name), *old = *link;

	if (!old)
		return -ENODATA;
	inode->xattr_bytes -= xattr_bytes(old);
	*link = old->next;
	free(old);
	return 0;
}

void mem_xattr_drop_locked(struct mem_inode *inode, struct zus_name name)
{
	(void)xattr_remove_locked(inode, name);
}

void mem_xattr_free_all(struct mem_inode *inode)
{
	while (inode->xattrs) {
		struct mem_xattr *next = inode->xattrs->next;

		free(inode->xattrs);
		inode->xattrs = next;
	}
	inode->xattr_bytes = 0;
}

int memfs_getxattr(struct zus_fs *zus, uint64_t node, struct zus_name name, void *buf, size_t cap)
{
	struct memfs *fs = memfs_of(zus);
	const struct mem_xattr *xattr;
	struct mem_inode *inode;
	int ret = mem_inode_get(fs, node, &inode);

	if (ret)
		return ret;
	pthread_mutex_lock(&inode->lock);
	xattr = *xattr_find(inode, name);
	if (!xattr)
		ret = -ENODATA;
	else if (cap && cap < xattr->value_len)
		ret = -ERANGE;
	else
		ret = (int)xattr->value_len;
	if (ret > 0 && cap)
		memcpy(buf, xattr->bytes + xattr->name_len, xattr->value_len);
	pthread_mutex_unlock(&inode->lock);
	mem_inode_put(fs, inode);
	return ret;
}

/* 0, and the inode with a reference, if its xattrs may be changed. */
static int xattr_get_for_change(struct memfs *fs, uint64_t node, struct mem_inode **out_inode)
{
	struct mem_inode *inode;
	int err;

	if (memfs_is_rdonly(fs))
		return -EROFS;
	err = mem_inode_get(fs, node, &inode);
	if (err)
		return err;
	if (mem_inode_flags(inode) & (ZUS_FL_IMMUTABLE | ZUS_FL_APPEND)) {
		mem_inode_put(fs, inode);
		return -EPERM;
	}
	*out_inode = inode;
	return 0;
}

int memfs_setxattr(struct zus_fs *zus, uint64_t node, const struct zus_setxattr *set)
{
	struct memfs *fs = memfs_of(zus);
	struct mem_inode *inode;
	int err = xattr_get_for_change(fs, node, &inode);

	if (err)
		return err;
	pthread_mutex_lock(&inode->lock);
	err = mem_xattr_set_locked(inode, set->name, set->value, set->flags);
	if (!err && set->set_mode)
		inode->perm = set->mode & 07777;
	if (!err)
		mem_inode_changed_locked(inode, false);
	pthread_mutex_unlock(&inode->lock);
	mem_inode_put(fs, inode);
	return err;
}

int memfs_listxattr(struct zus_fs *zus, uint64_t node, char *buf, size_t cap)
{
	struct memfs *fs = memfs_of(zus);
	struct mem_inode *inode;
	size_t len;
	int err = mem_inode_get(fs, node, &inode);

	if (err)
		return err;
	pthread_mutex_lock(&inode->lock);
	len = xattr_list_bytes(inode);
	if (cap && cap < len)
		err = -ERANGE;
	for (const struct mem_xattr *x = inode->xattrs; x && cap && !err; x = x->next) {
		memcpy(buf, x->bytes, x->name_len);
		buf[x->name_len] = '\0';
		buf += x->name_len + 1;
	}
	pthread_mutex_unlock(&inode->lock);
	mem_inode_put(fs, inode);
	return err ? err : (int)len;
}

int memfs_removexattr(struct zus_fs *zus, uint64_t node, struct zus_name name)
{
	struct memfs *fs = memfs_of(zus);
	struct mem_inode *inode;
	int err = xattr_get_for_change(fs, node, &inode);

	if (err)
		return err;
	pthread_mutex_lock(&inode->lock);
	err = xattr_remove_locked(inode, name);
	if (!err)
		mem_inode_changed_locked(inode, false);
	pthread_mutex_unlock(&inode->lock);
	mem_inode_put(fs, inode);
	return err;
}
