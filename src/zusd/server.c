/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The main loop. It only accepts connections and waits for reasons to end; all else happens in the threads of sessions and
 * mounts.
 *
 * Order of the end: the socket's name goes first, so that new clients find no server (those that are connected already, and not
 * greeted, see the connection closed and start another one, which waits for our lock); then sessions, mounts, plug-ins, the
 * lock.
 */
#include "zusd/server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "zusd/mount_life.h"

#define LOCK_WAIT_MS 20000u

static int signals_block(int *out_fd)
{
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL))
		return -EINVAL;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	*out_fd = fd;
	return 0;
}

static int socket_take(struct server *srv)
{
	int err;

	err = control_socket_make_dir(srv->socket_path);
	if (err) {
		log_error("cannot use the directory of %s: %s; give another place with --socket", srv->socket_path,
			  strerror(-err));
		return err;
	}
	/* A server that ends lets go of the lock last. */
	err = control_socket_lock(srv->socket_path, ".lock", srv->idle_exit_s ? LOCK_WAIT_MS : 0, &srv->lock_fd);
	if (err == -EBUSY)
		log_error("another zusd serves %s: end it with 'zusctl stop', or give another place with --socket",
			  srv->socket_path);
	else if (err)
		log_error("cannot lock %s.lock: %s", srv->socket_path, strerror(-err));
	if (err)
		return err;
	err = control_socket_listen(srv->socket_path, &srv->listen_fd);
	if (err) {
		log_error("cannot listen on %s: %s", srv->socket_path, strerror(-err));
		close(srv->lock_fd);
	}
	return err;
}

int server_init(struct server *srv, const struct server_config *config)
{
	int err;

	memset(srv, 0, sizeof(*srv));
	srv->idle_exit_s = config->idle_exit_s;
	err = control_socket_path(config->socket_path, srv->socket_path);
	if (err) {
		log_error("the path of the control socket is too long: at most %zu bytes", CONTROL_PATH_MAX - sizeof(".new"));
		return err;
	}
	err = loader_load(&srv->loader, config->plugin_list, config->plugin_dir);
	if (err)
		return err;
	err = signals_block(&srv->signal_fd);
	if (err)
		goto unload;
	srv->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (srv->wake_fd < 0) {
		err = -errno;
		goto close_signal;
	}
	err = mount_table_init(&srv->mounts, srv->wake_fd);
	if (err)
		goto close_wake;
	session_set_init(&srv->sessions, &srv->mounts, &srv->loader, srv->wake_fd);
	err = socket_take(srv);
	if (err)
		goto fini_sets;
	return 0;
fini_sets:
	session_set_fini(&srv->sessions);
	mount_table_fini(&srv->mounts);
close_wake:
	close(srv->wake_fd);
close_signal:
	close(srv->signal_fd);
unload:
	loader_fini(&srv->loader);
	return err;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int server_is_idle(struct server *srv)
{
	return !mount_table_count(&srv->mounts) && !session_set_count(&srv->sessions);
}

/* How long poll(2) may wait, ms; 0: the idle time is over. *idle_since_ms: -1 while there is something to do. */
static int idle_wait_ms(struct server *srv, int64_t *idle_since_ms)
{
	int64_t left_ms;

	if (!srv->idle_exit_s || !server_is_idle(srv)) {
		*idle_since_ms = -1;
		return -1;
	}
	if (*idle_since_ms < 0)
		*idle_since_ms = now_ms();
	left_ms = *idle_since_ms + (int64_t)srv->idle_exit_s * 1000 - now_ms();
	return left_ms > 0 ? (int)left_ms : 0;
}

static void listen_accept(struct server *srv)
{
	int sock = accept4(srv->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (sock >= 0) {
		session_new(&srv->sessions, sock);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
		const struct timespec pause = { .tv_nsec = 100000000 };

		log_warning("cannot accept a control connection: %s", strerror(errno));
		nanosleep(&pause, NULL);
	}
}

/* A signal's number, or 0. */
static int signal_take(struct server *srv)
{
	struct signalfd_siginfo info;

	return read(srv->signal_fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

static void server_loop(struct server *srv)
{
	struct pollfd fds[] = {
		{ .fd = srv->listen_fd, .events = POLLIN },
		{ .fd = srv->signal_fd, .events = POLLIN },
		{ .fd = srv->wake_fd, .events = POLLIN },
	};
	int64_t idle_since_ms = -1;
	uint64_t count;
	int sig;

	while (!__atomic_load_n(&srv->sessions.stop, __ATOMIC_ACQUIRE)) {
		int wait_ms = idle_wait_ms(srv, &idle_since_ms);
		int n = poll(fds, 3, wait_ms);

		if (n == 0 && server_is_idle(srv)) {
			log_info("nothing mounted for %u s: ends", srv->idle_exit_s);
			return;
		}
		if (n <= 0)
			continue;
		if (fds[2].revents && read(srv->wake_fd, &count, sizeof(count)) == sizeof(count))
			idle_since_ms = -1;
		if (fds[1].revents && (sig = signal_take(srv))) {
			log_notice("ends: %s", strsignal(sig));
			return;
		}
		if (fds[0].revents)
			listen_accept(srv);
	}
}

int server_run(struct server *srv)
{
	int err;

	/* Not before the socket's lock: it says that no other server of this user lives. */
	if (zuf_server_start(&srv->zuf, &srv->mounts, &srv->loader))
		log_warning("only FUSE mounts will be served");
	server_loop(srv);
	unlink(srv->socket_path);
	close(srv->listen_fd);
	srv->listen_fd = -1;
	session_set_end(&srv->sessions);
	err = mount_table_shut_down(&srv->mounts);
	if (!err)
		zuf_server_stop(&srv->zuf);
	if (err)
		log_warning("some file systems are still in use and are left; what was acknowledged is on their devices");
	return err;
}

void server_fini(struct server *srv)
{
	session_set_fini(&srv->sessions);
	mount_table_fini(&srv->mounts);
	loader_fini(&srv->loader);
	close(srv->wake_fd);
	close(srv->signal_fd);
	close(srv->lock_fd);
}
