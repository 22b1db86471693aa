/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of media errors share: a mount whose messages are kept, files with known bytes, and where things lie on media.
 */
#ifndef TESTS_UNIT_MEDIA_RIG_H
#define TESTS_UNIT_MEDIA_RIG_H

#include <stdlib.h>

#include "base/log.h"
#include "base/util.h"
#include "pmem/badpages.h"
#include "pmfs2/inode.h"

#include "lib/rig.h"

#define MIB (1ull << 20)
#define BLOCK 4096ull
#define SIZE (64 * MIB)

/* What a mount has logged. */
struct messages {
	char text[16384];
	int n_errors;
};

static inline void message_add(void *ctx, int level, const char *msg)
{
	struct messages *m = ctx;
	size_t used = strlen(m->text);

	m->n_errors += level == LOG_LEVEL_ERROR;
	snprintf(m->text + used, sizeof(m->text) - used, "%s\n", msg);
}

static struct messages messages;
static const struct zus_host host = { .abi = ZUS_PLUGIN_ABI, .ctx = &messages, .log = message_add };

static inline void mount_it(struct rig *rig)
{
	CHECK_EQ(pmfs2_mount_pmem(rig->pm, &host, 0, &rig->fs), 0);
}

static inline struct rig media_rig(void)
{
	struct mkfs_params params = { .label = "test", .n_rings = 2 };
	struct rig rig;

	CHECK_EQ(pmem_faults_catch(), 0);
	CHECK_EQ(pmem_open_anon(SIZE, &rig.pm), 0);
	CHECK_EQ(mkfs_format(rig.pm, &params, NULL), 0);
	mount_it(&rig);
	return rig;
}

/* Nothing is cached afterwards. */
static inline void again(struct rig *rig)
{
	struct pmem *pm = rig_copy(rig->pm->base, rig->pm->size);

	rig->fs->ops->unmount(rig->fs);
	rig->pm = pm;
	mount_it(rig);
}

static inline void said(const char *what)
{
	if (!strstr(messages.text, what)) {
		printf("# not said: %s\n# but: %s", what, messages.text);
		CHECK(0);
	}
}

