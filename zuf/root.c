// SPDX-License-Identifier: GPL-2.0-only
/*
 * The control root (mount -t zuf nodev /sys/fs/zuf) and the roles of its files: server, slot.
 *
 * One server at a time. What it registers (types, mounts) outlives it; the next one takes over. Its slots do not: they end with it,
 * even if their files stay. CAP_SYS_ADMIN is asked for when a role is given, whatever the modes of the files say.
 */
#include <linux/capability.h>
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

#include "zuf.h"

#define ZUF_FEATURES ((u64)ZUF_FEATURE_UNWRITTEN)
#define WATCH_INTERVAL HZ

enum zuf_role {
	ZUF_ROLE_NONE,
	ZUF_ROLE_SERVER,
	ZUF_ROLE_SLOT,
};

struct zuf_channel {
	struct mutex lock; /* role */
	enum zuf_role role;
	struct zuf_slot *slot;
	struct list_head link; /* zuf_slots */
	struct pid *process; /* of a server */
	u64 epoch; /* of a server; 0: it has ended */
};

DEFINE_MUTEX(zuf_server_lock);
static struct zuf_channel *zuf_server; /* under zuf_server_lock */
static LIST_HEAD(zuf_slots); /* channels; under zuf_server_lock */
static u64 zuf_last_epoch; /* under zuf_server_lock */
static u64 zuf_ready_epoch; /* written under zuf_server_lock */
static DEFINE_IDR(zuf_mounts); /* under zuf_server_lock */
static void server_watch(struct work_struct *work);
static DECLARE_DELAYED_WORK(zuf_watch, server_watch);

u64 zuf_server_epoch(void)
{
	return READ_ONCE(zuf_ready_epoch);
}

int zuf_mount_id_get(struct zuf_sb *zsb)
{
	int id;

	mutex_lock(&zuf_server_lock);
	id = idr_alloc_cyclic(&zuf_mounts, zsb, 1, 0, GFP_KERNEL);
	mutex_unlock(&zuf_server_lock);
	if (id < 0)
		return id;
	zsb->id = id;
	return 0;
}

void zuf_mount_id_put(struct zuf_sb *zsb)
{
	mutex_lock(&zuf_server_lock);
	if (zsb->id)
		idr_remove(&zuf_mounts, zsb->id);
	zsb->id = 0;
	mutex_unlock(&zuf_server_lock);
}

struct zuf_sb *zuf_mount_find(u32 id)
{
	return id <= INT_MAX ? idr_find(&zuf_mounts, id) : NULL;
}

struct zuf_sb *zuf_mount_next(int *id)
{
	return idr_get_next(&zuf_mounts, id);
}

/* --- roles ------------------------------------------------------------------------------------ */

/* Callers that wait for it are woken. zuf_server_lock is held. */
static void server_end(struct zuf_channel *server)
{
	struct zuf_channel *ch;

	server->epoch = 0;
	WRITE_ONCE(zuf_ready_epoch, 0);
	list_for_each_entry(ch, &zuf_slots, link)
		zuf_slot_kill(ch->slot);
	zuf_slot_wake_waiters();
}

static u64 server_epoch(void)
{
	return zuf_server ? zuf_server->epoch : 0;
}

static bool process_is_ending(struct pid *pid)
{
	const struct task_struct *task;
	bool ending;

	rcu_read_lock();
	task = pid_task(pid, PIDTYPE_TGID);
	ending = !task || (READ_ONCE(task->signal->flags) & SIGNAL_GROUP_EXIT) || !atomic_read(&task->signal->live);
	rcu_read_unlock();
	return ending;
}

/*
 * A server that is killed ends with its process's death sentence, not with its files: a thread of it that has called a mount of
 * its own may wait, where it cannot be killed, for a lock of somebody who waits for a slot; and a child may have the files too.
 */
static void server_watch(struct work_struct *work)
{
	mutex_lock(&zuf_server_lock);
	if (server_epoch()) {
		if (process_is_ending(zuf_server->process))
			server_end(zuf_server);
		else
			schedule_delayed_work(&zuf_watch, WATCH_INTERVAL);
	}
	mutex_unlock(&zuf_server_lock);
}

static int channel_become_server(struct zuf_channel *ch, void __user *uarg)
{
	struct zuf_server_arg arg;
	int err = 0;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.pad)
		return -EINVAL;
	if (arg.version != ZUF_ABI_VERSION)
		err = -EPROTONOSUPPORT;
	arg.version = ZUF_ABI_VERSION;
	arg.features &= ZUF_FEATURES;
	if (copy_to_user(uarg, &arg, sizeof(arg)))
		return -EFAULT;
	if (err)
		return err;
	mutex_lock(&zuf_server_lock);
	if (zuf_server) {
		err = -EBUSY;
	} else {
		zuf_server = ch;
		ch->process = get_pid(task_tgid(current));
		ch->epoch = ++zuf_last_epoch;
		ch->role = ZUF_ROLE_SERVER;
		schedule_delayed_work(&zuf_watch, WATCH_INTERVAL);
	}
	mutex_unlock(&zuf_server_lock);
	return err;
}

