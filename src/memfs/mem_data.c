/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the bytes of a file are: io_begin and io_end.
 *
 * The content lock is held between the two: shared for reads and for writes that change neither size nor map, so that these run
 * side by side; exclusively for writes that extend or fill holes. A thread has one transfer at a time.
 *
 * Blocks that a write allocates are marked new and unwritten until io_end() says how much was stored: what was not is freed
 * again.
 * Bytes behind the end of the file in its last block are always zero.
 */
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "memfs/memfs.h"

/* zus_io.priv */
enum {
	PRIV_INODE,
	PRIV_EXCLUSIVE,
};

static uint64_t block_of(uint64_t off)
{
	return off >> MEM_BLOCK_SHIFT;
}

/* Adds [off, off + len) of one block to the extents; false when they are full. */
static bool io_add(struct zus_io *io, mem_entry entry, uint64_t off, uint64_t len)
{
	bool hole = !entry;
	uint64_t dev_off = hole ? 0 : (mem_entry_block(entry) << MEM_BLOCK_SHIFT) + off % MEM_BLOCK_SIZE;
	struct zus_extent *last = io->n_ext ? &io->ext[io->n_ext - 1] : NULL;

	if (last && hole == !!(last->flags & ZUS_EXT_HOLE) && (hole || last->dev_off + last->len == dev_off)) {
		last->len += len;
	} else {
		if (io->n_ext == io->ext_cap)
			return false;
		io->ext[io->n_ext++] = (struct zus_extent){ len, dev_off, hole ? ZUS_EXT_HOLE : 0, 0 };
	}
	io->mapped += len;
	return true;
}

/* Maps what is there of [io->off, end). Writes stop at the first block that is not written. */
static void io_map(const struct mem_map *map, struct zus_io *io, uint64_t end)
{
	bool write = io->flags & ZUS_IO_WRITE;
	uint64_t off = io->off;

	while (off < end) {
		mem_entry *leaf = mem_map_leaf(map, block_of(off));
		uint64_t leaf_end = round_down_to(block_of(off), MEM_MAP_FAN) + MEM_MAP_FAN;

		for (uint64_t b = block_of(off); b < leaf_end && off < end; b++) {
			uint64_t next = u64_min((b + 1) << MEM_BLOCK_SHIFT, end);
			mem_entry entry = leaf ? leaf[b % MEM_MAP_FAN] : 0;

			if (!mem_entry_is_data(entry))
				entry = 0;
			if ((write && !entry) || !io_add(io, entry, off, next - off))
				return;
			off = next;
		}
	}
}

/* The parts of a block that the write [from, to) in it leaves alone become zeros. */
static void block_zero_around(char *block, uint64_t from, uint64_t to)
{
	memset(block, 0, from);
	memset(block + to, 0, MEM_BLOCK_SIZE - to);
}

/* Adjacent blocks taken from the allocator, handed out one by one. */
struct supply {
	uint64_t next;
	uint64_t n_left;
	uint64_t n_reserved; /* not yet taken */
};

static bool supply_take(struct mem_alloc *alloc, struct supply *supply, uint64_t want, uint64_t *out_block)
{
	if (!supply->n_left) {
		if (!supply->n_reserved)
			supply->n_reserved = mem_alloc_reserve(alloc, want);
		if (!supply->n_reserved)
			return false;
		supply->n_left = mem_alloc_take(alloc, supply->n_reserved, &supply->next);
		supply->n_reserved -= supply->n_left;
	}
	supply->n_left--;
	*out_block = supply->next++;
	return true;
}

static void supply_end(struct mem_alloc *alloc, struct supply *supply)
{
	if (supply->n_left)
		mem_alloc_free(alloc, supply->next, supply->n_left);
	mem_alloc_unreserve(alloc, supply->n_reserved);
}

