/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The interface between the server (zusd) and a file system plug-in.
 *
 * A plug-in is a shared object that exports one symbol, zus_plugin. It answers *where* the bytes of a file are (io_begin, io_end);
 * the server and its transports move them. A plug-in never sees file data, and never sees who asked through which transport.
 *
 * Rules, both sides:
 *  1. Every operation may be called from any thread, and several at once, on one mount.
 *  2. Results are 0 (or a count where documented) or a negative errno. Outputs are written only on success.
 *  3. A node id is the plug-in's opaque handle of an inode: inode number and generation in one word, never a pointer. It stays
 *     valid over a restart of the server. A node id that means nothing (any more) gets -ESTALE. The root is ZUS_NODE_ROOT.
 *  4. Operations that return a struct zus_attr for a node under "+1 ref" take one reference on it for the caller. forget() gives
 *     references back. An inode without links is freed when its last reference is given back; until then it works as before.
 *  5. Names are not NUL-terminated. The server checks them: 1..255 bytes, no '/', no NUL, neither "." nor "..". lookup() alone
 *     may be given "." (of any inode: how a file handle finds back to it) and "..".
 *  6. Permissions, sticky bits, ACL inheritance, umask, setgid inheritance are the server's (or the kernel's) work; the plug-in
 *     stores what it is told. The plug-in enforces ZUS_FL_IMMUTABLE and ZUS_FL_APPEND (-EPERM), and read-only mounts (-EROFS).
 *  7. An operation that changed something is durable when it returns, unless the plug-in says ZUS_PLUGIN_VOLATILE.
 */
#ifndef ZUS_PLUGIN_H
#define ZUS_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#define ZUS_PLUGIN_ABI 1u

#define ZUS_NODE_ROOT 1ull
#define ZUS_NAME_MAX 255u
#define ZUS_XATTR_SIZE_MAX 65536u

struct zus_fs;

struct zus_name {
	const char *str;
	uint32_t len;
};

struct zus_blob {
	const void *data;
	uint32_t len;
};

struct zus_time {
	int64_t sec;
	uint32_t nsec;
};

/* Inode flags, the values of FS_*_FL of <linux/fs.h>. */
#define ZUS_FL_SYNC 0x00000008u
#define ZUS_FL_IMMUTABLE 0x00000010u
#define ZUS_FL_APPEND 0x00000020u
#define ZUS_FL_NODUMP 0x00000040u
#define ZUS_FL_NOATIME 0x00000080u
#define ZUS_FL_DIRSYNC 0x00010000u
#define ZUS_FL_PROJINHERIT 0x20000000u
#define ZUS_FL_USER                                                                                                                \
	(ZUS_FL_SYNC | ZUS_FL_IMMUTABLE | ZUS_FL_APPEND | ZUS_FL_NODUMP | ZUS_FL_NOATIME | ZUS_FL_DIRSYNC | ZUS_FL_PROJINHERIT)

struct zus_attr {
	uint64_t node; /* handle, rule 3 */
	uint64_t ino; /* st_ino */
	uint64_t size; /* bytes */
	uint64_t blocks; /* in 512-byte units, as st_blocks */
	uint64_t rdev; /* Linux dev_t, makedev(3) */
	uint32_t generation;
	uint32_t mode; /* type and permissions */
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint32_t blksize; /* bytes */
	uint32_t flags; /* ZUS_FL_* */
	uint32_t projid;
	struct zus_time atime, mtime, ctime, btime;
};

/* What setattr() shall change. */
#define ZUS_SET_MODE 0x001u
#define ZUS_SET_UID 0x002u
#define ZUS_SET_GID 0x004u
#define ZUS_SET_SIZE 0x008u
#define ZUS_SET_ATIME 0x010u
#define ZUS_SET_MTIME 0x020u
#define ZUS_SET_ATIME_NOW 0x040u
#define ZUS_SET_MTIME_NOW 0x080u
#define ZUS_SET_FLAGS 0x100u /* those of ZUS_FL_USER */
#define ZUS_SET_PROJID 0x200u
#define ZUS_SET_ACL 0x400u /* replace system.posix_acl_access by acl; empty blob: remove it */
#define ZUS_SET_KILL_PRIV 0x800u /* clear S_ISUID, and S_ISGID if S_IXGRP is set; not on directories */

