/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One connection to the kernel's FUSE, as the operations see it, and one request being served.
 *
 * Nothing here changes after INIT but the stop flag. There is no state per open file and none per inode: node ids are the
 * plug-in's, file handles are 0.
 */
#ifndef FUSE_CONN_H
#define FUSE_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "transport/fuse/fuse_decode.h"
#include "transport/fuse/fuse_transport.h"
#include "vfs/vfs.h"

/* The kernel turns this into the longest time that it can count: this server is the only writer. */
#define FUSE_VALID_S (1ull << 40)

struct fuse_dev;
struct fuse_stats;

struct fuse_conn {
	struct zus_fs *fs;
	struct vfs *vfs;
	int fd; /* /dev/fuse */
	enum fuse_cache_mode cache;
	struct fuse_dialect dialect;
	bool no_open; /* OPEN may be answered with ENOSYS */
	bool no_opendir;
	bool offers_uring; /* the kernel said so in INIT */
	uint64_t init_unique;
	uint64_t kernel_flags; /* INIT flags offered */
	uint32_t kernel_minor;
	uint32_t max_readahead; /* bytes, the kernel's */
	uint32_t max_write; /* bytes */
	uint32_t payload_cap; /* bytes: the largest names or data of a request, or of an answer */
	int stopping; /* atomic; the threads end */
	int broken; /* atomic; a queue has lost its thread: the connection has to be ended */
	struct fuse_dev *lazy; /* read lazily: FORGET may wait there. NULL: nothing waits */
};

/*
 * One request. Operations write their answer to out, which may be the same memory as the request's names and data: first
 * everything that needs those, then the answer.
 */
struct fuse_task {
	struct fuse_conn *conn;
	struct fuse_request req;
	uint8_t *out; /* 8-byte aligned */
	uint32_t out_cap; /* bytes, >= payload_cap */
	uint32_t out_len; /* bytes */
	uint64_t ref_node; /* not 0: the answer carries one reference on it */
	uint64_t n_bytes; /* of file data moved, for the statistics */
	/*
	 * Sends the answer at once from many places (READ, straight from the device). iov[0] is left to the channel. -EFAULT:
	 * some of them cannot be read, the request has failed. NULL: the channel cannot.
	 */
	int (*send_gather)(struct fuse_task *task, struct iovec *iov, int n_iov);
	bool sent; /* send_gather() was called */
	bool draining; /* this is one of the lazily read channel's */
	struct fuse_stats *stats; /* the thread's */
};

/*
 * Serves one decoded request. 0 and out_len bytes at out, or a negative errno, which is the answer. When the answer cannot be
 * delivered, fuse_task_undeliver() must follow.
 */
int fuse_task_serve(struct fuse_task *task);
/*
 * What the kernel has forgotten is freed before this returns (as far as it is known here): free space is counted, or needed.
 * True if anything was.
 */
bool fuse_task_settle(struct fuse_task *task);
/* Gives back the references that an undelivered answer carried. */
void fuse_task_undeliver(struct fuse_task *task);

static inline bool fuse_conn_stopping(const struct fuse_conn *conn)
{
	return __atomic_load_n(&conn->stopping, __ATOMIC_ACQUIRE);
}

#endif
