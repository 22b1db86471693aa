// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names. The VFS holds the directory's lock, so what its cache says of a name is true: no revalidation, and what a request that
 * was sent twice finds the second time tells whether the first one was done. Where a name was not looked for before (see
 * lookup_is_needless()), that has to be proven: ours is new.
 */
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "zuf.h"

static struct zuf_sb *zsb_of_dentry(const struct dentry *dentry)
{
	return zuf_sb_of(dentry->d_sb);
}

/* One name in one directory. */
static int begin_name(struct zuf_call *call, enum zuf_op op, u64 node, const struct dentry *dentry)
{
	int err;

	if (dentry->d_name.len > ZUF_NAME_BYTES_MAX)
		return -ENAMETOOLONG;
	err = zuf_call_begin(call, zsb_of_dentry(dentry), op, node);
	if (!err)
		zuf_call_name(call, dentry->d_name.name, dentry->d_name.len);
	return err;
}

/* A directory's times and link count behind a change of its entries: the reply of a second kind of attr. */
static void dir_changed(struct inode *dir)
{
	struct zuf_reply out;

	if (!zuf_call_simple(zuf_sb_of(dir->i_sb), ZUF_OP_GETATTR, zuf_i(dir)->node, &out) && out.has_attr)
		zuf_attr_apply(dir, &out.attr);
}

/* Of what has lost a name, where the reply did not say: an open file without a name must know that it has none. */
static void name_lost(struct inode *inode)
{
	struct zuf_reply out;
	int err = zuf_call_simple(zuf_sb_of(inode->i_sb), ZUF_OP_GETATTR, zuf_i(inode)->node, &out);

	if (!err && out.has_attr)
		zuf_attr_apply_links(inode, &out.attr);
	else if (S_ISDIR(inode->i_mode))
		clear_nlink(inode);
	else if (inode->i_nlink)
		drop_nlink(inode);
}

/* The inode that a name stands for. ERR_PTR(-ENOENT): none. */
static struct inode *lookup_inode(struct inode *dir, const struct dentry *dentry)
{
	struct inode *inode;
	struct zuf_call call;
	int err;

	err = begin_name(&call, ZUF_OP_LOOKUP, zuf_i(dir)->node, dentry);
	if (err)
		return ERR_PTR(err);
	err = zuf_call_send(&call);
	inode = err ? ERR_PTR(err) : zuf_call_inode(&call);
	zuf_call_end(&call);
	return inode;
}

/*
 * True for rename(2), which tries again if it gets ESTALE. Those who rename for others (nfsd, overlayfs, cachefiles) do not, and
 * are kernel threads or act in somebody's name.
 */
static bool rename_is_retried(void)
{
	return !(current->flags & PF_KTHREAD) && current_cred() == rcu_access_pointer(current->real_cred);
}

/*
 * Who makes a name that must not be there need not look for it first: the server will say so. Nor he who renames to a name that
 * is not known: if it is there after all, zuf_rename() has the VFS try again, which asks for LOOKUP_REVAL. Not where the caller
 * would get another error than the VFS's EEXIST for a name that is there.
 */
static bool lookup_is_needless(struct inode *dir, const struct dentry *dentry, unsigned int flags)
{
	bool creates = (flags & (LOOKUP_CREATE | LOOKUP_EXCL)) == (LOOKUP_CREATE | LOOKUP_EXCL);

	if (flags & LOOKUP_RENAME_TARGET)
		creates = !(flags & LOOKUP_REVAL) && rename_is_retried();
	if (!creates || sb_rdonly(dir->i_sb) || dentry->d_name.len > ZUF_NAME_BYTES_MAX || IS_IMMUTABLE(dir))
		return false;
	return !inode_permission(zuf_nop_idmap, dir, MAY_WRITE | MAY_EXEC);
}

/*
 * A dentry that was not looked up is not hashed. A directory must have one name only, whatever the server says, or the VFS's
 * order of locks would mean nothing. Takes inode over.
 */
static int new_dentry(struct dentry *dentry, struct inode *inode)
{
	struct dentry *alias;

	if (S_ISDIR(inode->i_mode)) {
		if (!d_unhashed(dentry))
			d_drop(dentry);
		alias = d_splice_alias(inode, dentry);
		if (!alias)
			return 0;
		if (!IS_ERR(alias))
			dput(alias);
		return -EIO;
	}
	if (d_unhashed(dentry))
		d_add(dentry, inode);
	else
		d_instantiate(dentry, inode);
	return 0;
}

