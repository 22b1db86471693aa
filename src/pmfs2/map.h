/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mapping of a regular file: a radix tree of 512-way nodes (media/format.h) from file blocks to blocks of the device.
 *
 * Shape:
 *  1. The root word of an empty file is 0. Height 0: the root is the DATA entry of file block 0. Height h: the root is a node of
 *     level h and covers 512^h blocks. The height grows with the file; it goes back to 0 when the last entry goes.
 *  2. Level 1 nodes hold DATA, level 2 nodes hold NODE or HUGE, higher ones hold NODE. HUGE never is a root (a file with one huge
 *     leaf has height 2), and starts at a file block and at a device block that are multiples of 512.
 *  3. Check of a word: level and first file block of the entry's range; of a root word: height and 0.
 *  4. A node without entries may stand in the tree (a crash in the midst of a shift leaves one); it is a hole.
 *
 * Everything that changes the tree works on windows: 512 file blocks, aligned, that is one level 1 node or one HUGE leaf.
 *
 * Locks: readers of a tree hold inode.lock shared, those who change it hold it exclusively.
 */
#ifndef PMFS2_MAP_H
#define PMFS2_MAP_H

#include "pmfs2/fs.h"
#include "pmfs2/inode.h"
#include "pmfs2/tx.h"

#define MAP_BLOCKS_MAX (PMFS2_FILE_SIZE_MAX >> PMFS2_BLOCK_SHIFT)
#define MAP_WINDOW PMFS2_HUGE_BLOCKS
#define MAP_RUNS_MAX 64u /* runs that one change of a window allocates at most: bounds its record */
#define MAP_NODES_MAX 10u /* a path and the growth of the old tree beside it */

/* What a walk starts from. */
struct map {
	uint64_t ino;
	uint64_t root; /* root word */
};

static inline struct map map_of(const struct inode *ip)
{
	return (struct map){ .ino = ip->ino, .root = le64_load(&ip->media->root) };
}
static inline struct map map_of_edit(const struct inode_edit *edit)
{
	return (struct map){ .ino = le64_get(edit->image.ino), .root = le64_get(edit->image.root) };
}

enum map_state {
	MAP_HOLE,
	MAP_UNWRITTEN,
	MAP_WRITTEN,
};

/* File blocks [first, first + n) that have one state and, unless they are a hole, lie one behind the other from block on. */
struct map_extent {
	uint64_t first;
	uint64_t n;
	uint64_t block;
	enum map_state state;
	int huge; /* the extent lies in one HUGE leaf */
};

/* --- map.c: reading --------------------------------------------------------------------------------------------------------- */

/* Checks the word (not 0) of an entry in a node, its kind against the level and its block. 0 or -EUCLEAN. */
int map_entry_check(struct fs *fs, const struct entry_pos *pos, uint64_t word, struct entry *out);
/* The same for a root word. 0 in *out_height and kind 0 for an empty tree. */
int map_root_check(struct fs *fs, const struct map *map, struct entry *out);

/* The extent at first, at most max (> 0) blocks of it. A neighbour may be of the same state. -EUCLEAN. */
int map_find(struct fs *fs, const struct map *map, uint64_t first, uint64_t max, struct map_extent *out);
/* The first extent in [first, end) that is no hole. 1: there is one, 0: none, -EUCLEAN. */
int map_find_present(struct fs *fs, const struct map *map, uint64_t first, uint64_t end, struct map_extent *out);
/* The last block below end that is no hole. 1, 0, -EUCLEAN. */
int map_find_last(struct fs *fs, const struct map *map, uint64_t end, uint64_t *out_block);

/* Blocks that a tree of this height covers. */
static inline uint64_t map_capacity(uint32_t height)
{
	return 1ull << (9 * height);
}
/* Blocks that one entry of a node of this level covers, and which entry of it file block at goes through. */
static inline uint64_t map_entry_blocks(uint32_t level)
{
	return 1ull << (9 * (level - 1));
}
static inline uint32_t map_entry_index(uint32_t level, uint64_t at)
{
	return (uint32_t)(at >> (9 * (level - 1)) & 511);
}
/* The position of the entry that file block at goes through. */
static inline struct entry_pos map_entry_pos(uint64_t ino, uint32_t level, uint64_t at)
{
	return (struct entry_pos){ .owner = ino, .level = level, .index = round_down_to(at, map_entry_blocks(level)) };
}
static inline uint64_t map_pack(struct entry_pos pos, enum pmfs2_entry_kind kind, uint64_t block, int unwritten)
{
	struct entry e = { .block = block, .kind = kind, .unwritten = unwritten };

	return entry_pack(&pos, &e);
}

/* --- map_path.c: from the root to one node, and making what is missing ------------------------------------------------------ */

struct map_path {
	uint64_t ino;
	struct entry root; /* kind 0: empty tree */
	uint64_t first; /* a file block below the path's lowest node */
	uint32_t target; /* level of that node: 1, or 2 for HUGE */
	uint32_t height; /* that the tree has to have, at least the present one */
	uint64_t block[PMFS2_HEIGHT_MAX + 1]; /* by level: the nodes that are there; 0: missing */
	uint32_t n_missing; /* nodes to be made, those for growing the tree included */
};

