/* SPDX-License-Identifier: BSD-3-Clause */
/* Every operation of struct zus_ops but mount and unmount, in the ways that make different calls inside. */
#include <linux/falloc.h>

#include "base/util.h"
#include "faults/scene.h"
#include "pmfs2/intent.h"

#define ROOT ZUS_NODE_ROOT
#define KIB 1024ull
#define MIB (1024 * KIB)

static const struct zus_ops *ops_of(const struct scene *sc)
{
	return sc->rig.fs->ops;
}

static int keep(struct scene *sc, const struct zus_attr *attr, int err)
{
	if (!err)
		sc->held[sc->n_held++] = attr->node;
	return err;
}

static int lookup(struct scene *sc, uint64_t dir, const char *name)
{
	struct zus_attr attr;

	return keep(sc, &attr, ops_of(sc)->lookup(sc->rig.fs, dir, rig_name(name), &attr));
}

static int create(struct scene *sc, uint64_t dir, const char *name, const struct zus_new *new)
{
	struct zus_attr attr;

	return keep(sc, &attr, ops_of(sc)->create(sc->rig.fs, dir, rig_name(name), new, &attr));
}

static int set(struct scene *sc, uint64_t node, const struct zus_setattr *change)
{
	struct zus_attr attr;

	return ops_of(sc)->setattr(sc->rig.fs, node, change, &attr);
}

static int resize(struct scene *sc, uint64_t node, uint64_t size)
{
	return set(sc, node, &(struct zus_setattr){ .valid = ZUS_SET_SIZE, .size = size });
}

static int io_write(struct scene *sc, uint64_t node, uint64_t off, size_t len)
{
	static uint8_t buf[2 * MIB];

	memset(buf, 0x77, len);
	return (int)rig_write(&sc->rig, node, off, buf, len);
}

static int io_read(struct scene *sc, uint64_t node, uint64_t off, size_t len)
{
	static uint8_t buf[MIB];

	return (int)rig_read(&sc->rig, node, off, buf, len);
}

static int allocate(struct scene *sc, uint64_t node, uint32_t mode, uint64_t off, uint64_t len)
{
	return ops_of(sc)->fallocate(sc->rig.fs, node, mode, off, len);
}

static int xattr_set(struct scene *sc, uint64_t node, const char *name, uint32_t len)
{
	static const uint8_t value[65536] = { 1, 2, 3 };
	struct zus_setxattr change = { .name = rig_name(name), .value = { value, len } };

	return ops_of(sc)->setxattr(sc->rig.fs, node, &change);
}

/* --- names ------------------------------------------------------------------------------------------------------------------ */

