/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One directory. Proves: each pointer is right for its owner and leads to a node or bucket that nothing else uses; no node is
 * empty; each bucket is the directory's own, hangs where its hash prefix says and at all pointers of its range; each name is
 * legal, there once, in the bucket of its hash, and leads to an inode that is in use and of the type that it says. Counts names,
 * links, blocks.
 *
 * A walk visits each block once (claims) and goes down at most seven levels.
 */
#include "fsck/dir_check.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fsck/bits.h"
#include "pmfs2/siphash.h"

static int pointer_ok(void *ctx, const struct entry *e)
{
	const struct dir_check *dc = ctx;

	return !e->unwritten && !e->height && disk_block_ok(&dc->fk->disk, e->block, 1) &&
	       (e->kind == PMFS2_ENTRY_BUCKET || (e->kind == PMFS2_ENTRY_NODE && dc->level < DIR_LEVELS - 1));
}

static int pointer_read(struct dir_check *dc, uint64_t word, struct entry *out)
{
	const struct entry_pos pos = { .owner = dc->iv->ino };

	return entry_unpack(&pos, word, out) && pointer_ok(dc, out);
}

static const le64 *node_word(const struct dir_check *dc, uint64_t node, uint32_t i)
{
	return (const le64 *)disk_block(&dc->fk->disk, node) + i;
}

/* The lowest hash that goes through word i of a node of this level. */
static uint64_t hash_at(const struct dir_frame *f, int level, uint32_t i)
{
	return f->hash | (uint64_t)i << (PMFS2_HASH_BITS - DIR_LEVEL_BITS * (uint32_t)(level + 1));
}

void bucket_link(struct dir_check *dc, const struct bucket_place *pl, int linked)
{
	uint64_t word = linked ? dir_pointer(dc->iv->ino, PMFS2_ENTRY_BUCKET, pl->block) : 0;
	struct fix fix;

	if (pl->level < 0) {
		dc->iv->image.root = le64_of(word);
		dc->iv->dirty = 1;
		return;
	}
	fix_begin(&fix, dc->fk);
	fix_fill(&fix, node_word(dc, pl->node, pl->first), word, pl->n);
	fix_commit(&fix);
}

/* All words of a node that are this one become holes; in the root word likewise. */
static void pointer_clear(struct dir_check *dc, uint64_t node, uint64_t word)
{
	struct fix fix;

	if (!node) {
		dc->iv->image.root = le64_of(0);
		dc->iv->dirty = 1;
		return;
	}
	fix_begin(&fix, dc->fk);
	for (uint32_t i = 0; i < PMFS2_BLOCK_WORDS; i++)
		if (le64_get(*node_word(dc, node, i)) == word)
			fix_fill(&fix, node_word(dc, node, i), 0, 1);
	fix_commit(&fix);
}

/* Pushes a node if it is one. node: the one that its pointer stands in, 0: the root word. */
static void node_enter(struct dir_check *dc, uint64_t node, uint64_t word, const struct entry *e, uint64_t hash)
{
	uint32_t n = 0, good = 0;
	int fix, level = dc->level;

	dc->level = level + 1;
	for (uint32_t i = 0; i < PMFS2_BLOCK_WORDS; i++) {
		uint64_t w = le64_get(*node_word(dc, e->block, i));
		const struct entry_pos pos = { .owner = dc->iv->ino };
		struct entry child;

		n += w != 0;
		good += w && (pointer_read(dc, w, &child) || (!good && bits_correct_entry(&pos, &w, pointer_ok, dc)));
	}
	dc->level = level;
	if (!good) {
		if (!dc->drop_child && fsck_found(dc->fk, FSCK_DIR_NODE, "directory %llu: the node in block %llu %s",
						  (unsigned long long)dc->iv->ino, (unsigned long long)e->block,
						  n ? "holds only damage" : "is empty"))
			pointer_clear(dc, node, word);
		return;
	}
	if (!dc->drop_child) {
		if (claim_meta(dc->iv, e->block, 1, "directory node", &fix)) {
			if (fix)
				pointer_clear(dc, node, word);
			return;
		}
		dc->iv->blocks++;
	}
	dc->stack[dc->depth++] = (struct dir_frame){ .block = e->block, .hash = hash };
}

