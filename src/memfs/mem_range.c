/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changes of a file's map: truncate, fallocate in all its modes; and seek, which looks at it.
 * All under the content lock, exclusive for changes. Before a block is taken away from where it was, whoever keeps extents of the
 * file is told (zus_host.invalidate).
 */
#include <errno.h>
#include <linux/falloc.h>
#include <string.h>

#include "base/util.h"
#include "memfs/memfs.h"

struct range {
	uint64_t off;
	uint64_t end;
};

static uint64_t blocks_below(uint64_t off)
{
	return (off + MEM_BLOCK_SIZE - 1) >> MEM_BLOCK_SHIFT;
}

static void range_invalidate(struct memfs *fs, struct mem_inode *inode, uint64_t off, uint64_t end)
{
	if (fs->host && fs->host->invalidate && off < end)
		fs->host->invalidate(fs->host->ctx, mem_inode_node(inode), off, end - off);
}

static void map_cut_blocks(struct memfs *fs, struct mem_inode *inode, uint64_t first, uint64_t end)
{
	uint64_t n_cut = mem_map_cut(&inode->map, first, end, &fs->alloc);

	atomic_fetch_sub_explicit(&inode->n_blocks, n_cut, memory_order_relaxed);
}

/* Zeros in [off, end), which lies in one block, if there is data. */
static void block_zero_part(struct memfs *fs, struct mem_inode *inode, uint64_t off, uint64_t end)
{
	mem_entry *leaf = mem_map_leaf(&inode->map, off >> MEM_BLOCK_SHIFT), entry;

	if (!leaf || off >= end)
		return;
	entry = leaf[(off >> MEM_BLOCK_SHIFT) % MEM_MAP_FAN];
	if (mem_entry_is_data(entry))
		memset(memfs_block(fs, entry) + off % MEM_BLOCK_SIZE, 0, end - off);
}

/* The parts of the range at its ends that are not whole blocks become zeros; the whole blocks between are the result. */
static struct range range_zero_edges(struct memfs *fs, struct mem_inode *inode, struct range range)
{
	struct range blocks = { blocks_below(range.off), range.end >> MEM_BLOCK_SHIFT };
	uint64_t head_end = u64_min(blocks.off << MEM_BLOCK_SHIFT, range.end);
	uint64_t tail = u64_max(blocks.end << MEM_BLOCK_SHIFT, head_end);

	block_zero_part(fs, inode, range.off, head_end);
	block_zero_part(fs, inode, tail, range.end);
	return blocks;
}

int mem_file_resize_locked(struct memfs *fs, struct mem_inode *inode, uint64_t size)
{
	if (size > MEM_FILE_SIZE_MAX)
		return -EFBIG;
	if (size <= mem_inode_size(inode)) {
		range_invalidate(fs, inode, size, MEM_FILE_SIZE_MAX);
		map_cut_blocks(fs, inode, blocks_below(size), MEM_MAP_BLOCKS_MAX);
		block_zero_part(fs, inode, size, round_up_to(size, MEM_BLOCK_SIZE));
	}
	atomic_store_explicit(&inode->size, size, memory_order_release);
	return 0;
}

static uint64_t map_count_holes(const struct mem_map *map, uint64_t first, uint64_t end)
{
	uint64_t n_holes = end - first;

	while (mem_map_next(map, first, &first) && first < end) {
		n_holes--;
		first++;
	}
	return n_holes;
}

/* Blocks for every hole in [first, end). All are reserved before the first is taken. */
static int range_allocate(struct memfs *fs, struct mem_inode *inode, uint64_t first, uint64_t end)
{
	uint64_t n_want = map_count_holes(&inode->map, first, end), n_reserved = mem_alloc_reserve(&fs->alloc, n_want);
	uint64_t block = 0, n_run = 0, n_added = 0;
	int err = n_reserved < n_want ? -ENOSPC : 0;

	for (uint64_t b = first; b < end && !err; b++) {
		mem_entry *leaf = mem_map_leaf_create(&inode->map, b);

		if (!leaf) {
			err = -ENOMEM;
			break;
		}
		if (leaf[b % MEM_MAP_FAN])
			continue;
		if (!n_run) {
			n_run = mem_alloc_take(&fs->alloc, n_reserved, &block);
			n_reserved -= n_run;
		}
		leaf[b % MEM_MAP_FAN] = mem_entry_of(block++, MEM_ENTRY_UNWRITTEN);
		n_run--;
		n_added++;
	}
	if (n_run)
		mem_alloc_free(&fs->alloc, block, n_run);
	mem_alloc_unreserve(&fs->alloc, n_reserved);
	atomic_fetch_add_explicit(&inode->n_blocks, n_added, memory_order_relaxed);
	return err;
}

