/* SPDX-License-Identifier: BSD-3-Clause */
/* Transactions: collecting the words of an operation. See tx.h for the rules; journal.c writes them to media. */
#define TX_SITES_INSIDE
#include "pmfs2/tx.h"

#include <errno.h>
#include <string.h>

#include "pmfs2/alloc.h"
#include "pmfs2/journal.h"
#include "pmfs2/media_error.h"

#define FREE_PIECES_MAX 8u /* that a run is cut into around bad blocks */

void tx_begin(struct tx *tx, struct fs *fs)
{
	tx->fs = fs;
	tx->err = 0;
	tx->n_words = 0;
	tx->n_runs = 0;
	tx->d_blocks = 0;
	tx->d_inodes = 0;
#if PMEM_SITES
	tx->n_unlogged = 0;
#endif
}

/* --- mutations (pmem/site.h): nothing in the product ------------------------------------------------------------------------ */

struct tx_site {
	uint32_t from; /* words that were there before the call */
	enum pmem_mutation mutation;
};

static inline struct tx_site site_begin(const struct tx *tx)
{
	struct tx_site site = { .from = tx->n_words };

#if PMEM_SITES
	site.mutation = pmem_site_mutation(pmem_site_take());
#endif
	return site;
}

static inline void site_end(struct tx *tx, struct tx_site site)
{
#if PMEM_SITES
	uint32_t n = tx->n_words - site.from;

	if (site.mutation == PMEM_MUT_NONE || tx->err)
		return;
	if (site.mutation == PMEM_MUT_EARLY)
		rec_apply(tx->fs->pm, tx->words + site.from, n);
	if (site.mutation == PMEM_MUT_UNLOGGED && n <= TX_WORDS_MAX - tx->n_unlogged) {
		memcpy(tx->unlogged + tx->n_unlogged, tx->words + site.from, n * sizeof(uint64_t));
		tx->n_unlogged += n;
	}
	tx->n_words = site.from;
#endif
}

/* For a commit: the entries that a mutation keeps out of the record. */
void tx_apply_unlogged(const struct tx *tx)
{
#if PMEM_SITES
	rec_apply(tx->fs->pm, tx->unlogged, tx->n_unlogged);
#endif
}

/* --- collecting ------------------------------------------------------------------------------------------------------------- */

uint32_t tx_room_words(const struct tx *tx)
{
	uint32_t left = (uint32_t)TX_WORDS_MAX - tx->n_words;

	return left > TX_MARGIN_WORDS ? left - TX_MARGIN_WORDS : 0;
}

uint32_t tx_room_runs(const struct tx *tx)
{
	uint32_t left = TX_RUNS_MAX - tx->n_runs;

	return left > TX_MARGIN_RUNS ? left - TX_MARGIN_RUNS : 0;
}

/* Room for an entry's body, with its head written; NULL if it does not fit. */
static uint64_t *entry_add(struct tx *tx, const void *addr, enum pmfs2_rec_op op, uint32_t count, uint32_t body_words)
{
	uint64_t off = pmem_off(tx->fs->pm, addr);
	uint64_t *body;

	if (tx->err)
		return NULL;
	if (body_words + 1 > TX_WORDS_MAX - tx->n_words || count > PMFS2_REC_COUNT_MAX) {
		tx->err = -E2BIG;
		return NULL;
	}
	body = &tx->words[tx->n_words];
	body[0] = htole64(off / 8 | (uint64_t)count << PMFS2_REC_OFF_BITS |
			  (uint64_t)op << (PMFS2_REC_OFF_BITS + PMFS2_REC_COUNT_BITS));
	tx->n_words += 1 + body_words;
	return body + 1;
}

void tx_put(struct tx *tx, const le64 *addr, uint64_t value)
{
	struct tx_site site = site_begin(tx);
	uint64_t *body = entry_add(tx, addr, PMFS2_REC_WORDS, 1, 1);

	if (body)
		body[0] = htole64(value);
	site_end(tx, site);
}

