/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inode table. Threads allocate from chunks of their own (slots), which they keep locked from itable_take to itable_put, so
 * that the bitmap on media alone says what is free.
 *
 * Locks: slot mutexes (LOCK_RANK_ITABLE, order = slot + 1), then grow (highest order), which protects the assignment of chunks to
 * slots, the search for room and growth. Lookups take none: tree words are only ever added, each by one aligned store.
 */
#include "pmfs2/itable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "pmfs2/alloc.h"
#include "pmfs2/thread_id.h"

#define SLOTS 64u
#define NO_CHUNK UINT64_MAX
#define SCAN_STEP 64u /* chunks looked at before the table grows instead */
#define RECENT 256u
#define ITABLE_HEIGHT_MAX 4u
#define CHUNK_AT_MAX 65536u

struct itable_slot {
	struct mutex mu;
	uint64_t chunk; /* number, NO_CHUNK; changes under mu and grow */
	const struct pmfs2_chunk *media;
};

struct itable {
	struct itable_slot slots[SLOTS];
	struct mutex grow;
	uint64_t scan; /* next chunk to look at */
	_Atomic uint64_t recent[RECENT]; /* chunk numbers + 1 where inodes were freed lately; 0: none */
	_Atomic uint32_t recent_next;
};

void itable_free(struct itable *it)
{
	if (!it)
		return;
	for (uint32_t i = 0; i < SLOTS; i++)
		mutex_fini(&it->slots[i].mu);
	mutex_fini(&it->grow);
	free(it);
}

static int damaged(struct fs *fs, uint64_t chunk, uint32_t level)
{
	return fs_corrupt(fs, "inode table: damaged entry for chunk %llu at level %u", (unsigned long long)chunk, level);
}

/* First chunk that the entry of a node of this level covering chunk stands for. */
static uint64_t level_base(uint64_t chunk, uint32_t level)
{
	uint32_t shift = 9 * (level - 1);

	return level ? chunk >> shift << shift : 0;
}

static uint32_t level_index(uint64_t chunk, uint32_t level)
{
	return (uint32_t)(chunk >> (9 * (level - 1))) & 511;
}

/* The root word: kind CHUNK with height 0, or NODE. 0 where there is none. -EUCLEAN. */
static int root_read(struct fs *fs, struct entry *out)
{
	uint64_t word = le64_load(&fs->state->itable_root);
	struct entry_pos pos = { .owner = PMFS2_INO_ITABLE };

	if (!word)
		return 0;
	pos.level = (uint32_t)(word >> PMFS2_ENTRY_HEIGHT_SHIFT & 15);
	if (!entry_unpack(&pos, word, out) || out->height > ITABLE_HEIGHT_MAX ||
	    out->kind != (out->height ? PMFS2_ENTRY_NODE : PMFS2_ENTRY_CHUNK) ||
	    !fs_block_ok(fs, out->block, out->height ? 1 : PMFS2_CHUNK_BLOCKS))
		return damaged(fs, 0, pos.level);
	return 1;
}

/*
 * The count stands for the numbers below it: the search for room goes through them, and the next chunk gets it as its number. The
 * tree is as high as it needs, and each chunk takes space. -EUCLEAN.
 */
static int chunks_check(struct fs *fs)
{
	uint64_t n = le64_load(&fs->state->itable_chunks);
	struct entry root = { 0 };
	int r = root_read(fs, &root);

	if (r < 0)
		return r;
	if (r && n && n <= fs->n_blocks / PMFS2_CHUNK_BLOCKS && n <= 1ull << (9 * root.height) &&
	    (!root.height || n > 1ull << (9 * (root.height - 1))))
		return 0;
	return fs_corrupt(fs, "state block: %llu inode chunks in a tree of height %u", (unsigned long long)n, root.height);
}

int itable_new(struct fs *fs, struct itable **out)
{
	struct itable *it;
	int err = chunks_check(fs);

	if (err)
		return err;
	it = calloc(1, sizeof(*it));
	if (!it)
		return -ENOMEM;
	for (uint32_t i = 0; i < SLOTS; i++) {
		mutex_init(&it->slots[i].mu, LOCK_RANK_ITABLE, i + 1);
		it->slots[i].chunk = NO_CHUNK;
	}
	mutex_init(&it->grow, LOCK_RANK_ITABLE, SLOTS + 1);
	*out = it;
	return 0;
}

