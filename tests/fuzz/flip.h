/* SPDX-License-Identifier: BSD-3-Clause */
/* One flipped bit of an image: what the engine and fsck make of it, against a walk of the image as it was. */
#ifndef TESTS_FUZZ_FLIP_H
#define TESTS_FUZZ_FLIP_H

#include "device.h"
#include "walk.h"

/* What mount and walk made of it. */
enum flip_outcome {
	FLIP_REFUSED, /* no mount */
	FLIP_NOTICED, /* an operation said EUCLEAN, and the mount became read-only */
	FLIP_RIGHT, /* everything as before */
	FLIP_WRONG, /* other answers, unnoticed */
	FLIP_FOREIGN, /* data of another file, or what was never a file's */
	FLIP_OUTCOMES,
};

struct flip_result {
	enum flip_outcome outcome;
	int fsck_found; /* a check finds it; 1 also where it cannot be done at all */
	int unused; /* the bit has no meaning, or replay stores its word anew: nobody has to find it */
	int last_record; /* it lies in the last record of a ring: nobody can tell a wrong bit from a crash before the fence */
	int repair_failed; /* only where it was asked for: why, as a number (flip_repair_text) */
};

struct flip_bench {
	struct device *dev;
	struct walk before, now;
	uint8_t restless[WALK_NODES]; /* items of before whose times recovery sets: they differ each time */
	uint64_t stored[SEED_BYTES / 8]; /* of each word the bits that records of the journal store, as they stand in memory */
	int fsck_noise; /* a check complains of the image as it is */
};

/* Dies where the image cannot be walked. */
struct flip_bench *flip_bench_new(enum seed_kind kind);
void flip_bench_free(struct flip_bench *b);
/* bit: number of the bit in the image. repair: fsck has to make it good again. */
void flip_try(struct flip_bench *b, uint64_t bit, int repair, struct flip_result *out);
const char *flip_repair_text(int failed);

#endif
