/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contents of one bucket: what can be taken out of it, and writing it anew.
 *
 * Where it is whole, all entries. Otherwise one wrong bit is looked for: in the counts and slots, where only the right one makes
 * everything fit; in an entry, where only the right one makes its CRC fit. What is still wrong then is left out. Entries that are
 * dead are never taken: only slots lead to names.
 */
#include <string.h>

#include "fsck/dir_check.h"

#define GUESSES_MAX 4u /* damaged entries of one bucket that are worth a search */

static const uint8_t *media_at(const struct dir_check *dc, const struct bucket_place *pl, uint32_t off)
{
	return (const uint8_t *)disk_block(&dc->fk->disk, pl->block) + off;
}

static void keep(struct dir_scratch *s, uint32_t off, uint32_t type)
{
	s->kept[s->n_kept++] = (struct kept){ (uint16_t)off, (uint8_t)type };
}

static void keep_list(struct dir_scratch *s)
{
	s->n_kept = 0;
	for (uint32_t i = 0; i < s->list.n; i++) {
		const struct pmfs2_dirent *de = (const struct pmfs2_dirent *)(s->bucket.bytes + s->list.items[i].off);

		keep(s, s->list.items[i].off, le64_get(de->ino_type) >> 40 & 0xff);
	}
}

/* One bit of the counts, the sum or the slots. 1: the copy is whole now, *out_word says where it was wrong. */
static int counts_guess(struct dir_check *dc, uint32_t *out_word)
{
	struct dir_scratch *s = dc->scratch;
	uint32_t first = offsetof(struct pmfs2_bucket, dyn) * 8, end = (PMFS2_BUCKET_SLOTS_OFF + 4 * PMFS2_BUCKET_SLOTS_MAX) * 8;

	for (uint32_t bit = first; bit < end; bit++) {
		s->bucket.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (!bucket_collect(&s->bucket.head, dc->iv->ino, &s->list)) {
			*out_word = bit / 64;
			return 1;
		}
		s->bucket.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	return 0;
}

/* One bit of the entry at off. */
static int entry_guess(struct dir_check *dc, const struct bucket_dyn *dyn, uint32_t off, uint32_t *out_word)
{
	struct dir_scratch *s = dc->scratch;
	uint32_t end = (uint32_t)u64_min(off + BUCKET_DIRENT_MAX, PMFS2_BLOCK_SIZE) * 8;
	struct bucket_entry e;

	for (uint32_t bit = off * 8; bit < end; bit++) {
		s->bucket.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (!bucket_entry_read(&s->bucket.head, dc->iv->ino, dyn, off, &e)) {
			*out_word = bit / 64;
			return 1;
		}
		s->bucket.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	return 0;
}

static int name_ok(struct zus_name n)
{
	if (memchr(n.str, '/', n.len) || memchr(n.str, '\0', n.len))
		return 0;
	return n.str[0] != '.' || (n.len != 1 && (n.len != 2 || n.str[1] != '.'));
}

/* A salvage under way. */
struct salvage {
	const struct bucket_place *pl;
	struct bucket_dyn dyn;
	uint32_t n_guessed;
	uint32_t n_said; /* problems of single entries */
	int refused; /* one of them is not to be repaired: the bucket stays as it is */
	uint64_t taken[PMFS2_BLOCK_SIZE / 8 / 64]; /* words of the block that an entry was taken from */
};

/* A damaged entry. 1: the copy holds it whole now. */
static int entry_mend(struct dir_check *dc, struct salvage *sv, uint32_t off)
{
	uint32_t word = 0, right = sv->n_guessed++ < GUESSES_MAX && entry_guess(dc, &sv->dyn, off, &word);
	int fix = fsck_found(dc->fk, FSCK_DIR_ENTRY, "directory %llu, bucket in block %llu: damaged entry at byte %u",
			     (unsigned long long)dc->iv->ino, (unsigned long long)sv->pl->block, off);

	sv->n_said++;
	sv->refused |= !fix;
	if (fix && right) {
		struct fix store;

		fix_begin(&store, dc->fk);
		fix_put(&store, media_at(dc, sv->pl, word * 8), &dc->scratch->bucket.words[word], 1);
		fix_commit(&store);
	}
	return (int)right;
}

static void slot_salvage(struct dir_check *dc, struct salvage *sv, uint32_t value)
{
	struct dir_scratch *s = dc->scratch;
	uint32_t off = bucket_slot_off(value), at = off / 8;
	unsigned long long dir = dc->iv->ino, block = sv->pl->block;
	struct bucket_entry e;

	if (!off || off < PMFS2_BUCKET_SLOTS_OFF || off > PMFS2_BLOCK_SIZE - sizeof(struct pmfs2_dirent) ||
	    sv->taken[at / 64] >> (at % 64) & 1)
		return;
	sv->taken[at / 64] |= 1ull << (at % 64);
	if (bucket_entry_read(&s->bucket.head, dc->iv->ino, &sv->dyn, off, &e) &&
	    (!entry_mend(dc, sv, off) || bucket_entry_read(&s->bucket.head, dc->iv->ino, &sv->dyn, off, &e)))
		return;
	if (!name_ok(e.name)) {
		sv->n_said++;
		sv->refused |= !fsck_found(dc->fk, FSCK_DIR_NAME,
					   "directory %llu, bucket in block %llu: impossible name at byte %u", dir, block, off);
	} else if (e.hash < PMFS2_HASH_MIN || e.hash >> PMFS2_HASH_BITS || hash_prefix(e.hash, sv->pl->depth) != sv->pl->prefix) {
		sv->n_said++;
		sv->refused |= !fsck_found(dc->fk, FSCK_DIR_HASH, "directory %llu: name %.*s stands where it is not looked for",
					   dir, (int)e.name.len, e.name.str);
	} else {
		keep(s, off, e.type);
	}
}

/* The live entries' lengths and the dead bytes are as they should be: nothing but single entries was wrong. */
static int counts_fit(const struct dir_check *dc, const struct salvage *sv)
{
	const struct pmfs2_bucket *b = &dc->scratch->bucket.head;

	return bucket_slots_sum(b, sv->dyn.slots) == le64_get(b->sum);
}

/* Takes what is whole out of a bucket that is not. Returns whether it is to be written anew. */
static int salvage(struct dir_check *dc, const struct bucket_place *pl)
{
	struct dir_scratch *s = dc->scratch;
	struct salvage sv = { .pl = pl };
	int known = !bucket_dyn_unpack(le64_get(s->bucket.head.dyn), &sv.dyn), fix = 0;

	if (!known)
		sv.dyn = (struct bucket_dyn){ .slots = PMFS2_BUCKET_SLOTS_MAX, .tail = PMFS2_BUCKET_SLOTS_OFF };
	s->n_kept = 0;
	for (uint32_t slot = 0; slot < sv.dyn.slots; slot++)
		slot_salvage(dc, &sv, bucket_slot_of(le64_get(*bucket_slot_word(&s->bucket.head, slot)), slot));
	if (!sv.n_said || !known || !counts_fit(dc, &sv))
		fix = fsck_found(dc->fk, FSCK_DIR_BUCKET, "directory %llu, bucket in block %llu: wrong counts or slots",
				 (unsigned long long)dc->iv->ino, (unsigned long long)pl->block);
	return (fix || sv.n_said) && !sv.refused;
}

int bucket_load(struct dir_check *dc, const struct bucket_place *pl, int *out_store)
{
	struct dir_scratch *s = dc->scratch;
	const char *bad = bucket_collect(&s->bucket.head, dc->iv->ino, &s->list);
	unsigned long long dir = dc->iv->ino, block = pl->block;
	struct bucket_dyn dyn;
	uint32_t word;

	if (likely(!bad)) {
		keep_list(s);
		return 1;
	}
	if (dc->drop_child) {
		s->n_kept = 0;
		return 1;
	}
	if (!bucket_dyn_unpack(le64_get(s->bucket.head.dyn), &dyn) && !dyn.live &&
	    bucket_slots_sum(&s->bucket.head, dyn.slots) == le64_get(s->bucket.head.sum) && !le64_get(s->bucket.head.sum)) {
		*out_store = fsck_found(dc->fk, FSCK_DIR_BUCKET_EMPTY, "directory %llu: the bucket in block %llu has no entries",
					dir, block);
		return 0;
	}
	if (!counts_guess(dc, &word)) {
		*out_store = salvage(dc, pl);
		return 1;
	}
	keep_list(s);
	if (fsck_found(dc->fk, FSCK_DIR_BUCKET, "directory %llu, bucket in block %llu: %s", dir, block, bad))
		fix_word(dc->fk, (const le64 *)(const void *)media_at(dc, pl, word * 8), le64_get(s->bucket.words[word]));
	return 1;
}

void bucket_store(struct dir_check *dc, const struct bucket_place *pl)
{
	const struct bucket_dyn all = { .tail = PMFS2_BUCKET_SLOTS_OFF };
	struct dir_scratch *s = dc->scratch;
	struct fix fix;

	if (!s->n_kept) {
		bucket_link(dc, pl, 0);
		return;
	}
	memset(&s->image, 0, sizeof(s->image));
	bucket_header_build(&s->image.head, dc->iv->ino, pl->block, pl->prefix, pl->depth);
	for (uint32_t i = 0; i < s->n_kept; i++) {
		le64 entry[BUCKET_DIRENT_MAX / 8];
		struct bucket_entry e;
		uint32_t len;

		bucket_entry_read(&s->bucket.head, dc->iv->ino, &all, s->kept[i].off, &e);
		len = dirent_build(entry, dc->iv->ino, e.hash, e.name, dirent_ino_type(e.ino, s->kept[i].type, e.name.len));
		bucket_image_append(s->image.bytes, entry, len, e.hash);
	}
	fix_begin(&fix, dc->fk);
	fix_put(&fix, media_at(dc, pl, 0), s->image.bytes, PMFS2_BLOCK_WORDS);
	fix_commit(&fix);
}
