/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tools say to a person, and what they exit with. */
#include "tools/common/say.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A signal handler has no argument of ours: the one place of the tools with variables outside of functions. */
static char sigbus_message[PATH_MAX + 200];
static char sigbus_unlink[PATH_MAX];

void say_error(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

const char *say_open_error(int err)
{
	switch (-err) {
	case EBUSY:
		return "in use: mounted, open by a server or another tool, or under a loop device; unmount or detach it first "
		       "('fuser -v' shows who has it, 'losetup -l' loop devices)";
	case ENOTBLK:
		return "neither a regular file nor a block or device-DAX device";
	case EACCES:
	case EPERM:
		return "permission denied; run this as root or as the file's owner";
	case EROFS:
		return "the device or the file system that the file is on is read-only";
	case EINVAL:
		return "empty, there is nothing to map; give the file a size with mkfs.pmfs2 --size";
	case ENOENT:
		return "does not exist; check the path";
	case ENXIO:
	case ENODEV:
		return "no such device; is its driver loaded?";
	case ENOMEM:
		return "not enough address space or memory to map it; raise the limits (ulimit -v)";
	default:
		return strerror(-err);
	}
}

static void sigbus_handler(int sig)
{
	ssize_t n = write(STDERR_FILENO, sigbus_message, strlen(sigbus_message));

	(void)n;
	(void)sig;
	if (sigbus_unlink[0])
		unlink(sigbus_unlink);
	_exit(EXIT_FAIL);
}

void say_on_sigbus(const char *path, const char *unlink_path)
{
	struct sigaction action = { .sa_handler = sigbus_handler };

	snprintf(sigbus_message, sizeof(sigbus_message),
		 "%s: %s: a page cannot be read or written: media error, file cut off, or the disk under it is full; see dmesg "
		 "and df\n",
		 program_invocation_short_name, path);
	snprintf(sigbus_unlink, sizeof(sigbus_unlink), "%s", unlink_path ? unlink_path : "");
	sigaction(SIGBUS, &action, NULL);
}
