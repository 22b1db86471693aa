/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making of the seed images. What mkfs draws at random is replaced by constants, so that the same program makes the same
 * structures at the same places; only times differ.
 */
#include "seed.h"

#include <linux/falloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "lib/rig.h"
#include "pmfs2/dir.h"
#include "pmfs2/intent.h"
#include "pmfs2/media/super.h"
#include "still.h"

#define KIB 1024u
#define WORDS_AT_ONCE 8192u
#define LONG_NAME_LEN 200
#define DEEP_NAMES 30u /* of one hash prefix: more than one bucket holds at their length */

struct maker {
	struct rig rig;
	uint32_t n_files; /* numbers of files given out */
};

/* Fills [off, off + len) with words of the file's number. */
static void data_put(struct maker *mk, uint64_t node, uint32_t number, uint64_t off, uint64_t len)
{
	static uint64_t words[WORDS_AT_ONCE];

	for (uint32_t i = 0; i < WORDS_AT_ONCE; i++)
		words[i] = SEED_STAMP << 32 | number;
	while (len) {
		uint64_t n = len < sizeof(words) ? len : sizeof(words);

		CHECK_EQ(rig_write(&mk->rig, node, off, words, n), (int64_t)n);
		off += n;
		len -= n;
	}
}

static uint64_t file_put(struct maker *mk, uint64_t dir, const char *name, uint64_t len)
{
	uint64_t node = rig_mknod(&mk->rig, dir, name, S_IFREG | 0640);

	data_put(mk, node, ++mk->n_files, 0, len);
	return node;
}

static void xattr_put(struct maker *mk, uint64_t node, const char *name, uint32_t len)
{
	static uint8_t value[16 * KIB];
	struct zus_setxattr set = { .name = rig_name(name), .value = { value, len } };

	memset(value, 'v', sizeof(value));
	CHECK_EQ(mk->rig.fs->ops->setxattr(mk->rig.fs, node, &set), 0);
}

/* A minimal default ACL: version 2, user::rwx, group::r-x, other::r-x. */
static void acl_put(struct maker *mk, uint64_t node)
{
	static const uint8_t acl[] = {
		2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 4, 0, 5, 0, 255, 255, 255, 255, 32, 0, 5, 0, 255, 255, 255, 255,
	};
	struct zus_setxattr set = { .name = rig_name("system.posix_acl_default"), .value = { acl, sizeof(acl) } };

	CHECK_EQ(mk->rig.fs->ops->setxattr(mk->rig.fs, node, &set), 0);
}

static void symlink_put(struct maker *mk, uint64_t dir, const char *name, uint32_t len)
{
	static char target[4096];
	struct zus_new new = { .mode = S_IFLNK | 0777, .symlink = { target, len } };
	struct zus_attr attr;

	memset(target, 't', sizeof(target));
	CHECK_EQ(mk->rig.fs->ops->create(mk->rig.fs, dir, rig_name(name), &new, &attr), 0);
	mk->rig.fs->ops->forget(mk->rig.fs, attr.node, 1);
}

static void special_put(struct maker *mk, uint64_t dir, const char *name, uint32_t mode)
{
	struct zus_new new = { .mode = mode, .rdev = makedev(7, 300) };
	struct zus_attr attr;

	CHECK_EQ(mk->rig.fs->ops->create(mk->rig.fs, dir, rig_name(name), &new, &attr), 0);
	mk->rig.fs->ops->forget(mk->rig.fs, attr.node, 1);
}

static void link_put(struct maker *mk, uint64_t node, uint64_t dir, const char *name)
{
	struct zus_attr attr;

	CHECK_EQ(mk->rig.fs->ops->link(mk->rig.fs, node, dir, rig_name(name), &attr), 0);
	mk->rig.fs->ops->forget(mk->rig.fs, node, 1);
}

static void fallocate_do(struct maker *mk, uint64_t node, uint32_t mode, uint64_t off, uint64_t len)
{
	CHECK_EQ(mk->rig.fs->ops->fallocate(mk->rig.fs, node, mode, off, len), 0);
}

static void flags_put(struct maker *mk, uint64_t node, uint32_t flags)
{
	struct zus_setattr set = { .valid = ZUS_SET_FLAGS, .flags = flags };
	struct zus_attr attr;

	CHECK_EQ(mk->rig.fs->ops->setattr(mk->rig.fs, node, &set, &attr), 0);
}

/* A directory of several buckets below one node: long names, all of them links to one file. */
static void split_dir_put(struct maker *mk, uint64_t node)
{
	uint64_t dir = rig_mknod(&mk->rig, ZUS_NODE_ROOT, "split", S_IFDIR | 0755);
	char name[LONG_NAME_LEN + 1];

	for (int i = 0; i < 40; i++) {
		memset(name, 'a' + i % 26, LONG_NAME_LEN);
		name[LONG_NAME_LEN] = '\0';
		name[0] = (char)('0' + i / 26);
		link_put(mk, node, dir, name);
	}
}

