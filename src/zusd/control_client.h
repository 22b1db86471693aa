/* SPDX-License-Identifier: BSD-3-Clause */
/* The tools' side of the control socket: finding or starting the server, asking and answering. */
#ifndef ZUSD_CONTROL_CLIENT_H
#define ZUSD_CONTROL_CLIENT_H

#include "zusd/control_msg.h"
#include "zusd/control_socket.h"

struct control_client {
	int sock;
	char path[CONTROL_PATH_MAX];
	char version[64]; /* of the server */
	char plugins[512]; /* "pmfs2, memfs" */
	pid_t pid; /* of the server */
	struct control_msg msg; /* request, then answer */
};

/* On the heap, for its size. NULL: no memory. */
struct control_client *control_client_new(void);
/* Closes the connection and frees. NULL is fine. */
void control_client_free(struct control_client *cl);

/* socket_path NULL: the default. -ENOENT, -ECONNREFUSED: no server; -EPERM: the server is another user's. */
int control_client_connect(struct control_client *cl, const char *socket_path);
/*
 * As above; starts a server where there is none: zusd_path --daemon --on-demand. Of several clients at a time one starts it.
 * With clean_env the server gets no environment but PATH. -ECHILD: it did not start, and has said why on stderr.
 */
int control_client_connect_or_start(struct control_client *cl, const char *socket_path, const char *zusd_path, int clean_env);

/*
 * Sends cl->msg and waits for the answer, which replaces it. 0: OK or an ITEM; the negative errno of an ERROR, whose text is in
 * CONTROL_TAG_MESSAGE; -ECONNRESET: the server has gone.
 */
int control_client_call(struct control_client *cl, int fd);
/* The next answer, after an ITEM. */
int control_client_next(struct control_client *cl);
/* The text of the last error; never NULL. */
const char *control_client_error(const struct control_client *cl, int err);

#endif
