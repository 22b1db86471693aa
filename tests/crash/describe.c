/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From an offset to the structure that it belongs to. The image may be damaged: every number is bounded, every walk has a budget.
 */
#include "crash/describe.h"

#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "pmem/site.h"
#include "pmfs2/media/format.h"

#define WALK_BLOCKS_MAX 100000u
#define STACK_MAX 4096u

/* Where the search for a block goes on. */
struct pending {
	uint64_t block;
	uint32_t level; /* of the node */
	uint64_t index; /* first file block that it stands for */
};

struct search {
	const struct describe_image *image;
	const struct pmfs2_super *sb;
	uint64_t wanted; /* block */
	uint32_t budget;
};

static const char *const inode_words[] = {
	"magic, crc",	  "number",   "generation, flags",
	"mode, nlink",	  "uid, gid", "size",
	"blocks",	  "root",     "mtime",
	"ctime",	  "atime",    "btime",
	"parent or rdev", "xattr",    "projid, inline lengths",
	"intent",
};

static uint64_t word_at(const struct describe_image *image, uint64_t off)
{
	uint64_t raw = 0;

	if (off + 8 <= image->size)
		memcpy(&raw, image->bytes + off, 8);
	return le64toh(raw);
}

static uint64_t entry_block(uint64_t word)
{
	return word & PMFS2_ENTRY_BLOCK_MASK;
}

static enum pmfs2_entry_kind entry_kind(uint64_t word)
{
	return (enum pmfs2_entry_kind)(word >> PMFS2_ENTRY_KIND_SHIFT & 7);
}

static const char *state_word(uint64_t at)
{
	static const char *const horizon[] = { "magic, crc", "seq",   "free blocks", "used inodes",
					       "written",    "clean", "zero",	     "zero" };
	static char text[64];

	if (at < 128) {
		snprintf(text, sizeof(text), "horizon slot %u: %s", (unsigned int)(at / 64), horizon[at / 8 % 8]);
		return text;
	}
	return at == 128   ? "state block: root of the inode table"
	       : at == 136 ? "state block: number of inode chunks"
			   : "state block";
}

/* Areas at fixed places. 1 if off is in one of them. */
static int fixed_area(const struct search *s, uint64_t off, char *out, size_t cap)
{
	const struct pmfs2_super *sb = s->sb;
	uint64_t block = off >> PMFS2_BLOCK_SHIFT, at = off % PMFS2_BLOCK_SIZE, journal = le64_get(sb->journal_block);
	uint64_t intents = le64_get(sb->intent_block), bitmaps = le64_get(sb->segments[0].bitmap_block);
	uint64_t ring_blocks = u64_max(1, le32_get(sb->ring_blocks));

	if (block == 0 || block == le64_get(sb->n_blocks) - 1)
		snprintf(out, cap, "superblock%s, byte %llu", block ? " (copy)" : "", (unsigned long long)at);
	else if (block == 1)
		snprintf(out, cap, "%s", state_word(at));
	else if (block >= journal && block < intents)
		snprintf(out, cap, "journal ring %llu, byte %llu", (unsigned long long)((block - journal) / ring_blocks),
			 (unsigned long long)(off - ((block - (block - journal) % ring_blocks) << PMFS2_BLOCK_SHIFT)));
	else if (block >= intents && block < bitmaps)
		snprintf(out, cap, "intent slot %lld, word %llu",
			 (long long)((block - intents) * PMFS2_INTENTS_PER_BLOCK + at / 32) - 1,
			 (unsigned long long)(at % 32 / 8));
	else if (block >= bitmaps && block < le64_get(sb->data_block))
		snprintf(out, cap, "bitmap of blocks %llu to %llu",
			 (unsigned long long)((block - bitmaps) * PMFS2_GROUP_BLOCKS + at * 8),
			 (unsigned long long)((block - bitmaps) * PMFS2_GROUP_BLOCKS + at * 8 + 63));
	else
		return 0;
	return 1;
}

static void inode_word(uint64_t ino, uint64_t at, char *out, size_t cap)
{
	if (ino % PMFS2_CHUNK_INODES == 0)
		snprintf(out, cap, "inode chunk %llu: %s", (unsigned long long)(ino / PMFS2_CHUNK_INODES),
			 at >= 64 && at < 96 ? "bits of used inodes" : "head");
	else
		snprintf(out, cap, "inode %llu: %s", (unsigned long long)ino, at < 128 ? inode_words[at / 8] : "tail");
}

/* Block of an inode chunk, or 0. */
static uint64_t chunk_block(const struct describe_image *image, uint64_t chunk)
{
	uint64_t word = word_at(image, PMFS2_BLOCK_SIZE + offsetof(struct pmfs2_state, itable_root));
	uint32_t height = (uint32_t)(word >> PMFS2_ENTRY_HEIGHT_SHIFT & 15);

	for (uint32_t level = (uint32_t)u64_min(height, 4); level && word; level--)
		word = word_at(image, (entry_block(word) << PMFS2_BLOCK_SHIFT) + (chunk >> (9 * (level - 1)) & 511) * 8);
	return word && entry_kind(word) == PMFS2_ENTRY_CHUNK ? entry_block(word) : 0;
}