static void range_punch(struct memfs *fs, struct mem_inode *inode, struct range range)
{
	struct range blocks;

	range_invalidate(fs, inode, range.off, range.end);
	blocks = range_zero_edges(fs, inode, range);
	map_cut_blocks(fs, inode, blocks.off, blocks.end);
}

static int range_zero(struct memfs *fs, struct mem_inode *inode, struct range range)
{
	int err = range_allocate(fs, inode, range.off >> MEM_BLOCK_SHIFT, blocks_below(range.end));
	struct range blocks;

	if (err)
		return err;
	range_invalidate(fs, inode, range.off, range.end);
	blocks = range_zero_edges(fs, inode, range);
	for (uint64_t b = blocks.off; b < blocks.end; b++) {
		mem_entry *leaf = mem_map_leaf(&inode->map, b);

		leaf[b % MEM_MAP_FAN] |= MEM_ENTRY_UNWRITTEN;
	}
	return 0;
}

/* Blocks in [first, end) are left out, those behind come to lie from to on. */
struct shift {
	uint64_t first;
	uint64_t end;
	uint64_t to;
};

static int map_build_shifted(const struct mem_map *old, const struct shift *shift, struct mem_map *new)
{
	mem_entry entry;

	for (uint64_t b = 0; (entry = mem_map_next(old, b, &b)); b++) {
		uint64_t to = b < shift->first ? b : b - shift->end + shift->to;
		mem_entry *leaf;

		if (b >= shift->first && b < shift->end)
			continue;
		leaf = mem_map_leaf_create(new, to);
		if (!leaf) {
			mem_map_drop_nodes(new);
			return -ENOMEM;
		}
		leaf[to % MEM_MAP_FAN] = entry;
	}
	return 0;
}

/* The map is built anew beside the old one, so that running out of memory changes nothing. */
static int range_shift(struct memfs *fs, struct mem_inode *inode, const struct shift *shift, uint64_t new_size)
{
	struct mem_map new = { 0 };
	int err;

	range_invalidate(fs, inode, shift->first << MEM_BLOCK_SHIFT, MEM_FILE_SIZE_MAX);
	map_cut_blocks(fs, inode, blocks_below(mem_inode_size(inode)), MEM_MAP_BLOCKS_MAX);
	err = map_build_shifted(&inode->map, shift, &new);
	if (err)
		return err;
	map_cut_blocks(fs, inode, shift->first, shift->end);
	mem_map_drop_nodes(&inode->map);
	inode->map = new;
	atomic_store_explicit(&inode->size, new_size, memory_order_release);
	return 0;
}

static int range_collapse(struct memfs *fs, struct mem_inode *inode, struct range range)
{
	uint64_t first = range.off >> MEM_BLOCK_SHIFT, end = range.end >> MEM_BLOCK_SHIFT;
	struct shift shift = { first, end, first };

	if ((range.off | range.end) % MEM_BLOCK_SIZE || range.end >= mem_inode_size(inode))
		return -EINVAL;
	return range_shift(fs, inode, &shift, mem_inode_size(inode) - (range.end - range.off));
}

static int range_insert(struct memfs *fs, struct mem_inode *inode, struct range range)
{
	uint64_t first = range.off >> MEM_BLOCK_SHIFT, end = range.end >> MEM_BLOCK_SHIFT, size = mem_inode_size(inode);
	struct shift shift = { first, first, end };

	if ((range.off | range.end) % MEM_BLOCK_SIZE || range.off >= size)
		return -EINVAL;
	if (range.end - range.off > MEM_FILE_SIZE_MAX - size)
		return -EFBIG;
	return range_shift(fs, inode, &shift, size + (range.end - range.off));
}

