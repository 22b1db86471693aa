/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Freeing a range of a file's mapping: one walk over the present entries in rising order, as far as a transaction has room.
 *
 * Order: everything is in the caller's record; only the node that replaces a huge leaf cut in its midst is written directly, and
 *	fenced here.
 * If cut: before the record is durable nothing has changed.
 * Recovered by: replay. A range that needs several records is finished by the caller's intent, or is one where each step is
 *	complete in itself (punch).
 *
 * A node is left in one of two ways: as empty, then its block is freed and the word above it cleared; or as kept, then the words
 * cleared in it are logged as one fill: those of one walk stand side by side, because only the first and the last entry of a
 * range can be covered partly.
 */
#include "pmfs2/alloc.h"
#include "pmfs2/map.h"

/* Left for leaving up to 5 nodes (a fill and a freed node each), the pending run, the inode's image and an intent. */
#define CLEAR_ROOM_WORDS 170u
#define CLEAR_ROOM_RUNS 24u

struct frame {
	const le64 *node;
	uint64_t block;
	uint64_t base; /* file block of its entry 0 */
	uint32_t level;
	uint32_t at, end; /* entries still to be looked at */
	uint32_t clear_from, clear_to; /* entries that will be 0 */
	int keeps; /* an entry stays */
};

struct clear {
	struct tx *tx;
	struct inode_edit *edit;
	uint64_t ino;
	uint64_t first, end; /* file blocks */
	uint64_t freed;
	uint64_t made;
	struct run pending; /* data blocks side by side that are to be freed */
	int depth;
	struct frame stack[PMFS2_HEIGHT_MAX];
};

static void pending_flush(struct clear *cl)
{
	if (cl->pending.n)
		tx_free(cl->tx, cl->pending, 0);
	cl->freed += cl->pending.n;
	cl->pending.n = 0;
}

static void data_free(struct clear *cl, uint64_t block, uint64_t n)
{
	/* No longer than one entry of a record clears: what waits to be logged is part of CLEAR_ROOM_WORDS. */
	if (cl->pending.n && cl->pending.block + cl->pending.n == block &&
	    cl->pending.n + n <= (PMFS2_REC_COUNT_MAX - 1) * 64ull) {
		cl->pending.n += n;
		return;
	}
	pending_flush(cl);
	cl->pending = (struct run){ block, n };
}

static void frame_push(struct clear *cl, uint64_t block, uint32_t level, uint64_t base)
{
	struct frame *f = &cl->stack[cl->depth++];
	uint64_t span = map_entry_blocks(level);

	*f = (struct frame){ .node = fs_block(cl->tx->fs, block), .block = block, .base = base, .level = level };
	f->at = cl->first > base ? (uint32_t)((cl->first - base) / span) : 0;
	f->end = (uint32_t)u64_min(PMFS2_BLOCK_WORDS, (cl->end - base + span - 1) / span);
	for (uint32_t i = 0; i < PMFS2_BLOCK_WORDS && !f->keeps; i++)
		if (i < f->at || i >= f->end)
			f->keeps = le64_load(f->node + i) != 0;
}

static void frame_clear_entry(struct frame *f, uint32_t i)
{
	if (!f->clear_to)
		f->clear_from = i;
	f->clear_to = i + 1;
}

/* The topmost node is done with. full: its range was looked at to the end. */
static void frame_pop(struct clear *cl, int full)
{
	struct frame *f = &cl->stack[--cl->depth], *up = cl->depth ? f - 1 : NULL;

	if (full && !f->keeps) {
		tx_free(cl->tx, (struct run){ f->block, 1 }, 1);
		cl->freed++;
		if (up)
			frame_clear_entry(up, up->at++);
		else
			cl->edit->image.root = le64_of(0);
		return;
	}
	if (f->clear_to)
		tx_fill(cl->tx, f->node + f->clear_from, 0, f->clear_to - f->clear_from);
	if (up) {
		up->keeps = 1;
		up->at++;
	}
}

/* A huge leaf of which only [from, to) goes: a node of what stays takes its place. */
static int huge_cut(struct clear *cl, struct frame *f, const struct entry *huge, uint32_t from, uint32_t to)
{
	struct fs *fs = cl->tx->fs;
	uint64_t base = f->base + (uint64_t)f->at * MAP_WINDOW;
	le64 words[PMFS2_BLOCK_WORDS] = { { 0 } };
	struct run run;
	int err = alloc_run(fs, 0, 1, ALLOC_RESERVE, &run);

	if (err)
		return err;
	for (uint32_t i = 0; i < PMFS2_BLOCK_WORDS; i++)
		if (i < from || i >= to)
			words[i] = le64_of(map_pack((struct entry_pos){ cl->ino, 1, base + i }, PMFS2_ENTRY_DATA, huge->block + i,
						    huge->unwritten));
	pmem_copy(fs->pm, fs_block(fs, run.block), words, sizeof(words));
	pmem_fence(fs->pm);
	tx_use(cl->tx, run);
	tx_put(cl->tx, f->node + f->at, map_pack(map_entry_pos(cl->ino, 2, base), PMFS2_ENTRY_NODE, run.block, 0));
	cl->made++;
	data_free(cl, huge->block + from, to - from);
	f->keeps = 1;
	f->at++;
	return 0;
}

