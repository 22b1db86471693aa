/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pass "journal". Proves: a horizon is valid, every record at or above it stores only where records may, and no two have one
 * number; no record is damaged or missing that was whole once. Afterwards everything is seen as a mount would see it: in check
 * mode the records are applied to private copies of blocks, in the other modes they are replayed on media, and the rings are
 * empty.
 *
 * Order of a replay: as recovery at mount: in place, fence, horizon, fence. If cut: the same again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "fsck/bits.h"
#include "fsck/fix.h"
#include "pmem/badpages.h"
#include "pmfs2/journal.h"

struct found {
	uint64_t seq;
	uint64_t off; /* bytes from the device's start */
};

struct found_list {
	struct found *items;
	size_t n, cap;
};

struct record {
	struct pmfs2_record head;
	uint64_t words[(PMFS2_RECORD_MAX - sizeof(struct pmfs2_record)) / 8];
};

static int horizon_ok(const struct pmfs2_horizon *h)
{
	struct pmfs2_horizon copy = *h;

	copy.crc = le32_of(0);
	return le32_get(h->magic) == PMFS2_MAGIC_HORIZON && le32_get(h->crc) == crc32c_of(&copy, sizeof(copy));
}

/* Copies the record at off if it is whole; room: bytes to the ring's end. */
static int record_read(const struct fsck *fk, uint64_t off, uint64_t room, struct record *out)
{
	const uint8_t *at = pmem_at(fk->disk.pm, off);
	uint32_t len, crc;

	if (room < sizeof(out->head))
		return 0;
	memcpy(&out->head, at, sizeof(out->head));
	len = le32_get(out->head.len);
	if (le32_get(out->head.magic) != PMFS2_MAGIC_RECORD || len < sizeof(out->head) || len > PMFS2_RECORD_MAX ||
	    len % PMFS2_RECORD_ALIGN || len > room)
		return 0;
	memcpy(out->words, at + sizeof(out->head), len - sizeof(out->head));
	crc = le32_get(out->head.crc);
	out->head.crc = le32_of(0);
	return le32_get(out->head.n_words) <= (len - sizeof(out->head)) / 8 &&
	       crc == ~crc32c(le32_get(fk->disk.sb.journal_seed), out, len);
}

static int found_add(struct found_list *list, struct found item)
{
	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 64;
		struct found *items = realloc(list->items, cap * sizeof(*items));

		if (!items)
			return -ENOMEM;
		list->items = items;
		list->cap = cap;
	}
	list->items[list->n++] = item;
	return 0;
}

/* Where a ring is being read. */
struct ring_view {
	uint64_t start; /* bytes from the device's start */
	uint64_t size;
	uint64_t off; /* of the next record */
	uint64_t last; /* sequence number of the one before */
	uint64_t horizon;
};

/*
 * Where the next whole record above the horizon and the last number is, behind ring->off; 0: there is none. Notes the highest
 * number of all of them: no new one may be below it.
 */
static uint64_t record_follows(struct fsck *fk, const struct ring_view *ring)
{
	struct record rec;
	uint64_t found = 0;

	for (uint64_t off = ring->off + PMFS2_RECORD_ALIGN; off + sizeof(rec.head) <= ring->size; off += PMFS2_RECORD_ALIGN) {
		const struct pmfs2_record *head = pmem_at(fk->disk.pm, ring->start + off);

		if (le32_get(head->magic) == PMFS2_MAGIC_RECORD && le64_get(head->seq) >= ring->horizon &&
		    le64_get(head->seq) > ring->last && record_read(fk, ring->start + off, ring->size - off, &rec)) {
			fk->seq_seen = u64_max(fk->seq_seen, le64_get(head->seq));
			found = found ? found : off;
		}
	}
	return found;
}

