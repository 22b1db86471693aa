/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading a file's radix tree. Nothing on media is trusted: each word is loaded once and checked (owner, level, position, kind,
 * bounds) before it is followed; a walk goes down at most PMFS2_HEIGHT_MAX levels.
 */
#include "pmfs2/map.h"

#include "pmfs2/fs.h"

int map_entry_check(struct fs *fs, const struct entry_pos *pos, uint64_t word, struct entry *out)
{
	int ok = entry_unpack(pos, word, out) && !out->height;

	switch (ok ? (int)out->kind : 0) {
	case PMFS2_ENTRY_NODE:
		ok = pos->level > 1 && !out->unwritten && fs_block_ok(fs, out->block, 1);
		break;
	case PMFS2_ENTRY_DATA:
		ok = pos->level == 1 && fs_block_ok(fs, out->block, 1);
		break;
	case PMFS2_ENTRY_HUGE:
		ok = pos->level == 2 && !(out->block % PMFS2_HUGE_BLOCKS) && fs_block_ok(fs, out->block, PMFS2_HUGE_BLOCKS);
		break;
	default:
		ok = 0;
	}
	if (likely(ok))
		return 0;
	return fs_corrupt(fs, "inode %llu: damaged map entry %#llx, level %u, file block %llu", (unsigned long long)pos->owner,
			  (unsigned long long)word, pos->level, (unsigned long long)pos->index);
}

int map_root_check(struct fs *fs, const struct map *map, struct entry *out)
{
	struct entry_pos pos = { .owner = map->ino, .level = (uint32_t)(map->root >> PMFS2_ENTRY_HEIGHT_SHIFT & 15) };
	int ok;

	if (!map->root) {
		*out = (struct entry){ 0 };
		return 0;
	}
	ok = entry_unpack(&pos, map->root, out) && fs_block_ok(fs, out->block, 1);
	if (ok && out->height)
		ok = out->kind == PMFS2_ENTRY_NODE && out->height <= PMFS2_HEIGHT_MAX && !out->unwritten;
	else if (ok)
		ok = out->kind == PMFS2_ENTRY_DATA;
	if (likely(ok))
		return 0;
	return fs_corrupt(fs, "inode %llu: damaged map root %#llx", (unsigned long long)map->ino, (unsigned long long)map->root);
}

/* Holes or DATA entries from file block out->first on, as far as they go on alike in this level 1 node. */
static int leaf_extent(struct fs *fs, const struct map *map, const le64 *node, uint64_t max, struct map_extent *out)
{
	uint32_t i = map_entry_index(1, out->first);
	uint64_t n;

	max = u64_min(max, PMFS2_BLOCK_WORDS - i);
	for (n = 0; n < max; n++) {
		struct entry_pos pos = { .owner = map->ino, .level = 1, .index = out->first + n };
		uint64_t word = le64_load(node + i + n);
		enum map_state state = MAP_HOLE;
		struct entry e = { 0 };
		int err;

		if (word) {
			err = map_entry_check(fs, &pos, word, &e);
			if (err)
				return err;
			state = e.unwritten ? MAP_UNWRITTEN : MAP_WRITTEN;
		}
		if (!n) {
			out->state = state;
			out->block = e.block;
		} else if (state != out->state || (word && e.block != out->block + n)) {
			break;
		}
	}
	out->n = n;
	return 0;
}

int map_find(struct fs *fs, const struct map *map, uint64_t first, uint64_t max, struct map_extent *out)
{
	struct entry e;
	int err = map_root_check(fs, map, &e);

	if (err)
		return err;
	*out = (struct map_extent){ .first = first, .n = max };
	if (!map->root || first >= map_capacity(e.height))
		return 0;
	if (!e.height) {
		*out = (struct map_extent){ 0, 1, e.block, e.unwritten ? MAP_UNWRITTEN : MAP_WRITTEN, 0 };
		return 0;
	}
	for (uint32_t level = e.height; level > 1; level--) {
		struct entry_pos pos = map_entry_pos(map->ino, level, first);
		const le64 *node = fs_block(fs, e.block);
		uint64_t word = le64_load(node + map_entry_index(level, first)), span = map_entry_blocks(level);

		out->n = u64_min(max, pos.index + span - first);
		if (!word)
			return 0;
		err = map_entry_check(fs, &pos, word, &e);
		if (err)
			return err;
		if (e.kind == PMFS2_ENTRY_HUGE) {
			out->block = e.block + (first - pos.index);
			out->state = e.unwritten ? MAP_UNWRITTEN : MAP_WRITTEN;
			out->huge = 1;
			return 0;
		}
	}
	return leaf_extent(fs, map, fs_block(fs, e.block), max, out);
}

int map_find_present(struct fs *fs, const struct map *map, uint64_t first, uint64_t end, struct map_extent *out)
{
	struct map_extent ext;

	for (; first < end; first = ext.first + ext.n) {
		int err = map_find(fs, map, first, end - first, &ext);

		if (err)
			return err;
		if (ext.state != MAP_HOLE) {
			*out = ext;
			return 1;
		}
	}
	return 0;
}

/* The last entry of a node that is not 0, at or below number i. -1: none. */
static int node_last(const le64 *node, int i)
{
	while (i >= 0 && !le64_load(node + i))
		i--;
	return i;
}

/*
 * Walks down along the last entry below *end. 1: found, in *out_block. 0: came to a node without an entry there; *end is lowered
 * to where to look next (0: nothing left).
 */
static int last_below(struct fs *fs, const struct map *map, struct entry e, uint64_t *end, uint64_t *out_block)
{
	uint64_t base = 0;

	for (uint32_t level = e.height; level; level--) {
		uint64_t span = map_entry_blocks(level), last = u64_min(*end - base, span * PMFS2_BLOCK_WORDS) - 1;
		const le64 *node = fs_block(fs, e.block);
		int i = node_last(node, (int)(last / span)), err;
		struct entry_pos pos;

		if (i < 0) {
			*end = base;
			return 0;
		}
		base += (uint64_t)i * span;
		*end = u64_min(*end, base + span);
		pos = (struct entry_pos){ .owner = map->ino, .level = level, .index = base };
		err = map_entry_check(fs, &pos, le64_load(node + i), &e);
		if (err)
			return err;
		if (e.kind != PMFS2_ENTRY_NODE)
			break;
	}
	*out_block = *end - 1;
	return 1;
}

int map_find_last(struct fs *fs, const struct map *map, uint64_t end, uint64_t *out_block)
{
	struct entry e;
	int err = map_root_check(fs, map, &e);

	if (err || !map->root)
		return err;
	end = u64_min(end, map_capacity(e.height));
	/* Each turn that finds nothing lowers end below one node. */
	while (end) {
		err = last_below(fs, map, e, &end, out_block);
		if (err)
			return err;
	}
	return 0;
}
