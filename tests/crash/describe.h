/* SPDX-License-Identifier: BSD-3-Clause */
/* What lies where on a pmfs2 image, and what a store was, in words for a person. */
#ifndef CRASH_DESCRIBE_H
#define CRASH_DESCRIBE_H

#include <stddef.h>
#include <stdint.h>

#include "pmem/sim.h"

struct describe_image {
	const uint8_t *bytes;
	uint64_t size;
};

/* The structure that holds the word at off: "inode 5: mode, nlink". 0 if nothing in this image reaches it. */
int describe_off(const struct describe_image *image, uint64_t off, char *out, size_t cap);
/* The call site of an event: "tx_put at inode.c:123 (inode_log)". */
void describe_site(const struct pmem_event *e, char *out, size_t cap);

#endif
