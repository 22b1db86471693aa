/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tree of a file. Proves: each entry is right for its owner, level and place, leads into the data area, to blocks that
 * nothing else uses; large leaves are aligned; what is written behind the end of the file is zero, or will be once an unfinished
 * collapse or insert is done, whose intent fits what is there. Counts blocks.
 *
 * A block with two owners: where both hold data, the one that is met later (lower inode numbers first) gets a copy. Where one of
 * them is metadata, the data gives way: metadata proves by its own words whose it is. Of two that are metadata, the first one
 * stays.
 */
#include <string.h>
#include <sys/stat.h>

#include "fsck/bits.h"
#include "fsck/inode_view.h"
#include "fsck/shift_plan.h"

struct frame {
	uint64_t block;
	uint64_t base; /* first file block below it */
	uint32_t level;
	uint32_t at;
	struct entry *ents;
};

struct tree {
	struct inode_view *iv;
	struct fsck *fk;
	struct inode_scratch *scratch;
	uint64_t end; /* first file block wholly behind the end of the file */
	int shifting; /* plan is there */
	struct shift_plan plan;
	uint64_t misfit; /* a file block that does not fit it; UINT64_MAX: none */
	uint32_t level; /* of the word that is being looked at */
	struct frame stack[PMFS2_HEIGHT_MAX];
	uint32_t depth;
};

/* Where an entry stands: in a node, or in the root word (node 0). */
struct place {
	const le64 *addr; /* in a node; NULL: the root word */
	struct entry_pos pos;
};

static int entry_ok(void *ctx, const struct entry *e)
{
	const struct tree *t = ctx;

	if (e->height)
		return 0;
	switch (e->kind) {
	case PMFS2_ENTRY_NODE:
		return t->level > 1 && !e->unwritten && disk_block_ok(&t->fk->disk, e->block, 1);
	case PMFS2_ENTRY_DATA:
		return t->level == 1 && disk_block_ok(&t->fk->disk, e->block, 1);
	case PMFS2_ENTRY_HUGE:
		return t->level == 2 && !(e->block % PMFS2_HUGE_BLOCKS) &&
		       disk_block_ok(&t->fk->disk, e->block, PMFS2_HUGE_BLOCKS);
	default:
		return 0;
	}
}

static int root_ok(void *ctx, const struct entry *e)
{
	const struct tree *t = ctx;

	if (e->height > PMFS2_HEIGHT_MAX || !disk_block_ok(&t->fk->disk, e->block, 1))
		return 0;
	return e->height ? e->kind == PMFS2_ENTRY_NODE && !e->unwritten : e->kind == PMFS2_ENTRY_DATA;
}

/* Puts another entry in the place of one. e NULL: a hole. */
static void place_store(struct tree *t, const struct place *pl, const struct entry *e)
{
	uint64_t word = e ? entry_pack(&pl->pos, e) : 0;

	if (pl->addr) {
		fix_word(t->fk, pl->addr, word);
		return;
	}
	t->iv->image.root = le64_of(word);
	t->iv->dirty = 1;
}

int claim_meta(struct inode_view *iv, uint64_t block, uint32_t n, const char *what, int *out_fix)
{
	uint64_t taken = 0, meta = 0;

	*out_fix = 0;
	for (uint32_t i = 0; i < n;) {
		uint32_t part = (uint32_t)u64_min(n - i, 64 - (block + i) % 64);
		uint64_t part_meta;

		taken |= claims_take_meta(&iv->fk->now, block + i, part, &part_meta);
		meta |= part_meta;
		i += part;
	}
	if (!taken || (!meta && iv->fk->fixing))
		return 0;
	*out_fix = fsck_found(iv->fk, FSCK_BLOCK_OVERLAP, "inode %llu: block %llu (%s) is in use already",
			      (unsigned long long)iv->ino, (unsigned long long)block, what);
	return meta != 0;
}