struct zus_setattr {
	uint32_t valid; /* ZUS_SET_* */
	uint32_t mode; /* permission bits; the type is kept */
	uint32_t uid;
	uint32_t gid;
	uint32_t flags;
	uint32_t projid;
	uint64_t size; /* bytes; above zus_fs.max_file_size: -EFBIG */
	struct zus_time atime, mtime;
	struct zus_blob acl;
};

/* A new inode. Everything is decided by the caller; the plug-in stores it, in one atomic step with the name. */
struct zus_new {
	uint32_t mode; /* type and permissions, final */
	uint32_t uid;
	uint32_t gid;
	uint32_t flags; /* inherited ZUS_FL_* */
	uint32_t projid;
	uint64_t rdev;
	struct zus_blob symlink; /* target, S_IFLNK only; 1..4095 bytes */
	struct zus_blob acl_access; /* system.posix_acl_access, or empty */
	struct zus_blob acl_default; /* system.posix_acl_default, or empty */
};

struct zus_statfs {
	uint64_t blocks; /* in units of bsize */
	uint64_t bfree;
	uint64_t bavail;
	uint64_t files;
	uint64_t ffree;
	uint32_t bsize; /* bytes */
	uint32_t namelen;
	uint64_t fsid;
};

/* rename() flags, the values of renameat2(2). */
#define ZUS_RENAME_NOREPLACE 1u
#define ZUS_RENAME_EXCHANGE 2u
#define ZUS_RENAME_WHITEOUT 4u

struct zus_rename {
	uint64_t old_dir;
	uint64_t new_dir;
	struct zus_name old_name;
	struct zus_name new_name;
	uint32_t flags;
	uint32_t whiteout_uid; /* owner of the whiteout, ZUS_RENAME_WHITEOUT only */
	uint32_t whiteout_gid;
};

/* --- data ------------------------------------------------------------------------------------------------------------------- */

#define ZUS_EXT_HOLE 1u /* read: no block here, reads as zeros; dev_off is meaningless */
#define ZUS_EXT_SHARED 2u /* may not be written in place by a holder that keeps it (reserved for clones, snapshots) */
#define ZUS_EXT_UNWRITTEN 4u /* with HOLE, and only if ZUS_IO_UNWRITTEN asked: it has its blocks already, at dev_off */

struct zus_extent {
	uint64_t len; /* bytes, > 0 */
	uint64_t dev_off; /* bytes from zus_fs.base */
	uint32_t flags; /* ZUS_EXT_* */
	uint32_t pad;
};

#define ZUS_IO_WRITE 1u
#define ZUS_IO_KILL_PRIV 2u /* write: clear suid/sgid as ZUS_SET_KILL_PRIV */
#define ZUS_IO_SYNC 4u /* O_SYNC or O_DSYNC (no difference where rule 7 holds) */
#define ZUS_IO_NOATIME 8u
#define ZUS_IO_UNWRITTEN 16u /* read: tell preallocated blocks from holes; a plug-in may ignore it */

/*
 * One transfer between io_begin() and io_end(). The caller fills node, off, len, flags, ext, ext_cap; io_begin() fills the rest.
 * The extents lie one behind the other from off on; their lengths add up to mapped, which may be less than len (end of file on
 * reads; more extents than ext_cap): the caller goes on with a new transfer where this one ended. The structure must not move
 * between begin and end: the plug-in may have linked priv into a list. A thread has at most one transfer open, and calls nothing
 * else of the plug-in but dev_write until it has ended.
 */
struct zus_io {
	uint64_t node;
	uint64_t off; /* bytes */
	uint64_t len; /* bytes */
	uint32_t flags; /* ZUS_IO_* */
	uint32_t ext_cap; /* room in ext, at least 1 */
	struct zus_extent *ext;
	uint32_t n_ext;
	uint32_t pad;
	uint64_t mapped; /* bytes covered by ext; 0 on reads: end of file */
	uint64_t priv[16]; /* the plug-in's own, between begin and end */
};

/* seek() */
#define ZUS_SEEK_DATA 3
#define ZUS_SEEK_HOLE 4