/* The name is in the directory that the child says is its parent, or it is looked at later. 0: it is a second name, drop it. */
static int child_dir_note(struct dir_check *dc, uint64_t child, uint64_t hash)
{
	struct fsck *fk = dc->fk;
	struct pmfs2_inode image;

	if (fsck_inode_image(fk, child, &image) && le64_get(image.parent_or_rdev) == dc->iv->ino) {
		if (!(__atomic_fetch_or(&fk->ino_state[child], INO_NAMED, __ATOMIC_RELAXED) & INO_NAMED)) {
			__atomic_fetch_sub(&fk->ino_links[dc->iv->ino], 1, __ATOMIC_RELAXED);
			return 1;
		}
		return !fsck_found(fk, FSCK_DIR_SECOND_NAME, "directory %llu: inode %llu, a directory, has a second name",
				   (unsigned long long)dc->iv->ino, (unsigned long long)child);
	}
	pthread_mutex_lock(&fk->lock);
	if (fk->n_odd == fk->cap_odd) {
		uint64_t cap = fk->cap_odd ? 2 * fk->cap_odd : 64;
		struct odd_name *more = realloc(fk->odd, cap * sizeof(*more));

		if (more) {
			fk->odd = more;
			fk->cap_odd = cap;
		}
	}
	if (fk->n_odd < fk->cap_odd)
		fk->odd[fk->n_odd++] = (struct odd_name){ dc->iv->ino, child, hash };
	else
		fsck_fail(fk, -ENOMEM);
	pthread_mutex_unlock(&fk->lock);
	return 1;
}

/* Another name of the bucket before this one is the same. */
static int is_duplicate(const struct dir_check *dc, uint32_t n, const struct bucket_entry *e)
{
	const struct bucket_dyn all = { .tail = PMFS2_BUCKET_SLOTS_OFF };
	const struct pmfs2_bucket *b = &dc->scratch->bucket.head;

	for (uint32_t i = 0; i < n; i++) {
		struct bucket_entry other;

		if (!bucket_entry_read(b, dc->iv->ino, &all, dc->scratch->kept[i].off, &other) && other.hash == e->hash &&
		    other.name.len == e->name.len && !memcmp(other.name.str, e->name.str, e->name.len))
			return 1;
	}
	return 0;
}

static uint64_t name_hash(const struct fsck *fk, struct zus_name name)
{
	uint64_t hash = siphash13(fk->disk.hash_key, name.str, name.len) >> 1;

	return hash < PMFS2_HASH_MIN ? hash + PMFS2_HASH_MIN : hash;
}

/* What is wrong with a whole entry, as a problem. 1: it is to be dropped now. *out_counts: it is a name all the same. */
static int name_is_bad(struct dir_check *dc, uint32_t n, const struct bucket_entry *e, int duplicate, int *out_counts)
{
	unsigned long long dir = dc->iv->ino, ino = e->ino;
	struct fsck *fk = dc->fk;

	*out_counts = 0;
	if (name_hash(fk, e->name) != e->hash)
		return fsck_found(fk, FSCK_DIR_HASH, "directory %llu: name %.*s stands where it is not looked for", dir,
				  (int)e->name.len, e->name.str);
	if (duplicate && is_duplicate(dc, n, e))
		return fsck_found(fk, FSCK_DIR_DUPLICATE, "directory %llu: name %.*s is there twice", dir, (int)e->name.len,
				  e->name.str);
	if (e->ino >= fsck_ino_end(fk) || !(fk->ino_state[e->ino] & INO_TYPE))
		return fsck_found(fk, FSCK_DIR_INODE, "directory %llu: name %.*s leads to inode %llu, which is not in use", dir,
				  (int)e->name.len, e->name.str, ino);
	*out_counts = 1;
	return 0;
}

/* A whole entry. 1: keep it; *io_store: the bucket is to be written anew. */
static int name_check(struct dir_check *dc, struct kept *kept, uint32_t n, int duplicate, int *io_store)
{
	const struct bucket_dyn all = { .tail = PMFS2_BUCKET_SLOTS_OFF };
	struct fsck *fk = dc->fk;
	struct bucket_entry e;
	uint32_t type;
	int counts;

	bucket_entry_read(&dc->scratch->bucket.head, dc->iv->ino, &all, kept->off, &e);
	if (name_is_bad(dc, n, &e, duplicate, &counts)) {
		*io_store = 1;
		dc->n_dropped++;
		return 0;
	}
	if (!counts) {
		dc->n_dropped += !fk->fixing;
		dc->n_names += (uint64_t)fk->fixing;
		return 1;
	}
	type = __atomic_load_n(&fk->ino_state[e.ino], __ATOMIC_RELAXED) & INO_TYPE;
	if (e.type != type &&
	    fsck_found(fk, FSCK_DIR_TYPE, "directory %llu: name %.*s says type %u, inode %llu has type %u",
		       (unsigned long long)dc->iv->ino, (int)e.name.len, e.name.str, e.type, (unsigned long long)e.ino, type)) {
		kept->type = (uint8_t)type;
		*io_store = 1;
	}
	if (type != DT_DIR) {
		__atomic_fetch_sub(&fk->ino_links[e.ino], 1, __ATOMIC_RELAXED);
	} else if (!child_dir_note(dc, e.ino, e.hash)) {
		*io_store = 1;
		dc->n_dropped++;
		return 0;
	}
	dc->n_names++;
	return 1;
}

