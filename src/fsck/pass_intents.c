/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pass "intents", in two parts. The first, before the inodes, proves: the chain of intent blocks is whole (header, own number, no
 * block twice). The second, behind the inodes: each intent is of a known kind that its inode may have, and the inode names it.
 * Intents that make sense are no problem: a mount, or fsck when it has repaired the rest, finishes them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "fsck/fix.h"
#include "fsck/shift_plan.h"
#include "pmfs2/map.h"

#define BLOCKS_MAX 65536u
#define INO_MASK ((1ull << PMFS2_INO_BITS) - 1)

static const struct pmfs2_intent_block *block_at(const struct fsck *fk, uint64_t block)
{
	return disk_block(&fk->disk, block);
}

static const struct pmfs2_intent *slot_at(const struct fsck *fk, uint32_t slot)
{
	return &block_at(fk, fk->intent_blocks[slot / PMFS2_INTENTS_PER_BLOCK])->slots[slot % PMFS2_INTENTS_PER_BLOCK];
}

static int chain_add(struct fsck *fk, uint64_t block)
{
	uint32_t n = fk->n_intent_blocks;

	if (!(n & (n - 1))) {
		uint64_t *more = realloc(fk->intent_blocks, (n ? 2 * (size_t)n : 1) * sizeof(*more));

		if (!more) {
			fsck_fail(fk, -ENOMEM);
			return 0;
		}
		fk->intent_blocks = more;
	}
	fk->intent_blocks[fk->n_intent_blocks++] = block;
	return 1;
}

static void head_build(struct pmfs2_intent_block *head, uint64_t block)
{
	memset(head, 0, 16);
	head->magic = le32_of(PMFS2_MAGIC_INTENT);
	head->block = le64_of(block);
	head->crc = le32_of(crc32c_of(head, 16));
}

/* The header of a block of the chain. 1: go on with it; 0: it is none, the chain ends before it. from: the block before it. */
static int head_check(struct fsck *fk, uint64_t block, uint64_t from)
{
	struct pmfs2_intent_block head, right;

	memcpy(&head, block_at(fk, block), 32);
	head_build(&right, block);
	if (memcmp(&head, &right, 16)) {
		int ours = !from || le32_get(head.magic) == PMFS2_MAGIC_INTENT || le64_get(head.block) == block;
		struct fix fix;

		if (fsck_found(fk, FSCK_INTENT_BLOCK, "intent block %llu: damaged header", (unsigned long long)block)) {
			fix_begin(&fix, fk);
			if (ours)
				fix_put(&fix, block_at(fk, block), &right, 2);
			else
				fix_fill(&fix, &block_at(fk, from)->next, 0, 1);
			fix_commit(&fix);
		}
		if (!ours)
			return 0;
	}
	if (le64_get(head.zero) &&
	    fsck_found(fk, FSCK_INTENT_RESERVED, "intent block %llu: a reserved field is not zero", (unsigned long long)block))
		fix_word(fk, &block_at(fk, block)->zero, 0);
	return 1;
}

/* The block behind this one, 0: none. */
static uint64_t chain_next(struct fsck *fk, uint64_t block, uint32_t fixed)
{
	uint64_t next = le64_get(block_at(fk, block)->next);

	if (fk->n_intent_blocks < fixed) {
		if (next && fsck_found(fk, FSCK_INTENT_RESERVED, "intent block %llu: names a next one, which it does not need",
				       (unsigned long long)block))
			fix_word(fk, &block_at(fk, block)->next, 0);
		return block + 1;
	}
	if (!next)
		return 0;
	if (disk_block_ok(&fk->disk, next, 1) && fk->n_intent_blocks < BLOCKS_MAX && !claims_is_used(&fk->now, next))
		return next;
	if (fsck_found(fk, FSCK_INTENT_CHAIN, "intent block %llu: the chain goes on in block %llu, which cannot be",
		       (unsigned long long)block, (unsigned long long)next))
		fix_word(fk, &block_at(fk, block)->next, 0);
	return 0;
}

void pass_intent_chain(struct fsck *fk)
{
	uint64_t block = le64_get(fk->disk.sb.intent_block), from = 0, next, before;
	uint32_t fixed = le32_get(fk->disk.sb.n_intent_blocks);

	while (block) {
		if (!head_check(fk, block, fk->n_intent_blocks < fixed ? 0 : from) || !chain_add(fk, block))
			return;
		if (fk->n_intent_blocks > fixed)
			claims_take_meta(&fk->now, block, 1, &before);
		next = chain_next(fk, block, fixed);
		from = block;
		block = next;
	}
}

const struct pmfs2_intent *fsck_intent_of(const struct fsck *fk, uint32_t slot, uint64_t ino)
{
	if (slot >= (uint64_t)fk->n_intent_blocks * PMFS2_INTENTS_PER_BLOCK ||
	    (le64_get(slot_at(fk, slot)->ino_kind) & ~(0xffull << 56)) != ino)
		return NULL;
	return slot_at(fk, slot);
}

static int slot_ok(const struct fsck *fk, uint32_t slot, const struct pmfs2_intent *it)
{
	uint64_t word = le64_get(it->ino_kind), ino = word & INO_MASK;
	const struct pmfs2_inode *inode;
	struct shift_plan plan;

	if (word >> PMFS2_INO_BITS & 0xffff || ino >= fsck_ino_end(fk) || !(fk->ino_state[ino] & INO_TYPE))
		return 0;
	inode = fsck_inode(fk, ino);
	if (le32_get(inode->intent) != slot + 1)
		return 0;
	switch (word >> 56) {
	case PMFS2_INTENT_ORPHAN:
		return !le32_get(inode->nlink);
	case PMFS2_INTENT_TRUNCATE:
		return S_ISREG(le32_get(inode->mode));
	case PMFS2_INTENT_SHIFT:
		return S_ISREG(le32_get(inode->mode)) && shift_plan_read(it, inode, &plan);
	default:
		return 0;
	}
}

static void slot_clear(struct fsck *fk, uint32_t slot)
{
	const struct pmfs2_intent *it = slot_at(fk, slot);
	uint64_t ino = le64_get(it->ino_kind) & INO_MASK;
	const struct pmfs2_inode *media = ino < fsck_ino_end(fk) && fk->ino_state[ino] & INO_TYPE ? fsck_inode(fk, ino) : NULL;
	struct fix fix;

	fix_begin(&fix, fk);
	fix_fill(&fix, &it->ino_kind, 0, 1);
	if (media && le32_get(media->intent) == slot + 1) {
		struct pmfs2_inode image = *media;

		image.intent = le32_of(0);
		fix_put_inode(&fix, media, &image);
	}
	fix_commit(&fix);
}

void pass_intents(struct fsck *fk)
{
	for (uint32_t slot = 0; slot < fk->n_intent_blocks * PMFS2_INTENTS_PER_BLOCK; slot++) {
		const struct pmfs2_intent *it = slot_at(fk, slot);
		uint64_t word = le64_get(it->ino_kind);

		if (!word)
			continue;
		if (slot_ok(fk, slot, it))
			fk->n_intents++;
		else if (fsck_found(fk, FSCK_INTENT_SLOT, "intent %u: kind %u for inode %llu makes no sense", slot,
				    (uint32_t)(word >> 56), (unsigned long long)(word & INO_MASK)))
			slot_clear(fk, slot);
	}
}
