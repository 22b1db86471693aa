/* SPDX-License-Identifier: BSD-3-Clause */
/* Mounts over our own kernel module, where it is loaded and its root is mounted. */
#ifndef TOOLS_MOUNT_ZUF_H
#define TOOLS_MOUNT_ZUF_H

#include "mount_job.h"

/* True if zuf is there and could serve this: root mounts, no FUSE option is asked for, a block device or a type without one. */
int mount_zuf_wanted(const struct mount_job *job, const char *source);
/* With a server running: mounts. 0; 1: not by zuf after all (no such type, a device without DAX): use FUSE; else negative errno.
 */
int mount_zuf(const struct mount_job *job, const char *source, const char *dir);
int mount_zuf_remount(const struct mount_job *job, const char *dir);

#endif
