/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Directories: lookup, insert, remove, replace.
 *
 * Order: everything that an insert, remove or replace stores goes into the caller's record: the slot word, the dyn word, the
 *	entry's body, and where a bucket comes or goes its header, the pointers to it and the bitmap. One fence, none of it here.
 * If cut: before the record is durable nothing has changed (a new bucket's block is not even written); behind it, replay stores
 *	all words again.
 * Recovered by: the journal alone.
 *
 * Locks: dir->lock, exclusive for changes. Readers see whole operations only, since it is held until the commit has returned.
 */
#include "pmfs2/dir.h"

#include <assert.h>
#include <string.h>

#include "pmfs2/alloc.h"
#include "pmfs2/dir_bucket.h"
#include "pmfs2/dir_walk.h"
#include "pmfs2/siphash.h"

uint64_t dir_hash(const struct fs *fs, struct zus_name name)
{
	uint64_t hash = siphash13(fs->hash_key, name.str, name.len) >> 1;

	return hash < PMFS2_HASH_MIN ? hash + PMFS2_HASH_MIN : hash;
}

int dir_lookup(struct fs *fs, struct inode *dir, struct zus_name name, struct dir_entry *out)
{
	struct dir_view view = { .fs = fs, .ino = dir->ino, .root = le64_load(&dir->media->root) };
	uint64_t hash = dir_hash(fs, name);
	struct bucket_match match;
	struct dir_place at;
	const char *bad;
	int err;

	err = dir_descend(&view, hash, &at);
	if (unlikely(err))
		return err;
	if (!at.bucket)
		return -ENOENT;
	bad = bucket_find(at.bucket, dir->ino, hash, name, &match);
	if (unlikely(bad))
		return dir_bucket_corrupt(&view, at.block, bad);
	if (!match.off)
		return -ENOENT;
	*out = (struct dir_entry){
		.ino = match.entry.ino,
		.type = match.entry.type,
		.hash = hash,
		.bucket = at.bucket,
		.entry = (const struct pmfs2_dirent *)((const uint8_t *)at.bucket + match.off),
		.slot = match.slot,
	};
	return 0;
}

static struct dir_view view_of(const struct tx *tx, const struct inode_edit *dir)
{
	return (struct dir_view){ .fs = tx->fs, .ino = dir->ip->ino, .root = le64_get(dir->image.root), .tx = tx };
}

static void edit_add(le64 *counter, int64_t delta)
{
	uint64_t value = le64_get(*counter);

	*counter = le64_of(delta < 0 && value < (uint64_t)-delta ? 0 : value + (uint64_t)delta);
}

/* True if the word is a hole now and after the transaction. */
static int is_hole(const struct dir_view *view, const le64 *addr)
{
	return !le64_load(addr) && !tx_get(view->tx, addr);
}

/* Depth of a new bucket for a hole in a node: it covers the largest aligned run of holes around it, at most half the node. */
static uint32_t hole_depth(const struct dir_view *view, const struct dir_place *at, uint64_t hash)
{
	const le64 *node = at->nodes[at->level];
	uint32_t index = dir_index(hash, at->level), bits, i;

	for (bits = 0; bits < DIR_LEVEL_BITS - 1; bits++) {
		uint32_t n = 1u << bits, other = (index & ~(n - 1)) ^ n;

		for (i = 0; i < n && is_hole(view, &node[other + i]); i++)
			;
		if (i < n)
			break;
	}
	return DIR_LEVEL_BITS * (uint32_t)(at->level + 1) - bits;
}

/* A bucket with one entry where there was none: at the root, or in a hole of a node. */
static int insert_first(struct tx *tx, struct inode_edit *dir, const struct dir_place *at, uint64_t hash, const le64 *entry,
			uint32_t len_bytes)
{
	struct dir_view view = view_of(tx, dir);
	uint32_t depth = at->level < 0 ? 0 : hole_depth(&view, at, hash), n, tail = PMFS2_BLOCK_SIZE - len_bytes;
	struct {
		struct pmfs2_bucket header;
		le64 slots;
	} head;
	const struct bucket_dyn dyn = { .slots = 1, .tail = tail, .live = 1 };
	const uint8_t *media;
	struct run run;
	uint64_t word;
	int err;

	err = alloc_run(tx->fs, at->level < 0 ? 0 : pmem_off(tx->fs->pm, at->nodes[at->level]) >> PMFS2_BLOCK_SHIFT, 1, 0, &run);
	if (err)
		return err;
	tx_use(tx, run);
	bucket_header_build(&head.header, dir->ip->ino, run.block, hash_prefix(hash, depth), depth);
	head.header.dyn = le64_of(bucket_dyn_pack(&dyn));
	head.header.sum = le64_of(bucket_slot_value(tail, hash));
	head.slots = head.header.sum;
	media = fs_block(tx->fs, run.block);
	tx_put_words(tx, media, &head, sizeof(head) / 8);
	tx_put_words(tx, media + tail, entry, len_bytes / 8);
	word = dir_pointer(dir->ip->ino, PMFS2_ENTRY_BUCKET, run.block);
	if (at->level < 0) {
		dir->image.root = le64_of(word);
	} else {
		n = dir_run_words(at->level, depth);
		tx_fill(tx, &at->nodes[at->level][dir_index(hash, at->level) & ~(n - 1)], word, n);
	}
	edit_add(&dir->image.blocks, 1);
	return 0;
}

/* The words dyn and sum stand side by side. */
static void counts_put(struct tx *tx, const struct pmfs2_bucket *b, const struct bucket_dyn *dyn, uint32_t sum)
{
	const le64 words[2] = { le64_of(bucket_dyn_pack(dyn)), le64_of(sum) };

	tx_put_words(tx, &b->dyn, words, 2);
}

static int insert_into(struct tx *tx, const struct dir_view *view, const struct dir_place *at, uint64_t hash, const le64 *entry,
		       uint32_t len_bytes)
{
	const struct pmfs2_bucket *b = at->bucket;
	struct bucket_dyn dyn;
	const le64 *slots;
	const char *bad;
	uint32_t value;
	uint64_t word;

	bad = bucket_dyn_unpack(tx_get(tx, &b->dyn), &dyn);
	if (unlikely(bad))
		return dir_bucket_corrupt(view, at->block, bad);
	if (unlikely(!bucket_has_room(&dyn, len_bytes)))
		return -ENOSPC;
	slots = bucket_slot_word(b, dyn.slots);
	dyn.tail -= len_bytes;
	word = dyn.slots & 1 ? tx_get(tx, slots) : 0;
	value = bucket_slot_value(dyn.tail, hash);
	tx_put(tx, slots, bucket_slot_set(word, dyn.slots, value));
	tx_put_words(tx, (const uint8_t *)b + dyn.tail, entry, len_bytes / 8);
	dyn.slots++;
	dyn.live++;
	counts_put(tx, b, &dyn, (uint32_t)tx_get(tx, &b->sum) + value);
	return 0;
}

int dir_insert(struct tx *tx, struct inode_edit *dir, struct zus_name name, uint64_t ino, uint32_t type)
{
	struct dir_view view = view_of(tx, dir);
	uint64_t hash = dir_hash(tx->fs, name);
	le64 entry[BUCKET_DIRENT_MAX / 8];
	struct dir_place at;
	uint32_t len_bytes;
	int err;

	err = dir_descend(&view, hash, &at);
	if (err)
		return err;
	len_bytes = dirent_build(entry, dir->ip->ino, hash, name, dirent_ino_type(ino, type, name.len));
	if (at.bucket)
		err = insert_into(tx, &view, &at, hash, entry, len_bytes);
	else
		err = insert_first(tx, dir, &at, hash, entry, len_bytes);
	if (err)
		return err;
	edit_add(&dir->image.size, 1);
	return 0;
}

/* As the transaction will leave it. */
static int node_is_empty(const struct tx *tx, const le64 *node)
{
	for (uint32_t i = 0; i < PMFS2_BLOCK_WORDS; i++)
		if (tx_get(tx, &node[i]))
			return 0;
	return 1;
}

static void free_block(struct tx *tx, struct inode_edit *dir, uint64_t block)
{
	tx_free(tx, (struct run){ block, 1 }, 1);
	edit_add(&dir->image.blocks, -1);
}

/* Frees a bucket, and the nodes above it that have nothing else. */
static int remove_bucket(struct tx *tx, struct inode_edit *dir, const struct dir_entry *found)
{
	struct dir_view view = view_of(tx, dir);
	struct dir_place at;
	uint32_t n;
	int err;

	err = dir_descend(&view, found->hash, &at);
	if (err)
		return err;
	if (at.bucket != found->bucket)
		return dir_bucket_corrupt(&view, at.block, "an entry has moved");
	err = dir_run_check(&view, &at, found->hash);
	if (err)
		return err;
	free_block(tx, dir, at.block);
	n = at.level < 0 ? 1 : dir_run_words(at.level, at.depth);
	for (int level = at.level; level >= 0; level--) {
		const le64 *node = at.nodes[level];

		tx_fill(tx, &node[dir_index(found->hash, level) & ~(n - 1)], 0, n);
		if (!node_is_empty(tx, node))
			return 0;
		free_block(tx, dir, pmem_off(tx->fs->pm, node) >> PMFS2_BLOCK_SHIFT);
		n = 1;
	}
	dir->image.root = le64_of(0);
	return 0;
}

/*
 * The youngest slot with the lowest entry is taken back, so that making and removing one file over and over leaves no garbage.
 * Any other becomes dead.
 */
static void remove_slot(struct tx *tx, const struct dir_entry *found, struct bucket_dyn *dyn, uint64_t slot_word,
			uint32_t len_bytes)
{
	const struct pmfs2_bucket *b = found->bucket;
	uint32_t off = (uint32_t)((const uint8_t *)found->entry - (const uint8_t *)b);
	uint32_t sum = (uint32_t)tx_get(tx, &b->sum) - bucket_slot_of(slot_word, found->slot);

	if (found->slot == dyn->slots - 1 && off == dyn->tail) {
		dyn->slots--;
		dyn->tail += len_bytes;
	} else {
		dyn->dead += len_bytes;
		tx_put(tx, bucket_slot_word(b, found->slot), bucket_slot_set(slot_word, found->slot, 0));
	}
	dyn->live--;
	counts_put(tx, b, dyn, sum);
}

int dir_remove(struct tx *tx, struct inode_edit *dir, const struct dir_entry *found)
{
	const struct pmfs2_bucket *b = found->bucket;
	struct dir_view view = view_of(tx, dir);
	uint64_t block = pmem_off(tx->fs->pm, b) >> PMFS2_BLOCK_SHIFT;
	uint32_t name_len = le64_get(found->entry->ino_type) >> 48 & 0xff;
	uint32_t len_bytes = dirent_bytes(name_len), off = (uint32_t)((const uint8_t *)found->entry - (const uint8_t *)b);
	struct bucket_dyn dyn;
	const char *bad;
	uint64_t word;
	int err = 0;

	bad = bucket_dyn_unpack(tx_get(tx, &b->dyn), &dyn);
	word = tx_get(tx, bucket_slot_word(b, found->slot));
	if (!bad && (found->slot >= dyn.slots || bucket_slot_off(bucket_slot_of(word, found->slot)) != off || !dyn.live ||
		     off < dyn.tail || off + len_bytes > PMFS2_BLOCK_SIZE || !le64_get(dir->image.size)))
		bad = "wrong counts, or an entry has moved";
	if (!bad && dyn.dead + len_bytes > PMFS2_BLOCK_SIZE - dyn.tail)
		bad = "wrong number of dead bytes";
	if (bad)
		return dir_bucket_corrupt(&view, block, bad);
	if (dyn.live == 1)
		err = remove_bucket(tx, dir, found);
	else
		remove_slot(tx, found, &dyn, word, len_bytes);
	if (err)
		return err;
	edit_add(&dir->image.size, -1);
	return 0;
}

void dir_replace(struct tx *tx, struct inode_edit *dir, const struct dir_entry *found, struct zus_name name, uint64_t ino,
		 uint32_t type)
{
	le64 entry[BUCKET_DIRENT_MAX / 8];
	const le64 *media = (const le64 *)found->entry;

	dirent_build(entry, dir->ip->ino, found->hash, name, dirent_ino_type(ino, type, name.len));
	tx_put_words(tx, media, entry, 1);
	tx_put_words(tx, media + 2, entry + 2, 1); /* the CRC and the first four bytes of the name */
}

int dir_free_step(struct tx *tx, struct inode_edit *dir)
{
	struct dir_view view = view_of(tx, dir);

	/* dir_remove frees every bucket and node with the last entry in it, so that an empty directory has no tree. */
	if (!view.root)
		return 0;
	return fs_corrupt(tx->fs, "directory %llu: no entries, but a tree", (unsigned long long)view.ino);
}