/* Handles the present entry at f->at. */
static int entry_handle(struct clear *cl, struct frame *f, uint64_t word)
{
	uint64_t span = map_entry_blocks(f->level), first = f->base + f->at * span, end = first + span;
	struct entry_pos pos = { .owner = cl->ino, .level = f->level, .index = first };
	struct entry e;
	int err = map_entry_check(cl->tx->fs, &pos, word, &e);

	if (err)
		return err;
	if (e.kind == PMFS2_ENTRY_NODE) {
		frame_push(cl, e.block, f->level - 1, pos.index);
		return 0;
	}
	if (cl->first > pos.index || cl->end < end)
		return huge_cut(cl, f, &e, (uint32_t)(u64_max(cl->first, pos.index) - pos.index),
				(uint32_t)(u64_min(cl->end, end) - pos.index));
	data_free(cl, e.block, end - pos.index);
	frame_clear_entry(f, f->at++);
	return 0;
}

/* 0: range done, 1: out of room. */
static int clear_walk(struct clear *cl)
{
	while (cl->depth) {
		struct frame *f = &cl->stack[cl->depth - 1];
		uint64_t word;
		int err;

		if (f->at == f->end) {
			frame_pop(cl, 1);
			continue;
		}
		word = le64_load(f->node + f->at);
		if (!word) {
			f->at++;
			continue;
		}
		if (tx_room_words(cl->tx) < CLEAR_ROOM_WORDS || tx_room_runs(cl->tx) < CLEAR_ROOM_RUNS)
			return 1;
		err = entry_handle(cl, f, word);
		if (err)
			return err;
	}
	return 0;
}

int map_clear(struct tx *tx, struct inode_edit *edit, uint64_t first, uint64_t end)
{
	struct map map = map_of_edit(edit);
	struct clear cl = { .tx = tx, .edit = edit, .ino = map.ino, .first = first };
	uint64_t blocks = le64_get(edit->image.blocks);
	struct entry root;
	int res = map_root_check(tx->fs, &map, &root);

	if (res || !map.root)
		return res;
	cl.end = u64_min(end, map_capacity(root.height));
	if (first >= cl.end)
		return 0;
	if (root.height) {
		frame_push(&cl, root.block, root.height, 0);
		res = clear_walk(&cl);
		if (res < 0)
			return res;
	} else {
		data_free(&cl, root.block, 1);
		edit->image.root = le64_of(0);
	}
	while (cl.depth)
		frame_pop(&cl, 0);
	pending_flush(&cl);
	if (blocks + cl.made < cl.freed)
		return fs_corrupt(tx->fs, "inode %llu: counts %llu blocks, has more", (unsigned long long)map.ino,
				  (unsigned long long)blocks);
	edit->image.blocks = le64_of(blocks + cl.made - cl.freed);
	return res;
}

/*
 * Order: the node is written and fenced; one word of a record puts it in the place of the leaf.
 * If cut: the leaf is still there, the node's block is free.
 * Recovered by: replay.
 */
int map_split_huge(struct fs *fs, struct inode *ip, uint64_t first)
{
	struct map map = map_of(ip);
	struct map_path path;
	struct inode_edit edit;
	struct map_nodes nodes = { 0 };
	le64 words[PMFS2_BLOCK_WORDS];
	struct entry_pos pos = map_entry_pos(map.ino, 2, first);
	struct entry e;
	struct tx tx;
	uint64_t word;
	int err = map_path_find(fs, &map, first, 1, &path, &word);

	if (err || !word)
		return err;
	err = map_entry_check(fs, &pos, word, &e);
	if (err)
		return err;
	err = map_nodes_reserve(fs, &nodes, 1, 0);
	if (err)
		return err;
	for (uint32_t i = 0; i < PMFS2_BLOCK_WORDS; i++)
		words[i] = le64_of(map_pack((struct entry_pos){ map.ino, 1, pos.index + i }, PMFS2_ENTRY_DATA, e.block + i,
					    e.unwritten));
	pmem_copy(fs->pm, fs_block(fs, nodes.blocks[0]), words, sizeof(words));
	pmem_fence(fs->pm);
	tx_begin(&tx, fs);
	inode_edit_begin(&edit, ip);
	tx_use(&tx, (struct run){ nodes.blocks[0], 1 });
	tx_put(&tx, (const le64 *)fs_block(fs, path.block[2]) + map_entry_index(2, first),
	       map_pack(pos, PMFS2_ENTRY_NODE, nodes.blocks[0], 0));
	edit.image.blocks = le64_of(le64_get(edit.image.blocks) + 1);
	inode_edit_log(&tx, &edit);
	return tx_commit(&tx);
}
