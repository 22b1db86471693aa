/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Directories: iteration in order of the hash. The position is the hash of the entry given out last, so it means the same
 * whatever comes and goes meanwhile, buckets that split included. An entry that is there all the time is seen exactly once. Two
 * of one hash may be seen again when an answer ends between them; of more than an answer holds, which no honest image has, some
 * are not seen: every listing comes to an end.
 *
 * Bound: a node without entries and a bucket without live entries are damage (dir_walk.h), so that no tree can keep us without an
 * entry for longer than two ways down; each bucket is checked against its place, so none is visited twice.
 */
#include "pmfs2/dir.h"
#include "pmfs2/dir_bucket.h"
#include "pmfs2/dir_walk.h"

/* The way from the root to where we are. */
struct walk {
	struct dir_view view;
	uint64_t hash; /* the lowest not yet looked at */
	int level; /* of the lowest node that hash lies in, -1: none */
	const le64 *nodes[DIR_LEVELS];
	int seen[DIR_LEVELS]; /* the node has an entry, or we began in its middle */
	uint64_t first; /* hash of the first entry that was given out, 0: none was */
};

/* By hash; insertion sort with falling gaps. */
static void list_sort(struct bucket_list *list)
{
	static const uint32_t gaps[] = { 57, 23, 10, 4, 1 };
	struct bucket_item *items = list->items;

	for (uint32_t g = 0; g < ARRAY_SIZE(gaps); g++) {
		uint32_t gap = gaps[g];

		for (uint32_t i = gap; i < list->n; i++) {
			struct bucket_item item = items[i];
			uint32_t j = i;

			for (; j >= gap && items[j - gap].hash > item.hash; j -= gap)
				items[j] = items[j - gap];
			items[j] = item;
		}
	}
}

/* 0, or 1 when emit had enough. The list was checked when it was collected: names have 1 to 255 bytes inside the block. */
static int emit_entries(struct walk *w, const struct pmfs2_bucket *b, const struct bucket_list *list, uint64_t from,
			dir_emit_fn emit, void *ctx)
{
	for (uint32_t i = 0; i < list->n; i++) {
		const struct bucket_item *item = &list->items[i];
		const struct pmfs2_dirent *de = (const struct pmfs2_dirent *)((const uint8_t *)b + item->off);
		uint64_t ino_type = le64_get(de->ino_type), next = item->hash;
		struct zus_name name = { de->name, ino_type >> 48 & 0xff };

		if (item->hash < from)
			continue;
		w->first = w->first ? w->first : item->hash;
		/* Repeat rather than lose the others with this hash; but what began with them and cannot hold them goes on. */
		if (i + 1 < list->n && list->items[i + 1].hash == item->hash && item->hash != w->first)
			next--;
		if (!emit(ctx, name, ino_type & ((1ull << PMFS2_INO_BITS) - 1), ino_type >> 40 & 0xff, next))
			return 1;
	}
	return 0;
}

static int visit_bucket(struct walk *w, uint64_t block, uint64_t from, dir_emit_fn emit, void *ctx)
{
	const struct pmfs2_bucket *b = fs_block(w->view.fs, block);
	struct bucket_list list;
	const char *bad;
	uint32_t depth;
	int err;

	err = dir_bucket_read(&w->view, block, w->level, w->hash, &depth);
	if (err)
		return err;
	bad = bucket_collect(b, w->view.ino, &list);
	if (bad)
		return dir_bucket_corrupt(&w->view, block, bad);
	list_sort(&list);
	w->hash = hash_prefix(w->hash, depth) + (1ull << (PMFS2_HASH_BITS - depth));
	return emit_entries(w, b, &list, from, emit, ctx);
}

/* Leaves the nodes that w->hash no longer lies in. */
static int ascend(struct walk *w, uint64_t old_hash)
{
	while (w->level >= 0 && hash_prefix(w->hash, DIR_LEVEL_BITS * (uint32_t)w->level) !=
					hash_prefix(old_hash, DIR_LEVEL_BITS * (uint32_t)w->level)) {
		if (!w->seen[w->level])
			return fs_corrupt(w->view.fs, "directory %llu: a node without entries", (unsigned long long)w->view.ino);
		w->level--;
	}
	return 0;
}

static void enter_node(struct walk *w, uint64_t block)
{
	w->level++;
	w->nodes[w->level] = fs_block(w->view.fs, block);
	w->seen[w->level] = dir_index(w->hash, w->level) != 0;
}

/* Looks at the pointer for w->hash, and moves on: down, or behind what it covers. 1: emit had enough. */
static int step(struct walk *w, uint64_t from, dir_emit_fn emit, void *ctx)
{
	uint64_t old_hash = w->hash;
	uint64_t word = w->level < 0 ? w->view.root : le64_load(&w->nodes[w->level][dir_index(w->hash, w->level)]);
	uint32_t bits = DIR_LEVEL_BITS * (uint32_t)(w->level + 1);
	struct entry e;
	int err;

	if (!word) {
		w->hash = hash_prefix(w->hash, bits) + (1ull << (PMFS2_HASH_BITS - bits));
		return ascend(w, old_hash);
	}
	if (w->level >= 0)
		w->seen[w->level] = 1;
	err = dir_pointer_read(&w->view, word, w->level, &e);
	if (err)
		return err;
	if (e.kind == PMFS2_ENTRY_NODE) {
		enter_node(w, e.block);
		return 0;
	}
	err = visit_bucket(w, e.block, from, emit, ctx);
	return err ? err : ascend(w, old_hash);
}

int dir_iterate(struct fs *fs, struct inode *dir, uint64_t cookie, dir_emit_fn emit, void *ctx)
{
	struct walk w = {
		.view = { .fs = fs, .ino = dir->ino, .root = le64_load(&dir->media->root) },
		.hash = cookie + 1,
		.level = -1,
	};
	int err = 0;

	if (cookie >= (1ull << PMFS2_HASH_BITS) - 1)
		return 0;
	while (!err && !(w.hash >> PMFS2_HASH_BITS))
		err = step(&w, cookie + 1, emit, ctx);
	return err < 0 ? err : 0;
}
