/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The simulated device: ordinary memory plus a record of every store, flush and fence, and counters.
 *
 * The record is what crash exploration works on: each event carries its kind, offset, bytes, call site and thread, and markers
 * where an operation begins and ends. Recording of events can be off (counters only) for long runs.
 */
#ifndef PMEM_SIM_H
#define PMEM_SIM_H

#include <stddef.h>
#include <stdint.h>

#include "pmem/pmem.h"

enum pmem_event_kind {
	PMEM_EVENT_STORE, /* cached store: durable after flush and fence, possibly before */
	PMEM_EVENT_NT, /* non-temporal store: durable after fence, possibly before */
	PMEM_EVENT_FLUSH,
	PMEM_EVENT_FENCE,
	PMEM_EVENT_BEGIN, /* of an operation; bytes = its name */
	PMEM_EVENT_END,
};

struct pmem_event {
	enum pmem_event_kind kind;
	uint32_t thread; /* small number, in order of first use */
	uint64_t off; /* bytes from the device's start; FLUSH: of the first line, len is whole lines */
	uint64_t len; /* bytes */
	const void *site; /* struct pmem_site (may be NULL) in a build with PMEM_SITES, else the caller's return address */
	const uint8_t *data; /* STORE, NT: the bytes as stored (after an or/andnot: the word); BEGIN: name, NUL-terminated */
};

struct pmem_counts {
	uint64_t fences;
	uint64_t lines_flushed; /* lines given to flush */
	uint64_t lines_nt; /* lines touched by non-temporal stores */
	uint64_t stores; /* calls that stored */
	uint64_t bytes; /* stored */
};

#define PMEM_SIM_RECORD 1u
#define PMEM_SIM_NO_BASE 2u /* with PMEM_SIM_RECORD: events only, so that a reset costs nothing whatever the size */

/*
 * size: bytes, rounded up to 2 MiB; zeroed. pmem_close() frees it. Without PMEM_SIM_RECORD there are counters only: no events, no
 * base image (NULL), no verification (-EOPNOTSUPP); with PMEM_SIM_NO_BASE no base image either. Stores outside of the device abort,
 * in every build.
 */
int pmem_sim_new(uint64_t size, unsigned int flags, struct pmem **out_pm);
/* Marks operation boundaries for this thread. name must stay valid. */
void pmem_sim_begin(struct pmem *pm, const char *name);
void pmem_sim_end(struct pmem *pm);
/*
 * hook (NULL: none) is called on the thread that is about to store, flush or fence, before the event, without a lock held: it may
 * wait, and so decide in which order threads go on. Set it while no thread uses the device.
 */
void pmem_sim_set_hook(struct pmem *pm, void (*hook)(void *ctx), void *ctx);
/* Counters since the last reset, all threads. */
struct pmem_counts pmem_sim_counts(const struct pmem *pm);
void pmem_sim_reset_counts(struct pmem *pm);
/* The events so far; stable only while no thread stores. */
size_t pmem_sim_events(const struct pmem *pm, const struct pmem_event **out_events);
/* Forgets the events; the current contents become the durable base image. */
void pmem_sim_reset_events(struct pmem *pm);
/* The durable base image as of the last reset (size bytes). */
const uint8_t *pmem_sim_base_image(const struct pmem *pm);
/*
 * Verifies that nothing bypassed this layer: base image plus all events equals the mapping. 0, or -EUCLEAN and the offset of the
 * first difference. -ENOMEM: the record is incomplete, because memory ran out.
 */
int pmem_sim_verify(const struct pmem *pm, uint64_t *out_off);

#endif
