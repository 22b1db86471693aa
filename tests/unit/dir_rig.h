/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of directories share: a small mount with one directory, operations on it, a walk over its whole tree. */
#ifndef TESTS_UNIT_DIR_RIG_H
#define TESTS_UNIT_DIR_RIG_H

#include <dirent.h>

#include "base/util.h"
#include "lib/tap.h"
#include "pmem/sim.h"
#include "pmfs2/alloc.h"
#include "pmfs2/dir.h"
#include "pmfs2/dir_bucket.h"
#include "pmfs2/dir_walk.h"
#include "pmfs2/itable.h"
#include "pmfs2/journal.h"
#include "pmfs2/mkfs.h"

#define MIB (1ull << 20)

/* A formatted device with as much of a mount as directories need. */
struct rig {
	struct fs fs;
	struct zus_host host;
	struct pmfs2_super sb;
	struct inode *dir; /* the root directory */
	uint64_t free_blocks; /* when new */
};

static inline void quiet_log(void *ctx, int level, const char *msg)
{
}

/* Recovers what is on the device, and takes the root directory. */
static inline void rig_mount(struct rig *r, struct pmem *pm)
{
	struct journal_state st;

	memset(r, 0, sizeof(*r));
	memcpy(&r->sb, pmem_at(pm, 0), sizeof(r->sb));
	r->host = (struct zus_host){ .abi = ZUS_PLUGIN_ABI, .log = quiet_log };
	r->fs.pm = pm;
	r->fs.host = &r->host;
	r->fs.sb = pmem_at(pm, 0);
	r->fs.state = pmem_at(pm, PMFS2_BLOCK_SIZE);
	r->fs.n_blocks = le64_get(r->sb.n_blocks);
	r->fs.data_block = le64_get(r->sb.data_block);
	r->fs.hash_key[0] = tap_seed(); /* not the formatted one: a seed shall replay */
	r->fs.hash_key[1] = ~tap_seed();
	mutex_init(&r->fs.rename_lock, LOCK_RANK_RENAME, 0);
	CHECK_EQ(journal_recover(&r->fs, &st), 0);
	CHECK_EQ(journal_new(&r->fs, &st, &r->fs.journal), 0);
	CHECK_EQ(alloc_new(&r->fs, st.free_blocks, &r->fs.alloc), 0);
	CHECK_EQ(itable_new(&r->fs, &r->fs.itable), 0);
	CHECK_EQ(inode_cache_new(&r->fs.icache), 0);
	CHECK_EQ(inode_get_ino(&r->fs, PMFS2_INO_ROOT, &r->dir), 0);
	r->free_blocks = alloc_free_blocks(&r->fs);
}

static inline void rig_format(struct rig *r, struct pmem *pm, uint32_t ring_blocks)
{
	const struct mkfs_params params = { .n_rings = 4, .ring_blocks = ring_blocks };

	CHECK_EQ(mkfs_format(pm, &params, NULL), 0);
	rig_mount(r, pm);
}

static inline void rig_free(struct rig *r)
{
	inode_put(&r->fs, r->dir);
	inode_cache_free(r->fs.icache);
	itable_free(r->fs.itable);
	journal_close(&r->fs);
	alloc_free(r->fs.alloc);
	pmem_close(r->fs.pm);
}

static inline struct zus_name name_of(const char *str)
{
	return (struct zus_name){ str, (uint32_t)strlen(str) };
}

static inline int rig_find(struct rig *r, const char *name, uint64_t *out_ino)
{
	struct dir_entry e;
	int err = dir_lookup(&r->fs, r->dir, name_of(name), &e);

	if (!err)
		*out_ino = e.ino;
	return err;
}

/* As an operation does it. */
static inline int rig_insert(struct rig *r, const char *name, uint64_t ino)
{
	struct inode_edit edit;
	struct tx tx;
	int err = dir_prepare(&r->fs, r->dir, name_of(name));

	if (err)
		return err;
	tx_begin(&tx, &r->fs);
	inode_edit_begin(&edit, r->dir);
	err = dir_insert(&tx, &edit, name_of(name), ino, DT_REG);
	if (err) {
		tx_drop(&tx);
		return err;
	}
	inode_edit_log(&tx, &edit);
	return tx_commit(&tx);
}

