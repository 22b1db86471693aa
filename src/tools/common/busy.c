/* SPDX-License-Identifier: BSD-3-Clause */
/* Users of a device or file: /proc/self/mountinfo names mounts, pmem/loop.h loop devices. */
#include "tools/common/busy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "pmem/loop.h"

#define LINE_MAX_BYTES 16384u
#define OPEN_TRIES 40
#define OPEN_PAUSE_MS 50

/* The table writes blanks and backslashes as \ooo. In place. */
static void unescape(char *text)
{
	char *out = text;

	for (const char *in = text; *in; in++) {
		if (in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] >= '0' && in[2] <= '7' && in[3] >= '0' &&
		    in[3] <= '7') {
			*out++ = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
			in += 3;
		} else {
			*out++ = *in;
		}
	}
	*out = '\0';
}

/* One line of the table. The source is compared too: a FUSE mount has no device number of its own. */
static int mount_uses(char *line, const char *real, const struct stat *st, char *buf, size_t cap)
{
	char *save = NULL, *rest = strstr(line, " - "), *dev, *dir, *source;
	unsigned int maj, min;
	int same;

	if (!rest)
		return 0;
	*rest = '\0';
	rest += 3;
	if (!strtok_r(line, " ", &save) || !strtok_r(NULL, " ", &save))
		return 0;
	dev = strtok_r(NULL, " ", &save);
	if (!dev || !strtok_r(NULL, " ", &save))
		return 0;
	dir = strtok_r(NULL, " ", &save);
	if (!dir || sscanf(dev, "%u:%u", &maj, &min) != 2)
		return 0;
	save = NULL;
	if (!strtok_r(rest, " ", &save))
		return 0;
	source = strtok_r(NULL, " \n", &save);
	same = S_ISBLK(st->st_mode) && makedev(maj, min) == st->st_rdev;
	if (!same && source && source[0] == '/') {
		unescape(source);
		same = !strcmp(source, real);
	}
	if (same) {
		unescape(dir);
		snprintf(buf, cap, "mounted on %.400s", dir);
	}
	return same;
}

static int is_mounted(const char *real, const struct stat *st, char *buf, size_t cap)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = malloc(LINE_MAX_BYTES);
	int found = 0;

	while (f && line && !found && fgets(line, LINE_MAX_BYTES, f))
		found = mount_uses(line, real, st, buf, cap);
	free(line);
	if (f)
		fclose(f);
	return found;
}

/* A file that a loop device shows to the kernel. */
static int is_under_loop(const struct stat *st, char *buf, size_t cap)
{
	char name[LOOP_NAME_LEN];

	if (!S_ISREG(st->st_mode) || !loop_over_file(st, name))
		return 0;
	snprintf(buf, cap, "/dev/%s is set up on it", name);
	return 1;
}

int busy_mounted(const char *path, const struct stat *st, char *buf, size_t cap)
{
	char *real = realpath(path, NULL);
	int found = real && is_mounted(real, st, buf, cap);

	free(real);
	return found;
}

int busy_where(const char *path, const struct stat *st, char *buf, size_t cap)
{
	return busy_mounted(path, st, buf, cap) || is_under_loop(st, buf, cap);
}

int busy_open(const char *path, unsigned int flags, struct pmem **out_pm)
{
	const struct timespec pause = { .tv_nsec = OPEN_PAUSE_MS * 1000000L };
	int err = pmem_open(path, flags, out_pm);

	for (int i = 1; err == -EBUSY && i < OPEN_TRIES; i++) {
		nanosleep(&pause, NULL);
		err = pmem_open(path, flags, out_pm);
	}
	return err;
}
