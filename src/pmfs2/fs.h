/* SPDX-License-Identifier: BSD-3-Clause */
/* A mounted pmfs2: what hangs together, and the small things that every part needs. */
#ifndef PMFS2_FS_H
#define PMFS2_FS_H

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/lock.h"
#include "base/util.h"
#include "pmem/pmem.h"
#include "pmfs2/media/entry.h"
#include "pmfs2/media/format.h"
#include "zus/plugin.h"

struct journal;
struct alloc;
struct itable;
struct inode_cache;
struct refs;
struct intents;

struct fs {
	struct zus_fs zus; /* first member: what the server sees */
	struct zus_ops ops; /* zus.ops: those that this device needs */
	struct pmem *pm;
	const struct zus_host *host;
	const struct pmfs2_super *sb; /* on media, verified at mount */
	const struct pmfs2_state *state; /* on media */
	uint64_t n_blocks;
	uint64_t data_block; /* first allocatable block */
	uint64_t hash_key[2];
	struct journal *journal;
	struct alloc *alloc;
	struct itable *itable;
	struct inode_cache *icache;
	struct refs *refs;
	struct intents *intents;
	struct mutex rename_lock; /* LOCK_RANK_RENAME */
	_Atomic uint32_t mount_flags; /* ZUS_MOUNT_* */
	_Atomic int damaged; /* a structure was found damaged, or may be: read-only from then on */
	_Atomic int sync_failed; /* and was logged */
	_Atomic int orphans_left; /* freeing one has failed (memory): intents_retry has something to do */
	_Atomic uint32_t n_media_lines; /* lines logged about bad pages */
};

static inline struct fs *fs_of(struct zus_fs *zus)
{
	return container_of(zus, struct fs, zus);
}

/* Media address of a block. The caller has checked the number. */
static inline const void *fs_block(const struct fs *fs, uint64_t block)
{
	return fs->pm->base + (block << PMFS2_BLOCK_SHIFT);
}

/* True if [block, block + n) may be pointed to by a tree. */
static inline int fs_block_ok(const struct fs *fs, uint64_t block, uint64_t n)
{
	return block >= fs->data_block && block < fs->n_blocks - 1 && n <= fs->n_blocks - 1 - block;
}

/* 0, or -EROFS on a read-only or damaged file system. First thing in every operation that changes something. */
static inline int fs_check_writable(struct fs *fs)
{
	uint32_t flags = atomic_load_explicit(&fs->mount_flags, memory_order_relaxed);

	if (likely(!(flags & ZUS_MOUNT_RDONLY) && !atomic_load_explicit(&fs->damaged, memory_order_relaxed)))
		return 0;
	return -EROFS;
}

/*
 * A structure on media is damaged: logs "what" (structure and place, once per call) and makes the mount read-only.
 * Returns -EUCLEAN, so that callers say: return fs_corrupt(fs, "inode %llu: ...", ...). Once metadata were lost to a media error
 * (media_error.h) the bytes are not to blame: -EIO.
 */
int fs_corrupt(struct fs *fs, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));
/*
 * Writes a backing file to its storage (pmem_sync). If that fails, nobody knows what is missing there: it is logged, the mount is
 * read-only from then on, and this and every later call return the error.
 */
int fs_sync(struct fs *fs);
void fs_log(struct fs *fs, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Now, in media time (nanoseconds, coarse clock: one value for some milliseconds). */
uint64_t fs_now(void);
uint64_t fs_time_encode(struct zus_time t); /* clamped to the range of the format */
struct zus_time fs_time_decode(uint64_t media_time);

#endif