static int lookup_name(struct scene *sc)
{
	return lookup(sc, ROOT, "file");
}
static int lookup_self(struct scene *sc)
{
	return lookup(sc, sc->node[NODE_SUB], ".");
}
static int lookup_parent(struct scene *sc)
{
	return lookup(sc, sc->node[NODE_SUB], "..");
}
static int create_file(struct scene *sc)
{
	return create(sc, sc->node[NODE_DIR], "new", &(struct zus_new){ .mode = S_IFREG | 0644 });
}
static int create_dir(struct scene *sc)
{
	return create(sc, sc->node[NODE_SUB], "new", &(struct zus_new){ .mode = S_IFDIR | 0755 });
}
static int create_symlink_long(struct scene *sc)
{
	static char target[3000];

	memset(target, 't', sizeof(target));
	return create(sc, ROOT, "new", &(struct zus_new){ .mode = S_IFLNK | 0777, .symlink = { target, sizeof(target) } });
}
static int create_with_acls(struct scene *sc)
{
	uint8_t access[SCENE_ACL_MAX], dflt[SCENE_ACL_MAX];
	struct zus_new new = { .mode = S_IFDIR | 0774 };

	new.acl_access = (struct zus_blob){ access, scene_acl(access, 50) };
	new.acl_default = (struct zus_blob){ dflt, scene_acl(dflt, 40) };
	return create(sc, ROOT, "new", &new);
}
static int create_in_full_bucket(struct scene *sc)
{
	char name[256];

	memset(name, 'm', 240);
	name[240] = '\0';
	return create(sc, sc->node[NODE_FULL], name, &(struct zus_new){ .mode = S_IFREG | 0644 });
}
static int make_tmpfile(struct scene *sc)
{
	struct zus_attr attr;

	return keep(sc, &attr, ops_of(sc)->tmpfile(sc->rig.fs, ROOT, &(struct zus_new){ .mode = S_IFREG | 0600 }, &attr));
}
static int prepare_tmpfile(struct scene *sc)
{
	int err = make_tmpfile(sc);

	sc->made = sc->held[0];
	return err < 0 ? err : io_write(sc, sc->made, 0, 5000);
}
/* No slot is left for another intent: the chain has to grow. */
static int prepare_no_intents(struct scene *sc)
{
	struct fs *fs = fs_of(sc->rig.fs);
	uint32_t n = le32_get(fs->sb->n_intent_blocks) * PMFS2_INTENTS_PER_BLOCK, slot;

	for (uint32_t i = 0; i < n; i++)
		if (intent_reserve(fs, &slot))
			return -ENOSPC;
	return 0;
}
static int link_name(struct scene *sc)
{
	struct zus_attr attr;

	return keep(sc, &attr, ops_of(sc)->link(sc->rig.fs, sc->node[NODE_FILE], sc->node[NODE_DIR], rig_name("l"), &attr));
}
static int link_tmpfile(struct scene *sc)
{
	struct zus_attr attr;

	return keep(sc, &attr, ops_of(sc)->link(sc->rig.fs, sc->made, ROOT, rig_name("named"), &attr));
}
static int unlink_small(struct scene *sc)
{
	return ops_of(sc)->unlink(sc->rig.fs, ROOT, rig_name("file"));
}
static int unlink_huge(struct scene *sc)
{
	return ops_of(sc)->unlink(sc->rig.fs, ROOT, rig_name("big"));
}
static int unlink_in_steps(struct scene *sc)
{
	return ops_of(sc)->unlink(sc->rig.fs, ROOT, rig_name("many"));
}
static int unlink_one_of_two(struct scene *sc)
{
	return ops_of(sc)->unlink(sc->rig.fs, ROOT, rig_name("hard1"));
}
static int unlink_xattrs(struct scene *sc)
{
	return ops_of(sc)->unlink(sc->rig.fs, ROOT, rig_name("xbig"));
}
static int prepare_held(struct scene *sc)
{
	return lookup(sc, ROOT, "file");
}
static int prepare_held_unlinked(struct scene *sc)
{
	struct zus_attr attr;
	int err = ops_of(sc)->lookup(sc->rig.fs, ROOT, rig_name("many"), &attr);

	sc->made = attr.node;
	return err ? err : unlink_in_steps(sc);
}
static int forget_last(struct scene *sc)
{
	ops_of(sc)->forget(sc->rig.fs, sc->made, 1);
	return 0;
}
static int remove_dir(struct scene *sc)
{
	return ops_of(sc)->rmdir(sc->rig.fs, ROOT, rig_name("empty"));
}
static int rename_in_dir(struct scene *sc)
{
	return rig_rename(&sc->rig, ROOT, "file", ROOT, "renamed", 0);
}
static int rename_to_full_bucket(struct scene *sc)
{
	char name[256];

	memset(name, 'm', 240);
	name[240] = '\0';
	return rig_rename(&sc->rig, ROOT, "file", sc->node[NODE_FULL], name, 0);
}
static int rename_dir(struct scene *sc)
{
	return rig_rename(&sc->rig, sc->node[NODE_DIR], "sub", ROOT, "moved", 0);
}
static int rename_over_many(struct scene *sc)
{
	return rig_rename(&sc->rig, ROOT, "file", ROOT, "many", 0);
}
static int rename_exchange(struct scene *sc)
{
	return rig_rename(&sc->rig, ROOT, "file", ROOT, "dir", ZUS_RENAME_EXCHANGE);
}
static int rename_whiteout(struct scene *sc)
{
	return rig_rename(&sc->rig, ROOT, "file", sc->node[NODE_DIR], "out", ZUS_RENAME_WHITEOUT);
}
static int readlink_short(struct scene *sc)
{
	char buf[4096];

	return ops_of(sc)->readlink(sc->rig.fs, sc->node[NODE_LINK], buf, sizeof(buf));
}
static int readlink_long(struct scene *sc)
{
	char buf[4096];

	return ops_of(sc)->readlink(sc->rig.fs, sc->node[NODE_LONG], buf, sizeof(buf));
}

