/* SPDX-License-Identifier: BSD-3-Clause */
/* Changes of a mounted file system that an input chooses: after a walk, on the inodes that it found. */
#ifndef TESTS_FUZZ_OPS_H
#define TESTS_FUZZ_OPS_H

#include "input.h"
#include "walk.h"

#define OPS_MAX 24u

/* Takes the rest of the input as operations, four bytes each. */
void ops_run(const struct walk *w, struct input *in);

#endif
