/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Is a state legal at a point of the run?
 *
 * Behind a step that returned, while none runs: the state behind it exactly, space included. While a step runs: the state before
 *or behind it, or between them what the engine's stories of operations (file_io.c, file_falloc.c, file_shift.c) allow:
 *
 *  write, dwrite, writen	In blocks that were written before, each 8-byte word of the range is the old or the new one. A
 *block that was a hole is old or new as a whole as far as the write covers it. The size is the old or the new one, or a multiple
 *of 4 KiB between them (a transfer ends there); what lies between the old size and it is new. Times and mode are old or new ones.
 *  falloc punch, zero		Each word is the old or the new one; size, times as above.
 *  falloc alloc, keep		Nothing but space (blocks that read as zeros).
 *  falloc collapse, insert	The old or the new file; recovery finishes the work, so times may be those of recovery.
 *  all others			Nothing: truncation, removal, rename and the like are seen as before or behind. Space may be
 *				between: a directory bucket that has been split, a chunk of inodes that is empty, intents.
 *
 * Threads: the same with all states that run_orders.c finds in place of two, without looking at space (threads take blocks where
 * others do not).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "crash/clock.h"
#include "crash/run_private.h"
#include "crash/state_private.h"

#define BLOCK 4096u
#define WORD 8u
#define SPACE_SLACK 64u /* blocks that a step may use before its record: buckets, nodes, a chunk of inodes, an intent block */

/* --- points -------------------------------------------------------------------------------------------------------------- */

void run_point_event(const struct run *run, struct run_point *pt, const struct pmem_event *e)
{
	uint32_t thread;

	if (e->kind == PMEM_EVENT_BEGIN) {
		uint32_t step = (uint32_t)strtoul((const char *)e->data, NULL, 10);

		thread = run->w->steps[step].thread;
		pt->sim_thread[thread] = e->thread + 1;
		pt->running[thread] = 1;
	} else if (e->kind == PMEM_EVENT_END) {
		for (thread = 0; thread < WORKLOAD_THREADS_MAX; thread++) {
			if (pt->sim_thread[thread] != e->thread + 1 || !pt->running[thread])
				continue;
			pt->running[thread] = 0;
			pt->returned[thread]++;
		}
	}
}

uint64_t run_point_id(const struct run *run, const struct run_point *pt)
{
	uint64_t id = 0;

	for (uint32_t t = 0; t < run->w->n_threads; t++)
		id = digest_mix(id, (uint64_t)pt->returned[t] << 1 | (pt->running[t] ? 1 : 0));
	return id;
}

void run_point_print(const struct run *run, const struct run_point *pt, char *out, size_t out_size)
{
	size_t at = 0;

	out[0] = '\0';
	for (uint32_t t = 0; t < run->w->n_threads && at < out_size; t++) {
		uint32_t step = run_step_of(run, t, pt->returned[t]);

		if (run->w->n_threads > 1)
			at += (size_t)snprintf(out + at, out_size - at, "%sthread %u: ", t ? "; " : "", t + 1);
		if (at < out_size)
			at += (size_t)snprintf(out + at, out_size - at, "%u tested steps returned", pt->returned[t]);
		if (at < out_size && pt->running[t] && step < run->w->n_steps)
			at += (size_t)snprintf(out + at, out_size - at, ", step '%s' is running", run->w->steps[step].name);
	}
}

/* --- what may lie between ------------------------------------------------------------------------------------------------ */

enum partial {
	PARTIAL_NONE = 0, /* nothing but space */
	PARTIAL_WRITE = 1,
	PARTIAL_ZERO = 2,
	PARTIAL_SHIFT = 4,
	PARTIAL_ALLOC = 8,
};

static unsigned int partial_of(const struct workload_op *op)
{
	switch (op->kind) {
	case OP_WRITE:
	case OP_DWRITE:
	case OP_WRITEN:
	case OP_CUTWRITE:
		return PARTIAL_WRITE;
	case OP_PUNCHN:
		return PARTIAL_ZERO | PARTIAL_ALLOC;
	case OP_FALLOC:
		if (op->arg[0] == FALLOC_COLLAPSE || op->arg[0] == FALLOC_INSERT)
			return PARTIAL_SHIFT;
		return op->arg[0] == FALLOC_ALLOC || op->arg[0] == FALLOC_KEEP ? PARTIAL_ALLOC : PARTIAL_ZERO | PARTIAL_ALLOC;
	default:
		return PARTIAL_NONE;
	}
}

/* The question, as the helpers need it. */
struct question {
	const struct state *const *cands; /* one thread: before, behind */
	uint32_t n;
	const struct state *found;
	unsigned int partial; /* of the running steps */
	int with_space;
};

static int time_same(struct zus_time a, struct zus_time b)
{
	return a.sec == b.sec && a.nsec == b.nsec;
}