/* All names of scratch->kept. Two hashes that share their low bits may be the same: only those are compared. */
static void names_check(struct dir_check *dc, int *io_store)
{
	const struct bucket_dyn all = { .tail = PMFS2_BUCKET_SLOTS_OFF };
	struct dir_scratch *s = dc->scratch;
	uint64_t seen[16] = { 0 };
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->n_kept; i++) {
		struct kept kept = s->kept[i];
		struct bucket_entry e;
		uint32_t bit;
		int before;

		if (bucket_entry_read(&s->bucket.head, dc->iv->ino, &all, kept.off, &e))
			continue;
		if (dc->drop_child) {
			if (e.ino == dc->drop_child && (!dc->drop_hash || e.hash == dc->drop_hash)) {
				dc->n_dropped++;
				*io_store = 1;
			} else {
				s->kept[n++] = kept;
			}
			continue;
		}
		bit = e.hash & 1023;
		before = seen[bit / 64] >> (bit % 64) & 1;
		seen[bit / 64] |= 1ull << (bit % 64);
		if (name_check(dc, &kept, n, before, io_store))
			s->kept[n++] = kept;
	}
	s->n_kept = n;
}

/* The head of the bucket as its place says. n: how many pointers lead to it. */
static void header_by_place(struct dir_check *dc, const struct dir_frame *f, uint32_t i, uint64_t word, struct bucket_place *pl)
{
	uint32_t lo = i, hi = i + 1, base = DIR_LEVEL_BITS * (uint32_t)(pl->level + 1);

	pl->depth = base;
	if (f) {
		while (lo && le64_get(*node_word(dc, f->block, lo - 1)) == word)
			lo--;
		while (hi < PMFS2_BLOCK_WORDS && le64_get(*node_word(dc, f->block, hi)) == word)
			hi++;
		/* a run is a power of two, aligned, and at most half the node */
		while (pl->depth > base - DIR_LEVEL_BITS + 1 && hi - lo >= 2u << (base - pl->depth))
			pl->depth--;
	}
	pl->prefix = hash_prefix(f ? hash_at(f, pl->level, i) : 0, pl->depth);
	bucket_header_build(&dc->scratch->image.head, dc->iv->ino, pl->block, pl->prefix, pl->depth);
}

/* Stores the static part of the header that is in from. */
static void header_store(struct dir_check *dc, const struct bucket_place *pl, const struct pmfs2_bucket *from)
{
	struct fix fix;

	fix_begin(&fix, dc->fk);
	fix_put(&fix, disk_block(&dc->fk->disk, pl->block), from, offsetof(struct pmfs2_bucket, dyn) / 8);
	fix_commit(&fix);
}

/*
 * Head and place of the bucket that word i of f (NULL: the root word) leads to. The copy in scratch is right then. 0: not a
 * bucket of this place; said, and its pointers cleared if that was wanted.
 */
