/* SPDX-License-Identifier: BSD-3-Clause */
/* The golden image: making it, and finding places in it. The keys that mkfs draws are replaced, so that it is always the same. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/crc32c.h"
#include "base/util.h"
#include "golden.h"
#include "pmfs2/dir_bucket.h"
#include "pmfs2/fs.h"
#include "pmfs2/inode.h"
#include "pmfs2/journal.h"
#include "pmfs2/media/super.h"
#include "pmfs2/mkfs.h"
#include "pmfs2/mount.h"
#include "pmfs2/ops.h"

static void must(int64_t r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "golden: %s: %s\n", what, strerror((int)-r));
	exit(1);
}

static struct zus_name name_of(const char *str)
{
	return (struct zus_name){ str, (uint32_t)strlen(str) };
}

static uint64_t make(struct zus_fs *fs, uint64_t dir, const char *name, struct zus_new new)
{
	struct zus_attr attr;

	must(fs->ops->create(fs, dir, name_of(name), &new, &attr), name);
	fs->ops->forget(fs, attr.node, 1);
	return attr.node;
}

static uint64_t make_dir(struct zus_fs *fs, uint64_t dir, const char *name)
{
	return make(fs, dir, name, (struct zus_new){ .mode = S_IFDIR | 0755 });
}

static uint64_t make_file(struct zus_fs *fs, uint64_t dir, const char *name)
{
	return make(fs, dir, name, (struct zus_new){ .mode = S_IFREG | 0644, .uid = 1000, .gid = 100 });
}

/* Each block begins with the file's and its own number. */
static void write_blocks(struct zus_fs *fs, uint64_t node, uint64_t n)
{
	for (uint64_t off = 0; off < n * PMFS2_BLOCK_SIZE;) {
		struct zus_extent ext[8];
		struct zus_io io = { .node = node, .off = off, .flags = ZUS_IO_WRITE, .ext = ext, .ext_cap = 8 };

		io.len = n * PMFS2_BLOCK_SIZE - off;
		must(fs->ops->io_begin(fs, &io), "io_begin");
		for (uint32_t i = 0; i < io.n_ext; i++)
			for (uint64_t done = 0; done < ext[i].len; done += PMFS2_BLOCK_SIZE, off += PMFS2_BLOCK_SIZE) {
				uint64_t block[PMFS2_BLOCK_WORDS] = { node & 0xffffffffff, off / PMFS2_BLOCK_SIZE, 1 };

				fs->ops->dev_write(fs, ext[i].dev_off + done, block, sizeof(block));
			}
		must(fs->ops->io_end(fs, &io, io.mapped), "io_end");
	}
}

static void set_xattr(struct zus_fs *fs, uint64_t node, const char *name, uint32_t len)
{
	static const char value[3000] = "value";
	struct zus_setxattr set = { .name = name_of(name), .value = { value, len } };

	must(fs->ops->setxattr(fs, node, &set), name);
}

static void fill_files(struct zus_fs *fs, struct golden *g)
{
	struct zus_attr attr;

	g->file = make_file(fs, ZUS_NODE_ROOT, "file");
	write_blocks(fs, g->file, 20);
	g->tail = make_file(fs, ZUS_NODE_ROOT, "tail");
	write_blocks(fs, g->tail, 2);
	g->small = make_file(fs, ZUS_NODE_ROOT, "small");
	write_blocks(fs, g->small, 1);
	g->huge = make_file(fs, ZUS_NODE_ROOT, "huge");
	must(fs->ops->fallocate(fs, g->huge, 0, 0, 2 << 20), "fallocate");
	write_blocks(fs, g->huge, 512);
	g->hard = make_file(fs, ZUS_NODE_ROOT, "hard");
	must(fs->ops->link(fs, g->hard, ZUS_NODE_ROOT, name_of("hard2"), &attr), "link");
	fs->ops->forget(fs, attr.node, 1);
	g->attr = make_file(fs, ZUS_NODE_ROOT, "attr");
	set_xattr(fs, g->attr, "user.one", 20);
	set_xattr(fs, g->attr, "user.two", 20);
	g->attrs = make_file(fs, ZUS_NODE_ROOT, "attrs");
	set_xattr(fs, g->attrs, "user.large", 3000);
	set_xattr(fs, g->attrs, "trusted.other", 10);
}

