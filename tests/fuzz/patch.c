/* SPDX-License-Identifier: BSD-3-Clause */
/* Applying patches. Everything in them is taken modulo what there is, so that every input means something. */
#include "patch.h"

#include <string.h>

#include "base/util.h"
#include "pmfs2/media/entry.h"
#include "pmfs2/media/format.h"
#include "seed.h"

#define PAYLOAD_MAX 32u

struct field {
	uint16_t off;
	uint16_t len; /* 1, 2, 4, 8 */
};
#define FIELD(type, name)                                                                                                        \
	{                                                                                                                        \
		offsetof(struct type, name), sizeof(((struct type *)0)->name)                                                    \
	}

static const struct field super_fields[] = {
	FIELD(pmfs2_super, version),
	FIELD(pmfs2_super, compat),
	FIELD(pmfs2_super, ro_compat),
	FIELD(pmfs2_super, incompat),
	FIELD(pmfs2_super, n_blocks),
	FIELD(pmfs2_super, journal_block),
	FIELD(pmfs2_super, intent_block),
	FIELD(pmfs2_super, data_block),
	FIELD(pmfs2_super, n_rings),
	FIELD(pmfs2_super, ring_blocks),
	FIELD(pmfs2_super, n_intent_blocks),
	FIELD(pmfs2_super, journal_seed),
	FIELD(pmfs2_super, n_segments),
	FIELD(pmfs2_super, n_devices),
	FIELD(pmfs2_super, segments[0].first_block),
	FIELD(pmfs2_super, segments[0].n_blocks),
	FIELD(pmfs2_super, segments[0].bitmap_block),
	FIELD(pmfs2_super, devices[0].n_blocks),
};
static const struct field horizon_fields[] = {
	FIELD(pmfs2_horizon, seq),     FIELD(pmfs2_horizon, free_blocks), FIELD(pmfs2_horizon, used_inodes),
	FIELD(pmfs2_horizon, written), FIELD(pmfs2_horizon, clean),
};
static const struct field state_fields[] = { { 0, 8 }, { 8, 8 } };
static const struct field record_fields[] = {
	FIELD(pmfs2_record, seq),
	FIELD(pmfs2_record, len),
	FIELD(pmfs2_record, n_words),
	FIELD(pmfs2_record, d_blocks),
	FIELD(pmfs2_record, d_inodes),
	{ 32, 8 },
	{ 40, 8 },
	{ 48, 8 },
};
static const struct field intent_head_fields[] = { FIELD(pmfs2_intent_block, block), FIELD(pmfs2_intent_block, next) };
static const struct field intent_fields[] = { { 0, 4 }, { 7, 1 }, { 8, 8 }, { 16, 8 }, { 24, 8 } };
static const struct field chunk_fields[] = {
	FIELD(pmfs2_chunk, index),
	FIELD(pmfs2_chunk, block),
	FIELD(pmfs2_chunk, used[0]),
	FIELD(pmfs2_chunk, used[1]),
};
static const struct field inode_fields[] = {
	FIELD(pmfs2_inode, ino),
	FIELD(pmfs2_inode, generation),
	FIELD(pmfs2_inode, flags),
	FIELD(pmfs2_inode, mode),
	FIELD(pmfs2_inode, nlink),
	FIELD(pmfs2_inode, size),
	FIELD(pmfs2_inode, size),
	FIELD(pmfs2_inode, blocks),
	FIELD(pmfs2_inode, root),
	FIELD(pmfs2_inode, mtime),
	FIELD(pmfs2_inode, parent_or_rdev),
	FIELD(pmfs2_inode, xattr),
	FIELD(pmfs2_inode, projid),
	FIELD(pmfs2_inode, inline_len),
	FIELD(pmfs2_inode, inline_xattr_len),
	FIELD(pmfs2_inode, intent),
	{ 128, 2 },
	{ 130, 1 },
	{ 131, 1 },
	{ 132, 4 },
};
static const struct field bucket_fields[] = {
	FIELD(pmfs2_bucket, owner),
	FIELD(pmfs2_bucket, block),
	FIELD(pmfs2_bucket, prefix),
	FIELD(pmfs2_bucket, depth),
	{ 48, 2 },
	{ 50, 2 },
	{ 52, 2 },
	{ 54, 2 },
	FIELD(pmfs2_bucket, sum),
	{ 64, 2 },
	{ 66, 2 },
	{ 68, 4 },
	{ 4088, 8 },
	{ 4080, 8 },
};
static const struct field xattr_fields[] = {
	FIELD(pmfs2_xattr_block, owner),
	FIELD(pmfs2_xattr_block, block),
	FIELD(pmfs2_xattr_block, used),
	FIELD(pmfs2_xattr_block, n_blocks),
	{ 32, 2 },
	{ 34, 1 },
	{ 35, 1 },
	{ 36, 4 },
};