static int server_add_type(struct zuf_channel *ch, void __user *uarg)
{
	struct zuf_type_arg arg;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.pad || (arg.flags & ~ZUF_TYPE_DEVICE) || !memchr(arg.name, 0, sizeof(arg.name)))
		return -EINVAL;
	return zuf_type_add(&arg);
}

static int server_ready(struct zuf_channel *ch)
{
	int err;

	mutex_lock(&zuf_server_lock);
	err = ch->epoch ? 0 : -ESHUTDOWN;
	WRITE_ONCE(zuf_ready_epoch, ch->epoch);
	mutex_unlock(&zuf_server_lock);
	zuf_slot_wake_waiters();
	return err;
}

static int channel_become_slot(struct zuf_channel *ch, void __user *uarg)
{
	struct zuf_channel_arg arg;
	struct zuf_slot *slot;
	u64 epoch;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.pad || arg.cpu >= nr_cpu_ids || !cpu_possible(arg.cpu))
		return -EINVAL;
	mutex_lock(&zuf_server_lock);
	epoch = server_epoch();
	mutex_unlock(&zuf_server_lock);
	if (!epoch)
		return -ENOTCONN;
	slot = zuf_slot_new(arg.cpu, epoch);
	if (!slot)
		return -ENOMEM;
	mutex_lock(&zuf_server_lock);
	if (epoch == server_epoch()) {
		ch->slot = slot;
		list_add(&ch->link, &zuf_slots);
	}
	mutex_unlock(&zuf_server_lock);
	if (!ch->slot) {
		zuf_slot_put(slot);
		return -ENOTCONN;
	}
	/* The slot before the role: who reads the role, without the lock, uses the slot. */
	smp_store_release(&ch->role, ZUF_ROLE_SLOT);
	return 0;
}

/*
 * Takes the extents of [off, end) back, and the pages that show them. Whole pages, or the rest of one would be found again. end: at
 * most that of the longest file.
 */
static int inode_invalidate(struct inode *inode, u64 off, u64 end)
{
	loff_t start = off & PAGE_MASK, last = (end - 1) | ~PAGE_MASK;
	struct address_space *mapping = inode->i_mapping;
	int err;

	/* That of a block device's node may be the device's own. */
	if (!S_ISREG(inode->i_mode))
		return 0;
	/* A thread of the server that waits here must not keep its process from dying. */
	if (down_write_killable(&inode->i_rwsem))
		return -EINTR;
	if (down_write_killable(&mapping->invalidate_lock)) {
		inode_unlock(inode);
		return -EINTR;
	}
	err = zuf_break_layouts(inode, start, last);
	if (!err) {
		truncate_inode_pages_range(mapping, start, last);
		zuf_extents_drop(zuf_i(inode), start, (u64)last + 1);
	}
	filemap_invalidate_unlock(mapping);
	inode_unlock(inode);
	return err;
}

/* An inode that we hold behind the VFS's back must not outlive its mount: the umount waits. NULL: there is none, or it goes. */
static struct zuf_sb *invalidate_begin(u32 mount)
{
	struct zuf_sb *zsb;

	mutex_lock(&zuf_server_lock);
	zsb = zuf_mount_find(mount);
	if (zsb && zsb->closing)
		zsb = NULL;
	if (zsb)
		atomic_inc(&zsb->n_invalidates);
	mutex_unlock(&zuf_server_lock);
	return zsb;
}

void zuf_inode_held_end(struct zuf_sb *zsb)
{
	if (atomic_dec_and_test(&zsb->n_invalidates))
		wake_up_var(&zsb->n_invalidates);
}

static int server_invalidate(void __user *uarg)
{
	struct zuf_invalidate_arg arg;
	struct inode *inode;
	struct zuf_sb *zsb;
	int err = 0;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.pad || arg.off >= MAX_LFS_FILESIZE || !arg.len)
		return -EINVAL;
	arg.len = min_t(u64, arg.len, MAX_LFS_FILESIZE - arg.off);
	zsb = invalidate_begin(arg.mount);
	if (!zsb)
		return -ENOENT;
	inode = zuf_find_inode(zsb->sb, arg.node);
	if (inode) {
		err = inode_invalidate(inode, arg.off, arg.off + arg.len);
		iput(inode);
	}
	zuf_inode_held_end(zsb);
	return err;
}

