/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of inodes: chunks of 256 that are made as needed and kept until unmount, free lists sharded by CPU. A node id is
 * generation << 32 | inode number; an inode's generation rises each time it is freed.
 */
#include "memfs/mem_inode.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "memfs/memfs.h"

static struct mem_shard *table_shard(struct mem_table *table, uint32_t step)
{
	int cpu = sched_getcpu();

	return &table->shards[((cpu < 0 ? 0u : (uint32_t)cpu) + step) % MEM_TABLE_SHARDS];
}

int mem_table_init(struct mem_table *table, uint64_t max_inodes)
{
	uint64_t n_chunks = (max_inodes + MEM_TABLE_CHUNK - 1) / MEM_TABLE_CHUNK;

	if (!n_chunks || n_chunks > UINT32_MAX / MEM_TABLE_CHUNK)
		return -EINVAL;
	table->chunks = calloc(n_chunks, sizeof(*table->chunks));
	if (!table->chunks)
		return -ENOMEM;
	table->n_chunks = (uint32_t)n_chunks;
	for (uint32_t i = 0; i < MEM_TABLE_SHARDS; i++)
		pthread_mutex_init(&table->shards[i].lock, NULL);
	return 0;
}

/* What an inode owns. Nobody else knows the inode any more. */
static void inode_drop_contents(struct memfs *fs, struct mem_inode *inode)
{
	if (inode->type == S_IFREG)
		mem_map_cut(&inode->map, 0, MEM_MAP_BLOCKS_MAX, &fs->alloc);
	if (inode->type == S_IFDIR)
		mem_dir_fini(&inode->dir);
	free(inode->symlink);
	inode->symlink = NULL;
	mem_xattr_free_all(inode);
	inode->type = 0;
}

static void chunk_free(struct memfs *fs, struct mem_inode *chunk)
{
	for (uint32_t i = 0; i < MEM_TABLE_CHUNK; i++) {
		inode_drop_contents(fs, &chunk[i]);
		pthread_rwlock_destroy(&chunk[i].content);
		pthread_mutex_destroy(&chunk[i].lock);
	}
	free(chunk);
}

void mem_table_fini(struct memfs *fs)
{
	struct mem_table *table = &fs->table;

	for (uint32_t i = 0; table->chunks && i < table->n_chunks; i++) {
		struct mem_inode *chunk = atomic_load(&table->chunks[i]);

		if (chunk)
			chunk_free(fs, chunk);
	}
	for (uint32_t i = 0; table->chunks && i < MEM_TABLE_SHARDS; i++)
		pthread_mutex_destroy(&table->shards[i].lock);
	free(table->chunks);
	table->chunks = NULL;
}

/* A new chunk; its first inode is the caller's, the others go to the shard. NULL: the table is full, or no memory. */
static struct mem_inode *table_make_chunk(struct mem_table *table, struct mem_shard *shard)
{
	uint32_t n = atomic_load(&table->n_made), first;
	struct mem_inode *chunk;
	pthread_rwlockattr_t attr;

	do {
		if (n >= table->n_chunks)
			return NULL;
	} while (!atomic_compare_exchange_weak(&table->n_made, &n, n + 1));
	chunk = aligned_alloc(64, round_up_to(MEM_TABLE_CHUNK * sizeof(*chunk), 64));
	if (!chunk)
		return NULL;
	memset(chunk, 0, MEM_TABLE_CHUNK * sizeof(*chunk));
	pthread_rwlockattr_init(&attr);
	/* Readers hold the lock for one transfer at a time, so writers may go first without a deadlock. */
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	first = n * MEM_TABLE_CHUNK + MEM_INO_ROOT;
	for (uint32_t i = 0; i < MEM_TABLE_CHUNK; i++) {
		chunk[i].ino = first + i;
		pthread_rwlock_init(&chunk[i].content, &attr);
		pthread_mutex_init(&chunk[i].lock, NULL);
		chunk[i].next_free = i + 1 < MEM_TABLE_CHUNK ? &chunk[i + 1] : NULL;
	}
	pthread_rwlockattr_destroy(&attr);
	atomic_store_explicit(&table->chunks[n], chunk, memory_order_release);
	pthread_mutex_lock(&shard->lock);
	chunk[MEM_TABLE_CHUNK - 1].next_free = shard->free;
	shard->free = chunk[0].next_free;
	pthread_mutex_unlock(&shard->lock);
	return chunk;
}

