/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data transfers: io_begin gives out extents, the transport moves the bytes, io_end makes them durable.
 *
 * Three ways:
 *  - read: shared lock, shared range;
 *  - overwrite of bytes inside the size whose blocks are all written: shared lock, exclusive range;
 *  - any other write: exclusive lock from begin to end, one window of the map (2 MiB) at a time.
 *
 * The state of a transfer stands in io->priv, whose address must not change between begin and end (the range lock's list knows
 * it).
 */
#include <assert.h>
#include <stdlib.h>

#include "pmfs2/file_part.h"
#include "pmfs2/media_error.h"

enum transfer_kind {
	TRANSFER_READ,
	TRANSFER_OVERWRITE,
	TRANSFER_WRITE,
};

struct transfer {
	struct inode *ip;
	enum transfer_kind kind;
	struct map_window *win; /* WRITE only */
	struct range range; /* READ, OVERWRITE */
};
static_assert(sizeof(struct transfer) <= sizeof(((struct zus_io *)0)->priv), "fits");

static struct transfer *transfer_of(struct zus_io *io)
{
	return (struct transfer *)(void *)io->priv;
}

/* Adds bytes to the extents. 0 if there is no room. */
static int extent_add(struct zus_io *io, uint64_t len, uint64_t dev_off, uint32_t flags)
{
	struct zus_extent *last = io->n_ext ? &io->ext[io->n_ext - 1] : NULL;

	if (last && last->flags == flags && (flags == ZUS_EXT_HOLE || last->dev_off + last->len == dev_off)) {
		last->len += len;
	} else {
		if (io->n_ext == io->ext_cap)
			return 0;
		io->ext[io->n_ext++] = (struct zus_extent){ .len = len, .dev_off = dev_off, .flags = flags };
	}
	io->mapped += len;
	return 1;
}

/* n bytes, from byte "in" of ext on. 0 if there is no room. */
static int extent_add_found(struct zus_io *io, const struct map_extent *ext, uint64_t in, uint64_t n)
{
	uint64_t dev_off = (ext->block << PMFS2_BLOCK_SHIFT) + in;

	if (ext->state == MAP_WRITTEN)
		return extent_add(io, n, dev_off, 0);
	if (ext->state == MAP_UNWRITTEN && unlikely(io->flags & ZUS_IO_UNWRITTEN))
		return extent_add(io, n, dev_off, ZUS_EXT_HOLE | ZUS_EXT_UNWRITTEN);
	return extent_add(io, n, 0, ZUS_EXT_HOLE);
}

/*
 * Extents for up to len bytes from io->off on. With only_written, stops at the first hole. Returns 0, or 1 if it stopped there.
 */
static int extents_map(struct fs *fs, struct transfer *t, struct zus_io *io, uint64_t len, int only_written)
{
	struct map map = map_of(t->ip);
	struct map_extent ext;

	while (io->mapped < len) {
		uint64_t at = io->off + io->mapped, first = at >> PMFS2_BLOCK_SHIFT, in = FILE_IN_BLOCK(at), n;
		int err = map_find(fs, &map, first, (in + len - io->mapped + PMFS2_BLOCK_SIZE - 1) >> PMFS2_BLOCK_SHIFT, &ext);

		if (err)
			return err;
		n = u64_min(len - io->mapped, (ext.n << PMFS2_BLOCK_SHIFT) - in);
		if (only_written && ext.state != MAP_WRITTEN)
			return 1;
		if (!extent_add_found(io, &ext, in, n))
			return 0;
	}
	return 0;
}

/* Before and behind the transfer of bytes. 0, or -EIO: a bad page is among them, or under the inode that led to them. */
static int __attribute__((cold, noinline)) transfer_check(struct fs *fs, const struct transfer *t, const struct zus_io *io)
{
	const struct map_window *win = t->win;

	if (media_is_lost(fs) && (pmem_thread_self.n_meta || pmem_is_bad(fs->pm, t->ip->media, sizeof(*t->ip->media))))
		return media_met(fs, t->ip->ino);
	/* All of a new huge leaf was zeroed around the bytes. */
	if (win && win->kind == MAP_WINDOW_HUGE && (!win->huge_word || win->huge.unwritten) &&
	    pmem_is_bad(fs->pm, fs_block(fs, win->huge.block), MAP_WINDOW << PMFS2_BLOCK_SHIFT))
		return media_data_lost(fs, t->ip->ino, win->first << PMFS2_BLOCK_SHIFT);
	return media_io_check(fs, t->ip->ino, io);
}

