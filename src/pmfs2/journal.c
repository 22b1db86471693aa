/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The running journal: commit in one fence, checkpoint.
 *
 * Invariants:
 *  1. A record is complete on media (self-checked by its CRC) before any of its words is stored in place: the fence of the commit
 *     stands between.
 *  2. Sequence numbers are drawn under the ring's lock while the caller holds the locks of what it changes: of two records that
 *     touch the same word, the later one has the higher number.
 *  3. A ring's space is reused only behind a checkpoint: the horizon on media is above every record that is overwritten, in every
 *     ring, and all records below it are applied and durable. So no stale record is ever replayed over newer contents.
 *  4. The words that the last record of a ring stored in place are covered by the next fence of the same thread. Where another
 *     thread goes on with the ring, or a checkpoint is made, they are flushed again by it, and its own fence covers them.
 *  5. Freed metadata blocks rest in limbo until the checkpoint, so that replay never writes into a block that was given to data.
 *
 * Locks: one mutex for each ring; a checkpoint takes all, in rising order.
 * Self-validating records instead of a second fence: the idea of WOLVES, with a bounded log in place of its scan at mount.
 */
#include "pmfs2/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "pmfs2/alloc.h"
#include "pmfs2/media_error.h"
#include "pmfs2/thread_id.h"

struct limbo {
	struct run *runs;
	uint32_t n, cap;
};

struct ring {
	struct mutex mu; /* LOCK_RANK_RING, order = number + 1 */
	const uint8_t *start;
	uint32_t size; /* bytes */
	uint32_t tail; /* bytes used since the checkpoint */
	uint32_t last_off; /* of the record whose targets may lack a fence */
	uint32_t last_words; /* 0: none */
	uint32_t last_thread;
	int64_t d_blocks, d_inodes; /* since the checkpoint */
	struct limbo limbo;
} __attribute__((aligned(128)));

struct journal {
	struct ring *rings;
	uint32_t n_rings;
	uint32_t crc_seed;
	_Atomic uint64_t next_seq;
	_Atomic int64_t limbo_runs; /* in all limbos, and taken out but not released yet */
	_Atomic int64_t used_inodes;
	/* as of the horizon; under all rings' locks */
	uint64_t free_blocks;
	uint64_t horizon_inodes;
	uint64_t horizon_seq;
	uint64_t written;
	uint64_t clean; /* PMFS2_CLEAN_* */
};

/* Room for the metadata blocks that tx frees, so that nothing can fail behind its commit. 0, -ENOMEM. Under the ring's lock. */
static int limbo_reserve(struct limbo *lb, const struct tx *tx)
{
	uint32_t cap = lb->cap ? lb->cap : 64, n = lb->n;
	struct run *runs;

	for (uint32_t i = 0; i < tx->n_runs; i++)
		n += tx->runs[i].kind == TX_RUN_FREE_META;
	if (likely(n <= lb->cap))
		return 0;
	while (cap < n)
		cap *= 2;
	runs = realloc(lb->runs, cap * sizeof(*runs));
	if (!runs)
		return -ENOMEM;
	lb->runs = runs;
	lb->cap = cap;
	return 0;
}

static void limbo_add(struct limbo *lb, struct run run)
{
	lb->runs[lb->n++] = run;
}

static const uint64_t *ring_words(const struct ring *ring, uint32_t off)
{
	return (const uint64_t *)(const void *)(ring->start + off + sizeof(struct pmfs2_record));
}

/* The targets of the ring's last record get into reach of this thread's next fence. */
static void ring_cover_last(struct fs *fs, struct ring *ring, uint32_t me)
{
	if (ring->last_words && ring->last_thread != me && !PMEM_SITE_SKIPS("ring_cover_last"))
		rec_flush_targets(fs->pm, ring_words(ring, ring->last_off), ring->last_words);
}

/* Locks the ring, with room for a record of len bytes and for what tx frees. Otherwise it is not locked. */
static int ring_lock(struct fs *fs, struct ring *ring, const struct tx *tx, uint32_t len)
{
	int err;

	mutex_lock(&ring->mu);
	while (ring->tail + len > ring->size) {
		mutex_unlock(&ring->mu);
		journal_checkpoint(fs);
		mutex_lock(&ring->mu);
		if (media_is_lost(fs))
			break;
	}
	/* Looked at under the lock: a horizon that could not be written (journal_checkpoint) raises it under all of them. */
	err = media_is_lost(fs) ? -EROFS : limbo_reserve(&ring->limbo, tx);
	if (unlikely(err))
		mutex_unlock(&ring->mu);
	return err;
}

/*
 * Order: record (non-temporal), fence, in-place stores, flushes.
 * If cut: before the fence is complete, the record is whole or fails its CRC: new or old. Behind it: new, by replay.
 * Recovered by: journal_recover.
 */