static const struct {
	const struct field *fields;
	size_t n;
} fields_of[REGION_KINDS] = {
	[REGION_SUPER] = { super_fields, ARRAY_SIZE(super_fields) },
	[REGION_SUPER_COPY] = { super_fields, ARRAY_SIZE(super_fields) },
	[REGION_HORIZON] = { horizon_fields, ARRAY_SIZE(horizon_fields) },
	[REGION_HORIZON_OLD] = { horizon_fields, ARRAY_SIZE(horizon_fields) },
	[REGION_STATE_WORDS] = { state_fields, ARRAY_SIZE(state_fields) },
	[REGION_RECORD] = { record_fields, ARRAY_SIZE(record_fields) },
	[REGION_INTENT_HEAD] = { intent_head_fields, ARRAY_SIZE(intent_head_fields) },
	[REGION_INTENT] = { intent_fields, ARRAY_SIZE(intent_fields) },
	[REGION_INTENT_FREE] = { intent_fields, ARRAY_SIZE(intent_fields) },
	[REGION_CHUNK] = { chunk_fields, ARRAY_SIZE(chunk_fields) },
	[REGION_INODE] = { inode_fields, ARRAY_SIZE(inode_fields) },
	[REGION_INODE_FREE] = { inode_fields, ARRAY_SIZE(inode_fields) },
	[REGION_BUCKET] = { bucket_fields, ARRAY_SIZE(bucket_fields) },
	[REGION_XATTR] = { xattr_fields, ARRAY_SIZE(xattr_fields) },
};

/* A number that borders on something: by arg2, with the small signed arg added. */
static uint64_t interesting(const struct image_map *map, const struct patch_head *head)
{
	static const uint64_t values[] = {
		0,	    1,		2,
		16,	    255,	256,
		511,	    512,	1023,
		1024,	    2047,	2048,
		4095,	    4096,	65535,
		65536,	    131040,	1ull << 20,
		INT32_MAX,  UINT32_MAX, 1ull << 39,
		1ull << 40, 1ull << 45, 1ull << 56,
		1ull << 57, INT64_MAX,	1ull << 63,
		UINT64_MAX, 0040755,	0100644,
		0120777,    0170000,	0x3132534653464d50ull,
	};
	uint32_t n = head->arg2;

	if (n >= 128)
		return (map->regions[(n * 131u + head->arg) % map->n].off >> PMFS2_BLOCK_SHIFT) + (n & 1 ? 0 : head->arg % 3u);
	return values[n % ARRAY_SIZE(values)] + (uint64_t)(int64_t)(int8_t)head->arg;
}

static const struct region *region_pick(const struct image_map *map, uint32_t kind, uint32_t pick)
{
	uint32_t first, n;

	for (uint32_t i = 0; i < REGION_KINDS; i++) {
		first = map->of_kind[(kind + i) % REGION_KINDS];
		n = map->of_kind[(kind + i) % REGION_KINDS + 1] - first;
		if (n)
			return &map->regions[first + pick % n];
	}
	return &map->regions[0];
}

static void word_put(uint8_t *image, const struct region *r, uint32_t word, uint64_t value)
{
	le64 v = le64_of(value);

	memcpy(image + r->off + word * 8ull, &v, sizeof(v));
}

