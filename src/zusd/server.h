/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server: one control socket, its sessions, its mounts, from start to end.
 */
#ifndef ZUSD_SERVER_H
#define ZUSD_SERVER_H

#include "zusd/control_socket.h"
#include "zusd/loader.h"
#include "zusd/mount_table.h"
#include "zusd/session.h"
#include "zusd/zuf_server.h"

struct server_config {
	const char *socket_path; /* NULL: the default */
	const char *plugin_list; /* NULL: every plug-in of plugin_dir */
	const char *plugin_dir;
	unsigned int idle_exit_s; /* ends after so long without mount and client; 0: never */
};

struct server {
	struct loader loader;
	struct mount_table mounts;
	struct session_set sessions;
	struct zuf_server zuf;
	char socket_path[CONTROL_PATH_MAX];
	unsigned int idle_exit_s;
	int lock_fd, listen_fd, wake_fd, signal_fd;
};

/*
 * Loads the plug-ins, takes the socket, blocks the signals that end the server. What is wrong is logged. Before any thread is
 * started.
 */
int server_init(struct server *srv, const struct server_config *config);
/* Serves until SIGTERM, SIGINT or SIGHUP, a client's wish, or idleness; then unmounts everything. */
int server_run(struct server *srv);
void server_fini(struct server *srv);

#endif
