// SPDX-License-Identifier: GPL-2.0-only
/*
 * iomap: where the dax core asks, the extents answer, and the server where they lack. Page faults.
 *
 * Faults hold invalidate_lock shared, so that no blocks are freed under them. A write fault on a hole has the server make a
 * zeroed block, under alloc_lock, which keeps writes out that would allocate the same block with contents.
 */
#include <linux/dax.h>
#include <linux/iomap.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "zuf.h"

#define MAP_ASK_BYTES (64ULL << 20) /* asked for at once: what is told costs nothing */

static int map_ask(struct inode *inode, enum zuf_op op, u64 off, u64 len)
{
	struct zuf_inode *zi = zuf_i(inode);
	struct zuf_call call;
	u32 seq;
	int err;

	err = zuf_call_begin(&call, zuf_sb_of(inode->i_sb), op, zi->node);
	if (err)
		return err;
	seq = zuf_extents_seq(zi);
	call.in->off = off;
	call.in->len = len;
	err = zuf_call_send(&call);
	/* Replies to others that are on their way still call this a hole; a lost one may have made its blocks. */
	if (op == ZUF_OP_FILL && (!err || err == -ENOTCONN))
		zuf_extents_drop(zi, off, off + len);
	if (!err && op == ZUF_OP_FILL && call.out.has_attr)
		inode->i_blocks = call.out.attr.blocks;
	if (!err)
		err = zuf_extents_keep(zi, &call, off, U64_MAX, op == ZUF_OP_FILL ? NULL : &seq);
	if (!err && !call.out.n_ext)
		err = -ENODATA;
	zuf_call_end(&call);
	return err;
}

/* Tries that a file may change under: replies that are not kept since the map changed. */
#define MAP_TRIES 3

/* Asks the server. -EAGAIN: the map has changed meanwhile. */
static int map_get_miss(struct inode *inode, u64 off, u64 len, struct zuf_map *out)
{
	int err;

	if (unlikely(READ_ONCE(zuf_i(inode)->dead)))
		return -ESTALE;
	zuf_stats_count(zuf_sb_of(inode->i_sb), ZUF_COUNT_MAP_MISS, 1);
	err = map_ask(inode, ZUF_OP_MAP, round_down(off, PAGE_SIZE), max_t(u64, len, MAP_ASK_BYTES));
	/* A page that the server knows as bad is an error of all that was asked for. */
	if (unlikely(err == -EIO))
		err = map_ask(inode, ZUF_OP_MAP, round_down(off, PAGE_SIZE), PAGE_SIZE);
	if (err && err != -ENODATA)
		return err;
	if (zuf_extents_find(zuf_i(inode), off, out))
		return 0;
	if (!err)
		return -EAGAIN;
	/* Behind the end of the file. */
	out->off = off;
	out->len = max_t(u64, round_up(off + len, PAGE_SIZE) - off, PAGE_SIZE);
	out->dev_off = 0;
	out->flags = ZUF_EXT_HOLE;
	return 0;
}

int zuf_map_get_locked(struct inode *inode, u64 off, u64 len, struct zuf_map *out)
{
	int err, i;

	if (zuf_extents_find(zuf_i(inode), off, out))
		return 0;
	/* Nobody else changes it; but there may have been too many extents to keep. */
	for (i = 0; i < 2; i++) {
		err = map_get_miss(inode, off, len, out);
		if (err != -EAGAIN)
			return err;
	}
	return -EIO;
}

int zuf_map_get(struct inode *inode, u64 off, u64 len, struct zuf_map *out)
{
	struct zuf_inode *zi = zuf_i(inode);
	int err, i;

	if (likely(zuf_extents_find(zi, off, out))) {
		zuf_stats_count(zuf_sb_of(inode->i_sb), ZUF_COUNT_MAP_HIT, 1);
		return 0;
	}
	for (i = 0; i < MAP_TRIES; i++) {
		err = map_get_miss(inode, off, len, out);
		if (err != -EAGAIN)
			return err;
	}
	mutex_lock(&zi->alloc_lock);
	err = zuf_map_get_locked(inode, off, len, out);
	mutex_unlock(&zi->alloc_lock);
	return err;
}

