/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Block allocation: groups of 32768 blocks, each with a mutex and a bitmap in DRAM, loaded from media when first touched.
 *
 * Invariants:
 *  1. A bit in DRAM is set while the block is used on media, reserved by an operation under way, or in limbo.
 *  2. free (DRAM) counts what may be reserved; media_free is what statfs tells and what the horizon will hold.
 *
 * Threads begin in groups of their own and remember where they found room, so that they seldom meet. Locks: one mutex a group,
 * never two at once.
 */
#include "pmfs2/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pmfs2/journal.h"
#include "pmfs2/media_error.h"
#include "pmfs2/thread_id.h"

#define GROUP_WORDS (PMFS2_GROUP_BLOCKS / 64)
#define GROUP_UNKNOWN UINT32_MAX
#define PREF_SLOTS 64u
#define SPACE_TRIES 8

struct group {
	struct mutex mu; /* LOCK_RANK_GROUP */
	uint64_t *bits; /* NULL: not loaded */
	_Atomic uint32_t free; /* GROUP_UNKNOWN: not loaded */
	uint32_t rotor; /* where the next search begins */
	_Atomic uint32_t no_aligned; /* no free run that is aligned to so many blocks; 0: not known */
};

struct alloc {
	struct group *groups;
	uint64_t n_groups;
	uint64_t reserve; /* blocks kept for operations that free space */
	_Atomic int64_t free;
	_Atomic int64_t media_free;
	_Atomic uint64_t pref[PREF_SLOTS]; /* group where a thread last found room */
};

int alloc_new(struct fs *fs, uint64_t free_blocks, struct alloc **out)
{
	struct alloc *al = calloc(1, sizeof(*al));

	if (!al)
		return -ENOMEM;
	al->n_groups = (fs->n_blocks + PMFS2_GROUP_BLOCKS - 1) / PMFS2_GROUP_BLOCKS;
	al->groups = calloc(al->n_groups, sizeof(*al->groups));
	if (!al->groups) {
		free(al);
		return -ENOMEM;
	}
	for (uint64_t i = 0; i < al->n_groups; i++) {
		mutex_init(&al->groups[i].mu, LOCK_RANK_GROUP, i + 1);
		atomic_init(&al->groups[i].free, GROUP_UNKNOWN);
	}
	for (uint32_t i = 0; i < PREF_SLOTS; i++)
		atomic_init(&al->pref[i], al->n_groups * i / PREF_SLOTS);
	atomic_init(&al->free, (int64_t)free_blocks);
	atomic_init(&al->media_free, (int64_t)free_blocks);
	al->reserve = u64_min(1024, fs->n_blocks / 64);
	*out = al;
	return 0;
}

void alloc_free(struct alloc *al)
{
	if (!al)
		return;
	for (uint64_t i = 0; i < al->n_groups; i++) {
		mutex_fini(&al->groups[i].mu);
		free(al->groups[i].bits);
	}
	free(al->groups);
	free(al);
}

const le64 *alloc_bitmap_word(const struct fs *fs, uint64_t block, uint32_t *out_bit)
{
	const struct pmfs2_segment *seg = fs->sb->segments;
	const le64 *words;

	while (block - le64_get(seg->first_block) >= le64_get(seg->n_blocks))
		seg++;
	words = fs_block(fs, le64_get(seg->bitmap_block));
	block -= le64_get(seg->first_block);
	*out_bit = (uint32_t)(block % 64);
	return words + block / 64;
}

/*
 * What is below data_block, and the last block, is never given out, whatever the bitmap says: file data over the journal would
 * make an ordinary user the author of records. -EUCLEAN if the bitmap called any of it free.
 */
static int fixed_blocks_take(struct fs *fs, struct group *grp, uint64_t first)
{
	uint64_t end = fs->data_block > first ? u64_min(fs->data_block - first, PMFS2_GROUP_BLOCKS) : 0;
	uint64_t last = fs->n_blocks - 1 - first, clear = 0;

	for (uint64_t bit = 0; bit < end; bit++) {
		clear += !(grp->bits[bit / 64] >> (bit % 64) & 1);
		grp->bits[bit / 64] |= 1ull << (bit % 64);
	}
	if (last < PMFS2_GROUP_BLOCKS) {
		clear += !(grp->bits[last / 64] >> (last % 64) & 1);
		grp->bits[last / 64] |= 1ull << (last % 64);
	}
	return clear ? fs_corrupt(fs, "bitmap: %llu blocks of fixed structures are marked free", (unsigned long long)clear) : 0;
}