/* A directory whose names agree in the first 9 bits of their hash: nodes below nodes. */
static void deep_dir_put(struct maker *mk, uint64_t node)
{
	uint64_t dir = rig_mknod(&mk->rig, ZUS_NODE_ROOT, "deep", S_IFDIR | 0755);
	char name[LONG_NAME_LEN + 1];
	uint32_t found = 0;

	memset(name, 'd', LONG_NAME_LEN);
	for (uint32_t i = 0; found < DEEP_NAMES; i++) {
		snprintf(name + LONG_NAME_LEN - 10, 11, "%010u", i);
		if (dir_hash(fs_of(mk->rig.fs), rig_name(name)) >> 54 != 77)
			continue;
		link_put(mk, node, dir, name);
		found++;
	}
}

static void files_put(struct maker *mk)
{
	uint64_t node, sub;

	file_put(mk, ZUS_NODE_ROOT, "empty", 0);
	file_put(mk, ZUS_NODE_ROOT, "one", 100);
	node = file_put(mk, ZUS_NODE_ROOT, "some", 23 * KIB);
	xattr_put(mk, node, "user.inline", 20);
	node = file_put(mk, ZUS_NODE_ROOT, "hole", 4 * KIB);
	data_put(mk, node, mk->n_files, 5 * 4 * KIB, 8 * KIB);
	data_put(mk, node, mk->n_files, 700ull * 4 * KIB, 4 * KIB);
	node = file_put(mk, ZUS_NODE_ROOT, "far", 8);
	data_put(mk, node, mk->n_files, 300000ull * 4 * KIB, 24);
	node = file_put(mk, ZUS_NODE_ROOT, "unwritten", 0);
	fallocate_do(mk, node, 0, 0, 40 * KIB);
	data_put(mk, node, mk->n_files, 12 * KIB, 8 * KIB);
	fallocate_do(mk, node, FALLOC_FL_KEEP_SIZE, 40 * KIB, 16 * KIB);
	node = file_put(mk, ZUS_NODE_ROOT, "huge", 2048 * KIB);
	data_put(mk, node, mk->n_files, 2048 * KIB, 5000);
	node = file_put(mk, ZUS_NODE_ROOT, "xattrs", 10);
	xattr_put(mk, node, "user.large", 5000);
	xattr_put(mk, node, "trusted.other", 300);
	xattr_put(mk, node, "security.third", 3);
	node = file_put(mk, ZUS_NODE_ROOT, "fixed", 64);
	flags_put(mk, node, ZUS_FL_IMMUTABLE | ZUS_FL_NODUMP);
	sub = rig_mknod(&mk->rig, ZUS_NODE_ROOT, "dir", S_IFDIR | 0750);
	acl_put(mk, sub);
	node = file_put(mk, sub, "linked", 9000);
	link_put(mk, node, ZUS_NODE_ROOT, "link");
	sub = rig_mknod(&mk->rig, sub, "below", S_IFDIR | 0700);
	file_put(mk, sub, "leaf", 4096);
	rig_mknod(&mk->rig, sub, "nothing", S_IFDIR | 0700);
}

static void tree_put(struct maker *mk)
{
	uint64_t node;

	files_put(mk);
	symlink_put(mk, ZUS_NODE_ROOT, "short", 20);
	symlink_put(mk, ZUS_NODE_ROOT, "long", 1000);
	special_put(mk, ZUS_NODE_ROOT, "fifo", S_IFIFO | 0600);
	special_put(mk, ZUS_NODE_ROOT, "device", S_IFBLK | 0600);
	node = file_put(mk, ZUS_NODE_ROOT, "many", 20);
	split_dir_put(mk, node);
	deep_dir_put(mk, node);
}

/* --- what a crash leaves ------------------------------------------------------------------------------------------------- */

/* Runs in a thread of its own, and so on a journal ring and an inode chunk of its own. */
static void *other_thread(void *ctx)
{
	struct maker *mk = ctx;
	char name[32], moved[32];
	uint64_t dir, node;

	snprintf(name, sizeof(name), "other-%u", mk->n_files);
	snprintf(moved, sizeof(moved), "moved-%u", mk->n_files);
	dir = rig_mknod(&mk->rig, ZUS_NODE_ROOT, name, S_IFDIR | 0755);
	node = file_put(mk, dir, "theirs", 6000);
	link_put(mk, node, dir, "theirs too");
	CHECK_EQ(rig_rename(&mk->rig, dir, "theirs", ZUS_NODE_ROOT, moved, 0), 0);
	return NULL;
}

static void other_thread_run(struct maker *mk)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, other_thread, mk), 0);
	pthread_join(thread, NULL);
}

