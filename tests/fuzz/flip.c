/* SPDX-License-Identifier: BSD-3-Clause */
/* Flipping, mounting, walking, comparing; then flipping again for fsck. The device is had back each time. */
#include "flip.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "fsck/fsck.h"
#include "pmfs2/dir_bucket.h"
#include "pmfs2/fs.h"
#include "pmfs2/journal.h"
#include "pmfs2/ops.h"

#define CLOCK_STEP_US 20000u

static void bit_flip(struct flip_bench *b, uint64_t bit)
{
	device_reset(b->dev);
	b->dev->base[bit / 8] ^= (uint8_t)(1u << (bit % 8));
}

/* 0, or -1: no mount. */
static int mount_and_walk(struct flip_bench *b, struct walk *w, int *out_damaged)
{
	struct pmem *pm = device_open(b->dev);
	struct zus_fs *fs;

	if (pmfs2_mount_pmem(pm, NULL, 0, &fs)) {
		pmem_close(pm);
		return -1;
	}
	*out_damaged = walk_all(w, fs) != 0;
	*out_damaged |= atomic_load(&fs_of(fs)->damaged) || w->n_damage;
	fs->ops->unmount(fs);
	return 0;
}

/* --- comparing ----------------------------------------------------------------------------------------------------------- */

static const struct walk_item *item_of_ino(const struct walk *w, uint64_t ino)
{
	for (uint32_t i = 0; i < w->n_items; i++)
		if (w->items[i].ino == ino)
			return &w->items[i];
	return NULL;
}

/*
 * A file returns its own data or zeros. Whose an inode is, its number says: names may lead to other inodes, which is wrong, but
 * no data of others under an inode's own attributes.
 */
static int is_foreign(const struct walk *before, const struct walk *now)
{
	if (now->n_mixed)
		return 1;
	for (uint32_t i = 0; i < now->n_items; i++) {
		const struct walk_item *item = &now->items[i], *old = item_of_ino(before, item->ino);

		if (item->file_number && old && old->file_number != item->file_number)
			return 1;
	}
	return 0;
}

static int is_same(const struct flip_bench *bench)
{
	const struct walk *before = &bench->before, *now = &bench->now;

	if (now->n_errors || now->n_items != before->n_items)
		return 0;
	for (uint32_t i = 0; i < now->n_items; i++) {
		const struct walk_item *a = &before->items[i], *b = &now->items[i];

		if (a->ino != b->ino || a->parent != b->parent || a->name_digest != b->name_digest || a->digest != b->digest ||
		    (a->times != b->times && !bench->restless[i]))
			return 0;
	}
	return 1;
}

static enum flip_outcome outcome_of(struct flip_bench *b)
{
	int damaged;

	if (mount_and_walk(b, &b->now, &damaged))
		return FLIP_REFUSED;
	if (is_foreign(&b->before, &b->now))
		return FLIP_FOREIGN;
	if (damaged)
		return FLIP_NOTICED;
	return is_same(b) ? FLIP_RIGHT : FLIP_WRONG;
}

/* --- what a bit means ---------------------------------------------------------------------------------------------------- */

/* Notes what a record stores: whole words, or single bits of a bitmap. */
static void record_note(struct flip_bench *b, const struct region *r)
{
	const struct pmfs2_record *rec = (const void *)(b->dev->base + r->off);
	const uint64_t *words = (const void *)(rec + 1);
	struct rec_entry e;
	uint32_t pos = 0;

	while (rec_next(words, le32_get(rec->n_words), &pos, &e) > 0)
		for (uint64_t w = e.off / 8; w < e.off / 8 + e.count; w++)
			b->stored[w] |= e.op == PMFS2_REC_WORDS || e.op == PMFS2_REC_FILL ? UINT64_MAX : e.body[0];
}

static void records_note(struct flip_bench *b)
{
	const struct image_map *map = &b->dev->map;

	for (uint32_t i = map->of_kind[REGION_RECORD]; i < map->of_kind[REGION_RECORD + 1]; i++)
		record_note(b, &map->regions[i]);
}

static const struct region *region_of(const struct image_map *map, uint64_t off)
{
	for (uint32_t i = 0; i < map->n; i++)
		if (off >= map->regions[i].off && off - map->regions[i].off < map->regions[i].len)
			return &map->regions[i];
	return NULL;
}

static int is_last_record(const struct image_map *map, const struct region *r)
{
	const struct region *next = region_of(map, r->off + r->len);

	return r->kind == REGION_RECORD && (!next || next->kind != REGION_RECORD);
}

