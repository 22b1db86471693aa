/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Operations on names.
 *
 * Locks: the directory's lock, then a child's lock where its last link may go, then meta locks by rising number, then a slot of the
 * inode table, then the ring. A child's lock is below its parent's.
 *
 * Each operation is one record: name, link counts, times, inode bit and image together. If cut: old or new. Recovered by replay.
 */
#include "pmfs2/namei.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "pmfs2/dir.h"
#include "pmfs2/file.h"
#include "pmfs2/intent.h"
#include "pmfs2/itable.h"
#include "pmfs2/map.h"
#include "pmfs2/media_error.h"
#include "pmfs2/refs.h"

int dir_get_locked(struct fs *fs, uint64_t node, int removing, struct inode **out)
{
	struct inode *dir;
	int err = fs_check_writable(fs);

	if (!err)
		err = inode_get(fs, node, &dir);
	if (err)
		return err;
	if (!inode_is_dir(dir)) {
		inode_put(fs, dir);
		return -ENOTDIR;
	}
	rwlock_write(&dir->lock);
	if (!le32_get(dir->media->nlink) || dir->dead)
		err = -ENOENT;
	else if (le32_get(dir->media->flags) & (ZUS_FL_IMMUTABLE | (removing ? ZUS_FL_APPEND : 0)))
		err = -EPERM;
	if (err) {
		dir_put_locked(fs, dir);
		return err;
	}
	*out = dir;
	return 0;
}

void dir_put_locked(struct fs *fs, struct inode *dir)
{
	rwlock_unlock(&dir->lock);
	inode_put(fs, dir);
}

/* Attributes with a reference for the caller. */
static int node_attr(struct fs *fs, struct inode *ip, struct zus_attr *out)
{
	int err = file_attend(fs, ip);

	if (err)
		return err;
	mutex_lock(&ip->meta);
	if (ip->dead)
		err = -ESTALE;
	else
		err = refs_get(fs->refs, inode_node(ip));
	if (!err)
		inode_attr(ip, out);
	mutex_unlock(&ip->meta);
	return err;
}

/* The same of inode number ino. The directory that names it is locked. */
static int child_attr(struct fs *fs, uint64_t ino, struct zus_attr *out)
{
	struct inode *ip;
	int err = inode_get_ino(fs, ino, &ip);

	if (err == -ESTALE)
		return fs_corrupt(fs, "a directory names inode %llu, which is free", (unsigned long long)ino);
	if (err)
		return err;
	err = node_attr(fs, ip, out);
	inode_put(fs, ip);
	return err;
}

/* The parent can go at any time where dir has no links, or is being moved: that is no damage. */
static int parent_attr(struct fs *fs, struct inode *dir, struct zus_attr *out)
{
	struct inode *ip;
	int err = le32_get(dir->media->nlink) ? inode_get_ino(fs, le64_load(&dir->media->parent_or_rdev), &ip) : -ENOENT;

	if (err)
		return err;
	err = inode_is_dir(ip) ? node_attr(fs, ip, out) : -ESTALE;
	inode_put(fs, ip);
	return err;
}

int namei_lookup(struct fs *fs, uint64_t dir_node, struct zus_name name, struct zus_attr *out)
{
	struct dir_entry found;
	struct inode *dir;
	int err = inode_get(fs, dir_node, &dir);

	if (err)
		return err;
	if (name.len == 1 && name.str[0] == '.') {
		/* Of any kind: how a file handle finds back to its inode. */
		err = node_attr(fs, dir, out);
		inode_put(fs, dir);
		return err;
	}
	if (!inode_is_dir(dir)) {
		inode_put(fs, dir);
		return -ENOTDIR;
	}
	rwlock_read(&dir->lock);
	if (name.len == 2 && !memcmp(name.str, "..", 2))
		err = parent_attr(fs, dir, out);
	else if (!(err = dir_lookup(fs, dir, name, &found)))
		err = child_attr(fs, found.ino, out);
	rwlock_unlock(&dir->lock);
	inode_put(fs, dir);
	return err;
}