static void iomap_fill(struct zuf_sb *zsb, const struct zuf_map *map, unsigned int flags, struct iomap *iomap)
{
	u64 in_page = map->off & (PAGE_SIZE - 1);

	iomap->offset = map->off - in_page;
	iomap->length = map->len + in_page;
	iomap->flags = 0;
	iomap->bdev = zsb->sb->s_bdev;
	iomap->dax_dev = zsb->dax_dev;
	if (map->flags & ZUF_EXT_HOLE) {
		iomap->type = IOMAP_HOLE;
		iomap->addr = IOMAP_NULL_ADDR;
		return;
	}
	iomap->type = IOMAP_MAPPED;
	iomap->addr = map->dev_off - in_page;
	if (flags & IOMAP_DAX)
		iomap->addr += zsb->dax_off;
}

/* A write fault on a hole. */
static int fill_hole_once(struct inode *inode, u64 off, u64 len, struct zuf_map *map)
{
	struct zuf_inode *zi = zuf_i(inode);
	int err = 0;

	mutex_lock(&zi->alloc_lock);
	if (!zuf_extents_find(zi, off, map) || (map->flags & ZUF_EXT_HOLE)) {
		err = map_ask(inode, ZUF_OP_FILL, off, len);
		if (!err && (!zuf_extents_find(zi, off, map) || (map->flags & ZUF_EXT_HOLE)))
			err = -EIO;
	}
	mutex_unlock(&zi->alloc_lock);
	return err;
}

/* What was deleted may be free space in a moment. */
static int fill_hole(struct inode *inode, u64 off, u64 len, struct zuf_map *map)
{
	int err = fill_hole_once(inode, off, len, map);

	if (unlikely(err == -ENOSPC) && !zuf_forgets_settle(zuf_sb_of(inode->i_sb)))
		err = fill_hole_once(inode, off, len, map);
	return err;
}

static int iomap_begin(struct inode *inode, loff_t off, loff_t len, unsigned int flags, struct iomap *iomap, struct iomap *srcmap)
{
	struct zuf_map map;
	int err;

	/* A read goes on to the end of its buffer; there is nothing to ask for behind the end of the file. */
	if (unlikely(off >= i_size_read(inode) && !(flags & (IOMAP_WRITE | IOMAP_FAULT)))) {
		map = (struct zuf_map){ .off = off, .len = len, .flags = ZUF_EXT_HOLE };
		iomap_fill(zuf_sb_of(inode->i_sb), &map, flags, iomap);
		return 0;
	}
	err = zuf_map_get(inode, off, len, &map);
	if (err)
		return err;
	if (unlikely((flags & IOMAP_WRITE) && map.flags)) {
		/* write() comes here only for what can be written in place. */
		if (!(flags & IOMAP_FAULT) || (map.flags & ZUF_EXT_SHARED))
			return -EIO;
		err = fill_hole(inode, round_down(off, PAGE_SIZE), round_up(len, PAGE_SIZE), &map);
		if (err)
			return err;
	}
	iomap_fill(zuf_sb_of(inode->i_sb), &map, flags, iomap);
	return 0;
}

static int iomap_end(struct inode *inode, loff_t off, loff_t len, ssize_t written, unsigned int flags, struct iomap *iomap)
{
	return 0;
}

const struct iomap_ops zuf_iomap_ops = {
	.iomap_begin = iomap_begin,
	.iomap_end = iomap_end,
};

/* FIEMAP: offsets on the block device, not on its memory. */
static int report_begin(struct inode *inode, loff_t off, loff_t len, unsigned int flags, struct iomap *iomap,
			struct iomap *srcmap)
{
	struct zuf_map map;
	int err;

