/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pmfs2 that is looked at without mounting it: read-only, nothing trusted, nothing recovered.
 *
 * Rules:
 *  1. A structure is copied once, checked, and only the copy is used: the image may be hostile, or mounted and changing.
 *  2. A block number is bounded (image_block_ok) before it becomes an address.
 *  3. Walks do not recurse, and visit each block once (image_visit): no tree can make them endless.
 *  4. What is damaged is said where it is met, and the walk goes on behind it; the program then ends with EXIT_DAMAGED.
 */
#ifndef TOOLS_PMFS2_IMAGE_H
#define TOOLS_PMFS2_IMAGE_H

#include <stdint.h>

#include "pmem/pmem.h"
#include "pmfs2/media/entry.h"
#include "pmfs2/media/format.h"

struct image {
	const char *path;
	struct pmem *pm;
	struct pmfs2_super sb; /* the valid copy */
	int used_copy; /* sb is the one in the last block */
	uint64_t n_blocks;
	uint64_t data_block;
	uint64_t *seen; /* a bit for each block, made when first needed; NULL: none yet */
	int damaged;
};

#define IMAGE_WRITE 1u /* exclusive, to change the superblocks */
#define IMAGE_WHILE_MOUNTED 2u /* do not lock, do not look for mounts */

/* 0 or an exit code; says what is wrong. */
int image_open(const char *path, unsigned int flags, struct image *out);
void image_close(struct image *img);

static inline const void *image_block(const struct image *img, uint64_t block)
{
	return img->pm->base + (block << PMFS2_BLOCK_SHIFT);
}
/* True if [block, block + n) lies in the data area, where trees may point to. */
static inline int image_block_ok(const struct image *img, uint64_t block, uint64_t n)
{
	return block >= img->data_block && block < img->n_blocks - 1 && n <= img->n_blocks - 1 - block;
}

/* 0: not visited since image_visit_reset; 1: a second time, and says so as damage. */
int image_visit(struct image *img, uint64_t block, const char *what);
void image_visit_reset(struct image *img);

/* Prints "DAMAGED: ..." where the dump stands, and remembers it. */
void image_damage(struct image *img, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Copies an inode. 0: it is sound; -ENOENT: its number is not in the table; -EUCLEAN: the way to it or itself is damaged (said).
 * *out_off: where it stands, bytes; 0 if it was not reached.
 */
int image_inode(struct image *img, uint64_t ino, struct pmfs2_inode *out, uint64_t *out_off);

/* The blocks of xattrs that an inode points to. */
struct image_xattrs {
	uint64_t block; /* the first */
	uint32_t n_blocks;
	uint32_t used; /* bytes of records */
	const uint8_t *records;
};

/* word: pmfs2_inode.xattr, not 0. -EUCLEAN: it or the blocks are damaged (said). */
int image_xattrs(struct image *img, uint64_t ino, uint64_t word, struct image_xattrs *out);

/* "2026-11-22 20:13:04.123456789 UTC" of a time on media. */
#define IMAGE_TIME_LEN 64
const char *image_time(uint64_t media_time, char buf[IMAGE_TIME_LEN]);

/* "file", "directory", ... of a mode; "file", "dir", ... of a DT_* type. */
const char *image_mode_name(uint32_t mode);
const char *image_type_name(uint32_t type);

#endif
