/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine behind its operations: names, links, orphans, xattrs, recovery after a crash of the server. */
#include "lib/rig.h"

#include "base/util.h"
#include "pmfs2/inode.h"
#include "pmfs2/refs.h"

#define MIB (1024ull * 1024)
#define ROOT ZUS_NODE_ROOT

static void mount_of_garbage_is_refused(void)
{
	struct zus_fs *fs;
	struct pmem *pm;

	CHECK_EQ(pmem_open_anon(16 * MIB, &pm), 0);
	CHECK_EQ(pmfs2_mount_pmem(pm, NULL, 0, &fs), -EINVAL);
	memset(pm->base, 0xa5, pm->size);
	CHECK_EQ(pmfs2_mount_pmem(pm, NULL, 0, &fs), -EINVAL);
	pmem_close(pm);
}

static void mount_with_damaged_superblock_uses_the_copy(void)
{
	struct rig rig = rig_new(16 * MIB, 0);

	rig_mknod(&rig, ROOT, "f", S_IFREG | 0644);
	memset(rig.pm->base, 0x5a, 4096);
	rig_crash(&rig);
	struct zus_attr attr;
	CHECK_EQ(rig_lookup(&rig, ROOT, "f", &attr), 0);
}

static void create_of_all_kinds_survives_a_crash(void)
{
	static const struct {
		const char *name;
		uint32_t mode;
	} kinds[] = { { "reg", S_IFREG | 0640 }, { "dir", S_IFDIR | 01777 }, { "lnk", S_IFLNK | 0777 },
		      { "fifo", S_IFIFO | 0600 }, { "sock", S_IFSOCK | 0755 }, { "chr", S_IFCHR | 0600 } };
	struct rig rig = rig_new(16 * MIB, 0);
	struct zus_attr attr;
	char buf[64];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		rig_mknod(&rig, ROOT, kinds[i].name, kinds[i].mode);
	CHECK_EQ(rig_create(&rig, ROOT, "reg", S_IFREG, &attr), -EEXIST);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
			CHECK_EQ(rig_lookup(&rig, ROOT, kinds[i].name, &attr), 0);
			CHECK_EQ(attr.mode, kinds[i].mode);
			CHECK_EQ(attr.nlink, S_ISDIR(attr.mode) ? 2 : 1);
		}
		CHECK_EQ(rig_lookup(&rig, ROOT, "lnk", &attr), 0);
		CHECK_EQ(rig.fs->ops->readlink(rig.fs, attr.node, buf, sizeof(buf)), 6);
		CHECK(!memcmp(buf, "target", 6));
		CHECK_EQ(rig.fs->ops->getattr(rig.fs, ROOT, &attr), 0);
		CHECK_EQ(attr.nlink, 3);
		rig_crash(&rig);
	}
}

static void symlink_long_target_reads_back(void)
{
	struct rig rig = rig_new(16 * MIB, 0);
	char target[4095], buf[4096];
	struct zus_new new = { .mode = S_IFLNK | 0777, .symlink = { target, 4095 } };
	uint64_t before;
	struct zus_attr attr;

	rig_mknod(&rig, ROOT, "x", S_IFREG);
	before = rig_free_blocks(&rig);
	memset(target, 'x', sizeof(target));
	CHECK_EQ(rig.fs->ops->create(rig.fs, ROOT, rig_name("l"), &new, &attr), 0);
	rig_crash(&rig);
	CHECK_EQ(rig.fs->ops->readlink(rig.fs, attr.node, buf, sizeof(buf)), 4095);
	CHECK(!memcmp(buf, target, 4095));
	CHECK_EQ(rig.fs->ops->unlink(rig.fs, ROOT, rig_name("l")), 0);
	CHECK_EQ(rig_free_blocks(&rig), before);
}