static uint64_t word_get(const uint8_t *image, const struct region *r, uint32_t word)
{
	le64 v;

	memcpy(&v, image + r->off + word * 8ull, sizeof(v));
	return le64_get(v);
}

static void entry_put(uint8_t *image, const struct image_map *map, const struct region *r, const struct patch_head *head)
{
	const struct region *to = &map->regions[(head->arg * 257u + head->arg2 / 16) % map->n];
	struct entry e = {
		.block = to->off >> PMFS2_BLOCK_SHIFT,
		.kind = (enum pmfs2_entry_kind)(head->arg2 & 7),
		.unwritten = (head->arg2 & 8) != 0,
	};
	uint32_t words = r->len / 8, word = head->off % words;
	struct entry_pos pos;

	if (r->kind == REGION_INODE) {
		word = (head->off & 7) == 7 ? offsetof(struct pmfs2_inode, xattr) / 8 : offsetof(struct pmfs2_inode, root) / 8;
		e.height = head->off >> 3 & 7;
	} else if (r->kind == REGION_STATE_WORDS) {
		word = 0;
		e.height = head->off >> 3 & 7;
	}
	if (!region_entry_pos(r, word, &pos))
		return;
	if (e.height)
		pos.level = e.height;
	word_put(image, r, word, entry_pack(&pos, &e));
}

static void field_put(uint8_t *image, const struct image_map *map, const struct region *r, const struct patch_head *head)
{
	le64 v = le64_of(interesting(map, head));
	const struct field *f;

	if (!fields_of[r->kind].n) {
		word_put(image, r, head->off % (r->len / 8), le64_get(v));
		return;
	}
	f = &fields_of[r->kind].fields[head->off % fields_of[r->kind].n];
	if ((uint32_t)f->off + f->len <= r->len)
		memcpy(image + r->off + f->off, &v, f->len);
}

static void words_copy(uint8_t *image, const struct image_map *map, const struct region *r, const struct patch_head *head)
{
	const struct region *from = region_pick(map, head->arg2 & 0x80 ? head->arg2 & 0x1f : r->kind, head->arg2);
	uint32_t word = head->off % (r->len / 8), n = head->arg ? head->arg : r->len / 8;

	n = (uint32_t)u64_min(n, u64_min(r->len / 8 - word, from->len / 8));
	memmove(image + r->off + word * 8ull, image + from->off, n * 8ull);
}

void patch_apply(uint8_t *image, const struct image_map *map, struct input *in)
{
	const struct pmfs2_super *sb = (const void *)image;
	uint32_t journal_seed = le32_get(sb->journal_seed), word, n;
	uint8_t payload[PAYLOAD_MAX];
	const struct region *r;
	struct patch_head head;

	input_take(in, &head, sizeof(head));
	r = region_pick(map, head.kind % REGION_KINDS, head.pick);
	word = head.off % (r->len / 8);
	switch ((head.op & 0x7f) % PATCH_OPS) {
	case PATCH_FLIP:
		image[r->off + head.off % r->len] ^= (uint8_t)(1u << (head.arg & 7));
		break;
	case PATCH_BYTES_PUT:
		n = (uint32_t)u64_min(head.arg % PAYLOAD_MAX + 1, r->len - head.off % r->len);
		input_take(in, payload, head.arg % PAYLOAD_MAX + 1);
		memcpy(image + r->off + head.off % r->len, payload, n);
		break;
	case PATCH_WORD:
		word_put(image, r, word, interesting(map, &head));
		break;
	case PATCH_ADD:
		word_put(image, r, word, word_get(image, r, word) + ((uint64_t)(int64_t)(int8_t)head.arg << (head.arg2 & 63)));
		break;
	case PATCH_COPY:
		words_copy(image, map, r, &head);
		break;
	case PATCH_ENTRY:
		entry_put(image, map, r, &head);
		break;
	case PATCH_ZERO:
		n = (uint32_t)u64_min(head.arg ? head.arg : 512, r->len / 8 - word);
		memset(image + r->off + word * 8ull, 0, n * 8ull);
		break;
	default:
		field_put(image, map, r, &head);
	}
	if (head.op & PATCH_SEAL)
		region_seal(image, r, journal_seed);
}
