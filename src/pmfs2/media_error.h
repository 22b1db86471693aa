/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the engine makes of bad pages (pmem/badpages.h).
 *
 * File data: the transfer that meets one, and every later one, gets -EIO; nothing else changes.
 * Metadata: the operation gets -EIO, one line is logged, and the mount is read-only from then on. Nothing that was computed from
 * substituted bytes is committed: they cannot be seen before pm->n_bad_meta has risen, and commits refuse from then on.
 * New blocks that turn out to be bad while they are written, before anything reaches them: -EIO, and the next try takes others.
 *
 * Bad blocks never return to free space: in DRAM they stay taken, and tx_free leaves their bits on media set (a leak that fsck
 * knows).
 */
#ifndef PMFS2_MEDIA_ERROR_H
#define PMFS2_MEDIA_ERROR_H

#include "pmem/badpages.h"
#include "pmfs2/fs.h"
#include "pmfs2/tx.h"

/* Bad pages under metadata so far. What was read while it stayed the same was true, or is known to be lost. */
static inline uint64_t media_epoch(const struct fs *fs)
{
	return pmem_n_bad_meta(fs->pm);
}

/* True once metadata were lost: nothing may be committed. */
static inline int media_is_lost(const struct fs *fs)
{
	return unlikely(media_epoch(fs) != 0);
}

/* An operation on node has met bad metadata: log, read-only. Returns -EIO. */
int media_met(struct fs *fs, uint64_t node) __attribute__((cold));
/* The end of an operation once metadata were lost: its result, or -EIO and media_met where it was this one that met a bad page.
 */
int media_op_end(struct fs *fs, uint64_t node, int result) __attribute__((cold));
/*
 * The same of one that only reads. 1: it has to be done again, since another thread may have met the page meanwhile. *io_epoch: 0
 * the first time, kept from call to call.
 */
int media_read_again(struct fs *fs, uint64_t node, uint64_t *io_epoch, int *io_result) __attribute__((cold));

/* What fs_corrupt does once metadata were lost: the bytes are not to blame. Returns -EIO. */
int media_corrupt(struct fs *fs, const char *what) __attribute__((cold));
/* A known bad page lies under metadata that are about to be used. Returns -EIO. */
int media_lost(struct fs *fs, const void *addr) __attribute__((cold));
/* Bytes of file data at addr are bad: of inode ino, at byte off of the file. Logged once, where met first. Returns -EIO. */
int media_data_lost(struct fs *fs, uint64_t ino, uint64_t file_off) __attribute__((cold));

/* Data of a transfer: 0, or -EIO if a bad page is among the extents. */
int media_io_check(struct fs *fs, uint64_t ino, const struct zus_io *io) __attribute__((cold));
/* Before the commit: -EROFS once metadata were lost, -EIO if a block that the transaction uses is bad. */
int media_tx_check(const struct tx *tx) __attribute__((cold));
/* At the end of fs_open. Only the superblock is bad, its copy is good: 0, read-only. Anything else: logged, -EIO. */
int media_mount_check(struct fs *fs) __attribute__((cold));

/*
 * Cuts a run into what lies before its first bad block (returned, n may be 0) and what lies behind it (*rest).
 */
struct run media_run_good(const struct fs *fs, struct run run, struct run *rest);

#endif
