/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Intents: slots in a chain of blocks. DRAM keeps where the blocks are and which slots are free; a slot's words on media belong
 * to whoever reserved it.
 */
#include "pmfs2/intent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "pmfs2/alloc.h"
#include "pmfs2/file.h"
#include "pmfs2/namei.h"
#include "pmfs2/refs.h"

#define BLOCKS_MAX 65536u /* 8 million intents: a bound for hostile chains */
#define INO_MASK ((1ull << PMFS2_INO_BITS) - 1)

struct intents {
	struct mutex mu; /* LOCK_RANK_INTENT */
	uint64_t *blocks; /* block numbers of the chain; room for BLOCKS_MAX, so that readers need no lock */
	_Atomic uint32_t n_blocks; /* read without mu by intent_belongs */
	uint32_t *free; /* stack of free slot numbers */
	uint32_t n_free, cap_free;
};

static const struct pmfs2_intent_block *block_at(const struct fs *fs, uint64_t block)
{
	return fs_block(fs, block);
}

static const struct pmfs2_intent *slot_at(const struct fs *fs, uint32_t slot)
{
	uint64_t block;

	/* A number read from a page that is lost meanwhile must not lead out of the list; nothing is committed then. */
	if (unlikely(slot / PMFS2_INTENTS_PER_BLOCK >= atomic_load_explicit(&fs->intents->n_blocks, memory_order_acquire)))
		slot = 0;
	block = fs->intents->blocks[slot / PMFS2_INTENTS_PER_BLOCK];
	return &block_at(fs, block)->slots[slot % PMFS2_INTENTS_PER_BLOCK];
}

static uint32_t head_crc(struct pmfs2_intent_block *head)
{
	head->crc = le32_of(0);
	return crc32c_of(head, 16);
}

static int block_verify(struct fs *fs, uint64_t block)
{
	struct pmfs2_intent_block head;
	uint32_t crc;

	memcpy(&head, block_at(fs, block), 32);
	crc = le32_get(head.crc);
	if (le32_get(head.magic) != PMFS2_MAGIC_INTENT || le64_get(head.block) != block || crc != head_crc(&head))
		return fs_corrupt(fs, "intent block %llu: damaged header", (unsigned long long)block);
	return 0;
}

static int list_grow(struct intents *in)
{
	uint32_t n = in->n_blocks + 1;

	if (n > BLOCKS_MAX)
		return -ENOSPC;
	if (n * PMFS2_INTENTS_PER_BLOCK > in->cap_free) {
		uint32_t cap = 2 * n * PMFS2_INTENTS_PER_BLOCK;
		uint32_t *stack = realloc(in->free, cap * sizeof(*stack));

		if (!stack)
			return -ENOMEM;
		in->free = stack;
		in->cap_free = cap;
	}
	return 0;
}

static void list_add(struct fs *fs, struct intents *in, uint64_t block)
{
	uint32_t first = in->n_blocks * PMFS2_INTENTS_PER_BLOCK;

	in->blocks[first / PMFS2_INTENTS_PER_BLOCK] = block;
	atomic_fetch_add_explicit(&in->n_blocks, 1, memory_order_release);
	for (uint32_t i = PMFS2_INTENTS_PER_BLOCK; i-- > 0;)
		if (!le64_load(&block_at(fs, block)->slots[i].ino_kind))
			in->free[in->n_free++] = first + i;
}

int intents_load(struct fs *fs, struct intents **out)
{
	struct intents *in = calloc(1, sizeof(*in));
	uint64_t block = le64_get(fs->sb->intent_block), fixed = le32_get(fs->sb->n_intent_blocks), next;
	int err = 0;

	if (!in)
		return -ENOMEM;
	mutex_init(&in->mu, LOCK_RANK_INTENT, 0);
	/* Not zeroed: memory that no chain reaches is never touched. */
	in->blocks = malloc(BLOCKS_MAX * sizeof(*in->blocks));
	if (!in->blocks)
		err = -ENOMEM;
	while (!err) {
		err = block_verify(fs, block);
		if (!err)
			err = list_grow(in);
		if (err)
			break;
		list_add(fs, in, block);
		next = le64_load(&block_at(fs, block)->next);
		if (in->n_blocks < fixed)
			next = block + 1;
		else if (next && !fs_block_ok(fs, next, 1))
			err = fs_corrupt(fs, "intent block %llu: damaged chain", (unsigned long long)block);
		if (!next)
			break;
		block = next;
	}
	if (err) {
		intents_free(in);
		return err;
	}
	*out = in;
	return 0;
}