static int header_check(struct dir_check *dc, const struct dir_frame *f, uint32_t i, uint64_t word, struct bucket_place *pl)
{
	struct pmfs2_bucket *b = &dc->scratch->bucket.head;
	const char *bad = bucket_check_header(b, dc->iv->ino, pl->block, &pl->depth, &pl->prefix);
	uint32_t base = DIR_LEVEL_BITS * (uint32_t)(pl->level + 1);
	uint64_t hash = f ? hash_at(f, pl->level, i) : 0;
	unsigned long long dir = dc->iv->ino, block = pl->block;
	int ours = (le32_get(b->magic) == PMFS2_MAGIC_BUCKET) + (le64_get(b->owner) == dc->iv->ino) +
			   (le64_get(b->block) == pl->block) >=
		   2;

	if (bad && dc->drop_child)
		return 0;
	if (bad && bits_correct(b, offsetof(struct pmfs2_bucket, dyn), offsetof(struct pmfs2_bucket, crc)) &&
	    !bucket_check_header(b, dc->iv->ino, pl->block, &pl->depth, &pl->prefix)) {
		if (fsck_found(dc->fk, FSCK_DIR_BUCKET_HEADER, "directory %llu, bucket in block %llu: %s", dir, block, bad))
			header_store(dc, pl, b);
	} else if (bad) {
		int fix = fsck_found(dc->fk, FSCK_DIR_BUCKET_HEADER, "directory %llu, bucket in block %llu: %s", dir, block, bad);

		if (!ours) {
			if (fix)
				pointer_clear(dc, f ? f->block : 0, word);
			return 0;
		}
		header_by_place(dc, f, i, word, pl);
		memcpy(b, &dc->scratch->image.head, offsetof(struct pmfs2_bucket, dyn));
		if (fix)
			header_store(dc, pl, b);
	}
	if (pl->depth <= base && pl->depth + DIR_LEVEL_BITS > base && pl->prefix == hash_prefix(hash, pl->depth))
		return 1;
	if (!dc->drop_child &&
	    fsck_found(dc->fk, FSCK_DIR_POINTER, "directory %llu: the bucket in block %llu hangs at a wrong place", dir, block))
		pointer_clear(dc, f ? f->block : 0, word);
	return 0;
}

/* All words of the run. 0: its range belongs to another bucket or node too, so it cannot be here. */
static int run_check(struct dir_check *dc, const struct bucket_place *pl, uint64_t word)
{
	int holes = 0;

	for (uint32_t i = pl->first; i < pl->first + pl->n; i++) {
		uint64_t other = le64_get(*node_word(dc, pl->node, i));
		struct entry e;

		if (other == word || i == dc->guessed)
			continue;
		if (other && pointer_read(dc, other, &e)) {
			if (!dc->drop_child &&
			    fsck_found(dc->fk, FSCK_DIR_POINTER,
				       "directory %llu: the range of the bucket in block %llu has other pointers",
				       (unsigned long long)dc->iv->ino, (unsigned long long)pl->block))
				pointer_clear(dc, pl->node, word);
			return 0;
		}
		holes = 1;
	}
	if (holes && !dc->drop_child &&
	    fsck_found(dc->fk, FSCK_DIR_RUN, "directory %llu: not all pointers of its range lead to the bucket in block %llu",
		       (unsigned long long)dc->iv->ino, (unsigned long long)pl->block))
		bucket_link(dc, pl, 1);
	return 1;
}

/* The bucket that word i of f (NULL: the root word) leads to. Returns the word behind those that lead to it. */
static uint32_t bucket_visit(struct dir_check *dc, const struct dir_frame *f, uint32_t i, uint64_t word, uint64_t block)
{
	struct bucket_place pl = { .level = dc->level, .node = f ? f->block : 0, .block = block };
	int store = 0, fix;

	memcpy(dc->scratch->bucket.bytes, disk_block(&dc->fk->disk, block), PMFS2_BLOCK_SIZE);
	if (!header_check(dc, f, i, word, &pl))
		return i + 1;
	pl.n = f ? dir_run_words(dc->level, pl.depth) : 1;
	pl.first = i & ~(pl.n - 1);
	if (f && !run_check(dc, &pl, word))
		return i + 1;
	if (!dc->drop_child && claim_meta(dc->iv, block, 1, "directory bucket", &fix)) {
		if (fix)
			bucket_link(dc, &pl, 0);
		return pl.first + pl.n;
	}
	if (!bucket_load(dc, &pl, &store)) {
		if (store)
			bucket_link(dc, &pl, 0);
		return pl.first + pl.n;
	}
	dc->iv->blocks++;
	names_check(dc, &store);
	if (store)
		bucket_store(dc, &pl);
	return pl.first + pl.n;
}

