// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inodes in memory, by node, and the references on nodes that the server counts for us.
 *
 * Each reply that names a node under "+1 reference" adds to zi->n_refs; when the inode goes, all are given back. That must not
 * wait for the server (memory may be being reclaimed by its own thread): what is to be forgotten stands in a list, and is sent
 * from the list, many at a time, by a slot that nobody waits for. References belong to one server (epoch): what a dead one
 * counted means nothing.
 */
#include <linux/dax.h>
#include <linux/hash.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "zuf.h"

#define FORGETS_BATCH 64

static struct kmem_cache *zuf_inode_cache;

static void slab_init_once(void *p)
{
	struct zuf_inode *zi = p;

	spin_lock_init(&zi->lock);
	mutex_init(&zi->alloc_lock);
	rwlock_init(&zi->ext_lock);
	inode_init_once(&zi->vfs);
}

int zuf_inodes_init(void)
{
	zuf_inode_cache =
		kmem_cache_create("zuf_inode", sizeof(struct zuf_inode), 0, SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT, slab_init_once);
	return zuf_inode_cache ? 0 : -ENOMEM;
}

void zuf_inodes_exit(void)
{
	rcu_barrier();
	kmem_cache_destroy(zuf_inode_cache);
}

struct inode *zuf_alloc_inode(struct super_block *sb)
{
	struct zuf_inode *zi;

	zi = alloc_inode_sb(sb, zuf_inode_cache, GFP_KERNEL);
	if (!zi)
		return NULL;
	zi->forget = kzalloc(sizeof(*zi->forget), GFP_KERNEL_ACCOUNT);
	if (!zi->forget) {
		kmem_cache_free(zuf_inode_cache, zi);
		return NULL;
	}
	zi->node = 0;
	zi->flags = 0;
	zi->n_refs = 0;
	zi->ref_epoch = 0;
	zi->fl_flags = 0;
	zi->projid = 0;
	zi->extents = RB_ROOT;
	zi->n_extents = 0;
	zi->map_seq = 0;
	zi->tail_clean = false;
	zi->tail_copied = false;
	zi->dead = false;
	return &zi->vfs;
}

/* Behind a grace period: i_link is read without a lock. */
void zuf_free_inode(struct inode *inode)
{
	if (S_ISLNK(inode->i_mode))
		kfree(inode->i_link);
	kfree(zuf_i(inode)->forget);
	kmem_cache_free(zuf_inode_cache, zuf_i(inode));
}

/* --- forgetting ------------------------------------------------------------------------------- */

/* Moves entries from list to the request: how many nodes it names. What does not fit goes back. */
static unsigned int forgets_fill(struct zuf_sb *zsb, struct llist_node *list, struct zuf_slot *slot)
{
	__u64 *nodes = slot->buf + ZUF_IN_OFF;
	struct zuf_forget *f, *next;
	unsigned int n = 0;

	llist_for_each_entry_safe(f, next, list, link) {
		if (f->epoch != slot->epoch)
			f->count = 0;
		for (; f->count && n < ZUF_FORGETS_MAX; f->count--)
			nodes[n++] = f->node;
		if (f->count) {
			llist_add(&f->link, &zsb->forgets);
			continue;
		}
		atomic_dec(&zsb->n_forgets);
		kfree(f);
	}
	return n;
}

static void forgets_request(struct zuf_sb *zsb, struct zuf_request *in, unsigned int n)
{
	memset(in, 0, sizeof(*in));
	in->op = ZUF_OP_FORGET;
	in->mount = zsb->id;
	in->len = n;
}

/* Sends what there is, if a slot is free, and waits for nothing. Must not sleep on the server: see above. */
static void forgets_kick(struct zuf_sb *zsb)
{
	struct zuf_slot *slot;
	unsigned int n;

	slot = zuf_slot_take();
	if (!slot)
		return;
	n = slot->epoch == zsb->epoch ? forgets_fill(zsb, llist_del_all(&zsb->forgets), slot) : 0;
	if (!n) {
		zuf_slot_release(slot);
		return;
	}
	forgets_request(zsb, zuf_slot_request(slot), n);
	zuf_slot_send_async(slot, zsb);
}

void zuf_forgets_flush(struct zuf_sb *zsb)
{
	struct zuf_call call;
	unsigned int n;

	while (!llist_empty(&zsb->forgets)) {
		if (zuf_call_begin(&call, zsb, ZUF_OP_FORGET, ZUF_NODE_ROOT))
			return;
		n = forgets_fill(zsb, llist_del_all(&zsb->forgets), call.slot);
		call.in->len = n;
		if (n)
			zuf_call_send_once(&call);
		zuf_call_end(&call);
	}
}

