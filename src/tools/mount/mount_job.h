/* SPDX-License-Identifier: BSD-3-Clause */
/* What mount.pmfs2 does: a mount, or a remount. */
#ifndef TOOLS_MOUNT_JOB_H
#define TOOLS_MOUNT_JOB_H

#include "mount_options.h"

/* Exit codes of mount(8). */
#define MOUNT_EXIT_OK 0
#define MOUNT_EXIT_USAGE 1
#define MOUNT_EXIT_SYSTEM 2
#define MOUNT_EXIT_FAIL 32

struct mount_job {
	const char *source; /* as given */
	const char *dir; /* as given */
	const char *socket_path; /* of the server, NULL: the default */
	struct mount_options opts;
	int fake; /* all but the mounting */
	int verbose;
};

/* Both print what is wrong to stderr, and give an exit code. */
int mount_job_run(struct mount_job *job);
int mount_job_remount(struct mount_job *job);

#endif