/* Copies blocks of data, as many at a time as lie together; those that are metadata of somebody else become zeros. */
static void data_copy(struct tree *t, uint64_t to, uint64_t from, uint32_t n)
{
	struct disk *disk = &t->fk->disk;

	for (uint32_t i = 0, part; i < n; i += part) {
		int meta = claims_is_meta(&t->fk->before, from + i);

		for (part = 1; i + part < n && claims_is_meta(&t->fk->before, from + i + part) == meta;)
			part++;
		if (meta)
			pmem_zero(disk->pm, disk_block(disk, to + i), (size_t)part << PMFS2_BLOCK_SHIFT);
		else
			pmem_copy(disk->pm, disk_block(disk, to + i), disk_block(disk, from + i),
				  (size_t)part << PMFS2_BLOCK_SHIFT);
	}
}

/* A data entry whose block, or one of them, has another owner. 1: the entry is gone. */
static int data_conflict(struct tree *t, const struct place *pl, const struct entry *e, uint64_t block)
{
	uint32_t n = e->kind == PMFS2_ENTRY_HUGE ? PMFS2_HUGE_BLOCKS : 1;
	int meta = claims_is_meta(&t->fk->now, block) || (t->fk->fixing && claims_is_meta(&t->fk->before, block));
	enum fsck_code code = meta ? FSCK_BLOCK_OVERLAP : FSCK_BLOCK_SHARED;
	struct entry copy = *e;

	if (!fsck_found(t->fk, code, "inode %llu: block %llu of file block %llu is in use already",
			(unsigned long long)t->iv->ino, (unsigned long long)block,
			(unsigned long long)(pl->pos.index + (block - e->block))))
		return 0;
	copy.block = meta && n == 1 ? 0 : fix_alloc(t->fk, n, n);
	if (!copy.block) {
		place_store(t, pl, NULL);
		return 1;
	}
	data_copy(t, copy.block, e->block, n);
	place_store(t, pl, &copy);
	return 0;
}

/* Claims the blocks of one entry, up to 512. 1: the entry is gone. */
static int data_claim(struct tree *t, const struct place *pl, const struct entry *e)
{
	uint32_t n = e->kind == PMFS2_ENTRY_HUGE ? PMFS2_HUGE_BLOCKS : 1;
	uint64_t conflict = 0;

	/* A repair knows from the scan which blocks metadata will claim later in this round. */
	for (uint32_t i = 0; t->fk->fixing && !conflict && i < n; i++)
		if (claims_is_meta(&t->fk->before, e->block + i))
			conflict = e->block + i;
	if (conflict)
		return data_conflict(t, pl, e, conflict);
	for (uint32_t i = 0; i < n;) {
		uint32_t part = (uint32_t)u64_min(n - i, 64 - (e->block + i) % 64);
		uint64_t taken = claims_take(&t->fk->now, e->block + i, part);

		if (taken && !conflict)
			conflict = e->block + i + (uint64_t)__builtin_ctzll(taken);
		i += part;
	}
	return conflict ? data_conflict(t, pl, e, conflict) : 0;
}

static int holds_data(const struct tree *t, const struct entry *e)
{
	return !e->unwritten && e->kind == PMFS2_ENTRY_DATA &&
	       !pmem_is_zero(disk_block(&t->fk->disk, e->block), PMFS2_BLOCK_SIZE);
}

/* An entry for n blocks of a file with an unfinished shift. */
static void shift_check(struct tree *t, uint64_t at, uint64_t n, const struct entry *e)
{
	uint64_t final = shift_plan_final(&t->plan, at);

	if (!shift_plan_fits(&t->plan, at, n) || (final != UINT64_MAX && final >= t->plan.end && holds_data(t, e)))
		t->misfit = at;
}

/* Written data wholly behind the end of the file. */
static void behind_check(struct tree *t, const struct place *pl, const struct entry *e)
{
	struct entry fixed = *e;

	if (pl->pos.index < t->end || t->iv->intent_kind || !holds_data(t, e))
		return;
	fixed.unwritten = 1;
	if (fsck_found(t->fk, FSCK_MAP_BEHIND, "inode %llu: data at file block %llu, behind its end",
		       (unsigned long long)t->iv->ino, (unsigned long long)pl->pos.index))
		place_store(t, pl, &fixed);
}

