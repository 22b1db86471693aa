/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads of connections: receiving, handing to requests.c, what happens at the end.
 *
 * Locks: session_set.lock protects socks, n_sessions, ending. Nothing blocks under it.
 */
#include "zusd/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/log.h"
#include "zusd/control_socket.h"
#include "zusd/requests.h"

/* A client that says nothing for so long is gone or hangs: a mount that it has prepared is given up. */
#define SILENCE_S 60
/* The main loop waits no longer for the greeting of one that it turns away. */
#define TURN_AWAY_US 200000

void session_set_init(struct session_set *set, struct mount_table *mounts, const struct loader *loader, int wake_fd)
{
	memset(set, 0, sizeof(*set));
	pthread_mutex_init(&set->lock, NULL);
	pthread_cond_init(&set->changed, NULL);
	for (unsigned int i = 0; i < SESSIONS_MAX; i++)
		set->socks[i] = -1;
	set->mounts = mounts;
	set->loader = loader;
	set->wake_fd = wake_fd;
}

void session_set_fini(struct session_set *set)
{
	pthread_cond_destroy(&set->changed);
	pthread_mutex_destroy(&set->lock);
}

/* A slot for sock, or -1. */
static int slot_take(struct session_set *set, int sock)
{
	int slot = -1;

	pthread_mutex_lock(&set->lock);
	for (unsigned int i = 0; i < SESSIONS_MAX && slot < 0 && !set->ending; i++)
		if (set->socks[i] < 0)
			slot = (int)i;
	if (slot >= 0) {
		set->socks[slot] = sock;
		set->n_sessions++;
	}
	pthread_mutex_unlock(&set->lock);
	return slot;
}

/* The wake-up is written under the lock: who finds no session left may free the set. */
static void slot_give_back(struct session_set *set, int slot)
{
	uint64_t one = 1;

	pthread_mutex_lock(&set->lock);
	close(set->socks[slot]);
	set->socks[slot] = -1;
	set->n_sessions--;
	pthread_cond_broadcast(&set->changed);
	if (write(set->wake_fd, &one, sizeof(one)) < 0)
		one = 0;
	pthread_mutex_unlock(&set->lock);
}

static void session_run(struct session *s)
{
	int err;

	do {
		int fd = -1;

		err = control_msg_recv(s->sock, s->in, &fd);
		if (err == -EBADMSG || err == -EPROTONOSUPPORT)
			request_refuse(s, err);
		if (!err)
			err = request_handle(s, fd);
	} while (!err);
	if (err != -ECONNRESET && err != -EAGAIN)
		log_debug("control connection ends: %s", strerror(-err));
	request_session_end(s);
}

static void *session_thread(void *ctx)
{
	struct session *s = ctx;
	struct session_set *set = s->set;
	int slot = s->slot;

	session_run(s);
	free(s->in);
	free(s->out);
	free(s);
	slot_give_back(set, slot);
	return NULL;
}

static int session_spawn(struct session_set *set, int sock, int slot)
{
	struct session *s = calloc(1, sizeof(*s));
	pthread_attr_t attr;
	pthread_t thread;
	int err = -ENOMEM;

	if (!s)
		return err;
	s->in = malloc(sizeof(*s->in));
	s->out = malloc(sizeof(*s->out));
	s->set = set;
	s->sock = sock;
	s->slot = slot;
	if (s->in && s->out) {
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		err = -pthread_create(&thread, &attr, session_thread, s);
		pthread_attr_destroy(&attr);
	}
	if (err) {
		free(s->in);
		free(s->out);
		free(s);
	}
	return err;
}

/*
 * A connection that cannot be served gets an answer to its greeting: one that is only closed would make a client start another
 * server, and wait for it. The message is on the stack (64 KiB, the main thread's): memory may be what is missing.
 */
static void turn_away(int sock, int err, const char *why)
{
	const struct timeval patience = { .tv_usec = TURN_AWAY_US };
	struct control_msg msg;
	int fd = -1;

	log_warning("a control connection is refused: %s", why);
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (control_msg_recv(sock, &msg, &fd))
		return;
	if (fd >= 0)
		close(fd);
	control_msg_begin(&msg, CONTROL_ERROR);
	control_msg_put_u64(&msg, CONTROL_TAG_ERRNO, (uint64_t)-err);
	control_msg_put_str(&msg, CONTROL_TAG_MESSAGE, why);
	err = control_msg_send(sock, &msg, -1);
	if (err)
		log_debug("nobody to tell that: %s", strerror(-err));
}

void session_new(struct session_set *set, int sock)
{
	const struct timeval silence = { .tv_sec = SILENCE_S };
	int slot, err;

	if (control_socket_check_peer(sock, NULL)) {
		log_warning("a control connection of another user is refused");
		close(sock);
		return;
	}
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof(silence));
	slot = slot_take(set, sock);
	if (slot < 0) {
		/* At the end of the server a closed connection is what tells clients to start another one. */
		if (session_set_count(set) == SESSIONS_MAX)
			turn_away(sock, -EUSERS, "the server has as many control connections as it can; try again later");
		close(sock);
		return;
	}
	err = session_spawn(set, sock, slot);
	if (err) {
		turn_away(sock, err, err == -ENOMEM ? "the server has not enough memory" : "the server can make no thread");
		slot_give_back(set, slot);
	}
}

unsigned int session_set_count(struct session_set *set)
{
	unsigned int n;

	pthread_mutex_lock(&set->lock);
	n = set->n_sessions;
	pthread_mutex_unlock(&set->lock);
	return n;
}

void session_set_end(struct session_set *set)
{
	pthread_mutex_lock(&set->lock);
	set->ending = 1;
	for (unsigned int i = 0; i < SESSIONS_MAX; i++)
		if (set->socks[i] >= 0)
			shutdown(set->socks[i], SHUT_RDWR);
	while (set->n_sessions)
		pthread_cond_wait(&set->changed, &set->lock);
	pthread_mutex_unlock(&set->lock);
}
