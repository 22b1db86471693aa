/* SPDX-License-Identifier: BSD-3-Clause */
/* What recovery at mount can tell from a crash, and refuses: wrong bits in the journal, in a horizon slot, in the inode table's
 * count. */
#include "base/crc32c.h"
#include "base/util.h"
#include "lib/rig.h"
#include "pmem/badpages.h"
#include "pmfs2/inode.h"
#include "pmfs2/media/super.h"

#define IMAGE_BYTES (8ull << 20)
#define FILES 12 /* names made, a record each: more than there are rings */

static void quiet(void *ctx, int level, const char *msg)
{
	(void)ctx;
	(void)level;
	(void)msg;
}

/* The device of a server that was killed. */
struct dead {
	struct pmem *pm;
	const struct pmfs2_super *sb;
	struct pmfs2_state *state;
};

/* Each name a record in one ring. */
static void names_make(struct rig *rig, const char *prefix)
{
	char name[32];

	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "%s%d", prefix, i);
		rig_mknod(rig, ZUS_NODE_ROOT, name, S_IFREG | 0644);
	}
}

static struct dead kill_it(struct rig *rig)
{
	struct dead d = { .pm = rig_copy(rig->pm->base, rig->pm->size) };

	fs_abandon(fs_of(rig->fs));
	d.sb = (const void *)d.pm->base;
	d.state = (void *)(d.pm->base + PMFS2_BLOCK_SIZE);
	return d;
}

static int mount_of(struct dead *d, struct rig *out)
{
	static const struct zus_host host = { .abi = ZUS_PLUGIN_ABI, .log = quiet };

	out->pm = d->pm;
	return pmfs2_mount_pmem(d->pm, &host, 0, &out->fs);
}

static struct pmfs2_horizon *newest_slot(const struct dead *d)
{
	return &d->state->horizon[le64_get(d->state->horizon[1].written) > le64_get(d->state->horizon[0].written)];
}

/* The first ring that was written to since the last checkpoint, and its last record. */
static struct pmfs2_record *first_record(const struct dead *d, struct pmfs2_record **out_last)
{
	uint64_t horizon = le64_get(newest_slot(d)->seq), last = 0;
	uint8_t *at = d->pm->base + (le64_get(d->sb->journal_block) << PMFS2_BLOCK_SHIFT);
	struct pmfs2_record *first;

	for (;;) {
		first = (void *)at;
		if (le32_get(first->magic) == PMFS2_MAGIC_RECORD && le64_get(first->seq) >= horizon)
			break;
		at += le32_get(d->sb->ring_blocks) << PMFS2_BLOCK_SHIFT;
	}
	for (struct pmfs2_record *rec = first; le32_get(rec->magic) == PMFS2_MAGIC_RECORD && le64_get(rec->seq) > last;
	     rec = (void *)((uint8_t *)rec + le32_get(rec->len))) {
		last = le64_get(rec->seq);
		*out_last = rec;
	}
	return first;
}

