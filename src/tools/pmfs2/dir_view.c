/* SPDX-License-Identifier: BSD-3-Clause */
/* Directories of an image: one pointer, one bucket, one name. The rules are those of pmfs2/dir_walk.h. */
#include "dir_view.h"

#include <errno.h>
#include <string.h>

#include "pmfs2/dir_walk.h"
#include "pmfs2/siphash.h"

const char *dir_view_pointer(const struct image *img, uint64_t owner, uint64_t word, int level, struct entry *out)
{
	const struct entry_pos pos = { .owner = owner };

	if (!entry_unpack(&pos, word, out))
		return "wrong check bits";
	if (out->unwritten || out->height)
		return "bits that no directory has";
	if (out->kind != PMFS2_ENTRY_BUCKET && !(out->kind == PMFS2_ENTRY_NODE && level < DIR_LEVELS - 1))
		return "wrong kind";
	if (!image_block_ok(img, out->block, 1))
		return "a block outside of the data area";
	return NULL;
}

const char *dir_view_bucket(const struct image *img, uint64_t owner, uint64_t block, int level, uint64_t hash,
			    struct bucket_view *out)
{
	uint32_t base = DIR_LEVEL_BITS * (uint32_t)(level + 1);
	const char *bad;

	memcpy(out->bytes, image_block(img, block), sizeof(out->bytes));
	bad = bucket_check_header(&out->head, owner, block, &out->depth, &out->prefix);
	if (!bad && (out->depth > base || out->depth + DIR_LEVEL_BITS <= base || out->prefix != hash_prefix(hash, out->depth)))
		bad = "reached at a wrong place";
	return bad;
}

static uint64_t name_hash(const struct image *img, struct zus_name name)
{
	const uint64_t key[2] = { le64_get(img->sb.hash_seed[0]), le64_get(img->sb.hash_seed[1]) };
	uint64_t hash = siphash13(key, name.str, name.len) >> 1;

	return hash < PMFS2_HASH_MIN ? hash + PMFS2_HASH_MIN : hash;
}

static int bucket_search(struct image *img, uint64_t owner, const struct bucket_view *bucket, uint64_t hash, struct zus_name name,
			 uint64_t *out_ino, uint32_t *out_type)
{
	struct bucket_match match = { 0 };
	const char *bad = bucket_find(&bucket->head, owner, hash, name, &match);

	if (bad) {
		image_damage(img, "directory %llu, bucket in block %llu: %s", (unsigned long long)owner,
			     (unsigned long long)le64_get(bucket->head.block), bad);
		return -EUCLEAN;
	}
	if (!match.off)
		return -ENOENT;
	*out_ino = match.entry.ino;
	*out_type = match.entry.type;
	return 0;
}

int dir_view_find(struct image *img, const struct pmfs2_inode *dir, struct zus_name name, uint64_t *out_ino, uint32_t *out_type)
{
	uint64_t owner = le64_get(dir->ino), word = le64_get(dir->root), hash = name_hash(img, name);
	const char *bad = NULL;
	struct entry e;

	for (int level = -1; word; level++) {
		struct bucket_view bucket;

		bad = dir_view_pointer(img, owner, word, level, &e);
		if (bad)
			break;
		if (e.kind == PMFS2_ENTRY_BUCKET) {
			bad = dir_view_bucket(img, owner, e.block, level, hash, &bucket);
			if (bad)
				break;
			return bucket_search(img, owner, &bucket, hash, name, out_ino, out_type);
		}
		word = le64_load((const le64 *)image_block(img, e.block) + dir_index(hash, level + 1));
	}
	if (!bad)
		return -ENOENT;
	image_damage(img, "directory %llu: pointer 0x%016llx: %s", (unsigned long long)owner, (unsigned long long)word, bad);
	return -EUCLEAN;
}
