/* SPDX-License-Identifier: BSD-3-Clause */
/* One directory: its tree, its buckets, its names. */
#ifndef FSCK_DIR_CHECK_H
#define FSCK_DIR_CHECK_H

#include "fsck/inode_view.h"
#include "pmfs2/dir_bucket.h"
#include "pmfs2/dir_walk.h"

/* A name that stays in its bucket. */
struct kept {
	uint16_t off;
	uint8_t type; /* DT_*, as it shall be */
};

/* Where a bucket hangs: words [first, first + n) of a node, or the root word (level -1). */
struct bucket_place {
	int level;
	uint32_t first, n;
	uint64_t node; /* block */
	uint64_t block; /* of the bucket */
	uint64_t prefix;
	uint32_t depth;
};

struct dir_scratch {
	struct inode_scratch inode;
	struct bucket_list list;
	struct kept kept[PMFS2_BUCKET_SLOTS_MAX];
	uint32_t n_kept;
	union { /* a copy of the bucket, put right */
		uint8_t bytes[PMFS2_BLOCK_SIZE];
		le64 words[PMFS2_BLOCK_WORDS];
		struct pmfs2_bucket head;
	} bucket;
	union {
		uint8_t bytes[PMFS2_BLOCK_SIZE];
		struct pmfs2_bucket head;
	} image; /* the bucket being built */
};

struct dir_frame {
	uint64_t block;
	uint64_t hash; /* lowest below it */
	uint32_t at;
};

struct dir_check {
	struct inode_view *iv;
	struct fsck *fk;
	struct dir_scratch *scratch;
	uint64_t n_names, n_dropped;
	int level; /* of the word that is being looked at */
	uint32_t guessed; /* word of the node whose pointer was guessed just now; none: 512 */
	struct dir_frame stack[DIR_LEVELS];
	int depth; /* frames */
	/* only look for one name, and drop it; nothing is said or claimed */
	uint64_t drop_child;
	uint64_t drop_hash; /* 0: any */
};

/* Checks the directory of iv: tree, names, counts. */
void dir_check(struct inode_view *iv, struct dir_scratch *scratch);
/* Repair rounds: drops the name with this hash that leads to child from a directory. */
void dir_drop_name(struct fsck *fk, const struct odd_name *name, struct dir_scratch *scratch);

/*
 * Fills scratch->kept with what a bucket holds; scratch->bucket is a copy of it, put right as far as possible. *out_store: the
 * bucket is to be written anew. 0: it is empty, and its pointers go.
 */
int bucket_load(struct dir_check *dc, const struct bucket_place *pl, int *out_store);
/* Writes the bucket anew from scratch->kept; without any, its pointers become holes. */
void bucket_store(struct dir_check *dc, const struct bucket_place *pl);
/* Points all words of a place to its bucket, or to nothing. */
void bucket_link(struct dir_check *dc, const struct bucket_place *pl, int linked);

/* An inode's image, by guessing one bit if that is what is wrong. 0: it is not sound. */
int fsck_inode_image(const struct fsck *fk, uint64_t ino, struct pmfs2_inode *out);

#endif
