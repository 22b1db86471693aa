/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * zuf: structures that the parts of the module share.
 *
 * Locks, in the order in which they are taken:
 *
 *  - s_umount, inode locks of the VFS
 *  - mapping->invalidate_lock: faults share it, whatever takes blocks away has it alone
 *  - zuf_inode.alloc_lock: allocation in a file, writes against faults; the order of replies with attributes. Under it, user memory
 *    is copied with faults off
 *  - zuf_sb.attach_lock: attaching to a new server
 *  - zuf_server_lock: the server, types, the table of mounts
 *  - zuf_slot.lock, under it zuf_cpu.lock; zuf_inode.ext_lock, zuf_inode.lock: short, nothing else is taken under them
 */
#ifndef ZUF_ZUF_H
#define ZUF_ZUF_H

#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/iomap.h>
#include <linux/kref.h>
#include <linux/llist.h>
#include <linux/percpu.h>
#include <linux/percpu-rwsem.h>
#include <linux/posix_acl.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xattr.h>

#include "uapi/zuf.h"
#include "compat.h"

#define ZUF_ROOT_MAGIC 0x7a756672
#define ZUF_SB_MAGIC 0x7a756673
#define ZUF_NAME_BYTES_MAX 255
#define ZUF_NODE_ROOT 1ULL

/* --- slots (slot.c): a buffer, and the server's thread that waits in it ----------------------- */

enum zuf_slot_state {
	ZUF_SLOT_NEW, /* its thread has not waited yet */
	ZUF_SLOT_FREE, /* on its CPU's list */
	ZUF_SLOT_HELD, /* a caller has it and has not sent */
	ZUF_SLOT_SENT, /* the thread shall take the request */
	ZUF_SLOT_BUSY, /* the thread works */
	ZUF_SLOT_DONE, /* the reply is in the buffer */
	ZUF_SLOT_DEAD, /* the server's file is gone */
};

struct zuf_cpu {
	spinlock_t lock;
	struct list_head free;
};

struct zuf_slot {
	struct list_head link; /* zuf_cpu.free, under its lock */
	struct zuf_cpu *cpu;
	spinlock_t lock; /* state */
	enum zuf_slot_state state;
	struct zuf_sb *async; /* nobody waits for the reply, but this mount's end */
	u64 epoch; /* of the server that it belongs to */
	u64 sent_ns;
	void *buf;
	struct task_struct *server; /* that waits; under lock */
	wait_queue_head_t caller_wq;
	struct kref ref; /* the file, and whoever holds it */
};

/* Its server has ended: what was set aside for a request may be others' as soon as the mount is attached to the next. */
static inline bool zuf_slot_is_dead(const struct zuf_slot *slot)
{
	return READ_ONCE(slot->state) == ZUF_SLOT_DEAD;
}

static inline struct zuf_request *zuf_slot_request(struct zuf_slot *slot)
{
	return slot->buf + ZUF_REQUEST_OFF;
}

int zuf_slots_init(void);
struct zuf_slot *zuf_slot_new(unsigned int cpu, u64 epoch);
void zuf_slot_put(struct zuf_slot *slot);
/* The file or the server has gone: callers that wait are woken, new ones do not come. More than once does no harm. */
void zuf_slot_kill(struct zuf_slot *slot);
/* A free slot of the server that is ready, at best one of this CPU. NULL: none. */
struct zuf_slot *zuf_slot_take(void);
void zuf_slot_release(struct zuf_slot *slot);
/* Hands the request over and waits. -ENOTCONN: the server died. */
int zuf_slot_send(struct zuf_slot *slot);
/* Hands it over, waits for nothing; the slot is released when the reply comes. */
void zuf_slot_send_async(struct zuf_slot *slot, struct zuf_sb *zsb);
/* The server's thread. */
int zuf_slot_serve(struct zuf_slot *slot);
void zuf_slot_wake_waiters(void);
/* Waits until a slot may be had. 0, -EINTR (if killable), -ETIMEDOUT. */
int zuf_slot_wait(unsigned long *timeout, bool killable);

/* --- the server (root.c) ---------------------------------------------------------------------- */

