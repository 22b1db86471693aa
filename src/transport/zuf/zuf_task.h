/* SPDX-License-Identifier: BSD-3-Clause */
/* One slot of the kernel's module, its thread, the request in it; the operations. */
#ifndef ZUF_TASK_H
#define ZUF_TASK_H

#include <stdbool.h>

#include "base/thread.h"
#include "transport/zuf/zuf_transport.h"
#include "uapi/zuf.h"
#include "vfs/vfs.h"

#define ZUF_MOUNTS_MAX 1024u
/* Room for mounts of the kernel's numbers, which grow: a slot is free again when its mount has gone. */

struct zuf_mount {
	uint32_t id; /* the kernel's */
	uint32_t place; /* in zuf_transport.mounts */
	struct zus_fs *fs;
	struct vfs *vfs;
	void *handle; /* the server's */
	uint8_t *dev_base;
	uint64_t dev_size;
	int dev_fd;
};

struct zuf_transport {
	char root[4096];
	char name[64];
	const struct zuf_server_ops *ops;
	void *ctx;
	int server_fd;
	uint64_t features; /* ZUF_FEATURE_*, of both sides */
	uint32_t mount_ids[ZUF_MOUNTS_MAX]; /* atomic; from the id modulo on, the first that was free; 0: free */
	struct zuf_mount *mounts[ZUF_MOUNTS_MAX]; /* atomic; NULL: free, or not mounted yet */
	struct zuf_slot *slots;
	uint32_t n_slots;
	int stopping; /* atomic */
};

struct zuf_slot {
	struct zuf_transport *zt;
	int fd;
	int cpu;
	uint8_t *buf;
	struct thread thread;
	/* the transfer between MAP_WRITE and COMMIT */
	bool io_open;
	struct zus_io io;
	struct zuf_mount *io_mount;
	struct zus_extent ext[ZUF_EXTENTS_MAX];
};

/* One request. The kernel does not change it while we have it. */
struct zuf_task {
	struct zuf_slot *slot;
	struct zuf_mount *mount; /* NULL: MOUNT */
	const struct zuf_request *req;
	struct zuf_reply *rep;
	struct zus_name name, name2;
	const uint8_t *in; /* behind the names */
	uint32_t in_len; /* bytes that are left there */
	uint8_t *out;
	struct zuf_extent *extents;
};

void zuf_slot_run(struct zuf_slot *slot);
/* The calling thread's place among others on its CPU. */
void zuf_slot_rank(bool high);

/* True in a thread that serves a slot. */
bool zuf_slot_is_ours(void);

/* zuf_mounts.c */
int zuf_op_mount(struct zuf_task *task);
int zuf_op_umount(struct zuf_task *task);
int zuf_op_remount(struct zuf_task *task);
int zuf_op_statfs(struct zuf_task *task);
int zuf_op_sync(struct zuf_task *task);
struct zuf_mount *zuf_mount_get(struct zuf_transport *zt, uint32_t id);
void zuf_mounts_free(struct zuf_transport *zt);

/* zuf_ops_name.c */
int zuf_op_lookup(struct zuf_task *task);
int zuf_op_create(struct zuf_task *task);
int zuf_op_link(struct zuf_task *task);
int zuf_op_unlink(struct zuf_task *task);
int zuf_op_rename(struct zuf_task *task);
int zuf_op_readlink(struct zuf_task *task);
int zuf_op_readdir(struct zuf_task *task);
int zuf_op_forget(struct zuf_task *task);
int zuf_op_hold(struct zuf_task *task);

/* zuf_ops_attr.c */
int zuf_op_getattr(struct zuf_task *task);
int zuf_op_setattr(struct zuf_task *task);
int zuf_op_atime(struct zuf_task *task);
void zuf_attr_fill(struct zuf_attr *out, const struct zus_attr *attr);
/* Into the reply. */
void zuf_task_attr(struct zuf_task *task, const struct zus_attr *attr);
/* The node's attributes as they are now. An error is no error of the request: the reply goes without. */
void zuf_task_attr_of(struct zuf_task *task, uint64_t node);
/* The same, added to the out area. */
void zuf_task_out_attr(struct zuf_task *task, uint64_t node);
/* What the kernel need not ask for about this node. */
uint32_t zuf_hints(struct zuf_task *task, uint64_t node);

/* zuf_ops_xattr.c */
int zuf_op_getxattr(struct zuf_task *task);
int zuf_op_setxattr(struct zuf_task *task);
int zuf_op_listxattr(struct zuf_task *task);
int zuf_op_removexattr(struct zuf_task *task);

/* zuf_ops_data.c */
int zuf_op_read(struct zuf_task *task);
int zuf_op_write(struct zuf_task *task);
int zuf_op_map(struct zuf_task *task);
int zuf_op_map_write(struct zuf_task *task);
int zuf_op_commit(struct zuf_task *task);
int zuf_op_fill(struct zuf_task *task);
int zuf_op_fallocate(struct zuf_task *task);
int zuf_op_seek(struct zuf_task *task);
int zuf_op_fsync(struct zuf_task *task);
int zuf_op_copy(struct zuf_task *task);
/* Ends a transfer that no COMMIT followed. */
void zuf_slot_drop_io(struct zuf_slot *slot);

#endif
