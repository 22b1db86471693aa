/* SPDX-License-Identifier: BSD-3-Clause */
/* Making a file system: used by mkfs.pmfs2, tests and benchmarks. */
#ifndef PMFS2_MKFS_H
#define PMFS2_MKFS_H

#include <stdint.h>

#include "pmem/pmem.h"
#include "pmfs2/media/format.h"

struct mkfs_params {
	const char *label; /* NULL: none; at most 63 bytes */
	uint8_t uuid[16]; /* all zero: random */
	uint32_t n_rings; /* 0: by size */
	uint32_t ring_blocks; /* 0: by size */
	uint32_t root_uid, root_gid;
};

/*
 * Formats the whole mapping. *out_sb, if not NULL: the superblock as written. -EINVAL: a parameter out of range or a device below
 * 4 MiB; -EFBIG: above 4 PiB.
 * Order: old superblocks wiped, fence; everything, fence; the superblocks, fence. If cut: no file system, never half of one.
 * Durable on return: yes (on a backing file after pmem_sync).
 */
int mkfs_format(struct pmem *pm, const struct mkfs_params *params, struct pmfs2_super *out_sb);

#endif
