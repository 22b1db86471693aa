/* SPDX-License-Identifier: BSD-3-Clause */
/* Making a file system: geometry, empty bitmaps, the first inode chunk with the root directory. */
#include "pmfs2/mkfs.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "base/util.h"
#include "pmfs2/fs.h"
#include "pmfs2/inode.h"
#include "pmfs2/media/super.h"

struct geometry {
	uint64_t n_blocks;
	uint64_t journal, intents, bitmaps, data;
	uint32_t n_rings, ring_blocks, n_intents;
};

static int geometry_plan(const struct pmem *pm, const struct mkfs_params *params, struct geometry *geo)
{
	uint64_t n = pm->size >> PMFS2_BLOCK_SHIFT, n_bitmaps = (n + PMFS2_GROUP_BLOCKS - 1) / PMFS2_GROUP_BLOCKS;
	int large = n >= 65536, small = n < 16384;

	if (n < PMFS2_BLOCKS_MIN)
		return -EINVAL;
	if (n > PMFS2_BLOCKS_MAX)
		return -EFBIG;
	geo->n_blocks = n;
	geo->n_rings = params->n_rings ? params->n_rings : large ? 16 : small ? 4 : 8;
	geo->ring_blocks = params->ring_blocks ? params->ring_blocks : large ? 64 : small ? 8 : 16;
	geo->n_intents = large ? 16 : 4;
	if (geo->n_rings > PMFS2_RINGS_MAX || geo->ring_blocks < PMFS2_RING_BLOCKS_MIN || geo->ring_blocks > 65536)
		return -EINVAL;
	geo->journal = 2;
	geo->intents = geo->journal + (uint64_t)geo->n_rings * geo->ring_blocks;
	geo->bitmaps = geo->intents + geo->n_intents;
	geo->data = round_up_to(geo->bitmaps + n_bitmaps, small ? PMFS2_CHUNK_BLOCKS : PMFS2_HUGE_BLOCKS);
	return geo->data + PMFS2_CHUNK_BLOCKS + 16 < n ? 0 : -EINVAL;
}

static const void *block_at(const struct pmem *pm, uint64_t block)
{
	return pm->base + (block << PMFS2_BLOCK_SHIFT);
}

/* The word of the bitmaps with the bits of blocks [first, first + 64): used is what is ours, and the last block. */
static uint64_t bitmap_word(const struct geometry *geo, uint64_t first)
{
	uint64_t used = geo->data + PMFS2_CHUNK_BLOCKS, last = geo->n_blocks - 1, word = 0;

	if (first < used)
		word = used - first >= 64 ? ~0ull : (1ull << (used - first)) - 1;
	return last - first < 64 ? word | 1ull << (last - first) : word;
}

static void bitmaps_write(struct pmem *pm, const struct geometry *geo)
{
	uint64_t n_bitmaps = (geo->n_blocks + PMFS2_GROUP_BLOCKS - 1) / PMFS2_GROUP_BLOCKS;

	for (uint64_t i = 0; i < n_bitmaps; i++) {
		le64 words[PMFS2_BLOCK_WORDS];

		for (uint64_t w = 0; w < PMFS2_BLOCK_WORDS; w++)
			words[w] = le64_of(bitmap_word(geo, i * PMFS2_GROUP_BLOCKS + w * 64));
		/* A sparse file stays sparse: zero blocks are not written again. */
		if (memcmp(words, block_at(pm, geo->bitmaps + i), sizeof(words)))
			pmem_copy(pm, block_at(pm, geo->bitmaps + i), words, sizeof(words));
	}
}

static void intents_write(struct pmem *pm, const struct geometry *geo)
{
	for (uint32_t i = 0; i < geo->n_intents; i++) {
		struct pmfs2_intent_block blk = {
			.magic = le32_of(PMFS2_MAGIC_INTENT),
			.block = le64_of(geo->intents + i),
		};

		blk.crc = le32_of(crc32c_of(&blk, 16));
		pmem_copy(pm, block_at(pm, geo->intents + i), &blk, sizeof(blk));
	}
}

static void root_write(struct pmem *pm, const struct geometry *geo, const struct mkfs_params *params)
{
	const uint8_t *chunk = block_at(pm, geo->data);
	struct pmfs2_chunk head = {
		.magic = le32_of(PMFS2_MAGIC_CHUNK),
		.block = le64_of(geo->data),
		.used = { le64_of(1 | 1ull << PMFS2_INO_ROOT) },
	};
	struct pmfs2_inode root;

	head.crc = le32_of(crc32c_of(&head, 64));
	inode_image_init(&root, PMFS2_INO_ROOT, 0);
	root.mode = le32_of(S_IFDIR | 0755);
	root.nlink = le32_of(2);
	root.uid = le32_of(params->root_uid);
	root.gid = le32_of(params->root_gid);
	root.parent_or_rdev = le64_of(PMFS2_INO_ROOT);
	inode_image_seal(&root);
	pmem_zero(pm, chunk, (size_t)PMFS2_CHUNK_BLOCKS << PMFS2_BLOCK_SHIFT);
	pmem_copy(pm, chunk, &head, sizeof(head));
	pmem_copy(pm, chunk + PMFS2_INO_ROOT * PMFS2_INODE_SIZE, &root, sizeof(root));
}

