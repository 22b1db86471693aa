/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Explores one workload: runs it on a recorded device, makes the images that a crash could leave at each fence and at the end of
 * each operation, and checks each of them.
 *
 * An image's name is POINT:PICK, with a second crash POINT:PICK/POINT:PICK: the fence or end of an operation, counted from 0, and
 * what is on media (images.h); behind the slash the same inside of the recovery of that image.
 */
#ifndef CRASH_EXPLORE_H
#define CRASH_EXPLORE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define EXPLORE_IMAGE_MAX 280u /* bytes of an image's name */

struct explore_failure {
	const char *workload; /* text */
	const char *image; /* name; "" where the workload itself failed, without a crash */
	const char *point; /* in words */
	const char *why; /* in words */
};

struct explore_options {
	uint32_t k; /* choices of up to so many stores, see images.h */
	uint32_t k2; /* the same for crashes inside recovery */
	uint64_t cap; /* choices at a point, of each number of stores; 0: no limit */
	int second; /* crashes inside recovery too */
	uint32_t failures_max; /* of one workload; then its exploration stops */
	void (*failed)(void *ctx, const struct explore_failure *failure); /* may be NULL */
	void *ctx;
};

/* Counts of a workload, or of many added up. */
struct explore_stats {
	uint64_t workloads;
	uint64_t operations; /* steps under test that ran */
	uint64_t events; /* of the record */
	uint64_t points;
	uint64_t images; /* picks made, duplicates among them */
	uint64_t unique; /* images that differ, or with other legal states */
	uint64_t second_images, second_unique; /* the same of crashes inside recovery */
	uint64_t recovered; /* mounts of an image */
	uint64_t states; /* different media behind recovery: each got fsck */
	uint64_t used; /* of these, different outside of the journal: each got the oracle and was used to the end */
	uint64_t capped; /* points where choices were left out */
	uint64_t failures;
};
void explore_stats_add(struct explore_stats *sum, const struct explore_stats *more);

/*
 * Explores the workload of that text. Adds to *stats. *out_trace (may be NULL): a number for the operations' record, equal for
 * equal ones. Number of failures, or -errno: it could not be run (said through failed, and counted as a failure in stats).
 */
int explore_workload(const char *text, const struct explore_options *opt, struct explore_stats *stats, uint64_t *out_trace);
/* One image: says on out what it is and what differs. 0: it passed; 1: it failed; -errno: there is no such image. */
int explore_image(const char *text, const char *image, FILE *out);
/* The points of a workload, with what is in flight, and with images the names of all images. 0 or -errno. */
int explore_list(const char *text, const struct explore_options *opt, int images, FILE *out);
/* The shortest workload, made by dropping operations, that still fails. Heap; NULL: no memory. */
char *explore_minimise(const char *text, const struct explore_options *opt);

#endif
