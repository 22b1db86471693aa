/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fallocate(2): preallocation, punching, zeroing. Works window by window (2 MiB), a record for each window that changes; each is
 * complete in itself. Shifting is in file_shift.c.
 */
#include <linux/falloc.h>

#include "pmfs2/alloc.h"
#include "pmfs2/file_part.h"
#include "pmfs2/media_error.h"

struct span {
	uint64_t first; /* file blocks */
	uint64_t end;
};

/* Blocks that [off, end) touches, and those that it covers whole. */
static struct span span_touched(uint64_t off, uint64_t end)
{
	return (struct span){ off >> PMFS2_BLOCK_SHIFT, (end + PMFS2_BLOCK_SIZE - 1) >> PMFS2_BLOCK_SHIFT };
}
static struct span span_covered(uint64_t off, uint64_t end)
{
	return (struct span){ (off + PMFS2_BLOCK_SIZE - 1) >> PMFS2_BLOCK_SHIFT, end >> PMFS2_BLOCK_SHIFT };
}

/* Zeroes the parts of [off, end) that lie in blocks not covered whole. As file_zero_bytes. */
static int edges_zero(struct fs *fs, const struct map *map, uint64_t off, uint64_t end, int *io_stored)
{
	struct span in = span_covered(off, end);
	int err;

	if (in.first >= in.end)
		return file_zero_bytes(fs, map, off, end, io_stored);
	err = file_zero_bytes(fs, map, off, in.first << PMFS2_BLOCK_SHIFT, io_stored);
	return err ? err : file_zero_bytes(fs, map, in.end << PMFS2_BLOCK_SHIFT, end, io_stored);
}

/* A huge leaf: all of it becomes unwritten, or what lies in zero is zeroed in place. -EIO: some of it is bad. */
static int huge_zero(struct fs *fs, struct map_window *win, const struct span *zero)
{
	uint64_t first = u64_max(zero->first, win->first), end = u64_min(zero->end, win->first + MAP_WINDOW), len;
	const void *at;

	if (first >= end || win->huge.unwritten)
		return 0;
	if (end - first == MAP_WINDOW) {
		map_window_set_unwritten(win, 0, 1);
		return 0;
	}
	at = fs_block(fs, win->huge.block + (first - win->first));
	len = (end - first) << PMFS2_BLOCK_SHIFT;
	pmem_zero(fs->pm, at, len);
	return pmem_is_bad(fs->pm, at, len) ? media_data_lost(fs, win->path.ino, first << PMFS2_BLOCK_SHIFT) : 0;
}

/*
 * One window: its holes among [*at, end) get unwritten blocks, its blocks inside zero become unwritten. *at moves on.
 *
 * Order: new nodes are written; fence; one record with the blocks used and the entries.
 * If cut: before the record is durable nothing has changed (in a huge leaf: some zeros).
 * Recovered by: replay.
 */
static int window_step(struct fs *fs, struct inode *ip, uint64_t *at, uint64_t end, const struct span *zero)
{
	struct map map = map_of(ip);
	struct map_window win;
	struct inode_edit edit;
	struct tx tx;
	int err;

	win.first = round_down_to(*at, MAP_WINDOW);
	win.lo = (uint32_t)(*at - win.first);
	win.hi = (uint32_t)(u64_min(end, win.first + MAP_WINDOW) - win.first);
	err = map_window_load(fs, &map, &win, 0);
	if (!err && win.hi - win.lo == MAP_WINDOW && map_window_is_hole(&win)) {
		err = map_window_use_huge(fs, &map, &win, 1);
		err = err == -ENOSPC ? 0 : err;
	}
	if (!err)
		err = map_window_fill(fs, &win, __atomic_load_n(&ip->alloc_goal, __ATOMIC_RELAXED), 1);
	if (err)
		return err;
	if (win.kind == MAP_WINDOW_HUGE)
		err = huge_zero(fs, &win, zero);
	if (err) {
		map_window_cancel(fs, &win);
		return err;
	}
	for (uint32_t i = win.lo; win.kind != MAP_WINDOW_HUGE && i < win.hi; i++)
		if (win.first + i >= zero->first && win.first + i < zero->end)
			map_window_set_unwritten(&win, i, 1);
	if (win.n_runs)
		__atomic_store_n(&ip->alloc_goal, win.runs[win.n_runs - 1].block + win.runs[win.n_runs - 1].n, __ATOMIC_RELAXED);
	*at = win.first + win.hi;
	tx_begin(&tx, fs);
	inode_edit_begin(&edit, ip);
	err = map_window_has_new_nodes(&win);
	map_window_store(&tx, &edit, &win);
	if (err)
		pmem_fence(fs->pm);
	inode_edit_log(&tx, &edit);
	return tx_commit(&tx);
}

/* Enough blocks for all the holes, as far as one can tell without walking. */
static int space_check(struct fs *fs, const struct inode *ip, const struct span *sp)
{
	uint64_t have = le64_get(ip->media->blocks), want = sp->end - sp->first;

	return want > have && want - have > alloc_avail_blocks(fs) ? -ENOSPC : 0;
}