static void unlink_while_referenced_keeps_the_file_until_forget(void)
{
	struct rig rig = rig_new(16 * MIB, 0);
	struct zus_attr attr, got;
	char buf[8];
	uint64_t before;

	rig_mknod(&rig, ROOT, "x", S_IFREG);
	before = rig_free_blocks(&rig);
	CHECK_EQ(rig_create(&rig, ROOT, "f", S_IFREG | 0644, &attr), 0);
	CHECK_EQ(rig_write(&rig, attr.node, 0, "content", 7), 7);
	CHECK_EQ(rig.fs->ops->unlink(rig.fs, ROOT, rig_name("f")), 0);
	CHECK_EQ(rig_lookup(&rig, ROOT, "f", &got), -ENOENT);
	CHECK_EQ(rig.fs->ops->getattr(rig.fs, attr.node, &got), 0);
	CHECK_EQ(got.nlink, 0);
	CHECK_EQ(rig_read(&rig, attr.node, 0, buf, 8), 7);
	rig.fs->ops->forget(rig.fs, attr.node, 1);
	CHECK_EQ(rig.fs->ops->getattr(rig.fs, attr.node, &got), -ESTALE);
	CHECK_EQ(rig_free_blocks(&rig), before);
}

static void orphans_are_freed_at_mount(void)
{
	struct rig rig = rig_new(64 * MIB, 0);
	struct zus_attr attr, got;
	struct zus_new new = { .mode = S_IFREG | 0600 };
	char name[16];
	uint64_t before, nodes[300];
	struct zus_statfs st, st2;

	rig_mknod(&rig, ROOT, "x", S_IFREG);
	before = rig_free_blocks(&rig);
	CHECK_EQ(rig.fs->ops->statfs(rig.fs, &st), 0);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		if (i % 2) {
			CHECK_EQ(rig_create(&rig, ROOT, name, S_IFREG | 0644, &attr), 0);
			CHECK_EQ(rig.fs->ops->unlink(rig.fs, ROOT, rig_name(name)), 0);
		} else {
			CHECK_EQ(rig.fs->ops->tmpfile(rig.fs, ROOT, &new, &attr), 0);
		}
		CHECK_EQ(rig_write(&rig, attr.node, 4096 * (uint64_t)i, "content", 7), 7);
		nodes[i] = attr.node;
	}
	CHECK(rig_free_blocks(&rig) < before);
	rig_crash(&rig);
	for (int i = 0; i < 300; i++)
		CHECK_EQ(rig.fs->ops->getattr(rig.fs, nodes[i], &got), -ESTALE);
	CHECK_EQ(rig.fs->ops->statfs(rig.fs, &st2), 0);
	CHECK_EQ(st2.files - st2.ffree, st.files - st.ffree);
	/* Chunks of inodes and their tree node stay. */
	CHECK(rig_free_blocks(&rig) + 2 * PMFS2_CHUNK_BLOCKS + 1 >= before);
}

static void tmpfile_that_is_linked_survives(void)
{
	struct rig rig = rig_new(16 * MIB, 0);
	struct zus_new new = { .mode = S_IFREG | 0600 };
	struct zus_attr attr, got;

	CHECK_EQ(rig.fs->ops->tmpfile(rig.fs, ROOT, &new, &attr), 0);
	CHECK_EQ(rig_write(&rig, attr.node, 0, "content", 7), 7);
	CHECK_EQ(rig.fs->ops->link(rig.fs, attr.node, ROOT, rig_name("named"), &got), 0);
	CHECK_EQ(got.nlink, 1);
	rig_crash(&rig);
	CHECK_EQ(rig_lookup(&rig, ROOT, "named", &got), 0);
	CHECK_EQ(got.size, 7);
}

static void inode_number_reused_has_another_generation(void)
{
	struct rig rig = rig_new(16 * MIB, 0);
	uint64_t a = rig_mknod(&rig, ROOT, "a", S_IFREG), b;
	struct zus_attr attr;

	CHECK_EQ(rig.fs->ops->unlink(rig.fs, ROOT, rig_name("a")), 0);
	CHECK_EQ(rig.fs->ops->getattr(rig.fs, a, &attr), -ESTALE);
	b = rig_mknod(&rig, ROOT, "b", S_IFREG);
	CHECK(a != b);
	CHECK_EQ(a & 0xffffffffffull, b & 0xffffffffffull);
	CHECK_EQ(rig.fs->ops->getattr(rig.fs, a, &attr), -ESTALE);
	CHECK_EQ(rig.fs->ops->getattr(rig.fs, b, &attr), 0);
}

