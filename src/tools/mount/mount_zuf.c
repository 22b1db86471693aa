/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Over zuf a mount is one mount(2) of the file-system type that the server has registered: the kernel asks the server, and what
 * the server has to say about a failure is in its log.
 */
#include "mount_zuf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define ZUF_ROOT_MAGIC 0x7a756672

static const char *zuf_root(void)
{
	const char *env = secure_getenv("ZUF_ROOT");

	return env && env[0] ? env : "/sys/fs/zuf";
}

int mount_zuf_wanted(const struct mount_job *job, const char *source)
{
	const struct mount_options *opts = &job->opts;
	struct statfs sfs;
	struct stat st;

	if (geteuid() != 0 || opts->channel != CONTROL_CHANNEL_AUTO || opts->cache != CONTROL_CACHE_AUTO || opts->enable_uring ||
	    opts->max_write)
		return 0;
	if (statfs(zuf_root(), &sfs) || sfs.f_type != ZUF_ROOT_MAGIC)
		return 0;
	return stat(source, &st) || S_ISBLK(st.st_mode);
}

/* As /proc/filesystems has it: "nodev\tNAME" or "\tNAME". *out_nodev is set. */
static int type_is_registered(const char *fstype, int *out_nodev)
{
	char line[128], name[64];
	FILE *f = fopen("/proc/filesystems", "re");
	int found = 0;

	while (f && !found && fgets(line, sizeof(line), f)) {
		*out_nodev = !strncmp(line, "nodev", 5);
		found = sscanf(line + (*out_nodev ? 5 : 0), " %63s", name) == 1 && !strcmp(name, fstype);
	}
	if (f)
		fclose(f);
	return found;
}

/* What the kernel gets: the module's option, and the plug-in's. */
struct zuf_data {
	char text[MOUNT_OPTIONS_PLUGIN_MAX + 32];
};

static void data_build(struct zuf_data *data, const struct mount_options *opts)
{
	const char *plugin = opts->plugin_options;

	if (opts->wait_s < 0)
		snprintf(data->text, sizeof(data->text), "%s", plugin);
	else
		snprintf(data->text, sizeof(data->text), "wait=%d%s%s", opts->wait_s, plugin[0] ? "," : "", plugin);
}

int mount_zuf(const struct mount_job *job, const char *source, const char *dir)
{
	const struct mount_options *opts = &job->opts;
	struct zuf_data data;
	struct stat st;
	int nodev;

	if (!type_is_registered(opts->fstype, &nodev) || (!nodev && (stat(source, &st) || !S_ISBLK(st.st_mode))))
		return 1;
	data_build(&data, opts);
	if (!mount(source, dir, opts->fstype, opts->ms_flags, data.text))
		return 0;
	/* No DAX: through FUSE and the page cache it works. */
	return errno == EOPNOTSUPP || errno == ENODEV ? 1 : -errno;
}

int mount_zuf_remount(const struct mount_job *job, const char *dir)
{
	const struct mount_options *opts = &job->opts;
	struct zuf_data data;

	data_build(&data, opts);
	return mount(NULL, dir, NULL, opts->ms_flags | MS_REMOUNT, data.text) ? -errno : 0;
}