/* The last record: times, and the size if it grows. */
static int attrs_commit(struct fs *fs, struct inode *ip, uint64_t size)
{
	struct inode_edit edit;
	struct tx tx;

	tx_begin(&tx, fs);
	inode_edit_begin(&edit, ip);
	inode_edit_touch(&edit, 1, 1);
	edit.image.size = le64_of(u64_max(le64_get(edit.image.size), size));
	inode_edit_log(&tx, &edit);
	return tx_commit(&tx);
}

/*
 * Preallocation (zero_range 0) and zeroing.
 *
 * Order: window by window, then the old tail is zeroed; fence, if zeros were stored; then one record with size and times.
 * If cut: some windows are done: blocks that read as zeros; the size is the old one.
 * Recovered by: replay.
 */
static int allocate(struct fs *fs, struct inode *ip, uint32_t mode, uint64_t off, uint64_t end)
{
	struct span sp = span_touched(off, end), zero = { 0, 0 };
	uint64_t size = le64_get(ip->media->size), new_size = mode & FALLOC_FL_KEEP_SIZE ? size : u64_max(size, end);
	struct map map = map_of(ip);
	int stored = 0, res = space_check(fs, ip, &sp);

	if (res)
		return res;
	if (mode & FALLOC_FL_ZERO_RANGE) {
		zero = span_covered(off, end);
		file_take_back(fs, ip, off, end - off);
		stored = zero.first < zero.end; /* by huge_zero */
		res = edges_zero(fs, &map, off, end, &stored);
	}
	for (uint64_t at = sp.first; !res && at < sp.end;)
		res = window_step(fs, ip, &at, sp.end, &zero);
	map = map_of(ip);
	if (!res)
		res = file_zero_bytes(fs, &map, size, new_size, &stored);
	if (stored)
		pmem_fence(fs->pm);
	return res ? res : attrs_commit(fs, ip, new_size);
}

/*
 * Order: edges are zeroed in place and fenced; then records that free blocks, the times in the first.
 * If cut: some of the range is zero; each record leaves a whole file.
 * Recovered by: replay.
 */
static int punch(struct fs *fs, struct inode *ip, uint64_t off, uint64_t end)
{
	struct span in = span_covered(off, end);
	struct map map = map_of(ip);
	struct inode_edit edit;
	struct tx tx;
	int stored = 0, more, err;

	file_take_back(fs, ip, off, end - off);
	err = edges_zero(fs, &map, off, end, &stored);
	if (stored)
		pmem_fence(fs->pm);
	if (err)
		return err;
	do {
		tx_begin(&tx, fs);
		inode_edit_begin(&edit, ip);
		more = in.first < in.end ? map_clear(&tx, &edit, in.first, in.end) : 0;
		if (more < 0) {
			tx_drop(&tx);
			return more;
		}
		inode_edit_touch(&edit, 1, 1);
		inode_edit_log(&tx, &edit);
		err = tx_commit(&tx);
	} while (more && !err);
	return err;
}

static int mode_is_known(uint32_t mode)
{
	switch (mode) {
	case 0:
	case FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_COLLAPSE_RANGE:
	case FALLOC_FL_INSERT_RANGE:
		return 1;
	default:
		return 0;
	}
}

static int arguments_check(struct inode *ip, uint32_t mode, uint64_t off, uint64_t len)
{
	uint32_t type = le32_get(ip->media->mode) & 0170000;

	if (type == 0040000)
		return -EISDIR;
	if (type == 0010000)
		return -ESPIPE;
	if (type != 0100000)
		return -ENODEV;
	if (!mode_is_known(mode))
		return -EOPNOTSUPP;
	if (!len || off > INT64_MAX || len > INT64_MAX)
		return -EINVAL;
	return off + len > PMFS2_FILE_SIZE_MAX ? -EFBIG : 0;
}

static int flags_check(const struct inode *ip, uint32_t mode)
{
	uint32_t flags = le32_get(ip->media->flags);

	if (flags & ZUS_FL_IMMUTABLE || (flags & ZUS_FL_APPEND && mode & ~(uint32_t)FALLOC_FL_KEEP_SIZE))
		return -EPERM;
	return 0;
}

int file_fallocate(struct fs *fs, struct inode *ip, uint32_t mode, uint64_t off, uint64_t len)
{
	int err = fs_check_writable(fs);

	if (!err)
		err = arguments_check(ip, mode, off, len);
	if (!err)
		err = file_lock(fs, ip, 1);
	if (err)
		return err;
	mutex_lock(&ip->meta);
	err = flags_check(ip, mode);
	if (err)
		;
	else if (mode & FALLOC_FL_PUNCH_HOLE)
		err = punch(fs, ip, off, off + len);
	else if (mode & FALLOC_FL_COLLAPSE_RANGE)
		err = file_shift(fs, ip, 0, off, len);
	else if (mode & FALLOC_FL_INSERT_RANGE)
		err = file_shift(fs, ip, 1, off, len);
	else
		err = allocate(fs, ip, mode, off, off + len);
	mutex_unlock(&ip->meta);
	rwlock_unlock(&ip->lock);
	return err;
}
