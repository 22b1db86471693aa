/* SPDX-License-Identifier: BSD-3-Clause */
/* Loop devices, as sysfs shows them. */
#include "pmem/loop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define SYSFS_PATH_MAX (NAME_MAX + 64)

/* The path in a file backing_file. A file that was deleted has a text behind its path, so that nothing is found there. */
static int backing_path(const char *sysfs_path, char out_path[PATH_MAX])
{
	FILE *f = fopen(sysfs_path, "re");
	int found;

	if (!f)
		return 0;
	found = fgets(out_path, PATH_MAX, f) != NULL;
	fclose(f);
	if (found)
		out_path[strcspn(out_path, "\n")] = '\0';
	return found;
}

int loop_over_file(const struct stat *st, char out_name[LOOP_NAME_LEN])
{
	char sysfs_path[SYSFS_PATH_MAX], path[PATH_MAX];
	DIR *dir = opendir("/sys/block");
	struct dirent *entry;
	struct stat under;
	int found = 0;

	while (dir && !found && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "loop", 4))
			continue;
		snprintf(sysfs_path, sizeof(sysfs_path), "/sys/block/%s/loop/backing_file", entry->d_name);
		/* By what it is, not by its name: links and bind mounts give it others. */
		found = backing_path(sysfs_path, path) && !stat(path, &under) && under.st_dev == st->st_dev &&
			under.st_ino == st->st_ino;
		if (found)
			snprintf(out_name, LOOP_NAME_LEN, "%.*s", LOOP_NAME_LEN - 1, entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

int loop_open_backing(int fd, dev_t rdev, int oflags, int *out_is_part, int *out_fd)
{
	char sysfs_path[SYSFS_PATH_MAX], path[PATH_MAX];
	struct loop_info64 info;
	int is_partition = 0, file;
	struct stat st;

	snprintf(sysfs_path, sizeof(sysfs_path), "/sys/dev/block/%u:%u/loop/backing_file", major(rdev), minor(rdev));
	if (!backing_path(sysfs_path, path)) {
		snprintf(sysfs_path, sizeof(sysfs_path), "/sys/dev/block/%u:%u/../loop/backing_file", major(rdev), minor(rdev));
		is_partition = backing_path(sysfs_path, path);
		if (!is_partition)
			return -ENOENT;
	}
	if (ioctl(fd, LOOP_GET_STATUS64, &info))
		return -errno;
	file = open(path, oflags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (file < 0)
		return -errno;
	if (fstat(file, &st) || st.st_ino != info.lo_inode) {
		close(file);
		return -ENOENT;
	}
	*out_is_part = is_partition || info.lo_offset || info.lo_sizelimit;
	*out_fd = file;
	return 0;
}