struct zuf_sb;

/* Of the server that is ready; 0: none. Grows with each server. */
u64 zuf_server_epoch(void);
int zuf_mount_id_get(struct zuf_sb *zsb);
void zuf_mount_id_put(struct zuf_sb *zsb);
int zuf_root_init(void);
void zuf_root_exit(void);
int zuf_type_add(const struct zuf_type_arg *arg);
void zuf_types_exit(void);
size_t zuf_types_show(char *buf);
extern struct mutex zuf_server_lock;
/* Under zuf_server_lock. */
struct zuf_sb *zuf_mount_find(u32 id);
/* Behind the use of an inode that was counted in n_invalidates, without a lock. */
void zuf_inode_held_end(struct zuf_sb *zsb);
/* The first from *id on, which is set. Under zuf_server_lock. */
struct zuf_sb *zuf_mount_next(int *id);
extern const struct file_operations zuf_device_fops;

/* --- a mounted file system -------------------------------------------------------------------- */

struct zuf_stats;

struct zuf_type {
	struct file_system_type fst;
	bool has_device;
	char name[ZUF_TYPE_MAX];
};

struct zuf_devmap;

struct zuf_sb {
	struct super_block *sb;
	struct zuf_type *type;
	u32 id;
	bool dead; /* umount: no calls any more */
	bool closing; /* umount has begun: inodes are not found by node any more; under zuf_server_lock */
	bool attached_once;
	u32 wait_s; /* how long calls wait for a server */
	char *options; /* for the plug-in */
	char *source;
	struct dax_device *dax_dev;
	bool dax_held; /* we are told when its memory fails */
	u64 dax_off; /* bytes from the start of dax_dev */
	u64 dev_size; /* bytes */
	struct list_head devmaps; /* under zuf_server_lock */
	struct mutex attach_lock;
	u64 epoch; /* of the server that knows this mount and its inodes */
	u64 mount_epoch; /* of the one that has answered MOUNT; changes under attach_lock */
	struct zuf_mount_info info;
	bool rdonly; /* nothing is stored to the device; changes before sb_rdonly() does */
	bool want_rdonly; /* what a server is told; changes before the server and sb_rdonly() do */
	struct percpu_rw_semaphore store_lock; /* held by who stores to blocks that only its slot's server has set aside */
	struct llist_head forgets;
	atomic_t n_forgets;
	atomic_t n_async; /* slots that work for this mount with nobody waiting */
	atomic_t n_invalidates; /* inodes held behind the VFS's back: umount waits for them; counted under zuf_server_lock */
	struct llist_head pinned; /* inodes that would have gone, but for pages that others have */
	struct delayed_work pinned_work;
	struct zuf_stats *stats;
};

static inline struct zuf_sb *zuf_sb_of(struct super_block *sb)
{
	return sb->s_fs_info;
}

static inline bool zuf_has_dax(struct zuf_sb *zsb)
{
	return zsb->dax_dev;
}

/* --- inodes ----------------------------------------------------------------------------------- */

struct zuf_forget {
	struct llist_node link;
	u64 node;
	u64 count;
	u64 epoch; /* the server that counts */
};

/* zuf_inode.flags. ZI_GONE: the server is being asked to free the node, or has freed it: no file handle finds it. */
#define ZI_GONE 0

struct zuf_inode {
	u64 node;
	unsigned long flags; /* bits: ZI_* */
	spinlock_t lock; /* n_refs, times */
	u64 n_refs; /* that the server counts for us */
	u64 ref_epoch; /* which server */
	struct zuf_forget *forget;
	u32 fl_flags;
	u32 projid;
	bool no_capability;
	bool dead; /* the server has it no more: nothing is known of its bytes; under ext_lock */
	struct timespec64 btime;
	struct mutex alloc_lock;
	rwlock_t ext_lock;
	struct rb_root extents;
	u32 n_extents;
	u32 map_seq; /* changes with every change of the map; under ext_lock */
	bool tail_clean; /* zeros behind the end, in its page, or a hole. True under alloc_lock only */
	bool tail_copied; /* mappings may have a copy of that page: read-only mounts */
	struct llist_node pinned; /* in zuf_sb.pinned */
	struct inode vfs;
};