void tx_put_words(struct tx *tx, const void *addr, const void *src, uint32_t n_words)
{
	struct tx_site site = site_begin(tx);
	uint64_t *body = entry_add(tx, addr, PMFS2_REC_WORDS, n_words, n_words);

	if (body)
		memcpy(body, src, (size_t)n_words * 8);
	site_end(tx, site);
}

void tx_fill(struct tx *tx, const le64 *addr, uint64_t value, uint32_t n_words)
{
	struct tx_site site = site_begin(tx);
	uint64_t *body = entry_add(tx, addr, PMFS2_REC_FILL, n_words, 1);

	if (body)
		body[0] = htole64(value);
	site_end(tx, site);
}

static void bits_add(struct tx *tx, const le64 *addr, enum pmfs2_rec_op op, uint64_t mask)
{
	uint64_t *body = entry_add(tx, addr, op, 1, 1);

	if (body)
		body[0] = htole64(mask);
}

void tx_set_bits(struct tx *tx, const le64 *addr, uint64_t mask)
{
	struct tx_site site = site_begin(tx);

	bits_add(tx, addr, PMFS2_REC_SET, mask);
	site_end(tx, site);
}

void tx_clear_bits(struct tx *tx, const le64 *addr, uint64_t mask)
{
	struct tx_site site = site_begin(tx);

	bits_add(tx, addr, PMFS2_REC_CLEAR, mask);
	site_end(tx, site);
}

void tx_put_diff(struct tx *tx, const void *addr, const void *image, uint32_t len)
{
	struct tx_site site = site_begin(tx);
	const uint64_t *old = addr, *new = image;
	uint32_t n = len / 8, i = 0;

	while (i < n) {
		uint32_t start, zeros = 0;

		if (old[i] == new[i]) {
			i++;
			continue;
		}
		/* A single unchanged word inside a run costs no more than the head of a second entry. */
		for (start = i; i < n && (old[i] != new[i] || (i + 1 < n && old[i + 1] != new[i + 1])); i++)
			zeros += new[i] == 0;
		if (zeros == i - start && i - start > 1)
			tx_fill(tx, (const le64 *)(const void *)(old + start), 0, i - start);
		else
			tx_put_words(tx, old + start, new + start, i - start);
	}
	site_end(tx, site);
}

/* The word at device offset off as the entries leave it; value if they do not store it. */
static uint64_t entries_get(const uint64_t *words, uint32_t n_words, uint64_t off, uint64_t value)
{
	struct rec_entry e;
	uint32_t pos = 0;

	while (rec_next(words, n_words, &pos, &e) > 0) {
		if (off < e.off || off - e.off >= (uint64_t)e.count * 8)
			continue;
		if (e.op == PMFS2_REC_WORDS)
			value = le64toh(e.body[(off - e.off) / 8]);
		else if (e.op == PMFS2_REC_FILL)
			value = le64toh(e.body[0]);
	}
	return value;
}

uint64_t tx_get(const struct tx *tx, const le64 *addr)
{
	uint64_t off = pmem_off(tx->fs->pm, addr), value = le64_load(addr);

#if PMEM_SITES
	value = entries_get(tx->unlogged, tx->n_unlogged, off, value);
#endif
	return entries_get(tx->words, tx->n_words, off, value);
}

static void run_note(struct tx *tx, struct run run, enum tx_run_kind kind)
{
	if (tx->n_runs == TX_RUNS_MAX || run.n > UINT32_MAX) {
		tx->err = tx->err ? tx->err : -E2BIG;
		if (kind == TX_RUN_USE)
			alloc_cancel(tx->fs, run);
		return;
	}
	tx->runs[tx->n_runs++] = (struct tx_run){ .block = run.block, .n = (uint32_t)run.n, .kind = kind };
}

