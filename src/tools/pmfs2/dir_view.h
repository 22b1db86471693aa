/* SPDX-License-Identifier: BSD-3-Clause */
/* Directories of an image: one pointer, one bucket, one name. */
#ifndef TOOLS_PMFS2_DIR_VIEW_H
#define TOOLS_PMFS2_DIR_VIEW_H

#include "image.h"
#include "pmfs2/dir_bucket.h"

/* A block-sized copy of a bucket. */
struct bucket_view {
	union {
		struct pmfs2_bucket head;
		uint8_t bytes[PMFS2_BLOCK_SIZE];
	};
	uint32_t depth;
	uint64_t prefix;
};

/* A pointer (not 0) of directory owner at a level (-1: the root word). NULL, or what is wrong with it. */
const char *dir_view_pointer(const struct image *img, uint64_t owner, uint64_t word, int level, struct entry *out);
/* Copies the bucket that a pointer at a level leads to for a hash. NULL, or what is wrong with its header. */
const char *dir_view_bucket(const struct image *img, uint64_t owner, uint64_t block, int level, uint64_t hash,
			    struct bucket_view *out);
/* 0 and the entry; -ENOENT; -EUCLEAN (said). */
int dir_view_find(struct image *img, const struct pmfs2_inode *dir, struct zus_name name, uint64_t *out_ino, uint32_t *out_type);

#endif
