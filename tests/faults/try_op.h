/* SPDX-License-Identifier: BSD-3-Clause */
/* One operation of the table with one call inside failing, and everything that must hold afterwards. */
#ifndef TESTS_FAULTS_TRY_OP_H
#define TESTS_FAULTS_TRY_OP_H

#include "faults/scene.h"

#define TRIALS_IMAGE_BYTES (32ull << 20)

struct trial {
	const struct image *img;
	const struct scene_op *op;
	uint32_t kinds; /* FAULT_* */
	int forever; /* all calls from the one on fail, not it alone */
	int error; /* the one that the operation may return, negative */
	/* Every so many trials the image that a crash would leave is looked at too; FAULTS_LONG in the environment: in all of
	 * them. 0: none. */
	unsigned int crash_every;
};

struct trial_result {
	unsigned int n_trials; /* in which a call failed */
	unsigned int n_refused; /* the operation returned the error */
	unsigned int n_done; /* it worked without what could not be had */
};

/* For each call number until none fails. 0, or 1 with what was wrong printed as comments. */
int trial_run(const struct trial *t, struct trial_result *out);
/* The same for every operation of the table, on an image of its own; t->op and t->img are not looked at. A case of TAP. */
void trials_run(struct trial t);

#endif
