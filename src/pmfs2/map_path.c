/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way from the root of a file's tree to one node, and making the nodes that are missing on it.
 *
 * Order: new nodes are written directly, lowest first; the caller's fence; then one word (in a present node, or the root) that
 *	makes all of them reachable is part of the caller's record.
 * If cut: before the record is durable, nobody points to the new nodes and their blocks are free on media.
 * Recovered by: nothing is needed; with the record the words are replayed.
 */
#include <string.h>

#include "pmfs2/alloc.h"
#include "pmfs2/map.h"

/* Smallest height that reaches file block at through a node of level target. */
static uint32_t height_for(uint64_t at, uint32_t target)
{
	uint32_t height = target;

	while (height < PMFS2_HEIGHT_MAX && at >= map_capacity(height))
		height++;
	return height;
}

int map_path_find(struct fs *fs, const struct map *map, uint64_t first, uint32_t target, struct map_path *path,
		  uint64_t *out_huge)
{
	int err = map_root_check(fs, map, &path->root);
	struct entry e = path->root;
	uint32_t level;

	if (err)
		return err;
	path->ino = map->ino;
	path->first = first;
	path->target = target;
	path->height = (uint32_t)u64_max(height_for(first, target), e.height);
	memset(path->block, 0, sizeof(path->block));
	*out_huge = 0;
	if (!map->root || path->height > e.height) {
		/* New nodes of levels target..height; if an old tree hangs beside them, also those that lift it. */
		path->n_missing = path->height - target + 1;
		if (map->root && map_entry_index(path->height, first))
			path->n_missing += path->height - 1 - e.height;
		else if (map->root)
			path->n_missing = path->height - e.height;
		return 0;
	}
	for (level = e.height; level >= target; level--) {
		struct entry_pos pos = map_entry_pos(map->ino, level, first);
		uint64_t word;

		path->block[level] = e.block;
		word = le64_load((const le64 *)fs_block(fs, e.block) + map_entry_index(level, first));
		if (level == target || !word)
			break;
		err = map_entry_check(fs, &pos, word, &e);
		if (err)
			return err;
		if (e.kind == PMFS2_ENTRY_HUGE) {
			*out_huge = word;
			break;
		}
	}
	path->n_missing = level > target ? level - target : 0;
	return 0;
}

int map_nodes_reserve(struct fs *fs, struct map_nodes *nodes, uint32_t n, uint32_t alloc_flags)
{
	while (nodes->n < n) {
		struct run run;
		int err = alloc_run(fs, 0, 1, alloc_flags, &run);

		if (err) {
			map_nodes_cancel(fs, nodes);
			return err;
		}
		nodes->blocks[nodes->n++] = run.block;
	}
	return 0;
}

void map_nodes_cancel(struct fs *fs, struct map_nodes *nodes)
{
	while (nodes->n > nodes->used)
		alloc_cancel(fs, (struct run){ nodes->blocks[--nodes->n], 1 });
	nodes->n = nodes->used = 0;
}

/* Writes a node of 4 KiB into the next reserved block. Returns its number. */
static uint64_t node_make(struct tx *tx, struct inode_edit *edit, struct map_nodes *nodes, const le64 *words)
{
	uint64_t block = nodes->blocks[nodes->used++];

	pmem_copy(tx->fs->pm, fs_block(tx->fs, block), words, PMFS2_BLOCK_SIZE);
	tx_use(tx, (struct run){ block, 1 });
	edit->image.blocks = le64_of(le64_get(edit->image.blocks) + 1);
	return block;
}

/* The old tree as entry 0 of a node of level level, below nodes that lift it there. */
static uint64_t old_tree_lift(struct tx *tx, struct inode_edit *edit, const struct map_path *path, struct map_nodes *nodes,
			      uint32_t level)
{
	uint64_t block = path->root.block, word;
	enum pmfs2_entry_kind kind = path->root.kind;

	word = map_pack((struct entry_pos){ path->ino, path->root.height + 1, 0 }, kind, block, path->root.unwritten);
	for (uint32_t l = path->root.height + 1; l < level; l++) {
		le64 words[PMFS2_BLOCK_WORDS] = { { 0 } };

		words[0] = le64_of(word);
		block = node_make(tx, edit, nodes, words);
		word = map_pack((struct entry_pos){ path->ino, l + 1, 0 }, PMFS2_ENTRY_NODE, block, 0);
	}
	return word;
}

/* Makes the missing node of a level with these words in it. */
static uint64_t path_node_make(struct tx *tx, struct inode_edit *edit, const struct map_path *path, struct map_nodes *nodes,
			       uint32_t level, const struct map_words *put)
{
	le64 words[PMFS2_BLOCK_WORDS] = { { 0 } };
	int grows = path->root.kind && path->height > path->root.height;

	/* On the path's highest node hangs the old tree, unless the path itself goes through its entry 0. */
	if (level == path->height && grows && !(put->at == 0 && put->n && put->words[0].raw))
		words[0] = le64_of(old_tree_lift(tx, edit, path, nodes, level));
	if (put->n)
		memcpy(words + put->at, put->words, put->n * sizeof(le64));
	return node_make(tx, edit, nodes, words);
}

void map_path_store(struct tx *tx, struct inode_edit *edit, const struct map_path *path, struct map_nodes *nodes,
		    const struct map_words *put)
{
	struct map_words up = *put;
	struct entry root = { .kind = PMFS2_ENTRY_NODE, .height = path->height };
	struct entry_pos root_pos = { .owner = path->ino, .level = path->height };
	le64 word;

	for (uint32_t level = path->target; level <= path->height; level++) {
		uint64_t block;

		if (path->block[level]) {
			tx_put_words(tx, (const le64 *)fs_block(tx->fs, path->block[level]) + up.at, up.words, up.n);
			return;
		}
		block = path_node_make(tx, edit, path, nodes, level, &up);
		root.block = block;
		if (level < path->height)
			word = le64_of(map_pack(map_entry_pos(path->ino, level + 1, path->first), PMFS2_ENTRY_NODE, block, 0));
		up = (struct map_words){ .words = &word, .at = map_entry_index(level + 1, path->first), .n = 1 };
	}
	edit->image.root = le64_of(entry_pack(&root_pos, &root));
}
