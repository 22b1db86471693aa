/* SPDX-License-Identifier: BSD-3-Clause */
/* Users of a device or file that hold no lock which we could see: the mount table, loop devices. */
#ifndef TOOLS_BUSY_H
#define TOOLS_BUSY_H

#include <stddef.h>
#include <sys/stat.h>

/* 1: in use, and how, for a person, in buf; 0: not as far as can be seen. */
int busy_where(const char *path, const struct stat *st, char *buf, size_t cap);

#endif
