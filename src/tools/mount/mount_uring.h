/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's switch of FUSE over io_uring, which has to be on before the mount. */
#ifndef TOOLS_MOUNT_URING_H
#define TOOLS_MOUNT_URING_H

#include "mount_options.h"

/* Turns it on if asked to. -errno, with a message printed, if asked to and impossible. */
int mount_uring_prepare(const struct mount_options *opts);
/* After a mount: says so if it is off and would have been used. */
void mount_uring_notice(const struct mount_options *opts);

#endif