static void rename_of_every_form_keeps_links_and_parents_right(void)
{
	struct rig rig = rig_new(16 * MIB, 0);
	uint64_t a = rig_mknod(&rig, ROOT, "A", S_IFDIR | 0755), b = rig_mknod(&rig, ROOT, "B", S_IFDIR | 0755);
	uint64_t sub = rig_mknod(&rig, a, "sub", S_IFDIR | 0755), f = rig_mknod(&rig, a, "f", S_IFREG | 0644);
	struct zus_attr attr;

	CHECK_EQ(rig_rename(&rig, a, "f", a, "g", 0), 0);
	CHECK_EQ(rig_lookup(&rig, a, "f", &attr), -ENOENT);
	CHECK_EQ(rig_rename(&rig, a, "g", b, "h", 0), 0);
	CHECK_EQ(rig_lookup(&rig, b, "h", &attr), 0);
	CHECK_EQ(attr.node, f);
	CHECK_EQ(rig_rename(&rig, a, "sub", b, "sub", 0), 0);
	CHECK_EQ(rig.fs->ops->getattr(rig.fs, a, &attr), 0);
	CHECK_EQ(attr.nlink, 2);
	CHECK_EQ(rig.fs->ops->getattr(rig.fs, b, &attr), 0);
	CHECK_EQ(attr.nlink, 3);
	CHECK_EQ(rig_lookup(&rig, sub, "..", &attr), 0);
	CHECK_EQ(attr.node, b);
	CHECK_EQ(rig_rename(&rig, ROOT, "B", sub, "loop", 0), -EINVAL);
	CHECK_EQ(rig_rename(&rig, b, "h", b, "sub", 0), -EISDIR);
	CHECK_EQ(rig_rename(&rig, b, "sub", b, "h", 0), -ENOTDIR);
	CHECK_EQ(rig_rename(&rig, b, "h", b, "sub", ZUS_RENAME_NOREPLACE), -EEXIST);
	CHECK_EQ(rig_rename(&rig, b, "sub", ROOT, "A", ZUS_RENAME_EXCHANGE), 0);
	CHECK_EQ(rig_lookup(&rig, ROOT, "A", &attr), 0);
	CHECK_EQ(attr.node, sub);
	CHECK_EQ(rig_lookup(&rig, a, "..", &attr), 0);
	CHECK_EQ(attr.node, b);
	CHECK_EQ(rig_rename(&rig, ROOT, "A", b, "h", ZUS_RENAME_EXCHANGE), 0);
	CHECK_EQ(rig_lookup(&rig, ROOT, "A", &attr), 0);
	CHECK_EQ(attr.node, f);
	CHECK_EQ(rig.fs->ops->getattr(rig.fs, ROOT, &attr), 0);
	CHECK_EQ(attr.nlink, 3);
	CHECK_EQ(rig.fs->ops->getattr(rig.fs, b, &attr), 0);
	CHECK_EQ(attr.nlink, 4);
	/* B/sub is a, B/h is sub: over an empty directory, then over a directory that is not. */
	rig_mknod(&rig, a, "inner", S_IFREG);
	CHECK_EQ(rig_rename(&rig, b, "h", b, "sub", 0), -ENOTEMPTY);
	CHECK_EQ(rig.fs->ops->unlink(rig.fs, a, rig_name("inner")), 0);
	CHECK_EQ(rig_rename(&rig, b, "h", b, "sub", 0), 0);
	CHECK_EQ(rig.fs->ops->getattr(rig.fs, a, &attr), -ESTALE);
	CHECK_EQ(rig_rename(&rig, ROOT, "A", ROOT, "W", ZUS_RENAME_WHITEOUT), 0);
	CHECK_EQ(rig_lookup(&rig, ROOT, "A", &attr), 0);
	CHECK_EQ(attr.mode & S_IFMT, S_IFCHR);
	CHECK_EQ(attr.rdev, 0);
	rig_crash(&rig);
	CHECK_EQ(rig_lookup(&rig, ROOT, "W", &attr), 0);
	CHECK_EQ(attr.node, f);
	CHECK_EQ(rig.fs->ops->getattr(rig.fs, b, &attr), 0);
	CHECK_EQ(attr.nlink, 3);
}

