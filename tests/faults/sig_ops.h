/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * System calls that go back and forth between two states of a few files, so that one that was interrupted can be told from one
 * that was not: sig_op.step(i) makes state 1 for even i and state 0 for odd i; state() says which there is.
 */
#ifndef TESTS_FAULTS_SIG_OPS_H
#define TESTS_FAULTS_SIG_OPS_H

#include <stdint.h>

struct sig_op {
	const char *name;
	int (*prepare)(void); /* in an empty directory, which is the working directory. NULL: nothing */
	int (*step)(uint32_t i); /* 0, or a negative errno */
	int (*state)(void); /* 0, 1, or -1: neither. NULL: the call changes nothing, and step() checks what it got */
	int torn; /* a kill may leave both states, mixed: the stores are the program's own */
};

extern const struct sig_op sig_ops[];
extern const uint32_t sig_n_ops;

#endif
