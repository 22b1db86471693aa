/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Regular files: data transfers, size, preallocation. Built on map.h (the radix tree).
 */
#ifndef PMFS2_FILE_H
#define PMFS2_FILE_H

#include "pmfs2/fs.h"
#include "pmfs2/inode.h"
#include "pmfs2/tx.h"

/* zus_ops.io_begin, io_end, dev_write, seek, fallocate; see include/zus/plugin.h. Take and drop all locks themselves. */
int file_io_begin(struct fs *fs, struct zus_io *io);
int file_io_end(struct fs *fs, struct zus_io *io, uint64_t done);
int file_seek(struct fs *fs, struct inode *ip, uint64_t off, int whence, uint64_t *out_off);
int file_fallocate(struct fs *fs, struct inode *ip, uint32_t mode, uint64_t off, uint64_t len);

/*
 * Sets the size, zeroing what a later growth would uncover, and commits edit with it (times and other attributes in edit are the
 * caller's). ip->lock is held exclusively, ip->meta held, edit begun. One fence where everything fits into one record and no tail
 * must be zeroed; a long truncation commits first the size with an intent, then frees in steps. -EFBIG, -ENOSPC.
 */
int file_resize(struct fs *fs, struct inode_edit *edit, uint64_t size);

/*
 * Frees blocks of the mapping from file block first on, as many as fit into tx. 0: all freed. 1: more to do in a further
 * transaction. -EUCLEAN. Edits root and blocks. ip->lock held exclusively (or nobody else knows the inode).
 */
int file_free_step(struct tx *tx, struct inode_edit *edit, uint64_t first);

/*
 * Finishes a TRUNCATE intent found at mount or left by a failed step: frees what lies beyond the size, clears the intent (its
 * slot is the image's) with the last step. ip->lock held exclusively, ip->meta held, edit begun.
 */
int file_truncate_finish(struct fs *fs, struct inode_edit *edit);

/*
 * Finishes a SHIFT intent (collapse or insert range) found at mount or left by a failed step. Clears the intent with its last
 * step. ip->lock held exclusively, ip->meta held (at mount: nobody else is there).
 */
int file_shift_resume(struct fs *fs, struct inode *ip, uint32_t slot);

/*
 * Before attributes of a file are told: finishes a truncation or a shift that failed half-way, if there is one. No lock of the
 * inode held. 0, also on a mount that cannot be written, or where there is no space to finish (then the file can at least be
 * removed); otherwise what the finishing gave.
 */
int file_attend(struct fs *fs, struct inode *ip);
/*
 * The same for one that loses a name, for those who have it open. Errors leave it as it is. ip->lock held exclusively, ip->meta
 * held.
 */
void file_settle_if_open(struct fs *fs, struct inode *ip);

/*
 * The target of a symlink that does not fit into the inode: one data block, mapped at block 0 of a fresh image. Durable on
 * return: no, the caller fences before it commits.
 */
int file_put_block0(struct tx *tx, struct inode_edit *edit, const void *data, uint32_t len);
/* Reads it back: len bytes, at most 4095. -EUCLEAN. */
int file_get_block0(struct fs *fs, struct inode *ip, void *buf, uint32_t len);

#endif
