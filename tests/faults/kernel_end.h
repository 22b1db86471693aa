/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's end of a FUSE connection, played by a test: a pair of message sockets, one of which the transport takes for
 * /dev/fuse. One request at a time, and for each of them exactly one answer.
 */
#ifndef TESTS_FAULTS_KERNEL_END_H
#define TESTS_FAULTS_KERNEL_END_H

#include <stdint.h>

#include "transport/fuse/fuse_proto.h"

#define KERNEL_END_BODY_MAX 80000u

struct kernel_end {
	int fd; /* ours */
	int server_fd; /* the transport's */
	uint64_t unique;
	uint32_t len; /* of the body being built */
	uint8_t body[KERNEL_END_BODY_MAX];
	uint32_t out_len; /* of the last answer, behind its header */
	uint8_t out[KERNEL_END_BODY_MAX];
};

void kernel_end_open(struct kernel_end *ke);
void kernel_end_close(struct kernel_end *ke);
/* INIT lies ready before the transport starts. uring: the kernel offers rings. */
void kernel_end_say_init(struct kernel_end *ke, int uring);
/* Takes the answer to INIT. 0, or a negative errno. */
int kernel_end_hear_init(struct kernel_end *ke);
/* Parts of the next request's body, one behind the other. */
void kernel_end_put(struct kernel_end *ke, const void *data, uint32_t len);
void kernel_end_put_str(struct kernel_end *ke, const char *str); /* with its NUL */
/* Sends it, and waits for the answer. 0 or the negative errno of the answer. -EPROTO: a wrong answer, or none within 5 s. */
int kernel_end_call(struct kernel_end *ke, uint32_t opcode, uint64_t node);
/* Without an answer. A request that has one comes behind it, so that it has been served. */
void kernel_end_forget(struct kernel_end *ke, uint64_t node);
/* True if an answer is there that nobody has asked for. */
int kernel_end_has_more(struct kernel_end *ke);

#endif
