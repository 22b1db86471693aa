/* SPDX-License-Identifier: BSD-3-Clause */
/* Arguments of fsck.pmfs2. */
#ifndef TOOLS_FSCK_OPTIONS_H
#define TOOLS_FSCK_OPTIONS_H

#include "fsck/fsck.h"

/* Exit codes of fsck(8) beside those of fsck/fsck.h. */
#define EXIT_FSCK_USAGE 16
#define EXIT_FSCK_CANCELED 32

#define PROGRESS_NONE (-1)

struct options {
	const char *path;
	enum fsck_mode mode;
	int read_all;
	int force;
	int verbose;
	int progress_fd; /* PROGRESS_NONE; 0: a bar on the terminal; others: lines for a program */
	uint32_t threads; /* 0: one for each CPU */
};

/* Negative: go on. Otherwise an exit code; what was wrong, or what was asked for, has been printed. */
int options_parse(int argc, char **argv, struct options *out);

#endif
