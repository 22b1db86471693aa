/* SPDX-License-Identifier: BSD-3-Clause */
/* FUSE requests as inputs of fuzz_fuse hold them: a short head, then the body. See README.md for the bytes. */
#ifndef TESTS_FUZZ_REQUEST_H
#define TESTS_FUZZ_REQUEST_H

#include "input.h"
#include "transport/fuse/fuse_decode.h"

#define REQUEST_BODY_MAX 8192u

#define REQUEST_FIX 0x01u /* lengths are made right: of the message, and what the fixed part announces */
#define REQUEST_URING 0x02u
#define REQUEST_UNDELIVERED 0x04u /* the answer gets lost */
#define REQUEST_NODE_RAW 0x08u
#define REQUEST_NO_GATHER 0x10u
#define REQUEST_REPEAT 0x20u /* the body is followed by more of its last byte, up to REQUEST_BODY_MAX */

struct request_head {
	uint8_t opcode;
	uint8_t node; /* 0: the root; otherwise one of those that were answered */
	uint8_t flags;
	uint8_t uid;
	uint16_t body_len;
};
_Static_assert(sizeof(struct request_head) == 6, "request_head has no padding");

struct request {
	struct request_head head;
	struct fuse_in_header header; /* nodeid is the fuzzer's to fill in */
	uint32_t fixed_len; /* of this operation in this dialect */
	uint32_t body_len;
	uint8_t body[REQUEST_BODY_MAX];
};

void request_take(struct input *in, const struct fuse_dialect *dialect, struct request *out);
/* Bytes of an operation's fixed part. */
uint32_t request_fixed_len(uint32_t opcode, const struct fuse_dialect *dialect);

#endif
