/* SPDX-License-Identifier: BSD-3-Clause */
/* The journal as it stands on a device, by the rules of recovery, without storing anything. */
#include "journal_view.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"

static int horizon_valid(const struct pmfs2_horizon *slot)
{
	struct pmfs2_horizon copy = *slot;

	copy.crc = le32_of(0);
	return le32_get(slot->magic) == PMFS2_MAGIC_HORIZON && le32_get(slot->crc) == crc32c_of(&copy, sizeof(copy));
}

void horizon_view_load(const struct image *img, struct horizon_view *out)
{
	const struct pmfs2_state *state = image_block(img, 1);

	memcpy(out->slots, state->horizon, sizeof(out->slots));
	out->chosen = -1;
	for (int i = 0; i < 2; i++) {
		out->valid[i] = horizon_valid(&out->slots[i]);
		if (out->valid[i] && (out->chosen < 0 || le64_get(out->slots[i].written) > le64_get(out->slots[0].written)))
			out->chosen = i;
	}
	out->seq = out->chosen < 0 ? 0 : le64_get(out->slots[out->chosen].seq);
}

/* Copies the record at addr if it is whole; room: bytes to the ring's end. */
static int record_copy(const void *addr, uint64_t room, uint32_t seed, struct record_view *out)
{
	uint32_t len, crc;

	memcpy(&out->head, addr, sizeof(out->head));
	len = le32_get(out->head.len);
	if (le32_get(out->head.magic) != PMFS2_MAGIC_RECORD || len < sizeof(out->head) || len > PMFS2_RECORD_MAX ||
	    len % PMFS2_RECORD_ALIGN || len > room)
		return 0;
	memcpy(out->words, (const uint8_t *)addr + sizeof(out->head), len - sizeof(out->head));
	if (le32_get(out->head.n_words) > (len - sizeof(out->head)) / 8)
		return 0;
	crc = le32_get(out->head.crc);
	out->head.crc = le32_of(0);
	seed = ~crc32c(seed, out, len);
	out->head.crc = le32_of(crc);
	return crc == seed;
}

int ring_walk_next(const struct image *img, uint64_t horizon, struct ring_walk *walk, struct record_view *out)
{
	uint64_t size = (uint64_t)le32_get(img->sb.ring_blocks) << PMFS2_BLOCK_SHIFT, seq;
	const uint8_t *start = image_block(img, le64_get(img->sb.journal_block));

	if (walk->off + sizeof(out->head) > size)
		return 0;
	if (!record_copy(start + walk->ring * size + walk->off, size - walk->off, le32_get(img->sb.journal_seed), out))
		return 0;
	seq = le64_get(out->head.seq);
	if (seq < horizon || seq <= walk->last_seq)
		return 0;
	walk->last_seq = seq;
	walk->off += le32_get(out->head.len);
	return 1;
}

int journal_summary(const struct image *img, struct journal_summary *out)
{
	struct horizon_view hv;
	struct record_view rec;

	memset(out, 0, sizeof(*out));
	horizon_view_load(img, &hv);
	if (hv.chosen < 0)
		return -EUCLEAN;
	out->free_blocks = le64_get(hv.slots[hv.chosen].free_blocks);
	out->used_inodes = le64_get(hv.slots[hv.chosen].used_inodes);
	out->clean = le64_get(hv.slots[hv.chosen].clean) == 1;
	out->next_seq = hv.seq;
	for (uint32_t i = 0; i < le32_get(img->sb.n_rings); i++) {
		struct ring_walk walk = { .ring = i };

		while (ring_walk_next(img, hv.seq, &walk, &rec)) {
			out->records++;
			out->free_blocks += (uint64_t)(int64_t)(int32_t)le32_get(rec.head.d_blocks);
			out->used_inodes += (uint64_t)(int64_t)(int32_t)le32_get(rec.head.d_inodes);
			if (walk.last_seq >= out->next_seq)
				out->next_seq = walk.last_seq + 1;
		}
	}
	return 0;
}

void journal_warn(const struct image *img)
{
	struct journal_summary sum;

	if (journal_summary(img, &sum))
		fprintf(stderr, "%s: no valid horizon in the state block: the journal cannot be read\n", img->path);
	else if (sum.records)
		fprintf(stderr, "%s: the journal holds %llu records that the next mount replays; what follows is without them\n",
			img->path, (unsigned long long)sum.records);
}
