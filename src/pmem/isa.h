/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a CPU offers for stores to media. One table entry per combination of instructions; pmem.c cuts every request so that these
 * functions see whole 64-byte lines only.
 *
 * Rule for all of them: an aligned 8-byte word is stored by one instruction, never in pieces.
 */
#ifndef PMEM_ISA_H
#define PMEM_ISA_H

#include <stddef.h>

#define PMEM_ISA_MAX 16 /* room that holds every list */

struct pmem_isa {
	const char *name;
	int writes_back; /* flush_lines reaches media (false: a plain memory copy, nothing more) */
	/* dst: line-aligned; src: any alignment, not overlapping. Durable after fence() of the same thread. */
	void (*copy_lines)(void *dst, const void *src, size_t n_lines);
	void (*zero_lines)(void *dst, size_t n_lines);
	/* first: line-aligned. Durable after fence() of the same thread. */
	void (*flush_lines)(const void *first, size_t n_lines);
	void (*fence)(void);
};

/* Those that this CPU can run, best first, the generic one last. Returns their number; never 0 with cap > 0. */
size_t pmem_isa_usable(const struct pmem_isa **out_list, size_t cap);
const struct pmem_isa *pmem_isa_best(void);

/* Each architecture's part of the list, in its own file. Returns how many were added. */
size_t pmem_isa_usable_x86_64(const struct pmem_isa **out_list, size_t cap);
size_t pmem_isa_usable_aarch64(const struct pmem_isa **out_list, size_t cap);

#endif
