/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * readdir: "." and ".." have the first two cookies, the entries follow in the order in which they were made. The directory's
 * content lock is held shared throughout, which also keeps every inode that is emitted alive.
 */
#include <string.h>

#include "memfs/memfs.h"

static int emit_dot(struct memfs *fs, struct mem_inode *dir, uint64_t cookie, int with_attr, zus_emit_fn emit, void *ctx)
{
	bool parent = cookie == MEM_COOKIE_DOTDOT;
	struct mem_inode *inode = dir;
	struct zus_dirent dirent = { .name = { "..", parent ? 2 : 1 }, .next_cookie = cookie, .type = S_IFDIR >> 12 };
	struct zus_attr attr;
	int more;

	if (!parent || mem_inode_get(fs, atomic_load(&dir->parent), &inode)) {
		inode = dir;
		mem_inode_ref(inode);
	}
	dirent.ino = inode->ino;
	dirent.node = mem_inode_node(inode);
	if (with_attr)
		mem_inode_fill_attr(inode, &attr);
	more = emit(ctx, &dirent, with_attr ? &attr : NULL);
	mem_inode_put(fs, inode);
	return more;
}

static int emit_entry(const struct mem_dirent *entry, uint64_t cookie, int with_attr, zus_emit_fn emit, void *ctx)
{
	struct mem_inode *inode = entry->inode;
	struct zus_dirent dirent = {
		.name = { entry->name, entry->len },
		.ino = inode->ino,
		.node = mem_inode_node(inode),
		.next_cookie = cookie,
		.type = inode->type >> 12,
	};
	struct zus_attr attr;
	int taken;

	if (!with_attr)
		return emit(ctx, &dirent, NULL);
	mem_inode_fill_attr(inode, &attr);
	mem_inode_ref_lookup(inode);
	taken = emit(ctx, &dirent, &attr);
	if (!taken) {
		/* The link's reference is still there: this cannot be the last one. */
		atomic_fetch_sub_explicit(&inode->n_lookup, 1, memory_order_relaxed);
		atomic_fetch_sub_explicit(&inode->refs, 1, memory_order_release);
	}
	return taken;
}

int memfs_readdir(struct zus_fs *zus, uint64_t dir_node, uint64_t cookie, int with_attr, zus_emit_fn emit, void *ctx)
{
	struct memfs *fs = memfs_of(zus);
	const struct mem_dirent *entry;
	struct mem_inode *dir;
	int more = 1, err = mem_inode_get_dir(fs, dir_node, &dir);

	if (err)
		return err;
	pthread_rwlock_rdlock(&dir->content);
	if (dir->dir.dead)
		more = 0;
	for (; more && cookie < MEM_COOKIE_DOTDOT; cookie++)
		more = emit_dot(fs, dir, cookie + 1, with_attr, emit, ctx);
	while (more && (entry = mem_dir_next(&dir->dir, cookie, &cookie)))
		more = emit_entry(entry, cookie, with_attr, emit, ctx);
	pthread_rwlock_unlock(&dir->content);
	mem_inode_accessed(fs, dir);
	mem_inode_put(fs, dir);
	return 0;
}
