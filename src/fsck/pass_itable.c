/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pass "inode table". Proves: the table's tree leads to every chunk from 0 to itable_chunks - 1 and to nothing else; each pointer
 * is right for its place, in range, and leads where nothing else is.
 *
 * A chunk that the tree has lost is looked for by its header (magic, CRC, its own number and place) in blocks that are marked as
 * used. The tree is then built anew beside the old one, and one word swings. If cut: the old tree, or the new one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "fsck/bits.h"
#include "fsck/fix.h"

#define HEIGHT_MAX 4u
#define GAP_MAX 16u /* chunks that may always be missing, and are made anew */

struct frame {
	uint64_t block;
	uint64_t base; /* first chunk below it */
	uint32_t level;
	uint32_t at;
};

struct itable_walk {
	struct fsck *fk;
	uint64_t cap; /* no chunk number reaches it */
	uint64_t top; /* highest chunk found + 1 */
	uint32_t height; /* of the tree */
	int rebuild;
	uint32_t below; /* of the word that is being checked: level of the node it stands in */
	struct frame stack[HEIGHT_MAX];
	uint32_t depth;
};

static int root_ok(void *ctx, const struct entry *e)
{
	const struct itable_walk *w = ctx;

	return e->height <= HEIGHT_MAX && !e->unwritten && e->kind == (e->height ? PMFS2_ENTRY_NODE : PMFS2_ENTRY_CHUNK) &&
	       disk_block_ok(&w->fk->disk, e->block, e->height ? 1 : PMFS2_CHUNK_BLOCKS) &&
	       (e->height || !(e->block % PMFS2_CHUNK_BLOCKS));
}

static int child_ok(void *ctx, const struct entry *e)
{
	const struct itable_walk *w = ctx;
	int node = w->below > 1;

	return !e->height && !e->unwritten && e->kind == (node ? PMFS2_ENTRY_NODE : PMFS2_ENTRY_CHUNK) &&
	       disk_block_ok(&w->fk->disk, e->block, node ? 1 : PMFS2_CHUNK_BLOCKS) && (node || !(e->block % PMFS2_CHUNK_BLOCKS));
}

static void chunk_found(struct itable_walk *w, uint64_t number, uint64_t block)
{
	uint64_t before;

	w->fk->chunk_block[number] = block;
	w->top = u64_max(w->top, number + 1);
	claims_take_meta(&w->fk->now, block, PMFS2_CHUNK_BLOCKS, &before);
}

/* The entry's blocks are claimed already: it cannot be right. */
static int entry_taken(const struct itable_walk *w, uint64_t block, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (claims_is_used(&w->fk->now, block + i))
			return 1;
	return 0;
}

static void node_push(struct itable_walk *w, uint64_t block, uint32_t level, uint64_t base)
{
	uint64_t before;

	claims_take_meta(&w->fk->now, block, 1, &before);
	w->stack[w->depth++] = (struct frame){ .block = block, .base = base, .level = level };
}

/* One entry of the node on top of the stack. */
static void entry_visit(struct itable_walk *w, struct frame *f, uint32_t i)
{
	uint64_t chunk = f->base + ((uint64_t)i << (9 * (f->level - 1)));
	const struct entry_pos pos = { .owner = PMFS2_INO_ITABLE, .level = f->level, .index = chunk };
	const le64 *addr = (const le64 *)disk_block(&w->fk->disk, f->block) + i;
	uint64_t word = le64_get(*addr), old = word;
	uint32_t n = f->level > 1 ? 1 : PMFS2_CHUNK_BLOCKS;
	struct entry e;

	w->below = f->level;
	if (!word)
		return;
	if (chunk >= w->cap) {
		if (fsck_found(w->fk, FSCK_ITABLE_ENTRY, "inode table: chunk %llu is more than the device can hold",
			       (unsigned long long)chunk))
			fix_word(w->fk, addr, 0);
		return;
	}
	if (!entry_unpack(&pos, word, &e) || !child_ok(w, &e) || entry_taken(w, e.block, n)) {
		int right = bits_correct_entry(&pos, &word, child_ok, w) && entry_unpack(&pos, word, &e) &&
			    !entry_taken(w, e.block, n);

		if (fsck_found(w->fk, FSCK_ITABLE_ENTRY, "inode table: damaged entry %#llx for chunk %llu at level %u",
			       (unsigned long long)old, (unsigned long long)chunk, f->level))
			fix_word(w->fk, addr, right ? word : 0);
		if (!right) {
			w->rebuild = 1;
			return;
		}
	}
	if (f->level > 1)
		node_push(w, e.block, f->level - 1, chunk);
	else
		chunk_found(w, chunk, e.block);
}

