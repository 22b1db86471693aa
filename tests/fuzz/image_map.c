/* SPDX-License-Identifier: BSD-3-Clause */
/* The walk over a good image, and the names of what it finds. The array of regions is its own queue: nodes found are walked
 * later. */
#include "image_map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "pmfs2/media/entry.h"
#include "pmfs2/media/format.h"
#include "seed.h"

static const void *at(const uint8_t *image, uint64_t block)
{
	return image + (block << PMFS2_BLOCK_SHIFT);
}

static struct region *add(struct image_map *map, enum region_kind kind, uint64_t off, uint32_t len)
{
	if (map->n == IMAGE_MAP_REGIONS)
		abort();
	map->regions[map->n] = (struct region){ .kind = kind, .off = off, .len = len };
	return &map->regions[map->n++];
}

static struct region *add_block(struct image_map *map, enum region_kind kind, uint64_t block, uint64_t owner)
{
	struct region *r = add(map, kind, block << PMFS2_BLOCK_SHIFT, PMFS2_BLOCK_SIZE);

	r->owner = owner;
	return r;
}

/* --- the fixed areas ----------------------------------------------------------------------------------------------------- */

static uint64_t state_add(struct image_map *map, const uint8_t *image)
{
	const struct pmfs2_state *st = at(image, 1);
	int newer = le64_get(st->horizon[1].written) > le64_get(st->horizon[0].written);
	uint64_t base = PMFS2_BLOCK_SIZE;

	for (int i = 0; i < 2; i++)
		add(map, i == newer ? REGION_HORIZON : REGION_HORIZON_OLD, base + (uint64_t)i * sizeof(st->horizon[0]),
		    sizeof(st->horizon[0]));
	add(map, REGION_STATE_WORDS, base + offsetof(struct pmfs2_state, itable_root), 16);
	add(map, REGION_STATE_REST, base + offsetof(struct pmfs2_state, zero0),
	    sizeof(*st) - offsetof(struct pmfs2_state, zero0));
	return le64_get(st->horizon[newer].seq);
}

/* Records at or above the horizon stand at a ring's start; seeds have no others that look like them behind. */
static void ring_add(struct image_map *map, const uint8_t *image, uint64_t block, uint32_t n_blocks, uint64_t horizon)
{
	uint64_t off = block << PMFS2_BLOCK_SHIFT, end = off + ((uint64_t)n_blocks << PMFS2_BLOCK_SHIFT), last = 0;

	while (off < end) {
		const struct pmfs2_record *rec = (const void *)(image + off);

		if (le32_get(rec->magic) != PMFS2_MAGIC_RECORD || le64_get(rec->seq) < horizon || le64_get(rec->seq) <= last)
			break;
		last = le64_get(rec->seq);
		add(map, REGION_RECORD, off, le32_get(rec->len));
		off += le32_get(rec->len);
	}
	if (off < end)
		add(map, REGION_RING, off, (uint32_t)(end - off));
}

static void intents_add(struct image_map *map, const uint8_t *image, uint64_t block, uint32_t n_blocks)
{
	for (uint32_t i = 0; i < n_blocks; i++, block++) {
		const struct pmfs2_intent_block *blk = at(image, block);
		uint64_t base = block << PMFS2_BLOCK_SHIFT;

		add(map, REGION_INTENT_HEAD, base, 32);
		for (uint32_t s = 0; s < PMFS2_INTENTS_PER_BLOCK; s++)
			if (le64_get(blk->slots[s].ino_kind))
				add(map, REGION_INTENT, base + offsetof(struct pmfs2_intent_block, slots) + s * 32ull, 32);
		add(map, REGION_INTENT_FREE, base + 4096 - 32ull * 100, 32 * 100); /* seeds use less than the first 27 */
	}
}

static void fixed_add(struct image_map *map, const uint8_t *image)
{
	const struct pmfs2_super *sb = at(image, 0);
	uint64_t n_blocks = le64_get(sb->n_blocks), bitmap = le64_get(sb->segments[0].bitmap_block), horizon;
	uint32_t used = (uint32_t)(n_blocks / 8);

	add_block(map, REGION_SUPER, 0, 0);
	add_block(map, REGION_SUPER_COPY, n_blocks - 1, 0);
	horizon = state_add(map, image);
	for (uint32_t i = 0; i < le32_get(sb->n_rings); i++)
		ring_add(map, image, le64_get(sb->journal_block) + (uint64_t)i * le32_get(sb->ring_blocks),
			 le32_get(sb->ring_blocks), horizon);
	intents_add(map, image, le64_get(sb->intent_block), le32_get(sb->n_intent_blocks));
	add(map, REGION_BITMAP, bitmap << PMFS2_BLOCK_SHIFT, used);
	if (used < PMFS2_BLOCK_SIZE)
		add(map, REGION_BITMAP_REST, (bitmap << PMFS2_BLOCK_SHIFT) + used, PMFS2_BLOCK_SIZE - used);
}

/* --- trees --------------------------------------------------------------------------------------------------------------- */

