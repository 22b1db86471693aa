/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A crash in something that is no operation of a mounted file system: mkfs, a repair. It is done once on a recorded device; every
 * image that a crash could leave at its fences and at its end is given to a check.
 */
#ifndef CRASH_SCENARIO_H
#define CRASH_SCENARIO_H

#include <stddef.h>
#include <stdint.h>

#include "pmem/pmem.h"

struct scenario {
	uint64_t mib; /* size of the device */
	uint32_t k; /* choices of up to so many stores, see images.h */
	uint64_t fine_bytes; /* from the start: larger copies to there are torn at each word, others are cut into parts */
	uint64_t cap; /* choices at a point, of each number of stores; 0: no limit */
	void *ctx;
	/* What is on the device before. 0 or -errno. */
	int (*prepare)(void *ctx, struct pmem *pm);
	/* What is cut. The device stays open. 0 or -errno. */
	int (*act)(void *ctx, struct pmem *pm);
	/* Looks at an image, on which it may store; finished: act had returned. 0, or 1 and why. */
	int (*check)(void *ctx, struct pmem *pm, int finished, char *why, size_t why_size);
};

struct scenario_result {
	uint64_t points, images, unique, capped;
	uint64_t failures; /* the first one ends it */
	char image[160]; /* "POINT:PICK" of the first failure */
	char why[512];
};

/* 0, or -errno: it could not be run; out->why says what. */
int scenario_run(const struct scenario *sc, struct scenario_result *out);

extern const struct scenario scenario_mkfs_empty, scenario_mkfs_over;

/* A repair of problem number code of fsck. 1 and the scenario, 0: there is none for this one, -1: no such problem, nor a higher
 * one. */
int scenario_fsck(uint32_t code, struct scenario *out, const char **out_name);

#endif