static inline struct zuf_inode *zuf_i(const struct inode *inode)
{
	return container_of(inode, struct zuf_inode, vfs);
}

/* --- calls (call.c) --------------------------------------------------------------------------- */

/*
 * The request is made here and copied to the slot's buffer when it is sent: the server can write there at any time, so nothing
 * that it shows is read again. Names and data stay the caller's until the call has ended: they are copied again when the request
 * goes to the next server.
 */
struct zuf_call {
	struct zuf_sb *zsb;
	struct zuf_slot *slot;
	struct zuf_request *in; /* request */
	bool retried; /* the server died once; the request may have been done */
	bool attaching;
	bool sure; /* a signal does not end the wait for a slot */
	u32 data_len; /* bytes */
	const void *name;
	const void *name2;
	const void *data; /* behind the names */
	struct zuf_inode *forgets; /* in->len: the references on it, as the server counts that gets the request */
	struct zuf_request request;
	struct zuf_reply out; /* the reply, copied and checked */
};

/* Gets a slot, waiting for one (and for a server) as the mount's options say. -EIO, -EINTR, -ENOTCONN. */
int zuf_call_begin(struct zuf_call *call, struct zuf_sb *zsb, enum zuf_op op, u64 node);
/* Behind the names. -ENOSPC: too much. */
int zuf_call_data(struct zuf_call *call, const void *data, size_t len);
void zuf_call_name(struct zuf_call *call, const char *name, u32 len);
void zuf_call_name2(struct zuf_call *call, const char *name, u32 len);
/* 0 or what the server said. On every return zuf_call_end() is due. */
int zuf_call_send(struct zuf_call *call);
/* The same, but a server that dies is an error (-ENOTCONN): the request is part of something longer. */
int zuf_call_send_once(struct zuf_call *call);
void zuf_call_end(struct zuf_call *call);
/* begin, send, end of a call without names and data. */
int zuf_call_simple(struct zuf_sb *zsb, enum zuf_op op, u64 node, struct zuf_reply *out);

static inline const void *zuf_call_out(struct zuf_call *call)
{
	return call->slot->buf + ZUF_OUT_OFF;
}

static inline const struct zuf_extent *zuf_call_extents(struct zuf_call *call)
{
	return call->slot->buf + ZUF_EXTENTS_OFF;
}

/* --- inodes and attributes (inode.c, attr.c) -------------------------------------------------- */

extern const struct super_operations zuf_sops;
int zuf_inodes_init(void);
void zuf_inodes_exit(void);
struct inode *zuf_alloc_inode(struct super_block *sb);
void zuf_free_inode(struct inode *inode);
void zuf_evict_inode(struct inode *inode);
int zuf_drop_inode(struct inode *inode);
void zuf_pinned_init(struct zuf_sb *zsb);
/* Before umount: waits until nobody has pages of files that are gone. */
void zuf_pinned_end(struct zuf_sb *zsb);
/* Takes over the one reference that attr carries. */
struct inode *zuf_iget(struct super_block *sb, const struct zuf_attr *attr, u64 epoch);
/* The one that the call's reply names. Without memory for it the reference is given back, by a call of its own: out is lost. */
struct inode *zuf_call_inode(struct zuf_call *call);
/* The one in memory, or NULL. */
struct inode *zuf_find_inode(struct super_block *sb, u64 node);
/* References that the server of this epoch counts for us. */
u64 zuf_inode_refs(struct zuf_inode *zi, u64 epoch);
/* From the handle alone. */
struct inode *zuf_iget_node(struct super_block *sb, u64 node);
/* Everything, the size too: under the inode's lock and, from before the call, a file's alloc_lock. Of another node: nothing. */
void zuf_attr_apply(struct inode *inode, const struct zuf_attr *attr);
/* Asks for them, where a reply should have had them and has not. Not while a slot is held. */
int zuf_attr_reload(struct inode *inode);
/* What names that come and go change of what they stand for. */
void zuf_attr_apply_links(struct inode *inode, const struct zuf_attr *attr);
/* What the server, whose clock is this one, would say at least, if it changed the inode now. */
static inline struct timespec64 zuf_server_time(struct inode *inode)
{
	struct timespec64 ts;

	ktime_get_coarse_real_ts64(&ts);
	return timestamp_truncate(ts, inode);
}

