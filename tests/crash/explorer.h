/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of the explorer share: explore.c (points), visit.c (one image), again.c (another crash), replay.c (one image in
 * words). */
#ifndef CRASH_EXPLORER_H
#define CRASH_EXPLORER_H

#include "crash/canvas.h"
#include "crash/explore.h"
#include "crash/flight.h"
#include "crash/images.h"
#include "crash/run.h"
#include "crash/word_map.h"

/* Media as a recovery left them. Whatever image led there, what follows is the same. Free blocks: see canvas_stored_hash(). */
struct outcome {
	uint64_t hash; /* of the media */
	uint64_t rest; /* the same without the rings of the journal */
	uint64_t digest, shape; /* of the visible state, with and without the contents of files */
	int checked; /* by fsck, and used to the end */
};

/* An image asked for by name: one part, or two with a slash. */
struct wanted {
	uint64_t point[2];
	char pick[2][PICK_TEXT_MAX];
	int levels;
	int met; /* levels that were reached */
};

struct explorer {
	const struct explore_options *opt;
	struct explore_stats stats;
	const char *text;
	struct run *run;
	struct run_point pt;
	struct canvas *canvas;
	uint64_t fine_from, fine_to; /* state block and journal */
	/* memory of what was seen */
	struct word_map images; /* hash of an image -> outcome + 1 */
	struct word_map seen; /* hash of an image and legal states */
	struct word_map legal; /* hash of an outcome without the rings and legal states, found legal */
	struct word_map digests; /* hash of an outcome's media without the rings -> outcome + 1 with the same state */
	struct word_map used; /* hash of an outcome's media without the rings: used to the end */
	struct word_map recoveries; /* hash of the shape of the state, and of the stores that led there */
	struct word_map media; /* hash of the media -> outcome + 1 */
	struct outcome *outcomes;
	uint32_t n_outcomes, cap_outcomes;
	/* the image at hand: by level */
	uint64_t point[2];
	struct image_pick pick[2];
	const struct pmem_event *recovery; /* level 1: the record of what is cut */
	size_t n_recovery;
	struct wanted *wanted; /* not NULL: only that image, in words on out */
	FILE *out; /* of replay and list */
	int list; /* only list: 1 points, 2 images too */
	int error; /* -errno: out of memory */
};

/* What may be found when the power failed again. */
struct legal {
	const struct state *before, *after;
	const char *what; /* was cut */
};

/* All images of what is in flight; level 0: a crash in the workload, legal is NULL; 1: another one, on the image at hand. */
void explorer_point(struct explorer *ex, const struct flight *f, int level, const struct legal *legal);
/* visit.c: the image that the canvas holds. */
void visit_image(struct explorer *ex, const struct legal *legal);
/* again.c: the power fails again in the recovery of the image that the canvas holds, or right behind it. */
void again_crash(struct explorer *ex);
/* Notes a failure of the image at hand. */
void explorer_fail(struct explorer *ex, int level, const char *why);
int explorer_stopped(const struct explorer *ex);

/* replay.c: the point in words; the image in words. */
void replay_point(struct explorer *ex, const struct flight *f, const struct image_set *set, int level);
void replay_image(struct explorer *ex, const struct flight *f, const struct image_set *set, int level);
/* Names the image at hand. */
void replay_name(const struct explorer *ex, int level, char out[EXPLORE_IMAGE_MAX]);
/* explore.c: one run of the whole with the explorer as it is set up. */
int explorer_run(struct explorer *ex);
void explorer_fini(struct explorer *ex);

#endif
