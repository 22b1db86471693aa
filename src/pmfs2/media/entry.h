/* SPDX-License-Identifier: BSD-3-Clause */
/* Map entries: packing, unpacking and checking the tree words of format.h. */
#ifndef PMFS2_MEDIA_ENTRY_H
#define PMFS2_MEDIA_ENTRY_H

#include "base/crc32c.h"
#include "pmfs2/media/format.h"

/* Where a map entry stands. Directories: level and index are 0. Root words: level = height, index = 0. */
struct entry_pos {
	uint64_t owner; /* inode number */
	uint32_t level; /* of the node that the entry stands in (1 = the lowest), a root word: its height */
	uint64_t index; /* number of the file block that the entry's range begins with */
};

struct entry {
	uint64_t block;
	enum pmfs2_entry_kind kind;
	int unwritten;
	uint32_t height;
};

static inline uint64_t entry_check(const struct entry_pos *pos, uint64_t low48)
{
	uint32_t crc = crc32c_u64(~0u, pos->owner | (uint64_t)pos->level << 56);

	crc = crc32c_u64(crc, pos->index);
	crc = crc32c_u64(crc, low48);
	return (uint64_t)((crc ^ crc >> 16) & 0xffff) << PMFS2_ENTRY_CHECK_SHIFT;
}

static inline uint64_t entry_pack(const struct entry_pos *pos, const struct entry *e)
{
	uint64_t low = (e->block & PMFS2_ENTRY_BLOCK_MASK) | (uint64_t)e->kind << PMFS2_ENTRY_KIND_SHIFT |
		       (e->unwritten ? PMFS2_ENTRY_UNWRITTEN : 0) | (uint64_t)e->height << PMFS2_ENTRY_HEIGHT_SHIFT;

	return low | entry_check(pos, low);
}

/*
 * Unpacks word (not 0). 1 if the check is right, 0 if the word is damaged. Bounds of the block number against the file system are
 * the caller's (fs_block_ok).
 */
static inline int entry_unpack(const struct entry_pos *pos, uint64_t word, struct entry *out)
{
	uint64_t low = word & ((1ull << PMFS2_ENTRY_CHECK_SHIFT) - 1);

	out->block = low & PMFS2_ENTRY_BLOCK_MASK;
	out->kind = (enum pmfs2_entry_kind)(low >> PMFS2_ENTRY_KIND_SHIFT & 7);
	out->unwritten = (low & PMFS2_ENTRY_UNWRITTEN) != 0;
	out->height = (uint32_t)(low >> PMFS2_ENTRY_HEIGHT_SHIFT & 15);
	return entry_check(pos, low) == (word & 0xffffull << PMFS2_ENTRY_CHECK_SHIFT);
}

#endif
