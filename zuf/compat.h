/* SPDX-License-Identifier: GPL-2.0-only */
/* What differs between Linux 6.1 and the newest, in one place. The rest of the module is written for the newest names. */
#ifndef ZUF_COMPAT_H
#define ZUF_COMPAT_H

#include <linux/dax.h>
#include <linux/fs.h>
#include <linux/huge_mm.h>
#include <linux/mm.h>
#include <linux/version.h>

#define ZUF_BEFORE(a, b) (LINUX_VERSION_CODE < KERNEL_VERSION(a, b, 0))

#if ZUF_BEFORE(6, 3)
/* Mounts were mapped by user namespaces alone. */
#define mnt_idmap user_namespace
#define zuf_nop_idmap (&init_user_ns)
#define zuf_setattr_prepare(idmap, dentry, attr) setattr_prepare(idmap, dentry, attr)
static inline void zuf_fillattr(struct user_namespace *ns, u32 mask, struct inode *inode, struct kstat *stat)
{
	generic_fillattr(ns, inode, stat);
}
#else
/* generic_setlease() stood in fs.h before. */
#include <linux/filelock.h>
#define zuf_nop_idmap (&nop_mnt_idmap)
#define zuf_setattr_prepare(idmap, dentry, attr) setattr_prepare(idmap, dentry, attr)
static inline void zuf_fillattr(struct mnt_idmap *idmap, u32 mask, struct inode *inode, struct kstat *stat)
{
	generic_fillattr(idmap, mask, inode, stat);
}
#endif

#if ZUF_BEFORE(6, 2)
#define zuf_get_inode_acl get_acl
#else
#define zuf_get_inode_acl get_inode_acl
#endif

/* Under d_lock. */
static inline int zuf_d_count(const struct dentry *dentry)
{
	return dentry->d_lockref.count;
}

#ifndef ZUF_HAS_INODE_CTIME
static inline struct timespec64 inode_get_ctime(const struct inode *inode)
{
	return inode->i_ctime;
}

static inline struct timespec64 inode_set_ctime_to_ts(struct inode *inode, struct timespec64 ts)
{
	inode->i_ctime = ts;
	return ts;
}
#endif

#if ZUF_BEFORE(6, 7)
static inline struct timespec64 inode_get_atime(const struct inode *inode)
{
	return inode->i_atime;
}

static inline struct timespec64 inode_get_mtime(const struct inode *inode)
{
	return inode->i_mtime;
}

static inline void inode_set_atime_to_ts(struct inode *inode, struct timespec64 ts)
{
	inode->i_atime = ts;
}

static inline void inode_set_mtime_to_ts(struct inode *inode, struct timespec64 ts)
{
	inode->i_mtime = ts;
}
#endif

/* Page faults: the size of what is wanted. */
#if ZUF_BEFORE(6, 6)
#define ZUF_HUGE_FAULT_ARG enum page_entry_size
#define ZUF_FAULT_PTE PE_SIZE_PTE
#define ZUF_FAULT_PMD PE_SIZE_PMD
#else
#define ZUF_HUGE_FAULT_ARG unsigned int
#define ZUF_FAULT_PTE 0
#define ZUF_FAULT_PMD PMD_ORDER
#endif

#if ZUF_BEFORE(6, 17)
#include <linux/pfn_t.h>
#define zuf_pfn_t pfn_t
static inline unsigned long zuf_pfn(pfn_t pfn)
{
	return pfn_t_to_pfn(pfn);
}

static inline vm_fault_t zuf_insert_pmd(struct vm_fault *vmf, unsigned long pfn)
{
	return vmf_insert_pfn_pmd(vmf, __pfn_to_pfn_t(pfn, PFN_DEV), true);
}
#else
#define zuf_pfn_t unsigned long
static inline unsigned long zuf_pfn(unsigned long pfn)
{
	return pfn;
}

static inline vm_fault_t zuf_insert_pmd(struct vm_fault *vmf, unsigned long pfn)
{
	return vmf_insert_pfn_pmd(vmf, pfn, true);
}
#endif

static inline void zuf_vma_set(struct vm_area_struct *vma, unsigned long flags)
{
#if ZUF_BEFORE(6, 3)
	vma->vm_flags |= flags;
#else
	vm_flags_set(vma, flags);
#endif
}

#if ZUF_BEFORE(6, 5)
#define zuf_splice_read generic_file_splice_read
#else
#define zuf_splice_read copy_splice_read
#endif

#if ZUF_BEFORE(6, 8)
#define zuf_generic_copy generic_copy_file_range
#else
#define zuf_generic_copy splice_copy_file_range_any
#include <linux/splice.h>
static inline ssize_t splice_copy_file_range_any(struct file *in, loff_t in_off, struct file *out, loff_t out_off, size_t len,
						 unsigned int flags)
{
	return splice_copy_file_range(in, in_off, out, out_off, len);
}
#endif

