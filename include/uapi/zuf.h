/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * What zuf.ko and its server say to each other. doc/zuf.md tells the story.
 *
 * The control root (mount -t zuf nodev /sys/fs/zuf) has two files. Each open of "channel" is an unnamed resource to which one
 * ioctl gives a role: ZUF_IOC_SERVER makes it the server, ZUF_IOC_CHANNEL a slot, that is a buffer and the thread that serves it.
 * Each open of "device" is given one mount's device memory by ZUF_IOC_DEVICE. Whatever was made dies with its file.
 *
 * Rules:
 *  1. Fields have fixed widths, structures no holes; what is not used is 0.
 *  2. Mounts are numbers that the kernel gives, nodes are opaque 64-bit words that the server gives. No pointers.
 *  3. The kernel copies what it reads from a buffer once, and checks the copy. The server may trust the kernel.
 *  4. Versions must be equal; features are those that both have.
 */
#ifndef _UAPI_ZUF_H
#define _UAPI_ZUF_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define ZUF_ABI_VERSION 3
#define ZUF_FILE_CHANNEL "channel"
#define ZUF_FILE_DEVICE "device"

/* A slot's buffer, as mmap() of a channel shows it: a page of fixed parts, what goes to the server, what comes back. */
#define ZUF_REQUEST_OFF 0
#define ZUF_REPLY_OFF 256
#define ZUF_EXTENTS_OFF 512
#define ZUF_EXTENTS_MAX 128
#define ZUF_IN_OFF 4096
#define ZUF_DATA_LEN 65536
#define ZUF_IN_LEN (4096 + ZUF_DATA_LEN) /* an xattr's name, and behind it the longest value that there is */
#define ZUF_OUT_OFF (ZUF_IN_OFF + ZUF_IN_LEN)
#define ZUF_OUT_LEN 65536
#define ZUF_BUFFER_LEN (ZUF_OUT_OFF + ZUF_OUT_LEN)

#define ZUF_SLOTS_PER_CPU_MAX 64
#define ZUF_TYPE_MAX 32
#define ZUF_FORGETS_MAX (ZUF_DATA_LEN / 8)

struct zuf_time {
	__s64 sec;
	__u32 nsec;
	__u32 pad;
};

/* zuf_attr.hints: what the kernel need not ask for. */
#define ZUF_HINT_NO_ACL 1 /* no access ACL */
#define ZUF_HINT_NO_DEFAULT_ACL 2
#define ZUF_HINT_NO_CAPABILITY 4 /* no security.capability */

struct zuf_attr {
	__u64 node;
	__u64 ino;
	__u64 size;
	__u64 blocks; /* 512 bytes each */
	__u64 rdev; /* major << 32 | minor */
	__u32 generation;
	__u32 mode;
	__u32 nlink;
	__u32 uid;
	__u32 gid;
	__u32 flags; /* FS_*_FL */
	__u32 projid;
	__u32 hints; /* ZUF_HINT_* */
	struct zuf_time atime;
	struct zuf_time mtime;
	struct zuf_time ctime;
	struct zuf_time btime;
};

