/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The size of a file.
 *
 * Invariants:
 *  1. What stands in written blocks behind the end of file is anything (a huge leaf may reach far beyond it); whoever moves the
 *     end zeroes it first, durably.
 *  2. Zeros found there, under the exclusive lock, are durable: whoever stores some fences before dropping the lock, also where
 *     the operation fails.
 */
#include <string.h>

#include "pmfs2/alloc.h"
#include "pmfs2/file_part.h"
#include "pmfs2/intent.h"
#include "pmfs2/media_error.h"

/* Bytes at file offset off, which stand at addr. 0, or -EIO: some are bad. */
static int range_zero(struct fs *fs, const uint8_t *addr, uint64_t len, const struct map *map, uint64_t off, int *io_stored)
{
	int is_zero;

	pmem_expect_begin();
	is_zero = pmem_is_zero(addr, len);
	pmem_expect_end();
	if (!is_zero)
		pmem_zero(fs->pm, addr, len);
	*io_stored |= !is_zero;
	return likely(!pmem_is_bad(fs->pm, addr, len)) ? 0 : media_data_lost(fs, map->ino, off);
}

int file_zero_bytes(struct fs *fs, const struct map *map, uint64_t from, uint64_t to, int *io_stored)
{
	uint64_t end = (to + PMFS2_BLOCK_SIZE - 1) >> PMFS2_BLOCK_SHIFT;
	struct map_extent ext;
	int res;

	while (from < to) {
		uint64_t start, stop;
		const uint8_t *at;

		res = map_find_present(fs, map, from >> PMFS2_BLOCK_SHIFT, end, &ext);
		if (res <= 0)
			return res;
		start = u64_max(from, ext.first << PMFS2_BLOCK_SHIFT);
		stop = u64_min(to, (ext.first + ext.n) << PMFS2_BLOCK_SHIFT);
		at = (const uint8_t *)fs_block(fs, ext.block) + (start - (ext.first << PMFS2_BLOCK_SHIFT));
		res = ext.state == MAP_WRITTEN ? range_zero(fs, at, stop - start, map, start, io_stored) : 0;
		if (res)
			return res;
		from = stop;
	}
	return 0;
}

void file_take_back(struct fs *fs, struct inode *ip, uint64_t off, uint64_t len)
{
	if (fs->host && fs->host->invalidate)
		fs->host->invalidate(fs->host->ctx, inode_node(ip), off, len);
}

int file_kill_priv(uint32_t *mode)
{
	uint32_t old = *mode;

	*mode &= ~04000u;
	if (old & 00010)
		*mode &= ~02000u;
	return *mode != old;
}

int file_free_step(struct tx *tx, struct inode_edit *edit, uint64_t first)
{
	return map_clear(tx, edit, first, MAP_BLOCKS_MAX);
}

static uint64_t first_beyond(uint64_t size)
{
	return (size + PMFS2_BLOCK_SIZE - 1) >> PMFS2_BLOCK_SHIFT;
}

/*
 * Frees what lies behind the size, step by step; slot: the intent, or -1 where there is none (an orphan has its own).
 */
static int free_beyond(struct fs *fs, struct inode *ip, int64_t slot)
{
	struct inode_edit edit;
	struct tx tx;
	int more, err;

	do {
		tx_begin(&tx, fs);
		inode_edit_begin(&edit, ip);
		more = file_free_step(&tx, &edit, first_beyond(le64_get(edit.image.size)));
		if (more < 0) {
			tx_drop(&tx);
			return more;
		}
		if (!more && slot >= 0)
			intent_log_clear(&tx, &edit, (uint32_t)slot);
		inode_edit_log(&tx, &edit);
		err = tx_commit(&tx);
		if (err)
			return err;
	} while (more);
	if (slot >= 0)
		intent_unreserve(fs, (uint32_t)slot);
	return 0;
}

int file_truncate_finish(struct fs *fs, struct inode_edit *edit)
{
	return free_beyond(fs, edit->ip, (int64_t)le32_get(edit->image.intent) - 1);
}

/*
 * Order: the first record sets the size, frees what fits, and sets the intent TRUNCATE; each further one frees more; the last one
 *	clears the intent.
 * If cut: before the first record the old file; behind it the new size, with blocks behind it that nobody can read.
 * Recovered by: intents_finish at mount goes on freeing from the size on.
 * If a later step fails (no memory for a bitmap): done all the same, as the rest is only space; file_lock goes on.
 */
