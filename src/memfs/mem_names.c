/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Operations on names: lookup, create, tmpfile, link, unlink, rmdir, readlink. Each holds the content lock of its directory;
 * rmdir also that of the directory that goes, both by rising inode number.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "memfs/memfs.h"

int mem_dir_may_change(const struct mem_inode *dir, const struct mem_inode *child)
{
	uint32_t flags = mem_inode_flags(dir);

	if (flags & ZUS_FL_IMMUTABLE)
		return -EPERM;
	if (child && (flags & ZUS_FL_APPEND || mem_inode_flags(child) & (ZUS_FL_IMMUTABLE | ZUS_FL_APPEND)))
		return -EPERM;
	return 0;
}

/* The operation's own reference becomes the server's: nothing may be done with the inode behind this. */
static void give_out(struct mem_inode *inode, struct zus_attr *out_attr)
{
	mem_inode_fill_attr(inode, out_attr);
	atomic_fetch_add_explicit(&inode->n_lookup, 1, memory_order_relaxed);
}

static int lookup_parent(struct memfs *fs, struct mem_inode *dir, struct mem_inode **out_inode)
{
	return mem_inode_get(fs, atomic_load(&dir->parent), out_inode) ? -ENOENT : 0;
}

static int lookup_entry(struct mem_inode *dir, struct zus_name name, struct mem_inode **out_inode)
{
	struct mem_dirent *entry;

	pthread_rwlock_rdlock(&dir->content);
	entry = mem_dir_find(&dir->dir, name);
	if (entry) {
		*out_inode = entry->inode;
		mem_inode_ref(entry->inode);
	}
	pthread_rwlock_unlock(&dir->content);
	return entry ? 0 : -ENOENT;
}

int memfs_lookup(struct zus_fs *zus, uint64_t dir_node, struct zus_name name, struct zus_attr *out_attr)
{
	struct memfs *fs = memfs_of(zus);
	struct mem_inode *dir, *inode;
	int err;

	if (name.len == 1 && name.str[0] == '.') {
		/* Of any kind: how a file handle finds back to its inode. */
		err = mem_inode_get(fs, dir_node, &inode);
		if (!err)
			give_out(inode, out_attr);
		return err;
	}
	err = mem_inode_get_dir(fs, dir_node, &dir);
	if (err)
		return err;
	if (name.len == 2 && name.str[0] == '.' && name.str[1] == '.') {
		err = lookup_parent(fs, dir, &inode);
	} else {
		err = lookup_entry(dir, name, &inode);
	}
	mem_inode_put(fs, dir);
	if (err)
		return err;
	give_out(inode, out_attr);
	return 0;
}

/* A directory is changed: its times, and its link count by that of subdirectories that come or go. */
static void dir_changed(struct mem_inode *dir, int n_subdirs)
{
	pthread_mutex_lock(&dir->lock);
	dir->nlink += (uint32_t)n_subdirs;
	mem_inode_changed_locked(dir, true);
	pthread_mutex_unlock(&dir->lock);
}

/* Room and right for a name in dir. Content lock held exclusively. */
static int dir_may_add_locked(struct mem_inode *dir, struct zus_name name)
{
	if (!name.len || name.len > ZUS_NAME_MAX)
		return name.len ? -ENAMETOOLONG : -EINVAL;
	if (dir->dir.dead)
		return -ENOENT;
	if (mem_dir_find(&dir->dir, name))
		return -EEXIST;
	if (mem_dir_may_change(dir, NULL))
		return -EPERM;
	return mem_dir_reserve(&dir->dir);
}

/* The first name of a new inode, or one more of an old one. */
static int dir_add(struct mem_inode *dir, struct zus_name name, struct mem_inode *inode)
{
	struct mem_dirent *entry = mem_dirent_new(name, inode);
	int err;

	if (!entry)
		return -ENOMEM;
	pthread_rwlock_wrlock(&dir->content);
	err = dir_may_add_locked(dir, name);
	if (!err)
		err = mem_inode_link(inode);
	if (!err) {
		mem_dir_insert(&dir->dir, entry);
		dir_changed(dir, mem_inode_is_dir(inode));
	}
	pthread_rwlock_unlock(&dir->content);
	if (err)
		free(entry);
	return err;
}

static int new_inode_is_valid(const struct zus_new *new)
{
	switch (new->mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return 0;
	default:
		return -EINVAL;
	}
}

int memfs_create(struct zus_fs *zus, uint64_t dir_node, struct zus_name name, const struct zus_new *new,
		 struct zus_attr *out_attr)
{
	struct memfs *fs = memfs_of(zus);
	struct mem_inode *dir, *inode;
	int err = new_inode_is_valid(new);

	if (err)
		return err;
	if (memfs_is_rdonly(fs))
		return -EROFS;
	err = mem_inode_get_dir(fs, dir_node, &dir);
	if (err)
		return err;
	err = mem_inode_new(fs, new, &inode);
	if (err)
		goto put_dir;
	inode->linkable = true;
	if (mem_inode_is_dir(inode)) {
		atomic_store(&inode->parent, mem_inode_node(dir));
		inode->nlink = 1; /* its own "." */
		mem_inode_ref(inode);
	}
	err = dir_add(dir, name, inode);
	if (err) {
		if (mem_inode_is_dir(inode))
			mem_inode_unlink(fs, inode, 1);
		mem_inode_put(fs, inode);
		goto put_dir;
	}
	give_out(inode, out_attr);
put_dir:
	mem_inode_put(fs, dir);
	return err;
}

