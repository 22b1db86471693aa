/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a directory must look like after a sequence of operations: the reference of ackload. A state has N_SLOTS names; a name
 * points to an inode of the state or to none, several names may point to one (hard links).
 */
#ifndef TESTS_ACK_STATE_H
#define TESTS_ACK_STATE_H

#include <stdint.h>

#define ACK_SLOTS 48u
#define ACK_FILE_MAX 65536u

enum ack_kind { ACK_NONE, ACK_FILE, ACK_DIR, ACK_SYMLINK };

enum ack_op_kind {
	ACK_OP_CREATE,
	ACK_OP_WRITE,
	ACK_OP_TRUNCATE,
	ACK_OP_UNLINK,
	ACK_OP_RENAME,
	ACK_OP_MKDIR,
	ACK_OP_RMDIR,
	ACK_OP_SYMLINK,
	ACK_OP_LINK,
	ACK_OP_CHMOD,
	ACK_OP_SETXATTR,
	ACK_N_OPS,
};

/* One operation; what a field means depends on the kind. The log holds these, each twice: before the call and after it. */
struct ack_op {
	uint32_t kind;
	uint32_t acked;
	uint32_t a, b; /* slots */
	uint32_t off, len; /* bytes */
	uint32_t stamp; /* decides contents, mode, value, target */
	uint32_t seq;
};

struct ack_inode {
	enum ack_kind kind;
	uint32_t nlink;
	uint32_t size;
	uint32_t mode;
	uint32_t xattr; /* stamp, 0: none */
	uint32_t target; /* stamp of a symlink */
	uint8_t data[ACK_FILE_MAX];
};

struct ack_state {
	int slots[ACK_SLOTS]; /* index of an inode, -1: no such name */
	struct ack_inode inodes[ACK_SLOTS];
};

void ack_state_init(struct ack_state *s);
/* Picks an operation that must succeed on this state. rand: any number. */
struct ack_op ack_op_pick(const struct ack_state *s, uint64_t rand, uint32_t seq);
/* The state after the operation. */
void ack_state_apply(struct ack_state *s, const struct ack_op *op);
/* Performs the operation in the directory. 0 or -errno. */
int ack_op_perform(int dirfd, const struct ack_op *op);
/*
 * Compares the directory with the state. torn: a write that may have happened in part (NULL: none), old: the state before it.
 * 0: equal; 1: different, and why says how.
 */
int ack_state_compare(int dirfd, const struct ack_state *s, const struct ack_op *torn, const struct ack_state *old,
		      char why[256]);

const char *ack_op_name(uint32_t kind);
void ack_fill(uint8_t *buf, uint32_t len, uint32_t stamp, uint32_t off);

#endif
