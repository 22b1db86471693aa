/* SPDX-License-Identifier: BSD-3-Clause */
/* How far a check is: a bar for a person, or lines for a program. */
#ifndef TOOLS_FSCK_PROGRESS_H
#define TOOLS_FSCK_PROGRESS_H

#include <stdint.h>
#include <stdio.h>

#include "fsck/fsck.h"

struct progress {
	const char *path;
	FILE *out; /* NULL: none */
	int bar;
	int shown; /* a bar stands on the line */
	enum fsck_pass pass;
	uint64_t permille; /* shown last; above 1000: nothing yet */
	uint64_t start_ms;
};

/* fd: of struct options. A bar needs a terminal on standard output. 0 or -errno. */
int progress_init(struct progress *pr, const char *path, int fd);
void progress_fini(struct progress *pr);
void progress_show(struct progress *pr, enum fsck_pass pass, uint64_t done, uint64_t total);
/* Takes the bar off the line, before something else is printed. */
void progress_hide(struct progress *pr);

#endif