enum zuf_op {
	/*
	 * name: device path, name 2: options, then ZUF_TYPE_MAX bytes: type; len: bytes of the device, 0: none; rdev: st_dev of
	 * the mount -> attr of the root, +1 reference; out: struct zuf_mount_info
	 */
	ZUF_OP_MOUNT = 1,
	ZUF_OP_UMOUNT,
	ZUF_OP_REMOUNT, /* flags: ZUF_MOUNT_* */
	ZUF_OP_STATFS, /* -> out: struct zuf_statfs */
	ZUF_OP_SYNC,
	ZUF_OP_LOOKUP, /* node, name -> attr, +1 reference. "." is the node itself, ".." its parent */
	ZUF_OP_GETATTR, /* node -> attr */
	ZUF_OP_SETATTR, /* node, valid... -> attr */
	/* These reply with the attributes of what they change in attr, of the directory (struct zuf_attr) in the out area. */
	/* node, name (none: O_TMPFILE), mode, umask, uid, gid, rdev; name 2: symlink target -> attr, +1 reference */
	ZUF_OP_CREATE,
	ZUF_OP_LINK, /* node, node2: directory, name -> attr */
	ZUF_OP_UNLINK, /* node: directory, name; node2: what it is; flags: ZUF_UNLINK_LAST, then len: references given back */
	ZUF_OP_RMDIR, /* as UNLINK */
	/*
	 * node, name -> node2, name 2. flags: RENAME_*; uid, gid: of the whiteout; off: the node that moves, off2: the one at the
	 * new name, or 0 -> out: zuf_attr of each of the four that there is
	 */
	ZUF_OP_RENAME,
	ZUF_OP_READLINK, /* node -> out */
	ZUF_OP_READDIR, /* node, off: cookie, len: bytes that are wanted -> out: struct zuf_dirent... */
	ZUF_OP_FORGET, /* in: len nodes that lose one reference each */
	/* in: len nodes that the kernel knows -> +1 reference each; out: a zuf_attr for each, in their order; node 0: it is gone */
	ZUF_OP_HOLD,
	ZUF_OP_GETXATTR, /* node, name, len: room -> value: length; out */
	ZUF_OP_SETXATTR, /* node, name, len: of the value, behind the name; flags: XATTR_*, ZUF_XATTR_* -> attr */
	ZUF_OP_LISTXATTR, /* node, len: room; ZUF_XATTR_HIDE_TRUSTED -> value: length; out */
	ZUF_OP_REMOVEXATTR, /* node, name -> attr */
	ZUF_OP_READ, /* node, off, len -> value: bytes; out. Only where there is no device */
	ZUF_OP_WRITE, /* node, off, len, in: data, ZUF_IO_* -> value: bytes, attr, extents */
	ZUF_OP_MAP, /* node, off, len -> extents; value: bytes covered, 0 at the end of the file */
	ZUF_OP_MAP_WRITE, /* node, off, len -> extents, value. The transfer stays open: the slot's next request is its COMMIT */
	ZUF_OP_COMMIT, /* len: bytes written -> attr */
	ZUF_OP_FILL, /* node, off, len: holes become zeroed blocks -> extents, value, attr */
	ZUF_OP_FALLOCATE, /* node, mode, off, len -> attr */
	ZUF_OP_SEEK, /* node, off, flags: SEEK_DATA or SEEK_HOLE -> value: where */
	ZUF_OP_FSYNC, /* node, flags: 1 for fdatasync */
	ZUF_OP_COPY, /* node, off, len -> node2, off2: copied inside the server -> value: bytes, attr of node2 */
	ZUF_OP_ATIME, /* node: was read -> attr */
	ZUF_OP_COUNT
};

/* zuf_request.valid of SETATTR. */
#define ZUF_SET_MODE 0x001
#define ZUF_SET_UID 0x002
#define ZUF_SET_GID 0x004
#define ZUF_SET_SIZE 0x008 /* off */
#define ZUF_SET_ATIME 0x010
#define ZUF_SET_MTIME 0x020
#define ZUF_SET_ATIME_NOW 0x040
#define ZUF_SET_MTIME_NOW 0x080
#define ZUF_SET_FLAGS 0x100
#define ZUF_SET_PROJID 0x200
#define ZUF_SET_KILL_PRIV 0x800

/* zuf_request.flags */
#define ZUF_UNLINK_LAST 1 /* the kernel has forgotten node2; if this fails, it has one reference again */
#define ZUF_IO_KILL_PRIV 2
#define ZUF_IO_SYNC 4
#define ZUF_XATTR_HIDE_TRUSTED 0x100
#define ZUF_XATTR_KILL_SGID 0x200
#define ZUF_MOUNT_RDONLY 1
#define ZUF_MOUNT_NOATIME 2
#define ZUF_MOUNT_STRICTATIME 4
#define ZUF_MOUNT_NODIRATIME 8
#define ZUF_MOUNT_REATTACH 16 /* mounted already, by a server that died: HOLDs follow, then REMOUNT */

#define ZUF_HOLDS_MAX (ZUF_OUT_LEN / sizeof(struct zuf_attr))

