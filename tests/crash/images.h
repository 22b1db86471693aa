/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The images that a crash could leave at one point: which of the stores in flight are on media.
 *
 * A pick names one image: the units that are kept (all others lost), or the units that are lost (all others kept), and at most
 *one unit that is torn. Its text:
 *
 *	k		nothing of what is in flight
 *	l		everything
 *	k3,7		units 3 and 7 only		l3,7		everything but units 3 and 7
 *	k;5=0-12	of unit 5 words 0..11 only	l;5=0-12	everything, but of unit 5 only words 0..11
 *	k;5!3-4		of unit 5 all but word 3	l;5!3-4		everything but word 3 of unit 5
 *
 * Which picks are made: none, all, every choice of up to k units, kept and lost (with few units: all subsets); and tears of each
 * unit of several words: each prefix, each word alone, each word missing. Of long units outside of the fine area only the tears
 *at the ends.
 */
#ifndef CRASH_IMAGES_H
#define CRASH_IMAGES_H

#include <stddef.h>
#include <stdint.h>

#include "crash/flight.h"

#define PICK_UNITS_MAX 12u
#define PICK_TEXT_MAX 128u /* bytes of a pick's text */
#define IMAGES_POWER_MAX 8u /* units of which all subsets are made */

struct image_unit {
	uint32_t id; /* in the flight */
	uint32_t first, n; /* its stores in the flight */
};

struct image_pick {
	uint8_t lost; /* 0: the units listed are kept; 1: they are lost */
	uint8_t n;
	uint32_t unit[PICK_UNITS_MAX]; /* rising */
	uint32_t torn; /* unit, or FLIGHT_NONE */
	uint8_t torn_lost; /* 0: of the torn unit [from, to) is kept; 1: it is lost */
	uint32_t from, to; /* words */
};

struct image_set;

/* Of what is in flight now; valid until the flight's next event. Units without effect are left out. */
int image_set_new(const struct flight *f, struct image_set **out);
void image_set_free(struct image_set *s);
uint32_t image_set_units(const struct image_set *s, const struct image_unit **out);

/* Hash of the image: that of the canvas with the pick applied. */
uint64_t image_hash(const struct image_set *s, const struct image_pick *pick);
/* Stores what is kept into the canvas. Undo with canvas_undo(). */
void image_apply(const struct image_set *s, const struct image_pick *pick);
/* Is the store (its number in the flight), of that unit of the set, on media? */
int image_keeps(const struct image_set *s, const struct image_pick *pick, uint32_t unit, uint32_t store);

struct image_iter {
	const struct image_set *set;
	uint32_t k; /* largest choice */
	uint64_t cap; /* images by choice of units, at most about this many */
	int few_tears; /* of every unit the tears at its ends only; set behind image_iter_init() */
	int capped; /* some were left out */
	/* where it is */
	uint32_t phase, size;
	uint64_t skip, left;
	struct image_pick pick;
	uint32_t unit, word, variant;
};
/* k: choices of up to so many units; cap: see above (0: none). */
void image_iter_init(struct image_iter *it, const struct image_set *s, uint32_t k, uint64_t cap);
/* 1 and the next pick, 0 at the end. */
int image_iter_next(struct image_iter *it, struct image_pick *out);

void image_pick_print(const struct image_pick *pick, char out[PICK_TEXT_MAX]);
/* 0, or -EINVAL if it is no pick of this set. */
int image_pick_parse(const char *text, const struct image_set *s, struct image_pick *out);

#endif
