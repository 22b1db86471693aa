// SPDX-License-Identifier: GPL-2.0-only
/* fallocate(2), copies inside of the server. */
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>

#include "zuf.h"

#define FALLOC_ALL                                                                                                               \
	(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_INSERT_RANGE)
#define FALLOC_MOVES (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)

/* Pages that will not be true any more. */
static int range_prepare(struct inode *inode, int mode, loff_t off, loff_t len)
{
	int err;

	if (!(mode & (FALLOC_MOVES | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)))
		return 0;
	err = zuf_break_layouts(inode, off, mode & FALLOC_MOVES ? LLONG_MAX : off + len - 1);
	/* Private copies too, where it is not the same place any more. */
	if (!err && (mode & FALLOC_MOVES))
		unmap_mapping_range(inode->i_mapping, round_up(off, PAGE_SIZE), 0, 1);
	return err;
}

/* Not to be done twice: whether a dead server has done it, the size tells. */
static bool move_was_done(struct inode *inode, loff_t want)
{
	struct zuf_reply out;

	if (zuf_call_simple(zuf_sb_of(inode->i_sb), ZUF_OP_GETATTR, zuf_i(inode)->node, &out) || !out.has_attr ||
	    out.attr.size != want)
		return false;
	zuf_attr_apply(inode, &out.attr);
	return true;
}

static int falloc_send(struct inode *inode, int mode, loff_t off, loff_t len)
{
	/* Before it is sent: who attaches to a new server reads the size as it is there. */
	loff_t moved = i_size_read(inode) + (mode & FALLOC_FL_INSERT_RANGE ? len : -len);
	struct zuf_call call;
	bool lost;
	int err;

	mutex_lock(&zuf_i(inode)->alloc_lock);
	do {
		err = zuf_call_begin(&call, zuf_sb_of(inode->i_sb), ZUF_OP_FALLOCATE, zuf_i(inode)->node);
		if (err)
			break;
		call.in->mode = mode;
		call.in->off = off;
		call.in->len = len;
		err = zuf_call_send_once(&call);
		lost = err == -ENOTCONN;
		if (!err && call.out.has_attr)
			zuf_attr_apply(inode, &call.out.attr);
		zuf_call_end(&call);
		if (lost && (mode & FALLOC_MOVES) && move_was_done(inode, moved)) {
			lost = false;
			err = 0;
		}
	} while (lost);
	mutex_unlock(&zuf_i(inode)->alloc_lock);
	return err;
}

static int falloc_locked(struct file *file, int mode, loff_t off, loff_t len)
{
	struct inode *inode = file_inode(file);
	int err;

	if (!(mode & FALLOC_FL_KEEP_SIZE) && !(mode & FALLOC_FL_COLLAPSE_RANGE)) {
		loff_t size = mode & FALLOC_FL_INSERT_RANGE ? i_size_read(inode) + len : off + len;

		err = inode_newsize_ok(inode, max(size, i_size_read(inode)));
		if (err)
			return err;
	}
	err = file_remove_privs(file);
	if (err)
		return err;
	filemap_invalidate_lock(inode->i_mapping);
	err = range_prepare(inode, mode, off, len);
	if (!err) {
		zuf_extents_drop(zuf_i(inode), 0, U64_MAX);
		zuf_tail_moved(zuf_i(inode));
		err = falloc_send(inode, mode, off, len);
		/* What was deleted may be free space in a moment. */
		if (err == -ENOSPC && !zuf_forgets_settle(zuf_sb_of(inode->i_sb)))
			err = falloc_send(inode, mode, off, len);
		zuf_extents_drop(zuf_i(inode), 0, U64_MAX);
	}
	filemap_invalidate_unlock(inode->i_mapping);
	return err;
}

long zuf_fallocate(struct file *file, int mode, loff_t off, loff_t len)
{
	struct inode *inode = file_inode(file);
	int err;

	if (mode & ~FALLOC_ALL)
		return -EOPNOTSUPP;
	inode_lock(inode);
	err = falloc_locked(file, mode, off, len);
	inode_unlock(inode);
	return err;
}

/* --- copying ---------------------------------------------------------------------------------- */

#define COPY_CHUNK (8U << 20)

static void lock_two(struct inode *a, struct inode *b)
{
	lock_two_nondirectories(a, b);
	filemap_invalidate_lock_two(a->i_mapping, b->i_mapping);
}

static void unlock_two(struct inode *a, struct inode *b)
{
	filemap_invalidate_unlock_two(a->i_mapping, b->i_mapping);
	unlock_two_nondirectories(a, b);
}

static ssize_t copy_some(struct inode *in, loff_t in_off, struct inode *out, loff_t out_off, size_t len)
{
	struct zuf_call call;
	ssize_t res;

	res = zuf_break_layouts(out, out_off, out_off + len - 1);
	if (res)
		return res;
	mutex_lock(&zuf_i(out)->alloc_lock);
	zuf_tail_moved(zuf_i(out));
	res = zuf_call_begin(&call, zuf_sb_of(in->i_sb), ZUF_OP_COPY, zuf_i(in)->node);
	if (res)
		goto unlock;
	call.in->node2 = zuf_i(out)->node;
	call.in->off = in_off;
	call.in->off2 = out_off;
	call.in->len = len;
	res = zuf_call_send(&call);
	if (!res && call.out.value > len)
		res = -EIO;
	if (!res) {
		res = call.out.value;
		if (call.out.has_attr)
			zuf_attr_apply(out, &call.out.attr);
	}
	zuf_call_end(&call);
	zuf_extents_drop(zuf_i(out), round_down(out_off, PAGE_SIZE), round_up(out_off + len, PAGE_SIZE));
unlock:
	mutex_unlock(&zuf_i(out)->alloc_lock);
	return res;
}

static ssize_t copy_locked(struct file *in, loff_t in_off, struct file *out, loff_t out_off, size_t len)
{
	loff_t size = i_size_read(file_inode(in));
	ssize_t done = 0, n;
	bool settled = false;
	int err;

	if (in_off >= size)
		return 0;
	len = min_t(u64, len, size - in_off);
	err = file_remove_privs(out);
	if (err)
		return err;
	while (done < len) {
		n = copy_some(file_inode(in), in_off + done, file_inode(out), out_off + done,
			      min_t(size_t, len - done, COPY_CHUNK));
		/* What was deleted may be free space in a moment. */
		if (n == -ENOSPC && !settled && !zuf_forgets_settle(zuf_sb_of(file_inode(in)->i_sb))) {
			settled = true;
			continue;
		}
		if (n <= 0)
			return done ? done : n;
		done += n;
		if (fatal_signal_pending(current))
			break;
	}
	return done;
}

ssize_t zuf_copy_file_range(struct file *in, loff_t in_off, struct file *out, loff_t out_off, size_t len, unsigned int flags)
{
	struct inode *from = file_inode(in), *to = file_inode(out);
	ssize_t res = -EOPNOTSUPP;

	if (from->i_sb == to->i_sb && zuf_has_dax(zuf_sb_of(to->i_sb)) && from != to && !flags) {
		lock_two(from, to);
		res = copy_locked(in, in_off, out, out_off, len);
		unlock_two(from, to);
	}
	if (res == -EOPNOTSUPP)
		res = zuf_generic_copy(in, in_off, out, out_off, len, flags);
	return res;
}
