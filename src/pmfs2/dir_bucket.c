/* SPDX-License-Identifier: BSD-3-Clause */
/* One directory bucket: parsing, checking, searching and building. */
#include "pmfs2/dir_bucket.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/crc32c.h"

#define HEADER_WORDS 6u /* covered by the header's CRC */
#define HEADER_CRC_MASK 0xffffffffull /* of the first word: all but the CRC itself */
#define DIRENT_TYPE_MAX 15u
#define DIRENT_MIN 24u /* bytes: an entry of the shortest name */
#define FIND_SLOTS 16u /* slots looked at in one step */

static uint32_t header_crc(const uint64_t words[HEADER_WORDS])
{
	uint32_t crc = crc32c_u64(~0u, words[0] & HEADER_CRC_MASK);

	for (uint32_t i = 1; i < HEADER_WORDS; i++)
		crc = crc32c_u64(crc, words[i]);
	return ~crc;
}

const char *bucket_check_header(const struct pmfs2_bucket *b, uint64_t owner, uint64_t block, uint32_t *out_depth,
				uint64_t *out_prefix)
{
	const le64 *from = (const le64 *)b;
	uint64_t words[HEADER_WORDS];

	for (uint32_t i = 0; i < HEADER_WORDS; i++)
		words[i] = le64_get(from[i]);
	if (unlikely((uint32_t)words[0] != PMFS2_MAGIC_BUCKET))
		return "wrong magic";
	if (unlikely(header_crc(words) != words[0] >> 32))
		return "wrong CRC of the header";
	if (unlikely(words[1] != owner))
		return "belongs to another directory";
	if (unlikely(words[2] != block))
		return "belongs to another block";
	if (unlikely(words[4] > PMFS2_HASH_BITS || words[5])) /* zero0 is the upper half of words[4] */
		return "wrong depth";
	if (unlikely(words[3] >> PMFS2_HASH_BITS || hash_prefix(words[3], (uint32_t)words[4]) != words[3]))
		return "prefix longer than its depth";
	*out_depth = (uint32_t)words[4];
	*out_prefix = words[3];
	return NULL;
}

const char *bucket_dyn_unpack(uint64_t word, struct bucket_dyn *out)
{
	struct bucket_dyn dyn = {
		.slots = word & 0xffff,
		.tail = word >> 16 & 0xffff,
		.live = word >> 32 & 0xffff,
		.dead = (uint32_t)(word >> 48),
	};

	if (unlikely(dyn.slots > PMFS2_BUCKET_SLOTS_MAX || dyn.live > dyn.slots))
		return "wrong number of slots";
	if (unlikely(dyn.tail % 8 || dyn.tail > PMFS2_BLOCK_SIZE || dyn.tail < bucket_slots_end(dyn.slots)))
		return "wrong tail";
	if (unlikely(dyn.dead % 8 || dyn.dead > PMFS2_BLOCK_SIZE - dyn.tail || dyn.dead < (dyn.slots - dyn.live) * DIRENT_MIN ||
		     dyn.dead > (dyn.slots - dyn.live) * BUCKET_DIRENT_MAX))
		return "wrong number of dead bytes";
	*out = dyn;
	return NULL;
}

uint32_t dirent_crc(uint64_t owner, uint64_t ino_type, uint64_t hash, struct zus_name name)
{
	uint32_t crc = crc32c_u64(~0u, owner);

	crc = crc32c_u64(crc, ino_type);
	crc = crc32c_u64(crc, hash);
	return ~crc32c(crc, name.str, name.len);
}

const char *bucket_entry_read(const struct pmfs2_bucket *b, uint64_t owner, const struct bucket_dyn *dyn, uint32_t off,
			      struct bucket_entry *out)
{
	const struct pmfs2_dirent *de;
	uint64_t ino_type;

	if (unlikely(off < dyn->tail || off > PMFS2_BLOCK_SIZE - sizeof(*de)))
		return "a slot points outside the entries";
	de = (const struct pmfs2_dirent *)((const uint8_t *)b + off);
	ino_type = le64_get(de->ino_type);
	out->hash = le64_get(de->hash);
	out->ino = ino_type & ((1ull << PMFS2_INO_BITS) - 1);
	out->type = ino_type >> 40 & 0xff;
	out->name = (struct zus_name){ de->name, ino_type >> 48 & 0xff };
	out->len_bytes = dirent_bytes(out->name.len);
	if (unlikely(!out->name.len || off + out->len_bytes > PMFS2_BLOCK_SIZE))
		return "an entry has a wrong length";
	if (unlikely(dirent_crc(owner, ino_type, out->hash, out->name) != le32_get(de->crc)))
		return "wrong CRC of an entry";
	if (unlikely(!out->ino || out->type > DIRENT_TYPE_MAX || ino_type >> 56))
		return "an entry has a wrong inode number or type";
	return NULL;
}

