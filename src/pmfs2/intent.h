/* SPDX-License-Identifier: BSD-3-Clause */
/* Intent slots on media: work that recovery must finish (format.h). */
#ifndef PMFS2_INTENT_H
#define PMFS2_INTENT_H

#include "pmfs2/fs.h"
#include "pmfs2/inode.h"
#include "pmfs2/tx.h"

/*
 * Reserves a slot in DRAM and logs its contents; the slot number + 1 goes into the inode's image. Grows the chain when it is full
 * (a transaction of its own). The inode has no other intent. -ENOSPC.
 * If tx is dropped or fails, call intent_unreserve with the number.
 */
int intent_reserve(struct fs *fs, uint32_t *out_slot);
void intent_unreserve(struct fs *fs, uint32_t slot);
void intent_log_set(struct tx *tx, struct inode_edit *edit, uint32_t slot, enum pmfs2_intent_kind kind, const uint64_t arg[3]);
/* Logs that the slot is free and the image has no intent. After the commit: intent_unreserve. */
void intent_log_clear(struct tx *tx, struct inode_edit *edit, uint32_t slot);
/* True if slot exists and belongs to inode number ino. No locks: for checking what an image on media claims. */
int intent_belongs(struct fs *fs, uint32_t slot, uint64_t ino);
/* Contents on media. */
void intent_read(struct fs *fs, uint32_t slot, enum pmfs2_intent_kind *out_kind, uint64_t *out_ino, uint64_t out_arg[3]);

int intents_load(struct fs *fs, struct intents **out);
void intents_free(struct intents *in);
/* After recovery of the journal, before the first operation: finishes all intents (orphans, truncations, shifts). */
int intents_finish(struct fs *fs);
/* Frees orphans that could not be freed when their last user went (no memory). Cheap where there are none. No locks held. */
void intents_retry(struct fs *fs);
/* The same but for orphans: whoever has them open will say so, and then call intents_finish(). */
int intents_finish_keep_orphans(struct fs *fs);

#endif
