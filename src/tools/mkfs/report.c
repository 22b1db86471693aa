/* SPDX-License-Identifier: BSD-3-Clause */
/* What mkfs.pmfs2 prints: one line for each thing that somebody may want to know later. */
#include "report.h"

#include <stdio.h>
#include <string.h>

#include "tools/common/text.h"

static const char *kind_text(const struct pmem *backing)
{
	switch (backing ? backing->kind : PMEM_KIND_FILE) {
	case PMEM_KIND_DEVDAX:
		return "device-DAX node (persistent memory)";
	case PMEM_KIND_FSDAX:
		return "direct access (persistent memory)";
	case PMEM_KIND_FILE:
		return backing && backing->block_dax ? "pmem block device through the page cache"
						     : "page cache (no persistent memory)";
	default:
		return pmem_kind_name(backing->kind);
	}
}

void report_print(const char *path, const struct pmem *backing, const struct pmfs2_super *sb, const struct pmfs2_horizon *horizon)
{
	uint64_t n_blocks = le64_get(sb->n_blocks), n_free = le64_get(horizon->free_blocks);
	uint64_t rings = le32_get(sb->n_rings), ring_bytes = (uint64_t)le32_get(sb->ring_blocks) << PMFS2_BLOCK_SHIFT;
	char uuid[TEXT_UUID_LEN], a[TEXT_SIZE_LEN], b[TEXT_SIZE_LEN];

	printf("device    %s\n", path);
	printf("backing   %s\n", kind_text(backing));
	printf("size      %s, %llu blocks of %u bytes\n", text_size(n_blocks << PMFS2_BLOCK_SHIFT, a),
	       (unsigned long long)n_blocks, PMFS2_BLOCK_SIZE);
	printf("uuid      %s\n", text_uuid(sb->uuid, uuid));
	printf("label     ");
	if (sb->label[0])
		text_print(stdout, sb->label, strnlen(sb->label, sizeof(sb->label)));
	else
		printf("(none)");
	printf("\njournal   %llu rings of %s, %s\n", (unsigned long long)rings, text_size(ring_bytes, a),
	       text_size(rings * ring_bytes, b));
	printf("inodes    dynamic, %u bytes each\n", PMFS2_INODE_SIZE);
	printf("data      from block %llu on\n", (unsigned long long)le64_get(sb->data_block));
	printf("free      %s, %llu blocks\n", text_size(n_free << PMFS2_BLOCK_SHIFT, a), (unsigned long long)n_free);
	if (backing && pmem_notice(backing)[0])
		printf("notice    %s\n", pmem_notice(backing));
}