/* Maps [io->off, end), allocating. Content lock held exclusively. Short if something ran out. */
static int io_map_alloc_locked(struct memfs *fs, struct mem_inode *inode, struct zus_io *io, uint64_t end)
{
	struct supply supply = { 0 };
	mem_entry *leaf = NULL;
	uint64_t off = io->off, n_new = 0;
	int err = 0;

	while (off < end) {
		uint64_t b = block_of(off), start = b << MEM_BLOCK_SHIFT, next = u64_min(start + MEM_BLOCK_SIZE, end), block;
		mem_entry entry;

		if (!leaf || b % MEM_MAP_FAN == 0)
			leaf = mem_map_leaf_create(&inode->map, b);
		if (!leaf) {
			err = -ENOMEM;
			break;
		}
		entry = leaf[b % MEM_MAP_FAN];
		if (!entry) {
			if (!supply_take(&fs->alloc, &supply, block_of(end - 1) - b + 1, &block)) {
				err = -ENOSPC;
				break;
			}
			entry = mem_entry_of(block, MEM_ENTRY_UNWRITTEN | MEM_ENTRY_NEW);
			n_new++;
		}
		leaf[b % MEM_MAP_FAN] = entry;
		if (entry & MEM_ENTRY_UNWRITTEN)
			block_zero_around(memfs_block(fs, entry), off - start, next - start);
		if (!io_add(io, entry, off, next - off)) {
			if (entry & MEM_ENTRY_NEW) {
				mem_alloc_free(&fs->alloc, mem_entry_block(entry), 1);
				leaf[b % MEM_MAP_FAN] = 0;
				n_new--;
			}
			break;
		}
		off = next;
	}
	supply_end(&fs->alloc, &supply);
	atomic_fetch_add_explicit(&inode->n_blocks, n_new, memory_order_relaxed);
	return io->mapped ? 0 : err;
}

/* Whether the flags of the inode allow the write. Content lock held. */
static int write_check_locked(const struct mem_inode *inode, const struct zus_io *io)
{
	uint32_t flags = mem_inode_flags(inode);

	if (flags & ZUS_FL_IMMUTABLE)
		return -EPERM;
	if (flags & ZUS_FL_APPEND && io->off != mem_inode_size(inode))
		return -EPERM;
	return 0;
}

static int begin_write(struct memfs *fs, struct mem_inode *inode, struct zus_io *io)
{
	uint64_t end;
	int err;

	if (io->off >= MEM_FILE_SIZE_MAX)
		return -EFBIG;
	end = io->off + u64_min(io->len, MEM_FILE_SIZE_MAX - io->off);
	pthread_rwlock_rdlock(&inode->content);
	err = write_check_locked(inode, io);
	if (!err && end <= mem_inode_size(inode))
		io_map(&inode->map, io, end);
	if (err || io->mapped || end == io->off)
		goto out;
	pthread_rwlock_unlock(&inode->content);
	pthread_rwlock_wrlock(&inode->content);
	io->priv[PRIV_EXCLUSIVE] = 1;
	err = write_check_locked(inode, io);
	if (!err)
		err = io_map_alloc_locked(fs, inode, io, end);
out:
	if (err)
		pthread_rwlock_unlock(&inode->content);
	return err;
}

static void begin_read(struct mem_inode *inode, struct zus_io *io)
{
	uint64_t size;

	pthread_rwlock_rdlock(&inode->content);
	size = mem_inode_size(inode);
	if (io->off < size)
		io_map(&inode->map, io, io->off + u64_min(io->len, size - io->off));
}

