/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of what directories hand down (see dir_cache.h). */
#include "vfs/dir_cache.h"

static struct dir_slot *dir_cache_slot(struct dir_cache *cache, uint64_t node)
{
	return &cache->slots[(node * 0x9e3779b97f4a7c15ull) >> 54];
}

_Static_assert(DIR_CACHE_N_SLOTS == 1u << (64 - 54), "the hash's shift and the table's size belong together");

/*
 * Fields are loaded with acquire and stored with release, so that the sequence is read again after them and is odd before them;
 * fences would do the same, but thread sanitizers do not understand them.
 */
static uint64_t slot_load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}
static void slot_store(uint64_t *p, uint64_t value)
{
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

bool dir_cache_find(struct dir_cache *cache, uint64_t node, struct dir_info *out_info, uint64_t *out_ticket)
{
	struct dir_slot *slot = dir_cache_slot(cache, node);
	uint64_t seq = slot_load(&slot->seq);
	uint64_t found = slot_load(&slot->node);
	uint64_t gid_projid = slot_load(&slot->gid_projid);
	uint64_t flags_bits = slot_load(&slot->flags_bits);

	*out_ticket = seq;
	if (found != node || (seq & 1) || slot_load(&slot->seq) != seq)
		return false;
	out_info->gid = (uint32_t)(gid_projid >> 32);
	out_info->projid = (uint32_t)gid_projid;
	out_info->flags = (uint32_t)(flags_bits >> 32);
	out_info->bits = (uint32_t)flags_bits;
	return true;
}

/* Takes the slot if its sequence is still the expected (even) one. */
static bool slot_trylock(struct dir_slot *slot, uint64_t expected)
{
	return !(expected & 1) &&
	       __atomic_compare_exchange_n(&slot->seq, &expected, expected + 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static void slot_unlock(struct dir_slot *slot, uint64_t locked_from)
{
	__atomic_store_n(&slot->seq, locked_from + 2, __ATOMIC_RELEASE);
}

void dir_cache_store(struct dir_cache *cache, uint64_t node, const struct dir_info *info, uint64_t ticket)
{
	struct dir_slot *slot = dir_cache_slot(cache, node);

	if (!slot_trylock(slot, ticket))
		return;
	slot_store(&slot->node, node);
	slot_store(&slot->gid_projid, (uint64_t)info->gid << 32 | info->projid);
	slot_store(&slot->flags_bits, (uint64_t)info->flags << 32 | info->bits);
	slot_unlock(slot, ticket);
}

void dir_cache_invalidate(struct dir_cache *cache, uint64_t node)
{
	struct dir_slot *slot = dir_cache_slot(cache, node);
	uint64_t seq;

	/* Empties the slot whoever has it: the new sequence is what makes older tickets worthless. */
	do
		seq = slot_load(&slot->seq);
	while (!slot_trylock(slot, seq));
	slot_store(&slot->node, 0);
	slot_unlock(slot, seq);
}