/*
 * Walks to the node of level target that covers file block first. 0; -EUCLEAN. If a HUGE leaf stands in the way (target 1),
 * *out_huge gets its word, otherwise 0.
 */
int map_path_find(struct fs *fs, const struct map *map, uint64_t first, uint32_t target, struct map_path *path,
		  uint64_t *out_huge);

/* Blocks for new nodes, reserved before and taken one after the other. */
struct map_nodes {
	uint32_t n;
	uint32_t used;
	uint64_t blocks[MAP_NODES_MAX];
};
int map_nodes_reserve(struct fs *fs, struct map_nodes *nodes, uint32_t n, uint32_t alloc_flags);
/* Gives back those that were not used. */
void map_nodes_cancel(struct fs *fs, struct map_nodes *nodes);

/*
 * Stores n words from entry number at of the path's lowest node on. Where that node and those above it are missing, they are made
 * (written directly, not fenced: the caller fences before the commit); the word that makes them reachable goes into tx, or into
 * the root of edit. Edits root and blocks.
 */
struct map_words {
	const le64 *words; /* media byte order */
	uint32_t at;
	uint32_t n;
};
void map_path_store(struct tx *tx, struct inode_edit *edit, const struct map_path *path, struct map_nodes *nodes,
		    const struct map_words *put);

/* --- map_window.c: filling and changing a window ---------------------------------------------------------------------------- */

enum map_window_kind {
	MAP_WINDOW_ROOT, /* only block 0, directly in the root word */
	MAP_WINDOW_NODE, /* a level 1 node, present or to be made */
	MAP_WINDOW_HUGE, /* a HUGE leaf, present or to be made */
};

struct map_window {
	enum map_window_kind kind;
	uint64_t first; /* file block the window begins with */
	uint32_t lo, hi; /* entries [lo, hi) of it are at work */
	struct map_path path;
	struct map_nodes nodes;
	uint64_t huge_word; /* HUGE: the word on media, 0: new */
	struct entry huge; /* HUGE: as it shall be */
	uint32_t n_runs;
	struct run runs[MAP_RUNS_MAX]; /* reserved for the fresh entries, in their order */
	uint64_t fresh[MAP_WINDOW / 64]; /* entries that get a new block */
	le64 words[MAP_WINDOW]; /* as they shall be; only [lo, hi) is filled */
};

/* Loads [lo, hi) of the window at first. node: never the root word alone. -EUCLEAN. Nothing is reserved. */
int map_window_load(struct fs *fs, const struct map *map, struct map_window *win, int node);
/* True if all of the window is a hole. */
int map_window_is_hole(const struct map_window *win);
/* Turns an empty window into one new HUGE leaf. 0, -ENOSPC (then it is as before), -EUCLEAN. */
int map_window_use_huge(struct fs *fs, const struct map *map, struct map_window *win, int unwritten);
/*
 * Reserves blocks for the holes in [lo, hi) and the nodes that are missing. Where not all can be had, hi comes down; -ENOSPC
 * where nothing can be had. goal: device block, 0: none.
 */
int map_window_fill(struct fs *fs, struct map_window *win, uint64_t goal, int unwritten);
/* Gives up the fresh blocks from entry hi on, and brings win->hi down. */
void map_window_trim(struct fs *fs, struct map_window *win, uint32_t hi);
/* Entry i of a loaded window. Block 0: hole. */
struct entry map_window_entry(const struct map_window *win, uint32_t i);
void map_window_set_unwritten(struct map_window *win, uint32_t i, int unwritten);
static inline int map_window_is_fresh(const struct map_window *win, uint32_t i)
{
	return win->fresh[i / 64] >> (i % 64) & 1;
}
/* True if new nodes will be written: a fence is due before the commit. */
static inline int map_window_has_new_nodes(const struct map_window *win)
{
	return win->nodes.n != 0;
}
/*
 * Puts everything that changed into tx, uses the runs, edits root and blocks. Whatever was reserved belongs to tx from then on.
 * The caller fences (new nodes), logs edit and commits.
 */
void map_window_store(struct tx *tx, struct inode_edit *edit, struct map_window *win);
/* Gives back what was reserved. */
void map_window_cancel(struct fs *fs, struct map_window *win);

/* --- map_clear.c: freeing --------------------------------------------------------------------------------------------------- */

/*
 * Frees [first, end) of the mapping, and nodes that become empty, as much as fits into tx. A HUGE leaf that lies only partly in
 * the range becomes a node (its block from the reserve; fenced here). 0: all freed, 1: more to do in a further transaction,
 * -EUCLEAN, -ENOSPC. Edits root and blocks. With nothing to free it still takes away empty nodes.
 */
int map_clear(struct tx *tx, struct inode_edit *edit, uint64_t first, uint64_t end);

/*
 * Turns the HUGE leaf at first (in its own transaction, with a copy of the image on media) into a node of 512 entries. -ENOSPC.
 */
int map_split_huge(struct fs *fs, struct inode *ip, uint64_t first);

#endif