	/* A server may tell one page at a time of a file that it calls large. */
	if (fatal_signal_pending(current))
		return -EINTR;
	if (off >= i_size_read(inode)) {
		map = (struct zuf_map){ .off = off, .len = len, .flags = ZUF_EXT_HOLE };
	} else {
		err = zuf_map_get(inode, off, min_t(u64, len, i_size_read(inode) - off), &map);
		if (err)
			return err;
		map.len = min_t(u64, map.len, len);
	}
	iomap_fill(zuf_sb_of(inode->i_sb), &map, 0, iomap);
	if (map.flags & ZUF_EXT_UNWRITTEN) {
		iomap->type = IOMAP_UNWRITTEN;
		iomap->addr = map.dev_off - (map.off & (PAGE_SIZE - 1));
	}
	return 0;
}

const struct iomap_ops zuf_report_ops = {
	.iomap_begin = report_begin,
};

/* The kernel's address of device memory, and how many bytes lie together there, at least one page's. NULL: it is bad. */
void *zuf_dax_kaddr(struct zuf_sb *zsb, u64 dev_off, size_t *len)
{
	u64 at = zsb->dax_off + dev_off;
	void *kaddr;
	long n;

	n = dax_direct_access(zsb->dax_dev, PHYS_PFN(at), PFN_UP((at & (PAGE_SIZE - 1)) + *len), DAX_ACCESS, &kaddr, NULL);
	/* Some of it is bad: not the first page, perhaps. */
	if (unlikely(n <= 0))
		n = dax_direct_access(zsb->dax_dev, PHYS_PFN(at), 1, DAX_ACCESS, &kaddr, NULL);
	if (n <= 0)
		return NULL;
	*len = ((size_t)n << PAGE_SHIFT) - (at & (PAGE_SIZE - 1));
	return kaddr + (at & (PAGE_SIZE - 1));
}

/* --- faults ----------------------------------------------------------------------------------- */

static vm_fault_t dax_fault_any(struct vm_fault *vmf, ZUF_HUGE_FAULT_ARG order)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	bool write = (vmf->flags & FAULT_FLAG_WRITE) && (vmf->vma->vm_flags & VM_SHARED);
	bool huge = order != ZUF_FAULT_PTE;
	pgoff_t last = huge ? vmf->pgoff | (PTRS_PER_PMD - 1) : vmf->pgoff;
	struct zuf_sb *zsb = zuf_sb_of(inode->i_sb);
	vm_fault_t ret = 0;
	zuf_pfn_t pfn;
	int err = 0;

	if (write) {
		sb_start_pagefault(inode->i_sb);
		err = file_update_time(vmf->vma->vm_file);
	}
	filemap_invalidate_lock_shared(inode->i_mapping);
	if (unlikely(err))
		ret = vmf_error(err);
	else if (unlikely((loff_t)(last + 1) << PAGE_SHIFT > i_size_read(inode)))
		ret = zuf_tail_fault(vmf, last, huge);
	if (likely(!ret))
		ret = dax_iomap_fault(vmf, order, &pfn, NULL, &zuf_iomap_ops);
	filemap_invalidate_unlock_shared(inode->i_mapping);
	if (write)
		sb_end_pagefault(inode->i_sb);
	zuf_stats_count(zsb, huge ? ZUF_COUNT_HUGE_FAULTS : ZUF_COUNT_FAULTS, 1);
	return ret;
}

static vm_fault_t dax_fault(struct vm_fault *vmf)
{
	return dax_fault_any(vmf, ZUF_FAULT_PTE);
}

static vm_fault_t dax_huge_fault(struct vm_fault *vmf, ZUF_HUGE_FAULT_ARG order)
{
	return dax_fault_any(vmf, order);
}

const struct vm_operations_struct zuf_dax_vm_ops = {
	.fault = dax_fault,
	.huge_fault = dax_huge_fault,
	.page_mkwrite = dax_fault,
	.pfn_mkwrite = dax_fault,
};
