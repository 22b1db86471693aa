/* SPDX-License-Identifier: BSD-3-Clause */
/* Birth and death of inodes: filling a new image, dropping links, freeing in steps. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "pmfs2/dir.h"
#include "pmfs2/file.h"
#include "pmfs2/intent.h"
#include "pmfs2/itable.h"
#include "pmfs2/namei.h"
#include "pmfs2/refs.h"
#include "pmfs2/xattr.h"

static int symlink_store(struct tx *tx, struct inode_edit *edit, const struct zus_blob *target, int *io_fence)
{
	struct pmfs2_inode *image = &edit->image;

	if (!target->len || target->len >= PMFS2_BLOCK_SIZE)
		return target->len ? -ENAMETOOLONG : -ENOENT;
	image->size = le64_of(target->len);
	if (target->len <= PMFS2_INODE_TAIL) {
		memcpy(image->tail, target->data, target->len);
		image->inline_len = le16_of((uint16_t)target->len);
		return 0;
	}
	*io_fence = 1;
	return file_put_block0(tx, edit, target->data, target->len);
}

static int acls_store(struct tx *tx, struct inode_edit *edit, const struct zus_new *new, int *io_fence)
{
	static const struct zus_name access = { "system.posix_acl_access", 23 }, def = { "system.posix_acl_default", 24 };
	int err = 0;

	if (new->acl_access.len)
		err = xattr_change(tx, edit, access, &new->acl_access, 0, io_fence);
	if (!err && new->acl_default.len)
		err = xattr_change(tx, edit, def, &new->acl_default, 0, io_fence);
	return err;
}

int inode_create(struct tx *tx, const struct zus_new *new, uint64_t parent, struct ino_slot *slot, struct pmfs2_inode *image)
{
	/* Enough of an inode for the functions that edit images: number and media. */
	struct inode fresh = { .ino = slot->ino, .generation = slot->generation, .media = slot->media };
	struct inode_edit edit = { .ip = &fresh };
	int fence = 0, err = 0;

	inode_image_init(&edit.image, slot->ino, slot->generation);
	edit.image.mode = le32_of(new->mode);
	edit.image.uid = le32_of(new->uid);
	edit.image.gid = le32_of(new->gid);
	edit.image.flags = le32_of(new->flags & ZUS_FL_USER);
	edit.image.projid = le32_of(new->projid);
	edit.image.nlink = le32_of(S_ISDIR(new->mode) ? 2 : 1);
	if (S_ISDIR(new->mode))
		edit.image.parent_or_rdev = le64_of(parent);
	else if (S_ISCHR(new->mode) || S_ISBLK(new->mode))
		edit.image.parent_or_rdev = le64_of(new->rdev);
	if (S_ISLNK(new->mode))
		err = symlink_store(tx, &edit, &new->symlink, &fence);
	if (!err)
		err = acls_store(tx, &edit, new, &fence);
	if (err)
		return err;
	if (fence)
		pmem_fence(tx->fs->pm);
	*image = edit.image;
	return 0;
}

/* Frees contents and attributes, then the inode itself, as far as tx has room. 0: freed. 1: more to do. */
static int free_step(struct tx *tx, struct inode_edit *edit)
{
	int r = 0;

	if (inode_is_dir(edit->ip))
		r = dir_free_step(tx, edit);
	else if (inode_is_reg(edit->ip) || le64_get(edit->image.root))
		r = file_free_step(tx, edit, 0);
	if (!r)
		r = xattr_free_all(tx, edit);
	return r;
}

/* Logs the image of a freed inode and, last, its bit. */
static int free_finish(struct tx *tx, struct inode_edit *edit)
{
	struct pmfs2_inode *image = &edit->image;
	le64 ino = image->ino;
	le32 generation = image->generation;

	memset(image, 0, sizeof(*image));
	image->magic = le32_of(PMFS2_MAGIC_INODE);
	image->ino = ino;
	image->generation = generation;
	inode_edit_log(tx, edit);
	return itable_log_free(tx, edit->ip->ino);
}