/* Of a new inode. */
void zuf_attr_init(struct inode *inode, const struct zuf_attr *attr);
void zuf_forgets_flush(struct zuf_sb *zsb);
/* Sends them, and waits for those that are on their way: what was deleted is free space then. -EINTR: killed. */
int zuf_forgets_settle(struct zuf_sb *zsb);
void zuf_forgets_drop(struct zuf_sb *zsb);
int zuf_hold_inodes(struct zuf_sb *zsb, u64 epoch);
/* Of the attachment itself. */
int zuf_call_begin_attach(struct zuf_call *call, struct zuf_sb *zsb, enum zuf_op op, u64 node);
/* The same, and a signal does not end the wait for a slot. */
int zuf_call_begin_sure(struct zuf_call *call, struct zuf_sb *zsb, enum zuf_op op, u64 node);
int zuf_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr);
int zuf_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat, u32 mask, unsigned int flags);
#if ZUF_BEFORE(6, 6)
int zuf_update_time(struct inode *inode, struct timespec64 *time, int flags);
#elif ZUF_BEFORE(7, 0)
int zuf_update_time(struct inode *inode, int flags);
#else
int zuf_update_time(struct inode *inode, enum fs_update_time type, unsigned int flags);
#endif
int zuf_fileattr_get(struct dentry *dentry, struct zuf_fileattr *fa);
int zuf_fileattr_set(struct mnt_idmap *idmap, struct dentry *dentry, struct zuf_fileattr *fa);
/*
 * Pages of [start, end] are unmapped, flushed, and forgotten. The caller holds the inode's lock and invalidate_lock, which is let
 * go of and taken again. -ERESTARTSYS, or what the flush says: then nothing has been forgotten.
 */
int zuf_break_layouts(struct inode *inode, loff_t start, loff_t end);

extern const struct inode_operations zuf_dir_iops;
extern const struct inode_operations zuf_file_iops;
extern const struct inode_operations zuf_symlink_iops;
extern const struct inode_operations zuf_special_iops;
extern const struct file_operations zuf_dir_fops;
extern const struct file_operations zuf_file_fops;
extern const struct address_space_operations zuf_dax_aops;
extern const struct address_space_operations zuf_plain_aops;
extern const struct export_operations zuf_export_ops;

/* --- xattrs (xattr.c) ------------------------------------------------------------------------- */

extern const struct xattr_handler *zuf_xattr_handlers[];
ssize_t zuf_listxattr(struct dentry *dentry, char *buf, size_t size);
/* What security modules want a new inode to have. name: NULL where it has none. */
int zuf_init_security(struct inode *inode, struct inode *dir, const struct qstr *name);
struct posix_acl *zuf_get_acl(struct inode *inode, int type, bool rcu);
#if ZUF_BEFORE(6, 2)
int zuf_set_acl(struct user_namespace *ns, struct inode *inode, struct posix_acl *acl, int type);
#else
int zuf_set_acl(struct mnt_idmap *idmap, struct dentry *dentry, struct posix_acl *acl, int type);
#endif

/* --- extents (extents.c): what is known of where a file's bytes are --------------------------- */

struct zuf_map {
	u64 off; /* bytes, as asked for */
	u64 len; /* bytes that are alike from off on */
	u64 dev_off;
	u32 flags; /* ZUF_EXT_* */
};

int zuf_extents_init(void);
void zuf_extents_exit(void);
/* What is known at off. False: nothing. */
bool zuf_extents_find(struct zuf_inode *zi, u64 off, struct zuf_map *out);
/* True if all of [off, off + len) is known and can be written in place. */
bool zuf_extents_writable(struct zuf_inode *zi, u64 off, u64 len);
u32 zuf_extents_seq(struct zuf_inode *zi);
/* Checks a reply's extents (of the call, from off on) and keeps those below end, unless the map has changed since seq. */
int zuf_extents_keep(struct zuf_inode *zi, struct zuf_call *call, u64 off, u64 end, const u32 *seq);
/* Forgets [off, end). */
void zuf_extents_drop(struct zuf_inode *zi, u64 off, u64 end);
/* Forgets all, and keeps nothing any more. */
void zuf_extents_kill(struct zuf_inode *zi);