/* The record at ring->off by one wrong bit, be it in the length that says what the CRC covers. */
static int record_guess(const struct fsck *fk, const struct ring_view *ring, uint8_t buf[PMFS2_RECORD_MAX], uint32_t *out_len)
{
	uint64_t room = u64_min(ring->size - ring->off, PMFS2_RECORD_MAX);
	const uint8_t *at = pmem_at(fk->disk.pm, ring->start + ring->off);
	uint32_t seed = le32_get(fk->disk.sb.journal_seed), len;
	struct pmfs2_record head;

	memcpy(&head, at, sizeof(head));
	for (uint32_t bit = 0; bit <= 32; bit++) {
		len = le32_get(head.len) ^ (bit < 32 ? 1u << bit : 0);
		if (len < sizeof(head) || len > room || len % PMFS2_RECORD_ALIGN)
			continue;
		memcpy(buf, at, len);
		*out_len = len;
		if (bit == 32)
			return bits_correct_from(seed, buf, len, offsetof(struct pmfs2_record, crc));
		((struct pmfs2_record *)(void *)buf)->len = le32_of(len);
		((struct pmfs2_record *)(void *)buf)->crc = le32_of(0);
		if (~crc32c(seed, buf, len) != le32_get(head.crc))
			continue;
		((struct pmfs2_record *)(void *)buf)->crc = head.crc;
		return 1;
	}
	return 0;
}

/* The one word that differs, not flushed: a record that is cut again is mended again. */
static void record_store(struct fsck *fk, const uint8_t *at, const uint8_t *right, uint32_t len)
{
	for (uint32_t off = 0; off < len; off += 8) {
		uint64_t word;

		memcpy(&word, right + off, 8);
		if (memcmp(at + off, &word, 8))
			pmem_store64(fk->disk.pm, (const le64 *)(const void *)(at + off), le64toh(word));
	}
}

/*
 * A record that is not whole ends a ring; a crash leaves that. But each record is durable before the next one of its ring is
 * begun: where whole ones follow, it is damage. Puts a record with one wrong bit right; one that is beyond that is left out,
 * since those behind it were promised, too. 1: go on at ring->off; 0: the ring ends; negative: stop.
 */
static int record_mend(struct fsck *fk, uint32_t number, struct ring_view *ring)
{
	uint8_t buf[PMFS2_RECORD_MAX] __attribute__((aligned(8)));
	const uint8_t *at = pmem_at(fk->disk.pm, ring->start + ring->off);
	struct record mended;
	uint64_t next = 0;
	uint32_t len = 0;
	int right;

	if (ring->off + sizeof(struct pmfs2_record) <= ring->size)
		next = record_follows(fk, ring);
	if (!next)
		return 0;
	right = record_guess(fk, ring, buf, &len) && le64_get(((struct pmfs2_record *)(void *)buf)->seq) >= ring->horizon;
	if (!fsck_found(fk, FSCK_JOURNAL_LOST, "journal: ring %u: the record at byte %llu is damaged, whole ones follow", number,
			(unsigned long long)ring->off))
		return fk->fixing ? -EUCLEAN : 0;
	if (right)
		record_store(fk, at, buf, len);
	if (!right || !record_read(fk, ring->start + ring->off, ring->size - ring->off, &mended))
		ring->off = next;
	return 1;
}

static int ring_scan(struct fsck *fk, uint32_t number, uint64_t horizon, struct found_list *list)
{
	uint64_t size = (uint64_t)le32_get(fk->disk.sb.ring_blocks) << PMFS2_BLOCK_SHIFT;
	struct ring_view ring = { .size = size, .horizon = horizon };
	struct record rec;
	int err = 0;

	ring.start = (le64_get(fk->disk.sb.journal_block) << PMFS2_BLOCK_SHIFT) + number * size;
	while (!err) {
		if (!record_read(fk, ring.start + ring.off, size - ring.off, &rec) || le64_get(rec.head.seq) < horizon ||
		    le64_get(rec.head.seq) <= ring.last) {
			int mended = record_mend(fk, number, &ring);

			if (mended <= 0)
				return mended;
			continue;
		}
		ring.last = le64_get(rec.head.seq);
		err = found_add(list, (struct found){ ring.last, ring.start + ring.off });
		ring.off += le32_get(rec.head.len);
	}
	return err;
}

static int found_cmp(const void *a, const void *b)
{
	const struct found *fa = a, *fb = b;

	return (fa->seq > fb->seq) - (fa->seq < fb->seq);
}