static inline void fill(uint8_t *buf, uint64_t len, uint8_t seed)
{
	for (uint64_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(i * 31 + i / BLOCK + seed);
}

static inline uint64_t file_new(struct rig *rig, const char *name, uint64_t len, uint8_t seed)
{
	uint64_t node = rig_mknod(rig, ZUS_NODE_ROOT, name, S_IFREG | 0644);
	uint8_t *buf = malloc(len);

	CHECK(buf);
	fill(buf, len, seed);
	CHECK_EQ(rig_write(rig, node, 0, buf, len), (int64_t)len);
	free(buf);
	return node;
}

/* Reads one range and compares. The error, if there is one. */
static inline int read_check(struct rig *rig, uint64_t node, uint64_t off, uint64_t len, uint8_t seed)
{
	uint8_t *want = malloc(off + len), *got = malloc(len);
	int64_t n;

	CHECK(want && got);
	fill(want, off + len, seed);
	n = rig_read(rig, node, off, got, len);
	CHECK(n < 0 || n == (int64_t)len);
	CHECK(n < 0 || !memcmp(want + off, got, len));
	free(want);
	free(got);
	return n < 0 ? (int)n : 0;
}

/* Device offset of a byte of a file. */
static inline uint64_t data_off(struct rig *rig, uint64_t node, uint64_t off)
{
	struct zus_extent ext[1];
	struct zus_io io = { .node = node, .off = off, .len = 1, .ext = ext, .ext_cap = 1 };

	CHECK_EQ(rig->fs->ops->io_begin(rig->fs, &io), 0);
	CHECK_EQ(rig->fs->ops->io_end(rig->fs, &io, 1), 0);
	return ext[0].dev_off;
}

static inline uint64_t inode_off(struct rig *rig, uint64_t node)
{
	struct inode *ip;
	uint64_t off;

	CHECK_EQ(inode_get(fs_of(rig->fs), node, &ip), 0);
	off = pmem_off(rig->pm, ip->media);
	inode_put(fs_of(rig->fs), ip);
	return off;
}

/* Where the root word (or the xattr word) of an inode points to. */
static inline uint64_t pointed_off(struct rig *rig, uint64_t node, int xattr)
{
	const struct pmfs2_inode *media = pmem_at(rig->pm, inode_off(rig, node));
	uint64_t word = le64_get(xattr ? media->xattr : media->root);

	CHECK(word);
	return (word & PMFS2_ENTRY_BLOCK_MASK) << PMFS2_BLOCK_SHIFT;
}

static inline int truncate_to(struct rig *rig, uint64_t node, uint64_t size)
{
	struct zus_setattr set = { .valid = ZUS_SET_SIZE, .size = size };
	struct zus_attr attr;

	return rig->fs->ops->setattr(rig->fs, node, &set, &attr);
}

static inline int xattr_set(struct rig *rig, uint64_t node, uint32_t len)
{
	static const uint8_t value[3000];
	struct zus_setxattr set = { .name = rig_name("user.x"), .value = { value, len } };

	return rig->fs->ops->setxattr(rig->fs, node, &set);
}

static inline int is_damaged(struct rig *rig)
{
	return atomic_load(&fs_of(rig->fs)->damaged);
}

/* What every case has: enough of everything that is looked at. */
struct scene {
	struct rig rig;
	uint64_t good; /* a file whose inode, nodes and data lie elsewhere than what goes bad */
	uint64_t file; /* with a level 1 node */
	uint64_t dir; /* with many buckets */
	uint64_t many_node; /* of its files */
};

static inline int emit_all(void *ctx, const struct zus_dirent *entry, const struct zus_attr *attr)
{
	int *n = ctx;

	(*n)++;
	CHECK(entry->name.len < 40 && (uint8_t)entry->name.str[0] != 0xff);
	return 1;
}

static inline int dir_read(struct rig *rig, uint64_t dir, int *out_n)
{
	*out_n = 0;
	return rig->fs->ops->readdir(rig->fs, dir, 0, 0, emit_all, out_n);
}

static inline struct scene scene_new(void)
{
	struct scene sc = { .rig = media_rig() };
	char name[32];

	sc.good = file_new(&sc.rig, "good", 8 * BLOCK, 7);
	/* The others get inodes of further pages and chunks. */
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "fill%d", i);
		rig_mknod(&sc.rig, ZUS_NODE_ROOT, name, S_IFREG | 0644);
	}
	sc.dir = rig_mknod(&sc.rig, ZUS_NODE_ROOT, "dir", S_IFDIR | 0755);
	for (int i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "name-number-%d", i);
		sc.many_node = rig_mknod(&sc.rig, sc.dir, name, S_IFREG | 0644);
	}
	sc.file = file_new(&sc.rig, "file", 8 * BLOCK, 8);
	CHECK_EQ(xattr_set(&sc.rig, sc.file, 3000), 0);
	return sc;
}

/* The mount has noticed, said what and what to do, and is read-only; what is good can be read; it unmounts. */
static inline void scene_end(struct scene *sc)
{
	struct rig *rig = &sc->rig;
	struct zus_attr attr;

	said("media error");
	said("fsck.pmfs2");
	CHECK(is_damaged(rig));
	CHECK_EQ(rig_create(rig, ZUS_NODE_ROOT, "new", S_IFREG | 0644, &attr), -EROFS);
	CHECK_EQ(rig_write(rig, sc->good, 0, "x", 1), -EROFS);
	CHECK_EQ(read_check(rig, sc->good, 0, 8 * BLOCK, 7), 0);
	rig->fs->ops->unmount(rig->fs);
}

#endif