/* Under the group's lock. 0, -ENOMEM or -EUCLEAN. */
static int group_load(struct fs *fs, struct group *grp, uint64_t number)
{
	uint64_t first = number * PMFS2_GROUP_BLOCKS, n = u64_min(PMFS2_GROUP_BLOCKS, fs->n_blocks - first), used = 0;
	uint32_t bit;
	const le64 *media = alloc_bitmap_word(fs, first, &bit);
	int err;

	if (grp->bits)
		return 0;
	grp->bits = malloc(GROUP_WORDS * 8);
	if (!grp->bits)
		return -ENOMEM;
	for (uint32_t i = 0; i < GROUP_WORDS; i++) {
		grp->bits[i] = i * 64ull < n ? le64_load(media + i) : ~0ull;
		if (i * 64ull < n && n - i * 64ull < 64)
			grp->bits[i] |= ~0ull << (n - i * 64ull);
	}
	err = fixed_blocks_take(fs, grp, first);
	if (err) {
		free(grp->bits);
		grp->bits = NULL;
		return err;
	}
	for (uint32_t i = 0; i < GROUP_WORDS; i++)
		used += (uint64_t)__builtin_popcountll(grp->bits[i]);
	atomic_store_explicit(&grp->free, (uint32_t)(PMFS2_GROUP_BLOCKS - used), memory_order_relaxed);
	return 0;
}

static int bit_test(const struct group *grp, uint32_t bit)
{
	return grp->bits[bit / 64] >> (bit % 64) & 1;
}

/* Number of zero bits from bit on, at most max. */
static uint32_t zeros_from(const struct group *grp, uint32_t bit, uint32_t max)
{
	uint32_t n = 0;

	while (n < max && bit + n < PMFS2_GROUP_BLOCKS) {
		uint64_t word = grp->bits[(bit + n) / 64] >> ((bit + n) % 64);
		uint32_t left = 64 - (bit + n) % 64;

		if (word) {
			n += u64_min((uint32_t)__builtin_ctzll(word), left);
			break;
		}
		n += left;
	}
	n = (uint32_t)u64_min(n, max);
	return (uint32_t)u64_min(n, PMFS2_GROUP_BLOCKS - bit);
}

/* First zero bit in [bit, end), or end. */
static uint32_t zero_find(const struct group *grp, uint32_t bit, uint32_t end)
{
	while (bit < end) {
		uint64_t word = ~grp->bits[bit / 64] >> (bit % 64);

		if (word)
			return (uint32_t)u64_min(bit + (uint32_t)__builtin_ctzll(word), end);
		bit = (bit / 64 + 1) * 64;
	}
	return end;
}

/* The best run in [from, end): the first that is long enough, else the longest. */
static void run_search(const struct group *grp, uint32_t from, uint32_t end, uint32_t want, struct run *best)
{
	uint32_t bit = from;

	while (best->n < want) {
		uint32_t n;

		bit = zero_find(grp, bit, end);
		if (bit >= end)
			return;
		n = zeros_from(grp, bit, want);
		if (n > best->n)
			*best = (struct run){ bit, n };
		bit += n;
	}
}

/* An aligned run of exactly want (16 or 512) zero bits. */
static void aligned_search(struct group *grp, uint32_t want, struct run *best)
{
	for (uint32_t bit = 0; bit < PMFS2_GROUP_BLOCKS; bit += want) {
		if (zeros_from(grp, bit, want) == want) {
			*best = (struct run){ bit, want };
			return;
		}
	}
	atomic_store_explicit(&grp->no_aligned, want, memory_order_relaxed);
}

static void bits_change(struct group *grp, uint32_t bit, uint32_t n, int set)
{
	while (n) {
		uint32_t in_word = (uint32_t)u64_min(n, 64 - bit % 64);
		uint64_t mask = (in_word == 64 ? ~0ull : (1ull << in_word) - 1) << (bit % 64);

		if (set)
			grp->bits[bit / 64] |= mask;
		else
			grp->bits[bit / 64] &= ~mask;
		bit += in_word;
		n -= in_word;
	}
}

struct want {
	uint64_t goal; /* block, 0: none */
	uint32_t n;
	uint32_t flags;
};