/* 1 and the entry, 0 if there is none, -EUCLEAN. level: of the node at block. */
static int child_read(struct fs *fs, uint64_t block, uint32_t level, uint64_t chunk, struct entry *out)
{
	const le64 *node = fs_block(fs, block);
	uint64_t word = le64_load(node + level_index(chunk, level));
	struct entry_pos pos = { .owner = PMFS2_INO_ITABLE, .level = level, .index = level_base(chunk, level) };

	if (!word)
		return 0;
	if (!entry_unpack(&pos, word, out) || out->kind != (level > 1 ? PMFS2_ENTRY_NODE : PMFS2_ENTRY_CHUNK) ||
	    !fs_block_ok(fs, out->block, level > 1 ? 1 : PMFS2_CHUNK_BLOCKS))
		return damaged(fs, chunk, level);
	return 1;
}

/* -ESTALE if the chunk does not exist. */
static int chunk_find(struct fs *fs, uint64_t chunk, const struct pmfs2_chunk **out)
{
	struct entry e;
	uint32_t level;
	int r = root_read(fs, &e);

	if (r <= 0)
		return r ? r : -ESTALE;
	if (e.height < ITABLE_HEIGHT_MAX && chunk >> (9 * e.height))
		return -ESTALE;
	for (level = e.height; level; level--) {
		r = child_read(fs, e.block, level, chunk, &e);
		if (r <= 0)
			return r ? r : -ESTALE;
	}
	*out = fs_block(fs, e.block);
	return 0;
}

int itable_find(struct fs *fs, uint64_t ino, const struct pmfs2_inode **out)
{
	const struct pmfs2_chunk *chunk;
	int err;

	if (!(ino % PMFS2_CHUNK_INODES) || ino >> PMFS2_INO_BITS)
		return -ESTALE;
	err = chunk_find(fs, ino / PMFS2_CHUNK_INODES, &chunk);
	if (err)
		return err;
	*out = (const struct pmfs2_inode *)(const void *)chunk + ino % PMFS2_CHUNK_INODES;
	return 0;
}

int itable_chunk_at(struct fs *fs, uint64_t block, uint64_t *out_chunk)
{
	const struct pmfs2_chunk *media;
	int err = 0;

	for (uint64_t chunk = 0; !err && chunk < CHUNK_AT_MAX; chunk++) {
		err = chunk_find(fs, chunk, &media);
		if (!err && block - (pmem_off(fs->pm, media) >> PMFS2_BLOCK_SHIFT) < PMFS2_CHUNK_BLOCKS) {
			*out_chunk = chunk;
			return 1;
		}
	}
	return 0;
}

static int chunk_verify(struct fs *fs, const struct pmfs2_chunk *media, uint64_t number)
{
	struct pmfs2_chunk head;
	uint32_t crc;

	memcpy(&head, media, 64);
	crc = le32_get(head.crc);
	head.crc = le32_of(0);
	if (le32_get(head.magic) != PMFS2_MAGIC_CHUNK || crc != crc32c_of(&head, 64) || le64_get(head.index) != number)
		return fs_corrupt(fs, "inode chunk %llu: damaged header", (unsigned long long)number);
	return 0;
}

static int chunk_free_slot(const struct pmfs2_chunk *media)
{
	for (uint32_t w = 0; w < 4; w++) {
		uint64_t word = ~le64_load(&media->used[w]) & (w ? ~0ull : ~1ull);

		if (word)
			return (int)(w * 64 + (uint32_t)__builtin_ctzll(word));
	}
	return -1;
}

static int chunk_assigned(const struct itable *it, uint64_t chunk)
{
	for (uint32_t i = 0; i < SLOTS; i++)
		if (it->slots[i].chunk == chunk)
			return 1;
	return 0;
}

/* Under grow: gives the chunk to the slot if it has room and nobody has it. 1, 0, -errno. */
static int slot_try(struct fs *fs, struct itable_slot *slot, uint64_t number)
{
	const struct pmfs2_chunk *media;
	int err;

	if (chunk_assigned(fs->itable, number))
		return 0;
	err = chunk_find(fs, number, &media);
	if (!err)
		err = chunk_verify(fs, media, number);
	if (err)
		return err == -ESTALE ? 0 : err;
	if (chunk_free_slot(media) < 0)
		return 0;
	slot->chunk = number;
	slot->media = media;
	return 1;
}