void intents_free(struct intents *in)
{
	if (!in)
		return;
	mutex_fini(&in->mu);
	free(in->blocks);
	free(in->free);
	free(in);
}

/*
 * Under mu.
 * Order: the new block is written and fenced, then one record chains it.
 * If cut: a free block with garbage, or an empty one chained.
 */
static int chain_grow(struct fs *fs)
{
	struct intents *in = fs->intents;
	struct pmfs2_intent_block head = { .magic = le32_of(PMFS2_MAGIC_INTENT) };
	struct run run;
	struct tx tx;
	int err = list_grow(in);

	if (!err)
		err = alloc_run(fs, 0, 1, ALLOC_RESERVE, &run);
	if (err)
		return err;
	head.block = le64_of(run.block);
	head.crc = le32_of(head_crc(&head));
	pmem_copy(fs->pm, fs_block(fs, run.block), &head, sizeof(head));
	pmem_fence(fs->pm);
	tx_begin(&tx, fs);
	tx_use(&tx, run);
	tx_put(&tx, &block_at(fs, in->blocks[in->n_blocks - 1])->next, run.block);
	err = tx_commit(&tx);
	if (!err)
		list_add(fs, in, run.block);
	return err;
}

int intent_reserve(struct fs *fs, uint32_t *out_slot)
{
	struct intents *in = fs->intents;
	int err = 0;

	mutex_lock(&in->mu);
	if (!in->n_free)
		err = chain_grow(fs);
	/* Its page may be lost by now. */
	if (!err && unlikely(!in->n_free))
		err = fs_corrupt(fs, "intents: a new block has no free slot");
	if (!err)
		*out_slot = in->free[--in->n_free];
	mutex_unlock(&in->mu);
	return err;
}

void intent_unreserve(struct fs *fs, uint32_t slot)
{
	struct intents *in = fs->intents;

	mutex_lock(&in->mu);
	in->free[in->n_free++] = slot;
	mutex_unlock(&in->mu);
}

void intent_log_set(struct tx *tx, struct inode_edit *edit, uint32_t slot, enum pmfs2_intent_kind kind, const uint64_t arg[3])
{
	struct pmfs2_intent words = {
		.ino_kind = le64_of(edit->ip->ino | (uint64_t)kind << 56),
		.arg = { le64_of(arg[0]), le64_of(arg[1]), le64_of(arg[2]) },
	};

	tx_put_words(tx, slot_at(tx->fs, slot), &words, sizeof(words) / 8);
	edit->image.intent = le32_of(slot + 1);
}

void intent_log_clear(struct tx *tx, struct inode_edit *edit, uint32_t slot)
{
	tx_put(tx, &slot_at(tx->fs, slot)->ino_kind, 0);
	edit->image.intent = le32_of(0);
}

int intent_belongs(struct fs *fs, uint32_t slot, uint64_t ino)
{
	if (slot >= atomic_load_explicit(&fs->intents->n_blocks, memory_order_acquire) * PMFS2_INTENTS_PER_BLOCK)
		return 0;
	return (le64_load(&slot_at(fs, slot)->ino_kind) & INO_MASK) == ino;
}

void intent_read(struct fs *fs, uint32_t slot, enum pmfs2_intent_kind *out_kind, uint64_t *out_ino, uint64_t out_arg[3])
{
	const struct pmfs2_intent *it = slot_at(fs, slot);
	uint64_t word = le64_load(&it->ino_kind);

	*out_kind = (enum pmfs2_intent_kind)(word >> 56);
	*out_ino = word & INO_MASK;
	for (int i = 0; i < 3; i++)
		out_arg[i] = le64_load(&it->arg[i]);
}

static int truncate_finish(struct fs *fs, struct inode *ip)
{
	struct inode_edit edit;
	int err;

	rwlock_write(&ip->lock);
	mutex_lock(&ip->meta);
	inode_edit_begin(&edit, ip);
	err = file_truncate_finish(fs, &edit);
	mutex_unlock(&ip->meta);
	rwlock_unlock(&ip->lock);
	return err;
}

