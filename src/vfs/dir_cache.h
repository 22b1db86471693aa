/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a directory hands down to the inodes created in it, remembered so that a create asks the plug-in for the name only.
 *
 * A direct-mapped table of a fixed size. Each slot is a sequence lock: readers take no lock and write no memory. An entry is
 * stored only if nothing invalidated the slot since the caller began to ask the plug-in (the ticket), so a change of the
 * directory that has returned is never hidden by an older answer.
 */
#ifndef VFS_DIR_CACHE_H
#define VFS_DIR_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#define DIR_CACHE_N_SLOTS 1024u

#define DIR_SGID 1u /* new inodes get its group, new directories S_ISGID */
#define DIR_HAS_ACL 2u /* it has a default ACL */

struct dir_info {
	uint32_t gid;
	uint32_t projid;
	uint32_t flags; /* ZUS_FL_* */
	uint32_t bits; /* DIR_* */
};

struct dir_slot {
	uint64_t seq; /* odd: being written */
	uint64_t node; /* 0: empty */
	uint64_t gid_projid;
	uint64_t flags_bits;
} __attribute__((aligned(32)));

struct dir_cache {
	struct dir_slot slots[DIR_CACHE_N_SLOTS];
};

/* True and *out_info if node is there. Else *out_ticket is for dir_cache_store(). */
bool dir_cache_find(struct dir_cache *cache, uint64_t node, struct dir_info *out_info, uint64_t *out_ticket);
void dir_cache_store(struct dir_cache *cache, uint64_t node, const struct dir_info *info, uint64_t ticket);
/* To be called after a change of node's mode, group, flags, project id or default ACL, before the change is answered. */
void dir_cache_invalidate(struct dir_cache *cache, uint64_t node);

#endif