static long channel_set_role(struct zuf_channel *ch, unsigned int cmd, void __user *uarg)
{
	long err = -EBUSY;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	mutex_lock(&ch->lock);
	if (ch->role == ZUF_ROLE_NONE)
		err = cmd == ZUF_IOC_SERVER ? channel_become_server(ch, uarg) : channel_become_slot(ch, uarg);
	mutex_unlock(&ch->lock);
	return err;
}

static long channel_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct zuf_channel *ch = file->private_data;
	/* Pairs with channel_become_slot(). */
	enum zuf_role role = smp_load_acquire(&ch->role);
	void __user *uarg = (void __user *)arg;

	if (likely(cmd == ZUF_IOC_WAIT))
		return role == ZUF_ROLE_SLOT ? zuf_slot_serve(ch->slot) : -EINVAL;
	if (cmd == ZUF_IOC_SERVER || cmd == ZUF_IOC_CHANNEL)
		return channel_set_role(ch, cmd, uarg);
	if (role != ZUF_ROLE_SERVER)
		return -EINVAL;
	switch (cmd) {
	case ZUF_IOC_TYPE:
		return server_add_type(ch, uarg);
	case ZUF_IOC_READY:
		return server_ready(ch);
	case ZUF_IOC_INVALIDATE:
		return server_invalidate(uarg);
	default:
		return -ENOTTY;
	}
}

static int channel_open(struct inode *inode, struct file *file)
{
	struct zuf_channel *ch = kzalloc(sizeof(*ch), GFP_KERNEL);

	if (!ch)
		return -ENOMEM;
	mutex_init(&ch->lock);
	INIT_LIST_HEAD(&ch->link);
	file->private_data = ch;
	return 0;
}

static int channel_release(struct inode *inode, struct file *file)
{
	struct zuf_channel *ch = file->private_data;

	mutex_lock(&zuf_server_lock);
	if (ch->role == ZUF_ROLE_SERVER) {
		server_end(ch);
		zuf_server = NULL;
	}
	list_del_init(&ch->link);
	mutex_unlock(&zuf_server_lock);
	if (ch->slot) {
		zuf_slot_kill(ch->slot);
		zuf_slot_put(ch->slot);
	}
	put_pid(ch->process);
	kfree(ch);
	return 0;
}

static int channel_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct zuf_channel *ch = file->private_data;

	/* Pairs with channel_become_slot(). */
	if (smp_load_acquire(&ch->role) != ZUF_ROLE_SLOT || vma->vm_pgoff)
		return -EINVAL;
	if (vma->vm_end - vma->vm_start > PAGE_ALIGN(ZUF_BUFFER_LEN))
		return -EINVAL;
	return remap_vmalloc_range(vma, ch->slot->buf, 0);
}

static const struct file_operations channel_fops = {
	.owner = THIS_MODULE,
	.open = channel_open,
	.release = channel_release,
	.unlocked_ioctl = channel_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = channel_mmap,
	.llseek = noop_llseek,
};

/* --- the file system of the root -------------------------------------------------------------- */

static int root_fill_super(struct super_block *sb, struct fs_context *fc)
{
	static const struct tree_descr files[] = {
		[2] = { ZUF_FILE_CHANNEL, &channel_fops, 0600 },
		[3] = { ZUF_FILE_DEVICE, &zuf_device_fops, 0600 },
		{ "" },
	};

	return simple_fill_super(sb, ZUF_ROOT_MAGIC, files);
}

static int root_get_tree(struct fs_context *fc)
{
	return get_tree_single(fc, root_fill_super);
}

static const struct fs_context_operations root_context_ops = {
	.get_tree = root_get_tree,
};

static int root_init_context(struct fs_context *fc)
{
	fc->ops = &root_context_ops;
	return 0;
}

static struct file_system_type zuf_root_type = {
	.owner = THIS_MODULE,
	.name = "zuf",
	.init_fs_context = root_init_context,
	.kill_sb = zuf_kill_litter_super,
};

int zuf_root_init(void)
{
	int err;

	err = sysfs_create_mount_point(fs_kobj, "zuf");
	if (err)
		return err;
	err = register_filesystem(&zuf_root_type);
	if (err)
		sysfs_remove_mount_point(fs_kobj, "zuf");
	return err;
}

void zuf_root_exit(void)
{
	unregister_filesystem(&zuf_root_type);
	sysfs_remove_mount_point(fs_kobj, "zuf");
	cancel_delayed_work_sync(&zuf_watch);
	idr_destroy(&zuf_mounts);
}