static struct mem_inode *shard_pop(struct mem_shard *shard)
{
	struct mem_inode *inode;

	pthread_mutex_lock(&shard->lock);
	inode = shard->free;
	if (inode)
		shard->free = inode->next_free;
	pthread_mutex_unlock(&shard->lock);
	return inode;
}

static struct mem_inode *table_pop(struct mem_table *table)
{
	struct mem_shard *mine = table_shard(table, 0);
	struct mem_inode *inode = shard_pop(mine);

	if (!inode)
		inode = table_make_chunk(table, mine);
	for (uint32_t step = 1; !inode && step < MEM_TABLE_SHARDS; step++)
		inode = shard_pop(&table->shards[((uint32_t)(mine - table->shards) + step) % MEM_TABLE_SHARDS]);
	return inode;
}

static void table_push(struct mem_table *table, struct mem_inode *inode)
{
	struct mem_shard *shard = table_shard(table, 0);

	pthread_mutex_lock(&shard->lock);
	inode->next_free = shard->free;
	shard->free = inode;
	pthread_mutex_unlock(&shard->lock);
	atomic_fetch_sub_explicit(&table->n_inodes, 1, memory_order_relaxed);
}

/* The parts that own memory. */
static int inode_init_contents(struct memfs *fs, struct mem_inode *inode, const struct zus_new *new)
{
	static const struct zus_name acl_access = { "system.posix_acl_access", 23 };
	static const struct zus_name acl_default = { "system.posix_acl_default", 24 };
	int err = 0;

	if (inode->type == S_IFREG)
		inode->map = (struct mem_map){ 0 };
	if (inode->type == S_IFDIR)
		mem_dir_init(&inode->dir, fs->hash_seed);
	if (inode->type == S_IFLNK) {
		inode->symlink = malloc(new->symlink.len);
		if (!inode->symlink)
			return -ENOMEM;
		memcpy(inode->symlink, new->symlink.data, new->symlink.len);
		atomic_store_explicit(&inode->size, new->symlink.len, memory_order_relaxed);
	}
	if (new->acl_access.len)
		err = mem_xattr_set_locked(inode, acl_access, new->acl_access, 0);
	if (!err && new->acl_default.len)
		err = mem_xattr_set_locked(inode, acl_default, new->acl_default, 0);
	return err;
}

static void inode_init_fields(struct mem_inode *inode, const struct zus_new *new)
{
	struct zus_time now = mem_now();

	inode->type = new->mode & S_IFMT;
	inode->rdev = new->rdev;
	atomic_store_explicit(&inode->flags, new->flags & ZUS_FL_USER, memory_order_relaxed);
	atomic_store_explicit(&inode->size, 0, memory_order_relaxed);
	atomic_store_explicit(&inode->n_blocks, 0, memory_order_relaxed);
	atomic_store_explicit(&inode->n_lookup, 0, memory_order_relaxed);
	atomic_store_explicit(&inode->parent, 0, memory_order_relaxed);
	atomic_store_explicit(&inode->atime_good_until, 0, memory_order_relaxed);
	inode->perm = new->mode & 07777;
	inode->nlink = 0;
	inode->uid = new->uid;
	inode->gid = new->gid;
	inode->projid = new->projid;
	inode->linkable = false;
	inode->atime = inode->mtime = inode->ctime = inode->btime = now;
}