static int rings_scan(struct fsck *fk, uint64_t horizon, struct found_list *list)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < le32_get(fk->disk.sb.n_rings); i++)
		err = ring_scan(fk, i, horizon, list);
	if (!err && list->n)
		qsort(list->items, list->n, sizeof(*list->items), found_cmp);
	return err;
}

/*
 * No slot is valid: which records are applied cannot be known, so none is; the numbers go on above all that are there. 0, 1:
 * stop, -errno.
 */
static int horizon_lost(struct fsck *fk)
{
	struct found_list list = { 0 };
	int silent = fk->silent, fixing = fk->fixing, err, fix;

	/* What is damaged in the rings does not matter any more. */
	fk->silent = 1;
	fk->fixing = 0;
	err = rings_scan(fk, 0, &list);
	fk->silent = silent;
	fk->fixing = fixing;
	fk->next_seq = u64_max(list.n ? list.items[list.n - 1].seq : 0, fk->seq_seen) + 1;
	fk->seq_seen = 0;
	free(list.items);
	if (err)
		return err;
	fk->counts_lost = 1;
	fix = fsck_found(fk, FSCK_HORIZON_NONE, "state block: no valid horizon slot; what the journal holds cannot be known");
	if (fix)
		fix_horizon(fk, PMFS2_CLEAN_DAMAGED);
	return fk->fixing && !fix;
}

static int slot_is_newer(const struct pmfs2_horizon slots[2], int chosen, int other)
{
	return chosen < 0 || le64_get(slots[other].written) > le64_get(slots[chosen].written);
}

/* What the valid slot may not hold. A count of slots that is about to wrap would make the next one look old: it begins anew. */
static void horizon_fields_check(struct fsck *fk, const struct pmfs2_horizon *h, int chosen)
{
	int wraps = fk->written >> 62 != 0, late = fk->next_seq >> 62 != 0;

	if (!late && !le64_get(h->zero[0]) && !le64_get(h->zero[1]) && fk->clean <= PMFS2_CLEAN_DAMAGED && !wraps)
		return;
	fk->clean = PMFS2_CLEAN_NO;
	if (!fsck_found(fk, FSCK_HORIZON_RESERVED, "state block: horizon slot %d: reserved or unknown values", chosen))
		return;
	if (wraps)
		fk->written = chosen ? 1 : 2;
	fix_horizon(fk, PMFS2_CLEAN_NO);
	if (wraps)
		fix_horizon(fk, PMFS2_CLEAN_NO); /* over the one that would look newer */
}

static int horizon_read(struct fsck *fk)
{
	const struct pmfs2_state *state = pmem_at(fk->disk.pm, PMFS2_BLOCK_SIZE);
	struct pmfs2_horizon slots[2];
	const struct pmfs2_horizon *h;
	int chosen = -1, guessed = -1;

	memcpy(slots, state->horizon, sizeof(slots));
	for (int i = 0; i < 2; i++)
		if (horizon_ok(&slots[i]) && slot_is_newer(slots, chosen, i))
			chosen = i;
	for (int i = 0; i < 2; i++)
		/* A slot that a crash tore is no problem: the other one counts. One wrong bit is not what a crash leaves. */
		if (!horizon_ok(&slots[i]) && bits_correct(&slots[i], sizeof(slots[i]), offsetof(struct pmfs2_horizon, crc)) &&
		    horizon_ok(&slots[i]) && slot_is_newer(slots, chosen, i))
			chosen = guessed = i;
	if (chosen < 0)
		return horizon_lost(fk);
	h = &slots[chosen];
	/* It is taken as it was; the repair ends with a newer one in the other slot. */
	if (guessed == chosen)
		(void)fsck_found(fk, FSCK_HORIZON_BIT, "state block: horizon slot %d has one wrong bit", chosen);
	fk->next_seq = le64_get(h->seq);
	fk->written = le64_get(h->written);
	fk->free_blocks = le64_get(h->free_blocks);
	fk->used_inodes = le64_get(h->used_inodes);
	fk->clean = le64_get(h->clean);
	fk->slot_lost = !horizon_ok(&slots[!chosen]) && !pmem_is_zero(&slots[!chosen], sizeof(slots[0]));
	horizon_fields_check(fk, h, chosen);
	return 0;
}

