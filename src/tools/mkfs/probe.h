/* SPDX-License-Identifier: BSD-3-Clause */
/* What is on a device already: file systems, partition tables, swap (libblkid knows them), and our own (it does not). */
#ifndef TOOLS_MKFS_PROBE_H
#define TOOLS_MKFS_PROBE_H

#include <stddef.h>

#include "pmem/pmem.h"

/* 1: something is there, and what, for a person, in buf; 0: nothing known; -errno. */
int probe_find(const struct pmem *pm, char *buf, size_t cap);
/* Zeroes the magic numbers of all that is there. 0 or -errno. Durable on return: yes (on a backing file after pmem_sync). */
int probe_wipe(struct pmem *pm);

#endif