/* The wanted block in a tree below a root word. 1 and the text if it is there. */
static int tree_find(struct search *s, uint64_t root, uint64_t ino, char *out, size_t cap)
{
	struct pending stack[STACK_MAX];
	uint32_t n = 0, height = (uint32_t)(root >> PMFS2_ENTRY_HEIGHT_SHIFT & 15);
	uint64_t first = entry_block(root);

	if (!root)
		return 0;
	if (entry_kind(root) == PMFS2_ENTRY_NODE)
		stack[n++] = (struct pending){ first, height, 0 };
	else if (first == s->wanted) {
		snprintf(out, cap, "data of inode %llu, block 0", (unsigned long long)ino);
		return 1;
	}
	while (n && s->budget--) {
		struct pending p = stack[--n];
		uint64_t span = p.level > 1 ? 1ull << (9 * u64_min(p.level - 1, 5)) : 1;

		if (p.block == s->wanted) {
			snprintf(out, cap, "tree node (level %u) of inode %llu", p.level, (unsigned long long)ino);
			return 1;
		}
		for (uint32_t i = 0; i < 512; i++) {
			uint64_t word = word_at(s->image, (p.block << PMFS2_BLOCK_SHIFT) + i * 8), block = entry_block(word);
			uint64_t len = entry_kind(word) == PMFS2_ENTRY_HUGE ? PMFS2_HUGE_BLOCKS : 1;

			if (!word)
				continue;
			if (entry_kind(word) == PMFS2_ENTRY_NODE && n < STACK_MAX) {
				stack[n++] = (struct pending){ block, p.level ? p.level - 1 : 0, p.index + i * span };
			} else if (s->wanted - block < len) {
				snprintf(out, cap, "data of inode %llu, block %llu", (unsigned long long)ino,
					 (unsigned long long)(p.index + i * span + s->wanted - block));
				return 1;
			}
		}
	}
	return 0;
}

/* Through all inodes. */
static int inodes_find(struct search *s, uint64_t off, char *out, size_t cap)
{
	uint64_t chunks = u64_min(64, word_at(s->image, PMFS2_BLOCK_SIZE + offsetof(struct pmfs2_state, itable_chunks)));

	for (uint64_t c = 0; c < chunks; c++) {
		uint64_t block = chunk_block(s->image, c), base = block << PMFS2_BLOCK_SHIFT;

		if (!block)
			continue;
		if (s->wanted - block < PMFS2_CHUNK_BLOCKS) {
			inode_word(c * PMFS2_CHUNK_INODES + (off - base) / PMFS2_INODE_SIZE, (off - base) % PMFS2_INODE_SIZE, out,
				   cap);
			return 1;
		}
		for (uint32_t i = 1; i < PMFS2_CHUNK_INODES; i++) {
			uint64_t root = word_at(s->image, base + i * PMFS2_INODE_SIZE + offsetof(struct pmfs2_inode, root));

			if (tree_find(s, root, c * PMFS2_CHUNK_INODES + i, out, cap))
				return 1;
		}
	}
	return 0;
}

/* Blocks that say themselves what they are. */
static int magic_block(const struct describe_image *image, uint64_t off, char *out, size_t cap)
{
	uint64_t base = round_down_to(off, PMFS2_BLOCK_SIZE), owner = word_at(image, base + 8), at = off - base;

	switch ((uint32_t)word_at(image, base)) {
	case PMFS2_MAGIC_BUCKET:
		snprintf(out, cap, "directory bucket of inode %llu: %s", (unsigned long long)owner,
			 at < 48    ? "head"
			 : at == 48 ? "counts"
			 : at == 56 ? "sum of slots"
			 : at < 736 ? "slots or entries"
				    : "entries");
		return 1;
	case PMFS2_MAGIC_XATTR:
		snprintf(out, cap, "xattr block of inode %llu, byte %llu", (unsigned long long)owner, (unsigned long long)at);
		return 1;
	case PMFS2_MAGIC_INTENT:
		snprintf(out, cap, "chained intent block, byte %llu", (unsigned long long)at);
		return 1;
	default:
		return 0;
	}
}

int describe_off(const struct describe_image *image, uint64_t off, char *out, size_t cap)
{
	struct search s = { .image = image, .wanted = off >> PMFS2_BLOCK_SHIFT, .budget = WALK_BLOCKS_MAX };

	s.sb = (const struct pmfs2_super *)(const void *)image->bytes;
	if (le64_get(s.sb->magic) != PMFS2_MAGIC_SUPER)
		s.sb = (const struct pmfs2_super *)(const void *)(image->bytes + image->size - PMFS2_BLOCK_SIZE);
	if (fixed_area(&s, off, out, cap) || inodes_find(&s, off, out, cap) || magic_block(image, off, out, cap))
		return 1;
	snprintf(out, cap, "block %llu, byte %llu: nothing reaches it", (unsigned long long)s.wanted,
		 (unsigned long long)(off % PMFS2_BLOCK_SIZE));
	return 0;
}

void describe_site(const struct pmem_event *e, char *out, size_t cap)
{
	const struct pmem_site *site = e->site;
	const char *file;

	if (!site) {
		snprintf(out, cap, "unknown call site");
		return;
	}
	file = strrchr(site->file, '/');
	snprintf(out, cap, "%s at %s:%u (%s)", site->call, file ? file + 1 : site->file, site->line, site->func);
}