int link_drop(struct tx *tx, struct inode_edit *edit, struct drop_result *out)
{
	static const uint64_t no_arg[3];
	struct fs *fs = tx->fs;
	int r;

	*out = (struct drop_result){ 0 };
	inode_edit_touch(edit, 0, 1);
	edit->image.nlink = le32_of(inode_is_dir(edit->ip) ? 0 : le32_get(edit->image.nlink) - 1);
	if (le32_get(edit->image.nlink)) {
		inode_edit_log(tx, edit);
		return 0;
	}
	if (le32_get(edit->image.intent)) {
		/* A truncation or shift that failed half-way left its intent: it becomes the orphan's. */
		intent_log_set(tx, edit, le32_get(edit->image.intent) - 1, PMFS2_INTENT_ORPHAN, no_arg);
		inode_edit_log(tx, edit);
		out->more = !refs_count(fs->refs, inode_node(edit->ip));
		return 0;
	}
	if (!refs_count(fs->refs, inode_node(edit->ip))) {
		r = free_step(tx, edit);
		if (r < 0)
			return r;
		if (!r) {
			inode_mark_dead(fs, edit->ip, 1);
			out->dead = 1;
			return free_finish(tx, edit);
		}
		out->more = 1;
	}
	r = intent_reserve(fs, &out->slot);
	if (r)
		return r;
	out->has_slot = 1;
	intent_log_set(tx, edit, out->slot, PMFS2_INTENT_ORPHAN, no_arg);
	inode_edit_log(tx, edit);
	return 0;
}

void link_drop_done(struct fs *fs, struct inode *ip, const struct drop_result *res, int err)
{
	if (err && res->dead)
		inode_mark_dead(fs, ip, 0);
	if (err && res->has_slot)
		intent_unreserve(fs, res->slot);
}

/*
 * One transaction of freeing. 0: freed, 1: more.
 * Order: each step is one record: words that pointed to blocks are cleared with the blocks' bits. If cut: fewer blocks, the orphan
 * intent still there. Recovered by: intents_finish.
 */
static int inode_free_once(struct fs *fs, struct inode *ip)
{
	struct inode_edit edit;
	struct tx tx;
	uint32_t slot;
	int r, err;

	tx_begin(&tx, fs);
	inode_edit_begin(&edit, ip);
	slot = le32_get(edit.image.intent);
	r = free_step(&tx, &edit);
	if (r < 0) {
		tx_drop(&tx);
		return r;
	}
	if (r) {
		inode_edit_log(&tx, &edit);
		err = tx_commit(&tx);
		return err ? err : 1;
	}
	if (slot)
		intent_log_clear(&tx, &edit, slot - 1);
	inode_mark_dead(fs, ip, 1);
	err = free_finish(&tx, &edit);
	if (err)
		tx_drop(&tx);
	else
		err = tx_commit(&tx);
	if (err)
		inode_mark_dead(fs, ip, 0);
	else if (slot)
		intent_unreserve(fs, slot - 1);
	return err;
}

int inode_free(struct fs *fs, struct inode *ip)
{
	int r = 1;

	rwlock_write(&ip->lock);
	mutex_lock(&ip->meta);
	/* Somebody else may have been faster, or the inode got a name again. */
	if (ip->dead || le32_get(ip->media->nlink) || refs_count(fs->refs, inode_node(ip)))
		r = 0;
	while (r > 0)
		r = inode_free_once(fs, ip);
	mutex_unlock(&ip->meta);
	rwlock_unlock(&ip->lock);
	return r;
}

void inode_free_later(struct fs *fs, struct inode *ip)
{
	int err = inode_free(fs, ip);

	/* Any other error stands: trying again would not help. */
	if (err == -ENOMEM || err == -ENOSPC)
		atomic_store_explicit(&fs->orphans_left, 1, memory_order_relaxed);
}

void namei_forget(struct fs *fs, uint64_t node, uint64_t n_refs)
{
	struct inode *ip;
	int gone, err;

	if (!refs_put(fs->refs, node, n_refs) || fs_check_writable(fs))
		return;
	err = inode_get(fs, node, &ip);
	if (err == -ENOMEM)
		atomic_store_explicit(&fs->orphans_left, 1, memory_order_relaxed);
	if (err)
		return;
	mutex_lock(&ip->meta);
	gone = !ip->dead && !le32_get(ip->media->nlink);
	mutex_unlock(&ip->meta);
	if (gone)
		inode_free_later(fs, ip);
	inode_put(fs, ip);
}

void meta_lock_all(struct inode *const *ips, int n)
{
	uint64_t above = 0;

	for (;;) {
		struct inode *next = NULL;

		for (int i = 0; i < n; i++)
			if (ips[i] && ips[i]->ino > above && (!next || ips[i]->ino < next->ino))
				next = ips[i];
		if (!next)
			return;
		mutex_lock(&next->meta);
		above = next->ino;
	}
}

void meta_unlock_all(struct inode *const *ips, int n)
{
	for (int i = 0; i < n; i++) {
		int seen = 0;

		for (int k = 0; k < i; k++)
			seen |= ips[k] == ips[i];
		if (ips[i] && !seen)
			mutex_unlock(&ips[i]->meta);
	}
}
