/* SPDX-License-Identifier: BSD-3-Clause */
/* pmfs2 dump DEVICE intents: the chain of intent blocks and the slots in use. */
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "commands.h"

#define CHAIN_MAX 65536u
#define INO_MASK ((1ull << PMFS2_INO_BITS) - 1)

static const char *kind_name(uint64_t kind)
{
	switch (kind) {
	case PMFS2_INTENT_ORPHAN:
		return "orphan";
	case PMFS2_INTENT_TRUNCATE:
		return "truncate";
	case PMFS2_INTENT_SHIFT:
		return "shift";
	default:
		return "unknown kind";
	}
}

/* Prints the used slots of a block. Returns their number. */
static uint32_t slots_dump(struct image *img, const struct pmfs2_intent_block *blk, uint32_t first)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < PMFS2_INTENTS_PER_BLOCK; i++) {
		const struct pmfs2_intent *it = &blk->slots[i];
		uint64_t word = le64_get(it->ino_kind), kind = word >> 56;

		if (!word)
			continue;
		n++;
		printf("  slot %u: %s, inode %llu, arguments %llu %llu %llu\n", first + i, kind_name(kind),
		       (unsigned long long)(word & INO_MASK), (unsigned long long)le64_get(it->arg[0]),
		       (unsigned long long)le64_get(it->arg[1]), (unsigned long long)le64_get(it->arg[2]));
		if (kind < PMFS2_INTENT_ORPHAN || kind > PMFS2_INTENT_SHIFT)
			image_damage(img, "slot %u: kind %llu is not known", first + i, (unsigned long long)kind);
	}
	return n;
}

static int block_sound(const struct pmfs2_intent_block *blk, uint64_t block)
{
	uint8_t head[16];

	memcpy(head, blk, sizeof(head));
	memset(head + offsetof(struct pmfs2_intent_block, crc), 0, sizeof(blk->crc));
	return le32_get(blk->magic) == PMFS2_MAGIC_INTENT && le64_get(blk->block) == block &&
	       le32_get(blk->crc) == crc32c_of(head, sizeof(head));
}

int dump_intents(struct image *img)
{
	uint64_t block = le64_get(img->sb.intent_block);
	uint32_t fixed = le32_get(img->sb.n_intent_blocks), n = 0, i;

	for (i = 0; block && i < CHAIN_MAX; i++) {
		struct pmfs2_intent_block blk;

		if (image_visit(img, block, "intent block"))
			break;
		memcpy(&blk, image_block(img, block), sizeof(blk));
		if (!block_sound(&blk, block)) {
			image_damage(img, "intent block %llu: wrong magic, number or CRC", (unsigned long long)block);
			break;
		}
		n += slots_dump(img, &blk, i * PMFS2_INTENTS_PER_BLOCK);
		block = i + 1 < fixed ? block + 1 : le64_get(blk.next);
		if (i + 1 >= fixed && block && !image_block_ok(img, block, 1)) {
			image_damage(img, "intent block %llu: the next one is outside of the data area",
				     (unsigned long long)block);
			block = 0;
		}
	}
	printf("%u intents in %u blocks\n", n, i);
	return 0;
}
