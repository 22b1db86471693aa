/* SPDX-License-Identifier: BSD-3-Clause */
/* The journal: rings of redo records, the horizon, checkpoints, recovery. The commit itself is tx_commit's. */
#ifndef PMFS2_JOURNAL_H
#define PMFS2_JOURNAL_H

#include "pmfs2/fs.h"
#include "pmfs2/tx.h"

/* Result of recovery, the start of the running journal. */
struct journal_state {
	uint64_t horizon_seq; /* records from here on count */
	uint64_t horizon_free_blocks; /* without what was replayed */
	uint64_t horizon_inodes;
	uint64_t next_seq;
	uint64_t free_blocks;
	uint64_t used_inodes;
	uint64_t written; /* of the horizon slot */
	uint64_t replayed; /* records */
	int was_clean;
	int marked; /* damage was found, and fsck has not been there since */
};

/*
 * Finds the valid horizon, collects, verifies and replays the records at or above it, in order of sequence, and makes the result
 * durable, without moving the horizon: a crash inside recovery is just another recovery. On a read-only mapping: -EROFS if there is
 * anything to replay. -EUCLEAN: no valid horizon, or a record that points where no record may.
 * Durable on return: yes.
 */
int journal_recover(struct fs *fs, struct journal_state *out);

/* Starts the journal behind recovery: writes a new horizon (not on a read-only mapping). */
int journal_new(struct fs *fs, const struct journal_state *st, struct journal **out);
/* Last checkpoint, marked clean (or damaged), on the storage of a backing file too; then frees. */
void journal_close(struct fs *fs);
/* Frees without touching media (a failed mount). */
void journal_free(struct journal *j);

/*
 * Moves the horizon to the present: every ring is empty afterwards, limbo is released. Stops all commits for some microseconds.
 * No ring lock held. Three fences.
 */
void journal_checkpoint(struct fs *fs);
/* True if freed metadata blocks wait for a checkpoint. */
int journal_has_limbo(const struct fs *fs);

uint64_t journal_used_inodes(const struct fs *fs);

/* For tx_commit: appends rec (rec->len bytes, without seq and crc) to this thread's ring, fences, applies, notes the frees. */
int journal_commit(struct fs *fs, struct tx *tx);

/* --- shared by commit and recovery: what a record's entries mean ------------------------------------------------------------- */

struct rec_entry {
	uint64_t off; /* bytes from the device's start */
	uint32_t count;
	enum pmfs2_rec_op op;
	const uint64_t *body; /* little-endian words */
	uint32_t body_words;
};
/* Reads the entry at *pos (in words), advances. 1 on success, 0 at the end, -EUCLEAN on nonsense. */
int rec_next(const uint64_t *words, uint32_t n_words, uint32_t *pos, struct rec_entry *out);
/* Stores the entries in place and flushes them. No fence. */
void rec_apply(struct pmem *pm, const uint64_t *words, uint32_t n_words);
/* Flushes the entries' targets again. */
void rec_flush_targets(struct pmem *pm, const uint64_t *words, uint32_t n_words);

#endif
