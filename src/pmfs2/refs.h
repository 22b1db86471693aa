/* SPDX-License-Identifier: BSD-3-Clause */
/* References of the outside world (the kernel's lookups) on nodes: a count for each node that has any, 16 bytes. */
#ifndef PMFS2_REFS_H
#define PMFS2_REFS_H

#include "pmfs2/fs.h"

int refs_new(struct refs **out);
void refs_free(struct refs *refs);
/* One more. -ENOMEM. */
int refs_get(struct refs *refs, uint64_t node);
/* n fewer (never below 0). 1 if none are left now, 0 otherwise. */
int refs_put(struct refs *refs, uint64_t node, uint64_t n);
/* Forgets all counts: the outside world is gone. */
void refs_clear(struct refs *refs);
uint64_t refs_count(struct refs *refs, uint64_t node);

#endif