static void tree_walk(struct itable_walk *w)
{
	while (w->depth) {
		struct frame *f = &w->stack[w->depth - 1];

		if (f->at == PMFS2_BLOCK_WORDS)
			w->depth--;
		else
			entry_visit(w, f, f->at++);
	}
}

static void root_visit(struct itable_walk *w)
{
	const struct pmfs2_state *state = disk_block(&w->fk->disk, 1);
	uint64_t word = le64_get(state->itable_root), old = word;
	struct entry_pos pos = { .owner = PMFS2_INO_ITABLE, .level = (uint32_t)(word >> PMFS2_ENTRY_HEIGHT_SHIFT & 15) };
	struct entry e;

	if (!word || !entry_unpack(&pos, word, &e) || !root_ok(w, &e)) {
		int right = 0;

		/* The height is part of what the check covers: each one is tried. */
		for (pos.level = 0; !right && pos.level <= HEIGHT_MAX; pos.level++) {
			word = old;
			right = bits_correct_entry(&pos, &word, root_ok, w) && entry_unpack(&pos, word, &e) &&
				e.height == pos.level;
		}
		if (fsck_found(w->fk, FSCK_ITABLE_ROOT, "inode table: damaged root %#llx", (unsigned long long)old) && right)
			fix_word(w->fk, &state->itable_root, word);
		if (!right) {
			w->rebuild = 1;
			return;
		}
	}
	w->height = e.height;
	if (e.height)
		node_push(w, e.block, e.height, 0);
	else
		chunk_found(w, 0, e.block);
}

/* The header of a chunk that stands here by its own words. */
static int header_here(const struct fsck *fk, uint64_t block, uint64_t *out_number)
{
	struct pmfs2_chunk head;
	uint32_t crc;

	memcpy(&head, disk_block(&fk->disk, block), 64);
	if (le32_get(head.magic) != PMFS2_MAGIC_CHUNK || le64_get(head.block) != block)
		return 0;
	crc = le32_get(head.crc);
	head.crc = le32_of(0);
	*out_number = le64_get(head.index);
	return crc == crc32c_of(&head, 64);
}

/* Looks at all 16-aligned blocks that are marked as used and not claimed, for chunks that the tree does not have. */
static void chunks_search(struct itable_walk *w)
{
	struct fsck *fk = w->fk;
	uint64_t number;

	for (uint64_t block = fk->disk.data_block; disk_block_ok(&fk->disk, block, PMFS2_CHUNK_BLOCKS);
	     block += PMFS2_CHUNK_BLOCKS) {
		if (!disk_bitmap_test(&fk->disk, block) || claims_is_used(&fk->now, block) || !header_here(fk, block, &number) ||
		    number >= w->cap || fk->chunk_block[number] || entry_taken(w, block, PMFS2_CHUNK_BLOCKS))
			continue;
		(void)fsck_found(fk, FSCK_ITABLE_ENTRY, "inode table: chunk %llu, in block %llu, is not in the tree",
				 (unsigned long long)number, (unsigned long long)block);
		chunk_found(w, number, block);
		w->rebuild = 1;
	}
}

