/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is left to the engine: finishing intents, and names in /lost+found. Only a round that has found nothing else wrong comes
 * here, so the engine can trust the bitmaps and trees.
 *
 * Order for each name: a bucket that must be split is split first; then one record with the entry, the directory's counts, and
 * the inode's links or parent. If cut: not connected, or connected. Recovered by: replay.
 */
#include "fsck/reconnect.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "pmfs2/dir.h"
#include "pmfs2/inode.h"
#include "pmfs2/journal.h"
#include "pmfs2/mount.h"
#include "pmfs2/ops.h"

#define NAME_TRIES 100u

/* Of the engine's own messages, those that say why it cannot. */
static void note_error(void *ctx, int level, const char *msg)
{
	if (level == LOG_LEVEL_ERROR)
		fsck_note(ctx, "%s", msg);
}

static struct zus_name name_of(const char *str)
{
	return (struct zus_name){ str, (uint32_t)strlen(str) };
}

/* /lost+found, made if it is not there. */
static int lost_found(struct zus_fs *zus, uint64_t *out_node)
{
	struct zus_new new = { .mode = S_IFDIR | 0700 };
	struct zus_attr attr;
	int err = zus->ops->lookup(zus, ZUS_NODE_ROOT, name_of("lost+found"), &attr);

	if (err == -ENOENT)
		err = zus->ops->create(zus, ZUS_NODE_ROOT, name_of("lost+found"), &new, &attr);
	if (err)
		return err;
	zus->ops->forget(zus, attr.node, 1);
	if (!S_ISDIR(attr.mode))
		return -ENOTDIR;
	*out_node = attr.node;
	return 0;
}

/* "#INO", or with a letter behind it where that is taken. */
static int name_find(struct fs *fs, struct inode *dir, uint64_t ino, char name[32])
{
	struct dir_entry entry;

	for (uint32_t i = 0; i < NAME_TRIES; i++) {
		int err;

		if (i)
			snprintf(name, 32, "#%llu.%u", (unsigned long long)ino, i);
		else
			snprintf(name, 32, "#%llu", (unsigned long long)ino);
		err = dir_lookup(fs, dir, name_of(name), &entry);
		if (err)
			return err == -ENOENT ? 0 : err;
	}
	return -EEXIST;
}

/* Both meta locks held. */
static int name_commit(struct fs *fs, struct inode *dir, struct inode *ip, const char *name)
{
	uint32_t type = IFTODT(le32_get(ip->media->mode));
	struct inode_edit parent, child;
	struct tx tx;
	int err;

	tx_begin(&tx, fs);
	inode_edit_begin(&parent, dir);
	inode_edit_begin(&child, ip);
	err = dir_insert(&tx, &parent, name_of(name), ip->ino, type);
	if (err) {
		tx_drop(&tx);
		return err;
	}
	if (type == DT_DIR) {
		parent.image.nlink = le32_of(le32_get(parent.image.nlink) + 1);
		child.image.parent_or_rdev = le64_of(dir->ino);
	} else {
		child.image.nlink = le32_of(1);
	}
	inode_edit_touch(&child, 0, 1);
	inode_edit_touch(&parent, 1, 1);
	inode_edit_log(&tx, &parent);
	inode_edit_log(&tx, &child);
	return tx_commit(&tx);
}

/* Nobody else is here, but the engine's functions expect their locks to be held, in their order. */
static int link_one(struct fs *fs, struct inode *dir, struct inode *ip)
{
	struct inode *first = dir->ino < ip->ino ? dir : ip, *second = first == dir ? ip : dir;
	char name[32];
	int err;

	rwlock_write(&dir->lock);
	err = name_find(fs, dir, ip->ino, name);
	if (!err)
		err = dir_prepare(fs, dir, name_of(name));
	if (!err) {
		mutex_lock(&first->meta);
		mutex_lock(&second->meta);
		err = name_commit(fs, dir, ip, name);
		mutex_unlock(&second->meta);
		mutex_unlock(&first->meta);
	}
	rwlock_unlock(&dir->lock);
	return err;
}

static int link_all(struct fsck *fk, struct zus_fs *zus)
{
	struct fs *fs = fs_of(zus);
	struct inode *dir, *ip;
	uint64_t node;
	int err = lost_found(zus, &node);

	if (!err)
		err = inode_get(fs, node, &dir);
	if (err)
		return err;
	for (uint64_t i = 0; !err && i < fk->n_lost; i++) {
		err = inode_get_ino(fs, fk->lost[i], &ip);
		if (err)
			break;
		err = ip == dir ? 0 : link_one(fs, dir, ip);
		inode_put(fs, ip);
	}
	inode_put(fs, dir);
	return err;
}

int engine_session(struct fsck *fk)
{
	const struct zus_host host = { .abi = ZUS_PLUGIN_ABI, .ctx = fk, .log = note_error };
	struct zus_fs *zus;
	int err = pmfs2_mount_pmem(fk->disk.pm, &host, 0, &zus);

	if (err)
		return err;
	if (fk->n_lost)
		err = link_all(fk, zus);
	journal_checkpoint(fs_of(zus));
	fs_detach(fs_of(zus));
	fk->n_lost = 0;
	return err;
}
