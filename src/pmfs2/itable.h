/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inode table: chunks of 256 inodes (slot 0 is the chunk's header with its bitmap), found through a radix tree by chunk number.
 * Chunks are added when needed and never taken away.
 */
#ifndef PMFS2_ITABLE_H
#define PMFS2_ITABLE_H

#include "pmfs2/fs.h"
#include "pmfs2/tx.h"

int itable_new(struct fs *fs, struct itable **out);
void itable_free(struct itable *it);

/* The image of an inode number on media, unverified beyond the tree. -ESTALE: no such number; -EUCLEAN. No locks. */
int itable_find(struct fs *fs, uint64_t ino, const struct pmfs2_inode **out);

/* True if a block is part of a chunk, for messages: looks through the first chunks only. Tolerates damage. */
int itable_chunk_at(struct fs *fs, uint64_t block, uint64_t *out_chunk);

/* A free number, held for one transaction of the caller; others take theirs from other chunks. */
struct ino_slot {
	struct itable_slot *slot; /* locked: LOCK_RANK_ITABLE */
	uint64_t ino;
	uint32_t generation; /* of the new inode */
	const struct pmfs2_inode *media;
};
/* May grow the table (a transaction of its own). -ENOSPC. Ends with itable_put, after the commit or instead of it. */
int itable_take(struct fs *fs, struct ino_slot *out);
void itable_put(struct ino_slot *slot);
/* Logs that the number is used. */
void itable_log_use(struct tx *tx, const struct ino_slot *slot);
/*
 * Logs that ino is free. Last call of its transaction: entries are stored in place in order, and once this bit is clear another
 * thread may take the number and write its image. -EUCLEAN.
 */
int itable_log_free(struct tx *tx, uint64_t ino);

#endif