/* Under grow: chunks that had frees lately, then some steps of the scan, or all of it. 1, 0, -errno. */
static int slot_search(struct fs *fs, struct itable_slot *slot, uint64_t n_scan)
{
	struct itable *it = fs->itable;
	uint64_t n_chunks = le64_load(&fs->state->itable_chunks);
	int r;

	for (uint32_t i = 0; i < RECENT; i++) {
		uint64_t number = atomic_exchange_explicit(&it->recent[i], 0, memory_order_relaxed);

		if (number) {
			r = slot_try(fs, slot, number - 1);
			if (r)
				return r;
		}
	}
	for (uint64_t i = 0; i < n_scan && i < n_chunks; i++) {
		uint64_t number = it->scan++ % n_chunks;

		r = slot_try(fs, slot, number);
		if (r)
			return r;
	}
	return 0;
}

/* A fresh node with this child and what else is in words, written directly. Given back by the caller on errors. */
static int node_new(struct fs *fs, const le64 words[PMFS2_BLOCK_WORDS], struct run *out)
{
	int err = alloc_run(fs, 0, 1, 0, out);

	if (!err)
		pmem_copy(fs->pm, fs_block(fs, out->block), words, PMFS2_BLOCK_SIZE);
	return err;
}

/* The entry of a node of this level that leads to the chunk. */
static le64 child_word(uint64_t chunk, uint32_t level, const struct entry *child)
{
	struct entry_pos pos = { .owner = PMFS2_INO_ITABLE, .level = level, .index = level_base(chunk, level) };

	return le64_of(entry_pack(&pos, child));
}

/*
 * Nodes above a new chunk, from the lowest missing level up, in *e: afterwards *e is what the word at level has to point to.
 * The nodes' runs are noted in tx (tx_use), so that tx_drop gives them back.
 */
static int path_build(struct tx *tx, uint64_t chunk, uint32_t level, struct entry *e)
{
	for (uint32_t l = 1; l < level; l++) {
		le64 words[PMFS2_BLOCK_WORDS] = { 0 };
		struct run run;
		int err;

		words[level_index(chunk, l)] = child_word(chunk, l, e);
		err = node_new(tx->fs, words, &run);
		if (err)
			return err;
		tx_use(tx, run);
		*e = (struct entry){ .block = run.block, .kind = PMFS2_ENTRY_NODE };
	}
	return 0;
}

static uint64_t root_word(const struct entry *e, uint32_t height)
{
	struct entry_pos pos = { .owner = PMFS2_INO_ITABLE, .level = height };
	struct entry root = *e;

	root.height = height;
	return entry_pack(&pos, &root);
}

/* A new root above the old one, with the old one and the new chunk's path below it. */
static int root_raise(struct tx *tx, uint64_t chunk, const struct entry *root, struct entry *e)
{
	struct entry old = *root, top = { .kind = PMFS2_ENTRY_NODE, .height = root->height + 1 };
	le64 words[PMFS2_BLOCK_WORDS] = { 0 };
	struct run run;
	int err;

	if (root->height == ITABLE_HEIGHT_MAX)
		return -ENOSPC;
	err = path_build(tx, chunk, top.height, e);
	if (err)
		return err;
	old.height = 0;
	words[0] = child_word(0, top.height, &old);
	words[level_index(chunk, top.height)] = child_word(chunk, top.height, e);
	err = node_new(tx->fs, words, &run);
	if (err)
		return err;
	tx_use(tx, run);
	top.block = run.block;
	tx_put(tx, &tx->fs->state->itable_root, root_word(&top, top.height));
	return 0;
}

/* Logs the words that make the chunk at e reachable. New nodes are written directly; the caller fences before the commit. */
static int chunk_link(struct tx *tx, uint64_t chunk, struct entry e)
{
	struct fs *fs = tx->fs;
	struct entry root;
	uint32_t level;
	int r = root_read(fs, &root), err;

	/* There is a first chunk from mkfs on, and chunks_check has seen it. */
	if (r <= 0)
		return r ? r : damaged(fs, chunk, 0);
	if (chunk >> (9 * root.height))
		return root_raise(tx, chunk, &root, &e);
	for (level = root.height; level > 1; level--) {
		struct entry next;

		r = child_read(fs, root.block, level, chunk, &next);
		if (r < 0)
			return r;
		if (!r)
			break;
		root.block = next.block;
	}
	if (!level || le64_load((const le64 *)fs_block(fs, root.block) + level_index(chunk, level)))
		return damaged(fs, chunk, level); /* a chunk stands where the count says that there is none */
	err = path_build(tx, chunk, level, &e);
	if (err)
		return err;
	tx_put(tx, (const le64 *)fs_block(fs, root.block) + level_index(chunk, level), le64_get(child_word(chunk, level, &e)));
	return 0;
}