static int entry_take(void *opaque, const struct zus_dirent *entry, const struct zus_attr *attr)
{
	struct scene *sc = opaque;

	(void)entry;
	if (sc->n_held == SCENE_N_HELD)
		return 0;
	if (attr)
		sc->held[sc->n_held++] = attr->node;
	return 1;
}
static int read_dir(struct scene *sc)
{
	return ops_of(sc)->readdir(sc->rig.fs, ROOT, 0, 0, entry_take, sc);
}
static int read_dir_plus(struct scene *sc)
{
	return ops_of(sc)->readdir(sc->rig.fs, ROOT, 0, 1, entry_take, sc);
}

/* --- attributes ------------------------------------------------------------------------------------------------------------- */

static int get_attr(struct scene *sc)
{
	struct zus_attr attr;

	return ops_of(sc)->getattr(sc->rig.fs, sc->node[NODE_FILE], &attr);
}
static int set_mode(struct scene *sc)
{
	return set(sc, sc->node[NODE_FILE], &(struct zus_setattr){ .valid = ZUS_SET_MODE | ZUS_SET_UID, .mode = 0600, .uid = 5 });
}
static int set_acl(struct scene *sc)
{
	uint8_t acl[SCENE_ACL_MAX];
	struct zus_setattr change = { .valid = ZUS_SET_MODE | ZUS_SET_ACL, .mode = 0774 };

	change.acl = (struct zus_blob){ acl, scene_acl(acl, 70) };
	return set(sc, sc->node[NODE_FILE], &change);
}
static int truncate_small(struct scene *sc)
{
	return resize(sc, sc->node[NODE_FILE], 4096);
}
static int truncate_in_steps(struct scene *sc)
{
	return resize(sc, sc->node[NODE_MANY], 100);
}
static int truncate_cuts_huge(struct scene *sc)
{
	return resize(sc, sc->node[NODE_BIG], MIB);
}
static int truncate_tmpfile_in_steps(struct scene *sc)
{
	return resize(sc, sc->made, 0);
}
static int grow(struct scene *sc)
{
	return resize(sc, sc->node[NODE_FILE], 10 * MIB);
}
static int get_xattr(struct scene *sc)
{
	char buf[8192];

	return ops_of(sc)->getxattr(sc->rig.fs, sc->node[NODE_XBIG], rig_name("user.big"), buf, sizeof(buf));
}
static int list_xattr(struct scene *sc)
{
	char buf[8192];

	return ops_of(sc)->listxattr(sc->rig.fs, sc->node[NODE_XBIG], buf, sizeof(buf));
}
static int set_xattr_inline(struct scene *sc)
{
	return xattr_set(sc, sc->node[NODE_XSMALL], "user.b", 10);
}
static int set_xattr_to_block(struct scene *sc)
{
	return xattr_set(sc, sc->node[NODE_XSMALL], "user.b", 5000);
}
static int set_xattr_in_block(struct scene *sc)
{
	return xattr_set(sc, sc->node[NODE_XBIG], "user.mid", 3500);
}
static int set_xattr_smaller(struct scene *sc)
{
	return xattr_set(sc, sc->node[NODE_XBIG], "user.big", 100);
}
static int remove_xattr(struct scene *sc)
{
	return ops_of(sc)->removexattr(sc->rig.fs, sc->node[NODE_XBIG], rig_name("user.mid"));
}

/* --- data ------------------------------------------------------------------------------------------------------------------- */

