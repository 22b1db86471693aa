/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pass "media", where it is asked for. Proves: every page with a block in use can be read, those of file contents included, which
 * no other pass looks at. What cannot is said with all other bad pages at the end of the scan. Free blocks are left alone: those
 * of a sparse file have no storage to be read.
 */
#include "fsck/state.h"
#include "pmem/badpages.h"

#define PIECE_WORDS 1024u /* 256 MiB of the device */

/* Words [first, first + n) of the claims, a bit a block. */
static void words_read(struct fsck *fk, uint64_t first, uint64_t n, void *scratch)
{
	uint64_t at;

	(void)scratch;
	for (uint64_t w = first; w < first + n; w++)
		for (uint64_t bits = fk->now.used[w]; bits; bits &= bits - 1)
			(void)pmem_probe(fk->disk.pm, (w * 64 + (uint64_t)__builtin_ctzll(bits)) << PMFS2_BLOCK_SHIFT,
					 PMFS2_BLOCK_SIZE, &at);
}

void pass_media(struct fsck *fk)
{
	const struct work work = {
		.pass = FSCK_PASS_MEDIA, .n = (fk->disk.n_blocks + 63) / 64, .step = PIECE_WORDS, .fn = words_read
	};

	if (fk->opt->read_all && !fk->media_read)
		workers_run(fk, &work);
	fk->media_read = 1;
}