/* Logs the bits of a run: whole words as fills, the rest as masks. */
static void bitmap_log(struct tx *tx, struct run run, int set)
{
	while (run.n && !tx->err) {
		uint32_t bit;
		const le64 *word = alloc_bitmap_word(tx->fs, run.block, &bit);
		uint64_t n;

		if (!bit && run.n >= 64) {
			/* Words of one segment's bitmaps lie one behind the other; a group border does not matter. */
			n = u64_min(run.n / 64, PMFS2_REC_COUNT_MAX);
			tx_fill(tx, word, set ? ~0ull : 0, (uint32_t)n);
			n *= 64;
		} else {
			uint64_t mask;

			n = u64_min(run.n, 64 - bit);
			mask = (n == 64 ? ~0ull : (1ull << n) - 1) << bit;
			bits_add(tx, word, set ? PMFS2_REC_SET : PMFS2_REC_CLEAR, mask);
		}
		run.block += n;
		run.n -= n;
	}
}

void tx_use(struct tx *tx, struct run run)
{
	struct tx_site site = site_begin(tx);

	run_note(tx, run, TX_RUN_USE);
	bitmap_log(tx, run, 1);
	tx->d_blocks -= (int32_t)run.n;
	site_end(tx, site);
}

static void run_free(struct tx *tx, struct run run, int meta)
{
	struct tx_run *last = tx->n_runs ? &tx->runs[tx->n_runs - 1] : NULL;
	enum tx_run_kind kind = meta ? TX_RUN_FREE_META : TX_RUN_FREE_DATA;

	if (last && last->kind == kind && last->block + last->n == run.block && last->n + run.n <= UINT32_MAX)
		last->n += (uint32_t)run.n;
	else
		run_note(tx, run, kind);
	bitmap_log(tx, run, 0);
	tx->d_blocks += (int32_t)run.n;
}

/* Without its bad blocks, which are leaked; a run with many of them as a whole, so that the record stays small. */
static void __attribute__((cold, noinline)) run_free_around_bad(struct tx *tx, struct run run, int meta)
{
	struct run good, rest = run;

	for (uint32_t i = 0; rest.n && i < FREE_PIECES_MAX; i++) {
		good = media_run_good(tx->fs, rest, &rest);
		if (good.n)
			run_free(tx, good, meta);
	}
}

void tx_free(struct tx *tx, struct run run, int meta)
{
	struct tx_site site = site_begin(tx);

	if (likely(!pmem_n_bad(tx->fs->pm)))
		run_free(tx, run, meta);
	else
		run_free_around_bad(tx, run, meta);
	site_end(tx, site);
}

void tx_drop(struct tx *tx)
{
	for (uint32_t i = 0; i < tx->n_runs; i++)
		if (tx->runs[i].kind == TX_RUN_USE)
			alloc_cancel(tx->fs, (struct run){ tx->runs[i].block, tx->runs[i].n });
	tx->n_runs = 0;
}

int tx_commit(struct tx *tx)
{
	int err = tx->err;

	if (!err && !tx->n_words) {
		tx_apply_unlogged(tx);
		return 0;
	}
	if (!err && unlikely(pmem_n_bad(tx->fs->pm)))
		err = media_tx_check(tx);
	for (uint32_t i = 0; !err && i < tx->n_runs; i++)
		if (tx->runs[i].kind != TX_RUN_USE)
			err = alloc_prepare_free(tx->fs, (struct run){ tx->runs[i].block, tx->runs[i].n });
	if (!err)
		err = journal_commit(tx->fs, tx);
	if (err) {
		tx_drop(tx);
		return err;
	}
	if (tx->d_blocks)
		alloc_count(tx->fs, tx->d_blocks);
	for (uint32_t i = 0; i < tx->n_runs; i++)
		if (tx->runs[i].kind == TX_RUN_FREE_DATA)
			alloc_release(tx->fs, (struct run){ tx->runs[i].block, tx->runs[i].n });
	return 0;
}