/* What a word of a map leads to. kind: of the words around it. */
static void word_add(struct image_map *map, uint64_t word, const struct region *from, uint32_t level, uint64_t index)
{
	uint64_t block = word & PMFS2_ENTRY_BLOCK_MASK, owner = from->owner;
	struct region *r;

	switch ((enum pmfs2_entry_kind)(word >> PMFS2_ENTRY_KIND_SHIFT & 7)) {
	case PMFS2_ENTRY_NODE:
		r = add_block(map, from->kind == REGION_DIR_NODE ? REGION_DIR_NODE : REGION_MAP_NODE, block, owner);
		r->level = level;
		r->index = index;
		break;
	case PMFS2_ENTRY_DATA:
		add_block(map, from->kind == REGION_TARGET ? REGION_TARGET : REGION_DATA, block, owner);
		break;
	case PMFS2_ENTRY_BUCKET:
		add_block(map, REGION_BUCKET, block, owner);
		break;
	case PMFS2_ENTRY_CHUNK:
		r = add(map, REGION_CHUNK, block << PMFS2_BLOCK_SHIFT, PMFS2_INODE_SIZE);
		r->index = index;
		break;
	default:
		break; /* 2 MiB leaves are data, and data is not mutated */
	}
}

static void node_walk(struct image_map *map, const uint8_t *image, const struct region *node)
{
	const le64 *words = (const void *)(image + node->off);
	uint64_t last = 0;

	for (uint32_t i = 0; i < PMFS2_BLOCK_WORDS; i++) {
		uint64_t word = le64_get(words[i]), span = 1ull << (9 * (node->level ? node->level - 1 : 0));

		if (word && word != last) /* a bucket has a run of pointers */
			word_add(map, word, node, node->level ? node->level - 1 : 0, node->index + i * span);
		last = word;
	}
}

static void xattr_add(struct image_map *map, const uint8_t *image, uint64_t word, uint64_t ino)
{
	uint64_t block = word & PMFS2_ENTRY_BLOCK_MASK;
	const struct pmfs2_xattr_block *head = at(image, block);

	add_block(map, REGION_XATTR, block, ino)->len = (uint32_t)sizeof(*head) + le32_get(head->used);
}

static void inode_walk(struct image_map *map, const uint8_t *image, const struct pmfs2_inode *inode, uint64_t off)
{
	uint64_t ino = le64_get(inode->ino), root = le64_get(inode->root);
	uint32_t mode = le32_get(inode->mode);
	struct region from = { .kind = S_ISDIR(mode)   ? REGION_DIR_NODE
				       : S_ISLNK(mode) ? REGION_TARGET
						       : REGION_MAP_NODE,
			       .owner = ino };

	add(map, REGION_INODE, off, PMFS2_INODE_SIZE)->owner = ino;
	if (root)
		word_add(map, root, &from, (uint32_t)(root >> PMFS2_ENTRY_HEIGHT_SHIFT & 15), 0);
	if (le64_get(inode->xattr))
		xattr_add(map, image, le64_get(inode->xattr), ino);
}

static void chunk_walk(struct image_map *map, const uint8_t *image, const struct region *chunk)
{
	const struct pmfs2_chunk *head = (const void *)(image + chunk->off);
	uint64_t off = chunk->off;

	for (uint32_t slot = 1; slot < PMFS2_CHUNK_INODES; slot++) {
		off += PMFS2_INODE_SIZE;
		if (le64_get(head->used[slot / 64]) >> (slot % 64) & 1)
			inode_walk(map, image, (const void *)(image + off), off);
		else
			add(map, REGION_INODE_FREE, off, PMFS2_INODE_SIZE)->owner = chunk->index * PMFS2_CHUNK_INODES + slot;
	}
}

static int region_cmp(const void *a, const void *b)
{
	const struct region *ra = a, *rb = b;

	if (ra->kind != rb->kind)
		return (int)ra->kind - (int)rb->kind;
	return (ra->off > rb->off) - (ra->off < rb->off);
}

void image_map_make(struct image_map *map, const uint8_t *image)
{
	const struct pmfs2_state *st = at(image, 1);
	struct region from = { .kind = REGION_MAP_NODE };
	uint64_t root = le64_get(st->itable_root);

	map->n = 0;
	fixed_add(map, image);
	word_add(map, root, &from, (uint32_t)(root >> PMFS2_ENTRY_HEIGHT_SHIFT & 15), 0);
	for (uint32_t i = 0; i < map->n; i++) {
		struct region r = map->regions[i];

		if (r.kind == REGION_MAP_NODE || r.kind == REGION_DIR_NODE)
			node_walk(map, image, &r);
		else if (r.kind == REGION_CHUNK)
			chunk_walk(map, image, &r);
	}
	qsort(map->regions, map->n, sizeof(map->regions[0]), region_cmp);
	for (uint32_t k = 0, i = 0; k <= REGION_KINDS; k++) {
		while (i < map->n && map->regions[i].kind < k)
			i++;
		map->of_kind[k] = i;
	}
}

const char *region_name(enum region_kind kind)
{
	static const char *const names[REGION_KINDS] = {
		"superblock",
		"superblock copy",
		"horizon",
		"old horizon",
		"inode table root",
		"state block, reserved",
		"journal record",
		"journal, unused",
		"intent block head",
		"intent",
		"intent, free",
		"bitmap",
		"bitmap, behind the end",
		"inode chunk head",
		"inode",
		"inode, free",
		"map node",
		"directory node",
		"bucket",
		"xattr block",
		"symlink block",
		"file data",
	};

	return names[kind];
}
