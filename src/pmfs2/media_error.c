/* SPDX-License-Identifier: BSD-3-Clause */
/* Media errors: deciding, logging, and keeping bad blocks out of use. See media_error.h. */
#include "pmfs2/media_error.h"

#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "pmfs2/itable.h"

#define LINES_MAX 100u /* in the log, for one mount */
#define AREA_LEN 96u
#define INO_MASK ((1ull << PMFS2_INO_BITS) - 1)

/* What lies in a block, as far as its number says so. */
static void area_name(struct fs *fs, uint64_t block, char out[AREA_LEN])
{
	uint64_t journal = le64_get(fs->sb->journal_block), ring_blocks = le32_get(fs->sb->ring_blocks);
	uint64_t intents = le64_get(fs->sb->intent_block), bitmaps = le64_get(fs->sb->segments[0].bitmap_block);

	if (!block)
		snprintf(out, AREA_LEN, "superblock");
	else if (block == 1)
		snprintf(out, AREA_LEN, "state block");
	else if (block >= fs->n_blocks - 1)
		snprintf(out, AREA_LEN, "copy of the superblock");
	else if (block >= fs->data_block)
		snprintf(out, AREA_LEN, "data area");
	else if (block >= bitmaps)
		snprintf(out, AREA_LEN, "bitmap of group %llu", (unsigned long long)(block - bitmaps));
	else if (block >= intents)
		snprintf(out, AREA_LEN, "intents");
	else if (block >= journal)
		snprintf(out, AREA_LEN, "journal, ring %llu", (unsigned long long)((block - journal) / ring_blocks));
	else
		snprintf(out, AREA_LEN, "reserved");
}

/* One line, and from the first one on read-only. what: with the inode or structure, "" if nothing is known. */
static void line_log(struct fs *fs, uint64_t off, const char *what)
{
	int first = !atomic_exchange(&fs->damaged, 1);
	uint32_t n = atomic_fetch_add(&fs->n_media_lines, 1);
	char area[AREA_LEN];

	if (n > LINES_MAX)
		return;
	area_name(fs, off >> PMFS2_BLOCK_SHIFT, area);
	fs_log(fs, LOG_LEVEL_ERROR, "media error: byte %llu of the device (block %llu, %s) cannot be read%s%s%s%s",
	       (unsigned long long)off, (unsigned long long)(off >> PMFS2_BLOCK_SHIFT), area, what[0] ? ": " : "", what,
	       first ? "; read-only from now on: unmount, then run fsck.pmfs2" : "",
	       n == LINES_MAX ? "; further ones are not logged" : "");
}

/* The pages that this thread has met since it was last asked. */
static uint32_t take_met(void)
{
	uint32_t n = pmem_thread_self.n_meta;

	pmem_thread_self.n_meta = 0;
	return n;
}

int media_op_end(struct fs *fs, uint64_t node, int result)
{
	return pmem_thread_self.n_meta ? media_met(fs, node) : result;
}

int media_read_again(struct fs *fs, uint64_t node, uint64_t *io_epoch, int *io_result)
{
	uint64_t epoch = media_epoch(fs);
	int again = epoch != *io_epoch && *io_result != -EIO && !pmem_thread_self.n_meta;

	*io_epoch = epoch;
	*io_result = media_op_end(fs, node, *io_result);
	return again;
}

int media_met(struct fs *fs, uint64_t node)
{
	uint64_t off = pmem_thread_self.off, chunk;
	char what[64];

	if (!take_met())
		return -EIO;
	snprintf(what, sizeof(what), "met at inode %llu", (unsigned long long)(node & INO_MASK));
	if (off >> PMFS2_BLOCK_SHIFT >= fs->data_block && itable_chunk_at(fs, off >> PMFS2_BLOCK_SHIFT, &chunk))
		snprintf(what, sizeof(what), "inodes %llu to %llu may be lost", (unsigned long long)(chunk * PMFS2_CHUNK_INODES),
			 (unsigned long long)((chunk + 1) * PMFS2_CHUNK_INODES - 1));
	take_met(); /* of the search */
	line_log(fs, off, what);
	return -EIO;
}