/* keep: whoever may hold orphans has not said so yet. */
static int intent_finish(struct fs *fs, uint32_t slot, int keep)
{
	enum pmfs2_intent_kind kind;
	uint64_t ino, arg[3];
	struct inode *ip;
	int err;

	intent_read(fs, slot, &kind, &ino, arg);
	if (kind == PMFS2_INTENT_NONE && !ino)
		return 0;
	err = inode_get_ino(fs, ino, &ip);
	if (!err && le32_get(ip->media->intent) != slot + 1) {
		inode_put(fs, ip);
		err = -ESTALE;
	}
	if (err == -ESTALE)
		return fs_corrupt(fs, "intent %u: inode %llu does not belong to it", slot, (unsigned long long)ino);
	if (err)
		return err;
	switch (kind) {
	case PMFS2_INTENT_ORPHAN:
		if (le32_get(ip->media->nlink))
			err = fs_corrupt(fs, "intent %u: orphan inode %llu has links", slot, (unsigned long long)ino);
		else if (atomic_load(&fs->mount_flags) & ZUS_MOUNT_KEEP_ORPHANS && (keep || refs_count(fs->refs, inode_node(ip))))
			err = 0; /* open somewhere: freed when it is forgotten */
		else
			err = inode_free(fs, ip);
		break;
	case PMFS2_INTENT_TRUNCATE:
		err = inode_is_reg(ip) ? truncate_finish(fs, ip) : -EUCLEAN;
		break;
	case PMFS2_INTENT_SHIFT:
		err = inode_is_reg(ip) ? file_shift_resume(fs, ip, slot) : -EUCLEAN;
		break;
	default:
		err = fs_corrupt(fs, "intent %u: unknown kind %d", slot, (int)kind);
	}
	inode_put(fs, ip);
	return err;
}

static int intents_walk(struct fs *fs, int keep)
{
	uint32_t n = fs->intents->n_blocks * PMFS2_INTENTS_PER_BLOCK;

	for (uint32_t slot = 0; slot < n; slot++) {
		int err = intent_finish(fs, slot, keep);

		/* Whoever next uses the file tries again, once something else has been removed; of orphans, intents_retry(). */
		if (err == -ENOSPC) {
			fs_log(fs, LOG_LEVEL_NOTICE, "intent %u: no space to finish it now", slot);
			atomic_store_explicit(&fs->orphans_left, 1, memory_order_relaxed);
			continue;
		}
		if (err)
			return err;
	}
	return 0;
}

int intents_finish(struct fs *fs)
{
	return intents_walk(fs, 0);
}

int intents_finish_keep_orphans(struct fs *fs)
{
	return intents_walk(fs, 1);
}

/* One that is an orphan's. Others work meanwhile: inode_free looks at everything again under its locks. */
static int orphan_retry(struct fs *fs, uint32_t slot)
{
	enum pmfs2_intent_kind kind;
	uint64_t ino, arg[3];
	struct inode *ip;
	int err;

	intent_read(fs, slot, &kind, &ino, arg);
	if (kind != PMFS2_INTENT_ORPHAN)
		return 0;
	err = inode_get_ino(fs, ino, &ip);
	if (err)
		return err == -ESTALE ? 0 : err;
	err = inode_free(fs, ip);
	inode_put(fs, ip);
	return err;
}

void intents_retry(struct fs *fs)
{
	uint32_t n = atomic_load_explicit(&fs->intents->n_blocks, memory_order_acquire) * PMFS2_INTENTS_PER_BLOCK;

	/* Kept orphans look as if nobody held them: op_remount sees to all. */
	if (atomic_load(&fs->mount_flags) & ZUS_MOUNT_KEEP_ORPHANS)
		return;
	if (fs_check_writable(fs) || !atomic_exchange_explicit(&fs->orphans_left, 0, memory_order_relaxed))
		return;
	for (uint32_t slot = 0; slot < n; slot++) {
		int err = orphan_retry(fs, slot);

		if (err == -ENOMEM || err == -ENOSPC)
			atomic_store_explicit(&fs->orphans_left, 1, memory_order_relaxed);
		if (err == -ENOMEM)
			return;
	}
}