static struct dentry *zuf_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags)
{
	struct inode *inode;

	if (lookup_is_needless(dir, dentry, flags))
		return NULL;
	inode = lookup_inode(dir, dentry);

	if (IS_ERR(inode) && PTR_ERR(inode) == -ENOENT)
		inode = NULL;
	return d_splice_alias(inode, dentry);
}

/*
 * A server died over the request, and no other one has told what became of it: what the VFS's cache says of the name may be
 * wrong. Whoever comes next asks.
 */
static void drop_unsure(struct dentry *dentry, const struct zuf_call *call, int err)
{
	if (unlikely(err && call->retried))
		d_drop(dentry);
}

/* --- creating --------------------------------------------------------------------------------- */

struct new_node {
	umode_t mode;
	dev_t rdev;
	const char *target; /* of a symlink */
};

static void create_fill(struct zuf_call *call, const struct new_node *new)
{
	struct zuf_request *in = call->in;

	in->mode = new->mode;
	in->umask = current_umask();
	in->uid = from_kuid(&init_user_ns, current_fsuid());
	in->gid = from_kgid(&init_user_ns, current_fsgid());
	in->rdev = (u64)MAJOR(new->rdev) << 32 | MINOR(new->rdev);
	if (new->target)
		zuf_call_name2(call, new->target, strlen(new->target));
}

/*
 * Ends a call that changed the directory: as it is then stands in the out area. Where it does not, it is asked for, when the slot
 * has been given back: who has one waits for no other.
 */
static void end_changed(struct zuf_call *call, struct inode *dir)
{
	struct zuf_attr attr;
	bool told = call->out.out_len == sizeof(attr);

	if (told) {
		memcpy(&attr, zuf_call_out(call), sizeof(attr));
		zuf_attr_apply(dir, &attr);
	}
	zuf_call_end(call);
	if (!told)
		dir_changed(dir);
}

/* What the server says that it made is what it was asked for. */
static struct inode *created_inode(struct zuf_call *call, const struct new_node *new)
{
	struct inode *inode = zuf_call_inode(call);

	if (!IS_ERR(inode) && ((inode->i_mode ^ new->mode) & S_IFMT)) {
		iput(inode);
		return ERR_PTR(-EIO);
	}
	return inode;
}

/*
 * Whether what the call has found by name was made for us by a server that died. Nobody else makes names in a directory that is
 * locked, so if the name was known to be missing, it was. Else: of our type and user, made since we began, and not in memory,
 * where it would be if its maker had been answered.
 */
static bool was_made_for_us(struct zuf_call *call, const struct new_node *new, const struct timespec64 *since)
{
	const struct zuf_attr *attr = &call->out.attr;
	struct timespec64 made = { .tv_sec = attr->btime.sec, .tv_nsec = attr->btime.nsec };
	struct inode *known;

	if ((attr->mode ^ new->mode) & S_IFMT)
		return false;
	if (!since)
		return true;
	known = zuf_find_inode(call->zsb->sb, attr->node);
	iput(known);
	return !known && attr->uid == from_kuid(&init_user_ns, current_fsuid()) && timespec64_compare(&made, since) >= 0;
}

/* A new name that must not stay: what it stands for goes with the caller's reference. */
static void create_undo(struct inode *dir, const struct dentry *dentry, struct inode *inode)
{
	struct zuf_call call;

	if (begin_name(&call, S_ISDIR(inode->i_mode) ? ZUF_OP_RMDIR : ZUF_OP_UNLINK, zuf_i(dir)->node, dentry))
		return;
	call.in->node2 = zuf_i(inode)->node;
	if (zuf_call_send(&call)) {
		zuf_call_end(&call);
		return;
	}
	clear_nlink(inode);
	end_changed(&call, dir);
}

/* Takes inode over. */
static int create_end(struct inode *dir, struct dentry *dentry, struct inode *inode)
{
	int err = zuf_init_security(inode, dir, &dentry->d_name);

	if (unlikely(err)) {
		create_undo(dir, dentry, inode);
		d_drop(dentry);
		iput(inode);
		return err;
	}
	return new_dentry(dentry, inode);
}

