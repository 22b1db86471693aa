/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pmfs2 dump DEVICE map N: nodes and extents of a file's tree, in order of the file.
 *
 * Bound: the position only rises, and each node is visited once.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "commands.h"
#include "pmfs2/map.h"
#include "tools/common/say.h"

struct walk {
	struct image *img;
	uint64_t owner;
	uint32_t level; /* of the node that at is looked up in */
	uint32_t height;
	uint64_t at; /* file block */
	const le64 *nodes[PMFS2_HEIGHT_MAX + 1];
	/* the extent that is being gathered; n 0: none */
	struct map_extent ext;
	uint64_t n_nodes, n_blocks;
};

static void extent_end(struct walk *w)
{
	const struct map_extent *x = &w->ext;

	if (x->n)
		printf("  file blocks %llu..%llu at blocks %llu..%llu%s%s\n", (unsigned long long)x->first,
		       (unsigned long long)(x->first + x->n - 1), (unsigned long long)x->block,
		       (unsigned long long)(x->block + x->n - 1), x->state == MAP_UNWRITTEN ? ", unwritten" : "",
		       x->huge ? ", 2 MiB" : "");
	w->ext.n = 0;
}

static void extent_add(struct walk *w, const struct entry *e, uint64_t n)
{
	enum map_state state = e->unwritten ? MAP_UNWRITTEN : MAP_WRITTEN;
	int huge = e->kind == PMFS2_ENTRY_HUGE;
	struct map_extent *x = &w->ext;

	w->n_blocks += n;
	if (x->n && x->first + x->n == w->at && x->block + x->n == e->block && x->state == state && x->huge == huge) {
		x->n += n;
		return;
	}
	extent_end(w);
	*x = (struct map_extent){ .first = w->at, .n = n, .block = e->block, .state = state, .huge = huge };
}

/* NULL, or what is wrong with an entry of a node. */
static const char *map_word_check(const struct walk *w, uint64_t word, struct entry *out)
{
	struct entry_pos pos = map_entry_pos(w->owner, w->level, w->at);
	uint64_t n = 1;

	if (!entry_unpack(&pos, word, out))
		return "wrong check bits";
	if (out->height)
		return "a height, which only roots have";
	if (out->kind == PMFS2_ENTRY_HUGE)
		n = PMFS2_HUGE_BLOCKS;
	if (!(out->kind == PMFS2_ENTRY_NODE && w->level > 1 && !out->unwritten) &&
	    !(out->kind == PMFS2_ENTRY_DATA && w->level == 1) &&
	    !(out->kind == PMFS2_ENTRY_HUGE && w->level == 2 && !(out->block % PMFS2_HUGE_BLOCKS)))
		return "wrong kind for its level";
	return image_block_ok(w->img, out->block, n) ? NULL : "blocks outside of the data area";
}

static void node_enter(struct walk *w, uint64_t block, uint32_t level)
{
	extent_end(w);
	w->level = level;
	w->nodes[level] = image_block(w->img, block);
	w->n_nodes++;
	printf("node in block %llu, level %u, from file block %llu on\n", (unsigned long long)block, level,
	       (unsigned long long)w->at);
}

static void step(struct walk *w)
{
	uint64_t word = le64_load(w->nodes[w->level] + map_entry_index(w->level, w->at)), span = map_entry_blocks(w->level);
	const char *bad;
	struct entry e;

	if (word) {
		bad = map_word_check(w, word, &e);
		if (bad) {
			extent_end(w);
			image_damage(w->img, "entry 0x%016llx at level %u for file block %llu: %s", (unsigned long long)word,
				     w->level, (unsigned long long)w->at, bad);
		} else if (e.kind != PMFS2_ENTRY_NODE) {
			extent_add(w, &e, span);
		} else if (!image_visit(w->img, e.block, "map node")) {
			node_enter(w, e.block, w->level - 1);
			return;
		}
	}
	w->at += span;
	while (w->level < w->height && !(w->at % map_entry_blocks(w->level + 1)))
		w->level++;
}

static void tree_walk(struct walk *w, uint64_t root)
{
	struct entry_pos pos = { .owner = w->owner, .level = (uint32_t)(root >> PMFS2_ENTRY_HEIGHT_SHIFT & 15) };
	struct entry e;

	if (!entry_unpack(&pos, root, &e) || !image_block_ok(w->img, e.block, 1) || e.height > PMFS2_HEIGHT_MAX ||
	    e.kind != (e.height ? PMFS2_ENTRY_NODE : PMFS2_ENTRY_DATA) || (e.height && e.unwritten)) {
		image_damage(w->img, "inode %llu: map root 0x%016llx", (unsigned long long)w->owner, (unsigned long long)root);
		return;
	}
	printf("root: height %u\n", e.height);
	if (!e.height) {
		extent_add(w, &e, 1);
	} else if (!image_visit(w->img, e.block, "map node")) {
		w->height = e.height;
		node_enter(w, e.block, e.height);
		while (w->at < map_capacity(w->height))
			step(w);
	}
	extent_end(w);
}

int dump_map(struct image *img, uint64_t ino)
{
	struct walk w = { .img = img, .owner = ino };
	struct image_xattrs xattrs = { 0 };
	struct pmfs2_inode in;
	uint64_t off;
	uint32_t mode;
	int err = image_inode(img, ino, &in, &off);

	if (err == -EUCLEAN)
		return EXIT_DAMAGED;
	mode = err ? 0 : le32_get(in.mode);
	if (!S_ISREG(mode) && !S_ISLNK(mode)) {
		say_error("%s: inode %llu is %s%s", img->path, (unsigned long long)ino, mode ? "no file: " : "",
			  image_mode_name(mode));
		return EXIT_FAIL;
	}
	printf("inode %llu, %llu bytes, %llu blocks\n", (unsigned long long)ino, (unsigned long long)le64_get(in.size),
	       (unsigned long long)le64_get(in.blocks));
	if (le64_get(in.root))
		tree_walk(&w, le64_get(in.root));
	printf("%llu blocks of data, %llu nodes\n", (unsigned long long)w.n_blocks, (unsigned long long)w.n_nodes);
	if (le64_get(in.xattr) && image_xattrs(img, ino, le64_get(in.xattr), &xattrs))
		return 0;
	if (w.n_blocks + w.n_nodes + xattrs.n_blocks != le64_get(in.blocks))
		image_damage(img, "the inode says %llu blocks", (unsigned long long)le64_get(in.blocks));
	return 0;
}
