/* SPDX-License-Identifier: BSD-3-Clause */
/* The device or file to format: found fit, created or resized, locked, mapped. */
#ifndef TOOLS_MKFS_TARGET_H
#define TOOLS_MKFS_TARGET_H

#include "options.h"
#include "pmem/pmem.h"

struct target {
	const char *path;
	struct pmem *pm; /* as it is now; NULL: a dry run of a file that does not exist */
	struct pmem *locked; /* not NULL: the first opening, which holds the lock; the file was resized behind it */
	uint64_t size; /* bytes that it shall have */
	int created;
};

/*
 * Checks, creates, opens and locks; a dry run opens read-only and creates nothing. An existing file keeps its size. 0 or an exit
 * code; says what is wrong.
 */
int target_open(const struct options *opts, struct target *out);
/* Gives an existing file the size that was asked for. 0 or an exit code. */
int target_resize(struct target *tg);
/* failed: a file that was created is removed again. */
void target_close(struct target *tg, int failed);

#endif