int mem_inode_new(struct memfs *fs, const struct zus_new *new, struct mem_inode **out_inode)
{
	struct mem_inode *inode;
	int err;

	if (new->symlink.len > 4095 || ((new->mode & S_IFMT) == S_IFLNK && !new->symlink.len))
		return -EINVAL;
	if (atomic_fetch_add_explicit(&fs->table.n_inodes, 1, memory_order_relaxed) >= fs->max_inodes) {
		atomic_fetch_sub_explicit(&fs->table.n_inodes, 1, memory_order_relaxed);
		return -ENOSPC;
	}
	inode = table_pop(&fs->table);
	if (!inode) {
		atomic_fetch_sub_explicit(&fs->table.n_inodes, 1, memory_order_relaxed);
		return -ENOSPC;
	}
	inode_init_fields(inode, new);
	err = inode_init_contents(fs, inode, new);
	if (err) {
		inode_drop_contents(fs, inode);
		table_push(&fs->table, inode);
		return err;
	}
	atomic_store_explicit(&inode->refs, 1, memory_order_release);
	*out_inode = inode;
	return 0;
}

uint64_t mem_inode_node(const struct mem_inode *inode)
{
	return (uint64_t)atomic_load_explicit(&inode->generation, memory_order_relaxed) << 32 | inode->ino;
}

static bool inode_ref_unless_dead(struct mem_inode *inode)
{
	uint64_t refs = atomic_load_explicit(&inode->refs, memory_order_relaxed);

	do {
		if (!refs)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&inode->refs, &refs, refs + 1, memory_order_acquire,
							memory_order_relaxed));
	return true;
}

int mem_inode_get(struct memfs *fs, uint64_t node, struct mem_inode **out_inode)
{
	uint32_t index = (uint32_t)node - MEM_INO_ROOT;
	struct mem_inode *inode;

	if (index / MEM_TABLE_CHUNK >= fs->table.n_chunks)
		return -ESTALE;
	inode = atomic_load_explicit(&fs->table.chunks[index / MEM_TABLE_CHUNK], memory_order_acquire);
	if (!inode)
		return -ESTALE;
	inode += index % MEM_TABLE_CHUNK;
	if (!inode_ref_unless_dead(inode))
		return -ESTALE;
	if (atomic_load_explicit(&inode->generation, memory_order_relaxed) != node >> 32) {
		mem_inode_put(fs, inode);
		return -ESTALE;
	}
	*out_inode = inode;
	return 0;
}

int mem_inode_get_dir(struct memfs *fs, uint64_t node, struct mem_inode **out_inode)
{
	struct mem_inode *inode;
	int err = mem_inode_get(fs, node, &inode);

	if (err)
		return err;
	if (!mem_inode_is_dir(inode)) {
		mem_inode_put(fs, inode);
		return -ENOTDIR;
	}
	*out_inode = inode;
	return 0;
}

void mem_inode_ref(struct mem_inode *inode)
{
	atomic_fetch_add_explicit(&inode->refs, 1, memory_order_relaxed);
}

void mem_inode_ref_lookup(struct mem_inode *inode)
{
	mem_inode_ref(inode);
	atomic_fetch_add_explicit(&inode->n_lookup, 1, memory_order_relaxed);
}

static void inode_put_n(struct memfs *fs, struct mem_inode *inode, uint64_t n)
{
	if (atomic_fetch_sub_explicit(&inode->refs, n, memory_order_acq_rel) != n)
		return;
	inode_drop_contents(fs, inode);
	atomic_fetch_add_explicit(&inode->generation, 1, memory_order_relaxed);
	table_push(&fs->table, inode);
}

void mem_inode_put(struct memfs *fs, struct mem_inode *inode)
{
	inode_put_n(fs, inode, 1);
}

void memfs_forget(struct zus_fs *zus, uint64_t node, uint64_t n_refs)
{
	struct memfs *fs = memfs_of(zus);
	struct mem_inode *inode;
	uint64_t n_lookup, take;

	if (mem_inode_get(fs, node, &inode))
		return;
	n_lookup = atomic_load_explicit(&inode->n_lookup, memory_order_relaxed);
	do {
		take = u64_min(n_refs, n_lookup);
	} while (!atomic_compare_exchange_weak_explicit(&inode->n_lookup, &n_lookup, n_lookup - take, memory_order_relaxed,
							memory_order_relaxed));
	inode_put_n(fs, inode, take + 1);
}
