/* SPDX-License-Identifier: BSD-3-Clause */
/* The superblock is the first thing read from a device that nobody knows: every field is bounded before it is used. */
#include "pmfs2/media/super.h"

#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/util.h"

void super_seal(struct pmfs2_super *sb)
{
	sb->crc = le32_of(0);
	sb->crc = le32_of(crc32c_of(sb, sizeof(*sb)));
}

static int crc_ok(const struct pmfs2_super *sb)
{
	uint32_t zero = 0, crc = crc32c(~0u, sb, offsetof(struct pmfs2_super, crc));

	crc = crc32c(crc, &zero, sizeof(zero));
	crc = ~crc32c(crc, &sb->version, sizeof(*sb) - offsetof(struct pmfs2_super, version));
	return crc == le32_get(sb->crc);
}

/* Areas lie one behind the other: journal, intents, bitmaps, data, copy. */
static int geometry_ok(const struct pmfs2_super *sb)
{
	uint64_t n = le64_get(sb->n_blocks), journal = le64_get(sb->journal_block), intents = le64_get(sb->intent_block);
	uint64_t data = le64_get(sb->data_block), bitmaps = le64_get(sb->segments[0].bitmap_block);
	uint64_t rings = le32_get(sb->n_rings), ring_blocks = le32_get(sb->ring_blocks), n_intents = le32_get(sb->n_intent_blocks);
	uint64_t n_bitmaps = (n + PMFS2_GROUP_BLOCKS - 1) / PMFS2_GROUP_BLOCKS;

	if (n < PMFS2_BLOCKS_MIN || n > PMFS2_BLOCKS_MAX)
		return 0;
	if (!rings || rings > PMFS2_RINGS_MAX || ring_blocks < PMFS2_RING_BLOCKS_MIN || ring_blocks > 65536)
		return 0;
	if (journal < 2 || journal >= n || intents >= n || bitmaps >= n || data >= n - 1 || !n_intents || n_intents > 65536)
		return 0;
	if (journal + rings * ring_blocks > intents || intents + n_intents > bitmaps || bitmaps + n_bitmaps > data)
		return 0;
	return data % PMFS2_CHUNK_BLOCKS == 0;
}

/* One segment that covers all: several come with growing, an incompat feature. */
static int tables_ok(const struct pmfs2_super *sb)
{
	const struct pmfs2_segment *seg = &sb->segments[0];
	const struct pmfs2_device *dev = &sb->devices[0];

	return le32_get(sb->n_segments) == 1 && le32_get(sb->n_devices) == 1 && !le64_get(seg->first_block) &&
	       le64_get(seg->n_blocks) == le64_get(sb->n_blocks) && !le32_get(seg->device) && !le64_get(dev->first_block) &&
	       le64_get(dev->n_blocks) == le64_get(sb->n_blocks);
}

int super_verify(const struct pmfs2_super *sb, uint64_t dev_blocks, const char **out_why)
{
	const char *why = NULL;
	int err = 0;

	if (le64_get(sb->magic) != PMFS2_MAGIC_SUPER) {
		why = "no pmfs2 superblock: not formatted, or something else (mkfs.pmfs2 makes a file system)";
		err = -EINVAL;
	} else if (!crc_ok(sb)) {
		why = "superblock damaged (checksum)";
		err = -EUCLEAN;
	} else if (le32_get(sb->version) != PMFS2_VERSION_MAJOR) {
		why = "format version not known to this program: use a newer one";
		err = -EOPNOTSUPP;
	} else if (le64_get(sb->incompat) & ~PMFS2_INCOMPAT_KNOWN) {
		why = "uses features not known to this program: use a newer one";
		err = -EOPNOTSUPP;
	} else if (!geometry_ok(sb) || !tables_ok(sb)) {
		why = "superblock damaged (geometry)";
		err = -EUCLEAN;
	} else if (le64_get(sb->n_blocks) > dev_blocks) {
		why = "device is smaller than the file system on it (cut off?)";
		err = -ENOSPC;
	}
	if (err)
		*out_why = why;
	return err;
}

int super_read(const void *base, uint64_t dev_bytes, struct pmfs2_super *out, int *out_used_copy, const char **out_why)
{
	uint64_t dev_blocks = dev_bytes >> PMFS2_BLOCK_SHIFT, hint;
	const char *ignored;
	int err;

	*out_used_copy = 0;
	if (dev_blocks < 2) {
		*out_why = "too small for any file system";
		return -EINVAL;
	}
	memcpy(out, base, sizeof(*out));
	err = super_verify(out, dev_blocks, out_why);
	if (!err || err == -EOPNOTSUPP || err == -ENOSPC)
		return err;
	/* Where the copy is: the last block of the device, or, if that is larger, what the damaged one says. */
	hint = le64_get(out->n_blocks);
	for (int i = 0; i < 2; i++) {
		uint64_t at = i ? hint - 1 : dev_blocks - 1;

		if (at >= dev_blocks)
			continue;
		memcpy(out, (const char *)base + (at << PMFS2_BLOCK_SHIFT), sizeof(*out));
		if (super_verify(out, dev_blocks, &ignored) || le64_get(out->n_blocks) != at + 1)
			continue;
		*out_used_copy = 1;
		return 0;
	}
	return err;
}
