/* SPDX-License-Identifier: BSD-3-Clause */
/* pmfs2 dump DEVICE super: every field of the superblock in force, the two tables, and the state block. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "journal_view.h"
#include "report.h"
#include "tools/common/text.h"

static void identity_dump(struct report *rep, const struct image *img)
{
	const struct pmfs2_super *sb = &img->sb;
	char uuid[TEXT_UUID_LEN], created[IMAGE_TIME_LEN];

	report_str(rep, "superblock", img->used_copy ? "the copy in the last block" : "block 0");
	report_hex(rep, "magic", le64_get(sb->magic));
	report_hex(rep, "crc", le32_get(sb->crc));
	report_u64(rep, "version", le32_get(sb->version));
	report_hex(rep, "compat", le64_get(sb->compat));
	report_hex(rep, "ro_compat", le64_get(sb->ro_compat));
	report_hex(rep, "incompat", le64_get(sb->incompat));
	report_str(rep, "uuid", text_uuid(sb->uuid, uuid));
	report_text(rep, "label", sb->label, strnlen(sb->label, sizeof(sb->label)));
	report_hex(rep, "hash_seed[0]", le64_get(sb->hash_seed[0]));
	report_hex(rep, "hash_seed[1]", le64_get(sb->hash_seed[1]));
	report_str(rep, "created", image_time(le64_get(sb->created), created));
}

static void geometry_dump(struct report *rep, const struct pmfs2_super *sb)
{
	report_u64(rep, "n_blocks", le64_get(sb->n_blocks));
	report_u64(rep, "journal_block", le64_get(sb->journal_block));
	report_u64(rep, "intent_block", le64_get(sb->intent_block));
	report_u64(rep, "data_block", le64_get(sb->data_block));
	report_u64(rep, "n_rings", le32_get(sb->n_rings));
	report_u64(rep, "ring_blocks", le32_get(sb->ring_blocks));
	report_u64(rep, "n_intent_blocks", le32_get(sb->n_intent_blocks));
	report_hex(rep, "journal_seed", le32_get(sb->journal_seed));
	report_u64(rep, "n_segments", le32_get(sb->n_segments));
	report_u64(rep, "n_devices", le32_get(sb->n_devices));
}

static void tables_dump(const struct pmfs2_super *sb)
{
	char uuid[TEXT_UUID_LEN];

	/* super_verify lets pass one of each only; the arrays bound the loops all the same. */
	for (uint32_t i = 0; i < le32_get(sb->n_segments) && i < PMFS2_SEGMENTS_MAX; i++)
		printf("segment %u: blocks %llu..%llu, bitmaps from block %llu on, device %u\n", i,
		       (unsigned long long)le64_get(sb->segments[i].first_block),
		       (unsigned long long)(le64_get(sb->segments[i].first_block) + le64_get(sb->segments[i].n_blocks) - 1),
		       (unsigned long long)le64_get(sb->segments[i].bitmap_block), le32_get(sb->segments[i].device));
	for (uint32_t i = 0; i < le32_get(sb->n_devices) && i < PMFS2_DEVICES_MAX; i++)
		printf("device %u: blocks %llu..%llu, uuid %s\n", i, (unsigned long long)le64_get(sb->devices[i].first_block),
		       (unsigned long long)(le64_get(sb->devices[i].first_block) + le64_get(sb->devices[i].n_blocks) - 1),
		       text_uuid(sb->devices[i].uuid, uuid));
}

int dump_super(struct image *img)
{
	const struct pmfs2_state *state = image_block(img, 1);
	struct report rep;

	report_begin(&rep, 0);
	identity_dump(&rep, img);
	geometry_dump(&rep, &img->sb);
	tables_dump(&img->sb);
	report_hex(&rep, "itable_root", le64_load(&state->itable_root));
	report_u64(&rep, "itable_chunks", le64_load(&state->itable_chunks));
	report_end(&rep);
	return 0;
}
