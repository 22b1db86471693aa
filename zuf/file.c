// SPDX-License-Identifier: GPL-2.0-only
/*
 * Regular files: reading, mapping, syncing. With a device, the dax core copies and maps; without (memfs), the server reads and
 * writes through its slots, and only private mappings are possible.
 */
#include <linux/dax.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/splice.h>
#include <linux/uio.h>
#include <linux/writeback.h>

#include "zuf.h"

/* --- reading without a device ----------------------------------------------------------------- */

/* Bytes copied, 0 at the end. */
static ssize_t plain_read_some(struct inode *inode, loff_t pos, struct iov_iter *to)
{
	struct zuf_call call;
	size_t copied = 0;
	ssize_t res;
	void *buf;

	buf = kvmalloc(ZUF_OUT_LEN, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	res = zuf_call_begin(&call, zuf_sb_of(inode->i_sb), ZUF_OP_READ, zuf_i(inode)->node);
	if (res)
		goto free_buf;
	call.in->off = pos;
	call.in->len = min_t(size_t, iov_iter_count(to), ZUF_OUT_LEN);
	res = zuf_call_send(&call);
	if (!res) {
		res = min_t(size_t, call.out.out_len, iov_iter_count(to));
		memcpy(buf, zuf_call_out(&call), res);
	}
	zuf_call_end(&call);
	if (res > 0) {
		copied = copy_to_iter(buf, res, to);
		res = copied ? copied : -EFAULT;
	}
free_buf:
	kvfree(buf);
	return res;
}

static ssize_t plain_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t done = 0, n;

	while (iov_iter_count(to)) {
		n = plain_read_some(inode, iocb->ki_pos, to);
		if (n <= 0)
			return done ? done : n;
		iocb->ki_pos += n;
		done += n;
	}
	return done;
}

static int plain_read_folio(struct file *file, struct folio *folio)
{
	struct inode *inode = folio->mapping->host;
	struct zuf_call call;
	size_t len = 0;
	void *kaddr;
	int err;

	err = zuf_call_begin(&call, zuf_sb_of(inode->i_sb), ZUF_OP_READ, zuf_i(inode)->node);
	if (!err) {
		call.in->off = folio_pos(folio);
		call.in->len = PAGE_SIZE;
		err = zuf_call_send(&call);
		len = err ? 0 : min_t(size_t, call.out.out_len, PAGE_SIZE);
		kaddr = kmap_local_folio(folio, 0);
		memcpy(kaddr, zuf_call_out(&call), len);
		memset(kaddr + len, 0, PAGE_SIZE - len);
		kunmap_local(kaddr);
		flush_dcache_folio(folio);
		zuf_call_end(&call);
	}
	if (!err)
		folio_mark_uptodate(folio);
	folio_unlock(folio);
	return err;
}

const struct address_space_operations zuf_plain_aops = {
	.read_folio = plain_read_folio,
	.dirty_folio = noop_dirty_folio,
};

/* --- reading ---------------------------------------------------------------------------------- */

/*
 * A page that is bad costs all that was asked for at once. What lies before it is read page by page. Bytes, or the error of the
 * first page.
 */
static ssize_t dax_read_failed(struct kiocb *iocb, struct iov_iter *to, ssize_t res)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	size_t left = iov_iter_count(to);
	ssize_t done = 0;

	if (res != -EIO && res != -EHWPOISON)
		return zuf_media_error(inode, iocb->ki_pos, res);
	while (left && !fatal_signal_pending(current)) {
		iov_iter_truncate(to, PAGE_SIZE - offset_in_page(iocb->ki_pos));
		res = dax_iomap_rw(iocb, to, &zuf_iomap_ops);
		if (res > 0) {
			left -= res;
			done += res;
		}
		iov_iter_reexpand(to, left);
		if (res <= 0)
			break;
		cond_resched();
	}
	if (res < 0)
		res = zuf_media_error(inode, iocb->ki_pos, res);
	return done ? done : res;
}

static ssize_t dax_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t res;

	if (iocb->ki_flags & IOCB_NOWAIT) {
		if (!inode_trylock_shared(inode))
			return -EAGAIN;
	} else {
		inode_lock_shared(inode);
	}
	res = dax_iomap_rw(iocb, to, &zuf_iomap_ops);
	if (unlikely(res < 0))
		res = dax_read_failed(iocb, to, res);
	inode_unlock_shared(inode);
	return res;
}