/* A device whose number is that of its own inode looks like a directory that is its own parent. */
static void rename_in_what_is_no_directory_is_refused(void)
{
	struct rig rig = rig_new(8 * MIB, 0);
	struct zus_new new = { .mode = S_IFCHR | 0600 };
	uint64_t dir = rig_mknod(&rig, ROOT, "d", S_IFDIR | 0755);
	struct zus_attr first, attr;

	rig_mknod(&rig, dir, "f", S_IFREG | 0600);
	/* The number of an inode that goes is that of the next one. */
	CHECK_EQ(rig_create(&rig, ROOT, "dev", S_IFREG | 0600, &first), 0);
	rig.fs->ops->forget(rig.fs, first.node, 1);
	CHECK_EQ(rig.fs->ops->unlink(rig.fs, ROOT, rig_name("dev")), 0);
	new.rdev = first.ino;
	CHECK_EQ(rig.fs->ops->create(rig.fs, ROOT, rig_name("dev"), &new, &attr), 0);
	CHECK_EQ(attr.ino, first.ino);
	CHECK_EQ(rig_rename(&rig, dir, "f", attr.node, "g", 0), -ENOTDIR);
	CHECK_EQ(rig_rename(&rig, attr.node, "f", dir, "g", 0), -ENOTDIR);
	CHECK_EQ(rig_rename(&rig, dir, "f", ROOT, "g", 0), 0);
}

static void rename_within_one_directory_of_one_entry_works(void)
{
	struct rig rig = rig_new(16 * MIB, 0);
	struct zus_attr attr;
	char a[16], b[16];

	rig_mknod(&rig, ROOT, "n0", S_IFREG);
	for (int i = 0; i < 500; i++) {
		snprintf(a, sizeof(a), "n%d", i);
		snprintf(b, sizeof(b), "n%d", i + 1);
		CHECK_EQ(rig_rename(&rig, ROOT, a, ROOT, b, 0), 0);
		CHECK_EQ(rig_lookup(&rig, ROOT, a, &attr), -ENOENT);
		CHECK_EQ(rig_lookup(&rig, ROOT, b, &attr), 0);
	}
}

static int set_xattr(struct rig *rig, uint64_t node, const char *name, const void *value, uint32_t len, uint32_t flags)
{
	struct zus_setxattr set = { .name = rig_name(name), .value = { value, len }, .flags = flags };

	return rig->fs->ops->setxattr(rig->fs, node, &set);
}

static void xattr_inline_and_in_block_read_back(void)
{
	struct rig rig = rig_new(16 * MIB, 0);
	uint64_t f, before;
	char big[3000], buf[4096];
	static char huge[65536], huge_got[65536];

	memset(huge, 'h', sizeof(huge));
	f = rig_mknod(&rig, ROOT, "f", S_IFREG);
	before = rig_free_blocks(&rig);
	memset(big, 'b', sizeof(big));
	CHECK_EQ(set_xattr(&rig, f, "user.small", "v1", 2, 0), 0);
	CHECK_EQ(set_xattr(&rig, f, "user.small", "v1", 2, ZUS_XATTR_CREATE), -EEXIST);
	CHECK_EQ(set_xattr(&rig, f, "user.none", "v1", 2, ZUS_XATTR_REPLACE), -ENODATA);
	CHECK_EQ(set_xattr(&rig, f, "nons.x", "v1", 2, 0), -EOPNOTSUPP);
	CHECK_EQ(rig_free_blocks(&rig), before);
	CHECK_EQ(set_xattr(&rig, f, "user.big", big, sizeof(big), 0), 0);
	CHECK_EQ(rig_free_blocks(&rig), before - 1);
	CHECK_EQ(set_xattr(&rig, f, "user.big2", huge, sizeof(huge), 0), 0);
	CHECK_EQ(rig_free_blocks(&rig), before - 17);
	CHECK_EQ(set_xattr(&rig, f, "user.big3", huge, sizeof(huge), 0), -ENOSPC);
	rig_crash(&rig);
	CHECK_EQ(rig.fs->ops->getxattr(rig.fs, f, rig_name("user.big"), buf, sizeof(buf)), 3000);
	CHECK(!memcmp(buf, big, 3000));
	CHECK_EQ(rig.fs->ops->getxattr(rig.fs, f, rig_name("user.small"), buf, sizeof(buf)), 2);
	CHECK_EQ(rig.fs->ops->getxattr(rig.fs, f, rig_name("user.small"), buf, 1), -ERANGE);
	CHECK_EQ(rig.fs->ops->getxattr(rig.fs, f, rig_name("user.big2"), huge_got, sizeof(huge_got)), 65536);
	CHECK(!memcmp(huge, huge_got, sizeof(huge)));
	CHECK_EQ(rig.fs->ops->listxattr(rig.fs, f, buf, sizeof(buf)), 30);
	CHECK_EQ(rig.fs->ops->removexattr(rig.fs, f, rig_name("user.big2")), 0);
	CHECK_EQ(rig.fs->ops->removexattr(rig.fs, f, rig_name("user.big")), 0);
	CHECK_EQ(rig.fs->ops->removexattr(rig.fs, f, rig_name("user.big")), -ENODATA);
	CHECK_EQ(rig.fs->ops->getxattr(rig.fs, f, rig_name("user.small"), buf, sizeof(buf)), 2);
	CHECK_EQ(rig_free_blocks(&rig), before);
}

