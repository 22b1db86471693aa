/* SPDX-License-Identifier: BSD-3-Clause */
/* pmfs2 info: what the file system is and in which state, from the superblocks, the horizon and the journal. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "commands.h"
#include "journal_view.h"
#include "pmfs2/media/super.h"
#include "report.h"
#include "tools/common/say.h"
#include "tools/common/text.h"

/* What is wrong with the copy of a superblock in a block; NULL: nothing. */
static const char *super_state(const struct pmem *pm, uint64_t block, struct pmfs2_super *out)
{
	const char *why = NULL;

	memcpy(out, pmem_at(pm, block << PMFS2_BLOCK_SHIFT), sizeof(*out));
	return super_verify(out, pm->size >> PMFS2_BLOCK_SHIFT, &why) ? why : NULL;
}

/* 0 or EXIT_DAMAGED. */
static int supers_report(struct report *rep, const struct image *img)
{
	struct pmfs2_super main_sb, copy;
	const char *bad_main = super_state(img->pm, 0, &main_sb), *bad_copy = super_state(img->pm, img->n_blocks - 1, &copy);

	report_str(rep, "superblock", bad_main ? bad_main : "ok");
	if (!bad_copy && !bad_main && memcmp(&main_sb, &copy, sizeof(copy)))
		bad_copy = "differs from the first one";
	report_str(rep, "superblock_copy", bad_copy ? bad_copy : "ok");
	return bad_main || bad_copy ? EXIT_DAMAGED : EXIT_OK;
}

static void identity_report(struct report *rep, const struct image *img)
{
	const struct pmfs2_super *sb = &img->sb;
	char uuid[TEXT_UUID_LEN], created[IMAGE_TIME_LEN];

	report_str(rep, "device", img->path);
	report_str(rep, "backing", pmem_kind_name(img->pm->kind));
	report_str(rep, "uuid", text_uuid(sb->uuid, uuid));
	report_text(rep, "label", sb->label, strnlen(sb->label, sizeof(sb->label)));
	report_str(rep, "created", image_time(le64_get(sb->created), created));
	report_u64(rep, "format_version", le32_get(sb->version));
	report_hex(rep, "features_compat", le64_get(sb->compat));
	report_hex(rep, "features_ro_compat", le64_get(sb->ro_compat));
	report_hex(rep, "features_incompat", le64_get(sb->incompat));
}

static void geometry_report(struct report *rep, const struct image *img)
{
	const struct pmfs2_super *sb = &img->sb;

	report_bytes(rep, "size", img->n_blocks << PMFS2_BLOCK_SHIFT);
	report_bytes(rep, "device_size", img->pm->size);
	report_u64(rep, "block_size", PMFS2_BLOCK_SIZE);
	report_u64(rep, "blocks", img->n_blocks);
	report_u64(rep, "journal_block", le64_get(sb->journal_block));
	report_u64(rep, "rings", le32_get(sb->n_rings));
	report_bytes(rep, "ring_size", (uint64_t)le32_get(sb->ring_blocks) << PMFS2_BLOCK_SHIFT);
	report_u64(rep, "intent_block", le64_get(sb->intent_block));
	report_u64(rep, "intent_blocks", le32_get(sb->n_intent_blocks));
	report_u64(rep, "bitmap_block", le64_get(sb->segments[0].bitmap_block));
	report_u64(rep, "data_block", img->data_block);
}

static int state_report(struct report *rep, struct image *img)
{
	const struct pmfs2_state *state = image_block(img, 1);
	struct journal_summary sum;

	if (journal_summary(img, &sum)) {
		report_str(rep, "state", "damaged: no valid horizon");
		return EXIT_DAMAGED;
	}
	report_str(rep, "state",
		   sum.records ? "journal not empty: the next mount recovers"
		   : sum.clean ? "clean"
			       : "not unmounted cleanly, or mounted; nothing to replay");
	report_u64(rep, "records_to_replay", sum.records);
	report_u64(rep, "next_sequence", sum.next_seq);
	report_u64(rep, "free_blocks", sum.free_blocks);
	report_bytes(rep, "free", sum.free_blocks << PMFS2_BLOCK_SHIFT);
	report_u64(rep, "used_inodes", sum.used_inodes);
	report_u64(rep, "inode_chunks", le64_load(&state->itable_chunks));
	return sum.free_blocks > img->n_blocks ? EXIT_DAMAGED : EXIT_OK;
}

int command_info(const char *path, unsigned int flags, int json)
{
	struct report rep;
	struct image img;
	int rc = image_open(path, flags, &img), damaged;

	if (rc)
		return rc;
	report_begin(&rep, json);
	identity_report(&rep, &img);
	damaged = supers_report(&rep, &img);
	geometry_report(&rep, &img);
	rc = state_report(&rep, &img);
	report_end(&rep);
	image_close(&img);
	return rc ? rc : damaged;
}
