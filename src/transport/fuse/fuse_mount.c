/* SPDX-License-Identifier: BSD-3-Clause */
/* Mounting and unmounting through mount(2) or fusermount3. */
#include "transport/fuse/fuse_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"

#define FUSERMOUNT "fusermount3"
#define OPTIONS_MAX (2 * PATH_MAX + 512)

/* MS_* flags that fusermount3 takes by name. */
static const struct {
	unsigned long flag;
	const char *name;
} fusermount_flags[] = {
	{ MS_RDONLY, "ro" },	    { MS_NOSUID, "nosuid" },   { MS_NODEV, "nodev" },	  { MS_NOEXEC, "noexec" },
	{ MS_SYNCHRONOUS, "sync" }, { MS_NOATIME, "noatime" }, { MS_DIRSYNC, "dirsync" },
};

static int mount_as_root(const struct fuse_mount_args *args, int *out_fd)
{
	char type[64], data[256], max_read[32] = "";
	int fd, err;

	fd = open(FUSE_MOUNT_DEV, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (args->max_read)
		snprintf(max_read, sizeof(max_read), ",max_read=%u", args->max_read);
	snprintf(type, sizeof(type), "fuse.%s", args->subtype);
	snprintf(data, sizeof(data), "fd=%d,rootmode=40000,user_id=%u,group_id=%u%s%s%s", fd, (unsigned int)getuid(),
		 (unsigned int)getgid(), args->default_permissions ? ",default_permissions" : "",
		 args->allow_other ? ",allow_other" : "", max_read);
	if (mount(args->source, args->dir, type, args->ms_flags, data)) {
		err = -errno;
		close(fd);
		return err;
	}
	*out_fd = fd;
	return 0;
}

/* Appends a value of fusermount3's -o list, where ',' and '\' are written with a '\'. */
static void option_append_escaped(char *buf, size_t cap, const char *value)
{
	size_t used = strlen(buf);

	for (; *value && used + 3 < cap; value++) {
		if (*value == ',' || *value == '\\')
			buf[used++] = '\\';
		buf[used++] = *value;
	}
	buf[used] = '\0';
}

static void option_append(char *buf, size_t cap, const char *text)
{
	size_t used = strlen(buf);

	snprintf(buf + used, cap - used, "%s%s", used ? "," : "", text);
}

static void fusermount_options(const struct fuse_mount_args *args, char *buf, size_t cap)
{
	char max_read[32];

	buf[0] = '\0';
	option_append(buf, cap, "fsname=");
	option_append_escaped(buf, cap, args->source);
	option_append(buf, cap, "subtype=");
	option_append_escaped(buf, cap, args->subtype);
	for (size_t i = 0; i < ARRAY_SIZE(fusermount_flags); i++)
		if (args->ms_flags & fusermount_flags[i].flag)
			option_append(buf, cap, fusermount_flags[i].name);
	if (args->default_permissions)
		option_append(buf, cap, "default_permissions");
	if (args->allow_other)
		option_append(buf, cap, "allow_other");
	snprintf(max_read, sizeof(max_read), "max_read=%u", args->max_read);
	if (args->max_read)
		option_append(buf, cap, max_read);
}

/* Runs fusermount3 with argv; comm_fd -1: none. Its process id, or -errno. */
static pid_t fusermount_spawn(char *const argv[], int comm_fd)
{
	char env[32];
	pid_t pid = fork();

	if (pid)
		return pid < 0 ? -errno : pid;
	if (comm_fd >= 0) {
		snprintf(env, sizeof(env), "%d", comm_fd);
		setenv("_FUSE_COMMFD", env, 1);
		fcntl(comm_fd, F_SETFD, 0);
	}
	execv("/usr/bin/" FUSERMOUNT, argv);
	execv("/bin/" FUSERMOUNT, argv);
	execvp(FUSERMOUNT, argv);
	fprintf(stderr, FUSERMOUNT ": not found: an ordinary user needs it to mount; install the package fuse3\n");
	_exit(127);
}

static int fusermount_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) != pid)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

/* The descriptor that fusermount3 sends, one byte with it. */
static int fd_receive(int sock, int *out_fd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr hdr = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)
	};
	struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(sock, &hdr, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&hdr);
	if (n == 0 || !c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(sizeof(int)))
		return -EPERM;
	memcpy(out_fd, CMSG_DATA(c), sizeof(int));
	return 0;
}

static int mount_as_user(const struct fuse_mount_args *args, int *out_fd)
{
	char options[OPTIONS_MAX];
	char *argv[] = { (char *)FUSERMOUNT, (char *)"-o", options, (char *)"--", (char *)args->dir, NULL };
	int sock[2], fd = -1, err, rc;
	pid_t pid;

	fusermount_options(args, options, sizeof(options));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock))
		return -errno;
	pid = fusermount_spawn(argv, sock[0]);
	close(sock[0]);
	if (pid < 0) {
		close(sock[1]);
		return (int)pid;
	}
	err = fd_receive(sock[1], &fd);
	close(sock[1]);
	rc = fusermount_wait(pid);
	if (err || rc) {
		if (fd >= 0)
			close(fd);
		return err ? err : rc;
	}
	*out_fd = fd;
	return 0;
}

int fuse_mount(const struct fuse_mount_args *args, int *out_fd, int *out_told)
{
	*out_told = geteuid() != 0;
	return geteuid() == 0 ? mount_as_root(args, out_fd) : mount_as_user(args, out_fd);
}

int fuse_mount_remount(const char *dir, unsigned long ms_flags)
{
	return mount(NULL, dir, NULL, MS_REMOUNT | ms_flags, NULL) ? -errno : 0;
}

int fuse_mount_unmount(const char *dir, unsigned int flags)
{
	char *argv[7] = { (char *)FUSERMOUNT, (char *)"-u" };
	int how = UMOUNT_NOFOLLOW, n = 2;
	pid_t pid;

	if (geteuid() == 0) {
		how |= flags & FUSE_UNMOUNT_LAZY ? MNT_DETACH : 0;
		how |= flags & FUSE_UNMOUNT_ABORT ? MNT_FORCE : 0;
		return umount2(dir, how) ? -errno : 0;
	}
	if (!(flags & FUSE_UNMOUNT_TELL))
		argv[n++] = (char *)"-q";
	if (flags & FUSE_UNMOUNT_LAZY)
		argv[n++] = (char *)"-z";
	argv[n++] = (char *)"--";
	argv[n] = (char *)dir;
	pid = fusermount_spawn(argv, -1);
	return pid < 0 ? (int)pid : fusermount_wait(pid);
}
