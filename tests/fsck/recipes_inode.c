/* SPDX-License-Identifier: BSD-3-Clause */
/* Defects of inodes, trees of files, extended attributes. */
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "golden.h"
#include "pmfs2/map.h"

static void inode_bit(const struct golden *g)
{
	struct pmfs2_inode *in = golden_inode(g, g->small);

	in->uid = le32_of(le32_get(in->uid) ^ 4);
}

static void inode_checksum(const struct golden *g)
{
	struct pmfs2_inode *in = golden_inode(g, g->small);

	in->uid = le32_of(77);
	in->gid = le32_of(88);
}

static void inode_mode(const struct golden *g)
{
	struct pmfs2_inode *in = golden_inode(g, g->small);

	in->mode = le32_of(0170644);
	golden_inode_seal(in);
}

static void used_bit_flip(const struct golden *g, uint64_t ino)
{
	struct pmfs2_chunk *chunk = golden_chunk(g, ino / PMFS2_CHUNK_INODES);
	le64 *word = &chunk->used[ino % PMFS2_CHUNK_INODES / 64];

	*word = le64_of(le64_get(*word) ^ 1ull << (ino % 64));
}

static void inode_unmarked(const struct golden *g)
{
	used_bit_flip(g, g->small);
}

/* The last number of the second chunk was never used. */
static void inode_marked(const struct golden *g)
{
	used_bit_flip(g, 2 * PMFS2_CHUNK_INODES - 1);
}

static void inode_free(const struct golden *g)
{
	memset(golden_inode(g, 2 * PMFS2_CHUNK_INODES - 1), 0x11, 100);
}

static void inode_flags(const struct golden *g)
{
	struct pmfs2_inode *in = golden_inode(g, g->small);

	in->flags = le32_of(0x00100000);
	golden_inode_seal(in);
}

static void inode_reserved(const struct golden *g)
{
	struct pmfs2_inode *in = golden_inode(g, g->small);

	in->zero = le32_of(9);
	in->parent_or_rdev = le64_of(3);
	golden_inode_seal(in);
}

static void inode_size(const struct golden *g)
{
	struct pmfs2_inode *in = golden_inode(g, g->dev);

	in->size = le64_of(5);
	golden_inode_seal(in);
}

static void inode_blocks(const struct golden *g)
{
	struct pmfs2_inode *in = golden_inode(g, g->file);

	in->blocks = le64_of(le64_get(in->blocks) + 3);
	golden_inode_seal(in);
}

static void inode_intent(const struct golden *g)
{
	struct pmfs2_inode *in = golden_inode(g, g->file);

	in->intent = le32_of(100);
	golden_inode_seal(in);
}

static void symlink_target(const struct golden *g)
{
	struct pmfs2_inode *in = golden_inode(g, g->link);

	in->tail[3] = 0;
	golden_inode_seal(in);
}

static void root_missing(const struct golden *g)
{
	struct pmfs2_inode *in = golden_inode(g, PMFS2_INO_ROOT);

	memset(in, 0, sizeof(*in));
	used_bit_flip(g, PMFS2_INO_ROOT);
}

static void map_root(const struct golden *g)
{
	struct pmfs2_inode *in = golden_inode(g, g->file);

	in->root = le64_of(le64_get(in->root) ^ 0x50003);
	golden_inode_seal(in);
}

static le64 *file_node(const struct golden *g)
{
	return golden_block(g, golden_target(golden_inode(g, g->file)->root));
}

static void map_entry(const struct golden *g)
{
	file_node(g)[3] = le64_of(le64_get(file_node(g)[3]) ^ 0x50003);
}

/* A collapse of two blocks that says it is done with blocks that never moved. */
static void inode_shift(const struct golden *g)
{
	const struct pmfs2_super *sb = golden_super(g, 0);
	struct pmfs2_intent_block *blk = golden_block(g, le64_get(sb->intent_block));
	struct pmfs2_inode *in = golden_inode(g, g->file);

	blk->slots[100] = (struct pmfs2_intent){
		.ino_kind = le64_of(g->file | (uint64_t)PMFS2_INTENT_SHIFT << 56),
		.arg = { le64_of(30), le64_of(0 - 2ull), le64_of(4) },
	};
	in->intent = le32_of(101);
	golden_inode_seal(in);
}

static void map_node(const struct golden *g)
{
	memset(file_node(g), 0x66, PMFS2_BLOCK_SIZE);
}

