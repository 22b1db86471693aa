/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Extended attributes: all of an inode's together in its tail, or, where they do not fit there, in one run of blocks that
 * is replaced whole. A value may have 64 KiB; all of an inode's together 128 KiB (-ENOSPC beyond).
 */
#ifndef PMFS2_XATTR_H
#define PMFS2_XATTR_H

#include "pmfs2/fs.h"
#include "pmfs2/inode.h"
#include "pmfs2/tx.h"

/* meta held. As zus_ops.getxattr and listxattr. */
int xattr_get(struct fs *fs, struct inode *ip, struct zus_name name, void *buf, size_t cap);
int xattr_list(struct fs *fs, struct inode *ip, char *buf, size_t cap);

/*
 * Changes the image (and logs and writes a new block where needed): sets name to value, or removes it where value is NULL.
 * flags: ZUS_XATTR_*. -EEXIST, -ENODATA, -ENOSPC, -EOPNOTSUPP (unknown namespace), -ERANGE. *io_fence is set to 1 if a block was
 * written that needs a fence before the commit.
 */
int xattr_change(struct tx *tx, struct inode_edit *edit, struct zus_name name, const struct zus_blob *value, uint32_t flags,
		 int *io_fence);
/* Frees the xattr block, if any. */
int xattr_free_all(struct tx *tx, struct inode_edit *edit);

#endif