static void xattr_set_of_many_blocks_can_be_replaced_on_and_on(void)
{
	struct rig rig = rig_new(64 * MIB, 0);
	static char value[65536];
	uint64_t f[2] = { rig_mknod(&rig, ROOT, "f", S_IFREG), rig_mknod(&rig, ROOT, "g", S_IFREG) };

	/* The freed runs rest until a checkpoint: room must be found in other groups, or by making one. */
	for (uint32_t i = 0; i < 4000; i++)
		CHECK_EQ(set_xattr(&rig, f[i % 2], i % 4 < 2 ? "user.a" : "user.b", value, 60000 + i, 0), 0);
}

static void flags_immutable_and_append_are_enforced(void)
{
	struct rig rig = rig_new(16 * MIB, 0);
	uint64_t f = rig_mknod(&rig, ROOT, "f", S_IFREG);
	struct zus_setattr set = { .valid = ZUS_SET_FLAGS, .flags = ZUS_FL_IMMUTABLE };
	struct zus_attr attr;

	CHECK_EQ(rig.fs->ops->setattr(rig.fs, f, &set, &attr), 0);
	CHECK_EQ(attr.flags, ZUS_FL_IMMUTABLE);
	CHECK_EQ(rig_write(&rig, f, 0, "x", 1), -EPERM);
	CHECK_EQ(rig.fs->ops->unlink(rig.fs, ROOT, rig_name("f")), -EPERM);
	CHECK_EQ(rig_rename(&rig, ROOT, "f", ROOT, "g", 0), -EPERM);
	CHECK_EQ(set_xattr(&rig, f, "user.a", "v", 1, 0), -EPERM);
	set.flags = ZUS_FL_APPEND;
	CHECK_EQ(rig.fs->ops->setattr(rig.fs, f, &set, &attr), 0);
	CHECK_EQ(rig_write(&rig, f, 0, "x", 1), 1);
	CHECK_EQ(rig_write(&rig, f, 0, "x", 1), -EPERM);
	CHECK_EQ(rig_write(&rig, f, 1, "x", 1), 1);
	set = (struct zus_setattr){ .valid = ZUS_SET_SIZE };
	CHECK_EQ(rig.fs->ops->setattr(rig.fs, f, &set, &attr), -EPERM);
}