int zuf_forgets_settle(struct zuf_sb *zsb)
{
	zuf_forgets_flush(zsb);
	return wait_var_event_killable(&zsb->n_async, !atomic_read(&zsb->n_async)) ? -EINTR : 0;
}

void zuf_forgets_drop(struct zuf_sb *zsb)
{
	struct zuf_forget *f, *next;

	llist_for_each_entry_safe(f, next, llist_del_all(&zsb->forgets), link)
		kfree(f);
}

static void inode_forget(struct zuf_inode *zi)
{
	struct zuf_sb *zsb = zuf_sb_of(zi->vfs.i_sb);
	struct zuf_forget *f = zi->forget;
	bool orphan = !zi->vfs.i_nlink;

	if (!zi->n_refs || !(zi->vfs.i_sb->s_flags & SB_ACTIVE))
		return;
	zi->forget = NULL;
	f->node = zi->node;
	f->count = zi->n_refs;
	f->epoch = zi->ref_epoch;
	llist_add(&f->link, &zsb->forgets);
	if (atomic_inc_return(&zsb->n_forgets) >= FORGETS_BATCH || orphan)
		forgets_kick(zsb);
}

/* --- pages that others have ------------------------------------------------------------------- */

/*
 * A page of a mapping may be in a pipe, or under I/O, when its file goes. Its block must not be another file's before that has
 * ended. Whoever drops the last reference must not wait for it: he may be the one who has the pipe, and closes it next. So the
 * inode stays, with a reference of ours, and is looked at again now and then.
 */
#define PINNED_RETRY_MS 200

/* The last reference has gone; i_lock is held, and dropped meanwhile. */
int zuf_drop_inode(struct inode *inode)
{
	struct zuf_sb *zsb = zuf_sb_of(inode->i_sb);
	bool pinned;

	if (!zuf_generic_drop(inode))
		return 0;
	if (likely(mapping_empty(&inode->i_data)) || !IS_DAX(inode) || READ_ONCE(zsb->closing) ||
	    !(inode->i_sb->s_flags & SB_ACTIVE))
		return 1;
	__iget(inode);
	spin_unlock(&inode->i_lock);
	pinned = zuf_dax_busy_page(&inode->i_data, 0, ULONG_MAX);
	spin_lock(&inode->i_lock);
	/* Whoever has found it meanwhile comes here again. */
	if (!pinned)
		return atomic_dec_and_test(&inode->i_count);
	llist_add(&zuf_i(inode)->pinned, &zsb->pinned);
	schedule_delayed_work(&zsb->pinned_work, msecs_to_jiffies(PINNED_RETRY_MS));
	return 0;
}

/* Those that are pinned still come back to the list. */
static void pinned_put(struct zuf_sb *zsb)
{
	struct zuf_inode *zi, *next;

	llist_for_each_entry_safe(zi, next, llist_del_all(&zsb->pinned), pinned)
		iput(&zi->vfs);
}

static void pinned_retry(struct work_struct *work)
{
	pinned_put(container_of(to_delayed_work(work), struct zuf_sb, pinned_work));
}

void zuf_pinned_init(struct zuf_sb *zsb)
{
	init_llist_head(&zsb->pinned);
	INIT_DELAYED_WORK(&zsb->pinned_work, pinned_retry);
}

void zuf_pinned_end(struct zuf_sb *zsb)
{
	cancel_delayed_work_sync(&zsb->pinned_work);
	pinned_put(zsb);
}

/* Page tables have let go: nobody has the file open. */
#if ZUF_DAX_BREAKS_LAYOUT
static void wait_for_pages(struct inode *inode)
{
	dax_break_layout_final(inode);
}
#else
static void wait_for_pages(struct inode *inode)
{
	struct page *page;

	while ((page = zuf_dax_busy_page(&inode->i_data, 0, ULONG_MAX)))
		wait_var_event(&page->_refcount, page_ref_count(page) == 1);
}
#endif

void zuf_evict_inode(struct inode *inode)
{
	struct zuf_inode *zi = zuf_i(inode);

	if (IS_DAX(inode) && !mapping_empty(&inode->i_data))
		wait_for_pages(inode);
	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	zuf_extents_drop(zi, 0, U64_MAX);
	inode_forget(zi);
}

/* --- finding ---------------------------------------------------------------------------------- */

static unsigned long node_hash(u64 node)
{
	return hash_64(node, BITS_PER_LONG);
}

static int inode_test(struct inode *inode, void *data)
{
	return zuf_i(inode)->node == *(u64 *)data;
}

static int inode_set(struct inode *inode, void *data)
{
	zuf_i(inode)->node = *(u64 *)data;
	return 0;
}