int journal_commit(struct fs *fs, struct tx *tx)
{
	struct journal *j = fs->journal;
	uint32_t len = (uint32_t)round_up_to(sizeof(tx->rec) + tx->n_words * 8ull, PMFS2_RECORD_ALIGN), me = thread_id();
	struct ring *ring = &j->rings[me % j->n_rings];
	uint64_t *pad = tx->words + tx->n_words;
	int err;

	if (unlikely(atomic_load_explicit(&fs->damaged, memory_order_relaxed)))
		return -EROFS;
	memset(pad, 0, len - sizeof(tx->rec) - tx->n_words * 8ull);
	err = ring_lock(fs, ring, tx, len);
	if (unlikely(err))
		return err;
	ring_cover_last(fs, ring, me);
	tx->rec = (struct pmfs2_record){
		.magic = le32_of(PMFS2_MAGIC_RECORD),
		.seq = le64_of(atomic_fetch_add_explicit(&j->next_seq, 1, memory_order_relaxed)),
		.len = le32_of(len),
		.n_words = le32_of(tx->n_words),
		.d_blocks = le32_of((uint32_t)tx->d_blocks),
		.d_inodes = le32_of((uint32_t)tx->d_inodes),
	};
	tx->rec.crc = le32_of(~crc32c(j->crc_seed, &tx->rec, len));
	pmem_copy(fs->pm, ring->start + ring->tail, &tx->rec, len);
	pmem_fence(fs->pm);
	if (pmem_is_bad(fs->pm, ring->start + ring->tail, len)) {
		err = media_lost(fs, ring->start + ring->tail);
		mutex_unlock(&ring->mu);
		return err;
	}
	rec_apply(fs->pm, tx->words, tx->n_words);
	tx_apply_unlogged(tx);
	ring->last_off = ring->tail;
	ring->last_words = tx->n_words;
	ring->last_thread = me;
	ring->tail += len;
	ring->d_blocks += tx->d_blocks;
	ring->d_inodes += tx->d_inodes;
	for (uint32_t i = 0; i < tx->n_runs; i++) {
		if (tx->runs[i].kind != TX_RUN_FREE_META)
			continue;
		if (PMEM_SITE_SKIPS("limbo_add")) {
			tx->runs[i].kind = TX_RUN_FREE_DATA;
			continue;
		}
		limbo_add(&ring->limbo, (struct run){ tx->runs[i].block, tx->runs[i].n });
		atomic_fetch_add_explicit(&j->limbo_runs, 1, memory_order_relaxed);
	}
	mutex_unlock(&ring->mu);
	if (tx->d_inodes)
		atomic_fetch_add_explicit(&j->used_inodes, tx->d_inodes, memory_order_relaxed);
	return 0;
}

/* Writes the other horizon slot. Durable on return: yes. -EIO: a media error took it, nothing may rely on it. */
static int horizon_write(struct fs *fs, struct journal *j, uint64_t seq)
{
	struct pmfs2_horizon h = {
		.magic = le32_of(PMFS2_MAGIC_HORIZON),
		.seq = le64_of(seq),
		.free_blocks = le64_of(j->free_blocks),
		.used_inodes = le64_of(j->horizon_inodes),
		.written = le64_of(++j->written),
		.clean = le64_of(j->clean),
	};

	j->horizon_seq = seq;
	h.crc = le32_of(crc32c_of(&h, sizeof(h)));
	pmem_copy(fs->pm, &fs->state->horizon[j->written & 1], &h, sizeof(h));
	pmem_fence(fs->pm);
	return pmem_is_bad(fs->pm, fs->state, sizeof(*fs->state)) ? media_lost(fs, fs->state) : 0;
}

static void limbo_release(struct fs *fs, struct limbo *lb)
{
	for (uint32_t i = 0; i < lb->n; i++)
		alloc_release(fs, lb->runs[i]);
	atomic_fetch_sub_explicit(&fs->journal->limbo_runs, lb->n, memory_order_relaxed);
	free(lb->runs);
}

/* Under all rings' locks. 1: done, and taken is what can be released; 0: not done. */
static int checkpoint_locked(struct fs *fs, struct journal *j, struct limbo taken[])
{
	for (uint32_t i = 0; i < j->n_rings; i++)
		ring_cover_last(fs, &j->rings[i], 0);
	pmem_fence(fs->pm);
	/* The rings are the only place where the words of a lost page still stand: they stay for recovery. */
	if (media_is_lost(fs))
		return 0;
	for (uint32_t i = 0; i < j->n_rings; i++) {
		struct ring *ring = &j->rings[i];

		j->free_blocks += (uint64_t)ring->d_blocks;
		j->horizon_inodes += (uint64_t)ring->d_inodes;
		ring->d_blocks = 0;
		ring->d_inodes = 0;
		ring->tail = 0;
		ring->last_words = 0;
		taken[i] = ring->limbo;
		ring->limbo = (struct limbo){ 0 };
	}
	(void)horizon_write(fs, j, atomic_load_explicit(&j->next_seq, memory_order_relaxed));
	return 1;
}