static void record_with_a_wrong_bit_before_others_is_refused(void)
{
	struct rig rig = rig_new(IMAGE_BYTES, 0), again;
	struct pmfs2_record *first, *last;
	struct dead d;

	names_make(&rig, "a");
	d = kill_it(&rig);
	first = first_record(&d, &last);
	CHECK(first != last);
	for (uint32_t bit = 0; bit < le32_get(last->len) * 8; bit += 13) {
		((uint8_t *)first)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CHECK_EQ(mount_of(&d, &again), -EUCLEAN);
		((uint8_t *)first)[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	CHECK_EQ(mount_of(&d, &again), 0);
	again.fs->ops->unmount(again.fs);
}

static void record_torn_at_the_end_of_a_ring_is_a_crash(void)
{
	struct rig rig = rig_new(IMAGE_BYTES, 0), again;
	struct pmfs2_record *last;
	struct dead d;

	names_make(&rig, "a");
	d = kill_it(&rig);
	first_record(&d, &last);
	memset((uint8_t *)last + 32, 0, 8);
	CHECK_EQ(mount_of(&d, &again), 0);
	again.fs->ops->unmount(again.fs);
}

static void horizon_slot_torn_by_a_crash_loses_nothing(void)
{
	struct rig rig = rig_new(IMAGE_BYTES, 0), again;
	struct zus_attr attr;
	struct dead d;

	names_make(&rig, "a");
	journal_checkpoint(fs_of(rig.fs));
	d = kill_it(&rig);
	newest_slot(&d)->free_blocks = le64_of(7);
	CHECK_EQ(mount_of(&d, &again), 0);
	CHECK_EQ(rig_lookup(&again, ZUS_NODE_ROOT, "a11", &attr), 0);
	again.fs->ops->unmount(again.fs);
}

/* Where it was whole and records were written behind it, the older slot is no start: what it needs was overwritten. */
static void horizon_slot_that_rotted_is_refused(void)
{
	struct rig rig = rig_new(IMAGE_BYTES, 0), again;
	struct dead d;

	names_make(&rig, "a");
	journal_checkpoint(fs_of(rig.fs));
	names_make(&rig, "b");
	d = kill_it(&rig);
	((uint8_t *)newest_slot(&d))[9] ^= 4;
	CHECK_EQ(mount_of(&d, &again), -EUCLEAN);
}

static void inode_chunk_count_that_cannot_be_is_refused(void)
{
	static const uint64_t counts[] = { 0, 2, 512, 1ull << 32, UINT64_MAX };
	struct rig rig = rig_new(IMAGE_BYTES, 0), again;
	struct dead d;

	journal_checkpoint(fs_of(rig.fs));
	d = kill_it(&rig);
	CHECK_EQ(le64_get(d.state->itable_chunks), 1);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		d.state->itable_chunks = le64_of(counts[i]);
		CHECK_EQ(mount_of(&d, &again), -EUCLEAN);
	}
	d.state->itable_chunks = le64_of(1);
	CHECK_EQ(mount_of(&d, &again), 0);
	again.fs->ops->unmount(again.fs);
}

/* The word that all numbers hang on is overwritten while mounted: a new chunk must not take the place of the first. */
static void inode_table_without_a_root_does_not_grow(void)
{
	struct rig rig = rig_new(IMAGE_BYTES, 0);
	struct fs *fs = fs_of(rig.fs);
	char name[16];

	for (int i = 0; i < 254; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		rig_mknod(&rig, ZUS_NODE_ROOT, name, S_IFREG | 0644);
	}
	*(le64 *)(uintptr_t)&fs->state->itable_root = le64_of(0);
	CHECK_EQ(rig_create(&rig, ZUS_NODE_ROOT, "g", S_IFREG | 0644, &(struct zus_attr){ 0 }), -EUCLEAN);
	CHECK_EQ(le64_get(fs->state->itable_chunks), 1);
	CHECK_EQ(le64_get(fs->state->itable_root), 0);
	fs_abandon(fs);
}

/* The first record's page can be read, the last one's cannot: none of them may be stored. */
static void records_before_a_lost_page_are_not_replayed(void)
{
	struct rig rig = rig_new(IMAGE_BYTES, 0), again;
	struct pmem *before, *same;
	struct pmfs2_record *last;
	uint64_t journal, off;
	struct dead d;

	CHECK_EQ(pmem_faults_catch(), 0);
	journal_checkpoint(fs_of(rig.fs));
	before = rig_copy(rig.pm->base, rig.pm->size);
	names_make(&rig, "a");
	names_make(&rig, "b");
	d = kill_it(&rig);
	off = (uint64_t)((uint8_t *)first_record(&d, &last) - d.pm->base);
	CHECK((uint64_t)((uint8_t *)last - d.pm->base) / PMFS2_BLOCK_SIZE > off / PMFS2_BLOCK_SIZE);
	off = (uint64_t)((uint8_t *)last - d.pm->base);
	/* Nothing but the journal has become durable. */
	journal = le64_get(d.sb->journal_block) << PMFS2_BLOCK_SHIFT;
	memcpy(before->base + journal, d.pm->base + journal,
	       (uint64_t)le32_get(d.sb->n_rings) * le32_get(d.sb->ring_blocks) << PMFS2_BLOCK_SHIFT);
	same = rig_copy(before->base, before->size);
	CHECK_EQ(pmem_poison(before, off, 1), 0);
	pmem_close(d.pm);
	d.pm = before;
	CHECK_EQ(mount_of(&d, &again), -EIO);
	off = off / PMFS2_BLOCK_SIZE * PMFS2_BLOCK_SIZE;
	CHECK(!memcmp(before->base, same->base, off));
	off += PMFS2_BLOCK_SIZE;
	CHECK(!memcmp(before->base + off, same->base + off, before->size - off));
	pmem_close(before);
	pmem_close(same);
}

/* The last of the fixed ones: its slots are the first to be taken. */
static struct pmfs2_intent_block *intents_of(const struct dead *d)
{
	uint64_t block = le64_get(d->sb->intent_block) + le32_get(d->sb->n_intent_blocks) - 1;

	return (void *)(d->pm->base + (block << PMFS2_BLOCK_SHIFT));
}

/* As a truncation that was cut behind its first record leaves it. */
static void truncation_leave(struct dead *d, uint64_t inode_off)
{
	struct pmfs2_intent_block *block = intents_of(d);
	uint32_t slot = (le32_get(d->sb->n_intent_blocks) - 1) * PMFS2_INTENTS_PER_BLOCK + 1;
	struct pmfs2_inode *media = (void *)(d->pm->base + inode_off);

	CHECK_EQ(le64_get(block->slots[1].ino_kind), 0);
	block->slots[1].ino_kind = le64_of(le64_get(media->ino) | (uint64_t)PMFS2_INTENT_TRUNCATE << 56);
	media->intent = le32_of(slot + 1);
	media->crc = le32_of(0);
	media->crc = le32_of(crc32c_of(media, sizeof(*media)));
}

/*
 * Of a file system that fsck must see first nothing is changed: no orphan is freed, no truncation finished, and it cannot be made
 * writable. Its files can be read.
 */
static void marked_file_system_stays_as_it_is(void)
{
	static const struct zus_host host = { .abi = ZUS_PLUGIN_ABI, .log = quiet };
	struct rig rig = rig_new(IMAGE_BYTES, 0), again;
	struct zus_new new = { .mode = S_IFREG | 0600 };
	struct pmfs2_horizon *slot;
	struct zus_attr attr;
	char text[4];
	uint8_t intents[PMFS2_BLOCK_SIZE];
	uint64_t node, inode_off;
	struct inode *ip;
	struct dead d;

	CHECK_EQ(rig.fs->ops->tmpfile(rig.fs, ZUS_NODE_ROOT, &new, &attr), 0);
	node = rig_mknod(&rig, ZUS_NODE_ROOT, "file", S_IFREG | 0644);
	CHECK_EQ(rig_write(&rig, node, 0, "abc", 4), 4);
	CHECK_EQ(inode_get(fs_of(rig.fs), node, &ip), 0);
	inode_off = pmem_off(rig.pm, ip->media);
	inode_put(fs_of(rig.fs), ip);
	journal_checkpoint(fs_of(rig.fs));
	d = kill_it(&rig);
	truncation_leave(&d, inode_off);
	memcpy(intents, intents_of(&d), sizeof(intents));
	slot = newest_slot(&d);
	slot->clean = le64_of(PMFS2_CLEAN_DAMAGED);
	slot->crc = le32_of(0);
	slot->crc = le32_of(crc32c_of(slot, sizeof(*slot)));
	CHECK_EQ(mount_of(&d, &again), -EUCLEAN);
	CHECK_EQ(pmfs2_mount_pmem(d.pm, &host, ZUS_MOUNT_RDONLY, &again.fs), 0);
	CHECK_EQ(again.fs->ops->remount(again.fs, 0), -EUCLEAN);
	again.pm = d.pm;
	CHECK_EQ(rig_read(&again, node, 0, text, sizeof(text)), sizeof(text));
	CHECK(!strcmp(text, "abc"));
	CHECK(!memcmp(intents, intents_of(&d), sizeof(intents)));
	CHECK_EQ(le64_get(newest_slot(&d)->clean), PMFS2_CLEAN_DAMAGED);
	/* A kernel module that comes back to such a mount. */
	d = kill_it(&again);
	CHECK_EQ(pmfs2_mount_pmem(d.pm, &host, ZUS_MOUNT_RDONLY | ZUS_MOUNT_KEEP_ORPHANS, &again.fs), 0);
	CHECK_EQ(again.fs->ops->remount(again.fs, ZUS_MOUNT_RDONLY), 0);
	again.fs->ops->unmount(again.fs);
}

/* Not by the retry of what could not be freed before, either: nobody has said yet who holds them. */
static void kept_orphans_stay_until_the_remount(void)
{
	struct rig rig = rig_new(IMAGE_BYTES, 0);
	struct zus_new new = { .mode = S_IFREG | 0600 };
	const struct pmfs2_intent_block *block;
	struct zus_statfs st;
	struct zus_attr attr;
	struct dead d;

	CHECK_EQ(rig.fs->ops->tmpfile(rig.fs, ZUS_NODE_ROOT, &new, &attr), 0);
	d = kill_it(&rig);
	block = intents_of(&d);
	CHECK_EQ(pmfs2_mount_pmem(d.pm, NULL, ZUS_MOUNT_KEEP_ORPHANS, &rig.fs), 0);
	CHECK(le64_get(block->slots[0].ino_kind));
	atomic_store(&fs_of(rig.fs)->orphans_left, 1);
	CHECK_EQ(rig.fs->ops->statfs(rig.fs, &st), 0);
	CHECK(le64_get(block->slots[0].ino_kind));
	CHECK_EQ(rig.fs->ops->remount(rig.fs, 0), 0);
	CHECK(!le64_get(block->slots[0].ino_kind));
	rig.fs->ops->unmount(rig.fs);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(record_with_a_wrong_bit_before_others_is_refused),
		TAP_CASE(record_torn_at_the_end_of_a_ring_is_a_crash),
		TAP_CASE(horizon_slot_torn_by_a_crash_loses_nothing),
		TAP_CASE(horizon_slot_that_rotted_is_refused),
		TAP_CASE(inode_chunk_count_that_cannot_be_is_refused),
		TAP_CASE(inode_table_without_a_root_does_not_grow),
		TAP_CASE(records_before_a_lost_page_are_not_replayed),
		TAP_CASE(marked_file_system_stays_as_it_is),
		TAP_CASE(kept_orphans_stay_until_the_remount),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