int media_corrupt(struct fs *fs, const char *what)
{
	/* Substituted bytes that were met before: said already. */
	if (take_met() || !atomic_load(&fs->damaged))
		line_log(fs, pmem_thread_self.off, what);
	return -EIO;
}

int media_lost(struct fs *fs, const void *addr)
{
	uint64_t off = pmem_off(fs->pm, addr);

	if (!media_is_lost(fs)) {
		/* Noted as bad, by the kernel or by a transfer of data, before anybody has read it as metadata. */
		pmem_bad_is_meta(fs->pm);
		pmem_bad_find(fs->pm, off, PMFS2_BLOCK_SIZE, &off);
		line_log(fs, off, "");
	}
	return -EIO;
}

int media_data_lost(struct fs *fs, uint64_t ino, uint64_t file_off)
{
	uint32_t n_pages = pmem_thread_self.n_expected, n;

	pmem_thread_self.n_expected = 0;
	if (!n_pages)
		return -EIO;
	n = atomic_fetch_add(&fs->n_media_lines, 1);
	if (n <= LINES_MAX)
		fs_log(fs, LOG_LEVEL_ERROR,
		       "media error: byte %llu of the device: %u page%s of inode %llu at or behind its byte %llu cannot be read: "
		       "put "
		       "the file back from a copy%s",
		       (unsigned long long)pmem_thread_self.off, n_pages, n_pages == 1 ? "" : "s", (unsigned long long)ino,
		       (unsigned long long)file_off, n == LINES_MAX ? "; further ones are not logged" : "");
	return -EIO;
}

int media_io_check(struct fs *fs, uint64_t ino, const struct zus_io *io)
{
	uint64_t file_off = io->off, at;

	for (uint32_t i = 0; i < io->n_ext; file_off += io->ext[i++].len)
		if (!(io->ext[i].flags & ZUS_EXT_HOLE) && pmem_bad_find(fs->pm, io->ext[i].dev_off, io->ext[i].len, &at))
			return media_data_lost(fs, ino, file_off + (at - io->ext[i].dev_off));
	pmem_thread_self.n_expected = 0; /* not of this transfer */
	return 0;
}

int media_tx_check(const struct tx *tx)
{
	struct fs *fs = tx->fs;
	uint64_t at;

	if (media_is_lost(fs))
		return -EROFS;
	for (uint32_t i = 0; i < tx->n_runs; i++) {
		const struct tx_run *run = &tx->runs[i];

		if (run->kind != TX_RUN_USE ||
		    !pmem_bad_find(fs->pm, run->block << PMFS2_BLOCK_SHIFT, (uint64_t)run->n << PMFS2_BLOCK_SHIFT, &at))
			continue;
		pmem_thread_self.n_expected = 0;
		if (atomic_fetch_add(&fs->n_media_lines, 1) < LINES_MAX)
			fs_log(fs, LOG_LEVEL_ERROR,
			       "media error: byte %llu of the device cannot be written (or the disk under it is full): block "
			       "%llu is "
			       "not used any more",
			       (unsigned long long)at, (unsigned long long)(at >> PMFS2_BLOCK_SHIFT));
		return -EIO;
	}
	return 0;
}

int media_mount_check(struct fs *fs)
{
	uint64_t off;

	take_met();
	if (!pmem_bad_find(fs->pm, PMFS2_BLOCK_SIZE, fs->pm->size - PMFS2_BLOCK_SIZE, &off)) {
		line_log(fs, 0, "its copy is used");
		atomic_fetch_or(&fs->mount_flags, ZUS_MOUNT_RDONLY);
		return 0;
	}
	line_log(fs, off, "not mounted");
	return -EIO;
}

struct run media_run_good(const struct fs *fs, struct run run, struct run *rest)
{
	struct run good = run;
	uint64_t at;

	*rest = (struct run){ 0, 0 };
	if (pmem_bad_find(fs->pm, run.block << PMFS2_BLOCK_SHIFT, run.n << PMFS2_BLOCK_SHIFT, &at)) {
		good.n = (at >> PMFS2_BLOCK_SHIFT) - run.block;
		*rest = (struct run){ run.block + good.n + 1, run.n - good.n - 1 };
	}
	return good;
}
