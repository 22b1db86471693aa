/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The trie of a directory: from the root word down to the bucket of a hash. Shared by the parts of dir.h.
 *
 * Level n is the n-th node from the top and is indexed by hash bits 62 - 9n .. 54 - 9n. Level -1 stands for the root word, which a
 * single bucket of depth 0 may hang at. A bucket in a node of level n has depth 9n + 1 .. 9n + 9.
 *
 * Invariant: no node without an entry, no bucket without a live entry. So a walk meets an entry after at most seven nodes, and a
 * damaged or hostile tree cannot make it long.
 */
#ifndef PMFS2_DIR_WALK_H
#define PMFS2_DIR_WALK_H

#include "pmfs2/dir_bucket.h"
#include "pmfs2/fs.h"
#include "pmfs2/tx.h"

#define DIR_LEVELS 7
#define DIR_LEVEL_BITS 9u

/* A directory as seen by one operation. */
struct dir_view {
	struct fs *fs;
	uint64_t ino;
	uint64_t root; /* root word: of the inode's image in a transaction, of media otherwise */
	const struct tx *tx; /* words are read as this transaction will leave them; NULL: as on media */
};

/* Where a hash leads to. */
struct dir_place {
	int level; /* of the word that holds the pointer: -1 the root word */
	uint64_t word; /* the pointer; 0: a hole */
	const struct pmfs2_bucket *bucket; /* NULL: a hole */
	uint64_t block; /* of the bucket */
	uint32_t depth; /* of the bucket */
	const le64 *nodes[DIR_LEVELS]; /* 0 .. level */
};

static inline uint32_t dir_index(uint64_t hash, int level)
{
	return (uint32_t)(hash >> (PMFS2_HASH_BITS - DIR_LEVEL_BITS * (uint32_t)(level + 1)) & (PMFS2_BLOCK_WORDS - 1));
}

/* How many words of a node of this level point to a bucket of this depth. */
static inline uint32_t dir_run_words(int level, uint32_t depth)
{
	return 1u << (DIR_LEVEL_BITS * (uint32_t)(level + 1) - depth);
}

static inline uint64_t dir_view_word(const struct dir_view *view, const le64 *addr)
{
	return view->tx ? tx_get(view->tx, addr) : le64_load(addr);
}

/* A pointer word of this directory. */
static inline uint64_t dir_pointer(uint64_t ino, enum pmfs2_entry_kind kind, uint64_t block)
{
	const struct entry_pos pos = { .owner = ino };
	const struct entry e = { .block = block, .kind = kind };

	return entry_pack(&pos, &e);
}

/* Unpacks a pointer (not 0) that stands at a level. -EUCLEAN. */
int dir_pointer_read(const struct dir_view *view, uint64_t word, int level, struct entry *out);
/* The bucket that a pointer at a level leads to, for a hash: checks its header. -EUCLEAN. */
int dir_bucket_read(const struct dir_view *view, uint64_t block, int level, uint64_t hash, uint32_t *out_depth);
/* -EUCLEAN */
int dir_descend(const struct dir_view *view, uint64_t hash, struct dir_place *out);
/* All words of the bucket's run point to it. -EUCLEAN */
int dir_run_check(const struct dir_view *view, const struct dir_place *at, uint64_t hash);

/* fs_corrupt for a bucket. */
int dir_bucket_corrupt(const struct dir_view *view, uint64_t block, const char *what) __attribute__((cold));

#endif
