/* SPDX-License-Identifier: BSD-3-Clause */
/* Recipes on the golden image, as those of tests/fsck/recipes_*.c. */
#include "crash/scenario_damage.h"

#include <string.h>

#include "base/crc32c.h"
#include "base/util.h"
#include "pmfs2/dir_bucket.h"
#include "pmfs2/dir_walk.h"

/* A record in the first ring that gives an inode another owner. Returns its length. */
static uint32_t owner_record(const struct golden *g, uint32_t at, uint64_t seq, uint64_t ino)
{
	const struct pmfs2_super *sb = golden_super(g, 0);
	struct pmfs2_record *rec = (void *)((uint8_t *)golden_block(g, le64_get(sb->journal_block)) + at);
	struct pmfs2_inode image = *golden_inode(g, ino);
	uint64_t off = (uint64_t)((uint8_t *)golden_inode(g, ino) - g->pm->base);
	uint32_t n_words = 1 + sizeof(image) / 8;
	uint32_t len = (uint32_t)round_up_to(sizeof(*rec) + n_words * 8ull, PMFS2_RECORD_ALIGN);
	le64 *words = (le64 *)(void *)(rec + 1);

	memset(rec, 0, len);
	rec->magic = le32_of(PMFS2_MAGIC_RECORD);
	rec->seq = le64_of(seq);
	rec->len = le32_of(len);
	rec->n_words = le32_of(n_words);
	image.uid = le32_of(4321);
	golden_inode_seal(&image);
	words[0] = le64_of(off / 8 | (uint64_t)(n_words - 1) << PMFS2_REC_OFF_BITS |
			   (uint64_t)PMFS2_REC_WORDS << (PMFS2_REC_OFF_BITS + PMFS2_REC_COUNT_BITS));
	memcpy(words + 1, &image, sizeof(image));
	rec->crc = le32_of(~crc32c(le32_get(sb->journal_seed), rec, len));
	return len;
}

/* Of two records the first has one wrong bit. */
static void record_bit(const struct golden *g)
{
	uint64_t seq = le64_get(golden_horizon(g)->seq);
	uint8_t *ring = golden_block(g, le64_get(golden_super(g, 0)->journal_block));

	owner_record(g, owner_record(g, 0, seq, g->small), seq + 1, g->tail);
	ring[sizeof(struct pmfs2_record) + 100] ^= 0x20;
}

/* An old record has a number that is above the new ones. */
static void numbers_end(const struct golden *g)
{
	owner_record(g, 0, 1ull << 61, g->small);
	golden_horizon(g)->seq = le64_of(1ull << 62);
	golden_horizon_seal(golden_horizon(g));
}

/* The lowest bit says which slot it is. */
static void slots_end(const struct golden *g)
{
	golden_horizon(g)->written = le64_of(1ull << 62 | (le64_get(golden_horizon(g)->written) & 1));
	golden_horizon_seal(golden_horizon(g));
}

static int is_free_run(const struct golden *g, uint64_t block, uint64_t n)
{
	while (n && !golden_bit_test(g, block + n - 1))
		n--;
	return !n;
}

/* The first of two chunks, and what leads to it. Where a new one will be made stands what was there. */
static void chunk_lost(const struct golden *g)
{
	le64 *node = golden_block(g, golden_target(golden_state(g)->itable_root));
	uint64_t block = round_up_to(le64_get(golden_super(g, 0)->data_block), PMFS2_CHUNK_BLOCKS);

	while (!is_free_run(g, block, PMFS2_CHUNK_BLOCKS))
		block += PMFS2_CHUNK_BLOCKS;
	memcpy(golden_block(g, block), golden_chunk(g, 0), (size_t)PMFS2_CHUNK_BLOCKS << PMFS2_BLOCK_SHIFT);
	memset(golden_chunk(g, 0), 0x33, sizeof(struct pmfs2_chunk));
	node[0] = le64_of(0);
}

/* The bucket of a directory moves into the midst of a leaf of 2 MiB. */
static void huge_overlap(const struct golden *g)
{
	struct pmfs2_inode *in = golden_inode(g, g->one);
	const le64 *leaf = golden_block(g, golden_target(golden_inode(g, g->huge)->root));
	uint64_t to = golden_target(leaf[0]) + 100;
	struct pmfs2_bucket *b = golden_block(g, to);
	const struct pmfs2_bucket *old = golden_block(g, golden_target(in->root));
	le64 dyn = old->dyn, sum = old->sum;

	memcpy(b, old, PMFS2_BLOCK_SIZE);
	bucket_header_build(b, g->one, to, 0, 0);
	b->dyn = dyn;
	b->sum = sum;
	in->root = le64_of(dir_pointer(g->one, PMFS2_ENTRY_BUCKET, to));
	golden_inode_seal(in);
}

/* The second of two records in a block of xattrs. The first is not as in the block that it stood in alone, which is free now. */
static void xattr_block_record(const struct golden *g)
{
	struct pmfs2_xattr_block *b = golden_block(g, golden_target(golden_inode(g, g->attrs)->xattr));
	struct pmfs2_xattr_rec *rec = (void *)(b + 1);

	memset((uint8_t *)rec + 64, 'v', 100);
	rec = (void *)((uint8_t *)rec + le16_get(rec->rec_words) * 8u);
	rec->rec_words = le16_of(0);
	b->crc = le32_of(0);
	b->crc = le32_of(crc32c_of(b, sizeof(*b) + le32_get(b->used)));
}

const struct scenario_damage scenario_damages[SCENARIO_DAMAGES] = {
	{ "a record with one wrong bit", record_bit }, { "numbers of records that end", numbers_end },
	{ "numbers of slots that end", slots_end },    { "a chunk that is lost", chunk_lost },
	{ "a bucket in a huge leaf", huge_overlap },   { "a record in a block of xattrs", xattr_block_record },
};
