/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One run of fsck, and the passes that it is made of.
 *
 * A run goes in rounds. A round is either a scan (parallel, stores nothing) or a repair (one thread, each problem put right where
 * it is met, so that what follows sees it right). Check mode: one scan that speaks. The other modes: a silent scan; if that finds
 * anything, repairs, each behind a scan that says which blocks are in use, until one finds nothing more that it may repair.
 *
 * Both walk the same code: fsck_found() says whether to repair. Where a damaged word can be guessed, the walk goes on with the
 * guess in either case, so that one defect does not look like many.
 *
 * Memory: two bits for each block that is used, five bytes for each inode of the table, eight for each chunk. Nothing for each
 * name.
 */
#ifndef FSCK_STATE_H
#define FSCK_STATE_H

#include <pthread.h>
#include <stdint.h>

#include "fsck/claims.h"
#include "fsck/disk.h"
#include "fsck/fsck.h"

/* State of an inode number, a byte each. */
#define INO_TYPE 0x0fu /* DT_* of a used inode; 0: not in use */
#define INO_NAMED 0x10u /* directory: found in the directory that it says is its parent */
#define INO_ORPHAN 0x20u /* no links, and an intent that says so */
#define INO_REACHED 0x40u /* directory: the way up to the root was gone */
#define INO_ON_PATH 0x80u /* directory: on the way that is being gone */

/* A name of a directory that does not stand in the parent which that directory has noted. */
struct odd_name {
	uint64_t dir; /* that holds the name */
	uint64_t child;
	uint64_t hash;
};

struct fsck {
	const struct fsck_options *opt;
	struct fsck_result *res;
	struct disk disk;
	pthread_mutex_t lock; /* reports, odd names */
	int fixing; /* this round repairs */
	int silent;
	int err; /* sticky: the first -errno */
	uint32_t threads;
	uint32_t round_found, round_fixed;
	uint32_t round_structure; /* found other than counts, marks and missing names */
	uint32_t round_kept; /* of those, not repaired */
	uint32_t round_unsafe; /* found that preen would not repair */
	int media_read; /* every block in use was read once, or it was not asked for */
	int engine_failed; /* names cannot be put into lost+found */
	int hands_off; /* problems are said, not repaired, for now */
	uint64_t *refused; /* hashes of problems that shall not be repaired: asked and said once */
	uint32_t n_refused, cap_refused;
	/* inodes that reconnect_all links into lost+found behind this round */
	uint64_t *lost;
	uint64_t n_lost, cap_lost;
	/* journal, behind replay */
	uint64_t next_seq;
	uint64_t seq_seen; /* highest number of a record that stands behind a damaged one; 0: none */
	uint64_t written; /* horizon slots so far */
	int slot_lost; /* the slot that does not count holds something that is not valid */
	uint64_t free_blocks;
	uint64_t used_inodes;
	uint64_t clean; /* PMFS2_CLEAN_* as found */
	int marked; /* clean was PMFS2_CLEAN_DAMAGED when the run began */
	int counts_lost; /* no horizon: free_blocks and used_inodes are not known */
	/* blocks */
	struct claims now; /* as this round has seen them */
	struct claims before; /* repair rounds: of the scan before, all claims of all */
	uint64_t alloc_next; /* where fix_alloc goes on looking */
	/* inodes */
	uint64_t n_chunks;
	uint64_t *chunk_block; /* by chunk number; 0: missing */
	uint8_t *ino_state;
	uint32_t *ino_links; /* nlink - names found; directories: nlink - 2 - subdirectories found. 0 in the end */
	uint64_t n_inodes; /* used */
	uint64_t n_dirs;
	/* intents */
	uint64_t *intent_blocks;
	uint32_t n_intent_blocks;
	uint64_t n_intents;
	/* directories */
	struct odd_name *odd;
	uint64_t n_odd, cap_odd;
};

/*
 * A problem: counts it, says it, decides. 1: repair it now. Any thread; 1 only in rounds that repair, which have one.
 */
int fsck_found(struct fsck *fk, enum fsck_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void fsck_note(struct fsck *fk, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The run cannot go on: remembers the first error. */
void fsck_fail(struct fsck *fk, int err);

/*
 * Calls fn for [0, n) in pieces of up to step items, by all threads of a scan. scratch: memory of that many bytes for each
 * thread, as it comes from malloc().
 */
typedef void (*work_fn)(struct fsck *fk, uint64_t first, uint64_t n, void *scratch);
struct work {
	enum fsck_pass pass;
	uint64_t n;
	uint64_t step;
	size_t scratch_bytes;
	work_fn fn;
};
void workers_run(struct fsck *fk, const struct work *work);
void fsck_progress(struct fsck *fk, enum fsck_pass pass, uint64_t done, uint64_t total);

/* The passes, in their order. Those that return int: 0, or -errno where the run cannot go on (res->error says why). */
int pass_super(struct fsck *fk);
int pass_journal(struct fsck *fk);
void pass_state(struct fsck *fk);
void pass_intent_chain(struct fsck *fk);
int pass_itable(struct fsck *fk);
void pass_inodes(struct fsck *fk);
void pass_dirs(struct fsck *fk);
void pass_parents(struct fsck *fk);
void pass_intents(struct fsck *fk);
void pass_bitmaps(struct fsck *fk);
void pass_links(struct fsck *fk);
void pass_media(struct fsck *fk);

/* The image of an inode number that is in the table, or NULL. */
const struct pmfs2_inode *fsck_inode(const struct fsck *fk, uint64_t ino);
static inline uint64_t fsck_ino_end(const struct fsck *fk)
{
	return fk->n_chunks * PMFS2_CHUNK_INODES;
}
/* The intent in slot if there is such a slot and it belongs to ino, or NULL. */
const struct pmfs2_intent *fsck_intent_of(const struct fsck *fk, uint32_t slot, uint64_t ino);

#endif
