/* SPDX-License-Identifier: BSD-3-Clause */
/* pmfs2 dump DEVICE journal: the horizon slots, and every record that a mount would replay, ring by ring. */
#include <stdio.h>

#include "commands.h"
#include "journal_view.h"
#include "pmfs2/journal.h"

#define WORDS_SHOWN 4u

static void horizon_dump(struct image *img, const struct horizon_view *hv)
{
	for (int i = 0; i < 2; i++) {
		const struct pmfs2_horizon *h = &hv->slots[i];

		if (!hv->valid[i]) {
			printf("horizon slot %d: %s\n", i, pmem_is_zero(h, sizeof(*h)) ? "never written" : "not valid");
			continue;
		}
		printf("horizon slot %d: sequence %llu, free blocks %llu, used inodes %llu, written %llu, clean %llu%s\n", i,
		       (unsigned long long)le64_get(h->seq), (unsigned long long)le64_get(h->free_blocks),
		       (unsigned long long)le64_get(h->used_inodes), (unsigned long long)le64_get(h->written),
		       (unsigned long long)le64_get(h->clean), i == hv->chosen ? " (in force)" : "");
	}
	if (hv->chosen < 0)
		image_damage(img, "state block: no valid horizon slot");
}

static void entry_dump(const struct rec_entry *e)
{
	static const char *const names[] = { "?", "words", "fill", "set", "clear" };
	uint32_t n = e->body_words < WORDS_SHOWN ? e->body_words : WORDS_SHOWN;

	printf("    %-5s block %llu + 0x%03llx, %u words:", e->op <= PMFS2_REC_CLEAR ? names[e->op] : "?",
	       (unsigned long long)(e->off >> PMFS2_BLOCK_SHIFT), (unsigned long long)(e->off % PMFS2_BLOCK_SIZE), e->count);
	for (uint32_t i = 0; i < n; i++)
		printf(" %016llx", (unsigned long long)le64toh(e->body[i]));
	printf("%s\n", n < e->body_words ? " ..." : "");
}

static void record_dump(struct image *img, uint64_t off, const struct record_view *rec)
{
	uint32_t n_words = le32_get(rec->head.n_words), pos = 0;
	struct rec_entry e;
	int r;

	printf("  record %llu at byte %llu: %u bytes, blocks %+d, inodes %+d\n", (unsigned long long)le64_get(rec->head.seq),
	       (unsigned long long)off, le32_get(rec->head.len), (int32_t)le32_get(rec->head.d_blocks),
	       (int32_t)le32_get(rec->head.d_inodes));
	while ((r = rec_next(rec->words, n_words, &pos, &e)) > 0) {
		entry_dump(&e);
		if (e.off + e.count * 8ull > img->n_blocks << PMFS2_BLOCK_SHIFT)
			image_damage(img, "record %llu: an entry points behind the device",
				     (unsigned long long)le64_get(rec->head.seq));
	}
	if (r)
		image_damage(img, "record %llu: entry at word %u makes no sense", (unsigned long long)le64_get(rec->head.seq),
			     pos);
}

int dump_journal(struct image *img)
{
	struct horizon_view hv;
	struct record_view rec;
	uint64_t n = 0;

	horizon_view_load(img, &hv);
	horizon_dump(img, &hv);
	for (uint32_t i = 0; hv.chosen >= 0 && i < le32_get(img->sb.n_rings); i++) {
		struct ring_walk walk = { .ring = i };
		uint64_t off = 0, in_ring = 0;

		while (ring_walk_next(img, hv.seq, &walk, &rec)) {
			if (!in_ring++)
				printf("ring %u\n", i);
			record_dump(img, off, &rec);
			off = walk.off;
		}
		n += in_ring;
	}
	printf("%llu records to replay\n", (unsigned long long)n);
	return 0;
}