/* Under the group's lock: reserves in this group. 1 on success. */
static int group_take(struct group *grp, uint64_t number, const struct want *w, struct run *out)
{
	struct run best = { 0, 0 };

	if (w->flags & (ALLOC_HUGE | ALLOC_CHUNK)) {
		aligned_search(grp, w->n, &best);
	} else {
		uint32_t goal = w->goal / PMFS2_GROUP_BLOCKS == number ? (uint32_t)(w->goal % PMFS2_GROUP_BLOCKS) : 0;

		if (goal && !bit_test(grp, goal))
			best = (struct run){ goal, zeros_from(grp, goal, w->n) };
		if (!best.n) {
			run_search(grp, grp->rotor, PMFS2_GROUP_BLOCKS, w->n, &best);
			if (best.n < w->n)
				run_search(grp, 0, grp->rotor, w->n, &best);
		}
		if (w->flags & ALLOC_EXACT && best.n < w->n)
			return 0;
		if (best.n)
			grp->rotor = (uint32_t)((best.block + best.n) % PMFS2_GROUP_BLOCKS);
	}
	if (!best.n)
		return 0;
	bits_change(grp, (uint32_t)best.block, (uint32_t)best.n, 1);
	atomic_fetch_sub_explicit(&grp->free, (uint32_t)best.n, memory_order_relaxed);
	*out = (struct run){ number * PMFS2_GROUP_BLOCKS + best.block, best.n };
	return 1;
}

/* What is known of the group without its lock rules it out. */
static int group_is_futile(const struct group *grp, const struct want *w)
{
	uint32_t free = atomic_load_explicit(&grp->free, memory_order_relaxed);
	uint32_t no_aligned = atomic_load_explicit(&grp->no_aligned, memory_order_relaxed);

	if (free == GROUP_UNKNOWN)
		return 0;
	if (!(w->flags & (ALLOC_HUGE | ALLOC_CHUNK | ALLOC_EXACT)))
		return !free;
	return free < w->n || (!(w->flags & ALLOC_EXACT) && no_aligned && no_aligned <= w->n);
}

/* Looks through all groups from start on; first only those that nobody holds. */
static int groups_search(struct fs *fs, uint64_t start, const struct want *w, struct run *out)
{
	struct alloc *al = fs->alloc;

	for (int wait = 0; wait < 2; wait++) {
		for (uint64_t i = 0; i < al->n_groups; i++) {
			uint64_t number = start + i < al->n_groups ? start + i : start + i - al->n_groups;
			struct group *grp = &al->groups[number];
			int found, err;

			if (group_is_futile(grp, w))
				continue;
			if (wait)
				mutex_lock(&grp->mu);
			else if (!mutex_trylock(&grp->mu))
				continue;
			err = group_load(fs, grp, number);
			if (err) {
				mutex_unlock(&grp->mu);
				return err;
			}
			found = group_take(grp, number, w, out);
			mutex_unlock(&grp->mu);
			if (found)
				return 0;
		}
	}
	return -ENOSPC;
}

/* The bits of a run in DRAM; it may cross groups (merged frees). */
static void bits_release(struct fs *fs, struct run run)
{
	while (run.n) {
		struct group *grp = &fs->alloc->groups[run.block / PMFS2_GROUP_BLOCKS];
		uint32_t bit = (uint32_t)(run.block % PMFS2_GROUP_BLOCKS);
		uint32_t n = (uint32_t)u64_min(run.n, PMFS2_GROUP_BLOCKS - bit);

		mutex_lock(&grp->mu);
		if (grp->bits) {
			bits_change(grp, bit, n, 0);
			atomic_fetch_add_explicit(&grp->free, n, memory_order_relaxed);
			atomic_store_explicit(&grp->no_aligned, 0, memory_order_relaxed);
		}
		mutex_unlock(&grp->mu);
		run.block += n;
		run.n -= n;
	}
}

/* Blocks that may be taken so that keep stay. */
static uint64_t space_avail(const struct alloc *al, uint64_t keep)
{
	int64_t free = atomic_load_explicit(&al->free, memory_order_relaxed);

	return free > (int64_t)keep ? (uint64_t)free - keep : 0;
}

/* Counts n blocks as taken, unless less than keep would stay: 0 then. */
static int space_take(struct alloc *al, uint64_t keep, uint64_t n)
{
	int64_t free = atomic_load_explicit(&al->free, memory_order_relaxed);

	do {
		if (free < (int64_t)(keep + n))
			return 0;
	} while (!atomic_compare_exchange_weak_explicit(&al->free, &free, free - (int64_t)n, memory_order_relaxed,
							memory_order_relaxed));
	return 1;
}