struct zuf_request {
	__u32 op;
	__u32 mount;
	__u64 node;
	__u64 node2;
	__u64 off;
	__u64 off2;
	__u64 len;
	__u32 flags;
	__u32 name_len; /* bytes at the start of the in area; no NUL */
	__u32 name2_len; /* bytes, behind the first name */
	__u32 valid;
	__u32 mode;
	__u32 uid;
	__u32 gid;
	__u32 umask;
	__u64 rdev;
	__u32 fl_flags;
	__u32 projid;
	struct zuf_time atime;
	struct zuf_time mtime;
};

#define ZUF_EXT_HOLE 1
#define ZUF_EXT_SHARED 2 /* may be read, not written in place */
#define ZUF_EXT_UNWRITTEN 4 /* with HOLE: it has its blocks already, at dev_off; only with ZUF_FEATURE_UNWRITTEN */

/* Bytes of a file that lie one behind the other on the device. They follow each other, beginning at the request's off. */
struct zuf_extent {
	__u64 len;
	__u64 dev_off;
	__u32 flags; /* ZUF_EXT_* */
	__u32 pad;
};

struct zuf_reply {
	__s32 err; /* 0 or a negative errno */
	__u32 n_ext;
	__u64 value;
	__u32 out_len; /* bytes of the out area */
	__u32 has_attr;
	struct zuf_attr attr;
};

/* zuf_mount_info.flags */
#define ZUF_INFO_KEEP_EXTENTS 1 /* extents stay valid until a call changes them, or INVALIDATE; a device's must */
#define ZUF_INFO_FSYNC 2 /* FSYNC has something to do */
#define ZUF_INFO_SYNC 4
#define ZUF_INFO_XATTR 8

struct zuf_mount_info {
	__u64 max_file_size;
	__u32 mount_flags; /* ZUF_MOUNT_* in force */
	__u32 flags; /* ZUF_INFO_* */
	__u32 time_gran_ns;
	__u32 pad;
	__u8 uuid[16];
	char notice[256];
};

struct zuf_statfs {
	__u64 blocks;
	__u64 bfree;
	__u64 bavail;
	__u64 files;
	__u64 ffree;
	__u64 fsid;
	__u32 bsize;
	__u32 namelen;
};

/* Entries follow each other, each at a multiple of 8; name has no NUL. */
struct zuf_dirent {
	__u64 ino;
	__u64 next; /* cookie behind this entry */
	__u16 name_len;
	__u8 type; /* DT_* */
	__u8 pad[5];
	char name[];
};

/* --- ioctls of "channel" ---------------------------------------------------------------------- */

/* zuf_server_arg.features */
#define ZUF_FEATURE_UNWRITTEN 1 /* MAP may answer with ZUF_EXT_UNWRITTEN */

struct zuf_server_arg {
	__u32 version; /* in and out: ZUF_ABI_VERSION. -EPROTONOSUPPORT */
	__u32 pad;
	__u64 features; /* in: the server's; out: those of both */
};

/* zuf_type_arg.flags */
#define ZUF_TYPE_DEVICE 1 /* lives on a block device with DAX */

struct zuf_type_arg {
	char name[ZUF_TYPE_MAX];
	__u32 flags;
	__u32 pad;
};

struct zuf_channel_arg {
	__u32 cpu;
	__u32 pad;
};

struct zuf_invalidate_arg {
	__u32 mount;
	__u32 pad;
	__u64 node;
	__u64 off;
	__u64 len;
};

struct zuf_device_arg {
	__u32 mount;
	__u32 pad;
	__u64 size; /* out: bytes that mmap() gives */
};

#define ZUF_IOC_SERVER _IOWR('z', 1, struct zuf_server_arg)
#define ZUF_IOC_TYPE _IOW('z', 2, struct zuf_type_arg)
#define ZUF_IOC_CHANNEL _IOW('z', 3, struct zuf_channel_arg)
#define ZUF_IOC_READY _IO('z', 4)
#define ZUF_IOC_WAIT _IO('z', 5) /* answers the last request, waits for the next: 0 and a request, -EINTR, -ESHUTDOWN */
#define ZUF_IOC_INVALIDATE _IOW('z', 6, struct zuf_invalidate_arg)
#define ZUF_IOC_DEVICE _IOWR('z', 7, struct zuf_device_arg) /* of "device" */

#endif
