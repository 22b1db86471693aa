/* SPDX-License-Identifier: BSD-3-Clause */
/* What a file system looks like from outside, as text to be compared, and whether its space adds up. */
#ifndef TESTS_FAULTS_STATE_H
#define TESTS_FAULTS_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/rig.h"

#define WHY_LEN 600

/* A line for each name: path, type, mode, links, owner, size, contents, xattrs. No times, no inode numbers. */
struct tree {
	char *text;
	size_t len, cap;
	uint64_t n_inodes;
	uint64_t n_blocks; /* of all inodes, nodes and buckets included */
};

/* 0 or a negative errno, with why. */
int tree_take(struct rig *rig, struct tree *out, char why[WHY_LEN]);
void tree_free(struct tree *tree);
/* 1 and why if the trees differ; lines of the path except (NULL: none) are not looked at. */
int tree_differs(const struct tree *a, const struct tree *b, const char *except, char why[WHY_LEN]);

/*
 * 1 and why if the space does not add up: blocks and inodes in use are those that the tree reaches and those of the inode table
 * and of the intents; what the allocator has to give is what statfs tells.
 */
int space_differs(struct rig *rig, const struct tree *tree, char why[WHY_LEN]);
/*
 * The image as a crash would leave it now is mounted beside: the same tree, adding up, and fsck finds nothing. 1 and why if not.
 */
int crash_differs(struct rig *rig, const struct tree *tree, char why[WHY_LEN]);

#endif