static int read_data(struct scene *sc)
{
	return io_read(sc, sc->node[NODE_BIG], MIB, 5000);
}
static int read_hole(struct scene *sc)
{
	return io_read(sc, sc->node[NODE_SPARSE], 4096, 100000);
}
static int overwrite(struct scene *sc)
{
	return io_write(sc, sc->node[NODE_FILE], 100, 5000);
}
static int append(struct scene *sc)
{
	return io_write(sc, sc->node[NODE_FILE], 3 * 4096 + 100, 20000);
}
static int write_grows_tree(struct scene *sc)
{
	return io_write(sc, sc->node[NODE_FILE], 3ull << 30, 5000);
}
static int write_hole(struct scene *sc)
{
	return io_write(sc, sc->node[NODE_SPARSE], 200000ull * 4096, 30000);
}
static int write_huge(struct scene *sc)
{
	return io_write(sc, sc->node[NODE_FILE], 4 * MIB, 2 * MIB);
}
static int write_beyond_tail(struct scene *sc)
{
	return io_write(sc, sc->node[NODE_BIG], 5 * MIB, 100);
}
static int preallocate(struct scene *sc)
{
	return allocate(sc, sc->node[NODE_FILE], 0, 0, 300 * KIB);
}
static int preallocate_huge(struct scene *sc)
{
	return allocate(sc, sc->node[NODE_FILE], FALLOC_FL_KEEP_SIZE, 2 * MIB, 4 * MIB);
}
static int punch_blocks(struct scene *sc)
{
	return allocate(sc, sc->node[NODE_FILE], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 8200);
}
static int punch_huge(struct scene *sc)
{
	return allocate(sc, sc->node[NODE_BIG], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MIB, 64 * KIB);
}
static int punch_in_steps(struct scene *sc)
{
	return allocate(sc, sc->node[NODE_MANY], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 1290 * 4096);
}
static int zero_range(struct scene *sc)
{
	return allocate(sc, sc->node[NODE_SPARSE], FALLOC_FL_ZERO_RANGE, 100, 3 * MIB);
}
static int collapse_huge(struct scene *sc)
{
	return allocate(sc, sc->node[NODE_BIG], FALLOC_FL_COLLAPSE_RANGE, 4096, 8192);
}
static int collapse_sparse(struct scene *sc)
{
	return allocate(sc, sc->node[NODE_SPARSE], FALLOC_FL_COLLAPSE_RANGE, 4096, 513 * 4096);
}
static int insert_blocks(struct scene *sc)
{
	return allocate(sc, sc->node[NODE_MANY], FALLOC_FL_INSERT_RANGE, 100 * 4096, 700 * 4096);
}
static int insert_huge(struct scene *sc)
{
	return allocate(sc, sc->node[NODE_BIG], FALLOC_FL_INSERT_RANGE, 0, 2 * MIB);
}
static int seek_data(struct scene *sc)
{
	uint64_t off;

	return ops_of(sc)->seek(sc->rig.fs, sc->node[NODE_SPARSE], 5000, ZUS_SEEK_DATA, &off);
}
static int seek_hole(struct scene *sc)
{
	uint64_t off;

	return ops_of(sc)->seek(sc->rig.fs, sc->node[NODE_SPARSE], 0, ZUS_SEEK_HOLE, &off);
}

/* --- the whole ----------------------------------------------------------------------------------------------------------- */

static int whole_fs(struct scene *sc)
{
	const struct zus_ops *ops = ops_of(sc);
	struct zus_statfs st;
	char line[200];
	int err = ops->statfs(sc->rig.fs, &st);

	if (!err)
		err = ops->show(sc->rig.fs, line, sizeof(line));
	if (!err && ops->sync)
		err = ops->sync(sc->rig.fs);
	if (!err && ops->fsync)
		err = ops->fsync(sc->rig.fs, sc->node[NODE_FILE], 0);
	if (!err)
		err = ops->remount(sc->rig.fs, ZUS_MOUNT_RDONLY);
	return err ? err : ops->remount(sc->rig.fs, 0);
}

#define OP(fn, ...)                                                                                                              \
	{                                                                                                                        \
		.name = #fn, .run = fn, __VA_ARGS__                                                                              \
	}