static void inode_add_ref(struct zuf_inode *zi, u64 epoch)
{
	spin_lock(&zi->lock);
	if (zi->ref_epoch < epoch) {
		zi->ref_epoch = epoch;
		zi->n_refs = 0;
	}
	if (zi->ref_epoch == epoch)
		zi->n_refs++;
	spin_unlock(&zi->lock);
}

u64 zuf_inode_refs(struct zuf_inode *zi, u64 epoch)
{
	u64 n;

	spin_lock(&zi->lock);
	n = zi->ref_epoch == epoch ? zi->n_refs : 0;
	spin_unlock(&zi->lock);
	return n;
}

static bool attr_is_sane(const struct zuf_attr *attr)
{
	switch (attr->mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return attr->node && attr->ino && attr->size <= MAX_LFS_FILESIZE;
	default:
		return false;
	}
}

static struct inode *hold_late(struct inode *inode);

struct inode *zuf_iget(struct super_block *sb, const struct zuf_attr *attr, u64 epoch)
{
	u64 node = attr->node;
	struct inode *inode;

	if (!attr_is_sane(attr))
		return ERR_PTR(-EIO);
	inode = iget5_locked(sb, node_hash(node), inode_test, inode_set, &node);
	if (!inode)
		return ERR_PTR(-ENOMEM);
	if (zuf_inode_is_new(inode)) {
		zuf_attr_init(inode, attr);
		inode_add_ref(zuf_i(inode), epoch);
		unlock_new_inode(inode);
		return likely(epoch == READ_ONCE(zuf_sb_of(sb)->mount_epoch)) ? inode : hold_late(inode);
	}
	inode_add_ref(zuf_i(inode), epoch);
	if ((inode->i_mode ^ attr->mode) & S_IFMT) {
		iput(inode);
		return ERR_PTR(-EIO);
	}
	return inode;
}

/* One reference, in the slot of the call that it came with. */
static void call_forget(struct zuf_call *call, u64 node)
{
	forgets_request(call->zsb, call->in, 1);
	memcpy(call->slot->buf + ZUF_IN_OFF, &node, sizeof(node));
	zuf_call_send_once(call);
}

struct inode *zuf_call_inode(struct zuf_call *call)
{
	u64 node = call->out.attr.node;
	struct inode *inode;

	if (!call->out.has_attr)
		return ERR_PTR(-EIO);
	inode = zuf_iget(call->zsb->sb, &call->out.attr, call->slot->epoch);
	if (inode == ERR_PTR(-ENOMEM))
		call_forget(call, node);
	return inode;
}

struct inode *zuf_find_inode(struct super_block *sb, u64 node)
{
	return ilookup5(sb, node_hash(node), inode_test, &node);
}

struct inode *zuf_iget_node(struct super_block *sb, u64 node)
{
	struct inode *inode = zuf_find_inode(sb, node);
	struct zuf_call call;
	int err;

	if (inode)
		return inode;
	err = zuf_call_begin(&call, zuf_sb_of(sb), ZUF_OP_LOOKUP, node);
	if (err)
		return ERR_PTR(err);
	zuf_call_name(&call, ".", 1);
	err = zuf_call_send(&call);
	inode = err ? ERR_PTR(err) : zuf_call_inode(&call);
	zuf_call_end(&call);
	return inode;
}

/* --- a new server ----------------------------------------------------------------------------- */

/* It has no names: who comes by one looks again. */
static void inode_drop_names(struct inode *inode)
{
	struct dentry *alias;

	/* A directory has one, which is found again when it has been dropped. */
	do {
		alias = d_find_alias(inode);
		if (!alias)
			break;
		d_drop(alias);
		dput(alias);
	} while (!S_ISDIR(inode->i_mode));
}

/* Its blocks may be others' by now: who has it open gets ESTALE. */
static void inode_kill(struct inode *inode)
{
	zuf_extents_kill(zuf_i(inode));
	if (S_ISREG(inode->i_mode))
		unmap_mapping_range(inode->i_mapping, 0, 0, 1);
	remove_inode_hash(inode);
	clear_nlink(inode);
	inode_drop_names(inode);
}

/*
 * What the server says of an inode that it was told to hold. Whether the last request of the dead server was done nobody may
 * know: what was known of the inode is forgotten.
 */
