/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mounting of a FUSE file system: mount(2) as root, the set-user-id program fusermount3 otherwise. Unmounting. The mount table.
 *
 * Nothing here waits for the file system's answers: it may have no server yet, or never again.
 */
#ifndef FUSE_MOUNT_H
#define FUSE_MOUNT_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#define FUSE_MOUNT_DEV "/dev/fuse"

struct fuse_mount_args {
	const char *source; /* shown in the mount table */
	const char *dir; /* absolute */
	const char *subtype; /* "pmfs2": shown as type fuse.pmfs2 */
	unsigned long ms_flags; /* MS_* of mount(2) */
	uint32_t max_read; /* bytes, 0: the kernel's default */
	int allow_other;
	int default_permissions;
};

/*
 * Mounts, and gives the descriptor that the server is to read. The kernel's first message waits in it. -ENODEV, -ENOENT: no FUSE
 * in this kernel; -EPERM; -ENOTDIR; what mount(2) gives. *out_told: 1 if fusermount3 has already printed to stderr what is
 * wrong.
 */
int fuse_mount(const struct fuse_mount_args *args, int *out_fd, int *out_told);
/* Changes MS_* flags of a mount. As root only. */
int fuse_mount_remount(const char *dir, unsigned long ms_flags);

#define FUSE_UNMOUNT_LAZY 1u /* at once out of the tree, the rest when it is not in use any more */
#define FUSE_UNMOUNT_ABORT 2u /* calls in flight fail first; as root only, ignored otherwise */
#define FUSE_UNMOUNT_TELL 4u /* fusermount3 prints to stderr what is wrong */
/* -EBUSY, -EINVAL: not mounted, -EPERM. Not as root: -EPERM for whatever fusermount3 refuses, the only one that knows why. */
int fuse_mount_unmount(const char *dir, unsigned int flags);

/* A line of the mount table. */
struct fuse_mount_entry {
	uint64_t devno; /* makedev(3) of the file system: st_dev of everything in it */
	char dir[PATH_MAX]; /* in the mount namespace of the caller */
	char type[64]; /* "fuse.pmfs2" */
	char source[PATH_MAX];
	char options[256]; /* of the mount, "rw,relatime" */
	char sb_options[1024]; /* of the file system */
};

/* 1: of type fuse.SUBTYPE and from source. */
int fuse_mount_entry_is(const struct fuse_mount_entry *entry, const char *subtype, const char *source);
/* The topmost mount at dir (absolute, resolved). -ENOENT: nothing is mounted there. */
int fuse_mount_find(const char *dir, struct fuse_mount_entry *out_entry);
/* The last mount of the file system with this number; its mounts from last to first are got by unmounting it and asking again. */
int fuse_mount_find_devno(uint64_t devno, struct fuse_mount_entry *out_entry);
/* How many mounts this file system has in our mount namespace; 0 also when the table cannot be read. */
unsigned int fuse_mount_count(uint64_t devno);
/* Takes one line of /proc/PID/mountinfo apart. -EBADMSG. */
int fuse_mount_parse_line(const char *line, struct fuse_mount_entry *out_entry);

#endif