/*
 * An empty chunk. Order: its inodes are zeroed, fence, then its header. If cut: leaked blocks; what the search for lost chunks
 * takes for one by its header holds nothing of an earlier life.
 */
static int chunk_make(struct fsck *fk, uint64_t number)
{
	struct pmem *pm = fk->disk.pm;
	struct pmfs2_chunk head = {
		.magic = le32_of(PMFS2_MAGIC_CHUNK),
		.index = le64_of(number),
		.used = { le64_of(1) },
	};
	uint64_t block = fix_alloc(fk, PMFS2_CHUNK_BLOCKS, PMFS2_CHUNK_BLOCKS);

	if (!block)
		return -ENOSPC;
	head.block = le64_of(block);
	head.crc = le32_of(crc32c_of(&head, 64));
	pmem_zero(pm, disk_block(&fk->disk, block), (size_t)PMFS2_CHUNK_BLOCKS << PMFS2_BLOCK_SHIFT);
	pmem_fence(pm);
	pmem_copy(pm, disk_block(&fk->disk, block), &head, sizeof(head));
	fk->chunk_block[number] = block;
	return 0;
}

/*
 * The nodes of one level over what the level below is: words[i] stands for 512^(level - 1) chunks from i of them on. Replaces
 * words by those of the new nodes, and returns how many. 0: no space.
 */
static uint64_t level_build(struct fsck *fk, uint32_t level, uint64_t *blocks, uint64_t n)
{
	uint64_t n_nodes = (n + PMFS2_BLOCK_WORDS - 1) / PMFS2_BLOCK_WORDS;

	for (uint64_t node = 0; node < n_nodes; node++) {
		le64 words[PMFS2_BLOCK_WORDS] = { { 0 } };
		uint64_t block = fix_alloc(fk, 1, 1);

		if (!block)
			return 0;
		for (uint64_t i = 0; i < PMFS2_BLOCK_WORDS && node * PMFS2_BLOCK_WORDS + i < n; i++) {
			uint64_t child = node * PMFS2_BLOCK_WORDS + i;
			const struct entry_pos pos = { PMFS2_INO_ITABLE, level, child << (9 * (level - 1)) };
			const struct entry e = { .block = blocks[child],
						 .kind = level > 1 ? PMFS2_ENTRY_NODE : PMFS2_ENTRY_CHUNK };

			words[i] = le64_of(e.block ? entry_pack(&pos, &e) : 0);
		}
		pmem_copy(fk->disk.pm, disk_block(&fk->disk, block), words, sizeof(words));
		blocks[node] = block;
	}
	return n_nodes;
}

/* A new tree over chunk_block[0 .. n). */
static int tree_build(struct fsck *fk, uint64_t n)
{
	const struct pmfs2_state *state = disk_block(&fk->disk, 1);
	uint64_t *blocks = malloc(n * sizeof(*blocks)), left = n;
	struct entry root = { .kind = PMFS2_ENTRY_CHUNK };
	struct entry_pos pos = { .owner = PMFS2_INO_ITABLE };

	if (!blocks)
		return -ENOMEM;
	memcpy(blocks, fk->chunk_block, n * sizeof(*blocks));
	while (left > 1) {
		pos.level = ++root.height;
		left = level_build(fk, root.height, blocks, left);
		root.kind = PMFS2_ENTRY_NODE;
	}
	root.block = blocks[0];
	free(blocks);
	if (!left)
		return -ENOSPC;
	fix_word(fk, &state->itable_root, entry_pack(&pos, &root));
	return 0;
}

/*
 * How many chunks the table shall have, of which the highest is n - 1. A few that are missing are made anew; where more are
 * missing than there are, what stands behind the first gap is no part of this table: a stray pointer or old chunks.
 */
