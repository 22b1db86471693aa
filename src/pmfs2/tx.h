/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transactions: every change of metadata that is reachable. A transaction collects the words that an operation changes in DRAM;
 * commit writes them as one record to a journal ring, with one fence, then stores them in place (flushed, no fence: the next
 * fence of the ring's user, or the checkpoint, covers them).
 *
 * Rules for callers:
 *  1. Nothing reachable is stored in place but through a transaction. Blocks that no committed word points to yet may be written
 *     directly (pmem_copy, pmem_zero), and need a pmem_fence before the commit that makes them reachable.
 *  2. The locks of everything that a transaction changes are held until tx_commit returns.
 *  3. Within one transaction, a word that was set earlier is read back with tx_get, not from media.
 *  4. A block that is freed with tx_free stays allocated in DRAM until it is safe to use it: data blocks until the commit,
 * metadata blocks (anything that a record may ever have targeted) until the horizon has passed.
 *  5. The order of calls inside one transaction does not matter on media: all or nothing.
 *
 * A transaction is some 18 KiB: keep it on the stack, one at a time.
 */
#ifndef PMFS2_TX_H
#define PMFS2_TX_H

#include "pmfs2/fs.h"

#define TX_WORDS_MAX ((PMFS2_RECORD_MAX - sizeof(struct pmfs2_record)) / 8)
#define TX_RUNS_MAX 600u

/* Contiguous blocks. */
struct run {
	uint64_t block;
	uint64_t n;
};

enum tx_run_kind {
	TX_RUN_USE, /* reserved before with alloc_run; given back if the transaction is dropped */
	TX_RUN_FREE_DATA,
	TX_RUN_FREE_META,
};

struct tx_run {
	uint64_t block;
	uint32_t n; /* a longer run is split */
	uint32_t kind;
};

struct tx {
	struct fs *fs;
	int err; /* sticky: -E2BIG when it did not fit */
	uint32_t n_words;
	uint32_t n_runs;
	int32_t d_blocks;
	int32_t d_inodes;
	/* the record as it goes to media: header, then entries (little-endian words) */
	struct pmfs2_record rec __attribute__((aligned(64)));
	uint64_t words[TX_WORDS_MAX];
	struct tx_run runs[TX_RUNS_MAX];
#if PMEM_SITES
	/* Entries of mutated calls (pmem/site.h): stored in place by the commit, missing in the record. */
	uint32_t n_unlogged;
	uint64_t unlogged[TX_WORDS_MAX];
#endif
};
static_assert(offsetof(struct tx, words) == offsetof(struct tx, rec) + sizeof(struct pmfs2_record), "contiguous record");

void tx_begin(struct tx *tx, struct fs *fs);

/*
 * Words of entries that still fit (an entry of n words takes n + 1), and runs, for the steps of long operations to bound
 * themselves by. Both leave room for what ends a transaction: some inodes, an intent, directory words.
 */
#define TX_MARGIN_WORDS 200u
#define TX_MARGIN_RUNS 16u
uint32_t tx_room_words(const struct tx *tx);
uint32_t tx_room_runs(const struct tx *tx);

/* Logs stores. addr: on media, 8-byte aligned. Values are host order for single words; src of tx_put_words is media byte order.
 */
void tx_put(struct tx *tx, const le64 *addr, uint64_t value);
void tx_put_words(struct tx *tx, const void *addr, const void *src, uint32_t n_words);
void tx_fill(struct tx *tx, const le64 *addr, uint64_t value, uint32_t n_words);
void tx_set_bits(struct tx *tx, const le64 *addr, uint64_t mask);
void tx_clear_bits(struct tx *tx, const le64 *addr, uint64_t mask);
/* Logs the words in which image differs from what is on media at addr. len: bytes, a multiple of 8. */
void tx_put_diff(struct tx *tx, const void *addr, const void *image, uint32_t len);
/* The word at addr as this transaction will leave it (SET and CLEAR entries are not looked at). */
uint64_t tx_get(const struct tx *tx, const le64 *addr);

/*
 * Marks a run that alloc_run gave as used (bitmap words, block count). Costs up to 2 words for each bitmap word touched, less
 * where whole words are covered.
 */
void tx_use(struct tx *tx, struct run run);
/* Frees a run. meta: 1 for nodes, buckets, xattr blocks, chunks, intent blocks; 0 for file data. */
void tx_free(struct tx *tx, struct run run, int meta);

/*
 * Commits and applies. 0, or the sticky error or -EROFS: then nothing was changed and the runs are given back as by tx_drop.
 * An empty transaction is fine and does nothing.
 * Durable on return: yes (one fence; every few hundred transactions a checkpoint adds some).
 */
int tx_commit(struct tx *tx);
/* Gives back what the transaction had reserved. For error paths instead of tx_commit. */
void tx_drop(struct tx *tx);
/* For the commit: stores what mutated calls (pmem/site.h) kept out of the record. Nothing in the product. */
void tx_apply_unlogged(const struct tx *tx);

/* Call sites (pmem/site.h). */
#if PMEM_SITES && !defined(TX_SITES_INSIDE)
#define tx_put(...) PMEM_SITE_CALL(tx_put, __VA_ARGS__)
#define tx_put_words(...) PMEM_SITE_CALL(tx_put_words, __VA_ARGS__)
#define tx_fill(...) PMEM_SITE_CALL(tx_fill, __VA_ARGS__)
#define tx_set_bits(...) PMEM_SITE_CALL(tx_set_bits, __VA_ARGS__)
#define tx_clear_bits(...) PMEM_SITE_CALL(tx_clear_bits, __VA_ARGS__)
#define tx_put_diff(...) PMEM_SITE_CALL(tx_put_diff, __VA_ARGS__)
#define tx_use(...) PMEM_SITE_CALL(tx_use, __VA_ARGS__)
#define tx_free(...) PMEM_SITE_CALL(tx_free, __VA_ARGS__)
#endif

#endif