/* So many files that the directory has a node, of which the first n stay. */
static void fill_dir(struct zus_fs *fs, uint64_t dir, uint32_t n)
{
	char name[32];

	for (uint32_t i = 0; i < GOLDEN_MANY; i++) {
		snprintf(name, sizeof(name), "many-%03u", i);
		make_file(fs, dir, name);
	}
	for (uint32_t i = n; i < GOLDEN_MANY; i++) {
		snprintf(name, sizeof(name), "many-%03u", i);
		must(fs->ops->unlink(fs, dir, name_of(name)), "unlink");
	}
}

static void fill_others(struct zus_fs *fs, struct golden *g, uint32_t n_many)
{
	struct zus_new link = { .mode = S_IFLNK | 0777, .symlink = { "target/of", 9 } };
	char target[300];

	g->link = make(fs, ZUS_NODE_ROOT, "link", link);
	memset(target, 'x', sizeof(target));
	link.symlink = (struct zus_blob){ target, sizeof(target) };
	g->longlink = make(fs, ZUS_NODE_ROOT, "long", link);
	g->dev = make(fs, ZUS_NODE_ROOT, "dev", (struct zus_new){ .mode = S_IFCHR | 0600, .rdev = makedev(5, 1) });
	g->a = make_dir(fs, ZUS_NODE_ROOT, "a");
	g->b = make_dir(fs, g->a, "b");
	g->c = make_dir(fs, g->b, "c");
	g->empty = make_dir(fs, ZUS_NODE_ROOT, "empty");
	g->one = make_dir(fs, ZUS_NODE_ROOT, "one");
	g->x1 = make_file(fs, g->one, "x1");
	g->y1 = make_file(fs, g->one, "y1");
	g->dir = make_dir(fs, ZUS_NODE_ROOT, "dir");
	fill_dir(fs, g->dir, n_many);
}

static void fill(struct zus_fs *fs, struct golden *g, uint32_t n_many)
{
	struct zus_new new = { .mode = S_IFREG | 0600 };
	struct zus_attr attr;

	fill_files(fs, g);
	fill_others(fs, g, n_many);
	must(fs->ops->create(fs, ZUS_NODE_ROOT, name_of("orphan"), &new, &attr), "orphan");
	g->orphan = attr.node;
	write_blocks(fs, g->orphan, 3);
	must(fs->ops->unlink(fs, ZUS_NODE_ROOT, name_of("orphan")), "unlink");
}

/* Node ids are numbers and generations. */
static void nodes_to_numbers(struct golden *g)
{
	uint64_t *const nodes[] = { &g->file,	  &g->tail, &g->small, &g->huge, &g->attr,  &g->attrs, &g->link,
				    &g->longlink, &g->dev,  &g->hard,  &g->dir,	 &g->a,	    &g->b,     &g->c,
				    &g->empty,	  &g->one,  &g->x1,    &g->y1,	 &g->orphan };

	for (uint32_t i = 0; i < ARRAY_SIZE(nodes); i++)
		*nodes[i] &= (1ull << PMFS2_INO_BITS) - 1;
}

void golden_make(struct pmem *pm, uint32_t n_many, struct golden *g)
{
	const struct mkfs_params params = { .label = "golden", .uuid = { 1, 2, 3 } };
	struct zus_fs *fs;

	memset(g, 0, sizeof(*g));
	g->pm = pm;
	must(mkfs_format(pm, &params, NULL), "mkfs");
	for (int copy = 0; copy < 2; copy++) {
		struct pmfs2_super *sb = golden_super(g, copy);

		sb->hash_seed[0] = le64_of(0x0706050403020100ull);
		sb->hash_seed[1] = le64_of(0x0f0e0d0c0b0a0908ull);
		sb->journal_seed = le32_of(0x12345678);
		sb->created = le64_of(0);
		super_seal(sb);
	}
	must(pmfs2_mount_pmem(pm, NULL, 0, &fs), "mount");
	fill(fs, g, n_many);
	nodes_to_numbers(g);
	journal_checkpoint(fs_of(fs));
	fs_detach(fs_of(fs));
}

struct pmfs2_super *golden_super(const struct golden *g, int copy)
{
	return golden_block(g, copy ? (g->pm->size >> PMFS2_BLOCK_SHIFT) - 1 : 0);
}

struct pmfs2_state *golden_state(const struct golden *g)
{
	return golden_block(g, 1);
}

struct pmfs2_horizon *golden_horizon(const struct golden *g)
{
	struct pmfs2_horizon *h = golden_state(g)->horizon;

	return le64_get(h[0].written) > le64_get(h[1].written) ? &h[0] : &h[1];
}

void golden_horizon_seal(struct pmfs2_horizon *h)
{
	h->crc = le32_of(0);
	h->crc = le32_of(crc32c_of(h, sizeof(*h)));
}

