/* SPDX-License-Identifier: BSD-3-Clause */
/* The journal as it stands on a device: which horizon counts, which records a mount would replay. */
#ifndef TOOLS_PMFS2_JOURNAL_VIEW_H
#define TOOLS_PMFS2_JOURNAL_VIEW_H

#include "image.h"

struct horizon_view {
	struct pmfs2_horizon slots[2];
	int valid[2];
	int chosen; /* -1: none is valid */
	uint64_t seq; /* of the chosen one */
};
void horizon_view_load(const struct image *img, struct horizon_view *out);

/* A record, copied out of its ring. */
struct record_view {
	struct pmfs2_record head;
	uint64_t words[(PMFS2_RECORD_MAX - sizeof(struct pmfs2_record)) / 8];
};
static_assert(sizeof(struct record_view) == PMFS2_RECORD_MAX, "a whole record");

struct ring_walk {
	uint32_t ring;
	uint64_t off; /* bytes from the ring's start */
	uint64_t last_seq;
};
/* The next record of a ring that a mount would replay. 1, or 0 at the end. */
int ring_walk_next(const struct image *img, uint64_t horizon, struct ring_walk *walk, struct record_view *out);

/* What a mount would do, and the counts afterwards. */
struct journal_summary {
	uint64_t records;
	uint64_t free_blocks;
	uint64_t used_inodes;
	uint64_t next_seq;
	int clean;
};
/* 0, -EUCLEAN if no horizon is valid. */
int journal_summary(const struct image *img, struct journal_summary *out);

/* One line on stderr if the journal holds records: what is printed lacks them. */
void journal_warn(const struct image *img);

#endif
