/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SipHash-1-3 (Aumasson and Bernstein: one compression round a word, three at the end): the keyed hash of directory names. The key
 * is drawn by mkfs, so that nobody outside can choose names that collide.
 */
#ifndef PMFS2_SIPHASH_H
#define PMFS2_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/* key: the 16 key bytes as two little-endian words. */
uint64_t siphash13(const uint64_t key[2], const void *data, size_t len);

#endif