/* The name is there when it is asked for again. since: when we began, if the name was not looked for before. */
static struct inode *lookup_made(struct inode *dir, const struct dentry *dentry, const struct new_node *new,
				 const struct timespec64 *since)
{
	struct inode *inode;
	struct zuf_call call;
	bool ours = false;
	int err;

	err = begin_name(&call, ZUF_OP_LOOKUP, zuf_i(dir)->node, dentry);
	if (err)
		return ERR_PTR(err);
	err = zuf_call_send(&call);
	if (!err && call.out.has_attr)
		ours = was_made_for_us(&call, new, since);
	/* It has counted a reference, whosever it is. */
	inode = err ? ERR_PTR(err) : zuf_call_inode(&call);
	zuf_call_end(&call);
	if (!IS_ERR(inode) && !ours) {
		iput(inode);
		return ERR_PTR(-EEXIST);
	}
	return inode;
}

static int create_node(struct inode *dir, struct dentry *dentry, const struct new_node *new)
{
	struct timespec64 since = zuf_server_time(dir);
	bool blind = d_unhashed(dentry);
	struct inode *inode;
	struct zuf_call call;
	int err;

	err = begin_name(&call, ZUF_OP_CREATE, zuf_i(dir)->node, dentry);
	if (err)
		return err;
	create_fill(&call, new);
	err = zuf_call_send(&call);
	if (err == -EEXIST && call.retried) {
		zuf_call_end(&call);
		inode = lookup_made(dir, dentry, new, blind ? &since : NULL);
		if (IS_ERR(inode)) {
			d_drop(dentry);
			return PTR_ERR(inode);
		}
		dir_changed(dir);
		return create_end(dir, dentry, inode);
	}
	drop_unsure(dentry, &call, err);
	inode = err ? ERR_PTR(err) : created_inode(&call, new);
	if (IS_ERR(inode)) {
		/* The name is there: its dentry must not say that it is not. */
		if (!err)
			d_drop(dentry);
		zuf_call_end(&call);
		return PTR_ERR(inode);
	}
	end_changed(&call, dir);
	return create_end(dir, dentry, inode);
}

#if ZUF_BEFORE(7, 0)
static int zuf_create(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode, bool excl)
#else
static int zuf_create(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode)
#endif
{
	struct new_node new = { .mode = S_IFREG | mode };

	return create_node(dir, dentry, &new);
}

static int zuf_mknod(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode, dev_t rdev)
{
	struct new_node new = { .mode = mode, .rdev = rdev };

	return create_node(dir, dentry, &new);
}

#if ZUF_BEFORE(6, 15)
static int zuf_mkdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode)
{
	struct new_node new = { .mode = S_IFDIR | mode };

	return create_node(dir, dentry, &new);
}
#else
static struct dentry *zuf_mkdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode)
{
	struct new_node new = { .mode = S_IFDIR | mode };

	return ERR_PTR(create_node(dir, dentry, &new));
}
#endif

static int zuf_symlink(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, const char *target)
{
	struct new_node new = { .mode = S_IFLNK | 0777, .target = target };

	if (strlen(target) >= PATH_MAX)
		return -ENAMETOOLONG;
	return create_node(dir, dentry, &new);
}

static int zuf_tmpfile(struct mnt_idmap *idmap, struct inode *dir, struct file *file, umode_t mode)
{
	struct new_node new = { .mode = S_IFREG | mode };
	struct inode *inode;
	struct zuf_call call;
	int err;

	err = zuf_call_begin(&call, zuf_sb_of(dir->i_sb), ZUF_OP_CREATE, zuf_i(dir)->node);
	if (err)
		return err;
	create_fill(&call, &new);
	err = zuf_call_send(&call);
	inode = err ? ERR_PTR(err) : created_inode(&call, &new);
	zuf_call_end(&call);
	if (IS_ERR(inode))
		return finish_open_simple(file, PTR_ERR(inode));
	err = zuf_init_security(inode, dir, NULL);
	if (err) {
		iput(inode);
		return finish_open_simple(file, err);
	}
	set_nlink(inode, 1); /* d_tmpfile() takes it */
	d_tmpfile(file, inode);
	return finish_open_simple(file, 0);
}

/* The new name is there when it is asked for again: the inode is locked, so one link more than before, and there, is ours. */
static int link_was_made(struct inode *inode, struct inode *dir, const struct dentry *dentry, unsigned int before)
{
	struct inode *found = lookup_inode(dir, dentry);

	if (IS_ERR(found))
		return PTR_ERR(found);
	iput(found);
	dir_changed(inode);
	return found == inode && inode->i_nlink == before + 1 ? 0 : -EEXIST;
}

