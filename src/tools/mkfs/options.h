/* SPDX-License-Identifier: BSD-3-Clause */
/* Arguments of mkfs.pmfs2. */
#ifndef TOOLS_MKFS_OPTIONS_H
#define TOOLS_MKFS_OPTIONS_H

#include <stdint.h>

#include "pmfs2/mkfs.h"

struct options {
	const char *path;
	uint64_t size; /* bytes, a multiple of 4096; 0: as the device or file is */
	int force;
	int quiet;
	int dry_run;
	struct mkfs_params params;
};

/* -1: go on; otherwise the exit code. Says what is wrong. */
int options_parse(int argc, char **argv, struct options *out);

#endif
