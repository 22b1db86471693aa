/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices that have grown: a workload of some hundred operations on them takes the ways that otherwise need a hundred thousand
 * files, or hundreds of files deleted while open.
 */
#include <errno.h>

#include "base/util.h"
#include "crash/clock.h"
#include "crash/run_device.h"
#include "pmfs2/intent.h"
#include "pmfs2/itable.h"
#include "pmfs2/journal.h"
#include "pmfs2/mount.h"

#define THREADS 64u /* that have chunks of their own at the same time; also the chunks that a search for room looks at */

/* Gives all numbers of an empty chunk out, or back: only the bits of its header. The first chunk has the root. */
static int chunk_numbers(struct fs *fs, uint64_t number, int out)
{
	const struct pmfs2_inode *first;
	const struct pmfs2_chunk *chunk;
	struct tx tx;
	int err = itable_find(fs, number * PMFS2_CHUNK_INODES + 1, &first);

	if (err)
		return err;
	chunk = (const struct pmfs2_chunk *)(const void *)(first - 1);
	tx_begin(&tx, fs);
	for (uint32_t w = 0; w < ARRAY_SIZE(chunk->used); w++) {
		uint64_t stay = w ? 0 : number ? 1 : 1 | 1ull << PMFS2_INO_ROOT;

		if (out)
			tx_set_bits(&tx, &chunk->used[w], ~stay);
		else
			tx_clear_bits(&tx, &chunk->used[w], ~stay);
	}
	return tx_commit(&tx);
}

/* A table of n chunks, all of them empty: each full while the next one is made. */
static int table_grow_to(struct fs *fs, uint64_t n)
{
	struct ino_slot slot;
	int err = 0;

	for (uint64_t have = 1; !err && have < n; have++) {
		err = chunk_numbers(fs, have - 1, 1);
		if (!err)
			err = itable_take(fs, &slot);
		if (!err)
			itable_put(&slot);
	}
	for (uint64_t i = 0; !err && i + 1 < n; i++)
		err = chunk_numbers(fs, i, 0);
	if (!err && le64_load(&fs->state->itable_chunks) != n)
		err = -EINVAL;
	return err;
}

/*
 * Thread 1 gets the first chunk, others those behind it, up to where a search ends: a thread prefers a chunk of which an inode
 * was freed lately. When the first chunk is full, the next inode of thread 1 is in a new one.
 */
static int chunks_assign(struct fs *fs, uint64_t n)
{
	struct ino_slot slot;
	struct tx tx;
	int err = 0;

	for (uint32_t i = 0; !err && i < n && i < THREADS; i++) {
		tx_begin(&tx, fs);
		err = itable_log_free(&tx, i * PMFS2_CHUNK_INODES + 1);
		tx_drop(&tx);
		crash_thread_set(i + 1);
		if (!err)
			err = itable_take(fs, &slot);
		if (!err)
			itable_put(&slot);
	}
	crash_thread_set(1);
	return err;
}

int run_widen(const struct workload *w, struct pmem *pm)
{
	struct fs *fs;
	int err;

	if (w->geo.chunks < 2)
		return 0;
	err = fs_open(pm, NULL, 0, &fs);
	if (err)
		return err;
	err = table_grow_to(fs, w->geo.chunks);
	if (!err)
		journal_checkpoint(fs);
	(void)fs_detach(fs);
	return err;
}

int run_occupy(const struct workload *w, struct fs *fs)
{
	int err = w->geo.chunks < 2 ? 0 : chunks_assign(fs, w->geo.chunks);
	uint32_t slot;

	for (uint32_t i = 0; !err && i < w->geo.intents; i++)
		err = intent_reserve(fs, &slot);
	return err;
}