/* The record of a create; dir is locked, prepared and its meta lock held. */
static int create_commit(struct fs *fs, struct inode *dir, struct zus_name name, const struct zus_new *new, struct zus_attr *out)
{
	struct pmfs2_inode image;
	struct inode_edit edit;
	struct ino_slot slot;
	struct tx tx;
	int err = itable_take(fs, &slot);

	if (err)
		return err;
	tx_begin(&tx, fs);
	inode_edit_begin(&edit, dir);
	err = inode_create(&tx, new, dir->ino, &slot, &image);
	if (!err)
		err = dir_insert(&tx, &edit, name, slot.ino, mode_to_dt(new->mode));
	if (!err) {
		inode_edit_touch(&edit, 1, 1);
		if (S_ISDIR(new->mode))
			edit.image.nlink = le32_of(le32_get(edit.image.nlink) + 1);
		inode_edit_log(&tx, &edit);
		inode_image_seal(&image);
		inode_image_log(&tx, slot.media, &image);
		itable_log_use(&tx, &slot);
		inode_image_attr(&image, out);
		err = refs_get(fs->refs, out->node);
	}
	if (err) {
		tx_drop(&tx);
	} else {
		err = tx_commit(&tx);
		if (err)
			refs_put(fs->refs, out->node, 1);
	}
	itable_put(&slot);
	return err;
}

int namei_create(struct fs *fs, uint64_t dir_node, struct zus_name name, const struct zus_new *new, struct zus_attr *out)
{
	struct dir_entry found;
	struct inode *dir;
	int err = dir_get_locked(fs, dir_node, 0, &dir);

	if (err)
		return err;
	err = dir_lookup(fs, dir, name, &found);
	if (!err)
		err = -EEXIST;
	else if (err == -ENOENT)
		err = S_ISDIR(new->mode) && le32_get(dir->media->nlink) >= PMFS2_LINK_MAX ? -EMLINK : dir_prepare(fs, dir, name);
	if (!err) {
		mutex_lock(&dir->meta);
		err = create_commit(fs, dir, name, new, out);
		mutex_unlock(&dir->meta);
	}
	dir_put_locked(fs, dir);
	return err;
}

/* An orphan from birth: the intent frees it after a crash, forget() after its last use. */
int namei_tmpfile(struct fs *fs, uint64_t dir_node, const struct zus_new *new, struct zus_attr *out)
{
	uint64_t no_arg[3] = { 0 };
	struct pmfs2_inode image;
	struct ino_slot slot;
	uint32_t intent;
	struct tx tx;
	int err = fs_check_writable(fs);

	(void)dir_node;
	if (!err)
		err = intent_reserve(fs, &intent);
	if (err)
		return err;
	err = itable_take(fs, &slot);
	if (err)
		goto unreserve;
	tx_begin(&tx, fs);
	err = inode_create(&tx, new, 0, &slot, &image);
	if (!err) {
		struct inode fresh = { .ino = slot.ino };
		struct inode_edit edit = { .ip = &fresh, .image = image };

		intent_log_set(&tx, &edit, intent, PMFS2_INTENT_ORPHAN, no_arg);
		edit.image.nlink = le32_of(0);
		inode_image_seal(&edit.image);
		inode_image_log(&tx, slot.media, &edit.image);
		itable_log_use(&tx, &slot);
		inode_image_attr(&edit.image, out);
		err = refs_get(fs->refs, out->node);
	}
	if (err) {
		tx_drop(&tx);
	} else {
		err = tx_commit(&tx);
		if (err)
			refs_put(fs->refs, out->node, 1);
	}
	itable_put(&slot);
	if (!err)
		return 0;
unreserve:
	intent_unreserve(fs, intent);
	return err;
}

static int link_check(const struct inode *ip)
{
	uint32_t nlink = le32_get(ip->media->nlink);

	if (inode_is_dir(ip))
		return -EPERM;
	if (le32_get(ip->media->flags) & (ZUS_FL_IMMUTABLE | ZUS_FL_APPEND))
		return -EPERM;
	if (nlink >= PMFS2_LINK_MAX)
		return -EMLINK;
	/* Without links: only a tmpfile that has never had a name, or an unlinked file that is still held, can come here. */
	return ip->dead ? -ENOENT : 0;
}

static int link_commit(struct fs *fs, struct inode *ip, struct inode *dir, struct zus_name name)
{
	struct inode_edit dir_edit, edit;
	uint32_t intent = le32_get(ip->media->intent), nlink = le32_get(ip->media->nlink);
	struct tx tx;
	int err;

	tx_begin(&tx, fs);
	inode_edit_begin(&dir_edit, dir);
	inode_edit_begin(&edit, ip);
	err = dir_insert(&tx, &dir_edit, name, ip->ino, mode_to_dt(le32_get(ip->media->mode)));
	if (err) {
		tx_drop(&tx);
		return err;
	}
	inode_edit_touch(&dir_edit, 1, 1);
	inode_edit_touch(&edit, 0, 1);
	edit.image.nlink = le32_of(nlink + 1);
	if (!nlink && intent)
		intent_log_clear(&tx, &edit, intent - 1);
	inode_edit_log(&tx, &dir_edit);
	inode_edit_log(&tx, &edit);
	err = tx_commit(&tx);
	if (!err && !nlink && intent)
		intent_unreserve(fs, intent - 1);
	return err;
}

