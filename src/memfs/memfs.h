/* SPDX-License-Identifier: BSD-3-Clause */
/* One mount of memfs, and the operations of the plug-in interface by the file that has them. */
#ifndef MEMFS_H
#define MEMFS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "memfs/mem_alloc.h"
#include "memfs/mem_inode.h"
#include "zus/plugin.h"

struct memfs {
	struct zus_fs zus; /* first: the server's view */
	const struct zus_host *host;
	struct mem_alloc alloc;
	struct mem_table table;
	pthread_mutex_t rename_lock;
	_Atomic uint32_t mount_flags; /* ZUS_MOUNT_* */
	uint64_t max_inodes;
	uint64_t fsid;
	uint32_t hash_seed;
};

static inline struct memfs *memfs_of(struct zus_fs *fs)
{
	return (struct memfs *)fs;
}
static inline uint32_t memfs_mount_flags(struct memfs *fs)
{
	return atomic_load_explicit(&fs->mount_flags, memory_order_relaxed);
}
static inline bool memfs_is_rdonly(struct memfs *fs)
{
	return memfs_mount_flags(fs) & ZUS_MOUNT_RDONLY;
}
static inline char *memfs_block(struct memfs *fs, mem_entry entry)
{
	return (char *)fs->zus.base + (mem_entry_block(entry) << MEM_BLOCK_SHIFT);
}

/* mem_table.c */
void memfs_forget(struct zus_fs *zus, uint64_t node, uint64_t n_refs);

/* mem_attr.c */
int memfs_getattr(struct zus_fs *zus, uint64_t node, struct zus_attr *out_attr);
int memfs_setattr(struct zus_fs *zus, uint64_t node, const struct zus_setattr *set, struct zus_attr *out_attr);

/* mem_names.c */
int memfs_lookup(struct zus_fs *zus, uint64_t dir, struct zus_name name, struct zus_attr *out_attr);
int memfs_create(struct zus_fs *zus, uint64_t dir, struct zus_name name, const struct zus_new *new, struct zus_attr *out_attr);
int memfs_tmpfile(struct zus_fs *zus, uint64_t dir, const struct zus_new *new, struct zus_attr *out_attr);
int memfs_link(struct zus_fs *zus, uint64_t node, uint64_t dir, struct zus_name name, struct zus_attr *out_attr);
int memfs_unlink(struct zus_fs *zus, uint64_t dir, struct zus_name name);
int memfs_rmdir(struct zus_fs *zus, uint64_t dir, struct zus_name name);
int memfs_readlink(struct zus_fs *zus, uint64_t node, char *buf, size_t cap);

/* mem_readdir.c */
int memfs_readdir(struct zus_fs *zus, uint64_t dir, uint64_t cookie, int with_attr, zus_emit_fn emit, void *ctx);

/* mem_rename.c */
int memfs_rename(struct zus_fs *zus, const struct zus_rename *ren);

/* mem_xattr.c */
int memfs_getxattr(struct zus_fs *zus, uint64_t node, struct zus_name name, void *buf, size_t cap);
int memfs_setxattr(struct zus_fs *zus, uint64_t node, const struct zus_setxattr *set);
int memfs_listxattr(struct zus_fs *zus, uint64_t node, char *buf, size_t cap);
int memfs_removexattr(struct zus_fs *zus, uint64_t node, struct zus_name name);

/* mem_data.c */
int memfs_io_begin(struct zus_fs *zus, struct zus_io *io);
int memfs_io_end(struct zus_fs *zus, struct zus_io *io, uint64_t done);
void memfs_dev_write(struct zus_fs *zus, uint64_t dev_off, const void *src, size_t len);

/* mem_range.c */
int memfs_fallocate(struct zus_fs *zus, uint64_t node, uint32_t mode, uint64_t off, uint64_t len);
int memfs_seek(struct zus_fs *zus, uint64_t node, uint64_t off, int whence, uint64_t *out_off);
/* Sets the size of a regular file; content lock held exclusively. -EFBIG. */
int mem_file_resize_locked(struct memfs *fs, struct mem_inode *inode, uint64_t size);

/*
 * mem_names.c. The permission that a plug-in gives: 0, or -EPERM because of the flags of dir or of the entry that goes (child;
 * NULL for an entry that comes).
 */
int mem_dir_may_change(const struct mem_inode *dir, const struct mem_inode *child);

#endif