/* As recovery: the words of the inode table's root, and from the intents to the last block but one. */
static int target_ok(const struct fsck *fk, uint64_t off, uint64_t len)
{
	uint64_t intents = le64_get(fk->disk.sb.intent_block) << PMFS2_BLOCK_SHIFT;
	uint64_t words = PMFS2_BLOCK_SIZE + offsetof(struct pmfs2_state, itable_root);

	if (off >= words && len <= 64 && off + len <= words + 64)
		return 1;
	return off >= intents && off + len <= (fk->disk.n_blocks - 1) << PMFS2_BLOCK_SHIFT;
}

static int record_ok(const struct fsck *fk, const struct record *rec)
{
	struct rec_entry e;
	uint32_t pos = 0;
	int r;

	while ((r = rec_next(rec->words, le32_get(rec->head.n_words), &pos, &e)) > 0)
		if (!target_ok(fk, e.off, e.count * 8ull))
			return 0;
	return !r;
}

/* One word of an entry, into the private copy of its block. */
static int word_apply(struct fsck *fk, const struct rec_entry *e, uint32_t i)
{
	uint64_t off = e->off + i * 8ull, body = e->body[e->op == PMFS2_REC_WORDS ? i : 0];
	uint8_t *page = disk_copy_block(&fk->disk, off >> PMFS2_BLOCK_SHIFT);
	uint64_t *word;

	if (!page)
		return -ENOMEM;
	word = (uint64_t *)(void *)(page + off % PMFS2_BLOCK_SIZE);
	if (e->op == PMFS2_REC_SET)
		body |= *word;
	else if (e->op == PMFS2_REC_CLEAR)
		body = *word & ~body;
	*word = body;
	return 0;
}

static int record_apply(struct fsck *fk, const struct record *rec)
{
	struct rec_entry e;
	uint32_t pos = 0;
	int err = 0;

	if (fk->fixing) {
		rec_apply(fk->disk.pm, rec->words, le32_get(rec->head.n_words));
		return 0;
	}
	while (!err && rec_next(rec->words, le32_get(rec->head.n_words), &pos, &e) > 0)
		for (uint32_t i = 0; !err && i < e.count; i++)
			err = word_apply(fk, &e, i);
	return err;
}

/*
 * As recovery: where the slot that is lost was torn by a crash, all records from the horizon on are there, but for one of each
 * ring that was under way. Otherwise that slot was the newer one; what it let be overwritten had been applied, as had all with
 * lower numbers: only what follows the gap is. 0, 1: stop.
 */
static int list_check_whole(struct fsck *fk, struct found_list *list)
{
	uint64_t missing = 0;
	size_t first = list->n;

	if (!fk->slot_lost)
		return 0;
	for (; first; first--) {
		uint64_t before = first > 1 ? list->items[first - 2].seq + 1 : fk->next_seq, seq = list->items[first - 1].seq;

		missing += seq > before ? seq - before : 0;
		if (missing > le32_get(fk->disk.sb.n_rings))
			break;
	}
	if (!first)
		return 0;
	if (!fsck_found(fk, FSCK_HORIZON_LOST, "state block: a horizon slot is damaged, records before number %llu are missing",
			(unsigned long long)list->items[first - 1].seq) &&
	    fk->fixing)
		return 1;
	list->n -= first - 1;
	memmove(list->items, list->items + first - 1, list->n * sizeof(*list->items));
	return 0;
}

/* Checks all, then applies all that may be. 0, 1: stop, -errno. */
static int list_replay(struct fsck *fk, struct found_list *list)
{
	struct record rec;
	int err = list_check_whole(fk, list);

	if (err)
		return err;
	for (size_t i = 0; i < list->n; i++) {
		uint64_t seq = list->items[i].seq;

		if (record_read(fk, list->items[i].off, PMFS2_RECORD_MAX, &rec) && record_ok(fk, &rec) &&
		    (!i || seq != list->items[i - 1].seq))
			continue;
		if (!fsck_found(fk, FSCK_JOURNAL_RECORD,
				"journal: record %llu stores where no record may, or has the number of another one",
				(unsigned long long)seq) &&
		    fk->fixing)
			return 1;
		fk->next_seq = list->items[list->n - 1].seq + 1;
		list->n = i;
	}
	for (size_t i = 0; !err && i < list->n; i++) {
		record_read(fk, list->items[i].off, PMFS2_RECORD_MAX, &rec);
		err = record_apply(fk, &rec);
		fk->free_blocks += (uint64_t)(int64_t)(int32_t)le32_get(rec.head.d_blocks);
		fk->used_inodes += (uint64_t)(int64_t)(int32_t)le32_get(rec.head.d_inodes);
		fk->next_seq = u64_max(fk->next_seq, list->items[i].seq + 1);
	}
	return err;
}

