/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rename in all its forms, each one record.
 *
 * Locks: fs->rename_lock where two directories take part (so the tree's shape is still while ancestors are looked for), the
 * directories' locks (an ancestor first, otherwise by number), a victim's lock, then all meta locks by number.
 */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "pmfs2/dir.h"
#include "pmfs2/file.h"
#include "pmfs2/itable.h"
#include "pmfs2/namei.h"
#include "pmfs2/refs.h"

struct move {
	struct fs *fs;
	const struct zus_rename *ren;
	struct inode *from; /* directory */
	struct inode *to; /* directory, may be from */
	struct inode *moved;
	struct inode *victim; /* what new_name names now, or NULL */
	struct dir_entry old_entry, new_entry;
};

/*
 * 1 if a is b or above b; 0; -ENOTDIR: b is no directory; -ESTALE: what was above b is gone; -EUCLEAN. Under rename_lock.
 *
 * A tree may be as deep as there are inodes; only parents that go round in a circle are damage. Found as R. P. Brent does it ("An
 * improved Monte Carlo factorization algorithm", 1980): a number that was met stands, is moved up after 1, 2, 4... steps, and is
 * met again where there is a circle.
 */
static int is_ancestor(struct fs *fs, uint64_t a, uint64_t b)
{
	uint64_t met = b, steps = 0, limit = 1;

	for (uint64_t depth = 0;; depth++) {
		struct inode *ip;
		uint64_t parent;
		int err;

		if (a == b)
			return 1;
		if (b == PMFS2_INO_ROOT)
			return 0;
		err = inode_get_ino(fs, b, &ip);
		if (err)
			return err;
		parent = le64_get(ip->media->parent_or_rdev);
		/* A device has its number there; a removed directory may name a parent whose number somebody else has by now. */
		err = inode_is_dir(ip) ? 0 : depth ? -ESTALE : -ENOTDIR;
		inode_put(fs, ip);
		if (err)
			return err;
		b = parent;
		if (b == met)
			break;
		if (++steps == limit) {
			met = b;
			steps = 0;
			limit *= 2;
		}
	}
	return fs_corrupt(fs, "directory %llu: not below the root", (unsigned long long)b);
}

static int dirs_lock(struct move *mv)
{
	const struct zus_rename *ren = mv->ren;
	uint64_t ino_mask = (1ull << PMFS2_INO_BITS) - 1;
	int to_first, err;

	if (ren->old_dir == ren->new_dir) {
		err = dir_get_locked(mv->fs, ren->old_dir, 1, &mv->from);
		mv->to = mv->from;
		return err;
	}
	mutex_lock(&mv->fs->rename_lock);
	to_first = is_ancestor(mv->fs, ren->new_dir & ino_mask, ren->old_dir & ino_mask);
	err = to_first < 0 ? to_first : 0;
	if (!err && !to_first) {
		int from_above = is_ancestor(mv->fs, ren->old_dir & ino_mask, ren->new_dir & ino_mask);

		err = from_above < 0 ? from_above : 0;
		to_first = !from_above && (ren->new_dir & ino_mask) < (ren->old_dir & ino_mask);
	}
	if (!err && to_first)
		err = dir_get_locked(mv->fs, ren->new_dir, mv->ren->flags & ZUS_RENAME_EXCHANGE ? 1 : 0, &mv->to);
	if (!err) {
		err = dir_get_locked(mv->fs, ren->old_dir, 1, &mv->from);
		if (err && to_first)
			dir_put_locked(mv->fs, mv->to);
	}
	if (!err && !to_first) {
		err = dir_get_locked(mv->fs, ren->new_dir, mv->ren->flags & ZUS_RENAME_EXCHANGE ? 1 : 0, &mv->to);
		if (err)
			dir_put_locked(mv->fs, mv->from);
	}
	if (err)
		mutex_unlock(&mv->fs->rename_lock);
	return err;
}

static void dirs_unlock(struct move *mv)
{
	if (mv->to != mv->from) {
		dir_put_locked(mv->fs, mv->to);
		dir_put_locked(mv->fs, mv->from);
		mutex_unlock(&mv->fs->rename_lock);
	} else {
		dir_put_locked(mv->fs, mv->from);
	}
}

static int victim_check(const struct move *mv)
{
	if (mv->ren->flags & ZUS_RENAME_NOREPLACE)
		return -EEXIST;
	if (le32_get(mv->victim->media->flags) & (ZUS_FL_IMMUTABLE | ZUS_FL_APPEND))
		return -EPERM;
	if (mv->ren->flags & ZUS_RENAME_EXCHANGE)
		return 0;
	if (inode_is_dir(mv->moved) && !inode_is_dir(mv->victim))
		return -ENOTDIR;
	if (!inode_is_dir(mv->moved) && inode_is_dir(mv->victim))
		return -EISDIR;
	if (mv->victim == mv->from)
		return -ENOTEMPTY;
	if (!le32_get(mv->victim->media->nlink))
		return fs_corrupt(mv->fs, "inode %llu: named, but without links", (unsigned long long)mv->victim->ino);
	if (le32_get(mv->to->media->flags) & ZUS_FL_APPEND)
		return -EPERM;
	return 0;
}

/* A directory must not move below itself. */
static int loop_check(const struct move *mv)
{
	int r;

	if (mv->from == mv->to)
		return 0;
	if (mv->victim && inode_is_dir(mv->victim) && !(mv->ren->flags & ZUS_RENAME_EXCHANGE)) {
		r = is_ancestor(mv->fs, mv->victim->ino, mv->from->ino);
		if (r)
			return r < 0 ? r : -ENOTEMPTY;
	}
	if (inode_is_dir(mv->moved)) {
		r = is_ancestor(mv->fs, mv->moved->ino, mv->to->ino);
		if (r)
			return r < 0 ? r : -EINVAL;
		if (!(mv->victim && inode_is_dir(mv->victim)) && le32_get(mv->to->media->nlink) >= PMFS2_LINK_MAX)
			return -EMLINK;
	}
	if ((mv->ren->flags & ZUS_RENAME_EXCHANGE) && inode_is_dir(mv->victim)) {
		r = is_ancestor(mv->fs, mv->victim->ino, mv->from->ino);
		if (r)
			return r < 0 ? r : -EINVAL;
	}
	return 0;
}

/* Finds both names, makes room for the new one. Takes users on moved and victim. */
static int move_find(struct move *mv)
{
	const struct zus_rename *ren = mv->ren;
	int err = dir_lookup(mv->fs, mv->from, ren->old_name, &mv->old_entry);

	if (err)
		return err;
	err = dir_lookup(mv->fs, mv->to, ren->new_name, &mv->new_entry);
	if (err == -ENOENT && !(ren->flags & ZUS_RENAME_EXCHANGE)) {
		err = dir_prepare(mv->fs, mv->to, ren->new_name);
		/* Making room may have moved the old entry. */
		if (!err)
			err = dir_lookup(mv->fs, mv->from, ren->old_name, &mv->old_entry);
	} else if (!err) {
		err = inode_get_ino(mv->fs, mv->new_entry.ino, &mv->victim);
	}
	if (err)
		return err;
	err = inode_get_ino(mv->fs, mv->old_entry.ino, &mv->moved);
	if (err)
		return err;
	if (le32_get(mv->moved->media->flags) & (ZUS_FL_IMMUTABLE | ZUS_FL_APPEND))
		return -EPERM;
	if (mv->moved == mv->from || mv->moved == mv->to || mv->victim == mv->to)
		return -EINVAL;
	return mv->victim ? victim_check(mv) : 0;
}

static void nlink_add(struct inode_edit *edit, int delta)
{
	edit->image.nlink = le32_of(le32_get(edit->image.nlink) + (uint32_t)delta);
}

/* The edits of a rename; to is &from_edit where the directories are one. */
struct edits {
	struct inode_edit from_edit, to_edit, moved, victim;
	struct inode_edit *from, *to;
};

static void edits_begin(struct edits *ed, const struct move *mv)
{
	ed->from = &ed->from_edit;
	ed->to = mv->to == mv->from ? &ed->from_edit : &ed->to_edit;
	inode_edit_begin(ed->from, mv->from);
	if (ed->to != ed->from)
		inode_edit_begin(ed->to, mv->to);
	inode_edit_begin(&ed->moved, mv->moved);
	if (mv->victim)
		inode_edit_begin(&ed->victim, mv->victim);
	inode_edit_touch(ed->from, 1, 1);
	inode_edit_touch(ed->to, 1, 1);
	inode_edit_touch(&ed->moved, 0, 1);
}

static void dirs_log(struct tx *tx, struct edits *ed)
{
	inode_edit_log(tx, ed->from);
	if (ed->to != ed->from)
		inode_edit_log(tx, ed->to);
}

static int exchange_commit(struct move *mv)
{
	int moved_dir = inode_is_dir(mv->moved), victim_dir = inode_is_dir(mv->victim);
	struct edits ed;
	struct tx tx;

	tx_begin(&tx, mv->fs);
	edits_begin(&ed, mv);
	inode_edit_touch(&ed.victim, 0, 1);
	dir_replace(&tx, ed.from, &mv->old_entry, mv->ren->old_name, mv->victim->ino, mv->new_entry.type);
	dir_replace(&tx, ed.to, &mv->new_entry, mv->ren->new_name, mv->moved->ino, mv->old_entry.type);
	if (ed.from != ed.to) {
		nlink_add(ed.from, victim_dir - moved_dir);
		nlink_add(ed.to, moved_dir - victim_dir);
		if (moved_dir)
			ed.moved.image.parent_or_rdev = le64_of(mv->to->ino);
		if (victim_dir)
			ed.victim.image.parent_or_rdev = le64_of(mv->from->ino);
	}
	dirs_log(&tx, &ed);
	inode_edit_log(&tx, &ed.moved);
	inode_edit_log(&tx, &ed.victim);
	return tx_commit(&tx);
}

/* The old name goes, or becomes a whiteout (a new character device 0:0). */
static int old_name_log(struct tx *tx, struct move *mv, struct edits *ed, struct ino_slot *slot)
{
	struct zus_new new = { .mode = S_IFCHR, .uid = mv->ren->whiteout_uid, .gid = mv->ren->whiteout_gid };
	struct pmfs2_inode image;
	int err;

	if (!(mv->ren->flags & ZUS_RENAME_WHITEOUT))
		return dir_remove(tx, ed->from, &mv->old_entry);
	err = inode_create(tx, &new, mv->from->ino, slot, &image);
	if (err)
		return err;
	dir_replace(tx, ed->from, &mv->old_entry, mv->ren->old_name, slot->ino, DT_CHR);
	inode_image_seal(&image);
	inode_image_log(tx, slot->media, &image);
	itable_log_use(tx, slot);
	return 0;
}

static int move_commit(struct move *mv, struct ino_slot *slot, int *out_more)
{
	int moved_dir = inode_is_dir(mv->moved), victim_dir = mv->victim && inode_is_dir(mv->victim), err = 0;
	struct drop_result drop = { 0 };
	struct edits ed;
	struct tx tx;

	tx_begin(&tx, mv->fs);
	edits_begin(&ed, mv);
	/* The new name first: a bucket that the old one leaves is then not freed and made again. */
	if (mv->victim)
		dir_replace(&tx, ed.to, &mv->new_entry, mv->ren->new_name, mv->moved->ino, mv->old_entry.type);
	else
		err = dir_insert(&tx, ed.to, mv->ren->new_name, mv->moved->ino, mv->old_entry.type);
	if (!err)
		err = old_name_log(&tx, mv, &ed, slot);
	if (!err) {
		nlink_add(ed.from, -moved_dir);
		nlink_add(ed.to, moved_dir - victim_dir);
		if (moved_dir)
			ed.moved.image.parent_or_rdev = le64_of(mv->to->ino);
		dirs_log(&tx, &ed);
		inode_edit_log(&tx, &ed.moved);
		if (mv->victim)
			err = link_drop(&tx, &ed.victim, &drop);
	}
	if (err)
		tx_drop(&tx);
	else
		err = tx_commit(&tx);
	if (mv->victim)
		link_drop_done(mv->fs, mv->victim, &drop, err);
	*out_more = !err && drop.more;
	return err;
}

/* With everything found and checked, and the victim's lock held where it will lose its link. */
static int move_run(struct move *mv, int *out_more)
{
	struct inode *all[4] = { mv->from, mv->to, mv->moved, mv->victim };
	struct ino_slot slot;
	int whiteout = (mv->ren->flags & ZUS_RENAME_WHITEOUT) != 0, err = 0;

	meta_lock_all(all, 4);
	if (mv->ren->flags & ZUS_RENAME_EXCHANGE) {
		err = exchange_commit(mv);
	} else {
		if (mv->victim && inode_is_dir(mv->victim) && le64_get(mv->victim->media->size))
			err = -ENOTEMPTY;
		if (mv->victim)
			file_settle_if_open(mv->fs, mv->victim);
		if (!err && whiteout)
			err = itable_take(mv->fs, &slot);
		if (!err) {
			err = move_commit(mv, &slot, out_more);
			if (whiteout)
				itable_put(&slot);
		}
	}
	meta_unlock_all(all, 4);
	return err;
}

int namei_rename(struct fs *fs, const struct zus_rename *ren)
{
	const uint32_t known = ZUS_RENAME_NOREPLACE | ZUS_RENAME_EXCHANGE | ZUS_RENAME_WHITEOUT;
	struct move mv = { .fs = fs, .ren = ren };
	int more = 0, drops, err;

	if (ren->flags & ~known || ((ren->flags & ZUS_RENAME_EXCHANGE) && (ren->flags & ~ZUS_RENAME_EXCHANGE)))
		return -EINVAL;
	err = dirs_lock(&mv);
	if (err)
		return err;
	err = move_find(&mv);
	if (!err && mv.moved == mv.victim)
		goto put; /* two names of one inode: nothing to do */
	if (!err)
		err = loop_check(&mv);
	if (!err) {
		drops = mv.victim && !(ren->flags & ZUS_RENAME_EXCHANGE);
		if (drops)
			rwlock_write(&mv.victim->lock);
		err = move_run(&mv, &more);
		if (drops)
			rwlock_unlock(&mv.victim->lock);
		if (more)
			inode_free_later(fs, mv.victim);
	}
put:
	inode_put(fs, mv.moved);
	inode_put(fs, mv.victim);
	dirs_unlock(&mv);
	return err;
}