/*
 * Order: targets of all records durable (fence), then the horizon (fence), then rings and limbo are reused.
 * If cut: the old horizon or the new one; a torn slot fails its CRC and the other one counts.
 * Recovered by: journal_recover, which replays from whichever horizon it finds.
 */
void journal_checkpoint(struct fs *fs)
{
	struct journal *j = fs->journal;
	struct limbo taken[PMFS2_RINGS_MAX]; /* not from the heap: memory that is short is no reason to keep blocks */
	int done;

	for (uint32_t i = 0; i < j->n_rings; i++)
		mutex_lock(&j->rings[i].mu);
	done = checkpoint_locked(fs, j, taken);
	for (uint32_t i = j->n_rings; i-- > 0;)
		mutex_unlock(&j->rings[i].mu);
	for (uint32_t i = 0; done && i < j->n_rings; i++)
		limbo_release(fs, &taken[i]);
}

int journal_has_limbo(const struct fs *fs)
{
	return atomic_load_explicit(&fs->journal->limbo_runs, memory_order_relaxed) > 0;
}

uint64_t journal_used_inodes(const struct fs *fs)
{
	return (uint64_t)atomic_load_explicit(&fs->journal->used_inodes, memory_order_relaxed);
}

int journal_new(struct fs *fs, const struct journal_state *st, struct journal **out)
{
	const uint8_t *start = fs_block(fs, le64_get(fs->sb->journal_block));
	struct journal *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->n_rings = le32_get(fs->sb->n_rings);
	j->crc_seed = le32_get(fs->sb->journal_seed);
	j->rings = aligned_alloc(128, j->n_rings * sizeof(*j->rings));
	if (!j->rings) {
		free(j);
		return -ENOMEM;
	}
	memset(j->rings, 0, j->n_rings * sizeof(*j->rings));
	for (uint32_t i = 0; i < j->n_rings; i++) {
		mutex_init(&j->rings[i].mu, LOCK_RANK_RING, i + 1);
		j->rings[i].size = le32_get(fs->sb->ring_blocks) << PMFS2_BLOCK_SHIFT;
		j->rings[i].start = start + (uint64_t)i * j->rings[i].size;
	}
	atomic_init(&j->next_seq, st->next_seq);
	atomic_init(&j->used_inodes, (int64_t)st->used_inodes);
	j->written = st->written;
	/* The mark stays until fsck takes it away, whatever this mount meets. */
	j->clean = st->marked ? PMFS2_CLEAN_DAMAGED : PMFS2_CLEAN_NO;
	*out = j;
	if (fs->pm->rdonly || media_is_lost(fs)) {
		/* The horizon stays, and with it the counts that its records are added to. */
		j->horizon_seq = st->horizon_seq;
		j->free_blocks = st->horizon_free_blocks;
		j->horizon_inodes = st->horizon_inodes;
		return 0;
	}
	j->free_blocks = st->free_blocks;
	j->horizon_inodes = st->used_inodes;
	return horizon_write(fs, j, st->next_seq);
}

/*
 * Order: what the mark speaks of is written to the storage of a backing file before the mark, and then the mark.
 * If cut: the mark is not there, or all that it speaks of is. A storage that fails behind it takes the mark back.
 */
static void close_marked(struct fs *fs, struct journal *j)
{
	(void)fs_sync(fs);
	if (atomic_load(&fs->damaged))
		j->clean = PMFS2_CLEAN_DAMAGED;
	else if (j->clean != PMFS2_CLEAN_DAMAGED)
		j->clean = PMFS2_CLEAN_YES;
	if (media_is_lost(fs))
		(void)horizon_write(fs, j, j->horizon_seq); /* only the mark: all records stay */
	else
		journal_checkpoint(fs);
	if (fs_sync(fs) && j->clean == PMFS2_CLEAN_YES) {
		j->clean = PMFS2_CLEAN_DAMAGED;
		(void)horizon_write(fs, j, j->horizon_seq);
	}
}

void journal_close(struct fs *fs)
{
	struct journal *j = fs->journal;

	if (!fs->pm->rdonly)
		close_marked(fs, j);
	journal_free(j);
	fs->journal = NULL;
}

void journal_free(struct journal *j)
{
	if (!j)
		return;
	for (uint32_t i = 0; i < j->n_rings; i++) {
		mutex_fini(&j->rings[i].mu);
		free(j->rings[i].limbo.runs);
	}
	free(j->rings);
	free(j);
}
