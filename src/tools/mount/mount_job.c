/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A mount over FUSE, step by step:
 *
 *  1. the server opens the device (and says what is wrong with it, if anything);
 *  2. /dev/fuse is opened and mounted here, in the caller's mount namespace;
 *  3. the descriptor goes to the server, which answers the kernel from then on.
 *
 * If cut: before 3 the server closes the image when our connection ends, by whatever cause; a mount that exists already is taken
 * away again here. Signals wait from 2 to 3, so that only SIGKILL can leave a dead mount behind.
 */
#include "mount_job.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mount_server.h"
#include "mount_uring.h"
#include "mount_zuf.h"
#include "transport/fuse/fuse_mount.h"
#include "zusd/control_client.h"

#define MAX_READ_DEFAULT (1u << 20)

static int __attribute__((format(printf, 2, 3))) fail(int exit_code, const char *fmt, ...)
{
	va_list ap;

	fputs("mount.pmfs2: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return exit_code;
}

/* Each line of text as a message of ours. */
static void print_lines(const char *text)
{
	while (*text) {
		int len = (int)strcspn(text, "\n");

		if (len)
			fail(0, "%.*s", len, text);
		text += len + (text[len] == '\n');
	}
}

static int resolve_dir(const char *dir, char out[PATH_MAX])
{
	struct stat st;

	if (!realpath(dir, out)) {
		if (errno == ENOTCONN)
			return fail(MOUNT_EXIT_FAIL,
				    "%s: the server of what is mounted there has died; take it away first: umount -l %s", dir,
				    dir);
		return fail(MOUNT_EXIT_FAIL, "mount point %s: %s", dir, strerror(errno));
	}
	if (stat(out, &st)) {
		if (errno == ENOTCONN)
			return fail(MOUNT_EXIT_FAIL,
				    "%s: the server of what is mounted there has died; take it away first: umount -l %s", dir,
				    dir);
		return fail(MOUNT_EXIT_FAIL, "mount point %s: %s", dir, strerror(errno));
	}
	return S_ISDIR(st.st_mode) ? 0 : fail(MOUNT_EXIT_FAIL, "mount point %s is not a directory", dir);
}

/* A device has a path; file systems in memory are given any word. */
static void resolve_source(const char *source, char out[PATH_MAX])
{
	if (!realpath(source, out))
		snprintf(out, PATH_MAX, "%s", source);
}

enum mount_transport {
	MOUNT_TRANSPORT_FUSE,
	MOUNT_TRANSPORT_NONE,
};

/* How the kernel is reached where zuf is not there or does not fit. FUSE's module is loaded if need be. */
static enum mount_transport transport_choose(void)
{
	if (access(FUSE_MOUNT_DEV, F_OK) && geteuid() == 0 && !access("/sbin/modprobe", X_OK) && system("/sbin/modprobe -q fuse"))
		return MOUNT_TRANSPORT_NONE;
	return access(FUSE_MOUNT_DEV, F_OK) ? MOUNT_TRANSPORT_NONE : MOUNT_TRANSPORT_FUSE;
}

/* Step 1. */
static int server_open(struct control_client *cl, struct mount_job *job, const char *source, const char *dir, uint64_t *out_id)
{
	const struct mount_options *opts = &job->opts;
	int err;

	control_msg_begin(&cl->msg, CONTROL_OPEN);
	control_msg_put_str(&cl->msg, CONTROL_TAG_FSTYPE, opts->fstype);
	control_msg_put_str(&cl->msg, CONTROL_TAG_DEVICE, source);
	control_msg_put_str(&cl->msg, CONTROL_TAG_SOURCE, source);
	control_msg_put_str(&cl->msg, CONTROL_TAG_DIR, dir);
	control_msg_put_str(&cl->msg, CONTROL_TAG_OPTIONS, opts->plugin_options);
	control_msg_put_u64(&cl->msg, CONTROL_TAG_FLAGS, mount_options_control_flags(opts));
	control_msg_put_u64(&cl->msg, CONTROL_TAG_CACHE, opts->cache);
	control_msg_put_u64(&cl->msg, CONTROL_TAG_CHANNEL, opts->channel);
	control_msg_put_u64(&cl->msg, CONTROL_TAG_MAX_WRITE, opts->max_write);
	err = control_client_call(cl, -1);
	if (err) {
		print_lines(control_client_error(cl, err));
		return MOUNT_EXIT_FAIL;
	}
	*out_id = control_msg_u64(&cl->msg, CONTROL_TAG_ID, 0);
	if (control_msg_u64(&cl->msg, CONTROL_TAG_FLAGS, 0) & CONTROL_MOUNT_RDONLY && !(opts->ms_flags & MS_RDONLY)) {
		job->opts.ms_flags |= MS_RDONLY;
		fail(0, "%s can only be mounted read-only", source);
	}
	print_lines(control_msg_str_or_empty(&cl->msg, CONTROL_TAG_NOTICE));
	return 0;
}

static const char *explain_mount(int err)
{
	switch (err) {
	case -EPERM:
	case -EACCES:
		return "not permitted; mount as root, or install fuse3 and use a directory that you own";
	case -ENODEV:
		return "this kernel has no FUSE; load its module (modprobe fuse)";
	default:
		return strerror(-err);
	}
}

/* Step 2. */
static int kernel_mount(const struct mount_job *job, const char *source, const char *dir, int *out_fd)
{
	const struct mount_options *opts = &job->opts;
	const int is_root = geteuid() == 0;
	const struct fuse_mount_args args = {
		.source = source,
		.dir = dir,
		.subtype = opts->fstype,
		.ms_flags = opts->ms_flags,
		.max_read = opts->max_write ? opts->max_write : MAX_READ_DEFAULT,
		.allow_other = opts->allow_other < 0 ? is_root : opts->allow_other,
		.default_permissions = 1,
	};
	int told, err;

	err = fuse_mount(&args, out_fd, &told);
	if (err && !told)
		return fail(MOUNT_EXIT_FAIL, "cannot mount %s on %s: %s", source, dir, explain_mount(err));
	return err ? MOUNT_EXIT_FAIL : 0;
}

/* The number of what we have just mounted; 0: not known. By now another mount may lie above it, or be there instead. */
static uint64_t devno_of(const struct mount_job *job, const char *source, const char *dir)
{
	struct fuse_mount_entry *entry = malloc(sizeof(*entry));
	uint64_t devno = 0;

	if (entry && !fuse_mount_find(dir, entry) && fuse_mount_entry_is(entry, job->opts.fstype, source))
		devno = entry->devno;
	free(entry);
	return devno;
}

/* Step 3. Takes over fd. */
static int server_start(struct control_client *cl, uint64_t id, uint64_t devno, int fd)
{
	int err;

	control_msg_begin(&cl->msg, CONTROL_START);
	control_msg_put_u64(&cl->msg, CONTROL_TAG_ID, id);
	control_msg_put_u64(&cl->msg, CONTROL_TAG_DEVNO, devno);
	err = control_client_call(cl, fd);
	close(fd);
	if (!err)
		return 0;
	print_lines(control_client_error(cl, err));
	return MOUNT_EXIT_FAIL;
}

static void signals_hold(sigset_t *out_old)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigprocmask(SIG_BLOCK, &set, out_old);
}

