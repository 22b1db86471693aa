/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inodes and the table that node ids point into.
 *
 * References: an inode lives while refs > 0. refs counts the lookups given to the server (n_lookup of them), one for "has links",
 * one for each operation that works on it. The last one out frees the contents; the structure itself stays (its memory is
 * never unmapped before unmount), so a stale node id can be looked at safely: the generation tells.
 *
 * Locks, in this order:
 *	rename_lock (struct memfs)	renames across directories: the tree's shape
 *	content (struct mem_inode)	rwlock: block map and size of a file, entries of a directory; several by rising ino
 *	lock (struct mem_inode)		attributes, link count, xattrs; one at a time
 *	table shard, allocator group	innermost
 */
#ifndef MEM_INODE_H
#define MEM_INODE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "memfs/mem_dir.h"
#include "memfs/mem_map.h"
#include "zus/plugin.h"

#define MEM_TABLE_SHARDS 16u
#define MEM_TABLE_CHUNK 256u
#define MEM_INO_ROOT 1u

struct memfs;
struct mem_xattr;

struct mem_inode {
	_Atomic uint64_t refs;
	_Atomic uint64_t n_lookup;
	_Atomic uint32_t generation;
	uint32_t ino;
	uint32_t type; /* S_IFMT part of the mode; constant while the inode lives, as rdev and symlink are */
	_Atomic uint32_t flags; /* ZUS_FL_*; changed under lock */
	uint64_t rdev;
	char *symlink; /* target; its length is size */

	pthread_rwlock_t content;
	_Atomic uint64_t size; /* changed under content (files) */
	_Atomic uint64_t n_blocks; /* changed under content */
	union {
		struct mem_map map; /* S_IFREG */
		struct mem_dir dir; /* S_IFDIR */
	};
	_Atomic uint64_t parent; /* node id of a directory's parent; changed under rename_lock and content of both parents */

	pthread_mutex_t lock;
	uint32_t perm; /* mode & 07777 */
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint32_t projid;
	bool linkable; /* a tmpfile that link() may still give a name */
	struct zus_time atime, mtime, ctime, btime;
	_Atomic int64_t atime_good_until; /* s; relatime has nothing to do before, as long as nothing resets it to 0 */
	struct mem_xattr *xattrs;
	uint32_t xattr_bytes;

	struct mem_inode *next_free;
};

struct mem_shard {
	pthread_mutex_t lock;
	struct mem_inode *free;
} __attribute__((aligned(64)));

struct mem_table {
	struct mem_inode *_Atomic *chunks;
	uint32_t n_chunks; /* room in chunks */
	_Atomic uint32_t n_made;
	_Atomic uint64_t n_inodes;
	struct mem_shard shards[MEM_TABLE_SHARDS];
};

/* --- mem_table.c --- */
int mem_table_init(struct mem_table *table, uint64_t max_inodes);
/* Frees every inode that is left. */
void mem_table_fini(struct memfs *fs);
/* A blank inode with one reference, the caller's; -ENOSPC, -ENOMEM. */
int mem_inode_new(struct memfs *fs, const struct zus_new *new, struct mem_inode **out_inode);
/* Takes a reference on the inode of a node id; -ESTALE. */
int mem_inode_get(struct memfs *fs, uint64_t node, struct mem_inode **out_inode);
/* As mem_inode_get, for a directory: -ENOTDIR. */
int mem_inode_get_dir(struct memfs *fs, uint64_t node, struct mem_inode **out_inode);
/* One more reference on an inode that the caller knows to live. */
void mem_inode_ref(struct mem_inode *inode);
void mem_inode_put(struct memfs *fs, struct mem_inode *inode);
/* A reference for the server, given back by forget(). */
void mem_inode_ref_lookup(struct mem_inode *inode);
uint64_t mem_inode_node(const struct mem_inode *inode);

/* --- mem_attr.c --- */
struct zus_time mem_now(void);
void mem_inode_fill_attr(struct mem_inode *inode, struct zus_attr *out_attr);
/* ctime, and mtime if modified, become now. */
void mem_inode_changed_locked(struct mem_inode *inode, bool modified);
void mem_inode_changed(struct mem_inode *inode, bool modified);
/* The inode was read: atime as the mount says. */
void mem_inode_accessed(struct memfs *fs, struct mem_inode *inode);
void mem_inode_kill_priv_locked(struct mem_inode *inode);
/* Adds delta links, ctime becomes now. -EMLINK; -ENOENT to give links back to an inode that has lost them. */
int mem_inode_link(struct mem_inode *inode);
/* Takes n links; with the last one goes their reference: the caller must hold one of its own. */
void mem_inode_unlink(struct memfs *fs, struct mem_inode *inode, uint32_t n);

/* --- mem_xattr.c --- */
int mem_xattr_set_locked(struct mem_inode *inode, struct zus_name name, struct zus_blob value, uint32_t flags);
/* Removes name if it is there. */
void mem_xattr_drop_locked(struct mem_inode *inode, struct zus_name name);
void mem_xattr_free_all(struct mem_inode *inode);

static inline bool mem_inode_is_dir(const struct mem_inode *inode)
{
	return inode->type == S_IFDIR;
}
static inline uint32_t mem_inode_flags(const struct mem_inode *inode)
{
	return atomic_load_explicit(&inode->flags, memory_order_acquire);
}
static inline uint64_t mem_inode_size(const struct mem_inode *inode)
{
	return atomic_load_explicit(&inode->size, memory_order_acquire);
}

#endif
