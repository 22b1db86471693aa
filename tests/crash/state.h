/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The visible state of a mounted file system: the tree of names, and of each inode attributes, times, xattrs (ACLs are such),
 * target, data and layout (where holes are). Inodes are numbered in the order in which a walk sorted by name finds them, so that
 * states of different mounts compare; names of one inode and copies of it differ. Comparing is by digest first.
 *
 * Not part of it: inode numbers, generations, order of readdir.
 */
#ifndef CRASH_STATE_H
#define CRASH_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "zus/plugin.h"

struct state_name {
	uint32_t dir; /* index of the directory's inode */
	uint32_t inode; /* what it names */
	uint32_t name; /* offset in text, NUL-terminated */
	uint32_t len;
};

/* A run of a file: bytes, or a hole where ptr is NULL. Sorted, without gaps, up to the size. */
struct state_run {
	uint64_t off, len;
	const uint8_t *ptr;
};

struct state_xattr {
	uint32_t name; /* offset in text */
	uint32_t len;
	uint64_t digest; /* of the value */
};

struct state_inode {
	struct zus_attr attr; /* node, ino and generation count for nothing */
	uint32_t parent; /* index of the directory where it was found first; of the root: itself */
	uint32_t path; /* offset in text: the first path found; "." for the root */
	uint32_t first_run, n_runs;
	uint32_t first_xattr, n_xattrs;
	uint32_t symlink; /* offset in text of the target, 0: none */
	uint64_t data_digest; /* of contents; a hole counts as zeros */
	uint64_t layout_digest; /* of where holes are */
	uint64_t xattr_digest;
	uint64_t shape; /* the digest without the contents of a file */
	uint64_t digest; /* of all that is visible but space: without layout and blocks */
};

struct state {
	struct state_name *names;
	struct state_inode *inodes; /* [0]: the root */
	struct state_run *runs;
	struct state_xattr *xattrs;
	char *text;
	size_t n_names, n_inodes, n_runs, n_xattrs, n_text;
	size_t cap_names, cap_inodes, cap_runs, cap_xattrs, cap_text;
	uint8_t *copy; /* of data: state_own_data */
	unsigned int flags; /* of state_capture */
	uint64_t free_blocks, used_inodes;
	uint64_t names_digest; /* the tree of names alone */
	uint64_t visible; /* digest of everything but space */
	uint64_t shape; /* digest of everything but the contents of files */
	uint64_t digest; /* of everything */
};

#define STATE_FOREIGN 1u /* leave out what depends on the implementation: sizes of directories, layout (for the cross-check) */

/*
 * Captures; the bytes of files stay where they are in the mapping. 0, or the error of the operation that failed, or -EUCLEAN
 * where things contradict each other; why has it in words.
 */
int state_capture(struct zus_fs *fs, unsigned int flags, struct state **out, char *why, size_t why_size);
void state_free(struct state *s);
/* Copies the bytes of files, so that the mapping may change. What is the same in prev (or NULL) is shared: prev must live as
 * long. */
int state_own_data(struct state *s, const struct state *prev);
/* Space that will be free after a crash: blocks and inodes of files that only descriptors hold. The digest follows. */
void state_add_free(struct state *s, uint64_t blocks, uint64_t inodes);
/* In words, for a person: where found differs from want; at most a few lines. Empty if it does not. */
void state_diff(const struct state *want, const struct state *found, char *out, size_t out_size);
/* Byte off of a file: a hole and what lies behind the size are 0. *out_left: how many bytes from there on lie in one run. */
const uint8_t *state_bytes(const struct state *s, const struct state_inode *ino, uint64_t off, uint64_t *out_left);

#endif