static int time_known(const struct question *q, uint32_t i, size_t field)
{
	const struct zus_time *got = (const void *)((const char *)&q->found->inodes[i].attr + field);

	if (q->partial & PARTIAL_SHIFT && got->sec == CRASH_CLOCK_RECOVERY_S)
		return 1;
	for (uint32_t k = 0; k < q->n; k++)
		if (i < q->cands[k]->n_inodes &&
		    time_same(*got, *(const struct zus_time *)(const void *)((const char *)&q->cands[k]->inodes[i].attr + field)))
			return 1;
	return 0;
}

/* The size is one that a transfer may leave. */
static int size_known(const struct question *q, uint32_t i)
{
	uint64_t size = q->found->inodes[i].attr.size, lo = UINT64_MAX, hi = 0;

	for (uint32_t k = 0; k < q->n; k++) {
		uint64_t s = q->cands[k]->inodes[i].attr.size;

		if (s == size)
			return 1;
		lo = u64_min(lo, s);
		hi = u64_max(hi, s);
	}
	return q->partial & PARTIAL_WRITE && size > lo && size < hi && size % BLOCK == 0;
}

/* The word at off (a multiple of 8) as far as it lies inside of size, and whether it lies in a hole. */
static uint64_t word_at(const struct state *s, const struct state_inode *ino, uint64_t off, uint64_t size)
{
	uint64_t left, word = 0, n = off < size ? u64_min(WORD, size - off) : 0;

	for (uint64_t i = 0; i < n; i++) {
		const uint8_t *p = state_bytes(s, ino, off + i, &left);

		word |= (p ? (uint64_t)*p : 0) << 8 * i;
		/* The usual case: the whole word in one run. */
		if (i == 0 && left >= n) {
			if (p)
				memcpy(&word, p, n);
			break;
		}
	}
	return word;
}

/*
 * Block [off, off + 4096) of inode i: each word is one of the candidates'. Where the block was a hole before (in the first
 * candidate), and for what lies behind the old size, all words are of one candidate.
 */
static int block_known(const struct question *q, uint32_t i, uint64_t off)
{
	const struct state_inode *ino = &q->found->inodes[i];
	const struct state_inode *old = &q->cands[0]->inodes[i];
	uint64_t size = ino->attr.size, end = u64_min(size, off + BLOCK), left, whole_from = old->attr.size;
	uint32_t whole = (1u << u64_min(q->n, 31)) - 1;

	if (q->partial & PARTIAL_WRITE && !state_bytes(q->cands[0], old, off, &left))
		whole_from = off;
	for (uint64_t at = off; at < end; at += WORD) {
		uint64_t got = word_at(q->found, ino, at, size);
		uint32_t match = 0;

		for (uint32_t k = 0; k < q->n && k < 31; k++)
			/* Behind the size of one that is shorter nothing can be of it. */
			if (at < q->cands[k]->inodes[i].attr.size &&
			    word_at(q->cands[k], &q->cands[k]->inodes[i], at, size) == got)
				match |= 1u << k;
		if (at >= whole_from)
			match = whole &= match;
		if (!match)
			return 0;
	}
	return 1;
}

static int data_known(const struct question *q, uint32_t i)
{
	const struct state_inode *ino = &q->found->inodes[i];

	for (uint32_t k = 0; k < q->n; k++)
		if (q->cands[k]->inodes[i].data_digest == ino->data_digest && q->cands[k]->inodes[i].attr.size == ino->attr.size)
			return 1;
	if (!(q->partial & (PARTIAL_WRITE | PARTIAL_ZERO)))
		return 0;
	for (uint64_t off = 0; off < ino->attr.size;) {
		uint64_t next = off + BLOCK, left = UINT64_MAX, n;
		int all_holes = !state_bytes(q->found, ino, off, &left);

		/* Long holes in all of them are stepped over. */
		for (uint32_t k = 0; all_holes && k < q->n; k++) {
			all_holes = !state_bytes(q->cands[k], &q->cands[k]->inodes[i], off, &n);
			left = u64_min(left, n);
		}
		if (all_holes)
			next = u64_max(next, round_down_to(off + u64_min(left, ino->attr.size - off), BLOCK));
		else if (!block_known(q, i, off))
			return 0;
		off = next;
	}
	return 1;
}

/* Inode i is between the candidates, which differ in it. */
static int inode_known(const struct question *q, uint32_t i)
{
	const struct state_inode *got = &q->found->inodes[i];
	int mode = 0, owner = 0, rest = 0, xattr = 0;

	if (!q->partial || !S_ISREG(got->attr.mode))
		return 0;
	for (uint32_t k = 0; k < q->n; k++) {
		const struct state_inode *want = &q->cands[k]->inodes[i];

		mode |= want->attr.mode == got->attr.mode;
		owner |= want->attr.uid == got->attr.uid && want->attr.gid == got->attr.gid;
		rest |= want->attr.nlink == got->attr.nlink && want->attr.flags == got->attr.flags &&
			want->attr.projid == got->attr.projid && want->attr.rdev == got->attr.rdev;
		xattr |= want->xattr_digest == got->xattr_digest;
	}
	return mode && owner && rest && xattr && size_known(q, i) && time_known(q, i, offsetof(struct zus_attr, atime)) &&
	       time_known(q, i, offsetof(struct zus_attr, mtime)) && time_known(q, i, offsetof(struct zus_attr, ctime)) &&
	       time_known(q, i, offsetof(struct zus_attr, btime)) && data_known(q, i);
}

