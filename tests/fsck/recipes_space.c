/* SPDX-License-Identifier: BSD-3-Clause */
/* Defects of links, intents, bitmaps and counts. */
#include "golden.h"

#include "base/util.h"

static void link_count(const struct golden *g)
{
	struct pmfs2_inode *in = golden_inode(g, g->hard);

	in->nlink = le32_of(5);
	golden_inode_seal(in);
}

/* The blocks and slots of the orphan's intent: the only one there is. */
static struct pmfs2_intent *orphan_intent(const struct golden *g)
{
	uint32_t slot = le32_get(golden_inode(g, g->orphan)->intent) - 1;
	struct pmfs2_intent_block *blk = golden_block(g, le64_get(golden_super(g, 0)->intent_block));

	return &blk[slot / PMFS2_INTENTS_PER_BLOCK].slots[slot % PMFS2_INTENTS_PER_BLOCK];
}

static void unconnected(const struct golden *g)
{
	struct pmfs2_inode *in = golden_inode(g, g->orphan);

	orphan_intent(g)->ino_kind = le64_of(0);
	in->intent = le32_of(0);
	in->nlink = le32_of(1);
	golden_inode_seal(in);
}

static struct pmfs2_intent_block *intent_block(const struct golden *g, uint32_t n)
{
	return (struct pmfs2_intent_block *)golden_block(g, le64_get(golden_super(g, 0)->intent_block)) + n;
}

static void intent_block_damage(const struct golden *g)
{
	intent_block(g, 1)->magic = le32_of(0x12121212);
}

static void intent_chain(const struct golden *g)
{
	intent_block(g, le32_get(golden_super(g, 0)->n_intent_blocks) - 1)->next = le64_of(1);
}

static void intent_reserved(const struct golden *g)
{
	intent_block(g, 1)->zero = le64_of(1);
}

static void intent_slot(const struct golden *g)
{
	intent_block(g, 1)->slots[3].ino_kind = le64_of(g->file | (uint64_t)PMFS2_INTENT_TRUNCATE << 56);
}

static void bitmap_unmarked(const struct golden *g)
{
	golden_bit_set(g, golden_target(golden_inode(g, g->small)->root), 0);
}

static void bitmap_leaked(const struct golden *g)
{
	for (uint64_t i = 0; i < 5; i++)
		golden_bit_set(g, (g->pm->size >> PMFS2_BLOCK_SHIFT) - 100 + i, 1);
}

static void count_blocks(const struct golden *g)
{
	struct pmfs2_horizon *h = golden_horizon(g);

	h->free_blocks = le64_of(le64_get(h->free_blocks) - 7);
	golden_horizon_seal(h);
}

static void count_inodes(const struct golden *g)
{
	struct pmfs2_horizon *h = golden_horizon(g);

	h->used_inodes = le64_of(le64_get(h->used_inodes) + 7);
	golden_horizon_seal(h);
}

const struct golden_recipe golden_recipes_space[] = {
	{ FSCK_LINK_COUNT, link_count },
	{ FSCK_UNCONNECTED, unconnected },
	{ FSCK_INTENT_BLOCK, intent_block_damage },
	{ FSCK_INTENT_CHAIN, intent_chain },
	{ FSCK_INTENT_RESERVED, intent_reserved },
	{ FSCK_INTENT_SLOT, intent_slot },
	{ FSCK_BITMAP_UNMARKED, bitmap_unmarked },
	{ FSCK_BITMAP_LEAKED, bitmap_leaked },
	{ FSCK_COUNT_BLOCKS, count_blocks },
	{ FSCK_COUNT_INODES, count_inodes },
	{ FSCK_N_CODES, NULL },
};

golden_fn golden_recipe_find(enum fsck_code code)
{
	static const struct golden_recipe *const tables[] = { golden_recipes_super, golden_recipes_inode, golden_recipes_dir,
							      golden_recipes_space };

	for (uint32_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct golden_recipe *r = tables[i]; r->damage; r++)
			if (r->code == code)
				return r->damage;
	return NULL;
}
