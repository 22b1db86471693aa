/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Directories on media: a trie of buckets over the keyed hash of the name (format.h). Lookup, insert and remove cost the same at
 * any size; readdir goes in hash order, so a position (the hash) stays valid whatever comes and goes.
 *
 * "." and ".." are not stored. The caller holds dir->lock (shared for reading, exclusive for changing) and dir->meta for functions
 * that take an inode_edit of the directory.
 */
#ifndef PMFS2_DIR_H
#define PMFS2_DIR_H

#include "pmfs2/fs.h"
#include "pmfs2/inode.h"
#include "pmfs2/tx.h"

struct dir_entry {
	uint64_t ino;
	uint32_t type; /* DT_* */
	uint64_t hash;
	/* where it stands: for dir_remove and dir_replace, valid while dir->lock is held and until the next change */
	const struct pmfs2_bucket *bucket;
	const struct pmfs2_dirent *entry;
	uint32_t slot;
};

/* 63-bit position of a name, at least PMFS2_HASH_MIN. */
uint64_t dir_hash(const struct fs *fs, struct zus_name name);

/* 0, -ENOENT, or -EUCLEAN. */
int dir_lookup(struct fs *fs, struct inode *dir, struct zus_name name, struct dir_entry *out);

/*
 * Within one transaction a directory gets at most one insert, and loses at most one entry, in either order. Insert first where an
 * entry moves within one directory: the other order frees a bucket that it empties, and then needs a new one (-ENOSPC).
 */

/*
 * Makes room for a name: after 0, a dir_insert of it fits into its bucket, until the lock is dropped or something else is
 * inserted. May commit a transaction of its own (a split or a compaction, which no reader can tell) and takes dir->meta for it:
 * call it before taking meta and before building the operation's own transaction. What dir_lookup found before is stale then.
 * Where there is no bucket yet, it does nothing. -ENOSPC, -EUCLEAN. Durable on return: yes.
 */
int dir_prepare(struct fs *fs, struct inode *dir, struct zus_name name);
/*
 * Logs a new entry. The name is not there, dir_prepare was called. Edits: size (entries), root and blocks where a first bucket is
 * needed (its block comes from alloc_run, used through tx). Does not touch times or link counts. -ENOSPC (only for a first bucket:
 * of the directory, or of a range of hashes that has none), -EUCLEAN; the transaction is then to be dropped.
 */
int dir_insert(struct tx *tx, struct inode_edit *dir, struct zus_name name, uint64_t ino, uint32_t type);
/*
 * Logs the removal of what dir_lookup found. A bucket that becomes empty is freed, with the nodes above it that then are.
 * Edits: size, root, blocks. -EUCLEAN: the transaction is to be dropped.
 */
int dir_remove(struct tx *tx, struct inode_edit *dir, const struct dir_entry *found);
/* Logs that the entry now names another inode. Same place, same name. */
void dir_replace(struct tx *tx, struct inode_edit *dir, const struct dir_entry *found, struct zus_name name, uint64_t ino,
		 uint32_t type);

/* Calls emit for each entry with a position above cookie, in order of position. Stops when it returns 0. -EUCLEAN. */
typedef int (*dir_emit_fn)(void *ctx, struct zus_name name, uint64_t ino, uint32_t type, uint64_t next_cookie);
int dir_iterate(struct fs *fs, struct inode *dir, uint64_t cookie, dir_emit_fn emit, void *ctx);

/*
 * For the last step of removing an empty directory. dir_remove frees blocks with their last entry, so nothing is left to do: 0, or
 * -EUCLEAN if there is a tree all the same. (1, as of file_free_step, never.)
 */
int dir_free_step(struct tx *tx, struct inode_edit *dir);

#endif