static int zuf_link(struct dentry *old, struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = d_inode(old);
	unsigned int before = inode->i_nlink;
	struct zuf_call call;
	int err;

	err = begin_name(&call, ZUF_OP_LINK, zuf_i(inode)->node, dentry);
	if (err)
		return err;
	call.in->node2 = zuf_i(dir)->node;
	err = zuf_call_send(&call);
	if (err) {
		zuf_call_end(&call);
	} else {
		if (call.out.has_attr)
			zuf_attr_apply_links(inode, &call.out.attr);
		end_changed(&call, dir);
		if (!call.out.has_attr)
			dir_changed(inode);
	}
	if (err == -EEXIST && call.retried) {
		err = link_was_made(inode, dir, dentry, before);
		if (!err)
			dir_changed(dir);
	}
	drop_unsure(dentry, &call, err);
	if (err)
		return err;
	ihold(inode);
	return new_dentry(dentry, inode);
}

/* --- removing --------------------------------------------------------------------------------- */

/* References on the dentry of what is being removed, with nobody else there: the caller's; vfs_rmdir() adds one. */
#define UNLINK_COUNT 1
#define RMDIR_COUNT 2

/* i_lock is held. */
static bool inode_has_one_alias(const struct inode *inode)
{
	return inode->i_dentry.first && !inode->i_dentry.first->next;
}

/*
 * True if this name is the last that holds the inode, and nobody has it open (that would hold the dentry) or can find it any
 * more: then the server may free it in the same step, and need not be told that it is forgotten. The dentry is unhashed until it
 * is done. Who comes by a file handle finds the dentry by way of the inode: under i_lock either he has taken it, or he will see
 * ZI_GONE (node_to_dentry()). A file that was mapped goes by way of zuf_drop_inode(), which sees to pages that others have, and
 * zuf_evict_inode(), behind which the dax core knows it no longer.
 */
static bool unlink_is_last(struct dentry *dentry, enum zuf_op op)
{
	struct inode *inode = d_inode(dentry);
	int count = op == ZUF_OP_RMDIR ? RMDIR_COUNT : UNLINK_COUNT;
	bool last = false;

	if (inode->i_nlink > 1 + !!S_ISDIR(inode->i_mode))
		return false;
	spin_lock(&inode->i_lock);
	spin_lock(&dentry->d_lock);
	if (zuf_d_count(dentry) == count && !d_unhashed(dentry) && inode_has_one_alias(inode) &&
	    mapping_empty(inode->i_mapping)) {
		set_bit(ZI_GONE, &zuf_i(inode)->flags);
		__d_drop(dentry);
		last = true;
	}
	spin_unlock(&dentry->d_lock);
	spin_unlock(&inode->i_lock);
	return last;
}

/* The server has taken our references on itself: n_refs is none, or one again. */
static void unlink_set_refs(struct zuf_inode *zi, u64 n)
{
	spin_lock(&zi->lock);
	zi->n_refs = n;
	spin_unlock(&zi->lock);
}

/*
 * Behind a call that said that this name is the last. Where nobody knows what became of it, neither the dentry nor the inode is
 * found any more: both go when our caller lets go of them, and if the file is still there, it will have others.
 */
static void unlink_last_end(struct dentry *dentry, const struct zuf_call *call, int err)
{
	struct inode *inode = d_inode(dentry);
	struct zuf_inode *zi = zuf_i(inode);

	unlink_set_refs(zi, err ? 1 : 0);
	if (!err || call->retried)
		zuf_extents_drop(zi, 0, U64_MAX);
	if (!err)
		return;
	if (call->retried) {
		remove_inode_hash(inode);
		return;
	}
	clear_bit(ZI_GONE, &zi->flags);
	d_rehash(dentry);
}

