/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A workload: operations that prepare a file system, and operations under test, as one line of text.
 *
 *	@mib=4,rings=2,ring=8 mkdir A; creat A/foo; write A/foo 0 100 | rename A/foo bar; [t2] unlink bar
 *
 *	@name=value,...	the device, optional, see struct workload_geometry; sched=N, see exec.h; tick=N: so many steps, one
 *			behind the other, have the same time
 *	a; b; c | d; e	a, b, c prepare; d, e are tested. Without | all are tested
 *	[tN]		the tested operations from here on belong to thread N (1..4); each thread works in the order of the text
 *	PATH		names joined by /, from the root; "." is the root. NAME%N is NAME filled up with 'x' to N bytes
 *	$N		descriptor N (0..15): an inode that is held open. A TARGET is a PATH or a $N
 *	numbers		decimal, 0x..., 0...; with k or M behind them: KiB, MiB
 *
 * workload_help_print() has the table of operations. An operation that loops ("creatn A/f 100") is that many steps. The step is
 *the unit of execution and of the oracle: each has its begin and end in the record.
 */
#ifndef CRASH_WORKLOAD_H
#define CRASH_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "pmfs2/mkfs.h"

#define WORKLOAD_THREADS_MAX 4u
#define WORKLOAD_FDS_MAX 16u
#define WORKLOAD_PATH_MAX 96u /* bytes of a path in text form */
#define WORKLOAD_OPS_MAX 4096u
#define WORKLOAD_STEPS_MAX 65535u

enum workload_kind {
	OP_CREAT,
	OP_MKDIR,
	OP_MKNOD,
	OP_SYMLINK,
	OP_TMPFILE,
	OP_OPEN,
	OP_CLOSE,
	OP_LINK,
	OP_UNLINK,
	OP_RMDIR,
	OP_REMOVE,
	OP_RENAME,
	OP_WRITE,
	OP_DWRITE,
	OP_READ,
	OP_TRUNCATE,
	OP_FALLOC,
	OP_FSYNC,
	OP_SYNC,
	OP_CHMOD,
	OP_CHOWN,
	OP_UTIMES,
	OP_CHATTR,
	OP_PROJID,
	OP_SETXATTR,
	OP_REMOVEXATTR,
	OP_SETACL,
	OP_FILL,
	OP_CREATN,
	OP_MKDIRN,
	OP_UNLINKN,
	OP_WRITEN,
	OP_CUTWRITE,
	OP_POISON,
	OP_CHMODACL,
	OP_CHMODN,
	OP_PUNCHN,
	OP_KINDS,
};

#define WORKLOAD_OFF_END UINT64_MAX /* "end": the size of the file */

/* MODE of falloc, TYPE of mknod, KIND of setacl as argument 0. */
enum workload_falloc { FALLOC_ALLOC, FALLOC_KEEP, FALLOC_PUNCH, FALLOC_ZERO, FALLOC_ZERO_KEEP, FALLOC_COLLAPSE, FALLOC_INSERT };
enum workload_node { NODE_FIFO, NODE_CHR, NODE_BLK, NODE_SOCK };
enum workload_acl { ACL_ACCESS, ACL_DEFAULT };

/* Where an operation works: a path, or a descriptor. */
struct workload_target {
	int32_t fd; /* -1: path */
	char path[WORKLOAD_PATH_MAX];
};

struct workload_op {
	enum workload_kind kind;
	uint32_t thread; /* 0.. */
	struct workload_target target;
	char to[WORKLOAD_PATH_MAX]; /* second path; the name of an xattr */
	uint64_t arg[3]; /* in the order of the help text; of tmpfile, open, close: the descriptor is target.fd, the path is to */
	uint32_t n_steps; /* 1, but of a loop */
	char *text; /* as printed, heap */
};

/* One execution of an operation, of a loop the iter-th. */
struct workload_step {
	uint32_t op; /* index in ops */
	uint32_t iter;
	uint32_t thread;
	const char *name; /* what pmem_sim_begin() gets: "12 rename A/foo bar", the number being that of the step */
};

struct workload_geometry {
	uint32_t mib; /* size of the device; 4 */
	uint32_t rings; /* of the journal; 2 */
	uint32_t ring_blocks; /* blocks of a ring; 8 */
	uint32_t chunks; /* of inodes; only the first has room for thread 1, all are empty; 0: as mkfs makes them */
	uint32_t intents; /* slots of intents that others have taken; 0 */
	uint32_t keep; /* 1: the journal keeps the records of the preparation; 0: a checkpoint stands before what is tested */
};

struct workload {
	struct workload_geometry geo;
	uint32_t sched; /* schedule of the threads, see exec.h; 0: none */
	uint32_t tick; /* steps of the same time; 1 */
	uint32_t n_threads;
	uint32_t n_ops, n_setup_ops;
	struct workload_op *ops; /* those that prepare first */
	uint32_t n_steps, n_setup_steps; /* steps are numbered from 0, those of the preparation first */
	struct workload_step *steps;
	char *names; /* of the steps */
};

#define WORKLOAD_GEOMETRY_DEFAULT ((struct workload_geometry){ .mib = 4, .rings = 2, .ring_blocks = 8 })

/* NULL: nothing. Frees w itself. */
void workload_free(struct workload *w);
/* 0, -ENOMEM, or -EINVAL with a message in why (what and where). */
int workload_parse(const char *text, struct workload **out, char *why, size_t why_size);
/* The text, heap: parsing it gives the same workload. NULL: no memory. */
char *workload_print(const struct workload *w);
/* A workload without tested operation number op (counted from 0 among ops, the preparation included). For minimising. */
int workload_without(const struct workload *w, uint32_t op, struct workload **out);
/* The table of operations with their arguments, for --help. */
void workload_help_print(FILE *f);
/* The parameters of mkfs that go with the geometry; the same for each call. */
struct mkfs_params workload_mkfs_params(const struct workload *w);

/*
 * A source of workloads: number i of a class, as text (heap). NULL: no memory, or i is not below the count. Sampled classes take
 * any i: it seeds the workload together with seed. What it yields parses.
 */
struct workload_class {
	const char *name; /* "ace1", "ace2", "ace3", "fuzz", "concurrent", "bugs", "rare" */
	const char *what; /* in words */
	uint64_t count; /* 0: as many as wanted */
	char *(*text)(uint64_t i, uint64_t seed);
};
/* Ends with a NULL name. */
extern const struct workload_class workload_classes[];

/* Named workloads, one or a few for each class of bugs (WORKLOAD_BUGS of them); ends with a NULL name. */
struct workload_named {
	const char *name; /* "cross-directory-move" */
	const char *what; /* the class of bugs, in words */
	const char *text;
};
extern const struct workload_named workload_bugs[];
#define WORKLOAD_BUGS 26u

#endif
