/* SPDX-License-Identifier: BSD-3-Clause */
/* Failing calls inside the engine (see fault.h): no block, no inode number, no intent to be had, a commit that fails. */
#include <errno.h>

#include "faults/fault.h"
#include "pmfs2/alloc.h"
#include "pmfs2/intent.h"
#include "pmfs2/itable.h"

int __real_alloc_run(struct fs *fs, uint64_t goal, uint64_t want, uint32_t flags, struct run *out_run);
int __real_itable_take(struct fs *fs, struct ino_slot *out);
int __real_intent_reserve(struct fs *fs, uint32_t *out_slot);
int __real_tx_commit(struct tx *tx);

int __wrap_alloc_run(struct fs *fs, uint64_t goal, uint64_t want, uint32_t flags, struct run *out_run);
int __wrap_itable_take(struct fs *fs, struct ino_slot *out);
int __wrap_intent_reserve(struct fs *fs, uint32_t *out_slot);
int __wrap_tx_commit(struct tx *tx);

int __wrap_alloc_run(struct fs *fs, uint64_t goal, uint64_t want, uint32_t flags, struct run *out_run)
{
	if (fault_due(FAULT_BLOCKS, __builtin_return_address(0)))
		return -ENOSPC;
	return __real_alloc_run(fs, goal, want, flags, out_run);
}

int __wrap_itable_take(struct fs *fs, struct ino_slot *out)
{
	return fault_due(FAULT_INODES, __builtin_return_address(0)) ? -ENOSPC : __real_itable_take(fs, out);
}

int __wrap_intent_reserve(struct fs *fs, uint32_t *out_slot)
{
	return fault_due(FAULT_INTENTS, __builtin_return_address(0)) ? -ENOSPC : __real_intent_reserve(fs, out_slot);
}

/* Only a transaction that has something to do can fail. */
int __wrap_tx_commit(struct tx *tx)
{
	if (tx->err || !tx->n_words || !fault_due(FAULT_COMMIT, __builtin_return_address(0)))
		return __real_tx_commit(tx);
	tx_drop(tx);
	return -ENOMEM;
}
