/* SPDX-License-Identifier: BSD-3-Clause */
/* The requests of the control socket: what each asks for is in control_msg.h. */
#ifndef ZUSD_REQUESTS_H
#define ZUSD_REQUESTS_H

#include "zusd/control_msg.h"
#include "zusd/session.h"

struct session {
	struct session_set *set;
	int sock;
	int slot;
	int greeted; /* HELLO was answered */
	struct server_mount *prepared; /* opened and not yet started; ours alone */
	struct control_msg *in, *out;
};

/* Answers the request in s->in. fd: what came with it, taken over, or -1. An error ends the connection. */
int request_handle(struct session *s, int fd);
/* Tells the client that its last message was not understood. */
void request_refuse(struct session *s, int err);
/* The connection has ended: undoes what was begun. */
void request_session_end(struct session *s);

#endif
