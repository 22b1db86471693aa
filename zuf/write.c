// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writing. Three ways:
 *
 *  - in place, where all bytes are inside the file and their extents are known: the dax core copies, a fence, no call but one for
 *    the times once in a tick of the coarse clock;
 *  - small: the bytes go with the request, one round trip maps, copies, commits;
 *  - large: MAP_WRITE opens a transfer, the kernel copies to the extents, COMMIT makes it durable and visible. The slot (and so
 * the server's thread) is held from one to the other.
 *
 * Order: data, fence, then what makes them reachable: by the server in the second and third way. In place: data, fence.
 * If cut: in place: any part of the data may be there. Else the server's promise: all of a transfer or nothing.
 *
 * Between MAP_WRITE and COMMIT the server holds its lock of the file: nothing here may wait for the server then, so copying runs
 * with page faults off, and what could not be copied is faulted in before the next try.
 */
#include <linux/dax.h>
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>

#include "zuf.h"

#define WRITE_SMALL_MAX 16384U
#define WRITE_CHUNK_MAX (2UL << 20)

static u32 write_flags(const struct kiocb *iocb)
{
	return iocb->ki_flags & IOCB_DSYNC ? ZUF_IO_SYNC : 0;
}

/* Behind a write that may have allocated. */
static int written(struct inode *inode, struct zuf_call *call, loff_t pos, size_t len)
{
	struct zuf_inode *zi = zuf_i(inode);

	if (!zuf_has_dax(call->zsb))
		return 0;
	zuf_extents_drop(zi, round_down(pos, PAGE_SIZE), round_up(pos + len, PAGE_SIZE));
	return zuf_extents_keep(zi, call, pos, pos + len, NULL);
}

/* One round trip, under alloc_lock. Bytes, or a negative errno. */
static ssize_t write_small(struct kiocb *iocb, struct iov_iter *from, size_t len)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct zuf_inode *zi = zuf_i(inode);
	struct zuf_call call;
	size_t copied;
	ssize_t res;

	res = zuf_call_begin(&call, zuf_sb_of(inode->i_sb), ZUF_OP_WRITE, zi->node);
	if (res)
		return res;
	pagefault_disable();
	copied = copy_from_iter(call.slot->buf + ZUF_IN_OFF, len, from);
	pagefault_enable();
	if (!copied) {
		zuf_call_end(&call);
		return -EAGAIN;
	}
	call.in->off = iocb->ki_pos;
	call.in->len = copied;
	call.in->flags = write_flags(iocb);
	/* What was copied stands in the buffer alone: the next server is not given what the dead one left of it. */
	res = zuf_call_send_once(&call);
	if (!res && (!call.out.value || call.out.value > copied))
		res = -EIO;
	if (!res) {
		res = call.out.value;
		zuf_attr_apply(inode, &call.out.attr);
		if (written(inode, &call, iocb->ki_pos, res))
			res = -EIO;
	}
	zuf_call_end(&call);
	if (res < (ssize_t)copied)
		iov_iter_revert(from, res < 0 ? copied : copied - res);
	if (res > 0 && unlikely(!call.out.has_attr) && zuf_attr_reload(inode))
		return -EIO;
	return res == -ENOTCONN ? -ERESTART : res;
}

/*
 * Copies to the extents of the call's reply; faults are off. Bytes that were copied. faulted: fewer, because the source was not
 * there; if that is not why, the memory is bad, or the reply has no room.
 */
static size_t copy_to_extents(struct zuf_call *call, struct iov_iter *from, size_t len, bool *faulted)
{
	const struct zuf_extent *exts = zuf_call_extents(call);
	struct zuf_sb *zsb = call->zsb;
	struct zuf_extent ext;
	size_t done = 0;
	u32 i;

	for (i = 0; i < call->out.n_ext && done < len; i++) {
		size_t part, room, n, copied;
		void *to;

		memcpy(&ext, &exts[i], sizeof(ext));
		barrier_data(&ext);
		if ((ext.flags & ZUF_EXT_HOLE) || ext.dev_off >= zsb->dev_size || ext.len > zsb->dev_size - ext.dev_off)
			break;
		for (part = 0; part < ext.len && done < len; part += n) {
			room = min_t(u64, ext.len - part, len - done);
			n = room;
			to = zuf_dax_kaddr(zsb, ext.dev_off + part, &room);
			if (!to)
				return done;
			n = min(n, room);
			copied = _copy_from_iter_flushcache(to, n, from);
			done += copied;
			*faulted = copied < n;
			if (*faulted)
				return done;
		}
	}
	return done;
}

/*
 * The same, as long as the server lives that has set the extents aside. If it has ended, the mount is not attached to the next
 * one before we are out, and nothing is copied behind that. -ERESTART: it has ended.
 */
