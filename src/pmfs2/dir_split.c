/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Directories: making room. A bucket that is full is rewritten without its dead entries (compaction), or as two buckets that are
 * told apart by a further bit of the hash (split), with new nodes between where that bit belongs to a lower level.
 *
 * Order: 1. the new buckets and nodes are written to blocks that nothing points to; 2. fence; 3. one record swings the pointers,
 *	marks the new blocks used and frees the old bucket.
 * If cut: before 3 the blocks are free and their contents garbage; behind it everything is done.
 * Recovered by: the journal alone.
 */
#include <string.h>

#include "pmfs2/alloc.h"
#include "pmfs2/dir.h"
#include "pmfs2/dir_bucket.h"
#include "pmfs2/dir_walk.h"

/* With so many dead bytes a compaction makes room for any entry; all slots used up by dead ones come to more, too. */
#define COMPACT_DEAD_BYTES 512u
static_assert(COMPACT_DEAD_BYTES >= BUCKET_DIRENT_MAX + 8, "a compaction makes room for an entry and its slot");
static_assert((PMFS2_BUCKET_SLOTS_MAX - (PMFS2_BLOCK_SIZE - PMFS2_BUCKET_SLOTS_OFF) / (sizeof(struct pmfs2_dirent) + 4)) *
		      sizeof(struct pmfs2_dirent) >= COMPACT_DEAD_BYTES, "no slots left means dead entries enough");

/* A new bucket and the pointer to it. */
struct side {
	uint64_t prefix;
	uint64_t word; /* 0: no entries, a hole */
};

struct rewrite {
	struct dir_view view;
	struct dir_place at; /* the old bucket */
	uint64_t hash; /* of the name that needs room */
	struct bucket_list list;
	struct inode_edit edit;
	struct tx tx;
	uint64_t goal;
	union {
		uint8_t bytes[PMFS2_BLOCK_SIZE];
		le64 words[PMFS2_BLOCK_WORDS];
		struct pmfs2_bucket header;
	} image; /* of the block being built */
};

static int block_new(struct rewrite *rw, uint64_t *out_block)
{
	struct run run;
	int err = alloc_run(rw->view.fs, rw->goal, 1, 0, &run);

	if (err)
		return err;
	tx_use(&rw->tx, run);
	rw->edit.image.blocks = le64_of(le64_get(rw->edit.image.blocks) + 1);
	rw->goal = run.block + 1;
	*out_block = run.block;
	return 0;
}

static void block_write(struct rewrite *rw, uint64_t block)
{
	pmem_copy(rw->view.fs->pm, fs_block(rw->view.fs, block), rw->image.bytes, PMFS2_BLOCK_SIZE);
}

/* Writes a bucket with the entries that belong to side->prefix; none: leaves side->word 0. */
static int bucket_write(struct rewrite *rw, struct side *side, uint32_t depth)
{
	const struct bucket_list *list = &rw->list;
	uint64_t block;
	uint32_t i;
	int err;

	side->word = 0;
	for (i = 0; i < list->n && hash_prefix(list->items[i].hash, depth) != side->prefix; i++)
		;
	if (i == list->n)
		return 0;
	err = block_new(rw, &block);
	if (err)
		return err;
	memset(&rw->image, 0, sizeof(rw->image));
	bucket_header_build(&rw->image.header, rw->view.ino, block, side->prefix, depth);
	for (; i < list->n; i++) {
		const struct bucket_item *item = &list->items[i];

		if (hash_prefix(item->hash, depth) == side->prefix)
			bucket_image_append(rw->image.bytes, (const uint8_t *)rw->at.bucket + item->off, item->len_bytes,
					    item->hash);
	}
	block_write(rw, block);
	side->word = dir_pointer(rw->view.ino, PMFS2_ENTRY_BUCKET, block);
	return 0;
}

/* The pointers of the old bucket lead to the sides instead, in the same node. */
static void link_in_place(struct rewrite *rw, const struct side *sides, uint32_t n_sides, uint32_t depth)
{
	uint32_t old_n, n, linked = 0;
	const le64 *node;

	if (rw->at.level < 0) {
		rw->edit.image.root = le64_of(sides[0].word);
		return;
	}
	node = rw->at.nodes[rw->at.level];
	old_n = dir_run_words(rw->at.level, rw->at.depth);
	n = dir_run_words(rw->at.level, depth);
	for (uint32_t i = 0; i < n_sides; i++)
		linked += sides[i].word ? n : 0;
	if (linked < old_n)
		tx_fill(&rw->tx, &node[dir_index(rw->hash, rw->at.level) & ~(old_n - 1)], 0, old_n);
	for (uint32_t i = 0; i < n_sides; i++)
		if (sides[i].word)
			tx_fill(&rw->tx, &node[dir_index(sides[i].prefix, rw->at.level)], sides[i].word, n);
}