#if ZUF_BEFORE(6, 12)
#define ZUF_FOP_MMAP_SYNC .mmap_supported_flags = MAP_SYNC,
#else
#define ZUF_FOP_MMAP_SYNC .fop_flags = FOP_MMAP_SYNC,
#endif

/* Dentries of simple file systems are no longer pinned in a way of their own. */
#if ZUF_BEFORE(7, 0)
#define zuf_kill_litter_super kill_litter_super
#else
#define zuf_kill_litter_super kill_anon_super
#endif

/*
 * From 6.15 on a page of a device's memory that nobody uses has no references, not one; entries of the dax core are not taken away
 * with pages of the page cache; and some waiting of the dax core's is exported.
 */
#define ZUF_DAX_BREAKS_LAYOUT (!ZUF_BEFORE(6, 15))
#if ZUF_BEFORE(6, 15)
#include <linux/pagemap.h>
#define zuf_page_wait_var(page) (&(page)->_refcount)
static inline bool dax_page_is_idle(struct page *page)
{
	return page_ref_count(page) == 1;
}

static inline void dax_delete_mapping_range(struct address_space *mapping, loff_t start, loff_t end)
{
	truncate_inode_pages_range(mapping, start, end == LLONG_MAX ? -1 : end);
}
#else
#define zuf_page_wait_var(page) (page)
#endif

/*
 * Until 6.6 a mapping has huge pages only if its inode says S_DAX. From 6.15 on the kernel counts references to what is mapped of
 * such an inode, which pages of a PFN mapping do not have: a huge one that is cut would lose one that nobody took.
 */
#define ZUF_WINDOW_SAYS_DAX ZUF_BEFORE(6, 15)

/* How fs/dax.c notes in a mapping which page stands where: the same from 6.1 on. */
#define ZUF_DAX_PMD 2UL
#define ZUF_DAX_NO_PAGE (4UL | 8UL)
#define ZUF_DAX_SHIFT 4

/* References but those of page tables; before 6.15 those took none, and a page that nobody had counted 1. */
#if ZUF_BEFORE(6, 15)
static inline bool zuf_dax_is_busy(struct page *page, unsigned int n)
{
	for (; n; n--, page++)
		if (page_ref_count(page) > 1)
			return true;
	return false;
}
#else
static inline bool zuf_dax_is_busy(struct page *page, unsigned int n)
{
	struct folio *folio = page_folio(page);

	return folio_ref_count(folio) > folio_mapcount(folio);
}
#endif

/*
 * Where in [first, last] of a mapping there is a page that a pipe has, or I/O; NULL: nowhere. dax_layout_busy_page_range() unmaps
 * as well, and before 6.15 finds none in a file that is mapped no longer. May sleep.
 */
static inline struct page *zuf_dax_busy_page(struct address_space *mapping, pgoff_t first, pgoff_t last)
{
	XA_STATE(xas, &mapping->i_pages, first);
	unsigned int looked = 0;
	struct page *page = NULL;
	void *entry;

	rcu_read_lock();
	xas_for_each(&xas, entry, last) {
		unsigned long bits;

		if (xas_retry(&xas, entry) || !xa_is_value(entry))
			continue;
		bits = xa_to_value(entry);
		if (bits & ZUF_DAX_NO_PAGE)
			continue;
		page = pfn_to_page(bits >> ZUF_DAX_SHIFT);
		if (zuf_dax_is_busy(page, bits & ZUF_DAX_PMD ? PMD_SIZE >> PAGE_SHIFT : 1))
			break;
		page = NULL;
		if (++looked % 1024)
			continue;
		xas_pause(&xas);
		rcu_read_unlock();
		cond_resched();
		rcu_read_lock();
	}
	rcu_read_unlock();
	return page;
}

#if ZUF_BEFORE(6, 18)
#define zuf_generic_drop generic_drop_inode
#else
#define zuf_generic_drop inode_generic_drop
#endif

/* The state of inodes got accessors. */
#if ZUF_BEFORE(6, 19)
static inline bool zuf_inode_is_new(struct inode *inode)
{
	return inode->i_state & I_NEW;
}
#else
static inline bool zuf_inode_is_new(struct inode *inode)
{
	return inode_state_read_once(inode) & I_NEW;
}
#endif

#if ZUF_BEFORE(6, 17)
#include <linux/fileattr.h>
#define zuf_fileattr fileattr
#else
#include <linux/fileattr.h>
#define zuf_fileattr file_kattr
#endif

#endif