uint64_t golden_target(le64 word)
{
	return le64_get(word) & PMFS2_ENTRY_BLOCK_MASK;
}

/* There are two chunks under one node. */
struct pmfs2_chunk *golden_chunk(const struct golden *g, uint64_t number)
{
	const le64 *node = golden_block(g, golden_target(golden_state(g)->itable_root));

	return golden_block(g, golden_target(node[number]));
}

struct pmfs2_inode *golden_inode(const struct golden *g, uint64_t ino)
{
	return (struct pmfs2_inode *)golden_chunk(g, ino / PMFS2_CHUNK_INODES) + ino % PMFS2_CHUNK_INODES;
}

void golden_inode_seal(struct pmfs2_inode *inode)
{
	inode_image_seal(inode);
}

/* The slot of a name in a bucket, or -1. */
static int slot_find(struct pmfs2_bucket *b, const char *name)
{
	uint32_t slots = le64_get(b->dyn) & 0xffff;

	for (uint32_t slot = 0; slot < slots; slot++) {
		uint32_t off = bucket_slot_off(bucket_slot_of(le64_get(*bucket_slot_word(b, slot)), slot));
		const struct pmfs2_dirent *de = (const struct pmfs2_dirent *)((uint8_t *)b + off);

		if (off && (le64_get(de->ino_type) >> 48 & 0xff) == strlen(name) && !memcmp(de->name, name, strlen(name)))
			return (int)slot;
	}
	return -1;
}

/* All directories here have one bucket at the root, or one node with buckets. */
struct golden_name golden_name_find(const struct golden *g, uint64_t dir, const char *name)
{
	le64 root = golden_inode(g, dir)->root, *words = &root;
	int n = 1;

	if ((le64_get(root) >> PMFS2_ENTRY_KIND_SHIFT & 7) == PMFS2_ENTRY_NODE) {
		words = golden_block(g, golden_target(root));
		n = PMFS2_BLOCK_WORDS;
	}
	for (int i = 0; i < n; i++) {
		struct pmfs2_bucket *b = golden_block(g, golden_target(words[i]));
		int slot = le64_get(words[i]) ? slot_find(b, name) : -1;

		if (slot >= 0) {
			uint32_t off =
				bucket_slot_off(bucket_slot_of(le64_get(*bucket_slot_word(b, (uint32_t)slot)), (uint32_t)slot));

			return (struct golden_name){ b, (struct pmfs2_dirent *)((uint8_t *)b + off), (uint32_t)slot };
		}
	}
	must(-ENOENT, name);
	abort();
}

void golden_name_seal(const struct golden *g, uint64_t dir, const struct golden_name *at)
{
	struct pmfs2_bucket *b = at->bucket;
	uint64_t ino_type = le64_get(at->entry->ino_type), hash = le64_get(at->entry->hash);
	uint32_t off = (uint32_t)((uint8_t *)at->entry - (uint8_t *)b);
	le64 *word = (le64 *)((uint8_t *)b + PMFS2_BUCKET_SLOTS_OFF) + at->slot / 2;

	at->entry->crc = le32_of(dirent_crc(dir, ino_type, hash, (struct zus_name){ at->entry->name, ino_type >> 48 & 0xff }));
	*word = le64_of(bucket_slot_set(le64_get(*word), at->slot, bucket_slot_value(off, hash)));
	b->sum = le64_of(bucket_slots_sum(b, le64_get(b->dyn) & 0xffff));
}

static le64 *bit_word(const struct golden *g, uint64_t block)
{
	return (le64 *)golden_block(g, le64_get(golden_super(g, 1)->segments[0].bitmap_block)) + block / 64;
}

int golden_bit_test(const struct golden *g, uint64_t block)
{
	return le64_get(*bit_word(g, block)) >> (block % 64) & 1;
}

void golden_bit_set(const struct golden *g, uint64_t block, int used)
{
	uint64_t word = le64_get(*bit_word(g, block)), mask = 1ull << (block % 64);

	*bit_word(g, block) = le64_of(used ? word | mask : word & ~mask);
}

uint64_t golden_take_block(const struct golden *g)
{
	struct pmfs2_horizon *h = golden_horizon(g);
	uint64_t block = (g->pm->size >> PMFS2_BLOCK_SHIFT) - 2;

	while (golden_bit_test(g, block))
		block--;
	golden_bit_set(g, block, 1);
	h->free_blocks = le64_of(le64_get(h->free_blocks) - 1);
	golden_horizon_seal(h);
	return block;
}