static ssize_t zuf_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct zuf_sb *zsb = zuf_sb_of(file_inode(iocb->ki_filp)->i_sb);
	ssize_t res;

	if (unlikely(!iov_iter_count(to)))
		return 0;
	res = likely(zuf_has_dax(zsb)) ? dax_read(iocb, to) : plain_read(iocb, to);
	file_accessed(iocb->ki_filp);
	if (res > 0)
		zuf_stats_count(zsb, ZUF_COUNT_BYTES_READ, res);
	return res;
}

/* --- mapping, syncing ------------------------------------------------------------------------- */

static int dax_writepages(struct address_space *mapping, struct writeback_control *wbc)
{
	return dax_writeback_mapping_range(mapping, zuf_sb_of(mapping->host->i_sb)->dax_dev, wbc);
}

const struct address_space_operations zuf_dax_aops = {
	.writepages = dax_writepages,
	.direct_IO = noop_direct_IO,
	.dirty_folio = noop_dirty_folio,
};

static int zuf_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (!zuf_has_dax(zuf_sb_of(file_inode(file)->i_sb)))
		return generic_file_readonly_mmap(file, vma);
	file_accessed(file);
	vma->vm_ops = &zuf_dax_vm_ops;
	zuf_vma_set(vma, VM_HUGEPAGE);
	return 0;
}

static int zuf_open(struct inode *inode, struct file *file)
{
	file->f_mode |= FMODE_CAN_ODIRECT;
	return generic_file_open(inode, file);
}

/*
 * Writes are durable when they return. What is left to do is what was stored through mappings: the dax core knows which pages,
 * and flushes them.
 */
static int zuf_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct inode *inode = file_inode(file);
	struct zuf_sb *zsb = zuf_sb_of(inode->i_sb);
	int err;

	if (mapping_empty(inode->i_mapping) && !(zsb->info.flags & ZUF_INFO_FSYNC))
		return 0;
	err = file_write_and_wait_range(file, start, end);
	/* Orders the write-back of mappings before our return. */
	wmb();
	if (!err && (zsb->info.flags & ZUF_INFO_FSYNC))
		err = zuf_call_simple(zsb, ZUF_OP_FSYNC, zuf_i(inode)->node, NULL);
	return err;
}

static loff_t seek_data(struct file *file, loff_t off, int whence)
{
	struct inode *inode = file_inode(file);
	struct zuf_call call;
	loff_t res;

	if (off < 0)
		return -ENXIO;
	inode_lock_shared(inode);
	res = zuf_call_begin(&call, zuf_sb_of(inode->i_sb), ZUF_OP_SEEK, zuf_i(inode)->node);
	if (!res) {
		call.in->off = off;
		call.in->flags = whence;
		res = zuf_call_send(&call);
		if (!res)
			res = call.out.value <= LLONG_MAX ? (loff_t)call.out.value : -EIO;
		zuf_call_end(&call);
	}
	inode_unlock_shared(inode);
	return res < 0 ? res : vfs_setpos(file, res, inode->i_sb->s_maxbytes);
}

static loff_t zuf_llseek(struct file *file, loff_t off, int whence)
{
	if (whence == SEEK_DATA || whence == SEEK_HOLE)
		return seek_data(file, off, whence);
	return generic_file_llseek(file, off, whence);
}

static int zuf_fiemap(struct inode *inode, struct fiemap_extent_info *info, u64 start, u64 len)
{
	int err;

	if (!zuf_has_dax(zuf_sb_of(inode->i_sb)))
		return -EOPNOTSUPP;
	inode_lock_shared(inode);
	err = iomap_fiemap(inode, info, start, len, &zuf_report_ops);
	inode_unlock_shared(inode);
	return err;
}

const struct file_operations zuf_file_fops = {
	.llseek = zuf_llseek,
	.read_iter = zuf_read_iter,
	.write_iter = zuf_write_iter,
	.mmap = zuf_mmap,
	ZUF_FOP_MMAP_SYNC.open = zuf_open,
	.fsync = zuf_fsync,
	.get_unmapped_area = thp_get_unmapped_area,
	.splice_read = zuf_splice_read,
	.splice_write = iter_file_splice_write,
	.setlease = generic_setlease,
	.fallocate = zuf_fallocate,
	.copy_file_range = zuf_copy_file_range,
};

const struct inode_operations zuf_file_iops = {
	.getattr = zuf_getattr,
	.setattr = zuf_setattr,
	.listxattr = zuf_listxattr,
	.update_time = zuf_update_time,
	.zuf_get_inode_acl = zuf_get_acl,
	.set_acl = zuf_set_acl,
	.fileattr_get = zuf_fileattr_get,
	.fileattr_set = zuf_fileattr_set,
	.fiemap = zuf_fiemap,
};