/* Bit i is set if slot first + i has the fingerprint. Looks at FIND_SLOTS slots; behind the last one that is still in the block.
 */
static inline uint32_t match_slots(const struct pmfs2_bucket *b, uint32_t first, uint32_t fingerprint)
{
#if defined(__SSE2__)
	const __m128i *p = (const __m128i *)bucket_slot_word(b, first);
	__m128i want = _mm_set1_epi32((int)fingerprint);
	__m128i a =
		_mm_packs_epi32(_mm_cmpeq_epi32(_mm_srli_epi32(p[0], 16), want), _mm_cmpeq_epi32(_mm_srli_epi32(p[1], 16), want));
	__m128i c =
		_mm_packs_epi32(_mm_cmpeq_epi32(_mm_srli_epi32(p[2], 16), want), _mm_cmpeq_epi32(_mm_srli_epi32(p[3], 16), want));

	return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(a, c));
#else
	const le64 *p = bucket_slot_word(b, first);
	uint32_t mask = 0;

	for (uint32_t i = 0; i < FIND_SLOTS / 2; i++) {
		uint64_t word = le64_get(p[i]);

		mask |= (uint32_t)((word >> 16 & 0xffff) == fingerprint) << (2 * i);
		mask |= (uint32_t)(word >> 48 == fingerprint) << (2 * i + 1);
	}
	return mask;
#endif
}
static_assert(PMFS2_BUCKET_SLOTS_OFF + 4 * (PMFS2_BUCKET_SLOTS_MAX + FIND_SLOTS) < PMFS2_BLOCK_SIZE, "match_slots reads on");

/* One slot with the right fingerprint. A match with off 0: it was another name after all, or dead. */
static const char *find_check(const struct pmfs2_bucket *b, uint64_t owner, const struct bucket_dyn *dyn, uint32_t slot,
			      struct bucket_match *match)
{
	uint32_t off = bucket_slot_off(bucket_slot_of(le64_get(*bucket_slot_word(b, slot)), slot));
	const char *bad;

	match->slot = slot;
	match->off = off;
	if (!off)
		return NULL;
	bad = bucket_entry_read(b, owner, dyn, off, &match->entry);
	if (unlikely(bad))
		match->off = 0;
	return bad;
}

uint32_t bucket_slots_sum(const struct pmfs2_bucket *b, uint32_t slots)
{
	const le64 *words = bucket_slot_word(b, 0);
	uint32_t sum = 0;

	for (uint32_t i = 0; i < slots / 2; i++) {
		uint64_t word = le64_get(words[i]);

		sum += (uint32_t)word + (uint32_t)(word >> 32);
	}
	if (slots & 1)
		sum += (uint32_t)le64_get(words[slots / 2]);
	return sum;
}

const char *bucket_find(const struct pmfs2_bucket *b, uint64_t owner, uint64_t hash, struct zus_name name,
			struct bucket_match *out)
{
	uint32_t fingerprint = hash & 0xffff, first, mask;
	struct bucket_dyn dyn;
	const char *bad = bucket_dyn_unpack(le64_load(&b->dyn), &dyn);

	if (unlikely(bad))
		return bad;
	for (first = 0; first < dyn.slots; first += FIND_SLOTS) {
		mask = match_slots(b, first, fingerprint);
		if (dyn.slots - first < FIND_SLOTS)
			mask &= (1u << (dyn.slots - first)) - 1;
		for (; mask; mask &= mask - 1) {
			bad = find_check(b, owner, &dyn, first + (uint32_t)__builtin_ctz(mask), out);
			if (unlikely(bad))
				return bad;
			if (out->off && out->entry.hash == hash && out->entry.name.len == name.len &&
			    !memcmp(out->entry.name.str, name.str, name.len))
				return NULL;
		}
	}
	out->off = 0;
	/* Not there: unless a slot was damaged that would have led to it. */
	return likely(bucket_slots_sum(b, dyn.slots) == le64_load(&b->sum)) ? NULL : "wrong sum of the slots";
}

