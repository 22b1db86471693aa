/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Taking a file's lock. A truncation or a shift that failed between two of its records (no space for a node, no memory) leaves
 * its intent; whoever takes the lock next finishes it first, so that nobody sees the half of it.
 */
#include <assert.h>
#include <stddef.h>

#include "pmfs2/file_part.h"
#include "pmfs2/intent.h"
#include "pmfs2/media_error.h"
#include "pmfs2/refs.h"

/* The number of the inode's intent, 0: none. Read without locks too: one aligned load. */
static uint32_t intent_number(const struct inode *ip)
{
	static_assert(offsetof(struct pmfs2_inode, intent) % 8 == 0, "the low half of an aligned word");
	return (uint32_t)le64_load((const le64 *)(const void *)&ip->media->intent);
}

/* The slot of an intent that has to be finished, or -1; -EIO: it cannot be told, its page is lost. */
static int64_t slot_left(struct fs *fs, const struct inode *ip, enum pmfs2_intent_kind *out_kind)
{
	uint32_t number = intent_number(ip);
	uint64_t ino, arg[3];

	if (likely(!number))
		return -1;
	if (media_is_lost(fs) && !intent_belongs(fs, number - 1, ip->ino))
		return fs_corrupt(fs, "inode %llu, or its intent", (unsigned long long)ip->ino);
	intent_read(fs, number - 1, out_kind, &ino, arg);
	if (ino != ip->ino || (*out_kind != PMFS2_INTENT_TRUNCATE && *out_kind != PMFS2_INTENT_SHIFT))
		return -1;
	return number - 1;
}

int file_settle(struct fs *fs, struct inode *ip)
{
	enum pmfs2_intent_kind kind;
	int64_t slot = slot_left(fs, ip, &kind);
	struct inode_edit edit;

	if (likely(slot < 0))
		return slot == -EIO ? -EIO : 0;
	if (kind == PMFS2_INTENT_TRUNCATE) {
		inode_edit_begin(&edit, ip);
		return file_truncate_finish(fs, &edit);
	}
	return file_shift_resume(fs, ip, (uint32_t)slot);
}

void file_settle_if_open(struct fs *fs, struct inode *ip)
{
	if (unlikely(intent_number(ip)) && refs_count(fs->refs, inode_node(ip)) && !fs_check_writable(fs))
		(void)file_settle(fs, ip);
}

static int lock_once(struct fs *fs, struct inode *ip, int exclusive)
{
	enum pmfs2_intent_kind kind;
	int64_t slot;
	int err;

	if (exclusive)
		rwlock_write(&ip->lock);
	else
		rwlock_read(&ip->lock);
	if (unlikely(ip->dead)) {
		rwlock_unlock(&ip->lock);
		return -ESTALE;
	}
	slot = slot_left(fs, ip, &kind);
	if (likely(slot == -1))
		return 0;
	if (slot < 0) {
		rwlock_unlock(&ip->lock);
		return (int)slot;
	}
	/* Where nothing may be written: what is left to be freed lies behind the size, and does not show. */
	if (!exclusive && kind == PMFS2_INTENT_TRUNCATE && fs_check_writable(fs))
		return 0;
	if (!exclusive) {
		rwlock_unlock(&ip->lock);
		rwlock_write(&ip->lock);
		if (ip->dead) {
			rwlock_unlock(&ip->lock);
			return -ESTALE;
		}
	}
	mutex_lock(&ip->meta);
	err = fs_check_writable(fs);
	if (!err)
		err = file_settle(fs, ip);
	mutex_unlock(&ip->meta);
	if (!err && exclusive)
		return 0;
	rwlock_unlock(&ip->lock);
	/* Unlocked in between: everything is looked at again. */
	return err ? err : -EAGAIN;
}

int file_lock(struct fs *fs, struct inode *ip, int exclusive)
{
	int err;

	do
		err = lock_once(fs, ip, exclusive);
	while (err == -EAGAIN);
	return err;
}

int file_attend(struct fs *fs, struct inode *ip)
{
	enum pmfs2_intent_kind kind;
	int err;

	if (likely(slot_left(fs, ip, &kind) < 0) || fs_check_writable(fs))
		return 0;
	err = file_lock(fs, ip, 1);
	if (!err)
		rwlock_unlock(&ip->lock);
	/* A file that cannot be finished for want of space can be looked at and removed all the same. */
	return err == -ENOSPC ? 0 : err;
}
