/* SPDX-License-Identifier: BSD-3-Clause */
/* The trie of a directory: from the root word down to the bucket of a hash. Words and headers are checked when reached. */
#include "pmfs2/dir_walk.h"

int dir_bucket_corrupt(const struct dir_view *view, uint64_t block, const char *what)
{
	return fs_corrupt(view->fs, "directory %llu, bucket in block %llu: %s", (unsigned long long)view->ino,
			  (unsigned long long)block, what);
}

int dir_pointer_read(const struct dir_view *view, uint64_t word, int level, struct entry *out)
{
	const struct entry_pos pos = { .owner = view->ino };

	if (likely(entry_unpack(&pos, word, out) && !out->unwritten && !out->height && fs_block_ok(view->fs, out->block, 1) &&
		   (out->kind == PMFS2_ENTRY_BUCKET || (out->kind == PMFS2_ENTRY_NODE && level < DIR_LEVELS - 1))))
		return 0;
	return fs_corrupt(view->fs, "directory %llu: damaged pointer %016llx at level %d", (unsigned long long)view->ino,
			  (unsigned long long)word, level);
}

int dir_bucket_read(const struct dir_view *view, uint64_t block, int level, uint64_t hash, uint32_t *out_depth)
{
	const struct pmfs2_bucket *b = fs_block(view->fs, block);
	uint32_t base = DIR_LEVEL_BITS * (uint32_t)(level + 1), depth;
	const char *bad;
	uint64_t prefix;

	bucket_prefetch(b);
	bad = bucket_check_header(b, view->ino, block, &depth, &prefix);
	if (unlikely(bad))
		return dir_bucket_corrupt(view, block, bad);
	if (unlikely(depth > base || depth + DIR_LEVEL_BITS <= base || prefix != hash_prefix(hash, depth)))
		return dir_bucket_corrupt(view, block, "reached at a wrong place");
	*out_depth = depth;
	return 0;
}

int dir_descend(const struct dir_view *view, uint64_t hash, struct dir_place *out)
{
	struct entry e;
	int err;

	out->level = -1;
	out->bucket = NULL;
	out->word = view->root;
	while (out->word) {
		err = dir_pointer_read(view, out->word, out->level, &e);
		if (unlikely(err))
			return err;
		if (e.kind == PMFS2_ENTRY_BUCKET) {
			out->block = e.block;
			out->bucket = fs_block(view->fs, e.block);
			return dir_bucket_read(view, e.block, out->level, hash, &out->depth);
		}
		/* dir_pointer_read lets no node pass below level DIR_LEVELS - 2 */
		out->level++;
		out->nodes[out->level] = fs_block(view->fs, e.block);
		out->word = dir_view_word(view, &out->nodes[out->level][dir_index(hash, out->level)]);
	}
	return 0;
}

int dir_run_check(const struct dir_view *view, const struct dir_place *at, uint64_t hash)
{
	uint32_t n, first;

	if (at->level < 0)
		return 0;
	n = dir_run_words(at->level, at->depth);
	first = dir_index(hash, at->level) & ~(n - 1);
	for (uint32_t i = 0; i < n; i++)
		if (unlikely(dir_view_word(view, &at->nodes[at->level][first + i]) != at->word))
			return dir_bucket_corrupt(view, at->block, "not all pointers of its range lead to it");
	return 0;
}
