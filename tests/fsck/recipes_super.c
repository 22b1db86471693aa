/* SPDX-License-Identifier: BSD-3-Clause */
/* Defects of the superblock, the state block, the journal and the inode table. */
#include <string.h>

#include "base/crc32c.h"
#include "golden.h"
#include "pmem/badpages.h"
#include "pmfs2/media/super.h"

static void super_primary(const struct golden *g)
{
	memset((uint8_t *)golden_super(g, 0) + 300, 0x5a, 16);
}

static void super_copy(const struct golden *g)
{
	golden_super(g, 1)->uuid[0] ^= 0xff;
}

static void super_both(const struct golden *g)
{
	for (int copy = 0; copy < 2; copy++)
		((uint8_t *)golden_super(g, copy))[150] ^= 0x10;
}

static void super_reserved(const struct golden *g)
{
	for (int copy = 0; copy < 2; copy++) {
		golden_super(g, copy)->zero1[100] = 0x7f;
		super_seal(golden_super(g, copy));
	}
}

static void state_reserved(const struct golden *g)
{
	golden_state(g)->zero1[9] = 7;
}

static void horizon_bit(const struct golden *g)
{
	golden_horizon(g)->seq = le64_of(le64_get(golden_horizon(g)->seq) ^ 0x1000);
}

static void horizon_none(const struct golden *g)
{
	memset(golden_state(g)->horizon, 0x77, sizeof(golden_state(g)->horizon));
}

static void horizon_reserved(const struct golden *g)
{
	golden_horizon(g)->zero[0] = le64_of(1);
	golden_horizon_seal(golden_horizon(g));
}

static void journal_record(const struct golden *g)
{
	const struct pmfs2_super *sb = golden_super(g, 0);
	struct pmfs2_record *rec = golden_block(g, le64_get(sb->journal_block));
	le64 *words = (le64 *)(rec + 1);

	memset(rec, 0, 64);
	rec->magic = le32_of(PMFS2_MAGIC_RECORD);
	rec->seq = golden_horizon(g)->seq;
	rec->len = le32_of(64);
	rec->n_words = le32_of(2);
	/* one word, to the superblock's label */
	words[0] = le64_of(56 / 8 | 1ull << PMFS2_REC_OFF_BITS |
			   (uint64_t)PMFS2_REC_WORDS << (PMFS2_REC_OFF_BITS + PMFS2_REC_COUNT_BITS));
	words[1] = le64_of(0x4141414141414141ull);
	rec->crc = le32_of(~crc32c(le32_get(sb->journal_seed), rec, 64));
}

/* Record n of the first ring, n above the horizon by number: it would store a word of a free block. */
static le64 *record_put(const struct golden *g, uint32_t place, uint64_t n)
{
	const struct pmfs2_super *sb = golden_super(g, 0);
	uint8_t *at = (uint8_t *)golden_block(g, le64_get(sb->journal_block)) + place * 64;
	struct pmfs2_record *rec = (struct pmfs2_record *)at;
	le64 *words = (le64 *)(rec + 1);

	memset(rec, 0, 64);
	rec->magic = le32_of(PMFS2_MAGIC_RECORD);
	rec->seq = le64_of(le64_get(golden_horizon(g)->seq) + n);
	rec->len = le32_of(64);
	rec->n_words = le32_of(2);
	words[0] = le64_of(((g->pm->size >> 12) - 9) * 512 | 1ull << PMFS2_REC_OFF_BITS |
			   (uint64_t)PMFS2_REC_WORDS << (PMFS2_REC_OFF_BITS + PMFS2_REC_COUNT_BITS));
	words[1] = le64_of(n);
	rec->crc = le32_of(~crc32c(le32_get(sb->journal_seed), rec, 64));
	return words + 1;
}

/* Two records in one ring, the first of them damaged. */
static void journal_lost(const struct golden *g)
{
	le64 *word = record_put(g, 0, 0);

	record_put(g, 1, 1);
	*word = le64_of(0x777);
}

/* One of long ago, then a thousand are missing. */
static void horizon_lost(const struct golden *g)
{
	struct pmfs2_horizon *h = golden_horizon(g), *slots = golden_state(g)->horizon;

	record_put(g, 0, 1);
	record_put(g, 1, 1000);
	memset(&slots[h == slots], 0x77, sizeof(*h));
}

static void damage_mark(const struct golden *g)
{
	golden_horizon(g)->clean = le64_of(PMFS2_CLEAN_DAMAGED);
	golden_horizon_seal(golden_horizon(g));
}

static void itable_root(const struct golden *g)
{
	golden_state(g)->itable_root = le64_of(le64_get(golden_state(g)->itable_root) ^ 0x30005);
}

static void itable_entry(const struct golden *g)
{
	le64 *node = golden_block(g, golden_target(golden_state(g)->itable_root));

	node[1] = le64_of(le64_get(node[1]) ^ 0x30005);
}

static void itable_count(const struct golden *g)
{
	golden_state(g)->itable_chunks = le64_of(7);
}

static void chunk_header(const struct golden *g)
{
	struct pmfs2_chunk *chunk = golden_chunk(g, 1);

	chunk->index = le64_of(0x1234);
	chunk->crc = le32_of(0);
}

static void chunk_reserved(const struct golden *g)
{
	golden_chunk(g, 1)->zero1[3] = le64_of(1);
}

static void media_error(const struct golden *g)
{
	uint64_t block = golden_target(golden_inode(g, g->attrs)->xattr);

	pmem_faults_catch();
	pmem_poison(g->pm, block << PMFS2_BLOCK_SHIFT, PMFS2_BLOCK_SIZE);
}

const struct golden_recipe golden_recipes_super[] = {
	{ FSCK_SUPER_PRIMARY, super_primary },
	{ FSCK_SUPER_COPY, super_copy },
	{ FSCK_SUPER_BOTH, super_both },
	{ FSCK_SUPER_RESERVED, super_reserved },
	{ FSCK_STATE_RESERVED, state_reserved },
	{ FSCK_HORIZON_BIT, horizon_bit },
	{ FSCK_HORIZON_NONE, horizon_none },
	{ FSCK_HORIZON_LOST, horizon_lost },
	{ FSCK_HORIZON_RESERVED, horizon_reserved },
	{ FSCK_JOURNAL_RECORD, journal_record },
	{ FSCK_JOURNAL_LOST, journal_lost },
	{ FSCK_DAMAGE_MARK, damage_mark },
	{ FSCK_ITABLE_ROOT, itable_root },
	{ FSCK_ITABLE_ENTRY, itable_entry },
	{ FSCK_ITABLE_COUNT, itable_count },
	{ FSCK_CHUNK_HEADER, chunk_header },
	{ FSCK_CHUNK_RESERVED, chunk_reserved },
	{ FSCK_MEDIA_ERROR, media_error },
	{ FSCK_N_CODES, NULL },
};
