/* SPDX-License-Identifier: BSD-3-Clause */
/* Going to the background, with readiness through a pipe. */
#include "zusd/daemonize.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

static int parent_wait(pid_t pid, int fd)
{
	int status;
	char byte;

	if (read(fd, &byte, 1) == 1)
		return 0;
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || !WEXITSTATUS(status))
		return 1;
	return WEXITSTATUS(status);
}

int daemonize(int *out_ready_fd)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC)) {
		log_error("pipe: %s", strerror(errno));
		return 1;
	}
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		log_error("fork: %s", strerror(errno));
		return 1;
	}
	if (pid) {
		close(fds[1]);
		return parent_wait(pid, fds[0]);
	}
	close(fds[0]);
	setsid();
	*out_ready_fd = fds[1];
	return DAEMONIZE_CHILD;
}

static void sink_syslog(void *ctx, int level, const char *msg)
{
	syslog(LOG_ERR + level, "%s", msg);
}

void daemonize_ready(int ready_fd)
{
	int fd = open("/dev/null", O_RDWR);

	if (chdir("/"))
		log_warning("cannot change to the root directory: %s", strerror(errno));
	openlog("zusd", LOG_PID, LOG_DAEMON);
	log_set_sink(sink_syslog, NULL);
	if (fd >= 0) {
		dup2(fd, STDIN_FILENO);
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		if (fd > STDERR_FILENO)
			close(fd);
	}
	if (write(ready_fd, "r", 1) != 1)
		log_debug("nobody waits for the server");
	close(ready_fd);
}

static const char *const level_names[] = { "error", "warning", "notice", "info", "debug" };

int log_level_parse(const char *text)
{
	if (text[0] >= '0' && text[0] <= '4' && !text[1])
		return text[0] - '0';
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++)
		if (!strcmp(text, level_names[i]))
			return (int)i;
	return -1;
}

const char *log_level_name(int level)
{
	return level >= 0 && level < (int)ARRAY_SIZE(level_names) ? level_names[level] : "?";
}
