/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files file_*.c share. */
#ifndef PMFS2_FILE_PART_H
#define PMFS2_FILE_PART_H

#include "pmfs2/file.h"
#include "pmfs2/map.h"

#define FILE_IN_BLOCK(off) ((off) & (PMFS2_BLOCK_SIZE - 1))

/*
 * Takes ip->lock, and first finishes what a failed truncation or shift has left (on a writable mount). 0: locked; otherwise not.
 */
int file_lock(struct fs *fs, struct inode *ip, int exclusive);
/* Finishes what is left. ip->lock held exclusively, ip->meta held. */
int file_settle(struct fs *fs, struct inode *ip);

/*
 * Zeroes those of the bytes [from, to) that stand in written blocks and are not zero. *io_stored becomes 1 if there were any, on
 * errors too: the caller fences. -EUCLEAN, -EIO.
 */
int file_zero_bytes(struct fs *fs, const struct map *map, uint64_t from, uint64_t to, int *io_stored);
/* Takes back extents given out for [off, off + len). */
void file_take_back(struct fs *fs, struct inode *ip, uint64_t off, uint64_t len);
/* Clears suid, and sgid where the group may execute. 1 if something changes. */
int file_kill_priv(uint32_t *mode);

/* Collapse (insert 0) or insert. Checks alignment and bounds. ip->lock held exclusively, ip->meta held. */
int file_shift(struct fs *fs, struct inode *ip, int insert, uint64_t off, uint64_t len);

#endif