/* Sets an intent of a file as its operation's first record does, with the file's size as given. */
static void intent_put(struct maker *mk, const char *name, enum pmfs2_intent_kind kind, const uint64_t arg[3])
{
	struct fs *fs = fs_of(mk->rig.fs);
	struct inode_edit edit;
	struct zus_attr attr;
	struct inode *ip;
	uint32_t slot;
	struct tx tx;

	CHECK_EQ(rig_lookup(&mk->rig, ZUS_NODE_ROOT, name, &attr), 0);
	CHECK_EQ(inode_get(fs, attr.node, &ip), 0);
	CHECK_EQ(intent_reserve(fs, &slot), 0);
	tx_begin(&tx, fs);
	inode_edit_begin(&edit, ip);
	if (kind == PMFS2_INTENT_TRUNCATE)
		edit.image.size = le64_of(5000);
	intent_log_set(&tx, &edit, slot, kind, arg);
	inode_edit_log(&tx, &edit);
	CHECK_EQ(tx_commit(&tx), 0);
	inode_put(fs, ip);
}

static void orphans_put(struct maker *mk)
{
	struct zus_new new = { .mode = S_IFREG | 0600 };
	struct zus_attr attr;
	uint64_t node;

	CHECK_EQ(mk->rig.fs->ops->tmpfile(mk->rig.fs, ZUS_NODE_ROOT, &new, &attr), 0);
	data_put(mk, attr.node, ++mk->n_files, 0, 30 * KIB);
	node = file_put(mk, ZUS_NODE_ROOT, "unlinked", 9 * KIB);
	CHECK_EQ(mk->rig.fs->ops->lookup(mk->rig.fs, ZUS_NODE_ROOT, rig_name("unlinked"), &attr), 0);
	CHECK_EQ(attr.node, node);
	CHECK_EQ(mk->rig.fs->ops->unlink(mk->rig.fs, ZUS_NODE_ROOT, rig_name("unlinked")), 0);
}

static void crash_put(struct maker *mk, enum seed_kind kind)
{
	static const uint64_t no_arg[3] = { 0 }, collapse[3] = { 2, -1ull, 2 }, insert[3] = { 701, 2, 3 };

	if (kind == SEED_DIRTY) {
		orphans_put(mk);
		other_thread_run(mk);
		intent_put(mk, "some", PMFS2_INTENT_TRUNCATE, no_arg);
		other_thread_run(&(struct maker){ .rig = mk->rig, .n_files = 100 });
	} else {
		intent_put(mk, "some", PMFS2_INTENT_SHIFT, collapse);
		intent_put(mk, "hole", PMFS2_INTENT_SHIFT, insert);
	}
}

/* --- the images ---------------------------------------------------------------------------------------------------------- */

static void format(struct pmem *pm)
{
	struct mkfs_params params = { .label = "seed", .uuid = { 's', 'e', 'e', 'd' } };
	struct pmfs2_super sb;

	CHECK_EQ(mkfs_format(pm, &params, &sb), 0);
	sb.hash_seed[0] = le64_of(0x0706050403020100ull);
	sb.hash_seed[1] = le64_of(0x0f0e0d0c0b0a0908ull);
	sb.journal_seed = le32_of(0x12345678);
	super_seal(&sb);
	memcpy(pm->base, &sb, sizeof(sb));
	memcpy(pm->base + pm->size - sizeof(sb), &sb, sizeof(sb));
}

uint8_t *seed_make(enum seed_kind kind)
{
	uint8_t *base = mmap(NULL, SEED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct maker mk = { 0 };

	still_begin();
	CHECK(base != MAP_FAILED);
	CHECK_EQ(pmem_open_external(base, SEED_BYTES, &mk.rig.pm), 0);
	format(mk.rig.pm);
	CHECK_EQ(pmfs2_mount_pmem(mk.rig.pm, NULL, 0, &mk.rig.fs), 0);
	if (kind != SEED_EMPTY)
		tree_put(&mk);
	if (kind == SEED_DIRTY || kind == SEED_SHIFT) {
		fs_close(fs_of(mk.rig.fs));
		CHECK_EQ(pmem_open_external(base, SEED_BYTES, &mk.rig.pm), 0);
		CHECK_EQ(pmfs2_mount_pmem(mk.rig.pm, NULL, 0, &mk.rig.fs), 0);
		crash_put(&mk, kind);
		fs_abandon(fs_of(mk.rig.fs));
	} else {
		fs_close(fs_of(mk.rig.fs));
	}
	return base;
}

void seed_free(uint8_t *image)
{
	if (image)
		munmap(image, SEED_BYTES);
}

const char *seed_name(enum seed_kind kind)
{
	static const char *const names[] = { "empty", "tree", "dirty", "shift" };

	return names[kind % SEED_KINDS];
}
