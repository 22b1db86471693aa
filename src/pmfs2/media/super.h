/* SPDX-License-Identifier: BSD-3-Clause */
/* The superblock: verification, sealing, finding the valid copy. */
#ifndef PMFS2_MEDIA_SUPER_H
#define PMFS2_MEDIA_SUPER_H

#include "pmfs2/media/format.h"

#define PMFS2_BLOCKS_MIN 1024u /* 4 MiB */

void super_seal(struct pmfs2_super *sb);

/*
 * Verifies a copy of a superblock in DRAM against a device of dev_blocks blocks. 0, or
 * -EINVAL: not a pmfs2 superblock; -EUCLEAN: damaged; -EOPNOTSUPP: newer format or unknown incompat feature; -ENOSPC: the device is
 * smaller than the file system. *out_why: what is wrong, a constant string.
 */
int super_verify(const struct pmfs2_super *sb, uint64_t dev_blocks, const char **out_why);

/*
 * Copies the valid superblock of a mapped device: the one in block 0, else the copy in the last block (*out_used_copy = 1).
 * Errors as super_verify gave for block 0.
 */
int super_read(const void *base, uint64_t dev_bytes, struct pmfs2_super *out, int *out_used_copy, const char **out_why);

#endif