static struct place place_of(const struct tree *t, const struct frame *f, uint32_t i)
{
	return (struct place){
		.addr = (const le64 *)disk_block(&t->fk->disk, f->block) + i,
		.pos = { t->iv->ino, f->level, f->base + ((uint64_t)i << (9 * (f->level - 1))) },
	};
}

/* Unpacks the entries of a node. Returns 0 if it holds damage only: it is no node of this tree. */
static int node_load(struct tree *t, const struct frame *f)
{
	const le64 *words = disk_block(&t->fk->disk, f->block);
	uint32_t good = 0, bad = 0;

	t->level = f->level;
	for (uint32_t i = 0; i < PMFS2_BLOCK_WORDS; i++) {
		uint64_t word = le64_get(words[i]);
		struct place pl = place_of(t, f, i);

		f->ents[i] = (struct entry){ 0 };
		if (!word)
			continue;
		if (entry_unpack(&pl.pos, word, &f->ents[i]) && entry_ok(t, &f->ents[i])) {
			good++;
			continue;
		}
		bad++;
		good += (uint32_t)bits_correct_entry(&pl.pos, &word, entry_ok, t);
	}
	if (!bad || !good)
		return !bad;
	for (uint32_t i = 0; i < PMFS2_BLOCK_WORDS; i++) {
		uint64_t word = le64_get(words[i]), old = word;
		struct place pl = place_of(t, f, i);
		int right;

		if (!word || (entry_unpack(&pl.pos, word, &f->ents[i]) && entry_ok(t, &f->ents[i])))
			continue;
		right = bits_correct_entry(&pl.pos, &word, entry_ok, t);
		f->ents[i] = (struct entry){ 0 };
		if (right)
			entry_unpack(&pl.pos, word, &f->ents[i]);
		if (fsck_found(t->fk, FSCK_MAP_ENTRY, "inode %llu: damaged map entry %#llx, level %u, file block %llu",
			       (unsigned long long)t->iv->ino, (unsigned long long)old, f->level,
			       (unsigned long long)pl.pos.index))
			fix_word(t->fk, pl.addr, right ? word : 0);
	}
	return 1;
}

/* Goes down to the node that the entry at pl leads to, unless that cannot be. */
static void node_enter(struct tree *t, const struct place *pl, const struct entry *e, uint32_t level)
{
	struct frame f = { .block = e->block, .base = pl->pos.index, .level = level, .ents = t->scratch->nodes[level - 1] };
	int fix;

	if (!node_load(t, &f)) {
		if (fsck_found(t->fk, FSCK_MAP_NODE, "inode %llu: the node in block %llu for file block %llu holds only damage",
			       (unsigned long long)t->iv->ino, (unsigned long long)e->block, (unsigned long long)f.base))
			place_store(t, pl, NULL);
		return;
	}
	if (claim_meta(t->iv, e->block, 1, "node", &fix)) {
		if (fix)
			place_store(t, pl, NULL);
		return;
	}
	t->iv->blocks++;
	t->stack[t->depth++] = f;
}

/* Entries of a level 1 node: runs of blocks are claimed together where no repair needs them one by one. */
static void leaf_claim(struct tree *t, const struct frame *f)
{
	for (uint32_t i = 0, n; i < PMFS2_BLOCK_WORDS; i += n) {
		const struct entry *e = &f->ents[i];
		uint64_t taken;

		n = 1;
		if (!e->kind)
			continue;
		if (t->fk->fixing) {
			struct place pl = place_of(t, f, i);

			t->iv->blocks += !data_claim(t, &pl, e);
			continue;
		}
		while (i + n < PMFS2_BLOCK_WORDS && f->ents[i + n].kind && f->ents[i + n].block == e->block + n &&
		       e->block % 64 + n < 64)
			n++;
		taken = claims_take(&t->fk->now, e->block, n);
		t->iv->blocks += n;
		for (; taken; taken &= taken - 1) {
			uint32_t at = (uint32_t)__builtin_ctzll(taken);
			struct place pl = place_of(t, f, i + at);

			data_conflict(t, &pl, &f->ents[i + at], e->block + at);
		}
	}
}

