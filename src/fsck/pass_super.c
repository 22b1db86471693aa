/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pass "superblock". Proves: one superblock is whole (magic, CRC), of a version and with features that are known, with a geometry
 * that fits the device; its copy is the same; what is reserved is zero. Nothing behind it is looked at before.
 *
 * Order of repairs: where one copy is good, only the other one is stored; where both change, the copy, fence, block 0, fence.
 * If cut: one of them is whole.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fsck/bits.h"
#include "fsck/state.h"
#include "pmfs2/media/super.h"

static int fail(struct fsck *fk, int err, const char *why)
{
	snprintf(fk->res->error, sizeof(fk->res->error), "%s", why);
	return err;
}

static void super_store(struct fsck *fk, uint64_t block, const struct pmfs2_super *sb)
{
	struct pmem *pm = fk->disk.pm;

	pmem_copy(pm, pmem_at(pm, block << PMFS2_BLOCK_SHIFT), sb, sizeof(*sb));
	pmem_fence(pm);
}

/* A copy in block `at` with one wrong bit. 1: *out is right now. */
static int super_guess(const struct fsck *fk, uint64_t at, struct pmfs2_super *out)
{
	const struct pmem *pm = fk->disk.pm;
	const char *why;

	memcpy(out, pmem_at(pm, at << PMFS2_BLOCK_SHIFT), sizeof(*out));
	return bits_correct(out, sizeof(*out), offsetof(struct pmfs2_super, crc)) &&
	       !super_verify(out, pm->size >> PMFS2_BLOCK_SHIFT, &why) && (!at || le64_get(out->n_blocks) == at + 1);
}

/* Neither is whole. */
static int super_both(struct fsck *fk, int err, const char *why)
{
	uint64_t last = (fk->disk.pm->size >> PMFS2_BLOCK_SHIFT) - 1;
	struct pmfs2_super *sb = &fk->disk.sb;

	if (!super_guess(fk, 0, sb) && !super_guess(fk, last, sb))
		return fail(fk, err, err == -EUCLEAN ? "both superblocks are damaged beyond repair" : why);
	if (fsck_found(fk, FSCK_SUPER_BOTH, "superblock: both copies are damaged; one wrong bit explains it")) {
		super_store(fk, le64_get(sb->n_blocks) - 1, sb);
		super_store(fk, 0, sb);
	} else if (fk->fixing) {
		return 1;
	}
	return 0;
}

static int super_find(struct fsck *fk)
{
	const struct pmem *pm = fk->disk.pm;
	struct pmfs2_super *sb = &fk->disk.sb;
	const char *why = "";
	int used_copy, err;

	if (pm->size < (uint64_t)PMFS2_BLOCKS_MIN << PMFS2_BLOCK_SHIFT)
		return fail(fk, -EINVAL, "too small for a pmfs2");
	err = super_read(pm->base, pm->size, sb, &used_copy, &why);
	if (err == -EUCLEAN || err == -EINVAL)
		return super_both(fk, err, why);
	if (err)
		return fail(fk, err, why);
	if (used_copy) {
		if (fsck_found(fk, FSCK_SUPER_PRIMARY, "superblock: block 0 is damaged, the copy in block %llu is good",
			       (unsigned long long)le64_get(sb->n_blocks) - 1))
			super_store(fk, 0, sb);
		else if (fk->fixing)
			return 1;
		return 0;
	}
	if (memcmp(pmem_at(pm, (le64_get(sb->n_blocks) - 1) << PMFS2_BLOCK_SHIFT), sb, sizeof(*sb)) &&
	    fsck_found(fk, FSCK_SUPER_COPY, "superblock: the copy in block %llu is damaged or differs from block 0",
		       (unsigned long long)le64_get(sb->n_blocks) - 1))
		super_store(fk, le64_get(sb->n_blocks) - 1, sb);
	return 0;
}

/* sb with everything reserved zeroed, sealed. */
static void super_scrub(struct pmfs2_super *sb)
{
	size_t label = strnlen(sb->label, sizeof(sb->label) - 1);

	memset(sb->label + label, 0, sizeof(sb->label) - label);
	memset(sb->zero0, 0, sizeof(sb->zero0));
	memset(sb->zero1, 0, sizeof(sb->zero1));
	sb->segments[0].zero0 = le32_of(0);
	memset(sb->segments[0].zero1, 0, sizeof(sb->segments[0].zero1));
	memset(&sb->segments[1], 0, sizeof(sb->segments) - sizeof(sb->segments[0]));
	memset(sb->devices[0].zero, 0, sizeof(sb->devices[0].zero));
	memset(&sb->devices[1], 0, sizeof(sb->devices) - sizeof(sb->devices[0]));
	super_seal(sb);
}

int pass_super(struct fsck *fk)
{
	struct disk *disk = &fk->disk;
	struct pmfs2_super scrubbed;
	int err = super_find(fk);

	if (err)
		return err;
	if (fk->fixing && le64_get(disk->sb.ro_compat) & ~PMFS2_RO_COMPAT_KNOWN)
		return fail(fk, -EOPNOTSUPP, "uses features that this version can only read: repair it with a newer one");
	scrubbed = disk->sb;
	super_scrub(&scrubbed);
	if (memcmp(&scrubbed, &disk->sb, sizeof(scrubbed)) &&
	    fsck_found(fk, FSCK_SUPER_RESERVED, "superblock: reserved fields are not zero, or the label has no end")) {
		super_store(fk, le64_get(scrubbed.n_blocks) - 1, &scrubbed);
		super_store(fk, 0, &scrubbed);
		disk->sb = scrubbed;
	}
	disk->n_blocks = le64_get(disk->sb.n_blocks);
	disk->data_block = le64_get(disk->sb.data_block);
	disk->hash_key[0] = le64_get(disk->sb.hash_seed[0]);
	disk->hash_key[1] = le64_get(disk->sb.hash_seed[1]);
	fk->res->n_blocks = disk->n_blocks;
	return 0;
}