const struct scene_op scene_ops[] = {
	OP(lookup_name, .flags = OP_FULL_OK),
	OP(lookup_self, .flags = OP_FULL_OK),
	OP(lookup_parent, .flags = OP_FULL_OK),
	OP(create_file),
	OP(create_dir),
	OP(create_symlink_long),
	OP(create_with_acls),
	OP(create_in_full_bucket),
	OP(make_tmpfile),
	{ .name = "make_tmpfile_without_intents", .run = make_tmpfile, .prepare = prepare_no_intents },
	OP(link_name),
	OP(link_tmpfile, .prepare = prepare_tmpfile),
	OP(unlink_small, .flags = OP_FULL_OK),
	OP(unlink_huge, .flags = OP_FULL_OK),
	OP(unlink_in_steps, .flags = OP_FULL_OK),
	OP(unlink_one_of_two, .flags = OP_FULL_OK),
	OP(unlink_xattrs, .flags = OP_FULL_OK),
	{ .name = "unlink_held", .run = unlink_small, .prepare = prepare_held, .flags = OP_FULL_OK },
	OP(forget_last, .prepare = prepare_held_unlinked, .flags = OP_FULL_OK | OP_VOID),
	OP(remove_dir, .flags = OP_FULL_OK),
	OP(rename_in_dir),
	OP(rename_to_full_bucket),
	OP(rename_dir),
	OP(rename_over_many, .flags = OP_FULL_OK),
	OP(rename_exchange, .flags = OP_FULL_OK),
	OP(rename_whiteout),
	OP(readlink_short, .flags = OP_FULL_OK),
	OP(readlink_long, .flags = OP_FULL_OK),
	OP(read_dir, .flags = OP_FULL_OK),
	OP(read_dir_plus, .flags = OP_FULL_OK),
	OP(get_attr, .flags = OP_FULL_OK),
	OP(set_mode, .flags = OP_FULL_OK),
	OP(set_acl),
	OP(truncate_small, .flags = OP_FULL_OK),
	OP(truncate_in_steps, .flags = OP_FULL_OK),
	OP(truncate_cuts_huge, .flags = OP_FULL_OK),
	OP(truncate_tmpfile_in_steps, .prepare = prepare_tmpfile),
	OP(grow, .flags = OP_FULL_OK),
	OP(get_xattr, .flags = OP_FULL_OK),
	OP(list_xattr, .flags = OP_FULL_OK),
	OP(set_xattr_inline, .flags = OP_FULL_OK),
	OP(set_xattr_to_block),
	OP(set_xattr_in_block),
	OP(set_xattr_smaller, .flags = OP_FULL_OK),
	OP(remove_xattr, .flags = OP_FULL_OK),
	OP(read_data, .flags = OP_FULL_OK),
	OP(read_hole, .flags = OP_FULL_OK),
	OP(overwrite, .part = "/file", .flags = OP_PARTIAL | OP_FULL_OK),
	OP(append, .part = "/file", .flags = OP_PARTIAL),
	OP(write_grows_tree, .part = "/file", .flags = OP_PARTIAL),
	OP(write_hole, .part = "/sparse", .flags = OP_PARTIAL),
	OP(write_huge, .part = "/file", .flags = OP_PARTIAL),
	OP(write_beyond_tail),
	OP(preallocate, .part = "/file", .flags = OP_PARTIAL),
	OP(preallocate_huge, .part = "/file", .flags = OP_PARTIAL),
	OP(punch_blocks, .part = "/file", .flags = OP_PARTIAL | OP_FULL_OK),
	OP(punch_huge, .part = "/big", .flags = OP_PARTIAL | OP_FULL_OK),
	OP(punch_in_steps, .part = "/many", .flags = OP_PARTIAL | OP_FULL_OK),
	OP(zero_range, .part = "/sparse", .flags = OP_PARTIAL),
	OP(collapse_huge),
	OP(collapse_sparse),
	OP(insert_blocks),
	OP(insert_huge),
	OP(seek_data, .flags = OP_FULL_OK),
	OP(seek_hole, .flags = OP_FULL_OK),
	OP(whole_fs, .flags = OP_FULL_OK),
};
const uint32_t scene_n_ops = ARRAY_SIZE(scene_ops);
