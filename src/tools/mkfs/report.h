/* SPDX-License-Identifier: BSD-3-Clause */
/* What mkfs.pmfs2 prints about the file system that it made. */
#ifndef TOOLS_MKFS_REPORT_H
#define TOOLS_MKFS_REPORT_H

#include "pmem/pmem.h"
#include "pmfs2/media/format.h"

/* backing: of the device, for its kind and notice; NULL: a file that is not there yet. */
void report_print(const char *path, const struct pmem *backing, const struct pmfs2_super *sb,
		  const struct pmfs2_horizon *horizon);

#endif