static void hold_apply(struct inode *inode, const struct zuf_attr *attr, u64 epoch)
{
	struct zuf_inode *zi = zuf_i(inode);

	if (attr->node != zi->node || ((inode->i_mode ^ attr->mode) & S_IFMT)) {
		inode_kill(inode);
		return;
	}
	inode_add_ref(zi, epoch);
	zuf_attr_apply(inode, attr);
	zuf_extents_drop(zi, 0, U64_MAX);
	/* A mapping may show zeros where the lost request has made a block: the next fault looks again. */
	if (S_ISREG(inode->i_mode) && !mapping_empty(inode->i_mapping))
		unmap_mapping_range(inode->i_mapping, 0, 0, 0);
	forget_all_cached_acls(inode);
	inode_set_flags(inode, 0, S_NOSEC);
	if (!attr->nlink)
		inode_drop_names(inode);
}

static int hold_send(struct zuf_sb *zsb, struct inode *const *inodes, unsigned int n, u64 epoch)
{
	const struct zuf_attr *attrs;
	struct zuf_attr attr;
	struct zuf_call call;
	unsigned int i;
	__u64 *nodes;
	int err;

	err = zuf_call_begin_attach(&call, zsb, ZUF_OP_HOLD, ZUF_NODE_ROOT);
	if (err)
		return err;
	nodes = call.slot->buf + ZUF_IN_OFF;
	for (i = 0; i < n; i++)
		nodes[i] = zuf_i(inodes[i])->node;
	call.in->len = n;
	err = call.slot->epoch == epoch ? zuf_call_send_once(&call) : -ENOTCONN;
	if (!err && call.out.out_len != n * sizeof(attr))
		err = -EIO;
	attrs = zuf_call_out(&call);
	for (i = 0; !err && i < n; i++) {
		memcpy(&attr, &attrs[i], sizeof(attr));
		barrier_data(&attr);
		hold_apply(inodes[i], &attr, epoch);
	}
	zuf_call_end(&call);
	return err;
}

/*
 * An inode that was made from a dead server's reply when the mount had another already: zuf_hold_inodes() may have passed it over.
 * Takes the reference over.
 */
static struct inode *hold_late(struct inode *inode)
{
	struct zuf_sb *zsb = zuf_sb_of(inode->i_sb);
	int err = 0;

	if (mutex_lock_killable(&zsb->attach_lock)) {
		err = -EINTR;
	} else {
		if (!zuf_inode_refs(zuf_i(inode), zsb->mount_epoch))
			err = hold_send(zsb, &inode, 1, zsb->mount_epoch);
		mutex_unlock(&zsb->attach_lock);
	}
	if (!err && zuf_i(inode)->dead)
		err = -ESTALE;
	/* That server is dead too: the next one is told of this inode as of all others. */
	if (!err || err == -ENOTCONN)
		return inode;
	remove_inode_hash(inode);
	iput(inode);
	return ERR_PTR(err);
}

#define HOLD_BATCH 256

/*
 * True if the inode is to be held, with a reference on it. One that is just being freed is passed over: its forget is of the dead
 * server. So is one that is just being made: see hold_late(). s_inode_list_lock is held.
 */
static bool hold_is_due(struct inode *inode, u64 epoch)
{
	bool new;

	spin_lock(&inode->i_lock);
	new = zuf_inode_is_new(inode);
	spin_unlock(&inode->i_lock);
	return !new && !zuf_i(inode)->dead && !zuf_inode_refs(zuf_i(inode), epoch) && igrab(inode);
}

static int hold_batch(struct zuf_sb *zsb, struct inode **inodes, unsigned int n, u64 epoch)
{
	int err = n ? hold_send(zsb, inodes, n, epoch) : 0;

	while (n)
		iput(inodes[--n]);
	return err;
}

int zuf_hold_inodes(struct zuf_sb *zsb, u64 epoch)
{
	struct inode *inode, *last = NULL, **inodes;
	struct super_block *sb = zsb->sb;
	unsigned int n = 0;
	int err = 0;

	BUILD_BUG_ON(HOLD_BATCH > ZUF_HOLDS_MAX);
	inodes = kmalloc_array(HOLD_BATCH, sizeof(*inodes), GFP_NOFS);
	if (!inodes)
		return -ENOMEM;
	spin_lock(&sb->s_inode_list_lock);
	list_for_each_entry(inode, &sb->s_inodes, i_sb_list) {
		if (!hold_is_due(inode, epoch))
			continue;
		inodes[n++] = inode;
		if (n < HOLD_BATCH)
			continue;
		/* Keeps the place in the list. */
		ihold(inode);
		spin_unlock(&sb->s_inode_list_lock);
		iput(last);
		last = inode;
		err = hold_batch(zsb, inodes, n, epoch);
		n = 0;
		cond_resched();
		spin_lock(&sb->s_inode_list_lock);
		if (err)
			break;
	}
	spin_unlock(&sb->s_inode_list_lock);
	if (!err)
		err = hold_batch(zsb, inodes, n, epoch);
	iput(last);
	kfree(inodes);
	return err;
}