int memfs_tmpfile(struct zus_fs *zus, uint64_t dir_node, const struct zus_new *new, struct zus_attr *out_attr)
{
	struct memfs *fs = memfs_of(zus);
	struct mem_inode *dir, *inode;
	int err;

	if ((new->mode & S_IFMT) != S_IFREG)
		return -EINVAL;
	if (memfs_is_rdonly(fs))
		return -EROFS;
	err = mem_inode_get_dir(fs, dir_node, &dir);
	if (err)
		return err;
	mem_inode_put(fs, dir);
	err = mem_inode_new(fs, new, &inode);
	if (err)
		return err;
	inode->linkable = true;
	give_out(inode, out_attr);
	return 0;
}

int memfs_link(struct zus_fs *zus, uint64_t node, uint64_t dir_node, struct zus_name name, struct zus_attr *out_attr)
{
	struct memfs *fs = memfs_of(zus);
	struct mem_inode *dir, *inode;
	int err;

	if (memfs_is_rdonly(fs))
		return -EROFS;
	err = mem_inode_get(fs, node, &inode);
	if (err)
		return err;
	err = mem_inode_get_dir(fs, dir_node, &dir);
	if (err)
		goto put_inode;
	if (mem_inode_is_dir(inode) || mem_inode_flags(inode) & (ZUS_FL_IMMUTABLE | ZUS_FL_APPEND))
		err = -EPERM;
	else
		err = dir_add(dir, name, inode);
	if (!err) {
		mem_inode_ref_lookup(inode);
		mem_inode_fill_attr(inode, out_attr);
	}
	mem_inode_put(fs, dir);
put_inode:
	mem_inode_put(fs, inode);
	return err;
}

int memfs_unlink(struct zus_fs *zus, uint64_t dir_node, struct zus_name name)
{
	struct memfs *fs = memfs_of(zus);
	struct mem_inode *dir, *inode = NULL;
	struct mem_dirent *entry;
	int err;

	if (memfs_is_rdonly(fs))
		return -EROFS;
	err = mem_inode_get_dir(fs, dir_node, &dir);
	if (err)
		return err;
	pthread_rwlock_wrlock(&dir->content);
	entry = mem_dir_find(&dir->dir, name);
	if (!entry)
		err = -ENOENT;
	else if (mem_inode_is_dir(entry->inode))
		err = -EISDIR;
	else
		err = mem_dir_may_change(dir, entry->inode);
	if (!err) {
		inode = entry->inode;
		mem_dir_remove(&dir->dir, entry);
		dir_changed(dir, 0);
	}
	pthread_rwlock_unlock(&dir->content);
	if (inode)
		mem_inode_unlink(fs, inode, 1);
	mem_inode_put(fs, dir);
	return err;
}

static void lock_two(struct mem_inode *a, struct mem_inode *b)
{
	pthread_rwlock_wrlock(a->ino < b->ino ? &a->content : &b->content);
	pthread_rwlock_wrlock(a->ino < b->ino ? &b->content : &a->content);
}

/* Both content locks are held; -EAGAIN if name means another inode by now. */
static int rmdir_locked(struct mem_inode *dir, struct zus_name name, struct mem_inode *victim)
{
	struct mem_dirent *entry = mem_dir_find(&dir->dir, name);
	int err;

	if (!entry)
		return -ENOENT;
	if (entry->inode != victim)
		return -EAGAIN;
	err = mem_dir_may_change(dir, victim);
	if (err)
		return err;
	if (victim->dir.n_live)
		return -ENOTEMPTY;
	victim->dir.dead = true;
	mem_dir_remove(&dir->dir, entry);
	dir_changed(dir, -1);
	return 0;
}

int memfs_rmdir(struct zus_fs *zus, uint64_t dir_node, struct zus_name name)
{
	struct memfs *fs = memfs_of(zus);
	struct mem_inode *dir, *victim;
	int err;

	if (memfs_is_rdonly(fs))
		return -EROFS;
	err = mem_inode_get_dir(fs, dir_node, &dir);
	if (err)
		return err;
	do {
		err = lookup_entry(dir, name, &victim);
		if (err)
			break;
		if (!mem_inode_is_dir(victim)) {
			err = -ENOTDIR;
		} else {
			lock_two(dir, victim);
			err = rmdir_locked(dir, name, victim);
			pthread_rwlock_unlock(&victim->content);
			pthread_rwlock_unlock(&dir->content);
		}
		if (!err)
			mem_inode_unlink(fs, victim, 2);
		mem_inode_put(fs, victim);
	} while (err == -EAGAIN);
	mem_inode_put(fs, dir);
	return err;
}

int memfs_readlink(struct zus_fs *zus, uint64_t node, char *buf, size_t cap)
{
	struct memfs *fs = memfs_of(zus);
	struct mem_inode *inode;
	size_t len;
	int err = mem_inode_get(fs, node, &inode);

	if (err)
		return err;
	if (inode->type == S_IFLNK) {
		len = u64_min(mem_inode_size(inode), cap);
		memcpy(buf, inode->symlink, len);
		mem_inode_accessed(fs, inode);
		err = (int)len;
	} else {
		err = -EINVAL;
	}
	mem_inode_put(fs, inode);
	return err;
}
