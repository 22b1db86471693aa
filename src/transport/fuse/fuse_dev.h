/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The classic channel: requests by read(2), answers by writev(2) on /dev/fuse.
 *
 * Threads that serve everything, each on a descriptor of its own (cloned, so that requests in flight share no lock); or, beside
 * io_uring, one thread for what does not come over the rings: FORGET and INTERRUPT. It reads lazily, in batches, because waking
 * it for each one would cost more than serving it.
 */
#ifndef FUSE_DEV_H
#define FUSE_DEV_H

#include "transport/fuse/fuse_crew.h"

struct fuse_dev;

/* A reader of conn's requests, with its buffers; clones conn->fd where it can. nonblock: reads never wait. */
int fuse_dev_new(struct fuse_conn *conn, bool nonblock, struct fuse_dev **out_dev);
void fuse_dev_free(struct fuse_dev *dev);

/* Serves everything. worker->priv: a struct fuse_dev that waits. */
void fuse_dev_run(struct fuse_worker *worker);
/* Serves what is beside the rings. worker->priv: a struct fuse_dev that does not wait. */
void fuse_dev_run_lazily(struct fuse_worker *worker);
/*
 * Serves now what waits in a lazily read channel; from any thread that serves a request and holds nothing. Returns the number of
 * messages.
 */
unsigned int fuse_dev_drain(struct fuse_dev *dev, struct fuse_stats *stats);

#endif
