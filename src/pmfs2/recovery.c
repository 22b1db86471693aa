/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recovery of the journal at mount. Its cost is the length of the journal, whatever the size of the device.
 *
 * Nothing here trusts the media: horizons and records are taken only with a right CRC, each record is bounded and its targets are
 * checked before the first one is stored in place.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "pmfs2/journal.h"
#include "pmfs2/media_error.h"

struct found {
	uint64_t seq;
	const struct pmfs2_record *rec; /* on media, verified */
};

struct found_list {
	struct found *items;
	size_t n, cap;
};

static int horizon_valid(const struct pmfs2_horizon *media, struct pmfs2_horizon *out)
{
	struct pmfs2_horizon h = *media;
	uint32_t crc = le32_get(h.crc);

	*out = h;
	h.crc = le32_of(0);
	return le32_get(h.magic) == PMFS2_MAGIC_HORIZON && crc == crc32c_of(&h, sizeof(h));
}

/* *out_lost: the other slot holds something that is not valid. */
static int horizon_find(struct fs *fs, struct pmfs2_horizon *out, int *out_lost)
{
	struct pmfs2_horizon h[2];
	int ok0 = horizon_valid(&fs->state->horizon[0], &h[0]);
	int ok1 = horizon_valid(&fs->state->horizon[1], &h[1]);

	if (!ok0 && !ok1)
		return fs_corrupt(fs, "state block: no valid horizon slot");
	if (ok0 && ok1)
		*out = le64_get(h[0].written) > le64_get(h[1].written) ? h[0] : h[1];
	else
		*out = ok0 ? h[0] : h[1];
	*out_lost = (!ok0 || !ok1) && !pmem_is_zero(ok0 ? &h[1] : &h[0], sizeof(h[0]));
	return 0;
}

/* True if rec, which lies with room bytes before its ring's end, is whole. */
static int record_valid(const struct pmfs2_record *rec, uint64_t room, uint32_t seed)
{
	uint32_t len = le32_get(rec->len), zero = 0, crc;

	if (le32_get(rec->magic) != PMFS2_MAGIC_RECORD)
		return 0;
	if (len < sizeof(*rec) || len > PMFS2_RECORD_MAX || len % PMFS2_RECORD_ALIGN || len > room)
		return 0;
	if (sizeof(*rec) + le32_get(rec->n_words) * 8ull > len)
		return 0;
	crc = crc32c(seed, rec, offsetof(struct pmfs2_record, crc));
	crc = crc32c(crc, &zero, sizeof(zero));
	crc = crc32c(crc, &rec->seq, len - offsetof(struct pmfs2_record, seq));
	return le32_get(rec->crc) == ~crc;
}

static int found_add(struct found_list *list, const struct pmfs2_record *rec)
{
	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 256;
		struct found *items = realloc(list->items, cap * sizeof(*items));

		if (!items)
			return -ENOMEM;
		list->items = items;
		list->cap = cap;
	}
	list->items[list->n++] = (struct found){ le64_get(rec->seq), rec };
	return 0;
}

/*
 * A ring has ended at off. A record is begun only when the one before it is durable: one that belongs behind it means that what
 * stands here was whole once. (Of the last record of a ring nobody can tell that.)
 */
static int ring_check_end(struct fs *fs, const uint8_t *start, uint64_t off, uint64_t size, uint64_t seq_min)
{
	for (; off + sizeof(struct pmfs2_record) <= size; off += PMFS2_RECORD_ALIGN) {
		const struct pmfs2_record *rec = (const struct pmfs2_record *)(const void *)(start + off);

		if (le32_get(rec->magic) == PMFS2_MAGIC_RECORD && le64_get(rec->seq) >= seq_min &&
		    record_valid(rec, size - off, le32_get(fs->sb->journal_seed)))
			return fs_corrupt(fs, "journal: damaged before record %llu", (unsigned long long)le64_get(rec->seq));
	}
	return 0;
}

/* Records of a ring stand from its start on, with rising numbers; the first one that is not whole or is old ends it. */
static int ring_scan(struct fs *fs, uint32_t number, uint64_t horizon, struct found_list *list)
{
	uint64_t size = (uint64_t)le32_get(fs->sb->ring_blocks) << PMFS2_BLOCK_SHIFT, off = 0, last = 0;
	const uint8_t *start = fs_block(fs, le64_get(fs->sb->journal_block));

	start += number * size;
	while (off + sizeof(struct pmfs2_record) <= size) {
		const struct pmfs2_record *rec = (const struct pmfs2_record *)(const void *)(start + off);
		int err;

		if (!record_valid(rec, size - off, le32_get(fs->sb->journal_seed)))
			break;
		if (le64_get(rec->seq) < horizon || le64_get(rec->seq) <= last)
			break;
		err = found_add(list, rec);
		if (err)
			return err;
		last = le64_get(rec->seq);
		off += le32_get(rec->len);
	}
	return ring_check_end(fs, start, off, size, u64_max(horizon, last + 1));
}

static int found_cmp(const void *a, const void *b)
{
	const struct found *fa = a, *fb = b;

	return (fa->seq > fb->seq) - (fa->seq < fb->seq);
}