/* Gives the inode back. A transfer that failed may have done so because its metadata are lost. */
static int __attribute__((cold, noinline)) transfer_failed(struct fs *fs, struct transfer *t, int err)
{
	if (media_is_lost(fs) && pmem_thread_self.n_meta)
		err = media_met(fs, t->ip->ino);
	inode_put(fs, t->ip);
	return err;
}

static inline int transfer_is_good(struct fs *fs, const struct transfer *t, const struct zus_io *io)
{
	return likely(!pmem_n_bad(fs->pm)) ? 0 : transfer_check(fs, t, io);
}

/* --- reads ------------------------------------------------------------------------------------------------------------------ */

static int atime_is_due(struct fs *fs, const struct zus_io *io, const struct inode *ip, uint64_t now)
{
	uint32_t flags = atomic_load_explicit(&fs->mount_flags, memory_order_relaxed);
	uint64_t atime = le64_load(&ip->media->atime);

	if (flags & (ZUS_MOUNT_NOATIME | ZUS_MOUNT_RDONLY) || io->flags & ZUS_IO_NOATIME ||
	    le32_get(ip->media->flags) & (ZUS_FL_NOATIME | ZUS_FL_IMMUTABLE))
		return 0;
	if (flags & ZUS_MOUNT_STRICTATIME)
		return atime != now;
	return atime <= le64_load(&ip->media->mtime) || atime <= le64_load(&ip->media->ctime) ||
	       (now > atime && now - atime >= 24 * 3600 * 1000000000ull);
}

/*
 * Order, If cut: one record, a time. Recovered by: replay. A failure is nobody's business: the read goes on.
 */
static void __attribute__((noinline)) atime_update(struct fs *fs, struct inode *ip, uint64_t now)
{
	struct inode_edit edit;
	struct tx tx;

	if (fs_check_writable(fs))
		return;
	mutex_lock(&ip->meta);
	tx_begin(&tx, fs);
	inode_edit_begin(&edit, ip);
	edit.image.atime = le64_of(now);
	inode_edit_log(&tx, &edit);
	tx_commit(&tx);
	mutex_unlock(&ip->meta);
}

static int begin_read(struct fs *fs, struct transfer *t, struct zus_io *io)
{
	uint64_t size, len, now;
	int err = file_lock(fs, t->ip, 0);

	if (err)
		return err;
	size = le64_load(&t->ip->media->size);
	len = io->off < size ? u64_min(io->len, size - io->off) : 0;
	t->kind = TRANSFER_READ;
	range_lock(&t->ip->ranges, &t->range, io->off, io->off + len, 0);
	err = extents_map(fs, t, io, len, 0);
	if (!err)
		err = transfer_is_good(fs, t, io);
	if (err) {
		range_unlock(&t->ip->ranges, &t->range);
		rwlock_unlock(&t->ip->lock);
		return err;
	}
	now = fs_now();
	if (io->len && atime_is_due(fs, io, t->ip, now))
		atime_update(fs, t->ip, now);
	return 0;
}

/* --- writes ----------------------------------------------------------------------------------------------------------------- */

/* Under the lock, shared or exclusive. */
static int write_is_allowed(const struct inode *ip, const struct zus_io *io)
{
	uint32_t flags = le32_get(ip->media->flags);

	if (flags & ZUS_FL_IMMUTABLE)
		return -EPERM;
	if (flags & ZUS_FL_APPEND && io->off != le64_load(&ip->media->size))
		return -EPERM;
	return 0;
}