static void map_behind(const struct golden *g)
{
	struct pmfs2_inode *in = golden_inode(g, g->tail);

	in->size = le64_of(10);
	golden_inode_seal(in);
}

/* File block 5 of file leads to another block; its own is given back. */
static void redirect(const struct golden *g, uint64_t block)
{
	struct pmfs2_horizon *h = golden_horizon(g);

	golden_bit_set(g, golden_target(file_node(g)[5]), 0);
	h->free_blocks = le64_of(le64_get(h->free_blocks) + 1);
	golden_horizon_seal(h);
	file_node(g)[5] = le64_of(map_pack((struct entry_pos){ g->file, 1, 5 }, PMFS2_ENTRY_DATA, block, 0));
}

static void block_shared(const struct golden *g)
{
	redirect(g, golden_target(golden_inode(g, g->small)->root));
}

static void block_overlap(const struct golden *g)
{
	redirect(g, golden_target(golden_inode(g, g->one)->root));
}

static void xattr_pointer(const struct golden *g)
{
	struct pmfs2_inode *in = golden_inode(g, g->attrs);

	in->xattr = le64_of(le64_get(in->xattr) ^ 0x50003);
	golden_inode_seal(in);
}

static void xattr_block(const struct golden *g)
{
	memset((uint8_t *)golden_block(g, golden_target(golden_inode(g, g->attrs)->xattr)) + 500, 0x3c, 30);
}

static void xattr_twice(const struct golden *g)
{
	struct pmfs2_inode *in = golden_inode(g, g->attrs), *other = golden_inode(g, g->attr);

	in->inline_xattr_len = other->inline_xattr_len;
	memcpy(in->tail, other->tail, sizeof(in->tail));
	golden_inode_seal(in);
}

/* user.two stands behind user.one, both of 8 + 3 + 20 bytes, rounded up. */
static struct pmfs2_xattr_rec *second_record(const struct golden *g)
{
	return (struct pmfs2_xattr_rec *)(golden_inode(g, g->attr)->tail + 32);
}

static void xattr_record(const struct golden *g)
{
	second_record(g)->rec_words = le16_of(0);
	golden_inode_seal(golden_inode(g, g->attr));
}

static void xattr_duplicate(const struct golden *g)
{
	memcpy(second_record(g) + 1, "one", 3);
	golden_inode_seal(golden_inode(g, g->attr));
}

static void xattr_acl(const struct golden *g)
{
	struct pmfs2_xattr_rec *rec = second_record(g);

	memset(rec, 0, 32);
	rec->rec_words = le16_of(4);
	rec->prefix = PMFS2_XATTR_ACL_ACCESS;
	rec->value_len = le32_of(20);
	golden_inode_seal(golden_inode(g, g->attr));
}

const struct golden_recipe golden_recipes_inode[] = {
	{ FSCK_INODE_BIT, inode_bit },
	{ FSCK_INODE_CHECKSUM, inode_checksum },
	{ FSCK_INODE_MODE, inode_mode },
	{ FSCK_INODE_UNMARKED, inode_unmarked },
	{ FSCK_INODE_MARKED, inode_marked },
	{ FSCK_INODE_FREE, inode_free },
	{ FSCK_INODE_FLAGS, inode_flags },
	{ FSCK_INODE_RESERVED, inode_reserved },
	{ FSCK_INODE_SIZE, inode_size },
	{ FSCK_INODE_BLOCKS, inode_blocks },
	{ FSCK_INODE_INTENT, inode_intent },
	{ FSCK_INODE_SHIFT, inode_shift },
	{ FSCK_SYMLINK_TARGET, symlink_target },
	{ FSCK_ROOT_MISSING, root_missing },
	{ FSCK_MAP_ROOT, map_root },
	{ FSCK_MAP_ENTRY, map_entry },
	{ FSCK_MAP_NODE, map_node },
	{ FSCK_MAP_BEHIND, map_behind },
	{ FSCK_BLOCK_SHARED, block_shared },
	{ FSCK_BLOCK_OVERLAP, block_overlap },
	{ FSCK_XATTR_POINTER, xattr_pointer },
	{ FSCK_XATTR_BLOCK, xattr_block },
	{ FSCK_XATTR_TWICE, xattr_twice },
	{ FSCK_XATTR_RECORD, xattr_record },
	{ FSCK_XATTR_DUPLICATE, xattr_duplicate },
	{ FSCK_XATTR_ACL, xattr_acl },
	{ FSCK_N_CODES, NULL },
};