static void full_device_stays_usable_and_space_comes_back(void)
{
	struct rig rig = rig_new(16 * MIB, 0);
	uint64_t before, f;
	char name[32], buf[4096];
	int n = 0, err = 0;
	struct zus_attr attr;

	rig_mknod(&rig, ROOT, "x", S_IFREG);
	before = rig_free_blocks(&rig);
	memset(buf, 'z', sizeof(buf));
	for (; !err; n++) {
		snprintf(name, sizeof(name), "file%d", n);
		err = rig_create(&rig, ROOT, name, S_IFREG, &attr);
		if (err)
			break;
		f = attr.node;
		for (int i = 0; i < 8 && !err; i++) {
			int64_t r = rig_write(&rig, f, (uint64_t)i * 4096, buf, 4096);

			err = r < 0 ? (int)r : 0;
		}
		rig.fs->ops->forget(rig.fs, f, 1);
	}
	CHECK_EQ(err, -ENOSPC);
	CHECK(n > 100);
	rig_crash(&rig);
	for (int i = 0; i <= n; i++) {
		snprintf(name, sizeof(name), "file%d", i);
		err = rig.fs->ops->unlink(rig.fs, ROOT, rig_name(name));
		CHECK(!err || (err == -ENOENT && i == n));
	}
	/* Inode chunks and nodes of the directory's tree stay. */
	CHECK(rig_free_blocks(&rig) + (uint64_t)(n / 255 + 1) * (PMFS2_CHUNK_BLOCKS + 1) + 4 >= before);
	CHECK_EQ(rig_create(&rig, ROOT, "again", S_IFREG, &attr), 0);
	CHECK_EQ(rig_write(&rig, attr.node, 0, buf, 4096), 4096);
}

static void journal_wraps_many_times_and_recovers(void)
{
	struct rig rig = rig_new(16 * MIB, 0);
	struct zus_attr attr;
	char name[16];

	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "w%d", i % 50);
		if (i >= 50)
			CHECK_EQ(rig.fs->ops->unlink(rig.fs, ROOT, rig_name(name)), 0);
		rig_mknod(&rig, ROOT, name, S_IFREG | (uint32_t)(i & 0777));
		if (i % 250 == 249)
			rig_crash(&rig);
	}
	for (int i = 2950; i < 3000; i++) {
		snprintf(name, sizeof(name), "w%d", i % 50);
		CHECK_EQ(rig_lookup(&rig, ROOT, name, &attr), 0);
		CHECK_EQ(attr.mode & 0777, i & 0777);
	}
}

static void freed_metadata_block_reused_for_data_is_not_replayed_over(void)
{
	struct rig rig = rig_new(5 * MIB, 0);
	static char buf[65536], got[65536];
	char name[24];
	uint64_t d, f;

	/* Buckets are written by records, freed, and the device is then filled with data, which replay must not change. */
	d = rig_mknod(&rig, ROOT, "d", S_IFDIR | 0755);
	f = rig_mknod(&rig, ROOT, "data", S_IFREG);
	for (int i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "a-long-name-%d", i);
		rig_mknod(&rig, d, name, S_IFREG);
	}
	for (int i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "a-long-name-%d", i);
		CHECK_EQ(rig.fs->ops->unlink(rig.fs, d, rig_name(name)), 0);
	}
	CHECK_EQ(rig.fs->ops->rmdir(rig.fs, ROOT, rig_name("d")), 0);
	memset(buf, 0xdd, sizeof(buf));
	uint64_t off = 0;
	while (rig_write(&rig, f, off, buf, 4096) == 4096)
		off += 4096;
	CHECK(off > 512 * 1024);
	rig_crash(&rig);
	for (uint64_t at = 0; at < off; at += sizeof(got)) {
		uint64_t n = u64_min(sizeof(got), off - at);

		CHECK_EQ(rig_read(&rig, f, at, got, n), (int64_t)n);
		CHECK(!memcmp(got, buf, n));
	}
}

static void intents_more_than_the_first_blocks_hold(void)
{
	struct rig rig = rig_new(64 * MIB, 0);
	struct zus_new new = { .mode = S_IFREG | 0600 };
	struct zus_attr attr;
	struct zus_statfs a, b;
	int n = 127 * 20;

	CHECK_EQ(rig.fs->ops->statfs(rig.fs, &a), 0);
	for (int i = 0; i < n; i++)
		CHECK_EQ(rig.fs->ops->tmpfile(rig.fs, ROOT, &new, &attr), 0);
	rig_crash(&rig);
	CHECK_EQ(rig.fs->ops->statfs(rig.fs, &b), 0);
	CHECK_EQ(a.files - a.ffree, b.files - b.ffree);
}

