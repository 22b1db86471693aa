/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of the executor share. */
#ifndef CRASH_EXEC_PRIVATE_H
#define CRASH_EXEC_PRIVATE_H

#include "crash/exec.h"

struct exec_done {
	int result;
	uint64_t begin, end; /* stamps */
};

struct exec {
	const struct workload *w;
	struct zus_fs *fs;
	struct pmem *sim; /* NULL: no markers */
	uint64_t fds[WORKLOAD_FDS_MAX]; /* nodes, 0: closed; each is used by one thread at a time, or only read */
	uint8_t linkable[WORKLOAD_FDS_MAX]; /* 1: has never had a name */
	struct exec_done *done; /* by step */
	uint64_t stamp;
};

/* A name in a directory on which a reference is held. */
struct exec_place {
	uint64_t dir;
	struct zus_name name; /* in buf */
	char buf[256];
};

/* number: put behind the last component ("": nothing). */
int exec_walk(struct exec *x, const char *path, const char *number, struct exec_place *out);
void exec_place_put(struct exec *x, const struct exec_place *place);
/* +1 ref, but on the root. */
int exec_lookup(struct exec *x, const char *path, struct zus_attr *out);
int exec_target_get(struct exec *x, const struct workload_target *t, uint64_t *out_node);
void exec_target_put(struct exec *x, const struct workload_target *t, uint64_t node);
/* exec_ops.c: what an operation does; step gives the bytes that it writes. 0 or -errno. */
int exec_op(struct exec *x, const struct workload_op *op, uint32_t step);

#endif