static int shrink_in_steps(struct fs *fs, struct inode_edit *edit)
{
	static const uint64_t no_args[3] = { 0 };
	int own_intent = !le32_get(edit->image.intent); /* an orphan's intent frees everything anyway */
	uint64_t first = first_beyond(le64_get(edit->image.size));
	uint32_t slot = 0;
	struct tx tx;
	int err = own_intent ? intent_reserve(fs, &slot) : 0;

	if (err)
		return err;
	tx_begin(&tx, fs);
	err = file_free_step(&tx, edit, first);
	if (err < 0) {
		tx_drop(&tx);
		goto unreserve;
	}
	if (own_intent)
		intent_log_set(&tx, edit, slot, PMFS2_INTENT_TRUNCATE, no_args);
	inode_edit_log(&tx, edit);
	err = tx_commit(&tx);
	if (err)
		goto unreserve;
	err = free_beyond(fs, edit->ip, own_intent ? (int64_t)slot : -1);
	/* The size is set, and durable. What could not be freed now, the file's next user frees (file_lock), or the next mount.
	 */
	return err == -ENOMEM || err == -ENOSPC ? 0 : err;
unreserve:
	if (own_intent)
		intent_unreserve(fs, slot);
	return err;
}

/*
 * Order: one record with the size and all that is freed; see shrink_in_steps for more than fits. The tail of the last block stays
 *	as it is: were it zeroed here without a fence, grow() could find zeros that are not durable yet, and commit over them.
 * If cut: old or new. Recovered by: replay.
 */
static int shrink(struct fs *fs, struct inode_edit *edit, uint64_t size)
{
	struct pmfs2_inode before = edit->image;
	struct tx tx;
	int more, err;

	file_take_back(fs, edit->ip, size, PMFS2_FILE_SIZE_MAX - size);
	edit->image.size = le64_of(size);
	tx_begin(&tx, fs);
	more = file_free_step(&tx, edit, first_beyond(size));
	if (more) {
		tx_drop(&tx);
		edit->image = before;
		if (more < 0)
			return more;
		edit->image.size = le64_of(size);
		err = shrink_in_steps(fs, edit);
	} else {
		inode_edit_log(&tx, edit);
		err = tx_commit(&tx);
	}
	return err;
}

/*
 * Order: the tail of the old last block is zeroed and fenced (where it is not zero), then one record with the size.
 * If cut: before the record the old size, behind which anything may stand.
 * Recovered by: replay.
 */
static int grow(struct fs *fs, struct inode_edit *edit, uint64_t size)
{
	struct map map = map_of_edit(edit);
	struct tx tx;
	int stored = 0, err = file_zero_bytes(fs, &map, le64_get(edit->image.size), size, &stored);

	if (stored)
		pmem_fence(fs->pm);
	if (err)
		return err;
	edit->image.size = le64_of(size);
	tx_begin(&tx, fs);
	inode_edit_log(&tx, edit);
	return tx_commit(&tx);
}

int file_resize(struct fs *fs, struct inode_edit *edit, uint64_t size)
{
	const struct pmfs2_inode *media = edit->ip->media;
	int err;

	if (size > PMFS2_FILE_SIZE_MAX)
		return -EFBIG;
	if (unlikely(le32_get(media->intent))) {
		err = file_settle(fs, edit->ip);
		if (err)
			return err;
		edit->image.size = media->size;
		edit->image.root = media->root;
		edit->image.blocks = media->blocks;
		edit->image.intent = media->intent;
	}
	return size > le64_get(edit->image.size) ? grow(fs, edit, size) : shrink(fs, edit, size);
}

/*
 * Order: the block is written here, fenced by the caller; the root word goes to media with the caller's record.
 * If cut: the block is free. Recovered by: replay.
 */
int file_put_block0(struct tx *tx, struct inode_edit *edit, const void *data, uint32_t len)
{
	struct fs *fs = tx->fs;
	uint64_t ino = le64_get(edit->image.ino);
	uint8_t buf[PMFS2_BLOCK_SIZE] = { 0 };
	struct run run;
	int err;

	if (len > sizeof(buf))
		return -ENAMETOOLONG;
	err = alloc_run(fs, 0, 1, 0, &run);
	if (err)
		return err;
	memcpy(buf, data, len);
	pmem_copy(fs->pm, fs_block(fs, run.block), buf, sizeof(buf));
	tx_use(tx, run);
	edit->image.root = le64_of(map_pack((struct entry_pos){ ino, 0, 0 }, PMFS2_ENTRY_DATA, run.block, 0));
	edit->image.blocks = le64_of(le64_get(edit->image.blocks) + 1);
	return 0;
}

int file_get_block0(struct fs *fs, struct inode *ip, void *buf, uint32_t len)
{
	struct map map = map_of(ip);
	struct map_extent ext;
	int err = map_find(fs, &map, 0, 1, &ext);

	if (err)
		return err;
	if (ext.state != MAP_WRITTEN || len > PMFS2_BLOCK_SIZE)
		return fs_corrupt(fs, "inode %llu: block 0 is missing", (unsigned long long)ip->ino);
	pmem_expect_begin();
	memcpy(buf, fs_block(fs, ext.block), len);
	pmem_expect_end();
	return pmem_is_bad(fs->pm, fs_block(fs, ext.block), len) ? media_data_lost(fs, ip->ino, 0) : 0;
}