int memfs_io_begin(struct zus_fs *zus, struct zus_io *io)
{
	struct memfs *fs = memfs_of(zus);
	struct mem_inode *inode;
	int err;

	if (io->flags & ZUS_IO_WRITE && memfs_is_rdonly(fs))
		return -EROFS;
	err = mem_inode_get(fs, io->node, &inode);
	if (err)
		return err;
	io->n_ext = 0;
	io->mapped = 0;
	io->priv[PRIV_INODE] = (uint64_t)(uintptr_t)inode;
	io->priv[PRIV_EXCLUSIVE] = 0;
	if (inode->type != S_IFREG)
		err = mem_inode_is_dir(inode) ? -EISDIR : -EINVAL;
	else if (io->flags & ZUS_IO_WRITE)
		err = begin_write(fs, inode, io);
	else
		begin_read(inode, io);
	if (err)
		mem_inode_put(fs, inode);
	return err;
}

/* One block of an exclusive write; stored: at least some of it was. */
static void end_block_locked(struct memfs *fs, struct mem_inode *inode, mem_entry *entry, bool stored)
{
	if (!(*entry & MEM_ENTRY_UNWRITTEN))
		return;
	if (stored) {
		*entry &= ~MEM_ENTRY_MARKS;
	} else if (*entry & MEM_ENTRY_NEW) {
		mem_alloc_free(&fs->alloc, mem_entry_block(*entry), 1);
		atomic_fetch_sub_explicit(&inode->n_blocks, 1, memory_order_relaxed);
		*entry = 0;
	}
}

/* Settles the blocks of an exclusive write: what was stored is data, what was not is zeros. */
static void end_blocks_locked(struct memfs *fs, struct mem_inode *inode, const struct zus_io *io, uint64_t done)
{
	uint64_t done_end = io->off + done, end = io->off + io->mapped, size = mem_inode_size(inode);
	mem_entry *leaf = NULL;

	for (uint64_t b = block_of(io->off); b << MEM_BLOCK_SHIFT < end; b++) {
		uint64_t start = b << MEM_BLOCK_SHIFT, next = u64_min(start + MEM_BLOCK_SIZE, end);
		mem_entry *entry;

		if (!leaf || b % MEM_MAP_FAN == 0)
			leaf = mem_map_leaf(&inode->map, b);
		entry = &leaf[b % MEM_MAP_FAN];
		if (done_end < next) {
			/* A transfer that broke off may have stored more than it says. Old data in the file is not touched. */
			uint64_t from = u64_max(u64_max(done_end, start), io->off);

			if (!(*entry & MEM_ENTRY_UNWRITTEN))
				from = u64_max(from, size);
			if (from < next)
				memset(memfs_block(fs, *entry) + (from - start), 0, next - from);
		}
		end_block_locked(fs, inode, entry, done && done_end > start);
	}
	if (done_end > size && done)
		atomic_store_explicit(&inode->size, done_end, memory_order_release);
}

static void end_write(struct memfs *fs, struct mem_inode *inode, const struct zus_io *io, uint64_t done)
{
	if (io->priv[PRIV_EXCLUSIVE])
		end_blocks_locked(fs, inode, io, done);
	if (!done)
		return;
	pthread_mutex_lock(&inode->lock);
	if (io->flags & ZUS_IO_KILL_PRIV)
		mem_inode_kill_priv_locked(inode);
	mem_inode_changed_locked(inode, true);
	pthread_mutex_unlock(&inode->lock);
}

int memfs_io_end(struct zus_fs *zus, struct zus_io *io, uint64_t done)
{
	struct mem_inode *inode = (struct mem_inode *)(uintptr_t)io->priv[PRIV_INODE];
	struct memfs *fs = memfs_of(zus);

	done = u64_min(done, io->mapped);
	if (io->flags & ZUS_IO_WRITE)
		end_write(fs, inode, io, done);
	pthread_rwlock_unlock(&inode->content);
	if (!(io->flags & (ZUS_IO_WRITE | ZUS_IO_NOATIME)))
		mem_inode_accessed(fs, inode);
	mem_inode_put(fs, inode);
	return 0;
}

void memfs_dev_write(struct zus_fs *zus, uint64_t dev_off, const void *src, size_t len)
{
	memcpy((char *)zus->base + dev_off, src, len);
}
