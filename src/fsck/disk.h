/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device as fsck sees it: what is mapped, and over it private copies of the blocks that a journal replay would change, where
 * nothing may be stored.
 *
 * Rules: a block number is bounded (disk_block_ok) before it becomes an address; a structure of several blocks is read block by
 * block, since any of them may be a private copy.
 */
#ifndef FSCK_DISK_H
#define FSCK_DISK_H

#include <stdint.h>

#include "base/util.h"
#include "pmem/pmem.h"
#include "pmfs2/media/entry.h"
#include "pmfs2/media/format.h"

struct disk {
	struct pmem *pm;
	struct pmfs2_super sb; /* the good copy */
	uint64_t n_blocks;
	uint64_t data_block;
	uint64_t hash_key[2];
	/* private copies: open addressing by block number, 0: a free place */
	uint64_t *copy_block;
	uint8_t **copy_page;
	uint64_t n_copies, cap_copies; /* cap: a power of two, or 0 */
};

void disk_fini(struct disk *disk);
/* A private copy of the block from now on. NULL: no memory. */
uint8_t *disk_copy_block(struct disk *disk, uint64_t block);
const void *disk_block_copied(const struct disk *disk, uint64_t block);

static inline const void *disk_block(const struct disk *disk, uint64_t block)
{
	if (unlikely(disk->n_copies))
		return disk_block_copied(disk, block);
	return disk->pm->base + (block << PMFS2_BLOCK_SHIFT);
}
/* True if [block, block + n) lies in the data area, where trees may point to. */
static inline int disk_block_ok(const struct disk *disk, uint64_t block, uint64_t n)
{
	return block >= disk->data_block && block < disk->n_blocks - 1 && n <= disk->n_blocks - 1 - block;
}
/* The word of the bitmaps that holds a block's bit. */
static inline const le64 *disk_bitmap_word(const struct disk *disk, uint64_t block)
{
	uint64_t first = le64_get(disk->sb.segments[0].bitmap_block);

	return (const le64 *)disk_block(disk, first + block / PMFS2_GROUP_BLOCKS) + block % PMFS2_GROUP_BLOCKS / 64;
}
static inline int disk_bitmap_test(const struct disk *disk, uint64_t block)
{
	return le64_get(*disk_bitmap_word(disk, block)) >> (block % 64) & 1;
}

/*
 * Gives mapped pages of the device back, if more than `bytes` of this process are in core. Only where the mapping is of a file or
 * device, which keeps them.
 */
void disk_trim(const struct disk *disk, uint64_t bytes);

#endif
