/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Block allocation. Bitmaps on media change only through transactions (tx_use, tx_free); here is the view in DRAM, loaded group by
 * group when first touched: what is used on media, plus what is reserved by operations under way, plus what rests in limbo.
 */
#ifndef PMFS2_ALLOC_H
#define PMFS2_ALLOC_H

#include "pmfs2/fs.h"
#include "pmfs2/tx.h"

#define ALLOC_HUGE 1u /* exactly 512 blocks, 512-aligned, or -ENOSPC */
#define ALLOC_RESERVE 2u /* may use the last blocks kept for operations that free space */
#define ALLOC_CHUNK 4u /* exactly PMFS2_CHUNK_BLOCKS, aligned to it */
#define ALLOC_EXACT 8u /* exactly want blocks (at most PMFS2_GROUP_BLOCKS), or -ENOSPC */

/* free_blocks: as recovered. */
int alloc_new(struct fs *fs, uint64_t free_blocks, struct alloc **out);
void alloc_free(struct alloc *al);

/*
 * Reserves up to want contiguous blocks (at least 1; exact with ALLOC_HUGE, ALLOC_CHUNK, ALLOC_EXACT), near goal if it is not 0
 * (best: the run begins at goal). -ENOSPC. Volatile until a transaction uses the run; alloc_cancel gives it back unused.
 */
int alloc_run(struct fs *fs, uint64_t goal, uint64_t want, uint32_t flags, struct run *out_run);
void alloc_cancel(struct fs *fs, struct run run);

/*
 * Before a commit that frees run: its groups' view in DRAM is loaded while media still has the bits set. Without that, a group that
 * is first loaded after the commit would show blocks in limbo as free. -ENOMEM.
 */
int alloc_prepare_free(struct fs *fs, struct run run);

/* Called by the journal: the run was freed by a durable transaction, and may be used again. */
void alloc_release(struct fs *fs, struct run run);

/* Bitmap word on media of a block, and its bit; n_bits = how many blocks from there on share the word. */
const le64 *alloc_bitmap_word(const struct fs *fs, uint64_t block, uint32_t *out_bit);

/* Blocks free now (limbo counts as free). And for ordinary users of the disk: less the reserve. */
uint64_t alloc_free_blocks(const struct fs *fs);
uint64_t alloc_avail_blocks(const struct fs *fs);
/* Called at commit: the number of free blocks changes by delta. */
void alloc_count(struct fs *fs, int64_t delta);

#endif