static int remove_name(struct inode *dir, struct dentry *dentry, enum zuf_op op)
{
	struct inode *inode = d_inode(dentry);
	struct zuf_call call;
	bool last;
	int err;

	err = begin_name(&call, op, zuf_i(dir)->node, dentry);
	if (err)
		return err;
	call.in->node2 = zuf_i(inode)->node;
	last = unlink_is_last(dentry, op);
	if (last) {
		call.in->flags = ZUF_UNLINK_LAST;
		call.forgets = zuf_i(inode);
	}
	err = zuf_call_send(&call);
	if (err == -ENOENT && call.retried) {
		err = 0;
		call.out.out_len = 0;
		call.out.has_attr = 0;
	}
	if (!err && call.out.has_attr && !last)
		zuf_attr_apply_links(inode, &call.out.attr);
	if (err)
		zuf_call_end(&call);
	else
		end_changed(&call, dir);
	if (last)
		unlink_last_end(dentry, &call, err);
	else
		drop_unsure(dentry, &call, err);
	if (!err && (last || (op == ZUF_OP_RMDIR)))
		clear_nlink(inode);
	else if (!err && !call.out.has_attr)
		name_lost(inode);
	return err;
}

static int zuf_unlink(struct inode *dir, struct dentry *dentry)
{
	return remove_name(dir, dentry, ZUF_OP_UNLINK);
}

static int zuf_rmdir(struct inode *dir, struct dentry *dentry)
{
	return remove_name(dir, dentry, ZUF_OP_RMDIR);
}

/* --- renaming --------------------------------------------------------------------------------- */

/*
 * Whether the rename that a dead server was asked for has been done: its old name stands for something else, or nothing. A
 * negative errno: nobody knows.
 */
static int rename_was_done(struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = lookup_inode(dir, dentry);
	bool done;

	if (IS_ERR(inode))
		return PTR_ERR(inode) == -ENOENT ? 1 : PTR_ERR(inode);
	done = inode != d_inode(dentry);
	iput(inode);
	return done;
}

struct rename {
	struct inode *old_dir;
	struct dentry *old;
	struct inode *new_dir;
	struct dentry *new;
	unsigned int flags;
};

/* The reply has the attributes of all who took part, in any order. False: not of what was at the new name. */
static bool rename_apply(const struct rename *ren, struct zuf_call *call)
{
	struct inode *who[] = { ren->old_dir, ren->new_dir, d_inode(ren->old), d_inode(ren->new) };
	unsigned int n = call->out.out_len / sizeof(struct zuf_attr), i, j;
	const struct zuf_attr *attrs = zuf_call_out(call);
	bool all = !who[3];
	struct zuf_attr attr;

	for (i = 0; i < min_t(unsigned int, n, ARRAY_SIZE(who)); i++) {
		memcpy(&attr, &attrs[i], sizeof(attr));
		for (j = 0; j < ARRAY_SIZE(who); j++) {
			if (!who[j] || zuf_i(who[j])->node != attr.node)
				continue;
			if (j < 2)
				zuf_attr_apply(who[j], &attr);
			else
				zuf_attr_apply_links(who[j], &attr);
			all |= j == 3;
			break;
		}
	}
	return all;
}

static void rename_refresh_target(const struct rename *ren)
{
	if (ren->flags & RENAME_EXCHANGE)
		dir_changed(d_inode(ren->new));
	else
		name_lost(d_inode(ren->new));
}

static int rename_send(const struct rename *ren, bool *lost)
{
	struct zuf_call call;
	bool all = true;
	int err;

	*lost = false;
	err = begin_name(&call, ZUF_OP_RENAME, zuf_i(ren->old_dir)->node, ren->old);
	if (err)
		return err;
	call.in->node2 = zuf_i(ren->new_dir)->node;
	zuf_call_name2(&call, ren->new->d_name.name, ren->new->d_name.len);
	call.in->flags = ren->flags;
	call.in->off = zuf_i(d_inode(ren->old))->node;
	call.in->off2 = d_really_is_positive(ren->new) ? zuf_i(d_inode(ren->new))->node : 0;
	call.in->uid = from_kuid(&init_user_ns, current_fsuid());
	call.in->gid = from_kgid(&init_user_ns, current_fsgid());
	err = zuf_call_send_once(&call);
	*lost = err == -ENOTCONN;
	if (!err)
		all = rename_apply(ren, &call);
	zuf_call_end(&call);
	if (!all)
		rename_refresh_target(ren);
	return err;
}

static void rename_refresh(const struct rename *ren)
{
	dir_changed(ren->old_dir);
	if (ren->new_dir != ren->old_dir)
		dir_changed(ren->new_dir);
	dir_changed(d_inode(ren->old));
	if (d_really_is_positive(ren->new))
		rename_refresh_target(ren);
}

