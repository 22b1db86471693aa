/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Golden images: a small file system with one of everything, always the same, in which a recipe makes one defect, with all
 * checksums right but those that the defect is about. What fsck says of it, and what is there after the repair, is compared with
 * golden.txt.
 */
#ifndef TESTS_FSCK_GOLDEN_H
#define TESTS_FSCK_GOLDEN_H

#include <stdio.h>
#include <stdlib.h>

#include "fsck/fsck.h"
#include "pmfs2/media/entry.h"
#include "pmfs2/media/format.h"

#define GOLDEN_BYTES (32ull << 20)
#define GOLDEN_MANY 300

/* Inode numbers of what is in the image. */
struct golden {
	struct pmem *pm;
	uint64_t file; /* 20 blocks of data */
	uint64_t tail; /* 2 blocks */
	uint64_t small; /* 1 block */
	uint64_t huge; /* 2 MiB in one leaf */
	uint64_t attr, attrs; /* xattrs in the inode, in a block */
	uint64_t link, longlink;
	uint64_t dev;
	uint64_t hard; /* two names */
	uint64_t dir; /* GOLDEN_MANY files, or what is left of them */
	uint64_t a, b, c; /* directories: /a, /a/b, /a/b/c */
	uint64_t empty; /* directory */
	uint64_t one; /* directory with x1 and y1 */
	uint64_t x1, y1;
	uint64_t orphan; /* deleted while in use: an intent */
};

/*
 * Formats a device of GOLDEN_BYTES and fills it. The journal is empty, an orphan waits to be deleted. n_many: files that are left
 * in /dir: GOLDEN_MANY, or fewer, where each costs time.
 */
void golden_make(struct pmem *pm, uint32_t n_many, struct golden *g);

/* --- places on media, to be changed --------------------------------------------------------------------------------------- */

static inline void *golden_block(const struct golden *g, uint64_t block)
{
	return g->pm->base + (block << PMFS2_BLOCK_SHIFT);
}
struct pmfs2_super *golden_super(const struct golden *g, int copy);
struct pmfs2_state *golden_state(const struct golden *g);
/* The newest horizon slot; seal it after a change. */
struct pmfs2_horizon *golden_horizon(const struct golden *g);
void golden_horizon_seal(struct pmfs2_horizon *h);
struct pmfs2_chunk *golden_chunk(const struct golden *g, uint64_t number);
struct pmfs2_inode *golden_inode(const struct golden *g, uint64_t ino);
void golden_inode_seal(struct pmfs2_inode *inode);
/* The block that a map word leads to, whatever its kind. */
uint64_t golden_target(le64 word);
/* The bucket of a directory that holds a name, the entry there and its slot. */
struct golden_name {
	struct pmfs2_bucket *bucket;
	struct pmfs2_dirent *entry;
	uint32_t slot;
};
struct golden_name golden_name_find(const struct golden *g, uint64_t dir, const char *name);
/* Makes the CRC of an entry right, and its slot and the sum of the slots right for its hash. */
void golden_name_seal(const struct golden *g, uint64_t dir, const struct golden_name *at);
/* A free block, marked as used, the count of free ones with it. */
uint64_t golden_take_block(const struct golden *g);
void golden_bit_set(const struct golden *g, uint64_t block, int used);
int golden_bit_test(const struct golden *g, uint64_t block);

/* --- recipes ------------------------------------------------------------------------------------------------------------- */

typedef void (*golden_fn)(const struct golden *g);
struct golden_recipe {
	enum fsck_code code;
	golden_fn damage;
};
extern const struct golden_recipe golden_recipes_super[], golden_recipes_inode[], golden_recipes_dir[], golden_recipes_space[];
/* NULL: there is none. */
golden_fn golden_recipe_find(enum fsck_code code);

/* Prints what a mount shows, sorted by path: a line for each name. 0 or -errno (the mount's). */
int golden_walk(struct pmem *pm, FILE *out);

#endif