int namei_link(struct fs *fs, uint64_t node, uint64_t dir_node, struct zus_name name, struct zus_attr *out)
{
	struct inode *dir, *ip, *both[2];
	struct dir_entry found;
	int err = dir_get_locked(fs, dir_node, 0, &dir);

	if (err)
		return err;
	err = inode_get(fs, node, &ip);
	if (err)
		goto put_dir;
	err = dir_lookup(fs, dir, name, &found);
	if (err != -ENOENT) {
		err = err ? err : -EEXIST;
		goto put_ip;
	}
	err = inode_is_dir(ip) ? -EPERM : dir_prepare(fs, dir, name);
	if (err)
		goto put_ip;
	rwlock_write(&ip->lock);
	both[0] = dir;
	both[1] = ip;
	meta_lock_all(both, 2);
	err = link_check(ip);
	/* The reference first: behind the commit nothing may fail. */
	if (!err)
		err = refs_get(fs->refs, inode_node(ip));
	if (!err) {
		err = link_commit(fs, ip, dir, name);
		if (err)
			refs_put(fs->refs, inode_node(ip), 1);
		else
			inode_attr(ip, out);
	}
	meta_unlock_all(both, 2);
	rwlock_unlock(&ip->lock);
put_ip:
	inode_put(fs, ip);
put_dir:
	dir_put_locked(fs, dir);
	return err;
}

static int remove_check(struct fs *fs, const struct inode *ip, int is_rmdir)
{
	if (is_rmdir && !inode_is_dir(ip))
		return -ENOTDIR;
	if (!is_rmdir && inode_is_dir(ip))
		return -EISDIR;
	if (le32_get(ip->media->flags) & (ZUS_FL_IMMUTABLE | ZUS_FL_APPEND))
		return -EPERM;
	if (is_rmdir && le64_get(ip->media->size))
		return -ENOTEMPTY;
	if (!le32_get(ip->media->nlink))
		return fs_corrupt(fs, "inode %llu: named, but without links", (unsigned long long)ip->ino);
	return 0;
}

static int remove_commit(struct fs *fs, struct inode *dir, const struct dir_entry *found, struct inode *ip, int *out_more)
{
	struct inode_edit dir_edit, edit;
	struct drop_result drop;
	struct tx tx;
	int err;

	tx_begin(&tx, fs);
	inode_edit_begin(&dir_edit, dir);
	inode_edit_begin(&edit, ip);
	err = dir_remove(&tx, &dir_edit, found);
	if (err) {
		tx_drop(&tx);
		return err;
	}
	inode_edit_touch(&dir_edit, 1, 1);
	if (inode_is_dir(ip))
		dir_edit.image.nlink = le32_of(le32_get(dir_edit.image.nlink) - 1);
	inode_edit_log(&tx, &dir_edit);
	err = link_drop(&tx, &edit, &drop);
	if (err)
		tx_drop(&tx);
	else
		err = tx_commit(&tx);
	link_drop_done(fs, ip, &drop, err);
	*out_more = !err && drop.more;
	return err;
}

static int namei_remove(struct fs *fs, uint64_t dir_node, struct zus_name name, int is_rmdir)
{
	struct inode *dir, *ip, *both[2];
	struct dir_entry found;
	int more = 0, err = dir_get_locked(fs, dir_node, 1, &dir);

	if (err)
		return err;
	err = dir_lookup(fs, dir, name, &found);
	if (err)
		goto put_dir;
	err = inode_get_ino(fs, found.ino, &ip);
	if (err) {
		err = err == -ESTALE ? fs_corrupt(fs, "a directory names inode %llu, which is free",
						  (unsigned long long)found.ino) : err;
		goto put_dir;
	}
	if (ip == dir) {
		err = fs_corrupt(fs, "directory %llu contains itself", (unsigned long long)dir->ino);
		goto put_ip;
	}
	rwlock_write(&ip->lock);
	both[0] = dir;
	both[1] = ip;
	meta_lock_all(both, 2);
	file_settle_if_open(fs, ip);
	err = remove_check(fs, ip, is_rmdir);
	if (!err)
		err = remove_commit(fs, dir, &found, ip, &more);
	meta_unlock_all(both, 2);
	rwlock_unlock(&ip->lock);
	if (more)
		inode_free_later(fs, ip);
put_ip:
	inode_put(fs, ip);
put_dir:
	dir_put_locked(fs, dir);
	return err;
}

