/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mount.pmfs2: the helper that mount(8) runs for type pmfs2, and under other names for fuse.pmfs2, memfs and so on. Arguments
 * only.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mount_job.h"

static void usage(FILE *f)
{
	fprintf(f, "Usage: mount.pmfs2 [-fnsv] [-o OPTIONS] DEVICE DIRECTORY\n"
		   "Mounts a pmfs2 device or image; usually run as mount -t pmfs2 DEVICE DIRECTORY.\n\n"
		   "  -o ro,rw,noatime,relatime,strictatime,nodiratime,nosuid,nodev,noexec,remount...\n"
		   "     cache=auto|none          kernel caches, or direct I/O (default auto)\n"
		   "     channel=auto|uring|dev   how requests travel (default auto)\n"
		   "     uring                    turn on FUSE over io_uring in the kernel\n"
		   "     max_write=BYTES          largest write request (default 1M)\n"
		   "     allow_other              other users may use the mount (default as root)\n"
		   "     wait=SECONDS             over zuf: how long calls wait for a new server (default 0)\n"
		   "     fstype=NAME              another plug-in of the server, as memfs\n"
		   "  -f    check, do not mount     -s    leave out options that mount.pmfs2 does not know\n"
		   "  -n    ignored                 -v    say what was done\n"
		   "  -h    this text               -V    version\n");
}

/* The type that the program's name says: mount.pmfs2, mount.fuse.pmfs2. */
static const char *type_of_name(const char *argv0)
{
	const char *base = strrchr(argv0, '/'), *type;

	base = base ? base + 1 : argv0;
	if (strncmp(base, "mount.", 6))
		return "pmfs2";
	type = base + 6;
	if (!strncmp(type, "fuse.", 5))
		type += 5;
	return type[0] ? type : "pmfs2";
}

struct arguments {
	struct mount_job job;
	int sloppy;
};

/* -1: go on; otherwise the exit code. */
static int arguments_parse(int argc, char **argv, struct arguments *args)
{
	char why[512];
	int opt;

	while ((opt = getopt(argc, argv, "fno:st:vN:hV")) != -1) {
		switch (opt) {
		case 'f':
			args->job.fake = 1;
			break;
		case 'n':
			break;
		case 'o':
			if (mount_options_parse(&args->job.opts, optarg, why, sizeof(why))) {
				fprintf(stderr, "mount.pmfs2: %s\n", why);
				return MOUNT_EXIT_USAGE;
			}
			break;
		case 's':
			args->sloppy = 1;
			break;
		case 't': /* "fuse.pmfs2": our name says it already */
			break;
		case 'v':
			args->job.verbose = 1;
			break;
		case 'N':
			fprintf(stderr, "mount.pmfs2: -N: run mount(8) inside the namespace (nsenter) instead\n");
			return MOUNT_EXIT_USAGE;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			printf("mount.pmfs2 %s\n", PMFS2_VERSION);
			return 0;
		default:
			usage(stderr);
			return MOUNT_EXIT_USAGE;
		}
	}
	if (argc - optind != 2) {
		usage(stderr);
		return MOUNT_EXIT_USAGE;
	}
	args->job.source = argv[optind];
	args->job.dir = argv[optind + 1];
	return -1;
}

int main(int argc, char **argv)
{
	static struct arguments args;
	int rc;

	mount_options_init(&args.job.opts, type_of_name(argv[0]));
	rc = arguments_parse(argc, argv, &args);
	if (rc >= 0)
		return rc;
	if (args.sloppy)
		args.job.opts.plugin_options[0] = '\0';
	return args.job.opts.remount ? mount_job_remount(&args.job) : mount_job_run(&args.job);
}
