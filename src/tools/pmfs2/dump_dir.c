/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pmfs2 dump DEVICE dir N: nodes, buckets and entries of a directory, in order of the hash.
 *
 * Bound: the hash only rises, and each block is visited once; a node is read 512 words long.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "commands.h"
#include "dir_view.h"
#include "pmfs2/dir_walk.h"
#include "tools/common/say.h"
#include "tools/common/text.h"

struct walk {
	struct image *img;
	uint64_t owner;
	uint64_t root;
	uint64_t hash; /* the lowest not yet looked at */
	int level; /* of the lowest node that hash lies in, -1: none */
	const le64 *nodes[DIR_LEVELS];
	uint64_t n_entries, n_buckets, n_nodes;
};

static void entries_print(struct walk *w, const struct bucket_view *b, const struct bucket_dyn *dyn)
{
	struct bucket_entry entry;

	for (uint32_t slot = 0; slot < dyn->slots; slot++) {
		uint32_t off = bucket_slot_off(bucket_slot_of(le64_get(*bucket_slot_word(&b->head, slot)), slot));
		const char *bad;

		if (!off)
			continue;
		bad = bucket_entry_read(&b->head, w->owner, dyn, off, &entry);
		if (bad) {
			image_damage(w->img, "slot %u: %s", slot, bad);
			continue;
		}
		printf("  %016llx %12llu %-5s ", (unsigned long long)entry.hash, (unsigned long long)entry.ino,
		       image_type_name(entry.type));
		text_print(stdout, entry.name.str, entry.name.len);
		putchar('\n');
		w->n_entries++;
	}
}

/* Returns the depth that the walk goes on behind. */
static uint32_t bucket_visit(struct walk *w, uint64_t block)
{
	uint32_t place = DIR_LEVEL_BITS * (uint32_t)(w->level + 1);
	struct bucket_list list;
	struct bucket_view b;
	struct bucket_dyn dyn;
	const char *bad;

	if (image_visit(w->img, block, "directory bucket"))
		return place;
	bad = dir_view_bucket(w->img, w->owner, block, w->level, w->hash, &b);
	if (bad) {
		image_damage(w->img, "bucket in block %llu: %s", (unsigned long long)block, bad);
		return place;
	}
	w->n_buckets++;
	bad = bucket_dyn_unpack(le64_get(b.head.dyn), &dyn);
	if (bad) {
		image_damage(w->img, "bucket in block %llu: %s", (unsigned long long)block, bad);
		return b.depth;
	}
	printf("bucket in block %llu, level %d, depth %u, prefix %016llx: %u entries, %u slots, entries from byte %u on, %u "
	       "bytes dead\n",
	       (unsigned long long)block, w->level, b.depth, (unsigned long long)b.prefix, dyn.live, dyn.slots, dyn.tail,
	       dyn.dead);
	entries_print(w, &b, &dyn);
	bad = bucket_collect(&b.head, w->owner, &list);
	if (bad)
		image_damage(w->img, "bucket in block %llu: %s", (unsigned long long)block, bad);
	return b.depth;
}

static void node_enter(struct walk *w, uint64_t block)
{
	w->level++;
	w->nodes[w->level] = image_block(w->img, block);
	w->n_nodes++;
	printf("node in block %llu, level %d, prefix %016llx\n", (unsigned long long)block, w->level,
	       (unsigned long long)w->hash);
}

/* Looks at the pointer for w->hash, and moves on: down, or behind what it covers. */
static void step(struct walk *w)
{
	uint64_t word = w->level < 0 ? w->root : le64_load(&w->nodes[w->level][dir_index(w->hash, w->level)]), old = w->hash;
	uint32_t depth = DIR_LEVEL_BITS * (uint32_t)(w->level + 1);
	const char *bad;
	struct entry e;

	if (word) {
		bad = dir_view_pointer(w->img, w->owner, word, w->level, &e);
		if (bad) {
			image_damage(w->img, "pointer 0x%016llx at level %d: %s", (unsigned long long)word, w->level, bad);
		} else if (e.kind == PMFS2_ENTRY_BUCKET) {
			depth = bucket_visit(w, e.block);
		} else if (!image_visit(w->img, e.block, "directory node")) {
			node_enter(w, e.block);
			return;
		}
	}
	w->hash = hash_prefix(w->hash, depth) + (1ull << (PMFS2_HASH_BITS - depth));
	while (w->level >= 0 &&
	       hash_prefix(w->hash, DIR_LEVEL_BITS * (uint32_t)w->level) != hash_prefix(old, DIR_LEVEL_BITS * (uint32_t)w->level))
		w->level--;
}

int dump_dir(struct image *img, uint64_t ino)
{
	struct walk w = { .img = img, .owner = ino, .level = -1 };
	struct pmfs2_inode in;
	uint64_t off;
	int err = image_inode(img, ino, &in, &off);

	if (err == -EUCLEAN)
		return EXIT_DAMAGED;
	if (err || !S_ISDIR(le32_get(in.mode))) {
		say_error("%s: inode %llu is no directory", img->path, (unsigned long long)ino);
		return EXIT_FAIL;
	}
	printf("directory %llu, parent %llu, %llu entries\n", (unsigned long long)ino,
	       (unsigned long long)le64_get(in.parent_or_rdev), (unsigned long long)le64_get(in.size));
	w.root = le64_get(in.root);
	while (!(w.hash >> PMFS2_HASH_BITS))
		step(&w);
	printf("%llu entries in %llu buckets, %llu nodes\n", (unsigned long long)w.n_entries, (unsigned long long)w.n_buckets,
	       (unsigned long long)w.n_nodes);
	if (w.n_entries != le64_get(in.size))
		image_damage(img, "the inode says %llu entries", (unsigned long long)le64_get(in.size));
	return 0;
}