/* Steps 2 and 3. */
static int mount_and_start(struct control_client *cl, const struct mount_job *job, const char *source, const char *dir,
			   uint64_t id)
{
	sigset_t old;
	int rc, fd = -1;

	signals_hold(&old);
	rc = kernel_mount(job, source, dir, &fd);
	if (!rc) {
		rc = server_start(cl, id, devno_of(job, source, dir), fd);
		if (rc)
			fuse_mount_unmount(dir, FUSE_UNMOUNT_LAZY);
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	return rc;
}

/* Over zuf: -1: it is not for zuf; else an exit code. */
static int run_zuf(struct mount_job *job, const char *source, const char *dir)
{
	struct control_client *cl;
	int rc, err;

	if (!mount_zuf_wanted(job, source))
		return -1;
	cl = control_client_new();
	if (!cl)
		return fail(MOUNT_EXIT_SYSTEM, "not enough memory");
	rc = mount_server_connect(cl, job->socket_path);
	err = rc ? 0 : mount_zuf(job, source, dir);
	control_client_free(cl);
	if (rc)
		return rc;
	if (err > 0)
		return -1;
	if (err)
		return fail(MOUNT_EXIT_FAIL, "cannot mount %s on %s: %s; the server's log says more (journalctl -t zusd)", source,
			    dir, explain_mount(err));
	if (job->verbose)
		printf("mount.pmfs2: %s mounted on %s, type %s, over zuf\n", source, dir, job->opts.fstype);
	return 0;
}

int mount_job_run(struct mount_job *job)
{
	char dir[PATH_MAX], source[PATH_MAX];
	struct control_client *cl;
	uint64_t id;
	int rc;

	rc = resolve_dir(job->dir, dir);
	if (rc)
		return rc;
	resolve_source(job->source, source);
	if (job->fake)
		return 0;
	rc = run_zuf(job, source, dir);
	if (rc >= 0)
		return rc;
	if (transport_choose() == MOUNT_TRANSPORT_NONE)
		return fail(MOUNT_EXIT_FAIL,
			    "%s is missing: this kernel has no FUSE, or its module is not loaded (modprobe fuse)",
			    FUSE_MOUNT_DEV);
	if (mount_uring_prepare(&job->opts))
		return MOUNT_EXIT_FAIL;
	cl = control_client_new();
	if (!cl)
		return fail(MOUNT_EXIT_SYSTEM, "not enough memory");
	rc = mount_server_connect(cl, job->socket_path);
	if (!rc)
		rc = server_open(cl, job, source, dir, &id);
	if (!rc)
		rc = mount_and_start(cl, job, source, dir, id);
	if (!rc)
		mount_uring_notice(&job->opts);
	if (!rc && job->verbose)
		printf("mount.pmfs2: %s mounted on %s, type fuse.%s, by zusd %s (process %d)\n", source, dir, job->opts.fstype,
		       cl->version, (int)cl->pid);
	control_client_free(cl);
	return rc;
}

/* Tells the server; it tells the plug-in. */
static int server_remount(struct control_client *cl, uint64_t devno, uint32_t flags)
{
	int err;

	control_msg_begin(&cl->msg, CONTROL_REMOUNT);
	control_msg_put_u64(&cl->msg, CONTROL_TAG_DEVNO, devno);
	control_msg_put_u64(&cl->msg, CONTROL_TAG_FLAGS, flags);
	err = control_client_call(cl, -1);
	if (err)
		print_lines(control_client_error(cl, err));
	return err ? MOUNT_EXIT_FAIL : 0;
}

static int kernel_remount(const char *dir, unsigned long ms_flags)
{
	int err = fuse_mount_remount(dir, ms_flags);

	if (!err)
		return 0;
	return fail(MOUNT_EXIT_FAIL, "cannot remount %s: %s", dir,
		    err == -EBUSY ? "files are open for writing; close them first (fuser -vm shows who has them)"
				  : explain_mount(err));
}

/* Read-only: the kernel first, which knows of open files. Writable: the plug-in first, which knows the device. */
static int remount_both(struct control_client *cl, const struct mount_job *job, const struct fuse_mount_entry *entry)
{
	uint32_t flags = mount_options_control_flags(&job->opts);
	int was_ro = !strncmp(entry->sb_options, "ro", 2) && (entry->sb_options[2] == ',' || !entry->sb_options[2]);
	int rc;

	if (flags & CONTROL_MOUNT_RDONLY) {
		rc = kernel_remount(entry->dir, job->opts.ms_flags);
		if (!rc && server_remount(cl, entry->devno, flags)) {
			rc = MOUNT_EXIT_FAIL;
			if (!was_ro)
				fuse_mount_remount(entry->dir, job->opts.ms_flags & ~(unsigned long)MS_RDONLY);
		}
		return rc;
	}
	rc = server_remount(cl, entry->devno, flags);
	if (!rc && kernel_remount(entry->dir, job->opts.ms_flags)) {
		rc = MOUNT_EXIT_FAIL;
		if (was_ro)
			server_remount(cl, entry->devno, flags | CONTROL_MOUNT_RDONLY);
	}
	return rc;
}

int mount_job_remount(struct mount_job *job)
{
	struct fuse_mount_entry *entry = malloc(sizeof(*entry));
	struct control_client *cl = control_client_new();
	char dir[PATH_MAX];
	int rc, err;

	if (!entry || !cl) {
		rc = fail(MOUNT_EXIT_SYSTEM, "not enough memory");
		goto free_all;
	}
	rc = resolve_dir(job->dir, dir);
	if (rc)
		goto free_all;
	if (!fuse_mount_find(dir, entry) && !strcmp(entry->type, job->opts.fstype)) {
		err = job->fake ? 0 : mount_zuf_remount(job, dir);
		rc = err ? fail(MOUNT_EXIT_FAIL, "cannot remount %s: %s", dir, explain_mount(err)) : 0;
		goto free_all;
	}
	if (fuse_mount_find(dir, entry) || strncmp(entry->type, "fuse.", 5)) {
		rc = fail(MOUNT_EXIT_FAIL, "cannot remount %s: it is not one of our mounts", dir);
		goto free_all;
	}
	if (geteuid() != 0) {
		rc = fail(MOUNT_EXIT_USAGE, "cannot remount %s: only root may; unmount and mount it again", dir);
		goto free_all;
	}
	err = control_client_connect(cl, job->socket_path);
	if (err)
		rc = fail(MOUNT_EXIT_FAIL, "cannot remount %s: no server on %s: %s", dir, cl->path, strerror(-err));
	else if (!job->fake)
		rc = remount_both(cl, job, entry);
free_all:
	control_client_free(cl);
	free(entry);
	return rc;
}
