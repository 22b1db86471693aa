/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding or starting the server.
 *
 * Where systemd runs the machine and root mounts, its zusd.service is started rather than a server of our own: that would belong
 * to the control group of the first mount unit, and die with it although others use it.
 */
#include "mount_server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mount_job.h"

/* Says that the environment wants a special server, which the service would not be. */
static int environment_is_special(void)
{
	return getenv("ZUSD") || getenv("ZUSD_SOCKET") || getenv("ZUFS_LIBFS_LIST") || getenv("ZUFS_PLUGIN_DIR") ||
	       getenv("LD_LIBRARY_PATH");
}

/* Where it does not work (no such unit), nothing is lost. */
static void service_start(void)
{
	char *argv[] = { (char *)"systemctl", (char *)"--quiet",      (char *)"--no-ask-password",
			 (char *)"start",     (char *)"zusd.service", NULL };
	int fd, status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		fd = open("/dev/null", O_RDWR);
		if (fd >= 0) {
			dup2(fd, STDOUT_FILENO);
			dup2(fd, STDERR_FILENO);
		}
		execv("/usr/bin/systemctl", argv);
		execv("/bin/systemctl", argv);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) != pid && errno == EINTR)
		continue;
}

/* $ZUSD, else beside this program, else where it is installed. */
static void zusd_find(char path[PATH_MAX])
{
	const char *env = secure_getenv("ZUSD");
	ssize_t len;
	char *slash;

	snprintf(path, PATH_MAX, "%s", env && env[0] ? env : SBIN_DIR "/zusd");
	if (env && env[0])
		return;
	len = readlink("/proc/self/exe", path, PATH_MAX - sizeof("/zusd"));
	path[len > 0 ? len : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash)
		memcpy(slash, "/zusd", sizeof("/zusd"));
	if (access(path, X_OK))
		snprintf(path, PATH_MAX, SBIN_DIR "/zusd");
}

int mount_server_connect(struct control_client *cl, const char *socket_path)
{
	const int is_secure = getauxval(AT_SECURE) != 0;
	char zusd_path[PATH_MAX];
	int err;

	err = control_client_connect(cl, socket_path);
	if (!err)
		return 0;
	if (geteuid() == 0 && !socket_path && !is_secure && !environment_is_special() && !access("/run/systemd/system", F_OK))
		service_start();
	zusd_find(zusd_path);
	err = control_client_connect_or_start(cl, socket_path, zusd_path, is_secure);
	if (!err)
		return 0;
	if (err == -EPERM)
		fprintf(stderr, "mount.pmfs2: the server on %s, or its directory, belongs to another user: not used\n", cl->path);
	else if (err == -EPROTONOSUPPORT || err == -EBADMSG)
		fprintf(stderr, "mount.pmfs2: the server on %s is of another release: end it (zusctl stop) and mount again\n",
			cl->path);
	else if (err == -ECHILD)
		fprintf(stderr, "mount.pmfs2: the server did not start (%s)\n", zusd_path);
	else if (cl->msg.type == CONTROL_ERROR)
		fprintf(stderr, "mount.pmfs2: %s: %s\n", cl->path, control_client_error(cl, err));
	else
		fprintf(stderr, "mount.pmfs2: no server on %s: %s; start zusd\n", cl->path, strerror(-err));
	return MOUNT_EXIT_FAIL;
}