/* 1: it is an overwrite, locked and mapped. 0: it is not, nothing is held. */
static int begin_overwrite(struct fs *fs, struct transfer *t, struct zus_io *io, uint64_t len)
{
	int err = file_lock(fs, t->ip, 0);

	if (err)
		return err;
	err = write_is_allowed(t->ip, io);
	if (err)
		goto unlock;
	if (io->off + len > le64_load(&t->ip->media->size))
		goto unlock;
	err = extents_map(fs, t, io, len, 1);
	if (err) {
		io->n_ext = 0;
		io->mapped = 0;
		err = err < 0 ? err : 0;
		goto unlock;
	}
	err = transfer_is_good(fs, t, io);
	if (err)
		goto unlock;
	t->kind = TRANSFER_OVERWRITE;
	range_lock(&t->ip->ranges, &t->range, io->off, io->off + io->mapped, 1);
	return 1;
unlock:
	rwlock_unlock(&t->ip->lock);
	return err;
}

static int entry_is_blank(const struct map_window *win, uint32_t i)
{
	int fresh = win->kind == MAP_WINDOW_HUGE ? !win->huge_word : map_window_is_fresh(win, i);

	return fresh || map_window_entry(win, i).unwritten;
}

/* Zeroes bytes [from, to) of the file, which lie in one leaf of the window. */
static void window_zero(struct fs *fs, const struct map_window *win, uint64_t from, uint64_t to)
{
	uint32_t i = (uint32_t)((from >> PMFS2_BLOCK_SHIFT) - win->first);

	if (from < to)
		pmem_zero(fs->pm, (const uint8_t *)fs_block(fs, map_window_entry(win, i).block) + FILE_IN_BLOCK(from), to - from);
}

/* Bounds in bytes of the leaf that holds byte off: its block, or all of a HUGE window. */
static uint64_t leaf_start(const struct map_window *win, uint64_t off)
{
	return win->kind == MAP_WINDOW_HUGE ? win->first << PMFS2_BLOCK_SHIFT : round_down_to(off, PMFS2_BLOCK_SIZE);
}
static uint64_t leaf_end(const struct map_window *win, uint64_t last_byte)
{
	return win->kind == MAP_WINDOW_HUGE ? (win->first + MAP_WINDOW) << PMFS2_BLOCK_SHIFT
					    : round_down_to(last_byte, PMFS2_BLOCK_SIZE) + PMFS2_BLOCK_SIZE;
}

/* Zeroes what a write of [io->off, end) does not cover of blocks that show nothing yet. */
static void edges_zero(struct fs *fs, const struct map_window *win, const struct zus_io *io, uint64_t end)
{
	if (entry_is_blank(win, win->lo))
		window_zero(fs, win, leaf_start(win, io->off), io->off);
	if (entry_is_blank(win, win->hi - 1) && end < leaf_end(win, end - 1))
		window_zero(fs, win, end, leaf_end(win, end - 1));
}

static uint64_t goal_of(const struct fs *fs, const struct map_window *win, const struct inode *ip)
{
	struct entry_pos pos = { .owner = win->path.ino, .level = 1, .index = win->first + win->lo - 1 };
	struct entry e;

	if (win->lo && win->path.block[1]) {
		uint64_t word = le64_load((const le64 *)fs_block(fs, win->path.block[1]) + win->lo - 1);

		if (word && entry_unpack(&pos, word, &e))
			return e.block + 1;
	}
	return __atomic_load_n(&ip->alloc_goal, __ATOMIC_RELAXED);
}

/* Reserves what is missing and gives out extents. Fewer bytes than asked for where runs, space or extents end. */
static int window_map(struct fs *fs, struct transfer *t, struct zus_io *io, uint64_t end)
{
	struct map_window *win = t->win;
	struct map map = map_of(t->ip);
	uint64_t start = win->first << PMFS2_BLOCK_SHIFT, off = io->off;
	int err = map_window_load(fs, &map, win, 0);

	if (!err && win->lo == 0 && win->hi == MAP_WINDOW && map_window_is_hole(win) && !FILE_IN_BLOCK(io->off | end)) {
		err = map_window_use_huge(fs, &map, win, 0);
		err = err == -ENOSPC ? 0 : err;
	}
	if (!err)
		err = map_window_fill(fs, win, goal_of(fs, win, t->ip), 0);
	if (err)
		return err;
	end = u64_min(end, start + ((uint64_t)win->hi << PMFS2_BLOCK_SHIFT));
	for (uint32_t i = win->lo; i < win->hi; i++) {
		uint64_t stop = u64_min(end, start + ((uint64_t)(i + 1) << PMFS2_BLOCK_SHIFT));

		if (!extent_add(io, stop - off, (map_window_entry(win, i).block << PMFS2_BLOCK_SHIFT) + FILE_IN_BLOCK(off), 0)) {
			map_window_trim(fs, win, i);
			win->hi = i;
			break;
		}
		off = stop;
	}
	edges_zero(fs, win, io, off);
	return 0;
}

