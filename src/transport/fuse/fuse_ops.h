/* SPDX-License-Identifier: BSD-3-Clause */
/* The operations, each serving one decoded request, and what they share. */
#ifndef FUSE_OPS_H
#define FUSE_OPS_H

#include "transport/fuse/fuse_conn.h"

/* Names (fuse_ops_name.c). */
int fuse_op_lookup(struct fuse_task *task);
int fuse_op_mknod(struct fuse_task *task);
int fuse_op_mkdir(struct fuse_task *task);
int fuse_op_symlink(struct fuse_task *task);
int fuse_op_create(struct fuse_task *task);
int fuse_op_tmpfile(struct fuse_task *task);
int fuse_op_link(struct fuse_task *task);
int fuse_op_unlink(struct fuse_task *task);
int fuse_op_rmdir(struct fuse_task *task);
int fuse_op_rename(struct fuse_task *task);
int fuse_op_rename2(struct fuse_task *task);
int fuse_op_readlink(struct fuse_task *task);
int fuse_op_forget(struct fuse_task *task);
int fuse_op_batch_forget(struct fuse_task *task);

/* Attributes (fuse_ops_attr.c). */
int fuse_op_getattr(struct fuse_task *task);
int fuse_op_setattr(struct fuse_task *task);
int fuse_op_statx(struct fuse_task *task);
int fuse_op_statfs(struct fuse_task *task);

/* xattrs (fuse_ops_xattr.c). */
int fuse_op_setxattr(struct fuse_task *task);
int fuse_op_getxattr(struct fuse_task *task);
int fuse_op_listxattr(struct fuse_task *task);
int fuse_op_removexattr(struct fuse_task *task);

/* Flags (fuse_ops_ioctl.c). */
int fuse_op_ioctl(struct fuse_task *task);

/* Directories (fuse_ops_dir.c). */
int fuse_op_opendir(struct fuse_task *task);
int fuse_op_readdir(struct fuse_task *task);
int fuse_op_readdirplus(struct fuse_task *task);
/* Gives back the references in the entries of an undelivered answer. */
void fuse_readdirplus_undeliver(struct fuse_task *task);

/* Data (fuse_ops_data.c). */
int fuse_op_open(struct fuse_task *task);
int fuse_op_read(struct fuse_task *task);
int fuse_op_write(struct fuse_task *task);
int fuse_op_fallocate(struct fuse_task *task);
int fuse_op_lseek(struct fuse_task *task);
int fuse_op_copy_file_range(struct fuse_task *task);
int fuse_op_copy_file_range_64(struct fuse_task *task);
int fuse_op_fsync(struct fuse_task *task);
int fuse_op_syncfs(struct fuse_task *task);

/* Zeroed room for an answer of len bytes, which becomes out_len. Invalidates the request's names and data. */
void *fuse_task_answer(struct fuse_task *task, uint32_t len);
void fuse_attr_fill(struct fuse_attr *out, const struct zus_attr *attr);
/*
 * How long the kernel may keep attributes: for ever, but not those of a set-id program. A direct write by others takes the bits
 * away here, without the kernel's copy of the mode: it has to ask again before it runs the program.
 */
uint64_t fuse_attr_valid_s(uint32_t mode);
/* With the longest validity. */
void fuse_entry_fill(struct fuse_entry_out *out, const struct zus_attr *attr);

#endif