/* A damaged pointer: one bit, or that of a neighbour to the right whose bucket's range reaches here. */
static int pointer_guess(struct dir_check *dc, const struct dir_frame *f, uint32_t i, uint64_t *word, struct entry *out)
{
	const struct entry_pos pos = { .owner = dc->iv->ino };

	if (bits_correct_entry(&pos, word, pointer_ok, dc))
		return pointer_read(dc, *word, out);
	for (uint32_t j = i + 1; f && j < PMFS2_BLOCK_WORDS && j < i + PMFS2_BLOCK_WORDS / 2; j++) {
		uint64_t other = le64_get(*node_word(dc, f->block, j));
		uint32_t depth;
		uint64_t prefix;

		if (!other || !pointer_read(dc, other, out) || out->kind != PMFS2_ENTRY_BUCKET)
			continue;
		if (bucket_check_header(disk_block(&dc->fk->disk, out->block), dc->iv->ino, out->block, &depth, &prefix) ||
		    hash_prefix(hash_at(f, dc->level, i), depth) != prefix)
			return 0;
		*word = other;
		return 1;
	}
	return 0;
}

/* Behind the words that are the same as word i: a whole run that is damaged in one way is one problem. */
static uint32_t behind_same(const struct dir_check *dc, const struct dir_frame *f, uint32_t i, uint64_t word)
{
	do
		i++;
	while (f && i < PMFS2_BLOCK_WORDS && le64_get(*node_word(dc, f->block, i)) == word);
	return i;
}

/* Word i of f, or the root word (f NULL). Returns where to go on. */
static uint32_t pointer_visit(struct dir_check *dc, const struct dir_frame *f, uint32_t i)
{
	uint64_t word = f ? le64_get(*node_word(dc, f->block, i)) : le64_get(dc->iv->image.root), old = word;
	struct entry e;

	dc->guessed = PMFS2_BLOCK_WORDS;
	if (!word)
		return i + 1;
	if (!pointer_read(dc, word, &e)) {
		int right = pointer_guess(dc, f, i, &word, &e), fix = 0;

		if (!dc->drop_child)
			fix = fsck_found(dc->fk, FSCK_DIR_POINTER, "directory %llu: damaged pointer %#llx at level %d",
					 (unsigned long long)dc->iv->ino, (unsigned long long)old, dc->level);
		if (f && fix && right)
			fix_word(dc->fk, node_word(dc, f->block, i), word);
		else if (f && fix)
			pointer_clear(dc, f->block, old);
		else if (!f && inode_view_decide(dc->iv, fix))
			dc->iv->image.root = le64_of(right ? word : 0);
		if (!right)
			return behind_same(dc, f, i, old);
		dc->guessed = i;
	}
	if (e.kind == PMFS2_ENTRY_BUCKET)
		return bucket_visit(dc, f, i, word, e.block);
	node_enter(dc, f ? f->block : 0, word, &e, f ? hash_at(f, dc->level, i) : 0);
	return i + 1;
}

static void walk(struct dir_check *dc)
{
	dc->level = -1;
	pointer_visit(dc, NULL, 0);
	while (dc->depth && !dc->fk->err) {
		struct dir_frame *f = &dc->stack[dc->depth - 1];

		dc->level = dc->depth - 1;
		if (f->at >= PMFS2_BLOCK_WORDS)
			dc->depth--;
		else
			f->at = pointer_visit(dc, f, f->at);
	}
}

void dir_check(struct inode_view *iv, struct dir_scratch *scratch)
{
	struct dir_check dc = { .iv = iv, .fk = iv->fk, .scratch = scratch };
	uint64_t size = le64_get(iv->image.size);

	walk(&dc);
	inode_view_hold(iv);
	if (size != dc.n_names + dc.n_dropped) {
		if (inode_view_found(iv, FSCK_DIR_COUNT, "directory %llu: %llu names are counted, %llu are there",
				     (unsigned long long)iv->ino, (unsigned long long)size, (unsigned long long)dc.n_names))
			iv->image.size = le64_of(dc.n_names);
	} else if (dc.n_dropped && iv->fk->fixing) {
		iv->image.size = le64_of(dc.n_names);
		iv->dirty = 1;
	}
	inode_view_release(iv);
}

void dir_drop_name(struct fsck *fk, const struct odd_name *name, struct dir_scratch *scratch)
{
	struct inode_view iv = { .fk = fk, .ino = name->dir, .media = fsck_inode(fk, name->dir) };
	struct dir_check dc = { .iv = &iv, .fk = fk, .scratch = scratch, .drop_child = name->child, .drop_hash = name->hash };

	iv.image = *iv.media;
	walk(&dc);
	if (!dc.n_dropped)
		return;
	iv.image.size = le64_of(le64_get(iv.image.size) - dc.n_dropped);
	fix_inode(fk, iv.media, &iv.image);
}
