/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The FUSE transport: serves one mounted plug-in over one connection to the kernel's FUSE.
 * Mounting itself (mount(2), fusermount3) is fuse_mount.h's; this takes the connected /dev/fuse descriptor.
 */
#ifndef FUSE_TRANSPORT_H
#define FUSE_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>

#include "zus/plugin.h"

enum fuse_cache_mode {
	FUSE_CACHE_AUTO, /* kernel caches data, attributes, names; writes go through */
	FUSE_CACHE_NONE, /* direct I/O, parallel writes */
};
enum fuse_channel {
	FUSE_CHANNEL_AUTO, /* io_uring where the kernel offers it, /dev/fuse otherwise */
	FUSE_CHANNEL_URING, /* fail without io_uring */
	FUSE_CHANNEL_DEV,
};

struct fuse_transport_args {
	struct zus_fs *fs; /* stays the caller's; must outlive the transport */
	int fuse_fd; /* connected (mounted) /dev/fuse descriptor; taken over on success */
	enum fuse_cache_mode cache;
	enum fuse_channel channel;
	uint32_t max_write; /* bytes, 0: 1 MiB */
	uint32_t uring_depth; /* entries per queue, 0: default */
	uint32_t n_threads; /* FUSE_CHANNEL_DEV; 0: one per CPU */
};

struct fuse_transport;

/* Answers INIT, starts the worker threads. */
int fuse_transport_start(const struct fuse_transport_args *args, struct fuse_transport **out_ft);
/* Waits until the kernel has ended the connection (umount). */
void fuse_transport_wait(struct fuse_transport *ft);
/* After wait: joins threads, frees. Aborts the connection if it still lives. */
void fuse_transport_free(struct fuse_transport *ft);
/* "io_uring, 2 queues" or "/dev/fuse, 2 threads": static or ft-owned string. */
const char *fuse_transport_channel_name(const struct fuse_transport *ft);
/* Statistics as text, one operation a line: name count bytes mean_us p50_us p99_us. Returns length (as snprintf). */
size_t fuse_transport_stats(struct fuse_transport *ft, char *buf, size_t cap);

#endif
