/* SPDX-License-Identifier: BSD-3-Clause */
/* Repairs: records of the journal, the horizon, free blocks. The rings are empty whenever a record is written. */
#include "fsck/fix.h"

#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "pmfs2/inode.h"
#include "pmfs2/journal.h"

void fix_begin(struct fix *fix, struct fsck *fk)
{
	fix->fk = fk;
	fix->n_words = 0;
	fix->too_large = 0;
}

/* A head word; returns where its body goes, or NULL where that does not fit. */
static uint64_t *entry_add(struct fix *fix, const void *addr, uint32_t count, enum pmfs2_rec_op op)
{
	uint32_t body = op == PMFS2_REC_WORDS ? count : 1;
	uint64_t *to = fix->words + fix->n_words;

	if (fix->n_words + 1 + body > FIX_WORDS_MAX || count > PMFS2_REC_COUNT_MAX) {
		fix->too_large = 1;
		return NULL;
	}
	*to = htole64(pmem_off(fix->fk->disk.pm, addr) / 8 | (uint64_t)count << PMFS2_REC_OFF_BITS |
		      (uint64_t)op << (PMFS2_REC_OFF_BITS + PMFS2_REC_COUNT_BITS));
	fix->n_words += 1 + body;
	return to + 1;
}

void fix_put(struct fix *fix, const void *addr, const void *src, uint32_t n_words)
{
	uint64_t *to = entry_add(fix, addr, n_words, PMFS2_REC_WORDS);

	if (to)
		memcpy(to, src, (size_t)n_words * 8);
}

void fix_fill(struct fix *fix, const le64 *addr, uint64_t value, uint32_t n_words)
{
	uint64_t *to = entry_add(fix, addr, n_words, PMFS2_REC_FILL);

	if (to)
		*to = htole64(value);
}

void fix_put_inode(struct fix *fix, const struct pmfs2_inode *media, struct pmfs2_inode *image)
{
	inode_image_seal(image);
	fix_put(fix, media, image, sizeof(*image) / 8);
}

void fix_horizon(struct fsck *fk, uint64_t clean)
{
	struct pmem *pm = fk->disk.pm;
	const struct pmfs2_state *state = pmem_at(pm, PMFS2_BLOCK_SIZE);
	struct pmfs2_horizon h = {
		.magic = le32_of(PMFS2_MAGIC_HORIZON),
		.seq = le64_of(fk->next_seq),
		.free_blocks = le64_of(fk->free_blocks),
		.used_inodes = le64_of(fk->used_inodes),
		.written = le64_of(++fk->written),
		.clean = le64_of(clean),
	};

	h.crc = le32_of(crc32c_of(&h, sizeof(h)));
	pmem_fence(pm); /* all that was stored in place, before it counts as done */
	pmem_copy(pm, &state->horizon[fk->written & 1], &h, sizeof(h));
	pmem_fence(pm);
}

void fix_commit(struct fix *fix)
{
	struct fsck *fk = fix->fk;
	struct pmem *pm = fk->disk.pm;
	uint32_t len = (uint32_t)round_up_to(sizeof(fix->rec) + fix->n_words * 8ull, PMFS2_RECORD_ALIGN);
	const void *ring = pmem_at(pm, le64_get(fk->disk.sb.journal_block) << PMFS2_BLOCK_SHIFT);

	if (fix->too_large)
		fsck_fail(fk, -E2BIG);
	if (!fix->n_words || fix->too_large || fk->err)
		return;
	memset(fix->words + fix->n_words, 0, len - sizeof(fix->rec) - fix->n_words * 8ull);
	fix->rec = (struct pmfs2_record){
		.magic = le32_of(PMFS2_MAGIC_RECORD),
		.seq = le64_of(fk->next_seq++),
		.len = le32_of(len),
		.n_words = le32_of(fix->n_words),
	};
	fix->rec.crc = le32_of(~crc32c(le32_get(fk->disk.sb.journal_seed), &fix->rec, len));
	pmem_fence(pm); /* new blocks and their bits, before a word leads to them */
	pmem_copy(pm, ring, &fix->rec, len);
	pmem_fence(pm);
	rec_apply(pm, fix->words, fix->n_words);
	fix_horizon(fk, PMFS2_CLEAN_DAMAGED);
}

void fix_word(struct fsck *fk, const le64 *addr, uint64_t value)
{
	le64 word = le64_of(value);
	struct fix fix;

	fix_begin(&fix, fk);
	fix_put(&fix, addr, &word, 1);
	fix_commit(&fix);
}

void fix_inode(struct fsck *fk, const struct pmfs2_inode *media, struct pmfs2_inode *image)
{
	struct fix fix;

	fix_begin(&fix, fk);
	fix_put_inode(&fix, media, image);
	fix_commit(&fix);
}

struct alloc_wish {
	uint64_t n;
	uint64_t align;
	int leaked; /* blocks that are marked as used, but that nothing uses, will do */
};

static int is_free(const struct fsck *fk, uint64_t block, const struct alloc_wish *want)
{
	return !claims_is_used(&fk->now, block) && !claims_is_used(&fk->before, block) &&
	       (want->leaked || !disk_bitmap_test(&fk->disk, block));
}

/* The free blocks from block on, at most as many as wanted. */
static uint64_t free_run(const struct fsck *fk, uint64_t block, const struct alloc_wish *want)
{
	uint64_t n = 0;

	while (n < want->n && is_free(fk, block + n, want))
		n++;
	return n;
}

/* Looks in [from, to). */
static uint64_t alloc_in(struct fsck *fk, uint64_t from, uint64_t to, const struct alloc_wish *want)
{
	for (uint64_t block = round_up_to(from, want->align); block + want->n <= to;) {
		uint64_t n = free_run(fk, block, want);

		if (n == want->n)
			return block;
		block = round_up_to(block + n + 1, want->align);
	}
	return 0;
}

uint64_t fix_alloc(struct fsck *fk, uint64_t n, uint64_t align)
{
	struct alloc_wish want = { .n = n, .align = align };
	uint64_t start = u64_max(fk->alloc_next, fk->disk.data_block), end = fk->disk.n_blocks - 1;
	uint64_t block = alloc_in(fk, start, end, &want);

	if (!block)
		block = alloc_in(fk, fk->disk.data_block, end, &want);
	/* A bitmap that is damaged may leave nothing. Where all is repaired, what nothing uses now nothing will use. */
	want.leaked = fk->opt->mode == FSCK_YES;
	if (!block && want.leaked)
		block = alloc_in(fk, fk->disk.data_block, end, &want);
	if (!block)
		return 0;
	for (uint64_t i = 0; i < n; i++) {
		const le64 *word = disk_bitmap_word(&fk->disk, block + i);

		claims_take(&fk->now, block + i, 1);
		pmem_or64(fk->disk.pm, word, 1ull << ((block + i) % 64));
		pmem_flush(fk->disk.pm, word, 8);
	}
	fk->free_blocks -= n;
	fk->alloc_next = block + n;
	return block;
}