static ssize_t copy_while_served(struct zuf_call *call, struct iov_iter *from, size_t len, bool *faulted)
{
	ssize_t copied = -ERESTART;
	int id;

	percpu_down_read(&call->zsb->store_lock);
	if (!zuf_slot_is_dead(call->slot)) {
		id = dax_read_lock();
		pagefault_disable();
		copied = copy_to_extents(call, from, len, faulted);
		pagefault_enable();
		dax_read_unlock(id);
		/* Durable before the server writes the record that makes it reachable. */
		wmb();
	}
	percpu_up_read(&call->zsb->store_lock);
	return copied;
}

/* Map, copy, commit, under alloc_lock. Bytes, or a negative errno; -EAGAIN: the source has to be faulted in. */
static ssize_t write_large(struct kiocb *iocb, struct iov_iter *from, size_t len)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct zuf_inode *zi = zuf_i(inode);
	struct zuf_call call, mapped;
	bool faulted = false;
	ssize_t copied, res;

	res = zuf_call_begin(&call, zuf_sb_of(inode->i_sb), ZUF_OP_MAP_WRITE, zi->node);
	if (res)
		return res;
	call.in->off = iocb->ki_pos;
	call.in->len = len;
	call.in->flags = write_flags(iocb);
	res = zuf_call_send(&call);
	if (res)
		goto end;
	len = min_t(u64, len, call.out.value);
	copied = copy_while_served(&call, from, len, &faulted);
	if (copied < 0) {
		res = copied;
		goto end;
	}
	mapped = call;
	memset(call.in, 0, sizeof(*call.in));
	call.in->op = ZUF_OP_COMMIT;
	call.in->mount = call.zsb->id;
	call.in->node = zi->node;
	call.in->len = copied;
	res = zuf_call_send_once(&call);
	if (!res && copied) {
		zuf_attr_apply(inode, &call.out.attr);
		call.out.n_ext = mapped.out.n_ext;
		if (written(inode, &call, iocb->ki_pos, copied))
			res = -EIO;
	}
	if (res)
		iov_iter_revert(from, copied);
	else
		res = copied ? copied : faulted ? -EAGAIN : -EIO;
	/* The server died in between: what it had not committed never was. */
	if (res == -ENOTCONN)
		res = -ERESTART;
end:
	zuf_call_end(&call);
	if (res > 0 && unlikely(!call.out.has_attr) && zuf_attr_reload(inode))
		return -EIO;
	return res;
}

/* How far a mapping may have something of [pos, pos + len): nothing behind the page of the end. */
static loff_t mapped_end(struct inode *inode, loff_t pos, size_t len)
{
	return min_t(loff_t, pos + len, round_up(i_size_read(inode), PAGE_SIZE));
}

/* The first hole of [pos, end); none: it begins at end. */
static int hole_find(struct inode *inode, loff_t pos, loff_t end, loff_t *hole, loff_t *hole_end)
{
	struct zuf_map map;
	int err;

	for (*hole = pos; *hole < end; *hole = *hole_end) {
		err = zuf_map_get(inode, *hole, end - *hole, &map);
		/* A page that is known as bad is no hole. */
		if (err == -EIO)
			map = (struct zuf_map){ .len = PAGE_SIZE - offset_in_page(*hole) };
		else if (err)
			return err;
		*hole_end = min_t(u64, end, *hole + map.len);
		if (map.flags & ZUF_EXT_HOLE)
			break;
	}
	return 0;
}

/*
 * The lock comes before the slot: who has a slot waits for the server alone, or all slots could be held by writers that wait for
 * page faults that wait for slots.
 */
static ssize_t write_locked(struct kiocb *iocb, struct iov_iter *from, size_t len, bool large)
{
	struct zuf_inode *zi = zuf_i(file_inode(iocb->ki_filp));
	ssize_t res;

	mutex_lock(&zi->alloc_lock);
	res = large ? write_large(iocb, from, len) : write_small(iocb, from, min_t(size_t, len, ZUF_DATA_LEN));
	/* What it had stored may stand behind the end. */
	if (unlikely(res < 0))
		zuf_tail_moved(zi);
	/* It may have been done all the same. */
	if (unlikely(res == -ERESTART))
		zuf_extents_drop(zi, round_down(iocb->ki_pos, PAGE_SIZE), round_up(iocb->ki_pos + len, PAGE_SIZE));
	mutex_unlock(&zi->alloc_lock);
	return res;
}

/*
 * Into what may be a hole inside of the file: its pages of zeros are taken from mappings. Other entries of the dax core stay: one
 * that is clean may stand for 2 MiB, with page tables and users beside what is written. Faults wait meanwhile: one that stores to
 * the hole has the dax core's lock of its entry, and waits for alloc_lock.
 */
