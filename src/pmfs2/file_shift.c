/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * FALLOC_FL_COLLAPSE_RANGE and FALLOC_FL_INSERT_RANGE: moving map entries by delta blocks.
 *
 * Intent SHIFT: arg[0] = cursor, arg[1] = delta (blocks, two's complement), arg[2] = edge: the file block the range begins with.
 *
 *	collapse, delta = -d:	cursor == edge: the blocks [edge, edge + d) are being freed. Otherwise cursor >= edge + d: the
 *				entries below cursor have been moved, [cursor - d, cursor) is a hole, those from cursor on follow.
 *	insert, delta = d:	the entries from cursor on have been moved, [cursor, cursor + d) is a hole, those of
 *				[edge, cursor) follow, the last one first.
 *
 * Order:
 *  1. Huge leaves that cannot be moved whole are split, each by a record of its own that nobody can notice.
 *  2. The first record sets the intent: from here on the operation will be finished. (An orphan keeps its own intent; nobody will
 *     see it again after a crash.)
 *  3. Collapse: records that free the range, the last of them moving the cursor to edge + d.
 *  4. Records that move entries of one node into one other, with the cursor. Before each, where it is missing, a record that adds
 *     the (empty) node; behind each, where it is empty, one that takes the old node away.
 *  5. The last record: size, times, intent cleared.
 * If cut: before 2 the old file; from then on a half-moved one that the intent describes exactly, perhaps with an empty node in
 *	the tree.
 * If a step behind 2 fails (no memory, no space for a node): the operation is done for its caller; file_lock and file_attend
 *	finish it, as recovery would, before anybody reads the file or its attributes.
 * Recovered by: file_shift_resume, which takes away empty nodes in the gap and goes on with 3, 4 and 5: the new file. Size and
 *	times are of the last record, so both are those of the new file then.
 */
#include "pmfs2/alloc.h"
#include "pmfs2/file_part.h"
#include "pmfs2/intent.h"

struct shift {
	struct fs *fs;
	struct inode *ip;
	int64_t slot; /* -1: an orphan, nothing is kept */
	uint64_t cursor;
	uint64_t n; /* blocks of the gap */
	uint64_t edge;
	int insert;
};

/* Entries [src, src + n) of one window that go to [dst, dst + n) of one window. */
struct batch {
	uint64_t src;
	uint64_t dst;
	uint64_t n;
	int huge;
};

static uint64_t shifted(const struct shift *sh, uint64_t at)
{
	return sh->insert ? at + sh->n : at - sh->n;
}

/* Logs the intent as it is from this record on. */
static void cursor_log(struct tx *tx, struct inode_edit *edit, const struct shift *sh)
{
	uint64_t arg[3] = { sh->cursor, sh->insert ? sh->n : 0 - sh->n, sh->edge };

	if (sh->slot >= 0)
		intent_log_set(tx, edit, (uint32_t)sh->slot, PMFS2_INTENT_SHIFT, arg);
}

/* Commits a record of nothing but the intent. */
static int cursor_commit(const struct shift *sh)
{
	struct inode_edit edit;
	struct tx tx;

	tx_begin(&tx, sh->fs);
	inode_edit_begin(&edit, sh->ip);
	cursor_log(&tx, &edit, sh);
	inode_edit_log(&tx, &edit);
	return tx_commit(&tx);
}

/* Frees [first, end), or only empty nodes if there is nothing in it. */
static int range_clear(const struct shift *sh, uint64_t first, uint64_t end)
{
	struct inode_edit edit;
	struct tx tx;
	int more, err;

	do {
		tx_begin(&tx, sh->fs);
		inode_edit_begin(&edit, sh->ip);
		more = map_clear(&tx, &edit, first, end);
		if (more < 0) {
			tx_drop(&tx);
			return more;
		}
		inode_edit_log(&tx, &edit);
		err = tx_commit(&tx);
	} while (more && !err);
	return err;
}

/* The node of level target that covers file block at, made if it is missing. */
static int node_ensure(const struct shift *sh, uint64_t at, uint32_t target, struct map_path *path)
{
	struct map map = map_of(sh->ip);
	struct map_words nothing = { 0 };
	struct map_nodes nodes = { 0 };
	struct inode_edit edit;
	struct tx tx;
	uint64_t huge;
	int err = map_path_find(sh->fs, &map, at, target, path, &huge);

	if (err)
		return err;
	if (huge)
		return fs_corrupt(sh->fs, "inode %llu: shift onto a huge leaf at block %llu", (unsigned long long)map.ino,
				  (unsigned long long)at);
	if (!path->n_missing)
		return 0;
	err = map_nodes_reserve(sh->fs, &nodes, path->n_missing, ALLOC_RESERVE);
	if (err)
		return err;
	tx_begin(&tx, sh->fs);
	inode_edit_begin(&edit, sh->ip);
	map_path_store(&tx, &edit, path, &nodes, &nothing);
	map_nodes_cancel(sh->fs, &nodes);
	pmem_fence(sh->fs->pm);
	inode_edit_log(&tx, &edit);
	err = tx_commit(&tx);
	if (err)
		return err;
	map = map_of(sh->ip);
	return map_path_find(sh->fs, &map, at, target, path, &huge);
}

/* Present entries of a level 1 node, packed for where they go. */
static int words_pack(const struct shift *sh, const le64 *src, const struct batch *b, le64 *out)
{
	for (uint64_t i = 0; i < b->n; i++) {
		struct entry_pos pos = { .owner = sh->ip->ino, .level = 1, .index = b->src + i };
		uint64_t word = le64_load(src + i);
		struct entry e;
		int err = word ? map_entry_check(sh->fs, &pos, word, &e) : 0;

		if (err)
			return err;
		pos.index = b->dst + i;
		out[i] = le64_of(word ? map_pack(pos, PMFS2_ENTRY_DATA, e.block, e.unwritten) : 0);
	}
	return 0;
}

/* Logs the move; where both ranges stand in one node and overlap, each word once. */
static int words_move(struct tx *tx, const struct shift *sh, const struct batch *b, const le64 *src, const le64 *dst)
{
	le64 words[2 * PMFS2_BLOCK_WORDS] = { { 0 } };
	uint64_t gap = src > dst ? (uint64_t)(src - dst) : (uint64_t)(dst - src);
	uint32_t n = (uint32_t)b->n;
	int err;

	for (uint64_t i = 0; i < b->n; i++) {
		int old_place = src < dst ? dst + i < src + b->n : dst + i >= src;

		if (!old_place && le64_load(dst + i))
			return fs_corrupt(sh->fs, "inode %llu: shift onto block %llu, which is there",
					  (unsigned long long)sh->ip->ino, (unsigned long long)(b->dst + i));
	}
	if (gap >= b->n) {
		err = words_pack(sh, src, b, words);
		tx_put_words(tx, dst, words, n);
		tx_fill(tx, src, 0, n);
	} else if (dst < src) {
		err = words_pack(sh, src, b, words);
		tx_put_words(tx, dst, words, n + (uint32_t)gap);
	} else {
		err = words_pack(sh, src, b, words + gap);
		tx_put_words(tx, src, words, n + (uint32_t)gap);
	}
	return err;
}

/* Logs the move of one huge leaf between level 2 nodes. */
static int huge_move(struct tx *tx, const struct shift *sh, const struct batch *b, const le64 *src, const le64 *dst)
{
	struct entry_pos pos = map_entry_pos(sh->ip->ino, 2, b->src);
	struct entry e;
	int err = map_entry_check(sh->fs, &pos, le64_load(src), &e);

	if (!err && (e.kind != PMFS2_ENTRY_HUGE || le64_load(dst)))
		err = fs_corrupt(sh->fs, "inode %llu: shift of block %llu onto one that is there",
				 (unsigned long long)sh->ip->ino, (unsigned long long)b->src);
	if (err)
		return err;
	tx_put(tx, dst, map_pack(map_entry_pos(sh->ip->ino, 2, b->dst), PMFS2_ENTRY_HUGE, e.block, e.unwritten));
	tx_put(tx, src, 0);
	return 0;
}

/* Moves a batch and the cursor with it, then takes away what became empty. */
static int batch_move(struct shift *sh, const struct batch *b)
{
	uint32_t target = b->huge ? 2 : 1;
	struct map_path src_path, dst_path;
	struct map map;
	struct inode_edit edit;
	struct tx tx;
	const le64 *src, *dst;
	uint64_t other;
	int err = node_ensure(sh, b->dst, target, &dst_path);

	if (err)
		return err;
	map = map_of(sh->ip);
	err = map_path_find(sh->fs, &map, b->src, target, &src_path, &other);
	if (err)
		return err;
	if (src_path.n_missing || (!b->huge && other))
		return fs_corrupt(sh->fs, "inode %llu: shift lost block %llu", (unsigned long long)map.ino,
				  (unsigned long long)b->src);
	src = (const le64 *)fs_block(sh->fs, src_path.block[target]) + map_entry_index(target, b->src);
	dst = (const le64 *)fs_block(sh->fs, dst_path.block[target]) + map_entry_index(target, b->dst);
	sh->cursor = sh->insert ? b->src : b->src + b->n;
	tx_begin(&tx, sh->fs);
	inode_edit_begin(&edit, sh->ip);
	err = b->huge ? huge_move(&tx, sh, b, src, dst) : words_move(&tx, sh, b, src, dst);
	if (err) {
		tx_drop(&tx);
		return err;
	}
	cursor_log(&tx, &edit, sh);
	inode_edit_log(&tx, &edit);
	err = tx_commit(&tx);
	if (err)
		return err;
	/* This block of the source is a hole now, also where source and destination overlap. */
	other = sh->insert ? b->src : b->src + b->n - 1;
	return range_clear(sh, other, other + 1);
}

/* The next entries to move. 1, 0: nothing left, -EUCLEAN. */
static int batch_next(const struct shift *sh, struct batch *b)
{
	struct map map = map_of(sh->ip);
	struct map_extent ext;
	uint64_t last, stop;
	int found;

	if (!sh->insert) {
		found = map_find_present(sh->fs, &map, sh->cursor, MAP_BLOCKS_MAX, &ext);
		if (found <= 0)
			return found;
		b->src = ext.first;
		b->dst = shifted(sh, b->src);
		/* To the end of the source's node or of the destination's, whichever is nearer. */
		b->n = u64_min(MAP_WINDOW - b->src % MAP_WINDOW, MAP_WINDOW - b->dst % MAP_WINDOW);
	} else {
		found = map_find_last(sh->fs, &map, sh->cursor, &last);
		if (found <= 0 || last < sh->edge)
			return found < 0 ? found : 0;
		stop = shifted(sh, last);
		if (stop >= MAP_BLOCKS_MAX)
			return fs_corrupt(sh->fs, "inode %llu: shift beyond the largest file", (unsigned long long)map.ino);
		b->n = u64_min(u64_min(last % MAP_WINDOW, stop % MAP_WINDOW) + 1, last + 1 - sh->edge);
		b->src = last + 1 - b->n;
		b->dst = shifted(sh, b->src);
		found = map_find(sh->fs, &map, last, 1, &ext);
		if (found)
			return found;
	}
	b->huge = ext.huge;
	if (ext.huge && b->n != MAP_WINDOW)
		return fs_corrupt(sh->fs, "inode %llu: shift of a part of a huge leaf at block %llu", (unsigned long long)map.ino,
				  (unsigned long long)b->src);
	return 1;
}

/* Step 5. */
static int shift_close(const struct shift *sh)
{
	uint64_t bytes = sh->n << PMFS2_BLOCK_SHIFT;
	struct inode_edit edit;
	struct tx tx;
	int err;

	tx_begin(&tx, sh->fs);
	inode_edit_begin(&edit, sh->ip);
	edit.image.size = le64_of(le64_get(edit.image.size) + (sh->insert ? bytes : 0 - bytes));
	inode_edit_touch(&edit, 1, 1);
	if (sh->slot >= 0)
		intent_log_clear(&tx, &edit, (uint32_t)sh->slot);
	inode_edit_log(&tx, &edit);
	err = tx_commit(&tx);
	if (!err && sh->slot >= 0)
		intent_unreserve(sh->fs, (uint32_t)sh->slot);
	return err;
}

/* Steps 3 to 5. */
static int shift_run(struct shift *sh)
{
	struct batch b;
	int err, more;

	if (!sh->insert && sh->cursor == sh->edge) {
		err = range_clear(sh, sh->edge, sh->edge + sh->n);
		if (err)
			return err;
		sh->cursor = sh->edge + sh->n;
		err = cursor_commit(sh);
		if (err)
			return err;
	}
	while ((more = batch_next(sh, &b)) > 0) {
		err = batch_move(sh, &b);
		if (err)
			return err;
	}
	return more < 0 ? more : shift_close(sh);
}

/* Step 1: from block first on, those that cannot be moved whole. */
static int huge_split_all(const struct shift *sh, uint64_t first)
{
	int all = sh->n % MAP_WINDOW != 0, err;
	struct map map = map_of(sh->ip);
	struct map_extent ext;

	while ((err = map_find_present(sh->fs, &map, first, MAP_BLOCKS_MAX, &ext)) > 0) {
		uint64_t start = round_down_to(ext.first, MAP_WINDOW);

		if (ext.huge && (all || start < sh->edge)) {
			err = map_split_huge(sh->fs, sh->ip, ext.first);
			if (err)
				return err;
			map = map_of(sh->ip);
		}
		if (!all && start >= sh->edge)
			return 0;
		first = ext.first + ext.n;
	}
	return err;
}

static int shift_check(const struct inode *ip, int insert, uint64_t off, uint64_t len)
{
	uint64_t size = le64_get(ip->media->size);

	if (FILE_IN_BLOCK(off | len))
		return -EINVAL;
	if (insert && len > PMFS2_FILE_SIZE_MAX - size)
		return -EFBIG;
	return (insert ? off >= size : off + len >= size) ? -EINVAL : 0;
}

int file_shift(struct fs *fs, struct inode *ip, int insert, uint64_t off, uint64_t len)
{
	struct shift sh = { .fs = fs, .ip = ip, .slot = -1, .insert = insert };
	uint64_t last;
	struct map map = map_of(ip);
	uint32_t slot;
	int err = shift_check(ip, insert, off, len), found;

	if (err)
		return err;
	sh.edge = off >> PMFS2_BLOCK_SHIFT;
	sh.n = len >> PMFS2_BLOCK_SHIFT;
	/* Blocks allocated behind the end of file move too. */
	found = map_find_last(fs, &map, MAP_BLOCKS_MAX, &last);
	if (found < 0)
		return found;
	if (insert && found && last >= MAP_BLOCKS_MAX - sh.n)
		return -EFBIG;
	sh.cursor = insert && found ? u64_max(last + 1, sh.edge) : sh.edge;
	file_take_back(fs, ip, off, PMFS2_FILE_SIZE_MAX - off);
	err = huge_split_all(&sh, sh.edge);
	if (err)
		return err;
	if (!le32_get(ip->media->intent)) {
		err = intent_reserve(fs, &slot);
		if (err)
			return err;
		sh.slot = slot;
		err = cursor_commit(&sh);
		if (err) {
			intent_unreserve(fs, slot);
			return err;
		}
	}
	err = shift_run(&sh);
	/* It will be finished before anybody can look: done, and an error would have the caller do it twice. */
	return sh.slot >= 0 && (err == -ENOMEM || err == -ENOSPC) ? 0 : err;
}

int file_shift_resume(struct fs *fs, struct inode *ip, uint32_t slot)
{
	struct shift sh = { .fs = fs, .ip = ip, .slot = slot };
	enum pmfs2_intent_kind kind;
	uint64_t ino, arg[3], gap;
	int err;

	intent_read(fs, slot, &kind, &ino, arg);
	sh.insert = !(arg[1] >> 63);
	sh.n = sh.insert ? arg[1] : 0 - arg[1];
	sh.cursor = arg[0];
	sh.edge = arg[2];
	if (kind != PMFS2_INTENT_SHIFT || ino != ip->ino || !sh.n || sh.n > MAP_BLOCKS_MAX || sh.cursor > MAP_BLOCKS_MAX ||
	    sh.edge > sh.cursor || (!sh.insert && sh.cursor != sh.edge && sh.cursor - sh.edge < sh.n) ||
	    (!sh.insert && le64_get(ip->media->size) < sh.n << PMFS2_BLOCK_SHIFT) ||
	    (sh.insert && le64_get(ip->media->size) > PMFS2_FILE_SIZE_MAX - (sh.n << PMFS2_BLOCK_SHIFT)))
		return fs_corrupt(fs, "intent %u: damaged shift of inode %llu", slot, (unsigned long long)ip->ino);
	gap = sh.insert ? sh.cursor : sh.cursor - sh.n;
	if (sh.insert || sh.cursor != sh.edge) {
		err = range_clear(&sh, gap, gap + sh.n);
		if (err)
			return err;
	}
	return shift_run(&sh);
}
