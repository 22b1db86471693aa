/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where each structure of a seed image is, so that mutations can aim and repair the checksums behind them.
 *
 * Made by a walk of its own over an image that is known to be good: it checks nothing.
 */
#ifndef TESTS_FUZZ_IMAGE_MAP_H
#define TESTS_FUZZ_IMAGE_MAP_H

#include <stddef.h>
#include <stdint.h>

enum region_kind {
	REGION_SUPER, /* block 0 */
	REGION_SUPER_COPY,
	REGION_HORIZON, /* slot that counts */
	REGION_HORIZON_OLD, /* the other slot */
	REGION_STATE_WORDS, /* root of the inode table, number of chunks */
	REGION_STATE_REST,
	REGION_RECORD, /* journal record at or above the horizon */
	REGION_RING, /* the rest of a ring */
	REGION_INTENT_HEAD,
	REGION_INTENT, /* slot in use */
	REGION_INTENT_FREE,
	REGION_BITMAP, /* words that stand for blocks */
	REGION_BITMAP_REST,
	REGION_CHUNK,
	REGION_INODE,
	REGION_INODE_FREE, /* slot of a chunk */
	REGION_MAP_NODE, /* of a file or of the inode table (owner 0) */
	REGION_DIR_NODE,
	REGION_BUCKET,
	REGION_XATTR,
	REGION_TARGET, /* symlink target in a block */
	REGION_DATA,
	REGION_KINDS,
};

struct region {
	enum region_kind kind;
	uint32_t len; /* bytes */
	uint64_t off; /* bytes from the image's start */
	uint64_t owner; /* inode number; INODE: its own */
	uint32_t level; /* MAP_NODE */
	uint64_t index; /* MAP_NODE: first file block or chunk that it covers */
};

#define IMAGE_MAP_REGIONS 8192u

struct image_map {
	uint32_t n;
	uint32_t of_kind[REGION_KINDS + 1]; /* regions are sorted by kind: [of_kind[k], of_kind[k + 1]) */
	struct region regions[IMAGE_MAP_REGIONS];
};

/* image: SEED_BYTES bytes of a good image. */
void image_map_make(struct image_map *map, const uint8_t *image);
const char *region_name(enum region_kind kind);

/*
 * Makes every checksum of the region right for what stands in it now; entries: also those of the map entries in it (words that
 * are not 0). Bounds every length that it reads from the image by the region. journal_seed: of the superblock as the seed has it.
 */
void region_seal(uint8_t *image, const struct region *r, uint32_t journal_seed);
/* Position of the map entry in word number `word` of a NODE region, or of a pointer word of an inode (its offset / 8). */
struct entry_pos;
int region_entry_pos(const struct region *r, uint32_t word, struct entry_pos *out);

#endif
