// SPDX-License-Identifier: GPL-2.0-only
/*
 * The server's window on a mount's device: mmap() of "device", with 2 MiB pages where the memory allows.
 *
 * Each open file has an address_space of its own, so that an unmount can take back the pages of one mount: after that, touching
 * the window raises SIGBUS in the server, and nothing else.
 */
#include <linux/capability.h>
#include <linux/dax.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "zuf.h"

struct zuf_devmap {
	struct list_head link; /* zuf_sb.devmaps */
	struct rw_semaphore lock; /* zsb: faults read, the unmount writes */
	struct zuf_sb *zsb; /* NULL: none, or unmounted */
	struct address_space mapping;
};

static int device_open(struct inode *inode, struct file *file)
{
	struct zuf_devmap *dm = kzalloc(sizeof(*dm), GFP_KERNEL);

	if (!dm)
		return -ENOMEM;
	INIT_LIST_HEAD(&dm->link);
	init_rwsem(&dm->lock);
	address_space_init_once(&dm->mapping);
	dm->mapping.host = inode;
	dm->mapping.a_ops = inode->i_mapping->a_ops;
	if (ZUF_WINDOW_SAYS_DAX) {
		inode_lock(inode);
		inode->i_flags |= S_DAX;
		inode_unlock(inode);
	}
	file->private_data = dm;
	file->f_mapping = &dm->mapping;
	return 0;
}

static int device_release(struct inode *inode, struct file *file)
{
	struct zuf_devmap *dm = file->private_data;

	mutex_lock(&zuf_server_lock);
	list_del_init(&dm->link);
	mutex_unlock(&zuf_server_lock);
	file->f_mapping = inode->i_mapping;
	kfree(dm);
	return 0;
}

static long device_ioctl(struct file *file, unsigned int cmd, unsigned long uarg)
{
	struct zuf_devmap *dm = file->private_data;
	struct zuf_device_arg arg;
	struct zuf_sb *zsb;
	long err = 0;

	if (cmd != ZUF_IOC_DEVICE)
		return -ENOTTY;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (copy_from_user(&arg, (void __user *)uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.pad)
		return -EINVAL;
	mutex_lock(&zuf_server_lock);
	zsb = zuf_mount_find(arg.mount);
	if (!zsb || zsb->dead || !zuf_has_dax(zsb)) {
		err = -ENOENT;
	} else if (dm->zsb || !list_empty(&dm->link)) {
		err = -EBUSY;
	} else {
		arg.size = zsb->dev_size;
		down_write(&dm->lock);
		dm->zsb = zsb;
		up_write(&dm->lock);
		list_add(&dm->link, &zsb->devmaps);
	}
	mutex_unlock(&zuf_server_lock);
	if (!err && copy_to_user((void __user *)uarg, &arg, sizeof(arg)))
		err = -EFAULT;
	return err;
}

/* The memory at byte off of the device. Bytes that follow, at least a page, or a negative errno: some of len bytes are bad. */
static long device_access(struct zuf_sb *zsb, u64 off, size_t len, unsigned long *pfn)
{
	long n_pages;
	zuf_pfn_t p;
	int id;

	id = dax_read_lock();
	n_pages = dax_direct_access(zsb->dax_dev, PHYS_PFN(zsb->dax_off + off), PHYS_PFN(len), DAX_ACCESS, NULL, &p);
	dax_read_unlock(id);
	if (n_pages <= 0)
		return n_pages ? n_pages : -EIO;
	*pfn = zuf_pfn(p);
	return n_pages << PAGE_SHIFT;
}

static vm_fault_t device_insert(struct vm_fault *vmf, struct zuf_sb *zsb, bool huge)
{
	u64 off = (u64)vmf->pgoff << PAGE_SHIFT;
	unsigned long addr = vmf->address & PAGE_MASK, pfn;
	long len;

	if (huge) {
		addr = vmf->address & PMD_MASK;
		if (addr < vmf->vma->vm_start || addr + PMD_SIZE > vmf->vma->vm_end)
			return VM_FAULT_FALLBACK;
		off = ((u64)vmf->vma->vm_pgoff << PAGE_SHIFT) + addr - vmf->vma->vm_start;
	}
	if (off >= zsb->dev_size)
		return VM_FAULT_SIGBUS;
	len = device_access(zsb, off, huge ? PMD_SIZE : PAGE_SIZE, &pfn);
	if (len < 0)
		return huge ? VM_FAULT_FALLBACK : VM_FAULT_SIGBUS;
	if (!huge)
		return vmf_insert_pfn(vmf->vma, addr, pfn);
	if (len < PMD_SIZE || off + PMD_SIZE > zsb->dev_size || (pfn & (PHYS_PFN(PMD_SIZE) - 1)))
		return VM_FAULT_FALLBACK;
	return zuf_insert_pmd(vmf, pfn);
}

static vm_fault_t device_fault_any(struct vm_fault *vmf, bool huge)
{
	struct zuf_devmap *dm = vmf->vma->vm_file->private_data;
	vm_fault_t ret = VM_FAULT_SIGBUS;

	down_read(&dm->lock);
	if (dm->zsb)
		ret = device_insert(vmf, dm->zsb, huge);
	up_read(&dm->lock);
	return ret;
}

static vm_fault_t device_fault(struct vm_fault *vmf)
{
	return device_fault_any(vmf, false);
}

static vm_fault_t device_huge_fault(struct vm_fault *vmf, ZUF_HUGE_FAULT_ARG order)
{
	return order == ZUF_FAULT_PMD ? device_fault_any(vmf, true) : VM_FAULT_FALLBACK;
}

static const struct vm_operations_struct device_vm_ops = {
	.fault = device_fault,
	.huge_fault = device_huge_fault,
};

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct zuf_devmap *dm = file->private_data;

	if (!dm->zsb)
		return -EINVAL;
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	zuf_vma_set(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP | VM_DONTCOPY | VM_HUGEPAGE);
	vma->vm_ops = &device_vm_ops;
	return 0;
}

const struct file_operations zuf_device_fops = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = device_mmap,
	.llseek = noop_llseek,
};

void zuf_devmaps_kill(struct zuf_sb *zsb)
{
	struct zuf_devmap *dm, *next;

	mutex_lock(&zuf_server_lock);
	list_for_each_entry_safe(dm, next, &zsb->devmaps, link) {
		down_write(&dm->lock);
		dm->zsb = NULL;
		up_write(&dm->lock);
		unmap_mapping_range(&dm->mapping, 0, 0, 1);
		list_del_init(&dm->link);
	}
	mutex_unlock(&zuf_server_lock);
}

void zuf_devmaps_unmap(struct zuf_sb *zsb, u64 off, u64 len)
{
	struct zuf_devmap *dm;

	list_for_each_entry(dm, &zsb->devmaps, link) {
		/* Faults that did not know yet end first. */
		down_write(&dm->lock);
		up_write(&dm->lock);
		unmap_mapping_range(&dm->mapping, off, len, 1);
	}
}