static uint64_t table_cut(struct itable_walk *w, uint64_t n)
{
	struct fsck *fk = w->fk;
	uint64_t missing = 0, first = n;

	for (uint64_t i = n; i-- > 0;)
		if (!fk->chunk_block[i]) {
			missing++;
			first = i;
		}
	if (missing <= u64_max(n - missing, GAP_MAX))
		return n;
	if (!fsck_found(fk, FSCK_ITABLE_ENTRY,
			"inode table: %llu of %llu chunks are missing, the table ends at the first of them",
			(unsigned long long)missing, (unsigned long long)n) &&
	    fk->fixing)
		return n;
	w->rebuild = 1;
	first = u64_max(first, 1);
	for (uint64_t i = first; i < n; i++)
		fk->chunk_block[i] = 0;
	return first;
}

/* The tree is as high as its number of chunks needs it to be. */
static void height_check(struct itable_walk *w, uint64_t n)
{
	uint32_t right = 0;

	while (n > 1ull << (9 * right))
		right++;
	if (w->rebuild || w->height == right)
		return;
	(void)fsck_found(w->fk, FSCK_ITABLE_ROOT, "inode table: a tree of height %u for %llu chunks", w->height,
			 (unsigned long long)n);
	w->rebuild = 1;
}

/* Chunks that are missing below the highest one, and the tree anew where it has lost any. */
static void table_mend(struct itable_walk *w, uint64_t n)
{
	struct fsck *fk = w->fk;
	int err = 0;

	for (uint64_t i = 0; i < n; i++) {
		if (fk->chunk_block[i])
			continue;
		if (!fsck_found(fk, FSCK_ITABLE_ENTRY, "inode table: chunk %llu is missing", (unsigned long long)i))
			return;
		w->rebuild = 1;
		err = chunk_make(fk, i);
		if (err)
			break;
	}
	if (!err && w->rebuild && fk->fixing && n && fk->round_fixed)
		err = tree_build(fk, n);
	if (err)
		fsck_note(fk, "inode table: no space to mend it: %s", strerror(-err));
}

int pass_itable(struct fsck *fk)
{
	const struct pmfs2_state *state = disk_block(&fk->disk, 1);
	uint64_t count = le64_get(state->itable_chunks), n;
	struct itable_walk w = { .fk = fk, .cap = fk->disk.n_blocks / PMFS2_CHUNK_BLOCKS };

	fk->chunk_block = calloc(w.cap + 1, sizeof(*fk->chunk_block));
	if (!fk->chunk_block)
		return -ENOMEM;
	root_visit(&w);
	tree_walk(&w);
	n = u64_max(w.top, 1);
	for (uint64_t i = 0; i < n && !w.rebuild; i++)
		w.rebuild = !fk->chunk_block[i];
	if (w.rebuild || count != n)
		chunks_search(&w);
	n = u64_max(w.top, 1);
	n = table_cut(&w, n);
	height_check(&w, n);
	table_mend(&w, n);
	if (count != n && fsck_found(fk, FSCK_ITABLE_COUNT, "inode table: %llu chunks are counted, %llu are there",
				     (unsigned long long)count, (unsigned long long)n))
		fix_word(fk, &state->itable_chunks, n);
	fk->n_chunks = n;
	fk->ino_state = calloc(fsck_ino_end(fk), sizeof(*fk->ino_state));
	fk->ino_links = calloc(fsck_ino_end(fk), sizeof(*fk->ino_links));
	return fk->ino_state && fk->ino_links ? 0 : -ENOMEM;
}

const struct pmfs2_inode *fsck_inode(const struct fsck *fk, uint64_t ino)
{
	uint64_t chunk = ino / PMFS2_CHUNK_INODES, at = ino % PMFS2_CHUNK_INODES * PMFS2_INODE_SIZE;

	if (chunk >= fk->n_chunks || !fk->chunk_block[chunk])
		return NULL;
	return (const struct pmfs2_inode *)((const uint8_t *)disk_block(&fk->disk,
									fk->chunk_block[chunk] + at / PMFS2_BLOCK_SIZE) +
					    at % PMFS2_BLOCK_SIZE);
}