/* readdir(): emit returns false when its buffer is full; the entry then was not taken and is the first of the next call. */
struct zus_dirent {
	struct zus_name name;
	uint64_t ino;
	uint64_t node;
	uint64_t next_cookie; /* where to go on behind this entry; 63 bits, never 0 */
	uint32_t type; /* DT_* of <dirent.h> */
};
typedef int (*zus_emit_fn)(void *ctx, const struct zus_dirent *entry, const struct zus_attr *attr);

/* xattr flags, the values of setxattr(2) */
#define ZUS_XATTR_CREATE 1u
#define ZUS_XATTR_REPLACE 2u

struct zus_setxattr {
	struct zus_name name; /* whole, "user.foo" */
	struct zus_blob value;
	uint32_t flags; /* ZUS_XATTR_* */
	uint32_t set_mode; /* not 0: also set the permission bits to mode, in the same atomic step (ACLs) */
	uint32_t mode;
};

/* --- a mounted file system -------------------------------------------------------------------------------------------------- */

#define ZUS_MOUNT_RDONLY 1u
#define ZUS_MOUNT_NOATIME 2u
#define ZUS_MOUNT_STRICTATIME 4u /* neither: relatime */
#define ZUS_MOUNT_NODIRATIME 8u
/* mount() only: the kernel still has files of it open; what has no name is kept until remount() is called without this flag. */
#define ZUS_MOUNT_KEEP_ORPHANS 16u

/* What the server offers to a plug-in. */
struct zus_host {
	uint32_t abi; /* ZUS_PLUGIN_ABI */
	void *ctx;
	/* level: 0 error, 1 warning, 2 notice, 3 info, 4 debug. msg is one line without newline. */
	void (*log)(void *ctx, int level, const char *msg);
	/* Takes back every extent given out for [off, off + len) of node; returns when no holder uses them. May be NULL. */
	void (*invalidate)(void *ctx, uint64_t node, uint64_t off, uint64_t len);
};

struct zus_mount_args {
	const char *device; /* path; NULL for file systems without one */
	const char *options; /* "name=value,..." that the server did not know itself; "" if none */
	uint32_t flags; /* ZUS_MOUNT_* */
	uint32_t pad;
	const struct zus_host *host; /* valid until unmount returns */
	void *dev_base; /* the device mapped by a transport, or NULL: the plug-in maps it */
	uint64_t dev_size;
};

struct zus_ops;

/* Embedded in the plug-in's own structure as its first member; filled by mount(). */
struct zus_fs {
	const struct zus_ops *ops;
	void *base; /* what zus_extent.dev_off counts from; stays mapped until unmount() */
	uint64_t size; /* bytes mapped at base */
	uint64_t max_file_size; /* bytes */
	uint32_t flags; /* ZUS_MOUNT_* in force */
	uint32_t time_gran_ns;
	char uuid[37];
	char notice[256]; /* one line for the person who mounts, or "" */
};

/*
 * Operations. Optional ones may be NULL (-EOPNOTSUPP, or as said). "dir" is a node id of a directory.
 * attr out-parameters marked +1 ref: see rule 4.
 */
struct zus_ops {
	/* Ends the mount; the caller has stopped all calls. Frees fs. */
	void (*unmount)(struct zus_fs *fs);
	/* Changes ZUS_MOUNT_* flags. */
	int (*remount)(struct zus_fs *fs, uint32_t flags);
	int (*statfs)(struct zus_fs *fs, struct zus_statfs *out);
	/* Everything durable (syncfs); needed only where a plain store is not (backing files). */
	int (*sync)(struct zus_fs *fs);
	/* One line for the mount table or status: NUL-terminated, may be NULL. */
	int (*show)(struct zus_fs *fs, char *buf, size_t cap);

