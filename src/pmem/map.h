/* SPDX-License-Identifier: BSD-3-Clause */
/* Address ranges that are aligned for huge pages. */
#ifndef PMEM_MAP_H
#define PMEM_MAP_H

#include <stddef.h>
#include <stdint.h>

#define PMEM_MAP_ALIGN (2ull << 20)

/*
 * Maps len bytes (a multiple of 4 KiB) of fd from its start (fd -1: anonymous memory, not reserved, huge pages wanted) at a
 * multiple of align, a power of two of at least 4 KiB. prot, flags: as for mmap(2); MAP_FIXED is added. Nothing is touched.
 */
struct pmem_map_request {
	uint64_t len;
	uint64_t align;
	int prot;
	int flags;
	int fd;
};
int pmem_map(const struct pmem_map_request *req, uint8_t **out_base);

#endif
