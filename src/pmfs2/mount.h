/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening and closing a pmfs2 on mapped memory; the plug-in's mount and tests are built on it. */
#ifndef PMFS2_MOUNT_H
#define PMFS2_MOUNT_H

#include "pmfs2/fs.h"

/*
 * Verifies the superblock, recovers, finishes intents. pm is taken over (closed by fs_close) on success only. flags: ZUS_MOUNT_*.
 * -EINVAL: not a pmfs2; -EUCLEAN: damaged; -EOPNOTSUPP: newer; -EROFS: read-only device that needs recovery. Errors are logged
 * through host (NULL: the program's log) with what, where and what to do.
 */
int fs_open(struct pmem *pm, const struct zus_host *host, uint32_t flags, struct fs **out_fs);
/* Last checkpoint, clean mark. All operations have returned. */
void fs_close(struct fs *fs);
/* Frees without a last checkpoint: what is on media is what a crash of the server would leave. Tests and benchmarks. */
void fs_abandon(struct fs *fs);
/* As fs_abandon, but the device stays: the caller has it back. */
struct pmem *fs_detach(struct fs *fs);

#endif