/*
 * Bits without a meaning: the journal behind its last record (what stands there fails its checks), the older horizon, arguments
 * of free intents, the bitmap behind the last block, a bucket between its slots and its entries.
 */
static int is_unused(const struct flip_bench *b, const struct region *r, uint64_t bit)
{
	const struct pmfs2_bucket *bucket = (const void *)(b->dev->base + r->off);
	uint64_t off = bit / 8;
	struct bucket_dyn dyn;

	if (b->stored[bit / 64] >> (bit % 64) & 1)
		return 1;
	switch (r->kind) {
	case REGION_RING:
	case REGION_HORIZON_OLD:
	case REGION_BITMAP_REST:
		return 1;
	case REGION_INTENT_FREE:
		return off % sizeof(struct pmfs2_intent) >= 8;
	case REGION_BUCKET:
		off -= r->off;
		return !bucket_dyn_unpack(le64_get(bucket->dyn), &dyn) && off >= PMFS2_BUCKET_SLOTS_OFF + 4 * dyn.slots &&
		       off < dyn.tail;
	default:
		return 0;
	}
}

/* --- fsck ---------------------------------------------------------------------------------------------------------------- */

static int fsck_do(struct flip_bench *b, enum fsck_mode mode, struct fsck_result *res)
{
	struct fsck_options opt = { .mode = mode, .force = 1, .threads = 1 };
	struct pmem *pm = device_open(b->dev);
	int err;

	memset(res, 0, sizeof(*res));
	err = fsck_run(pm, &opt, res);
	pmem_close(pm);
	return err;
}

static int fsck_finds(struct flip_bench *b)
{
	struct fsck_result res;

	return fsck_do(b, FSCK_CHECK, &res) || res.n_found;
}

/* 0, or which step failed. An image that cannot be checked at all (both superblocks) is none. */
static int repair_try(struct flip_bench *b)
{
	struct fsck_result res;
	int damaged;

	if (fsck_do(b, FSCK_YES, &res))
		return 0;
	if (res.n_left)
		return 1;
	if (fsck_do(b, FSCK_CHECK, &res) || res.n_found)
		return 2;
	if (mount_and_walk(b, &b->now, &damaged))
		return 3;
	if (damaged)
		return 4;
	return is_foreign(&b->before, &b->now) ? 5 : 0;
}

const char *flip_repair_text(int failed)
{
	static const char *const texts[] = {
		"repaired",
		"the repair leaves problems",
		"a second check finds problems",
		"no mount after the repair",
		"the engine finds damage after the repair",
		"after the repair a file has another's data",
	};

	return texts[failed];
}

/* A second walk, when the coarse clock shows another time. */
static void restless_find(struct flip_bench *b)
{
	int damaged;

	usleep(CLOCK_STEP_US);
	device_reset(b->dev);
	if (mount_and_walk(b, &b->now, &damaged) || damaged || b->now.n_items != b->before.n_items)
		abort();
	for (uint32_t i = 0; i < b->before.n_items; i++)
		b->restless[i] = b->before.items[i].times != b->now.items[i].times;
	device_reset(b->dev);
}

struct flip_bench *flip_bench_new(enum seed_kind kind)
{
	struct flip_bench *b = calloc(1, sizeof(*b));
	int damaged;

	if (!b)
		abort();
	log_set_level(getenv("FUZZ_LOG") ? LOG_LEVEL_DEBUG : -1);
	b->dev = device_new(kind);
	if (mount_and_walk(b, &b->before, &damaged) || damaged || b->before.n_errors || b->before.full || b->before.n_mixed)
		abort();
	restless_find(b);
	records_note(b);
	b->fsck_noise = fsck_finds(b) == 1;
	return b;
}

void flip_bench_free(struct flip_bench *b)
{
	if (b)
		device_free(b->dev);
	free(b);
}

void flip_try(struct flip_bench *b, uint64_t bit, int repair, struct flip_result *out)
{
	const struct region *r = region_of(&b->dev->map, bit / 8);

	*out = (struct flip_result){ 0 };
	device_reset(b->dev);
	if (r) {
		out->unused = is_unused(b, r, bit);
		out->last_record = is_last_record(&b->dev->map, r);
	}
	bit_flip(b, bit);
	out->outcome = outcome_of(b);
	bit_flip(b, bit);
	out->fsck_found = fsck_finds(b);
	if (repair) {
		bit_flip(b, bit);
		out->repair_failed = repair_try(b);
	}
}
