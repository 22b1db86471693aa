/* SPDX-License-Identifier: BSD-3-Clause */
/* Defects of directories. */
#include <dirent.h>
#include <string.h>

#include "golden.h"
#include "pmfs2/dir_bucket.h"
#include "pmfs2/dir_walk.h"

static le64 *dir_node(const struct golden *g)
{
	return golden_block(g, golden_target(golden_inode(g, g->dir)->root));
}

static struct pmfs2_bucket *one_bucket(const struct golden *g)
{
	return golden_block(g, golden_target(golden_inode(g, g->one)->root));
}

/* The first word of the node of /dir that leads to a bucket as the word behind it does. */
static uint32_t run_word(const struct golden *g)
{
	uint32_t i = 0;

	while (!le64_get(dir_node(g)[i]) || le64_get(dir_node(g)[i]) != le64_get(dir_node(g)[i + 1]))
		i++;
	return i;
}

/* All pointers of one bucket. */
static void dir_pointer_damage(const struct golden *g)
{
	uint32_t i = run_word(g);
	uint64_t word = le64_get(dir_node(g)[i]);

	for (; i < PMFS2_BLOCK_WORDS && le64_get(dir_node(g)[i]) == word; i++)
		dir_node(g)[i] = le64_of(word ^ 0x50003);
}

static void dir_node_damage(const struct golden *g)
{
	memset(dir_node(g), 0x66, PMFS2_BLOCK_SIZE);
}

static void dir_run(const struct golden *g)
{
	dir_node(g)[run_word(g)] = le64_of(0);
}

static void dir_bucket_header(const struct golden *g)
{
	struct pmfs2_bucket *b = golden_block(g, golden_target(dir_node(g)[run_word(g)]));

	b->prefix = le64_of(0x123456);
	b->depth = le32_of(9);
}

static void dir_bucket(const struct golden *g)
{
	struct pmfs2_bucket *b = one_bucket(g);

	b->sum = le64_of(le64_get(b->sum) ^ 0x505);
}

static void dir_bucket_empty(const struct golden *g)
{
	struct pmfs2_inode *in = golden_inode(g, g->empty);
	uint64_t block = golden_take_block(g);

	memset(golden_block(g, block), 0, PMFS2_BLOCK_SIZE);
	bucket_header_build(golden_block(g, block), g->empty, block, 0, 0);
	in->root = le64_of(dir_pointer(g->empty, PMFS2_ENTRY_BUCKET, block));
	in->blocks = le64_of(1);
	golden_inode_seal(in);
}

static void dir_entry(const struct golden *g)
{
	struct golden_name x = golden_name_find(g, g->one, "x1");

	x.entry->name[0] = 'q';
	x.entry->name[1] = 'w';
	x.entry->crc = le32_of(0x1010101);
}

static void dir_name(const struct golden *g)
{
	struct golden_name x = golden_name_find(g, g->one, "x1");

	memcpy(x.entry->name, "/x", 2);
	golden_name_seal(g, g->one, &x);
}

static void dir_hash(const struct golden *g)
{
	struct golden_name x = golden_name_find(g, g->one, "x1");

	x.entry->hash = le64_of(le64_get(x.entry->hash) ^ 0x300);
	golden_name_seal(g, g->one, &x);
}

static void dir_duplicate(const struct golden *g)
{
	struct golden_name x = golden_name_find(g, g->one, "x1"), y = golden_name_find(g, g->one, "y1");

	memcpy(y.entry->name, x.entry->name, 2);
	y.entry->hash = x.entry->hash;
	golden_name_seal(g, g->one, &y);
}

static void entry_set(const struct golden *g, uint64_t dir, const char *name, uint64_t ino, uint32_t type)
{
	struct golden_name at = golden_name_find(g, dir, name);

	at.entry->ino_type = le64_of(dirent_ino_type(ino, type, (uint32_t)strlen(name)));
	golden_name_seal(g, dir, &at);
}

static void dir_inode(const struct golden *g)
{
	struct pmfs2_inode *in = golden_inode(g, g->hard);

	entry_set(g, PMFS2_INO_ROOT, "hard2", 2 * PMFS2_CHUNK_INODES - 1, DT_REG);
	in->nlink = le32_of(1);
	golden_inode_seal(in);
}

static void dir_type(const struct golden *g)
{
	entry_set(g, g->one, "x1", g->x1, DT_FIFO);
}

static void parent_set(const struct golden *g, uint64_t dir, uint64_t parent)
{
	struct pmfs2_inode *in = golden_inode(g, dir);

	in->parent_or_rdev = le64_of(parent);
	golden_inode_seal(in);
}

static void dir_parent(const struct golden *g)
{
	parent_set(g, g->b, g->one);
}

static void dir_second_name(const struct golden *g)
{
	entry_set(g, g->one, "x1", g->c, DT_DIR);
}

static void dir_count(const struct golden *g)
{
	struct pmfs2_inode *in = golden_inode(g, g->dir);

	in->size = le64_of(le64_get(in->size) + 1);
	golden_inode_seal(in);
}

/* /a is c now, and the a that was there hangs below its own b. */
static void dir_loop(const struct golden *g)
{
	entry_set(g, PMFS2_INO_ROOT, "a", g->c, DT_DIR);
	entry_set(g, g->b, "c", g->a, DT_DIR);
	parent_set(g, g->c, PMFS2_INO_ROOT);
	parent_set(g, g->a, g->b);
}

const struct golden_recipe golden_recipes_dir[] = {
	{ FSCK_DIR_POINTER, dir_pointer_damage },
	{ FSCK_DIR_NODE, dir_node_damage },
	{ FSCK_DIR_RUN, dir_run },
	{ FSCK_DIR_BUCKET_HEADER, dir_bucket_header },
	{ FSCK_DIR_BUCKET, dir_bucket },
	{ FSCK_DIR_BUCKET_EMPTY, dir_bucket_empty },
	{ FSCK_DIR_ENTRY, dir_entry },
	{ FSCK_DIR_NAME, dir_name },
	{ FSCK_DIR_HASH, dir_hash },
	{ FSCK_DIR_DUPLICATE, dir_duplicate },
	{ FSCK_DIR_INODE, dir_inode },
	{ FSCK_DIR_TYPE, dir_type },
	{ FSCK_DIR_PARENT, dir_parent },
	{ FSCK_DIR_SECOND_NAME, dir_second_name },
	{ FSCK_DIR_COUNT, dir_count },
	{ FSCK_DIR_LOOP, dir_loop },
	{ FSCK_N_CODES, NULL },
};