static ssize_t write_hole(struct kiocb *iocb, struct iov_iter *from, size_t len, loff_t end, bool large)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct address_space *mapping = inode->i_mapping;
	loff_t hole = end, hole_end = end;
	ssize_t res = 0;

	filemap_invalidate_lock(mapping);
	if (!mapping_empty(mapping))
		res = hole_find(inode, iocb->ki_pos, end, &hole, &hole_end);
	if (!res) {
		/* One hole at a time. */
		if (hole_end < end)
			len = hole_end - iocb->ki_pos;
		res = write_locked(iocb, from, len, large);
		/* Behind it: they may be what is written. */
		if (hole < end)
			invalidate_inode_pages2_range(mapping, hole >> PAGE_SHIFT, (hole_end - 1) >> PAGE_SHIFT);
	}
	filemap_invalidate_unlock(mapping);
	return res;
}

static ssize_t write_step(struct kiocb *iocb, struct iov_iter *from, size_t len, bool large)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct address_space *mapping = inode->i_mapping;
	loff_t pos = iocb->ki_pos, end = mapped_end(inode, pos, len);
	ssize_t res;

	if (zuf_has_dax(zuf_sb_of(inode->i_sb))) {
		if (pos < end && !zuf_extents_writable(zuf_i(inode), pos, end - pos))
			return write_hole(iocb, from, len, end, large);
		return write_locked(iocb, from, len, large);
	}
	res = write_locked(iocb, from, len, large);
	if (res > 0 && !mapping_empty(mapping))
		invalidate_inode_pages2_range(mapping, pos >> PAGE_SHIFT, (pos + res - 1) >> PAGE_SHIFT);
	return res;
}

/* Through the server, in pieces. Bytes, or a negative errno when none were written. */
static ssize_t write_by_server(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	bool dax = zuf_has_dax(zuf_sb_of(inode->i_sb));
	ssize_t done = 0, n = 0;
	bool settled = false;

	while (iov_iter_count(from)) {
		size_t len = min_t(size_t, iov_iter_count(from), WRITE_CHUNK_MAX - (iocb->ki_pos & (WRITE_CHUNK_MAX - 1)));

		if (fault_in_iov_iter_readable(from, min_t(size_t, len, ZUF_DATA_LEN)) == min_t(size_t, len, ZUF_DATA_LEN)) {
			n = -EFAULT;
			break;
		}
		n = write_step(iocb, from, len, dax && len > WRITE_SMALL_MAX);
		if (n == -EAGAIN || n == -ERESTART) {
			if (fatal_signal_pending(current))
				break;
			cond_resched();
			continue;
		}
		/* What was deleted may be free space in a moment. */
		if (n == -ENOSPC && !settled && !zuf_forgets_settle(zuf_sb_of(inode->i_sb))) {
			settled = true;
			continue;
		}
		if (n < 0)
			break;
		iocb->ki_pos += n;
		done += n;
	}
	return done ? done : n;
}

/* Durable when it returns: the fence is ours. */
static ssize_t write_in_place(struct kiocb *iocb, struct iov_iter *from)
{
	ssize_t res;

	res = dax_iomap_rw(iocb, from, &zuf_iomap_ops);
	if (unlikely(res < 0))
		res = zuf_media_error(file_inode(iocb->ki_filp), iocb->ki_pos, res);
	/* The dax core's stores bypass the cache: durable with this. */
	wmb();
	return res;
}

static bool is_in_place(struct inode *inode, loff_t pos, size_t len)
{
	return zuf_has_dax(zuf_sb_of(inode->i_sb)) && pos + len <= i_size_read(inode) &&
	       zuf_extents_writable(zuf_i(inode), pos, len);
}

ssize_t zuf_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct file *file = iocb->ki_filp;
	struct inode *inode = file_inode(file);
	ssize_t res;

	if (iocb->ki_flags & IOCB_NOWAIT) {
		if (!inode_trylock(inode))
			return -EAGAIN;
	} else {
		inode_lock(inode);
	}
	res = generic_write_checks(iocb, from);
	if (res <= 0)
		goto unlock;
	if (is_in_place(inode, iocb->ki_pos, iov_iter_count(from))) {
		res = file_remove_privs(file);
		if (!res)
			res = file_update_time(file);
		if (!res)
			res = write_in_place(iocb, from);
	} else if (iocb->ki_flags & IOCB_NOWAIT) {
		res = -EAGAIN;
	} else {
		res = file_remove_privs(file);
		if (!res)
			res = write_by_server(iocb, from);
	}
unlock:
	inode_unlock(inode);
	if (res > 0)
		zuf_stats_count(zuf_sb_of(inode->i_sb), ZUF_COUNT_BYTES_WRITTEN, res);
	return res;
}
