/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Seed images for fuzzers and bit flips: small file systems with one of everything that the format knows, made by the engine.
 *
 * Every regular file is filled with its own number (SEED_STAMP and a number in each 8-byte word), so that data of another file is
 * known as such wherever it turns up.
 */
#ifndef TESTS_FUZZ_SEED_H
#define TESTS_FUZZ_SEED_H

#include <stdint.h>

#define SEED_BYTES (8ull << 20)
#define SEED_STAMP 0x5eedf11eull /* upper half of each word of file data; the lower half: number of the file */

enum seed_kind {
	SEED_EMPTY, /* as mkfs leaves it */
	SEED_TREE, /* files of every shape, links, xattrs, split directories; cleanly unmounted */
	SEED_DIRTY, /* the same with orphans, a truncate and a journal of several rings to be replayed */
	SEED_SHIFT, /* the same with a collapse and an insert under way */
	SEED_KINDS,
};

/* The image, SEED_BYTES of it. It stays in memory until seed_free(). Dies where the engine fails: a seed that cannot be made. */
uint8_t *seed_make(enum seed_kind kind);
void seed_free(uint8_t *image);
const char *seed_name(enum seed_kind kind);

#endif
