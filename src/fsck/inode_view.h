/* SPDX-License-Identifier: BSD-3-Clause */
/* One inode that is being checked: a copy of its image that is put right step by step, and stored at the end if that was wanted.
 */
#ifndef FSCK_INODE_VIEW_H
#define FSCK_INODE_VIEW_H

#include "fsck/fix.h"
#include "pmfs2/map.h"

#define XATTR_BYTES_MAX (PMFS2_XATTR_BLOCKS_MAX * PMFS2_BLOCK_SIZE)

struct inode_view {
	struct fsck *fk;
	uint64_t ino;
	const struct pmfs2_inode *media;
	struct pmfs2_inode image;
	int dirty; /* image is to be stored */
	uint64_t blocks; /* counted so far */
	const struct pmfs2_intent *intent; /* its own, NULL: none */
	uint32_t intent_kind; /* of it, 0: none */
	uint32_t kept_before; /* fk->round_kept when its check began */
};

/* Memory of a thread. */
struct inode_scratch {
	struct entry nodes[PMFS2_HEIGHT_MAX][PMFS2_BLOCK_WORDS];
	uint8_t xattrs[XATTR_BYTES_MAX] __attribute__((aligned(8)));
};

/*
 * A problem of this inode that is repaired by a change of its image: 1 if the image is to be changed now, be it to store it later
 * or only to go on with what a repair would make of it.
 */
#define inode_view_found(iv, code, ...) inode_view_decide((iv), fsck_found((iv)->fk, (code), __VA_ARGS__))
static inline int inode_view_decide(struct inode_view *iv, int fix)
{
	iv->dirty |= fix;
	return fix || !iv->fk->fixing;
}

/* When the check of an inode begins. Only repair rounds, which have one thread, look at what is kept. */
static inline void inode_view_begin(struct inode_view *iv)
{
	iv->kept_before = iv->fk->fixing ? iv->fk->round_kept : 0;
}
/* Around the comparison of counts: while something that was counted is left damaged, a count is only said to be wrong. */
static inline void inode_view_hold(struct inode_view *iv)
{
	if (iv->fk->fixing)
		iv->fk->hands_off = iv->fk->round_kept != iv->kept_before;
}
static inline void inode_view_release(struct inode_view *iv)
{
	if (iv->fk->fixing)
		iv->fk->hands_off = 0;
}

/* The tree of a file or a long symlink: entries, claims, blocks. */
void tree_check(struct inode_view *iv, struct inode_scratch *scratch);
/* Extended attributes: pointer, block, records, claims, blocks. */
void xattr_check(struct inode_view *iv, struct inode_scratch *scratch);
/* Count of blocks, then the image is stored if that was wanted. */
void inode_view_finish(struct inode_view *iv);

/*
 * Claims n blocks of metadata. 1: other metadata are there; said as a problem of `what`, and *out_fix says whether the pointer is
 * to be cleared on media. 0: go on. That data are there is a problem too, but theirs: they give way in a repair.
 */
int claim_meta(struct inode_view *iv, uint64_t block, uint32_t n, const char *what, int *out_fix);

#endif