/*
 * Bits first, then the count: what is found is given back where others have meanwhile taken so much that the reserve would not
 * stay. Limbo that another thread is releasing comes back bit by bit: a few tries, then.
 */
static int run_take(struct fs *fs, uint64_t start, uint64_t keep, struct want *w, struct run *out_run)
{
	struct alloc *al = fs->alloc;
	const uint64_t want = w->n, least = w->flags & (ALLOC_HUGE | ALLOC_CHUNK | ALLOC_EXACT) ? want : 1;

	for (int tries = 0; tries < SPACE_TRIES; tries++) {
		uint64_t avail = space_avail(al, keep);
		int err = -ENOSPC;

		if (avail >= least) {
			w->n = (uint32_t)u64_min(want, avail);
			err = groups_search(fs, start, w, out_run);
			if (!err && space_take(al, keep, out_run->n))
				return 0;
			if (!err) {
				bits_release(fs, *out_run);
				continue;
			}
			if (err != -ENOSPC || w->flags & ALLOC_HUGE)
				return err;
		}
		if (!journal_has_limbo(fs))
			return -ENOSPC;
		journal_checkpoint(fs);
	}
	return -ENOSPC;
}

int alloc_run(struct fs *fs, uint64_t goal, uint64_t want, uint32_t flags, struct run *out_run)
{
	struct alloc *al = fs->alloc;
	_Atomic uint64_t *pref = &al->pref[thread_id() % PREF_SLOTS];
	struct want w = { .goal = goal, .flags = flags };
	uint64_t start;
	int err;

	if (flags & ALLOC_HUGE)
		want = PMFS2_HUGE_BLOCKS;
	else if (flags & ALLOC_CHUNK)
		want = PMFS2_CHUNK_BLOCKS;
	w.n = (uint32_t)u64_min(want, PMFS2_GROUP_BLOCKS);
	start = goal && goal < fs->n_blocks ? goal / PMFS2_GROUP_BLOCKS : atomic_load_explicit(pref, memory_order_relaxed);
	err = run_take(fs, start, flags & ALLOC_RESERVE ? 0 : al->reserve, &w, out_run);
	if (!err && !goal)
		atomic_store_explicit(pref, out_run->block / PMFS2_GROUP_BLOCKS, memory_order_relaxed);
	return err;
}

int alloc_prepare_free(struct fs *fs, struct run run)
{
	uint64_t last = (run.block + run.n - 1) / PMFS2_GROUP_BLOCKS;

	for (uint64_t i = run.block / PMFS2_GROUP_BLOCKS; i <= last; i++) {
		struct group *grp = &fs->alloc->groups[i];
		int err;

		if (likely(atomic_load_explicit(&grp->free, memory_order_relaxed) != GROUP_UNKNOWN))
			continue;
		mutex_lock(&grp->mu);
		err = group_load(fs, grp, i);
		mutex_unlock(&grp->mu);
		if (err)
			return err;
	}
	return 0;
}

/* The bits first: who sees the count finds them. */
static void run_release(struct fs *fs, struct run run)
{
	bits_release(fs, run);
	atomic_fetch_add_explicit(&fs->alloc->free, (int64_t)run.n, memory_order_relaxed);
}

/* Bad blocks stay taken. */
void alloc_release(struct fs *fs, struct run run)
{
	struct run rest = run;

	if (likely(!pmem_n_bad(fs->pm))) {
		run_release(fs, run);
		return;
	}
	while (rest.n)
		run_release(fs, media_run_good(fs, rest, &rest));
}

void alloc_cancel(struct fs *fs, struct run run)
{
	alloc_release(fs, run);
}

uint64_t alloc_free_blocks(const struct fs *fs)
{
	int64_t n = atomic_load_explicit(&fs->alloc->media_free, memory_order_relaxed);

	return n > 0 ? (uint64_t)n : 0;
}

uint64_t alloc_avail_blocks(const struct fs *fs)
{
	uint64_t n = alloc_free_blocks(fs);

	return n > fs->alloc->reserve ? n - fs->alloc->reserve : 0;
}

void alloc_count(struct fs *fs, int64_t delta)
{
	atomic_fetch_add_explicit(&fs->alloc->media_free, delta, memory_order_relaxed);
}