static void refs_random_counts_match_a_reference(void)
{
	uint64_t seed = tap_seed();
	static uint32_t model[5000];
	struct refs *refs;

	CHECK_EQ(refs_new(&refs), 0);
	for (int i = 0; i < 200000; i++) {
		uint64_t k = tap_rand(&seed) % 5000;

		if (tap_rand(&seed) % 2 || !model[k]) {
			CHECK_EQ(refs_get(refs, k + 1), 0);
			model[k]++;
		} else {
			uint64_t n = 1 + tap_rand(&seed) % model[k];

			model[k] -= (uint32_t)n;
			CHECK_EQ(refs_put(refs, k + 1, n), model[k] == 0);
		}
		CHECK_EQ(refs_count(refs, k + 1), model[k]);
	}
	refs_free(refs);
}

struct thread_arg {
	struct rig *rig;
	uint64_t dir;
	int number;
};

static void *thread_run(void *opaque)
{
	struct thread_arg *arg = opaque;
	char name[32], to[32];

	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "t%d-%d", arg->number, i % 40);
		snprintf(to, sizeof(to), "t%d-r%d", arg->number, i % 40);
		rig_mknod(arg->rig, arg->dir, name, i % 7 ? S_IFREG | 0600 : S_IFDIR | 0700);
		CHECK_EQ(rig_rename(arg->rig, arg->dir, name, arg->dir, to, 0), 0);
		if (i % 7)
			CHECK_EQ(arg->rig->fs->ops->unlink(arg->rig->fs, arg->dir, rig_name(to)), 0);
		else
			CHECK_EQ(arg->rig->fs->ops->rmdir(arg->rig->fs, arg->dir, rig_name(to)), 0);
	}
	return NULL;
}

static void threads_in_one_and_in_several_directories_leave_nothing_behind(void)
{
	struct rig rig = rig_new(64 * MIB, 0);
	struct thread_arg args[8];
	pthread_t threads[8];
	struct zus_statfs a, b;

	for (int i = 0; i < 8; i++) {
		char name[16];

		snprintf(name, sizeof(name), "d%d", i);
		args[i] = (struct thread_arg){ &rig, i < 4 ? ROOT : rig_mknod(&rig, ROOT, name, S_IFDIR | 0755), i };
	}
	CHECK_EQ(rig.fs->ops->statfs(rig.fs, &a), 0);
	for (int i = 0; i < 8; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, thread_run, &args[i]), 0);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	rig_crash(&rig);
	CHECK_EQ(rig.fs->ops->statfs(rig.fs, &b), 0);
	CHECK_EQ(a.files - a.ffree, b.files - b.ffree);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(mount_of_garbage_is_refused),
		TAP_CASE(mount_with_damaged_superblock_uses_the_copy),
		TAP_CASE(create_of_all_kinds_survives_a_crash),
		TAP_CASE(symlink_long_target_reads_back),
		TAP_CASE(unlink_while_referenced_keeps_the_file_until_forget),
		TAP_CASE(orphans_are_freed_at_mount),
		TAP_CASE(tmpfile_that_is_linked_survives),
		TAP_CASE(inode_number_reused_has_another_generation),
		TAP_CASE(rename_of_every_form_keeps_links_and_parents_right),
		TAP_CASE(rename_in_what_is_no_directory_is_refused),
		TAP_CASE(rename_within_one_directory_of_one_entry_works),
		TAP_CASE(xattr_inline_and_in_block_read_back),
		TAP_CASE(xattr_set_of_many_blocks_can_be_replaced_on_and_on),
		TAP_CASE(flags_immutable_and_append_are_enforced),
		TAP_CASE(full_device_stays_usable_and_space_comes_back),
		TAP_CASE(journal_wraps_many_times_and_recovers),
		TAP_CASE(freed_metadata_block_reused_for_data_is_not_replayed_over),
		TAP_CASE(intents_more_than_the_first_blocks_hold),
		TAP_CASE(refs_random_counts_match_a_reference),
		TAP_CASE(threads_in_one_and_in_several_directories_leave_nothing_behind),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
