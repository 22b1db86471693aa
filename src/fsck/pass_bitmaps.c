/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pass "bitmaps". Proves: a block's bit is set if and only if something uses it, and the counts of free blocks and used inodes
 * are right. Bits behind the last block mean nothing.
 *
 * Repairs store single words, durable with the next horizon; each is right by itself, so that a crash leaves some for the next
 * run. Blocks that seem to be
 * leaked are not freed while anything else is wrong: what is damaged may be what used them. Nor are bad ones: the engine keeps
 * them from being used again by leaving their bits set.
 */
#include "fsck/fix.h"
#include "pmem/badpages.h"

struct diff {
	struct fsck *fk;
	uint64_t first, n; /* the run under way */
	int used; /* its blocks are used, and marked as free */
	uint64_t marked; /* bits set on media, in all */
	uint64_t wanted;
};

static void run_store(struct diff *d)
{
	struct pmem *pm = d->fk->disk.pm;
	uint64_t block = d->first, end = d->first + d->n;

	while (block < end) {
		uint64_t n = u64_min(end - block, 64 - block % 64);
		uint64_t mask = (n == 64 ? ~0ull : (1ull << n) - 1) << (block % 64);
		const le64 *word = disk_bitmap_word(&d->fk->disk, block);

		if (d->used)
			pmem_or64(pm, word, mask);
		else
			pmem_andnot64(pm, word, mask);
		pmem_flush(pm, word, 8);
		block += n;
	}
}

/* Looks at blocks that nobody uses: bad ones are said with all others at the end. */
static int is_bad(const struct diff *d)
{
	uint64_t at;

	return pmem_probe(d->fk->disk.pm, d->first << PMFS2_BLOCK_SHIFT, d->n << PMFS2_BLOCK_SHIFT, &at);
}

/* A run of blocks whose bits are wrong has ended. */
static void run_end(struct diff *d)
{
	unsigned long long first = d->first, last = d->first + d->n - 1;
	int fix;

	if (!d->n)
		return;
	if (d->used)
		fix = fsck_found(d->fk, FSCK_BITMAP_UNMARKED, "bitmap: blocks %llu to %llu are used, but marked as free", first,
				 last);
	else if (is_bad(d))
		fix = 0;
	else
		fix = fsck_found(d->fk, FSCK_BITMAP_LEAKED, "bitmap: blocks %llu to %llu are marked as used, but not used", first,
				 last);
	if (fix)
		run_store(d);
	d->n = 0;
}

static void word_diff(struct diff *d, uint64_t first, uint64_t media, uint64_t want)
{
	for (uint64_t bits = media ^ want; bits; bits &= bits - 1) {
		uint32_t bit = (uint32_t)__builtin_ctzll(bits);
		int used = want >> bit & 1;

		if (d->n && (d->first + d->n != first + bit || d->used != used))
			run_end(d);
		if (!d->n) {
			d->first = first + bit;
			d->used = used;
		}
		d->n++;
	}
}

static void bitmaps_compare(struct diff *d)
{
	struct fsck *fk = d->fk;
	uint64_t n_blocks = fk->disk.n_blocks;

	for (uint64_t block = 0; block < n_blocks; block += PMFS2_GROUP_BLOCKS) {
		const le64 *words = disk_bitmap_word(&fk->disk, block);
		uint64_t end = u64_min(PMFS2_GROUP_BLOCKS, n_blocks - block);

		for (uint64_t i = 0; i < end; i += 64) {
			uint64_t media = le64_get(words[i / 64]), want = fk->now.used[(block + i) / 64];

			if (end - i < 64)
				media &= (1ull << (end - i)) - 1;
			d->marked += (uint64_t)__builtin_popcountll(media);
			d->wanted += (uint64_t)__builtin_popcountll(want);
			if (unlikely(media != want))
				word_diff(d, block + i, media, want);
		}
		fsck_progress(fk, FSCK_PASS_BITMAPS, block, n_blocks);
	}
	run_end(d);
}

static void counts_check(struct fsck *fk, uint64_t free_now, uint64_t free_marked)
{
	uint64_t free_blocks = fk->free_blocks, inodes = fk->used_inodes;
	int changed = fk->counts_lost;

	/* Where bits are wrong too, the count may be that of the bits: one defect, and their repair sets it. */
	if (!fk->counts_lost && free_blocks != free_now && free_blocks != free_marked &&
	    fsck_found(fk, FSCK_COUNT_BLOCKS, "state block: %llu free blocks are counted, %llu are free",
		       (unsigned long long)free_blocks, (unsigned long long)free_now))
		changed = 1;
	if (!fk->counts_lost && inodes != fk->n_inodes &&
	    fsck_found(fk, FSCK_COUNT_INODES, "state block: %llu used inodes are counted, %llu are there",
		       (unsigned long long)inodes, (unsigned long long)fk->n_inodes))
		changed = 1;
	if (!fk->fixing || fk->hands_off)
		return;
	if (!changed && free_blocks == free_now)
		return;
	fk->free_blocks = free_now;
	fk->used_inodes = fk->n_inodes;
	fk->counts_lost = 0;
	fix_horizon(fk, PMFS2_CLEAN_DAMAGED);
}

void pass_bitmaps(struct fsck *fk)
{
	struct diff d = { .fk = fk };

	claims_fill(&fk->now, 0, fk->disk.data_block);
	claims_fill(&fk->now, fk->disk.n_blocks - 1, fk->disk.n_blocks);
	/* A later round frees blocks, when it finds nothing else. If nothing else is to be repaired, they are only said. */
	if (fk->fixing && fk->round_structure) {
		if (fk->round_fixed)
			return;
		fk->hands_off = 1;
	}
	bitmaps_compare(&d);
	fk->res->used_blocks = d.wanted;
	if (!fk->err)
		counts_check(fk, fk->disk.n_blocks - d.wanted, fk->disk.n_blocks - d.marked);
	fk->hands_off = 0;
}
