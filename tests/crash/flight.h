/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is in flight: the 8-byte words that were stored, and that no fence has made durable yet, as the events of a record go by.
 *
 * Failure model: a word has a sequence of values, the durable one and those stored since. After a crash any of them may be on
 * media, for each word on its own. A fence covers what its own thread stored non-temporally, and cached stores that its own
 * thread flushed since (whoever stored them). A covered value becomes durable, and what that word held before is gone.
 *
 * Stores are grouped into units: a call of src/pmem, or what a loop stored word by word one behind the other at one call site.
 * Large copies outside of the fine area (where records lie) are five units: first, middle and last line, and what lies between.
 */
#ifndef CRASH_FLIGHT_H
#define CRASH_FLIGHT_H

#include <stddef.h>
#include <stdint.h>

#include "crash/canvas.h"

#define FLIGHT_NONE UINT32_MAX

struct flight_store {
	uint64_t off; /* of the word */
	uint64_t raw; /* the whole word as it stood in memory behind the store */
	uint64_t flushers; /* bit for each thread that flushed its line since */
	uint32_t unit;
	uint32_t prev; /* the store of this word before this one that is in flight too, or FLIGHT_NONE */
	uint8_t thread;
	uint8_t nt;
	uint8_t gone; /* to be dropped by the fence at hand */
};

struct flight_unit {
	size_t event; /* the first one of the unit */
	uint32_t part; /* of a large copy: 0..4 */
};

struct flight;

/* Durable words go into the canvas. [fine_from, fine_to): bytes where copies are never cut into parts. */
int flight_new(struct canvas *c, uint64_t fine_from, uint64_t fine_to, struct flight **out);
void flight_free(struct flight *f);
/* Goes over event number index. Others than stores, flushes and fences are ignored. 0 or -ENOMEM. */
int flight_event(struct flight *f, const struct pmem_event *e, size_t index);
/* In flight now, in the order of stores; those of a unit lie together. Valid until the next event. */
uint32_t flight_stores(const struct flight *f, const struct flight_store **out);
const struct flight_unit *flight_unit_at(const struct flight *f, uint32_t unit);
struct canvas *flight_canvas(const struct flight *f);
/* True where the word lies in the fine area. */
int flight_is_fine(const struct flight *f, uint64_t off);

#endif
