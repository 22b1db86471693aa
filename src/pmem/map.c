/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Aligned mappings: reserve more address space than needed, map over the aligned part of it, give the rest back. With 2 MiB
 * alignment the kernel can use huge pages (DAX, tmpfs and anonymous memory).
 */
#include "pmem/map.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/util.h"

#define PAGE_BYTES 4096ull

int pmem_map(const struct pmem_map_request *req, uint8_t **out_base)
{
	uint64_t reserved = round_up_to(req->len, req->align) + req->align, head;
	int flags = req->flags | MAP_FIXED | (req->fd < 0 ? MAP_NORESERVE : 0);
	uint8_t *start, *base;

	if (!req->len || req->len % PAGE_BYTES || req->align % PAGE_BYTES || reserved < req->len || reserved > SIZE_MAX / 2)
		return -EINVAL;
	start = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (start == MAP_FAILED)
		return -errno;
	base = start + (-(uintptr_t)start & (req->align - 1));
	if (mmap(base, req->len, req->prot, flags, req->fd, 0) == MAP_FAILED) {
		int err = -errno;

		munmap(start, reserved);
		return err;
	}
	head = (uint64_t)(base - start);
	if (head)
		munmap(start, head);
	munmap(base + req->len, reserved - head - req->len);
	if (req->fd < 0)
		madvise(base, req->len, MADV_HUGEPAGE);
	*out_base = base;
	return 0;
}
