/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The model test: one stream of random operations on two directories, the one under test (side 0) and a reference (side 1),
 * call by call with result and errno; contents also against a shadow in memory. A stream depends on nothing but its seed.
 */
#ifndef TESTS_MODEL_H
#define TESTS_MODEL_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "shadow.h"

#define MODEL_SLOTS 6u /* open descriptors */
#define MODEL_HISTORY 40u
#define MODEL_IO_MAX 131072u /* bytes of one read or write */

struct slot {
	int fd[2]; /* -1: closed */
	int flags; /* of open */
	int is_dir;
};

struct model {
	const char *root[2];
	uint64_t rand;
	struct slot slots[MODEL_SLOTS];
	struct shadow shadow;
	int has_xattr; /* the reference has user xattrs */
	int is_root;
	uint64_t n_ops;
	uint64_t n_history; /* described ones */
	int failed;
	char why[512];
	char desc[1024]; /* of the operation under way */
	char history[MODEL_HISTORY][1200];
	uint8_t buf[3][MODEL_IO_MAX];
};

/* A path below the root, and the same on both sides. */
struct path {
	char rel[PATH_MAX / 2];
	char abs[2][PATH_MAX];
};

uint64_t model_rand(struct model *m, uint64_t limit); /* 0..limit-1 */
void model_path(struct model *m, struct path *out);
void model_describe(struct model *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Notes the first difference; always returns -1. */
int model_fail(struct model *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/*
 * Compares result and errno of both sides (a result below 0 counts by its errno). 1: both succeeded, 0: both failed alike,
 * -1: they differ, which is noted.
 */
int model_same(struct model *m, const long result[2], const int err[2]);

/* Does a call on both sides: "side" is 0 and 1 in it. */
#define MODEL_BOTH(result, err, call) \
	do { \
		for (int side = 0; side < 2; side++) { \
			errno = 0; \
			(result)[side] = (long)(call); \
			(err)[side] = (result)[side] < 0 ? errno : 0; \
		} \
	} while (0)

typedef void (*model_op_fn)(struct model *m);
struct model_op {
	const char *name;
	unsigned int weight;
	model_op_fn run;
};
extern const struct model_op model_path_ops[];
extern const size_t model_n_path_ops;
extern const struct model_op model_fd_ops[];
extern const size_t model_n_fd_ops;

/* The shadow of an open descriptor or of a path (links followed); NULL if it is no regular file. */
struct shadow_file *model_shadow_fd(struct model *m, const struct slot *s);
/* Of a regular file, absolute on the reference side; symlinks are not followed. NULL: none. */
struct shadow_file *model_shadow_abs(struct model *m, const char *abs);
struct shadow_file *model_shadow_path(struct model *m, const struct path *p);

/* Compares attributes of two results of stat. 0 or -1, noted. */
int model_compare_stat(struct model *m, const char *what, const struct stat st[2]);
/* Walks both trees: names, types, attributes, targets, xattrs, contents. 0 or -1, noted. */
int model_compare_trees(struct model *m);
void model_close_slot(struct slot *s);

#endif
