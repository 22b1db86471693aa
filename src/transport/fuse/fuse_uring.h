/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The io_uring channel: one queue per CPU, served by a thread bound to that CPU.
 *
 * A request is handed over on the core where it was made, by one context switch, and its answer the same way back: a single
 * system call commits the answer and waits for the next request. That is what makes it several times faster than /dev/fuse.
 * Every possible CPU needs its queue before the kernel uses any.
 */
#ifndef FUSE_URING_H
#define FUSE_URING_H

#include "transport/fuse/fuse_crew.h"

struct fuse_uring_queue;

/* CPUs that may ever be there: the number of queues that the kernel expects, or a negative errno. */
int fuse_uring_n_queues(void);
/* depth: entries, each with a payload area of conn->payload_cap. */
int fuse_uring_queue_new(struct fuse_conn *conn, uint32_t qid, uint32_t depth, struct fuse_uring_queue **out_queue);
void fuse_uring_queue_free(struct fuse_uring_queue *queue);
/* Serves. worker->priv: its struct fuse_uring_queue. Reports ready when its ring exists. */
void fuse_uring_run(struct fuse_worker *worker);

#endif
