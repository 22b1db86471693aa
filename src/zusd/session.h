/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One connection to the control socket: a thread that answers its requests.
 *
 * A mount that a session has opened is its own until it is started: when the session ends before, for whatever reason, the image
 * is closed again.
 */
#ifndef ZUSD_SESSION_H
#define ZUSD_SESSION_H

#include <pthread.h>

#include "zusd/loader.h"
#include "zusd/mount_table.h"

#define SESSIONS_MAX 64u

/* What sessions need of the server, and the set of those that live. */
struct session_set {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int socks[SESSIONS_MAX]; /* -1: free slot */
	unsigned int n_sessions;
	int ending; /* no new ones */
	struct mount_table *mounts;
	const struct loader *loader;
	int wake_fd; /* eventfd, written when a session has ended or asks for the stop; the caller's */
	int stop; /* atomic: a client asked the server to end */
};

void session_set_init(struct session_set *set, struct mount_table *mounts, const struct loader *loader, int wake_fd);
void session_set_fini(struct session_set *set);

/* Checks who is there and starts a session for it. Takes over sock. */
void session_new(struct session_set *set, int sock);
unsigned int session_set_count(struct session_set *set);
/* Cuts all connections and waits for their threads. */
void session_set_end(struct session_set *set);

#endif
