/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * umount.pmfs2: the helper that umount(8) runs for our types. Unmounts, then waits until the server has closed the image, so
 * that a mount, a check or a format of the device works at once.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mount_job.h"
#include "transport/fuse/fuse_mount.h"
#include "zusd/control_client.h"

struct umount_job {
	const char *dir;
	unsigned int flags; /* FUSE_UNMOUNT_* */
	int verbose;
};

static void usage(FILE *f)
{
	fprintf(f, "Usage: umount.pmfs2 [-flnrv] DIRECTORY\n"
		   "Unmounts a file system of zusd and waits until its image is closed; usually run by umount DIRECTORY.\n\n"
		   "  -f  calls in flight fail      -l  out of the tree at once, closed when nobody uses it any more\n"
		   "  -n, -r  ignored               -v  say what was done\n");
}

/* The image is closed when the server says so. Where there is no server there is nothing to wait for. */
static void wait_closed(uint64_t devno, const char *dir)
{
	struct control_client *cl = control_client_new();
	int err;

	if (cl && !control_client_connect(cl, NULL)) {
		control_msg_begin(&cl->msg, CONTROL_WAIT_CLOSED);
		control_msg_put_u64(&cl->msg, CONTROL_TAG_DEVNO, devno);
		err = control_client_call(cl, -1);
		if (err == -ETIMEDOUT)
			fprintf(stderr, "umount.pmfs2: %s is unmounted; the server is still closing the image\n", dir);
	}
	control_client_free(cl);
}

static int unmount(const struct umount_job *job)
{
	struct fuse_mount_entry *entry = malloc(sizeof(*entry));
	char dir[PATH_MAX];
	int err, told;

	if (!entry)
		return MOUNT_EXIT_SYSTEM;
	/* As it stands in the table first: resolving asks the file system, whose server may be dead. */
	snprintf(dir, sizeof(dir), "%s", job->dir);
	if (fuse_mount_find(dir, entry) && (!realpath(job->dir, dir) || fuse_mount_find(dir, entry))) {
		fprintf(stderr, "umount.pmfs2: %s: not mounted\n", job->dir);
		free(entry);
		return MOUNT_EXIT_FAIL;
	}
	err = fuse_mount_unmount(dir, job->flags | FUSE_UNMOUNT_TELL);
	told = err == -EPERM && geteuid() != 0;
	if (err && !told)
		fprintf(stderr, "umount.pmfs2: %s: %s\n", dir,
			err == -EBUSY ? "target is busy (fuser -vm shows who uses it; umount -l detaches it)" : strerror(-err));
	else if (!err && !(job->flags & FUSE_UNMOUNT_LAZY) && !fuse_mount_count(entry->devno))
		wait_closed(entry->devno, dir);
	if (!err && job->verbose)
		printf("umount.pmfs2: %s unmounted\n", dir);
	free(entry);
	return err ? MOUNT_EXIT_FAIL : 0;
}

int main(int argc, char **argv)
{
	struct umount_job job = { 0 };
	int opt;

	while ((opt = getopt(argc, argv, "flnrvt:hV")) != -1) {
		switch (opt) {
		case 'f':
			job.flags |= FUSE_UNMOUNT_ABORT;
			break;
		case 'l':
			job.flags |= FUSE_UNMOUNT_LAZY;
			break;
		case 'n':
		case 'r':
		case 't':
			break;
		case 'v':
			job.verbose = 1;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			printf("umount.pmfs2 %s\n", PMFS2_VERSION);
			return 0;
		default:
			usage(stderr);
			return MOUNT_EXIT_USAGE;
		}
	}
	if (argc - optind != 1) {
		usage(stderr);
		return MOUNT_EXIT_USAGE;
	}
	job.dir = argv[optind];
	return unmount(&job);
}
