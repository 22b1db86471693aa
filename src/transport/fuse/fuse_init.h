/* SPDX-License-Identifier: BSD-3-Clause */
/* INIT: what this server and the kernel agree on, before any other request. */
#ifndef FUSE_INIT_H
#define FUSE_INIT_H

#include "transport/fuse/fuse_conn.h"

/*
 * Waits for INIT on conn->fd and fills conn from it and from conn->cache and conn->max_write.
 * -EPROTONOSUPPORT: the kernel is too old (logged). -ENODEV: unmounted meanwhile. -ETIMEDOUT: none came for ten seconds.
 */
int fuse_init_receive(struct fuse_conn *conn);
/* The kernel goes on with the mount after this. use_uring: its threads stand ready. */
int fuse_init_answer(struct fuse_conn *conn, bool use_uring);

#endif
