/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file system that failures are tried on: an image with everything that an operation can meet (built once), and a table of
 * operations that covers every function of struct zus_ops.
 */
#ifndef TESTS_FAULTS_SCENE_H
#define TESTS_FAULTS_SCENE_H

#include "faults/state.h"

/* Inodes of the image; a node's handle stays the same over mounts, so that operations find their caches cold. */
enum scene_node {
	NODE_FILE, /* /file: 3 blocks and a bit */
	NODE_BIG, /* /big: two huge leaves, the second one not whole, and a tail of blocks */
	NODE_MANY, /* /many: 1,300 extents: freed in several records */
	NODE_SPARSE, /* /sparse: blocks 0, 600 and 300,000 */
	NODE_LINK, /* /link: symlink in the inode */
	NODE_LONG, /* /long: symlink in a block */
	NODE_XSMALL, /* /xsmall: xattrs in the inode */
	NODE_XBIG, /* /xbig: xattrs in blocks, an ACL */
	NODE_DIR, /* /dir with dir/sub, dir/file */
	NODE_SUB,
	NODE_FULL, /* /full: a bucket without room for another long name */
	NODE_HARD, /* /hard1, /hard2 */
	SCENE_N_NODES,
};

#define SCENE_N_HELD 8u

struct scene {
	struct rig rig;
	const uint64_t *node;
	uint64_t made; /* a node that prepare() made */
	uint32_t n_held;
	uint64_t held[SCENE_N_HELD]; /* references to be given back when nothing fails any more */
};

struct image {
	void *bytes;
	uint64_t size;
	uint64_t node[SCENE_N_NODES];
};

#define OP_PARTIAL 1u /* works in steps, each of them whole: on an error some may have been done (the path in part) */
#define OP_FULL_OK 2u /* must succeed on a full device: it frees, or takes nothing */
#define OP_VOID 4u /* cannot report: counts as done */

struct scene_op {
	const char *name;
	int (*run)(struct scene *sc); /* what the operation returned, or bytes done */
	int (*prepare)(struct scene *sc); /* before anything fails; may be NULL */
	const char *part; /* OP_PARTIAL: the file that may be half-way */
	uint32_t flags;
};

extern const struct scene_op scene_ops[];
extern const uint32_t scene_n_ops;

/* The image, with names and inodes filled up so that the next create needs a bucket (in /full) and an inode chunk. */
void image_build(struct image *img, uint64_t size);
void image_free(struct image *img);
/* A fresh copy, mounted. */
void scene_open(struct scene *sc, const struct image *img);
/* An ACL with so many named users, at most SCENE_ACL_USERS. Its length in bytes. */
#define SCENE_ACL_USERS 80u
#define SCENE_ACL_MAX (4u + 8u * (SCENE_ACL_USERS + 4u))
uint32_t scene_acl(uint8_t buf[SCENE_ACL_MAX], uint32_t n_users);
/* Gives back what is held. */
void scene_release(struct scene *sc);
void scene_close(struct scene *sc);

#endif
