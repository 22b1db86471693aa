/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Users of a device or file: those that hold no lock which we could see (the mount table, loop devices), and those that are just
 * leaving.
 */
#ifndef TOOLS_BUSY_H
#define TOOLS_BUSY_H

#include <stddef.h>
#include <sys/stat.h>

#include "pmem/pmem.h"

/* 1: mounted, and where, for a person, in buf; 0: not as far as can be seen. */
int busy_mounted(const char *path, const struct stat *st, char *buf, size_t cap);
/* As busy_mounted, or a loop device shows it. */
int busy_where(const char *path, const struct stat *st, char *buf, size_t cap);
/*
 * As pmem_open, but -EBUSY only after two seconds: umount(8) returns before the server has closed the image.
 */
int busy_open(const char *path, unsigned int flags, struct pmem **out_pm);

#endif
