/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changing a window of a file (512 blocks: a level 1 node, a HUGE leaf, or the root word alone): load the entries, reserve what
 * is missing, change them in DRAM, store all in one transaction.
 *
 * Invariants:
 *  1. words[] hold entries packed for a level 1 node, whatever the window's kind; block 0 in the root is packed anew when stored.
 *  2. The runs hold exactly as many blocks as there are fresh entries, in the order of the entries.
 */
#include <string.h>

#include "pmfs2/alloc.h"
#include "pmfs2/map.h"

static struct entry_pos window_pos(const struct map_window *win, uint32_t i)
{
	return (struct entry_pos){ .owner = win->path.ino, .level = 1, .index = win->first + i };
}

static int words_load(struct fs *fs, struct map_window *win)
{
	const struct entry *root = &win->path.root;
	const le64 *node = win->path.block[1] ? fs_block(fs, win->path.block[1]) : NULL;

	for (uint32_t i = win->lo; i < win->hi; i++) {
		uint64_t word = node ? le64_load(node + i) : 0;
		struct entry_pos pos = window_pos(win, i);
		struct entry e;
		int err;

		if (i == 0 && win->first == 0 && root->kind && !root->height)
			word = map_pack(pos, PMFS2_ENTRY_DATA, root->block, root->unwritten);
		err = word ? map_entry_check(fs, &pos, word, &e) : 0;
		if (err)
			return err;
		win->words[i] = le64_of(word);
	}
	return 0;
}

int map_window_load(struct fs *fs, const struct map *map, struct map_window *win, int node)
{
	struct entry_pos huge_pos = map_entry_pos(map->ino, 2, win->first);
	int err = map_path_find(fs, map, win->first, 1, &win->path, &win->huge_word);

	if (err)
		return err;
	win->n_runs = 0;
	win->nodes.n = win->nodes.used = 0;
	memset(win->fresh, 0, sizeof(win->fresh));
	if (win->huge_word) {
		win->kind = MAP_WINDOW_HUGE;
		return map_entry_check(fs, &huge_pos, win->huge_word, &win->huge);
	}
	win->kind = MAP_WINDOW_NODE;
	if (!node && !win->first && win->hi <= 1 && !win->path.root.height) {
		win->kind = MAP_WINDOW_ROOT;
		win->path.n_missing = 0;
	}
	return words_load(fs, win);
}

int map_window_is_hole(const struct map_window *win)
{
	const struct entry *root = &win->path.root;

	if (win->kind == MAP_WINDOW_HUGE || win->path.block[1])
		return 0;
	return win->first || !root->kind || root->height;
}

int map_window_use_huge(struct fs *fs, const struct map *map, struct map_window *win, int unwritten)
{
	struct map_path path;
	uint64_t other;
	struct run run;
	int err = map_path_find(fs, map, win->first, 2, &path, &other);

	if (err)
		return err;
	/* The old tree's block 0 and a new huge leaf cannot both be entry 0. */
	if (!win->first && path.root.kind && path.root.height < 2)
		return -ENOSPC;
	err = alloc_run(fs, 0, MAP_WINDOW, ALLOC_HUGE, &run);
	if (err)
		return err;
	err = map_nodes_reserve(fs, &win->nodes, path.n_missing, 0);
	if (err) {
		alloc_cancel(fs, run);
		return err;
	}
	win->kind = MAP_WINDOW_HUGE;
	win->path = path;
	win->huge_word = 0;
	win->huge = (struct entry){ .block = run.block, .kind = PMFS2_ENTRY_HUGE, .unwritten = unwritten };
	win->n_runs = 1;
	win->runs[0] = run;
	return 0;
}

static uint32_t holes_count(const struct map_window *win, uint32_t from)
{
	uint32_t n = 0;

	for (uint32_t i = from; i < win->hi; i++)
		n += !win->words[i].raw;
	return n;
}

/* One more run for the holes from entry i on. */
static int run_add(struct fs *fs, struct map_window *win, uint32_t i, uint64_t goal)
{
	struct run *last = win->n_runs ? &win->runs[win->n_runs - 1] : NULL;
	struct run run;
	int err;

	if (win->n_runs == MAP_RUNS_MAX)
		return -ENOSPC;
	err = alloc_run(fs, last ? last->block + last->n : goal, holes_count(win, i), 0, &run);
	if (err)
		return err;
	win->runs[win->n_runs++] = run;
	return 0;
}

