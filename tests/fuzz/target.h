/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each fuzzer defines: the entry points of libFuzzer, which the replay program calls as well, and its seeds. A finding ends
 * the process by a signal or a sanitizer.
 */
#ifndef TESTS_FUZZ_TARGET_H
#define TESTS_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

/* Seed number n of the fuzzer's corpus, at most cap bytes. Its length; 0: there are no more. */
size_t target_seed(uint32_t n, uint8_t *out, size_t cap);

#endif
