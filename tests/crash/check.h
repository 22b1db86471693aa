/* SPDX-License-Identifier: BSD-3-Clause */
/* What an image must stand: mount, fsck, use to the end. */
#ifndef CRASH_CHECK_H
#define CRASH_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "pmem/pmem.h"
#include "zus/plugin.h"

struct fs;

/* Where messages of a check go. */
struct check_text {
	char *buf;
	size_t cap;
};

/* Mounts the device as after a crash; what the engine logs as an error is in log. 0 or -errno, said in why. */
int check_mount(struct pmem *pm, struct check_text why, struct zus_fs **out_fs);
/* Ends the mount without another store. */
void check_detach(struct zus_fs *fs);
/* Some blocks into an empty file. 0 or -errno. */
int check_write(struct zus_fs *fs, uint64_t node);
/* fsck finds nothing on a device at rest (nobody is in the midst of an operation). 0, or 1 and why. */
int check_fsck(struct pmem *pm, struct check_text why);
/*
 * Makes a file in every directory and writes to it, then deletes everything; then only what an empty file system keeps may be in
 * use. empty_free: free blocks of the file system right behind mkfs. 0, or 1 and why.
 */
int check_usable(struct zus_fs *fs, uint64_t empty_free, struct check_text why);

/* The bitmaps on media say that the block is free. ctx: a struct zus_fs. */
int check_block_is_free(void *ctx, uint64_t block);
/* Blocks that stay in use: inode chunks beyond the first, the nodes of their tree, chained intent blocks. */
uint64_t check_kept_blocks(const struct fs *fs);

#endif
