/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the control socket is, listening on it, connecting to it, and the lock that makes its server the only one.
 *
 * Beside the socket PATH lie PATH.lock, locked by the server for as long as it lives, and PATH.start, locked by a client while
 * it starts a server, so that two clients at a time start one.
 */
#ifndef ZUSD_CONTROL_SOCKET_H
#define ZUSD_CONTROL_SOCKET_H

#include <sys/types.h>
#include <sys/un.h>

#define CONTROL_PATH_MAX sizeof(((struct sockaddr_un *)0)->sun_path)

/*
 * The absolute path to use: want if not NULL, else $ZUSD_SOCKET (not in a set-user-id program), else /run/zusd/zusd.sock for
 * root, $XDG_RUNTIME_DIR/zusd/zusd.sock or /tmp/zusd-UID/zusd.sock for others. -ENAMETOOLONG.
 */
int control_socket_path(const char *want, char path[CONTROL_PATH_MAX]);
/*
 * Makes the directory of path if it is missing. -EPERM: the directory can be written by somebody else than us and root, so that
 * a server behind this path could be anybody's.
 */
int control_socket_make_dir(const char *path);

/* Locks PATH + suffix (created); waits up to wait_ms. *out_fd: close it to unlock. -EBUSY: held by somebody. */
int control_socket_lock(const char *path, const char *suffix, unsigned int wait_ms, int *out_fd);
/* A listening socket that only its owner may use. Replaces whatever socket is at path: the caller holds the lock. */
int control_socket_listen(const char *path, int *out_fd);
/* A connected socket. -ENOENT, -ECONNREFUSED: no server. */
int control_socket_connect(const char *path, int *out_fd);
/* Checks that the peer is root or runs as our own user: -EPERM. *out_pid may be NULL. */
int control_socket_check_peer(int sock, pid_t *out_pid);

#endif
