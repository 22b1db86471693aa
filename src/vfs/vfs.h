/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every user-space transport needs above a plug-in: the rules of POSIX that are not the plug-in's business (plugin.h,
 * rule 6) and the moving of bytes.
 *
 * New inodes: owner and setgid inheritance, umask, default ACLs, inherited flags. Changes of mode and ACL stay consistent with
 * each other, in one step of the plug-in. Data: loops of io_begin/io_end around copies from and to the device mapping.
 *
 * Permissions are not checked here: the transport's kernel side does that (default_permissions).
 *
 * Locks: one lock of the ACL table (acl_locks) around each read-modify-write of an ACL, held while calling the plug-in. Nothing
 * else is held across calls.
 */
#ifndef VFS_VFS_H
#define VFS_VFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "zus/plugin.h"

struct vfs;

/* fs must outlive the vfs. */
int vfs_new(struct zus_fs *fs, struct vfs **out_vfs);
void vfs_free(struct vfs *vfs);
struct zus_fs *vfs_fs(const struct vfs *vfs);

/* True if name is fit for an entry: 1..255 bytes, no '/', no NUL, neither "." nor "..". */
bool vfs_name_ok(struct zus_name name);

/* --- names ------------------------------------------------------------------------------------------------------------- */

struct vfs_create {
	uint64_t dir;
	struct zus_name name; /* len 0: a regular file without a name (O_TMPFILE) */
	uint32_t mode; /* type and permissions as asked for, before umask */
	uint32_t umask;
	uint32_t uid; /* who creates */
	uint32_t gid;
	uint64_t rdev;
	struct zus_blob symlink;
};

/* Creates any kind of inode. +1 ref. -EINVAL: a mode of no known type, or with other bits. Durable on return: yes. */
int vfs_create(struct vfs *vfs, const struct vfs_create *args, struct zus_attr *out_attr);
/* -EXDEV into a directory that hands down another project id. +1 ref. */
int vfs_link(struct vfs *vfs, uint64_t node, uint64_t dir, struct zus_name name, struct zus_attr *out_attr);
/* The whiteout's owner is ren->whiteout_uid/gid, the group inherited from a setgid directory. */
int vfs_rename(struct vfs *vfs, const struct zus_rename *ren);

/* --- attributes -------------------------------------------------------------------------------------------------------- */

/* As the plug-in's setattr(); a change of mode changes the access ACL too. set->acl must be empty. */
int vfs_setattr(struct vfs *vfs, uint64_t node, const struct zus_setattr *set, struct zus_attr *out_attr);

#define VFS_XATTR_KILL_SGID 1u /* an access ACL clears S_ISGID: the caller is not in the file's group */
/* As the plug-in's setxattr(); ACLs are checked and change the mode. set->set_mode is ignored. */
int vfs_setxattr(struct vfs *vfs, uint64_t node, const struct zus_setxattr *set, uint32_t vfs_flags);
/*
 * As the plug-in's listxattr(). hide_trusted: without the names in "trusted.", which only privileged callers may see; the size that
 * cap 0 asks for then is an upper bound.
 */
int vfs_listxattr(struct vfs *vfs, uint64_t node, char *buf, size_t cap, bool hide_trusted);
int vfs_removexattr(struct vfs *vfs, uint64_t node, struct zus_name name);
/*
 * File capabilities are a privilege too: they go with suid and sgid (vfs_setattr and vfs_write see to that), and with every write,
 * whoever writes, where the kernel does not see to it. Nothing is done where there are none. 0, or why they could not be taken
 * away.
 */
int vfs_drop_capability(struct vfs *vfs, uint64_t node);

/* --- data -------------------------------------------------------------------------------------------------------------- */

/* Extents of one transfer: enough that 512 KiB of single blocks need one. */
#define VFS_N_EXTENTS 128u

struct vfs_range {
	uint64_t node;
	uint64_t off; /* bytes */
	uint64_t len; /* bytes */
	uint32_t flags; /* ZUS_IO_* except ZUS_IO_WRITE */
};

/* Bytes read, fewer only at the end of the file, or a negative errno. */
ssize_t vfs_read(struct vfs *vfs, const struct vfs_range *range, void *buf);
/* Bytes written, or a negative errno when none were. Durable on return: yes. */
ssize_t vfs_write(struct vfs *vfs, const struct vfs_range *range, const void *buf);
/*
 * Copies from src (src->len bytes at most) to dst_node at dst_off; holes stay holes. May stop early: the caller asks again.
 * Bytes copied, 0 at the end of src, or a negative errno.
 */
ssize_t vfs_copy_range(struct vfs *vfs, const struct vfs_range *src, uint64_t dst_node, uint64_t dst_off);

/*
 * Starts a read whose extents the caller uses in place; it fills io->ext and ext_cap. The extents are verified.
 * vfs_read_end() must follow.
 */
int vfs_read_begin(struct vfs *vfs, const struct vfs_range *range, struct zus_io *io);
int vfs_read_end(struct vfs *vfs, struct zus_io *io);

#endif