/* --- data (iomap.c, tail.c, file.c, write.c, fallocate.c) --------------------------------------------- */

extern const struct iomap_ops zuf_iomap_ops;
extern const struct iomap_ops zuf_report_ops;
extern const struct vm_operations_struct zuf_dax_vm_ops;
/* What is at off: from the cache or from the server. */
int zuf_map_get(struct inode *inode, u64 off, u64 len, struct zuf_map *out);
/* The same, under alloc_lock. */
int zuf_map_get_locked(struct inode *inode, u64 off, u64 len, struct zuf_map *out);
void *zuf_dax_kaddr(struct zuf_sb *zsb, u64 dev_off, size_t *len);
/* A fault that reaches the end of the file; 0: the dax core may go on. */
vm_fault_t zuf_tail_fault(struct vm_fault *vmf, pgoff_t last, bool huge);
/* The end of the file is about to move, or something may have been stored behind it. */
void zuf_tail_moved(struct zuf_inode *zi);
/* The mount is writable from now on. */
void zuf_tails_uncopy(struct super_block *sb);
ssize_t zuf_write_iter(struct kiocb *iocb, struct iov_iter *from);
long zuf_fallocate(struct file *file, int mode, loff_t off, loff_t len);
ssize_t zuf_copy_file_range(struct file *in, loff_t in_off, struct file *out, loff_t out_off, size_t len, unsigned int flags);

/* --- mounting (super.c, types.c, device.c) ---------------------------------------------------- */

int zuf_fill_super(struct super_block *sb, struct fs_context *fc);
int zuf_attach(struct zuf_call *call);
void zuf_kill_block_super(struct super_block *sb);
void zuf_kill_anon_super(struct super_block *sb);
int zuf_remount(struct super_block *sb, struct fs_context *fc);
void zuf_devmaps_kill(struct zuf_sb *zsb);
/* Takes [off, off + len) of the device from the server; a touch asks the device again. Under zuf_server_lock. */
void zuf_devmaps_unmap(struct zuf_sb *zsb, u64 off, u64 len);

struct zuf_context {
	u32 wait_s;
	char *options;
};

/* --- memory that fails (media.c) --------------------------------------------------------------- */

/* The memory of the mount's block device: dax_dev, dax_off. -EOPNOTSUPP. */
int zuf_dax_get(struct zuf_sb *zsb);
void zuf_dax_put(struct zuf_sb *zsb);
/* What the caller is told of err, which the dax core has met at a file's byte off. */
int zuf_media_error(struct inode *inode, loff_t off, int err);

/* --- statistics (stats.c) --------------------------------------------------------------------- */

enum zuf_counter {
	ZUF_COUNT_MAP_HIT,
	ZUF_COUNT_MAP_MISS,
	ZUF_COUNT_BYTES_READ,
	ZUF_COUNT_BYTES_WRITTEN,
	ZUF_COUNT_FAULTS,
	ZUF_COUNT_HUGE_FAULTS,
	ZUF_COUNTERS
};

#define ZUF_LATENCY_BUCKETS 24

struct zuf_stats_cpu {
	u64 calls[ZUF_OP_COUNT];
	u64 counters[ZUF_COUNTERS];
	u64 latency[ZUF_LATENCY_BUCKETS]; /* by log2 of ns / 256 */
};

int zuf_stats_init(void);
void zuf_stats_exit(void);
int zuf_stats_new(struct zuf_sb *zsb);
void zuf_stats_free(struct zuf_sb *zsb);
void zuf_stats_call(struct zuf_sb *zsb, u32 op, u64 ns);
void zuf_stats_count(struct zuf_sb *zsb, enum zuf_counter counter, u64 n);

#endif