int namei_unlink(struct fs *fs, uint64_t dir, struct zus_name name)
{
	return namei_remove(fs, dir, name, 0);
}

int namei_rmdir(struct fs *fs, uint64_t dir, struct zus_name name)
{
	return namei_remove(fs, dir, name, 1);
}

struct readdir_ctx {
	struct fs *fs;
	int with_attr;
	zus_emit_fn emit;
	void *emit_ctx;
	uint64_t epoch; /* when the bucket was verified */
	int err;
	int full;
};

static int readdir_emit(void *opaque, struct zus_name name, uint64_t ino, uint32_t type, uint64_t next_cookie)
{
	struct zus_dirent entry = { .ino = ino, .type = type, .next_cookie = next_cookie };
	struct readdir_ctx *ctx = opaque;
	int taken, with_attr = ctx->with_attr;
	char copy[ZUS_NAME_MAX];
	struct zus_attr attr;

	/* What was given out cannot be taken back: the bucket can have been lost since it was verified. */
	memcpy(copy, name.str, name.len);
	entry.name = (struct zus_name){ copy, name.len };
	if (unlikely(media_epoch(ctx->fs) != ctx->epoch)) {
		ctx->err = -EIO;
		return 0;
	}
	if (with_attr) {
		ctx->err = child_attr(ctx->fs, ino, &attr);
		/* An inode that cannot be read has a name all the same. */
		with_attr = ctx->err != -EIO;
		if (ctx->err && with_attr)
			return 0;
		entry.node = with_attr ? attr.node : 0;
		ctx->err = 0;
		ctx->epoch = with_attr ? ctx->epoch : media_epoch(ctx->fs);
	}
	taken = ctx->emit(ctx->emit_ctx, &entry, with_attr ? &attr : NULL);
	if (!taken) {
		ctx->full = 1;
		if (with_attr)
			namei_forget(ctx->fs, attr.node, 1);
	}
	return taken;
}

/* "." and "..": no attributes, no references. */
static int readdir_dots(struct inode *dir, uint64_t cookie, zus_emit_fn emit, void *ctx)
{
	struct zus_dirent dot = { .name = { ".", 1 }, .ino = dir->ino, .type = DT_DIR, .next_cookie = 1 };
	struct zus_dirent dotdot = { .name = { "..", 2 }, .type = DT_DIR, .next_cookie = 2 };

	dotdot.ino = le64_get(dir->media->parent_or_rdev);
	if (cookie < 1 && !emit(ctx, &dot, NULL))
		return 0;
	return cookie >= 2 || emit(ctx, &dotdot, NULL);
}

int namei_readdir(struct fs *fs, uint64_t dir_node, uint64_t cookie, int with_attr, zus_emit_fn emit, void *emit_ctx)
{
	struct readdir_ctx ctx = { .fs = fs, .with_attr = with_attr, .emit = emit, .emit_ctx = emit_ctx, .epoch = media_epoch(fs) };
	struct inode *dir;
	int err = inode_get(fs, dir_node, &dir);

	if (err)
		return err;
	if (!inode_is_dir(dir)) {
		inode_put(fs, dir);
		return -ENOTDIR;
	}
	rwlock_read(&dir->lock);
	if (readdir_dots(dir, cookie, emit, emit_ctx))
		err = dir_iterate(fs, dir, u64_max(cookie, 2), readdir_emit, &ctx);
	rwlock_unlock(&dir->lock);
	inode_put(fs, dir);
	return err ? err : ctx.err;
}

int namei_readlink(struct fs *fs, uint64_t node, char *buf, size_t cap)
{
	const struct pmfs2_inode *media;
	uint64_t len;
	struct inode *ip;
	int err = inode_get(fs, node, &ip);

	if (err)
		return err;
	media = ip->media;
	len = le64_get(media->size);
	if (!S_ISLNK(le32_get(media->mode)))
		err = -EINVAL;
	else if (!len || len >= PMFS2_BLOCK_SIZE || (le16_get(media->inline_len) && len > PMFS2_INODE_TAIL))
		err = fs_corrupt(fs, "symlink %llu: damaged size", (unsigned long long)ip->ino);
	else if (le16_get(media->inline_len))
		memcpy(buf, media->tail, u64_min(len, cap));
	else
		err = file_get_block0(fs, ip, buf, (uint32_t)u64_min(len, cap));
	inode_put(fs, ip);
	return err ? err : (int)u64_min(len, cap);
}
