/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One decoder for requests of both channels: every length, name and offset is checked here, before an operation sees it.
 *
 * A message is a header, the fixed part of its operation, and a variable part: names, or data. The classic channel has them one
 * behind the other; io_uring has them in three areas. The pieces are memory of this process that the kernel does not write while
 * the request is being served.
 */
#ifndef FUSE_DECODE_H
#define FUSE_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "transport/fuse/fuse_proto.h"
#include "zus/plugin.h"

struct fuse_pieces {
	const struct fuse_in_header *header; /* whole, 8-byte aligned */
	const void *fixed; /* 8-byte aligned */
	uint32_t fixed_len; /* bytes */
	const void *var;
	uint32_t var_len; /* bytes */
};

/* A request whose every field may be used. Pointers lead into the message. */
struct fuse_request {
	uint32_t opcode;
	uint32_t uid;
	uint32_t gid;
	uint32_t pid;
	uint64_t unique;
	uint64_t node;
	const void *arg; /* the fixed part: as long as the operation's structure */
	struct zus_name name; /* of the entry, or xattr; checked */
	struct zus_name name2; /* RENAME: new name, checked; SYMLINK: the target, 1..4095 bytes without NUL */
	const void *data; /* WRITE, SETXATTR (value), IOCTL, BATCH_FORGET (structs fuse_forget_one) */
	uint32_t data_len; /* bytes; exactly what the fixed part announces */
	uint32_t count; /* BATCH_FORGET: number of structs */
};

/* Kinds of operations that differ between connections: what INIT settled on. */
struct fuse_dialect {
	int setxattr_ext; /* SETXATTR carries the longer structure */
};

/*
 * Splits len bytes of the classic channel. -EPROTO: not a whole message. The variable part is empty where the message ends before
 * the fixed part does; fuse_decode() finds that.
 */
int fuse_split(const void *msg, size_t len, const struct fuse_dialect *dialect, struct fuse_pieces *out_pieces);
/*
 * Checks and decodes. out_req->opcode, unique and node are valid whatever it returns, so that an error can be answered.
 * -ENOSYS: operation unknown. -EINVAL: malformed. -ENAMETOOLONG: name. -ENOENT: empty name. -EIO: offset or length out of bounds.
 */
int fuse_decode(const struct fuse_pieces *pieces, const struct fuse_dialect *dialect, struct fuse_request *out_req);
/* True if requests of this kind have no answer. */
int fuse_op_is_silent(uint32_t opcode);

#endif