/*
 * Sequence numbers that are about to wrap begin anew, in empty rings. Order: rings, fence, horizon, fence. If cut: the old
 * horizon, and nothing to replay; everything is applied.
 */
static void sequence_restart(struct fsck *fk)
{
	uint64_t n = (uint64_t)le32_get(fk->disk.sb.n_rings) * le32_get(fk->disk.sb.ring_blocks);

	pmem_zero(fk->disk.pm, pmem_at(fk->disk.pm, le64_get(fk->disk.sb.journal_block) << PMFS2_BLOCK_SHIFT),
		  n << PMFS2_BLOCK_SHIFT);
	fk->next_seq = 1;
	fix_horizon(fk, PMFS2_CLEAN_NO);
}

int pass_journal(struct fsck *fk)
{
	struct found_list list = { 0 };
	uint64_t bad_off, horizon;
	int err, wrap = 1;

	fk->seq_seen = 0;
	err = horizon_read(fk);
	horizon = fk->next_seq;
	if (!err && !fk->counts_lost) {
		err = rings_scan(fk, fk->next_seq, &list);
		/* A damaged record that may not be given up: nothing is stored. */
		err = err == -EUCLEAN ? 1 : err;
	}
	if (!err && fk->fixing &&
	    pmem_bad_find(fk->disk.pm, 0, le64_get(fk->disk.sb.intent_block) << PMFS2_BLOCK_SHIFT, &bad_off)) {
		snprintf(fk->res->error, sizeof(fk->res->error),
			 "media error: superblock or journal cannot be read whole (-n says where); nothing was changed");
		err = -EIO;
	}
	if (!err && (list.n || fk->seq_seen)) {
		err = list_replay(fk, &list);
		fk->next_seq = u64_max(fk->next_seq, fk->seq_seen + 1);
		if (!err)
			fsck_note(fk, "journal: %llu records %s", (unsigned long long)list.n,
				  fk->fixing ? "replayed" : "seen as replayed");
		if (!err && fk->fixing)
			fix_horizon(fk, fk->clean == PMFS2_CLEAN_DAMAGED ? PMFS2_CLEAN_DAMAGED : PMFS2_CLEAN_NO);
		fk->res->records = list.n;
		if (fk->clean == PMFS2_CLEAN_YES)
			fk->clean = PMFS2_CLEAN_NO;
	}
	free(list.items);
	if (!err && fk->next_seq >> 62 && !(horizon >> 62))
		wrap = fsck_found(fk, FSCK_HORIZON_RESERVED, "journal: record %llu: the numbers are about to wrap",
				  (unsigned long long)fk->next_seq - 1);
	if (!err && fk->fixing && fk->next_seq >> 62 && wrap)
		sequence_restart(fk);
	/* A repair says it in the end, when it knows whether the mark goes. */
	if (!err && fk->clean == PMFS2_CLEAN_DAMAGED && !fk->fixing)
		fsck_found(fk, FSCK_DAMAGE_MARK, "state block: a mount has found damage and left a mark");
	if (err < 0 && !fk->res->error[0])
		snprintf(fk->res->error, sizeof(fk->res->error), "the journal cannot be read: %s", strerror(-err));
	return err;
}

void pass_state(struct fsck *fk)
{
	const struct pmfs2_state *state = disk_block(&fk->disk, 1);
	size_t len = sizeof(*state) - offsetof(struct pmfs2_state, zero0);

	if (!pmem_is_zero(state->zero0, len) && fsck_found(fk, FSCK_STATE_RESERVED, "state block: reserved fields are not zero"))
		pmem_zero(fk->disk.pm, state->zero0, len);
}
