/* SPDX-License-Identifier: BSD-3-Clause */
/* Checksums made right for whatever stands in a region, so that mutations get past them. Lengths from the image are bounded here.
 */
#include <string.h>

#include "base/crc32c.h"
#include "base/util.h"
#include "image_map.h"
#include "pmfs2/dir_bucket.h"
#include "pmfs2/media/entry.h"
#include "pmfs2/media/super.h"

static void put32(uint8_t *p, uint32_t value)
{
	le32 v = le32_of(value);

	memcpy(p, &v, sizeof(v));
}

/* Stores the CRC of the first len bytes at crc_off, taken as 0 there. */
static void crc_put(uint8_t *p, uint32_t len, uint32_t crc_off, uint32_t start)
{
	put32(p + crc_off, 0);
	put32(p + crc_off, ~crc32c(start, p, len));
}

int region_entry_pos(const struct region *r, uint32_t word, struct entry_pos *out)
{
	switch (r->kind) {
	case REGION_MAP_NODE:
		*out = (struct entry_pos){ r->owner, r->level, r->index + ((uint64_t)word << (9 * (r->level - 1))) };
		return 1;
	case REGION_DIR_NODE:
		*out = (struct entry_pos){ .owner = r->owner };
		return 1;
	case REGION_STATE_WORDS:
		*out = (struct entry_pos){ 0 };
		return word == 0;
	case REGION_INODE:
		*out = (struct entry_pos){ .owner = r->owner };
		return word == offsetof(struct pmfs2_inode, root) / 8 || word == offsetof(struct pmfs2_inode, xattr) / 8;
	default:
		return 0;
	}
}

/* Packs again each word that is not a hole. Root words say their level themselves. */
static void entries_seal(uint8_t *image, const struct region *r)
{
	le64 *words = (le64 *)(void *)(image + r->off);

	for (uint32_t i = 0; i < r->len / 8; i++) {
		uint64_t word = le64_get(words[i]) & ((1ull << PMFS2_ENTRY_CHECK_SHIFT) - 1);
		struct entry_pos pos;

		if (!le64_get(words[i]) || !region_entry_pos(r, i, &pos))
			continue;
		if (r->kind == REGION_INODE || r->kind == REGION_STATE_WORDS)
			pos.level = (uint32_t)(word >> PMFS2_ENTRY_HEIGHT_SHIFT);
		words[i] = le64_of(word | entry_check(&pos, word));
	}
}

static void record_seal(uint8_t *p, const struct region *r, uint32_t journal_seed)
{
	const struct pmfs2_record *rec = (const void *)p;
	uint32_t len = le32_get(rec->len);

	crc_put(p, len >= sizeof(*rec) && len <= r->len ? len : r->len, offsetof(struct pmfs2_record, crc), journal_seed);
}

/* Header, sum, and the entries that the slots lead to. */
static void bucket_seal(uint8_t *p)
{
	struct pmfs2_bucket *b = (void *)p;
	uint32_t slots = (uint32_t)u64_min(le64_get(b->dyn) & 0xffff, PMFS2_BUCKET_SLOTS_MAX);

	crc_put(p, 48, offsetof(struct pmfs2_bucket, crc), ~0u);
	for (uint32_t i = 0; i < slots; i++) {
		uint32_t off = bucket_slot_off(bucket_slot_of(le64_get(*bucket_slot_word(b, i)), i));
		struct pmfs2_dirent *de = (void *)(p + off);
		uint32_t name_len;

		if (off < PMFS2_BUCKET_SLOTS_OFF || off > PMFS2_BLOCK_SIZE - sizeof(*de))
			continue;
		name_len = le64_get(de->ino_type) >> 48 & 0xff;
		if (off + PMFS2_DIRENT_HEAD + name_len > PMFS2_BLOCK_SIZE)
			continue;
		de->crc = le32_of(dirent_crc(le64_get(b->owner), le64_get(de->ino_type), le64_get(de->hash),
					     (struct zus_name){ de->name, name_len }));
	}
	b->sum = le64_of(bucket_slots_sum(b, slots));
}

static void xattr_seal(uint8_t *p, const struct region *r)
{
	const struct pmfs2_xattr_block *head = (const void *)p;
	uint64_t len = sizeof(*head) + (uint64_t)le32_get(head->used);

	crc_put(p, (uint32_t)u64_min(len, r->len), offsetof(struct pmfs2_xattr_block, crc), ~0u);
}

void region_seal(uint8_t *image, const struct region *r, uint32_t journal_seed)
{
	uint8_t *p = image + r->off;

	entries_seal(image, r);
	switch (r->kind) {
	case REGION_SUPER:
	case REGION_SUPER_COPY:
		super_seal((struct pmfs2_super *)(void *)p);
		break;
	case REGION_HORIZON:
	case REGION_HORIZON_OLD:
		crc_put(p, sizeof(struct pmfs2_horizon), offsetof(struct pmfs2_horizon, crc), ~0u);
		break;
	case REGION_RECORD:
		record_seal(p, r, journal_seed);
		break;
	case REGION_INTENT_HEAD:
		crc_put(p, 16, offsetof(struct pmfs2_intent_block, crc), ~0u);
		break;
	case REGION_CHUNK:
		crc_put(p, 64, offsetof(struct pmfs2_chunk, crc), ~0u);
		break;
	case REGION_INODE:
	case REGION_INODE_FREE:
		crc_put(p, PMFS2_INODE_SIZE, offsetof(struct pmfs2_inode, crc), ~0u);
		break;
	case REGION_BUCKET:
		bucket_seal(p);
		break;
	case REGION_XATTR:
		xattr_seal(p, r);
		break;
	default:
		break;
	}
}
