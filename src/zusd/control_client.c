/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connecting to a server, and starting one.
 *
 * A server started on demand may be about to end when we connect. It then closes the connection without having answered HELLO;
 * an answered HELLO keeps it alive as long as the connection. So: connect and greet, start one if that fails, and again.
 */
#include "zusd/control_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECT_TRIES 5
#define START_LOCK_WAIT_MS 30000u

struct control_client *control_client_new(void)
{
	struct control_client *cl = calloc(1, sizeof(*cl));

	if (cl)
		cl->sock = -1;
	return cl;
}

static void client_close(struct control_client *cl)
{
	if (cl->sock >= 0)
		close(cl->sock);
	cl->sock = -1;
}

void control_client_free(struct control_client *cl)
{
	if (!cl)
		return;
	client_close(cl);
	free(cl);
}

int control_client_next(struct control_client *cl)
{
	int err, fd = -1;

	err = control_msg_recv(cl->sock, &cl->msg, &fd);
	if (fd >= 0)
		close(fd);
	if (err)
		return err;
	if (cl->msg.type == CONTROL_OK || cl->msg.type == CONTROL_ITEM)
		return 0;
	if (cl->msg.type != CONTROL_ERROR)
		return -EBADMSG;
	err = (int)(control_msg_u64(&cl->msg, CONTROL_TAG_ERRNO, EIO) & 0xfff);
	return err ? -err : -EIO;
}

int control_client_call(struct control_client *cl, int fd)
{
	int err = control_msg_send(cl->sock, &cl->msg, fd);

	cl->msg.n_fields = 0;
	return err ? err : control_client_next(cl);
}

const char *control_client_error(const struct control_client *cl, int err)
{
	const char *text = cl->msg.type == CONTROL_ERROR ? control_msg_str(&cl->msg, CONTROL_TAG_MESSAGE) : NULL;

	if (text)
		return text;
	if (err == -ECONNRESET)
		return "the server has closed the connection; its log says why";
	return strerror(-err);
}

static int client_greet(struct control_client *cl)
{
	int err;

	err = control_socket_connect(cl->path, &cl->sock);
	if (err)
		return err;
	err = control_socket_check_peer(cl->sock, NULL);
	if (!err) {
		control_msg_begin(&cl->msg, CONTROL_HELLO);
		control_msg_put_str(&cl->msg, CONTROL_TAG_VERSION, PMFS2_VERSION);
		err = control_client_call(cl, -1);
	}
	if (err) {
		client_close(cl);
		return err;
	}
	snprintf(cl->version, sizeof(cl->version), "%s", control_msg_str_or_empty(&cl->msg, CONTROL_TAG_VERSION));
	snprintf(cl->plugins, sizeof(cl->plugins), "%s", control_msg_str_or_empty(&cl->msg, CONTROL_TAG_TEXT));
	cl->pid = (pid_t)control_msg_u64(&cl->msg, CONTROL_TAG_PID, 0);
	return 0;
}

static int no_server(int err)
{
	return err == -ENOENT || err == -ECONNREFUSED || err == -ECONNRESET || err == -ENOTDIR;
}

int control_client_connect(struct control_client *cl, const char *socket_path)
{
	int err;

	err = control_socket_path(socket_path, cl->path);
	return err ? err : client_greet(cl);
}

/* Runs the server; it goes to the background by itself when it is ready. */
static int server_spawn(const char *socket_path, const char *zusd_path, int clean_env)
{
	char *argv[] = {
		(char *)"zusd", (char *)"--daemon", (char *)"--on-demand", (char *)"--socket", (char *)socket_path, NULL
	};
	char *env[] = { (char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		/* Nothing of the caller's but its standard streams stays open in a server that outlives it. */
		close_range(3, ~0u, 0);
		execve(zusd_path, argv, clean_env ? env : environ);
		fprintf(stderr, "cannot run the server %s: %s; install zusd, or start it by hand\n", zusd_path, strerror(errno));
		_exit(127);
	}
	while (waitpid(pid, &status, 0) != pid)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -ECHILD;
}

/* Greets again under the lock: the one who held it before may have started the server that we want. */
static int server_start(struct control_client *cl, const char *zusd_path, int clean_env)
{
	int lock_fd, err;

	err = control_socket_make_dir(cl->path);
	if (err)
		return err;
	err = control_socket_lock(cl->path, ".start", START_LOCK_WAIT_MS, &lock_fd);
	if (err)
		return err;
	err = client_greet(cl);
	if (no_server(err)) {
		err = server_spawn(cl->path, zusd_path, clean_env);
		if (!err)
			err = client_greet(cl);
	}
	close(lock_fd);
	return err;
}

int control_client_connect_or_start(struct control_client *cl, const char *socket_path, const char *zusd_path, int clean_env)
{
	int err;

	err = control_client_connect(cl, socket_path);
	for (int i = 0; no_server(err) && i < CONNECT_TRIES; i++)
		err = server_start(cl, zusd_path, clean_env);
	return err;
}