int map_window_fill(struct fs *fs, struct map_window *win, uint64_t goal, int unwritten)
{
	uint64_t used = 0; /* of the last run */
	int err;

	if (win->kind == MAP_WINDOW_HUGE || !holes_count(win, win->lo))
		return 0;
	err = map_nodes_reserve(fs, &win->nodes, win->path.n_missing, 0);
	if (err)
		return err;
	for (uint32_t i = win->lo; i < win->hi; i++) {
		if (win->words[i].raw)
			continue;
		if (!win->n_runs || used == win->runs[win->n_runs - 1].n) {
			err = run_add(fs, win, i, goal);
			if (err && i > win->lo) {
				win->hi = i;
				break;
			}
			if (err) {
				map_window_cancel(fs, win);
				return err;
			}
			used = 0;
		}
		win->words[i] = le64_of(map_pack(window_pos(win, i), PMFS2_ENTRY_DATA,
						 win->runs[win->n_runs - 1].block + used++, unwritten));
		win->fresh[i / 64] |= 1ull << (i % 64);
	}
	return 0;
}

void map_window_trim(struct fs *fs, struct map_window *win, uint32_t hi)
{
	uint64_t keep = 0;
	uint32_t n_runs = 0;

	if (win->kind == MAP_WINDOW_HUGE || hi >= win->hi)
		return;
	for (uint32_t i = win->lo; i < win->hi; i++) {
		if (i < hi)
			keep += (uint64_t)map_window_is_fresh(win, i);
		else
			win->fresh[i / 64] &= ~(1ull << (i % 64));
	}
	for (uint32_t i = 0; i < win->n_runs; i++) {
		struct run *run = &win->runs[i];
		uint64_t n = u64_min(run->n, keep);

		if (n < run->n)
			alloc_cancel(fs, (struct run){ run->block + n, run->n - n });
		run->n = n;
		keep -= n;
		n_runs += n != 0;
	}
	win->n_runs = n_runs;
	win->hi = hi;
}

struct entry map_window_entry(const struct map_window *win, uint32_t i)
{
	struct entry_pos pos = window_pos(win, i);
	struct entry e = { 0 };

	if (win->kind == MAP_WINDOW_HUGE) {
		e = win->huge;
		e.block += i;
	} else if (win->words[i].raw) {
		entry_unpack(&pos, le64_get(win->words[i]), &e);
	}
	return e;
}

void map_window_set_unwritten(struct map_window *win, uint32_t i, int unwritten)
{
	struct entry e = map_window_entry(win, i);

	if (win->kind == MAP_WINDOW_HUGE)
		win->huge.unwritten = unwritten;
	else if (e.block && e.unwritten != unwritten)
		win->words[i] = le64_of(map_pack(window_pos(win, i), PMFS2_ENTRY_DATA, e.block, unwritten));
}

static void store_huge(struct tx *tx, struct inode_edit *edit, struct map_window *win)
{
	struct entry_pos pos = map_entry_pos(win->path.ino, 2, win->first);
	uint64_t word = map_pack(pos, PMFS2_ENTRY_HUGE, win->huge.block, win->huge.unwritten);
	le64 words[1] = { le64_of(word) };
	struct map_words put = { .words = words, .at = map_entry_index(2, win->first), .n = 1 };

	if (word == win->huge_word)
		return;
	if (win->huge_word)
		tx_put(tx, (const le64 *)fs_block(tx->fs, win->path.block[2]) + put.at, word);
	else
		map_path_store(tx, edit, &win->path, &win->nodes, &put);
}

static void store_node(struct tx *tx, struct inode_edit *edit, struct map_window *win)
{
	const le64 *media = win->path.block[1] ? fs_block(tx->fs, win->path.block[1]) : NULL;
	uint32_t from = win->lo, to = win->hi;

	while (from < to && win->words[from].raw == (media ? media[from].raw : 0))
		from++;
	while (to > from && win->words[to - 1].raw == (media ? media[to - 1].raw : 0))
		to--;
	if (from < to || win->nodes.n)
		map_path_store(tx, edit, &win->path, &win->nodes,
			       &(struct map_words){ .words = win->words + from, .at = from, .n = to - from });
}

void map_window_store(struct tx *tx, struct inode_edit *edit, struct map_window *win)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < win->n_runs; i++) {
		tx_use(tx, win->runs[i]);
		n += win->runs[i].n;
	}
	win->n_runs = 0;
	edit->image.blocks = le64_of(le64_get(edit->image.blocks) + n);
	if (win->kind == MAP_WINDOW_HUGE) {
		store_huge(tx, edit, win);
	} else if (win->kind == MAP_WINDOW_NODE) {
		store_node(tx, edit, win);
	} else if (win->words[0].raw) {
		struct entry e = map_window_entry(win, 0);
		struct entry_pos pos = { .owner = win->path.ino };

		edit->image.root = le64_of(map_pack(pos, PMFS2_ENTRY_DATA, e.block, e.unwritten));
	}
	map_nodes_cancel(tx->fs, &win->nodes);
}

void map_window_cancel(struct fs *fs, struct map_window *win)
{
	for (uint32_t i = 0; i < win->n_runs; i++)
		alloc_cancel(fs, win->runs[i]);
	win->n_runs = 0;
	map_nodes_cancel(fs, &win->nodes);
}