/* New nodes from the level of the sides up to the one below the old bucket's pointers, which then lead to the uppermost. */
static int link_below(struct rewrite *rw, const struct side *sides, uint32_t depth, int bottom)
{
	uint32_t n = dir_run_words(bottom, depth);
	struct side node = { .prefix = rw->hash };
	uint64_t block;
	int err;

	for (int level = bottom; level > rw->at.level; level--) {
		memset(&rw->image, 0, sizeof(rw->image));
		if (level < bottom)
			rw->image.words[dir_index(rw->hash, level)] = le64_of(node.word);
		for (uint32_t s = 0; level == bottom && s < 2; s++)
			for (uint32_t i = 0; i < n; i++)
				rw->image.words[dir_index(sides[s].prefix, level) + i] = le64_of(sides[s].word);
		err = block_new(rw, &block);
		if (err)
			return err;
		block_write(rw, block);
		node.word = dir_pointer(rw->view.ino, PMFS2_ENTRY_NODE, block);
	}
	link_in_place(rw, &node, 1, DIR_LEVEL_BITS * (uint32_t)(rw->at.level + 1));
	return 0;
}

/* The depth at which the entries and the new name part. 0: they all have one hash. */
static uint32_t parting_depth(const struct rewrite *rw)
{
	uint64_t differ = 0;

	for (uint32_t i = 0; i < rw->list.n; i++)
		differ |= rw->list.items[i].hash ^ rw->hash;
	return differ ? (uint32_t)__builtin_clzll(differ) : 0; /* bit 62 is the first: depth 1 */
}

static int split_build(struct rewrite *rw)
{
	uint32_t depth = parting_depth(rw);
	struct side sides[2];
	int bottom, err;

	if (!depth)
		return -ENOSPC;
	bottom = (int)((depth - 1) / DIR_LEVEL_BITS);
	sides[0].prefix = hash_prefix(rw->hash, depth - 1);
	sides[1].prefix = sides[0].prefix | 1ull << (PMFS2_HASH_BITS - depth);
	err = bucket_write(rw, &sides[0], depth);
	if (!err)
		err = bucket_write(rw, &sides[1], depth);
	if (err)
		return err;
	if (bottom > rw->at.level)
		return link_below(rw, sides, depth, bottom);
	link_in_place(rw, sides, 2, depth);
	return 0;
}

static int compact_build(struct rewrite *rw)
{
	struct side side = { .prefix = hash_prefix(rw->hash, rw->at.depth) };
	int err = bucket_write(rw, &side, rw->at.depth);

	if (!err)
		link_in_place(rw, &side, 1, rw->at.depth);
	return err;
}

/* Replaces the bucket at rw->at, in a transaction of its own. The caller holds the directory's meta lock. */
static int rewrite_run(struct rewrite *rw, struct inode *dir, int compact)
{
	const char *bad = bucket_collect(rw->at.bucket, rw->view.ino, &rw->list);
	struct fs *fs = rw->view.fs;
	int err;

	if (bad)
		return dir_bucket_corrupt(&rw->view, rw->at.block, bad);
	err = dir_run_check(&rw->view, &rw->at, rw->hash);
	if (err)
		return err;
	tx_begin(&rw->tx, fs);
	inode_edit_begin(&rw->edit, dir);
	rw->goal = rw->at.block + 1;
	err = compact ? compact_build(rw) : split_build(rw);
	if (err) {
		tx_drop(&rw->tx);
		return err;
	}
	tx_free(&rw->tx, (struct run){ rw->at.block, 1 }, 1);
	rw->edit.image.blocks = le64_of(le64_get(rw->edit.image.blocks) - 1);
	inode_edit_log(&rw->tx, &rw->edit);
	pmem_fence(fs->pm);
	return tx_commit(&rw->tx);
}

/* 0: the entry fits, or there is no bucket yet (dir_insert makes one). 1: the bucket at rw->at is full, *out_dyn its dyn word. */
static int needs_room(struct rewrite *rw, uint32_t len_bytes, struct bucket_dyn *out_dyn)
{
	const char *bad;
	int err = dir_descend(&rw->view, rw->hash, &rw->at);

	if (err || !rw->at.bucket)
		return err;
	bad = bucket_dyn_unpack(le64_load(&rw->at.bucket->dyn), out_dyn);
	if (bad)
		return dir_bucket_corrupt(&rw->view, rw->at.block, bad);
	return !bucket_has_room(out_dyn, len_bytes);
}

/* Each round takes the bucket apart at a lower bit, or compacts it once: 63 bits bound them. */
static int make_room(struct rewrite *rw, struct inode *dir, uint32_t len_bytes, struct bucket_dyn *dyn)
{
	int err;

	for (uint32_t round = 0; round <= PMFS2_HASH_BITS; round++) {
		mutex_lock(&dir->meta);
		err = rewrite_run(rw, dir, dyn->dead >= COMPACT_DEAD_BYTES);
		mutex_unlock(&dir->meta);
		if (err)
			return err;
		rw->view.root = le64_load(&dir->media->root);
		err = needs_room(rw, len_bytes, dyn);
		if (err <= 0)
			return err;
	}
	return -ENOSPC;
}

int dir_prepare(struct fs *fs, struct inode *dir, struct zus_name name)
{
	struct rewrite rw;
	struct bucket_dyn dyn;
	uint32_t len_bytes = dirent_bytes(name.len);
	int err;

	rw.view = (struct dir_view){ .fs = fs, .ino = dir->ino, .root = le64_load(&dir->media->root) };
	rw.hash = dir_hash(fs, name);
	err = needs_room(&rw, len_bytes, &dyn);
	return err <= 0 ? err : make_room(&rw, dir, len_bytes, &dyn);
}
