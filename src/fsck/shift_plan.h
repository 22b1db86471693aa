/* SPDX-License-Identifier: BSD-3-Clause */
/* An unfinished collapse or insert of a file (see pmfs2/file_shift.c): what its intent says of the file's blocks. */
#ifndef FSCK_SHIFT_PLAN_H
#define FSCK_SHIFT_PLAN_H

#include <stdint.h>

#include "pmfs2/media/format.h"

/* All in file blocks. */
struct shift_plan {
	int insert;
	uint64_t edge; /* where the range begins */
	uint64_t n; /* its length */
	uint64_t cursor; /* how far entries have been moved */
	uint64_t end; /* first block wholly behind the end of the file, once it is done */
};

/* Reads a slot of kind SHIFT. 0 if mount would refuse to go on with it for this inode. */
int shift_plan_read(const struct pmfs2_intent *it, const struct pmfs2_inode *inode, struct shift_plan *out);
/*
 * True if an entry for the blocks [first, first + n) can stand there while the shift is under way. Otherwise it is in the gap, or
 * it would have to be moved in parts, or to behind the largest file.
 */
int shift_plan_fits(const struct shift_plan *plan, uint64_t first, uint64_t n);
/* Where the block that stands at `at` will be; UINT64_MAX: it is going to be freed. */
uint64_t shift_plan_final(const struct shift_plan *plan, uint64_t at);

#endif