/* Nothing comes of the transfer. The fence is for the tail that begin_new zeroed: zeros found there count as durable. */
static void window_cancel(struct fs *fs, struct transfer *t)
{
	map_window_cancel(fs, t->win);
	pmem_fence(fs->pm);
}

static int begin_new(struct fs *fs, struct transfer *t, struct zus_io *io, uint64_t len)
{
	uint64_t first = io->off >> PMFS2_BLOCK_SHIFT, end, size;
	int stored = 0, err = file_lock(fs, t->ip, 1);
	struct map map;

	if (err)
		return err;
	err = write_is_allowed(t->ip, io);
	if (err)
		goto unlock;
	err = -ENOMEM;
	t->win = malloc(sizeof(*t->win));
	if (!t->win)
		goto unlock;
	t->kind = TRANSFER_WRITE;
	t->win->first = round_down_to(first, MAP_WINDOW);
	end = u64_min(io->off + len, (t->win->first + MAP_WINDOW) << PMFS2_BLOCK_SHIFT);
	t->win->lo = (uint32_t)(first - t->win->first);
	t->win->hi = (uint32_t)(((end - 1) >> PMFS2_BLOCK_SHIFT) - t->win->first + 1);
	err = window_map(fs, t, io, end);
	if (err)
		goto free_window;
	size = le64_load(&t->ip->media->size);
	map = map_of(t->ip);
	err = io->off > size ? file_zero_bytes(fs, &map, size, io->off, &stored) : 0;
	if (!err)
		err = transfer_is_good(fs, t, io);
	if (!err)
		return 0;
	window_cancel(fs, t);
free_window:
	free(t->win);
unlock:
	io->n_ext = 0;
	io->mapped = 0;
	rwlock_unlock(&t->ip->lock);
	return err;
}

static int begin_write(struct fs *fs, struct transfer *t, struct zus_io *io)
{
	uint64_t len = io->len;
	int res = fs_check_writable(fs);

	if (res)
		return res;
	if (io->off >= PMFS2_FILE_SIZE_MAX)
		return -EFBIG;
	len = u64_min(len, PMFS2_FILE_SIZE_MAX - io->off);
	res = begin_overwrite(fs, t, io, len);
	if (res)
		return res < 0 ? res : 0;
	if (len)
		return begin_new(fs, t, io, len);
	/* Nothing to write, at or beyond the end of file: a transfer of nothing. */
	t->kind = TRANSFER_OVERWRITE;
	res = file_lock(fs, t->ip, 0);
	if (!res)
		range_lock(&t->ip->ranges, &t->range, io->off, io->off, 1);
	return res;
}

int file_io_begin(struct fs *fs, struct zus_io *io)
{
	struct transfer *t = transfer_of(io);
	int err = inode_get(fs, io->node, &t->ip);

	if (err)
		return err;
	io->n_ext = 0;
	io->mapped = 0;
	t->win = NULL;
	if (inode_is_dir(t->ip))
		err = -EISDIR;
	else if (!inode_is_reg(t->ip) || !io->ext_cap)
		err = -EINVAL;
	else
		err = io->flags & ZUS_IO_WRITE ? begin_write(fs, t, io) : begin_read(fs, t, io);
	if (unlikely(err))
		return transfer_failed(fs, t, err);
	pmem_expect_begin();
	return 0;
}

/* --- end -------------------------------------------------------------------------------------------------------------------- */

static void edit_written(struct inode_edit *edit, const struct zus_io *io)
{
	uint32_t mode = le32_get(edit->image.mode);

	inode_edit_touch(edit, 1, 1);
	if (io->flags & ZUS_IO_KILL_PRIV && file_kill_priv(&mode))
		edit->image.mode = le32_of(mode);
}