static inline int rig_remove(struct rig *r, const char *name)
{
	struct inode_edit edit;
	struct dir_entry e;
	struct tx tx;
	int err = dir_lookup(&r->fs, r->dir, name_of(name), &e);

	if (err)
		return err;
	tx_begin(&tx, &r->fs);
	inode_edit_begin(&edit, r->dir);
	err = dir_remove(&tx, &edit, &e);
	if (err) {
		tx_drop(&tx);
		return err;
	}
	inode_edit_log(&tx, &edit);
	return tx_commit(&tx);
}

/* Moves a name within one transaction, in either order. */
static inline void rig_rename(struct rig *r, const char *from, const char *to, int insert_first)
{
	struct inode_edit edit;
	struct dir_entry e;
	struct tx tx;

	CHECK_EQ(dir_prepare(&r->fs, r->dir, name_of(to)), 0);
	CHECK_EQ(dir_lookup(&r->fs, r->dir, name_of(from), &e), 0);
	tx_begin(&tx, &r->fs);
	inode_edit_begin(&edit, r->dir);
	if (insert_first)
		CHECK_EQ(dir_insert(&tx, &edit, name_of(to), e.ino, DT_REG), 0);
	CHECK_EQ(dir_remove(&tx, &edit, &e), 0);
	if (!insert_first)
		CHECK_EQ(dir_insert(&tx, &edit, name_of(to), e.ino, DT_REG), 0);
	inode_edit_log(&tx, &edit);
	CHECK_EQ(tx_commit(&tx), 0);
}

/* --- the tree as a whole ----------------------------------------------------------------------------------------------------- */

struct census {
	uint64_t nodes, buckets, entries;
};

/* Walks the whole tree with its own code, level by level: recursion is bounded by the seven levels. */
static inline void census_take(struct rig *r, uint64_t word, int level, uint64_t prefix, struct census *c)
{
	const struct dir_view view = { .fs = &r->fs, .ino = r->dir->ino };
	struct bucket_list list;
	struct entry e;
	uint32_t depth;

	CHECK_EQ(dir_pointer_read(&view, word, level, &e), 0);
	if (e.kind == PMFS2_ENTRY_BUCKET) {
		CHECK_EQ(dir_bucket_read(&view, e.block, level, prefix, &depth), 0);
		CHECK(bucket_collect(fs_block(&r->fs, e.block), r->dir->ino, &list) == NULL);
		CHECK(list.n > 0);
		c->buckets++;
		c->entries += list.n;
		return;
	}
	c->nodes++;
	const le64 *node = fs_block(&r->fs, e.block);
	uint32_t n_words = 0;

	for (uint64_t i = 0, n; i < PMFS2_BLOCK_WORDS; i += n) {
		struct entry below;

		n = 1;
		if (!le64_get(node[i]))
			continue;
		n_words++;
		prefix = hash_prefix(prefix, 9u * (uint32_t)(level + 1)) | i << (63 - 9 * (level + 2));
		CHECK_EQ(dir_pointer_read(&view, le64_get(node[i]), level + 1, &below), 0);
		if (below.kind == PMFS2_ENTRY_BUCKET) {
			CHECK_EQ(dir_bucket_read(&view, below.block, level + 1, prefix, &depth), 0);
			n = dir_run_words(level + 1, depth);
			CHECK_EQ(i % n, 0);
			for (uint64_t k = 0; k < n; k++)
				CHECK_EQ(le64_get(node[i + k]), le64_get(node[i]));
		}
		census_take(r, le64_get(node[i]), level + 1, prefix, c);
	}
	CHECK(n_words > 0);
}

/* The tree is sound; entries and blocks are as the inode says; no block is lost. */
static inline void rig_check(struct rig *r)
{
	uint64_t root = le64_get(r->dir->media->root);
	struct census c = { 0 };

	if (root)
		census_take(r, root, -1, 0, &c);
	CHECK_EQ(c.entries, le64_get(r->dir->media->size));
	CHECK_EQ(c.nodes + c.buckets, le64_get(r->dir->media->blocks));
	CHECK_EQ(c.nodes + c.buckets, r->free_blocks - alloc_free_blocks(&r->fs));
	CHECK_EQ(r->fs.damaged, 0);
}

#endif
