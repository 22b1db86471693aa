/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Persistent memory: map, copy, flush, fence. The only code that stores to media.
 *
 * Failure model: after a crash, any subset of the aligned 8-byte words stored since the last fence that covers them may be on
 * media. A store is covered by a fence of the same thread when it was non-temporal or its line was flushed in between. A store
 * that was not flushed may be on media all the same.
 *
 * Every function takes the device, because a simulated device (pmem_sim_new) records instead of, or as well as, doing it.
 * Media pointers are const everywhere else; the functions here cast that away in one place.
 */
#ifndef PMEM_PMEM_H
#define PMEM_PMEM_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "base/le.h"
#include "pmem/site.h"

#define PMEM_LINE 64u

enum pmem_kind {
	PMEM_KIND_DEVDAX, /* character device, always direct */
	PMEM_KIND_FSDAX, /* block device or file mapped with MAP_SYNC */
	PMEM_KIND_FILE, /* plain file or block device: page cache, pmem_sync() needed against power loss */
	PMEM_KIND_ANON, /* memory of this process */
	PMEM_KIND_EXTERNAL, /* mapped by somebody else (a transport) */
	PMEM_KIND_SIM, /* simulated: memory, with a record of what was done (sim.h) */
};

struct pmem_sim;
struct pmem_isa;

struct pmem {
	uint8_t *base; /* 2 MiB aligned */
	uint64_t size; /* bytes */
	enum pmem_kind kind;
	int fd; /* -1 where there is none */
	int backing_fd; /* of a loop device: the locked file under it; -1: none */
	int rdonly;
	int block_dax; /* PMEM_KIND_FILE on a pmem block device (/dev/pmem0) */
	const struct pmem_isa *isa; /* instructions chosen at start */
	struct pmem_sim *sim; /* not NULL: record */
	/* Media errors (badpages.h); words changed by its signal handler, so atomics. */
	uint64_t bad_unit; /* bytes that are lost as one: 4096, or more on a device-DAX node */
	uint64_t n_bad; /* pages found bad; 0 is all that anybody looks at on a good device */
	uint64_t n_bad_meta; /* rises with each bad page met while metadata were read or stored */
	uint64_t *bad_map; /* a bit for each page of 4 KiB; NULL while n_bad is 0 */
	void *bad_slot; /* the handler's entry for this device */
	/* pmem_sync() of a backing file. */
	pthread_mutex_t sync_lock;
	uint64_t n_sync_begun; /* atomic; changed under sync_lock */
	uint64_t n_sync_done; /* under sync_lock, as the next one */
	int sync_err; /* the first error, for good */
};

#define PMEM_OPEN_RDONLY 1u
#define PMEM_OPEN_NOLOCK 2u /* do not lock (default: exclusive lock, shared if read-only; -EBUSY if held) */

/*
 * Maps a block device (O_EXCL on it), a device-DAX node or a regular file, whole.
 * -EBUSY: in use (mounted, or open by another server or tool; under a loop device, if it is to be written). -ENOTBLK: neither
 * file nor device. -EINVAL: empty.
 */
int pmem_open(const char *path, unsigned int flags, struct pmem **out_pm);
/* size: bytes, rounded up to 2 MiB. Zeroed memory that is not reserved until touched. */
int pmem_open_anon(uint64_t size, struct pmem **out_pm);
/* A mapping that somebody else keeps; base must be 4 KiB aligned. */
int pmem_open_external(void *base, uint64_t size, struct pmem **out_pm);
/* Unmaps, unlocks, frees. NULL is fine. Does not sync. */
void pmem_close(struct pmem *pm);

/* "file", "fsdax", ... for messages. */
const char *pmem_kind_name(enum pmem_kind kind);
/* Name of the instruction set in use ("avx512+clwb"). */
const char *pmem_isa_name(const struct pmem *pm);
/*
 * One line for the person who mounts, saying what the kind of backing does and does not survive; "" where everything is
 * durable against power loss.
 */
const char *pmem_notice(const struct pmem *pm);

/* --- stores. Addresses lie inside the mapping (asserted in debug builds). ------------------------------------------------- */

/* One aligned 8-byte store, indivisible; a release towards other threads' le64_load. Not flushed. */
void pmem_store64(struct pmem *pm, const le64 *addr, uint64_t value);
/* Atomic read-modify-write of one aligned word. Not flushed. */
void pmem_or64(struct pmem *pm, const le64 *addr, uint64_t mask);
void pmem_andnot64(struct pmem *pm, const le64 *addr, uint64_t mask);
/* Writes back every line that [addr, addr + len) touches. No fence. */
void pmem_flush(struct pmem *pm, const void *addr, size_t len);
/* Copies with non-temporal stores; edge lines that are not whole by plain stores and flush. No fence. Any alignment. */
void pmem_copy(struct pmem *pm, const void *dst, const void *src, size_t len);
/* Zeroes as pmem_copy does. */
void pmem_zero(struct pmem *pm, const void *dst, size_t len);
/* Everything of this thread that was flushed or non-temporal is durable on return. */
void pmem_fence(struct pmem *pm);

/*
 * The backing file is written to its storage (fdatasync). 0 at once where a fence is enough. Any thread. An error is the answer to
 * every later call too: what could not be written may be lost, and the kernel says so only once, to whoever comes first.
 */
int pmem_sync(struct pmem *pm);

static inline uint64_t pmem_off(const struct pmem *pm, const void *addr)
{
	return (uint64_t)((const uint8_t *)addr - pm->base);
}
static inline const void *pmem_at(const struct pmem *pm, uint64_t off_bytes)
{
	return pm->base + off_bytes;
}

/* True if all len bytes are zero. Any alignment. */
int pmem_is_zero(const void *addr, size_t len);

/* Call sites (site.h). A file that defines these functions says PMEM_SITES_INSIDE. */
#if PMEM_SITES && !defined(PMEM_SITES_INSIDE)
#define pmem_store64(...) PMEM_SITE_CALL(pmem_store64, __VA_ARGS__)
#define pmem_or64(...) PMEM_SITE_CALL(pmem_or64, __VA_ARGS__)
#define pmem_andnot64(...) PMEM_SITE_CALL(pmem_andnot64, __VA_ARGS__)
#define pmem_flush(...) PMEM_SITE_CALL(pmem_flush, __VA_ARGS__)
#define pmem_copy(...) PMEM_SITE_CALL(pmem_copy, __VA_ARGS__)
#define pmem_zero(...) PMEM_SITE_CALL(pmem_zero, __VA_ARGS__)
#define pmem_fence(...) PMEM_SITE_CALL(pmem_fence, __VA_ARGS__)
#endif

#endif
