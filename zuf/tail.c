// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tail: what lies behind the end of a file in its last page. On the device it may be anything (what a truncation left, what
 * a write that failed had stored); a mapping shows zeros. So the first fault that reaches the end zeroes it, which changes
 * nothing of the file, and whoever moves the end says that it is to be done again (zuf_inode.tail_clean).
 *
 * A mount that is read-only stores nothing to the device. There a mapping gets a copy of the page, with zeros; when the mount
 * becomes writable the copies are unmapped, and the next fault finds the page itself.
 *
 * Races: who makes a file shorter, or takes blocks away, has invalidate_lock alone, so that no fault runs. Who makes it longer has
 * alloc_lock from its first store to the new size; under it the tail is zeroed. A fault whose pages were inside of the file needs
 * none of this, however long the file becomes meanwhile.
 */
#include <linux/dax.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/uaccess.h>

#include "zuf.h"

void zuf_tail_moved(struct zuf_inode *zi)
{
	WRITE_ONCE(zi->tail_clean, false);
	/* Before the new size can be seen: see tail_is_clean(). */
	smp_wmb();
}

/* Whoever sees a size, and then the flag: up to that size, and from there to the end of its page, all is as it shall be. */
static bool tail_is_clean(struct inode *inode, loff_t *size)
{
	*size = i_size_read(inode);
	/* The flag of this size or of a later one: see zuf_tail_moved(). */
	smp_rmb();
	/* What is mapped then has the zeros: see tail_zero(). */
	return smp_load_acquire(&zuf_i(inode)->tail_clean);
}

/* Memory that cannot be had is left to the dax core, which says so. */
static void tail_zero(struct inode *inode, const struct zuf_map *map, size_t len)
{
	struct zuf_sb *zsb = zuf_sb_of(inode->i_sb);
	size_t n = len;
	void *at;
	int id;

	id = dax_read_lock();
	at = zuf_dax_kaddr(zsb, map->dev_off, &n);
	if (at && n >= len) {
		memset(at, 0, len);
		dax_flush(zsb->dax_dev, at, len);
		/* Durable from here: the plug-in takes zeros that it finds there for durable ones. */
		wmb();
		/* Behind the zeros, for faults that take no lock: see tail_is_clean(). */
		smp_store_release(&zuf_i(inode)->tail_clean, true);
	}
	dax_read_unlock(id);
}

/* The page that map->off lies in, as it shall be seen; NULL: as it is. */
static struct page *tail_copy(struct inode *inode, const struct zuf_map *map, size_t len)
{
	size_t in_page = PAGE_SIZE - len, n = PAGE_SIZE;
	struct zuf_inode *zi = zuf_i(inode);
	bool clean = false, bad = true;
	struct page *page;
	void *at;
	int id;

	page = alloc_page(GFP_KERNEL);
	if (!page)
		return ERR_PTR(-ENOMEM);
	id = dax_read_lock();
	at = zuf_dax_kaddr(zuf_sb_of(inode->i_sb), map->dev_off - in_page, &n);
	if (at && n >= PAGE_SIZE)
		bad = copy_mc_to_kernel(page_address(page), at, PAGE_SIZE);
	dax_read_unlock(id);
	if (!bad)
		clean = !memchr_inv(page_address(page) + in_page, 0, len);
	if (clean)
		WRITE_ONCE(zi->tail_clean, true);
	if (clean || bad) {
		__free_page(page);
		return NULL;
	}
	memset(page_address(page) + in_page, 0, len);
	zi->tail_copied = true;
	return page;
}

/* The fault's last page is that of the end. Under alloc_lock. */
static vm_fault_t tail_prepare(struct vm_fault *vmf, struct inode *inode, loff_t size, bool huge)
{
	size_t len = PAGE_SIZE - offset_in_page(size);
	struct page *page;
	struct zuf_map map;
	int err;

	err = zuf_map_get_locked(inode, size, len, &map);
	if (err)
		return vmf_error(err);
	/* A hole reads as zeros, and becomes a block of zeros. What is shared with another file is not ours to change. */
	if (map.flags) {
		if (map.flags & ZUF_EXT_HOLE)
			WRITE_ONCE(zuf_i(inode)->tail_clean, true);
		return 0;
	}
	if (!READ_ONCE(zuf_sb_of(inode->i_sb)->rdonly)) {
		tail_zero(inode, &map, len);
		return 0;
	}
	page = tail_copy(inode, &map, len);
	if (IS_ERR(page))
		return vmf_error(PTR_ERR(page));
	if (!page)
		return 0;
	if (huge) {
		__free_page(page);
		return VM_FAULT_FALLBACK;
	}
	lock_page(page);
	vmf->page = page;
	return VM_FAULT_LOCKED;
}

/* 0: the dax core may go on. invalidate_lock is held. last: the last page that the fault wants. */
vm_fault_t zuf_tail_fault(struct vm_fault *vmf, pgoff_t last, bool huge)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct zuf_inode *zi = zuf_i(inode);
	vm_fault_t ret = 0;
	loff_t size;
	bool clean;

	clean = tail_is_clean(inode, &size);
	/* Not left to the dax core: the file may be longer when that looks. */
	if (last >= DIV_ROUND_UP(size, PAGE_SIZE))
		return huge ? VM_FAULT_FALLBACK : VM_FAULT_SIGBUS;
	if (clean)
		return 0;
	mutex_lock(&zi->alloc_lock);
	clean = tail_is_clean(inode, &size);
	if (!clean && offset_in_page(size) && size >> PAGE_SHIFT == last)
		ret = tail_prepare(vmf, inode, size, huge);
	mutex_unlock(&zi->alloc_lock);
	return ret;
}

static void tail_uncopy(struct inode *inode)
{
	struct zuf_inode *zi = zuf_i(inode);

	filemap_invalidate_lock(inode->i_mapping);
	if (zi->tail_copied)
		unmap_mapping_range(inode->i_mapping, round_down(i_size_read(inode), PAGE_SIZE), 0, 0);
	zi->tail_copied = false;
	filemap_invalidate_unlock(inode->i_mapping);
}

void zuf_tails_uncopy(struct super_block *sb)
{
	struct inode *inode, *last = NULL;

	spin_lock(&sb->s_inode_list_lock);
	list_for_each_entry(inode, &sb->s_inodes, i_sb_list) {
		if (!READ_ONCE(zuf_i(inode)->tail_copied) || !igrab(inode))
			continue;
		spin_unlock(&sb->s_inode_list_lock);
		iput(last);
		last = inode;
		tail_uncopy(inode);
		cond_resched();
		spin_lock(&sb->s_inode_list_lock);
	}
	spin_unlock(&sb->s_inode_list_lock);
	iput(last);
}