	int (*lookup)(struct zus_fs *fs, uint64_t dir, struct zus_name name, struct zus_attr *out_attr); /* +1 ref */
	int (*getattr)(struct zus_fs *fs, uint64_t node, struct zus_attr *out_attr);
	int (*setattr)(struct zus_fs *fs, uint64_t node, const struct zus_setattr *set, struct zus_attr *out_attr);
	/* -EEXIST if the name is there. */
	int (*create)(struct zus_fs *fs, uint64_t dir, struct zus_name name, const struct zus_new *new,
		      struct zus_attr *out_attr); /* +1 ref */
	/* A regular file without a name; link() may give it one. dir: where its blocks should be near to. */
	int (*tmpfile)(struct zus_fs *fs, uint64_t dir, const struct zus_new *new, struct zus_attr *out_attr); /* +1 ref */
	int (*link)(struct zus_fs *fs, uint64_t node, uint64_t dir, struct zus_name name, struct zus_attr *out_attr); /* +1 ref */
	int (*unlink)(struct zus_fs *fs, uint64_t dir, struct zus_name name); /* -EISDIR */
	int (*rmdir)(struct zus_fs *fs, uint64_t dir, struct zus_name name); /* -ENOTDIR, -ENOTEMPTY */
	int (*rename)(struct zus_fs *fs, const struct zus_rename *ren);
	/* Copies at most cap bytes of the target, returns its length. */
	int (*readlink)(struct zus_fs *fs, uint64_t node, char *buf, size_t cap);
	/*
	 * Emits entries behind cookie (0: from the start), "." and ".." included, until emit returns false or the end. With
	 * with_attr, emit gets the attributes too (+1 ref for each entry taken, except "." and "..").
	 */
	int (*readdir)(struct zus_fs *fs, uint64_t dir, uint64_t cookie, int with_attr, zus_emit_fn emit, void *ctx);
	void (*forget)(struct zus_fs *fs, uint64_t node, uint64_t n_refs);

	/* cap 0: returns the size needed. -ERANGE if cap is too small, -ENODATA. Names are whole ("user.foo"). */
	int (*getxattr)(struct zus_fs *fs, uint64_t node, struct zus_name name, void *buf, size_t cap);
	int (*setxattr)(struct zus_fs *fs, uint64_t node, const struct zus_setxattr *set);
	int (*listxattr)(struct zus_fs *fs, uint64_t node, char *buf, size_t cap); /* names, each NUL-terminated */
	int (*removexattr)(struct zus_fs *fs, uint64_t node, struct zus_name name);

	/*
	 * Start of a transfer. On 0 the extents are stable until io_end(), which must follow on the same thread. A write
	 * allocates what is missing; blocks that it does not cover whole are already zeroed around it. -EFBIG, -ENOSPC, -EISDIR.
	 */
	int (*io_begin)(struct zus_fs *fs, struct zus_io *io);
	/*
	 * End of a transfer of done bytes (done <= io->mapped). A write becomes durable, the size grows. On an error nothing
	 * is reachable of what was allocated.
	 */
	int (*io_end)(struct zus_fs *fs, struct zus_io *io, uint64_t done);
	/* Stores len bytes to the device at dev_off, so that the fence of io_end() makes them durable. No fence of its own. */
	void (*dev_write)(struct zus_fs *fs, uint64_t dev_off, const void *src, size_t len);

	/* mode as in fallocate(2). */
	int (*fallocate)(struct zus_fs *fs, uint64_t node, uint32_t mode, uint64_t off, uint64_t len);
	/* whence ZUS_SEEK_DATA or ZUS_SEEK_HOLE; -ENXIO. */
	int (*seek)(struct zus_fs *fs, uint64_t node, uint64_t off, int whence, uint64_t *out_off);
	/* Stores into mapped pages become durable. May be NULL (nothing to do). */
	int (*fsync)(struct zus_fs *fs, uint64_t node, int datasync);
};

#define ZUS_PLUGIN_VOLATILE 1u /* needs no device, keeps nothing */
/*
 * Extents of a transfer stay valid when it has ended, for reads and for writes in place (unless ZUS_EXT_SHARED), until an operation
 * that the caller asks for changes them (setattr of the size, fallocate, a transfer that writes), or host->invalidate takes them
 * back. They are of 4 KiB granularity: what follows a file's last byte in its last page may be mapped.
 */
#define ZUS_PLUGIN_KEEPS_EXTENTS 2u

struct zus_plugin {
	uint32_t abi; /* ZUS_PLUGIN_ABI the plug-in was built with; the server refuses others */
	uint32_t flags; /* ZUS_PLUGIN_* */
	const char *name; /* file-system type: "pmfs2" */
	const char *version;
	/* Opens and recovers. Writes *out_fs on success. Messages to a person go through args->host->log. */
	int (*mount)(const struct zus_mount_args *args, struct zus_fs **out_fs);
};

/* The one exported symbol. */
extern const struct zus_plugin zus_plugin;

#endif