/* What a lookup need not look at: the name's bytes, its padding, the place of its hash. */
static const char *collect_check(const struct bucket_entry *e, uint32_t fingerprint, uint64_t prefix, uint32_t depth)
{
	static const char zeros[8];
	const struct zus_name *n = &e->name;

	if (e->hash < PMFS2_HASH_MIN || e->hash >> PMFS2_HASH_BITS || hash_prefix(e->hash, depth) != prefix)
		return "an entry stands in the wrong bucket";
	if ((e->hash & 0xffff) != fingerprint)
		return "a slot has another hash than its entry";
	if (memchr(n->str, '/', n->len) || memchr(n->str, '\0', n->len) || (n->str[0] == '.' && n->len == 1) ||
	    (n->str[0] == '.' && n->len == 2 && n->str[1] == '.'))
		return "an entry has an impossible name";
	if (memcmp(n->str + n->len, zeros, e->len_bytes - PMFS2_DIRENT_HEAD - n->len))
		return "an entry is not padded with zeros";
	return NULL;
}

const char *bucket_collect(const struct pmfs2_bucket *b, uint64_t owner, struct bucket_list *out)
{
	uint32_t depth = le32_get(b->depth), sum = 0, value, off;
	uint64_t prefix = le64_get(b->prefix);
	struct bucket_entry entry;
	struct bucket_dyn dyn;
	const char *bad = bucket_dyn_unpack(le64_load(&b->dyn), &dyn);

	if (!bad && (depth > PMFS2_HASH_BITS || bucket_slots_sum(b, dyn.slots) != le64_get(b->sum)))
		bad = "wrong header or sum of the slots";
	if (bad)
		return bad;
	out->n = 0;
	for (uint32_t slot = 0; slot < dyn.slots; slot++) {
		value = bucket_slot_of(le64_get(*bucket_slot_word(b, slot)), slot);
		off = bucket_slot_off(value);
		if (!off && value)
			return "a dead slot has a hash";
		if (!off)
			continue;
		bad = bucket_entry_read(b, owner, &dyn, off, &entry);
		if (!bad)
			bad = collect_check(&entry, value >> 16, prefix, depth);
		if (bad)
			return bad;
		sum += entry.len_bytes;
		out->items[out->n++] = (struct bucket_item){ entry.hash, (uint16_t)off, (uint16_t)entry.len_bytes };
	}
	if (out->n != dyn.live || !dyn.live)
		return "wrong number of entries";
	if (sum + dyn.dead != PMFS2_BLOCK_SIZE - dyn.tail)
		return "wrong sum of the entries' lengths";
	return NULL;
}

uint32_t dirent_build(le64 *words, uint64_t owner, uint64_t hash, struct zus_name name, uint64_t ino_type)
{
	uint32_t len_bytes = dirent_bytes(name.len);
	struct pmfs2_dirent *de = (struct pmfs2_dirent *)words;

	words[len_bytes / 8 - 1] = le64_of(0);
	de->ino_type = le64_of(ino_type);
	de->hash = le64_of(hash);
	de->crc = le32_of(dirent_crc(owner, ino_type, hash, name));
	memcpy((uint8_t *)words + PMFS2_DIRENT_HEAD, name.str, name.len);
	return len_bytes;
}

void bucket_header_build(struct pmfs2_bucket *header, uint64_t owner, uint64_t block, uint64_t prefix, uint32_t depth)
{
	const struct bucket_dyn dyn = { .tail = PMFS2_BLOCK_SIZE };
	uint64_t words[HEADER_WORDS] = { PMFS2_MAGIC_BUCKET, owner, block, prefix, depth, 0 };

	*header = (struct pmfs2_bucket){
		.magic = le32_of(PMFS2_MAGIC_BUCKET),
		.crc = le32_of(header_crc(words)),
		.owner = le64_of(owner),
		.block = le64_of(block),
		.prefix = le64_of(prefix),
		.depth = le32_of(depth),
		.dyn = le64_of(bucket_dyn_pack(&dyn)),
	};
}

void bucket_image_append(void *image, const void *entry, uint32_t len_bytes, uint64_t hash)
{
	struct pmfs2_bucket *b = image;
	uint64_t word = le64_get(b->dyn);
	struct bucket_dyn dyn = { word & 0xffff, word >> 16 & 0xffff, word >> 32 & 0xffff, 0 };
	le64 *slots = (le64 *)((uint8_t *)image + PMFS2_BUCKET_SLOTS_OFF) + dyn.slots / 2;
	uint32_t value;

	dyn.tail -= len_bytes;
	value = bucket_slot_value(dyn.tail, hash);
	memcpy((uint8_t *)image + dyn.tail, entry, len_bytes);
	*slots = le64_of(bucket_slot_set(le64_get(*slots), dyn.slots, value));
	b->sum = le64_of((uint32_t)(le64_get(b->sum) + value));
	dyn.slots++;
	dyn.live++;
	b->dyn = le64_of(bucket_dyn_pack(&dyn));
}