static void chunk_write(struct fs *fs, uint64_t block, uint64_t number)
{
	struct pmfs2_chunk head = {
		.magic = le32_of(PMFS2_MAGIC_CHUNK),
		.index = le64_of(number),
		.block = le64_of(block),
		.used = { le64_of(1) },
	};

	head.crc = le32_of(crc32c_of(&head, 64));
	pmem_zero(fs->pm, fs_block(fs, block), (size_t)PMFS2_CHUNK_BLOCKS << PMFS2_BLOCK_SHIFT);
	pmem_copy(fs->pm, fs_block(fs, block), &head, sizeof(head));
}

/*
 * Under grow.
 * Order: chunk and nodes written, fence, one record with the word that reaches them and the chunk count.
 * If cut: before the record, free blocks with garbage; after it, a chunk of free inodes.
 */
static int table_grow(struct fs *fs)
{
	uint64_t number = le64_load(&fs->state->itable_chunks);
	struct entry e = { .kind = PMFS2_ENTRY_CHUNK };
	struct run run;
	struct tx tx;
	int err;

	if (number >> (PMFS2_INO_BITS - 8))
		return -ENOSPC;
	err = alloc_run(fs, 0, PMFS2_CHUNK_BLOCKS, ALLOC_CHUNK, &run);
	if (err)
		return err;
	tx_begin(&tx, fs);
	tx_use(&tx, run);
	chunk_write(fs, run.block, number);
	e.block = run.block;
	err = chunk_link(&tx, number, e);
	if (err) {
		tx_drop(&tx);
		return err;
	}
	tx_put(&tx, &fs->state->itable_chunks, number + 1);
	pmem_fence(fs->pm);
	return tx_commit(&tx);
}

/* Under the slot's lock: another chunk with room. */
static int slot_refill(struct fs *fs, struct itable_slot *slot)
{
	struct itable *it = fs->itable;
	int r;

	mutex_lock(&it->grow);
	slot->chunk = NO_CHUNK;
	r = slot_search(fs, slot, SCAN_STEP);
	if (!r) {
		r = table_grow(fs);
		if (!r)
			r = slot_try(fs, slot, le64_load(&fs->state->itable_chunks) - 1);
		else if (r == -ENOSPC)
			r = slot_search(fs, slot, UINT64_MAX);
		if (!r)
			r = -ENOSPC;
	}
	mutex_unlock(&it->grow);
	return r < 0 ? r : 0;
}

int itable_take(struct fs *fs, struct ino_slot *out)
{
	struct itable_slot *slot = &fs->itable->slots[thread_id() % SLOTS];
	int n, err;

	mutex_lock(&slot->mu);
	n = slot->chunk == NO_CHUNK ? -1 : chunk_free_slot(slot->media);
	if (n < 0) {
		err = slot_refill(fs, slot);
		if (err) {
			mutex_unlock(&slot->mu);
			return err;
		}
		n = chunk_free_slot(slot->media);
	}
	out->slot = slot;
	out->ino = slot->chunk * PMFS2_CHUNK_INODES + (uint64_t)n;
	out->media = (const struct pmfs2_inode *)(const void *)slot->media + n;
	out->generation = le32_get(out->media->generation) + 1;
	return 0;
}

void itable_put(struct ino_slot *slot)
{
	mutex_unlock(&slot->slot->mu);
}

static const le64 *used_word(const struct pmfs2_inode *media, uint64_t ino, uint64_t *out_mask)
{
	uint32_t n = (uint32_t)(ino % PMFS2_CHUNK_INODES);
	const struct pmfs2_chunk *chunk = (const struct pmfs2_chunk *)(const void *)(media - n);

	*out_mask = 1ull << (n % 64);
	return &chunk->used[n / 64];
}

void itable_log_use(struct tx *tx, const struct ino_slot *slot)
{
	uint64_t mask;
	const le64 *word = used_word(slot->media, slot->ino, &mask);

	tx_set_bits(tx, word, mask);
	tx->d_inodes++;
}

int itable_log_free(struct tx *tx, uint64_t ino)
{
	struct itable *it = tx->fs->itable;
	const struct pmfs2_inode *media;
	uint64_t mask;
	const le64 *word;
	uint32_t i;
	int err = itable_find(tx->fs, ino, &media);

	if (err)
		return err;
	word = used_word(media, ino, &mask);
	tx_clear_bits(tx, word, mask);
	tx->d_inodes--;
	i = atomic_fetch_add_explicit(&it->recent_next, 1, memory_order_relaxed) % RECENT;
	atomic_store_explicit(&it->recent[i], ino / PMFS2_CHUNK_INODES + 1, memory_order_relaxed);
	return 0;
}
