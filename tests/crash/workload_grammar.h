/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of operations that parser, printer and help of workloads share. */
#ifndef CRASH_WORKLOAD_GRAMMAR_H
#define CRASH_WORKLOAD_GRAMMAR_H

#include "crash/workload.h"

enum grammar_arg_kind {
	ARG_NONE, /* end of the list */
	ARG_TARGET, /* PATH or $N */
	ARG_PATH, /* target.path */
	ARG_FD, /* target.fd */
	ARG_TO, /* to, a path */
	ARG_NAME, /* to, the name of an xattr */
	ARG_SYMBOL, /* arg[slot], from here on; one of symbols */
	ARG_NUMBER,
	ARG_OCTAL,
	ARG_HEX,
};

struct grammar_arg {
	enum grammar_arg_kind kind;
	const char *what;
	uint32_t slot;
	int optional;
	uint64_t preset;
	const char *const *symbols;
};

struct grammar_op {
	const char *name;
	const char *help;
	int loops; /* arg[0] times */
	struct grammar_arg args[5];
};

/* By enum workload_kind; ends with a NULL name. */
extern const struct grammar_op grammar_ops[];

/* The text of one operation, heap. NULL: no memory. */
char *grammar_op_print(const struct workload_op *op);

#endif
