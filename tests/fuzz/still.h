/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The time of day stands still and random numbers are always the same, in a program that calls still_begin(): a seed image is
 * then made of the same bytes in every run, so that an input means the same in every run.
 */
#ifndef TESTS_FUZZ_STILL_H
#define TESTS_FUZZ_STILL_H

void still_begin(void);

#endif