/* Is all of found that is visible like candidate k, but for inodes that lie between? */
static int visible_known(const struct question *q, uint32_t k)
{
	const struct state *want = q->cands[k], *found = q->found;

	if (want->visible == found->visible)
		return 1;
	if (!q->partial || want->names_digest != found->names_digest)
		return 0;
	for (uint32_t i = 0; i < found->n_inodes; i++) {
		struct question same = *q;
		const struct state *cands[32];

		if (found->inodes[i].digest == want->inodes[i].digest)
			continue;
		/* Only candidates with the same names number inodes alike; the first must stay the first. */
		same.cands = cands;
		same.n = 0;
		for (uint32_t c = 0; c < q->n && same.n < 32; c++)
			if (q->cands[c]->names_digest == found->names_digest)
				cands[same.n++] = q->cands[c];
		if (!inode_known(&same, i))
			return 0;
	}
	return 1;
}

/* Space while a step runs: between before and behind, and some blocks below. */
static int space_known(const struct question *q, uint32_t k)
{
	const struct state *a = q->cands[0], *b = q->cands[q->n - 1], *found = q->found, *want = q->cands[k];
	uint64_t lo = u64_min(a->free_blocks, b->free_blocks), hi = u64_max(a->free_blocks, b->free_blocks);

	if (want->digest == found->digest)
		return 1;
	if (found->free_blocks + SPACE_SLACK < lo || found->free_blocks > hi + (q->partial ? SPACE_SLACK : 0))
		return 0;
	if (found->used_inodes != want->used_inodes)
		return 0;
	/* Behind it everything is done; what recovery has to finish it has finished. */
	if (k && want == b && !q->partial && want->visible != a->visible)
		return 0;
	for (uint32_t i = 0; i < found->n_inodes; i++) {
		const struct state_inode *got = &found->inodes[i], *w = &want->inodes[i];
		int may = S_ISDIR(got->attr.mode) || (S_ISREG(got->attr.mode) && q->partial);

		if (!may && (got->attr.blocks != w->attr.blocks || got->layout_digest != w->layout_digest))
			return 0;
	}
	return 1;
}

/* --- the answer ---------------------------------------------------------------------------------------------------------- */

/* In words: what differs from each candidate, at most two of them. */
static void explain(const struct run *run, const struct run_point *pt, const struct question *q, char *why, size_t why_size)
{
	char where[300], diff[2][400];
	int running = 0;

	run_point_print(run, pt, where, sizeof(where));
	for (uint32_t t = 0; t < WORKLOAD_THREADS_MAX; t++)
		running |= pt->running[t];
	state_diff(q->cands[0], q->found, diff[0], sizeof(diff[0]));
	state_diff(q->cands[q->n - 1], q->found, diff[1], sizeof(diff[1]));
	if (q->n == 1)
		snprintf(why, why_size, "%s; not %s: %s", where, running ? "as before or behind it" : "as behind the last one",
			 diff[0][0] ? diff[0] : "digests differ");
	else
		snprintf(why, why_size, "%s; not as before: %s; not as %s: %s", where, diff[0],
			 run->w->n_threads > 1 ? "in any other order, for one" : "behind", diff[1]);
}

static int answer(const struct question *q)
{
	for (uint32_t k = 0; k < q->n; k++)
		if (visible_known(q, k) && (!q->with_space || space_known(q, k)))
			return 0;
	return 1;
}

static unsigned int partials(const struct run *run, const struct run_point *pt)
{
	unsigned int partial = 0;

	for (uint32_t t = 0; t < run->w->n_threads; t++) {
		uint32_t step = pt->running[t] ? run_step_of(run, t, pt->returned[t]) : run->w->n_steps;

		if (step < run->w->n_steps)
			partial |= partial_of(&run->w->ops[run->w->steps[step].op]);
	}
	return partial;
}

int run_check(struct run *run, const struct run_point *pt, struct zus_fs *fs, char *why, size_t why_size)
{
	struct question q = { .partial = partials(run, pt), .with_space = run->w->n_threads == 1 };
	const struct legal *legal;
	struct state *found;
	int err = state_capture(fs, 0, &found, why, why_size);

	if (err)
		return err;
	q.found = found;
	if (run->w->n_threads == 1) {
		q.cands = (const struct state *const *)&run->oracle->states[pt->returned[0]];
		q.n = pt->running[0] ? 2 : 1;
		err = q.n == 1 ? q.cands[0]->digest != found->digest : answer(&q);
	} else {
		err = run_legal(run, pt, &legal, why, why_size);
		if (err)
			goto free_found;
		q.cands = legal->states;
		q.n = legal->n;
		if (!q.n) {
			snprintf(why, why_size, "no serial order of the steps gives the results that they gave");
			err = 1;
			goto free_found;
		}
		err = answer(&q);
	}
	if (err)
		explain(run, pt, &q, why, why_size);
free_found:
	state_free(found);
	return err;
}