/* There is something at a name that was not looked for: whoever tries again finds it in the cache, whatever flags he has. */
static void rename_target_found(struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = lookup_inode(dir, dentry);
	struct dentry *alias;

	if (IS_ERR(inode))
		return;
	alias = d_splice_alias(inode, dentry);
	if (!IS_ERR(alias))
		dput(alias);
}

static int zuf_rename(struct mnt_idmap *idmap, struct inode *old_dir, struct dentry *old, struct inode *new_dir,
		      struct dentry *new, unsigned int flags)
{
	struct rename ren = { .old_dir = old_dir, .old = old, .new_dir = new_dir, .new = new, .flags = flags };
	/* The VFS has not looked whether the new name is there: see lookup_is_needless(). */
	bool blind = d_unhashed(new) && d_really_is_negative(new) && !(flags & RENAME_EXCHANGE), lost;
	int err, done = 0;

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	if (new->d_name.len > ZUF_NAME_BYTES_MAX)
		return -ENAMETOOLONG;
	if (blind)
		ren.flags |= RENAME_NOREPLACE;
	do {
		err = rename_send(&ren, &lost);
		if (lost)
			done = rename_was_done(old_dir, old);
	} while (lost && !done);
	if (lost && done > 0) {
		rename_refresh(&ren);
		return 0;
	}
	/* See drop_unsure(). */
	if (lost) {
		d_drop(old);
		d_drop(new);
		return done;
	}
	if (err == -EEXIST && blind && !(flags & RENAME_NOREPLACE)) {
		rename_target_found(new_dir, new);
		err = -ESTALE;
	}
	return err;
}

/* --- symlinks --------------------------------------------------------------------------------- */

static char *link_read(struct inode *inode)
{
	struct zuf_call call;
	char *target = NULL;
	int err;

	err = zuf_call_begin(&call, zuf_sb_of(inode->i_sb), ZUF_OP_READLINK, zuf_i(inode)->node);
	if (err)
		return ERR_PTR(err);
	err = zuf_call_send(&call);
	if (!err && (!call.out.out_len || call.out.out_len >= PATH_MAX))
		err = -EIO;
	if (!err)
		target = kmemdup_nul(zuf_call_out(&call), call.out.out_len, GFP_KERNEL_ACCOUNT);
	zuf_call_end(&call);
	if (err)
		return ERR_PTR(err);
	return target ? target : ERR_PTR(-ENOMEM);
}

/* Read once; the target of a symlink never changes. */
static const char *zuf_get_link(struct dentry *dentry, struct inode *inode, struct delayed_call *done)
{
	const char *old;
	char *target;

	old = READ_ONCE(inode->i_link);
	if (old)
		return old;
	if (!dentry)
		return ERR_PTR(-ECHILD);
	target = link_read(inode);
	if (IS_ERR(target))
		return target;
	old = cmpxchg(&inode->i_link, NULL, target);
	if (old)
		kfree(target);
	return old ? old : target;
}

const struct inode_operations zuf_symlink_iops = {
	.get_link = zuf_get_link,
	.getattr = zuf_getattr,
	.setattr = zuf_setattr,
	.listxattr = zuf_listxattr,
	.update_time = zuf_update_time,
};

const struct inode_operations zuf_special_iops = {
	.getattr = zuf_getattr,
	.setattr = zuf_setattr,
	.listxattr = zuf_listxattr,
	.update_time = zuf_update_time,
	.zuf_get_inode_acl = zuf_get_acl,
	.set_acl = zuf_set_acl,
};

const struct inode_operations zuf_dir_iops = {
	.lookup = zuf_lookup,
	.create = zuf_create,
	.mknod = zuf_mknod,
	.mkdir = zuf_mkdir,
	.symlink = zuf_symlink,
	.tmpfile = zuf_tmpfile,
	.link = zuf_link,
	.unlink = zuf_unlink,
	.rmdir = zuf_rmdir,
	.rename = zuf_rename,
	.getattr = zuf_getattr,
	.setattr = zuf_setattr,
	.listxattr = zuf_listxattr,
	.update_time = zuf_update_time,
	.zuf_get_inode_acl = zuf_get_acl,
	.set_acl = zuf_set_acl,
	.fileattr_get = zuf_fileattr_get,
	.fileattr_set = zuf_fileattr_set,
};