/* Where records may store: the inode table's root words, intents, bitmaps, data area. Never the superblocks or the journal. */
static int target_ok(const struct fs *fs, uint64_t off, uint64_t len)
{
	uint64_t intents = le64_get(fs->sb->intent_block) << PMFS2_BLOCK_SHIFT;
	uint64_t words = PMFS2_BLOCK_SIZE + offsetof(struct pmfs2_state, itable_root);

	if (off >= words && len <= 64 && off + len <= words + 64)
		return 1;
	return off >= intents && off + len <= (fs->n_blocks - 1) << PMFS2_BLOCK_SHIFT;
}

static int record_check(struct fs *fs, const struct found *f)
{
	const uint64_t *words = (const uint64_t *)(const void *)(f->rec + 1);
	struct rec_entry e;
	uint32_t pos = 0;
	int r;

	while ((r = rec_next(words, le32_get(f->rec->n_words), &pos, &e)) > 0)
		if (!target_ok(fs, e.off, e.count * 8ull))
			break;
	if (r)
		return fs_corrupt(fs, "journal record %llu: entry at word %u points where no record may",
				  (unsigned long long)f->seq, pos);
	return 0;
}

static int list_check(struct fs *fs, const struct found_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		int err = record_check(fs, &list->items[i]);

		if (err)
			return err;
		if (i && list->items[i].seq == list->items[i - 1].seq)
			return fs_corrupt(fs, "journal: two records with number %llu", (unsigned long long)list->items[i].seq);
	}
	return 0;
}

/*
 * The other horizon slot is lost. If a crash tore it, no record was begun behind it, and all from this horizon on are there, but
 * for one of each ring that was under way. Otherwise it was whole once, newer than this one, and what it let be overwritten is
 * missing.
 */
static int list_check_whole(struct fs *fs, const struct found_list *list, uint64_t horizon)
{
	uint64_t n = list->n ? list->items[list->n - 1].seq + 1 - horizon : 0;

	if (n - list->n <= le32_get(fs->sb->n_rings))
		return 0;
	return fs_corrupt(fs, "state block: a horizon slot is damaged: %llu records from number %llu on are missing",
			  (unsigned long long)(n - list->n), (unsigned long long)horizon);
}

static void list_replay(struct fs *fs, const struct found_list *list, struct journal_state *st)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct pmfs2_record *rec = list->items[i].rec;
		uint64_t at;

		/* What was verified is read again: the page can have been lost in between. fs_open fails then. */
		if (pmem_probe(fs->pm, pmem_off(fs->pm, rec), le32_get(rec->len), &at)) {
			pmem_bad_is_meta(fs->pm);
			break;
		}
		rec_apply(fs->pm, (const uint64_t *)(const void *)(rec + 1), le32_get(rec->n_words));
		st->free_blocks += (uint64_t)(int64_t)(int32_t)le32_get(rec->d_blocks);
		st->used_inodes += (uint64_t)(int64_t)(int32_t)le32_get(rec->d_inodes);
		st->next_seq = list->items[i].seq + 1;
	}
	pmem_fence(fs->pm);
	st->replayed = list->n;
}

/*
 * Order: replay in place (flushed), one fence; the horizon moves only in journal_new.
 * If cut: some words replayed, the horizon unmoved: the same records are replayed again, in the same order.
 */
int journal_recover(struct fs *fs, struct journal_state *out)
{
	struct found_list list = { 0 };
	struct pmfs2_horizon h = { 0 };
	struct journal_state st = { 0 };
	int lost = 0, err = horizon_find(fs, &h, &lost);

	if (err)
		return err;
	st.horizon_seq = st.next_seq = le64_get(h.seq);
	st.horizon_free_blocks = st.free_blocks = le64_get(h.free_blocks);
	st.horizon_inodes = st.used_inodes = le64_get(h.used_inodes);
	st.written = le64_get(h.written);
	st.was_clean = le64_get(h.clean) == PMFS2_CLEAN_YES;
	st.marked = le64_get(h.clean) == PMFS2_CLEAN_DAMAGED;
	for (uint32_t i = 0; !err && i < le32_get(fs->sb->n_rings); i++)
		err = ring_scan(fs, i, st.next_seq, &list);
	if (!err && list.n && fs->pm->rdonly)
		err = -EROFS;
	if (!err) {
		if (list.n)
			qsort(list.items, list.n, sizeof(*list.items), found_cmp);
		err = list_check(fs, &list);
	}
	if (!err && lost)
		err = list_check_whole(fs, &list, st.next_seq);
	/* A ring that seems to end may go on in a lost page: no record must be stored without the others. */
	if (!err && pmem_is_bad(fs->pm, fs->state, fs->pm->size - PMFS2_BLOCK_SIZE))
		err = media_lost(fs, fs->state);
	if (!err)
		list_replay(fs, &list, &st);
	free(list.items);
	if (err)
		return err;
	if (st.free_blocks > fs->n_blocks)
		return fs_corrupt(fs, "state block: %llu free blocks on a device of %llu", (unsigned long long)st.free_blocks,
				  (unsigned long long)fs->n_blocks);
	*out = st;
	return 0;
}
