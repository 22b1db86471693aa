/* SPDX-License-Identifier: BSD-3-Clause */
/* fuse.enable_uring: a parameter of the kernel's fuse module since Linux 6.14, off by default. */
#include "mount_uring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define URING_PARAM "/sys/module/fuse/parameters/enable_uring"

enum uring_state {
	URING_MISSING,
	URING_OFF,
	URING_ON,
};

static enum uring_state uring_state(void)
{
	int fd = open(URING_PARAM, O_RDONLY | O_CLOEXEC);
	char value = 'N';

	if (fd < 0)
		return URING_MISSING;
	if (read(fd, &value, 1) != 1)
		value = 'N';
	close(fd);
	return value == 'Y' || value == '1' ? URING_ON : URING_OFF;
}

static int uring_enable(void)
{
	int fd = open(URING_PARAM, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, "Y", 1) != 1)
		err = -errno;
	close(fd);
	return err;
}

int mount_uring_prepare(const struct mount_options *opts)
{
	enum uring_state state = uring_state();
	int err = 0;

	if (opts->channel == CONTROL_CHANNEL_DEV)
		return 0;
	if (state == URING_OFF && opts->enable_uring) {
		err = uring_enable();
		if (err)
			fprintf(stderr, "mount.pmfs2: option 'uring': cannot write Y to " URING_PARAM ": %s; do it as root\n",
				strerror(-err));
	} else if (state == URING_MISSING && (opts->enable_uring || opts->channel == CONTROL_CHANNEL_URING)) {
		fprintf(stderr, "mount.pmfs2: this kernel has no FUSE over io_uring (Linux 6.14 or newer); mount without 'uring' "
				"and 'channel=uring'\n");
		err = -EOPNOTSUPP;
	}
	return err;
}

void mount_uring_notice(const struct mount_options *opts)
{
	if (opts->channel == CONTROL_CHANNEL_AUTO && uring_state() == URING_OFF)
		fprintf(stderr, "mount.pmfs2: io_uring is off in the kernel's FUSE, a slower channel is used; -o uring turns it "
				"on (echo Y >" URING_PARAM ")\n");
}