static int overwrite_changes_inode(const struct inode *ip, const struct zus_io *io)
{
	uint32_t mode = le32_get(ip->media->mode);
	uint64_t now = fs_now();

	return le64_load(&ip->media->mtime) != now || le64_load(&ip->media->ctime) != now ||
	       (io->flags & ZUS_IO_KILL_PRIV && file_kill_priv(&mode));
}

/* 1: committed. 0: there was nothing to commit, and no fence. */
static int overwrite_commit(struct fs *fs, struct inode *ip, const struct zus_io *io)
{
	struct inode_edit edit;
	struct tx tx;
	int err = 0, due;

	mutex_lock(&ip->meta);
	tx_begin(&tx, fs);
	inode_edit_begin(&edit, ip);
	edit_written(&edit, io);
	inode_edit_log(&tx, &edit);
	due = tx.n_words != 0; /* if not, somebody else has just set the same times */
	if (due)
		err = tx_commit(&tx);
	mutex_unlock(&ip->meta);
	return err ? err : due;
}

/*
 * Order: data stores by the transport, then either a fence, or a record with the times, whose fence covers both.
 * If cut: any part of the data may be there: an overwrite in place is not atomic.
 * Recovered by: replay (times).
 */
static int end_overwrite(struct fs *fs, struct inode *ip, const struct zus_io *io)
{
	int res = overwrite_changes_inode(ip, io) ? overwrite_commit(fs, ip, io) : 0;

	if (!res)
		pmem_fence(fs->pm);
	return res < 0 ? res : 0;
}

/* Gives up what a short write did not reach. */
static void write_shorten(struct fs *fs, struct map_window *win, const struct zus_io *io, uint64_t done)
{
	uint64_t end = io->off + done, old_end = io->off + io->mapped;
	uint32_t last = (uint32_t)(((end - 1) >> PMFS2_BLOCK_SHIFT) - win->first);

	if (entry_is_blank(win, last))
		window_zero(fs, win, end, u64_min(old_end, leaf_end(win, end - 1)));
	map_window_trim(fs, win, last + 1);
	win->hi = last + 1;
}

/*
 * Order: data, zeroed edges and new nodes; fence; one record: blocks used, entries, inode (size, times, mode).
 * If cut: before the record is durable, the new blocks are free, unwritten ones are unwritten, and bytes behind the old size are
 *	not seen. Behind it, all is there.
 * Recovered by: replay.
 */
static int end_new(struct fs *fs, struct transfer *t, const struct zus_io *io, uint64_t done)
{
	struct map_window *win = t->win;
	struct inode_edit edit;
	struct tx tx;
	int err;

	if (done < io->mapped)
		write_shorten(fs, win, io, done);
	for (uint32_t i = win->lo; i < win->hi; i++)
		map_window_set_unwritten(win, i, 0);
	__atomic_store_n(&t->ip->alloc_goal, map_window_entry(win, win->hi - 1).block + 1, __ATOMIC_RELAXED);
	mutex_lock(&t->ip->meta);
	tx_begin(&tx, fs);
	inode_edit_begin(&edit, t->ip);
	map_window_store(&tx, &edit, win);
	pmem_fence(fs->pm);
	edit.image.size = le64_of(u64_max(le64_get(edit.image.size), io->off + done));
	edit_written(&edit, io);
	inode_edit_log(&tx, &edit);
	err = tx_commit(&tx);
	mutex_unlock(&t->ip->meta);
	return err;
}

int file_io_end(struct fs *fs, struct zus_io *io, uint64_t done)
{
	struct transfer *t = transfer_of(io);
	int err;

	pmem_expect_end();
	done = u64_min(done, io->mapped);
	err = transfer_is_good(fs, t, io);
	if (t->kind == TRANSFER_WRITE) {
		if (done && !err)
			err = end_new(fs, t, io, done);
		else
			window_cancel(fs, t);
		free(t->win);
	} else {
		if (t->kind == TRANSFER_OVERWRITE && done && !err)
			err = end_overwrite(fs, t->ip, io);
		range_unlock(&t->ip->ranges, &t->range);
	}
	rwlock_unlock(&t->ip->lock);
	if (unlikely(err))
		return transfer_failed(fs, t, err);
	inode_put(fs, t->ip);
	return 0;
}