static void state_write(struct pmem *pm, const struct geometry *geo)
{
	struct entry_pos pos = { .owner = PMFS2_INO_ITABLE };
	struct entry chunk = { .block = geo->data, .kind = PMFS2_ENTRY_CHUNK };
	struct pmfs2_state st = {
		.itable_root = le64_of(entry_pack(&pos, &chunk)),
		.itable_chunks = le64_of(1),
	};
	struct pmfs2_horizon *h = &st.horizon[0];

	h->magic = le32_of(PMFS2_MAGIC_HORIZON);
	h->seq = le64_of(1);
	h->free_blocks = le64_of(geo->n_blocks - 1 - geo->data - PMFS2_CHUNK_BLOCKS);
	h->used_inodes = le64_of(1);
	h->clean = le64_of(1);
	h->crc = le32_of(crc32c_of(h, sizeof(*h)));
	pmem_copy(pm, block_at(pm, 1), &st, sizeof(st));
	for (uint32_t i = 0; i < geo->n_rings; i++)
		pmem_zero(pm, block_at(pm, geo->journal + (uint64_t)i * geo->ring_blocks), PMFS2_BLOCK_SIZE);
}

static int super_fill(const struct geometry *geo, const struct mkfs_params *params, struct pmfs2_super *sb)
{
	static const uint8_t none[16];
	struct {
		uint64_t hash[2];
		uint8_t uuid[16];
		uint32_t seed;
	} rnd;

	if (getrandom(&rnd, sizeof(rnd), 0) != (ssize_t)sizeof(rnd))
		return -EIO;
	memset(sb, 0, sizeof(*sb));
	sb->magic = le64_of(PMFS2_MAGIC_SUPER);
	sb->version = le32_of(PMFS2_VERSION_MAJOR);
	if (memcmp(params->uuid, none, 16)) {
		memcpy(sb->uuid, params->uuid, 16);
	} else {
		memcpy(sb->uuid, rnd.uuid, 16);
		sb->uuid[6] = (sb->uuid[6] & 0x0f) | 0x40; /* RFC 4122, version 4 */
		sb->uuid[8] = (sb->uuid[8] & 0x3f) | 0x80;
	}
	if (params->label)
		memcpy(sb->label, params->label, strlen(params->label));
	sb->hash_seed[0] = le64_of(rnd.hash[0]);
	sb->hash_seed[1] = le64_of(rnd.hash[1]);
	sb->n_blocks = le64_of(geo->n_blocks);
	sb->journal_block = le64_of(geo->journal);
	sb->intent_block = le64_of(geo->intents);
	sb->data_block = le64_of(geo->data);
	sb->created = le64_of(fs_now());
	sb->n_rings = le32_of(geo->n_rings);
	sb->ring_blocks = le32_of(geo->ring_blocks);
	sb->n_intent_blocks = le32_of(geo->n_intents);
	sb->journal_seed = le32_of(rnd.seed);
	sb->n_segments = le32_of(1);
	sb->n_devices = le32_of(1);
	sb->segments[0].n_blocks = sb->n_blocks;
	sb->segments[0].bitmap_block = le64_of(geo->bitmaps);
	memcpy(sb->devices[0].uuid, sb->uuid, 16);
	sb->devices[0].n_blocks = sb->n_blocks;
	super_seal(sb);
	return 0;
}

/*
 * Order: both superblocks are wiped; fence; everything; fence; both superblocks; fence.
 * If cut: no file system, or, behind the second fence, the new one with one superblock or two.
 * Recovered by: super_read, which takes the copy; fsck writes the other one.
 */
int mkfs_format(struct pmem *pm, const struct mkfs_params *params, struct pmfs2_super *out_sb)
{
	struct geometry geo;
	struct pmfs2_super sb;
	int err;

	if (params->label && strlen(params->label) >= sizeof(sb.label))
		return -EINVAL;
	err = geometry_plan(pm, params, &geo);
	if (!err)
		err = super_fill(&geo, params, &sb);
	if (err)
		return err;
	pmem_zero(pm, block_at(pm, 0), PMFS2_BLOCK_SIZE);
	pmem_zero(pm, block_at(pm, geo.n_blocks - 1), PMFS2_BLOCK_SIZE);
	pmem_fence(pm);
	bitmaps_write(pm, &geo);
	intents_write(pm, &geo);
	root_write(pm, &geo, params);
	state_write(pm, &geo);
	pmem_fence(pm);
	/* Each has its checksum, and what they speak of is durable: in any order, torn or whole, one that is whole will do. */
	pmem_copy(pm, block_at(pm, geo.n_blocks - 1), &sb, sizeof(sb));
	pmem_copy(pm, block_at(pm, 0), &sb, sizeof(sb));
	pmem_fence(pm);
	if (out_sb)
		*out_sb = sb;
	return 0;
}
