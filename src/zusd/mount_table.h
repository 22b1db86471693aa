/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mounts of one server.
 *
 * Life of a mount: OPENING (the plug-in opens and recovers the device) -> PREPARED (a client is mounting it) -> STARTING (the
 * transport answers the kernel) -> ACTIVE -> CLOSING (the connection has ended, the image is being closed) -> gone. From
 * OPENING, PREPARED and STARTING a failure leads to CLOSING.
 *
 * Invariants:
 *  1. A mount is in the table from OPENING to the end of CLOSING, so that a device can be there once only.
 *  2. fs, ft and their strings are not freed while pins > 0.
 *
 * Locks: table.lock protects the list and every field of a mount that changes (state, dir, flags, fuse_fd, devno, pins). Nothing
 * blocks under it but the reading of /proc/self/mountinfo. text_lock protects the captured messages only and is taken last.
 */
#ifndef ZUSD_MOUNT_TABLE_H
#define ZUSD_MOUNT_TABLE_H

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#include "transport/fuse/fuse_transport.h"
#include "zus/plugin.h"

#define MOUNT_MESSAGES_MAX 4096u /* bytes of what a plug-in says while it opens */

enum mount_state {
	MOUNT_OPENING,
	MOUNT_PREPARED,
	MOUNT_STARTING,
	MOUNT_ACTIVE,
	MOUNT_CLOSING,
};

/* What a client asks for. Strings are the caller's; device and options are "" where there are none. */
struct mount_spec {
	const char *fstype;
	const char *device; /* absolute path */
	const char *source; /* as shown in the mount table */
	const char *dir; /* absolute path, in the client's mount namespace */
	const char *options; /* for the plug-in */
	uint32_t flags; /* ZUS_MOUNT_* */
	uint32_t max_write; /* bytes, 0: default */
	enum fuse_cache_mode cache;
	enum fuse_channel channel;
	void *dev_base; /* the device mapped by the transport, or NULL */
	uint64_t dev_size; /* bytes */
};

/* Which device it is, whatever its path: the number of a device node, device and inode of a file. */
struct mount_ident {
	int kind; /* S_IFREG, S_IFBLK, S_IFCHR, or 0: no device, never equal to another */
	dev_t dev;
	ino_t ino;
};

struct mount_table;
struct server_mount;

typedef void (*mount_invalidate_fn)(struct server_mount *m, uint64_t node, uint64_t off, uint64_t len);
/* Counters as text; returns the length (as snprintf). */
typedef size_t (*mount_stats_fn)(struct server_mount *m, char *buf, size_t cap);

struct server_mount {
	struct server_mount *next;
	struct mount_table *table;
	uint64_t id;
	enum mount_state state;
	struct mount_ident ident;
	char *fstype, *device, *source, *dir, *options;
	uint32_t flags;
	uint32_t max_write;
	enum fuse_cache_mode cache;
	enum fuse_channel channel;
	const struct zus_plugin *plugin;
	struct zus_host host;
	struct zus_fs *fs;
	struct fuse_transport *ft; /* NULL: not over FUSE */
	mount_invalidate_fn invalidate; /* NULL: not over zuf */
	mount_stats_fn stats; /* as invalidate */
	void *transport; /* invalidate's own */
	int fuse_fd; /* our copy, to see whether the connection lives; -1: none */
	uint64_t devno; /* of the mounted file system; 0: not known */
	unsigned int pins;
	int keep_messages; /* atomic: the plug-in is opening */
	pthread_mutex_t text_lock;
	char messages[MOUNT_MESSAGES_MAX]; /* lines */
};

struct mount_table {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a mount changed its state, lost its last pin or went away */
	struct server_mount *first;
	uint64_t last_id;
	unsigned int n_mounts;
	int wake_fd; /* eventfd, written when a mount has gone; the caller's */
};

int mount_table_init(struct mount_table *table, int wake_fd);
void mount_table_fini(struct mount_table *table);

/*
 * A new mount in state OPENING with copies of the spec's strings. Waits a while for one of the same device that is closing.
 * -EBUSY: the device is there; what and where is written to why. -ENOENT and the like: what stat(2) of the device gives.
 */
int mount_table_add(struct mount_table *table, const struct mount_spec *spec, char *why, size_t why_cap,
		    struct server_mount **out_m);
/* Takes a mount out and frees it. Waits until nobody has it pinned. */
void mount_table_remove(struct server_mount *m);

void mount_set_state(struct server_mount *m, enum mount_state state);
/* Of a pinned mount: ACTIVE means that its transport stays until it is unpinned. */
enum mount_state mount_get_state(struct server_mount *m);
/* Of a pinned mount: the kernel has it no more, and may have given its device number to another one. */
int mount_has_ended(struct server_mount *m);
const char *mount_state_name(enum mount_state state);

/* The mount with this directory, source, device or "id"; ACTIVE ones only, pinned. NULL: none. */
struct server_mount *mount_table_pin(struct mount_table *table, const char *name);
struct server_mount *mount_table_pin_devno(struct mount_table *table, uint64_t devno);
/* The first mount with an id above id, in any state, pinned; for walks that do not hold the lock. */
struct server_mount *mount_table_pin_above(struct mount_table *table, uint64_t id);
/* The last one with an id below id. */
struct server_mount *mount_table_pin_below(struct mount_table *table, uint64_t id);
void mount_unpin(struct server_mount *m);

/*
 * Waits until the file system with this number is closed, at most timeout_ms. 0: closed or not known; -EBUSY: its connection
 * lives, it is mounted somewhere else; -ETIMEDOUT.
 */
int mount_table_wait_closed(struct mount_table *table, uint64_t devno, unsigned int timeout_ms);
/* Waits until the table is empty. -ETIMEDOUT. */
int mount_table_wait_empty(struct mount_table *table, unsigned int timeout_ms);
unsigned int mount_table_count(struct mount_table *table);

#endif