static int fallocate_locked(struct memfs *fs, struct mem_inode *inode, uint32_t mode, struct range range)
{
	bool grows = !(mode & FALLOC_FL_KEEP_SIZE) && range.end > mem_inode_size(inode);
	uint32_t flags = mem_inode_flags(inode);
	int err;

	if (flags & ZUS_FL_IMMUTABLE || (flags & ZUS_FL_APPEND && mode & ~(uint32_t)FALLOC_FL_KEEP_SIZE))
		return -EPERM;
	switch (mode) {
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
		range_punch(fs, inode, range);
		return 0;
	case FALLOC_FL_COLLAPSE_RANGE:
		return range_collapse(fs, inode, range);
	case FALLOC_FL_INSERT_RANGE:
		return range_insert(fs, inode, range);
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
		err = range_zero(fs, inode, range);
		break;
	case 0:
	case FALLOC_FL_KEEP_SIZE:
		err = range_allocate(fs, inode, range.off >> MEM_BLOCK_SHIFT, blocks_below(range.end));
		break;
	default:
		return -EOPNOTSUPP;
	}
	if (!err && grows)
		atomic_store_explicit(&inode->size, range.end, memory_order_release);
	return err;
}

int memfs_fallocate(struct zus_fs *zus, uint64_t node, uint32_t mode, uint64_t off, uint64_t len)
{
	struct memfs *fs = memfs_of(zus);
	struct mem_inode *inode;
	int err;

	if (memfs_is_rdonly(fs))
		return -EROFS;
	if (!len)
		return -EINVAL;
	if (off > MEM_FILE_SIZE_MAX || len > MEM_FILE_SIZE_MAX - off)
		return -EFBIG;
	err = mem_inode_get(fs, node, &inode);
	if (err)
		return err;
	if (inode->type == S_IFREG) {
		pthread_rwlock_wrlock(&inode->content);
		err = fallocate_locked(fs, inode, mode, (struct range){ off, off + len });
		if (!err)
			mem_inode_changed(inode, true);
		pthread_rwlock_unlock(&inode->content);
	} else {
		err = mem_inode_is_dir(inode) ? -EISDIR : -ENODEV;
	}
	mem_inode_put(fs, inode);
	return err;
}

/* The first byte of data at or behind off; size if there is none. */
static uint64_t seek_data(const struct mem_map *map, uint64_t off, uint64_t size)
{
	uint64_t b = off >> MEM_BLOCK_SHIFT;
	mem_entry entry;

	for (entry = mem_map_next(map, b, &b); entry && !mem_entry_is_data(entry); entry = mem_map_next(map, b, &b))
		b++;
	return entry ? u64_min(u64_max(off, b << MEM_BLOCK_SHIFT), size) : size;
}

static uint64_t seek_hole(const struct mem_map *map, uint64_t off, uint64_t size)
{
	uint64_t b = off >> MEM_BLOCK_SHIFT;

	for (; b << MEM_BLOCK_SHIFT < size; b++) {
		mem_entry *leaf = mem_map_leaf(map, b);

		if (!leaf || !mem_entry_is_data(leaf[b % MEM_MAP_FAN]))
			break;
	}
	return u64_min(u64_max(off, b << MEM_BLOCK_SHIFT), size);
}

int memfs_seek(struct zus_fs *zus, uint64_t node, uint64_t off, int whence, uint64_t *out_off)
{
	struct memfs *fs = memfs_of(zus);
	uint64_t size, found = off;
	struct mem_inode *inode;
	int err = mem_inode_get(fs, node, &inode);

	if (err)
		return err;
	if (inode->type != S_IFREG || (whence != ZUS_SEEK_DATA && whence != ZUS_SEEK_HOLE)) {
		err = -EINVAL;
		goto put_inode;
	}
	pthread_rwlock_rdlock(&inode->content);
	size = mem_inode_size(inode);
	if (off < size)
		found = whence == ZUS_SEEK_DATA ? seek_data(&inode->map, off, size) : seek_hole(&inode->map, off, size);
	pthread_rwlock_unlock(&inode->content);
	if (off >= size || (whence == ZUS_SEEK_DATA && found >= size))
		err = -ENXIO;
	else
		*out_off = found;
put_inode:
	mem_inode_put(fs, inode);
	return err;
}
