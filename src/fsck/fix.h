/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Repairs. What is reachable changes by a record of the journal, as in the engine: whole or not at all, and a crash inside a
 * repair leaves what the next recovery finishes. Only rounds that repair may call anything here.
 */
#ifndef FSCK_FIX_H
#define FSCK_FIX_H

#include "fsck/state.h"

#define FIX_WORDS_MAX ((PMFS2_RECORD_MAX - sizeof(struct pmfs2_record)) / 8)

struct fix {
	struct fsck *fk;
	uint32_t n_words;
	int too_large;
	struct pmfs2_record rec __attribute__((aligned(64)));
	uint64_t words[FIX_WORDS_MAX];
};

void fix_begin(struct fix *fix, struct fsck *fk);
/* Words in media byte order. addr: on media, where records may store. */
void fix_put(struct fix *fix, const void *addr, const void *src, uint32_t n_words);
void fix_fill(struct fix *fix, const le64 *addr, uint64_t value, uint32_t n_words);
/* An inode's image, sealed anew. */
void fix_put_inode(struct fix *fix, const struct pmfs2_inode *media, struct pmfs2_inode *image);
/*
 * Order: new blocks and their bits, which the caller has written, fence; record, fence; in place, fence; horizon behind the
 * record, fence. If cut: nothing, or everything after replay. Durable on return: yes.
 */
void fix_commit(struct fix *fix);

/* Short forms: one commit each. */
void fix_word(struct fsck *fk, const le64 *addr, uint64_t value);
void fix_inode(struct fsck *fk, const struct pmfs2_inode *media, struct pmfs2_inode *image);

/*
 * n free blocks at a multiple of align (a power of two): free in the bitmaps, and claimed by nothing, in this round or the scan
 * before; where there are none and everything is being repaired, also blocks that the bitmaps have as used. They are claimed and
 * marked as used then; if cut before anything leads to them, they are leaked. 0: none. Durable on return: no, nor need be what is
 * written there: fix_commit sees to it.
 */
uint64_t fix_alloc(struct fsck *fk, uint64_t n, uint64_t align);

/* Writes the next horizon slot, behind all that was stored before. clean: PMFS2_CLEAN_*. Durable on return: yes. */
void fix_horizon(struct fsck *fk, uint64_t clean);

#endif