static void leaf_check(struct tree *t, const struct frame *f)
{
	leaf_claim(t, f);
	for (uint32_t i = 0; t->shifting && i < PMFS2_BLOCK_WORDS; i++)
		if (f->ents[i].kind)
			shift_check(t, f->base + i, 1, &f->ents[i]);
	for (uint32_t i = t->end > f->base ? (uint32_t)u64_min(t->end - f->base, PMFS2_BLOCK_WORDS) : 0; i < PMFS2_BLOCK_WORDS;
	     i++) {
		struct place pl = place_of(t, f, i);

		if (f->ents[i].kind && le64_get(*pl.addr))
			behind_check(t, &pl, &f->ents[i]);
	}
}

static void tree_walk(struct tree *t)
{
	while (t->depth) {
		struct frame *f = &t->stack[t->depth - 1];
		const struct entry *e;
		struct place pl;

		if (f->level == 1) {
			leaf_check(t, f);
			t->depth--;
			continue;
		}
		if (f->at == PMFS2_BLOCK_WORDS) {
			t->depth--;
			continue;
		}
		e = &f->ents[f->at];
		pl = place_of(t, f, f->at++);
		if (e->kind == PMFS2_ENTRY_NODE)
			node_enter(t, &pl, e, f->level - 1);
		else if (e->kind && !data_claim(t, &pl, e))
			t->iv->blocks += PMFS2_HUGE_BLOCKS;
		if (t->shifting && e->kind == PMFS2_ENTRY_HUGE)
			shift_check(t, pl.pos.index, PMFS2_HUGE_BLOCKS, e);
	}
}

/* The root word, by guessing one bit if need be. 0: none. */
static int root_read(struct tree *t, struct entry *out)
{
	uint64_t word = le64_get(t->iv->image.root), old = word;
	struct entry_pos pos = { .owner = t->iv->ino, .level = (uint32_t)(word >> PMFS2_ENTRY_HEIGHT_SHIFT & 15) };
	int right = 0;

	if (!word || (entry_unpack(&pos, word, out) && root_ok(t, out)))
		return word != 0;
	for (pos.level = 0; !right && pos.level <= PMFS2_HEIGHT_MAX; pos.level++) {
		word = old;
		right = bits_correct_entry(&pos, &word, root_ok, t) && entry_unpack(&pos, word, out) && out->height == pos.level;
	}
	if (!inode_view_found(t->iv, FSCK_MAP_ROOT, "inode %llu: damaged map root %#llx", (unsigned long long)t->iv->ino,
			      (unsigned long long)old))
		return 0;
	t->iv->image.root = le64_of(right ? word : 0);
	return right;
}

void tree_check(struct inode_view *iv, struct inode_scratch *scratch)
{
	struct tree t = { .iv = iv, .fk = iv->fk, .scratch = scratch };
	struct place pl = { .pos = { .owner = iv->ino } };
	struct entry root;

	t.end = (le64_get(iv->image.size) + PMFS2_BLOCK_SIZE - 1) >> PMFS2_BLOCK_SHIFT;
	t.misfit = UINT64_MAX;
	t.shifting = iv->intent_kind == PMFS2_INTENT_SHIFT && shift_plan_read(iv->intent, &iv->image, &t.plan);
	if (!root_read(&t, &root))
		return;
	if (!root.height) {
		if (t.shifting)
			shift_check(&t, 0, 1, &root);
		if (!data_claim(&t, &pl, &root)) {
			iv->blocks++;
			behind_check(&t, &pl, &root);
		}
	} else {
		pl.pos.level = root.height;
		node_enter(&t, &pl, &root, root.height);
		tree_walk(&t);
	}
	if (t.misfit != UINT64_MAX &&
	    inode_view_found(iv, FSCK_INODE_SHIFT, "inode %llu: its unfinished shift does not fit what is at file block %llu",
			     (unsigned long long)iv->ino, (unsigned long long)t.misfit))
		iv->image.intent = le32_of(0);
}
