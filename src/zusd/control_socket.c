/* SPDX-License-Identifier: BSD-3-Clause */
/* The control socket's place, lock and permissions. */
#include "zusd/control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_POLL_MS 20u
#define LISTEN_BACKLOG 64

int control_socket_path(const char *want, char path[CONTROL_PATH_MAX])
{
	const char *dir = secure_getenv("XDG_RUNTIME_DIR");
	char cwd[CONTROL_PATH_MAX];
	int len;

	if (!want)
		want = secure_getenv("ZUSD_SOCKET");
	if (want && want[0] == '/')
		len = snprintf(path, CONTROL_PATH_MAX, "%s", want);
	else if (want && want[0])
		len = getcwd(cwd, sizeof(cwd)) ? snprintf(path, CONTROL_PATH_MAX, "%s/%s", cwd, want) : -1;
	else if (geteuid() == 0)
		len = snprintf(path, CONTROL_PATH_MAX, "/run/zusd/zusd.sock");
	else if (dir && dir[0] == '/')
		len = snprintf(path, CONTROL_PATH_MAX, "%s/zusd/zusd.sock", dir);
	else
		len = snprintf(path, CONTROL_PATH_MAX, "/tmp/zusd-%u/zusd.sock", (unsigned int)geteuid());
	/* Room is needed for the suffix of the socket's temporary name too. */
	return len < 0 || (size_t)len + sizeof(".new") > CONTROL_PATH_MAX ? -ENAMETOOLONG : 0;
}

int control_socket_make_dir(const char *path)
{
	char dir[CONTROL_PATH_MAX];
	struct stat st;
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	if (mkdir(dir, 0700) && errno != EEXIST)
		return -errno;
	/* Not through a link: below /tmp somebody else may have made it. */
	if (lstat(dir, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return -EPERM;
	return (st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX) ? -EPERM : 0;
}

static void sleep_ms(unsigned int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

int control_socket_lock(const char *path, const char *suffix, unsigned int wait_ms, int *out_fd)
{
	char name[CONTROL_PATH_MAX + 16];
	int fd;

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	for (unsigned int waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB); waited_ms += LOCK_POLL_MS) {
		if (errno != EWOULDBLOCK || waited_ms >= wait_ms) {
			int err = errno == EWOULDBLOCK ? -EBUSY : -errno;

			close(fd);
			return err;
		}
		sleep_ms(LOCK_POLL_MS);
	}
	*out_fd = fd;
	return 0;
}

static int socket_new(const char *path, struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	snprintf(addr->sun_path, sizeof(addr->sun_path), "%s", path);
	return fd < 0 ? -errno : fd;
}

/* Bound under another name and renamed when it listens: whoever finds the socket can connect. */
int control_socket_listen(const char *path, int *out_fd)
{
	char name[CONTROL_PATH_MAX + 8];
	struct sockaddr_un addr;
	mode_t old_umask;
	int fd, err = 0;

	snprintf(name, sizeof(name), "%s.new", path);
	fd = socket_new(name, &addr);
	if (fd < 0)
		return fd;
	unlink(name);
	old_umask = umask(0177);
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)))
		err = -errno;
	umask(old_umask);
	if (!err && (listen(fd, LISTEN_BACKLOG) || rename(name, path)))
		err = -errno;
	if (err) {
		unlink(name);
		close(fd);
		return err;
	}
	*out_fd = fd;
	return 0;
}

int control_socket_connect(const char *path, int *out_fd)
{
	struct sockaddr_un addr;
	int fd, err;

	fd = socket_new(path, &addr);
	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr))) {
		err = -errno;
		close(fd);
		return err;
	}
	*out_fd = fd;
	return 0;
}

int control_socket_check_peer(int sock, pid_t *out_pid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return -errno;
	if (cred.uid != 0 && cred.uid != geteuid())
		return -EPERM;
	if (out_pid)
		*out_pid = cred.pid;
	return 0;
}
