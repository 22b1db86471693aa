// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of a device that fails. The kernel's memory-failure handling tells whoever holds the device; we hold it while a file
 * system of ours is mounted. Then
 *  1. the device's list of bad blocks is told, so that the dax core gives nobody that memory any more: reads and writes in place
 *     get EIO, page faults a SIGBUS, for that page alone, until the driver has made it good (by writing all of it);
 *  2. it is taken from the server's window: touching it there is a SIGBUS at its address, which the server survives;
 *  3. the file that has it mapped, if one has, is unmapped: who touches that page gets the signal.
 *
 * This may run in a thread of the server that has just met the memory, with a request in its hands: nothing here waits for a
 * server, or for a lock under which others do (invalidate_lock). A fault that has just got the memory may map it once more behind
 * our back; who touches it there is told by the hardware, and it all begins again.
 */
#include <linux/badblocks.h>
#include <linux/blkdev.h>
#include <linux/dax.h>
#include <linux/mm.h>

#include "zuf.h"

/* Holds a device, for all mounts on it: who is concerned is found by the device. */
static char media_holder;

/* More at once than any page has: the device is being taken away. */
#define MEDIA_FAILED_MAX (1ULL << 30)

/* The inode of ours that has the page mapped. NULL: none. */
static struct inode *page_owner(struct page *page, struct super_block *sb)
{
	struct address_space *mapping;
	struct inode *inode = NULL;

	rcu_read_lock();
	mapping = READ_ONCE(page_folio(page)->mapping);
	/* Bits of flags: nothing of ours. An inode is freed behind a grace period. */
	if (mapping && !((unsigned long)mapping & 3) && mapping->host && mapping->host->i_sb == sb)
		inode = igrab(mapping->host);
	rcu_read_unlock();
	return inode;
}

/* Marks the page at byte at of the dax device, which takes it back when it makes it good. NULL: it has gone. */
static struct page *page_mark(struct dax_device *dax_dev, u64 at)
{
	struct page *page = NULL;
	zuf_pfn_t pfn;
	int id;

	id = dax_read_lock();
	/* Also where it is known as bad already. */
	if (dax_direct_access(dax_dev, PHYS_PFN(at), 1, DAX_RECOVERY_WRITE, NULL, &pfn) > 0) {
		page = pfn_to_page(zuf_pfn(pfn));
		SetPageHWPoison(page);
	}
	dax_read_unlock(id);
	return page;
}

/* The mount that has the page at byte at of the dax device. Under zuf_server_lock. */
static struct zuf_sb *mount_of(struct dax_device *dax_dev, u64 at)
{
	struct zuf_sb *zsb;
	int id;

	for (id = 0; (zsb = zuf_mount_next(&id)); id++)
		if (!zsb->dead && zsb->dax_dev == dax_dev && at >= zsb->dax_off && at - zsb->dax_off < zsb->dev_size)
			return zsb;
	return NULL;
}

/* Steps 1 and 2; the inode for step 3, or NULL. Under zuf_server_lock. */
static struct inode *page_failed(struct zuf_sb *zsb, u64 at)
{
	struct page *page = page_mark(zsb->dax_dev, at);

	pr_err("zuf: %s: the page at byte %llu has failed\n", zsb->sb->s_id, at - zsb->dax_off);
	badblocks_set(zsb->sb->s_bdev->bd_disk->bb, at >> SECTOR_SHIFT, PAGE_SECTORS, 1);
	zuf_devmaps_unmap(zsb, at - zsb->dax_off, PAGE_SIZE);
	return page && !zsb->closing ? page_owner(page, zsb->sb) : NULL;
}

/* 0: all is done. */
static int device_failed(struct dax_device *dax_dev, u64 at)
{
	struct inode *inode = NULL;
	struct zuf_sb *zsb;

	mutex_lock(&zuf_server_lock);
	zsb = mount_of(dax_dev, at);
	if (zsb)
		inode = page_failed(zsb, at);
	if (inode)
		atomic_inc(&zsb->n_invalidates);
	mutex_unlock(&zuf_server_lock);
	if (inode) {
		pr_err("zuf: %s: inode %lu has lost memory\n", inode->i_sb->s_id, (unsigned long)inode->i_ino);
		unmap_mapping_range(inode->i_mapping, 0, 0, 0);
		iput(inode);
		zuf_inode_held_end(zsb);
	}
	return zsb ? 0 : -EOPNOTSUPP;
}

static int notify_failure(struct dax_device *dax_dev, u64 at, u64 len, int flags)
{
	int err = -EOPNOTSUPP;
	u64 done;

	if (len > MEDIA_FAILED_MAX)
		return -EOPNOTSUPP;
	at = round_down(at, PAGE_SIZE);
	for (done = 0; done < len; done += PAGE_SIZE)
		err = device_failed(dax_dev, at + done);
	return err;
}

static const struct dax_holder_operations media_holder_ops = {
	.notify_failure = notify_failure,
};

/*
 * Somebody else on the same device (a partition of it) may have it already: then nobody tells us. Without a list of bad blocks
 * there is nothing that we could do.
 */
int zuf_dax_get(struct zuf_sb *zsb)
{
	struct block_device *bdev = zsb->sb->s_bdev;
	struct dax_device *held;

	zsb->dax_dev = fs_dax_get_by_bdev(bdev, &zsb->dax_off, NULL, NULL);
	if (!zsb->dax_dev)
		return -EOPNOTSUPP;
	if (dax_holder(zsb->dax_dev) || !bdev->bd_disk->bb)
		return 0;
	held = fs_dax_get_by_bdev(bdev, &zsb->dax_off, &media_holder, &media_holder_ops);
	if (held) {
		fs_put_dax(zsb->dax_dev, NULL);
		zsb->dax_held = true;
	}
	return 0;
}

void zuf_dax_put(struct zuf_sb *zsb)
{
	if (zsb->dax_dev)
		fs_put_dax(zsb->dax_dev, zsb->dax_held ? &media_holder : NULL);
	zsb->dax_dev = NULL;
}

static bool memory_is_bad(struct inode *inode, loff_t off)
{
	struct zuf_map map;
	bool bad = false;
	size_t n = 1;
	int id;

	if (zuf_extents_find(zuf_i(inode), off, &map) && !(map.flags & ZUF_EXT_HOLE)) {
		id = dax_read_lock();
		bad = !zuf_dax_kaddr(zuf_sb_of(inode->i_sb), map.dev_off, &n);
		dax_read_unlock(id);
	}
	return bad;
}

int zuf_media_error(struct inode *inode, loff_t off, int err)
{
	/* What the dax core says of a page that is bad depends on the kernel, and on how much of it was to be written. */
	if (err != -EHWPOISON && ((err != -EIO && err != -EFAULT) || !memory_is_bad(inode, off)))
		return err;
	pr_warn_ratelimited("zuf: %s: inode %lu: the memory at its byte %lld cannot be read or written\n", inode->i_sb->s_id,
			    (unsigned long)inode->i_ino, off);
	return -EIO;
}
